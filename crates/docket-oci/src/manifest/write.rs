//! Writes manifests: the same input always gives the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Descriptor;
use crate::media;

/// The bytes of an artifact manifest without configuration, in the shape that `oras attach` gives it (image-spec, "Guidelines for
/// Artifact Usage"): `artifactType`, the empty config, the layers, and the subject it is about.
///
/// An artifact without layers gets the empty descriptor as its only one, because image manifests have at least one layer.
pub fn artifact_manifest(
    artifact_type: &str,
    layers: &[Descriptor],
    subject: Option<&Descriptor>,
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let empty = [Descriptor::empty()];
    to_json(&ArtifactManifest {
        schema_version: 2,
        media_type: media::OCI_IMAGE_MANIFEST,
        artifact_type,
        config: &empty[0],
        layers: if layers.is_empty() { &empty } else { layers },
        subject,
        annotations,
    })
}

/// The bytes of an image index: a referrers listing, or the `index.json` of a layout.
pub fn index_bytes(manifests: &[Descriptor], annotations: &BTreeMap<String, String>) -> Vec<u8> {
    to_json(&Index { schema_version: 2, media_type: media::OCI_IMAGE_INDEX, manifests, annotations })
}

/// The bytes of a referrers listing from descriptors that are written already: JSON objects joined by commas.
pub fn index_of_written(manifests: &str) -> Vec<u8> {
    let (head, end) = (r#"{"schemaVersion":2,"mediaType":""#, r#"","manifests":["#);
    [head, media::OCI_IMAGE_INDEX, end, manifests, "]}"].concat().into_bytes()
}

// Field order is wire order: these structs fix the bytes, and golden tests hold them.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactManifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    artifact_type: &'a str,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: &'a [Descriptor],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and maps with string keys always serialize")
}
