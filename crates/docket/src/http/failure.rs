//! Turns what went wrong into an answer: a short message out, the full chain to the log. The domain knows no status.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use docket_engine::EngineError;
use docket_judge::policy::Refusal;
use docket_oci::error::{Code, ErrorBody};
use docket_oci::request::CallError;
use docket_proof::cbor::problem_details;
use docket_proof::statement::StatementError;
use docket_store::StoreError;

use crate::http::context::Context;

/// An answer that is an error, before it is put into the words of one API.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    /// OCI error code.
    code: &'static str,
    /// SCRAPI title.
    title: &'static str,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let title = match status {
            StatusCode::NOT_FOUND => "Not Found",
            StatusCode::TOO_MANY_REQUESTS => "Too Many Requests",
            StatusCode::METHOD_NOT_ALLOWED => "Method Not Allowed",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::REQUEST_TIMEOUT => "Request Timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
            _ => "Malformed request",
        };
        Self { status, code, title, message: message.into(), headers: Vec::new() }
    }

    pub(crate) fn titled(self, title: &'static str) -> Self {
        Self { title, ..self }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        self
    }

    /// One client asks for too much at once.
    pub(super) fn too_many_requests() -> Self {
        let message = "too many of your requests are being answered at once; wait for some of them";
        let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests.as_str(), message);
        failure.with(header::RETRY_AFTER, "1")
    }

    /// Somebody unknown sends more statements than it may.
    pub(super) fn too_often(wait: Duration) -> Self {
        let message =
            "too many statements came from your address without a login; wait as long as Retry-After says, or log in";
        let seconds = wait.as_secs_f64().ceil().to_string();
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests.as_str(), message)
            .with(header::RETRY_AFTER, &seconds)
    }

    /// What went on after its caller was told to wait, and failed.
    pub(super) fn of_registration(failure: &EngineError, context: &Context) -> Self {
        let Self { message, .. } = Self::of(failure, context);
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown.as_str(), message).titled("Registration Failed")
    }

    /// The client stopped sending what it announced.
    pub(super) fn too_slow() -> Self {
        let message =
            "the body stopped coming, or came too slowly; what an upload received so far is kept, ask for its range";
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::SizeInvalid.as_str(), message)
    }

    /// A call that could not be parsed.
    pub(crate) fn of_call(error: &CallError) -> Self {
        let status = match error {
            CallError::UnknownPath | CallError::TagUnknown(_) | CallError::Session => StatusCode::NOT_FOUND,
            CallError::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            CallError::TooManyTags | CallError::QueryTooLong { .. } => StatusCode::URI_TOO_LONG,
            _ => StatusCode::BAD_REQUEST,
        };
        let failure = Self::new(status, error.code().as_str(), error.to_string());
        match error {
            CallError::EntryId => failure.titled("Invalid locator"),
            CallError::MethodNotAllowed { allowed } => failure.with(header::ALLOW, allowed),
            _ => failure,
        }
    }

    /// A use case that did not happen.
    pub(crate) fn of(error: &EngineError, context: &Context) -> Self {
        let refuse = |status, code: Code| Self::new(status, code.as_str(), error.to_string());
        let bad = |code| refuse(StatusCode::BAD_REQUEST, code);
        let missing = |code| refuse(StatusCode::NOT_FOUND, code);
        match error {
            EngineError::Denied(denied) => Self::denied(denied, context),
            EngineError::TagStands { .. } | EngineError::TagImmutable { .. } => {
                refuse(StatusCode::FORBIDDEN, Code::Denied)
            }
            EngineError::RepositoryUnknown => missing(Code::NameUnknown),
            EngineError::ManifestUnknown(_) => missing(Code::ManifestUnknown),
            EngineError::BlobUnknown(_) => missing(Code::BlobUnknown),
            EngineError::UploadUnknown(_) => missing(Code::BlobUploadUnknown),
            EngineError::ManifestInvalid(docket_oci::manifest::ManifestError::TooLarge { .. })
            | EngineError::BlobTooLarge { .. } => refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            EngineError::ManifestInvalid(_) => bad(Code::ManifestInvalid),
            // The operator's own, over the admin socket alone.
            EngineError::Collecting
            | EngineError::KeysBusy
            | EngineError::NoNextKey { .. }
            | EngineError::BackupUnusable { .. }
            | EngineError::NotEmpty(_)
            | EngineError::Recover(_)
            | EngineError::Store(StoreError::BlobsElsewhere) => refuse(StatusCode::CONFLICT, Code::Unsupported),
            EngineError::DeletesOff => refuse(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported),
            EngineError::DigestMismatch { .. } => bad(Code::DigestInvalid),
            EngineError::ManifestBlobUnknown(_) => bad(Code::ManifestBlobUnknown),
            EngineError::UploadBusy { .. } | EngineError::UploadOffset { .. } => {
                refuse(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid)
            }
            EngineError::Statement(failure) => bad(Code::ManifestInvalid).titled(statement_title(failure)),
            EngineError::Refused(Refusal::BadSignature { .. }) => bad(Code::Denied).titled("Bad Signature"),
            EngineError::Refused(Refusal::AlgorithmOfOtherKey { .. }) => {
                bad(Code::Denied).titled("Bad Signature Algorithm")
            }
            EngineError::Refused(_) | EngineError::OwnStatement => bad(Code::Denied).titled("Rejected"),
            EngineError::TooManyTags => bad(Code::Unsupported),
            EngineError::Place(_) => bad(Code::ManifestInvalid).titled("Wrong Place"),
            EngineError::IssuerExists(_)
            | EngineError::IssuerName(_)
            | EngineError::IssuerIsService(_)
            | EngineError::IssuerUnknown(_)
            | EngineError::Rules(_)
            | EngineError::PolicyUnknown(_)
            | EngineError::TooManyTried
            | EngineError::TriedForm
            | EngineError::TooManyIssuers => bad(Code::Unsupported).titled("Rejected"),
            EngineError::TooManyUploads
            | EngineError::TooManyUploadsOfAccount
            | EngineError::PoolFull
            | EngineError::Store(StoreError::Busy) => {
                refuse(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests).with(header::RETRY_AFTER, "1")
            }
            // The reason speaks of tree sizes, which are public, and says what to do.
            EngineError::ReadOnly(_) | EngineError::Unwitnessed(_) => {
                Self::unavailable(error, context, &error.to_string())
            }
            EngineError::NotLogged(failure) if matches!(**failure, StoreError::DiskFull(_)) => {
                Self::unavailable(error, context, DISK_FULL)
            }
            EngineError::NotLogged(_) => {
                Self::unavailable(error, context, "the entry could not be stored and was not logged; try again")
            }
            EngineError::Store(StoreError::DiskFull(_)) => Self::unavailable(error, context, DISK_FULL),
            EngineError::Store(StoreError::Remote { .. }) => {
                Self::unavailable(error, context, "the registry's object store failed; nothing was changed, try again")
            }
            EngineError::Store(StoreError::Restored(_)) => Self::unavailable(error, context, RESTORED),
            EngineError::NotSigned(_) => {
                Self::unavailable(error, context, "the service could not sign just now; nothing was logged, try again")
            }
            EngineError::Unreadable => Self::unavailable(
                error,
                context,
                "the ledger could not be read just now; nothing was changed, try again",
            ),
            EngineError::Permit(_)
            | EngineError::Settings { .. }
            | EngineError::Unproven(_)
            | EngineError::Cosignature { .. }
            | EngineError::Stopped
            | EngineError::Store(_) => Self::internal(error, context),
        }
    }

    /// The operator's to mend: the caller learns what it means, the log why.
    fn unavailable(error: &EngineError, context: &Context, message: &str) -> Self {
        tracing::error!(request = %context.request_id, error = chain(error), "request refused");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
            .titled("Unavailable")
            .with(header::RETRY_AFTER, "10")
    }

    /// Our fault, or the machine's: the log gets everything, the caller the request's id.
    fn internal(error: &EngineError, context: &Context) -> Self {
        tracing::error!(request = %context.request_id, error = chain(error), "request failed");
        let message = format!("internal error; the server's log has it under request {}", context.request_id);
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message).titled("Internal Error")
    }

    /// In the words of the API that a path belongs to.
    pub(crate) fn at(self, path: &str) -> Response<Body> {
        let below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below("/entries") || below("/.well-known/scitt-keys") || path.contains("/_scitt/") {
            self.problem()
        } else if below("/api") || below("/admin") || below("/log") {
            self.json()
        } else {
            self.oci()
        }
    }

    /// In the words of the OCI distribution spec.
    pub(crate) fn oci(self) -> Response<Body> {
        let mut body = ErrorBody::new(Code::Unsupported, self.message.clone(), None);
        body.errors.iter_mut().for_each(|entry| self.code.clone_into(&mut entry.code));
        self.with(API_VERSION, API_VERSION_2).respond("application/json", body.to_bytes())
    }

    /// As concise problem details, the words of SCRAPI (RFC 9290).
    pub(crate) fn problem(self) -> Response<Body> {
        let body = problem_details(self.title, &self.message);
        self.respond("application/concise-problem-details+cbor", body)
    }

    /// As problem details in JSON (RFC 9457).
    pub(crate) fn json(self) -> Response<Body> {
        let body = serde_json::json!({
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.message,
        });
        self.respond("application/problem+json", body.to_string().into_bytes())
    }

    fn respond(self, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(self.headers);
        response
    }
}

const DISK_FULL: &str = "the registry's disk is full; nothing was changed";
/// What a caller is told that wants to change a restored copy.
const RESTORED: &str = "this registry was restored from a backup and takes no changes until its operator has run `docket recover`; \
    pulls are served";

/// An error and its causes, in one line.
fn chain(error: &EngineError) -> String {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    chain
}

/// SCRAPI names some cases; the rest is a malformed request.
fn statement_title(failure: &StatementError) -> &'static str {
    match failure {
        StatementError::PayloadDetached => "Payload Missing",
        StatementError::Header(docket_proof::statement::HeaderError::Algorithm { .. }) => "Bad Signature Algorithm",
        _ => "Malformed request",
    }
}

/// By this docker-style clients know a registry, also where it refuses.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// Its one value.
pub(crate) const API_VERSION_2: &str = "registry/2.0";
