//! Gathers candidates while a batch is being logged: an idle ledger logs at once, a busy one in larger batches.

use std::sync::Arc;

use docket_proof::merkle::Frontier;
use docket_store::{ChangeOutcome, RegistryChange};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::EngineError;
use crate::ledger::batch::Candidate;
use crate::ledger::sequence::Sequencer;
use crate::ledger::witness::ChangeJob;
use crate::ledger::{Shared, tiles};
use crate::observe::Watch;

/// What waits for the sequencer.
#[derive(Debug)]
pub(super) enum Job {
    Statement(Box<StatementJob>),
    Change(ChangeJob),
}

/// A candidate and whoever waits for it.
#[derive(Debug)]
pub(super) struct StatementJob {
    pub candidate: Candidate,
    /// The policy entry it was decided under.
    pub policy_entry: u64,
    pub reply: oneshot::Sender<Result<Logged, EngineError>>,
}

/// The answer to a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logged {
    /// It is in the ledger, and this is its first receipt.
    Done {
        /// Position in the ledger.
        index: u64,
        /// Tree size of the receipt.
        tree_size: u64,
        /// The receipt.
        receipt: Vec<u8>,
        /// Whether it was already there.
        known: bool,
    },
    /// Nothing was logged: policy or place changed since it was decided; decide again.
    DecideAgain,
}

/// The way to the sequencer.
#[derive(Debug)]
pub(super) struct Pool {
    queue: mpsc::Sender<Job>,
    sequencer: JoinHandle<()>,
    exporter: JoinHandle<()>,
}

impl Pool {
    pub(super) fn start(shared: Arc<Shared>, frontier: Frontier) -> Self {
        let (queue, waiting) = mpsc::channel(POOL_MAX);
        let (grown, sizes) = mpsc::channel(1);
        let exporter = tokio::spawn(tiles::export(Arc::clone(&shared), sizes));
        let sequencer = tokio::spawn(run(Sequencer::new(shared, frontier, grown), waiting));
        Self { queue, sequencer, exporter }
    }

    /// Waits for the candidate's batch. If the caller goes away meanwhile it may still be logged.
    pub(super) async fn submit(&self, candidate: Candidate, policy_entry: u64) -> Result<Logged, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.queue_up(Job::Statement(Box::new(StatementJob { candidate, policy_entry, reply })))?;
        answer.await.unwrap_or(Err(EngineError::Stopped))
    }

    /// Waits until a change is made and observed, or refused. If the caller goes away meanwhile it may still be made.
    pub(super) async fn witness(&self, change: RegistryChange, watch: Watch) -> Result<ChangeOutcome, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.queue_up(Job::Change(ChangeJob { change, watch, reply }))?;
        answer.await.unwrap_or(Err(EngineError::Stopped))
    }

    fn queue_up(&self, job: Job) -> Result<(), EngineError> {
        self.queue.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => EngineError::PoolFull,
            mpsc::error::TrySendError::Closed(_) => EngineError::Stopped,
        })
    }

    /// Candidates that wait.
    pub(super) fn waiting(&self) -> u64 {
        (self.queue.max_capacity() - self.queue.capacity()) as u64
    }

    pub(super) async fn close(self) {
        drop(self.queue);
        for task in [self.sequencer, self.exporter] {
            if let Err(failure) = task.await {
                tracing::error!(%failure, "ledger task failed");
            }
        }
    }
}

async fn run(mut sequencer: Sequencer, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        sequencer.log(std::mem::take(&mut jobs)).await;
    }
}

/// Candidates that may wait.
const POOL_MAX: usize = 4096;
/// Candidates in one batch.
const BATCH_MAX: usize = 256;
