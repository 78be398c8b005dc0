//! Who said what about an artifact: complete up to a tree size that the answer names.

use std::collections::HashMap;

use docket_oci::digest::Digest;
use docket_oci::name::RepositoryName;
use docket_proof::statement::{Content, EntryId, SignedStatement};
use docket_store::{ClaimFilter, EntryRow, EntrySubject, PlacementRow};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::observe::{OBSERVATION_TYPE, Observation};

/// A question; `None` = anything.
#[derive(Debug, Clone, Default)]
pub struct ClaimQuery {
    /// The artifact spoken of.
    pub artifact: Option<Digest>,
    /// Who signed.
    pub issuer: Option<String>,
    /// What kind of claim.
    pub claim_type: Option<String>,
    /// Whether what the service observed is listed too; it is no claim that somebody made.
    pub observed: bool,
    /// First index of the page.
    pub from: u64,
    /// Tree size the first page was complete for; later pages keep to it.
    pub tree_size: Option<u64>,
    /// Claims in a page.
    pub limit: usize,
}

/// A page of the answer.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ClaimPage {
    /// The answer is complete for the ledger of this size.
    pub tree_size: u64,
    /// Oldest first.
    pub claims: Vec<Claim>,
    /// Index where the next page starts, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A claim as an answer shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Claim {
    /// Entry id, lower hex.
    pub entry: String,
    /// Position in the ledger.
    pub index: u64,
    /// Who signed.
    pub issuer: String,
    /// The signed subject.
    pub subject: String,
    /// The artifact's digest, if the subject is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Claim type.
    #[serde(rename = "type")]
    pub claim_type: String,
    /// Digest of the document, if the claim has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// What the claim itself says, if that is JSON of at most [`PAYLOAD_BYTES_MAX`] bytes: for a claim without a document
    /// the in-toto Statement with its predicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// When the issuer says it signed, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<i64>,
    /// When it was logged, Unix seconds.
    pub logged_at: i64,
    /// What it was decided by.
    pub decided_by: DecidedBy,
    /// Where it stands.
    pub placements: Vec<ClaimPlacement>,
}

/// What an entry was decided by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DecidedBy {
    /// The entry that admitted the issuer.
    pub issuer_entry: u64,
    /// The entry that holds the registration policy; 0, the genesis, where only issuers are looked at.
    pub policy_entry: u64,
    /// When, Unix seconds.
    pub at: i64,
}

/// Where a claim stands.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ClaimPlacement {
    /// The repository.
    pub repository: String,
    /// Its statement manifest.
    pub statement: Digest,
    /// Its evidence manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
}

impl Instance {
    /// Answers a question about claims: with those that are placed where the caller may pull, and only these places; or
    /// with all, for whoever may register claims with the service itself. Limits above [`CLAIMS_PAGE_MAX`] are lowered to it.
    pub async fn claims(&self, permit: &Permit, query: &ClaimQuery) -> Result<ClaimPage, EngineError> {
        permit.scope(Right::Pull)?;
        let head = self.ledger.head();
        let tree_size = query.tree_size.map_or(head.size, |size| size.min(head.size));
        let limit = query.limit.clamp(1, CLAIMS_PAGE_MAX);
        let filter = ClaimFilter {
            subject: query.artifact.map(EntrySubject::Artifact),
            issuer: query.issuer.clone(),
            claim_type: query.claim_type.clone(),
            except_type: (!query.observed).then(|| OBSERVATION_TYPE.to_owned()),
        };
        let (mut shown, mut from, mut read) = (Vec::new(), query.from, 0);
        let next = loop {
            let rows = self.store.claims(&filter, from, tree_size, limit + 1).await?;
            let is_end = rows.len() <= limit;
            read += rows.len();
            from = rows.last().map_or(tree_size, |row| row.index + 1);
            shown.extend(self.shown(permit, rows).await?);
            // The next page starts at a claim that will be shown: the place of any other says that there is one.
            if let Some((row, _)) = shown.get(limit) {
                break Some(row.index);
            }
            if is_end {
                break None;
            }
            if read > CLAIMS_READ_MAX {
                break Some(from);
            }
        };
        shown.truncate(limit);
        let mut sizes: Vec<_> = shown.iter().map(|(row, _)| row.tree_size).collect();
        sizes.dedup();
        let times = self.store.batch_times(&sizes).await?;
        let claim = |(row, placements): &(EntryRow, Vec<PlacementRow>)| {
            let missing = || EngineError::Unproven(format!("the batch of entry {} is missing", row.index));
            claim(row, *times.get(&row.tree_size).ok_or_else(missing)?, placements)
        };
        Ok(ClaimPage { tree_size, claims: shown.iter().map(claim).collect::<Result<_, _>>()?, next })
    }

    /// The entries that the caller may see, each with the places that it may see.
    async fn shown(
        &self,
        permit: &Permit,
        rows: Vec<EntryRow>,
    ) -> Result<impl Iterator<Item = (EntryRow, Vec<PlacementRow>)>, EngineError> {
        let account = permit.account();
        let shows_all = self.access.shows_whole_ledger(account);
        let indexes: Vec<_> = rows.iter().map(|row| row.index).collect();
        let mut places: HashMap<u64, Vec<PlacementRow>> = HashMap::new();
        for place in self.store.placements(&indexes).await? {
            if self.access.shows(account, &place.repository) {
                places.entry(place.index).or_default().push(place);
            }
        }
        Ok(rows.into_iter().filter_map(move |row| {
            let places = places.remove(&row.index).unwrap_or_default();
            (shows_all
                || !places.is_empty()
                || self.observed_in(&row).is_some_and(|place| self.access.shows(account, &place)))
            .then_some((row, places))
        }))
    }

    /// The repository in which an entry observes something: whoever may pull there may see it.
    pub(crate) fn observed_in(&self, row: &EntryRow) -> Option<RepositoryName> {
        let statement = SignedStatement::decode(&row.bytes).ok()?;
        let observation = Observation::of(&statement).filter(|_| statement.issuer() == self.service())?;
        Some(observation.repository)
    }

    /// Entries in the ledger that may be spoken of.
    pub fn tree_size(&self) -> u64 {
        self.ledger.head().size
    }
}

fn claim(row: &EntryRow, logged_at: i64, placements: &[PlacementRow]) -> Result<Claim, EngineError> {
    let statement = SignedStatement::decode(&row.bytes)
        .map_err(|failure| EngineError::Unproven(format!("entry {}: {failure}", row.index)))?;
    Ok(Claim {
        entry: EntryId::from_bytes(row.entry_id).to_string(),
        index: row.index,
        issuer: statement.issuer().to_string(),
        subject: statement.subject().as_str().to_owned(),
        artifact: statement.subject().digest(),
        claim_type: statement.claim_type().to_owned(),
        evidence: match statement.content() {
            Content::HashEnvelope { digest, .. } => Some(*digest),
            Content::Sha384Envelope { .. } | Content::Payload { .. } => None,
        },
        payload: shown_payload(&statement),
        issued_at: statement.issued_at(),
        logged_at,
        decided_by: DecidedBy { issuer_entry: row.issuer_entry, policy_entry: row.policy_entry, at: row.decided_at },
        placements: placements
            .iter()
            .map(|placement| ClaimPlacement {
                repository: placement.repository.to_string(),
                statement: placement.statement,
                evidence: placement.evidence,
            })
            .collect(),
    })
}

/// The payload of a statement as answers show it.
pub fn shown_payload(statement: &SignedStatement) -> Option<serde_json::Value> {
    match statement.content() {
        Content::Payload { bytes, .. } if bytes.len() <= PAYLOAD_BYTES_MAX => statement.json_payload(),
        Content::Payload { .. } | Content::HashEnvelope { .. } | Content::Sha384Envelope { .. } => None,
    }
}

/// The largest payload that answers show.
pub const PAYLOAD_BYTES_MAX: usize = 4096;
/// Claims in one answer.
pub const CLAIMS_PAGE_MAX: usize = 1000;
/// Entries looked at for one answer, where some of them are not shown.
const CLAIMS_READ_MAX: usize = 10_000;
