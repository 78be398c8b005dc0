//! Golden files of what the engine and the store write, version 1: a whole data folder must open, prove and answer as it
//! did, and what is determined must come out of today's code byte for byte. See the README beside the files.

use std::fs;
use std::path::PathBuf;

use docket_engine::{ClaimPage, ClaimQuery, Right};
use docket_judge::policy::{Credential, Module};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::Reference;
use docket_proof::certified::CertifiedIssuer;
use docket_proof::key::KeyFile;
use docket_proof::statement::{Content, SignedStatement};
use docket_store::{GuardPoint, HeadGuard};

use crate::rows::Rows;
use crate::signer::Signer;
use crate::site::{Closed, FolderImage, HOME, Site, artifact, files_below};

mod make;

/// Where the golden placements are beside [`HOME`].
const SECOND_HOME: &str = "acme/net-monitor";
/// The document that the golden SBOM claim is about.
const DOCUMENT: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

/// Who signs by certificate.
const HOLDER: &str = "https://holder.example/release";
/// Payloads of the service's own entries, each kind once.
const PAYLOADS: [(&str, usize); 7] = [
    ("genesis-payload.json", 0),
    ("issuer-payload.json", 1),
    ("observation-payload.json", 6),
    ("holders-payload.json", 7),
    ("policy-payload.json", 9),
    ("removal-payload.json", 11),
    ("key-payload.json", 12),
];

/// Holders of certificates, as entry 7 admits them.
fn certified(roots: &str) -> CertifiedIssuer {
    let patterns = ["https://holder.example/*".to_owned()];
    CertifiedIssuer::parse(roots, &patterns, None).expect("good roots")
}

/// The policy that entry 9 puts in force.
fn module() -> Module {
    let text = "package docket.registration\n\nallow if input.payload.predicate.passed\n";
    Module { name: "passed.rego".to_owned(), text: text.to_owned() }
}

/// The layer of the golden artifact: one byte more than a row takes.
fn layer() -> Vec<u8> {
    (0..=65_536_u32).map(|n| u8::try_from(n % 251).expect("below 251")).collect()
}

fn golden_path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata/formats/v1", name].iter().collect()
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(golden_path(name)).unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

fn golden_text(name: &str) -> String {
    String::from_utf8(golden(name)).expect("text")
}

/// The entries, in order, and what a directory has for each of them.
fn golden_files(directory: &str) -> Vec<Vec<u8>> {
    let names = files_below(&golden_path(directory));
    names.iter().map(|name| golden(&format!("{directory}/{}", name.display()))).collect()
}

/// The golden data folder, copied.
fn golden_folder() -> Closed {
    FolderImage::of(&golden_path("data")).unpack()
}

fn wabbit() -> Signer {
    let file = KeyFile::parse(&golden_text("wabbit.key")).expect("a key file");
    Signer { name: "wabbit".to_owned(), issuer: file.issuer.expect("an issuer"), key: file.key }
}

/// The page of claims that is kept as a file: it starts late and ends early.
async fn claims_page(site: &Site) -> ClaimPage {
    site.ask(ClaimQuery { from: 1, limit: 4, ..ClaimQuery::default() }).await
}

/// The payload of an entry of the service's own.
fn payload(entry: &[u8]) -> String {
    let statement = SignedStatement::decode(entry).expect("a statement");
    let Content::Payload { bytes, .. } = statement.content() else { panic!("it has a payload") };
    String::from_utf8(bytes.clone()).expect("text")
}

#[tokio::test]
async fn a_folder_of_version_1_opens_proves_and_answers_as_it_did() {
    let site = golden_folder().open().await;
    let report = site.fsck(&site.permit_everywhere(Right::Admin)).await.expect("fsck ran");
    assert_eq!(serde_json::to_string(&report).expect("serializes"), golden_text("fsck-report.json"));
    assert!(report.problems.is_empty() && report.incomplete == 0);
    assert_eq!(serde_json::to_string(&claims_page(&site).await).expect("serializes"), golden_text("claims-page.json"));
    assert_eq!(serde_json::to_string(&site.issuers()).expect("serializes"), golden_text("issuers.json"));
    let large = Digest::of(Algorithm::Sha256, &layer());
    assert!(site.blob_bytes(HOME, &large).await == layer() && site.blob_bytes(SECOND_HOME, &large).await == layer());
    let tag = Reference::Tag("v1".parse().expect("a tag"));
    let tagged = site.manifest(&site.permit(Right::Pull, HOME), &tag).await.expect("found");
    assert_eq!(tagged.bytes, artifact(&layer()));
    site.end().await;
}

#[tokio::test]
async fn receipts_of_version_1_come_out_byte_for_byte() {
    let (entries, fresh, first) = (golden_files("entries"), golden_files("receipts"), golden_files("first-receipts"));
    let site = golden_folder().open().await;
    assert!(site.receipts().await == fresh);
    assert_eq!((entries.len(), fresh.len(), site.tree_size()), (14, 14, 14));
    for (entry, receipt) in entries.iter().zip(&fresh) {
        site.verify(entry, receipt);
    }
    let claims = [2, 4, 5, 8, 10];
    for (index, receipt) in claims.into_iter().zip(&first) {
        let registered = site.log_only(&entries[index]).await.expect("registered");
        assert!(registered.known && registered.receipt == *receipt);
    }
    site.end().await;
}

#[tokio::test]
async fn manifests_of_evidence_and_statement_are_written_as_they_were() {
    let site = golden_folder().open().await;
    // In another repository, today's code has to write both again, from the same entry and receipt.
    let repository = "wabbit/mirror";
    let large = Digest::of(Algorithm::Sha256, &layer());
    let (to, from) = (site.permit(Right::Push, repository), site.permit(Right::Pull, HOME));
    assert!(site.mount_blob(&to, &from, &large).await.expect("mounted"));
    site.push_blob(repository, b"{}").await;
    site.push_blob(repository, DOCUMENT).await;
    site.push_manifest(repository, artifact(&layer())).await;
    site.place(repository, &golden_files("entries")[2]).await.expect("placed");

    let claim = site.ask(ClaimQuery { from: 2, limit: 1, ..ClaimQuery::default() }).await.claims.remove(0);
    assert_eq!(claim.placements.len(), 3);
    for placement in &claim.placements {
        let evidence = placement.evidence.expect("it has a document");
        let repository = &placement.repository;
        assert_eq!(site.manifest_bytes(repository, &evidence).await, golden("evidence-manifest.json"));
        assert_eq!(site.manifest_bytes(repository, &placement.statement).await, golden("statement-manifest.json"));
    }
    site.end().await;
}

#[tokio::test]
async fn entries_of_the_service_say_what_they_said() {
    let entries = golden_files("entries");
    for (name, index) in PAYLOADS {
        assert_eq!(payload(&entries[index]), golden_text(name), "{name}");
    }

    let site = Site::new().await;
    let admin = site.permit_everywhere(Right::Admin);
    site.admit(&wabbit()).await.expect("admitted");
    site.push_artifact(HOME, b"any layer").await;
    let image = site.tag(HOME, "v1", b"any layer").await.expect("tagged");
    let holders: serde_json::Value = serde_json::from_str(&golden_text("holders-payload.json")).expect("JSON");
    let roots = Credential::Certificates(certified(holders["roots"].as_str().expect("PEM")));
    site.admit_issuer(&admin, "holders", roots).await.expect("admitted");
    site.set_policy(&admin, vec![module()]).await.expect("set");
    site.admit(&Signer::new("acme")).await.expect("admitted");
    site.remove_issuer(&admin, "acme").await.expect("removed");
    let written = Rows::open(&site.path()).await.entries().await;
    let today = |index: usize| payload(&written[index]);
    assert_eq!(today(1), golden_text("issuer-payload.json"));
    let golden_image = Digest::of(Algorithm::Sha256, &artifact(&layer()));
    assert_eq!(
        today(2).replace(&image.to_string(), &golden_image.to_string()),
        golden_text("observation-payload.json")
    );
    assert_eq!(today(3), golden_text("holders-payload.json"));
    assert_eq!(today(4), golden_text("policy-payload.json"));
    assert_eq!(today(6), golden_text("removal-payload.json"));

    // Today's genesis names new keys; all else is the same.
    let mut genesis: serde_json::Value = serde_json::from_str(&today(0)).expect("JSON");
    let theirs: serde_json::Value = serde_json::from_str(&golden_text("genesis-payload.json")).expect("JSON");
    for key in ["receipt_key", "statement_key", "checkpoint_key"] {
        assert_ne!(genesis[key], theirs[key]);
        genesis[key] = theirs[key].clone();
    }
    assert_eq!(genesis.to_string(), golden_text("genesis-payload.json"));
    site.end().await;
}

#[tokio::test]
async fn the_head_guard_is_written_as_it_was() {
    let closed = golden_folder();
    let points = Rows::open(&closed.path()).await.heads().await;
    let points: Vec<_> = points.into_iter().map(|(size, root)| GuardPoint { size, root }).collect();
    let path = closed.path().join("guard-again");
    HeadGuard::create(&path, points[0]).expect("created");
    let guard = HeadGuard::open(&path).expect("opened");
    for point in &points[1..] {
        guard.advance(*point).expect("moved");
    }
    assert!(fs::read(&path).expect("a guard") == golden("data/guard"));
    let kept = HeadGuard::open(&closed.path().join("guard")).expect("opened");
    assert_eq!(kept.newest(), points[points.len() - 1]);
}

#[tokio::test]
async fn a_folder_is_laid_out_as_it_was() {
    let closed = Site::created().await.close().await;
    let golden = golden_folder();
    assert_eq!(Rows::open(&closed.path()).await.schema().await, Rows::open(&golden.path()).await.schema().await);
    let hex = Digest::of(Algorithm::Sha256, &layer()).hex();
    let blob: PathBuf = ["blobs", "sha256", &hex].iter().collect();
    let names = ["docket.db", "guard", "keys/checkpoint.key", "keys/receipt.key", "keys/statement.key"];
    let names = names.map(PathBuf::from);
    let ours: Vec<_> =
        files_below(&closed.path()).into_iter().filter(|name| name.as_os_str() != "docket.lock").collect();
    assert_eq!(ours, names);
    assert_eq!(files_below(&golden.path()), [vec![blob], names.to_vec()].concat());
    closed.open().await.end().await;
}
