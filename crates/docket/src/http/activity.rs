//! What a connection is doing, so that those who do nothing can be told from those who wait for us.
//!
//! Timers for every request would cost more than answering it. Instead each connection notes when it went idle or got
//! stuck, and one look at it every few seconds decides.

use std::sync::Arc;
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
    pub(super) fn request_began(self: &Arc<Self>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.idle_since.store(0, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
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

/// A request being answered. Dropped when its answer was handed over, or when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_whose_client_takes_its_requests_back_is_idle_again() {
        let activity = Arc::new(Activity::new());
        let is_idle = || activity.idle_since.load(Ordering::Relaxed) > 0;
        let (taken_back, other) = (activity.request_began(), activity.request_began());
        assert!(!is_idle());
        drop(taken_back);
        assert!(!is_idle(), "the other one is still being answered");
        drop(other);
        assert!(is_idle());
    }
}
