use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn get(path: &str) -> Result<Call, CallError> {
    Call::parse("GET", path, None)
}

fn name(text: &str) -> RepositoryName {
    text.parse().expect(text)
}

fn digest() -> Digest {
    format!("sha256:{HEX}").parse().expect("well formed")
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().expect(text))
}

#[test]
fn every_call_of_the_specification_is_understood() {
    let (repository, digest, session) = (name("a/b"), digest(), "0b5c-1_x".to_owned());
    let reference = Reference::Digest(digest);
    let upload = format!("/v2/a/b/blobs/uploads/{session}");
    let blob = format!("/v2/a/b/blobs/{digest}");
    let manifest = format!("/v2/a/b/manifests/{digest}");
    let entry = HEX.to_owned();
    let start = Call::StartUpload {
        repository: repository.clone(),
        digest: None,
        mount: None,
        from: None,
        digest_algorithm: None,
    };
    let calls = [
        ("GET", "/v2/".to_owned(), Call::Ping),
        ("HEAD", "/v2".to_owned(), Call::Ping),
        ("GET", "/v2/_catalog".to_owned(), Call::Catalog { n: None, last: None }),
        ("GET", "/v2/_oci/ext/discover".to_owned(), Call::Discover { repository: None }),
        ("GET", "/v2/a/b/_oci/ext/discover".to_owned(), Call::Discover { repository: Some(name("a/b")) }),
        ("GET", blob.clone(), Call::Blob { repository: name("a/b"), digest, head: false }),
        ("HEAD", blob.clone(), Call::Blob { repository: name("a/b"), digest, head: true }),
        ("DELETE", blob, Call::DeleteBlob { repository: name("a/b"), digest }),
        ("POST", "/v2/a/b/blobs/uploads/".to_owned(), start.clone()),
        ("POST", "/v2/a/b/blobs/uploads".to_owned(), start),
        ("GET", upload.clone(), Call::UploadStatus { repository: name("a/b"), session: session.clone() }),
        ("PATCH", upload.clone(), Call::UploadPatch { repository: name("a/b"), session: session.clone() }),
        ("DELETE", upload, Call::UploadCancel { repository: name("a/b"), session }),
        (
            "GET",
            "/v2/a/b/manifests/v1".to_owned(),
            Call::Manifest { repository: name("a/b"), reference: tag("v1"), head: false },
        ),
        (
            "HEAD",
            manifest.clone(),
            Call::Manifest { repository: name("a/b"), reference: reference.clone(), head: true },
        ),
        (
            "PUT",
            manifest.clone(),
            Call::PutManifest { repository: name("a/b"), reference: reference.clone(), tags: vec![] },
        ),
        ("DELETE", manifest, Call::DeleteManifest { repository: name("a/b"), reference }),
        ("GET", "/v2/a/b/tags/list".to_owned(), Call::Tags { repository: name("a/b"), n: None, last: None }),
        (
            "GET",
            format!("/v2/a/b/referrers/{digest}"),
            Call::Referrers { repository: name("a/b"), digest, artifact_type: None, last: None },
        ),
        ("POST", "/v2/a/b/_scitt/ledger/entries".to_owned(), Call::ScittRegister { repository: name("a/b") }),
        ("GET", format!("/v2/a/b/_scitt/ledger/entries/{HEX}"), Call::ScittEntry { repository, entry }),
    ];
    for (method, path, call) in calls {
        assert_eq!(Call::parse(method, &path, None), Ok(call), "{method} {path}");
    }
}

#[test]
fn names_may_contain_the_words_of_paths() {
    let repositories =
        ["blobs", "manifests", "tags/list", "a/blobs/uploads", "referrers/manifests", "uploads", "a/manifests/v1"];
    for repository in repositories {
        let tags = get(&format!("/v2/{repository}/tags/list"));
        assert_eq!(tags, Ok(Call::Tags { repository: name(repository), n: None, last: None }));
        let manifest = get(&format!("/v2/{repository}/manifests/list"));
        assert_eq!(manifest, Ok(Call::Manifest { repository: name(repository), reference: tag("list"), head: false }));
        let upload = get(&format!("/v2/{repository}/blobs/uploads/manifests"));
        assert_eq!(upload, Ok(Call::UploadStatus { repository: name(repository), session: "manifests".to_owned() }));
        let blob = get(&format!("/v2/{repository}/blobs/sha256:{HEX}"));
        assert_eq!(blob, Ok(Call::Blob { repository: name(repository), digest: digest(), head: false }));
    }
}

#[test]
fn paths_that_are_not_plain_are_refused() {
    let bad = [
        "/v2//manifests/v1",
        "/v2/a//b/manifests/v1",
        "/v2/../manifests/v1",
        "/v2/a/../b/manifests/v1",
        "/v2/a/./manifests/v1",
        "/v2/a%2fb/manifests/v1",
        "/v2/%2e%2e/manifests/v1",
        "/v2/a/manifests/%00",
        "/v2/a/tags/list/",
        "/v2//blobs/uploads/",
    ];
    for path in bad {
        assert_eq!(get(path), Err(CallError::PathNotPlain), "{path}");
    }
    assert_eq!(CallError::PathNotPlain.code(), Code::NameInvalid);
}

#[test]
fn names_outside_the_grammar_are_refused() {
    for repository in ["A", "a\\b", "a\0", "-a", "ä", "a b", &"a".repeat(256)] {
        let error = get(&format!("/v2/{repository}/tags/list")).expect_err(repository);
        assert_eq!(error.code(), Code::NameInvalid, "{repository}");
    }
}

#[test]
fn unknown_paths_differ_from_wrong_methods() {
    for path in [
        "",
        "/",
        "/v1/",
        "/v2x",
        "/v2/a",
        "/v2/a/b",
        "/v2/manifests/v1",
        "/v2/a/manifests/v1/x",
        "/v2/tags/list",
        "/v2/_catalog/x",
    ] {
        assert_eq!(get(path), Err(CallError::UnknownPath), "{path}");
    }
    let wrong = [
        ("PUT", "/v2/"),
        ("POST", "/v2/_catalog"),
        ("DELETE", "/v2/a/tags/list"),
        ("PATCH", "/v2/a/manifests/v1"),
        ("GET", "/v2/a/blobs/uploads/"),
        ("get", "/v2/"),
        ("GET", "/v2/a/_scitt/ledger/entries"),
    ];
    for (method, path) in wrong {
        let error = Call::parse(method, path, None);
        assert!(matches!(error, Err(CallError::MethodNotAllowed { .. })), "{method} {path}: {error:?}");
    }
}

#[test]
fn a_reference_with_a_colon_must_be_a_digest() {
    let error = get("/v2/a/manifests/sha256:00").expect_err("short digest");
    assert_eq!(error.code(), Code::DigestInvalid);
    assert_eq!(
        get(&format!("/v2/a/blobs/sha256:{}", HEX.to_uppercase())),
        Err(CallError::Digest(DigestError::UpperCase))
    );
}

#[test]
fn a_tag_outside_the_grammar_is_absent_to_readers_and_wrong_to_writers() {
    for method in ["GET", "HEAD", "DELETE"] {
        let error = Call::parse(method, "/v2/a/manifests/.INVALID", None).expect_err("no such tag");
        assert_eq!(error.code(), Code::ManifestUnknown, "{method}");
    }
    let error = Call::parse("PUT", "/v2/a/manifests/.INVALID", None).expect_err("bad tag");
    assert_eq!(error.code(), Code::ManifestInvalid);
}

#[test]
fn page_sizes_are_numbers_and_never_more_than_a_page() {
    let tags = |query: &str| match Call::parse("GET", "/v2/a/tags/list", Some(query)) {
        Ok(Call::Tags { n, .. }) => Ok(n),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(tags("last=b"), Ok(None));
    assert_eq!(tags("n=0"), Ok(Some(0)));
    assert_eq!(tags("n=10000"), Ok(Some(PAGE_ENTRIES_MAX)));
    for huge in ["10001", "9223372036854775808", "99999999999999999999999999"] {
        assert_eq!(tags(&format!("n={huge}")), Ok(Some(PAGE_ENTRIES_MAX)), "{huge}");
    }
    for bad in ["n=-1", "n=", "n", "n=1e9", "n=+1", "n=0x1", "n=%20", "n=٣"] {
        assert_eq!(tags(bad), Err(CallError::Number { parameter: "n" }), "{bad}");
    }
    assert_eq!(tags("n=1&n=2"), Err(CallError::Repeated { parameter: "n" }));
}

#[test]
fn a_bad_mount_source_never_fails_the_upload() {
    let call = Call::parse("POST", "/v2/a/blobs/uploads/", Some("mount=sha256%3Ax&from=..%2FA"));
    let Ok(Call::StartUpload { mount, from, digest, .. }) = call else { panic!("{call:?}") };
    assert_eq!((mount.as_deref(), from.as_deref(), digest), (Some("sha256:x"), Some("../A"), None));
}

#[test]
fn upload_parameters_stand_once_and_digests_are_checked() {
    let post = |query: &str| Call::parse("POST", "/v2/a/blobs/uploads/", Some(query));
    for (query, parameter) in [("digest=a&digest=b", "digest"), ("mount=a&mount=a", "mount"), ("from=a&from=b", "from")]
    {
        assert_eq!(post(query), Err(CallError::Repeated { parameter }));
    }
    assert_eq!(post("digest=x"), Err(CallError::Digest(DigestError::NoAlgorithm)));
    assert_eq!(post("digest-algorithm=md5"), Err(CallError::Digest(DigestError::UnknownAlgorithm)));
    assert!(matches!(
        post("digest-algorithm=sha512"),
        Ok(Call::StartUpload { digest_algorithm: Some(Algorithm::Sha512), .. })
    ));
}

#[test]
fn closing_an_upload_takes_one_digest_and_ignores_other_parameters() {
    let put = |query: &str| Call::parse("PUT", "/v2/a/blobs/uploads/s", Some(query));
    let finish = Call::UploadFinish { repository: name("a"), session: "s".to_owned(), digest: digest() };
    assert_eq!(put(&format!("_state=x&digest=sha256%3A{HEX}")), Ok(finish));
    assert_eq!(put("_state=x"), Err(CallError::DigestMissing));
    assert!(Call::parse("GET", "/v2/a/blobs/uploads/s", Some("digest=anything")).is_ok());
}

#[test]
fn upload_sessions_are_plain_and_short() {
    assert!(get(&format!("/v2/a/blobs/uploads/{}", "s".repeat(SESSION_BYTES_MAX))).is_ok());
    assert_eq!(get(&format!("/v2/a/blobs/uploads/{}", "s".repeat(SESSION_BYTES_MAX + 1))), Err(CallError::Session));
    assert_eq!(get("/v2/a/blobs/uploads/s.t"), Err(CallError::Session));
}

#[test]
fn further_tags_stand_beside_a_digest_and_are_counted() {
    let put = |reference: &str, query: &str| Call::parse("PUT", &format!("/v2/a/manifests/{reference}"), Some(query));
    let by_digest = format!("sha256:{HEX}");
    let Ok(Call::PutManifest { tags, .. }) = put(&by_digest, "tag=v1&tag=v2") else { panic!("two tags are fine") };
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v1", "v2"]);
    assert!(put(&by_digest, &["tag=t"; TAG_PARAMETERS_MAX].join("&")).is_ok());
    assert_eq!(put(&by_digest, &["tag=t"; TAG_PARAMETERS_MAX + 1].join("&")), Err(CallError::TooManyTags));
    assert_eq!(put(&by_digest, "tag="), Err(CallError::Tag(NameError::Tag)));
    assert_eq!(put("v1", "tag=v2"), Err(CallError::TagsWithoutDigest));
}

#[test]
fn a_malformed_filter_never_becomes_no_filter() {
    let referrers = |query: &str| Call::parse("GET", &format!("/v2/a/referrers/sha256:{HEX}"), Some(query));
    let Ok(Call::Referrers { artifact_type, .. }) = referrers("artifactType=application/spdx+json") else {
        panic!("an unescaped plus is fine")
    };
    assert_eq!(artifact_type.as_deref(), Some("application/spdx+json"));
    let long = format!("artifactType=a/{}", "b".repeat(FILTER_BYTES_MAX - 1));
    for bad in [
        "artifactType=",
        "artifactType",
        "artifactType=x",
        "artifactType=a/",
        "artifactType=a/b/c",
        "artifactType=a/b%0a",
        &long,
    ] {
        assert_eq!(referrers(bad), Err(CallError::Filter), "{bad}");
    }
    assert!(referrers(&long[..long.len() - 1]).is_ok());
    assert_eq!(get("/v2/a/referrers/x"), Err(CallError::Digest(DigestError::NoAlgorithm)));
}

#[test]
fn entry_ids_are_lower_case_sha256() {
    for bad in ["0", &HEX[1..], &HEX.to_uppercase(), &format!("{HEX}0")] {
        assert_eq!(get(&format!("/v2/a/_scitt/ledger/entries/{bad}")), Err(CallError::EntryId), "{bad}");
    }
}

#[test]
fn actions_follow_what_a_call_changes() {
    let action = |method: &str, path: &str| Call::parse(method, path, None).map(|call| call.action());
    assert_eq!(action("GET", "/v2/"), Ok(Action::Ping));
    assert_eq!(action("GET", "/v2/_catalog"), Ok(Action::Catalog));
    assert_eq!(action("HEAD", "/v2/a/manifests/v1"), Ok(Action::Pull));
    assert_eq!(action("PUT", "/v2/a/manifests/v1"), Ok(Action::Push));
    assert_eq!(action("DELETE", "/v2/a/blobs/uploads/s"), Ok(Action::Push));
    assert_eq!(action("DELETE", "/v2/a/manifests/v1"), Ok(Action::Delete));
    assert_eq!(action("POST", "/v2/a/_scitt/ledger/entries"), Ok(Action::Claim));
    assert_eq!(get("/v2/").map(|call| call.repository().cloned()), Ok(None));
    assert_eq!(get("/v2/a/tags/list").map(|call| call.repository().cloned()), Ok(Some(name("a"))));
}

proptest::proptest! {
    #[test]
    fn no_request_line_panics(method in "GET|PUT|POST|PATCH|DELETE|HEAD", path in "/v2/[a-z/._%:-]{0,60}", query in ".{0,60}") {
        let _ = Call::parse(&method, &path, Some(&query));
    }

    #[test]
    fn every_name_comes_back_out_of_every_path(repository in "(blobs|manifests|uploads|tags|list|referrers|a-b)(/(blobs|manifests|uploads|tags|list|referrers|a__b)){0,4}") {
        for path in ["tags/list", "manifests/v1", "blobs/uploads/s", "_oci/ext/discover"] {
            let call = get(&format!("/v2/{repository}/{path}"));
            proptest::prop_assert_eq!(call.as_ref().ok().and_then(Call::repository).map(RepositoryName::as_str), Some(repository.as_str()));
        }
    }
}
