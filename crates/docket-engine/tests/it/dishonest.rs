//! An operator who edits rows and files: opening the folder or `fsck` reports every edit of what is proved.

use std::fs;
use std::path::{Path, PathBuf};

use docket_oci::digest::{Algorithm, Digest};
use tokio::sync::OnceCell;

use crate::rows::Rows;
use crate::signer::Signer;
use crate::site::{FolderImage, HOME, Site};

/// Larger than what is kept in a row.
const LARGE: usize = 100_000;

/// The folder that every test damages a copy of. Entries: 0 genesis, 1 wabbit, 2 acme (each its own batch), 3 a placed
/// SBOM, 4 a placed note and 5 a remark.
struct Honest {
    folder: FolderImage,
    image: Digest,
}

async fn honest() -> &'static Honest {
    static FOLDER: OnceCell<Honest> = OnceCell::const_new();
    FOLDER
        .get_or_init(async || {
            let (site, wabbit, acme) = (Site::created().await, Signer::new("wabbit"), Signer::new("acme"));
            site.admit(&wabbit).await.expect("admitted");
            site.admit(&acme).await.expect("admitted");
            let image = site.push_artifact(HOME, &vec![7; LARGE]).await;
            let document = site.push_blob(HOME, b"document").await;
            site.place(HOME, &wabbit.sbom(&image, &document)).await.expect("placed");
            site.place(HOME, &acme.note(&image, "tested")).await.expect("placed");
            site.log_only(&wabbit.remark("about a stream")).await.expect("logged");
            assert_eq!((site.problems().await, site.tree_size()), (Vec::new(), 6));
            Honest { folder: FolderImage::of(&site.close().await.path()), image }
        })
        .await
}

/// What opening or fsck says about a copy of the honest folder that `edit` has changed.
async fn complaint(edit: impl AsyncFnOnce(PathBuf)) -> String {
    let copy = honest().await.folder.unpack();
    edit(copy.path()).await;
    match copy.try_open().await {
        Err((failure, _)) => format!("open: {failure}"),
        Ok(site) => {
            let permit = site.permit_everywhere(docket_engine::Right::Admin);
            let said = match site.fsck(&permit).await {
                Ok(report) => report.problems.join("\n"),
                Err(failure) => format!("fsck failed: {failure}"),
            };
            site.close().await;
            said
        }
    }
}

async fn assert_flip_found(table: &str, column: &str, row: &str, expected: &str) {
    let said = complaint(async |data| Rows::open(&data).await.flip(table, column, row).await).await;
    assert!(said.contains(expected), "{table}.{column} of {row}: {said:?} says nothing of {expected:?}");
}

async fn assert_edit_found(edit: &str, expected: &str) {
    let said = complaint(async |data| Rows::open(&data).await.edit(edit).await).await;
    assert!(said.contains(expected), "{edit}: {said:?} says nothing of {expected:?}");
}

#[tokio::test]
async fn a_copy_of_an_honest_folder_is_clean() {
    assert_eq!(complaint(async |_| ()).await, "");
}

#[tokio::test]
async fn a_changed_entry_is_found() {
    // The genesis entry names the keys that all else is verified with, so nothing opens without it.
    assert_flip_found("entry", "bytes", "idx = 0", "open: stored data does not prove: entry 0").await;
    for row in ["idx = 0", "idx = 1", "idx = 3", "idx = 5"] {
        if row != "idx = 0" {
            assert_flip_found("entry", "bytes", row, "its bytes are not those that were logged").await;
        }
        assert_flip_found("entry", "leaf", row, "its bytes are not those that were logged").await;
        assert_flip_found("entry", "entry_id", row, "its bytes are not those that were logged").await;
    }
}

#[tokio::test]
async fn a_changed_proof_is_found() {
    assert_flip_found("entry", "path", "idx = 3", "entry 3: its receipt").await;
    assert_flip_found("batch", "signature", "tree_size = 2", "the head of size 2").await;
    assert_flip_found("batch", "protected", "tree_size = 4", "the head of size 4").await;
    assert_flip_found("batch", "root", "tree_size = 5", "the head of size 5 is not the root").await;
    assert_flip_found("batch", "signature", "tree_size = 6", "open: ").await;
    assert_edit_found("UPDATE entry SET path = x'' WHERE idx = 4", "entry 4: its receipt").await;
    assert_edit_found("UPDATE entry SET tree_size = 6 WHERE idx = 4", "entry 4: its row names the head").await;
    assert_edit_found("DELETE FROM batch WHERE tree_size = 3", "entry 2: its row names the head of size 3").await;
}

#[tokio::test]
async fn a_changed_head_is_found() {
    assert_flip_found("head", "root", "id = 0", "open: stored data does not prove").await;
    assert_flip_found("head", "frontier", "id = 0", "open: stored data does not prove").await;
    assert_edit_found("UPDATE head SET size = 5", "open: stored data does not prove").await;
    assert_edit_found("DELETE FROM head", "open: stored data does not prove").await;
    assert_edit_found("DELETE FROM batch WHERE tree_size = 6", "open: stored data does not prove").await;
}

#[tokio::test]
async fn a_removed_or_added_entry_is_found() {
    assert_edit_found("DELETE FROM entry WHERE idx = 4", "entries 4 to 5 are not all there").await;
    assert_edit_found("DELETE FROM entry WHERE idx = 5", "entries 5 to 6 are not all there").await;
    assert_edit_found(
        "INSERT INTO entry SELECT 6, x'00', bytes, leaf, 7, path, issuer_entry, policy_entry, \
         decided_at, collateral, issuer_id, type_id, subject_id \
         FROM entry WHERE idx = 5",
        "beyond the head",
    )
    .await;
    let swap = "UPDATE entry SET idx = 99 WHERE idx = 3; UPDATE entry SET idx = 3 WHERE idx = 4; \
        UPDATE entry SET idx = 4 WHERE idx = 99";
    assert_edit_found(swap, "is not the root of its entries").await;
}

#[tokio::test]
async fn a_changed_answer_to_queries_is_found() {
    for edit in [
        "UPDATE entry SET issuer_id = (SELECT issuer_id FROM entry WHERE idx = 4) WHERE idx = 3",
        "UPDATE entry SET type_id = (SELECT type_id FROM entry WHERE idx = 4) WHERE idx = 3",
        "UPDATE entry SET subject_id = NULL WHERE idx = 3",
        "UPDATE entry SET subject_id = subject_id + 1 WHERE idx = 3",
    ] {
        assert_edit_found(edit, "entry 3: queries do not find it").await;
    }
    let claimed = "UPDATE entry SET subject_id = (SELECT subject_id FROM entry WHERE idx = 3) WHERE idx = 5";
    assert_edit_found(claimed, "entry 5: queries do not find it").await;
    for edit in ["issuer_entry = 1", "policy_entry = 1", "decided_at = decided_at + 1"] {
        let edit = format!("UPDATE entry SET {edit} WHERE idx = 4");
        assert_edit_found(&edit, "entry 4: its row says it was decided by entries").await;
    }
    assert_edit_found("UPDATE batch SET logged_at = 0 WHERE tree_size = 4", "was not signed when its row says").await;
    assert_edit_found("UPDATE term SET value = value || '/' WHERE value LIKE 'https://acme%'", "entry 4: ").await;
}

#[tokio::test]
async fn a_hidden_admission_is_found() {
    let hidden = "UPDATE entry SET type_id = (SELECT type_id FROM entry WHERE idx = 4) WHERE idx = 1";
    assert_edit_found(hidden, "entry 1: queries do not find it").await;
    assert_edit_found("UPDATE entry SET bytes = x'00' WHERE idx = 1", "open: ").await;
}

#[tokio::test]
async fn changed_content_is_found() {
    let inline = "kind = 0 AND CAST(body AS TEXT) = 'document'";
    assert_flip_found("blob", "body", inline, "has the bytes of sha256:").await;
    assert_edit_found(&format!("UPDATE blob SET size = size + 1 WHERE {inline}"), "blob sha256:").await;
    assert_edit_found("UPDATE blob SET size = size + 1 WHERE kind = 1", "blob sha256:").await;
    assert_edit_found("UPDATE blob SET entry_idx = 4 WHERE kind = 2 AND entry_idx = 3", "has the bytes of").await;
    assert_edit_found("UPDATE blob SET entry_idx = 4 WHERE kind = 3 AND entry_idx = 3", "has the bytes of").await;
    assert_edit_found(&format!("DELETE FROM blob WHERE {inline}"), "which is not stored").await;
    assert_edit_found("UPDATE blob SET kind = 9 WHERE kind = 1", "unknown kind").await;
    let image = "digest_id = (SELECT m.digest_id FROM manifest m WHERE m.subject_id IS NULL)";
    assert_flip_found("blob", "body", image, "has the bytes of sha256:").await;
    assert_edit_found(&format!("DELETE FROM blob WHERE {image}"), "which is not stored").await;
}

#[tokio::test]
async fn a_changed_listing_is_found() {
    let statement = "digest_id = (SELECT statement_id FROM placement WHERE idx = 3)";
    for edit in [
        format!("UPDATE manifest SET subject_id = NULL WHERE {statement}"),
        format!("UPDATE manifest SET subject_id = subject_id + 1 WHERE {statement}"),
        format!("UPDATE manifest SET artifact_type = 'text/plain' WHERE {statement}"),
        format!("UPDATE manifest SET descriptor = '{{}}' WHERE {statement}"),
    ] {
        assert_edit_found(&edit, "is not listed as what it is").await;
    }
    let retyped = format!("UPDATE manifest SET media_type = 'text/plain' WHERE {statement}");
    assert_edit_found(&retyped, "but came as \"text/plain\"").await;
}

#[tokio::test]
async fn a_changed_file_is_found() {
    let file = |data: &Path| {
        let hex = Digest::of(Algorithm::Sha256, &vec![7; LARGE]).hex();
        data.join("blobs/sha256").join(hex)
    };
    let said = complaint(async |data| {
        let mut bytes = fs::read(file(&data)).expect("the blob's file");
        bytes[LARGE / 2] ^= 1;
        fs::write(file(&data), bytes).expect("edited");
    });
    assert!(said.await.contains("has the bytes of sha256:"));
    let said = complaint(async |data| fs::write(file(&data), vec![7; LARGE - 1]).expect("cut")).await;
    assert!(said.contains("has the bytes of sha256:"), "{said}");
    let said = complaint(async |data| fs::remove_file(file(&data)).expect("removed")).await;
    assert!(said.contains("is missing"), "{said}");
}

#[tokio::test]
async fn another_key_is_found() {
    let said = complaint(async |data| {
        // The ledger names its keys, so exchanging the two is seen at once.
        let (receipt, statement) = (data.join("keys/receipt.key"), data.join("keys/statement.key"));
        fs::copy(statement, receipt).expect("copied");
    });
    assert!(said.await.starts_with("open: the receipt key in the data folder is unusable: the ledger says that"));
    let said = complaint(async |data| {
        let (receipt, statement) = (data.join("keys/receipt.key"), data.join("keys/statement.key"));
        fs::copy(receipt, statement).expect("copied");
    });
    assert!(said.await.starts_with("open: the statement key in the data folder is unusable: the ledger says that"));
    let said = complaint(async |data| fs::remove_file(data.join("keys/receipt.key")).expect("removed")).await;
    assert!(said.starts_with("open: the receipt key in the data folder is unusable"), "{said}");
}

#[tokio::test]
async fn a_hidden_placement_costs_no_claim() {
    // Where a claim stands is not signed, so fsck cannot miss it; the claim itself is found all the same.
    let honest = honest().await;
    let copy = honest.folder.unpack();
    Rows::open(&copy.path()).await.edit("DELETE FROM placement").await;
    let site = copy.open().await;
    let query = docket_engine::ClaimQuery { artifact: Some(honest.image), ..docket_engine::ClaimQuery::default() };
    assert_eq!(site.ask(query).await.claims.len(), 2);
    site.close().await;
}
