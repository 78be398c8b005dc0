//! Proxies before the server: whom it believes about the client.

use crate::harness::{Ask as _, Raw, Server, Site};

#[tokio::test]
async fn without_rules_a_forwarded_request_is_refused_even_from_a_trusted_proxy() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
    let forwarded = Raw::new("GET /v2/").header("X-Forwarded-For", "192.0.2.7").send(&server).await;
    assert_eq!(forwarded.expecting(403).code(), "DENIED");
    server.request("GET", "/v2/").expect(200).await;
    server.stop().await;
}

#[tokio::test]
async fn the_log_names_request_client_and_outcome() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_LOG", "info"), ("DOCKET_ACCESS_LOG", "all")]);
    let answer = server.request("GET", "/v2/a/tags/list").expect(404).await;
    let id = answer.header("x-request-id").expect("every answer has one").to_owned();
    let line = server.logged(&id).await;
    for fact in ["method=GET", "path=\"/v2/a/tags/list\"", "status=404", "address=127.0.0.1", "elapsed_us="] {
        assert!(line.contains(fact), "{fact} is missing from {line}");
    }
    server.stop().await;
}
