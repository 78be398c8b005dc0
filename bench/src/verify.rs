//! Offline verification in this process: a transparent statement, checked as a consumer does.

use anyhow::{Context as _, ensure};
use docket_proof::key::{PublicKey, parse_key_set};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{SignedStatement, transparent};

use crate::ledger::{Ledger, registration};
use crate::limits::signature_check_us;
use crate::row::Figure;

/// What it cannot do without: the signatures of issuer and service.
pub(crate) fn two_bare_checks() -> anyhow::Result<Figure> {
    Ok(Figure::new(2.0 * signature_check_us()?, "µs"))
}

/// What each registration costs before anything is decided: decode, the issuer's signature.
pub(crate) fn statement_check(ledger: &Ledger<'_>) -> anyhow::Result<Figure> {
    let issuer = ledger.signer.file().key.public();
    let statement = ledger.signer.unplaced(1)?.pop().context("one statement was asked for")?;
    let check = || anyhow::Ok(SignedStatement::decode(&statement)?.verify(issuer)?);
    check()?;
    let rate = crate::limits::rate(|| std::hint::black_box(check().is_ok()))?;
    Ok(Figure::new(rate.each_us(), "µs"))
}

/// One check of a transparent statement with its receipt: decode, the issuer's signature, the path, the service's
/// signature.
pub(crate) async fn whole_check(ledger: &Ledger<'_>) -> anyhow::Result<Figure> {
    let (target, signer) = (&ledger.server.target, &ledger.signer);
    let issuer = signer.file().key.public();
    let statement = signer.unplaced(1)?.pop().context("one statement was asked for")?;
    let mut connection = target.connect().await?;
    let (answer, receipt) = connection.fetch(&registration(target, "/entries", &statement)).await?;
    ensure!(answer.status == 201, "{} answers {} to a statement", target.url(), answer.status);
    let (answer, keys) = connection.fetch(&target.request("GET", "/.well-known/scitt-keys", &[], b"")).await?;
    ensure!(answer.status == 200, "{} tells no keys", target.url());
    let wanted = Receipt::decode(&receipt)?.kid();
    let keys: Vec<PublicKey> = parse_key_set(&keys)?.into_iter().filter_map(Result::ok).collect();
    let service = keys.into_iter().find(|key| key.thumbprint() == wanted).context("the receipt's key is not told")?;
    let bytes = transparent(&statement, &[&receipt])?;
    check(&bytes, issuer, &service)?;
    let rate = crate::limits::rate(|| std::hint::black_box(check(&bytes, issuer, &service).is_ok()))?;
    Ok(Figure::new(rate.each_us(), "µs"))
}

fn check(transparent: &[u8], issuer: &PublicKey, service: &PublicKey) -> anyhow::Result<()> {
    let verified = SignedStatement::decode(transparent)?.verify(issuer)?;
    let statement = verified.statement();
    let receipt = statement.receipts().first().context("there is no receipt")?;
    Receipt::decode(receipt)?.verify(statement.entry(), service)?;
    Ok(())
}
