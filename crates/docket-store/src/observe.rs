//! Reads for observation: what stands before a change, how much was observed, and the history of a tag.

use std::collections::{BTreeMap, HashMap};

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};
use sqlx::sqlite::SqliteConnection;

use crate::catalog::{digest, number, parsed};
use crate::change::{ObservedRow, RegistryChange, Seen};
use crate::sql::{Lookup, Value, column, fetch_all, fetch_optional, fetch_rows};
use crate::{Store, StoreError};

/// What the next observation in a repository goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSoFar {
    /// How much was observed.
    pub row: ObservedRow,
    /// The newest entry that suspended or resumed observation.
    pub switched: Option<u64>,
}

/// A tag and the ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagNow {
    /// Entries in the ledger.
    pub tree_size: u64,
    /// Where the tag stands; `None` if it does not.
    pub digest: Option<Digest>,
}

/// A tag that was ever observed, and the ledger, at one moment. What the entries say is for whoever reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedTagNow {
    /// Where the next page starts.
    pub position: (u64, String),
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: String,
    /// Where the tag stands; `None` if it does not.
    pub digest: Option<Digest>,
    /// The newest entry that observes it.
    pub newest: u64,
    /// The newest entry that suspended or resumed observation of the repository.
    pub switched: Option<u64>,
}

impl Store {
    /// What stands of what each change touches. More than `tags_max` tags on a manifest that is to go are not read: one more
    /// than that says that there are too many.
    pub async fn seen(&self, changes: &[&RegistryChange], tags_max: usize) -> Result<Vec<Seen>, StoreError> {
        let failed = || StoreError::database("read what stands");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let mut seen = Vec::with_capacity(changes.len());
        for change in changes {
            seen.push(match change {
                RegistryChange::PutManifest(put) => {
                    Seen { tags: put.tags.iter().map(|tag| (tag.clone(), None)).collect(), manifest: None }
                }
                RegistryChange::DeleteTag { tag, .. } => {
                    Seen { tags: BTreeMap::from([(tag.clone(), None)]), manifest: None }
                }
                RegistryChange::DeleteManifest { repository, digest, .. } => {
                    let limit = tags_max as u64 + 1;
                    Seen { tags: tags_on(&mut connection, repository, digest, limit).await?, manifest: None }
                }
            });
        }
        let tags = changes.iter().zip(&seen).flat_map(|(change, seen)| {
            seen.tags.keys().map(|tag| vec![change.repository().as_str().into(), Value::from(tag.as_str())])
        });
        let mut on = HashMap::new();
        for row in SEEN_TAGS.run(&mut connection, &tags.collect::<Vec<_>>()).await.map_err(failed())? {
            on.insert((column::<String>(&row, 0)?, column::<String>(&row, 1)?), digest(&row, 2)?);
        }
        let manifests = changes.iter().filter_map(|change| {
            Some(vec![change.repository().as_str().into(), Value::Bytes(manifest_of(change)?.to_key())])
        });
        let mut types = HashMap::new();
        for row in SEEN_MANIFESTS.run(&mut connection, &manifests.collect::<Vec<_>>()).await.map_err(failed())? {
            types.insert((column::<String>(&row, 0)?, digest(&row, 1)?), column::<String>(&row, 2)?);
        }
        for (change, seen) in changes.iter().zip(&mut seen) {
            let repository = change.repository().as_str();
            for (tag, stands_on) in &mut seen.tags {
                *stands_on = on.get(&(repository.to_owned(), tag.as_str().to_owned())).copied();
            }
            let manifest = manifest_of(change).map(|digest| (repository.to_owned(), *digest));
            seen.manifest = manifest.and_then(|key| types.get(&key).cloned());
        }
        Ok(seen)
    }

    /// How much was observed in repositories; those where nothing was are absent.
    pub async fn observed(
        &self,
        repositories: &[&RepositoryName],
    ) -> Result<HashMap<RepositoryName, ObservedSoFar>, StoreError> {
        let failed = || StoreError::database("read what was observed");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys: Vec<_> = repositories.iter().map(|name| vec![Value::from(name.as_str())]).collect();
        let rows = OBSERVED.run(&mut connection, &keys).await.map_err(failed())?;
        let found = rows.iter().map(|row| {
            let repository: RepositoryName = parsed(column::<String>(row, 0)?.parse(), "a repository")?;
            let switched: Option<i64> = column(row, 4)?;
            let row = ObservedRow {
                repository: repository.clone(),
                day: column(row, 1)?,
                count: number(row, 2)?,
                is_suspended: number(row, 3)? != 0,
            };
            Ok((repository, ObservedSoFar { row, switched: switched.map(|index| index as u64) }))
        });
        found.collect()
    }

    /// The newest entry that observes each of these tags; those without one are absent.
    pub async fn newest_observations(
        &self,
        tags: &[(&RepositoryName, &Tag)],
    ) -> Result<HashMap<(RepositoryName, Tag), u64>, StoreError> {
        let failed = || StoreError::database("read the newest observations");
        let mut connection = self.readers.acquire().await.map_err(failed())?;
        let keys = tags.iter().map(|(repository, tag)| vec![repository.as_str().into(), Value::from(tag.as_str())]);
        let rows = NEWEST.run(&mut connection, &keys.collect::<Vec<_>>()).await.map_err(failed())?;
        let mut newest = HashMap::new();
        for row in &rows {
            let Some(index) = column::<Option<i64>>(row, 2)? else { continue };
            let repository = parsed(column::<String>(row, 0)?.parse(), "a repository")?;
            newest.insert((repository, parsed(column::<String>(row, 1)?.parse(), "a tag")?), index as u64);
        }
        Ok(newest)
    }

    /// A tag and the ledger, from one committed state.
    pub async fn tag_now(&self, repository: &RepositoryName, tag: &Tag) -> Result<TagNow, StoreError> {
        const TEXT: &str = "SELECT (SELECT size FROM head), (SELECT d.value FROM repo r JOIN tag t ON t.repo_id = r.id \
            JOIN digest d ON d.id = t.digest_id WHERE r.name = $1 AND t.name = $2)";
        let values = [repository.as_str().into(), tag.as_str().into()];
        let row = fetch_optional(&self.readers, TEXT, &values).await.map_err(StoreError::database("read a tag"))?;
        let row = row.ok_or_else(|| StoreError::damaged("the database does not say where a tag stands"))?;
        let on = column::<Option<&[u8]>>(&row, 1)?;
        Ok(TagNow { tree_size: number(&row, 0)?, digest: on.map(|_| digest(&row, 1)).transpose()? })
    }

    /// Tags that were ever observed, in the order of their positions, and where they stand.
    pub async fn observed_tags(&self, after: &(u64, String), limit: usize) -> Result<Vec<ObservedTagNow>, StoreError> {
        const TEXT: &str = "SELECT o.repo_id, o.tag, r.name, max(o.idx), (SELECT d.value FROM tag t \
            JOIN digest d ON d.id = t.digest_id WHERE t.repo_id = o.repo_id AND t.name = o.tag), \
            (SELECT max(s.idx) FROM observation s WHERE s.repo_id = o.repo_id AND s.tag = '') \
            FROM observation o JOIN repo r ON r.id = o.repo_id WHERE (o.repo_id, o.tag) > ($1, $2) AND o.tag <> '' \
            GROUP BY o.repo_id, o.tag, r.name ORDER BY o.repo_id, o.tag LIMIT $3";
        let values = [after.0.into(), after.1.as_str().into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await;
        let rows = rows.map_err(StoreError::database("walk the observed tags"))?;
        let observed = |row| {
            let tag: String = column(row, 1)?;
            Ok(ObservedTagNow {
                position: (number(row, 0)?, tag.clone()),
                repository: parsed(column::<String>(row, 2)?.parse(), "a repository")?,
                tag,
                digest: column::<Option<&[u8]>>(row, 4)?.map(|_| digest(row, 4)).transpose()?,
                newest: number(row, 3)?,
                switched: column::<Option<i64>>(row, 5)?.map(|index| index as u64),
            })
        };
        rows.iter().map(observed).collect()
    }

    /// Indexes of the entries that observe a tag, or the suspension of its repository, from `from` and below `below`, oldest
    /// first, at most `limit`.
    pub async fn history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        from: u64,
        below: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        const TEXT: &str = "SELECT idx FROM (SELECT idx FROM observation WHERE repo_id = (SELECT id FROM repo WHERE name = $1) \
            AND tag = $2 AND idx >= $3 AND idx < $4 ORDER BY idx LIMIT $5) UNION SELECT idx FROM (SELECT idx FROM observation \
            WHERE repo_id = (SELECT id FROM repo WHERE name = $1) AND tag = '' AND idx >= $3 AND idx < $4 \
            ORDER BY idx LIMIT $5) ORDER BY idx LIMIT $5";
        let values =
            [repository.as_str().into(), tag.as_str().into(), from.into(), below.into(), (limit as u64).into()];
        let rows = fetch_all(&self.readers, TEXT, &values).await.map_err(StoreError::database("read a history"))?;
        rows.iter().map(|row| number(row, 0)).collect()
    }

    /// How many rows find histories, and those of one entry: for whoever compares them with the entries.
    pub async fn observation_rows(&self, index: u64) -> Result<Vec<(RepositoryName, String)>, StoreError> {
        const TEXT: &str = "SELECT r.name, o.tag FROM observation o JOIN repo r ON r.id = o.repo_id \
            WHERE o.idx = $1 ORDER BY o.tag";
        let rows = fetch_all(&self.readers, TEXT, &[index.into()]).await;
        let rows = rows.map_err(StoreError::database("read what an entry observes"))?;
        rows.iter()
            .map(|row| Ok((parsed(column::<String>(row, 0)?.parse(), "a repository")?, column(row, 1)?)))
            .collect()
    }
}

/// The manifest that a change puts or removes.
fn manifest_of(change: &RegistryChange) -> Option<&Digest> {
    match change {
        RegistryChange::PutManifest(put) => Some(&put.manifest.digest),
        RegistryChange::DeleteTag { .. } => None,
        RegistryChange::DeleteManifest { digest, .. } => Some(digest),
    }
}

async fn tags_on(
    connection: &mut SqliteConnection,
    repository: &RepositoryName,
    digest: &Digest,
    limit: u64,
) -> Result<BTreeMap<Tag, Option<Digest>>, StoreError> {
    const TEXT: &str = "SELECT t.name FROM repo r JOIN digest d ON d.value = $2 \
        JOIN tag t ON t.repo_id = r.id AND t.digest_id = d.id WHERE r.name = $1 LIMIT $3";
    let values = [repository.as_str().into(), digest.to_key().into(), limit.into()];
    let rows =
        fetch_rows(connection, TEXT, &values).await.map_err(StoreError::database("read the tags of a manifest"))?;
    rows.iter().map(|row| Ok((parsed(column::<String>(row, 0)?.parse(), "a tag")?, None))).collect()
}

static SEEN_TAGS: Lookup = Lookup::new(
    &["repo", "tag"],
    "SELECT r.name, t.name, d.value FROM want CROSS JOIN repo r CROSS JOIN tag t CROSS JOIN digest d \
     WHERE r.name = want.repo AND t.repo_id = r.id AND t.name = want.tag AND d.id = t.digest_id",
);
static SEEN_MANIFESTS: Lookup = Lookup::new(
    &["repo", "digest"],
    "SELECT r.name, d.value, m.media_type FROM want CROSS JOIN repo r CROSS JOIN digest d CROSS JOIN manifest m \
     WHERE r.name = want.repo AND d.value = want.digest AND m.repo_id = r.id AND m.digest_id = d.id",
);
static OBSERVED: Lookup = Lookup::new(
    &["repo"],
    "SELECT r.name, o.day, o.count, o.is_suspended, \
     (SELECT max(s.idx) FROM observation s WHERE s.repo_id = r.id AND s.tag = '') \
     FROM want CROSS JOIN repo r CROSS JOIN observed o WHERE r.name = want.repo AND o.repo_id = r.id",
);
static NEWEST: Lookup = Lookup::new(
    &["repo", "tag"],
    "SELECT want.repo, want.tag, (SELECT max(o.idx) FROM observation o WHERE o.repo_id = r.id AND o.tag = want.tag) \
     FROM want CROSS JOIN repo r WHERE r.name = want.repo",
);
