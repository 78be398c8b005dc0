//! From bytes to a well-formed receipt.

use super::{Inclusion, MAX_RECEIPT_BYTES, Receipt, ReceiptError, SignedHead, TREE_SIZE_LABEL, VDS_RFC9162_SHA256};
use crate::cbor::{Item, Map, lookup, lookup_text};
use crate::cose::{Sign1, label};
use crate::header::Header;
use crate::merkle::{Hash, MerkleError, PATH_HASHES_MAX};

impl Receipt {
    /// Reads a receipt for RFC9162_SHA256 with exactly one inclusion proof, as this service makes them.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let (head, unprotected) = SignedHead::decode(bytes)?;
        Ok(Self { head, inclusion: Inclusion::read(inclusion_proof(&unprotected)?)? })
    }
}

impl SignedHead {
    /// Reads what is signed, and gives what is not.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, Map<'_>), ReceiptError> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptError::TooLarge { bytes: bytes.len() });
        }
        let parts = Sign1::decode(bytes)?;
        let protected = parts.protected_map()?;
        check_vds(&protected)?;
        let header = Header::read(&protected, &parts.unprotected, UNDERSTOOD)?;
        check_log_name(header.subject)?;
        let head = Self {
            algorithm: header.algorithm,
            issuer: header.issuer,
            log: header.subject.to_owned(),
            kid: header.kid?,
            signed_at: header.issued_at.ok_or(ReceiptError::TimeMissing)?,
            bound_tree_size: bound_tree_size(&protected)?,
            attached_root: attached_root(parts.payload)?,
            protected: parts.protected.to_vec(),
            signature: parts.signature.to_vec(),
        };
        Ok((head, parts.unprotected))
    }
}

impl Inclusion {
    /// Reads `[tree size, leaf index, [hash, …]]` (RFC 9942 §5.2).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let proof = Item::decode(bytes)?;
        let Some([tree_size, index, path]) = proof.as_array() else {
            return Err(ReceiptError::ProofForm);
        };
        let size = tree_size.as_u64().ok_or(ReceiptError::ProofForm)?;
        let index = index.as_u64().ok_or(ReceiptError::ProofForm)?;
        if index >= size {
            return Err(MerkleError::IndexOutside { index, size }.into());
        }
        Ok(Self { tree_size: size, index, path: hashes(path).ok_or(ReceiptError::ProofForm)? })
    }
}

/// The hashes of a proof, of which there is at least one.
pub(super) fn hashes(path: &Item<'_>) -> Option<Vec<Hash>> {
    let path = path.as_array().filter(|path| (1..=PATH_HASHES_MAX).contains(&path.len()))?;
    path.iter().map(|hash| hash.as_bytes()?.try_into().ok()).collect()
}

fn check_vds(protected: &Map<'_>) -> Result<(), ReceiptError> {
    match lookup(protected, label::VDS) {
        None => Err(ReceiptError::VdsMissing),
        Some(vds) if vds.as_i64() == Some(VDS_RFC9162_SHA256) => Ok(()),
        Some(found) => Err(unknown_vds(found)),
    }
}

pub(super) fn unknown_vds(found: &Item<'_>) -> ReceiptError {
    let found = match found {
        Item::Integer(number) => number.to_string(),
        _ => "that is not a number".to_owned(),
    };
    ReceiptError::VdsUnknown { found }
}

/// The log must be named, so that it can be shown.
pub(super) fn check_log_name(name: &str) -> Result<(), ReceiptError> {
    let is_shown = !name.is_empty() && !name.chars().any(char::is_control);
    if is_shown { Ok(()) } else { Err(ReceiptError::LogName) }
}

/// The size that is signed, if it is.
pub(super) fn bound_tree_size(protected: &Map<'_>) -> Result<Option<u64>, ReceiptError> {
    let size = lookup_text(protected, TREE_SIZE_LABEL);
    size.map(|size| size.as_u64().ok_or(ReceiptError::TreeSizeForm)).transpose()
}

/// The root that was attached, if it was.
pub(super) fn attached_root(payload: Option<&[u8]>) -> Result<Option<Hash>, ReceiptError> {
    payload.map(|root| root.try_into().map_err(|_| ReceiptError::RootForm)).transpose()
}

/// The bytes of the one inclusion proof.
pub(super) fn inclusion_proof<'a>(unprotected: &Map<'a>) -> Result<&'a [u8], ReceiptError> {
    match proofs(unprotected, label::INCLUSION)? {
        [proof] => proof.as_bytes().ok_or(ReceiptError::ProofForm),
        proofs => Err(ReceiptError::ProofCount { found: proofs.len() }),
    }
}

/// The proofs of a kind, if there are any.
pub(super) fn proofs<'m, 'a>(unprotected: &'m Map<'a>, kind: i64) -> Result<&'m [Item<'a>], ReceiptError> {
    let proofs = lookup(unprotected, label::VDP).and_then(Item::as_map).ok_or(ReceiptError::ProofsMissing)?;
    Ok(lookup(proofs, kind).and_then(Item::as_array).unwrap_or_default())
}

/// What `crit` may demand: every protected label that is read here.
pub(super) const UNDERSTOOD: &[Item<'static>] = &[
    Item::Integer(label::ALG as i128),
    Item::Integer(label::KID as i128),
    Item::Integer(label::CWT_CLAIMS as i128),
    Item::Integer(label::VDS as i128),
    Item::Text(TREE_SIZE_LABEL),
];
