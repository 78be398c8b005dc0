//! `[observe]`: what the service signs and logs of what happens in its repositories.

use anyhow::Context as _;
use docket_engine::{Watch, WatchIn};
use serde::{Deserialize, Serialize};

/// What is observed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Observe {
    /// Whether tags that are made or moved are observed (`observe.tags`, `DOCKET_OBSERVE__TAGS`, default true). Where this or the
    /// next one is switched off after something was observed, an entry says so with the first change that it concerns.
    tags: bool,
    /// Whether deleted tags and manifests are (`observe.deletes`, `DOCKET_OBSERVE__DELETES`, default true).
    deletes: bool,
    /// Whether manifests are that were not there before, tagged or not (`observe.manifests`, `DOCKET_OBSERVE__MANIFESTS`,
    /// default false).
    manifests: bool,
    /// Entries of a repository and day, by UTC, after which its changes go on unobserved, which an entry then says
    /// (`observe.per_day`, `DOCKET_OBSERVE__PER_DAY`, default 10000).
    per_day: u64,
    /// Other choices for some repositories (`[[observe.repositories]]`): patterns under `repositories`, and any of the keys
    /// above. Of several that speak of a repository the first one counts.
    repositories: Vec<WatchIn>,
}

impl Default for Observe {
    fn default() -> Self {
        let Watch { tags, deletes, manifests, per_day } = Watch::default();
        Self { tags, deletes, manifests, per_day, repositories: Vec::new() }
    }
}

impl Observe {
    /// As the engine takes it, checked.
    pub(crate) fn check(&self) -> anyhow::Result<docket_engine::Observe> {
        let Self { tags, deletes, manifests, per_day, .. } = *self;
        let general = Watch { tags, deletes, manifests, per_day };
        docket_engine::Observe::new(general, &self.repositories).context("[observe] is not usable")
    }
}
