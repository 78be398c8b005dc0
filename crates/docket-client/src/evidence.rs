//! Gathers what is said about an artifact: all manifests that refer to it, and those that refer to them.

use std::collections::HashSet;

use docket_oci::{Digest, Reference};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::ClientError;
use crate::registry::FetchedManifest;
use crate::source::Source;

/// An artifact and everything that refers to it, near or far.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The artifact.
    pub artifact: FetchedManifest,
    /// What refers to it, nearest first.
    pub referrers: Vec<Referrer>,
    /// What was listed as a referrer and is none. It says nothing about the artifact; people may want to know.
    pub skipped: Vec<Skipped>,
}

/// A manifest that refers to another.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// The manifest itself.
    pub fetched: FetchedManifest,
    /// What it refers to, as its own bytes say.
    pub subject: Digest,
    /// 1 for what refers to the artifact itself.
    pub depth: usize,
}

/// Something that was listed as a referrer and was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// What was listed.
    pub digest: Digest,
    /// Why it does not count.
    pub reason: SkipReason,
}

/// Why something that was listed is no referrer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SkipReason {
    /// It is not there.
    Absent,
    /// Its subject is another one, or it has none.
    OtherSubject,
}

impl Collected {
    /// What refers to one manifest directly, in the order the place listed it.
    pub fn referrers_of(&self, subject: &Digest) -> impl Iterator<Item = &Referrer> {
        self.referrers.iter().filter(move |referrer| referrer.subject == *subject)
    }
}

/// Reads an artifact and everything that refers to it.
///
/// A limit that is hit is an error: half of the evidence must not pass for all of it.
pub async fn collect(source: &Source, reference: &Reference) -> Result<Collected, ClientError> {
    let artifact = source.required_manifest(reference).await?;
    let Found { referrers, skipped } = referrers_of_all(source, &[artifact.digest]).await?;
    Ok(Collected { artifact, referrers, skipped })
}

/// What [`referrers_of_all`] found.
pub(crate) struct Found {
    pub(crate) referrers: Vec<Referrer>,
    pub(crate) skipped: Vec<Skipped>,
}

/// Everything that refers to any of the roots, level by level. Nothing is read twice, so circles cannot arise.
pub(crate) async fn referrers_of_all(source: &Source, roots: &[Digest]) -> Result<Found, ClientError> {
    let too_much = |what, limit| ClientError::TooMuch { place: source.place(), what, limit };
    let mut found = Found { referrers: Vec::new(), skipped: Vec::new() };
    let mut seen: HashSet<Digest> = roots.iter().copied().collect();
    let mut level: Vec<Digest> = roots.to_vec();
    let mut bytes_total = 0;
    for depth in 1.. {
        let listings = stream::iter(level).map(|subject| async move {
            let listed = source.referrers(&subject, None).await?;
            Ok::<_, ClientError>(listed.into_iter().map(move |referrer| (subject, referrer.digest)).collect::<Vec<_>>())
        });
        let listed: Vec<_> = listings.buffered(PARALLEL).try_concat().await?;
        let new: Vec<_> = listed.into_iter().filter(|(_, digest)| seen.insert(*digest)).collect();
        if new.is_empty() {
            break;
        }
        if depth > EVIDENCE_DEPTH_MAX {
            return Err(too_much("levels of referrers", EVIDENCE_DEPTH_MAX as u64));
        }
        if found.referrers.len() + new.len() > EVIDENCE_COUNT_MAX {
            return Err(too_much("referrers", EVIDENCE_COUNT_MAX as u64));
        }
        level = Vec::with_capacity(new.len());
        let mut manifests = stream::iter(new)
            .map(|(subject, digest)| async move {
                let fetched = source.manifest(&Reference::Digest(digest)).await?;
                Ok::<_, ClientError>((subject, digest, fetched))
            })
            .buffered(PARALLEL);
        while let Some((subject, digest, fetched)) = manifests.try_next().await? {
            let Some(fetched) = fetched else {
                found.skipped.push(Skipped { digest, reason: SkipReason::Absent });
                continue;
            };
            if fetched.manifest.subject.as_ref().map(|subject| subject.digest) != Some(subject) {
                found.skipped.push(Skipped { digest, reason: SkipReason::OtherSubject });
                continue;
            }
            bytes_total += fetched.bytes.len() as u64;
            if bytes_total > EVIDENCE_BYTES_MAX {
                return Err(too_much("bytes of referring manifests", EVIDENCE_BYTES_MAX));
            }
            level.push(digest);
            found.referrers.push(Referrer { fetched, subject, depth });
        }
    }
    Ok(found)
}

/// How far from the artifact a referrer may be: image, evidence and statement are two steps.
pub const EVIDENCE_DEPTH_MAX: usize = 8;
/// The most referrers of one artifact, all levels together.
pub const EVIDENCE_COUNT_MAX: usize = 4_096;
/// The most bytes their manifests have together.
pub const EVIDENCE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How many questions are open at once.
const PARALLEL: usize = 4;

#[cfg(test)]
mod tests;
