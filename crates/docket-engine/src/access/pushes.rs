//! Pushes under way: clients fetch a token once and may push with it for hours, so a push keeps its token alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use docket_oci::name::RepositoryName;
use moka::sync::Cache;

use super::token::Token;
use crate::clock::Clock;

/// Which tokens were used for pushes to which repositories, and when.
#[derive(Debug)]
pub(super) struct Pushes {
    marks: Cache<String, Arc<Mark>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Mark {
    /// Requests of the push that are being answered.
    open: AtomicUsize,
    /// When one was last answered.
    last: AtomicI64,
}

/// One request of a push, until it is dropped.
#[derive(Debug)]
pub(super) struct OpenPush {
    mark: Arc<Mark>,
    clock: Clock,
}

impl Pushes {
    pub(super) fn new(clock: Clock) -> Self {
        let marks = Cache::builder().max_capacity(MARKS_MAX).time_to_live(Duration::from_secs(PUSH_SECONDS_MAX as u64));
        Self { marks: marks.build(), clock }
    }

    /// Whether a token is good for what a push to this repository does: until it expires, and after that as long as
    /// the push goes on, but not for ever.
    pub(super) fn is_alive(&self, token: &Token, repository: &RepositoryName) -> bool {
        let now = self.clock.now();
        let going_on = |mark: &Mark| {
            mark.open.load(Ordering::Acquire) > 0 || now - mark.last.load(Ordering::Acquire) <= PAUSE_SECONDS_MAX
        };
        now < token.expires_at
            || (now - token.issued_at < PUSH_SECONDS_MAX
                && self.marks.get(&key(token, repository)).is_some_and(|mark| going_on(&mark)))
    }

    /// Notes a request of a push.
    pub(super) fn begin(&self, token: &Token, repository: &RepositoryName) -> OpenPush {
        let mark = self.marks.get_with(key(token, repository), Arc::default);
        mark.open.fetch_add(1, Ordering::AcqRel);
        OpenPush { mark, clock: self.clock.clone() }
    }
}

impl Drop for OpenPush {
    fn drop(&mut self) {
        self.mark.last.store(self.clock.now(), Ordering::Release);
        self.mark.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A line break occurs in no name.
fn key(token: &Token, repository: &RepositoryName) -> String {
    format!("{}\n{repository}", token.id)
}

/// Seconds between two requests of a push after which it counts as ended.
const PAUSE_SECONDS_MAX: i64 = 10 * 60;
/// Seconds for which a push can keep its token alive, counted from when the token was made.
const PUSH_SECONDS_MAX: i64 = 24 * 60 * 60;
/// Pushes that are remembered; one that is forgotten costs its client a new token.
const MARKS_MAX: u64 = 10_000;
