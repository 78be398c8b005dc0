//! What a server promised, and whether a data folder keeps it.
//!
//! Every answer names its request, and the answer's head in a trace names it too: so it is known to the call which
//! promises had left the server when the power went.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;

use docket_engine::{
    Account, BlobContent, Caller, ClaimQuery, Clock, Conduct, EngineError, Instance, Options, Permit, Right,
};
use docket_oci::digest::Digest;
use docket_oci::name::{Reference, RepositoryName};
use docket_proof::key::PublicKey;
use docket_proof::receipt::Receipt;
use docket_proof::statement::SignedStatement;

/// Something that can be asked of a data folder. Each is changed by one client alone, one request after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// The bytes of a blob in a repository.
    Blob(&'static str, Digest),
    /// The bytes of a manifest in a repository, by tag or digest.
    Manifest(&'static str, String),
    /// The receipt of a statement.
    Receipt(Vec<u8>),
    /// That a statement stands in a repository; the bytes are none.
    Placed(&'static str, Vec<u8>),
}

/// What a fact becomes; `None` = it is gone.
pub(super) type Change = (Fact, Option<Vec<u8>>);

/// A request, in the order in which its client made them.
#[derive(Debug)]
pub(super) struct Promise {
    /// The request's id, if it was answered with success.
    pub request: Option<String>,
    pub changes: Vec<Change>,
}

/// When promises were made: the position at which an answer left, by the request's id.
pub(super) type Answers = HashMap<String, usize>;

/// What a fact was to become, and by which request if that was answered with success.
struct Asked {
    request: Option<String>,
    value: Option<Vec<u8>>,
}

/// The promises of all clients, sorted by what they are about.
pub(super) struct Promises {
    by_fact: BTreeMap<Fact, Vec<Asked>>,
    /// The service's first key, which every folder of its knows; receipts may be by any that came after it.
    key: PublicKey,
    /// Roots that receipts spoke of, by tree size: there must be one for each.
    roots: Mutex<HashMap<u64, [u8; 32]>>,
}

impl Promises {
    pub(super) fn new(made: Vec<Promise>, key: PublicKey) -> Self {
        let mut by_fact: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for Promise { request, changes } in made {
            for (fact, value) in changes {
                by_fact.entry(fact).or_default().push(Asked { request: request.clone(), value });
            }
        }
        Self { by_fact, key, roots: Mutex::default() }
    }

    /// Ids of the requests that were answered with success.
    pub(super) fn requests(&self) -> impl Iterator<Item = &String> {
        self.by_fact.values().flatten().filter_map(|asked| asked.request.as_ref())
    }

    /// Opens a data folder, proves everything in it, and looks for all that had been promised. What was asked and not yet
    /// answered may or may not be there, whole. Gives what is wrong.
    pub(super) async fn check(&self, data: &Path, answered: impl Fn(&str) -> bool) -> Vec<String> {
        let options = Options {
            clock: Clock::new(|| AFTERWARDS),
            crash_at: None,
            conduct: Conduct::default(),
            observe: docket_engine::Observe::default(),
            upload_idle_seconds_max: 3600,
            storage: docket_store::BlobStorage::Files,
            witnesses: None,
            keys: docket_engine::KeySources::default(),
        };
        let instance = match Instance::open(data, options).await {
            Ok(instance) => instance,
            Err(failure) => return vec![format!("it does not open: {failure}")],
        };
        let permit = permit(&instance, Right::Admin, None);
        let mut problems = match instance.fsck_check_only(&permit).await {
            Ok(report) => report.problems,
            Err(failure) => vec![format!("fsck failed: {failure}")],
        };
        if !instance.receipt_keys().contains(&self.key) {
            problems.push("it does not know its first key".to_owned());
        }
        for (fact, history) in &self.by_fact {
            let kept = history.iter().rposition(|asked| asked.request.as_deref().is_some_and(&answered));
            let begun = kept.map_or(0, |kept| kept + 1);
            // What came after the last promise, up to the first that was kept only later.
            let later = history[begun..].iter().position(|asked| asked.request.is_some());
            let open = &history[begun..later.map_or(history.len(), |later| begun + later + 1)];
            let promised = kept.and_then(|kept| history[kept].value.as_ref());
            let found = match self.find(&instance, fact, promised).await {
                Ok(found) => found,
                Err(problem) => {
                    problems.push(format!("{fact}: {problem}"));
                    continue;
                }
            };
            if found.as_ref() != promised && !open.iter().any(|asked| asked.value == found) {
                let say = |value: Option<&Vec<u8>>| {
                    value.map_or("nothing".to_owned(), |value| format!("{} bytes", value.len()))
                };
                problems.push(format!("{fact}: {} was promised, {} is there", say(promised), say(found.as_ref())));
            }
        }
        instance.close().await;
        problems
    }

    async fn find(
        &self,
        instance: &Instance,
        fact: &Fact,
        promised: Option<&Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, String> {
        let everywhere = |right| permit(instance, right, None);
        let permit = |right, repository: &str| permit(instance, right, Some(&repository.parse().expect("a name")));
        match fact {
            Fact::Blob(repository, digest) => match instance.blob(&permit(Right::Pull, repository), digest).await {
                Ok(blob) => read(blob.content).map(Some),
                Err(EngineError::BlobUnknown(_)) => Ok(None),
                Err(failure) => Err(failure.to_string()),
            },
            Fact::Manifest(repository, reference) => {
                let reference: Reference = reference.parse().expect("a tag or a digest");
                match instance.manifest(&permit(Right::Pull, repository), &reference).await {
                    Ok(manifest) => Ok(Some(manifest.bytes.to_vec())),
                    Err(EngineError::ManifestUnknown(_) | EngineError::RepositoryUnknown) => Ok(None),
                    Err(failure) => Err(failure.to_string()),
                }
            }
            // To ask for the first receipt of an entry that is not there would log it.
            Fact::Receipt(_) if promised.is_none() => Ok(None),
            Fact::Receipt(statement) => {
                let permit = everywhere(Right::Claim);
                let again = instance.register(&permit, statement).await.map_err(|failure| failure.to_string())?;
                self.check_root(statement, &again.receipt, &instance.receipt_keys())?;
                Ok(Some(again.receipt))
            }
            Fact::Placed(repository, statement) => {
                let statement = SignedStatement::decode(statement).expect("a statement of ours");
                let query =
                    ClaimQuery { artifact: statement.subject().digest(), limit: usize::MAX, ..ClaimQuery::default() };
                let page =
                    instance.claims(&everywhere(Right::Pull), &query).await.map_err(|failure| failure.to_string())?;
                let claim = page.claims.iter().find(|claim| claim.entry == statement.entry_id().to_string());
                let mut placements = claim.into_iter().flat_map(|claim| &claim.placements);
                if let Some(place) = placements.find(|place| place.repository == *repository) {
                    let (permit, manifest) = (permit(Right::Pull, repository), Reference::Digest(place.statement));
                    let stands = instance.manifest(&permit, &manifest).await;
                    stands.map_err(|failure| format!("it is placed, but its manifest: {failure}"))?;
                    return Ok(Some(Vec::new()));
                }
                Ok(None)
            }
        }
    }

    /// Two receipts that speak of trees of one size must speak of one tree.
    fn check_root(&self, statement: &[u8], receipt: &[u8], keys: &[PublicKey]) -> Result<(), String> {
        let entry = SignedStatement::decode(statement).expect("a statement of ours");
        let receipt = Receipt::decode(receipt).map_err(|failure| failure.to_string())?;
        let key =
            keys.iter().find(|key| key.thumbprint() == receipt.kid()).ok_or("a receipt by no key of the service")?;
        let root = receipt.verify(entry.entry(), key).map_err(|failure| failure.to_string())?;
        let mut roots = self.roots.lock().expect("no holder panics");
        if *roots.entry(receipt.tree_size()).or_insert(root) == root {
            return Ok(());
        }
        Err(format!("two trees of size {}", receipt.tree_size()))
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blob(repository, digest) => write!(formatter, "blob {digest} in {repository}"),
            Self::Manifest(repository, reference) => write!(formatter, "manifest {reference} in {repository}"),
            Self::Receipt(statement) => write!(formatter, "receipt of statement {}", crate::harness::sha256(statement)),
            Self::Placed(repository, statement) => {
                write!(formatter, "statement {} in {repository}", crate::harness::sha256(statement))
            }
        }
    }
}

fn permit(instance: &Instance, right: Right, repository: Option<&RepositoryName>) -> Permit {
    instance.access().decide(&Caller::new(Account::Operator), right, repository).expect("the operator may")
}

fn read(content: BlobContent) -> Result<Vec<u8>, String> {
    match content {
        BlobContent::Bytes(bytes) => Ok(bytes.to_vec()),
        BlobContent::Object(_) => panic!("these sites have no bucket"),
        BlobContent::File(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|failure| failure.to_string())?;
            Ok(bytes)
        }
    }
}

/// A time after everything that the server did.
const AFTERWARDS: i64 = 4_000_000_000;
