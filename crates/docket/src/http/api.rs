//! The query API: who said what about an artifact, complete up to the tree size in the answer.

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{Method, Response, StatusCode};
use docket_engine::{CLAIMS_PAGE_MAX, ClaimQuery, HISTORY_PAGE_MAX, HistoryQuery, Right};
use docket_oci::RepositoryName;
use docket_oci::query::Query;
use serde::{Deserialize, Serialize};

use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::typed;
use crate::http::scrapi::only;

/// What a consumer needs to know of a service before it can pin it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServiceView {
    /// `iss` of its receipts.
    pub issuer: String,
    /// `sub` of its receipts.
    pub log: String,
    /// Verifier key of its checkpoints.
    pub log_key: String,
    /// Entries in the ledger.
    pub tree_size: u64,
    /// Why it takes no entries, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<String>,
}

/// `GET /api/v1/service`.
pub(crate) async fn service(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.json();
    }
    let instance = &context.instance;
    let view = ServiceView {
        issuer: instance.service().to_string(),
        log: instance.log().to_owned(),
        log_key: instance.checkpoint_key().to_string(),
        tree_size: instance.tree_size(),
        read_only: instance.read_only(),
    };
    typed("application/json", serde_json::to_vec(&view).expect("strings and numbers"))
}

/// `GET /api/v1/claims?artifact=&issuer=&type=&limit=&cursor=`.
pub(crate) async fn claims(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.json();
    }
    let query = match parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json(),
    };
    let permit = match context.listing() {
        Ok(permit) => permit,
        Err(failure) => return failure.json(),
    };
    let page = match context.instance.claims(&permit, &query).await {
        Ok(page) => page,
        Err(failure) => return Failure::of(&failure, &context).json(),
    };
    // The cursor carries the tree size, so that all pages of one answer are complete for one ledger.
    let next = page.next.map(|next| format!("{next}-{}", page.tree_size));
    let body = serde_json::json!({ "tree_size": page.tree_size, "claims": page.claims, "next": next });
    typed("application/json", body.to_string().into_bytes())
}

/// `GET /api/v1/history?repository=&tag=&limit=&cursor=`.
pub(crate) async fn history(Extension(context): Extension<Context>, request: Request) -> Response<Body> {
    if let Err(failure) = only(&Method::GET, request.method()) {
        return failure.json();
    }
    let (repository, query) = match history_query(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message).json(),
    };
    let page = match context.permit(Right::Pull, Some(&repository)) {
        Ok(permit) => context.instance.history(&permit, &query).await,
        Err(failure) => Err(failure),
    };
    match page {
        Ok(page) => typed("application/json", serde_json::to_vec(&page).expect("strings and numbers")),
        Err(failure) => Failure::of(&failure, &context).json(),
    }
}

/// What is asked of the history of which repository.
pub(super) fn history_query(text: &str) -> Result<(RepositoryName, HistoryQuery), String> {
    let query = known(text, &["repository", "tag", "limit", "cursor"])?;
    let needed = |name| query.one(name).map_err(|failure| failure.to_string())?.ok_or(format!("{name} is missing"));
    let repository = needed("repository")?.parse().map_err(|failure| format!("repository: {failure}"))?;
    let tag = needed("tag")?.parse().map_err(|failure| format!("tag: {failure}"))?;
    let limit = limit(&query, HISTORY_PAGE_MAX)?;
    let (from, tree_size) = cursor(&query)?;
    Ok((repository, HistoryQuery { tag, from, tree_size, limit }))
}

fn parse(text: &str) -> Result<ClaimQuery, String> {
    let query = known(text, &["artifact", "issuer", "type", "observed", "limit", "cursor"])?;
    let one = |name| query.one(name).map_err(|failure| failure.to_string());
    let artifact = one("artifact")?.map(str::parse).transpose();
    let artifact = artifact.map_err(|failure| format!("artifact must be a digest: {failure}"))?;
    let observed = match one("observed")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err("observed must be true or false".to_owned()),
    };
    let limit = limit(&query, CLAIMS_PAGE_MAX)?;
    let (from, tree_size) = cursor(&query)?;
    let (issuer, claim_type) = (one("issuer")?.map(str::to_owned), one("type")?.map(str::to_owned));
    Ok(ClaimQuery { artifact, issuer, claim_type, observed, from, tree_size, limit })
}

/// A query in which nothing is unknown.
fn known(text: &str, names: &[&str]) -> Result<Query, String> {
    let query = Query::parse(text).map_err(|failure| failure.to_string())?;
    if let Some(unknown) = query.names().find(|name| !names.contains(name)) {
        return Err(format!("there is no parameter {unknown:?}; known are {}", names.join(", ")));
    }
    Ok(query)
}

fn limit(query: &Query, max: usize) -> Result<usize, String> {
    let Some(text) = query.one("limit").map_err(|failure| failure.to_string())? else { return Ok(LIMIT_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| format!("limit must be a number from 1 to {max}"))
}

/// Where a page starts, and the tree size that the first one was complete for.
fn cursor(query: &Query) -> Result<(u64, Option<u64>), String> {
    let Some(text) = query.one("cursor").map_err(|failure| failure.to_string())? else { return Ok((0, None)) };
    let parts = text.split_once('-').and_then(|(from, size)| Some((from.parse().ok()?, Some(size.parse().ok()?))));
    parts.ok_or_else(|| "cursor must be the next value of an earlier answer".to_owned())
}

/// Claims or events in an answer that names no limit.
const LIMIT_DEFAULT: usize = 100;
