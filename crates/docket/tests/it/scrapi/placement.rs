//! Where an accepted statement becomes visible: evidence and statement manifests beside the artifact.

use docket_oci::manifest::{Descriptor, Manifest};
use docket_oci::media;
use docket_proof::statement::SignedStatement;

use crate::harness::{Answer, Ask as _, Issuer, Repository, Server, Site, artifact, sha256};

const SBOM: &str = "application/vnd.cyclonedx+json";
const DOCUMENT: &[u8] = br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

#[tokio::test]
async fn a_claim_with_a_document_stands_beside_its_artifact() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    let (statement, registered) = claim_sbom(&repository, &issuer, &image).await;

    // The evidence manifest is what any client that attaches a document makes.
    let [evidence] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
    assert_eq!(evidence.artifact_type.as_deref(), Some(SBOM));
    let attached = artifact(
        SBOM,
        &[Descriptor::of(SBOM, DOCUMENT)],
        Some(&Descriptor::of(media::OCI_IMAGE_MANIFEST, &image)),
        &[],
    );
    assert_eq!(repository.manifest(&evidence.digest.to_string()).await, attached);
    let shape: serde_json::Value = serde_json::from_slice(&attached).expect("JSON");
    let expected = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_IMAGE_MANIFEST,
        "artifactType": SBOM,
        "config": {
            "mediaType": media::OCI_EMPTY, "digest": media::OCI_EMPTY_DIGEST, "size": 2, "data": media::OCI_EMPTY_DATA,
        },
        "layers": [{"mediaType": SBOM, "digest": sha256(DOCUMENT).to_string(), "size": DOCUMENT.len()}],
        "subject": {
            "mediaType": media::OCI_IMAGE_MANIFEST, "digest": sha256(&image).to_string(), "size": image.len(),
        },
    });
    assert_eq!(shape, expected);

    // Everything that it names can be pulled.
    assert_eq!(repository.blob(&sha256(DOCUMENT)).await, DOCUMENT);
    assert_eq!(repository.blob(&sha256(b"{}")).await, b"{}");
    let [placed] = repository.referrers(&evidence.digest).await.try_into().expect("one referrer");
    check_statement_manifest(&repository, &placed, &evidence, &statement, &registered).await;
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 3);
}

#[tokio::test]
async fn a_claim_without_a_document_refers_to_the_artifact() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"looks good");
    let registered = repository.claim(&statement).await.expecting(201);
    let [placed] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, &image);
    check_statement_manifest(&repository, &placed, &subject, &statement, &registered).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn evidence_that_a_client_attached_is_used_as_it_stands() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, &image);
    // With a title and a date, as attaching clients write them.
    repository.push_blob(DOCUMENT).await;
    let mut layer = Descriptor::of(SBOM, DOCUMENT);
    layer.annotations = [(media::ANNOTATION_TITLE.to_owned(), "sbom.cdx.json".to_owned())].into();
    let created = (media::ANNOTATION_CREATED, "2026-01-01T00:00:00Z");
    let attached = artifact(SBOM, &[layer], Some(&subject), &[created]);
    repository.push_manifest(&sha256(&attached).to_string(), attached.clone()).await;

    let (statement, registered) = claim_sbom(&repository, &issuer, &image).await;
    let [evidence] = repository.referrers(&subject.digest).await.try_into().expect("still one referrer");
    assert_eq!(evidence.digest, sha256(&attached));
    let [placed] = repository.referrers(&evidence.digest).await.try_into().expect("one referrer");
    check_statement_manifest(&repository, &placed, &evidence, &statement, &registered).await;
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 3);
}

#[tokio::test]
async fn one_entry_can_stand_in_two_repositories() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let (dev, prod) = (server.repository("dev/net-monitor"), server.repository("prod/net-monitor"));
    let image = dev.push_image("v1", 1).await;
    prod.push_image("v1", 1).await;
    let (statement, first) = claim_sbom(&dev, &issuer, &image).await;
    assert!(prod.referrers(&sha256(&image)).await.is_empty(), "nothing appears where nobody placed it");
    prod.push_blob(DOCUMENT).await;
    let second = prod.claim(&statement).await.expecting(201);
    assert_eq!(second.body, first.body);
    assert_ne!(second.location(), first.location());
    for repository in [&dev, &prod] {
        let [evidence] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
        let [placed] = repository.referrers(&evidence.digest).await.try_into().expect("one referrer");
        check_statement_manifest(repository, &placed, &evidence, &statement, &first).await;
    }
    let claims = server.request("GET", &format!("/api/v1/claims?artifact={}", sha256(&image))).expect(200).await.json();
    let placements = claims["claims"][0]["placements"].as_array().expect("placements");
    let mut places: Vec<_> = placements.iter().filter_map(|place| place["repository"].as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["dev/net-monitor", "prod/net-monitor"]);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn what_was_only_logged_can_be_placed_later() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"looks good");
    let logged = server.register(&statement).await.expecting(201);
    assert!(repository.referrers(&sha256(&image)).await.is_empty());
    let placed = repository.claim(&statement).await.expecting(201);
    assert_eq!(placed.body, logged.body);
    assert_eq!(repository.referrers(&sha256(&image)).await.len(), 1);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn a_deleted_statement_manifest_comes_back_when_its_claim_is_added_again() {
    let (site, issuer) = wabbit();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"looks good");
    repository.claim(&statement).await.expecting(201);
    let [placed] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
    repository.request("DELETE", &format!("manifests/{}", placed.digest)).expect(202).await;
    assert!(repository.referrers(&sha256(&image)).await.is_empty());
    repository.claim(&statement).await.expecting(201);
    let [again] = repository.referrers(&sha256(&image)).await.try_into().expect("one referrer");
    assert_eq!(again, placed);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

/// Holds a statement manifest to DESIGN.md §5: the transparent statement, its receipt, and what they are about.
async fn check_statement_manifest(
    repository: &Repository<'_>,
    placed: &Descriptor,
    about: &Descriptor,
    statement: &[u8],
    registered: &Answer,
) {
    assert_eq!(placed.artifact_type.as_deref(), Some(media::SCITT_STATEMENT));
    let bytes = repository.manifest(&placed.digest.to_string()).await;
    let manifest = Manifest::parse(&bytes, None).expect("a manifest");
    let subject = manifest.subject.as_ref().expect("a subject");
    assert_eq!((subject.digest, subject.size), (about.digest, about.size));
    let [first, second] = manifest.layers.as_slice() else { panic!("{} layers", manifest.layers.len()) };
    assert_eq!(first.media_type, media::SCITT_STATEMENT);
    assert_eq!(second.media_type, media::SCITT_RECEIPT);
    let (transparent, receipt) = (repository.blob(&first.digest).await, repository.blob(&second.digest).await);
    assert_eq!((transparent.len() as u64, receipt.len() as u64), (first.size, second.size));
    assert_eq!(receipt, registered.body);
    let decoded = SignedStatement::decode(&transparent).expect("a transparent statement");
    assert_eq!(decoded.receipts(), [receipt]);
    assert_eq!(decoded.entry(), statement, "our statements are their own entries");
}

fn wabbit() -> (Site, Issuer) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    (site, issuer)
}

async fn claim_sbom(repository: &Repository<'_>, issuer: &Issuer, image: &[u8]) -> (Vec<u8>, Answer) {
    repository.push_blob(DOCUMENT).await;
    let statement = issuer.about_document(&sha256(image), SBOM, DOCUMENT);
    let registered = repository.claim(&statement).await.expecting(201);
    (statement, registered)
}
