//! What a server answered, and the check that it still stands: the promise of a 201.

use std::collections::HashMap;

use docket_proof::key::PublicKey;
use docket_proof::statement::{EntryId, SignedStatement};
use futures_util::stream::{self, StreamExt as _};

use crate::harness::{Ask as _, Issuer, Server, Site, bytes_of, image, sha256};

/// A repository that every writer uses for its claims.
pub(super) const CLAIMS: &str = "wabbit/net-monitor";

/// What was answered with 201, and the statements that got no answer.
#[derive(Default)]
pub(super) struct Answered {
    blobs: Vec<Vec<u8>>,
    /// Tag and bytes.
    manifests: Vec<(String, Vec<u8>)>,
    /// Statement and receipt.
    receipts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Sent, and the connection broke.
    unanswered: Vec<Vec<u8>>,
}

/// Makes content that no other writer makes, and remembers what it was told.
pub(super) struct Writer<'a> {
    pub server: &'a Server,
    pub issuer: &'a Issuer,
    pub key: &'a PublicKey,
    /// The artifact that claims are about, in the repository [`CLAIMS`].
    pub artifact: &'a [u8],
    pub number: u64,
}

impl Writer<'_> {
    /// Pushes images until the server goes away.
    pub(super) async fn push_until_gone(&self) -> Answered {
        let mut answered = Answered::default();
        let repository = self.server.repository("pushed");
        for step in 0.. {
            let seed = self.number * 1_000_000 + step;
            let layer = bytes_of(seed, if step % 4 == 0 { 100_000 } else { 500 });
            let digest = sha256(&layer);
            let path = format!("blobs/uploads/?digest={digest}");
            let Some(pushed) = repository.request("POST", &path).body(layer.clone()).try_answer().await else { break };
            pushed.expecting(201);
            let tag = format!("tag-{seed}");
            let manifest = image(b"{}", &[&layer]);
            answered.blobs.push(layer);
            let put = repository.request("PUT", &format!("manifests/{tag}"));
            let put = put.header("content-type", docket_oci::media::OCI_IMAGE_MANIFEST).body(manifest.clone());
            let Some(stored) = put.try_answer().await else { break };
            stored.expecting(201);
            answered.manifests.push((tag, manifest));
        }
        answered
    }

    /// Registers statements, some placed, some with documents, until the server goes away.
    pub(super) async fn claim_until_gone(&self) -> Answered {
        let mut answered = Answered::default();
        for step in 0.. {
            let seed = self.number * 1_000_000 + step;
            let repository = self.server.repository(CLAIMS);
            let subject = sha256(self.artifact);
            let document = format!("document {seed}").into_bytes();
            let statement = if step % 3 == 0 {
                let path = format!("blobs/uploads/?digest={}", sha256(&document));
                let upload = repository.request("POST", &path).body(document.clone());
                let Some(pushed) = upload.try_answer().await else { break };
                pushed.expecting(201);
                answered.blobs.push(document.clone());
                self.issuer.about_document(&subject, "application/vnd.cyclonedx+json", &document)
            } else {
                self.issuer.about(&subject, "application/vnd.example.note", &document)
            };
            let place = if step % 3 == 1 { "/entries".to_owned() } else { repository.path("_scitt/ledger/entries") };
            let post = self.server.request("POST", &place).header("content-type", "application/cose");
            let Some(registered) = post.body(statement.clone()).try_answer().await else {
                answered.unanswered.push(statement);
                break;
            };
            let registered = registered.expecting(201);
            registered.receipt(&statement, self.key);
            answered.receipts.push((statement, registered.body.to_vec()));
        }
        answered
    }
}

impl Answered {
    /// Puts what several writers were told together.
    pub(super) fn together(parts: Vec<Self>) -> Self {
        let mut whole = Self::default();
        parts.into_iter().for_each(|part| whole.add(part));
        whole
    }

    pub(super) fn add(&mut self, more: Self) {
        self.blobs.extend(more.blobs);
        self.manifests.extend(more.manifests);
        self.receipts.extend(more.receipts);
        self.unanswered.extend(more.unanswered);
    }

    /// How many answers are remembered.
    pub(super) fn count(&self) -> usize {
        self.blobs.len() + self.manifests.len() + self.receipts.len()
    }

    /// How many statements have a receipt.
    pub(super) fn receipts(&self) -> usize {
        self.receipts.len()
    }

    /// Sends what got no answer once more; now it gets one.
    pub(super) async fn retry(&mut self, server: &Server, key: &PublicKey) {
        for statement in std::mem::take(&mut self.unanswered) {
            let registered = server.register(&statement).await.expecting(201);
            registered.receipt(&statement, key);
            self.receipts.push((statement, registered.body.to_vec()));
        }
    }

    /// Finds everything: content byte for byte, each statement with the receipt it had, and a fresh receipt that
    /// verifies. All fresh receipts of a tree size agree on its root.
    pub(super) async fn check(&self, server: &Server, key: &PublicKey) {
        let (pushed, claims) = (server.repository("pushed"), server.repository(CLAIMS));
        each(&self.blobs, async |blob: &Vec<u8>| {
            let digest = sha256(blob);
            let place = if blob.starts_with(b"document ") { claims } else { pushed };
            assert!(place.blob(&digest).await == *blob, "blob {digest} changed");
        })
        .await;
        each(&self.manifests, async |(tag, manifest): &(String, Vec<u8>)| {
            assert!(pushed.manifest(tag).await == *manifest, "tag {tag} changed");
        })
        .await;
        let roots = std::sync::Mutex::new(HashMap::new());
        each(&self.receipts, async |(statement, receipt): &(Vec<u8>, Vec<u8>)| {
            let entry = SignedStatement::decode(statement).expect("a statement of ours");
            let again = server.register(statement).await.expecting(201);
            assert!(again.body == *receipt, "the first receipt of {} changed", entry.entry_id());
            let path = format!("/entries/{}", EntryId::of(entry.entry()));
            let fresh = server.request("GET", &path).expect(200).await;
            for answer in [again, fresh] {
                let receipt = answer.receipt(statement, key);
                let root = receipt.verify(entry.entry(), key).expect("verified above");
                let mut roots = roots.lock().expect("no holder panics");
                let known = *roots.entry(receipt.tree_size()).or_insert(root);
                assert_eq!(known, root, "two trees of size {}", receipt.tree_size());
            }
        })
        .await;
    }
}

/// A site with one artifact to speak of and an issuer to speak.
pub(super) async fn prepared() -> (Site, Issuer, Vec<u8>) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let artifact = server.repository(CLAIMS).push_image("v1", 1).await;
    server.repository("pushed").push_blob("{}").await;
    server.stop().await;
    (site, issuer, artifact)
}

/// Looks at each, a few at a time.
async fn each<T>(items: &[T], look: impl AsyncFn(&T)) {
    stream::iter(items).for_each_concurrent(AT_ONCE, async |item| look(item).await).await;
}

const AT_ONCE: usize = 16;
