//! What an operator types: `init`, `serve`, `issuer`, `fsck`.

use super::{Ask as _, Desk, SERVICE, Server, Shell, Site, bytes_of};

#[test]
fn init_says_the_same_to_people_and_programs() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    let made = shell.docket(&format!("init --data data --service-id {SERVICE} --output json")).expect(0).json();
    assert_eq!(made["service"], SERVICE);
    assert_eq!(made["data"], "data");
    let fingerprint = made["fingerprint"].as_str().expect("a fingerprint");
    assert_eq!(fingerprint, site.receipt_key().thumbprint().to_string());
}

#[test]
fn init_never_touches_what_is_there() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let key = site.receipt_key();
    let again = format!("init --data data --service-id {SERVICE}");
    shell.docket(&again).fails(1, &["data already holds docket data", "nothing was changed"]);
    assert_eq!(site.receipt_key(), key);
    shell.write("file", "mine");
    shell.docket(&format!("init --data file --service-id {SERVICE}")).fails(1, &["file"]);
    std::fs::create_dir_all(shell.path("others/blobs")).expect("the folder is ours");
    shell.write("others/thesis.txt", "mine");
    let said = shell.docket(&format!("init --data others --service-id {SERVICE}"));
    said.fails(1, &["others is not empty", "thesis.txt", "choose another folder"]);
    let mut left: Vec<_> = std::fs::read_dir(shell.path("others"))
        .expect("the folder is ours")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["blobs", "thesis.txt"]);
}

#[test]
fn an_empty_folder_is_as_good_as_none() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    std::fs::create_dir_all(shell.path("data/lost+found")).expect("the folder is ours");
    shell.docket(&format!("init --data data --service-id {SERVICE}")).expect(0);
    site.fsck_clean();
}

#[test]
fn serve_needs_a_folder_that_init_made_and_nobody_else_has_open() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.docket("serve --data nowhere --listen 127.0.0.1:0").fails(1, &["run `docket init --data nowhere` first"]);
    assert!(!shell.path("nowhere").exists());
    let _server = Server::start(&site);
    shell.docket("serve --data data --listen 127.0.0.1:0").fails(1, &["another docket process has data open"]);
}

#[test]
fn serve_refuses_addresses_that_others_can_reach() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:5000"] {
        let said = shell.docket(&format!("serve --data data --listen {address}"));
        said.fails(1, &["reachable from other machines", "no access rules", "127.0.0.1"]);
    }
}

#[test]
fn serve_says_that_its_port_is_taken() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it is bound");
    shell
        .docket(&format!("serve --data data --listen {address}"))
        .fails(1, &["is taken by another program", "--listen"]);
}

#[tokio::test]
async fn issuers_are_admitted_the_same_on_the_folder_and_through_the_socket() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.keys("offline");
    shell.keys("online");
    let folder = shell.docket("issuer add offline offline.pub --data data").expect(0);
    assert_eq!(folder.out, "admitted  offline  https://offline.example  entry #1\n");
    let server = Server::start(&site);
    let socket = shell.docket("issuer add online online.pub --data data").expect(0);
    assert_eq!(socket.out, "admitted  online  https://online.example  entry #2\n");
    let while_running = shell.docket("issuer list --data data --output json").expect(0);
    server.stop().await;
    let stopped = shell.docket("issuer list --data data --output json").expect(0);
    assert_eq!(while_running.out, stopped.out);
    let names: Vec<_> = stopped.json().as_array().expect("a list").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["offline", "online"]);
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn issuers_are_removed_the_same_on_the_folder_and_through_the_socket() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.keys("wabbit");
    shell.docket("issuer add wabbit wabbit.pub --data data").expect(0);
    let folder = shell.docket("issuer remove wabbit --data data").expect(0);
    assert_eq!(folder.out, "removed  wabbit  entry #2\n");
    let unknown = ["no issuer \"wabbit\" is admitted here", "docket issuer list"];
    shell.docket("issuer remove wabbit --data data").fails(1, &unknown);
    let server = Server::start(&site);
    shell.docket("issuer remove wabbit --data data").fails(1, &unknown);
    shell.docket("issuer add wabbit wabbit.pub --data data").expect(0);
    let socket = shell.docket("issuer remove wabbit --data data --output json").expect(0);
    assert_eq!(socket.json(), serde_json::json!({ "entry": 4 }));
    assert_eq!(shell.docket("issuer list --data data").expect(0).out, "");
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 5);
}

#[test]
fn an_issuer_is_admitted_once_under_one_name() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let mut servers = Vec::new();
    for is_served in [false, true] {
        shell.keys(&format!("wabbit{is_served}"));
        shell.keys(&format!("other{is_served}"));
        if is_served {
            servers.push(Server::start(&site));
        }
        let add = |name: &str, key: &str| shell.docket(&format!("issuer add {name} {key}{is_served}.pub --data data"));
        let name = format!("wabbit-{is_served}");
        let first = add(&name, "wabbit").expect(0);
        // The same once more is no error and no entry.
        assert_eq!(add(&name, "wabbit").expect(0).out, first.out);
        add(&name, "other").fails(1, &["already admitted", "with this name, with this key"]);
        add("another-name", "wabbit").fails(1, &["already admitted"]);
        for wrong in ["Wabbit", "wabbit/acme", "wäbbit", &"w".repeat(65)] {
            add(wrong, "other").fails(1, &["is no issuer name", "1 to 64 of a-z"]);
        }
    }
    drop(servers);
    assert_eq!(site.fsck_clean().entries, 3);
}

#[test]
fn an_issuer_needs_a_public_key_and_an_identity() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.keys("wabbit");
    let public = std::fs::read_to_string(shell.path("wabbit.pub")).expect("a key file");
    let (_, bare) = public.split_once('\n').expect("an issuer line");
    shell.write("bare.pub", bare);
    let add = |rest: &str| shell.docket(&format!("issuer add wabbit {rest} --data data"));
    add("nowhere.pub").fails(1, &["cannot read nowhere.pub"]);
    add("data").fails(1, &["cannot read data"]);
    add("wabbit.key").fails(1, &["wabbit.key is no public key", "PRIVATE KEY"]);
    add("bare.pub").fails(64, &["does not say whose key it is", "--issuer URI", "urn:ietf:params:oauth:ckt:sha-256:"]);
    add("wabbit.pub --issuer https://other.example").fails(64, &["belongs to https://wabbit.example"]);
    assert_eq!(site.fsck_clean().entries, 1);
    add("bare.pub --issuer https://wabbit.example").expect(0);
}

#[tokio::test]
async fn fsck_says_the_same_with_and_without_a_server() {
    let desk = Desk::new().await;
    let while_running = desk.shell.docket("fsck --data data").expect(0);
    assert!(while_running.out.starts_with("clean "), "{}", while_running.out);
    let Desk { site, server, shell } = desk;
    server.stop().await;
    assert_eq!(shell.docket("fsck --data data").expect(0).out, while_running.out);
    let entries = site.fsck_clean().entries;
    assert!(while_running.out.contains(&format!("{entries} entries")), "{}", while_running.out);
    shell.docket("fsck --data nowhere").fails(1, &["holds no docket data"]);
}

#[tokio::test]
async fn fsck_sets_damaged_content_aside_and_a_push_makes_it_whole() {
    let site = Site::new();
    let (shell, server) = (Shell::new(site.folder()), Server::start(&site));
    let repository = server.repository("wabbit/net-monitor");
    let bytes = bytes_of(1, 100_000);
    let digest = repository.push_blob(bytes.clone()).await;
    let file = site.data().join("blobs/sha256").join(digest.hex());
    std::fs::write(&file, "rotten").expect("the blob's file");
    let found = format!("problem  blob {digest} has the bytes of sha256:");
    let look = shell.docket("fsck --data data --check-only").expect(1);
    assert!(look.out.starts_with(&found) && file.exists(), "{}", look.out);
    let said = shell.docket("fsck --data data").expect(1);
    assert!(said.out.starts_with(&found) && said.out.contains("\nquarantined  1 blobs"), "{}", said.out);
    assert!(!file.exists());
    let refused = repository.request("GET", &format!("blobs/{digest}")).expect(404).await;
    assert_eq!(refused.code(), "BLOB_UNKNOWN");
    assert_eq!(repository.push_blob(bytes.clone()).await, digest);
    assert_eq!(repository.blob(&digest).await, bytes);
    server.stop().await;
    site.fsck_clean();
}
