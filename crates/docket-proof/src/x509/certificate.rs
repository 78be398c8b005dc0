//! One certificate and what is read of it.

use std::fmt;

use serde::Serialize;
use x509_cert::Certificate as Parsed;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Any, Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::{ChainError, Fingerprint};
use crate::key::{KeyError, PublicKey};

/// A well-formed certificate. Nothing it says is believed.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Its name in DER.
    name: Vec<u8>,
    facts: Facts,
    pub(super) key: Result<PublicKey, KeyError>,
    pub(super) usage: Option<Usage>,
    pub(super) is_ca: bool,
}

/// What a certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Attributes of its name in their order: CN, L, ST, O, OU, C, STREET, or an OID.
    pub subject: Vec<(String, String)>,
    /// E-mail addresses of the holder (subjectAltName).
    pub emails: Vec<String>,
    /// DNS names of the holder (subjectAltName).
    pub dns_names: Vec<String>,
    /// URIs of the holder (subjectAltName).
    pub uris: Vec<String>,
    /// What the key may be used for (OIDs); `None` without that extension.
    pub extended_key_usage: Option<Vec<String>>,
    /// Who vouched for the holder to the authority (Fulcio), a URL.
    pub oidc_issuer: Option<String>,
    /// Valid from, seconds since 1970.
    pub not_before: i64,
    /// Valid until, seconds since 1970.
    pub not_after: i64,
}

/// The bits of key usage that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) signs: bool,
    pub(super) certifies: bool,
}

impl Certificate {
    /// Reads one certificate; `position` is for the error.
    pub(super) fn read(position: usize, der: &[u8]) -> Result<Self, ChainError> {
        read(der).map_err(|reason| ChainError::Certificate { position, reason })
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it says about its holder.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its key, if it is of a kind that is supported.
    pub fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref().ok()
    }

    /// Whether chains that end at the other end at this one too: name and key are the same.
    pub(super) fn is_same_anchor(&self, other: &Self) -> bool {
        self.name == other.name && self.key.is_ok() && self.key == other.key
    }

    /// Its SHA-256.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}

fn read(der: &[u8]) -> Result<Certificate, String> {
    let parsed = Parsed::from_der(der).map_err(|failure| format!("not a certificate in DER: {failure}"))?;
    let tbs = parsed.tbs_certificate();
    let broken = |what: &str| format!("its {what} cannot be read");
    let spki = tbs.subject_public_key_info().to_der().map_err(|_| broken("public key"))?;
    let usage = tbs.get_extension::<KeyUsage>().map_err(|_| broken("key usage"))?;
    let usage = usage.map(|(_, usage)| Usage { signs: usage.digital_signature(), certifies: usage.key_cert_sign() });
    let constraints = tbs.get_extension::<BasicConstraints>().map_err(|_| broken("basic constraints"))?;
    let extended = tbs.get_extension::<ExtendedKeyUsage>().map_err(|_| broken("extended key usage"))?;
    let extended = extended.map(|(_, usage)| usage.0.iter().map(ObjectIdentifier::to_string).collect());
    let names = tbs.get_extension::<SubjectAltName>().map_err(|_| broken("subject alternative name"))?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let mut facts = Facts {
        subject: subject(tbs.subject()),
        emails: Vec::new(),
        dns_names: Vec::new(),
        uris: Vec::new(),
        extended_key_usage: extended,
        oidc_issuer: oidc_issuer(tbs.extensions().map(Vec::as_slice).unwrap_or_default())?,
        not_before: seconds(tbs.validity().not_before),
        not_after: seconds(tbs.validity().not_after),
    };
    for name in &names {
        match name {
            GeneralName::Rfc822Name(email) => facts.emails.push(email.to_string()),
            GeneralName::DnsName(name) => facts.dns_names.push(name.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => facts.uris.push(uri.to_string()),
            GeneralName::OtherName(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EdiPartyName(_)
            | GeneralName::IpAddress(_)
            | GeneralName::RegisteredId(_) => {}
        }
    }
    Ok(Certificate {
        der: der.to_vec(),
        name: tbs.subject().to_der().map_err(|_| broken("name"))?,
        facts,
        key: PublicKey::from_spki_der(&spki),
        usage,
        is_ca: constraints.is_some_and(|(_, constraints)| constraints.ca),
    })
}

/// The attributes of a name. One in a string type that is not plain text is left out, so that nothing can match it.
fn subject(name: &x509_cert::name::Name) -> Vec<(String, String)> {
    let attribute = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
        let oid = attribute.oid.to_string();
        let short = SHORT_NAMES.iter().find(|(_, known)| *known == oid).map(|(short, _)| (*short).to_owned());
        Some((short.unwrap_or(oid), text(&attribute.value)?))
    };
    name.iter().filter_map(attribute).collect()
}

fn text(value: &Any) -> Option<String> {
    Some(match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str().to_owned(),
        _ => return None,
    })
}

/// Fulcio's issuer: DER text under .8, bare text under the older .1. A certificate that says two is not read.
fn oidc_issuer(extensions: &[x509_cert::ext::Extension]) -> Result<Option<String>, String> {
    let unreadable = || "its OIDC issuer cannot be read, or it names two".to_owned();
    let mut found: Option<String> = None;
    for extension in extensions {
        let bytes = extension.extn_value.as_bytes();
        let issuer = match extension.extn_id {
            FULCIO_ISSUER => Utf8StringRef::from_der(bytes).ok().map(|text| text.as_str().to_owned()),
            FULCIO_ISSUER_BARE => std::str::from_utf8(bytes).ok().map(str::to_owned),
            _ => continue,
        };
        let issuer = issuer.ok_or_else(unreadable)?;
        if found.replace(issuer.clone()).is_some_and(|before| before != issuer) {
            return Err(unreadable());
        }
    }
    Ok(found)
}

fn seconds(time: x509_cert::time::Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

/// The attributes that did:x509 has short names for.
pub(crate) const SHORT_NAMES: [(&str, &str); 7] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
];

const FULCIO_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
const FULCIO_ISSUER_BARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
