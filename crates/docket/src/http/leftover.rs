//! Bodies that were refused before they were read: the rest is taken in, within limits, so that the client reads the
//! answer. Closing a connection with unread bytes resets it, and a reset can overtake the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

/// Answers, then takes in what the handler left of the body. Past the limits the answer closes the connection.
pub(super) async fn taken_in<F: Future<Output = Response>>(
    request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    // A client that waits for 100 Continue has sent nothing yet, and reading would ask it to.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return answer(request).await;
    }
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body)));
    let mut response = answer(Request::from_parts(parts, Body::new(shared.clone()))).await;
    let rest = tokio::time::timeout(LEFTOVER_TIME_MAX, shared.finish());
    if !matches!(rest.await, Ok(Rest::Ended)) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that can be read on after the handler let go of it. The two never read at the same time.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

/// How a body ended.
enum Rest {
    /// All of it was read.
    Ended,
    /// It is longer than we care to read, or broke off.
    Left,
}

impl Shared {
    async fn finish(mut self) -> Rest {
        let mut read = 0;
        while let Some(frame) = self.frame().await {
            let Ok(frame) = frame else { return Rest::Left };
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > LEFTOVER_BYTES_MAX {
                return Rest::Left;
            }
        }
        Rest::Ended
    }

    fn with<T>(&self, look: impl FnOnce(&mut Body) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

/// Bytes of a refused body that are taken in and dropped: more than a manifest or a usual chunk has.
const LEFTOVER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the rest of a refused body may take.
const LEFTOVER_TIME_MAX: Duration = Duration::from_secs(2);
