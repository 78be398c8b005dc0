//! Hashes and signatures: the one file of this crate that names the cryptographic library.
//!
//! Everything else in the crate is a pure function of its arguments. Two things here are not: making a key and
//! signing draw randomness inside the library (an ECDSA nonce must never be chosen by a caller).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair};

/// Bytes of an ES256 signature: r and s, 32 bytes each (RFC 9053 §2.1).
pub const ES256_SIGNATURE_BYTES: usize = 64;

/// Bytes of an Ed25519 public key (RFC 8032 §5.1.5).
pub const ED25519_KEY_BYTES: usize = 32;

/// Bytes of an Ed25519 signature (RFC 8032 §5.1.6).
pub const ED25519_SIGNATURE_BYTES: usize = 64;

/// How a signature is made: ECDSA and EdDSA of RFC 9053 §2, RSASSA-PSS of RFC 8230 §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// Ed25519.
    EdDsa,
}

/// What a key is, which says what it may sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

/// A public key that the library accepted, kept in the form it verifies fastest with.
#[derive(Clone)]
pub(crate) struct CheckedKey {
    kind: KeyKind,
    bytes: Arc<[u8]>,
    /// One for each algorithm of the kind, in their order.
    parsed: Arc<[ParsedPublicKey]>,
}

/// A private key. `Debug` shows nothing of it, and the library clears its memory.
#[derive(Clone)]
pub(crate) enum KeyPair {
    Ecdsa(KeyKind, Arc<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    Rsa(Arc<RsaKeyPair>),
}

/// An Ed25519 public key, kept in the form the library verifies fastest with.
#[derive(Clone)]
pub(crate) struct Ed25519Point {
    bytes: [u8; ED25519_KEY_BYTES],
    parsed: Arc<ParsedPublicKey>,
}

/// An Ed25519 private key. `Debug` shows nothing of it, and the library clears its memory.
#[derive(Clone)]
pub(crate) struct Ed25519KeyPair(Arc<signature::Ed25519KeyPair>);

/// The library refused: the input is no key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

/// Random bytes from the library's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect(NEVER_FAILS);
    bytes
}

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

/// SHA-384 of `bytes`.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    let mut hash = [0; 48];
    hash.copy_from_slice(digest::digest(&digest::SHA384, bytes).as_ref());
    hash
}

/// SHA-512 of `bytes`.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    let mut hash = [0; 64];
    hash.copy_from_slice(digest::digest(&digest::SHA512, bytes).as_ref());
    hash
}

impl SignatureAlgorithm {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Es256, Self::Es384, Self::Es512, Self::Ps256, Self::Ps384, Self::Ps512, Self::EdDsa];

    fn verification(self) -> &'static dyn signature::VerificationAlgorithm {
        match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::EdDsa => &signature::ED25519,
        }
    }
}

impl KeyKind {
    /// What a key of this kind may sign with: one set for each kind, and no algorithm in two of them.
    pub(crate) fn algorithms(self) -> &'static [SignatureAlgorithm] {
        match self {
            Self::P256 => &[SignatureAlgorithm::Es256],
            Self::P384 => &[SignatureAlgorithm::Es384],
            Self::P521 => &[SignatureAlgorithm::Es512],
            Self::Ed25519 => &[SignatureAlgorithm::EdDsa],
            Self::Rsa => &[SignatureAlgorithm::Ps256, SignatureAlgorithm::Ps384, SignatureAlgorithm::Ps512],
        }
    }

    fn ecdsa(self) -> Option<&'static signature::EcdsaSigningAlgorithm> {
        match self {
            Self::P256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::P384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::P521 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::Ed25519 | Self::Rsa => None,
        }
    }
}

impl CheckedKey {
    /// Takes an uncompressed point on the kind's curve, the 32 bytes of an Ed25519 key, or a PKCS#1 RSAPublicKey in DER.
    /// The caller has seen to that form: the library would take others too.
    pub(crate) fn new(kind: KeyKind, bytes: &[u8]) -> Result<Self, Refused> {
        let parsed = kind.algorithms().iter().map(|algorithm| ParsedPublicKey::new(algorithm.verification(), bytes));
        let parsed = parsed.collect::<Result<_, _>>().map_err(|_| Refused)?;
        Ok(Self { kind, bytes: bytes.into(), parsed })
    }

    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `signature` over `message` was made with this key's private half by `algorithm`, which must be one of its
    /// kind's.
    pub(crate) fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let place = self.kind.algorithms().iter().position(|own| *own == algorithm);
        place.is_some_and(|place| self.parsed[place].verify_sig(message, signature).is_ok())
    }
}

impl KeyPair {
    /// A new key to sign with `algorithm`, from the library's own random generator.
    pub(crate) fn generate(algorithm: SignatureAlgorithm) -> Self {
        let ecdsa = |kind: KeyKind| {
            let made = EcdsaKeyPair::generate(kind.ecdsa().expect("a curve"));
            Self::Ecdsa(kind, Arc::new(made.expect(NEVER_FAILS)))
        };
        let rsa = |size| Self::Rsa(Arc::new(RsaKeyPair::generate(size).expect(NEVER_FAILS)));
        match algorithm {
            SignatureAlgorithm::Es256 => ecdsa(KeyKind::P256),
            SignatureAlgorithm::Es384 => ecdsa(KeyKind::P384),
            SignatureAlgorithm::Es512 => ecdsa(KeyKind::P521),
            SignatureAlgorithm::Ps256 => rsa(KeySize::Rsa2048),
            SignatureAlgorithm::Ps384 => rsa(KeySize::Rsa3072),
            SignatureAlgorithm::Ps512 => rsa(KeySize::Rsa4096),
            SignatureAlgorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate()),
        }
    }

    /// Reads a PKCS#8 key of any kind: the form names its kind, so at most one reader accepts it.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(kind.ecdsa().expect("a curve"), der) {
                return Ok(Self::Ecdsa(kind, Arc::new(pair)));
            }
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(pair));
        }
        RsaKeyPair::from_pkcs8(der).map(|pair| Self::Rsa(Arc::new(pair))).map_err(|_| Refused)
    }

    /// The PKCS#8 form, handed to `write` and cleared from memory afterwards.
    pub(crate) fn with_pkcs8<T>(&self, write: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Ecdsa(_, pair) => write(pair.to_pkcs8v1().expect(NEVER_FAILS).as_ref()),
            Self::Ed25519(pair) => pair.with_pkcs8(write),
            Self::Rsa(pair) => write(AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).expect(NEVER_FAILS).as_ref()),
        }
    }

    /// The public half.
    pub(crate) fn public(&self) -> Result<CheckedKey, Refused> {
        match self {
            Self::Ecdsa(kind, pair) => CheckedKey::new(*kind, pair.public_key().as_ref()),
            Self::Ed25519(pair) => CheckedKey::new(KeyKind::Ed25519, pair.point().bytes()),
            Self::Rsa(pair) => CheckedKey::new(KeyKind::Rsa, pair.public_key().as_ref()),
        }
    }

    /// The one algorithm this key signs with. An RSA key could sign with several: the hash grows with the key, so that
    /// nobody has to note it beside the key.
    pub(crate) fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::Ecdsa(kind, _) => kind.algorithms()[0],
            Self::Ed25519(_) => SignatureAlgorithm::EdDsa,
            Self::Rsa(pair) => match pair.public_modulus_len() {
                ..384 => SignatureAlgorithm::Ps256,
                384..512 => SignatureAlgorithm::Ps384,
                512.. => SignatureAlgorithm::Ps512,
            },
        }
    }

    /// Signs `message` with [`Self::algorithm`]: r and s for ECDSA, as wide as the modulus for RSA, 64 bytes for EdDSA.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(_, pair) => pair.sign(&SystemRandom::new(), message).expect(NEVER_FAILS).as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message),
            Self::Rsa(pair) => {
                let padding = match self.algorithm() {
                    SignatureAlgorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    SignatureAlgorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PSS_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature).expect(NEVER_FAILS);
                signature
            }
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(secret)")
    }
}

impl Ed25519Point {
    /// Takes an encoded point as it stands: whether it lies on the curve shows when a signature is checked, which then fails.
    pub(crate) fn new(bytes: [u8; ED25519_KEY_BYTES]) -> Result<Self, Refused> {
        let parsed = ParsedPublicKey::new(&signature::ED25519, bytes).map_err(|_| Refused)?;
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
        signature::Ed25519KeyPair::generate().map(Self::holding).expect(NEVER_FAILS)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, Refused> {
        signature::Ed25519KeyPair::from_pkcs8(der).map(Self::holding).map_err(|_| Refused)
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

    fn holding(pair: signature::Ed25519KeyPair) -> Self {
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
    fn hashes_agree_with_a_second_implementation() {
        use sha2::Digest;
        for length in [0, 1, 55, 56, 63, 64, 65, 111, 112, 1000] {
            let bytes = vec![0x61; length];
            assert_eq!(sha256(&bytes).as_slice(), sha2::Sha256::digest(&bytes).as_slice());
            assert_eq!(sha384(&bytes).as_slice(), sha2::Sha384::digest(&bytes).as_slice());
            assert_eq!(sha512(&bytes).as_slice(), sha2::Sha512::digest(&bytes).as_slice());
        }
        assert_eq!(sha256_of_parts(&[b"a", b"", b"bc"]), sha256(b"abc"));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        for (kind, length) in [(KeyKind::P256, 65), (KeyKind::P384, 97), (KeyKind::P521, 133)] {
            let mut bytes = vec![7; length];
            bytes[0] = 4;
            assert!(CheckedKey::new(kind, &bytes).is_err());
            assert!(CheckedKey::new(kind, &vec![0; length]).is_err());
        }
    }

    #[test]
    fn no_algorithm_belongs_to_two_kinds_of_keys() {
        let kinds = [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519, KeyKind::Rsa];
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(kinds.iter().filter(|kind| kind.algorithms().contains(&algorithm)).count(), 1, "{algorithm:?}");
        }
    }

    #[test]
    fn debug_of_a_private_key_shows_no_secret() {
        assert_eq!(format!("{:?}", KeyPair::generate(SignatureAlgorithm::EdDsa)), "KeyPair(secret)");
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
