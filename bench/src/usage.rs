//! What a process used: CPU time and memory, as Linux tells it in /proc.

use std::time::Duration;

use anyhow::Context as _;

/// CPU time, user and system, of a process with all its threads, and of its children that still run (a server with
/// worker processes). Exact to 10 ms.
pub(crate) fn cpu(process: u32) -> anyhow::Result<Duration> {
    let mut ticks = cpu_ticks(process)?;
    for child in children(process) {
        // A child may end at any moment.
        ticks += cpu_ticks(child).unwrap_or_default();
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Memory that a process and its children hold, in bytes; pages they share are counted in each.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let own = resident(process)?;
    Ok(own + children(process).iter().filter_map(|child| resident(*child).ok()).sum::<u64>())
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

fn resident(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("there is no process {process}"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
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
        assert!(resident_bytes(std::process::id()).expect("our own process") > 0);
        assert!(cpu(u32::MAX).is_err());
    }
}
