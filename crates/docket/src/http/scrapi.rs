//! The transparency service: SCRAPI (draft-ietf-scitt-scrapi-11), standard paths and, with placement, below `/v2`.

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use docket_engine::{Permit, Right};
use docket_proof::key::key_set;
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

/// `GET /.well-known/scitt-keys`: the keys of this service's receipts as a COSE_KeySet.
pub(crate) async fn keys(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.problem();
    }
    typed("application/cbor", key_set(&context.instance.receipt_keys()))
}

/// `GET /.well-known/scitt-keys/{kid}`: one key, by unpadded base64url of its kid.
pub(crate) async fn key(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.problem();
    }
    let kid = last_segment(request.uri().path());
    let keys = context.instance.receipt_keys();
    match keys.into_iter().find(|key| key.thumbprint().base64url() == kid) {
        Some(key) => typed("application/cbor", key.to_cose_key()),
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
        BodyError::Slow => Failure::too_slow(),
        BodyError::Broken | BodyError::Engine(_) => {
            Failure::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", "the body ended before its announced length")
        }
    })?;
    let registered = context.instance.register(permit, &statement).await;
    let registered = registered.map_err(|failure| Failure::of(&failure, context))?;
    let mut response = typed("application/cose", registered.receipt);
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::LOCATION, ascii(&format!("{base}/{}", registered.entry_id)));
    Ok(response)
}

/// Answers with a fresh receipt of an entry.
pub(crate) async fn receipt(
    context: &Context,
    permit: &Permit,
    entry: &str,
    location: &str,
) -> Result<Response<Body>, Failure> {
    let missing = || {
        Failure::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", format!("there is no entry {entry:?} in this ledger"))
    };
    let entry_id: EntryId = entry.parse().map_err(|_| missing())?;
    let fail = |failure| Failure::of(&failure, context);
    let found = context.instance.receipt(permit, &entry_id).await.map_err(fail)?.ok_or_else(missing)?;
    let mut response = match found {
        Some(receipt) => typed("application/cose", receipt),
        // The genesis entry while it stands alone: a receipt exists as soon as a second entry does.
        None => empty(StatusCode::NO_CONTENT),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::LOCATION, ascii(location));
    Ok(response)
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

/// Content types of a signed statement: SCRAPI's, and the registered one.
const STATEMENT_TYPES: [&str; 2] = ["application/cose", docket_oci::media::SCITT_STATEMENT];
