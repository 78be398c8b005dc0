//! Database and head guard that disagree: what a crash leaves is settled, what a restored backup leaves is not.

use std::fs;
use std::path::Path;

use docket_engine::EngineError;
use docket_store::{HeadGuard, StoreError};

use crate::signer::entry_id;
use crate::site::{Closed, FolderImage, HOME, Site};

fn guard_size(data: &Path) -> u64 {
    HeadGuard::open(&data.join("guard")).expect("a guard").newest().size
}

#[tokio::test]
async fn a_database_ahead_of_its_guard_moves_the_guard() {
    let (site, wabbit) = Site::with_issuer().await;
    let closed = site.close().await;
    // As a crash between commit and guard leaves it.
    let older_guard = fs::read(closed.path().join("guard")).expect("a guard");
    let site = closed.open().await;
    let statement = wabbit.remark("committed, never answered");
    let receipt = site.log_only(&statement).await.expect("registered").receipt;
    let closed = site.close().await;
    fs::write(closed.path().join("guard"), older_guard).expect("put back");
    assert_eq!(guard_size(&closed.path()), 2);

    let site = closed.open().await;
    assert_eq!((site.read_only(), site.tree_size(), guard_size(&site.path())), (None, 3, 3));
    let again = site.log_only(&statement).await.expect("registered");
    assert_eq!((again.known, again.receipt), (true, receipt));
    site.log_only(&wabbit.remark("the ledger goes on")).await.expect("registered");
    site.end().await;
}

#[tokio::test]
async fn an_older_database_opens_read_only() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let kept = wabbit.note(&artifact, "in the backup");
    site.place(HOME, &kept).await.expect("placed");
    let closed = site.close().await;
    let backup = FolderImage::of(&closed.path()).unpack();
    let site = closed.open().await;
    site.log_only(&wabbit.remark("after the backup")).await.expect("registered");
    let newer = site.close().await;
    fs::copy(newer.path().join("guard"), backup.path().join("guard")).expect("the guard survives a database restore");

    assert_served_read_only(backup, &wabbit, &kept, "it was rolled back").await;
    newer.open().await.end().await;
}

#[tokio::test]
async fn another_history_of_the_guarded_size_opens_read_only() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let kept = wabbit.note(&artifact, "in both");
    site.place(HOME, &kept).await.expect("placed");
    let ours = site.close().await;
    let theirs = FolderImage::of(&ours.path()).unpack();
    let mut sites = Vec::new();
    for (closed, entries) in [(ours, 1), (theirs, 3)] {
        let site = closed.open().await;
        for n in 0..entries {
            site.log_only(&wabbit.remark(&format!("fork {n}"))).await.expect("registered");
        }
        sites.push(site.close().await);
    }
    let [ours, theirs] = <[Closed; 2]>::try_from(sites).ok().expect("two");
    // Theirs is longer, so its size alone gives nothing away.
    fs::copy(ours.path().join("guard"), theirs.path().join("guard")).expect("our guard");
    assert_served_read_only(theirs, &wabbit, &kept, "is not the one that was spoken of").await;
    ours.open().await.end().await;
}

/// Registrations and admissions are refused; everything that only reads goes on, receipts included; fsck says why and
/// finds nothing else.
async fn assert_served_read_only(closed: Closed, wabbit: &crate::signer::Signer, kept: &[u8], why: &str) {
    let guard_before = fs::read(closed.path().join("guard")).expect("a guard");
    let site = closed.open().await;
    let reason = site.read_only().expect("it is read-only");
    assert!(reason.contains(why), "{reason}");
    let entries = site.tree_size();
    let refused = [
        site.log_only(&wabbit.remark("more")).await.map(drop),
        site.log_only(kept).await.map(drop),
        site.admit(&crate::signer::Signer::new("acme")).await.map(drop),
    ];
    for answer in refused {
        assert!(matches!(&answer, Err(EngineError::ReadOnly(said)) if *said == reason), "{answer:?}");
    }
    assert_eq!(site.tree_size(), entries);
    site.verify(kept, &site.fresh(&entry_id(kept)).await);
    let claim = site.ask(docket_engine::ClaimQuery { from: 2, ..Default::default() }).await.claims.remove(0);
    site.manifest_bytes(HOME, &claim.placements[0].statement).await;
    // What is not observed is no matter of the ledger; what is could not be logged, so it is not done.
    let image = site.push_artifact(HOME, b"a push without a tag").await;
    let tagged = site.tag(HOME, "v1", b"a push without a tag").await;
    assert!(matches!(&tagged, Err(EngineError::Unwitnessed(said)) if *said == reason), "{tagged:?}");
    let delete = site.permit(docket_engine::Right::Delete, HOME);
    let deleted = site.delete_manifest(&delete, &docket_oci::name::Reference::Digest(image)).await;
    assert!(matches!(&deleted, Err(EngineError::Unwitnessed(_))), "{deleted:?}");
    let problems = site.problems().await;
    assert_eq!(problems, [format!("the ledger is read-only: {reason}")]);
    let closed = site.close().await;
    assert!(fs::read(closed.path().join("guard")).expect("a guard") == guard_before, "the guard must not move");
}

#[tokio::test]
async fn a_missing_or_broken_guard_refuses_to_open() {
    let (site, _) = Site::with_issuer().await;
    let closed = site.close().await;
    let path = closed.path().join("guard");
    let guard = fs::read(&path).expect("a guard");
    fs::remove_file(&path).expect("removed");
    let Err((failure, closed)) = closed.try_open().await else { panic!("opened without a guard") };
    assert!(matches!(&failure, EngineError::Store(StoreError::File { verb: "open the head guard", .. })), "{failure}");
    assert!(!path.exists(), "a guard is never made up");

    fs::write(&path, vec![b'x'; guard.len()]).expect("broken");
    let Err((failure, closed)) = closed.try_open().await else { panic!("opened with a broken guard") };
    assert!(matches!(&failure, EngineError::Store(StoreError::Damaged { .. })), "{failure}");

    fs::write(&path, guard).expect("put back");
    closed.open().await.end().await;
}

#[tokio::test]
async fn a_missing_database_is_not_made_up() {
    let (site, _) = Site::with_issuer().await;
    let closed = site.close().await;
    let path = closed.path().join("docket.db");
    let database = fs::read(&path).expect("a database");
    fs::remove_file(&path).expect("removed");
    let Err((failure, closed)) = closed.try_open().await else { panic!("opened without a database") };
    assert!(matches!(&failure, EngineError::Store(StoreError::NotInitialised(_))), "{failure}");
    assert!(!path.exists());
    fs::write(path, database).expect("put back");
    closed.open().await.end().await;
}

#[tokio::test]
async fn two_instances_never_share_a_folder() {
    let (site, _) = Site::with_issuer().await;
    let options = docket_engine::Options {
        clock: docket_engine::Clock::new(|| 0),
        crash_at: None,
        conduct: docket_engine::Conduct::default(),
        observe: docket_engine::Observe::default(),
        upload_idle_seconds_max: 3600,
        storage: docket_store::BlobStorage::Files,
        witnesses: None,
        keys: docket_engine::KeySources::default(),
    };
    let second = docket_engine::Instance::open(&site.path(), options).await;
    assert!(matches!(second, Err(EngineError::Store(StoreError::Locked(_)))));
    site.end().await;
}
