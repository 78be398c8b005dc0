//! `docket gc`: collects garbage, on a running server or on the folder itself.

use std::path::PathBuf;
use std::time::Duration;

use docket_engine::{Collection, CollectionReport, CollectorStats, Phase};
use indicatif::{HumanBytes, ProgressBar};

use crate::cli::operator::{Operator, call, permit};
use crate::cli::output::{Exit, Format, UsageError, data, json};
use crate::config::Config;
use crate::http::GC_PATH;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder of the registry; a running server is asked to collect
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Keep what was pushed, mounted or seen this long ago; less than a push takes makes pushes in flight start over [default: 24h]
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut asked = Config::read(None, Some(&args.data), None)?.gc.collection();
    asked.dry_run = args.dry_run;
    if let Some(grace) = &args.grace {
        let time = humantime::parse_duration(grace);
        let time = time.map_err(|_| UsageError(format!("{grace:?} is no time, such as 24h or 0s")))?;
        asked.grace_s = time.as_secs();
    }
    let report = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => {
            let folder = &args.data;
            let progress = shown(async move || match Operator::of(folder).await {
                Ok(Operator::Server { stream, data }) => call((stream, data), "GET", GC_PATH, Vec::new()).await.ok(),
                Ok(Operator::Here(_)) | Err(_) => None,
            });
            let collection = call((stream, data), "POST", GC_PATH, serde_json::to_vec(&asked)?);
            beside(progress, collection).await?
        }
        Operator::Here(instance) => {
            let progress = shown(async || Some(instance.collector_stats()));
            let report = beside(progress, collect_here(&instance, asked)).await;
            instance.close().await;
            report?
        }
    };
    match args.output {
        Format::Json => json(&report)?,
        Format::Text => data(&said(&report)),
    }
    Ok(if report.failures == 0 { Exit::Allowed } else { Exit::Refused })
}

async fn collect_here(instance: &docket_engine::Instance, asked: Collection) -> anyhow::Result<CollectionReport> {
    Ok(instance.collect(&permit(instance)?, asked).await?)
}

fn said(report: &CollectionReport) -> String {
    let CollectionReport { dry_run, links, blobs, bytes, strays, stray_bytes, database_bytes, failures } = report;
    let (verb, database) = match dry_run {
        true => ("would remove", String::new()),
        false => ("removed", format!("; the database is {} smaller", HumanBytes(*database_bytes))),
    };
    let failed = if *failures == 0 { String::new() } else { format!("; {failures} could not be removed, see the log") };
    format!(
        "{verb}  {blobs} blobs ({}) that {links} links showed, {strays} stray files ({}){database}{failed}",
        HumanBytes(*bytes),
        HumanBytes(*stray_bytes)
    )
}

/// Waits for the work; what is shown beside it never ends by itself.
async fn beside<T>(shown: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        () = shown => unreachable!("it is shown until the work is done"),
    }
}

/// Shows on a terminal how far the collection is, for as long as it is waited for.
async fn shown(stats: impl AsyncFn() -> Option<CollectorStats>) {
    let bar = ProgressBar::new_spinner();
    if bar.is_hidden() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(SHOWN_EVERY).await;
        if let Some(CollectorStats { at: Some(phase), seen, blobs, bytes, .. }) = stats().await {
            let part = match phase {
                Phase::References => "references",
                Phase::Links => "links",
                Phase::Blobs => "blobs",
                Phase::Strays => "files",
                Phase::Database => "free pages",
            };
            bar.set_message(format!("{part}: {seen} looked at; {blobs} blobs ({}) removed", HumanBytes(bytes)));
            bar.tick();
        }
    }
}

const SHOWN_EVERY: Duration = Duration::from_millis(200);
