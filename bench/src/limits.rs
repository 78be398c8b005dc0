//! The machine's own limits, the yardsticks of everything else: one core each, nothing else running.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use docket_proof::crypto::{SignatureAlgorithm, sha256};
use docket_proof::key::SigningKey;

use crate::load::microseconds;
use crate::row::Figure;
use crate::usage;

/// Signature checks per second.
pub(crate) fn signature_checks() -> anyhow::Result<Figure> {
    Ok(signature_check_rate()?.figure(1.0, "/s"))
}

/// Time of one signature check.
pub(crate) fn signature_check_us() -> anyhow::Result<f64> {
    Ok(signature_check_rate()?.each_us())
}

fn signature_check_rate() -> anyhow::Result<Rate> {
    let key = SigningKey::generate();
    let message = [7; MESSAGE_BYTES];
    let signature = key.sign(&message);
    rate(|| std::hint::black_box(key.public().verify(SignatureAlgorithm::Es256, &message, &signature)))
}

/// Bytes hashed per second.
pub(crate) fn hashing() -> anyhow::Result<Figure> {
    let block = vec![7; HASHED_BYTES];
    let rate = rate(|| std::hint::black_box(sha256(&block)))?;
    Ok(rate.figure(HASHED_BYTES as f64 / 1e6, "MB/s"))
}

/// Pages appended and synced per second, as a database does with its log.
pub(crate) fn syncs(folder: &Path) -> anyhow::Result<Figure> {
    let path = folder.join("sync");
    let file = OpenOptions::new().create_new(true).append(true).open(&path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    let measured = append(&mut file);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    let mut times = measured.with_context(|| format!("cannot write {}", path.display()))?;
    times.sort_unstable();
    let quantile = |share: usize| times.get(times.len() * share / 100).copied().map(microseconds);
    let total: Duration = times.iter().sum();
    let rate = Figure::new(times.len() as f64 / total.as_secs_f64(), "/s");
    Ok(Figure { p50_us: quantile(50), p99_us: quantile(99), ..rate })
}

fn append(file: &mut File) -> std::io::Result<Vec<Duration>> {
    let (page, started, mut times) = ([7; PAGE_BYTES], Instant::now(), Vec::new());
    while started.elapsed() < TIME && times.len() < SYNCS_MAX {
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

    /// CPU time of one: what is on the other cores does not count.
    pub(crate) fn each_cpu_us(self) -> f64 {
        microseconds(self.cpu) / self.count
    }

    /// The figure with the CPU time of one; where that is less than its share of the time, somebody else had the core.
    fn figure(self, worth: f64, unit: &'static str) -> Figure {
        let rate = self.count / self.elapsed.as_secs_f64();
        Figure { client_cpu: Some(microseconds(self.cpu) / self.count), ..Figure::new(rate * worth, unit) }
    }
}

/// Does `work` over and over for that time.
pub(crate) fn rate<T>(mut work: impl FnMut() -> T) -> anyhow::Result<Rate> {
    // Caches and clock speed settle first.
    let warm = Instant::now();
    while warm.elapsed() < TIME / 10 {
        work();
    }
    let (before, started, mut count) = (usage::own_cpu()?, Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        work();
        count += 1;
    }
    let elapsed = started.elapsed();
    Ok(Rate { count: f64::from(count), elapsed, cpu: usage::own_cpu()?.saturating_sub(before) })
}

/// What each limit takes.
const TIME: Duration = Duration::from_secs(1);
/// About what a statement signs.
const MESSAGE_BYTES: usize = 300;
const HASHED_BYTES: usize = 1024 * 1024;
const PAGE_BYTES: usize = 4096;
/// Keeps the file small on a disk that does not really sync.
const SYNCS_MAX: usize = 100_000;
