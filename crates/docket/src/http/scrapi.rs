//! The transparency service: SCRAPI (draft-ietf-scitt-scrapi-11), standard paths and, with placement, below `/v2`.
//!
//! Each resource has one representation, so it is sent whatever a client says that it accepts (RFC 9110 §12.5.1 lets a
//! server); a receipt that exists is of more use to a careless client than a 406.

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use docket_engine::{EntryState, Permit, Registration, Right};
use docket_oci::request::CallError;
use docket_proof::key::{KEY_SET_KEYS_MAX, key_set};
use docket_proof::statement::{EntryId, MAX_STATEMENT_BYTES};

use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::{empty, typed};
use crate::http::transfer::{BodyError, ascii, read};

/// `POST /entries`: registers a statement; logs and indexes it, places it nowhere.
pub(crate) async fn entries(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::POST, request.method()) {
        return failure.problem();
    }
    let (parts, body) = request.into_parts();
    let answer = match context.permit(Right::Claim, None) {
        Ok(permit) => register(&context, &parts.headers, body, &permit, "/entries").await,
        Err(failure) => Err(Failure::of(&failure, &context)),
    };
    answer.unwrap_or_else(Failure::problem)
}

/// `GET /entries/{id}`: a fresh receipt.
pub(crate) async fn entry(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.problem();
    }
    let path = request.uri().path();
    let answer = match context.listing() {
        Ok(permit) => receipt(&context, &permit, last_segment(path), path).await,
        Err(failure) => Err(failure),
    };
    answer.unwrap_or_else(Failure::problem)
}

/// `GET /.well-known/scitt-keys`: the keys of this service's receipts as a COSE_KeySet, the one in force first.
pub(crate) async fn keys(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.problem();
    }
    let keys = context.instance.receipt_keys();
    // More than a reader takes are only found by name.
    let set = key_set(&keys.iter().take(KEY_SET_KEYS_MAX).collect::<Vec<_>>());
    cached(typed("application/cbor", set), KEY_SET_CACHED)
}

/// `GET /.well-known/scitt-keys/{kid}`: one key, by unpadded base64url of its kid. Ours are thumbprints, 32 bytes of which
/// some are never fit for a path, so there is no other way to write one.
pub(crate) async fn key(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.problem();
    }
    let kid = last_segment(request.uri().path());
    let keys = context.instance.receipt_keys();
    match keys.into_iter().find(|key| key.thumbprint().base64url() == kid) {
        Some(key) => cached(typed("application/cbor", key.to_cose_key()), KEY_CACHED),
        None => Failure::new(
            StatusCode::NOT_FOUND,
            "",
            "this service has signed no receipt with such a key; its keys are at /.well-known/scitt-keys",
        )
        .titled("No such key")
        .problem(),
    }
}

/// Registers the statement in a body and answers with its receipt.
pub(crate) async fn register(
    context: &Context,
    headers: &HeaderMap,
    body: Body,
    permit: &Permit,
    base: &str,
) -> Result<Response<Body>, Failure> {
    context.count_registration()?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !STATEMENT_TYPES.contains(&docket_oci::media::essence(content_type)) {
        let message = format!("a signed statement is sent with content type application/cose, not {content_type:?}");
        return Err(Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message));
    }
    let statement = read(body, MAX_STATEMENT_BYTES).await.map_err(|failure| match failure {
        BodyError::TooLong => {
            let message = format!(
                "the statement is larger than {MAX_STATEMENT_BYTES} bytes; sign a hash envelope over a large document"
            );
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
        }
        BodyError::Slow => {
            let message = "the statement stopped coming, or came too slowly; nothing was registered, send it again";
            Failure::new(StatusCode::REQUEST_TIMEOUT, "SIZE_INVALID", message)
        }
        BodyError::Broken | BodyError::Engine(_) => {
            Failure::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", "the body ended before its announced length")
        }
    })?;
    let registering = context.instance.register_within(permit, statement, context.registration_wait);
    let registered = registering.await.map_err(|failure| Failure::of(&failure, context))?;
    let (entry_id, mut response) = match registered {
        Registration::Done(registered) => {
            let mut response = typed("application/cose", registered.receipt);
            *response.status_mut() = StatusCode::CREATED;
            (registered.entry_id, response)
        }
        Registration::Pending(entry_id) => (entry_id, pending(StatusCode::ACCEPTED)),
    };
    response.headers_mut().insert(header::LOCATION, ascii(&format!("{base}/{entry_id}")));
    Ok(response)
}

/// Answers with a fresh receipt of an entry.
pub(crate) async fn receipt(
    context: &Context,
    permit: &Permit,
    entry: &str,
    location: &str,
) -> Result<Response<Body>, Failure> {
    let entry_id: EntryId = entry.parse().map_err(|_| Failure::of_call(&CallError::EntryId))?;
    let found = context.instance.receipt(permit, &entry_id).await.map_err(|failure| Failure::of(&failure, context))?;
    let mut response = match found {
        EntryState::Logged(receipt) => cached(typed("application/cose", receipt), "no-store"),
        EntryState::Pending => pending(StatusCode::NO_CONTENT),
        EntryState::Failed(failure) => return Err(Failure::of_registration(&failure, context)),
        EntryState::Absent => {
            let message = format!("there is no entry {entry:?} in this ledger");
            return Err(Failure::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message));
        }
    };
    response.headers_mut().insert(header::LOCATION, ascii(location));
    Ok(response)
}

/// Sends a client away that is to ask again.
fn pending(status: StatusCode) -> Response<Body> {
    let mut response = cached(empty(status), "no-store");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The same with a word on how long it may be kept.
fn cached(mut response: Response<Body>, how: &'static str) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(how));
    response
}

/// The last segment of a path as it was sent: ids and kids have no characters that would be encoded.
fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Refuses every method but one.
pub(crate) fn only(allowed: &Method, method: &Method) -> Result<(), Failure> {
    if method == allowed {
        return Ok(());
    }
    let message = format!("this resource takes {allowed}, not {method}");
    Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message).with(header::ALLOW, allowed.as_str()))
}

/// How long the set of keys may be kept: a new key is in use soon after it is made.
const KEY_SET_CACHED: &str = "max-age=300";
/// How long one key may be kept: it never changes.
const KEY_CACHED: &str = "max-age=86400";
/// Content types of a signed statement: SCRAPI's, and the registered one.
const STATEMENT_TYPES: [&str; 2] = ["application/cose", docket_oci::media::SCITT_STATEMENT];
