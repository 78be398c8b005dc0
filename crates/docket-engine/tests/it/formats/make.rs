//! Makes golden files, into a folder that `DOCKET_GOLDEN_FOLDER` names and that must not exist yet. Without that
//! variable nothing is made, and the files in `testdata` are never written over.

use std::path::Path;
use std::{env, fs};

use docket_engine::Right;
use docket_oci::media::OCI_IMAGE_MANIFEST;
use docket_oci::name::Reference;
use docket_proof::key::KeyFile;

use super::{DOCUMENT, SECOND_HOME, claims_page, layer, payload};
use crate::rows::Rows;
use crate::signer::Signer;
use crate::site::{FolderImage, HOME, Site, artifact};

#[tokio::test]
async fn golden_files_are_made_only_when_asked_for() {
    let Some(target) = env::var_os("DOCKET_GOLDEN_FOLDER") else { return };
    let target = Path::new(&target);
    fs::create_dir(target).expect("the folder must not exist yet");
    make(target).await;
}

/// Entries: 0 genesis, 1 wabbit is admitted, 2 an SBOM placed in two repositories, 3 acme is admitted, 4 a note placed in
/// one, 5 a remark placed nowhere, 6 a tag is observed. Each in a batch of its own, ten seconds apart.
async fn make(target: &Path) {
    let (site, wabbit, acme) = (Site::created().await, Signer::new("wabbit"), Signer::new("acme"));
    site.pass(10);
    site.admit(&wabbit).await.expect("admitted");
    site.pass(10);
    let image = site.push_artifact(HOME, &layer()).await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    let sbom = wabbit.sbom(&image, &document);
    let mut first = vec![site.place(HOME, &sbom).await.expect("placed")];
    site.pass(10);
    site.admit(&acme).await.expect("admitted");
    site.pass(10);
    site.push_artifact(SECOND_HOME, &layer()).await;
    site.push_blob(SECOND_HOME, DOCUMENT).await;
    site.place(SECOND_HOME, &sbom).await.expect("placed again");
    first.push(site.place(SECOND_HOME, &acme.note(&image, "{\"tested\":true}")).await.expect("placed"));
    site.pass(10);
    first.push(site.log_only(&wabbit.remark("{\"remark\":true}")).await.expect("logged"));
    site.pass(10);
    push_tag(&site).await;

    let write = |name: &str, bytes: &[u8]| {
        let path = target.join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(path, bytes).expect("written");
    };
    let write_all = |folder: &str, files: &[Vec<u8>]| {
        files.iter().enumerate().for_each(|(n, bytes)| write(&format!("{folder}/{n}.cbor"), bytes));
    };
    let key = KeyFile { issuer: Some(wabbit.issuer.clone()), key: wabbit.key.clone() };
    write("wabbit.key", key.to_text().as_bytes());
    let report = site.fsck(&site.permit_everywhere(Right::Admin)).await.expect("fsck ran");
    write("fsck-report.json", &serde_json::to_vec(&report).expect("serializes"));
    let page = claims_page(&site).await;
    write("claims-page.json", &serde_json::to_vec(&page).expect("serializes"));
    write("issuers.json", &serde_json::to_vec(&site.issuers()).expect("serializes"));
    let placement = &page.claims[1].placements[0];
    let evidence = placement.evidence.expect("it has a document");
    write("evidence-manifest.json", &site.manifest_bytes(HOME, &evidence).await);
    write("statement-manifest.json", &site.manifest_bytes(HOME, &placement.statement).await);
    write_all("receipts", &site.receipts().await);
    first.iter().for_each(|answer| write(&format!("first-receipts/{}.cbor", answer.index), &answer.receipt));

    let closed = site.close().await;
    let entries = Rows::open(&closed.path()).await.entries().await;
    write_all("entries", &entries);
    write("genesis-payload.json", payload(&entries[0]).as_bytes());
    write("issuer-payload.json", payload(&entries[1]).as_bytes());
    write("observation-payload.json", payload(&entries[6]).as_bytes());
    // The lock is made by whoever opens the folder.
    fs::remove_file(closed.path().join("docket.lock")).expect("removed");
    assert!(!closed.path().join("docket.db-wal").exists(), "all is in the database file");
    FolderImage::of(&closed.path()).write(&target.join("data"));
}

async fn push_tag(site: &Site) {
    let permit = site.permit(Right::Push, HOME);
    let tag = Reference::Tag("v1".parse().expect("a tag"));
    let bytes = artifact(&layer());
    site.put_manifest(&permit, &tag, Some(OCI_IMAGE_MANIFEST), Vec::new(), bytes.into()).await.expect("tagged");
}
