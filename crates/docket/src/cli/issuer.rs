//! `docket issuer`: whom the ledger admits. Each admission is an entry on the ledger, and so is its end.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_engine::{AdmissionForm, CredentialView, Instance, IssuerView};
use docket_judge::policy::Credential;
use docket_oci::query::escape;
use docket_proof::certified::CertifiedIssuer;
use docket_proof::did_x509::DidX509;
use docket_proof::key::{Issuer, PublicKeyFile};
use docket_proof::x509::Roots;

use crate::cli::claim::read_chain;
use crate::cli::operator::{Operator, permit};
use crate::cli::output::{Exit, Format, UsageError, data, json, say};
use crate::http::{ISSUERS_PATH, Removed};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Admit an issuer
    Add(AddArgs),
    /// Admit an issuer no more; what it registered stays
    Remove(RemoveArgs),
    /// Show what the holder of a certificate may call itself: one line each, to be put behind --issuer
    Identities(IdentitiesArgs),
    /// List the issuers that are admitted
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Your name for it: 1 to 64 of a-z, 0-9, '-', '_' and '.'
    name: String,
    /// Its public key (SPKI PEM)
    #[arg(required_unless_present = "root")]
    key: Option<PathBuf>,
    /// Its root certificates (PEM), if it signs by certificate; repeatable
    #[arg(long, value_name = "FILE", conflicts_with = "key", requires = "issuer")]
    root: Vec<PathBuf>,
    /// Its identity, a URI; needed if the key file does not say it. With --root: an identity that its certificates may have, or
    /// with * at the end all that begin so, such as https://wabbit.example/*; repeatable
    #[arg(long, value_name = "URI")]
    issuer: Vec<String>,
    /// Extended key usage that its certificates must have, such as 1.3.6.1.5.5.7.3.3 (code signing)
    #[arg(long, value_name = "OID", requires = "root")]
    eku: Option<String>,
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
pub(crate) struct IdentitiesArgs {
    /// Its certificate, and those above it up to the root (PEM, in this order)
    chain: PathBuf,
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
        Command::Identities(args) => identities(&args),
        Command::List(args) => list(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<Exit> {
    let credential = match &args.key {
        Some(key) => by_key(key, &args.issuer)?,
        None => by_certificate(&args)?,
    };
    let request = serde_json::to_vec(&AdmissionForm::of(&args.name, &credential))?;
    let added =
        async |instance: &Instance| Ok(instance.admit_issuer(&permit(instance)?, &args.name, credential).await?);
    let added: IssuerView = Operator::of(&args.data).await?.ask(("POST", ISSUERS_PATH, request), added).await?;
    match args.output {
        Format::Json => json(&added)?,
        Format::Text => {
            data(&format!("admitted  {}  {}  entry #{}", added.name, added.identities().join(" "), added.entry));
        }
    }
    Ok(Exit::Allowed)
}

fn by_key(path: &Path, issuer: &[String]) -> anyhow::Result<Credential> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = PublicKeyFile::parse(&text).with_context(|| format!("{} is no public key", path.display()))?;
    let asked = match issuer {
        [] => None,
        [one] => Some(one.parse::<Issuer>().map_err(|failure| UsageError(format!("--issuer {one:?}: {failure}")))?),
        [..] => anyhow::bail!(UsageError("a key has one --issuer; several go with --root".to_owned())),
    };
    let issuer = match (asked, file.issuer) {
        (Some(asked), Some(kept)) if asked != kept => {
            anyhow::bail!(UsageError(format!("the key file says it belongs to {kept}, not to {asked}")))
        }
        (Some(issuer), _) | (None, Some(issuer)) => issuer,
        (None, None) => anyhow::bail!(UsageError(format!(
            "{} does not say whose key it is; add --issuer URI ({} for a key without an owner)",
            path.display(),
            Issuer::of_key(&file.key)
        ))),
    };
    Ok(Credential::Key { issuer, key: file.key })
}

fn by_certificate(args: &AddArgs) -> anyhow::Result<Credential> {
    let mut roots = String::new();
    for path in &args.root {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Each by itself first, so that the message names the file.
        let read = Roots::from_pem(&text).with_context(|| format!("{} holds no root", path.display()))?;
        roots.push_str(&read.to_pem());
    }
    let certified = CertifiedIssuer::parse(&roots, &args.issuer, args.eku.clone());
    Ok(Credential::Certificates(certified.map_err(|failure| UsageError(failure.to_string()))?))
}

async fn remove(args: RemoveArgs) -> anyhow::Result<Exit> {
    let path = format!("{ISSUERS_PATH}?name={}", escape(&args.name));
    let removed = async |instance: &Instance| {
        Ok(Removed { entry: instance.remove_issuer(&permit(instance)?, &args.name).await? })
    };
    let removed: Removed = Operator::of(&args.data).await?.ask(("DELETE", &path, Vec::new()), removed).await?;
    match args.output {
        Format::Json => json(&removed)?,
        Format::Text => data(&format!("removed  {}  entry #{}", args.name, removed.entry)),
    }
    Ok(Exit::Allowed)
}

/// What names a chain answers for; a did:x509 names the last certificate, which is the one to be admitted.
fn identities(args: &IdentitiesArgs) -> anyhow::Result<Exit> {
    let chain = read_chain(&args.chain)?;
    let facts = chain.leaf().facts();
    // Whom a third party vouched for is nobody by a URI alone.
    let uris = facts.uris.iter().filter(|_| facts.oidc_issuer.is_none());
    let uris = uris.filter_map(|uri| uri.parse().ok()).filter(|uri: &Issuer| !DidX509::is_one(uri.as_str()));
    let identities: Vec<_> = uris.chain(DidX509::candidates(&chain)).collect();
    anyhow::ensure!(
        !identities.is_empty(),
        "the first certificate of {} gives its holder no name, or the root is missing that a did:x509 would name",
        args.chain.display()
    );
    let names: Vec<_> = identities.iter().map(Issuer::as_str).collect();
    match args.output {
        Format::Json => json(&serde_json::json!({ "identities": names }))?,
        Format::Text => {
            names.iter().for_each(|name| data(name));
            say("Each is one identity; what the certificate says is believed only below a root that you admit.");
        }
    }
    Ok(Exit::Allowed)
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let issuers = async |instance: &Instance| Ok(instance.issuers());
    let issuers: Vec<IssuerView> =
        Operator::of(&args.data).await?.ask(("GET", ISSUERS_PATH, Vec::new()), issuers).await?;
    match args.output {
        Format::Json => json(&issuers)?,
        Format::Text => issuers.iter().for_each(|issuer| {
            let known_by = match &issuer.credential {
                CredentialView::Key { thumbprint, .. } => thumbprint.clone(),
                CredentialView::Certificates { fingerprints, .. } => format!("root {}", fingerprints.join(" ")),
            };
            data(&format!("{}  {}  {known_by}  entry #{}", issuer.name, issuer.identities().join(" "), issuer.entry));
        }),
    }
    Ok(Exit::Allowed)
}
