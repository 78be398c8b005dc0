//! Re-proves everything stored: digests, references, tree, heads, receipts, index, and that tags stand where the ledger left them.

mod tags;

use docket_judge::policy::Policy;
use docket_oci::digest::Digest;
use docket_oci::manifest::Manifest;
use docket_oci::name::{Reference, RepositoryName};
use docket_proof::key::{Issuer, PublicKey};
use docket_proof::merkle::{Frontier, Hash, leaf_hash};
use docket_proof::receipt::Receipt;
use docket_proof::statement::{EntryId, SignedStatement};
use docket_store::{BatchRow, BlobBody, BlobRow, ClaimFilter, EntryRow, EntrySubject, StoreError};

use crate::access::{Permit, Right};
use crate::effect::Effect;
use crate::error::EngineError;
use crate::instance::Instance;
use crate::keys::{KEY_TYPE, KeyHistory, KeyRole};
use crate::ledger::{indexed, observation_rows};
use crate::manifest::{new_manifest, parts, references};
use crate::observe::{OBSERVATION_TYPE, Observation};
use crate::own::GENESIS_INDEX;

/// What was proved, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FsckReport {
    /// Blobs whose bytes were hashed.
    pub blobs: u64,
    /// Damaged blobs that nobody is shown until they are pushed again.
    pub quarantined: u64,
    /// Manifests that were parsed and whose references were found.
    pub manifests: u64,
    /// Manifests of which a client deleted a part; pulling them fails, but nothing was lost by the store.
    pub incomplete: u64,
    /// Entries whose leaf, signature, receipt and index rows were checked.
    pub entries: u64,
    /// Signed heads that were recomputed from the entries.
    pub heads: u64,
    /// Full tiles on disk that were compared.
    pub tiles: u64,
    /// What is wrong, one line each, at most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

/// What is done with damaged content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damaged {
    Quarantine,
    Leave,
}

/// What is wrong with a blob.
struct Damage {
    text: String,
    /// Whether its bytes are certainly not what they should be, rather than out of reach.
    is_certain: bool,
}

impl FsckReport {
    fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }
}

impl Instance {
    /// Proves everything again. Reads all content; works while the service runs. Damaged content is set aside: nobody is
    /// shown it any more, and a push of the same content makes it whole.
    pub async fn fsck(&self, permit: &Permit) -> Result<FsckReport, EngineError> {
        self.prove(permit, Damaged::Quarantine).await
    }

    /// The same, and changes nothing.
    pub async fn fsck_check_only(&self, permit: &Permit) -> Result<FsckReport, EngineError> {
        self.prove(permit, Damaged::Leave).await
    }

    async fn prove(&self, permit: &Permit, damaged: Damaged) -> Result<FsckReport, EngineError> {
        permit.scope(Right::Admin)?;
        let mut report = FsckReport::default();
        // A restored copy that waits for its comparison is not damaged.
        if let Some(reason) = self.read_only().filter(|_| !self.is_restored()) {
            report.problem(format!("the ledger is read-only: {reason}"));
        }
        self.check_blobs(damaged, &mut report).await?;
        self.check_manifests(&mut report).await?;
        self.check_ledger(&mut report).await?;
        self.check_tags(&mut report).await?;
        self.check_tiles(&mut report).await?;
        Ok(report)
    }

    async fn check_blobs(&self, damaged: Damaged, report: &mut FsckReport) -> Result<(), EngineError> {
        for digest in self.store.quarantined(PROBLEMS_MAX).await? {
            report.quarantined += 1;
            report.problem(format!("blob {digest} was damaged and is quarantined; push it again"));
        }
        let mut after = 0;
        loop {
            let page = self.store.stored_blobs(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for blob in &page {
                report.blobs += 1;
                if let Some(damage) = self.damage(&blob.digest, &blob.row).await {
                    self.mend(blob.digest, damage, damaged, report).await?;
                }
            }
        }
        for (repository, digest) in self.store.dangling_links(PROBLEMS_MAX).await? {
            report.problem(format!("{repository} shows blob {digest}, which is not stored"));
        }
        Ok(())
    }

    /// What is wrong with a blob.
    async fn damage(&self, expected: &Digest, row: &BlobRow) -> Option<Damage> {
        let certain = |text| Some(Damage { text, is_certain: true });
        match self.hash_blob(expected, row).await {
            Ok((digest, _)) if digest != *expected => certain(format!("blob {expected} has the bytes of {digest}")),
            Ok((_, size)) if size != row.size => {
                certain(format!("blob {expected} has {size} bytes, its row says {}", row.size))
            }
            Ok(_) => None,
            Err(EngineError::Store(failure @ StoreError::Damaged { .. })) => {
                certain(format!("blob {expected}: {failure}"))
            }
            // It could not be read now; what cannot be read may be whole.
            Err(failure) => Some(Damage { text: format!("blob {expected}: {failure}"), is_certain: false }),
        }
    }

    /// Reports a damaged blob and sets it aside, after a second look while nobody else has it in hand: it may have been pushed
    /// or collected since its row was read.
    async fn mend(
        &self,
        digest: Digest,
        damage: Damage,
        damaged: Damaged,
        report: &mut FsckReport,
    ) -> Result<(), EngineError> {
        let Some(hold) = self.store.hold(&digest) else {
            report.problem(format!("{}; somebody is pushing it just now", damage.text));
            return Ok(());
        };
        let Some(row) = self.store.stored_blob(&digest).await? else { return Ok(()) };
        let Some(damage) = self.damage(&digest, &row).await else { return Ok(()) };
        let is_composed = matches!(row.body, BlobBody::StatementOf(_) | BlobBody::ReceiptOf(_));
        if damaged == Damaged::Leave || !damage.is_certain || is_composed {
            report.problem(damage.text);
            return Ok(());
        }
        self.store.quarantine(hold, &digest, &row.body).await?;
        tracing::warn!(%digest, "damaged blob quarantined");
        report.quarantined += 1;
        report.problem(format!("{}; it is quarantined now, push it again", damage.text));
        Ok(())
    }

    async fn hash_blob(&self, digest: &Digest, row: &BlobRow) -> Result<(Digest, u64), EngineError> {
        let algorithm = digest.algorithm();
        let bytes = match &row.body {
            BlobBody::Inline(bytes) => bytes.clone(),
            BlobBody::StatementOf(index) => self.ledger.first_statement(*index).await?.into(),
            BlobBody::ReceiptOf(index) => self.ledger.first_receipt_at(*index).await?.into(),
            BlobBody::File => return Ok(self.store.blobs().verify(digest).await?),
        };
        Ok((Digest::of(algorithm, &bytes), bytes.len() as u64))
    }

    async fn check_manifests(&self, report: &mut FsckReport) -> Result<(), EngineError> {
        let mut after = (0, 0);
        loop {
            let page = self.store.held_manifests(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for held in &page {
                report.manifests += 1;
                let (repository, digest) = (&held.repository, held.row.digest);
                let manifest = match Manifest::parse(&held.row.bytes, Some(&held.row.media_type)) {
                    Ok(manifest) => manifest,
                    Err(failure) => {
                        report.problem(format!("manifest {repository}@{digest}: {failure}"));
                        continue;
                    }
                };
                let expected = new_manifest(digest, held.row.bytes.clone(), &manifest);
                if (expected.media_type, expected.referrer) != (held.row.media_type.clone(), held.referrer.clone()) {
                    report.problem(format!("manifest {repository}@{digest} is not listed as what it is"));
                }
                for unknown in self.store.unknown_references(repository, &digest, references(&manifest)).await? {
                    report.problem(format!(
                        "manifest {repository}@{digest} names {unknown}, and the collector does not know; push the manifest again"
                    ));
                }
                report.incomplete += u64::from(!self.is_complete(repository, &manifest).await?);
            }
        }
        for (repository, digest) in self.store.dangling_manifests(PROBLEMS_MAX).await? {
            report.problem(format!("{repository} lists manifest {digest}, which is not stored"));
        }
        for (repository, tag) in self.store.dangling_tags(PROBLEMS_MAX).await? {
            report.problem(format!("tag {repository}:{tag} points to nothing"));
        }
        Ok(())
    }

    /// Whether everything a manifest names can be pulled. Clients may delete blobs and children on their own.
    async fn is_complete(&self, repository: &RepositoryName, manifest: &Manifest) -> Result<bool, EngineError> {
        let (blobs, children) = parts(manifest);
        for wanted in &blobs {
            if self.store.blob(repository, wanted).await?.is_none() {
                return Ok(false);
            }
        }
        for wanted in children {
            let stands = self.store.manifest(repository, &Reference::Digest(wanted)).await?.is_some();
            if !stands && self.store.blob(repository, &wanted).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replays the ledger from its entries, in batches as they were signed.
    async fn check_ledger(&self, report: &mut FsckReport) -> Result<(), EngineError> {
        let head = self.ledger.head();
        let mut frontier = Frontier::new();
        let mut policy = Policy::new();
        let genesis = self.store.entry(GENESIS_INDEX).await?.map(|row| SignedStatement::decode(&row.bytes));
        let genesis = match genesis {
            Some(Ok(statement)) => KeyHistory::of_genesis(statement),
            Some(Err(failure)) => Err(failure.to_string()),
            None => Err("it is missing".to_owned()),
        };
        let mut keys = match genesis {
            Ok((keys, _)) => keys,
            Err(problem) => {
                report.problem(format!("entry {GENESIS_INDEX}: {problem}"));
                return Ok(());
            }
        };
        while frontier.size() < head.size {
            let Some(batch) = self.store.batches(frontier.size(), 1).await?.pop() else {
                report.problem(format!("no signed head covers entry {}", frontier.size()));
                break;
            };
            let rows = self.store.entries(frontier.size(), batch.tree_size).await?;
            if rows.len() as u64 != batch.tree_size - frontier.size() {
                report.problem(format!("entries {} to {} are not all there", frontier.size(), batch.tree_size));
                break;
            }
            let leaves: Vec<Hash> = rows.iter().map(|row| leaf_hash(&row.bytes)).collect();
            let grown = frontier.append(&leaves);
            report.heads += 1;
            let signer = keys.in_force(KeyRole::Receipt).clone();
            check_head(&batch, &grown.root, &signer, report);
            for (row, leaf) in rows.iter().zip(&leaves) {
                report.entries += 1;
                let checked = self.check_entry(row, leaf, (&batch, &signer), &mut policy, &mut keys).await?;
                if let Err(problem) = checked {
                    report.problem(format!("entry {}: {problem}", row.index));
                }
            }
            frontier = grown.frontier;
        }
        if frontier.size() == head.size && frontier.root() != head.root {
            report.problem("the newest head is not the root of the entries".to_owned());
        }
        if !self.ledger.keys().history.starts_with(&keys) {
            report.problem("the service's keys are not what its key entries add up to".to_owned());
        }
        self.check_rest(head.size, report).await
    }

    /// Looks for rows that no head covers. What a running ledger commits meanwhile is let pass: rows are read before the
    /// head that covers them.
    async fn check_rest(&self, size: u64, report: &mut FsckReport) -> Result<(), EngineError> {
        let entry = self.store.first_entry_from(size).await?;
        let batch = self.store.batches(size, 1).await?.pop().map(|batch| batch.tree_size);
        let committed = self.store.head().await?.map_or(0, |head| head.size);
        if let Some(index) = entry.filter(|index| *index >= committed) {
            report.problem(format!("entry {index} lies beyond the head of size {committed}"));
        }
        if let Some(tree_size) = batch.filter(|tree_size| *tree_size > committed) {
            report.problem(format!("a signed head of size {tree_size} lies beyond the head of size {committed}"));
        }
        Ok(())
    }

    /// Checks one entry: its id, its leaf, who signed it, its receipt, its row in the query index, its placements.
    async fn check_entry(
        &self,
        row: &EntryRow,
        leaf: &Hash,
        (batch, signer): (&BatchRow, &PublicKey),
        policy: &mut Policy,
        keys: &mut KeyHistory,
    ) -> Result<Result<(), String>, EngineError> {
        if *EntryId::of(&row.bytes).as_bytes() != row.entry_id || row.leaf != *leaf {
            return Ok(Err("its bytes are not those that were logged".to_owned()));
        }
        let statement = match SignedStatement::decode_entry(&row.bytes, row.collateral.as_deref()) {
            Ok(statement) => statement,
            Err(failure) => return Ok(Err(failure.to_string())),
        };
        let identity = self.ledger.identity();
        let (subject, issuer) = (indexed(statement.subject()), statement.issuer().clone());
        let claim_type = statement.claim_type().to_owned();
        let observation = Observation::of(&statement);
        let has_its_own = statement.collateral() == row.collateral;
        let own = issuer == identity.service;
        let verified = if own {
            let verified = statement.verify(keys.in_force(KeyRole::Statement)).map_err(|failure| failure.to_string());
            verified.map(|statement| (statement, GENESIS_INDEX))
        } else {
            let identified = policy.identify(statement, row.decided_at).map_err(|failure| failure.to_string());
            identified.map(|identified| (identified.statement, identified.entry))
        };
        let (statement, issuer_entry) = match verified {
            Ok(verified) => verified,
            Err(failure) => return Ok(Err(failure)),
        };
        let policy_entry = if own { GENESIS_INDEX } else { policy.entry() };
        if (row.issuer_entry, row.policy_entry) != (issuer_entry, policy_entry) || row.decided_at > batch.logged_at {
            let (issuer_entry, policy_entry, at) = (row.issuer_entry, row.policy_entry, row.decided_at);
            return Ok(Err(format!(
                "its row says it was decided by entries {issuer_entry} and {policy_entry} at {at}"
            )));
        }
        if own {
            match Effect::of(&statement) {
                Ok(effect) => effect.apply(policy, row.index),
                Err(failure) => return Ok(Err(failure)),
            }
        }
        if own && claim_type == KEY_TYPE {
            if row.index + 1 != batch.tree_size {
                return Ok(Err("it puts a key in force, but it is not the last of its batch".to_owned()));
            }
            if let Err(problem) = keys.take(&statement, row.index, self.log()) {
                return Ok(Err(problem));
            }
        }
        if !has_its_own {
            return Ok(Err("certificates stand beside it that are not its own".to_owned()));
        }
        if row.tree_size != batch.tree_size {
            return Ok(Err(format!("its row names the head of size {}", row.tree_size)));
        }
        if batch.tree_size > 1 {
            let receipt = self.ledger.first_receipt(row).await?;
            let proved = Receipt::decode(&receipt).and_then(|receipt| receipt.verify(&row.bytes, signer).map(drop));
            if let Err(failure) = proved {
                return Ok(Err(format!("its receipt: {failure}")));
            }
        }
        if own && let Some(problem) = self.check_observation(row, &claim_type, observation.as_ref()).await? {
            return Ok(Err(problem));
        }
        self.check_index(row, subject, issuer, claim_type).await
    }

    /// Histories must find what was observed, and nothing else.
    async fn check_observation(
        &self,
        row: &EntryRow,
        claim_type: &str,
        observation: Option<&Observation>,
    ) -> Result<Option<String>, EngineError> {
        if claim_type != OBSERVATION_TYPE {
            return Ok(None);
        }
        let Some(observation) = observation else {
            return Ok(Some("it observes something in an unknown form".to_owned()));
        };
        let rows = observation_rows(observation, row.index).into_iter();
        let mut rows: Vec<_> =
            rows.map(|row| (row.repository, row.tag.map_or_else(String::new, |tag| tag.as_str().to_owned()))).collect();
        rows.sort_by(|(_, a), (_, b)| a.cmp(b));
        let found = self.store.observation_rows(row.index).await?;
        Ok((found != rows).then(|| "histories do not find it where it belongs".to_owned()))
    }

    async fn check_index(
        &self,
        row: &EntryRow,
        subject: EntrySubject,
        issuer: Issuer,
        claim_type: String,
    ) -> Result<Result<(), String>, EngineError> {
        let filters = [
            ClaimFilter { issuer: Some(issuer.to_string()), ..ClaimFilter::default() },
            ClaimFilter { claim_type: Some(claim_type), ..ClaimFilter::default() },
            ClaimFilter { subject: Some(subject), ..ClaimFilter::default() },
        ];
        for filter in &filters {
            let found = self.store.claims(filter, row.index, row.index + 1, 1).await?;
            if found.first().map(|found| found.index) != Some(row.index) {
                return Ok(Err("queries do not find it".to_owned()));
            }
        }
        for placement in self.store.placements(&[row.index]).await? {
            let reference = Reference::Digest(placement.statement);
            // A client may have deleted the statement manifest; one that stands must be the one that was placed.
            if let Some(held) = self.store.manifest(&placement.repository, &reference).await?
                && held.digest != placement.statement
            {
                return Ok(Err(format!("its place in {} holds {}", placement.repository, held.digest)));
            }
        }
        Ok(Ok(()))
    }

    async fn check_tiles(&self, report: &mut FsckReport) -> Result<(), EngineError> {
        let (tiles, problems) = self.ledger.check_tiles().await?;
        report.tiles = tiles;
        problems.into_iter().for_each(|problem| report.problem(problem));
        let problems = self.ledger.check_public().await?;
        problems.into_iter().for_each(|problem| report.problem(problem));
        Ok(())
    }
}

fn check_head(batch: &BatchRow, root: &Hash, signer: &PublicKey, report: &mut FsckReport) {
    if batch.root != *root {
        report.problem(format!("the head of size {} is not the root of its entries", batch.tree_size));
    }
    let seal =
        docket_proof::receipt::BatchSeal { protected: batch.protected.clone(), signature: batch.signature.clone() };
    if let Err(failure) = seal.verify(signer, root) {
        report.problem(format!("the head of size {}: {failure}", batch.tree_size));
    }
    // Put together only to read the header; the path is no proof of anything.
    let signed_at = Receipt::decode(&seal.receipt(0, batch.tree_size, &[*root])).map(|receipt| receipt.signed_at());
    if signed_at != Ok(batch.logged_at) {
        report.problem(format!("the head of size {} was not signed when its row says", batch.tree_size));
    }
}

/// Rows read at once.
const PAGE: usize = 500;
/// Problems listed; the first ones usually explain the others.
pub const PROBLEMS_MAX: usize = 100;
