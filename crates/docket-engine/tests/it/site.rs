//! The one helper of these tests: an instance in a temporary folder, with permits, content and checks at hand.

use std::fs;
use std::io::Read as _;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use docket_engine::{
    Account, BlobContent, Caller, ClaimPage, ClaimQuery, Clock, Conduct, EngineError, EntryState, FsckReport, Instance,
    IssuerView, Observe, Options, Permit, Registered, Right,
};
use docket_judge::policy::Credential;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, artifact_manifest};
use docket_oci::media::{OCI_IMAGE_MANIFEST, OCI_LAYER};
use docket_oci::name::{Reference, RepositoryName};
use docket_proof::key::PublicKey;
use docket_proof::receipt::Receipt;
use docket_proof::statement::EntryId;
use tokio::sync::OnceCell;

use crate::signer::Signer;

/// Where claims are placed unless a test says otherwise.
pub(crate) const HOME: &str = "wabbit/net-monitor";
/// The time at which every site starts.
pub(crate) const START: i64 = 1_700_000_000;

/// A data folder, its open instance and its clock.
pub(crate) struct Site {
    instance: Instance,
    closed: Closed,
}

/// A data folder that nobody has open.
pub(crate) struct Closed {
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
}

/// The files of a data folder, in memory.
pub(crate) struct FolderImage(Vec<(PathBuf, Vec<u8>)>);

/// Everything that a refused or repeated call must leave as it was.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    answers: Answers,
    report: FsckReport,
}

/// What the service answers about everything it holds.
#[derive(Debug, PartialEq)]
struct Answers {
    claims: String,
    issuers: String,
    repositories: Vec<RepositoryName>,
    read_only: Option<String>,
}

impl Site {
    /// A new ledger with its genesis entry, made for this test alone.
    pub(crate) async fn created() -> Self {
        let closed = Closed::nowhere();
        let service = "https://registry.wabbit.example".parse().expect("a URI");
        Instance::create(&closed.path(), service, &closed.clock(), None).await.expect("created");
        closed.open().await
    }

    /// A ledger with its genesis entry: a copy of one that was made once, which is much faster than making it. Content
    /// above the inline size cannot be pushed to it, since copies have no empty folders.
    pub(crate) async fn new() -> Self {
        static NEW: OnceCell<FolderImage> = OnceCell::const_new();
        let image = NEW.get_or_init(async || FolderImage::of(&Self::created().await.close().await.path())).await;
        image.unpack().open().await
    }

    /// A new ledger that admits one issuer.
    pub(crate) async fn with_issuer() -> (Self, Signer) {
        let (site, wabbit) = (Self::new().await, Signer::new("wabbit"));
        site.admit(&wabbit).await.expect("admitted");
        (site, wabbit)
    }

    /// The data folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.closed.path()
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
        self.closed.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Leave for the operator to do one thing.
    pub(crate) fn permit(&self, right: Right, repository_name: &str) -> Permit {
        self.access()
            .decide(&Caller::new(Account::Operator), right, Some(&repository(repository_name)))
            .expect("the operator may")
    }

    /// The same for what concerns the whole service.
    pub(crate) fn permit_everywhere(&self, right: Right) -> Permit {
        self.access().decide(&Caller::new(Account::Operator), right, None).expect("the operator may")
    }

    /// Admits an issuer.
    pub(crate) async fn admit(&self, signer: &Signer) -> Result<IssuerView, EngineError> {
        let credential = Credential::Key { issuer: signer.issuer.clone(), key: signer.key.public().clone() };
        self.admit_issuer(&self.permit_everywhere(Right::Admin), &signer.name, credential).await
    }

    /// Pushes a blob.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let (permit, digest) = (self.permit(Right::Push, repository), Digest::of(Algorithm::Sha256, bytes));
        let id = self.start_upload(&permit, Algorithm::Sha256).await.expect("an upload");
        let mut upload = self.open_upload(&permit, &id).expect("open");
        upload.append(bytes::Bytes::copy_from_slice(bytes)).await.expect("appended");
        self.finish_upload(upload, &digest).await.expect("stored");
        digest
    }

    /// Pushes a manifest by its digest.
    pub(crate) async fn push_manifest(&self, repository: &str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        let (permit, reference) = (self.permit(Right::Push, repository), Reference::Digest(digest));
        let pushed = self.put_manifest(&permit, &reference, Some(OCI_IMAGE_MANIFEST), Vec::new(), bytes.into()).await;
        assert_eq!(pushed.expect("stored").digest, digest);
        digest
    }

    /// Pushes an artifact with one layer of these bytes.
    pub(crate) async fn push_artifact(&self, repository: &str, layer: &[u8]) -> Digest {
        self.push_blob(repository, b"{}").await;
        self.push_blob(repository, layer).await;
        self.push_manifest(repository, artifact(layer)).await
    }

    /// Pushes the manifest of an artifact, whose layer must be there, under a tag.
    pub(crate) async fn tag(&self, repository: &str, tag: &str, layer: &[u8]) -> Result<Digest, EngineError> {
        let (permit, reference) = (self.permit(Right::Push, repository), Reference::Tag(tag.parse().expect("a tag")));
        let bytes = artifact(layer).into();
        let pushed = self.put_manifest(&permit, &reference, Some(OCI_IMAGE_MANIFEST), Vec::new(), bytes).await;
        pushed.map(|stored| stored.digest)
    }

    /// Registers a statement without placing it.
    pub(crate) async fn log_only(&self, statement: &[u8]) -> Result<Registered, EngineError> {
        self.register(&self.permit_everywhere(Right::Claim), statement).await
    }

    /// Registers a statement and places it.
    pub(crate) async fn place(&self, repository: &str, statement: &[u8]) -> Result<Registered, EngineError> {
        self.register(&self.permit(Right::Claim, repository), statement).await
    }

    /// A fresh receipt; the entry must stand in the ledger and must not be alone there.
    pub(crate) async fn fresh(&self, entry_id: &EntryId) -> Vec<u8> {
        let receipt = self.receipt(&self.permit_everywhere(Right::Pull), entry_id).await.expect("answered");
        let EntryState::Logged(receipt) = receipt else { panic!("{receipt:?}") };
        receipt
    }

    /// Verifies a receipt of this service as a stranger would.
    pub(crate) fn verify(&self, entry: &[u8], receipt: &[u8]) -> Receipt {
        let key: PublicKey = self.receipt_keys()[0].clone();
        let receipt = Receipt::decode(receipt).expect("a receipt");
        receipt.verify(entry, &key).expect("it proves the entry");
        assert_eq!((receipt.issuer(), receipt.log()), (self.service(), self.instance.log()));
        receipt
    }

    /// All claims, or those a query asks for.
    pub(crate) async fn ask(&self, query: ClaimQuery) -> ClaimPage {
        let query = ClaimQuery { limit: if query.limit == 0 { 1000 } else { query.limit }, ..query };
        self.claims(&self.permit_everywhere(Right::Pull), &query).await.expect("answered")
    }

    /// Referrers of a digest, optionally of one type.
    pub(crate) async fn referrers_of(
        &self,
        repository: &str,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Vec<Descriptor> {
        let permit = self.permit(Right::Pull, repository);
        let page = self.referrers(&permit, subject, artifact_type, None).await.expect("answered");
        serde_json::from_str(&format!("[{}]", page.descriptors)).expect("descriptors")
    }

    /// The bytes of a manifest.
    pub(crate) async fn manifest_bytes(&self, repository: &str, digest: &Digest) -> Vec<u8> {
        let permit = self.permit(Right::Pull, repository);
        self.manifest(&permit, &Reference::Digest(*digest)).await.expect("found").bytes.to_vec()
    }

    /// The bytes of a blob.
    pub(crate) async fn blob_bytes(&self, repository: &str, digest: &Digest) -> Vec<u8> {
        let blob = self.blob(&self.permit(Right::Pull, repository), digest).await.expect("found");
        let bytes = match blob.content {
            BlobContent::Bytes(bytes) => bytes.to_vec(),
            BlobContent::File(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).expect("read");
                bytes
            }
            BlobContent::Object(_) => panic!("these sites have no bucket"),
        };
        assert_eq!(bytes.len() as u64, blob.size);
        bytes
    }

    /// What a proof of everything finds wrong.
    pub(crate) async fn problems(&self) -> Vec<String> {
        self.fsck(&self.permit_everywhere(Right::Admin)).await.expect("fsck ran").problems
    }

    /// What must not change by a call that changes nothing; what fsck counted covers blobs, manifests and links.
    pub(crate) async fn state(&self) -> State {
        let report = self.fsck(&self.permit_everywhere(Right::Admin)).await.expect("fsck ran");
        State { answers: self.answers().await, report }
    }

    async fn answers(&self) -> Answers {
        let page = self.ask(ClaimQuery { observed: true, ..ClaimQuery::default() }).await;
        let (repositories, more) =
            self.repositories(&self.permit_everywhere(Right::Pull), "", 1000).await.expect("listed");
        assert!(!more && page.next.is_none(), "a test as large as this one needs pages");
        Answers {
            claims: serde_json::to_string(&page).expect("serializes"),
            issuers: serde_json::to_string(&self.issuers()).expect("serializes"),
            repositories,
            read_only: self.read_only(),
        }
    }

    /// Fresh receipts of all entries, in order.
    pub(crate) async fn receipts(&self) -> Vec<Vec<u8>> {
        let mut receipts = Vec::new();
        if self.tree_size() > 1 {
            for claim in self.ask(ClaimQuery { observed: true, ..ClaimQuery::default() }).await.claims {
                receipts.push(self.fresh(&claim.entry.parse().expect("an entry id")).await);
            }
        }
        receipts
    }

    /// Ends a scenario: opens the folder again, where all must be as it was, and proves everything.
    pub(crate) async fn end(self) {
        let (answers, receipts) = (self.answers().await, self.receipts().await);
        assert_eq!(answers.read_only, None);
        let site = self.close().await.open().await;
        assert_eq!(site.answers().await, answers);
        assert!(
            site.receipts().await == receipts,
            "receipts are not what they were before the folder was opened again"
        );
        assert_eq!(site.problems().await, Vec::<String>::new());
        site.close().await;
    }

    /// Closes the instance.
    pub(crate) async fn close(self) -> Closed {
        self.instance.close().await;
        self.closed
    }
}

impl Deref for Site {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl Closed {
    fn nowhere() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), now: Arc::new(AtomicI64::new(START)) }
    }

    /// The data folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Opens it; it must be in order.
    pub(crate) async fn open(self) -> Site {
        self.try_open().await.unwrap_or_else(|(failure, _)| panic!("cannot open: {failure}"))
    }

    /// Opens it, or says why not.
    pub(crate) async fn try_open(self) -> Result<Site, (EngineError, Self)> {
        let options = Options {
            clock: self.clock(),
            crash_at: None,
            conduct: Conduct::default(),
            observe: Observe::default(),
            upload_idle_seconds_max: 3600,
            storage: docket_store::BlobStorage::Files,
            witnesses: None,
            keys: docket_engine::KeySources::default(),
        };
        match Instance::open(&self.path(), options).await {
            Ok(instance) => Ok(Site { instance, closed: self }),
            Err(failure) => Err((failure, self)),
        }
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::new(move || now.load(Ordering::Relaxed))
    }
}

/// A checked name.
pub(crate) fn repository(name: &str) -> RepositoryName {
    name.parse().expect("a name")
}

/// The manifest of an artifact with one layer.
pub(crate) fn artifact(layer: &[u8]) -> Vec<u8> {
    let layers = [Descriptor::of(OCI_LAYER, layer)];
    artifact_manifest("application/vnd.wabbit.net-monitor", &layers, None, &std::collections::BTreeMap::new())
}

impl FolderImage {
    /// Reads every file.
    pub(crate) fn of(data: &Path) -> Self {
        let read = |path: PathBuf| (fs::read(data.join(&path)).map(|bytes| (path, bytes))).expect("read");
        Self(files_below(data).into_iter().map(read).collect())
    }

    /// A copy to be opened or damaged. Folders without files are not in it, as after many a backup.
    pub(crate) fn unpack(&self) -> Closed {
        let closed = Closed::nowhere();
        self.write(&closed.path());
        closed
    }

    /// Writes every file.
    pub(crate) fn write(&self, data: &Path) {
        for (path, bytes) in &self.0 {
            let path = data.join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
            fs::write(path, bytes).expect("written");
        }
    }
}

/// Every file below a folder, by its path from there, sorted.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("it is below").to_owned());
            }
        }
    }
    found.sort();
    found
}
