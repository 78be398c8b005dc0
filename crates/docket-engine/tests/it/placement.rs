//! What a placed claim looks like to a client that knows nothing but OCI, and to one that knows SCITT.

use std::collections::BTreeMap;

use docket_engine::{ClaimQuery, Right};
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, Manifest, artifact_manifest};
use docket_oci::media::{OCI_IMAGE_MANIFEST, SCITT_RECEIPT, SCITT_STATEMENT};
use docket_oci::name::Reference;
use docket_proof::crypto::{SignatureAlgorithm, sha384};
use docket_proof::statement::{Content, SignedStatement};
use docket_proof::subject::Subject;

use crate::signer::{NOTE, SBOM, Signer};
use crate::site::{HOME, Site, artifact, repository};

const LAYER: &[u8] = b"layer";
const DOCUMENT: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

#[tokio::test]
async fn evidence_and_statement_have_the_shape_of_the_design() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    let statement = wabbit.sbom(&image, &document);
    let registered = site.place(HOME, &statement).await.expect("placed");

    let [evidence] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("one referrer") };
    assert_eq!(evidence.artifact_type.as_deref(), Some(SBOM));
    let image_descriptor = Descriptor::of(OCI_IMAGE_MANIFEST, &artifact(LAYER));
    let expected =
        artifact_manifest(SBOM, &[Descriptor::of(SBOM, DOCUMENT)], Some(&image_descriptor), &BTreeMap::new());
    assert_eq!(site.manifest_bytes(HOME, &evidence.digest).await, expected);

    let [listed] = &site.referrers_of(HOME, &evidence.digest, None).await[..] else { panic!("one referrer") };
    assert_eq!(listed.artifact_type.as_deref(), Some(SCITT_STATEMENT));
    let bytes = site.manifest_bytes(HOME, &listed.digest).await;
    let manifest = Manifest::parse(&bytes, None).expect("a manifest");
    assert_eq!(manifest.subject.as_ref().map(|subject| subject.digest), Some(evidence.digest));
    let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    assert_eq!(types, [SCITT_STATEMENT, SCITT_RECEIPT]);

    // The layers are composed when they are read, and are what their descriptors say all the same.
    let mut layers = Vec::new();
    for descriptor in manifest.required_blobs() {
        let layer = site.blob_bytes(HOME, &descriptor.digest).await;
        assert_eq!((Digest::of(Algorithm::Sha256, &layer), layer.len() as u64), (descriptor.digest, descriptor.size));
        layers.push(layer);
    }
    let [_config, transparent, receipt] = layers.as_slice() else { panic!("a config and two layers") };
    let transparent = SignedStatement::decode(transparent).expect("a statement");
    assert_eq!((transparent.entry(), transparent.receipts()), (statement.as_slice(), std::slice::from_ref(receipt)));
    assert_eq!(*receipt, registered.receipt);
    site.verify(&statement, receipt);
    site.end().await;
}

#[tokio::test]
async fn a_claim_without_a_document_refers_to_its_artifact() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    site.place(HOME, &wabbit.note(&image, "tested")).await.expect("placed");
    let [statement] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("one referrer") };
    assert_eq!(statement.artifact_type.as_deref(), Some(SCITT_STATEMENT));
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    assert_eq!((claim.claim_type.as_str(), claim.evidence, claim.placements[0].evidence), (NOTE, None, None));
    assert_eq!(claim.placements[0].statement, statement.digest);
    site.end().await;
}

#[tokio::test]
async fn issuers_sign_with_any_algorithm_and_the_receipts_stay_es256() {
    let site = Site::new().await;
    for algorithm in
        [SignatureAlgorithm::Es384, SignatureAlgorithm::Es512, SignatureAlgorithm::Ps256, SignatureAlgorithm::EdDsa]
    {
        let issuer = Signer::with(&algorithm.as_str().to_lowercase(), algorithm);
        site.admit(&issuer).await.expect("admitted");
        let statement = issuer.remark(algorithm.as_str());
        let registered = site.log_only(&statement).await.expect("logged");
        site.verify(&statement, &registered.receipt);
    }
    assert_eq!(site.receipt_keys()[0].algorithms(), [SignatureAlgorithm::Es256]);
    site.end().await;
}

#[tokio::test]
async fn a_document_bound_by_sha384_is_no_blob_and_its_claim_stands_at_the_artifact() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    // The document is there, under a digest that nobody signed: it is not taken for the one that is meant.
    site.push_blob(HOME, DOCUMENT).await;
    let content = Content::Sha384Envelope { hash: sha384(DOCUMENT), media_type: SBOM.to_owned() };
    let subject = Subject::artifact(&repository(HOME), &image);
    site.place(HOME, &wabbit.sign(subject, content)).await.expect("placed");
    let [statement] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("one referrer") };
    assert_eq!(statement.artifact_type.as_deref(), Some(SCITT_STATEMENT));
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    assert_eq!((claim.claim_type.as_str(), claim.evidence, claim.placements[0].evidence), (SBOM, None, None));
    site.end().await;
}

#[tokio::test]
async fn evidence_that_another_client_attached_is_used_as_it_stands() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    let image_descriptor = Descriptor::of(OCI_IMAGE_MANIFEST, &artifact(LAYER));
    // With an annotation, as `oras attach` writes one: other bytes than ours, the same document.
    let titled = Descriptor {
        annotations: BTreeMap::from([("org.opencontainers.image.title".to_owned(), "sbom.json".to_owned())]),
        ..Descriptor::of(SBOM, DOCUMENT)
    };
    let created = BTreeMap::from([("org.opencontainers.image.created".to_owned(), "2026-11-22T00:00:00Z".to_owned())]);
    let attached = artifact_manifest(SBOM, &[titled], Some(&image_descriptor), &created);
    let attached = site.push_manifest(HOME, attached).await;

    site.place(HOME, &wabbit.sbom(&image, &document)).await.expect("placed");
    let [evidence] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("still one referrer") };
    assert_eq!(evidence.digest, attached);
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    assert_eq!(claim.placements[0].evidence, Some(attached));
    site.end().await;
}

#[tokio::test]
async fn evidence_of_another_document_or_artifact_is_not_taken_for_it() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    let other_image = site.push_artifact(HOME, b"another layer").await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    let other_document = site.push_blob(HOME, b"another document").await;
    for (artifact, document) in [(image, other_document), (other_image, document), (image, document)] {
        site.place(HOME, &wabbit.sbom(&artifact, &document)).await.expect("placed");
    }
    assert_eq!(site.referrers_of(HOME, &image, Some(SBOM)).await.len(), 2);
    assert_eq!(site.referrers_of(HOME, &other_image, Some(SBOM)).await.len(), 1);
    site.end().await;
}

#[tokio::test]
async fn two_issuers_of_one_document_share_its_evidence() {
    let (site, wabbit) = Site::with_issuer().await;
    let acme = Signer::new("acme");
    site.admit(&acme).await.expect("admitted");
    let image = site.push_artifact(HOME, LAYER).await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    // In one batch, where neither sees the evidence of the other.
    let (first, second) = (wabbit.sbom(&image, &document), acme.sbom(&image, &document));
    let (first, second) = tokio::join!(site.place(HOME, &first), site.place(HOME, &second));
    assert_ne!(first.expect("placed").index, second.expect("placed").index);
    let [evidence] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("one referrer") };
    assert_eq!(site.referrers_of(HOME, &evidence.digest, Some(SCITT_STATEMENT)).await.len(), 2);
    site.end().await;
}

#[tokio::test]
async fn claims_are_found_through_every_question() {
    let (site, wabbit) = Site::with_issuer().await;
    let acme = Signer::new("acme");
    site.admit(&acme).await.expect("admitted");
    let image = site.push_artifact(HOME, LAYER).await;
    let document = site.push_blob(HOME, DOCUMENT).await;
    site.pass(5);
    for statement in [wabbit.sbom(&image, &document), acme.note(&image, "tested"), wabbit.remark("stream")] {
        site.log_only(&statement).await.expect("logged");
    }
    let find = async |artifact: Option<Digest>, issuer: Option<&str>, claim_type: Option<&str>| {
        let (issuer, claim_type) = (issuer.map(str::to_owned), claim_type.map(str::to_owned));
        let page = site.ask(ClaimQuery { artifact, issuer, claim_type, ..ClaimQuery::default() }).await;
        assert_eq!((page.tree_size, page.next), (6, None));
        page.claims.into_iter().map(|claim| claim.index).collect::<Vec<_>>()
    };
    let (by_wabbit, by_acme) = (Some("https://wabbit.example"), Some("https://acme.example"));
    assert_eq!(find(Some(image), None, None).await, [3, 4]);
    assert_eq!(find(Some(image), by_wabbit, None).await, [3]);
    assert_eq!(find(Some(image), by_wabbit, Some(NOTE)).await, [0; 0]);
    assert_eq!(find(None, by_wabbit, None).await, [3, 5]);
    assert_eq!(find(None, by_acme, Some(NOTE)).await, [4]);
    assert_eq!(find(None, None, Some(NOTE)).await, [4, 5]);
    assert_eq!(find(None, None, None).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(find(Some(document), None, None).await, [0; 0]);
    site.end().await;
}

#[tokio::test]
async fn pages_keep_to_the_tree_size_of_the_first() {
    let (site, wabbit) = Site::with_issuer().await;
    for n in 0..3 {
        site.log_only(&wabbit.remark(&format!("{n}"))).await.expect("logged");
    }
    let first = site.ask(ClaimQuery { limit: 3, ..ClaimQuery::default() }).await;
    assert_eq!((first.tree_size, first.claims.len(), first.next), (5, 3, Some(3)));
    site.log_only(&wabbit.remark("later")).await.expect("logged");
    let rest = ClaimQuery { from: 3, tree_size: Some(first.tree_size), limit: 3, ..ClaimQuery::default() };
    let second = site.ask(rest).await;
    assert_eq!((second.tree_size, second.claims.len(), second.next), (5, 2, None));
    // A tree size from the future is lowered to what may be spoken of.
    let future = site.ask(ClaimQuery { tree_size: Some(1000), ..ClaimQuery::default() }).await;
    assert_eq!((future.tree_size, future.claims.len()), (6, 6));
    site.end().await;
}

#[tokio::test]
async fn a_claim_is_visible_only_in_the_repository_of_its_place() {
    let (site, wabbit) = Site::with_issuer().await;
    let image = site.push_artifact(HOME, LAYER).await;
    site.push_artifact("acme/net-monitor", LAYER).await;
    site.place(HOME, &wabbit.note(&image, "tested")).await.expect("placed");
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    let statement = claim.placements[0].statement;
    assert!(site.referrers_of("acme/net-monitor", &image, None).await.is_empty());
    let pull = site.permit(Right::Pull, "acme/net-monitor");
    site.manifest(&pull, &Reference::Digest(statement)).await.expect_err("it stands elsewhere");
    let manifest = Manifest::parse(&site.manifest_bytes(HOME, &statement).await, None).expect("a manifest");
    for layer in &manifest.layers {
        site.blob(&pull, &layer.digest).await.expect_err("its layers stand elsewhere");
    }
    site.end().await;
}
