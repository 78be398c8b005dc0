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
    /// The limit at which collecting ended; what lies behind it was not seen.
    pub truncated: Option<Truncated>,
}

/// There was more than is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there are more {what} than the limit of {limit}")]
pub struct Truncated {
    /// What was counted.
    pub what: &'static str,
    /// The most that is looked at.
    pub limit: u64,
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
    /// It is what its digest says, and no manifest.
    Unreadable,
}

impl Collected {
    /// What refers to one manifest directly, in the order the place listed it.
    pub fn referrers_of(&self, subject: &Digest) -> impl Iterator<Item = &Referrer> {
        self.referrers.iter().filter(move |referrer| referrer.subject == *subject)
    }
}

/// Reads an artifact and everything that refers to it.
///
/// Whoever may push can add referrers, so what is wrong with one of them, or how many there are, takes nothing away from the
/// others: it is told in [`Collected::skipped`] and [`Collected::truncated`], where half of the evidence cannot pass for all of
/// it. Bytes that are not what their digest says are an error, for then the place itself is at fault.
pub async fn collect(source: &Source, reference: &Reference) -> Result<Collected, ClientError> {
    let artifact = source.required_manifest(reference).await?;
    let Found { referrers, skipped, truncated } = referrers_of_all(source, &[artifact.digest]).await?;
    Ok(Collected { artifact, referrers, skipped, truncated })
}

/// What [`referrers_of_all`] found.
pub(crate) struct Found {
    pub(crate) referrers: Vec<Referrer>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) truncated: Option<Truncated>,
}

/// Everything that refers to any of the roots, level by level. Nothing is read twice, so circles cannot arise.
///
/// Where there is more than is looked at, the statements that the place itself wrote stand first all the same: its ledger
/// says where they are, and nobody else can add to that. So strangers cannot hide them behind a limit.
pub(crate) async fn referrers_of_all(source: &Source, roots: &[Digest]) -> Result<Found, ClientError> {
    let mut found = Found { referrers: Vec::new(), skipped: Vec::new(), truncated: None };
    let mut seen: HashSet<Digest> = roots.iter().copied().collect();
    let mut level: Vec<Digest> = roots.to_vec();
    let mut bytes_total = 0;
    for depth in 1.. {
        let mut listings = stream::iter(level)
            .map(|subject| async move { (subject, source.referrers(&subject, None).await) })
            .buffered(PARALLEL);
        let mut listed = Vec::new();
        while let Some((subject, referrers)) = listings.next().await {
            match referrers {
                Ok(referrers) => listed.extend(referrers.into_iter().map(|referrer| (subject, referrer.digest))),
                Err(ClientError::TooMuch { limit, .. }) => {
                    found.truncated = Some(Truncated { what: "referrers of one manifest", limit });
                }
                Err(failure) => return Err(failure),
            }
        }
        drop(listings);
        let mut new: Vec<_> = listed.into_iter().filter(|(_, digest)| seen.insert(*digest)).collect();
        if new.is_empty() {
            break;
        }
        if depth > EVIDENCE_DEPTH_MAX {
            found.truncated = Some(Truncated { what: "levels of referrers", limit: EVIDENCE_DEPTH_MAX as u64 });
            break;
        }
        let room = EVIDENCE_COUNT_MAX - found.referrers.len() - found.skipped.len();
        if new.len() > room {
            found.truncated = Some(Truncated { what: "referrers", limit: EVIDENCE_COUNT_MAX as u64 });
            new.truncate(room);
        }
        level = Vec::with_capacity(new.len());
        let mut manifests = stream::iter(new)
            .map(|(subject, digest)| async move {
                let fetched = match source.manifest(&Reference::Digest(digest)).await {
                    Err(ClientError::Manifest { .. }) => Err(SkipReason::Unreadable),
                    fetched => fetched?.ok_or(SkipReason::Absent),
                };
                Ok::<_, ClientError>((subject, digest, fetched))
            })
            .buffered(PARALLEL);
        while let Some((subject, digest, fetched)) = manifests.try_next().await? {
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(reason) => {
                    found.skipped.push(Skipped { digest, reason });
                    continue;
                }
            };
            if fetched.manifest.subject.as_ref().map(|subject| subject.digest) != Some(subject) {
                found.skipped.push(Skipped { digest, reason: SkipReason::OtherSubject });
                continue;
            }
            bytes_total += fetched.bytes.len() as u64;
            if bytes_total > EVIDENCE_BYTES_MAX {
                found.truncated = Some(Truncated { what: "bytes of referring manifests", limit: EVIDENCE_BYTES_MAX });
                break;
            }
            level.push(digest);
            found.referrers.push(Referrer { fetched, subject, depth });
        }
        drop(manifests);
        if found.truncated.is_some() {
            break;
        }
    }
    if found.truncated.is_some() {
        let mut placed = read_placed(source, roots).await?;
        let known: HashSet<_> = placed.iter().map(|referrer| referrer.fetched.digest).collect();
        placed.extend(found.referrers.into_iter().filter(|referrer| !known.contains(&referrer.fetched.digest)));
        found.referrers = placed;
    }
    Ok(found)
}

/// The evidence and the statements that the place itself says it has placed at the roots.
async fn read_placed(source: &Source, roots: &[Digest]) -> Result<Vec<Referrer>, ClientError> {
    let mut placed = Vec::new();
    let mut bytes_total = 0;
    for root in roots {
        let digests = source.placed(root).await;
        let mut manifests = stream::iter(digests)
            .map(|digest| async move { source.manifest(&Reference::Digest(digest)).await })
            .buffered(PARALLEL);
        while let Some(fetched) = manifests.next().await {
            let fetched = match fetched {
                Ok(Some(fetched)) => fetched,
                Ok(None) | Err(ClientError::Manifest { .. }) => continue,
                Err(failure) => return Err(failure),
            };
            bytes_total += fetched.bytes.len() as u64;
            if placed.len() >= EVIDENCE_COUNT_MAX || bytes_total > EVIDENCE_BYTES_MAX {
                return Ok(placed);
            }
            let Some(subject) = fetched.manifest.subject.as_ref().map(|subject| subject.digest) else { continue };
            placed.push(Referrer { fetched, subject, depth: if subject == *root { 1 } else { 2 } });
        }
    }
    Ok(placed)
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
