//! `/entries` and its twin below a repository: a receipt in the same call, the same one for ever, fresh ones on request.

use docket_proof::statement::{SignedStatement, transparent};
use futures_util::future::join_all;

use crate::harness::{Ask as _, EMPTY_DIGEST, SERVICE, Server, Site, sha256};

#[tokio::test]
async fn a_statement_is_answered_with_its_location_and_a_receipt_that_verifies() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let artifact = EMPTY_DIGEST.parse().expect("a digest");
    let statement = issuer.about(&artifact, "text/plain", b"looks good");
    let registered = server.register(&statement).await.expecting(201);
    let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
    assert_eq!(registered.location(), format!("/entries/{entry}"));
    let receipt = registered.receipt(&statement, &site.receipt_key());
    assert_eq!((receipt.issuer().as_str(), receipt.log()), (SERVICE, "registry.wabbit.example/log"));
    assert_eq!((receipt.index(), receipt.tree_size()), (2, 3), "after genesis and issuer");
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn the_same_statement_again_has_the_same_location_and_receipt() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let artifact = EMPTY_DIGEST.parse().expect("a digest");
    let statement = issuer.about(&artifact, "text/plain", b"once");
    let first = server.register(&statement).await.expecting(201);
    server.register(&issuer.about(&artifact, "text/plain", b"something else")).await.expecting(201);
    // What stands in the unprotected header is not part of the entry.
    let with_receipt = transparent(&statement, &[&first.body]).expect("one receipt");
    for repeated in [&statement, &with_receipt] {
        let again = server.register(repeated).await.expecting(201);
        assert_eq!((again.location(), &again.body), (first.location(), &first.body));
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_statement_from_many_clients_at_once_is_one_entry() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let image = server.repository("a").push_image("v1", 1).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"all together");
    let repository = server.repository("a");
    let placed = join_all((0..16).map(|_| repository.claim(&statement))).await;
    let logged = join_all((0..16).map(|_| server.register(&statement))).await;
    for answer in placed.iter().chain(&logged) {
        assert_eq!((answer.status, &answer.body), (201, &placed[0].body));
    }
    assert_eq!(repository.referrers(&sha256(&image)).await.len(), 1);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn an_entry_gives_a_fresh_receipt_at_the_newest_tree() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let key = site.receipt_key();
    let artifact = EMPTY_DIGEST.parse().expect("a digest");
    let statement = issuer.about(&artifact, "text/plain", b"first");
    let registered = server.register(&statement).await.expecting(201);
    let path = registered.location();
    let mut size = registered.receipt(&statement, &key).tree_size();
    // Past the width of a tile, so that paths come from full and from partial ones.
    for batch in 0..4_u32 {
        let posts = (0..80_u32).map(|number| {
            let statement = issuer.about(&artifact, "text/plain", format!("note {batch} {number}").as_bytes());
            let server = &server;
            async move { server.register(&statement).await.expecting(201) }
        });
        join_all(posts).await;
        let fresh = server.request("GET", &path).expect(200).await;
        assert_eq!((fresh.location(), fresh.header("cache-control")), (path.clone(), Some("no-store")));
        let receipt = fresh.receipt(&statement, &key);
        assert_eq!((receipt.index(), receipt.tree_size()), (2, size + 80));
        size = receipt.tree_size();
    }
    server.stop().await;
    let server = Server::start(&site);
    let fresh = server.request("GET", &path).expect(200).await;
    assert_eq!(fresh.receipt(&statement, &key).tree_size(), size);
    server.stop().await;
    let report = site.fsck_clean();
    assert_eq!((report.entries, report.tiles), (323, 1));
}

#[tokio::test]
async fn an_entry_is_found_below_its_repository_too() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"looks good");
    let registered = repository.claim(&statement).await.expecting(201);
    let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
    assert_eq!(registered.location(), repository.path(&format!("_scitt/ledger/entries/{entry}")));
    for path in [registered.location(), format!("/entries/{entry}")] {
        let fresh = server.request("GET", &path).expect(200).await;
        assert_eq!(fresh.location(), path);
        fresh.receipt(&statement, &site.receipt_key());
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_stream_is_logged_where_nothing_is_placed() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    repository.push_image("v1", 1).await;
    let statement = issuer.about_stream("net-monitor", "text/plain", b"moved on");
    server.register(&statement).await.expecting(201).receipt(&statement, &site.receipt_key());
    let (title, detail) = repository.claim(&statement).await.expecting(400).problem();
    assert_eq!(title, "Wrong Place");
    assert!(detail.contains("names no artifact digest"), "{detail}");
    server.stop().await;
    site.fsck_clean();
}
