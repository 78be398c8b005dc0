//! Reads blob files in large chunks.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

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

/// Content of one read; a download holds at most two of these.
const READ_BYTES: u64 = 512 * 1024;
