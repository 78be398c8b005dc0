//! A place to read artifacts from, whatever it is made of: a repository of a registry, a layout, an archive.

use bytes::Bytes;
use docket_oci::{Descriptor, Digest, Reference, RepositoryName};

use crate::blob::BlobStream;
use crate::error::ClientError;
use crate::layout::Layout;
use crate::reference::Transport;
use crate::registry::{FetchedManifest, Options, Registry};

/// Where an artifact and what refers to it are read from. Everything it returns was checked against its digest.
#[derive(Debug)]
pub enum Source {
    /// One repository of a registry.
    Registry {
        /// The registry.
        registry: Registry,
        /// The repository.
        repository: RepositoryName,
    },
    /// An image layout, in a folder or in an archive.
    Layout(Layout),
}

/// A source together with the artifact that was asked for.
#[derive(Debug)]
pub struct Opened {
    /// Where to read.
    pub source: Source,
    /// What was asked for; always a digest for a layout.
    pub reference: Reference,
    /// What people call the artifact there: its tag, or its name in the layout.
    pub name: Option<String>,
}

impl Source {
    /// Opens what a reference on the command line leads to. `options` matter for registries only.
    pub async fn open(transport: &Transport, options: Options) -> Result<Opened, ClientError> {
        let (layout, reference) = match transport {
            Transport::Registry(image) => {
                let registry = Registry::connect(&image.host, options).await?;
                let source = Self::Registry { registry, repository: image.repository.clone() };
                let name = image.named_tag().map(ToString::to_string);
                return Ok(Opened { source, reference: image.reference.clone(), name });
            }
            Transport::Layout { path, reference } => (Layout::open(path).await?, reference),
            Transport::Archive { path, reference } => (Layout::open_archive(path).await?, reference),
        };
        let digest = layout.resolve(reference.as_deref()).await?;
        let name = layout.name_of(&digest).map(str::to_owned);
        Ok(Opened { source: Self::Layout(layout), reference: Reference::Digest(digest), name })
    }

    /// Where this is, for people: a host and repository, or a path.
    pub fn place(&self) -> String {
        match self {
            Self::Registry { registry, repository } => format!("{}/{repository}", registry.host()),
            Self::Layout(layout) => layout.place(),
        }
    }

    /// Reads a manifest; `None` if there is none.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<FetchedManifest>, ClientError> {
        match self {
            Self::Registry { registry, repository } => registry.manifest(repository, reference).await,
            Self::Layout(layout) => layout.manifest(reference).await,
        }
    }

    /// Reads a manifest that must be there.
    pub async fn required_manifest(&self, reference: &Reference) -> Result<FetchedManifest, ClientError> {
        let found = self.manifest(reference).await?;
        found.ok_or_else(|| ClientError::Absent { place: self.place(), what: format!("manifest {reference}") })
    }

    /// Opens a blob for reading. `size` is checked too if a descriptor told it.
    pub async fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<BlobStream, ClientError> {
        match self {
            Self::Registry { registry, repository } => registry.blob(repository, digest, size).await,
            Self::Layout(layout) => layout.blob(digest, size).await,
        }
    }

    /// Reads a blob of at most `limit` bytes into memory.
    pub async fn blob_bytes(&self, digest: &Digest, limit: u64) -> Result<Bytes, ClientError> {
        self.blob(digest, None).await?.collect(limit).await
    }

    /// Reads a blob without keeping it and returns its digest and length. Bytes that are not `expected` are an error.
    pub async fn blob_digest(&self, expected: &Digest) -> Result<(Digest, u64), ClientError> {
        let size = self.blob(expected, None).await?.drain().await?;
        Ok((*expected, size))
    }

    /// The manifests whose subject is `digest`, of one artifact type or of any. It is the place's word: read them to be sure.
    pub async fn referrers(
        &self,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        match self {
            Self::Registry { registry, repository } => registry.referrers(repository, digest, artifact_type).await,
            Self::Layout(layout) => layout.referrers(digest, artifact_type).await,
        }
    }

    /// The evidence and statement manifests that the place wrote itself about an artifact, each evidence before what is said
    /// about it. Only a registry with a ledger has such; from any other, and where it does not answer, there are none.
    pub(crate) async fn placed(&self, artifact: &Digest) -> Vec<Digest> {
        match self {
            Self::Registry { registry, repository } => registry.placed(repository, artifact).await,
            Self::Layout(_) => Vec::new(),
        }
    }
}
