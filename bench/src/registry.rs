//! Registry calls: what every OCI registry answers, so that others can be measured beside Docket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use docket_oci::manifest::{Descriptor, artifact_manifest};
use docket_oci::name::RepositoryName;
use docket_oci::{Algorithm, Digest, media};
use serde::{Deserialize, Serialize};

use crate::http::{Connection, Target};
use crate::load::{self, Cycle, Step, Work};
use crate::row::{Row, RowArgs};

#[derive(Debug, clap::Args)]
pub(crate) struct SeedArgs {
    /// The registry
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// Repository to push to
    #[arg(long, value_name = "NAME")]
    repository: RepositoryName,
    /// Folder for the same bytes as files, for `paths` (to be sourced by a shell) and `seed.json`
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The registry, or any other server
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// What to ask for
    #[arg(long, value_name = "PATH")]
    path: String,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Give the figure in GB/s instead of requests per second
    #[arg(long)]
    bytes: bool,
    /// The server's process, for its CPU time
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    #[command(flatten)]
    row: RowArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    /// The registry
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// Repository to push to
    #[arg(long, value_name = "NAME")]
    repository: RepositoryName,
    /// Blobs
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Bytes of each blob
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(64..=1 << 30))]
    bytes: u32,
    /// Connections, each with one blob at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// The server's process, for its CPU time
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    #[command(flatten)]
    row: RowArgs,
}

/// What `seed` pushed, for the measurements after it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seeded {
    /// Where.
    pub repository: RepositoryName,
    /// Artifacts that claims can be made about.
    pub artifacts: Vec<Artifact>,
}

/// An artifact with a document about it that stands beside it as a blob.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// Its manifest.
    pub digest: Digest,
    /// The document.
    pub document: Digest,
}

impl Seeded {
    /// Reads what `seed` wrote into its folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(SEED_FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let seeded: Self = serde_json::from_str(&text).with_context(|| format!("{} is not usable", path.display()))?;
        ensure!(!seeded.artifacts.is_empty(), "{} names no artifacts", path.display());
        Ok(seeded)
    }
}

/// Pushes an image with a small and a large layer under the tag `v1`, and artifacts with documents.
pub(crate) async fn seed(args: &SeedArgs) -> anyhow::Result<()> {
    let target = Target::parse(&args.url)?;
    let repository = &args.repository;
    let mut connection = target.connect().await?;
    let small = noise(SMALL_BYTES, 1);
    let large = noise(LARGE_BYTES, 2);
    for blob in [media::OCI_EMPTY_BYTES, &small, &large] {
        let digest = Digest::of(Algorithm::Sha256, blob);
        let pushed = push_blob(&mut connection, &target, repository, &digest, &[blob]).await?;
        ensure!(pushed == Step::Done, "the registry takes no blobs in {repository}");
    }
    let layers = [&small, &large].map(|layer| Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer));
    let manifest = artifact_manifest("application/vnd.example.image", &layers, None, &BTreeMap::new());
    push_manifest(&mut connection, &target, repository, "v1", &manifest).await?;

    let mut artifacts = Vec::with_capacity(ARTIFACTS);
    for number in 0..ARTIFACTS {
        let name = BTreeMap::from([("org.opencontainers.image.title".to_owned(), format!("artifact {number}"))]);
        let manifest = artifact_manifest("application/vnd.example.artifact", &layers[..1], None, &name);
        let digest = Digest::of(Algorithm::Sha256, &manifest);
        push_manifest(&mut connection, &target, repository, &digest.to_string(), &manifest).await?;
        let document = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"{number}"}}"#);
        let document_digest = Digest::of(Algorithm::Sha256, document.as_bytes());
        let pushed = push_blob(&mut connection, &target, repository, &document_digest, &[document.as_bytes()]).await?;
        ensure!(pushed == Step::Done, "the registry takes no documents in {repository}");
        artifacts.push(Artifact { digest, document: document_digest });
    }

    let digest = |bytes: &[u8]| Digest::of(Algorithm::Sha256, bytes);
    let paths = format!(
        "by_tag=/v2/{repository}/manifests/v1\nby_digest=/v2/{repository}/manifests/{}\n\
         small=/v2/{repository}/blobs/{}\nlarge=/v2/{repository}/blobs/{}\n",
        digest(&manifest),
        digest(&small),
        digest(&large)
    );
    let seeded = serde_json::to_vec(&Seeded { repository: repository.clone(), artifacts })?;
    let files: [(&str, &[u8]); 5] = [
        ("manifest", &manifest),
        ("small", &small),
        ("large", &large),
        ("paths", paths.as_bytes()),
        (SEED_FILE, &seeded),
    ];
    files.into_iter().try_for_each(|(name, bytes)| {
        let path = args.folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    })
}

/// Asks for one path as often as fits.
pub(crate) async fn get(args: &GetArgs) -> anyhow::Result<Row> {
    let target = Target::parse(&args.url)?;
    let request = target.request("GET", &args.path, &[("Accept", media::OCI_IMAGE_MANIFEST)], b"");
    let answer = target.connect().await?.exchange(&[&request]).await?;
    ensure!(answer.status == 200, "{} answers {} for {}", args.url, answer.status, args.path);
    let cycle = |time| Cycle { requests: vec![request.clone()], status: 200, until: Instant::now() + time };
    let connections = usize::from(args.connections);
    load::run(&target, connections, None, cycle(WARM_UP)).await?;
    let measured = load::run(&target, connections, args.server, cycle(Duration::from_secs(args.seconds))).await?;
    Ok(if args.bytes {
        measured.scaled(&args.row, answer.body_bytes as f64 / 1e9, "GB/s")
    } else {
        measured.row(&args.row)
    })
}

/// Pushes blobs that the registry has never seen.
pub(crate) async fn push(args: &PushArgs) -> anyhow::Result<Row> {
    let target = Target::parse(&args.url)?;
    let bytes = args.bytes as usize;
    let rest = noise(bytes - MARK_BYTES, 3);
    // The registry may keep what earlier runs pushed, and this run's content must be new to it.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let blobs = (0..args.count).map(|number| {
        let mark = format!("{run:032x}{number:032x}").into_bytes();
        let mut hasher = docket_oci::Hasher::new(Algorithm::Sha256);
        hasher.update(&mark);
        hasher.update(&rest);
        (mark, hasher.finish())
    });
    let work = Push { blobs: blobs.collect(), rest, target: target.clone(), repository: args.repository.clone() };
    let measured = load::run(&target, usize::from(args.connections), args.server, work).await?;
    Ok(measured.scaled(&args.row, bytes as f64 / 1e6, "MB/s"))
}

/// Blobs that differ in their first bytes, so that one copy of the rest serves all.
#[derive(Debug)]
struct Push {
    blobs: Vec<(Vec<u8>, Digest)>,
    rest: Vec<u8>,
    target: Target,
    repository: RepositoryName,
}

impl Work for Push {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        let Some((mark, digest)) = self.blobs.get(number) else { return Ok(Step::Over) };
        push_blob(connection, &self.target, &self.repository, digest, &[mark, &self.rest]).await
    }
}

/// Opens an upload and ends it with the whole content: the shortest way that every registry knows.
async fn push_blob(
    connection: &mut Connection,
    target: &Target,
    repository: &RepositoryName,
    digest: &Digest,
    content: &[&[u8]],
) -> anyhow::Result<Step> {
    let open = target.request("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
    let opened = connection.exchange(&[&open]).await?;
    let Some(location) = opened.location.filter(|_| opened.status == 202) else { return Ok(Step::Failed) };
    let separator = if location.contains('?') { '&' } else { '?' };
    let path = format!("{}{separator}digest={digest}", Target::path_of(&location));
    let bytes = content.iter().map(|part| part.len()).sum();
    let head = target.head("PUT", &path, &[("Content-Type", "application/octet-stream")], bytes);
    let parts: Vec<&[u8]> = std::iter::once(head.as_slice()).chain(content.iter().copied()).collect();
    Ok(Step::of(connection.exchange(&parts).await?.status == 201))
}

async fn push_manifest(
    connection: &mut Connection,
    target: &Target,
    repository: &RepositoryName,
    reference: &str,
    manifest: &[u8],
) -> anyhow::Result<()> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let request = target.request("PUT", &path, &[("Content-Type", media::OCI_IMAGE_MANIFEST)], manifest);
    let status = connection.exchange(&[&request]).await?.status;
    ensure!(status == 201, "the registry answers {status} to a manifest for {path}");
    Ok(())
}

/// Bytes that do not repeat (xorshift64).
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

const SEED_FILE: &str = "seed.json";
const SMALL_BYTES: usize = 2 * 1024;
const LARGE_BYTES: usize = 1024 * 1024;
/// Artifacts that claims are spread over.
const ARTIFACTS: usize = 64;
/// Length of what makes a blob differ from all others.
const MARK_BYTES: usize = 64;
/// Before reads are counted: connections stand, caches are filled.
const WARM_UP: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_long_as_asked_and_differs_by_seed() {
        assert_eq!([0, 1, 8, 13].map(|bytes| noise(bytes, 1).len()), [0, 1, 8, 13]);
        assert_ne!(noise(64, 1), noise(64, 2));
    }
}
