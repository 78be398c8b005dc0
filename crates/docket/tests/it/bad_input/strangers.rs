//! Without access rules only this machine may call, and a proxy or a rebound name does not count as this machine.

use super::state::State;
use crate::harness::{EMPTY_DIGEST, Raw, Server, Site};

#[tokio::test]
async fn requests_for_another_host_are_refused() {
    let site = Site::new();
    let server = Server::start(&site);
    let before = State::of(&site, &server).await;
    let hosts = ["example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0", "[::2]", ""];
    for host in hosts {
        for path in ["/v2/", "/entries", "/api/v1/claims", &format!("/v2/a/blobs/uploads/?digest={EMPTY_DIGEST}")] {
            let refused = Raw::new(format!("POST {path}")).header("Host", host).send(&server).await.expecting(403);
            if path == "/v2/" {
                assert_eq!(refused.code(), "DENIED", "{host}");
                assert!(refused.message().contains("localhost"), "{}", refused.message());
            } else if path == "/entries" {
                refused.problem();
            }
        }
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.1.2.3:80", "[::1]:5000"] {
        Raw::new("GET /v2/").header("Host", host).send(&server).await.expecting(200);
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn forwarded_requests_are_refused() {
    let site = Site::new();
    let server = Server::start(&site);
    let before = State::of(&site, &server).await;
    let headers = [
        ("Forwarded", "for=192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("x-forwarded-host", "example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Server", "proxy"),
    ];
    let path = format!("/v2/a/blobs/uploads/?digest={EMPTY_DIGEST}");
    for (name, value) in headers {
        let refused = Raw::new(format!("POST {path}")).header(name, value).send(&server).await.expecting(403);
        assert_eq!(refused.code(), "DENIED");
        assert!(refused.message().contains(&name.to_lowercase()), "{}", refused.message());
    }
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}
