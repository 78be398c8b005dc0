//! Signed statements (RFC 9943 §6): what an issuer says about a subject, and the entry that the ledger keeps of it.
//!
//! Three types for three degrees of belief: [`Draft`] is about to be signed, [`SignedStatement`] was decoded and is well
//! formed, [`VerifiedStatement`] carries a signature that was checked. Only the last may be registered.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use docket_oci::Digest;

use crate::cbor::Item;
use crate::cose::{Sign1, label, to_be_signed};
use crate::crypto::{SignatureAlgorithm, sha256};
use crate::key::{Issuer, PublicKey, Thumbprint, parse_lower_hex};
use crate::subject::Subject;

pub use crate::header::HeaderError;
pub use draft::Draft;
pub use error::StatementError;
pub use presented::{PayloadMatch, PresentedStatement};

mod decode;
mod draft;
mod error;
mod presented;

/// Most bytes an entry may have: what the length field of a tile's entry bundle holds. Larger documents are blobs
/// behind a hash envelope.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Most receipts a statement may carry.
pub const MAX_RECEIPTS: usize = 16;

/// Longest `predicateType`, in bytes.
pub const MAX_PREDICATE_TYPE_BYTES: usize = 1024;

/// Most bytes a statement may have with its receipts and other unprotected material.
pub const MAX_STATEMENT_BYTES: usize = 384 * 1024;

/// Most bytes of a media type.
pub const MAX_MEDIA_TYPE_BYTES: usize = 255;

/// What a statement says, beyond who and about what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A document elsewhere, bound by its digest (RFC 9995).
    HashEnvelope {
        /// The digest of the document; it is the payload.
        digest: Digest,
        /// The media type of the document.
        media_type: String,
    },
    /// A document elsewhere, bound by a SHA-384 digest (RFC 9995). Registries do not address content so: such a
    /// statement binds its document for whoever has it, and says nothing about a blob.
    Sha384Envelope {
        /// SHA-384 of the document; it is the payload.
        hash: [u8; 48],
        /// The media type of the document.
        media_type: String,
    },
    /// A document inside the statement.
    Payload {
        /// The media type of the payload.
        media_type: String,
        /// The payload.
        bytes: Vec<u8>,
    },
}

/// A well-formed statement whose signature nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    algorithm: SignatureAlgorithm,
    issuer: Issuer,
    subject: Subject,
    kid: Thumbprint,
    issued_at: Option<i64>,
    typ: Option<String>,
    content: Content,
    claim_type: String,
    entry: Vec<u8>,
    entry_id: EntryId,
    receipts: Vec<Vec<u8>>,
}

/// A statement whose signature was made by a key that is known: [`SignedStatement::verify`] checked it, or
/// [`Draft::sign_verified`] made it. There is no other way to one.
///
/// That the key belongs to the issuer is the question of whoever chose the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement(SignedStatement);

/// The name of an entry: SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 32]);

/// A text is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry id is written as 64 lower-case hex digits")]
pub struct EntryIdError;

impl Content {
    /// The media type of the document, wherever it is.
    pub fn media_type(&self) -> &str {
        match self {
            Self::HashEnvelope { media_type, .. }
            | Self::Sha384Envelope { media_type, .. }
            | Self::Payload { media_type, .. } => media_type,
        }
    }
}

impl SignedStatement {
    /// Who says it (`iss`).
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// About what (`sub`).
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it was signed with (`alg`).
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Which key is said to have signed (`kid`).
    pub fn kid(&self) -> Thumbprint {
        self.kid
    }

    /// When the issuer says it was signed (`iat`), in seconds since 1970. Nobody vouches for it.
    pub fn issued_at(&self) -> Option<i64> {
        self.issued_at
    }

    /// What kind of statement it says it is (`typ`, RFC 9596), if it says so by a media type.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// What is said.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The claim type: the media type of the document in a hash envelope; for an in-toto Statement in the payload its
    /// `predicateType`; for any other payload its content type.
    pub fn claim_type(&self) -> &str {
        &self.claim_type
    }

    /// The canonical bytes that the ledger holds: tag 18, protected header, payload and signature as received, and an
    /// empty unprotected header (RFC 9943 §6.3).
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The name of those bytes.
    pub fn entry_id(&self) -> EntryId {
        self.entry_id
    }

    /// The receipts that came along in the unprotected header (label 394), each as its own bytes. They are hints until
    /// each is verified against the entry.
    pub fn receipts(&self) -> &[Vec<u8>] {
        &self.receipts
    }

    /// Checks the signature with `key`, which must be the one that `kid` names and of the kind that `alg` is for.
    pub fn verify(self, key: &PublicKey) -> Result<VerifiedStatement, StatementError> {
        if key.thumbprint() != self.kid {
            return Err(StatementError::WrongKey { kid: self.kid, key: key.thumbprint() });
        }
        if !key.algorithms().contains(&self.algorithm) {
            return Err(StatementError::AlgorithmOfOtherKey { algorithm: self.algorithm, key: key.thumbprint() });
        }
        let parts = Sign1::decode(&self.entry)?;
        let payload = parts.payload.ok_or(StatementError::PayloadDetached)?;
        if !key.verify(self.algorithm, &to_be_signed(parts.protected, payload), parts.signature) {
            return Err(StatementError::BadSignature { kid: self.kid });
        }
        Ok(VerifiedStatement(self))
    }
}

impl VerifiedStatement {
    /// The statement.
    pub fn statement(&self) -> &SignedStatement {
        &self.0
    }
}

impl Deref for VerifiedStatement {
    type Target = SignedStatement;

    fn deref(&self) -> &SignedStatement {
        &self.0
    }
}

/// The transparent statement: `entry`, which must be canonical, with `receipts` in its unprotected header.
///
/// The receipts are not looked into. At least one and at most [`MAX_RECEIPTS`] are needed.
pub fn transparent(entry: &[u8], receipts: &[&[u8]]) -> Result<Vec<u8>, StatementError> {
    let mut parts = Sign1::decode(entry)?;
    if !parts.unprotected.is_empty() {
        return Err(StatementError::EntryNotCanonical);
    }
    if receipts.is_empty() || receipts.len() > MAX_RECEIPTS {
        return Err(StatementError::ReceiptCount { found: receipts.len() });
    }
    let receipts = receipts.iter().map(|receipt| Item::Bytes(receipt)).collect();
    parts.unprotected.push((label::RECEIPTS.into(), Item::Array(receipts)));
    let bytes = parts.encode();
    if bytes.len() > MAX_STATEMENT_BYTES {
        return Err(StatementError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes)
}

impl EntryId {
    /// The name of the entry with these canonical bytes.
    pub fn of(entry: &[u8]) -> Self {
        Self(sha256(entry))
    }

    /// Takes 32 bytes as they stand, as from storage.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({self})")
    }
}

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        parse_lower_hex(text).map(Self).ok_or(EntryIdError)
    }
}

impl serde::Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
