//! Many registrations at once: gapless indexes, and receipts that a naive tree agrees with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use docket_engine::{EngineError, Registered};
use docket_proof::cose::Sign1;
use docket_proof::receipt::BatchSeal;
use futures_util::future::join_all;

use crate::naive::NaiveTree;
use crate::signer::Signer;
use crate::site::{HOME, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_callers_get_gapless_indexes_and_receipts_that_hold() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let site = Arc::new(site);
    let tasks: Vec<_> = (0..600)
        .map(|n| {
            let (site, wabbit) = (Arc::clone(&site), wabbit.clone());
            tokio::spawn(async move {
                let statement = wabbit.note(&artifact, &format!("claim {n}"));
                // Every third one is placed too, so that batches are mixed.
                let answer =
                    if n % 3 == 0 { site.place(HOME, &statement).await } else { site.log_only(&statement).await };
                (statement, answer)
            })
        })
        .collect();
    let mut by_index = BTreeMap::new();
    for task in tasks {
        let (statement, answer) = task.await.expect("joined");
        let answer = answer.expect("registered");
        assert!(by_index.insert(answer.index, (statement, answer)).is_none(), "an index was given twice");
    }
    let site = Arc::into_inner(site).expect("all tasks have ended");
    assert_eq!(by_index.keys().copied().collect::<Vec<_>>(), (2..602).collect::<Vec<_>>());
    assert_eq!(site.tree_size(), 602);
    for (index, (statement, answer)) in &by_index {
        let receipt = site.verify(statement, &answer.receipt);
        assert_eq!((receipt.index(), receipt.tree_size()), (*index, answer.tree_size));
    }
    assert_eq!(site.referrers_of(HOME, &artifact, None).await.len(), 200);

    let closed = site.close().await;
    let entries = crate::rows::Rows::open(&closed.path()).await.entries().await;
    let site = closed.open().await;
    assert_agrees_with_naive_tree(&site, &entries).await;
    for (entry, receipt) in entries.iter().zip(site.receipts().await) {
        site.verify(entry, &receipt);
    }
    site.end().await;
}

#[tokio::test]
async fn trees_at_the_edges_of_tiles_prove_every_entry() {
    let (site, wabbit) = Site::with_issuer().await;
    let mut entries = own_entries(&site).await;
    for size in [255, 256, 257, 511, 512, 513] {
        let logged = grow(&site, &wabbit, size).await;
        entries.extend(logged.into_iter().map(|(statement, _)| statement));
        assert_eq!(site.tree_size(), size);
        assert_agrees_with_naive_tree(&site, &entries).await;
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_is_clean_while_the_ledger_grows() {
    let (site, wabbit) = Site::with_issuer().await;
    let artifact = site.push_artifact(HOME, b"layer").await;
    let done = AtomicBool::new(false);
    let write = async {
        for n in 0..40 {
            site.admit(&Signer::new(&format!("issuer-{n}"))).await.expect("admitted");
            let notes: Vec<_> = (0..3).map(|part| wabbit.note(&artifact, &format!("{n}.{part}"))).collect();
            for answer in join_all(notes.iter().map(|note| site.place(HOME, note))).await {
                answer.expect("placed");
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let prove = async {
        let mut proofs = 0;
        while !done.load(Ordering::Relaxed) {
            assert_eq!(site.problems().await, Vec::<String>::new());
            proofs += 1;
        }
        proofs
    };
    let ((), proofs) = tokio::join!(write, prove);
    assert!(proofs > 0);
    assert_eq!(site.tree_size(), 2 + 40 * 4);
    site.end().await;
}

/// Registers remarks at once until the ledger has `target` entries; the answers stand in the order of their indexes.
pub(crate) async fn grow(site: &Site, signer: &Signer, target: u64) -> Vec<(Vec<u8>, Registered)> {
    let missing = target - site.tree_size();
    let statements: Vec<_> =
        (0..missing).map(|n| signer.remark(&format!("entry {n} on the way to {target}"))).collect();
    let answers = join_all(statements.iter().map(|statement| site.log_only(statement))).await;
    let answers: Result<Vec<Registered>, EngineError> = answers.into_iter().collect();
    let mut logged: Vec<_> = statements.into_iter().zip(answers.expect("registered")).collect();
    logged.sort_by_key(|(_, answer)| answer.index);
    logged
}

/// The bytes of genesis and issuer entries, read from a copy of the database.
pub(crate) async fn own_entries(site: &Site) -> Vec<Vec<u8>> {
    crate::rows::Rows::open(&site.path()).await.entries().await
}

/// Every fresh receipt of a site is the one that the naive tree over all entries gives, and verifies.
pub(crate) async fn assert_agrees_with_naive_tree(site: &Site, entries: &[Vec<u8>]) {
    let fresh = site.receipts().await;
    assert_receipts_agree(&fresh, &mut NaiveTree::of(entries.iter().map(Vec::as_slice)));
    // The paths agree and all receipts share one signature over one root: two stand for all.
    site.verify(&entries[1], &fresh[1]);
    site.verify(&entries[entries.len() - 1], &fresh[fresh.len() - 1]);
}

/// The receipts are those of one seal with the naive tree's paths, byte for byte.
fn assert_receipts_agree(fresh: &[Vec<u8>], tree: &mut NaiveTree) {
    assert_eq!(fresh.len(), tree.leaves().len());
    let parts = Sign1::decode(&fresh[0]).expect("a receipt");
    let seal = BatchSeal { protected: parts.protected.to_vec(), signature: parts.signature.to_vec() };
    for (index, receipt) in fresh.iter().enumerate() {
        let path = tree.path(index, fresh.len());
        assert!(seal.receipt(index as u64, fresh.len() as u64, &path) == *receipt, "the path of entry {index} differs");
    }
}
