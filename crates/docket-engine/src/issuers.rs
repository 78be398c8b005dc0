//! What the service itself puts on the ledger: its genesis, and whom it admits.

use docket_proof::key::{Issuer, PublicKey};
use docket_proof::statement::{Content, Draft, SignedStatement, VerifiedStatement};
use docket_proof::subject::Subject;

use crate::access::{Permit, Right};
use crate::error::EngineError;
use crate::instance::Instance;
use crate::ledger::{Admission, Candidate, Identity, Logged};

/// Content type of the entry at index 0: `{"service", "log", "receipt_key"}`, the key as SPKI PEM.
pub const GENESIS_TYPE: &str = "application/vnd.docket.genesis.v0+json";
/// Content type of an entry that admits an issuer: `{"name", "issuer", "public_key"}`, the key as SPKI PEM.
pub const ISSUER_TYPE: &str = "application/vnd.docket.issuer.v0+json";

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
        for _ in 0..ATTEMPTS_MAX {
            let policy = self.ledger.policy();
            for known in policy.policy.issuers() {
                let same_key = known.key == key;
                if known.name == name && same_key && known.issuer == issuer {
                    return Ok(view(known));
                }
                if known.name == name || same_key {
                    return Err(EngineError::IssuerExists(known.name.clone()));
                }
            }
            let identity = self.ledger.identity();
            let payload = serde_json::json!({
                "name": name,
                "issuer": issuer.as_str(),
                "public_key": key.to_spki_pem(),
            });
            let statement = own_statement(identity, ISSUER_TYPE, &payload, self.clock.now())?;
            let admits = Some(Admission { name: name.to_owned(), issuer: issuer.clone(), key: key.clone() });
            let candidate = Candidate { statement, decided_by: GENESIS_INDEX, place: None, admits };
            match self.ledger.log(candidate, policy.entry).await? {
                Logged::Done { index, .. } => {
                    let name = name.to_owned();
                    return Ok(view(&docket_judge::policy::AdmittedIssuer { name, issuer, key, entry: index }));
                }
                Logged::DecideAgain => {}
            }
        }
        Err(EngineError::PoolFull)
    }

    /// Everyone the ledger admits.
    pub fn issuers(&self) -> Vec<IssuerView> {
        self.ledger.policy().policy.issuers().into_iter().map(view).collect()
    }
}

/// The first entry of a ledger.
pub(crate) fn genesis(identity: &Identity, now: i64) -> Result<Candidate, EngineError> {
    let payload = serde_json::json!({
        "service": identity.service.as_str(),
        "log": identity.log,
        "receipt_key": identity.receipt_key.public().to_spki_pem(),
    });
    let statement = own_statement(identity, GENESIS_TYPE, &payload, now)?;
    Ok(Candidate { statement, decided_by: GENESIS_INDEX, place: None, admits: None })
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

fn view(issuer: &docket_judge::policy::AdmittedIssuer) -> IssuerView {
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
const NAME_BYTES_MAX: usize = 64;
const ATTEMPTS_MAX: usize = 4;
