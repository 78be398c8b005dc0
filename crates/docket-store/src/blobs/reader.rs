//! Reads blob files in large chunks, as long as there is room for them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

/// Reads a range of a blob file, one large chunk ahead of whoever takes them, holding no thread in between.
///
/// A client that takes its answer slowly holds on to what was read for it. So large chunks are counted over all readers
/// of the process, and a reader that finds none free goes on in small ones, without reading ahead: thousands of slow
/// clients then hold little, and the others lose some speed instead of finding no memory.
#[derive(Debug)]
pub struct BlobReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    ahead: Option<Reading>,
}

type Reading = JoinHandle<std::io::Result<Bytes>>;

/// A chunk that counts as large until it is dropped.
struct Large {
    bytes: Vec<u8>,
    _counted: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BlobReader {
    /// Reads `start..end`; the caller has checked the range against the size.
    pub fn new(file: File, start: u64, end: u64) -> Self {
        Self { file: Arc::new(file), at: start, end, ahead: None }
    }

    /// The next chunk, or `None` at the end. A file that ends early is an error: what was promised is not there.
    pub async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        let reading = match self.ahead.take() {
            Some(ahead) => ahead,
            None if self.at == self.end => return None,
            None => self.read_large().unwrap_or_else(|| self.read(SMALL_BYTES, Bytes::from)),
        };
        let chunk = reading.await.unwrap_or_else(|failure| Err(std::io::Error::other(failure)));
        self.ahead = self.read_large();
        Some(chunk)
    }

    /// Begins to read a large chunk, if something is left and one is free.
    fn read_large(&mut self) -> Option<Reading> {
        let counted = (self.at < self.end).then(|| LARGE.try_acquire().ok())??;
        Some(self.read(LARGE_BYTES, |bytes| Bytes::from_owner(Large { bytes, _counted: counted })))
    }

    fn read(&mut self, at_most: u64, wrap: impl FnOnce(Vec<u8>) -> Bytes + Send + 'static) -> Reading {
        let length = (self.end - self.at).min(at_most);
        let (file, at) = (Arc::clone(&self.file), self.at);
        self.at += length;
        tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
            file.read_exact_at(&mut chunk, at)?;
            Ok(wrap(chunk))
        })
    }
}

/// Large chunks that may be held at once: 64 MiB, enough for several dozen downloads at full speed.
static LARGE: Semaphore = Semaphore::const_new(LARGE_MAX);
const LARGE_MAX: usize = 128;
const LARGE_BYTES: u64 = 512 * 1024;
const SMALL_BYTES: u64 = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn readers_that_are_slow_hold_little_together_and_lose_no_byte() {
        const READERS: usize = 400;
        let content: Vec<u8> = (0..=250).cycle().take(1_500_000).collect();
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&content).expect("written");
        let mut slow = Vec::new();
        for _ in 0..READERS {
            let mut reader = BlobReader::new(file.try_clone().expect("a descriptor"), 1, content.len() as u64);
            let first = reader.next().await.expect("some").expect("read");
            let ahead = reader.ahead.is_some();
            slow.push((reader, first, ahead));
        }
        let held = |(_, first, ahead): &(_, Bytes, bool)| first.len() as u64 + if *ahead { LARGE_BYTES } else { 0 };
        let held: u64 = slow.iter().map(held).sum();
        let bound = LARGE_MAX as u64 * LARGE_BYTES + READERS as u64 * SMALL_BYTES;
        assert!(held <= bound, "{held} bytes are held, more than {bound}");
        // The last ones got small chunks; the end is reached all the same, and then there is nothing.
        let (mut reader, first, _) = slow.pop().expect("one of them");
        let mut read = first.to_vec();
        while let Some(chunk) = reader.next().await {
            read.extend_from_slice(&chunk.expect("read"));
        }
        assert!(read == content[1..]);
        // What was held is free again.
        drop(slow);
        let mut fast = BlobReader::new(file, 0, content.len() as u64);
        assert_eq!(fast.next().await.expect("some").expect("read").len() as u64, LARGE_BYTES);
    }
}
