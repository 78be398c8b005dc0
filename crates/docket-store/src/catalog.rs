//! Reads: what stands in repositories and in the ledger. Every answer is one committed state.

use std::collections::{HashMap, HashSet};

use docket_oci::digest::Digest;
use docket_oci::name::{Reference, RepositoryName, Tag};
use futures_util::StreamExt as _;
use sqlx::sqlite::SqliteRow;

use crate::change::{
    BatchRow, BlobBody, BlobRow, CosignatureRow, EntryRow, EntrySubject, HeadRow, HeldBlob, ManifestRow, PlacementRow,
    ReferrerRow,
};
use crate::rows::{KIND_FILE, KIND_INLINE, KIND_RECEIPT, KIND_STATEMENT};
use crate::sql::{Lookup, Value, column, fetch, fetch_all, fetch_optional};
use crate::{Store, StoreError};

/// What a query asks for; `None` = anything.
#[derive(Debug, Clone, Default)]
pub struct ClaimFilter {
    /// What is spoken of.
    pub subject: Option<EntrySubject>,
    /// Who signed.
    pub issuer: Option<String>,
    /// What kind of claim.
    pub claim_type: Option<String>,
    /// A kind that is not wanted, unless it is the one that is.
    pub except_type: Option<String>,
}

/// Entries, in the columns that [`entry_row`] reads. `FROM entry e` is its end.
macro_rules! entries {
    () => {
        "SELECT e.idx, e.entry_id, e.bytes, e.leaf, e.tree_size, e.path, \
         e.issuer_entry, e.policy_entry, e.decided_at, e.collateral FROM entry e "
    };
}

impl Store {
    /// A blob, if the repository holds it.
    pub async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<HeldBlob>, StoreError> {
        const TEXT: &str = "SELECT b.size, b.kind, b.entry_idx, b.body, l.linked_at FROM repo r \
            JOIN digest d ON d.value = $2 JOIN blob_link l ON l.repo_id = r.id AND l.digest_id = d.id \
            JOIN blob b ON b.digest_id = d.id AND b.kind <> 4 WHERE r.name = $1";
        if let Some(blob) = self.cache.blob(repository.as_str(), digest) {
            return Ok(Some(blob));
        }
        let started = self.cache.start_read();
        let values = [repository.as_str().into(), digest.to_key().into()];
        let row = fetch_optional(&self.readers, TEXT, &values).await.map_err(StoreError::database("read a blob"))?;
        let Some(row) = row else { return Ok(None) };
        let blob = HeldBlob { row: blob_row(&row, digest)?, linked_at: column(&row, 4)? };
        self.cache.keep_blob(started, repository.as_str(), digest, &blob);
        Ok(Some(blob))
    }

    /// Repositories that hold a blob, at most `limit`, in no order that means anything.
    pub async fn holders_of_blob(&self, digest: &Digest, limit: usize) -> Result<Vec<RepositoryName>, StoreError> {
        const TEXT: &str = "SELECT r.name FROM digest d JOIN blob_link l ON l.digest_id = d.id \
            JOIN repo r ON r.id = l.repo_id WHERE d.value = $1 LIMIT $2";
        let rows = fetch_all(&self.readers, TEXT, &[digest.to_key().into(), (limit as u64).into()]).await;
        let rows = rows.map_err(StoreError::database("look for the holders of a blob"))?;
        rows.iter().map(|row| parsed(column::<String>(row, 0)?.parse(), "a repository")).collect()
    }

    /// A manifest by tag or digest, if the repository holds it.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRow>, StoreError> {
        let name = reference.to_string();
        if let Some(row) = self.cache.manifest(repository.as_str(), &name) {
            return Ok(Some(row));
        }
        let started = self.cache.start_read();
        let row = self.read_manifest(repository, reference).await?;
        if let Some(row) = &row {
            self.cache.keep_manifest(started, repository.as_str(), &name, row);
        }
        Ok(row)
    }

    async fn read_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRow>, StoreError> {
        const BY_TAG: &str = "SELECT d.value, m.media_type, b.body FROM repo r \
            JOIN tag t ON t.repo_id = r.id AND t.name = $2 \
            JOIN manifest m ON m.repo_id = r.id AND m.digest_id = t.digest_id \
            JOIN digest d ON d.id = m.digest_id JOIN blob b ON b.digest_id = m.digest_id AND b.body IS NOT NULL WHERE r.name = $1";
        const BY_DIGEST: &str = "SELECT d.value, m.media_type, b.body FROM repo r \
            JOIN digest d ON d.value = $2 JOIN manifest m ON m.repo_id = r.id AND m.digest_id = d.id \
            JOIN blob b ON b.digest_id = m.digest_id AND b.body IS NOT NULL WHERE r.name = $1";
        let (text, key) = match reference {
            Reference::Tag(tag) => (BY_TAG, Value::from(tag.as_str())),
            Reference::Digest(digest) => (BY_DIGEST, digest.to_key().into()),
        };
        let row = fetch_optional(&self.readers, text, &[repository.as_str().into(), key]).await;
        let Some(row) = row.map_err(StoreError::database("read a manifest"))? else {
            return Ok(None);
        };
        let bytes: Vec<u8> = column(&row, 2)?;
        Ok(Some(ManifestRow { digest: digest(&row, 0)?, media_type: column(&row, 1)?, bytes: bytes.into() }))
    }

    /// Tags after `last` in byte order, at most `limit`; `None` if there is no such repository.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        last: &str,
        limit: usize,
    ) -> Result<Option<Vec<Tag>>, StoreError> {
        // One row for all: what a row costs on its way from the database's thread is more than reading it.
        const TEXT: &str = "SELECT (SELECT string_agg(p.name, '/') FROM (SELECT t.name FROM tag t \
            WHERE t.repo_id = r.id AND t.name > $2 ORDER BY t.name LIMIT $3) p) FROM repo r WHERE r.name = $1";
        let values = [repository.as_str().into(), last.into(), (limit as u64).into()];
        let row = fetch_optional(&self.readers, TEXT, &values).await.map_err(StoreError::database("read tags"))?;
        let Some(row) = row else { return Ok(None) };
        let names: Option<&str> = column(&row, 0)?;
        // No tag has a slash in it.
        let tags = names.into_iter().flat_map(|names| names.split('/')).map(|name| parsed(name.parse(), "a tag"));
        tags.collect::<Result<_, _>>().map(Some)
    }

    /// Repositories after `last` in byte order, at most `limit`.
    pub async fn repositories(&self, last: &str, limit: usize) -> Result<Vec<RepositoryName>, StoreError> {
        const TEXT: &str = "SELECT name FROM repo WHERE name > $1 ORDER BY name LIMIT $2";
        let values = [last.into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("read repositories"))?;
        rows.iter().map(|row| parsed(column::<String>(row, 0)?.parse(), "a repository")).collect()
    }

    /// Whether the repository exists.
    pub async fn has_repository(&self, repository: &RepositoryName) -> Result<bool, StoreError> {
        const TEXT: &str = "SELECT 1 FROM repo WHERE name = $1";
        let row = fetch_optional(&self.readers, TEXT, &[repository.as_str().into()]).await;
        Ok(row.map_err(StoreError::database("read a repository"))?.is_some())
    }

    /// Manifests whose subject is `subject`, optionally of one artifact type, after `last`: at most `limit` of them, and of
    /// descriptors at most `bytes_max` bytes beyond the first. The flag says whether more follow.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<ReferrerRow>, bool), StoreError> {
        // Two texts: with one that asks whether a parameter is there, SQLite makes a new plan at each call.
        const OF_TYPE: &str = "SELECT d.value, m.descriptor FROM repo r JOIN digest s ON s.value = $2 \
            JOIN manifest m ON m.repo_id = r.id AND m.subject_id = s.id JOIN digest d ON d.id = m.digest_id \
            WHERE r.name = $1 AND m.digest_id > coalesce((SELECT id FROM digest WHERE value = $3), 0) \
            AND m.artifact_type = $5 ORDER BY m.digest_id LIMIT $4";
        const ALL: &str = "SELECT d.value, m.descriptor FROM repo r JOIN digest s ON s.value = $2 \
            JOIN manifest m ON m.repo_id = r.id AND m.subject_id = s.id JOIN digest d ON d.id = m.digest_id \
            WHERE r.name = $1 AND m.digest_id > coalesce((SELECT id FROM digest WHERE value = $3), 0) \
            ORDER BY m.digest_id LIMIT $4";
        let mut values = vec![
            repository.as_str().into(),
            subject.to_key().into(),
            last.map_or(Value::Null, |digest| digest.to_key().into()),
            (limit as u64 + 1).into(),
        ];
        values.extend(artifact_type.map(Value::from));
        let text = if artifact_type.is_some() { OF_TYPE } else { ALL };
        let mut stream = fetch(&self.readers, text, &values);
        let (mut found, mut bytes) = (Vec::<ReferrerRow>::new(), 0);
        while let Some(row) = stream.next().await {
            let row = row.map_err(StoreError::database("read referrers"))?;
            let row = ReferrerRow { digest: digest(&row, 0)?, descriptor: column(&row, 1)? };
            bytes += row.descriptor.len();
            if found.len() == limit || (bytes > bytes_max && !found.is_empty()) {
                return Ok((found, true));
            }
            found.push(row);
        }
        Ok((found, false))
    }

    /// All descriptors that [`referrers`](Self::referrers) would find, joined by commas, if they are at most `limit` and small;
    /// `None` if they must be read one by one.
    pub async fn joined_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        limit: usize,
    ) -> Result<Option<String>, StoreError> {
        const OF_TYPE: &str = "SELECT string_agg(CASE WHEN octet_length(p.descriptor) <= $4 THEN p.descriptor END, ','), \
            count(*), coalesce(max(octet_length(p.descriptor)), 0) FROM (SELECT m.descriptor FROM repo r \
            JOIN digest s ON s.value = $2 JOIN manifest m ON m.repo_id = r.id AND m.subject_id = s.id \
            WHERE r.name = $1 AND m.artifact_type = $5 ORDER BY m.digest_id LIMIT $3) p";
        const ALL: &str = "SELECT string_agg(CASE WHEN octet_length(p.descriptor) <= $4 THEN p.descriptor END, ','), \
            count(*), coalesce(max(octet_length(p.descriptor)), 0) FROM (SELECT m.descriptor FROM repo r \
            JOIN digest s ON s.value = $2 JOIN manifest m ON m.repo_id = r.id AND m.subject_id = s.id \
            WHERE r.name = $1 ORDER BY m.digest_id LIMIT $3) p";
        let mut values = vec![
            repository.as_str().into(),
            subject.to_key().into(),
            (limit as u64 + 1).into(),
            JOINED_DESCRIPTOR_BYTES_MAX.into(),
        ];
        values.extend(artifact_type.map(Value::from));
        let text = if artifact_type.is_some() { OF_TYPE } else { ALL };
        let row = fetch_optional(&self.readers, text, &values).await.map_err(StoreError::database("read referrers"))?;
        let Some(row) = row else { return Ok(Some(String::new())) };
        let (count, longest) = (number(&row, 1)?, number(&row, 2)?);
        if count > limit as u64 || longest > JOINED_DESCRIPTOR_BYTES_MAX {
            return Ok(None);
        }
        Ok(Some(column::<Option<String>>(&row, 0)?.unwrap_or_default()))
    }

    /// The newest tree; `None` before the genesis entry.
    pub async fn head(&self) -> Result<Option<HeadRow>, StoreError> {
        const TEXT: &str = "SELECT size, root, frontier FROM head";
        let row = fetch_optional(&self.readers, TEXT, &[]).await.map_err(StoreError::database("read the head"))?;
        let row =
            row.map(|row| Ok(HeadRow { size: number(&row, 0)?, root: hash(&row, 1)?, frontier: column(&row, 2)? }));
        row.transpose()
    }

    /// The batch that ends at a tree size.
    pub async fn batch(&self, tree_size: u64) -> Result<Option<BatchRow>, StoreError> {
        const TEXT: &str = "SELECT tree_size, root, logged_at, protected, signature FROM batch WHERE tree_size = $1";
        let row = fetch_optional(&self.readers, TEXT, &[tree_size.into()]).await;
        let row = row.map_err(StoreError::database("read a batch"))?;
        row.map(|row| batch_row(&row)).transpose()
    }

    /// When the batches that end at these sizes were logged, Unix seconds.
    pub async fn batch_times(&self, tree_sizes: &[u64]) -> Result<HashMap<u64, i64>, StoreError> {
        let failed = || StoreError::database("read batches");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys: Vec<_> = tree_sizes.iter().map(|size| vec![Value::from(*size)]).collect();
        let rows = BATCH_TIMES.run(&mut connection, &keys).await.map_err(failed())?;
        rows.iter().map(|row| Ok((number(row, 0)?, column(row, 1)?))).collect()
    }

    /// Batches that end after `after`, oldest first, at most `limit`.
    pub async fn batches(&self, after: u64, limit: usize) -> Result<Vec<BatchRow>, StoreError> {
        const TEXT: &str = "SELECT tree_size, root, logged_at, protected, signature FROM batch \
            WHERE tree_size > $1 ORDER BY tree_size LIMIT $2";
        let rows = fetch_all(&self.readers, TEXT, &[after.into(), (limit as u64).into()]).await;
        rows.map_err(StoreError::database("read batches"))?.iter().map(batch_row).collect()
    }

    /// An entry by position.
    pub async fn entry(&self, index: u64) -> Result<Option<EntryRow>, StoreError> {
        Ok(self.entries(index, index + 1).await?.pop())
    }

    /// An entry by its id.
    pub async fn entry_by_id(&self, entry_id: &[u8; 32]) -> Result<Option<EntryRow>, StoreError> {
        const TEXT: &str = concat!(entries!(), "WHERE entry_id = $1");
        let row = fetch_optional(&self.readers, TEXT, &[entry_id.to_vec().into()]).await;
        let row = row.map_err(StoreError::database("read an entry"))?;
        row.map(|row| entry_row(&row)).transpose()
    }

    /// Which of these entry ids stand in the ledger.
    pub async fn known_entries(&self, ids: &[[u8; 32]]) -> Result<Vec<[u8; 32]>, StoreError> {
        let failed = || StoreError::database("look for entries");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys: Vec<_> = ids.iter().map(|id| vec![Value::Bytes(id.to_vec())]).collect();
        let rows = KNOWN.run(&mut connection, &keys).await.map_err(failed())?;
        rows.iter().map(|row| hash(row, 0)).collect()
    }

    /// Entries of `first..end`; the caller bounds the range.
    pub async fn entries(&self, first: u64, end: u64) -> Result<Vec<EntryRow>, StoreError> {
        const TEXT: &str = concat!(entries!(), "WHERE idx >= $1 AND idx < $2 ORDER BY idx");
        let values = [first.into(), end.into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("read entries"))?;
        rows.iter().map(entry_row).collect()
    }

    /// Leaf hashes of `first..end`, one after the other.
    pub async fn leaves(&self, first: u64, end: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        const TEXT: &str = "SELECT leaf FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx";
        let rows = fetch_all(&self.readers, TEXT, &[first.into(), end.into()]).await;
        rows.map_err(StoreError::database("read leaves"))?.iter().map(|row| hash(row, 0)).collect()
    }

    /// All that is kept of what witnesses said, the largest trees first: a few rows for each that was ever configured.
    pub async fn cosignatures(&self) -> Result<Vec<CosignatureRow>, StoreError> {
        const TEXT: &str = "SELECT witness, tree_size, line FROM cosignature ORDER BY tree_size DESC, witness";
        let rows = fetch_all(&self.readers, TEXT, &[]).await.map_err(StoreError::database("read cosignatures"))?;
        let row =
            |row| Ok(CosignatureRow { witness: column(row, 0)?, tree_size: number(row, 1)?, line: column(row, 2)? });
        rows.iter().map(row).collect()
    }

    /// Entries that match, oldest first, from index `from` and below `below`, at most `limit`.
    pub async fn claims(
        &self,
        filter: &ClaimFilter,
        from: u64,
        below: u64,
        limit: usize,
    ) -> Result<Vec<EntryRow>, StoreError> {
        // One text per driving index; `+` keeps the planner from choosing another.
        const BY_SUBJECT: &str = concat!(
            entries!(),
            "WHERE e.subject_id = (SELECT id FROM digest WHERE value = $1) \
            AND ($2 IS NULL OR +e.issuer_id = (SELECT id FROM term WHERE value = $2)) \
            AND ($3 IS NULL OR +e.type_id = (SELECT id FROM term WHERE value = $3)) \
            AND ($7 IS NULL OR +e.type_id IS DISTINCT FROM (SELECT id FROM term WHERE value = $7)) \
            AND e.idx >= $4 AND e.idx < $5 ORDER BY e.idx LIMIT $6"
        );
        const BY_ISSUER: &str = concat!(
            entries!(),
            "WHERE $1 IS NULL AND e.issuer_id = (SELECT id FROM term WHERE value = $2) \
            AND ($3 IS NULL OR +e.type_id = (SELECT id FROM term WHERE value = $3)) \
            AND ($7 IS NULL OR +e.type_id IS DISTINCT FROM (SELECT id FROM term WHERE value = $7)) \
            AND e.idx >= $4 AND e.idx < $5 ORDER BY e.idx LIMIT $6"
        );
        const BY_TYPE: &str = concat!(
            entries!(),
            "WHERE $1 IS NULL AND $2 IS NULL AND e.type_id = (SELECT id FROM term WHERE value = $3) \
            AND ($7 IS NULL OR +e.type_id IS DISTINCT FROM (SELECT id FROM term WHERE value = $7)) \
            AND e.idx >= $4 AND e.idx < $5 ORDER BY e.idx LIMIT $6"
        );
        const ALL: &str = concat!(
            entries!(),
            "WHERE $1 IS NULL AND $2 IS NULL AND $3 IS NULL \
            AND ($7 IS NULL OR +e.type_id IS DISTINCT FROM (SELECT id FROM term WHERE value = $7)) \
            AND e.idx >= $4 AND e.idx < $5 ORDER BY e.idx LIMIT $6"
        );
        let text = match (&filter.subject, &filter.issuer, &filter.claim_type) {
            (Some(_), _, _) => BY_SUBJECT,
            (None, Some(_), _) => BY_ISSUER,
            (None, None, Some(_)) => BY_TYPE,
            (None, None, None) => ALL,
        };
        let values = [
            filter.subject.map_or(Value::Null, |subject| subject.to_key().into()),
            filter.issuer.as_deref().map_or(Value::Null, Value::from),
            filter.claim_type.as_deref().map_or(Value::Null, Value::from),
            from.into(),
            below.into(),
            (limit as u64).into(),
            filter.except_type.as_deref().filter(|_| filter.claim_type.is_none()).map_or(Value::Null, Value::from),
        ];
        let rows = fetch_all(&self.readers, text, &values).await.map_err(StoreError::database("read claims"))?;
        rows.iter().map(entry_row).collect()
    }

    /// Entries of one claim type by one issuer, oldest first, from index `from` on, at most `limit`. For types of which an
    /// issuer with many entries has few.
    pub async fn entries_of_type(
        &self,
        claim_type: &str,
        issuer: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<EntryRow>, StoreError> {
        const TEXT: &str = concat!(
            entries!(),
            "WHERE e.type_id = (SELECT id FROM term WHERE value = $1) \
            AND +e.issuer_id = (SELECT id FROM term WHERE value = $2) AND e.idx >= $3 ORDER BY e.idx LIMIT $4"
        );
        let values = [claim_type.into(), issuer.into(), from.into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("read entries"))?;
        rows.iter().map(entry_row).collect()
    }

    /// The newest entry of one claim type by one issuer below an index.
    pub async fn newest_of_type(
        &self,
        claim_type: &str,
        issuer: &str,
        below: u64,
    ) -> Result<Option<EntryRow>, StoreError> {
        const TEXT: &str = concat!(
            entries!(),
            "WHERE e.type_id = (SELECT id FROM term WHERE value = $1) \
            AND +e.issuer_id = (SELECT id FROM term WHERE value = $2) AND e.idx < $3 ORDER BY e.idx DESC LIMIT 1"
        );
        let values = [claim_type.into(), issuer.into(), below.into()];
        let row = fetch_optional(&self.readers, TEXT, &values).await.map_err(StoreError::database("read an entry"))?;
        row.map(|row| entry_row(&row)).transpose()
    }

    /// Which of these have an entry about them at their index or above that is not of one claim type.
    pub async fn spoken_of_since(
        &self,
        subjects: &[(EntrySubject, u64)],
        except_type: &str,
    ) -> Result<HashSet<EntrySubject>, StoreError> {
        let failed = || StoreError::database("look for newer entries");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let key =
            |(subject, from): &(EntrySubject, u64)| vec![subject.to_key().into(), (*from).into(), except_type.into()];
        let keys: Vec<_> = subjects.iter().map(key).collect();
        let rows = SPOKEN_OF.run(&mut connection, &keys).await.map_err(failed())?;
        rows.iter().map(|row| subject(row, 0)).collect()
    }

    /// Where entries stand, in no order.
    pub async fn placements(&self, indexes: &[u64]) -> Result<Vec<PlacementRow>, StoreError> {
        let failed = || StoreError::database("read placements");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys: Vec<_> = indexes.iter().map(|index| vec![Value::from(*index)]).collect();
        let rows = PLACEMENTS.run(&mut connection, &keys).await.map_err(failed())?;
        let row = |row: &SqliteRow| {
            Ok(PlacementRow {
                index: number(row, 0)?,
                repository: parsed(column::<String>(row, 1)?.parse(), "a repository")?,
                statement: digest(row, 2)?,
                evidence: column::<Option<&[u8]>>(row, 3)?.map(digest_from).transpose()?,
            })
        };
        // A look-up may find a row once more for the key that filled its gap.
        let mut placements = rows.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
        placements.sort_by(|a, b| (a.index, a.repository.as_str()).cmp(&(b.index, b.repository.as_str())));
        placements.dedup();
        Ok(placements)
    }
}

pub(crate) fn blob_row(row: &SqliteRow, digest: &Digest) -> Result<BlobRow, StoreError> {
    let entry = || -> Result<u64, StoreError> {
        let index: Option<i64> = column(row, 2)?;
        index.map(|index| index as u64).ok_or_else(|| StoreError::damaged(format!("blob {digest} names no entry")))
    };
    let body = match column::<i64>(row, 1)? {
        KIND_INLINE => BlobBody::Inline(column::<Vec<u8>>(row, 3)?.into()),
        KIND_FILE => BlobBody::File,
        KIND_STATEMENT => BlobBody::StatementOf(entry()?),
        KIND_RECEIPT => BlobBody::ReceiptOf(entry()?),
        kind => {
            return Err(StoreError::damaged(format!("blob {digest} is of unknown kind {kind}")));
        }
    };
    Ok(BlobRow { size: number(row, 0)?, body })
}

fn batch_row(row: &SqliteRow) -> Result<BatchRow, StoreError> {
    Ok(BatchRow {
        tree_size: number(row, 0)?,
        root: hash(row, 1)?,
        logged_at: column(row, 2)?,
        protected: column(row, 3)?,
        signature: column(row, 4)?,
    })
}

fn entry_row(row: &SqliteRow) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        index: number(row, 0)?,
        entry_id: hash(row, 1)?,
        bytes: column(row, 2)?,
        leaf: hash(row, 3)?,
        tree_size: number(row, 4)?,
        path: column(row, 5)?,
        issuer_entry: number(row, 6)?,
        policy_entry: number(row, 7)?,
        decided_at: column(row, 8)?,
        collateral: column(row, 9)?,
    })
}

pub(crate) fn number(row: &SqliteRow, at: usize) -> Result<u64, StoreError> {
    u64::try_from(column::<i64>(row, at)?).map_err(|_| StoreError::damaged("a negative number where a count stands"))
}

pub(crate) fn hash(row: &SqliteRow, at: usize) -> Result<[u8; 32], StoreError> {
    column::<&[u8]>(row, at)?.try_into().map_err(|_| StoreError::damaged("a hash that is not 32 bytes long"))
}

pub(crate) fn digest(row: &SqliteRow, at: usize) -> Result<Digest, StoreError> {
    digest_from(column(row, at)?)
}

fn subject(row: &SqliteRow, at: usize) -> Result<EntrySubject, StoreError> {
    EntrySubject::from_key(column(row, at)?).ok_or_else(|| StoreError::damaged("a subject of unknown form"))
}

fn digest_from(key: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_key(key).ok_or_else(|| StoreError::damaged("a digest of unknown form"))
}

pub(crate) fn parsed<T, E>(value: Result<T, E>, what: &str) -> Result<T, StoreError> {
    value.map_err(|_| StoreError::damaged(format!("{what} outside the grammar")))
}

/// The longest descriptor that is read joined with others: a thousand of them are 2 MiB.
const JOINED_DESCRIPTOR_BYTES_MAX: u64 = 2048;

static PLACEMENTS: Lookup = Lookup::new(
    &["idx"],
    "SELECT p.idx, r.name, s.value, e.value FROM want CROSS JOIN placement p JOIN repo r ON r.id = p.repo_id \
     JOIN digest s ON s.id = p.statement_id LEFT JOIN digest e ON e.id = p.evidence_id WHERE p.idx = want.idx",
);
static BATCH_TIMES: Lookup = Lookup::new(
    &["tree_size"],
    "SELECT b.tree_size, b.logged_at FROM want CROSS JOIN batch b WHERE b.tree_size = want.tree_size",
);
static SPOKEN_OF: Lookup = Lookup::new(
    &["value", "idx", "except_type"],
    "SELECT d.value FROM want CROSS JOIN digest d WHERE d.value = want.value \
     AND EXISTS (SELECT 1 FROM entry e WHERE e.subject_id = d.id AND e.idx >= want.idx \
     AND +e.type_id IS DISTINCT FROM (SELECT id FROM term WHERE value = want.except_type))",
);
static KNOWN: Lookup =
    Lookup::new(&["entry_id"], "SELECT e.entry_id FROM want CROSS JOIN entry e WHERE e.entry_id = want.entry_id");
