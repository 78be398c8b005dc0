//! Is this artifact to be used: the offline verdict over what was found about it.
//!
//! The caller gathers bytes, from a registry or an archive, and says under which digest it found each. Nothing else about
//! them is believed: every digest is computed again, every reference between them is followed, and each claim must be
//! bound to the artifact by what its issuer signed and be proven by a receipt of a service that [`Trust`] lists.
//!
//! One believed claim allows. What is wrong with the claims beside it is said, not hidden.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use docket_oci::{Algorithm, Digest};
use docket_proof::key::Issuer;
use docket_proof::receipt::ServiceName;
use docket_proof::statement::{EntryId, PresentedStatement};
use docket_proof::trust::Trust;
use serde::Serialize;

use receipts::Receipts;

pub use problem::{Piece, Problem};
pub use receipts::{RECEIPTS_SHOWN_MAX, ReceiptResult, ReceiptVerdict};
pub use statement::{Answer, StatementVerdict, judge_statement};

mod claim;
mod problem;
mod receipts;
mod statement;

/// Most claims that are judged; if there are more and none of these is believed, the verdict is "could not check".
pub const CLAIMS_MAX: usize = 4096;

/// All that was found about one artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// The artifact's manifest, under the digest that was asked for.
    pub artifact: Found,
    /// One for each statement manifest that was found, in any order.
    pub claims: Vec<ClaimMaterial>,
    /// What the caller could not gather, one sentence each: a limit that was hit, a registry that did not answer.
    pub gaps: Vec<String>,
}

/// All that was found about one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMaterial {
    /// The statement manifest.
    pub manifest: Found,
    /// The evidence manifest it refers to; `None` where it refers to the artifact itself.
    pub evidence: Option<Found>,
    /// Its first layer, the transparent statement; `None` where it was not there.
    pub statement: Option<Found>,
    /// Its second layer, the bare receipt; `None` where it has none.
    pub receipt: Option<Found>,
    /// The document that the evidence manifest holds; `None` where the claim has no document.
    pub document: Option<Document>,
}

/// Bytes, and the digest under which they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The digest that led to the bytes.
    pub expected: Digest,
    /// The bytes as received.
    pub bytes: Vec<u8>,
}

/// What was seen of a document, which may be too large to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document {
    /// The digest that led to it.
    pub expected: Digest,
    /// What it turned out to be; `None` where it was not there (purged, or left out of an archive).
    pub seen: Option<Seen>,
}

/// A document as the caller read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The digest of the bytes that were read, by the algorithm of the expected digest.
    pub actual: Digest,
    /// How many bytes were read.
    pub size: u64,
}

/// Whether the artifact is to be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// At least one claim is believed.
    Allow {
        /// What was judged.
        artifact: Digest,
        /// Every claim, by index in its ledger; those without one last.
        claims: Vec<ClaimVerdict>,
    },
    /// No claim is believed.
    Deny {
        /// What was judged.
        artifact: Digest,
        /// Which kind of denial this is.
        reason: Reason,
        /// The denial in one sentence.
        message: String,
        /// Every claim, by index in its ledger; those without one last.
        claims: Vec<ClaimVerdict>,
    },
}

/// The three kinds of denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// There are no claims.
    Unsigned,
    /// There are claims, or bytes, and none is to be believed.
    NotTrusted,
    /// Something was missing that might have been believed.
    CouldNotCheck,
}

/// What was found out about one claim. Where `problem` is set, the other facts are merely what the claim says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimVerdict {
    /// Who says it.
    pub issuer: Option<Issuer>,
    /// What kind of claim it is: the media type of its document or payload.
    pub claim_type: Option<String>,
    /// The name of its ledger entry.
    pub entry_id: Option<EntryId>,
    /// Its index in the ledger.
    pub index: Option<u64>,
    /// How many entries the ledger had when the receipt was signed.
    pub tree_size: Option<u64>,
    /// The first service whose receipt proves it.
    pub service: Option<ServiceName>,
    /// When the service signed the receipt, in seconds since 1970.
    pub signed_at: Option<i64>,
    /// Whether its document is still there; `None` where it has none.
    pub evidence: Option<Evidence>,
    /// The statement manifest that holds it.
    pub manifest: Digest,
    /// What became of each of its entry's receipts, wherever they were found; those that hold first.
    pub receipts: Vec<ReceiptVerdict>,
    /// Why it is not believed; `None` where it is.
    pub problem: Option<Problem>,
}

/// The state of a claim's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Evidence {
    /// It was read and is what the issuer signed.
    Present {
        /// Its digest.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// It is no longer there; the claim about it stands.
    Absent {
        /// The digest that the issuer signed.
        digest: Digest,
    },
}

/// Judges one artifact by what was found about it and whom the reader believes.
pub fn judge(material: &Material, trust: &Trust) -> Verdict {
    let artifact = material.artifact.expected;
    let actual = material.artifact.digest();
    if actual != artifact {
        let message = format!("the manifest that was found has digest {actual}, not {artifact}");
        return Verdict::Deny { artifact, reason: Reason::NotTrusted, message, claims: Vec::new() };
    }
    let judged = &material.claims[..material.claims.len().min(CLAIMS_MAX)];
    let receipts = receipts_of(judged, trust);
    let claims = in_order(judged.iter().map(|found| claim::judge(found, &artifact, &receipts, trust)));
    if claims.iter().any(ClaimVerdict::is_believed) {
        return Verdict::Allow { artifact, claims };
    }
    let mut gaps = material.gaps.clone();
    if material.claims.len() > CLAIMS_MAX {
        gaps.push(format!("{} claims were found and only {CLAIMS_MAX} are judged", material.claims.len()));
    }
    let problems = claims.iter().filter_map(|claim| claim.problem.as_ref());
    gaps.extend(problems.clone().filter(|problem| problem.is_gap()).map(Problem::to_string));
    let (reason, message) = if !gaps.is_empty() {
        (Reason::CouldNotCheck, format!("not everything could be checked: {}", first_of(&gaps)))
    } else if claims.is_empty() {
        (Reason::Unsigned, "nothing is claimed about this artifact".to_owned())
    } else {
        let problems: Vec<_> = problems.map(Problem::to_string).collect();
        (Reason::NotTrusted, format!("no claim about this artifact is believed: {}", first_of(&problems)))
    };
    Verdict::Deny { artifact, reason, message, claims }
}

/// The receipts of each entry, judged once however often it was found. They may lie scattered over its copies: each service
/// gives its own, and each place keeps what it was given.
fn receipts_of(claims: &[ClaimMaterial], trust: &Trust) -> HashMap<EntryId, Receipts> {
    let statements = claims.iter().filter_map(|claim| claim.statement.as_ref());
    let statements: Vec<_> = statements.filter_map(|found| PresentedStatement::decode(&found.bytes).ok()).collect();
    let mut entries: HashMap<EntryId, Vec<&PresentedStatement>> = HashMap::new();
    for statement in &statements {
        entries.entry(statement.entry_id()).or_default().push(statement);
    }
    let judged = entries.into_iter().map(|(entry_id, copies)| {
        let receipts: BTreeSet<_> = copies.iter().flat_map(|copy| &copy.receipts).map(Vec::as_slice).collect();
        let unknown = copies.iter().map(|copy| copy.unknown_receipts).max().unwrap_or_default();
        (entry_id, receipts::judge(&copies[0].entry, &Vec::from_iter(receipts), unknown, trust))
    });
    judged.collect()
}

/// The first of many sentences, and how many there are beside it.
fn first_of(sentences: &[String]) -> String {
    match sentences {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

impl Verdict {
    /// Whether the artifact may be used.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// What was judged.
    pub fn artifact(&self) -> &Digest {
        match self {
            Self::Allow { artifact, .. } | Self::Deny { artifact, .. } => artifact,
        }
    }

    /// Every claim, believed or not.
    pub fn claims(&self) -> &[ClaimVerdict] {
        match self {
            Self::Allow { claims, .. } | Self::Deny { claims, .. } => claims,
        }
    }
}

impl ClaimVerdict {
    /// Whether nothing is wrong with the claim.
    pub fn is_believed(&self) -> bool {
        self.problem.is_none()
    }

    /// How much a copy of an entry is worth beside others.
    fn rank(&self) -> (bool, bool) {
        (self.is_believed(), matches!(self.evidence, Some(Evidence::Present { .. })))
    }
}

impl Found {
    /// The digest of the bytes, by the algorithm of the expected one.
    pub fn digest(&self) -> Digest {
        Digest::of(self.expected.algorithm(), &self.bytes)
    }

    /// Bytes under their own SHA-256 digest.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { expected: Digest::of(Algorithm::Sha256, &bytes), bytes }
    }
}

/// One verdict for each entry, the best that was reached for it, ordered by index.
///
/// An entry may be placed several times. If it is believed at one place it is believed; a broken copy elsewhere takes nothing
/// away, for the place is not signed. Of several that are believed, one with its document is the best.
fn in_order(verdicts: impl Iterator<Item = ClaimVerdict>) -> Vec<ClaimVerdict> {
    let mut by_entry: BTreeMap<EntryId, ClaimVerdict> = BTreeMap::new();
    let mut unnamed = Vec::new();
    for verdict in verdicts {
        let Some(entry_id) = verdict.entry_id else {
            unnamed.push(verdict);
            continue;
        };
        match by_entry.get(&entry_id) {
            Some(before) if before.rank() >= verdict.rank() => {}
            Some(_) | None => {
                by_entry.insert(entry_id, verdict);
            }
        }
    }
    let mut verdicts: Vec<_> = by_entry.into_values().chain(unnamed).collect();
    verdicts.sort_by_key(|verdict| (verdict.index.unwrap_or(u64::MAX), verdict.entry_id, verdict.manifest));
    verdicts
}

#[cfg(test)]
mod tests;
