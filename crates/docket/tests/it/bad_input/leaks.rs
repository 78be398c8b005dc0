//! Uploads that do not end well leave nothing: no file, no session, no open descriptor.

use crate::harness::{Ask as _, Raw, Server, Site, bytes_of, sha256};

#[tokio::test]
async fn an_upload_that_fills_the_disk_ends_and_leaves_nothing() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let blob = bytes_of(1, 3_000_000);
    let digest = sha256(&blob);
    for finish in [false, true] {
        let location = repository.start_upload().await;
        let id = location.rsplit('/').next().expect("an id");
        // The session's bytes go to a device that is always full.
        std::os::unix::fs::symlink("/dev/full", site.data().join("staging").join(id)).expect("a link");
        let full = if finish {
            server.request("PUT", &format!("{location}?digest={digest}")).body(blob.clone()).expect(503).await
        } else {
            server.request("PATCH", &location).body(blob.clone()).expect(503).await
        };
        assert!(full.message().contains("disk is full"), "{}", full.message());
        assert!(full.header("retry-after").is_some());
        server.request("GET", &location).expect(404).await;
        repository.request("HEAD", &format!("blobs/{digest}")).expect(404).await;
        assert_eq!((site.staged(), server.files_open_below(&site.data().join("staging"))), (Vec::new(), 0));
    }
    repository.push_blob(blob).await;
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 1);
}

#[tokio::test]
async fn clients_that_go_away_leave_no_file_and_no_descriptor() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let half = bytes_of(1, 1_500_000);
    let path = repository.path(&format!("blobs/uploads/?digest={}", sha256(&half)));
    let cut = (0..30).map(|_| {
        let post = Raw::new(format!("POST {path}")).header("Content-Length", "3000000").body(half.clone());
        post.cut_off().try_send(&server)
    });
    for answer in futures_util::future::join_all(cut).await.into_iter().flatten() {
        assert_eq!(answer.status, 400);
    }
    // What a session got before its client went away stays in it, but no descriptor does.
    let location = repository.start_upload().await;
    let patch = Raw::new(format!("PATCH {location}")).header("Content-Length", "3000000").body(half.clone());
    assert_ne!(patch.cut_off().try_send(&server).await.map(|answer| answer.status), Some(202));
    let id = location.rsplit('/').next().expect("an id").to_owned();
    let session = [id.clone(), format!("{id}.session")];
    while site.staged() != session || server.files_open_below(&site.data().join("staging")) > 0 {
        tokio::task::yield_now().await;
    }
    let status = server.request("GET", &location).expect(204).await;
    assert_eq!(status.header("range"), Some("0-1499999"));
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 0);
}

#[tokio::test]
async fn sessions_between_requests_hold_no_descriptor_and_end_when_idle() {
    let site = Site::new();
    let server = Server::start_with(&site, &[("DOCKET_UPLOADS__IDLE", "2s")]);
    let repository = server.repository("a");
    let mut locations = Vec::new();
    for seed in 0..20 {
        let location = repository.start_upload().await;
        server.request("PATCH", &location).body(bytes_of(seed, 100_000)).expect(202).await;
        locations.push(location);
    }
    while server.files_open_below(&site.data().join("staging")) > 0 {
        tokio::task::yield_now().await;
    }
    // Nobody opens another upload, and still they end.
    while !site.staged().is_empty() {
        tokio::task::yield_now().await;
    }
    for location in locations {
        server.request("GET", &location).expect(404).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn an_idle_time_that_cannot_be_meant_is_refused() {
    let site = Site::new();
    for (written, named) in [("0s", "uploads.idle"), ("soon", "UPLOADS.IDLE")] {
        let refused = Server::try_start(&site, &[("DOCKET_UPLOADS__IDLE", written)]).err().expect("it cannot be meant");
        assert!(refused.contains(named), "{refused}");
    }
}
