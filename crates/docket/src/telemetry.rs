//! What the process tells about itself: the log, one line per event on stderr with fields after a constant message, and
//! metrics.

mod metrics;
mod process;
mod traffic;

pub(crate) use metrics::scrape;
pub(crate) use traffic::{Answering, OpenConnection, Traffic};

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The filter of the running log.
pub(crate) struct LogFilter(Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>);

impl LogFilter {
    /// Filters by something else from now on.
    pub(crate) fn change(&self, filter: EnvFilter) -> anyhow::Result<()> {
        (self.0)(filter)
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LogFilter")
    }
}

/// Starts logging with a filter.
pub(crate) fn start(filter: EnvFilter) -> anyhow::Result<LogFilter> {
    let colour = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    let subscriber = subscriber.with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.try_init().map_err(|failure| anyhow::anyhow!("{failure}"))?;
    Ok(LogFilter(Box::new(move |filter| Ok(handle.reload(filter)?))))
}

/// A filter such as `info` or `docket_engine=debug`.
pub(crate) fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(text).map_err(|failure| anyhow::anyhow!("log filter {text:?}: {failure}"))
}
