//! A bare HTTP/1.1 client for hot loops: requests are bytes made beforehand, answers are read and mostly dropped.
//!
//! A full client costs about as much per request as the servers measured here, and would hide what differs between
//! them. This one reads what RFC 9112 servers send to it on a kept connection: a head, then Content-Length bytes.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server, plain HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Host and port as they were given, for the Host header.
    authority: String,
    address: SocketAddr,
}

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What matters of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status code.
    pub status: u16,
    /// The Location header.
    pub location: Option<String>,
    /// Length of the body.
    pub body_bytes: usize,
}

impl Target {
    /// Reads `http://host:port` and looks the host up.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|authority| !authority.contains('/'));
        let authority = authority.with_context(|| format!("{url:?} is not of the form http://host:port"))?;
        let address = authority.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.with_context(|| format!("there is no host with a port at {url}"))?;
        Ok(Self { authority: authority.to_owned(), address })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| format!("nothing answers at {}", self.authority))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// The bytes of a request whose body has this length; the body itself follows them.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body_bytes: usize) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.authority);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if body_bytes > 0 || method != "GET" {
            head.extend(["Content-Length: ", &body_bytes.to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The bytes of a request with its body.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut request = self.head(method, path, headers, body.len());
        request.extend_from_slice(body);
        request
    }

    /// The path of a Location header: relative, or absolute on any host.
    pub(crate) fn path_of(location: &str) -> &str {
        match location.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => location,
        }
    }
}

impl Connection {
    /// Sends a request in parts and reads the answer; its body is dropped.
    pub(crate) async fn exchange(&mut self, parts: &[&[u8]]) -> anyhow::Result<Answer> {
        self.send(parts).await?;
        self.receive(|_| ()).await
    }

    /// Sends a request and reads the answer with its body.
    pub(crate) async fn fetch(&mut self, request: &[u8]) -> anyhow::Result<(Answer, Vec<u8>)> {
        self.send(&[request]).await?;
        let mut body = Vec::new();
        let answer = self.receive(|chunk| body.extend_from_slice(chunk)).await?;
        Ok((answer, body))
    }

    async fn send(&mut self, parts: &[&[u8]]) -> anyhow::Result<()> {
        for part in parts {
            self.stream.write_all(part).await.context("the server closed the connection")?;
        }
        Ok(())
    }

    async fn receive(&mut self, mut body: impl FnMut(&[u8])) -> anyhow::Result<Answer> {
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
            ensure!(filled < self.buffer.len(), "the head of an answer is larger than {BUFFER_BYTES} bytes");
        };
        ensure!(head.body_bytes <= BODY_BYTES_MAX, "an answer is larger than {BODY_BYTES_MAX} bytes");
        let mut read = filled - head.bytes;
        body(&self.buffer[head.bytes..filled]);
        while read < head.body_bytes {
            let chunk = self.read(0).await?;
            body(&self.buffer[..chunk]);
            read += chunk;
        }
        ensure!(read == head.body_bytes, "the server sent more than it announced");
        Ok(Answer { status: head.status, location: head.location, body_bytes: head.body_bytes })
    }

    async fn read(&mut self, at: usize) -> anyhow::Result<usize> {
        let read = self.stream.read(&mut self.buffer[at..]).await.context("the answer was cut off")?;
        ensure!(read > 0, "the server closed the connection");
        Ok(read)
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    bytes: usize,
    status: u16,
    body_bytes: usize,
    location: Option<String>,
}

impl Head {
    /// `None` as long as the head is not whole.
    fn parse(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&received[..end]).context("the head of an answer is no text")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.context("an answer does not start with an HTTP/1.1 status")?;
        let (mut body_bytes, mut location) = (0, None);
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse().context("a length that is no number")?;
            } else if name.eq_ignore_ascii_case("location") {
                location = Some(value.trim().to_owned());
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("the server answers in chunks, which this generator does not read");
            }
        }
        Ok(Some(Self { bytes: end + 4, status, body_bytes, location }))
    }
}

/// What one read takes at most, and the largest head.
const BUFFER_BYTES: usize = 256 * 1024;
/// The largest body.
const BODY_BYTES_MAX: usize = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Option<Head>> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "HTTP/1.1 202 Accepted\r\nlocation: /v2/a/b\r\nCONTENT-LENGTH: 12\r\n\r\nhello";
        let head = Head { bytes: text.len() - 5, status: 202, body_bytes: 12, location: Some("/v2/a/b".to_owned()) };
        assert_eq!(parse(text).expect("understood"), Some(head));
        assert_eq!(parse(&text[..40]).expect("understood so far"), None);
    }

    #[test]
    fn what_is_no_plain_answer_is_an_error() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn locations_become_paths() {
        assert_eq!(Target::path_of("http://127.0.0.1:1/v2/x?y=z"), "/v2/x?y=z");
        assert_eq!(Target::path_of("/v2/x"), "/v2/x");
        assert_eq!(Target::path_of("http://host"), "/");
    }

    #[test]
    fn only_plain_addresses_are_targets() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:1/v2/"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
        assert!(Target::parse("http://127.0.0.1:1/").is_ok());
    }
}
