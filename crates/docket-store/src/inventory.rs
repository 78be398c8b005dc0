//! Everything that is stored, page by page: what `fsck` walks.

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};

use crate::catalog::{blob_row, digest, number, parsed};
use crate::change::{BlobRow, ManifestRow};
use crate::sql::{column, fetch_all};
use crate::{Store, StoreError};

/// A blob and the position after which the next page starts.
#[derive(Debug, Clone)]
pub struct StoredBlob {
    /// Position, for the next page.
    pub position: u64,
    /// Its digest.
    pub digest: Digest,
    /// What its row says.
    pub row: BlobRow,
}

/// A manifest of a repository and the position after which the next page starts.
#[derive(Debug, Clone)]
pub struct HeldManifest {
    /// Position, for the next page.
    pub position: (u64, u64),
    /// The repository.
    pub repository: RepositoryName,
    /// What its row says.
    pub row: ManifestRow,
}

impl Store {
    /// Blobs after a position, at most `limit`.
    pub async fn stored_blobs(&self, after: u64, limit: usize) -> Result<Vec<StoredBlob>, StoreError> {
        const TEXT: &str = "SELECT b.size, b.kind, b.entry_idx, b.body, d.value, d.id FROM blob b \
            JOIN digest d ON d.id = b.digest_id WHERE b.digest_id > $1 ORDER BY b.digest_id LIMIT $2";
        let rows = fetch_all(&self.readers, TEXT, &[after.into(), (limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("walk the blobs"))?;
        let stored = |row| {
            let digest = digest(row, 4)?;
            Ok(StoredBlob { position: number(row, 5)?, digest, row: blob_row(row, &digest)? })
        };
        rows.iter().map(stored).collect()
    }

    /// Manifests after a position, at most `limit`.
    pub async fn held_manifests(&self, after: (u64, u64), limit: usize) -> Result<Vec<HeldManifest>, StoreError> {
        const TEXT: &str = "SELECT m.repo_id, m.digest_id, r.name, d.value, m.media_type, b.body FROM manifest m \
            JOIN repo r ON r.id = m.repo_id JOIN digest d ON d.id = m.digest_id JOIN blob b ON b.digest_id = m.digest_id \
            WHERE (m.repo_id, m.digest_id) > ($1, $2) ORDER BY m.repo_id, m.digest_id LIMIT $3";
        let values = [after.0.into(), after.1.into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("walk the manifests"))?;
        let held = |row| {
            let bytes: Vec<u8> = column(row, 5)?;
            Ok(HeldManifest {
                position: (number(row, 0)?, number(row, 1)?),
                repository: parsed(column::<String>(row, 2)?.parse(), "a repository")?,
                row: ManifestRow { digest: digest(row, 3)?, media_type: column(row, 4)?, bytes: bytes.into() },
            })
        };
        rows.iter().map(held).collect()
    }

    /// Tags whose manifest does not stand in their repository; at most `limit`.
    pub async fn dangling_tags(&self, limit: usize) -> Result<Vec<(RepositoryName, Tag)>, StoreError> {
        const TEXT: &str = "SELECT r.name, t.name FROM tag t JOIN repo r ON r.id = t.repo_id WHERE NOT EXISTS \
            (SELECT 1 FROM manifest m WHERE m.repo_id = t.repo_id AND m.digest_id = t.digest_id) LIMIT $1";
        let rows = fetch_all(&self.readers, TEXT, &[(limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("walk the tags"))?;
        let tag = |row| {
            let repository = parsed(column::<String>(row, 0)?.parse(), "a repository")?;
            Ok((repository, parsed(column::<String>(row, 1)?.parse(), "a tag")?))
        };
        rows.iter().map(tag).collect()
    }

    /// Blobs that a repository shows but that have no row; at most `limit`.
    pub async fn dangling_links(&self, limit: usize) -> Result<Vec<(RepositoryName, Digest)>, StoreError> {
        const TEXT: &str = "SELECT r.name, d.value FROM blob_link l JOIN repo r ON r.id = l.repo_id \
            JOIN digest d ON d.id = l.digest_id WHERE NOT EXISTS \
            (SELECT 1 FROM blob b WHERE b.digest_id = l.digest_id) LIMIT $1";
        let rows = fetch_all(&self.readers, TEXT, &[(limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("walk the links"))?;
        let link = |row| Ok((parsed(column::<String>(row, 0)?.parse(), "a repository")?, digest(row, 1)?));
        rows.iter().map(link).collect()
    }
}
