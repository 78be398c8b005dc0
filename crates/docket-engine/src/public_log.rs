//! The public log: what strangers, monitors and witnesses see of the ledger.

use std::time::Duration;

use docket_oci::name::RepositoryName;
use docket_proof::checkpoint::{SignedCheckpoint, add_checkpoint_body};
use docket_proof::log_proof::LogProof;
use docket_proof::merkle::Hash;
use docket_proof::note::{NoteKey, NoteSignature};
use docket_proof::statement::EntryId;
use docket_proof::tile::TileId;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// What a witness is asked to cosign.
#[derive(Debug, Clone)]
pub struct ForWitness {
    /// Size of the tree that the proof starts from.
    pub old_size: u64,
    /// The proof that the new tree continues it; empty from size 0, and between equal sizes.
    pub proof: Vec<Hash>,
    /// The new tree, signed.
    pub checkpoint: SignedCheckpoint,
}

/// What there is to prove that an entry was logged.
#[derive(Debug, Clone)]
pub enum ProofState {
    /// The proof.
    Proof(LogProof),
    /// The published checkpoint does not reach so far: too few witnesses have cosigned a newer one yet.
    NotPublished,
    /// There is no such entry, or none that is shown to who asks.
    Absent,
}

impl Instance {
    /// The published checkpoint: the newest, and in a witnessed log the newest that a quorum has cosigned. `None` while there
    /// is none.
    pub async fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, EngineError> {
        let size = *self.ledger.published().borrow();
        if size == 0 { Ok(None) } else { self.ledger.checkpoint(size).await }
    }

    /// Waits until the published checkpoint has another size than `known`, at most `wait`; `None` if it keeps it.
    pub async fn next_checkpoint(&self, known: u64, wait: Duration) -> Result<Option<SignedCheckpoint>, EngineError> {
        let mut published = self.ledger.published();
        let changed = published.wait_for(|&size| size != 0 && size != known);
        if tokio::time::timeout(wait, changed).await.is_err() {
            return Ok(None);
        }
        self.checkpoint().await
    }

    /// The first `width` hashes of a tile; `None` if the log does not have so many there.
    pub async fn log_tile(&self, tile: TileId, width: u16) -> Result<Option<Vec<u8>>, EngineError> {
        self.ledger.tile(tile, width).await
    }

    /// How many entries the bundle of an index holds now. Only for those who may read statements wherever they are placed:
    /// nothing in an entry says to whom it may be shown.
    pub fn bundle_width(&self, permit: &Permit, index: u64) -> Option<u16> {
        let shows_all = self.access.shows_whole_ledger(permit.account());
        shows_all.then(|| TileId { level: 0, index }.width(self.tree_size()))
    }

    /// A part of a bundle: the entries `first..end`, which [`Self::bundle_width`] said are there.
    pub async fn bundle_part(&self, first: u64, end: u64) -> Result<Vec<u8>, EngineError> {
        self.ledger.bundle(first, end).await
    }

    /// The proof that the tree of `size` continues the one of `old_size`; `None` unless 0 < `old_size` < `size` and the log is
    /// that large.
    pub async fn consistency(&self, old_size: u64, size: u64) -> Result<Option<Vec<Hash>>, EngineError> {
        self.ledger.consistency(old_size, size).await
    }

    /// The same as a receipt of the newer tree, which need not be published: a receipt is a proof of its own. `None` as well
    /// where one of the trees ended no batch, so that nobody signed it.
    pub async fn consistency_receipt(&self, old_size: u64, size: u64) -> Result<Option<Vec<u8>>, EngineError> {
        self.ledger.consistency_receipt(old_size, size).await
    }

    /// A proof of logging in the published checkpoint, for those who may read the entry.
    pub async fn log_proof(&self, permit: &Permit, entry: &EntryId) -> Result<ProofState, EngineError> {
        permit.scope(Right::Pull)?;
        let account = permit.account();
        let is_here = |place: &RepositoryName| self.access.shows(account, place);
        let Some(row) = self.shown_entry(entry, self.access.shows_whole_ledger(account), &is_here).await? else {
            return Ok(ProofState::Absent);
        };
        let Some(signed) = self.checkpoint().await?.filter(|signed| signed.checkpoint().size() > row.index) else {
            return Ok(ProofState::NotPublished);
        };
        let path = self.ledger.path_to(&row, signed.checkpoint()).await?;
        let checkpoint = signed.note().clone();
        Ok(ProofState::Proof(LogProof { extra: None, index: row.index, path, checkpoint }))
    }

    /// For each witness that is configured, the size it cosigned last, 0 for never.
    pub async fn cosigned_sizes(&self) -> Result<Vec<(NoteKey, u64)>, EngineError> {
        self.ledger.cosigned_sizes().await
    }

    /// Waits until the ledger is larger than `size`, and says how large it is.
    pub async fn larger_than(&self, size: u64) -> u64 {
        let mut guarded = self.ledger.guarded();
        // The sender lives as long as the ledger that was just asked.
        guarded.wait_for(|&guarded| guarded > size).await.map_or(size, |guarded| *guarded)
    }

    /// Waits until the published checkpoint has at least a size.
    pub async fn published_reaches(&self, size: u64) {
        // As above.
        let _ = self.ledger.published().wait_for(|&published| published >= size).await;
    }

    /// What a witness is asked that says it knows the tree of `old_size`; `None` if this log has no such trees.
    pub async fn for_witness(&self, old_size: u64, size: u64) -> Result<Option<ForWitness>, EngineError> {
        let Some(checkpoint) = self.ledger.checkpoint(size).await? else { return Ok(None) };
        let proof = if old_size == 0 || old_size == size {
            Some(Vec::new())
        } else {
            self.ledger.consistency(old_size, size).await?
        };
        Ok(proof.map(|proof| ForWitness { old_size, proof, checkpoint }))
    }

    /// Keeps what a witness answered to [`Self::for_witness`], and publishes the checkpoint if a quorum has cosigned it.
    pub async fn keep_cosignature(
        &self,
        witness: &NoteKey,
        asked: &ForWitness,
        lines: Vec<NoteSignature>,
    ) -> Result<(), EngineError> {
        self.ledger.keep_cosignature(witness, asked.checkpoint.checkpoint(), lines).await
    }

    /// A witness knows a larger tree of this log than the database holds: it was rolled back, guard and all, and takes no
    /// entries any more.
    pub fn stop_behind_witness(&self, witness: &NoteKey, size: u64) {
        let (name, held) = (witness.name(), self.tree_size());
        self.ledger.stop(&format!(
            "the witness {name} has cosigned {size} entries, the database holds {held}: the whole data folder was rolled \
             back, and going on would fork the log. Put back the newer folder; if the witness is wrong, take it out of the \
             configuration and start again"
        ));
    }
}

impl ForWitness {
    /// The request of C2SP tlog-witness: the old size, the proof, an empty line, the checkpoint.
    pub fn to_body(&self) -> String {
        add_checkpoint_body(self.old_size, &self.proof, &self.checkpoint)
    }
}
