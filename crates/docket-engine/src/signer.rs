//! Signing without knowing where the private key is: in this process, or wherever a signing command keeps it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::key::{PublicKey, SigningKey, Thumbprint};

/// Makes ES256 signatures with one key.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public half of the key.
    fn public(&self) -> &PublicKey;

    /// Signs `message`: r and s, 64 bytes. Whoever asks does not use the answer before it was verified. A caller that goes
    /// away leaves nothing behind.
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;

    /// The key itself, where it is in this process: it signs without waiting, and its signatures need no check.
    fn held(&self) -> Option<&SigningKey> {
        None
    }

    /// The key's name, if its private half is nowhere to be found.
    fn absent(&self) -> Option<Thumbprint> {
        None
    }
}

/// A signature on its way.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerError>> + Send + 'a>>;

/// Why there is no signature. Nothing was changed; the same may be asked again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignerError {
    /// Environment: the signing command could not be asked, or gave no answer.
    #[error("the signing command {command:?} failed: {why}")]
    Command {
        /// Its first word.
        command: String,
        /// What happened.
        why: String,
    },
    /// Environment: what came back is no signature of the key that was asked for.
    #[error("what was given as a signature of the key {0} is none")]
    Invalid(Thumbprint),
    /// Operator: the key in force was not found at the start.
    #[error("the private half of the key {0} is not here")]
    Absent(Thumbprint),
}

impl Signer for SigningKey {
    fn public(&self) -> &PublicKey {
        Self::public(self)
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(std::future::ready(Ok(Self::sign(self, message))))
    }

    fn held(&self) -> Option<&SigningKey> {
        Some(self)
    }
}

/// Signs and verifies: no signature goes from here into a row or to a client that the public key does not confirm.
pub(crate) async fn signature(signer: &Arc<dyn Signer>, message: &[u8]) -> Result<Vec<u8>, SignerError> {
    let signature = signer.sign(message).await?;
    if signer.public().verify(SIGNS_WITH, message, &signature) {
        Ok(signature)
    } else {
        Err(SignerError::Invalid(signer.public().thumbprint()))
    }
}

/// What keys of the service sign with, whatever its issuers use.
pub const SIGNS_WITH: SignatureAlgorithm = SignatureAlgorithm::Es256;
