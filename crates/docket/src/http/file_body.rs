//! A part of a file as the body of an answer on a plain connection: it names the bytes, the connection sends them.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, pread, preadv2};
use tokio::task::JoinHandle;

use crate::http::wire::{FileQueue, PART_BYTES_MAX};

/// The bytes of `at..end`.
pub(super) struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
    files: FileQueue,
    /// The disk being read, so that sending need not wait for it.
    fetching: Option<JoinHandle<io::Result<()>>>,
}

impl FileBody {
    /// The caller has checked the range against the size.
    pub(super) fn new(file: File, at: u64, end: u64, files: FileQueue) -> Self {
        Self { file: Arc::new(file), at, end, files, fetching: None }
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = left.min(PART_BYTES_MAX);
        if length == 0 {
            return Poll::Ready(None);
        }
        let at = self.at;
        if self.fetching.is_none() && !is_in_memory(&self.file, at, length) {
            let file = Arc::clone(&self.file);
            self.fetching = Some(tokio::task::spawn_blocking(move || fetch(&file, at, length)));
        }
        if let Some(fetching) = &mut self.fetching {
            let fetched = ready!(Pin::new(fetching).poll(ctx)).map_err(io::Error::other);
            self.fetching = None;
            fetched.flatten()?;
        }
        self.at += length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.files.push(Arc::clone(&self.file), at, length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

/// Whether the first and the last byte of a part can be read without waiting for the disk. File systems that cannot tell
/// are taken at their best.
fn is_in_memory(file: &File, at: u64, length: usize) -> bool {
    [at, at + length as u64 - 1].into_iter().all(|byte| {
        let mut into = [0];
        let read = preadv2(file, &mut [io::IoSliceMut::new(&mut into)], byte, ReadWriteFlags::NOWAIT);
        read != Err(rustix::io::Errno::AGAIN)
    })
}

/// Has the kernel read a part into its cache, and waits for it.
fn fetch(file: &File, at: u64, length: usize) -> io::Result<()> {
    fadvise(file, at, std::num::NonZeroU64::new(length as u64), Advice::WillNeed)?;
    pread(file, &mut [0_u8; 1][..], at + length as u64 - 1)?;
    Ok(())
}
