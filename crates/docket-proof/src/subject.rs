//! What a statement is about: the CWT `sub`, an artifact by digest, a stream of artifacts, or another party's name.
//!
//! Artifacts and streams are package URLs of type `oci` without registry host, so a claim survives promotion from one
//! registry to another. The name inside is for people: artifacts are compared by digest only.

use std::fmt;

use docket_oci::{Digest, RepositoryName};

/// Most bytes a subject may have.
pub const SUBJECT_BYTES_MAX: usize = 8192;

/// A checked CWT `sub`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject {
    text: String,
    meaning: Meaning,
}

/// Why a text is not a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Empty or too long.
    #[error("a subject has 1 to {SUBJECT_BYTES_MAX} bytes, this has {found}")]
    Length {
        /// How many bytes were found.
        found: usize,
    },
    /// A control character, which has no place in a name that is shown to people.
    #[error("a subject may not hold control characters")]
    ControlCharacter,
    /// `pkg:oci/` without one plain name behind it.
    #[error("subject pkg:oci/ needs one name without a slash, then @ and a digest or nothing")]
    BadName,
    /// The version is not a percent-encoded digest.
    #[error("subject pkg:oci/ has a version that is not a digest such as sha256%3A<64 hex digits>")]
    BadDigest,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Meaning {
    Artifact(Digest),
    Stream,
    Opaque,
}

impl Subject {
    /// The artifact with `digest`: `pkg:oci/<last path segment>@sha256%3A<hex>`.
    pub fn artifact(repository: &RepositoryName, digest: &Digest) -> Self {
        let name = repository.last_segment();
        let text = format!("{OCI}{name}@{}%3A{}", digest.algorithm(), digest.hex());
        Self { text, meaning: Meaning::Artifact(*digest) }
    }

    /// The stream of all artifacts called so: `pkg:oci/<last path segment>`.
    pub fn stream(repository: &RepositoryName) -> Self {
        Self { text: format!("{OCI}{}", repository.last_segment()), meaning: Meaning::Stream }
    }

    /// Reads any subject. What starts with `pkg:oci/` must be an artifact or a stream (qualifiers and subpath are allowed and
    /// not read); anything else is kept as another party's name.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if text.is_empty() || text.len() > SUBJECT_BYTES_MAX {
            return Err(SubjectError::Length { found: text.len() });
        }
        if text.chars().any(char::is_control) {
            return Err(SubjectError::ControlCharacter);
        }
        let meaning = text.strip_prefix(OCI).map_or(Ok(Meaning::Opaque), oci_meaning)?;
        Ok(Self { text: text.to_owned(), meaning })
    }

    /// The text as it is signed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digest of the artifact, if this names one.
    pub fn digest(&self) -> Option<Digest> {
        match self.meaning {
            Meaning::Artifact(digest) => Some(digest),
            Meaning::Stream | Meaning::Opaque => None,
        }
    }

    /// The name of the artifact or the stream, as it is signed. It is for people: whoever signs chooses it, and nothing
    /// binds it to the digest beside it.
    pub fn name(&self) -> Option<String> {
        let path = self.text.strip_prefix(OCI)?.split(['?', '#']).next()?;
        percent_decode(path.split('@').next()?)
    }

    /// Whether this names a stream.
    pub fn is_stream(&self) -> bool {
        self.meaning == Meaning::Stream
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn oci_meaning(rest: &str) -> Result<Meaning, SubjectError> {
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let (name, version) = match path.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (path, None),
    };
    let name = percent_decode(name).ok_or(SubjectError::BadName)?;
    if name.is_empty() || name.contains('/') {
        return Err(SubjectError::BadName);
    }
    let Some(version) = version else {
        return Ok(Meaning::Stream);
    };
    let digest = percent_decode(version).and_then(|version| version.parse().ok());
    digest.map(Meaning::Artifact).ok_or(SubjectError::BadDigest)
}

/// Replaces each `%` and its two hex digits; `None` for a stray `%` or for bytes that are not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (pair, after) = rest.split_first_chunk::<2>()?;
        let mut decoded = [0];
        hex::decode_to_slice(pair, &mut decoded).ok()?;
        bytes.extend(decoded);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The package URL type of OCI artifacts.
const OCI: &str = "pkg:oci/";

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

    fn repository() -> RepositoryName {
        "wabbit/net-monitor".parse().expect("a repository name")
    }

    fn digest() -> Digest {
        format!("sha256:{HEX}").parse().expect("a digest")
    }

    #[test]
    fn an_artifact_is_named_without_registry_and_found_by_digest() {
        let subject = Subject::artifact(&repository(), &digest());
        assert_eq!(subject.as_str(), format!("pkg:oci/net-monitor@sha256%3A{HEX}"));
        assert_eq!((subject.digest(), subject.name().as_deref()), (Some(digest()), Some("net-monitor")));
        assert_eq!(Subject::parse(subject.as_str()), Ok(subject));
    }

    #[test]
    fn a_stream_has_no_digest() {
        let subject = Subject::stream(&repository());
        assert_eq!((subject.as_str(), subject.is_stream(), subject.digest()), ("pkg:oci/net-monitor", true, None));
        assert_eq!(Subject::parse("pkg:oci/net-monitor"), Ok(subject));
    }

    #[test]
    fn spellings_that_package_urls_allow_mean_the_same_digest() {
        for text in [
            format!("pkg:oci/a@sha256:{HEX}"),
            format!("pkg:oci/a@sha256%3a{HEX}?repository_url=localhost:5000/wabbit#sub"),
            format!("pkg:oci/%61@sha256%3A{HEX}"),
        ] {
            assert_eq!(Subject::parse(&text).map(|subject| subject.digest()), Ok(Some(digest())), "{text}");
        }
    }

    #[test]
    fn a_name_of_another_kind_is_kept_as_it_stands() {
        for text in ["pkg:cargo/docket@0.1.0", "https://a.example/b", "PKG:OCI/a", "net monitor \u{fc}"] {
            let subject = Subject::parse(text).expect(text);
            assert_eq!((subject.as_str(), subject.digest(), subject.is_stream()), (text, None, false));
        }
    }

    #[test]
    fn what_looks_like_an_artifact_must_be_one() {
        for (text, expected) in [
            (String::new(), SubjectError::Length { found: 0 }),
            ("a\nb".to_owned(), SubjectError::ControlCharacter),
            ("pkg:oci/".to_owned(), SubjectError::BadName),
            ("pkg:oci/a/b".to_owned(), SubjectError::BadName),
            ("pkg:oci/a%2Fb".to_owned(), SubjectError::BadName),
            ("pkg:oci/a%".to_owned(), SubjectError::BadName),
            (format!("pkg:oci/@sha256%3A{HEX}"), SubjectError::BadName),
            ("pkg:oci/a@".to_owned(), SubjectError::BadDigest),
            ("pkg:oci/a@v1".to_owned(), SubjectError::BadDigest),
            (format!("pkg:oci/a@sha256%3{HEX}"), SubjectError::BadDigest),
            (format!("pkg:oci/a@sha256%3A{}", HEX.to_uppercase()), SubjectError::BadDigest),
            (format!("pkg:oci/a@sha256%3A{HEX}0"), SubjectError::BadDigest),
            (format!("pkg:oci/a@sha256%3A{HEX}@b"), SubjectError::BadDigest),
        ] {
            assert_eq!(Subject::parse(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn one_byte_over_the_limit_is_refused() {
        assert!(Subject::parse(&"a".repeat(SUBJECT_BYTES_MAX)).is_ok());
        let over = Subject::parse(&"a".repeat(SUBJECT_BYTES_MAX + 1));
        assert_eq!(over, Err(SubjectError::Length { found: SUBJECT_BYTES_MAX + 1 }));
    }
}
