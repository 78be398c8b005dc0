//! `docket fsck`: proves everything stored again.

use std::path::PathBuf;

use docket_engine::FsckReport;

use crate::cli::operator::{Operator, call, permit};
use crate::cli::output::{Exit, Format, data, json};
use crate::http::FSCK_PATH;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder of the registry; a running server is asked to check itself
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let report: FsckReport = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => call((stream, data), "POST", FSCK_PATH, Vec::new()).await?,
        Operator::Here(instance) => {
            let report = instance.fsck(&permit(&instance)?).await;
            instance.close().await;
            report?
        }
    };
    match args.output {
        Format::Json => json(&report)?,
        Format::Text => {
            report.problems.iter().for_each(|problem| data(&format!("problem  {problem}")));
            let FsckReport { blobs, manifests, incomplete, entries, heads, tiles, problems } = &report;
            data(&format!(
                "{}  {blobs} blobs, {manifests} manifests ({incomplete} with parts deleted), {entries} entries, {heads} heads, {tiles} tiles",
                if problems.is_empty() { "clean  " } else { "damaged" }
            ));
        }
    }
    Ok(if report.problems.is_empty() { Exit::Allowed } else { Exit::Refused })
}
