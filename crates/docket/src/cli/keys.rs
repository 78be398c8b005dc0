//! `docket keys`: an issuer's key pair.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::key::{Issuer, KeyFile, SigningKey};

use crate::cli::output::{Exit, Format, UsageError, data, json, say};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key pair: FILE with the private key, and the public key beside it with the ending .pub
    Generate(GenerateArgs),
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
    /// For people or for programs; the facts are the same
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(crate) fn run(command: Command) -> anyhow::Result<Exit> {
    let Command::Generate(args) = command;
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
    write(&args.out, &file.to_text(), 0o600)?;
    write(&public_path, &public.to_text(), 0o644)?;
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

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
