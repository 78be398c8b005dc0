//! `docket trust`: a consumer chooses whom to believe.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use docket_client::{ClientError, Registry};
use docket_proof::certified::CertifiedIssuer;
use docket_proof::key::{PublicKey, PublicKeyFile, Thumbprint, parse_key_set};
use docket_proof::receipt::Profile;
use docket_proof::trust::{Trust, TrustedIssuer, TrustedService};

use crate::cli::output::{Exit, UsageError, data, say};
use crate::cli::remote::RemoteArgs;
use crate::http::ServiceView;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Ask a service for its keys, compare them with a fingerprint you got another way, and print a trust.toml
    Pin(PinArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct PinArgs {
    /// The service, such as http://localhost:5000 or registry.example.com
    url: String,
    /// Thumbprint of a receipt key, as the service's operator tells it (`docket init` prints it); repeatable: receipts that a
    /// retired key signed are believed as long as that one is pinned too
    #[arg(long, value_name = "HEX", required = true)]
    fingerprint: Vec<String>,
    /// Believe only these issuers, and check their own signatures too: public key files, or root certificates (PEM), each with
    /// a line `issuer: URI` at its top; with roots the URI may end with *; repeatable
    #[arg(long, value_name = "FILE")]
    issuer: Vec<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    let Command::Pin(args) = command;
    let wanted = args.fingerprint.iter().map(|text| fingerprint(text)).collect::<anyhow::Result<BTreeSet<_>>>()?;
    let (mut issuers, mut certified) = (Vec::new(), Vec::new());
    for path in &args.issuer {
        match issuer(path)? {
            Pinned::Key(issuer) => issuers.push(issuer),
            Pinned::Certificates(issuer) => certified.push(issuer),
        }
    }
    let host = args.url.trim_end_matches('/');
    let host = host.strip_prefix("http://").or_else(|| host.strip_prefix("https://")).unwrap_or(host);
    let registry = Registry::connect(host, args.remote.options()?).await?;
    let service: ServiceView = serde_json::from_slice(&get(&registry, "/api/v1/service", "application/json").await?)
        .with_context(|| format!("{host} is no Docket service"))?;
    let keys = parse_key_set(&get(&registry, "/.well-known/scitt-keys", "application/cbor").await?)
        .with_context(|| format!("the keys of {host} are not understood"))?;
    let keys: Vec<PublicKey> = keys.into_iter().filter_map(Result::ok).collect();
    if let Some(missing) = wanted.iter().find(|wanted| !keys.iter().any(|key| key.thumbprint() == **wanted)) {
        let found: Vec<_> = keys.iter().map(|key| key.thumbprint().to_string()).collect();
        anyhow::bail!(
            "{host} has no key with fingerprint {missing}; it has {}. Ask its operator which is right: either the \
             fingerprint is mistyped, or somebody stands between you and the service",
            found.join(", ")
        );
    }
    // Only the keys that were compared: who stands in between could name others.
    let (pinned, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| wanted.contains(&key.thumbprint()));
    let service = TrustedService {
        issuer: service.issuer.parse().context("the service's identity is no name")?,
        url: Some(registry.base_url().as_str().trim_end_matches('/').to_owned()),
        keys: pinned.iter().map(|key| (*key).clone()).collect(),
        profile: Profile::default(),
    };
    for key in &keys {
        let state = if keys.first() == Some(key) { "in force" } else { "retired" };
        let pinned = if others.contains(&key) { "not pinned" } else { "pinned" };
        say(&format!("{}  key {}  {state}, {pinned}", service.issuer, key.thumbprint()));
    }
    data(Trust::new(vec![service], issuers)?.with_certified(certified)?.to_text().trim_end());
    Ok(Exit::Allowed)
}

fn fingerprint(text: &str) -> anyhow::Result<Thumbprint> {
    let wrong = |_| UsageError(format!("{text:?} is no fingerprint; it has 64 lower-case hex digits"));
    Ok(text.parse().map_err(wrong)?)
}

/// What a consumer believes an issuer by.
enum Pinned {
    Key(TrustedIssuer),
    Certificates(CertifiedIssuer),
}

fn issuer(path: &PathBuf) -> anyhow::Result<Pinned> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        let preamble = text.lines().take_while(|line| !line.starts_with("-----BEGIN"));
        let patterns = preamble.filter_map(|line| line.strip_prefix("issuer:")).map(|uri| uri.trim().to_owned());
        let patterns: Vec<_> = patterns.collect();
        if patterns.is_empty() {
            anyhow::bail!(UsageError(format!(
                "{} does not say who its roots may speak for; add a line `issuer: URI` at its top",
                path.display()
            )));
        }
        let certified = CertifiedIssuer::parse(&text, &patterns, None);
        return Ok(Pinned::Certificates(certified.with_context(|| format!("{} cannot be pinned", path.display()))?));
    }
    let file = PublicKeyFile::parse(&text).with_context(|| format!("{} is no public key", path.display()))?;
    let issuer = file.issuer.ok_or_else(|| {
        UsageError(format!("{} does not say whose key it is; add a line `issuer: URI` at its top", path.display()))
    })?;
    Ok(Pinned::Key(TrustedIssuer { issuer, keys: vec![file.key] }))
}

/// Reads a resource that every Docket service has.
pub(crate) async fn get(registry: &Registry, path: &str, accept: &str) -> Result<Vec<u8>, ClientError> {
    let reply = registry.get(path, accept).await?;
    if reply.status == 200 {
        return Ok(reply.body.to_vec());
    }
    Err(ClientError::Protocol {
        host: registry.host().to_owned(),
        action: format!("read {path}"),
        problem: "it has no such resource, so it is no Docket service",
    })
}
