//! The stop: announced, patient, and at once when asked twice.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use crate::harness::{Answer, Ask as _, Server, Site, bytes_of, sha256};

#[tokio::test]
async fn a_stopping_server_is_not_ready_and_finishes_what_is_in_flight() {
    let site = Site::new();
    let server = Server::start(&site);
    let (put, go_on) = upload_in_flight(&server).await;
    server.terminate();
    // The watchers hear of it while the upload still runs.
    while server.watch("/readyz").answer().await.status == 200 {}
    let body = server.watch("/readyz").expect(503).await.json();
    assert_eq!(body["checks"][5]["problem"], "the server is stopping");
    server.watch("/livez").expect(200).await;
    go_on.send(()).expect("the upload still runs");
    put.await.expect("no panic").expect("answered").expecting(201);
    server.stopped().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let site = Site::new();
    let server = Server::start(&site);
    let (put, _go_on) = upload_in_flight(&server).await;
    server.terminate();
    while server.watch("/readyz").answer().await.status == 200 {}
    server.terminate();
    server.stopped_at_once().await;
    assert!(put.await.expect("no panic").is_none(), "the upload cannot have been answered");
    let server = Server::start(&site);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_client_that_never_ends_is_cut_off_after_the_time_that_was_set() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_OPS__DRAIN", "100ms")]);
    let (put, _go_on) = upload_in_flight(&server).await;
    server.stop().await;
    assert!(put.await.expect("no panic").is_none(), "the upload cannot have been answered");
    site.fsck_clean();
}

type Put = tokio::task::JoinHandle<Option<Answer>>;

/// An upload of which the server has the first half, and the word to send the rest.
async fn upload_in_flight(server: &Server) -> (Put, oneshot::Sender<()>) {
    let blob = bytes_of(1, 300_000);
    let location = server.repository("a").start_upload().await;
    let (go_on, told) = oneshot::channel::<()>();
    let (head, tail) = (Bytes::copy_from_slice(&blob[..100_000]), Bytes::copy_from_slice(&blob[100_000..]));
    let rest = stream::once(async {
        let _ = told.await;
        Ok(tail)
    });
    let body = stream::once(async { Ok::<_, std::io::Error>(head) }).chain(rest);
    let put = server.request("PUT", &format!("{location}?digest={}", sha256(&blob)));
    let put = tokio::spawn(put.body(reqwest::Body::wrap_stream(body)).try_answer());
    // Only when the server has the request in hands is it in flight.
    while server.request("GET", &location).expect(204).await.header("range") != Some("0-99999") {}
    (put, go_on)
}
