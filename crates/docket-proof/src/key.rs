//! Keys and the names made from them: public key, thumbprint, signing key, issuer, and the files they live in.
//!
//! Keys are on P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits; another kind is a refusal that names it. The kind
//! says what a key may sign with, and nothing in a message can widen that.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem_rfc7468::LineEnding;
use zeroize::Zeroizing;

use crate::crypto::{CheckedKey, KeyPair, SignatureAlgorithm};

pub use cose_key::{KEY_SET_KEYS_MAX, key_set, parse_key_set};
pub use error::KeyError;
pub use file::{KEY_FILE_BYTES_MAX, KeyFile, PublicKeyFile};
pub use issuer::{ISSUER_CHARS_MAX, Issuer, IssuerError};
pub use sealed::{PASSPHRASE_BYTES_MAX, Passphrase, is_sealed, seal, unseal};

pub(crate) use file::{split_private, to_private_pem};
pub(crate) use issuer::check_uri;

mod cose_key;
mod error;
mod file;
mod issuer;
mod sealed;
mod spki_form;

/// A key that signatures are verified with, checked to be one of its kind.
#[derive(Clone)]
pub struct PublicKey {
    key: CheckedKey,
    thumbprint: Thumbprint,
}

/// The name of a key made from the key itself: the SHA-256 thumbprint of RFC 9679, used as `kid` everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

/// A private key with its public half. `Debug` shows the public half only.
#[derive(Clone)]
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

impl PublicKey {
    /// Reads a PEM block labelled `PUBLIC KEY` and nothing beside it. For files with a preamble see [`PublicKeyFile`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_spki_der(&file::decode_pem(PUBLIC_LABEL, pem)?)
    }

    /// The SubjectPublicKeyInfo as a PEM block with a final newline.
    pub fn to_spki_pem(&self) -> String {
        encode_pem(PUBLIC_LABEL, &self.to_spki_der())
    }

    /// The thumbprint that names this key.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// What this key may sign with: one algorithm, or the three of RSA.
    pub fn algorithms(&self) -> &'static [SignatureAlgorithm] {
        self.key.kind().algorithms()
    }

    /// Whether `signature` over `message` was made with this key by `algorithm`. No, for an algorithm that is not one of
    /// [`Self::algorithms`], whatever the signature.
    #[must_use]
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(algorithm, message, signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.kind() == other.key.kind() && self.key.bytes() == other.key.bytes()
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
    /// A new key for ES256. The randomness comes from the cryptographic library.
    pub fn generate() -> Self {
        Self::generate_for(SignatureAlgorithm::Es256)
    }

    /// A new key that signs with `algorithm`; RSA keys have 2048, 3072 or 4096 bits for SHA-256, 384 and 512.
    pub fn generate_for(algorithm: SignatureAlgorithm) -> Self {
        Self::holding(KeyPair::generate(algorithm)).expect("a key just made is a good one")
    }

    /// Reads an unencrypted PKCS#8 PEM block labelled `PRIVATE KEY`. For files with a preamble see [`KeyFile`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        let der = Zeroizing::new(file::decode_pem(PRIVATE_LABEL, pem)?);
        Self::holding(KeyPair::from_pkcs8(&der).map_err(|_| KeyError::NotPkcs8)?)
    }

    /// The unencrypted PKCS#8 PEM block with a final newline. It is a secret.
    pub fn to_pkcs8_pem(&self) -> String {
        self.pair.with_pkcs8(|der| encode_pem(PRIVATE_LABEL, der))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The one algorithm this key signs with; for RSA keys it follows from their size: PS256 below 3072 bits, PS384 below
    /// 4096, PS512 from there on.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.pair.algorithm()
    }

    /// Signs `message` with [`Self::algorithm`]. But for EdDSA there is randomness in it, so no two signatures are alike.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message)
    }

    fn holding(pair: KeyPair) -> Result<Self, KeyError> {
        let public = pair.public().map_err(|_| KeyError::NotPkcs8)?;
        let public = PublicKey::from_parts(public.kind(), public.bytes())?;
        Ok(Self { pair, public })
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
    pem_rfc7468::encode_string(label, LineEnding::LF, der).expect("a key of a few thousand bytes fits a PEM block")
}

const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PRIVATE_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

#[cfg(test)]
mod tests;
