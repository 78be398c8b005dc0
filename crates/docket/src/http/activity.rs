//! What a connection is doing, so that those who do nothing can be told from those who wait for us.
//!
//! Timers for every request would cost more than answering it. Instead each connection notes when it went idle or got
//! stuck, and one look at it every few seconds decides.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by a connection, its requests and whoever watches it. Times are milliseconds since `began`, zero means "not now".
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    /// Requests being answered.
    requests: AtomicU32,
    idle_since: AtomicU64,
    stuck_since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        let never = AtomicU64::new(0);
        Self { began: Instant::now(), requests: AtomicU32::new(0), idle_since: AtomicU64::new(1), stuck_since: never }
    }

    /// A request's head has arrived.
    pub(super) fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.idle_since.store(0, Ordering::Relaxed);
    }

    /// Its answer was handed over.
    pub(super) fn request_ended(&self) {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The socket took something, or the client has not read what is in it already.
    pub(super) fn wrote(&self, some: bool) {
        if some {
            self.stuck_since.store(0, Ordering::Relaxed);
            // An answer that still moves is no idle connection.
            if self.idle_since.load(Ordering::Relaxed) > 0 {
                self.idle_since.store(self.now(), Ordering::Relaxed);
            }
        } else if self.stuck_since.load(Ordering::Relaxed) == 0 {
            self.stuck_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// For how long no request head came and nothing was sent; zero while a request is being answered.
    pub(super) fn idle(&self) -> Duration {
        // Stuck is not idle: a slow reader of a large answer is judged by its own limit.
        if self.stuck_since.load(Ordering::Relaxed) > 0 { Duration::ZERO } else { self.since(&self.idle_since) }
    }

    /// For how long the client has taken nothing that waits for it.
    pub(super) fn stuck(&self) -> Duration {
        self.since(&self.stuck_since)
    }

    fn since(&self, since: &AtomicU64) -> Duration {
        match since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now().saturating_sub(since)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}
