//! `docket log`: the public log from outside, for monitors and auditors. What a registry answers is checked here.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_client::{Registry, Reply};
use docket_proof::checkpoint::Checkpoint;
use docket_proof::log_policy::{LogPolicy, Witnessed};
use docket_proof::log_proof::LogProof;
use docket_proof::merkle::{Hash, MerkleError, leaf_hash, verify_consistency};
use docket_proof::receipt::ConsistencyReceipt;
use docket_proof::statement::{EntryId, SignedStatement};
use docket_proof::trust::Trust;
use serde::Deserialize;

use crate::cli::output::{Exit, data, say};
use crate::cli::remote::RemoteArgs;
use crate::cli::verify::read_trust;
use crate::config::read_policy;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print the checkpoint that a log publishes, once it satisfies a policy
    Checkpoint(CheckpointArgs),
    /// Follow a log: print each new checkpoint once it is proved to continue the one before; exit 1 when the log forks
    Watch(WatchArgs),
    /// Get a proof to be checked anywhere without asking anybody: that an entry was logged (C2SP tlog-proof), or that the log
    /// continues what it was (RFC 9942 receipt of consistency)
    Proof(ProofArgs),
    /// Check such a proof without asking anybody: exit 0 it holds, 1 it does not
    Check(CheckArgs),
}

/// A log, and when its checkpoints are believed.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The service, such as http://localhost:5000 or registry.example.com
    url: String,
    /// Keys of the log and its witnesses, and the quorum (C2SP tlog-policy); `log KEY` and `quorum none` are enough
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArgs {
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Where the last checkpoint is kept between two runs; made by the first
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// End after the log was compared with what is kept, instead of waiting for the next checkpoint
    #[arg(long)]
    once: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ProofArgs {
    /// The service, such as http://localhost:5000 or registry.example.com
    url: String,
    /// Id of the entry: 64 hex digits, as in the path of its receipt
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    entry: Option<EntryId>,
    /// Instead of an entry: the size of an older tree, as a checkpoint or a receipt names it, which the newest one continues
    #[arg(long, value_name = "SIZE", requires = "out")]
    from: Option<u64>,
    /// The size of another newer tree
    #[arg(long, value_name = "SIZE", requires = "from")]
    to: Option<u64>,
    /// Where the receipt of consistency goes, which is no text
    #[arg(long, value_name = "FILE", requires = "from")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The proof, as `docket log proof` gave it
    proof: PathBuf,
    /// The statement that was logged
    #[arg(long, value_name = "FILE", required_unless_present = "since", conflicts_with = "since")]
    statement: Option<PathBuf>,
    /// The checkpoint that was kept, where the proof is that the log continues it
    #[arg(long, value_name = "FILE", requires = "trust")]
    since: Option<PathBuf>,
    /// Whose receipts to believe; `docket trust pin` writes it
    #[arg(long, value_name = "FILE", requires = "since")]
    trust: Option<PathBuf>,
    /// Keys of the log and its witnesses, and the quorum (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Checkpoint(args) => checkpoint(args).await,
        Command::Watch(args) => watch(args).await,
        Command::Proof(args) => proof(args).await,
        Command::Check(args) => check(&args),
    }
}

async fn checkpoint(args: CheckpointArgs) -> anyhow::Result<Exit> {
    let log = Log::open(args.log).await?;
    let Some(witnessed) = log.checkpoint("/log/checkpoint").await? else {
        anyhow::bail!("the log publishes no checkpoint");
    };
    data(witnessed.checkpoint.to_string().trim_end());
    Ok(Exit::Allowed)
}

async fn watch(args: WatchArgs) -> anyhow::Result<Exit> {
    let WatchArgs { log, state, once } = args;
    let log = Log::open(log).await?;
    let mut known = read_state(&state, &log.policy)?;
    // The first look is at what is published now, so that a log that forked while nobody watched is seen at once.
    let mut path = "/log/checkpoint".to_owned();
    loop {
        if let Some(newest) = log.checkpoint(&path).await? {
            if let Some(known) = &known
                && let Some(why) =
                    log.contradiction(known.checkpoint.checkpoint(), newest.checkpoint.checkpoint()).await?
            {
                return forked(&state, known, &newest, &why);
            }
            if known.as_ref() != Some(&newest) {
                write_whole(&state, newest.checkpoint.to_string().as_bytes())?;
                data(&line(&newest));
            }
            known = Some(newest);
        }
        if once {
            return Ok(Exit::Allowed);
        }
        let size = known.as_ref().map_or(0, |known| known.checkpoint.checkpoint().size());
        path = format!("/api/v1/log/watch?size={size}&wait_s={WATCH_SECONDS}");
    }
}

async fn proof(args: ProofArgs) -> anyhow::Result<Exit> {
    let registry = connect(&args.url, &args.remote).await?;
    let Some(entry) = args.entry else { return continuation(&registry, &args).await };
    let reply = registry.get(&format!("/api/v1/log/proof?entry={entry}"), "text/plain").await?;
    let text = text(&registry, &reply, "prove that the entry was logged")?;
    let _: LogProof = text.parse().with_context(|| format!("{} answered with no proof", registry.host()))?;
    data(text.trim_end());
    Ok(Exit::Allowed)
}

/// Gets the receipt that the log continues an older tree.
async fn continuation(registry: &Registry, args: &ProofArgs) -> anyhow::Result<Exit> {
    let (from, out) = args.from.as_ref().zip(args.out.as_deref()).context("--from needs --out")?;
    let to = args.to.map(|to| format!("&to={to}")).unwrap_or_default();
    let path = format!("/api/v1/log/consistency-receipt?from={from}{to}");
    let reply = registry.get(&path, "application/cose").await?;
    text(registry, &reply, "prove that it continues that tree")?;
    let receipt = ConsistencyReceipt::decode(&reply.body);
    let receipt = receipt.with_context(|| format!("{} answered with no receipt of consistency", registry.host()))?;
    write_whole(out, &reply.body)?;
    say(&format!("{} goes from {} entries to {}, by its own word", out.display(), from, receipt.tree_size()));
    Ok(Exit::Allowed)
}

fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let policy = read_policy(&args.policy)?;
    if let Some((since, trust)) = args.since.as_deref().zip(args.trust.as_deref()) {
        return check_continuation(&args.proof, since, &policy, &read_trust(trust)?);
    }
    let proof = String::from_utf8(read(&args.proof)?);
    let proof = proof.with_context(|| format!("{} is no text", args.proof.display()))?;
    let proof: LogProof = proof.parse().with_context(|| args.proof.display().to_string())?;
    let path = args.statement.as_deref().context("--statement is missing")?;
    let statement = SignedStatement::decode(&read(path)?);
    let statement = statement.with_context(|| format!("{} is no statement", path.display()))?;
    let witnessed = proof.verify(&leaf_hash(statement.entry()), &policy)?;
    data(&format!("logged  entry #{}  in {}", proof.index, line(&witnessed)));
    Ok(Exit::Allowed)
}

/// Whether a receipt proves that the log of a checkpoint went on to a tree that its service signed.
fn check_continuation(proof: &Path, since: &Path, policy: &LogPolicy, trust: &Trust) -> anyhow::Result<Exit> {
    let named = |path: &Path| path.display().to_string();
    let known = policy.check(&read(since)?).with_context(|| named(since))?;
    let known = known.checkpoint.checkpoint();
    let receipt = ConsistencyReceipt::decode(&read(proof)?).with_context(|| named(proof))?;
    let (log, service) = (receipt.log(), receipt.issuer());
    anyhow::ensure!(log == known.origin(), "{} is about {log}, not about {}", named(proof), known.origin());
    let services = trust.services().iter().filter(|trusted| trusted.issuer == *service);
    let key = services.flat_map(|trusted| &trusted.keys).find(|key| key.thumbprint() == receipt.kid());
    let key = key.with_context(|| format!("no key {} of {service} is trusted", receipt.kid()))?;
    let root = receipt.verify(known.size(), known.root(), key)?;
    let (from, to) = (known.size(), receipt.tree_size());
    data(&format!("continued  {log}  {from} -> {to}  {}  by {service}", hex::encode(root)));
    Ok(Exit::Allowed)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A log that is asked.
struct Log {
    registry: Registry,
    policy: LogPolicy,
}

/// What `/api/v1/log/consistency` answers.
#[derive(Deserialize)]
struct Consistency {
    path: Vec<String>,
}

impl Log {
    async fn open(args: LogArgs) -> anyhow::Result<Self> {
        let policy = read_policy(&args.policy)?;
        Ok(Self { registry: connect(&args.url, &args.remote).await?, policy })
    }

    /// A checkpoint that satisfies the policy; `None` if there is nothing new.
    async fn checkpoint(&self, path: &str) -> anyhow::Result<Option<Witnessed>> {
        let reply = self.registry.get(path, "text/plain").await?;
        if reply.status == 204 {
            return Ok(None);
        }
        let text = text(&self.registry, &reply, "show its checkpoint")?;
        Ok(Some(self.policy.check(text.as_bytes())?))
    }

    /// Why two checkpoints of the log cannot both be of one history, if they cannot.
    async fn contradiction(&self, known: &Checkpoint, newest: &Checkpoint) -> anyhow::Result<Option<String>> {
        if known.origin() != newest.origin() {
            anyhow::bail!("what is kept is of the log {}, not of {}", known.origin(), newest.origin());
        }
        let (from, to) = (known.size(), newest.size());
        if to < from {
            return Ok(Some(format!("it went back from {from} entries to {to}")));
        }
        if to == from {
            let differs = known.root() != newest.root();
            return Ok(differs.then(|| format!("it has two different trees of {to} entries")));
        }
        let reply =
            self.registry.get(&format!("/api/v1/log/consistency?from={from}&to={to}"), "application/json").await?;
        let text = text(&self.registry, &reply, "prove that it grew from what is kept")?;
        let proof: Consistency = serde_json::from_str(&text).context("the log's proof is not understood")?;
        let hash = |hash: &String| -> Option<Hash> { STANDARD.decode(hash).ok()?.try_into().ok() };
        let path: Option<Vec<Hash>> = proof.path.iter().map(hash).collect();
        let path = path.context("the log's proof holds what is no hash")?;
        Ok(match verify_consistency(from, known.root(), to, newest.root(), &path) {
            Ok(()) => None,
            Err(MerkleError::OldRootDiffers | MerkleError::NewRootDiffers) => {
                Some(format!("its tree of {to} entries does not continue its tree of {from}"))
            }
            Err(failure) => anyhow::bail!("the log's proof is none: {failure}"),
        })
    }
}

/// Keeps both checkpoints, which together are the evidence, and says so.
fn forked(state: &Path, known: &Witnessed, newest: &Witnessed, why: &str) -> anyhow::Result<Exit> {
    let beside = |ending: &str| {
        let mut name = state.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (old, new) = (beside(".before"), beside(".after"));
    write_whole(&old, known.checkpoint.to_string().as_bytes())?;
    write_whole(&new, newest.checkpoint.to_string().as_bytes())?;
    say(&format!("The log contradicts itself: {why}."));
    say(&format!("Both checkpoints are signed by it; keep {} and {} as evidence.", old.display(), new.display()));
    Ok(Exit::Refused)
}

fn read_state(path: &Path, policy: &LogPolicy) -> anyhow::Result<Option<Witnessed>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(policy.check(&bytes).with_context(|| path.display().to_string())?)),
        Err(failure) if failure.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file so that a crash leaves the old one or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn line(witnessed: &Witnessed) -> String {
    let checkpoint = witnessed.checkpoint.checkpoint();
    let mut line = format!("{}  {}  {}", checkpoint.origin(), checkpoint.size(), hex::encode(checkpoint.root()));
    for (witness, _) in &witnessed.witnesses {
        line.push_str("  ");
        line.push_str(witness);
    }
    line
}

async fn connect(url: &str, remote: &RemoteArgs) -> anyhow::Result<Registry> {
    let host = url.trim_end_matches('/');
    let host = host.strip_prefix("http://").or_else(|| host.strip_prefix("https://")).unwrap_or(host);
    Ok(Registry::connect(host, remote.options()?).await?)
}

fn text(registry: &Registry, reply: &Reply, what: &str) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status == 200 {
        return Ok(text.into_owned());
    }
    let (status, detail) = (reply.status, text.chars().filter(|c| !c.is_control()).take(300).collect::<String>());
    anyhow::bail!("{} does not {what}: {status} {detail}", registry.host());
}

/// How long one question for the next checkpoint waits.
const WATCH_SECONDS: u32 = 20;
