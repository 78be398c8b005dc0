//! Configuration read again while the server runs. All of it is checked before any of it applies: what is wrong changes
//! nothing, and what needs a restart is named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::telemetry::{LogFilter, filter};

/// Where the configuration comes from, beside the environment.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<String>,
}

/// What a running server can change, and what it runs with.
#[derive(Debug)]
pub(crate) struct Running {
    sources: Sources,
    log: LogFilter,
    /// Keys and values in force. Held during a reload, so that two of them do not mix.
    in_force: Mutex<BTreeMap<String, Value>>,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// Keys whose new values apply now.
    pub applied: Vec<String>,
    /// Keys that were changed but apply only at the next start.
    pub needs_restart: Vec<String>,
}

impl Sources {
    pub(crate) fn read(&self) -> anyhow::Result<Config> {
        Config::read(self.file.as_deref(), self.data.as_deref(), self.listen.as_deref())
    }
}

impl Running {
    pub(crate) fn new(sources: Sources, config: &Config, log: LogFilter) -> Self {
        Self { sources, log, in_force: Mutex::new(config.values.clone()) }
    }

    /// Reads the configuration again and applies what can change. An error leaves everything as it was.
    pub(crate) fn reload(&self) -> anyhow::Result<Reloaded> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        // Read and check all of it.
        let config = self.sources.read()?;
        let filter = filter(&config.log)?;

        // From here on nothing fails but what a restart would have to mend as well.
        self.log.change(filter)?;
        let keys = in_force.keys().chain(config.values.keys()).cloned();
        let changed = keys.filter(|key| in_force.get(key) != config.values.get(key));
        let mut changed: Vec<_> = changed.collect();
        changed.sort();
        changed.dedup();
        let (applied, needs_restart): (Vec<_>, Vec<_>) = changed.into_iter().partition(|key| is_live(key));
        for key in &applied {
            match config.values.get(key) {
                Some(value) => in_force.insert(key.clone(), value.clone()),
                None => in_force.remove(key),
            };
        }
        Ok(Reloaded { applied, needs_restart })
    }
}

/// Whether a key, `log` or `section.key`, can change while the server runs.
fn is_live(key: &str) -> bool {
    LIVE.contains(&key.split('.').next().unwrap_or_default())
}

/// Keys and sections that a reload applies.
const LIVE: [&str; 1] = ["log"];
