//! Writes image layouts: every file appears whole under its name or not at all.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docket_oci::manifest::{MANIFEST_BYTES_MAX, index_bytes};
use docket_oci::{Algorithm, Descriptor, Digest, media};
use futures_util::stream;
use tempfile::{Builder, NamedTempFile, TempDir};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::{INDEX_FILE, LAYOUT_VERSION, Layout, MARKER_FILE, archive, blob_name};
use crate::blob::BlobStream;
use crate::error::ClientError;

/// A layout that is being written, in a folder or towards a tar file.
///
/// Blobs appear one by one; what the layout lists changes only in [`LayoutWriter::finish`]. An archive is gathered in a hidden
/// folder beside it, which goes away with this value; without `finish` no archive appears, and one that was there stays.
#[derive(Debug)]
pub struct LayoutWriter {
    folder: PathBuf,
    listed: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    archive: Option<Gathering>,
}

#[derive(Debug)]
struct Gathering {
    target: PathBuf,
    /// Owns the folder on disk.
    _folder: TempDir,
}

impl LayoutWriter {
    /// Writes to a folder, which is made if it is not there. A layout that is there is added to; any other content is left alone and refused.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let folder: PathBuf = path.into();
        let make = || ClientError::file("make the layout", &folder);
        tokio::fs::create_dir_all(&folder).await.map_err(make())?;
        let is_empty =
            tokio::fs::read_dir(&folder).await.map_err(make())?.next_entry().await.map_err(make())?.is_none();
        if !is_empty {
            let Layout { listed, annotations, .. } = Layout::open(folder.clone()).await?;
            return Ok(Self { folder, listed, annotations, archive: None });
        }
        Self::start(folder, None).await
    }

    /// Writes to a tar file, which replaces any that is there.
    pub async fn archive(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let target: PathBuf = path.into();
        if tokio::fs::metadata(&target).await.is_ok_and(|metadata| !metadata.is_file()) {
            return Err(ClientError::Layout { path: target, problem: "it exists and is no file" });
        }
        let folder = Builder::new().prefix(HIDDEN_PREFIX).tempdir_in(parent_of(&target));
        let folder = folder.map_err(ClientError::file("write beside", &target))?;
        Self::start(folder.path().to_owned(), Some(Gathering { target, _folder: folder })).await
    }

    async fn start(folder: PathBuf, archive: Option<Gathering>) -> Result<Self, ClientError> {
        let blobs = folder.join("blobs").join(Algorithm::Sha256.as_str());
        tokio::fs::create_dir_all(&blobs).await.map_err(ClientError::file("make the layout", &folder))?;
        let marker = format!(r#"{{"imageLayoutVersion":"{LAYOUT_VERSION}"}}"#);
        replace(&folder.join(INDEX_FILE), &index_bytes(&[], &BTreeMap::new()))?;
        // The marker comes last: a crash before it leaves a folder that nobody takes for a layout.
        replace(&folder.join(MARKER_FILE), marker.as_bytes())?;
        Ok(Self { folder, listed: Vec::new(), annotations: BTreeMap::new(), archive })
    }

    /// Where the layout will lie, for people.
    pub fn place(&self) -> String {
        self.archive.as_ref().map_or(&self.folder, |archive| &archive.target).display().to_string()
    }

    /// Whether a blob of this digest and length is there. Its bytes are not read again: they were checked when they were written.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let metadata = tokio::fs::metadata(self.folder.join(blob_name(digest))).await;
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
    }

    /// Writes a blob as it arrives and returns its length. A stream that turns out wrong leaves nothing.
    pub async fn write_blob(&self, digest: &Digest, stream: BlobStream) -> Result<u64, ClientError> {
        let path = self.folder.join(blob_name(digest));
        let write = || ClientError::file("write", &path);
        tokio::fs::create_dir_all(parent_of(&path)).await.map_err(write())?;
        let (file, partial) = partial_file(&path)?.into_parts();
        let mut file = File::from_std(file);
        let size = stream.write_to(&mut file).await?;
        file.flush().await.map_err(write())?;
        file.sync_all().await.map_err(write())?;
        partial.persist(&path).map_err(|error| write()(error.error))?;
        Ok(size)
    }

    /// Writes a blob from memory; bytes that are not `digest` are refused.
    pub async fn write_bytes(&self, digest: &Digest, bytes: Bytes) -> Result<(), ClientError> {
        let size = bytes.len() as u64;
        let stream = BlobStream::new(stream::iter([Ok(bytes)]), "memory", *digest, Some(size));
        self.write_blob(digest, stream).await.map(|_| ())
    }

    /// Lists a manifest in `index.json`, under a name or without. A name moves here from whatever had it; the same manifest is not
    /// listed twice under one name, nor once more without a name.
    pub fn list(&mut self, descriptor: Descriptor, name: Option<&str>) {
        let mut descriptor = descriptor;
        descriptor.annotations.remove(media::ANNOTATION_REF_NAME);
        if let Some(name) = name {
            for other in &mut self.listed {
                if other.annotations.get(media::ANNOTATION_REF_NAME).is_some_and(|taken| taken == name) {
                    other.annotations.remove(media::ANNOTATION_REF_NAME);
                }
            }
            self.listed.retain(|other| other.digest != descriptor.digest || has_name(other));
            descriptor.annotations.insert(media::ANNOTATION_REF_NAME.to_owned(), name.to_owned());
        } else if self.listed.iter().any(|other| other.digest == descriptor.digest) {
            return;
        }
        self.listed.push(descriptor);
    }

    /// Makes everything listed visible: writes `index.json`, and the archive if it is to be one.
    pub async fn finish(self) -> Result<(), ClientError> {
        let finished = tokio::task::spawn_blocking(move || self.finish_blocking());
        finished.await.expect("finishing returns its errors and does not panic")
    }

    fn finish_blocking(self) -> Result<(), ClientError> {
        let index = index_bytes(&self.listed, &self.annotations);
        if index.len() > MANIFEST_BYTES_MAX {
            let limit = MANIFEST_BYTES_MAX as u64;
            return Err(ClientError::TooMuch { place: self.place(), what: "bytes in index.json", limit });
        }
        replace(&self.folder.join(INDEX_FILE), &index)?;
        let Some(Gathering { target, .. }) = &self.archive else { return Ok(()) };
        let mut partial = partial_file(target)?;
        archive::write(&self.folder, std::io::BufWriter::with_capacity(super::CHUNK_BYTES, partial.as_file_mut()))?;
        persist(partial, target)
    }
}

/// How hidden files and folders of unfinished work begin.
const HIDDEN_PREFIX: &str = ".docket-";

fn has_name(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key(media::ANNOTATION_REF_NAME)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A hidden file beside `path`, to be renamed to it; it goes away if it is not.
fn partial_file(path: &Path) -> Result<NamedTempFile, ClientError> {
    let file =
        Builder::new().prefix(HIDDEN_PREFIX).permissions(Permissions::from_mode(0o644)).tempfile_in(parent_of(path));
    file.map_err(ClientError::file("write beside", path))
}

fn replace(path: &Path, content: &[u8]) -> Result<(), ClientError> {
    let mut partial = partial_file(path)?;
    partial.write_all(content).map_err(ClientError::file("write", path))?;
    persist(partial, path)
}

fn persist(partial: NamedTempFile, path: &Path) -> Result<(), ClientError> {
    partial.as_file().sync_all().map_err(ClientError::file("write", path))?;
    partial.persist(path).map(|_| ()).map_err(|error| ClientError::file("write", path)(error.error))
}
