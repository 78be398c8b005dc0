//! What decides whether a statement is registered: today an allow-list of issuers.
//!
//! [`Policy::decide`] is the seam behind which programmable rules come. They will see the same statement and give the same
//! [`Decision`]; what every rule can rely on, and none can switch off, is that the signature was verified with the key kept for
//! the issuer.

use std::collections::BTreeMap;

use docket_proof::key::{Issuer, PublicKey, Thumbprint};
use docket_proof::statement::{SignedStatement, VerifiedStatement};

/// An issuer whose statements are registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedIssuer {
    /// What the operator calls it, unique in a policy.
    pub name: String,
    /// The one `iss` that is accepted with the key.
    pub issuer: Issuer,
    /// The key it signs with.
    pub key: PublicKey,
    /// Index of the ledger entry that admitted it.
    pub entry: u64,
}

/// What decides at one point of the ledger: the issuers admitted there, and the registration policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    by_kid: BTreeMap<Thumbprint, AdmittedIssuer>,
    /// Index of the entry that holds the registration policy; 0, the genesis, says that there is none beyond the issuers.
    entry: u64,
}

/// A statement that may be registered, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The statement, its signature checked with the admitted key.
    pub statement: VerifiedStatement,
    /// What it was decided by.
    pub basis: Basis,
}

/// What a decision was made by: with the entries before these two, everybody can make it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// Index of the ledger entry that admitted the issuer.
    pub issuer_entry: u64,
    /// Index of the ledger entry that holds the registration policy.
    pub policy_entry: u64,
    /// The time that was taken for now, Unix seconds.
    pub decided_at: i64,
}

/// Why a statement may not be registered: the issuer's fault, or the operator has not admitted it yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The claim type is one that only the service itself uses.
    #[error("claim type {0} is what the service itself writes on the ledger, {OWN_TYPES}…; use one of your own")]
    OwnType(String),
    /// No admitted issuer has this key.
    #[error("issuer {issuer} with key {kid} is not admitted here; its operator can admit it with docket issuer add")]
    UnknownIssuer {
        /// The `iss` of the statement.
        issuer: Issuer,
        /// The `kid` of the statement.
        kid: Thumbprint,
    },
    /// The key is admitted for another `iss`.
    #[error("key {kid} is admitted for issuer {admitted}, but the statement says {claimed}; sign it as {admitted}")]
    IssuerMismatch {
        /// The `kid` of the statement.
        kid: Thumbprint,
        /// The `iss` of the statement.
        claimed: Issuer,
        /// The `iss` kept with the key.
        admitted: Issuer,
    },
    /// The signature does not verify with the admitted key.
    #[error(
        "signature of the statement does not verify with key {kid} of {issuer}; sign it again and send it unchanged"
    )]
    BadSignature {
        /// The `iss` of the statement.
        issuer: Issuer,
        /// The `kid` of the statement.
        kid: Thumbprint,
    },
}

impl Policy {
    /// A policy that admits nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits an issuer. The newest admission counts: an older one with the same name or the same key is replaced.
    pub fn admit(&mut self, issuer: AdmittedIssuer) {
        self.remove(&issuer.name);
        self.by_kid.insert(issuer.key.thumbprint(), issuer);
    }

    /// Stops admitting the issuer with this name; the answer is what was removed.
    pub fn remove(&mut self, name: &str) -> Option<AdmittedIssuer> {
        let kid = self.by_kid.iter().find(|(_, issuer)| issuer.name == name).map(|(kid, _)| *kid)?;
        self.by_kid.remove(&kid)
    }

    /// The admitted issuers, ordered by name.
    pub fn issuers(&self) -> Vec<&AdmittedIssuer> {
        let mut issuers: Vec<_> = self.by_kid.values().collect();
        issuers.sort_by(|a, b| a.name.cmp(&b.name));
        issuers
    }

    /// Decides about one statement from the statement, the time and this policy alone.
    pub fn decide(&self, statement: SignedStatement, now: i64) -> Result<Decision, Refusal> {
        if statement.claim_type().starts_with(OWN_TYPES) {
            return Err(Refusal::OwnType(statement.claim_type().to_owned()));
        }
        let (statement, issuer_entry) = self.identify(statement)?;
        Ok(Decision { statement, basis: Basis { issuer_entry, policy_entry: self.entry, decided_at: now } })
    }

    /// Finds who signed: the statement with its signature checked, and the entry that admitted its issuer.
    pub fn identify(&self, statement: SignedStatement) -> Result<(VerifiedStatement, u64), Refusal> {
        let (issuer, kid) = (statement.issuer().clone(), statement.kid());
        let Some(admitted) = self.by_kid.get(&kid) else {
            return Err(Refusal::UnknownIssuer { issuer, kid });
        };
        if admitted.issuer != issuer {
            return Err(Refusal::IssuerMismatch { kid, claimed: issuer, admitted: admitted.issuer.clone() });
        }
        // The key was found by its thumbprint and the statement is well formed, so only the signature can be wrong.
        let statement = statement.verify(&admitted.key).map_err(|_| Refusal::BadSignature { issuer, kid })?;
        Ok((statement, admitted.entry))
    }

    /// Index of the entry that holds the registration policy.
    pub fn entry(&self) -> u64 {
        self.entry
    }
}

/// How the claim types begin that only the service itself may use: what its ledger means is read from such entries.
pub const OWN_TYPES: &str = "application/vnd.docket.";

#[cfg(test)]
mod tests;
