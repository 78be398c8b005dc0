//! `docket backup`: a copy of everything, taken while the server runs, and a new data folder made from it.

use std::path::PathBuf;

use docket_engine::{Backup, Instance};

use crate::cli::operator::{Operator, permit};
use crate::cli::output::{Exit, Format, data, json, say};
use crate::http::{BACKUP_PATH, BackupRequest};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Copy a data folder, keys included, while its server runs or not
    Create(CreateArgs),
    /// Make a data folder from a backup, checking every digest; it takes no changes until `docket recover`
    Restore(RestoreArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder to make; one that stands already must be empty. On the same disk, large blobs become hard links
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Data folder to make; one that stands already must be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create(args).await,
        Command::Restore(args) => restore(args).await,
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<Exit> {
    // The server may stand in another folder.
    let out = std::path::absolute(&args.out)?;
    let request = serde_json::to_vec(&BackupRequest { out: out.clone() })?;
    let backup = async |instance: &Instance| Ok(instance.backup(&permit(instance)?, &out).await?);
    let backup: Backup = Operator::of(&args.data).await?.ask(("POST", BACKUP_PATH, request), backup).await?;
    print(&backup, args.output)?;
    if args.output == Format::Text {
        say(
            "Everything that was acknowledged before the command is in it. The private keys are in it too: keep it as the data folder.",
        );
    }
    Ok(Exit::Allowed)
}

async fn restore(args: RestoreArgs) -> anyhow::Result<Exit> {
    let backup = Instance::restore(&args.from, &args.data).await?;
    print(&backup, args.output)?;
    if args.output == Format::Text {
        say(
            "Pulls are served from it; it takes no changes before it was compared with what the lost registry said last:",
        );
        say(&format!(
            "  docket recover --data {} --guard FILE    (the file `guard` of the lost data folder)",
            args.data.display()
        ));
    }
    Ok(Exit::Allowed)
}

fn print(backup: &Backup, output: Format) -> anyhow::Result<()> {
    match output {
        Format::Json => json(backup)?,
        Format::Text => {
            let Backup { service, created_at, tree_size, root, files, file_bytes, format: _ } = backup;
            data(&format!("service    {service}"));
            data(&format!("begun at   {}", humantime::format_rfc3339_seconds(at(*created_at))));
            data(&format!("ledger     {tree_size} entries, root {root}"));
            data(&format!("files      {files} of {file_bytes} bytes; smaller blobs are in the database"));
        }
    }
    Ok(())
}

fn at(unix_seconds: i64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(unix_seconds).unwrap_or(0))
}
