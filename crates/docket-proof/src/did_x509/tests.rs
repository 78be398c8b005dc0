use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, SanType};

use super::*;
use crate::authority::{Authority, oidc_issuer};
use crate::testkeys;
use crate::x509::Roots;

const NOW: i64 = 1_700_000_000;
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const WORKFLOW: &str = "https://github.com/wabbit/net-monitor/.github/workflows/release.yml@refs/heads/main";

/// Checks that the leaf of a new hierarchy, changed so, may speak as `issuer`, in which `{ca}` stands for the root's
/// fingerprint, `{sub}` and `{leaf}` for the others'.
fn check(change: impl FnOnce(&mut CertificateParams), issuer: &str) -> Result<NameKind, NameError> {
    let root = Authority::root("Root");
    let sub = root.below("Issuing");
    let leaf = sub.issue(&testkeys::issuer(), change);
    let chain = Chain::new(&[&leaf, sub.der(), root.der()]).expect("certificates");
    let roots = Roots::new(&[root.der()]).expect("a root");
    let valid = chain.validate(&roots, NOW, None).expect("valid");
    let print = |der: &[u8]| Fingerprint::of(der).to_did();
    let issuer = issuer.replace("{ca}", &print(root.der())).replace("{sub}", &print(sub.der()));
    let issuer = issuer.replace("{leaf}", &print(&leaf));
    check_name(&valid, &issuer.parse().expect("a URI"))
}

fn sans(params: &mut CertificateParams) {
    params.subject_alt_names = vec![
        SanType::Rfc822Name("build+ci@wabbit.example".try_into().expect("ASCII")),
        SanType::DnsName("build.wabbit.example".try_into().expect("ASCII")),
        SanType::URI(WORKFLOW.try_into().expect("ASCII")),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.distinguished_name.push(DnType::from_oid(&[2, 5, 4, 5]), "4711");
}

fn fulcio(params: &mut CertificateParams) {
    sans(params);
    params.custom_extensions = vec![oidc_issuer(GITHUB)];
}

const WORKFLOW_ENCODED: &str =
    "https%3A%2F%2Fgithub.com%2Fwabbit%2Fnet-monitor%2F.github%2Fworkflows%2Frelease.yml%40refs%2Fheads%2Fmain";

#[test]
fn a_leaf_that_fulfils_every_policy_is_the_identity() {
    for policies in [
        "subject:CN:net-monitor",
        "subject:O:Wabbit%20Networks:CN:net-monitor",
        "subject:CN:net-monitor:O:Wabbit%20Networks",
        "subject:2.5.4.5:4711",
        "san:email:build%2Bci%40wabbit.example",
        "san:dns:build.wabbit.example",
        &format!("san:uri:{WORKFLOW_ENCODED}"),
        "eku:1.3.6.1.5.5.7.3.3",
        "subject:CN:net-monitor::san:dns:build.wabbit.example::eku:1.3.6.1.5.5.7.3.3",
    ] {
        for authority in ["{ca}", "{sub}"] {
            let issuer = format!("did:x509:0:{authority}::{policies}");
            assert_eq!(check(sans, &issuer), Ok(NameKind::DidX509), "{issuer}");
        }
    }
    assert_eq!(check(sans, WORKFLOW), Ok(NameKind::Uri));
}

#[test]
fn one_policy_that_is_not_fulfilled_is_enough_to_refuse() {
    for (policies, unfulfilled) in [
        ("subject:CN:Net-Monitor", "subject:CN:Net-Monitor"),
        ("subject:CN:net-monito", "subject:CN:net-monito"),
        ("subject:CN:net-monitor:ST:Washington", "subject:CN:net-monitor:ST:Washington"),
        ("subject:CN:net-monitor::san:dns:wabbit.example", "san:dns:wabbit.example"),
        ("san:dns:BUILD.wabbit.example", "san:dns:BUILD.wabbit.example"),
        ("san:email:build.wabbit.example", "san:email:build.wabbit.example"),
        ("san:uri:https%3A%2F%2Fgithub.com%2Fwabbit", "san:uri:https%3A%2F%2Fgithub.com%2Fwabbit"),
        ("eku:1.3.6.1.5.5.7.3.1", "eku:1.3.6.1.5.5.7.3.1"),
        ("fulcio-issuer:token.actions.githubusercontent.com", "fulcio-issuer:token.actions.githubusercontent.com"),
    ] {
        let refused = NameError::Did(DidError::Unfulfilled { policy: unfulfilled.to_owned() });
        assert_eq!(check(sans, &format!("did:x509:0:{{ca}}::{policies}")), Err(refused));
    }
    // Which of two common names is meant, nobody said.
    let twice =
        |params: &mut CertificateParams| params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "x");
    let refused = check(twice, "did:x509:0:{ca}::subject:CN:net-monitor");
    assert!(matches!(refused, Err(NameError::Did(DidError::Unfulfilled { .. }))), "{refused:?}");
}

#[test]
fn the_authority_is_above_the_leaf_and_in_the_chain() {
    let refused = Err(NameError::Did(DidError::OtherAuthority));
    assert_eq!(check(sans, "did:x509:0:{leaf}::subject:CN:net-monitor"), refused);
    let nobody = Fingerprint::of(b"nobody").to_did();
    assert_eq!(check(sans, &format!("did:x509:0:{nobody}::subject:CN:net-monitor")), refused);

    // The root is configured, but the chain does not hold it: whoever reads the chain elsewhere could not resolve it.
    let root = Authority::root("Root");
    let leaf = root.issue(&testkeys::issuer(), |_| ());
    let chain = Chain::new(&[&leaf]).expect("a certificate");
    let roots = Roots::new(&[root.der()]).expect("a root");
    let valid = chain.validate(&roots, NOW, None).expect("valid");
    let did = format!("did:x509:0:{}::subject:CN:net-monitor", Fingerprint::of(root.der()).to_did());
    assert_eq!(check_name(&valid, &did.parse().expect("a URI")), refused);
}

#[test]
fn fulcio_holders_go_by_their_name_and_by_who_vouched() {
    let vouched = "fulcio-issuer:token.actions.githubusercontent.com";
    let issuer = format!("did:x509:0:{{ca}}::{vouched}::san:uri:{WORKFLOW_ENCODED}");
    assert_eq!(check(fulcio, &issuer), Ok(NameKind::Fulcio));
    let unbound = Err(NameError::Did(DidError::FulcioUnbound { oidc_issuer: GITHUB.to_owned() }));
    for issuer in [
        WORKFLOW.to_owned(),
        "urn:example:somebody".to_owned(),
        format!("did:x509:0:{{ca}}::{vouched}"),
        format!("did:x509:0:{{ca}}::san:uri:{WORKFLOW_ENCODED}"),
        "did:x509:0:{ca}::subject:CN:net-monitor".to_owned(),
        format!("did:x509:0:{{ca}}::{vouched}::subject:CN:net-monitor"),
    ] {
        assert_eq!(check(fulcio, &issuer), unbound, "{issuer}");
    }
    let other = format!("did:x509:0:{{ca}}::fulcio-issuer:accounts.google.com::san:uri:{WORKFLOW_ENCODED}");
    assert!(matches!(check(fulcio, &other), Err(NameError::Did(DidError::Unfulfilled { .. }))));
}

#[test]
fn another_uri_is_not_the_leafs() {
    for issuer in [
        &WORKFLOW.to_uppercase(),
        &WORKFLOW.replace("https", "HTTPS"),
        &WORKFLOW.replace("github.com", "GitHub.com"),
        &WORKFLOW.replace("net-monitor", "net%2Dmonitor"),
        &format!("{WORKFLOW}/"),
        &WORKFLOW[..WORKFLOW.len() - 1],
        "urn:example:wabbit",
    ] {
        let refused = NameError::NotItsUri { issuer: issuer.parse().expect("a URI") };
        assert_eq!(check(sans, issuer), Err(refused));
    }
}

#[test]
fn one_identity_has_one_spelling() {
    let print = Fingerprint::of(b"authority").to_did();
    let parse = |policies: &str| DidX509::parse(&format!("did:x509:0:{print}::{policies}"));
    assert!(parse("subject:CN:a%7Eb").is_ok());
    for (policies, value) in [
        ("subject:CN:a~b", "a~b"),
        ("subject:CN:a%7eb", "a%7eb"),
        ("subject:CN:%61b", "%61b"),
        ("subject:CN:a%2Db", "a%2Db"),
        ("subject:CN:a%", "a%"),
        ("subject:CN:a%4", "a%4"),
        ("subject:CN:a%zz", "a%zz"),
        ("subject:CN:%FF", "%FF"),
        ("subject:CN:", ""),
        ("subject:CN:a b", "a b"),
        ("subject:CN:\u{e9}", "\u{e9}"),
        ("san:uri:https%3A//a.example", "https%3A//a.example"),
        ("san:email:a@b.example", "a@b.example"),
        ("fulcio-issuer:a/b", "a/b"),
    ] {
        assert_eq!(parse(policies), Err(DidError::Spelling { value: value.to_owned() }), "{policies}");
    }
    for attribute in ["CN:a:CN", "2.5.4.3", "cn", "2.5.04.5", "DC"] {
        let refused = parse(&format!("subject:{attribute}:b"));
        assert!(matches!(refused, Err(DidError::Attribute { .. })), "{attribute}: {refused:?}");
    }
}

#[test]
fn what_is_no_did_x509_says_why() {
    let print = Fingerprint::of(b"authority").to_did();
    let hash = &print["sha256:".len()..];
    for (text, expected) in [
        ("did:x509:0".to_owned(), DidError::Form),
        (format!("did:x509:1:{print}::eku:1.2"), DidError::Form),
        (format!("did:x509:0:{hash}::eku:1.2"), DidError::Form),
        (format!("did:x509:0:{print}"), DidError::Form),
        (format!("DID:X509:0:{print}::eku:1.2"), DidError::Form),
        (format!("did:x509:0:sha1:{hash}::eku:1.2"), DidError::Fingerprint),
        (format!("did:x509:0:SHA256:{hash}::eku:1.2"), DidError::Fingerprint),
        (format!("did:x509:0:sha384:{hash}::eku:1.2"), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{}::eku:1.2", &hash[1..]), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{hash}=::eku:1.2"), DidError::Fingerprint),
        (format!("did:x509:0:{print}::"), DidError::Policy { policy: String::new() }),
        (format!("did:x509:0:{print}::eku:1.2::"), DidError::Policy { policy: String::new() }),
        (format!("did:x509:0:{print}::eku:1"), DidError::Policy { policy: "eku:1".to_owned() }),
        (format!("did:x509:0:{print}::eku:1.02"), DidError::Policy { policy: "eku:1.02".to_owned() }),
        (format!("did:x509:0:{print}::eku:1.2:3"), DidError::Policy { policy: "eku:1.2:3".to_owned() }),
        (format!("did:x509:0:{print}::san:ip:a"), DidError::Policy { policy: "san:ip:a".to_owned() }),
        (format!("did:x509:0:{print}::san:dns"), DidError::Policy { policy: "san:dns".to_owned() }),
        (format!("did:x509:0:{print}::subject:CN"), DidError::Policy { policy: "subject:CN".to_owned() }),
        (format!("did:x509:0:{print}::subject:CN:a:O"), DidError::Policy { policy: "subject:CN:a:O".to_owned() }),
        (format!("did:x509:0:{print}::issuer:a"), DidError::Policy { policy: "issuer:a".to_owned() }),
        (
            format!("did:x509:0:{print}{}", "::eku:1.2".repeat(POLICIES_MAX + 1)),
            DidError::TooMany { found: POLICIES_MAX + 1 },
        ),
    ] {
        assert_eq!(DidX509::parse(&text), Err(expected), "{text}");
    }
    assert!(DidX509::parse(&format!("did:x509:0:{print}{}", "::eku:1.2".repeat(POLICIES_MAX))).is_ok());
}

#[test]
fn each_candidate_is_resolved_by_its_chain() {
    for change in [sans, fulcio, |_: &mut CertificateParams| ()] {
        let root = Authority::root("Root");
        let leaf = root.issue(&testkeys::issuer(), change);
        let chain = Chain::new(&[&leaf, root.der()]).expect("certificates");
        let roots = Roots::new(&[root.der()]).expect("a root");
        let valid = chain.validate(&roots, NOW, None).expect("valid");
        let candidates = DidX509::candidates(&chain);
        assert!(!candidates.is_empty());
        for candidate in candidates {
            assert!(check_name(&valid, &candidate).is_ok(), "{candidate}");
        }
    }
    let root = Authority::root("Root");
    let leaf = root.issue(&testkeys::issuer(), sans);
    assert_eq!(DidX509::candidates(&Chain::new(&[&leaf]).expect("a certificate")), []);
}
