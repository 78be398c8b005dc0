//! Recovery: a restored copy takes changes again once it was compared with what the service said after the backup.
//!
//! An entry that was acknowledged after the backup is missing from the copy, and its receipt is in somebody's hands. Going
//! on would put another entry in its place, under the same name and key: two histories, and proof of it. So a copy that is
//! known to lack entries never takes changes again.

use std::path::Path;

use docket_proof::checkpoint::{CheckpointError, SignedCheckpoint};
use docket_proof::receipt::Receipt;
use docket_proof::statement::SignedStatement;
use docket_store::GuardPoint;

use crate::error::EngineError;
use crate::instance::{Instance, Options};
use crate::keys::KeyRole;

/// What is known of the service's last words.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// The head guard of the lost folder: no receipt ever left before it had moved.
    Guard(GuardPoint),
    /// A receipt of this service, or a statement with one: the service spoke of a tree at least this large.
    Receipt(Vec<u8>),
    /// A checkpoint that the log signed: the service spoke of this tree.
    Checkpoint(Vec<u8>),
    /// None; the operator states the size of the newest tree that anybody was told of.
    Stated(u64),
}

/// A copy that takes changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries in its ledger.
    pub tree_size: u64,
    /// Tree size that the evidence speaks of.
    pub evidence_size: u64,
}

/// Why a copy takes no changes yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Operator: nothing was restored here.
    #[error("this is no restored copy, there is nothing to recover")]
    NotRestored,
    /// Operator: nothing was restored here, but the database is older than what was spoken of.
    #[error("this is no restored copy, and no comparison can help it: {0}")]
    ReadOnly(String),
    /// Operator: entries are missing for good.
    #[error(
        "the evidence speaks of {evidence} entries, the copy holds {held}: receipts of the missing ones are in use, and going on \
         under this name would fork the ledger. Restore a newer backup or put back the lost folder; if there is none, serve this copy for \
         pulls and receipts, make a new ledger with `docket init`, and copy the artifacts there"
    )]
    Behind {
        /// Tree size of the evidence.
        evidence: u64,
        /// Tree size of the copy.
        held: u64,
    },
    /// Operator: the evidence is of another history.
    #[error(
        "the evidence speaks of another tree of {size} entries than the copy holds: the two went different ways, and the copy must not go on"
    )]
    OtherHistory {
        /// Tree size of the evidence.
        size: u64,
    },
    /// Operator: the evidence proves nothing here.
    #[error("the evidence is no receipt of this service: {0}")]
    NoEvidence(String),
    /// Operator: the evidence is of no log, or of another one.
    #[error("the evidence is no checkpoint of this log: {0}")]
    NoCheckpoint(#[from] CheckpointError),
    /// Operator: the number does not fit.
    #[error(
        "the copy holds {held} entries, not {stated}; state the number that it holds if no newer receipt was ever given out"
    )]
    WrongSize {
        /// What was stated.
        stated: u64,
        /// Tree size of the copy.
        held: u64,
    },
}

impl Instance {
    /// Compares a restored copy with the evidence and lets it take changes again. A refusal changes nothing.
    pub async fn recover(folder: &Path, options: Options, evidence: &Evidence) -> Result<Recovered, EngineError> {
        let instance = Self::open(folder, options).await?;
        let compared = instance.compare(evidence).await;
        let folder = instance.store.folder().clone();
        instance.close().await;
        let recovered = compared?;
        docket_store::set_restored(&folder, None).await?;
        Ok(recovered)
    }

    async fn compare(&self, evidence: &Evidence) -> Result<Recovered, EngineError> {
        if !self.store.is_restored() {
            return Err(self.read_only().map_or(RecoverError::NotRestored, RecoverError::ReadOnly).into());
        }
        let held = self.tree_size();
        let size = match evidence {
            Evidence::Guard(point) => {
                self.compare_tree(point.size, Some(point.root), held).await?;
                point.size
            }
            Evidence::Receipt(bytes) => self.compare_receipt(bytes, held).await?,
            Evidence::Checkpoint(bytes) => {
                let signed = SignedCheckpoint::open(bytes, self.checkpoint_key()).map_err(RecoverError::from)?;
                let head = signed.checkpoint();
                self.compare_tree(head.size(), Some(*head.root()), held).await?;
                head.size()
            }
            Evidence::Stated(stated) if *stated == held => held,
            Evidence::Stated(stated) => return Err(RecoverError::WrongSize { stated: *stated, held }.into()),
        };
        Ok(Recovered { tree_size: held, evidence_size: size })
    }

    async fn compare_receipt(&self, bytes: &[u8], held: u64) -> Result<u64, EngineError> {
        let no_evidence = |why: String| EngineError::from(RecoverError::NoEvidence(why));
        let keys = self.ledger.keys();
        let key_of = |receipt: &Receipt| keys.history.find(KeyRole::Receipt, &receipt.kid());
        let statement = SignedStatement::decode(bytes).ok();
        let receipts = match &statement {
            Some(statement) => statement.receipts().to_vec(),
            None => vec![bytes.to_vec()],
        };
        let ours = receipts.iter().filter_map(|receipt| Receipt::decode(receipt).ok());
        let ours = ours.filter_map(|receipt| key_of(&receipt).map(|key| (receipt, key)));
        let Some((receipt, key)) = ours.max_by_key(|(receipt, _)| receipt.tree_size()) else {
            return Err(no_evidence("it holds none by a key that this copy knows; if the service replaced its receipt key after the copy was made, the copy is \
                 behind: restore a newer one"
                    .to_owned()));
        };
        let (size, index) = (receipt.tree_size(), receipt.index());
        // Without its statement, a receipt of an entry that the copy lacks cannot be checked. It counts all the same: the
        // copy then stays as it is.
        let entry = match &statement {
            Some(statement) => Some(statement.entry().to_vec()),
            None => self.store.entry(index).await?.map(|row| row.bytes),
        };
        let root = match entry.map(|entry| receipt.verify(&entry, key)) {
            Some(Ok(root)) => Some(root),
            // A bare receipt over the copy's own entry: either it is not ours or another entry stood there.
            Some(Err(_)) if statement.is_none() => return Err(RecoverError::OtherHistory { size }.into()),
            Some(Err(failure)) => return Err(no_evidence(failure.to_string())),
            None => None,
        };
        self.compare_tree(size, root, held).await?;
        Ok(size)
    }

    /// Whether the copy once had this tree.
    async fn compare_tree(&self, size: u64, root: Option<[u8; 32]>, held: u64) -> Result<(), EngineError> {
        if size > held {
            return Err(RecoverError::Behind { evidence: size, held }.into());
        }
        let batch = self.store.batch(size).await?.map(|batch| batch.root);
        if batch.is_some() && batch == root { Ok(()) } else { Err(RecoverError::OtherHistory { size }.into()) }
    }
}
