//! A log whose checkpoints are cosigned: by witnesses that are honest, away, hostile, or ahead.

use std::path::PathBuf;

use docket_proof::log_policy::{LogPolicy, Witnessed};
use sqlx::Connection as _;

use super::{checkpoint, register};
use crate::harness::{Ask as _, Issuer, Mood, Server, Shell, Site, Witness};

/// Writes a policy and starts a server with it.
fn start(site: &Site, policy: &str) -> Server {
    try_start(site, policy).unwrap_or_else(|log| panic!("the server did not start: {log}"))
}

fn try_start(site: &Site, policy: &str) -> Result<Server, String> {
    std::fs::write(policy_path(site), policy).expect("the policy is written");
    let path = policy_path(site);
    let settings =
        [("DOCKET_WITNESS__POLICY", path.to_str().expect("a plain path")), ("DOCKET_WITNESS__INTERVAL", "10ms")];
    Server::try_start(site, &settings)
}

/// A policy that asks for one witness.
fn policy_with(site: &Site, witness: &Witness) -> String {
    format!("log {}\n{}quorum w\n", site.log_key(), witness.line("w"))
}

fn policy_path(site: &Site) -> PathBuf {
    site.folder().join("policy.txt")
}

/// The published checkpoint, once it has reached a size; it satisfies the policy that the server has.
async fn published(site: &Site, server: &Server, size: u64) -> Witnessed {
    let policy = std::fs::read_to_string(policy_path(site)).expect("the policy");
    let policy = LogPolicy::parse(&policy).expect("a policy");
    let mut known = 0;
    loop {
        let path = format!("/api/v1/log/watch?size={known}&wait_s=30");
        let answer = server.request("GET", &path).expect(200).await;
        let witnessed = policy.check(&answer.body).expect("it satisfies the policy");
        known = witnessed.checkpoint.checkpoint().size();
        if known >= size {
            return witnessed;
        }
    }
}

#[tokio::test]
async fn a_checkpoint_is_published_once_a_quorum_has_cosigned_it() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let witnesses = ["a", "b", "c"].map(|name| Witness::start(&format!("witness.example/{name}"), site.log_key()));
    let [a, b, c] = &witnesses;
    c.becomes(Mood::Silent);
    let policy =
        format!("log {}\n{}{}{}group two 2 a b c\nquorum two\n", site.log_key(), a.line("a"), b.line("b"), c.line("c"));
    let server = start(&site, &policy);
    register(&server, &issuer, 0..5).await;
    let seen = published(&site, &server, 7).await;
    let names: Vec<_> = seen.witnesses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["witness.example/a", "witness.example/b"]);
    assert_eq!((a.size(), b.size(), c.size()), (7, 7, 0));
    let metrics = server.watch("/metrics").expect(200).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "docket_log_published_entries 7",
        "docket_log_cosigned_entries{witness=\"witness.example/a\"} 7",
        "docket_log_cosigned_entries{witness=\"witness.example/c\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    server.kill9().await;

    // It is still published when all witnesses are away, and cosignatures are kept as they came.
    drop(witnesses);
    let server = start(&site, &policy);
    let again = server.request("GET", "/log/checkpoint").expect(200).await;
    assert_eq!(again.body, seen.checkpoint.to_string().as_bytes());
    register(&server, &issuer, 5..6).await;
    assert_eq!(checkpoint(&server).await.size(), 7);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn receipts_do_not_wait_for_witnesses() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let witness = Witness::start("witness.example/w", site.log_key());
    witness.becomes(Mood::Says(403, "text/plain", "not today\n".to_owned()));
    let server = start(&site, &policy_with(&site, &witness));
    let statement = issuer.about_stream("net-monitor", "text/plain", b"statement");
    let registered = server.register(&statement).await.expecting(201);
    registered.receipt(&statement, &site.receipt_key());
    let id = registered.location().rsplit('/').next().expect("an id").to_owned();
    let proof = format!("/api/v1/log/proof?entry={id}");
    for path in ["/log/checkpoint", &proof, "/api/v1/log/consistency?from=1"] {
        let refused = server.request("GET", path).expect(503).await;
        assert_eq!(refused.header("retry-after"), Some("1"), "{path}");
    }
    // The tree is there for all to see.
    server.request("GET", "/log/tile/0/000.p/3").expect(200).await;
    assert!(server.logged("it refuses: 403 not today").await.contains("witness.example/w"));
    witness.becomes(Mood::Honest);
    published(&site, &server, 3).await;
    server.request("GET", &proof).expect(200).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_witness_that_knows_an_older_tree_is_asked_from_there() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    register(&server, &issuer, 0..3).await;
    let older = checkpoint(&server).await;
    register(&server, &issuer, 3..6).await;
    server.stop().await;
    let witness = Witness::start("witness.example/w", site.log_key());
    witness.knows(&older);
    let server = start(&site, &policy_with(&site, &witness));
    published(&site, &server, 8).await;
    assert_eq!(witness.asked_from(), [0, 5]);
    server.stop().await;
    // Known by now, it is asked once, about the tree that it has cosigned already.
    let server = start(&site, &policy_with(&site, &witness));
    assert_eq!(witness.asked_from(), [0, 5, 8]);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn answers_that_are_no_cosignature_change_nothing() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let witness = Witness::start("witness.example/w", site.log_key());
    let server = start(&site, &policy_with(&site, &witness));
    let mut before = published(&site, &server, 2).await.checkpoint.to_string();
    let says = |status, content_type, body: &str| Mood::Says(status, content_type, body.to_owned());
    let moods = [
        Mood::Impostor,
        Mood::Absent,
        says(200, "text/plain", ""),
        says(200, "text/plain", "no signature\n"),
        says(200, "text/plain", "\u{2014} witness.example/w AAAA\n"),
        says(200, "text/plain", &"x".repeat(100_000)),
        says(200, "text/plain", "\u{2014} witness.example/w"),
        says(204, "text/plain", ""),
        says(302, "text/plain", ""),
        says(400, "text/plain", "no\n"),
        says(403, "text/plain", "no\u{1b}[2J\n"),
        says(404, "text/plain", ""),
        says(409, "text/plain", "1\n"),
        says(409, "text/x.tlog.size", "1"),
        says(409, "text/x.tlog.size", "-1\n"),
        says(409, "text/x.tlog.size", "99999999999999999999999\n"),
        // A size that it cannot have, and one that it cannot keep to.
        says(409, "text/x.tlog.size", "18446744073709551615\n"),
        says(409, "text/x.tlog.size", "1\n"),
        says(422, "text/plain", "no\n"),
        says(500, "text/plain", "no\n"),
    ];
    for (number, mood) in (0..).zip(moods) {
        witness.becomes(mood.clone());
        register(&server, &issuer, number..number + 1).await;
        witness.asked(2).await;
        let now = server.request("GET", "/log/checkpoint").expect(200).await;
        assert_eq!(now.body, before.as_bytes(), "{mood:?}");
        // In between it keeps to the spec, so that no pause gets long.
        witness.becomes(Mood::Honest);
        before = published(&site, &server, 3 + u64::from(number)).await.checkpoint.to_string();
    }
    let log = server.log();
    assert!(!log.contains('\u{1b}'), "{log}");
    server.stop().await;
    site.fsck_clean();
}

/// A folder as it was at two entries, and a witness that has cosigned five.
async fn rolled_back() -> (Site, Issuer, Witness, String) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let witness = Witness::start("witness.example/w", site.log_key());
    let policy = policy_with(&site, &witness);
    let older = site.copy();
    let server = start(&site, &policy);
    register(&server, &issuer, 0..3).await;
    published(&site, &server, 5).await;
    server.stop().await;
    (older, issuer, witness, policy)
}

#[tokio::test]
async fn a_folder_that_was_rolled_back_whole_signs_nothing() {
    let (older, issuer, witness, policy) = rolled_back().await;

    // Database, guard, keys: all of it is of yesterday.
    let server = start(&older, &policy);
    assert!(server.log().contains("the whole data folder was rolled back"), "{}", server.log());
    let statement = issuer.about_stream("net-monitor", "text/plain", b"another");
    let refused = server.register(&statement).await.expecting(503);
    assert!(refused.problem().1.contains("has cosigned 5 entries, the database holds 2"), "{:?}", refused.problem());
    // Nothing else is in the way.
    server.repository("pushed").push_image("v1", 1).await;
    server.stop().await;
    assert_eq!(witness.size(), 5);
    older.fsck_clean();
}

#[tokio::test]
async fn a_witness_that_comes_late_still_tells_of_a_rollback() {
    let (older, issuer, witness, policy) = rolled_back().await;

    witness.becomes(Mood::Silent);
    let server = start(&older, &policy);
    assert!(server.log().contains("it did not answer within 5 s"), "{}", server.log());
    // Signed while nobody could know better; the first answer stops the ledger.
    register(&server, &issuer, 7..8).await;
    witness.becomes(Mood::Honest);
    assert!(server.logged("rolled back").await.contains("the database holds 3"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_is_compared_with_what_witnesses_and_monitors_know() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let witness = Witness::start("witness.example/w", site.log_key());
    let shell = Shell::new(site.folder());
    let policy = policy_with(&site, &witness);
    let mut saved = Vec::new();
    for (backup, numbers) in [("old", 0..2), ("new", 2..4)] {
        let server = start(&site, &policy);
        register(&server, &issuer, numbers.clone()).await;
        let reached = published(&site, &server, u64::from(numbers.end) + 2).await;
        saved.push(reached.checkpoint.to_string());
        server.stop().await;
        shell.docket(&format!("backup create --data data --out {backup}")).expect(0);
        shell.docket(&format!("backup restore --from {backup} --data {backup}-copy/data")).expect(0);
    }
    shell.write("old.checkpoint", &saved[0]);
    shell.write("new.checkpoint", &saved[1]);
    shell.write("other.checkpoint", saved[1].replace("registry.wabbit", "registry.other"));
    let recover = |copy: &str, evidence: &str| shell.docket(&format!("recover --data {copy}-copy/data {evidence}"));

    recover("old", "--witnesses policy.txt").fails(1, &["witness.example/w is ahead", "6 entries, and there are 4"]);
    recover("old", "--checkpoint new.checkpoint").fails(1, &["speaks of 6 entries, the copy holds 4"]);
    recover("old", "--checkpoint other.checkpoint").fails(1, &["the evidence is no checkpoint of this log"]);
    recover("old", "--checkpoint policy.txt").fails(1, &["the evidence is no checkpoint of this log"]);
    witness.becomes(Mood::Impostor);
    recover("new", "--witnesses policy.txt").fails(1, &["no quorum of the witnesses confirms the copy"]);
    witness.becomes(Mood::Says(500, "text/plain", "no\n".to_owned()));
    recover("new", "--witnesses policy.txt").fails(1, &["witness.example/w: it refuses: 500 no"]);
    witness.becomes(Mood::Honest);
    let said = recover("new", "--witnesses policy.txt").expect(0);
    assert_eq!(said.out, "recovered  6 entries, the evidence speaks of 6\n");
    assert_eq!(witness.size(), 6);

    // A checkpoint of the copy's own time is evidence too, of that time.
    let said = recover("old", "--checkpoint old.checkpoint").expect(0);
    assert!(said.err.contains("tells of its own time only"), "{}", said.err);
    // Wrong as it was, the witnesses still stop it.
    let mistaken = Site::at(site.folder().join("old-copy"));
    let server = start(&mistaken, &policy);
    assert!(server.log().contains("rolled back"), "{}", server.log());
    server.stop().await;
}

#[tokio::test]
async fn what_witnesses_said_is_proved_again() {
    let site = Site::new();
    let witness = Witness::start("witness.example/w", site.log_key());
    let server = start(&site, &policy_with(&site, &witness));
    published(&site, &server, 1).await;
    let ready = server.watch("/readyz").expect(200).await.json();
    let check = |ready: &serde_json::Value| {
        let checks = ready["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == "witnesses").expect("witnesses").clone()
    };
    assert_eq!(check(&ready), serde_json::json!({ "name": "witnesses" }));
    server.stop().await;
    site.fsck_clean();
    let database = format!("sqlite://{}", site.data().join("docket.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&database).await.expect("opened");
    sqlx::query("UPDATE cosignature SET line = replace(line, 'A', 'B')")
        .execute(&mut connection)
        .await
        .expect("edited");
    connection.close().await.expect("closed");
    let problems = site.fsck().problems;
    assert!(problems.iter().any(|problem| problem.contains("did not cosign the tree of size 1")), "{problems:?}");
    // Another key signs for nobody.
    std::fs::copy(Site::new().data().join("keys/checkpoint.key"), site.data().join("keys/checkpoint.key"))
        .expect("copied");
    let problems = site.fsck().problems;
    assert!(problems.iter().any(|problem| problem.contains("checkpoint key is not the one")), "{problems:?}");
}

#[tokio::test]
async fn a_policy_that_cannot_be_kept_is_refused_at_the_start() {
    let site = Site::new();
    let witness = Witness::start("witness.example/w", site.log_key());
    let line = witness.line("w");
    let without_url = line.rsplit_once(' ').expect("a URL").0;
    let other = Site::new().log_key();
    for (policy, words) in [
        (format!("{without_url}\nquorum w\n"), "there is no URL behind the key of witness.example/w"),
        (format!("{}\nquorum w\n", line.trim().replace("http:", "ftp:")), "is no place of a witness"),
        (format!("log {other}\n{line}quorum w\n"), "names other logs than this one"),
        (format!("{line}quorum v\n"), "policy line 2: \"v\" is not defined in an earlier line"),
        (line.clone(), "policy has no quorum line"),
    ] {
        let log = try_start(&site, &policy).err().unwrap_or_else(|| panic!("it started with {policy}"));
        assert!(log.contains(words), "{words} in {log}");
    }
    site.fsck_clean();
}
