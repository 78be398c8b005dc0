//! Receipts (RFC 9942, RFC9162_SHA256): a service's signature over a tree root, with the path of one entry to it.
//!
//! Nothing in a receipt is specific to an entry but its path, so a batch is signed once ([`BatchSeal`]) and each entry's
//! receipt is put together from that; so is the proof that its tree continues an older one ([`ConsistencyReceipt`]). RFC 9942 leaves the tree size unsigned, and one path folds under several sizes; a
//! protected label of ours ([`TREE_SIZE_LABEL`]) binds it, and [`Receipt::verify`] insists on it.

use crate::cbor::{Item, Map};
use crate::cose::{Sign1, label, to_be_signed};
use crate::crypto::SignatureAlgorithm;
use crate::header;
use crate::key::{Issuer, PublicKey, SigningKey, Thumbprint};
use crate::merkle::{Hash, leaf_hash, root_from_path};

pub use any::{AnyReceipt, Format, Leaf, Position, Profile, TreeSize, VDS_CCF_LEDGER_SHA256};
pub use consistency::ConsistencyReceipt;
pub use error::ReceiptError;
pub use service::{SERVICE_NAME_BYTES_MAX, ServiceName, ServiceNameError};

mod any;
mod ccf;
mod consistency;
mod decode;
mod error;
mod service;

/// Most bytes a receipt may have.
pub const MAX_RECEIPT_BYTES: usize = 16 * 1024;

/// The protected label under which a receipt states the size of its tree.
pub const TREE_SIZE_LABEL: &str = "docket.tree-size";

/// The verifiable data structure RFC9162_SHA256 (RFC 9942 §5).
pub const VDS_RFC9162_SHA256: i64 = 1;

/// What all receipts of a batch share: the protected header and the signature over the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSeal {
    /// The protected header, encoded.
    pub protected: Vec<u8>,
    /// ES256 over the Sig_structure whose payload is the root.
    pub signature: Vec<u8>,
}

/// A tree head that waits for its signature, wherever the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedSeal {
    protected: Vec<u8>,
    root: Hash,
}

/// A well-formed receipt that was not verified yet: what it says is said by nobody so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    head: SignedHead,
    inclusion: Inclusion,
}

/// What a service signed about a tree, whatever is proved with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SignedHead {
    algorithm: SignatureAlgorithm,
    issuer: Issuer,
    log: String,
    kid: Thumbprint,
    signed_at: i64,
    bound_tree_size: Option<u64>,
    attached_root: Option<Hash>,
    protected: Vec<u8>,
    signature: Vec<u8>,
}

/// A well-formed inclusion proof in an RFC9162_SHA256 tree.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inclusion {
    tree_size: u64,
    index: u64,
    path: Vec<Hash>,
}

impl BatchSeal {
    /// Signs `root`, the root of the first `tree_size` entries, as `service` in its log called `log`. The key is for ES256.
    ///
    /// `signed_at` is in seconds since 1970.
    pub fn sign(key: &SigningKey, service: &Issuer, log: &str, signed_at: i64, tree_size: u64, root: &Hash) -> Self {
        let (algorithm, kid) = (key.algorithm(), key.public().thumbprint());
        let unsigned = UnsignedSeal::new(algorithm, kid, service, log, signed_at, tree_size, root);
        let signature = key.sign(&unsigned.to_be_signed());
        unsigned.signed(signature)
    }

    /// Checks the signature over `root` with `key`.
    pub fn verify(&self, key: &PublicKey, root: &Hash) -> Result<(), ReceiptError> {
        check_signature(key, SignatureAlgorithm::Es256, &self.protected, root, &self.signature)
    }

    /// The receipt of the entry at `index` with `path` in the tree of `tree_size`. One seal and one place give one sequence
    /// of bytes, so a receipt can be made again at any time.
    pub fn receipt(&self, index: u64, tree_size: u64, path: &[Hash]) -> Vec<u8> {
        self.proving(label::INCLUSION, tree_size, index, path)
    }

    /// The proof with `path` that the tree of `tree_size` continues the one of `old_size` (RFC 9942 §5.3). The same bytes every
    /// time, as above.
    pub fn consistency_receipt(&self, old_size: u64, tree_size: u64, path: &[Hash]) -> Vec<u8> {
        self.proving(label::CONSISTENCY, old_size, tree_size, path)
    }

    /// The signature with one proof; both kinds have two numbers and a path.
    fn proving(&self, kind: i64, first: u64, second: u64, path: &[Hash]) -> Vec<u8> {
        let path = path.iter().map(|hash| Item::Bytes(hash)).collect();
        let proof = Item::Array(vec![first.into(), second.into(), Item::Array(path)]).encode();
        let proofs = Item::Map(vec![(kind.into(), Item::Array(vec![Item::Bytes(&proof)]))]);
        Sign1 {
            protected: &self.protected,
            unprotected: vec![(label::VDP.into(), proofs)],
            payload: None,
            signature: &self.signature,
        }
        .encode()
    }
}

impl UnsignedSeal {
    /// What [`BatchSeal::sign`] signs, for a key that is known by its name alone.
    pub fn new(
        algorithm: SignatureAlgorithm,
        key: Thumbprint,
        service: &Issuer,
        log: &str,
        signed_at: i64,
        tree_size: u64,
        root: &Hash,
    ) -> Self {
        let labels: Map<'_> =
            vec![(label::VDS.into(), VDS_RFC9162_SHA256.into()), (Item::Text(TREE_SIZE_LABEL), tree_size.into())];
        Self { protected: header::encode(algorithm, Some(key), service, log, Some(signed_at), labels), root: *root }
    }

    /// The bytes to sign.
    pub fn to_be_signed(&self) -> Vec<u8> {
        to_be_signed(&self.protected, &self.root)
    }

    /// Takes the signature as it is; [`BatchSeal::verify`] says whether it holds.
    pub fn signed(self, signature: Vec<u8>) -> BatchSeal {
        BatchSeal { protected: self.protected, signature }
    }
}

impl Receipt {
    /// The service that signed (`iss`).
    pub fn issuer(&self) -> &Issuer {
        &self.head.issuer
    }

    /// The log it is about (`sub`).
    pub fn log(&self) -> &str {
        &self.head.log
    }

    /// Which key is said to have signed (`kid`).
    pub fn kid(&self) -> Thumbprint {
        self.head.kid
    }

    /// Entries in the tree that was signed.
    pub fn tree_size(&self) -> u64 {
        self.inclusion.tree_size
    }

    /// Index of the entry.
    pub fn index(&self) -> u64 {
        self.inclusion.index
    }

    /// When the service signed (`iat`), in seconds since 1970.
    pub fn signed_at(&self) -> i64 {
        self.head.signed_at
    }

    /// Checks that the service holding `key` signed a tree in which `entry` (canonical bytes) stands at this index.
    ///
    /// The answer is the root that was signed. Inclusion is folded first, then the signature is checked over the
    /// result (RFC 9942 §5.2); whether `key` is the service's is the question of whoever chose it.
    pub fn verify(&self, entry: &[u8], key: &PublicKey) -> Result<Hash, ReceiptError> {
        let Inclusion { tree_size, index, path } = &self.inclusion;
        self.head.check_claims(key, *tree_size)?;
        let root = root_from_path(*index, *tree_size, &leaf_hash(entry), path)?;
        self.head.check_root(key, &root)?;
        Ok(root)
    }
}

impl SignedHead {
    /// Whether it is said to be signed with `key`, for a tree of the size that the proof claims.
    fn check_claims(&self, key: &PublicKey, claimed: u64) -> Result<(), ReceiptError> {
        if key.thumbprint() != self.kid {
            return Err(ReceiptError::WrongKey { kid: self.kid, key: key.thumbprint() });
        }
        let bound = self.bound_tree_size.ok_or(ReceiptError::TreeSizeUnbound)?;
        if bound == claimed { Ok(()) } else { Err(ReceiptError::TreeSizeDiffers { bound, claimed }) }
    }

    /// Whether `root` was signed.
    fn check_root(&self, key: &PublicKey, root: &Hash) -> Result<(), ReceiptError> {
        if self.attached_root.is_some_and(|attached| attached != *root) {
            return Err(ReceiptError::RootDiffers);
        }
        check_signature(key, self.algorithm, &self.protected, root, &self.signature)
    }
}

fn check_signature(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    protected: &[u8],
    root: &Hash,
    signature: &[u8],
) -> Result<(), ReceiptError> {
    if key.verify(algorithm, &to_be_signed(protected, root), signature) {
        Ok(())
    } else {
        Err(ReceiptError::BadSignature { key: key.thumbprint() })
    }
}

#[cfg(test)]
mod tests;
