//! `[witness]`: who watches that the log keeps to one history.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use docket_proof::log_policy::LogPolicy;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    policy: String,
    #[serde(with = "humantime_serde")]
    interval: Duration,
}

/// Witnesses that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    /// Witnesses, their submission prefixes and the quorum, as C2SP tlog-policy has them: the text of the file that is named
    /// (`witness.policy`, `DOCKET_WITNESS__POLICY`, default none). With a quorum, a checkpoint is published once it has one.
    pub policy: Option<LogPolicy>,
    /// Time between two checkpoints that are sent to witnesses, and first pause after a failure (`witness.interval`,
    /// `DOCKET_WITNESS__INTERVAL`, default `1s`).
    pub interval: Duration,
}

impl Default for Written {
    fn default() -> Self {
        Self { policy: String::new(), interval: Duration::from_secs(1) }
    }
}

impl Written {
    pub(super) fn read(self) -> anyhow::Result<Witness> {
        anyhow::ensure!(!self.interval.is_zero(), "witness.interval must be longer than 0s");
        let named = match self.policy.as_str() {
            "" => Witness { policy: None, interval: self.interval },
            path => Witness::of(Path::new(path)).context("witness.policy")?,
        };
        Ok(Witness { interval: self.interval, ..named })
    }
}

impl Witness {
    /// The witnesses of a policy, each of which must have a URL.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let policy = read_policy(path)?;
        if let Some(witness) = policy.witnesses().iter().find(|witness| witness.url.is_none()) {
            anyhow::bail!(
                "{}: there is no URL behind the key of {}; the log sends its checkpoints there",
                path.display(),
                witness.key.name()
            );
        }
        Ok(Self { policy: Some(policy), interval: Written::default().interval })
    }
}

/// Reads a file with a C2SP tlog-policy.
pub(crate) fn read_policy(path: &Path) -> anyhow::Result<LogPolicy> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    LogPolicy::parse(&text).with_context(|| path.display().to_string())
}
