//! Keys and the names made from them: public key, thumbprint, signing key, issuer, and the files they live in.
//!
//! ES256 on P-256 is the one kind of key so far; another kind is a refusal that names it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem_rfc7468::LineEnding;
use spki::der::Encode;
use spki::der::asn1::{AnyRef, BitStringRef};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};

use crate::crypto::{P256_POINT_BYTES, P256KeyPair, P256Point};

pub use cose_key::{KEY_SET_KEYS_MAX, key_set, parse_key_set};
pub use error::KeyError;
pub use file::{KEY_FILE_BYTES_MAX, KeyFile, PublicKeyFile};
pub use issuer::{ISSUER_CHARS_MAX, Issuer, IssuerError};

pub(crate) use file::{split_private, to_private_pem};
pub(crate) use issuer::check_uri;

mod cose_key;
mod error;
mod file;
mod issuer;

/// A P-256 key that ES256 signatures are verified with, checked to lie on the curve.
#[derive(Clone)]
pub struct PublicKey {
    point: P256Point,
    thumbprint: Thumbprint,
}

/// The name of a key made from the key itself: the SHA-256 thumbprint of RFC 9679, used as `kid` everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

/// A P-256 private key with its public half. `Debug` shows the public half only.
#[derive(Clone)]
pub struct SigningKey {
    pair: P256KeyPair,
    public: PublicKey,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7, RFC 5480) with an uncompressed P-256 point.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::NotSpki)?;
        if info.algorithm.oid != EC_PUBLIC_KEY {
            return Err(KeyError::UnsupportedKind { kind: info.algorithm.oid.to_string() });
        }
        let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::NotSpki)?;
        if curve != P256 {
            return Err(KeyError::UnsupportedKind { kind: format!("curve {curve}") });
        }
        let point = info.subject_public_key.as_bytes().ok_or(KeyError::NotSpki)?;
        Self::from_point(point.try_into().map_err(|_| KeyError::PointForm)?)
    }

    /// Reads a PEM block labelled `PUBLIC KEY` and nothing beside it. For files with a preamble see [`PublicKeyFile`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_spki_der(&file::decode_pem(PUBLIC_LABEL, pem)?)
    }

    /// The SubjectPublicKeyInfo in DER: 91 bytes.
    pub fn to_spki_der(&self) -> Vec<u8> {
        let info = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(&P256)) },
            subject_public_key: BitStringRef::from_bytes(self.point.bytes()).expect("65 bytes fit a bit string"),
        };
        info.to_der().expect("a structure of fixed size is encodable")
    }

    /// The SubjectPublicKeyInfo as a PEM block with a final newline.
    pub fn to_spki_pem(&self) -> String {
        encode_pem(PUBLIC_LABEL, &self.to_spki_der())
    }

    /// The thumbprint that names this key.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Whether `signature` (r and s, 64 bytes) over `message` was made with this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.point.verifies(message, signature)
    }

    fn from_point(point: [u8; P256_POINT_BYTES]) -> Result<Self, KeyError> {
        if point[0] != UNCOMPRESSED {
            return Err(KeyError::PointForm);
        }
        P256Point::new(point).map(Self::holding).map_err(|_| KeyError::NotOnCurve)
    }

    fn holding(point: P256Point) -> Self {
        let (x, y) = point.bytes()[1..].split_at(32);
        let thumbprint = Thumbprint::of_coordinates(x, y);
        Self { point, thumbprint }
    }

    /// The coordinates x and y, 32 bytes each.
    fn coordinates(&self) -> (&[u8], &[u8]) {
        self.point.bytes()[1..].split_at(32)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.point.bytes() == other.point.bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint)
    }
}

impl Thumbprint {
    /// Takes 32 bytes as they stand, as from a `kid`.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, as they stand in a `kid`.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The thumbprint URI of RFC 9679 §5: the `iss` of a key that has no other name.
    pub fn urn(&self) -> String {
        format!("urn:ietf:params:oauth:ckt:sha-256:{}", self.base64url())
    }

    /// Unpadded base64url, the form in which SCRAPI names a key in a path.
    pub fn base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl FromStr for Thumbprint {
    type Err = KeyError;

    /// Reads 64 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse_lower_hex(text).map(Self).ok_or(KeyError::BadThumbprint)
    }
}

impl SigningKey {
    /// A new key. The randomness comes from the cryptographic library.
    pub fn generate() -> Self {
        Self::holding(P256KeyPair::generate())
    }

    /// Reads an unencrypted PKCS#8 PEM block labelled `PRIVATE KEY`. For files with a preamble see [`KeyFile`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        let der = file::decode_pem(PRIVATE_LABEL, pem)?;
        P256KeyPair::from_pkcs8(&der).map(Self::holding).map_err(|_| KeyError::NotPkcs8)
    }

    /// The unencrypted PKCS#8 PEM block with a final newline. It is a secret.
    pub fn to_pkcs8_pem(&self) -> String {
        self.pair.with_pkcs8(|der| encode_pem(PRIVATE_LABEL, der))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` with ES256: r and s, 64 bytes. The nonce is random, so no two signatures are alike.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message)
    }

    fn holding(pair: P256KeyPair) -> Self {
        let public = PublicKey::holding(pair.point());
        Self { pair, public }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(secret of {})", self.public.thumbprint)
    }
}

/// Reads 64 lower-case hex digits: the one spelling of 32 bytes.
pub(crate) fn parse_lower_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (!text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(bytes)
}

fn encode_pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).expect("a key of a hundred bytes fits a PEM block")
}

const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PRIVATE_LABEL: &str = "PRIVATE KEY";

/// First byte of a point written with both coordinates (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// id-ecPublicKey (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// secp256r1, which COSE calls P-256 (RFC 5480 §2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

#[cfg(test)]
mod tests;
