//! Copies of a whole data folder: out of a running store into a backup, and from a backup into a new folder.
//!
//! The database goes first on the way out: it is one consistent snapshot, and every file it names is there, because files are
//! synced before their rows and none is removed meanwhile. On the way in it goes last, under another name until all else
//! is durable, so that a folder with a database is a whole one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use docket_oci::crypto::Hasher;
use docket_oci::digest::Digest;
use sqlx::sqlite::SqlitePool;

use crate::durable::{make_private, sync_folder};
use crate::guard::GuardPoint;
use crate::keys::DataFolder;
use crate::sql::{column, execute, fetch_optional, open_reader, open_readers, open_writer};
use crate::store::{blocking, lock};
use crate::{BlobBody, Store, StoreError, StoredBlob};

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The newest tree.
    pub head: GuardPoint,
    /// Blobs that are files.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
}

impl Store {
    /// Copies database and blob files into a new folder, synced. Changes go on meanwhile; what was acknowledged before the
    /// call is in the copy. Files are hard links where that is possible.
    pub async fn copy_to(&self, to: &DataFolder) -> Result<Copied, StoreError> {
        if !self.blobs().are_files() {
            return Err(StoreError::BlobsElsewhere);
        }
        for path in [to.root().to_owned(), to.keys(), to.blobs()] {
            make_private(&path)?;
        }
        let _copying = self.copying.write().await;
        snapshot(&self.folder.database(), &to.database()).await?;
        let copy = open_readers(&to.database());
        let copied = copy_files(&copy, &self.folder, to, link_or_copy).await;
        copy.close().await;
        let copied = copied?;
        sync_folders(to).await?;
        Ok(copied)
    }
}

/// Makes a data folder from a copy that should hold what `expected` says, hashing every blob on the way. It takes no changes
/// until [`set_restored`] says that it may. Keys and head guard are the caller's, and come before.
///
/// A crash in here leaves a folder without a database, which can be deleted.
pub async fn restore(from: &DataFolder, to: &DataFolder, expected: &Copied, mark: &str) -> Result<(), StoreError> {
    for path in [to.blobs(), to.tiles(), to.staging()] {
        make_private(&path)?;
    }
    let _lock = lock(to)?;
    let copy = open_readers(&from.database());
    let copied = copy_files(&copy, from, to, copy_checked).await;
    copy.close().await;
    let copied = copied?;
    if copied != *expected {
        let (held, said) = (copied.files, expected.files);
        let sizes = format!("{held} files and a tree of {}", copied.head.size);
        return Err(StoreError::damaged(format!("the backup holds {sizes}, not the {said} files that it says")));
    }
    let part = to.root().join("docket.db.part");
    let (source, target) = (from.database(), part.clone());
    blocking(move || copy_file(&source, &target)).await?;
    write_mark(&part, Some(mark)).await?;
    sync_folders(to).await?;
    let database = to.database();
    std::fs::rename(&part, &database).map_err(StoreError::file("rename to", &database))?;
    sync_folder(to.root())
}

/// Marks a closed data folder as a restored copy, which takes no changes, or takes the mark away.
pub async fn set_restored(folder: &DataFolder, mark: Option<&str>) -> Result<(), StoreError> {
    let _lock = lock(folder)?;
    write_mark(&folder.database(), mark).await
}

async fn write_mark(database: &Path, mark: Option<&str>) -> Result<(), StoreError> {
    let mut connection = open_writer(database).await?;
    let written = match mark {
        Some(mark) => {
            const TEXT: &str = "INSERT INTO meta (name, value) VALUES ($1, $2)";
            execute(&mut connection, TEXT, &[RESTORED.into(), mark.into()]).await
        }
        None => execute(&mut connection, "DELETE FROM meta WHERE name = $1", &[RESTORED.into()]).await,
    };
    written.map_err(StoreError::database("write meta"))?;
    // Closing takes the write-ahead log along.
    execute(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE)", &[])
        .await
        .map_err(StoreError::database("checkpoint"))?;
    sqlx::Connection::close(connection).await.map_err(StoreError::database("close"))?;
    sync(database)
}

/// Writes all rows, as one transaction sees them, into a new database file.
async fn snapshot(from: &Path, to: &Path) -> Result<(), StoreError> {
    let text = to.to_str().ok_or_else(|| StoreError::File {
        verb: "name",
        path: to.to_owned(),
        source: std::io::Error::other("a backup's path must be UTF-8"),
    })?;
    let mut reader = open_reader(from).await?;
    let copied = execute(&mut reader, "VACUUM INTO $1", &[text.into()]).await;
    copied.map_err(StoreError::database("copy the rows"))?;
    sqlx::Connection::close(reader).await.map_err(StoreError::database("close"))?;
    let path = to.to_owned();
    blocking(move || sync(&path)).await
}

/// How one file comes from one folder into the other.
type CopyFile = fn(&Path, &Path, &Digest) -> Result<(), StoreError>;

/// Copies the files that a database names, and looks at the blobs that it holds itself.
async fn copy_files(
    database: &SqlitePool,
    from: &DataFolder,
    to: &DataFolder,
    copy: CopyFile,
) -> Result<Copied, StoreError> {
    let row = fetch_optional(database, "SELECT size, root FROM head", &[]).await;
    let row = row.map_err(StoreError::database("read the head"))?;
    let row = row.ok_or_else(|| StoreError::damaged("the ledger has no head"))?;
    let head = GuardPoint { size: column::<i64>(&row, 0)? as u64, root: crate::catalog::hash(&row, 1)? };
    let mut copied = Copied { head, files: 0, file_bytes: 0 };
    let mut after = 0;
    loop {
        let page = crate::inventory::stored_blobs(database, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = last.position;
        for blob in &page {
            if blob.row.body == BlobBody::File {
                copied.files += 1;
                copied.file_bytes += blob.row.size;
            }
        }
        let (from, to) = (from.clone(), to.clone());
        blocking(move || page.iter().try_for_each(|blob| copy_blob(blob, &from, &to, copy))).await?;
    }
}

fn copy_blob(blob: &StoredBlob, from: &DataFolder, to: &DataFolder, copy: CopyFile) -> Result<(), StoreError> {
    match &blob.row.body {
        BlobBody::File => {
            let (source, target) = (from.blob(&blob.digest), to.blob(&blob.digest));
            make_private(target.parent().unwrap_or(&target))?;
            copy(&source, &target, &blob.digest)
        }
        BlobBody::Inline(bytes) if Digest::of(blob.digest.algorithm(), bytes) != blob.digest => {
            Err(StoreError::damaged(format!("blob {} has other bytes", blob.digest)))
        }
        BlobBody::Inline(_) | BlobBody::StatementOf(_) | BlobBody::ReceiptOf(_) => Ok(()),
    }
}

/// A hard link, else a copy: blob files are never written again.
fn link_or_copy(from: &Path, to: &Path, _: &Digest) -> Result<(), StoreError> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => Err(StoreError::file("link", from)(failure)),
        Err(_) => copy_file(from, to),
    }
}

fn copy_checked(from: &Path, to: &Path, digest: &Digest) -> Result<(), StoreError> {
    let mut hasher = Hasher::new(digest.algorithm());
    copy_bytes(from, to, |chunk| hasher.update(chunk))?;
    let found = hasher.finish();
    if found == *digest {
        return Ok(());
    }
    Err(StoreError::damaged(format!("{} has the bytes of {found}", from.display())))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    copy_bytes(from, to, |_| {})
}

/// Copies a file and syncs it, showing every chunk on the way.
fn copy_bytes(from: &Path, to: &Path, mut see: impl FnMut(&[u8])) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(StoreError::file("open", from))?;
    let mut target = File::create_new(to).map_err(StoreError::file("create", to))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = source.read(&mut chunk).map_err(StoreError::file("read", from))?;
        if length == 0 {
            return target.sync_all().map_err(StoreError::file("sync", to));
        }
        see(&chunk[..length]);
        target.write_all(&chunk[..length]).map_err(StoreError::file("write", to))?;
    }
}

/// Makes every name in a copy durable.
async fn sync_folders(folder: &DataFolder) -> Result<(), StoreError> {
    let root = folder.root().to_owned();
    blocking(move || {
        let mut waiting: Vec<PathBuf> = vec![root];
        while let Some(path) = waiting.pop() {
            sync_folder(&path)?;
            for entry in std::fs::read_dir(&path).map_err(StoreError::file("list", &path))? {
                let entry = entry.map_err(StoreError::file("list", &path))?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    waiting.push(entry.path());
                }
            }
        }
        Ok(())
    })
    .await
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::file("sync", path))
}

/// The setting that marks a restored copy.
pub(crate) const RESTORED: &str = "restored";
const PAGE: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use docket_oci::digest::Algorithm;

    use super::*;

    #[tokio::test]
    async fn no_file_is_removed_while_a_folder_is_copied() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::create(DataFolder::new(folder.path().join("data")), &[]).await.expect("created");
        let (repository, bytes) = ("a".parse::<docket_oci::RepositoryName>().expect("a name"), vec![7; 100_000]);
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        let mut staging = store.blobs().stage(Algorithm::Sha256);
        staging.write(bytes.into()).await.expect("written");
        let staged = staging.finish(&digest).await.expect("whole");
        store.put_blob(repository.clone(), staged, 0).await.expect("put");
        store.delete_blob(repository, digest).await.expect("deleted");
        let copying = store.copying.write().await;
        assert!(!store.remove_file(&digest).await.expect("answered"), "a copy may name it");
        assert!(store.folder().blob(&digest).exists());
        drop(copying);
        assert!(store.remove_file(&digest).await.expect("answered"));
        assert!(!store.folder().blob(&digest).exists());
        store.close().await;
    }
}
