//! The HTTP face: one listener for the registry, the transparency service and queries, one socket for the operator.

mod admin;
mod api;
mod context;
mod counted;
mod failure;
mod leftover;
mod ops;
mod origin;
mod registry;
mod scrapi;
mod transfer;

pub(crate) use admin::{
    AdmitRequest, DATA_HEADER, FSCK_PATH, ISSUERS_PATH, NAMES_PAGE, NAMES_PATH, NamesPage, RELOAD_PATH,
};
pub(crate) use api::ServiceView;
pub(crate) use counted::CountedListener;
pub(crate) use ops::{Watched, watch};

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use docket_engine::{Account, Caller, Instance};

use context::Context;

use crate::reload::Running;
use crate::telemetry::Traffic;

/// The public routes. Everything below `/v2` is parsed by [`docket_oci::request::Call`], not by the router: repository
/// names contain slashes.
pub(crate) fn public(instance: Arc<Instance>, traffic: Arc<Traffic>) -> Router {
    let context = Context::new(instance, traffic, Caller::new(Account::Loopback));
    Router::new()
        .route("/entries", any(scrapi::entries))
        .route("/entries/{entry}", any(scrapi::entry))
        .route("/.well-known/scitt-keys", any(scrapi::keys))
        .route("/.well-known/scitt-keys/{kid}", any(scrapi::key))
        .route("/api/v1/claims", any(api::claims))
        .route("/api/v1/service", any(api::service))
        .route("/v2", any(registry::serve))
        .route("/v2/{*rest}", any(registry::serve))
        .fallback(registry::serve)
        .layer(middleware::from_fn(origin::only_loopback))
        .layer(middleware::from_fn(leftover::take_in))
        .layer(middleware::from_fn_with_state(context, enter))
        .layer(DefaultBodyLimit::disable())
}

/// The operator's routes, for the admin socket alone.
pub(crate) fn operator(instance: Arc<Instance>, traffic: Arc<Traffic>, running: Arc<Running>) -> Router {
    let context = Context::new(instance, traffic, Caller::new(Account::Operator));
    admin::routes()
        .layer(Extension(running))
        .layer(middleware::from_fn(admin::only_this_folder))
        .layer(middleware::from_fn_with_state(context, enter))
}

/// Names the request, hands the context on, and writes one line about it.
async fn enter(State(context): State<Context>, mut request: Request<axum::body::Body>, next: Next) -> Response {
    let context = context.enter();
    let answering = context.traffic.request(request.method(), request.uri().path());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).await;
    let elapsed_us = answering.answered(response.status());
    let headers = response.headers_mut();
    headers.insert("x-request-id", context.request_id.header());
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let status = response.status().as_u16();
    if method.is_safe() {
        tracing::debug!(%method, path, status, elapsed_us, request = %context.request_id, "answered");
    } else {
        tracing::info!(%method, path, status, elapsed_us, request = %context.request_id, "answered");
    }
    response
}
