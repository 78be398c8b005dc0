//! The query API: who said what about an artifact, complete up to the tree size in the answer.

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{Method, Response, StatusCode};
use docket_engine::{CLAIMS_PAGE_MAX, ClaimQuery};
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

fn parse(text: &str) -> Result<ClaimQuery, String> {
    const KNOWN: [&str; 5] = ["artifact", "issuer", "type", "limit", "cursor"];
    let query = Query::parse(text).map_err(|failure| failure.to_string())?;
    if let Some(unknown) = query.names().find(|name| !KNOWN.contains(name)) {
        return Err(format!("there is no parameter {unknown:?}; known are {}", KNOWN.join(", ")));
    }
    let one = |name| query.one(name).map_err(|failure| failure.to_string());
    let artifact = one("artifact")?.map(str::parse).transpose();
    let artifact = artifact.map_err(|failure| format!("artifact must be a digest: {failure}"))?;
    let limit = match one("limit")? {
        None => LIMIT_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=CLAIMS_PAGE_MAX).contains(limit))
            .ok_or_else(|| format!("limit must be a number from 1 to {CLAIMS_PAGE_MAX}"))?,
    };
    let (from, tree_size) = match one("cursor")? {
        None => (0, None),
        Some(text) => text
            .split_once('-')
            .and_then(|(from, size)| Some((from.parse().ok()?, Some(size.parse().ok()?))))
            .ok_or("cursor must be the next value of an earlier answer")?,
    };
    let (issuer, claim_type) = (one("issuer")?.map(str::to_owned), one("type")?.map(str::to_owned));
    Ok(ClaimQuery { artifact, issuer, claim_type, from, tree_size, limit })
}

/// Claims in an answer that names no limit.
const LIMIT_DEFAULT: usize = 100;
