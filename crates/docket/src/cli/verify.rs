//! `docket verify`: is this artifact to be used, by what is claimed about it and whom you trust.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_client::Transport;
use docket_judge::verify::{ClaimVerdict, Evidence, Reason, Verdict, judge};
use docket_oci::Reference;
use docket_proof::trust::Trust;

use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::remote::{GatherError, RemoteArgs, gather_with_documents, title};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host/name[:tag|@digest], oci:DIR[:NAME] or oci-archive:FILE[:NAME]
    reference: Transport,
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
    let opened = match args.remote.open(&args.reference).await {
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

fn read_trust(path: &Path) -> anyhow::Result<Trust> {
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
        Format::Text => data(&format!("refused  {}\n  {message}", args.reference)),
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
            let reason = match reason {
                Reason::Unsigned => "unsigned",
                Reason::NotTrusted => "not trusted",
                Reason::CouldNotCheck => "could not check",
            };
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
        let outcome = match (&claim.problem, &claim.service, claim.evidence) {
            (Some(problem), _, _) => format!("NOT BELIEVED: {problem}"),
            (None, Some(service), Some(Evidence::Absent { .. })) => format!("receipt ok ({service})  evidence: absent"),
            (None, Some(service), _) => format!("receipt ok ({service})"),
            (None, None, _) => "receipt ok".to_owned(),
        };
        format!("  {kind:kinds$}  {claim_type:types$}  {issuer:issuers$}  {entry:entries$}  {outcome}")
    };
    claims.iter().zip(&cells).map(line).collect()
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
    } else {
        "claim"
    }
}

/// Hex digits of an entry id that a line shows.
const ENTRY_SHOWN: usize = 12;
