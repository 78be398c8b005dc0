//! Inclusion proofs of CCF ledgers (draft-ietf-scitt-receipts-ccf-profile, CCF_LEDGER_SHA256): a leaf of three parts, and a
//! path that says of each step on which side it stands. Nothing is prefixed before it is hashed, and no size is told.

use super::ReceiptError;
use crate::cbor::{Item, lookup};
use crate::crypto::{sha256, sha256_of_parts};
use crate::merkle::{Hash, PATH_HASHES_MAX};

/// Most bytes of the evidence that a leaf commits to.
const EVIDENCE_BYTES_MAX: usize = 1024;
/// Keys of a proof.
const LEAF: i64 = 1;
const PATH: i64 = 2;

/// A well-formed proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CcfProof {
    transaction: Hash,
    evidence: Hash,
    data: Hash,
    path: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    is_left: bool,
    sibling: Hash,
}

impl CcfProof {
    /// Reads `{1: [transaction hash, evidence, data hash], 2: [[left, hash], …]}`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let proof = Item::decode(bytes)?;
        let form = ReceiptError::CcfProofForm;
        let map = proof.as_map().filter(|map| map.len() == 2).ok_or(form.clone())?;
        let leaf = lookup(map, LEAF).and_then(Item::as_array);
        let Some([transaction, evidence, data]) = leaf else { return Err(form) };
        let evidence = evidence.as_text().filter(|text| (1..=EVIDENCE_BYTES_MAX).contains(&text.len()));
        let path = lookup(map, PATH).and_then(Item::as_array);
        let path = path.filter(|path| (1..=PATH_HASHES_MAX).contains(&path.len())).ok_or(form.clone())?;
        Ok(Self {
            transaction: hash(transaction).ok_or(form.clone())?,
            evidence: sha256(evidence.ok_or(form.clone())?.as_bytes()),
            data: hash(data).ok_or(form.clone())?,
            path: path.iter().map(Step::read).collect::<Option<_>>().ok_or(form)?,
        })
    }

    /// The root that the proof leads to, if it is about this entry.
    pub(super) fn root(&self, entry: &[u8]) -> Result<Hash, ReceiptError> {
        if self.data != sha256(entry) {
            return Err(ReceiptError::OtherEntry);
        }
        let leaf = sha256_of_parts(&[&self.transaction, &self.evidence, &self.data]);
        Ok(self.path.iter().fold(leaf, |below, Step { is_left, sibling }| {
            let (left, right) = if *is_left { (sibling, &below) } else { (&below, sibling) };
            sha256_of_parts(&[left, right])
        }))
    }
}

impl Step {
    fn read(item: &Item<'_>) -> Option<Self> {
        let [Item::Bool(is_left), sibling] = item.as_array()? else { return None };
        Some(Self { is_left: *is_left, sibling: hash(sibling)? })
    }
}

fn hash(item: &Item<'_>) -> Option<Hash> {
    item.as_bytes()?.try_into().ok()
}
