//! Who calls: what stands in the Authorization header, and how a client learns what to put there.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::http::uri::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_engine::{Access, Account, Caller, Denied, DeniedBy, Permit, Right, TooManyLogins, needed_scope};

use crate::http::context::Context;
use crate::http::failure::Failure;

/// What a caller shows.
enum Shown {
    Password { name: String, password: String },
    Token(String),
}

/// Under which URL a caller knows this server.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownAs {
    /// As configured; else as the caller wrote it.
    external_url: Option<Arc<str>>,
    host: Option<Authority>,
    is_secure: bool,
}

impl KnownAs {
    pub(crate) fn of(request: &Request, is_secure: bool, external_url: Option<&Arc<str>>) -> Self {
        let written = request.headers().get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let written = written.filter(|host| !host.as_str().contains('@'));
        Self {
            external_url: external_url.cloned(),
            host: written.or_else(|| request.uri().authority().cloned()),
            is_secure,
        }
    }

    fn url(&self) -> String {
        if let Some(url) = &self.external_url {
            return url.to_string();
        }
        let scheme = if self.is_secure { "https" } else { "http" };
        let host = self.host.as_ref().map_or("localhost", Authority::as_str);
        format!("{scheme}://{host}")
    }
}

/// Puts the caller into the context, where there are access rules. Whoever shows something that is wrong is refused, also
/// where nothing would have been asked for: a client must not believe that it is logged in.
pub(crate) async fn identify(context: &mut Context, headers: &HeaderMap, path: &str) -> Result<(), Failure> {
    if !context.instance.access().has_rules() {
        return Ok(());
    }
    match caller(context.instance.access(), headers).await {
        Ok(caller) => {
            context.caller = caller;
            Ok(())
        }
        Err(refused) => {
            tracing::info!(request = %context.request_id, "login refused");
            let offer = if path == TOKEN_PATH { BASIC_ONLY.to_owned() } else { challenge(context, None, None) };
            Err(refused.with(header::WWW_AUTHENTICATE, &offer))
        }
    }
}

impl Context {
    /// Answers a client that asks whether it may in at all. Docker-style clients decide by this answer alone whether they
    /// log in, so nobody is let in without having shown something, be it a token for anonymous callers.
    pub(crate) fn welcome(&self) -> Result<(), Failure> {
        let access = self.instance.access();
        if access.has_expired(&self.caller) {
            return Err(unauthorized("the token has expired; fetch a new one").challenging(
                self,
                Some("invalid_token"),
                None,
            ));
        }
        if access.has_rules() && self.is_unknown() {
            return Err(unauthorized("log in, or fetch a token for anonymous callers").challenging(self, None, None));
        }
        Ok(())
    }

    /// Asks the rules for a listing of what the caller may pull. Somebody unknown gets it only if it is complete: a client
    /// that has a login it did not send would take a part for the whole.
    pub(crate) fn listing(&self) -> Result<Permit, Failure> {
        let permit = self.permit(Right::Pull, None).map_err(|failure| Failure::of(&failure, self))?;
        let access = self.instance.access();
        if self.is_unknown() && !access.shows_everything(self.caller.account()) {
            let message = "what is listed depends on who asks: log in, or fetch a token for anonymous callers";
            return Err(unauthorized(message).challenging(self, None, Some(&needed_scope(Right::Pull, None))));
        }
        Ok(permit)
    }

    fn is_unknown(&self) -> bool {
        *self.caller.account() == Account::Anonymous && self.caller.token().is_none()
    }
}

impl Failure {
    /// A caller who may not. Anonymous callers are asked to log in whatever there is or is not; with a token, clients
    /// fetch another one on 401 and give up on 403.
    pub(crate) fn denied(denied: &Denied, context: &Context) -> Self {
        let has_token = context.caller.token().is_some();
        let error = match (denied.by, &denied.account) {
            (DeniedBy::Expired, _) => Some("invalid_token"),
            (DeniedBy::Scope, _) => Some("insufficient_scope"),
            (DeniedBy::Rules, Account::Anonymous) => has_token.then_some("insufficient_scope"),
            (DeniedBy::Rules, Account::Named(_) | Account::Loopback | Account::Operator) => {
                return Self::new(StatusCode::FORBIDDEN, "DENIED", denied.to_string());
            }
        };
        let scope = needed_scope(denied.right, denied.repository.as_ref());
        unauthorized(&denied.to_string()).challenging(context, error, Some(&scope))
    }

    fn challenging(self, context: &Context, error: Option<&str>, scope: Option<&str>) -> Self {
        self.with(header::WWW_AUTHENTICATE, &challenge(context, error, scope))
    }
}

pub(crate) fn unauthorized(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).titled("Unauthorized")
}

pub(crate) fn too_many_logins(failure: TooManyLogins) -> Failure {
    let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", failure.to_string());
    failure.with(header::RETRY_AFTER, "1")
}

/// Where a client logs in, and for what. Basic is taken everywhere but offered nowhere: a client that is offered both
/// may send a password with every request.
fn challenge(context: &Context, error: Option<&str>, scope: Option<&str>) -> String {
    let service = context.instance.service();
    let mut text = format!("Bearer realm=\"{}{TOKEN_PATH}\",service=\"{service}\"", context.known_as.url());
    for (name, value) in [("scope", scope), ("error", error)] {
        text.extend(value.map(|value| format!(",{name}=\"{value}\"")));
    }
    text
}

async fn caller(access: &Access, headers: &HeaderMap) -> Result<Caller, Failure> {
    match shown(headers).map_err(unauthorized)? {
        None => Ok(Caller::new(Account::Anonymous)),
        Some(Shown::Token(token)) => access.recognise(&token).map_err(|refused| unauthorized(&refused.to_string())),
        Some(Shown::Password { name, password }) => {
            let caller = access.log_in(&name, &password).await.map_err(too_many_logins)?;
            caller.ok_or_else(|| unauthorized(WRONG_LOGIN))
        }
    }
}

/// Reads the Authorization header (RFC 7617, RFC 6750).
fn shown(headers: &HeaderMap) -> Result<Option<Shown>, &'static str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("there are two Authorization headers; send one");
    }
    let text = value.to_str().ok().filter(|text| text.len() <= AUTHORIZATION_BYTES_MAX);
    let text = text.ok_or("the Authorization header is too long, or no plain text")?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Shown::Token(rest.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("the Authorization header is of an unknown kind; use Basic or Bearer");
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (name, password) = decoded
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or("the Authorization header is broken: Basic takes name:password in Base64")?;
    Ok(Some(Shown::Password { name: name.to_owned(), password: password.to_owned() }))
}

/// Below `/v2/`, so that it is reached wherever the registry is.
pub(crate) const TOKEN_PATH: &str = "/v2/_docket/token";
/// Which of the two is wrong is not said.
pub(crate) const WRONG_LOGIN: &str = "the name or the password is wrong";
/// Where tokens are given out, a token is of no use.
pub(crate) const BASIC_ONLY: &str = "Basic realm=\"docket\"";
/// The longest Authorization header: a token, and its scheme.
const AUTHORIZATION_BYTES_MAX: usize = docket_engine::TOKEN_BYTES_MAX + 16;
