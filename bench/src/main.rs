//! Measures registries, Docket's ledger and the machine below them, side by side, so that every figure stands beside its
//! yardstick. `bench/run` builds and starts it.
//!
//! The generator uses one thread and a bare client, so that on a small machine it takes as little as it can from what it
//! measures; the table says how much that was.

#![expect(clippy::cast_precision_loss, reason = "counts, sizes and times here stay far below 2^52")]

mod plan;

mod run;

mod server;

mod read;

mod write;

mod mixed;

mod crowd;

mod syncs;

mod ledger;

mod decide;

mod verify;

mod limits;

mod load;

mod content;

mod http;

mod sink;

mod process;

mod usage;

mod row;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Measures registries side by side.
#[derive(Debug, Parser)]
#[command(name = "docket-bench", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures Docket beside what the machine gives, nginx with the same bytes, distribution, a bare server that hashes,
    /// writes and syncs, and any other registry.
    ///
    /// Prints a Markdown table on stdout: the median of the runs and their range, times of one operation, CPU time of server
    /// and generator (an operation's, or a GiB's), the most memory that the server held, the ratios of figure and server CPU
    /// to the row's yardstick, and the goal where there is one. Progress goes to stderr. Everything listens on loopback, and
    /// nothing is left behind. Where nginx, docker-registry (Debian's package of distribution) or strace is not installed,
    /// its rows are left out.
    Run(run::Options),
    /// Serve as the yardstick of pushes
    Sink(sink::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(options) => {
            // One thread: see above.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (mut interrupt, mut terminate) =
                    (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
                // Whoever is dropped here ends its servers and removes its folders.
                tokio::select! {
                    done = run::run(&options) => done,
                    _ = interrupt.recv() => anyhow::bail!("interrupted"),
                    _ = terminate.recv() => anyhow::bail!("terminated"),
                }
            })
        }
        Command::Sink(args) => sink::serve(&args),
    }
}
