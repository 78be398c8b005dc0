//! Sends blobs and manifests: one POST, then one PUT with everything (distribution-spec, "Pushing blobs", POST then PUT).

use std::path::Path;

use bytes::Bytes;
use docket_oci::{Digest, Reference, RepositoryName, query};
use futures_util::{TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::{StatusCode, Url};
use tokio_util::io::ReaderStream;

use super::connection::{Outgoing, Payload};
use super::{Registry, pull_scope, push_scope};
use crate::blob::BlobStream;
use crate::error::ClientError;

/// How a blob came to be where it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It was there already.
    Present,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// What came of asking to upload a blob.
#[derive(Debug)]
pub enum Started {
    /// Nothing is left to send: the registry took the blob from another of its repositories.
    Mounted,
    /// The registry waits for the bytes.
    Upload(Upload),
}

/// An upload that waits for its bytes. Dropping it leaves it to the registry to expire.
#[derive(Debug)]
pub struct Upload {
    /// Where to send them, as the registry said.
    url: Url,
    /// What the token that opened it allowed; the same one closes it.
    scopes: Vec<String>,
}

impl Registry {
    /// Sends a blob from memory, unless it is there.
    pub async fn push_blob_bytes(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<Pushed, ClientError> {
        let size = bytes.len() as u64;
        let stream = BlobStream::new(stream::iter([Ok(bytes)]), "memory", *digest, Some(size));
        self.push_blob_stream(repository, digest, size, stream).await
    }

    /// Sends a file as a blob, unless it is there. It is hashed while it is sent, and a file that is not `digest` is refused.
    pub async fn push_blob_file(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        path: &Path,
    ) -> Result<Pushed, ClientError> {
        let file = tokio::fs::File::open(path).await.map_err(ClientError::file("read", path))?;
        let size = file.metadata().await.map_err(ClientError::file("read", path))?.len();
        let read_failed = {
            let path = path.to_owned();
            move |source| ClientError::File { path: path.clone(), action: "read", source }
        };
        let chunks = ReaderStream::with_capacity(file, CHUNK_BYTES).map_err(read_failed);
        let stream = BlobStream::new(chunks, &path.display().to_string(), *digest, Some(size));
        self.push_blob_stream(repository, digest, size, stream).await
    }

    async fn push_blob_stream(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        stream: BlobStream,
    ) -> Result<Pushed, ClientError> {
        if self.has_blob(repository, digest).await? {
            return Ok(Pushed::Present);
        }
        match self.start_upload(repository, digest, None).await? {
            Started::Mounted => Ok(Pushed::Mounted),
            Started::Upload(upload) => self.finish_upload(upload, digest, size, stream).await.map(|()| Pushed::Sent),
        }
    }

    /// Opens an upload, or makes it unnecessary: with `from`, the registry is asked to take the blob from that repository.
    pub async fn start_upload(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Started, ClientError> {
        let action = format!("start an upload to {repository}");
        let mut url = self.connection.repository_url(repository, "blobs/uploads/");
        let mut scopes = push_scope(repository);
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.as_str());
            scopes.extend(pull_scope(from));
        }
        let (method, headers, payload) = (Method::POST, HeaderMap::new(), Payload::Bytes(Bytes::new()));
        let call = Outgoing { action: action.clone(), method, url, scopes: scopes.clone(), headers, payload };
        let response = self.connection.send(call).await?;
        let expected: &[u16] = if from.is_some() { &[201, 202] } else { &[202] };
        let response = self.connection.expect(&action, response, expected).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Started::Mounted);
        }
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| self.connection.protocol(&action, "it sent no location"))?;
        let url = self.connection.resolve(&action, response.url(), location)?;
        if response.url().scheme() == "https" && url.scheme() != "https" {
            return Err(self.connection.protocol(&action, "its location leads from https to http"));
        }
        Ok(Started::Upload(Upload { url, scopes }))
    }

    /// Sends the `size` bytes of a blob as they arrive and closes the upload. It cannot be repeated: what was read is gone.
    pub async fn finish_upload(
        &self,
        upload: Upload,
        digest: &Digest,
        size: u64,
        stream: BlobStream,
    ) -> Result<(), ClientError> {
        let Upload { mut url, scopes } = upload;
        let action = format!("send blob {digest}");
        // The location's own query is the registry's and goes back as it came.
        let digest = format!("digest={}", query::escape(&digest.to_string()));
        let query = match url.query() {
            Some(own) if !own.is_empty() => format!("{own}&{digest}"),
            Some(_) | None => digest,
        };
        url.set_query(Some(&query));
        let octets = HeaderValue::from_static("application/octet-stream");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, octets)]);
        let payload = Payload::Stream(Box::new(stream), size);
        let call = Outgoing { action: action.clone(), method: Method::PUT, url, scopes, headers, payload };
        let response = self.connection.send(call).await?;
        self.connection.expect(&action, response, &[200, 201, 204]).await.map(|_| ())
    }

    /// Stores a manifest under a tag or its digest. Everything it needs must be there before.
    ///
    /// Returns whether the registry keeps the list of referrers itself; if it does not and the manifest has a subject, the
    /// list is the client's to keep ([`Registry::list_referrer_by_tag`]).
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<bool, ClientError> {
        let action = format!("store {repository} {reference}");
        let url = self.connection.repository_url(repository, &format!("manifests/{reference}"));
        let media_type = media_type.parse::<HeaderValue>();
        let media_type = media_type.map_err(|_| self.connection.protocol(&action, "its media type is no header"))?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, media_type)]);
        let (scopes, payload) = (push_scope(repository), Payload::Bytes(bytes));
        let call = Outgoing { action: action.clone(), method: Method::PUT, url, scopes, headers, payload };
        let response = self.connection.send(call).await?;
        let response = self.connection.expect(&action, response, &[200, 201, 204]).await?;
        Ok(response.headers().contains_key(SUBJECT))
    }
}

/// The header by which a registry says that it lists a manifest among its subject's referrers.
const SUBJECT: &str = "oci-subject";
/// How much of a file is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
