//! Finds everything a copy has to bring over, and the order in which it may appear.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use docket_oci::{Descriptor, Digest, Reference, media};

use super::{CopyOptions, by_digest};
use crate::error::ClientError;
use crate::evidence::{Truncated, referrers_of_all};
use crate::registry::FetchedManifest;
use crate::source::Source;

/// What to copy. Everything in it was read and checked, except the blobs.
pub(super) struct Plan {
    /// In the order they may be stored: children before their index, subjects before what refers to them.
    pub(super) manifests: Vec<FetchedManifest>,
    /// Each once, in the order of their digests.
    pub(super) blobs: BTreeMap<Digest, Descriptor>,
    artifact: Digest,
}

impl Plan {
    pub(super) async fn make(
        source: &Source,
        reference: &Reference,
        options: CopyOptions,
    ) -> Result<Self, ClientError> {
        let artifact = source.required_manifest(reference).await?;
        let mut gathered = Gathered::new(source);
        let digest = artifact.digest;
        let mut roots = vec![digest];
        gathered.add_tree(artifact).await?;
        if options.claims {
            let parts: Vec<Digest> = gathered.order(&roots).iter().rev().map(|part| part.digest).collect();
            let found = referrers_of_all(source, &parts).await?;
            if let Some(Truncated { what, limit }) = found.truncated {
                return Err(gathered.too_much(what, limit));
            }
            for referrer in found.referrers {
                // Nearest first, so that each comes after what it refers to.
                roots.push(referrer.fetched.digest);
                gathered.add_tree(referrer.fetched).await?;
            }
        }
        let manifests = gathered.order(&roots);
        Ok(Self { manifests, blobs: gathered.blobs, artifact: digest })
    }

    pub(super) fn artifact(&self) -> &FetchedManifest {
        let artifact = self.manifests.iter().find(|manifest| manifest.digest == self.artifact);
        artifact.expect("a plan is made from its artifact and orders all it gathered")
    }
}

struct Gathered<'a> {
    source: &'a Source,
    manifests: HashMap<Digest, FetchedManifest>,
    blobs: BTreeMap<Digest, Descriptor>,
    manifest_bytes: u64,
}

impl<'a> Gathered<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, manifests: HashMap::new(), blobs: BTreeMap::new(), manifest_bytes: 0 }
    }

    /// Adds a manifest and, for an index, all that is below it, level by level.
    async fn add_tree(&mut self, root: FetchedManifest) -> Result<(), ClientError> {
        let mut waiting = VecDeque::from([(root, 0)]);
        while let Some((fetched, depth)) = waiting.pop_front() {
            if self.manifests.contains_key(&fetched.digest) {
                continue;
            }
            if depth > PLAN_INDEX_DEPTH_MAX {
                return Err(self.too_much("levels of indexes", PLAN_INDEX_DEPTH_MAX as u64));
            }
            for child in fetched.manifest.children() {
                if media::is_manifest(&child.media_type) {
                    if !self.manifests.contains_key(&child.digest) {
                        waiting.push_back((self.source.required_manifest(&by_digest(&child.digest)).await?, depth + 1));
                    }
                } else {
                    // Build caches list layers where manifests belong.
                    self.add_blob(child)?;
                }
                if waiting.len() > PLAN_MANIFESTS_MAX {
                    return Err(self.too_much("manifests below one", PLAN_MANIFESTS_MAX as u64));
                }
            }
            for blob in fetched.manifest.required_blobs() {
                self.add_blob(blob)?;
            }
            self.manifest_bytes += fetched.bytes.len() as u64;
            if self.manifest_bytes > PLAN_MANIFEST_BYTES_MAX {
                return Err(self.too_much("bytes of manifests below one", PLAN_MANIFEST_BYTES_MAX));
            }
            self.manifests.insert(fetched.digest, fetched);
            if self.manifests.len() > PLAN_MANIFESTS_MAX {
                return Err(self.too_much("manifests below one", PLAN_MANIFESTS_MAX as u64));
            }
        }
        Ok(())
    }

    fn add_blob(&mut self, blob: &Descriptor) -> Result<(), ClientError> {
        self.blobs.entry(blob.digest).or_insert_with(|| blob.clone());
        if self.blobs.len() > PLAN_BLOBS_MAX {
            return Err(self.too_much("blobs below one manifest", PLAN_BLOBS_MAX as u64));
        }
        Ok(())
    }

    fn too_much(&self, what: &'static str, limit: u64) -> ClientError {
        ClientError::TooMuch { place: self.source.place(), what, limit }
    }

    /// All manifests below the roots, root by root, each after its children. A stack of our own, because indexes may be
    /// nested deeper than the machine's.
    fn order(&self, roots: &[Digest]) -> Vec<FetchedManifest> {
        let mut ordered = Vec::with_capacity(self.manifests.len());
        let mut entered = HashSet::new();
        for root in roots {
            let mut stack = vec![(*root, false)];
            while let Some((digest, is_complete)) = stack.pop() {
                let Some(fetched) = self.manifests.get(&digest) else { continue };
                if is_complete {
                    ordered.push(fetched.clone());
                } else if entered.insert(digest) {
                    stack.push((digest, true));
                    stack.extend(fetched.manifest.children().iter().rev().map(|child| (child.digest, false)));
                }
            }
        }
        ordered
    }
}

/// The most manifests of one copy.
pub const PLAN_MANIFESTS_MAX: usize = 10_000;
/// The most bytes they have together; they are held in memory.
pub const PLAN_MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most different blobs of one copy.
pub const PLAN_BLOBS_MAX: usize = 100_000;
/// How deep indexes may be nested.
pub const PLAN_INDEX_DEPTH_MAX: usize = 8;
