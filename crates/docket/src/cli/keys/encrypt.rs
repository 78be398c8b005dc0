//! `docket keys encrypt` and `decrypt`: a private key file with or without a passphrase.

use std::path::PathBuf;

use anyhow::Context as _;
use docket_proof::key::{is_sealed, seal};

use crate::cli::key_file::{PassphraseArgs, read, replace};
use crate::cli::output::{Exit, say};
use crate::passphrase;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Private key file; for one of a service, stop the server first
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(crate) fn encrypt(args: &Args) -> anyhow::Result<Exit> {
    let text = read(&args.file)?;
    let shown = args.file.display();
    anyhow::ensure!(
        !is_sealed(&text),
        "{shown} is encrypted already; `docket keys decrypt` it first to change its passphrase"
    );
    let what = shown.to_string();
    let passphrase = match args.passphrase.making(&what)? {
        Some(passphrase) => passphrase,
        None => passphrase::ask_new(&what)?,
    };
    let sealed = seal(&text, &passphrase).with_context(|| format!("{shown} is no private key"))?;
    replace(&args.file, &sealed)?;
    say(&format!("{shown} is encrypted; old copies, and what the disk remembers of it, are not"));
    Ok(Exit::Allowed)
}

pub(crate) fn decrypt(args: &Args) -> anyhow::Result<Exit> {
    let shown = args.file.display();
    anyhow::ensure!(is_sealed(&read(&args.file)?), "{shown} is not encrypted");
    replace(&args.file, &args.passphrase.text(&args.file)?)?;
    say(&format!("{shown} is no longer encrypted"));
    Ok(Exit::Allowed)
}
