//! What decides whether a statement is registered: whether its issuer is admitted, and then the [`Rules`] in force.
//!
//! What every rule can rely on, and none can switch off, is that the signature was verified with the key kept for the issuer.
//! Without rules, every statement of an admitted issuer is registered.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

use docket_proof::certified::{CertifiedIssuer, IssuerPattern};
use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::key::{Issuer, PublicKey, Thumbprint};
use docket_proof::statement::{SignedStatement, StatementError, VerifiedStatement};

use crate::identity::Identity;

pub use input::{EARLIER_MAX, EarlierClaim};
pub use rules::{Answer, INSTRUCTIONS_MAX, MODULES_BYTES_MAX, MODULES_MAX, Module, Rules, RulesError};

mod input;
mod rules;

/// An issuer whose statements are registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedIssuer {
    /// What the operator calls it, unique in a policy.
    pub name: String,
    /// What its statements are known by.
    pub credential: Credential,
    /// Index of the ledger entry that admitted it.
    pub entry: u64,
}

/// What an issuer's statements are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A key, and the one `iss` that is accepted with it.
    Key {
        /// The one `iss`.
        issuer: Issuer,
        /// The key it signs with.
        key: PublicKey,
    },
    /// Certificates below its roots.
    Certificates(CertifiedIssuer),
}

/// What decides at one point of the ledger: the issuers admitted there, and the registration policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    by_name: BTreeMap<String, AdmittedIssuer>,
    /// Names of the issuers with a key.
    by_kid: BTreeMap<Thumbprint, String>,
    /// Names of the issuers with certificates, by the literals of their patterns. These do not overlap, so the nearest one
    /// below an `iss` is the only one that can mean it.
    by_pattern: BTreeMap<String, String>,
    rules: Option<Arc<Rules>>,
    /// Index of the entry that holds the rules; 0, the genesis, says that there are none.
    entry: u64,
}

/// A statement that may be registered, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The statement, its signature checked with the key of the identity.
    pub statement: VerifiedStatement,
    /// Who signed.
    pub identity: Identity,
    /// What it was decided by.
    pub basis: Basis,
}

/// A statement whose signature was checked, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The statement.
    pub statement: VerifiedStatement,
    /// Who signed.
    pub identity: Identity,
    /// Index of the ledger entry that admitted the issuer.
    pub entry: u64,
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
    /// The rules in force say no.
    #[error("the registration policy (entry {entry}) does not allow it: {}", list(reasons))]
    NotAllowed {
        /// Index of the entry that holds the policy.
        entry: u64,
        /// What it says, sorted.
        reasons: Vec<String>,
    },
    /// The rules in force come to no end with the statement, or contradict themselves.
    #[error("the registration policy (entry {entry}) cannot judge this statement: {reason}")]
    NotDecided {
        /// Index of the entry that holds the policy.
        entry: u64,
        /// What went wrong.
        reason: String,
    },
    /// The claim type is one that only the service itself uses.
    #[error("claim type {0} is what the service itself writes on the ledger, {OWN_TYPES}…; use one of your own")]
    OwnType(String),
    /// No admitted issuer may have this `iss` by certificate.
    #[error(
        "issuer {issuer} signs by certificate, and no root is admitted for it here; its operator can admit one with \
         docket issuer add --root"
    )]
    UnknownHolder {
        /// The `iss` of the statement.
        issuer: Issuer,
    },
    /// The certificates do not answer for the statement.
    #[error("statement of {issuer}, whose roots are admitted as {name}: {reason}")]
    Certificate {
        /// The `iss` of the statement.
        issuer: Issuer,
        /// Who may speak for it.
        name: String,
        /// What is wrong.
        reason: StatementError,
    },
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
    /// The algorithm is not one that such a key signs with.
    #[error(
        "statement says it was signed with {algorithm}, which key {kid} cannot sign with; name the key's own algorithm"
    )]
    AlgorithmOfOtherKey {
        /// The `kid` of the statement.
        kid: Thumbprint,
        /// The `alg` of the statement.
        algorithm: SignatureAlgorithm,
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

impl Refusal {
    /// What it says where the rules stand in no entry.
    pub fn of_trial(&self) -> String {
        match self {
            Self::NotAllowed { reasons, .. } => format!("the policy does not allow it: {}", list(reasons)),
            Self::NotDecided { reason, .. } => format!("the policy cannot judge this statement: {reason}"),
            Self::OwnType(_)
            | Self::UnknownHolder { .. }
            | Self::Certificate { .. }
            | Self::UnknownIssuer { .. }
            | Self::IssuerMismatch { .. }
            | Self::AlgorithmOfOtherKey { .. }
            | Self::BadSignature { .. } => self.to_string(),
        }
    }
}

impl Policy {
    /// A policy that admits nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits an issuer. The newest admission counts: an older one with the same name or the same key is replaced.
    pub fn admit(&mut self, issuer: AdmittedIssuer) {
        self.remove(&issuer.name);
        match &issuer.credential {
            Credential::Key { key, .. } => {
                if let Some(before) = self.by_kid.get(&key.thumbprint()).cloned() {
                    self.remove(&before);
                }
                self.by_kid.insert(key.thumbprint(), issuer.name.clone());
            }
            Credential::Certificates(certified) => {
                let patterns = certified.patterns().iter().map(|pattern| pattern.literal().to_owned());
                self.by_pattern.extend(patterns.map(|literal| (literal, issuer.name.clone())));
            }
        }
        self.by_name.insert(issuer.name.clone(), issuer);
    }

    /// Stops admitting the issuer with this name; the answer is what was removed.
    pub fn remove(&mut self, name: &str) -> Option<AdmittedIssuer> {
        let removed = self.by_name.remove(name)?;
        self.by_kid.retain(|_, other| other != name);
        self.by_pattern.retain(|_, other| other != name);
        Some(removed)
    }

    /// The issuer that a new one would be taken for: it has the name, the key, or an `iss` that the new one may have by
    /// certificate. Several keys may belong to one `iss`.
    pub fn conflict(&self, name: &str, credential: &Credential) -> Option<&AdmittedIssuer> {
        let same = |known: &&AdmittedIssuer| {
            known.name == name
                || match (&known.credential, credential) {
                    (Credential::Key { key, .. }, Credential::Key { key: new, .. }) => key == new,
                    (one, other) => {
                        one.patterns().iter().any(|one| other.patterns().iter().any(|other| one.overlaps(other)))
                    }
                }
        };
        self.by_name.values().find(same)
    }

    /// The admitted issuers, ordered by name.
    pub fn issuers(&self) -> Vec<&AdmittedIssuer> {
        self.by_name.values().collect()
    }

    /// Puts rules in the place of those in force; `entry` is the index of the entry that holds them.
    pub fn set_rules(&mut self, rules: Arc<Rules>, entry: u64) {
        (self.rules, self.entry) = (Some(rules), entry);
    }

    /// The rules in force.
    pub fn rules(&self) -> Option<&Arc<Rules>> {
        self.rules.as_ref()
    }

    /// Whether [`decide`](Self::decide) wants to know the earlier claims about the subject.
    pub fn reads_earlier(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.reads_earlier())
    }

    /// Decides about one statement from the statement, what was said before about its subject (oldest first; looked at only
    /// if the policy reads it), the time and this policy alone.
    pub fn decide(&self, statement: SignedStatement, earlier: &[EarlierClaim], now: i64) -> Result<Decision, Refusal> {
        self.judge(self.identify(statement, now)?, earlier, now)
    }

    /// The same about a statement whose signature was checked before.
    pub fn judge(&self, identified: Identified, earlier: &[EarlierClaim], now: i64) -> Result<Decision, Refusal> {
        let Identified { statement, identity, entry: issuer_entry } = identified;
        if statement.claim_type().starts_with(OWN_TYPES) {
            return Err(Refusal::OwnType(statement.claim_type().to_owned()));
        }
        if let Some(rules) = &self.rules {
            let earlier = rules.reads_earlier().then_some(earlier);
            let entry = self.entry;
            // Rules would see nothing where other readers see something.
            let payload = statement.json_payload();
            if statement.says_json() && payload.is_none() {
                let reason = "its payload says that it is JSON and is not, or readers would disagree about it (a member named twice, a \
                              number or text that does not exist, more than 128 levels)";
                return Err(Refusal::NotDecided { entry, reason: reason.to_owned() });
            }
            match rules.evaluate(input::input(&statement, payload.as_ref(), &identity, issuer_entry, earlier, now)) {
                Answer::Allowed => {}
                Answer::Refused(reasons) => return Err(Refusal::NotAllowed { entry, reasons }),
                Answer::Failed(reason) => return Err(Refusal::NotDecided { entry, reason }),
            }
        }
        let basis = Basis { issuer_entry, policy_entry: self.entry, decided_at: now };
        Ok(Decision { statement, identity, basis })
    }

    /// Finds who signed, from the statement, this policy, and for certificates the time `at` (seconds since 1970).
    pub fn identify(&self, statement: SignedStatement, at: i64) -> Result<Identified, Refusal> {
        let issuer = statement.issuer().clone();
        let Some(kid) = statement.kid() else {
            return self.identify_holder(statement, issuer, at);
        };
        let admitted = self.by_kid.get(&kid).and_then(|name| self.by_name.get(name));
        let Some((admitted, Credential::Key { issuer: own, key })) = admitted.map(|one| (one, &one.credential)) else {
            return Err(Refusal::UnknownIssuer { issuer, kid });
        };
        if *own != issuer {
            return Err(Refusal::IssuerMismatch { kid, claimed: issuer, admitted: own.clone() });
        }
        // The key was found by its thumbprint and the statement is well formed, so only the signature can be wrong, or the
        // algorithm that the statement names.
        let statement = statement.verify(key).map_err(|reason| match reason {
            StatementError::AlgorithmOfOtherKey { algorithm, .. } => Refusal::AlgorithmOfOtherKey { kid, algorithm },
            _ => Refusal::BadSignature { issuer: issuer.clone(), kid },
        })?;
        let identity = Identity::of_key(&admitted.name, issuer, kid);
        Ok(Identified { statement, identity, entry: admitted.entry })
    }

    fn identify_holder(&self, statement: SignedStatement, issuer: Issuer, at: i64) -> Result<Identified, Refusal> {
        let nearest = self.by_pattern.range::<str, _>((Unbounded, Included(issuer.as_str()))).next_back();
        let admitted = nearest.and_then(|(_, name)| self.by_name.get(name));
        let Some((admitted, certified)) = admitted.and_then(|admitted| match &admitted.credential {
            Credential::Certificates(certified) if certified.covers(&issuer) => Some((admitted, certified)),
            Credential::Certificates(_) | Credential::Key { .. } => None,
        }) else {
            return Err(Refusal::UnknownHolder { issuer });
        };
        let name = admitted.name.clone();
        match statement.verify_by_certificate(certified.roots(), at, certified.purpose()) {
            Ok((statement, holder)) => {
                let identity = Identity::of_holder(&name, issuer, holder);
                Ok(Identified { statement, identity, entry: admitted.entry })
            }
            Err(reason) => Err(Refusal::Certificate { issuer, name, reason }),
        }
    }

    /// Index of the entry that holds the registration policy.
    pub fn entry(&self) -> u64 {
        self.entry
    }
}

impl Credential {
    /// The `iss` that may be had with it.
    pub fn patterns(&self) -> Vec<IssuerPattern> {
        match self {
            Self::Key { issuer, .. } => vec![IssuerPattern::exactly(issuer)],
            Self::Certificates(certified) => certified.patterns().to_vec(),
        }
    }
}

fn list(reasons: &[String]) -> String {
    if reasons.is_empty() { "it gives no reason".to_owned() } else { reasons.join("; ") }
}

/// How the claim types begin that only the service itself may use: what its ledger means is read from such entries.
pub const OWN_TYPES: &str = "application/vnd.docket.";

#[cfg(test)]
mod tests;
