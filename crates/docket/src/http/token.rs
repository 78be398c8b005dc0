//! The token server: gives tokens for passwords, in the two dialects that registry clients speak (docker's GET, and the
//! password grant of OAuth2 by POST).

use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use docket_engine::{Caller, Scope};
use docket_oci::query::Query;

use crate::http::auth::{BASIC_ONLY, WRONG_LOGIN, too_many_logins, unauthorized};
use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::registry::typed;
use crate::http::transfer::read;

/// `GET` and `POST /v2/_docket/token`.
pub(crate) async fn serve(context: &Context, request: Request) -> Response<Body> {
    answer(context, request).await.unwrap_or_else(Failure::oci)
}

async fn answer(context: &Context, request: Request) -> Result<Response<Body>, Failure> {
    let access = context.instance.access();
    if context.caller.token().is_some() {
        // Else a token could be made to live for ever.
        let refused = unauthorized("a token is not given for a token; show name and password, or nothing");
        return Err(refused.with(header::WWW_AUTHENTICATE, BASIC_ONLY));
    }
    let (parts, body) = request.into_parts();
    let (caller, asked) = match parts.method {
        Method::GET => (context.caller.clone(), parse(parts.uri.query().unwrap_or_default())?),
        Method::POST => by_form(context, &parts.headers, body).await?,
        _ => {
            let message = format!("this resource takes GET and POST, not {}", parts.method);
            let refused = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message);
            return Err(refused.with(header::ALLOW, "GET, POST"));
        }
    };
    let service = context.instance.service().as_str();
    if let Some(other) =
        asked.one("service").map_err(|failure| bad(failure.to_string()))?.filter(|other| *other != service)
    {
        return Err(bad(format!("this server gives tokens for service {service:?}, not for {other:?}")));
    }
    let scope = Scope::parse(asked.all("scope")).map_err(|failure| bad(failure.to_string()))?;
    let Some(issued) = access.issue(caller.account(), &scope) else {
        let message = "there are no access rules here, so nobody needs a token";
        return Err(Failure::new(StatusCode::NOT_FOUND, "UNSUPPORTED", message));
    };
    let issued_at = UNIX_EPOCH + Duration::from_secs(u64::try_from(issued.issued_at).unwrap_or(0));
    let reply = serde_json::json!({
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in,
        "issued_at": humantime::format_rfc3339_seconds(issued_at).to_string(),
    });
    let mut response = typed("application/json", reply.to_string().into_bytes());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// OAuth2 (RFC 6749 §4.3): name and password in a form.
async fn by_form(context: &Context, headers: &HeaderMap, body: Body) -> Result<(Caller, Query), Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if docket_oci::media::essence(content_type) != FORM {
        return Err(bad(format!("a token is asked for with a form ({FORM}), not with {content_type:?}")));
    }
    let body = read(body, FORM_BYTES_MAX).await;
    let body = body.map_err(|_| bad(format!("the form is broken, or larger than {FORM_BYTES_MAX} bytes")))?;
    let form = parse(std::str::from_utf8(&body).map_err(|_| bad("the form is no text".to_owned()))?)?;
    let one = |name| form.one(name).map_err(|failure| bad(failure.to_string()));
    match one("grant_type")? {
        Some("password") => {}
        Some("refresh_token") => {
            return Err(bad("refresh tokens are not given out here; log in with name and password".to_owned()));
        }
        _ => return Err(bad("grant_type must be password".to_owned())),
    }
    let (name, password) = (one("username")?.unwrap_or_default(), one("password")?.unwrap_or_default());
    let caller = context.instance.access().log_in(name, password).await.map_err(too_many_logins)?;
    let caller = caller.ok_or_else(|| unauthorized(WRONG_LOGIN).with(header::WWW_AUTHENTICATE, BASIC_ONLY))?;
    Ok((caller, form))
}

/// Forms and the queries of docker's clients write a space as a plus.
fn parse(text: &str) -> Result<Query, Failure> {
    Query::parse(&text.replace('+', "%20")).map_err(|failure| bad(failure.to_string()))
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
}

const FORM: &str = "application/x-www-form-urlencoded";
/// The largest form.
const FORM_BYTES_MAX: usize = 8 * 1024;
