//! How a batch is logged, told once. Each step says what a crash there leaves.

use std::collections::HashSet;
use std::sync::Arc;

use docket_oci::name::Reference;
use docket_proof::merkle::Frontier;
use docket_store::{AppendOutcome, EntryRow, GuardPoint};
use tokio::sync::{mpsc, oneshot};

use crate::crash::CrashPoint;
use crate::effect::Effect;
use crate::error::EngineError;
use crate::ledger::batch::{Batch, Candidate, placement};
use crate::ledger::pool::{Job, Logged};
use crate::ledger::{PolicyInForce, Shared, load};

type Reply = oneshot::Sender<Result<Logged, EngineError>>;

/// Logs batches, one after the other. The only writer of the ledger.
#[derive(Debug)]
pub(super) struct Sequencer {
    shared: Arc<Shared>,
    frontier: Frontier,
    /// Wakes the exporter of full tiles.
    grown: mpsc::Sender<u64>,
}

impl Sequencer {
    pub(super) fn new(shared: Arc<Shared>, frontier: Frontier, grown: mpsc::Sender<u64>) -> Self {
        Self { shared, frontier, grown }
    }

    /// Logs what can be logged and answers everyone.
    pub(super) async fn log(&mut self, jobs: Vec<Job>) {
        self.shared.batch.start(self.shared.clock.now());
        self.answer(jobs).await;
        self.shared.batch.stop();
    }

    async fn answer(&mut self, jobs: Vec<Job>) {
        if let Some(reason) = self.shared.read(|state| state.read_only.clone()) {
            return jobs.into_iter().for_each(|job| send(job.reply, Err(EngineError::ReadOnly(reason.clone()))));
        }

        // 1. Send back what was decided under another policy or stands behind a change of it in this batch, set aside
        //    what is in the ledger already or twice in this batch. A crash leaves nothing: nobody was answered.
        let (policy_entry, now) = (self.shared.read(|state| state.policy.entry), self.shared.clock.now());
        let (current, stale): (Vec<_>, Vec<_>) = jobs.into_iter().partition(in_force(policy_entry, now));
        stale.into_iter().for_each(|job| send(job.reply, Ok(Logged::DecideAgain)));
        let (mut fresh, mut known) = (Vec::new(), Vec::new());
        match self.known(&current).await {
            Ok(mut logged) => {
                for job in current {
                    let new = logged.insert(entry_id(&job.candidate));
                    if new { fresh.push(job) } else { known.push(job) }
                }
            }
            Err(failure) => {
                tracing::error!(%failure, "the ledger could not be read");
                return current.into_iter().for_each(|job| send(job.reply, Err(EngineError::Unreadable)));
            }
        }

        // 2. to 6. for the new ones.
        if !fresh.is_empty() {
            self.append(fresh, now).await;
        }

        // 7. Answer the others with the receipt they have had since they were first logged.
        if let Some(reason) = self.shared.read(|state| state.read_only.clone()) {
            // It stopped just now; what is committed may be unguarded, so nothing of it is spoken of.
            return known.into_iter().for_each(|job| send(job.reply, Err(EngineError::ReadOnly(reason.clone()))));
        }
        for job in known {
            let answer = self.answer_known(&job.candidate).await;
            send(job.reply, answer);
        }
    }

    async fn append(&mut self, jobs: Vec<Job>, now: i64) {
        let (mut candidates, mut replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.candidate, job.reply)).unzip();
        let batch = loop {
            // 2. Assign indexes, extend the frontier, sign once. A crash leaves nothing; the signature is unpublished.
            let old_root = Some(self.frontier.root());
            let batch = Batch::seal(&self.shared.identity, &self.frontier, old_root, &candidates, now);
            CrashPoint::BeforeCommit.reached(self.shared.crash_at);

            // 3. Commit entries, index, placements and head in one transaction, synced. This is the commit
            //    point: a crash before it leaves nothing, after it everything, and clients that were not answered
            //    ask again and get the same receipt.
            match self.shared.store.append(batch.append.clone()).await {
                Ok(AppendOutcome::Committed) => break batch,
                Ok(AppendOutcome::PlacementsRefused(which)) => {
                    // Something was deleted in a repository since the place was checked. Only those go back.
                    send_back(&which, &mut candidates, &mut replies);
                    if candidates.is_empty() {
                        return;
                    }
                }
                Ok(AppendOutcome::HeadMoved) => {
                    let reason = "the database's head changed under this process; see docket fsck";
                    return self.stop(replies, reason);
                }
                Err(failure) => {
                    // The outcome is unknown. Look, and go on only from what is certain.
                    match load::head_point(&self.shared.store).await {
                        Ok(Some(point)) if point == point_of(&batch) => break batch,
                        Ok(Some(point)) if point.size == self.frontier.size() => {
                            let failure = Arc::new(failure);
                            return replies.into_iter().for_each(|reply| {
                                send(reply, Err(EngineError::NotLogged(Arc::clone(&failure))));
                            });
                        }
                        _ => return self.stop(replies, "its head could not be read back after a failed write"),
                    }
                }
            }
        };
        CrashPoint::AfterCommit.reached(self.shared.crash_at);

        // 4. Move the head guard, outside the database, synced. A crash before leaves the database ahead of the guard:
        //    the next start moves the guard. Nothing of this size has been spoken of yet.
        self.advance_guard(point_of(&batch)).await;
        CrashPoint::AfterGuard.reached(self.shared.crash_at);

        // 5. Check our own work as a stranger would.
        if let Err(failure) = batch.reprove(&self.shared.identity, &candidates) {
            return self.stop(replies, &failure.to_string());
        }

        // 6. Release. A crash in here leaves some callers unanswered; they ask again.
        self.frontier = batch.frontier.clone();
        self.publish(&batch, &candidates);
        for (position, reply) in replies.into_iter().enumerate() {
            let index = batch.first + position as u64;
            let (tree_size, receipt) = (batch.head.size, batch.receipt(position));
            send(reply, Ok(Logged::Done { index, tree_size, receipt, known: false }));
        }
        // Full tiles are written later, off this path; a crash there is made good when they are asked for.
        let _ = self.grown.try_send(batch.head.size);
    }

    /// Entry ids among the jobs that stand in the ledger.
    async fn known(&self, jobs: &[Job]) -> Result<HashSet<[u8; 32]>, EngineError> {
        let ids: Vec<_> = jobs.iter().map(|job| entry_id(&job.candidate)).collect();
        Ok(self.shared.store.known_entries(&ids).await?.into_iter().collect())
    }

    /// The same statement again: same entry, same receipt, perhaps one more placement.
    async fn answer_known(&self, candidate: &Candidate) -> Result<Logged, EngineError> {
        let id = entry_id(candidate);
        let row = self.shared.store.entry_by_id(&id).await?;
        // It was set aside for standing twice in a batch that then failed.
        let Some(row) = row else { return Ok(Logged::DecideAgain) };
        let receipt = self.shared.first_receipt(&row).await?;
        if let Some(place) = &candidate.place
            && !self.stands(&row, place.repository.as_str()).await?
        {
            let placement = placement(place, &row.bytes, row.index, &receipt, self.shared.clock.now());
            if self.shared.store.place(placement).await? != AppendOutcome::Committed {
                return Ok(Logged::DecideAgain);
            }
        }
        Ok(Logged::Done { index: row.index, tree_size: row.tree_size, receipt, known: true })
    }

    async fn stands(&self, row: &EntryRow, repository: &str) -> Result<bool, EngineError> {
        let placements = self.shared.store.placements(&[row.index]).await?;
        let Some(placement) = placements.iter().find(|placement| placement.repository.as_str() == repository) else {
            return Ok(false);
        };
        // A statement or evidence manifest that was deleted since comes back when its claim is added again.
        for manifest in [Some(placement.statement), placement.evidence].into_iter().flatten() {
            let reference = Reference::Digest(manifest);
            if self.shared.store.manifest(&placement.repository, &reference).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn advance_guard(&self, point: GuardPoint) {
        let shared = Arc::clone(&self.shared);
        let moved = tokio::task::spawn_blocking(move || shared.guard.advance(point)).await;
        if !matches!(moved, Ok(Ok(()))) {
            // What the guard holds is unknown, so nothing of this size may be spoken of by this process.
            tracing::error!(?moved, "writing the head guard failed; ending so that nothing unguarded is released");
            std::process::abort();
        }
    }

    fn publish(&self, batch: &Batch, candidates: &[Candidate]) {
        self.shared.write(|state| {
            state.head = batch.head.clone();
            let changes = (batch.first..).zip(candidates).filter(|(_, candidate)| candidate.effect != Effect::None);
            for (index, candidate) in changes {
                let mut policy = (*state.policy.policy).clone();
                candidate.effect.apply(&mut policy, index);
                state.policy = PolicyInForce { policy: Arc::new(policy), entry: index };
            }
        });
        self.shared.guarded.send_replace(batch.head.size);
        self.shared.publication.grew(batch.head.size);
    }

    fn stop(&self, replies: Vec<Reply>, reason: &str) {
        tracing::error!(reason, "the ledger stops taking entries");
        self.shared.write(|state| state.read_only = Some(reason.to_owned()));
        replies.into_iter().for_each(|reply| send(reply, Err(EngineError::ReadOnly(reason.to_owned()))));
    }
}

/// Whether a job goes with those before it in its batch: decided just now under what is in force, and behind no change of
/// it.
fn in_force(policy_entry: u64, now: i64) -> impl FnMut(&Job) -> bool {
    let mut changed = false;
    move |job| {
        let age = now.saturating_sub(job.candidate.basis.decided_at);
        let current = job.policy_entry == policy_entry && !changed && (0..=DECISION_AGE_MAX).contains(&age);
        changed |= current && job.candidate.effect != Effect::None;
        current
    }
}

/// Answers the candidates whose placements were refused and takes them out. `which` counts placements, not candidates.
fn send_back(which: &[usize], candidates: &mut Vec<Candidate>, replies: &mut Vec<Reply>) {
    let mut placement = 0;
    let (mut kept, mut kept_replies) = (Vec::new(), Vec::new());
    for (candidate, reply) in candidates.drain(..).zip(replies.drain(..)) {
        let refused = candidate.place.is_some() && which.contains(&placement);
        placement += usize::from(candidate.place.is_some());
        if refused {
            send(reply, Ok(Logged::DecideAgain));
        } else {
            kept.push(candidate);
            kept_replies.push(reply);
        }
    }
    (*candidates, *replies) = (kept, kept_replies);
}

fn point_of(batch: &Batch) -> GuardPoint {
    GuardPoint { size: batch.head.size, root: batch.head.root }
}

fn entry_id(candidate: &Candidate) -> [u8; 32] {
    *candidate.statement.statement().entry_id().as_bytes()
}

/// Seconds after which a decision is made again: policy may look at the time. Nor may it be later than its batch.
const DECISION_AGE_MAX: i64 = 10;

/// A caller that went away does not mind.
fn send(reply: Reply, answer: Result<Logged, EngineError>) {
    let _ = reply.send(answer);
}
