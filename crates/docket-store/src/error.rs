//! What can go wrong while keeping bytes and rows.

use std::path::{Path, PathBuf};

use docket_oci::digest::Digest;

/// A failure of the store. Absence is not an error: reads answer `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Operator: another process has the folder open.
    #[error("another docket process has {0} open; stop it, or use its admin socket")]
    Locked(PathBuf),
    /// Operator: `init` was never run here.
    #[error("{0} holds no docket data; run `docket init --data {0}` first")]
    NotInitialised(PathBuf),
    /// Operator: `init` was run here before.
    #[error("{0} already holds docket data; choose another folder, nothing was changed")]
    AlreadyInitialised(PathBuf),
    /// Operator: data of another release.
    #[error("{folder} has format version {found}, this docket reads version {FORMAT}; use the release that wrote it", FORMAT = crate::FORMAT_VERSION)]
    FormatVersion {
        /// The data folder.
        folder: PathBuf,
        /// What its database says.
        found: String,
    },
    /// Operator: the folder was restored from a backup, and may lack what was answered after it.
    #[error(
        "{0} was restored from a backup and takes no changes until `docket recover --data {0}` has been run; pulls are served"
    )]
    Restored(PathBuf),
    /// Operator: a backup copies files, and these blobs are none.
    #[error(
        "the blobs lie in a bucket, which a backup does not copy; keep versions of its objects, and the data folder by a snapshot of its disk"
    )]
    BlobsElsewhere,
    /// Caller: too many changes are waiting; try again shortly.
    #[error("too many changes are waiting for the disk; try again in a second")]
    Busy,
    /// Caller: content that should have hashed to one digest hashed to another.
    #[error("content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was asked for.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// Stored data: something on disk is not what was written there.
    #[error("stored data is damaged: {what}; run `docket fsck`")]
    Damaged {
        /// Which item, and how it is wrong.
        what: String,
    },
    /// Environment: no room.
    #[error("the disk is full; free space in {0}")]
    DiskFull(PathBuf),
    /// Environment: a file operation failed.
    #[error("cannot {verb} {path}")]
    File {
        /// What was attempted.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Environment: the bucket did not do what it was asked for.
    #[error("the object store could not {verb} {key}")]
    Remote {
        /// What was attempted.
        verb: &'static str,
        /// On which object.
        key: String,
        /// Why it failed.
        source: Box<object_store::Error>,
    },
    /// Operator: the blobs of this folder are somewhere else.
    #[error(
        "the blobs of this data folder are kept in {kept}, not in {configured}; put the [storage] section of the configuration right, nothing was changed"
    )]
    OtherStorage {
        /// Where they are.
        kept: String,
        /// Where the configuration says they are.
        configured: String,
    },
    /// Environment: the database refused.
    #[error("database: cannot {verb}")]
    Database {
        /// What was attempted.
        verb: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// The writer has stopped: the store is shutting down.
    #[error("the store is shutting down")]
    Stopped,
}

impl StoreError {
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull(path.to_owned()),
            _ => Self::File { verb, path: path.to_owned(), source },
        }
    }

    pub(crate) fn database(verb: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { verb, source }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// Whether a database error means that a sync or write to disk failed. After one, what is on disk is
/// unknown: a re-read may show data that is not there, so the process must not go on.
pub(crate) fn is_io_failure(error: &sqlx::Error) -> bool {
    const SQLITE_IOERR: u32 = 10;
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == SQLITE_IOERR)
}

/// Whether a database error means a full disk: SQLite has rolled back, nothing was changed.
pub(crate) fn is_disk_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: &str = "13";
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == SQLITE_FULL)
}
