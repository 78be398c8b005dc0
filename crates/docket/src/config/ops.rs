//! `[ops]`: how the server is watched and stopped.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The section as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    /// Address of `/metrics`, `/livez` and `/readyz`; empty = none.
    listen: String,
    /// Whether other machines may reach that address: whoever does reads all metrics.
    expose: bool,
    /// Bytes that must be free on the disk for the server to be ready.
    free_bytes_min: u64,
    /// How long requests in flight may take once the server is told to stop.
    #[serde(with = "humantime_serde")]
    drain: Duration,
}

/// How the server is watched and stopped.
#[derive(Debug, Clone)]
pub(crate) struct Ops {
    /// Address of `/metrics`, `/livez` and `/readyz` (`ops.listen`, default `127.0.0.1:5001`; empty = none).
    pub listen: Option<SocketAddr>,
    /// Bytes that must be free on the disk for the server to be ready (`ops.free_bytes_min`, default 256 MiB).
    pub free_bytes_min: u64,
    /// How long requests in flight may take once the server is told to stop (`ops.drain`, default `20s`).
    pub drain: Duration,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5001".to_owned(),
            expose: false,
            free_bytes_min: 256 * 1024 * 1024,
            drain: Duration::from_secs(20),
        }
    }
}

impl Written {
    pub(super) fn check(&self) -> anyhow::Result<Ops> {
        let listen = match self.listen.as_str() {
            "" => None,
            text => Some(text.parse::<SocketAddr>().with_context(|| {
                format!("ops.listen = {text:?} is no address with a port, such as 127.0.0.1:5001; empty means none")
            })?),
        };
        anyhow::ensure!(
            self.expose || listen.is_none_or(|listen| listen.ip().is_loopback()),
            "ops.listen = {} is reachable from other machines; set ops.expose = true if they may read all metrics",
            self.listen
        );
        Ok(Ops { listen, free_bytes_min: self.free_bytes_min, drain: self.drain })
    }
}
