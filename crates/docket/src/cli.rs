//! The command line: what was typed, and who does it. stdout is data, stderr is people.

mod backup;
mod claim;
mod copy;
mod fsck;
mod gc;
mod history;
mod init;
mod issuer;
mod key_file;
mod keys;
mod log;
mod ls;
mod operator;
mod output;
mod policy;
mod recover;
mod reload;
mod remote;
mod rm;
mod serve;
mod show;
mod trust;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use output::Exit;

/// An OCI registry that keeps a docket: who said what about an artifact, provably.
#[derive(Debug, Parser)]
#[command(name = "docket", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new registry and ledger: keys, empty registry, genesis entry
    Init(init::Args),
    /// Run registry and transparency service
    Serve(serve::Args),
    /// Make keys for issuers, encrypt private keys, change the service's own
    #[command(subcommand)]
    Keys(keys::Command),
    /// Admit issuers to the ledger
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Decide which statements enter the ledger
    #[command(subcommand)]
    Policy(policy::Command),
    /// Choose whom to believe
    #[command(subcommand)]
    Trust(trust::Command),
    /// Say something about an artifact, or ask what was said
    #[command(subcommand)]
    Claim(claim::Command),
    /// Follow a service's public log, and prove what it holds
    #[command(subcommand)]
    Log(log::Command),
    /// Show an artifact with its tags, evidence, claims and receipts
    Show(show::Args),
    /// Show every manifest a tag ever pointed to and each deletion, with proofs
    History(history::Args),
    /// List repositories, or the tags of one
    Ls(ls::Args),
    /// Remove a tag, or a manifest with every tag on it
    Rm(rm::Args),
    /// Copy artifacts between registries, layouts and archives
    Copy(copy::Args),
    /// Check an artifact against what you trust: exit 0 allowed, 1 refused, 2 could not judge
    Verify(verify::Args),
    /// Let a running server read its configuration again
    Reload(reload::Args),
    /// Prove everything stored again
    Fsck(fsck::Args),
    /// Remove what nothing needs any more; a running server goes on
    Gc(gc::Args),
    /// Copy a data folder, or make one from a copy
    #[command(subcommand)]
    Backup(backup::Command),
    /// Let a restored copy take changes again, after comparing it with what was said since
    Recover(recover::Args),
}

/// Runs the command that was typed.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(failure) => {
            // Help and version are answers, not errors.
            let _ = failure.print();
            return if failure.use_stderr() { Exit::Usage.into() } else { Exit::Allowed.into() };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(failure) => return output::fail(&anyhow::anyhow!("cannot start: {failure}")),
    };
    runtime.block_on(dispatch(cli.command)).map_or_else(|failure| output::fail(&failure), ExitCode::from)
}

async fn dispatch(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => init::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Issuer(command) => issuer::run(command).await,
        Command::Policy(command) => policy::run(command).await,
        Command::Trust(command) => trust::run(command).await,
        Command::Claim(command) => claim::run(command).await,
        Command::Log(command) => log::run(command).await,
        Command::Show(args) => show::run(args).await,
        Command::History(args) => history::run(args).await,
        Command::Ls(args) => ls::run(args).await,
        Command::Rm(args) => rm::run(args).await,
        Command::Copy(args) => copy::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Reload(args) => reload::run(args).await,
        Command::Fsck(args) => fsck::run(args).await,
        Command::Gc(args) => gc::run(args).await,
        Command::Backup(command) => backup::run(command).await,
        Command::Recover(args) => recover::run(args).await,
    }
}
