use std::collections::BTreeMap;
use std::fs;

use docket_oci::manifest::artifact_manifest;
use docket_oci::{Algorithm, media};

use super::*;
use crate::layout::{Layout, LayoutWriter};
use crate::testing::{EVIDENCE_TYPE, Sandbox, blob_path, put, write_sample};

async fn open(sandbox: &Sandbox) -> Source {
    Source::Layout(Layout::open(sandbox.path("a")).await.expect("a layout"))
}

#[tokio::test]
async fn evidence_and_what_is_said_about_it_are_collected() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let source = open(&sandbox).await;
    let collected = collect(&source, &Reference::Digest(sample.index)).await.expect("readable");
    assert_eq!(collected.artifact.digest, sample.index);
    let found: Vec<_> =
        collected.referrers.iter().map(|found| (found.depth, found.fetched.digest, found.subject)).collect();
    assert_eq!(found, [(1, sample.evidence, sample.index), (2, sample.statement, sample.evidence)]);
    assert_eq!(collected.skipped, []);
    let about = collected.referrers_of(&sample.index).next().expect("the evidence");
    assert_eq!(about.fetched.manifest.artifact_type.as_deref(), Some(EVIDENCE_TYPE));
    let document = about.fetched.manifest.layers[0].digest;
    assert_eq!(source.blob_digest(&document).await.expect("readable"), (document, 25));
}

#[tokio::test]
async fn tampered_evidence_is_an_error_and_never_absence() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let path = blob_path(&sandbox.path("a"), &sample.statement);
    let mut bytes = fs::read(&path).expect("written before");
    bytes[30] ^= 1;
    fs::write(&path, bytes).expect("the folder is ours");
    let error = collect(&open(&sandbox).await, &Reference::Digest(sample.index)).await;
    assert!(matches!(error, Err(ClientError::Digest { expected, .. }) if expected == sample.statement), "{error:?}");
}

#[tokio::test]
async fn an_artifact_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    write_sample(&sandbox.path("a")).await;
    let missing = Digest::of(Algorithm::Sha256, b"missing");
    let error = collect(&open(&sandbox).await, &Reference::Digest(missing)).await;
    assert!(matches!(&error, Err(ClientError::Absent { what, .. }) if what.contains(&missing.hex())), "{error:?}");
}

#[tokio::test]
async fn referrers_one_level_too_far_are_told_and_the_nearer_ones_kept() {
    for (levels, is_fine) in [(EVIDENCE_DEPTH_MAX, true), (EVIDENCE_DEPTH_MAX + 1, false)] {
        let sandbox = Sandbox::new();
        let mut writer = LayoutWriter::open(sandbox.path("a")).await.expect("a new layout");
        let mut about =
            put(&writer, media::OCI_IMAGE_MANIFEST, &artifact_manifest("a/b", &[], None, &BTreeMap::new())).await;
        let first = about.digest;
        for _ in 0..levels {
            let next = artifact_manifest("a/b", &[], Some(&about), &BTreeMap::new());
            about = put(&writer, media::OCI_IMAGE_MANIFEST, &next).await;
            writer.list(about.clone(), None);
        }
        writer.finish().await.expect("writable");
        let collected = collect(&open(&sandbox).await, &Reference::Digest(first)).await.expect("readable");
        assert_eq!(collected.referrers.len(), EVIDENCE_DEPTH_MAX);
        assert_eq!(collected.truncated.is_none(), is_fine, "{levels}: {:?}", collected.truncated);
    }
}
