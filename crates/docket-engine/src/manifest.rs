//! Manifests: kept as the exact bytes that were pushed, under the digest of those bytes.

use bytes::Bytes;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, Kind, Manifest};
use docket_oci::media::OCI_EMPTY_BYTES;
use docket_oci::name::{Reference, RepositoryName, Tag};
use docket_store::{ChangeOutcome, ManifestPut, ManifestRow, NewManifest, NewReferrer, RegistryChange};

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::observe::Watch;
use crate::warning::Warning;

/// What a manifest put did.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Digest of the bytes.
    pub digest: Digest,
    /// The subject it names.
    pub subject: Option<Digest>,
    /// Tags that now point to it.
    pub tags: Vec<Tag>,
    /// What the caller should know about it.
    pub warnings: Vec<Warning>,
}

impl Instance {
    /// Keeps a manifest and moves tags to it: the one of the reference, and those given beside a digest.
    pub async fn put_manifest(
        &self,
        permit: &Permit,
        reference: &Reference,
        content_type: Option<&str>,
        mut tags: Vec<Tag>,
        bytes: Bytes,
    ) -> Result<StoredManifest, EngineError> {
        let repository = permit.repository(Right::Push)?.clone();
        let manifest = Manifest::parse(&bytes, content_type)?;
        let algorithm = match reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => Algorithm::Sha256,
        };
        let digest = Digest::of(algorithm, &bytes);
        match reference {
            Reference::Digest(expected) if *expected != digest => {
                return Err(EngineError::DigestMismatch { expected: *expected, actual: digest });
            }
            Reference::Digest(_) => {}
            Reference::Tag(tag) => tags.push(tag.clone()),
        }
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        let kind = manifest.kind();
        let (blobs, children) = parts(&manifest);
        let (required, optional) = match kind {
            Kind::Image if !self.conduct.sparse_images => (blobs, children),
            Kind::Image | Kind::Index => (Vec::new(), [blobs, children].concat()),
        };
        let manifest = new_manifest(digest, bytes, &manifest);
        let fixed = self.access.fixed_for_push(permit, &repository);
        let place = repository.clone();
        let put = ManifestPut { repository, manifest, required, optional, tags: tags.clone(), fixed };
        match self.change(RegistryChange::PutManifest(Box::new(put))).await? {
            ChangeOutcome::Stored { absent } => {
                let warnings = if absent > 0 { vec![Warning::Sparse { kind, absent }] } else { Vec::new() };
                Ok(StoredManifest { digest, subject, tags, warnings })
            }
            ChangeOutcome::Missing(digests) => Err(EngineError::ManifestBlobUnknown(digests)),
            ChangeOutcome::TagFixed(tag) => Err(self.access.why_fixed(permit, &place, &tag)),
            ChangeOutcome::Deleted | ChangeOutcome::NotFound | ChangeOutcome::SeenOtherwise => {
                unreachable!("a put is answered with one of the others")
            }
        }
    }

    /// A manifest by tag or digest.
    pub async fn manifest(&self, permit: &Permit, reference: &Reference) -> Result<ManifestRow, EngineError> {
        let repository = permit.repository(Right::Pull)?;
        if let Some(row) = self.store.manifest(repository, reference).await? {
            return Ok(row);
        }
        if self.store.has_repository(repository).await? {
            return Err(EngineError::ManifestUnknown(reference.to_string()));
        }
        Err(EngineError::RepositoryUnknown)
    }

    /// Removes a tag, or a manifest with every tag on it.
    pub async fn delete_manifest(&self, permit: &Permit, reference: &Reference) -> Result<(), EngineError> {
        let repository = self.deletable(permit)?;
        let fixed = self.access.immutable(permit, &repository);
        let place = repository.clone();
        let change = match reference {
            Reference::Tag(tag) => RegistryChange::DeleteTag { repository, tag: tag.clone(), fixed },
            Reference::Digest(digest) => RegistryChange::DeleteManifest { repository, digest: *digest, fixed },
        };
        match self.change(change).await? {
            ChangeOutcome::Deleted => Ok(()),
            ChangeOutcome::NotFound => Err(EngineError::ManifestUnknown(reference.to_string())),
            ChangeOutcome::TagFixed(tag) => Err(self.access.why_fixed(permit, &place, &tag)),
            ChangeOutcome::Stored { .. } | ChangeOutcome::Missing(_) | ChangeOutcome::SeenOtherwise => {
                unreachable!("a deletion is answered with one of the others")
            }
        }
    }

    /// Changes what a repository shows; where that is observed, together with the entry that says so.
    async fn change(&self, change: RegistryChange) -> Result<ChangeOutcome, EngineError> {
        let watch = self.observe().watch(change.repository());
        // A restored copy refuses every change, in the same words.
        if !self.store.is_restored() && (watch.concerns(&change) || self.ends_observation(&change, &watch).await?) {
            return self.ledger.witness(change, watch).await;
        }
        Ok(self.store.change(change).await?)
    }

    /// Whether a change is one that is not observed any more, in a repository where this was not said yet.
    async fn ends_observation(&self, change: &RegistryChange, watch: &Watch) -> Result<bool, EngineError> {
        if !watch.leaves_out(change) {
            return Ok(false);
        }
        let observed = self.store.observed(&[change.repository()]).await?;
        Ok(observed.values().any(|so_far| !so_far.row.is_suspended))
    }

    /// The repository to delete from. Every verb that deletes asks here, so that none forgets the switch.
    pub(crate) fn deletable(&self, permit: &Permit) -> Result<RepositoryName, EngineError> {
        let repository = permit.repository(Right::Delete)?.clone();
        if self.conduct.deletes { Ok(repository) } else { Err(EngineError::DeletesOff) }
    }
}

/// What a manifest is made of: its blobs, and the children of an index. Layers that are fetched elsewhere are not
/// among them, nor is the subject.
pub(crate) fn parts(manifest: &Manifest) -> (Vec<Digest>, Vec<Digest>) {
    let digests = |descriptors: &mut dyn Iterator<Item = &Descriptor>| {
        let mut digests: Vec<_> = descriptors.map(|descriptor| descriptor.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    };
    (digests(&mut manifest.required_blobs()), digests(&mut manifest.children().iter()))
}

/// The row of a manifest, with the descriptor under which its subject lists it.
pub(crate) fn new_manifest(digest: Digest, bytes: Bytes, manifest: &Manifest) -> NewManifest {
    let referrer = manifest.subject.as_ref().map(|subject| {
        let artifact_type = manifest.referrer_artifact_type().map(str::to_owned);
        let descriptor = Descriptor {
            annotations: manifest.annotations.clone(),
            artifact_type: artifact_type.clone(),
            ..Descriptor::new(manifest.resolved_media_type(), digest, bytes.len() as u64)
        };
        let descriptor = serde_json::to_string(&descriptor).expect("a descriptor holds only strings and numbers");
        NewReferrer { subject: subject.digest, artifact_type, descriptor }
    });
    let media_type = manifest.resolved_media_type().to_owned();
    NewManifest { digest, bytes, media_type, referrer, references: references(manifest) }
}

/// What a manifest keeps from the collector: everything it names but its subject, foreign layers included, for somebody may
/// have pushed them. The empty config is never collected, so nothing need know who names it.
pub(crate) fn references(manifest: &Manifest) -> Vec<Digest> {
    let named = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
    let empty = Digest::of(Algorithm::Sha256, OCI_EMPTY_BYTES);
    let mut named: Vec<_> = named.map(|descriptor| descriptor.digest).filter(|digest| *digest != empty).collect();
    named.sort_unstable();
    named.dedup();
    named
}
