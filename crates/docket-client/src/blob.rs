//! Streams of blobs that check themselves: a stream that ends without an error carried exactly the bytes asked for.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use docket_oci::{Digest, Hasher};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::ClientError;

/// The bytes of one blob as they arrive.
///
/// They are hashed while they pass, and a difference from the digest is the last item, an error: whoever keeps the bytes keeps
/// them only after the stream has ended well. Where the size is known, wrong bytes are found before the last chunk is let
/// through, because a reader who counts may not ask for more.
pub struct BlobStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>,
    /// `None` once the digest was compared.
    hasher: Option<Hasher>,
    has_ended: bool,
    expected: Expected,
    received_bytes: u64,
    report: Option<Box<dyn FnMut(u64) + Send>>,
}

/// What a stream must turn out to be.
struct Expected {
    place: String,
    digest: Digest,
    size: Option<u64>,
}

impl BlobStream {
    /// Wraps raw chunks. `place` says in errors where they come from; `size` is the descriptor's, if one is known.
    pub fn new(
        chunks: impl Stream<Item = Result<Bytes, ClientError>> + Send + 'static,
        place: &str,
        digest: Digest,
        size: Option<u64>,
    ) -> Self {
        Self {
            chunks: Box::pin(chunks),
            hasher: Some(Hasher::new(digest.algorithm())),
            has_ended: false,
            expected: Expected { place: place.to_owned(), digest, size },
            received_bytes: 0,
            report: None,
        }
    }

    /// Tells `report` after every chunk how many bytes have come so far.
    #[must_use]
    pub(crate) fn reporting(self, report: impl FnMut(u64) + Send + 'static) -> Self {
        Self { report: Some(Box::new(report)), ..self }
    }

    /// Reads everything into memory, at most `limit` bytes.
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, ClientError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if all.len() as u64 + chunk.len() as u64 > limit {
                return Err(ClientError::TooMuch { place: self.expected.place, what: "bytes in one blob", limit });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    /// Writes everything to `target` and returns how many bytes that were. What was written before an error is not to be believed.
    pub async fn write_to(mut self, target: &mut (dyn AsyncWrite + Unpin + Send)) -> Result<u64, ClientError> {
        let write = |place: &str| ClientError::file("write a blob from", Path::new(place));
        while let Some(chunk) = self.next().await {
            target.write_all(&chunk?).await.map_err(write(&self.expected.place))?;
        }
        target.flush().await.map_err(write(&self.expected.place))?;
        Ok(self.received_bytes)
    }

    /// Reads everything, keeps nothing, and returns how many bytes that were.
    pub async fn drain(mut self) -> Result<u64, ClientError> {
        while let Some(chunk) = self.next().await {
            chunk?;
        }
        Ok(self.received_bytes)
    }

    fn accept(&mut self, chunk: &Bytes) -> Result<(), ClientError> {
        self.received_bytes += chunk.len() as u64;
        if let Some(size) = self.expected.size.filter(|size| self.received_bytes > *size) {
            return Err(self.expected.size_error(size));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(chunk);
        }
        if let Some(report) = &mut self.report {
            report(self.received_bytes);
        }
        if self.expected.size == Some(self.received_bytes) { self.compare() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        match self.expected.size {
            Some(size) if self.received_bytes != size => Err(self.expected.size_error(size)),
            Some(_) | None => self.compare(),
        }
    }

    fn compare(&mut self) -> Result<(), ClientError> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let found = hasher.finish();
        let Expected { place, digest: expected, .. } = &self.expected;
        if found == *expected {
            Ok(())
        } else {
            Err(ClientError::Digest { place: place.clone(), expected: *expected, found })
        }
    }
}

impl Expected {
    fn size_error(&self, expected: u64) -> ClientError {
        ClientError::Size { place: self.place.clone(), digest: self.digest, expected }
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let item = match std::task::ready!(self.chunks.as_mut().poll_next(ctx)) {
            Some(Ok(chunk)) => Some(self.accept(&chunk).map(|()| chunk)),
            Some(Err(error)) => Some(Err(error)),
            None => self.finish().err().map(Err),
        };
        self.has_ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStream").field("digest", &self.expected.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use docket_oci::Algorithm;
    use futures_util::stream;

    use super::*;

    fn streamed(chunks: &[&'static [u8]], digest_of: &[u8], size: Option<u64>) -> BlobStream {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        BlobStream::new(stream::iter(chunks), "test", Digest::of(Algorithm::Sha512, digest_of), size)
    }

    #[tokio::test]
    async fn the_right_bytes_pass() {
        let bytes = streamed(&[b"net-", b"monitor"], b"net-monitor", Some(11)).collect(11).await;
        assert_eq!(bytes.expect("right bytes"), "net-monitor");
        let mut written = Vec::new();
        assert_eq!(streamed(&[b"ab"], b"ab", None).write_to(&mut written).await.expect("right bytes"), 2);
        assert_eq!(written, b"ab");
        assert_eq!(streamed(&[], b"", Some(0)).drain().await.expect("nothing is a blob too"), 0);
    }

    #[tokio::test]
    async fn other_bytes_end_in_an_error() {
        let error = streamed(&[b"tampered"], b"original", Some(8)).drain().await;
        assert!(matches!(error, Err(ClientError::Digest { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn the_last_of_the_wrong_bytes_is_held_back() {
        let mut stream = streamed(&[b"tamp", b"ered"], b"original", Some(8));
        assert_eq!(stream.next().await.expect("a chunk").expect("not the last"), "tamp");
        assert!(matches!(stream.next().await, Some(Err(ClientError::Digest { .. }))));
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn one_byte_more_or_fewer_than_the_descriptor_is_refused() {
        for (named, size) in [(&b"a"[..], 1), (b"ab", 3)] {
            let error = streamed(&[b"a", b"b"], named, Some(size)).drain().await;
            assert!(matches!(error, Err(ClientError::Size { .. })), "{size}: {error:?}");
        }
    }

    #[tokio::test]
    async fn one_byte_over_the_limit_is_refused() {
        let error = streamed(&[b"ab", b"c"], b"abc", None).collect(2).await;
        assert!(matches!(error, Err(ClientError::TooMuch { limit: 2, .. })), "{error:?}");
    }
}
