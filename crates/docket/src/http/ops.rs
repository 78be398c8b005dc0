//! What whoever watches the server asks: `/metrics`, `/livez`, `/readyz`, on an address of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use docket_engine::{Check, Instance};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::http::registry::typed;
use crate::telemetry::{Traffic, scrape};

/// What the watchers' routes know.
#[derive(Debug)]
pub(crate) struct Watched {
    instance: Arc<Instance>,
    traffic: Arc<Traffic>,
    /// Room on the disk below which nobody should push here.
    free_bytes_min: u64,
    is_stopping: AtomicBool,
    /// The newest checks. Held while they run, so that a storm of probes costs one write.
    checked: Mutex<Option<(Instant, Vec<Check>)>>,
}

/// Body of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness<'a> {
    ready: bool,
    checks: &'a [Check],
}

impl Watched {
    pub(crate) fn new(instance: Arc<Instance>, traffic: Arc<Traffic>, free_bytes_min: u64) -> Self {
        Self { instance, traffic, free_bytes_min, is_stopping: AtomicBool::new(false), checked: Mutex::default() }
    }

    /// From now on the server is not ready, whatever the checks say: no new requests are to come here.
    pub(crate) fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    async fn checks(&self) -> Vec<Check> {
        let mut checked = self.checked.lock().await;
        let mut checks = match &*checked {
            Some((at, checks)) if at.elapsed() < CHECKS_KEPT => checks.clone(),
            Some(_) | None => {
                let checks = self.instance.checks(self.free_bytes_min).await;
                *checked = Some((Instant::now(), checks.clone()));
                checks
            }
        };
        let stopping = self.is_stopping.load(Ordering::Relaxed);
        checks.push(Check {
            name: "serving",
            problem: stopping.then(|| "the server is stopping".to_owned()),
            note: None,
        });
        checks
    }
}

/// The watchers' routes.
pub(crate) fn watch(watched: Arc<Watched>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || typed("text/plain", b"ok\n".to_vec())))
        .route("/readyz", get(ready))
        .with_state(watched)
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response<Body> {
    match scrape(&watched.instance, &watched.traffic).await {
        Ok(text) => typed("application/openmetrics-text; version=1.0.0; charset=utf-8", text.into_bytes()),
        Err(failure) => {
            tracing::error!(%failure, "metrics could not be written");
            status(typed("text/plain", b"metrics could not be written\n".to_vec()), StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn ready(State(watched): State<Arc<Watched>>) -> Response<Body> {
    let checks = watched.checks().await;
    let ready = checks.iter().all(|check| check.problem.is_none());
    for check in checks.iter().filter(|check| check.problem.is_some()) {
        tracing::debug!(check = check.name, problem = check.problem, "not ready");
    }
    let body = serde_json::to_vec(&Readiness { ready, checks: &checks }).expect("strings and a bool");
    let mut answer = typed("application/json", body);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if ready { answer } else { status(answer, StatusCode::SERVICE_UNAVAILABLE) }
}

fn status(mut response: Response<Body>, status: StatusCode) -> Response<Body> {
    *response.status_mut() = status;
    response
}

/// How long checks count: they write and sync, and whoever asks may ask often.
const CHECKS_KEPT: Duration = Duration::from_secs(3);
