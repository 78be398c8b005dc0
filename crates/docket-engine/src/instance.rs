//! An open data folder: made by `create`, opened by `open`, ended by `close`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use docket_proof::key::{Issuer, Passphrase, PublicKey};
use docket_proof::log_policy::LogPolicy;
use docket_proof::note::{KeyName, NoteKey, NoteKeyKind, NoteSigner};
use docket_store::keys::DataFolder;
use docket_store::{BlobStorage, HeadGuard, Store, StoreError};
use tokio::sync::{Mutex, Semaphore};

use crate::access::{Access, Rules, Tokens};
use crate::clock::Clock;
use crate::conduct::Conduct;
use crate::crash::CrashPoint;
use crate::error::EngineError;
use crate::gc::Collector;
use crate::keys::{KeyHistory, KeyRole, KeySources, ServiceKeys, read_key, write_key_text};
use crate::ledger::{Identity, Ledger};
use crate::observe::Observe;
use crate::pending::Pending;
use crate::turns::Turns;
use crate::upload::Uploads;

/// What an instance takes from outside.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells the time.
    pub clock: Clock,
    /// Where to die, in tests of recovery.
    pub crash_at: Option<CrashPoint>,
    /// What the operator chose.
    pub conduct: Conduct,
    /// Seconds without a request after which an upload session ends.
    pub upload_idle_seconds_max: u64,
    /// What is observed.
    pub observe: Observe,
    /// Where blobs above the size of a row are kept.
    pub storage: BlobStorage,
    /// Whose cosignatures a checkpoint needs before it is published; `None` = nobody's.
    pub witnesses: Option<LogPolicy>,
    /// Where the private keys are.
    pub keys: KeySources,
}

/// What `create` made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The service's identity, `iss` of its receipts.
    pub service: Issuer,
    /// The log's name, `sub` of its receipts.
    pub log: String,
    /// Key that consumers pin.
    pub receipt_key: PublicKey,
    /// Key that monitors and witnesses know the log by.
    pub checkpoint_key: NoteKey,
}

/// An open data folder. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Instance {
    pub(crate) store: Arc<Store>,
    pub(crate) ledger: Ledger,
    pub(crate) pending: Pending,
    pub(crate) turns: Turns,
    /// How many policies are evaluated at once.
    pub(crate) evaluations: Semaphore,
    pub(crate) uploads: Uploads,
    pub(crate) collector: Collector,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) conduct: Conduct,
    observe: RwLock<Arc<Observe>>,
    pub(crate) key_sources: KeySources,
    /// Held while a key is put in the place of another, and while the keys are copied into a backup.
    pub(crate) keys_change: Arc<Mutex<()>>,
}

impl Instance {
    /// Makes keys, an empty registry and a ledger with its genesis entry. Explicit on purpose: an empty database
    /// must never become a new ledger by itself.
    ///
    /// A crash in here leaves a folder that `open` refuses and that can be deleted: nothing was ever answered from it.
    pub async fn create(
        folder: &Path,
        service: Issuer,
        clock: &Clock,
        passphrase: Option<&Passphrase>,
    ) -> Result<Created, EngineError> {
        let log = log_name(&service)?;
        let checkpoint_key = NoteSigner::generate(key_name(&log)?, NoteKeyKind::Ed25519);
        let folder = DataFolder::new(folder);
        let store = Store::create(folder.clone(), &[("service", service.as_str()), ("log", &log)]).await?;
        write_key_text(&folder.checkpoint_key(), &checkpoint_key.to_text(&service), passphrase)?;
        let keys = ServiceKeys::create(&folder, &service, passphrase)?;
        let (receipt_key, note_key) = (keys.receipt.public().clone(), checkpoint_key.public().clone());
        let identity = Identity { service: service.clone(), log: log.clone(), checkpoint_key };
        let point = Ledger::genesis(&store, &identity, &keys, clock.now()).await?;
        HeadGuard::create(&folder.guard(), point)?;
        store.sync_names()?;
        store.close().await;
        Ok(Created { service, log, receipt_key, checkpoint_key: note_key })
    }

    /// Opens what `create` made and checks the ledger's head against its guard and its signature.
    pub async fn open(folder: &Path, options: Options) -> Result<Self, EngineError> {
        let store = Arc::new(Store::open(DataFolder::new(folder), options.storage.clone()).await?);
        match Self::start(Arc::clone(&store), options).await {
            Ok(instance) => Ok(instance),
            Err(failure) => {
                close_store(store).await;
                Err(failure)
            }
        }
    }

    async fn start(store: Arc<Store>, options: Options) -> Result<Self, EngineError> {
        let setting = async |name: &'static str| {
            let missing = || EngineError::Settings { what: name, why: "it is missing".to_owned() };
            store.meta(name).await?.ok_or_else(missing)
        };
        let service = setting("service").await?;
        let service: Issuer =
            service.parse().map_err(|_| EngineError::Settings { what: "service", why: "it is no URI".to_owned() })?;
        let (log, passphrase) = (setting("log").await?, options.keys.passphrase.as_ref());
        let name = key_name(&log)?;
        let path = store.folder().checkpoint_key();
        let checkpoint_key = read_key(&path, "the checkpoint key", passphrase, |text| {
            NoteSigner::parse(name, NoteKeyKind::Ed25519, text)
        })?;
        let size = store.head().await?.map_or(0, |head| head.size);
        let history = KeyHistory::read(&store, &service, &log, size).await?;
        let keys = ServiceKeys::find(store.folder(), &options.keys, history)?;
        let identity = Identity { service, log, checkpoint_key };
        // Before the ledger, whose tiles are written by way of `staging/`: this removes there what belongs to no session.
        let (blobs, clock) = (store.blobs().clone(), options.clock.clone());
        let uploads = Uploads::open(blobs, clock, options.upload_idle_seconds_max).await?;
        let ledger = match Ledger::open(Arc::clone(&store), identity, keys, &options).await {
            Ok(ledger) => ledger,
            Err(failure) => {
                uploads.close().await;
                return Err(failure);
            }
        };
        let access = Access::new(options.clock.clone());
        let Options { clock, conduct, observe, keys: key_sources, .. } = options;
        Ok(Self {
            store,
            ledger,
            pending: Pending::default(),
            turns: Turns::new(),
            evaluations: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            uploads,
            collector: Collector::default(),
            access,
            clock,
            conduct,
            observe: RwLock::new(Arc::new(observe)),
            key_sources,
            keys_change: Arc::default(),
        })
    }

    /// Finishes what is queued and closes every file.
    pub async fn close(self) {
        self.ledger.close().await;
        self.uploads.close().await;
        close_store(self.store).await;
    }

    /// The rules that permits come from.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Puts access rules in the place of those that stood, or of none. The first ones draw the key that tokens are signed
    /// with, unless an earlier run did.
    pub fn replace_rules(&self, rules: Rules) -> Result<(), EngineError> {
        self.access.replace(rules, || {
            // Where keys are encrypted, this one is not kept at all: whoever has the disk could let himself in with it.
            if self.key_sources.passphrase.is_some() {
                return Tokens::drawn(self.service().as_str());
            }
            let tokens = Tokens::open(&self.store.folder().token_key(), self.service().as_str())?;
            self.store.sync_names()?;
            Ok(tokens)
        })
    }

    /// What is observed.
    pub(crate) fn observe(&self) -> Arc<Observe> {
        Arc::clone(&self.observe.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Observes other things from here on.
    pub fn replace_observe(&self, observe: Observe) {
        *self.observe.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(observe);
    }

    /// The data folder.
    pub fn data_folder(&self) -> &Path {
        self.store.folder().root()
    }

    /// The service's identity, `iss` of its receipts.
    pub fn service(&self) -> &Issuer {
        &self.ledger.identity().service
    }

    /// The log's name, `sub` of its receipts.
    pub fn log(&self) -> &str {
        &self.ledger.identity().log
    }

    /// Keys that verify this service's receipts, newest first.
    pub fn receipt_keys(&self) -> Vec<PublicKey> {
        self.ledger.keys().history.newest_first(KeyRole::Receipt).cloned().collect()
    }

    /// The key that monitors and witnesses know the log by.
    pub fn checkpoint_key(&self) -> &NoteKey {
        self.ledger.identity().checkpoint_key.public()
    }

    /// Whether this is a restored copy that takes no changes yet.
    pub fn is_restored(&self) -> bool {
        self.store.is_restored()
    }

    /// Why the ledger takes no entries, if it does not.
    pub fn read_only(&self) -> Option<String> {
        self.ledger.read_only()
    }
}

/// The log is named as C2SP names origins: the service's URL without its scheme, plus `/log`.
fn log_name(service: &Issuer) -> Result<String, EngineError> {
    let refuse = |why: &str| EngineError::Settings { what: "service id", why: why.to_owned() };
    let url = service.as_str();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| refuse("it must be an https:// or http:// URL, under which the service is known"))?;
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() || rest.contains(['?', '#', '+']) {
        return Err(refuse("it must be a plain URL without '?', '#' or '+'"));
    }
    Ok(format!("{rest}/log"))
}

/// Writes a new file that only this user may read, and syncs it; its name is for the caller to sync.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    let failed = |source| StoreError::File { verb: "write", path: path.to_owned(), source };
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(())
}

/// A log signs its checkpoints under its own name.
fn key_name(log: &str) -> Result<KeyName, EngineError> {
    log.parse().map_err(|_| EngineError::Settings { what: "log", why: "its name has a space or a '+'".to_owned() })
}

/// Closes the store once nobody else holds it.
async fn close_store(store: Arc<Store>) {
    if let Some(store) = Arc::into_inner(store) {
        return store.close().await;
    }
    tracing::warn!("the store is still in use; it closes with its last user");
}
