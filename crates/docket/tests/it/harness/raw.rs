//! Requests written byte by byte, for what no proper client would send.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, Server};

/// A request as it goes over the wire.
pub(crate) struct Raw {
    line: Vec<u8>,
    headers: Vec<u8>,
    body: Vec<u8>,
    has_host: bool,
    cut_off: bool,
}

impl Raw {
    /// A request line without its version.
    pub(crate) fn new(line: impl AsRef<[u8]>) -> Self {
        Self { line: line.as_ref().to_vec(), headers: Vec::new(), body: Vec::new(), has_host: false, cut_off: false }
    }

    /// Adds a header. A `Host` takes the place of the right one.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.has_host |= name.eq_ignore_ascii_case("host");
        self.headers.extend(format!("{name}: {value}\r\n").bytes());
        self
    }

    /// Adds a body; its length is not announced.
    pub(crate) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Ends the connection's sending half after the body, as a client does that goes away in the middle.
    pub(crate) fn cut_off(self) -> Self {
        Self { cut_off: true, ..self }
    }

    /// Sends it and reads what comes back until the server closes.
    pub(crate) async fn send(self, server: &Server) -> Answer {
        let asked = self.asked();
        self.try_send(server).await.unwrap_or_else(|| panic!("{asked}: the connection broke"))
    }

    /// The same, or `None` where the server closed without an answer.
    pub(crate) async fn try_send(mut self, server: &Server) -> Option<Answer> {
        let asked = self.asked();
        if !self.has_host {
            self = self.header("Host", server.address());
        }
        let head = [&self.line[..], b" HTTP/1.1\r\nConnection: close\r\n", &self.headers, b"\r\n", &self.body].concat();
        let exchange = async {
            let mut stream = TcpStream::connect(server.address()).await?;
            stream.write_all(&head).await?;
            if self.cut_off {
                stream.shutdown().await?;
            }
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = tokio::time::timeout(EXCHANGE_TIME_MAX, exchange).await;
        let answer = answer.unwrap_or_else(|_| panic!("{asked}: no answer in time")).ok()?;
        (!answer.is_empty()).then(|| parse(&answer, asked))
    }

    fn asked(&self) -> String {
        String::from_utf8_lossy(&self.line).chars().take(200).collect()
    }
}

/// Reads an answer with a body of known length.
fn parse(bytes: &[u8], asked: String) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{asked}: no HTTP answer in {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).expect("headers are text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let name = HeaderName::try_from(name).expect("a header name");
            (name, HeaderValue::try_from(value.trim()).expect("a header value"))
        })
        .collect();
    let body = Bytes::copy_from_slice(&bytes[end + 4..]);
    Answer { status: status.expect("a status"), headers, body, asked }
}

const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(20);
