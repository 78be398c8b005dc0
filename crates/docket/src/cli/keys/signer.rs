//! `docket keys signer`: a signing command on a key file, for a server on the other side of ssh or sudo.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::key_file::PassphraseArgs;
use crate::cli::output::Exit;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Private key file (ES256)
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// What the server asks for, which it adds itself: the public key in PEM, or the signature over stdin, 64 bytes
    #[arg(value_enum)]
    verb: Verb,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Verb {
    Public,
    Sign,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let key = args.passphrase.key(&args.file)?.key;
    let answer = match args.verb {
        Verb::Public => key.public().to_spki_pem().into_bytes(),
        Verb::Sign => {
            let mut message = Vec::new();
            std::io::stdin().take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut message).context("cannot read stdin")?;
            anyhow::ensure!(
                message.len() as u64 <= MESSAGE_BYTES_MAX,
                "no service signs more than {MESSAGE_BYTES_MAX} bytes"
            );
            key.sign(&message)
        }
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&answer).and_then(|()| out.flush()).context("cannot write the answer")?;
    Ok(Exit::Allowed)
}

/// The largest entry, and what is signed around it.
const MESSAGE_BYTES_MAX: u64 = 128 * 1024;
