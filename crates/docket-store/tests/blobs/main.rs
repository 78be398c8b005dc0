//! What every place for blobs promises. Each promise is kept by files and by objects, or the test fails; below stands what
//! only objects can break.

mod server;

use std::ops::Range;

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};
use docket_store::keys::DataFolder;
use docket_store::{BlobBody, BlobReader, BlobSource, BlobStorage, S3Settings, Store, StoreError};
use futures_util::TryStreamExt as _;
use server::{ACCESS_KEY_ID, BUCKET, S3Server, SECRET_ACCESS_KEY};

const MIB: usize = 1024 * 1024;

/// An open store and where its blobs are.
struct Place {
    store: Store,
    folder: tempfile::TempDir,
    bucket: Option<S3Server>,
}

impl Place {
    async fn of(bucket: Option<S3Server>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataFolder::new(folder.path().join("data"));
        Store::create(data.clone(), &[]).await.expect("created").close().await;
        let store = Store::open(data, storage(bucket.as_ref())).await.expect("opened");
        Self { store, folder, bucket }
    }

    async fn files() -> Self {
        Self::of(None).await
    }

    async fn bucket() -> Self {
        Self::of(Some(S3Server::start())).await
    }

    async fn put(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        self.try_put(content, &digest).await.expect("put");
        digest
    }

    async fn try_put(&self, content: &[u8], digest: &Digest) -> Result<(), StoreError> {
        let mut staging = self.store.blobs().stage(Algorithm::Sha256);
        for chunk in content.chunks(300_000) {
            staging.write(Bytes::copy_from_slice(chunk)).await?;
        }
        let staged = staging.finish(digest).await?;
        assert_eq!((staged.blob.digest, staged.blob.size), (*digest, content.len() as u64));
        assert_eq!(staged.blob.body, BlobBody::File, "it is too large for a row");
        Ok(())
    }

    async fn read(&self, digest: &Digest, size: usize, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        match self.store.blobs().open(digest, size as u64)? {
            BlobSource::File(file) => {
                let mut reader = BlobReader::new(file, range.start, range.end);
                while let Some(chunk) = reader.next().await {
                    bytes.extend(chunk.expect("read"));
                }
            }
            BlobSource::Object(object) => {
                let mut stream = object.read(range).await?;
                while let Some(chunk) = stream.try_next().await.expect("read") {
                    bytes.extend(chunk);
                }
            }
        }
        Ok(bytes)
    }

    /// The file behind a blob, wherever it is.
    fn file_of(&self, digest: &Digest) -> std::path::PathBuf {
        match &self.bucket {
            None => self.store.folder().blob(digest),
            Some(bucket) => bucket.objects().into_iter().find(|path| path.ends_with(digest.hex())).expect("an object"),
        }
    }

    fn server(&self) -> &S3Server {
        self.bucket.as_ref().expect("this place is a bucket")
    }

    /// Ends a test: nothing may be left of what was staged.
    async fn end(self) {
        let staged: Vec<_> = std::fs::read_dir(self.store.folder().staging()).expect("a folder").collect();
        assert!(staged.is_empty(), "{staged:?}");
        self.store.close().await;
        drop(self.folder);
    }
}

fn storage(bucket: Option<&S3Server>) -> BlobStorage {
    match bucket {
        None => BlobStorage::Files,
        Some(server) => BlobStorage::S3(S3Settings {
            bucket: BUCKET.to_owned(),
            endpoint: Some(server.endpoint()),
            region: "us-east-1".to_owned(),
            prefix: "registry/one".to_owned(),
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
            redirect: true,
        }),
    }
}

fn content(size: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(size).collect()
}

/// One promise, asked of both places.
macro_rules! promise {
    ($name:ident, $place:ident, $body:block) => {
        mod $name {
            use super::*;

            async fn holds($place: Place) $body

            #[tokio::test]
            async fn of_files() {
                holds(Place::files().await).await;
            }

            #[tokio::test]
            async fn of_objects() {
                holds(Place::bucket().await).await;
            }
        }
    };
}

promise!(what_is_put_is_read_back_whole_and_in_ranges, place, {
    for size in [64 * 1024 + 1, MIB, 16 * MIB, 20 * MIB + 3] {
        let content = content(size);
        let digest = place.put(&content).await;
        let end = size as u64;
        for range in [0..end, 0..1, end - 1..end, 1000..60_000, end / 2..end] {
            let (from, to) = (usize::try_from(range.start).expect("small"), usize::try_from(range.end).expect("small"));
            assert!(place.read(&digest, size, range).await.expect("read") == content[from..to], "{size}: {from}..{to}");
        }
        assert_eq!(place.store.blobs().verify(&digest).await.expect("hashed"), (digest, end));
    }
    place.end().await;
});

promise!(content_with_another_digest_is_not_kept, place, {
    let expected = Digest::of(Algorithm::Sha256, b"other");
    for size in [100_000, 20 * MIB] {
        let refused = place.try_put(&content(size), &expected).await;
        assert!(matches!(refused, Err(StoreError::DigestMismatch { .. })), "{refused:?}");
    }
    let listed = place.store.blobs().list().await.expect("listed").page(10).await.expect("a page");
    assert_eq!(listed, []);
    place.end().await;
});

promise!(the_same_content_may_be_put_many_times_at_once, place, {
    let content = content(300_000);
    futures_util::future::join_all((0..8).map(|_| place.put(&content))).await;
    let listed = place.store.blobs().list().await.expect("listed").page(10).await.expect("a page");
    assert_eq!(listed.len(), 1, "{listed:?}");
    place.end().await;
});

promise!(what_is_removed_is_gone_and_missed_as_damage, place, {
    let digest = place.put(&content(100_000)).await;
    for _ in 0..2 {
        place.store.blobs().remove(&digest).await.expect("removed, or not there");
        let missed = place.read(&digest, 100_000, 0..10).await;
        assert!(matches!(missed, Err(StoreError::Damaged { .. })), "{missed:?}");
        let missed = place.store.blobs().verify(&digest).await;
        assert!(matches!(missed, Err(StoreError::Damaged { .. })), "{missed:?}");
    }
    place.put(&content(100_000)).await;
    place.read(&digest, 100_000, 0..10).await.expect("it was put again");
    place.end().await;
});

promise!(a_walk_finds_everything_page_by_page, place, {
    let mut put = Vec::new();
    for size in 100_000..100_007 {
        put.push((place.put(&content(size)).await, size as u64));
    }
    let mut staging = place.store.blobs().stage(Algorithm::Sha512);
    staging.write(content(100_000).into()).await.expect("written");
    let long = Digest::of(Algorithm::Sha512, &content(100_000));
    staging.finish(&long).await.expect("put");
    put.push((long, 100_000));
    let (mut walk, mut found) = (place.store.blobs().list().await.expect("listed"), Vec::new());
    loop {
        let page = walk.page(3).await.expect("a page");
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        assert!(page.iter().all(|blob| now.abs_diff(blob.kept_at.unsigned_abs()) < 600), "{page:?}");
        found.extend(page.into_iter().map(|blob| (blob.digest, blob.size)));
    }
    put.sort();
    found.sort();
    assert_eq!(found, put);
    place.end().await;
});

promise!(damage_is_found_and_mended_by_putting_the_content_again, place, {
    let content = content(100_000);
    let digest = place.put(&content).await;
    let mut bad = content.clone();
    bad[5] ^= 1;
    std::fs::write(place.file_of(&digest), &bad).expect("damaged");
    let (found, size) = place.store.blobs().verify(&digest).await.expect("hashed");
    assert!(found != digest && size == 100_000);
    place.put(&content).await;
    assert_eq!(place.store.blobs().verify(&digest).await.expect("hashed"), (digest, 100_000));
    place.end().await;
});

#[tokio::test]
async fn each_verb_makes_as_few_calls_as_it_can() {
    let place = Place::bucket().await;
    let (small, large) = (content(16 * MIB), content(16 * MIB + 1));
    let digest = place.put(&small).await;
    assert_eq!(place.server().calls(), ["PutObject"]);
    place.read(&digest, small.len(), 5..500_000).await.expect("read");
    assert_eq!(place.server().calls(), ["GetObject"]);
    place.store.blobs().verify(&digest).await.expect("hashed");
    assert_eq!(place.server().calls(), ["GetObject"]);
    place.store.blobs().list().await.expect("listed").page(1000).await.expect("a page");
    assert_eq!(place.server().calls(), ["ListObjectsV2"]);
    place.store.blobs().remove(&digest).await.expect("removed");
    assert_eq!(place.server().calls(), ["DeleteObject"]);
    place.put(&large).await;
    let calls = place.server().calls();
    let parts = ["CreateMultipartUpload", "UploadPart", "UploadPart", "UploadPart", "CompleteMultipartUpload"];
    assert_eq!(calls, parts);
    place.end().await;
}

#[tokio::test]
async fn a_bucket_that_fails_is_never_taken_for_an_empty_one() {
    let place = Place::bucket().await;
    let digest = place.put(&content(100_000)).await;
    let failed = |failure: StoreError| assert!(matches!(failure, StoreError::Remote { .. }), "{failure:?}");
    place.server().fail(Some("GetObject"));
    failed(place.read(&digest, 100_000, 0..10).await.expect_err("the call fails"));
    failed(place.store.blobs().verify(&digest).await.expect_err("the call fails"));
    place.server().fail(Some("ListObjectsV2"));
    failed(place.store.blobs().list().await.expect("begun").page(10).await.expect_err("the call fails"));
    place.server().fail(Some("DeleteObject"));
    failed(place.store.blobs().remove(&digest).await.expect_err("the call fails"));
    place.server().fail(Some("PutObject"));
    let other = content(100_001);
    failed(place.try_put(&other, &Digest::of(Algorithm::Sha256, &other)).await.expect_err("the call fails"));
    place.server().fail(None);
    assert_eq!(place.read(&digest, 100_000, 0..3).await.expect("as before"), [0, 1, 2]);
    place.end().await;
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_is_aborted_and_leaves_nothing() {
    let place = Place::bucket().await;
    let large = content(20 * MIB);
    for kind in ["UploadPart", "CompleteMultipartUpload"] {
        place.server().fail(Some(kind));
        let failed = place.try_put(&large, &Digest::of(Algorithm::Sha256, &large)).await;
        assert!(matches!(failed, Err(StoreError::Remote { .. })), "{failed:?}");
        assert_eq!(place.server().calls().pop(), Some("AbortMultipartUpload"));
        let listed = place.store.blobs().list().await.expect("listed").page(10).await.expect("a page");
        assert_eq!(listed, []);
    }
    place.end().await;
}

#[tokio::test]
async fn an_object_of_another_length_than_its_row_says_is_damaged() {
    let place = Place::bucket().await;
    let digest = place.put(&content(100_000)).await;
    let damaged = place.read(&digest, 100_001, 0..10).await;
    assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
    place.end().await;
}

#[tokio::test]
async fn a_folder_is_opened_only_with_the_place_its_blobs_are_in() {
    let place = Place::bucket().await;
    let (data, server) = (place.store.folder().clone(), place.bucket.expect("a bucket"));
    place.store.close().await;
    let other = S3Settings { prefix: "registry/two".to_owned(), ..settings(&server) };
    for wrong in [BlobStorage::Files, BlobStorage::S3(other)] {
        let refused = Store::open(data.clone(), wrong).await.map(drop);
        assert!(matches!(refused, Err(StoreError::OtherStorage { .. })), "{refused:?}");
    }
    Store::open(data, storage(Some(&server))).await.expect("the right one").close().await;

    let place = Place::files().await;
    let data = place.store.folder().clone();
    let mut staging = place.store.blobs().stage(Algorithm::Sha256);
    staging.write(content(100_000).into()).await.expect("written");
    let staged = staging.finish(&Digest::of(Algorithm::Sha256, &content(100_000))).await.expect("put");
    place.store.put_blob("a".parse().expect("a name"), staged, 0).await.expect("stored");
    place.store.close().await;
    let refused = Store::open(data, storage(Some(&server))).await.map(drop);
    assert!(matches!(refused, Err(StoreError::OtherStorage { .. })), "{refused:?}");
}

fn settings(server: &S3Server) -> S3Settings {
    match storage(Some(server)) {
        BlobStorage::S3(settings) => settings,
        BlobStorage::Files => panic!("a bucket was asked for"),
    }
}
