//! Finds the login for a registry in docker's configuration files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::helper;
use crate::error::ClientError;

/// Who we are to one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password, or a token that is used as one.
        password: String,
    },
    /// A refresh token, good only for fetching other tokens.
    IdentityToken(String),
}

/// Secrets stay out of logs and panics.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => f.debug_struct("Basic").field("username", username).finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(…)"),
        }
    }
}

/// The logins that are at hand.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    fixed: Option<Login>,
    configs: Vec<Config>,
    helper_folder: Option<PathBuf>,
}

impl Credentials {
    /// No login at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// One name and password for every registry that asks.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        let login = Login::Basic { username: username.into(), password: password.into() };
        Self { fixed: Some(login), ..Self::default() }
    }

    /// Reads docker's `config.json` or podman's `auth.json`, several in the order of preference. Files that do not exist are skipped.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ClientError> {
        let configs =
            paths.iter().map(|path| Config::read(path)).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Self { configs, ..Self::default() })
    }

    /// Looks for credential helpers in this folder only.
    #[must_use]
    pub fn with_helper_folder(self, folder: PathBuf) -> Self {
        Self { helper_folder: Some(folder), ..self }
    }

    /// The login for a registry: from its own helper, from the common helper, from the file, whichever has one first.
    pub async fn for_host(&self, host: &str) -> Result<Option<Login>, ClientError> {
        if self.fixed.is_some() {
            return Ok(self.fixed.clone());
        }
        let server = if host == "docker.io" { DOCKER_HUB_KEY } else { host };
        for config in &self.configs {
            let own_helper =
                config.cred_helpers.iter().find(|(key, _)| host_of(key) == host_of(server)).map(|(_, helper)| helper);
            for helper in own_helper.into_iter().chain(&config.creds_store) {
                let login = helper::ask(helper, self.helper_folder.as_deref(), server).await?;
                if login.is_some() {
                    return Ok(login);
                }
            }
            let stored = config
                .auths
                .iter()
                .filter(|(key, _)| host_of(key) == host_of(server))
                .find_map(|(_, auth)| auth.login());
            if stored.is_some() {
                return Ok(stored);
            }
        }
        Ok(None)
    }
}

/// The largest configuration file that is read.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// The name under which docker keeps the login for Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Stored>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

/// One login as a configuration file keeps it; all fields may be missing where a helper keeps the rest.
#[derive(Clone, Default, Deserialize)]
struct Stored {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(…)")
    }
}

impl Config {
    fn read(path: &Path) -> Result<Option<Self>, ClientError> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(ClientError::file("read", path))?,
        };
        if text.len() as u64 > CONFIG_BYTES_MAX {
            let place = path.display().to_string();
            return Err(ClientError::TooMuch { place, what: "bytes", limit: CONFIG_BYTES_MAX });
        }
        let config = serde_json::from_slice(&text);
        config.map(Some).map_err(|source| ClientError::Config { path: path.to_owned(), source })
    }
}

impl Stored {
    fn login(&self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::IdentityToken(self.identitytoken.clone()));
        }
        if self.auth.is_empty() {
            let (username, password) = (self.username.clone(), self.password.clone());
            return (!username.is_empty()).then_some(Login::Basic { username, password });
        }
        let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        // Old versions of docker padded the password with zero bytes.
        let password = password.trim_end_matches('\0').to_owned();
        Some(Login::Basic { username: username.to_owned(), password })
    }
}

/// The host of a key, which may be a bare host or, from older versions, a URL.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
