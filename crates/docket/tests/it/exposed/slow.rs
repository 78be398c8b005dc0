//! Clients that are slow on purpose, or by fate, hold nothing for long.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Ask as _, Server, Site, bytes_of, sha256};

const QUICK: [(&str, &str); 2] = [("DOCKET_LIMITS__IDLE", "300ms"), ("DOCKET_LIMITS__STALL", "300ms")];

/// What the server sends until it closes.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await;
    // A reset is an end, too.
    let _ = read.expect("the server closes in time");
    said
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let site = Site::new();
    let server = Server::start_with(&site, &QUICK);
    let mut silent = TcpStream::connect(server.address()).await.expect("it listens");
    assert_eq!(until_closed(&mut silent).await, b"");
    // Also one that asked before.
    let mut asked = TcpStream::connect(server.address()).await.expect("it listens");
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    asked.write_all(request.as_bytes()).await.expect("sent");
    assert!(until_closed(&mut asked).await.starts_with(b"HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let site = Site::new();
    let server = Server::start_with(&site, &QUICK);
    let stream = TcpStream::connect(server.address()).await.expect("it listens");
    let (mut reading, mut writing) = stream.into_split();
    let drip = tokio::spawn(async move {
        let mut sent = 0_u32;
        while writing.write_all(b"G").await.is_ok() && sent < 2000 {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sent
    });
    let began = Instant::now();
    let mut said = Vec::new();
    let _ = reading.read_to_end(&mut said).await;
    assert!(began.elapsed() < Duration::from_secs(15), "the drip was suffered for {:?}", began.elapsed());
    assert!(drip.await.expect("no panic") < 2000);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_is_answered_and_what_came_is_kept() {
    let site = Site::new();
    let server = Server::start_with(&site, &QUICK);
    let location = server.repository("a").start_upload().await;
    let mut stopped = TcpStream::connect(server.address()).await.expect("it listens");
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\n", server.address());
    stopped.write_all(head.as_bytes()).await.expect("sent");
    stopped.write_all(&[7; 100]).await.expect("sent");
    let said = String::from_utf8(until_closed(&mut stopped).await).expect("text");
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("ask for its range"), "{said}");
    assert_eq!(server.request("GET", &location).expect(204).await.header("range"), Some("0-99"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_and_one_that_flows_slowly_is_not() {
    let site = Site::new();
    let settings = [QUICK[0], QUICK[1], ("DOCKET_LIMITS__BODY_BYTES_PER_SECOND", "1000")];
    let server = Server::start_with(&site, &settings);
    let location = server.repository("a").start_upload().await;
    let body = |piece: &'static [u8], pieces: usize| {
        let pieces = futures_util::stream::iter(0..pieces);
        let pieces = futures_util::StreamExt::then(pieces, move |_| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, std::io::Error>(piece)
        });
        reqwest::Body::wrap_stream(pieces)
    };
    let drip = server.request("PATCH", &location).body(body(b"x", 100)).answer().await;
    assert_eq!(drip.status, 408, "{drip:?}");
    let began = Instant::now();
    server.request("PATCH", &location).body(body(&[0; 1000], 20)).expect(202).await;
    assert!(began.elapsed() > Duration::from_secs(1), "it was slow indeed");
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_and_a_slow_one_is_served() {
    let site = Site::new();
    // Long enough for a slow reader that a busy machine makes slower.
    let server = Server::start_with(&site, &[QUICK[0], ("DOCKET_LIMITS__STALL", "2s")]);
    // More than the kernel's buffers take.
    let blob = bytes_of(1, 16 * 1024 * 1024);
    let digest = server.repository("a").push_blob(blob.clone()).await;
    let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    let open = async || {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        stream
    };
    let (mut stuck, mut slow) = (open().await, open().await);
    let mut received = Vec::new();
    let body_at =
        |received: &[u8]| received.windows(4).take(4096).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    while body_at(&received).is_none_or(|at| received.len() < at + blob.len()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut piece = vec![0; 256 * 1024];
        let length = slow.read(&mut piece).await.expect("still served");
        assert_ne!(length, 0, "cut off after {} bytes", received.len());
        received.extend_from_slice(&piece[..length]);
    }
    assert!(sha256(&received[body_at(&received).expect("a head")..]) == digest);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(until_closed(&mut stuck).await.len() < blob.len(), "it was served to the end");
    server.stop().await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_LIMITS__CONNECTIONS_PER_ADDRESS", "8")]);
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert_ne!(stream.read(&mut [0; 1024]).await.expect("an answer"), 0);
        open.push(stream);
    }
    let mut ninth = TcpStream::connect(server.address()).await.expect("the kernel accepts");
    assert_eq!(until_closed(&mut ninth).await, b"");
    open.clear();
    while server.request("GET", "/v2/").try_answer().await.is_none() {}
    server.stop().await;
}

#[tokio::test]
async fn one_client_has_so_many_requests_at_once_and_is_asked_to_wait() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_LIMITS__REQUESTS_PER_ACCOUNT", "1")]);
    let location = server.repository("a").start_upload().await;
    let mut busy = TcpStream::connect(server.address()).await.expect("it listens");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        server.address()
    );
    busy.write_all(head.as_bytes()).await.expect("sent");
    // From here on the request is being answered.
    assert_ne!(busy.read(&mut [0; 1024]).await.expect("leave to go on"), 0);
    let refused = server.request("GET", "/v2/").expect(429).await;
    assert_eq!(refused.code(), "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), Some("1"));
    busy.write_all(&[0; 10]).await.expect("sent");
    assert_ne!(busy.read(&mut [0; 1024]).await.expect("an answer"), 0);
    server.request("GET", "/v2/").expect(200).await;
    server.stop().await;
}
