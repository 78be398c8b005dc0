//! `docket fsck`: proves everything stored again.

use std::path::PathBuf;

use docket_engine::FsckReport;

use crate::cli::operator::{Operator, call, permit};
use crate::cli::output::{Exit, Format, data, json};
use crate::http::{FSCK_CHECK_PATH, FSCK_PATH};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder of the registry; a running server is asked to check itself
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Change nothing: damaged content stays where it is, and is served
    #[arg(long)]
    check_only: bool,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let report: FsckReport = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => {
            let path = if args.check_only { FSCK_CHECK_PATH } else { FSCK_PATH };
            call((stream, data), "POST", path, Vec::new()).await?
        }
        Operator::Here(instance) => {
            let permit = permit(&instance)?;
            let report =
                if args.check_only { instance.fsck_check_only(&permit).await } else { instance.fsck(&permit).await };
            instance.close().await;
            report?
        }
    };
    match args.output {
        Format::Json => json(&report)?,
        Format::Text => {
            report.problems.iter().for_each(|problem| data(&format!("problem  {problem}")));
            let FsckReport { blobs, quarantined, manifests, incomplete, entries, heads, tiles, problems } = &report;
            if *quarantined > 0 {
                data(&format!(
                    "quarantined  {quarantined} blobs, until they are pushed again; see the folder quarantine"
                ));
            }
            data(&format!(
                "{}  {blobs} blobs, {manifests} manifests ({incomplete} with parts deleted), {entries} entries, {heads} heads, {tiles} tiles",
                if problems.is_empty() { "clean  " } else { "damaged" }
            ));
        }
    }
    Ok(if report.problems.is_empty() { Exit::Allowed } else { Exit::Refused })
}
