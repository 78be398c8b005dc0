//! Receipts of any service, in the forms that are known: RFC9162_SHA256 as others make it too, and CCF's.
//!
//! What a service does differently is for the reader to allow ([`Profile`]); nothing in a receipt can choose it. What a
//! receipt says of itself counts for nothing but to find the key: a service may name its keys as it likes.

use std::fmt;

use super::ccf::CcfProof;
use super::{Inclusion, MAX_RECEIPT_BYTES, ReceiptError, ServiceName, VDS_RFC9162_SHA256, check_signature, decode};
use crate::cbor::{Item, Map, lookup, lookup_text};
use crate::cose::{Sign1, label};
use crate::crypto::{SignatureAlgorithm, sha256};
use crate::header::{HeaderError, algorithm, check_crit, check_twice, seconds};
use crate::key::PublicKey;
use crate::merkle::{Hash, leaf_hash, root_from_path};

/// The verifiable data structure that CCF calls CCF_LEDGER_SHA256. The number is what its services ship.
pub const VDS_CCF_LEDGER_SHA256: i64 = 2;

/// What a reader allows a service to do otherwise than this one does. The default is what this one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// What is hashed into the leaf of an RFC9162_SHA256 tree.
    pub leaf: Leaf,
    /// Whether its receipts must sign the size of their tree.
    pub tree_size: TreeSize,
}

/// The leaf input of a tree; no RFC says which, and a receipt does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leaf {
    /// The entry itself.
    #[default]
    Entry,
    /// The SHA-256 of the entry.
    Digest,
}

/// Whether the size of the tree is signed. RFC 9942 does not ask for it, and without it one path folds under several sizes:
/// the entry is proven, its place is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeSize {
    /// It is, under [`super::TREE_SIZE_LABEL`].
    #[default]
    Bound,
    /// It need not be.
    Unbound,
}

/// The form of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Format {
    /// RFC 9942 §5.
    #[serde(rename = "RFC9162_SHA256")]
    Rfc9162,
    /// draft-ietf-scitt-receipts-ccf-profile.
    #[serde(rename = "CCF_LEDGER_SHA256")]
    Ccf,
}

/// Where an entry stands, as far as its receipt proves that.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Position {
    /// At an index of a tree whose size is signed.
    Index {
        /// Counted from 0.
        index: u64,
        /// Entries in the tree.
        tree_size: u64,
    },
    /// At an index that is said, in a tree whose size is not signed.
    ClaimedIndex {
        /// Counted from 0.
        index: u64,
        /// Entries in the tree.
        tree_size: u64,
    },
    /// In a transaction of a CCF ledger, if its service signed which.
    Transaction {
        /// View and sequence number.
        txid: Option<String>,
    },
}

/// A well-formed receipt of some service that was not verified yet: what it says is said by nobody so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyReceipt {
    service: ServiceName,
    kid: Option<Vec<u8>>,
    algorithm: SignatureAlgorithm,
    signed_at: Option<i64>,
    proof: Proof,
    attached_root: Option<Hash>,
    protected: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Rfc9162 { inclusion: Inclusion, bound_tree_size: Option<u64> },
    Ccf { proof: CcfProof, txid: Option<String> },
}

impl AnyReceipt {
    /// Reads a receipt with exactly one inclusion proof. An unknown verifiable data structure is an error that names it.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptError::TooLarge { bytes: bytes.len() });
        }
        let parts = Sign1::decode(bytes)?;
        let protected = parts.protected_map()?;
        let format = format(&protected)?;
        check_twice(&protected, &parts.unprotected)?;
        check_crit(&protected, &parts.unprotected, decode::UNDERSTOOD)?;
        let algorithm = algorithm(&protected)?;
        let kid = match lookup(&protected, label::KID) {
            Some(kid) => Some(kid.as_bytes().ok_or(ReceiptError::KidForm)?.to_vec()),
            None => None,
        };
        let claims = lookup(&protected, label::CWT_CLAIMS).and_then(Item::as_map).ok_or(HeaderError::ClaimsMissing)?;
        let service = lookup(claims, label::ISS).and_then(Item::as_text).ok_or(HeaderError::IssuerMissing)?;
        let log = lookup(claims, label::SUB).and_then(Item::as_text).ok_or(HeaderError::SubjectMissing)?;
        decode::check_log_name(log)?;
        let signed_at = lookup(claims, label::IAT).map(seconds).transpose()?;
        let proof = decode::inclusion_proof(&parts.unprotected)?;
        let proof = match format {
            Format::Rfc9162 => Proof::Rfc9162 {
                inclusion: Inclusion::read(proof)?,
                bound_tree_size: decode::bound_tree_size(&protected)?,
            },
            Format::Ccf => Proof::Ccf { proof: CcfProof::read(proof)?, txid: txid(&protected) },
        };
        Ok(Self {
            service: service.parse()?,
            kid,
            algorithm,
            signed_at,
            proof,
            attached_root: decode::attached_root(parts.payload)?,
            protected: parts.protected.to_vec(),
            signature: parts.signature.to_vec(),
        })
    }

    /// Who a receipt says issued it, even where [`Self::decode`] refuses it: whether one matters depends on who made it.
    pub fn claimed_service(bytes: &[u8]) -> Option<ServiceName> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return None;
        }
        let protected = Sign1::decode(bytes).ok()?.protected_map().ok()?;
        let claims = lookup(&protected, label::CWT_CLAIMS)?.as_map()?;
        lookup(claims, label::ISS)?.as_text()?.parse().ok()
    }

    /// The service that signed (`iss`).
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// When the service signed (`iat`), in seconds since 1970, if it says so.
    pub fn signed_at(&self) -> Option<i64> {
        self.signed_at
    }

    /// Its form.
    pub fn format(&self) -> Format {
        match self.proof {
            Proof::Rfc9162 { .. } => Format::Rfc9162,
            Proof::Ccf { .. } => Format::Ccf,
        }
    }

    /// Checks that the holder of one of the `keys` signed a tree in which `entry` (canonical bytes) stands, and says where.
    pub fn verify(&self, entry: &[u8], keys: &[PublicKey], profile: Profile) -> Result<Position, ReceiptError> {
        let (root, position) = match &self.proof {
            Proof::Rfc9162 { inclusion, bound_tree_size } => {
                let Inclusion { tree_size, index, path } = inclusion;
                let (tree_size, index) = (*tree_size, *index);
                let position = match (bound_tree_size, profile.tree_size) {
                    (Some(bound), _) if *bound != tree_size => {
                        return Err(ReceiptError::TreeSizeDiffers { bound: *bound, claimed: tree_size });
                    }
                    (Some(_), _) => Position::Index { index, tree_size },
                    (None, TreeSize::Unbound) => Position::ClaimedIndex { index, tree_size },
                    (None, TreeSize::Bound) => return Err(ReceiptError::TreeSizeUnbound),
                };
                let leaf = match profile.leaf {
                    Leaf::Entry => leaf_hash(entry),
                    Leaf::Digest => leaf_hash(&sha256(entry)),
                };
                (root_from_path(index, tree_size, &leaf, path)?, position)
            }
            Proof::Ccf { proof, txid } => (proof.root(entry)?, Position::Transaction { txid: txid.clone() }),
        };
        if self.attached_root.is_some_and(|attached| attached != root) {
            return Err(ReceiptError::RootDiffers);
        }
        self.check_signature(&root, keys)?;
        Ok(position)
    }

    /// Whichever of the keys the receipt names; all of them, where it names keys in a way that is not known.
    fn check_signature(&self, root: &Hash, keys: &[PublicKey]) -> Result<(), ReceiptError> {
        let kid = self.kid.as_deref();
        let named: Vec<_> = keys.iter().filter(|key| kid.is_some_and(|kid| names(kid, key))).collect();
        let tried = match (kid, named.as_slice()) {
            (Some(kid), []) if is_derived(kid) => return Err(ReceiptError::UnknownKey { kid: shown(kid) }),
            (_, []) => keys.iter().collect(),
            (_, [_, ..]) => named,
        };
        let mut refused = ReceiptError::UnknownKey { kid: kid.map_or_else(|| "none".to_owned(), shown) };
        for key in tried {
            match check_signature(key, self.algorithm, &self.protected, root, &self.signature) {
                Ok(()) => return Ok(()),
                Err(failure) => refused = failure,
            }
        }
        Err(refused)
    }
}

/// Whether a kid is a key's RFC 9679 thumbprint, or in hex digits the hash of its SubjectPublicKeyInfo as CCF writes it.
fn names(kid: &[u8], key: &PublicKey) -> bool {
    kid == key.thumbprint().as_bytes() || kid == hex::encode(sha256(&key.to_spki_der())).as_bytes()
}

/// Whether a kid has the form of one that is made from its key.
fn is_derived(kid: &[u8]) -> bool {
    kid.len() == 32 || (kid.len() == 64 && kid.iter().all(u8::is_ascii_hexdigit))
}

/// A kid for people: text where it is text.
fn shown(kid: &[u8]) -> String {
    match std::str::from_utf8(kid) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        Ok(_) | Err(_) => hex::encode(kid),
    }
}

fn format(protected: &Map<'_>) -> Result<Format, ReceiptError> {
    match lookup(protected, label::VDS) {
        None => Err(ReceiptError::VdsMissing),
        Some(vds) if vds.as_i64() == Some(VDS_RFC9162_SHA256) => Ok(Format::Rfc9162),
        Some(vds) if vds.as_i64() == Some(VDS_CCF_LEDGER_SHA256) => Ok(Format::Ccf),
        Some(found) => Err(decode::unknown_vds(found)),
    }
}

/// The transaction that a CCF service signs beside the root.
fn txid(protected: &Map<'_>) -> Option<String> {
    let ccf = lookup_text(protected, "ccf.v1")?.as_map()?;
    let txid = lookup_text(ccf, "txid")?.as_text()?;
    let is_plain = txid.len() <= TXID_BYTES_MAX && txid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain.then(|| txid.to_owned())
}

/// Bytes of a transaction's name: two numbers of 64 bits and a dot.
const TXID_BYTES_MAX: usize = 41;

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc9162 => "RFC9162_SHA256",
            Self::Ccf => "CCF_LEDGER_SHA256",
        })
    }
}
