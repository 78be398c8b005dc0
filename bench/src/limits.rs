//! The machine's own limits, the yardsticks of everything else: one core each, nothing else running.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use docket_proof::crypto::sha256;
use docket_proof::key::SigningKey;

use crate::load::microseconds;
use crate::row::Row;
use crate::usage;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder on the disk that the registry writes to
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Time for each limit, in seconds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Measures each limit.
pub(crate) fn run(args: &Args) -> anyhow::Result<Vec<Row>> {
    let time = Duration::from_secs(args.seconds);
    Ok(vec![signature_checks(time)?, hashing(time)?, syncs(&args.folder, time)?])
}

fn signature_checks(time: Duration) -> anyhow::Result<Row> {
    let key = SigningKey::generate();
    let message = [7; MESSAGE_BYTES];
    let signature = key.sign(&message);
    let rate = rate(time, || std::hint::black_box(key.public().verify(&message, &signature)))?;
    Ok(rate.row("p256", "P-256 signature checks, one core", 1.0, "/s"))
}

fn hashing(time: Duration) -> anyhow::Result<Row> {
    let block = vec![7; HASHED_BYTES];
    let rate = rate(time, || std::hint::black_box(sha256(&block)))?;
    Ok(rate.row("sha256", "SHA-256 of 1 MiB, one core", HASHED_BYTES as f64 / 1e9, "GB/s"))
}

/// Appends a page and syncs it, as a database does with its log.
fn syncs(folder: &Path, time: Duration) -> anyhow::Result<Row> {
    let path = folder.join("docket-bench-sync");
    let file = OpenOptions::new().create_new(true).append(true).open(&path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    let measured = append(&mut file, time);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    let mut times = measured.with_context(|| format!("cannot write {}", path.display()))?;
    times.sort_unstable();
    let quantile = |share: usize| times.get(times.len() * share / 100).copied().map(microseconds);
    let total: Duration = times.iter().sum();
    Ok(Row {
        p50_us: quantile(50),
        p99_us: quantile(99),
        ..Row::new("sync", "append 4 KiB + fdatasync", times.len() as f64 / total.as_secs_f64(), "/s")
    })
}

fn append(file: &mut File, time: Duration) -> std::io::Result<Vec<Duration>> {
    let (page, started, mut times) = ([7; PAGE_BYTES], Instant::now(), Vec::new());
    while started.elapsed() < time && times.len() < SYNCS_MAX {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// How fast one thread does something over and over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    count: f64,
    elapsed: Duration,
    cpu: Duration,
}

impl Rate {
    /// Time of one, as the clock on the wall tells it.
    pub(crate) fn each_us(self) -> f64 {
        microseconds(self.elapsed) / self.count
    }

    /// The figure with the CPU time of one; where that is less than its share of the time, somebody else had the core.
    fn row(self, id: &str, title: &str, worth: f64, unit: &str) -> Row {
        let rate = self.count / self.elapsed.as_secs_f64();
        Row { client_us: Some(microseconds(self.cpu) / self.count), ..Row::new(id, title, rate * worth, unit) }
    }
}

/// Does `work` over and over, for a time.
pub(crate) fn rate<T>(time: Duration, mut work: impl FnMut() -> T) -> anyhow::Result<Rate> {
    // Caches and clock speed settle first.
    let warm = Instant::now();
    while warm.elapsed() < time / 10 {
        work();
    }
    let used = || usage::cpu(std::process::id());
    let (before, started, mut count) = (used()?, Instant::now(), 0_u32);
    while started.elapsed() < time {
        work();
        count += 1;
    }
    let elapsed = started.elapsed();
    Ok(Rate { count: f64::from(count), elapsed, cpu: used()?.saturating_sub(before) })
}

/// About what a statement signs.
const MESSAGE_BYTES: usize = 300;
const HASHED_BYTES: usize = 1024 * 1024;
const PAGE_BYTES: usize = 4096;
/// Keeps the file small on a disk that does not really sync.
const SYNCS_MAX: usize = 100_000;
