//! What the store counts about itself: plain numbers, for whoever asks. Counting costs one relaxed atomic.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Store, StoreError};

/// What a store says of itself. Counts begin when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// Changes that wait for the writer.
    pub changes_waiting: u64,
    /// Changes per transaction.
    pub group_sizes: Spread,
    /// Syncs of files and folders, and commits, each of which syncs once.
    pub syncs: u64,
    /// Manifests and blobs that were found in memory.
    pub cache_hits: u64,
    /// Manifests and blobs that the database was asked for.
    pub cache_misses: u64,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
}

/// Room on the file system that holds the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Store {
    /// The counts of this moment.
    pub fn stats(&self) -> StoreStats {
        let length = |path| std::fs::metadata(path).map_or(0, |file| file.len());
        let (cache_hits, cache_misses) = self.cache.reads();
        StoreStats {
            changes_waiting: self.writer.waiting(),
            group_sizes: GROUP_SIZES.read(),
            syncs: SYNCS.load(Ordering::Relaxed) + GROUP_SIZES.read().count,
            cache_hits,
            cache_misses,
            database_bytes: length(self.folder.database()),
            log_bytes: length(self.folder.log()),
        }
    }

    /// Room on the disk. Blocks on it.
    pub fn disk_space(&self) -> Result<DiskSpace, StoreError> {
        let root = self.folder.root();
        let found =
            rustix::fs::statvfs(root).map_err(|failure| StoreError::file("ask the room of", root)(failure.into()));
        found.map(|found| DiskSpace {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

/// Counts how values spread over fixed ranges.
#[derive(Debug)]
pub struct SpreadCounter<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// How values spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Each bound, and how many values were at most it and above the bound before.
    pub ranges: Vec<(u64, u64)>,
    /// All values, also those above the last bound.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl<const N: usize> SpreadCounter<N> {
    /// Counts by these rising bounds.
    pub const fn new(bounds: [u64; N]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(range).unwrap_or(&self.above).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Spread {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let ranges: Vec<_> = self.bounds.iter().copied().zip(self.counts.iter().map(read)).collect();
        let count = ranges.iter().map(|(_, count)| count).sum::<u64>() + read(&self.above);
        Spread { ranges, count, sum: read(&self.sum) }
    }
}

/// Counts a sync of a file or folder.
pub(crate) fn count_sync() {
    SYNCS.fetch_add(1, Ordering::Relaxed);
}

/// Counts a committed group by its size.
pub(crate) fn count_group(changes: usize) {
    GROUP_SIZES.record(changes as u64);
}

// Of the process, not of one store: a process has one store open, and syncs happen in many small functions.
static SYNCS: AtomicU64 = AtomicU64::new(0);
static GROUP_SIZES: SpreadCounter<9> = SpreadCounter::new([1, 2, 4, 8, 16, 32, 64, 128, 256]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_at_the_first_bound_that_holds_it() {
        let counter = SpreadCounter::new([1, 10]);
        for value in [0, 1, 2, 10, 11, 1000] {
            counter.record(value);
        }
        assert_eq!(counter.read(), Spread { ranges: vec![(1, 2), (10, 2)], count: 6, sum: 1024 });
    }
}
