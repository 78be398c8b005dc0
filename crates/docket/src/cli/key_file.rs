//! Private key files on the command line: read, opened with a passphrase where they need one, and written anew.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use docket_proof::key::{KEY_FILE_BYTES_MAX, KeyFile, Passphrase, is_sealed, unseal};
use zeroize::Zeroizing;

use crate::passphrase;

/// What opens a private key, or encrypts it.
#[derive(Debug, clap::Args)]
pub(crate) struct PassphraseArgs {
    /// File whose one line is the private key's passphrase; `prompt` asks on the terminal
    #[arg(long, value_name = "FILE|prompt")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase of a key that stands. Without the option an encrypted key asks for it.
    fn opening(&self, path: &Path) -> anyhow::Result<Passphrase> {
        match self.passphrase_file.as_deref() {
            Some(file) if file != Path::new(PROMPT) => passphrase::read(file),
            Some(_) | None => passphrase::ask(&path.display().to_string()),
        }
    }

    /// The passphrase for a key that is being made, if it gets one.
    pub(crate) fn making(&self, what: &str) -> anyhow::Result<Option<Passphrase>> {
        match self.passphrase_file.as_deref() {
            Some(file) if file != Path::new(PROMPT) => passphrase::read(file).map(Some),
            Some(_) => passphrase::ask_new(what).map(Some),
            None => Ok(None),
        }
    }

    /// The plain text of a private key file.
    pub(crate) fn text(&self, path: &Path) -> anyhow::Result<Zeroizing<String>> {
        let text = read(path)?;
        let passphrase = is_sealed(&text).then(|| self.opening(path)).transpose()?;
        unseal(&text, passphrase.as_ref()).with_context(|| format!("{} is no private key", path.display()))
    }

    /// The private key in a file.
    pub(crate) fn key(&self, path: &Path) -> anyhow::Result<KeyFile> {
        KeyFile::parse(&self.text(path)?).with_context(|| format!("{} is no private key", path.display()))
    }
}

/// The text of a private key file as it lies there.
pub(crate) fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let unreadable = || format!("cannot read the key {}", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX + 1));
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).with_context(unreadable)?;
    Ok(text)
}

/// Writes a new file and syncs it; its name is for the caller to sync.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Gives a file the owner of another: who encrypts a server's key may be root, who reads it is not.
fn keep_owner(path: &Path, beside: &Path) -> anyhow::Result<()> {
    let owner = |path: &Path| std::fs::metadata(path).map(|file| (file.uid(), file.gid()));
    let kept = owner(path).and_then(|(user, group)| {
        if owner(beside)? == (user, group) {
            return Ok(());
        }
        std::os::unix::fs::chown(beside, Some(user), Some(group))
    });
    kept.with_context(|| format!("cannot give {} the owner of {}", beside.display(), path.display()))
}

/// Puts a text in the place of a private key file: a crash leaves the one or the other.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // Left by a call that died. It may hold the key as plain text; the file itself still stands.
    if beside.exists() {
        std::fs::remove_file(&beside).with_context(|| format!("cannot remove {}", beside.display()))?;
    }
    let replaced = write_new(&beside, text, 0o600)
        .and_then(|()| keep_owner(path, &beside))
        .and_then(|()| std::fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display())));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    replaced?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot sync {}", folder.display()))
}

/// What stands for a file where a person is to be asked.
const PROMPT: &str = "prompt";
