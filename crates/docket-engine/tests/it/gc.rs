//! Garbage collection: what goes, and each way in which other registries have lost what must stay. The clock is moved by
//! hand; bytes on the disk have the real time, which is later.

use docket_engine::{Collection, CollectionReport, EngineError, Right};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, artifact_manifest, index_bytes};
use docket_oci::media::{OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST, OCI_LAYER};
use docket_oci::name::Reference;
use docket_store::keys::DataFolder;

use crate::site::{HOME, Site, artifact, files_below};

const OTHER: &str = "acme/net-monitor";
const HOUR: i64 = 3600;
const GRACE: Collection = Collection { grace_s: 24 * HOUR as u64, dry_run: false };
const NOW: Collection = Collection { grace_s: 0, dry_run: false };
/// Larger than what is kept in a row.
const LARGE: usize = 100_000;

async fn collect(site: &Site, asked: Collection) -> CollectionReport {
    site.collect(&site.permit_everywhere(Right::Admin), asked).await.expect("collected")
}

async fn holds(site: &Site, repository: &str, digest: &Digest) -> bool {
    match site.blob_size(&site.permit(Right::Pull, repository), digest).await {
        Ok(_) => true,
        Err(EngineError::BlobUnknown(_)) => false,
        Err(failure) => panic!("{failure}"),
    }
}

async fn delete_manifest(site: &Site, repository: &str, digest: &Digest) {
    let permit = site.permit(Right::Delete, repository);
    site.delete_manifest(&permit, &Reference::Digest(*digest)).await.expect("deleted");
}

async fn push_index(site: &Site, children: &[Descriptor]) -> Digest {
    let bytes = index_bytes(children, &std::collections::BTreeMap::new());
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let (permit, reference) = (site.permit(Right::Push, HOME), Reference::Digest(digest));
    let put = site.put_manifest(&permit, &reference, Some(OCI_IMAGE_INDEX), Vec::new(), bytes.into());
    put.await.expect("stored");
    digest
}

/// Files of blobs on the disk.
fn files(site: &Site) -> usize {
    files_below(&site.path().join("blobs")).len()
}

#[tokio::test]
async fn what_nothing_names_goes_once_the_grace_period_is_over() {
    let site = Site::created().await;
    let (small, large) = (site.push_blob(HOME, b"small").await, site.push_blob(HOME, &vec![1; LARGE]).await);
    let image = site.push_artifact(HOME, &vec![2; LARGE]).await;
    site.pass(23 * HOUR);
    assert_eq!(collect(&site, GRACE).await, CollectionReport::default());
    site.pass(HOUR);
    let look = collect(&site, Collection { dry_run: true, ..GRACE }).await;
    assert_eq!((look.links, look.blobs, look.bytes, files(&site)), (2, 2, LARGE as u64 + 5, 2));
    assert_eq!(site.blob_bytes(HOME, &large).await.len(), LARGE, "a dry run changes nothing");
    let report = collect(&site, GRACE).await;
    assert_eq!(CollectionReport { dry_run: true, database_bytes: 0, ..report }, look, "it promised what was done");
    assert!(!holds(&site, HOME, &small).await && !holds(&site, HOME, &large).await);
    assert_eq!(
        (files(&site), site.blob_bytes(HOME, &Digest::of(Algorithm::Sha256, &vec![2; LARGE])).await.len()),
        (1, LARGE)
    );
    assert_eq!(site.manifest_bytes(HOME, &image).await, artifact(&vec![2; LARGE]));
    site.end().await;
}

#[tokio::test]
async fn a_restored_copy_says_what_is_here_however_long_ago_it_was_pushed() {
    let site = Site::new().await;
    let blob = site.push_blob(HOME, b"small").await;
    let closed = site.close().await;
    docket_store::set_restored(&DataFolder::new(closed.path()), Some("from a backup")).await.expect("marked");
    let site = closed.open().await;
    site.pass(2 * HOUR);
    assert!(site.is_restored() && holds(&site, HOME, &blob).await);
    site.close().await;
}

#[tokio::test]
async fn a_push_in_flight_keeps_its_blobs() {
    let site = Site::new().await;
    site.push_blob(HOME, b"{}").await;
    site.push_blob(HOME, b"layer").await;
    site.pass(20 * HOUR);
    collect(&site, GRACE).await;
    let image = site.push_manifest(HOME, artifact(b"layer")).await;
    site.pass(100 * HOUR);
    collect(&site, GRACE).await;
    assert_eq!(site.manifest_bytes(HOME, &image).await, artifact(b"layer"));
    assert!(holds(&site, HOME, &Digest::of(Algorithm::Sha256, b"layer")).await);
    site.end().await;
}

#[tokio::test]
async fn a_blob_that_a_push_was_told_of_stays_also_after_a_restart() {
    let site = Site::new().await;
    let old = site.push_artifact(HOME, b"layer").await;
    let layer = Digest::of(Algorithm::Sha256, b"layer");
    site.pass(1000 * HOUR);
    // A client asks, is told that the layer is here, and does not send it. Then its only manifest goes.
    assert!(holds(&site, HOME, &layer).await);
    delete_manifest(&site, HOME, &old).await;
    let site = site.close().await.open().await;
    site.pass(20 * HOUR);
    collect(&site, GRACE).await;
    site.push_manifest(HOME, artifact(b"layer")).await;
    assert_eq!(site.blob_bytes(HOME, &layer).await, b"layer");
    site.end().await;
}

#[tokio::test]
async fn a_mounted_blob_stays_whatever_becomes_of_its_source() {
    let site = Site::created().await;
    let bytes = vec![3; LARGE];
    let image = site.push_artifact(HOME, &bytes).await;
    let layer = Digest::of(Algorithm::Sha256, &bytes);
    site.pass(1000 * HOUR);
    let (to, from) = (site.permit(Right::Push, OTHER), site.permit(Right::Pull, HOME));
    assert!(site.mount_blob(&to, &from, &layer).await.expect("answered"));
    delete_manifest(&site, HOME, &image).await;
    collect(&site, GRACE).await;
    assert!(!holds(&site, HOME, &layer).await, "the source went: nothing there names it");
    site.push_blob(OTHER, b"{}").await;
    site.push_manifest(OTHER, artifact(&bytes)).await;
    site.pass(1000 * HOUR);
    collect(&site, GRACE).await;
    assert_eq!(site.blob_bytes(OTHER, &layer).await, bytes);
    site.end().await;
}

#[tokio::test]
async fn a_blob_shared_across_repositories_goes_with_the_last_of_them() {
    let site = Site::created().await;
    let bytes = vec![4; LARGE];
    let (here, there) = (site.push_artifact(HOME, &bytes).await, site.push_artifact(OTHER, &bytes).await);
    assert_eq!(here, there);
    let layer = Digest::of(Algorithm::Sha256, &bytes);
    delete_manifest(&site, HOME, &here).await;
    assert_eq!((collect(&site, NOW).await.links, files(&site)), (1, 1));
    assert!(!holds(&site, HOME, &layer).await);
    assert_eq!(site.blob_bytes(OTHER, &layer).await, bytes);
    delete_manifest(&site, OTHER, &there).await;
    let report = collect(&site, NOW).await;
    assert_eq!((report.links, report.blobs, files(&site)), (1, 2, 0), "the layer and the manifest");
    assert_eq!(collect(&site, NOW).await, CollectionReport::default(), "nothing is left to do");
    site.end().await;
}

#[tokio::test]
async fn a_layer_listed_twice_or_by_two_manifests_stays_while_one_names_it() {
    let site = Site::new().await;
    site.push_blob(HOME, b"{}").await;
    site.push_blob(HOME, b"layer").await;
    let layer = Descriptor::of(OCI_LAYER, b"layer");
    let twice = artifact_manifest("text/twice", &[layer.clone(), layer], None, &std::collections::BTreeMap::new());
    let twice = site.push_manifest(HOME, twice).await;
    let once = site.push_manifest(HOME, artifact(b"layer")).await;
    delete_manifest(&site, HOME, &once).await;
    assert_eq!(collect(&site, NOW).await.links, 0);
    assert!(holds(&site, HOME, &Digest::of(Algorithm::Sha256, b"layer")).await);
    delete_manifest(&site, HOME, &twice).await;
    assert_eq!(collect(&site, NOW).await.links, 1);
    assert!(!holds(&site, HOME, &Digest::of(Algorithm::Sha256, b"layer")).await);
    site.end().await;
}

#[tokio::test]
async fn untagged_manifests_and_children_of_an_index_stay_with_all_they_name() {
    let site = Site::new().await;
    let child = site.push_artifact(HOME, b"child").await;
    // Build caches put layers into an index.
    let cache = site.push_blob(HOME, b"cache").await;
    let children = [
        Descriptor::new(OCI_IMAGE_MANIFEST, child, artifact(b"child").len() as u64),
        Descriptor::of(OCI_LAYER, b"cache"),
    ];
    let index = push_index(&site, &children).await;
    let (permit, tag) = (site.permit(Right::Push, HOME), Reference::Tag("v1".parse().expect("a tag")));
    for content in [b"first".as_slice(), b"second"] {
        site.push_blob(HOME, content).await;
        let put = site.put_manifest(&permit, &tag, Some(OCI_IMAGE_MANIFEST), Vec::new(), artifact(content).into());
        put.await.expect("the tag moves on");
    }
    site.pass(1000 * HOUR);
    assert_eq!(collect(&site, NOW).await, CollectionReport::default());
    let first = Digest::of(Algorithm::Sha256, &artifact(b"first"));
    for manifest in [child, index, first] {
        site.manifest_bytes(HOME, &manifest).await;
    }
    assert_eq!(site.blob_bytes(HOME, &cache).await, b"cache");
    site.end().await;
}

#[tokio::test]
async fn a_blob_that_was_deleted_is_not_brought_back_by_what_names_it() {
    let site = Site::created().await;
    let bytes = vec![5; LARGE];
    site.push_artifact(HOME, &bytes).await;
    let layer = Digest::of(Algorithm::Sha256, &bytes);
    site.delete_blob(&site.permit(Right::Delete, HOME), &layer).await.expect("deleted");
    let report = collect(&site, NOW).await;
    assert_eq!((report.links, report.blobs, files(&site)), (0, 1, 0));
    // Pushed again, it is needed again at once.
    site.push_blob(HOME, &bytes).await;
    assert_eq!(collect(&site, NOW).await.links, 0);
    assert_eq!(site.blob_bytes(HOME, &layer).await, bytes);
    site.end().await;
}

#[tokio::test]
async fn nothing_made_from_the_ledger_is_ever_garbage() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob(HOME, b"document").await;
    site.place(HOME, &wabbit.sbom(&image, &document)).await.expect("placed");
    let claims = site.ask(docket_engine::ClaimQuery::default()).await.claims;
    let placement = &claims.last().expect("one").placements[0];
    let (evidence, statement) = (placement.evidence.expect("it has a document"), placement.statement);
    let kept = site.manifest_bytes(HOME, &statement).await;
    site.pass(1000 * HOUR);
    assert_eq!(collect(&site, NOW).await, CollectionReport::default());
    // The artifact and its evidence go, the claim stays.
    for gone in [image, evidence] {
        delete_manifest(&site, HOME, &gone).await;
    }
    assert_eq!(collect(&site, NOW).await.links, 2, "the layer and the document");
    assert!(!holds(&site, HOME, &document).await);
    assert_eq!(site.manifest_bytes(HOME, &statement).await, kept);
    let manifest: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest: Digest = layer["digest"].as_str().and_then(|text| text.parse().ok()).expect("a digest");
        assert!(!site.blob_bytes(HOME, &digest).await.is_empty());
    }
    // The empty config is in use everywhere, so it stays even where nobody names it.
    assert!(holds(&site, HOME, &Digest::of(Algorithm::Sha256, b"{}")).await);
    site.end().await;
}

#[tokio::test]
async fn a_file_that_no_row_names_goes_when_it_is_old_and_stays_when_its_age_is_unknown() {
    let site = Site::created().await;
    let bytes = vec![6; LARGE];
    let layer = site.push_blob(HOME, &bytes).await;
    let named = site.push_blob(OTHER, &vec![7; LARGE]).await;
    site.push_blob(OTHER, b"{}").await;
    site.push_manifest(OTHER, artifact(&vec![7; LARGE])).await;
    let closed = site.close().await;
    // As a crash between the file and its row leaves it.
    let rows = crate::rows::Rows::open(&closed.path()).await;
    let of_layer = "digest_id IN (SELECT digest_id FROM blob WHERE kind = 1 ORDER BY digest_id LIMIT 1)";
    rows.edit(&format!("DELETE FROM blob_link WHERE {of_layer}; DELETE FROM blob WHERE {of_layer}")).await;
    let path = files_below(&closed.path().join("blobs")).into_iter();
    let path = path.map(|file| closed.path().join("blobs").join(file));
    let stray = path.into_iter().find(|path| path.ends_with(layer.hex())).expect("it is there");
    let set = |seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = std::fs::File::options().write(true).open(&stray).expect("a file");
        file.set_modified(time).expect("set");
    };
    let site = closed.open().await;
    let start = u64::try_from(crate::site::START).expect("after 1970");
    // Later than now: whatever wrote that time, it says nothing about the age.
    set(start + 1_000_000_000);
    assert_eq!(collect(&site, GRACE).await.strays, 0);
    set(start - 23 * 3600);
    assert_eq!(collect(&site, GRACE).await.strays, 0);
    set(start - 24 * 3600);
    let report = collect(&site, GRACE).await;
    assert_eq!((report.strays, report.stray_bytes, files(&site)), (1, LARGE as u64, 1));
    assert_eq!(site.blob_bytes(OTHER, &named).await.len(), LARGE);
    assert_eq!(site.push_blob(HOME, &bytes).await, layer, "pushed again, it is whole");
    assert_eq!(site.blob_bytes(HOME, &layer).await, bytes);
    site.end().await;
}

#[tokio::test]
async fn the_database_gets_smaller() {
    let site = Site::new().await;
    for n in 0..200_u32 {
        let mut bytes = vec![8; 60_000];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        site.push_blob(HOME, &bytes).await;
    }
    let report = collect(&site, NOW).await;
    assert_eq!((report.blobs, report.bytes), (200, 200 * 60_000));
    assert!(report.database_bytes > 11_000_000, "{report:?}");
    site.end().await;
}

#[tokio::test]
async fn only_one_collection_is_at_work_and_one_that_was_left_is_taken_up_again() {
    let site = Site::new().await;
    for n in 0..600_u32 {
        site.push_blob(HOME, &n.to_be_bytes()).await;
    }
    let permit = site.permit_everywhere(Right::Admin);
    {
        let first = site.collect(&permit, NOW);
        let second = async {
            while site.collector_stats().seen == 0 {
                tokio::task::yield_now().await;
            }
            site.collect(&permit, NOW).await
        };
        // The first is dropped in the middle, as when its caller goes away.
        let refused = tokio::select! {
            report = first => panic!("it ended before the second began: {report:?}"),
            refused = second => refused,
        };
        assert!(matches!(refused, Err(EngineError::Collecting)), "{refused:?}");
    }
    collect(&site, NOW).await;
    assert_eq!(site.collector_stats().at, None);
    for n in 0..600_u32 {
        assert!(!holds(&site, HOME, &Digest::of(Algorithm::Sha256, &n.to_be_bytes())).await);
    }
    site.end().await;
}

#[tokio::test]
async fn only_the_operator_collects() {
    let site = Site::new().await;
    let refused = site.collect(&site.permit(Right::Delete, HOME), NOW).await;
    assert!(matches!(refused, Err(EngineError::Permit(_))), "{refused:?}");
    assert!(site.repositories(&site.permit_everywhere(Right::Pull), "", 10).await.expect("listed").0.is_empty());
    site.end().await;
}
