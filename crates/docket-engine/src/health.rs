//! How an instance is: what it counts, and whether it can do its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use docket_store::{DiskSpace, StoreError, StoreStats};

use crate::error::EngineError;
use crate::gc::CollectorStats;
use crate::instance::Instance;
use crate::observe::ObservedStats;

/// What an instance says of itself, in plain numbers.
#[derive(Debug, Clone)]
pub struct Stats {
    /// What the store counts.
    pub store: StoreStats,
    /// Room on the disk, where the disk tells.
    pub disk: Option<DiskSpace>,
    /// What the garbage collector did.
    pub collector: CollectorStats,
    /// Uploads that are open.
    pub uploads_open: u64,
    /// Registrations that wait for their batch.
    pub registrations_waiting: u64,
    /// What was observed.
    pub observed: ObservedStats,
    /// Entries in the ledger.
    pub ledger_entries: u64,
    /// Entries in the published checkpoint; fewer where witnesses have not cosigned the newest.
    pub published_entries: u64,
    /// For each witness, the entries it cosigned last.
    pub cosigned_entries: Vec<(String, u64)>,
    /// Seconds since its newest head was signed.
    pub head_age_s: u64,
    /// Whether it takes entries.
    pub is_read_only: bool,
}

/// One question about an instance, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was asked: `storage`, `disk`, `guard`, `ledger`, `head` or `witnesses`.
    pub name: &'static str,
    /// What is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What is worth knowing and no problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Instance {
    /// Counts of this moment.
    pub async fn stats(&self) -> Stats {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || (store.stats(), store.disk_space().ok())).await;
        let (store, disk) = read.unwrap_or_else(|_| (self.store.stats(), None));
        let head = self.ledger.head();
        // A read that fails now leaves the numbers out of one scrape.
        let cosigned = self.cosigned_sizes().await.unwrap_or_default();
        Stats {
            store,
            disk,
            collector: self.collector_stats(),
            uploads_open: self.uploads.sessions.open_now(),
            registrations_waiting: self.ledger.waiting(),
            observed: self.ledger.observed(),
            ledger_entries: head.size,
            published_entries: *self.ledger.published().borrow(),
            cosigned_entries: cosigned.into_iter().map(|(key, size)| (key.name().to_string(), size)).collect(),
            head_age_s: u64::try_from(self.clock.now() - head.signed_at).unwrap_or(0),
            is_read_only: self.read_only().is_some(),
        }
    }

    /// Asks the disk, the guard and the ledger whether they do their work; `free_bytes_min` is the room on the disk below
    /// which nobody should push here. Costs a write and a sync, so callers keep the answer for a while.
    pub async fn checks(&self, free_bytes_min: u64) -> Vec<Check> {
        let store = Arc::clone(&self.store);
        let storage = within(move || store.probe()).await;
        let store = Arc::clone(&self.store);
        let disk = within(move || store.disk_space()).await.and_then(|space| {
            let free = space.free_bytes;
            let low = || format!("{free} bytes are free, less than the {free_bytes_min} that are to stay free");
            if free < free_bytes_min { Err(low()) } else { Ok(()) }
        });
        let guard = self.ledger.check_guard().await;
        let ledger = self.read_only().map_or(Ok(()), |reason| Err(format!("it is read-only: {reason}")));
        let checks = [
            ("storage", storage),
            ("disk", disk),
            ("guard", guard),
            ("ledger", ledger),
            ("head", self.head_is_young()),
        ];
        let mut checks: Vec<_> =
            checks.into_iter().map(|(name, answer)| Check { name, problem: answer.err(), note: None }).collect();
        checks.extend(self.witnesses_behind().await);
        checks
    }

    /// How far witnesses are, where there are some. A push waits for none of them, so they make nothing unready.
    async fn witnesses_behind(&self) -> Option<Check> {
        let cosigned = self.cosigned_sizes().await.ok().filter(|cosigned| !cosigned.is_empty())?;
        let held = self.tree_size();
        let behind = cosigned.iter().filter(|(_, size)| *size < held);
        let behind: Vec<_> =
            behind.map(|(key, size)| format!("{} has cosigned {size} of {held}", key.name())).collect();
        let note = (!behind.is_empty()).then(|| behind.join(", "));
        Some(Check { name: "witnesses", problem: None, note })
    }

    /// The head of a quiet ledger is old and right. It is too old when entries wait for it: everything that waits goes into
    /// the next batch, so nothing waits longer than two batches, and only a batch that does not end can hold it up.
    fn head_is_young(&self) -> Result<(), String> {
        match self.ledger.batch_age_s(self.clock.now()) {
            Some(age) if age > BATCH_SECONDS_MAX => {
                Err(format!("a batch has not ended for {age} s, entries wait for it"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Waits for the disk, but not for ever: a disk that hangs is no disk.
pub(crate) async fn within<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    match tokio::time::timeout(DISK_TIME_MAX, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(failure))) => Err(EngineError::Store(failure).to_string()),
        Ok(Err(_)) => Err("the check did not run".to_owned()),
        Err(_) => Err(format!("the disk did not answer within {} s", DISK_TIME_MAX.as_secs())),
    }
}

/// Since when the batch in work is in work.
#[derive(Debug)]
pub(crate) struct BatchClock(AtomicI64);

impl Default for BatchClock {
    fn default() -> Self {
        Self(AtomicI64::new(NO_BATCH))
    }
}

impl BatchClock {
    /// A batch begins.
    pub(crate) fn start(&self, now: i64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// It ended.
    pub(crate) fn stop(&self) {
        self.0.store(NO_BATCH, Ordering::Relaxed);
    }

    /// Seconds since the batch in work began.
    pub(crate) fn age_s(&self, now: i64) -> Option<u64> {
        let began = self.0.load(Ordering::Relaxed);
        (began != NO_BATCH).then(|| u64::try_from(now - began).unwrap_or(0))
    }
}

const NO_BATCH: i64 = i64::MIN;
/// How long a batch may take before the ledger counts as stuck.
const BATCH_SECONDS_MAX: u64 = 10;
/// How long the disk may take to answer a check.
const DISK_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_an_age_only_while_it_is_in_work() {
        let clock = BatchClock::default();
        assert_eq!(clock.age_s(100), None);
        clock.start(100);
        assert_eq!((clock.age_s(100), clock.age_s(111), clock.age_s(99)), (Some(0), Some(11), Some(0)));
        clock.stop();
        assert_eq!(clock.age_s(200), None);
    }
}
