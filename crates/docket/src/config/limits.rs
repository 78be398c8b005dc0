//! `[limits]`: what one client may take of the server.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds on connections and on clients that are slow or many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Connections open at once from one address; further ones are closed. Trusted proxies are not counted.
    pub connections_per_address: usize,
    /// Requests of one client answered at once; further ones get 429.
    pub requests_per_account: usize,
    /// How long a connection may be idle, or a request's head under way.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// How long a client may take nothing of an answer, or send nothing of a body it announced.
    #[serde(with = "humantime_serde")]
    pub stall: Duration,
    /// Bytes a second below which a body is given up; counted over each `stall`.
    pub body_bytes_per_second: u64,
    /// Statements that callers without an account may send for registration in a minute, from one address; further ones get
    /// 429. Where there are no access rules, callers are this machine's own and are not counted.
    pub anonymous_registrations_per_minute: NonZeroU32,
    /// How long a caller waits for its receipt before it is told where the receipt will be (202).
    #[serde(with = "humantime_serde")]
    pub registration_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 4096,
            requests_per_account: 1024,
            idle: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            body_bytes_per_second: 256,
            anonymous_registrations_per_minute: NonZeroU32::new(60).expect("not zero"),
            registration_wait: Duration::from_secs(5),
        }
    }
}
