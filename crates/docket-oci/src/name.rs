//! Names of repositories and tags, and the references people write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

/// The name of a repository, `wabbit/net-monitor`: segments of lower-case letters and digits joined by `.`, `_`, `__`
/// or any number of `-` (distribution-spec, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the last slash.
    pub fn last_segment(&self) -> &str {
        self.0.rsplit('/').next().expect("splitting yields at least one piece")
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::RepositoryTooLong { bytes: text.len() });
        }
        if !text.split('/').all(is_name_segment) {
            return Err(NameError::Repository);
        }
        Ok(Self(text))
    }
}

/// A tag: a name that somebody moves from manifest to manifest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag that a reference without one means.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag under which a digest's referrers are listed where there is no referrers API (distribution-spec,
    /// "Referrers Tag Schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        Self(referrers_tag(subject.algorithm().as_str(), &subject.hex()))
    }

    /// The tag itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Tag {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text.len() > TAG_BYTES_MAX {
            return Err(NameError::TagTooLong { bytes: text.len() });
        }
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        if !starts_well || !text.chars().all(is_tag_character) {
            return Err(NameError::Tag);
        }
        Ok(Self(text))
    }
}

/// What names a manifest inside a repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reference {
    /// By a name that can move.
    Tag(Tag),
    /// By its content.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = NameError;

    /// Anything with a colon is a digest or wrong, never a tag.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

/// A manifest in a registry as people write it: `localhost:5000/wabbit/net-monitor:v1`, with `@sha256:…` behind if the content is fixed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ImageReference {
    /// The registry: a host name or address, with its port if one was written.
    pub host: String,
    /// The repository on it.
    pub repository: RepositoryName,
    /// What to ask the registry for. A digest wins over a tag; neither means the tag `latest`.
    pub reference: Reference,
    /// The tag that stood beside a digest. It says what somebody called the content, and is never asked for.
    pub tag: Option<Tag>,
}

impl ImageReference {
    /// The tag that was written or implied, wherever it stands.
    pub fn named_tag(&self) -> Option<&Tag> {
        match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => self.tag.as_ref(),
        }
    }
}

impl FromStr for ImageReference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (host, rest) = text.split_once('/').ok_or(NameError::NoHost)?;
        if !is_host(host) {
            return Err(NameError::NoHost);
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (repository, tag) = match named.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (named, None),
        };
        let (reference, tag) = match digest {
            Some(digest) => (Reference::Digest(digest), tag),
            None => (Reference::Tag(tag.unwrap_or_else(Tag::latest)), None),
        };
        Ok(Self { host: host.to_owned(), repository: repository.parse()?, reference, tag })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        match (&self.reference, &self.tag) {
            (Reference::Tag(tag), _) => write!(f, ":{tag}"),
            (Reference::Digest(digest), Some(tag)) => write!(f, ":{tag}@{digest}"),
            (Reference::Digest(digest), None) => write!(f, "@{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

/// Why a text is no name. Always the fault of whoever wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// A repository name is outside the grammar.
    #[error(
        "a repository name is lower-case letters and digits, joined by one of . _ __ or dashes, in segments divided by /"
    )]
    Repository,
    /// A repository name is over [`NAME_BYTES_MAX`].
    #[error("a repository name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}")]
    RepositoryTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A tag is outside the grammar.
    #[error("a tag is letters, digits and . _ - and starts with a letter, a digit or _")]
    Tag,
    /// A tag is over [`TAG_BYTES_MAX`].
    #[error("a tag has at most {TAG_BYTES_MAX} bytes, this one has {bytes}")]
    TagTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// What should be a digest is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A reference does not start with a registry.
    #[error("a reference starts with a registry: host/name:tag, where host is localhost or has a dot or a port")]
    NoHost,
}

/// The longest repository name: what clients accept for the whole name.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest tag, by its grammar.
pub const TAG_BYTES_MAX: usize = 128;
/// The longest host with its port: a DNS name's 253 bytes and `:65535`.
const HOST_BYTES_MAX: usize = 259;

/// `<algorithm>-<encoded>`, each cut so that any digest fits a tag, and what no tag may hold replaced.
fn referrers_tag(algorithm: &str, encoded: &str) -> String {
    const ALGORITHM_CHARS_MAX: usize = 32;
    const ENCODED_CHARS_MAX: usize = 64;
    let cut = algorithm.chars().take(ALGORITHM_CHARS_MAX).chain(['-']).chain(encoded.chars().take(ENCODED_CHARS_MAX));
    cut.map(|character| if is_tag_character(character) { character } else { '-' }).collect()
}

fn is_tag_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

/// One segment: runs of letters and digits with exactly one joint between them.
fn is_name_segment(segment: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let joints = segment.as_bytes().split(is_word);
    let (first, last) = (segment.bytes().next(), segment.bytes().last());
    // Neighbouring word characters leave an empty piece between them, which is no joint.
    first.is_some_and(|byte| is_word(&byte))
        && last.is_some_and(|byte| is_word(&byte))
        && joints.filter(|joint| !joint.is_empty()).all(is_joint)
}

fn is_joint(joint: &[u8]) -> bool {
    matches!(joint, b"." | b"_" | b"__") || joint.iter().all(|byte| *byte == b'-')
}

/// Whether the first segment of a reference is a registry rather than a part of a repository's name.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let port_is_good =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let name_is_good = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        }),
    };
    let is_told_from_a_name = name == "localhost" || port.is_some() || name.contains(['.', '[']);
    text.len() <= HOST_BYTES_MAX && port_is_good && name_is_good && is_told_from_a_name
}

#[cfg(test)]
mod tests;
