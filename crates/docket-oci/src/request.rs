//! Every call of the registry API as one enum, parsed from method and URI before anything else is looked at.

mod parse;

pub use parse::{FILTER_BYTES_MAX, PAGE_ENTRIES_MAX, SESSION_BYTES_MAX, TAG_PARAMETERS_MAX};

use crate::digest::{Algorithm, Digest, DigestError};
use crate::error::Code;
use crate::name::{NameError, Reference, RepositoryName, Tag};

/// A call below `/v2/` (distribution-spec, "Endpoints"; end-1 to end-14, and Docket's own extension).
///
/// HEAD is a flag where the answer differs from GET; on listings it is the same call, whose body the server does not send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// end-1: is this a registry, and may I in?
    Ping,
    /// Names of repositories.
    Catalog {
        /// At most so many, already clamped to [`PAGE_ENTRIES_MAX`].
        n: Option<u32>,
        /// Only names after this one.
        last: Option<String>,
    },
    /// Which extensions the registry, or one repository of it, offers.
    Discover {
        /// The repository, or none for the registry.
        repository: Option<RepositoryName>,
    },
    /// end-2: a blob.
    Blob {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
        /// Headers only.
        head: bool,
    },
    /// end-10: takes a blob out of a repository.
    DeleteBlob {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
    },
    /// end-4a, 4b, 4c and 11: opens an upload, or makes it unnecessary.
    StartUpload {
        /// Where to.
        repository: RepositoryName,
        /// The whole blob is in the body, and this is its digest.
        digest: Option<Digest>,
        /// The blob to mount. Raw, because a bad value must open an upload instead of failing.
        mount: Option<String>,
        /// The repository to mount from. Raw for the same reason.
        from: Option<String>,
        /// What the closing digest will be made with.
        digest_algorithm: Option<Algorithm>,
    },
    /// end-13: how far an upload is.
    UploadStatus {
        /// Where to.
        repository: RepositoryName,
        /// The upload.
        session: String,
    },
    /// end-5: adds a chunk, or a stream.
    UploadPatch {
        /// Where to.
        repository: RepositoryName,
        /// The upload.
        session: String,
    },
    /// end-6: adds what is left and closes.
    UploadFinish {
        /// Where to.
        repository: RepositoryName,
        /// The upload.
        session: String,
        /// What the whole must hash to.
        digest: Digest,
    },
    /// end-14: gives an upload up.
    UploadCancel {
        /// Where to.
        repository: RepositoryName,
        /// The upload.
        session: String,
    },
    /// end-3: a manifest.
    Manifest {
        /// Where.
        repository: RepositoryName,
        /// Which.
        reference: Reference,
        /// Headers only.
        head: bool,
    },
    /// end-7a and 7b: stores a manifest.
    PutManifest {
        /// Where to.
        repository: RepositoryName,
        /// The tag it gets, or the digest it must have.
        reference: Reference,
        /// Further tags (only beside a digest).
        tags: Vec<Tag>,
    },
    /// end-9: removes a tag, or a manifest with all its tags.
    DeleteManifest {
        /// Where.
        repository: RepositoryName,
        /// Which.
        reference: Reference,
    },
    /// end-8: the tags of a repository.
    Tags {
        /// Where.
        repository: RepositoryName,
        /// At most so many, already clamped to [`PAGE_ENTRIES_MAX`].
        n: Option<u32>,
        /// Only tags after this one, which need not exist.
        last: Option<String>,
    },
    /// end-12: the manifests whose subject is this digest.
    Referrers {
        /// Where.
        repository: RepositoryName,
        /// The subject, which need not exist.
        digest: Digest,
        /// Only those of this artifact type.
        artifact_type: Option<String>,
        /// Only those after this one: our own paging, carried by the `Link` we send.
        last: Option<Digest>,
    },
    /// Extension: registers the statement in the body and places it in this repository.
    ScittRegister {
        /// Where to.
        repository: RepositoryName,
    },
    /// Extension: a registered statement, read through a repository it is placed in.
    ScittEntry {
        /// Where.
        repository: RepositoryName,
        /// The entry id: 64 lower-case hex digits.
        entry: String,
    },
}

/// What a call asks permission for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Learn what the registry speaks.
    Ping,
    /// List all repositories.
    Catalog,
    /// Read in one repository.
    Pull,
    /// Add to one repository; ending one's own upload belongs here too.
    Push,
    /// Remove from one repository.
    Delete,
    /// Registers a statement and places it in a repository.
    Claim,
}

impl Call {
    /// The repository the call is about, if it is about one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Ping | Self::Catalog { .. } => None,
            Self::Discover { repository } => repository.as_ref(),
            Self::Blob { repository, .. }
            | Self::DeleteBlob { repository, .. }
            | Self::StartUpload { repository, .. }
            | Self::UploadStatus { repository, .. }
            | Self::UploadPatch { repository, .. }
            | Self::UploadFinish { repository, .. }
            | Self::UploadCancel { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::PutManifest { repository, .. }
            | Self::DeleteManifest { repository, .. }
            | Self::Tags { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::ScittRegister { repository }
            | Self::ScittEntry { repository, .. } => Some(repository),
        }
    }

    /// What the call needs permission for. Mounting needs [`Action::Pull`] on its source besides.
    pub fn action(&self) -> Action {
        match self {
            Self::Ping | Self::Discover { repository: None } => Action::Ping,
            Self::Catalog { .. } => Action::Catalog,
            Self::Discover { repository: Some(_) }
            | Self::Blob { .. }
            | Self::Manifest { .. }
            | Self::Tags { .. }
            | Self::Referrers { .. }
            | Self::ScittEntry { .. } => Action::Pull,
            Self::StartUpload { .. }
            | Self::UploadStatus { .. }
            | Self::UploadPatch { .. }
            | Self::UploadFinish { .. }
            | Self::UploadCancel { .. }
            | Self::PutManifest { .. } => Action::Push,
            Self::ScittRegister { .. } => Action::Claim,
            Self::DeleteBlob { .. } | Self::DeleteManifest { .. } => Action::Delete,
        }
    }
}

/// Why a request is no call. Always the caller's fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The path belongs to no call.
    #[error("there is nothing at this path")]
    UnknownPath,
    /// The path is right, the method is not.
    #[error("this method is not supported here, use {allowed}")]
    MethodNotAllowed {
        /// The methods that are, as an `Allow` header lists them.
        allowed: &'static str,
    },
    /// The path is not plain: percent-encoded, with an empty segment, `.` or `..`.
    #[error("paths are plain: no percent-encoding, no empty segment, no . or ..")]
    PathNotPlain,
    /// The repository name is outside the grammar.
    #[error(transparent)]
    Name(NameError),
    /// A digest is malformed.
    #[error(transparent)]
    Digest(DigestError),
    /// A tag that is to be written is outside the grammar.
    #[error(transparent)]
    Tag(NameError),
    /// A tag that is to be read or removed is outside the grammar, so that it cannot exist.
    #[error("there is no such tag, {0}")]
    TagUnknown(NameError),
    /// What should be an upload session is none.
    #[error("there is no such upload")]
    Session,
    /// What should be an entry id is none.
    #[error("an entry id is 64 lower-case hex digits")]
    EntryId,
    /// The closing PUT of an upload names no digest.
    #[error("closing an upload takes ?digest=")]
    DigestMissing,
    /// A number is malformed.
    #[error("{parameter} must be a whole number, not negative")]
    Number {
        /// Which parameter.
        parameter: &'static str,
    },
    /// A filter is no media type.
    #[error("artifactType must be a media type such as application/spdx+json")]
    Filter,
    /// A parameter stands more than once.
    #[error("{parameter} may stand only once")]
    Repeated {
        /// Which parameter.
        parameter: &'static str,
    },
    /// More `tag` parameters than [`TAG_PARAMETERS_MAX`].
    #[error("at most {TAG_PARAMETERS_MAX} tags can be set at once")]
    TooManyTags,
    /// Further tags beside a tag.
    #[error("?tag= takes a digest in the path")]
    TagsWithoutDigest,
    /// A percent-encoding in the query is broken or hides something that is no UTF-8.
    #[error("the query has a broken percent-encoding")]
    Escape,
    /// The query is over its limit.
    #[error("the query has at most {} bytes, this one has {bytes}", crate::query::QUERY_BYTES_MAX)]
    QueryTooLong {
        /// How long it is.
        bytes: usize,
    },
}

impl CallError {
    /// The spec's code for the error body.
    pub fn code(&self) -> Code {
        match self {
            Self::PathNotPlain | Self::Name(_) => Code::NameInvalid,
            Self::Digest(_) | Self::DigestMissing => Code::DigestInvalid,
            Self::Tag(_) | Self::TooManyTags | Self::TagsWithoutDigest => Code::ManifestInvalid,
            Self::TagUnknown(_) => Code::ManifestUnknown,
            Self::Session => Code::BlobUploadUnknown,
            Self::UnknownPath
            | Self::MethodNotAllowed { .. }
            | Self::EntryId
            | Self::Number { .. }
            | Self::Filter
            | Self::Repeated { .. }
            | Self::Escape
            | Self::QueryTooLong { .. } => Code::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests;
