//! The requests that well-known clients send, one after the other, with what each of them insists on in the answers.

use bytes::Bytes;
use docket_oci::manifest::Descriptor;
use docket_oci::media;
use futures_util::stream;
use serde_json::json;

use crate::harness::{
    Answer, Ask as _, Server, Site, artifact, bytes_of, escaped, image, image_of, index, sha256, sha512,
};

/// What every client that resumes or skips work by HEAD insists on.
fn describes(answer: &Answer, media_type: &str, content: &[u8]) {
    assert_eq!(answer.header("content-type"), Some(media_type), "{}", answer.asked);
    assert_eq!(answer.header("content-length"), Some(content.len().to_string().as_str()), "{}", answer.asked);
    assert_eq!(answer.header("docker-content-digest"), Some(sha256(content).to_string().as_str()), "{}", answer.asked);
}

/// A body of unknown length, as it leaves a compressor.
fn chunked(bytes: &[u8]) -> reqwest::Body {
    let chunks: Vec<_> =
        bytes.chunks(30_000).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect();
    reqwest::Body::wrap_stream(stream::iter(chunks))
}

#[tokio::test]
async fn docker_with_its_classic_store_pushes_and_pulls() {
    let site = Site::new();
    let server = Server::start(&site);
    let ping = server.request("GET", "/v2/").expect(200).await;
    assert_eq!(ping.header("docker-distribution-api-version"), Some("registry/2.0"));
    let repository = server.repository("library/app");
    let (config, layer) = (b"{\"os\":\"linux\"}".to_vec(), bytes_of(1, 200_000));
    for blob in [&layer, &config] {
        let digest = sha256(blob);
        repository.request("HEAD", &format!("blobs/{digest}")).expect(404).await;
        // A repository that it remembers from another registry: anything but 201 or 202 would end the push.
        let mount = format!("blobs/uploads/?from=library%2Fgone&mount={}", escaped(&digest.to_string()));
        let started = repository.request("POST", &mount).header("content-length", "0").expect(202).await;
        assert_eq!((started.header("range"), started.header("content-length")), (Some("0-0"), Some("0")));
        assert!(started.header("docker-upload-uuid").is_some());
        let patched = server.request("PATCH", &started.location()).body(chunked(blob)).expect(202).await;
        assert_eq!(patched.header("range"), Some(format!("0-{}", blob.len() - 1).as_str()));
        let close = format!("{}?digest={}", patched.location(), escaped(&digest.to_string()));
        let closed = server.request("PUT", &close).header("content-length", "0").expect(201).await;
        assert_eq!(closed.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert_eq!(closed.location(), repository.path(&format!("blobs/{digest}")));
        repository.request("HEAD", &format!("blobs/{digest}")).expect(200).await;
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::DOCKER_MANIFEST,
        "config": Descriptor::of(media::DOCKER_CONFIG, &config),
        "layers": [Descriptor::of(media::DOCKER_LAYER_GZIP, &layer)],
    });
    let manifest = serde_json::to_vec_pretty(&manifest).expect("JSON");
    repository.put("latest", media::DOCKER_MANIFEST, manifest.clone()).await.expecting(201);

    let accept = format!(
        "application/vnd.docker.distribution.manifest.v1+prettyjws, application/json, {}",
        media::MANIFESTS.join(", ")
    );
    let head = repository.request("HEAD", "manifests/latest").header("accept", &accept).expect(200).await;
    describes(&head, media::DOCKER_MANIFEST, &manifest);
    let by_digest = format!("manifests/{}", sha256(&manifest));
    let got = repository.request("GET", &by_digest).header("accept", &accept).expect(200).await;
    assert_eq!(got.body, manifest);
    // A pull that was interrupted goes on where it was.
    let path = format!("blobs/{}", sha256(&layer));
    let rest = repository.request("GET", &path).header("range", "bytes=150000-").expect(206).await;
    assert!(rest.body == layer[150_000..]);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn containerd_and_buildkit_push_in_one_put_and_pull_through_a_mirror() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("app");
    let accept = |media_type: &str| format!("{media_type}, */*");
    let layer = bytes_of(2, 150_000);
    let manifest = image(b"{}", &[&layer]);
    let head = |reference: String| {
        repository
            .request("HEAD", &format!("manifests/{reference}"))
            .header("accept", accept(media::OCI_IMAGE_MANIFEST))
    };
    head("v1".to_owned()).expect(404).await;
    for blob in [layer.as_slice(), b"{}"] {
        let digest = sha256(blob);
        let looked = repository.request("HEAD", &format!("blobs/{digest}")).header("accept", accept("application/x"));
        looked.expect(404).await;
        let mount = format!("blobs/uploads/?mount={digest}&from=somebody%2Felse");
        let started = repository.request("POST", &mount).expect(202).await;
        // The digest joins whatever query the location has.
        let put = server.request("PUT", &format!("{}?digest={}", started.location(), escaped(&digest.to_string())));
        put.header("content-type", "application/octet-stream").body(blob.to_vec()).expect(201).await;
    }
    let put = repository.request("PUT", "manifests/v1").header("content-type", media::OCI_IMAGE_MANIFEST);
    put.body(manifest.clone()).expect(201).await;
    let there = head("v1".to_owned()).expect(200).await;
    describes(&there, media::OCI_IMAGE_MANIFEST, &manifest);

    let mirrored = head("v1?ns=registry.example".to_owned()).expect(200).await;
    describes(&mirrored, media::OCI_IMAGE_MANIFEST, &manifest);
    let path = format!("blobs/{}?ns=registry.example", sha256(&layer));
    let get = repository.request("GET", &path).header("accept", accept(media::OCI_LAYER_GZIP));
    let whole = get.header("accept-encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5").expect(200).await;
    assert!(whole.body == layer && whole.header("content-encoding").is_none());
    // In parallel parts, as it is configured for large layers.
    let parts = (0..3).map(async |part: usize| {
        let range = format!("bytes={}-{}", part * 50_000, (part + 1) * 50_000 - 1);
        repository.request("GET", &path).header("range", range).expect(206).await.body
    });
    let parts = futures_util::future::join_all(parts).await;
    assert!(parts.concat() == layer);
    // What it does not know it looks for among the blobs, then among the manifests.
    repository.request("HEAD", &format!("blobs/{}", sha256(&manifest))).expect(404).await;
    repository.request("HEAD", &format!("manifests/{}", sha256(&manifest))).expect(200).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn regctl_mounts_blindly_cancels_and_goes_on_after_a_refused_chunk() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("app");
    let (layer, other) = (bytes_of(3, 100_000), bytes_of(4, 10));
    server.repository("elsewhere").push_blob(other.clone()).await;
    repository.request("POST", &format!("blobs/uploads/?mount={}", sha256(&other))).expect(201).await;
    let started = repository.request("POST", &format!("blobs/uploads/?mount={}", sha256(&layer))).expect(202).await;
    server.request("DELETE", &started.location()).expect(204).await;

    let started = repository.request("POST", "blobs/uploads/").expect(202).await;
    assert_eq!(started.header("oci-chunk-min-length"), None, "chunks may be as small as they like");
    let chunk = |location: &str, start: usize, end: usize| {
        let patch = server.request("PATCH", location).header("content-range", format!("{start}-{}", end - 1));
        patch.header("content-type", "application/octet-stream").body(layer[start..end].to_vec())
    };
    let first = chunk(&started.location(), 0, 40_000).expect(202).await;
    // It believes that the answer was lost and sends the same again; the refusal says where to go on.
    let refused = chunk(&first.location(), 0, 40_000).expect(416).await;
    assert_eq!(refused.header("range"), Some("0-39999"));
    let status = server.request("GET", &refused.location()).expect(204).await;
    assert_eq!(status.header("range"), Some("0-39999"));
    let last = chunk(&status.location(), 40_000, 100_000).expect(202).await;
    server.request("PUT", &format!("{}?digest={}", last.location(), sha256(&layer))).expect(201).await;

    repository.push_blob("{}").await;
    let manifest = image(b"{}", &[&layer]);
    let pushed = repository.push_manifest(&format!("{}?tag=v1&tag=v2", sha512(&manifest)), manifest.clone()).await;
    assert_eq!(pushed.header("oci-tag"), Some("v1, v2"));
    let referrer = artifact("application/x", &[Descriptor::of("a/b", &other)], Some(&subject_of(&manifest)), &[]);
    let pushed = repository.push_manifest(&sha256(&referrer).to_string(), referrer).await;
    assert_eq!(pushed.header("oci-subject"), Some(sha256(&manifest).to_string().as_str()));
    let sparse = index(&[&manifest, b"not here"]);
    let warned = repository.put("all", media::OCI_IMAGE_INDEX, sparse).await.expecting(201);
    assert!(warned.header("warning").is_some_and(|warning| warning.starts_with("299 - ")));
    server.stop().await;
    site.fsck_clean();
}

fn subject_of(manifest: &[u8]) -> Descriptor {
    Descriptor::of(media::OCI_IMAGE_MANIFEST, manifest)
}

#[tokio::test]
async fn crane_ko_kaniko_and_cosign_stream_and_mount_from_where_they_pulled() {
    let site = Site::new();
    let server = Server::start(&site);
    let base = server.repository("base");
    let layer = base.push_blob(bytes_of(5, 80_000)).await;
    let app = server.repository("app");
    app.request("HEAD", &format!("blobs/{layer}")).expect(404).await;
    let mount = format!("blobs/uploads/?from=base&mount={}", escaped(&layer.to_string()));
    let mounted = app.request("POST", &mount).header("content-type", "application/json").expect(201).await;
    assert_eq!(mounted.location(), app.path(&format!("blobs/{layer}")));
    let started = app.request("POST", "blobs/uploads/").header("content-type", "application/json").expect(202).await;
    let streamed = server.request("PATCH", &started.location()).body(chunked(b"{}")).expect(202).await;
    let close = format!("{}?digest={}", streamed.location(), escaped(&sha256(b"{}").to_string()));
    server.request("PUT", &close).header("content-type", "application/octet-stream").expect(201).await;
    let layer = bytes_of(5, 80_000);
    let manifest = image(b"{}", &[&layer]);
    app.push_manifest("latest", manifest.clone()).await;
    let head = app.request("HEAD", "manifests/latest").header("accept", media::MANIFESTS.join(",")).expect(200).await;
    describes(&head, media::OCI_IMAGE_MANIFEST, &manifest);
    // cosign's first form: a tag made of the digest, read, changed and written again.
    let tag = format!("{}.sig", sha256(&manifest).to_string().replace(':', "-"));
    app.request("GET", &format!("manifests/{tag}")).expect(404).await;
    for signature in [&b"one"[..], b"two"] {
        app.push_blob(signature).await;
        let layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", signature);
        let signed = image_of(&Descriptor::of(media::OCI_IMAGE_CONFIG, b"{}"), &[layer]);
        app.push_manifest(&tag, signed.clone()).await;
        assert_eq!(app.manifest(&tag).await, signed);
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn oras_and_notation_probe_the_referrers_api_before_they_attach() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("app");
    // The probe: a digest of zeros, before anything was pushed.
    let zeros = format!("referrers/sha256:{}", "0".repeat(64));
    let probe = repository.request("GET", &zeros).expect(200).await;
    assert_eq!(probe.header("content-type"), Some(media::OCI_IMAGE_INDEX));
    let manifest = repository.push_image("v1", 1).await;
    let signature = b"an envelope";
    for blob in [&signature[..], b"{}"] {
        let started = repository.request("POST", "blobs/uploads/").header("content-length", "0").expect(202).await;
        let put = format!("{}?digest={}", started.location(), escaped(&sha256(blob).to_string()));
        let put = server.request("PUT", &put).header("content-type", "application/octet-stream");
        put.body(blob.to_vec()).expect(201).await;
    }
    let attached = artifact(
        "application/vnd.cncf.notary.signature",
        &[Descriptor::of("application/jose+json", signature)],
        Some(&subject_of(&manifest)),
        &[("io.cncf.notary.x509chain.thumbprint#S256", "[\"ab\"]")],
    );
    let digest = sha256(&attached);
    let pushed = repository.push_manifest(&digest.to_string(), attached).await;
    assert_eq!(pushed.header("oci-subject"), Some(sha256(&manifest).to_string().as_str()));
    let filtered =
        format!("referrers/{}?artifactType={}", sha256(&manifest), escaped("application/vnd.cncf.notary.signature"));
    let found = repository.request("GET", &filtered).expect(200).await;
    assert_eq!(found.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(found.json()["manifests"][0]["digest"], digest.to_string());
    // Taking it back is one call, and there is no list under a tag to mend.
    repository.request("DELETE", &format!("manifests/{digest}")).expect(202).await;
    assert!(repository.referrers(&sha256(&manifest)).await.is_empty());
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn helm_pushes_a_chart_with_provenance_and_finds_its_versions_page_by_page() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("charts/net-monitor");
    let (config, chart, signature) = (b"{\"name\":\"net-monitor\"}".to_vec(), bytes_of(6, 9_000), b"signed".to_vec());
    for blob in [&config, &chart, &signature] {
        repository.push_blob(blob.clone()).await;
    }
    let layers = [
        Descriptor::of("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &chart),
        Descriptor::of("application/vnd.cncf.helm.chart.provenance.v1.prov", &signature),
    ];
    let manifest = image_of(&Descriptor::of("application/vnd.cncf.helm.config.v1+json", &config), &layers);
    let mut versions: Vec<_> = (0..25).map(|minor| format!("1.{minor}.0_build.7")).collect();
    for version in &versions {
        repository.push_manifest(version, manifest.clone()).await;
    }
    let (mut path, mut found) = (Some(repository.path("tags/list?n=10")), Vec::new());
    while let Some(page) = path {
        let answer = server.request("GET", &page).expect(200).await;
        found.extend(answer.strings("tags"));
        path = answer.next_page();
    }
    versions.sort();
    assert_eq!(found, versions);
    let pulled = repository.request("GET", "manifests/1.7.0_build.7").expect(200).await;
    assert_eq!((pulled.header("content-type"), &pulled.body[..]), (Some(media::OCI_IMAGE_MANIFEST), &manifest[..]));
    server.stop().await;
    site.fsck_clean();
}
