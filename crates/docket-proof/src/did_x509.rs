//! did:x509, method version 0: an identity that names a certificate authority and what it must say about the holder.
//!
//! `did:x509:0:<hash>:<authority's fingerprint>::<policy>:<value>[::<policy>:<value>…]`. One identity has one spelling here:
//! what need not be percent-encoded must not be, hex digits are upper case, and an attribute with a short name goes by it.
//! Two spellings of one holder would be two issuers to everything that compares text.

use crate::key::Issuer;
use crate::x509::{Certificate, Chain, Facts, Fingerprint, SHORT_NAMES, ValidChain};

/// Most policies in one identity.
pub const POLICIES_MAX: usize = 16;

/// A well-formed did:x509.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DidX509 {
    authority: Fingerprint,
    policies: Vec<Policy>,
}

/// What the leaf must say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Policy {
    /// Attributes of its name.
    Subject(Vec<(String, String)>),
    /// One of its e-mail addresses.
    Email(String),
    /// One of its DNS names.
    Dns(String),
    /// One of its URIs.
    Uri(String),
    /// One of its extended key usages.
    ExtendedKeyUsage(String),
    /// Who vouched for the holder: the OIDC issuer without `https://`.
    FulcioIssuer(String),
}

/// Why a text is no did:x509, or does not fit a chain: the issuer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// Another version, a part too few or too many.
    #[error(
        "a did:x509 reads did:x509:0:<sha256|sha384|sha512>:<fingerprint>::<policy>:<value>, policies repeated with ::"
    )]
    Form,
    /// The hash algorithm is unknown, or the fingerprint is not its hash in unpadded base64url.
    #[error("did:x509 must name the authority by the full sha256, sha384 or sha512 of its certificate in base64url")]
    Fingerprint,
    /// More than [`POLICIES_MAX`].
    #[error("did:x509 has {found} policies, the limit is {POLICIES_MAX}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A policy that is unknown, or has another form.
    #[error(
        "did:x509 policy {policy:?} is none of subject, san:email, san:dns, san:uri, eku and fulcio-issuer in their forms"
    )]
    Policy {
        /// What stands there.
        policy: String,
    },
    /// A value that is encoded in another way than the one there is.
    #[error(
        "did:x509 value {value:?} has another spelling: all but letters, digits, '-', '.' and '_' is percent-encoded, \
         with upper-case digits, and nothing else is"
    )]
    Spelling {
        /// What stands there.
        value: String,
    },
    /// A subject names one attribute twice, or by its number although it has a short name.
    #[error("did:x509 subject attribute {attribute:?} is named twice, or by its OID although it has a short name")]
    Attribute {
        /// Its name.
        attribute: String,
    },
    /// The chain does not pass the authority.
    #[error(
        "the chain holds no authority with the fingerprint of the did:x509 (its first certificate is the holder's)"
    )]
    OtherAuthority,
    /// A policy that the leaf does not fulfil.
    #[error("the first certificate of the chain does not fulfil the did:x509's {policy}")]
    Unfulfilled {
        /// Which.
        policy: String,
    },
    /// A Fulcio certificate whose OIDC issuer or name is not part of the identity.
    #[error(
        "the certificate says who vouched for its holder ({oidc_issuer}); its iss must be a did:x509 with fulcio-issuer \
         and san, for one without the other is nobody's name"
    )]
    FulcioUnbound {
        /// The OIDC issuer.
        oidc_issuer: String,
    },
}

impl DidX509 {
    /// Whether a text claims to be a did:x509 of whatever version.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("did:x509:")
    }

    /// Reads a did:x509 of version 0.
    pub fn parse(text: &str) -> Result<Self, DidError> {
        let (authority, policies) = text.split_once("::").ok_or(DidError::Form)?;
        let authority = authority.strip_prefix(METHOD).ok_or(DidError::Form)?;
        let (algorithm, hash) = authority.split_once(':').ok_or(DidError::Form)?;
        let authority = Fingerprint::from_did(algorithm, hash).ok_or(DidError::Fingerprint)?;
        let policies: Vec<_> = policies.split("::").collect();
        if policies.len() > POLICIES_MAX {
            return Err(DidError::TooMany { found: policies.len() });
        }
        Ok(Self { authority, policies: policies.into_iter().map(Policy::parse).collect::<Result<_, _>>()? })
    }

    /// Whether the chain, which is valid already, belongs to this identity: it passes the authority above its leaf, and the leaf
    /// fulfils every policy.
    pub fn resolve(&self, chain: &ValidChain<'_>) -> Result<(), DidError> {
        if !chain.passes(&self.authority) {
            return Err(DidError::OtherAuthority);
        }
        let unfulfilled = self.policies.iter().find(|policy| !policy.is_fulfilled(chain.facts()));
        unfulfilled.map_or(Ok(()), |policy| Err(DidError::Unfulfilled { policy: policy.to_text() }))
    }

    /// Whether the identity is a holder as Fulcio knows them: by name and by who vouched for it.
    pub fn names_fulcio_holder(&self) -> bool {
        let vouched = self.policies.iter().any(|policy| matches!(policy, Policy::FulcioIssuer(_)));
        let named = |policy: &Policy| matches!(policy, Policy::Email(_) | Policy::Dns(_) | Policy::Uri(_));
        vouched && self.policies.iter().any(named)
    }

    /// The identities that the leaf of a chain can go by, with the last certificate of the chain as authority. None for a chain
    /// of one.
    pub fn candidates(chain: &Chain) -> Vec<Issuer> {
        let [leaf, .., authority] = chain.certificates() else { return Vec::new() };
        let prefix = format!("{METHOD}{}", authority.fingerprint().to_did());
        let issuer = |policies: String| format!("{prefix}{policies}").parse().ok();
        candidates(leaf).into_iter().filter_map(issuer).collect()
    }
}

fn candidates(leaf: &Certificate) -> Vec<String> {
    let facts = leaf.facts();
    let names = [
        facts.emails.iter().map(|email| Policy::Email(email.clone())).collect::<Vec<_>>(),
        facts.dns_names.iter().map(|name| Policy::Dns(name.clone())).collect(),
        facts.uris.iter().map(|uri| Policy::Uri(uri.clone())).collect(),
    ];
    let names = names.concat().into_iter();
    if let Some(oidc_issuer) = &facts.oidc_issuer {
        let vouched = oidc_issuer.strip_prefix(HTTPS).unwrap_or(oidc_issuer).to_owned();
        let vouched = Policy::FulcioIssuer(vouched).to_text();
        return names.map(|name| format!("::{vouched}::{}", name.to_text())).collect();
    }
    let unique = |(name, _): &&(String, String)| facts.subject.iter().filter(|(other, _)| other == name).count() == 1;
    let subject: Vec<_> = facts.subject.iter().filter(unique).cloned().collect();
    let subject = (!subject.is_empty()).then_some(Policy::Subject(subject));
    let purposes = facts.extended_key_usage.iter().flatten().cloned().map(Policy::ExtendedKeyUsage);
    names.chain(subject).chain(purposes).map(|policy| format!("::{}", policy.to_text())).collect()
}

impl Policy {
    fn parse(text: &str) -> Result<Self, DidError> {
        let unknown = || DidError::Policy { policy: text.to_owned() };
        let (name, value) = text.split_once(':').ok_or_else(unknown)?;
        match name {
            "subject" => subject(value).and_then(|attributes| attributes.map(Self::Subject).ok_or_else(unknown)),
            "san" => match value.split_once(':') {
                Some(("email", email)) => decode(email).map(Self::Email),
                Some(("dns", name)) => decode(name).map(Self::Dns),
                Some(("uri", uri)) => decode(uri).map(Self::Uri),
                Some(_) | None => Err(unknown()),
            },
            "eku" if is_oid(value) => Ok(Self::ExtendedKeyUsage(value.to_owned())),
            "fulcio-issuer" => decode(value).map(Self::FulcioIssuer),
            _ => Err(unknown()),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Subject(attributes) => {
                let pairs = attributes.iter().map(|(name, value)| format!(":{name}:{}", encode(value)));
                format!("subject{}", pairs.collect::<String>())
            }
            Self::Email(email) => format!("san:email:{}", encode(email)),
            Self::Dns(name) => format!("san:dns:{}", encode(name)),
            Self::Uri(uri) => format!("san:uri:{}", encode(uri)),
            Self::ExtendedKeyUsage(oid) => format!("eku:{oid}"),
            Self::FulcioIssuer(issuer) => format!("fulcio-issuer:{}", encode(issuer)),
        }
    }

    /// Compared byte by byte. An attribute that a name holds twice fulfils nothing: which one is meant, nobody said.
    fn is_fulfilled(&self, facts: &Facts) -> bool {
        match self {
            Self::Subject(attributes) => attributes.iter().all(|(name, value)| {
                let mut held = facts.subject.iter().filter(|(own, _)| own == name);
                held.next().is_some_and(|(_, own)| own == value) && held.next().is_none()
            }),
            Self::Email(email) => facts.emails.contains(email),
            Self::Dns(name) => facts.dns_names.contains(name),
            Self::Uri(uri) => facts.uris.contains(uri),
            Self::ExtendedKeyUsage(oid) => facts.extended_key_usage.iter().flatten().any(|own| own == oid),
            Self::FulcioIssuer(issuer) => {
                let vouched = facts.oidc_issuer.as_deref().and_then(|own| own.strip_prefix(HTTPS));
                vouched == Some(issuer.as_str())
            }
        }
    }
}

/// Who a chain may speak as: a did:x509 that it resolves, or one of the leaf's URIs, letter by letter. The answer is what
/// kind of name that is.
pub fn check_name(chain: &ValidChain<'_>, issuer: &Issuer) -> Result<NameKind, NameError> {
    let did = DidX509::is_one(issuer.as_str()).then(|| DidX509::parse(issuer.as_str())).transpose()?;
    if let Some(oidc_issuer) = &chain.facts().oidc_issuer {
        let did = did.filter(DidX509::names_fulcio_holder);
        let did = did.ok_or_else(|| DidError::FulcioUnbound { oidc_issuer: oidc_issuer.clone() })?;
        did.resolve(chain)?;
        return Ok(NameKind::Fulcio);
    }
    if let Some(did) = did {
        did.resolve(chain)?;
        return Ok(NameKind::DidX509);
    }
    if chain.facts().uris.iter().any(|uri| uri == issuer.as_str()) {
        return Ok(NameKind::Uri);
    }
    Err(NameError::NotItsUri { issuer: issuer.clone() })
}

/// What kind of name a chain answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A URI in the leaf.
    Uri,
    /// A did:x509.
    DidX509,
    /// A did:x509 with a Fulcio issuer.
    Fulcio,
}

/// Why a chain does not answer for a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is a did:x509 that is malformed or somebody else's.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The name is no URI of the leaf.
    #[error("iss {issuer} is no URI of the first certificate of the chain (subjectAltName), and no did:x509")]
    NotItsUri {
        /// The name.
        issuer: Issuer,
    },
}

/// `Ok(None)` for a list that is not of pairs.
fn subject(text: &str) -> Result<Option<Vec<(String, String)>>, DidError> {
    let parts: Vec<_> = text.split(':').collect();
    let (pairs, rest) = parts.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Ok(None);
    }
    let mut attributes: Vec<(String, String)> = Vec::new();
    for [name, value] in pairs {
        let numbered = is_oid(name) && !SHORT_NAMES.iter().any(|(_, oid)| oid == name);
        let known = numbered || SHORT_NAMES.iter().any(|(short, _)| short == name);
        if !known || attributes.iter().any(|(before, _)| before == name) {
            return Err(DidError::Attribute { attribute: (*name).to_owned() });
        }
        attributes.push(((*name).to_owned(), decode(value)?));
    }
    Ok(Some(attributes))
}

pub(crate) fn is_oid(text: &str) -> bool {
    let is_arc = |arc: &str| {
        !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
    };
    text.contains('.') && text.split('.').all(is_arc)
}

/// Undoes [`encode`], and only it.
fn decode(text: &str) -> Result<String, DidError> {
    let decoded = crate::subject::percent_decode(text).filter(|decoded| !decoded.is_empty() && encode(decoded) == text);
    decoded.ok_or_else(|| DidError::Spelling { value: text.to_owned() })
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
        }
    }
    encoded
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).expect("four bits").to_ascii_uppercase()
}

const METHOD: &str = "did:x509:0:";
const HTTPS: &str = "https://";

#[cfg(test)]
mod tests;
