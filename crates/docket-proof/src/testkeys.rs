//! Fixed keys and broken inputs for the tests of this crate. The keys protect nothing.

use crate::crypto::SignatureAlgorithm;
use crate::key::SigningKey;

/// The key of the issuer `https://wabbit.example` in the golden files.
pub(crate) fn issuer() -> SigningKey {
    read(include_str!("../testdata/formats/v1/wabbit.key"))
}

/// The key of the service `https://registry.wabbit.example` in the golden files.
pub(crate) fn service() -> SigningKey {
    read(include_str!("../testdata/formats/v1/service.key"))
}

/// A key that signs with `algorithm`, made by another program.
pub(crate) fn of(algorithm: SignatureAlgorithm) -> SigningKey {
    read(match algorithm {
        SignatureAlgorithm::Es256 => return issuer(),
        SignatureAlgorithm::Es384 => include_str!("../testdata/keys/es384.key"),
        SignatureAlgorithm::Es512 => include_str!("../testdata/keys/es512.key"),
        SignatureAlgorithm::Ps256 => include_str!("../testdata/keys/ps256.key"),
        SignatureAlgorithm::Ps384 => include_str!("../testdata/keys/ps384.key"),
        SignatureAlgorithm::Ps512 => include_str!("../testdata/keys/ps512.key"),
        SignatureAlgorithm::EdDsa => include_str!("../testdata/keys/eddsa.key"),
    })
}

/// `bytes` once for each of its bits, that bit flipped.
pub(crate) fn every_bit_flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

fn read(text: &str) -> SigningKey {
    crate::key::KeyFile::parse(text).expect("a golden key file").key
}
