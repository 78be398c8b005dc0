//! The identity that signs: a checked URI.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::PublicKey;

/// Most characters an issuer may have (RFC 9943 §6).
pub const ISSUER_CHARS_MAX: usize = 8192;

/// A CWT `iss`: an absolute URI (RFC 3986) of 1 to [`ISSUER_CHARS_MAX`] characters, compared byte by byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Issuer(String);

/// Why a text is not an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Empty or too long.
    #[error("a URI has 1 to {ISSUER_CHARS_MAX} characters, this has {found}")]
    Length {
        /// How many bytes were found.
        found: usize,
    },
    /// No `scheme:` in front, or nothing behind it.
    #[error("not an absolute URI: a scheme such as https: and something after it are needed")]
    NotAbsolute,
    /// A space, control, non-ASCII or otherwise excluded character, or a stray percent sign.
    #[error("character {position} may not stand in a URI")]
    BadCharacter {
        /// Counted from 1.
        position: usize,
    },
}

impl Issuer {
    /// The issuer of a key that has no other name: its RFC 9679 thumbprint URI.
    pub fn of_key(key: &PublicKey) -> Self {
        Self(key.thumbprint().urn())
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        check_uri(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Issuer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Checks the characters of RFC 3986 §2 and the scheme of §3.1; what the scheme means is not looked at.
pub(crate) fn check_uri(text: &str) -> Result<(), IssuerError> {
    if text.is_empty() || text.len() > ISSUER_CHARS_MAX {
        return Err(IssuerError::Length { found: text.len() });
    }
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let escapes = || bytes.get(index + 1..index + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let good =
            byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte) || (*byte == b'%' && escapes());
        if !good {
            return Err(IssuerError::BadCharacter { position: index + 1 });
        }
    }
    let (scheme, rest) = text.split_once(':').ok_or(IssuerError::NotAbsolute)?;
    let scheme_is_good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_is_good || rest.is_empty() {
        return Err(IssuerError::NotAbsolute);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_uris_are_issuers() {
        for text in ["https://wabbit.example", "urn:example:a", "did:x509:0:sha256:abc::subject:CN:a%20b", "a:b"] {
            assert_eq!(text.parse::<Issuer>().as_ref().map(Issuer::as_str), Ok(text));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, expected) in [
            ("", IssuerError::Length { found: 0 }),
            ("wabbit.example", IssuerError::NotAbsolute),
            (":x", IssuerError::NotAbsolute),
            ("https:", IssuerError::NotAbsolute),
            ("1a:x", IssuerError::NotAbsolute),
            ("a/b:c", IssuerError::NotAbsolute),
            ("https://a b", IssuerError::BadCharacter { position: 10 }),
            ("https://a\n", IssuerError::BadCharacter { position: 10 }),
            ("https://\u{e4}", IssuerError::BadCharacter { position: 9 }),
            ("https://a%2", IssuerError::BadCharacter { position: 10 }),
            ("https://a%zz", IssuerError::BadCharacter { position: 10 }),
            ("https://<a>", IssuerError::BadCharacter { position: 9 }),
        ] {
            assert_eq!(text.parse::<Issuer>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn one_character_over_the_limit_is_refused() {
        let uri = |length: usize| format!("a:{}", "b".repeat(length - 2));
        assert!(uri(ISSUER_CHARS_MAX).parse::<Issuer>().is_ok());
        let refused = IssuerError::Length { found: ISSUER_CHARS_MAX + 1 };
        assert_eq!(uri(ISSUER_CHARS_MAX + 1).parse::<Issuer>(), Err(refused));
    }
}
