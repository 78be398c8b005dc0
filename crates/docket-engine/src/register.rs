//! Registration: decode, decide, find the place, log. A refused statement leaves nothing visible.

use std::sync::Arc;

use docket_judge::policy::{Decision, EARLIER_MAX, EarlierClaim, Identified, Refusal};
use docket_oci::digest::Digest;
use docket_oci::manifest::{Descriptor, Manifest};
use docket_oci::name::{Reference, RepositoryName};
use docket_proof::statement::{Content, EntryId, SignedStatement};
use docket_store::{ClaimFilter, EntryRow, EntrySubject, NewManifest};

use crate::access::{Permit, Right};
use crate::effect::Effect;
use crate::error::{EngineError, PlaceError};
use crate::instance::Instance;
use crate::ledger::{Candidate, History, Logged, Place, PolicyInForce, indexed, own_manifest};
use crate::observe::OBSERVATION_TYPE;
use crate::own::claims_to_be_own;
use crate::pending::Progress;

/// A statement that is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its entry.
    pub entry_id: EntryId,
    /// Position in the ledger.
    pub index: u64,
    /// Tree size of the receipt.
    pub tree_size: u64,
    /// Its first receipt, the same at every repetition.
    pub receipt: Vec<u8>,
    /// Whether it was registered before.
    pub known: bool,
}

/// What there is of an entry.
#[derive(Debug, Clone)]
pub enum EntryState {
    /// It is in the ledger: a fresh receipt, in the newest tree.
    Logged(Vec<u8>),
    /// There will be a receipt: its registration is under way, or it stands alone in the ledger.
    Pending,
    /// Its registration went on after its caller was told to wait, and failed.
    Failed(Arc<EngineError>),
    /// Nothing, or nothing that is shown to who asks.
    Absent,
}

impl Instance {
    /// Registers a signed statement: logs it, and where the permit names a repository, places it there. Answers once
    /// entry, place and receipt are durable.
    pub async fn register(&self, permit: &Permit, statement: &[u8]) -> Result<Registered, EngineError> {
        let repository = permit.scope(Right::Claim)?;
        let statement = SignedStatement::decode(statement)?;
        if claims_to_be_own(&statement, self.service()) {
            return self.own_again(&statement).await;
        }
        let entry_id = statement.entry_id();
        let mut turn = None;
        for _ in 0..DECISIONS_MAX {
            let (policy, now) = (self.ledger.policy(), self.clock.now());
            let identified = policy.policy.identify(statement.clone(), now);
            let (mut history, mut earlier) = (None, Vec::new());
            // Whoever is nobody's issuer waits for nothing, and keeps nobody waiting.
            if identified.is_ok() && policy.policy.reads_earlier() {
                let subject = indexed(statement.subject());
                // Of those that are decided at once by what was said before, one could be logged and all others would be
                // decided again, over and over. So they wait for each other here.
                if turn.is_none() {
                    turn = Some(self.turns.of(&subject).await);
                }
                let size = self.ledger.head().size;
                history = Some(History { subject, size });
                earlier = self.earlier(subject, size).await?;
            }
            let decision = match identified {
                Ok(identified) => self.judged(&policy, identified, earlier, now).await,
                Err(refusal) => Err(refusal),
            };
            let place = match repository {
                // Whoever is refused learns nothing about the repository.
                Some(_) if decision.is_err() && !self.is_logged(&entry_id).await? => None,
                Some(repository) => Some(self.place(repository, &statement).await?),
                None => None,
            };
            let logged = match decision {
                Ok(Decision { statement, basis, .. }) => {
                    let effect = Effect::None;
                    let candidate = Candidate { statement, basis, history, place, effect, new_key: None };
                    self.ledger.log(candidate, policy.entry).await?
                }
                // What was registered once stays so, and its receipt is given again, whatever is in force today.
                Err(refusal) => self.ledger.log_again(&entry_id, place.as_ref()).await?.ok_or(refusal)?,
            };
            match logged {
                Logged::Done { index, tree_size, receipt, known } => {
                    return Ok(Registered { entry_id, index, tree_size, receipt, known });
                }
                // Policy, subject or repository changed between decision and transaction.
                Logged::DecideAgain => {}
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Decides by the policy in force. Rules run where a long evaluation keeps no connection waiting, on as many threads as there
    /// are processors.
    async fn judged(
        &self,
        policy: &PolicyInForce,
        identified: Identified,
        earlier: Vec<EarlierClaim>,
        now: i64,
    ) -> Result<Decision, Refusal> {
        let (entry, rules) = (policy.policy.entry(), Arc::clone(&policy.policy));
        if rules.rules().is_none() {
            return rules.judge(identified, &earlier, now);
        }
        let _running = self.evaluations.acquire().await;
        let judging = tokio::task::spawn_blocking(move || rules.judge(identified, &earlier, now));
        judging.await.unwrap_or_else(|_| {
            Err(Refusal::NotDecided { entry, reason: "its evaluation broke off, which is a defect".to_owned() })
        })
    }

    /// One of the service's own statements, sent back to it. It stands in the ledger or it is forged; where it becomes visible
    /// is the service's affair. The genesis has no receipt to answer with.
    async fn own_again(&self, statement: &SignedStatement) -> Result<Registered, EngineError> {
        let entry_id = statement.entry_id();
        let row = self.store.entry_by_id(entry_id.as_bytes()).await?;
        let row = row.filter(|row| row.tree_size > 1 && row.index < self.ledger.head().size);
        let row = row.ok_or(EngineError::OwnStatement)?;
        let receipt = self.ledger.first_receipt(&row).await?;
        Ok(Registered { entry_id, index: row.index, tree_size: row.tree_size, receipt, known: true })
    }

    /// The claims about a subject in a tree of a size, oldest first, as many as a policy is told of. What the service
    /// itself has witnessed is none of them.
    pub(crate) async fn earlier(&self, subject: EntrySubject, size: u64) -> Result<Vec<EarlierClaim>, EngineError> {
        let filter = ClaimFilter {
            subject: Some(subject),
            except_type: Some(OBSERVATION_TYPE.to_owned()),
            issuer: None,
            claim_type: None,
        };
        let rows = self.store.claims(&filter, 0, size, EARLIER_MAX).await?;
        let mut sizes: Vec<_> = rows.iter().map(|row| row.tree_size).collect();
        sizes.dedup();
        let times = self.store.batch_times(&sizes).await?;
        let claim = |row: &EntryRow| {
            let unproven = |why: &str| EngineError::Unproven(format!("entry {}: {why}", row.index));
            let statement = SignedStatement::decode(&row.bytes).map_err(|failure| unproven(&failure.to_string()))?;
            Ok(EarlierClaim {
                entry: statement.entry_id().to_string(),
                index: row.index,
                issuer: statement.issuer().to_string(),
                claim_type: statement.claim_type().to_owned(),
                logged_at: *times.get(&row.tree_size).ok_or_else(|| unproven("its batch is missing"))?,
            })
        };
        rows.iter().map(claim).collect()
    }

    async fn is_logged(&self, entry_id: &EntryId) -> Result<bool, EngineError> {
        let size = self.ledger.head().size;
        let row = self.store.entry_by_id(entry_id.as_bytes()).await?;
        Ok(row.is_some_and(|row| row.index < size))
    }

    /// A fresh receipt for an entry, or how far it is.
    pub async fn receipt(&self, permit: &Permit, entry_id: &EntryId) -> Result<EntryState, EngineError> {
        let repository = permit.scope(Right::Pull)?;
        // Asked for by way of a repository, an entry is there only if it was placed there; asked for as such, only if it
        // was placed where the caller may look.
        let account = permit.account();
        let shows_all = repository.is_none() && self.access.shows_whole_ledger(account);
        let is_here = |place: &RepositoryName| match repository {
            Some(repository) => place == repository,
            None => self.access.shows(account, place),
        };
        // Before the ledger is asked: what ends in between is found there.
        let progress = self.pending.progress(entry_id, |place| shows_all || place.is_some_and(is_here));
        if let Some(row) = self.shown_entry(entry_id, shows_all, &is_here).await? {
            let receipt = self.ledger.fresh_receipt(&row).await?;
            return Ok(receipt.map_or(EntryState::Pending, EntryState::Logged));
        }
        Ok(match progress {
            Some(Progress::Running) => EntryState::Pending,
            Some(Progress::Failed(failure)) => EntryState::Failed(failure),
            None => EntryState::Absent,
        })
    }

    /// An entry that may be spoken of, if all of them are shown or it is placed where `is_here`.
    pub(crate) async fn shown_entry(
        &self,
        entry_id: &EntryId,
        shows_all: bool,
        is_here: &(dyn Fn(&RepositoryName) -> bool + Sync),
    ) -> Result<Option<EntryRow>, EngineError> {
        let row = self.store.entry_by_id(entry_id.as_bytes()).await?;
        // A committed entry that is not guarded yet is not spoken of yet.
        let Some(row) = row.filter(|row| row.index < self.ledger.head().size) else { return Ok(None) };
        let is_shown = shows_all || {
            let placements = self.store.placements(&[row.index]).await?;
            placements.iter().any(|placement| is_here(&placement.repository))
                || self.observed_in(&row).is_some_and(|repository| is_here(&repository))
        };
        Ok(is_shown.then_some(row))
    }

    /// Finds where a statement becomes visible in a repository. Compared by digest: the path of a request is not
    /// signed, so it may not contradict what is.
    async fn place(&self, repository: &RepositoryName, statement: &SignedStatement) -> Result<Place, EngineError> {
        let subject = statement.subject();
        let artifact = subject.digest().ok_or_else(|| PlaceError::NoArtifact(subject.as_str().to_owned()))?;
        let row = self.store.manifest(repository, &Reference::Digest(artifact)).await?;
        let row = row.ok_or(PlaceError::ArtifactElsewhere(artifact))?;
        let described = Descriptor::new(row.media_type, row.digest, row.bytes.len() as u64);
        let (document, media_type) = match statement.content() {
            Content::HashEnvelope { digest, media_type } => (digest, media_type),
            // A registry addresses nothing by SHA-384: which blob is the document, nobody has signed. The claim stands at
            // the artifact itself, like one without a document.
            Content::Sha384Envelope { .. } | Content::Payload { .. } => {
                return Ok(Place {
                    repository: repository.clone(),
                    subject: described,
                    evidence: None,
                    evidence_manifest: None,
                    required_blobs: Vec::new(),
                    required_manifests: vec![artifact],
                });
            }
        };
        let (evidence, evidence_manifest) = self.evidence(repository, &described, document, media_type).await?;
        let mut required_manifests = vec![artifact];
        required_manifests.extend(evidence_manifest.is_none().then_some(evidence.digest));
        Ok(Place {
            repository: repository.clone(),
            evidence: Some(evidence.digest),
            subject: evidence,
            evidence_manifest,
            required_blobs: vec![*document],
            required_manifests,
        })
    }

    /// The evidence manifest for a document: the one that stands already (an SBOM that was attached by any OCI
    /// client), else a new one in the same shape.
    async fn evidence(
        &self,
        repository: &RepositoryName,
        artifact: &Descriptor,
        document: &Digest,
        media_type: &str,
    ) -> Result<(Descriptor, Option<NewManifest>), EngineError> {
        let blob = self.store.blob(repository, document).await?.ok_or(PlaceError::DocumentMissing(*document))?;
        let (limit, bytes_max) = (EVIDENCE_CANDIDATES_MAX, EVIDENCE_BYTES_MAX);
        let page = self.store.referrers(repository, &artifact.digest, Some(media_type), None, limit, bytes_max);
        for candidate in page.await?.0 {
            let row = self.store.manifest(repository, &Reference::Digest(candidate.digest)).await?;
            // What `oras attach` makes is small; a large one is not parsed on this path.
            let Some(row) = row.filter(|row| row.bytes.len() <= EVIDENCE_MANIFEST_BYTES_MAX) else { continue };
            // Only one that says itself what it is: a reader of the claim compares its type with what was signed.
            let Ok(manifest) = Manifest::parse(&row.bytes, Some(&row.media_type)) else { continue };
            if let [layer] = manifest.layers.as_slice()
                && layer.digest == *document
                && layer.size == blob.row.size
                && manifest.artifact_type.as_deref() == Some(media_type)
            {
                return Ok((Descriptor::new(row.media_type, row.digest, row.bytes.len() as u64), None));
            }
        }
        let manifest = own_manifest(media_type, &[Descriptor::new(media_type, *document, blob.row.size)], artifact);
        let described = Descriptor::new(&manifest.media_type, manifest.digest, manifest.bytes.len() as u64);
        Ok((described, Some(manifest)))
    }
}

/// How often a registration is decided again before the caller is asked to come back.
const DECISIONS_MAX: usize = 16;
/// Referrers of one type looked at for an evidence manifest that stands already.
const EVIDENCE_CANDIDATES_MAX: usize = 100;
/// Bytes of their descriptors.
const EVIDENCE_BYTES_MAX: usize = 1024 * 1024;
/// The largest one that is looked into.
const EVIDENCE_MANIFEST_BYTES_MAX: usize = 64 * 1024;
