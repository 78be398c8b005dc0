//! `docket verify`: is this artifact to be used, by what is claimed about it and whom you trust; or a statement by itself.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_client::Transport;
use docket_judge::verify::{
    ClaimVerdict, Evidence, Reason, ReceiptResult, ReceiptVerdict, Verdict, judge, judge_statement,
};
use docket_oci::Reference;
use docket_proof::receipt::{Position, ServiceName};
use docket_proof::statement::MAX_STATEMENT_BYTES;
use docket_proof::trust::Trust;

use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::remote::{GatherError, RemoteArgs, gather_with_documents, title};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host/name[:tag|@digest], oci:DIR[:NAME] or oci-archive:FILE[:NAME]
    #[arg(required_unless_present = "statement", conflicts_with = "statement")]
    reference: Option<Transport>,
    /// Instead of an artifact: a statement with receipts, of this or any other service
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// The document that the statement is about, to be compared with it
    #[arg(long, value_name = "FILE", requires = "statement", conflicts_with = "reference")]
    payload: Option<PathBuf>,
    /// Whom you believe; `docket trust pin` writes it
    #[arg(long, value_name = "FILE")]
    trust: PathBuf,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let trust = match read_trust(&args.trust) {
        Ok(trust) => trust,
        Err(failure) => return without_artifact(&args, Reason::CouldNotCheck, &format!("{failure:#}")),
    };
    let Some(reference) = &args.reference else { return statement(&args, &trust) };
    let opened = match args.remote.open(reference).await {
        Ok(opened) => opened,
        Err(failure) => return without_artifact(&args, Reason::CouldNotCheck, &format!("{failure:#}")),
    };
    match gather_with_documents(&opened).await {
        Ok((_, material)) => {
            let verdict = judge(&material, &trust);
            report(&args, &title(&opened, verdict.artifact()), &verdict)
        }
        Err(failure @ GatherError::Unavailable { .. }) => {
            without_artifact(&args, Reason::CouldNotCheck, &format!("{:#}", anyhow::Error::new(failure)))
        }
        Err(failure @ GatherError::Tampered { .. }) => {
            let (reason, message) = (Reason::NotTrusted, failure.to_string());
            let Reference::Digest(artifact) = opened.reference else {
                return without_artifact(&args, reason, &message);
            };
            let verdict = Verdict::Deny { artifact, reason, message, claims: Vec::new() };
            report(&args, &title(&opened, &artifact), &verdict)
        }
    }
}

impl Args {
    /// What is judged, as it was named.
    fn subject(&self) -> String {
        let statement = self.statement.as_ref().map(|path| path.display().to_string());
        statement.or_else(|| self.reference.as_ref().map(ToString::to_string)).unwrap_or_default()
    }
}

/// Judges a statement in a file.
fn statement(args: &Args, trust: &Trust) -> anyhow::Result<Exit> {
    let file = |path: &Option<PathBuf>, bytes_max| path.as_deref().map(|path| read_file(path, bytes_max)).transpose();
    let files = file(&args.statement, MAX_STATEMENT_BYTES as u64)
        .and_then(|statement| Ok((statement.unwrap_or_default(), file(&args.payload, PAYLOAD_BYTES_MAX)?)));
    let (statement, payload) = match files {
        Ok(files) => files,
        Err(failure) => return without_artifact(args, Reason::CouldNotCheck, &format!("{failure:#}")),
    };
    let verdict = judge_statement(&statement, payload.as_deref(), trust);
    let exit = verdict.reason.map_or(Exit::Allowed, exit_of);
    if args.output == Format::Json {
        json(&verdict)?;
        return Ok(exit);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
    match (&verdict.reason, &verdict.message) {
        (Some(reason), Some(message)) => {
            data(&format!("refused  {}\n  {}: {message}", args.subject(), name_of(*reason)));
        }
        _ => data(&format!("allowed  {}", args.subject())),
    }
    let media_type = text(&verdict.media_type);
    let entry = verdict.entry_id.map(|id| id.to_string().chars().take(ENTRY_SHOWN).collect::<String>());
    data(&format!(
        "  {}  {media_type}  about {}  by {}{}  entry {}…{}",
        kind(&media_type),
        text(&verdict.subject),
        text(&verdict.issuer),
        if verdict.signature_checked { " (signature ok)" } else { "" },
        text(&entry),
        match verdict.payload_checked {
            Some(true) => "  document ok",
            Some(false) => "  ANOTHER DOCUMENT",
            None => "",
        }
    ));
    verdict.receipts.iter().for_each(|receipt| data(&format!("    {}", receipt_line(receipt))));
    Ok(exit)
}

fn read_file(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(failed)?;
    anyhow::ensure!(bytes.len() as u64 <= bytes_max, "{} is larger than {bytes_max} bytes", path.display());
    Ok(bytes)
}

/// One receipt, for people.
fn receipt_line(receipt: &ReceiptVerdict) -> String {
    let service = receipt.service.as_ref().map_or("?", ServiceName::as_str);
    let place = match &receipt.position {
        Some(Position::Index { index, tree_size }) => format!("  #{index} of {tree_size}"),
        Some(Position::ClaimedIndex { index, tree_size }) => {
            format!("  #{index} of {tree_size} by its own word: its place is not signed")
        }
        Some(Position::Transaction { txid }) => {
            format!("  transaction {}", txid.as_deref().unwrap_or("unnamed"))
        }
        None => String::new(),
    };
    match (&receipt.result, receipt.reason()) {
        (ReceiptResult::Ok, _) => format!("receipt ok ({service}){place}"),
        (ReceiptResult::NotListed, _) => format!("receipt of {service}: not in the trust file, not checked"),
        (ReceiptResult::UnknownFormat(_), reason) => {
            format!("receipt of {service}: UNKNOWN FORMAT: {}", reason.unwrap_or_default())
        }
        (ReceiptResult::Broken(_), reason) => format!("receipt of {service}: BROKEN: {}", reason.unwrap_or_default()),
    }
}

fn name_of(reason: Reason) -> &'static str {
    match reason {
        Reason::Unsigned => "unsigned",
        Reason::NotTrusted => "not trusted",
        Reason::CouldNotCheck => "could not check",
    }
}

pub(crate) fn read_trust(path: &Path) -> anyhow::Result<Trust> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Trust::parse(&text).with_context(|| format!("{} is not usable", path.display()))
}

/// A denial without a look at the artifact.
fn without_artifact(args: &Args, reason: Reason, message: &str) -> anyhow::Result<Exit> {
    let message = message.trim_end();
    match args.output {
        Format::Json => json(&serde_json::json!({
            "verdict": "deny", "artifact": null, "reason": reason, "message": message, "claims": [],
        }))?,
        Format::Text if reason == Reason::CouldNotCheck => say(&format!("docket: could not judge: {message}")),
        Format::Text => data(&format!("refused  {}\n  {message}", args.subject())),
    }
    Ok(exit_of(reason))
}

fn exit_of(reason: Reason) -> Exit {
    match reason {
        Reason::CouldNotCheck => Exit::CouldNotJudge,
        Reason::Unsigned | Reason::NotTrusted => Exit::Refused,
    }
}

fn report(args: &Args, title: &str, verdict: &Verdict) -> anyhow::Result<Exit> {
    let exit = match verdict {
        Verdict::Allow { .. } => Exit::Allowed,
        Verdict::Deny { reason, .. } => exit_of(*reason),
    };
    if args.output == Format::Json {
        json(verdict)?;
        return Ok(exit);
    }
    match verdict {
        Verdict::Allow { .. } => data(&format!("allowed  {title}")),
        Verdict::Deny { reason, message, .. } => {
            let reason = name_of(*reason);
            data(&format!("refused  {title}\n  {reason}: {message}"));
        }
    }
    lines(verdict.claims()).iter().for_each(|line| data(line));
    Ok(exit)
}

/// One line per claim, in columns.
fn lines(claims: &[ClaimVerdict]) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let cells: Vec<[String; 4]> = claims
        .iter()
        .map(|claim| {
            let claim_type = text(claim.claim_type.clone());
            let entry = claim.entry_id.map(|id| id.to_string().chars().take(ENTRY_SHOWN).collect::<String>());
            [
                kind(&claim_type).to_owned(),
                claim_type,
                format!("by {}", text(claim.issuer.as_ref().map(ToString::to_string))),
                match (claim.index, claim.tree_size) {
                    (Some(index), Some(size)) => format!("entry {}…  #{index} of {size}", text(entry)),
                    _ => format!("entry {}…", text(entry)),
                },
            ]
        })
        .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (kinds, types, issuers, entries) = (width(0), width(1), width(2), width(3));
    let line = |(claim, [kind, claim_type, issuer, entry]): (&ClaimVerdict, &[String; 4])| {
        let outcome = match (&claim.problem, claim.evidence) {
            (Some(problem), _) => format!("NOT BELIEVED: {problem}"),
            (None, Some(Evidence::Absent { .. })) => "evidence: absent".to_owned(),
            (None, _) => String::new(),
        };
        let (proven, others): (Vec<_>, Vec<_>) =
            claim.receipts.iter().partition(|receipt| receipt.result == ReceiptResult::Ok);
        // One that holds needs no line of its own; what its place is, the entry says.
        let (on_line, below) = match proven.as_slice() {
            [only] if claim.problem.is_none() && claim.index.is_some() => (receipt_ok(only), &[][..]),
            several => (String::new(), several),
        };
        let outcome = [on_line, outcome].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
        let first = format!("  {kind:kinds$}  {claim_type:types$}  {issuer:issuers$}  {entry:entries$}  {outcome}");
        // Nor does one whose fault was told already.
        let told = claim.problem.as_ref().map(ToString::to_string).unwrap_or_default();
        let untold = |receipt: &&&ReceiptVerdict| receipt.reason().is_none_or(|reason| !told.contains(reason));
        let below = below.iter().chain(&others).filter(untold).map(|receipt| format!("    {}", receipt_line(receipt)));
        [first.trim_end().to_owned()].into_iter().chain(below).collect::<Vec<_>>()
    };
    claims.iter().zip(&cells).flat_map(line).collect()
}

fn receipt_ok(receipt: &ReceiptVerdict) -> String {
    format!("receipt ok ({})", receipt.service.as_ref().map_or("?", ServiceName::as_str))
}

/// What people call documents of a media type.
pub(crate) fn kind(claim_type: &str) -> &'static str {
    let known = |needles: &[&str]| needles.iter().any(|needle| claim_type.contains(needle));
    if known(&["openvex", "csaf", "vex+json"]) {
        "vex"
    } else if known(&["cyclonedx", "spdx"]) {
        "sbom"
    } else if known(&["sarif"]) {
        "scan"
    } else if known(&["in-toto", "slsa"]) {
        "provenance"
    } else if known(&["vnd.docket.observation"]) {
        "observed"
    } else {
        "claim"
    }
}

/// The largest document that is compared with a statement: it is held in memory, for its hash may be of three kinds.
const PAYLOAD_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Hex digits of an entry id that a line shows.
const ENTRY_SHOWN: usize = 12;
