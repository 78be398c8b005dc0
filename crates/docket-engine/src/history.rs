//! The history of a tag: every manifest it ever pointed to and each deletion, as far as they were observed, with proofs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use docket_oci::digest::Digest;
use docket_oci::name::Tag;
use docket_proof::statement::{EntryId, SignedStatement};
use docket_store::EntryRow;
use serde::{Deserialize, Serialize};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::observe::Observation;

/// A question about the tag of a repository that the permit names.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Which tag.
    pub tag: Tag,
    /// First index of the page.
    pub from: u64,
    /// Tree size that the first page was complete for; later pages keep to it.
    pub tree_size: Option<u64>,
    /// Events in a page.
    pub limit: usize,
}

/// A page of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The answer is complete for the ledger of this size, and its receipts are of that tree.
    pub tree_size: u64,
    /// In the first page: where the tag stood when the ledger had this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    /// Oldest first.
    pub events: Vec<HistoryEvent>,
    /// Index where the next page starts, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Where a tag stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// On this manifest; `None` if there is no such tag.
    pub digest: Option<Digest>,
}

/// One observation, with what proves it. What it says stands in the statement; the rest is for those who read no COSE.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Position in the ledger.
    pub index: u64,
    /// Entry id, lower hex.
    pub entry: String,
    /// When it was logged, Unix seconds.
    pub logged_at: i64,
    /// What was observed.
    pub observation: Observation,
    /// The bytes of the entry, base64.
    pub statement: String,
    /// A receipt in the tree of the answer, base64.
    pub receipt: String,
}

impl Instance {
    /// A page of the history of a tag, for whoever may pull from its repository. Limits above [`HISTORY_PAGE_MAX`] are lowered
    /// to it.
    pub async fn history(&self, permit: &Permit, query: &HistoryQuery) -> Result<HistoryPage, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        if !self.store.has_repository(repository).await? {
            return Err(EngineError::RepositoryUnknown);
        }
        let (tree_size, current) = if let Some(size) = query.tree_size {
            (size.min(self.ledger.head().size), None)
        } else {
            // Tag and ledger of one moment, so that a move in between does not look like a lie.
            let now = self.store.tag_now(repository, &query.tag).await?;
            self.ledger.wait_for(now.tree_size).await?;
            (now.tree_size, Some(Current { digest: now.digest }))
        };
        let limit = query.limit.clamp(1, HISTORY_PAGE_MAX);
        let mut indexes = self.store.history(repository, &query.tag, query.from, tree_size, limit + 1).await?;
        let next = indexes.get(limit).copied();
        indexes.truncate(limit);
        let (mut rows, mut events) = (Vec::with_capacity(indexes.len()), Vec::with_capacity(indexes.len()));
        for index in indexes {
            let row = self.store.entry(index).await?;
            rows.push(row.ok_or_else(|| EngineError::Unproven(format!("entry {index} is missing")))?);
        }
        let sizes: Vec<_> = rows.iter().map(|row| row.tree_size).collect();
        let times = self.store.batch_times(&sizes).await?;
        for row in &rows {
            let time = times.get(&row.tree_size).copied();
            events.push(self.event(row, time, tree_size).await?);
        }
        Ok(HistoryPage { tree_size, current, events, next })
    }

    async fn event(&self, row: &EntryRow, time: Option<i64>, tree_size: u64) -> Result<HistoryEvent, EngineError> {
        let unproven = |why: &str| EngineError::Unproven(format!("entry {}: {why}", row.index));
        let statement = SignedStatement::decode(&row.bytes).map_err(|failure| unproven(&failure.to_string()))?;
        let observation =
            Observation::of(&statement).ok_or_else(|| unproven("a history names it, but it is no observation"))?;
        Ok(HistoryEvent {
            index: row.index,
            entry: EntryId::from_bytes(row.entry_id).to_string(),
            logged_at: time.ok_or_else(|| unproven("its batch is missing"))?,
            observation,
            statement: BASE64.encode(&row.bytes),
            receipt: BASE64.encode(self.ledger.receipt_in(row, tree_size).await?),
        })
    }
}

/// Events in one answer.
pub const HISTORY_PAGE_MAX: usize = 1000;
