//! `[gc]`: when the server collects garbage.

use std::time::Duration;

use docket_engine::Collection;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gc {
    /// For how long nothing is garbage after it was last pushed, mounted or seen (`gc.grace`, `DOCKET_GC__GRACE`, default
    /// `24h`): the longest time that a push may take.
    #[serde(with = "humantime_serde")]
    grace: Duration,
    /// Time between two collections (`gc.interval`, `DOCKET_GC__INTERVAL`, default `24h`); `0s` = only by `docket gc`.
    #[serde(with = "humantime_serde")]
    interval: Duration,
}

impl Gc {
    /// Time between two collections, if the server makes them by itself.
    pub(crate) fn interval(self) -> Option<Duration> {
        Some(self.interval).filter(|interval| !interval.is_zero())
    }

    /// What a collection does when nothing else is asked for.
    pub(crate) fn collection(self) -> Collection {
        Collection { grace_s: self.grace.as_secs(), dry_run: false }
    }
}

impl Default for Gc {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { grace: day, interval: day }
    }
}
