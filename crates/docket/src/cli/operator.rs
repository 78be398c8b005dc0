//! Commands with `--data`: through the admin socket of a running server, else on the folder itself.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::body::Body;
use docket_engine::{Account, Caller, Instance, Permit, Right};
use docket_oci::RepositoryName;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::cli::serve::options;
use crate::config::Config;
use crate::http::DATA_HEADER;

/// Who does the operator's work.
pub(crate) enum Operator {
    /// A running server, and the data folder that is meant: a server of another one refuses.
    Server { stream: UnixStream, data: PathBuf },
    /// This process.
    Here(Box<Instance>),
}

impl Operator {
    /// Finds a running server, else opens the folder.
    pub(crate) async fn of(data: &Path) -> anyhow::Result<Self> {
        let config = Config::read(None, Some(data), None)?;
        if let Ok(stream) = UnixStream::connect(&config.admin_socket).await {
            let data = config.data.canonicalize().with_context(|| format!("there is no {}", config.data.display()))?;
            return Ok(Self::Server { stream, data });
        }
        Ok(Self::Here(Box::new(Instance::open(&config.data, options(&config).await?).await?)))
    }

    /// Has the server do it by a request, or does it here and closes the folder.
    pub(crate) async fn ask<T: DeserializeOwned>(
        self,
        (method, path, body): (&str, &str, Vec<u8>),
        here: impl AsyncFnOnce(&Instance) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            Self::Server { stream, data } => call((stream, data), method, path, body).await,
            Self::Here(instance) => {
                let done = here(&instance).await;
                instance.close().await;
                done
            }
        }
    }
}

/// The operator's permit on a folder that this process holds.
pub(crate) fn permit(instance: &Instance) -> anyhow::Result<Permit> {
    Ok(instance.access().decide(&Caller::new(Account::Operator), Right::Admin, None)?)
}

/// The same for one repository.
pub(crate) fn permit_for(instance: &Instance, right: Right, repository: &RepositoryName) -> anyhow::Result<Permit> {
    Ok(instance.access().decide(&Caller::new(Account::Operator), right, Some(repository))?)
}

/// Sends one request over the admin socket and reads the JSON answer.
pub(crate) async fn call<T: DeserializeOwned>(
    (stream, data): (UnixStream, PathBuf),
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<T> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header(DATA_HEADER, data.as_os_str().as_bytes())
        .body(Body::from(body))?;
    let response = sender.send_request(request).await.context("the server did not answer on its admin socket")?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    let _ = connection.await;
    if status.is_success() {
        return serde_json::from_slice(&body).context("the server's answer is not understood");
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    anyhow::bail!("{}", problem["detail"].as_str().unwrap_or("the server refused without a reason"))
}
