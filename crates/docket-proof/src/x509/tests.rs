use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};

use super::*;
use crate::authority::{Authority, oidc_issuer, pem};
use crate::key::SigningKey;
use crate::testkeys;

/// 2023-11-14.
const NOW: i64 = 1_700_000_000;
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";

/// A root, an authority below it, and a certificate of the test issuer's key.
struct Hierarchy {
    root: Authority,
    sub: Authority,
    leaf: Vec<u8>,
}

impl Hierarchy {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let root = Authority::root("Root");
        let sub = root.below("Issuing");
        let leaf = sub.issue(&testkeys::issuer(), change);
        Self { root, sub, leaf }
    }

    fn roots(&self) -> Roots {
        Roots::new(&[self.root.der()]).expect("a root")
    }

    fn check(&self, purpose: Option<&str>) -> Result<(), ChainError> {
        validate(&[&self.leaf, self.sub.der()], &self.roots(), NOW, purpose)
    }
}

fn validate(chain: &[&[u8]], roots: &Roots, at: i64, purpose: Option<&str>) -> Result<(), ChainError> {
    Chain::new(chain)?.validate(roots, at, purpose).map(drop)
}

fn no_path(result: Result<(), ChainError>) -> String {
    match result {
        Err(ChainError::NoPath { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_leads_to_its_root_with_and_without_the_root() {
    let three = Hierarchy::with(|params| {
        params.subject_alt_names = vec![
            SanType::Rfc822Name("build@wabbit.example".try_into().expect("ASCII")),
            SanType::DnsName("build.wabbit.example".try_into().expect("ASCII")),
            SanType::URI("https://wabbit.example/build".try_into().expect("ASCII")),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    let roots = three.roots();
    for chain in [vec![&*three.leaf, three.sub.der()], vec![&*three.leaf, three.sub.der(), three.root.der()]] {
        let chain = Chain::new(&chain).expect("certificates");
        let valid = chain.validate(&roots, NOW, Some(CODE_SIGNING)).expect("it leads to the root");
        assert_eq!(valid.key(), testkeys::issuer().public());
        assert_eq!(valid.root(), Fingerprint::of(three.root.der()));
        assert_eq!(valid.leaf(), Fingerprint::of(&three.leaf));
        let facts = valid.facts();
        assert_eq!(facts.emails, ["build@wabbit.example"]);
        assert_eq!(facts.dns_names, ["build.wabbit.example"]);
        assert_eq!(facts.uris, ["https://wabbit.example/build"]);
        assert_eq!(facts.extended_key_usage.as_deref(), Some([CODE_SIGNING.to_owned()].as_slice()));
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(facts.subject, [attribute("O", "Wabbit Networks"), attribute("CN", "net-monitor")]);
        assert_eq!(facts.oidc_issuer, None);
    }
}

#[test]
fn dates_are_judged_at_the_time_that_is_named_and_include_both_ends() {
    let three = Hierarchy::with(|params| {
        params.not_before = date_time_ymd(2023, 11, 14);
        params.not_after = date_time_ymd(2023, 11, 15);
    });
    let (from, until) = (1_699_920_000, 1_700_006_400);
    let at = |at| validate(&[&three.leaf, three.sub.der()], &three.roots(), at, None);
    assert_eq!(at(from), Ok(()));
    assert_eq!(at(until), Ok(()));
    assert_eq!(at(from - 1), Err(ChainError::NotYetValid { position: 0, not_before: from, at: from - 1 }));
    assert_eq!(at(until + 1), Err(ChainError::Expired { position: 0, not_after: until, at: until + 1 }));
    assert!(at(i64::MIN).is_err() && at(i64::MAX).is_err());

    let root = Authority::root("Root");
    let old = root.below_with("Issuing", |params| params.not_after = date_time_ymd(2023, 11, 13));
    let leaf = old.issue(&testkeys::issuer(), |_| ());
    let roots = Roots::new(&[root.der()]).expect("a root");
    let refused = validate(&[&leaf, old.der()], &roots, NOW, None);
    assert!(matches!(refused, Err(ChainError::Expired { position: 1, .. })), "{refused:?}");

    // A root is trusted from when it is configured until it is removed.
    let root = Authority::root_with("Root", |params| params.not_after = date_time_ymd(2023, 11, 13));
    let leaf = root.issue(&testkeys::issuer(), |_| ());
    let roots = Roots::new(&[root.der()]).expect("a root");
    assert_eq!(validate(&[&leaf], &roots, NOW, None), Ok(()));
    assert_eq!(validate(&[&leaf, root.der()], &roots, NOW, None), Ok(()));
}

#[test]
fn a_certificate_signs_only_if_it_may() {
    let refused = |position, needed| Err(ChainError::KeyUsage { position, needed });
    let three = Hierarchy::with(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(three.check(None), refused(0, "sign statements"));
    let three = Hierarchy::with(|params| params.key_usages = vec![KeyUsagePurpose::ContentCommitment]);
    assert_eq!(three.check(None), refused(0, "sign statements"));
    let three = Hierarchy::with(|params| params.key_usages.clear());
    assert_eq!(three.check(None), Ok(()));

    let root = Authority::root("Root");
    let sub = root.below_with("Issuing", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let leaf = sub.issue(&testkeys::issuer(), |_| ());
    let roots = Roots::new(&[root.der()]).expect("a root");
    assert_eq!(validate(&[&leaf, sub.der()], &roots, NOW, None), refused(1, "sign certificates"));
}

#[test]
fn a_demanded_purpose_must_be_there_and_authorities_may_not_exclude_it() {
    let missing = |position| Err(ChainError::ExtendedKeyUsage { position, oid: CODE_SIGNING.to_owned() });
    assert_eq!(Hierarchy::new().check(Some(CODE_SIGNING)), missing(0));
    for purpose in [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any] {
        let three = Hierarchy::with(|params| params.extended_key_usages = vec![purpose]);
        assert_eq!(three.check(Some(CODE_SIGNING)), missing(0));
        assert_eq!(three.check(None), Ok(()));
    }
    let root = Authority::root("Root");
    let sub =
        root.below_with("Issuing", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let leaf = sub.issue(&testkeys::issuer(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    let roots = Roots::new(&[root.der()]).expect("a root");
    assert_eq!(validate(&[&leaf, sub.der()], &roots, NOW, Some(CODE_SIGNING)), missing(1));
}

#[test]
fn authorities_do_not_sign_statements_and_holders_issue_no_certificates() {
    let three = Hierarchy::with(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    });
    assert!(no_path(three.check(None)).contains("CaUsedAsEndEntity"));
    assert_eq!(validate(&[three.root.der()], &three.roots(), NOW, None), Err(ChainError::NotThePath));

    // A holder who signs a certificate for somebody else.
    let root = Authority::root("Root");
    let holder = root.below_with("net-monitor", |params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages.clear();
    });
    let leaf = holder.issue(&testkeys::issuer(), |_| ());
    let roots = Roots::new(&[root.der()]).expect("a root");
    assert!(no_path(validate(&[&leaf, holder.der()], &roots, NOW, None)).contains("EndEntityUsedAsCa"));

    // An authority that may have none below it.
    let sub = root.below_with("Issuing", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let deeper = sub.below("Deeper");
    let leaf = deeper.issue(&testkeys::issuer(), |_| ());
    assert!(no_path(validate(&[&leaf, deeper.der(), sub.der()], &roots, NOW, None)).contains("PathLenConstraint"));
}

#[test]
fn name_constraints_bind_what_is_below_them() {
    let permitted = |subtree: GeneralSubtree| {
        move |params: &mut CertificateParams| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: vec![] });
        }
    };
    let root = Authority::root("Root");
    let roots = Roots::new(&[root.der()]).expect("a root");
    let dns = root.below_with("Issuing", permitted(GeneralSubtree::DnsName("wabbit.example".to_owned())));
    let named = |name: &str| {
        let san = SanType::DnsName(name.try_into().expect("ASCII"));
        dns.issue(&testkeys::issuer(), |params| params.subject_alt_names = vec![san])
    };
    assert_eq!(validate(&[&named("build.wabbit.example"), dns.der()], &roots, NOW, None), Ok(()));
    let violated = no_path(validate(&[&named("build.acme.example"), dns.der()], &roots, NOW, None));
    assert!(violated.contains("NameConstraintViolation"), "{violated}");

    // What the library cannot compare it refuses.
    let mail = root.below_with("Issuing", permitted(GeneralSubtree::Rfc822Name("wabbit.example".to_owned())));
    let leaf = mail.issue(&testkeys::issuer(), |params| {
        params.subject_alt_names = vec![SanType::Rfc822Name("build@wabbit.example".try_into().expect("ASCII"))];
    });
    no_path(validate(&[&leaf, mail.der()], &roots, NOW, None));
}

#[test]
fn the_chain_is_its_path_in_order_and_nothing_else() {
    let three = Hierarchy::new();
    let (roots, other) = (three.roots(), Authority::root("Other"));
    let (leaf, sub, root) = (&*three.leaf, three.sub.der(), three.root.der());
    let stranger = other.issue(&testkeys::service(), |_| ());
    for chain in [
        vec![leaf, root],
        vec![leaf, root, sub],
        vec![leaf, sub, sub],
        vec![leaf, sub, root, root],
        vec![leaf, sub, other.der()],
        vec![leaf, sub, &stranger],
        vec![leaf, other.der(), sub],
        vec![sub, leaf],
        vec![leaf],
    ] {
        assert!(validate(&chain, &roots, NOW, None).is_err(), "{} certificates", chain.len());
    }
    assert_eq!(validate(&[leaf, sub], &roots, NOW, None), Ok(()));
    let foreign = Roots::new(&[other.der()]).expect("a root");
    assert!(no_path(validate(&[leaf, sub], &foreign, NOW, None)).contains("UnknownIssuer"));
}

#[test]
fn an_authority_of_the_same_name_and_another_key_is_another_one() {
    let (real, fake) = (Authority::root("Root"), Authority::root("Root"));
    let sub = real.below("Issuing");
    let impostor = fake.below("Issuing");
    let leaf = impostor.issue(&testkeys::issuer(), |_| ());
    let roots = Roots::new(&[real.der()]).expect("a root");
    no_path(validate(&[&leaf, impostor.der()], &roots, NOW, None));
    no_path(validate(&[&leaf, sub.der()], &roots, NOW, None));
    no_path(validate(&[&leaf, impostor.der(), fake.der()], &roots, NOW, None));
}

#[test]
fn a_crossed_authority_is_followed_only_under_the_root_that_is_configured() {
    let (one, two) = (Authority::root("One"), Authority::root("Two"));
    let sub = one.below("Issuing");
    let crossed = sub.crossed(&two);
    let leaf = sub.issue(&testkeys::issuer(), |_| ());
    let roots = |root: &Authority| Roots::new(&[root.der()]).expect("a root");
    assert_eq!(validate(&[&leaf, sub.der()], &roots(&one), NOW, None), Ok(()));
    assert_eq!(validate(&[&leaf, crossed.der()], &roots(&two), NOW, None), Ok(()));
    no_path(validate(&[&leaf, crossed.der()], &roots(&one), NOW, None));
    no_path(validate(&[&leaf, sub.der()], &roots(&two), NOW, None));
    // Both came along: only one of them is the path.
    assert!(validate(&[&leaf, sub.der(), crossed.der()], &roots(&one), NOW, None).is_err());
}

#[test]
fn roots_are_authorities_each_once_and_not_too_many() {
    let root = Authority::root("Root");
    let leaf = root.issue(&testkeys::issuer(), |_| ());
    let no_certifier = Authority::root_with("Root", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert_eq!(Roots::new(&[]), Err(ChainError::RootCount { found: 0 }));
    assert_eq!(Roots::new(&[root.der(), &leaf]), Err(ChainError::RootNotCa { position: 1 }));
    assert_eq!(Roots::new(&[no_certifier.der()]), Err(ChainError::RootNotCa { position: 0 }));
    assert_eq!(Roots::new(&[root.der(), root.der()]), Err(ChainError::RootTwice { position: 1 }));
    let many: Vec<_> = (0..=ROOTS_MAX).map(|number| Authority::root(&number.to_string())).collect();
    let many: Vec<_> = many.iter().map(Authority::der).collect();
    assert!(Roots::new(&many[1..]).is_ok());
    assert_eq!(Roots::new(&many), Err(ChainError::RootCount { found: ROOTS_MAX + 1 }));
    let roots = Roots::from_pem(&format!("a root\n{}and\n{}", pem(&many[..1]), pem(&many[1..2]))).expect("two roots");
    assert_eq!(Roots::from_pem(&roots.to_pem()).as_ref(), Ok(&roots));
    assert_eq!(roots.certificates()[1].der(), many[1]);
    assert_eq!(Roots::from_pem("none"), Err(ChainError::RootCount { found: 0 }));
    assert_eq!(Roots::from_pem("-----BEGIN CERTIFICATE-----\nMII"), Err(ChainError::Pem));
    assert!(matches!(Roots::from_pem(&" ".repeat(ROOTS_BYTES_MAX + 1)), Err(ChainError::TooLarge { .. })));
}

#[test]
fn x5chain_has_one_form_and_limits() {
    let three = Hierarchy::new();
    let (leaf, sub) = (Item::Bytes(&three.leaf), Item::Bytes(three.sub.der()));
    for chain in [leaf.clone(), Item::Array(vec![leaf.clone(), sub.clone()])] {
        assert_eq!(Chain::from_cose(&chain).expect("a chain").to_cose(), chain);
    }
    for bad in [
        Item::Array(vec![]),
        Item::Array(vec![leaf.clone()]),
        Item::Array(vec![leaf.clone(), Item::Text("certificate")]),
        Item::Text("certificate"),
        Item::Map(vec![]),
        Item::Null,
    ] {
        assert_eq!(Chain::from_cose(&bad), Err(ChainError::Form), "{bad:?}");
    }
    let many = Item::Array(vec![leaf.clone(); CHAIN_CERTIFICATES_MAX + 1]);
    assert_eq!(Chain::from_cose(&many), Err(ChainError::Count { found: CHAIN_CERTIFICATES_MAX + 1 }));
    assert!(Chain::from_cose(&Item::Array(vec![leaf; CHAIN_CERTIFICATES_MAX])).is_ok());
    let large = vec![0; CHAIN_BYTES_MAX + 1];
    assert_eq!(Chain::new(&[&large]), Err(ChainError::TooLarge { bytes: CHAIN_BYTES_MAX + 1 }));
    assert!(matches!(Chain::new(&[&large[1..]]), Err(ChainError::Certificate { position: 0, .. })));
    assert_eq!(Chain::new(&[]), Err(ChainError::Count { found: 0 }));
    assert!(matches!(Chain::new(&[&three.leaf, b""]), Err(ChainError::Certificate { position: 1, .. })));
    let trailing = [three.leaf.as_slice(), &[0]].concat();
    assert!(matches!(Chain::new(&[&trailing]), Err(ChainError::Certificate { position: 0, .. })));
}

#[test]
fn x5t_names_a_certificate_by_a_whole_hash() {
    let der = Hierarchy::new().leaf;
    let prints =
        [Fingerprint::Sha256(sha256(&der)), Fingerprint::Sha384(sha384(&der)), Fingerprint::Sha512(sha512(&der))];
    for print in prints {
        assert_eq!(Fingerprint::from_cose(&print.as_cose()), Ok(print));
        assert!(print.names(&der) && !print.names(&der[1..]));
        let did = print.to_did();
        let (algorithm, hash) = did.split_once(':').expect("two parts");
        assert_eq!(Fingerprint::from_did(algorithm, hash), Some(print));
    }
    let hash = sha256(&der);
    let with = |algorithm: i64, hash| Fingerprint::from_cose(&Item::Array(vec![algorithm.into(), Item::Bytes(hash)]));
    for bad in [with(-15, &hash[..8]), with(-16, &hash[1..]), with(-43, &hash), with(-14, &hash[..20])] {
        assert_eq!(bad, Err(ChainError::ThumbprintForm));
    }
    for bad in [Item::Bytes(&hash), Item::Array(vec![]), Item::Array(vec![Item::Text("sha256"), Item::Bytes(&hash)])] {
        assert_eq!(Fingerprint::from_cose(&bad), Err(ChainError::ThumbprintForm));
    }
}

#[test]
fn fulcio_says_who_vouched_in_one_voice() {
    let google = "https://accounts.google.com";
    let bare = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], google.as_bytes().to_vec());
    for extensions in [vec![oidc_issuer(google)], vec![bare.clone()], vec![bare.clone(), oidc_issuer(google)]] {
        let three = Hierarchy::with(|params| params.custom_extensions = extensions);
        let chain = Chain::new(&[&three.leaf]).expect("a certificate");
        assert_eq!(chain.leaf().facts().oidc_issuer.as_deref(), Some(google));
    }
    let three = Hierarchy::with(|params| params.custom_extensions = vec![bare, oidc_issuer("https://other.example")]);
    assert!(matches!(Chain::new(&[&three.leaf]), Err(ChainError::Certificate { position: 0, .. })));
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let three = Hierarchy::with(|params| {
        let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions = vec![unknown];
    });
    no_path(three.check(None));
}

#[test]
fn a_leaf_with_a_key_of_an_unsupported_kind_is_refused() {
    let root = Authority::root("Root");
    // The same certificate with the OID of the curve P-256 replaced by another of its length: its signature is broken too,
    // which is judged first.
    let leaf = root.issue(&testkeys::issuer(), |_| ());
    let chain = Chain::new(&[&leaf]).expect("a certificate");
    assert_eq!(chain.leaf().key(), Some(testkeys::issuer().public()));
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let place = leaf.windows(curve.len()).position(|window| window == curve).expect("the curve is named");
    let mut other = leaf.clone();
    other[place + curve.len() - 1] = 0x08;
    let chain = Chain::new(&[&other]).expect("still a certificate");
    assert_eq!(chain.leaf().key(), None);
    let roots = Roots::new(&[root.der()]).expect("a root");
    no_path(validate(&[&other], &roots, NOW, None));
}

#[test]
fn no_flipped_bit_and_no_cut_survives_in_a_chain() {
    let three = Hierarchy::new();
    let roots = three.roots();
    let (leaf, sub) = (&*three.leaf, three.sub.der());
    assert_eq!(validate(&[leaf, sub], &roots, NOW, None), Ok(()));
    for flipped in testkeys::every_bit_flipped(leaf) {
        assert!(validate(&[&flipped, sub], &roots, NOW, None).is_err(), "{}", hex::encode(flipped));
    }
    for flipped in testkeys::every_bit_flipped(sub) {
        assert!(validate(&[leaf, &flipped], &roots, NOW, None).is_err(), "{}", hex::encode(flipped));
    }
    for length in 0..leaf.len() {
        assert!(Chain::new(&[&leaf[..length], sub]).is_err());
    }
}

#[test]
fn attributes_in_strings_that_are_no_plain_text_are_left_out() {
    let three = Hierarchy::with(|params| {
        let utf16 = rcgen::string::BmpString::try_from("net-monitor").expect("text");
        params.distinguished_name.push(DnType::OrganizationalUnitName, rcgen::DnValue::BmpString(utf16));
    });
    let chain = Chain::new(&[&three.leaf]).expect("a certificate");
    let names: Vec<_> = chain.leaf().facts().subject.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["O", "CN"]);
}

#[test]
fn keys_of_every_kind_are_certified() {
    let root = Authority::root("Root");
    let roots = Roots::new(&[root.der()]).expect("a root");
    for algorithm in crate::crypto::SignatureAlgorithm::ALL {
        let key: SigningKey = testkeys::of(algorithm);
        let leaf = root.issue(&key, |_| ());
        let chain = Chain::new(&[&leaf]).expect("a certificate");
        assert_eq!(chain.validate(&roots, NOW, None).expect("valid").key(), key.public(), "{algorithm}");
    }
}
