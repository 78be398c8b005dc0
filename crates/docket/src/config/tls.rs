//! `[tls]`: whether the public address speaks TLS.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Certificate and key. With both, the address answers HTTPS alone, in HTTP/2 and HTTP/1.1; with neither, plain HTTP/1.1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file with the certificate and those that lead to its root, the server's own first. Read again at a reload.
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Both files, or none.
    pub(crate) fn files(&self) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
            (None, None) => Ok(None),
            (Some(_), None) => anyhow::bail!("tls.certificate is set and tls.key is not; TLS takes both"),
            (None, Some(_)) => anyhow::bail!("tls.key is set and tls.certificate is not; TLS takes both"),
        }
    }
}
