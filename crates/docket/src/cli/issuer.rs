//! `docket issuer`: whom the ledger admits. Each admission is an entry on the ledger, and so is its end.

use std::path::PathBuf;

use anyhow::Context as _;
use docket_engine::IssuerView;
use docket_oci::query::escape;
use docket_proof::key::{Issuer, PublicKeyFile};

use crate::cli::operator::{Operator, call, permit};
use crate::cli::output::{Exit, Format, UsageError, data, json};
use crate::http::{AdmitRequest, ISSUERS_PATH, Removed};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Admit an issuer
    Add(AddArgs),
    /// Admit an issuer no more; what it registered stays
    Remove(RemoveArgs),
    /// List the issuers that are admitted
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Your name for it: 1 to 64 of a-z, 0-9, '-', '_' and '.'
    name: String,
    /// Its public key (SPKI PEM)
    key: PathBuf,
    /// Its identity, a URI; needed if the key file does not say it
    #[arg(long, value_name = "URI")]
    issuer: Option<Issuer>,
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Your name for it, as `docket issuer list` shows it
    name: String,
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add(args).await,
        Command::Remove(args) => remove(args).await,
        Command::List(args) => list(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(&args.key).with_context(|| format!("cannot read {}", args.key.display()))?;
    let file = PublicKeyFile::parse(&text).with_context(|| format!("{} is no public key", args.key.display()))?;
    let issuer = match (args.issuer, file.issuer) {
        (Some(asked), Some(kept)) if asked != kept => {
            anyhow::bail!(UsageError(format!("the key file says it belongs to {kept}, not to {asked}")))
        }
        (Some(issuer), _) | (None, Some(issuer)) => issuer,
        (None, None) => anyhow::bail!(UsageError(format!(
            "{} does not say whose key it is; add --issuer URI ({} for a key without an owner)",
            args.key.display(),
            Issuer::of_key(&file.key)
        ))),
    };
    let added: IssuerView = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => {
            let request =
                AdmitRequest { name: args.name, issuer: issuer.to_string(), public_key: file.key.to_spki_pem() };
            call((stream, data), "POST", ISSUERS_PATH, serde_json::to_vec(&request)?).await?
        }
        Operator::Here(instance) => {
            let added = instance.admit_issuer(&permit(&instance)?, &args.name, issuer, file.key).await;
            instance.close().await;
            added?
        }
    };
    match args.output {
        Format::Json => json(&added)?,
        Format::Text => data(&format!("admitted  {}  {}  entry #{}", added.name, added.issuer, added.entry)),
    }
    Ok(Exit::Allowed)
}

async fn remove(args: RemoveArgs) -> anyhow::Result<Exit> {
    let removed: Removed = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => {
            let path = format!("{ISSUERS_PATH}?name={}", escape(&args.name));
            call((stream, data), "DELETE", &path, Vec::new()).await?
        }
        Operator::Here(instance) => {
            let removed = instance.remove_issuer(&permit(&instance)?, &args.name).await;
            instance.close().await;
            Removed { entry: removed? }
        }
    };
    match args.output {
        Format::Json => json(&removed)?,
        Format::Text => data(&format!("removed  {}  entry #{}", args.name, removed.entry)),
    }
    Ok(Exit::Allowed)
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let issuers: Vec<IssuerView> = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => call((stream, data), "GET", ISSUERS_PATH, Vec::new()).await?,
        Operator::Here(instance) => {
            let issuers = instance.issuers();
            instance.close().await;
            issuers
        }
    };
    match args.output {
        Format::Json => json(&issuers)?,
        Format::Text => issuers.iter().for_each(|issuer| {
            data(&format!("{}  {}  {}  entry #{}", issuer.name, issuer.issuer, issuer.thumbprint, issuer.entry));
        }),
    }
    Ok(Exit::Allowed)
}
