//! Uploads across restarts and crashes: what came is still there, and nobody is told of more.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use crate::harness::{Ask as _, Server, Site, bytes_of, sha256};

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_where_it_stopped() {
    let site = Site::new();
    let mut server = Server::start(&site);
    let blob = bytes_of(1, 3_000_000);
    let location = server.repository("a").start_upload().await;
    let mut at = 0;
    for end in [0, 1_000, 50_000, 400_000, 2_999_999] {
        if end > 0 {
            let chunk = server.request("PATCH", &location).header("content-range", format!("{at}-{}", end - 1));
            chunk.body(blob[at..end].to_vec()).expect(202).await;
            at = end;
        }
        server.stop().await;
        server = Server::start(&site);
        let status = server.request("GET", &location).expect(204).await;
        assert_eq!(status.header("range"), Some(format!("0-{}", at.saturating_sub(1)).as_str()));
    }
    let digest = sha256(&blob);
    let put = server.request("PUT", &format!("{location}?digest={digest}"));
    put.body(blob[at..].to_vec()).expect(201).await;
    assert!(server.repository("a").blob(&digest).await == blob);
    server.stop().await;
    assert_eq!(site.staged(), [""; 0]);
    assert_eq!(site.fsck_clean().blobs, 1);
}

#[tokio::test]
async fn after_a_crash_an_upload_tells_how_much_it_has_and_goes_on_from_there() {
    let site = Site::new();
    let server = Server::start(&site);
    let blob = bytes_of(2, 5_000_000);
    let repository = server.repository("a");
    let (large, small) = (repository.start_upload().await, repository.start_upload().await);
    server.request("PATCH", &small).body(blob[..1_000].to_vec()).expect(202).await;
    server.request("PATCH", &large).body(blob[..2_500_000].to_vec()).expect(202).await;
    // And one more chunk that is on its way when the server dies.
    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let chunk = Bytes::copy_from_slice(&blob[2_500_000..4_000_000]);
    let body = reqwest::Body::wrap_stream(stream::once(async { Ok(chunk) }).chain(never));
    let cut_off = tokio::spawn(server.request("PATCH", &large).body(body).try_answer());
    while server.request("GET", &large).expect(204).await.header("range") == Some("0-2499999") {}
    server.kill9().await;
    assert!(cut_off.await.expect("joined").is_none(), "nobody was told that it was taken");

    let server = Server::start(&site);
    let reached = |range: Option<&str>| -> usize {
        let last: usize = range.and_then(|range| range.strip_prefix("0-")).expect("a range").parse().expect("a number");
        if last == 0 { 0 } else { last + 1 }
    };
    for (location, sent) in [(&large, 4_000_000), (&small, 1_000)] {
        let status = server.request("GET", location).expect(204).await;
        let has = reached(status.header("range"));
        assert!(has <= sent, "{has} bytes of {sent}");
        let rest = server.request("PATCH", location).header("content-range", format!("{has}-4999999"));
        rest.body(blob[has..].to_vec()).expect(202).await;
        let digest = sha256(&blob);
        server.request("PUT", &format!("{location}?digest={digest}")).expect(201).await;
        assert!(server.repository("a").blob(&digest).await == blob);
    }
    server.stop().await;
    assert_eq!(site.staged(), [""; 0]);
    assert_eq!(site.fsck_clean().blobs, 1);
}
