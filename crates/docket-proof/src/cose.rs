//! COSE_Sign1 (RFC 9052 §4.2) split into its parts with the signed bytes kept exactly as received.

use std::fmt;
use std::str::FromStr;

use crate::cbor::{CborError, Item, Map};
use crate::crypto::SignatureAlgorithm;
use coset::{ProtectedHeader, SignatureContext, sig_structure_data};

/// Header labels and claim keys of COSE, CWT, SCITT and COSE receipts.
pub mod label {
    /// Signature algorithm (RFC 9052).
    pub const ALG: i64 = 1;
    /// Labels that a reader must understand (RFC 9052).
    pub const CRIT: i64 = 2;
    /// Content type of the payload (RFC 9052).
    pub const CONTENT_TYPE: i64 = 3;
    /// Key identifier (RFC 9052).
    pub const KID: i64 = 4;
    /// CWT claims in a header (RFC 9597).
    pub const CWT_CLAIMS: i64 = 15;
    /// Type of the whole message (RFC 9596).
    pub const TYP: i64 = 16;
    /// Certificate chain (RFC 9360).
    pub const X5CHAIN: i64 = 33;
    /// Hash of a certificate (RFC 9360).
    pub const X5T: i64 = 34;
    /// Hash algorithm of a hash envelope's payload (RFC 9995).
    pub const PAYLOAD_HASH_ALG: i64 = 258;
    /// Content type of what was hashed (RFC 9995).
    pub const PREIMAGE_CONTENT_TYPE: i64 = 259;
    /// Where what was hashed may be found (RFC 9995); a hint that is never followed.
    pub const PAYLOAD_LOCATION: i64 = 260;
    /// Receipts of a transparent statement (RFC 9942).
    pub const RECEIPTS: i64 = 394;
    /// Which verifiable data structure a receipt is about (RFC 9942).
    pub const VDS: i64 = 395;
    /// The proofs of a receipt (RFC 9942).
    pub const VDP: i64 = 396;
    /// Inclusion proofs inside [`VDP`] (RFC 9942).
    pub const INCLUSION: i64 = -1;
    /// Consistency proofs inside [`VDP`] (RFC 9942).
    pub const CONSISTENCY: i64 = -2;
    /// CWT claim: who says it (RFC 8392).
    pub const ISS: i64 = 1;
    /// CWT claim: about what (RFC 8392).
    pub const SUB: i64 = 2;
    /// CWT claim: when, in seconds since 1970 (RFC 8392).
    pub const IAT: i64 = 6;
}

/// ECDSA with SHA-256 on P-256 (RFC 9053 §2.1), the one algorithm of the service's own receipts and statements.
pub const ES256: i64 = -7;

/// A text is no name of a signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature algorithms are ES256, ES384, ES512, PS256, PS384, PS512 and EdDSA")]
pub struct AlgorithmNameError;

/// The parts of a tagged COSE_Sign1, borrowed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign1<'a> {
    /// Content of the protected header's byte string, exactly as signed.
    pub protected: &'a [u8],
    /// The unprotected header: nothing in it is authenticated.
    pub unprotected: Map<'a>,
    /// The payload, or `None` where it is detached (nil).
    pub payload: Option<&'a [u8]>,
    /// The signature.
    pub signature: &'a [u8],
}

/// Why bytes are not a COSE_Sign1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// Not strictly encoded CBOR.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// The protected header is not strictly encoded CBOR; offsets count inside it.
    #[error("protected header: {0}")]
    ProtectedCbor(CborError),
    /// No tag, or another tag than 18.
    #[error("not a COSE_Sign1: tag 18 is missing")]
    NotTagged,
    /// Tag 18 holds something else than [bytes, map, bytes or nil, bytes].
    #[error(
        "not a COSE_Sign1: tag 18 must hold [protected bytes, unprotected map, payload bytes or nil, signature bytes]"
    )]
    WrongShape,
    /// The protected header is no map.
    #[error("protected header is not a map")]
    ProtectedNotMap,
    /// A label is neither an integer nor text.
    #[error("a header label is neither an integer nor text")]
    BadLabel,
}

impl SignatureAlgorithm {
    /// Its number in COSE (RFC 9053 §2, RFC 8230 §2).
    pub fn number(self) -> i64 {
        match self {
            Self::Es256 => ES256,
            Self::Es384 => -35,
            Self::Es512 => -36,
            Self::Ps256 => -37,
            Self::Ps384 => -38,
            Self::Ps512 => -39,
            Self::EdDsa => -8,
        }
    }

    /// The algorithm with this number, if it is supported.
    pub fn of_number(number: i128) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| i128::from(algorithm.number()) == number)
    }

    /// Its name in COSE.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = AlgorithmNameError;

    fn from_str(text: &str) -> Result<Self, AlgorithmNameError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text).ok_or(AlgorithmNameError)
    }
}

impl<'a> Sign1<'a> {
    /// Splits a tagged COSE_Sign1. The protected header is not looked into; see [`Self::protected_map`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CoseError> {
        let Item::Tag(TAG, content) = Item::decode(bytes)? else {
            return Err(CoseError::NotTagged);
        };
        let Item::Array(parts) = *content else {
            return Err(CoseError::WrongShape);
        };
        let Ok([protected, unprotected, payload, signature]) = <[Item<'a>; 4]>::try_from(parts) else {
            return Err(CoseError::WrongShape);
        };
        let (Item::Bytes(protected), Item::Map(unprotected), Item::Bytes(signature)) =
            (protected, unprotected, signature)
        else {
            return Err(CoseError::WrongShape);
        };
        let payload = match payload {
            Item::Bytes(bytes) => Some(bytes),
            Item::Null => None,
            _ => return Err(CoseError::WrongShape),
        };
        check_labels(&unprotected)?;
        Ok(Self { protected, unprotected, payload, signature })
    }

    /// The tagged bytes: what [`Self::decode`] read, in the one deterministic form.
    pub fn encode(&self) -> Vec<u8> {
        let parts = vec![
            Item::Bytes(self.protected),
            Item::Map(self.unprotected.clone()),
            self.payload.map_or(Item::Null, Item::Bytes),
            Item::Bytes(self.signature),
        ];
        Item::Tag(TAG, Box::new(Item::Array(parts))).encode()
    }

    /// The entries of the protected header. No bytes at all stand for the empty map (RFC 9052 §3).
    pub fn protected_map(&self) -> Result<Map<'a>, CoseError> {
        if self.protected.is_empty() {
            return Ok(Map::new());
        }
        match Item::decode(self.protected).map_err(CoseError::ProtectedCbor)? {
            Item::Map(entries) => {
                check_labels(&entries)?;
                Ok(entries)
            }
            _ => Err(CoseError::ProtectedNotMap),
        }
    }
}

/// The bytes that are signed: the Sig_structure of RFC 9052 §4.4 with no external data.
pub fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = ProtectedHeader { original_data: Some(protected.to_vec()), ..ProtectedHeader::default() };
    sig_structure_data(SignatureContext::CoseSign1, header, None, &[], payload)
}

fn check_labels(entries: &Map<'_>) -> Result<(), CoseError> {
    let good = entries.iter().all(|(label, _)| matches!(label, Item::Integer(_) | Item::Text(_)));
    if good { Ok(()) } else { Err(CoseError::BadLabel) }
}

/// The tag of COSE_Sign1.
const TAG: u64 = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use coset::TaggedCborSerializable;

    #[test]
    fn what_is_signed_is_what_another_library_signs() {
        let message = coset::CoseSign1Builder::new()
            .protected(coset::HeaderBuilder::new().algorithm(coset::iana::Algorithm::ES256).build())
            .payload(b"payload".to_vec())
            .create_signature(b"", <[u8]>::to_vec)
            .build();
        let bytes = message.to_tagged_vec().expect("coset encodes its own message");

        let ours = Sign1::decode(&bytes).expect("a plain COSE_Sign1");

        // The other library was made to put the signed bytes where the signature goes.
        assert_eq!(to_be_signed(ours.protected, b"payload"), ours.signature);
        assert_eq!(ours.encode(), bytes);
    }

    #[test]
    fn every_other_shape_is_refused() {
        for (hex, expected) in [
            ("8440a04040", CoseError::NotTagged),
            ("d18440a04040", CoseError::NotTagged),
            ("d28340a040", CoseError::WrongShape),
            ("d28540a0404040", CoseError::WrongShape),
            ("d2a0", CoseError::WrongShape),
            ("d284a0a04040", CoseError::WrongShape),
            ("d28440804040", CoseError::WrongShape),
            ("d28440a06040", CoseError::WrongShape),
            ("d28440a040f6", CoseError::WrongShape),
            ("d28440a140404040", CoseError::BadLabel),
        ] {
            let bytes = hex::decode(hex).expect("hex in this test");
            assert_eq!(Sign1::decode(&bytes), Err(expected), "{hex}");
        }
    }

    #[test]
    fn a_protected_header_must_be_one_strict_map() {
        for (hex, expected) in [
            ("d28441a0a04040", Ok(vec![])),
            ("d28440a04040", Ok(vec![])),
            ("d2844180a04040", Err(CoseError::ProtectedNotMap)),
            ("d28442a000a04040", Err(CoseError::ProtectedCbor(CborError::TrailingBytes { offset: 1, count: 1 }))),
            ("d28443a1f600a04040", Err(CoseError::BadLabel)),
        ] {
            let bytes = hex::decode(hex).expect("hex in this test");
            let message = Sign1::decode(&bytes).expect("the outer shape is right");
            assert_eq!(message.protected_map(), expected, "{hex}");
        }
    }
}
