//! Where a copy goes: a repository of a registry, or a layout that is being written.

use docket_oci::{Descriptor, Digest, Reference, RepositoryName};
use tokio::sync::mpsc;

use super::{Progress, by_digest};
use crate::blob::BlobStream;
use crate::error::ClientError;
use crate::layout::LayoutWriter;
use crate::reference::Transport;
use crate::registry::{FetchedManifest, Options, Pushed, Registry, Started};
use crate::source::Source;

/// The target of one copy.
#[derive(Debug)]
pub enum Destination {
    /// One repository of a registry.
    Registry {
        /// The registry.
        registry: Registry,
        /// The repository.
        repository: RepositoryName,
        /// The tag the artifact gets, or the digest it must have.
        reference: Reference,
    },
    /// An image layout, in a folder or towards an archive.
    Layout {
        /// What writes it.
        writer: LayoutWriter,
        /// The name the artifact gets; without one it keeps that of the source.
        name: Option<String>,
    },
}

impl Destination {
    /// Opens what a reference on the command line leads to. `options` matter for registries only.
    pub async fn open(transport: &Transport, options: Options) -> Result<Self, ClientError> {
        match transport {
            Transport::Registry(image) => {
                let registry = Registry::connect(&image.host, options).await?;
                let (repository, reference) = (image.repository.clone(), image.reference.clone());
                Ok(Self::Registry { registry, repository, reference })
            }
            Transport::Layout { path, reference } => {
                Ok(Self::Layout { writer: LayoutWriter::open(path).await?, name: reference.clone() })
            }
            Transport::Archive { path, reference } => {
                Ok(Self::Layout { writer: LayoutWriter::archive(path).await?, name: reference.clone() })
            }
        }
    }

    /// Whether the artifact can go here: a destination that names a digest takes only that.
    pub(super) fn accepts(&self, digest: &Digest) -> Result<(), ClientError> {
        let expected = match self {
            Self::Registry { reference: Reference::Digest(expected), .. } => Some(*expected),
            Self::Registry { reference: Reference::Tag(_), .. } => None,
            Self::Layout { name, .. } => name.as_ref().and_then(|name| name.parse().ok()),
        };
        match expected {
            Some(expected) if expected != *digest => Err(ClientError::OtherDigest { expected, found: *digest }),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes sure that a blob is here.
    pub(super) async fn take_blob(
        &self,
        source: &Source,
        blob: &Descriptor,
        news: &mpsc::Sender<Progress>,
    ) -> Result<Pushed, ClientError> {
        let Descriptor { digest, size, .. } = blob;
        match self {
            Self::Registry { registry, repository, .. } => {
                if registry.has_blob(repository, digest).await? {
                    return Ok(Pushed::Present);
                }
                let from = source_repository(source, registry);
                match registry.start_upload(repository, digest, from).await? {
                    Started::Mounted => Ok(Pushed::Mounted),
                    Started::Upload(upload) => {
                        let stream = open_blob(source, blob, news).await?;
                        registry.finish_upload(upload, digest, *size, stream).await?;
                        Ok(Pushed::Sent)
                    }
                }
            }
            Self::Layout { writer, .. } => {
                if writer.has_blob(digest, *size).await {
                    return Ok(Pushed::Present);
                }
                writer.write_blob(digest, open_blob(source, blob, news).await?).await?;
                Ok(Pushed::Sent)
            }
        }
    }

    /// Stores a part of the artifact, or what refers to it, under its digest.
    pub(super) async fn put_part(&mut self, manifest: &FetchedManifest) -> Result<(), ClientError> {
        match self {
            Self::Registry { registry, repository, .. } => {
                let reference = by_digest(&manifest.digest);
                if registry.head_manifest(repository, &reference).await?.is_some() {
                    return Ok(());
                }
                put(registry, repository, &reference, manifest).await
            }
            Self::Layout { writer, .. } => {
                writer.write_bytes(&manifest.digest, manifest.bytes.clone()).await?;
                // Children are found through their index; what refers to others is found only if it is listed.
                if manifest.manifest.subject.is_some() {
                    writer.list(manifest.typed_descriptor(), None);
                }
                Ok(())
            }
        }
    }

    /// Stores the artifact itself under the name it shall have.
    pub(super) async fn put_artifact(
        &mut self,
        manifest: &FetchedManifest,
        name: Option<&str>,
    ) -> Result<(), ClientError> {
        match self {
            Self::Registry { registry, repository, reference } => put(registry, repository, reference, manifest).await,
            Self::Layout { writer, name: own } => {
                writer.write_bytes(&manifest.digest, manifest.bytes.clone()).await?;
                let name = own.as_deref().or(name).filter(|name| name.parse::<Digest>().is_err());
                writer.list(manifest.typed_descriptor(), name);
                Ok(())
            }
        }
    }

    pub(super) async fn finish(self) -> Result<(), ClientError> {
        match self {
            Self::Registry { .. } => Ok(()),
            Self::Layout { writer, .. } => writer.finish().await,
        }
    }
}

async fn put(
    registry: &Registry,
    repository: &RepositoryName,
    reference: &Reference,
    manifest: &FetchedManifest,
) -> Result<(), ClientError> {
    let is_listed = registry.put_manifest(repository, reference, &manifest.media_type, manifest.bytes.clone()).await?;
    match &manifest.manifest.subject {
        Some(subject) if !is_listed => {
            registry.list_referrer_by_tag(repository, &subject.digest, manifest.referrer_descriptor()).await
        }
        Some(_) | None => Ok(()),
    }
}

/// The repository to mount from: another one of the same registry.
fn source_repository<'a>(source: &'a Source, destination: &Registry) -> Option<&'a RepositoryName> {
    match source {
        Source::Registry { registry, repository } if registry.base_url() == destination.base_url() => Some(repository),
        Source::Registry { .. } | Source::Layout(_) => None,
    }
}

async fn open_blob(
    source: &Source,
    blob: &Descriptor,
    news: &mpsc::Sender<Progress>,
) -> Result<BlobStream, ClientError> {
    let (news, digest) = (news.clone(), blob.digest);
    let stream = source.blob(&digest, Some(blob.size)).await?;
    // The counts are totals, so one that finds no room is made good by the next.
    Ok(stream.reporting(move |bytes| {
        let _ = news.try_send(Progress::Blob { digest, bytes });
    }))
}
