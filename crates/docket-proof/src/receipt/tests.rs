use super::*;
use crate::cbor::CborError;
use crate::cose::CoseError;
use crate::header::HeaderError;
use crate::merkle::{Frontier, MerkleError, PATH_HASHES_MAX};
use crate::testkeys;

const LOG: &str = "docket:1";
const ENTRY: &[u8] = b"the entry at index 4";

/// A tree of seven entries and its seal.
struct Sealed {
    seal: BatchSeal,
    root: Hash,
    paths: Vec<Vec<Hash>>,
}

impl Sealed {
    fn receipt(&self) -> Vec<u8> {
        self.seal.receipt(4, 7, &self.paths[4])
    }
}

fn service() -> Issuer {
    "https://registry.wabbit.example".parse().expect("a URI")
}

fn key() -> PublicKey {
    testkeys::service().public().clone()
}

fn entry(index: u64) -> Vec<u8> {
    if index == 4 { ENTRY.to_vec() } else { format!("entry {index}").into_bytes() }
}

fn sealed() -> Sealed {
    let leaves: Vec<Hash> = (0..7).map(|index| leaf_hash(&entry(index))).collect();
    let grown = Frontier::new().append(&leaves);
    let seal = BatchSeal::sign(&testkeys::service(), &service(), LOG, 1_700_000_000, 7, &grown.root);
    Sealed { seal, root: grown.root, paths: grown.paths }
}

fn set<'a>(map: &mut Map<'a>, label: Item<'a>, value: Item<'a>) {
    map.retain(|(candidate, _)| *candidate != label);
    if value != Item::Null {
        map.push((label, value));
    }
}

/// A receipt whose protected header has one entry replaced (or dropped by `Null`), signed again by the service.
fn resigned(label: Item<'_>, value: Item<'_>) -> Vec<u8> {
    let sealed = sealed();
    let receipt = sealed.receipt();
    let parts = Sign1::decode(&receipt).expect("our own receipt");
    let mut protected = parts.protected_map().expect("our own header");
    set(&mut protected, label, value);
    let protected = Item::Map(protected).encode();
    let signature = testkeys::service().sign(&to_be_signed(&protected, &sealed.root));
    Sign1 { protected: &protected, signature: &signature, ..parts }.encode()
}

/// A receipt whose proof is replaced.
fn with_proofs(proofs: Item<'_>) -> Vec<u8> {
    let receipt = sealed().receipt();
    let parts = Sign1::decode(&receipt).expect("our own receipt");
    Sign1 { unprotected: vec![(label::VDP.into(), proofs)], ..parts }.encode()
}

fn with_proof(proof: &Item<'_>) -> Vec<u8> {
    let proof = proof.encode();
    with_proofs(Item::Map(vec![(label::INCLUSION.into(), Item::Array(vec![Item::Bytes(&proof)]))]))
}

fn verify(receipt: &[u8]) -> Result<Hash, ReceiptError> {
    Receipt::decode(receipt)?.verify(ENTRY, &key())
}

#[test]
fn one_seal_gives_a_good_receipt_for_every_entry_of_the_batch() {
    let sealed = sealed();
    assert_eq!(sealed.seal.verify(&key(), &sealed.root), Ok(()));
    for (path, index) in sealed.paths.iter().zip(0..) {
        let receipt = Receipt::decode(&sealed.seal.receipt(index, 7, path)).expect("our own receipt");
        assert_eq!(receipt.verify(&entry(index), &key()), Ok(sealed.root));
        assert_eq!((receipt.index(), receipt.tree_size(), receipt.signed_at()), (index, 7, 1_700_000_000));
        assert_eq!((receipt.issuer(), receipt.log(), receipt.kid()), (&service(), LOG, key().thumbprint()));
    }
}

#[test]
fn a_seal_over_another_root_is_refused() {
    let sealed = sealed();
    let refused = ReceiptError::BadSignature { key: key().thumbprint() };
    assert_eq!(sealed.seal.verify(&key(), &[0; 32]), Err(refused));
}

#[test]
fn another_library_reads_our_receipt() {
    use coset::TaggedCborSerializable;
    let sealed = sealed();
    let read = coset::CoseSign1::from_tagged_slice(&sealed.receipt()).expect("a COSE_Sign1");
    assert_eq!(read.payload, None);
    let checked = read.verify_detached_signature(&sealed.root, b"", |signature, signed| {
        if key().verify(SignatureAlgorithm::Es256, signed, signature) { Ok(()) } else { Err(()) }
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn every_flipped_bit_of_a_receipt_is_refused() {
    // Every byte is read: what the signature does not cover directly, the path to the signed root does.
    for flipped in testkeys::every_bit_flipped(&sealed().receipt()) {
        assert!(verify(&flipped).is_err(), "{}", hex::encode(flipped));
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let bytes = sealed().receipt();
    for length in 0..bytes.len() {
        let refused = Receipt::decode(&bytes[..length]);
        assert!(matches!(refused, Err(ReceiptError::Cose(CoseError::Cbor(CborError::Truncated { .. })))), "{length}");
    }
    let trailing = CborError::TrailingBytes { offset: bytes.len(), count: 1 };
    assert_eq!(verify(&[bytes.as_slice(), &[0]].concat()), Err(ReceiptError::Cose(trailing.into())));
}

#[test]
fn a_receipt_for_another_entry_is_refused() {
    let receipt = Receipt::decode(&sealed().receipt()).expect("our own receipt");
    let refused = ReceiptError::BadSignature { key: key().thumbprint() };
    assert_eq!(receipt.verify(&entry(5), &key()), Err(refused));
}

#[test]
fn a_receipt_of_another_key_is_refused() {
    let receipt = Receipt::decode(&sealed().receipt()).expect("our own receipt");
    let other = testkeys::issuer().public().clone();
    let refused = ReceiptError::WrongKey { kid: key().thumbprint(), key: other.thumbprint() };
    assert_eq!(receipt.verify(ENTRY, &other), Err(refused));
}

#[test]
fn the_tree_size_is_bound() {
    // The path of leaf 5 in eight entries folds to the same root under a claimed size of seven.
    let leaves: Vec<Hash> = (0..8).map(|index| leaf_hash(&entry(index))).collect();
    let grown = Frontier::new().append(&leaves);
    let seal = BatchSeal::sign(&testkeys::service(), &service(), LOG, 0, 8, &grown.root);
    let honest = Receipt::decode(&seal.receipt(5, 8, &grown.paths[5])).expect("our own receipt");
    assert_eq!(honest.verify(&entry(5), &key()), Ok(grown.root));
    let lying = Receipt::decode(&seal.receipt(5, 7, &grown.paths[5])).expect("well formed");
    assert_eq!(lying.verify(&entry(5), &key()), Err(ReceiptError::TreeSizeDiffers { bound: 8, claimed: 7 }));
    assert_eq!(verify(&resigned(Item::Text(TREE_SIZE_LABEL), Item::Null)), Err(ReceiptError::TreeSizeUnbound));
    let text = resigned(Item::Text(TREE_SIZE_LABEL), Item::Text("7"));
    assert_eq!(verify(&text), Err(ReceiptError::TreeSizeForm));
}

#[test]
fn an_attached_root_must_be_the_right_one() {
    let sealed = sealed();
    let receipt = sealed.receipt();
    let parts = Sign1::decode(&receipt).expect("our own receipt");
    let attached = |root| Sign1 { payload: Some(root), ..parts.clone() }.encode();
    assert_eq!(verify(&attached(&sealed.root)), Ok(sealed.root));
    assert_eq!(verify(&attached(&[0; 32])), Err(ReceiptError::RootDiffers));
    assert_eq!(verify(&attached(&sealed.root[1..])), Err(ReceiptError::RootForm));
}

#[test]
fn the_structure_counts_only_where_it_is_signed() {
    let vds = || Item::from(label::VDS);
    let receipt = resigned(vds(), Item::Null);
    assert_eq!(verify(&receipt), Err(ReceiptError::VdsMissing));
    let mut parts = Sign1::decode(&receipt).expect("well formed");
    parts.unprotected.push((vds(), VDS_RFC9162_SHA256.into()));
    assert_eq!(verify(&parts.encode()), Err(ReceiptError::VdsMissing));
    assert_eq!(verify(&resigned(vds(), 2_i64.into())), Err(ReceiptError::VdsUnknown { found: "2".to_owned() }));
    let text = ReceiptError::VdsUnknown { found: "that is not a number".to_owned() };
    assert_eq!(verify(&resigned(vds(), Item::Text("1"))), Err(text));
}

#[test]
fn headers_that_lack_or_demand_something_are_refused_by_name() {
    let claims = |entries: Vec<(i64, Item<'static>)>| {
        Item::Map(entries.into_iter().map(|(label, value)| (label.into(), value)).collect())
    };
    let (iss, sub, iat) = (Item::Text("urn:a:b"), Item::Text("log"), Item::from(1_i64));
    let cwt = label::CWT_CLAIMS;
    for (label, value, expected) in [
        (label::ALG, Item::from(-257_i64), ReceiptError::Header(HeaderError::Algorithm { found: -257 })),
        (label::KID, Item::Null, ReceiptError::Header(HeaderError::KidMissing)),
        (label::CRIT, Item::Array(vec![99_i64.into()]), HeaderError::CritUnknown { label: "99".to_owned() }.into()),
        (cwt, Item::Null, ReceiptError::Header(HeaderError::ClaimsMissing)),
        (cwt, claims(vec![(2, sub.clone()), (6, iat.clone())]), ReceiptError::Header(HeaderError::IssuerMissing)),
        (cwt, claims(vec![(1, iss.clone()), (6, iat.clone())]), ReceiptError::Header(HeaderError::SubjectMissing)),
        (cwt, claims(vec![(1, iss.clone()), (2, sub)]), ReceiptError::TimeMissing),
        (cwt, claims(vec![(1, iss.clone()), (2, Item::Text("")), (6, iat.clone())]), ReceiptError::LogName),
        (cwt, claims(vec![(1, iss), (2, Item::Text("a\nb")), (6, iat)]), ReceiptError::LogName),
    ] {
        assert_eq!(verify(&resigned(label.into(), value)), Err(expected));
    }
    let crit = Item::Array(vec![Item::Text(TREE_SIZE_LABEL), label::VDS.into()]);
    assert!(verify(&resigned(label::CRIT.into(), crit)).is_ok());
}

#[test]
fn there_is_exactly_one_proof_of_the_right_shape() {
    let proof = |size: Item<'static>, index: Item<'static>, path: Item<'static>| {
        with_proof(&Item::Array(vec![size, index, path]))
    };
    let hashes = |count| Item::Array(vec![Item::Bytes(&[0; 32]); count]);
    let number = Item::from(7_u64);
    for (receipt, expected) in [
        (with_proofs(Item::Array(vec![])), ReceiptError::ProofsMissing),
        (with_proofs(Item::Map(vec![])), ReceiptError::ProofCount { found: 0 }),
        (
            with_proofs(Item::Map(vec![(label::INCLUSION.into(), Item::Array(vec![Item::Bytes(b"\x80"); 2]))])),
            ReceiptError::ProofCount { found: 2 },
        ),
        (
            with_proofs(Item::Map(vec![(label::INCLUSION.into(), Item::Array(vec![Item::Array(vec![])]))])),
            ReceiptError::ProofForm,
        ),
        (with_proof(&Item::Array(vec![number.clone(), number.clone()])), ReceiptError::ProofForm),
        (proof(Item::from(-7_i64), 4_u64.into(), hashes(3)), ReceiptError::ProofForm),
        (proof(Item::Text("7"), 4_u64.into(), hashes(3)), ReceiptError::ProofForm),
        (proof(number.clone(), number.clone(), hashes(3)), MerkleError::IndexOutside { index: 7, size: 7 }.into()),
        (proof(number.clone(), 4_u64.into(), hashes(0)), ReceiptError::ProofForm),
        (proof(number.clone(), 4_u64.into(), hashes(PATH_HASHES_MAX + 1)), ReceiptError::ProofForm),
        (proof(number.clone(), 4_u64.into(), Item::Array(vec![Item::Bytes(&[0; 31])])), ReceiptError::ProofForm),
        (proof(number.clone(), 4_u64.into(), hashes(2)), MerkleError::PathLength { expected: 3, found: 2 }.into()),
        (proof(number, 4_u64.into(), hashes(4)), MerkleError::PathLength { expected: 3, found: 4 }.into()),
    ] {
        assert_eq!(verify(&receipt), Err(expected));
    }
    // A size as a floating-point number.
    let float = b"\x83\xf9\x47\x00\x04\x80";
    let proofs = Item::Map(vec![(label::INCLUSION.into(), Item::Array(vec![Item::Bytes(float)]))]);
    assert_eq!(verify(&with_proofs(proofs)), Err(ReceiptError::ProofCbor(CborError::Float { offset: 1 })));
}

#[test]
fn one_byte_over_the_limit_is_refused() {
    let receipt = |padding: usize| {
        let bytes = sealed().receipt();
        let mut parts = Sign1::decode(&bytes).expect("our own receipt");
        let padding = vec![0; padding];
        parts.unprotected.push((Item::Text("padding"), Item::Bytes(&padding)));
        parts.encode()
    };
    let overhead = receipt(10_000).len() - 10_000;
    assert!(verify(&receipt(MAX_RECEIPT_BYTES - overhead)).is_ok());
    let over = receipt(MAX_RECEIPT_BYTES - overhead + 1);
    assert_eq!(verify(&over), Err(ReceiptError::TooLarge { bytes: MAX_RECEIPT_BYTES + 1 }));
}
