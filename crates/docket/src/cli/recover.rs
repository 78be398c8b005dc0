//! `docket recover`: a restored copy takes changes again, once it was compared with what was said after the backup.

use std::path::PathBuf;

use anyhow::Context as _;
use docket_engine::{Evidence, Instance, Recovered};
use docket_store::HeadGuard;

use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::serve::options;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder that `docket backup restore` made; no server may run on it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    evidence: EvidenceArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// What is known of the lost registry's last words: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct EvidenceArgs {
    /// The file `guard` of the lost data folder: it shows the last tree that was spoken of
    #[arg(long, value_name = "FILE")]
    guard: Option<PathBuf>,
    /// The newest receipt, or statement with a receipt, that the lost registry gave to anybody
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// There is neither, and nobody was ever told of more entries than this number, which the copy must hold
    #[arg(long, value_name = "ENTRIES")]
    accept_loss: Option<u64>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let evidence = match args.evidence {
        EvidenceArgs { guard: Some(path), .. } => Evidence::Guard(HeadGuard::read(&path)?),
        EvidenceArgs { receipt: Some(path), .. } => {
            Evidence::Receipt(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)
        }
        EvidenceArgs { accept_loss, .. } => Evidence::Stated(accept_loss.unwrap_or_default()),
    };
    let config = Config::read(None, Some(&args.data), None)?;
    let Recovered { tree_size, evidence_size } = Instance::recover(&config.data, options(&config)?, &evidence).await?;
    match args.output {
        Format::Json => json(&serde_json::json!({ "tree_size": tree_size, "evidence_size": evidence_size }))?,
        Format::Text => {
            data(&format!("recovered  {tree_size} entries, the evidence speaks of {evidence_size}"));
            if matches!(evidence, Evidence::Receipt(_)) {
                say(
                    "A receipt tells of its own time only: if a newer one turns up that this ledger lacks, there are two histories.",
                );
            }
        }
    }
    Ok(Exit::Allowed)
}
