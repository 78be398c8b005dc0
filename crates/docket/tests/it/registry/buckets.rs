//! The registry on a bucket: what clients see is what they see of files.

use crate::harness::s3::{ACCESS_KEY_ID, BUCKET, S3Server, SECRET_ACCESS_KEY};
use crate::harness::{Ask as _, Server, Site, bytes_of, image, sha256};

/// Starts a server on a bucket, configured by a file as an operator would.
fn start(site: &Site, bucket: &S3Server, redirect: bool) -> Server {
    let keys = site.folder().join("keys.toml");
    let text = format!("access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n");
    std::fs::write(&keys, text).expect("written");
    let (endpoint, keys, redirect) = (bucket.endpoint(), keys.display().to_string(), redirect.to_string());
    let settings = [
        ("DOCKET_STORAGE__S3__BUCKET", BUCKET),
        ("DOCKET_STORAGE__S3__ENDPOINT", &endpoint),
        ("DOCKET_STORAGE__S3__PREFIX", "registry"),
        ("DOCKET_STORAGE__S3__ACCESS_KEYS", &keys),
        ("DOCKET_STORAGE__S3__REDIRECT", &redirect),
    ];
    Server::start_with(site, &settings)
}

#[tokio::test]
async fn an_image_on_a_bucket_is_pushed_pulled_deleted_and_outlives_a_restart() {
    let (site, bucket) = (Site::new(), S3Server::start());
    let server = start(&site, &bucket, false);
    let repository = server.repository("a/b");
    let (small, whole, chunked) = (bytes_of(1, 500), bytes_of(2, 300_000), bytes_of(3, 20_000_000));
    repository.push_blob(small.clone()).await;
    repository.push_blob(whole.clone()).await;
    let (location, half) = (repository.start_upload().await, 9_000_000);
    server.request("PATCH", &location).body(chunked[..half].to_vec()).expect(202).await;
    server.stop().await;

    // An upload in progress is staged on the local disk, wherever it goes in the end.
    let server = start(&site, &bucket, false);
    let repository = server.repository("a/b");
    let rest = server.request("PATCH", &location).header("content-range", format!("{half}-{}", chunked.len() - 1));
    rest.body(chunked[half..].to_vec()).expect(202).await;
    server.request("PUT", &format!("{location}?digest={}", sha256(&chunked))).expect(201).await;
    repository.push_manifest("v1", image(&small, &[&whole, &chunked])).await;
    assert_eq!(bucket.objects().iter().filter(|path| path.ends_with(sha256(&chunked).hex())).count(), 1);
    assert!(!site.data().join("blobs/sha256").exists(), "large blobs are in the bucket only");
    for blob in [&small, &whole, &chunked] {
        let path = format!("blobs/{}", sha256(blob));
        assert!(repository.blob(&sha256(blob)).await == **blob);
        let head = repository.request("HEAD", &path).expect(200).await;
        assert_eq!(head.header("content-length"), Some(blob.len().to_string().as_str()));
        bucket.calls();
        let part = repository.request("GET", &path).header("range", "bytes=100-299").expect(206).await;
        assert_eq!(part.body, blob[100..300]);
        assert!(bucket.calls().iter().all(|call| *call == "GetObject"), "a range is one call, of a row none");
        let last = repository.request("GET", &path).header("range", "bytes=-7").expect(206).await;
        assert_eq!(last.body, blob[blob.len() - 7..]);
        let past = format!("bytes={}-", blob.len());
        repository.request("GET", &path).header("range", past).expect(416).await;
    }
    let report = site.fsck_clean();
    assert_eq!((report.blobs, report.manifests), (4, 1));
    repository.request("DELETE", &format!("blobs/{}", sha256(&whole))).expect(202).await;
    repository.request("GET", &format!("blobs/{}", sha256(&whole))).expect(404).await;
    assert_eq!(site.staged(), [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_bucket_that_fails_is_a_5xx_and_never_a_404() {
    let (site, bucket) = (Site::new(), S3Server::start());
    let server = start(&site, &bucket, false);
    let repository = server.repository("a");
    let digest = repository.push_blob(bytes_of(1, 100_000)).await;
    bucket.fail(Some("GetObject"));
    let failed = repository.request("GET", &format!("blobs/{digest}")).expect(503).await;
    assert!(failed.message().contains("object store") && !failed.message().contains("127.0.0.1"), "{failed:?}");
    assert!(failed.header("retry-after").is_some());
    bucket.fail(Some("PutObject"));
    let other = bytes_of(2, 100_000);
    let push = repository.request("POST", &format!("blobs/uploads/?digest={}", sha256(&other))).body(other.clone());
    push.expect(503).await;
    bucket.fail(None);
    repository.request("HEAD", &format!("blobs/{}", sha256(&other))).expect(404).await;
    repository.push_blob(other).await;
    assert!(repository.blob(&digest).await == bytes_of(1, 100_000));
    // What is gone from the bucket is damage, not absence.
    std::fs::remove_file(bucket.objects().iter().find(|path| path.ends_with(digest.hex())).expect("its object"))
        .expect("removed");
    repository.request("GET", &format!("blobs/{digest}")).expect(500).await;
    assert_eq!(site.fsck().problems.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn clients_are_sent_to_the_bucket_if_the_operator_wants_it() {
    let (site, bucket) = (Site::new(), S3Server::start());
    let server = start(&site, &bucket, true);
    let repository = server.repository("a");
    let (small, large) = (bytes_of(1, 1_000), bytes_of(2, 100_000));
    repository.push_blob(small.clone()).await;
    let digest = repository.push_blob(large.clone()).await;
    let path = format!("blobs/{digest}");
    let sent = repository.request("GET", &path).expect(307).await;
    assert_eq!(sent.header("docker-content-digest"), Some(digest.to_string().as_str()));
    let link = sent.header("location").expect("a link");
    assert!(link.starts_with(&bucket.endpoint()), "{link}");
    let got = reqwest::get(link).await.expect("answered");
    assert_eq!(got.status(), 200);
    assert!(got.bytes().await.expect("a body") == large);
    let forged = link.replace(&digest.hex(), &sha256(b"other").hex());
    assert_eq!(reqwest::get(forged).await.expect("answered").status(), 403, "a link opens one object");
    repository.request("HEAD", &path).expect(200).await;
    assert!(repository.blob(&sha256(&small)).await == small, "rows are not in the bucket");
    server.stop().await;
}

#[tokio::test]
async fn settings_of_a_bucket_that_cannot_be_used_are_named() {
    let site = Site::new();
    let bucket = ("DOCKET_STORAGE__S3__BUCKET", "docket");
    let keys = site.folder().join("keys.toml");
    std::fs::write(&keys, "access_key_id = \"id\"\nsecret = \"hush-hush\"\n").expect("written");
    let keys = keys.display().to_string();
    let wrong: [(&[(&str, &str)], &str); 5] = [
        (&[("DOCKET_STORAGE__S3__BUCKET", "")], "storage.s3.bucket is empty"),
        (&[bucket], "AWS_ACCESS_KEY_ID"),
        (&[bucket, ("DOCKET_STORAGE__S3__ENDPOINT", "127.0.0.1:9000")], "storage.s3.endpoint"),
        (&[bucket, ("DOCKET_STORAGE__S3__PREFIX", "../x")], "storage.s3.prefix"),
        (&[bucket, ("DOCKET_STORAGE__S3__ACCESS_KEYS", &keys)], "secret_access_key"),
    ];
    for (settings, named) in wrong {
        let refused = Server::try_start(&site, settings).err().expect("it cannot be used");
        assert!(refused.contains(named) && !refused.contains("hush-hush"), "{refused}");
    }
}
