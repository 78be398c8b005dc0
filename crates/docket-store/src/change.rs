//! The changes the writer can be asked for, their answers, and the rows that reads give back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};

use crate::claims::PushClaim;
use crate::collect::Removal;

/// New content for a repository.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// Its digest, already computed over the bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where the bytes are.
    pub body: BlobBody,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobBody {
    /// Here: at most [`INLINE_BYTES_MAX`](crate::keys::INLINE_BYTES_MAX), more only for manifests.
    Inline(Bytes),
    /// In the file of its digest, synced before the row is written.
    File,
    /// The transparent statement made from this ledger entry and its first receipt.
    StatementOf(u64),
    /// The first receipt of this ledger entry.
    ReceiptOf(u64),
}

impl BlobBody {
    /// Bytes that it holds in memory.
    pub(crate) fn inline_bytes(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::File | Self::StatementOf(_) | Self::ReceiptOf(_) => 0,
        }
    }
}

/// A blob as read.
#[derive(Debug, Clone)]
pub struct BlobRow {
    /// Its length in bytes.
    pub size: u64,
    /// Where the bytes are.
    pub body: BlobBody,
}

/// A blob as a repository holds it.
#[derive(Debug, Clone)]
pub struct HeldBlob {
    /// The blob.
    pub row: BlobRow,
    /// When it was last pushed, mounted or seen there, Unix seconds.
    pub linked_at: i64,
}

/// A manifest to keep, already parsed and hashed by the caller.
#[derive(Debug, Clone)]
pub struct NewManifest {
    /// Digest of the bytes.
    pub digest: Digest,
    /// The exact bytes.
    pub bytes: Bytes,
    /// Content type it is served with.
    pub media_type: String,
    /// How it appears among the referrers of its subject.
    pub referrer: Option<NewReferrer>,
    /// What its bytes name and the collector must keep: config, layers, children.
    pub references: Vec<Digest>,
}

/// How a manifest appears among the referrers of its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReferrer {
    /// What it refers to; need not exist.
    pub subject: Digest,
    /// Its artifact type, for the filter.
    pub artifact_type: Option<String>,
    /// Its descriptor as JSON.
    pub descriptor: String,
}

/// A manifest put: the manifest, what must already stand in the repository, and the tags to move.
#[derive(Debug, Clone)]
pub struct ManifestPut {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub manifest: NewManifest,
    /// Blobs that must be visible in the repository.
    pub required: Vec<Digest>,
    /// Manifests or blobs that it names too, and that may be absent.
    pub optional: Vec<Digest>,
    /// Tags that point to it afterwards.
    pub tags: Vec<Tag>,
    /// Tags that are made if they do not stand, but not moved if they do.
    pub fixed: FixedTags,
}

/// Tags that must stay where they are. Asked inside the transaction, so that no tag slips in between question and change.
#[derive(Clone)]
pub struct FixedTags(Arc<dyn Fn(&Tag) -> bool + Send + Sync>);

impl FixedTags {
    /// Those for which `is_fixed` says so. It is called by the writer, so it must be quick.
    pub fn new(is_fixed: impl Fn(&Tag) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_fixed))
    }

    /// Every tag.
    pub fn all() -> Self {
        Self::new(|_| true)
    }

    /// No tag.
    pub fn none() -> Self {
        Self::new(|_| false)
    }

    pub(crate) fn contains(&self, tag: &Tag) -> bool {
        (self.0)(tag)
    }
}

impl fmt::Debug for FixedTags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FixedTags(…)")
    }
}

/// A change of what a repository shows.
#[derive(Debug, Clone)]
pub enum RegistryChange {
    /// Keeps a manifest and moves tags to it.
    PutManifest(Box<ManifestPut>),
    /// Removes a tag.
    DeleteTag {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: Tag,
        /// Tags that must stay.
        fixed: FixedTags,
    },
    /// Removes a manifest and every tag on it.
    DeleteManifest {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
        /// Tags that must stay.
        fixed: FixedTags,
    },
}

impl RegistryChange {
    /// Where it happens.
    pub fn repository(&self) -> &RepositoryName {
        match self {
            Self::PutManifest(put) => &put.repository,
            Self::DeleteTag { repository, .. } | Self::DeleteManifest { repository, .. } => repository,
        }
    }

    /// Bytes it brings into the transaction, roughly.
    pub fn weight(&self) -> usize {
        match self {
            Self::PutManifest(put) => put.manifest.bytes.len(),
            Self::DeleteTag { .. } | Self::DeleteManifest { .. } => 0,
        }
    }
}

/// What stood when a statement about a change was signed. If something else stands when the change is made, the statement
/// would not be true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where each tag stood that the change touches; `None` if it did not stand.
    pub tags: BTreeMap<Tag, Option<Digest>>,
    /// Content type of the manifest that is put or removed, if it stood.
    pub manifest: Option<String>,
}

/// A change that commits only if what was seen still stands.
#[derive(Debug, Clone)]
pub struct SeenChange {
    /// The change.
    pub change: RegistryChange,
    /// What was seen.
    pub seen: Seen,
}

/// Answer to a change of what a repository shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The manifest stands, durably, with its tags on it.
    Stored {
        /// How many of its optional parts the repository lacks.
        absent: usize,
    },
    /// What was to be removed is gone, durably.
    Deleted,
    /// Nothing was changed: the repository lacks these.
    Missing(Vec<Digest>),
    /// Nothing was changed: there is nothing to remove.
    NotFound,
    /// Nothing was changed: this tag would have moved or gone, and must stay where it is.
    TagFixed(Tag),
    /// Nothing was changed: what stands is not what was seen.
    SeenOtherwise,
}

/// A manifest as read.
#[derive(Debug, Clone)]
pub struct ManifestRow {
    /// Its digest.
    pub digest: Digest,
    /// Content type it is served with.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// A referrer as read.
#[derive(Debug, Clone)]
pub struct ReferrerRow {
    /// Its digest.
    pub digest: Digest,
    /// Its descriptor as JSON.
    pub descriptor: String,
}

/// The newest tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// Number of entries.
    pub size: u64,
    /// Root hash.
    pub root: [u8; 32],
    /// The compact range, opaque here.
    pub frontier: Vec<u8>,
}

/// One signed batch: the tree after it, and the one signature all its receipts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Tree size after the batch.
    pub tree_size: u64,
    /// Root of that tree.
    pub root: [u8; 32],
    /// Batch time, Unix seconds.
    pub logged_at: i64,
    /// Protected header of its receipts.
    pub protected: Vec<u8>,
    /// Signature of its receipts.
    pub signature: Vec<u8>,
}

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// SHA-256 of `bytes`.
    pub entry_id: [u8; 32],
    /// What the ledger holds.
    pub bytes: Vec<u8>,
    /// Leaf hash.
    pub leaf: [u8; 32],
    /// Inclusion path in the tree of the batch, hashes one after the other.
    pub path: Vec<u8>,
    /// Entry that admitted the issuer.
    pub issuer_entry: u64,
    /// Entry that holds the registration policy it was decided by.
    pub policy_entry: u64,
    /// When it was decided, Unix seconds.
    pub decided_at: i64,
    /// The chain that came with it unprotected, if its issuer is known by that: needed to decide again, no part of the leaf.
    pub collateral: Option<Vec<u8>>,
    /// Issuer, for queries.
    pub issuer: String,
    /// Claim type, for queries.
    pub claim_type: String,
    /// What it speaks of, for queries.
    pub subject: EntrySubject,
}

/// What an entry speaks of, as it is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntrySubject {
    /// An artifact.
    Artifact(Digest),
    /// Anything else, by the SHA-256 of what it is called.
    Named([u8; 32]),
}

impl EntrySubject {
    /// Its row in the table of digests. No algorithm has the byte 0, so what has only a name is never taken for an artifact.
    pub(crate) fn to_key(self) -> Vec<u8> {
        match self {
            Self::Artifact(digest) => digest.to_key(),
            Self::Named(hash) => [&[NAMED], hash.as_slice()].concat(),
        }
    }

    pub(crate) fn from_key(key: &[u8]) -> Option<Self> {
        match key.split_first() {
            Some((&NAMED, hash)) => hash.try_into().ok().map(Self::Named),
            _ => Digest::from_key(key).map(Self::Artifact),
        }
    }
}

const NAMED: u8 = 0;

/// Manifests and composed blobs that make an entry visible in a repository.
#[derive(Debug, Clone)]
pub struct NewPlacement {
    /// The entry.
    pub index: u64,
    /// Where.
    pub repository: RepositoryName,
    /// The statement manifest.
    pub statement: NewManifest,
    /// Digest of the evidence manifest that the statement manifest refers to.
    pub evidence: Option<Digest>,
    /// The evidence manifest, where it does not stand yet.
    pub evidence_manifest: Option<NewManifest>,
    /// Blobs to make visible: the composed layers, the empty config.
    pub blobs: Vec<NewBlob>,
    /// When that is, Unix seconds.
    pub linked_at: i64,
    /// Blobs that must be visible in the repository (the document).
    pub required_blobs: Vec<Digest>,
    /// Manifests that must stand in the repository (the artifact).
    pub required_manifests: Vec<Digest>,
}

/// What a witness said of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignatureRow {
    /// Its verifier key.
    pub witness: String,
    /// Size of the tree it cosigned.
    pub tree_size: u64,
    /// Its line in the note.
    pub line: String,
}

/// One batch for the ledger; all of it commits, or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// The tree it extends: compared with the head in the transaction.
    pub expected: Option<(u64, [u8; 32])>,
    /// The tree afterwards.
    pub head: HeadRow,
    /// Its signature.
    pub batch: BatchRow,
    /// Its entries, at indexes from the old size on.
    pub entries: Vec<NewEntry>,
    /// Where they become visible.
    pub placements: Vec<NewPlacement>,
    /// What they observe, made in the same transaction.
    pub changes: Vec<SeenChange>,
    /// By which histories are found.
    pub observations: Vec<ObservationRow>,
    /// How much was observed where.
    pub observed: Vec<ObservedRow>,
}

/// One tag that an entry observes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationRow {
    /// The entry.
    pub index: u64,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag; `None` if the entry speaks of the observation of the whole repository.
    pub tag: Option<Tag>,
}

/// How much was observed in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRow {
    /// The repository.
    pub repository: RepositoryName,
    /// The day of the newest observation, in days since 1970.
    pub day: i64,
    /// Observations of that day.
    pub count: u64,
    /// Whether its newest entry says that observation is suspended.
    pub is_suspended: bool,
}

/// Answer to an append or a placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Committed and synced, with the answers of its changes.
    Committed(Vec<ChangeOutcome>),
    /// Nothing was changed: the head is not the expected one.
    HeadMoved,
    /// Nothing was changed: by position, these placements lack something in their repository, and these changes cannot be made.
    Refused {
        /// Of the placements.
        placements: Vec<usize>,
        /// Of the changes, with their answers.
        changes: Vec<(usize, ChangeOutcome)>,
    },
}

/// A ledger entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Position in the ledger.
    pub index: u64,
    /// SHA-256 of `bytes`.
    pub entry_id: [u8; 32],
    /// What the ledger holds.
    pub bytes: Vec<u8>,
    /// Leaf hash.
    pub leaf: [u8; 32],
    /// Tree size of its batch.
    pub tree_size: u64,
    /// Inclusion path in that tree.
    pub path: Vec<u8>,
    /// Entry that admitted its issuer.
    pub issuer_entry: u64,
    /// Entry that holds the registration policy it was decided by.
    pub policy_entry: u64,
    /// When it was decided, Unix seconds.
    pub decided_at: i64,
    /// The chain that came with it unprotected, if its issuer is known by that.
    pub collateral: Option<Vec<u8>>,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRow {
    /// The entry.
    pub index: u64,
    /// The repository.
    pub repository: RepositoryName,
    /// The statement manifest.
    pub statement: Digest,
    /// The evidence manifest.
    pub evidence: Option<Digest>,
}

/// One change, as the writer's queue holds it. `_claim` keeps a blob's file from being removed until the row is committed
/// or refused, also when whoever pushed it has gone away.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    PutBlob {
        repository: RepositoryName,
        blob: NewBlob,
        linked_at: i64,
        _claim: Option<Arc<PushClaim>>,
    },
    MountBlob {
        from: RepositoryName,
        to: RepositoryName,
        digest: Digest,
        linked_at: i64,
    },
    DeleteBlob {
        repository: RepositoryName,
        digest: Digest,
    },
    /// If what was seen is given, only where it still stands.
    Registry(RegistryChange, Option<Seen>),
    Append(Box<Append>),
    Place(Box<NewPlacement>),
    Cosign {
        row: CosignatureRow,
        keep_size: u64,
    },
    Remove(Removal),
}

impl Change {
    /// Bytes it brings into the transaction, roughly; what bounds a group.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::PutBlob { blob, .. } => blob.body.inline_bytes(),
            Self::Registry(change, _) => change.weight(),
            Self::Append(append) => {
                let entries = append.entries.iter().map(|entry| entry.bytes.len());
                entries.chain(append.changes.iter().map(|change| change.change.weight())).sum()
            }
            Self::MountBlob { .. }
            | Self::DeleteBlob { .. }
            | Self::Place(_)
            | Self::Cosign { .. }
            | Self::Remove(_) => 0,
        }
    }
}

/// What the writer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    NotFound,
    Changed(ChangeOutcome),
    Appended(AppendOutcome),
    /// `unlinked` are the blobs that repositories no longer show.
    Removed {
        rows: u64,
        bytes: u64,
        unlinked: Vec<(String, Digest)>,
    },
}
