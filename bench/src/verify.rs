//! Offline verification in this process: a transparent statement, checked as a consumer does.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use docket_proof::key::{PublicKey, parse_key_set};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{SignedStatement, transparent};

use crate::http::Target;
use crate::ledger::{Signer, registration};
use crate::limits::rate;
use crate::row::{Row, median};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry
    #[arg(long, value_name = "http://HOST:PORT")]
    url: String,
    /// Private key of an issuer that is admitted there
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// Registers one statement and checks it with its receipt: decode, the issuer's signature, the path, the service's
/// signature. The yardstick is two bare signature checks.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Vec<Row>> {
    let target = Target::parse(&args.url)?;
    let signer = Signer::read(&args.key)?;
    let issuer = signer.file().key.public();
    let statement = signer.unplaced(1)?.pop().context("one statement was asked for")?;
    let mut connection = target.connect().await?;
    let (answer, receipt) = connection.fetch(&registration(&target, "/entries", &statement)).await?;
    ensure!(answer.status == 201, "{} answers {} to a statement", args.url, answer.status);
    let (answer, keys) = connection.fetch(&target.request("GET", "/.well-known/scitt-keys", &[], b"")).await?;
    ensure!(answer.status == 200, "{} tells no keys", args.url);
    let wanted = Receipt::decode(&receipt)?.kid();
    let keys: Vec<PublicKey> = parse_key_set(&keys)?.into_iter().filter_map(Result::ok).collect();
    let service = keys.into_iter().find(|key| key.thumbprint() == wanted).context("the receipt's key is not told")?;
    let bytes = transparent(&statement, &[&receipt])?;
    check(&bytes, issuer, &service)?;

    let time = Duration::from_secs(args.seconds);
    let message = [7; 300];
    let signature = signer.file().key.sign(&message);
    // In turns, so that both see the same machine.
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        bare.push(2.0 * rate(time / TURNS, || std::hint::black_box(issuer.verify(&message, &signature)))?.each_us());
        whole.push(rate(time / TURNS, || std::hint::black_box(check(&bytes, issuer, &service).is_ok()))?.each_us());
    }
    let (bare, whole) = median(bare).zip(median(whole)).context("no turns were taken")?;
    let row = Row::new("verify", "transparent statement, in process", whole, "µs");
    Ok(vec![
        Row::new("verify-bare", "two bare P-256 signature checks", bare, "µs"),
        Row { against: Some("verify-bare".to_owned()), goal: Some("ratio ≤ 1.5".to_owned()), ..row },
    ])
}

fn check(transparent: &[u8], issuer: &PublicKey, service: &PublicKey) -> anyhow::Result<()> {
    let verified = SignedStatement::decode(transparent)?.verify(issuer)?;
    let statement = verified.statement();
    let receipt = statement.receipts().first().context("there is no receipt")?;
    Receipt::decode(receipt)?.verify(statement.entry(), service)?;
    Ok(())
}

/// Turns that the measured time is cut into.
const TURNS: u32 = 10;
