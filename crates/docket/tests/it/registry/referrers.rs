//! end-12: what refers to a manifest.

use std::collections::BTreeSet;

use docket_oci::manifest::{Descriptor, MANIFEST_BYTES_MAX};
use docket_oci::media;
use docket_oci::name::Tag;

use crate::harness::{Ask as _, EMPTY_DIGEST, Server, Site, artifact, escaped, image, index, sha256};

#[tokio::test]
async fn end_12_referrers_of_what_nobody_pushed_are_an_empty_index() {
    let site = Site::new();
    let server = Server::start(&site);
    server.repository("known").push_image("v1", 1).await;
    for name in ["known", "never/pushed"] {
        let answer = server.request("GET", &format!("/v2/{name}/referrers/{EMPTY_DIGEST}")).expect(200).await;
        assert_eq!(answer.header("content-type"), Some(media::OCI_IMAGE_INDEX));
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": []});
        assert_eq!(answer.json(), index);
    }
    let malformed = server.request("GET", "/v2/known/referrers/sha256:short").expect(400).await;
    assert_eq!(malformed.code(), "DIGEST_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn end_12_a_referrer_is_described_with_type_and_annotations() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, &image);
    repository.push_blob("{}").await;
    let typed =
        artifact("application/spdx+json", &[Descriptor::empty()], Some(&subject), &[("org.example.a", "ä\"<b>")]);
    // Without an artifactType the config's type speaks; an index has neither.
    let by_config = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_IMAGE_MANIFEST, "layers": [], "subject": subject,
        "config": Descriptor::of("application/vnd.example.config", b"{}"),
    });
    let by_config = by_config.to_string().into_bytes();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": [], "subject": subject,
    });
    let index = index.to_string().into_bytes();
    for (manifest, media_type) in
        [(&typed, media::OCI_IMAGE_MANIFEST), (&by_config, media::OCI_IMAGE_MANIFEST), (&index, media::OCI_IMAGE_INDEX)]
    {
        let pushed = repository.put(&sha256(manifest).to_string(), media_type, manifest.clone()).await.expecting(201);
        assert_eq!(pushed.header("oci-subject"), Some(subject.digest.to_string().as_str()));
    }
    let mut expected = vec![
        Descriptor {
            artifact_type: Some("application/spdx+json".to_owned()),
            annotations: [("org.example.a".to_owned(), "ä\"<b>".to_owned())].into(),
            ..Descriptor::of(media::OCI_IMAGE_MANIFEST, &typed)
        },
        Descriptor {
            artifact_type: Some("application/vnd.example.config".to_owned()),
            ..Descriptor::of(media::OCI_IMAGE_MANIFEST, &by_config)
        },
        Descriptor::of(media::OCI_IMAGE_INDEX, &index),
    ];
    let mut listed = repository.referrers(&subject.digest).await;
    expected.sort_by_key(|descriptor| descriptor.digest);
    listed.sort_by_key(|descriptor| descriptor.digest);
    assert_eq!(listed, expected);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_a_filter_is_applied_and_says_so() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let subject = sha256(&image);
    let sbom = repository.attach(&image, "application/spdx+json", b"an sbom").await;
    repository.attach(&image, "application/vnd.in-toto+json", b"a report").await;
    let filtered = async |artifact_type: &str| {
        let path = format!("referrers/{subject}?artifactType={}", escaped(artifact_type));
        let answer = repository.request("GET", &path).expect(200).await;
        assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        let manifests = answer.json()["manifests"].take();
        serde_json::from_value::<Vec<Descriptor>>(manifests).expect("descriptors")
    };
    let found = filtered("application/spdx+json").await;
    assert_eq!(found.iter().map(|found| found.digest).collect::<Vec<_>>(), [sha256(&sbom)]);
    assert!(filtered("application/nothing").await.is_empty());
    let whole = repository.request("GET", &format!("referrers/{subject}")).expect(200).await;
    assert_eq!(whole.header("oci-filters-applied"), None);
    assert_eq!(repository.referrers(&subject).await.len(), 2);
    for filter in ["no-slash", "a/b%00", "%20", ""] {
        let refused = repository.request("GET", &format!("referrers/{subject}?artifactType={filter}"));
        assert_eq!(refused.expect(400).await.code(), "UNSUPPORTED", "{filter:?} must not become no filter");
    }
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_referrers_wait_for_their_subject_and_outlive_it() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let image = image(b"{}", &[]);
    let subject = sha256(&image);
    let early = repository.attach(&image, "application/early", b"first").await;
    let listed = async || repository.referrers(&subject).await.into_iter().map(|one| one.digest).collect::<Vec<_>>();
    assert_eq!(listed().await, [sha256(&early)]);
    repository.push_manifest("v1", image.clone()).await;
    assert_eq!(listed().await, [sha256(&early)]);
    repository.request("DELETE", &format!("manifests/{subject}")).expect(202).await;
    repository.push_manifest("v1", image).await;
    assert_eq!(listed().await, [sha256(&early)]);
    assert!(server.repository("b").referrers(&subject).await.is_empty(), "referrers belong to a repository");
    repository.request("DELETE", &format!("manifests/{}", sha256(&early))).expect(202).await;
    assert_eq!(listed().await, []);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_what_a_fallback_tag_lists_is_listed_once_if_its_own_subject_says_so() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let subject = sha256(&image);
    // As a client leaves it that knows no referrers API, or as a copy of another registry brings it here.
    let listed = repository.attach(&image, "application/listed", b"listed").await;
    let other = repository.attach(b"another subject", "application/other", b"other").await;
    let plain = repository.push_image("plain", 2).await;
    let fallback = Tag::of_referrers(&subject);
    let index = index(&[&listed, &other, &plain, b"never pushed"]);
    repository.put(fallback.as_str(), media::OCI_IMAGE_INDEX, index.clone()).await.expecting(201);
    let unlisted = repository.attach(&image, "application/unlisted", b"unlisted").await;
    let found: BTreeSet<_> = repository.referrers(&subject).await.iter().map(|one| one.digest).collect();
    assert_eq!(found, BTreeSet::from([sha256(&listed), sha256(&unlisted)]));
    assert_eq!(repository.referrers(&subject).await.len(), 2, "each once");
    // The tag is a tag like any other, and a list that somebody made up changes nothing.
    assert_eq!(repository.manifest(fallback.as_str()).await, index);
    repository.request("DELETE", &format!("manifests/{fallback}")).expect(202).await;
    assert_eq!(repository.referrers(&subject).await.len(), 2);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_a_referrer_has_referrers_of_its_own() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    let mut last = repository.push_image("v1", 1).await;
    let mut chain = Vec::new();
    for level in 0..5 {
        let next = repository.attach(&last, "application/level", &[level]).await;
        chain.push((sha256(&last), sha256(&next)));
        last = next;
    }
    for (subject, referrer) in chain {
        assert_eq!(repository.referrers(&subject).await.iter().map(|one| one.digest).collect::<Vec<_>>(), [referrer]);
    }
    assert!(repository.referrers(&sha256(&last)).await.is_empty());
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_a_page_stays_below_what_clients_read() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, b"the subject");
    for number in 0..6 {
        let note = format!("{number}{}", "x".repeat(1_000_000));
        let manifest = artifact("application/large", &[Descriptor::empty()], Some(&subject), &[("note", &note)]);
        repository.push_manifest(&sha256(&manifest).to_string(), manifest).await;
    }
    let (mut path, mut listed) = (Some(repository.path(&format!("referrers/{}", subject.digest))), 0);
    while let Some(page) = path {
        let answer = server.request("GET", &page).expect(200).await;
        assert!(answer.body.len() < MANIFEST_BYTES_MAX, "{} bytes", answer.body.len());
        listed += answer.json()["manifests"].as_array().expect("an array").len();
        path = answer.next_page();
    }
    assert_eq!(listed, 6);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn end_12_many_referrers_come_in_pages_that_keep_the_filter() {
    let site = Site::new();
    let server = Server::start(&site);
    let repository = server.repository("a");
    repository.push_blob("{}").await;
    let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, b"the subject");
    let manifest = |number: usize, kind: &str| {
        artifact(kind, &[Descriptor::empty()], Some(&subject), &[("number", &number.to_string())])
    };
    let pushes = (0..1003).map(async |number| {
        let manifest = manifest(number, if number < 1002 { "application/many" } else { "application/one" });
        repository.push_manifest(&sha256(&manifest).to_string(), manifest).await;
    });
    futures_util::StreamExt::for_each_concurrent(futures_util::stream::iter(pushes), 32, |push| push).await;
    let collect = async |query: &str| {
        let mut path = Some(repository.path(&format!("referrers/{}{query}", subject.digest)));
        let (mut collected, mut pages) = (BTreeSet::new(), 0);
        while let Some(page) = path {
            let answer = server.request("GET", &page).expect(200).await;
            for descriptor in answer.json()["manifests"].as_array().expect("an array") {
                assert!(collected.insert(descriptor["digest"].to_string()), "listed twice");
            }
            pages += 1;
            path = answer.next_page();
        }
        (collected.len(), pages)
    };
    assert_eq!(collect("").await, (1003, 2));
    assert_eq!(collect("?artifactType=application%2Fmany").await, (1002, 2));
    assert_eq!(collect("?artifactType=application%2Fone").await, (1, 1));
    server.stop().await;
    assert_eq!(site.fsck_clean().manifests, 1003);
}
