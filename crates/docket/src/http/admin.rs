//! The operator's calls, over the admin socket in the data folder: whoever may open the file is the operator.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use axum::routing::{get, post};
use docket_engine::{Collection, Right};
use docket_oci::name::RepositoryName;
use docket_oci::query::Query;
use docket_proof::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::typed;
use crate::http::transfer::read;
use crate::reload::Running;

/// Body of `POST /admin/v1/issuers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitRequest {
    /// The operator's name for the issuer.
    pub name: String,
    /// Its identity, a URI.
    pub issuer: String,
    /// Its key, SPKI PEM.
    pub public_key: String,
}

/// Body of `POST /admin/v1/backup`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupRequest {
    /// Folder to make, as an absolute path.
    pub out: PathBuf,
}

/// Answer to `GET /admin/v1/names`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamesPage {
    /// Names in byte order.
    pub names: Vec<String>,
    /// Whether more follow.
    pub more: bool,
}

/// The operator's routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route(NAMES_PATH, get(names))
        .route(ISSUERS_PATH, get(issuers).post(admit))
        .route(FSCK_PATH, post(fsck))
        .route(FSCK_CHECK_PATH, post(fsck_check_only))
        .route(RELOAD_PATH, post(reload))
        .route(GC_PATH, get(collector).post(collect))
        .route(BACKUP_PATH, post(backup))
}

/// Refuses a command that means another data folder: the socket's path can be configured, and an entry on the wrong
/// ledger stays there for good.
pub(super) async fn only_this_folder(
    Extension(context): Extension<Context>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let here = context.instance.data_folder().canonicalize();
    let meant = request.headers().get(DATA_HEADER).map(HeaderValue::as_bytes);
    match (here, meant) {
        (Ok(here), Some(meant)) if here.as_os_str().as_bytes() == meant => next.run(request).await,
        (here, _) => {
            let here = here.map_or_else(|_| "another folder".to_owned(), |here| here.display().to_string());
            let message = format!("the server on this admin socket serves {here}, not the data folder you named");
            Failure::new(StatusCode::CONFLICT, "UNSUPPORTED", message).json()
        }
    }
}

async fn issuers(Extension(context): Extension<Context>) -> Response<Body> {
    json(&context.instance.issuers())
}

async fn admit(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json();
    let Ok(body) = read(request.into_body(), REQUEST_BYTES_MAX).await else {
        return bad(format!("the request is larger than {REQUEST_BYTES_MAX} bytes"));
    };
    let asked: AdmitRequest = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(failure) => return bad(format!("the request is not understood: {failure}")),
    };
    let key = match PublicKey::from_spki_pem(&asked.public_key) {
        Ok(key) => key,
        Err(failure) => return bad(failure.to_string()),
    };
    let issuer = match asked.issuer.parse() {
        Ok(issuer) => issuer,
        Err(failure) => return bad(format!("{failure}")),
    };
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.admit_issuer(&permit, &asked.name, issuer, key).await,
        Err(failure) => Err(failure),
    };
    answer.map_or_else(|failure| Failure::of(&failure, &context).json(), |view| json(&view))
}

/// `GET /admin/v1/names?repository=&last=`: one page of names.
async fn names(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json();
    let asked = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => NamesAsked::of(&query),
        Err(failure) => return bad(failure.to_string()),
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(message) => return bad(message),
    };
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.stored_names(&permit, asked.repository.as_ref(), &asked.last, NAMES_PAGE).await,
        Err(failure) => Err(failure),
    };
    answer
        .map_or_else(|failure| Failure::of(&failure, &context).json(), |(names, more)| json(&NamesPage { names, more }))
}

/// Which names are asked for.
struct NamesAsked {
    repository: Option<RepositoryName>,
    last: String,
}

impl NamesAsked {
    fn of(query: &Query) -> Result<Self, String> {
        let one = |name| query.one(name).map_err(|failure| failure.to_string());
        let repository = one("repository")?.map(str::parse).transpose();
        let repository = repository.map_err(|failure| format!("repository: {failure}"))?;
        Ok(Self { repository, last: one("last")?.unwrap_or_default().to_owned() })
    }
}

async fn fsck(Extension(context): Extension<Context>) -> Response<Body> {
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.fsck(&permit).await,
        Err(failure) => Err(failure),
    };
    answer.map_or_else(|failure| Failure::of(&failure, &context).json(), |report| json(&report))
}

async fn backup(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json();
    let Ok(body) = read(request.into_body(), REQUEST_BYTES_MAX).await else {
        return bad(format!("the request is larger than {REQUEST_BYTES_MAX} bytes"));
    };
    let asked: BackupRequest = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(failure) => return bad(format!("the request is not understood: {failure}")),
    };
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.backup(&permit, &asked.out).await,
        Err(failure) => Err(failure),
    };
    answer.map_or_else(|failure| Failure::of(&failure, &context).json(), |backup| json(&backup))
}

async fn reload(Extension(context): Extension<Context>, Extension(running): Extension<Arc<Running>>) -> Response<Body> {
    match running.reload(&context.instance) {
        Ok(reloaded) => json(&reloaded),
        Err(failure) => {
            let message = format!("{failure:#}; the server goes on as before");
            Failure::new(StatusCode::CONFLICT, "UNSUPPORTED", message).json()
        }
    }
}

async fn fsck_check_only(Extension(context): Extension<Context>) -> Response<Body> {
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.fsck_check_only(&permit).await,
        Err(failure) => Err(failure),
    };
    answer.map_or_else(|failure| Failure::of(&failure, &context).json(), |report| json(&report))
}

async fn collector(Extension(context): Extension<Context>) -> Response<Body> {
    json(&context.instance.collector_stats())
}

async fn collect(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json();
    let Ok(body) = read(request.into_body(), REQUEST_BYTES_MAX).await else {
        return bad(format!("the request is larger than {REQUEST_BYTES_MAX} bytes"));
    };
    let asked: Collection = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(failure) => return bad(format!("the request is not understood: {failure}")),
    };
    let answer = match context.permit(Right::Admin, None) {
        Ok(permit) => context.instance.collect(&permit, asked).await,
        Err(failure) => Err(failure),
    };
    answer.map_or_else(|failure| Failure::of(&failure, &context).json(), |report| json(&report))
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    typed("application/json", serde_json::to_vec(value).expect("strings and numbers"))
}

pub(crate) const ISSUERS_PATH: &str = "/admin/v1/issuers";
pub(crate) const NAMES_PATH: &str = "/admin/v1/names";
/// Names in one page.
pub(crate) const NAMES_PAGE: usize = 1_000;
pub(crate) const BACKUP_PATH: &str = "/admin/v1/backup";
pub(crate) const RELOAD_PATH: &str = "/admin/v1/reload";
pub(crate) const FSCK_PATH: &str = "/admin/v1/fsck";
pub(crate) const FSCK_CHECK_PATH: &str = "/admin/v1/fsck/check";
pub(crate) const GC_PATH: &str = "/admin/v1/gc";
/// Names the data folder that a command means.
pub(crate) const DATA_HEADER: &str = "x-docket-data";
const REQUEST_BYTES_MAX: usize = 64 * 1024;
