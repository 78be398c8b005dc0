//! The threads that connections live on: one a core, each with an event loop of its own.
//!
//! A connection stays where it was put. On a shared pool of threads each request that arrives wakes one thread, which
//! wakes another to help, and most of what a small answer costs is that.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// The event loops, and the connections on them. Dropping it ends the threads.
pub(crate) struct Workers {
    loops: Vec<(Handle, oneshot::Sender<()>)>,
    next: AtomicUsize,
    connections: TaskTracker,
}

impl Workers {
    /// Starts one thread for each core.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let loops = (0..cores).map(|_| {
            let runtime = Builder::new_current_thread().enable_all().event_interval(TURNS_PER_LOOK).build()?;
            let handle = runtime.handle().clone();
            let (end, ended) = oneshot::channel();
            let run = move || drop(runtime.block_on(ended));
            std::thread::Builder::new().name("connections".to_owned()).spawn(run)?;
            Ok((handle, end))
        });
        let loops = loops.collect::<io::Result<_>>()?;
        Ok(Self { loops, next: AtomicUsize::new(0), connections: TaskTracker::new() })
    }

    /// Puts a connection on the next thread.
    pub(super) fn serve<F: Future<Output = ()> + Send>(
        &self,
        tcp: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let (handle, _) = &self.loops[self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len()];
        let moved = tcp.into_std();
        let task = async move {
            // A socket belongs to the event loop that it was made on.
            match moved.and_then(TcpStream::from_std) {
                Ok(tcp) => serve(tcp).await,
                Err(failure) => tracing::warn!(%failure, "a connection could not be moved to its thread"),
            }
        };
        self.connections.spawn_on(task, handle);
    }

    /// Waits for every connection to end. Nothing is served after this. The threads stay as long as the value: what a request has
    /// handed to the disk is written by way of its event loop, and would be lost with it.
    pub(super) async fn end(self) -> Self {
        self.connections.close();
        self.connections.wait().await;
        self
    }
}

/// Turns of connections between two looks at what has arrived. Downloads are never out of turns, and new requests must not
/// wait for many of them.
const TURNS_PER_LOOK: u32 = 16;
