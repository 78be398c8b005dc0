//! The service's keys, and the words of what is not there.

use docket_proof::key::{PublicKey, parse_key_set};

use crate::harness::{Ask as _, Server, Site};

#[tokio::test]
async fn the_keys_of_receipts_are_published_in_a_set_and_one_by_one() {
    let site = Site::new();
    let server = Server::start(&site);
    let set = server.request("GET", "/.well-known/scitt-keys").header("accept", "application/cbor").expect(200).await;
    assert_eq!(set.header("content-type"), Some("application/cbor"));
    let keys = parse_key_set(&set.body).expect("a key set");
    let keys: Vec<_> = keys.into_iter().map(|key| key.expect("a key we know")).collect();
    assert_eq!(keys, [site.receipt_key()]);
    let kid = site.receipt_key().thumbprint().base64url();
    let one = server.request("GET", &format!("/.well-known/scitt-keys/{kid}")).expect(200).await;
    assert_eq!(one.header("content-type"), Some("application/cbor"));
    assert_eq!(PublicKey::from_cose_key(&one.body).ok(), Some(site.receipt_key()));
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_in_cbor() {
    let site = Site::new();
    let server = Server::start(&site);
    let unknown = "0".repeat(64);
    let missing = [
        (format!("/entries/{unknown}"), "Not Found"),
        (format!("/entries/{unknown}/more"), "Not Found"),
        ("/entries/".to_owned(), "Not Found"),
        ("/.well-known/scitt-keys/AAAA".to_owned(), "No such key"),
        ("/.well-known/scitt-keys/a/b".to_owned(), "Not Found"),
        (format!("/v2/a/_scitt/ledger/entries/{unknown}"), "Not Found"),
    ];
    for (path, expected) in missing {
        let (title, detail) = server.request("GET", &path).expect(404).await.problem();
        assert_eq!(title, expected, "{path}");
        assert!(!detail.is_empty());
    }
    let malformed = server.request("GET", "/v2/a/_scitt/ledger/entries/short").expect(400).await;
    assert!(malformed.problem().1.contains("64 lower-case hex digits"));
    server.stop().await;
}

#[tokio::test]
async fn another_method_is_refused_with_the_right_one_named() {
    let site = Site::new();
    let server = Server::start(&site);
    let unknown = format!("/entries/{}", "0".repeat(64));
    let wrong = [
        ("GET", "/entries", "POST"),
        ("PUT", "/entries", "POST"),
        ("POST", unknown.as_str(), "GET"),
        ("DELETE", unknown.as_str(), "GET"),
        ("POST", "/.well-known/scitt-keys", "GET"),
        ("PUT", "/.well-known/scitt-keys/AAAA", "GET"),
        ("GET", "/v2/a/_scitt/ledger/entries", "POST"),
        ("DELETE", "/v2/a/_scitt/ledger/entries", "POST"),
    ];
    for (method, path, allowed) in wrong {
        let refused = server.request(method, path).expect(405).await;
        assert_eq!(refused.problem().0, "Method Not Allowed", "{method} {path}");
        assert!(refused.header("allow").is_some_and(|allow| allow.contains(allowed)), "{method} {path}");
    }
    server.stop().await;
}
