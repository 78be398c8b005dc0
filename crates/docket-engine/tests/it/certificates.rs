//! Issuers that are known by certificate: admitted by entries, judged at the time of the decision, replayed by fsck.

use docket_engine::{ClaimQuery, EngineError, IssuerView, Registered, Right};
use docket_judge::policy::{Credential, Refusal};
use docket_oci::digest::Digest;
use docket_oci::manifest::Manifest;
use docket_proof::certified::CertifiedIssuer;
use docket_proof::key::SigningKey;
use docket_proof::statement::{SignedStatement, StatementError};
use docket_proof::subject::Subject;
use docket_proof::x509::ChainError;
use rcgen::{CertificateParams, SanType, date_time_ymd};

use crate::authority::{Authority, named_statement, pem};
use crate::signer::Signer;
use crate::site::{HOME, Site, repository};

const NAME: &str = "https://wabbit.example/net-monitor";

/// Somebody with a certificate of [`NAME`].
struct Holder {
    root: Authority,
    sub: Authority,
    leaf: Vec<u8>,
    key: SigningKey,
}

impl Holder {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (root, key) = (Authority::root("Root"), SigningKey::generate());
        let sub = root.below("Issuing");
        let leaf = sub.issue(&key, |params| {
            params.subject_alt_names = vec![SanType::URI(NAME.try_into().expect("ASCII"))];
            change(params);
        });
        Self { root, sub, leaf, key }
    }

    async fn admit(&self, site: &Site, name: &str, pattern: &str) -> Result<IssuerView, EngineError> {
        let certified = CertifiedIssuer::parse(&pem(&[self.root.der()]), &[pattern.to_owned()], None);
        let credential = Credential::Certificates(certified.expect("a good issuer"));
        site.admit_issuer(&site.permit_everywhere(Right::Admin), name, credential).await
    }

    /// Says something about an artifact; the chain only comes along.
    fn says(&self, artifact: &Digest) -> Vec<u8> {
        self.says_with(artifact, &[&self.leaf, self.sub.der(), self.root.der()])
    }

    fn says_with(&self, artifact: &Digest, chain: &[&[u8]]) -> Vec<u8> {
        let subject = Subject::artifact(&repository(HOME), artifact);
        named_statement(&self.key, NAME, subject.as_str(), chain)
    }
}

#[tokio::test]
async fn a_policy_sees_the_certificate_and_a_replay_sees_the_same() {
    let (site, holder) =
        (Site::new().await, Holder::new(|params| params.use_authority_key_identifier_extension = true));
    let admitted = holder.admit(&site, "wabbit", "https://wabbit.example/*").await.expect("admitted");
    let rules = format!(
        "package docket.registration\n\nallow if {{\n\tinput.issuer.kind == \"x509\"\n\tinput.issuer.id == \"{NAME}\"\n\
         \tinput.issuer.entry == {}\n\tinput.issuer.certificate.uris == [\"{NAME}\"]\n\
         \tinput.issuer.certificate.root == \"{}\"\n\tinput.issuer.certificate.not_after > input.now\n}}\n",
        admitted.entry,
        docket_proof::x509::Fingerprint::of(holder.root.der()),
    );
    let module = docket_judge::policy::Module { name: "m".to_owned(), text: rules };
    let set = site.set_policy(&site.permit_everywhere(Right::Admin), vec![module]).await.expect("set");
    let image = site.push_artifact(HOME, b"layer").await;
    site.place(HOME, &holder.says(&image)).await.expect("placed");
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    assert_eq!((claim.decided_by.issuer_entry, claim.decided_by.policy_entry), (admitted.entry, set.entry));
    let replay = site.replay_policy(&site.permit_everywhere(Right::Admin)).await.expect("replayed");
    assert_eq!((replay.decided, replay.differences), (1, Vec::new()));
    // The issuer may go, its entry and what it was decided by stay.
    site.remove_issuer(&site.permit_everywhere(Right::Admin), "wabbit").await.expect("removed");
    let replay = site.replay_policy(&site.permit_everywhere(Right::Admin)).await.expect("replayed");
    assert_eq!((replay.decided, replay.differences), (1, Vec::new()));
    site.end().await;
}

fn chain_refusal(answer: Result<Registered, EngineError>) -> ChainError {
    match answer {
        Err(EngineError::Refused(Refusal::Certificate { reason: StatementError::Chain(reason), .. })) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_chain_that_came_along_is_kept_beside_the_entry_and_shown_with_it() {
    let (site, holder) = (Site::new().await, Holder::new(|_| ()));
    let admitted = holder.admit(&site, "wabbit", "https://wabbit.example/*").await.expect("admitted");
    let image = site.push_artifact(HOME, b"layer").await;
    let statement = holder.says(&image);
    let registered = site.place(HOME, &statement).await.expect("placed");
    let decoded = SignedStatement::decode(&statement).expect("well formed");
    site.verify(decoded.entry(), &registered.receipt);
    let claim = site.ask(ClaimQuery::default()).await.claims.pop().expect("a claim");
    assert_eq!((claim.issuer.as_str(), claim.decided_by.issuer_entry), (NAME, admitted.entry));

    // What a reader finds beside the artifact is whole.
    let [placed] = &site.referrers_of(HOME, &image, None).await[..] else { panic!("one referrer") };
    let manifest = Manifest::parse(&site.manifest_bytes(HOME, &placed.digest).await, None).expect("a manifest");
    let shown = SignedStatement::decode(&site.blob_bytes(HOME, &manifest.layers[0].digest).await).expect("a statement");
    assert_eq!((shown.entry(), shown.collateral()), (decoded.entry(), decoded.collateral()));
    assert!(shown.collateral().is_some());

    // Again, with other certificates above the same leaf: the same entry, and what is shown of it stays.
    let shorter = holder.says_with(&image, &[&holder.leaf, holder.sub.der()]);
    let shorter = with_the_signature_of(&statement, &shorter);
    let again = site.place(HOME, &shorter).await.expect("known");
    assert!(again.known);
    assert_eq!(again.receipt, registered.receipt);
    let elsewhere = "wabbit/elsewhere";
    site.push_artifact(elsewhere, b"layer").await;
    site.place(elsewhere, &shorter).await.expect("placed once more");
    let [other] = &site.referrers_of(elsewhere, &image, None).await[..] else { panic!("one referrer") };
    assert_eq!(other.digest, placed.digest);
    site.end().await;
}

#[tokio::test]
async fn certificates_are_judged_when_they_are_used_and_stay_good_for_what_they_signed() {
    let site = Site::new().await;
    let holder = Holder::new(|params| {
        params.not_before = date_time_ymd(2023, 11, 14);
        params.not_after = date_time_ymd(2023, 11, 15);
    });
    holder.admit(&site, "wabbit", NAME).await.expect("admitted");
    let image = site.push_artifact(HOME, b"layer").await;
    let statement = holder.says(&image);
    let registered = site.log_only(&statement).await.expect("valid now");
    site.pass(7 * 24 * 3600);
    let later = holder.says(&site.push_artifact(HOME, b"another layer").await);
    let refused = chain_refusal(site.log_only(&later).await);
    assert!(matches!(refused, ChainError::Expired { position: 0, .. }), "{refused:?}");
    // What was registered stands, proves, and is replayed with the time it was decided at.
    let id = SignedStatement::decode(&statement).expect("well formed").entry_id();
    let fresh = site.fresh(&id).await;
    assert_eq!(
        site.verify(SignedStatement::decode(&statement).expect("well formed").entry(), &fresh).index(),
        registered.index
    );
    site.end().await;
}

#[tokio::test]
async fn what_cannot_be_followed_to_its_root_is_refused_and_changes_nothing() {
    let (site, holder, stranger) = (Site::new().await, Holder::new(|_| ()), Holder::new(|_| ()));
    let image = site.push_artifact(HOME, b"layer").await;
    let nobody = site.log_only(&holder.says(&image)).await;
    assert!(matches!(nobody, Err(EngineError::Refused(Refusal::UnknownHolder { .. }))), "{nobody:?}");
    holder.admit(&site, "wabbit", "https://wabbit.example/*").await.expect("admitted");
    let state = site.state().await;
    for chain in [
        vec![&*holder.leaf],
        vec![&*holder.leaf, stranger.sub.der(), stranger.root.der()],
        vec![&*holder.leaf, holder.root.der()],
    ] {
        // One certificate alone is a byte string (RFC 9360), an array of one is no chain.
        let refused = site.log_only(&holder.says_with(&image, &chain)).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let refused = chain_refusal(site.log_only(&stranger.says(&image)).await);
    assert!(matches!(refused, ChainError::NoPath { .. }), "{refused:?}");
    let decoded = SignedStatement::decode(&holder.says(&image)).expect("well formed");
    assert_eq!(chain_refusal(site.log_only(decoded.entry()).await), ChainError::Missing);
    assert_eq!(site.state().await, state);
    site.end().await;
}

#[tokio::test]
async fn of_two_issuers_for_one_name_the_second_is_refused() {
    let (site, holder, other) = (Site::new().await, Holder::new(|_| ()), Holder::new(|_| ()));
    let first = holder.admit(&site, "wabbit", "https://wabbit.example/*").await.expect("admitted");
    let again = holder.admit(&site, "wabbit", "https://wabbit.example/*").await.expect("the same again");
    assert_eq!((again.entry, site.tree_size()), (first.entry, 2));
    let bare = Signer { issuer: NAME.parse().expect("a URI"), ..Signer::new("bare") };
    let state = site.state().await;
    for refused in [
        other.admit(&site, "other", NAME).await,
        other.admit(&site, "wabbit", "https://acme.example/*").await,
        site.admit(&bare).await,
        holder.admit(&site, "service", "https://registry.wabbit.example").await,
        holder.admit(&site, "service", "https://*").await,
    ] {
        let expected = matches!(refused, Err(EngineError::IssuerExists(_) | EngineError::IssuerIsService(_)));
        assert!(expected, "{refused:?}");
    }
    assert_eq!(site.state().await, state);
    site.remove_issuer(&site.permit_everywhere(Right::Admin), "wabbit").await.expect("removed");
    let image = site.push_artifact(HOME, b"layer").await;
    let refused = site.log_only(&holder.says(&image)).await;
    assert!(matches!(refused, Err(EngineError::Refused(Refusal::UnknownHolder { .. }))), "{refused:?}");
    site.admit(&bare).await.expect("the name is free");
    site.end().await;
}

/// `other` with the signature of `one`, which is over the same protected bytes: the same entry with another chain beside it.
fn with_the_signature_of(one: &[u8], other: &[u8]) -> Vec<u8> {
    let signature = &one[one.len() - 64..];
    [&other[..other.len() - 64], signature].concat()
}
