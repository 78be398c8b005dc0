//! Reads of one thing again and again: manifests, blobs, listings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use docket_oci::manifest::index_bytes;
use docket_oci::{Algorithm, Digest, media};

use crate::content::{Blob, described, image, referrer};
use crate::load::{self, Cycle, Each, Measured};
use crate::server::Server;
use crate::write::{hold_blobs, hold_image, manifest_request, write_file};

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    ManifestByTag,
    ManifestByDigest,
    /// A blob of so many bytes.
    Blob(u64),
    /// A page of 100 from the middle of 10,000 tags.
    Tags,
    /// What refers to a manifest that 1,000 others refer to.
    Referrers,
}

/// A request that was tried once.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Its bytes.
    pub request: Vec<u8>,
    /// Length of the body that it is answered with.
    body_bytes: u64,
}

impl Read {
    /// Sees to it that it stands there, and asks for it once with the whole of the answer checked.
    pub(crate) async fn prepare(server: &Server, method: &str, what: What) -> anyhow::Result<Self> {
        let (path, digest, entries) = match what {
            What::ManifestByTag | What::ManifestByDigest => {
                let layers = [Blob::new("layer", 2048)];
                let manifest = hold_image(server, READ, "v1", &layers).await?;
                let digest = Digest::of(Algorithm::Sha256, &manifest);
                if let Some(file) = server.file(&format!("/v2/{READ}/manifests/{digest}")) {
                    write_file(&file, std::iter::once(manifest.as_slice()))?;
                }
                let by_tag = matches!(what, What::ManifestByTag);
                let reference = if by_tag { "v1".to_owned() } else { digest.to_string() };
                (format!("/v2/{READ}/manifests/{reference}"), Some(digest), None)
            }
            What::Blob(bytes) => {
                let blob = Blob::new("layer", bytes);
                hold_blobs(server, READ, std::slice::from_ref(&blob)).await?;
                // Larger ones are not kept in memory here; their length is checked.
                let digest = Some(blob.digest).filter(|_| bytes <= CHECKED_BYTES_MAX);
                (format!("/v2/{READ}/blobs/{}", blob.digest), digest, None)
            }
            What::Tags => (hold_tags(server).await?, None, Some(("tags", 100))),
            What::Referrers => (hold_referrers(server).await?, None, Some(("manifests", REFERRERS))),
        };
        let request = |method| server.target.request(method, &path, &[ACCEPT], b"");
        let mut connection = server.target.connect().await?;
        let (answer, body) = match what {
            What::Blob(bytes) if bytes > CHECKED_BYTES_MAX => {
                let answer = connection.exchange(&request("GET")).await?;
                ensure!(answer.body_bytes == bytes, "{} answers {} bytes of {bytes}", server.name, answer.body_bytes);
                (answer, Vec::new())
            }
            What::ManifestByTag | What::ManifestByDigest | What::Blob(_) | What::Tags | What::Referrers => {
                connection.fetch(&request("GET")).await?
            }
        };
        ensure!(answer.status == 200, "{} answers {} for {path}", server.name, answer.status);
        if let Some(digest) = digest {
            ensure!(Digest::of(Algorithm::Sha256, &body) == digest, "{} answers other bytes for {path}", server.name);
        }
        if let Some((list, count)) = entries {
            let value: serde_json::Value = serde_json::from_slice(&body)?;
            let entries = value[list].as_array().with_context(|| format!("{} lists no {list}", server.name))?.len();
            // Registries without pages list more; that is what their clients have to take.
            ensure!(entries >= count, "{} lists {entries} {list}, not {count}", server.name);
        }
        let body_bytes = if method == "HEAD" { 0 } else { answer.body_bytes };
        Ok(Self { request: request(method), body_bytes })
    }

    /// Asks for it as often as fits.
    pub(crate) async fn measure(
        &self,
        server: &Server,
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<Measured> {
        let cycle = |time| Cycle {
            requests: vec![self.request.clone()],
            body_bytes: Some(self.body_bytes),
            until: Instant::now() + time,
        };
        load::run(server, connections, cycle(WARM_UP)).await?;
        load::run(server, connections, cycle(time)).await
    }
}

/// Sees to it that many tags stand there, and gives the path of a page in their middle.
async fn hold_tags(server: &Server) -> anyhow::Result<String> {
    let layers = [Blob::new("layer", 2048)];
    let manifest = hold_image(server, TAGGED, "t", &layers).await?;
    let tag = |number: usize| format!("t{number:05}");
    let put = |number| manifest_request(&server.target, TAGGED, &tag(number), &manifest);
    all_answered(server, (0..TAGS).map(put).collect()).await?;
    Ok(format!("/v2/{TAGGED}/tags/list?n=100&last={}", tag(TAGS / 2)))
}

/// Sees to it that many manifests refer to one, and gives the path of their listing.
async fn hold_referrers(server: &Server) -> anyhow::Result<String> {
    let layer = Blob::new("layer", 2048);
    let subject = image("subject", &[layer.layer()]);
    let subject = described(&subject);
    let path = format!("/v2/{REFERRED}/referrers/{}", subject.digest);
    let manifests: Vec<_> =
        (0..REFERRERS).map(|number| referrer(&format!("document {number}"), &layer, &subject)).collect();
    if let Some(file) = server.file(&path) {
        let listed: Vec<_> = manifests.iter().map(|manifest| described(manifest)).collect();
        write_file(&file, std::iter::once(index_bytes(&listed, &BTreeMap::new()).as_slice()))?;
        return Ok(path);
    }
    hold_image(server, REFERRED, "subject", &[layer]).await?;
    let put = |manifest: &Vec<u8>| {
        let digest = Digest::of(Algorithm::Sha256, manifest).to_string();
        manifest_request(&server.target, REFERRED, &digest, manifest)
    };
    all_answered(server, manifests.iter().map(put).collect()).await?;
    Ok(path)
}

/// Pushes many manifests at once.
async fn all_answered(server: &Server, requests: Vec<Vec<u8>>) -> anyhow::Result<()> {
    let failures = load::run(server, 64, Each { requests, status: 201 }).await?.failures();
    ensure!(failures == 0, "{} refuses {failures} manifests", server.name);
    Ok(())
}

const READ: &str = "bench/read";
const TAGGED: &str = "bench/tags";
const REFERRED: &str = "bench/referrers";
const TAGS: usize = 10_000;
const REFERRERS: usize = 1_000;
const CHECKED_BYTES_MAX: u64 = 16 << 20;
/// Some registries say that a manifest is not there where its type is not asked for.
pub(crate) const ACCEPT: (&str, &str) = ("Accept", media::OCI_IMAGE_MANIFEST);
/// Before reads are counted: connections stand, caches are filled.
const WARM_UP: Duration = Duration::from_millis(300);
