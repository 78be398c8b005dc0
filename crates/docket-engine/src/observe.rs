//! What the service observes where: the changes that it signs and logs, and what it says about them.

use std::sync::atomic::{AtomicU64, Ordering};

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};
use docket_proof::statement::{Content, SignedStatement};
use docket_store::RegistryChange;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

/// Content type of what the service says it observed: an [`Observation`] as JSON.
pub const OBSERVATION_TYPE: &str = "application/vnd.docket.observation.v1+json";

/// What is observed in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Tags that are made or moved.
    pub tags: bool,
    /// Tags and manifests that are deleted.
    pub deletes: bool,
    /// Manifests that were not there before, tagged or not.
    pub manifests: bool,
    /// Entries of a repository and day (UTC) after which its changes go on unobserved.
    pub per_day: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { tags: true, deletes: true, manifests: false, per_day: PER_DAY_DEFAULT }
    }
}

impl Watch {
    /// Whether a change might be observed.
    pub(crate) fn concerns(&self, change: &RegistryChange) -> bool {
        match change {
            RegistryChange::PutManifest(put) => self.manifests || (self.tags && !put.tags.is_empty()),
            RegistryChange::DeleteTag { .. } | RegistryChange::DeleteManifest { .. } => self.deletes,
        }
    }

    /// Whether a change of tags goes unobserved because this repository's observation is switched off for its kind.
    pub(crate) fn leaves_out(&self, change: &RegistryChange) -> bool {
        match change {
            RegistryChange::PutManifest(put) => !self.tags && !put.tags.is_empty(),
            RegistryChange::DeleteTag { .. } | RegistryChange::DeleteManifest { .. } => !self.deletes,
        }
    }

    /// Whether every change of tags is observed.
    pub(crate) fn is_whole(&self) -> bool {
        self.tags && self.deletes
    }
}

/// Other choices for some repositories, as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchIn {
    /// Patterns of repository names: `*` stays within a segment, `**` does not.
    pub repositories: Vec<String>,
    /// In place of the general choice, where given; so the others.
    pub tags: Option<bool>,
    /// See [`Watch::deletes`].
    pub deletes: Option<bool>,
    /// See [`Watch::manifests`].
    pub manifests: Option<bool>,
    /// See [`Watch::per_day`].
    pub per_day: Option<u64>,
}

/// What is observed, for every repository.
#[derive(Debug, Clone, Default)]
pub struct Observe {
    general: Watch,
    special: Vec<(GlobSet, Watch)>,
}

/// Choices that cannot be used. The number is the position in the file, from 1.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// Nothing could be observed, and every change would say so.
    #[error("{what}: per_day is 0; to observe nothing switch tags, deletes and manifests off")]
    PerDay {
        /// Where it stands.
        what: String,
    },
    /// It would apply nowhere.
    #[error("{what} names no repositories; name some or remove it")]
    Empty {
        /// Where it stands.
        what: String,
    },
    /// A pattern that is none.
    #[error("{what} has a pattern that is not understood: {source}")]
    Pattern {
        /// Where it stands.
        what: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

impl Observe {
    /// Checks choices. Of several that speak of a repository the first one counts.
    pub fn new(general: Watch, special: &[WatchIn]) -> Result<Self, ObserveError> {
        let check = |what: String, watch: Watch| {
            if watch.per_day == 0 { Err(ObserveError::PerDay { what }) } else { Ok(watch) }
        };
        let general = check("[observe]".to_owned(), general)?;
        let special = special.iter().zip(1..).map(|(written, position)| {
            let what = || format!("observe.repositories {position}");
            let failed = |source| ObserveError::Pattern { what: what(), source };
            if written.repositories.is_empty() {
                return Err(ObserveError::Empty { what: what() });
            }
            let mut set = GlobSetBuilder::new();
            for pattern in &written.repositories {
                set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(failed)?);
            }
            let watch = Watch {
                tags: written.tags.unwrap_or(general.tags),
                deletes: written.deletes.unwrap_or(general.deletes),
                manifests: written.manifests.unwrap_or(general.manifests),
                per_day: written.per_day.unwrap_or(general.per_day),
            };
            Ok((set.build().map_err(failed)?, check(what(), watch)?))
        });
        Ok(Self { general, special: special.collect::<Result<_, _>>()? })
    }

    /// What is observed in a repository.
    pub(crate) fn watch(&self, repository: &RepositoryName) -> Watch {
        let special = self.special.iter().find(|(set, _)| set.is_match(repository.as_str()));
        special.map_or(self.general, |(_, watch)| *watch)
    }
}

/// What the service says that it observed. No account is named: an entry could not be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What happened.
    pub event: Event,
    /// Where.
    pub repository: RepositoryName,
    /// The manifest that it happened to; for a tag, the one that it stands on afterwards or stood on before it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Content type of that manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The tags that were made, moved or deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<ObservedTag>,
    /// Of a suspension or its end: the entry of the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Tags were made or moved.
    Tagged,
    /// A tag was deleted.
    Untagged,
    /// A manifest stands that did not.
    Pushed,
    /// A manifest was deleted, and these tags with it; tags beyond those of one entry are in the next ones.
    Deleted,
    /// From here on changes of this repository go unobserved: its day is used up, or the operator switched observation off, be
    /// it for pushes or for deletions alone.
    Suspended,
    /// From here on all of them are observed again.
    Resumed,
}

/// A tag that was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedTag {
    /// Its name.
    pub tag: Tag,
    /// Where it stood before, if it stood and stands elsewhere now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The entry that observed it before: whoever has all of them sees that none is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Observation {
    /// What a statement says, if it is an observation. Whether the service made it is for the caller to know.
    pub fn of(statement: &SignedStatement) -> Option<Self> {
        match statement.content() {
            Content::Payload { media_type, bytes } if media_type == OBSERVATION_TYPE => {
                serde_json::from_slice(bytes).ok()
            }
            Content::Payload { .. } | Content::HashEnvelope { .. } | Content::Sha384Envelope { .. } => None,
        }
    }
}

/// What was observed since the start.
#[derive(Debug, Default)]
pub(crate) struct ObservedCounts {
    entries: AtomicU64,
    unobserved: AtomicU64,
}

/// The same, for whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedStats {
    /// Entries that say what was observed.
    pub entries: u64,
    /// Changes that went unobserved because their repository had used up its day.
    pub unobserved: u64,
}

impl ObservedCounts {
    pub(crate) fn add(&self, entries: u64, unobserved: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.unobserved.fetch_add(unobserved, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> ObservedStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ObservedStats { entries: read(&self.entries), unobserved: read(&self.unobserved) }
    }
}

/// Entries of a repository and day, where the operator says nothing: one every nine seconds.
const PER_DAY_DEFAULT: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(repositories: &[&str]) -> WatchIn {
        let repositories = repositories.iter().map(|&pattern| pattern.to_owned()).collect();
        WatchIn { repositories, tags: None, deletes: None, manifests: None, per_day: None }
    }

    #[test]
    fn the_first_choice_that_speaks_of_a_repository_counts() {
        let special = [
            WatchIn { tags: Some(false), ..written(&["mirror/*"]) },
            WatchIn { manifests: Some(true), per_day: Some(5), ..written(&["mirror/**", "acme/**"]) },
        ];
        let observe = Observe::new(Watch::default(), &special).expect("usable");
        let watch = |name: &str| observe.watch(&name.parse().expect("a name"));
        assert_eq!(watch("wabbit/net-monitor"), Watch::default());
        assert_eq!(watch("mirror/a"), Watch { tags: false, ..Watch::default() });
        assert_eq!(watch("mirror/a/b"), Watch { manifests: true, per_day: 5, ..Watch::default() });
    }

    #[test]
    fn choices_that_could_not_apply_are_refused() {
        let refused = |special: WatchIn| Observe::new(Watch::default(), &[special]).expect_err("refused").to_string();
        let empty = "observe.repositories 1 names no repositories; name some or remove it";
        assert_eq!(refused(written(&[])), empty);
        let none = "observe.repositories 1: per_day is 0; to observe nothing switch tags, deletes and manifests off";
        assert_eq!(refused(WatchIn { per_day: Some(0), ..written(&["a"]) }), none);
        assert!(refused(written(&["["])).starts_with("observe.repositories 1 has a pattern that is not understood"));
        assert!(Observe::new(Watch { per_day: 0, ..Watch::default() }, &[]).is_err());
    }
}
