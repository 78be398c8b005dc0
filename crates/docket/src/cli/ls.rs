//! `docket ls`: what a registry holds, repository by repository, tag by tag.

use std::path::PathBuf;

use docket_client::Registry;
use docket_oci::query::escape;
use docket_oci::{ImageReference, RepositoryName};
use serde_json::json;

use crate::cli::operator::{Operator, call, permit};
use crate::cli::output::{self, Exit, Format, UsageError, data};
use crate::cli::remote::RemoteArgs;
use crate::http::{NAMES_PAGE, NAMES_PATH, NamesPage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// host to list its repositories, host/name to list its tags; with --data a name, or nothing
    #[arg(required_unless_present = "data")]
    place: Option<String>,
    /// Data folder to list instead of a registry that is asked over the network
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (repository, names) = match (&args.data, &args.place) {
        (Some(folder), name) => {
            let named = name.as_deref().map(repository_name).transpose()?;
            let names = stored(folder, named.as_ref()).await?;
            (named, names)
        }
        (None, place) => {
            let (host, named) = place_on_a_registry(place.as_deref().unwrap_or_default())?;
            let registry = Registry::connect(&host, args.remote.options()?).await?;
            let names = match &named {
                Some(repository) => registry.tags(repository).await?.iter().map(ToString::to_string).collect(),
                None => registry.repositories().await?.iter().map(ToString::to_string).collect(),
            };
            (named, names)
        }
    };
    match (args.output, repository) {
        (Format::Text, _) => names.iter().for_each(|name: &String| data(name)),
        (Format::Json, Some(repository)) => output::json(&json!({ "repository": repository, "tags": names }))?,
        (Format::Json, None) => output::json(&json!({ "repositories": names }))?,
    }
    Ok(Exit::Allowed)
}

/// All names in a data folder, page by page.
async fn stored(folder: &std::path::Path, repository: Option<&RepositoryName>) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let last = names.last().cloned().unwrap_or_default();
        let page = match Operator::of(folder).await? {
            Operator::Server { stream, data } => {
                let repository = repository.map(|name| format!("&repository={}", escape(name.as_str())));
                let path = format!("{NAMES_PATH}?last={}{}", escape(&last), repository.unwrap_or_default());
                call((stream, data), "GET", &path, Vec::new()).await?
            }
            Operator::Here(instance) => {
                let page = instance.stored_names(&permit(&instance)?, repository, &last, NAMES_PAGE).await;
                instance.close().await;
                let (names, more) = page?;
                NamesPage { names, more }
            }
        };
        names.extend(page.names);
        if !page.more {
            return Ok(names);
        }
    }
}

/// `host` or `host/name`.
fn place_on_a_registry(text: &str) -> anyhow::Result<(String, Option<RepositoryName>)> {
    let text = text.strip_prefix("docker://").unwrap_or(text).trim_end_matches('/');
    let (host, name) = text.split_once('/').map_or((text, None), |(host, name)| (host, Some(name)));
    // Only a reference knows what a host is.
    let image: ImageReference = format!("{host}/name")
        .parse()
        .map_err(|_| UsageError(format!("{host:?} is no registry; write host, host:port or host:port/name")))?;
    Ok((image.host, name.map(repository_name).transpose()?))
}

fn repository_name(text: &str) -> anyhow::Result<RepositoryName> {
    if text.contains([':', '@']) {
        anyhow::bail!(UsageError(format!("{text:?} names an artifact; leave tag or digest away, or use docket show")));
    }
    Ok(text.parse().map_err(|failure| UsageError(format!("{text:?} is no repository: {failure}")))?)
}
