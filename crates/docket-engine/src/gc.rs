//! Garbage collection while the service runs: takes what nothing needs, never what a push may still count on.
//!
//! What is garbage, once it is older than the grace period: a blob that a repository shows but none of its manifests names;
//! content that no repository shows and that is no manifest; bytes that no row names, left by a crash. Manifests are never
//! garbage, with or without a tag, nor is anything made from the ledger.
//!
//! A collection goes through the keys in order, in small ranges, each of which the writer checks and removes in one
//! transaction between other changes. It can end after any of them, by a crash too: the next one starts over, and what is
//! gone is not there to be looked at again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use docket_store::StoreError;
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Seconds for which nothing is garbage after it was pushed, mounted, seen or, for bytes without a row, written.
    pub grace_s: u64,
    /// Only look.
    pub dry_run: bool,
}

/// What was collected, or would have been.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Blobs that their repository does not show any more.
    pub links: u64,
    /// Contents that were removed, whoever showed them.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes without a row that were removed: how many pieces.
    pub strays: u64,
    /// Their length.
    pub stray_bytes: u64,
    /// Bytes by which the database got smaller, as far as it is known yet.
    pub database_bytes: u64,
    /// Pieces whose bytes could not be removed; the log says why, and the next collection tries again.
    pub failures: u64,
}

/// How the collector is: counts since the instance was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorStats {
    /// What it is at, if it is at work.
    pub at: Option<Phase>,
    /// Rows and files that the collection at work has looked at, or the last one did.
    pub seen: u64,
    /// Collections that ended, dry runs not counted.
    pub runs: u64,
    /// Contents removed.
    pub blobs: u64,
    /// Their bytes, strays included.
    pub bytes: u64,
    /// Pieces whose bytes could not be removed.
    pub failures: u64,
    /// When the last collection ended, Unix seconds.
    pub ended_at: Option<i64>,
}

/// The parts of a collection, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// What deleted manifests named.
    References,
    /// What repositories show.
    Links,
    /// Content.
    Blobs,
    /// Bytes without a row.
    Strays,
    /// Free pages of the database.
    Database,
}

/// The collector's state, for those who ask; held for a moment at a time.
#[derive(Debug, Default)]
pub(crate) struct Collector(Mutex<CollectorStats>);

/// The one collection that is at work.
struct Run<'a> {
    instance: &'a Instance,
    /// What was last seen then, or before, may go.
    seen_until: i64,
    report: CollectionReport,
}

impl Instance {
    /// Collects garbage, in pages between which everyone else gets their turn. One collection at a time. If the caller goes
    /// away it stops, and what it removed stays removed.
    pub async fn collect(&self, permit: &Permit, asked: Collection) -> Result<CollectionReport, EngineError> {
        permit.scope(Right::Admin)?;
        let _at_work = self.collector.begin()?;
        let grace = i64::try_from(asked.grace_s).unwrap_or(i64::MAX);
        let report = CollectionReport { dry_run: asked.dry_run, ..CollectionReport::default() };
        let mut run = Run { instance: self, seen_until: self.clock.now().saturating_sub(grace), report };
        run.references().await?;
        run.links().await?;
        run.blobs().await?;
        run.strays().await?;
        run.database().await?;
        let report = run.report;
        if !report.dry_run {
            let CollectionReport { links, blobs, bytes, strays, failures, .. } = report;
            tracing::info!(links, blobs, bytes, strays, failures, "garbage collected");
            let mut stats = self.collector.lock();
            (stats.runs, stats.ended_at) = (stats.runs + 1, Some(self.clock.now()));
        }
        Ok(report)
    }

    /// How the collector is.
    pub fn collector_stats(&self) -> CollectorStats {
        self.collector.lock().clone()
    }
}

impl Run<'_> {
    /// First, so that the question which manifests need a blob is not answered by going through many that are gone.
    async fn references(&mut self) -> Result<(), EngineError> {
        self.enter(Phase::References);
        let (store, mut after) = (&self.instance.store, (0, 0, 0));
        let mut started = Instant::now();
        while let Some(look) = store.look_at_references(after).await? {
            if look.rows > 0 && !self.report.dry_run {
                store.remove_references(after, look.until).await?;
            }
            after = look.until;
            started = self.rest(look.seen, started).await;
        }
        Ok(())
    }

    async fn links(&mut self) -> Result<(), EngineError> {
        self.enter(Phase::Links);
        let (store, mut after) = (&self.instance.store, (0, 0));
        let mut started = Instant::now();
        while let Some(look) = store.look_at_links(after, self.seen_until).await? {
            self.report.links += if look.rows == 0 || self.report.dry_run {
                look.rows
            } else {
                store.remove_links(after, look.until, self.seen_until).await?
            };
            after = look.until;
            started = self.rest(look.seen, started).await;
        }
        Ok(())
    }

    async fn blobs(&mut self) -> Result<(), EngineError> {
        self.enter(Phase::Blobs);
        let (store, mut after) = (&self.instance.store, 0);
        let mut started = Instant::now();
        while let Some(look) = store.look_at_blobs(after, self.seen_until).await? {
            if self.report.dry_run {
                self.report.blobs += look.rows + look.files.len() as u64;
                self.report.bytes += look.bytes + look.files.iter().map(|file| file.size).sum::<u64>();
            } else {
                if look.rows > 0 {
                    let (rows, bytes) = store.remove_rows(after, look.until).await?;
                    self.removed(rows, bytes);
                }
                let files = look.files.into_iter();
                let removals = files.map(|file| async move { (file.size, store.remove_file(&file.digest).await) });
                let mut removals = stream::iter(removals).buffer_unordered(FILES_AT_ONCE);
                while let Some((size, removed)) = removals.next().await {
                    if self.succeeded(removed)? {
                        self.removed(1, size);
                    }
                }
            }
            after = look.until;
            started = self.rest(look.seen, started).await;
        }
        Ok(())
    }

    async fn strays(&mut self) -> Result<(), EngineError> {
        self.enter(Phase::Strays);
        let store = &self.instance.store;
        let mut listing = store.blobs().list().await?;
        let mut started = Instant::now();
        loop {
            let page = listing.page(FILES_PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let seen = page.len() as u64;
            for stray in store.unnamed(page).await? {
                if stray.kept_at > self.seen_until {
                    continue;
                }
                if !self.report.dry_run {
                    if !self.succeeded(store.remove_unnamed(&stray).await)? {
                        continue;
                    }
                    self.instance.collector.lock().bytes += stray.size;
                }
                self.report.strays += 1;
                self.report.stray_bytes += stray.size;
            }
            started = self.rest(seen, started).await;
        }
    }

    /// Gives pages that hold nothing any more back to the disk, as many as were free at the start.
    async fn database(&mut self) -> Result<(), EngineError> {
        self.enter(Phase::Database);
        let store = &self.instance.store;
        if self.report.dry_run {
            return Ok(());
        }
        let free = store.free_bytes().await?;
        let (mut left, mut started) = (free, Instant::now());
        while left > 0 {
            store.release_pages().await?;
            let now = store.free_bytes().await?;
            if now >= left {
                break;
            }
            left = now;
            started = self.rest(0, started).await;
        }
        self.report.database_bytes = free - left;
        Ok(())
    }

    fn enter(&self, phase: Phase) {
        self.instance.collector.lock().at = Some(phase);
    }

    fn removed(&mut self, blobs: u64, bytes: u64) {
        self.report.blobs += blobs;
        self.report.bytes += bytes;
        let mut stats = self.instance.collector.lock();
        (stats.blobs, stats.bytes) = (stats.blobs + blobs, stats.bytes + bytes);
    }

    /// Whether bytes were removed. Those that could not be are strays now, at the worst, and nobody misses them.
    fn succeeded(&mut self, removed: Result<bool, StoreError>) -> Result<bool, EngineError> {
        match removed {
            Ok(removed) => Ok(removed),
            Err(failure @ (StoreError::File { .. } | StoreError::Remote { .. } | StoreError::DiskFull(_))) => {
                tracing::warn!(%failure, "the bytes of garbage could not be removed");
                self.report.failures += 1;
                self.instance.collector.lock().failures += 1;
                Ok(false)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Leaves the machine to others for [`REST`] times as long as the last page took.
    async fn rest(&self, seen: u64, started: Instant) -> Instant {
        self.instance.collector.lock().seen += seen;
        tokio::time::sleep(started.elapsed() * REST).await;
        Instant::now()
    }
}

impl Collector {
    fn begin(&self) -> Result<AtWork<'_>, EngineError> {
        let mut stats = self.lock();
        if stats.at.is_some() {
            return Err(EngineError::Collecting);
        }
        (stats.at, stats.seen) = (Some(Phase::References), 0);
        Ok(AtWork(self))
    }

    fn lock(&self) -> MutexGuard<'_, CollectorStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it stands, no other collection begins.
struct AtWork<'a>(&'a Collector);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.lock().at = None;
    }
}

/// How much longer a collection rests than it works: its share of the machine, and so what it costs pulls.
const REST: u32 = 4;
/// Files removed at once, so that they share the sync of their rows.
const FILES_AT_ONCE: usize = 16;
/// Files listed at once.
const FILES_PAGE: usize = 256;
