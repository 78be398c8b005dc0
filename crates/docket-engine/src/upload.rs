//! Uploads: content arrives in one request or many, is hashed while it streams, and becomes a blob at the end.
//!
//! A session belongs to the repository it was opened for and lives in memory: a restart ends it, and the client
//! starts over. What was received is never visible before its digest was checked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::RepositoryName;
use docket_store::{Staging, StoreError};
use tokio::sync::OwnedMutexGuard;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// The sessions that are open, by id.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug, Clone)]
struct Session {
    repository: RepositoryName,
    last_used: i64,
    /// Bytes so far; read by whoever asks how far it is, while another request writes.
    received: Arc<AtomicU64>,
    /// Held by the request that writes; `None` once finished or spoilt.
    staging: Arc<tokio::sync::Mutex<Option<Staging>>>,
}

/// An upload that this request alone may write to.
#[derive(Debug)]
pub struct OpenUpload {
    id: String,
    repository: RepositoryName,
    received: Arc<AtomicU64>,
    staging: OwnedMutexGuard<Option<Staging>>,
}

impl Instance {
    /// Takes a whole blob in one request. Nobody else can know of it, so it is gone if the caller goes away.
    pub fn start_single_upload(&self, permit: &Permit, algorithm: Algorithm) -> Result<OpenUpload, EngineError> {
        let repository = permit.repository(Right::Push)?.clone();
        let staging = Arc::new(tokio::sync::Mutex::new(Some(self.store.blobs().stage(algorithm))));
        let staging = staging.try_lock_owned().map_err(|_| EngineError::UploadBusy { size: 0 })?;
        Ok(OpenUpload { id: String::new(), repository, received: Arc::default(), staging })
    }

    /// Opens an upload of several requests and gives its id.
    pub fn start_upload(&self, permit: &Permit, algorithm: Algorithm) -> Result<String, EngineError> {
        let repository = permit.repository(Right::Push)?.clone();
        let now = self.clock.now();
        let mut sessions = self.uploads.lock();
        // A look at every session, but pushes that open one are rare beside everything else they do.
        sessions.retain(|_, session| session.last_used + IDLE_SECONDS_MAX > now || session.is_busy());
        if sessions.len() >= UPLOADS_MAX {
            return Err(EngineError::TooManyUploads);
        }
        let id = uuid::Uuid::new_v4().to_string();
        let staging = Arc::new(tokio::sync::Mutex::new(Some(self.store.blobs().stage(algorithm))));
        sessions.insert(id.clone(), Session { repository, last_used: now, received: Arc::default(), staging });
        Ok(id)
    }

    /// Takes an upload for writing. A second request meanwhile is refused, never interleaved.
    pub fn open_upload(&self, permit: &Permit, id: &str) -> Result<OpenUpload, EngineError> {
        let session = self.session(permit, id)?;
        let size = session.received.load(Ordering::Acquire);
        let staging = session.staging.try_lock_owned().map_err(|_| EngineError::UploadBusy { size })?;
        Ok(OpenUpload { id: id.to_owned(), repository: session.repository, received: session.received, staging })
    }

    /// Bytes that an upload has received so far, also while a request is writing to it.
    pub fn upload_size(&self, permit: &Permit, id: &str) -> Result<u64, EngineError> {
        Ok(self.session(permit, id)?.received.load(Ordering::Acquire))
    }

    /// Ends an upload: checks the digest, makes the blob durable and visible.
    pub async fn finish_upload(&self, mut upload: OpenUpload, digest: &Digest) -> Result<(), EngineError> {
        self.uploads.lock().remove(&upload.id);
        let staging = upload.staging.take().ok_or_else(|| EngineError::UploadUnknown(upload.id.clone()))?;
        let staged = staging.finish(digest).await.map_err(digest_error)?;
        Ok(self.store.put_blob(upload.repository.clone(), staged.blob, self.clock.now()).await?)
    }

    /// Gives an upload up; what was received is removed.
    pub fn cancel_upload(&self, upload: &OpenUpload) {
        self.uploads.lock().remove(&upload.id);
    }

    fn session(&self, permit: &Permit, id: &str) -> Result<Session, EngineError> {
        let repository = permit.repository(Right::Push)?;
        let mut sessions = self.uploads.lock();
        let session = sessions.get_mut(id).filter(|session| session.repository == *repository);
        let session = session.ok_or_else(|| EngineError::UploadUnknown(id.to_owned()))?;
        session.last_used = self.clock.now();
        Ok(session.clone())
    }
}

impl OpenUpload {
    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.staging.as_ref().map_or(0, Staging::size)
    }

    /// Takes more content. If the caller goes away meanwhile, what it sent so far stays in the session.
    pub async fn append(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        let Some(staging) = self.staging.as_mut() else {
            return Err(EngineError::UploadUnknown(self.id.clone()));
        };
        let size = staging.size() + chunk.len() as u64;
        if size > BLOB_BYTES_MAX {
            return Err(EngineError::BlobTooLarge { limit: BLOB_BYTES_MAX });
        }
        // Before the wait: a caller that goes away in it leaves the chunk in the session.
        self.received.store(size, Ordering::Release);
        let written = staging.write(chunk).await;
        if written.is_err() {
            // A chunk is missing now, so the session can never give the right digest.
            *self.staging = None;
        }
        Ok(written?)
    }

    /// Ends this request's part of the upload; the next one goes on from here.
    pub async fn rest(mut self) -> Result<u64, EngineError> {
        let Some(staging) = self.staging.as_mut() else {
            return Err(EngineError::UploadUnknown(self.id.clone()));
        };
        staging.rest().await?;
        Ok(staging.size())
    }
}

impl Session {
    /// Whether a request is writing to it.
    fn is_busy(&self) -> bool {
        self.staging.try_lock().is_err()
    }
}

impl Uploads {
    /// Sessions that are open.
    pub(crate) fn open_now(&self) -> u64 {
        self.lock().len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_error(failure: StoreError) -> EngineError {
    match failure {
        StoreError::DigestMismatch { expected, actual } => EngineError::DigestMismatch { expected, actual },
        other => other.into(),
    }
}

/// Uploads open at once.
const UPLOADS_MAX: usize = 10_000;
/// Seconds without a request after which an upload may be dropped.
const IDLE_SECONDS_MAX: i64 = 3600;
/// The largest blob, in bytes: 64 GiB.
pub const BLOB_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
