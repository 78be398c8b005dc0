//! `docket init`: keys, empty registry, genesis entry.

use std::path::{Path, PathBuf};

use docket_engine::Instance;
use docket_proof::key::Issuer;
use docket_store::keys::DataFolder;

use crate::cli::key_file::PassphraseArgs;
use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::serve::clock;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to make; one that stands already must be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// URL under which the service is known; it stands in every receipt and cannot be changed
    #[arg(long, value_name = "URL")]
    service_id: Issuer,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    refuse_foreign(&args.data)?;
    let passphrase = args.passphrase.making("the new registry's keys")?;
    let created = Instance::create(&args.data, args.service_id, &clock(), passphrase.as_ref()).await?;
    let fingerprint = created.receipt_key.thumbprint();
    match args.output {
        Format::Json => json(&serde_json::json!({
            "data": args.data,
            "service": created.service.as_str(),
            "log": created.log,
            "fingerprint": fingerprint.to_string(),
            "checkpoint_key": created.checkpoint_key.to_string(),
        }))?,
        Format::Text => {
            data(&format!("service      {}", created.service));
            data(&format!("log          {}", created.log));
            data(&format!("fingerprint  {fingerprint}"));
            data(&format!("log key      {}", created.checkpoint_key));
            say("Give the fingerprint to consumers by a way they trust: `docket trust pin` asks for it.");
            say("Give the log key to monitors and witnesses: the log's checkpoints are signed with it.");
            say(
                "No witness is configured: a rollback of the whole disk, guard and all, would go unnoticed. Set witness.policy.",
            );
            if passphrase.is_some() {
                say("The keys are encrypted: the server needs keys.passphrase_file, or DOCKET_KEYS__PASSPHRASE_FILE.");
            }
            say(&format!("Next: docket serve --data {}", args.data.display()));
        }
    }
    Ok(Exit::Allowed)
}

/// Refuses a folder that holds other things: a registry must not grow in between somebody's files. A folder that holds
/// docket data is the engine's to refuse, and what cannot be listed its to explain.
fn refuse_foreign(folder: &Path) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name != LOST_AND_FOUND)
        .take(NAMES_READ_MAX)
        .collect();
    if names.is_empty() || DataFolder::new(folder).database().exists() {
        return Ok(());
    }
    names.sort();
    names.truncate(NAMES_SHOWN_MAX);
    anyhow::bail!(
        "{} is not empty, it holds {}; choose another folder, nothing was changed",
        folder.display(),
        names.join(", ")
    )
}

/// What a file system puts at its root by itself.
const LOST_AND_FOUND: &str = "lost+found";
/// Names that are read to see whether a folder is empty.
const NAMES_READ_MAX: usize = 1_000;
/// Names that a message lists.
const NAMES_SHOWN_MAX: usize = 5;
