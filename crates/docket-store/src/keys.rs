//! The storage map: every file and table of a data folder, drawn once.
//!
//! ```text
//! <data>/
//! ├── docket.lock           advisory lock of the one process that has the folder open
//! ├── docket.db             SQLite: every row (see schema.sql), WAL beside it
//! ├── guard                 size and root of the newest head that may be spoken of, outside the database
//! ├── admin.sock            the running server's admin socket (file permission is the authority)
//! ├── keys/receipt.key      signs tree heads, and so receipts
//! ├── keys/statement.key    signs the service's own statements (genesis, issuers)
//! ├── keys/checkpoint.key   signs checkpoints (C2SP notes)
//! ├── keys/<role>.<kid>.next a key of the service that waits to come into force
//! ├── keys/token.key        signs the tokens that clients get for passwords; made when there are access rules
//! ├── blobs/<alg>/<hex>     content above 64 KiB; smaller content is a row
//! ├── quarantine/<alg>/<hex> damaged content that fsck set aside; for people to look at, nothing reads it
//! ├── tiles/tile/<l>/<n>    full tiles of the tree (C2SP tlog-tiles names); rebuildable from rows
//! └── staging/<uuid>        uploads in progress and files not yet renamed; beside each upload session
//!     staging/<uuid>.session    a note on whose it is, so that a restart does not end it; the rest goes at start
//! ```

use std::path::{Path, PathBuf};

use docket_oci::digest::Digest;

/// Paths of one data folder.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// Names the folder; nothing is touched.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock file that refuses a second process.
    pub fn lock(&self) -> PathBuf {
        self.root.join("docket.lock")
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.root.join("docket.db")
    }

    /// The database's write-ahead log.
    pub fn log(&self) -> PathBuf {
        self.root.join("docket.db-wal")
    }

    /// The head guard.
    pub fn guard(&self) -> PathBuf {
        self.root.join("guard")
    }

    /// The admin socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    /// Key of the tree heads.
    pub fn receipt_key(&self) -> PathBuf {
        self.keys().join("receipt.key")
    }

    /// Key of the service's own statements.
    pub fn statement_key(&self) -> PathBuf {
        self.keys().join("statement.key")
    }

    /// Key of the checkpoints.
    pub fn checkpoint_key(&self) -> PathBuf {
        self.keys().join("checkpoint.key")
    }

    /// Key of the tokens.
    pub fn token_key(&self) -> PathBuf {
        self.keys().join("token.key")
    }

    /// Folder of the private keys.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Folder of content above [`INLINE_BYTES_MAX`].
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The file of one blob. One folder for all: pushes that end together share the sync of their names, and file systems
    /// have found names among millions fast for decades.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// Where damaged content of this digest is set aside.
    pub fn quarantined(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// Folder that full tiles are exported below.
    pub fn tiles(&self) -> PathBuf {
        self.root.join("tiles")
    }

    /// Folder of uploads in progress.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }
}

/// Content up to this size lives in the database and shares the writer's sync.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
