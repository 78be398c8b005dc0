//! Large answers, as the kernel sends them.

use std::fmt::Write as _;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Ask as _, Server, Site, bytes_of, sha256};

#[tokio::test]
async fn files_and_small_answers_take_turns_on_one_connection() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blobs = [bytes_of(1, 70_000), bytes_of(2, 1024 * 1024), bytes_of(3, 5_000_001), bytes_of(4, 10)];
    for blob in &blobs {
        repository.push_blob(blob.clone()).await;
    }
    // Everything at once, so that each answer waits behind the one before it.
    let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
    let (mut asked, mut expected) = (String::new(), Vec::new());
    for blob in blobs.iter().chain(blobs.iter().rev()) {
        let path = repository.path(&format!("blobs/{}", sha256(blob)));
        for range in ["", "Range: bytes=1-\r\n", "Range: bytes=0-0\r\n", "Range: bytes=-9\r\n"] {
            let _ = write!(asked, "GET {path} HTTP/1.1\r\nHost: {}\r\n{range}\r\n", server.address());
            expected.push(match range {
                "" => &blob[..],
                "Range: bytes=1-\r\n" => &blob[1..],
                "Range: bytes=0-0\r\n" => &blob[..1],
                _ => &blob[blob.len() - 9..],
            });
        }
        let _ = write!(asked, "HEAD {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        expected.push(&[]);
    }
    let _ = write!(asked, "GET /v2/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address());
    expected.push(b"{}");
    stream.write_all(asked.as_bytes()).await.expect("sent");
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.expect("all of it");
    let mut rest = &answers[..];
    for body in expected {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 20"), "{head}");
        rest = &rest[end..];
        assert!(rest.starts_with(body), "the body behind {head} is another");
        rest = &rest[body.len()..];
    }
    assert_eq!(rest, b"");
    server.stop().await;
}

#[tokio::test]
async fn parallel_ranges_make_up_the_whole() {
    let site = Site::new();
    let server = Server::start(&site);
    let blob = bytes_of(1, 9_999_999);
    let digest = server.repository("a").push_blob(blob.clone()).await;
    let parts = (0..16).map(|part| {
        let (start, end) = (part * blob.len() / 16, (part + 1) * blob.len() / 16 - 1);
        let request = server.repository("a").request("GET", &format!("blobs/{digest}"));
        request.header("range", format!("bytes={start}-{end}")).expect(206)
    });
    let parts: Vec<_> = join_all(parts).await.into_iter().map(|answer| answer.body).collect();
    assert!(parts.concat() == blob);
    server.stop().await;
}

#[tokio::test]
async fn slow_readers_hold_little_memory() {
    // As many as the kernel has buffers for beside the other tests; the bench takes two thousand.
    const READERS: usize = 400;
    const READER_BYTES_MAX: u64 = 64 * 1024;
    let site = Site::new();
    let server = Server::start(&site);
    let digest = server.repository("a").push_blob(bytes_of(1, 16 * 1024 * 1024)).await;
    let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let before = server.memory_bytes();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        // The answer has begun; the rest is not read.
        assert_eq!(stream.read_exact(&mut [0; 1024]).await.expect("the answer begins"), 1024);
        readers.push(stream);
    }
    let each = server.memory_bytes().saturating_sub(before) / READERS as u64;
    assert!(each < READER_BYTES_MAX, "each slow reader holds {each} bytes");
    server.request("GET", "/v2/").expect(200).await;
    drop(readers);
    server.stop().await;
}
