//! Issuers that are known by certificate: the roots that their chains lead to, and the `iss` that these may speak for.

use std::fmt;
use std::str::FromStr;

use crate::did_x509::is_oid;
use crate::key::{Issuer, IssuerError};
use crate::x509::{ChainError, Roots};

/// Most patterns of one issuer.
pub const PATTERNS_MAX: usize = 64;

/// Which `iss` are meant: one URI, or with `*` at its end all that begin so. The star stands behind `/` or `:`, so that
/// `https://wabbit.example` cannot come to mean `https://wabbit.example.evil` too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct IssuerPattern {
    literal: String,
    is_prefix: bool,
}

/// Roots, and what certificates below them are good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertifiedIssuer {
    roots: Roots,
    patterns: Vec<IssuerPattern>,
    purpose: Option<String>,
}

/// Why an issuer cannot be known by certificate so: the fault of whoever configures it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertifiedError {
    /// A pattern that is none.
    #[error("issuer pattern {pattern:?}: {reason}")]
    Pattern {
        /// What stands there.
        pattern: String,
        /// What is wrong with it.
        reason: IssuerError,
    },
    /// A star that does not stand at the end behind `/` or `:`.
    #[error(
        "issuer pattern {pattern:?} has a * elsewhere than at its end behind / or :, such as https://wabbit.example/*"
    )]
    Star {
        /// What stands there.
        pattern: String,
    },
    /// None, or more than [`PATTERNS_MAX`].
    #[error(
        "an issuer that is known by certificate has 1 to {PATTERNS_MAX} patterns of what it may call itself, found {found}"
    )]
    PatternCount {
        /// How many there are.
        found: usize,
    },
    /// Two patterns that mean the same `iss`.
    #[error("issuer patterns {one} and {other} mean the same issuers in part; one of them is enough")]
    Overlap {
        /// The first.
        one: IssuerPattern,
        /// The second.
        other: IssuerPattern,
    },
    /// The purpose is no OID.
    #[error("extended key usage {found:?} is no object identifier, such as 1.3.6.1.5.5.7.3.3 (code signing)")]
    Purpose {
        /// What stands there.
        found: String,
    },
    /// The roots cannot be used.
    #[error("root certificates: {0}")]
    Roots(#[from] ChainError),
}

impl IssuerPattern {
    /// The one `iss` that an issuer with a key has.
    pub fn exactly(issuer: &Issuer) -> Self {
        Self { literal: issuer.as_str().to_owned(), is_prefix: false }
    }

    /// Whether the pattern means this `iss`.
    pub fn covers(&self, issuer: &Issuer) -> bool {
        self.covers_text(issuer.as_str())
    }

    /// Whether there is an `iss` that both mean.
    pub fn overlaps(&self, other: &Self) -> bool {
        // Each covers all that begins with its literal, or that alone: if they meet, one covers the literal of the other.
        self.covers_text(&other.literal) || other.covers_text(&self.literal)
    }

    /// The pattern without its star: patterns that do not overlap are found by it, in the order of bytes.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    fn covers_text(&self, text: &str) -> bool {
        if self.is_prefix { text.starts_with(&self.literal) } else { text == self.literal }
    }
}

impl FromStr for IssuerPattern {
    type Err = CertifiedError;

    fn from_str(text: &str) -> Result<Self, CertifiedError> {
        let bad_star = || CertifiedError::Star { pattern: text.to_owned() };
        let (literal, is_prefix) = text.strip_suffix('*').map_or((text, false), |literal| (literal, true));
        if literal.contains('*') || (is_prefix && !literal.ends_with(['/', ':'])) {
            return Err(bad_star());
        }
        // What begins so must be able to be a URI: with a letter behind it, a good prefix is one.
        let sample = if is_prefix { format!("{literal}a") } else { literal.to_owned() };
        let checked = sample.parse::<Issuer>();
        checked.map_err(|reason| CertifiedError::Pattern { pattern: text.to_owned(), reason })?;
        Ok(Self { literal: literal.to_owned(), is_prefix })
    }
}

impl fmt::Display for IssuerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.literal, if self.is_prefix { "*" } else { "" })
    }
}

impl CertifiedIssuer {
    /// Roots, the `iss` they may speak for, and the extended key usage (an OID) that certificates must have, if any.
    pub fn new(roots: Roots, patterns: Vec<IssuerPattern>, purpose: Option<String>) -> Result<Self, CertifiedError> {
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            return Err(CertifiedError::PatternCount { found: patterns.len() });
        }
        for (position, other) in patterns.iter().enumerate() {
            if let Some(one) = patterns[..position].iter().find(|one| one.overlaps(other)) {
                return Err(CertifiedError::Overlap { one: one.clone(), other: other.clone() });
            }
        }
        if let Some(found) = purpose.as_ref().filter(|purpose| !is_oid(purpose)) {
            return Err(CertifiedError::Purpose { found: found.clone() });
        }
        Ok(Self { roots, patterns, purpose })
    }

    /// Reads PEM roots, patterns and purpose as they are configured.
    pub fn parse(roots: &str, patterns: &[String], purpose: Option<String>) -> Result<Self, CertifiedError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(CertifiedError::PatternCount { found: patterns.len() });
        }
        let patterns = patterns.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>()?;
        Self::new(Roots::from_pem(roots)?, patterns, purpose)
    }

    /// The roots.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// What it may call itself.
    pub fn patterns(&self) -> &[IssuerPattern] {
        &self.patterns
    }

    /// The extended key usage that its certificates must have.
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// Whether it may speak as this `iss`.
    pub fn covers(&self, issuer: &Issuer) -> bool {
        self.patterns.iter().any(|pattern| pattern.covers(issuer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> IssuerPattern {
        text.parse().expect(text)
    }

    #[test]
    fn a_pattern_means_one_uri_or_all_below_it() {
        for (text, means, not) in [
            (
                "https://wabbit.example",
                vec!["https://wabbit.example"],
                vec!["https://wabbit.example/", "https://wabbit"],
            ),
            (
                "https://wabbit.example/*",
                vec!["https://wabbit.example/", "https://wabbit.example/a/b"],
                vec!["https://wabbit.example", "https://wabbit.example.evil/", "HTTPS://wabbit.example/a"],
            ),
            (
                "did:x509:0:sha256:abc::*",
                vec!["did:x509:0:sha256:abc::eku:1.2"],
                vec!["did:x509:0:sha256:abcd::eku:1.2"],
            ),
        ] {
            let covers = |issuer: &&str| pattern(text).covers(&issuer.parse().expect("a URI"));
            assert!(means.iter().all(covers), "{text}");
            assert!(!not.iter().any(covers), "{text}");
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn a_pattern_is_a_uri_with_a_star_behind_a_separator() {
        for text in ["*", "https://wabbit*", "https://*.example/", "https://a/**", "https://a/*/b", "wabbit*"] {
            assert_eq!(text.parse::<IssuerPattern>(), Err(CertifiedError::Star { pattern: text.to_owned() }), "{text}");
        }
        for text in ["", "wabbit", "/*", "https://a b/*", "https://\u{e9}/*"] {
            assert!(matches!(text.parse::<IssuerPattern>(), Err(CertifiedError::Pattern { .. })), "{text}");
        }
    }

    #[test]
    fn patterns_overlap_where_one_iss_is_meant_by_both() {
        for (one, other, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://b.example", false),
            ("https://a.example/*", "https://a.example", false),
            ("https://a.example/*", "https://a.example/", true),
            ("https://a.example/*", "https://a.example/b/*", true),
            ("https://a.example/b/*", "https://a.example/c/*", false),
            ("https://*", "https://a.example", true),
        ] {
            assert_eq!(pattern(one).overlaps(&pattern(other)), expected, "{one} {other}");
            assert_eq!(pattern(other).overlaps(&pattern(one)), expected, "{other} {one}");
        }
    }

    #[test]
    fn an_issuer_has_patterns_that_do_not_overlap_and_a_purpose_that_is_an_oid() {
        let root = crate::authority::Authority::root("Root");
        let roots = crate::authority::pem(&[root.der()]);
        let new = |patterns: &[&str], purpose: Option<&str>| {
            let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            CertifiedIssuer::parse(&roots, &patterns, purpose.map(str::to_owned))
        };
        assert!(new(&["https://a.example/*", "https://b.example"], Some("1.3.6.1.5.5.7.3.3")).is_ok());
        assert_eq!(new(&[], None), Err(CertifiedError::PatternCount { found: 0 }));
        let many = vec!["https://a.example"; PATTERNS_MAX + 1];
        assert_eq!(new(&many, None), Err(CertifiedError::PatternCount { found: PATTERNS_MAX + 1 }));
        assert!(matches!(new(&["https://*", "https://a.example"], None), Err(CertifiedError::Overlap { .. })));
        for purpose in ["", "code signing", "1", "1.", "1.03"] {
            assert!(matches!(new(&["https://*"], Some(purpose)), Err(CertifiedError::Purpose { .. })), "{purpose}");
        }
        let none = CertifiedIssuer::parse("none", &["https://*".to_owned()], None);
        assert_eq!(none, Err(CertifiedError::Roots(ChainError::RootCount { found: 0 })));
    }
}
