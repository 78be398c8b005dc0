//! The HTTP face: one listener for the registry, the transparency service and queries, one for whoever watches the server,
//! one socket for the operator.

mod activity;
mod admin;
mod api;
mod auth;
mod client;
mod context;
mod failure;
mod file_body;
mod leftover;
mod listener;
mod log;
mod ops;
mod origin;
mod paced;
mod rate;
mod registry;
mod scrapi;
mod tally;
mod tls;
mod token;
mod transfer;
mod wire;
mod workers;

pub(crate) use admin::{
    BACKUP_PATH, BackupRequest, DATA_HEADER, FSCK_CHECK_PATH, FSCK_PATH, GC_PATH, HISTORY_PATH, HistoryOfFolder,
    ISSUERS_PATH, KEYS_PATH, NAMES_PAGE, NAMES_PATH, NamesPage, POLICY_PATH, PolicyRequest, RELOAD_PATH, REPLAY_PATH,
    Removed, RotateRequest, TRIAL_PATH,
};
pub(crate) use api::ServiceView;
pub(crate) use listener::{Listener, Stopping};
pub(crate) use ops::{Watched, watch};
pub(crate) use tls::Tls;
pub(crate) use workers::Workers;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderValue, Method, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use docket_engine::{Account, AccountName, Caller, Instance};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;

use auth::KnownAs;
use client::{Client, network_of};
use context::Context;
use failure::Failure;
use listener::Peer;
use paced::Paced;
use tally::{Counted, Tally};

use crate::config::{AccessLog, Config, Limits};
use crate::reload::Running;
use crate::telemetry::{Answering, Traffic};

/// What the public address answers. Everything below `/v2` is parsed by [`docket_oci::request::Call`], not by a router:
/// repository names contain slashes.
pub(crate) struct Public {
    context: Context,
    proxies: Vec<IpNet>,
    access_log: AccessLog,
    external_url: Option<Arc<str>>,
    /// Requests being answered, by who asks.
    asking: Arc<Tally<Asker>>,
    limits: Limits,
    /// All that is not below `/v2`.
    others: TowerToHyperService<Router>,
}

impl Public {
    pub(crate) fn new(instance: Arc<Instance>, traffic: Arc<Traffic>, config: &Config) -> Self {
        let others = Router::new()
            .route("/entries", any(scrapi::entries))
            .route("/entries/{entry}", any(scrapi::entry))
            .route("/.well-known/scitt-keys", any(scrapi::keys))
            .route("/.well-known/scitt-keys/{kid}", any(scrapi::key))
            .route("/api/v1/claims", any(api::claims))
            .route("/api/v1/history", any(api::history))
            .route("/api/v1/service", any(api::service))
            .route("/api/v1/log/consistency", any(log::consistency))
            .route("/api/v1/log/consistency-receipt", any(log::consistency_receipt))
            .route("/api/v1/log/proof", any(log::proof))
            .route("/api/v1/log/watch", any(log::watch))
            .route("/log/checkpoint", any(log::checkpoint))
            .route("/log/tile/{*tile}", any(log::tile))
            .fallback(registry::nowhere)
            .layer(DefaultBodyLimit::disable());
        Self {
            context: Context::new(instance, traffic, Caller::new(Account::Loopback), &config.limits),
            proxies: config.trusted_proxies.clone(),
            access_log: config.access_log,
            external_url: config.external_url.as_deref().map(Arc::from),
            asking: Tally::new(config.limits.requests_per_account),
            limits: config.limits.clone(),
            others: TowerToHyperService::new(others),
        }
    }

    /// Answers one request: names it, keeps strangers out, does it, and writes one line about it.
    async fn answer(&self, request: Request<Body>, peer: Arc<Peer>) -> Response {
        let request = if request.body().is_end_stream() {
            request
        } else {
            request.map(|body| Body::new(Paced::new(body, &self.limits)))
        };
        let client = Client::of(&peer, request.headers(), &self.proxies);
        let network = network_of(client.address);
        let mut context = self.context.enter(Some(peer), Some(network));
        let has_rules = context.instance.access().has_rules();
        if has_rules {
            // Only who can be asked to log in needs to be told where.
            context.known_as = KnownAs::of(&request, client.is_secure, self.external_url.as_ref());
        }
        let line = LogLine::begin(self.access_log, &self.context.traffic, &request);
        let counted = self.asking.enter(Asker::Address(network));
        let response = match (origin::stranger(&request, has_rules), counted) {
            (Some(refused), _) => refused,
            (None, None) => Failure::too_many_requests().at(request.uri().path()),
            (None, Some(mut counted)) => {
                leftover::taken_in(request, |request| self.dispatch(&mut context, &mut counted, request)).await
            }
        };
        line.end(response, &context, Some(client.address))
    }

    async fn dispatch(
        &self,
        context: &mut Context,
        counted: &mut Counted<Asker>,
        mut request: Request<Body>,
    ) -> Response {
        let path = request.uri().path();
        if let Err(refused) = auth::identify(context, request.headers(), path).await {
            return refused.at(path);
        }
        if let Account::Named(name) = context.caller.account() {
            // From here on the address is free for others behind it.
            match self.asking.enter(Asker::Account(name.clone())) {
                Some(own) => *counted = own,
                None => return Failure::too_many_requests().at(path),
            }
        }
        if path == auth::TOKEN_PATH {
            return token::serve(context, request).await;
        }
        if path == "/v2" || path.starts_with("/v2/") {
            return registry::serve(context, request).await;
        }
        request.extensions_mut().insert(context.clone());
        self.others.call(request).await.unwrap_or_else(|never| match never {})
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    /// Somebody unknown, by the network.
    Address(IpAddr),
    /// Somebody who showed who it is, from wherever: many may sit behind one address.
    Account(AccountName),
}

/// The operator's routes, for the admin socket alone.
pub(crate) fn operator(
    instance: Arc<Instance>,
    traffic: Arc<Traffic>,
    running: Arc<Running>,
    limits: &Limits,
) -> Router {
    let context = Context::new(instance, traffic, Caller::new(Account::Operator), limits);
    admin::routes()
        .layer(Extension(running))
        .layer(middleware::from_fn(admin::only_this_folder))
        .layer(middleware::from_fn_with_state(context, enter))
}

/// Names an operator's request, hands the context on, and writes one line about it.
async fn enter(State(context): State<Context>, mut request: Request<Body>, next: Next) -> Response {
    let context = context.enter(None, None);
    let line = LogLine::begin(AccessLog::Changes, &context.traffic, &request);
    request.extensions_mut().insert(context.clone());
    line.end(next.run(request).await, &context, None)
}

/// The line about one request, and its place in the counts.
struct LogLine<'a> {
    answering: Answering<'a>,
    /// Copied only if they will be written.
    request: Option<(Method, String)>,
}

impl<'a> LogLine<'a> {
    fn begin(log: AccessLog, traffic: &'a Traffic, request: &Request<Body>) -> Self {
        let is_written = match log {
            AccessLog::None => false,
            AccessLog::Changes => !request.method().is_safe(),
            AccessLog::All => true,
        };
        let answering = traffic.request(request.method(), request.uri().path());
        let request = is_written.then(|| (request.method().clone(), request.uri().path().to_owned()));
        Self { answering, request }
    }

    /// The context as it is in the end, when it is known who called.
    fn end(self, mut response: Response, context: &Context, address: Option<IpAddr>) -> Response {
        let Self { answering, request } = self;
        let elapsed_us = answering.answered(response.status());
        let headers = response.headers_mut();
        headers.insert("x-request-id", context.request_id.header());
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        if let Some((method, path)) = request {
            let (status, bytes) = (response.status().as_u16(), response.body().size_hint().exact());
            let (address, account) = (address.map(tracing::field::display), context.caller.account());
            let request = context.request_id;
            tracing::info!(%method, path, status, bytes, elapsed_us, address, ?account, %request, "answered");
        }
        response
    }
}
