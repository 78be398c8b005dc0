//! Blobs as objects of an S3 bucket, each under the key of its digest.
//!
//! Content is staged and hashed on the local disk and goes out once it is whole, under its final key: there is nothing to
//! rename, and no object is ever half of a blob. S3 keeps the parts of an upload that a crash interrupts; a lifecycle rule
//! of the bucket is to remove them.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use docket_oci::crypto::Hasher;
use docket_oci::digest::Digest;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::signer::Signer as _;
use object_store::{
    GetOptions, GetRange, GetResult, MultipartUpload, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::task::TaskTracker;

use super::KeptBlob;
use super::staging::Sink;
use crate::StoreError;
use crate::store::blocking;

/// Which bucket, and how it is reached.
#[derive(Clone)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// URL of a server other than Amazon's; plain HTTP only if it says so.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// What all keys start with; empty = nothing.
    pub prefix: String,
    /// Names the key that requests are signed with.
    pub access_key_id: String,
    /// That key.
    pub secret_access_key: String,
    /// Whether clients are sent to the bucket for content, by links that are good for a while.
    pub redirect: bool,
}

/// The objects of a bucket.
#[derive(Debug, Clone)]
pub(super) struct S3Blobs {
    bucket: Arc<AmazonS3>,
    prefix: String,
    redirect: bool,
    /// Parts in memory, of all uploads together.
    parts: Arc<Semaphore>,
    /// Uploads in flight. Each ends by itself, so that none is left half when its caller goes away.
    puts: TaskTracker,
}

/// A blob that is an object, not read yet.
#[derive(Debug)]
pub struct StoredObject {
    s3: S3Blobs,
    digest: Digest,
    size: u64,
}

/// The bytes of an object as they come in; they come only as fast as they are taken.
pub type ObjectStream = BoxStream<'static, std::io::Result<Bytes>>;

impl S3Blobs {
    pub(super) fn new(settings: S3Settings) -> Result<Self, StoreError> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(settings.region)
            .with_access_key_id(settings.access_key_id)
            .with_secret_access_key(settings.secret_access_key)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                max_retries: RETRIES_MAX,
                retry_timeout: RETRY_TIME_MAX,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = settings.endpoint {
            builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        let bucket = builder.build().map_err(remote("use the bucket", &settings.bucket))?;
        Ok(Self {
            bucket: Arc::new(bucket),
            prefix: settings.prefix,
            redirect: settings.redirect,
            parts: Arc::new(Semaphore::new(PARTS_IN_MEMORY_MAX)),
            puts: TaskTracker::new(),
        })
    }

    /// Waits for the uploads in flight.
    pub(super) async fn close(&self) {
        self.puts.close();
        self.puts.wait().await;
    }

    /// Sends a staged file. It is durable when the bucket says so.
    pub(super) async fn put(&self, sink: Sink, digest: Digest, size: u64) -> Result<(), StoreError> {
        let s3 = self.clone();
        let sent = self.puts.spawn(async move {
            let sent = match File::open(&sink.path) {
                Ok(file) => s3.send(&Arc::new(file), &digest, size).await,
                Err(failure) => Err(StoreError::file("open", &sink.path)(failure)),
            };
            // Removing a large file takes its time.
            let _ = tokio::task::spawn_blocking(move || drop(sink)).await;
            sent
        });
        sent.await.unwrap_or(Err(StoreError::Stopped))
    }

    async fn send(&self, file: &Arc<File>, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let key = self.key(digest);
        if size <= ONE_PUT_BYTES_MAX {
            let _memory = self.parts.acquire_many(PARTS_OF_ONE_PUT).await;
            let bytes = read(Arc::clone(file), 0..size).await?;
            self.bucket.put(&key, bytes.into()).await.map_err(remote("put", &key))?;
            return Ok(());
        }
        let mut upload = self.bucket.put_multipart(&key).await.map_err(remote("begin", &key))?;
        let sent = match self.send_parts(&mut *upload, file, size, &key).await {
            Ok(()) => upload.complete().await.map(drop).map_err(remote("complete", &key)),
            failed => failed,
        };
        if sent.is_err()
            && let Err(failure) = upload.abort().await
        {
            tracing::warn!(%key, %failure, "the parts of a failed upload could not be removed from the bucket");
        }
        sent
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        file: &Arc<File>,
        size: u64,
        key: &Key,
    ) -> Result<(), StoreError> {
        let mut in_flight = JoinSet::new();
        let length = part_bytes(size);
        for start in (0..size).step_by(usize::try_from(length).unwrap_or(usize::MAX)) {
            if in_flight.len() == PARTS_AT_ONCE {
                join(in_flight.join_next().await, key)?;
            }
            let memory = Arc::clone(&self.parts).acquire_owned().await;
            let bytes = read(Arc::clone(file), start..size.min(start + length)).await?;
            let part = upload.put_part(bytes.into());
            in_flight.spawn(async move {
                let _memory = memory;
                part.await
            });
        }
        while !in_flight.is_empty() {
            join(in_flight.join_next().await, key)?;
        }
        Ok(())
    }

    pub(super) fn open(&self, digest: &Digest, size: u64) -> StoredObject {
        StoredObject { s3: self.clone(), digest: *digest, size }
    }

    pub(super) async fn verify(&self, digest: &Digest) -> Result<(Digest, u64), StoreError> {
        let key = self.key(digest);
        let mut bytes = self.get(digest, None).await?.into_stream();
        let (mut hasher, mut size) = (Hasher::new(digest.algorithm()), 0);
        while let Some(chunk) = bytes.try_next().await.map_err(remote("read", &key))? {
            hasher.update(&chunk);
            size += chunk.len() as u64;
        }
        Ok((hasher.finish(), size))
    }

    pub(super) async fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let key = self.key(digest);
        match self.bucket.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(failure) => Err(remote("delete", &key)(failure)),
        }
    }

    /// S3 copies up to 5 GiB in one call; what is larger and damaged cannot be set aside, and the caller is told.
    pub(super) async fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        let (from, to) = (self.key(digest), self.key_in("quarantine", digest));
        match self.bucket.rename(&from, &to).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(failure) => Err(remote("set aside", &from)(failure)),
        }
    }

    /// A page that fails is an error of the walk: what was not listed may be there.
    pub(super) fn list(&self) -> BoxStream<'static, Result<KeptBlob, StoreError>> {
        let prefix = Key::from(format!("{}/blobs", self.prefix));
        let objects = self.bucket.list(Some(&prefix));
        let objects = objects.map_err(move |failure| remote("list", &prefix)(failure));
        // A key that is no digest is not ours to judge.
        objects.try_filter_map(async |object| Ok(kept(&object))).fuse().boxed()
    }

    async fn get(&self, digest: &Digest, range: Option<Range<u64>>) -> Result<GetResult, StoreError> {
        let key = self.key(digest);
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        self.bucket.get_opts(&key, options).await.map_err(|failure| match failure {
            object_store::Error::NotFound { .. } => {
                StoreError::damaged(format!("the object {key} of blob {digest} is missing"))
            }
            failure => remote("get", &key)(failure),
        })
    }

    fn key(&self, digest: &Digest) -> Key {
        self.key_in("blobs", digest)
    }

    fn key_in(&self, folder: &str, digest: &Digest) -> Key {
        Key::from(format!("{}/{folder}/{}/{}", self.prefix, digest.algorithm().as_str(), digest.hex()))
    }
}

impl StoredObject {
    /// Reads a range, in one call to the bucket. An object of another length than its row says is damaged.
    pub async fn read(&self, range: Range<u64>) -> Result<ObjectStream, StoreError> {
        let found = self.s3.get(&self.digest, Some(range)).await?;
        if found.meta.size != self.size {
            let (digest, size, found) = (&self.digest, self.size, found.meta.size);
            return Err(StoreError::damaged(format!("the object of blob {digest} has {found} bytes, not {size}")));
        }
        Ok(found.into_stream().map_err(std::io::Error::other).boxed())
    }

    /// A link to it that is good for a while without a password, if clients are to be sent to the bucket.
    pub async fn link(&self) -> Result<Option<String>, StoreError> {
        if !self.s3.redirect {
            return Ok(None);
        }
        let key = self.s3.key(&self.digest);
        let link = self.s3.bucket.signed_url(http::Method::GET, &key, LINK_TIME).await;
        Ok(Some(link.map_err(remote("sign a link to", &key))?.to_string()))
    }
}

impl fmt::Debug for S3Settings {
    /// Without the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("S3Settings").field("place", &self.to_string()).finish_non_exhaustive()
    }
}

impl fmt::Display for S3Settings {
    /// Where the objects are; the same bucket may be reached in several ways.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// A blob as the bucket lists it, if its key is that of one.
fn kept(object: &ObjectMeta) -> Option<KeptBlob> {
    let mut parts = object.location.as_ref().rsplit('/');
    let (hex, algorithm) = (parts.next()?, parts.next()?);
    let digest = format!("{algorithm}:{hex}").parse().ok()?;
    Some(KeptBlob { digest, size: object.size, kept_at: object.last_modified.timestamp() })
}

/// The length of each part but the last: small, so that few bytes are in memory, but no more parts than S3 takes.
fn part_bytes(size: u64) -> u64 {
    size.div_ceil(PARTS_MAX).max(PART_BYTES_MIN)
}

async fn read(file: Arc<File>, range: Range<u64>) -> Result<Bytes, StoreError> {
    blocking(move || {
        let length = usize::try_from(range.end - range.start).map_err(|_| StoreError::Stopped)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start).map_err(StoreError::file("read", Path::new("a staged file")))?;
        Ok(bytes.into())
    })
    .await
}

/// What became of a part.
fn join(part: Option<Result<object_store::Result<()>, JoinError>>, key: &Key) -> Result<(), StoreError> {
    match part {
        Some(Ok(sent)) => sent.map_err(remote("put a part of", key)),
        Some(Err(_)) => Err(StoreError::Stopped),
        None => Ok(()),
    }
}

fn remote(verb: &'static str, key: impl fmt::Display) -> impl FnOnce(object_store::Error) -> StoreError {
    let key = key.to_string();
    move |source| StoreError::Remote { verb, key, source: Box::new(source) }
}

/// Blobs up to this size go in one call.
const ONE_PUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Parts of a larger one are at least this large; S3 asks for 5 MiB.
const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Parts that S3 takes of one object.
const PARTS_MAX: u64 = 10_000;
/// Parts of one upload that are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Parts in memory at once, of all uploads.
const PARTS_IN_MEMORY_MAX: usize = 16;
/// What a blob in one call counts for.
const PARTS_OF_ONE_PUT: u32 = 2;
/// Calls that failed for a reason that may pass are made again so often, and for so long.
const RETRIES_MAX: usize = 3;
const RETRY_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a link is good: it is followed at once, and a download that has begun goes on.
const LINK_TIME: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_are_enough_for_the_largest_blob() {
        const MIB: u64 = 1024 * 1024;
        for (size, length) in [(17 * MIB, 8 * MIB), (5 * 1024 * MIB, 8 * MIB), (64 * 1024 * MIB, 8 * MIB)] {
            assert_eq!(part_bytes(size), length, "{size}");
        }
        for size in [1, 64 * 1024 * MIB, 80_000 * MIB, 80_000 * MIB + 1, 5 * 1024 * 1024 * MIB] {
            assert!(size.div_ceil(part_bytes(size)) <= PARTS_MAX, "{size}");
        }
    }
}
