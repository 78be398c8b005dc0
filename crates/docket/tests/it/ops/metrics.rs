//! `/metrics`: what was done is counted, under names that were reviewed.

use crate::harness::{Ask as _, Server, Site, bytes_of, reviewed};

#[tokio::test]
async fn what_the_server_did_is_counted() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("acme/private");
    repository.push_image("v1", 1).await;
    repository.push_blob(bytes_of(2, 100_000)).await;
    repository.start_upload().await;
    repository.manifest("v1").await;
    repository.manifest("v1").await;
    repository.request("GET", "manifests/v2").expect(404).await;

    let metrics = Metrics::of(&server).await;
    assert_eq!(metrics.value(r#"docket_http_requests_total{kind="manifest",method="PUT",status="2xx"}"#), 1);
    assert_eq!(metrics.value(r#"docket_http_requests_total{kind="manifest",method="GET",status="2xx"}"#), 2);
    assert_eq!(metrics.value(r#"docket_http_requests_total{kind="manifest",method="GET",status="4xx"}"#), 1);
    assert_eq!(metrics.value(r#"docket_http_requests_total{kind="upload",method="POST",status="2xx"}"#), 4);
    assert_eq!(metrics.value(r#"docket_http_request_duration_seconds_count{kind="manifest"}"#), 4);
    assert_eq!(metrics.value(r#"docket_http_request_duration_seconds_bucket{le="+Inf",kind="manifest"}"#), 4);
    assert_eq!(metrics.value("docket_http_requests_in_flight"), 0);
    assert!(metrics.value("docket_http_connections") >= 1);
    assert!(metrics.value("docket_http_received_bytes_total") > 100_000);
    assert!(metrics.value("docket_http_sent_bytes_total") > 500);
    assert_eq!(metrics.value("docket_uploads_open"), 1);
    assert!(metrics.value("docket_store_syncs_total") >= 5, "{}", metrics.text);
    assert_eq!(metrics.value("docket_store_group_changes_count"), 4);
    assert_eq!(metrics.value("docket_store_changes_waiting"), 0);
    assert!(metrics.value("docket_store_cache_hits_total") >= 1);
    assert!(metrics.value("docket_store_cache_misses_total") >= 1);
    assert!(metrics.value("docket_disk_free_bytes") <= metrics.value("docket_disk_size_bytes"));
    assert_eq!(metrics.value("docket_ledger_entries"), 1);
    assert_eq!(metrics.value("docket_ledger_read_only"), 0);
    assert!(metrics.value("docket_ledger_head_age_seconds") < 3600);
    // Names of repositories are private, and would be without number.
    assert!(!metrics.text.contains("acme"), "{}", metrics.text);
    server.stop().await;
}

#[tokio::test]
async fn every_metric_says_what_it_is() {
    let site = Site::new();
    let server = Server::start(&site);
    let metrics = Metrics::of(&server).await;
    assert!(metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
    let table: Vec<_> = metrics.text.lines().filter(|line| line.starts_with("# ")).collect();
    reviewed("metrics", &table.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn the_registrys_address_has_no_metrics() {
    let site = Site::new();
    let server = Server::start(&site);
    for path in ["/metrics", "/livez", "/readyz"] {
        server.request("GET", path).expect(404).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn metrics_stay_on_this_machine_unless_exposed() {
    let site = Site::new();
    let refused = |listen| Server::try_start(&site, &[("DOCKET_OPS__LISTEN", listen)]).err().expect("refused");
    assert!(refused("0.0.0.0:0").contains("ops.expose = true"));
    assert!(refused("nowhere").contains("ops.listen = \"nowhere\" is no address with a port"));
    let server = Server::start_with(&site, &[("DOCKET_OPS__LISTEN", "0.0.0.0:0"), ("DOCKET_OPS__EXPOSE", "true")]);
    server.stop().await;
    let server = Server::start_with(&site, &[("DOCKET_OPS__LISTEN", "")]);
    assert!(!server.log().contains("/metrics"), "{}", server.log());
    server.stop().await;
}

#[tokio::test]
async fn a_taken_address_for_metrics_is_named() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let refused = Server::try_start(&site, &[("DOCKET_OPS__LISTEN", &address)]).err().expect("refused");
    assert!(refused.contains(&address) && refused.contains("DOCKET_OPS__LISTEN"), "{refused}");
    site.fsck_clean();
}

/// One scrape.
struct Metrics {
    text: String,
}

impl Metrics {
    async fn of(server: &Server) -> Self {
        let answer = server.watch("/metrics").expect(200).await;
        assert!(answer.header("content-type").is_some_and(|it| it.starts_with("application/openmetrics-text")));
        Self { text: String::from_utf8(answer.body.to_vec()).expect("text") }
    }

    fn value(&self, name: &str) -> u64 {
        let found = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }
}
