//! `docket rm`: removes a tag, or a manifest with every tag on it. What only they named goes with the next collection.

use anyhow::ensure;
use docket_client::{Registry, Transport};
use docket_oci::{Reference, Tag};
use serde_json::json;

use crate::cli::output::{self, Exit, Format, UsageError, data};
use crate::cli::remote::{RemoteArgs, registry_only};
use crate::cli::show::tags_on;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host/name:tag, or host/name@digest
    reference: String,
    /// Remove a digest although tags point to it; they go with it
    #[arg(long)]
    with_tags: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let parsed: Transport = args.reference.parse().map_err(|failure| UsageError(format!("{failure}")))?;
    let image = registry_only(&parsed)?;
    // What is read by default may not be what is removed by default.
    let last = args.reference.rsplit('/').next().unwrap_or_default();
    ensure!(last.contains([':', '@']), UsageError(format!("name what goes: {}:tag or @digest", args.reference)));
    let repository = &image.repository;
    let registry = Registry::connect(&image.host, args.remote.options()?).await?;
    let tags = match &image.reference {
        Reference::Tag(tag) => vec![tag.clone()],
        Reference::Digest(digest) => tags_on(&registry, repository, digest).await?,
    };
    let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
    let is_digest = matches!(image.reference, Reference::Digest(_));
    ensure!(
        !is_digest || tags.is_empty() || args.with_tags,
        "{repository} {} has tags that would go with it: {names}; nothing was removed, add --with-tags if they may go",
        image.reference
    );
    let removed = registry.delete_manifest(repository, &image.reference).await?;
    ensure!(removed, "{repository} has no manifest {}", image.reference);
    match args.output {
        Format::Json => output::json(&json!({
            "repository": repository,
            "digest": is_digest.then(|| image.reference.to_string()),
            "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        }))?,
        Format::Text if is_digest && !tags.is_empty() => {
            data(&format!("removed  {repository}@{}  with its tags {names}", image.reference));
        }
        Format::Text if is_digest => data(&format!("removed  {repository}@{}", image.reference)),
        Format::Text => data(&format!("removed  {repository}:{}", image.reference)),
    }
    Ok(Exit::Allowed)
}
