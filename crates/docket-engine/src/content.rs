//! Blobs as readers get them: from a row, from a file, or composed from the ledger.

use std::fs::File;

use bytes::Bytes;
use docket_oci::digest::Digest;
use docket_oci::name::RepositoryName;
use docket_store::{BlobBody, BlobReader, BlobSource, StoreError, StoredObject};
use futures_util::StreamExt as _;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;

/// A blob that the repository holds.
#[derive(Debug)]
pub struct Blob {
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes.
    pub content: BlobContent,
}

/// Where the bytes come from.
#[derive(Debug)]
pub enum BlobContent {
    /// All of them.
    Bytes(Bytes),
    /// An open file of just this content; read it with [`BlobReader`].
    File(File),
    /// An object of a bucket, not read yet.
    Object(StoredObject),
}

impl Blob {
    /// Reads all of it; for what is known to be small.
    pub(crate) async fn read(self) -> Result<Bytes, EngineError> {
        let failed = |source| StoreError::File { verb: "read", path: "a blob".into(), source };
        let mut bytes = Vec::new();
        match self.content {
            BlobContent::Bytes(bytes) => return Ok(bytes),
            BlobContent::File(file) => {
                let mut reader = BlobReader::new(file, 0, self.size);
                while let Some(chunk) = reader.next().await {
                    bytes.extend_from_slice(&chunk.map_err(failed)?);
                }
            }
            BlobContent::Object(object) => {
                let mut stream = object.read(0..self.size).await?;
                while let Some(chunk) = stream.next().await {
                    bytes.extend_from_slice(&chunk.map_err(failed)?);
                }
            }
        }
        Ok(bytes.into())
    }
}

impl Instance {
    /// Opens a blob.
    pub async fn blob(&self, permit: &Permit, digest: &Digest) -> Result<Blob, EngineError> {
        self.open_blob(permit.repository(Right::Pull)?, digest).await
    }

    /// The same for a caller who was asked already.
    pub(crate) async fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Blob, EngineError> {
        let row = self.store.blob(repository, digest).await?.ok_or(EngineError::BlobUnknown(*digest))?.row;
        let content = match row.body {
            BlobBody::Inline(bytes) => BlobContent::Bytes(bytes),
            BlobBody::File => match self.store.blobs().open(digest, row.size) {
                Ok(BlobSource::File(file)) => BlobContent::File(file),
                Ok(BlobSource::Object(object)) => BlobContent::Object(object),
                // It may have been collected since its row was read.
                Err(_) if self.store.blob(repository, digest).await?.is_none() => {
                    return Err(EngineError::BlobUnknown(*digest));
                }
                Err(failure) => return Err(failure.into()),
            },
            BlobBody::StatementOf(index) => BlobContent::Bytes(self.ledger.first_statement(index).await?.into()),
            BlobBody::ReceiptOf(index) => BlobContent::Bytes(self.ledger.first_receipt_at(index).await?.into()),
        };
        Ok(Blob { size: row.size, content })
    }

    /// The size of a blob, without opening it. Whoever is told that it is here may leave it out of a push, so it counts as
    /// linked just now; once in a while is enough, and the collector's grace period is longer than that.
    pub async fn blob_size(&self, permit: &Permit, digest: &Digest) -> Result<u64, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        let blob = self.store.blob(repository, digest).await?.ok_or(EngineError::BlobUnknown(*digest))?;
        let now = self.clock.now();
        if blob.linked_at > now.saturating_sub(SEEN_SECONDS) {
            return Ok(blob.row.size);
        }
        match self.store.see_blob(repository.clone(), *digest, now).await {
            // A full disk takes no pushes, nor does a restored copy; pulls ask this too, and they need nothing written.
            Ok(true) | Err(StoreError::DiskFull(_) | StoreError::Restored(_)) => Ok(blob.row.size),
            Ok(false) => Err(EngineError::BlobUnknown(*digest)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Hides a blob from the repository.
    pub async fn delete_blob(&self, permit: &Permit, digest: &Digest) -> Result<(), EngineError> {
        let repository = self.deletable(permit)?;
        if self.store.delete_blob(repository, *digest).await? {
            return Ok(());
        }
        Err(EngineError::BlobUnknown(*digest))
    }
}

/// How long an answer that a blob is here lasts before it is noted again: what a push may take is the grace period less this.
const SEEN_SECONDS: i64 = 3600;
