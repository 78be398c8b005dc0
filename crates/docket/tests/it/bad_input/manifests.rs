//! Manifests that two readers could understand differently, and some that only look dangerous.

use docket_oci::manifest::{Descriptor, MANIFEST_BYTES_MAX};
use docket_oci::media;
use serde_json::json;

use super::state::State;
use crate::harness::{Ask as _, Server, Site, artifact, image, sha256};

#[tokio::test]
async fn a_manifest_that_breaks_a_rule_is_refused_with_the_rule() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    let config = json!(Descriptor::of("application/x", b"{}")).to_string();
    let good = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{config},"layers":[]}}"#);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "not valid"),
        ("not json", b"manifest".to_vec(), "not valid"),
        ("null", b"null".to_vec(), "not valid"),
        ("a list", b"[]".to_vec(), "not valid"),
        ("cut short", good.as_bytes()[..good.len() - 1].to_vec(), "not valid"),
        ("trailing bytes", format!("{good}x").into_bytes(), "not valid"),
        ("a byte order mark", format!("\u{feff}{good}").into_bytes(), "not valid"),
        ("invalid utf-8", [good.as_bytes(), b"\xff"].concat(), "utf-8"),
        ("too deep", ["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes(), "deeper"),
        ("a key twice", good.replacen('{', r#"{"schemaVersion":2,"#, 1).into_bytes(), "twice"),
        ("a key in another case", good.replacen("config", "Config", 1).into_bytes(), "another case"),
        ("both kinds", good.replacen('{', r#"{"manifests":[],"#, 1).into_bytes(), "both manifests and"),
        ("schema 1", br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec(), "schema 1"),
        ("schema 3", good.replacen(":2", ":3", 1).into_bytes(), "schemaVersion 2"),
        ("another type", good.replacen(OCI, media::DOCKER_MANIFEST, 1).into_bytes(), "came as"),
        ("no config", format!(r#"{{"schemaVersion":2,"mediaType":"{OCI}","layers":[]}}"#).into_bytes(), "no config"),
        ("a negative size", good.replacen("\"size\":2", "\"size\":-2", 1).into_bytes(), "not valid"),
        ("a huge size", good.replacen("\"size\":2", "\"size\":1e400", 1).into_bytes(), "not valid"),
        ("a descriptor's key twice", good.replacen("\"size\":2", "\"size\":2,\"size\":3", 1).into_bytes(), "not valid"),
        ("a broken digest", good.replacen("sha256:", "sha256:../", 1).into_bytes(), "not valid"),
    ];
    for (what, manifest, expected) in cases {
        let refused = repository.put("bad", OCI, manifest).await.expecting(400);
        assert_eq!(refused.code(), "MANIFEST_INVALID", "{what}");
        assert!(refused.message().contains(expected), "{what}: {}", refused.message());
    }
    for content_type in ["text/plain", "application/vnd.oci.artifact.manifest.v1+json", media::DOCKER_MANIFEST_V1] {
        let body = good.replacen(&format!(r#""mediaType":"{OCI}","#), "", 1);
        let refused = repository.put("bad", content_type, body).await.expecting(400);
        assert_eq!(refused.code(), "MANIFEST_INVALID", "{content_type}");
    }
    let mut large = good.into_bytes();
    large.resize(5 * 1024 * 1024, b' ');
    let refused = repository.put("bad", OCI, large).await.expecting(413);
    assert_eq!(refused.code(), "SIZE_INVALID");
    assert!(refused.message().contains(&MANIFEST_BYTES_MAX.to_string()), "{}", refused.message());
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn thousands_of_missing_layers_are_refused_in_a_short_message() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_image("v1", 1).await;
    let before = State::of(&site, &server).await;
    let layers: Vec<_> = (0..20_000_u32).map(u32::to_le_bytes).collect();
    let layers: Vec<&[u8]> = layers.iter().map(<[u8; 4]>::as_slice).collect();
    let refused = repository.put("bad", OCI, image(b"{}", &layers)).await.expecting(400);
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
    assert!(refused.message().contains("20000") && refused.body.len() < 2_000, "{}", refused.message());
    before.is_unchanged(&site, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_only_large_or_long_is_kept_as_bytes() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let config = Descriptor::of("application/x", b"{}");
    let fill = |one: &dyn Fn(usize) -> String, count: usize| (0..count).map(one).collect::<Vec<_>>().join(",");
    let annotations = fill(&|number| format!("\"k{number}\":\"\""), 200_000);
    let annotated = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{},"layers":[],"annotations":{{{annotations}}}}}"#,
        json!(config)
    );
    let layer = json!(config).to_string();
    let layered = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{layer},"layers":[{}]}}"#,
        fill(&|_| layer.clone(), 25_000)
    );
    for (tag, manifest) in [("annotated", annotated), ("layered", layered)] {
        repository.push_manifest(tag, manifest.clone()).await;
        assert!(repository.manifest(tag).await == manifest.as_bytes(), "{tag}");
    }
    // A chain that a reader who followed it would not come out of.
    let mut inner = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    for _ in 0..1_000 {
        let child = Descriptor::of(media::OCI_IMAGE_INDEX, &inner);
        inner =
            json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": [child]}).to_string().into();
        repository.put(&sha256(&inner).to_string(), media::OCI_IMAGE_INDEX, inner.clone()).await.expecting(201);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 1_002);
}

#[tokio::test]
async fn addresses_in_a_manifest_are_never_asked() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let inside = format!("http://{}/latest/meta-data", listener.local_addr().expect("bound"));
    let foreign = Descriptor {
        urls: vec![inside, "http://169.254.169.254/".to_owned(), "file:///etc/passwd".to_owned()],
        ..Descriptor::of(media::DOCKER_LAYER_FOREIGN, b"elsewhere")
    };
    let manifest = crate::harness::image_of(&Descriptor::of("application/x", b"{}"), std::slice::from_ref(&foreign));
    repository.push_manifest("v1", manifest.clone()).await;
    assert_eq!(repository.manifest("v1").await, manifest);
    repository.request("GET", &format!("blobs/{}", foreign.digest)).expect(404).await;
    server.stop().await;
    let asked = std::pin::pin!(listener.accept());
    assert!(futures_util::FutureExt::now_or_never(asked).is_none(), "nobody connected");
    site.fsck_clean();
}

#[tokio::test]
async fn what_annotations_say_stays_inside_them() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let subject = Descriptor::of(OCI, b"subject");
    let large = "x".repeat(1_000_000);
    let values = ["a\r\nSet-Cookie: b=c", "<script>alert(1)</script>", "\u{0}\u{1b}[2J", "\u{202e}gnp.exe", &large];
    for value in values {
        let manifest = artifact("application/x", &[Descriptor::empty()], Some(&subject), &[("note", value)]);
        let pushed = repository.push_manifest(&sha256(&manifest).to_string(), manifest).await;
        assert_eq!(pushed.header("set-cookie"), None);
    }
    let listed = repository.referrers(&subject.digest).await;
    let mut notes: Vec<_> = listed.iter().map(|one| one.annotations["note"].as_str()).collect();
    notes.sort_unstable();
    let mut expected = values;
    expected.sort_unstable();
    assert_eq!(notes, expected);
    server.stop().await;
    site.fsck_clean();
}

const OCI: &str = media::OCI_IMAGE_MANIFEST;
