//! The operator's calls, over the admin socket in the data folder: whoever may open the file is the operator.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use docket_engine::{AdmissionForm, Collection, EngineError, HistoryPage, KeyRole, Permit, Right, TrialRequest};
use docket_judge::policy::Module;
use docket_oci::name::RepositoryName;
use docket_oci::query::Query;
use docket_proof::key::PublicKey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::http::api::history_query;
use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::typed;
use crate::http::transfer::read;
use crate::reload::Running;

/// Answer to `DELETE /admin/v1/issuers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// Index of the entry that says so.
    pub entry: u64,
}

/// Body of `POST /admin/v1/keys`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateRequest {
    /// Which key gets a successor.
    pub role: KeyRole,
    /// Keep it in a file, although a signing command is configured.
    #[serde(default)]
    pub to_file: bool,
}

/// Body of `POST /admin/v1/policy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyRequest {
    /// The texts.
    pub modules: Vec<Module>,
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

/// Answer to `GET /admin/v1/history`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HistoryOfFolder {
    /// As everyone may ask for it.
    pub page: HistoryPage,
    /// Keys that verify its receipts, SPKI PEM.
    pub receipt_keys: Vec<String>,
}

/// The operator's routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route(NAMES_PATH, get(names))
        .route(HISTORY_PATH, get(history))
        .route(ISSUERS_PATH, get(issuers).post(admit).delete(remove_issuer))
        .route(KEYS_PATH, get(keys).post(rotate))
        .route(POLICY_PATH, get(policy).post(set_policy))
        .route(TRIAL_PATH, post(try_policy))
        .route(REPLAY_PATH, post(replay_policy))
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

async fn admit(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: AdmissionForm = parsed(request).await?;
    let (name, credential) = asked.read().map_err(bad)?;
    let admitted = context.instance.admit_issuer(&operator(&context)?, &name, credential).await;
    answer(&context, admitted)
}

/// `DELETE /admin/v1/issuers?name=`.
async fn remove_issuer(Extension(context): Extension<Context>, request: Request) -> Answer {
    let query = Query::parse(request.uri().query().unwrap_or_default()).map_err(bad)?;
    let name = query.one("name").map_err(bad)?.ok_or_else(|| bad("say which issuer: ?name="))?;
    let removed = context.instance.remove_issuer(&operator(&context)?, name).await;
    answer(&context, removed.map(|entry| Removed { entry }))
}

async fn keys(Extension(context): Extension<Context>) -> Response<Body> {
    json(&context.instance.keys())
}

async fn rotate(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: RotateRequest = parsed(request).await?;
    answer(&context, context.instance.rotate_key(&operator(&context)?, asked.role, asked.to_file).await)
}

/// `GET /admin/v1/policy?entry=`: the policy in force, or the one that an entry set.
async fn policy(Extension(context): Extension<Context>, request: Request) -> Answer {
    let query = Query::parse(request.uri().query().unwrap_or_default()).map_err(bad)?;
    match query.one("entry").map_err(bad)? {
        None => Ok(json(&context.instance.policy())),
        Some(entry) => {
            let entry = entry.parse().map_err(|_| bad("entry must be the index of an entry"))?;
            answer(&context, context.instance.policy_of(&operator(&context)?, entry).await)
        }
    }
}

async fn set_policy(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: PolicyRequest = parsed(request).await?;
    answer(&context, context.instance.set_policy(&operator(&context)?, asked.modules).await)
}

async fn try_policy(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: TrialRequest = parsed_up_to(TRIAL_BYTES_MAX, request).await?;
    answer(&context, context.instance.try_policy(&operator(&context)?, &asked).await)
}

async fn replay_policy(Extension(context): Extension<Context>) -> Answer {
    answer(&context, context.instance.replay_policy(&operator(&context)?).await)
}

/// `GET /admin/v1/names?repository=&last=`: one page of names.
async fn names(Extension(context): Extension<Context>, request: Request) -> Answer {
    let query = Query::parse(request.uri().query().unwrap_or_default()).map_err(bad)?;
    let repository: Option<RepositoryName> =
        query.one("repository").map_err(bad)?.map(str::parse).transpose().map_err(bad)?;
    let last = query.one("last").map_err(bad)?.unwrap_or_default();
    let page = context.instance.stored_names(&operator(&context)?, repository.as_ref(), last, NAMES_PAGE).await;
    answer(&context, page.map(|(names, more)| NamesPage { names, more }))
}

/// `GET /admin/v1/history?repository=&tag=&limit=&cursor=`.
async fn history(Extension(context): Extension<Context>, request: Request) -> Answer {
    let (repository, query) = history_query(request.uri().query().unwrap_or_default()).map_err(bad)?;
    let permit = context.permit(Right::Pull, Some(&repository));
    let permit = permit.map_err(|failure| Refused(Failure::of(&failure, &context)))?;
    let page = context.instance.history(&permit, &query).await;
    let receipt_keys = context.instance.receipt_keys().iter().map(PublicKey::to_spki_pem).collect();
    answer(&context, page.map(|page| HistoryOfFolder { page, receipt_keys }))
}

async fn fsck(Extension(context): Extension<Context>) -> Answer {
    answer(&context, context.instance.fsck(&operator(&context)?).await)
}

async fn fsck_check_only(Extension(context): Extension<Context>) -> Answer {
    answer(&context, context.instance.fsck_check_only(&operator(&context)?).await)
}

async fn backup(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: BackupRequest = parsed(request).await?;
    answer(&context, context.instance.backup(&operator(&context)?, &asked.out).await)
}

async fn reload(Extension(context): Extension<Context>, Extension(running): Extension<Arc<Running>>) -> Answer {
    let reloaded = running.reload(&context.instance).map_err(|failure| {
        let message = format!("{failure:#}; the server goes on as before");
        Refused(Failure::new(StatusCode::CONFLICT, "UNSUPPORTED", message))
    })?;
    Ok(json(&reloaded))
}

async fn collector(Extension(context): Extension<Context>) -> Response<Body> {
    json(&context.instance.collector_stats())
}

async fn collect(Extension(context): Extension<Context>, request: Request) -> Answer {
    let asked: Collection = parsed(request).await?;
    answer(&context, context.instance.collect(&operator(&context)?, asked).await)
}

/// What a handler returns.
type Answer = Result<Response<Body>, Refused>;

/// A failure in this API's words.
struct Refused(Failure);

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        self.0.json()
    }
}

fn bad(reason: impl fmt::Display) -> Refused {
    Refused(Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", reason.to_string()))
}

/// Whoever reached this socket is the operator; the permit comes from the one decision point all the same.
fn operator(context: &Context) -> Result<Permit, Refused> {
    context.permit(Right::Admin, None).map_err(|failure| Refused(Failure::of(&failure, context)))
}

/// The body of a request.
async fn parsed<T: DeserializeOwned>(request: Request) -> Result<T, Refused> {
    parsed_up_to(REQUEST_BYTES_MAX, request).await
}

async fn parsed_up_to<T: DeserializeOwned>(bytes_max: usize, request: Request) -> Result<T, Refused> {
    let body = read(request.into_body(), bytes_max).await;
    let body = body.map_err(|_| bad(format!("the request is larger than {bytes_max} bytes")))?;
    serde_json::from_slice(&body).map_err(|failure| bad(format!("the request is not understood: {failure}")))
}

fn answer<T: Serialize>(context: &Context, done: Result<T, EngineError>) -> Answer {
    done.map(|value| json(&value)).map_err(|failure| Refused(Failure::of(&failure, context)))
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    typed("application/json", serde_json::to_vec(value).expect("strings and numbers"))
}

pub(crate) const ISSUERS_PATH: &str = "/admin/v1/issuers";
pub(crate) const HISTORY_PATH: &str = "/admin/v1/history";
pub(crate) const KEYS_PATH: &str = "/admin/v1/keys";
pub(crate) const POLICY_PATH: &str = "/admin/v1/policy";
pub(crate) const TRIAL_PATH: &str = "/admin/v1/policy/test";
pub(crate) const REPLAY_PATH: &str = "/admin/v1/policy/replay";
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
/// The largest are roots of an issuer, and a policy whose texts JSON makes longer.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// A policy and the statements that it is tried on.
const TRIAL_BYTES_MAX: usize = 16 * 1024 * 1024;
