//! A site: one data folder that `docket init` made, and the commands an operator gives there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use docket_proof::key::PublicKey;
use docket_proof::note::{NoteKey, NoteKeyKind, NoteSigner};
use serde::Deserialize;

use super::Issuer;

/// Whom receipts come from.
pub(crate) const SERVICE: &str = "https://registry.wabbit.example";

/// A temporary folder with a data folder in it.
pub(crate) struct Site {
    folder: PathBuf,
    /// Gone with the value, unless the folder is part of another site's.
    _temporary: Option<tempfile::TempDir>,
}

/// What `docket fsck --output json` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Fsck {
    pub blobs: u64,
    pub manifests: u64,
    pub incomplete: u64,
    pub entries: u64,
    pub heads: u64,
    pub tiles: u64,
    pub problems: Vec<String>,
}

impl Site {
    /// A new site with an empty registry.
    pub(crate) fn new() -> Self {
        let site = Self::without_data();
        let made = site.docket(&["init", "--service-id", SERVICE]);
        assert!(made.status.success(), "docket init: {}", said(&made));
        site
    }

    /// A folder where nothing was made yet.
    pub(crate) fn without_data() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    /// A site whose data folder lies already in a folder of another site's.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder, _temporary: None }
    }

    /// A copy of a site that nobody has open.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::without_data();
        copy_folder(&self.data(), &copy.data()).expect("the data folder is copied");
        copy
    }

    /// Where other files of a test may lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names of the private keys.
    pub(crate) fn key_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data().join("keys")).expect("the folder of keys");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Names of what is staged: uploads that have not ended.
    pub(crate) fn staged(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data().join("staging")).expect("the folder of uploads");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Gives a command on the data folder.
    pub(crate) fn docket(&self, args: &[&str]) -> Output {
        let mut command = docket();
        command.args(args).arg("--data").arg(self.data());
        command.output().expect("the binary starts")
    }

    /// Replaces a key of the service, while others go on; whether that succeeds is told by what is said.
    pub(crate) async fn rotate(&self, role: &'static str) -> Output {
        let data = self.data();
        let command = move || docket().args(["keys", "rotate", role, "--data"]).arg(data).output();
        tokio::task::spawn_blocking(command).await.expect("no panic").expect("the binary starts")
    }

    /// Makes an issuer and admits it.
    pub(crate) fn admit(&self, name: &str) -> Issuer {
        let issuer = Issuer::new(name);
        let path = self.folder().join(format!("{name}.pub"));
        std::fs::write(&path, issuer.public_key_file()).expect("the public key is written");
        let admitted = self.docket(&["issuer", "add", name, path.to_str().expect("a plain path")]);
        assert!(admitted.status.success(), "docket issuer add: {}", said(&admitted));
        issuer
    }

    /// Proves everything stored again.
    pub(crate) fn fsck(&self) -> Fsck {
        let checked = self.docket(&["fsck", "--output", "json"]);
        serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("docket fsck: {}", said(&checked)))
    }

    /// Proves everything stored again and finds it whole.
    pub(crate) fn fsck_clean(&self) -> Fsck {
        let report = self.fsck();
        assert_eq!(report.problems, [""; 0], "docket fsck");
        report
    }

    /// The key that checkpoints are checked with, as an operator would hand it out.
    pub(crate) fn log_key(&self) -> NoteKey {
        let text = std::fs::read_to_string(self.data().join("keys/checkpoint.key")).expect("the checkpoint key");
        let name = "registry.wabbit.example/log".parse().expect("a name");
        NoteSigner::parse(name, NoteKeyKind::Ed25519, &text).expect("a key file").public().clone()
    }

    /// The key that receipts are checked with, as an operator would hand it out.
    pub(crate) fn receipt_key(&self) -> PublicKey {
        let text = std::fs::read_to_string(self.data().join("keys/receipt.key")).expect("the receipt key");
        docket_proof::key::KeyFile::parse(&text).expect("a key file").key.public().clone()
    }
}

/// The binary, deaf to the environment of whoever runs the tests.
pub(super) fn docket() -> Command {
    docket_under(&[])
}

/// The same, started by another command that takes it as its last arguments.
pub(crate) fn docket_under(starter: &[&str]) -> Command {
    let mut line = starter.iter().chain(&[env!("CARGO_BIN_EXE_docket")]);
    let mut command = Command::new(line.next().expect("at least the binary"));
    command.args(line);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOCKET_")) {
        command.env_remove(name);
    }
    // Every server its own address, as for the registry.
    command.env("DOCKET_OPS__LISTEN", "127.0.0.1:0");
    command
}

/// Copies a folder and everything in it.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (path, to) = (entry?.path(), to);
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_folder(&path, &to)?;
        } else {
            std::fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

/// All that a command said.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{} {}{}", output.status, text(&output.stdout), text(&output.stderr))
}
