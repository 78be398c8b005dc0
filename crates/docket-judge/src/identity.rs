//! Who signed, as rules and answers see it: one canonical name, and what stands behind it.

use docket_proof::did_x509::NameKind;
use docket_proof::key::{Issuer, Thumbprint};
use docket_proof::statement::Holder;
use serde::{Serialize, Serializer};

/// Who signed a statement. Two identities are the same if and only if `issuer` is: no `iss` is admitted by two issuers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The `iss` of the statement, verified.
    pub issuer: Issuer,
    /// What vouches for it.
    pub kind: IdentityKind,
    /// What the operator calls the issuer that was admitted.
    pub name: String,
    /// The key that signed, by its thumbprint in hex.
    #[serde(serialize_with = "hex")]
    pub key: Thumbprint,
    /// What the certificate says; `None` for a bare key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFacts>,
}

/// What vouches for an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    /// The admission of the key itself.
    Key,
    /// A certificate with the `iss` among its URIs.
    X509,
    /// A certificate that a did:x509 describes.
    DidX509,
    /// The same, of a holder whom somebody else vouched for.
    Fulcio,
}

impl IdentityKind {
    /// Its name in JSON and for policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::X509 => "x509",
            Self::DidX509 => "did-x509",
            Self::Fulcio => "fulcio",
        }
    }
}

impl Serialize for IdentityKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What the certificate of an identity says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// SHA-256 of the certificate, hex.
    pub leaf: String,
    /// SHA-256 of the root that it leads to, hex.
    pub root: String,
    /// Name, alternative names, purposes, OIDC issuer, dates.
    #[serde(flatten)]
    pub facts: docket_proof::x509::Facts,
}

impl Identity {
    /// The identity of a key that is admitted itself.
    pub(crate) fn of_key(name: &str, issuer: Issuer, key: Thumbprint) -> Self {
        Self { issuer, kind: IdentityKind::Key, name: name.to_owned(), key, certificate: None }
    }

    /// The identity of a certificate's holder.
    pub(crate) fn of_holder(name: &str, issuer: Issuer, holder: Holder) -> Self {
        let kind = match holder.kind {
            NameKind::Uri => IdentityKind::X509,
            NameKind::DidX509 => IdentityKind::DidX509,
            NameKind::Fulcio => IdentityKind::Fulcio,
        };
        let certificate =
            CertificateFacts { leaf: holder.leaf.to_string(), root: holder.root.to_string(), facts: holder.facts };
        Self { issuer, kind, name: name.to_owned(), key: holder.key, certificate: Some(certificate) }
    }
}

fn hex<S: Serializer>(key: &Thumbprint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}
