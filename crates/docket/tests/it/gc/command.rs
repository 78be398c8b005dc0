//! `docket gc`: on the folder, on a running server, by the server itself.

use crate::harness::{Ask as _, Server, Shell, Site, bytes_of};

#[tokio::test]
async fn gc_says_what_would_go_then_what_went() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    let (small, large) = (repository.push_blob(*b"small").await, repository.push_blob(bytes_of(1, 100_000)).await);
    let kept = "removed  0 blobs (0 B) that 0 links showed, 0 stray files (0 B); the database is 0 B smaller\n";
    assert_eq!(shell.docket("gc --data data").expect(0).out, kept, "all of it is younger than a day");
    let look = shell.docket("gc --data data --grace 0s --dry-run").expect(0);
    let expected = "would remove  2 blobs (97.66 KiB) that 2 links showed, 0 stray files (0 B)\n";
    assert_eq!((look.out.as_str(), look.err.as_str()), (expected, ""));
    repository.blob(&large).await;
    let report = shell.docket("gc --data data --grace 0s --output json").expect(0).json();
    assert_eq!((&report["links"], &report["blobs"], &report["bytes"]), (&2.into(), &2.into(), &100_005.into()));
    for digest in [small, large] {
        repository.request("GET", &format!("blobs/{digest}")).expect(404).await;
    }
    assert_eq!(repository.manifest("v1").await, image);
    server.stop().await;
    assert_eq!(shell.docket("gc --data data --grace 0s").expect(0).out, kept, "nothing was left for the folder alone");
    site.fsck_clean();
}

#[tokio::test]
async fn gc_refuses_what_it_does_not_understand() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.docket("gc --data data --grace soon").fails(64, &["\"soon\" is no time, such as 24h or 0s"]);
    shell.docket("gc --data nowhere").fails(1, &["nowhere holds no docket data"]);
    shell.write("docket.toml", "[gc]\ngrace = \"soon\"\n");
    shell.docket("serve --data data --config docket.toml").fails(1, &["grace"]);
}

#[tokio::test]
async fn a_server_collects_by_itself_and_stops_in_the_middle_of_it() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_GC__INTERVAL", "10ms"), ("DOCKET_GC__GRACE", "0s")]);
    let repository = server.repository("wabbit/net-monitor");
    let digest = repository.push_blob(*b"garbage").await;
    while repository.request("HEAD", &format!("blobs/{digest}")).answer().await.status != 404 {}
    server.stop().await;
    site.fsck_clean();
}
