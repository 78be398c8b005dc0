//! Everything that is stored, page by page: what `fsck` walks.

use std::collections::HashSet;

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};
use sqlx::sqlite::{SqlitePool, SqliteRow};

use crate::catalog::{blob_row, digest, number, parsed};
use crate::change::{BlobRow, ManifestRow, NewReferrer};
use crate::sql::{Lookup, column, fetch_all, fetch_optional};
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
    /// How it is listed among the referrers of its subject.
    pub referrer: Option<NewReferrer>,
}

impl Store {
    /// Blobs after a position, at most `limit`.
    pub async fn stored_blobs(&self, after: u64, limit: usize) -> Result<Vec<StoredBlob>, StoreError> {
        stored_blobs(&self.readers, after, limit).await
    }

    /// Manifests after a position, at most `limit`.
    pub async fn held_manifests(&self, after: (u64, u64), limit: usize) -> Result<Vec<HeldManifest>, StoreError> {
        const TEXT: &str = "SELECT m.digest_id, m.repo_id, r.name, d.value, m.media_type, b.body, \
            s.value, m.artifact_type, m.descriptor FROM manifest m \
            JOIN repo r ON r.id = m.repo_id JOIN digest d ON d.id = m.digest_id \
            JOIN blob b ON b.digest_id = m.digest_id AND b.body IS NOT NULL LEFT JOIN digest s ON s.id = m.subject_id \
            WHERE (m.digest_id, m.repo_id) > ($1, $2) ORDER BY m.digest_id, m.repo_id LIMIT $3";
        let values = [after.0.into(), after.1.into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("walk the manifests"))?;
        let held = |row| {
            let bytes: Vec<u8> = column(row, 5)?;
            Ok(HeldManifest {
                position: (number(row, 0)?, number(row, 1)?),
                repository: parsed(column::<String>(row, 2)?.parse(), "a repository")?,
                row: ManifestRow { digest: digest(row, 3)?, media_type: column(row, 4)?, bytes: bytes.into() },
                referrer: referrer(row)?,
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

    /// Manifests of a repository whose bytes are in no row; at most `limit`.
    pub async fn dangling_manifests(&self, limit: usize) -> Result<Vec<(RepositoryName, Digest)>, StoreError> {
        const TEXT: &str = "SELECT r.name, d.value FROM manifest m JOIN repo r ON r.id = m.repo_id \
            JOIN digest d ON d.id = m.digest_id WHERE NOT EXISTS \
            (SELECT 1 FROM blob b WHERE b.digest_id = m.digest_id AND b.body IS NOT NULL) LIMIT $1";
        let rows = fetch_all(&self.readers, TEXT, &[(limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("walk the manifests"))?;
        rows.iter().map(named_digest).collect()
    }

    /// Which of the things that a manifest names the collector does not know of.
    pub async fn unknown_references(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
        targets: Vec<Digest>,
    ) -> Result<Vec<Digest>, StoreError> {
        let failed = || StoreError::database("read references");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let key = |target: &Digest| vec![repository.as_str().into(), manifest.to_key().into(), target.to_key().into()];
        let rows = KNOWN_REFERENCES.run(&mut connection, &targets.iter().map(key).collect::<Vec<_>>()).await;
        let known = rows.map_err(failed())?.iter().map(|row| digest(row, 0)).collect::<Result<HashSet<_>, _>>()?;
        Ok(targets.into_iter().filter(|target| !known.contains(target)).collect())
    }

    /// The first entry at or after an index, whether or not the head covers it.
    pub async fn first_entry_from(&self, index: u64) -> Result<Option<u64>, StoreError> {
        const TEXT: &str = "SELECT idx FROM entry WHERE idx >= $1 ORDER BY idx LIMIT 1";
        let row = fetch_optional(&self.readers, TEXT, &[index.into()]).await;
        row.map_err(StoreError::database("read an entry"))?.map(|row| number(&row, 0)).transpose()
    }

    /// Blobs that a repository shows but that have no row; at most `limit`.
    pub async fn dangling_links(&self, limit: usize) -> Result<Vec<(RepositoryName, Digest)>, StoreError> {
        const TEXT: &str = "SELECT r.name, d.value FROM blob_link l JOIN repo r ON r.id = l.repo_id \
            JOIN digest d ON d.id = l.digest_id WHERE NOT EXISTS \
            (SELECT 1 FROM blob b WHERE b.digest_id = l.digest_id) LIMIT $1";
        let rows = fetch_all(&self.readers, TEXT, &[(limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("walk the links"))?;
        rows.iter().map(named_digest).collect()
    }
}

/// Blobs of a database after a position, at most `limit`.
pub(crate) async fn stored_blobs(
    database: &SqlitePool,
    after: u64,
    limit: usize,
) -> Result<Vec<StoredBlob>, StoreError> {
    const TEXT: &str = "SELECT b.size, b.kind, b.entry_idx, b.body, d.value, d.id FROM blob b \
        JOIN digest d ON d.id = b.digest_id WHERE b.digest_id > $1 AND b.kind <> 4 ORDER BY b.digest_id LIMIT $2";
    let rows = fetch_all(database, TEXT, &[after.into(), (limit as u64).into()]).await;
    let rows = rows.map_err(StoreError::database("walk the blobs"))?;
    let stored = |row| {
        let digest = digest(row, 4)?;
        Ok(StoredBlob { position: number(row, 5)?, digest, row: blob_row(row, &digest)? })
    };
    rows.iter().map(stored).collect()
}

fn named_digest(row: &SqliteRow) -> Result<(RepositoryName, Digest), StoreError> {
    Ok((parsed(column::<String>(row, 0)?.parse(), "a repository")?, digest(row, 1)?))
}

/// The columns of a held manifest that make it a referrer.
fn referrer(row: &SqliteRow) -> Result<Option<NewReferrer>, StoreError> {
    if column::<Option<&[u8]>>(row, 6)?.is_none() {
        return Ok(None);
    }
    Ok(Some(NewReferrer { subject: digest(row, 6)?, artifact_type: column(row, 7)?, descriptor: column(row, 8)? }))
}

// What is composed from the ledger is never collected and needs no reference.
static KNOWN_REFERENCES: Lookup = Lookup::new(
    &["repo", "manifest", "target"],
    "SELECT t.value FROM want CROSS JOIN digest t WHERE t.value = want.target AND (EXISTS (SELECT 1 FROM reference f \
     JOIN repo r ON r.id = f.repo_id JOIN digest m ON m.id = f.manifest_id \
     WHERE f.target_id = t.id AND r.name = want.repo AND m.value = want.manifest) \
     OR EXISTS (SELECT 1 FROM blob b WHERE b.digest_id = t.id AND b.kind IN (2, 3)))",
);
