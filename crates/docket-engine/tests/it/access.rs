//! A permit opens the verb it was given for, in the place it was given for, and nothing else.

use std::collections::BTreeMap;

use docket_engine::{
    Account, Caller, ClaimQuery, EngineError, Passwords, Permit, Right, Rule, Rules, RulesDraft, TOKEN_TTL_MIN,
};
use docket_judge::policy::Credential;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::name::Reference;

use crate::signer::Signer;
use crate::site::{HOME, Site, artifact, repository};

/// Tries every verb with a permit; for each, the right it needs and whether the permit was refused as the wrong one.
async fn try_all(site: &Site, permit: &Permit) -> Vec<(&'static str, Right, bool)> {
    fn refused<T>(answer: &Result<T, EngineError>) -> bool {
        matches!(answer, Err(EngineError::Permit(_)))
    }
    let wabbit = Signer::new("nobody");
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    let by_digest = Reference::Digest(absent);
    let tag = Reference::Tag("v1".parse().expect("a tag"));
    let manifest = artifact(b"never pushed");
    let (push, pull) = (site.permit(Right::Push, HOME), site.permit(Right::Pull, HOME));
    let (issuer, key) = (wabbit.issuer.clone(), wabbit.key.public().clone());
    let entry = docket_proof::statement::EntryId::from_bytes([0; 32]);
    let query = ClaimQuery { limit: 1, ..ClaimQuery::default() };
    vec![
        ("blob", Right::Pull, refused(&site.blob(permit, &absent).await)),
        ("blob_size", Right::Pull, refused(&site.blob_size(permit, &absent).await)),
        ("manifest", Right::Pull, refused(&site.manifest(permit, &by_digest).await)),
        ("tags", Right::Pull, refused(&site.tags(permit, "", 1).await)),
        ("referrers", Right::Pull, refused(&site.referrers(permit, &absent, None, None).await)),
        ("mount_blob from", Right::Pull, refused(&site.mount_blob(&push, permit, &absent).await)),
        ("repositories", Right::Pull, refused(&site.repositories(permit, "", 1).await)),
        ("claims", Right::Pull, refused(&site.claims(permit, &query).await)),
        ("receipt", Right::Pull, refused(&site.receipt(permit, &entry).await)),
        ("start_upload", Right::Push, refused(&site.start_upload(permit, Algorithm::Sha256).await)),
        ("open_upload", Right::Push, refused(&site.open_upload(permit, "none"))),
        ("mount_blob_from_any", Right::Push, {
            let caller = Caller::new(Account::Operator);
            refused(&site.mount_blob_from_any(permit, &caller, &absent).await)
        }),
        ("mount_blob to", Right::Push, refused(&site.mount_blob(permit, &pull, &absent).await)),
        (
            "put_manifest",
            Right::Push,
            refused(&site.put_manifest(permit, &tag, None, Vec::new(), manifest.into()).await),
        ),
        ("delete_blob", Right::Delete, refused(&site.delete_blob(permit, &absent).await)),
        ("delete_manifest", Right::Delete, refused(&site.delete_manifest(permit, &tag).await)),
        ("register", Right::Claim, refused(&site.register(permit, &wabbit.remark("by nobody")).await)),
        ("fsck", Right::Admin, refused(&site.fsck(permit).await)),
        ("admit_issuer", Right::Admin, refused(&site.admit_issuer(permit, "", Credential::Key { issuer, key }).await)),
    ]
}

#[tokio::test]
async fn a_permit_for_one_right_opens_no_other_verb() {
    let site = Site::new().await;
    for right in Right::ALL {
        for (verb, needed, refused) in try_all(&site, &site.permit(right, HOME)).await {
            assert_eq!(refused, right != needed, "{verb} with a permit to {right:?}");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn a_permit_for_the_service_opens_no_repository() {
    const WHOLE_SERVICE: [&str; 6] = ["repositories", "claims", "receipt", "register", "fsck", "admit_issuer"];
    let site = Site::new().await;
    for right in Right::ALL {
        for (verb, needed, refused) in try_all(&site, &site.permit_everywhere(right)).await {
            let opens = right == needed && WHOLE_SERVICE.contains(&verb);
            assert_eq!(refused, !opens, "{verb} with a permit to {right:?} everywhere");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn a_permit_for_one_repository_shows_no_other() {
    let site = Site::new().await;
    let image = site.push_artifact(HOME, b"layer").await;
    let layer = Digest::of(Algorithm::Sha256, b"layer");
    site.push_blob("acme/net-monitor", b"something else").await;
    let pull = site.permit(Right::Pull, "acme/net-monitor");
    assert!(matches!(site.blob(&pull, &layer).await, Err(EngineError::BlobUnknown(_))));
    let manifest = site.manifest(&pull, &Reference::Digest(image)).await;
    assert!(matches!(manifest, Err(EngineError::ManifestUnknown(_))), "{manifest:?}");
    // A manifest there cannot name a blob that is here.
    let push = site.permit(Right::Push, "acme/net-monitor");
    let tag = Reference::Tag("v1".parse().expect("a tag"));
    let put = site.put_manifest(&push, &tag, None, Vec::new(), artifact(b"layer").into()).await;
    assert!(matches!(put, Err(EngineError::ManifestBlobUnknown(_))), "{put:?}");
    let absent = site.manifest(&site.permit(Right::Pull, "acme/nowhere"), &tag).await;
    assert!(matches!(absent, Err(EngineError::RepositoryUnknown)), "{absent:?}");
    site.end().await;
}

#[tokio::test]
async fn callers_on_loopback_do_all_but_administer() {
    let site = Site::new().await;
    let place = repository(HOME);
    for right in Right::ALL {
        let decided = site.access().decide(&Caller::new(Account::Loopback), right, Some(&place));
        assert_eq!(decided.is_ok(), right != Right::Admin, "{right:?}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_mount_from_anywhere_looks_only_where_the_caller_may_read() {
    let site = Site::new().await;
    let rule = |repositories: &[&str], allow: &[Right]| Rule {
        who: vec!["alice".to_owned()],
        repositories: repositories.iter().map(|&pattern| pattern.to_owned()).collect(),
        allow: allow.to_vec(),
    };
    let secret = site.push_blob("secret/one", b"shared bytes").await;
    let readable = site.push_blob("readable/two", b"other bytes").await;
    site.push_blob("secret/two", b"other bytes").await;
    let rules = [rule(&["readable/**"], &[Right::Pull]), rule(&["mine"], &[Right::Push])];
    let draft = RulesDraft {
        rules: rules.to_vec(),
        groups: BTreeMap::new(),
        immutable_tags: Vec::new(),
        passwords: Passwords::none(),
        token_ttl: TOKEN_TTL_MIN,
    };
    site.replace_rules(Rules::new(draft).expect("rules")).expect("replaced");
    let alice = Caller::new(Account::Named("alice".parse().expect("a name")));
    let mine = site.access().decide(&alice, Right::Push, Some(&repository("mine"))).expect("allowed");
    let absent = Digest::of(Algorithm::Sha256, b"nowhere");
    let mount = async |digest| site.mount_blob_from_any(&mine, &alice, digest).await.expect("answered");
    // What she may not read answers as what is nowhere.
    assert!(!mount(&secret).await && !mount(&absent).await);
    assert!(mount(&readable).await);
    assert!(mount(&readable).await, "it is there already");
    site.end().await;
}
