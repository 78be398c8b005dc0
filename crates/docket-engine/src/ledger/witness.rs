//! What the ledger says about changes of the registry before they are made: reads what stands, signs what will be. The transaction
//! makes a change only if what was read still stands, so no statement is ever false.

use std::collections::HashSet;
use std::sync::Arc;

use docket_oci::name::{RepositoryName, Tag};
use docket_proof::statement::VerifiedStatement;
use docket_proof::subject::Subject;
use docket_store::{ChangeOutcome, ObservationRow, ObservedRow, RegistryChange, Seen, SeenChange};
use tokio::sync::oneshot;

use crate::error::EngineError;
use crate::keys::ServiceKeys;
use crate::ledger::Shared;
use crate::observe::{Event, OBSERVATION_TYPE, Observation, ObservedTag, Watch};
use crate::own::own_statement;

/// A change that is to be observed, and whoever waits for it.
#[derive(Debug)]
pub(super) struct ChangeJob {
    pub change: RegistryChange,
    /// What is observed in its repository.
    pub watch: Watch,
    pub reply: oneshot::Sender<Result<ChangeOutcome, EngineError>>,
}

impl ChangeJob {
    /// Answers. A caller that went away does not mind.
    pub(super) fn answer(self, answer: Result<ChangeOutcome, EngineError>) {
        let _ = self.reply.send(answer);
    }
}

/// Changes, and all that the ledger says about them.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    /// In the order of the jobs.
    pub changes: Vec<SeenChange>,
    /// Own statements, for indexes one after the other.
    pub statements: Vec<VerifiedStatement>,
    pub observations: Vec<ObservationRow>,
    pub observed: Vec<ObservedRow>,
    /// Changes about which nothing is said because the day of their repository is used up.
    pub unobserved: u64,
}

/// Takes changes that one batch can make: no two of them touch the same tag or manifest, so none depends on what another
/// does. What is left keeps its order.
pub(super) fn take_independent(waiting: &mut Vec<ChangeJob>) -> Vec<ChangeJob> {
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    let (mut closed, mut touched, mut weight) = (HashSet::new(), HashSet::new(), 0);
    for job in waiting.drain(..) {
        let repository = job.change.repository().clone();
        let (touches, alone) = touches(&job.change);
        let is_free = !closed.contains(&repository)
            && weight < BATCH_BYTES_MAX
            && touches.iter().all(|what| !touched.contains(&(repository.clone(), what.clone())))
            && !(alone && touched.iter().any(|(of, _)| *of == repository));
        if !is_free || alone {
            closed.insert(repository.clone());
        }
        if is_free {
            weight += job.change.weight();
            touched.extend(touches.into_iter().map(|what| (repository.clone(), what)));
            taken.push(job);
        } else {
            left.push(job);
        }
    }
    *waiting = left;
    taken
}

/// The tags and the manifest that a change touches, and whether it may touch more: which tags go with a manifest is not known
/// before it is looked up.
fn touches(change: &RegistryChange) -> (Vec<String>, bool) {
    match change {
        RegistryChange::PutManifest(put) => {
            let tags = put.tags.iter().map(|tag| tag.as_str().to_owned());
            (tags.chain([put.manifest.digest.to_string()]).collect(), false)
        }
        RegistryChange::DeleteTag { tag, .. } => (vec![tag.as_str().to_owned()], false),
        RegistryChange::DeleteManifest { digest, .. } => (vec![digest.to_string()], true),
    }
}

impl Shared {
    /// Reads what stands and signs what the changes will have been, for the indexes from `first` on. Changes that touch too
    /// many tags are left out; their positions come beside.
    pub(super) async fn witness(
        &self,
        jobs: &[ChangeJob],
        first: u64,
        now: i64,
    ) -> Result<(Witnessed, Vec<usize>), EngineError> {
        if jobs.is_empty() {
            return Ok((Witnessed::default(), Vec::new()));
        }
        let changes: Vec<_> = jobs.iter().map(|job| &job.change).collect();
        let seen = self.store.seen(&changes, TAGS_OF_MANIFEST_MAX).await?;
        let tags: Vec<_> = changes
            .iter()
            .zip(&seen)
            .flat_map(|(change, seen)| seen.tags.keys().map(|tag| (change.repository(), tag)))
            .collect();
        let newest = self.store.newest_observations(&tags).await?;
        let repositories: HashSet<_> = changes.iter().map(|change| change.repository()).collect();
        let mut so_far = self.store.observed(&repositories.into_iter().collect::<Vec<_>>()).await?;
        let mut pen = Pen { shared: self, keys: self.keys(), first, now, witnessed: Witnessed::default() };
        let day = now.div_euclid(DAY_SECONDS);
        let mut too_many = Vec::new();
        for ((at, job), seen) in jobs.iter().enumerate().zip(seen) {
            if seen.tags.len() > TAGS_OF_MANIFEST_MAX {
                too_many.push(at);
                continue;
            }
            let repository = job.change.repository();
            let after = |tag: &Tag| newest.get(&(repository.clone(), tag.clone())).copied();
            let said = observations(&job.change, &seen, &job.watch, after);
            let entries = said.len() as u64;
            // What would be said if observation were not switched off; where it never was on, that is nobody's business.
            let is_left_out = job.watch.leaves_out(&job.change)
                && so_far.contains_key(repository)
                && !observations(&job.change, &seen, &Watch::default(), after).is_empty();
            pen.witnessed.changes.push(SeenChange { change: job.change.clone(), seen });
            if entries == 0 && !is_left_out {
                continue;
            }
            let so_far = so_far.entry(repository.clone()).or_insert_with(|| docket_store::ObservedSoFar {
                row: ObservedRow { repository: repository.clone(), day, count: 0, is_suspended: false },
                switched: None,
            });
            if so_far.row.day != day {
                (so_far.row.day, so_far.row.count) = (day, 0);
            }
            let is_over = so_far.row.count + entries > job.watch.per_day;
            // Half of it switched off stays a gap, whatever the other half says meanwhile.
            let is_suspended = is_over || is_left_out || (so_far.row.is_suspended && !job.watch.is_whole());
            if is_suspended != so_far.row.is_suspended {
                let event = if is_suspended { Event::Suspended } else { Event::Resumed };
                let switched = switched(event, repository, so_far.switched);
                so_far.switched = Some(pen.write(&switched, Subject::stream(repository)).await?);
                so_far.row.is_suspended = is_suspended;
            }
            if is_over {
                // What is left of the day is not enough, so the day is over.
                so_far.row.count = so_far.row.count.max(job.watch.per_day);
                pen.witnessed.unobserved += 1;
                continue;
            }
            so_far.row.count += entries;
            for observation in said {
                let digest = observation.digest.expect("all but the suspensions name a manifest");
                let subject = Subject::artifact(repository, &digest);
                pen.write(&observation, subject).await?;
            }
        }
        let mut witnessed = pen.witnessed;
        let touched: HashSet<_> = witnessed.observations.iter().map(|row| &row.repository).collect();
        let observed = so_far.into_values().map(|so_far| so_far.row);
        witnessed.observed = observed.filter(|row| touched.contains(&row.repository)).collect();
        Ok((witnessed, too_many))
    }
}

/// Signs, and notes by which rows it is found.
struct Pen<'a> {
    shared: &'a Shared,
    keys: Arc<ServiceKeys>,
    first: u64,
    now: i64,
    witnessed: Witnessed,
}

impl Pen<'_> {
    /// The answer is the index.
    async fn write(&mut self, observation: &Observation, subject: Subject) -> Result<u64, EngineError> {
        let index = self.first + self.witnessed.statements.len() as u64;
        let payload = serde_json::to_value(observation).expect("strings and numbers");
        let identity = &self.shared.identity;
        let statement = own_statement(identity, &self.keys, subject, OBSERVATION_TYPE, &payload, self.now).await?;
        self.witnessed.statements.push(statement);
        self.witnessed.observations.extend(rows(observation, index));
        Ok(index)
    }
}

/// By which rows an entry is found.
pub(crate) fn rows(observation: &Observation, index: u64) -> Vec<ObservationRow> {
    let row = |tag| ObservationRow { index, repository: observation.repository.clone(), tag };
    match observation.event {
        Event::Tagged | Event::Untagged | Event::Pushed | Event::Deleted => {
            observation.tags.iter().map(|observed| row(Some(observed.tag.clone()))).collect()
        }
        Event::Suspended | Event::Resumed => vec![row(None)],
    }
}

/// What is said about a change, if it happens. Nothing about what stands already.
fn observations(
    change: &RegistryChange,
    seen: &Seen,
    watch: &Watch,
    after: impl Fn(&Tag) -> Option<u64>,
) -> Vec<Observation> {
    let observation = |event, digest, media_type: Option<&String>, tags| Observation {
        event,
        repository: change.repository().clone(),
        digest: Some(digest),
        media_type: media_type.cloned(),
        tags,
        after: None,
    };
    match change {
        RegistryChange::DeleteTag { .. } | RegistryChange::DeleteManifest { .. } if !watch.deletes => Vec::new(),
        RegistryChange::PutManifest(put) => {
            let (digest, media_type) = (put.manifest.digest, Some(&put.manifest.media_type));
            let is_new = watch.manifests && seen.manifest.is_none();
            let pushed = is_new.then(|| observation(Event::Pushed, digest, media_type, Vec::new()));
            let moved = seen.tags.iter().filter(|(_, on)| watch.tags && **on != Some(digest));
            let moved = moved.map(|(tag, on)| ObservedTag { tag: tag.clone(), previous: *on, after: after(tag) });
            let moved: Vec<_> = moved.collect();
            let tagged = (!moved.is_empty()).then(|| observation(Event::Tagged, digest, media_type, moved));
            pushed.into_iter().chain(tagged).collect()
        }
        RegistryChange::DeleteTag { .. } => {
            let gone = seen.tags.iter().filter_map(|(tag, on)| Some((tag, (*on)?)));
            gone.map(|(tag, on)| observation(Event::Untagged, on, None, vec![deleted(tag, &after)])).collect()
        }
        RegistryChange::DeleteManifest { digest, .. } => {
            let Some(media_type) = &seen.manifest else { return Vec::new() };
            let tags: Vec<_> = seen.tags.keys().map(|tag| deleted(tag, &after)).collect();
            // A manifest without tags is deleted too.
            let parts = if tags.is_empty() {
                vec![Vec::new()]
            } else {
                tags.chunks(TAGS_OF_ENTRY_MAX).map(<[_]>::to_vec).collect()
            };
            parts.into_iter().map(|tags| observation(Event::Deleted, *digest, Some(media_type), tags)).collect()
        }
    }
}

fn deleted(tag: &Tag, after: impl Fn(&Tag) -> Option<u64>) -> ObservedTag {
    ObservedTag { tag: tag.clone(), previous: None, after: after(tag) }
}

fn switched(event: Event, repository: &RepositoryName, after: Option<u64>) -> Observation {
    Observation { event, repository: repository.clone(), digest: None, media_type: None, tags: Vec::new(), after }
}

/// Tags with which a manifest can be deleted where that is observed.
pub(crate) const TAGS_OF_MANIFEST_MAX: usize = 16_384;
/// Tags of one entry: with names as long as they may be it stays below the most bytes of an entry.
const TAGS_OF_ENTRY_MAX: usize = 256;
/// Bytes of manifests after which a batch takes no more.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
const DAY_SECONDS: i64 = 86_400;
