//! Calls to the disk that fail: each kind, early and late, once or from then on.
//!
//! strace counts the calls of every thread for itself, so a fault meant for the third call of a thread may come several times.

use std::path::Path;

use futures_util::stream::{self, StreamExt as _};

use super::promises::Promises;
use super::trace::FAST;
use super::workload::work;
use crate::harness::{Issuer, Server, Site};

/// Calls that fail alike, and which of them.
struct Faults {
    calls: &'static str,
    /// Only on these files of the data folder; none = on all.
    files: &'static [&'static str],
    when: &'static [&'static str],
    /// Whether the server may end itself, since what is on the disk is unknown after an EIO. A full disk ends it only
    /// where it keeps the head guard from the disk.
    may_end: fn(error: &str) -> bool,
}

const FAULTS: [Faults; 9] = [
    // The log, the database, blobs, folders.
    Faults { calls: "fsync", files: &[], when: &["1", "2", "3", "5", "3+"], may_end: |_| true },
    Faults { calls: "fdatasync", files: &["guard"], when: &["1", "2"], may_end: |_| true },
    Faults {
        calls: "pwrite64",
        files: &["docket.db-wal"],
        when: &["1", "2", "3", "9", "14", "12+"],
        may_end: is_broken,
    },
    Faults { calls: "pwrite64", files: &[], when: &["1", "4", "40+"], may_end: |_| true },
    Faults { calls: "ftruncate", files: &[], when: &["1", "2"], may_end: |_| true },
    // Of a blob, or of the key that comes into force.
    Faults { calls: "rename,renameat2", files: &[], when: &["1", "1+"], may_end: |_| true },
    Faults { calls: "mkdir", files: &[], when: &["1", "2"], may_end: |_| false },
    Faults { calls: "unlink,unlinkat", files: &[], when: &["1", "2"], may_end: |_| false },
    Faults { calls: "openat", files: &["", "blobs", "blobs/sha256"], when: &["1", "2", "1+"], may_end: is_broken },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_takes_nothing_that_was_answered_and_shows_nothing_by_halves() {
    let prepared = Site::new();
    let issuer = prepared.admit("wabbit");
    let runs = FAULTS.iter().flat_map(|faults| {
        let errors = ["EIO", "ENOSPC"].into_iter();
        errors.flat_map(move |error| faults.when.iter().map(move |when| (faults, error, *when)))
    });
    let runs = runs.map(|(faults, error, when)| run(&prepared, &issuer, faults, error, when));
    let ran: Vec<(bool, bool)> = stream::iter(runs).buffer_unordered(RUNS_AT_ONCE).collect().await;
    let served = ran.iter().filter(|(served, _)| *served).count();
    let failed = ran.iter().filter(|(_, failed)| *failed).count();
    assert!(served * 2 > ran.len(), "only {served} of {} servers started", ran.len());
    assert!(failed * 4 > ran.len() * 3, "only in {failed} of {} runs did a call fail", ran.len());
}

/// Runs a server whose calls fail. Gives whether it started, and whether a call did fail.
async fn run(prepared: &Site, issuer: &Issuer, faults: &Faults, error: &str, when: &str) -> (bool, bool) {
    let site = prepared.copy();
    let what = format!("{error} of {} on {:?}, call {when}", faults.calls, faults.files);
    let inject = format!("inject={}:error={error}:when={when}", faults.calls);
    let trace = format!("trace={}", faults.calls);
    let paths: Vec<_> = faults.files.iter().map(|file| text(&site.data().join(file))).collect();
    let seen = text(&site.folder().join("trace"));
    let mut starter = vec!["strace", "-D", "-f", FAST, "-o", &seen, "-e", &trace, "-e", &inject];
    paths.iter().for_each(|path| starter.extend(["-P", path.trim_end_matches('/')]));
    let started = Server::try_start_under(&site, &starter);
    let served = started.is_ok();
    let promises = match started {
        Ok(server) => {
            let promises = work(&site, &server, issuer, ROUNDS).await;
            server.terminate();
            let (status, log) = server.finished().await;
            assert!(!log.contains("panicked"), "{what}: {log}");
            let ended_itself = std::os::unix::process::ExitStatusExt::signal(&status) == Some(ABORTED);
            assert!(status.success() || ended_itself && (faults.may_end)(error), "{what}: {status}, {log}");
            promises
        }
        Err(log) => {
            assert!(!log.contains("panicked") && !log.is_empty(), "{what}: {log}");
            Vec::new()
        }
    };
    let promises = Promises::new(promises, prepared.receipt_key());
    let problems = promises.check(&site.data(), |_| true).await;
    assert!(problems.is_empty(), "{what}: {problems:#?}");
    let trace = std::fs::read_to_string(seen).expect("the trace is text");
    (served, trace.contains("(INJECTED)"))
}

fn is_broken(error: &str) -> bool {
    error == "EIO"
}

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

const RUNS_AT_ONCE: usize = 4;
const ROUNDS: u64 = 3;
const ABORTED: i32 = 6;
