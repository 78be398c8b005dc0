//! The public log as monitors, auditors and witnesses see it, against a running server.

mod monitor;
mod witnesses;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use docket_proof::log_policy::LogPolicy;
use docket_proof::log_proof::LogProof;
use docket_proof::merkle::{Frontier, Hash, leaf_hash, verify_consistency};
use docket_proof::note::NoteKey;
use docket_proof::receipt::ConsistencyReceipt;
use docket_proof::statement::SignedStatement;
use docket_proof::tile::{Tile, TileId, decode_bundle};

use futures_util::future::join_all;

use crate::harness::{Answer, Ask as _, Guarded, Issuer, Raw, SERVICE, Server, Site};

/// Registers statements that differ in their number.
async fn register(server: &Server, issuer: &Issuer, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let statement = issuer.about_stream("net-monitor", "text/plain", number.to_string().as_bytes());
        server.register(&statement).await.expecting(201);
    }
}

/// The key that the service names as its log's.
async fn log_key(server: &Server) -> NoteKey {
    let service = server.request("GET", "/api/v1/service").expect(200).await.json();
    service["log_key"].as_str().expect("a key").parse().expect("a verifier key")
}

/// The published checkpoint, its signature checked.
async fn checkpoint(server: &Server) -> Checkpoint {
    let answer = server.request("GET", "/log/checkpoint").expect(200).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=1"));
    let signed = SignedCheckpoint::open(&answer.body, &log_key(server).await).expect("the log's own");
    signed.checkpoint().clone()
}

async fn hashes(server: &Server, path: &str) -> Vec<Hash> {
    let answer = server.request("GET", &format!("/log/{path}")).expect(200).await;
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let (hashes, rest) = answer.body.as_chunks::<32>();
    assert!(rest.is_empty(), "{path}");
    hashes.to_vec()
}

async fn consistency(server: &Server, from: u64, to: u64) -> Vec<Hash> {
    let path = format!("/api/v1/log/consistency?from={from}&to={to}");
    let answer = server.request("GET", &path).expect(200).await;
    let hash = |hash: String| STANDARD.decode(hash).expect("base64").try_into().expect("32 bytes");
    answer.strings("path").into_iter().map(hash).collect()
}

#[tokio::test]
async fn tiles_and_bundles_lead_to_the_checkpoint() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    register(&server, &issuer, 0..260).await;
    let newest = checkpoint(&server).await;
    assert_eq!((newest.origin(), newest.size()), ("registry.wabbit.example/log", 262));
    let full = hashes(&server, "tile/0/000").await;
    let leaves = [full.clone(), hashes(&server, "tile/0/001.p/6").await].concat();
    assert_eq!(leaves.len(), 262);
    let tree = Frontier::new().append(&leaves);
    assert_eq!(&tree.root, newest.root());
    assert_eq!(hashes(&server, "tile/1/000.p/1").await, [Tile::new(full.clone()).root().expect("256 hashes")]);
    // Narrower than it is by now, as a checkpoint of its time needed it.
    assert_eq!(hashes(&server, "tile/0/000.p/5").await, leaves[..5]);
    assert_eq!(hashes(&server, "tile/0/001.p/2").await, leaves[256..258]);
    let mut seen = Vec::new();
    for path in ["tile/entries/000", "tile/entries/001.p/6"] {
        let answer = server.request("GET", &format!("/log/{path}")).expect(200).await;
        assert_eq!(answer.header("cache-control"), Some("private, max-age=31536000, immutable"));
        let entries = decode_bundle(&answer.body).expect("a bundle");
        seen.extend(entries.into_iter().map(leaf_hash));
    }
    assert_eq!(seen, leaves);
    // What stands in the data folder as files is what was served.
    server.stop().await;
    assert_eq!(site.fsck_clean().tiles, 1);
    assert_eq!(std::fs::read(site.data().join("tiles/tile/0/000")).expect("the full tile"), full.concat());
}

#[tokio::test]
async fn what_is_no_tile_of_the_log_is_not_found() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    register(&server, &issuer, 0..3).await;
    for path in [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000/000",
        "0/x000",
        "00/000",
        "64/000",
        "-1/000",
        "0/000",
        "0/000.p/0",
        "0/000.p/6",
        "0/000.p/05",
        "0/000.p/256",
        "0/000.p/",
        "0/000.p",
        "0/000.p/5/",
        "0/001",
        "0/001.p/1",
        "1/000.p/1",
        "7/000.p/1",
        "8/000.p/1",
        "63/000.p/1",
        "0/x999/x999/x999/x999/x999/x999/999",
        "entries/",
        "entries/000",
        "entries/000.p/6",
        "entries/001.p/1",
        "entries/x000/000.p/5",
        "entries/0/000.p/5",
        "0/..%2f000.p/5",
        "0/000%2ep/5",
        "0/../0/000.p/5",
        "../tile/0/000.p/5",
        "%30/000.p/5",
        "0/000.p/5%00",
        "0//000.p/5",
        "0/000.p/+5",
        "0/٠٠٠.p/5",
    ] {
        let answer = Raw::new(format!("GET /log/tile/{path}")).send(&server).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    for path in ["0/000.p/5", "entries/000.p/5"] {
        server.request("GET", &format!("/log/tile/{path}")).expect(200).await;
        server.request("POST", &format!("/log/tile/{path}")).expect(405).await;
    }
    server.request("PUT", "/log/checkpoint").expect(405).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn checkpoints_of_every_time_are_consistent() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let mut known = vec![checkpoint(&server).await];
    for number in 0..9 {
        register(&server, &issuer, number..number + 1).await;
        let newest = checkpoint(&server).await;
        for old in &known {
            let path = consistency(&server, old.size(), newest.size()).await;
            let proved = verify_consistency(old.size(), old.root(), newest.size(), newest.root(), &path);
            assert_eq!(proved, Ok(()), "{} to {}", old.size(), newest.size());
        }
        known.push(newest);
    }
    // Without an end, to what is published.
    let open = server.request("GET", "/api/v1/log/consistency?from=3").expect(200).await.json();
    assert_eq!((open["from"].as_u64(), open["to"].as_u64()), (Some(3), Some(11)));
    for (query, status) in [
        ("from=0&to=5", 404),
        ("from=5&to=5", 404),
        ("from=6&to=5", 404),
        ("from=5&to=12", 404),
        ("from=5&to=18446744073709551615", 404),
        ("to=5", 400),
        ("from=-1&to=5", 400),
        ("from=five&to=5", 400),
        ("from=1&from=2", 400),
        ("from=1&until=2", 400),
    ] {
        server.request("GET", &format!("/api/v1/log/consistency?{query}")).expect(status).await;
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn receipts_of_consistency_lead_from_every_signed_tree_to_every_later_one() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let mut known = vec![checkpoint(&server).await];
    for number in 0..6 {
        register(&server, &issuer, number..number + 1).await;
        known.push(checkpoint(&server).await);
    }
    let key = site.receipt_key();
    let receipt = async |query: &str| {
        let answer = server.request("GET", &format!("/api/v1/log/consistency-receipt?{query}")).expect(200).await;
        assert_eq!(answer.header("content-type"), Some("application/cose"));
        ConsistencyReceipt::decode(&answer.body).expect("a receipt")
    };
    for (at, new) in known.iter().enumerate() {
        for old in &known[..at] {
            let receipt = receipt(&format!("from={}&to={}", old.size(), new.size())).await;
            assert_eq!((receipt.issuer().as_str(), receipt.log()), (SERVICE, new.origin()));
            assert_eq!(receipt.verify(old.size(), old.root(), &key), Ok(*new.root()));
            assert!(receipt.verify(old.size(), new.root(), &key).is_err(), "another tree of that size");
        }
    }
    // Without an end, to the newest; and what is proved is what an inclusion receipt of that tree proves too.
    let statement = issuer.about_stream("net-monitor", "text/plain", b"the newest");
    let newest = server.register(&statement).await.expecting(201).receipt(&statement, &key);
    let entry = SignedStatement::decode(&statement).expect("a statement");
    let open = receipt("from=3").await;
    assert_eq!((open.old_size(), open.tree_size()), (3, 9));
    assert_eq!(open.verify(3, known[1].root(), &key), newest.verify(entry.entry(), &key));
    for (query, status) in [
        ("from=0&to=5", 404),
        ("from=5&to=5", 404),
        ("from=6&to=5", 404),
        ("from=5&to=10", 404),
        ("from=9", 404),
        ("from=18446744073709551615", 404),
        ("to=5", 400),
        ("from=-1&to=5", 400),
        ("from=1&from=2", 400),
        ("from=1&until=2", 400),
    ] {
        server.request("GET", &format!("/api/v1/log/consistency-receipt?{query}")).expect(status).await;
    }
    server.request("POST", "/api/v1/log/consistency-receipt?from=1").expect(405).await;
    server.stop().await;
    site.fsck_clean();
}

/// Who asks for a tree in the middle of a batch is told that nobody signed it.
#[tokio::test]
async fn a_tree_that_ended_no_batch_has_no_receipt() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let statements = (0..40).map(|n: u32| issuer.about_stream("net-monitor", "text/plain", n.to_string().as_bytes()));
    let statements: Vec<_> = statements.collect();
    let answers = join_all(statements.iter().map(|statement| server.register(statement))).await;
    let key = site.receipt_key();
    let signed: BTreeSet<_> = answers
        .iter()
        .zip(&statements)
        .map(|(answer, statement)| answer.receipt(statement, &key).tree_size())
        .collect();
    assert!((1..40).contains(&signed.len()), "some of them shared a batch: {signed:?}");
    for size in 3..42 {
        let status = if signed.contains(&size) { 200 } else { 404 };
        for query in [format!("from=2&to={size}"), format!("from={size}&to=42")] {
            server.request("GET", &format!("/api/v1/log/consistency-receipt?{query}")).expect(status).await;
        }
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_checkpoint_is_the_same_after_a_restart() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    register(&server, &issuer, 0..2).await;
    let before = server.request("GET", "/log/checkpoint").expect(200).await.body;
    server.kill9().await;
    let server = Server::start(&site);
    assert_eq!(server.request("GET", "/log/checkpoint").expect(200).await.body, before);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_answers_when_the_log_has_grown() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let newest = checkpoint(&server).await.size();
    let at_once = server.request("GET", "/api/v1/log/watch?size=0").expect(200).await;
    assert!(SignedCheckpoint::open(&at_once.body, &log_key(&server).await).is_ok());
    server.request("GET", &format!("/api/v1/log/watch?size={newest}&wait_s=0")).expect(204).await;
    let path = format!("/api/v1/log/watch?size={newest}&wait_s=30");
    let waiting = server.request("GET", &path).answer();
    let (answer, ()) = tokio::join!(waiting, register(&server, &issuer, 0..1));
    let seen = SignedCheckpoint::open(&answer.expecting(200).body, &log_key(&server).await).expect("signed");
    assert_eq!(seen.checkpoint().size(), newest + 1);
    // A monitor that knows more than there is learns at once that the log went back.
    let shrunk = server.request("GET", "/api/v1/log/watch?size=99").expect(200).await;
    assert_eq!(shrunk.body, server.request("GET", "/log/checkpoint").expect(200).await.body);
    for query in ["size=x", "wait_s=-1", "since=1"] {
        server.request("GET", &format!("/api/v1/log/watch?{query}")).expect(400).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_proof_of_logging_holds_for_its_entry_alone() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let statements = ["one", "two"].map(|text| issuer.about_stream("net-monitor", "text/plain", text.as_bytes()));
    let mut proofs = Vec::new();
    for statement in &statements {
        let location = server.register(statement).await.expecting(201).location();
        let id = location.rsplit('/').next().expect("an id").to_owned();
        let answer = server.request("GET", &format!("/api/v1/log/proof?entry={id}")).expect(200).await;
        let text = String::from_utf8(answer.body.to_vec()).expect("text");
        proofs.push(text.parse::<LogProof>().expect("a proof"));
    }
    let policy = LogPolicy::of_log(log_key(&server).await);
    let leaf = |statement: &[u8]| leaf_hash(SignedStatement::decode(statement).expect("a statement").entry());
    for (at, proof) in proofs.iter().enumerate() {
        for (other, statement) in statements.iter().enumerate() {
            assert_eq!(proof.verify(&leaf(statement), &policy).is_ok(), at == other);
        }
    }
    let unknown = "0".repeat(64);
    server.request("GET", &format!("/api/v1/log/proof?entry={unknown}")).expect(404).await;
    for query in ["", "?entry=", "?entry=abc", "?id=1"] {
        server.request("GET", &format!("/api/v1/log/proof{query}")).expect(400).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn everyone_sees_the_tree_and_few_the_entries() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let guarded = Guarded::start_on(site, crate::access::RULES);
    let statement = issuer.about_stream("net-monitor", "text/plain", b"nowhere");
    let request = guarded.request("alice", "POST", "/entries").header("content-type", "application/cose");
    let location = request.body(statement).expect(201).await.location();
    let id = location.rsplit('/').next().expect("an id");
    let ask = async |who: &str, path: &str| -> Answer { guarded.request(who, "GET", path).answer().await };
    for who in ["", "bob", "alice"] {
        for path in [
            "/log/checkpoint",
            "/log/tile/0/000.p/3",
            "/api/v1/log/consistency?from=1&to=3",
            "/api/v1/log/consistency-receipt?from=1",
        ] {
            ask(who, path).await.expecting(200);
        }
    }
    let bundle = "/log/tile/entries/000.p/3";
    ask("", bundle).await.expecting(401);
    ask("bob", bundle).await.expecting(403);
    // Whether or not it is there.
    ask("bob", "/log/tile/entries/777").await.expecting(403);
    let entries = ask("alice", bundle).await.expecting(200);
    assert_eq!(decode_bundle(&entries.body).expect("a bundle").len(), 3);
    let proof = format!("/api/v1/log/proof?entry={id}");
    ask("", &proof).await.expecting(401);
    ask("bob", &proof).await.expecting(404);
    ask("alice", &proof).await.expecting(200);
    guarded.server.stop().await;
}

/// The paths of tiles that a tree of a size has beside full ones.
fn partial_tiles(size: u64) -> Vec<String> {
    let tile = |level| {
        let stored = size >> (8 * u32::from(level));
        let width = u8::try_from(stored % 256).expect("a remainder of 256");
        (width > 0).then(|| TileId { level, index: stored / 256 }.path(Some(width)))
    };
    (0..8).filter_map(tile).collect()
}

#[tokio::test]
async fn the_partial_tiles_of_a_checkpoint_stay() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let mut paths = partial_tiles(2);
    for number in 0..5 {
        register(&server, &issuer, number..number + 1).await;
        paths.extend(partial_tiles(checkpoint(&server).await.size()));
        for path in &paths {
            hashes(&server, path).await;
        }
    }
    server.stop().await;
}
