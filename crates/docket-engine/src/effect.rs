//! What an entry of the service's own changes: written into its payload, read back from it, applied to what is in force.
//!
//! Nothing else is stored about issuers: what is in force is what these entries add up to, in the order of the ledger.

use docket_judge::policy::{AdmittedIssuer, Policy};
use docket_proof::key::{Issuer, PublicKey};
use docket_proof::statement::{Content, SignedStatement};
use serde::Deserialize;
use serde_json::{Value, json};

/// Content type of an entry that admits an issuer: `{"name", "issuer", "public_key"}`, the key as SPKI PEM.
pub const ISSUER_TYPE: &str = "application/vnd.docket.issuer.v1+json";
/// Content type of an entry that ends an admission: `{"name"}`.
pub const ISSUER_REMOVAL_TYPE: &str = "application/vnd.docket.issuer-removal.v1+json";

/// Content types of all entries that change what is in force.
pub(crate) const EFFECT_TYPES: [&str; 2] = [ISSUER_TYPE, ISSUER_REMOVAL_TYPE];

/// What an entry changes in force, from the next entry on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: every statement of others, and most of the service's own.
    None,
    /// An issuer is admitted.
    AdmitIssuer(Admission),
    /// The issuer that the operator calls so is admitted no more.
    RemoveIssuer { name: String },
}

/// An issuer that an entry admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    pub name: String,
    pub issuer: Issuer,
    pub key: PublicKey,
}

impl Effect {
    /// Content type and payload of the entry; `None` where there is nothing to say.
    pub(crate) fn payload(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::None => None,
            Self::AdmitIssuer(Admission { name, issuer, key }) => {
                let payload = json!({ "name": name, "issuer": issuer.as_str(), "public_key": key.to_spki_pem() });
                Some((ISSUER_TYPE, payload))
            }
            Self::RemoveIssuer { name } => Some((ISSUER_REMOVAL_TYPE, json!({ "name": name }))),
        }
    }

    /// What a statement of the service's own changes. The error says what is wrong with its payload.
    pub(crate) fn of(statement: &SignedStatement) -> Result<Self, String> {
        let Content::Payload { media_type, bytes } = statement.content() else { return Ok(Self::None) };
        match media_type.as_str() {
            ISSUER_TYPE => {
                let read: AdmissionPayload = read(bytes)?;
                let issuer = read.issuer.parse().map_err(|_| format!("{:?} is no URI", read.issuer))?;
                let key = PublicKey::from_spki_pem(&read.public_key).map_err(|failure| failure.to_string())?;
                Ok(Self::AdmitIssuer(Admission { name: read.name, issuer, key }))
            }
            ISSUER_REMOVAL_TYPE => {
                let RemovalPayload { name } = read(bytes)?;
                Ok(Self::RemoveIssuer { name })
            }
            _ => Ok(Self::None),
        }
    }

    /// Changes what is in force; `entry` is the index of the entry that says so.
    pub(crate) fn apply(&self, policy: &mut Policy, entry: u64) {
        match self {
            Self::None => {}
            Self::AdmitIssuer(Admission { name, issuer, key }) => {
                let (name, issuer, key) = (name.clone(), issuer.clone(), key.clone());
                policy.admit(AdmittedIssuer { name, issuer, key, entry });
            }
            Self::RemoveIssuer { name } => drop(policy.remove(name)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdmissionPayload {
    name: String,
    issuer: String,
    public_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemovalPayload {
    name: String,
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|failure| format!("its payload is not understood: {failure}"))
}
