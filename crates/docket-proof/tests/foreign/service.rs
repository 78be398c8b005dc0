//! Services that make receipts otherwise than this one. They are made here, for tests, after the texts of their profiles:
//! draft-ietf-scitt-receipts-ccf-profile as its services ship it, and RFC 9942 read in the other ways that it leaves open.

use docket_proof::cbor::{Item, Map};
use docket_proof::cose::{Sign1, label, to_be_signed};
use docket_proof::crypto::{SignatureAlgorithm, sha256, sha256_of_parts};
use docket_proof::key::SigningKey;
use docket_proof::merkle::{Frontier, Hash, leaf_hash};
use docket_proof::receipt::Leaf;

/// A service with a key.
pub(crate) struct Foreign {
    pub name: String,
    pub key: SigningKey,
}

impl Foreign {
    pub(crate) fn new(name: &str, algorithm: SignatureAlgorithm) -> Self {
        Self { name: name.to_owned(), key: SigningKey::generate_for(algorithm) }
    }

    /// A CCF service, which calls itself by its host and signs with P-384.
    pub(crate) fn ccf() -> Self {
        Self::new("ledger.example", SignatureAlgorithm::Es384)
    }

    /// Its key as CCF names it: the SHA-256 of the SubjectPublicKeyInfo in hex digits.
    pub(crate) fn ccf_kid(&self) -> Vec<u8> {
        let hash = sha256(&self.key.public().to_spki_der());
        hash.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
    }

    /// Its receipt for an entry in a CCF ledger.
    pub(crate) fn receipt_of_ccf(&self, entry: &[u8]) -> Vec<u8> {
        let (proof, root) = ccf_proof(entry);
        let txid = Item::Map(vec![(Item::Text("txid"), Item::Text("2.137"))]);
        self.sign(2, Some(&self.ccf_kid()), vec![(Item::Text("ccf.v1"), txid)], &wrapped(&proof), &root, None)
    }

    /// Its receipt in an RFC9162_SHA256 tree of five, whose size it does not sign.
    pub(crate) fn receipt_of_tree(&self, entry: &[u8], leaf: Leaf, kid: Option<&[u8]>) -> Vec<u8> {
        let (proof, root) = tree_proof(entry, leaf);
        self.sign(1, kid, vec![], &wrapped(&proof), &root, None)
    }

    /// A receipt with any proofs, signed over any root.
    pub(crate) fn sign(
        &self,
        vds: i64,
        kid: Option<&[u8]>,
        more: Map<'_>,
        proofs: &Item<'_>,
        root: &Hash,
        payload: Option<&[u8]>,
    ) -> Vec<u8> {
        let claims: Map<'_> = vec![
            (label::ISS.into(), Item::Text(&self.name)),
            (label::SUB.into(), Item::Text("scitt.ccf.signature.v1")),
            (label::IAT.into(), 1_700_000_000_i64.into()),
        ];
        let mut protected: Map<'_> = vec![
            (label::ALG.into(), self.key.algorithm().number().into()),
            (label::CWT_CLAIMS.into(), Item::Map(claims)),
            (label::VDS.into(), vds.into()),
        ];
        protected.extend(kid.map(|kid| (label::KID.into(), Item::Bytes(kid))));
        protected.extend(more);
        let protected = Item::Map(protected).encode();
        let signature = self.key.sign(&to_be_signed(&protected, root));
        let unprotected = vec![(label::VDP.into(), proofs.clone())];
        Sign1 { protected: &protected, unprotected, payload, signature: &signature }.encode()
    }
}

/// A CCF proof for an entry, and the root that it leads to.
pub(crate) fn ccf_proof(entry: &[u8]) -> (Vec<u8>, Hash) {
    let (transaction, evidence, data) = (sha256(b"transaction"), "ce:2.137:00ff", sha256(entry));
    let (first, second) = (sha256(b"first"), sha256(b"second"));
    let leaf = sha256_of_parts(&[&transaction, &sha256(evidence.as_bytes()), &data]);
    let root = sha256_of_parts(&[&sha256_of_parts(&[&first, &leaf]), &second]);
    let leaf = Item::Array(vec![Item::Bytes(&transaction), Item::Text(evidence), Item::Bytes(&data)]);
    let step = |is_left, sibling| Item::Array(vec![Item::Bool(is_left), Item::Bytes(sibling)]);
    let path = Item::Array(vec![step(true, &first), step(false, &second)]);
    (Item::Map(vec![(1_i64.into(), leaf), (2_i64.into(), path)]).encode(), root)
}

/// A proof for an entry at index 2 of a tree of five, and its root.
pub(crate) fn tree_proof(entry: &[u8], leaf: Leaf) -> (Vec<u8>, Hash) {
    let own = match leaf {
        Leaf::Entry => leaf_hash(entry),
        Leaf::Digest => leaf_hash(&sha256(entry)),
    };
    let leaves: Vec<Hash> = (0..5_u8).map(|index| if index == 2 { own } else { leaf_hash(&[index]) }).collect();
    let grown = Frontier::new().append(&leaves);
    let path = grown.paths[2].iter().map(|hash| Item::Bytes(hash)).collect();
    (Item::Array(vec![5_u64.into(), 2_u64.into(), Item::Array(path)]).encode(), grown.root)
}

/// Proofs as a receipt holds them.
pub(crate) fn wrapped(proof: &[u8]) -> Item<'_> {
    Item::Map(vec![(label::INCLUSION.into(), Item::Array(vec![Item::Bytes(proof)]))])
}
