//! Reads manifests and blobs, each checked against the digest that was asked for.

use bytes::Bytes;
use docket_oci::manifest::MANIFEST_BYTES_MAX;
use docket_oci::{Algorithm, Descriptor, Digest, Manifest, ManifestError, Reference, RepositoryName, media};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Response;

use super::connection::{Outgoing, Payload, read_bounded};
use super::{Registry, pull_scope};
use crate::blob::BlobStream;
use crate::error::ClientError;

/// A manifest with the bytes it was read from.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// The digest of the bytes, computed over them.
    pub digest: Digest,
    /// Its type.
    pub media_type: String,
    /// Exactly what is stored.
    pub bytes: Bytes,
    /// What the bytes say.
    pub manifest: Manifest,
}

impl FetchedManifest {
    /// Checks bytes from `place` against a digest, if there is one to expect, and reads them.
    ///
    /// `media_type` is what the place calls them. It counts only if it is a manifest type: static file servers call all JSON the same.
    pub fn check(
        place: &str,
        expected: Option<Digest>,
        media_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<Self, ClientError> {
        let algorithm = expected.map_or(Algorithm::Sha256, |expected| expected.algorithm());
        let digest = Digest::of(algorithm, &bytes);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(ClientError::Digest { place: place.to_owned(), expected, found: digest });
        }
        let media_type = media_type.map(media::essence).filter(|media_type| media::is_manifest(media_type));
        let invalid =
            |source: ManifestError| ClientError::Manifest { place: place.to_owned(), what: digest.to_string(), source };
        let manifest = Manifest::parse(&bytes, media_type).map_err(invalid)?;
        Ok(Self { digest, media_type: manifest.resolved_media_type().to_owned(), bytes, manifest })
    }

    /// The descriptor of these bytes, without annotations.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }

    /// The descriptor as a layout lists it: with the artifact type that the manifest names itself.
    pub fn typed_descriptor(&self) -> Descriptor {
        Descriptor { artifact_type: self.manifest.artifact_type.clone(), ..self.descriptor() }
    }

    /// The descriptor as a referrers listing gives it: with the manifest's annotations, and the type of the config where no
    /// artifact type is named.
    pub fn referrer_descriptor(&self) -> Descriptor {
        let artifact_type = self.manifest.referrer_artifact_type().map(str::to_owned);
        Descriptor { artifact_type, annotations: self.manifest.annotations.clone(), ..self.descriptor() }
    }
}

impl Registry {
    /// Reads a manifest; `None` if there is none.
    ///
    /// The bytes are hashed and compared with the digest asked for, or with the one the registry names beside a tag.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<FetchedManifest>, ClientError> {
        let action = format!("read {repository} {reference}");
        let response = self.ask_manifest(Method::GET, repository, reference, &action).await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.connection.expect(&action, response, &[200]).await?;
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => text(&response, CONTENT_DIGEST).and_then(|digest| digest.parse().ok()),
        };
        let media_type = text(&response, header::CONTENT_TYPE.as_str()).map(str::to_owned);
        let bytes = read_bounded(response, self.host(), &action, MANIFEST_BYTES_MAX as u64).await?;
        FetchedManifest::check(self.host(), expected, media_type.as_deref(), bytes).map(Some)
    }

    /// Asks what a reference leads to without reading it; `None` if nothing. The registry's word is not checked here.
    pub async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, ClientError> {
        let action = format!("look for {repository} {reference}");
        let response = self.ask_manifest(Method::HEAD, repository, reference, &action).await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.connection.expect(&action, response, &[200]).await?;
        let digest = text(&response, CONTENT_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
        let size = text(&response, header::CONTENT_LENGTH.as_str()).and_then(|size| size.parse::<u64>().ok());
        let media_type = text(&response, header::CONTENT_TYPE.as_str())
            .map(media::essence)
            .filter(|named| media::is_manifest(named));
        if let (Some(digest), Some(size), Some(media_type)) = (digest, size, media_type) {
            return Ok(Some(Descriptor::new(media_type, digest, size)));
        }
        // Some registries leave out what the specification asks for; the manifest itself has the answer.
        Ok(self.manifest(repository, reference).await?.map(|manifest| manifest.descriptor()))
    }

    /// Whether a repository holds a blob.
    pub async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, ClientError> {
        let action = format!("look for {repository} blob {digest}");
        let response = self.ask_blob(Method::HEAD, repository, digest, &action).await?;
        match response.status().as_u16() {
            // An account may push where it may not pull. Why something is denied is said in a body, and this answer has
            // none; the upload that follows has.
            401 | 403 | 404 => Ok(false),
            _ => self.connection.expect(&action, response, &[200]).await.map(|_| true),
        }
    }

    /// Opens a blob for reading. `size` is checked too if a descriptor told it.
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<BlobStream, ClientError> {
        let action = format!("read {repository} blob {digest}");
        let response = self.ask_blob(Method::GET, repository, digest, &action).await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Err(ClientError::Absent {
                place: self.host().to_owned(),
                what: format!("blob {digest} in {repository}"),
            });
        }
        let response = self.connection.expect(&action, response, &[200]).await?;
        let host = self.host().to_owned();
        let unreachable = move |source| ClientError::Unreachable { host: host.clone(), action: action.clone(), source };
        Ok(BlobStream::new(response.bytes_stream().map_err(unreachable), self.host(), *digest, size))
    }

    /// Reads a blob of at most `limit` bytes into memory.
    pub async fn blob_bytes(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limit: u64,
    ) -> Result<Bytes, ClientError> {
        self.blob(repository, digest, None).await?.collect(limit).await
    }

    async fn ask_manifest(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
        action: &str,
    ) -> Result<Response, ClientError> {
        let url = self.connection.repository_url(repository, &format!("manifests/{reference}"));
        let accept = HeaderValue::from_str(&media::MANIFESTS.join(", ")).expect("media types are plain ascii");
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let scopes = pull_scope(repository);
        self.connection
            .send(Outgoing { action: action.to_owned(), method, url, scopes, headers, payload: Payload::Empty })
            .await
    }

    async fn ask_blob(
        &self,
        method: Method,
        repository: &RepositoryName,
        digest: &Digest,
        action: &str,
    ) -> Result<Response, ClientError> {
        let url = self.connection.repository_url(repository, &format!("blobs/{digest}"));
        let (headers, scopes) = (HeaderMap::new(), pull_scope(repository));
        self.connection
            .send(Outgoing { action: action.to_owned(), method, url, scopes, headers, payload: Payload::Empty })
            .await
    }
}

/// The header with the digest of what is sent.
const CONTENT_DIGEST: &str = "docker-content-digest";

fn text<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}
