//! draft-ietf-scitt-scrapi-11 row by row, on the standard path and on the one below a repository.

use docket_proof::statement::SignedStatement;

use crate::harness::{Answer, Ask as _, EMPTY_DIGEST, Guarded, Issuer, Raw, Server, Site, sha256};

const KEYS: &str = "/.well-known/scitt-keys";
/// Where statements are posted, and below which receipts are.
const FACES: [&str; 2] = ["/entries", "/v2/a/_scitt/ledger/entries"];
const UNKNOWN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A server with an admitted issuer, and an artifact in the repository that the second face is below.
async fn served(settings: &[(&str, &str)]) -> (Site, Issuer, Server, Vec<u8>) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start_with(&site, settings);
    let image = server.repository("a").push_image("v1", 1).await;
    (site, issuer, server, image)
}

async fn post(server: &Server, face: &str, statement: &[u8]) -> Answer {
    let request = server.request("POST", face).header("content-type", "application/cose");
    request.header("accept", "application/cose").body(statement.to_vec()).answer().await
}

/// Every resource: the method it takes, and a path.
fn resources() -> Vec<(&'static str, String)> {
    let entries = FACES.iter().flat_map(|face| [("POST", (*face).to_owned()), ("GET", format!("{face}/{UNKNOWN}"))]);
    entries.chain([("GET", KEYS.to_owned()), ("GET", format!("{KEYS}/AAAA"))]).collect()
}

#[tokio::test]
async fn keys_are_cbor_with_a_hint_how_long_they_may_be_kept() {
    let (site, _, server, _) = served(&[]).await;
    let kid = site.receipt_key().thumbprint().base64url();
    for path in [KEYS.to_owned(), format!("{KEYS}/{kid}")] {
        let answer = server.request("GET", &path).header("accept", "application/cbor").expect(200).await;
        assert_eq!(answer.header("content-type"), Some("application/cbor"));
        assert!(answer.header("cache-control").is_some_and(|hint| hint.starts_with("max-age=")), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_key_is_404_no_such_key() {
    let (_site, _, server, _) = served(&[]).await;
    for kid in ["AAAA", "not+base64", "%00", UNKNOWN] {
        let (title, _) = server.request("GET", &format!("{KEYS}/{kid}")).expect(404).await.problem();
        assert_eq!(title, "No such key", "{kid}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_registration_is_201_with_a_receipt_and_always_the_same_location() {
    let (site, issuer, server, image) = served(&[]).await;
    for (number, face) in FACES.into_iter().enumerate() {
        let statement = issuer.about(&sha256(&image), "text/plain", &[b'0' + u8::try_from(number).expect("small")]);
        let first = post(&server, face, &statement).await.expecting(201);
        first.receipt(&statement, &site.receipt_key());
        let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
        assert_eq!(first.location(), format!("{face}/{entry}"));
        let again = post(&server, face, &statement).await.expecting(201);
        assert_eq!((again.location(), &again.body), (first.location(), &first.body));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_receipt_is_200_fresh_and_not_to_be_kept() {
    let (site, issuer, server, image) = served(&[]).await;
    for face in FACES {
        let statement = issuer.about(&sha256(&image), "text/plain", face.as_bytes());
        let location = post(&server, face, &statement).await.expecting(201).location();
        let fresh = server.request("GET", &location).header("accept", "application/cose").expect(200).await;
        fresh.receipt(&statement, &site.receipt_key());
        assert_eq!((fresh.location(), fresh.header("cache-control")), (location, Some("no-store")));
    }
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_entry_is_404_not_found() {
    let (_site, _, server, _) = served(&[]).await;
    for face in FACES {
        let (title, _) = server.request("GET", &format!("{face}/{UNKNOWN}")).expect(404).await.problem();
        assert_eq!(title, "Not Found", "{face}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_can_be_no_entry_id_is_400_invalid_locator() {
    let (_site, _, server, _) = served(&[]).await;
    for face in FACES {
        for id in ["short", "1", &"A".repeat(64), &"0".repeat(65), "sha256:00"] {
            let (title, _) = server.request("GET", &format!("{face}/{id}")).expect(400).await.problem();
            assert_eq!(title, "Invalid locator", "{face}/{id}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_accepts_changes_no_answer() {
    let (_site, issuer, server, image) = served(&[]).await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"any");
    let location = post(&server, "/entries", &statement).await.expecting(201).location();
    for accept in ["", "*/*", "application/cbor", "application/cose", "text/html", "application/json;q=0", "\u{ff}"] {
        for (path, content_type) in [(KEYS, "application/cbor"), (location.as_str(), "application/cose")] {
            let answer = server.request("GET", path).header("accept", accept).expect(200).await;
            assert_eq!(answer.header("content-type"), Some(content_type), "{accept}");
        }
        server.request("GET", "/entries/none").header("accept", accept).expect(400).await.problem();
    }
    server.stop().await;
}

#[tokio::test]
async fn every_other_method_is_405_with_the_right_one_named() {
    let (_site, _, server, _) = served(&[]).await;
    for (allowed, path) in resources() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if method == allowed {
                continue;
            }
            let refused = server.request(method, &path).expect(405).await;
            assert_eq!(refused.header("allow"), Some(allowed), "{method} {path}");
            if method == "HEAD" {
                assert_eq!(refused.header("content-type"), Some("application/concise-problem-details+cbor"));
                assert!(refused.body.is_empty());
            } else {
                assert_eq!(refused.problem().0, "Method Not Allowed", "{method} {path}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn strangers_who_register_too_often_get_429_and_when_to_come_back() {
    const RULES: &str = "[[access.rules]]\nwho = [\"anonymous\", \"alice\"]\nrepositories = [\"**\"]\n\
        allow = [\"pull\", \"push\", \"claim\"]\n[limits]\nanonymous_registrations_per_minute = 2\n";
    let guarded = Guarded::start(RULES);
    let post = async |who: &str, face: &str| {
        let request = guarded.request(who, "POST", face).header("content-type", "application/cose");
        request.body("no statement").answer().await
    };
    for face in FACES {
        assert_eq!(post("", face).await.expecting(400).problem().0, "Malformed request");
    }
    for face in FACES {
        let refused = post("", face).await.expecting(429);
        assert_eq!(refused.problem().0, "Too Many Requests");
        let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("whole seconds");
        assert!((1..=30).contains(&wait), "{wait}");
        // Accounts are known, and to ask is no registration.
        post("alice", face).await.expecting(400);
        guarded.request("", "GET", &format!("{face}/{UNKNOWN}")).expect(404).await;
    }
    guarded.server.stop().await;
    let none = Guarded::refused("[limits]\nanonymous_registrations_per_minute = 0\n");
    assert!(none.contains("anonymous_registrations_per_minute"), "{none}");
}

#[tokio::test]
async fn too_many_requests_at_once_are_429_on_every_resource() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_LIMITS__REQUESTS_PER_ACCOUNT", "0")]);
    for (method, path) in resources() {
        let refused = server.request(method, &path).expect(429).await;
        assert_eq!(refused.problem().0, "Too Many Requests", "{path}");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    server.stop().await;
}

#[tokio::test]
async fn callers_who_may_not_are_401_and_403_in_the_same_words() {
    let guarded = Guarded::start(super::super::access::RULES);
    for (method, path) in resources().into_iter().filter(|(_, path)| !path.starts_with(KEYS)) {
        let unknown = guarded.request("", method, &path).expect(401).await;
        assert_eq!(unknown.problem().0, "Unauthorized", "{path}");
        assert!(unknown.header("www-authenticate").is_some());
    }
    for face in FACES {
        assert_eq!(guarded.request("bob", "POST", face).expect(403).await.problem().0, "Forbidden", "{face}");
    }
    for (method, path) in resources() {
        let broken = guarded.server.request(method, &path).header("authorization", "Basic !").expect(401).await;
        assert_eq!(broken.problem().0, "Unauthorized", "{path}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn foreign_hosts_are_403_in_the_same_words() {
    let (_site, _, server, _) = served(&[]).await;
    for (method, path) in resources() {
        let refused = Raw::new(format!("{method} {path}")).header("Host", "example.com").send(&server).await;
        assert_eq!(refused.expecting(403).problem().0, "Forbidden", "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_stop_or_break_off_are_problems_too() {
    let (_site, _, server, _) = served(&[("DOCKET_LIMITS__STALL", "200ms")]).await;
    for face in FACES {
        let half = || {
            let request = Raw::new(format!("POST {face}")).header("Content-Length", "100");
            request.header("Content-Type", "application/cose").body("half")
        };
        let (title, detail) = half().send(&server).await.expecting(408).problem();
        assert_eq!(title, "Request Timeout");
        assert!(detail.contains("send it again"), "{detail}");
        assert_eq!(half().cut_off().send(&server).await.expecting(400).problem().0, "Malformed request");
    }
    server.stop().await;
}

#[tokio::test]
async fn paths_beside_the_resources_are_problems_too() {
    let (_site, _, server, _) = served(&[]).await;
    let beside = ["/entries/", "/entries/a/b", "/.well-known/scitt-keys/", "/.well-known/scitt-keys/a/b"];
    for path in beside {
        assert_eq!(server.request("GET", path).expect(404).await.problem().0, "Not Found", "{path}");
    }
    for path in
        ["/v2/a/_scitt/", "/v2/a/_scitt/ledger", "/v2/a/_scitt/ledger/entries/", "/v2/UPPER/_scitt/ledger/entries"]
    {
        let answer = server.request("POST", path).answer().await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        answer.problem();
    }
    server.stop().await;
}

#[tokio::test]
async fn the_words_of_the_draft_stand_on_what_they_mean() {
    let (_site, issuer, server, image) = served(&[]).await;
    let right = issuer.about(&sha256(&image), "text/plain", b"x");
    let stranger = Issuer::new("stranger").about(&sha256(&image), "text/plain", b"x");
    let mut detached = right.clone();
    let at =
        detached.windows(3).position(|window| window == [0xa0, 0x41, b'x']).expect("an empty map, then the payload");
    detached.splice(at + 1..at + 3, [0xf6]);
    let mut algorithm = right.clone();
    let at = algorithm.windows(2).position(|window| window == [0x01, 0x26]).expect("ES256");
    algorithm[at + 1] = 0x04;
    for face in FACES {
        for (statement, expected) in [
            (b"x".as_slice(), "Malformed request"),
            (&algorithm, "Bad Signature Algorithm"),
            (&detached, "Payload Missing"),
            (&stranger, "Rejected"),
        ] {
            assert_eq!(post(&server, face, statement).await.expecting(400).problem().0, expected, "{face}");
        }
    }
    let elsewhere = issuer.about(&EMPTY_DIGEST.parse().expect("a digest"), "text/plain", b"x");
    assert_eq!(post(&server, FACES[1], &elsewhere).await.expecting(400).problem().0, "Wrong Place");
    server.stop().await;
}
