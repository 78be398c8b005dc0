//! `[keys]`: where the service's private keys are, and what opens them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use docket_engine::{KeySources, Signer};
use serde::{Deserialize, Serialize};

use crate::passphrase;
use crate::signing_command::SigningCommand;

/// Where the service's private keys are, and what opens them. By default in `keys/` of the data folder, as `docket init` wrote
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// File whose one line opens key files that are encrypted, and encrypts new ones.
    pub passphrase_file: Option<PathBuf>,
    /// Program and arguments of a signing command for tree heads. Its key comes into force with `docket keys rotate receipt`.
    pub receipt_command: Vec<String>,
    /// The same for the service's own statements.
    pub statement_command: Vec<String>,
    /// How long a signing command may take for one signature (default `10s`). Registrations wait meanwhile.
    #[serde(with = "humantime_serde")]
    pub command_deadline: Duration,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            passphrase_file: None,
            receipt_command: Vec::new(),
            statement_command: Vec::new(),
            command_deadline: Duration::from_secs(10),
        }
    }
}

impl Keys {
    /// Reads the passphrase and asks the commands for their keys.
    pub(crate) async fn sources(&self) -> anyhow::Result<KeySources> {
        Ok(KeySources {
            passphrase: self.passphrase_file.as_deref().map(passphrase::read).transpose()?,
            receipt: self.signer(&self.receipt_command).await.context("keys.receipt_command")?,
            statement: self.signer(&self.statement_command).await.context("keys.statement_command")?,
        })
    }

    async fn signer(&self, words: &[String]) -> anyhow::Result<Option<Arc<dyn Signer>>> {
        if words.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(SigningCommand::ask(words.to_vec(), self.command_deadline).await?)))
    }
}
