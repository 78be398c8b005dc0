//! Many writers, keys that are replaced, and kill -9 over and over: every receipt that was ever released holds, and all heads are
//! of one history.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docket_proof::merkle::{Frontier, Hash};
use docket_proof::receipt::Receipt;
use docket_proof::statement::SignedStatement;
use docket_store::keys::DataFolder;
use docket_store::{BlobStorage, Store};
use futures_util::future::{join_all, join3};

use super::answered::{CLAIMS, prepared};
use super::random;
use crate::harness::{Ask as _, Issuer, Server, Site, sha256};

/// Statements, and what came back for them, whoever got it: the first receipt, and fresh ones.
#[derive(Default)]
struct Released {
    statements: Vec<Vec<u8>>,
    /// Place in `statements`, and the receipt.
    receipts: Vec<(usize, Vec<u8>)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_and_every_head_of_a_hammered_ledger_is_of_one_history() {
    let (site, issuer, artifact) = prepared().await;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    let mut all = Released::default();
    for round in 0..ROUNDS {
        let server = Server::start(&site);
        let writers =
            (0..WRITERS).map(|number| write_until_gone(&server, &issuer, &artifact, round * WRITERS + number));
        let role = if round % 2 == 0 { "receipt" } else { "statement" };
        let operator = async { drop(site.rotate(role).await) };
        let kill = async {
            tokio::time::sleep(Duration::from_millis(LIFE_MS_MIN + random(seed, round) % LIFE_MS_RANGE)).await;
            server.kill();
        };
        let (parts, (), ()) = join3(join_all(writers), operator, kill).await;
        server.kill9().await;
        parts.into_iter().for_each(|part| all.add(part));
    }

    let server = Server::start(&site);
    let keys = server.published_keys().await;
    let mut heads: BTreeMap<u64, Hash> = BTreeMap::new();
    // Once more each, for those that got no answer and for the newest head.
    let firsts = all.statements.iter().map(|statement| server.register(statement));
    let firsts: Vec<_> = join_all(firsts).await.into_iter().map(|answer| answer.expecting(201).body.to_vec()).collect();
    all.receipts.extend(firsts.into_iter().enumerate());
    for (number, bytes) in &all.receipts {
        let entry = SignedStatement::decode(&all.statements[*number]).expect("a statement of ours");
        let receipt = Receipt::decode(bytes).expect("a receipt");
        let key = keys.iter().find(|key| key.thumbprint() == receipt.kid());
        let key = key.unwrap_or_else(|| panic!("a receipt by {}, which is not published (seed {seed})", receipt.kid()));
        let root = receipt.verify(entry.entry(), key).unwrap_or_else(|failure| panic!("{failure} (seed {seed})"));
        assert_eq!(*heads.entry(receipt.tree_size()).or_insert(root), root, "two heads of one size (seed {seed})");
    }
    server.stop().await;
    assert!(keys.len() > 1 && all.receipts.len() > all.statements.len(), "too little happened (seed {seed})");
    let entries = site.fsck_clean().entries;
    one_history(&site, entries, &heads).await;
}

/// Every head is that of a beginning of the same ledger, so each is consistent with each other.
async fn one_history(site: &Site, entries: u64, heads: &BTreeMap<u64, Hash>) {
    let store = Store::open(DataFolder::new(site.data()), BlobStorage::Files).await.expect("nobody has it open");
    let leaves = store.leaves(0, entries).await.expect("the leaves are read");
    store.close().await;
    assert!(heads.keys().all(|size| *size <= entries), "a head of more entries than there are");
    let (mut frontier, mut done) = (Frontier::new(), 0);
    for (size, root) in heads {
        let size = usize::try_from(*size).expect("a small ledger");
        frontier = frontier.append(&leaves[done..size]).frontier;
        done = size;
        assert_eq!(frontier.root(), *root, "the head of size {size} is of another history");
    }
}

/// Registers statements and asks for fresh receipts until the server goes away.
async fn write_until_gone(server: &Server, issuer: &Issuer, artifact: &[u8], number: u64) -> Released {
    let mut released = Released::default();
    let path = server.repository(CLAIMS).path("_scitt/ledger/entries");
    for step in 0.. {
        let note = format!("note {step} of writer {number}");
        let statement = issuer.about(&sha256(artifact), "application/vnd.example.note", note.as_bytes());
        let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
        released.statements.push(statement.clone());
        let place = if step % 2 == 0 { "/entries" } else { &path };
        let post = server.request("POST", place).header("content-type", "application/cose").body(statement);
        let Some(first) = post.try_answer().await else { break };
        released.receipts.push((released.statements.len() - 1, first.expecting(201).body.to_vec()));
        let Some(fresh) = server.request("GET", &format!("/entries/{entry}")).try_answer().await else { break };
        released.receipts.push((released.statements.len() - 1, fresh.expecting(200).body.to_vec()));
    }
    released
}

impl Released {
    fn add(&mut self, more: Self) {
        let before = self.statements.len();
        self.statements.extend(more.statements);
        self.receipts.extend(more.receipts.into_iter().map(|(number, receipt)| (before + number, receipt)));
    }
}

const ROUNDS: u64 = 20;
const WRITERS: u64 = 6;
const LIFE_MS_MIN: u64 = 40;
const LIFE_MS_RANGE: u64 = 200;
