//! Content while it is received: hashed as it arrives, in memory as long as it fits a row, then in a file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use docket_oci::crypto::Hasher;
use docket_oci::digest::{Algorithm, Digest};
use tokio::task::JoinHandle;

use super::Blobs;
use crate::StoreError;
use crate::change::{BlobBody, NewBlob};
use crate::claims::PushClaim;
use crate::keys::INLINE_BYTES_MAX;
use crate::store::blocking;

/// Content being received. Dropping it removes what was staged.
#[derive(Debug)]
pub struct Staging {
    blobs: Blobs,
    /// Away while a write is in flight.
    sink: Option<Sink>,
    writing: Option<JoinHandle<Result<Sink, StoreError>>>,
    /// Received and not yet given to the disk, as it came: nothing is copied on the way.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    size: u64,
    /// Whether some of it was given to the disk. If not, it fits a row.
    on_disk: bool,
}

/// The staged file and the hash over it, owned by whoever is writing. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Sink {
    pub path: PathBuf,
    /// The note beside it, if it is a session that outlives the process.
    pub note: Option<PathBuf>,
    pub algorithm: Algorithm,
    /// Over all that was written. `None` after a restart, until the file was read again: nothing else gives a digest,
    /// so nothing that was not hashed can become a blob.
    pub hasher: Option<Hasher>,
    /// Open while a request writes: idle sessions hold no descriptor.
    pub file: Option<File>,
    pub written: u64,
    /// Left to the next start of the process.
    pub stays: bool,
}

/// Where a chunk began: all that is needed to take it back.
#[derive(Debug)]
pub struct ChunkStart {
    waiting: Vec<Bytes>,
    on_disk: bool,
    size: u64,
    written: u64,
    hasher: Option<Hasher>,
}

/// Content received whole, matching its digest and durable. Only a row makes it visible.
#[derive(Debug)]
pub struct StagedBlob {
    /// The row to write.
    pub blob: NewBlob,
    /// Keeps its file from being removed until the row is written.
    pub(crate) claim: Option<Arc<PushClaim>>,
}

impl Staging {
    pub(super) fn new(blobs: Blobs, sink: Sink) -> Self {
        let (size, on_disk) = (sink.written, sink.written > 0);
        Self { blobs, sink: Some(sink), writing: None, waiting: Vec::new(), waiting_bytes: 0, size, on_disk }
    }

    /// Bytes received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes more content. One write to disk is in flight at a time, so a fast sender waits for the disk.
    ///
    /// If cancelled, the bytes of this call are counted by [`size`](Self::size) and stay.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.size += chunk.len() as u64;
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk);
        if self.waiting_bytes <= WRITE_BYTES && self.waiting.len() < PIECES_MAX {
            return Ok(());
        }
        self.flush(|_| ()).await
    }

    /// Remembers where a chunk begins.
    pub async fn begin_chunk(&mut self) -> Result<ChunkStart, StoreError> {
        let sink = self.settle().await?;
        let (written, hasher) = (sink.written, sink.hasher.clone());
        self.sink = Some(sink);
        Ok(ChunkStart { waiting: self.waiting.clone(), on_disk: self.on_disk, size: self.size, written, hasher })
    }

    /// Takes back all that came since the chunk began, on the disk too. Doing it twice, or being cancelled, changes nothing.
    pub async fn take_back(&mut self, chunk: &ChunkStart) -> Result<(), StoreError> {
        let mut sink = self.settle().await?;
        self.waiting.clone_from(&chunk.waiting);
        self.waiting_bytes = self.waiting.iter().map(Bytes::len).sum();
        (self.on_disk, self.size) = (chunk.on_disk, chunk.size);
        let (written, hasher) = (chunk.written, chunk.hasher.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || {
            sink.cut(written, hasher)?;
            Ok(sink)
        }));
        Ok(())
    }

    /// Hands what was received to the disk, so that an idle upload holds no file and no more memory than a row's worth.
    pub async fn rest(&mut self) -> Result<(), StoreError> {
        self.flush(|sink| sink.file = None).await
    }

    /// Writes all of it out and leaves it to the next start. What a failure keeps from the disk is lost, the rest stays.
    pub async fn keep(mut self) -> Result<(), StoreError> {
        let (mut sink, waiting) = (self.settle().await?, self.take_waiting());
        sink.stays = true;
        blocking(move || sink.write(&waiting)).await
    }

    /// Gives it up. Dropping does the same; this does it off the caller's thread and waits.
    pub async fn discard(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Ends the content: compares the digest and makes it durable. Blobs that fit a row and were never on disk touch no file.
    pub async fn finish(mut self, expected: &Digest) -> Result<StagedBlob, StoreError> {
        let (sink, waiting) = (self.settle().await?, self.take_waiting());
        let (expected, size) = (*expected, self.size);
        let (body, claim) = if self.on_disk || size > INLINE_BYTES_MAX as u64 {
            self.blobs.take_in(sink, waiting, expected, size).await?
        } else {
            let bytes = joined(waiting);
            compare(expected, Digest::of(expected.algorithm(), &bytes))?;
            if sink.note.is_some() {
                let _ = tokio::task::spawn_blocking(move || drop(sink)).await;
            }
            (BlobBody::Inline(bytes), None)
        };
        Ok(StagedBlob { blob: NewBlob { digest: expected, size, body }, claim })
    }

    /// Gives what waits to the disk, unless all of it fits a row.
    async fn flush(&mut self, then: impl FnOnce(&mut Sink) + Send + 'static) -> Result<(), StoreError> {
        if !self.on_disk && self.size <= INLINE_BYTES_MAX as u64 {
            // One piece of its own, so that it does not keep the buffers alive that it was received in.
            self.waiting = vec![Bytes::from(self.waiting.concat())];
            return Ok(());
        }
        let (mut sink, waiting) = (self.settle().await?, self.take_waiting());
        self.on_disk = true;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            sink.write(&waiting)?;
            then(&mut sink);
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

    fn take_waiting(&mut self) -> Vec<Bytes> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

impl Sink {
    /// Begins a file; it is made when something is written.
    pub(super) fn new(path: PathBuf, algorithm: Algorithm) -> Self {
        let hasher = Some(Hasher::new(algorithm));
        Self { path, note: None, algorithm, hasher, file: None, written: 0, stays: false }
    }

    /// Writes and hashes.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> Result<(), StoreError> {
        self.hash_again()?;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let at = self.written;
            let written = self.file()?.write_all_at(piece, at);
            written.map_err(StoreError::file("write", &self.path))?;
            self.written += piece.len() as u64;
            self.hasher.iter_mut().for_each(|hasher| hasher.update(piece));
        }
        Ok(())
    }

    /// Forgets what was written beyond this length, whose hash was this.
    fn cut(&mut self, written: u64, hasher: Option<Hasher>) -> Result<(), StoreError> {
        if self.written > written {
            let cut = self.file()?.set_len(written);
            cut.map_err(StoreError::file("cut", &self.path))?;
            (self.written, self.hasher) = (written, hasher);
        }
        Ok(())
    }

    /// Compares all that was written with the digest that the sender names in the end. Its algorithm is usually the one
    /// that hashed along.
    pub(super) fn check(&mut self, expected: Digest) -> Result<(), StoreError> {
        self.hash_again()?;
        match self.hasher.take() {
            Some(hasher) if expected.algorithm() == self.algorithm => compare(expected, hasher.finish()),
            _ => compare(expected, hash_file(&self.path, expected.algorithm())?.0.finish()),
        }
    }

    /// The file, opened or made where it is not open.
    pub(super) fn file(&mut self) -> Result<&File, StoreError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.path)
                .map_err(StoreError::file("open", &self.path))?,
        };
        Ok(self.file.insert(file))
    }

    /// After a restart: hashes what the file holds. A hash cannot be kept beside it, and what was not hashed by this process may
    /// be anything.
    fn hash_again(&mut self) -> Result<(), StoreError> {
        if self.hasher.is_none() {
            let (hasher, length) = hash_file(&self.path, self.algorithm)?;
            if length != self.written {
                return Err(StoreError::damaged(format!("staged file {} changed its length", self.path.display())));
            }
            self.hasher = Some(hasher);
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        // The note first: bytes without a note are nobody's, and the next start removes what fails here.
        if let Some(note) = &self.note {
            let _ = std::fs::remove_file(note);
        }
        if self.note.is_some() || self.file.is_some() || self.written > 0 {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Hashes a file from its start; gives the hash and how many bytes it covers.
pub(super) fn hash_file(path: &Path, algorithm: Algorithm) -> Result<(Hasher, u64), StoreError> {
    use std::io::Read as _;

    let mut file = File::open(path).map_err(StoreError::file("open", path))?;
    let (mut hasher, mut length) = (Hasher::new(algorithm), 0);
    let mut buffer = vec![0; WRITE_BYTES];
    loop {
        match file.read(&mut buffer).map_err(StoreError::file("read", path))? {
            0 => return Ok((hasher, length)),
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

/// All pieces in one, without a copy where there is only one.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.pop() {
        Some(only) if pieces.is_empty() => only,
        Some(last) => [pieces.concat(), last.to_vec()].concat().into(),
        None => Bytes::new(),
    }
}

fn compare(expected: Digest, actual: Digest) -> Result<(), StoreError> {
    if actual == expected { Ok(()) } else { Err(StoreError::DigestMismatch { expected, actual }) }
}

/// Content gathered before one write; an upload holds at most two of these.
const WRITE_BYTES: usize = 1024 * 1024;
/// Pieces gathered before one write: a sender of tiny ones must not make us hold a list of millions.
const PIECES_MAX: usize = 256;
