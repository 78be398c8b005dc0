//! Registrations that take longer than their caller is kept waiting: under way, or failed since.
//!
//! All of this is in memory. Whoever was sent away with a pending entry was promised nothing but where its receipt will
//! be; after a crash the entry is in the ledger or it is not, and to register it again is safe.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use docket_oci::name::RepositoryName;
use docket_proof::statement::{EntryId, SignedStatement};
use tokio_util::task::TaskTracker;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::register::Registered;

/// What became of a registration while its caller waited.
#[derive(Debug)]
pub enum Registration {
    /// It is in the ledger.
    Done(Registered),
    /// It goes on; [`Instance::receipt`] tells how far it is.
    Pending(EntryId),
}

/// An entry, and the repository that it is to be placed in.
type Key = (EntryId, Option<RepositoryName>);

/// The registrations that nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    table: Mutex<Table>,
    /// Joined by [`Instance::settle`].
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Table {
    running: HashSet<Key>,
    /// Oldest first.
    failed: VecDeque<(Key, Arc<EngineError>)>,
}

/// How far a registration is that is not in the ledger.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    Running,
    Failed(Arc<EngineError>),
}

impl Instance {
    /// Registers a statement as [`Instance::register`] does, and waits no longer than `wait` for it. What takes longer goes
    /// on by itself, also when the caller goes away.
    pub async fn register_within(
        self: &Arc<Self>,
        permit: &Permit,
        statement: Bytes,
        wait: Duration,
    ) -> Result<Registration, EngineError> {
        let mut registering = Box::pin({
            let (instance, permit, statement) = (Arc::clone(self), permit.clone(), statement.clone());
            async move { instance.register(&permit, &statement).await }
        });
        if let Ok(registered) = tokio::time::timeout(wait, registering.as_mut()).await {
            return registered.map(Registration::Done);
        }
        let entry_id = SignedStatement::decode(&statement)?.entry_id();
        let key = (entry_id, permit.scope(Right::Claim)?.cloned());
        let mut table = self.pending.table();
        if table.running.contains(&key) {
            // Somebody sent the same before and the two are one entry; this one's place in the queue is given up.
            return Ok(Registration::Pending(entry_id));
        }
        if table.running.len() >= RUNNING_MAX {
            return Err(EngineError::PoolFull);
        }
        table.failed.retain(|(failed, _)| *failed != key);
        table.running.insert(key.clone());
        drop(table);
        let instance = Arc::clone(self);
        self.pending.tasks.spawn(async move {
            let ended = registering.await;
            instance.pending.end(key, ended.err());
        });
        Ok(Registration::Pending(entry_id))
    }

    /// Waits for all registrations that nobody waits for. To be called when no more of them can come.
    pub async fn settle(&self) {
        self.pending.tasks.close();
        self.pending.tasks.wait().await;
    }
}

impl Pending {
    /// How far an entry is on its way to one of the places that `shows` lets through.
    pub(crate) fn progress(
        &self,
        entry_id: &EntryId,
        shows: impl Fn(Option<&RepositoryName>) -> bool,
    ) -> Option<Progress> {
        let table = self.table();
        let is_meant = |(entry, place): &Key| entry == entry_id && shows(place.as_ref());
        if table.running.iter().any(is_meant) {
            return Some(Progress::Running);
        }
        let failed = table.failed.iter().rev().find(|(key, _)| is_meant(key));
        failed.map(|(_, failure)| Progress::Failed(Arc::clone(failure)))
    }

    fn end(&self, key: Key, failure: Option<EngineError>) {
        let mut table = self.table();
        table.running.remove(&key);
        let Some(failure) = failure else { return };
        tracing::warn!(entry = %key.0, %failure, "a registration failed after its caller was told to wait");
        table.failed.push_back((key, Arc::new(failure)));
        if table.failed.len() > FAILED_MAX {
            table.failed.pop_front();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registrations under way that nobody waits for: as many as may wait for a batch.
const RUNNING_MAX: usize = 4096;
/// Failures that are remembered for whoever asks.
const FAILED_MAX: usize = 1024;
