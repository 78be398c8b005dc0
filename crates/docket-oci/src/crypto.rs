//! Hashes bytes; the only file of this crate that names the crypto library.

use aws_lc_rs::digest::{Context, SHA256, SHA512, digest};

use crate::digest::{Algorithm, Digest};

/// A running hash over bytes that arrive piece by piece.
///
/// Cloning it keeps both: an upload that resumes continues from a clone of the state it had.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    state: Context,
}

impl Hasher {
    /// Starts a hash over no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => Context::new(&SHA256),
            Algorithm::Sha512 => Context::new(&SHA512),
        };
        Self { algorithm, state }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        let hash = self.state.finish();
        Digest::from_hash(self.algorithm, hash.as_ref()).expect("the library returns the length of its algorithm")
    }

    /// The algorithm this hash was started with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_like_the_whole() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"net-");
            let branch = hasher.clone();
            hasher.update(b"monitor");
            assert_eq!(hasher.finish(), Digest::of(algorithm, b"net-monitor"));
            assert_eq!(branch.finish(), Digest::of(algorithm, b"net-"));
        }
    }

    #[test]
    fn sha256_is_the_published_value_for_no_bytes() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(sha256(b"")), hex);
    }
}
