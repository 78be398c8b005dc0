//! The same statement again: same entry, same receipt, at most one more placement.

use std::collections::HashSet;

use docket_engine::{ClaimQuery, Right};
use docket_oci::media::SCITT_STATEMENT;
use docket_oci::name::Reference;
use futures_util::future::join_all;

use crate::signer::entry_id;
use crate::site::{HOME, Site};

#[tokio::test]
async fn a_statement_sent_again_gets_the_receipt_it_had() {
    let (site, wabbit) = Site::with_issuer().await;
    let statement = wabbit.remark("once");
    let first = site.log_only(&statement).await.expect("registered");
    assert!(!first.known);
    site.pass(60);
    site.log_only(&wabbit.remark("in between")).await.expect("registered");
    let again = site.log_only(&statement).await.expect("registered again");
    assert!(again.known);
    assert_eq!(docket_engine::Registered { known: false, ..again }, first);
    assert_eq!(site.tree_size(), 4);
    site.end().await;
}

#[tokio::test]
async fn a_statement_that_carries_its_receipt_is_the_same_statement() {
    let (site, wabbit) = Site::with_issuer().await;
    let statement = wabbit.remark("once");
    let first = site.log_only(&statement).await.expect("registered");
    let carrying = docket_proof::statement::transparent(&statement, &[&first.receipt]).expect("transparent");
    let again = site.log_only(&carrying).await.expect("registered again");
    assert_eq!((again.known, again.index, again.receipt), (true, first.index, first.receipt));
    site.end().await;
}

#[tokio::test]
async fn fifty_callers_with_one_statement_share_one_entry() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob(HOME, b"document").await;
    let statement = wabbit.sbom(&artifact, &document);
    let answers = join_all((0..50).map(|_| site.place(HOME, &statement))).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("registered")).collect();
    let distinct: HashSet<_> = answers.iter().map(|answer| (answer.entry_id, answer.index, &answer.receipt)).collect();
    assert_eq!(distinct.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.known).count(), 1);
    assert_eq!(site.tree_size(), 3);
    let claims = site.ask(ClaimQuery { artifact: Some(artifact), ..ClaimQuery::default() }).await.claims;
    assert_eq!((claims.len(), claims[0].placements.len()), (1, 1));
    site.verify(&statement, &answers[0].receipt);
    site.end().await;
}

#[tokio::test]
async fn one_statement_stands_in_every_repository_it_is_placed_in() {
    let (site, wabbit) = Site::with_issuer().await;
    let repositories = [HOME, "acme/net-monitor", "acme/mirror"];
    let mut artifact = None;
    for repository in repositories {
        artifact = Some(site.push_artifact(repository, b"layer").await);
        site.push_blob(repository, b"document").await;
    }
    let artifact = artifact.expect("pushed");
    let document = site.push_blob(HOME, b"document").await;
    let statement = wabbit.sbom(&artifact, &document);

    // Logged without a place, then placed one by one and all at once.
    let first = site.log_only(&statement).await.expect("logged");
    assert!(site.referrers_of(HOME, &artifact, None).await.is_empty());
    let second = site.place(HOME, &statement).await.expect("placed");
    let answers = join_all(repositories.map(|repository| site.place(repository, &statement))).await;
    for answer in answers.into_iter().chain([Ok(second)]) {
        let answer = answer.expect("placed");
        assert_eq!((answer.known, answer.index, answer.receipt), (true, first.index, first.receipt.clone()));
    }
    let claims = site.ask(ClaimQuery { artifact: Some(artifact), ..ClaimQuery::default() }).await.claims;
    let [claim] = claims.as_slice() else { panic!("one claim, not {claims:?}") };
    let mut placed: Vec<_> = claim.placements.iter().map(|placement| placement.repository.as_str()).collect();
    placed.sort_unstable();
    assert_eq!(placed, ["acme/mirror", "acme/net-monitor", HOME]);
    // Nothing in evidence and statement manifest depends on the repository.
    let manifests: HashSet<_> =
        claim.placements.iter().map(|placement| (placement.statement, placement.evidence)).collect();
    assert_eq!(manifests.len(), 1);
    assert_eq!(site.tree_size(), 3);
    site.end().await;
}

#[tokio::test]
async fn a_deleted_statement_manifest_comes_back_with_its_claim() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob(HOME, b"document").await;
    let statement = wabbit.sbom(&artifact, &document);
    let first = site.place(HOME, &statement).await.expect("placed");
    let placement = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim").placements.remove(0);
    let before = site.manifest_bytes(HOME, &placement.statement).await;

    let delete = site.permit(Right::Delete, HOME);
    site.delete_manifest(&delete, &Reference::Digest(placement.statement)).await.expect("deleted");
    let evidence = placement.evidence.expect("it has a document");
    assert!(site.referrers_of(HOME, &evidence, Some(SCITT_STATEMENT)).await.is_empty());
    site.fresh(&entry_id(&statement)).await;

    let again = site.place(HOME, &statement).await.expect("placed again");
    assert_eq!((again.known, again.index, &again.receipt), (true, first.index, &first.receipt));
    assert_eq!(site.manifest_bytes(HOME, &placement.statement).await, before);
    let [listed] = &site.referrers_of(HOME, &evidence, Some(SCITT_STATEMENT)).await[..] else { panic!("one") };
    assert_eq!(listed.digest, placement.statement);
    site.end().await;
}

#[tokio::test]
async fn deleted_evidence_comes_back_with_its_claim() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob(HOME, b"document").await;
    let statement = wabbit.sbom(&artifact, &document);
    site.place(HOME, &statement).await.expect("placed");
    let placement = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim").placements.remove(0);
    let evidence = placement.evidence.expect("it has a document");
    let before = site.manifest_bytes(HOME, &evidence).await;

    let delete = site.permit(Right::Delete, HOME);
    site.delete_manifest(&delete, &Reference::Digest(evidence)).await.expect("deleted");
    assert!(site.referrers_of(HOME, &artifact, None).await.is_empty());
    site.place(HOME, &statement).await.expect("placed again");
    assert_eq!(site.manifest_bytes(HOME, &evidence).await, before);
    site.end().await;
}
