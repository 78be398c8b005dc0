//! What strangers with the right to push put beside an artifact: it neither hides nor breaks the real claim.

use docket_oci::manifest::Descriptor;
use docket_oci::media;

use crate::harness::{Repository, Site, artifact, sha256};

use super::{Issuer, REPOSITORY, SBOM, SBOM_TYPE, Scene, Server, claim_with, transparent};

/// Pushes a statement manifest with these layers about a manifest.
async fn push_statement(repository: &Repository<'_>, subject: &[u8], layers: &[(&str, &[u8])]) {
    repository.push_blob(media::OCI_EMPTY_BYTES).await;
    let mut descriptors = Vec::new();
    for (media_type, layer) in layers {
        repository.push_blob(*layer).await;
        descriptors.push(Descriptor::of(*media_type, layer));
    }
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, subject);
    let manifest = artifact(media::SCITT_STATEMENT, &descriptors, Some(&subject), &[]);
    repository.push_manifest(&sha256(&manifest).to_string(), manifest).await;
}

#[tokio::test]
async fn junk_statements_neither_hide_nor_break_the_real_claim() {
    let scene = Scene::new().await.among_strangers().await;
    let repository = scene.server.repository(REPOSITORY).by("bob");
    let (real, receipt) = (scene.claim.statement.as_slice(), scene.claim.receipt.as_slice());
    let too_large = vec![0; docket_proof::statement::MAX_STATEMENT_BYTES + 1];
    let (statement_type, receipt_type) = (media::SCITT_STATEMENT, media::SCITT_RECEIPT);
    for subject in [&scene.image, &scene.claim.evidence] {
        push_statement(&repository, subject, &[]).await;
        push_statement(&repository, subject, &[(statement_type, b"garbage")]).await;
        push_statement(&repository, subject, &[(statement_type, &too_large)]).await;
        push_statement(&repository, subject, &[(statement_type, b""), (receipt_type, b"")]).await;
        push_statement(&repository, subject, &[(statement_type, real), (receipt_type, b"garbage")]).await;
        push_statement(&repository, subject, &[(statement_type, real), (receipt_type, &too_large)]).await;
        push_statement(&repository, subject, &[(receipt_type, receipt), (statement_type, real)]).await;
        push_statement(&repository, subject, &[("text/plain", real), ("text/plain", receipt)]).await;
        push_statement(
            &repository,
            subject,
            &[(statement_type, real), (receipt_type, receipt), (receipt_type, receipt)],
        )
        .await;
    }
    let said = scene.verify_there().expect(0);
    assert!(said.out.starts_with("allowed "), "{}", said.transcript());
    let believed: Vec<_> = said.out.lines().filter(|line| line.contains("receipt ok")).collect();
    assert_eq!(believed.len(), 1, "{}", said.transcript());
    said.says(&["NOT BELIEVED: "]);
    let address = scene.server.address();
    scene
        .shell
        .docket(&format!("show {address}/{REPOSITORY}:v1"))
        .expect(0)
        .says(&["claim  by https://wabbit.example"]);
    scene.shell.docket(&format!("claim list {address}/{REPOSITORY}:v1")).expect(0).says(&["https://wabbit.example"]);
    // And the claim travels with all the junk beside it.
    scene.shell.docket(&format!("copy --claims docker://{address}/{REPOSITORY}:v1 oci:junk")).expect(0);
    scene.verify("junk", "trust-issuers.toml").expect(0);
}

#[tokio::test]
async fn junk_alone_is_never_allowed() {
    let scene = Scene::new().await.among_strangers().await;
    let repository = scene.server.repository(REPOSITORY).by("bob");
    let bare = repository.push_image("bare", 9).await;
    let verify =
        || scene.shell.docket(&format!("verify {}/{REPOSITORY}:bare --trust trust.toml", scene.server.address()));
    verify().expect(1).says(&["unsigned: "]);
    repository.attach(&bare, SBOM_TYPE, SBOM).await;
    verify().expect(1).says(&["unsigned: "]);
    push_statement(&repository, &bare, &[(media::SCITT_STATEMENT, b"garbage")]).await;
    verify().expect(1).says(&["not trusted: "]);
    let real = (media::SCITT_STATEMENT, scene.claim.statement.as_slice());
    push_statement(&repository, &bare, &[real, (media::SCITT_RECEIPT, &scene.claim.receipt)]).await;
    verify().expect(1).says(&["not trusted: ", &format!("not about {}", sha256(&bare))]);
    let too_large = vec![0; docket_proof::statement::MAX_STATEMENT_BYTES + 1];
    push_statement(&repository, &bare, &[(media::SCITT_STATEMENT, &too_large)]).await;
    verify().expect(2).says(&["could not check: ", "limit"]);
}

#[tokio::test]
async fn the_receipt_of_a_service_nobody_pinned_is_passed_over() {
    let scene = Scene::new().await;
    let repository = scene.server.repository(REPOSITORY);
    let (statement, receipt) = elsewhere(&scene).await;
    let foreign = transparent(&statement, &receipt);
    let evidence = repository.attach(&scene.image, SBOM_TYPE, SBOM).await;
    let layers: [(&str, &[u8]); 2] = [(media::SCITT_STATEMENT, &foreign), (media::SCITT_RECEIPT, &receipt)];
    push_statement(&repository, &evidence, &layers).await;
    let said = scene.verify_there().expect(0);
    said.says(&[
        "receipt ok (https://registry.wabbit.example)",
        "NOT BELIEVED: no receipt of a trusted service; there are receipts of: https://elsewhere.example",
    ]);
}

#[tokio::test]
async fn referrers_nested_deeper_than_anyone_looks_hide_nothing() {
    let scene = Scene::new().await;
    let repository = scene.server.repository(REPOSITORY);
    let mut subject = scene.image.clone();
    for _ in 0..=docket_client::evidence::EVIDENCE_DEPTH_MAX {
        subject = repository.attach(&subject, "application/vnd.example.nested", b"{}").await;
    }
    scene.verify_there().expect(0);
    let address = scene.server.address();
    scene.shell.docket(&format!("show {address}/{REPOSITORY}:v1")).expect(0).says(&["not everything was seen"]);
}

/// A statement by an issuer of its own, with the receipt of a service at `https://elsewhere.example`.
async fn elsewhere(scene: &Scene) -> (Vec<u8>, Vec<u8>) {
    let site = Site::without_data();
    let init = site.docket(&["init", "--service-id", "https://elsewhere.example"]);
    assert!(init.status.success());
    let issuer: Issuer = site.admit("mallory");
    let server = Server::start(&site);
    let repository = server.repository(REPOSITORY);
    let image = repository.push_image("v1", 1).await;
    assert_eq!(image, scene.image);
    claim_with(&repository, &issuer, &image, SBOM).await
}
