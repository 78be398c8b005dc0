//! Rotation: a key comes into force on the ledger, what the old one signed stays valid, and no crash leaves a service without a key.

use docket_proof::key::{KeyFile, PublicKey};
use docket_proof::receipt::Receipt;
use docket_proof::statement::SignedStatement;
use futures_util::future::join;

use crate::harness::{Answer, Ask as _, EMPTY_DIGEST, Issuer, Server, Shell, Site, said};

#[tokio::test]
async fn receipts_of_a_retired_key_stay_valid_and_new_ones_are_by_the_new_key() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    let old = site.receipt_key();
    let (first, second) = (note(&issuer, 1), note(&issuer, 2));
    let before = server.register(&first).await.expecting(201);
    before.receipt(&first, &old);

    let said = shell.docket("keys rotate receipt --data data").expect(0);
    let new = site.receipt_key();
    assert_ne!(new, old);
    assert!(said.out.starts_with(&format!("receipt  {}  in force  entry #3", new.thumbprint())), "{}", said.out);

    // Published: the new one first, the old one still, each by its name.
    assert_eq!(server.published_keys().await, [new.clone(), old.clone()]);
    for key in [&new, &old] {
        let kid = key.thumbprint().base64url();
        let one = server.request("GET", &format!("/.well-known/scitt-keys/{kid}")).expect(200).await;
        assert_eq!(PublicKey::from_cose_key(&one.body).as_ref(), Ok(key));
    }

    // The first receipt is what it was; a fresh one is by the new key at once, without another entry.
    let again = server.register(&first).await.expecting(201);
    assert_eq!(again.body, before.body);
    assert_eq!(refreshed(&server, &first).await.receipt(&first, &new).tree_size(), 4);
    let after = server.register(&second).await.expecting(201);
    after.receipt(&second, &new);
    // The batch of the key entry itself is the last one under the old key.
    let entry = own_entry(&server, 3).await;
    assert_eq!(Receipt::decode(&entry).map(|receipt| receipt.kid()), Ok(new.thumbprint()), "refreshed");

    server.stop().await;
    let server = Server::start(&site);
    assert_eq!(server.published_keys().await, [new.clone(), old.clone()]);
    assert_eq!(server.register(&first).await.expecting(201).body, before.body);
    refreshed(&server, &first).await.receipt(&first, &new);
    server.stop().await;

    // Twice is not once too often, and without a server it works too.
    shell.docket("keys rotate receipt --data data").expect(0);
    let list = shell.docket("keys list --data data").expect(0).out;
    let states: Vec<_> = list.lines().map(|line| line.split("  ").collect::<Vec<_>>()).collect();
    let named = |role: &str| states.iter().filter(|line| line[0] == role).map(|line| line[2]).collect::<Vec<_>>();
    assert_eq!((named("receipt"), named("statement")), (vec!["retired", "retired", "in force"], vec!["in force"]));
    let server = Server::start(&site);
    let newest = site.receipt_key();
    refreshed(&server, &second).await.receipt(&second, &newest);
    registers(&server, &site, &issuer, 3).await;
    assert_eq!(site.receipt_key(), newest);
    server.stop().await;
    assert_eq!(site.key_files().iter().filter(|name| name.contains("receipt")).count(), 1, "{:?}", site.key_files());
    assert_eq!(site.fsck_clean().entries, 7);
}

#[tokio::test]
async fn a_consumer_pins_both_keys_and_goes_on_believing_what_the_old_one_signed() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    let image = server.repository("a").push_image("v1", 1).await;
    let statement = issuer.about(&crate::harness::sha256(&image), "application/vnd.example.note", b"fine");
    server.repository("a").claim(&statement).await.expecting(201);
    let old = site.receipt_key().thumbprint();
    shell.docket("keys rotate receipt --data data").expect(0);
    let new = site.receipt_key().thumbprint();

    let pin = |keys: &str| shell.docket(&format!("trust pin http://{} {keys}", server.address()));
    let both = pin(&format!("--fingerprint {new} --fingerprint {old}")).expect(0);
    both.clone().says(&[&format!("key {new}  in force, pinned"), &format!("key {old}  retired, pinned")]);
    shell.write("both.toml", &both.out);
    let only_new = pin(&format!("--fingerprint {new}")).expect(0);
    only_new.clone().says(&[&format!("key {old}  retired, not pinned")]);
    shell.write("new.toml", &only_new.out);
    pin(&format!("--fingerprint {new} --fingerprint {}", "0".repeat(64)))
        .fails(1, &["has no key with fingerprint 0000"]);

    // The statement manifest holds the receipt of its time.
    let verify = |trust: &str| shell.docket(&format!("verify {}/a:v1 --trust {trust}", server.address()));
    verify("both.toml").expect(0).says(&["receipt ok"]);
    verify("new.toml").expect(1);
    server.stop().await;
}

#[tokio::test]
async fn what_the_service_itself_says_is_by_its_new_statement_key() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    shell.docket("keys rotate statement --data data").expect(0);
    let acme = Issuer::new("acme");
    shell.write("acme.pub", acme.public_key_file());
    shell.docket("issuer add acme acme.pub --data data").expect(0);
    registers(&server, &site, &acme, 1).await;
    server.stop().await;
    let key = KeyFile::parse(&std::fs::read_to_string(site.data().join("keys/statement.key")).expect("the key"));
    let key = key.expect("a key").key.public().thumbprint().to_string();
    let list = shell.docket("keys list --data data --output json").expect(0).json();
    let in_force = |role: &str| {
        let keys = list.as_array().expect("a list").iter();
        let keys = keys.filter(|key| key["role"] == role && key["retired"] == false);
        keys.map(|key| key["thumbprint"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(in_force("statement"), [key]);
    // Genesis, the key, acme, the note; all by the keys of their time.
    assert_eq!(site.fsck_clean().entries, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_go_on_while_keys_are_replaced() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let load = async {
        let mut answers = Vec::new();
        for number in 0..120 {
            let statement = note(&issuer, number);
            let answer = server.register(&statement).await.expecting(201);
            answers.push((statement, answer));
        }
        answers
    };
    let rotations = async {
        for role in ["receipt", "statement", "receipt"] {
            let rotated = site.rotate(role).await;
            assert!(rotated.status.success(), "{}", said(&rotated));
        }
    };
    let (answers, ()) = join(load, rotations).await;
    let keys = server.published_keys().await;
    assert_eq!(keys.len(), 3);
    for (statement, answer) in answers {
        let kid = Receipt::decode(&answer.body).expect("a receipt").kid();
        let key = keys.iter().find(|key| key.thumbprint() == kid).expect("a key that is published");
        answer.receipt(&statement, key);
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_the_old_key_or_the_new_one() {
    for role in ["receipt", "statement"] {
        // Dead before the commit: the old key, and no trace of the other.
        dies(role, &["before-commit"], false).await;
        for point in ["after-commit", "after-guard", "before-key-install", "after-key-install"] {
            dies(role, &[point], true).await;
        }
        // And again while the next start settles what the first death left.
        dies(role, &["after-commit", "before-key-install"], true).await;
        dies(role, &["before-key-install", "before-key-install", "after-key-install"], true).await;
    }
}

/// A rotation dies at the first point, the starts after it at the others; then all is well.
async fn dies(role: &str, points: &[&str], comes_into_force: bool) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    let read = |name: &str| std::fs::read(site.data().join("keys").join(name)).expect("a key file");
    let file = format!("{role}.key");
    let (old, names) = (read(&file), site.key_files());
    let mut server = Server::start_dying(&site, points[0]);
    shell.docket(&format!("keys rotate {role} --data data")).expect(1);
    server.died().await;
    for point in &points[1..] {
        assert!(Server::try_start(&site, &[("DOCKET_CRASH_AT", point)]).is_err(), "it lived through {points:?}");
    }

    let server = Server::start(&site);
    assert_eq!(site.key_files(), names, "{points:?}");
    assert_eq!(read(&file) != old, comes_into_force, "{role} {points:?}");
    registers(&server, &site, &issuer, 1).await;
    assert_eq!(server.published_keys().await.first(), Some(&site.receipt_key()), "{points:?}");
    shell.docket(&format!("keys rotate {role} --data data")).expect(0);
    registers(&server, &site, &issuer, 2).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_key_that_is_nowhere_is_named_and_an_old_database_is_served_without_it() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    let old_database = std::fs::read(shell.path("data/docket.db")).expect("a database at rest");
    shell.docket("keys rotate receipt --data data").expect(0);
    let new_database = std::fs::read(shell.path("data/docket.db")).expect("a database at rest");
    let new_key = std::fs::read(shell.path("data/keys/receipt.key")).expect("the key");

    // Rolled back: the key of its time is gone, and nothing may be signed anyway; what there is now stays untouched.
    shell.write("data/docket.db", &old_database);
    let server = Server::start(&site);
    assert!(server.log().contains("it was rolled back"), "{}", server.log());
    server.register(&note(&issuer, 1)).await.expecting(503);
    server.stop().await;
    assert_eq!(std::fs::read(shell.path("data/keys/receipt.key")).expect("the key"), new_key);

    shell.write("data/docket.db", &new_database);
    std::fs::remove_file(shell.path("data/keys/receipt.key")).expect("it was there");
    let Err(said) = Server::try_start(&site, &[]) else { panic!("it started without a key") };
    assert!(said.contains("the receipt key") && said.contains("put the file back"), "{said}");
    shell.write("data/keys/receipt.key", &new_key);
    let server = Server::start(&site);
    registers(&server, &site, &issuer, 1).await;
    server.stop().await;
    site.fsck_clean();
}

#[test]
fn only_the_services_own_keys_are_rotated() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.docket("keys rotate token --data data").fails(64, &["no key of the service"]);
    shell.docket("keys rotate receipt --data nowhere").fails(1, &["nowhere"]);
    site.fsck_clean();
}

/// Registers a note; its receipt is by the key in force.
async fn registers(server: &Server, site: &Site, issuer: &Issuer, number: usize) {
    let statement = note(issuer, number);
    server.register(&statement).await.expecting(201).receipt(&statement, &site.receipt_key());
}

fn note(issuer: &Issuer, number: usize) -> Vec<u8> {
    issuer.about(&EMPTY_DIGEST.parse().expect("a digest"), "text/plain", format!("note {number}").as_bytes())
}

async fn refreshed(server: &Server, statement: &[u8]) -> Answer {
    let entry = SignedStatement::decode(statement).expect("ours").entry_id();
    server.request("GET", &format!("/entries/{entry}")).expect(200).await
}

/// A fresh receipt of an entry of the service's own.
async fn own_entry(server: &Server, index: u64) -> Vec<u8> {
    let claims = server.request("GET", "/api/v1/claims?limit=100").expect(200).await.json();
    let claims = claims["claims"].as_array().expect("a list").clone();
    let claim = claims.into_iter().find(|claim| claim["index"] == index).expect("the entry is listed");
    let entry = claim["entry"].as_str().expect("an id").to_owned();
    server.request("GET", &format!("/entries/{entry}")).expect(200).await.body.to_vec()
}
