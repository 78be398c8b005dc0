//! Is this statement to be believed: a file by itself, of this service or of any other, with no artifact at hand.

use docket_proof::statement::{EntryId, PayloadMatch, PresentedStatement, SignedStatement};
use docket_proof::trust::Trust;
use serde::Serialize;

use super::claim::check_issuer;
use super::receipts::{self, ReceiptVerdict};
use super::{Problem, Reason};

/// Whether a statement is believed, and why not. Where it is not, the facts are merely what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementVerdict {
    /// The answer.
    pub verdict: Answer,
    /// Which kind of denial this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The denial in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who says it.
    pub issuer: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// The media type of what is said.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// The name of its entry.
    pub entry_id: Option<EntryId>,
    /// Whether the issuer's own signature was checked.
    pub signature_checked: bool,
    /// Whether the document that was given is the one it speaks of; `None` where none was given.
    pub payload_checked: Option<bool>,
    /// Its receipts, those that hold first.
    pub receipts: Vec<ReceiptVerdict>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is believed.
    Allow,
    /// It is not.
    Deny,
}

/// Judges one statement by its receipts and, where issuers are listed, by its own signature; with the document that it is
/// about, if there is one to compare.
pub fn judge_statement(bytes: &[u8], document: Option<&[u8]>, trust: &Trust) -> StatementVerdict {
    let mut verdict = StatementVerdict {
        verdict: Answer::Deny,
        reason: None,
        message: None,
        issuer: None,
        subject: None,
        media_type: None,
        entry_id: None,
        signature_checked: false,
        payload_checked: None,
        receipts: Vec::new(),
    };
    match check(bytes, document, trust, &mut verdict) {
        Ok(()) => verdict.verdict = Answer::Allow,
        Err(problem) => {
            let is_gap = matches!(problem, Problem::PayloadMissing | Problem::PayloadHash(_));
            verdict.reason = Some(if is_gap { Reason::CouldNotCheck } else { Reason::NotTrusted });
            verdict.message = Some(problem.to_string());
        }
    }
    verdict
}

fn check(bytes: &[u8], document: Option<&[u8]>, trust: &Trust, verdict: &mut StatementVerdict) -> Result<(), Problem> {
    // 1. What it says, by its own word.
    let statement = PresentedStatement::decode(bytes)?;
    verdict.issuer.clone_from(&statement.issuer);
    verdict.subject.clone_from(&statement.subject);
    verdict.media_type.clone_from(&statement.media_type);
    verdict.entry_id = Some(statement.entry_id());

    // 2. As many services as are demanded prove that they registered exactly this.
    let shown: Vec<_> = statement.receipts.iter().map(Vec::as_slice).collect();
    let receipts = receipts::judge(&statement.entry, &shown, statement.unknown_receipts, trust);
    let seen_at = receipts.seen_at();
    verdict.receipts = receipts.verdicts;
    if let Some(problem) = receipts.problem {
        return Err(problem);
    }

    // 3. The document is the one that it speaks of. One that was left out of the statement, the signature binds.
    let is_same = match document.map(|document| statement.compare(document)) {
        None => None,
        Some(PayloadMatch::Same) => Some(true),
        Some(PayloadMatch::Other) => Some(false),
        Some(PayloadMatch::UnknownHash(algorithm)) => return Err(Problem::PayloadHash(algorithm)),
        Some(PayloadMatch::Detached) if trust.lists_issuers() => None,
        Some(PayloadMatch::Detached) => return Err(Problem::PayloadUnbound),
    };
    verdict.payload_checked = is_same;
    if is_same == Some(false) {
        return Err(Problem::OtherPayload);
    }

    // 4. The issuer is believed: by name and key where issuers are listed, else on the services' word.
    if trust.lists_issuers() {
        let signed = match document {
            Some(document) => SignedStatement::decode(&statement.with_payload(document)?)?,
            None if statement.is_detached() => return Err(Problem::PayloadMissing),
            None => SignedStatement::decode(&statement.signed)?,
        };
        check_issuer(signed, seen_at, trust)?;
        verdict.signature_checked = true;
        verdict.payload_checked = document.map(|_| true);
    }
    Ok(())
}
