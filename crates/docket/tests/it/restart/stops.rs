//! SIGTERM: what is in flight is finished, what was answered stays.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt as _};

use super::answered::{Answered, Writer, prepared};
use crate::harness::{Ask as _, Server, Site, bytes_of, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing() {
    let (site, issuer, artifact) = prepared().await;
    let key = site.receipt_key();
    let server = Server::start(&site);
    let writer = |number| Writer { server: &server, issuer: &issuer, key: &key, artifact: &artifact, number };
    let (publishers, witnesses): (Vec<_>, Vec<_>) = ((0..4).map(writer).collect(), (4..8).map(writer).collect());
    let pushes = join_all(publishers.iter().map(Writer::push_until_gone));
    let claims = join_all(witnesses.iter().map(Writer::claim_until_gone));
    let stop = async {
        tokio::time::sleep_until((Instant::now() + LOAD_TIME).into()).await;
        server.terminate();
    };
    let ((pushed, claimed), ()) = join(join(pushes, claims), stop).await;
    server.stopped().await;
    let mut told = Answered::together(pushed.into_iter().chain(claimed).collect());
    assert!(told.count() > 4, "only {} answers before the stop", told.count());
    let server = Server::start(&site);
    told.retry(&server, &key).await;
    told.check(&server, &key).await;
    server.stop().await;
    let report = site.fsck_clean();
    assert_eq!(report.entries, 2 + told.receipts() as u64);
}

#[tokio::test]
async fn an_upload_in_flight_at_sigterm_is_finished_and_answered() {
    let site = Site::new();
    let server = Server::start(&site);
    let blob = bytes_of(1, 300_000);
    let digest = sha256(&blob);
    let location = server.repository("a").start_upload().await;
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let (head, tail) = (Bytes::copy_from_slice(&blob[..100_000]), Bytes::copy_from_slice(&blob[100_000..]));
    let rest = stream::once(async {
        told.await.expect("told to go on");
        Ok(tail)
    });
    let body = stream::once(async { Ok::<_, std::io::Error>(head) }).chain(rest);
    let put = server.request("PUT", &format!("{location}?digest={digest}"));
    let put = tokio::spawn(put.body(reqwest::Body::wrap_stream(body)).answer());
    // Only when the server has the request in hands is it in flight.
    while server.request("GET", &location).expect(204).await.header("range") != Some("0-99999") {}
    server.terminate();
    // It listens no more, and still takes the rest.
    while tokio::net::TcpStream::connect(server.address()).await.is_ok() {}
    go_on.send(()).expect("the upload still runs");
    put.await.expect("answered").expecting(201);
    server.stopped().await;
    let server = Server::start(&site);
    assert!(server.repository("a").blob(&digest).await == blob);
    server.stop().await;
    site.fsck_clean();
}

/// Long enough for each writer to be told a few times.
const LOAD_TIME: Duration = Duration::from_millis(700);
