//! Sends requests: finds the scheme, logs in when asked to, retries what may pass, and bounds what comes back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use docket_oci::ErrorBody;
use http::{HeaderMap, Method, header};
use reqwest::{Body, Certificate, Client, Response, StatusCode, Url, redirect};

use crate::auth::{Challenge, Credentials, Login, TokenRequest, fetch_token, is_loopback, parse_challenges};
use crate::blob::BlobStream;
use crate::error::ClientError;

/// How to reach a registry.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Speak http even to a host that is not this machine. Logins are never sent that way.
    pub plain_http: bool,
    /// Further certificates to trust, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The logins at hand.
    pub credentials: Credentials,
}

/// A request before it is known whether it needs a login.
pub(super) struct Outgoing {
    /// What it is for, in words that follow "could not be reached to".
    pub(super) action: String,
    pub(super) method: Method,
    pub(super) url: Url,
    /// What a token must allow.
    pub(super) scopes: Vec<String>,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
}

/// What a request carries.
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    /// Can be sent only once: such a request is neither retried nor repeated after a login.
    Stream(Box<BlobStream>, u64),
}

pub(super) struct Connection {
    host: String,
    base: Url,
    http: Client,
    /// For realms; follows no redirects.
    http_direct: Client,
    credentials: Credentials,
    /// What earlier challenges taught us. Held only for a look or an insert.
    learnt: Mutex<Learnt>,
}

#[derive(Default)]
struct Learnt {
    /// The registry takes a name and password with every request.
    basic: Option<Login>,
    /// Tokens by the scopes they were asked for.
    tokens: HashMap<Vec<String>, String>,
}

impl Connection {
    pub(super) async fn open(host: &str, options: Options) -> Result<Self, ClientError> {
        let is_local = is_loopback(host);
        let certificates = match &options.ca_pem {
            Some(pem) => Certificate::from_pem_bundle(pem).map_err(ClientError::Certificates)?,
            None => Vec::new(),
        };
        let client = |policy| {
            let builder = Client::builder()
                .user_agent(concat!("docket/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIME_MAX)
                .read_timeout(SILENCE_TIME_MAX)
                .referer(false)
                .redirect(policy)
                .tls_certs_merge(certificates.clone());
            // A proxy cannot reach this machine's own loopback.
            let builder = if is_local { builder.no_proxy() } else { builder };
            builder.build().map_err(ClientError::Http)
        };
        let http = client(redirect::Policy::custom(follow_but_never_downgrade))?;
        let http_direct = client(redirect::Policy::none())?;
        let authority = if host == "docker.io" { DOCKER_HUB } else { host };
        let bad_host = || ClientError::Path { path: host.to_owned() };
        let address = |scheme: &str| {
            let url = Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| bad_host())?;
            // A host that brings a path or a user of its own would move every request.
            let is_bare =
                url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            if is_bare { Ok(url) } else { Err(bad_host()) }
        };
        let (plain, tls) = (address("http")?, address("https")?);
        let base = match (options.plain_http, is_local) {
            (true, _) => plain,
            (false, true) if speaks_http(&http_direct, &plain).await => plain,
            (false, _) => tls,
        };
        tracing::debug!(%base, "registry chosen");
        Ok(Self {
            host: host.to_owned(),
            base,
            http,
            http_direct,
            credentials: options.credentials,
            learnt: Mutex::default(),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The URL of a path below one repository.
    pub(super) fn repository_url(&self, repository: &docket_oci::RepositoryName, rest: &str) -> Url {
        let is_official = self.host == "docker.io" && !repository.as_str().contains('/');
        let prefix = if is_official { "library/" } else { "" };
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{prefix}{repository}/{rest}"));
        url
    }

    /// A URL that the registry sent us, absolute or relative to the one it answered for.
    pub(super) fn resolve(&self, action: &str, answered: &Url, target: &str) -> Result<Url, ClientError> {
        answered.join(target).map_err(|_| self.protocol(action, "it sent a location that is no url"))
    }

    /// Whether a URL belongs to the registry itself, so that a login may go there.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends a request and returns the answer, whatever its status: logs in once if asked to, and tries again what may pass.
    pub(super) async fn send(&self, call: Outgoing) -> Result<Response, ClientError> {
        let Outgoing { action, method, url, scopes, headers, payload } = call;
        let request = || {
            let request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
            match self.authorization(&url, &scopes) {
                Some(Authorization::Basic { username, password }) => request.basic_auth(username, Some(password)),
                Some(Authorization::Bearer(token)) => request.bearer_auth(token),
                None => request,
            }
        };
        let unreachable = |source| ClientError::Unreachable { host: self.host.clone(), action: action.clone(), source };
        let bytes = match payload {
            Payload::Stream(stream, size) => return self.send_stream(request(), stream, size, unreachable).await,
            Payload::Bytes(bytes) => Some(bytes),
            Payload::Empty => None,
        };
        let mut tries = 1;
        let mut has_logged_in = false;
        loop {
            let request = bytes.iter().fold(request(), |request, bytes| request.body(bytes.clone()));
            let response = request.send().await.map_err(&unreachable)?;
            let status = response.status();
            tracing::debug!(%method, %url, status = status.as_u16(), "registry answered");
            if status == StatusCode::UNAUTHORIZED && !has_logged_in && self.is_own(response.url()) {
                self.log_in(&action, &scopes, response.headers()).await?;
                has_logged_in = true;
            } else if is_worth_another_try(status) && tries < TRIES_MAX {
                tokio::time::sleep(pause(&response, tries)).await;
                tries += 1;
            } else {
                return Ok(response);
            }
        }
    }

    /// Turns an answer into an error if its status is not among those expected.
    pub(super) async fn expect(
        &self,
        action: &str,
        response: Response,
        statuses: &[u16],
    ) -> Result<Response, ClientError> {
        if statuses.contains(&response.status().as_u16()) {
            Ok(response)
        } else {
            Err(self.refusal(action, response).await)
        }
    }

    /// The error that an answer stands for.
    pub(super) async fn refusal(&self, action: &str, response: Response) -> ClientError {
        let status = response.status().as_u16();
        let body = read_bounded(response, &self.host, action, docket_oci::error::ERROR_BYTES_MAX as u64).await;
        let error = body.ok().and_then(|body| ErrorBody::parse(&body)).and_then(|body| body.errors.into_iter().next());
        let (code, message) = error.map(|error| (error.code, error.message.unwrap_or_default())).unwrap_or_default();
        ClientError::Refused { host: self.host.clone(), action: action.to_owned(), status, code, message }
    }

    pub(super) fn protocol(&self, action: &str, problem: &'static str) -> ClientError {
        ClientError::Protocol { host: self.host.clone(), action: action.to_owned(), problem }
    }

    /// A stream that fails makes the request fail with an error that hides why; the reason is kept aside and preferred.
    async fn send_stream(
        &self,
        request: reqwest::RequestBuilder,
        stream: Box<BlobStream>,
        size: u64,
        unreachable: impl Fn(reqwest::Error) -> ClientError,
    ) -> Result<Response, ClientError> {
        use futures_util::TryStreamExt;
        let reason = std::sync::Arc::new(Mutex::new(None));
        let kept = std::sync::Arc::clone(&reason);
        let stream = stream.map_err(move |error| {
            let text = error.to_string();
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            text
        });
        let sent = request.header(header::CONTENT_LENGTH, size).body(Body::wrap_stream(stream)).send().await;
        let reason = reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        match reason {
            Some(reason) => Err(reason),
            None => sent.map_err(unreachable),
        }
    }

    fn authorization(&self, url: &Url, scopes: &[String]) -> Option<Authorization> {
        if !self.is_own(url) {
            return None;
        }
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = learnt.tokens.get(scopes) {
            return Some(Authorization::Bearer(token.clone()));
        }
        match &learnt.basic {
            Some(Login::Basic { username, password }) => {
                Some(Authorization::Basic { username: username.clone(), password: password.clone() })
            }
            Some(Login::IdentityToken(_)) | None => None,
        }
    }

    async fn log_in(&self, action: &str, scopes: &[String], headers: &HeaderMap) -> Result<(), ClientError> {
        let required = || ClientError::LoginRequired { host: self.host.clone(), action: action.to_owned() };
        let login = self.credentials.for_host(&self.host).await?;
        let offers = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<_> = offers.flat_map(parse_challenges).collect();
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service.as_deref(), scope.as_deref())),
            Challenge::Basic => None,
        });
        if let Some((realm, service, named)) = bearer {
            let mut wanted = scopes.to_vec();
            let named = named.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty());
            wanted.extend(named.filter(|scope| !scopes.iter().any(|own| own == scope)).map(str::to_owned));
            let request = TokenRequest { host: &self.host, realm, service, scopes: &wanted, login: login.as_ref() };
            let token = fetch_token(&self.http_direct, &request).await?;
            self.learnt.lock().unwrap_or_else(PoisonError::into_inner).tokens.insert(scopes.to_vec(), token);
            return Ok(());
        }
        match login {
            Some(login @ Login::Basic { .. }) if challenges.contains(&Challenge::Basic) => {
                if self.base.scheme() != "https" && !is_loopback(&self.host) {
                    return Err(ClientError::InsecureLogin { host: self.host.clone(), realm: self.base.to_string() });
                }
                self.learnt.lock().unwrap_or_else(PoisonError::into_inner).basic = Some(login);
                Ok(())
            }
            Some(_) | None => Err(required()),
        }
    }
}

enum Authorization {
    Basic { username: String, password: String },
    Bearer(String),
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_bounded(
    mut response: Response,
    host: &str,
    action: &str,
    limit: u64,
) -> Result<Bytes, ClientError> {
    let too_much = || ClientError::TooMuch { place: host.to_owned(), what: "bytes in one answer", limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_much());
    }
    let mut body = BytesMut::new();
    let unreachable = |source| ClientError::Unreachable { host: host.to_owned(), action: action.to_owned(), source };
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(too_much());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// How often a request is sent at most.
const TRIES_MAX: u32 = 4;
/// The first pause between tries; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// The longest pause, also if the registry asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long to wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may be silent in the middle of an answer.
const SILENCE_TIME_MAX: Duration = Duration::from_mins(1);
/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;
/// Where Docker Hub's registry really is.
const DOCKER_HUB: &str = "registry-1.docker.io";

fn is_worth_another_try(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

fn pause(response: &Response, tries: u32) -> Duration {
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    asked.map_or(PAUSE_FIRST * 2_u32.pow(tries - 1), Duration::from_secs).min(PAUSE_MAX)
}

/// Blobs are often redirected to a bucket. Authorization stays behind (reqwest drops it across hosts), and https stays https.
fn follow_but_never_downgrade(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let came_by_https = attempt.previous().last().is_some_and(|previous| previous.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error("too many redirects")
    } else if came_by_https && attempt.url().scheme() != "https" {
        attempt.error("redirected from https to http")
    } else {
        attempt.follow()
    }
}

/// Whether a port of this machine answers http. Servers that speak TLS answer such a question with 400 or not at all.
async fn speaks_http(http: &Client, plain: &Url) -> bool {
    let mut url = plain.clone();
    url.set_path("/v2/");
    http.get(url).send().await.is_ok_and(|response| response.status() != StatusCode::BAD_REQUEST)
}
