//! Opens the ledger: compares database, guard and signature, and settles what a crash left.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use docket_judge::policy::Policy;
use docket_proof::key::Issuer;
use docket_proof::merkle::Frontier;
use docket_proof::receipt::BatchSeal;
use docket_proof::statement::SignedStatement;
use docket_store::{EntryRow, GuardPoint, Store};
use tokio::sync::watch;

use crate::effect::{EFFECT_TYPES, Effect, POLICY_TYPE};
use crate::error::EngineError;
use crate::health::BatchClock;
use crate::instance::Options;
use crate::keys::ServiceKeys;
use crate::ledger::batch::sign_head;
use crate::ledger::{Head, Identity, PolicyInForce, Shared, State, public, tiles};
use crate::observe::ObservedCounts;
use crate::own::GENESIS_INDEX;

/// Opens the ledger. What is wrong with stored proofs is an error; a database older than the guard opens read-only.
pub(super) async fn open(
    store: Arc<Store>,
    identity: Identity,
    keys: ServiceKeys,
    options: &Options,
) -> Result<(Shared, Frontier), EngineError> {
    let unproven = |what: &str| EngineError::Unproven(what.to_owned());
    let guard = store.guard()?;
    let row = store.head().await?.ok_or_else(|| unproven("the ledger has no head"))?;
    let frontier = Frontier::from_bytes(&row.frontier).map_err(|failure| unproven(&failure.to_string()))?;
    if frontier.size() != row.size || frontier.root() != row.root {
        return Err(unproven("the head's frontier does not give its root"));
    }
    let batch = store.batch(row.size).await?.ok_or_else(|| unproven("the head's batch is missing"))?;
    let seal = BatchSeal { protected: batch.protected, signature: batch.signature };
    let signed = seal.verify(keys.history.receipt_key_of(row.size), &row.root);
    signed.map_err(|failure| unproven(&format!("the head's signature: {failure}")))?;
    let read_only = if store.is_restored() {
        Some(RESTORED.to_owned())
    } else {
        rolled_back(&store, guard.newest(), &GuardPoint { size: row.size, root: row.root }).await?
    };
    if let Some(reason) = &read_only {
        tracing::error!(reason, "the ledger opens read-only");
    } else {
        keys.missing()?;
        // The database may be ahead: the last process died between commit and guard.
        guard.advance(GuardPoint { size: row.size, root: row.root })?;
        keys.settle(store.folder(), options.crash_at)?;
    }
    let head = Head { size: row.size, root: row.root, seal, signed_at: batch.logged_at };
    let head = with_key_in_force(head, &identity, &keys, options.clock.now()).await;
    let policy = policy_at(&store, &identity.service, row.size).await?;
    let publication = public::Publication::open(&store, options.witnesses.clone(), row.size).await?;
    let shared = Shared {
        tiles: tiles::Tiles::new(Arc::clone(&store)),
        store,
        identity,
        guard,
        clock: options.clock.clone(),
        crash_at: options.crash_at,
        batch: BatchClock::default(),
        observed: ObservedCounts::default(),
        guarded: watch::Sender::new(row.size),
        publication,
        state: RwLock::new(State { head, policy, keys: Arc::new(keys), read_only }),
    };
    Ok((shared, frontier))
}

/// The newest tree with a signature of the key in force: the batch of a key entry is signed by the key before. Rows keep that
/// signature, since first receipts stay as they were; fresh ones are made with this one.
pub(super) async fn with_key_in_force(head: Head, identity: &Identity, keys: &ServiceKeys, now: i64) -> Head {
    let signed_by = keys.history.receipt_key_of(head.size);
    if keys.receipt.public() == signed_by || keys.receipt.absent().is_some() {
        return head;
    }
    match sign_head(identity, &keys.receipt, now, head.size, &head.root).await {
        Ok(seal) => Head { seal, signed_at: now, ..head },
        Err(failure) => {
            tracing::warn!(%failure, "the newest head keeps the old key's signature until the next batch");
            head
        }
    }
}

/// The database's newest tree.
pub(super) async fn head_point(store: &Store) -> Result<Option<GuardPoint>, EngineError> {
    Ok(store.head().await?.map(|head| GuardPoint { size: head.size, root: head.root }))
}

/// The signature of the batch that ends at a size.
pub(super) async fn seal(store: &Store, size: u64) -> Result<Option<BatchSeal>, EngineError> {
    let row = store.batch(size).await?;
    Ok(row.map(|row| BatchSeal { protected: row.protected, signature: row.signature }))
}

/// Why a restored copy takes no entries.
const RESTORED: &str = "it was restored from a backup and may lack entries that receipts were given for; `docket recover` \
    compares it with what was said after the backup";

/// Why the database is not the one the guard has seen, if it is not.
async fn rolled_back(store: &Store, guard: GuardPoint, head: &GuardPoint) -> Result<Option<String>, EngineError> {
    const ADVICE: &str = "receipts of the lost entries may be in use, and signing again would fork the log. \
        Put back the newer database; until then pulls and receipts are served, while registrations and observed changes are refused";
    if head.size < guard.size {
        let (found, seen) = (head.size, guard.size);
        return Ok(Some(format!(
            "the database holds {found} entries, but {seen} were spoken of: it was rolled back; {ADVICE}"
        )));
    }
    let at_guard = store.batch(guard.size).await?.map(|batch| batch.root);
    if at_guard != Some(guard.root) {
        return Ok(Some(format!("the tree of size {} is not the one that was spoken of; {ADVICE}", guard.size)));
    }
    Ok(None)
}

/// What is in force at the end of the first `size` entries: the sum of the service's own entries that change it.
///
/// Only the service writes entries with its own `iss`, so the signatures, which `fsck` checks, are not checked here again.
async fn policy_at(store: &Store, service: &Issuer, size: u64) -> Result<PolicyInForce, EngineError> {
    let mut effects = BTreeMap::new();
    for claim_type in EFFECT_TYPES {
        let mut from = 0;
        loop {
            let rows = store.entries_of_type(claim_type, service.as_str(), from, EFFECTS_PAGE).await?;
            for row in rows.iter().filter(|row| row.index < size) {
                effects.insert(row.index, effect(row)?);
            }
            match rows.last() {
                Some(last) if rows.len() == EFFECTS_PAGE => from = last.index + 1,
                _ => break,
            }
        }
    }
    if let Some(row) = store.newest_of_type(POLICY_TYPE, service.as_str(), size).await? {
        effects.insert(row.index, effect(&row)?);
    }
    let mut policy = Policy::new();
    effects.iter().for_each(|(index, effect)| effect.apply(&mut policy, *index));
    if let Some(failure) = policy.rules().and_then(|rules| rules.unusable()) {
        let entry = policy.entry();
        tracing::error!(entry, %failure, "this release cannot use the policy in force and refuses every statement; set another");
    }
    let entry = effects.last_key_value().map_or(GENESIS_INDEX, |(index, _)| *index);
    Ok(PolicyInForce { policy: Arc::new(policy), entry })
}

fn effect(row: &EntryRow) -> Result<Effect, EngineError> {
    let unusable = |why: String| EngineError::Unproven(format!("entry {}: {why}", row.index));
    let statement = SignedStatement::decode(&row.bytes).map_err(|failure| unusable(failure.to_string()))?;
    Effect::of(&statement).map_err(unusable)
}

/// Entries read at once.
const EFFECTS_PAGE: usize = 500;
