//! Blobs as readers get them: from a row, from a file, or composed from the ledger.

use std::fs::File;

use bytes::Bytes;
use docket_oci::digest::Digest;
use docket_store::{BlobBody, BlobSource};

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
    /// An open file of just this content; read it with [`BlobReader`](docket_store::BlobReader).
    File(File),
}

impl Instance {
    /// Opens a blob.
    pub async fn blob(&self, permit: &Permit, digest: &Digest) -> Result<Blob, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        let row = self.store.blob(repository, digest).await?.ok_or(EngineError::BlobUnknown(*digest))?;
        let content = match row.body {
            BlobBody::Inline(bytes) => BlobContent::Bytes(bytes),
            BlobBody::File => match self.store.blobs().open(digest)? {
                BlobSource::File(file) => BlobContent::File(file),
            },
            BlobBody::StatementOf(index) => BlobContent::Bytes(self.ledger.first_statement(index).await?.into()),
            BlobBody::ReceiptOf(index) => BlobContent::Bytes(self.ledger.first_receipt_at(index).await?.into()),
        };
        Ok(Blob { size: row.size, content })
    }

    /// The size of a blob, without opening it.
    pub async fn blob_size(&self, permit: &Permit, digest: &Digest) -> Result<u64, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        let row = self.store.blob(repository, digest).await?.ok_or(EngineError::BlobUnknown(*digest))?;
        Ok(row.size)
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
