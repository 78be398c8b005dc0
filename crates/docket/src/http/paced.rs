//! A request's body that must keep coming: clients that stop, or send a byte now and then, are given up.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::config::Limits;

/// Time counts only while we wait for the client; a slow disk of ours is not held against it.
pub(super) struct Paced {
    body: Body,
    stall: Duration,
    bytes_per_second: u64,
    /// Set while we wait.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Waited so far, and what came meanwhile; begun anew after each `stall`.
    waited: Duration,
    received: u64,
}

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body stopped coming, or comes too slowly")]
pub(super) struct TooSlow;

impl TooSlow {
    /// Whether a body's failure is this one, below whatever wraps it.
    pub(super) fn caused(failure: &(dyn std::error::Error + 'static)) -> bool {
        let causes = std::iter::successors(Some(failure), |cause| cause.source());
        causes.into_iter().any(<dyn std::error::Error>::is::<Self>)
    }
}

impl Paced {
    pub(super) fn new(body: Body, limits: &Limits) -> Self {
        let (stall, bytes_per_second) = (limits.stall, limits.body_bytes_per_second);
        Self { body, stall, bytes_per_second, waiting: None, waited: Duration::ZERO, received: 0 }
    }

    /// Whether what came is enough for how long we waited for it.
    fn keeps_pace(&mut self, bytes: usize) -> bool {
        self.received += bytes as u64;
        self.waited += self.waiting.take().map_or(Duration::ZERO, |(began, _)| began.elapsed());
        if self.waited < self.stall {
            return true;
        }
        let enough = self.waited.as_millis() * u128::from(self.bytes_per_second) / 1000;
        let received = std::mem::take(&mut self.received);
        self.waited = Duration::ZERO;
        u128::from(received) >= enough
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let too_slow = || Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
        match Pin::new(&mut self.body).poll_frame(ctx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if self.keeps_pace(bytes) { Poll::Ready(Some(Ok(frame))) } else { too_slow() }
            }
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => {
                let stall = self.stall;
                let begin = || (Instant::now(), Box::pin(tokio::time::sleep(stall)));
                let (_, timer) = self.waiting.get_or_insert_with(begin);
                if timer.as_mut().poll(ctx).is_ready() { too_slow() } else { Poll::Pending }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
