//! How a batch is logged, told once. Each step says what a crash there leaves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use docket_oci::name::Reference;
use docket_proof::merkle::Frontier;
use docket_proof::statement::SignedStatement;
use docket_store::{AppendOutcome, ChangeOutcome, EntryRow, EntrySubject, GuardPoint, RegistryChange};
use tokio::sync::{mpsc, oneshot};

use crate::crash::CrashPoint;
use crate::effect::Effect;
use crate::error::EngineError;
use crate::keys::ServiceKeys;
use crate::ledger::batch::{Batch, Candidate, Place, indexed, placement};
use crate::ledger::pool::{Job, Logged, StatementJob};
use crate::ledger::witness::{ChangeJob, Witnessed, take_independent};
use crate::ledger::{Head, PolicyInForce, Shared, load};
use crate::observe::OBSERVATION_TYPE;
use crate::own::GENESIS_INDEX;

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
        let (mut jobs, mut changes) = sorted(jobs);
        if let Some(reason) = self.read_only() {
            changes.into_iter().for_each(|job| job.answer(Err(EngineError::Unwitnessed(reason.clone()))));
            return jobs.into_iter().for_each(|job| send(job.reply, Err(EngineError::ReadOnly(reason.clone()))));
        }
        // Changes of one tag in a row take a batch each.
        loop {
            // A key entry ends its batch: what is said about changes is said in the next one.
            let replaces_key = jobs.iter().any(|job| job.candidate.new_key.is_some());
            let together = if replaces_key { Vec::new() } else { take_independent(&mut changes) };
            self.answer_independent(std::mem::take(&mut jobs), together).await;
            if changes.is_empty() {
                return;
            }
            if let Some(reason) = self.read_only() {
                return changes.into_iter().for_each(|job| job.answer(Err(EngineError::Unwitnessed(reason.clone()))));
            }
        }
    }

    fn read_only(&self) -> Option<String> {
        self.shared.read(|state| state.read_only.clone())
    }

    async fn answer_independent(&mut self, jobs: Vec<StatementJob>, changes: Vec<ChangeJob>) {
        // 1. Send back what was decided under another policy or stands behind a change of it in this batch, set aside
        //    what is in the ledger already or twice in this batch. A crash leaves nothing: nobody was answered.
        let (policy_entry, now) = (self.shared.read(|state| state.policy.entry), self.shared.clock.now());
        let (current, mut stale): (Vec<_>, Vec<_>) = jobs.into_iter().partition(in_force(policy_entry, now));
        let (mut fresh, mut known) = (Vec::new(), Vec::new());
        match self.look(&current).await {
            Ok(Seen { mut logged, mut subjects }) => {
                for job in current {
                    let candidate = &job.candidate;
                    if logged.contains(&entry_id(candidate)) {
                        known.push(job);
                    } else if candidate.history.is_some_and(|history| subjects.contains(&history.subject)) {
                        // Its subject gained rows that it was decided without, before this batch or in it.
                        stale.push(job);
                    } else {
                        logged.insert(entry_id(candidate));
                        subjects.insert(indexed(candidate.statement.subject()));
                        fresh.push(job);
                    }
                }
            }
            Err(failure) => {
                tracing::error!(%failure, "the ledger could not be read");
                changes.into_iter().for_each(|job| job.answer(Err(EngineError::Unreadable)));
                return current.into_iter().for_each(|job| send(job.reply, Err(EngineError::Unreadable)));
            }
        }

        stale.into_iter().for_each(|job| send(job.reply, Ok(Logged::DecideAgain)));

        // 2. to 7. for the new ones.
        if !fresh.is_empty() || !changes.is_empty() {
            self.append(fresh, changes, now).await;
        }

        // 8. Answer the others with the receipt they have had since they were first logged.
        if let Some(reason) = self.read_only() {
            // It stopped just now; what is committed may be unguarded, so nothing of it is spoken of.
            return known.into_iter().for_each(|job| send(job.reply, Err(EngineError::ReadOnly(reason.clone()))));
        }
        for job in known {
            let answer = self.answer_twin(&job.candidate).await;
            send(job.reply, answer);
        }
    }

    async fn append(&mut self, jobs: Vec<StatementJob>, mut changes: Vec<ChangeJob>, now: i64) {
        let (mut candidates, mut replies): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.candidate, job.reply)).unzip();
        let keys = self.shared.keys();
        let mut attempts = 0;
        let (batch, outcomes, unobserved) = loop {
            // 2. Read what stands before the changes that are observed, and sign what is said about them. A crash leaves
            //    nothing: the statements are about what has not happened.
            let first = self.frontier.size() + candidates.len() as u64;
            let witnessed = match self.witness(&mut changes, first, now, &mut attempts).await {
                Ok(witnessed) => witnessed,
                Err(EngineError::NotSigned(failure)) => {
                    tracing::error!(%failure, "what is said about a change could not be signed");
                    changes.drain(..).for_each(|job| job.answer(Err(failure.clone().into())));
                    Witnessed::default()
                }
                Err(failure) => {
                    tracing::error!(%failure, "what stands before a change could not be read");
                    changes.drain(..).for_each(|job| job.answer(Err(EngineError::Unreadable)));
                    Witnessed::default()
                }
            };
            if candidates.is_empty() && witnessed.statements.is_empty() {
                // There is nothing to log: the tags stand where they are to stand, or the day is used up.
                self.change_unobserved(&mut changes, witnessed).await;
                if changes.is_empty() {
                    return;
                }
                continue;
            }
            candidates.extend(witnessed.statements.into_iter().map(|statement| Candidate::own(statement, now)));

            // 3. Assign indexes, extend the frontier, sign once. A crash leaves nothing; the signature is unpublished.
            //    Without a signature there is no batch, and the next one asks again.
            let (identity, old_root) = (&self.shared.identity, Some(self.frontier.root()));
            let sealed = Batch::seal(identity, &keys.receipt, &self.frontier, old_root, &candidates, now).await;
            let mut batch = match sealed {
                Ok(batch) => batch,
                Err(failure) => {
                    tracing::error!(%failure, "a batch could not be signed; nothing was logged");
                    changes.into_iter().for_each(|job| job.answer(Err(failure.clone().into())));
                    return replies.into_iter().for_each(|reply| send(reply, Err(failure.clone().into())));
                }
            };
            batch.append.changes = witnessed.changes;
            batch.append.observations = witnessed.observations;
            batch.append.observed = witnessed.observed;
            CrashPoint::BeforeCommit.reached(self.shared.crash_at);

            // 4. Commit entries, index, placements, observed changes and head in one transaction, synced. This is
            //    the commit point: a crash before it leaves nothing, after it everything, and clients that were not
            //    answered ask again and get the same receipt, or find their change made.
            match self.shared.store.append(batch.append.clone()).await {
                Ok(AppendOutcome::Committed(outcomes)) => break (batch, outcomes, witnessed.unobserved),
                Ok(AppendOutcome::Refused { placements, changes: refused }) => {
                    // Something was deleted in a repository since the place was checked, or a change cannot be made.
                    // Only those go back.
                    candidates.truncate(replies.len());
                    send_back(&placements, &mut candidates, &mut replies);
                    answer_some(refused, &mut changes);
                    if candidates.is_empty() && changes.is_empty() {
                        return;
                    }
                }
                Ok(AppendOutcome::HeadMoved) => {
                    let reason = "the database's head changed under this process; see docket fsck";
                    return self.stop(replies, changes, reason);
                }
                Err(failure) => {
                    // The outcome is unknown. Look, and go on only from what is certain.
                    match load::head_point(&self.shared.store).await {
                        Ok(Some(point)) if point == point_of(&batch) => {
                            break (batch, changes.iter().map(|job| made(&job.change)).collect(), witnessed.unobserved);
                        }
                        Ok(Some(point)) if point.size == self.frontier.size() => {
                            let failure = Arc::new(failure);
                            let failed = || EngineError::NotLogged(Arc::clone(&failure));
                            changes.into_iter().for_each(|job| job.answer(Err(failed())));
                            return replies.into_iter().for_each(|reply| send(reply, Err(failed())));
                        }
                        _ => {
                            return self.stop(replies, changes, "its head could not be read back after a failed write");
                        }
                    }
                }
            }
        };
        CrashPoint::AfterCommit.reached(self.shared.crash_at);

        // 5. Move the head guard, outside the database, synced. A crash before leaves the database ahead of the guard:
        //    the next start moves the guard. Nothing of this size has been spoken of yet.
        self.advance_guard(point_of(&batch)).await;
        CrashPoint::AfterGuard.reached(self.shared.crash_at);

        // A new key gets its file. A crash before leaves it under the name that it waited under, where the next start finds it.
        let keys = self.installed(&keys, &candidates, batch.head.size).await;

        // 6. Check our own work as a stranger would.
        if let Err(failure) = batch.reprove(&candidates) {
            return self.stop(replies, changes, &failure.to_string());
        }

        // 7. Release. A crash in here leaves some callers unanswered; they ask again.
        self.frontier = batch.frontier.clone();
        let head = load::with_key_in_force(batch.head.clone(), &self.shared.identity, &keys, now).await;
        self.publish(&batch, head, keys, &candidates);
        // With a new key goes its turn, before whoever asked for it may ask again.
        drop(candidates);
        let registered = replies.len() as u64;
        for (position, reply) in replies.into_iter().enumerate() {
            let index = batch.first + position as u64;
            let (tree_size, receipt) = (batch.head.size, batch.receipt(position));
            send(reply, Ok(Logged::Done { index, tree_size, receipt, known: false }));
        }
        self.shared.observed.add(batch.append.entries.len() as u64 - registered, unobserved);
        changes.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(Ok(outcome)));
        // Full tiles are written later, off this path; a crash there is made good when they are asked for.
        let _ = self.grown.try_send(batch.head.size);
    }

    /// See there. Changes that cannot be observed are answered here and leave the others.
    async fn witness(
        &self,
        changes: &mut Vec<ChangeJob>,
        first: u64,
        now: i64,
        attempts: &mut u32,
    ) -> Result<Witnessed, EngineError> {
        *attempts += 1;
        if *attempts > ATTEMPTS_MAX {
            changes.drain(..).for_each(|job| job.answer(Err(EngineError::PoolFull)));
        }
        let (witnessed, too_many) = self.shared.witness(changes, first, now).await?;
        let answers = too_many.into_iter().map(|at| (at, Err(EngineError::TooManyTags))).collect();
        answer_at(answers, changes);
        Ok(witnessed)
    }

    /// Makes changes about which there is nothing to say, in their order. Those that saw what does not stand any more stay.
    async fn change_unobserved(&self, changes: &mut Vec<ChangeJob>, witnessed: Witnessed) {
        let made = witnessed.changes.into_iter().map(|change| self.shared.store.change_seen(change));
        let answers = futures_util::future::join_all(made).await;
        self.shared.observed.add(0, witnessed.unobserved);
        let answers =
            answers.into_iter().enumerate().filter(|(_, answer)| !matches!(answer, Ok(ChangeOutcome::SeenOtherwise)));
        answer_at(answers.map(|(at, answer)| (at, answer.map_err(EngineError::from))).collect(), changes);
    }

    /// What the ledger holds of the jobs already, and of what they were decided without.
    async fn look(&self, jobs: &[StatementJob]) -> Result<Seen, EngineError> {
        if jobs.is_empty() {
            return Ok(Seen::default());
        }
        let ids: Vec<_> = jobs.iter().map(|job| entry_id(&job.candidate)).collect();
        let logged = self.shared.store.known_entries(&ids).await?.into_iter().collect();
        let histories: Vec<_> = jobs.iter().filter_map(|job| job.candidate.history).collect();
        let subjects: Vec<_> = histories.iter().map(|history| (history.subject, history.size)).collect();
        // Only policies that read earlier claims cost this read.
        let subjects = if subjects.is_empty() {
            HashSet::new()
        } else {
            self.shared.store.spoken_of_since(&subjects, OBSERVATION_TYPE).await?
        };
        Ok(Seen { logged, subjects })
    }

    /// Answers for a statement that stands in the ledger.
    async fn answer_twin(&self, candidate: &Candidate) -> Result<Logged, EngineError> {
        match self.shared.store.entry_by_id(&entry_id(candidate)).await? {
            Some(row) => self.shared.answer_known(&row, candidate.place.as_ref()).await,
            // It was set aside for standing twice in a batch that then failed.
            None => Ok(Logged::DecideAgain),
        }
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

    /// The keys in force after a batch, which a key entry may end.
    async fn installed(&self, keys: &Arc<ServiceKeys>, candidates: &[Candidate], size: u64) -> Arc<ServiceKeys> {
        let Some(new) = candidates.last().and_then(|candidate| candidate.new_key.clone()) else {
            return Arc::clone(keys);
        };
        let changed = keys.with(&new, size - 1).map_err(EngineError::Unproven);
        let shared = Arc::clone(&self.shared);
        let install = move || new.install(shared.store.folder(), shared.crash_at);
        match (changed, tokio::task::spawn_blocking(install).await) {
            (Ok(changed), Ok(Ok(()))) => Arc::new(changed),
            (changed, installed) => {
                let failed = (changed.err(), installed);
                // The entry is committed and its key is in a file, but which name that has is unknown.
                tracing::error!(?failed, "the new key could not get its file; ending, the next start settles it");
                std::process::abort();
            }
        }
    }

    fn publish(&self, batch: &Batch, head: Head, keys: Arc<ServiceKeys>, candidates: &[Candidate]) {
        self.shared.write(|state| {
            state.head = head;
            state.keys = keys;
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

    fn stop(&self, replies: Vec<Reply>, changes: Vec<ChangeJob>, reason: &str) {
        tracing::error!(reason, "the ledger stops taking entries");
        self.shared.write(|state| state.read_only = Some(reason.to_owned()));
        changes.into_iter().for_each(|job| job.answer(Err(EngineError::Stopped)));
        replies.into_iter().for_each(|reply| send(reply, Err(EngineError::ReadOnly(reason.to_owned()))));
    }
}

/// What stands in the ledger already.
#[derive(Debug, Default)]
struct Seen {
    /// Entry ids among the jobs.
    logged: HashSet<[u8; 32]>,
    /// Subjects that were spoken of since one of the jobs about them was decided.
    subjects: HashSet<EntrySubject>,
}

impl Shared {
    /// The same statement again: same entry, same receipt, perhaps one more placement.
    pub(super) async fn answer_known(&self, row: &EntryRow, place: Option<&Place>) -> Result<Logged, EngineError> {
        let receipt = self.first_receipt(row).await?;
        if let Some(place) = place
            && !self.stands(row, place.repository.as_str()).await?
        {
            // The chain that came first stays: what is composed for this entry is the same everywhere and always.
            let first = SignedStatement::decode_entry(&row.bytes, row.collateral.as_deref());
            let first = first.map_err(|failure| EngineError::Unproven(format!("entry {}: {failure}", row.index)))?;
            let placement = placement(place, &first, row.index, &receipt, self.clock.now());
            if !matches!(self.store.place(placement).await?, AppendOutcome::Committed(_)) {
                return Ok(Logged::DecideAgain);
            }
        }
        Ok(Logged::Done { index: row.index, tree_size: row.tree_size, receipt, known: true })
    }

    async fn stands(&self, row: &EntryRow, repository: &str) -> Result<bool, EngineError> {
        let placements = self.store.placements(&[row.index]).await?;
        let Some(placement) = placements.iter().find(|placement| placement.repository.as_str() == repository) else {
            return Ok(false);
        };
        // A statement or evidence manifest that was deleted since comes back when its claim is added again.
        for manifest in [Some(placement.statement), placement.evidence].into_iter().flatten() {
            let reference = Reference::Digest(manifest);
            if self.store.manifest(&placement.repository, &reference).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a job goes with those before it in its batch: decided just now under what is in force, and behind no change of
/// it.
fn in_force(policy_entry: u64, now: i64) -> impl FnMut(&StatementJob) -> bool {
    let mut changed = false;
    move |job| {
        let age = now.saturating_sub(job.candidate.basis.decided_at);
        // What the service itself says is decided by nobody's clock, and may have waited for its signature.
        let fresh = job.candidate.basis.issuer_entry == GENESIS_INDEX || (0..=DECISION_AGE_MAX).contains(&age);
        let current = job.policy_entry == policy_entry && !changed && fresh;
        changed |= current && job.candidate.effect != Effect::None;
        current
    }
}

/// What is registered, and what is changed.
fn sorted(jobs: Vec<Job>) -> (Vec<StatementJob>, Vec<ChangeJob>) {
    let (mut statements, mut changes) = (Vec::new(), Vec::new());
    for job in jobs {
        match job {
            Job::Statement(job) => statements.push(*job),
            Job::Change(job) => changes.push(job),
        }
    }
    (statements, changes)
}

/// The answer to a change that was made, where the transaction's own was lost.
fn made(change: &RegistryChange) -> ChangeOutcome {
    match change {
        RegistryChange::PutManifest(_) => ChangeOutcome::Stored { absent: 0 },
        RegistryChange::DeleteTag { .. } | RegistryChange::DeleteManifest { .. } => ChangeOutcome::Deleted,
    }
}

/// Answers the changes that the transaction refused; those that saw what does not stand any more look again.
fn answer_some(refused: Vec<(usize, ChangeOutcome)>, changes: &mut Vec<ChangeJob>) {
    let refused = refused.into_iter().filter(|(_, outcome)| *outcome != ChangeOutcome::SeenOtherwise);
    answer_at(refused.map(|(at, outcome)| (at, Ok(outcome))).collect(), changes);
}

/// Answers the changes at some positions and takes them out.
fn answer_at(mut answers: BTreeMap<usize, Result<ChangeOutcome, EngineError>>, changes: &mut Vec<ChangeJob>) {
    for (at, job) in std::mem::take(changes).into_iter().enumerate() {
        match answers.remove(&at) {
            Some(answer) => job.answer(answer),
            None => changes.push(job),
        }
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

/// How often a change looks again at what stands before the caller is asked to come back. Only changes that are not observed, made
/// while the configuration was changed, can get in between.
const ATTEMPTS_MAX: u32 = 16;

#[cfg(test)]
mod tests;
