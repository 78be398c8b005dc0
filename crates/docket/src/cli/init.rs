//! `docket init`: keys, empty registry, genesis entry.

use std::path::PathBuf;

use docket_engine::Instance;
use docket_proof::key::Issuer;

use crate::cli::output::{Exit, Format, data, json, say};
use crate::cli::serve::clock;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to make; it must not hold docket data yet
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// URL under which the service is known; it stands in every receipt and cannot be changed
    #[arg(long, value_name = "URL")]
    service_id: Issuer,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let created = Instance::create(&args.data, args.service_id, &clock()).await?;
    let fingerprint = created.receipt_key.thumbprint();
    match args.output {
        Format::Json => json(&serde_json::json!({
            "data": args.data,
            "service": created.service.as_str(),
            "log": created.log,
            "fingerprint": fingerprint.to_string(),
        }))?,
        Format::Text => {
            data(&format!("service      {}", created.service));
            data(&format!("log          {}", created.log));
            data(&format!("fingerprint  {fingerprint}"));
            say("Give the fingerprint to consumers by a way they trust: `docket trust pin` asks for it.");
            say("No witness is configured: a rollback of the whole disk, guard and all, would go unnoticed here.");
            say(&format!("Next: docket serve --data {}", args.data.display()));
        }
    }
    Ok(Exit::Allowed)
}
