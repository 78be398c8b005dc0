//! Blobs as files of the data folder, each under the name of its digest.

use std::fs::{File, ReadDir};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use docket_oci::digest::{Algorithm, Digest};

use super::KeptBlob;
use super::staging::{Sink, hash_file};
use crate::StoreError;
use crate::durable::{Folders, must_sync};
use crate::keys::DataFolder;

/// The blob files. All verbs block on the disk.
#[derive(Debug, Clone)]
pub(super) struct FsBlobs {
    pub folder: Arc<DataFolder>,
    pub folders: Arc<Folders>,
}

/// Where a walk over the files is.
#[derive(Debug)]
pub(super) struct FsListing {
    /// One folder per algorithm, the one being read last.
    open: Vec<(Algorithm, PathBuf, ReadDir)>,
}

impl FsBlobs {
    /// Syncs a staged file and renames it. A crash before the rename leaves a staged file, removed at start; after it, a file
    /// that no row names, which the next push of the same content replaces and the collector removes.
    pub(super) fn put(&self, mut sink: Sink, digest: &Digest) -> Result<(), StoreError> {
        let synced = sink.file()?.sync_all();
        must_sync(&sink.path, synced)?;
        self.folders.install(&sink.path, &self.folder.blob(digest))?;
        (sink.file, sink.written) = (None, 0);
        Ok(())
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.folder.blob(digest);
        File::open(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => StoreError::damaged(format!("the file of blob {digest} is missing")),
            _ => StoreError::File { verb: "open", path, source },
        })
    }

    pub(super) fn verify(&self, digest: &Digest) -> Result<(Digest, u64), StoreError> {
        self.open(digest)?;
        let (hasher, size) = hash_file(&self.folder.blob(digest), digest.algorithm())?;
        Ok((hasher.finish(), size))
    }

    pub(super) fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.folder.blob(digest);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(StoreError::File { verb: "remove", path, source })
            }
            // A crash may bring the name back: then it is again a file that no row names.
            _ => Ok(()),
        }
    }

    pub(super) fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        let from = self.folder.blob(digest);
        if !from.exists() {
            return Ok(());
        }
        self.folders.install(&from, &self.folder.quarantined(digest))
    }

    pub(super) fn list(&self) -> Result<FsListing, StoreError> {
        let mut open = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = self.folder.blobs().join(algorithm.as_str());
            match std::fs::read_dir(&path) {
                Ok(entries) => open.push((algorithm, path, entries)),
                Err(failure) if failure.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::File { verb: "list", path, source }),
            }
        }
        Ok(FsListing { open })
    }
}

impl FsListing {
    pub(super) fn page(&mut self, limit: usize) -> Result<Vec<KeptBlob>, StoreError> {
        let mut page = Vec::new();
        while let Some((algorithm, path, entries)) = self.open.last_mut() {
            if page.len() == limit {
                break;
            }
            let Some(entry) = entries.next() else {
                self.open.pop();
                continue;
            };
            let entry = entry.map_err(StoreError::file("list", path))?;
            let digest = format!("{}:{}", algorithm.as_str(), entry.file_name().display()).parse();
            // A name that is no digest is not ours to judge; a file that went away meanwhile is gone.
            let (Ok(digest), Ok(file)) = (digest, entry.metadata()) else { continue };
            let modified = file.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let kept_at = modified.and_then(|at| i64::try_from(at.as_secs()).ok()).unwrap_or(i64::MAX);
            page.push(KeptBlob { digest, size: file.len(), kept_at });
        }
        Ok(page)
    }
}
