//! Ledger calls: registrations of statements that were signed beforehand, and fresh receipts.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use docket_oci::{Algorithm, Digest};
use docket_proof::key::{Issuer, KeyFile};
use docket_proof::statement::{Content, Draft, EntryId};
use docket_proof::subject::Subject;

use crate::http::Target;
use crate::load::{self, Cycle, Each};
use crate::registry::Seeded;
use crate::row::{Row, RowArgs};

#[derive(Debug, clap::Args)]
pub(crate) struct RegisterArgs {
    /// The registry
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// Private key of an issuer that is admitted there
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Statements
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Connections, each with one statement at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,
    /// Place the statements beside the artifacts that `seed` pushed; without it they are about artifacts elsewhere
    #[arg(long, value_name = "DIR")]
    seeded: Option<PathBuf>,
    /// Write the ids of the entries to a file, one a line
    #[arg(long, value_name = "FILE")]
    entries: Option<PathBuf>,
    /// The server's process, for its CPU time
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    #[command(flatten)]
    row: RowArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RefreshArgs {
    /// The registry
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// Ids of entries, one a line; asked for in turn
    #[arg(long, value_name = "FILE")]
    entries: PathBuf,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// The server's process, for its CPU time
    #[arg(long, value_name = "PID")]
    server: Option<u32>,
    #[command(flatten)]
    row: RowArgs,
}

/// Signs statements, then registers each once.
pub(crate) async fn register(args: &RegisterArgs) -> anyhow::Result<Row> {
    let target = Target::parse(&args.url)?;
    let signer = Signer::read(&args.key)?;
    let (path, statements) = match &args.seeded {
        None => ("/entries".to_owned(), signer.unplaced(args.count)?),
        Some(folder) => {
            let seeded = Seeded::read(folder)?;
            (format!("/v2/{}/_scitt/ledger/entries", seeded.repository), signer.placed(args.count, &seeded)?)
        }
    };
    if let Some(path) = &args.entries {
        let ids: Vec<_> = statements.iter().map(|statement| EntryId::of(statement).to_string()).collect();
        std::fs::write(path, ids.join("\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let requests = statements.iter().map(|statement| registration(&target, &path, statement)).collect();
    let work = Each { requests, status: 201 };
    Ok(load::run(&target, usize::from(args.clients), args.server, work).await?.row(&args.row))
}

/// Asks for a fresh receipt of each entry in turn.
pub(crate) async fn refresh(args: &RefreshArgs) -> anyhow::Result<Row> {
    let target = Target::parse(&args.url)?;
    let ids = std::fs::read_to_string(&args.entries);
    let ids = ids.with_context(|| format!("cannot read {}", args.entries.display()))?;
    let requests: Vec<_> = ids.lines().map(|id| target.request("GET", &format!("/entries/{id}"), &[], b"")).collect();
    ensure!(!requests.is_empty(), "{} names no entries", args.entries.display());
    let work = Cycle { requests, status: 200, until: Instant::now() + Duration::from_secs(args.seconds) };
    Ok(load::run(&target, usize::from(args.connections), args.server, work).await?.row(&args.row))
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
    pub(crate) fn read(path: &PathBuf) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = KeyFile::parse(&text).with_context(|| format!("{} is no private key", path.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(Self { file, now: i64::try_from(now)? })
    }

    /// The key, with the issuer it signs as.
    pub(crate) fn file(&self) -> &KeyFile {
        &self.file
    }

    /// Statements about that many different artifacts, each with a document of its own. Nothing repeats, which is
    /// the hard case for indexes.
    pub(crate) fn unplaced(&self, count: u32) -> anyhow::Result<Vec<Vec<u8>>> {
        let repository = "bench/elsewhere".parse()?;
        let digest = |what: &str, number| Digest::of(Algorithm::Sha256, format!("{what} {number}").as_bytes());
        let sign = |number| {
            let subject = Subject::artifact(&repository, &digest("artifact", number));
            self.sign(subject, digest("document", number))
        };
        (0..count).map(sign).collect()
    }

    /// Statements about artifacts that stand in the registry, in turn. Each differs by its signature.
    fn placed(&self, count: u32, seeded: &Seeded) -> anyhow::Result<Vec<Vec<u8>>> {
        let artifacts = seeded.artifacts.iter().cycle().take(count as usize);
        let sign = |artifact: &crate::registry::Artifact| {
            self.sign(Subject::artifact(&seeded.repository, &artifact.digest), artifact.document)
        };
        artifacts.map(sign).collect()
    }

    fn sign(&self, subject: Subject, document: Digest) -> anyhow::Result<Vec<u8>> {
        let issuer = self.file.issuer.clone().unwrap_or_else(|| Issuer::of_key(self.file.key.public()));
        let content = Content::HashEnvelope { digest: document, media_type: DOCUMENT_TYPE.to_owned() };
        let draft = Draft { issuer, subject, issued_at: Some(self.now), content };
        Ok(draft.sign(&self.file.key)?)
    }
}

const DOCUMENT_TYPE: &str = "application/vnd.cyclonedx+json";
