//! Rows that one group of changes adds and removes, gathered per table and written with one statement per table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use docket_oci::name::Tag;
use sqlx::sqlite::SqliteConnection;

use crate::change::{BatchRow, BlobBody, HeadRow, NewBlob, NewEntry, NewManifest, ObservationRow, ObservedRow};
use crate::sql::{Insert, Value, execute};

/// Rows to write. Maps and sets where two changes of a group may speak of the same row: the later one wins.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    repos: Vec<Vec<Value>>,
    digests: Vec<Vec<Value>>,
    terms: Vec<Vec<Value>>,
    blobs: HashMap<i64, Vec<Value>>,
    links: HashMap<(i64, i64), i64>,
    manifests: HashMap<(i64, i64), Vec<Value>>,
    references: BTreeSet<(i64, i64, i64)>,
    tags: BTreeMap<(i64, String), i64>,
    /// Removed before anything is written: what the run makes again afterwards stands.
    deleted_manifests: BTreeSet<(i64, i64)>,
    deleted_tags: BTreeSet<(i64, String)>,
    head: Option<Vec<Value>>,
    batches: Vec<Vec<Value>>,
    entries: Vec<Vec<Value>>,
    placements: HashMap<(u64, i64), Vec<Value>>,
    observations: Vec<Vec<Value>>,
    observed: HashMap<i64, Vec<Value>>,
}

impl Rows {
    pub(crate) fn repo(&mut self, id: i64, name: &str) {
        self.repos.push(vec![id.into(), name.into()]);
    }

    pub(crate) fn digest(&mut self, id: i64, key: Vec<u8>) {
        self.digests.push(vec![id.into(), key.into()]);
    }

    pub(crate) fn term(&mut self, id: i64, value: &str) {
        self.terms.push(vec![id.into(), value.into()]);
    }

    pub(crate) fn blob(&mut self, digest: i64, blob: &NewBlob) {
        let (kind, entry, body) = match &blob.body {
            BlobBody::Inline(bytes) => (KIND_INLINE, Value::Null, Value::Bytes(bytes.to_vec())),
            BlobBody::File => (KIND_FILE, Value::Null, Value::Null),
            BlobBody::StatementOf(index) => (KIND_STATEMENT, (*index).into(), Value::Null),
            BlobBody::ReceiptOf(index) => (KIND_RECEIPT, (*index).into(), Value::Null),
        };
        let row = vec![digest.into(), blob.size.into(), kind.into(), entry, body];
        // The same rule as at the conflict below, for two changes of one group.
        match self.blobs.get(&digest) {
            Some(before) if before[BLOB_KIND] != KIND_FILE.into() || kind != KIND_INLINE => {}
            _ => drop(self.blobs.insert(digest, row)),
        }
    }

    pub(crate) fn link(&mut self, repo: i64, digest: i64, linked_at: i64) {
        self.links.insert((digest, repo), linked_at);
    }

    pub(crate) fn reference(&mut self, target: i64, repo: i64, manifest: i64) {
        self.references.insert((target, repo, manifest));
    }

    pub(crate) fn manifest(&mut self, repo: i64, digest: i64, subject: Option<i64>, manifest: &NewManifest) {
        let referrer = manifest.referrer.as_ref();
        let artifact_type = referrer.and_then(|referrer| referrer.artifact_type.as_deref());
        self.manifests.insert(
            (digest, repo),
            vec![
                digest.into(),
                repo.into(),
                manifest.media_type.as_str().into(),
                subject.into(),
                artifact_type.map_or(Value::Null, Value::from),
                referrer.map_or(Value::Null, |referrer| referrer.descriptor.as_str().into()),
            ],
        );
    }

    pub(crate) fn tag(&mut self, repo: i64, name: &str, digest: i64) {
        self.tags.insert((repo, name.to_owned()), digest);
    }

    pub(crate) fn delete_tag(&mut self, repo: i64, name: &str) {
        let key = (repo, name.to_owned());
        self.tags.remove(&key);
        self.deleted_tags.insert(key);
    }

    pub(crate) fn delete_manifest(&mut self, repo: i64, digest: i64) {
        self.manifests.remove(&(digest, repo));
        self.deleted_manifests.insert((repo, digest));
    }

    pub(crate) fn observation(&mut self, repo: i64, row: &ObservationRow) {
        let tag = row.tag.as_ref().map_or("", Tag::as_str);
        self.observations.push(vec![repo.into(), tag.into(), row.index.into()]);
    }

    pub(crate) fn observed(&mut self, repo: i64, row: &ObservedRow) {
        let values = vec![repo.into(), row.day.into(), row.count.into(), i64::from(row.is_suspended).into()];
        self.observed.insert(repo, values);
    }

    pub(crate) fn head(&mut self, head: &HeadRow, batch: &BatchRow) {
        self.head = Some(vec![0_i64.into(), head.size.into(), head.root.to_vec().into(), head.frontier.clone().into()]);
        self.batches.push(vec![
            batch.tree_size.into(),
            batch.root.to_vec().into(),
            batch.logged_at.into(),
            batch.protected.clone().into(),
            batch.signature.clone().into(),
        ]);
    }

    pub(crate) fn entry(
        &mut self,
        index: u64,
        tree_size: u64,
        entry: &NewEntry,
        (issuer, claim_type, subject): (i64, i64, i64),
    ) {
        self.entries.push(vec![
            index.into(),
            entry.entry_id.to_vec().into(),
            entry.bytes.clone().into(),
            entry.leaf.to_vec().into(),
            tree_size.into(),
            entry.path.clone().into(),
            entry.issuer_entry.into(),
            entry.policy_entry.into(),
            entry.decided_at.into(),
            entry.collateral.clone().map_or(Value::Null, Value::Bytes),
            issuer.into(),
            claim_type.into(),
            subject.into(),
        ]);
    }

    pub(crate) fn placement(&mut self, index: u64, repo: i64, statement: i64, evidence: Option<i64>) {
        let row = vec![index.into(), repo.into(), statement.into(), evidence.into()];
        self.placements.insert((index, repo), row);
    }

    /// Writes everything gathered, a table at a time.
    pub(crate) async fn flush(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        for (repo, tag) in self.deleted_tags {
            let values = [repo.into(), Value::Text(tag)];
            execute(connection, "DELETE FROM tag WHERE repo_id = $1 AND name = $2", &values).await?;
        }
        for (repo, digest) in self.deleted_manifests {
            let values = [repo.into(), digest.into()];
            execute(connection, "DELETE FROM manifest WHERE repo_id = $1 AND digest_id = $2", &values).await?;
        }
        REPO.run(connection, &self.repos).await?;
        DIGEST.run(connection, &self.digests).await?;
        TERM.run(connection, &self.terms).await?;
        BLOB.run(connection, &self.blobs.into_values().collect::<Vec<_>>()).await?;
        let links = self.links.into_iter();
        let links: Vec<_> = links.map(|((digest, repo), at)| vec![digest.into(), repo.into(), at.into()]).collect();
        LINK.run(connection, &links).await?;
        MANIFEST.run(connection, &self.manifests.into_values().collect::<Vec<_>>()).await?;
        let references = self.references.into_iter();
        let references: Vec<_> =
            references.map(|(target, repo, manifest)| vec![target.into(), repo.into(), manifest.into()]).collect();
        REFERENCE.run(connection, &references).await?;
        let tags: Vec<_> = self
            .tags
            .into_iter()
            .map(|((repo, name), digest)| vec![repo.into(), Value::Text(name), digest.into()])
            .collect();
        TAG.run(connection, &tags).await?;
        ENTRY.run(connection, &self.entries).await?;
        PLACEMENT.run(connection, &self.placements.into_values().collect::<Vec<_>>()).await?;
        OBSERVATION.run(connection, &self.observations).await?;
        OBSERVED.run(connection, &self.observed.into_values().collect::<Vec<_>>()).await?;
        BATCH.run(connection, &self.batches).await?;
        HEAD.run(connection, self.head.as_slice()).await
    }
}

pub(crate) const KIND_INLINE: i64 = 0;
pub(crate) const KIND_FILE: i64 = 1;
pub(crate) const KIND_STATEMENT: i64 = 2;
pub(crate) const KIND_RECEIPT: i64 = 3;

/// Where a blob row has its kind.
const BLOB_KIND: usize = 2;

static REPO: Insert = Insert::new("repo", &["id", "name"], "");
static DIGEST: Insert = Insert::new("digest", &["id", "value"], "");
static TERM: Insert = Insert::new("term", &["id", "value"], "");
// Content is named by its digest, so a row that stands already has the same bytes, unless they were set aside as damaged.
// Else only a manifest above the inline size that was pushed as a blob before moves from its file into the row, for manifests
// are read from rows.
static BLOB: Insert = Insert::new(
    "blob",
    &["digest_id", "size", "kind", "entry_idx", "body"],
    "ON CONFLICT (digest_id) DO UPDATE SET size = excluded.size, kind = excluded.kind, entry_idx = excluded.entry_idx, \
     body = excluded.body WHERE blob.kind = 4 OR (blob.kind = 1 AND excluded.kind = 0)",
);
static LINK: Insert = Insert::new(
    "blob_link",
    &["digest_id", "repo_id", "linked_at"],
    "ON CONFLICT (digest_id, repo_id) DO UPDATE SET linked_at = excluded.linked_at",
);
static MANIFEST: Insert = Insert::new(
    "manifest",
    &["digest_id", "repo_id", "media_type", "subject_id", "artifact_type", "descriptor"],
    "ON CONFLICT (digest_id, repo_id) DO UPDATE SET media_type = excluded.media_type, descriptor = excluded.descriptor",
);
static REFERENCE: Insert = Insert::new(
    "reference",
    &["target_id", "repo_id", "manifest_id"],
    "ON CONFLICT (target_id, repo_id, manifest_id) DO NOTHING",
);
static TAG: Insert = Insert::new(
    "tag",
    &["repo_id", "name", "digest_id"],
    "ON CONFLICT (repo_id, name) DO UPDATE SET digest_id = excluded.digest_id",
);
static HEAD: Insert = Insert::new(
    "head",
    &["id", "size", "root", "frontier"],
    "ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root, frontier = excluded.frontier",
);
static BATCH: Insert = Insert::new("batch", &["tree_size", "root", "logged_at", "protected", "signature"], "");
static ENTRY: Insert = Insert::new(
    "entry",
    &[
        "idx",
        "entry_id",
        "bytes",
        "leaf",
        "tree_size",
        "path",
        "issuer_entry",
        "policy_entry",
        "decided_at",
        "collateral",
        "issuer_id",
        "type_id",
        "subject_id",
    ],
    "",
);
static PLACEMENT: Insert = Insert::new(
    "placement",
    &["idx", "repo_id", "statement_id", "evidence_id"],
    "ON CONFLICT (idx, repo_id) DO UPDATE SET statement_id = excluded.statement_id, evidence_id = excluded.evidence_id",
);
static OBSERVATION: Insert = Insert::new("observation", &["repo_id", "tag", "idx"], "");
static OBSERVED: Insert = Insert::new(
    "observed",
    &["repo_id", "day", "count", "is_suspended"],
    "ON CONFLICT (repo_id) DO UPDATE SET day = excluded.day, count = excluded.count, is_suspended = excluded.is_suspended",
);
