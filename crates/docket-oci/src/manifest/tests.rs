use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::digest::{Algorithm, Digest};
use crate::media::*;

fn layer(bytes: &[u8]) -> Value {
    json!({"mediaType": OCI_LAYER_GZIP, "digest": Digest::of(Algorithm::Sha256, bytes), "size": bytes.len()})
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MANIFEST,
        "config": {"mediaType": OCI_IMAGE_CONFIG, "digest": OCI_EMPTY_DIGEST, "size": 2},
        "layers": [layer(b"one"), layer(b"two")],
    })
}

fn index() -> Value {
    let child = json!({
        "mediaType": OCI_IMAGE_MANIFEST, "digest": OCI_EMPTY_DIGEST, "size": 2,
        "platform": {"architecture": "arm64", "os": "linux", "os.version": "1", "variant": "v8"},
    });
    json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX, "manifests": [child]})
}

fn with(mut manifest: Value, key: &str, value: Value) -> Value {
    manifest[key] = value;
    manifest
}

fn without(mut manifest: Value, key: &str) -> Value {
    manifest.as_object_mut().expect("an object").remove(key);
    manifest
}

fn parse(manifest: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(manifest.to_string().as_bytes(), None)
}

#[test]
fn an_image_lists_the_blobs_it_needs() {
    let foreign = json!({"mediaType": DOCKER_LAYER_FOREIGN, "digest": OCI_EMPTY_DIGEST, "size": 2, "urls": ["https://a.example"]});
    let manifest = parse(&with(image(), "layers", json!([layer(b"one"), foreign]))).expect("well formed");
    assert_eq!((manifest.kind(), manifest.resolved_media_type()), (Kind::Image, OCI_IMAGE_MANIFEST));
    assert_eq!(manifest.layers.len(), 2);
    let required: Vec<_> = manifest.required_blobs().map(|blob| blob.media_type.as_str()).collect();
    assert_eq!(required, [OCI_IMAGE_CONFIG, OCI_LAYER_GZIP]);
    assert!(manifest.children().is_empty());
}

#[test]
fn an_index_lists_its_children() {
    let manifest = parse(&index()).expect("well formed");
    assert_eq!((manifest.kind(), manifest.resolved_media_type()), (Kind::Index, OCI_IMAGE_INDEX));
    let platform = manifest.children()[0].platform.clone().expect("has a platform");
    assert_eq!((platform.os_version.as_deref(), platform.variant.as_deref()), (Some("1"), Some("v8")));
    assert_eq!(manifest.required_blobs().count(), 0);
}

#[test]
fn the_type_comes_from_the_body_then_the_request_then_the_shape() {
    let resolve = |manifest: Value, sent| {
        let manifest = Manifest::parse(manifest.to_string().as_bytes(), sent);
        manifest.map(|manifest| manifest.resolved_media_type().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(resolve(image(), Some(OCI_IMAGE_MANIFEST)).as_deref(), Ok(OCI_IMAGE_MANIFEST));
    let parameters = format!("{OCI_IMAGE_MANIFEST}; charset=utf-8");
    assert_eq!(resolve(image(), Some(&parameters)).as_deref(), Ok(OCI_IMAGE_MANIFEST));
    let bare = without(image(), "mediaType");
    assert_eq!(resolve(bare.clone(), Some(DOCKER_MANIFEST)).as_deref(), Ok(DOCKER_MANIFEST));
    assert_eq!(resolve(bare, None).as_deref(), Ok(OCI_IMAGE_MANIFEST));
    assert_eq!(resolve(without(index(), "mediaType"), None).as_deref(), Ok(OCI_IMAGE_INDEX));
}

#[test]
fn a_body_and_a_request_that_differ_are_refused() {
    let error = Manifest::parse(image().to_string().as_bytes(), Some(DOCKER_MANIFEST));
    assert!(matches!(error, Err(ManifestError::TypeMismatch { .. })), "{error:?}");
    let error = Manifest::parse(image().to_string().as_bytes(), Some(OCI_IMAGE_INDEX));
    assert!(matches!(error, Err(ManifestError::TypeMismatch { .. })), "{error:?}");
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let hybrid = with(image(), "manifests", json!([]));
    assert!(matches!(parse(&hybrid), Err(ManifestError::Hybrid)));
    let null_hybrid = with(index(), "layers", Value::Null);
    assert!(matches!(parse(&null_hybrid), Err(ManifestError::Hybrid)));
    let dressed_up = with(index(), "mediaType", json!(OCI_IMAGE_MANIFEST));
    assert!(matches!(parse(&dressed_up), Err(ManifestError::OtherShape { .. })));
    let miscased = with(image(), "Layers", json!([]));
    assert!(matches!(parse(&miscased), Err(ManifestError::MiscasedKey { .. })));
    for twice in [r#"{"schemaVersion":2,"layers":[],"layers":[]}"#, r#"{"schemaVersion":2,"x":1,"\u0078":2}"#] {
        let error = Manifest::parse(twice.as_bytes(), None);
        assert!(matches!(error, Err(ManifestError::DuplicateKey { .. })), "{error:?}");
    }
}

#[test]
fn dead_and_unknown_types_are_refused() {
    assert!(matches!(parse(&with(image(), "schemaVersion", json!(1))), Err(ManifestError::Schema1)));
    assert!(matches!(
        parse(&with(image(), "mediaType", json!(DOCKER_MANIFEST_V1_SIGNED))),
        Err(ManifestError::Schema1)
    ));
    assert!(matches!(parse(&without(image(), "schemaVersion")), Err(ManifestError::SchemaVersion)));
    assert!(matches!(parse(&with(image(), "schemaVersion", json!(3))), Err(ManifestError::SchemaVersion)));
    assert!(matches!(parse(&with(image(), "mediaType", json!("a/b"))), Err(ManifestError::UnknownType { .. })));
    assert!(matches!(parse(&json!({"schemaVersion": 2})), Err(ManifestError::NoType)));
    assert!(matches!(parse(&without(image(), "config")), Err(ManifestError::NoConfig)));
}

#[test]
fn malformed_members_are_refused() {
    for size in [json!(-1), json!(1.5), json!("2"), json!(u64::MAX)] {
        let bad = with(image(), "layers", json!([{"mediaType": OCI_LAYER, "digest": OCI_EMPTY_DIGEST, "size": size}]));
        assert!(matches!(parse(&bad), Err(ManifestError::Json(_))), "{size}");
    }
    let bad = with(image(), "subject", json!({"mediaType": OCI_IMAGE_MANIFEST, "digest": "sha256:00", "size": 2}));
    assert!(parse(&bad).is_err_and(|error| error.to_string().contains("hex digits")));
    for bytes in [&b""[..], b"[]", b"null", b"{", b"{} {}", b"\xef\xbb\xbf{}", b"{\"schemaVersion\":1e999}"] {
        assert!(matches!(Manifest::parse(bytes, None), Err(ManifestError::Json(_))), "{bytes:?}");
    }
}

#[test]
fn invalid_utf_8_is_refused_wherever_it_stands() {
    let error = Manifest::parse(b"{\"unknown\":\"\xff\"}", None);
    assert!(matches!(error, Err(ManifestError::Encoding(_))), "{error:?}");
}

#[test]
fn what_the_specification_leaves_open_is_accepted() {
    let open = with(with(image(), "unknown", json!({"deep": [1, 2]})), "annotations", Value::Null);
    let open = with(open, "layers", json!([]));
    assert!(parse(&open).is_ok());
    let missing_subject =
        json!({"mediaType": OCI_IMAGE_MANIFEST, "digest": OCI_EMPTY_DIGEST, "size": 2, "data": "e30="});
    assert!(parse(&with(image(), "subject", missing_subject)).is_ok());
    assert!(parse(&with(index(), "manifests", json!([layer(b"cache")]))).is_ok());
    assert!(parse(&with(index(), "manifests", Value::Null)).is_ok());
}

#[test]
fn one_step_over_each_limit_is_refused() {
    let padded = |bytes: usize| {
        let text = image().to_string();
        let mut padded = text.into_bytes();
        padded.resize(bytes, b' ');
        Manifest::parse(&padded, None)
    };
    assert!(padded(MANIFEST_BYTES_MAX).is_ok());
    assert!(matches!(padded(MANIFEST_BYTES_MAX + 1), Err(ManifestError::TooLarge { .. })));

    let nested = |levels: usize| {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let text = image().to_string();
        Manifest::parse(format!("{},\"x\":{value}}}", &text[..text.len() - 1]).as_bytes(), None)
    };
    assert!(nested(DEPTH_MAX - 1).is_ok());
    assert!(matches!(nested(DEPTH_MAX), Err(ManifestError::TooDeep)));
    assert!(matches!(nested(100_000), Err(ManifestError::TooDeep)));

    let many = |extra: usize| {
        let extra = (0..extra).map(|key| (format!("k{key}"), json!(0)));
        let manifest: serde_json::Map<_, _> =
            image().as_object().expect("an object").clone().into_iter().chain(extra).collect();
        parse(&Value::Object(manifest))
    };
    assert!(many(TOP_LEVEL_KEYS_MAX - 4).is_ok());
    assert!(matches!(many(TOP_LEVEL_KEYS_MAX - 3), Err(ManifestError::TooManyKeys)));
}

#[test]
fn brackets_in_strings_do_not_count_as_depth() {
    let text = "[\\\"{".repeat(200);
    assert!(parse(&with(image(), "annotations", json!({"a": text}))).is_ok());
}

#[test]
fn the_artifact_type_of_a_referrer_falls_back_to_its_config() {
    let kind = |manifest: Value| parse(&manifest).expect("well formed").referrer_artifact_type().map(str::to_owned);
    assert_eq!(kind(with(image(), "artifactType", json!("a/b"))).as_deref(), Some("a/b"));
    assert_eq!(kind(with(image(), "artifactType", json!(""))).as_deref(), Some(OCI_IMAGE_CONFIG));
    assert_eq!(kind(image()).as_deref(), Some(OCI_IMAGE_CONFIG));
    assert_eq!(kind(index()), None);
}

#[test]
fn an_artifact_manifest_has_these_exact_bytes() {
    let subject = Descriptor::of(OCI_IMAGE_MANIFEST, b"subject");
    let layer = Descriptor::of("application/vnd.cyclonedx+json", b"sbom");
    let annotations = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
    let bytes = artifact_manifest("application/vnd.cyclonedx+json", &[layer], Some(&subject), &annotations);
    insta::assert_snapshot!(String::from_utf8_lossy(&bytes));
}

#[test]
fn written_manifests_are_what_the_reference_types_read() {
    let subject = Descriptor::of(OCI_IMAGE_MANIFEST, b"subject");
    let bytes = artifact_manifest("a/b", &[], Some(&subject), &BTreeMap::new());
    let oracle: oci_spec::image::ImageManifest = serde_json::from_slice(&bytes).expect("the oracle reads it");
    assert_eq!(oracle.artifact_type().as_ref().map(ToString::to_string).as_deref(), Some("a/b"));
    assert_eq!(oracle.config().digest().to_string(), OCI_EMPTY_DIGEST);
    assert_eq!(oracle.layers().len(), 1);
    assert_eq!(oracle.subject().as_ref().map(|subject| subject.digest().to_string()), Some(subject.digest.to_string()));
    let ours = Manifest::parse(&bytes, Some(OCI_IMAGE_MANIFEST)).expect("we read it");
    assert_eq!(ours.subject, Some(subject));
    assert_eq!(ours.config, Some(Descriptor::empty()));
}

#[test]
fn written_indexes_are_what_the_reference_types_read() {
    let mut child = Descriptor::of(OCI_IMAGE_MANIFEST, b"child");
    child.annotations.insert(ANNOTATION_REF_NAME.to_owned(), "v1".to_owned());
    child.platform = Some(Platform { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..Platform::default() });
    let bytes = index_bytes(std::slice::from_ref(&child), &BTreeMap::new());
    let oracle: oci_spec::image::ImageIndex = serde_json::from_slice(&bytes).expect("the oracle reads it");
    assert_eq!(oracle.manifests()[0].digest().to_string(), child.digest.to_string());
    assert_eq!(
        oracle.manifests()[0].platform().as_ref().map(|platform| platform.os().to_string()).as_deref(),
        Some("linux")
    );
    let ours = Manifest::parse(&bytes, Some(OCI_IMAGE_INDEX)).expect("we read it");
    assert_eq!(ours.children(), [child]);
    let empty = index_bytes(&[], &BTreeMap::new());
    assert_eq!(empty, format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE_INDEX}","manifests":[]}}"#).into_bytes());
}

#[test]
fn known_keys_are_the_fields_that_are_read() {
    let full = with(with(with(image(), "artifactType", json!("a/b")), "subject", layer(b"")), "annotations", json!({}));
    let full = with(full, "manifests", json!([]));
    let keys: BTreeSet<_> = full.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, parse::KNOWN_KEYS.into_iter().collect());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(text in r#"[\[\]{}",:a-z0-9\\ -]{0,200}"#) {
        let _ = Manifest::parse(text.as_bytes(), None);
    }
}

#[test]
fn a_listing_of_written_descriptors_has_the_bytes_of_one_of_descriptors() {
    let one = Descriptor::of("a/b", b"one");
    let two =
        Descriptor { annotations: [("k".to_owned(), "\"v\"".to_owned())].into(), ..Descriptor::of("a/b", b"two") };
    for manifests in [&[][..], std::slice::from_ref(&one), &[one.clone(), two]] {
        let written: Vec<_> = manifests.iter().map(|one| serde_json::to_string(one).expect("serializes")).collect();
        assert_eq!(index_of_written(&written.join(",")), index_bytes(manifests, &BTreeMap::new()));
    }
}
