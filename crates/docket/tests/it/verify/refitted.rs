//! Tampering by somebody who knows the format: the changed file gets its new digest, and everything above it refers to that.
//! Nothing but signatures and receipts can notice.

use crate::harness::{ClaimPieces, Issuer, LayoutFolder, SERVICE, Server, Shell, Site, evidence, sha256};

use super::{REPOSITORY, SBOM, SBOM_TYPE, Scene, claim_with, flip, pin, transparent};

#[tokio::test]
async fn the_pieces_put_together_again_are_believed() {
    let scene = Scene::new().await;
    let same = scene.claim.clone().under(evidence(&scene.image, SBOM_TYPE, &[SBOM]));
    for (name, trust) in [("a", "trust.toml"), ("b", "trust-issuers.toml")] {
        scene.verify_claim(name, &same, trust).await.expect(0).says(&["allowed", "receipt ok"]);
    }
}

#[tokio::test]
async fn a_flipped_bit_of_statement_or_receipt_is_noticed_under_its_new_digest() {
    let scene = Scene::new().await;
    let ClaimPieces { statement, receipt, .. } = &scene.claim;
    for (at, bit) in (0..statement.len() * 8).step_by(SAMPLED).enumerate() {
        let bent = scene.claim.clone().saying(flip(statement, bit), receipt.clone());
        scene.verify_claim(&format!("statement{at}"), &bent, "trust.toml").await.expect(1).says(&["not trusted: "]);
    }
    for (at, bit) in (0..receipt.len() * 8).step_by(SAMPLED).enumerate() {
        let bent = scene.claim.clone().saying(statement.clone(), flip(receipt, bit));
        let said = scene.verify_claim(&format!("receipt{at}"), &bent, "trust.toml").await.expect(1);
        said.says(&["not trusted: ", "receipt (layer 2) is not among the receipts of the statement"]);
        // The same receipt inside the statement, where nothing is left to compare it with.
        let inside = transparent(statement, &flip(receipt, bit));
        let bent = scene.claim.clone().saying(inside, flip(receipt, bit));
        let said = scene.verify_claim(&format!("inside{at}"), &bent, "trust.toml").await.expect(1);
        said.says(&["not trusted: ", "receipt"]);
    }
}

#[tokio::test]
async fn a_statement_about_another_artifact_is_refused() {
    let scene = Scene::new().await;
    let repository = scene.server.repository(REPOSITORY);
    let other = repository.push_image("v2", 2).await;
    let (statement, receipt) = claim_with(&repository, &scene.wabbit, &other, SBOM).await;
    let moved = scene.claim.clone().saying(transparent(&statement, &receipt), receipt);
    let said = scene.verify_claim("moved", &moved, "trust.toml").await.expect(1);
    said.says(&["not trusted: ", &format!("not about {}", sha256(&scene.image)), &sha256(&other).hex()]);
    // The whole claim as it is, said of another artifact.
    LayoutFolder::with_claim(scene.shell.path("elsewhere"), &other, &scene.claim).await;
    scene.verify("elsewhere", "trust.toml").expect(1).says(&["unsigned: nothing is claimed about this artifact"]);
    let under = scene.claim.clone().under(evidence(&other, SBOM_TYPE, &[SBOM]));
    LayoutFolder::with_claim(scene.shell.path("under"), &other, &under).await;
    scene.verify("under", "trust.toml").expect(1).says(&["not trusted: ", &format!("not about {}", sha256(&other))]);
}

#[tokio::test]
async fn another_document_is_refused() {
    let scene = Scene::new().await;
    let document = String::from_utf8_lossy(SBOM).replace("1.6", "1.5").into_bytes();
    let mut bent = scene.claim.clone().under(evidence(&scene.image, SBOM_TYPE, &[&document]));
    bent.document = document;
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    let signed = format!("the issuer signed {}", sha256(SBOM));
    said.says(&["evidence manifest is about document", &sha256(&bent.document).to_string(), &signed]);
}

#[tokio::test]
async fn another_type_is_refused() {
    let scene = Scene::new().await;
    let bent = scene.claim.clone().under(evidence(&scene.image, "application/spdx+json", &[SBOM]));
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    said.says(&["evidence manifest says the document is \"application/spdx+json\"", SBOM_TYPE]);
}

#[tokio::test]
async fn evidence_with_two_documents_is_refused() {
    let scene = Scene::new().await;
    let bent = scene.claim.clone().under(evidence(&scene.image, SBOM_TYPE, &[SBOM, b"{}"]));
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    said.says(&["evidence manifest holds 2 documents, expected 1"]);
}

#[tokio::test]
async fn the_receipt_of_another_entry_is_refused() {
    let scene = Scene::new().await;
    let (_, receipt) = claim_with(&scene.server.repository(REPOSITORY), &scene.wabbit, &scene.image, b"other").await;
    let statement = transparent(&scene.claim.statement, &receipt);
    let bent = scene.claim.clone().saying(statement, receipt);
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    said.says(&["not trusted: ", &format!("receipt of {SERVICE}: ")]);
}

#[tokio::test]
async fn the_receipt_of_a_service_that_only_calls_itself_the_same_is_refused() {
    let scene = Scene::new().await;
    let (liar, server) = same_name(&scene.wabbit);
    let statement = entry_of(&scene.claim.statement);
    let repository = server.repository(REPOSITORY);
    repository.push_image("v1", 1).await;
    repository.push_blob(SBOM).await;
    let receipt = repository.claim(&statement).await.expecting(201).body.to_vec();
    let bent = scene.claim.clone().saying(transparent(&statement, &receipt), receipt);
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    let kid = liar.receipt_key().thumbprint();
    said.says(&[&format!("receipt of {SERVICE}: receipt is signed with key {kid}, which is not trusted")]);
    // Whoever pinned that other service believes it, and not the first one.
    scene.shell.write("other.toml", pin(&scene.shell, &liar, &server, ""));
    scene.verify("bent", "other.toml").expect(0);
    scene.verify("copied", "other.toml").expect(1).says(&["which is not trusted"]);
}

#[tokio::test]
async fn the_statement_of_an_unlisted_issuer_is_refused_where_issuers_are_listed() {
    let scene = Scene::new().await;
    let acme = scene.site.admit("acme");
    let (statement, receipt) = claim_with(&scene.server.repository(REPOSITORY), &acme, &scene.image, SBOM).await;
    let claim = scene.claim.clone().saying(transparent(&statement, &receipt), receipt);
    scene.verify_claim("acme", &claim, "trust.toml").await.expect(0).says(&["by https://acme.example"]);
    let said = scene.verify("acme", "trust-issuers.toml").expect(1);
    let kid = acme.key().public().thumbprint();
    said.says(&[&format!("issuer https://acme.example with key {kid} is not trusted")]);
}

#[tokio::test]
async fn a_statement_manifest_at_other_evidence_is_refused() {
    let scene = Scene::new().await;
    // Evidence about the same artifact, itself without fault.
    let mut bent = scene.claim.clone().under(evidence(&scene.image, SBOM_TYPE, &[b"{\"bomFormat\":\"CycloneDX\"}"]));
    bent.document = b"{\"bomFormat\":\"CycloneDX\"}".to_vec();
    let said = scene.verify_claim("bent", &bent, "trust.toml").await.expect(1);
    said.says(&[
        "not trusted: ",
        "evidence manifest is about document",
        &format!("the issuer signed {}", sha256(SBOM)),
    ]);
}

/// A running service of the same name with keys of its own, which admits the same issuer.
fn same_name(issuer: &Issuer) -> (Site, Server) {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("issuer.pub", issuer.public_key_file());
    shell.docket("issuer add wabbit issuer.pub --data data").expect(0);
    let server = Server::start(&site);
    (site, server)
}

/// The statement as its issuer sent it, without receipts.
fn entry_of(statement: &[u8]) -> Vec<u8> {
    docket_proof::statement::SignedStatement::decode(statement).expect("a statement").entry().to_vec()
}

/// Every how many bits a layout is made and judged; the judge's own tests flip every one.
const SAMPLED: usize = 97;
