//! The ledger: an append-only Merkle tree over entries, one batch at a time.
//!
//! `pool` gathers what waits, `sequence` tells how a batch is logged, `batch` makes its bytes (and does no I/O), `load`
//! opens the ledger and settles what a crash left, `receipts` proves entries, `tiles` keeps the tree's inner hashes,
//! `public` is the log as strangers see it, `witness` says what the service observes.

mod batch;
mod load;
mod pool;
mod public;
mod receipts;
mod sequence;
mod tiles;
mod witness;

pub(crate) use batch::{Candidate, History, Place, indexed, own_manifest};
pub(crate) use pool::Logged;
pub(crate) use witness::{TAGS_OF_MANIFEST_MAX, rows as observation_rows};

use std::sync::{Arc, PoisonError, RwLock};

use docket_judge::policy::Policy;
use docket_proof::key::Issuer;
use docket_proof::merkle::{Frontier, Hash};
use docket_proof::note::NoteSigner;
use docket_proof::receipt::BatchSeal;
use docket_proof::statement::EntryId;
use docket_store::{ChangeOutcome, GuardPoint, HeadGuard, RegistryChange, Store};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::crash::CrashPoint;
use crate::error::EngineError;
use crate::health::{BatchClock, within};
use crate::instance::Options;
use crate::keys::ServiceKeys;
use crate::observe::{ObservedCounts, ObservedStats, Watch};

/// Who the service is.
#[derive(Debug)]
pub(crate) struct Identity {
    /// `iss` of receipts and of the service's own statements.
    pub service: Issuer,
    /// `sub` of receipts.
    pub log: String,
    /// Signs checkpoints, under the name of the log. Unlike the others it never changes.
    pub checkpoint_key: NoteSigner,
}

/// A tree that may be spoken of: committed, guarded, signed.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Number of entries.
    pub size: u64,
    /// Root hash.
    pub root: Hash,
    /// Its signature.
    pub seal: BatchSeal,
    /// When it was signed, Unix seconds.
    pub signed_at: i64,
}

/// Whom the ledger admits and by which policy, and since which entry.
#[derive(Debug, Clone)]
pub(crate) struct PolicyInForce {
    /// What decides.
    pub policy: Arc<Policy>,
    /// The newest entry that changed it; a decision made under another one is made again.
    pub entry: u64,
}

/// The open ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    pool: pool::Pool,
}

/// What the sequencer, the exporter and readers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Arc<Store>,
    identity: Identity,
    guard: HeadGuard,
    clock: Clock,
    crash_at: Option<CrashPoint>,
    /// Written by the sequencer alone.
    batch: BatchClock,
    tiles: tiles::Tiles,
    observed: ObservedCounts,
    /// Written by the sequencer alone, after the guard has moved.
    state: RwLock<State>,
    /// Size of the newest guarded tree, for those who wait for it.
    guarded: watch::Sender<u64>,
    publication: public::Publication,
}

#[derive(Debug)]
struct State {
    head: Head,
    policy: PolicyInForce,
    keys: Arc<ServiceKeys>,
    /// Set once, never cleared: a ledger that stopped needs an operator.
    read_only: Option<String>,
}

impl Ledger {
    /// Logs the genesis entry of a new ledger and gives the point for its first guard.
    pub(crate) async fn genesis(
        store: &Store,
        identity: &Identity,
        keys: &ServiceKeys,
        now: i64,
    ) -> Result<GuardPoint, EngineError> {
        let candidate = crate::own::genesis(identity, keys, now).await?;
        let batch = batch::Batch::seal(identity, &keys.receipt, &Frontier::new(), None, &[candidate], now).await?;
        store.append(batch.append).await?;
        Ok(GuardPoint { size: batch.head.size, root: batch.head.root })
    }

    /// Opens the ledger; see `load` for what is checked.
    pub(crate) async fn open(
        store: Arc<Store>,
        identity: Identity,
        keys: ServiceKeys,
        options: &Options,
    ) -> Result<Self, EngineError> {
        let (shared, frontier) = load::open(store, identity, keys, options).await?;
        let shared = Arc::new(shared);
        let pool = pool::Pool::start(Arc::clone(&shared), frontier);
        Ok(Self { shared, pool })
    }

    /// Logs what is queued, then stops.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }

    /// Logs a candidate, or finds it logged, and answers once its receipt may be released.
    pub(crate) async fn log(&self, candidate: Candidate, policy_entry: u64) -> Result<Logged, EngineError> {
        if let Some(reason) = self.read_only() {
            return Err(EngineError::ReadOnly(reason));
        }
        self.pool.submit(candidate, policy_entry).await
    }

    /// Makes a change of the registry that is observed, and answers once entry and change may be spoken of. While the ledger
    /// takes no entries nothing can be observed, so nothing is changed.
    pub(crate) async fn witness(&self, change: RegistryChange, watch: Watch) -> Result<ChangeOutcome, EngineError> {
        if let Some(reason) = self.read_only() {
            return Err(EngineError::Unwitnessed(reason));
        }
        self.pool.witness(change, watch).await
    }

    /// What was observed since the start.
    pub(crate) fn observed(&self) -> ObservedStats {
        self.shared.observed.read()
    }

    /// Answers for an entry that is in the ledger already, and places it once more; `None` if it is not there.
    pub(crate) async fn log_again(
        &self,
        entry_id: &EntryId,
        place: Option<&Place>,
    ) -> Result<Option<Logged>, EngineError> {
        if let Some(reason) = self.read_only() {
            return Err(EngineError::ReadOnly(reason));
        }
        let size = self.head().size;
        let row = self.shared.store.entry_by_id(entry_id.as_bytes()).await?.filter(|row| row.index < size);
        match row {
            Some(row) => Ok(Some(self.shared.answer_known(&row, place).await?)),
            None => Ok(None),
        }
    }

    /// Registrations and changes that wait for their batch.
    pub(crate) fn waiting(&self) -> u64 {
        self.pool.waiting()
    }

    /// Seconds since the batch in work began.
    pub(crate) fn batch_age_s(&self, now: i64) -> Option<u64> {
        self.shared.batch.age_s(now)
    }

    /// Compares the guard's file with what was written to it.
    pub(crate) async fn check_guard(&self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        within(move || shared.guard.check()).await
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    pub(crate) fn keys(&self) -> Arc<ServiceKeys> {
        self.shared.keys()
    }

    pub(crate) fn head(&self) -> Head {
        self.shared.read(|state| state.head.clone())
    }

    pub(crate) fn policy(&self) -> PolicyInForce {
        self.shared.read(|state| state.policy.clone())
    }

    pub(crate) fn read_only(&self) -> Option<String> {
        self.shared.read(|state| state.read_only.clone())
    }
}

impl Shared {
    fn keys(&self) -> Arc<ServiceKeys> {
        self.read(|state| Arc::clone(&state.keys))
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}
