//! end-11: a blob of one repository becomes visible in another, or is uploaded instead.

use crate::harness::{Ask as _, EMPTY_DIGEST, Server, Site, bytes_of};

#[tokio::test]
async fn end_11_a_blob_is_mounted_without_sending_it() {
    let site = Site::new();
    let server = Server::start(&site);
    for length in [10, 100_000] {
        let blob = bytes_of(1, length);
        let digest = server.repository("from").push_blob(blob.clone()).await;
        let to = server.repository("team/to");
        let mounted = to.request("POST", &format!("blobs/uploads/?mount={digest}&from=from")).expect(201).await;
        assert_eq!(mounted.location(), to.path(&format!("blobs/{digest}")));
        assert_eq!(mounted.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert!(to.blob(&digest).await == blob);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 2);
}

#[tokio::test]
async fn end_11_without_a_source_the_blob_is_taken_from_wherever_the_caller_may_read_it() {
    let site = Site::new();
    let server = Server::start(&site);
    for length in [10, 100_000] {
        let blob = bytes_of(2, length);
        let digest = server.repository("some/where").push_blob(blob.clone()).await;
        let to = server.repository("team/to");
        let mounted = to.request("POST", &format!("blobs/uploads/?mount={digest}")).expect(201).await;
        assert_eq!(mounted.location(), to.path(&format!("blobs/{digest}")));
        assert_eq!(mounted.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert!(to.blob(&digest).await == blob);
        // Once deleted everywhere it is nowhere to be taken from.
        for holder in ["some/where", "team/to"] {
            server.repository(holder).request("DELETE", &format!("blobs/{digest}")).expect(202).await;
        }
        to.request("POST", &format!("blobs/uploads/?mount={digest}")).expect(202).await;
        to.request("HEAD", &format!("blobs/{digest}")).expect(404).await;
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_11_whatever_hinders_a_mount_an_upload_starts_instead() {
    let site = Site::new();
    let server = Server::start(&site);
    let digest = server.repository("from").push_blob("content").await;
    let to = server.repository("to");
    let hindered = [
        format!("mount={digest}&from=elsewhere"),
        format!("mount={EMPTY_DIGEST}&from=from"),
        format!("mount={EMPTY_DIGEST}"),
        format!("mount={digest}&from="),
        format!("mount={digest}&from=Not_A_Name"),
        format!("mount={digest}&from=..%2Ffrom"),
        "mount=nonsense&from=from".to_owned(),
        "mount=&from=from".to_owned(),
        "mount=nonsense".to_owned(),
    ];
    for query in hindered {
        let started = to.request("POST", &format!("blobs/uploads/?{query}")).expect(202).await;
        assert_eq!(started.header("range"), Some("0-0"), "{query}");
        server.request("DELETE", &started.location()).expect(204).await;
    }
    to.request("HEAD", &format!("blobs/{digest}")).expect(404).await;
    server.stop().await;
    site.fsck_clean();
}
