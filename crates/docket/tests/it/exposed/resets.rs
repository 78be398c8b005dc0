//! HTTP/2 written frame by frame, for what no proper client would send.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::tls::{certificate, settings};
use crate::harness::{Ask as _, Server, Site};

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How many requests a server answered in what it sent, and the error code of its GOAWAY.
fn answers(mut bytes: &[u8]) -> (usize, Option<u32>) {
    let (mut answers, mut error) = (0, None);
    while let [a, b, c, kind, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(5..5 + length) else { break };
        answers += usize::from(*kind == HEADERS);
        if *kind == GOAWAY {
            error = payload.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
        }
        bytes = &rest[5 + length..];
    }
    (answers, error)
}

/// CVE-2023-44487: each request costs the client two frames, and the server the work of a request.
#[tokio::test]
async fn a_client_that_takes_back_its_requests_in_masses_is_cut_off() {
    const REQUESTS: u32 = 20_000;
    let site = Site::new();
    let (pem, key, root) = certificate(&site, "server");
    let server = Server::start_with(&site, &settings(&pem.to_string_lossy(), &key.to_string_lossy()));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&pem).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("TLS").with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(server.address()).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("TLS");
    let (mut reading, mut writing) = tokio::io::split(stream);

    let attack = tokio::spawn(async move {
        // :method GET, :scheme https, :path /, :authority localhost (RFC 7541).
        let head = [&[0x82, 0x87, 0x84, 0x01, 9][..], b"localhost"].concat();
        writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        writing.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        for requests in (0..REQUESTS).collect::<Vec<_>>().chunks(100) {
            let frames = requests.iter().flat_map(|request| {
                let stream = request * 2 + 1;
                [frame(HEADERS, END_HEADERS | END_STREAM, stream, &head), frame(RST_STREAM, 0, stream, &CANCEL)]
            });
            writing.write_all(&frames.flatten().collect::<Vec<_>>()).await?;
        }
        writing.flush().await
    });
    let mut answered = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), reading.read_to_end(&mut answered)).await;
    let _ = read.expect("the server ends the connection");
    let (answers, error) = answers(&answered);
    assert_eq!(error, Some(ENHANCE_YOUR_CALM), "after {answers} answers");
    assert!(answers < 1000, "{answers} requests were answered");
    // It may or may not have sent all of it before it saw the end.
    let _ = attack.await.expect("no panic");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().expect("nothing in it can fail");
    client.get(format!("https://{}/v2/", server.address())).expect(200).await;
    server.stop().await;
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u32 = 11;
