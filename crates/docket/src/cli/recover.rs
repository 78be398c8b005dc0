//! `docket recover`: a restored copy takes changes again, once it was compared with what was said after the backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use docket_engine::{Evidence, Instance, Recovered};
use docket_store::HeadGuard;

use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::serve::options;
use crate::config::{Config, Witness};
use crate::witnesses::Witnesses;

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
    /// The newest checkpoint that the lost registry published, as a monitor keeps it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Ask the witnesses of this policy (C2SP tlog-policy): a quorum must cosign the newest tree of the copy, and none may know a
    /// larger one
    #[arg(long, value_name = "FILE")]
    witnesses: Option<PathBuf>,
    /// There is none of these, and nobody was ever told of more entries than this number, which the copy must hold
    #[arg(long, value_name = "ENTRIES")]
    accept_loss: Option<u64>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let config = Config::read(None, Some(&args.data), None)?;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let speaks_of_its_time = args.evidence.receipt.is_some() || args.evidence.checkpoint.is_some();
    let evidence = match args.evidence {
        EvidenceArgs { guard: Some(path), .. } => Evidence::Guard(HeadGuard::read(&path)?),
        EvidenceArgs { receipt: Some(path), .. } => Evidence::Receipt(read(&path)?),
        EvidenceArgs { checkpoint: Some(path), .. } => Evidence::Checkpoint(read(&path)?),
        EvidenceArgs { witnesses: Some(path), .. } => Evidence::Checkpoint(confirmed(&config, &path).await?),
        EvidenceArgs { accept_loss, .. } => Evidence::Stated(accept_loss.unwrap_or_default()),
    };
    let options = options(&config).await?;
    let Recovered { tree_size, evidence_size } = Instance::recover(&config.data, options, &evidence).await?;
    match args.output {
        Format::Json => json(&serde_json::json!({ "tree_size": tree_size, "evidence_size": evidence_size }))?,
        Format::Text => {
            data(&format!("recovered  {tree_size} entries, the evidence speaks of {evidence_size}"));
            if speaks_of_its_time {
                say(
                    "This evidence tells of its own time only: if newer one turns up that this ledger lacks, there are two histories.",
                );
            }
        }
    }
    Ok(Exit::Allowed)
}

/// The newest checkpoint of the copy, once the witnesses of a policy have confirmed it.
async fn confirmed(config: &Config, policy: &Path) -> anyhow::Result<Vec<u8>> {
    let asked = Witness::of(policy)?;
    let instance = Arc::new(Instance::open(&config.data, options(config).await?).await?);
    let confirmed = match Witnesses::new(&instance, &asked) {
        Ok(Some(witnesses)) => witnesses.confirm().await,
        Ok(None) => Err(anyhow::anyhow!("{} names no witnesses", policy.display())),
        Err(failure) => Err(failure),
    };
    if let Some(instance) = Arc::into_inner(instance) {
        instance.close().await;
    }
    Ok(confirmed?.to_string().into_bytes())
}
