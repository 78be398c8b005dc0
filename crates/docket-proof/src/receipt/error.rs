//! Why bytes are not a receipt, or prove nothing about an entry or a tree.

use super::{MAX_RECEIPT_BYTES, TREE_SIZE_LABEL};
use crate::cbor::CborError;
use crate::cose::CoseError;
use crate::header::HeaderError;
use crate::key::Thumbprint;
use crate::merkle::MerkleError;

/// Why bytes are not a receipt, or prove nothing about an entry: the fault of whoever made or delivered them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Larger than any receipt needs to be.
    #[error("receipt has {bytes} bytes, the limit is {MAX_RECEIPT_BYTES}")]
    TooLarge {
        /// Length of the receipt.
        bytes: usize,
    },
    /// Not a strictly encoded COSE_Sign1.
    #[error("receipt: {0}")]
    Cose(#[from] CoseError),
    /// The protected header lacks something or demands too much.
    #[error("receipt: {0}")]
    Header(#[from] HeaderError),
    /// The verifiable data structure is not named where it is signed.
    #[error("receipt names no verifiable data structure in its protected header (label 395)")]
    VdsMissing,
    /// A structure that is not known.
    #[error("receipt is about verifiable data structure {found}, which is not known here")]
    VdsUnknown {
        /// What was found.
        found: String,
    },
    /// The service has a name that cannot be shown.
    #[error("receipt's iss: {0}")]
    ServiceName(#[from] super::ServiceNameError),
    /// A key identifier that is not bytes.
    #[error("receipt's kid (label 4) is not a byte string")]
    KidForm,
    /// The log has no name, or one that cannot be shown.
    #[error("receipt's sub must name the log in printable text")]
    LogName,
    /// No `iat`.
    #[error("receipt does not say when it was signed (iat, CWT claim 6)")]
    TimeMissing,
    /// The private label holds something else than a size.
    #[error("receipt's protected header {TREE_SIZE_LABEL} is not a number of entries")]
    TreeSizeForm,
    /// Label 396 is absent or not a map.
    #[error("receipt holds no proofs (label 396) in its unprotected header")]
    ProofsMissing,
    /// Not exactly one inclusion proof.
    #[error("receipt must hold exactly one inclusion proof (label 396, key -1), found {found}")]
    ProofCount {
        /// How many were found.
        found: usize,
    },
    /// The proof is not strictly encoded; offsets count inside it.
    #[error("inclusion proof: {0}")]
    ProofCbor(#[from] CborError),
    /// The proof is no array of tree size, leaf index and hashes.
    #[error("inclusion proof must be [tree size, leaf index, [one or more 32-byte hashes]]")]
    ProofForm,
    /// The proof of a CCF ledger is no leaf of three parts with a path.
    #[error("CCF inclusion proof must be {{1: [32 bytes, text, 32 bytes], 2: [one or more [left, 32 bytes]]}}")]
    CcfProofForm,
    /// The leaf of a CCF ledger is another entry's.
    #[error("receipt is about another entry: its leaf holds another hash")]
    OtherEntry,
    /// The index, the path's length or the size contradict each other.
    #[error("inclusion proof: {0}")]
    Merkle(#[from] MerkleError),
    /// The attached payload is not 32 bytes.
    #[error("receipt's payload is not a root of 32 bytes")]
    RootForm,
    /// The attached payload is another root than the path leads to.
    #[error("receipt's attached root is not the one that the entry and the proof lead to")]
    RootDiffers,
    /// The size is not signed.
    #[error("receipt does not bind its tree size (protected header {TREE_SIZE_LABEL})")]
    TreeSizeUnbound,
    /// The proof claims another size than was signed.
    #[error("receipt's proof claims {claimed} entries but {bound} were signed")]
    TreeSizeDiffers {
        /// The signed size.
        bound: u64,
        /// The proof's size.
        claimed: u64,
    },
    /// The receipt names another key.
    #[error("receipt is signed with key {kid}, not with key {key}")]
    WrongKey {
        /// The key that the receipt names.
        kid: Thumbprint,
        /// The key that it was to be checked with.
        key: Thumbprint,
    },
    /// No key that is believed is the one that the receipt names.
    #[error("receipt is signed with key {kid}, which is not trusted")]
    UnknownKey {
        /// The kid, as text or in hex digits.
        kid: String,
    },
    /// Not exactly one consistency proof.
    #[error("receipt must hold exactly one consistency proof (label 396, key -2), found {found}")]
    ConsistencyCount {
        /// How many were found.
        found: usize,
    },
    /// The proof is not strictly encoded; offsets count inside it.
    #[error("consistency proof: {0}")]
    ConsistencyCbor(#[source] CborError),
    /// The proof is no array of two sizes, the first the smaller one, and hashes.
    #[error("consistency proof must be [older tree size, newer tree size, [one or more 32-byte hashes]]")]
    ConsistencyForm,
    /// The path contradicts the sizes or the older root.
    #[error("consistency proof: {0}")]
    Consistency(#[source] MerkleError),
    /// It starts at another tree than the one that is known.
    #[error("receipt proves what continues a tree of {claimed} entries, not one of {known}")]
    OtherTree {
        /// Entries in the tree that is known.
        known: u64,
        /// Entries in the tree that the proof starts from.
        claimed: u64,
    },
    /// The signature does not cover the root that the older one and the proof lead to.
    #[error(
        "receipt does not prove that the tree grew: the signature by key {key} is not over the root that the older one and \
         the proof lead to"
    )]
    NotContinued {
        /// The key it was checked with.
        key: Thumbprint,
    },
    /// The signature does not cover the root that entry and path lead to.
    #[error(
        "receipt does not prove this entry: the signature by key {key} is not over the root that entry and proof lead to"
    )]
    BadSignature {
        /// The key it was checked with.
        key: Thumbprint,
    },
}
