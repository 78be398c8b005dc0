use std::fs;
use std::path::Path;

use docket_oci::{Algorithm, media};

use super::*;
use crate::layout::{Layout, LayoutWriter};
use crate::reference::Transport;
use crate::registry::Options;
use crate::testing::{Sandbox, blob_path, put, write_sample};

const CLAIMS: CopyOptions = CopyOptions { claims: true };

async fn copy_between(from: &str, to: &str, options: CopyOptions) -> Result<(Copied, Vec<Progress>), ClientError> {
    let (from, to): (Transport, Transport) = (from.parse()?, to.parse()?);
    let opened = Source::open(&from, Options::default()).await?;
    let destination = Destination::open(&to, Options::default()).await?;
    let mut events = Vec::new();
    let copied = copy(&opened, destination, options, &mut |event| events.push(event)).await?;
    Ok((copied, events))
}

fn oci(sandbox: &Sandbox, name: &str) -> String {
    format!("oci:{}", sandbox.path(name).display())
}

fn archive(sandbox: &Sandbox, name: &str) -> String {
    format!("oci-archive:{}", sandbox.path(name).display())
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                found.push((name, fs::read(&path).expect("readable")));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn layout_to_archive_to_layout_keeps_every_byte() {
    let sandbox = Sandbox::new();
    write_sample(&sandbox.path("a")).await;
    copy_between(&oci(&sandbox, "a"), &archive(&sandbox, "b.tar"), CLAIMS).await.expect("copies");
    copy_between(&archive(&sandbox, "b.tar"), &oci(&sandbox, "c"), CLAIMS).await.expect("copies");
    copy_between(&oci(&sandbox, "c"), &archive(&sandbox, "d.tar"), CLAIMS).await.expect("copies");
    assert_eq!(fs::read(sandbox.path("b.tar")).expect("readable"), fs::read(sandbox.path("d.tar")).expect("readable"));
    let (before, after) = (files(&sandbox.path("a")), files(&sandbox.path("c")));
    assert_eq!(before.len(), after.len());
    for ((before, bytes), (after, copied)) in before.iter().zip(&after) {
        assert_eq!(before, after);
        assert!(before == "index.json" || bytes == copied, "{before} changed");
    }
    assert_eq!(sandbox.names(), ["a", "b.tar", "c", "d.tar"]);
}

#[tokio::test]
async fn claims_travel_only_when_asked_for() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let (with, _) = copy_between(&oci(&sandbox, "a"), &archive(&sandbox, "with.tar"), CLAIMS).await.expect("copies");
    assert_eq!((with.manifests, with.referrers), (6, 2));
    let with = Layout::open_archive(sandbox.path("with.tar")).await.expect("an archive");
    assert_eq!(with.resolve(Some("v1")).await.expect("the name came along"), sample.index);
    assert_eq!(with.referrers(&sample.index, None).await.expect("readable").len(), 1);
    assert!(with.has_blob(&sample.statement).await.expect("readable"));

    let (without, _) =
        copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "without"), CopyOptions::default()).await.expect("copies");
    assert_eq!((without.manifests, without.referrers), (4, 0));
    let without = Layout::open(sandbox.path("without")).await.expect("a layout");
    assert!(!without.has_blob(&sample.evidence).await.expect("readable"));
    assert_eq!(without.listed().len(), 1);
}

#[tokio::test]
async fn claims_about_a_part_travel_with_the_whole() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let mut writer = LayoutWriter::open(sandbox.path("a")).await.expect("a layout");
    let subject = Descriptor::new(media::OCI_IMAGE_MANIFEST, sample.image, 1);
    let about = docket_oci::manifest::artifact_manifest("a/b", &[], Some(&subject), &std::collections::BTreeMap::new());
    let about = put(&writer, media::OCI_IMAGE_MANIFEST, &about).await;
    writer.list(about.clone(), None);
    writer.finish().await.expect("writable");
    copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "b"), CLAIMS).await.expect("copies");
    let copied = Layout::open(sandbox.path("b")).await.expect("a layout");
    assert_eq!(copied.referrers(&sample.image, None).await.expect("readable")[0].digest, about.digest);
}

#[tokio::test]
async fn what_is_there_is_not_copied_again() {
    let sandbox = Sandbox::new();
    write_sample(&sandbox.path("a")).await;
    let (first, events) = copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "b:x"), CLAIMS).await.expect("copies");
    assert_eq!((first.blobs_present, first.blobs_sent), (0, 6));
    assert!(matches!(events[0], Progress::Planned { manifests: 6, blobs: 6, bytes } if bytes == first.bytes_sent));
    assert_eq!(events.iter().filter(|event| matches!(event, Progress::Manifest { .. })).count(), 6);
    assert_eq!(events.iter().filter(|event| matches!(event, Progress::BlobDone { .. })).count(), 6);
    let (second, _) = copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "b:y"), CLAIMS).await.expect("copies");
    assert_eq!((second.blobs_present, second.blobs_sent, second.bytes_sent), (6, 0, 0));
    let layout = Layout::open(sandbox.path("b")).await.expect("a layout");
    assert_eq!(layout.resolve(Some("x")).await.expect("named"), layout.resolve(Some("y")).await.expect("named"));
}

#[tokio::test]
async fn a_tampered_source_leaves_nothing_visible() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    fs::write(blob_path(&sandbox.path("a"), &sample.layer), vec![8; 700_000]).expect("the folder is ours");
    let error = copy_between(&oci(&sandbox, "a"), &archive(&sandbox, "b.tar"), CLAIMS).await;
    assert!(matches!(&error, Err(ClientError::Digest { expected, .. }) if *expected == sample.layer), "{error:?}");
    let error = copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "c"), CLAIMS).await;
    assert!(matches!(error, Err(ClientError::Digest { .. })), "{error:?}");
    assert_eq!(sandbox.names(), ["a", "c"]);
    assert!(Layout::open(sandbox.path("c")).await.expect("an empty layout").listed().is_empty());
}

#[tokio::test]
async fn a_missing_child_fails_the_copy() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    fs::remove_file(blob_path(&sandbox.path("a"), &sample.image)).expect("written before");
    let error = copy_between(&oci(&sandbox, "a:v1"), &oci(&sandbox, "b"), CopyOptions::default()).await;
    assert!(matches!(error, Err(ClientError::Absent { .. })), "{error:?}");
}

#[tokio::test]
async fn a_destination_that_names_a_digest_takes_only_that() {
    let sandbox = Sandbox::new();
    let sample = write_sample(&sandbox.path("a")).await;
    let other = Digest::of(Algorithm::Sha256, b"other");
    let to = |digest: Digest| format!("{}:{digest}", oci(&sandbox, "b"));
    let error = copy_between(&oci(&sandbox, "a"), &to(other), CLAIMS).await;
    assert!(matches!(error, Err(ClientError::OtherDigest { .. })), "{error:?}");
    copy_between(&oci(&sandbox, "a"), &to(sample.index), CLAIMS).await.expect("it is that digest");
}

#[tokio::test]
async fn indexes_nested_one_level_too_deep_are_refused() {
    for (levels, is_fine) in [(PLAN_INDEX_DEPTH_MAX, true), (PLAN_INDEX_DEPTH_MAX + 1, false)] {
        let sandbox = Sandbox::new();
        let mut writer = LayoutWriter::open(sandbox.path("a")).await.expect("a new layout");
        let mut below = Vec::new();
        for _ in 0..=levels {
            let index = docket_oci::manifest::index_bytes(&below, &std::collections::BTreeMap::new());
            below = vec![put(&writer, media::OCI_IMAGE_INDEX, &index).await];
        }
        writer.list(below.remove(0), Some("v1"));
        writer.finish().await.expect("writable");
        let copied = copy_between(&oci(&sandbox, "a"), &oci(&sandbox, "b"), CLAIMS).await;
        assert_eq!(copied.is_ok(), is_fine, "{levels}: {copied:?}");
    }
}
