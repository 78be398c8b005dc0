use super::*;
use crate::cbor::{CborError, Map};
use crate::cose::{CoseError, Sign1};
use crate::merkle::{Frontier, MerkleError, PATH_HASHES_MAX, PathError, consistency_path, leaf_hash, node_hash};
use crate::receipt::{BatchSeal, MAX_RECEIPT_BYTES, Receipt};
use crate::testkeys;

const NOW: i64 = 1_700_000_000;

fn key() -> PublicKey {
    testkeys::service().public().clone()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(format!("entry {index}").as_bytes())).collect()
}

fn root(size: u64) -> Hash {
    Frontier::new().append(&leaves(size)).root
}

/// A complete node, by the definition of the tree.
fn node(level: u8, index: u64) -> Hash {
    match level {
        0 => leaf_hash(format!("entry {index}").as_bytes()),
        level => node_hash(&node(level - 1, 2 * index), &node(level - 1, 2 * index + 1)),
    }
}

fn path(old_size: u64, size: u64) -> Vec<Hash> {
    let mut node = |level, index| Ok(node(level, index));
    consistency_path(old_size, size, &mut node).unwrap_or_else(|failure: PathError<()>| panic!("{failure:?}"))
}

fn seal(size: u64) -> BatchSeal {
    let service = "https://registry.wabbit.example".parse().expect("a URI");
    BatchSeal::sign(&testkeys::service(), &service, "docket:1", NOW, size, &root(size))
}

fn receipt(old_size: u64, size: u64) -> Vec<u8> {
    seal(size).consistency_receipt(old_size, size, &path(old_size, size))
}

fn verify(receipt: &[u8], old_size: u64) -> Result<Hash, ReceiptError> {
    ConsistencyReceipt::decode(receipt)?.verify(old_size, &root(old_size), &key())
}

/// The honest receipt from 3 to 7 with other proofs.
fn with_proofs(kind: i64, proofs: Vec<Item<'_>>) -> Vec<u8> {
    let receipt = receipt(3, 7);
    let parts = Sign1::decode(&receipt).expect("our own receipt");
    let proofs = Item::Map(vec![(kind.into(), Item::Array(proofs))]);
    Sign1 { unprotected: vec![(label::VDP.into(), proofs)], ..parts }.encode()
}

fn with_proof(proof: &Item<'_>) -> Vec<u8> {
    with_proofs(label::CONSISTENCY, vec![Item::Bytes(&proof.encode())])
}

#[test]
fn every_tree_is_proved_to_continue_every_older_one_and_no_other() {
    for size in 2..20 {
        for old_size in 1..size {
            let bytes = receipt(old_size, size);
            let read = ConsistencyReceipt::decode(&bytes).expect("our own receipt");
            assert_eq!((read.old_size(), read.tree_size(), read.signed_at()), (old_size, size, NOW));
            assert_eq!((read.log(), read.kid()), ("docket:1", key().thumbprint()));
            assert_eq!(read.issuer().as_str(), "https://registry.wabbit.example");
            assert_eq!(read.verify(old_size, &root(old_size), &key()), Ok(root(size)));
            let refused = read.verify(old_size, &[7; 32], &key());
            let of_another_past = [
                ReceiptError::Consistency(MerkleError::OldRootDiffers),
                ReceiptError::NotContinued { key: key().thumbprint() },
            ];
            assert!(of_another_past.contains(&refused.expect_err("another past")), "{old_size} to {size}");
            let known = old_size + 1;
            let other = Err(ReceiptError::OtherTree { known, claimed: old_size });
            assert_eq!(read.verify(known, &root(known), &key()), other);
        }
    }
}

#[test]
fn every_flipped_bit_cut_and_addition_is_refused() {
    // From 4 the older root is the seed, from 3 the proof begins with one.
    for old_size in [3, 4] {
        let bytes = receipt(old_size, 7);
        for flipped in testkeys::every_bit_flipped(&bytes) {
            assert!(verify(&flipped, old_size).is_err(), "{}", hex::encode(flipped));
        }
        for length in 0..bytes.len() {
            assert!(ConsistencyReceipt::decode(&bytes[..length]).is_err(), "{length}");
        }
        let trailing = CborError::TrailingBytes { offset: bytes.len(), count: 1 };
        let trailing = Err(ReceiptError::Cose(CoseError::Cbor(trailing)));
        assert_eq!(verify(&[bytes.as_slice(), &[0]].concat(), old_size), trailing);
    }
}

#[test]
fn a_receipt_of_another_key_or_another_tree_is_refused() {
    let read = ConsistencyReceipt::decode(&receipt(3, 7)).expect("our own receipt");
    let other = testkeys::issuer().public().clone();
    let refused = ReceiptError::WrongKey { kid: key().thumbprint(), key: other.thumbprint() };
    assert_eq!(read.verify(3, &root(3), &other), Err(refused));

    // A signature over one tree beside a good proof that leads to another.
    let mixed = seal(8).consistency_receipt(3, 7, &path(3, 7));
    assert_eq!(verify(&mixed, 3), Err(ReceiptError::TreeSizeDiffers { bound: 8, claimed: 7 }));
    let forked = Frontier::new().append(&[leaves(6), vec![[9; 32]]].concat()).root;
    let service = "https://registry.wabbit.example".parse().expect("a URI");
    let forked = BatchSeal::sign(&testkeys::service(), &service, "docket:1", NOW, 7, &forked);
    let forked = forked.consistency_receipt(3, 7, &path(3, 7));
    assert_eq!(verify(&forked, 3), Err(ReceiptError::NotContinued { key: key().thumbprint() }));
    // A past that was exchanged: what was signed is fine, and is no continuation of what was known.
    let read = ConsistencyReceipt::decode(&receipt(3, 7)).expect("our own receipt");
    let other_past = Frontier::new().append(&[leaves(2), vec![[9; 32]]].concat()).root;
    let refused = read.verify(3, &other_past, &key());
    assert_eq!(refused, Err(ReceiptError::Consistency(MerkleError::OldRootDiffers)));
}

#[test]
fn the_size_of_the_newer_tree_is_bound() {
    // The path from 4 to 8 folds from 4 to 7 and 6 as well.
    for claimed in [6, 7] {
        let lying = seal(8).consistency_receipt(4, claimed, &path(4, 8));
        assert_eq!(verify(&lying, 4), Err(ReceiptError::TreeSizeDiffers { bound: 8, claimed }));
    }
    assert_eq!(verify(&seal(8).consistency_receipt(4, 8, &path(4, 8)), 4), Ok(root(8)));
}

#[test]
fn there_is_exactly_one_consistency_proof_of_the_right_shape() {
    let count = |found| ReceiptError::ConsistencyCount { found };
    assert_eq!(verify(&with_proofs(label::CONSISTENCY, vec![]), 3), Err(count(0)));
    assert_eq!(verify(&with_proofs(label::CONSISTENCY, vec![Item::Bytes(b"\x80"); 2]), 3), Err(count(2)));
    assert_eq!(verify(&with_proofs(label::INCLUSION, vec![Item::Bytes(b"\x80")]), 3), Err(count(0)));
    let nested = with_proofs(label::CONSISTENCY, vec![Item::Array(vec![])]);
    assert_eq!(verify(&nested, 3), Err(ReceiptError::ConsistencyForm));
    let float = with_proofs(label::CONSISTENCY, vec![Item::Bytes(b"\x83\xf9\x42\x00\x07\x80")]);
    assert_eq!(verify(&float, 3), Err(ReceiptError::ConsistencyCbor(CborError::Float { offset: 1 })));

    let hashes = |count| Item::Array(vec![Item::Bytes(&[0; 32]); count]);
    let proof = |old: Item<'static>, new: Item<'static>, path| with_proof(&Item::Array(vec![old, new, path]));
    let number = |number: u64| Item::from(number);
    let short = Item::Array(vec![Item::Bytes(&[0; 31])]);
    for form in [
        with_proof(&Item::Map(Map::new())),
        with_proof(&Item::Array(vec![number(3), number(7)])),
        with_proof(&Item::Array(vec![number(3), number(7), hashes(4), number(0)])),
        proof(number(0), number(7), hashes(1)),
        proof(number(7), number(7), hashes(1)),
        proof(number(8), number(7), hashes(1)),
        proof(Item::from(-3_i64), number(7), hashes(4)),
        proof(Item::Text("3"), number(7), hashes(4)),
        proof(number(3), number(7), Item::Bytes(&[0; 32])),
        proof(number(3), number(7), hashes(0)),
        proof(number(3), number(7), hashes(PATH_HASHES_MAX + 1)),
        proof(number(3), number(7), short),
    ] {
        assert_eq!(ConsistencyReceipt::decode(&form), Err(ReceiptError::ConsistencyForm), "{}", hex::encode(&form));
    }
    let length = |expected, found| Err(ReceiptError::Consistency(MerkleError::PathLength { expected, found }));
    assert_eq!(verify(&proof(number(3), number(7), hashes(3)), 3), length(4, 3));
    assert_eq!(verify(&proof(number(3), number(7), hashes(PATH_HASHES_MAX)), 3), length(4, PATH_HASHES_MAX));
    // Sizes as large as they can be cost nothing.
    let largest = proof(number(3), number(u64::MAX), hashes(PATH_HASHES_MAX));
    assert_eq!(verify(&largest, 3), Err(ReceiptError::TreeSizeDiffers { bound: 7, claimed: u64::MAX }));
    let bytes = vec![0; MAX_RECEIPT_BYTES + 1];
    assert_eq!(ConsistencyReceipt::decode(&bytes), Err(ReceiptError::TooLarge { bytes: bytes.len() }));
}

#[test]
fn neither_kind_of_receipt_passes_for_the_other() {
    let grown = Frontier::new().append(&leaves(7));
    let inclusion = seal(7).receipt(3, 7, &grown.paths[3]);
    assert_eq!(ConsistencyReceipt::decode(&inclusion), Err(ReceiptError::ConsistencyCount { found: 0 }));
    assert_eq!(Receipt::decode(&receipt(3, 7)), Err(ReceiptError::ProofCount { found: 0 }));
    // The proof of one kind under the label of the other.
    let relabelled = with_proofs(label::INCLUSION, vec![Item::Bytes(&proof_of(&receipt(3, 7)))]);
    assert!(Receipt::decode(&relabelled).and_then(|read| read.verify(b"entry 7", &key())).is_err());
    let relabelled = with_proofs(label::CONSISTENCY, vec![Item::Bytes(&proof_of(&inclusion))]);
    assert!(verify(&relabelled, 3).is_err());
}

/// The bytes of the one proof in a receipt.
fn proof_of(receipt: &[u8]) -> Vec<u8> {
    let parts = Sign1::decode(receipt).expect("our own receipt");
    let proofs = [label::CONSISTENCY, label::INCLUSION].map(|kind| decode::proofs(&parts.unprotected, kind));
    let mut proofs = proofs.into_iter().flat_map(|proofs| proofs.expect("there are proofs").iter());
    proofs.next().and_then(Item::as_bytes).expect("a proof").to_vec()
}
