//! Uploads whose digest, length or range is a lie.

use docket_oci::digest::Digest;

use super::state::State;
use crate::harness::{Ask as _, Raw, Server, Site, bytes_of, sha256, sha512};

#[tokio::test]
async fn a_digest_that_does_not_match_is_refused_on_every_way_in() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    for length in [10, 70_000, 2_100_000] {
        let blob = bytes_of(5, length);
        let mut close = blob.clone();
        close[length / 2] ^= 1;
        let wrong: [Digest; 3] = [sha256(&close), sha512(&close), sha256(b"")];
        for digest in wrong {
            let single = repository.request("POST", &format!("blobs/uploads/?digest={digest}"));
            let whole = repository.start_upload().await;
            let streamed = repository.start_upload().await;
            server.request("PATCH", &streamed).body(blob.clone()).expect(202).await;
            let chunked = repository.start_upload().await;
            let first = server.request("PATCH", &chunked).header("content-range", "0-4").body(blob[..5].to_vec());
            first.expect(202).await;
            let put = |session: &str| server.request("PUT", &format!("{session}?digest={digest}"));
            for request in [
                single.body(blob.clone()),
                put(&whole).body(blob.clone()),
                put(&streamed),
                put(&chunked).header("content-range", format!("5-{}", length - 1)).body(blob[5..].to_vec()),
            ] {
                let refused = request.expect(400).await;
                assert_eq!(refused.code(), "DIGEST_INVALID");
                let right = Digest::of(digest.algorithm(), &blob);
                let message = refused.message();
                assert!(message.contains(&digest.to_string()) && message.contains(&right.to_string()), "{message}");
            }
            for absent in [digest, Digest::of(digest.algorithm(), &blob)] {
                repository.request("HEAD", &format!("blobs/{absent}")).expect(404).await;
            }
        }
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
    let staged = std::fs::read_dir(site.data().join("staging")).expect("the folder of uploads").count();
    assert_eq!(staged, 0, "nothing is left of what was refused");
}

#[tokio::test]
async fn a_content_range_that_lies_is_416_and_moves_nothing() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let location = repository.start_upload().await;
    server.request("PATCH", &location).body(bytes_of(1, 10)).expect(202).await;
    let lies = [
        "0-18446744073709551615",
        "10-18446744073709551615",
        "18446744073709551615-0",
        "19-10",
        "10-",
        "-19",
        "10",
        "bytes 10-19/20",
        "bytes 10-19",
        "10-19/20",
        "10--19",
        "+10-19",
        "a-b",
        "",
        "10-19,20-29",
        "9-18",
        "11-20",
        "0-9",
        "10-18",
        "10-20",
        "99999999999999999999999-99999999999999999999999",
    ];
    for lie in lies {
        for (method, path) in [("PATCH", location.clone()), ("PUT", format!("{location}?digest={}", sha256(b"")))] {
            let request = server.request(method, &path).header("content-range", lie).body(bytes_of(2, 10));
            let refused = request.expect(416).await;
            assert_eq!(refused.code(), "BLOB_UPLOAD_INVALID", "{lie}");
            assert_eq!(
                (refused.location(), refused.header("range")),
                (location.clone(), Some("0-9")),
                "{method} {lie}"
            );
        }
    }
    server.request("PATCH", &location).header("content-range", "10-19").body(bytes_of(2, 10)).expect(202).await;
    let blob = [bytes_of(1, 10), bytes_of(2, 10)].concat();
    server.request("PUT", &format!("{location}?digest={}", sha256(&blob))).expect(201).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_content_length_that_lies_makes_no_blob() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("something").await;
    let before = State::of(&site, &server).await;
    let half = bytes_of(1, 50);
    let path = repository.path(&format!("blobs/uploads/?digest={}", sha256(&half)));
    for length in ["-1", "1e3", "0x10", "50, 51", "", "99999999999999999999999"] {
        let post = Raw::new(format!("POST {path}")).header("Content-Length", length).body(half.clone());
        post.send(&server).await.expecting(400);
    }
    // The announced end never comes; whether the answer arrives or not, nothing may be kept.
    let cut = Raw::new(format!("POST {path}")).header("Content-Length", "100").body(half.clone()).cut_off();
    assert_ne!(cut.try_send(&server).await.map(|answer| answer.status), Some(201));
    let chunked = Raw::new(format!("POST {path}")).header("Transfer-Encoding", "chunked");
    let cut = chunked.body([b"32\r\n", &half[..], b"\r\n"].concat()).cut_off();
    assert_ne!(cut.try_send(&server).await.map(|answer| answer.status), Some(201));
    repository.request("HEAD", &format!("blobs/{}", sha256(&half))).expect(404).await;
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn an_interrupted_chunk_can_be_continued_from_where_it_got() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(1, 100_000);
    let location = repository.start_upload().await;
    let cut = Raw::new(format!("PATCH {location}")).header("Content-Length", "100000").body(&blob[..40_000]).cut_off();
    assert_ne!(cut.try_send(&server).await.map(|answer| answer.status), Some(202));
    // The server may still be taking in what arrived.
    let continued = loop {
        let status = server.request("GET", &location).expect(204).await;
        let range = status.header("range").expect("a Range").to_owned();
        let last: usize = range.strip_prefix("0-").and_then(|last| last.parse().ok()).expect("0-<last>");
        let start = if last == 0 { 0 } else { last + 1 };
        assert!(start <= 40_000, "{range}");
        let rest = server.request("PATCH", &location).header("content-range", format!("{start}-99999"));
        let answer = rest.body(blob[start..].to_vec()).answer().await;
        if answer.status != 416 {
            break answer;
        }
    };
    assert_eq!(continued.expecting(202).header("range"), Some("0-99999"));
    server.request("PUT", &format!("{location}?digest={}", sha256(&blob))).expect(201).await;
    assert!(repository.blob(&sha256(&blob)).await == blob);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn an_upload_that_ended_is_unknown_to_every_call() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(1, 1_000);
    let digest = sha256(&blob);
    for (what, ending, status) in
        [("finished", format!("?digest={digest}"), 201), ("refused", format!("?digest={}", sha512(b"other")), 400)]
    {
        let location = repository.start_upload().await;
        server.request("PATCH", &location).body(blob.clone()).expect(202).await;
        server.request("PUT", &format!("{location}{ending}")).expect(status).await;
        for method in ["GET", "PATCH", "DELETE"] {
            let refused = server.request(method, &location).body("more").expect(404).await;
            assert_eq!(refused.code(), "BLOB_UPLOAD_UNKNOWN", "{method} when {what}");
        }
        let again = server.request("PUT", &format!("{location}?digest={digest}")).body(blob.clone()).expect(404).await;
        assert_eq!(again.code(), "BLOB_UPLOAD_UNKNOWN", "{what}");
    }
    assert!(repository.blob(&digest).await == blob);
    server.stop().await;
    assert_eq!(site.staged(), [""; 0]);
    site.fsck_clean();
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told_to_go_on_or_why_not() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(1, 1_000);
    let ask = |path: String| {
        let waiting = Raw::new(format!("POST {}", repository.path(&path))).header("Expect", "100-continue");
        waiting.header("Content-Length", "1000").body(blob.clone()).send(&server)
    };
    let told = ask(format!("blobs/uploads/?digest={}", sha256(&blob))).await.expecting(100);
    assert!(told.body.starts_with(b"HTTP/1.1 201 "), "{:?}", told.body);
    let refused = ask("blobs/uploads/?digest=sha256:short".to_owned()).await.expecting(400);
    assert_eq!(refused.code(), "DIGEST_INVALID");
    assert!(repository.blob(&sha256(&blob)).await == blob);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn many_ranges_at_once_are_answered_with_the_whole_and_once() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    for length in [10_000, 200_000] {
        let blob = bytes_of(2, length);
        let digest = repository.push_blob(blob.clone()).await;
        for ranges in [vec!["0-"; 1_000], vec!["0-0"; 1_300], vec!["-1", "0-1", "5-"]] {
            let get = repository.request("GET", &format!("blobs/{digest}"));
            let whole = get.header("range", format!("bytes={}", ranges.join(","))).expect(200).await;
            assert!(whole.body == blob, "{} ranges", ranges.len());
        }
    }
    server.stop().await;
}
