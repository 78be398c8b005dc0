//! Whom the ledger admits: each admission, and its end, is an entry on it.

use docket_judge::policy::{AdmittedIssuer, Credential};

use crate::access::{Permit, Right};
use crate::effect::{Admission, AdmissionForm, Effect};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::ledger::{Candidate, Logged};
use crate::own::{log_subject, own_statement};

/// An admitted issuer.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct IssuerView {
    /// The operator's name for it.
    pub name: String,
    /// What its statements are known by.
    #[serde(flatten)]
    pub credential: CredentialView,
    /// The entry that admitted it.
    pub entry: u64,
}

/// What an issuer's statements are known by.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum CredentialView {
    /// A key.
    Key {
        /// Its identity.
        issuer: String,
        /// Thumbprint of its key (RFC 9679), lower hex.
        thumbprint: String,
        /// Its key, SPKI PEM.
        public_key: String,
    },
    /// Certificates.
    Certificates {
        /// The identities it may have: URIs, or with `*` at the end all that begin so.
        issuers: Vec<String>,
        /// Its roots, PEM.
        roots: String,
        /// SHA-256 of each root, lower hex.
        fingerprints: Vec<String>,
        /// The extended key usage that its certificates must have.
        #[serde(skip_serializing_if = "Option::is_none")]
        extended_key_usage: Option<String>,
    },
}

impl IssuerView {
    /// What it may call itself: one URI, or patterns.
    pub fn identities(&self) -> Vec<&str> {
        match &self.credential {
            CredentialView::Key { issuer, .. } => vec![issuer],
            CredentialView::Certificates { issuers, .. } => issuers.iter().map(String::as_str).collect(),
        }
    }

    /// The issuer as a policy admits it. The error says what is wrong.
    pub fn admitted(&self) -> Result<AdmittedIssuer, String> {
        let name = self.name.clone();
        let form = match self.credential.clone() {
            CredentialView::Key { issuer, public_key, .. } => AdmissionForm::Key { name, issuer, public_key },
            CredentialView::Certificates { issuers, roots, extended_key_usage, .. } => {
                AdmissionForm::Certificates { name, roots, issuers, extended_key_usage }
            }
        };
        let (name, credential) = form.read()?;
        Ok(AdmittedIssuer { name, credential, entry: self.entry })
    }
}

impl Instance {
    /// Admits an issuer by an entry on the ledger. The same admission again changes nothing. Nobody is admitted whose
    /// statements could be taken for those of another one, or of the service.
    pub async fn admit_issuer(
        &self,
        permit: &Permit,
        name: &str,
        credential: Credential,
    ) -> Result<IssuerView, EngineError> {
        permit.scope(Right::Admin)?;
        check_name(name)?;
        self.check_stranger(&credential)?;
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            if let Some(known) = policy.policy.conflict(name, &credential) {
                if known.name == name && known.credential == credential {
                    return Ok(view(known));
                }
                return Err(EngineError::IssuerExists(known.name.clone()));
            }
            if policy.policy.issuers().len() >= ISSUERS_MAX {
                return Err(EngineError::TooManyIssuers);
            }
            let admission = Admission { name: name.to_owned(), credential: credential.clone() };
            if let Some(entry) = self.log_effect(Effect::AdmitIssuer(admission), policy.entry).await? {
                return Ok(view(&AdmittedIssuer { name: name.to_owned(), credential, entry }));
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Ends the admission of an issuer by an entry on the ledger: its index. What the issuer registered stays.
    pub async fn remove_issuer(&self, permit: &Permit, name: &str) -> Result<u64, EngineError> {
        permit.scope(Right::Admin)?;
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            if !policy.policy.issuers().iter().any(|known| known.name == name) {
                return Err(EngineError::IssuerUnknown(name.to_owned()));
            }
            let effect = Effect::RemoveIssuer { name: name.to_owned() };
            if let Some(entry) = self.log_effect(effect, policy.entry).await? {
                return Ok(entry);
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Everyone the ledger admits.
    pub fn issuers(&self) -> Vec<IssuerView> {
        self.ledger.policy().policy.issuers().into_iter().map(view).collect()
    }

    /// Logs a change of what is in force: its index, or `None` if what was in force has changed since `policy_entry`.
    pub(crate) async fn log_effect(&self, effect: Effect, policy_entry: u64) -> Result<Option<u64>, EngineError> {
        let (content_type, payload) = effect.payload().expect("callers log changes");
        let now = self.clock.now();
        let (identity, keys) = (self.ledger.identity(), self.ledger.keys());
        let statement = own_statement(identity, &keys, log_subject(identity)?, content_type, &payload, now).await?;
        let candidate = Candidate { effect, ..Candidate::own(statement, now) };
        match self.ledger.log(candidate, policy_entry).await? {
            Logged::Done { index, .. } => Ok(Some(index)),
            Logged::DecideAgain => Ok(None),
        }
    }

    /// Refuses an issuer who could be taken for the service.
    fn check_stranger(&self, credential: &Credential) -> Result<(), EngineError> {
        let identity = self.ledger.identity();
        let has_own_key = match credential {
            Credential::Key { key, .. } => self.ledger.keys().history.contains(key),
            Credential::Certificates(_) => false,
        };
        if has_own_key || credential.patterns().iter().any(|pattern| pattern.covers(&identity.service)) {
            return Err(EngineError::IssuerIsService(identity.service.clone()));
        }
        Ok(())
    }
}

fn view(issuer: &AdmittedIssuer) -> IssuerView {
    let credential = match &issuer.credential {
        Credential::Key { issuer, key } => CredentialView::Key {
            issuer: issuer.to_string(),
            thumbprint: key.thumbprint().to_string(),
            public_key: key.to_spki_pem(),
        },
        Credential::Certificates(certified) => CredentialView::Certificates {
            issuers: certified.patterns().iter().map(ToString::to_string).collect(),
            roots: certified.roots().to_pem(),
            fingerprints: certified.roots().certificates().iter().map(|root| root.fingerprint().to_string()).collect(),
            extended_key_usage: certified.purpose().map(str::to_owned),
        },
    };
    IssuerView { name: issuer.name.clone(), credential, entry: issuer.entry }
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(EngineError::IssuerName(name.to_owned()));
    }
    Ok(())
}

/// Issuers that may be admitted at once; every registration looks among them.
const ISSUERS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 64;
const ATTEMPTS_MAX: usize = 4;
