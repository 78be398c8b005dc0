//! `docket keys`: an issuer's key pair, private key files, the service's own keys.

mod encrypt;
mod service;
mod signer;

use std::path::PathBuf;

use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::key::{Issuer, KeyFile, SigningKey, seal};

use crate::cli::key_file::{PassphraseArgs, write_new};
use crate::cli::output::{Exit, Format, UsageError, data, json, say};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key pair: FILE with the private key, and the public key beside it with the ending .pub
    Generate(GenerateArgs),
    /// Put a private key file under a passphrase: PKCS#8 as openssl reads it
    Encrypt(encrypt::Args),
    /// Take the passphrase off a private key file
    Decrypt(encrypt::Args),
    /// Show the keys of a service, those in force and those before them
    List(service::ListArgs),
    /// Put a new key of the service in the place of one, while the server runs
    Rotate(service::RotateArgs),
    /// Sign for a server elsewhere: a signing command for keys.receipt_command and keys.statement_command
    Signer(signer::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// File of the private key; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Who signs with it, a URI; without it the key's thumbprint is its identity
    #[arg(long, value_name = "URI")]
    issuer: Option<Issuer>,
    /// What it signs with: ES256, ES384, ES512, EdDSA, PS256 (RSA of 2048 bits), PS384 (3072) or PS512 (4096)
    #[arg(long, value_name = "NAME", default_value_t = SignatureAlgorithm::Es256)]
    algorithm: SignatureAlgorithm,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Generate(args) => generate(args),
        Command::Encrypt(args) => encrypt::encrypt(&args),
        Command::Decrypt(args) => encrypt::decrypt(&args),
        Command::List(args) => service::list(args).await,
        Command::Rotate(args) => service::rotate(args).await,
        Command::Signer(args) => signer::run(&args),
    }
}

fn generate(args: GenerateArgs) -> anyhow::Result<Exit> {
    let public_path = args.out.with_extension("pub");
    if public_path == args.out {
        let message = "the private key cannot end in .pub; that is its public key's name";
        anyhow::bail!(UsageError(message.to_owned()));
    }
    for path in [&args.out, &public_path] {
        anyhow::ensure!(!path.exists(), "{} exists; keys are never overwritten, choose another name", path.display());
    }
    let key = SigningKey::generate_for(args.algorithm);
    let issuer = args.issuer.unwrap_or_else(|| Issuer::of_key(key.public()));
    let file = KeyFile { issuer: Some(issuer.clone()), key };
    let public = file.to_public();
    let passphrase = args.passphrase.making(&args.out.display().to_string())?;
    match passphrase {
        Some(passphrase) => write_new(&args.out, &seal(&file.to_text(), &passphrase)?, 0o600)?,
        None => write_new(&args.out, &file.to_text(), 0o600)?,
    }
    write_new(&public_path, &public.to_text(), 0o644)?;
    let thumbprint = public.key.thumbprint();
    match args.output {
        Format::Json => json(&serde_json::json!({
            "private": args.out, "public": public_path, "issuer": issuer.as_str(), "thumbprint": thumbprint.to_string(),
            "algorithm": args.algorithm.as_str(),
        }))?,
        Format::Text => {
            data(&format!("issuer      {issuer}"));
            data(&format!("thumbprint  {thumbprint}"));
            say(&format!(
                "Keep {} secret; give {} to the registry's operator.",
                args.out.display(),
                public_path.display()
            ));
        }
    }
    Ok(Exit::Allowed)
}
