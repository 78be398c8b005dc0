//! Makes the bytes of a batch: indexes, paths, one signature, receipts, statement manifests. No clock, and no I/O but what
//! the signer does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use docket_judge::policy::Basis;
use docket_oci::digest::{Algorithm, Digest};
use docket_oci::manifest::{Descriptor, Manifest, artifact_manifest};
use docket_oci::media;
use docket_oci::name::RepositoryName;
use docket_proof::crypto::sha256;
use docket_proof::merkle::{Frontier, Hash, leaf_hash, root_from_path};
use docket_proof::receipt::{BatchSeal, UnsignedSeal};
use docket_proof::statement::{SignedStatement, VerifiedStatement, transparent_with};
use docket_proof::subject::Subject;
use docket_store::{Append, BatchRow, BlobBody, EntrySubject, HeadRow, NewBlob, NewEntry, NewManifest, NewPlacement};

use crate::effect::Effect;
use crate::error::EngineError;
use crate::keys::NewKey;
use crate::ledger::{Head, Identity};
use crate::manifest::new_manifest;
use crate::own::own_basis;
use crate::signer::{SIGNS_WITH, Signer, SignerError, signature};

/// A statement that may be logged.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// What is logged.
    pub statement: VerifiedStatement,
    /// What it was decided by.
    pub basis: Basis,
    /// What was said before about its subject, if that decided too.
    pub history: Option<History>,
    /// Where it becomes visible.
    pub place: Option<Place>,
    /// What it changes in force; only the service's own statements do.
    pub effect: Effect,
    /// The key that it puts in force; only a key entry does.
    pub new_key: Option<NewKey>,
}

impl Candidate {
    /// What the service itself says; it changes nothing and stands nowhere.
    pub(crate) fn own(statement: VerifiedStatement, now: i64) -> Self {
        let (basis, effect) = (own_basis(now), Effect::None);
        Self { statement, basis, history: None, place: None, effect, new_key: None }
    }
}

/// The earlier claims that a decision rests on: those about the subject in a tree of this size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    pub subject: EntrySubject,
    pub size: u64,
}

/// Where a statement becomes visible: checked against the repository, checked again in the transaction.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where.
    pub repository: RepositoryName,
    /// The manifest that the statement manifest refers to: the evidence manifest, or the artifact.
    pub subject: Descriptor,
    /// The evidence manifest, if the claim has a document.
    pub evidence: Option<Digest>,
    /// The evidence manifest, where it does not stand yet.
    pub evidence_manifest: Option<NewManifest>,
    /// Blobs that must be visible there.
    pub required_blobs: Vec<Digest>,
    /// Manifests that must stand there.
    pub required_manifests: Vec<Digest>,
}

/// A sealed batch: everything is decided, nothing is written.
#[derive(Debug)]
pub(crate) struct Batch {
    pub append: Append,
    pub head: Head,
    pub frontier: Frontier,
    /// Index of its first entry.
    pub first: u64,
    paths: Vec<Vec<Hash>>,
}

impl Batch {
    /// Extends the tree by the candidates, in order, and signs once. The signature holds, or there is no batch.
    pub(crate) async fn seal(
        identity: &Identity,
        signer: &Arc<dyn Signer>,
        old: &Frontier,
        old_root: Option<Hash>,
        candidates: &[Candidate],
        now: i64,
    ) -> Result<Self, SignerError> {
        let first = old.size();
        let leaves: Vec<Hash> = candidates.iter().map(|candidate| leaf_hash(entry(candidate))).collect();
        let grown = old.append(&leaves);
        let size = grown.frontier.size();
        let seal = sign_head(identity, signer, now, size, &grown.root).await?;
        let entries = candidates.iter().zip(&leaves).zip(&grown.paths);
        let entries = entries.map(|((candidate, leaf), path)| new_entry(candidate, *leaf, path)).collect();
        let placements = (first..).zip(candidates).zip(&grown.paths).filter_map(|((index, candidate), path)| {
            let place = candidate.place.as_ref()?;
            Some(placement(place, candidate.statement.statement(), index, &seal.receipt(index, size, path), now))
        });
        let append = Append {
            expected: old_root.map(|root| (first, root)),
            head: HeadRow { size, root: grown.root, frontier: grown.frontier.to_bytes() },
            batch: BatchRow {
                tree_size: size,
                root: grown.root,
                logged_at: now,
                protected: seal.protected.clone(),
                signature: seal.signature.clone(),
            },
            entries,
            placements: placements.collect(),
            changes: Vec::new(),
            observations: Vec::new(),
            observed: Vec::new(),
        };
        let head = Head { size, root: grown.root, seal, signed_at: now };
        Ok(Self { append, head, frontier: grown.frontier, first, paths: grown.paths })
    }

    /// The receipt of the candidate at a position.
    pub(crate) fn receipt(&self, position: usize) -> Vec<u8> {
        self.head.seal.receipt(self.first + position as u64, self.head.size, &self.paths[position])
    }

    /// Checks our own work as a stranger would: each entry's path folded to the root, whose signature was verified when it
    /// was made.
    pub(crate) fn reprove(&self, candidates: &[Candidate]) -> Result<(), EngineError> {
        for ((index, candidate), path) in (self.first..).zip(candidates).zip(&self.paths) {
            match root_from_path(index, self.head.size, &leaf_hash(entry(candidate)), path) {
                Ok(root) if root == self.head.root => {}
                _ => {
                    let what = format!("entry {index} is not in the tree of size {}", self.head.size);
                    return Err(EngineError::Unproven(what));
                }
            }
        }
        Ok(())
    }
}

/// Signs a tree.
pub(super) async fn sign_head(
    identity: &Identity,
    signer: &Arc<dyn Signer>,
    now: i64,
    size: u64,
    root: &Hash,
) -> Result<BatchSeal, SignerError> {
    let kid = signer.public().thumbprint();
    let unsigned = UnsignedSeal::new(SIGNS_WITH, kid, &identity.service, &identity.log, now, size, root);
    let signature = signature(signer, &unsigned.to_be_signed()).await?;
    Ok(unsigned.signed(signature))
}

fn entry(candidate: &Candidate) -> &[u8] {
    candidate.statement.statement().entry()
}

fn new_entry(candidate: &Candidate, leaf: Hash, path: &[Hash]) -> NewEntry {
    let statement = candidate.statement.statement();
    NewEntry {
        entry_id: *statement.entry_id().as_bytes(),
        bytes: statement.entry().to_vec(),
        leaf,
        path: path.concat(),
        issuer_entry: candidate.basis.issuer_entry,
        policy_entry: candidate.basis.policy_entry,
        decided_at: candidate.basis.decided_at,
        collateral: statement.collateral(),
        issuer: statement.issuer().to_string(),
        claim_type: statement.claim_type().to_owned(),
        subject: indexed(statement.subject()),
    }
}

/// What a subject is found by: an artifact by its digest, a stream by its name without qualifiers, all else by its text.
pub(crate) fn indexed(subject: &Subject) -> EntrySubject {
    let name = match (subject.digest(), subject.name()) {
        (Some(digest), _) => return EntrySubject::Artifact(digest),
        // Only what is of this type has a name in it, so no text is taken for a stream.
        (None, Some(name)) => format!("pkg:oci/{name}"),
        (None, None) => subject.as_str().to_owned(),
    };
    EntrySubject::Named(sha256(name.as_bytes()))
}

/// The statement manifest and what it needs. Its layers are composed from the ledger when they are read, so only
/// their digests and sizes are kept.
pub(crate) fn placement(
    place: &Place,
    statement: &SignedStatement,
    index: u64,
    receipt: &[u8],
    now: i64,
) -> NewPlacement {
    let statement = transparent_with(statement.entry(), statement.collateral().as_deref(), &[receipt])
        .expect("an entry of ours takes its chain and one receipt");
    let layers = [
        (media::SCITT_STATEMENT, statement.as_slice(), BlobBody::StatementOf(index)),
        (media::SCITT_RECEIPT, receipt, BlobBody::ReceiptOf(index)),
    ];
    let descriptors = layers.each_ref().map(|(media_type, bytes, _)| Descriptor::of(*media_type, bytes));
    let mut blobs = vec![empty_config()];
    blobs.extend(layers.into_iter().map(|(_, bytes, body)| NewBlob {
        digest: Digest::of(Algorithm::Sha256, bytes),
        size: bytes.len() as u64,
        body,
    }));
    // Composed blobs are never collected, so nothing need know that they are referred to.
    let statement = own_manifest(media::SCITT_STATEMENT, &descriptors, &place.subject);
    NewPlacement {
        index,
        repository: place.repository.clone(),
        statement: NewManifest { references: Vec::new(), ..statement },
        evidence: place.evidence,
        evidence_manifest: place.evidence_manifest.clone(),
        blobs,
        linked_at: now,
        required_blobs: place.required_blobs.clone(),
        required_manifests: place.required_manifests.clone(),
    }
}

/// A manifest that the service writes itself.
pub(crate) fn own_manifest(artifact_type: &str, layers: &[Descriptor], subject: &Descriptor) -> NewManifest {
    let bytes = Bytes::from(artifact_manifest(artifact_type, layers, Some(subject), &BTreeMap::new()));
    let manifest = Manifest::parse(&bytes, None).expect("our own manifests parse");
    new_manifest(Digest::of(Algorithm::Sha256, &bytes), bytes, &manifest)
}

fn empty_config() -> NewBlob {
    let bytes = Bytes::from_static(media::OCI_EMPTY_BYTES);
    NewBlob { digest: Digest::of(Algorithm::Sha256, &bytes), size: bytes.len() as u64, body: BlobBody::Inline(bytes) }
}
