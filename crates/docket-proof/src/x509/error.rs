//! Why a chain cannot be read, or does not lead to a root.

use super::{CHAIN_BYTES_MAX, CHAIN_CERTIFICATES_MAX, ROOTS_MAX};

/// Why a chain cannot be read, or does not lead to a root: the fault of whoever signed, or of who issued the certificates.
/// Positions count from 0, the leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// x5chain has another shape.
    #[error("x5chain (label 33) must be one certificate as a byte string, or an array of two or more")]
    Form,
    /// x5t has another shape.
    #[error("x5t (label 34) must be [hash algorithm, hash] with all of SHA-256 (-16), SHA-384 (-43) or SHA-512 (-44)")]
    ThumbprintForm,
    /// x5t names another certificate than the chain begins with.
    #[error("x5t (label 34) does not name the first certificate of the chain")]
    ThumbprintDiffers,
    /// None, or more than [`CHAIN_CERTIFICATES_MAX`].
    #[error("a chain has 1 to {CHAIN_CERTIFICATES_MAX} certificates, this has {found}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// More than [`CHAIN_BYTES_MAX`].
    #[error("the certificates of the chain have {bytes} bytes, the limit is {CHAIN_BYTES_MAX}")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// A PEM block is broken.
    #[error("broken PEM block of a certificate")]
    Pem,
    /// Not a certificate, or an extension that matters here is broken.
    #[error("certificate {position}: {reason}")]
    Certificate {
        /// Which.
        position: usize,
        /// What its reader says.
        reason: String,
    },
    /// No root, or more than [`ROOTS_MAX`].
    #[error("1 to {ROOTS_MAX} root certificates are needed, found {found}")]
    RootCount {
        /// How many there are.
        found: usize,
    },
    /// A root that is no certificate authority.
    #[error("root certificate {position} is no certificate authority: it must say so (basicConstraints, keyCertSign)")]
    RootNotCa {
        /// Counted from 0.
        position: usize,
    },
    /// A root that is there twice.
    #[error("root certificate {position} is there twice")]
    RootTwice {
        /// Counted from 0.
        position: usize,
    },
    /// The statement names a certificate and none came along.
    #[error("the statement names its certificate (x5t, label 34), but no chain (x5chain, label 33) came with it")]
    Missing,
    /// Before its time.
    #[error(
        "certificate {position} is valid only from {not_before}, and it was to be used at {at} (seconds since 1970)"
    )]
    NotYetValid {
        /// Which.
        position: usize,
        /// When it begins to be.
        not_before: i64,
        /// When it was to be used.
        at: i64,
    },
    /// After its time.
    #[error("certificate {position} was valid until {not_after}, and it was to be used at {at} (seconds since 1970)")]
    Expired {
        /// Which.
        position: usize,
        /// When it ceased to be.
        not_after: i64,
        /// When it was to be used.
        at: i64,
    },
    /// There is no path to a root.
    #[error("the chain does not lead to a root that is configured for this issuer: {reason}")]
    NoPath {
        /// What the path builder says.
        reason: String,
    },
    /// The path is another than the chain.
    #[error("the chain must hold the path to the root in order, leaf first, and nothing else")]
    NotThePath,
    /// Key usage without the bit that is needed.
    #[error("certificate {position} may not be used to {needed} (key usage)")]
    KeyUsage {
        /// Which.
        position: usize,
        /// What for.
        needed: &'static str,
    },
    /// The demanded extended key usage is absent.
    #[error("certificate {position} lacks the extended key usage {oid}, which this issuer must have")]
    ExtendedKeyUsage {
        /// Which.
        position: usize,
        /// What was demanded.
        oid: String,
    },
    /// The leaf's key is of a kind that is not supported.
    #[error("the key of the first certificate: {0}")]
    LeafKey(crate::key::KeyError),
}
