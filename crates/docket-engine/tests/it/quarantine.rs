//! Damaged content: fsck sets it aside, nobody is shown it, and the next push of the same content makes it whole.

use std::fs;
use std::path::PathBuf;

use docket_engine::{Collection, EngineError, FsckReport, Right};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::media::OCI_IMAGE_MANIFEST;
use docket_oci::name::Reference;

use crate::rows::Rows;
use crate::site::{FolderImage, HOME, Site, artifact, files_below};

/// Larger than what is kept in a row.
const LARGE: usize = 100_000;
const OTHER: &str = "acme/net-monitor";

/// Where the file of the large layer is.
fn file(site: &Site) -> PathBuf {
    let blobs = site.path().join("blobs");
    blobs.join(files_below(&blobs).pop().expect("one large blob"))
}

async fn fsck(site: &Site) -> FsckReport {
    site.fsck(&site.permit_everywhere(Right::Admin)).await.expect("fsck ran")
}

/// What pulls and pushes are told about a blob: that it is not there.
async fn assert_hidden(site: &Site, repository: &str, digest: &Digest) {
    let permit = site.permit(Right::Pull, repository);
    assert!(matches!(site.blob_size(&permit, digest).await, Err(EngineError::BlobUnknown(_))));
    assert!(matches!(site.blob(&permit, digest).await, Err(EngineError::BlobUnknown(_))));
    let (to, from) = (site.permit(Right::Push, "acme/mounted"), site.permit(Right::Pull, repository));
    assert!(!site.mount_blob(&to, &from, digest).await.expect("answered"));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_push_makes_it_whole_everywhere() {
    let site = Site::created().await;
    let bytes = vec![7; LARGE];
    site.push_artifact(HOME, &bytes).await;
    site.push_artifact(OTHER, &bytes).await;
    let layer = Digest::of(Algorithm::Sha256, &bytes);
    let rotten = vec![8; LARGE];
    fs::write(file(&site), &rotten).expect("written");

    let look = site.fsck_check_only(&site.permit_everywhere(Right::Admin)).await.expect("fsck ran");
    assert_eq!((look.quarantined, look.problems.len()), (0, 1), "{look:?}");
    assert_eq!(site.blob_bytes(HOME, &layer).await, rotten, "a look changes nothing");

    let report = fsck(&site).await;
    assert_eq!((report.quarantined, report.incomplete), (1, 2), "{report:?}");
    assert!(report.problems[0].ends_with("it is quarantined now, push it again"), "{report:?}");
    for repository in [HOME, OTHER] {
        assert_hidden(&site, repository, &layer).await;
    }
    let aside = site.path().join("quarantine/sha256").join(layer.hex());
    assert_eq!(fs::read(&aside).expect("it is kept for people to look at"), rotten);
    // A manifest that names it is refused as if it had never been there, so its pusher sends it again.
    let (permit, tag) = (site.permit(Right::Push, HOME), Reference::Tag("v2".parse().expect("a tag")));
    let put = async || {
        let bytes = artifact(&bytes).into();
        site.put_manifest(&permit, &tag, Some(OCI_IMAGE_MANIFEST), Vec::new(), bytes).await
    };
    assert!(matches!(put().await, Err(EngineError::ManifestBlobUnknown(missing)) if missing == [layer]));
    let again = fsck(&site).await;
    assert_eq!((again.quarantined, again.problems.len()), (1, 1), "it stays a problem: {again:?}");

    site.push_blob(OTHER, &bytes).await;
    for repository in [HOME, OTHER] {
        assert_eq!(site.blob_bytes(repository, &layer).await, bytes);
    }
    put().await.expect("stored");
    site.end().await;
}

#[tokio::test]
async fn a_missing_file_and_a_wrong_size_are_made_whole_by_a_push() {
    let site = Site::created().await;
    let bytes = vec![7; LARGE];
    site.push_artifact(HOME, &bytes).await;
    let layer = Digest::of(Algorithm::Sha256, &bytes);
    fs::remove_file(file(&site)).expect("removed");
    let closed = site.close().await;
    Rows::open(&closed.path()).await.edit("UPDATE blob SET size = 3 WHERE CAST(body AS TEXT) = '{}'").await;
    let site = closed.open().await;
    assert_eq!(fsck(&site).await.quarantined, 2);
    let config = Digest::of(Algorithm::Sha256, b"{}");
    for blob in [layer, config] {
        assert_hidden(&site, HOME, &blob).await;
    }
    site.push_blob(HOME, &bytes).await;
    site.push_blob(HOME, b"{}").await;
    assert_eq!((site.blob_bytes(HOME, &layer).await, site.blob_bytes(HOME, &config).await), (bytes, b"{}".to_vec()));
    site.end().await;
}

#[tokio::test]
async fn a_damaged_manifest_is_not_served_and_a_push_makes_it_whole() {
    let site = Site::new().await;
    let image = site.push_artifact(HOME, b"layer").await;
    let good = site.manifest_bytes(HOME, &image).await;
    let closed = site.close().await;
    let body = "kind = 0 AND digest_id = (SELECT digest_id FROM manifest)";
    Rows::open(&closed.path()).await.flip("blob", "body", body).await;
    let site = closed.open().await;
    let (pull, by_digest) = (site.permit(Right::Pull, HOME), Reference::Digest(image));
    assert_ne!(site.manifest_bytes(HOME, &image).await, good, "damage that nobody has looked for");
    assert_eq!(fsck(&site).await.quarantined, 1);
    let pulled = site.manifest(&pull, &by_digest).await;
    assert!(matches!(pulled, Err(EngineError::ManifestUnknown(_))), "{pulled:?}");
    assert_eq!(site.push_manifest(HOME, good.clone()).await, image);
    assert_eq!(site.manifest_bytes(HOME, &image).await, good);
    site.end().await;
}

#[tokio::test]
async fn what_was_set_aside_and_nobody_needs_is_collected_and_blobs_of_the_ledger_are_never_set_aside() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, b"layer").await;
    site.place(HOME, &wabbit.note(&image, "tested")).await.expect("placed");
    let garbage = site.push_blob(HOME, b"garbage").await;
    let closed = site.close().await;
    let rows = Rows::open(&closed.path()).await;
    rows.flip("blob", "body", "CAST(body AS TEXT) = 'garbage'").await;
    let composed = "UPDATE blob SET size = size + 1 WHERE kind = 2";
    Rows::open(&closed.path()).await.edit(composed).await;
    let site = closed.open().await;
    let report = fsck(&site).await;
    assert_eq!((report.quarantined, report.problems.len()), (1, 2), "{report:?}");
    assert_hidden(&site, HOME, &garbage).await;
    let asked = Collection { grace_s: 0, dry_run: false };
    let collected = site.collect(&site.permit_everywhere(Right::Admin), asked).await.expect("collected");
    assert_eq!((collected.links, collected.blobs), (1, 1));
    let closed = site.close().await;
    Rows::open(&closed.path()).await.edit("UPDATE blob SET size = size - 1 WHERE kind = 2").await;
    closed.open().await.end().await;
}

#[tokio::test]
async fn a_reference_that_the_collector_does_not_know_is_found() {
    let site = Site::new().await;
    let image = site.push_artifact(HOME, b"layer").await;
    let folder = FolderImage::of(&site.close().await.path());
    let damaged = folder.unpack();
    Rows::open(&damaged.path()).await.edit("DELETE FROM reference").await;
    let site = damaged.open().await;
    let report = fsck(&site).await;
    assert!(report.problems[0].contains(&format!("manifest {HOME}@{image} names sha256:")), "{report:?}");
    site.push_manifest(HOME, artifact(b"layer")).await;
    site.end().await;
}
