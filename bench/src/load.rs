//! Load: connections that are kept open and busy until the work or the time is up.
//!
//! Each connection has one request under way, so a slow answer delays the next question (a closed loop): rates are
//! what a server can do, and times are what its clients wait under that load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::http::{Answer, Connection};
use crate::row::{CpuUnit, Figure};
use crate::server::Server;
use crate::usage::{Used, Watch};

/// What connections do.
pub(crate) trait Work: Send + Sync + 'static {
    /// Does the next operation on a connection. Operations are numbered from 0 over all connections.
    fn step(&self, connection: &mut Connection, number: usize) -> impl Future<Output = anyhow::Result<Step>> + Send;
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was answered as it should be, and moved so many bytes of content.
    Done(u64),
    /// It was answered otherwise.
    Failed,
    /// There was nothing left to do.
    Over,
}

/// The same requests again and again, until a time.
#[derive(Debug, Clone)]
pub(crate) struct Cycle {
    /// At least one.
    pub requests: Vec<Vec<u8>>,
    /// Length of the body that each must be answered with, beside 200; `None` where they differ.
    pub body_bytes: Option<u64>,
    /// When no more is started.
    pub until: Instant,
}

/// Each request once.
#[derive(Debug)]
pub(crate) struct Each {
    pub requests: Vec<Vec<u8>>,
    /// What each must be answered with.
    pub status: u16,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Time of each operation, sorted.
    times: Vec<Duration>,
    failures: usize,
    bytes: u64,
    used: Used,
}

/// What a figure says of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Operations per second, with CPU time per operation.
    Operations,
    /// Bytes per second, with CPU time per GiB.
    Bytes,
    /// The time that 99 of 100 operations stay below; without CPU time, which others beside them may have taken.
    P99,
}

/// Keeps `connections` busy. Every connection stands before the clock starts.
pub(crate) async fn run<W: Work>(server: &Server, connections: usize, work: W) -> anyhow::Result<Measured> {
    let (work, numbers) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let ready = Arc::new(Barrier::new(connections + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut connection = server.target.connect().await?;
        let (work, numbers, ready) = (Arc::clone(&work), Arc::clone(&numbers), Arc::clone(&ready));
        tasks.spawn(async move {
            ready.wait().await;
            busy(&mut connection, work.as_ref(), &numbers).await
        });
    }
    let watch = Watch::start(server.process)?;
    ready.wait().await;
    let (mut times, mut failures, mut bytes) = (Vec::new(), 0, 0);
    let everything = async {
        while let Some(ended) = tasks.join_next().await {
            let done = ended??;
            times.extend(done.times);
            failures += done.failures;
            bytes += done.bytes;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(RUN_TIME_MAX, everything).await.context("the measurement did not end in time")??;
    let used = watch.stop()?;
    times.sort_unstable();
    Ok(Measured { times, failures, bytes, used })
}

/// What one connection did.
#[derive(Debug, Default)]
struct Done {
    times: Vec<Duration>,
    failures: usize,
    bytes: u64,
}

async fn busy<W: Work>(connection: &mut Connection, work: &W, numbers: &AtomicUsize) -> anyhow::Result<Done> {
    let mut done = Done::default();
    loop {
        let began = Instant::now();
        match work.step(connection, numbers.fetch_add(1, Ordering::Relaxed)).await? {
            Step::Done(bytes) => {
                done.times.push(began.elapsed());
                done.bytes += bytes;
            }
            Step::Failed => done.failures += 1,
            Step::Over => return Ok(done),
        }
    }
}

impl Work for Cycle {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        if Instant::now() >= self.until {
            return Ok(Step::Over);
        }
        let answer = connection.exchange(&self.requests[number % self.requests.len()]).await?;
        let whole = self.body_bytes.is_none_or(|bytes| bytes == answer.body_bytes);
        Ok(if whole { Step::of(&answer, 200) } else { Step::Failed })
    }
}

impl Work for Each {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        let Some(request) = self.requests.get(number) else { return Ok(Step::Over) };
        Ok(Step::of(&connection.exchange(request).await?, self.status))
    }
}

impl Step {
    /// How a request ended that is answered with this status where all is well.
    pub(crate) fn of(answer: &Answer, status: u16) -> Self {
        if answer.status == status { Self::Done(answer.body_bytes) } else { Self::Failed }
    }
}

impl Measured {
    /// What the table says of it.
    pub(crate) fn figure(&self, unit: Unit) -> Figure {
        let (count, seconds, gib) = (self.times.len() as f64, self.used.elapsed.as_secs_f64(), self.bytes as f64 / GIB);
        let cpu = |cpu: Duration| match unit {
            Unit::Operations => (count > 0.0).then(|| microseconds(cpu) / count),
            Unit::Bytes => (gib > 0.0).then(|| cpu.as_secs_f64() / gib),
            Unit::P99 => None,
        };
        let figure = match unit {
            Unit::Operations => Figure::new(count / seconds, "/s"),
            Unit::Bytes => Figure::new(self.bytes as f64 / 1e6 / seconds, "MB/s"),
            Unit::P99 => Figure::new(self.quantile(0.99).unwrap_or(f64::NAN) / 1000.0, "ms"),
        };
        Figure {
            p50_us: self.quantile(0.5),
            p99_us: self.quantile(0.99),
            server_cpu: self.used.server_cpu.and_then(cpu),
            client_cpu: cpu(self.used.client_cpu),
            cpu_unit: if unit == Unit::Bytes { CpuUnit::Gib } else { CpuUnit::Operation },
            client_share: Some(self.used.client_cpu.as_secs_f64() / seconds),
            memory_mib: self.used.server_peak_bytes.map(mebibytes),
            failures: self.failures,
            ..figure
        }
    }

    /// Operations that were not answered as they should be.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "a share of a count of operations")]
        let at = (self.times.len() as f64 * share) as usize;
        self.times.get(at.min(self.times.len().checked_sub(1)?)).copied().map(microseconds)
    }
}

/// A duration as the table has it.
pub(crate) fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A size as the table has it.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

const GIB: f64 = (1_u64 << 30) as f64;
/// No measurement takes longer.
const RUN_TIME_MAX: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(times: impl IntoIterator<Item = u64>) -> Measured {
        Measured {
            times: times.into_iter().map(Duration::from_micros).collect(),
            failures: 0,
            bytes: 1 << 30,
            used: Used {
                elapsed: Duration::from_secs(2),
                server_cpu: Some(Duration::from_millis(1)),
                client_cpu: Duration::from_secs(1),
                server_peak_bytes: Some(3 << 20),
            },
        }
    }

    #[test]
    fn a_figure_has_rate_quantiles_and_shares() {
        let figure = measured(1..=100).figure(Unit::Operations);
        assert!((figure.value - 50.0).abs() < 1e-9, "{figure:?}");
        let rounded =
            [figure.p50_us, figure.p99_us, figure.server_cpu, figure.memory_mib].map(|some| some.map(f64::round));
        assert_eq!(rounded, [51.0, 100.0, 10.0, 3.0].map(Some));
        assert_eq!(figure.client_share, Some(0.5));
    }

    #[test]
    fn bytes_are_counted_with_the_cpu_time_of_a_gigabyte() {
        let figure = measured(1..=100).figure(Unit::Bytes);
        assert!((figure.value - 536.870_912).abs() < 1e-6, "{figure:?}");
        assert_eq!((figure.server_cpu, figure.client_cpu), (Some(0.001), Some(1.0)));
    }

    #[test]
    fn nothing_done_is_a_figure_without_times() {
        let figure = measured([]).figure(Unit::Operations);
        assert_eq!((figure.p50_us, figure.server_cpu), (None, None));
        assert!(figure.value.abs() < 1e-9, "{figure:?}");
    }
}
