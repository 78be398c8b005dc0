//! Names, tags, digests and numbers outside their grammars, and paths that try to lead elsewhere.

use super::state::State;
use crate::harness::{Ask as _, EMPTY_DIGEST, Raw, Server, Site, image};

#[tokio::test]
async fn names_outside_the_grammar_are_refused_for_every_call() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("a/b").push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    let long = "a".repeat(256);
    let longer = "a/".repeat(5_000) + "a";
    let names = [
        "..",
        ".",
        "a/../b",
        "a/./b",
        "a//b",
        "/a",
        "a/",
        "../../../etc/passwd",
        "%2e%2e",
        "%2e%2e%2fetc",
        "a%2fb",
        "a%00",
        "a%20b",
        "A",
        "a/B",
        "-a",
        "a-",
        "_a",
        "a_",
        "a.",
        ".a",
        "a..b",
        "a___b",
        "a._b",
        "a:b",
        "a@b",
        "a+b",
        "a~b",
        "a*",
        "a;b",
        "CON",
        "a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "docket.db-WAL",
        long.as_str(),
        longer.as_str(),
    ];
    let manifest = image(b"{}", &[]);
    for name in names {
        let calls = [
            format!("GET /v2/{name}/tags/list"),
            format!("GET /v2/{name}/manifests/v1"),
            format!("PUT /v2/{name}/manifests/v1"),
            format!("DELETE /v2/{name}/manifests/v1"),
            format!("GET /v2/{name}/blobs/{EMPTY_DIGEST}"),
            format!("POST /v2/{name}/blobs/uploads/"),
            format!("POST /v2/{name}/blobs/uploads/?digest={EMPTY_DIGEST}"),
            format!("GET /v2/{name}/referrers/{EMPTY_DIGEST}"),
        ];
        for call in calls {
            let length = manifest.len().to_string();
            let raw = Raw::new(&call).header("Content-Length", &length).body(manifest.clone());
            let refused = raw.send(&server).await.expecting(400);
            assert_eq!(refused.code(), "NAME_INVALID", "{call}");
            assert!(refused.message().len() > 20, "{call}: {}", refused.message());
        }
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_no_path_may_hold_are_refused() {
    let site = Site::new();
    let server = Server::start(&site);
    let before = State::of(&site, &server).await;
    let lines: [&[u8]; 6] = [
        b"GET /v2/a\\b/tags/list",
        b"GET /v2/a\0b/tags/list",
        b"GET /v2/\xff\xfe/tags/list",
        "GET /v2/ä/tags/list".as_bytes(),
        b"POST /v2/a\tb/blobs/uploads/",
        b"GET v2/a/tags/list",
    ];
    for line in lines {
        // Some of these the HTTP library refuses by itself, without a body.
        Raw::new(line).send(&server).await.expecting(400);
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn names_that_look_like_something_else_are_just_names() {
    let site = Site::new();
    let server = Server::start(&site);
    let names = [
        "docket.db",
        "keys/receipt.key",
        "staging",
        "blobs",
        "blobs/sha256",
        "uploads",
        "manifests/v1",
        "tags/list",
        "v2",
        "a/blobs/uploads",
        "con",
        "nul",
        "a_uploads",
        "guard",
        "referrers",
        "entries",
        "api/v1",
        "x---y__z.0",
    ];
    for name in names {
        let repository = server.repository(name);
        let manifest = repository.push_image("v1", 1).await;
        assert_eq!(repository.manifest("v1").await, manifest, "{name}");
        assert_eq!(repository.tags().await, ["v1"], "{name}");
    }
    let longest = "a".repeat(255);
    server.repository(&longest).push_image("v1", 1).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn tags_outside_the_grammar_are_absent_to_readers_and_wrong_to_writers() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let manifest = repository.push_image("v1", 1).await;
    let (longest, longer) = ("t".repeat(128), "t".repeat(129));
    repository.push_manifest(&longest, manifest.clone()).await;
    let before = State::of(&site, &server).await;
    for tag in [longer.as_str(), ".hidden", "-dash", "a+b", "a@b", "a~", "v1*", "v1;x", "$(id)"] {
        let path = repository.path(&format!("manifests/{tag}"));
        let length = manifest.len().to_string();
        let put = Raw::new(format!("PUT {path}")).header("Content-Length", &length).body(manifest.clone());
        assert_eq!(put.send(&server).await.expecting(400).code(), "MANIFEST_INVALID", "{tag}");
        for method in ["GET", "DELETE"] {
            let answer = Raw::new(format!("{method} {path}")).send(&server).await.expecting(404);
            assert_eq!(answer.code(), "MANIFEST_UNKNOWN", "{tag}");
        }
    }
    for tag in ["v1%2e", "%76%31", "..", "."] {
        let path = repository.path(&format!("manifests/{tag}"));
        for method in ["GET", "PUT", "DELETE"] {
            let answer = Raw::new(format!("{method} {path}")).send(&server).await.expecting(400);
            assert_eq!(answer.code(), "NAME_INVALID", "{tag}");
        }
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn malformed_digests_are_refused_wherever_one_can_stand() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    let hex = &EMPTY_DIGEST[7..];
    let digests = [
        "sha256:".to_owned(),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}g", &hex[1..]),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
        format!("sha1:{}", &hex[..40]),
        "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        format!(":{hex}"),
        format!("sha256:{hex}:{hex}"),
        format!("sha256+b64:{hex}"),
    ];
    for digest in digests {
        let session = repository.start_upload().await;
        let calls = [
            format!("GET /v2/a/blobs/{digest}"),
            format!("HEAD /v2/a/blobs/{digest}"),
            format!("DELETE /v2/a/blobs/{digest}"),
            format!("GET /v2/a/manifests/{digest}"),
            format!("PUT /v2/a/manifests/{digest}"),
            format!("DELETE /v2/a/manifests/{digest}"),
            format!("GET /v2/a/referrers/{digest}"),
            format!("POST /v2/a/blobs/uploads/?digest={digest}"),
            format!("PUT {session}?digest={digest}"),
        ];
        for call in calls {
            let refused = Raw::new(&call).send(&server).await.expecting(400);
            if !call.starts_with("HEAD") {
                assert_eq!(refused.code(), "DIGEST_INVALID", "{call}");
            }
        }
        server.request("GET", &session).expect(204).await;
    }
    for path in ["blobs/..", "blobs/sha256:%2e%2e", "referrers/.."] {
        let refused = Raw::new(format!("GET {}", repository.path(path))).send(&server).await.expecting(400);
        assert_eq!(refused.code(), "NAME_INVALID", "{path}");
    }
    let session = repository.start_upload().await;
    for path in [format!("{session}?digest={EMPTY_DIGEST}&digest={EMPTY_DIGEST}"), session.clone()] {
        server.request("PUT", &path).expect(400).await;
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn numbers_are_whole_and_bounded() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("a").push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    for n in ["-1", "", "1e9", "0x10", "1.0", "%2B1", "%201", "one", "1%00", "-0"] {
        for path in ["/v2/a/tags/list", "/v2/_catalog"] {
            let refused = server.request("GET", &format!("{path}?n={n}")).expect(400).await;
            assert_eq!(refused.code(), "UNSUPPORTED", "n={n}");
            assert!(refused.message().contains("whole number"), "n={n}: {}", refused.message());
        }
    }
    for n in ["4294967296", "9223372036854775808", "99999999999999999999999999"] {
        let clamped = server.request("GET", &format!("/v2/a/tags/list?n={n}")).expect(200).await;
        assert_eq!(clamped.strings("tags"), ["v1"], "n={n}");
    }
    for query in ["n=1&n=2", "last=%zz", "last=%ff", "last=a&last=b"] {
        server.request("GET", &format!("/v2/a/tags/list?{query}")).expect(400).await;
    }
    let long = format!("/v2/a/tags/list?last={}", "a".repeat(9_000));
    server.request("GET", &long).expect(414).await;
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}
