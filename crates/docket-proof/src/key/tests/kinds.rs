//! Keys of every kind: their forms, their names, and that none can be used for what it is not for.

use crate::crypto::SignatureAlgorithm;
use crate::key::*;
use crate::testkeys;

fn each() -> impl Iterator<Item = (SignatureAlgorithm, SigningKey)> {
    SignatureAlgorithm::ALL.into_iter().map(|algorithm| (algorithm, testkeys::of(algorithm)))
}

#[test]
fn keys_of_another_program_are_read_and_survive_each_of_their_forms() {
    for (algorithm, key) in each() {
        assert_eq!(key.algorithm(), algorithm);
        let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).expect("its own PEM");
        let public = key.public();
        assert_eq!(again.public(), public, "{algorithm}");
        assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()).as_ref(), Ok(public), "{algorithm}");
        assert_eq!(PublicKey::from_spki_pem(&public.to_spki_pem()).as_ref(), Ok(public), "{algorithm}");
        assert_eq!(PublicKey::from_cose_key(&public.to_cose_key()).as_ref(), Ok(public), "{algorithm}");
        assert!(public.algorithms().contains(&algorithm));
    }
}

#[test]
fn signatures_of_another_program_verify() {
    for (algorithm, signature) in [
        (SignatureAlgorithm::Ps256, include_bytes!("../../../testdata/keys/ps256.sig").as_slice()),
        (SignatureAlgorithm::Ps384, include_bytes!("../../../testdata/keys/ps384.sig")),
        (SignatureAlgorithm::Ps512, include_bytes!("../../../testdata/keys/ps512.sig")),
        (SignatureAlgorithm::EdDsa, include_bytes!("../../../testdata/keys/eddsa.sig")),
    ] {
        let key = testkeys::of(algorithm);
        assert!(key.public().verify(algorithm, b"message", signature), "{algorithm}");
        assert!(!key.public().verify(algorithm, b"massage", signature), "{algorithm}");
        assert!(!key.public().verify(algorithm, b"message", &signature[1..]), "{algorithm}");
    }
}

#[test]
fn a_signature_verifies_under_its_own_algorithm_and_key_only() {
    let signed: Vec<_> = each().map(|(algorithm, key)| (algorithm, key.sign(b"message"))).collect();
    for (algorithm, key) in each() {
        for (made_by, signature) in &signed {
            for claimed in SignatureAlgorithm::ALL {
                let expected = algorithm == *made_by && claimed == *made_by;
                let verifies = key.public().verify(claimed, b"message", signature);
                assert_eq!(verifies, expected, "{made_by} said to be {claimed}, checked with the key of {algorithm}");
            }
        }
    }
}

#[test]
fn generated_keys_sign_with_what_was_asked_for() {
    // RSA keys are slow to make; their sizes are those of the golden keys.
    for algorithm in
        [SignatureAlgorithm::Es256, SignatureAlgorithm::Es384, SignatureAlgorithm::Es512, SignatureAlgorithm::EdDsa]
    {
        let key = SigningKey::generate_for(algorithm);
        assert_eq!(key.algorithm(), algorithm);
        assert!(key.public().verify(algorithm, b"message", &key.sign(b"message")));
    }
}

#[test]
fn algorithms_have_one_name_and_one_number() {
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        assert_eq!(SignatureAlgorithm::of_number(algorithm.number().into()), Some(algorithm));
        assert!(algorithm.as_str().to_lowercase().parse::<SignatureAlgorithm>().is_err());
    }
    for number in [0, 5, -9, -47, -257, -65_535, i128::from(u64::MAX)] {
        assert_eq!(SignatureAlgorithm::of_number(number), None, "{number}");
    }
}

#[test]
fn thumbprints_are_over_the_members_that_rfc_9679_names() {
    use sha2::Digest as _;
    // The same maps written by another library, which orders keys as RFC 8949 §4.2.1 does.
    let bytes = |bytes: &[u8]| ciborium::Value::Bytes(bytes.to_vec());
    for (algorithm, key) in each() {
        let spki = key.public().to_spki_der();
        let members: Vec<(i64, ciborium::Value)> = match algorithm {
            SignatureAlgorithm::Es256 | SignatureAlgorithm::Es384 | SignatureAlgorithm::Es512 => {
                let (curve, width) = match algorithm {
                    SignatureAlgorithm::Es256 => (1, 32),
                    SignatureAlgorithm::Es384 => (2, 48),
                    _ => (3, 66),
                };
                let (x, y) = spki[spki.len() - 2 * width..].split_at(width);
                vec![(1, 2.into()), (-1, curve.into()), (-2, bytes(x)), (-3, bytes(y))]
            }
            SignatureAlgorithm::EdDsa => {
                vec![(1, 1.into()), (-1, 6.into()), (-2, bytes(&spki[spki.len() - 32..]))]
            }
            SignatureAlgorithm::Ps256 | SignatureAlgorithm::Ps384 | SignatureAlgorithm::Ps512 => {
                // The key ends with the exponent, INTEGER 65537; before it stands the modulus.
                let width = key.sign(b"").len();
                let (modulus, exponent) = spki[spki.len() - width - 5..].split_at(width);
                assert_eq!(exponent, [2, 3, 1, 0, 1]);
                vec![(1, 3.into()), (-1, bytes(modulus)), (-2, bytes(&[1, 0, 1]))]
            }
        };
        let map = members.into_iter().map(|(label, value)| (label.into(), value)).collect();
        let mut encoded = Vec::new();
        ciborium::into_writer(&ciborium::Value::Map(map), &mut encoded).expect("a small map");
        let expected = hex::encode(sha2::Sha256::digest(&encoded));
        assert_eq!(key.public().thumbprint().to_string(), expected, "{algorithm}");
    }
}

#[test]
fn a_cose_key_of_one_kind_does_not_take_the_algorithm_of_another() {
    use crate::cbor::{Item, Map, lookup};
    for (own, key) in each() {
        let bytes = key.public().to_cose_key();
        let Ok(Item::Map(entries)) = Item::decode(&bytes) else { panic!("a map") };
        assert_eq!(lookup(&entries, 3).is_some(), key.public().algorithms().len() == 1);
        for algorithm in SignatureAlgorithm::ALL {
            let mut entries: Map<'_> = entries.clone();
            entries.retain(|(label, _)| label.as_i64() != Some(3));
            entries.push((3_i64.into(), algorithm.number().into()));
            let read = PublicKey::from_cose_key(&Item::Map(entries).encode());
            assert_eq!(read.is_ok(), key.public().algorithms().contains(&algorithm), "{own} as {algorithm}");
        }
    }
}

#[test]
fn rsa_keys_outside_the_limits_or_of_odd_forms_are_refused() {
    use crate::cbor::Item;
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let entries = vec![(1, 3_i64.into()), (-1, Item::Bytes(modulus)), (-2, Item::Bytes(exponent))];
        let entries = entries.into_iter().map(|(label, value): (i64, Item<'_>)| (label.into(), value)).collect();
        PublicKey::from_cose_key(&Item::Map(entries).encode())
    };
    let modulus = |bytes: usize| vec![0xff; bytes];
    let (exponent, refused) = ([1, 0, 1].as_slice(), Err(KeyError::RsaForm));
    assert!(rsa(&modulus(256), exponent).is_ok());
    assert!(rsa(&modulus(1024), exponent).is_ok());
    assert_eq!(rsa(&modulus(255), exponent), refused);
    assert_eq!(rsa(&[&[0x7f], modulus(255).as_slice()].concat(), exponent), refused);
    assert_eq!(rsa(&[&[1], modulus(1024).as_slice()].concat(), exponent), refused);
    assert_eq!(rsa(&[&[0], modulus(256).as_slice()].concat(), exponent), refused);
    for exponent in [[].as_slice(), &[0], &[1], &[2], &[0, 1, 0, 1], &[1, 0, 0, 0, 0, 1], &modulus(256)] {
        assert_eq!(rsa(&modulus(256), exponent), refused, "{exponent:?}");
    }
}

#[test]
fn every_flipped_bit_of_a_public_key_of_any_kind_is_refused_or_another_key() {
    // One of the three sizes of RSA is enough; the others are only longer.
    for (algorithm, key) in each().filter(|(_, key)| key.public().to_spki_der().len() < 400) {
        let signature = key.sign(b"message");
        for flipped in testkeys::every_bit_flipped(&key.public().to_spki_der()) {
            let Ok(read) = PublicKey::from_spki_der(&flipped) else { continue };
            assert_ne!(read.thumbprint(), key.public().thumbprint());
            assert!(!read.verify(algorithm, b"message", &signature));
        }
    }
}
