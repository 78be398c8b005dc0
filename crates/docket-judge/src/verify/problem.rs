//! Why a claim is not believed, each naming the piece that failed.

use std::fmt;

use docket_oci::Digest;
use docket_proof::key::{Issuer, Thumbprint};
use docket_proof::receipt::{ReceiptError, ServiceName};
use docket_proof::statement::StatementError;
use serde::{Serialize, Serializer};

/// A piece of what was found about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The statement manifest.
    StatementManifest,
    /// The evidence manifest.
    EvidenceManifest,
    /// Layer 1 of the statement manifest.
    Statement,
    /// Layer 2 of the statement manifest.
    Receipt,
    /// The document.
    Document,
}

/// Why a claim is not believed: the fault of whoever made, stored or delivered it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes are not what their digest says.
    #[error("{piece} was changed: it has digest {actual}, expected {expected}")]
    Changed {
        /// Which bytes.
        piece: Piece,
        /// The digest under which they were found.
        expected: Digest,
        /// The digest they have.
        actual: Digest,
    },
    /// A manifest cannot be read.
    #[error("{piece} cannot be read: {reason}")]
    BadManifest {
        /// Which manifest.
        piece: Piece,
        /// What the manifest reader says.
        reason: String,
    },
    /// The statement manifest is of another artifact type, or its layers are.
    #[error("statement manifest does not hold a statement, and at most one receipt beside it, by their media types")]
    NotStatementManifest,
    /// A manifest refers to something else than what was found.
    #[error("{piece} refers to {found}, expected {expected}")]
    RefersElsewhere {
        /// Which manifest.
        piece: Piece,
        /// What it should refer to: the artifact, the evidence manifest, or the bytes of a layer.
        expected: Digest,
        /// What it refers to, or `nothing`.
        found: String,
    },
    /// The first layer was not there.
    #[error("the statement itself could not be read")]
    StatementMissing,
    /// The second layer was not there, though the manifest lists it.
    #[error("the receipt beside the statement could not be read")]
    ReceiptMissing,
    /// The statement is not well formed or its signature does not verify.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The issuer signed a statement about something else.
    #[error("statement is about {found}, not about {artifact}")]
    OtherSubject {
        /// What is judged.
        artifact: Digest,
        /// The `sub` of the statement.
        found: String,
    },
    /// The evidence manifest does not hold exactly one document.
    #[error("evidence manifest holds {found} documents, expected 1")]
    DocumentCount {
        /// How many layers it has.
        found: usize,
    },
    /// The document is not the one that was signed.
    #[error("{piece} is about document {found}, but the issuer signed {signed}")]
    OtherDocument {
        /// Where the other digest stands: evidence manifest or document.
        piece: Piece,
        /// The digest in the hash envelope.
        signed: Digest,
        /// The digest that stands there.
        found: Digest,
    },
    /// The evidence manifest says another type than was signed.
    #[error("evidence manifest says the document is {found:?}, but the issuer signed {signed:?}")]
    OtherType {
        /// The media type in the hash envelope.
        signed: String,
        /// The artifact type of the evidence manifest.
        found: String,
    },
    /// A statement that binds no document, or one by SHA-384, stands under an evidence manifest.
    #[error("statement binds no document that a registry could hold, but it is placed under evidence")]
    NoEnvelope,
    /// The bare receipt is not one of the statement's receipts.
    #[error("receipt (layer 2) is not among the receipts of the statement")]
    ForeignReceipt,
    /// No receipt comes from a listed service.
    #[error("no receipt of a trusted service; there are receipts of: {}{}", list(found), unread(*unknown))]
    NoTrustedReceipt {
        /// The services whose receipts there are.
        found: Vec<ServiceName>,
        /// How many there are in forms that are not known.
        unknown: usize,
    },
    /// Receipts of listed services hold, but not of enough of them.
    #[error("receipts of {needed} of {of} services are demanded, and only these hold: {}", list(proven))]
    TooFewReceipts {
        /// How many services must have receipted it.
        needed: usize,
        /// How many services count.
        of: usize,
        /// The services whose receipts hold.
        proven: Vec<ServiceName>,
    },
    /// A receipt of a listed service is broken or proves something else.
    #[error("receipt of {service}: {reason}")]
    Receipt {
        /// The service that the receipt names.
        service: ServiceName,
        /// What is wrong with it.
        reason: ReceiptError,
    },
    /// The document is not what the statement says or hashes.
    #[error("the document is not the one that the statement is about")]
    OtherPayload,
    /// The document's hash is of a kind that is not known.
    #[error("the statement names its document by hash algorithm {0}, which is not known here")]
    PayloadHash(i64),
    /// The statement leaves its payload out, and its issuer's signature was to be checked.
    #[error("the statement leaves its payload out, which its issuer's signature covers; give it with --payload")]
    PayloadMissing,
    /// The statement leaves its payload out, and no key is there to tell which it is.
    #[error(
        "the statement leaves its payload out: only its issuer's signature binds one, so list the issuer in the trust file"
    )]
    PayloadUnbound,
    /// Issuers are listed, and no root is listed for this one, which signs by certificate.
    #[error("issuer {issuer}, who signs by certificate, is not trusted")]
    UntrustedHolder {
        /// The `iss` of the statement.
        issuer: Issuer,
    },
    /// No receipt says when its service saw the certificates.
    #[error(
        "no receipt says when its service saw the certificates of {issuer}, so whether they were valid cannot be told"
    )]
    HolderUndated {
        /// The `iss` of the statement.
        issuer: Issuer,
    },
    /// Issuers are listed and this one is not, or not with this key.
    #[error("issuer {issuer} with key {kid} is not trusted")]
    UntrustedIssuer {
        /// The `iss` of the statement.
        issuer: Issuer,
        /// The `kid` of the statement.
        kid: Thumbprint,
    },
}

impl Problem {
    /// Whether something was missing rather than wrong: the claim might have been believed.
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::StatementMissing | Self::ReceiptMissing)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatementManifest => "statement manifest",
            Self::EvidenceManifest => "evidence manifest",
            Self::Statement => "statement (layer 1)",
            Self::Receipt => "receipt (layer 2)",
            Self::Document => "document",
        })
    }
}

fn list(services: &[ServiceName]) -> String {
    if services.is_empty() {
        return "nobody".to_owned();
    }
    services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

fn unread(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", and {count} in a form that is not known") }
}
