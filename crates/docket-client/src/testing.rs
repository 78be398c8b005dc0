//! What the tests of this crate share: a layout with an image, evidence about it and a statement about that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docket_oci::manifest::{artifact_manifest, index_bytes};
use docket_oci::{Algorithm, Descriptor, Digest, media};
use tempfile::TempDir;

use crate::layout::LayoutWriter;

/// Everything of one test lies in a folder of its own.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("the system has a folder for temporary files"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The names of everything in the sandbox's own folder, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder is ours");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The digests of the sample's parts.
pub(crate) struct Sample {
    pub(crate) index: Digest,
    pub(crate) image: Digest,
    pub(crate) layer: Digest,
    pub(crate) evidence: Digest,
    pub(crate) statement: Digest,
}

pub(crate) const EVIDENCE_TYPE: &str = "application/vnd.cyclonedx+json";

/// Writes a multi-platform image named `v1` with a foreign layer, an SBOM about it and a statement about the SBOM.
pub(crate) async fn write_sample(folder: &Path) -> Sample {
    let mut writer = LayoutWriter::open(folder).await.expect("the folder is writable");
    let config = put(&writer, media::OCI_IMAGE_CONFIG, b"{\"os\":\"linux\"}").await;
    let layer = put(&writer, media::OCI_LAYER, &vec![7; 700_000]).await;
    let small = put(&writer, media::OCI_LAYER, b"small").await;
    let foreign = Descriptor::of(media::DOCKER_LAYER_FOREIGN, b"never pushed");
    let image = |layers: &[&Descriptor]| {
        let body = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::OCI_IMAGE_MANIFEST, "config": config, "layers": layers,
        });
        body.to_string().into_bytes()
    };
    let first = put(&writer, media::OCI_IMAGE_MANIFEST, &image(&[&layer, &small])).await;
    let second = put(&writer, media::OCI_IMAGE_MANIFEST, &image(&[&small, &foreign])).await;
    let inner =
        put(&writer, media::OCI_IMAGE_INDEX, &index_bytes(std::slice::from_ref(&second), &BTreeMap::new())).await;
    let index = put(&writer, media::OCI_IMAGE_INDEX, &index_bytes(&[inner, first.clone()], &BTreeMap::new())).await;
    put(&writer, media::OCI_EMPTY, media::OCI_EMPTY_BYTES).await;
    let document = put(&writer, EVIDENCE_TYPE, b"{\"bomFormat\":\"CycloneDX\"}").await;
    let none = BTreeMap::new();
    let evidence = artifact_manifest(EVIDENCE_TYPE, &[document], Some(&index), &none);
    let evidence = put(&writer, media::OCI_IMAGE_MANIFEST, &evidence).await;
    let signed = put(&writer, media::SCITT_STATEMENT, b"statement").await;
    let statement = artifact_manifest(media::SCITT_STATEMENT, &[signed], Some(&evidence), &none);
    let statement = put(&writer, media::OCI_IMAGE_MANIFEST, &statement).await;
    writer.list(index.clone(), Some("v1"));
    writer.list(evidence.clone(), None);
    writer.list(statement.clone(), None);
    writer.finish().await.expect("the folder is writable");
    Sample {
        index: index.digest,
        image: first.digest,
        layer: layer.digest,
        evidence: evidence.digest,
        statement: statement.digest,
    }
}

/// Writes bytes as a blob and describes them.
pub(crate) async fn put(writer: &LayoutWriter, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    writer.write_bytes(&descriptor.digest, Bytes::copy_from_slice(bytes)).await.expect("the folder is writable");
    descriptor
}

/// The file that holds a blob of a layout in a folder.
pub(crate) fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(Algorithm::Sha256.as_str()).join(digest.hex())
}
