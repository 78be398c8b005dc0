//! SHA-256, ECDSA P-256 and Ed25519: the one file of this crate that names the cryptographic library.
//!
//! Everything else in the crate is a pure function of its arguments. Two things here are not: making a key and
//! signing draw randomness inside the library (an ECDSA nonce must never be chosen by a caller).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};

/// Bytes of an uncompressed P-256 point: `0x04`, x, y.
pub const P256_POINT_BYTES: usize = 65;

/// Bytes of an ES256 signature: r and s, 32 bytes each (RFC 9053 §2.1).
pub const ES256_SIGNATURE_BYTES: usize = 64;

/// Bytes of an Ed25519 public key (RFC 8032 §5.1.5).
pub const ED25519_KEY_BYTES: usize = 32;

/// Bytes of an Ed25519 signature (RFC 8032 §5.1.6).
pub const ED25519_SIGNATURE_BYTES: usize = 64;

/// A point that was checked to lie on P-256, kept in the form the library verifies fastest with.
#[derive(Clone)]
pub(crate) struct P256Point {
    bytes: [u8; P256_POINT_BYTES],
    parsed: Arc<ParsedPublicKey>,
}

/// A P-256 private key. `Debug` shows nothing of it, and the library clears its memory.
#[derive(Clone)]
pub(crate) struct P256KeyPair(Arc<EcdsaKeyPair>);

/// An Ed25519 public key, kept in the form the library verifies fastest with.
#[derive(Clone)]
pub(crate) struct Ed25519Point {
    bytes: [u8; ED25519_KEY_BYTES],
    parsed: Arc<ParsedPublicKey>,
}

/// An Ed25519 private key. `Debug` shows nothing of it, and the library clears its memory.
#[derive(Clone)]
pub(crate) struct Ed25519KeyPair(Arc<aws_lc_rs::signature::Ed25519KeyPair>);

/// The library refused: the input is no key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256_of_parts(&[bytes])
}

/// SHA-256 of `parts` one after the other, without joining them first.
pub fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl P256Point {
    /// Takes an uncompressed point and refuses one that is not on the curve.
    pub(crate) fn new(bytes: [u8; P256_POINT_BYTES]) -> Result<Self, Refused> {
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes).map_err(|_| Refused)?;
        Ok(Self { bytes, parsed: Arc::new(parsed) })
    }

    pub(crate) fn bytes(&self) -> &[u8; P256_POINT_BYTES] {
        &self.bytes
    }

    /// Whether `signature` (r, s) over the SHA-256 of `message` was made with this point's private key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl P256KeyPair {
    /// A new key, from the library's own random generator.
    pub(crate) fn generate() -> Self {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::holding).expect(NEVER_FAILS)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self::holding).map_err(|_| Refused)
    }

    /// The PKCS#8 form, handed to `write` and cleared from memory afterwards.
    pub(crate) fn with_pkcs8<T>(&self, write: impl FnOnce(&[u8]) -> T) -> T {
        write(self.0.to_pkcs8v1().expect(NEVER_FAILS).as_ref())
    }

    pub(crate) fn point(&self) -> P256Point {
        let bytes = self.0.public_key().as_ref().try_into().expect("the library gives uncompressed points");
        P256Point::new(bytes).expect("the public half of a checked key lies on the curve")
    }

    /// Signs the SHA-256 of `message`; the answer is r and s, 64 bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).expect(NEVER_FAILS).as_ref().to_vec()
    }

    fn holding(pair: EcdsaKeyPair) -> Self {
        Self(Arc::new(pair))
    }
}

impl fmt::Debug for P256KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P256KeyPair(secret)")
    }
}

impl Ed25519Point {
    /// Takes an encoded point as it stands: whether it lies on the curve shows when a signature is checked, which then fails.
    pub(crate) fn new(bytes: [u8; ED25519_KEY_BYTES]) -> Result<Self, Refused> {
        let parsed = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| Refused)?;
        Ok(Self { bytes, parsed: Arc::new(parsed) })
    }

    pub(crate) fn bytes(&self) -> &[u8; ED25519_KEY_BYTES] {
        &self.bytes
    }

    /// Whether `signature` over `message` was made with this key's private half.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl Ed25519KeyPair {
    /// A new key, from the library's own random generator.
    pub(crate) fn generate() -> Self {
        aws_lc_rs::signature::Ed25519KeyPair::generate().map(Self::holding).expect(NEVER_FAILS)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(der).map(Self::holding).map_err(|_| Refused)
    }

    /// The PKCS#8 form, handed to `write` and cleared from memory afterwards.
    pub(crate) fn with_pkcs8<T>(&self, write: impl FnOnce(&[u8]) -> T) -> T {
        write(self.0.to_pkcs8v1().expect(NEVER_FAILS).as_ref())
    }

    pub(crate) fn point(&self) -> Ed25519Point {
        let bytes = self.0.public_key().as_ref().try_into().expect("the library gives 32 bytes");
        Ed25519Point::new(bytes).expect("the public half of a checked key is a key")
    }

    /// Signs `message`; the answer has 64 bytes, and is the same every time.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    fn holding(pair: aws_lc_rs::signature::Ed25519KeyPair) -> Self {
        Self(Arc::new(pair))
    }
}

impl fmt::Debug for Ed25519KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519KeyPair(secret)")
    }
}

/// Why making a key, signing with it and writing it are no `Result`.
const NEVER_FAILS: &str = "the library fails here only without memory or randomness, where nothing can go on";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_agrees_with_a_second_implementation() {
        use sha2::Digest;
        for length in [0, 1, 55, 56, 63, 64, 65, 1000] {
            let bytes = vec![0x61; length];
            assert_eq!(sha256(&bytes).as_slice(), sha2::Sha256::digest(&bytes).as_slice());
        }
        assert_eq!(sha256_of_parts(&[b"a", b"", b"bc"]), sha256(b"abc"));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut bytes = [7; P256_POINT_BYTES];
        bytes[0] = 4;
        assert!(P256Point::new(bytes).is_err());
        assert!(P256Point::new([0; P256_POINT_BYTES]).is_err());
    }

    #[test]
    fn debug_of_a_private_key_shows_no_secret() {
        assert_eq!(format!("{:?}", P256KeyPair::generate()), "P256KeyPair(secret)");
        assert_eq!(format!("{:?}", Ed25519KeyPair::generate()), "Ed25519KeyPair(secret)");
    }

    #[test]
    fn ed25519_gives_the_signature_of_the_published_vector() {
        // RFC 8032 §7.1, test 2, its seed wrapped in the PKCS#8 of RFC 8410 §7.
        let hex = |text: &str| hex::decode(text).expect("hex");
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let pkcs8 = [hex("302e020100300506032b657004220420"), seed].concat();
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).expect("a key");
        assert_eq!(pair.with_pkcs8(<[u8]>::to_vec), pkcs8);
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(pair.point().bytes().as_slice(), public);
        let signature = hex(concat!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ));
        assert_eq!(pair.sign(&[0x72]), signature);
        assert!(pair.point().verifies(&[0x72], &signature));
        assert!(!pair.point().verifies(&[0x73], &signature));
        assert!(!pair.point().verifies(&[0x72], &signature[1..]));
        assert!(Ed25519KeyPair::from_pkcs8(&pkcs8[1..]).is_err());
    }
}
