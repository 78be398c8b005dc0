use super::*;
use crate::cbor::{CborError, Item, lookup};
use crate::testkeys;

mod kinds;

const ES256: SignatureAlgorithm = SignatureAlgorithm::Es256;

fn other_key() -> PublicKey {
    testkeys::service().public().clone()
}

fn key() -> PublicKey {
    testkeys::issuer().public().clone()
}

#[test]
fn a_public_key_survives_each_of_its_forms() {
    let key = key();
    assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key.clone()));
    assert_eq!(PublicKey::from_spki_pem(&key.to_spki_pem()), Ok(key.clone()));
    assert_eq!(PublicKey::from_cose_key(&key.to_cose_key()), Ok(key.clone()));
    assert_eq!(key.to_spki_der().len(), 91);
}

#[test]
fn a_generated_key_survives_its_file_and_signs_for_its_public_half() {
    let generated = SigningKey::generate();
    let read = SigningKey::from_pkcs8_pem(&generated.to_pkcs8_pem()).expect("its own PEM");
    assert_eq!(read.public(), generated.public());
    let signature = read.sign(b"message");
    assert_eq!(signature.len(), crate::crypto::ES256_SIGNATURE_BYTES);
    assert!(generated.public().verify(ES256, b"message", &signature));
    assert!(!generated.public().verify(ES256, b"massage", &signature));
    assert!(!key().verify(ES256, b"message", &signature));
    assert!(!generated.public().verify(ES256, b"message", &signature[..63]));
    assert!(!generated.public().verify(ES256, b"message", &[signature.as_slice(), &[0]].concat()));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", testkeys::issuer());
    assert_eq!(shown, format!("SigningKey(secret of {})", key().thumbprint()));
}

#[test]
fn the_thumbprint_is_the_hash_of_the_deterministic_cose_key() {
    // The example key of RFC 9679 §6.
    let x = hex::decode("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d").expect("hex");
    let y = hex::decode("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c").expect("hex");
    let entries = [(1, 2_i64.into()), (-1, 1_i64.into()), (-2, Item::Bytes(&x)), (-3, Item::Bytes(&y))];
    let entries = entries.into_iter().map(|(label, value): (i64, Item<'_>)| (label.into(), value)).collect();
    let key = PublicKey::from_cose_key(&Item::Map(entries).encode()).expect("a good key");
    let thumbprint = key.thumbprint();
    assert_eq!(thumbprint.to_string(), "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec");
    assert_eq!(thumbprint.urn(), "urn:ietf:params:oauth:ckt:sha-256:SWvYr63zB-WwjGSwQhv53AFSijRKQ72oj63RZp2iU-w");
    assert_eq!(thumbprint.to_string().parse(), Ok(thumbprint));
}

#[test]
fn only_lower_case_hex_of_the_right_length_is_a_thumbprint() {
    let hex = key().thumbprint().to_string();
    for text in ["", &hex[1..], &format!("{hex}0"), &hex.to_uppercase(), &hex.replace(&hex[..1], "g")] {
        assert_eq!(text.parse::<Thumbprint>(), Err(KeyError::BadThumbprint), "{text}");
    }
}

#[test]
fn a_key_without_a_name_is_an_issuer_by_its_thumbprint() {
    let issuer = Issuer::of_key(&key());
    assert_eq!(issuer.as_str(), key().thumbprint().urn());
    assert_eq!(issuer.as_str().parse(), Ok(issuer));
}

#[test]
fn every_flipped_bit_of_a_public_key_is_refused_or_verifies_nothing() {
    let key = key();
    let signature = testkeys::issuer().sign(b"message");
    for flipped in testkeys::every_bit_flipped(&key.to_spki_der()) {
        let verifies = PublicKey::from_spki_der(&flipped).is_ok_and(|key| key.verify(ES256, b"message", &signature));
        assert!(!verifies, "{}", hex::encode(flipped));
    }
    // The listed exception: the labels of kid and alg may turn into labels that nothing reads. The key is the same then.
    let cose_key = key.to_cose_key();
    let (kid_label, alg_label) = (3, 38);
    assert_eq!((cose_key[kid_label], cose_key[alg_label]), (2, 3));
    for (bit, flipped) in testkeys::every_bit_flipped(&cose_key).enumerate() {
        let read = PublicKey::from_cose_key(&flipped);
        if bit / 8 == kid_label || bit / 8 == alg_label {
            assert!(read.is_err() || read.as_ref() == Ok(&key), "{}", hex::encode(flipped));
        } else {
            assert!(read.is_err(), "{}", hex::encode(flipped));
        }
    }
}

#[test]
fn other_kinds_of_keys_are_refused_by_name() {
    let x25519 = "302a300506032b656e03210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let with_null = "302c300706032b657005000321".to_owned() + &x25519[22..];
    let k256 = format!("3056301006072a8648ce3d020106052b8104000a034200{}", "04".repeat(65));
    let compressed = format!("3039301306072a8648ce3d020106082a8648ce3d03010703220002{}", "01".repeat(32));
    let not_on_curve = format!("3059301306072a8648ce3d020106082a8648ce3d03010703420004{}", "01".repeat(64));
    for (der, expected) in [
        (x25519, KeyError::UnsupportedKind { kind: "1.3.101.110".to_owned() }),
        (&with_null, KeyError::NotSpki),
        (&k256, KeyError::UnsupportedKind { kind: "curve 1.3.132.0.10".to_owned() }),
        (&compressed, KeyError::PointForm),
        (&not_on_curve, KeyError::NotOnCurve),
        ("", KeyError::NotSpki),
        ("3000", KeyError::NotSpki),
    ] {
        assert_eq!(PublicKey::from_spki_der(&hex::decode(der).expect("hex")), Err(expected), "{der}");
    }
    let longer = [key().to_spki_der(), vec![0]].concat();
    assert_eq!(PublicKey::from_spki_der(&longer), Err(KeyError::NotSpki));
}

#[test]
fn a_cose_key_must_say_what_it_is() {
    let good = key();
    let cose_key = good.to_cose_key();
    let item = Item::decode(&cose_key).expect("its own encoding");
    let coordinate = |label| lookup(item.as_map()?, label)?.as_bytes();
    let (x, y) = (coordinate(-2).expect("x"), coordinate(-3).expect("y"));
    let with = |entries: Vec<(i64, Item<'_>)>| {
        let base = [(1, 2_i64.into()), (-1, 1_i64.into()), (-2, Item::Bytes(x)), (-3, Item::Bytes(y))];
        let mut map: Vec<(i64, Item<'_>)> = base.to_vec();
        for (label, value) in entries {
            map.retain(|(candidate, _)| *candidate != label);
            if value != Item::Null {
                map.push((label, value));
            }
        }
        PublicKey::from_cose_key(&Item::Map(map.into_iter().map(|(k, v)| (k.into(), v)).collect()).encode())
    };
    assert_eq!(with(vec![]), Ok(good.clone()));
    assert_eq!(with(vec![(99, Item::Text("ignored"))]), Ok(good.clone()));
    for (entry, expected) in [
        ((1, Item::Null), KeyError::NotCoseKey { what: "the key type is missing" }),
        ((1, 4_i64.into()), KeyError::UnsupportedKind { kind: "kty 4".to_owned() }),
        ((1, 1_i64.into()), KeyError::UnsupportedKind { kind: "crv 1".to_owned() }),
        ((1, 3_i64.into()), KeyError::RsaForm),
        ((-1, 8_i64.into()), KeyError::UnsupportedKind { kind: "crv 8".to_owned() }),
        ((-1, 2_i64.into()), KeyError::PointForm),
        ((-1, Item::Text("P-256")), KeyError::UnsupportedKind { kind: "crv is not a small integer".to_owned() }),
        ((3, (-35_i64).into()), KeyError::UnsupportedKind { kind: "alg -35".to_owned() }),
        ((-2, Item::Null), KeyError::PointForm),
        ((-2, Item::Bytes(&x[1..])), KeyError::PointForm),
        ((-3, Item::Bool(true)), KeyError::PointForm),
        ((2, Item::Text("kid")), KeyError::NotCoseKey { what: "kid is not a byte string" }),
        (
            (2, Item::Bytes(b"kid")),
            KeyError::KidDiffers { expected: good.thumbprint().to_string(), found: hex::encode(b"kid") },
        ),
    ] {
        assert_eq!(with(vec![entry]), Err(expected));
    }
    assert_eq!(PublicKey::from_cose_key(&[0x80]), Err(KeyError::NotCoseKey { what: "it is not a map" }));
    assert_eq!(PublicKey::from_cose_key(&[]), Err(KeyError::Cbor(CborError::Truncated { offset: 0 })));
}

#[test]
fn another_library_reads_our_cose_key() {
    use coset::CborSerializable;
    let read = coset::CoseKey::from_slice(&key().to_cose_key()).expect("a COSE_Key");
    assert_eq!(read.kty, coset::KeyType::Assigned(coset::iana::KeyType::EC2));
    assert_eq!(read.key_id, key().thumbprint().as_bytes());
}

#[test]
fn one_unknown_key_does_not_spoil_a_set_and_is_not_silent() {
    let (first, second) = (key(), other_key());
    let set = key_set(&[&first, &second]);
    assert_eq!(parse_key_set(&set), Ok(vec![Ok(first.clone()), Ok(second.clone())]));
    // A symmetric key between the two.
    let mixed = [&[0x83][..], &first.to_cose_key(), &[0xa1, 1, 4], &second.to_cose_key()].concat();
    let unknown = KeyError::UnsupportedKind { kind: "kty 4".to_owned() };
    assert_eq!(parse_key_set(&mixed), Ok(vec![Ok(first), Err(unknown), Ok(second)]));
}

#[test]
fn one_key_over_the_limit_is_refused() {
    let key = key();
    assert!(parse_key_set(&key_set(&[&key; KEY_SET_KEYS_MAX])).is_ok());
    let over = KEY_SET_KEYS_MAX + 1;
    assert_eq!(parse_key_set(&key_set(&vec![&key; over])), Err(KeyError::TooManyKeys { found: over }));
    assert_eq!(parse_key_set(&[0xa0]), Err(KeyError::NotCoseKey { what: "a key set is an array of keys" }));
}

#[test]
fn key_files_keep_the_issuer_beside_the_key() {
    let file = KeyFile { issuer: "https://wabbit.example".parse().ok(), key: testkeys::issuer() };
    let read = KeyFile::parse(&file.to_text()).expect("its own text");
    assert_eq!((read.issuer, read.key.public()), (file.issuer.clone(), file.key.public()));
    let public = file.to_public();
    assert!(public.to_text().starts_with("issuer: https://wabbit.example\n-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(PublicKeyFile::parse(&public.to_text()), Ok(public));
    let bare = PublicKeyFile { issuer: None, key: key() };
    assert_eq!(PublicKeyFile::parse(&bare.to_text()), Ok(bare));
}

#[test]
fn other_explanatory_lines_and_line_ends_are_ignored() {
    let text = format!("made for the tests\r\nissuer:  urn:a:b \r\n{}\r\n", key().to_spki_pem().replace('\n', "\r\n"));
    let expected = PublicKeyFile { issuer: "urn:a:b".parse().ok(), key: key() };
    assert_eq!(PublicKeyFile::parse(&text), Ok(expected));
}

#[test]
fn a_key_file_that_is_none_says_why() {
    let pem = key().to_spki_pem();
    let no_pem = KeyError::NoPem { label: "PUBLIC KEY" };
    let private = SigningKey::generate().to_pkcs8_pem();
    for (text, expected) in [
        (String::new(), no_pem.clone()),
        ("issuer: urn:a:b\n".to_owned(), no_pem),
        (format!("issuer: urn:a:b\nissuer: urn:a:b\n{pem}"), KeyError::IssuerTwice),
        (format!("issuer: wabbit\n{pem}"), KeyError::Issuer(IssuerError::NotAbsolute)),
        (format!("{pem}{pem}"), KeyError::TextAfterPem),
        (format!("{pem}trailing"), KeyError::TextAfterPem),
        (private, KeyError::WrongLabel { expected: "PUBLIC KEY", found: "PRIVATE KEY".to_owned() }),
        (" ".repeat(KEY_FILE_BYTES_MAX + 1), KeyError::FileTooLarge { bytes: KEY_FILE_BYTES_MAX + 1 }),
    ] {
        assert_eq!(PublicKeyFile::parse(&text), Err(expected), "{text:.60}");
    }
    for broken in [&pem[..60], &pem.replace('M', "!"), &pem.replace("END PUBLIC", "END PRIVATE")] {
        assert!(matches!(PublicKeyFile::parse(broken), Err(KeyError::BadPem { .. })), "{broken}");
    }
}

#[test]
fn a_private_key_of_another_form_is_refused() {
    let sec1 = testkeys::issuer().to_pkcs8_pem().replace("PRIVATE KEY", "EC PRIVATE KEY");
    let wrong = KeyError::WrongLabel { expected: "PRIVATE KEY", found: "EC PRIVATE KEY".to_owned() };
    assert_eq!(SigningKey::from_pkcs8_pem(&sec1).expect_err("another label"), wrong);
    let not_pkcs8 = encode_pem(PRIVATE_LABEL, b"0");
    assert_eq!(SigningKey::from_pkcs8_pem(&not_pkcs8).expect_err("no key"), KeyError::NotPkcs8);
}
