//! SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), the form of keys in files and certificates, and what makes bytes a key.

use spki::der::asn1::{AnyRef, BitStringRef, UintRef};
use spki::der::{Decode, Encode};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{KeyError, PublicKey, Thumbprint};
use crate::crypto::{CheckedKey, KeyKind};

/// Fewest and most bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo: an uncompressed point (RFC 5480), an Ed25519 key (RFC 8410) or an RSA key (RFC 3279).
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::NotSpki)?;
        let AlgorithmIdentifierRef { oid, parameters } = info.algorithm;
        let kind = match oid {
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::NotSpki)?;
                let known = CURVES.iter().find(|(_, oid)| *oid == curve);
                known.ok_or_else(|| KeyError::UnsupportedKind { kind: format!("curve {curve}") })?.0
            }
            ED25519 if parameters.is_none() => KeyKind::Ed25519,
            RSA if parameters == Some(AnyRef::NULL) => KeyKind::Rsa,
            ED25519 | RSA => return Err(KeyError::NotSpki),
            other => return Err(KeyError::UnsupportedKind { kind: other.to_string() }),
        };
        Self::from_parts(kind, info.subject_public_key.as_bytes().ok_or(KeyError::NotSpki)?)
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn to_spki_der(&self) -> Vec<u8> {
        let curve = CURVES.iter().find(|(kind, _)| *kind == self.key.kind()).map(|(_, oid)| oid);
        let (oid, parameters) = match self.key.kind() {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => (EC_PUBLIC_KEY, curve.map(AnyRef::from)),
            KeyKind::Ed25519 => (ED25519, None),
            KeyKind::Rsa => (RSA, Some(AnyRef::NULL)),
        };
        let info = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid, parameters },
            subject_public_key: BitStringRef::from_bytes(self.key.bytes()).expect("a short bit string"),
        };
        info.to_der().expect("a structure of checked parts is encodable")
    }

    /// Checks what stands in the bit string of a SubjectPublicKeyInfo.
    pub(super) fn from_parts(kind: KeyKind, bytes: &[u8]) -> Result<Self, KeyError> {
        match kind {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                if bytes.len() != 1 + 2 * coordinate_bytes(kind) || bytes[0] != UNCOMPRESSED {
                    return Err(KeyError::PointForm);
                }
            }
            KeyKind::Ed25519 => {
                if bytes.len() != coordinate_bytes(kind) {
                    return Err(KeyError::PointForm);
                }
            }
            KeyKind::Rsa => {
                let [modulus, _] = rsa_numbers(bytes).ok_or(KeyError::RsaForm)?;
                if !RSA_BITS.contains(&bits(modulus)) {
                    return Err(KeyError::RsaForm);
                }
            }
        }
        let refused = if kind == KeyKind::Rsa { KeyError::RsaForm } else { KeyError::NotOnCurve };
        let key = CheckedKey::new(kind, bytes).map_err(|_| refused)?;
        let thumbprint = Thumbprint::of(&key);
        Ok(Self { key, thumbprint })
    }
}

/// Bytes of one coordinate, or of the whole Ed25519 key.
pub(super) fn coordinate_bytes(kind: KeyKind) -> usize {
    match kind {
        KeyKind::P256 | KeyKind::Ed25519 => 32,
        KeyKind::P384 => 48,
        KeyKind::P521 => 66,
        KeyKind::Rsa => 0,
    }
}

/// Modulus and exponent of a PKCS#1 RSAPublicKey, without leading zeros.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<[&[u8]; 2]> {
    let numbers: [UintRef<'_>; 2] = Vec::from_der(der).ok()?.try_into().ok()?;
    Some(numbers.map(|number| number.as_bytes()))
}

/// The PKCS#1 RSAPublicKey of these numbers; `None` if one has leading zeros.
pub(super) fn rsa_der(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let number = |bytes| UintRef::new(bytes).ok().filter(|number| number.as_bytes() == bytes);
    [number(modulus)?, number(exponent)?].to_der().ok()
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// First byte of a point written with both coordinates (SEC 1 §2.3.3).
pub(super) const UNCOMPRESSED: u8 = 4;

/// id-ecPublicKey (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// id-Ed25519 (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// rsaEncryption (RFC 3279 §2.3.1). Keys that are themselves bound to PSS (RFC 4055 §1.2) are another kind, not read here.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The curves and their names (RFC 5480 §2.1.1.1).
const CURVES: [(KeyKind, ObjectIdentifier); 3] = [
    (KeyKind::P256, ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7")),
    (KeyKind::P384, ObjectIdentifier::new_unwrap("1.3.132.0.34")),
    (KeyKind::P521, ObjectIdentifier::new_unwrap("1.3.132.0.35")),
];
