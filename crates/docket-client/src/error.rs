//! What can go wrong between us and another registry, sorted by whose fault it is.

use std::io;
use std::path::{Path, PathBuf};

use docket_oci::{Digest, ManifestError, NameError};

/// A failure of this crate. `place` is a registry's host or a layout's path, `action` what was attempted there.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    // The caller's.
    /// A text names no artifact.
    #[error("{text:?} is no reference to an artifact")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A text starts with a transport we do not speak, or has no path behind one.
    #[error("{text:?} is no reference, write docker://host/name:tag, oci:path[:name] or oci-archive:path[:name]")]
    Transport {
        /// The text.
        text: String,
    },
    /// A layout holds several artifacts and the reference says not which.
    #[error("{place} holds several artifacts, name one of: {names}")]
    Ambiguous {
        /// The layout.
        place: String,
        /// What could be named.
        names: String,
    },
    /// What was asked for is not there.
    #[error("{place} has no {what}")]
    Absent {
        /// Where it was looked for.
        place: String,
        /// What was looked for.
        what: String,
    },
    /// The destination names a digest, and the source is another one.
    #[error("the destination asks for {expected} but the source is {found}")]
    OtherDigest {
        /// The destination's digest.
        expected: Digest,
        /// The source's digest.
        found: Digest,
    },
    /// The certificates to trust cannot be read.
    #[error("the certificates to trust are not valid pem")]
    Certificates(#[source] reqwest::Error),
    /// A URL leads to no witness.
    #[error("{url:?} is no place of a witness: an http:// or https:// URL without '?' and '#' is expected")]
    WitnessUrl {
        /// The URL.
        url: String,
    },
    /// A path cannot be put behind a registry's address.
    #[error("{path:?} is no path of a registry")]
    Path {
        /// The path.
        path: String,
    },

    // The peer's.
    /// No answer.
    #[error("{host} could not be reached to {action}")]
    Unreachable {
        /// The registry.
        host: String,
        /// What was attempted.
        action: String,
        /// Why there was none.
        #[source]
        source: reqwest::Error,
    },
    /// A clear no.
    #[error("{host} refused to {action}: {status} {code}: {message}")]
    Refused {
        /// The registry.
        host: String,
        /// What was attempted.
        action: String,
        /// The HTTP status.
        status: u16,
        /// The first code of its error body, or nothing.
        code: String,
        /// The message beside it, or nothing.
        message: String,
    },
    /// It wants a login and we have none that it takes.
    #[error("{host} wants a login to {action}, store one with docker login or podman login")]
    LoginRequired {
        /// The registry.
        host: String,
        /// What was attempted.
        action: String,
    },
    /// It wants the login sent where others could read it, or where it does not belong.
    #[error("{host} wants the login sent to {realm}, which is neither https nor on this machine")]
    InsecureLogin {
        /// The registry.
        host: String,
        /// Where it should go.
        realm: String,
    },
    /// An answer outside the protocol.
    #[error("{host} answered wrongly to {action}: {problem}")]
    Protocol {
        /// The registry.
        host: String,
        /// What was attempted.
        action: String,
        /// What is wrong with the answer.
        problem: &'static str,
    },

    // The fault of whoever made the content.
    /// The bytes are not those that were asked for.
    #[error("{place} sent other bytes than {expected}, they are {found}")]
    Digest {
        /// Where they came from.
        place: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The bytes are more or fewer than the descriptor says.
    #[error("{place} sent another number of bytes for {digest} than the {expected} expected")]
    Size {
        /// Where they came from.
        place: String,
        /// What was asked for.
        digest: Digest,
        /// How many bytes it should have.
        expected: u64,
    },
    /// A manifest breaks the rules.
    #[error("{place} holds {what}, which is no valid manifest")]
    Manifest {
        /// Where it is.
        place: String,
        /// Its tag or digest.
        what: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// Over a limit of ours.
    #[error("{place} has more {what} than the limit of {limit}")]
    TooMuch {
        /// Where.
        place: String,
        /// What was counted.
        what: &'static str,
        /// The most we take.
        limit: u64,
    },
    /// A folder or file is no image layout.
    #[error("{} is no image layout: {problem}", path.display())]
    Layout {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    // The environment's.
    /// A file could not be read or written.
    #[error("could not {action} {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A configuration file with credentials is malformed.
    #[error("{} is no docker configuration", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A credential helper did not do its work.
    #[error("the credential helper {helper} {problem}")]
    Helper {
        /// Its name, as configured.
        helper: String,
        /// What it did instead.
        problem: &'static str,
    },
    /// The HTTP client could not be made.
    #[error("the http client could not be made")]
    Http(#[source] reqwest::Error),
}

impl ClientError {
    /// Whether the same attempt may succeed a little later: the network broke off, or the peer was overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !source.is_connect() && !source.is_builder() && !source.is_redirect(),
            Self::Refused { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, action, source }
    }
}
