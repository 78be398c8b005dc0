//! `/livez` and `/readyz`: each thing that can be wrong turns readiness off by name, and nothing else.

use futures_util::future::join_all;

use crate::harness::{Ask as _, Server, Site};

#[tokio::test]
async fn a_healthy_server_is_alive_and_ready() {
    let site = Site::new();
    let server = Server::start(&site);
    server.watch("/livez").expect(200).await;
    let ready = server.watch("/readyz").expect(200).await.json();
    assert_eq!(ready["ready"], true);
    let checks: Vec<_> =
        ready["checks"].as_array().expect("a list").iter().map(|check| check["name"].clone()).collect();
    assert_eq!(checks, ["storage", "disk", "guard", "ledger", "head", "serving"]);
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_takes_no_files_is_not_ready() {
    let site = Site::new();
    let server = Server::start(&site);
    let staging = site.data().join("staging");
    std::fs::remove_dir_all(&staging).expect("the folder is ours");
    std::fs::write(&staging, "no folder").expect("written");
    assert_eq!(problems(&server).await, ["storage"]);
    server.watch("/livez").expect(200).await;
    server.stop().await;
}

#[tokio::test]
async fn a_disk_with_too_little_room_is_not_ready() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_OPS__FREE_BYTES_MIN", "9000000000000000000")]);
    assert_eq!(problems(&server).await, ["disk"]);
    server.stop().await;
}

#[tokio::test]
async fn a_guard_that_is_gone_is_not_ready() {
    let site = Site::new();
    let server = Server::start(&site);
    std::fs::remove_file(site.data().join("guard")).expect("it was there");
    assert_eq!(problems(&server).await, ["guard"]);
    server.stop().await;
}

#[tokio::test]
async fn a_ledger_that_takes_no_entries_is_not_ready() {
    let site = Site::new();
    let (database, older) = (site.data().join("docket.db"), site.folder().join("older"));
    std::fs::copy(&database, &older).expect("copied");
    site.admit("wabbit");
    std::fs::copy(&older, &database).expect("rolled back");
    let server = Server::start(&site);
    assert_eq!(problems(&server).await, ["ledger"]);
    server.stop().await;
}

#[tokio::test]
async fn a_storm_of_probes_does_not_wear_the_disk() {
    let site = Site::new();
    let server = Server::start(&site);
    let syncs = async || {
        let text = server.watch("/metrics").expect(200).await.body;
        let text = String::from_utf8(text.to_vec()).expect("text");
        let count = text.lines().find_map(|line| line.strip_prefix("docket_store_syncs_total ")?.parse::<u64>().ok());
        count.expect("the metric")
    };
    let before = syncs().await;
    join_all((0..200).map(|_| server.watch("/readyz").expect(200))).await;
    let after = syncs().await;
    // One, or a few where the machine takes seconds for this.
    assert!((1..20).contains(&(after - before)), "{before} {after}");
    server.stop().await;
}

/// The checks that failed.
async fn problems(server: &Server) -> Vec<String> {
    let body = server.watch("/readyz").expect(503).await.json();
    assert_eq!(body["ready"], false);
    let checks = body["checks"].as_array().expect("a list");
    let failed = checks.iter().filter(|check| check["problem"].is_string());
    failed.map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}
