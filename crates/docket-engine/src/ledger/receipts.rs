//! Receipts: the first one of an entry, composed from what its batch stored, and fresh ones at the newest head.

use std::time::Duration;

use docket_proof::merkle::{Hash, root_from_path};
use docket_proof::receipt::BatchSeal;
use docket_proof::statement::transparent_with;
use docket_store::EntryRow;

use crate::error::EngineError;
use crate::ledger::{Ledger, Shared, load};

impl Ledger {
    /// The receipt that was first given for an entry. The same bytes every time.
    pub(crate) async fn first_receipt(&self, row: &EntryRow) -> Result<Vec<u8>, EngineError> {
        self.shared.first_receipt(row).await
    }

    /// The same, by position.
    pub(crate) async fn first_receipt_at(&self, index: u64) -> Result<Vec<u8>, EngineError> {
        self.shared.first_receipt(&self.entry(index).await?).await
    }

    /// An entry with its first receipt, as the first layer of a statement manifest holds it.
    pub(crate) async fn first_statement(&self, index: u64) -> Result<Vec<u8>, EngineError> {
        let row = self.entry(index).await?;
        let receipt = self.first_receipt(&row).await?;
        transparent_with(&row.bytes, row.collateral.as_deref(), &[&receipt])
            .map_err(|failure| EngineError::Unproven(failure.to_string()))
    }

    /// A receipt in the newest tree that may be spoken of; a pure read. `None` while the entry stands alone, since a
    /// tree of one leaf has no path and RFC 9942 wants one.
    pub(crate) async fn fresh_receipt(&self, row: &EntryRow) -> Result<Option<Vec<u8>>, EngineError> {
        let (head, index) = (self.head(), row.index);
        if head.size <= 1 || index >= head.size {
            return Ok(None);
        }
        let path = self.shared.tiles.path(index, head.size).await?;
        // Rows and tiles may be damaged; a receipt that does not hold is never given out.
        if root_from_path(index, head.size, &row.leaf, &path) != Ok(head.root) {
            return Err(EngineError::Unproven(format!("the stored hashes do not lead from entry {index} to the head")));
        }
        Ok(Some(head.seal.receipt(index, head.size, &path)))
    }

    /// A receipt in the tree of a size that a batch ended with and that may be spoken of.
    pub(crate) async fn receipt_in(&self, row: &EntryRow, tree_size: u64) -> Result<Vec<u8>, EngineError> {
        let unproven = |what: String| EngineError::Unproven(what);
        let batch = self.shared.store.batch(tree_size).await?;
        let batch = batch.ok_or_else(|| unproven(format!("the batch of tree size {tree_size} is missing")))?;
        let path = self.shared.tiles.path(row.index, tree_size).await?;
        if root_from_path(row.index, tree_size, &row.leaf, &path) != Ok(batch.root) {
            let (index, size) = (row.index, tree_size);
            return Err(unproven(format!(
                "the stored hashes do not lead from entry {index} to the tree of size {size}"
            )));
        }
        let seal = BatchSeal { protected: batch.protected, signature: batch.signature };
        Ok(seal.receipt(row.index, tree_size, &path))
    }

    /// Compares the tiles on disk with the entries: how many were there, and what is wrong.
    pub(crate) async fn check_tiles(&self) -> Result<(u64, Vec<String>), EngineError> {
        self.shared.check_tiles().await
    }

    /// Waits until the tree of a size that was read may be spoken of.
    pub(crate) async fn wait_for(&self, tree_size: u64) -> Result<(), EngineError> {
        let mut guarded = self.shared.guarded.subscribe();
        let waited = tokio::time::timeout(GUARD_WAIT, guarded.wait_for(|size| *size >= tree_size)).await;
        if waited.is_ok_and(|guarded| guarded.is_ok()) { Ok(()) } else { Err(EngineError::Stopped) }
    }

    /// An entry that may be spoken of. One that is committed but not guarded yet, which a reader can meet for the time of
    /// one sync, is waited for.
    async fn entry(&self, index: u64) -> Result<EntryRow, EngineError> {
        if let Some(reason) = self.read_only().filter(|_| index >= self.head().size) {
            return Err(EngineError::ReadOnly(reason));
        }
        self.wait_for(index + 1).await?;
        let row = self.shared.store.entry(index).await?;
        row.ok_or_else(|| EngineError::Unproven(format!("entry {index} is missing")))
    }
}

impl Shared {
    pub(super) async fn first_receipt(&self, row: &EntryRow) -> Result<Vec<u8>, EngineError> {
        let missing = || EngineError::Unproven(format!("the batch of entry {} is missing", row.index));
        let seal = load::seal(&self.store, row.tree_size).await?.ok_or_else(missing)?;
        Ok(seal.receipt(row.index, row.tree_size, &path(row)?))
    }
}

/// The stored path of an entry.
fn path(row: &EntryRow) -> Result<Vec<Hash>, EngineError> {
    let (hashes, rest) = row.path.as_chunks::<32>();
    if rest.is_empty() {
        Ok(hashes.to_vec())
    } else {
        Err(EngineError::Unproven(format!("the path of entry {}", row.index)))
    }
}

/// How long a reader waits for the guard before it is told that the ledger has stopped.
const GUARD_WAIT: Duration = Duration::from_secs(10);
