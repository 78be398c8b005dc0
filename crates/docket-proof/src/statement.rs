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
use crate::did_x509::{NameKind, check_name};
use crate::key::{Issuer, PublicKey, Thumbprint, parse_lower_hex};
use crate::subject::Subject;
use crate::x509::{Chain, ChainError, Facts, Fingerprint, Roots};

pub use crate::header::HeaderError;
pub use draft::{Draft, UnsignedStatement};
pub use error::StatementError;
pub use presented::{PayloadMatch, PresentedStatement};

mod decode;
mod draft;
mod error;
mod json;
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

/// By what a statement says whose key signed it. Only what is in the protected header decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// A key by itself, named by `kid`.
    Key(Thumbprint),
    /// The first certificate of a chain in the protected header (x5chain). A `kid` beside it is not read.
    SignedChain(Chain),
    /// A certificate named in the protected header (x5t); its chain came beside it, or did not.
    NamedCertificate {
        /// The hash of the certificate.
        x5t: Fingerprint,
        /// The chain that begins with it, from the unprotected header.
        chain: Option<Chain>,
    },
}

/// Who answers for a statement by certificate: what the leaf says, and the root that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What kind of name the certificates give.
    pub kind: NameKind,
    /// The key of the leaf.
    pub key: Thumbprint,
    /// SHA-256 of the leaf.
    pub leaf: Fingerprint,
    /// SHA-256 of the root.
    pub root: Fingerprint,
    /// What the leaf says.
    pub facts: Facts,
}

/// A well-formed statement whose signature nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    algorithm: SignatureAlgorithm,
    issuer: Issuer,
    subject: Subject,
    signer: Signer,
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

    /// By what it says whose key signed.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Which key is said to have signed (`kid`); `None` where a certificate is named.
    pub fn kid(&self) -> Option<Thumbprint> {
        match self.signer {
            Signer::Key(kid) => Some(kid),
            Signer::SignedChain(_) | Signer::NamedCertificate { .. } => None,
        }
    }

    /// The chain that came in the unprotected header, encoded as it stands there: needed to check the entry again, and no part
    /// of it.
    pub fn collateral(&self) -> Option<Vec<u8>> {
        match &self.signer {
            Signer::NamedCertificate { chain: Some(chain), .. } => Some(chain.to_cose().encode()),
            Signer::NamedCertificate { chain: None, .. } | Signer::Key(_) | Signer::SignedChain(_) => None,
        }
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

    /// Whether the media type of the payload says that it is JSON.
    pub fn says_json(&self) -> bool {
        let Content::Payload { media_type, .. } = &self.content else { return false };
        let kind = docket_oci::media::essence(media_type).to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    }

    /// The payload, if it [says that it is JSON](Self::says_json) and every reader would read the same: what policies and queries may
    /// look into.
    pub fn json_payload(&self) -> Option<serde_json::Value> {
        let Content::Payload { bytes, .. } = &self.content else { return None };
        if self.says_json() { json::unambiguous(bytes) } else { None }
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
        let kid = self.kid().ok_or(StatementError::ByCertificate)?;
        if key.thumbprint() != kid {
            return Err(StatementError::WrongKey { kid, key: key.thumbprint() });
        }
        self.check_signature(key)?;
        Ok(VerifiedStatement(self))
    }

    /// Checks the signature with the key of the certificate, whose chain must lead to one of `roots` at the time `at` (seconds
    /// since 1970) and must answer for `iss`. With `purpose`, an OID, the certificate must have that extended key usage.
    pub fn verify_by_certificate(
        self,
        roots: &Roots,
        at: i64,
        purpose: Option<&str>,
    ) -> Result<(VerifiedStatement, Holder), StatementError> {
        let chain = match &self.signer {
            Signer::Key(_) => return Err(StatementError::ByKey),
            Signer::SignedChain(chain) | Signer::NamedCertificate { chain: Some(chain), .. } => chain,
            Signer::NamedCertificate { chain: None, .. } => return Err(ChainError::Missing.into()),
        };
        let valid = chain.validate(roots, at, purpose)?;
        let kind = check_name(&valid, &self.issuer)?;
        self.check_signature(valid.key())?;
        let holder = Holder {
            kind,
            key: valid.key().thumbprint(),
            leaf: valid.leaf(),
            root: valid.root(),
            facts: valid.facts().clone(),
        };
        Ok((VerifiedStatement(self), holder))
    }

    fn check_signature(&self, key: &PublicKey) -> Result<(), StatementError> {
        let kid = key.thumbprint();
        if !key.algorithms().contains(&self.algorithm) {
            return Err(StatementError::AlgorithmOfOtherKey { algorithm: self.algorithm, key: kid });
        }
        let parts = Sign1::decode(&self.entry)?;
        let payload = parts.payload.ok_or(StatementError::PayloadDetached)?;
        if key.verify(self.algorithm, &to_be_signed(parts.protected, payload), parts.signature) {
            Ok(())
        } else {
            Err(StatementError::BadSignature { kid })
        }
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
    transparent_with(entry, None, receipts)
}

/// The same with the chain that belongs to the entry, as [`SignedStatement::collateral`] gives it.
pub fn transparent_with(
    entry: &[u8],
    collateral: Option<&[u8]>,
    receipts: &[&[u8]],
) -> Result<Vec<u8>, StatementError> {
    if receipts.is_empty() || receipts.len() > MAX_RECEIPTS {
        return Err(StatementError::ReceiptCount { found: receipts.len() });
    }
    let receipts = receipts.iter().map(|receipt| Item::Bytes(receipt)).collect();
    dressed(entry, collateral, Some((label::RECEIPTS.into(), Item::Array(receipts))))
}

/// The canonical entry with more in its unprotected header.
fn dressed<'a>(
    entry: &'a [u8],
    collateral: Option<&'a [u8]>,
    more: Option<(Item<'a>, Item<'a>)>,
) -> Result<Vec<u8>, StatementError> {
    let mut parts = Sign1::decode(entry)?;
    if !parts.unprotected.is_empty() {
        return Err(StatementError::EntryNotCanonical);
    }
    if let Some(collateral) = collateral {
        let chain = Item::decode(collateral).map_err(|_| ChainError::Form)?;
        parts.unprotected.push((label::X5CHAIN.into(), chain));
    }
    parts.unprotected.extend(more);
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
