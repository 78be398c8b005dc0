//! Measures a registry, its ledger and the machine below them: one measurement a call, one JSON line a row.
//!
//! `bench/run` makes the calls, in one run, so that every figure stands beside its yardstick. The generator uses one
//! thread and answers nothing else, so that on a small machine it takes as little as it can from what it measures.

#![expect(clippy::cast_precision_loss, reason = "counts, sizes and times here stay far below 2^52")]

mod row;

mod usage;

mod http;

mod load;

mod limits;

mod registry;

mod ledger;

mod verify;

mod process;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures a registry, its ledger and the machine below them. `bench/run` makes the calls.
#[derive(Debug, Parser)]
#[command(name = "docket-bench", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the machine gives: signature checks, syncs, hashing
    Limits(limits::Args),
    /// Push what the other measurements read, and write the same bytes into a folder for a static file server
    Seed(registry::SeedArgs),
    /// Requests for one path, as many as fit into a time
    Get(registry::GetArgs),
    /// Push blobs, each with two requests, each with content of its own
    Push(registry::PushArgs),
    /// Register statements that were signed beforehand
    Register(ledger::RegisterArgs),
    /// Ask for fresh receipts of entries
    Refresh(ledger::RefreshArgs),
    /// Check one transparent statement again and again, in this process
    Verify(verify::Args),
    /// Time from starting a server to its first answer
    Start(process::StartArgs),
    /// Time that a command takes, from start to end
    Run(process::RunArgs),
    /// Memory that a process holds
    Memory(process::MemoryArgs),
    /// Print an address on this machine whose port is free
    Address,
    /// Put the rows of several runs into one table: medians, ranges, ratios
    Table {
        /// Rows as the other commands print them, one file a run
        #[arg(required = true, value_name = "FILE")]
        runs: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    // One thread: see above.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = match Cli::parse().command {
        Command::Limits(args) => limits::run(&args)?,
        Command::Seed(args) => runtime.block_on(registry::seed(&args)).map(|()| Vec::new())?,
        Command::Get(args) => vec![runtime.block_on(registry::get(&args))?],
        Command::Push(args) => vec![runtime.block_on(registry::push(&args))?],
        Command::Register(args) => vec![runtime.block_on(ledger::register(&args))?],
        Command::Refresh(args) => vec![runtime.block_on(ledger::refresh(&args))?],
        Command::Verify(args) => runtime.block_on(verify::run(&args))?,
        Command::Start(args) => vec![process::start(&args)?],
        Command::Run(args) => vec![process::run(&args)?],
        Command::Memory(args) => vec![process::memory(&args)?],
        Command::Address => return say(&format!("{}\n", process::free_address()?)),
        Command::Table { runs } => return say(&row::table(&runs)?),
    };
    rows.iter().try_for_each(|row| say(&format!("{}\n", serde_json::to_string(row)?)))
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
