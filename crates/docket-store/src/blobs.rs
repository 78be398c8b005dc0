//! Content above the size of a row: staged on the local disk while it is received, then put under its digest.
//!
//! One seam with exactly these verbs: put, open, verify, remove, list. What is put is durable when the verb returns; only a
//! row makes it visible, so whatever no row names is nobody's.

mod fs;
mod reader;
mod sessions;
mod staging;

pub use reader::BlobReader;
pub use sessions::{LeftSession, SessionNote};
pub use staging::{ChunkStart, StagedBlob, Staging};

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};

use crate::StoreError;
use crate::change::BlobBody;
use crate::claims::{Claims, PushClaim};
use crate::durable::Folders;
use crate::keys::{DataFolder, INLINE_BYTES_MAX};
use crate::store::blocking;
use fs::{FsBlobs, FsListing};
use staging::Sink;

/// The blobs of a data folder that are no rows.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<DataFolder>,
    files: FsBlobs,
    pub(crate) claims: Claims,
}

/// The bytes of a blob, not read yet.
#[derive(Debug)]
pub enum BlobSource {
    /// An open file of just this content; read it with [`BlobReader`].
    File(File),
}

/// A blob as a listing finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBlob {
    /// The digest it is kept under.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes were written last, by the clock of whoever keeps them, in Unix seconds.
    pub kept_at: i64,
}

/// A walk over all that is kept, in no order. What is put or removed meanwhile may be in it or not.
#[derive(Debug)]
pub struct Listing(Option<FsListing>);

impl Blobs {
    pub(crate) fn new(folder: Arc<DataFolder>, folders: Arc<Folders>) -> Self {
        Self { files: FsBlobs { folder: Arc::clone(&folder), folders }, folder, claims: Claims::default() }
    }

    /// Begins content of unknown length, hashed with `algorithm` while it arrives. A restart ends it.
    pub fn stage(&self, algorithm: Algorithm) -> Staging {
        let path = self.folder.staging().join(uuid::Uuid::new_v4().to_string());
        Staging::new(self.clone(), Sink::new(path, algorithm))
    }

    /// Opens a blob. That its row names what is not there is damage, never absence.
    pub fn open(&self, digest: &Digest) -> Result<BlobSource, StoreError> {
        self.files.open(digest).map(BlobSource::File)
    }

    /// Hashes a blob again: what it hashes to, and its length in bytes.
    pub async fn verify(&self, digest: &Digest) -> Result<(Digest, u64), StoreError> {
        let (files, digest) = (self.files.clone(), *digest);
        blocking(move || files.verify(&digest)).await
    }

    /// Removes the bytes of a blob, if they are there. The caller makes sure that no row names them and no push is about to.
    pub async fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let (files, digest) = (self.files.clone(), *digest);
        blocking(move || files.remove(&digest)).await
    }

    /// Sets the bytes of a blob aside, if they are there, for people to look at.
    pub(crate) async fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        let (files, digest) = (self.files.clone(), *digest);
        blocking(move || files.set_aside(&digest)).await
    }

    /// Begins a walk over everything that is kept.
    pub async fn list(&self) -> Result<Listing, StoreError> {
        let files = self.files.clone();
        blocking(move || files.list().map(|listing| Listing(Some(listing)))).await
    }

    /// Puts staged content under its digest, once all of it was compared with that.
    async fn take_in(
        &self,
        mut sink: Sink,
        waiting: Vec<Bytes>,
        digest: Digest,
        size: u64,
    ) -> Result<(BlobBody, Option<Arc<PushClaim>>), StoreError> {
        let files = self.files.clone();
        // From before the file has its name. If the caller goes away, a file may be left that no row names.
        let mut claim = None;
        if size > INLINE_BYTES_MAX as u64 {
            claim = Some(Arc::new(self.claims.push(&digest).await));
        }
        blocking(move || {
            sink.write(&waiting)?;
            sink.check(digest)?;
            if claim.is_none() {
                let bytes = std::fs::read(&sink.path).map_err(StoreError::file("read", &sink.path))?;
                return Ok((BlobBody::Inline(bytes.into()), claim));
            }
            files.put(sink, &digest)?;
            Ok((BlobBody::File, claim))
        })
        .await
    }
}

impl Listing {
    /// The next at most `limit` blobs; none at the end. After a failure the walk is over: what was not seen may be there.
    pub async fn page(&mut self, limit: usize) -> Result<Vec<KeptBlob>, StoreError> {
        let mut listing = self.0.take().ok_or(StoreError::Stopped)?;
        let (page, listing) = blocking(move || Ok((listing.page(limit)?, listing))).await?;
        self.0 = Some(listing);
        Ok(page)
    }
}
