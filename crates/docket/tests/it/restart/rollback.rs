//! A database that is older than what was spoken of, or another than that, opens read-only.

use std::path::Path;

use super::answered::{CLAIMS, prepared};
use crate::harness::{Ask as _, Issuer, Server, Site, sha256};
use docket_proof::statement::SignedStatement;

#[tokio::test]
async fn a_database_that_was_rolled_back_takes_no_entries_and_serves_the_rest() {
    let (site, issuer, artifact) = prepared().await;
    let (kept, lost) = (claim(&site, &issuer, &artifact, 1).await, site.folder().join("newer"));
    let old = site.folder().join("older");
    copy_database(&site.data(), &old);
    let missing = claim(&site, &issuer, &artifact, 2).await;
    copy_database(&site.data(), &lost);
    copy_database(&old, &site.data());

    let server = Server::start(&site);
    assert!(server.log().contains("rolled back"), "{}", server.log());
    refuses_entries(&server, &issuer, &artifact, "it was rolled back").await;
    // Pulls, pushes and receipts go on.
    let repository = server.repository(CLAIMS);
    assert_eq!(repository.manifest("v1").await, artifact);
    repository.push_image("v2", 2).await;
    server.request("GET", &entry_path(&kept)).expect(200).await.receipt(&kept, &site.receipt_key());
    server.request("GET", &entry_path(&missing)).expect(404).await;
    let service = server.request("GET", "/api/v1/service").expect(200).await.json();
    assert!(service["read_only"].as_str().is_some_and(|reason| reason.contains("rolled back")), "{service}");
    server.stop().await;
    assert!(site.fsck().problems.iter().any(|problem| problem.contains("rolled back")));

    // The newer database back in place, all is well again.
    copy_database(&lost, &site.data());
    let server = Server::start(&site);
    for statement in [&kept, &missing] {
        server.register(statement).await.expecting(201).receipt(statement, &site.receipt_key());
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_database_with_another_history_takes_no_entries() {
    let (site, issuer, artifact) = prepared().await;
    let (old, guard) = (site.folder().join("older"), site.data().join("guard"));
    copy_database(&site.data(), &old);
    let old_guard = std::fs::read(&guard).expect("the guard");
    claim(&site, &issuer, &artifact, 1).await;
    let seen = std::fs::read(&guard).expect("the guard");
    // The same size reached again over other entries, as if two servers had gone on from one backup.
    copy_database(&old, &site.data());
    std::fs::write(&guard, old_guard).expect("the guard");
    claim(&site, &issuer, &artifact, 2).await;
    std::fs::write(&guard, seen).expect("the guard");

    let server = Server::start(&site);
    refuses_entries(&server, &issuer, &artifact, "is not the one that was spoken of").await;
    assert_eq!(server.repository(CLAIMS).manifest("v1").await, artifact);
    server.stop().await;
    assert_eq!(site.fsck().problems.len(), 1);
}

async fn refuses_entries(server: &Server, issuer: &Issuer, artifact: &[u8], reason: &str) {
    let statement = issuer.about(&sha256(artifact), "application/vnd.example.note", b"a new note");
    let answers = [server.register(&statement).await, server.repository(CLAIMS).claim(&statement).await];
    for answer in answers {
        let (title, detail) = answer.expecting(503).problem();
        assert_eq!(title, "Unavailable");
        assert!(detail.contains(reason), "{detail}");
    }
}

/// Registers a note through a server of its own.
async fn claim(site: &Site, issuer: &Issuer, artifact: &[u8], number: u8) -> Vec<u8> {
    let statement = issuer.about(&sha256(artifact), "application/vnd.example.note", &[number]);
    let server = Server::start(site);
    server.repository(CLAIMS).claim(&statement).await.expecting(201);
    server.stop().await;
    statement
}

fn entry_path(statement: &[u8]) -> String {
    format!("/entries/{}", SignedStatement::decode(statement).expect("a statement of ours").entry_id())
}

/// Copies the database of a stopped server from one folder to another.
fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is made");
    // In the folder that is copied to as well: what is left in a log there would be replayed over the copy.
    for folder in [from, to] {
        let log = std::fs::metadata(folder.join("docket.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0, "a stopped server leaves everything in the database file");
    }
    std::fs::copy(from.join("docket.db"), to.join("docket.db")).expect("the database is copied");
}
