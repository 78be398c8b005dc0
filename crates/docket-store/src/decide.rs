//! Decides a run of changes against what stands: one read for all preconditions, then rows.
//!
//! Each change sees what the changes before it in the same run will add.

use std::collections::{HashMap, HashSet};

use docket_oci::digest::Digest;
use docket_oci::name::{RepositoryName, Tag};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::change::{
    Append, AppendOutcome, BlobBody, Change, ChangeOutcome, EntrySubject, NewBlob, NewManifest, NewPlacement, Outcome,
    RegistryChange, Seen, SeenChange,
};
use crate::rows::Rows;
use crate::sql::{Lookup, Value};

/// Numbers given to names. Owned by the writer task; cleared whenever a transaction did not commit, since it may
/// then hold numbers that were never stored.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    repos: HashMap<String, i64>,
    terms: HashMap<String, i64>,
    next_repo: i64,
    next_term: i64,
    next_digest: i64,
}

impl Ids {
    /// Reads where numbering goes on.
    pub(crate) async fn load(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        const NEXT: &str = "SELECT (SELECT coalesce(max(id), 0) + 1 FROM repo), \
            (SELECT coalesce(max(id), 0) + 1 FROM term), (SELECT coalesce(max(id), 0) + 1 FROM digest)";
        let row = sqlx::query(NEXT).fetch_one(connection).await?;
        Ok(Self {
            next_repo: row.try_get(0)?,
            next_term: row.try_get(1)?,
            next_digest: row.try_get(2)?,
            ..Self::default()
        })
    }

    /// Forgets names; numbers are never given twice.
    pub(crate) fn forget(&mut self) {
        self.repos.clear();
        self.terms.clear();
    }
}

/// A run of changes being decided.
pub(crate) struct Run<'a> {
    ids: &'a mut Ids,
    digests: HashMap<Digest, i64>,
    /// Of subjects that are no artifacts.
    named: HashMap<[u8; 32], i64>,
    links: HashSet<(i64, i64)>,
    manifests: HashSet<(i64, i64)>,
    /// Where tags stand: those of which it matters, and all on a manifest that is to go.
    tags: HashMap<(i64, String), i64>,
    head: Option<(u64, [u8; 32])>,
    rows: Rows,
}

impl<'a> Run<'a> {
    /// Reads everything the changes ask about.
    pub(crate) async fn load(
        connection: &mut SqliteConnection,
        ids: &'a mut Ids,
        changes: &[Change],
    ) -> Result<Self, sqlx::Error> {
        if ids.repos.len() > NAMES_MAX || ids.terms.len() > NAMES_MAX {
            ids.forget();
        }
        let mut asked = Asked::default();
        changes.iter().for_each(|change| asked.change(change));
        let mut run = Self {
            ids,
            digests: HashMap::new(),
            named: HashMap::new(),
            links: HashSet::new(),
            manifests: HashSet::new(),
            tags: HashMap::new(),
            head: None,
            rows: Rows::default(),
        };
        run.load_names(connection, &asked).await?;
        let named = asked.named.iter().map(|hash| EntrySubject::Named(*hash).to_key());
        let keys = asked.digests.iter().map(Digest::to_key).chain(named);
        let keys: Vec<_> = keys.map(|key| vec![Value::Bytes(key)]).collect();
        for row in DIGESTS.run(connection, &keys).await? {
            match EntrySubject::from_key(row.try_get(0)?).ok_or(sqlx::Error::RowNotFound)? {
                EntrySubject::Artifact(digest) => drop(run.digests.insert(digest, row.try_get(1)?)),
                EntrySubject::Named(hash) => drop(run.named.insert(hash, row.try_get(1)?)),
            }
        }
        let keys = run.pairs(&asked.links);
        for row in LINKS.run(connection, &keys).await? {
            run.links.insert((row.try_get(0)?, row.try_get(1)?));
        }
        let keys = run.pairs(&asked.manifests);
        for row in MANIFESTS.run(connection, &keys).await? {
            run.manifests.insert((row.try_get(0)?, row.try_get(1)?));
        }
        let keys =
            asked.tags.iter().filter_map(|(repo, tag)| Some(vec![(*run.ids.repos.get(*repo)?).into(), (*tag).into()]));
        let keys: Vec<_> = keys.collect();
        for row in TAGS.run(connection, &keys).await? {
            run.tags.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        let keys = run.pairs(&asked.tagged);
        for row in TAGS_ON.run(connection, &keys).await? {
            run.tags.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        if asked.head
            && let Some(row) = sqlx::query("SELECT size, root FROM head").fetch_optional(connection).await?
        {
            let root: Vec<u8> = row.try_get(1)?;
            let size: i64 = row.try_get(0)?;
            run.head = Some((size as u64, root.try_into().map_err(|_| sqlx::Error::RowNotFound)?));
        }
        Ok(run)
    }

    async fn load_names(&mut self, connection: &mut SqliteConnection, asked: &Asked<'_>) -> Result<(), sqlx::Error> {
        let unknown = |names: &HashSet<&str>, known: &HashMap<String, i64>| -> Vec<Vec<Value>> {
            names.iter().filter(|name| !known.contains_key(**name)).map(|name| vec![(*name).into()]).collect()
        };
        for row in REPOS.run(connection, &unknown(&asked.repos, &self.ids.repos)).await? {
            self.ids.repos.insert(row.try_get(0)?, row.try_get(1)?);
        }
        for row in TERMS.run(connection, &unknown(&asked.terms, &self.ids.terms)).await? {
            self.ids.terms.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(())
    }

    /// Number pairs of those (repository, digest) that are both known; the others cannot stand anywhere.
    fn pairs(&self, asked: &HashSet<(&str, Digest)>) -> Vec<Vec<Value>> {
        asked
            .iter()
            .filter_map(|(repo, digest)| {
                Some(vec![(*self.ids.repos.get(*repo)?).into(), (*self.digests.get(digest)?).into()])
            })
            .collect()
    }

    /// Decides one change and notes its rows.
    pub(crate) fn decide(&mut self, change: &Change) -> Outcome {
        match change {
            Change::PutBlob { repository, blob, linked_at, .. } => {
                let repo = self.repo(repository);
                self.put_blob(repo, blob, *linked_at);
                Outcome::Done
            }
            Change::MountBlob { from, to, digest, linked_at } => {
                if !self.has_blob(from, digest) {
                    return Outcome::NotFound;
                }
                let (repo, digest) = (self.repo(to), self.digest(digest));
                self.link(repo, digest, *linked_at);
                Outcome::Done
            }
            Change::Registry(change, seen) => {
                Outcome::Changed(self.refusal(change, seen.as_ref()).unwrap_or_else(|| self.change(change)))
            }
            Change::Append(append) => Outcome::Appended(self.append(append)),
            Change::Place(placement) => {
                if !self.can_place(placement) {
                    let refused = AppendOutcome::Refused { placements: vec![0], changes: Vec::new() };
                    return Outcome::Appended(refused);
                }
                self.place(placement);
                Outcome::Appended(AppendOutcome::Committed(Vec::new()))
            }
            Change::DeleteBlob { .. } | Change::Cosign { .. } | Change::Remove(_) => {
                unreachable!("the writer runs these itself")
            }
        }
    }

    /// The rows of everything decided.
    pub(crate) fn into_rows(self) -> Rows {
        self.rows
    }

    /// Why a change cannot be made, if so.
    fn refusal(&self, change: &RegistryChange, seen: Option<&Seen>) -> Option<ChangeOutcome> {
        let repo = self.ids.repos.get(change.repository().as_str()).copied();
        let stands_on = |tag: &Tag| self.tags.get(&(repo?, tag.as_str().to_owned())).copied();
        let refusal = match change {
            RegistryChange::PutManifest(put) => {
                let missing = put.required.iter().filter(|digest| !self.has_blob(&put.repository, digest));
                let missing: Vec<_> = missing.copied().collect();
                if !missing.is_empty() {
                    return Some(ChangeOutcome::Missing(missing));
                }
                let here = self.digests.get(&put.manifest.digest).copied();
                let stands_elsewhere = |tag: &&Tag| stands_on(tag).is_some_and(|on| Some(on) != here);
                put.tags.iter().filter(|tag| put.fixed.contains(tag)).find(stands_elsewhere).cloned()
            }
            RegistryChange::DeleteTag { tag, fixed, .. } => {
                if stands_on(tag).is_none() {
                    return Some(ChangeOutcome::NotFound);
                }
                fixed.contains(tag).then(|| tag.clone())
            }
            RegistryChange::DeleteManifest { repository, digest, fixed } => {
                if !self.has_manifest(repository, digest) {
                    return Some(ChangeOutcome::NotFound);
                }
                let tags = self.tags_on(repository, digest);
                tags.iter().filter_map(|name| name.parse().ok()).find(|tag| fixed.contains(tag))
            }
        };
        if let Some(tag) = refusal {
            return Some(ChangeOutcome::TagFixed(tag));
        }
        (!seen.is_none_or(|seen| self.is_as_seen(change, seen))).then_some(ChangeOutcome::SeenOtherwise)
    }

    /// Whether what was seen still stands.
    fn is_as_seen(&self, change: &RegistryChange, seen: &Seen) -> bool {
        let repository = change.repository();
        let repo = self.ids.repos.get(repository.as_str()).copied();
        let on = |tag: &Tag| self.tags.get(&(repo?, tag.as_str().to_owned())).copied();
        let stand = seen.tags.iter().all(|(tag, expected)| match expected {
            None => on(tag).is_none(),
            Some(digest) => on(tag).is_some_and(|on| self.digests.get(digest) == Some(&on)),
        });
        stand
            && match change {
                RegistryChange::PutManifest(put) => {
                    self.has_manifest(repository, &put.manifest.digest) == seen.manifest.is_some()
                }
                RegistryChange::DeleteTag { .. } => true,
                RegistryChange::DeleteManifest { digest, .. } => {
                    self.has_manifest(repository, digest) == seen.manifest.is_some()
                        && self.tags_on(repository, digest).len() == seen.tags.len()
                }
            }
    }

    /// Makes a change that nothing refuses.
    fn change(&mut self, change: &RegistryChange) -> ChangeOutcome {
        match change {
            RegistryChange::PutManifest(put) => {
                let repository = &put.repository;
                let stands = |digest| self.has_manifest(repository, digest) || self.has_blob(repository, digest);
                let absent = put.optional.iter().filter(|digest| !stands(digest)).count();
                let repo = self.repo(repository);
                let digest = self.manifest(repo, &put.manifest);
                for tag in &put.tags {
                    self.rows.tag(repo, tag.as_str(), digest);
                    self.tags.insert((repo, tag.as_str().to_owned()), digest);
                }
                ChangeOutcome::Stored { absent }
            }
            RegistryChange::DeleteTag { repository, tag, .. } => {
                let repo = self.repo(repository);
                self.untag(repo, tag.as_str().to_owned());
                ChangeOutcome::Deleted
            }
            RegistryChange::DeleteManifest { repository, digest, .. } => {
                let tags = self.tags_on(repository, digest);
                let (repo, digest) = (self.repo(repository), self.digest(digest));
                tags.into_iter().for_each(|tag| self.untag(repo, tag));
                self.rows.delete_manifest(repo, digest);
                self.manifests.remove(&(repo, digest));
                ChangeOutcome::Deleted
            }
        }
    }

    fn untag(&mut self, repo: i64, tag: String) {
        self.rows.delete_tag(repo, &tag);
        self.tags.remove(&(repo, tag));
    }

    /// The tags on a manifest that a change of this run asked about.
    fn tags_on(&self, repository: &RepositoryName, digest: &Digest) -> Vec<String> {
        let Some((repo, digest)) = self.pair(repository, digest) else { return Vec::new() };
        let on = self.tags.iter().filter(|((of, _), on)| *of == repo && **on == digest);
        on.map(|((_, tag), _)| tag.clone()).collect()
    }

    fn append(&mut self, append: &Append) -> AppendOutcome {
        if self.head != append.expected {
            return AppendOutcome::HeadMoved;
        }
        let placements: Vec<_> =
            (0..append.placements.len()).filter(|at| !self.can_place(&append.placements[*at])).collect();
        // No two changes of an append touch the same tag or manifest, so each can be asked about before any is made.
        let refused =
            |(at, change): (usize, &SeenChange)| Some((at, self.refusal(&change.change, Some(&change.seen))?));
        let changes: Vec<_> = append.changes.iter().enumerate().filter_map(refused).collect();
        if !placements.is_empty() || !changes.is_empty() {
            return AppendOutcome::Refused { placements, changes };
        }
        let first = append.expected.map_or(0, |(size, _)| size);
        for (index, entry) in (first..).zip(&append.entries) {
            let subject = self.subject(entry.subject);
            let claim = (self.term(&entry.issuer), self.term(&entry.claim_type), subject);
            self.rows.entry(index, append.head.size, entry, claim);
        }
        self.rows.head(&append.head, &append.batch);
        self.head = Some((append.head.size, append.head.root));
        append.placements.iter().for_each(|placement| self.place(placement));
        let outcomes = append.changes.iter().map(|change| self.change(&change.change)).collect();
        for row in &append.observations {
            let repo = self.repo(&row.repository);
            self.rows.observation(repo, row);
        }
        for row in &append.observed {
            let repo = self.repo(&row.repository);
            self.rows.observed(repo, row);
        }
        AppendOutcome::Committed(outcomes)
    }

    fn can_place(&self, placement: &NewPlacement) -> bool {
        let repository = &placement.repository;
        placement.required_blobs.iter().all(|digest| self.has_blob(repository, digest))
            && placement.required_manifests.iter().all(|digest| self.has_manifest(repository, digest))
    }

    fn place(&mut self, placement: &NewPlacement) {
        let repo = self.repo(&placement.repository);
        placement.blobs.iter().for_each(|blob| self.put_blob(repo, blob, placement.linked_at));
        if let Some(evidence) = &placement.evidence_manifest {
            self.manifest(repo, evidence);
        }
        let statement = self.manifest(repo, &placement.statement);
        let evidence = placement.evidence.as_ref().map(|digest| self.digest(digest));
        self.rows.placement(placement.index, repo, statement, evidence);
    }

    fn put_blob(&mut self, repo: i64, blob: &NewBlob, linked_at: i64) {
        let digest = self.digest(&blob.digest);
        self.rows.blob(digest, blob);
        self.link(repo, digest, linked_at);
    }

    fn link(&mut self, repo: i64, digest: i64, linked_at: i64) {
        self.rows.link(repo, digest, linked_at);
        self.links.insert((repo, digest));
    }

    fn manifest(&mut self, repo: i64, manifest: &NewManifest) -> i64 {
        let subject = manifest.referrer.as_ref().map(|referrer| self.digest(&referrer.subject));
        let digest = self.digest(&manifest.digest);
        let body = BlobBody::Inline(manifest.bytes.clone());
        self.rows.blob(digest, &NewBlob { digest: manifest.digest, size: manifest.bytes.len() as u64, body });
        self.rows.manifest(repo, digest, subject, manifest);
        for target in &manifest.references {
            let target = self.digest(target);
            self.rows.reference(target, repo, digest);
        }
        self.manifests.insert((repo, digest));
        digest
    }

    fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        self.pair(repository, digest).is_some_and(|pair| self.links.contains(&pair))
    }

    fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        self.pair(repository, digest).is_some_and(|pair| self.manifests.contains(&pair))
    }

    fn pair(&self, repository: &RepositoryName, digest: &Digest) -> Option<(i64, i64)> {
        Some((*self.ids.repos.get(repository.as_str())?, *self.digests.get(digest)?))
    }

    /// The number of a repository, made known if it is new. So for digests and terms.
    fn repo(&mut self, name: &RepositoryName) -> i64 {
        if let Some(id) = self.ids.repos.get(name.as_str()) {
            return *id;
        }
        let id = take(&mut self.ids.next_repo);
        self.rows.repo(id, name.as_str());
        self.ids.repos.insert(name.as_str().to_owned(), id);
        id
    }

    fn digest(&mut self, digest: &Digest) -> i64 {
        if let Some(id) = self.digests.get(digest) {
            return *id;
        }
        let id = take(&mut self.ids.next_digest);
        self.rows.digest(id, digest.to_key());
        self.digests.insert(*digest, id);
        id
    }

    fn subject(&mut self, subject: EntrySubject) -> i64 {
        let hash = match subject {
            EntrySubject::Artifact(digest) => return self.digest(&digest),
            EntrySubject::Named(hash) => hash,
        };
        if let Some(id) = self.named.get(&hash) {
            return *id;
        }
        let id = take(&mut self.ids.next_digest);
        self.rows.digest(id, subject.to_key());
        self.named.insert(hash, id);
        id
    }

    fn term(&mut self, value: &str) -> i64 {
        if let Some(id) = self.ids.terms.get(value) {
            return *id;
        }
        let id = take(&mut self.ids.next_term);
        self.rows.term(id, value);
        self.ids.terms.insert(value.to_owned(), id);
        id
    }
}

fn take(next: &mut i64) -> i64 {
    let id = *next;
    *next += 1;
    id
}

/// What a run of changes asks about.
#[derive(Default)]
struct Asked<'a> {
    repos: HashSet<&'a str>,
    terms: HashSet<&'a str>,
    digests: HashSet<Digest>,
    named: HashSet<[u8; 32]>,
    links: HashSet<(&'a str, Digest)>,
    manifests: HashSet<(&'a str, Digest)>,
    tags: HashSet<(&'a str, &'a str)>,
    /// Manifests of which all tags matter.
    tagged: HashSet<(&'a str, Digest)>,
    head: bool,
}

impl<'a> Asked<'a> {
    fn change(&mut self, change: &'a Change) {
        match change {
            Change::PutBlob { repository, blob, .. } => {
                self.repos.insert(repository.as_str());
                self.digests.insert(blob.digest);
            }
            Change::MountBlob { from, to, digest, .. } => {
                self.repos.insert(to.as_str());
                self.link(from, *digest);
            }
            Change::Registry(change, seen) => self.registry(change, seen.as_ref()),
            Change::Append(append) => {
                self.head = true;
                for entry in &append.entries {
                    self.terms.extend([entry.issuer.as_str(), entry.claim_type.as_str()]);
                    match entry.subject {
                        EntrySubject::Artifact(digest) => drop(self.digests.insert(digest)),
                        EntrySubject::Named(hash) => drop(self.named.insert(hash)),
                    }
                }
                append.placements.iter().for_each(|placement| self.placement(placement));
                append.changes.iter().for_each(|change| self.registry(&change.change, Some(&change.seen)));
                self.repos.extend(append.observations.iter().map(|row| row.repository.as_str()));
            }
            Change::Place(placement) => self.placement(placement),
            Change::DeleteBlob { .. } | Change::Cosign { .. } | Change::Remove(_) => {}
        }
    }

    fn registry(&mut self, change: &'a RegistryChange, seen: Option<&'a Seen>) {
        let repository = change.repository();
        self.repos.insert(repository.as_str());
        match change {
            RegistryChange::PutManifest(put) => {
                self.new_manifest(&put.manifest);
                let fixed = put.tags.iter().filter(|tag| put.fixed.contains(tag));
                self.tags.extend(fixed.map(|tag| (repository.as_str(), tag.as_str())));
                put.required.iter().for_each(|digest| self.link(repository, *digest));
                put.optional.iter().for_each(|digest| {
                    self.link(repository, *digest);
                    self.manifest(repository, *digest);
                });
                // Whether it stands matters only to whoever saw it.
                seen.iter().for_each(|_| self.manifest(repository, put.manifest.digest));
            }
            RegistryChange::DeleteTag { tag, .. } => drop(self.tags.insert((repository.as_str(), tag.as_str()))),
            RegistryChange::DeleteManifest { digest, .. } => {
                self.manifest(repository, *digest);
                self.tagged.insert((repository.as_str(), *digest));
            }
        }
        for (tag, on) in seen.iter().flat_map(|seen| &seen.tags) {
            self.tags.insert((repository.as_str(), tag.as_str()));
            self.digests.extend(on);
        }
    }

    fn placement(&mut self, placement: &'a NewPlacement) {
        self.repos.insert(placement.repository.as_str());
        self.new_manifest(&placement.statement);
        self.digests.extend(placement.evidence);
        placement.evidence_manifest.iter().for_each(|manifest| self.new_manifest(manifest));
        self.digests.extend(placement.blobs.iter().map(|blob| blob.digest));
        placement.required_blobs.iter().for_each(|digest| self.link(&placement.repository, *digest));
        placement.required_manifests.iter().for_each(|digest| self.manifest(&placement.repository, *digest));
    }

    fn new_manifest(&mut self, manifest: &NewManifest) {
        self.digests.insert(manifest.digest);
        self.digests.extend(manifest.referrer.as_ref().map(|referrer| referrer.subject));
        self.digests.extend(&manifest.references);
    }

    fn link(&mut self, repository: &'a RepositoryName, digest: Digest) {
        self.repos.insert(repository.as_str());
        self.digests.insert(digest);
        self.links.insert((repository.as_str(), digest));
    }

    fn manifest(&mut self, repository: &'a RepositoryName, digest: Digest) {
        self.repos.insert(repository.as_str());
        self.digests.insert(digest);
        self.manifests.insert((repository.as_str(), digest));
    }
}

/// Names kept in memory before all are forgotten and read again as needed.
const NAMES_MAX: usize = 100_000;

static REPOS: Lookup =
    Lookup::new(&["name"], "SELECT r.name, r.id FROM want CROSS JOIN repo r WHERE r.name = want.name");
static TERMS: Lookup =
    Lookup::new(&["value"], "SELECT t.value, t.id FROM want CROSS JOIN term t WHERE t.value = want.value");
static DIGESTS: Lookup =
    Lookup::new(&["value"], "SELECT d.value, d.id FROM want CROSS JOIN digest d WHERE d.value = want.value");
static LINKS: Lookup = Lookup::new(
    &["repo_id", "digest_id"],
    "SELECT l.repo_id, l.digest_id FROM want CROSS JOIN blob_link l CROSS JOIN blob b \
     WHERE l.repo_id = want.repo_id AND l.digest_id = want.digest_id AND b.digest_id = l.digest_id AND b.kind <> 4",
);
static MANIFESTS: Lookup = Lookup::new(
    &["repo_id", "digest_id"],
    "SELECT m.repo_id, m.digest_id FROM want CROSS JOIN manifest m \
     WHERE m.repo_id = want.repo_id AND m.digest_id = want.digest_id",
);
static TAGS: Lookup = Lookup::new(
    &["repo_id", "name"],
    "SELECT t.repo_id, t.name, t.digest_id FROM want CROSS JOIN tag t \
     WHERE t.repo_id = want.repo_id AND t.name = want.name",
);
static TAGS_ON: Lookup = Lookup::new(
    &["repo_id", "digest_id"],
    "SELECT t.repo_id, t.name, t.digest_id FROM want CROSS JOIN tag t \
     WHERE t.repo_id = want.repo_id AND t.digest_id = want.digest_id",
);
