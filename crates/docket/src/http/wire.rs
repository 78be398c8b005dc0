//! A plain TCP connection that sends parts of files without copying them: `sendfile` moves them inside the kernel.
//!
//! hyper has no word for this, but it hands body chunks to a connection by reference wherever that takes vectored
//! writes. So a file's body yields slices of [`STAND_IN`], a block that nobody ever reads, and notes in the connection's
//! [`FileQueue`] which bytes of which file each slice stands for. When such a slice comes to be written, which shows by
//! its address, the file's bytes are sent in its place. Chunks are written in the order they were yielded, and a slice
//! must be as long as what is left of the part it stands for: if the two ever came apart, the connection would break
//! rather than send a wrong byte.
//!
//! A reader holds no memory this way, however slow it is, and a fast one costs half the CPU time of reading and writing.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::http::activity::Activity;
use crate::telemetry::OpenConnection;

/// The connection.
pub(super) struct Wire {
    tcp: TcpStream,
    files: FileQueue,
    activity: Arc<Activity>,
    open: OpenConnection,
    /// Whether this connection sent of a file and is to let others of its thread go first.
    had_turn: bool,
}

/// Parts of files that stand in a connection's write buffer. Filled by bodies, emptied by the connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileQueue(Arc<Mutex<VecDeque<Part>>>);

#[derive(Debug)]
struct Part {
    file: Arc<File>,
    at: u64,
    left: usize,
}

impl FileQueue {
    /// Takes a part of a file, at most [`PART_BYTES_MAX`] bytes, and gives what stands for it.
    pub(super) fn push(&self, file: Arc<File>, at: u64, length: usize) -> Bytes {
        self.with(|parts| parts.push_back(Part { file, at, left: length }));
        Bytes::from_static(&STAND_IN[..length])
    }

    /// Sends what a slice of `length` bytes stands for, or the beginning of it.
    fn send(&self, tcp: &TcpStream, length: usize) -> io::Result<usize> {
        self.with(|parts| {
            let part = parts.front_mut().filter(|part| part.left == length);
            let part = part.ok_or_else(|| io::Error::other("the file parts are out of step with what is written"))?;
            let sent = sendfile(tcp, &part.file, Some(&mut part.at), length.min(TURN_BYTES))?;
            if sent == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob's file is shorter than its row says"));
            }
            part.left -= sent;
            if part.left == 0 {
                parts.pop_front();
            }
            Ok(sent)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<Part>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, files: FileQueue, activity: Arc<Activity>, open: OpenConnection) -> Self {
        Self { tcp, files, activity, open, had_turn: false }
    }

    /// Writes when the socket takes something.
    fn poll_send(&self, ctx: &mut Context<'_>, send: impl Fn() -> io::Result<usize>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(ctx))?;
            match self.tcp.try_io(Interest::WRITABLE, &send) {
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(ctx, into))?;
        self.open.received(into.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(ctx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().take_while(|slice| !stands_in(slice)).count();
        let written = match slices.get(bytes) {
            // A head goes out together with the file's first bytes: with NODELAY it would be a packet of its own.
            Some(_) if bytes > 0 => self.poll_send(ctx, || {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                Ok(sendmsg(&self.tcp, &slices[..bytes], &mut SendAncillaryBuffer::default(), flags)?)
            }),
            // A fast reader makes room as quickly as it is filled: without turns its download would keep the thread.
            Some(_) if std::mem::take(&mut self.had_turn) => {
                ctx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(part) => {
                self.had_turn = true;
                self.poll_send(ctx, || self.files.send(&self.tcp, part.len()))
            }
            None => Pin::new(&mut self.tcp).poll_write_vectored(ctx, slices),
        };
        self.activity.wrote(written.is_ready());
        if let Poll::Ready(Ok(bytes)) = &written {
            self.open.sent(*bytes);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(ctx)
    }
}

fn stands_in(slice: &[u8]) -> bool {
    !slice.is_empty() && STAND_IN.as_ptr_range().contains(&slice.as_ptr())
}

/// Never read, so its pages are never there.
static STAND_IN: [u8; PART_BYTES_MAX] = [0; PART_BYTES_MAX];
/// Bytes of a file that go out before other connections of the thread have their turn.
const TURN_BYTES: usize = 256 * 1024;
/// The longest part of a file in one chunk.
pub(super) const PART_BYTES_MAX: usize = 1024 * 1024;
