//! The service's own keys: which are in force, which were, and where their private halves are.
//!
//! What is in force is said by the ledger alone: the genesis entry names the first keys, and each key entry puts a new one in the place
//! of another. The batch that holds a key entry ends with it and is signed by the old key; every later batch is signed by the
//! new one. A key entry is itself signed with the statement key before it, and proves that whoever has the new private
//! key wants this.
//!
//! The new private key is written beside the old one under a name of its own before its entry is logged, and takes the old one's place
//! once the entry is committed and guarded. Whatever a crash leaves, the key in force is in one of the two files.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use docket_proof::key::{
    Issuer, KeyError, KeyFile, Passphrase, PublicKey, SigningKey, Thumbprint, is_sealed, seal, unseal,
};
use docket_proof::statement::{Content, SignedStatement, VerifiedStatement};
use docket_store::keys::DataFolder;
use docket_store::{Store, StoreError, sync_folder};
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use crate::crash::CrashPoint;
use crate::error::EngineError;
use crate::instance::write_secret;
use crate::own::{GENESIS_INDEX, GENESIS_TYPE};
use crate::signer::{SIGNS_WITH, Signer, SignerError, Signing, signature};

/// Content type of an entry that puts a key in force: `{"role", "public_key", "proof"}`, the key as SPKI PEM, the proof a signature
/// of it in unpadded base64url.
pub const KEY_TYPE: &str = "application/vnd.docket.key.v1+json";

/// What a key of the service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Signs tree heads, and so receipts.
    Receipt,
    /// Signs the service's own statements.
    Statement,
}

/// How the service comes to its private keys. By default they are in its data folder, readable by whoever may read it.
#[derive(Debug, Clone, Default)]
pub struct KeySources {
    /// Opens key files that are encrypted, and encrypts those that are made.
    pub passphrase: Option<Passphrase>,
    /// Signs tree heads in the place of a file, once its key is in force.
    pub receipt: Option<Arc<dyn Signer>>,
    /// Signs the service's own statements in the place of a file, once its key is in force.
    pub statement: Option<Arc<dyn Signer>>,
}

/// A key that is or was in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyView {
    /// What it signs.
    pub role: KeyRole,
    /// Its thumbprint (RFC 9679), lower hex.
    pub thumbprint: String,
    /// The key, SPKI PEM.
    pub public_key: String,
    /// The entry that put it in force; its batch is the last one under the key before.
    pub entry: u64,
    /// Whether another has taken its place.
    pub retired: bool,
}

/// A key and the entry that put it in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    pub role: KeyRole,
    pub key: PublicKey,
    pub entry: u64,
}

/// Every key that was ever in force, in the order of their entries. There is at least one of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyHistory(Vec<KeyEntry>);

/// The service's keys at one moment. Two of them sign, so that no statement can be taken for a head.
#[derive(Debug, Clone)]
pub(crate) struct ServiceKeys {
    /// Signs tree heads.
    pub receipt: Arc<dyn Signer>,
    /// Signs the service's own statements.
    pub statement: Arc<dyn Signer>,
    /// Those in force and those before them.
    pub history: KeyHistory,
}

/// A key that is about to come into force.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub role: KeyRole,
    pub signer: Arc<dyn Signer>,
    /// File that it waits in; a signing command has none.
    file: Option<PathBuf>,
    /// Keeps other changes and backups away until the key is in force or given up, whoever still waits for it.
    _turn: Arc<OwnedMutexGuard<()>>,
}

/// A key in force whose private half is nowhere to be found.
#[derive(Debug)]
struct Absent(PublicKey);

impl KeyRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Receipt, Self::Statement];

    /// As it is written in entries and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Statement => "statement",
        }
    }

    /// As it is called in messages.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Receipt => "the receipt key",
            Self::Statement => "the statement key",
        }
    }

    fn file(self, folder: &DataFolder) -> PathBuf {
        match self {
            Self::Receipt => folder.receipt_key(),
            Self::Statement => folder.statement_key(),
        }
    }

    /// File of a key that is not in force yet.
    fn next_file(self, folder: &DataFolder, key: &Thumbprint) -> PathBuf {
        folder.keys().join(format!("{self}.{key}.{NEXT_ENDING}"))
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| format!("{text:?} is no key of the service; it has receipt and statement"))
    }
}

impl KeySources {
    fn command(&self, role: KeyRole) -> Option<&Arc<dyn Signer>> {
        match role {
            KeyRole::Receipt => self.receipt.as_ref(),
            KeyRole::Statement => self.statement.as_ref(),
        }
    }
}

impl KeyHistory {
    /// The first keys of a ledger.
    pub(crate) fn new(receipt: PublicKey, statement: PublicKey) -> Self {
        let first = |role, key| KeyEntry { role, key, entry: GENESIS_INDEX };
        Self(vec![first(KeyRole::Receipt, receipt), first(KeyRole::Statement, statement)])
    }

    /// The keys that a genesis entry names; its own signature is by one of them.
    pub(crate) fn of_genesis(statement: SignedStatement) -> Result<(Self, VerifiedStatement), String> {
        let payload = payload(&statement, GENESIS_TYPE)?;
        let key = |name: &str| public_key(text(&payload, name)?);
        let history = Self::new(key("receipt_key")?, key("statement_key")?);
        let verified = statement.verify(history.in_force(KeyRole::Statement)).map_err(|failure| failure.to_string())?;
        Ok((history, verified))
    }

    /// Takes what an entry changes, whose signature was verified.
    pub(crate) fn take(&mut self, entry: &VerifiedStatement, index: u64, log: &str) -> Result<(), String> {
        let payload = payload(entry.statement(), KEY_TYPE)?;
        let role: KeyRole = text(&payload, "role")?.parse()?;
        let key = public_key(text(&payload, "public_key")?)?;
        let proof = URL_SAFE_NO_PAD.decode(text(&payload, "proof")?).map_err(|failure| failure.to_string())?;
        if !key.verify(SIGNS_WITH, &proof_message(log, role, self.in_force(role)), &proof) {
            return Err("it does not prove that its new key is somebody's who wants it in force".to_owned());
        }
        self.push(KeyEntry { role, key, entry: index })
    }

    /// No key comes back, nor has two roles: `kid` and time would no longer tell what it signed.
    pub(crate) fn push(&mut self, new: KeyEntry) -> Result<(), String> {
        if self.0.iter().any(|known| known.key == new.key) {
            return Err(format!("the key {} was in force before; take a new one", new.key.thumbprint()));
        }
        self.0.push(new);
        Ok(())
    }

    /// The newest key of a role.
    pub(crate) fn in_force(&self, role: KeyRole) -> &PublicKey {
        let newest = self.0.iter().rfind(|known| known.role == role);
        &newest.expect("a history starts with a key of each role").key
    }

    /// The key that signed the head of a size: a key entry is the last of a batch that is still signed by the key before.
    pub(crate) fn receipt_key_of(&self, tree_size: u64) -> &PublicKey {
        let mut receipts = self.0.iter().filter(|known| known.role == KeyRole::Receipt);
        let first = receipts.next().expect("a history starts with a key of each role");
        &receipts.rfind(|known| known.entry + 1 < tree_size).unwrap_or(first).key
    }

    /// A key by its name, of one role.
    pub(crate) fn find(&self, role: KeyRole, thumbprint: &Thumbprint) -> Option<&PublicKey> {
        let mut keys = self.0.iter().filter(|known| known.role == role).map(|known| &known.key);
        keys.find(|key| key.thumbprint() == *thumbprint)
    }

    /// Keys of a role, newest first.
    pub(crate) fn newest_first(&self, role: KeyRole) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().rev().filter(move |known| known.role == role).map(|known| &known.key)
    }

    /// Whether a key is or was the service's.
    pub(crate) fn contains(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|known| known.key == *key)
    }

    /// Whether this is the other one, or what it became since.
    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// All of them, oldest first.
    pub(crate) fn views(&self) -> Vec<KeyView> {
        self.0.iter().map(|known| self.view(known)).collect()
    }

    fn view(&self, known: &KeyEntry) -> KeyView {
        KeyView {
            role: known.role,
            thumbprint: known.key.thumbprint().to_string(),
            public_key: known.key.to_spki_pem(),
            entry: known.entry,
            retired: *self.in_force(known.role) != known.key,
        }
    }

    /// What the first `size` entries of the ledger add up to.
    pub(crate) async fn read(store: &Store, service: &Issuer, log: &str, size: u64) -> Result<Self, EngineError> {
        let unproven = |index: u64, why: String| EngineError::Unproven(format!("entry {index}: {why}"));
        let genesis = store.entry(GENESIS_INDEX).await?;
        let genesis = genesis.ok_or_else(|| unproven(GENESIS_INDEX, "it is missing".to_owned()))?;
        let decode = |index: u64, bytes: &[u8]| {
            SignedStatement::decode(bytes).map_err(|failure| unproven(index, failure.to_string()))
        };
        let (mut history, _) =
            Self::of_genesis(decode(GENESIS_INDEX, &genesis.bytes)?).map_err(|why| unproven(GENESIS_INDEX, why))?;
        let mut from = GENESIS_INDEX;
        loop {
            let rows = store.entries_of_type(KEY_TYPE, service.as_str(), from, PAGE).await?;
            for row in rows.iter().filter(|row| row.index < size) {
                let statement = decode(row.index, &row.bytes)?;
                let verified = statement.verify(history.in_force(KeyRole::Statement));
                let verified = verified.map_err(|failure| unproven(row.index, failure.to_string()))?;
                history.take(&verified, row.index, log).map_err(|why| unproven(row.index, why))?;
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => from = last.index + 1,
                Some(_) | None => return Ok(history),
            }
        }
    }
}

impl ServiceKeys {
    /// Makes the first keys and writes them, encrypted if there is a passphrase.
    pub(crate) fn create(
        folder: &DataFolder,
        service: &Issuer,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, EngineError> {
        let [receipt, statement] = KeyRole::ALL.map(|role| {
            let key = SigningKey::generate();
            write_key(&role.file(folder), &key, service, passphrase).map(|()| key)
        });
        let (receipt, statement) = (receipt?, statement?);
        let history = KeyHistory::new(receipt.public().clone(), statement.public().clone());
        Ok(Self { receipt: Arc::new(receipt), statement: Arc::new(statement), history })
    }

    /// Finds the private halves of the keys in force: at a signing command, in their file, or still in the file that they
    /// waited in. One that is nowhere is an error only once something is to be signed; see [`missing`](Self::missing).
    pub(crate) fn find(folder: &DataFolder, sources: &KeySources, history: KeyHistory) -> Result<Self, EngineError> {
        let signer = |role: KeyRole| -> Result<Arc<dyn Signer>, EngineError> {
            let public = history.in_force(role);
            if let Some(command) = sources.command(role).filter(|command| command.public() == public) {
                return Ok(Arc::clone(command));
            }
            let files = [role.file(folder), role.next_file(folder, &public.thumbprint())];
            for path in files.iter().filter(|path| path.exists()) {
                let key = read_key(path, role.what(), sources.passphrase.as_ref(), |text| {
                    KeyFile::parse(text).map(|file| file.key)
                })?;
                if key.public() == public {
                    return Ok(Arc::new(key));
                }
            }
            Ok(Arc::new(Absent(public.clone())))
        };
        Ok(Self { receipt: signer(KeyRole::Receipt)?, statement: signer(KeyRole::Statement)?, history })
    }

    /// Why nothing can be signed, if so.
    pub(crate) fn missing(&self) -> Result<(), EngineError> {
        for role in KeyRole::ALL {
            if let Some(thumbprint) = self.signer(role).absent() {
                let why = format!(
                    "the ledger says that {thumbprint} is in force, and keys/{role}.key does not hold its private half; put the file back, \
                     or configure keys.{role}_command if a signing command has it"
                );
                return Err(EngineError::Settings { what: role.what(), why });
            }
        }
        Ok(())
    }

    /// Settles what a crash left of a rotation: the key in force gets its file, what is not in force goes. Only where the ledger is
    /// known to be the newest, or it could be the other way round.
    pub(crate) fn settle(&self, folder: &DataFolder, crash_at: Option<CrashPoint>) -> Result<(), EngineError> {
        for role in KeyRole::ALL {
            let in_force = self.history.in_force(role).thumbprint();
            let waiting = role.next_file(folder, &in_force);
            if waiting.exists() {
                install(&waiting, &role.file(folder), crash_at)?;
            }
            // A signing command has the key in force: the file of the one before is of no use, and must not stay.
            let (signer, path) = (self.signer(role), role.file(folder));
            if signer.held().is_none() && signer.absent().is_none() && path.exists() {
                remove(&path)?;
            }
            let prefix = format!("{role}.");
            let listed = |source| StoreError::File { verb: "list", path: folder.keys(), source };
            for entry in fs::read_dir(folder.keys()).map_err(listed)? {
                let path = entry.map_err(listed)?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(&prefix) && name.ends_with(NEXT_ENDING) {
                    tracing::info!(%name, "a key that never came into force is removed");
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// A key to put in the place of one in force: that of a signing command which has another, unless it is to be in a file;
    /// else a new one, whose file is synced.
    pub(crate) fn make(
        &self,
        role: KeyRole,
        folder: &DataFolder,
        service: &Issuer,
        sources: &KeySources,
        turn: OwnedMutexGuard<()>,
        to_file: bool,
    ) -> Result<NewKey, EngineError> {
        let turn = Arc::new(turn);
        let command = sources.command(role);
        if !to_file && command.is_some_and(|command| command.public() == self.history.in_force(role)) {
            let why = "its signing command has the key in force and no other; to keep the next key in a file here, say --to-file. A new key \
                       of the command comes into force from there: give it to the command, start again, and rotate once more";
            return Err(EngineError::NoNextKey { role, why });
        }
        if let Some(command) = command.filter(|command| !to_file && command.public() != self.history.in_force(role)) {
            if self.history.contains(command.public()) {
                let why = "the signing command's key was in force before, and no key comes back; give it a new one";
                return Err(EngineError::NoNextKey { role, why });
            }
            return Ok(NewKey { role, signer: Arc::clone(command), file: None, _turn: turn });
        }
        let key = SigningKey::generate();
        let path = role.next_file(folder, &key.public().thumbprint());
        write_key(&path, &key, service, sources.passphrase.as_ref())?;
        sync_folder(&folder.keys())?;
        Ok(NewKey { role, signer: Arc::new(key), file: Some(path), _turn: turn })
    }

    fn signer(&self, role: KeyRole) -> &Arc<dyn Signer> {
        match role {
            KeyRole::Receipt => &self.receipt,
            KeyRole::Statement => &self.statement,
        }
    }

    /// The same keys with a new one in force.
    pub(crate) fn with(&self, new: &NewKey, entry: u64) -> Result<Self, String> {
        let mut keys = self.clone();
        keys.history.push(KeyEntry { role: new.role, key: new.signer.public().clone(), entry })?;
        match new.role {
            KeyRole::Receipt => keys.receipt = Arc::clone(&new.signer),
            KeyRole::Statement => keys.statement = Arc::clone(&new.signer),
        }
        Ok(keys)
    }
}

impl NewKey {
    /// Payload of the entry that puts the key in force.
    pub(crate) async fn payload(&self, log: &str, history: &KeyHistory) -> Result<serde_json::Value, SignerError> {
        let message = proof_message(log, self.role, history.in_force(self.role));
        let proof = signature(&self.signer, &message).await?;
        Ok(serde_json::json!({
            "role": self.role.as_str(),
            "public_key": self.signer.public().to_spki_pem(),
            "proof": URL_SAFE_NO_PAD.encode(proof),
        }))
    }

    /// Gives the key the file of the one before, whose private half is gone with it. A crash before leaves the new key under the name
    /// that it waited under, where the next start finds it.
    pub(crate) fn install(&self, folder: &DataFolder, crash_at: Option<CrashPoint>) -> Result<(), EngineError> {
        let path = self.role.file(folder);
        match &self.file {
            Some(waiting) => install(waiting, &path, crash_at),
            None if path.exists() => remove(&path),
            None => Ok(()),
        }
    }

    /// Takes back what was made for a key that certainly does not come into force.
    pub(crate) fn discard(&self) {
        if let Some(path) = &self.file
            && let Err(failure) = remove(path)
        {
            tracing::warn!(%failure, "a key that did not come into force stays until the next start");
        }
    }
}

impl Signer for Absent {
    fn public(&self) -> &PublicKey {
        &self.0
    }

    fn sign<'a>(&'a self, _: &'a [u8]) -> Signing<'a> {
        Box::pin(std::future::ready(Err(SignerError::Absent(self.0.thumbprint()))))
    }

    fn absent(&self) -> Option<Thumbprint> {
        Some(self.0.thumbprint())
    }
}

/// What the holder of a new key signs: no other message of ours starts like this.
fn proof_message(log: &str, role: KeyRole, replaced: &PublicKey) -> Vec<u8> {
    format!("docket key proof v1\n{log}\n{role}\n{}\n", replaced.thumbprint()).into_bytes()
}

fn payload(statement: &SignedStatement, content_type: &str) -> Result<serde_json::Value, String> {
    match statement.content() {
        Content::Payload { media_type, bytes } if media_type == content_type => {
            serde_json::from_slice(bytes).map_err(|failure| failure.to_string())
        }
        Content::Payload { .. } | Content::HashEnvelope { .. } | Content::Sha384Envelope { .. } => {
            Err(format!("it is no {content_type}"))
        }
    }
}

/// Whoever verifies what the service signs may know no other algorithm.
fn public_key(pem: &str) -> Result<PublicKey, String> {
    let key = PublicKey::from_spki_pem(pem).map_err(|failure| failure.to_string())?;
    if key.algorithms() == [SIGNS_WITH] {
        Ok(key)
    } else {
        Err(format!("a key of the service signs with {SIGNS_WITH}"))
    }
}

fn text<'a>(payload: &'a serde_json::Value, name: &str) -> Result<&'a str, String> {
    payload.get(name).and_then(serde_json::Value::as_str).ok_or_else(|| format!("it has no {name}"))
}

fn write_key(
    path: &Path,
    key: &SigningKey,
    service: &Issuer,
    passphrase: Option<&Passphrase>,
) -> Result<(), EngineError> {
    write_key_text(path, &KeyFile { issuer: Some(service.clone()), key: key.clone() }.to_text(), passphrase)
}

/// Writes a new key file, encrypted if there is a passphrase, and syncs it; its name is for the caller to sync.
pub(crate) fn write_key_text(path: &Path, text: &str, passphrase: Option<&Passphrase>) -> Result<(), EngineError> {
    match passphrase {
        Some(passphrase) => write_secret(path, seal(text, passphrase).expect("a new key is not encrypted").as_bytes()),
        None => write_secret(path, text.as_bytes()),
    }
}

/// Reads a key file of the service, opening it where it is encrypted.
pub(crate) fn read_key<K>(
    path: &Path,
    what: &'static str,
    passphrase: Option<&Passphrase>,
    parse: impl FnOnce(&str) -> Result<K, KeyError>,
) -> Result<K, EngineError> {
    let unusable = |why: String| EngineError::Settings { what, why: format!("{}: {why}", path.display()) };
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| unusable(source.to_string()))?;
    if passphrase.is_none() && is_sealed(&text) {
        return Err(unusable(
            "it is encrypted; set keys.passphrase_file in the configuration, or DOCKET_KEYS__PASSPHRASE_FILE, to a file with its passphrase"
                .to_owned(),
        ));
    }
    unseal(&text, passphrase).and_then(|text| parse(&text)).map_err(|failure| unusable(failure.to_string()))
}

/// Puts a key that waited into the file of its role. It goes from where it waited only once it is there durably, so no power
/// loss can take it: a rename alone may be half kept.
fn install(waiting: &Path, path: &Path, crash_at: Option<CrashPoint>) -> Result<(), EngineError> {
    CrashPoint::BeforeKeyInstall.reached(crash_at);
    let copy = waiting.with_extension(format!("copy.{NEXT_ENDING}"));
    if copy.exists() {
        remove(&copy)?;
    }
    let key = fs::read(waiting).map(Zeroizing::new);
    write_secret(&copy, &key.map_err(|source| StoreError::File { verb: "read", path: waiting.to_owned(), source })?)?;
    fs::rename(&copy, path).map_err(|source| StoreError::File { verb: "rename to", path: path.to_owned(), source })?;
    CrashPoint::AfterKeyInstall.reached(crash_at);
    sync_folder(path.parent().unwrap_or(path))?;
    if let Err(failure) = remove(waiting) {
        tracing::warn!(%failure, "the key in force stays where it waited, too, until the next start");
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), EngineError> {
    fs::remove_file(path).map_err(|source| StoreError::File { verb: "remove", path: path.to_owned(), source })?;
    Ok(sync_folder(path.parent().unwrap_or(path))?)
}

/// Ending of the file of a key that waits to come into force.
const NEXT_ENDING: &str = "next";
/// Key entries read at once.
const PAGE: usize = 100;
