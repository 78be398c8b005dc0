//! Who said what about an artifact: complete up to a tree size that the answer names.

use docket_oci::digest::Digest;
use docket_proof::statement::{Content, EntryId, SignedStatement};
use docket_store::{ClaimFilter, EntryRow, PlacementRow};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// A question; `None` = anything.
#[derive(Debug, Clone, Default)]
pub struct ClaimQuery {
    /// The artifact spoken of.
    pub artifact: Option<Digest>,
    /// Who signed.
    pub issuer: Option<String>,
    /// What kind of claim.
    pub claim_type: Option<String>,
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
    /// When the issuer says it signed, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<i64>,
    /// When it was logged, Unix seconds.
    pub logged_at: i64,
    /// The entry that admitted the issuer.
    pub decided_by: u64,
    /// Where it stands.
    pub placements: Vec<ClaimPlacement>,
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
    /// Answers a question about claims. Limits above [`CLAIMS_PAGE_MAX`] are lowered to it.
    pub async fn claims(&self, permit: &Permit, query: &ClaimQuery) -> Result<ClaimPage, EngineError> {
        permit.scope(Right::Pull)?;
        let head = self.ledger.head();
        let tree_size = query.tree_size.map_or(head.size, |size| size.min(head.size));
        let limit = query.limit.clamp(1, CLAIMS_PAGE_MAX);
        let filter =
            ClaimFilter { subject: query.artifact, issuer: query.issuer.clone(), claim_type: query.claim_type.clone() };
        let mut rows = self.store.claims(&filter, query.from, tree_size, limit + 1).await?;
        let next = rows.get(limit).map(|row| row.index);
        rows.truncate(limit);
        let indexes: Vec<_> = rows.iter().map(|row| row.index).collect();
        let mut sizes: Vec<_> = rows.iter().map(|row| row.tree_size).collect();
        sizes.dedup();
        let (placements, times) = (self.store.placements(&indexes).await?, self.store.batch_times(&sizes).await?);
        let claim = |row: &EntryRow| {
            let missing = || EngineError::Unproven(format!("the batch of entry {} is missing", row.index));
            let logged_at = *times.get(&row.tree_size).ok_or_else(missing)?;
            // Placements come ordered by index.
            let first = placements.partition_point(|placement| placement.index < row.index);
            claim(row, logged_at, placements[first..].iter().take_while(|placement| placement.index == row.index))
        };
        Ok(ClaimPage { tree_size, claims: rows.iter().map(claim).collect::<Result<_, _>>()?, next })
    }

    /// Entries in the ledger that may be spoken of.
    pub fn tree_size(&self) -> u64 {
        self.ledger.head().size
    }
}

fn claim<'a>(
    row: &EntryRow,
    logged_at: i64,
    placements: impl Iterator<Item = &'a PlacementRow>,
) -> Result<Claim, EngineError> {
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
            Content::Payload { .. } => None,
        },
        issued_at: statement.issued_at(),
        logged_at,
        decided_by: row.decided_by,
        placements: placements
            .map(|placement| ClaimPlacement {
                repository: placement.repository.to_string(),
                statement: placement.statement,
                evidence: placement.evidence,
            })
            .collect(),
    })
}

/// Claims in one answer.
pub const CLAIMS_PAGE_MAX: usize = 1000;
