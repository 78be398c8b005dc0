//! What the service itself says on its ledger: own `iss`, own key, own `typ`. Nobody else can: whoever sends such a statement
//! gets the entry that it is, or a refusal.

use docket_judge::policy::Basis;
use docket_oci::media::essence;
use docket_proof::key::Issuer;
use docket_proof::statement::{Content, Draft, SignedStatement, VerifiedStatement};
use docket_proof::subject::Subject;

use crate::error::EngineError;
use crate::keys::ServiceKeys;
use crate::ledger::{Candidate, Identity};
use crate::signer::{SIGNS_WITH, signature};

/// `typ` of every statement that the service makes itself, and of no other on its ledger.
pub const OWN_TYP: &str = "application/vnd.docket.own+cose";
/// Content type of the entry at index 0: `{"service", "log", "receipt_key", "statement_key", "checkpoint_key", "policy"}`, the first
/// two keys as SPKI PEM, the third as a verifier key of C2SP signed-note, the policy in words.
pub const GENESIS_TYPE: &str = "application/vnd.docket.genesis.v1+json";

/// The first entry of a ledger.
pub(crate) async fn genesis(identity: &Identity, keys: &ServiceKeys, now: i64) -> Result<Candidate, EngineError> {
    let payload = serde_json::json!({
        "service": identity.service.as_str(),
        "log": identity.log,
        "receipt_key": keys.receipt.public().to_spki_pem(),
        "statement_key": keys.statement.public().to_spki_pem(),
        "checkpoint_key": identity.checkpoint_key.public().to_string(),
        "policy": BUILT_IN_POLICY,
    });
    let statement = own_statement(identity, keys, log_subject(identity)?, GENESIS_TYPE, &payload, now).await?;
    Ok(Candidate::own(statement, now))
}

/// The verifier key that a genesis entry names for checkpoints.
pub(crate) fn genesis_checkpoint_key(entry: &[u8]) -> Option<String> {
    let statement = SignedStatement::decode(entry).ok()?;
    let Content::Payload { bytes, .. } = statement.content() else { return None };
    let payload: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(payload.get("checkpoint_key")?.as_str()?.to_owned())
}

/// What the service's own statements are decided by.
pub(crate) fn own_basis(now: i64) -> Basis {
    Basis { issuer_entry: GENESIS_INDEX, policy_entry: GENESIS_INDEX, decided_at: now }
}

/// The log itself, as what a statement is about.
pub(crate) fn log_subject(identity: &Identity) -> Result<Subject, EngineError> {
    Subject::parse(&identity.log).map_err(|failure| EngineError::Settings { what: "log", why: failure.to_string() })
}

/// Signs a statement of the service with its statement key.
pub(crate) async fn own_statement(
    identity: &Identity,
    keys: &ServiceKeys,
    subject: Subject,
    content_type: &str,
    payload: &serde_json::Value,
    now: i64,
) -> Result<VerifiedStatement, EngineError> {
    let bytes = payload.to_string().into_bytes();
    let draft = Draft {
        issuer: identity.service.clone(),
        subject,
        issued_at: Some(now),
        content: Content::Payload { media_type: content_type.to_owned(), bytes },
        typ: Some(OWN_TYP.to_owned()),
    };
    let signer = &keys.statement;
    if let Some(key) = signer.held() {
        return Ok(draft.sign_verified(key)?);
    }
    let unsigned = draft.unsigned(SIGNS_WITH, signer.public().thumbprint())?;
    let signature = signature(signer, &unsigned.to_be_signed()).await?;
    Ok(SignedStatement::decode(&unsigned.signed(&signature)?)?.verify(signer.public())?)
}

/// Whether a statement says that it is one of the service's own. Media types know no case.
pub(crate) fn claims_to_be_own(statement: &SignedStatement, service: &Issuer) -> bool {
    statement.issuer() == service || statement.typ().is_some_and(|typ| essence(typ).eq_ignore_ascii_case(OWN_TYP))
}

/// By what statements are decided until an entry sets a policy, as the genesis says it.
const BUILT_IN_POLICY: &str = "every statement of an admitted issuer is registered";

/// The entry that decides about the service's own statements.
pub(crate) const GENESIS_INDEX: u64 = 0;
