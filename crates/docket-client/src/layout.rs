//! Image layouts: registries made of files, in a folder or in one tar file (image-spec, "Image Layout").

mod archive;
mod resolve;
mod write;

pub use archive::{ARCHIVE_ENTRIES_MAX, EXTENSION_BYTES_MAX};
pub use write::LayoutWriter;

use std::collections::{BTreeMap, HashMap};
use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docket_oci::manifest::MANIFEST_BYTES_MAX;
use docket_oci::{Descriptor, Digest, Reference, media};
use futures_util::TryStreamExt;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::OnceCell;
use tokio_util::io::ReaderStream;

use crate::blob::BlobStream;
use crate::error::ClientError;
use crate::registry::FetchedManifest;
use archive::Extent;

/// A layout that is read. Its index is read once, its blobs each time they are asked for; nothing is ever unpacked.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    files: Files,
    /// What `index.json` lists.
    listed: Vec<Descriptor>,
    /// What else `index.json` says.
    annotations: BTreeMap<String, String>,
    /// All manifests with a subject, by it; filled when first asked for.
    referrers: OnceCell<HashMap<Digest, Vec<Descriptor>>>,
}

#[derive(Debug)]
enum Files {
    Folder,
    /// Where in the tar file each member lies, by its name.
    Archive(HashMap<String, Extent>),
}

impl Layout {
    /// Opens a layout in a folder.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        Self::with_files(path.into(), Files::Folder).await
    }

    /// Opens a layout in a tar file. Members that belong to no layout are ignored.
    pub async fn open_archive(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let path: PathBuf = path.into();
        let members = tokio::task::spawn_blocking({
            let path = path.clone();
            move || archive::scan(&path)
        });
        let members = members.await.expect("the scan returns its errors and does not panic")?;
        Self::with_files(path, Files::Archive(members)).await
    }

    async fn with_files(path: PathBuf, files: Files) -> Result<Self, ClientError> {
        let mut layout =
            Self { path, files, listed: Vec::new(), annotations: BTreeMap::new(), referrers: OnceCell::new() };
        let marker = layout.small_file(MARKER_FILE, MARKER_BYTES_MAX).await?;
        let marker = marker.ok_or_else(|| layout.invalid("it has no file oci-layout"))?;
        let version = serde_json::from_slice::<Marker>(&marker).map(|marker| marker.image_layout_version);
        if version.ok().as_deref() != Some(LAYOUT_VERSION) {
            return Err(layout.invalid("its version is not 1.0.0"));
        }
        let index = layout.small_file(INDEX_FILE, MANIFEST_BYTES_MAX as u64).await?;
        let index = index.ok_or_else(|| layout.invalid("it has no file index.json"))?;
        let index = FetchedManifest::check(&layout.place(), None, Some(media::OCI_IMAGE_INDEX), index)?;
        layout.listed = index.manifest.manifests;
        layout.annotations = index.manifest.annotations;
        Ok(layout)
    }

    /// Where the layout lies, for people.
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// What `index.json` lists, in its order.
    pub fn listed(&self) -> &[Descriptor] {
        &self.listed
    }

    /// Reads a manifest by its digest, or by the name it has in `index.json`; `None` if there is none.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<FetchedManifest>, ClientError> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match self.named(tag.as_str()) {
                Some(descriptor) => descriptor.digest,
                None => return Ok(None),
            },
        };
        if !self.has_blob(&digest).await? {
            return Ok(None);
        }
        let bytes = self.blob_bytes(&digest, MANIFEST_BYTES_MAX as u64).await?;
        let listed = self.listed.iter().find(|listed| listed.digest == digest);
        let media_type = listed.map(|listed| listed.media_type.as_str());
        FetchedManifest::check(&self.place(), Some(digest), media_type, bytes).map(Some)
    }

    /// Whether there is a blob.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, ClientError> {
        match &self.files {
            Files::Archive(members) => Ok(members.contains_key(&blob_name(digest))),
            Files::Folder => is_file(&self.path.join(blob_name(digest))).await,
        }
    }

    /// Opens a blob for reading. `size` is checked too if a descriptor told it.
    pub async fn blob(&self, digest: &Digest, size: Option<u64>) -> Result<BlobStream, ClientError> {
        let absent = || ClientError::Absent { place: self.place(), what: format!("blob {digest}") };
        let (file, length) = self.open_file(&blob_name(digest)).await?.ok_or_else(absent)?;
        let path = self.path.clone();
        let failed = move |source| ClientError::File { path: path.clone(), action: "read", source };
        let chunks = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES).map_err(failed);
        Ok(BlobStream::new(chunks, &self.place(), *digest, size))
    }

    /// Reads a blob of at most `limit` bytes into memory.
    pub async fn blob_bytes(&self, digest: &Digest, limit: u64) -> Result<Bytes, ClientError> {
        self.blob(digest, None).await?.collect(limit).await
    }

    /// Opens one file of the layout at its first byte, and tells its length.
    async fn open_file(&self, name: &str) -> Result<Option<(File, u64)>, ClientError> {
        let failed = |path: &Path| ClientError::file("read", path);
        match &self.files {
            Files::Folder => {
                let path = self.path.join(name);
                if !is_file(&path).await? {
                    return Ok(None);
                }
                let file = File::open(&path).await.map_err(failed(&path))?;
                let length = file.metadata().await.map_err(failed(&path))?.len();
                Ok(Some((file, length)))
            }
            Files::Archive(members) => {
                let Some(Extent { offset, length }) = members.get(name) else { return Ok(None) };
                let mut file = File::open(&self.path).await.map_err(failed(&self.path))?;
                file.seek(SeekFrom::Start(*offset)).await.map_err(failed(&self.path))?;
                Ok(Some((file, *length)))
            }
        }
    }

    async fn small_file(&self, name: &str, limit: u64) -> Result<Option<Bytes>, ClientError> {
        let Some((file, length)) = self.open_file(name).await? else { return Ok(None) };
        if length > limit {
            return Err(ClientError::TooMuch { place: self.place(), what: "bytes in one of its files", limit });
        }
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).await.map_err(ClientError::file("read", &self.path))?;
        Ok(Some(bytes.into()))
    }

    fn invalid(&self, problem: &'static str) -> ClientError {
        ClientError::Layout { path: self.path.clone(), problem }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// How many manifests of one layout are looked at for referrers.
pub const LAYOUT_MANIFESTS_MAX: usize = 10_000;

const MARKER_FILE: &str = "oci-layout";
const MARKER_BYTES_MAX: u64 = 4 * 1024;
const LAYOUT_VERSION: &str = "1.0.0";
const INDEX_FILE: &str = "index.json";
const CHUNK_BYTES: usize = 256 * 1024;

/// The path of a blob inside a layout, with the separators of tar members.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Whether a path is a regular file. Anything else, a pipe above all, is never opened.
async fn is_file(path: &Path) -> Result<bool, ClientError> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(ClientError::file("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests;
