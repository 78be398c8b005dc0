//! What the collector reads and removes, one small range of keys at a time.
//!
//! One text says what garbage is, for looking and for removing: a removal asks again, in its own transaction, and what was
//! pushed, mounted or referred to since the look stays.

use docket_oci::digest::{Algorithm, Digest};
use docket_oci::media::OCI_EMPTY_BYTES;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::blobs::KeptBlob;
use crate::catalog::{digest, number};
use crate::change::{Change, Outcome};
use crate::claims::RemoveClaim;
use crate::rows::KIND_FILE;
use crate::sql::{Lookup, Value, column, execute, fetch_all, fetch_optional, fetch_rows};
use crate::{Store, StoreError};

/// A look at one range of keys.
#[derive(Debug, Clone)]
pub struct Look<Key> {
    /// The last key looked at; where the next look starts.
    pub until: Key,
    /// Rows looked at.
    pub seen: u64,
    /// How many of them are garbage as they are: all that a row is.
    pub rows: u64,
    /// Bytes in those rows.
    pub bytes: u64,
    /// Garbage whose bytes lie outside the rows, each to be removed under a claim.
    pub files: Vec<KeptFile>,
}

/// Content outside the database that a row names.
#[derive(Debug, Clone)]
pub struct KeptFile {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Where a reference stands in its table.
pub type ReferenceKey = (u64, u64, u64);
/// Where a link stands in its table.
pub type LinkKey = (u64, u64);

/// A removal, as the writer's queue holds it. Ranges are open at their start and closed at their end.
#[derive(Debug, Clone)]
pub(crate) enum Removal {
    References { after: ReferenceKey, until: ReferenceKey },
    Links { after: LinkKey, until: LinkKey, linked_until: i64 },
    Rows { after: u64, until: u64 },
    FileRow(Digest),
    Damaged(Digest),
    FreePages,
}

/// A reference `f` whose manifest is gone.
macro_rules! gone {
    () => {
        "NOT EXISTS (SELECT 1 FROM manifest m WHERE m.digest_id = f.manifest_id AND m.repo_id = f.repo_id)"
    };
}

/// A link `l` that no manifest of its repository needs, last seen at `$1` at the latest. `$2` is the empty config, which is
/// never collected, as composed blobs are not.
macro_rules! unneeded {
    () => {
        "l.linked_at <= $1 AND NOT EXISTS (SELECT 1 FROM reference f JOIN manifest m \
         ON m.digest_id = f.manifest_id AND m.repo_id = f.repo_id \
         WHERE f.target_id = l.digest_id AND f.repo_id = l.repo_id) \
         AND NOT EXISTS (SELECT 1 FROM blob c WHERE c.digest_id = l.digest_id AND c.kind IN (2, 3)) \
         AND l.digest_id IS NOT (SELECT id FROM digest WHERE value = $2)"
    };
}

/// Content `b` that is nobody's manifest and may be collected. `$2` is the empty config.
macro_rules! no_manifest {
    () => {
        "b.kind NOT IN (2, 3) AND NOT EXISTS (SELECT 1 FROM manifest n WHERE n.digest_id = b.digest_id) \
         AND b.digest_id IS NOT (SELECT id FROM digest WHERE value = $2)"
    };
}

impl Store {
    /// Looks for references whose manifest is gone. `None` at the end.
    pub async fn look_at_references(&self, after: ReferenceKey) -> Result<Option<Look<ReferenceKey>>, StoreError> {
        const TEXT: &str = concat!(
            "SELECT f.target_id, f.repo_id, f.manifest_id, ",
            gone!(),
            " FROM reference f WHERE (f.target_id, f.repo_id, f.manifest_id) > ($1, $2, $3) \
             ORDER BY f.target_id, f.repo_id, f.manifest_id LIMIT $4"
        );
        let values = [after.0.into(), after.1.into(), after.2.into(), LOOK_ROWS.into()];
        let rows =
            fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("walk the references"))?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut look = Look::at((number(last, 0)?, number(last, 1)?, number(last, 2)?), rows.len());
        for row in &rows {
            look.rows += u64::from(column::<bool>(row, 3)?);
        }
        Ok(Some(look))
    }

    /// Looks for links that no manifest of their repository needs and that were last seen at `linked_until` at the latest.
    pub async fn look_at_links(&self, after: LinkKey, linked_until: i64) -> Result<Option<Look<LinkKey>>, StoreError> {
        const TEXT: &str = concat!(
            "SELECT l.digest_id, l.repo_id, ",
            unneeded!(),
            " FROM blob_link l WHERE (l.digest_id, l.repo_id) > ($3, $4) ORDER BY l.digest_id, l.repo_id LIMIT $5"
        );
        let values = [linked_until.into(), empty_config(), after.0.into(), after.1.into(), LOOK_ROWS.into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("walk the links"))?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut look = Look::at((number(last, 0)?, number(last, 1)?), rows.len());
        for row in &rows {
            look.rows += u64::from(column::<bool>(row, 2)?);
        }
        Ok(Some(look))
    }

    /// Looks for content that no manifest is and no link will show once the unneeded ones are gone.
    pub async fn look_at_blobs(&self, after: u64, linked_until: i64) -> Result<Option<Look<u64>>, StoreError> {
        const TEXT: &str = concat!(
            "SELECT b.digest_id, d.value, b.size, b.kind, ",
            no_manifest!(),
            " AND NOT EXISTS (SELECT 1 FROM blob_link l WHERE l.digest_id = b.digest_id AND NOT (",
            unneeded!(),
            ")) FROM blob b JOIN digest d ON d.id = b.digest_id WHERE b.digest_id > $3 ORDER BY b.digest_id LIMIT $4"
        );
        let values = [linked_until.into(), empty_config(), after.into(), LOOK_ROWS.into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("walk the blobs"))?;
        let Some(last) = rows.last() else { return Ok(None) };
        let mut look = Look::at(number(last, 0)?, rows.len());
        for row in &rows {
            if !column::<bool>(row, 4)? {
                continue;
            }
            let size = number(row, 2)?;
            if column::<i64>(row, 3)? == KIND_FILE {
                look.files.push(KeptFile { digest: digest(row, 1)?, size });
            } else {
                look.rows += 1;
                look.bytes += size;
            }
        }
        Ok(Some(look))
    }

    /// Removes the references of a range whose manifest is gone; how many.
    pub async fn remove_references(&self, after: ReferenceKey, until: ReferenceKey) -> Result<u64, StoreError> {
        Ok(self.remove(Removal::References { after, until }).await?.0)
    }

    /// Removes the unneeded links of a range; how many.
    pub async fn remove_links(&self, after: LinkKey, until: LinkKey, linked_until: i64) -> Result<u64, StoreError> {
        Ok(self.remove(Removal::Links { after, until, linked_until }).await?.0)
    }

    /// Removes the content of a range that is nobody's and is in rows; how many, and their bytes.
    pub async fn remove_rows(&self, after: u64, until: u64) -> Result<(u64, u64), StoreError> {
        self.remove(Removal::Rows { after, until }).await
    }

    /// Removes content outside the database that is nobody's: first its row, then its bytes. False if it is somebody's
    /// by now, or a push has it in hand.
    ///
    /// A crash after the row is gone leaves bytes that no row names, which [`remove_unnamed`](Self::remove_unnamed) finds.
    pub async fn remove_file(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Ok(_not_copied) = self.copying.try_read() else { return Ok(false) };
        let Some(claim) = self.blobs().claims.try_remove(digest) else { return Ok(false) };
        if self.remove(Removal::FileRow(*digest)).await?.0 == 0 {
            return Ok(false);
        }
        self.remove_bytes(claim, digest).await?;
        Ok(true)
    }

    /// Which of these no row names as kept outside the database.
    pub async fn unnamed(&self, kept: Vec<KeptBlob>) -> Result<Vec<KeptBlob>, StoreError> {
        let failed = || StoreError::database("look for blobs");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys: Vec<_> = kept.iter().map(|kept| vec![Value::Bytes(kept.digest.to_key())]).collect();
        let rows = NAMED.run(&mut connection, &keys).await.map_err(failed())?;
        let named = rows.iter().map(|row| digest(row, 0)).collect::<Result<std::collections::HashSet<_>, _>>()?;
        Ok(kept.into_iter().filter(|kept| !named.contains(&kept.digest)).collect())
    }

    /// Removes bytes that no row names. False if one names them by now, or a push has them in hand.
    pub async fn remove_unnamed(&self, kept: &KeptBlob) -> Result<bool, StoreError> {
        let Ok(_not_copied) = self.copying.try_read() else { return Ok(false) };
        let Some(claim) = self.blobs().claims.try_remove(&kept.digest) else { return Ok(false) };
        // Asked again under the claim: no push is between its bytes and its row now.
        if self.unnamed(vec![kept.clone()]).await?.is_empty() {
            return Ok(false);
        }
        self.remove_bytes(claim, &kept.digest).await?;
        Ok(true)
    }

    /// Bytes of the database that hold nothing any more.
    pub async fn free_bytes(&self) -> Result<u64, StoreError> {
        const TEXT: &str = "SELECT f.freelist_count * p.page_size FROM pragma_freelist_count f, pragma_page_size p";
        let row = fetch_optional(&self.readers, TEXT, &[]).await.map_err(StoreError::database("count free pages"))?;
        row.map_or(Ok(0), |row| number(&row, 0))
    }

    /// Gives a few free pages of the database back to the disk. The file gets smaller at the next checkpoint.
    pub async fn release_pages(&self) -> Result<(), StoreError> {
        self.remove(Removal::FreePages).await.map(drop)
    }

    pub(crate) async fn remove(&self, removal: Removal) -> Result<(u64, u64), StoreError> {
        match self.writer.write(Change::Remove(removal)).await? {
            Outcome::Removed { rows, bytes, .. } => Ok((rows, bytes)),
            outcome => unreachable!("a removal is answered with what was removed, not with {outcome:?}"),
        }
    }

    async fn remove_bytes(&self, claim: RemoveClaim, digest: &Digest) -> Result<(), StoreError> {
        let (blobs, digest) = (self.blobs().clone(), *digest);
        claim.held_during(async move { blobs.remove(&digest).await }).await
    }
}

impl<Key> Look<Key> {
    fn at(until: Key, rows: usize) -> Self {
        Self { until, seen: rows as u64, rows: 0, bytes: 0, files: Vec::new() }
    }
}

/// Runs a removal in the writer's transaction.
pub(crate) async fn remove(connection: &mut SqliteConnection, removal: &Removal) -> Result<Outcome, sqlx::Error> {
    const REFERENCES: &str = concat!(
        "DELETE FROM reference AS f WHERE (f.target_id, f.repo_id, f.manifest_id) > ($1, $2, $3) \
         AND (f.target_id, f.repo_id, f.manifest_id) <= ($4, $5, $6) AND ",
        gone!()
    );
    const LINKS: &str = concat!(
        "DELETE FROM blob_link AS l WHERE (l.digest_id, l.repo_id) > ($3, $4) \
         AND (l.digest_id, l.repo_id) <= ($5, $6) AND ",
        unneeded!(),
        " RETURNING (SELECT name FROM repo WHERE id = repo_id), (SELECT value FROM digest WHERE id = digest_id)"
    );
    const ROWS: &str = concat!(
        "DELETE FROM blob AS b WHERE b.digest_id > $1 AND b.digest_id <= $3 AND b.kind <> 1 AND ",
        no_manifest!(),
        " AND NOT EXISTS (SELECT 1 FROM blob_link l WHERE l.digest_id = b.digest_id) RETURNING size"
    );
    const FILE_ROW: &str = concat!(
        "DELETE FROM blob AS b WHERE b.digest_id = (SELECT id FROM digest WHERE value = $1) AND b.kind = 1 AND ",
        no_manifest!(),
        " AND NOT EXISTS (SELECT 1 FROM blob_link l WHERE l.digest_id = b.digest_id)"
    );
    const DAMAGED: &str = "UPDATE blob SET kind = 4, body = NULL \
        WHERE digest_id = (SELECT id FROM digest WHERE value = $1) AND kind IN (0, 1)";
    let mut unlinked = Vec::new();
    let (rows, bytes) = match removal {
        Removal::References { after, until } => {
            let values = [after.0, after.1, after.2, until.0, until.1, until.2].map(Value::from);
            (execute(connection, REFERENCES, &values).await?, 0)
        }
        Removal::Links { after, until, linked_until } => {
            let keys = [after.0, after.1, until.0, until.1].map(Value::from);
            let values: Vec<_> = [(*linked_until).into(), empty_config()].into_iter().chain(keys).collect();
            let rows = fetch_rows(connection, LINKS, &values).await?;
            unlinked = rows.iter().map(unlinked_blob).collect::<Result<_, _>>()?;
            (rows.len() as u64, 0)
        }
        Removal::Rows { after, until } => {
            let values = [(*after).into(), empty_config(), (*until).into()];
            let rows = fetch_rows(connection, ROWS, &values).await?;
            let bytes = rows.iter().map(|row| row.try_get::<i64, _>(0)).sum::<Result<i64, _>>()?;
            (rows.len() as u64, bytes as u64)
        }
        Removal::FileRow(digest) => {
            (execute(connection, FILE_ROW, &[digest.to_key().into(), empty_config()]).await?, 0)
        }
        Removal::Damaged(digest) => (execute(connection, DAMAGED, &[digest.to_key().into()]).await?, 0),
        Removal::FreePages => (execute(connection, "PRAGMA incremental_vacuum(256)", &[]).await?, 0),
    };
    Ok(Outcome::Removed { rows, bytes, unlinked })
}

fn unlinked_blob(row: &SqliteRow) -> Result<(String, Digest), sqlx::Error> {
    let digest = Digest::from_key(row.try_get(1)?).ok_or(sqlx::Error::RowNotFound)?;
    Ok((row.try_get(0)?, digest))
}

fn empty_config() -> Value {
    Digest::of(Algorithm::Sha256, OCI_EMPTY_BYTES).to_key().into()
}

/// Rows looked at, and so removed, at once.
const LOOK_ROWS: u64 = 256;

static NAMED: Lookup = Lookup::new(
    &["value"],
    "SELECT d.value FROM want CROSS JOIN digest d JOIN blob b ON b.digest_id = d.id \
     WHERE d.value = want.value AND b.kind = 1",
);
