//! Tags that never move: made once, by whomever, and then left alone by everybody but the operator.

use docket_oci::media::OCI_IMAGE_MANIFEST;

use super::RULES;
use crate::harness::{Ask as _, Guarded, Repository, bytes_of, image, sha256};

/// Pushes what an image is made of, and gives its manifest.
async fn prepared(repository: Repository<'_>, seed: u64) -> Vec<u8> {
    let layer = bytes_of(seed, 300);
    repository.push_blob(*b"{}").await;
    repository.push_blob(layer.clone()).await;
    image(b"{}", &[&layer])
}

#[tokio::test]
async fn a_release_stays_what_it_is() {
    let guarded = Guarded::start(RULES);
    let release = guarded.server.repository("release/app").by("alice");
    let first = release.push_image("v1", 1).await;
    let second = prepared(release, 2).await;
    let put = async |reference: &str| release.put(reference, OCI_IMAGE_MANIFEST, second.clone()).await;
    let delete = async |reference: &str| release.request("DELETE", &format!("manifests/{reference}")).answer().await;
    let several = format!("{}?tag=latest&tag=v1", sha256(&second));
    let refused = [put("v1").await, put(&several).await, delete("v1").await, delete(&sha256(&first).to_string()).await];
    for answer in refused {
        assert_eq!(answer.expecting(403).message(), RULE);
    }
    assert_eq!(release.tags().await, ["v1"]);
    assert!(release.manifest("v1").await == first);
    // The same again is no move; other tags on the same content go, and exceptions and other places are free.
    release.push_manifest("v1", first.clone()).await;
    release.push_manifest("also", first.clone()).await;
    assert_eq!(delete("also").await.status, 202);
    for reference in ["v1-rc1", "latest"] {
        release.push_manifest(reference, first.clone()).await;
        release.push_manifest(reference, second.clone()).await;
        assert_eq!(delete(reference).await.status, 202);
    }
    assert_eq!(delete("v9").await.expecting(404).code(), "MANIFEST_UNKNOWN");
    let elsewhere = guarded.server.repository("team/app").by("alice");
    elsewhere.push_image("v1", 1).await;
    elsewhere.push_image("v1", 2).await;
    guarded.server.stop().await;
    guarded.site.fsck_clean();
}

#[tokio::test]
async fn of_many_who_release_at_once_one_wins_and_stays() {
    let guarded = Guarded::start(RULES);
    let release = guarded.server.repository("release/app").by("alice");
    let mut manifests = Vec::new();
    for seed in 0..12 {
        manifests.push(prepared(release, seed).await);
    }
    let puts = manifests.iter().map(|manifest| release.put("v1", OCI_IMAGE_MANIFEST, manifest.clone()));
    let answers = futures_util::future::join_all(puts).await;
    let won: Vec<_> = answers.iter().zip(&manifests).filter(|(answer, _)| answer.status == 201).collect();
    let [(_, winner)] = won[..] else { panic!("{} won", won.len()) };
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 403)));
    assert!(release.manifest("v1").await == *winner);
    // Deleting it while it is pushed again never removes it.
    let path = format!("manifests/{}", sha256(winner));
    let deletes = futures_util::future::join_all((0..8).map(|_| release.request("DELETE", &path).answer()));
    let pushes = futures_util::future::join_all((0..8).map(|_| release.put("v1", OCI_IMAGE_MANIFEST, winner.clone())));
    let (deleted, pushed) = tokio::join!(deletes, pushes);
    assert!(deleted.iter().all(|answer| answer.status == 403) && pushed.iter().all(|answer| answer.status == 201));
    assert!(release.manifest("v1").await == *winner);
    guarded.server.stop().await;
}

const RULE: &str = "tag v1 stays where it is: tags v* except *-rc* of release/** are immutable; nothing was changed";
