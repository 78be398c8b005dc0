use super::*;
use crate::testkeys;

fn service() -> TrustedService {
    TrustedService {
        issuer: "https://registry.wabbit.example".parse().expect("a name"),
        url: Some("http://localhost:5000".to_owned()),
        keys: vec![testkeys::service().public().clone()],
        profile: Profile::default(),
    }
}

fn issuer() -> TrustedIssuer {
    TrustedIssuer {
        issuer: "https://wabbit.example".parse().expect("a URI"),
        keys: vec![testkeys::issuer().public().clone()],
    }
}

fn pem() -> String {
    testkeys::service().public().to_spki_pem()
}

/// A file with one service, whose lines can be replaced.
fn file(from: &str, to: &str) -> String {
    let text = Trust::new(vec![service()], vec![issuer()]).expect("good trust").to_text();
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replacen(from, to, 1)
}

#[test]
fn trust_survives_its_text() {
    for issuers in [vec![], vec![issuer()]] {
        let trust = Trust::new(vec![service()], issuers).expect("good trust");
        assert_eq!(Trust::parse(&trust.to_text()), Ok(trust));
    }
}

#[test]
fn keys_are_found_by_owner_and_kid_together() {
    let trust = Trust::new(vec![service()], vec![issuer()]).expect("good trust");
    let (service, issuer) = (service(), issuer());
    let (service_kid, issuer_kid) = (service.keys[0].thumbprint(), issuer.keys[0].thumbprint());
    let name = |name: &str| name.parse().expect("a name");
    assert_eq!(trust.service(&service.issuer), Some(&service));
    assert_eq!(trust.service(&name(issuer.issuer.as_str())), None);
    assert_eq!(trust.issuer_key(&issuer.issuer, &issuer_kid), Some(&issuer.keys[0]));
    assert_eq!(trust.issuer_key(&issuer.issuer, &service_kid), None);
    let as_issuer = service.issuer.as_str().parse().expect("a URI");
    assert_eq!(trust.issuer_key(&as_issuer, &service_kid), None);
    assert!(trust.lists_issuers());
    assert!(!Trust::new(vec![service], vec![]).expect("good trust").lists_issuers());
}

#[test]
fn a_file_written_by_hand_is_read() {
    let text = format!(
        "version = 1\n[[service]]\nissuer = \"urn:a:b\"\n[[service.key]]\npublic_key = '''\n{}'''\n",
        pem().replace('\n', "\r\n")
    );
    let trust = Trust::parse(&text).expect("good trust");
    assert_eq!(trust.services()[0].keys, service().keys);
}

#[test]
fn another_version_and_none_are_refused_before_anything_else() {
    for text in ["", "version = 0", "version = 2\nnew = true", "version = \"1\"", "[[service]]"] {
        assert_eq!(Trust::parse(text), Err(TrustError::Version), "{text}");
    }
}

#[test]
fn unknown_fields_are_refused() {
    for (from, to) in [
        ("version = 1", "version = 1\nstrict = true"),
        ("url =", "kid = \"00\"\nurl ="),
        ("public_key", "kid = \"00\"\npublic_key"),
        ("[[issuer]]", "[[issuer]]\nurl = \"http://a\""),
        ("[[service]]", "[[services]]"),
    ] {
        let refused = Trust::parse(&file(from, to));
        assert!(matches!(refused, Err(TrustError::Toml { .. })), "{to}: {refused:?}");
    }
    assert!(matches!(Trust::parse("version = "), Err(TrustError::Toml { .. })));
}

#[test]
fn what_cannot_be_used_is_named() {
    let (service, issuer) = (service(), issuer());
    let (name, key) = (service.issuer.clone(), service.keys[0].clone());
    let without_keys = TrustedService { keys: vec![], ..service.clone() };
    let twice_the_key = TrustedService { keys: vec![key.clone(), key], ..service.clone() };
    for (services, issuers, expected) in [
        (vec![], vec![issuer.clone()], TrustError::NoService),
        (vec![without_keys], vec![], TrustError::NoKey { issuer: name.to_string() }),
        (vec![twice_the_key], vec![], TrustError::Twice { issuer: name.to_string(), what: "lists a key" }),
        (
            vec![service.clone(), service.clone()],
            vec![],
            TrustError::Twice { issuer: name.to_string(), what: "is listed as a service" },
        ),
        (
            vec![service],
            vec![issuer.clone(), issuer.clone()],
            TrustError::Twice { issuer: issuer.issuer.to_string(), what: "is listed as an issuer" },
        ),
    ] {
        assert_eq!(Trust::new(services, issuers), Err(expected));
    }
    assert!(matches!(
        Trust::parse(&file("https://registry.wabbit.example", "a registry")),
        Err(TrustError::Service { service, .. }) if service == "a registry"
    ));
    assert!(matches!(
        Trust::parse(&file("https://wabbit.example", "wabbit")),
        Err(TrustError::Issuer { issuer, .. }) if issuer == "wabbit"
    ));
    for url in ["ftp://localhost", "localhost:5000", "http://a b"] {
        let refused = Trust::parse(&file("http://localhost:5000", url));
        assert_eq!(refused, Err(TrustError::Url { issuer: name.to_string(), url: url.to_owned() }));
    }
    let broken = Trust::parse(&file("MFkw", "MFkx"));
    assert!(matches!(broken, Err(TrustError::Key { position: 1, .. })), "{broken:?}");
}

#[test]
fn one_over_each_limit_is_refused() {
    let named = |count: usize| -> Vec<TrustedService> {
        let uri = |i: usize| format!("urn:service:{i}").parse().expect("a URI");
        (0..count).map(|i| TrustedService { issuer: uri(i), ..service() }).collect()
    };
    let over = |what, limit| Err(TrustError::TooMany { what, found: limit + 1, limit });
    let text = Trust::new(named(SERVICES_MAX), vec![]).expect("exactly the limit").to_text();
    assert_eq!(Trust::new(named(SERVICES_MAX + 1), vec![]), over("services", SERVICES_MAX));
    let one_more = format!("{text}\n[[service]]\nissuer = \"urn:service:more\"\n");
    assert_eq!(Trust::parse(&one_more), over("services", SERVICES_MAX));
    assert_eq!(Trust::new(named(1), vec![issuer(); ISSUERS_MAX + 1]), over("issuers", ISSUERS_MAX));
    let keys = vec![testkeys::service().public().clone(); KEYS_MAX + 1];
    let too_many_keys = Trust::new(vec![TrustedService { keys, ..service() }], vec![]);
    assert_eq!(too_many_keys, over("keys of one owner", KEYS_MAX));
    let large = " ".repeat(TRUST_BYTES_MAX + 1);
    assert_eq!(Trust::parse(&large), Err(TrustError::TooLarge { bytes: TRUST_BYTES_MAX + 1 }));
}

/// Two services, one of which does otherwise, and receipts of both demanded.
fn demanding() -> Trust {
    let profile = Profile { leaf: Leaf::Digest, tree_size: TreeSize::Unbound };
    let other = TrustedService { issuer: "ledger.example".parse().expect("a name"), profile, ..service() };
    let requirement = Requirement { need: Need::AtLeast(2), services: vec![service().issuer, other.issuer.clone()] };
    Trust::new(vec![service(), other], vec![]).and_then(|trust| trust.requiring(requirement)).expect("good trust")
}

#[test]
fn profiles_and_demands_survive_their_text() {
    let text = demanding().to_text();
    for line in ["leaf = \"digest\"", "tree_size = \"unbound\"", "require = 2"] {
        assert_eq!(text.matches(line).count(), 1, "{line} in\n{text}");
    }
    assert_eq!(Trust::parse(&text), Ok(demanding()));
    for (word, need) in [("\"any\"", Need::Any), ("\"all\"", Need::All), ("1", Need::AtLeast(1))] {
        let trust = Trust::parse(&text.replace("require = 2", &format!("require = {word}"))).expect("good trust");
        assert_eq!(trust.requirement().need, need);
        assert_eq!(Trust::parse(&trust.to_text()), Ok(trust));
    }
}

#[test]
fn demands_that_nothing_could_meet_are_refused() {
    let text = demanding().to_text();
    for require in ["0", "3", "-1", "\"most\"", "\"\""] {
        let refused = Trust::parse(&text.replace("require = 2", &format!("require = {require}")));
        assert_eq!(refused, Err(TrustError::Require { services: 2 }), "{require}");
    }
    let (ours, other) = (service().issuer, demanding().services()[1].issuer.clone());
    for (services, service, what) in [
        (vec![ours.clone(), ours.clone()], &ours, "named twice"),
        (vec!["urn:a:b".parse().expect("a name")], &"urn:a:b".parse().expect("a name"), "not listed as a service"),
    ] {
        let refused = demanding().requiring(Requirement { need: Need::Any, services });
        assert_eq!(refused, Err(TrustError::RequiredService { service: service.clone(), what }));
    }
    let one = Requirement { need: Need::AtLeast(2), services: vec![other] };
    assert_eq!(demanding().requiring(one), Err(TrustError::Require { services: 1 }));
    for (from, to) in [("leaf = \"digest\"", "leaf = \"hash\""), ("\"unbound\"", "true")] {
        assert!(matches!(Trust::parse(&text.replace(from, to)), Err(TrustError::Toml { .. })), "{to}");
    }
}

#[test]
fn issuers_are_believed_by_root_too_and_what_is_written_is_read() {
    let root = crate::authority::Authority::root("Root");
    let roots = crate::authority::pem(&[root.der()]);
    let patterns = ["https://wabbit.example/*".to_owned(), "urn:example:wabbit".to_owned()];
    let purpose = Some("1.3.6.1.5.5.7.3.3".to_owned());
    let certified = CertifiedIssuer::parse(&roots, &patterns, purpose).expect("a good issuer");
    let both =
        Trust::new(vec![service()], vec![issuer()]).and_then(|trust| trust.with_certified(vec![certified.clone()]));
    let both = both.expect("good trust");
    let read = Trust::parse(&both.to_text()).expect("its own text");
    assert_eq!((read.services(), read.issuers()), (both.services(), both.issuers()));
    // One table for each pattern.
    assert_eq!(read.certified().len(), 2);
    assert!(
        read.certified().iter().all(|one| one.roots() == certified.roots() && one.purpose() == certified.purpose())
    );
    assert!(read.certified()[0].covers(&"https://wabbit.example/a".parse().expect("a URI")));

    let alone = Trust::new(vec![service()], vec![]).and_then(|trust| trust.with_certified(vec![certified]));
    assert!(alone.is_ok_and(|trust| trust.lists_issuers()));
}

#[test]
fn a_root_that_cannot_be_believed_says_why() {
    let root = crate::authority::Authority::root("Root");
    let pem = crate::authority::pem(&[root.der()]);
    let text = Trust::new(vec![service()], vec![issuer()]).expect("good trust").to_text();
    let with = |issuer: &str| Trust::parse(&format!("{text}\n[[issuer]]\n{issuer}\n"));
    let root = format!("root = \"\"\"\n{pem}\"\"\"");
    assert!(with(&format!("issuer = \"urn:example:a\"\n{root}")).is_ok());
    let key = "[[issuer.key]]\npublic_key = \"\"";
    let both = with(&format!("issuer = \"urn:example:a\"\n{root}\n{key}"));
    assert_eq!(both, Err(TrustError::KeysAndRoot { issuer: "urn:example:a".to_owned() }));
    for bad in [
        format!("issuer = \"wabbit\"\n{root}"),
        format!("issuer = \"https://wabbit*\"\n{root}"),
        format!("issuer = \"urn:example:a\"\n{root}\nextended_key_usage = \"signing\""),
        "issuer = \"urn:example:a\"\nroot = \"\"".to_owned(),
        "issuer = \"urn:example:a\"\nextended_key_usage = \"1.2.3\"".to_owned(),
    ] {
        assert!(matches!(with(&bad), Err(TrustError::Certified { .. })), "{bad}");
    }
}
