//! X.509 chains (RFC 5280, RFC 9360): from what a statement carries to the certificate that answers for its signature.
//!
//! Two types for two degrees of belief: a [`Chain`] was read, a [`ValidChain`] leads to a root that somebody configured, at
//! a time that the caller names. Path, dates, basic constraints and name constraints are judged by a library made for
//! it; added here are key usage, the demanded extended key usage, and that the chain is its path and nothing else. There
//! is no revocation, and nothing is ever fetched.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use pem_rfc7468::LineEnding;

use crate::cbor::Item;
use crate::crypto::{sha256, sha384, sha512};

pub(crate) use certificate::SHORT_NAMES;
pub use certificate::{Certificate, Facts};
pub use error::ChainError;
pub use path::{ROOTS_BYTES_MAX, ROOTS_MAX, Roots, ValidChain};

mod certificate;
mod error;
mod path;

/// Most certificates in a chain, the root included.
pub const CHAIN_CERTIFICATES_MAX: usize = 8;

/// Most bytes the certificates of a chain may have together.
pub const CHAIN_BYTES_MAX: usize = 32 * 1024;

/// The certificates that a statement carries, leaf first, each of them well formed. Nothing they say is believed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain(Vec<Certificate>);

/// The hash of a certificate's DER: x5t (RFC 9360 §2), and how did:x509 names a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fingerprint {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-384.
    Sha384([u8; 48]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl Chain {
    /// Takes certificates in DER, leaf first.
    pub fn new(certificates: &[&[u8]]) -> Result<Self, ChainError> {
        if certificates.is_empty() || certificates.len() > CHAIN_CERTIFICATES_MAX {
            return Err(ChainError::Count { found: certificates.len() });
        }
        let bytes = certificates.iter().map(|der| der.len()).sum();
        if bytes > CHAIN_BYTES_MAX {
            return Err(ChainError::TooLarge { bytes });
        }
        let read = certificates.iter().enumerate().map(|(position, der)| Certificate::read(position, der));
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// Reads PEM blocks labelled `CERTIFICATE`, leaf first; text between them is ignored.
    pub fn from_pem(text: &str) -> Result<Self, ChainError> {
        if text.len() > ROOTS_BYTES_MAX {
            return Err(ChainError::TooLarge { bytes: text.len() });
        }
        let certificates = pem_blocks(text)?;
        Self::new(&certificates.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Reads a COSE_X509: one byte string, or an array of two or more (RFC 9360 §2).
    pub(crate) fn from_cose(item: &Item<'_>) -> Result<Self, ChainError> {
        let certificates = match item {
            Item::Bytes(single) => vec![*single],
            Item::Array(several) if several.len() >= 2 => {
                several.iter().map(Item::as_bytes).collect::<Option<_>>().ok_or(ChainError::Form)?
            }
            _ => return Err(ChainError::Form),
        };
        Self::new(&certificates)
    }

    /// The COSE_X509 of the chain.
    pub(crate) fn to_cose(&self) -> Item<'_> {
        match self.0.as_slice() {
            [single] => Item::Bytes(single.der()),
            several => Item::Array(several.iter().map(|certificate| Item::Bytes(certificate.der())).collect()),
        }
    }

    /// The certificate whose key signs.
    pub fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// All of them, leaf first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} certificates, leaf {})", self.0.len(), self.leaf().fingerprint())
    }
}

impl Fingerprint {
    /// The SHA-256 of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self::Sha256(sha256(der))
    }

    /// Whether this is the hash of the certificate with these bytes.
    pub fn names(&self, der: &[u8]) -> bool {
        match self {
            Self::Sha256(hash) => *hash == sha256(der),
            Self::Sha384(hash) => *hash == sha384(der),
            Self::Sha512(hash) => *hash == sha512(der),
        }
    }

    /// Reads a COSE_CertHash, `[algorithm, hash]`. Truncated hashes are refused.
    pub(crate) fn from_cose(item: &Item<'_>) -> Result<Self, ChainError> {
        let Some([algorithm, hash]) = item.as_array() else { return Err(ChainError::ThumbprintForm) };
        let hash = hash.as_bytes().ok_or(ChainError::ThumbprintForm)?;
        let read = match algorithm.as_i64() {
            Some(-16) => hash.try_into().ok().map(Self::Sha256),
            Some(-43) => hash.try_into().ok().map(Self::Sha384),
            Some(-44) => hash.try_into().ok().map(Self::Sha512),
            _ => None,
        };
        read.ok_or(ChainError::ThumbprintForm)
    }

    /// The COSE_CertHash.
    pub(crate) fn as_cose(&self) -> Item<'_> {
        let (algorithm, hash): (i64, &[u8]) = match self {
            Self::Sha256(hash) => (-16, hash),
            Self::Sha384(hash) => (-43, hash),
            Self::Sha512(hash) => (-44, hash),
        };
        Item::Array(vec![algorithm.into(), Item::Bytes(hash)])
    }

    /// Reads what did:x509 writes: an algorithm's name and unpadded base64url.
    pub(crate) fn from_did(algorithm: &str, text: &str) -> Option<Self> {
        let hash = URL_SAFE_NO_PAD.decode(text).ok()?;
        match algorithm {
            "sha256" => hash.try_into().ok().map(Self::Sha256),
            "sha384" => hash.try_into().ok().map(Self::Sha384),
            "sha512" => hash.try_into().ok().map(Self::Sha512),
            _ => None,
        }
    }

    /// The name of the algorithm and the hash in unpadded base64url, as did:x509 writes them.
    pub fn to_did(&self) -> String {
        let (algorithm, hash): (&str, &[u8]) = match self {
            Self::Sha256(hash) => ("sha256", hash),
            Self::Sha384(hash) => ("sha384", hash),
            Self::Sha512(hash) => ("sha512", hash),
        };
        format!("{algorithm}:{}", URL_SAFE_NO_PAD.encode(hash))
    }
}

/// Lower-case hex, which is how people compare fingerprints.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Sha256(hash) => hex::encode(hash),
            Self::Sha384(hash) => hex::encode(hash),
            Self::Sha512(hash) => hex::encode(hash),
        })
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The DER of every PEM block labelled `CERTIFICATE`.
fn pem_blocks(text: &str) -> Result<Vec<Vec<u8>>, ChainError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(PEM_BEGIN) {
        let from = &rest[begin..];
        let end = from.find(PEM_END).ok_or(ChainError::Pem)? + PEM_END.len();
        let (label, der) = pem_rfc7468::decode_vec(&from.as_bytes()[..end]).map_err(|_| ChainError::Pem)?;
        debug_assert_eq!(label, "CERTIFICATE");
        blocks.push(der);
        rest = &from[end..];
    }
    Ok(blocks)
}

/// A certificate as a PEM block with a final newline.
pub fn certificate_pem(der: &[u8]) -> String {
    pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).expect("a certificate fits a PEM block")
}

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

#[cfg(test)]
pub(crate) mod tests;
