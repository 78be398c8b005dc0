//! Tokens: what a client gets once for its password, so that it need not send that with every request. JSON Web Tokens
//! of one fixed form, signed and read by this service alone.
//!
//! A token names an account and a scope. It is no decision: at each use the rules that stand then are asked as well.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use docket_oci::name::RepositoryName;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::{Account, Right, Rights};
use crate::error::EngineError;
use crate::instance::write_secret;

/// Makes tokens and reads them back.
pub(crate) struct Tokens {
    /// `iss` and `aud`: this service.
    service: String,
    signs: EncodingKey,
    verifies: DecodingKey,
    validation: Validation,
    /// What every token of ours starts with. Any other header is somebody else's idea: another algorithm, a key of
    /// its own, or none.
    header: String,
}

/// A token that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// Unix seconds.
    pub issued_at: i64,
    /// Seconds from then on.
    pub expires_in: u64,
}

/// A token that was shown and is ours.
#[derive(Debug)]
pub struct Token {
    pub(super) account: Account,
    pub(super) id: String,
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
    scope: Scope,
}

/// What a token is asked to reach, or reaches: actions on repositories, and on the service as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Vec<Grant>);

/// A token that is not taken. Which of the reasons it was is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid here; fetch a new one")]
pub struct TokenRefused;

/// A scope that asks for more than a token can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scope is too large: at most {SCOPES_MAX} scopes of together {SCOPE_BYTES_MAX} bytes")]
pub struct ScopeTooLarge;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// `None` for the service as a whole.
    repository: Option<RepositoryName>,
    actions: BTreeSet<Action>,
}

/// What tokens speak of. Clients know the first two and ask for no finer ones, so that `push` reaches all that a push
/// may need; what it may do is for the rules to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Pull,
    Push,
    Delete,
    Claim,
    #[serde(rename = "*")]
    All,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    access: Vec<AccessClaim>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AccessClaim {
    #[serde(rename = "type")]
    resource: String,
    name: String,
    actions: BTreeSet<Action>,
}

impl Tokens {
    pub(super) fn new(service: &str, key: &[u8; TOKEN_KEY_BYTES]) -> Self {
        let signs = EncodingKey::from_secret(key);
        let mut validation = Validation::new(ALGORITHM);
        validation.set_audience(&[service]);
        validation.set_issuer(&[service]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // Its times are compared by whoever knows our clock.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let any =
            encode(&Header::new(ALGORITHM), &serde_json::json!({}), &signs).expect("a plain header and an empty body");
        let header = any.split_inclusive('.').take(1).collect();
        Self { service: service.to_owned(), signs, verifies: DecodingKey::from_secret(key), validation, header }
    }

    /// Reads the key from its file, or draws one and writes it there.
    pub(crate) fn open(path: &Path, service: &str) -> Result<Self, EngineError> {
        let unusable = |why: String| EngineError::Settings { what: "the token key", why };
        let mut key = [0; TOKEN_KEY_BYTES];
        match std::fs::read_to_string(path) {
            Ok(text) => hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
                unusable(format!(
                    "{} is no {TOKEN_KEY_BYTES} bytes in hex; remove it and a new one is made",
                    path.display()
                ))
            })?,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => {
                key = draw()?;
                // A crash in here may leave a broken file, which the next start refuses, or none.
                write_secret(path, format!("{}\n", hex::encode(key)).as_bytes())?;
            }
            Err(failure) => return Err(unusable(format!("{}: {failure}", path.display()))),
        }
        Ok(Self::new(service, &key))
    }

    /// Draws a key that ends with this process.
    pub(crate) fn drawn(service: &str) -> Result<Self, EngineError> {
        Ok(Self::new(service, &draw()?))
    }

    pub(super) fn issue(&self, account: &Account, scope: &Scope, ttl: u64, now: i64) -> Issued {
        let claims = Claims {
            iss: self.service.clone(),
            aud: self.service.clone(),
            sub: account.to_string(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add_unsigned(ttl),
            access: scope.0.iter().map(Grant::to_claim).collect(),
        };
        let token = encode(&Header::new(ALGORITHM), &claims, &self.signs).expect("strings and numbers always encode");
        Issued { token, issued_at: now, expires_in: ttl }
    }

    /// Reads a token of ours. Whether it has expired is for the caller to judge.
    pub(super) fn read(&self, token: &str, now: i64) -> Result<Token, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX || !token.starts_with(&self.header) {
            return Err(TokenRefused);
        }
        let claims = decode::<Claims>(token, &self.verifies, &self.validation).map_err(|_| TokenRefused)?.claims;
        if claims.nbf > now {
            return Err(TokenRefused);
        }
        Ok(Token {
            account: claims.sub.parse().map_err(|_| TokenRefused)?,
            id: claims.jti,
            issued_at: claims.iat,
            expires_at: claims.exp,
            scope: Scope(claims.access.into_iter().filter_map(Grant::from_claim).collect()),
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Token {
    /// What it reaches in one place.
    pub(super) fn rights(&self, repository: Option<&RepositoryName>) -> Rights {
        let here = self.scope.0.iter().filter(|grant| grant.repository.as_ref() == repository);
        here.fold(Rights::NONE, |rights, grant| {
            grant.actions.iter().fold(rights, |rights, action| rights.or(action.rights()))
        })
    }
}

impl Scope {
    /// Reads scopes as clients write them: `repository:<name>:<actions>`, several in one text or in several. What is
    /// not understood is left out: a token that allows less than was asked is no error.
    pub fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, ScopeTooLarge> {
        let (mut grants, mut bytes) = (Vec::new(), 0);
        for text in texts.flat_map(|text| text.split(' ')).filter(|text| !text.is_empty()) {
            bytes += text.len();
            if grants.len() == SCOPES_MAX || bytes > SCOPE_BYTES_MAX {
                return Err(ScopeTooLarge);
            }
            grants.push(Grant::parse(text));
        }
        Ok(Self(grants.into_iter().flatten().collect()))
    }

    /// The part of it that an account has, as `rights` tells for each place.
    pub(super) fn granted(&self, rights: impl Fn(Option<&RepositoryName>) -> Rights) -> Self {
        let granted = self.0.iter().map(|grant| {
            let allowed = rights(grant.repository.as_ref());
            let wanted = grant.actions.iter().flat_map(|action| action.parts());
            let actions = wanted.filter(|action| allowed.and(action.rights()) != Rights::NONE).collect();
            Grant { repository: grant.repository.clone(), actions }
        });
        Self(granted.filter(|grant| !grant.actions.is_empty()).collect())
    }
}

impl Grant {
    fn parse(text: &str) -> Option<Self> {
        let (resource, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let known = actions.split(',').filter_map(Action::parse).collect();
        match (resource, name) {
            (REPOSITORY, name) => Some(Self { repository: Some(name.parse().ok()?), actions: known }),
            (REGISTRY, CATALOG) => Some(Self { repository: None, actions: known }),
            _ => None,
        }
    }

    fn to_claim(&self) -> AccessClaim {
        let (resource, name) = match &self.repository {
            Some(repository) => (REPOSITORY, repository.as_str()),
            None => (REGISTRY, CATALOG),
        };
        AccessClaim { resource: resource.to_owned(), name: name.to_owned(), actions: self.actions.clone() }
    }

    fn from_claim(claim: AccessClaim) -> Option<Self> {
        let repository = match claim.resource.as_str() {
            REPOSITORY => Some(claim.name.parse().ok()?),
            REGISTRY if claim.name == CATALOG => None,
            _ => return None,
        };
        Some(Self { repository, actions: claim.actions })
    }
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pull" => Self::Pull,
            "push" => Self::Push,
            "delete" => Self::Delete,
            "claim" => Self::Claim,
            "*" => Self::All,
            _ => return None,
        })
    }

    fn rights(self) -> Rights {
        match self {
            Self::Pull => [Right::Pull].into_iter().collect(),
            Self::Push => [Right::Push, Right::Tag].into_iter().collect(),
            Self::Delete => [Right::Delete].into_iter().collect(),
            Self::Claim => [Right::Claim].into_iter().collect(),
            Self::All => Rights::ALL,
        }
    }

    /// `*` is granted as what it stands for, so that a token never says more than it gives.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::Pull | Self::Push | Self::Delete | Self::Claim => vec![self],
            Self::All => vec![Self::Pull, Self::Push, Self::Delete, Self::Claim],
        }
    }
}

fn draw() -> Result<[u8; TOKEN_KEY_BYTES], EngineError> {
    let mut key = [0; TOKEN_KEY_BYTES];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty()).map_err(|failure| {
        EngineError::Settings { what: "the token key", why: format!("the system has no randomness: {failure}") }
    })?;
    Ok(key)
}

/// What a token must reach for this right in this place, in the words of clients.
pub fn needed_scope(right: Right, repository: Option<&RepositoryName>) -> String {
    let Some(repository) = repository else { return format!("{REGISTRY}:{CATALOG}:*") };
    let actions = match right {
        Right::Pull => "pull",
        Right::Push | Right::Tag => "pull,push",
        Right::Delete => "pull,delete",
        Right::Claim => "pull,push,claim",
        Right::Admin => "*",
    };
    format!("{REPOSITORY}:{repository}:{actions}")
}

const ALGORITHM: Algorithm = Algorithm::HS256;
/// Bytes of the key: as many as the hash has.
pub(super) const TOKEN_KEY_BYTES: usize = 32;
/// The longest token that is looked at. Ours have at most as many as [`SCOPES_MAX`] scopes need.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Scopes in one token.
pub const SCOPES_MAX: usize = 16;
/// Bytes of all scopes together.
pub const SCOPE_BYTES_MAX: usize = 4 * 1024;
const REPOSITORY: &str = "repository";
const REGISTRY: &str = "registry";
/// What clients call the service as a whole.
const CATALOG: &str = "catalog";

#[cfg(test)]
mod tests;
