//! Pushes: blobs small and large, manifests; and whatever must stand somewhere before it is read.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use docket_oci::media;

use crate::content::{Blob, image};
use crate::http::{Answer, Connection, Target};
use crate::load::{self, Measured, Step, Work};
use crate::server::{Kind, Server};

/// Pushes blobs that the registry has never seen, one at a time on each connection, and in chunks if so asked.
pub(crate) async fn push(
    server: &Server,
    count: usize,
    bytes: u64,
    connections: usize,
    chunk_bytes: Option<u64>,
) -> anyhow::Result<Measured> {
    let blobs = std::iter::repeat_with(|| Blob::new(&unique(), bytes)).take(count).collect();
    let work = Push { blobs, chunk_bytes, target: server.target.clone(), bare: server.kind == Kind::Sink };
    load::run(server, connections, work).await
}

#[derive(Debug)]
struct Push {
    blobs: Vec<Blob>,
    chunk_bytes: Option<u64>,
    target: Target,
    /// It is the sink, which knows no upload sessions.
    bare: bool,
}

impl Work for Push {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        let Some(blob) = self.blobs.get(number) else { return Ok(Step::Over) };
        let answer = match self.chunk_bytes {
            _ if self.bare => put(connection, &self.target, "/blob", blob).await?,
            None => push_blob(connection, &self.target, PUSHED, blob).await?,
            Some(chunk_bytes) => push_chunks(connection, &self.target, blob, chunk_bytes).await?,
        };
        Ok(if answer.status == 201 { Step::Done(blob.bytes) } else { Step::Failed })
    }
}

/// Opens an upload and ends it with the whole content: the shortest way that every registry knows.
pub(crate) async fn push_blob(
    connection: &mut Connection,
    target: &Target,
    repository: &str,
    blob: &Blob,
) -> anyhow::Result<Answer> {
    let opened = open(connection, target, repository).await?;
    match location(&opened, 202) {
        Some(session) => put(connection, target, &ending(session, blob), blob).await,
        None => Ok(opened),
    }
}

/// Sends the content in pieces of equal length, and ends the upload without any.
async fn push_chunks(
    connection: &mut Connection,
    target: &Target,
    blob: &Blob,
    chunk_bytes: u64,
) -> anyhow::Result<Answer> {
    let mut last = open(connection, target, PUSHED).await?;
    let mut at = 0;
    while at < blob.bytes {
        let Some(session) = location(&last, 202) else { return Ok(last) };
        let end = blob.bytes.min(at + chunk_bytes);
        let range = format!("{at}-{}", end - 1);
        let headers = [("Content-Type", OCTETS), ("Content-Range", range.as_str())];
        let head = target.head("PATCH", session, &headers, end - at);
        last = connection.upload(&head, blob.slices(at..end)).await?;
        at = end;
    }
    let Some(session) = location(&last, 202) else { return Ok(last) };
    connection.exchange(&target.request("PUT", &ending(session, blob), &[], b"")).await
}

async fn open(connection: &mut Connection, target: &Target, repository: &str) -> anyhow::Result<Answer> {
    connection.exchange(&target.request("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"")).await
}

async fn put(connection: &mut Connection, target: &Target, path: &str, blob: &Blob) -> anyhow::Result<Answer> {
    let head = target.head("PUT", path, &[("Content-Type", OCTETS)], blob.bytes);
    connection.upload(&head, blob.slices(0..blob.bytes)).await
}

/// Where an upload goes on, if the answer is the one that was asked for.
fn location(answer: &Answer, status: u16) -> Option<&str> {
    answer.location.as_deref().filter(|_| answer.status == status).map(Target::path_of)
}

fn ending(session: &str, blob: &Blob) -> String {
    let separator = if session.contains('?') { '&' } else { '?' };
    format!("{session}{separator}digest={}", blob.digest)
}

/// Pushes manifests that the registry has never seen, each under a tag of its own, for a time.
pub(crate) async fn put_manifests(
    server: &Server,
    repository: &'static str,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let layer = Blob::new("layer of many", 2048);
    hold_blobs(server, repository, std::slice::from_ref(&layer)).await?;
    let work =
        PutManifests { repository, layer, run: unique(), target: server.target.clone(), until: Instant::now() + time };
    load::run(server, connections, work).await
}

#[derive(Debug)]
struct PutManifests {
    repository: &'static str,
    layer: Blob,
    run: String,
    target: Target,
    until: Instant,
}

impl Work for PutManifests {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        if Instant::now() >= self.until {
            return Ok(Step::Over);
        }
        let tag = format!("{}-{number}", self.run);
        let manifest = image(&tag, &[self.layer.layer()]);
        let answer = connection.exchange(&manifest_request(&self.target, self.repository, &tag, &manifest)).await?;
        Ok(if answer.status == 201 { Step::Done(manifest.len() as u64) } else { Step::Failed })
    }
}

/// The bytes of a request that pushes a manifest.
pub(crate) fn manifest_request(target: &Target, repository: &str, reference: &str, manifest: &[u8]) -> Vec<u8> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    target.request("PUT", &path, &[("Content-Type", media::OCI_IMAGE_MANIFEST)], manifest)
}

/// Sees to it that an image stands there with its layers, and gives its manifest.
pub(crate) async fn hold_image(
    server: &Server,
    repository: &str,
    reference: &str,
    layers: &[Blob],
) -> anyhow::Result<Vec<u8>> {
    hold_blobs(server, repository, layers).await?;
    let layers: Vec<_> = layers.iter().map(Blob::layer).collect();
    let manifest = image(reference, &layers);
    hold_manifest(server, repository, reference, &manifest).await?;
    Ok(manifest)
}

/// Sees to it that blobs stand there, and the empty configuration of our manifests: pushed to a registry that does not
/// have them, written to files of a static server.
pub(crate) async fn hold_blobs(server: &Server, repository: &str, blobs: &[Blob]) -> anyhow::Result<()> {
    let mut connection = server.target.connect().await?;
    for blob in blobs.iter().chain([&Blob::of(media::OCI_EMPTY_BYTES)]) {
        let path = format!("/v2/{repository}/blobs/{}", blob.digest);
        if let Some(file) = server.file(&path) {
            write_file(&file, blob.slices(0..blob.bytes))?;
            continue;
        }
        if connection.exchange(&server.target.request("HEAD", &path, &[], b"")).await?.status == 200 {
            continue;
        }
        let status = push_blob(&mut connection, &server.target, repository, blob).await?.status;
        ensure!(status == 201, "{} answers {status} to a blob for {repository}", server.name);
    }
    Ok(())
}

/// Sees to it that a manifest stands there; its blobs do already.
pub(crate) async fn hold_manifest(
    server: &Server,
    repository: &str,
    reference: &str,
    manifest: &[u8],
) -> anyhow::Result<()> {
    if let Some(file) = server.file(&format!("/v2/{repository}/manifests/{reference}")) {
        return write_file(&file, std::iter::once(manifest));
    }
    let request = manifest_request(&server.target, repository, reference, manifest);
    let status = server.target.connect().await?.exchange(&request).await?.status;
    ensure!(status == 201, "{} answers {status} to a manifest for {repository}:{reference}", server.name);
    Ok(())
}

/// Writes a file of a static server, and the folders above it.
pub(crate) fn write_file<'a>(path: &Path, pieces: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<()> {
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = fs::File::create(path)?;
        pieces.into_iter().try_for_each(|piece| std::io::Write::write_all(&mut file, piece))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A name that no registry has seen: one may keep what earlier runs pushed.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static RUN: LazyLock<u128> =
        LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()));
    format!("{:x}-{}", *RUN, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Where pushes go.
pub(crate) const PUSHED: &str = "bench/push";
const OCTETS: &str = "application/octet-stream";
