//! end-9 and end-10: what is deleted is gone at once, and nothing else is.

use crate::harness::{Ask as _, EMPTY_DIGEST, Server, Site, sha256};

#[tokio::test]
async fn end_9_deleting_a_tag_removes_only_that_tag() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let manifest = repository.push_image("v1", 1).await;
    repository.push_manifest("v2", manifest.clone()).await;
    repository.request("DELETE", "manifests/v1").expect(202).await;
    repository.request("HEAD", "manifests/v1").expect(404).await;
    assert_eq!(repository.tags().await, ["v2"]);
    assert_eq!(repository.manifest(&sha256(&manifest).to_string()).await, manifest);
    let again = repository.request("DELETE", "manifests/v1").expect(404).await;
    assert_eq!(again.code(), "MANIFEST_UNKNOWN");
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_9_deleting_a_digest_removes_every_tag_on_it() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let manifest = repository.push_image("v1", 1).await;
    repository.push_manifest("v2", manifest.clone()).await;
    let kept = repository.push_image("other", 2).await;
    let elsewhere = server.repository("b").push_image("v1", 1).await;
    assert_eq!(elsewhere, manifest);
    let path = format!("manifests/{}", sha256(&manifest));
    repository.request("DELETE", &path).expect(202).await;
    for gone in [path.as_str(), "manifests/v1", "manifests/v2"] {
        assert_eq!(repository.request("GET", gone).expect(404).await.code(), "MANIFEST_UNKNOWN");
    }
    assert_eq!(repository.request("DELETE", &path).expect(404).await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(repository.tags().await, ["other"]);
    assert_eq!(repository.manifest("other").await, kept);
    assert_eq!(server.repository("b").manifest("v1").await, manifest, "other repositories keep theirs");
    // It can be pushed again, tag and all.
    repository.push_manifest("v1", manifest).await;
    assert_eq!(repository.tags().await, ["other", "v1"]);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_10_deleting_a_blob_hides_it_in_that_repository_alone() {
    let site = Site::new();
    let server = Server::start(&site);
    let (one, two) = (server.repository("one"), server.repository("two"));
    for content in [vec![1; 10], vec![2; 100_000]] {
        let digest = one.push_blob(content.clone()).await;
        two.push_blob(content.clone()).await;
        let path = format!("blobs/{digest}");
        one.request("DELETE", &path).expect(202).await;
        one.request("HEAD", &path).expect(404).await;
        assert_eq!(one.request("GET", &path).expect(404).await.code(), "BLOB_UNKNOWN");
        assert_eq!(one.request("DELETE", &path).expect(404).await.code(), "BLOB_UNKNOWN");
        assert!(two.blob(&digest).await == content);
        // What is gone must be sent again before a manifest may name it, and then is there again.
        one.push_blob(content.clone()).await;
        assert!(one.blob(&digest).await == content);
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_9_and_10_where_deletes_are_off_nothing_can_be_deleted_on_any_path() {
    let site = Site::new();
    let server = Server::start(&site);
    let manifest = server.repository("a").push_image("v1", 1).await;
    let layer = server.repository("a").push_blob("a blob").await;
    server.stop().await;
    let server = Server::start_with(&site, &[("DOCKET_REGISTRY__DELETES", "false")]);
    let repository = server.repository("a");
    let digest = sha256(&manifest);
    // Nor do the answers tell what is there.
    for path in [
        "manifests/v1".to_owned(),
        format!("manifests/{digest}"),
        format!("blobs/{layer}"),
        "manifests/v2".to_owned(),
        format!("manifests/{EMPTY_DIGEST}"),
        format!("blobs/{EMPTY_DIGEST}"),
    ] {
        let refused = repository.request("DELETE", &path).expect(405).await;
        assert_eq!(refused.code(), "UNSUPPORTED", "{path}");
        let allowed = if path.starts_with("blobs") { "GET, HEAD" } else { "GET, HEAD, PUT" };
        assert_eq!(refused.header("allow"), Some(allowed), "{path}");
    }
    assert_eq!(repository.manifest("v1").await, manifest);
    assert_eq!(repository.blob(&layer).await, b"a blob");
    // Giving up one's own upload is no delete.
    let upload = repository.start_upload().await;
    server.request("DELETE", &upload).expect(204).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_9_and_10_absent_and_malformed_are_told_apart() {
    let site = Site::new();
    let server = Server::start(&site);
    let delete = async |path: &str, status| server.request("DELETE", path).expect(status).await.code();
    assert_eq!(delete("/v2/never/manifests/v1", 404).await, "MANIFEST_UNKNOWN");
    assert_eq!(delete(&format!("/v2/never/manifests/{EMPTY_DIGEST}"), 404).await, "MANIFEST_UNKNOWN");
    assert_eq!(delete(&format!("/v2/never/blobs/{EMPTY_DIGEST}"), 404).await, "BLOB_UNKNOWN");
    assert_eq!(delete("/v2/never/blobs/sha256:short", 400).await, "DIGEST_INVALID");
    assert_eq!(delete("/v2/never/manifests/sha256:short", 400).await, "DIGEST_INVALID");
    server.stop().await;
}
