//! Death at each named point of a registration (DESIGN.md §6): what was answered stays, what was not is answered next time.

use docket_oci::digest::Digest;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::answered::{CLAIMS, prepared};
use crate::harness::{Ask as _, Issuer, Server, sha256};

#[tokio::test]
async fn death_before_the_commit_leaves_nothing_of_the_batch() {
    dies_and_recovers("before-commit").await;
}

#[tokio::test]
async fn death_between_commit_and_guard_keeps_the_batch() {
    dies_and_recovers("after-commit").await;
}

#[tokio::test]
async fn death_between_guard_and_release_keeps_the_batch() {
    dies_and_recovers("after-guard").await;
}

#[tokio::test]
async fn death_while_a_tile_is_exported_costs_nothing_that_cannot_be_made_again() {
    let (site, issuer, artifact) = prepared().await;
    let (key, subject) = (site.receipt_key(), sha256(&artifact));
    let mut server = Server::start_dying(&site, "during-export");
    // Genesis, issuer and these: the tile of the first 256 is due somewhere among them.
    let statements: Vec<_> = (0..300).map(|number| note(&issuer, &subject, number)).collect();
    let answers = stream::iter(&statements).map(async |statement| {
        let request = server.request("POST", "/entries").header("content-type", "application/cose");
        (statement, request.body(statement.clone()).try_answer().await)
    });
    let answers: Vec<_> = answers.buffer_unordered(64).collect().await;
    server.died().await;
    let answered: Vec<_> =
        answers.into_iter().filter_map(|(statement, answer)| Some((statement, answer?.expecting(201).body))).collect();
    assert!(answered.len() >= 100, "only {} were answered", answered.len());

    let server = Server::start(&site);
    for (statement, receipt) in &answered {
        let again = server.register(statement).await.expecting(201);
        assert_eq!(again.body, *receipt);
        again.receipt(statement, &key);
    }
    for statement in &statements {
        server.register(statement).await.expecting(201).receipt(statement, &key);
    }
    server.stop().await;
    let report = site.fsck_clean();
    assert_eq!((report.entries, report.tiles), (302, 1));
}

async fn dies_and_recovers(point: &str) {
    let (site, issuer, artifact) = prepared().await;
    let (key, subject) = (site.receipt_key(), sha256(&artifact));
    let server = Server::start(&site);
    let before = note(&issuer, &subject, 0);
    let receipt = server.repository(CLAIMS).claim(&before).await.expecting(201).body;
    server.stop().await;

    let mut server = Server::start_dying(&site, point);
    let pushed = server.repository("pushed").push_image("before-the-crash", 7).await;
    let statements: Vec<_> = (1..9).map(|number| note(&issuer, &subject, number)).collect();
    let path = server.repository(CLAIMS).path("_scitt/ledger/entries");
    let posts = statements.iter().map(|statement| {
        let post = server.request("POST", &path).header("content-type", "application/cose");
        post.body(statement.clone()).try_answer()
    });
    let answers = join_all(posts).await;
    assert!(answers.iter().all(Option::is_none), "nobody is answered before the release");
    server.died().await;

    let server = Server::start(&site);
    let claims = server.repository(CLAIMS);
    assert_eq!(server.repository("pushed").manifest("before-the-crash").await, pushed);
    let again = claims.claim(&before).await.expecting(201);
    assert_eq!(again.body, receipt, "what was answered stays");
    again.receipt(&before, &key);
    for statement in &statements {
        let retried = claims.claim(statement).await.expecting(201);
        let receipt = retried.receipt(statement, &key);
        assert!(receipt.tree_size() > receipt.index());
        assert_eq!(claims.claim(statement).await.expecting(201).body, retried.body);
    }
    assert_eq!(claims.referrers(&subject).await.len(), 9, "each claim stands there once");
    server.stop().await;
    let report = site.fsck_clean();
    assert_eq!(report.entries, 2 + 9, "genesis, issuer, and each statement once");
}

fn note(issuer: &Issuer, subject: &Digest, number: usize) -> Vec<u8> {
    issuer.about(subject, "application/vnd.example.note", format!("note {number}").as_bytes())
}
