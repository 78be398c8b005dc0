//! `docket policy`: by which rules statements enter the ledger. Each policy is an entry on the ledger.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_engine::{Instance, IssuerView, PolicyView, Replay, Trial, TrialRequest, Tried};
use docket_judge::policy::{Module, Policy, Rules};
use docket_proof::statement::SignedStatement;

use crate::cli::operator::{Operator, permit};
use crate::cli::output::{Exit, Format, UsageError, data, json, say};
use crate::cli::serve::clock;
use crate::http::{POLICY_PATH, PolicyRequest, REPLAY_PATH, TRIAL_PATH};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check a policy and put it in force: an entry on the ledger
    Set(SetArgs),
    /// Show the policy in force, or one that was
    Show(ShowArgs),
    /// Decide about statements without registering them: exit 0 all allowed, 1 some refused
    Test(TestArgs),
    /// Decide the whole ledger again, each entry by the policy of its time: exit 1 on a difference
    Replay(ReplayArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// Its modules, in Rego
    #[arg(required = true, value_name = "FILE")]
    modules: Vec<PathBuf>,
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The entry that set it; without this, the policy in force
    #[arg(long, value_name = "INDEX")]
    entry: Option<u64>,
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("admitted").required(true))]
pub(crate) struct TestArgs {
    /// Modules (*.rego; without any, the policy in force of --data), and statements in the order in which they come: those
    /// before that are allowed count as earlier claims
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Data folder whose issuers are admitted, and whose ledger holds the earlier claims. A statement that stands there
    /// is decided as at its entry
    #[arg(long, value_name = "DIR", group = "admitted")]
    data: Option<PathBuf>,
    /// The issuers that are admitted, as `docket issuer list --output json` prints them
    #[arg(long, value_name = "FILE", group = "admitted")]
    issuers: Option<PathBuf>,
    /// The time of the decision, Unix seconds; without this, the clock's, or that of its entry
    #[arg(long, value_name = "SECONDS")]
    now: Option<i64>,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Data folder of the registry
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Set(args) => set(args).await,
        Command::Show(args) => show(args).await,
        Command::Test(args) => test(args).await,
        Command::Replay(args) => replay(args).await,
    }
}

async fn set(args: SetArgs) -> anyhow::Result<Exit> {
    let modules = args.modules.iter().map(|path| module(path)).collect::<Result<Vec<_>, _>>()?;
    let request = serde_json::to_vec(&PolicyRequest { modules: modules.clone() })?;
    let set = async |instance: &Instance| Ok(instance.set_policy(&permit(instance)?, modules).await?);
    let view: PolicyView = Operator::of(&args.data).await?.ask(("POST", POLICY_PATH, request), set).await?;
    match args.output {
        Format::Json => json(&view)?,
        Format::Text => data(&format!("in force  {}  entry #{}", names(&view), view.entry)),
    }
    Ok(Exit::Allowed)
}

async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let path = args.entry.map_or_else(|| POLICY_PATH.to_owned(), |entry| format!("{POLICY_PATH}?entry={entry}"));
    let policy = async |instance: &Instance| match args.entry {
        Some(entry) => Ok(instance.policy_of(&permit(instance)?, entry).await?),
        None => Ok(instance.policy()),
    };
    let view: PolicyView = Operator::of(&args.data).await?.ask(("GET", &path, Vec::new()), policy).await?;
    match args.output {
        Format::Json => json(&view)?,
        Format::Text => {
            say(&format!("entry #{}: {}", view.entry, names(&view)));
            view.modules.iter().for_each(|module| data(&format!("# {}\n{}", module.name, module.text.trim_end())));
        }
    }
    Ok(Exit::Allowed)
}

/// What came of the statement in a file.
#[derive(Debug, serde::Serialize)]
struct Tested {
    file: PathBuf,
    #[serde(flatten)]
    tried: Tried,
}

async fn test(args: TestArgs) -> anyhow::Result<Exit> {
    let is_module = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "rego");
    let (modules, files): (Vec<_>, Vec<_>) = args.files.iter().partition(is_module);
    if files.is_empty() || (modules.is_empty() && args.data.is_none()) {
        anyhow::bail!(UsageError(
            "name the modules of a policy (*.rego; with --data they may be left out) and the statements to decide about"
                .to_owned()
        ));
    }
    let modules = modules.into_iter().map(|path| module(path)).collect::<Result<Vec<_>, _>>()?;
    let mut statements = Vec::new();
    for file in &files {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        SignedStatement::decode(&bytes).with_context(|| format!("{} is no statement", file.display()))?;
        statements.push(bytes);
    }
    let tried = match (&args.data, &args.issuers) {
        (Some(folder), _) => {
            let statements = statements.iter().map(|bytes| STANDARD.encode(bytes)).collect();
            on_ledger(folder, &TrialRequest { modules, statements, now: args.now }).await?
        }
        (None, Some(issuers)) => alone(issuers, modules, &statements, args.now.unwrap_or_else(|| clock().now()))?,
        (None, None) => anyhow::bail!(UsageError("say whom the test admits: --data or --issuers".to_owned())),
    };
    let tested: Vec<_> =
        files.into_iter().zip(tried).map(|(file, tried)| Tested { file: file.clone(), tried }).collect();
    match args.output {
        Format::Json => json(&tested)?,
        Format::Text => tested.iter().for_each(|Tested { file, tried }| {
            let place = tried.index.map_or_else(String::new, |index| format!("  (as at its entry #{index})"));
            match &tried.reason {
                None => data(&format!("allowed  {}{place}", file.display())),
                Some(reason) => data(&format!("refused  {}{place}  {reason}", file.display())),
            }
        }),
    }
    Ok(if tested.iter().all(|tested| tested.tried.allowed) { Exit::Allowed } else { Exit::Refused })
}

/// With the issuers and the earlier claims of a ledger.
async fn on_ledger(folder: &Path, request: &TrialRequest) -> anyhow::Result<Vec<Tried>> {
    let tried = async |instance: &Instance| Ok(instance.try_policy(&permit(instance)?, request).await?);
    let body = serde_json::to_vec(request)?;
    Operator::of(folder).await?.ask(("POST", TRIAL_PATH, body), tried).await
}

/// Without a ledger: the statements are all that there is.
fn alone(issuers: &Path, modules: Vec<Module>, statements: &[Vec<u8>], now: i64) -> anyhow::Result<Vec<Tried>> {
    let text = std::fs::read(issuers).with_context(|| format!("cannot read {}", issuers.display()))?;
    let no_list = || format!("{} is no list of issuers", issuers.display());
    let issuers: Vec<IssuerView> = serde_json::from_slice(&text).with_context(no_list)?;
    let mut policy = Policy::new();
    for issuer in issuers {
        policy.admit(issuer.admitted().map_err(anyhow::Error::msg).with_context(no_list)?);
    }
    policy.set_rules(Rules::compile(modules)?.into(), 0);
    let mut trial = Trial::new(policy);
    let decide = |bytes: &Vec<u8>| Ok(trial.decide(SignedStatement::decode(bytes)?, Vec::new(), 0, now));
    statements.iter().map(decide).collect()
}

async fn replay(args: ReplayArgs) -> anyhow::Result<Exit> {
    let again = async |instance: &Instance| Ok(instance.replay_policy(&permit(instance)?).await?);
    let replay: Replay = Operator::of(&args.data).await?.ask(("POST", REPLAY_PATH, Vec::new()), again).await?;
    match args.output {
        Format::Json => json(&replay)?,
        Format::Text => {
            replay.differences.iter().for_each(|difference| data(difference));
            data(&format!("decided again  {} of {} entries", replay.decided, replay.entries));
        }
    }
    Ok(if replay.differences.is_empty() { Exit::Allowed } else { Exit::Refused })
}

fn module(path: &Path) -> anyhow::Result<Module> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Module { name, text })
}

fn names(view: &PolicyView) -> String {
    if view.modules.is_empty() {
        return "every statement of an admitted issuer is registered".to_owned();
    }
    view.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>().join(", ")
}
