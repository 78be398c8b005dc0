//! Statements that are refused: each says why, and nothing is changed by any of them.

use docket_engine::{EngineError, GENESIS_TYPE, OWN_TYP, PlaceError, Right};
use docket_judge::policy::Refusal;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::Reference;
use docket_proof::key::Issuer;
use docket_proof::statement::{Content, Draft, MAX_ENTRY_BYTES, MAX_STATEMENT_BYTES, StatementError};
use docket_proof::subject::Subject;

use crate::signer::{NOTE, Signer};
use crate::site::{HOME, Site};

macro_rules! refused {
    ($answer:expr, $($expected:tt)+) => {{
        let failure = $answer.expect_err("it must be refused");
        assert!(matches!(&failure, $($expected)+), "{failure:?}");
    }};
}

#[tokio::test]
async fn a_statement_that_policy_refuses_changes_nothing() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob(HOME, b"document").await;
    let state = site.state().await;
    for place in [Some(HOME), None] {
        let register = async |statement: &[u8]| match place {
            Some(repository) => site.place(repository, statement).await,
            None => site.log_only(statement).await,
        };
        let stranger = Signer::new("stranger").sbom(&artifact, &document);
        refused!(register(&stranger).await, EngineError::Refused(Refusal::UnknownIssuer { .. }));

        let renamed = Signer { issuer: "https://acme.example".parse().expect("a URI"), ..wabbit.clone() };
        let mismatch = renamed.sbom(&artifact, &document);
        refused!(register(&mismatch).await, EngineError::Refused(Refusal::IssuerMismatch { .. }));

        let mut forged = wabbit.sbom(&artifact, &document);
        *forged.last_mut().expect("a signature") ^= 1;
        refused!(register(&forged).await, EngineError::Refused(Refusal::BadSignature { .. }));
    }
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn nobody_speaks_in_the_name_of_the_service() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let closed = site.close().await;
    let key = std::fs::read_to_string(closed.path().join("keys/statement.key")).expect("the statement key");
    let key = docket_proof::key::KeyFile::parse(&key).expect("a key file").key;
    let site = closed.open().await;
    let state = site.state().await;
    let service = site.service().clone();
    let content = || Content::Payload { media_type: GENESIS_TYPE.to_owned(), bytes: b"{}".to_vec() };
    let subject = Subject::artifact(&HOME.parse().expect("a name"), &artifact);
    let draft = |issuer: &Issuer, typ: Option<&str>| Draft {
        issuer: issuer.clone(),
        subject: subject.clone(),
        issued_at: None,
        content: content(),
        typ: typ.map(str::to_owned),
    };
    let spelled = OWN_TYP.to_uppercase() + "; v=1";
    for (draft, key) in [
        // By the name alone, by the type alone however it is spelled, and with the very key: it is not on the ledger.
        (draft(&service, None), &wabbit.key),
        (draft(&wabbit.issuer, Some(OWN_TYP)), &wabbit.key),
        (draft(&wabbit.issuer, Some(&spelled)), &wabbit.key),
        (draft(&service, Some(OWN_TYP)), &key),
    ] {
        let forged = draft.sign(key).expect("a good draft");
        refused!(site.log_only(&forged).await, EngineError::OwnStatement);
        refused!(site.place(HOME, &forged).await, EngineError::OwnStatement);
    }
    let impostor = Signer { issuer: service, ..Signer::new("impostor") };
    refused!(site.admit(&impostor).await, EngineError::IssuerIsService(_));
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn an_own_statement_sent_back_is_known() {
    let (site, _) = Site::with_issuer().await;
    let closed = site.close().await;
    let entries = crate::rows::Rows::open(&closed.path()).await.entries().await;
    let site = closed.open().await;
    let state = site.state().await;
    // The genesis has no receipt of its own.
    for (index, entry) in (1..).zip(&entries[1..]) {
        let again = site.log_only(entry).await.expect("it stands in the ledger");
        assert_eq!((again.index, again.known), (index, true));
    }
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn a_statement_that_contradicts_its_place_changes_nothing() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let document = site.push_blob("acme/elsewhere", b"document").await;
    let state = site.state().await;

    let about_a_stream = wabbit.remark("a stream has no digest");
    refused!(
        site.place(HOME, &about_a_stream).await,
        EngineError::Place(PlaceError::NoArtifact(subject)) if subject == "pkg:oci/net-monitor"
    );
    let elsewhere = wabbit.note(&artifact, "the artifact is in another repository");
    for repository in ["acme/elsewhere", "acme/nowhere"] {
        refused!(
            site.place(repository, &elsewhere).await,
            EngineError::Place(PlaceError::ArtifactElsewhere(named)) if *named == artifact
        );
    }
    // The document stands, but in a repository that this place must not see.
    refused!(
        site.place(HOME, &wabbit.sbom(&artifact, &document)).await,
        EngineError::Place(PlaceError::DocumentMissing(named)) if *named == document
    );
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_statement_change_nothing() {
    let (site, wabbit) = Site::with_issuer().await;
    let state = site.state().await;
    let good = wabbit.remark("good");
    let mut trailing = good.clone();
    trailing.push(0);
    for bad in [b"".as_slice(), b"not cbor", &good[..good.len() - 1], &trailing] {
        refused!(site.log_only(bad).await, EngineError::Statement(_));
    }
    let oversized = vec![0; MAX_STATEMENT_BYTES + 1];
    refused!(site.log_only(&oversized).await, EngineError::Statement(StatementError::TooLarge { .. }));
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn an_entry_may_fill_the_limit_and_no_more() {
    let (site, wabbit) = Site::with_issuer().await;
    let subject = Subject::parse("urn:example:large").expect("a subject");
    let content = |bytes: usize| Content::Payload { media_type: NOTE.to_owned(), bytes: vec![b'x'; bytes] };
    let overhead = wabbit.sign(subject.clone(), content(60_000)).len() - 60_000;
    let largest = MAX_ENTRY_BYTES - overhead;
    let statement = wabbit.sign(subject, content(largest));
    assert_eq!(statement.len(), MAX_ENTRY_BYTES);
    let registered = site.log_only(&statement).await.expect("registered");
    site.verify(&statement, &registered.receipt);
    // One byte more cannot be signed with our own means; docket-proof tests that it is not decoded either.
    site.end().await;
}

#[tokio::test]
async fn an_artifact_deleted_before_its_claim_is_placed_refuses_it() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let statement = wabbit.note(&artifact, "too late");
    let delete = site.permit(Right::Delete, HOME);
    let reference = Reference::Digest(artifact);
    site.delete_manifest(&delete, &reference).await.expect("deleted");
    refused!(site.place(HOME, &statement).await, EngineError::Place(PlaceError::ArtifactElsewhere(_)));
    assert_eq!(site.tree_size(), 3, "genesis, issuer, and that it was deleted");
    site.end().await;
}

#[tokio::test]
async fn an_operator_cannot_admit_what_is_taken_or_misnamed() {
    let (site, wabbit) = Site::with_issuer().await;
    let state = site.state().await;
    let again = site.admit(&wabbit).await.expect("the same again is no error");
    assert_eq!((again.entry, site.tree_size()), (1, 2));
    let same_name = Signer { name: "wabbit".to_owned(), ..Signer::new("acme") };
    let same_key = Signer { name: "other".to_owned(), ..wabbit.clone() };
    let other_issuer = Signer { issuer: "https://acme.example".parse().expect("a URI"), ..wabbit };
    for taken in [same_name, same_key, other_issuer] {
        refused!(site.admit(&taken).await, EngineError::IssuerExists(name) if name == "wabbit");
    }
    for name in ["", "Wabbit", "a b", "a/b", "ä", &"a".repeat(65)] {
        let misnamed = Signer { name: name.to_owned(), ..Signer::new("acme") };
        refused!(site.admit(&misnamed).await, EngineError::IssuerName(_));
    }
    assert_eq!(site.state().await, state);
    let longest = Signer { name: "a".repeat(64), ..Signer::new("acme") };
    site.admit(&longest).await.expect("64 characters are a name");
    site.end().await;
}

#[tokio::test]
async fn a_manifest_pushed_under_another_digest_is_refused() {
    let site = Site::new().await;
    site.push_artifact(HOME, b"layer").await;
    let state = site.state().await;
    let wrong = Reference::Digest(Digest::of(Algorithm::Sha256, b"other bytes"));
    let push = site.permit(Right::Push, HOME);
    let bytes = crate::site::artifact(b"layer");
    refused!(
        site.put_manifest(&push, &wrong, None, Vec::new(), bytes.into()).await,
        EngineError::DigestMismatch { .. }
    );
    let lacking = crate::site::artifact(b"never pushed");
    let tag = Reference::Tag("v1".parse().expect("a tag"));
    refused!(
        site.put_manifest(&push, &tag, None, Vec::new(), lacking.into()).await,
        EngineError::ManifestBlobUnknown(missing) if *missing == [Digest::of(Algorithm::Sha256, b"never pushed")]
    );
    refused!(
        site.delete_blob(&site.permit(Right::Delete, HOME), &Digest::sha256([1; 32])).await,
        EngineError::BlobUnknown(_)
    );
    assert_eq!(site.state().await, state);
    site.end().await;
}
