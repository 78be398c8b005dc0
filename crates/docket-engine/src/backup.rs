//! Backups: a copy of everything that makes the service what it is, taken while it runs, and put back into a new folder.
//!
//! A backup is rows, blobs, guard and the two signing keys of a data folder, and `backup.json`, which is written last: a folder
//! without it is no backup. Keys are in it, so it must be kept as the data folder is.

use std::fs;
use std::path::Path;

use docket_store::keys::DataFolder;
use docket_store::{Copied, FORMAT_VERSION, GuardPoint, HeadGuard, StoreError, make_private, sync_folder};
use zeroize::Zeroizing;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::{Instance, write_secret};

/// What `backup.json` says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Backup {
    /// Version of the data folder's format.
    pub format: String,
    /// Whose it is.
    pub service: String,
    /// When it was begun, Unix seconds: everything acknowledged before is in it.
    pub created_at: i64,
    /// Entries in its ledger.
    pub tree_size: u64,
    /// Their root, hex.
    pub root: String,
    /// Blobs that are files; smaller ones are rows.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
}

impl Instance {
    /// Writes a backup into a folder that is new or empty. Changes go on meanwhile; what was acknowledged before the call is
    /// in it. A crash or a caller that goes away leaves a folder without `backup.json`.
    pub async fn backup(&self, permit: &Permit, to: &Path) -> Result<Backup, EngineError> {
        permit.scope(Right::Admin)?;
        empty_or_new(to)?;
        // Rows and keys are copied one after the other; they must speak of the same keys.
        let _no_change = self.keys_change.lock().await;
        let (from, to) = (self.store.folder().clone(), DataFolder::new(to));
        let created_at = self.clock.now();
        let copied = self.store.copy_to(&to).await?;
        let backup = Backup {
            format: FORMAT_VERSION.to_owned(),
            service: self.service().to_string(),
            created_at,
            tree_size: copied.head.size,
            root: hex::encode(copied.head.root),
            files: copied.files,
            file_bytes: copied.file_bytes,
        };
        let text = serde_json::to_vec_pretty(&backup).expect("numbers and strings");
        let finished = tokio::task::spawn_blocking(move || finish(&from, &to, copied.head, &text)).await;
        finished.map_err(|_| EngineError::Stopped)??;
        Ok(backup)
    }

    /// Makes a data folder from a backup, checking every digest on the way. It takes no changes until
    /// [`recover`](Self::recover) has compared it with what was said after the backup.
    pub async fn restore(from: &Path, to: &Path) -> Result<Backup, EngineError> {
        let backup = read_backup(from)?;
        let expected = expected(&backup).ok_or_else(|| unusable(from, "its root is no hash"))?;
        empty_or_new(to)?;
        let (from, to) = (DataFolder::new(from), DataFolder::new(to));
        make_private(to.root())?;
        make_private(&to.keys())?;
        copy_keys(&from, &to)?;
        HeadGuard::create(&to.guard(), expected.head)?;
        sync_folder(&to.keys())?;
        docket_store::restore(&from, &to, &expected, &backup.created_at.to_string()).await?;
        Ok(backup)
    }
}

/// What is beside database and blobs: keys and guard, then the file that says that all is there.
fn finish(from: &DataFolder, to: &DataFolder, head: GuardPoint, text: &[u8]) -> Result<(), EngineError> {
    copy_keys(from, to)?;
    HeadGuard::create(&to.guard(), head)?;
    sync_folder(&to.keys())?;
    sync_folder(to.root())?;
    write_secret(&to.root().join(BACKUP_FILE), text)?;
    Ok(sync_folder(to.root())?)
}

fn read_backup(folder: &Path) -> Result<Backup, EngineError> {
    let path = folder.join(BACKUP_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => {
            return Err(unusable(folder, "it has no backup.json, so it is no backup or one that was not finished"));
        }
        Err(source) => return Err(StoreError::File { verb: "read", path, source }.into()),
    };
    let backup: Backup = serde_json::from_slice(&text).map_err(|failure| unusable(folder, &failure.to_string()))?;
    if backup.format != FORMAT_VERSION {
        let why = format!("it has format version {}, this docket reads {FORMAT_VERSION}", backup.format);
        return Err(unusable(folder, &why));
    }
    Ok(backup)
}

fn expected(backup: &Backup) -> Option<Copied> {
    let root = hex::decode(&backup.root).ok()?.try_into().ok()?;
    let head = GuardPoint { size: backup.tree_size, root };
    Some(Copied { head, files: backup.files, file_bytes: backup.file_bytes })
}

fn unusable(folder: &Path, why: &str) -> EngineError {
    EngineError::BackupUnusable { folder: folder.to_owned(), why: why.to_owned() }
}

/// Nothing is mixed with what lies there already.
fn empty_or_new(folder: &Path) -> Result<(), EngineError> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(EngineError::NotEmpty(folder.to_owned())),
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::File { verb: "list", path: folder.to_owned(), source }.into()),
    }
}

fn copy_keys(from: &DataFolder, to: &DataFolder) -> Result<(), EngineError> {
    for key in [DataFolder::receipt_key, DataFolder::statement_key, DataFolder::checkpoint_key] {
        let (from, to) = (key(from), key(to));
        match fs::read(&from).map(Zeroizing::new) {
            Ok(key) => write_secret(&to, &key)?,
            // A signing command has it.
            Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::File { verb: "read", path: from, source }.into()),
        }
    }
    Ok(())
}

/// Says that a backup is whole, and what is in it.
const BACKUP_FILE: &str = "backup.json";
