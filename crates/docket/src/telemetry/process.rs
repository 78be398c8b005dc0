//! What the operating system says about this process. Where there is no `/proc`, nothing is said.

use std::time::Duration;

/// Memory, time and files of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Process {
    /// Bytes in memory.
    pub resident_bytes: Option<u64>,
    /// Processor time, user and system.
    pub cpu_time: Option<Duration>,
    /// Open files and sockets.
    pub open_files: Option<u64>,
}

impl Process {
    pub(crate) fn read() -> Self {
        Self {
            resident_bytes: resident_bytes(),
            cpu_time: cpu_time(),
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(USER_TIME_AFTER_NAME)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * TICK_MS))
}

/// Fields between the name and the user time (proc_pid_stat(5): fields 3 to 13).
const USER_TIME_AFTER_NAME: usize = 11;
/// `USER_HZ` is 100 for every program on every processor Docket is built for.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.open_files.is_some_and(|files| files >= 3), "{process:?}");
        assert!(process.cpu_time.is_some(), "{process:?}");
    }
}
