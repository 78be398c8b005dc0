//! end-4, end-5, end-6, end-13 and end-14: every way a blob can come in.

use bytes::Bytes;
use futures_util::stream;

use crate::harness::{Ask as _, EMPTY_DIGEST, Raw, Server, Site, bytes_of, sha256, sha512};

#[tokio::test]
async fn end_4a_an_upload_starts_at_zero_bytes_with_a_location_of_its_own() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a/b");
    let first = repository.request("POST", "blobs/uploads/").expect(202).await;
    let second = repository.request("POST", "blobs/uploads").expect(202).await;
    assert_ne!(first.location(), second.location());
    for answer in [first, second] {
        assert_eq!(answer.header("range"), Some("0-0"));
        assert_eq!(answer.header("content-length"), Some("0"));
        let id = answer.header("docker-upload-uuid").expect("the session's id").to_owned();
        assert_eq!(answer.location(), repository.path(&format!("blobs/uploads/{id}")));
    }
    server.stop().await;
}

#[tokio::test]
async fn end_4b_a_blob_is_pushed_by_one_post() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(1, 100_000);
    let (short, long) = (sha256(&blob), sha512(&blob));
    for digest in [short, long] {
        let path = format!("blobs/uploads/?digest={digest}");
        let pushed = repository.request("POST", &path).body(blob.clone()).expect(201).await;
        assert_eq!(pushed.location(), repository.path(&format!("blobs/{digest}")));
        assert_eq!(pushed.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert!(repository.blob(&digest).await == blob);
    }
    let wrong = format!("blobs/uploads/?digest={}", sha256(b"other"));
    let refused = repository.request("POST", &wrong).body(blob).expect(400).await;
    assert_eq!(refused.code(), "DIGEST_INVALID");
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 2);
}

#[tokio::test]
async fn end_4c_a_session_for_sha512_takes_a_sha512_blob() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    for length in [10, 200_000] {
        let blob = bytes_of(2, length);
        let started = repository.request("POST", "blobs/uploads/?digest-algorithm=sha512").expect(202).await;
        server.request("PATCH", &started.location()).body(blob.clone()).expect(202).await;
        let digest = sha512(&blob);
        server.request("PUT", &format!("{}?digest={digest}", started.location())).expect(201).await;
        assert!(repository.blob(&digest).await == blob);
    }
    let refused = repository.request("POST", "blobs/uploads/?digest-algorithm=md5").expect(400).await;
    assert_eq!(refused.code(), "DIGEST_INVALID");
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_5_the_range_counts_from_the_start_of_the_blob() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(3, 250);
    let location = repository.start_upload().await;
    for (start, end) in [(0, 99), (100, 199), (200, 249)] {
        let chunk = server.request("PATCH", &location).header("content-range", format!("{start}-{end}"));
        let taken = chunk.body(blob[start..=end].to_vec()).expect(202).await;
        assert_eq!(taken.header("range"), Some(format!("0-{end}").as_str()));
        assert_eq!(taken.location(), location);
        let status = server.request("GET", &format!("{location}?digest={EMPTY_DIGEST}")).expect(204).await;
        assert_eq!(status.header("range"), Some(format!("0-{end}").as_str()));
    }
    repository.finish_upload(&location, &blob).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_5_a_chunk_out_of_order_is_416_and_says_where_to_go_on() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let location = repository.start_upload().await;
    let patch = |range: &str, length: usize| {
        server.request("PATCH", &location).header("content-range", range).body(bytes_of(4, length))
    };
    let early = patch("10-19", 10).expect(416).await;
    assert_eq!((early.location(), early.header("range")), (location.clone(), Some("0-0")));
    patch("0-9", 10).expect(202).await;
    // Again, too far on, and ranges that do not say how much comes.
    for (range, length) in [("0-9", 10), ("20-29", 10), ("10-19", 9), ("10-19", 11)] {
        let refused = patch(range, length).expect(416).await;
        assert_eq!(refused.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!((refused.location(), refused.header("range")), (location.clone(), Some("0-9")), "{range}");
    }
    let status = server.request("GET", &location).expect(204).await;
    assert_eq!(status.header("range"), Some("0-9"), "what was refused does not count");
    server.stop().await;
}

#[tokio::test]
async fn end_5_a_stream_of_unknown_length_is_taken_without_a_range() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(5, 3_000_000);
    let location = repository.start_upload().await;
    for half in [&blob[..1_700_000], &blob[1_700_000..]] {
        let chunks: Vec<_> =
            half.chunks(70_000).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
        let body = reqwest::Body::wrap_stream(stream::iter(chunks));
        server.request("PATCH", &location).body(body).expect(202).await;
    }
    repository.finish_upload(&location, &blob).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_5_a_chunk_that_is_not_as_long_as_its_range_is_416_and_none_of_it_stays() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    // Chunks that stay in memory, that make the upload a file, and that add to a file.
    for (before, length) in [(0, 1_000), (1_000, 200_000), (200_000, 2_500_000)] {
        let blob = bytes_of(6, before + length);
        let location = repository.start_upload().await;
        server.request("PATCH", &location).body(blob[..before].to_vec()).expect(202).await;
        let stands = docket_oci::range::upload_progress(before as u64);
        let range = format!("{before}-{}", before + length - 1);
        for lie in [length - 1, length + 1, length + 3_000_000] {
            let chunks: Vec<_> =
                bytes_of(7, lie).chunks(30_000).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
            let body = reqwest::Body::wrap_stream(stream::iter(chunks));
            let refused =
                server.request("PATCH", &location).header("content-range", &range).body(body).expect(416).await;
            assert_eq!(refused.header("range"), Some(stands.as_str()), "{lie} bytes for {range}");
            let status = server.request("GET", &location).expect(204).await;
            assert_eq!(status.header("range"), Some(stands.as_str()), "{lie} bytes for {range}");
        }
        let chunk = server.request("PATCH", &location).header("content-range", &range).body(blob[before..].to_vec());
        chunk.expect(202).await;
        repository.finish_upload(&location, &blob).await;
    }
    server.stop().await;
    assert_eq!(site.staged(), [""; 0]);
    site.fsck_clean();
}

#[tokio::test]
async fn end_5_a_chunk_whose_client_died_is_not_counted_and_can_be_sent_again() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(8, 400_000);
    let location = repository.start_upload().await;
    let chunk = |range: &str, bytes: &[u8]| {
        server.request("PATCH", &location).header("content-range", range).body(bytes.to_vec())
    };
    chunk("0-99999", &blob[..100_000]).expect(202).await;
    let cut = Raw::new(format!("PATCH {location}")).header("Content-Range", "100000-399999");
    let cut = cut.header("Content-Length", "300000").body(&blob[100_000..300_000]).cut_off();
    assert_ne!(cut.try_send(&server).await.map(|answer| answer.status), Some(202));
    let status = server.request("GET", &location).expect(204).await;
    assert_eq!(status.header("range"), Some("0-99999"));
    // The server may still be taking back what came.
    let again = loop {
        let again = chunk("100000-399999", &blob[100_000..]).answer().await;
        if again.status != 416 {
            break again;
        }
        assert_eq!(again.header("range"), Some("0-99999"));
    };
    assert_eq!(again.expecting(202).header("range"), Some("0-399999"));
    repository.finish_upload(&location, &blob).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_4a_too_many_open_uploads_are_429_with_a_time_to_wait() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let mut opened = 0;
    let refused = loop {
        let answer = repository.request("POST", "blobs/uploads/").answer().await;
        if answer.status != 202 {
            break answer;
        }
        opened += 1;
        assert!(opened <= 1_000, "there is no end to it");
    };
    assert_eq!(refused.expecting(429).header("retry-after"), Some("1"));
    // Who sends a blob whole needs no session.
    repository.push_blob("a blob").await;
    server.stop().await;
}

#[tokio::test]
async fn end_6_the_closing_put_takes_all_of_a_blob_its_last_chunk_or_nothing() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(8, 150_000);
    let digest = sha256(&blob);
    for split in [0, 100_000, blob.len()] {
        let location = repository.start_upload().await;
        if split > 0 {
            server.request("PATCH", &location).body(blob[..split].to_vec()).expect(202).await;
        }
        let mut put = server.request("PUT", &format!("{location}?digest={digest}")).body(blob[split..].to_vec());
        if split < blob.len() {
            put = put.header("content-range", format!("{split}-{}", blob.len() - 1));
        }
        let closed = put.expect(201).await;
        assert_eq!(closed.location(), repository.path(&format!("blobs/{digest}")));
        assert_eq!(closed.header("docker-content-digest"), Some(digest.to_string().as_str()));
        let gone = server.request("GET", &location).expect(404).await;
        assert_eq!(gone.code(), "BLOB_UPLOAD_UNKNOWN", "a session ends with its blob");
    }
    assert!(repository.blob(&digest).await == blob);
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 1);
}

#[tokio::test]
async fn end_6_a_closing_put_that_is_wrong_makes_no_blob() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(9, 100);
    let digest = sha256(&blob);
    let location = repository.start_upload().await;
    server.request("PATCH", &location).body(blob[..50].to_vec()).expect(202).await;
    assert_eq!(server.request("PUT", &location).expect(400).await.code(), "DIGEST_INVALID");
    let put = server.request("PUT", &format!("{location}?digest={digest}"));
    let early = put.header("content-range", "60-99").body(blob[60..].to_vec()).expect(416).await;
    assert_eq!(early.header("range"), Some("0-49"));
    let wrong = server.request("PUT", &format!("{location}?digest={EMPTY_DIGEST}")).expect(400).await;
    assert_eq!(wrong.code(), "DIGEST_INVALID");
    assert!(wrong.message().contains(EMPTY_DIGEST), "{}", wrong.message());
    repository.request("HEAD", &format!("blobs/{EMPTY_DIGEST}")).expect(404).await;
    let unknown = repository.path("blobs/uploads/00000000-0000-0000-0000-000000000000");
    let answer = server.request("PUT", &format!("{unknown}?digest={digest}")).body(blob).expect(404).await;
    assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 0);
}

#[tokio::test]
async fn the_empty_blob_is_a_blob_on_every_way_in() {
    let site = Site::new();
    let server = Server::start(&site);
    for name in ["post", "put", "patch"] {
        let repository = server.repository(name);
        if name == "post" {
            let path = format!("blobs/uploads/?digest={EMPTY_DIGEST}");
            repository.request("POST", &path).header("content-length", "0").expect(201).await;
        } else {
            let location = repository.start_upload().await;
            if name == "patch" {
                let taken = server.request("PATCH", &location).body("").expect(202).await;
                assert_eq!(taken.header("range"), Some("0-0"));
            }
            server.request("PUT", &format!("{location}?digest={EMPTY_DIGEST}")).expect(201).await;
        }
        let got = repository.request("GET", &format!("blobs/{EMPTY_DIGEST}")).expect(200).await;
        assert_eq!((got.body.len(), got.header("content-length")), (0, Some("0")));
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 1);
}

#[tokio::test]
async fn end_13_a_session_belongs_to_its_repository() {
    let site = Site::new();
    let server = Server::start(&site);
    let location = server.repository("mine").start_upload().await;
    let elsewhere = location.replace("/v2/mine/", "/v2/yours/");
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(server.request(method, &elsewhere).expect(404).await.code(), "BLOB_UPLOAD_UNKNOWN");
    }
    let put = format!("{elsewhere}?digest={EMPTY_DIGEST}");
    assert_eq!(server.request("PUT", &put).expect(404).await.code(), "BLOB_UPLOAD_UNKNOWN");
    server.request("GET", &location).expect(204).await;
    server.stop().await;
}

#[tokio::test]
async fn end_14_a_cancelled_upload_is_gone() {
    let site = Site::new();
    let server = Server::start(&site);
    let location = server.repository("a").start_upload().await;
    server.request("PATCH", &location).body(bytes_of(1, 2_000_000)).expect(202).await;
    server.request("DELETE", &location).expect(204).await;
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(server.request(method, &location).expect(404).await.code(), "BLOB_UPLOAD_UNKNOWN");
    }
    server.stop().await;
    let staged = std::fs::read_dir(site.data().join("staging")).expect("the folder of uploads").count();
    assert_eq!(staged, 0, "what was received is removed");
    site.fsck_clean();
}

#[tokio::test]
async fn two_writers_of_one_session_never_interleave() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let location = repository.start_upload().await;
    // The first holds the session until it is told to go on.
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let first = bytes_of(1, 50_000);
    let (head, tail) = (Bytes::copy_from_slice(&first[..20_000]), Bytes::copy_from_slice(&first[20_000..]));
    let chunks = stream::once(async { Ok::<_, std::io::Error>(head) });
    let chunks = futures_util::StreamExt::chain(
        chunks,
        stream::once(async {
            told.await.expect("told to go on");
            Ok(tail)
        }),
    );
    let slow = server.request("PATCH", &location).body(reqwest::Body::wrap_stream(chunks));
    let slow = tokio::spawn(slow.answer());
    // Asking how far it is disturbs nobody.
    while server.request("GET", &location).expect(204).await.header("range") != Some("0-19999") {}
    let busy = server.request("PATCH", &location).body("intruder").expect(416).await;
    assert_eq!(busy.code(), "BLOB_UPLOAD_INVALID");
    assert_eq!((busy.location(), busy.header("range")), (location.clone(), Some("0-19999")));
    go_on.send(()).expect("the first still sends");
    assert_eq!(slow.await.expect("sent").expecting(202).header("range"), Some("0-49999"));
    let digest = sha256(&first);
    server.request("PUT", &format!("{location}?digest={digest}")).expect(201).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_may_push_the_same_blob_at_once() {
    let site = Site::new();
    let server = Server::start(&site);
    for length in [500, 400_000] {
        let blob = bytes_of(11, length);
        let digest = sha256(&blob);
        let pushes = (0..16).map(async |client: usize| {
            let name = ["one", "two"][client % 2];
            server.repository(name).push_blob(blob.clone()).await;
        });
        futures_util::future::join_all(pushes).await;
        for name in ["one", "two"] {
            assert!(server.repository(name).blob(&digest).await == blob);
        }
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 2, "one copy of each");
}
