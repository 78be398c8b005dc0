//! The registration policy: set, shown, and asked again about everything that it decided.

use std::sync::Arc;

use docket_judge::policy::{Module, Policy, Refusal, Rules};
use docket_proof::statement::{Content, SignedStatement};
use docket_store::EntryRow;

use crate::access::{Permit, Right};
use crate::effect::{Effect, POLICY_TYPE, modules};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::keys::{KEY_TYPE, KeyHistory, KeyRole};
use crate::ledger::indexed;
use crate::own::GENESIS_INDEX;

/// A policy as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PolicyView {
    /// The entry that set it; 0, the genesis, where every statement of an admitted issuer is registered.
    pub entry: u64,
    /// Its texts; none for the genesis.
    pub modules: Vec<Module>,
}

/// What came of deciding everything again.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Replay {
    /// Entries of the ledger.
    pub entries: u64,
    /// Those of others, which were decided again.
    pub decided: u64,
    /// Decisions that come out otherwise than the ledger has them; the first [`DIFFERENCES_MAX`].
    pub differences: Vec<String>,
}

impl Instance {
    /// Sets the registration policy by an entry on the ledger. The policy in force again changes nothing.
    pub async fn set_policy(&self, permit: &Permit, modules: Vec<Module>) -> Result<PolicyView, EngineError> {
        permit.scope(Right::Admin)?;
        let rules = Arc::new(Rules::compile(modules)?);
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            let modules = rules.modules().to_vec();
            if policy.policy.rules() == Some(&rules) {
                return Ok(PolicyView { entry: policy.policy.entry(), modules });
            }
            if let Some(entry) = self.log_effect(Effect::SetPolicy(Arc::clone(&rules)), policy.entry).await? {
                return Ok(PolicyView { entry, modules });
            }
        }
        Err(EngineError::PoolFull)
    }

    /// The policy in force.
    pub fn policy(&self) -> PolicyView {
        let policy = self.ledger.policy().policy;
        let modules = policy.rules().map_or_else(Vec::new, |rules| rules.modules().to_vec());
        PolicyView { entry: policy.entry(), modules }
    }

    /// The policy that an entry set.
    pub async fn policy_of(&self, permit: &Permit, entry: u64) -> Result<PolicyView, EngineError> {
        permit.scope(Right::Admin)?;
        if entry == GENESIS_INDEX {
            return Ok(PolicyView { entry, modules: Vec::new() });
        }
        let (unknown, service) = (|| EngineError::PolicyUnknown(entry), self.service().as_str());
        let row = self.store.newest_of_type(POLICY_TYPE, service, entry.saturating_add(1)).await?;
        let row = row.filter(|row| row.index == entry).ok_or_else(unknown)?;
        let statement = SignedStatement::decode(&row.bytes)?;
        let Content::Payload { bytes, .. } = statement.content() else { return Err(unknown()) };
        let modules = modules(bytes).map_err(|why| EngineError::Unproven(format!("entry {entry}: {why}")))?;
        Ok(PolicyView { entry, modules })
    }

    /// Decides every entry again, each by what was in force before it, and compares.
    pub async fn replay_policy(&self, permit: &Permit) -> Result<Replay, EngineError> {
        permit.scope(Right::Admin)?;
        let (size, mut past, mut replay) = (self.ledger.head().size, Past::default(), Replay::default());
        while replay.entries < size {
            let end = size.min(replay.entries + PAGE);
            let rows = self.store.entries(replay.entries, end).await?;
            if rows.len() as u64 != end - replay.entries {
                return Err(EngineError::Unproven(format!("entries {} to {end} are not all there", replay.entries)));
            }
            for row in &rows {
                replay.entries += 1;
                if let Err(difference) = self.decide_again(row, &mut past, &mut replay.decided).await?
                    && replay.differences.len() < DIFFERENCES_MAX
                {
                    replay.differences.push(format!("entry {}: {difference}", row.index));
                }
            }
        }
        Ok(replay)
    }

    /// Decides one entry again; the inner error says how the decision differs.
    async fn decide_again(
        &self,
        row: &EntryRow,
        past: &mut Past,
        decided: &mut u64,
    ) -> Result<Result<(), String>, EngineError> {
        let statement = match SignedStatement::decode_entry(&row.bytes, row.collateral.as_deref()) {
            Ok(statement) => statement,
            Err(failure) => return Ok(Err(failure.to_string())),
        };
        if statement.issuer() == self.service() {
            return Ok(past.take(statement, row.index, self.log()));
        }
        *decided += 1;
        let policy = &past.policy;
        let earlier = if policy.reads_earlier() {
            self.earlier(indexed(statement.subject()), row.index).await?
        } else {
            Vec::new()
        };
        Ok(match policy.decide(statement, &earlier, row.decided_at) {
            Ok(decision) => {
                let (now, then) = (decision.basis, (row.issuer_entry, row.policy_entry));
                if (now.issuer_entry, now.policy_entry) == then {
                    Ok(())
                } else {
                    Err(format!(
                        "it is decided by entries {} and {}, but its row says {} and {}",
                        now.issuer_entry, now.policy_entry, then.0, then.1
                    ))
                }
            }
            Err(refusal) => Err(difference(&refusal)),
        })
    }
}

/// What was in force at one point of the ledger.
#[derive(Debug, Default)]
struct Past {
    policy: Policy,
    /// The service's keys; none before the genesis entry, which names the first.
    keys: Option<KeyHistory>,
}

impl Past {
    /// Takes what an entry of the service's own changes, if the key that was in force signed it.
    fn take(&mut self, statement: SignedStatement, index: u64, log: &str) -> Result<(), String> {
        let Some(keys) = &mut self.keys else {
            let (keys, _genesis) = KeyHistory::of_genesis(statement)?;
            self.keys = Some(keys);
            return Ok(());
        };
        let own = statement.verify(keys.in_force(KeyRole::Statement)).map_err(|failure| failure.to_string())?;
        if own.claim_type() == KEY_TYPE {
            keys.take(&own, index, log)?;
        }
        Effect::of(&own)?.apply(&mut self.policy, index);
        Ok(())
    }
}

fn difference(refusal: &Refusal) -> String {
    format!("it was registered, but {refusal}")
}

const ATTEMPTS_MAX: usize = 4;
/// Entries read at once.
const PAGE: u64 = 256;
/// Differences that are listed.
pub const DIFFERENCES_MAX: usize = 100;
