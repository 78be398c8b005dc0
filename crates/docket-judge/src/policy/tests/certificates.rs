//! Issuers that are known by certificate: who may speak as whom, and that nobody can be taken for another.

use docket_proof::certified::CertifiedIssuer;
use docket_proof::did_x509::DidX509;
use docket_proof::statement::StatementError;
use docket_proof::x509::{Chain, ChainError, Fingerprint};
use rcgen::{CertificateParams, SanType, date_time_ymd};

use super::*;
use crate::authority::{Authority, oidc_issuer, pem};
use crate::identity::IdentityKind;

const NAME: &str = "https://wabbit.example/net-monitor";

/// Somebody below a root, with a certificate for a key.
struct Holder {
    root: Authority,
    key: SigningKey,
    chain: Chain,
}

impl Holder {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::below(Authority::root("Root"), wabbit(), change)
    }

    fn below(root: Authority, key: SigningKey, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let sub = root.below("Issuing");
        let leaf = sub.issue(&key, |params| {
            params.subject_alt_names = vec![SanType::URI(NAME.try_into().expect("ASCII"))];
            change(params);
        });
        let chain = Chain::new(&[&leaf, sub.der(), root.der()]).expect("certificates");
        Self { root, key, chain }
    }

    fn credential(&self, patterns: &[&str]) -> Credential {
        let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let certified = CertifiedIssuer::parse(&pem(&[self.root.der()]), &patterns, None);
        Credential::Certificates(certified.expect("a good issuer"))
    }

    fn did(&self, policies: &str) -> String {
        format!("did:x509:0:{}::{policies}", Fingerprint::of(self.root.der()).to_did())
    }

    fn says(&self, issuer: &str) -> SignedStatement {
        let draft = Draft { issuer: issuer.parse().expect("a URI"), ..envelope(b"document") };
        let bytes = draft.sign_by_certificate(&self.key, &self.chain).expect("a good draft");
        SignedStatement::decode(&bytes).expect("our own statement")
    }
}

fn policy_of(issuers: impl IntoIterator<Item = (&'static str, Credential)>) -> Policy {
    let mut policy = Policy::new();
    for (entry, (name, credential)) in (1..).zip(issuers) {
        assert_eq!(policy.conflict(name, &credential), None, "{name}");
        policy.admit(AdmittedIssuer { name: name.to_owned(), credential, entry });
    }
    policy
}

fn refusal(policy: &Policy, statement: SignedStatement) -> Refusal {
    policy.decide(statement, &[], NOW).expect_err("somebody else")
}

#[test]
fn a_holder_speaks_by_uri_and_by_did_within_the_patterns() {
    let holder = Holder::new(|_| ());
    let did = holder.did("subject:CN:net-monitor");
    let prefix = holder.did("*");
    let policy = policy_of([("wabbit", holder.credential(&["https://wabbit.example/*", &prefix]))]);
    for (issuer, kind) in [(NAME, IdentityKind::X509), (&did, IdentityKind::DidX509)] {
        let decision = policy.decide(holder.says(issuer), &[], NOW).expect("admitted");
        assert_eq!((decision.identity.issuer.as_str(), decision.identity.kind), (issuer, kind));
        assert_eq!(decision.basis.issuer_entry, 1);
        let certificate = decision.identity.certificate.expect("facts");
        assert_eq!(certificate.root, Fingerprint::of(holder.root.der()).to_string());
        assert_eq!(certificate.facts.uris, [NAME]);
    }

    // The certificate answers for it, but nobody admitted the root for it.
    let narrow = policy_of([("wabbit", holder.credential(&["https://wabbit.example/other"]))]);
    let refused = Refusal::UnknownHolder { issuer: NAME.parse().expect("a URI") };
    assert_eq!(refusal(&narrow, holder.says(NAME)), refused);
    assert_eq!(refusal(&Policy::new(), holder.says(NAME)), refused);
    // The root is admitted for it, but the certificate does not answer for it.
    let other = refusal(&policy, holder.says("https://wabbit.example/other"));
    assert!(matches!(other, Refusal::Certificate { reason: StatementError::Name(_), .. }), "{other:?}");
}

#[test]
fn the_same_name_under_another_root_is_somebody_else() {
    let (real, fake) = (Holder::new(|_| ()), Holder::new(|_| ()));
    let policy = policy_of([
        ("real", real.credential(&["https://wabbit.example/*"])),
        ("fake", fake.credential(&["https://fake.example/*"])),
    ]);
    let refused = refusal(&policy, fake.says(NAME));
    assert!(matches!(&refused, Refusal::Certificate { name, .. } if name == "real"), "{refused:?}");
    assert!(policy.decide(real.says(NAME), &[], NOW).is_ok());
    // A did:x509 that names one root, by a chain to the other.
    let policy = policy_of([("real", real.credential(&["did:x509:0:*"]))]);
    assert!(policy.decide(real.says(&real.did("subject:CN:net-monitor")), &[], NOW).is_ok());
    let refused = refusal(&policy, fake.says(&fake.did("subject:CN:net-monitor")));
    assert!(matches!(refused, Refusal::Certificate { reason: StatementError::Chain(_), .. }), "{refused:?}");
    let refused = refusal(&policy, real.says(&fake.did("subject:CN:net-monitor")));
    assert!(matches!(refused, Refusal::Certificate { reason: StatementError::Name(_), .. }), "{refused:?}");
}

#[test]
fn a_key_in_two_chains_and_on_its_own_is_three_identities() {
    let one = Holder::new(|_| ());
    let two = Holder::below(Authority::root("Other"), wabbit(), |_| ());
    let (did_one, did_two) = (one.did("subject:CN:net-monitor"), two.did("subject:CN:net-monitor"));
    let policy = policy_of([
        ("one", one.credential(&[&one.did("*")])),
        ("two", two.credential(&[&two.did("*")])),
        ("bare", key(wabbit_name(), &wabbit())),
    ]);
    let names = [one.says(&did_one), two.says(&did_two), statement()].map(|statement| {
        let identity = policy.decide(statement, &[], NOW).expect("admitted").identity;
        (identity.name, identity.issuer.to_string())
    });
    let expected = [("one", did_one.clone()), ("two", did_two.clone()), ("bare", wabbit_name().to_string())];
    assert_eq!(names, expected.map(|(name, issuer)| (name.to_owned(), issuer)));
    // Each chain with the name of the other, and of the bare key.
    for (holder, issuer) in [(&one, did_two.as_str()), (&two, &did_one), (&one, wabbit_name().as_str())] {
        refusal(&policy, holder.says(issuer));
    }
    // The bare key with the name of a chain.
    let draft = Draft { issuer: did_one.parse().expect("a URI"), ..envelope(b"document") };
    let statement = SignedStatement::decode(&draft.sign(&wabbit()).expect("a good draft")).expect("well formed");
    assert!(matches!(refusal(&policy, statement), Refusal::IssuerMismatch { .. }));
}

#[test]
fn nobody_is_admitted_who_could_be_taken_for_another() {
    let holder = Holder::new(|_| ());
    let other = Holder::new(|_| ());
    let policy = policy_of([
        ("roots", holder.credential(&["https://wabbit.example/*", &holder.did("*")])),
        ("bare", key("https://acme.example/bare".parse().expect("a URI"), &service())),
    ]);
    let wabbit_uri = |text: &str| key(text.parse().expect("a URI"), &wabbit());
    for (name, credential, expected) in [
        ("new", other.credential(&["https://wabbit.example/net-monitor"]), Some("roots")),
        ("new", other.credential(&["https://*"]), Some("bare")),
        ("new", other.credential(&["urn:example:a", "https://wabbit.example/a/*"]), Some("roots")),
        ("new", other.credential(&["https://acme.example/*"]), Some("bare")),
        ("new", wabbit_uri("https://wabbit.example/a"), Some("roots")),
        ("new", wabbit_uri(&holder.did("subject:CN:net-monitor")), Some("roots")),
        ("new", key("urn:example:a".parse().expect("a URI"), &service()), Some("bare")),
        ("roots", other.credential(&["urn:example:a"]), Some("roots")),
        ("new", wabbit_uri("https://acme.example/bare"), None),
        ("new", wabbit_uri("https://wabbit.example"), None),
        ("new", other.credential(&["https://wabbit.example", &other.did("*")]), None),
    ] {
        let conflict = policy.conflict(name, &credential).map(|known| known.name.as_str());
        assert_eq!(conflict, expected, "{credential:?}");
    }
}

#[test]
fn a_removed_issuer_is_nobody() {
    let holder = Holder::new(|_| ());
    let mut policy = policy_of([("wabbit", holder.credential(&["https://wabbit.example/*"]))]);
    assert!(policy.remove("wabbit").is_some());
    assert!(matches!(refusal(&policy, holder.says(NAME)), Refusal::UnknownHolder { .. }));
    policy.admit(AdmittedIssuer { name: "again".to_owned(), credential: holder.credential(&[NAME]), entry: 9 });
    assert_eq!(policy.decide(holder.says(NAME), &[], NOW).map(|decision| decision.basis.issuer_entry), Ok(9));
}

#[test]
fn the_time_of_the_decision_counts_and_the_same_time_decides_the_same_again() {
    let holder = Holder::new(|params| {
        params.not_before = date_time_ymd(2023, 11, 14);
        params.not_after = date_time_ymd(2023, 11, 15);
    });
    let policy = policy_of([("wabbit", holder.credential(&[NAME]))]);
    let first = policy.decide(holder.says(NAME), &[], NOW).expect("valid now");
    let again = policy.decide(holder.says(NAME), &[], first.basis.decided_at).expect("valid then");
    assert_eq!(again.identity, first.identity);
    for at in [NOW - 1_000_000, NOW + 1_000_000] {
        let refused = policy.decide(holder.says(NAME), &[], at).expect_err("not valid");
        let Refusal::Certificate { reason: StatementError::Chain(reason), .. } = refused else { panic!("{refused:?}") };
        assert!(matches!(reason, ChainError::Expired { .. } | ChainError::NotYetValid { .. }), "{reason:?}");
    }
}

#[test]
fn a_demanded_purpose_is_demanded_of_everybody_below_the_root() {
    const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
    let with = Holder::new(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning]);
    let without = Holder::new(|_| ());
    for (holder, allowed) in [(with, true), (without, false)] {
        let roots = pem(&[holder.root.der()]);
        let certified = CertifiedIssuer::parse(&roots, &[NAME.to_owned()], Some(CODE_SIGNING.to_owned()));
        let policy = policy_of([("wabbit", Credential::Certificates(certified.expect("a good issuer")))]);
        assert_eq!(policy.decide(holder.says(NAME), &[], NOW).is_ok(), allowed);
    }
}

#[test]
fn a_workload_with_a_certificate_of_minutes_is_known_by_name_and_voucher() {
    let github = "https://token.actions.githubusercontent.com";
    let holder = Holder::new(|params| {
        params.not_before = date_time_ymd(2023, 11, 14) + std::time::Duration::from_secs(80_000);
        params.not_after = params.not_before + std::time::Duration::from_mins(10);
        params.custom_extensions = vec![oidc_issuer(github)];
        params.distinguished_name = rcgen::DistinguishedName::new();
    });
    let [did] = DidX509::candidates(&holder.chain).try_into().expect("one name");
    let policy = policy_of([("builds", holder.credential(&["did:x509:0:*", "https://wabbit.example/*"]))]);
    let decision = policy.decide(holder.says(did.as_str()), &[], NOW).expect("admitted");
    assert_eq!(decision.identity.kind, IdentityKind::Fulcio);
    let facts = decision.identity.certificate.expect("facts").facts;
    assert_eq!(facts.oidc_issuer.as_deref(), Some(github));
    // Rules are told the same.
    let rules = |voucher: &str| {
        format!(
            "allow if {{\n\tinput.issuer.kind == \"fulcio\"\n\tinput.issuer.id == \"{did}\"\n\tinput.issuer.name == \"builds\"\n\
             \tinput.issuer.certificate.oidc_issuer == \"{voucher}\"\n\tinput.issuer.certificate.uris == [\"{NAME}\"]\n\
             \tinput.issuer.certificate.not_after >= input.now\n\tinput.issuer.certificate.subject == []\n\
             \tinput.issuer.certificate.emails == []\n\tinput.issuer.certificate.extended_key_usage == null\n}}"
        )
    };
    for (voucher, allowed) in [(github, true), ("https://accounts.google.com", false)] {
        let mut policy = policy.clone();
        policy.set_rules(compiled(&rules(voucher)), 9);
        assert_eq!(policy.decide(holder.says(did.as_str()), &[], NOW).is_ok(), allowed, "{voucher}");
    }
    for issuer in [NAME, &did.as_str().replace("token.actions.githubusercontent.com", "accounts.google.com")] {
        let refused = refusal(&policy, holder.says(issuer));
        assert!(matches!(refused, Refusal::Certificate { reason: StatementError::Name(_), .. }), "{refused:?}");
    }
}

#[test]
fn a_statement_whose_algorithm_is_not_the_keys_is_refused_by_name() {
    let mut bytes = envelope(b"document").sign(&wabbit()).expect("a good draft");
    // alg: -7 becomes -8, EdDSA.
    let place = bytes.windows(2).position(|window| window == [0x01, 0x26]).expect("alg stands first");
    bytes[place + 1] = 0x27;
    let refused = policy().decide(SignedStatement::decode(&bytes).expect("well formed"), &[], NOW);
    assert!(matches!(refused, Err(Refusal::AlgorithmOfOtherKey { .. })), "{refused:?}");
}
