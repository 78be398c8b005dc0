//! The media types that Docket knows by name.

/// An OCI image manifest, also the manifest of any artifact.
pub const OCI_IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of an OCI image.
pub const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The layout marker file of an OCI image layout.
pub const OCI_LAYOUT_HEADER: &str = "application/vnd.oci.layout.header.v1+json";
/// The empty JSON object that stands where an artifact has no configuration (image-spec, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The content of [`OCI_EMPTY`].
pub const OCI_EMPTY_BYTES: &[u8] = b"{}";
/// The digest of [`OCI_EMPTY_BYTES`].
pub const OCI_EMPTY_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// The size of [`OCI_EMPTY_BYTES`].
pub const OCI_EMPTY_SIZE: u64 = 2;
/// [`OCI_EMPTY_BYTES`] in base64, as a descriptor's `data`.
pub const OCI_EMPTY_DATA: &str = "e30=";

/// An uncompressed OCI layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A gzip OCI layer.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A zstd OCI layer.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The configuration of a Docker image.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A gzip Docker layer.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// A Docker layer that is fetched from its `urls`, never from a registry.
pub const DOCKER_LAYER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// A Docker image manifest of the dead schema 1.
pub const DOCKER_MANIFEST_V1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The same with its embedded signature.
pub const DOCKER_MANIFEST_V1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// A SCITT statement, transparent once it carries a receipt (RFC 9943).
pub const SCITT_STATEMENT: &str = "application/scitt-statement+cose";
/// A SCITT receipt (RFC 9942).
pub const SCITT_RECEIPT: &str = "application/scitt-receipt+cose";

/// The annotation that names a manifest inside an image layout.
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation with the moment an artifact was made, in RFC 3339.
pub const ANNOTATION_CREATED: &str = "org.opencontainers.image.created";
/// The annotation with the file name of a layer that is a file.
pub const ANNOTATION_TITLE: &str = "org.opencontainers.image.title";

/// All types that a manifest can be pushed and fetched as, best first: what a client lists in `Accept`.
pub const MANIFESTS: [&str; 4] = [OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST];

/// Whether content of this type is a manifest of either kind: an image manifest or an index.
pub fn is_manifest(media_type: &str) -> bool {
    MANIFESTS.contains(&media_type)
}

/// Whether content of this type lists other manifests.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_INDEX | DOCKER_MANIFEST_LIST)
}

/// Whether content of this type is a manifest of the dead schema 1.
pub fn is_schema_1(media_type: &str) -> bool {
    matches!(media_type, DOCKER_MANIFEST_V1 | DOCKER_MANIFEST_V1_SIGNED)
}

/// Whether a layer of this type lives elsewhere, so that no registry has to hold its bytes (image-spec, "Non-Distributable Layers").
pub fn is_foreign_layer(media_type: &str) -> bool {
    media_type == DOCKER_LAYER_FOREIGN
        || media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
}

/// The type without its parameters and surrounding space: `a/b; charset=utf-8` is `a/b`.
pub fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, Digest};

    #[test]
    fn the_empty_descriptor_describes_its_bytes() {
        assert_eq!(Digest::of(Algorithm::Sha256, OCI_EMPTY_BYTES).to_string(), OCI_EMPTY_DIGEST);
        assert_eq!(OCI_EMPTY_BYTES.len() as u64, OCI_EMPTY_SIZE);
    }

    #[test]
    fn types_are_sorted_into_their_kinds() {
        assert!(is_manifest(OCI_IMAGE_INDEX) && is_index(OCI_IMAGE_INDEX));
        assert!(is_manifest(DOCKER_MANIFEST) && !is_index(DOCKER_MANIFEST));
        assert!(!is_manifest(OCI_LAYER_GZIP) && !is_manifest(DOCKER_MANIFEST_V1));
        assert!(is_foreign_layer("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"));
        assert!(is_foreign_layer(DOCKER_LAYER_FOREIGN) && !is_foreign_layer(OCI_LAYER));
        assert_eq!(essence(" a/b ; charset=utf-8"), "a/b");
    }
}
