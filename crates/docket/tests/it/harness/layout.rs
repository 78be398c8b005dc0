//! An image layout in a folder, as a test writes, reads and bends it.

use std::path::PathBuf;

use bytes::Bytes;
use docket_client::LayoutWriter;
use docket_oci::digest::Digest;
use docket_oci::manifest::{Descriptor, Manifest};
use docket_oci::media;

use super::{artifact, bytes_of, image, sha256};

/// A layout in a folder.
pub(crate) struct LayoutFolder {
    path: PathBuf,
}

/// The pieces of one claim with a document: everything that verification reads besides the artifact.
#[derive(Clone)]
pub(crate) struct ClaimPieces {
    /// The evidence manifest, E.
    pub evidence: Vec<u8>,
    /// The document, its only layer.
    pub document: Vec<u8>,
    /// The statement manifest, S.
    pub manifest: Vec<u8>,
    /// Its first layer, the transparent statement.
    pub statement: Vec<u8>,
    /// Its second layer, the bare receipt.
    pub receipt: Vec<u8>,
}

impl LayoutFolder {
    /// The layout that lies in a folder.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a layout with one image in it, which has this name there.
    pub(crate) async fn with_image(path: impl Into<PathBuf>, name: &str, seed: u64) -> Self {
        let layout = Self::at(path);
        let layer = bytes_of(seed, 5_000);
        let manifest = image(b"{}", &[&layer]);
        let mut writer = layout.writer().await;
        put(&writer, b"{}").await;
        put(&writer, &layer).await;
        put(&writer, &manifest).await;
        writer.list(Descriptor::of(media::OCI_IMAGE_MANIFEST, &manifest), Some(name));
        writer.finish().await.expect("the layout is written");
        layout
    }

    /// Makes a layout with an artifact and a claim about it, tied together by whatever the manifests say.
    pub(crate) async fn with_claim(path: impl Into<PathBuf>, artifact: &[u8], claim: &ClaimPieces) -> Self {
        let layout = Self::at(path);
        let mut writer = layout.writer().await;
        put(&writer, b"{}").await;
        for bytes in [&claim.document, &claim.statement, &claim.receipt, &claim.evidence, &claim.manifest] {
            put(&writer, bytes).await;
        }
        put(&writer, artifact).await;
        writer.list(Descriptor::of(media::OCI_IMAGE_MANIFEST, artifact), Some("v1"));
        writer.list(Descriptor::of(media::OCI_IMAGE_MANIFEST, &claim.evidence), None);
        writer.list(Descriptor::of(media::OCI_IMAGE_MANIFEST, &claim.manifest), None);
        writer.finish().await.expect("the layout is written");
        layout
    }

    /// Adds to the layout.
    pub(crate) async fn writer(&self) -> LayoutWriter {
        LayoutWriter::open(&self.path).await.expect("the folder is writable")
    }

    /// The file of a blob.
    pub(crate) fn file(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// The bytes of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> Vec<u8> {
        std::fs::read(self.file(digest)).unwrap_or_else(|failure| panic!("blob {digest}: {failure}"))
    }

    /// Every file of the layout but `index.json`, by name: two layouts that hold the same have the same.
    pub(crate) fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let folder = self.path.join("blobs/sha256");
        let mut found: Vec<_> = std::fs::read_dir(&folder)
            .expect("a layout has blobs")
            .map(|entry| entry.expect("a readable folder"))
            .map(|entry| {
                let name = entry.file_name().into_string().expect("a hex name");
                (name, std::fs::read(entry.path()).expect("a readable file"))
            })
            .collect();
        found.sort();
        found
    }

    /// The manifest of the only artifact that has a name.
    pub(crate) fn artifact(&self) -> Vec<u8> {
        let listed = self.listed();
        let named = listed.iter().find(|listed| listed.annotations.contains_key(media::ANNOTATION_REF_NAME));
        self.blob(&named.expect("an artifact with a name").digest)
    }

    /// The pieces of the only claim in the layout.
    pub(crate) fn claim(&self) -> ClaimPieces {
        let manifests = self.listed().into_iter().map(|listed| self.blob(&listed.digest));
        let manifests: Vec<_> = manifests.map(|bytes| (read(&bytes), bytes)).collect();
        let of_type = |statement: bool| {
            let mut found = manifests.iter().filter(|(manifest, _)| {
                manifest.subject.is_some()
                    && (manifest.artifact_type.as_deref() == Some(media::SCITT_STATEMENT)) == statement
            });
            let only = found.next().expect("a claim");
            assert!(found.next().is_none(), "more than one claim");
            only
        };
        let ((e, evidence), (s, manifest)) = (of_type(false), of_type(true));
        ClaimPieces {
            evidence: evidence.clone(),
            document: self.blob(&e.layers[0].digest),
            manifest: manifest.clone(),
            statement: self.blob(&s.layers[0].digest),
            receipt: self.blob(&s.layers[1].digest),
        }
    }

    fn listed(&self) -> Vec<Descriptor> {
        let index = std::fs::read(self.path.join("index.json")).expect("a layout has an index");
        read(&index).manifests
    }
}

impl ClaimPieces {
    /// The claim with another evidence manifest, and a statement manifest that refers to it.
    pub(crate) fn under(self, evidence: Vec<u8>) -> Self {
        Self { evidence, ..self }.tied()
    }

    /// The claim with another statement and receipt, and a statement manifest that holds them.
    pub(crate) fn saying(self, statement: Vec<u8>, receipt: Vec<u8>) -> Self {
        Self { statement, receipt, ..self }.tied()
    }

    /// The claim with a statement manifest that fits the other pieces.
    fn tied(self) -> Self {
        let layers = [
            Descriptor::of(media::SCITT_STATEMENT, &self.statement),
            Descriptor::of(media::SCITT_RECEIPT, &self.receipt),
        ];
        let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, &self.evidence);
        Self { manifest: artifact(media::SCITT_STATEMENT, &layers, Some(&subject), &[]), ..self }
    }
}

/// An evidence manifest about an artifact with these documents.
pub(crate) fn evidence(subject: &[u8], media_type: &str, documents: &[&[u8]]) -> Vec<u8> {
    let layers: Vec<_> = documents.iter().map(|document| Descriptor::of(media_type, document)).collect();
    artifact(media_type, &layers, Some(&Descriptor::of(media::OCI_IMAGE_MANIFEST, subject)), &[])
}

/// Writes a blob.
pub(crate) async fn put(writer: &LayoutWriter, bytes: &[u8]) {
    writer.write_bytes(&sha256(bytes), Bytes::copy_from_slice(bytes)).await.expect("the layout is writable");
}

fn read(bytes: &[u8]) -> Manifest {
    Manifest::parse(bytes, None).expect("a manifest")
}
