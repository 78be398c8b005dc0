//! Reads manifests and refuses every one that two readers could understand differently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::descriptor::null_is_default;
use super::{Descriptor, Kind, MANIFEST_BYTES_MAX, Manifest};
use crate::media;

impl Manifest {
    /// Reads a manifest from its exact bytes and the type it came with (image-spec; distribution-spec, "Pushing Manifests").
    ///
    /// Parameters of `content_type` are ignored; pass `None` where the transport says nothing worth believing. Unknown fields,
    /// embedded data and empty lists are accepted.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        // The JSON parser skips over unknown fields without looking at their encoding.
        std::str::from_utf8(bytes)?;
        check_depth(bytes)?;
        let keys = top_level_keys(bytes)?;
        let body: Body = serde_json::from_slice(bytes)?;

        let content_type = content_type.map(media::essence).filter(|named| !named.is_empty());
        let named = body.media_type.as_deref().filter(|named| !named.is_empty());
        if body.schema_version == Some(1) || [content_type, named].into_iter().flatten().any(media::is_schema_1) {
            return Err(ManifestError::Schema1);
        }
        if body.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        let looks_like_index = keys.contains("manifests");
        let looks_like_image = keys.contains("config") || keys.contains("layers");
        if looks_like_index && looks_like_image {
            return Err(ManifestError::Hybrid);
        }
        let implied = match (looks_like_index, looks_like_image) {
            (true, _) => Some(media::OCI_IMAGE_INDEX),
            (_, true) => Some(media::OCI_IMAGE_MANIFEST),
            (false, false) => None,
        };
        let resolved = match (named, content_type) {
            (Some(named), Some(sent)) if named != sent => {
                return Err(ManifestError::TypeMismatch { body: named.to_owned(), request: sent.to_owned() });
            }
            (Some(named), _) => named,
            (None, Some(sent)) => sent,
            (None, None) => implied.ok_or(ManifestError::NoType)?,
        };
        if !media::is_manifest(resolved) {
            return Err(ManifestError::UnknownType { media_type: resolved.to_owned() });
        }
        let kind = if media::is_index(resolved) { Kind::Index } else { Kind::Image };
        match kind {
            Kind::Index if looks_like_image => {
                return Err(ManifestError::OtherShape { media_type: resolved.to_owned() });
            }
            Kind::Image if looks_like_index => {
                return Err(ManifestError::OtherShape { media_type: resolved.to_owned() });
            }
            Kind::Image if body.config.is_none() => return Err(ManifestError::NoConfig),
            Kind::Image | Kind::Index => {}
        }
        let resolved_media_type = resolved.to_owned();
        Ok(Self {
            media_type: body.media_type,
            artifact_type: body.artifact_type,
            config: body.config,
            layers: body.layers,
            manifests: body.manifests,
            subject: body.subject,
            annotations: body.annotations,
            kind,
            resolved_media_type,
        })
    }
}

/// Why bytes are no manifest. Always the fault of whoever made them.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MANIFEST_BYTES_MAX`].
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes, this one has {bytes}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the manifest is not utf-8: {0}")]
    Encoding(#[from] std::str::Utf8Error),
    /// Nested beyond [`DEPTH_MAX`].
    #[error("the manifest is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More top-level keys than [`TOP_LEVEL_KEYS_MAX`].
    #[error("the manifest has more than {TOP_LEVEL_KEYS_MAX} top-level keys")]
    TooManyKeys,
    /// Not JSON, or a field of another shape: a negative size, a malformed digest, a missing member.
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A key stands twice, and readers disagree which counts.
    #[error("the manifest has the key {key:?} twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key that only readers who ignore case would understand.
    #[error("the manifest has the key {key:?} in another case than the specification")]
    MiscasedKey {
        /// The key as it was written.
        key: String,
    },
    /// Both an index and an image (CVE-2021-41190).
    #[error("the manifest has both manifests and config or layers, so readers would disagree on what it is")]
    Hybrid,
    /// The dead Docker schema 1.
    #[error("docker manifest schema 1 is not supported, push the image with schema 2 or as OCI")]
    Schema1,
    /// `schemaVersion` is missing or another number.
    #[error("the manifest has no schemaVersion 2")]
    SchemaVersion,
    /// The type in the body and the type of the request differ.
    #[error("the manifest says it is {body:?} but came as {request:?}")]
    TypeMismatch {
        /// The `mediaType` of the body.
        body: String,
        /// The `Content-Type` of the request.
        request: String,
    },
    /// Neither the body nor the request nor the shape says what it is.
    #[error(
        "nothing says what kind of manifest this is: no mediaType, no content type, no config, layers or manifests"
    )]
    NoType,
    /// The type is no manifest type we know.
    #[error("{media_type:?} is no supported manifest type")]
    UnknownType {
        /// The type.
        media_type: String,
    },
    /// The members are those of the other kind.
    #[error("the manifest is {media_type:?} but has the members of the other kind")]
    OtherShape {
        /// The type.
        media_type: String,
    },
    /// An image manifest without config.
    #[error("the image manifest has no config")]
    NoConfig,
}

/// How deep a manifest may be nested; the specification's own members need four levels.
pub const DEPTH_MAX: usize = 64;
/// How many members the top-level object may have.
pub const TOP_LEVEL_KEYS_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
}

/// The members of `Body` as they are written; a test holds the two together.
pub(super) const KNOWN_KEYS: [&str; 8] =
    ["schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"];

/// Counts brackets outside strings. Malformed JSON is left to the parser that follows.
fn check_depth(bytes: &[u8]) -> Result<(), ManifestError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ManifestError::TooDeep);
        }
    }
    Ok(())
}

/// The keys of the top-level object, each standing once and in the specification's own case.
fn top_level_keys(bytes: &[u8]) -> Result<BTreeSet<String>, ManifestError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut unique = BTreeSet::new();
    for key in deserializer.deserialize_map(Keys)? {
        if unique.len() == TOP_LEVEL_KEYS_MAX {
            return Err(ManifestError::TooManyKeys);
        }
        if KNOWN_KEYS.iter().any(|known| *known != key && known.eq_ignore_ascii_case(&key)) {
            return Err(ManifestError::MiscasedKey { key });
        }
        if let Some(key) = unique.replace(key) {
            return Err(ManifestError::DuplicateKey { key });
        }
    }
    Ok(unique)
}

/// Reads an object's keys in order; one more than the limit is enough to know.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if keys.len() <= TOP_LEVEL_KEYS_MAX {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}
