//! HTTPS from files: both versions of HTTP, and files that cannot be served with.

use std::path::PathBuf;

use crate::harness::{Ask as _, Server, Site, bytes_of, said, sha256};

/// A certificate for localhost and its key, in the site's folder.
pub(super) fn certificate(site: &Site, name: &str) -> (PathBuf, PathBuf, reqwest::Certificate) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let made = made.expect("names that can stand in a certificate");
    let (certificate, key) = (site.folder().join(format!("{name}.pem")), site.folder().join(format!("{name}.key")));
    std::fs::write(&certificate, made.cert.pem()).expect("the folder is ours");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder is ours");
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
    (certificate, key, root)
}

pub(super) fn settings<'a>(certificate: &'a str, key: &'a str) -> [(&'a str, &'a str); 2] {
    [("DOCKET_TLS__CERTIFICATE", certificate), ("DOCKET_TLS__KEY", key)]
}

fn client(root: reqwest::Certificate) -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only([root])
}

#[tokio::test]
async fn https_speaks_both_versions_and_gives_the_same_bytes() {
    let site = Site::new();
    let (certificate, key, root) = certificate(&site, "server");
    let server = Server::start_with(&site, &settings(&certificate.to_string_lossy(), &key.to_string_lossy()));
    let blob = bytes_of(1, 3_000_000);
    let digest = sha256(&blob);
    let url = |path: String| format!("https://{}{path}", server.address());
    let (new, old) = (client(root.clone()), client(root).http1_only());
    for (client, version, part) in [(new, reqwest::Version::HTTP_2, "a"), (old, reqwest::Version::HTTP_11, "b")] {
        let client = client.build().expect("nothing in it can fail");
        let push = client.post(url(format!("/v2/{part}/blobs/uploads/?digest={digest}")));
        push.body(blob.clone()).expect(201).await;
        let pull = client.get(url(format!("/v2/{part}/blobs/{digest}"))).send().await.expect("an answer");
        assert_eq!(pull.version(), version);
        assert!(pull.bytes().await.expect("a body") == blob);
        let part = client.get(url(format!("/v2/{part}/blobs/{digest}"))).header("range", "bytes=999999-2000000");
        assert!(part.expect(206).await.body == blob[999_999..=2_000_000]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_after_a_reload_and_a_broken_one_never() {
    let site = Site::new();
    let (certificate, key, old) = certificate(&site, "server");
    let server = Server::start_with(&site, &settings(&certificate.to_string_lossy(), &key.to_string_lossy()));
    let url = format!("https://{}/v2/", server.address());
    let trusts = async |root: &reqwest::Certificate| {
        let client = client(root.clone()).build().expect("nothing in it can fail");
        client.get(&url).try_answer().await.is_some()
    };
    assert!(trusts(&old).await);
    std::fs::write(&certificate, "no certificate").expect("the folder is ours");
    let refused = site.docket(&["reload"]);
    assert!(!refused.status.success() && said(&refused).contains("tls.certificate"), "{}", said(&refused));
    assert!(trusts(&old).await);
    let (_, _, new) = self::certificate(&site, "server");
    let reloaded = site.docket(&["reload"]);
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    assert!(trusts(&new).await && !trusts(&old).await);
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_address_is_no_request() {
    let site = Site::new();
    let (certificate, key, root) = certificate(&site, "server");
    let server = Server::start_with(&site, &settings(&certificate.to_string_lossy(), &key.to_string_lossy()));
    assert!(server.request("GET", "/v2/").try_answer().await.is_none());
    let client = client(root).build().expect("nothing in it can fail");
    client.get(format!("https://{}/v2/", server.address())).expect(200).await;
    server.stop().await;
}

#[tokio::test]
async fn tls_that_cannot_work_is_said_before_anyone_connects() {
    let site = Site::new();
    let (certificate, key, _) = certificate(&site, "server");
    let (_, other, _) = self::certificate(&site, "other");
    let (certificate, key, other) = (certificate.to_string_lossy(), key.to_string_lossy(), other.to_string_lossy());
    for (settings, words) in [
        (&settings(&certificate, &key)[..1], "tls.key is not"),
        (&settings(&certificate, &key)[1..], "tls.certificate is not"),
        (&settings(&certificate, &other)[..], "does not belong to the certificate"),
        (&settings(&key, &key)[..], "no certificate"),
        (&settings("/nowhere.pem", &key)[..], "tls.certificate /nowhere.pem"),
        (&settings(&certificate, &certificate)[..], "tls.key"),
    ] {
        let Err(log) = Server::try_start(&site, settings) else { panic!("it started with {settings:?}") };
        assert!(log.contains(words), "{words:?} is missing from {log}");
    }
}

#[tokio::test]
async fn many_slow_readers_over_tls_hold_little_memory_together() {
    const READERS: usize = 300;
    // What TLS itself keeps is in it, and the large chunks that the first readers found free.
    const READER_BYTES_MAX: u64 = 512 * 1024;
    let site = Site::new();
    let (certificate, key, root) = certificate(&site, "server");
    let server = Server::start_with(&site, &settings(&certificate.to_string_lossy(), &key.to_string_lossy()));
    let client = client(root).http1_only().build().expect("nothing in it can fail");
    let blob = bytes_of(1, 16 * 1024 * 1024);
    let url = |path: &str| format!("https://{}/v2/a/blobs/{path}", server.address());
    let digest = sha256(&blob);
    client.post(url(&format!("uploads/?digest={digest}"))).body(blob.clone()).expect(201).await;
    let before = server.memory_bytes();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        // The answer has begun; the rest is not read.
        readers.push(client.get(url(&digest.to_string())).send().await.expect("the answer begins"));
    }
    let each = server.memory_bytes().saturating_sub(before) / READERS as u64;
    assert!(each < READER_BYTES_MAX, "each slow reader holds {each} bytes");
    // The last of them is served when it reads on.
    assert!(readers.pop().expect("one").bytes().await.expect("all of it") == blob);
    server.stop().await;
}
