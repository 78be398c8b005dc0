//! `docket keys list` and `rotate`: the service's own keys, through a running server or on the folder itself.

use std::path::PathBuf;

use docket_engine::{Instance, KeyRole, KeyView};

use crate::cli::operator::{Operator, permit};
use crate::cli::output::{Exit, Format, data, json, say};
use crate::http::{KEYS_PATH, RotateRequest};

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    /// Which key: `receipt` signs tree heads, `statement` what the service itself says
    #[arg(value_name = "receipt|statement")]
    role: KeyRole,
    /// Keep the new key in a file of the data folder, although a signing command is configured
    #[arg(long)]
    to_file: bool,
    #[command(flatten)]
    list: ListArgs,
}

pub(crate) async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let keys = async |instance: &Instance| Ok(instance.keys());
    let keys: Vec<KeyView> = Operator::of(&args.data).await?.ask(("GET", KEYS_PATH, Vec::new()), keys).await?;
    match args.output {
        Format::Json => json(&keys)?,
        Format::Text => keys.iter().for_each(|key| data(&line(key))),
    }
    Ok(Exit::Allowed)
}

pub(crate) async fn rotate(RotateArgs { role, to_file, list: args }: RotateArgs) -> anyhow::Result<Exit> {
    let request = serde_json::to_vec(&RotateRequest { role, to_file })?;
    let rotated = async |instance: &Instance| Ok(instance.rotate_key(&permit(instance)?, role, to_file).await?);
    let key: KeyView = Operator::of(&args.data).await?.ask(("POST", KEYS_PATH, request), rotated).await?;
    match args.output {
        Format::Json => json(&key)?,
        Format::Text => {
            data(&line(&key));
            if role == KeyRole::Receipt {
                say(
                    "Receipts by the key before stay valid. Give the new fingerprint to consumers by a way they trust:",
                );
                say(
                    "`docket trust pin` takes several, and who has pinned the old one alone believes no newer receipt.",
                );
            }
        }
    }
    Ok(Exit::Allowed)
}

fn line(key: &KeyView) -> String {
    let state = if key.retired { "retired" } else { "in force" };
    format!("{}  {}  {state}  entry #{}", key.role, key.thumbprint, key.entry)
}
