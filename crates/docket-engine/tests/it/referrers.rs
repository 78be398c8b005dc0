//! Many referrers to one digest: whoever may push can make them, and nobody may be the worse for it.

use std::collections::BTreeSet;

use docket_engine::Right;
use docket_oci::digest::Digest;
use docket_oci::manifest::{Descriptor, artifact_manifest};
use docket_oci::media::OCI_IMAGE_MANIFEST;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::site::{HOME, Site};

const MANY: usize = 50_000;

#[tokio::test]
async fn fifty_thousand_referrers_to_one_digest_are_listed_once_each_in_bounded_pages() {
    let site = Site::new().await;
    let artifact = site.push_artifact(HOME, b"a layer").await;
    let subject = Descriptor::new(OCI_IMAGE_MANIFEST, artifact, 1);
    site.push_blob(HOME, b"{}").await;
    let push = async |number: usize| {
        let note = [("org.example.number".to_owned(), number.to_string())].into();
        let artifact_type =
            if number == MANY / 2 { "application/vnd.example.rare" } else { "application/vnd.example.note" };
        site.push_manifest(HOME, artifact_manifest(artifact_type, &[Descriptor::empty()], Some(&subject), &note)).await
    };
    let pushed: BTreeSet<Digest> = stream::iter(0..MANY).map(push).buffer_unordered(256).collect().await;
    assert_eq!(pushed.len(), MANY);

    let permit = site.permit(Right::Pull, HOME);
    let (mut listed, mut last) = (BTreeSet::new(), None);
    loop {
        let page = site.referrers(&permit, &artifact, None, last.as_ref()).await.expect("a page");
        let descriptors: Vec<Descriptor> =
            serde_json::from_str(&format!("[{}]", page.descriptors)).expect("descriptors");
        assert!((1..=1000).contains(&descriptors.len()), "{} in one page", descriptors.len());
        for descriptor in descriptors {
            assert!(listed.insert(descriptor.digest), "{} is listed twice", descriptor.digest);
        }
        last = page.next;
        if last.is_none() {
            break;
        }
    }
    assert_eq!(listed, pushed);

    // The filter finds the one among them, and the artifact itself is as quick to find as ever.
    let rare = site.referrers(&permit, &artifact, Some("application/vnd.example.rare"), None).await.expect("a page");
    let rare: Vec<Descriptor> = serde_json::from_str(&format!("[{}]", rare.descriptors)).expect("descriptors");
    assert_eq!(rare.len(), 1);
    site.manifest_bytes(HOME, &artifact).await;
    site.end().await;
}
