//! Manifests: read permissively but never ambiguously, written deterministically.

mod descriptor;
mod parse;
mod write;

use std::collections::BTreeMap;

pub use descriptor::{Descriptor, Platform};
pub use parse::{DEPTH_MAX, ManifestError, TOP_LEVEL_KEYS_MAX};
pub use write::{artifact_manifest, index_bytes, index_of_written};

use crate::media;

/// A manifest of either kind, as far as a registry must understand it (image-spec, "Image Manifest" and "Image Index").
///
/// It can be made only by [`Manifest::parse`]. It is a reading of the bytes, never their replacement: identity is the digest
/// over the bytes as received, and those are what is stored and sent.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// The type that the body itself names.
    pub media_type: Option<String>,
    /// What kind of artifact this is.
    pub artifact_type: Option<String>,
    /// The configuration; always there in an image manifest.
    pub config: Option<Descriptor>,
    /// The layers of an image manifest; may be empty.
    pub layers: Vec<Descriptor>,
    /// The children of an index; may be empty, and build caches put blobs here too.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// Free key-value pairs.
    pub annotations: BTreeMap<String, String>,
    kind: Kind,
    resolved_media_type: String,
}

/// The two shapes of manifests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Config and layers: an image, or any other artifact.
    Image,
    /// A list of other manifests.
    Index,
}

impl Manifest {
    /// The type to store and serve the manifest under: that of the body, else that of the request, else the one its shape implies.
    pub fn resolved_media_type(&self) -> &str {
        &self.resolved_media_type
    }

    /// Which of the two shapes it has.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The `artifactType` of this manifest's descriptor in a referrers listing: its own, else the type of an image
    /// manifest's config, else none (distribution-spec, "Listing Referrers").
    pub fn referrer_artifact_type(&self) -> Option<&str> {
        let own = self.artifact_type.as_deref().filter(|own| !own.is_empty());
        own.or_else(|| self.config.as_ref().map(|config| config.media_type.as_str()))
    }

    /// The blobs that must be there for the manifest to be complete: config and layers, without foreign layers.
    pub fn required_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(self.layers.iter().filter(|layer| !media::is_foreign_layer(&layer.media_type)))
    }

    /// The manifests that an index lists; none for an image manifest.
    pub fn children(&self) -> &[Descriptor] {
        &self.manifests
    }
}

/// The largest manifest: what clients read at most.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
