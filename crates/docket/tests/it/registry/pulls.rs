//! end-1, end-2 and end-3: the ping, blobs in whole and in ranges, manifests as they were pushed.

use docket_oci::media;

use crate::harness::{Answer, Ask as _, EMPTY_DIGEST, Server, Site, bytes_of, sha256, sha512};

#[tokio::test]
async fn end_1_the_ping_is_an_empty_object_and_names_the_api() {
    let site = Site::new();
    let server = Server::start(&site);
    for path in ["/v2/", "/v2"] {
        let ping = server.request("GET", path).expect(200).await;
        assert_eq!(ping.json(), serde_json::json!({}));
        assert_eq!(ping.header("docker-distribution-api-version"), Some("registry/2.0"));
        let head = server.request("HEAD", path).expect(200).await;
        assert_eq!(head.header("content-length"), Some("2"), "HEAD has the length of GET");
    }
    let refused = server.request("POST", "/v2/").expect(405).await;
    assert_eq!((refused.code().as_str(), refused.header("allow")), ("UNSUPPORTED", Some("GET, HEAD")));
    server.stop().await;
}

#[tokio::test]
async fn end_2_a_blob_comes_back_byte_for_byte_whatever_its_size() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    // On both sides of the size from which content is a file, and of the size of one read.
    for length in [0, 1, 64 * 1024, 64 * 1024 + 1, 512 * 1024, 1_300_000] {
        let blob = bytes_of(length as u64, length);
        let digest = repository.push_blob(blob.clone()).await;
        let got = repository.request("GET", &format!("blobs/{digest}")).expect(200).await;
        assert!(got.body == blob, "{length} bytes differ");
        let head = repository.request("HEAD", &format!("blobs/{digest}")).expect(200).await;
        for answer in [got, head] {
            assert_eq!(answer.header("docker-content-digest"), Some(digest.to_string().as_str()));
            assert_eq!(answer.header("content-length"), Some(length.to_string().as_str()));
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            assert_eq!(answer.header("etag"), Some(format!("\"{digest}\"").as_str()));
        }
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().blobs, 6);
}

#[tokio::test]
async fn end_2_a_blob_that_the_client_has_is_not_sent_again() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let digest = repository.push_blob("once").await;
    let path = format!("blobs/{digest}");
    let manifest = repository.push_image("v1", 1).await;
    for (path, digest) in [(path.as_str(), digest), ("manifests/v1", sha256(&manifest))] {
        let etag = format!("\"{digest}\"");
        for method in ["GET", "HEAD"] {
            for theirs in [etag.clone(), "*".to_owned(), format!("\"other\", {etag}"), format!("W/{etag}")] {
                let answer = repository.request(method, path).header("if-none-match", theirs).expect(304).await;
                assert!(answer.body.is_empty());
                assert_eq!(answer.header("etag"), Some(etag.as_str()));
            }
            let other = repository.request(method, path).header("if-none-match", "\"other\"").expect(200).await;
            assert_eq!(other.header("etag"), Some(etag.as_str()));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn end_2_an_absent_blob_is_404_and_a_repository_does_not_show_its_neighbours_blobs() {
    let site = Site::new();
    let server = Server::start(&site);
    let digest = server.repository("one").push_blob("content of one").await;
    server.repository("two").push_blob("content of two").await;
    for path in [format!("/v2/two/blobs/{digest}"), format!("/v2/never/blobs/{digest}")] {
        let answer = server.request("GET", &path).expect(404).await;
        assert_eq!(answer.code(), "BLOB_UNKNOWN");
        assert!(answer.message().contains(&digest.to_string()), "{}", answer.message());
        assert!(server.request("HEAD", &path).expect(404).await.body.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn end_2_ranges_are_cut_to_the_blob_from_rows_and_from_files() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a/b");
    for length in [1_000_usize, 600_000] {
        let blob = bytes_of(7, length);
        let path = format!("blobs/{}", repository.push_blob(blob.clone()).await);
        let get = |range: String| repository.request("GET", &path).header("range", range);
        let last = length - 1;
        let parts = [
            ("bytes=0-9".to_owned(), 0, 9),
            (format!("bytes={}-", length - 5), length - 5, last),
            ("bytes=-7".to_owned(), length - 7, last),
            (format!("bytes=-{}", length * 2), 0, last),
            (format!("bytes=100-{}", length * 2), 100, last),
            ("bytes=0-0".to_owned(), 0, 0),
            (format!("bytes={last}-{last}"), last, last),
        ];
        for (range, start, end) in parts {
            let part = get(range.clone()).expect(206).await;
            assert!(part.body == blob[start..=end], "{range} of {length}");
            assert_eq!(part.header("content-range"), Some(format!("bytes {start}-{end}/{length}").as_str()));
            assert_eq!(part.header("content-length"), Some((end + 1 - start).to_string().as_str()));
        }
        for range in
            [format!("bytes={length}-"), format!("bytes={}-{}", length + 5, length + 9), "bytes=9-3".to_owned()]
        {
            let none = get(range.clone()).expect(416).await;
            assert_eq!(none.header("content-range"), Some(format!("bytes */{length}").as_str()), "{range}");
        }
        for range in ["lines=0-1", "bytes=a-b", "bytes=0-1,5-6", "bytes", ""] {
            let whole = get(range.to_owned()).expect(200).await;
            assert!(whole.body == blob, "{range}");
        }
    }
    let path = format!("blobs/{}", repository.push_blob("").await);
    repository.request("GET", &path).header("range", "bytes=0-0").expect(416).await;
    server.stop().await;
}

#[tokio::test]
async fn end_2_a_range_counts_only_for_the_content_that_the_client_began_with() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    for length in [1_000, 100_000] {
        let digest = repository.push_blob(bytes_of(3, length)).await;
        let range = |validator: &str| {
            let get = repository.request("GET", &format!("blobs/{digest}")).header("range", "bytes=10-19");
            get.header("if-range", validator)
        };
        let part = range(&format!("\"{digest}\"")).expect(206).await;
        assert_eq!(part.body, bytes_of(3, length)[10..20]);
        for other in ["\"other\"", &format!("W/\"{digest}\""), "Tue, 15 Nov 1994 12:45:26 GMT", ""] {
            let whole = range(other).expect(200).await;
            assert_eq!((whole.body.len(), whole.header("content-range")), (length, None), "{other}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn end_3_a_manifest_is_served_as_the_exact_bytes_and_type_that_were_pushed() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    // Spaces, order and an unknown member are the pusher's own.
    let digest = sha256(b"{}");
    let manifest = format!(
        "{{ \"config\": {{\"size\":2, \"mediaType\":\"application/x\", \"digest\":\"{digest}\"}},\n \"layers\": [],\t\"x\": 1,\
         \"schemaVersion\": 2 }}\n"
    );
    let pushed = repository.put("v1", &format!("{}; charset=utf-8", media::OCI_IMAGE_MANIFEST), manifest.clone()).await;
    let digest = sha256(manifest.as_bytes()).to_string();
    assert_eq!(pushed.expecting(201).header("docker-content-digest"), Some(digest.as_str()));
    for reference in ["v1", &digest] {
        let path = format!("manifests/{reference}");
        let got = repository.request("GET", &path).expect(200).await;
        assert_eq!(got.body, manifest);
        let picky = repository.request("GET", &path).header("accept", media::DOCKER_MANIFEST).expect(200).await;
        let head = repository.request("HEAD", &path).expect(200).await;
        for answer in [got, picky, head] {
            assert_eq!(answer.header("content-type"), Some(media::OCI_IMAGE_MANIFEST));
            assert_eq!(answer.header("content-length"), Some(manifest.len().to_string().as_str()));
            assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
        }
        let again = repository.request("GET", &path).header("if-none-match", format!("\"{digest}\""));
        again.expect(304).await;
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_3_absence_is_told_apart_by_code() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("known").push_image("v1", 1).await;
    let get = async |path: String| -> Answer { server.request("GET", &path).expect(404).await };
    assert_eq!(get("/v2/unknown/manifests/v1".to_owned()).await.code(), "NAME_UNKNOWN");
    assert_eq!(get(format!("/v2/unknown/manifests/{EMPTY_DIGEST}")).await.code(), "NAME_UNKNOWN");
    assert_eq!(get("/v2/known/manifests/v2".to_owned()).await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(get(format!("/v2/known/manifests/{EMPTY_DIGEST}")).await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(get(format!("/v2/known/manifests/{}", sha512(b""))).await.code(), "MANIFEST_UNKNOWN");
    assert!(server.request("HEAD", "/v2/known/manifests/v2").expect(404).await.body.is_empty());
    server.stop().await;
}
