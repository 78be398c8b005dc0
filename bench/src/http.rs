//! A bare HTTP/1.1 client for hot loops: requests are bytes made beforehand, answers are read and mostly dropped.
//!
//! A full client costs about as much per request as the servers measured here, and would hide what differs between
//! them. This one reads what RFC 9112 servers send to it on a kept connection. Of large bodies it asks the kernel to
//! drop the bytes (`MSG_TRUNC`) instead of copying them here, from every server alike: on the machine of a real client
//! that copy would not cost the server anything either.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

/// A server, plain HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Host and port as they were given, for the Host header.
    authority: String,
    /// Where that is.
    pub address: SocketAddr,
    /// Header lines of every request.
    headers: String,
}

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// The server said that it closes after its last answer.
    closing: bool,
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
    pub body_bytes: u64,
}

impl Target {
    /// Reads `http://host:port` and looks the host up.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|authority| !authority.contains('/'));
        let authority = authority.with_context(|| format!("{url:?} is not of the form http://host:port"))?;
        let address = authority.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.with_context(|| format!("there is no host with a port at {url}"))?;
        Ok(Self { authority: authority.to_owned(), address, headers: String::new() })
    }

    /// The server at that address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { authority: address.to_string(), address, headers: String::new() }
    }

    /// The same, asked with `name:password` by Basic authentication.
    pub(crate) fn with_user(self, user: &str) -> Self {
        Self { headers: format!("Authorization: Basic {}\r\n", STANDARD.encode(user)), ..self }
    }

    /// The address as its clients write it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = open(self.address).await?;
        Ok(Connection { address: self.address, stream, closing: false, buffer: vec![0; BUFFER_BYTES] })
    }

    /// The bytes of a request whose body has this length; the body itself follows them.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body_bytes: u64) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{}", self.authority, self.headers);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if body_bytes > 0 || !["GET", "HEAD"].contains(&method) {
            head.extend(["Content-Length: ", &body_bytes.to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The bytes of a request with its body.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut request = self.head(method, path, headers, body.len() as u64);
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

async fn open(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("nothing answers at {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Sends a request and reads the answer; its body is dropped.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.upload(request, std::iter::empty()).await
    }

    /// Sends a request whose body is in pieces and reads the answer; its body is dropped.
    pub(crate) async fn upload(&mut self, head: &[u8], body: impl Iterator<Item = &[u8]>) -> anyhow::Result<Answer> {
        self.send(head).await?;
        for piece in body {
            self.stream.write_all(piece).await.context("the server closed the connection")?;
        }
        self.receive(head.starts_with(b"HEAD "), None).await
    }

    /// Sends a request and reads the answer with its body.
    pub(crate) async fn fetch(&mut self, request: &[u8]) -> anyhow::Result<(Answer, Vec<u8>)> {
        self.send(request).await?;
        let mut body = Vec::new();
        let answer = self.receive(request.starts_with(b"HEAD "), Some(&mut body)).await?;
        Ok((answer, body))
    }

    /// Sends a request and reads no more of the answer than comes with its first bytes.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.send(request).await?;
        self.read(0).await.map(drop)
    }

    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.closing {
            self.stream = open(self.address).await?;
            self.closing = false;
        }
        self.stream.write_all(bytes).await.context("the server closed the connection")
    }

    async fn receive(&mut self, bodiless: bool, mut body: Option<&mut Vec<u8>>) -> anyhow::Result<Answer> {
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(head) = Head::parse(&self.buffer[..filled])? {
                break head;
            }
            ensure!(filled < self.buffer.len(), "the head of an answer is larger than {BUFFER_BYTES} bytes");
        };
        self.closing = head.closing;
        let first = &self.buffer[head.bytes..filled];
        let body_bytes = match head.length {
            _ if bodiless || [204, 304].contains(&head.status) => 0,
            Length::Known(bytes) => {
                let mut left =
                    bytes.checked_sub(first.len() as u64).context("the server sent more than it announced")?;
                if let Some(body) = body.as_deref_mut() {
                    ensure!(bytes <= KEPT_BYTES_MAX, "an answer to be kept is larger than {KEPT_BYTES_MAX} bytes");
                    body.extend_from_slice(first);
                    while left > 0 {
                        let read = self.read(0).await?;
                        body.extend_from_slice(&self.buffer[..read]);
                        left = left.checked_sub(read as u64).context("the server sent more than it announced")?;
                    }
                } else {
                    self.drop_bytes(left).await?;
                }
                bytes
            }
            Length::Chunked => {
                let mut raw = first.to_vec();
                let whole = loop {
                    if let Some(whole) = unchunk(&raw)? {
                        break whole;
                    }
                    ensure!(
                        raw.len() as u64 <= KEPT_BYTES_MAX,
                        "a chunked answer is larger than {KEPT_BYTES_MAX} bytes"
                    );
                    let read = self.read(0).await?;
                    raw.extend_from_slice(&self.buffer[..read]);
                };
                let bytes = whole.len() as u64;
                if let Some(body) = body {
                    *body = whole;
                }
                bytes
            }
        };
        Ok(Answer { status: head.status, location: head.location, body_bytes })
    }

    async fn read(&mut self, at: usize) -> anyhow::Result<usize> {
        let end = self.buffer.len().min(at + READ_BYTES);
        let read = self.stream.read(&mut self.buffer[at..end]).await.context("the answer was cut off")?;
        ensure!(read > 0, "the server closed the connection");
        Ok(read)
    }

    /// Waits for bytes and has the kernel drop them.
    async fn drop_bytes(&mut self, mut left: u64) -> anyhow::Result<()> {
        while left > 0 {
            self.stream.readable().await?;
            let most = usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            let buffer = &mut self.buffer[..most];
            let dropped =
                self.stream.try_io(Interest::READABLE, || Ok(recv(&self.stream, buffer, RecvFlags::TRUNC)?.1));
            match dropped {
                Ok(0) => bail!("the server closed the connection"),
                Ok(bytes) => left -= bytes as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("the answer was cut off"),
            }
        }
        Ok(())
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    bytes: usize,
    status: u16,
    length: Length,
    location: Option<String>,
    closing: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
}

impl Head {
    /// `None` as long as the head is not whole.
    fn parse(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&received[..end]).context("the head of an answer is no text")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.context("an answer does not start with an HTTP/1.1 status")?;
        let mut head = Self { bytes: end + 4, status, length: Length::Known(0), location: None, closing: false };
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.length = Length::Known(value.parse().context("a length that is no number")?);
            } else if name.eq_ignore_ascii_case("location") {
                head.location = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                ensure!(value.eq_ignore_ascii_case("chunked"), "the transfer encoding {value:?} is not read here");
                head.length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                head.closing = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(Some(head))
    }
}

/// The content of a chunked body (RFC 9112, 7.1) without trailers; `None` as long as it is not whole.
fn unchunk(raw: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let (mut rest, mut whole) = (raw, Vec::new());
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|line| line.split(';').next());
        let size =
            size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).context("a chunk without a size")?;
        let Some(chunk) = rest.get(end + 2..(end + 4).saturating_add(size)) else { return Ok(None) };
        let (chunk, ending) = chunk.split_at(size);
        ensure!(ending == b"\r\n", "a chunk does not end where it says, or a trailer follows");
        if size == 0 {
            return Ok(Some(whole));
        }
        whole.extend_from_slice(chunk);
        rest = &rest[end + 4 + size..];
    }
}

/// The largest head, and what the kernel is asked to drop at once; beyond the heads this memory is never touched.
const BUFFER_BYTES: usize = 1024 * 1024;
/// What one read copies at most: a head with a small body.
const READ_BYTES: usize = 16 * 1024;
/// The largest body that is kept.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Option<Head>> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "HTTP/1.1 202 Accepted\r\nlocation: /v2/a/b\r\nCONTENT-LENGTH: 12\r\nConnection: close\r\n\r\nhello";
        let head = Head {
            bytes: text.len() - 5,
            status: 202,
            length: Length::Known(12),
            location: Some("/v2/a/b".to_owned()),
            closing: true,
        };
        assert_eq!(parse(text).expect("understood"), Some(head));
        assert_eq!(parse(&text[..40]).expect("understood so far"), None);
    }

    #[test]
    fn what_is_no_plain_answer_is_an_error() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_chunked_body_is_whole_only_with_its_last_chunk() {
        let raw = b"5\r\nhello\r\n7;why=not\r\n, world\r\n0\r\n\r\n";
        for cut in 0..raw.len() {
            assert_eq!(unchunk(&raw[..cut]).expect("understood so far"), None, "{cut}");
        }
        assert_eq!(unchunk(raw).expect("understood"), Some(b"hello, world".to_vec()));
    }

    #[test]
    fn a_chunk_that_lies_about_its_size_is_an_error() {
        for raw in ["4\r\nhello\r\n", "-1\r\n", "x\r\n", "0\r\nTrailer: 1\r\n\r\n"] {
            assert!(unchunk(raw.as_bytes()).is_err(), "{raw:?}");
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

    #[test]
    fn a_user_is_named_in_every_request() {
        let target = Target::parse("http://127.0.0.1:1").expect("an address").with_user("a:b");
        let head = String::from_utf8(target.head("GET", "/v2/", &[], 0)).expect("text");
        assert_eq!(head, "GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Basic YTpi\r\n\r\n");
    }
}
