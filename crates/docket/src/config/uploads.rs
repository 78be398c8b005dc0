//! `[uploads]`: blobs on their way in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The section as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Uploads {
    /// How long an upload session may go without a request before it ends and what it received is removed (`idle`,
    /// `DOCKET_UPLOADS__IDLE`, default `1h`, at least `1s`). A session that a request is writing to never ends. Sessions
    /// outlive a restart of the server; what a crash may cost one is told in ARCHITECTURE.md.
    #[serde(with = "humantime_serde")]
    idle: Duration,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { idle: Duration::from_hours(1) }
    }
}

impl Uploads {
    /// Refuses values that cannot be meant.
    pub(crate) fn check(self) -> anyhow::Result<Self> {
        anyhow::ensure!(self.idle_seconds() > 0, "uploads.idle = {:?} is too short; give it at least 1s", self.idle);
        Ok(self)
    }

    /// The idle time in seconds.
    pub(crate) fn idle_seconds(&self) -> u64 {
        self.idle.as_secs()
    }
}
