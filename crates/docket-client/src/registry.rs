//! One registry: everything we ask of it and everything we send to it (OCI distribution spec, client side).

mod connection;
mod delete;
mod listing;
mod placed;
mod pull;
mod push;

pub use connection::Options;
pub(crate) use connection::read_bounded;
pub use listing::{LISTING_PAGES_MAX, REFERRERS_MAX, REPOSITORIES_MAX, TAGS_MAX};
pub use pull::FetchedManifest;
pub use push::{Pushed, Started, Upload};

use std::sync::Arc;

use bytes::Bytes;
use docket_oci::{Action, Call, RepositoryName};
use http::{HeaderMap, HeaderValue, Method, header};

use crate::error::ClientError;
use connection::{Connection, Outgoing, Payload};

/// A registry that can be asked. Clones share one connection pool and one login.
#[derive(Clone)]
pub struct Registry {
    connection: Arc<Connection>,
}

/// An answer to [`Registry::get`] or [`Registry::post`], whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The type of the body, without parameters; empty if none was sent.
    pub content_type: String,
    /// Where what was made can be found, as it was sent: often a path only.
    pub location: Option<String>,
    /// After how many seconds to ask again.
    pub retry_after_seconds: Option<u64>,
    /// The body, at most [`REPLY_BYTES_MAX`].
    pub body: Bytes,
}

impl Registry {
    /// Prepares to speak to a host, `name` or `name:port`.
    ///
    /// Registries are reached over https. A host on this machine is asked first which of the two it speaks, http before
    /// https; for any other, http takes `plain_http`. Nothing else is sent before the first call.
    pub async fn connect(host: &str, options: Options) -> Result<Self, ClientError> {
        Ok(Self { connection: Arc::new(Connection::open(host, options).await?) })
    }

    /// The host, as it was given.
    pub fn host(&self) -> &str {
        self.connection.host()
    }

    /// The address all paths are relative to: scheme, host and port.
    pub fn base_url(&self) -> &reqwest::Url {
        self.connection.base()
    }

    /// Reads any path of the host, such as a query or a SCITT resource. A status outside 200-299 is an answer, not an error.
    pub async fn get(&self, path: &str, accept: &str) -> Result<Reply, ClientError> {
        self.exchange(Method::GET, path, accept, None).await
    }

    /// Posts to any path of the host. A status outside 200-299 is an answer, not an error.
    pub async fn post(&self, path: &str, content_type: &str, accept: &str, body: Bytes) -> Result<Reply, ClientError> {
        self.exchange(Method::POST, path, accept, Some((content_type, body))).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Reply, ClientError> {
        let bad_path = || ClientError::Path { path: path.to_owned() };
        // A path such as `//other.example/x` would lead to another host.
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(bad_path());
        }
        let url = self.connection.base().join(path).map_err(|_| bad_path())?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().map_err(|_| bad_path())?);
        let payload = match body {
            None => Payload::Empty,
            Some((content_type, bytes)) => {
                headers.insert(header::CONTENT_TYPE, content_type.parse().map_err(|_| bad_path())?);
                Payload::Bytes(bytes)
            }
        };
        let scopes = scopes_of(&method, url.path());
        let action = format!("{} {}", if method == Method::POST { "post to" } else { "read" }, url.path());
        let response =
            self.connection.send(Outgoing { action: action.clone(), method, url, scopes, headers, payload }).await?;
        let text =
            |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
        Ok(Reply {
            status: response.status().as_u16(),
            content_type: docket_oci::media::essence(&content_type).to_owned(),
            location: text(header::LOCATION),
            retry_after_seconds: text(header::RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()),
            body: read_bounded(response, self.host(), &action, REPLY_BYTES_MAX).await?,
        })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("base", &self.connection.base().as_str()).finish_non_exhaustive()
    }
}

/// The largest body of a [`Reply`].
pub const REPLY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The right to read one repository, as token scopes spell it.
fn pull_scope(repository: &RepositoryName) -> Vec<String> {
    vec![format!("repository:{repository}:pull")]
}

/// The right to write to one repository, which always comes with reading it.
fn push_scope(repository: &RepositoryName) -> Vec<String> {
    vec![format!("repository:{repository}:pull,push")]
}

/// The right to list repositories.
const CATALOG_SCOPE: &str = "registry:catalog:*";

/// What a call of the registry API needs; paths outside of it need what their challenge will say.
fn scopes_of(method: &Method, path: &str) -> Vec<String> {
    let Ok(call) = Call::parse(method.as_str(), path, None) else { return Vec::new() };
    match (call.repository(), call.action()) {
        (Some(repository), Action::Pull) => pull_scope(repository),
        (Some(repository), Action::Push | Action::Claim) => push_scope(repository),
        (Some(repository), Action::Delete) => vec![format!("repository:{repository}:delete")],
        (_, Action::Catalog) => vec![CATALOG_SCOPE.to_owned()],
        (_, Action::Ping) | (None, Action::Pull | Action::Push | Action::Claim | Action::Delete) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
