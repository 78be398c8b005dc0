//! The server's configuration: one TOML file, every key also as `DOCKET_…` in the environment, flags above both.
//!
//! A section of the file is a struct in a file of its own below `config/`; its field docs are the reference.

mod access;
mod gc;
mod keys;
mod limits;
mod observe;
mod ops;
mod registry;
mod storage;
mod tls;
mod uploads;
mod witness;

pub(crate) use access::Access;
pub(crate) use gc::Gc;
pub(crate) use keys::Keys;
pub(crate) use limits::Limits;
pub(crate) use observe::Observe;
pub(crate) use ops::Ops;
pub(crate) use registry::Registry;
pub(crate) use uploads::Uploads;
pub(crate) use witness::{Witness, read_policy};

use storage::Storage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_engine::CrashPoint;
use docket_store::BlobStorage;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use tls::Tls;

/// What was written, checked only for its shape; [`Config`] says what each key is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    data: PathBuf,
    listen: String,
    admin_socket: String,
    log: String,
    access_log: AccessLog,
    external_url: String,
    trusted_proxies: Vec<IpNet>,
    tls: Tls,
    limits: Limits,
    gc: Gc,
    ops: ops::Written,
    registry: Registry,
    observe: Observe,
    uploads: Uploads,
    storage: Storage,
    witness: witness::Written,
    keys: Keys,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<Access>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./docket-data"),
            listen: "127.0.0.1:5000".to_owned(),
            admin_socket: String::new(),
            log: "info".to_owned(),
            access_log: AccessLog::Changes,
            external_url: String::new(),
            trusted_proxies: Vec::new(),
            tls: Tls::default(),
            limits: Limits::default(),
            gc: Gc::default(),
            ops: ops::Written::default(),
            registry: Registry::default(),
            observe: Observe::default(),
            uploads: Uploads::default(),
            storage: Storage::default(),
            witness: witness::Written::default(),
            keys: Keys::default(),
            access: None,
        }
    }
}

/// Which requests get a line in the log. The default leaves out reads: a busy registry answers thousands a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccessLog {
    None,
    Changes,
    All,
}

/// A configuration that can be served.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Data folder (`data`, `DOCKET_DATA`, default `./docket-data`).
    pub data: PathBuf,
    /// Address to listen on (`listen`, `DOCKET_LISTEN`, default `127.0.0.1:5000`). Only loopback, as long as there are no access rules.
    pub listen: SocketAddr,
    /// Admin socket (`admin_socket`, `DOCKET_ADMIN_SOCKET`, default `admin.sock` in the data folder).
    pub admin_socket: PathBuf,
    /// Log filter (`log`, `DOCKET_LOG`, default `info`).
    pub log: String,
    /// Which requests get a line in the log (`access_log`, `DOCKET_ACCESS_LOG`: `none`, `changes`, `all`; default `changes`).
    pub access_log: AccessLog,
    /// URL under which clients know the service, for what must be absolute (`external_url`, `DOCKET_EXTERNAL_URL`, default: what
    /// the request names). Locations are relative and need none.
    pub external_url: Option<String>,
    /// Networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed (`trusted_proxies`, default none).
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate and key of the public address (`[tls]`).
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What one client may take (`[limits]`).
    pub limits: Limits,
    /// When the server collects garbage (`[gc]`).
    pub gc: Gc,
    /// How the server is watched and stopped (`[ops]`).
    pub ops: Ops,
    /// What the spec leaves to the operator (`[registry]`).
    pub registry: Registry,
    /// What the service says that it saw (`[observe]`).
    pub observe: Observe,
    /// Blobs on their way in (`[uploads]`).
    pub uploads: Uploads,
    /// Where blobs are kept (`[storage]`).
    pub storage: BlobStorage,
    /// Who watches the log (`[witness]`).
    pub witness: Witness,
    /// Where the service's private keys are (`[keys]`).
    pub keys: Keys,
    /// Every key, sections as `section.key`, with its value: what a reload compares.
    pub values: BTreeMap<String, serde_json::Value>,
    /// Who may do what (`[access]`); without it, anyone on loopback may push.
    pub access: Option<Access>,
}

impl Config {
    /// Reads file, environment and flags, in rising order of precedence. A key of a section has two underscores in the
    /// environment: `tls.key` is `DOCKET_TLS__KEY`.
    pub(crate) fn read(file: Option<&Path>, data: Option<&Path>, listen: Option<&str>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Written::default()));
        if let Some(file) = file {
            anyhow::ensure!(file.is_file(), "there is no configuration file {}", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        // Other programs may use the prefix too, so only what can be meant for this file is read.
        let known = |name: &figment::value::UncasedStr| {
            TOP_LEVEL
                .iter()
                .any(|key| name.as_str().split("__").next().is_some_and(|first| first.eq_ignore_ascii_case(key)))
        };
        figment = figment.merge(Env::prefixed("DOCKET_").filter(known).split("__"));
        if let Some(data) = data {
            figment = figment.merge(Serialized::default("data", data));
        }
        if let Some(listen) = listen {
            figment = figment.merge(Serialized::default("listen", listen));
        }
        let written: Written = figment.extract().context("the configuration is not understood")?;
        let listen: SocketAddr = written.listen.parse().with_context(|| {
            format!("listen = {:?} is no address with a port, such as 127.0.0.1:5000", written.listen)
        })?;
        anyhow::ensure!(
            listen.ip().is_loopback() || written.access.is_some(),
            "listen = {listen} is reachable from other machines, and there are no access rules: \
             anyone there could push; listen on 127.0.0.1 or [::1], or configure [access]"
        );
        let admin_socket = match written.admin_socket.as_str() {
            "" => written.data.join("admin.sock"),
            path => PathBuf::from(path),
        };
        let values = flat(&serde_json::to_value(&written)?);
        let external_url = Some(written.external_url).filter(|url| !url.is_empty());
        if let Some(url) = &external_url {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            anyhow::ensure!(
                host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#'])),
                "external_url = {url:?} must be https:// or http:// and a host, with a port if it needs one, and no path"
            );
        }
        Ok(Self {
            data: written.data,
            listen,
            admin_socket,
            log: written.log,
            access_log: written.access_log,
            external_url,
            trusted_proxies: written.trusted_proxies,
            tls: written.tls.files()?,
            limits: written.limits,
            gc: written.gc,
            ops: written.ops.check()?,
            registry: written.registry,
            observe: written.observe,
            uploads: written.uploads.check()?,
            storage: written.storage.place()?,
            witness: written.witness.read()?,
            keys: written.keys,
            access: written.access,
            values,
        })
    }
}

/// The keys of a document and its sections.
fn flat(document: &serde_json::Value) -> BTreeMap<String, serde_json::Value> {
    let mut values = BTreeMap::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(section) => values.extend(section.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone()))),
            None => drop(values.insert(name.clone(), value.clone())),
        }
    }
    values
}

/// Keys and sections of the file.
const TOP_LEVEL: &[&str] = &[
    "data",
    "listen",
    "admin_socket",
    "log",
    "access_log",
    "external_url",
    "trusted_proxies",
    "tls",
    "limits",
    "gc",
    "ops",
    "registry",
    "observe",
    "uploads",
    "storage",
    "witness",
    "keys",
    "access",
];

/// Where tests of recovery make the process die (`DOCKET_CRASH_AT`). Builds without debug assertions have no such door.
pub(crate) fn crash_point() -> anyhow::Result<Option<CrashPoint>> {
    if !cfg!(debug_assertions) {
        return Ok(None);
    }
    match std::env::var("DOCKET_CRASH_AT") {
        Ok(name) => Ok(Some(name.parse()?)),
        Err(_) => Ok(None),
    }
}
