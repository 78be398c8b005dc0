//! From bytes to a well-formed receipt.

use super::{MAX_RECEIPT_BYTES, Receipt, ReceiptError, TREE_SIZE_LABEL, VDS_RFC9162_SHA256};
use crate::cbor::{Item, Map, lookup, lookup_text};
use crate::cose::{Sign1, label};
use crate::header::Header;
use crate::key::Issuer;
use crate::merkle::{Hash, MerkleError, PATH_HASHES_MAX};

impl Receipt {
    /// Reads a receipt for RFC9162_SHA256 with exactly one inclusion proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptError::TooLarge { bytes: bytes.len() });
        }
        let parts = Sign1::decode(bytes)?;
        let protected = parts.protected_map()?;
        check_vds(&protected)?;
        let header = Header::read(&protected, &parts.unprotected, UNDERSTOOD)?;
        if header.subject.is_empty() || header.subject.chars().any(char::is_control) {
            return Err(ReceiptError::LogName);
        }
        let bound_tree_size = lookup_text(&protected, TREE_SIZE_LABEL)
            .map(|size| size.as_u64().ok_or(ReceiptError::TreeSizeForm))
            .transpose()?;
        let attached_root =
            parts.payload.map(|root| root.try_into().map_err(|_| ReceiptError::RootForm)).transpose()?;
        let (tree_size, index, path) = inclusion_proof(&parts.unprotected)?;
        Ok(Self {
            algorithm: header.algorithm,
            issuer: header.issuer,
            log: header.subject.to_owned(),
            kid: header.kid,
            signed_at: header.issued_at.ok_or(ReceiptError::TimeMissing)?,
            bound_tree_size,
            tree_size,
            index,
            path,
            attached_root,
            protected: parts.protected.to_vec(),
            signature: parts.signature.to_vec(),
        })
    }

    /// Who the receipt says issued it, even where [`Self::decode`] refuses it: other services' receipts may stand beside
    /// ours in forms not supported here, and whether one matters depends on who made it.
    pub fn claimed_issuer(bytes: &[u8]) -> Option<Issuer> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return None;
        }
        let protected = Sign1::decode(bytes).ok()?.protected_map().ok()?;
        let claims = lookup(&protected, label::CWT_CLAIMS)?.as_map()?;
        lookup(claims, label::ISS)?.as_text()?.parse().ok()
    }
}

fn check_vds(protected: &Map<'_>) -> Result<(), ReceiptError> {
    match lookup(protected, label::VDS) {
        None => Err(ReceiptError::VdsMissing),
        Some(vds) if vds.as_i64() == Some(VDS_RFC9162_SHA256) => Ok(()),
        Some(Item::Integer(found)) => Err(ReceiptError::VdsUnknown { found: found.to_string() }),
        Some(_) => Err(ReceiptError::VdsUnknown { found: "that is not a number".to_owned() }),
    }
}

/// The one proof: tree size, leaf index and path.
fn inclusion_proof(unprotected: &Map<'_>) -> Result<(u64, u64, Vec<Hash>), ReceiptError> {
    let proofs = lookup(unprotected, label::VDP).and_then(Item::as_map).ok_or(ReceiptError::ProofsMissing)?;
    let proofs = lookup(proofs, label::INCLUSION).and_then(Item::as_array).unwrap_or_default();
    let [proof] = proofs else {
        return Err(ReceiptError::ProofCount { found: proofs.len() });
    };
    let proof = Item::decode(proof.as_bytes().ok_or(ReceiptError::ProofForm)?)?;
    let Some([tree_size, index, path]) = proof.as_array() else {
        return Err(ReceiptError::ProofForm);
    };
    let size = tree_size.as_u64().ok_or(ReceiptError::ProofForm)?;
    let index = index.as_u64().ok_or(ReceiptError::ProofForm)?;
    if index >= size {
        return Err(MerkleError::IndexOutside { index, size }.into());
    }
    let path = path.as_array().filter(|path| (1..=PATH_HASHES_MAX).contains(&path.len()));
    let hashes = path.ok_or(ReceiptError::ProofForm)?.iter().map(|hash| hash.as_bytes()?.try_into().ok());
    Ok((size, index, hashes.collect::<Option<_>>().ok_or(ReceiptError::ProofForm)?))
}

/// What `crit` may demand: every protected label that is read here.
const UNDERSTOOD: &[Item<'static>] = &[
    Item::Integer(label::ALG as i128),
    Item::Integer(label::KID as i128),
    Item::Integer(label::CWT_CLAIMS as i128),
    Item::Integer(label::VDS as i128),
    Item::Text(TREE_SIZE_LABEL),
];
