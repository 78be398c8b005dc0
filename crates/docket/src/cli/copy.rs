//! `docket copy`: artifacts, with what was said about them, between registries, layouts and archives.

use std::io::IsTerminal as _;

use docket_client::{CopyOptions, Destination, Progress, Transport, copy};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::{Exit, Format, data, json};
use crate::cli::remote::RemoteArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// docker://host/name[:tag|@digest], oci:DIR[:NAME] or oci-archive:FILE[:NAME]
    source: Transport,
    /// The same forms
    destination: Transport,
    /// Take along evidence, statements and receipts: everything that refers to the artifact
    #[arg(long)]
    claims: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let opened = args.remote.open(&args.source).await?;
    let destination = Destination::open(&args.destination, args.remote.options()?).await?;
    let bar = bar();
    let mut progress = |news: Progress| follow(&bar, news);
    let copied = copy(&opened, destination, CopyOptions { claims: args.claims }, &mut progress).await;
    bar.finish_and_clear();
    let copied = copied?;
    match args.output {
        Format::Json => json(&serde_json::json!({
            "artifact": copied.artifact.digest,
            "manifests": copied.manifests,
            "referrers": copied.referrers,
            "blobs_sent": copied.blobs_sent,
            "blobs_present": copied.blobs_present,
            "bytes_sent": copied.bytes_sent,
        }))?,
        Format::Text => data(&format!(
            "copied   {}  {} ({}), {} sent ({} bytes), {} already there",
            copied.artifact.digest,
            count(copied.manifests, "manifest"),
            count(copied.referrers, "referrer"),
            count(copied.blobs_sent, "blob"),
            copied.bytes_sent,
            copied.blobs_present,
        )),
    }
    Ok(Exit::Allowed)
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A bar for people who watch; nothing for logs and pipes.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn follow(bar: &ProgressBar, news: Progress) {
    match news {
        Progress::Planned { blobs, bytes, .. } => {
            bar.set_length(bytes);
            bar.set_message(format!("{blobs} blobs"));
        }
        Progress::BlobDone { bytes, .. } => bar.inc(bytes),
        Progress::Blob { .. } | Progress::Manifest { .. } => bar.tick(),
    }
}
