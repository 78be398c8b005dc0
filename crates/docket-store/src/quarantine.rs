//! Damaged content is set aside: nobody is shown it any more, and whoever pushes the content again makes it whole.
//!
//! Its row stays and says so, as do the links: a push that asks for it is told that it is not there.

use std::sync::Arc;

use docket_oci::digest::Digest;

use crate::catalog::{blob_row, digest};
use crate::change::{BlobBody, BlobRow};
use crate::claims::RemoveClaim;
use crate::collect::Removal;
use crate::sql::{fetch_all, fetch_optional};
use crate::store::blocking;
use crate::{Store, StoreError};

impl Store {
    /// Keeps everyone else from the bytes of a blob; `None` while a push or another has them in hand.
    pub fn hold(&self, digest: &Digest) -> Option<RemoveClaim> {
        self.blobs().claims.try_remove(digest)
    }

    /// What the row of a blob says, whoever shows it. `None` if there is none, or its content was set aside.
    pub async fn stored_blob(&self, digest: &Digest) -> Result<Option<BlobRow>, StoreError> {
        const TEXT: &str = "SELECT b.size, b.kind, b.entry_idx, b.body FROM digest d \
            JOIN blob b ON b.digest_id = d.id WHERE d.value = $1 AND b.kind <> 4";
        let row = fetch_optional(&self.readers, TEXT, &[digest.to_key().into()]).await;
        row.map_err(StoreError::database("read a blob"))?.map(|row| blob_row(&row, digest)).transpose()
    }

    /// Sets damaged content aside. A crash before the row says so changes nothing; after it, it may leave a file where no row
    /// looks for it, which the next push replaces and the collector removes.
    pub async fn quarantine(&self, hold: RemoveClaim, digest: &Digest, body: &BlobBody) -> Result<(), StoreError> {
        // A copy may be about to read it.
        let _not_copied = self.copying.read().await;
        match body {
            BlobBody::Inline(bytes) => {
                let (folders, bytes) = (Arc::clone(&self.folders), bytes.clone());
                let (staging, to) = (self.folder.staging(), self.folder.quarantined(digest));
                blocking(move || folders.write_file(&staging, &to, &bytes)).await?;
                self.remove(Removal::Damaged(*digest)).await?;
            }
            BlobBody::File => {
                self.remove(Removal::Damaged(*digest)).await?;
                let (blobs, digest) = (self.blobs().clone(), *digest);
                hold.held_during(async move { blobs.set_aside(&digest).await }).await?;
            }
            // Their bytes are nowhere: they are made from the ledger.
            BlobBody::StatementOf(_) | BlobBody::ReceiptOf(_) => {}
        }
        Ok(())
    }

    /// Blobs that were set aside, at most `limit`.
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<Digest>, StoreError> {
        const TEXT: &str =
            "SELECT d.value FROM blob b JOIN digest d ON d.id = b.digest_id WHERE b.kind = 4 ORDER BY d.id LIMIT $1";
        let rows = fetch_all(&self.readers, TEXT, &[(limit as u64).into()]).await;
        rows.map_err(StoreError::database("look for what was set aside"))?.iter().map(|row| digest(row, 0)).collect()
    }
}
