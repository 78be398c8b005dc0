//! Names content by its hash: the algorithms we speak and the digest itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::crypto::Hasher;

/// A hash algorithm registered by the OCI image specification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    /// `sha256`, 32 bytes.
    Sha256,
    /// `sha512`, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name as it stands before the colon of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes a hash of this algorithm has.
    pub fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// The byte that stands for the algorithm in a storage key.
    fn key_byte(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::UnknownAlgorithm),
        }
    }
}

/// The identity of some bytes: an algorithm and the hash, written `sha256:<64 lower-case hex>` (image-spec, descriptor).
///
/// The same bytes under two algorithms are two digests. The order is that of the written form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash, then zeros: equal digests have equal padding, so the derived comparisons are right.
    padded: [u8; HASH_BYTES_MAX],
}

impl Digest {
    /// A SHA-256 digest whose hash is already known.
    pub fn sha256(hash: [u8; 32]) -> Self {
        let mut padded = [0; HASH_BYTES_MAX];
        padded[..32].copy_from_slice(&hash);
        Self { algorithm: Algorithm::Sha256, padded }
    }

    /// The digest of some bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from a raw hash; `None` if the length is not the algorithm's.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Option<Self> {
        if hash.len() != algorithm.hash_bytes() {
            return None;
        }
        let mut padded = [0; HASH_BYTES_MAX];
        padded[..hash.len()].copy_from_slice(hash);
        Some(Self { algorithm, padded })
    }

    /// The algorithm before the colon.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw hash: 32 or 64 bytes.
    pub fn hash(&self) -> &[u8] {
        &self.padded[..self.algorithm.hash_bytes()]
    }

    /// The hash in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.hash())
    }

    /// The compact form for storage keys: one byte for the algorithm (1 = sha256, 2 = sha512), then the raw hash.
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + self.hash().len());
        key.push(self.algorithm.key_byte());
        key.extend_from_slice(self.hash());
        key
    }

    /// Reads what [`Digest::to_key`] wrote; `None` for anything else.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (first, hash) = key.split_first()?;
        let algorithm =
            [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|algorithm| algorithm.key_byte() == *first)?;
        Self::from_hash(algorithm, hash)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, encoded) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        let algorithm: Algorithm = algorithm.parse()?;
        if encoded.len() != algorithm.hash_bytes() * 2 {
            return Err(DigestError::Length { algorithm, expected: algorithm.hash_bytes() * 2, found: encoded.len() });
        }
        if encoded.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(DigestError::UpperCase);
        }
        let mut padded = [0; HASH_BYTES_MAX];
        hex::decode_to_slice(encoded, &mut padded[..algorithm.hash_bytes()]).map_err(|_| DigestError::NotHex)?;
        Ok(Self { algorithm, padded })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a text is no digest. Always the fault of whoever wrote the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigestError {
    /// There is no colon.
    #[error("a digest is written algorithm:hex, for example sha256:<64 hex digits>")]
    NoAlgorithm,
    /// The algorithm is not registered, or not one we speak.
    #[error("unknown digest algorithm, sha256 and sha512 are supported")]
    UnknownAlgorithm,
    /// The encoded hash is too short or too long.
    #[error("a {algorithm} digest has {expected} hex digits, this one has {found}")]
    Length {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// How many hex digits it takes.
        expected: usize,
        /// How many bytes stand after the colon.
        found: usize,
    },
    /// Upper-case hex is another spelling of the same bytes, and identities have one spelling.
    #[error("a digest is written in lower-case hex")]
    UpperCase,
    /// A character is no hex digit.
    #[error("a digest has only hex digits after the colon")]
    NotHex,
}

/// The longest hash of any algorithm.
const HASH_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn written_form_and_key_round_trip() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"bytes");
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert_eq!(Digest::from_key(&digest.to_key()), Some(digest));
            assert_eq!(serde_json::from_value::<Digest>(serde_json::json!(digest)).ok(), Some(digest));
        }
        assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY);
    }

    #[test]
    fn each_malformed_digest_has_its_own_error() {
        let parse = |text: &str| text.parse::<Digest>().map_err(|error| error.to_string());
        assert_eq!("e3b0".parse::<Digest>(), Err(DigestError::NoAlgorithm));
        assert_eq!("md5:00".parse::<Digest>(), Err(DigestError::UnknownAlgorithm));
        assert_eq!("SHA256:00".parse::<Digest>(), Err(DigestError::UnknownAlgorithm));
        assert_eq!(EMPTY.replace("e3b0", "E3B0").parse::<Digest>(), Err(DigestError::UpperCase));
        assert_eq!(EMPTY.replace("e3b0", "g3b0").parse::<Digest>(), Err(DigestError::NotHex));
        assert_eq!(EMPTY.replace("e3b0", "٣٣").parse::<Digest>(), Err(DigestError::NotHex));
        assert!(parse(&EMPTY[..EMPTY.len() - 1]).is_err_and(|message| message.contains("63")));
        assert!(parse(&format!("{EMPTY}0")).is_err_and(|message| message.contains("65")));
        assert!(parse(&EMPTY.replace("sha256", "sha512")).is_err_and(|message| message.contains("128")));
    }

    #[test]
    fn a_key_of_another_shape_is_no_digest() {
        let key = Digest::of(Algorithm::Sha256, b"").to_key();
        assert_eq!(Digest::from_key(&[]), None);
        assert_eq!(Digest::from_key(&key[..32]), None);
        assert_eq!(Digest::from_key(&[&[3], &key[1..]].concat()), None);
        assert_eq!(Digest::from_key(&[&[2], &key[1..]].concat()), None);
    }
}
