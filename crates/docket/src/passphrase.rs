//! Passphrases: read from a file, or asked for where there is a terminal.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::Context as _;
use docket_proof::key::{PASSPHRASE_BYTES_MAX, Passphrase};
use zeroize::Zeroizing;

/// Reads the one line of a passphrase file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Passphrase> {
    let unreadable = || format!("cannot read the passphrase file {}", path.display());
    let file = File::open(path).with_context(unreadable)?;
    // Made large enough at once: a vector that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + LINE_END_BYTES + 1));
    file.take((PASSPHRASE_BYTES_MAX + LINE_END_BYTES + 1) as u64).read_to_end(&mut line).with_context(unreadable)?;
    Passphrase::from_line(&line).with_context(|| format!("{} holds no passphrase", path.display()))
}

/// Asks for a passphrase that opens something.
pub(crate) fn ask(what: &str) -> anyhow::Result<Passphrase> {
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "there is no terminal to ask for the passphrase of {what} on; give --passphrase-file FILE"
    );
    let line = rpassword::prompt_password(format!("Passphrase of {what}: ")).context("the passphrase was not given")?;
    Ok(Passphrase::from_line(Zeroizing::new(line).as_bytes())?)
}

/// Asks for a new passphrase, twice.
pub(crate) fn ask_new(what: &str) -> anyhow::Result<Passphrase> {
    let first = ask(what)?;
    let again = ask(&format!("{what}, once more"))?;
    anyhow::ensure!(first == again, "the two passphrases differ; nothing was changed");
    Ok(first)
}

/// What may end the line.
const LINE_END_BYTES: usize = 2;
