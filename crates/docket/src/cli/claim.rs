//! `docket claim`: say something about an artifact, or ask what was said.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use docket_client::{Registry, Source, Transport};
use docket_engine::{OBSERVATION_TYPE, shown_payload};
use docket_oci::crypto::Hasher;
use docket_oci::name::RepositoryName;
use docket_oci::query::escape;
use docket_oci::{Algorithm, Digest, ErrorBody};
use docket_proof::cbor::parse_problem_details;
use docket_proof::did_x509::DidX509;
use docket_proof::key::{Issuer, parse_key_set};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{Content, Draft, MAX_ENTRY_BYTES, SignedStatement};
use docket_proof::subject::Subject;
use docket_proof::x509::Chain;
use serde::{Deserialize, Serialize};

use crate::cli::key_file::PassphraseArgs;
use crate::cli::output::{Exit, Format, UsageError, data, json, say};
use crate::cli::remote::{RemoteArgs, gather, registry_only, title};
use crate::cli::serve::clock;
use crate::cli::verify::kind;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sign a claim about an artifact, register it, and place it beside the artifact
    Add(AddArgs),
    /// List what was said about an artifact
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("said").required(true))]
pub(crate) struct AddArgs {
    /// The artifact: host/name[:tag|@digest]
    reference: Transport,
    /// The document: SBOM, VEX, test report, provenance
    #[arg(long, value_name = "FILE", group = "said")]
    evidence: Option<PathBuf>,
    /// A claim without a document: what it says, as JSON; it becomes the predicate of an in-toto Statement
    #[arg(long, value_name = "FILE", group = "said", requires = "claim_type")]
    predicate: Option<PathBuf>,
    /// Media type of the document, known ones are recognised; or the type of the predicate, a URI
    #[arg(long = "type", value_name = "TYPE")]
    claim_type: Option<String>,
    /// The issuer's private key; `docket keys generate` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Sign by certificate: the key's certificate, and those above it up to the root (PEM, in this order)
    #[arg(long, value_name = "FILE")]
    chain: Option<PathBuf>,
    /// Who signs: with --chain a URI of the certificate, or a did:x509 that describes it
    #[arg(long, value_name = "URI", requires = "chain")]
    issuer: Option<Issuer>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The artifact: host/name[:tag|@digest], oci:DIR[:NAME] or oci-archive:FILE[:NAME]
    reference: Transport,
    /// List too what the service observed itself: tags that were made, moved and deleted; `docket history` proves it
    #[arg(long)]
    observed: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add(args).await,
        Command::List(args) => list(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<Exit> {
    let image = registry_only(&args.reference)?;
    let key = args.passphrase.key(&args.key)?;
    let chain = args.chain.as_deref().map(read_chain).transpose()?;
    let issuer = match &chain {
        Some(chain) => holder(chain, args.issuer.clone())?,
        None => key.issuer.clone().unwrap_or_else(|| Issuer::of_key(key.key.public())),
    };
    let words = match (args.evidence, args.predicate) {
        (Some(path), _) => {
            let (digest, size) = hash(&path)?;
            let media_type = args.claim_type.map_or_else(|| recognise(&path), Ok)?;
            Words::Document { path, digest, size, media_type }
        }
        (None, Some(path)) => Words::Predicate {
            predicate: read_predicate(&path)?,
            predicate_type: args.claim_type.context("a predicate needs its --type")?,
        },
        (None, None) => anyhow::bail!(UsageError("say something: --evidence or --predicate".to_owned())),
    };
    let registry = Registry::connect(&image.host, args.remote.options()?).await?;
    let artifact = registry.manifest(&image.repository, &image.reference).await?;
    let artifact = artifact.with_context(|| format!("there is no {image}; push it first"))?;
    let draft = Draft {
        issuer,
        subject: Subject::artifact(&image.repository, &artifact.digest),
        issued_at: Some(clock().now()),
        content: words.content(&image.repository, &artifact.digest),
        typ: None,
    };
    let statement = match &chain {
        Some(chain) => draft.sign_by_certificate(&key.key, chain)?,
        None => draft.sign(&key.key)?,
    };
    let claim_type = SignedStatement::decode(&statement)?.claim_type().to_owned();
    let (document, size) = match &words {
        Words::Document { path, digest, size, .. } => {
            // Only the blob goes up before the claim is accepted; the manifests that show it are written with the entry.
            registry.push_blob_file(&image.repository, digest, path).await?;
            (Some(*digest), Some(*size))
        }
        Words::Predicate { predicate_type, .. } if *predicate_type != claim_type || !claim_type.contains(':') => {
            anyhow::bail!(UsageError(format!("{predicate_type:?} is no type of a predicate; it must be a URI")))
        }
        Words::Predicate { .. } => (None, None),
    };
    let registered = register(&registry, &image.repository, &statement).await?;
    let title = format!("{}@{}", image.repository, artifact.digest);
    match args.output {
        Format::Json => json(&serde_json::json!({
            "artifact": artifact.digest, "evidence": document, "type": claim_type, "size": size,
            "issuer": draft.issuer.as_str(), "entry": registered.entry, "index": registered.index,
            "tree_size": registered.tree_size, "service": registered.service, "location": registered.location,
        }))?,
        Format::Text => {
            data(&format!("claimed  {title}"));
            data(&format!(
                "  {}  {claim_type}  by {}  entry {}  #{} of {}  receipt from {}",
                kind(&claim_type),
                draft.issuer,
                registered.entry,
                registered.index,
                registered.tree_size,
                registered.service
            ));
        }
    }
    Ok(Exit::Allowed)
}

/// What a claim says.
enum Words {
    /// In a document, which is stored beside the artifact.
    Document { path: PathBuf, digest: Digest, size: u64, media_type: String },
    /// Itself.
    Predicate { predicate_type: String, predicate: serde_json::Value },
}

impl Words {
    fn content(&self, repository: &RepositoryName, artifact: &Digest) -> Content {
        match self {
            Self::Document { digest, media_type, .. } => {
                Content::HashEnvelope { digest: *digest, media_type: media_type.clone() }
            }
            Self::Predicate { predicate_type, predicate } => {
                let subject = serde_json::json!({
                    "name": repository.last_segment(),
                    "digest": { artifact.algorithm().as_str(): artifact.hex() },
                });
                let statement = serde_json::json!({
                    "_type": "https://in-toto.io/Statement/v1", "subject": [subject],
                    "predicateType": predicate_type, "predicate": predicate,
                });
                let bytes = statement.to_string().into_bytes();
                Content::Payload { media_type: "application/vnd.in-toto+json".to_owned(), bytes }
            }
        }
    }
}

fn read_predicate(path: &Path) -> anyhow::Result<serde_json::Value> {
    let failed = || format!("cannot read the predicate {}", path.display());
    let mut text = Vec::new();
    let limit = MAX_ENTRY_BYTES as u64;
    std::fs::File::open(path).with_context(failed)?.take(limit + 1).read_to_end(&mut text).with_context(failed)?;
    if text.len() > MAX_ENTRY_BYTES {
        anyhow::bail!(UsageError(format!(
            "{} has more than {MAX_ENTRY_BYTES} bytes, the most that an entry holds; claim it as a document with --evidence",
            path.display()
        )));
    }
    let predicate: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("the predicate {} is no JSON", path.display()))?;
    if !predicate.is_object() {
        anyhow::bail!(UsageError(format!("the predicate {} must be a JSON object", path.display())));
    }
    Ok(predicate)
}

/// What came back for a statement.
struct Registered {
    entry: String,
    index: u64,
    tree_size: u64,
    service: String,
    location: String,
}

/// Registers a statement in a repository and checks that the receipt is for it, with the keys that the service names.
/// That is no trust, which `verify` needs a pinned key for; it shows a broken service before anyone relies on it.
async fn register(registry: &Registry, repository: &RepositoryName, statement: &[u8]) -> anyhow::Result<Registered> {
    let path = format!("/v2/{repository}/_scitt/ledger/entries");
    let mut reply = registry.post(&path, "application/cose", "application/cose", statement.to_vec().into()).await?;
    let location = reply.location.clone().unwrap_or_default();
    for _ in 0..POLLS_MAX {
        if !matches!(reply.status, 202 | 204) {
            break;
        }
        let wait = reply.retry_after_seconds.unwrap_or(1).clamp(1, POLL_SECONDS_MAX);
        say(&format!("{} is still at work on the claim; asking again in {wait} s", registry.host()));
        tokio::time::sleep(Duration::from_secs(wait)).await;
        reply = registry.get(&location, "application/cose").await?;
    }
    if matches!(reply.status, 202 | 204) {
        anyhow::bail!(
            "{} has not registered the claim yet; its receipt will be at {location}, and to add the claim again is safe",
            registry.host()
        );
    }
    if !matches!(reply.status, 200 | 201) {
        if let Some((problem, detail)) = parse_problem_details(&reply.body) {
            anyhow::bail!("the claim was refused ({problem}): {detail}");
        }
        let message = ErrorBody::parse(&reply.body).and_then(|body| body.errors.into_iter().next()?.message);
        match message {
            Some(message) => anyhow::bail!("{} refused the claim ({}): {message}", registry.host(), reply.status),
            None => anyhow::bail!(
                "{} takes no claims (status {}): it is no Docket registry, or its claims are switched off",
                registry.host(),
                reply.status
            ),
        }
    }
    let receipt = Receipt::decode(&reply.body).context("the service's receipt is not understood")?;
    let signed = SignedStatement::decode(statement)?;
    let keys = registry.get("/.well-known/scitt-keys", "application/cbor").await?;
    let keys = parse_key_set(&keys.body).context("the service's keys are not understood")?;
    let key = keys.into_iter().filter_map(Result::ok).find(|key| key.thumbprint() == receipt.kid());
    let key = key.context("the receipt is signed with a key that the service does not name")?;
    receipt.verify(signed.entry(), &key).context("the service's receipt does not prove the claim")?;
    Ok(Registered {
        entry: signed.entry_id().to_string(),
        index: receipt.index(),
        tree_size: receipt.tree_size(),
        service: receipt.issuer().to_string(),
        location,
    })
}

pub(crate) fn read_chain(path: &Path) -> anyhow::Result<Chain> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the chain {}", path.display()))?;
    Chain::from_pem(&text).with_context(|| format!("{} is no chain of certificates", path.display()))
}

/// Who signs by a certificate: who was named, or the one name that it gives.
fn holder(chain: &Chain, named: Option<Issuer>) -> anyhow::Result<Issuer> {
    if let Some(named) = named {
        return Ok(named);
    }
    let facts = chain.leaf().facts();
    if let ([uri], None) = (facts.uris.as_slice(), &facts.oidc_issuer) {
        return uri.parse().context("the URI in the certificate");
    }
    let candidates: Vec<_> = DidX509::candidates(chain).iter().map(|issuer| format!("\n  {issuer}")).collect();
    anyhow::bail!(UsageError(format!(
        "the certificate does not give one name; say with --issuer who signs, such as one of{}",
        candidates.concat()
    )))
}

fn hash(path: &Path) -> anyhow::Result<(Digest, u64)> {
    let failed = || format!("cannot read the document {}", path.display());
    let mut file = std::fs::File::open(path).with_context(failed)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let length = file.read(&mut buffer).with_context(failed)?;
        if length == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&buffer[..length]);
        size += length as u64;
    }
}

/// The media type of a document, from what it says of itself.
fn recognise(path: &Path) -> anyhow::Result<String> {
    let unknown = || {
        UsageError(format!(
            "{} is of no type that is recognised (CycloneDX, SPDX, OpenVEX, SARIF, in-toto as JSON); say it with --type, \
             such as --type application/vnd.cyclonedx+xml",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).with_context(|| format!("cannot read the document {}", path.display()))?;
    let mut text = Vec::new();
    file.take(RECOGNISED_BYTES_MAX).read_to_end(&mut text)?;
    let document: Document = serde_json::from_slice(&text).map_err(|_| unknown())?;
    let context = document.context.as_ref().and_then(|context| context.as_str()).unwrap_or_default();
    let statement = document.statement_type.as_deref().unwrap_or_default();
    let media_type = if document.bom_format.as_deref() == Some("CycloneDX") {
        "application/vnd.cyclonedx+json"
    } else if document.spdx_version.is_some() || context.starts_with("https://spdx.org/rdf/") {
        "application/spdx+json"
    } else if context.starts_with("https://openvex.dev/ns") {
        "application/vnd.openvex+json"
    } else if document.schema.as_deref().unwrap_or_default().contains("sarif") || document.runs.is_some() {
        "application/sarif+json"
    } else if statement.starts_with("https://in-toto.io/Statement/") {
        "application/vnd.in-toto+json"
    } else {
        return Err(unknown().into());
    };
    Ok(media_type.to_owned())
}

/// Fields by which documents say what they are.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    #[serde(rename = "@context")]
    context: Option<serde_json::Value>,
    #[serde(rename = "$schema")]
    schema: Option<String>,
    runs: Option<serde::de::IgnoredAny>,
    #[serde(rename = "_type")]
    statement_type: Option<String>,
}

/// A claim as a list shows it.
#[derive(Debug, Serialize, Deserialize)]
struct ListedClaim {
    entry: String,
    #[serde(default)]
    index: Option<u64>,
    issuer: String,
    #[serde(rename = "type")]
    claim_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Digest>,
    /// What the claim itself says, if that is JSON and not large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logged_at: Option<i64>,
    /// Services whose receipts stand with the claim; `docket verify` checks them.
    #[serde(default)]
    receipts: Vec<String>,
}

/// What a list says.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    /// What the claims are about.
    #[serde(default)]
    artifact: Option<Digest>,
    /// The list is complete for the ledger of this size; absent for what was found in a layout or another registry.
    #[serde(default)]
    tree_size: Option<u64>,
    claims: Vec<ListedClaim>,
    #[serde(default, skip_serializing)]
    next: Option<String>,
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let opened = args.remote.open(&args.reference).await?;
    let (collected, material) = gather(&opened).await?;
    material.gaps.iter().for_each(|gap| say(&format!("docket: not everything was seen: {gap}")));
    let digest = collected.artifact.digest;
    let from_ledger = match &opened.source {
        Source::Registry { registry, .. } => from_ledger(registry, &digest, args.observed).await?,
        Source::Layout(_) => None,
    };
    if args.observed && from_ledger.is_none() {
        let message = "--observed asks the ledger of a Docket registry: what it observes stands nowhere else";
        anyhow::bail!(UsageError(message.to_owned()));
    }
    let mut listed = from_ledger.unwrap_or(Listed { artifact: None, tree_size: None, claims: Vec::new(), next: None });
    listed.artifact = Some(digest);
    for found in material.claims.iter().filter_map(|claim| claim.statement.as_ref()) {
        let Ok(statement) = SignedStatement::decode(&found.bytes) else { continue };
        if statement.subject().digest() != Some(digest) {
            continue;
        }
        let entry = statement.entry_id().to_string();
        let receipts: Vec<_> = statement.receipts().iter().filter_map(|bytes| Receipt::decode(bytes).ok()).collect();
        let services = receipts.iter().map(|receipt| receipt.issuer().to_string()).collect();
        if let Some(known) = listed.claims.iter_mut().find(|claim| claim.entry == entry) {
            known.receipts = services;
            continue;
        }
        listed.claims.push(ListedClaim {
            entry,
            index: receipts.first().map(Receipt::index),
            issuer: statement.issuer().to_string(),
            claim_type: statement.claim_type().to_owned(),
            evidence: match statement.content() {
                Content::HashEnvelope { digest, .. } => Some(*digest),
                Content::Sha384Envelope { .. } | Content::Payload { .. } => None,
            },
            payload: shown_payload(&statement),
            logged_at: receipts.first().map(Receipt::signed_at),
            receipts: services,
        });
    }
    listed.claims.sort_by_key(|claim| claim.index);
    match args.output {
        Format::Json => json(&listed)?,
        Format::Text => print(&title(&opened, &digest), &listed),
    }
    Ok(Exit::Allowed)
}

/// The registry's own answer, complete by its ledger; `None` if it is no Docket registry.
async fn from_ledger(registry: &Registry, artifact: &Digest, observed: bool) -> anyhow::Result<Option<Listed>> {
    let query = format!("/api/v1/claims?artifact={artifact}&limit=1000&observed={observed}");
    let mut path = query.clone();
    let mut all: Option<Listed> = None;
    for _ in 0..PAGES_MAX {
        let reply = registry.get(&path, "application/json").await?;
        if reply.status == 404 && all.is_none() {
            return Ok(None);
        }
        anyhow::ensure!(reply.status == 200, "{} answered {} to the query for claims", registry.host(), reply.status);
        let page: Listed = serde_json::from_slice(&reply.body).context("the registry's answer is not understood")?;
        let next = page.next.clone();
        match &mut all {
            None => all = Some(page),
            Some(all) => all.claims.extend(page.claims),
        }
        let Some(next) = next else { return Ok(all) };
        path = format!("{query}&cursor={}", escape(&next));
    }
    anyhow::bail!("there are more than {} claims about {artifact}; ask /api/v1/claims with filters", PAGES_MAX * 1000)
}

fn print(title: &str, listed: &Listed) {
    data(title);
    for claim in &listed.claims {
        let index = claim.index.map_or_else(|| "?".to_owned(), |index| index.to_string());
        let receipts = match claim.receipts.as_slice() {
            [] if claim.claim_type == OBSERVATION_TYPE => "seen by the service itself".to_owned(),
            [] => "not placed here".to_owned(),
            services => format!("receipt from {}", services.join(", ")),
        };
        data(&format!(
            "  {}  {}  by {}  entry {}  #{index}  {receipts}",
            kind(&claim.claim_type),
            claim.claim_type,
            claim.issuer,
            claim.entry
        ));
    }
    if listed.claims.is_empty() {
        data("  nothing was claimed");
    }
    match listed.tree_size {
        Some(size) => say(&format!("complete for the ledger of {size} entries; `docket verify` checks the receipts")),
        None => say("as found beside the artifact; only its registry's ledger knows whether that is all"),
    }
}

/// Bytes of a document that are read to recognise its type.
const RECOGNISED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How often a registry is asked for a receipt that it is still working on, and seconds between two times.
const POLLS_MAX: usize = 60;
const POLL_SECONDS_MAX: u64 = 10;
/// Pages of claims that are read.
const PAGES_MAX: usize = 100;
