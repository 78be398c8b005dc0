//! Whom a reader believes: the services and issuers of a `trust.toml`, version 0.
//!
//! What it means:
//! - A claim counts only with a verifying receipt of a listed service, made with a key listed for that service.
//! - If any issuer is listed, only claims of listed issuers count, and each claim's own signature is checked with a key
//!   listed for its issuer.
//! - If no issuer is listed, the services are believed about who signed: they checked the signature before they
//!   registered the statement.
//!
//! The `kid` of a key is derived from the key and never read from the file.

use serde::{Deserialize, Serialize};

use crate::key::{Issuer, IssuerError, KeyError, PublicKey, Thumbprint, check_uri};

/// Most bytes a trust file may have.
pub const TRUST_BYTES_MAX: usize = 1 << 20;

/// Most services a trust file may list.
pub const SERVICES_MAX: usize = 64;

/// Most issuers a trust file may list.
pub const ISSUERS_MAX: usize = 1024;

/// Most keys a trust file may list for one service or issuer.
pub const KEYS_MAX: usize = 64;

/// The services and issuers that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    services: Vec<TrustedService>,
    issuers: Vec<TrustedIssuer>,
}

/// A transparency service that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedService {
    /// Its `iss`.
    pub issuer: Issuer,
    /// Where it is found; a hint for programs that fetch, of no meaning for belief.
    pub url: Option<String>,
    /// The keys it signs receipts with, old ones included.
    pub keys: Vec<PublicKey>,
}

/// An issuer of statements that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Its `iss`.
    pub issuer: Issuer,
    /// The keys it signs statements with, old ones included.
    pub keys: Vec<PublicKey>,
}

/// Why a trust file cannot be used: the fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Larger than [`TRUST_BYTES_MAX`].
    #[error("trust file has {bytes} bytes, the limit is {TRUST_BYTES_MAX}")]
    TooLarge {
        /// Length of the file.
        bytes: usize,
    },
    /// Not TOML, a field is missing, of another type or unknown.
    #[error("trust file: {reason}")]
    Toml {
        /// What the TOML reader says, with the line.
        reason: String,
    },
    /// No version, or another than 0.
    #[error("trust file must say version = {VERSION}; another version needs another release")]
    Version,
    /// An issuer is no URI.
    #[error("trust file: issuer {issuer:?}: {reason}")]
    Issuer {
        /// What stands in the file.
        issuer: String,
        /// What is wrong with it.
        reason: IssuerError,
    },
    /// A URL is no http or https URI.
    #[error("trust file: url {url:?} of {issuer} is not an http or https URL")]
    Url {
        /// Whose URL it is.
        issuer: Issuer,
        /// What stands in the file.
        url: String,
    },
    /// A key cannot be read.
    #[error("trust file: key {position} of {issuer}: {reason}")]
    Key {
        /// Whose key it is.
        issuer: Issuer,
        /// Counted from 1.
        position: usize,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// No service is listed, so nothing could ever be believed.
    #[error("trust file lists no service; without one no receipt can be believed")]
    NoService,
    /// A service or issuer has no key.
    #[error("trust file: {issuer} has no key")]
    NoKey {
        /// Who has none.
        issuer: Issuer,
    },
    /// A service, an issuer, or a key of one of them is listed twice.
    #[error("trust file: {issuer} {what} twice")]
    Twice {
        /// Who.
        issuer: Issuer,
        /// What is there twice.
        what: &'static str,
    },
    /// One of the number limits.
    #[error("trust file lists {found} {what}, the limit is {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are listed.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl Trust {
    /// Believes these services and issuers. At least one service is needed; none may be listed twice or without a key.
    pub fn new(services: Vec<TrustedService>, issuers: Vec<TrustedIssuer>) -> Result<Self, TrustError> {
        check_count("services", services.len(), SERVICES_MAX)?;
        check_count("issuers", issuers.len(), ISSUERS_MAX)?;
        if services.is_empty() {
            return Err(TrustError::NoService);
        }
        for (position, service) in services.iter().enumerate() {
            if services[..position].iter().any(|before| before.issuer == service.issuer) {
                return Err(TrustError::Twice { issuer: service.issuer.clone(), what: "is listed as a service" });
            }
            check_keys(&service.issuer, &service.keys)?;
            if let Some(url) = &service.url {
                let is_web = url.starts_with("http://") || url.starts_with("https://");
                if !is_web || check_uri(url).is_err() {
                    return Err(TrustError::Url { issuer: service.issuer.clone(), url: url.clone() });
                }
            }
        }
        for (position, issuer) in issuers.iter().enumerate() {
            if issuers[..position].iter().any(|before| before.issuer == issuer.issuer) {
                return Err(TrustError::Twice { issuer: issuer.issuer.clone(), what: "is listed as an issuer" });
            }
            check_keys(&issuer.issuer, &issuer.keys)?;
        }
        Ok(Self { services, issuers })
    }

    /// Reads the text of a `trust.toml`.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        if text.len() > TRUST_BYTES_MAX {
            return Err(TrustError::TooLarge { bytes: text.len() });
        }
        // The version comes first: what another version calls its fields is not for this one to complain about.
        let table: toml::Table = text.parse().map_err(|error| toml_error(&error))?;
        if table.get("version").and_then(toml::Value::as_integer) != Some(VERSION) {
            return Err(TrustError::Version);
        }
        let file: TrustFile = toml::from_str(text).map_err(|error| toml_error(&error))?;
        check_count("services", file.service.len(), SERVICES_MAX)?;
        check_count("issuers", file.issuer.len(), ISSUERS_MAX)?;
        let services = file.service.into_iter().map(ServiceTable::checked).collect::<Result<_, _>>()?;
        let issuers = file.issuer.into_iter().map(IssuerTable::checked).collect::<Result<_, _>>()?;
        Self::new(services, issuers)
    }

    /// The text of the `trust.toml`; reading it gives the same again.
    pub fn to_text(&self) -> String {
        let file = TrustFile {
            version: VERSION,
            service: self.services.iter().map(ServiceTable::of).collect(),
            issuer: self.issuers.iter().map(IssuerTable::of).collect(),
        };
        toml::to_string_pretty(&file).expect("tables of plain text are TOML")
    }

    /// The services that are believed.
    pub fn services(&self) -> &[TrustedService] {
        &self.services
    }

    /// The issuers that are believed; empty if the services decide.
    pub fn issuers(&self) -> &[TrustedIssuer] {
        &self.issuers
    }

    /// Whether only listed issuers are believed.
    pub fn lists_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// Whether the service is listed, under whatever key.
    pub fn lists_service(&self, issuer: &Issuer) -> bool {
        self.services.iter().any(|service| service.issuer == *issuer)
    }

    /// The key that `issuer` signs receipts with under this `kid`, if both are believed.
    pub fn service_key(&self, issuer: &Issuer, kid: &Thumbprint) -> Option<&PublicKey> {
        let service = self.services.iter().find(|service| service.issuer == *issuer)?;
        service.keys.iter().find(|key| key.thumbprint() == *kid)
    }

    /// The key that `issuer` signs statements with under this `kid`, if both are believed.
    pub fn issuer_key(&self, issuer: &Issuer, kid: &Thumbprint) -> Option<&PublicKey> {
        let issuer = self.issuers.iter().find(|candidate| candidate.issuer == *issuer)?;
        issuer.keys.iter().find(|key| key.thumbprint() == *kid)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    version: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    service: Vec<ServiceTable>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    issuer: Vec<IssuerTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceTable {
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default)]
    key: Vec<KeyTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerTable {
    issuer: String,
    #[serde(default)]
    key: Vec<KeyTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    public_key: String,
}

impl ServiceTable {
    fn of(service: &TrustedService) -> Self {
        Self { issuer: service.issuer.to_string(), url: service.url.clone(), key: KeyTable::of(&service.keys) }
    }

    fn checked(self) -> Result<TrustedService, TrustError> {
        let issuer = parse_issuer(self.issuer)?;
        let keys = KeyTable::checked(&issuer, &self.key)?;
        Ok(TrustedService { issuer, url: self.url, keys })
    }
}

impl IssuerTable {
    fn of(issuer: &TrustedIssuer) -> Self {
        Self { issuer: issuer.issuer.to_string(), key: KeyTable::of(&issuer.keys) }
    }

    fn checked(self) -> Result<TrustedIssuer, TrustError> {
        let issuer = parse_issuer(self.issuer)?;
        let keys = KeyTable::checked(&issuer, &self.key)?;
        Ok(TrustedIssuer { issuer, keys })
    }
}

impl KeyTable {
    fn of(keys: &[PublicKey]) -> Vec<Self> {
        keys.iter().map(|key| Self { public_key: key.to_spki_pem() }).collect()
    }

    fn checked(issuer: &Issuer, tables: &[Self]) -> Result<Vec<PublicKey>, TrustError> {
        check_count("keys of one owner", tables.len(), KEYS_MAX)?;
        let key = |(index, table): (usize, &Self)| {
            PublicKey::from_spki_pem(table.public_key.trim_start()).map_err(|reason| TrustError::Key {
                issuer: issuer.clone(),
                position: index + 1,
                reason,
            })
        };
        tables.iter().enumerate().map(key).collect()
    }
}

fn parse_issuer(text: String) -> Result<Issuer, TrustError> {
    text.parse().map_err(|reason| TrustError::Issuer { issuer: text, reason })
}

fn check_keys(issuer: &Issuer, keys: &[PublicKey]) -> Result<(), TrustError> {
    check_count("keys of one owner", keys.len(), KEYS_MAX)?;
    if keys.is_empty() {
        return Err(TrustError::NoKey { issuer: issuer.clone() });
    }
    let twice = keys.iter().enumerate().any(|(position, key)| keys[..position].contains(key));
    if twice { Err(TrustError::Twice { issuer: issuer.clone(), what: "lists a key" }) } else { Ok(()) }
}

fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), TrustError> {
    if found > limit { Err(TrustError::TooMany { what, found, limit }) } else { Ok(()) }
}

fn toml_error(error: &toml::de::Error) -> TrustError {
    TrustError::Toml { reason: error.to_string() }
}

/// The version of the format, part of its file.
const VERSION: i64 = 0;

#[cfg(test)]
mod tests;
