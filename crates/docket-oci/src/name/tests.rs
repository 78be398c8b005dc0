use super::*;
use crate::digest::Algorithm;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn is_repository(text: &str) -> bool {
    text.parse::<RepositoryName>().is_ok()
}

#[test]
fn repository_names_follow_the_grammar() {
    for name in ["a", "0", "wabbit/net-monitor", "a.b/c_d/e__f/g---h", "blobs", "tags/list", "manifests/uploads/x"] {
        assert!(is_repository(name), "{name}");
    }
    let bad = [
        "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "A", "a..b", "a___b", "a.-b", "-a", "a-", "_a", "a_", "a b",
        "a%2fb", "a\\b", "a\0", "ä", "a:b", "a@b", "a\n",
    ];
    for name in bad {
        assert!(!is_repository(name), "{name:?}");
    }
}

#[test]
fn one_byte_over_the_name_limit_is_refused() {
    assert!(is_repository(&"a".repeat(NAME_BYTES_MAX)));
    let error = "a".repeat(NAME_BYTES_MAX + 1).parse::<RepositoryName>();
    assert_eq!(error, Err(NameError::RepositoryTooLong { bytes: NAME_BYTES_MAX + 1 }));
}

#[test]
fn tags_follow_the_grammar() {
    for tag in ["latest", "v1.0", "_", "A-b_c.d", "sha256-00", &"a".repeat(TAG_BYTES_MAX)] {
        assert!(tag.parse::<Tag>().is_ok(), "{tag}");
    }
    for tag in ["", ".a", "-a", "a/b", "a b", "a:b", "a+b", "ä"] {
        assert_eq!(tag.parse::<Tag>(), Err(NameError::Tag), "{tag:?}");
    }
    let long = "a".repeat(TAG_BYTES_MAX + 1);
    assert_eq!(long.parse::<Tag>(), Err(NameError::TagTooLong { bytes: TAG_BYTES_MAX + 1 }));
}

#[test]
fn a_reference_with_a_colon_is_a_digest_or_wrong() {
    assert!(matches!(format!("sha256:{HEX}").parse(), Ok(Reference::Digest(_))));
    assert!(matches!("sha256-x".parse(), Ok(Reference::Tag(_))));
    assert!(matches!("sha256:x".parse::<Reference>(), Err(NameError::Digest(DigestError::Length { .. }))));
}

#[test]
fn the_last_segment_is_what_follows_the_last_slash() {
    let last = |name: &str| name.parse::<RepositoryName>().map(|name| name.last_segment().to_owned());
    assert_eq!(last("wabbit/net-monitor").as_deref(), Ok("net-monitor"));
    assert_eq!(last("solo").as_deref(), Ok("solo"));
}

#[test]
fn image_references_read_back_as_written() {
    let with_digest = format!("localhost:5000/wabbit/net-monitor:v1@sha256:{HEX}");
    let without_tag = format!("[::1]:5000/a@sha256:{HEX}");
    for text in ["localhost:5000/wabbit/net-monitor:v1", "registry.wabbit.example/a:b", &with_digest, &without_tag] {
        let parsed: ImageReference = text.parse().expect(text);
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn a_digest_wins_over_the_tag_beside_it() {
    let parsed: ImageReference = format!("localhost/a:v1@sha256:{HEX}").parse().expect("well formed");
    assert!(matches!(parsed.reference, Reference::Digest(_)));
    assert_eq!(parsed.named_tag().map(Tag::as_str), Some("v1"));
}

#[test]
fn a_reference_without_a_tag_means_latest() {
    let parsed: ImageReference = "localhost:5000/a".parse().expect("well formed");
    assert_eq!(parsed.reference, Reference::Tag(Tag::latest()));
    assert_eq!(parsed.to_string(), "localhost:5000/a:latest");
}

#[test]
fn a_reference_without_a_registry_is_refused() {
    for text in [
        "alpine",
        "library/alpine",
        "/a",
        ".:1/a",
        "a..b/c",
        "host:/a",
        "host:99999/a",
        "host:+1/a",
        "[::g]/a",
        "us er:1/a",
    ] {
        assert_eq!(text.parse::<ImageReference>(), Err(NameError::NoHost), "{text}");
    }
    assert_eq!("localhost/A".parse::<ImageReference>(), Err(NameError::Repository));
    assert_eq!("localhost/a:".parse::<ImageReference>(), Err(NameError::Tag));
    assert!("localhost/a@sha256:00".parse::<ImageReference>().is_err());
}

#[test]
fn the_tag_of_referrers_is_cut_to_what_a_tag_may_hold() {
    // The cases of the spec's text: as it is, the algorithm cut to 32, the hash cut to 64, characters replaced.
    assert_eq!(referrers_tag("sha256", &"a".repeat(64)), format!("sha256-{}", "a".repeat(64)));
    assert_eq!(referrers_tag("sha512", &"b".repeat(128)), format!("sha512-{}", "b".repeat(64)));
    let long = referrers_tag(&"x".repeat(33), &"c".repeat(65));
    assert_eq!(long, format!("{}-{}", "x".repeat(32), "c".repeat(64)));
    assert_eq!(
        referrers_tag("test+algorithm+using+algorithm+separators+and+lots", "a=b/c"),
        "test-algorithm-using-algorithm-s-a-b-c"
    );
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"subject");
        let tag = Tag::of_referrers(&digest);
        assert_eq!(tag.as_str(), format!("{algorithm}-{}", &digest.hex()[..64]));
        assert_eq!(tag.as_str().parse(), Ok(tag), "it is a tag");
    }
}
