//! What the service itself puts on the ledger: its genesis, and whom it admits.

use docket_judge::policy::{AdmittedIssuer, Basis};
use docket_proof::key::{Issuer, PublicKey};
use docket_proof::statement::{Content, Draft, SignedStatement, VerifiedStatement};
use docket_proof::subject::Subject;

use crate::access::{Permit, Right};
use crate::effect::{Admission, Effect};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::ledger::{Candidate, Identity, Logged};

/// Content type of the entry at index 0: `{"service", "log", "receipt_key"}`, the key as SPKI PEM.
pub const GENESIS_TYPE: &str = "application/vnd.docket.genesis.v0+json";

/// An admitted issuer.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct IssuerView {
    /// The operator's name for it.
    pub name: String,
    /// Its identity.
    pub issuer: String,
    /// Thumbprint of its key (RFC 9679), lower hex.
    pub thumbprint: String,
    /// Its key, SPKI PEM.
    pub public_key: String,
    /// The entry that admitted it.
    pub entry: u64,
}

impl Instance {
    /// Admits an issuer by an entry on the ledger. The same admission again changes nothing.
    pub async fn admit_issuer(
        &self,
        permit: &Permit,
        name: &str,
        issuer: Issuer,
        key: PublicKey,
    ) -> Result<IssuerView, EngineError> {
        permit.scope(Right::Admin)?;
        check_name(name)?;
        self.check_stranger(&issuer, &key)?;
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            let admitted = policy.policy.issuers();
            for known in &admitted {
                let same_key = known.key == key;
                if known.name == name && same_key && known.issuer == issuer {
                    return Ok(view(known));
                }
                if known.name == name || same_key {
                    return Err(EngineError::IssuerExists(known.name.clone()));
                }
            }
            if admitted.len() >= ISSUERS_MAX {
                return Err(EngineError::TooManyIssuers);
            }
            let admission = Admission { name: name.to_owned(), issuer: issuer.clone(), key: key.clone() };
            if let Some(entry) = self.log_effect(Effect::AdmitIssuer(admission), policy.entry).await? {
                return Ok(view(&AdmittedIssuer { name: name.to_owned(), issuer, key, entry }));
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Ends the admission of an issuer by an entry on the ledger: its index. What the issuer registered stays.
    pub async fn remove_issuer(&self, permit: &Permit, name: &str) -> Result<u64, EngineError> {
        permit.scope(Right::Admin)?;
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            if !policy.policy.issuers().iter().any(|known| known.name == name) {
                return Err(EngineError::IssuerUnknown(name.to_owned()));
            }
            let effect = Effect::RemoveIssuer { name: name.to_owned() };
            if let Some(entry) = self.log_effect(effect, policy.entry).await? {
                return Ok(entry);
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Everyone the ledger admits.
    pub fn issuers(&self) -> Vec<IssuerView> {
        self.ledger.policy().policy.issuers().into_iter().map(view).collect()
    }

    /// Logs a change of what is in force: its index, or `None` if what was in force has changed since `policy_entry`.
    async fn log_effect(&self, effect: Effect, policy_entry: u64) -> Result<Option<u64>, EngineError> {
        let (content_type, payload) = effect.payload().expect("callers log changes");
        let now = self.clock.now();
        let statement = own_statement(self.ledger.identity(), content_type, &payload, now)?;
        let candidate = Candidate { statement, basis: own_basis(now), place: None, effect };
        match self.ledger.log(candidate, policy_entry).await? {
            Logged::Done { index, .. } => Ok(Some(index)),
            Logged::DecideAgain => Ok(None),
        }
    }

    /// Refuses an issuer who could be taken for the service.
    fn check_stranger(&self, issuer: &Issuer, key: &PublicKey) -> Result<(), EngineError> {
        let identity = self.ledger.identity();
        let own_keys = [identity.statement_key.public(), identity.receipt_key.public()];
        if *issuer == identity.service || own_keys.contains(&key) {
            return Err(EngineError::IssuerIsService(identity.service.clone()));
        }
        Ok(())
    }
}

/// What the service's own statements are decided by.
fn own_basis(now: i64) -> Basis {
    Basis { issuer_entry: GENESIS_INDEX, policy_entry: GENESIS_INDEX, decided_at: now }
}

/// The first entry of a ledger.
pub(crate) fn genesis(identity: &Identity, now: i64) -> Result<Candidate, EngineError> {
    let payload = serde_json::json!({
        "service": identity.service.as_str(),
        "log": identity.log,
        "receipt_key": identity.receipt_key.public().to_spki_pem(),
    });
    let statement = own_statement(identity, GENESIS_TYPE, &payload, now)?;
    Ok(Candidate { statement, basis: own_basis(now), place: None, effect: Effect::None })
}

/// Signs a statement about the log itself with the service's statement key.
fn own_statement(
    identity: &Identity,
    content_type: &str,
    payload: &serde_json::Value,
    now: i64,
) -> Result<VerifiedStatement, EngineError> {
    let bytes = payload.to_string().into_bytes();
    let draft = Draft {
        issuer: identity.service.clone(),
        subject: Subject::parse(&identity.log)
            .map_err(|failure| EngineError::Settings { what: "log", why: failure.to_string() })?,
        issued_at: Some(now),
        content: Content::Payload { media_type: content_type.to_owned(), bytes },
    };
    let statement = SignedStatement::decode(&draft.sign(&identity.statement_key)?)?;
    Ok(statement.verify(identity.statement_key.public())?)
}

fn view(issuer: &AdmittedIssuer) -> IssuerView {
    IssuerView {
        name: issuer.name.clone(),
        issuer: issuer.issuer.to_string(),
        thumbprint: issuer.key.thumbprint().to_string(),
        public_key: issuer.key.to_spki_pem(),
        entry: issuer.entry,
    }
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(EngineError::IssuerName(name.to_owned()));
    }
    Ok(())
}

/// The entry that decides about the service's own statements.
pub(crate) const GENESIS_INDEX: u64 = 0;
/// Issuers that may be admitted at once; every registration looks among them.
const ISSUERS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 64;
const ATTEMPTS_MAX: usize = 4;
