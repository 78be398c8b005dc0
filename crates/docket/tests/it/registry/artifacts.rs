//! Artifacts of every kind pass through untouched: what a registry need not understand, it does not judge.

use docket_oci::manifest::Descriptor;
use docket_oci::media;
use serde_json::{Value, json};

use crate::harness::{Ask as _, Repository, Server, Site, bytes_of, sha256};

/// Puts a document under a tag and reads the same bytes and type back, by tag and by digest.
async fn passes(repository: &Repository<'_>, tag: &str, media_type: &str, document: &Value) -> Vec<u8> {
    let bytes = serde_json::to_vec_pretty(document).expect("JSON");
    let pushed = repository.put(tag, media_type, bytes.clone()).await.expecting(201);
    assert_eq!(pushed.header("warning"), None, "{tag}");
    for reference in [tag, &sha256(&bytes).to_string()] {
        let got = repository.request("GET", &format!("manifests/{reference}")).expect(200).await;
        assert_eq!((got.header("content-type"), &got.body[..]), (Some(media_type), &bytes[..]), "{tag}");
    }
    bytes
}

#[tokio::test]
async fn end_7a_unknown_types_unknown_members_and_embedded_data_pass() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let layer = bytes_of(1, 100);
    repository.push_blob(layer.clone()).await;
    let config = Descriptor::of("application/vnd.unknown.config", b"{}");
    let mut embedded = json!(Descriptor::of("application/vnd.unknown.layer", &layer));
    embedded["data"] = "bm90IGl0cyBieXRlcw==".into();
    embedded["org.example.member"] = json!({"deep": [1, 2, {"deeper": null}]});
    let image = json!({
        "schemaVersion": 2, "mediaType": media::OCI_IMAGE_MANIFEST, "artifactType": "application/vnd.unknown",
        "config": config, "layers": [embedded], "org.example.member": [true, 1.5e3, "\u{e4}"],
        "annotations": {"": "empty key", "org.example.b": ""},
    });
    passes(&repository, "unknown", media::OCI_IMAGE_MANIFEST, &image).await;
    let bare = json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_MANIFEST, "config": config, "layers": []});
    passes(&repository, "no-layers", media::OCI_IMAGE_MANIFEST, &bare).await;
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_7a_indexes_may_be_empty_or_nested() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let empty = json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": []});
    let mut inner = passes(&repository, "level-0", media::OCI_IMAGE_INDEX, &empty).await;
    for level in 1..20 {
        let child = Descriptor::of(media::OCI_IMAGE_INDEX, &inner);
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": [child]});
        inner = passes(&repository, &format!("level-{level}"), media::OCI_IMAGE_INDEX, &index).await;
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 20);
}

#[tokio::test]
async fn a_build_cache_whose_children_are_blobs_passes() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("app/cache");
    let (layer, config) = (bytes_of(1, 5_000), b"{\"layers\":[],\"records\":[]}".to_vec());
    repository.push_blob(layer.clone()).await;
    repository.push_blob(config.clone()).await;
    for media_type in [media::OCI_IMAGE_INDEX, media::DOCKER_MANIFEST_LIST] {
        let children = [
            Descriptor::of(media::OCI_LAYER_GZIP, &layer),
            Descriptor::of("application/vnd.buildkit.cacheconfig.v0", &config),
        ];
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
        passes(&repository, "cache", media_type, &index).await;
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn attestations_of_no_platform_pass_as_children() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("image", 1).await;
    let attestation = repository.push_image("attestation", 2).await;
    let child = |bytes: &[u8], architecture: &str, os: &str| {
        let mut child = json!(Descriptor::of(media::OCI_IMAGE_MANIFEST, bytes));
        child["platform"] = json!({"architecture": architecture, "os": os});
        child
    };
    let mut unknown = child(&attestation, "unknown", "unknown");
    unknown["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": sha256(&image).to_string(),
    });
    let children = [child(&image, "amd64", "linux"), unknown];
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": children});
    passes(&repository, "v1", media::OCI_IMAGE_INDEX, &index).await;
    server.stop().await;
    site.fsck_clean();
}
