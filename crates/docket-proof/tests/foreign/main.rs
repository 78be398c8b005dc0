//! Receipts of other services: what they prove to a reader who allows their ways, and that nothing else passes for one.

mod service;

use docket_proof::cbor::{CborError, Item};
use docket_proof::cose::{CoseError, Sign1, label};
use docket_proof::crypto::{SignatureAlgorithm, sha256};
use docket_proof::key::PublicKey;
use docket_proof::merkle::MerkleError;
use docket_proof::receipt::{AnyReceipt, Format, Leaf, Position, Profile, ReceiptError, TREE_SIZE_LABEL, TreeSize};
use docket_proof::statement::{HeaderError, PresentedStatement};

use service::{Foreign, ccf_proof, tree_proof, wrapped};

const ENTRY: &[u8] = b"an entry";
const OWN: Profile = Profile { leaf: Leaf::Entry, tree_size: TreeSize::Bound };
const UNBOUND: Profile = Profile { leaf: Leaf::Entry, tree_size: TreeSize::Unbound };

fn verify(receipt: &[u8], service: &Foreign, profile: Profile) -> Result<Position, ReceiptError> {
    AnyReceipt::decode(receipt)?.verify(ENTRY, &[service.key.public().clone()], profile)
}

fn unbound(receipt: &[u8], service: &Foreign) -> Result<Position, ReceiptError> {
    verify(receipt, service, UNBOUND)
}

/// The place that trees of five claim in these tests.
const CLAIMED: Position = Position::ClaimedIndex { index: 2, tree_size: 5 };

#[test]
fn a_receipt_of_a_ccf_ledger_proves_its_entry() {
    let ccf = Foreign::ccf();
    let receipt = ccf.receipt_of_ccf(ENTRY);
    let read = AnyReceipt::decode(&receipt).expect("a receipt");
    assert_eq!((read.service().as_str(), read.signed_at()), ("ledger.example", Some(1_700_000_000)));
    assert_eq!(read.format(), Format::Ccf);
    let place = Position::Transaction { txid: Some("2.137".to_owned()) };
    assert_eq!(verify(&receipt, &ccf, OWN), Ok(place));
    let other = read.verify(b"another entry", &[ccf.key.public().clone()], OWN);
    assert_eq!(other, Err(ReceiptError::OtherEntry));
}

/// What a CCF node of version 2 made of a statement under did:x509, as published with scitt-cose (interop/ccf): the receipt is
/// by people who wrote the profile.
#[test]
fn a_receipt_that_a_ccf_node_made_proves_its_statement() {
    let statement = PresentedStatement::decode(include_bytes!("ccf/statement.cose")).expect("a statement");
    let id = "02ec7822cd91641c74ee0d125ad9b89fc6961400c6efb69ec9aff65f3b23d567";
    assert_eq!(statement.entry_id().to_string(), id);
    assert!(statement.issuer.as_deref().is_some_and(|issuer| issuer.starts_with("did:x509:0:sha256:")));
    let receipt: &[u8] = include_bytes!("ccf/receipt.cose");
    let keys = [PublicKey::from_spki_pem(include_str!("ccf/service.pub")).expect("a key on P-384")];
    let read = AnyReceipt::decode(receipt).expect("a receipt");
    assert_eq!((read.service().as_str(), read.signed_at()), ("127.0.0.1:10131", Some(1_784_481_567)));
    let place = Position::Transaction { txid: Some("2.15".to_owned()) };
    assert_eq!(read.verify(&statement.entry, &keys, OWN), Ok(place));
    for bit in 0..receipt.len() * 8 {
        let mut flipped = receipt.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let proven = AnyReceipt::decode(&flipped).and_then(|read| read.verify(&statement.entry, &keys, OWN));
        assert!(proven.is_err(), "bit {bit}");
    }
    // The same statement's receipt by a service that does not say its name, which RFC 9943 asks for: nobody's word.
    let nameless = AnyReceipt::decode(include_bytes!("ccf/nameless.cose"));
    assert_eq!(nameless, Err(ReceiptError::Header(HeaderError::ClaimsMissing)));
}

#[test]
fn trees_of_other_services_are_read_as_the_reader_allows_and_no_other_way() {
    let service = Foreign::new("https://other.example", SignatureAlgorithm::EdDsa);
    for leaf in [Leaf::Entry, Leaf::Digest] {
        let receipt = service.receipt_of_tree(ENTRY, leaf, None);
        for allowed in [Leaf::Entry, Leaf::Digest] {
            let profile = Profile { leaf: allowed, tree_size: TreeSize::Unbound };
            let proven = verify(&receipt, &service, profile);
            if leaf == allowed {
                assert_eq!(proven, Ok(CLAIMED));
            } else {
                assert!(matches!(proven, Err(ReceiptError::BadSignature { .. })), "{proven:?}");
            }
            let strict = verify(&receipt, &service, Profile { leaf: allowed, tree_size: TreeSize::Bound });
            assert_eq!(strict, Err(ReceiptError::TreeSizeUnbound));
        }
    }
}

#[test]
fn a_size_that_is_signed_counts_whatever_is_allowed() {
    let service = Foreign::new("https://other.example", SignatureAlgorithm::Es256);
    let (proof, root) = tree_proof(ENTRY, Leaf::Entry);
    for (signed, expected) in [
        (5_u64, Ok(Position::Index { index: 2, tree_size: 5 })),
        (6, Err(ReceiptError::TreeSizeDiffers { bound: 6, claimed: 5 })),
    ] {
        let size = vec![(Item::Text(TREE_SIZE_LABEL), signed.into())];
        let receipt = service.sign(1, None, size, &wrapped(&proof), &root, None);
        for profile in [OWN, UNBOUND] {
            assert_eq!(verify(&receipt, &service, profile), expected);
        }
    }
}

#[test]
fn every_algorithm_that_a_key_is_for_signs_receipts() {
    for algorithm in SignatureAlgorithm::ALL {
        let service = Foreign::new("https://other.example", algorithm);
        let receipt = service.receipt_of_tree(ENTRY, Leaf::Entry, None);
        assert_eq!(unbound(&receipt, &service), Ok(CLAIMED), "{algorithm}");
    }
}

#[test]
fn a_key_is_found_however_its_service_names_it() {
    let (service, other) = (Foreign::ccf(), Foreign::ccf());
    let thumbprint = service.key.public().thumbprint().as_bytes().to_vec();
    let named = |kid: Option<&[u8]>| service.receipt_of_tree(ENTRY, Leaf::Entry, kid);
    let keys = [other.key.public().clone(), service.key.public().clone()];
    for kid in [None, Some(thumbprint.as_slice()), Some(&service.ccf_kid()), Some(b"key-1"), Some(b"")] {
        let receipt = AnyReceipt::decode(&named(kid)).expect("a receipt");
        assert_eq!(receipt.verify(ENTRY, &keys, UNBOUND), Ok(CLAIMED), "{kid:?}");
        let wrong = receipt.verify(ENTRY, &keys[..1], UNBOUND);
        assert!(matches!(wrong, Err(ReceiptError::UnknownKey { .. } | ReceiptError::BadSignature { .. })), "{wrong:?}");
    }
    // A name that is made from a key finds that key and no other.
    let hex = String::from_utf8(other.ccf_kid()).expect("hex digits");
    let receipt = AnyReceipt::decode(&named(Some(hex.as_bytes()))).expect("a receipt");
    assert_eq!(receipt.verify(ENTRY, &keys[1..], UNBOUND), Err(ReceiptError::UnknownKey { kid: hex }));
    assert!(matches!(receipt.verify(ENTRY, &keys, UNBOUND), Err(ReceiptError::BadSignature { .. })));
    assert!(matches!(receipt.verify(ENTRY, &[], UNBOUND), Err(ReceiptError::UnknownKey { .. })));
}

#[test]
fn no_flipped_bit_cut_or_addition_verifies_or_breaks_anything() {
    let (ccf, tree) = (Foreign::ccf(), Foreign::new("https://other.example", SignatureAlgorithm::EdDsa));
    for (service, receipt) in
        [(&ccf, ccf.receipt_of_ccf(ENTRY)), (&tree, tree.receipt_of_tree(ENTRY, Leaf::Digest, Some(b"key-1")))]
    {
        let profile = Profile { leaf: Leaf::Digest, tree_size: TreeSize::Unbound };
        assert!(verify(&receipt, service, profile).is_ok());
        for bit in 0..receipt.len() * 8 {
            let mut flipped = receipt.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Nothing signs the size of a foreign tree, so a bit of it may flip where the path folds the same.
            let proven = verify(&flipped, service, profile);
            assert!(matches!(proven, Err(_) | Ok(Position::ClaimedIndex { .. })), "bit {bit}: {proven:?}");
            if let Ok(Position::ClaimedIndex { index, tree_size }) = proven {
                assert_ne!((index, tree_size), (2, 5), "bit {bit}");
            }
        }
        for length in 0..receipt.len() {
            assert!(verify(&receipt[..length], service, profile).is_err(), "{length}");
        }
        assert!(verify(&[receipt.as_slice(), &[0]].concat(), service, profile).is_err());
    }
}

/// Every case of what receipts are refused for, by its name.
#[test]
fn each_negative_case_is_refused_by_its_name() {
    let service = Foreign::new("https://other.example", SignatureAlgorithm::Es256);
    let good = service.receipt_of_tree(ENTRY, Leaf::Entry, None);
    let refused = |receipt: &[u8]| unbound(receipt, &service).expect_err("refused");
    let cose = |failure: CborError| ReceiptError::Cose(failure.into());

    // Trailing bytes, untagged, indefinite lengths, duplicate keys.
    let end = good.len();
    assert_eq!(refused(&[&good[..], &[0]].concat()), cose(CborError::TrailingBytes { offset: end, count: 1 }));
    assert_eq!(refused(&good[1..]), ReceiptError::Cose(CoseError::NotTagged));
    let indefinite = [&good[..1], &[0x9f], &good[2..], &[0xff]].concat();
    assert_eq!(refused(&indefinite), cose(CborError::IndefiniteLength { offset: 1 }));
    let parts = Sign1::decode(&good).expect("a receipt");
    let mut twice = parts.protected.to_vec();
    twice[0] += 1;
    twice.extend([0x01, 0x26]);
    let twice = Sign1 { protected: &twice, ..parts.clone() }.encode();
    assert!(matches!(refused(&twice), ReceiptError::Cose(CoseError::ProtectedCbor(CborError::DuplicateKey { .. }))));

    // Index outside, paths too long and too short, sizes that are no integers.
    let (_, root) = tree_proof(ENTRY, Leaf::Entry);
    let with = |proof: &[u8]| service.sign(1, None, vec![], &wrapped(proof), &root, None);
    let hashes = |count: usize| Item::Array(vec![Item::Bytes(&[7; 32]); count]);
    let proof = |size: u64, index: u64, path| Item::Array(vec![size.into(), index.into(), path]).encode();
    let outside = MerkleError::IndexOutside { index: 5, size: 5 };
    assert_eq!(refused(&with(&proof(5, 5, hashes(3)))), ReceiptError::Merkle(outside));
    for count in [2, 4] {
        assert!(matches!(refused(&with(&proof(5, 2, hashes(count)))), ReceiptError::Merkle(_)), "{count} hashes");
    }
    assert_eq!(refused(&with(&proof(5, 2, hashes(0)))), ReceiptError::ProofForm);
    let float = [&[0x83, 0xf9, 0x45, 0x00, 0x02, 0x80][..]].concat();
    assert!(matches!(refused(&with(&float)), ReceiptError::ProofCbor(CborError::Float { .. })));

    // The structure outside the signature, an unknown one, a critical label that is unknown.
    let mut moved = parts.protected_map().expect("a map");
    moved.retain(|(found, _)| *found != Item::from(label::VDS));
    let moved = Item::Map(moved).encode();
    let mut unprotected = parts.unprotected.clone();
    unprotected.push((label::VDS.into(), 1_i64.into()));
    let moved = Sign1 { protected: &moved, unprotected, ..parts.clone() }.encode();
    assert_eq!(refused(&moved), ReceiptError::VdsMissing);
    let (honest, _) = tree_proof(ENTRY, Leaf::Entry);
    let unknown = service.sign(3, None, vec![], &wrapped(&honest), &root, None);
    assert_eq!(refused(&unknown), ReceiptError::VdsUnknown { found: "3".to_owned() });
    let crit = vec![(label::CRIT.into(), Item::Array(vec![Item::Text("x")])), (Item::Text("x"), Item::Null)];
    let crit = service.sign(1, None, crit, &wrapped(&honest), &root, None);
    let demanded = HeaderError::CritUnknown { label: "\"x\"".to_owned() };
    assert_eq!(refused(&crit), ReceiptError::Header(demanded));

    // An attached root that is another one; the right one is fine.
    let attached = |payload: &[u8]| service.sign(1, None, vec![], &wrapped(&honest), &root, Some(payload));
    assert_eq!(unbound(&attached(&root), &service), Ok(CLAIMED));
    assert_eq!(refused(&attached(&[0; 32])), ReceiptError::RootDiffers);
    assert_eq!(refused(&attached(b"short")), ReceiptError::RootForm);

    // For another statement; by another key.
    let read = AnyReceipt::decode(&good).expect("a receipt");
    let key = [service.key.public().clone()];
    assert!(matches!(read.verify(b"another", &key, UNBOUND), Err(ReceiptError::BadSignature { .. })));
    let stranger = Foreign::new("https://other.example", SignatureAlgorithm::Es256);
    assert!(matches!(unbound(&good, &stranger), Err(ReceiptError::BadSignature { .. })));
}

#[test]
fn proofs_of_ccf_ledgers_have_one_shape() {
    let ccf = Foreign::ccf();
    let (proof, root) = ccf_proof(ENTRY);
    let refused = |proof: &Item<'_>| {
        let receipt = ccf.sign(2, Some(&ccf.ccf_kid()), vec![], &wrapped(&proof.encode()), &root, None);
        assert_eq!(verify(&receipt, &ccf, OWN), Err(ReceiptError::CcfProofForm), "{proof:?}");
    };
    let Ok(Item::Map(good)) = Item::decode(&proof) else { panic!("a map") };
    let with = |key: i64, value: Item<'static>| {
        let mut map = good.clone();
        map.retain(|(found, _)| *found != Item::from(key));
        map.push((key.into(), value));
        Item::Map(map)
    };
    let hash = || Item::Bytes(&[7; 32]);
    let long: &'static str = Box::leak("e".repeat(1025).into_boxed_str());
    for leaf in [
        Item::Array(vec![hash(), Item::Text("e")]),
        Item::Array(vec![hash(), Item::Text(""), hash()]),
        Item::Array(vec![hash(), Item::Text(long), hash()]),
        Item::Array(vec![Item::Bytes(&[7; 31]), Item::Text("e"), hash()]),
        Item::Array(vec![hash(), Item::Bytes(b"e"), hash()]),
        hash(),
    ] {
        refused(&with(1, leaf));
    }
    let step = |is_left| Item::Array(vec![is_left, hash()]);
    for path in [
        vec![],
        vec![hash()],
        vec![step(1_i64.into())],
        vec![step(Item::Null)],
        vec![Item::Array(vec![Item::Bool(true), Item::Bytes(&[7; 33])])],
        vec![step(Item::Bool(true)); 66],
    ] {
        refused(&with(2, Item::Array(path)));
    }
    refused(&Item::Map(good[..1].to_vec()));
    refused(&with(3, Item::Null));
    refused(&Item::Array(vec![5_u64.into(), 2_u64.into(), Item::Array(vec![hash()])]));
    // Sides exchanged, and a leaf of another entry.
    let mut sides = proof.clone();
    let at = sides.iter().rposition(|byte| *byte == 0xf4).expect("false");
    sides[at] = 0xf5;
    let receipt = ccf.sign(2, None, vec![], &wrapped(&sides), &root, None);
    assert!(matches!(verify(&receipt, &ccf, OWN), Err(ReceiptError::BadSignature { .. })));
    let receipt = ccf.sign(2, None, vec![], &wrapped(&ccf_proof(b"another").0), &root, None);
    assert_eq!(verify(&receipt, &ccf, OWN), Err(ReceiptError::OtherEntry));
}

#[test]
fn whose_a_receipt_is_can_be_told_even_where_it_is_not_understood() {
    let service = Foreign::ccf();
    let (proof, root) = tree_proof(ENTRY, Leaf::Entry);
    // As the MMR profile has it: vds 3, and proofs that are maps.
    let proofs = Item::Map(vec![(
        label::INCLUSION.into(),
        Item::Map(vec![(1_i64.into(), 7_u64.into()), (2_i64.into(), Item::Array(vec![Item::Bytes(&root)]))]),
    )]);
    let mmr = service.sign(3, None, vec![], &proofs, &root, None);
    assert_eq!(AnyReceipt::decode(&mmr), Err(ReceiptError::VdsUnknown { found: "3".to_owned() }));
    assert_eq!(AnyReceipt::claimed_service(&mmr).expect("named").as_str(), "ledger.example");
    for bytes in [&proof[..], b"", &sha256(b"")] {
        assert_eq!(AnyReceipt::claimed_service(bytes), None);
    }
}
