//! Statement manifests that OCI clients push: the statement is registered before its manifest is kept, so that a refused
//! one leaves nothing, and the service adds a statement manifest of its own, with its receipt.

use bytes::Bytes;
use docket_oci::digest::Digest;
use docket_oci::manifest::Manifest;
use docket_oci::media::SCITT_STATEMENT;
use docket_oci::name::{Reference, RepositoryName, Tag};
use docket_proof::statement::{MAX_STATEMENT_BYTES, PresentedStatement, SignedStatement, StatementError};

use crate::access::{Permit, Right};
use crate::error::{EngineError, PlaceError};
use crate::instance::Instance;
use crate::manifest::{StoredManifest, parts};
use crate::warning::Warning;

/// Whether a manifest hangs a statement onto another one.
pub fn is_statement_manifest(bytes: &[u8], content_type: Option<&str>) -> bool {
    // Most manifests are none, and are parsed once, where they are kept.
    let needle = SCITT_STATEMENT.as_bytes();
    bytes.windows(needle.len()).any(|window| window == needle)
        && Manifest::parse(bytes, content_type).is_ok_and(|manifest| statement_layer(&manifest).is_some())
}

impl Instance {
    /// Registers the statement in a manifest that was pushed, then keeps the manifest as [`Instance::put_manifest`] does.
    /// Where that fails after all, the claim stands and the push can be repeated.
    ///
    /// A statement that brings receipts along was registered elsewhere, and to copy it is no new claim: if it cannot be
    /// registered here, it is kept like any artifact, and its receipts speak for it to whoever believes those services.
    pub async fn put_statement_manifest(
        &self,
        push: &Permit,
        claim: &Permit,
        reference: &Reference,
        content_type: Option<&str>,
        tags: Vec<Tag>,
        bytes: Bytes,
    ) -> Result<StoredManifest, EngineError> {
        let repository = push.repository(Right::Push)?;
        let manifest = Manifest::parse(&bytes, content_type)?;
        let mut warnings = Vec::new();
        if let Some(statement) = self.pushed_statement(repository, &manifest).await? {
            let is_copy = PresentedStatement::decode(&statement).is_ok_and(|shown| !shown.receipts.is_empty());
            match self.attach(claim, &manifest, &statement).await {
                Ok(()) => {}
                Err(failure @ (EngineError::Refused(_) | EngineError::Place(_) | EngineError::Statement(_)))
                    if is_copy =>
                {
                    warnings.push(Warning::NotRegistered { why: failure.to_string() });
                }
                Err(failure) => return Err(failure),
            }
        }
        let mut stored = self.put_manifest(push, reference, content_type, tags, bytes).await?;
        stored.warnings.extend(warnings);
        Ok(stored)
    }

    async fn attach(&self, claim: &Permit, manifest: &Manifest, statement: &[u8]) -> Result<(), EngineError> {
        let repository = claim.repository(Right::Claim)?;
        // The subject of a manifest is not signed, so it may not contradict what is.
        let signed = SignedStatement::decode(statement)?;
        let artifact = signed.subject().digest();
        let artifact = artifact.ok_or_else(|| PlaceError::NoArtifact(signed.subject().as_str().to_owned()))?;
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        if subject != Some(artifact) && self.subject_of(repository, subject).await? != Some(artifact) {
            return Err(PlaceError::OtherSubject(artifact).into());
        }
        self.register(claim, statement).await.map(|_| ())
    }

    /// What a manifest refers to.
    async fn subject_of(
        &self,
        repository: &RepositoryName,
        digest: Option<Digest>,
    ) -> Result<Option<Digest>, EngineError> {
        let Some(digest) = digest else { return Ok(None) };
        let Some(row) = self.store.manifest(repository, &Reference::Digest(digest)).await? else { return Ok(None) };
        let manifest = Manifest::parse(&row.bytes, Some(&row.media_type)).ok();
        Ok(manifest.and_then(|manifest| manifest.subject).map(|subject| subject.digest))
    }

    /// The bytes of the statement. None where something that the manifest names was not pushed: that is refused when it is
    /// to be kept, and must be before anything is registered.
    async fn pushed_statement(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<Option<Bytes>, EngineError> {
        let Some(layer) = statement_layer(manifest) else { return Ok(None) };
        for blob in parts(manifest).0 {
            if self.store.blob(repository, &blob).await?.is_none() {
                return Ok(None);
            }
        }
        let blob = self.open_blob(repository, &layer).await?;
        if blob.size > MAX_STATEMENT_BYTES as u64 {
            let bytes = usize::try_from(blob.size).unwrap_or(usize::MAX);
            return Err(StatementError::TooLarge { bytes }.into());
        }
        blob.read().await.map(Some)
    }
}

/// The layer that holds the statement, if a manifest has one and refers to something.
fn statement_layer(manifest: &Manifest) -> Option<Digest> {
    let first = manifest.layers.first().filter(|layer| layer.media_type == SCITT_STATEMENT)?;
    let is_statement = manifest.referrer_artifact_type() == Some(SCITT_STATEMENT) && manifest.subject.is_some();
    is_statement.then_some(first.digest)
}
