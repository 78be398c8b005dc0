//! Whom a reader believes: the services and issuers of a `trust.toml`, version 1.
//!
//! What it means:
//! - A claim counts only with a verifying receipt of a listed service, made with a key listed for that service.
//! - How many services must have receipted a claim is `[receipts] require`: `"any"` one of them, `"all"`, or a number; with
//!   `services` beside it, only receipts of those count for it.
//! - A service that makes its receipts otherwise than this one is listed with `leaf` or `tree_size`; nothing in a receipt can
//!   choose that.
//! - If any issuer is listed, only claims of listed issuers count, and each claim's own signature is checked: with a key
//!   listed for its issuer, or by a chain that leads to a root listed for it.
//! - If no issuer is listed, the services are believed about who signed: they checked the signature before they
//!   registered the statement.
//!
//! The `kid` of a key is derived from the key and never read from the file.

use serde::{Deserialize, Serialize};

use crate::certified::{CertifiedError, CertifiedIssuer};
use crate::key::{Issuer, IssuerError, KeyError, PublicKey, Thumbprint, check_uri};
use crate::receipt::{Leaf, Profile, ServiceName, ServiceNameError, TreeSize};
use crate::x509::ChainError;

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
    certified: Vec<CertifiedIssuer>,
    requirement: Requirement,
}

/// Receipts of how many services a claim needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// How many of them.
    pub need: Need,
    /// The services that count; empty if all listed ones do.
    pub services: Vec<ServiceName>,
}

/// How many of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// One, whichever.
    Any,
    /// Every one.
    All,
    /// At least so many.
    AtLeast(usize),
}

/// A transparency service that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedService {
    /// Its `iss`.
    pub issuer: ServiceName,
    /// Where it is found; a hint for programs that fetch, of no meaning for belief.
    pub url: Option<String>,
    /// The keys it signs receipts with, old ones included.
    pub keys: Vec<PublicKey>,
    /// How it makes receipts.
    pub profile: Profile,
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
    /// A service has a name that is none.
    #[error("trust file: service {service:?}: {reason}")]
    Service {
        /// What stands in the file.
        service: String,
        /// What is wrong with it.
        reason: ServiceNameError,
    },
    /// Receipts are demanded of a service that is not listed, or listed twice there.
    #[error("trust file: [receipts] names {service}, which is {what}")]
    RequiredService {
        /// The service.
        service: ServiceName,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Receipts of no service are demanded, or of more than there are.
    #[error(
        "trust file: [receipts] require must be \"any\", \"all\" or a number from 1 to {services}, the services that count"
    )]
    Require {
        /// How many services count.
        services: usize,
    },
    /// Roots and what they may speak for.
    #[error("trust file: issuer {issuer:?}: {reason}")]
    Certified {
        /// What stands in the file.
        issuer: String,
        /// What is wrong with it.
        reason: CertifiedError,
    },
    /// An issuer with both keys and roots.
    #[error("trust file: issuer {issuer:?} has keys and a root; list it once with each")]
    KeysAndRoot {
        /// What stands in the file.
        issuer: String,
    },
    /// A URL is no http or https URI.
    #[error("trust file: url {url:?} of {issuer} is not an http or https URL")]
    Url {
        /// Whose URL it is.
        issuer: String,
        /// What stands in the file.
        url: String,
    },
    /// A key cannot be read.
    #[error("trust file: key {position} of {issuer}: {reason}")]
    Key {
        /// Whose key it is.
        issuer: String,
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
        issuer: String,
    },
    /// A service, an issuer, or a key of one of them is listed twice.
    #[error("trust file: {issuer} {what} twice")]
    Twice {
        /// Who.
        issuer: String,
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
                return Err(TrustError::Twice { issuer: service.issuer.to_string(), what: "is listed as a service" });
            }
            check_keys(service.issuer.as_str(), &service.keys)?;
            if let Some(url) = &service.url {
                let is_web = url.starts_with("http://") || url.starts_with("https://");
                if !is_web || check_uri(url).is_err() {
                    return Err(TrustError::Url { issuer: service.issuer.to_string(), url: url.clone() });
                }
            }
        }
        for (position, issuer) in issuers.iter().enumerate() {
            if issuers[..position].iter().any(|before| before.issuer == issuer.issuer) {
                return Err(TrustError::Twice { issuer: issuer.issuer.to_string(), what: "is listed as an issuer" });
            }
            check_keys(issuer.issuer.as_str(), &issuer.keys)?;
        }
        let requirement = Requirement { need: Need::Any, services: Vec::new() };
        Ok(Self { services, issuers, certified: Vec::new(), requirement })
    }

    /// The same with receipts of more services demanded. Each that is named must be listed.
    pub fn requiring(self, requirement: Requirement) -> Result<Self, TrustError> {
        for (position, service) in requirement.services.iter().enumerate() {
            let refuse = |what| Err(TrustError::RequiredService { service: service.clone(), what });
            if !self.lists_service(service) {
                return refuse("not listed as a service");
            }
            if requirement.services[..position].contains(service) {
                return refuse("named twice");
            }
        }
        let services = match requirement.services.len() {
            0 => self.services.len(),
            named => named,
        };
        match requirement.need {
            Need::AtLeast(count) if count == 0 || count > services => Err(TrustError::Require { services }),
            Need::Any | Need::All | Need::AtLeast(_) => Ok(Self { requirement, ..self }),
        }
    }

    /// Believes issuers that are known by certificate too.
    pub fn with_certified(mut self, certified: Vec<CertifiedIssuer>) -> Result<Self, TrustError> {
        check_count("issuers", self.issuers.len() + certified.len(), ISSUERS_MAX)?;
        self.certified = certified;
        Ok(self)
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
        let (by_certificate, by_key): (Vec<_>, Vec<_>) = file.issuer.into_iter().partition(|it| it.root.is_some());
        let issuers = by_key.into_iter().map(IssuerTable::checked).collect::<Result<_, _>>()?;
        let certified = by_certificate.into_iter().map(IssuerTable::certified).collect::<Result<_, _>>()?;
        let trust = Self::new(services, issuers)?.with_certified(certified)?;
        match file.receipts {
            Some(receipts) => {
                let need = receipts.need(trust.services.len())?;
                let services = receipts.services.into_iter().map(parse_service).collect::<Result<_, _>>()?;
                trust.requiring(Requirement { need, services })
            }
            None => Ok(trust),
        }
    }

    /// The text of the `trust.toml`; reading it gives the same again.
    pub fn to_text(&self) -> String {
        let by_key = self.issuers.iter().map(IssuerTable::of);
        let by_certificate = self.certified.iter().flat_map(IssuerTable::of_certified);
        let file = TrustFile {
            version: VERSION,
            service: self.services.iter().map(ServiceTable::of).collect(),
            issuer: by_key.chain(by_certificate).collect(),
            receipts: ReceiptsTable::of(&self.requirement),
        };
        toml::to_string_pretty(&file).expect("tables of plain text are TOML")
    }

    /// The services that are believed.
    pub fn services(&self) -> &[TrustedService] {
        &self.services
    }

    /// The issuers that are believed by their certificates.
    pub fn certified(&self) -> &[CertifiedIssuer] {
        &self.certified
    }

    /// The issuers that are believed by their keys.
    pub fn issuers(&self) -> &[TrustedIssuer] {
        &self.issuers
    }

    /// Whether only listed issuers are believed.
    pub fn lists_issuers(&self) -> bool {
        !self.issuers.is_empty() || !self.certified.is_empty()
    }

    /// Whether the service is listed, under whatever key.
    pub fn lists_service(&self, name: &ServiceName) -> bool {
        self.service(name).is_some()
    }

    /// The service of this name, if it is believed.
    pub fn service(&self, name: &ServiceName) -> Option<&TrustedService> {
        self.services.iter().find(|service| service.issuer == *name)
    }

    /// Receipts of how many services a claim needs.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
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
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<ReceiptsTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptsTable {
    require: RequireValue,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RequireValue {
    Count(i64),
    Word(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceTable {
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    leaf: Leaf,
    #[serde(default, skip_serializing_if = "is_default")]
    tree_size: TreeSize,
    #[serde(default)]
    key: Vec<KeyTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerTable {
    /// A URI; with a root it may end with `*`.
    issuer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_key_usage: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<KeyTable>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    public_key: String,
}

impl ServiceTable {
    fn of(service: &TrustedService) -> Self {
        Self {
            issuer: service.issuer.to_string(),
            url: service.url.clone(),
            leaf: service.profile.leaf,
            tree_size: service.profile.tree_size,
            key: KeyTable::of(&service.keys),
        }
    }

    fn checked(self) -> Result<TrustedService, TrustError> {
        let issuer = parse_service(self.issuer)?;
        let keys = KeyTable::checked(issuer.as_str(), &self.key)?;
        let profile = Profile { leaf: self.leaf, tree_size: self.tree_size };
        Ok(TrustedService { issuer, url: self.url, keys, profile })
    }
}

impl ReceiptsTable {
    fn of(requirement: &Requirement) -> Option<Self> {
        let require = match requirement.need {
            Need::Any if requirement.services.is_empty() => return None,
            Need::Any => RequireValue::Word("any".to_owned()),
            Need::All => RequireValue::Word("all".to_owned()),
            Need::AtLeast(count) => RequireValue::Count(i64::try_from(count).unwrap_or(i64::MAX)),
        };
        Some(Self { require, services: requirement.services.iter().map(ToString::to_string).collect() })
    }

    fn need(&self, listed: usize) -> Result<Need, TrustError> {
        let services = if self.services.is_empty() { listed } else { self.services.len() };
        let refused = TrustError::Require { services };
        match &self.require {
            RequireValue::Word(word) if word == "any" => Ok(Need::Any),
            RequireValue::Word(word) if word == "all" => Ok(Need::All),
            RequireValue::Word(_) => Err(refused),
            RequireValue::Count(count) => usize::try_from(*count).map(Need::AtLeast).map_err(|_| refused),
        }
    }
}

impl IssuerTable {
    fn of(issuer: &TrustedIssuer) -> Self {
        let (issuer, key) = (issuer.issuer.to_string(), KeyTable::of(&issuer.keys));
        Self { issuer, root: None, extended_key_usage: None, key }
    }

    /// One table for each pattern.
    fn of_certified(certified: &CertifiedIssuer) -> impl Iterator<Item = Self> {
        certified.patterns().iter().map(|pattern| Self {
            issuer: pattern.to_string(),
            root: Some(certified.roots().to_pem()),
            extended_key_usage: certified.purpose().map(str::to_owned),
            key: Vec::new(),
        })
    }

    fn certified(self) -> Result<CertifiedIssuer, TrustError> {
        if !self.key.is_empty() {
            return Err(TrustError::KeysAndRoot { issuer: self.issuer });
        }
        let patterns = std::slice::from_ref(&self.issuer);
        let certified = CertifiedIssuer::parse(&self.root.unwrap_or_default(), patterns, self.extended_key_usage);
        certified.map_err(|reason| TrustError::Certified { issuer: self.issuer, reason })
    }

    fn checked(self) -> Result<TrustedIssuer, TrustError> {
        if self.extended_key_usage.is_some() {
            let reason = CertifiedError::Roots(ChainError::RootCount { found: 0 });
            return Err(TrustError::Certified { issuer: self.issuer, reason });
        }
        let issuer = parse_issuer(self.issuer)?;
        let keys = KeyTable::checked(issuer.as_str(), &self.key)?;
        Ok(TrustedIssuer { issuer, keys })
    }
}

impl KeyTable {
    fn of(keys: &[PublicKey]) -> Vec<Self> {
        keys.iter().map(|key| Self { public_key: key.to_spki_pem() }).collect()
    }

    fn checked(owner: &str, tables: &[Self]) -> Result<Vec<PublicKey>, TrustError> {
        check_count("keys of one owner", tables.len(), KEYS_MAX)?;
        let key = |(index, table): (usize, &Self)| {
            PublicKey::from_spki_pem(table.public_key.trim_start()).map_err(|reason| TrustError::Key {
                issuer: owner.to_owned(),
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

fn parse_service(text: String) -> Result<ServiceName, TrustError> {
    text.parse().map_err(|reason| TrustError::Service { service: text, reason })
}

fn check_keys(owner: &str, keys: &[PublicKey]) -> Result<(), TrustError> {
    check_count("keys of one owner", keys.len(), KEYS_MAX)?;
    if keys.is_empty() {
        return Err(TrustError::NoKey { issuer: owner.to_owned() });
    }
    let twice = keys.iter().enumerate().any(|(position, key)| keys[..position].contains(key));
    if twice { Err(TrustError::Twice { issuer: owner.to_owned(), what: "lists a key" }) } else { Ok(()) }
}

fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), TrustError> {
    if found > limit { Err(TrustError::TooMany { what, found, limit }) } else { Ok(()) }
}

/// Whether a field need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn toml_error(error: &toml::de::Error) -> TrustError {
    TrustError::Toml { reason: error.to_string() }
}

/// The version of the format, part of its file.
const VERSION: i64 = 1;

#[cfg(test)]
mod tests;
