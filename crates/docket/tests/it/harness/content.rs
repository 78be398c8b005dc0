//! Content to push: bytes that differ, and manifests around them.

use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, artifact_manifest, index_bytes};
use docket_oci::media;

/// The digest of no bytes at all.
pub(crate) const EMPTY_DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// As many bytes as asked, different for each seed and not compressible.
pub(crate) fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    // A xorshift generator: quick, and the same everywhere.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

pub(crate) fn sha512(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha512, bytes)
}

/// An image manifest over these layers, with a config of no meaning.
pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|layer| Descriptor::of(media::OCI_LAYER, layer)).collect();
    image_of(&Descriptor::of(media::OCI_IMAGE_CONFIG, config), &layers)
}

/// An image manifest over these descriptors.
pub(crate) fn image_of(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_IMAGE_MANIFEST, "config": config, "layers": layers,
    });
    manifest.to_string().into_bytes()
}

/// An artifact manifest about a subject, with these annotations.
pub(crate) fn artifact(
    artifact_type: &str,
    layers: &[Descriptor],
    subject: Option<&Descriptor>,
    annotations: &[(&str, &str)],
) -> Vec<u8> {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    artifact_manifest(artifact_type, layers, subject, &annotations)
}

/// An index over these manifests.
pub(crate) fn index(manifests: &[&[u8]]) -> Vec<u8> {
    let manifests: Vec<_> =
        manifests.iter().map(|manifest| Descriptor::of(media::OCI_IMAGE_MANIFEST, manifest)).collect();
    index_bytes(&manifests, &std::collections::BTreeMap::new())
}
