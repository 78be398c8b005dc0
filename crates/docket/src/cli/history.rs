//! `docket history`: every manifest a tag ever pointed to and each deletion, with proofs, and whether they add up.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use docket_client::{Registry, Transport};
use docket_engine::{Current, Event, HistoryEvent, HistoryPage, HistoryQuery, OWN_TYP, Observation, Right};
use docket_oci::query::escape;
use docket_oci::{Digest, Reference, RepositoryName, Tag};
use docket_proof::key::{PublicKey, parse_key_set};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{EntryId, SignedStatement};
use docket_proof::trust::Trust;
use serde_json::json;

use crate::cli::operator::{Operator, call, permit_for};
use crate::cli::output::{self, Exit, Format, UsageError, data, say};
use crate::cli::remote::{RemoteArgs, registry_only};
use crate::http::{HISTORY_PATH, HistoryOfFolder};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host/name[:tag]; with --data, name[:tag]
    reference: String,
    /// Data folder to read instead of a registry that is asked over the network
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Whose receipts to believe; without it the keys are those that the registry names
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Write statements, receipts and keys to a file, for others to check and to compare with later
    #[arg(long, value_name = "FILE")]
    entries: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// A whole history as it was answered, not checked yet.
struct History {
    repository: RepositoryName,
    tag: Tag,
    tree_size: u64,
    current: Option<Digest>,
    events: Vec<HistoryEvent>,
    keys: Vec<PublicKey>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let trust = args.trust.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Trust::parse(&text).with_context(|| format!("{} is no trust file", path.display()))
    });
    let trust = trust.transpose()?;
    let mut history = match &args.data {
        Some(folder) => of_folder(folder, &args.reference).await?,
        None => of_registry(&args).await?,
    };
    if let Some(trust) = &trust {
        history.keys = trust.services().iter().flat_map(|service| service.keys.clone()).collect();
    }
    if let Some(path) = &args.entries {
        let text = serde_json::to_string_pretty(&exported(&history))?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    let told = tell(&history);
    match args.output {
        Format::Json => output::json(&json!({
            "reference": format!("{}:{}", history.repository, history.tag), "tree_size": history.tree_size,
            "current": history.current, "events": told.lines.iter().map(|line| line.json.clone()).collect::<Vec<_>>(),
            "gaps": told.gaps, "problems": told.problems,
        }))?,
        Format::Text => {
            data(&format!("{}:{}", history.repository, history.tag));
            told.lines.iter().for_each(|line| data(&format!("  {}", line.text)));
            if told.lines.is_empty() {
                data("  nothing was observed");
            }
            say(&format!("complete for the ledger of {} entries", history.tree_size));
            told.gaps.iter().for_each(|gap| say(&format!("gap: {gap}")));
            told.problems.iter().for_each(|problem| say(&format!("docket: {problem}")));
        }
    }
    Ok(if told.problems.is_empty() { Exit::Allowed } else { Exit::Refused })
}

async fn of_registry(args: &Args) -> anyhow::Result<History> {
    let parsed: Transport = args.reference.parse().map_err(|failure| UsageError(format!("{failure}")))?;
    let image = registry_only(&parsed)?;
    let Reference::Tag(tag) = &image.reference else { anyhow::bail!(no_tag(&args.reference)) };
    let registry = Registry::connect(&image.host, args.remote.options()?).await?;
    let keys = crate::cli::trust::get(&registry, "/.well-known/scitt-keys", "application/cbor").await?;
    let keys = parse_key_set(&keys).with_context(|| format!("the keys of {} are not understood", image.host))?;
    let base = format!("/api/v1/history?repository={}&tag={}&limit=1000", escape(image.repository.as_str()), tag);
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = registry.get(&format!("{base}{cursor}"), "application/json").await?;
        ensure!(reply.status != 404, "{} knows no repository {}, or keeps no histories", image.host, image.repository);
        ensure!(reply.status == 200, "{} answered {} when asked for a history", image.host, reply.status);
        let page: HistoryPage =
            serde_json::from_slice(&reply.body).context("the registry's answer is not understood")?;
        cursor = page.next.map(|next| format!("&cursor={next}-{}", page.tree_size)).unwrap_or_default();
        pages.push(page);
        if cursor.is_empty() {
            break;
        }
        ensure!(pages.len() < PAGES_MAX, "the history has more than {} events", PAGES_MAX * 1000);
    }
    let keys = keys.into_iter().filter_map(Result::ok).collect();
    whole(image.repository.clone(), tag.clone(), pages, keys)
}

async fn of_folder(folder: &std::path::Path, reference: &str) -> anyhow::Result<History> {
    // Only a reference knows where a tag begins.
    let parsed: Transport =
        format!("localhost/{reference}").parse().map_err(|failure| UsageError(format!("{failure}")))?;
    let image = registry_only(&parsed)?;
    let Reference::Tag(tag) = &image.reference else { anyhow::bail!(no_tag(reference)) };
    let (mut pages, mut keys) = (Vec::new(), Vec::new());
    let (mut from, mut tree_size) = (0, None);
    loop {
        let page: HistoryOfFolder = match Operator::of(folder).await? {
            Operator::Server { stream, data } => {
                let size = tree_size.map(|size: u64| format!("&cursor={from}-{size}")).unwrap_or_default();
                let repository = escape(image.repository.as_str());
                let path = format!("{HISTORY_PATH}?repository={repository}&tag={tag}&limit=1000{size}");
                call((stream, data), "GET", &path, Vec::new()).await?
            }
            Operator::Here(instance) => {
                let query = HistoryQuery { tag: tag.clone(), from, tree_size, limit: 1000 };
                let permit = permit_for(&instance, Right::Pull, &image.repository)?;
                let page = instance.history(&permit, &query).await;
                let receipt_keys = instance.receipt_keys().iter().map(PublicKey::to_spki_pem).collect();
                instance.close().await;
                HistoryOfFolder { page: page?, receipt_keys }
            }
        };
        if pages.is_empty() {
            let read = page.receipt_keys.iter().map(|pem| PublicKey::from_spki_pem(pem));
            keys = read.collect::<Result<_, _>>().context("a key of the folder is not understood")?;
        }
        (from, tree_size) = (page.page.next.unwrap_or_default(), Some(page.page.tree_size));
        let is_last = page.page.next.is_none();
        pages.push(page.page);
        if is_last {
            return whole(image.repository.clone(), tag.clone(), pages, keys);
        }
        ensure!(pages.len() < PAGES_MAX, "the history has more than {} events", PAGES_MAX * 1000);
    }
}

fn no_tag(reference: &str) -> UsageError {
    UsageError(format!("{reference} is a digest, which never changes; only tags have a history"))
}

fn whole(
    repository: RepositoryName,
    tag: Tag,
    pages: Vec<HistoryPage>,
    keys: Vec<PublicKey>,
) -> anyhow::Result<History> {
    let first = pages.first().context("there is no answer")?;
    let Some(Current { digest: current }) = first.current else {
        anyhow::bail!("the answer does not say where the tag stands")
    };
    let tree_size = first.tree_size;
    ensure!(pages.iter().all(|page| page.tree_size == tree_size), "the pages of the answer are of different trees");
    let events = pages.into_iter().flat_map(|page| page.events).collect();
    Ok(History { repository, tag, tree_size, current, events, keys })
}

/// What others can check without this program.
fn exported(history: &History) -> serde_json::Value {
    json!({
        "repository": history.repository, "tag": history.tag, "tree_size": history.tree_size, "current": history.current,
        "receipt_keys": history.keys.iter().map(PublicKey::to_spki_pem).collect::<Vec<_>>(),
        "events": history.events,
    })
}

/// A history that was checked.
#[derive(Default)]
struct Told {
    lines: Vec<Line>,
    /// Where the history itself says that something may have gone unobserved.
    gaps: Vec<String>,
    /// Where it does not add up.
    problems: Vec<String>,
}

struct Line {
    text: String,
    json: serde_json::Value,
}

/// Where the history so far leaves the tag.
#[derive(Default)]
struct Course {
    index: Option<u64>,
    /// The newest entry about the tag.
    after: Option<u64>,
    /// The newest entry that suspended or resumed observation.
    switched: Option<u64>,
    digest: Option<Digest>,
    /// Whether the tag may have moved unobserved since.
    is_uncertain: bool,
    /// Whether observation is suspended, at least in part.
    is_suspended: bool,
}

/// Checks each receipt, then whether each event goes on where the one before ended.
fn tell(history: &History) -> Told {
    let mut told = Told::default();
    // Before the first observation anything may have happened: observation may have begun later than the repository.
    let mut course = Course { is_uncertain: true, ..Course::default() };
    for event in &history.events {
        match proved(history, event) {
            Ok(observation) => {
                let problems = course.follow(history, event, &observation, &mut told.gaps);
                told.problems.extend(problems.into_iter().map(|problem| format!("entry #{}: {problem}", event.index)));
                told.lines.push(line(history, event, &observation));
            }
            Err(problem) => {
                told.problems.push(format!("entry #{}: {problem:#}", event.index));
                course.is_uncertain = true;
                let json = json!({ "index": event.index, "entry": event.entry, "problem": format!("{problem:#}") });
                told.lines.push(Line { text: format!("#{}  not proved", event.index), json });
            }
        }
    }
    if course.digest != history.current {
        let (now, then) = (shown(history.current), shown(course.digest));
        let tag = &history.tag;
        if course.is_uncertain {
            told.gaps.push(format!("{tag} stands {now}, and was last observed {then}"));
        } else {
            told.problems.push(format!("{tag} stands {now}, but the newest observation left it {then}"));
        }
    }
    told
}

/// What a proved entry says.
fn proved(history: &History, event: &HistoryEvent) -> anyhow::Result<Observation> {
    let decode = |text: &str| BASE64.decode(text).context("its bytes are not base64");
    let statement = SignedStatement::decode(&decode(&event.statement)?)?;
    let receipt = Receipt::decode(&decode(&event.receipt)?)?;
    let key = history.keys.iter().find(|key| key.thumbprint() == receipt.kid());
    let key = key.with_context(|| {
        format!("its receipt is signed with key {}, which is not among those believed", receipt.kid())
    })?;
    receipt.verify(statement.entry(), key).context("its receipt does not hold")?;
    ensure!(EntryId::of(statement.entry()).to_string() == event.entry, "it has another id");
    ensure!(receipt.index() == event.index, "its receipt is for entry #{}", receipt.index());
    ensure!(receipt.tree_size() == history.tree_size, "its receipt is of a tree of {} entries", receipt.tree_size());
    let is_own = statement.issuer() == receipt.issuer() && statement.typ() == Some(OWN_TYP);
    ensure!(is_own, "it is by {}, not by the service", statement.issuer());
    let observation = Observation::of(&statement).context("it is no observation")?;
    ensure!(observation.repository == history.repository, "it is about {}", observation.repository);
    Ok(observation)
}

impl Course {
    /// Goes on by one event; what does not fit is said.
    fn follow(
        &mut self,
        history: &History,
        event: &HistoryEvent,
        observation: &Observation,
        gaps: &mut Vec<String>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if self.index.is_some_and(|before| before >= event.index) {
            problems.push("it stands out of order".to_owned());
        }
        self.index = Some(event.index);
        let follows = |expected: Option<u64>, after: Option<u64>, problems: &mut Vec<String>| {
            if after != expected {
                let (says, shown) = (numbered(after), numbered(expected));
                problems.push(format!("it follows {says}, but the history shows {shown} before it"));
            }
        };
        let Some(observed) = observation.tags.iter().find(|observed| observed.tag == history.tag) else {
            match observation.event {
                Event::Suspended | Event::Resumed => {
                    follows(self.switched, observation.after, &mut problems);
                    self.switched = Some(event.index);
                    self.is_uncertain = true;
                    self.is_suspended = observation.event == Event::Suspended;
                }
                Event::Tagged | Event::Untagged | Event::Pushed | Event::Deleted => {
                    problems.push(format!("it does not speak of {}", history.tag));
                }
            }
            return problems;
        };
        follows(self.after, observed.after, &mut problems);
        let stood_on = match observation.event {
            Event::Tagged => observed.previous,
            Event::Untagged | Event::Deleted => observation.digest,
            Event::Pushed | Event::Suspended | Event::Resumed => None,
        };
        if stood_on != self.digest {
            let text =
                format!("the tag stood {} before, but was last observed {}", shown(stood_on), shown(self.digest));
            if self.is_uncertain {
                gaps.push(format!("entry #{}: {text}", event.index));
            } else {
                problems.push(text);
            }
        }
        self.after = Some(event.index);
        self.digest = observation.digest.filter(|_| observation.event == Event::Tagged);
        self.is_uncertain = self.is_suspended;
        problems
    }
}

fn line(history: &History, event: &HistoryEvent, observation: &Observation) -> Line {
    let observed = observation.tags.iter().find(|observed| observed.tag == history.tag);
    let previous = observed.and_then(|observed| observed.previous);
    let time = u64::try_from(event.logged_at).unwrap_or_default();
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time)).to_string();
    let what = match (observation.event, previous) {
        (Event::Tagged, None) => "tagged",
        (Event::Tagged, Some(_)) => "moved",
        (Event::Untagged, _) => "untagged",
        (Event::Pushed, _) => "pushed",
        (Event::Deleted, _) => "deleted",
        (Event::Suspended, _) => "observation suspended",
        (Event::Resumed, _) => "observation resumed",
    };
    let digest = observation.digest.map(|digest| format!("  {digest}")).unwrap_or_default();
    let text =
        format!("{time}  {what}{digest}  entry {}  #{} of {}  receipt ok", event.entry, event.index, history.tree_size);
    let json = json!({
        "index": event.index, "entry": event.entry, "logged_at": time, "event": observation.event,
        "digest": observation.digest, "previous": previous, "media_type": observation.media_type, "receipt": "ok",
    });
    Line { text, json }
}

fn shown(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "on nothing".to_owned(), |digest| format!("on {digest}"))
}

fn numbered(index: Option<u64>) -> String {
    index.map_or_else(|| "no entry".to_owned(), |index| format!("entry #{index}"))
}

/// Pages of a history that are read.
const PAGES_MAX: usize = 1000;
