//! How often a server waits for the disk while blobs are pushed to it, counted by strace.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::process::Process;
use crate::row::Figure;
use crate::server::Server;
use crate::write;

/// Syncs for each blob. `None` where the server's process is not known or strace is not installed.
pub(crate) async fn measure(server: &Server, folder: &Path) -> anyhow::Result<Option<Figure>> {
    let Some(process) = server.process.filter(|_| Path::new(STRACE).exists()) else { return Ok(None) };
    let trace = folder.join("trace");
    let words = [STRACE, "-f", "-o", &trace.display().to_string(), "-e", TRACED, "-p", &process.to_string()];
    let mut strace = Process::start(&words.map(str::to_owned), &folder.join("strace"))?;
    attached(process).await?;
    let pushed = write::push(server, BLOBS, 1 << 20, 4, None).await;
    // It lets go of the server on this signal.
    strace.end(Signal::INT)?;
    ensure!(pushed?.failures() == 0, "{} refuses blobs", server.name);
    let text = std::fs::read_to_string(&trace).with_context(|| format!("cannot read {}", trace.display()))?;
    Ok(Some(Figure::new(count(&text) as f64 / BLOBS as f64, "syncs")))
}

/// Calls in a trace: each has a line with its name and a bracket; one that another interrupts has a second without.
fn count(trace: &str) -> usize {
    trace.lines().filter(|line| line.contains("sync(") || line.contains("syncfs(")).count()
}

/// Waits until every thread of a process is traced.
async fn attached(process: u32) -> anyhow::Result<()> {
    let deadline = Instant::now() + ATTACH_TIME_MAX;
    let traced = || -> std::io::Result<bool> {
        for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let status = std::fs::read_to_string(thread?.path().join("status"))?;
            if status.contains("TracerPid:\t0\n") {
                return Ok(false);
            }
        }
        Ok(true)
    };
    // A thread may end between the two looks at it, so errors are no news.
    while !traced().unwrap_or(false) {
        ensure!(Instant::now() < deadline, "strace cannot watch process {process}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

const BLOBS: usize = 40;
const STRACE: &str = "/usr/bin/strace";
const TRACED: &str = "trace=fsync,fdatasync,sync,syncfs";
const ATTACH_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_call_counts_once() {
        let trace = "7 fdatasync(5) = 0\n8 fsync(9 <unfinished ...>\n7 fsync(5) = 0\n8 <... fsync resumed>) = 0\n";
        assert_eq!(count(trace), 3);
    }
}
