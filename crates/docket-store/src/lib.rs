//! Keeps bytes and rows: blobs, the catalog of repositories, the ledger's rows and its head guard.
//!
//! The store knows no proofs: hashes, signatures and paths are bytes to it. All changes go through one
//! writer task that commits what is waiting in one transaction (`writer`); reads come from memory (`cache`) or from a pool
//! of read-only connections (`catalog`, `inventory`). Content above the size of a row is a file or an object of a bucket
//! (`blobs`, `durable`); what is garbage is said in `collect`, who may remove it meanwhile in `claims`, where damaged
//! content goes in `quarantine`; whole folders are copied in `copy`. What lies where is drawn once, in `keys`.

pub mod keys;

mod blobs;
mod cache;
mod catalog;
mod change;
mod claims;
mod collect;
mod copy;
mod decide;
mod durable;
mod error;
mod guard;
mod inventory;
mod observe;
mod probe;
mod quarantine;
mod rows;
mod sql;
mod stats;
mod store;
mod writer;

pub use blobs::{
    BlobReader, BlobSource, BlobStorage, Blobs, ChunkStart, KeptBlob, LeftSession, Listing, ObjectStream, S3Settings,
    SessionNote, StagedBlob, Staging, StoredObject,
};
pub use catalog::ClaimFilter;
pub use change::{
    Append, AppendOutcome, BatchRow, BlobBody, BlobRow, ChangeOutcome, CosignatureRow, EntryRow, EntrySubject,
    FixedTags, HeadRow, HeldBlob, ManifestPut, ManifestRow, NewBlob, NewEntry, NewManifest, NewPlacement, NewReferrer,
    ObservationRow, ObservedRow, PlacementRow, ReferrerRow, RegistryChange, Seen, SeenChange,
};
pub use claims::RemoveClaim;
pub use collect::{KeptFile, LinkKey, Look, ReferenceKey};
pub use copy::{Copied, restore, set_restored};
pub use durable::{make_private, sync_folder};
pub use error::StoreError;
pub use guard::{GuardPoint, HeadGuard};
pub use inventory::{HeldManifest, StoredBlob};
pub use observe::{ObservedSoFar, ObservedTagNow, TagNow};
pub use stats::{DiskSpace, Spread, SpreadCounter, StoreStats};
pub use store::{FORMAT_VERSION, Store};
