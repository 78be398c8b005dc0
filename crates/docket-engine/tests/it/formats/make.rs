//! Makes golden files, into a folder that `DOCKET_GOLDEN_FOLDER` names and that must not exist yet. Without that
//! variable nothing is made, and the files in `testdata` are never written over.

use std::path::Path;
use std::{env, fs};

use docket_engine::{KeyRole, Right};
use docket_judge::policy::Credential;
use docket_oci::media::OCI_IMAGE_MANIFEST;
use docket_oci::name::Reference;
use docket_proof::key::{KeyFile, SigningKey};
use docket_proof::subject::Subject;
use rcgen::SanType;

use super::{DOCUMENT, HOLDER, PAYLOADS, SECOND_HOME, certified, claims_page, layer, module, payload};
use crate::authority::{Authority, named_statement, pem};
use crate::registration::in_toto;
use crate::rows::Rows;
use crate::signer::Signer;
use crate::site::{FolderImage, HOME, Site, artifact, repository};

#[tokio::test]
async fn golden_files_are_made_only_when_asked_for() {
    let Some(target) = env::var_os("DOCKET_GOLDEN_FOLDER") else { return };
    let target = Path::new(&target);
    fs::create_dir(target).expect("the folder must not exist yet");
    make(target).await;
}

/// Entries: 0 genesis, 1 wabbit is admitted, 2 an SBOM placed in two repositories, 3 acme is admitted, 4 a note placed in
/// one, 5 a remark placed nowhere, 6 a tag is observed, 7 holders of certificates are admitted, 8 a statement of one, whose
/// chain is kept beside it, 9 a policy, 10 a claim with a predicate that it allows, 11 acme is removed, 12 and 13 new keys of
/// the service. Each in a batch of its own, ten seconds apart.
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
    let admin = site.permit_everywhere(Right::Admin);
    site.pass(10);
    let root = Authority::root("Root");
    let holders = certified(&pem(&[root.der()]));
    site.admit_issuer(&admin, "holders", Credential::Certificates(holders)).await.expect("admitted");
    site.pass(10);
    let key = SigningKey::generate();
    let name = SanType::URI(HOLDER.try_into().expect("ASCII"));
    let leaf = root.issue(&key, |params| params.subject_alt_names = vec![name]);
    let subject = Subject::artifact(&repository(HOME), &image);
    let by_certificate = named_statement(&key, HOLDER, subject.as_str(), &[&leaf, root.der()]);
    first.push(site.place(HOME, &by_certificate).await.expect("placed"));
    site.pass(10);
    site.set_policy(&admin, vec![module()]).await.expect("set");
    site.pass(10);
    let tested = in_toto(&wabbit, &image, &image, "https://wabbit.example/tested/v1", r#"{"passed":true}"#);
    first.push(site.place(HOME, &tested).await.expect("allowed"));
    site.pass(10);
    site.remove_issuer(&admin, "acme").await.expect("removed");
    for role in [KeyRole::Receipt, KeyRole::Statement] {
        site.pass(10);
        site.rotate_key(&admin, role, false).await.expect("replaced");
    }

    let write = |name: &str, bytes: &[u8]| {
        let path = target.join(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(path, bytes).expect("written");
    };
    let write_all = |folder: &str, files: &[Vec<u8>]| {
        files.iter().enumerate().for_each(|(n, bytes)| write(&format!("{folder}/{n:02}.cbor"), bytes));
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
    first.iter().for_each(|answer| write(&format!("first-receipts/{:02}.cbor", answer.index), &answer.receipt));

    let closed = site.close().await;
    let entries = Rows::open(&closed.path()).await.entries().await;
    write_all("entries", &entries);
    for (name, index) in PAYLOADS {
        write(name, payload(&entries[index]).as_bytes());
    }
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
