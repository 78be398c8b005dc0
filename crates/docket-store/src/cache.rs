//! Manifests and tags in memory, exact: a commit forgets what it changed before anyone is answered.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use docket_oci::digest::Digest;
use moka::sync::Cache;

use crate::change::{Change, ManifestRow};
use crate::collect::Removal;

/// Manifest rows by repository and tag or digest.
#[derive(Debug)]
pub(crate) struct ManifestCache {
    rows: Cache<String, ManifestRow>,
    /// Counts commits. Held by whoever forgets or fills, so that a row read before a commit is never put in after it.
    commits: Mutex<u64>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Proof of when a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadStarted(u64);

impl ManifestCache {
    pub(crate) fn new() -> Self {
        let rows = Cache::builder()
            .max_capacity(CACHE_BYTES_MAX)
            .weigher(|key: &String, row: &ManifestRow| {
                u32::try_from(key.len() + row.bytes.len() + ROW_BYTES).unwrap_or(u32::MAX)
            })
            .build();
        Self { rows, commits: Mutex::new(0), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(crate) fn find(&self, repository: &str, reference: &str) -> Option<ManifestRow> {
        let found = self.rows.get(&key(repository, reference));
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
    pub(crate) fn keep(&self, started: ReadStarted, repository: &str, reference: &str, row: &ManifestRow) {
        let commits = self.lock();
        if *commits == started.0 {
            self.rows.insert(key(repository, reference), row.clone());
        }
    }

    /// Forgets what these committed changes touched.
    pub(crate) fn forget(&self, changes: &[Change]) {
        let mut commits = self.lock();
        *commits += 1;
        let forget_digest =
            |repository: &str, digest: &Digest| self.rows.invalidate(&key(repository, &digest.to_string()));
        for change in changes {
            match change {
                Change::PutManifest(put) => {
                    let repository = put.repository.as_str();
                    forget_digest(repository, &put.manifest.digest);
                    put.tags.iter().for_each(|tag| self.rows.invalidate(&key(repository, tag.as_str())));
                }
                Change::DeleteTag { repository, tag, .. } => {
                    self.rows.invalidate(&key(repository.as_str(), tag.as_str()));
                }
                Change::DeleteManifest { repository, digest, .. } => {
                    // Its tags are not known here; deletions are rare enough to drop every tag of the repository.
                    forget_digest(repository.as_str(), digest);
                    let prefix = key(repository.as_str(), "");
                    let gone: Vec<_> = self.rows.iter().filter(|(known, _)| known.starts_with(&prefix)).collect();
                    for (known, _) in gone {
                        self.rows.invalidate(known.as_str());
                    }
                }
                Change::PutBlob { .. }
                | Change::MountBlob { .. }
                | Change::DeleteBlob { .. }
                | Change::Append(_)
                | Change::Place(_)
                | Change::Remove(
                    Removal::References { .. }
                    | Removal::Links { .. }
                    | Removal::Rows { .. }
                    | Removal::FileRow(_)
                    | Removal::FreePages,
                ) => {}
                // Whose manifest it may have been is not known here, and damage is rare.
                Change::Remove(Removal::Damaged(_)) => self.rows.invalidate_all(),
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

const CACHE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What a row costs beside its bytes, roughly.
const ROW_BYTES: usize = 256;
