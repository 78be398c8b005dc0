//! Uploads: content arrives in one request or many, is hashed while it streams, and becomes a blob at the end.
//!
//! A session belongs to the account that opened it and to the repository it was opened for, and outlives a restart. What was
//! received is never visible before its digest was checked.

mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::RepositoryName;
use docket_store::{ChunkStart, Staging, StoreError};
use tokio::sync::OwnedMutexGuard;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use sessions::{Owner, Sessions};

pub(crate) use sessions::Uploads;

/// An upload that this request alone may write to. If the request ends early, what came stays in its session.
#[derive(Debug)]
pub struct OpenUpload {
    /// Where it stays between requests; `None` if this request is all there is.
    session: Option<SessionOf>,
    repository: RepositoryName,
    received: Arc<AtomicU64>,
    /// `None` once finished, given up or left.
    staging: Option<OwnedMutexGuard<Option<Staging>>>,
    /// Where the chunk began that this request sends; `None` if it sends a stream.
    chunk: Option<ChunkStart>,
}

#[derive(Debug)]
struct SessionOf {
    id: String,
    sessions: Arc<Sessions>,
}

impl Instance {
    /// Takes a whole blob in one request. Nobody else can know of it, so it is gone if the caller goes away.
    pub fn start_single_upload(&self, permit: &Permit, algorithm: Algorithm) -> Result<OpenUpload, EngineError> {
        let repository = permit.repository(Right::Push)?.clone();
        let staging = Arc::new(tokio::sync::Mutex::new(Some(self.store.blobs().stage(algorithm))));
        let staging = staging.try_lock_owned().map_err(|_| EngineError::UploadBusy { size: 0 })?;
        Ok(OpenUpload { session: None, repository, received: Arc::default(), staging: Some(staging), chunk: None })
    }

    /// Opens an upload of several requests and gives its id.
    pub async fn start_upload(&self, permit: &Permit, algorithm: Algorithm) -> Result<String, EngineError> {
        self.uploads.sessions.start(Owner::of(permit)?, algorithm).await
    }

    /// Takes an upload for writing. A second request meanwhile is refused, never interleaved.
    pub fn open_upload(&self, permit: &Permit, id: &str) -> Result<OpenUpload, EngineError> {
        let (owner, sessions) = (Owner::of(permit)?, Arc::clone(&self.uploads.sessions));
        let session = sessions.find(&owner, id)?;
        let size = session.size();
        let staging = session.staging.try_lock_owned().map_err(|_| EngineError::UploadBusy { size })?;
        let (repository, received) = (owner.repository, session.received);
        let session = Some(SessionOf { id: id.to_owned(), sessions });
        Ok(OpenUpload { session, repository, received, staging: Some(staging), chunk: None })
    }

    /// Bytes that an upload has received so far, also while a request is writing to it.
    pub fn upload_size(&self, permit: &Permit, id: &str) -> Result<u64, EngineError> {
        Ok(self.uploads.sessions.find(&Owner::of(permit)?, id)?.size())
    }

    /// Ends an upload: checks the digest, makes the blob durable and visible.
    pub async fn finish_upload(&self, mut upload: OpenUpload, digest: &Digest) -> Result<(), EngineError> {
        let staging = upload.end()?;
        let staged = staging.finish(digest).await.map_err(digest_error)?;
        Ok(self.store.put_blob(upload.repository.clone(), staged, self.clock.now()).await?)
    }

    /// Gives an upload up; what was received is removed.
    pub async fn cancel_upload(&self, mut upload: OpenUpload) -> Result<(), EngineError> {
        upload.end()?.discard().await;
        Ok(())
    }
}

impl OpenUpload {
    /// The session's id.
    pub fn id(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.id)
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.content().map_or(0, Staging::size)
    }

    /// From here on a chunk comes, which counts as a whole or not at all: it is taken back if the request ends before
    /// [`rest`](Self::rest). Of a stream, whatever came stays.
    pub async fn begin_chunk(&mut self) -> Result<(), EngineError> {
        let unknown = self.unknown();
        let staging = self.staging.as_mut().and_then(|staging| staging.as_mut()).ok_or(unknown)?;
        self.chunk = Some(staging.begin_chunk().await?);
        Ok(())
    }

    /// Takes the chunk back, so that the upload stands where the chunk began.
    pub async fn take_back(&mut self) -> Result<(), EngineError> {
        let Some(chunk) = &self.chunk else { return Ok(()) };
        let unknown = self.unknown();
        let staging = self.staging.as_mut().and_then(|staging| staging.as_mut()).ok_or(unknown)?;
        staging.take_back(chunk).await?;
        // Put away before the answer goes out: the client sends the chunk again at once, and is not to find the session busy.
        staging.rest().await?;
        self.chunk = None;
        Ok(())
    }

    /// Takes more content. If the caller goes away meanwhile, what it sent so far of a stream stays in the session.
    pub async fn append(&mut self, chunk: Bytes) -> Result<(), EngineError> {
        let size = self.size() + chunk.len() as u64;
        if size > BLOB_BYTES_MAX {
            return Err(EngineError::BlobTooLarge { limit: BLOB_BYTES_MAX });
        }
        let unknown = self.unknown();
        let staging = self.staging.as_mut().and_then(|staging| staging.as_mut()).ok_or(unknown)?;
        if self.chunk.is_none() {
            // Before the wait: a caller that goes away in it leaves what it sent in the session.
            self.received.store(size, Ordering::Release);
        }
        let written = staging.write(chunk).await;
        if written.is_err() {
            // A chunk is missing now, so the session can never give the right digest.
            self.end()?.discard().await;
        }
        Ok(written?)
    }

    /// Ends this request's part of the upload; the next one goes on from here.
    pub async fn rest(mut self) -> Result<u64, EngineError> {
        let unknown = self.unknown();
        let staging = self.staging.as_mut().and_then(|staging| staging.as_mut()).ok_or(unknown)?;
        let (rested, size) = (staging.rest().await, staging.size());
        if rested.is_err() {
            self.end()?.discard().await;
        }
        // In this order: whoever asks is told of the whole chunk before the next one can be sent.
        self.received.store(size, Ordering::Release);
        self.staging = None;
        rested?;
        Ok(size)
    }

    /// Takes the content out of the session, which ends with it.
    fn end(&mut self) -> Result<Staging, EngineError> {
        if let Some(session) = &self.session {
            session.sessions.remove(&session.id);
        }
        let unknown = self.unknown();
        self.staging.take().and_then(|mut staging| staging.take()).ok_or(unknown)
    }

    fn content(&self) -> Option<&Staging> {
        self.staging.as_ref().and_then(|staging| staging.as_ref())
    }

    fn unknown(&self) -> EngineError {
        EngineError::UploadUnknown(self.id().to_owned())
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        if let (Some(session), Some(staging)) = (&self.session, self.staging.take()) {
            session.sessions.rest(staging, self.chunk.take());
        }
    }
}

fn digest_error(failure: StoreError) -> EngineError {
    match failure {
        StoreError::DigestMismatch { expected, actual } => EngineError::DigestMismatch { expected, actual },
        other => other.into(),
    }
}

/// The largest blob, in bytes: 64 GiB.
pub const BLOB_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
