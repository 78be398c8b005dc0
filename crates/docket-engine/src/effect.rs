//! What an entry of the service's own changes: written into its payload, read back from it, applied to what is in force.
//!
//! Nothing else is stored about issuers and policy: what is in force is what these entries add up to, in the order of the ledger.

use std::sync::Arc;

use docket_judge::policy::{AdmittedIssuer, Credential, Module, Policy, Rules};
use docket_proof::certified::CertifiedIssuer;
use docket_proof::key::PublicKey;
use docket_proof::statement::{Content, SignedStatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::keys::KEY_TYPE;

/// Content type of an entry that admits an issuer: by its key, `{"name", "issuer", "public_key"}`, the key as SPKI PEM; or by
/// certificate, `{"name", "roots", "issuers"}` and perhaps `"extended_key_usage"`: PEM certificates, the patterns of its
/// `iss`, an OID.
pub const ISSUER_TYPE: &str = "application/vnd.docket.issuer.v1+json";
/// Content type of an entry that ends an admission: `{"name"}`.
pub const ISSUER_REMOVAL_TYPE: &str = "application/vnd.docket.issuer-removal.v1+json";

/// Content type of an entry that sets the registration policy: `{"modules": [{"name", "text"}]}`, the texts in Rego.
pub const POLICY_TYPE: &str = "application/vnd.docket.policy.v1+json";

/// Content types of the entries that change what is in force and add up. Of policies the newest counts.
pub(crate) const EFFECT_TYPES: [&str; 3] = [ISSUER_TYPE, ISSUER_REMOVAL_TYPE, KEY_TYPE];

/// What an entry changes in force, from the next entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: every statement of others, and most of the service's own.
    None,
    /// An issuer is admitted.
    AdmitIssuer(Admission),
    /// The issuer that the operator calls so is admitted no more.
    RemoveIssuer { name: String },
    /// A key of the service is replaced; `keys` knows which. Whatever was decided or signed before is decided again.
    ReplaceKey,
    /// Statements are decided by these rules.
    SetPolicy(Arc<Rules>),
}

/// An issuer that an entry admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    pub name: String,
    pub credential: Credential,
}

impl Effect {
    /// Content type and payload of the entry; `None` where there is nothing to say.
    pub(crate) fn payload(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::None | Self::ReplaceKey => None,
            Self::AdmitIssuer(Admission { name, credential }) => {
                let form = serde_json::to_value(AdmissionForm::of(name, credential));
                Some((ISSUER_TYPE, form.expect("texts are JSON")))
            }
            Self::RemoveIssuer { name } => Some((ISSUER_REMOVAL_TYPE, json!({ "name": name }))),
            Self::SetPolicy(rules) => Some((POLICY_TYPE, json!({ "modules": rules.modules() }))),
        }
    }

    /// What a statement of the service's own changes. The error says what is wrong with its payload.
    pub(crate) fn of(statement: &SignedStatement) -> Result<Self, String> {
        let Content::Payload { media_type, bytes } = statement.content() else { return Ok(Self::None) };
        match media_type.as_str() {
            ISSUER_TYPE => {
                let form: AdmissionForm = read(bytes)?;
                let (name, credential) = form.read()?;
                Ok(Self::AdmitIssuer(Admission { name, credential }))
            }
            ISSUER_REMOVAL_TYPE => {
                let RemovalPayload { name } = read(bytes)?;
                Ok(Self::RemoveIssuer { name })
            }
            KEY_TYPE => Ok(Self::ReplaceKey),
            POLICY_TYPE => Ok(Self::SetPolicy(Arc::new(Rules::of_ledger(modules(bytes)?)))),
            _ => Ok(Self::None),
        }
    }

    /// Changes what is in force; `entry` is the index of the entry that says so.
    pub(crate) fn apply(&self, policy: &mut Policy, entry: u64) {
        match self {
            Self::None | Self::ReplaceKey => {}
            Self::AdmitIssuer(Admission { name, credential }) => {
                policy.admit(AdmittedIssuer { name: name.clone(), credential: credential.clone(), entry });
            }
            Self::RemoveIssuer { name } => drop(policy.remove(name)),
            Self::SetPolicy(rules) => policy.set_rules(Arc::clone(rules), entry),
        }
    }
}

/// Whom an operator admits, in the form that its entry on the ledger has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum AdmissionForm {
    /// A key.
    Key {
        /// The operator's name for the issuer.
        name: String,
        /// Its `iss`.
        issuer: String,
        /// Its key, SPKI PEM.
        public_key: String,
    },
    /// Certificates.
    Certificates {
        /// The operator's name for the issuer.
        name: String,
        /// PEM certificates.
        roots: String,
        /// Patterns of its `iss`.
        issuers: Vec<String>,
        /// The OID that its certificates must have.
        #[serde(skip_serializing_if = "Option::is_none")]
        extended_key_usage: Option<String>,
    },
}

impl AdmissionForm {
    /// What is to be written of it.
    pub fn of(name: &str, credential: &Credential) -> Self {
        let name = name.to_owned();
        match credential {
            Credential::Key { issuer, key } => {
                Self::Key { name, issuer: issuer.to_string(), public_key: key.to_spki_pem() }
            }
            Credential::Certificates(certified) => Self::Certificates {
                name,
                roots: certified.roots().to_pem(),
                issuers: certified.patterns().iter().map(ToString::to_string).collect(),
                extended_key_usage: certified.purpose().map(str::to_owned),
            },
        }
    }

    /// Name and credential, checked. The error says what is wrong.
    pub fn read(self) -> Result<(String, Credential), String> {
        match self {
            Self::Key { name, issuer, public_key } => {
                let issuer = issuer.parse().map_err(|failure| format!("issuer {issuer:?}: {failure}"))?;
                let key = PublicKey::from_spki_pem(&public_key).map_err(|failure| failure.to_string())?;
                Ok((name, Credential::Key { issuer, key }))
            }
            Self::Certificates { name, roots, issuers, extended_key_usage } => {
                let certified = CertifiedIssuer::parse(&roots, &issuers, extended_key_usage);
                Ok((name, Credential::Certificates(certified.map_err(|failure| failure.to_string())?)))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemovalPayload {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyPayload {
    modules: Vec<Module>,
}

/// The texts in the payload of an entry that sets the policy.
pub(crate) fn modules(payload: &[u8]) -> Result<Vec<Module>, String> {
    read(payload).map(|PolicyPayload { modules }| modules)
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|failure| format!("its payload is not understood: {failure}"))
}
