//! Full tiles are files that can be lost and made again; what stands in them is never believed unseen.

use std::fs;

use docket_engine::EngineError;
use tokio::sync::OnceCell;

use crate::concurrency::{assert_agrees_with_naive_tree, grow, own_entries};
use crate::naive::NaiveTree;
use crate::signer::entry_id;
use crate::site::{Closed, FolderImage, Site};

const FIRST: &str = "tiles/tile/0/000";
const SECOND: &str = "tiles/tile/0/001";

/// A ledger of 513 entries with two full tiles on disk, and its entries.
async fn two_tiles() -> (Closed, &'static [Vec<u8>]) {
    static LEDGER: OnceCell<(FolderImage, Vec<Vec<u8>>)> = OnceCell::const_new();
    let (folder, entries) = LEDGER
        .get_or_init(async || {
            let (site, wabbit) = Site::with_issuer().await;
            let mut entries = own_entries(&site).await;
            entries.extend(grow(&site, &wabbit, 513).await.into_iter().map(|(statement, _)| statement));
            // Closing waits for the export.
            (FolderImage::of(&site.close().await.path()), entries)
        })
        .await;
    (folder.unpack(), entries)
}

#[tokio::test]
async fn full_tiles_hold_the_leaf_hashes() {
    let (closed, entries) = two_tiles().await;
    let leaves = NaiveTree::of(entries.iter().map(Vec::as_slice)).leaves().concat();
    assert!(fs::read(closed.path().join(FIRST)).expect("exported") == leaves[..8192]);
    assert!(fs::read(closed.path().join(SECOND)).expect("exported") == leaves[8192..16384]);
    let files = fs::read_dir(closed.path().join("tiles/tile/0")).expect("a folder").count();
    assert_eq!(files, 2, "partial tiles are never stored");
    closed.open().await.close().await;
}

#[tokio::test]
async fn a_lost_tile_is_made_again() {
    let (closed, entries) = two_tiles().await;
    let second = fs::read(closed.path().join(SECOND)).expect("exported");
    for lost in [FIRST, SECOND] {
        fs::remove_file(closed.path().join(lost)).expect("removed");
    }
    let site = closed.open().await;
    assert_agrees_with_naive_tree(&site, entries).await;
    let closed = site.close().await;
    assert!(fs::read(closed.path().join(SECOND)).expect("exported again") == second);

    // One that is missing before others is not looked for; its hashes come from the rows.
    fs::remove_file(closed.path().join(FIRST)).expect("exported again too");
    let site = closed.open().await;
    assert_agrees_with_naive_tree(&site, entries).await;
    site.end().await;
}

#[tokio::test]
async fn a_cut_tile_counts_as_lost() {
    let (closed, entries) = two_tiles().await;
    let path = closed.path().join(FIRST);
    let bytes = fs::read(&path).expect("exported");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
    let site = closed.open().await;
    assert_agrees_with_naive_tree(&site, entries).await;
    site.end().await;
}

#[tokio::test]
async fn a_damaged_tile_is_found_and_proves_nothing() {
    let (closed, entries) = two_tiles().await;
    let path = closed.path().join(FIRST);
    let good = fs::read(&path).expect("exported");
    let mut bad = good.clone();
    bad[32 * 7] ^= 1;
    fs::write(&path, bad).expect("damaged");
    let site = closed.open().await;
    assert_eq!(site.problems().await, ["tile tile/0/000 is not what the entries give"]);
    // A receipt that would lean on the damage is not released; one that does not is.
    let pull = site.permit_everywhere(docket_engine::Right::Pull);
    let failure = site.receipt(&pull, &entry_id(&entries[6])).await.expect_err("its path is damaged");
    assert!(matches!(failure, EngineError::Unproven(_)), "{failure:?}");

    let closed = site.close().await;
    fs::write(&path, good).expect("mended");
    let site = closed.open().await;
    assert_agrees_with_naive_tree(&site, entries).await;
    site.end().await;
}
