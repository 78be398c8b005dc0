//! Folders, ports and keys that a server does not start on, and what it says then.

use std::path::Path;

use crate::harness::{Ask as _, Server, Site, said};

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let site = Site::new();
    let server = Server::start(&site);
    let refused = Server::try_start(&site, &[]).err().expect("the folder is taken");
    assert!(refused.contains("another docket process has"), "{refused}");
    server.request("GET", "/v2/").expect(200).await;
    // The commands of the operator go through the first one.
    assert_eq!(site.fsck_clean().entries, 1);
    site.admit("wabbit");
    assert_eq!(site.fsck_clean().entries, 2);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let refused = site.docket(&["serve", "--listen", &address]);
    assert_eq!(refused.status.code(), Some(1));
    let message = said(&refused);
    assert!(message.contains(&address) && message.contains("taken") && message.contains("--listen"), "{message}");
    site.fsck_clean();
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_without_access_rules() {
    let site = Site::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:5000"] {
        let refused = site.docket(&["serve", "--listen", address]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains("no access rules"), "{}", said(&refused));
    }
    let refused = site.docket(&["serve", "--listen", "localhost"]);
    assert!(said(&refused).contains("no address with a port"), "{}", said(&refused));
}

#[tokio::test]
async fn a_folder_of_another_version_is_left_alone() {
    let site = Site::new();
    let database = site.data().join("docket.db");
    let written = set_format_version(&database, b'9');
    for command in [vec!["serve", "--listen", "127.0.0.1:0"], vec!["fsck"], vec!["issuer", "list"]] {
        let refused = site.docket(&command);
        assert_eq!(refused.status.code(), Some(1), "{command:?}");
        assert!(said(&refused).contains("format version 9"), "{}", said(&refused));
    }
    assert!(std::fs::read(&database).expect("the database") == written, "nothing was changed");
    set_format_version(&database, b'1');
    site.fsck_clean();
}

#[tokio::test]
async fn a_folder_that_was_not_made_by_init_is_refused() {
    let site = Site::without_data();
    for command in [vec!["serve", "--listen", "127.0.0.1:0"], vec!["fsck"], vec!["issuer", "list"]] {
        let refused = site.docket(&command);
        assert_eq!(refused.status.code(), Some(1), "{command:?}");
        assert!(said(&refused).contains("docket init"), "{}", said(&refused));
        assert!(!site.data().exists(), "nothing was made");
    }
    let site = Site::new();
    let again = site.docket(&["init", "--service-id", "https://other.example"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("already holds docket data"), "{}", said(&again));
    site.fsck_clean();
}

#[tokio::test]
async fn keys_that_are_missing_or_broken_are_named() {
    let site = Site::new();
    for name in ["receipt.key", "statement.key", "checkpoint.key"] {
        let path = site.data().join("keys").join(name);
        let right = std::fs::read(&path).expect("the key");
        std::fs::remove_file(&path).expect("removed");
        refuses_to_start(&site, name);
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").expect("written");
        refuses_to_start(&site, name);
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("a folder in its place");
        refuses_to_start(&site, name);
        std::fs::remove_dir(&path).expect("removed");
        std::fs::write(&path, right).expect("put back");
    }
    site.fsck_clean();
}

#[tokio::test]
async fn a_key_of_another_service_does_not_open_the_ledger() {
    let (site, other) = (Site::new(), Site::new());
    let path = site.data().join("keys/receipt.key");
    let right = std::fs::read(&path).expect("the key");
    std::fs::copy(other.data().join("keys/receipt.key"), &path).expect("copied");
    let refused = site.docket(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("does not hold its private half"), "{}", said(&refused));
    std::fs::write(&path, right).expect("put back");
    site.fsck_clean();
}

#[tokio::test]
async fn an_issuers_key_file_that_cannot_be_used_is_named() {
    let site = Site::new();
    let file = site.folder().join("wabbit.pub");
    let path = file.to_str().expect("a plain path");
    let add = |content: Option<&str>| {
        if let Some(content) = content {
            std::fs::write(&file, content).expect("written");
        }
        let refused = site.docket(&["issuer", "add", "wabbit", path]);
        assert!(!refused.status.success());
        let message = said(&refused);
        assert!(message.contains(path), "{message}");
    };
    add(None);
    add(Some(""));
    add(Some("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    add(Some(&"a".repeat(70_000)));
    // A private key is nothing to hand around.
    let private = site.docket(&["keys", "generate", "--out", path]);
    assert!(!private.status.success(), "{}", said(&private));
    assert_eq!(site.fsck_clean().entries, 1, "nobody was admitted");
}

fn refuses_to_start(site: &Site, key: &str) {
    let refused = site.docket(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains(key), "{}", said(&refused));
}

/// Changes the version in a closed database, where it stands behind its name in a row, and gives the file's bytes.
fn set_format_version(database: &Path, version: u8) -> Vec<u8> {
    let mut bytes = std::fs::read(database).expect("the database");
    let places: Vec<_> = bytes
        .windows(7)
        .enumerate()
        .filter(|(_, window)| window.starts_with(b"format") && window[6].is_ascii_digit())
        .map(|(at, _)| at)
        .collect();
    let [place] = places.as_slice() else { panic!("the row of the version stands at {places:?}") };
    bytes[place + 6] = version;
    std::fs::write(database, &bytes).expect("the database is written");
    bytes
}
