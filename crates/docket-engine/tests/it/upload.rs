//! Upload sessions: whose they are, what they take, what a failed one leaves.

use docket_engine::{BLOB_BYTES_MAX, EngineError, Right};
use docket_oci::digest::{Algorithm, Digest};

use crate::site::{HOME, Site, files_below};

const OTHER: &str = "acme/net-monitor";

#[tokio::test]
async fn a_session_is_known_in_its_own_repository_only() {
    let site = Site::new().await;
    let (ours, theirs) = (site.permit(Right::Push, HOME), site.permit(Right::Push, OTHER));
    let id = site.start_upload(&ours, Algorithm::Sha256).expect("an upload");
    for (permit, id) in [(&theirs, id.as_str()), (&ours, "no-such-session"), (&ours, "")] {
        let refused = site.open_upload(permit, id).map(drop);
        assert!(matches!(&refused, Err(EngineError::UploadUnknown(named)) if named == id), "{refused:?}");
    }
    assert_eq!(site.open_upload(&ours, &id).expect("it is ours").id(), id);
    site.end().await;
}

#[tokio::test]
async fn a_second_writer_is_told_to_wait() {
    let site = Site::new().await;
    let push = site.permit(Right::Push, HOME);
    let id = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
    let mut first = site.open_upload(&push, &id).expect("open");
    first.append(b"one").await.expect("appended");
    let second = site.open_upload(&push, &id).map(drop);
    assert!(matches!(second, Err(EngineError::UploadBusy { .. })), "{second:?}");
    drop(first);
    // Between requests the session keeps what it has.
    let mut third = site.open_upload(&push, &id).expect("free again");
    assert_eq!(third.size(), 3);
    third.append(b"two").await.expect("appended");
    let digest = Digest::of(Algorithm::Sha256, b"onetwo");
    site.finish_upload(third, &digest).await.expect("stored");
    assert_eq!(site.blob_bytes(HOME, &digest).await, b"onetwo");
    let over = site.open_upload(&push, &id).map(drop);
    assert!(matches!(over, Err(EngineError::UploadUnknown(_))), "{over:?}");
    site.end().await;
}

#[tokio::test]
async fn content_with_another_digest_leaves_nothing() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let state = site.state().await;
    let expected = Digest::of(Algorithm::Sha256, b"what was promised");
    for bytes in [b"what came".to_vec(), vec![1; 3_000_000], Vec::new()] {
        let id = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
        let mut upload = site.open_upload(&push, &id).expect("open");
        for chunk in bytes.chunks(1_000_000) {
            upload.append(chunk).await.expect("appended");
        }
        let actual = Digest::of(Algorithm::Sha256, &bytes);
        let refused = site.finish_upload(upload, &expected).await;
        let told = (expected, actual);
        assert!(
            matches!(refused, Err(EngineError::DigestMismatch { expected, actual }) if (expected, actual) == told),
            "{refused:?}"
        );
        site.open_upload(&push, &id).map(drop).expect_err("the session has ended");
        site.blob(&site.permit(Right::Pull, HOME), &actual).await.expect_err("nothing is visible");
    }
    assert_eq!(site.state().await, state);
    let closed = site.close().await;
    for folder in ["blobs", "staging"] {
        let files = files_below(&closed.path().join(folder));
        assert!(files.is_empty(), "{folder} holds {files:?}");
    }
    closed.open().await.end().await;
}

#[tokio::test]
async fn the_digest_may_be_of_another_algorithm_than_announced() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    for size in [0, 10, 2_500_000] {
        let bytes = vec![5; size];
        let id = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
        let mut upload = site.open_upload(&push, &id).expect("open");
        upload.append(&bytes).await.expect("appended");
        let digest = Digest::of(Algorithm::Sha512, &bytes);
        site.finish_upload(upload, &digest).await.expect("stored");
        assert!(site.blob_bytes(HOME, &digest).await == bytes);
    }
    site.end().await;
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let id = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
    let mut upload = site.open_upload(&push, &id).expect("open");
    upload.append(&vec![0; 2_000_000]).await.expect("appended");
    site.cancel_upload(&upload);
    drop(upload);
    site.open_upload(&push, &id).map(drop).expect_err("it was given up");
    site.end().await;
}

#[tokio::test]
async fn a_restart_ends_open_uploads_and_keeps_no_part_of_them() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let id = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
    let mut upload = site.open_upload(&push, &id).expect("open");
    upload.append(&vec![0; 2_000_000]).await.expect("appended");
    drop(upload);
    let site = site.close().await.open().await;
    let gone = site.open_upload(&push, &id).map(drop);
    assert!(matches!(gone, Err(EngineError::UploadUnknown(_))), "{gone:?}");
    assert!(files_below(&site.path().join("staging")).is_empty());
    site.end().await;
}

#[tokio::test]
async fn idle_uploads_make_room_for_new_ones() {
    const UPLOADS_MAX: usize = 10_000;
    let site = Site::new().await;
    let push = site.permit(Right::Push, HOME);
    let first = site.start_upload(&push, Algorithm::Sha256).expect("an upload");
    for _ in 1..UPLOADS_MAX {
        site.start_upload(&push, Algorithm::Sha256).expect("an upload");
    }
    let refused = site.start_upload(&push, Algorithm::Sha256);
    assert!(matches!(refused, Err(EngineError::TooManyUploads)), "{refused:?}");
    site.pass(1800);
    site.open_upload(&push, &first).map(drop).expect("used half an hour later");
    site.pass(1801);
    site.start_upload(&push, Algorithm::Sha256).expect("the others have been idle for too long");
    site.open_upload(&push, &first).map(drop).expect("it was used since");
    site.end().await;
}

#[tokio::test]
async fn a_mount_needs_a_source_that_holds_the_blob() {
    let site = Site::new().await;
    let digest = site.push_blob(HOME, b"content").await;
    let (to, from) = (site.permit(Right::Push, OTHER), site.permit(Right::Pull, HOME));
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    assert!(!site.mount_blob(&to, &from, &absent).await.expect("answered"));
    assert!(!site.mount_blob(&to, &site.permit(Right::Pull, "acme/nowhere"), &digest).await.expect("answered"));
    site.blob(&site.permit(Right::Pull, OTHER), &digest).await.expect_err("not mounted yet");
    assert!(site.mount_blob(&to, &from, &digest).await.expect("answered"));
    assert_eq!(site.blob_bytes(OTHER, &digest).await, b"content");
    site.end().await;
}

#[test]
fn the_largest_blob_is_64_gibibytes() {
    // The limit itself cannot be reached in a test; the check stands before the bytes are taken.
    assert_eq!(BLOB_BYTES_MAX, 64 << 30);
}
