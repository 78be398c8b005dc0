//! The name of a transparency service, as its receipts have it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::key::Issuer;

/// The `iss` of receipts: a URI, or whatever else a service calls itself, as CCF services do by a host name. Compared byte by
/// byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

/// A text is no name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a service is named by 1 to {SERVICE_NAME_BYTES_MAX} printable characters of ASCII without spaces")]
pub struct ServiceNameError;

/// Most bytes of a service's name.
pub const SERVICE_NAME_BYTES_MAX: usize = crate::key::ISSUER_CHARS_MAX;

impl ServiceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Issuer> for ServiceName {
    fn from(issuer: Issuer) -> Self {
        // A URI has no other characters.
        Self(issuer.as_str().to_owned())
    }
}

impl PartialEq<Issuer> for ServiceName {
    fn eq(&self, issuer: &Issuer) -> bool {
        self.0 == issuer.as_str()
    }
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        let is_name =
            (1..=SERVICE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic());
        if is_name { Ok(Self(text.to_owned())) } else { Err(ServiceNameError) }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
