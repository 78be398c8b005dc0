//! What processes used: CPU time and memory, as Linux tells it in /proc.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Watches a server and this generator from a moment on.
#[derive(Debug)]
pub(crate) struct Watch {
    server: Option<u32>,
    server_before: Option<Duration>,
    client_before: Duration,
    started: Instant,
}

/// What was used since that moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// On the wall's clock.
    pub elapsed: Duration,
    /// CPU time of the server, where its process is known.
    pub server_cpu: Option<Duration>,
    /// CPU time of this generator.
    pub client_cpu: Duration,
    /// The most memory that the server held at one moment.
    pub server_peak_bytes: Option<u64>,
}

impl Watch {
    /// Starts the clock.
    pub(crate) fn start(server: Option<u32>) -> anyhow::Result<Self> {
        let server_before = server.map(cpu).transpose()?;
        if let Some(server) = server {
            forget_peak(server);
        }
        Ok(Self { server, server_before, client_before: own_cpu()?, started: Instant::now() })
    }

    /// Reads it.
    pub(crate) fn stop(&self) -> anyhow::Result<Used> {
        let elapsed = self.started.elapsed();
        let server_after = self.server.map(cpu).transpose()?;
        Ok(Used {
            elapsed,
            server_cpu: server_after.zip(self.server_before).map(|(after, before)| after.saturating_sub(before)),
            client_cpu: own_cpu()?.saturating_sub(self.client_before),
            server_peak_bytes: self.server.map(peak_bytes).transpose()?,
        })
    }
}

/// CPU time, user and system, of a process with all its threads, and of its children that still run (a server with
/// worker processes). Exact to 10 ms.
pub(crate) fn cpu(process: u32) -> anyhow::Result<Duration> {
    let mut ticks = cpu_ticks(process)?;
    for child in children(process) {
        // A child may end at any moment.
        ticks += cpu_ticks(child).unwrap_or_default();
    }
    Ok(time(ticks))
}

/// CPU time of this process alone: its children are the servers.
pub(crate) fn own_cpu() -> anyhow::Result<Duration> {
    cpu_ticks(std::process::id()).map(time)
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Memory that a process and its children hold, in bytes; pages they share are counted in each.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    with_children(process, "VmRSS:")
}

/// The most that they held since the last `forget_peak`, or since their start where the kernel forgets for nobody else.
fn peak_bytes(process: u32) -> anyhow::Result<u64> {
    with_children(process, "VmHWM:")
}

/// Starts the peak again from what is held now: writing 5 to clear_refs (proc(5)). It takes the owner of the process.
fn forget_peak(process: u32) {
    for process in [process].into_iter().chain(children(process)) {
        let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

fn with_children(process: u32, field: &str) -> anyhow::Result<u64> {
    let own = memory(process, field)?;
    // A child may end at any moment.
    Ok(own + children(process).iter().filter_map(|child| memory(*child, field).ok()).sum::<u64>())
}

fn cpu_ticks(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("there is no process {process}"))?;
    parse_ticks(&text).with_context(|| format!("{path} is not understood"))
}

/// The name of the process is in brackets and may hold anything, so fields are counted from its end: `utime` and
/// `stime` are the 14th and 15th of all, the 12th and 13th after it (proc(5)).
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn memory(process: u32, field: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("there is no process {process}"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).with_context(|| format!("{path} is not understood"))?;
    Ok(kib * 1024)
}

/// The kernel's unit for user space, fixed on every architecture that Docket runs on.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_process_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 31 0 0 20 0 3 0 100 1000 20";
        assert_eq!(parse_ticks(stat), Some(281));
        assert_eq!(parse_ticks("7 (short) S 1"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        let own = std::process::id();
        assert!(resident_bytes(own).expect("our own process") > 0);
        assert!(cpu(u32::MAX).is_err());
    }

    #[test]
    fn a_peak_is_of_the_time_that_is_watched() {
        let own = std::process::id();
        drop(std::hint::black_box(vec![7_u8; 64 << 20]));
        assert!(peak_bytes(own).expect("our own process") > 64 << 20);
        let mut peaks = (0..20).map(|_| {
            let watch = Watch::start(Some(own)).expect("our own process");
            watch.stop().expect("our own process").server_peak_bytes
        });
        // A child that another test is starting has our memory for a moment, too.
        assert!(peaks.any(|peak| peak.is_some_and(|bytes| bytes < 64 << 20)));
    }
}
