//! Manifests, tags and blobs in memory, exact: a commit forgets what it changed before anyone is answered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use docket_oci::digest::Digest;
use moka::sync::Cache;

use crate::change::{Change, HeldBlob, ManifestRow, Outcome, RegistryChange};
use crate::collect::Removal;
use crate::keys::INLINE_BYTES_MAX;

/// Manifest rows by repository and tag or digest, blob rows by repository and digest.
#[derive(Debug)]
pub(crate) struct RowCache {
    manifests: Cache<String, ManifestRow>,
    blobs: Cache<String, HeldBlob>,
    /// Counts commits. Held by whoever forgets or fills, so that a row read before a commit is never put in after it.
    commits: Mutex<u64>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Proof of when a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadStarted(u64);

impl RowCache {
    pub(crate) fn new() -> Self {
        fn weight(key: &str, bytes: usize) -> u32 {
            u32::try_from(key.len() + bytes + ROW_BYTES).unwrap_or(u32::MAX)
        }
        let manifests = Cache::builder().max_capacity(MANIFEST_BYTES_MAX);
        let blobs = Cache::builder().max_capacity(BLOB_BYTES_MAX);
        Self {
            manifests: manifests.weigher(|key: &String, row: &ManifestRow| weight(key, row.bytes.len())).build(),
            blobs: blobs.weigher(|key: &String, blob: &HeldBlob| weight(key, blob.row.body.inline_bytes())).build(),
            commits: Mutex::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Option<ManifestRow> {
        self.counted(self.manifests.get(&key(repository, reference)))
    }

    pub(crate) fn blob(&self, repository: &str, digest: &Digest) -> Option<HeldBlob> {
        self.counted(self.blobs.get(&key(repository, &digest.to_string())))
    }

    fn counted<T>(&self, found: Option<T>) -> Option<T> {
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Finds that found something, and that did not.
    pub(crate) fn reads(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    pub(crate) fn start_read(&self) -> ReadStarted {
        ReadStarted(*self.lock())
    }

    /// Keeps what was read, unless something was committed since.
    pub(crate) fn keep_manifest(&self, started: ReadStarted, repository: &str, reference: &str, row: &ManifestRow) {
        let commits = self.lock();
        if *commits == started.0 {
            self.manifests.insert(key(repository, reference), row.clone());
        }
    }

    /// The same for a blob.
    pub(crate) fn keep_blob(&self, started: ReadStarted, repository: &str, digest: &Digest, blob: &HeldBlob) {
        let commits = self.lock();
        if *commits == started.0 {
            self.blobs.insert(key(repository, &digest.to_string()), blob.clone());
        }
    }

    /// Forgets what these committed changes, with these outcomes, touched.
    pub(crate) fn forget(&self, changes: &[Change], outcomes: &[Outcome]) {
        let mut commits = self.lock();
        *commits += 1;
        for change in changes {
            match change {
                Change::Registry(change, _) => self.forget_shown(change),
                Change::Append(append) => append.changes.iter().for_each(|seen| self.forget_shown(&seen.change)),
                Change::PutBlob { repository, blob, .. } => {
                    self.blobs.invalidate(&key(repository.as_str(), &blob.digest.to_string()));
                }
                Change::MountBlob { to: repository, digest, .. } | Change::DeleteBlob { repository, digest } => {
                    self.blobs.invalidate(&key(repository.as_str(), &digest.to_string()));
                }
                // Whose manifest it may have been is not known here, and damage is rare.
                Change::Remove(Removal::Damaged(_)) => {
                    self.manifests.invalidate_all();
                    self.blobs.invalidate_all();
                }
                // It only adds what was not there to be kept; so do the entries and placements of an append. A collection says in
                // its outcome which links it removed; content goes only once no link shows it, and without a link nothing is
                // kept.
                Change::Place(_)
                | Change::Cosign { .. }
                | Change::Remove(
                    Removal::References { .. }
                    | Removal::Links { .. }
                    | Removal::Rows { .. }
                    | Removal::FileRow(_)
                    | Removal::FreePages,
                ) => {}
            }
        }
        for outcome in outcomes {
            if let Outcome::Removed { unlinked, .. } = outcome {
                for (repository, digest) in unlinked {
                    self.blobs.invalidate(&key(repository, &digest.to_string()));
                }
            }
        }
    }

    fn forget_shown(&self, change: &RegistryChange) {
        let forget_manifest =
            |repository: &str, digest: &Digest| self.manifests.invalidate(&key(repository, &digest.to_string()));
        match change {
            RegistryChange::PutManifest(put) => {
                let repository = put.repository.as_str();
                forget_manifest(repository, &put.manifest.digest);
                put.tags.iter().for_each(|tag| self.manifests.invalidate(&key(repository, tag.as_str())));
                // If it was pushed as a blob before, its bytes move from their file into the row, wherever it is held.
                if put.manifest.bytes.len() > INLINE_BYTES_MAX {
                    self.blobs.invalidate_all();
                }
            }
            RegistryChange::DeleteTag { repository, tag, .. } => {
                self.manifests.invalidate(&key(repository.as_str(), tag.as_str()));
            }
            RegistryChange::DeleteManifest { repository, digest, .. } => {
                // Its tags are not known here; deletions are rare enough to drop every tag of the repository.
                forget_manifest(repository.as_str(), digest);
                let prefix = key(repository.as_str(), "");
                let gone: Vec<_> = self.manifests.iter().filter(|(known, _)| known.starts_with(&prefix)).collect();
                for (known, _) in gone {
                    self.manifests.invalidate(known.as_str());
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.commits.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A line break occurs in no name, so no two pairs share a key.
fn key(repository: &str, reference: &str) -> String {
    [repository, reference].join("\n")
}

const MANIFEST_BYTES_MAX: u64 = 32 * 1024 * 1024;
const BLOB_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What a row costs beside its bytes, roughly.
const ROW_BYTES: usize = 256;
