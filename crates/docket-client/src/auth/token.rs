//! Fetches bearer tokens at a registry's realm (registry token authentication, as docker and OAuth2 define it).

use reqwest::{Client, Url};
use serde::Deserialize;

use super::{Login, is_loopback};
use crate::error::ClientError;
use crate::registry::read_bounded;

/// What is needed to ask for a token.
pub(crate) struct TokenRequest<'a> {
    /// The registry that wants the token.
    pub(crate) host: &'a str,
    /// The realm of its challenge.
    pub(crate) realm: &'a str,
    /// The service of its challenge.
    pub(crate) service: Option<&'a str>,
    /// What the token should allow, each `repository:<name>:<actions>`.
    pub(crate) scopes: &'a [String],
    /// Who asks; nobody gets a token for public things.
    pub(crate) login: Option<&'a Login>,
}

/// Asks the realm. `http` must not follow redirects: they would carry the login to a place the registry did not name.
///
/// A login goes only over https, or to this machine if the registry itself is on it. A token that allows less than asked
/// is no error here; the registry will say so.
pub(crate) async fn fetch_token(http: &Client, request: &TokenRequest<'_>) -> Result<String, ClientError> {
    let TokenRequest { host, realm, login, .. } = *request;
    let action = || "give out a token".to_owned();
    let problem = |problem| ClientError::Protocol { host: host.to_owned(), action: action(), problem };
    let url = Url::parse(realm).map_err(|_| problem("its realm is no url"))?;
    let is_private = url.scheme() == "https" || (is_loopback(url.host_str().unwrap_or_default()) && is_loopback(host));
    if login.is_some() && !is_private {
        return Err(ClientError::InsecureLogin { host: host.to_owned(), realm: realm.to_owned() });
    }
    let scopes = request.scopes.iter().map(|scope| ("scope", scope.as_str()));
    let service = request.service.map(|service| ("service", service));
    let call = match login {
        Some(Login::IdentityToken(token)) => {
            let scope = request.scopes.join(" ");
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT_ID),
                ("refresh_token", token),
                ("scope", &scope),
            ];
            http.post(url)
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encode(form.into_iter().chain(service)))
        }
        Some(Login::Basic { username, password }) => {
            http.get(with_query(url, service.into_iter().chain(scopes))).basic_auth(username, Some(password))
        }
        None => http.get(with_query(url, service.into_iter().chain(scopes))),
    };
    let unreachable = |source| ClientError::Unreachable { host: realm.to_owned(), action: action(), source };
    let response = call.send().await.map_err(unreachable)?;
    let status = response.status();
    let body = read_bounded(response, realm, &action(), TOKEN_REPLY_BYTES_MAX).await?;
    if matches!(status.as_u16(), 400 | 401 | 403) {
        return Err(ClientError::LoginRequired { host: host.to_owned(), action: action() });
    }
    if !status.is_success() {
        let (code, message) = (String::new(), "no token".to_owned());
        return Err(ClientError::Refused {
            host: realm.to_owned(),
            action: action(),
            status: status.as_u16(),
            code,
            message,
        });
    }
    let reply: TokenReply = serde_json::from_slice(&body).map_err(|_| problem("its realm answers with no token"))?;
    let token = [reply.token, reply.access_token].into_iter().flatten().find(|token| !token.is_empty());
    token.ok_or_else(|| problem("its realm answers with no token"))
}

/// The largest answer of a realm.
pub const TOKEN_REPLY_BYTES_MAX: u64 = 64 * 1024;
/// How we name ourselves where OAuth2 asks for it.
const CLIENT_ID: &str = "docket";

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
}

fn with_query<'a>(mut url: Url, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Url {
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.map(|(key, value)| format!("{key}={}", docket_oci::query::escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}
