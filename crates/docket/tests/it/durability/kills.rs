//! Death at calls to the kernel, early and late, of every kind that writes; and death again, while the next start recovers.

use std::os::unix::process::ExitStatusExt as _;

use futures_util::stream::{self, StreamExt as _};

use super::promises::Promises;
use super::workload::work;
use crate::harness::{Issuer, Server, Site};

/// Calls at which the server dies, and which of them: strace counts for each thread.
const KILLS: [(&str, &[u32]); 8] = [
    ("openat", &[20, 60, 90]),
    ("write", &[2, 9, 30]),
    ("pwrite64", &[1, 3, 8, 20, 45]),
    ("fsync", &[1, 2, 4, 7]),
    ("fdatasync", &[1, 2, 3]),
    ("rename,renameat2", &[1, 2]),
    ("unlink,unlinkat", &[1, 2]),
    ("ftruncate", &[1]),
];

#[tokio::test(flavor = "multi_thread")]
async fn death_at_any_call_and_again_in_recovery_takes_nothing_that_was_answered() {
    let prepared = Site::new();
    let issuer = prepared.admit("wabbit");
    let kills = KILLS.iter().flat_map(|(calls, when)| when.iter().map(move |when| (*calls, *when)));
    let runs = kills.enumerate().map(|(number, (calls, when))| run(&prepared, &issuer, number, calls, when));
    let died: Vec<bool> = stream::iter(runs).buffer_unordered(RUNS_AT_ONCE).collect().await;
    let deaths = died.iter().filter(|died| **died).count();
    assert!(deaths * 4 > died.len() * 3, "only {deaths} of {} servers died", died.len());
}

/// Lets a server work until it dies at a call, and the next one die while it starts. Gives whether the first one died.
async fn run(prepared: &Site, issuer: &Issuer, number: usize, calls: &str, when: u32) -> bool {
    let site = prepared.copy();
    let what = format!("death at {calls}, call {when}");
    let started = start(&site, calls, when);
    let (promises, died) = match started {
        Ok(server) => {
            let promises = work(&site, &server, issuer, ROUNDS).await;
            server.terminate();
            let (status, _) = server.finished().await;
            (promises, status.signal() == Some(KILLED))
        }
        Err(_) => (Vec::new(), true),
    };
    // Recovery writes little: its calls are counted from the first.
    let (calls, when) = RECOVERIES[number % RECOVERIES.len()];
    if let Ok(server) = start(&site, calls, when) {
        server.kill();
        server.finished().await;
    }
    let promises = Promises::new(promises, prepared.receipt_key());
    let problems = promises.check(&site.data(), |_| true).await;
    assert!(problems.is_empty(), "{what}, then at {calls}, call {when}: {problems:#?}");
    died
}

fn start(site: &Site, calls: &str, when: u32) -> Result<Server, String> {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={when}"));
    // The calls themselves are of no interest here.
    Server::try_start_under(site, &["strace", "-D", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}

/// Where the second server dies, in turn.
const RECOVERIES: [(&str, u32); 5] = [("fsync", 1), ("pwrite64", 1), ("openat", 40), ("fdatasync", 1), ("fsync", 2)];
const RUNS_AT_ONCE: usize = 4;
const KILLED: i32 = 9;
const ROUNDS: u64 = 3;
