//! What all answers have in common: headers, error bodies, and content that goes through as it is.

use docket_oci::manifest::MANIFEST_BYTES_MAX;
use docket_oci::media;

use crate::harness::{Ask as _, EMPTY_DIGEST, Raw, Server, Site, bytes_of, sha256};

#[tokio::test]
async fn every_answer_names_the_api_also_where_it_refuses() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_image("v1", 1).await;
    let blob = repository.push_blob("blob").await;
    let upload = repository.start_upload().await;
    let calls = [
        ("GET", "/v2/".to_owned(), 200),
        ("GET", "/v2/_catalog".to_owned(), 200),
        ("GET", repository.path("manifests/v1"), 200),
        ("HEAD", repository.path("manifests/v2"), 404),
        ("GET", repository.path(&format!("blobs/{blob}")), 200),
        ("GET", repository.path(&format!("blobs/{EMPTY_DIGEST}")), 404),
        ("GET", repository.path("blobs/sha256:short"), 400),
        ("GET", "/v2/A/tags/list".to_owned(), 400),
        ("GET", "/v2/never/tags/list".to_owned(), 404),
        ("GET", "/v2/nowhere".to_owned(), 404),
        ("PUT", repository.path("tags/list"), 405),
        ("GET", upload.clone(), 204),
        ("PUT", upload, 400),
        ("POST", repository.path(&format!("blobs/uploads/?digest={EMPTY_DIGEST}")), 201),
        ("DELETE", repository.path("manifests/v1"), 202),
    ];
    for (method, path, status) in calls {
        let answer = server.request(method, &path).expect(status).await;
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"), "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
    }
    let range = repository.request("GET", &format!("blobs/{blob}")).header("range", "bytes=9-");
    assert_eq!(range.expect(416).await.header("docker-distribution-api-version"), Some("registry/2.0"));
    let large = vec![b' '; MANIFEST_BYTES_MAX + 1];
    let large = repository.put("v1", media::OCI_IMAGE_MANIFEST, large).await.expecting(413);
    assert_eq!(large.header("docker-distribution-api-version"), Some("registry/2.0"));
    let stranger = Raw::new("GET /v2/").header("Host", "example.com").send(&server).await.expecting(403);
    assert_eq!(stranger.header("docker-distribution-api-version"), Some("registry/2.0"));
    server.stop().await;
}

#[tokio::test]
async fn errors_are_json_with_a_code_and_a_message_and_none_has_a_body_on_head() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("a").push_image("v1", 1).await;
    for (path, status) in [
        ("/v2/a/manifests/v2".to_owned(), 404),
        ("/v2/never/manifests/v1".to_owned(), 404),
        (format!("/v2/a/blobs/{EMPTY_DIGEST}"), 404),
        ("/v2/a/blobs/sha256:short".to_owned(), 400),
        ("/v2/A/manifests/v1".to_owned(), 400),
        ("/v2/nowhere".to_owned(), 404),
    ] {
        let refused = server.request("GET", &path).expect(status).await;
        let code = refused.code();
        assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{path}: {code}");
        assert!(refused.message().len() > 10, "{path}: {}", refused.message());
        let head = server.request("HEAD", &path).expect(status).await;
        assert!(head.body.is_empty(), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_fault_of_the_storage_is_5xx_and_never_404() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let digest = repository.push_blob(bytes_of(1, 100_000)).await;
    let file = site.data().join("blobs/sha256").join(digest.hex());
    std::fs::remove_file(file).expect("the file of the blob");
    let failed = repository.request("GET", &format!("blobs/{digest}")).expect(500).await;
    let said = String::from_utf8_lossy(&failed.body);
    assert!(said.contains(failed.header("x-request-id").expect("an id")), "{said}");
    assert!(!said.contains("sha256/") && !said.contains(site.data().to_str().expect("a plain path")), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn content_is_neither_encoded_nor_decoded_on_its_way() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    // Bytes that a server might want to compress, pushed as if they were compressed already.
    let blob = vec![b'a'; 100_000];
    let digest = sha256(&blob);
    let push = repository.request("POST", &format!("blobs/uploads/?digest={digest}"));
    push.header("content-encoding", "gzip").body(blob.clone()).expect(201).await;
    for encodings in ["gzip", "zstd;q=1.0, gzip;q=0.8, deflate", "br, *;q=0.1"] {
        let get = repository.request("GET", &format!("blobs/{digest}")).header("accept-encoding", encodings);
        let got = get.expect(200).await;
        assert_eq!((got.header("content-encoding"), got.header("content-length")), (None, Some("100000")));
        assert!(got.body == blob, "{encodings}");
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn the_name_of_a_mirrored_host_changes_nothing_and_is_not_echoed() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("library/app");
    let manifest = repository.push_image("v1", 1).await;
    let layer = repository.push_blob("layer").await;
    for path in ["manifests/v1".to_owned(), format!("manifests/{}", sha256(&manifest)), format!("blobs/{layer}")] {
        let got = repository.request("GET", &format!("{path}?ns=docker.io")).expect(200).await;
        assert_eq!(got.header("oci-namespace"), None, "only a registry that separates by it may say so");
    }
    server.stop().await;
}
