//! Copies artifacts between registries, layouts and archives: every byte as it was, everything below before what is above.

mod destination;
mod plan;

pub use destination::Destination;
pub use plan::{PLAN_BLOBS_MAX, PLAN_INDEX_DEPTH_MAX, PLAN_MANIFEST_BYTES_MAX, PLAN_MANIFESTS_MAX};

use docket_oci::{Descriptor, Digest, Reference};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::error::ClientError;
use crate::registry::Pushed;
use crate::source::{Opened, Source};
use plan::Plan;

/// What to take along.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CopyOptions {
    /// Also everything that refers to the artifact, or to a part of it: evidence, statements, signatures.
    pub claims: bool,
}

/// What was copied.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The artifact.
    pub artifact: Descriptor,
    /// How many manifests it took, referrers included.
    pub manifests: usize,
    /// How many of them refer to others.
    pub referrers: usize,
    /// How many blobs were sent.
    pub blobs_sent: usize,
    /// How many blobs were there, or were taken from another repository of the same registry.
    pub blobs_present: usize,
    /// How many bytes the blobs that were sent have.
    pub bytes_sent: u64,
}

/// What a copy is doing, for a progress display.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All manifests were read; this is what follows.
    Planned {
        /// Manifests to store.
        manifests: usize,
        /// Blobs to bring over.
        blobs: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A blob is under way. Such news may be skipped when there is too much of it.
    Blob {
        /// The blob.
        digest: Digest,
        /// How many of its bytes have come.
        bytes: u64,
    },
    /// A blob is where it should be.
    BlobDone {
        /// The blob.
        digest: Digest,
        /// Its length.
        bytes: u64,
        /// How it came there.
        pushed: Pushed,
    },
    /// A manifest is where it should be.
    Manifest {
        /// The manifest.
        digest: Digest,
    },
}

/// Copies an artifact with everything it reaches: all children of an index, all blobs except foreign layers.
///
/// Blobs come first, then manifests from the bottom up, the artifact itself under its name, and with [`CopyOptions::claims`] what
/// refers to it after that. So whatever can be seen at the destination is complete at every moment, and a copy that breaks
/// off can be started again: what arrived is not sent twice.
pub async fn copy(
    opened: &Opened,
    mut destination: Destination,
    options: CopyOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Copied, ClientError> {
    let plan = Plan::make(&opened.source, &opened.reference, options).await?;
    let artifact = plan.artifact().clone();
    destination.accepts(&artifact.digest)?;
    progress(Progress::Planned {
        manifests: plan.manifests.len(),
        blobs: plan.blobs.len(),
        bytes: plan.blobs.values().map(|blob| blob.size).sum(),
    });
    let mut copied = Copied {
        artifact: artifact.descriptor(),
        manifests: plan.manifests.len(),
        referrers: plan
            .manifests
            .iter()
            .filter(|planned| planned.digest != artifact.digest && planned.manifest.subject.is_some())
            .count(),
        blobs_sent: 0,
        blobs_present: 0,
        bytes_sent: 0,
    };
    copy_blobs(&opened.source, &destination, &plan, &mut copied, progress).await?;
    for manifest in &plan.manifests {
        if manifest.digest == artifact.digest {
            destination.put_artifact(manifest, opened.name.as_deref()).await?;
        } else {
            destination.put_part(manifest).await?;
        }
        progress(Progress::Manifest { digest: manifest.digest });
    }
    destination.finish().await?;
    Ok(copied)
}

async fn copy_blobs(
    source: &Source,
    destination: &Destination,
    plan: &Plan,
    copied: &mut Copied,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), ClientError> {
    let (news, mut arrived) = mpsc::channel(NEWS_MAX);
    let transfers = stream::iter(plan.blobs.values()).map(|blob| {
        let news = news.clone();
        async move { Ok::<_, ClientError>((blob, transfer(source, destination, blob, &news).await?)) }
    });
    let mut transfers = transfers.buffer_unordered(PARALLEL_BLOBS);
    loop {
        tokio::select! {
            Some(event) = arrived.recv() => progress(event),
            done = transfers.next() => {
                let Some(done) = done else { return Ok(()) };
                let (blob, pushed) = done?;
                match pushed {
                    Pushed::Sent => {
                        copied.blobs_sent += 1;
                        copied.bytes_sent += blob.size;
                    }
                    Pushed::Present | Pushed::Mounted => copied.blobs_present += 1,
                }
                progress(Progress::BlobDone { digest: blob.digest, bytes: blob.size, pushed });
            }
        }
    }
}

/// Brings one blob over, starting again from its first byte where the network broke off.
async fn transfer(
    source: &Source,
    destination: &Destination,
    blob: &Descriptor,
    news: &mpsc::Sender<Progress>,
) -> Result<Pushed, ClientError> {
    let mut tries = 1;
    loop {
        match destination.take_blob(source, blob, news).await {
            Err(error) if error.is_transient() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

/// How many blobs are under way at once.
const PARALLEL_BLOBS: usize = 4;
/// How often a blob is tried.
const TRIES_MAX: u32 = 3;
/// How much news may wait to be shown.
const NEWS_MAX: usize = 64;

/// The reference under which a part of an artifact is stored: always its digest.
fn by_digest(digest: &Digest) -> Reference {
    Reference::Digest(*digest)
}

#[cfg(test)]
mod tests;
