//! `docket log`: what a monitor and an auditor see, who believe nothing that they did not check.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use docket_proof::log_policy::LogPolicy;

use super::register;
use crate::harness::{Ask as _, Issuer, Server, Shell, Site, docket_under};

/// A site with an issuer, a server on it, and a monitor's folder with a policy in it.
fn watched() -> (Site, Issuer, Server, Shell) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let shell = Shell::new(site.folder());
    shell.write("policy.txt", format!("log {}\nquorum none\n", site.log_key()));
    (site, issuer, server, shell)
}

fn watch_once(server: &Server) -> String {
    format!("log watch {} --policy policy.txt --state state --once", server.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_checkpoint_is_a_line() {
    let (_site, issuer, server, shell) = watched();
    let first = shell.docket(&watch_once(&server)).expect(0);
    assert!(first.out.starts_with("registry.wabbit.example/log  2  "), "{}", first.out);
    // Nothing new, nothing said.
    assert_eq!(shell.docket(&watch_once(&server)).expect(0).out, "");
    register(&server, &issuer, 0..3).await;
    let next = shell.docket(&watch_once(&server)).expect(0);
    assert!(next.out.starts_with("registry.wabbit.example/log  5  "), "{}", next.out);
    let shown = shell.docket(&format!("log checkpoint {} --policy policy.txt", server.address())).expect(0);
    assert_eq!(shown.out, std::fs::read_to_string(shell.path("state")).expect("the state"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_follows_the_log() {
    let (_site, issuer, server, shell) = watched();
    let mut command = docket_under(&[]);
    command.args(["log", "watch", server.address(), "--policy", "policy.txt", "--state", "state"]);
    let mut watching = command.current_dir(shell.path("")).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(watching.stdout.take().expect("stdout is piped")).lines();
    let mut size = || {
        let line = lines.next().expect("it goes on").expect("text");
        line.split("  ").nth(1).and_then(|size| size.parse::<u64>().ok()).expect("a size")
    };
    assert_eq!(size(), 2);
    register(&server, &issuer, 0..1).await;
    assert_eq!(size(), 3);
    register(&server, &issuer, 1..2).await;
    assert_eq!(size(), 4);
    watching.kill().expect("our own child");
    watching.wait().expect("our own child");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_forked_is_noticed_and_the_evidence_kept() {
    let (site, issuer, server, shell) = watched();
    server.stop().await;
    // The operator serves two histories: to one of them the monitor listened first.
    let twin = site.copy();
    let (one, other) = (Server::start(&site), Server::start(&twin));
    register(&one, &issuer, 0..2).await;
    register(&other, &issuer, 5..9).await;
    shell.docket(&watch_once(&one)).expect(0);
    let before = std::fs::read(shell.path("state")).expect("the state");
    shell.docket(&watch_once(&other)).fails(1, &["its tree of 6 entries does not continue its tree of 4", "evidence"]);
    let policy = LogPolicy::parse(&format!("log {}\nquorum none\n", site.log_key())).expect("a policy");
    for (file, size) in [("state.before", 4), ("state.after", 6)] {
        let kept = policy.check(&std::fs::read(shell.path(file)).expect("evidence")).expect("signed by the log");
        assert_eq!(kept.checkpoint.checkpoint().size(), size);
    }
    // What was believed stays what is believed.
    assert_eq!(std::fs::read(shell.path("state")).expect("the state"), before);
    // Two trees of one size need no proof to contradict each other.
    register(&one, &issuer, 2..4).await;
    shell.docket(&watch_once(&one)).expect(0);
    shell.docket(&watch_once(&other)).fails(1, &["it has two different trees of 6 entries"]);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_went_back_is_noticed() {
    let (site, issuer, server, shell) = watched();
    server.stop().await;
    let older = site.copy();
    let server = Server::start(&site);
    register(&server, &issuer, 0..2).await;
    shell.docket(&watch_once(&server)).expect(0);
    server.stop().await;
    let server = Server::start(&older);
    shell.docket(&watch_once(&server)).fails(1, &["it went back from 4 entries to 2"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_policy_does_not_allow_is_not_believed() {
    let (site, _issuer, server, shell) = watched();
    let other = Site::new().log_key();
    shell.write("policy.txt", format!("log {other}\nquorum none\n"));
    shell.docket(&watch_once(&server)).fails(1, &["no log of the policy has signed this checkpoint"]);
    let witness = crate::harness::Witness::start("witness.example/w", site.log_key());
    shell.write("policy.txt", format!("log {}\n{}quorum w\n", site.log_key(), witness.line("w")));
    shell.docket(&watch_once(&server)).fails(1, &["the witnesses that cosigned (none) are no quorum"]);
    assert!(!shell.path("state").exists());
    shell.write("policy.txt", "log nothing\n");
    shell.docket(&watch_once(&server)).fails(1, &["policy line 1"]);
    shell.write("policy.txt", format!("log {}\nquorum none\n", site.log_key()));
    shell.write("state", "no checkpoint\n");
    shell.docket(&watch_once(&server)).fails(1, &["state: a note is a text"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_logging_is_checked_without_the_service() {
    let (site, issuer, server, shell) = watched();
    for (name, text) in [("one", "1"), ("two", "2")] {
        let statement = issuer.about_stream("net-monitor", "text/plain", text.as_bytes());
        let location = server.register(&statement).await.expecting(201).location();
        let id = location.rsplit('/').next().expect("an id").to_owned();
        let proof = shell.docket(&format!("log proof {} {id}", server.address())).expect(0);
        shell.write(&format!("{name}.tlog-proof"), proof.out);
        shell.write(&format!("{name}.cose"), statement);
    }
    let unknown = "0".repeat(64);
    shell.docket(&format!("log proof {} {unknown}", server.address())).fails(1, &["404"]);
    server.stop().await;
    let check = |proof: &str, statement: &str| {
        shell.docket(&format!("log check {proof}.tlog-proof --statement {statement}.cose --policy policy.txt"))
    };
    assert!(check("one", "one").expect(0).out.starts_with("logged  entry #2  in registry.wabbit.example/log  3  "));
    assert!(check("two", "two").expect(0).out.starts_with("logged  entry #3  in registry.wabbit.example/log  4  "));
    check("one", "two").fails(1, &["the proof is of another entry"]);
    shell.write("junk.tlog-proof", "junk\n\n");
    check("junk", "one").fails(1, &["not a proof of logging"]);
    shell.write("junk.cose", "junk");
    check("one", "junk").fails(1, &["is no statement"]);
    shell.write("policy.txt", format!("log {}\nquorum none\n", Site::new().log_key()));
    check("one", "one").fails(1, &["no log of the policy has signed"]);
    drop(site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_consistency_is_checked_without_the_service() {
    let (site, issuer, server, shell) = watched();
    let fingerprint = site.receipt_key().thumbprint();
    let pinned = shell.docket(&format!("trust pin http://{} --fingerprint {fingerprint}", server.address())).expect(0);
    shell.write("trust.toml", pinned.out);
    let keep = |server: &Server, name: &str| {
        let shown = shell.docket(&format!("log checkpoint {} --policy policy.txt", server.address())).expect(0);
        shell.write(name, shown.out);
    };
    keep(&server, "two");
    server.stop().await;
    // Two histories from there on.
    let (twin, server) = (site.copy(), Server::start(&site));
    register(&server, &issuer, 0..2).await;
    keep(&server, "four");
    register(&server, &issuer, 2..5).await;
    let proof = |server: &Server, more: &str| shell.docket(&format!("log proof {} {more}", server.address()));
    proof(&server, "--from 2 --out two.receipt").expect(0).says(&["goes from 2 entries to 7"]);
    proof(&server, "--from 4 --to 6 --out four.receipt").expect(0).says(&["goes from 4 entries to 6"]);
    proof(&server, "--from 7 --out none.receipt").fails(1, &["404", "not from 7 to 7"]);
    assert!(!shell.path("none.receipt").exists());
    server.stop().await;
    let server = Server::start(&twin);
    register(&server, &issuer, 7..12).await;
    proof(&server, "--from 4 --out twin.receipt").expect(0);
    server.stop().await;

    let check = |receipt: &str, since: &str, trust: &str| {
        shell.docket(&format!("log check {receipt} --since {since} --policy policy.txt --trust {trust}"))
    };
    let said = check("two.receipt", "two", "trust.toml").expect(0).out;
    assert!(said.starts_with("continued  registry.wabbit.example/log  2 -> 7  "), "{said}");
    assert!(said.trim_end().ends_with("  by https://registry.wabbit.example"), "{said}");
    check("four.receipt", "four", "trust.toml").expect(0).says(&["4 -> 6"]);
    // What the operator told others is no continuation of what was told to us.
    check("twin.receipt", "four", "trust.toml").fails(1, &["does not prove that the tree grew"]);
    check("two.receipt", "four", "trust.toml").fails(1, &["continues a tree of 2 entries, not one of 4"]);
    let bytes = std::fs::read(shell.path("four.receipt")).expect("the receipt");
    for bit in (0..bytes.len() * 8).step_by(bytes.len() * 8 / 40) {
        shell.write("bent.receipt", crate::verify::flip(&bytes, bit));
        shell.docket("log check bent.receipt --since four --policy policy.txt --trust trust.toml").expect(1);
    }
    shell.write("junk.receipt", "junk");
    check("junk.receipt", "four", "trust.toml").fails(1, &["junk.receipt"]);
    check("four.receipt", "junk.receipt", "trust.toml").fails(1, &["junk.receipt: a note is a text"]);
    // Nobody else's word is taken, for the tree or for the checkpoint.
    let (other, elsewhere) = (Site::new(), Shell::new(site.folder()));
    let server = Server::start(&other);
    let fingerprint = other.receipt_key().thumbprint();
    let pin = format!("trust pin http://{} --fingerprint {fingerprint}", server.address());
    shell.write("other.toml", elsewhere.docket(&pin).expect(0).out);
    server.stop().await;
    check("four.receipt", "four", "other.toml").fails(1, &["is trusted"]);
    shell.docket("log check four.receipt --since four --policy policy.txt").fails(64, &["--trust"]);
    shell.docket("log check four.receipt --policy policy.txt").fails(64, &["--statement"]);
    shell.docket("log proof localhost:1 --from 3").fails(64, &["--out"]);
    shell.docket("log proof localhost:1").fails(64, &["<ENTRY>"]);
    shell.write("policy.txt", format!("log {}\nquorum none\n", other.log_key()));
    check("four.receipt", "four", "trust.toml").fails(1, &["no log of the policy has signed"]);
}

/// Runs the independent script on a checkpoint that was kept: whether it is content, and what it says.
fn grew(shell: &Shell, key: &str, server: &Server, kept: &str) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/check-history");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).args([key, &server.url(""), kept]).env("no_proxy", "*");
    let output = command.current_dir(shell.path("")).output().expect("python3 runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("Traceback"), "{said}");
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_log_grew_is_checked_from_its_tiles_without_docket() {
    let (site, issuer, server, shell) = watched();
    let key = site.log_key().to_string();
    let keep = async |server: &Server, name: &str| {
        shell.write(name, server.request("GET", "/log/checkpoint").expect(200).await.body);
    };
    // Older trees that are one node, several, a tile and more than that; a newer one of two full tiles and a part.
    let mut size = 2;
    for next in [3, 4, 7, 256, 257, 260, 515] {
        register(&server, &issuer, size..next).await;
        keep(&server, &next.to_string()).await;
        size = next;
    }
    for old in [3, 4, 7, 256, 257, 260, 515] {
        let said = grew(&shell, &key, &server, &old.to_string());
        assert_eq!(said, (true, format!("{old} entries are the beginning of 515\n")));
    }
    let noticed = |server: &Server, kept: &str, words: &str| {
        let (content, said) = grew(&shell, &key, server, kept);
        assert!(!content && said.contains(words), "{words:?} is missing from: {said}");
    };
    let other = Site::new().log_key().to_string();
    assert_eq!(grew(&shell, &other, &server, "7"), (false, "the log did not sign the checkpoint\n".to_owned()));
    let text = std::fs::read_to_string(shell.path("7")).expect("a checkpoint");
    shell.write("bent", text.replacen("\n7\n", "\n6\n", 1));
    noticed(&server, "bent", "the log did not sign the checkpoint");
    server.stop().await;

    // Two histories from 515 on, and whoever keeps the checkpoint of the one is shown the other.
    let twin = site.copy();
    let server = Server::start(&site);
    register(&server, &issuer, 515..518).await;
    keep(&server, "518").await;
    server.stop().await;
    let server = Server::start(&twin);
    noticed(&server, "518", "the log went back from 518 entries to 515");
    register(&server, &issuer, 600..605).await;
    noticed(&server, "518", "the first 518 entries are not those that were kept");
    server.stop().await;

    // An operator who edits a tile convinces nobody of either tree.
    let tile = twin.data().join("tiles/tile/0/000");
    let mut hashes = std::fs::read(&tile).expect("a full tile");
    hashes[40] ^= 1;
    std::fs::write(&tile, hashes).expect("edited");
    let server = Server::start(&twin);
    noticed(&server, "260", "the first 260 entries are not those that were kept");
    noticed(&server, "515", "the first 515 entries are not those that were kept");
    server.stop().await;
}
