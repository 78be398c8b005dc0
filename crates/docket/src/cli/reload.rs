//! `docket reload`: a running server reads its configuration again.

use std::path::PathBuf;

use crate::cli::operator::{Operator, call};
use crate::cli::output::{Exit, Format, data, json};
use crate::http::RELOAD_PATH;
use crate::reload::Reloaded;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data folder of the running server
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let reloaded: Reloaded = match Operator::of(&args.data).await? {
        Operator::Server { stream, data } => call((stream, data), "POST", RELOAD_PATH, Vec::new()).await?,
        Operator::Here(instance) => {
            instance.close().await;
            anyhow::bail!("no server runs on {}; it reads its configuration when it starts", args.data.display());
        }
    };
    match args.output {
        Format::Json => json(&reloaded)?,
        Format::Text => {
            let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            data(&format!("applied        {}", list(&reloaded.applied)));
            data(&format!("needs restart  {}", list(&reloaded.needs_restart)));
        }
    }
    Ok(Exit::Allowed)
}
