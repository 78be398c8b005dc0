//! TLS of the public address: certificate and key from files, read again when the operator says so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate in use. Connections that stand keep the one they began with.
#[derive(Debug)]
pub(crate) struct Tls(RwLock<Arc<ServerConfig>>);

impl Tls {
    /// Reads certificate and key.
    pub(crate) fn read((certificate, key): &(PathBuf, PathBuf)) -> anyhow::Result<Self> {
        Ok(Self(RwLock::new(read(certificate, key)?)))
    }

    /// Goes on with what was read anew.
    pub(crate) fn replace(&self, fresh: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh.in_use();
    }

    /// What the next connection is accepted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.in_use().into()
    }

    fn in_use(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain =
        chain.with_context(|| format!("tls.certificate {} is no PEM file of certificates", certificate.display()))?;
    anyhow::ensure!(!chain.is_empty(), "tls.certificate {} holds no certificate", certificate.display());
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.with_context(|| format!("tls.key {} is no PEM file with a private key", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .context("the crypto library speaks no TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, private);
    let mut config = config.with_context(|| {
        format!("the key {} does not belong to the certificate {}", key.display(), certificate.display())
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
