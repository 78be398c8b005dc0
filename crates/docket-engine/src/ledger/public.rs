//! The log as strangers see it: checkpoints and who cosigned them, tiles, bundles, consistency. Only of trees that the head
//! guard has seen.

use docket_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use docket_proof::log_policy::LogPolicy;
use docket_proof::merkle::{Hash, root_from_path, verify_consistency};
use docket_proof::note::{Note, NoteKey, NoteSignature, parse_signatures};
use docket_proof::receipt::BatchSeal;
use docket_proof::tile::{TileId, encode_bundle};
use docket_store::{CosignatureRow, EntryRow, Store};
use tokio::sync::watch;

use crate::error::EngineError;
use crate::ledger::Ledger;
use crate::own::{GENESIS_INDEX, genesis_checkpoint_key};

/// Which checkpoint is published.
#[derive(Debug)]
pub(super) struct Publication {
    /// Who must have cosigned it.
    policy: Option<LogPolicy>,
    /// Its size; 0 while a quorum has cosigned none. Never falls.
    size: watch::Sender<u64>,
}

impl Publication {
    /// Without witnesses, the newest tree is published; with witnesses the newest one that a quorum has cosigned.
    pub(super) async fn open(store: &Store, policy: Option<LogPolicy>, newest: u64) -> Result<Self, EngineError> {
        let published = match policy.as_ref().filter(|policy| !policy.asks_for_no_witness()) {
            None => newest,
            Some(policy) => cosigned_size(policy, &store.cosignatures().await?),
        };
        Ok(Self { policy, size: watch::Sender::new(published) })
    }

    /// A larger tree may be spoken of.
    pub(super) fn grew(&self, size: u64) {
        if self.policy.as_ref().is_none_or(LogPolicy::asks_for_no_witness) {
            self.publish(size);
        }
    }

    fn publish(&self, size: u64) {
        self.size.send_if_modified(|published| size > std::mem::replace(published, size.max(*published)));
    }

    /// The witness whose row this is, if it is still one.
    fn witness(&self, row: &CosignatureRow) -> Option<&NoteKey> {
        let witnesses = self.policy.as_ref()?.witnesses();
        witnesses.iter().map(|witness| &witness.key).find(|key| key.to_string() == row.witness)
    }
}

/// The largest size that a quorum has cosigned, or 0. Rows come with the largest size first.
fn cosigned_size(policy: &LogPolicy, rows: &[CosignatureRow]) -> u64 {
    let at_one_size = rows.chunk_by(|one, other| one.tree_size == other.tree_size);
    let mut reached = at_one_size.filter(|rows| {
        let names: Vec<_> = rows.iter().map(|row| row.witness.as_str()).collect();
        let keys = policy.witnesses().iter().map(|witness| &witness.key);
        policy.is_quorum(&keys.filter(|key| names.contains(&key.to_string().as_str())).collect::<Vec<_>>())
    });
    reached.next().map_or(0, |rows| rows[0].tree_size)
}

impl Ledger {
    /// Size of the published checkpoint, 0 if there is none yet; it can be waited for.
    pub(crate) fn published(&self) -> watch::Receiver<u64> {
        self.shared.publication.size.subscribe()
    }

    /// The newest tree that may be spoken of, to wait for.
    pub(crate) fn guarded(&self) -> watch::Receiver<u64> {
        self.shared.guarded.subscribe()
    }

    /// The checkpoint of a tree that ends a batch, with every cosignature of it; `None` if no batch ends there. The same tree
    /// gives the same signature every time, so it is made when it is asked for.
    pub(crate) async fn checkpoint(&self, size: u64) -> Result<Option<SignedCheckpoint>, EngineError> {
        let head = self.head();
        let root = match size {
            size if size > head.size => None,
            size if size == head.size => Some(head.root),
            size => self.shared.store.batch(size).await?.map(|batch| batch.root),
        };
        let Some(root) = root else { return Ok(None) };
        let identity = self.identity();
        let mut signed = Checkpoint::new(&identity.log, size, root).sign(&identity.checkpoint_key);
        let publication = &self.shared.publication;
        if publication.policy.is_some() {
            let rows = self.shared.store.cosignatures().await?;
            for row in rows.iter().filter(|row| row.tree_size == size && publication.witness(row).is_some()) {
                parse_signatures(&row.line)
                    .map_err(|failure| EngineError::Unproven(format!("cosignature of size {size}: {failure}")))?
                    .into_iter()
                    .for_each(|line| signed.note_mut().add(line));
            }
        }
        Ok(Some(signed))
    }

    /// Keeps what a witness answered to a checkpoint: its own line, if that holds. Publishes the checkpoint if a quorum has
    /// cosigned it now; whoever was told of it finds the cosignatures again after a crash.
    pub(crate) async fn keep_cosignature(
        &self,
        witness: &NoteKey,
        checkpoint: &Checkpoint,
        lines: Vec<NoteSignature>,
    ) -> Result<(), EngineError> {
        let line = own_line(witness, checkpoint, lines)?;
        let publication = &self.shared.publication;
        let (tree_size, published) = (checkpoint.size(), *publication.size.borrow());
        let row = CosignatureRow { witness: witness.to_string(), tree_size, line: line.to_string() };
        self.shared.store.cosign(row, published).await?;
        if let Some(policy) = &publication.policy {
            publication.publish(cosigned_size(policy, &self.shared.store.cosignatures().await?));
        }
        Ok(())
    }

    /// For each witness that is configured, the size it cosigned last.
    pub(crate) async fn cosigned_sizes(&self) -> Result<Vec<(NoteKey, u64)>, EngineError> {
        let Some(policy) = &self.shared.publication.policy else { return Ok(Vec::new()) };
        let rows = self.shared.store.cosignatures().await?;
        let newest = |key: &NoteKey| {
            let name = key.to_string();
            rows.iter().find(|row| row.witness == name).map_or(0, |row| row.tree_size)
        };
        Ok(policy.witnesses().iter().map(|witness| (witness.key.clone(), newest(&witness.key))).collect())
    }

    /// The proof that one tree continues an older one: `None` unless 0 < `old_size` < `size` and both may be spoken of. A
    /// proof between trees that end no batch cannot be checked here against a signed root.
    pub(crate) async fn consistency(&self, old_size: u64, size: u64) -> Result<Option<Vec<Hash>>, EngineError> {
        if old_size == 0 || old_size >= size || size > self.head().size {
            return Ok(None);
        }
        let path = self.shared.tiles.consistency(old_size, size).await?;
        let roots = (self.shared.store.batch(old_size).await?, self.shared.store.batch(size).await?);
        // Rows and tiles may be damaged; a proof that does not hold is never given out.
        if let (Some(old), Some(new)) = roots
            && verify_consistency(old_size, &old.root, size, &new.root, &path).is_err()
        {
            return Err(EngineError::Unproven(format!("the stored hashes do not lead from size {old_size} to {size}")));
        }
        Ok(Some(path))
    }

    /// The same as a receipt (RFC 9942 §5.3). Only for trees that end batches: of these alone the newer one is signed, and the
    /// older one's root is known to anybody.
    pub(crate) async fn consistency_receipt(&self, old_size: u64, size: u64) -> Result<Option<Vec<u8>>, EngineError> {
        let (old, new) = (self.shared.store.batch(old_size).await?, self.shared.store.batch(size).await?);
        let (Some(_), Some(new)) = (old, new) else { return Ok(None) };
        let path = self.consistency(old_size, size).await?;
        let seal = BatchSeal { protected: new.protected, signature: new.signature };
        Ok(path.map(|path| seal.consistency_receipt(old_size, size, &path)))
    }

    /// The path of an entry to the root of a checkpoint.
    pub(crate) async fn path_to(&self, row: &EntryRow, checkpoint: &Checkpoint) -> Result<Vec<Hash>, EngineError> {
        let (index, size) = (row.index, checkpoint.size());
        let path = self.shared.tiles.path(index, size).await?;
        if root_from_path(index, size, &row.leaf, &path).as_ref() == Ok(checkpoint.root()) {
            return Ok(path);
        }
        Err(EngineError::Unproven(format!("the stored hashes do not lead from entry {index} to size {size}")))
    }

    /// The first hashes of a tile, as many as are asked for; `None` if it does not have so many.
    pub(crate) async fn tile(&self, tile: TileId, width: u16) -> Result<Option<Vec<u8>>, EngineError> {
        let there = tile.width(self.head().size);
        if width > there {
            return Ok(None);
        }
        // Whatever width is asked for, one is kept in memory.
        let tile = self.shared.tiles.tile(tile, there).await?;
        Ok(Some(tile.hashes()[..usize::from(width)].concat()))
    }

    /// The entries `first..end` as they stand in a bundle. They must be there.
    pub(crate) async fn bundle(&self, first: u64, end: u64) -> Result<Vec<u8>, EngineError> {
        let rows = self.shared.store.entries(first, end).await?;
        if rows.len() as u64 != end - first {
            return Err(EngineError::Unproven(format!("the entries {first} to {end} are not all there")));
        }
        let bundle = encode_bundle(rows.iter().map(|row| row.bytes.as_slice()));
        bundle.ok_or_else(|| EngineError::Unproven(format!("an entry from {first} on is too long for a bundle")))
    }

    /// What is wrong with what strangers are shown: the key that the genesis entry names, what witnesses said.
    pub(crate) async fn check_public(&self) -> Result<Vec<String>, EngineError> {
        let mut problems = Vec::new();
        let identity = self.identity();
        let genesis = self.shared.store.entry(GENESIS_INDEX).await?;
        let named = genesis.and_then(|row| genesis_checkpoint_key(&row.bytes));
        if named.as_deref() != Some(identity.checkpoint_key.public().to_string().as_str()) {
            problems.push("the checkpoint key is not the one that the genesis entry names".to_owned());
        }
        for row in self.shared.store.cosignatures().await? {
            let batch = self.shared.store.batch(row.tree_size).await?;
            let checkpoint = batch.map(|batch| Checkpoint::new(&identity.log, row.tree_size, batch.root));
            let witness: Option<NoteKey> = row.witness.parse().ok();
            let lines = parse_signatures(&row.line).ok();
            let holds = witness.zip(checkpoint).zip(lines);
            if holds.is_none_or(|((witness, checkpoint), lines)| own_line(&witness, &checkpoint, lines).is_err()) {
                problems.push(format!("{} did not cosign the tree of size {} like this", row.witness, row.tree_size));
            }
        }
        Ok(problems)
    }

    /// Takes no entries any more.
    pub(crate) fn stop(&self, reason: &str) {
        tracing::error!(reason, "the ledger stops taking entries");
        self.shared.write(|state| state.read_only = Some(reason.to_owned()));
    }
}

/// The one line of a witness's answer that is its own and holds for the checkpoint.
fn own_line(
    witness: &NoteKey,
    checkpoint: &Checkpoint,
    lines: Vec<NoteSignature>,
) -> Result<NoteSignature, EngineError> {
    let mut failure = None;
    for line in lines {
        let mut note = Note::unsigned(checkpoint.to_string())
            .map_err(|failure| EngineError::Unproven(format!("our own checkpoint: {failure}")))?;
        note.add(line.clone());
        match note.signed_by(std::slice::from_ref(witness)) {
            Ok(_) => return Ok(line),
            Err(found) => failure = Some(found),
        }
    }
    let why = failure.map_or_else(|| "it holds no line".to_owned(), |failure| failure.to_string());
    Err(EngineError::Cosignature { witness: witness.name().to_string(), why })
}
