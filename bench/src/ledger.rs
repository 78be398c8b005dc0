//! Ledger calls: registrations of statements that were signed beforehand, and fresh receipts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use docket_oci::{Algorithm, Digest};
use docket_proof::key::{Issuer, KeyFile};
use docket_proof::statement::{Content, Draft, EntryId};
use docket_proof::subject::Subject;

use crate::content::Blob;
use crate::http::Target;
use crate::load::{self, Cycle, Each, Measured};
use crate::process::run_times;
use crate::row::Figure;
use crate::server::{INIT_FILE, Launch, Server};
use crate::write::{hold_blobs, hold_image};

/// The ledger of a Docket that was started here, with an issuer that it admits.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    pub server: &'a Server,
    launch: &'a Launch,
    pub signer: Signer,
    key: PathBuf,
}

impl<'a> Ledger<'a> {
    /// Admits the issuer, unless that was done before, and then registers that many statements.
    pub(crate) async fn open(server: &'a Server, fill: usize) -> anyhow::Result<Self> {
        let launch = server.launch.as_ref().context("only a Docket that was started here has a known ledger")?;
        let key = launch.folder.join("issuer.key");
        let is_new = !key.exists();
        if is_new {
            let (out, public) = (text(&key), text(&launch.folder.join(ISSUER_FILE)));
            launch.run(&["keys", "generate", "--out", &out, "--issuer", "https://issuer.example"])?;
            launch.run(&["issuer", "add", "bench", &public, "--data", &text(&launch.folder.join("data"))])?;
        }
        let ledger = Self { server, launch, signer: Signer::read(&key)?, key };
        let mut left = if is_new { fill } else { 0 };
        while left > 0 {
            // Statements are signed before they are sent, so they come in parts that fit into memory.
            let some = left.min(FILLED_AT_ONCE);
            let failures = ledger.register(64, some).await?.failures();
            ensure!(failures == 0, "{failures} statements were refused");
            left -= some;
        }
        Ok(ledger)
    }

    /// Signs statements about artifacts elsewhere, then registers each once.
    pub(crate) async fn register(&self, clients: usize, count: usize) -> anyhow::Result<Measured> {
        let statements = self.signer.unplaced(count)?;
        self.post("/entries", &statements, clients).await
    }

    /// Signs statements about artifacts that stand in the registry, in turn, then has each placed beside its artifact.
    pub(crate) async fn place(&self, clients: usize, count: usize) -> anyhow::Result<Measured> {
        let (mut artifacts, repository) = (Vec::with_capacity(ARTIFACTS), PLACED.parse()?);
        for number in 0..ARTIFACTS {
            let layers = [Blob::new("layer", 2048)];
            let manifest = hold_image(self.server, PLACED, &format!("a{number}"), &layers).await?;
            let document = Blob::new(&format!("document {number}"), 1024);
            let subject = Subject::artifact(&repository, &Digest::of(Algorithm::Sha256, &manifest));
            artifacts.push((subject, document.digest));
            hold_blobs(self.server, PLACED, &[document]).await?;
        }
        let each = artifacts.into_iter().cycle().take(count);
        // They differ by their signatures.
        let statements = each.map(|(subject, document)| self.signer.sign(subject, document));
        let statements = statements.collect::<anyhow::Result<Vec<_>>>()?;
        self.post(&format!("/v2/{PLACED}/_scitt/ledger/entries"), &statements, clients).await
    }

    /// Asks for a fresh receipt of each of some entries in turn.
    pub(crate) async fn refresh(&self, connections: usize, count: usize, time: Duration) -> anyhow::Result<Measured> {
        let statements = self.signer.unplaced(count)?;
        let failures = self.post("/entries", &statements, connections).await?.failures();
        ensure!(failures == 0, "{failures} statements were refused");
        let get = |statement: &Vec<u8>| {
            self.server.target.request("GET", &format!("/entries/{}", EntryId::of(statement)), &[], b"")
        };
        let requests = statements.iter().map(get).collect();
        let work = Cycle { requests, body_bytes: None, until: Instant::now() + time };
        load::run(self.server, connections, work).await
    }

    /// What a consumer does with an archive (1 MiB, 1 claim) on a machine without network, as one process.
    pub(crate) async fn verify_archive(&self) -> anyhow::Result<Figure> {
        hold_image(self.server, PLACED, "archived", &[Blob::new("layer", 1 << 20)]).await?;
        let folder = &self.launch.folder;
        let path = |name: &str| text(&folder.join(name));
        let (document, archive, trust) = (path("sbom.cdx.json"), path("image.tar"), path("trust.toml"));
        let (archive, url) = (format!("oci-archive:{archive}"), self.server.target.url());
        let image = format!("{}/{PLACED}:archived", url.trim_start_matches("http://"));
        std::fs::write(&document, r#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1}"#)?;
        let key = text(&self.key);
        let claim = ["claim", "add", &image, "--evidence", &document, "--type", DOCUMENT_TYPE, "--key", &key];
        self.launch.run(&claim)?;
        self.launch.run(&["copy", "--claims", &format!("docker://{image}"), &archive])?;
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join(INIT_FILE))?)?;
        let fingerprint = told["fingerprint"].as_str().context("`docket init` told no fingerprint")?;
        let pin = ["trust", "pin", &url, "--fingerprint", fingerprint, "--issuer", &path(ISSUER_FILE)];
        std::fs::write(&trust, self.launch.run(&pin)?)?;
        run_times(&self.launch.command(&["verify", &archive, "--trust", &trust]), &folder.join("verify-log"))
    }

    async fn post(&self, path: &str, statements: &[Vec<u8>], clients: usize) -> anyhow::Result<Measured> {
        let requests = statements.iter().map(|statement| registration(&self.server.target, path, statement)).collect();
        load::run(self.server, clients, Each { requests, status: 201 }).await
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The bytes of a request that registers a statement.
pub(crate) fn registration(target: &Target, path: &str, statement: &[u8]) -> Vec<u8> {
    target.request("POST", path, &[("Content-Type", "application/cose")], statement)
}

/// An issuer that signs what is measured.
#[derive(Debug)]
pub(crate) struct Signer {
    file: KeyFile,
    now: i64,
}

impl Signer {
    /// Reads a private key file.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = KeyFile::parse(&text).with_context(|| format!("{} is no private key", path.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { file, now: i64::try_from(now)? })
    }

    /// The key, with the issuer it signs as.
    pub(crate) fn file(&self) -> &KeyFile {
        &self.file
    }

    /// Statements about that many different artifacts, each with a document of its own. Nothing repeats in a run, which
    /// is the hard case for indexes.
    pub(crate) fn unplaced(&self, count: usize) -> anyhow::Result<Vec<Vec<u8>>> {
        static NUMBERED: AtomicUsize = AtomicUsize::new(0);
        let first = NUMBERED.fetch_add(count, Ordering::Relaxed);
        let repository = "bench/elsewhere".parse()?;
        let digest = |what: &str, number| Digest::of(Algorithm::Sha256, format!("{what} {number}").as_bytes());
        let sign = |number| {
            let subject = Subject::artifact(&repository, &digest("artifact", number));
            self.sign(subject, digest("document", number))
        };
        (first..first + count).map(sign).collect()
    }

    fn sign(&self, subject: Subject, document: Digest) -> anyhow::Result<Vec<u8>> {
        let issuer = self.file.issuer.clone().unwrap_or_else(|| Issuer::of_key(self.file.key.public()));
        let content = Content::HashEnvelope { digest: document, media_type: DOCUMENT_TYPE.to_owned() };
        let draft = Draft { issuer, subject, issued_at: Some(self.now), content, typ: None };
        Ok(draft.sign(&self.file.key)?)
    }
}

const PLACED: &str = "bench/placed";
/// Artifacts that claims are spread over.
const ARTIFACTS: usize = 64;
const FILLED_AT_ONCE: usize = 50_000;
const ISSUER_FILE: &str = "issuer.pub";
const DOCUMENT_TYPE: &str = "application/vnd.cyclonedx+json";
