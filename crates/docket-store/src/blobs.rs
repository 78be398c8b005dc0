//! Content above the size of a row: staged on the local disk while it is received, then put under its digest.
//!
//! One seam with exactly these verbs: put, open, verify, remove, list. Behind it are files of the data folder (`fs`) or objects
//! of a bucket (`s3`). What is put is durable when the verb returns; only a row makes it visible, so whatever no row names is
//! nobody's.

mod fs;
mod reader;
mod s3;
mod sessions;
mod staging;

pub use reader::BlobReader;
pub use s3::{ObjectStream, S3Settings, StoredObject};
pub use sessions::{LeftSession, SessionNote};
pub use staging::{ChunkStart, StagedBlob, Staging};

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use crate::StoreError;
use crate::change::BlobBody;
use crate::claims::{Claims, PushClaim};
use crate::durable::Folders;
use crate::keys::{DataFolder, INLINE_BYTES_MAX};
use crate::store::blocking;
use fs::{FsBlobs, FsListing};
use s3::S3Blobs;
use staging::Sink;

/// The blobs of a data folder that are no rows.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<DataFolder>,
    place: Place,
    pub(crate) claims: Claims,
}

#[derive(Debug, Clone)]
enum Place {
    Fs(FsBlobs),
    S3(S3Blobs),
}

/// Where blobs that are no rows are kept. What was put in one place is not looked for in another.
#[derive(Debug, Clone)]
pub enum BlobStorage {
    /// In the data folder.
    Files,
    /// In a bucket.
    S3(S3Settings),
}

/// The bytes of a blob, not read yet.
#[derive(Debug)]
pub enum BlobSource {
    /// An open file of just this content; read it with [`BlobReader`].
    File(File),
    /// An object of just this content.
    Object(StoredObject),
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
pub struct Listing(Walk);

enum Walk {
    /// Away while a page is read.
    Files(Option<FsListing>),
    Objects(BoxStream<'static, Result<KeptBlob, StoreError>>),
}

impl Blobs {
    pub(crate) fn new(
        folder: Arc<DataFolder>,
        folders: Arc<Folders>,
        storage: BlobStorage,
    ) -> Result<Self, StoreError> {
        let place = match storage {
            BlobStorage::Files => Place::Fs(FsBlobs { folder: Arc::clone(&folder), folders }),
            BlobStorage::S3(settings) => Place::S3(S3Blobs::new(settings)?),
        };
        Ok(Self { folder, place, claims: Claims::default() })
    }

    /// Whether they lie in the data folder.
    pub(crate) fn are_files(&self) -> bool {
        match &self.place {
            Place::Fs(_) => true,
            Place::S3(_) => false,
        }
    }

    /// Waits for what is on its way.
    pub(crate) async fn close(&self) {
        match &self.place {
            Place::Fs(_) => {}
            Place::S3(s3) => s3.close().await,
        }
    }

    /// Begins content of unknown length, hashed with `algorithm` while it arrives. A restart ends it.
    pub fn stage(&self, algorithm: Algorithm) -> Staging {
        let path = self.folder.staging().join(uuid::Uuid::new_v4().to_string());
        Staging::new(self.clone(), Sink::new(path, algorithm))
    }

    /// Opens a blob of `size` bytes. That its row names what is not there is damage, never absence.
    pub fn open(&self, digest: &Digest, size: u64) -> Result<BlobSource, StoreError> {
        match &self.place {
            Place::Fs(files) => files.open(digest).map(BlobSource::File),
            Place::S3(s3) => Ok(BlobSource::Object(s3.open(digest, size))),
        }
    }

    /// Hashes a blob again: what it hashes to, and its length in bytes.
    pub async fn verify(&self, digest: &Digest) -> Result<(Digest, u64), StoreError> {
        match &self.place {
            Place::Fs(files) => {
                let (files, digest) = (files.clone(), *digest);
                blocking(move || files.verify(&digest)).await
            }
            Place::S3(s3) => s3.verify(digest).await,
        }
    }

    /// Removes the bytes of a blob, if they are there. The caller makes sure that no row names them and no push is about to.
    pub async fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        match &self.place {
            Place::Fs(files) => {
                let (files, digest) = (files.clone(), *digest);
                blocking(move || files.remove(&digest)).await
            }
            Place::S3(s3) => s3.remove(digest).await,
        }
    }

    /// Sets the bytes of a blob aside, if they are there, for people to look at.
    pub(crate) async fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        match &self.place {
            Place::Fs(files) => {
                let (files, digest) = (files.clone(), *digest);
                blocking(move || files.set_aside(&digest)).await
            }
            Place::S3(s3) => s3.set_aside(digest).await,
        }
    }

    /// Begins a walk over everything that is kept.
    pub async fn list(&self) -> Result<Listing, StoreError> {
        match &self.place {
            Place::Fs(files) => {
                let files = files.clone();
                blocking(move || files.list().map(|listing| Listing(Walk::Files(Some(listing))))).await
            }
            Place::S3(s3) => Ok(Listing(Walk::Objects(s3.list()))),
        }
    }

    /// Puts staged content under its digest, once all of it was compared with that.
    async fn take_in(
        &self,
        mut sink: Sink,
        waiting: Vec<Bytes>,
        digest: Digest,
        size: u64,
    ) -> Result<(BlobBody, Option<Arc<PushClaim>>), StoreError> {
        let place = self.place.clone();
        // From before the content has its name. If the caller goes away, some may be left that no row names.
        let mut claim = None;
        if size > INLINE_BYTES_MAX as u64 {
            claim = Some(Arc::new(self.claims.push(&digest).await));
        }
        let (left, claim) = blocking(move || {
            sink.write(&waiting)?;
            sink.check(digest)?;
            if claim.is_none() {
                let bytes = std::fs::read(&sink.path).map_err(StoreError::file("read", &sink.path))?;
                return Ok((Left::Nothing(BlobBody::Inline(bytes.into())), claim));
            }
            let left = match place {
                Place::Fs(files) => files.put(sink, &digest).map(|()| Left::Nothing(BlobBody::File))?,
                Place::S3(s3) => Left::Send(s3, sink),
            };
            Ok((left, claim))
        })
        .await?;
        let body = match left {
            Left::Nothing(body) => body,
            Left::Send(s3, sink) => s3.put(sink, digest, size).await.map(|()| BlobBody::File)?,
        };
        Ok((body, claim))
    }
}

/// What is left to do about staged content after the disk did its part.
enum Left {
    Nothing(BlobBody),
    Send(S3Blobs, Sink),
}

impl Listing {
    /// The next at most `limit` blobs; none at the end. After a failure the walk is over: what was not seen may be there.
    pub async fn page(&mut self, limit: usize) -> Result<Vec<KeptBlob>, StoreError> {
        match &mut self.0 {
            Walk::Files(files) => {
                let mut listing = files.take().ok_or(StoreError::Stopped)?;
                let (page, listing) = blocking(move || Ok((listing.page(limit)?, listing))).await?;
                *files = Some(listing);
                Ok(page)
            }
            Walk::Objects(objects) => objects.take(limit).try_collect().await,
        }
    }
}

impl fmt::Display for BlobStorage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files => formatter.write_str("the data folder"),
            Self::S3(settings) => settings.fmt(formatter),
        }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Listing")
    }
}
