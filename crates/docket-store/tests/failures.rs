//! What a refused statement inside the database costs: the change it belongs to, and no other. The refusals come from
//! triggers that the tests put into the database, so nothing in the store knows of them.

use std::path::Path;

use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::{Reference, RepositoryName, Tag};
use docket_store::keys::DataFolder;
use docket_store::{
    BlobStorage, ChangeOutcome, FixedTags, ManifestPut, NewManifest, RegistryChange, Store, StoreError,
};
use futures_util::future::join_all;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// A tag that no trigger lets pass.
const REFUSED: &str = "refused";

/// Fails as a broken constraint does: the statement is undone, the transaction stays open.
const CONSTRAINT: &str = "CREATE TRIGGER constraint_broken BEFORE INSERT ON tag WHEN NEW.name = 'refused' \
    BEGIN SELECT RAISE(ABORT, 'refused by a test'); END";

/// Fails as a full disk does, with the same code: SQLite may undo the whole transaction by itself.
const FULL: &str = "CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT); \
    INSERT INTO full (id) VALUES (9223372036854775807); \
    CREATE TRIGGER disk_full BEFORE INSERT ON tag WHEN NEW.name = 'refused' BEGIN INSERT INTO full (id) VALUES (NULL); END";

/// Fails as a busy or broken engine may: the whole transaction is undone inside the statement.
const ROLLED_BACK: &str = "CREATE TRIGGER rolled_back BEFORE INSERT ON tag WHEN NEW.name = 'refused' \
    BEGIN SELECT RAISE(ROLLBACK, 'rolled back by a test'); END";

#[tokio::test]
async fn a_broken_constraint_fails_alone_in_its_group() {
    let failure = fail_one_of_a_group(CONSTRAINT).await;
    assert!(matches!(failure, StoreError::Database { verb: "commit", .. }), "{failure:?}");
}

#[tokio::test]
async fn a_full_disk_is_named_and_fails_alone_in_its_group() {
    let failure = fail_one_of_a_group(FULL).await;
    assert!(matches!(&failure, StoreError::DiskFull(path) if path.ends_with("data")), "{failure:?}");
}

#[tokio::test]
async fn a_transaction_undone_by_the_engine_fails_alone_in_its_group() {
    let failure = fail_one_of_a_group(ROLLED_BACK).await;
    assert!(matches!(failure, StoreError::Database { verb: "commit", .. }), "{failure:?}");
}

/// Puts forty manifests at once, of which one is refused: the failure of that one. All others must stand, in
/// repositories of their own, before and after the folder is opened again.
async fn fail_one_of_a_group(trigger: &'static str) -> StoreError {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let store = Store::create(DataFolder::new(&data), &[]).await.expect("created");
    execute(&data, trigger).await;

    // The queue takes all of them before the writer first runs, so they are one group.
    let answers = join_all((0..40).map(|n| store.change(put(n, n == 17)))).await;
    let mut failures = Vec::new();
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(outcome) => assert_eq!(outcome, ChangeOutcome::Stored { absent: 0 }, "manifest {n}"),
            Err(failure) => failures.push((n, failure)),
        }
    }
    let (n, failure) = failures.pop().expect("one was refused");
    assert!(n == 17 && failures.is_empty(), "{failures:?}");
    assert_all_but_17_stand(&store).await;

    // The writer is none the worse for it, and gives new names numbers that are free.
    assert_eq!(store.change(put(40, false)).await.expect("answered"), ChangeOutcome::Stored { absent: 0 });
    assert_stands(&store, 40).await;
    store.close().await;
    let store = Store::open(DataFolder::new(&data), BlobStorage::Files).await.expect("opened");
    assert_all_but_17_stand(&store).await;
    assert_stands(&store, 40).await;
    store.close().await;
    failure
}

async fn assert_all_but_17_stand(store: &Store) {
    for n in (0..40).filter(|n| *n != 17) {
        assert_stands(store, n).await;
    }
    assert!(!store.has_repository(&repository(17)).await.expect("read"), "a refused change leaves nothing");
}

async fn assert_stands(store: &Store, n: usize) {
    let tag = Reference::Tag(tag("latest"));
    let row = store.manifest(&repository(n), &tag).await.expect("read").expect("it stands");
    assert_eq!(row.bytes, content(n).as_bytes(), "manifest {n}");
}

fn put(n: usize, refused: bool) -> RegistryChange {
    let bytes = content(n);
    RegistryChange::PutManifest(Box::new(ManifestPut {
        repository: repository(n),
        manifest: NewManifest {
            digest: Digest::of(Algorithm::Sha256, bytes.as_bytes()),
            bytes: bytes.into(),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            referrer: None,
            references: Vec::new(),
        },
        required: Vec::new(),
        optional: Vec::new(),
        fixed: FixedTags::none(),
        tags: vec![tag(if refused { REFUSED } else { "latest" })],
    }))
}

fn repository(n: usize) -> RepositoryName {
    format!("wabbit/r{n}").parse().expect("a name")
}

fn content(n: usize) -> String {
    format!("{{\"n\":{n}}}")
}

fn tag(name: &str) -> Tag {
    name.parse().expect("a tag")
}

/// Runs statements on a connection of its own.
async fn execute(data: &Path, text: &'static str) {
    let options = SqliteConnectOptions::new().filename(data.join("docket.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.expect("opened");
    sqlx::raw_sql(text).execute(&mut connection).await.expect("run");
    connection.close().await.expect("closed");
}
