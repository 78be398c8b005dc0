//! What the process tells about itself: the log, one line per event on stderr with fields after a constant message, and
//! metrics.

mod metrics;
mod process;
mod traffic;

pub(crate) use metrics::scrape;
pub(crate) use traffic::{OpenConnection, Traffic};

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging with a filter such as `info` or `docket_engine=debug`.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|failure| anyhow::anyhow!("log filter {filter:?}: {failure}"))?;
    let colour = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    subscriber.try_init().map_err(|failure| anyhow::anyhow!("{failure}"))
}
