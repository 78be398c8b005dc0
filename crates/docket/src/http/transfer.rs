//! Bodies: streamed in with a limit, streamed out in ranges.

use axum::body::{Body, Bytes};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use docket_engine::{Blob, BlobContent, EngineError, OpenUpload};
use docket_oci::digest::Digest;
use docket_oci::range::{Ranged, parse_range};
use docket_store::BlobReader;
use http_body_util::BodyExt as _;

use crate::http::failure::Failure;
use crate::http::file_body::FileBody;
use crate::http::listener::Peer;
use crate::http::paced::TooSlow;

/// Why a body was not taken.
pub(crate) enum BodyError {
    /// It is longer than allowed.
    TooLong,
    /// The client went away or broke the framing.
    Broken,
    /// The client sends too slowly.
    Slow,
    /// The engine refused it.
    Engine(EngineError),
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut read = Vec::new();
    while let Some(chunk) = next(&mut body).await? {
        if read.len() + chunk.len() > limit {
            return Err(BodyError::TooLong);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

/// Streams a body into an upload and gives its length, or the one at which it was seen to be longer than `bytes_max`.
pub(crate) async fn receive(mut body: Body, upload: &mut OpenUpload, bytes_max: u64) -> Result<u64, BodyError> {
    let mut received = 0;
    while received <= bytes_max
        && let Some(chunk) = next(&mut body).await?
    {
        received += chunk.len() as u64;
        upload.append(chunk).await.map_err(BodyError::Engine)?;
    }
    Ok(received)
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    loop {
        let Some(frame) = body.frame().await else { return Ok(None) };
        // Trailers say nothing here.
        let failed = |failure: axum::Error| if TooSlow::caused(&failure) { BodyError::Slow } else { BodyError::Broken };
        if let Ok(chunk) = frame.map_err(failed)?.into_data() {
            return Ok(Some(chunk));
        }
    }
}

/// Answers with a blob, whole or the range that was asked for (RFC 9110 §14).
pub(super) async fn send(
    blob: Blob,
    digest: &Digest,
    request: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<Response<Body>, EngineError> {
    let etag = etag(digest);
    if matches_etag(request, &etag) {
        return Ok(not_modified(&etag));
    }
    if let BlobContent::Object(object) = &blob.content
        && let Some(link) = object.link().await?
    {
        return Ok(elsewhere(&link, digest));
    }
    let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // A client that goes on with other content wants all of this one (RFC 9110 §13.1.5). There are no dates here.
    let range = text(header::RANGE).filter(|_| text(header::IF_RANGE).is_none_or(|theirs| theirs.trim() == etag));
    let ranged = range.map_or(Ranged::Whole, |range| parse_range(range, blob.size));
    let (status, start, end) = match ranged {
        Ranged::Whole => (StatusCode::OK, 0, blob.size),
        Ranged::Part { start, end_inclusive } => (StatusCode::PARTIAL_CONTENT, start, end_inclusive + 1),
        Ranged::Unsatisfiable => {
            let message = format!("the blob has {} bytes, none of them in the range asked for", blob.size);
            return Ok(Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
                .with(header::CONTENT_RANGE, &format!("bytes */{}", blob.size))
                .oci());
        }
    };
    let mut response = Response::new(content(blob.content, start, end, peer).await?);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    blob_headers(headers, digest, end - start);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{}", end - 1, blob.size);
        headers.insert(header::CONTENT_RANGE, ascii(&range));
    }
    Ok(response)
}

/// Sends the client to the bucket for the same bytes. Ranges are asked for there.
fn elsewhere(link: &str, digest: &Digest) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, ascii(link));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert("docker-content-digest", ascii(&digest.to_string()));
    response
}

/// Headers of a blob's answer.
pub(crate) fn blob_headers(headers: &mut HeaderMap, digest: &Digest, length: u64) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, ascii(&etag(digest)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
    headers.insert("docker-content-digest", ascii(&digest.to_string()));
}

/// The strong validator of content: its digest.
pub(crate) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client has this content already. Proxies that compress make a validator weak; it still names the content.
pub(crate) fn matches_etag(request: &HeaderMap, etag: &str) -> bool {
    let theirs = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut theirs = theirs.flat_map(|value| value.split(',')).map(str::trim);
    theirs.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

/// The answer to a client that has this content.
pub(crate) fn not_modified(etag: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().insert(header::ETAG, ascii(etag));
    response
}

/// A header value from text that holds only what digests, numbers and checked names hold.
pub(crate) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

async fn content(content: BlobContent, start: u64, end: u64, peer: Option<&Peer>) -> Result<Body, EngineError> {
    Ok(match (content, peer.and_then(|peer| peer.files.as_ref())) {
        (BlobContent::Bytes(bytes), _) => {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Body::from(bytes.slice(at(start)..at(end)))
        }
        (BlobContent::File(file), Some(files)) => Body::new(FileBody::new(file, start, end, files.clone())),
        (BlobContent::File(file), None) => {
            let reader = BlobReader::new(file, start, end);
            Body::from_stream(futures_util::stream::unfold(reader, async |mut reader| {
                reader.next().await.map(|chunk| (chunk, reader))
            }))
        }
        (BlobContent::Object(object), _) => Body::from_stream(object.read(start..end).await?),
    })
}
