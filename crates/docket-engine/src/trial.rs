//! A policy tried on statements: decided as a registration would decide them, and nothing is registered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docket_judge::policy::{EarlierClaim, Module, Policy, Rules};
use docket_proof::statement::SignedStatement;
use docket_store::EntrySubject;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::ledger::indexed;

/// What is tried on what.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// The texts of the policy; none for the one in force.
    pub modules: Vec<Module>,
    /// Statements in base64, in the order in which they would come: those before that are allowed count as earlier claims.
    pub statements: Vec<String>,
    /// The time of the decisions, Unix seconds; `None` for the clock's, and for a statement in the ledger its own.
    pub now: Option<i64>,
}

/// What came of one statement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tried {
    /// Whether it would be registered.
    pub allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it stands in the ledger already: it was decided by what stood before it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

/// A policy, and what it allowed so far.
#[derive(Debug)]
pub struct Trial {
    policy: Policy,
    said: Vec<(EntrySubject, EarlierClaim)>,
}

impl Trial {
    /// A trial of a policy, in which nothing was said yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, said: Vec::new() }
    }

    /// Decides about the next statement. `logged` are the claims about its subject that stand in a ledger of `size` entries.
    pub fn decide(&mut self, statement: SignedStatement, logged: Vec<EarlierClaim>, size: u64, now: i64) -> Tried {
        let subject = indexed(statement.subject());
        let mut earlier = logged;
        earlier.extend(self.said.iter().filter(|(other, _)| *other == subject).map(|(_, claim)| claim.clone()));
        let claim = EarlierClaim {
            entry: statement.entry_id().to_string(),
            index: size + self.said.len() as u64,
            issuer: statement.issuer().to_string(),
            claim_type: statement.claim_type().to_owned(),
            logged_at: now,
        };
        let tried = tried(&self.policy, statement, &earlier, now);
        if tried.allowed {
            self.said.push((subject, claim));
        }
        tried
    }
}

impl Instance {
    /// Decides about statements as if they came now, in this order, under a policy that need not be in force: by the issuers
    /// that are admitted, and by what the ledger holds. One that stands in the ledger is decided by what stood before it.
    pub async fn try_policy(&self, permit: &Permit, request: &TrialRequest) -> Result<Vec<Tried>, EngineError> {
        permit.scope(Right::Admin)?;
        if request.statements.len() > TRIED_MAX {
            return Err(EngineError::TooManyTried);
        }
        let (mut policy, size) = ((*self.ledger.policy().policy).clone(), self.ledger.head().size);
        if !request.modules.is_empty() {
            policy.set_rules(Rules::compile(request.modules.clone())?.into(), size);
        }
        let (reads_earlier, clock) = (policy.reads_earlier(), request.now.unwrap_or_else(|| self.clock.now()));
        let (mut trial, mut all) = (Trial::new(policy), Vec::new());
        for text in &request.statements {
            let statement = SignedStatement::decode(&STANDARD.decode(text).map_err(|_| EngineError::TriedForm)?)?;
            let row = self.store.entry_by_id(statement.entry_id().as_bytes()).await?.filter(|row| row.index < size);
            let below = row.as_ref().map_or(size, |row| row.index);
            let earlier =
                if reads_earlier { self.earlier(indexed(statement.subject()), below).await? } else { Vec::new() };
            all.push(match row {
                None => trial.decide(statement, earlier, size, clock),
                Some(row) => {
                    let now = request.now.unwrap_or(row.decided_at);
                    Tried { index: Some(row.index), ..tried(&trial.policy, statement, &earlier, now) }
                }
            });
        }
        Ok(all)
    }
}

fn tried(policy: &Policy, statement: SignedStatement, earlier: &[EarlierClaim], now: i64) -> Tried {
    let refusal = policy.decide(statement, earlier, now).err();
    Tried { allowed: refusal.is_none(), reason: refusal.map(|refusal| refusal.of_trial()), index: None }
}

/// Most statements of a trial.
pub const TRIED_MAX: usize = 1000;
