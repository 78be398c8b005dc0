//! Why bytes are not a statement that can be accepted.

use super::{MAX_ENTRY_BYTES, MAX_MEDIA_TYPE_BYTES, MAX_RECEIPTS, MAX_STATEMENT_BYTES};
use crate::cose::CoseError;
use crate::crypto::SignatureAlgorithm;
use crate::did_x509::NameError;
use crate::header::HeaderError;
use crate::key::Thumbprint;
use crate::subject::SubjectError;
use crate::x509::ChainError;

/// Why bytes are not a statement that can be accepted: the fault of whoever made or sent them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The in-toto Statement in the payload is about something else than `sub`.
    #[error(
        "the in-toto Statement in the payload does not name {digest}, which the signed subject is; name it among its subjects"
    )]
    InTotoSubject {
        /// The digest in `sub`.
        digest: docket_oci::Digest,
    },
    /// Larger than any statement may be.
    #[error("statement has {bytes} bytes, the limit is {MAX_STATEMENT_BYTES}")]
    TooLarge {
        /// Length of the statement.
        bytes: usize,
    },
    /// Its canonical entry is larger than the ledger takes.
    #[error(
        "entry has {bytes} bytes, the limit is {MAX_ENTRY_BYTES}; sign a hash envelope over a large document instead"
    )]
    EntryTooLarge {
        /// Length of the canonical entry.
        bytes: usize,
    },
    /// Not a strictly encoded COSE_Sign1.
    #[error("statement: {0}")]
    Cose(#[from] CoseError),
    /// The protected header lacks something or demands too much.
    #[error("statement: {0}")]
    Header(#[from] HeaderError),
    /// The subject cannot be accepted.
    #[error("sub (CWT claim 2): {0}")]
    Subject(#[from] SubjectError),
    /// The payload is nil.
    #[error("statement has a detached payload; attach it, or sign a hash envelope over the document")]
    PayloadDetached,
    /// A hash envelope label (258 to 260) where nothing authenticates it.
    #[error("hash envelope header {label} stands in the unprotected header")]
    EnvelopeUnprotected {
        /// The label.
        label: i64,
    },
    /// Labels 259 or 260 without 258.
    #[error("hash envelope header {label} stands without the hash algorithm (label 258)")]
    EnvelopeWithoutHash {
        /// The label.
        label: i64,
    },
    /// Label 258 is not a supported hash algorithm.
    #[error(
        "unsupported hash algorithm {found} of a hash envelope (label 258); SHA-256 (-16), SHA-384 (-43) and SHA-512 (-44) \
         are supported"
    )]
    EnvelopeHash {
        /// What was found.
        found: String,
    },
    /// Label 3 in a hash envelope.
    #[error("a hash envelope may not have a content type (label 3); its document's type is label 259")]
    EnvelopeContentType,
    /// The payload of a hash envelope has another length than its algorithm's hashes.
    #[error("payload of the hash envelope has {found} bytes, a {algorithm} digest has {expected}")]
    EnvelopeDigestLength {
        /// The algorithm's name.
        algorithm: &'static str,
        /// Length of its hashes.
        expected: usize,
        /// Length of the payload.
        found: usize,
    },
    /// Label 260 is not text.
    #[error("the location in a hash envelope (label 260) must be text")]
    EnvelopeLocation,
    /// A content type is neither text nor a known number.
    #[error("content type (label {label}) is neither a media type nor a known CoAP content format")]
    ContentFormat {
        /// 3 or 259.
        label: i64,
    },
    /// A media type outside its grammar.
    #[error("a media type reads type/subtype in up to {MAX_MEDIA_TYPE_BYTES} printable ASCII characters")]
    MediaType,
    /// `typ` is neither text nor the number of a content format.
    #[error("typ (label 16) is neither a media type nor the number of a CoAP content format")]
    TypForm,
    /// Label 394 is not an array of byte strings.
    #[error("receipts (label 394) must be an array of byte strings; this is another, unsupported form")]
    ReceiptsForm,
    /// No receipt, or too many.
    #[error("{found} receipts (label 394) where 1 to {MAX_RECEIPTS} are allowed")]
    ReceiptCount {
        /// How many were found.
        found: usize,
    },
    /// Entry bytes with something in the unprotected header.
    #[error("entry is not canonical: its unprotected header must be empty")]
    EntryNotCanonical,
    /// The certificates cannot be read, or do not lead to a root.
    #[error("certificates of the statement: {0}")]
    Chain(#[from] ChainError),
    /// The certificates do not answer for the issuer.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A certificate was to be checked with a key.
    #[error("statement is signed by certificate, not with a key that is known by itself")]
    ByCertificate,
    /// A key was to be checked by certificate.
    #[error(
        "statement is signed with a key that is known by itself; it carries no certificate in its protected header"
    )]
    ByKey,
    /// A draft was to be signed with a key that is not the certificate's.
    #[error("the key does not belong to the first certificate of the chain")]
    ChainOfOtherKey,
    /// The statement names another key.
    #[error("statement is signed with key {kid}, not with key {key}")]
    WrongKey {
        /// The key that the statement names.
        kid: Thumbprint,
        /// The key that it was to be checked with.
        key: Thumbprint,
    },
    /// The statement's algorithm is not one that such keys sign with.
    #[error("statement says it was signed with {algorithm}, which key {key} cannot sign with")]
    AlgorithmOfOtherKey {
        /// The `alg` of the statement.
        algorithm: SignatureAlgorithm,
        /// The key that it was to be checked with.
        key: Thumbprint,
    },
    /// The signature does not verify.
    #[error("signature of the statement does not verify with key {kid}")]
    BadSignature {
        /// The key that the statement names, itself or by its certificate.
        kid: Thumbprint,
    },
}
