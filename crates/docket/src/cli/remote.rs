//! What commands that speak to registries have in common: how to reach them, and what was found there.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;
use docket_client::{
    ClientError, Collected, Credentials, FetchedManifest, Opened, Options, Source, Transport, collect,
};
use docket_judge::verify::{ClaimMaterial, Document, Found, Material, Seen};
use docket_oci::media::SCITT_STATEMENT;
use docket_oci::{Descriptor, Digest, ImageReference};
use docket_proof::statement::{Content, MAX_STATEMENT_BYTES, PresentedStatement, SignedStatement};

use crate::cli::output::UsageError;

/// How to reach registries.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoteArgs {
    /// Speak http to a registry on another machine (on this machine it is tried by itself)
    #[arg(long)]
    plain_http: bool,
    /// Further certificates to trust (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl RemoteArgs {
    /// Reads certificates and logins: docker's and podman's files, where their own clients look for them.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let ca_pem = match &self.ca {
            Some(path) => Some(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?),
            None => None,
        };
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = folder("DOCKER_CONFIG").or_else(|| folder("HOME").map(|home| home.join(".docker")));
        let paths: Vec<_> = [
            folder("REGISTRY_AUTH_FILE"),
            docker.map(|docker| docker.join("config.json")),
            folder("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json")),
        ]
        .into_iter()
        .flatten()
        .collect();
        Ok(Options { plain_http: self.plain_http, ca_pem, credentials: Credentials::load(&paths)? })
    }

    /// Opens a reference: a registry, a layout or an archive.
    pub(crate) async fn open(&self, reference: &Transport) -> anyhow::Result<Opened> {
        Ok(Source::open(reference, self.options()?).await?)
    }
}

/// The reference of a command that only a registry can serve.
pub(crate) fn registry_only(reference: &Transport) -> anyhow::Result<&ImageReference> {
    match reference {
        Transport::Registry(image) => Ok(image),
        Transport::Layout { .. } | Transport::Archive { .. } => {
            anyhow::bail!(UsageError(format!("{reference} is no registry; name an artifact as host/name:tag")))
        }
    }
}

/// The artifact as people call it: repository (or name in the layout) and digest.
pub(crate) fn title(opened: &Opened, digest: &Digest) -> String {
    match (&opened.source, &opened.name) {
        (Source::Registry { repository, .. }, _) => format!("{repository}@{digest}"),
        (Source::Layout(_), Some(name)) => format!("{name}@{digest}"),
        (Source::Layout(_), None) => digest.to_string(),
    }
}

/// Why an artifact's evidence could not be gathered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// Something is not what its digest or its shape promises.
    #[error("{what} was changed: {source}")]
    Tampered { what: String, source: ClientError },
    /// Something could not be had.
    #[error("cannot get {what}")]
    Unavailable { what: String, source: ClientError },
}

/// Reads an artifact and everything that was said about it, except the documents: to show a claim, nobody needs to fetch
/// gigabytes of evidence. They are not there in what comes back, which must not be judged.
pub(crate) async fn gather(opened: &Opened) -> Result<(Collected, Material), GatherError> {
    let collected = collect(&opened.source, &opened.reference).await;
    let collected = collected.map_err(blame("the artifact or a manifest that refers to it"))?;
    let mut claims = Vec::new();
    let mut gaps: Vec<_> = collected.truncated.iter().map(ToString::to_string).collect();
    for referrer in &collected.referrers {
        if referrer.fetched.manifest.artifact_type.as_deref() == Some(SCITT_STATEMENT) {
            claims.push(claim(&opened.source, &collected, &referrer.fetched, &mut gaps).await?);
        }
    }
    let artifact = found(&collected.artifact);
    Ok((collected, Material { artifact, claims, gaps }))
}

/// The same with the documents read, for a verdict: those that an issuer signed, so that nobody else decides what is fetched,
/// and each once, however many claims there are about it.
pub(crate) async fn gather_with_documents(opened: &Opened) -> Result<(Collected, Material), GatherError> {
    let (collected, mut material) = gather(opened).await?;
    let mut read: HashMap<Digest, Document> = HashMap::new();
    for claim in &mut material.claims {
        let evidence = claim.evidence.as_ref().map(|evidence| evidence.expected);
        let evidence = collected.referrers.iter().map(|it| &it.fetched).find(|it| Some(it.digest) == evidence);
        let Some(layer) = evidence.and_then(|evidence| evidence.manifest.layers.first()) else { continue };
        if signed_document(claim, &collected.artifact.digest) != Some(layer.digest) {
            continue;
        }
        let document = match read.get(&layer.digest) {
            Some(document) => *document,
            None => document(&opened.source, layer).await?,
        };
        read.insert(layer.digest, document);
        claim.document = Some(document);
    }
    Ok((collected, material))
}

/// The document that a claim's statement binds to the artifact.
fn signed_document(claim: &ClaimMaterial, artifact: &Digest) -> Option<Digest> {
    let shown = PresentedStatement::decode(&claim.statement.as_ref()?.bytes).ok()?;
    let statement = SignedStatement::decode(&shown.signed).ok()?;
    match statement.content() {
        Content::HashEnvelope { digest, .. } if statement.subject().digest() == Some(*artifact) => Some(*digest),
        Content::HashEnvelope { .. } | Content::Sha384Envelope { .. } | Content::Payload { .. } => None,
    }
}

async fn claim(
    source: &Source,
    collected: &Collected,
    statement: &FetchedManifest,
    gaps: &mut Vec<String>,
) -> Result<ClaimMaterial, GatherError> {
    let subject = statement.manifest.subject.as_ref().map(|subject| subject.digest);
    let evidence = collected.referrers.iter().map(|referrer| &referrer.fetched).find(|it| Some(it.digest) == subject);
    let mut layers = statement.manifest.layers.iter();
    Ok(ClaimMaterial {
        manifest: found(statement),
        evidence: evidence.map(found),
        statement: layer(source, "the statement", layers.next(), gaps).await?,
        receipt: layer(source, "the receipt", layers.next(), gaps).await?,
        document: None,
    })
}

/// Reads a layer of a statement manifest. One that is too large to be what it should be is left out, and noted: whoever may
/// push could put it there.
async fn layer(
    source: &Source,
    what: &str,
    layer: Option<&Descriptor>,
    gaps: &mut Vec<String>,
) -> Result<Option<Found>, GatherError> {
    let Some(layer) = layer else { return Ok(None) };
    match source.blob_bytes(&layer.digest, MAX_STATEMENT_BYTES as u64).await {
        Ok(bytes) => Ok(Some(Found { expected: layer.digest, bytes: bytes.to_vec() })),
        Err(failure) if is_absent(&failure) => Ok(None),
        Err(failure @ ClientError::TooMuch { .. }) => {
            gaps.push(format!("{what}: {failure}"));
            Ok(None)
        }
        Err(failure) => Err(blame(what)(failure)),
    }
}

async fn document(source: &Source, layer: &Descriptor) -> Result<Document, GatherError> {
    let seen = match source.blob_digest(&layer.digest).await {
        Ok((actual, size)) => Some(Seen { actual, size }),
        Err(failure) if is_absent(&failure) => None,
        Err(failure) => return Err(blame("the document (evidence)")(failure)),
    };
    Ok(Document { expected: layer.digest, seen })
}

fn found(manifest: &FetchedManifest) -> Found {
    Found { expected: manifest.digest, bytes: manifest.bytes.to_vec() }
}

fn is_absent(failure: &ClientError) -> bool {
    matches!(failure, ClientError::Absent { .. } | ClientError::Refused { status: 404, .. })
}

fn blame(what: &str) -> impl FnOnce(ClientError) -> GatherError {
    let what = what.to_owned();
    move |source| match source {
        ClientError::Digest { .. } | ClientError::Size { .. } | ClientError::Manifest { .. } => {
            GatherError::Tampered { what, source }
        }
        _ => GatherError::Unavailable { what, source },
    }
}
