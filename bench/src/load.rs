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

use crate::http::{Connection, Target};
use crate::row::{Row, RowArgs};
use crate::usage;

/// What connections do.
pub(crate) trait Work: Send + Sync + 'static {
    /// Does the next operation on a connection. Operations are numbered from 0 over all connections.
    fn step(&self, connection: &mut Connection, number: usize) -> impl Future<Output = anyhow::Result<Step>> + Send;
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was answered as it should be.
    Done,
    /// It was answered otherwise.
    Failed,
    /// There was nothing left to do.
    Over,
}

/// The same requests again and again, until a time.
#[derive(Debug)]
pub(crate) struct Cycle {
    /// At least one.
    pub requests: Vec<Vec<u8>>,
    /// What each must be answered with.
    pub status: u16,
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
    elapsed: Duration,
    server_cpu: Option<Duration>,
    client_cpu: Duration,
}

/// Keeps `connections` busy; `server` is the process whose CPU time counts. Every connection stands before the clock
/// starts.
pub(crate) async fn run<W: Work>(
    target: &Target,
    connections: usize,
    server: Option<u32>,
    work: W,
) -> anyhow::Result<Measured> {
    let (work, numbers) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let ready = Arc::new(Barrier::new(connections + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut connection = target.connect().await?;
        let (work, numbers, ready) = (Arc::clone(&work), Arc::clone(&numbers), Arc::clone(&ready));
        tasks.spawn(async move {
            ready.wait().await;
            busy(&mut connection, work.as_ref(), &numbers).await
        });
    }
    let used = || anyhow::Ok((server.map(usage::cpu).transpose()?, usage::cpu(std::process::id())?));
    let (server_before, client_before) = used()?;
    ready.wait().await;
    let started = Instant::now();
    let (mut times, mut failures) = (Vec::new(), 0);
    let everything = async {
        while let Some(ended) = tasks.join_next().await {
            let (more, failed) = ended??;
            times.extend(more);
            failures += failed;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(RUN_TIME_MAX, everything).await.context("the measurement did not end in time")??;
    let elapsed = started.elapsed();
    let (server_after, client_after) = used()?;
    times.sort_unstable();
    Ok(Measured {
        times,
        failures,
        elapsed,
        server_cpu: server_after.zip(server_before).map(|(after, before)| after.saturating_sub(before)),
        client_cpu: client_after.saturating_sub(client_before),
    })
}

async fn busy<W: Work>(
    connection: &mut Connection,
    work: &W,
    numbers: &AtomicUsize,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let (mut times, mut failures) = (Vec::new(), 0);
    loop {
        let began = Instant::now();
        match work.step(connection, numbers.fetch_add(1, Ordering::Relaxed)).await? {
            Step::Done => times.push(began.elapsed()),
            Step::Failed => failures += 1,
            Step::Over => return Ok((times, failures)),
        }
    }
}

impl Work for Cycle {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        if Instant::now() >= self.until {
            return Ok(Step::Over);
        }
        let request = &self.requests[number % self.requests.len()];
        Ok(Step::of(connection.exchange(&[request]).await?.status == self.status))
    }
}

impl Work for Each {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        let Some(request) = self.requests.get(number) else { return Ok(Step::Over) };
        Ok(Step::of(connection.exchange(&[request]).await?.status == self.status))
    }
}

impl Step {
    /// How an operation ended that was done.
    pub(crate) fn of(good: bool) -> Self {
        if good { Self::Done } else { Self::Failed }
    }
}

impl Measured {
    /// A row of operations per second.
    pub(crate) fn row(&self, args: &RowArgs) -> Row {
        self.scaled(args, 1.0, "/s")
    }

    /// A row of another unit, of which each operation is worth `each`.
    pub(crate) fn scaled(&self, args: &RowArgs, each: f64, unit: &str) -> Row {
        let count = self.times.len() as f64;
        let share = |cpu: Duration| (count > 0.0).then(|| microseconds(cpu) / count);
        Row {
            p50_us: self.quantile(0.5),
            p99_us: self.quantile(0.99),
            server_us: self.server_cpu.and_then(share),
            client_us: share(self.client_cpu),
            failures: self.failures,
            ..args.figure(count * each / self.elapsed.as_secs_f64(), unit)
        }
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

/// No measurement takes longer.
const RUN_TIME_MAX: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(times: impl IntoIterator<Item = u64>) -> Measured {
        Measured {
            times: times.into_iter().map(Duration::from_micros).collect(),
            failures: 0,
            elapsed: Duration::from_secs(2),
            server_cpu: Some(Duration::from_millis(1)),
            client_cpu: Duration::ZERO,
        }
    }

    fn args() -> RowArgs {
        RowArgs { row: "id".to_owned(), title: "title".to_owned(), against: None, goal: None }
    }

    #[test]
    fn a_row_has_rate_quantiles_and_shares() {
        let row = measured(1..=100).row(&args());
        assert!((row.value - 50.0).abs() < 1e-9, "{row:?}");
        assert_eq!(row.p50_us.map(f64::round), Some(51.0));
        assert_eq!(row.p99_us.map(f64::round), Some(100.0));
        assert_eq!(row.server_us.map(f64::round), Some(10.0));
    }

    #[test]
    fn nothing_done_is_a_row_without_times() {
        let row = measured([]).row(&args());
        assert_eq!((row.p50_us, row.server_us), (None, None));
        assert!(row.value.abs() < 1e-9, "{row:?}");
    }
}
