//! Receipts of consistency (RFC 9942 §5.3): a service's signature over the root of a tree, with the proof that the tree
//! continues an older one, whose root the reader has from elsewhere.

use super::{ReceiptError, SignedHead, decode};
use crate::cbor::Item;
use crate::cose::label;
use crate::key::{Issuer, PublicKey, Thumbprint};
use crate::merkle::{Hash, root_from_consistency};

/// A well-formed receipt of consistency that was not verified yet: what it says is said by nobody so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyReceipt {
    head: SignedHead,
    old_size: u64,
    tree_size: u64,
    path: Vec<Hash>,
}

impl ConsistencyReceipt {
    /// Reads a receipt for RFC9162_SHA256 with exactly one consistency proof, as this service makes them.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let (head, unprotected) = SignedHead::decode(bytes)?;
        let proof = match decode::proofs(&unprotected, label::CONSISTENCY)? {
            [proof] => proof.as_bytes().ok_or(ReceiptError::ConsistencyForm)?,
            proofs => return Err(ReceiptError::ConsistencyCount { found: proofs.len() }),
        };
        let proof = Item::decode(proof).map_err(ReceiptError::ConsistencyCbor)?;
        let Some([old_size, tree_size, path]) = proof.as_array() else { return Err(ReceiptError::ConsistencyForm) };
        let sizes = old_size.as_u64().zip(tree_size.as_u64()).filter(|(old, new)| (1..*new).contains(old));
        let (old_size, tree_size) = sizes.ok_or(ReceiptError::ConsistencyForm)?;
        let path = decode::hashes(path).ok_or(ReceiptError::ConsistencyForm)?;
        Ok(Self { head, old_size, tree_size, path })
    }

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

    /// Entries in the older tree.
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Entries in the tree that was signed.
    pub fn tree_size(&self) -> u64 {
        self.tree_size
    }

    /// When the service signed (`iat`), in seconds since 1970.
    pub fn signed_at(&self) -> i64 {
        self.head.signed_at
    }

    /// Checks that the service holding `key` signed a tree that continues the one of `old_size` with `old_root`.
    ///
    /// The answer is the root that was signed. Whether the older tree and `key` are the log's is the question of whoever
    /// chose them.
    pub fn verify(&self, old_size: u64, old_root: &Hash, key: &PublicKey) -> Result<Hash, ReceiptError> {
        if old_size != self.old_size {
            return Err(ReceiptError::OtherTree { known: old_size, claimed: self.old_size });
        }
        self.head.check_claims(key, self.tree_size)?;
        let root = root_from_consistency(old_size, old_root, self.tree_size, &self.path);
        let root = root.map_err(ReceiptError::Consistency)?;
        self.head.check_root(key, &root).map_err(|failure| match failure {
            ReceiptError::BadSignature { key } => ReceiptError::NotContinued { key },
            other => other,
        })?;
        Ok(root)
    }
}

#[cfg(test)]
mod tests;
