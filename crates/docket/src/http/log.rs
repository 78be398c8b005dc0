//! The public log: checkpoint and tiles as C2SP tlog-tiles has them, and beside them what spares people the tiles.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use docket_engine::{EngineError, Instance, ProofState, Right};
use docket_oci::query::Query;
use docket_proof::checkpoint::SignedCheckpoint;
use docket_proof::tile::{TILE_WIDTH, TileId};
use futures_util::stream;
use tokio::sync::Semaphore;

use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::{empty, typed};
use crate::http::scrapi::only;

type Answer = Result<Response<Body>, Failure>;

/// `GET /log/checkpoint`: the published checkpoint.
pub(crate) async fn checkpoint(Extension(context): Extension<Context>, method: Method) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        let signed = context.instance.checkpoint().await.map_err(|failure| Failure::of(&failure, &context))?;
        signed.map(|signed| note(&signed)).ok_or_else(not_cosigned)
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// `GET /log/tile/<L>/<N>[.p/<W>]` and `/log/tile/entries/<N>[.p/<W>]`. Tiles are for everyone; entries for those who may
/// read all of them.
pub(crate) async fn tile(Extension(context): Extension<Context>, method: Method, uri: Uri) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        // As it was sent: the one spelling of a path has nothing to decode.
        let path = uri.path().strip_prefix("/log/").unwrap_or_default();
        if let Some((tile, width)) = TileId::parse_path(path) {
            let hashes = context.instance.log_tile(tile, width.map_or(TILE_WIDTH, u16::from)).await;
            let hashes = hashes.map_err(|failure| Failure::of(&failure, &context))?.ok_or_else(|| no_tile(path))?;
            return Ok(immutable(Body::from(hashes), "public"));
        }
        let (index, width) = TileId::parse_bundle_path(path).ok_or_else(|| no_tile(path))?;
        bundle(&context, index, width.map_or(TILE_WIDTH, u16::from), path)
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// `GET /api/v1/log/consistency?from=&to=`: the proof that one tree continues another. Without `to`, up to the published
/// checkpoint.
pub(crate) async fn consistency(Extension(context): Extension<Context>, method: Method, uri: Uri) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        let query = parse(&uri, &["from", "to"])?;
        let from = number(&query, "from")?.ok_or_else(|| bad("from must be a tree size, from 1 on"))?;
        let fail = |failure: EngineError| Failure::of(&failure, &context);
        let to = match number(&query, "to")? {
            Some(to) => to,
            None => context.instance.checkpoint().await.map_err(fail)?.ok_or_else(not_cosigned)?.checkpoint().size(),
        };
        let path = context.instance.consistency(from, to).await.map_err(fail)?;
        let path = path.ok_or_else(|| {
            let newest = context.instance.tree_size();
            let message = format!(
                "a proof leads from a tree of 1 entry or more to a larger one of at most {newest}, not from {from} to {to}"
            );
            Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
        })?;
        let path: Vec<_> = path.iter().map(|hash| STANDARD.encode(hash)).collect();
        let body = serde_json::json!({ "from": from, "to": to, "path": path });
        Ok(typed("application/json", body.to_string().into_bytes()))
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// `GET /api/v1/log/consistency-receipt?from=&to=`: the same as a receipt (RFC 9942), between trees that were signed. Without
/// `to`, up to the newest one.
pub(crate) async fn consistency_receipt(
    Extension(context): Extension<Context>,
    method: Method,
    uri: Uri,
) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        let query = parse(&uri, &["from", "to"])?;
        let from = number(&query, "from")?.ok_or_else(|| bad("from must be a tree size, from 1 on"))?;
        let to = number(&query, "to")?.unwrap_or_else(|| context.instance.tree_size());
        let receipt = context.instance.consistency_receipt(from, to).await;
        let receipt = receipt.map_err(|failure| Failure::of(&failure, &context))?.ok_or_else(|| {
            let newest = context.instance.tree_size();
            let message = format!(
                "a receipt leads from a tree that a checkpoint or a receipt names to a larger one of at most {newest}, not \
                 from {from} to {to}"
            );
            Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
        })?;
        Ok(typed("application/cose", receipt))
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// `GET /api/v1/log/proof?entry=`: a C2SP tlog-proof, for those who may read the entry.
pub(crate) async fn proof(Extension(context): Extension<Context>, method: Method, uri: Uri) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        let query = parse(&uri, &["entry"])?;
        let entry = query.one("entry").map_err(|failure| bad(failure.to_string()))?.unwrap_or_default();
        let entry_id = entry.parse().map_err(|_| bad("entry must be an entry id, 64 hex digits"))?;
        let permit = context.listing()?;
        let fail = |failure: EngineError| Failure::of(&failure, &context);
        match context.instance.log_proof(&permit, &entry_id).await.map_err(fail)? {
            ProofState::Proof(proof) => Ok(text(proof.to_string(), "no-store")),
            ProofState::NotPublished => Err(not_cosigned()),
            ProofState::Absent => {
                let message = format!("there is no entry {entry} in this ledger");
                Err(Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message))
            }
        }
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// `GET /api/v1/log/watch?size=&wait_s=`: the published checkpoint as soon as its size is another than `size`; 204 if it
/// stays as long as that.
pub(crate) async fn watch(Extension(context): Extension<Context>, method: Method, uri: Uri) -> Response<Body> {
    let answer = async {
        only(&Method::GET, &method)?;
        let query = parse(&uri, &["size", "wait_s"])?;
        let size = number(&query, "size")?.unwrap_or_default();
        let wait_s = number(&query, "wait_s")?.unwrap_or(WATCH_SECONDS_DEFAULT).min(WATCH_SECONDS_MAX);
        let Ok(_watching) = Arc::clone(&WATCHERS).try_acquire_owned() else {
            return Err(Failure::too_many_requests());
        };
        let next = context.instance.next_checkpoint(size, Duration::from_secs(wait_s));
        let next = next.await.map_err(|failure| Failure::of(&failure, &context))?;
        Ok(next.map_or_else(|| empty(StatusCode::NO_CONTENT), |signed| note(&signed)))
    };
    answer.await.unwrap_or_else(Failure::json)
}

/// A bundle, a part at a time: a full one may have 16 MiB.
fn bundle(context: &Context, index: u64, width: u16, path: &str) -> Answer {
    let access = context.instance.access();
    let permit = access.decide(&context.caller, Right::Claim, None);
    // Of the two refusals, that of the lesser right says what is missing.
    let permit = permit.or_else(|denied| access.decide(&context.caller, Right::Admin, None).map_err(|_| denied));
    let permit = permit.map_err(|denied| Failure::of(&denied.into(), context))?;
    let there = context.instance.bundle_width(&permit, index).ok_or_else(|| no_tile(path))?;
    if width > there {
        return Err(no_tile(path));
    }
    let first = index * u64::from(TILE_WIDTH);
    let parts = Parts { instance: Arc::clone(&context.instance), next: first, end: first + u64::from(width) };
    let parts = stream::try_unfold(parts, Parts::next);
    Ok(immutable(Body::from_stream(parts), "private"))
}

/// What is left of a bundle.
struct Parts {
    instance: Arc<Instance>,
    next: u64,
    end: u64,
}

impl Parts {
    async fn next(self) -> Result<Option<(Bytes, Self)>, EngineError> {
        if self.next == self.end {
            return Ok(None);
        }
        let end = self.end.min(self.next + BUNDLE_PART_ENTRIES);
        let part = self.instance.bundle_part(self.next, end).await?;
        Ok(Some((part.into(), Self { next: end, ..self })))
    }
}

fn note(signed: &SignedCheckpoint) -> Response<Body> {
    text(signed.to_string(), "public, max-age=1")
}

fn text(text: String, caching: &'static str) -> Response<Body> {
    let mut response = typed("text/plain; charset=utf-8", text.into_bytes());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn immutable(body: Body, whose: &str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let caching = HeaderValue::try_from(format!("{whose}, max-age=31536000, immutable")).expect("plain words");
    headers.insert(header::CACHE_CONTROL, caching);
    response
}

fn no_tile(path: &str) -> Failure {
    let message = format!("the log has no {path}; tiles and their widths follow from the size in its checkpoint");
    Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
}

fn not_cosigned() -> Failure {
    let message = "too few witnesses have cosigned a checkpoint that reaches so far; ask again soon";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
        .titled("Unavailable")
        .with(header::RETRY_AFTER, "1")
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
}

fn parse(uri: &Uri, known: &[&str]) -> Result<Query, Failure> {
    let query = Query::parse(uri.query().unwrap_or_default()).map_err(|failure| bad(failure.to_string()))?;
    if let Some(unknown) = query.names().find(|name| !known.contains(name)) {
        return Err(bad(format!("there is no parameter {unknown:?}; known are {}", known.join(", "))));
    }
    Ok(query)
}

fn number(query: &Query, name: &'static str) -> Result<Option<u64>, Failure> {
    let text = query.one(name).map_err(|failure| bad(failure.to_string()))?;
    let number = |text: &str| text.parse().map_err(|_| bad(format!("{name} must be a whole number, not {text:?}")));
    text.map(number).transpose()
}

/// Who may wait for a checkpoint at once, over all clients.
static WATCHERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(WATCHERS_MAX)));
const WATCHERS_MAX: usize = 1024;
/// How long an answer to a watch may take.
const WATCH_SECONDS_MAX: u64 = 60;
const WATCH_SECONDS_DEFAULT: u64 = 30;
/// Entries of a bundle that are in memory at once: 1 MiB at most.
const BUNDLE_PART_ENTRIES: u64 = 16;
