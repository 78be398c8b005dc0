//! Upload sessions: whose they are, what they take, what a failed one leaves.

use bytes::Bytes;
use docket_engine::{Account, BLOB_BYTES_MAX, Caller, EngineError, Right};
use docket_oci::digest::{Algorithm, Digest};

use crate::site::{HOME, START, Site, files_below, repository};

const OTHER: &str = "acme/net-monitor";

#[tokio::test]
async fn a_session_is_known_to_its_account_in_its_repository_only() {
    let site = Site::new().await;
    let (ours, theirs) = (site.permit(Right::Push, HOME), site.permit(Right::Push, OTHER));
    let stranger =
        site.access().decide(&Caller::new(Account::Loopback), Right::Push, Some(&repository(HOME))).expect("allowed");
    let id = site.start_upload(&ours, Algorithm::Sha256).await.expect("an upload");
    for (permit, id) in [(&theirs, id.as_str()), (&stranger, &id), (&ours, "no-such-session"), (&ours, "")] {
        let asked = site.upload_size(permit, id);
        assert!(matches!(&asked, Err(EngineError::UploadUnknown(named)) if named == id), "{asked:?}");
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
    let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
    let mut first = site.open_upload(&push, &id).expect("open");
    first.append(Bytes::from_static(b"one")).await.expect("appended");
    let second = site.open_upload(&push, &id).map(drop);
    assert!(matches!(second, Err(EngineError::UploadBusy { .. })), "{second:?}");
    drop(first);
    // Between requests the session keeps what it has.
    let mut third = site.open_upload(&push, &id).expect("free again");
    assert_eq!(third.size(), 3);
    third.append(Bytes::from_static(b"two")).await.expect("appended");
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
        let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
        let mut upload = site.open_upload(&push, &id).expect("open");
        for chunk in bytes.chunks(1_000_000) {
            upload.append(Bytes::copy_from_slice(chunk)).await.expect("appended");
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
        let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
        let mut upload = site.open_upload(&push, &id).expect("open");
        upload.append(bytes.clone().into()).await.expect("appended");
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
    let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
    let mut upload = site.open_upload(&push, &id).expect("open");
    upload.append(vec![0; 2_000_000].into()).await.expect("appended");
    site.cancel_upload(upload).await.expect("given up");
    site.open_upload(&push, &id).map(drop).expect_err("it was given up");
    site.end().await;
}

#[tokio::test]
async fn a_session_outlives_a_restart_with_all_it_received() {
    let mut site = Site::created().await;
    for (sent, more) in [(0, 40_000), (10, 0), (10, 90_000), (60_000, 100), (2_000_000, 0), (2_000_000, 600_000)] {
        let content: Vec<_> = (0_u8..251).cycle().take(sent + more).collect();
        let push = site.permit(Right::Push, HOME);
        let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
        send(&site, &id, &content[..sent]).await;
        site = site.close().await.open().await;
        assert_eq!(site.upload_size(&push, &id).expect("it is still open"), sent as u64);
        send(&site, &id, &content[sent..]).await;
        site = site.close().await.open().await;
        let upload = site.open_upload(&push, &id).expect("it is still open");
        let digest = Digest::of(Algorithm::Sha256, &content);
        site.finish_upload(upload, &digest).await.expect("stored");
        assert!(site.blob_bytes(HOME, &digest).await == content);
        site.open_upload(&push, &id).map(drop).expect_err("a session ends with its blob");
        assert!(staged(&site).is_empty(), "{:?}", staged(&site));
    }
    site.end().await;
}

#[tokio::test]
async fn staged_bytes_are_hashed_again_after_a_restart() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let content = vec![7; 500_000];
    let id = site.start_upload(&push, Algorithm::Sha256).await.expect("an upload");
    send(&site, &id, &content).await;
    let closed = site.close().await;
    let mut bytes = std::fs::read(closed.path().join("staging").join(&id)).expect("what was received");
    assert!(bytes == content);
    bytes[123_456] ^= 1;
    std::fs::write(closed.path().join("staging").join(&id), bytes).expect("damaged");
    let site = closed.open().await;
    let upload = site.open_upload(&push, &id).expect("it is still open");
    let refused = site.finish_upload(upload, &Digest::of(Algorithm::Sha256, &content)).await;
    assert!(matches!(refused, Err(EngineError::DigestMismatch { .. })), "{refused:?}");
    assert!(staged(&site).is_empty() && files_below(&site.path().join("blobs")).is_empty());
    site.end().await;
}

#[tokio::test]
async fn a_start_keeps_sessions_and_nothing_else_of_what_is_staged() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let ids = [start(&site).await, start(&site).await, start(&site).await];
    for id in &ids {
        send(&site, id, &vec![1; 100_000]).await;
    }
    let closed = site.close().await;
    let staging = closed.path().join("staging");
    let [kept, unreadable, without_note] = &ids;
    std::fs::write(staging.join(format!("{unreadable}.session")), "{\"repository\":").expect("cut short");
    std::fs::remove_file(staging.join(format!("{without_note}.session"))).expect("removed");
    std::fs::write(staging.join("4f7a"), "half of a tile").expect("written");
    std::fs::write(
        staging.join("no-id.session"),
        std::fs::read(staging.join(format!("{kept}.session"))).expect("a note"),
    )
    .expect("written");
    let site = closed.open().await;
    assert_eq!(staged(&site), [kept.clone(), format!("{kept}.session")]);
    assert_eq!(site.upload_size(&push, kept).expect("it is still open"), 100_000);
    for gone in [unreadable, without_note, "4f7a", "no-id"] {
        site.open_upload(&push, gone).map(drop).expect_err("not a session");
    }
    site.end().await;
}

#[tokio::test]
async fn a_note_of_format_version_0_is_understood() {
    let id = "8c3fcb5c-7d3e-4f6e-9d0a-3f6f2b1f0a11";
    let closed = Site::created().await.close().await;
    let note = format!(
        "{{\"repository\":\"{HOME}\",\"account\":\"operator\",\"algorithm\":\"sha512\",\"opened_at\":{START}}}"
    );
    std::fs::write(closed.path().join(format!("staging/{id}.session")), &note).expect("written");
    std::fs::write(closed.path().join(format!("staging/{id}")), vec![9; 70_000]).expect("written");
    let site = closed.open().await;
    let upload = site.open_upload(&site.permit(Right::Push, HOME), id).expect("a session");
    let digest = Digest::of(Algorithm::Sha512, &vec![9; 70_000]);
    site.finish_upload(upload, &digest).await.expect("stored");
    // And this is how one is written.
    let id = site.start_upload(&site.permit(Right::Push, HOME), Algorithm::Sha512).await.expect("an upload");
    let written = std::fs::read_to_string(site.path().join(format!("staging/{id}.session"))).expect("a note");
    assert_eq!(written, note);
    site.end().await;
}

#[tokio::test]
async fn a_session_that_was_idle_for_too_long_ends_at_the_start() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let (old, used) = (start(&site).await, start(&site).await);
    for id in [&old, &used] {
        send(&site, id, &vec![1; 100_000]).await;
    }
    site.pass(4000);
    let closed = site.close().await;
    let write_at = |id: &str, at: i64| {
        let file =
            std::fs::File::options().write(true).open(closed.path().join("staging").join(id)).expect("its bytes");
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.unsigned_abs());
        file.set_modified(at).expect("a time");
    };
    write_at(&old, START + 300);
    write_at(&used, START + 500);
    let site = closed.open().await;
    site.open_upload(&push, &old).map(drop).expect_err("an hour and more without a byte");
    site.open_upload(&push, &used).map(drop).expect("it received something within the hour");
    assert_eq!(staged(&site), [used.clone(), format!("{used}.session")]);
    site.end().await;
}

#[tokio::test]
async fn idle_uploads_make_room_for_new_ones() {
    const ACCOUNT_UPLOADS_MAX: usize = 1_000;
    let site = Site::new().await;
    let push = site.permit(Right::Push, HOME);
    let first = start(&site).await;
    for _ in 1..ACCOUNT_UPLOADS_MAX {
        start(&site).await;
    }
    let refused = site.start_upload(&push, Algorithm::Sha256).await;
    assert!(matches!(refused, Err(EngineError::TooManyUploadsOfAccount)), "{refused:?}");
    let other =
        site.access().decide(&Caller::new(Account::Loopback), Right::Push, Some(&repository(HOME))).expect("allowed");
    site.start_upload(&other, Algorithm::Sha256).await.expect("it is another account's limit");
    site.pass(1800);
    site.open_upload(&push, &first).map(drop).expect("used half an hour later");
    site.pass(1801);
    start(&site).await;
    site.open_upload(&push, &first).map(drop).expect("it was used since");
    assert_eq!(staged(&site).len(), 2, "the others have been idle for too long");
    site.end().await;
}

#[tokio::test]
async fn a_session_in_use_never_expires() {
    let site = Site::new().await;
    let push = site.permit(Right::Push, HOME);
    let (used, idle) = (start(&site).await, start(&site).await);
    let mut upload = site.open_upload(&push, &used).expect("open");
    upload.append(vec![1; 10].into()).await.expect("appended");
    site.pass(10_000);
    // The limit of an account is reached, so idle ones are looked for now.
    for _ in 0..999 {
        start(&site).await;
    }
    site.open_upload(&push, &idle).map(drop).expect_err("it was idle");
    upload.append(vec![1; 10].into()).await.expect("appended");
    assert_eq!(upload.rest().await.expect("taken"), 20);
    assert_eq!(site.upload_size(&push, &used).expect("still open"), 20);
    site.end().await;
}

#[tokio::test]
async fn what_a_client_sent_before_it_went_away_is_on_disk_soon_after() {
    let site = Site::created().await;
    let push = site.permit(Right::Push, HOME);
    let id = start(&site).await;
    let mut upload = site.open_upload(&push, &id).expect("open");
    upload.append(vec![1; 500_000].into()).await.expect("appended");
    drop(upload);
    // Not at the next write, which may never come: it would wait in memory until then.
    while std::fs::metadata(site.path().join("staging").join(&id)).map_or(0, |file| file.len()) < 500_000 {
        tokio::task::yield_now().await;
    }
    site.end().await;
}

async fn start(site: &Site) -> String {
    site.start_upload(&site.permit(Right::Push, HOME), Algorithm::Sha256).await.expect("an upload")
}

/// Sends one chunk as a request does.
async fn send(site: &Site, id: &str, chunk: &[u8]) {
    let mut upload = site.open_upload(&site.permit(Right::Push, HOME), id).expect("open");
    upload.append(Bytes::copy_from_slice(chunk)).await.expect("appended");
    upload.rest().await.expect("taken");
}

/// Names in the folder of uploads.
fn staged(site: &Site) -> Vec<String> {
    let names = files_below(&site.path().join("staging"));
    names.iter().map(|name| name.display().to_string()).collect()
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
