//! Requests whose end can be seen in two places, and heads without end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::state::State;
use crate::harness::{Ask as _, EMPTY_DIGEST, Raw, Server, Site};

/// A proxy that reads the other of two lengths would let one client's request pass inside of another's.
#[tokio::test]
async fn one_request_is_never_read_as_two() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("a").push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    let host = server.address();
    let inner = format!(
        "0\r\n\r\nPOST /v2/a/blobs/uploads/?digest={EMPTY_DIGEST} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    );
    let length = format!("Content-Length: {}\r\n", inner.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    for framing in [
        format!("{length}{chunked}"),
        format!("{chunked}{length}"),
        format!("{}\n{chunked}", length.trim_end()),
        format!("{length}Transfer-Encoding: identity\r\n"),
        format!("{length}Transfer-Encoding: chunked, identity\r\n"),
        format!("{length}Transfer-Encoding: xchunked\r\n"),
        format!("{length}Transfer-Encoding : chunked\r\n"),
        format!("{length}Transfer-Encoding:\r\n chunked\r\n"),
        format!("{length}Transfer-Encoding: \u{b}chunked\r\n"),
        format!("{length}{chunked}Transfer-Encoding: identity\r\n"),
        format!("{length}Content-Length: 5\r\n"),
        format!("Content-Length: 5, {}\r\n", inner.len()),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 6\r\n".to_owned(),
    ] {
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n{inner}");
        let mut stream = TcpStream::connect(host).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        // A reset may follow the answer, as bytes are left that nobody reads.
        let _ = stream.shutdown().await;
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{framing:?}: {answers}");
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_has_so_many_headers_and_bytes_and_no_more() {
    let site = Site::new();
    let server = Server::start(&site);
    let many = (0..100).fold(Raw::new("GET /v2/"), |request, number| request.header(&format!("x-{number}"), "1"));
    many.send(&server).await.expecting(431);
    let before = server.memory_bytes();
    let long = "a".repeat(16 * 1024 * 1024);
    for request in [Raw::new("GET /v2/").header("x-long", &long), Raw::new(format!("GET /v2/?{long}"))] {
        // Closing a connection that still sends may overtake the answer.
        let status = request.try_send(&server).await.map(|answer| answer.status);
        assert!(matches!(status, None | Some(414 | 431)), "{status:?}");
    }
    let grown = server.memory_bytes().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "it grew by {grown} bytes");
    server.request("GET", "/v2/").expect(200).await;
    server.stop().await;
}
