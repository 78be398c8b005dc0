//! Statements that come by an ordinary push: registered by who may claim, kept like any artifact for who may only push.

use std::process::Command;

use docket_oci::manifest::Descriptor;
use docket_oci::media;
use docket_proof::statement::SignedStatement;

use crate::harness::{Answer, Ask as _, Guarded, Issuer, Repository, Server, Site, artifact, said, sha256};

const SBOM: &str = "application/vnd.cyclonedx+json";
const DOCUMENT: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

/// A statement manifest as an OCI client makes one.
fn statement_manifest(subject: &[u8], layers: &[(&str, &[u8])]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| Descriptor::of(*media_type, bytes)).collect();
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, subject);
    artifact(media::SCITT_STATEMENT, &layers, Some(&subject), &[("org.example.by", "an OCI client")])
}

/// Pushes blobs, then the manifest.
async fn push(repository: &Repository<'_>, subject: &[u8], statement: &[u8]) -> (Vec<u8>, Answer) {
    repository.push_blob(media::OCI_EMPTY_BYTES).await;
    repository.push_blob(statement).await;
    let manifest = statement_manifest(subject, &[(media::SCITT_STATEMENT, statement)]);
    let answer = repository.put(&sha256(&manifest).to_string(), media::OCI_IMAGE_MANIFEST, manifest.clone()).await;
    (manifest, answer)
}

async fn statements_at(repository: &Repository<'_>, subject: &[u8]) -> Vec<Descriptor> {
    let mut listed = repository.referrers(&sha256(subject)).await;
    listed.retain(|referrer| referrer.artifact_type.as_deref() == Some(media::SCITT_STATEMENT));
    listed
}

/// The statement manifest that the service wrote beside another one: its receipt proves the statement.
async fn own(repository: &Repository<'_>, subject: &[u8], pushed: &[u8], statement: &[u8], site: &Site) {
    let listed = statements_at(repository, subject).await;
    assert_eq!(listed.len(), 2);
    assert!(repository.manifest(&sha256(pushed).to_string()).await == pushed, "what was pushed keeps its bytes");
    let own = listed.iter().find(|listed| listed.digest != sha256(pushed)).expect("another one");
    let own = repository.manifest(&own.digest.to_string()).await;
    let own: docket_oci::manifest::Manifest = docket_oci::manifest::Manifest::parse(&own, None).expect("a manifest");
    let transparent = SignedStatement::decode(&repository.blob(&own.layers[0].digest).await).expect("a statement");
    let [receipt] = transparent.receipts() else { panic!("one receipt") };
    let receipt = docket_proof::receipt::Receipt::decode(receipt).expect("a receipt");
    receipt.verify(statement, &site.receipt_key()).expect("it proves the statement");
}

#[tokio::test]
async fn a_pushed_statement_is_registered_and_the_service_adds_its_own() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    // Once about the image itself, once about a document that hangs on it.
    let remark = issuer.about(&sha256(&image), "text/plain", b"looks good");
    let (pushed, answer) = push(&repository, &image, &remark).await;
    assert_eq!(answer.expecting(201).header("oci-subject"), Some(sha256(&image).to_string().as_str()));
    own(&repository, &image, &pushed, &remark, &site).await;
    let evidence = repository.attach(&image, SBOM, DOCUMENT).await;
    let claim = issuer.about_document(&sha256(&image), SBOM, DOCUMENT);
    let (pushed, answer) = push(&repository, &evidence, &claim).await;
    answer.expecting(201);
    own(&repository, &evidence, &pushed, &claim, &site).await;
    // The same push again, and the same statement by its own way, are the same two entries.
    push(&repository, &evidence, &claim).await.1.expecting(201);
    repository.claim(&claim).await.expecting(201);
    let claims = server.request("GET", &format!("/api/v1/claims?artifact={}", sha256(&image))).expect(200).await.json();
    assert_eq!(claims["claims"].as_array().map(Vec::len), Some(2));
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);
}

#[tokio::test]
async fn a_claim_about_a_document_may_hang_on_the_artifact_itself() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    repository.push_blob(DOCUMENT).await;
    let claim = issuer.about_document(&sha256(&image), SBOM, DOCUMENT);
    push(&repository, &image, &claim).await.1.expecting(201);
    // The service's own stands where it belongs, below the evidence that it wrote.
    let listed = repository.referrers(&sha256(&image)).await;
    let evidence = listed.iter().find(|listed| listed.artifact_type.as_deref() == Some(SBOM)).expect("evidence");
    assert_eq!(repository.referrers(&evidence.digest).await.len(), 1);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn a_refused_push_is_told_the_reason_and_leaves_nothing() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let stranger = Issuer::new("stranger");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let other = repository.push_image("v2", 2).await;
    let right = issuer.about(&sha256(&image), "text/plain", b"x");
    let mut flipped = right.clone();
    *flipped.last_mut().expect("a signature") ^= 1;
    let missing = issuer.about_document(&sha256(&image), SBOM, b"never pushed");
    for (subject, statement, status, code, reason) in [
        (&image, &stranger.about(&sha256(&image), "text/plain", b"x"), 403, "DENIED", "is not admitted"),
        (&image, &flipped, 403, "DENIED", "verify"),
        (&image, &b"no statement".to_vec(), 400, "MANIFEST_INVALID", "statement"),
        (&other, &right, 400, "MANIFEST_INVALID", "refer to what was signed"),
        (&image, &missing, 400, "MANIFEST_INVALID", "upload the document"),
        (&image, &issuer.about_stream("a", "text/plain", b"x"), 400, "MANIFEST_INVALID", "names no artifact digest"),
    ] {
        let (manifest, refused) = push(&repository, subject, statement).await;
        let refused = refused.expecting(status);
        assert_eq!(refused.code(), code);
        assert!(refused.message().contains(reason), "{}", refused.message());
        repository.request("GET", &format!("manifests/{}", sha256(&manifest))).expect(404).await;
    }
    // Nor is anything logged whose manifest would not be kept: a layer is missing.
    repository.push_blob(right.clone()).await;
    let layers: [(&str, &[u8]); 2] = [(media::SCITT_STATEMENT, &right), (media::SCITT_RECEIPT, b"never pushed")];
    let manifest = statement_manifest(&image, &layers);
    let refused = repository.put(&sha256(&manifest).to_string(), media::OCI_IMAGE_MANIFEST, manifest).await;
    assert_eq!(refused.expecting(400).code(), "MANIFEST_BLOB_UNKNOWN");
    for image in [&image, &other] {
        assert!(repository.referrers(&sha256(image)).await.is_empty());
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 2);
}

#[tokio::test]
async fn who_may_push_and_not_claim_has_it_kept_like_any_artifact() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let guarded = Guarded::start_on(site, super::super::access::RULES);
    let repository = guarded.server.repository("team/app").by("bob");
    let image = repository.push_image("v1", 1).await;
    let claim = issuer.about(&sha256(&image), "text/plain", b"x");
    for statement in [claim.as_slice(), b"no statement"] {
        let (pushed, answer) = push(&repository, &image, statement).await;
        answer.expecting(201);
        assert!(repository.manifest(&sha256(&pushed).to_string()).await == pushed);
    }
    // Registered once somebody pushes it who may claim.
    let alice = guarded.server.repository("team/app").by("alice");
    let (_, answer) = push(&alice, &image, &claim).await;
    answer.expecting(201);
    assert_eq!(statements_at(&repository, &image).await.len(), 3);
    let Guarded { site, server } = guarded;
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn a_statement_with_receipts_of_elsewhere_is_kept_where_it_cannot_be_registered() {
    let site = Site::new();
    let wabbit = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    for (issuer, statements) in [(&Issuer::new("stranger"), 1), (&wabbit, 3)] {
        let claim = issuer.about(&sha256(&image), "text/plain", b"x");
        let copied = docket_proof::statement::transparent(&claim, &[b"a receipt of elsewhere"]).expect("small");
        let pushed = push(&repository, &image, &copied).await.1.expecting(201);
        let warned = pushed.header("warning").is_some_and(|warning| warning.contains("not registered here"));
        assert_eq!(warned, statements == 1);
        assert_eq!(statements_at(&repository, &image).await.len(), statements);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn skopeo_pushes_a_statement_out_of_a_layout() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let copy = |name: &str, issuer: &Issuer| {
        let statement = issuer.about(&sha256(&image), "text/plain", name.as_bytes());
        let manifest = statement_manifest(&image, &[(media::SCITT_STATEMENT, &statement)]);
        let folder = site.folder().join(name);
        std::fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
        for bytes in [&statement, &manifest, &media::OCI_EMPTY_BYTES.to_vec()] {
            std::fs::write(folder.join("blobs/sha256").join(sha256(bytes).hex()), bytes).expect("written");
        }
        let listed = serde_json::json!(Descriptor::of(media::OCI_IMAGE_MANIFEST, &manifest));
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [listed]});
        std::fs::write(folder.join("index.json"), index.to_string()).expect("written");
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
        let to = format!("docker://{}/a:{name}", server.address());
        let mut skopeo = Command::new("skopeo");
        skopeo.env("HOME", site.folder()).args(["--insecure-policy", "--tmpdir"]).arg(site.folder());
        skopeo.args(["copy", "--dest-tls-verify=false", &format!("oci:{}", folder.display()), &to]);
        skopeo.output().expect("skopeo starts")
    };
    let done = copy("good", &issuer);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(statements_at(&repository, &image).await.len(), 2);
    let refused = copy("bad", &Issuer::new("stranger"));
    assert!(!refused.status.success() && said(&refused).contains("is not admitted"), "{}", said(&refused));
    assert_eq!(repository.tags().await, ["good", "v1"]);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}
