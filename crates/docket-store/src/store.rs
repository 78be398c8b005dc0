//! The open store: one data folder, its writer, its readers, its files.

use std::fs::File;
use std::sync::Arc;

use docket_oci::digest::Digest;
use docket_oci::name::RepositoryName;
use sqlx::sqlite::SqlitePool;
use tokio::sync::RwLock;

use crate::StoreError;
use crate::blobs::{BlobStorage, Blobs, StagedBlob};
use crate::cache::RowCache;
use crate::change::{
    Append, AppendOutcome, Change, ChangeOutcome, CosignatureRow, NewPlacement, Outcome, RegistryChange, SeenChange,
};
use crate::copy::RESTORED;
use crate::durable::{Folders, make_private, must_sync, sync_folder};
use crate::guard::HeadGuard;
use crate::keys::DataFolder;
use crate::sql::{column, create, fetch_optional, open_readers};
use crate::writer::{Writer, WriterTasks};

/// Version of what lies in a data folder.
pub const FORMAT_VERSION: &str = "1";

/// An open data folder. One process holds it at a time.
#[derive(Debug)]
pub struct Store {
    pub(crate) folder: Arc<DataFolder>,
    pub(crate) readers: SqlitePool,
    pub(crate) cache: Arc<RowCache>,
    pub(crate) writer: Writer,
    tasks: WriterTasks,
    /// Held for writing while the folder is copied; who cuts the write-ahead log or removes files of blobs holds it for
    /// reading.
    pub(crate) copying: Arc<RwLock<()>>,
    is_restored: bool,
    pub(crate) folders: Arc<Folders>,
    blobs: Blobs,
    /// Held for its lock.
    _lock: File,
}

impl Store {
    /// Makes an empty store in a new or empty folder: the folders, the tables, no rows but `meta`.
    /// The head guard comes with the first entry.
    pub async fn create(folder: DataFolder, meta: &[(&str, &str)]) -> Result<Self, StoreError> {
        if folder.database().exists() {
            return Err(StoreError::AlreadyInitialised(folder.root().to_owned()));
        }
        for path in [folder.root().to_owned(), folder.keys(), folder.blobs(), folder.tiles(), folder.staging()] {
            make_private(&path)?;
        }
        let lock = lock(&folder)?;
        create(&folder.database()).await?;
        let mut connection = crate::sql::open_writer(&folder.database()).await?;
        let version = ("format", FORMAT_VERSION);
        for (name, value) in meta.iter().chain([&version]) {
            const TEXT: &str = "INSERT INTO meta (name, value) VALUES ($1, $2)";
            let values = [(*name).into(), (*value).into()];
            crate::sql::execute(&mut connection, TEXT, &values).await.map_err(StoreError::database("write meta"))?;
        }
        sqlx::Connection::close(connection).await.map_err(StoreError::database("close"))?;
        sync_folder(folder.root())?;
        let readers = open_readers(&folder.database());
        Self::start(folder, lock, readers, BlobStorage::Files, false).await
    }

    /// Opens a store that `create` made. What interrupted uploads left stays until [`Blobs::left_sessions`] is asked.
    pub async fn open(folder: DataFolder, storage: BlobStorage) -> Result<Self, StoreError> {
        if !folder.database().exists() {
            return Err(StoreError::NotInitialised(folder.root().to_owned()));
        }
        let lock = lock(&folder)?;
        // A process that was killed may have left commits in the log without their sync. Whoever reads them must find
        // them again, and the head guard must not get ahead of them.
        if let Ok(log) = File::open(folder.log()) {
            must_sync(&folder.log(), log.sync_all())?;
            sync_folder(folder.root())?;
        }
        let readers = open_readers(&folder.database());
        check_version(&readers, &folder).await?;
        check_storage(&readers, &folder, &storage).await?;
        let is_restored = setting(&readers, RESTORED).await?.is_some();
        Self::start(folder, lock, readers, storage, is_restored).await
    }

    async fn start(
        folder: DataFolder,
        lock: File,
        readers: SqlitePool,
        storage: BlobStorage,
        is_restored: bool,
    ) -> Result<Self, StoreError> {
        let folder = Arc::new(folder);
        let cache = Arc::new(RowCache::new());
        let copying = Arc::default();
        let (writer, tasks) = Writer::start(&folder, Arc::clone(&cache), Arc::clone(&copying), is_restored).await?;
        let folders = Arc::new(Folders::new(folder.root()));
        let blobs = Blobs::new(Arc::clone(&folder), Arc::clone(&folders), storage)?;
        Ok(Self { folder, readers, cache, writer, tasks, copying, is_restored, folders, blobs, _lock: lock })
    }

    /// Finishes what is queued and closes every file.
    pub async fn close(self) {
        self.blobs.close().await;
        drop(self.writer);
        self.tasks.join().await;
        self.readers.close().await;
    }

    /// Whether this is a restored copy that takes no changes yet.
    pub fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// Where everything lies.
    pub fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// The blobs that are no rows.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Makes the names of files that others put into the data folder durable: keys, the head guard. Blocks on the disk.
    pub fn sync_names(&self) -> Result<(), StoreError> {
        sync_folder(&self.folder.keys())?;
        sync_folder(self.folder.root())
    }

    /// Opens the head guard.
    pub fn guard(&self) -> Result<HeadGuard, StoreError> {
        HeadGuard::open(&self.folder.guard())
    }

    /// A setting fixed at creation.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        setting(&self.readers, name).await
    }

    /// Makes content visible in a repository, at a time in Unix seconds.
    pub async fn put_blob(&self, repository: RepositoryName, staged: StagedBlob, now: i64) -> Result<(), StoreError> {
        let StagedBlob { blob, claim } = staged;
        self.writer.write(Change::PutBlob { repository, blob, linked_at: now, _claim: claim }).await.map(drop)
    }

    /// Makes content of one repository visible in another, at a time in Unix seconds; false if the first does not hold it.
    pub async fn mount_blob(
        &self,
        from: RepositoryName,
        to: RepositoryName,
        digest: Digest,
        now: i64,
    ) -> Result<bool, StoreError> {
        Ok(self.writer.write(Change::MountBlob { from, to, digest, linked_at: now }).await? == Outcome::Done)
    }

    /// Notes that somebody was told that a repository holds a blob, and may count on it: it counts as linked just now. False if
    /// the repository does not hold it any more.
    pub async fn see_blob(&self, repository: RepositoryName, digest: Digest, now: i64) -> Result<bool, StoreError> {
        self.mount_blob(repository.clone(), repository, digest, now).await
    }

    /// Hides content from a repository; false if it did not hold it.
    pub async fn delete_blob(&self, repository: RepositoryName, digest: Digest) -> Result<bool, StoreError> {
        Ok(self.writer.write(Change::DeleteBlob { repository, digest }).await? == Outcome::Done)
    }

    /// Changes what a repository shows.
    pub async fn change(&self, change: RegistryChange) -> Result<ChangeOutcome, StoreError> {
        self.writer.write(Change::Registry(change, None)).await.map(change_outcome)
    }

    /// The same, if what was seen still stands.
    pub async fn change_seen(&self, change: SeenChange) -> Result<ChangeOutcome, StoreError> {
        let SeenChange { change, seen } = change;
        self.writer.write(Change::Registry(change, Some(seen))).await.map(change_outcome)
    }

    /// Extends the ledger by a batch: entries, index, placements, issuers, observed changes and head, all or nothing.
    pub async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        self.writer.write(Change::Append(Box::new(append))).await.map(append_outcome)
    }

    /// Keeps what a witness said, and of what it said before only what it said of the tree of `keep_size`.
    pub async fn cosign(&self, row: CosignatureRow, keep_size: u64) -> Result<(), StoreError> {
        self.writer.write(Change::Cosign { row, keep_size }).await.map(drop)
    }

    /// Makes an entry that stands already visible in one more repository.
    pub async fn place(&self, placement: NewPlacement) -> Result<AppendOutcome, StoreError> {
        self.writer.write(Change::Place(Box::new(placement))).await.map(append_outcome)
    }

    /// Keeps a full tile under its C2SP name. A crash leaves the tile whole or absent; absent ones are made again.
    pub async fn write_tile(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (to, staging) = (self.folder.tiles().join(name), self.folder.staging());
        let folders = Arc::clone(&self.folders);
        blocking(move || folders.write_file(&staging, &to, &bytes)).await
    }

    /// A full tile, if it was exported.
    pub async fn read_tile(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.tiles().join(name);
        blocking(move || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { verb: "read", path, source }),
        })
        .await
    }
}

/// Does what blocks on the disk on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopped))
}

/// Compares the format version before anything is touched: data of another release may look different in every way.
async fn check_version(database: &SqlitePool, folder: &DataFolder) -> Result<(), StoreError> {
    match setting(database, "format").await? {
        Some(found) if found == FORMAT_VERSION => Ok(()),
        found => {
            let found = found.unwrap_or_else(|| "none".to_owned());
            Err(StoreError::FormatVersion { folder: folder.root().to_owned(), found })
        }
    }
}

async fn setting(database: &SqlitePool, name: &str) -> Result<Option<String>, StoreError> {
    let row = fetch_optional(database, "SELECT value FROM meta WHERE name = $1", &[name.into()]).await;
    row.map_err(StoreError::database("read meta"))?.map(|row| column(&row, 0)).transpose()
}

/// A folder's blobs are in one place: a server that looked into another would find every blob missing, and its collector would
/// judge the blobs of somebody else. A bucket is written down when it is first configured, which must be before any blob.
async fn check_storage(database: &SqlitePool, folder: &DataFolder, storage: &BlobStorage) -> Result<(), StoreError> {
    const FILES: &str = "SELECT 1 FROM blob WHERE kind = 1 LIMIT 1";
    const KEEP: &str = "INSERT INTO meta (name, value) VALUES ('blobs', $1)";
    let (configured, failed) = (storage.to_string(), |source| StoreError::Database { verb: "find the blobs", source });
    let kept = setting(database, "blobs").await?;
    match (kept, storage) {
        (None, BlobStorage::Files) => Ok(()),
        // A walk over all blobs, but only at the first start with a bucket.
        (None, BlobStorage::S3(_)) if fetch_optional(database, FILES, &[]).await.map_err(failed)?.is_none() => {
            let mut connection = crate::sql::open_writer(&folder.database()).await?;
            crate::sql::execute(&mut connection, KEEP, &[configured.as_str().into()]).await.map_err(failed)?;
            sqlx::Connection::close(connection).await.map_err(failed)
        }
        (Some(kept), _) if kept == configured => Ok(()),
        (kept, _) => {
            let kept = kept.unwrap_or_else(|| BlobStorage::Files.to_string());
            Err(StoreError::OtherStorage { kept, configured })
        }
    }
}

fn append_outcome(outcome: Outcome) -> AppendOutcome {
    match outcome {
        Outcome::Appended(outcome) => outcome,
        Outcome::Done | Outcome::NotFound | Outcome::Changed(_) | Outcome::Removed { .. } => {
            unreachable!("the writer answers an append or a placement as such")
        }
    }
}

fn change_outcome(outcome: Outcome) -> ChangeOutcome {
    match outcome {
        Outcome::Changed(outcome) => outcome,
        Outcome::Done | Outcome::NotFound | Outcome::Appended(_) | Outcome::Removed { .. } => {
            unreachable!("the writer answers a change of a repository as such")
        }
    }
}

/// Takes the lock that refuses a second process; released when the file closes, however the process ends.
pub(crate) fn lock(folder: &DataFolder) -> Result<File, StoreError> {
    let path = folder.lock();
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Locked(folder.root().to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(StoreError::File { verb: "lock", path, source }),
    }
}
