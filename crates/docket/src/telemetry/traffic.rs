//! Counts what goes through the listeners. A request costs a few relaxed atomics: every counter has its place in a table
//! before the first request comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::http::{Method, StatusCode};
use docket_store::{Spread, SpreadCounter};

/// Requests, connections and bytes since the server started.
#[derive(Debug)]
pub(crate) struct Traffic {
    requests: [[[AtomicU64; STATUS_CLASSES.len()]; METHODS.len()]; KINDS.len()],
    times: [SpreadCounter<{ TIME_BOUNDS_US.len() }>; KINDS.len()],
    in_flight: AtomicU64,
    connections: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// How many requests there were of one kind, method and class of status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestCount {
    pub kind: &'static str,
    pub method: &'static str,
    pub status: &'static str,
    pub count: u64,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self {
            requests: [const { [const { [const { AtomicU64::new(0) }; STATUS_CLASSES.len()] }; METHODS.len()] };
                KINDS.len()],
            times: [const { SpreadCounter::new(TIME_BOUNDS_US) }; KINDS.len()],
            in_flight: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        }
    }

    /// A request came.
    pub(crate) fn request(&self, method: &Method, path: &str) -> Answering<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Answering { traffic: self, kind: kind(path), method: method_class(method), since: Instant::now() }
    }

    /// A client connected. Drop the value when it is gone.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Requests by kind, method and status, those that never came left out.
    pub(crate) fn requests(&self) -> impl Iterator<Item = RequestCount> + '_ {
        let by_kind = KINDS.iter().zip(&self.requests);
        let by_method = by_kind
            .flat_map(|(kind, counts)| METHODS.iter().zip(counts).map(move |(method, counts)| (kind, method, counts)));
        let all = by_method.flat_map(|(kind, method, counts)| {
            STATUS_CLASSES.iter().zip(counts).map(move |(status, count)| RequestCount {
                kind,
                method,
                status,
                count: count.load(Ordering::Relaxed),
            })
        });
        all.filter(|request| request.count > 0)
    }

    /// Times until the answer began, by kind, in microseconds.
    pub(crate) fn times(&self) -> impl Iterator<Item = (&'static str, Spread)> + '_ {
        KINDS.iter().zip(&self.times).map(|(kind, times)| (*kind, times.read()))
    }

    /// Requests that are not answered yet.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes that came and went.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received_bytes.load(Ordering::Relaxed), self.sent_bytes.load(Ordering::Relaxed))
    }
}

/// A request that is being answered. Dropped without an answer when the client goes away.
#[derive(Debug)]
pub(crate) struct Answering<'a> {
    traffic: &'a Traffic,
    kind: usize,
    method: usize,
    since: Instant,
}

impl Answering<'_> {
    /// The answer begins; gives the microseconds it took until now.
    pub(crate) fn answered(self, status: StatusCode) -> u64 {
        let elapsed_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status.as_u16() / 100).clamp(FIRST_CLASS, LAST_CLASS) - FIRST_CLASS;
        self.traffic.requests[self.kind][self.method][class].fetch_add(1, Ordering::Relaxed);
        self.traffic.times[self.kind].record(elapsed_us);
        elapsed_us
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is counted while this lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Traffic>);

impl OpenConnection {
    /// Bytes were read from it.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes were written to it.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a path asks for, read from its end as the call's parser does: names of repositories may hold any of these words.
fn kind(path: &str) -> usize {
    let name = if path.starts_with("/v2") {
        let mut ends = path.trim_end_matches('/').rsplit('/');
        match (ends.next().unwrap_or_default(), ends.next().unwrap_or_default()) {
            ("uploads", "blobs") | (_, "uploads") => "upload",
            (_, "blobs") => "blob",
            (_, "manifests") => "manifest",
            ("list", "tags") | (_, "referrers") | ("_catalog", "v2") => "listing",
            ("entries", "ledger") | (_, "entries") => "ledger",
            _ => OTHER,
        }
    } else if path.starts_with("/entries") || path.starts_with("/.well-known/scitt-keys") {
        "ledger"
    } else if path.starts_with("/api/") {
        "query"
    } else {
        OTHER
    };
    place(&KINDS, name)
}

fn method_class(method: &Method) -> usize {
    place(&METHODS, method.as_str())
}

/// The place of a name, or of `other` at the end.
fn place(names: &[&str], name: &str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or(names.len() - 1)
}

const OTHER: &str = "other";
const KINDS: [&str; 7] = ["manifest", "blob", "upload", "listing", "ledger", "query", OTHER];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", OTHER];
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const FIRST_CLASS: usize = 1;
const LAST_CLASS: usize = STATUS_CLASSES.len();
/// From what memory answers to what a slow client sends.
const TIME_BOUNDS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 10_000_000, 60_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_counted_as_what_its_end_asks_for() {
        let cases = [
            ("/v2/", OTHER),
            ("/v2/a/b/manifests/v1", "manifest"),
            ("/v2/manifests/blobs/sha256:00", "blob"),
            ("/v2/a/blobs/uploads/", "upload"),
            ("/v2/a/blobs/uploads/12ab", "upload"),
            ("/v2/a/tags/list", "listing"),
            ("/v2/_catalog", "listing"),
            ("/v2/a/referrers/sha256:00", "listing"),
            ("/v2/a/_scitt/ledger/entries", "ledger"),
            ("/v2/a/_scitt/ledger/entries/12ab", "ledger"),
            ("/entries/12ab", "ledger"),
            ("/api/v1/claims", "query"),
            ("/favicon.ico", OTHER),
        ];
        for (path, expected) in cases {
            assert_eq!(KINDS[kind(path)], expected, "{path}");
        }
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_answered_or_given_up() {
        let traffic = Traffic::new();
        let (answered, given_up) = (traffic.request(&Method::GET, "/v2/"), traffic.request(&Method::PUT, "/v2/"));
        assert_eq!(traffic.in_flight(), 2);
        answered.answered(StatusCode::NOT_FOUND);
        drop(given_up);
        assert_eq!(traffic.in_flight(), 0);
        let counted: Vec<_> = traffic.requests().collect();
        assert_eq!(counted.len(), 1);
        assert_eq!((counted[0].kind, counted[0].method, counted[0].status, counted[0].count), (OTHER, "GET", "4xx", 1));
    }
}
