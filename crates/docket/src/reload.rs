//! Configuration read again while the server runs. All of it is checked before any of it applies: what is wrong changes
//! nothing, and what needs a restart is named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use docket_engine::Instance;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Access, Config};
use crate::http::Tls;
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
    /// The certificate of an address that speaks TLS.
    tls: Option<Arc<Tls>>,
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
    pub(crate) fn new(sources: Sources, config: &Config, log: LogFilter, tls: Option<Arc<Tls>>) -> Self {
        Self { sources, log, tls, in_force: Mutex::new(config.values.clone()) }
    }

    /// Reads the configuration again and applies what can change. An error leaves everything as it was.
    pub(crate) fn reload(&self, instance: &Instance) -> anyhow::Result<Reloaded> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        // Read and check all of it.
        let config = self.sources.read()?;
        let filter = filter(&config.log)?;
        // Also where the paths are the same: a renewed certificate takes the place of the old one in its file.
        let certificate = self.tls.as_ref().and(config.tls.as_ref()).map(Tls::read).transpose()?;
        let rules = Access::rules(config.access.as_ref(), instance)?;
        let observe = config.observe.check()?;

        // From here on nothing fails but what a restart would have to mend as well.
        self.log.change(filter)?;
        if let (Some(tls), Some(fresh)) = (&self.tls, &certificate) {
            tls.replace(fresh);
        }
        rules.map(|rules| instance.replace_rules(rules)).transpose()?;
        instance.replace_observe(observe);
        let keys = in_force.keys().chain(config.values.keys()).cloned();
        let changed = keys.filter(|key| in_force.get(key) != config.values.get(key));
        let mut changed: Vec<_> = changed.collect();
        changed.sort();
        changed.dedup();
        let (applied, needs_restart): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|key| self.is_live(key, &config));
        for key in &applied {
            match config.values.get(key) {
                Some(value) => in_force.insert(key.clone(), value.clone()),
                None => in_force.remove(key),
            };
        }
        Ok(Reloaded { applied, needs_restart })
    }

    /// Whether a key, `log` or `section.key`, can change while the server runs. TLS can be renewed, not switched on or off.
    fn is_live(&self, key: &str, config: &Config) -> bool {
        match key.split('.').next().unwrap_or_default() {
            "access" | "log" | "observe" => true,
            "tls" => self.tls.is_some() && config.tls.is_some(),
            _ => false,
        }
    }
}
