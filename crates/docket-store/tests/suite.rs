//! What every backend of the store promises, at the crate's border.

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::{Reference, RepositoryName, Tag};
use docket_store::keys::{DataFolder, INLINE_BYTES_MAX};
use docket_store::{
    Append, AppendOutcome, BatchRow, BlobBody, BlobReader, BlobSource, BlobStorage, ChangeOutcome, ClaimFilter,
    EntrySubject, FixedTags, HeadRow, ManifestPut, NewEntry, NewManifest, NewReferrer, RegistryChange, Store,
    StoreError,
};
use sqlx::Connection as _;

/// When everything happens.
const NOW: i64 = 1_700_000_000;

struct Fixture {
    store: Store,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::create(DataFolder::new(folder.path().join("data")), &[("service", "test")]).await;
        Self { store: store.expect("created"), folder }
    }

    async fn reopen(self) -> Self {
        self.store.close().await;
        let store =
            Store::open(DataFolder::new(self.folder.path().join("data")), BlobStorage::Files).await.expect("opened");
        Self { store, folder: self.folder }
    }

    async fn push(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let mut staging = self.store.blobs().stage(Algorithm::Sha256);
        for chunk in content.chunks(100_000) {
            staging.write(Bytes::copy_from_slice(chunk)).await.expect("written");
        }
        let staged = staging.finish(&digest).await.expect("finished");
        self.store.put_blob(repo(repository), staged, NOW).await.expect("stored");
        digest
    }

    async fn put_manifest(&self, put: ManifestPut) -> Result<ChangeOutcome, StoreError> {
        self.store.change(RegistryChange::PutManifest(Box::new(put))).await
    }

    async fn delete_tag(&self, tag: Tag, fixed: FixedTags) -> Result<ChangeOutcome, StoreError> {
        self.store.change(RegistryChange::DeleteTag { repository: repo("a"), tag, fixed }).await
    }

    async fn delete_manifest(&self, digest: Digest, fixed: FixedTags) -> Result<ChangeOutcome, StoreError> {
        self.store.change(RegistryChange::DeleteManifest { repository: repo("a"), digest, fixed }).await
    }

    fn put(repository: &str, content: &str, tags: &[&str], blobs: &[Digest]) -> ManifestPut {
        ManifestPut {
            repository: repo(repository),
            manifest: manifest(content, None),
            required: blobs.to_vec(),
            optional: Vec::new(),
            tags: tags.iter().map(|tag| tag.parse().expect("a tag")).collect(),
            fixed: FixedTags::none(),
        }
    }
}

fn repo(name: &str) -> RepositoryName {
    name.parse().expect("a name")
}

fn tag(name: &str) -> Tag {
    name.parse().expect("a tag")
}

fn manifest(content: &str, subject: Option<Digest>) -> NewManifest {
    NewManifest {
        digest: Digest::of(Algorithm::Sha256, content.as_bytes()),
        bytes: content.as_bytes().to_vec().into(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        references: Vec::new(),
        referrer: subject.map(|subject| NewReferrer {
            subject,
            artifact_type: Some("text/plain".to_owned()),
            descriptor: content.to_owned(),
        }),
    }
}

fn append(expected: Option<(u64, [u8; 32])>, size: u64, entries: &[u8]) -> Append {
    Append {
        expected,
        head: HeadRow { size, root: [u8::try_from(size).expect("small"); 32], frontier: vec![1, 2] },
        batch: BatchRow {
            tree_size: size,
            root: [u8::try_from(size).expect("small"); 32],
            logged_at: 7,
            protected: vec![3],
            signature: vec![4],
        },
        entries: entries
            .iter()
            .map(|seed| NewEntry {
                entry_id: [*seed; 32],
                bytes: vec![*seed],
                leaf: [*seed; 32],
                path: vec![*seed; 32],
                issuer_entry: 0,
                policy_entry: 0,
                decided_at: 7,
                collateral: None,
                issuer: format!("https://issuer-{}.example", seed % 2),
                claim_type: "text/plain".to_owned(),
                subject: match seed % 3 {
                    0 => EntrySubject::Named([0; 32]),
                    rest => EntrySubject::Artifact(Digest::sha256([rest; 32])),
                },
            })
            .collect(),
        placements: Vec::new(),
        changes: Vec::new(),
        observations: Vec::new(),
        observed: Vec::new(),
    }
}

async fn read(store: &Store, digest: &Digest, size: u64) -> Vec<u8> {
    let BlobSource::File(file) = store.blobs().open(digest, size).expect("open") else { panic!("not a file") };
    let mut reader = BlobReader::new(file, 0, size);
    let mut content = Vec::new();
    while let Some(chunk) = reader.next().await {
        content.extend_from_slice(&chunk.expect("read"));
    }
    content
}

#[tokio::test]
async fn small_content_is_a_row_and_large_content_a_file() {
    let fixture = Fixture::new().await;
    let small = vec![1; INLINE_BYTES_MAX];
    let large = vec![2; INLINE_BYTES_MAX * 40 + 1];
    let (small_digest, large_digest) = (fixture.push("a", &small).await, fixture.push("a", &large).await);
    let fixture = fixture.reopen().await;
    let row = fixture.store.blob(&repo("a"), &small_digest).await.expect("read").expect("found").row;
    assert_eq!(row.body, BlobBody::Inline(small.into()));
    let row = fixture.store.blob(&repo("a"), &large_digest).await.expect("read").expect("found").row;
    assert_eq!((row.size, &row.body), (large.len() as u64, &BlobBody::File));
    assert_eq!(read(&fixture.store, &large_digest, row.size).await, large);
    assert!(std::fs::read_dir(fixture.store.folder().staging()).expect("a folder").next().is_none());
}

#[tokio::test]
async fn content_with_another_digest_leaves_nothing() {
    let fixture = Fixture::new().await;
    for size in [3, INLINE_BYTES_MAX * 3] {
        let mut staging = fixture.store.blobs().stage(Algorithm::Sha256);
        staging.write(vec![1; size].into()).await.expect("written");
        let refused = staging.finish(&Digest::sha256([9; 32])).await;
        assert!(matches!(refused, Err(StoreError::DigestMismatch { .. })));
    }
    assert!(std::fs::read_dir(fixture.store.folder().staging()).expect("a folder").next().is_none());
    assert!(std::fs::read_dir(fixture.store.folder().blobs()).expect("a folder").next().is_none());
}

#[tokio::test]
async fn a_blob_is_visible_only_through_repositories_that_hold_it() {
    let fixture = Fixture::new().await;
    let digest = fixture.push("a", b"content").await;
    assert!(fixture.store.blob(&repo("b"), &digest).await.expect("read").is_none());
    assert!(!fixture.store.mount_blob(repo("c"), repo("b"), digest, NOW).await.expect("answered"));
    assert!(fixture.store.mount_blob(repo("a"), repo("b"), digest, NOW).await.expect("answered"));
    assert!(fixture.store.delete_blob(repo("a"), digest).await.expect("answered"));
    assert!(!fixture.store.delete_blob(repo("a"), digest).await.expect("answered"));
    assert!(fixture.store.blob(&repo("a"), &digest).await.expect("read").is_none());
    assert!(fixture.store.blob(&repo("b"), &digest).await.expect("read").is_some());
}

#[tokio::test]
async fn the_holders_of_a_blob_are_found_without_naming_them() {
    let fixture = Fixture::new().await;
    let digest = fixture.push("b", b"content").await;
    fixture.push("a", b"content").await;
    fixture.push("c", b"other content").await;
    let mut holders = fixture.store.holders_of_blob(&digest, 10).await.expect("read");
    holders.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(holders, [repo("a"), repo("b")]);
    assert_eq!(fixture.store.holders_of_blob(&digest, 1).await.expect("read").len(), 1);
    assert!(fixture.store.holders_of_blob(&Digest::sha256([1; 32]), 10).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_manifest_that_lacks_blobs_changes_nothing() {
    let fixture = Fixture::new().await;
    let missing = Digest::sha256([5; 32]);
    let put = Fixture::put("a", "{}", &["v1"], &[missing]);
    assert_eq!(fixture.put_manifest(put).await.expect("answered"), ChangeOutcome::Missing(vec![missing]));
    assert!(!fixture.store.has_repository(&repo("a")).await.expect("read"));
    assert!(fixture.store.tags(&repo("a"), "", 10).await.expect("read").is_none());
}

#[tokio::test]
async fn a_manifest_may_lack_its_optional_parts_and_they_are_counted() {
    let fixture = Fixture::new().await;
    let (absent, blob) = (Digest::sha256([5; 32]), fixture.push("a", b"a blob").await);
    fixture.push("b", b"a blob of another repository").await;
    let child = Fixture::put("a", "{child}", &[], &[]);
    let elsewhere = Digest::of(Algorithm::Sha256, b"a blob of another repository");
    let optional = vec![absent, blob, child.manifest.digest, elsewhere];
    fixture.put_manifest(child).await.expect("answered");
    let put = ManifestPut { optional, ..Fixture::put("a", "{parent}", &["v1"], &[blob]) };
    assert_eq!(fixture.put_manifest(put).await.expect("answered"), ChangeOutcome::Stored { absent: 2 });
    assert!(fixture.store.manifest(&repo("a"), &Reference::Tag(tag("v1"))).await.expect("read").is_some());
}

#[tokio::test]
async fn a_tag_moves_at_once_and_deletes_are_seen_at_once() {
    let fixture = Fixture::new().await;
    let by_tag = Reference::Tag(tag("v1"));
    for content in ["{1}", "{2}", "{1}"] {
        let put = Fixture::put("a", content, &["v1", "also"], &[]);
        assert_eq!(fixture.put_manifest(put).await.expect("answered"), ChangeOutcome::Stored { absent: 0 });
        let row = fixture.store.manifest(&repo("a"), &by_tag).await.expect("read").expect("found");
        assert_eq!(row.bytes, content.as_bytes());
    }
    let second = Reference::Digest(Digest::of(Algorithm::Sha256, b"{2}"));
    assert!(fixture.store.manifest(&repo("a"), &second).await.expect("read").is_some());
    let gone = fixture.delete_tag(tag("also"), FixedTags::none()).await.expect("answered");
    assert_eq!(gone, ChangeOutcome::Deleted);
    assert!(fixture.store.manifest(&repo("a"), &Reference::Tag(tag("also"))).await.expect("read").is_none());
    let first = Digest::of(Algorithm::Sha256, b"{1}");
    let gone = fixture.delete_manifest(first, FixedTags::none()).await.expect("answered");
    assert_eq!(gone, ChangeOutcome::Deleted);
    assert!(fixture.store.manifest(&repo("a"), &by_tag).await.expect("read").is_none());
    assert_eq!(fixture.store.tags(&repo("a"), "", 10).await.expect("read"), Some(vec![]));
    let gone = fixture.delete_manifest(first, FixedTags::none()).await.expect("answered");
    assert_eq!(gone, ChangeOutcome::NotFound);
}

#[tokio::test]
async fn tags_come_in_byte_order_and_in_pages() {
    let fixture = Fixture::new().await;
    let put = Fixture::put("a", "{}", &["b", "B", "_", "a10", "a1"], &[]);
    fixture.put_manifest(put).await.expect("answered");
    let page = fixture.store.tags(&repo("a"), "B", 3).await.expect("read").expect("a repository");
    assert_eq!(page, ["_", "a1", "a10"].map(tag));
}

#[tokio::test]
async fn referrers_are_found_by_subject_whether_or_not_it_stands() {
    let fixture = Fixture::new().await;
    let subject = Digest::sha256([8; 32]);
    for content in ["{a}", "{b}"] {
        let mut put = Fixture::put("a", content, &[], &[]);
        put.manifest = manifest(content, Some(subject));
        fixture.put_manifest(put).await.expect("answered");
    }
    let find = async |artifact_type, last, limit| {
        let found =
            fixture.store.referrers(&repo("a"), &subject, artifact_type, last, limit, 100).await.expect("read").0;
        found.into_iter().map(|row| row.descriptor).collect::<Vec<_>>()
    };
    assert_eq!(find(None, None, 10).await, ["{a}", "{b}"]);
    assert_eq!(find(Some("text/plain"), None, 1).await, ["{a}"]);
    let first = Digest::of(Algorithm::Sha256, b"{a}");
    assert_eq!(find(None, Some(&first), 10).await, ["{b}"]);
    assert!(find(Some("text/html"), None, 10).await.is_empty());
}

#[tokio::test]
async fn many_writers_share_groups_and_all_are_answered() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let tasks: Vec<_> = (0..500_u32)
        .map(|n| {
            let fixture = std::sync::Arc::clone(&fixture);
            tokio::spawn(async move {
                let content = n.to_string();
                let blob = fixture.push(&format!("r{}", n % 7), content.as_bytes()).await;
                let put =
                    Fixture::put(&format!("r{}", n % 7), &format!("{{{n}}}"), &[&format!("t{n}"), "latest"], &[blob]);
                fixture.put_manifest(put).await.expect("answered")
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("joined"), ChangeOutcome::Stored { absent: 0 });
    }
    let names = fixture.store.repositories("", 100).await.expect("read");
    assert_eq!(names.len(), 7);
    let mut tags = 0;
    for name in &names {
        tags += fixture.store.tags(name, "", 1000).await.expect("read").expect("a repository").len();
    }
    assert_eq!(tags, 500 + 7);
}

#[tokio::test]
async fn the_ledger_grows_only_from_the_head_it_expects() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    assert_eq!(store.append(append(None, 1, &[0])).await.expect("answered"), AppendOutcome::Committed(Vec::new()));
    let second = append(Some((1, [1; 32])), 3, &[1, 2]);
    assert_eq!(store.append(second.clone()).await.expect("answered"), AppendOutcome::Committed(Vec::new()));
    assert_eq!(store.append(second).await.expect("answered"), AppendOutcome::HeadMoved);
    let other_root = append(Some((3, [9; 32])), 4, &[3]);
    assert_eq!(store.append(other_root).await.expect("answered"), AppendOutcome::HeadMoved);
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    assert_eq!(store.head().await.expect("read").expect("a head").size, 3);
    assert_eq!(store.leaves(0, 3).await.expect("read"), [[0; 32], [1; 32], [2; 32]]);
    assert_eq!(store.entry_by_id(&[2; 32]).await.expect("read").expect("found").index, 2);
    assert_eq!(store.batches(0, 10).await.expect("read").len(), 2);
}

#[tokio::test]
async fn claims_are_found_by_every_filter() {
    let fixture = Fixture::new().await;
    fixture.store.append(append(None, 9, &[0, 1, 2, 3, 4, 5, 6, 7, 8])).await.expect("answered");
    let find = async |subject: Option<u8>, issuer: Option<&str>, claim_type: Option<&str>, from, below| {
        let filter = ClaimFilter {
            subject: subject.map(|seed| match seed {
                0 => EntrySubject::Named([0; 32]),
                seed => EntrySubject::Artifact(Digest::sha256([seed; 32])),
            }),
            issuer: issuer.map(str::to_owned),
            claim_type: claim_type.map(str::to_owned),
            except_type: None,
        };
        let found = fixture.store.claims(&filter, from, below, 3).await.expect("read");
        found.into_iter().map(|row| row.index).collect::<Vec<_>>()
    };
    let odd = Some("https://issuer-1.example");
    assert_eq!(find(Some(1), None, None, 0, 9).await, [1, 4, 7]);
    assert_eq!(find(Some(0), None, None, 0, 9).await, [0, 3, 6], "what is no artifact");
    assert_eq!(find(Some(1), odd, Some("text/plain"), 0, 9).await, [1, 7]);
    assert_eq!(find(None, odd, None, 3, 9).await, [3, 5, 7]);
    assert_eq!(find(None, None, Some("text/plain"), 7, 8).await, [7]);
    assert_eq!(find(None, None, None, 0, 9).await, [0, 1, 2]);
    assert!(find(Some(9), None, None, 0, 9).await.is_empty());
    assert!(find(None, Some("https://nobody.example"), None, 0, 9).await.is_empty());
}

#[tokio::test]
async fn a_second_opening_is_refused_and_so_is_data_of_another_version() {
    let fixture = Fixture::new().await;
    let path = fixture.folder.path().join("data");
    assert!(matches!(Store::open(DataFolder::new(&path), BlobStorage::Files).await, Err(StoreError::Locked(_))));
    assert!(matches!(Store::create(DataFolder::new(&path), &[]).await, Err(StoreError::AlreadyInitialised(_))));
    let nothing = Store::open(DataFolder::new(fixture.folder.path()), BlobStorage::Files).await;
    assert!(matches!(nothing, Err(StoreError::NotInitialised(_))));
    fixture.store.close().await;
    let connection = sqlx::SqliteConnection::connect(&path.join("docket.db").to_string_lossy()).await;
    let mut connection = connection.expect("opened");
    sqlx::query("UPDATE meta SET value = '99' WHERE name = 'format'").execute(&mut connection).await.expect("changed");
    connection.close().await.expect("closed");
    let refused = Store::open(DataFolder::new(&path), BlobStorage::Files).await.expect_err("another version");
    assert!(matches!(&refused, StoreError::FormatVersion { found, .. } if found == "99"), "{refused}");
}

#[tokio::test]
async fn the_write_ahead_log_is_cut_when_it_has_grown() {
    const LOG_BYTES: u64 = 64 * 1024 * 1024;
    let fixture = Fixture::new().await;
    let log = fixture.store.folder().log();
    let (mut largest, mut cut) = (0, false);
    for round in 0..1200_u32 {
        let mut content = vec![0; INLINE_BYTES_MAX];
        content[..4].copy_from_slice(&round.to_be_bytes());
        fixture.push("a", &content).await;
        let size = std::fs::metadata(&log).expect("a log").len();
        cut |= size < largest / 2;
        largest = largest.max(size);
    }
    assert!(cut && largest < LOG_BYTES + 2 * 1024 * 1024, "it grew to {largest} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_leaves_everything_in_the_database_file() {
    // Enough changes, each committed by itself, that the checkpoint of the last ones is under way when the store closes.
    const COMMITS_PER_CHECKPOINT: u32 = 64;
    let mut fixture = Fixture::new().await;
    for round in 0..12_u32 {
        for commit in 0..COMMITS_PER_CHECKPOINT {
            let mut content = vec![0; INLINE_BYTES_MAX];
            content[..4].copy_from_slice(&(round * COMMITS_PER_CHECKPOINT + commit).to_be_bytes());
            fixture.push("a", &content).await;
        }
        let log = fixture.store.folder().log();
        let Fixture { store, folder } = fixture;
        store.close().await;
        let left = std::fs::metadata(log).map_or(0, |log| log.len());
        assert_eq!(left, 0, "bytes are left in the log after round {round}");
        let data = DataFolder::new(folder.path().join("data"));
        let store = Store::open(data, BlobStorage::Files).await.expect("opened");
        fixture = Fixture { store, folder };
    }
}

/// What is answered where nothing is absent.
const STORED: ChangeOutcome = ChangeOutcome::Stored { absent: 0 };

#[tokio::test]
async fn fixed_tags_are_made_but_neither_moved_nor_removed() {
    let fixture = Fixture::new().await;
    let fixed = || FixedTags::new(|tag| tag.as_str().starts_with('v'));
    let put = |content: &str, tags: &[&str]| ManifestPut { fixed: fixed(), ..Fixture::put("a", content, tags, &[]) };
    let answer = async |put| fixture.put_manifest(put).await.expect("answered");
    assert_eq!(answer(put("one", &["v1", "latest"])).await, STORED);
    // The same again changes nothing; another content under one of several tags, nothing at all.
    assert_eq!(answer(put("one", &["v1"])).await, STORED);
    assert_eq!(answer(put("two", &["latest", "v1", "v2"])).await, ChangeOutcome::TagFixed(tag("v1")));
    assert_eq!(fixture.store.tags(&repo("a"), "", 10).await.expect("read"), Some(vec![tag("latest"), tag("v1")]));
    assert_eq!(answer(put("two", &["latest", "v2"])).await, STORED);
    let one = manifest("one", None).digest;
    let by_tag = fixture.delete_tag(tag("v1"), fixed()).await.expect("answered");
    assert_eq!(by_tag, ChangeOutcome::TagFixed(tag("v1")));
    let by_digest = fixture.delete_manifest(one, fixed()).await.expect("answered");
    assert_eq!(by_digest, ChangeOutcome::TagFixed(tag("v1")));
    let absent = fixture.delete_tag(tag("v3"), fixed()).await.expect("answered");
    assert_eq!(absent, ChangeOutcome::NotFound);
    assert_eq!(
        fixture.store.manifest(&repo("a"), &Reference::Tag(tag("v1"))).await.expect("read").expect("stands").digest,
        one
    );
}

#[tokio::test]
async fn of_many_who_make_a_fixed_tag_at_once_one_wins() {
    let fixture = Fixture::new().await;
    let contents: Vec<_> = (0..40).map(|number| format!("content {number}")).collect();
    let puts = contents.iter().map(|content| {
        let put = ManifestPut { fixed: FixedTags::all(), ..Fixture::put("a", content, &["v1"], &[]) };
        fixture.put_manifest(put)
    });
    let answers: Vec<_> =
        futures_util::future::join_all(puts).await.into_iter().map(|put| put.expect("answered")).collect();
    let winner = answers.iter().position(|answer| *answer == STORED).expect("one wins");
    let refused = answers.iter().filter(|answer| **answer == ChangeOutcome::TagFixed(tag("v1"))).count();
    assert_eq!(refused, contents.len() - 1);
    let stands =
        fixture.store.manifest(&repo("a"), &Reference::Tag(tag("v1"))).await.expect("read").expect("it stands");
    assert_eq!(stands.bytes, contents[winner].as_bytes());
}

#[tokio::test]
async fn a_file_whose_row_is_on_its_way_is_not_removed() {
    let fixture = Fixture::new().await;
    let (blobs, content) = (fixture.store.blobs(), vec![1; INLINE_BYTES_MAX * 2]);
    let digest = Digest::of(Algorithm::Sha256, &content);
    let mut staging = blobs.stage(Algorithm::Sha256);
    staging.write(content.clone().into()).await.expect("written");
    let staged = staging.finish(&digest).await.expect("finished");
    let listed = blobs.list().await.expect("listed").page(10).await.expect("a page");
    assert_eq!(listed.len(), 1, "the file has its name, and no row names it");
    assert!(!fixture.store.remove_unnamed(&listed[0]).await.expect("answered"));
    assert!(!fixture.store.remove_file(&digest).await.expect("answered"));
    fixture.store.put_blob(repo("a"), staged, NOW).await.expect("stored");
    // The claim is gone; the row keeps the file now, and the link keeps the row.
    assert!(!fixture.store.remove_unnamed(&listed[0]).await.expect("answered"));
    assert!(!fixture.store.remove_file(&digest).await.expect("answered"));
    assert!(fixture.store.delete_blob(repo("a"), digest).await.expect("deleted"));
    assert!(fixture.store.remove_file(&digest).await.expect("removed"));
    assert!(blobs.list().await.expect("listed").page(10).await.expect("a page").is_empty());
}
