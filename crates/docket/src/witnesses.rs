//! Asks the configured witnesses to cosign the log's checkpoints, for as long as the server runs.
//!
//! All of them are asked about the same tree at a time, so that they meet in a quorum: the next one is sent out when the last
//! one has its quorum, or when they have had time enough. Each has one request under way at most, and one that is slow or
//! away holds up nobody else. Receipts wait for none of this.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use docket_client::{Witness, WitnessReply};
use docket_engine::{ForWitness, Instance};
use docket_proof::checkpoint::SignedCheckpoint;
use docket_proof::log_policy::LogPolicy;
use docket_proof::note::{NoteKey, NoteSignature, parse_signatures};
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::config;

/// The witnesses of a log.
#[derive(Debug)]
pub(crate) struct Witnesses {
    instance: Arc<Instance>,
    policy: LogPolicy,
    asked: Vec<Asked>,
    interval: Duration,
}

#[derive(Debug)]
struct Asked {
    key: NoteKey,
    witness: Witness,
}

/// What is known of a witness from what it answered.
#[derive(Debug, Default)]
struct Known {
    /// Size of the tree that it cosigned last.
    size: u64,
    /// Whether it has answered since the start.
    is_heard: bool,
}

impl Witnesses {
    /// The witnesses in the configuration, if there are any.
    pub(crate) fn new(instance: &Arc<Instance>, config: &config::Witness) -> anyhow::Result<Option<Self>> {
        let Some(policy) = &config.policy else { return Ok(None) };
        let own = instance.checkpoint_key();
        anyhow::ensure!(
            policy.logs().is_empty() || policy.logs().iter().any(|log| log.key == *own),
            "witness.policy names other logs than this one, whose key is {own}"
        );
        let asked = policy.witnesses().iter().map(|witness| {
            let url = witness.url.as_deref().unwrap_or_default();
            Ok(Asked { key: witness.key.clone(), witness: Witness::new(url)? })
        });
        let asked = asked.collect::<anyhow::Result<_>>()?;
        let (instance, policy, interval) = (Arc::clone(instance), policy.clone(), config.interval);
        Ok(Some(Self { instance, policy, asked, interval }))
    }

    /// Asks all of them about the newest tree, before anything is signed: one that knows a larger tree shows that the whole
    /// data folder was rolled back. One that does not answer in time is heard later, by [`Self::follow`].
    async fn greet(&self) -> anyhow::Result<Vec<Known>> {
        let size = self.instance.tree_size();
        let sizes = self.instance.cosigned_sizes().await?;
        let greetings = self.asked.iter().zip(sizes).map(async |(asked, (_, size_then))| {
            let mut known = Known { size: size_then, is_heard: false };
            let answer = tokio::time::timeout(GREETING_TIME_MAX, self.cosign(asked, size, &mut known)).await;
            let failure = match answer {
                Ok(Ok(())) => return known,
                Ok(Err(failure)) => format!("{failure:#}"),
                Err(_) => format!("it did not answer within {} s", GREETING_TIME_MAX.as_secs()),
            };
            let witness = asked.key.name();
            tracing::warn!(%witness, failure, "a witness did not confirm the newest tree at the start");
            known
        });
        Ok(join_all(greetings).await)
    }

    /// Greets the witnesses and gives what has them follow the log, which ends only when the ledger takes no entries any more.
    pub(crate) async fn start(self) -> anyhow::Result<impl Future<Output = ()>> {
        let known = if self.instance.read_only().is_none() { self.greet().await? } else { Vec::new() };
        Ok(async move {
            if self.instance.read_only().is_some() {
                return;
            }
            let (target, _) = watch::channel(self.instance.tree_size());
            let followers = self.asked.iter().zip(known).map(|(asked, known)| {
                let target = target.subscribe();
                self.follow(asked, known, target)
            });
            let followers = join_all(followers);
            tokio::select! {
                () = self.lead(&target) => {}
                _ = followers => {}
            }
        })
    }

    /// The newest checkpoint with what the witnesses say of it, if they are a quorum and none knows a larger tree. Keeps nothing.
    pub(crate) async fn confirm(&self) -> anyhow::Result<SignedCheckpoint> {
        let size = self.instance.tree_size();
        let answers = self.asked.iter().map(async |asked| {
            let mut known = Known::default();
            let exchanged = exchange(&self.instance, asked, size, &mut known);
            let timely = tokio::time::timeout(GREETING_TIME_MAX, exchanged).await;
            timely.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")))
        });
        let answers = join_all(answers).await;
        let request = self.instance.for_witness(size, size).await?.context("the ledger has no head")?;
        let mut confirmed = request.checkpoint;
        let mut failures = String::new();
        for (asked, answer) in self.asked.iter().zip(answers) {
            match answer {
                Ok((_, lines)) => lines.into_iter().for_each(|line| confirmed.note_mut().add(line)),
                Err(failure) if failure.is::<Ahead>() => {
                    anyhow::bail!(
                        "{} is ahead: {failure}. Receipts of the missing entries are in use, and going on would fork the \
                         ledger; restore a newer backup",
                        asked.key.name()
                    );
                }
                Err(failure) => {
                    let _ = write!(failures, "; {}: {failure:#}", asked.key.name());
                }
            }
        }
        let keys: Vec<_> = self.asked.iter().map(|asked| asked.key.clone()).collect();
        let signed = confirmed.note().signed_by(&keys).unwrap_or_default();
        let is_quorum = self.policy.is_quorum(&signed.iter().map(|signed| signed.key).collect::<Vec<_>>());
        anyhow::ensure!(is_quorum && !signed.is_empty(), "no quorum of the witnesses confirms the copy{failures}");
        Ok(confirmed)
    }

    /// Says which tree is to be cosigned: the newest, as soon as the one before has a quorum or has had its time.
    async fn lead(&self, target: &watch::Sender<u64>) {
        let mut size = *target.borrow();
        loop {
            size = self.instance.larger_than(size).await;
            target.send_replace(size);
            let _ = tokio::time::timeout(ROUND_TIME_MAX, self.instance.published_reaches(size)).await;
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Has one witness cosign what is to be cosigned.
    async fn follow(&self, asked: &Asked, mut known: Known, mut target: watch::Receiver<u64>) {
        let mut failures = 0_u32;
        while self.instance.read_only().is_none() {
            let from = known.size;
            let Ok(size) = target.wait_for(|&size| size > from).await.map(|size| *size) else { return };
            match self.cosign(asked, size, &mut known).await {
                Ok(()) => failures = 0,
                Err(failure) => {
                    let pause = self.interval.saturating_mul(1 << failures.min(PAUSE_DOUBLINGS_MAX)).min(PAUSE_MAX);
                    failures += 1;
                    let (witness, failure) = (asked.key.name(), format!("{failure:#}"));
                    tracing::warn!(%witness, size, failure, failures, "a witness did not cosign; it is asked again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Has a witness cosign one tree, and keeps what it said.
    async fn cosign(&self, asked: &Asked, size: u64, known: &mut Known) -> anyhow::Result<()> {
        let (request, lines) = exchange(&self.instance, asked, size, known).await?;
        self.instance.keep_cosignature(&asked.key, &request, lines).await?;
        known.size = size;
        Ok(())
    }
}

/// A witness knows more of the log than there is here.
#[derive(Debug, thiserror::Error)]
#[error("it has cosigned {larger} entries, and there are {held}")]
struct Ahead {
    larger: u64,
    held: u64,
}

/// Asks a witness about one tree, again from the tree that it says it knows.
async fn exchange(
    instance: &Instance,
    asked: &Asked,
    size: u64,
    known: &mut Known,
) -> anyhow::Result<(ForWitness, Vec<NoteSignature>)> {
    for _ in 0..ATTEMPTS_MAX {
        let request = instance.for_witness(known.size, size).await?;
        let request = request.with_context(|| format!("there is no way from {} entries to {size}", known.size))?;
        let reply = asked.witness.add_checkpoint(request.to_body()).await?;
        let is_first = !std::mem::replace(&mut known.is_heard, true);
        match reply {
            WitnessReply::Cosigned(lines) => return Ok((request, parse_signatures(&lines)?)),
            WitnessReply::Knows(larger) if larger > instance.tree_size() => {
                // What it says first was said before this process signed anything, so it is evidence. Later it contradicts
                // itself: that is for people to look at, and no reason to let one witness stop the log.
                if is_first {
                    instance.stop_behind_witness(&asked.key, larger);
                }
                anyhow::bail!(Ahead { larger, held: instance.tree_size() });
            }
            WitnessReply::Knows(same) if same == known.size => {
                anyhow::bail!("it knows another tree of {same} entries than this log: the log has two histories");
            }
            WitnessReply::Knows(newer) if newer > size => anyhow::bail!("it has cosigned {newer} entries already"),
            WitnessReply::Knows(other) => known.size = other,
            WitnessReply::Refused { status, message } => anyhow::bail!("it refuses: {status} {message}"),
        }
    }
    anyhow::bail!("it says each time that it knows another tree")
}

/// How often a witness is asked anew because it knows another tree than it was thought to.
const ATTEMPTS_MAX: usize = 3;
/// How long the start waits for witnesses.
const GREETING_TIME_MAX: Duration = Duration::from_secs(5);
/// How long witnesses may take to meet at one tree.
const ROUND_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_mins(1);
const PAUSE_DOUBLINGS_MAX: u32 = 16;
