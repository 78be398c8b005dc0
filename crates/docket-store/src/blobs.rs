//! Content on disk: staged while it is received, synced, then renamed to the name of its digest.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use docket_oci::crypto::Hasher;
use docket_oci::digest::{Algorithm, Digest};
use tokio::task::JoinHandle;

use crate::StoreError;
use crate::change::{BlobBody, NewBlob};
use crate::keys::{DataFolder, INLINE_BYTES_MAX};
use crate::stats::count_sync;
use crate::writer::end;

/// The blob files of a data folder.
#[derive(Debug, Clone)]
pub struct BlobFiles {
    folder: Arc<DataFolder>,
    pub(crate) folders: Arc<Folders>,
}

/// Folders whose names this process knows to be durable. Held while one is made, so that nobody relies on it before.
#[derive(Debug, Default)]
pub(crate) struct Folders(Mutex<HashSet<PathBuf>>);

impl BlobFiles {
    pub(crate) fn new(folder: Arc<DataFolder>) -> Self {
        Self { folder, folders: Arc::default() }
    }

    /// Begins content of unknown length, hashed with `algorithm` while it arrives.
    pub fn stage(&self, algorithm: Algorithm) -> Staging {
        let path = self.folder.staging().join(uuid::Uuid::new_v4().to_string());
        Staging {
            folder: Arc::clone(&self.folder),
            folders: Arc::clone(&self.folders),
            sink: Some(Sink { hasher: Hasher::new(algorithm), algorithm, path, file: None, kept: BytesMut::new() }),
            waiting: BytesMut::new(),
            size: 0,
            writing: None,
        }
    }

    /// Opens the file of a blob.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.folder.blob(digest);
        File::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::damaged(format!("the file of blob {digest} is missing")),
            _ => StoreError::File { verb: "open", path, source },
        })
    }

    /// Hashes the file of a blob again: what it hashes to, and its length in bytes. Blocks on the disk.
    pub fn verify(&self, digest: &Digest) -> Result<(Digest, u64), StoreError> {
        let (mut file, path) = (self.open(digest)?, self.folder.blob(digest));
        let size = file.metadata().map_err(StoreError::file("read", &path))?.len();
        Ok((hash_file(&mut file, digest.algorithm(), &path)?, size))
    }
}

/// Content being received. Dropping it removes what was staged.
#[derive(Debug)]
pub struct Staging {
    folder: Arc<DataFolder>,
    folders: Arc<Folders>,
    /// Away while a write is in flight.
    sink: Option<Sink>,
    waiting: BytesMut,
    size: u64,
    writing: Option<JoinHandle<Result<Sink, StoreError>>>,
}

/// The hash and the file, owned by whoever is writing.
#[derive(Debug)]
struct Sink {
    hasher: Hasher,
    algorithm: Algorithm,
    path: PathBuf,
    file: Option<File>,
    /// Content so far, while it is small enough to become a row.
    kept: BytesMut,
}

/// Content received whole, matching its digest and synced. Only a row makes it visible.
#[derive(Debug)]
pub struct StagedBlob {
    /// The row to write.
    pub blob: NewBlob,
}

impl Staging {
    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes more content. One write to disk is in flight at a time, so a fast sender waits for the disk.
    ///
    /// If cancelled, the bytes of this call may or may not be counted by [`size`](Self::size), never half of them.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.waiting.extend_from_slice(chunk);
        self.size += chunk.len() as u64;
        if self.waiting.len() < WRITE_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Hands what was received to the disk, so that an idle upload holds no more memory than a row's worth.
    pub async fn rest(&mut self) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.flush().await
    }

    /// Ends the content: compares the digest, syncs, renames. Blobs that fit a row touch no file.
    pub async fn finish(mut self, expected: &Digest) -> Result<StagedBlob, StoreError> {
        self.flush().await?;
        let mut sink = self.settle().await?;
        let (expected, size) = (*expected, self.size);
        let (folder, folders) = (Arc::clone(&self.folder), Arc::clone(&self.folders));
        blocking(move || {
            let actual = sink.digest(expected.algorithm())?;
            if actual != expected {
                return Err(StoreError::DigestMismatch { expected, actual });
            }
            let body = match sink.file.take() {
                None => BlobBody::Inline(std::mem::take(&mut sink.kept).freeze()),
                Some(file) => {
                    // A crash before the rename leaves a staged file, removed at start; after it, a blob that no row
                    // names, which the next push of the same content takes over.
                    must_sync(&sink.path, file.sync_all())?;
                    install(&sink.path, &folder.blob(&expected), &folders)?;
                    BlobBody::File
                }
            };
            Ok(StagedBlob { blob: NewBlob { digest: expected, size, body } })
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let mut sink = self.settle().await?;
        let chunk = std::mem::take(&mut self.waiting).freeze();
        self.writing = Some(tokio::task::spawn_blocking(move || {
            sink.write(&chunk)?;
            Ok(sink)
        }));
        Ok(())
    }

    /// Waits for the write in flight and takes the sink back.
    async fn settle(&mut self) -> Result<Sink, StoreError> {
        if let Some(writing) = &mut self.writing {
            let sink = writing.await.map_err(|_| StoreError::Stopped)?;
            self.writing = None;
            return sink;
        }
        self.sink.take().ok_or(StoreError::Stopped)
    }
}

impl Sink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(chunk);
        let failed = StoreError::file("write", &self.path);
        if let Some(file) = &mut self.file {
            return file.write_all(chunk).map_err(failed);
        }
        if self.kept.len() + chunk.len() <= INLINE_BYTES_MAX {
            self.kept.extend_from_slice(chunk);
            return Ok(());
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
        let mut file = file.map_err(StoreError::file("create", &self.path))?;
        file.write_all(&self.kept).and_then(|()| file.write_all(chunk)).map_err(failed)?;
        self.kept = BytesMut::new();
        self.file = Some(file);
        Ok(())
    }

    /// The digest under the algorithm that the sender names in the end; usually the one that hashed along.
    fn digest(&mut self, algorithm: Algorithm) -> Result<Digest, StoreError> {
        if algorithm == self.algorithm {
            return Ok(self.hasher.clone().finish());
        }
        if self.file.is_none() {
            return Ok(Digest::of(algorithm, &self.kept));
        }
        let mut file = File::open(&self.path).map_err(StoreError::file("open", &self.path))?;
        hash_file(&mut file, algorithm, &self.path)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Left behind on failure; the next start empties the folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Reads a range of a blob file in large chunks, one read ahead of the reader, holding no thread in between.
#[derive(Debug)]
pub struct BlobReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    ahead: Option<JoinHandle<std::io::Result<Bytes>>>,
}

impl BlobReader {
    /// Reads `start..end`; the caller has checked the range against the size.
    pub fn new(file: File, start: u64, end: u64) -> Self {
        Self { file: Arc::new(file), at: start, end, ahead: None }
    }

    /// The next chunk, or `None` at the end. A file that ends early is an error: what was promised is not there.
    pub async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.read_ahead()?,
        };
        let chunk = ahead.await.unwrap_or_else(|failure| Err(std::io::Error::other(failure)));
        self.ahead = self.read_ahead();
        Some(chunk)
    }

    fn read_ahead(&mut self) -> Option<JoinHandle<std::io::Result<Bytes>>> {
        let length = (self.end - self.at).min(READ_BYTES);
        if length == 0 {
            return None;
        }
        let (file, at) = (Arc::clone(&self.file), self.at);
        self.at += length;
        Some(tokio::task::spawn_blocking(move || {
            let length = usize::try_from(length).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; length];
            file.read_exact_at(&mut chunk, at)?;
            Ok(chunk.into())
        }))
    }
}

impl Folders {
    /// Makes a folder and those above it, and their names durable, once per process.
    fn make(&self, path: &Path) -> Result<(), StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(path) {
            return Ok(());
        }
        std::fs::create_dir_all(path).map_err(StoreError::file("create", path))?;
        for above in path.ancestors().skip(1).take(FOLDERS_DEEP) {
            sync_folder(above)?;
        }
        known.insert(path.to_owned());
        Ok(())
    }
}

/// Renames a synced file to its final name and makes the name durable.
fn install(from: &Path, to: &Path, folders: &Folders) -> Result<(), StoreError> {
    let parent = to.parent().unwrap_or(to);
    folders.make(parent)?;
    std::fs::rename(from, to).map_err(StoreError::file("rename to", to))?;
    must_sync(parent, File::open(parent).and_then(|folder| folder.sync_all()))
}

/// A failed sync ends the process: what is on disk is unknown then, and a repeated sync may claim success falsely.
fn must_sync(path: &Path, synced: std::io::Result<()>) -> Result<(), StoreError> {
    count_sync();
    match synced {
        Err(failure) if failure.kind() != std::io::ErrorKind::StorageFull => {
            end(&format!("cannot sync {}: {failure}", path.display()))
        }
        synced => synced.map_err(StoreError::file("sync", path)),
    }
}

/// Writes a small file whole: temporary name, sync, rename, sync of the folder.
pub(crate) fn write_file(staging: &Path, to: &Path, folders: &Folders, bytes: &[u8]) -> Result<(), StoreError> {
    let from = staging.join(uuid::Uuid::new_v4().to_string());
    let mut file = File::create(&from).map_err(StoreError::file("create", &from))?;
    count_sync();
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(StoreError::file("write", &from))?;
    install(&from, to, folders)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    count_sync();
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StoreError::file("sync", path))
}

fn hash_file(file: &mut File, algorithm: Algorithm, path: &Path) -> Result<Digest, StoreError> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; WRITE_BYTES];
    loop {
        match file.read(&mut buffer).map_err(StoreError::file("read", path))? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopped))
}

/// Content gathered before one write; an upload holds at most two of these.
const WRITE_BYTES: usize = 1024 * 1024;
/// Content of one read; a download holds at most two of these.
const READ_BYTES: u64 = 512 * 1024;
/// Levels of folders below the data folder: `blobs/sha256/ab`, `tiles/tile/0/x001`.
const FOLDERS_DEEP: usize = 4;
