//! A statement as somebody shows it, with whatever receipts: taken apart without a judgement of who made it or how.
//!
//! [`SignedStatement`](super::SignedStatement) holds a statement to the rules under which this service registers it. Other
//! services have other rules, and a reader who believes their receipts need not have ours (RFC 9943 §7: one receipt that is
//! accepted is enough). So what is read here are names to show and bytes to prove, not a statement to believe.

use super::{EntryId, MAX_RECEIPTS, MAX_STATEMENT_BYTES, StatementError};
use crate::cbor::{Item, Map, lookup};
use crate::cose::{Sign1, label};
use crate::crypto::{sha256, sha384, sha512};

/// What was shown, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedStatement {
    /// The canonical bytes that a ledger holds (RFC 9943 §6.3).
    pub entry: Vec<u8>,
    /// The statement without its receipts; what else stood in its unprotected header stands there still.
    pub signed: Vec<u8>,
    /// The receipts, each as its own bytes.
    pub receipts: Vec<Vec<u8>>,
    /// How many there were in a form that is no receipt of RFC 9943, such as those from before it.
    pub unknown_receipts: usize,
    /// Who says it, by its own word (`iss`).
    pub issuer: Option<String>,
    /// About what (`sub`).
    pub subject: Option<String>,
    /// The media type of what is said: of the document behind a hash, else of the payload.
    pub media_type: Option<String>,
    payload: PresentedPayload,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PresentedPayload {
    Attached(Vec<u8>),
    Detached,
    Hash { algorithm: i64, hash: Vec<u8> },
}

/// How a document relates to what a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadMatch {
    /// It is the payload, or what the payload is the hash of.
    Same,
    /// It is something else.
    Other,
    /// The statement leaves its payload out, and only the issuer's signature can tell.
    Detached,
    /// The statement names a hash algorithm that is not known.
    UnknownHash(i64),
}

impl PresentedStatement {
    /// Takes a statement apart.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLarge { bytes: bytes.len() });
        }
        let parts = Sign1::decode(bytes)?;
        let protected = parts.protected_map()?;
        let (receipts, unknown_receipts) = receipts(&parts.unprotected)?;
        let claims = lookup(&protected, label::CWT_CLAIMS).and_then(Item::as_map);
        let claim = |label: i64| shown(lookup(claims?, label)?);
        let payload = match (lookup(&protected, label::PAYLOAD_HASH_ALG).and_then(Item::as_i64), parts.payload) {
            (_, None) => PresentedPayload::Detached,
            (Some(algorithm), Some(hash)) => PresentedPayload::Hash { algorithm, hash: hash.to_vec() },
            (None, Some(payload)) => PresentedPayload::Attached(payload.to_vec()),
        };
        let media_type = lookup(&protected, label::PREIMAGE_CONTENT_TYPE).or(lookup(&protected, label::CONTENT_TYPE));
        let mut unprotected = parts.unprotected.clone();
        unprotected.retain(|(found, _)| *found != Item::from(label::RECEIPTS));
        Ok(Self {
            entry: Sign1 { unprotected: Map::new(), ..parts.clone() }.encode(),
            signed: Sign1 { unprotected, ..parts.clone() }.encode(),
            receipts,
            unknown_receipts,
            issuer: claim(label::ISS),
            subject: claim(label::SUB),
            media_type: media_type.and_then(shown),
            payload,
        })
    }

    /// The name of the entry.
    pub fn entry_id(&self) -> EntryId {
        EntryId::of(&self.entry)
    }

    /// Whether its payload was left out.
    pub fn is_detached(&self) -> bool {
        self.payload == PresentedPayload::Detached
    }

    /// The statement without receipts, a payload that was left out put back in its place.
    pub fn with_payload(&self, payload: &[u8]) -> Result<Vec<u8>, StatementError> {
        let parts = Sign1::decode(&self.signed)?;
        Ok(Sign1 { payload: Some(parts.payload.unwrap_or(payload)), ..parts.clone() }.encode())
    }

    /// Compares a document with what is said.
    pub fn compare(&self, document: &[u8]) -> PayloadMatch {
        let is_same = match &self.payload {
            PresentedPayload::Attached(payload) => payload == document,
            PresentedPayload::Detached => return PayloadMatch::Detached,
            // RFC 9054.
            PresentedPayload::Hash { algorithm: -16, hash } => hash.as_slice() == sha256(document),
            PresentedPayload::Hash { algorithm: -43, hash } => hash.as_slice() == sha384(document),
            PresentedPayload::Hash { algorithm: -44, hash } => hash.as_slice() == sha512(document),
            PresentedPayload::Hash { algorithm, .. } => return PayloadMatch::UnknownHash(*algorithm),
        };
        if is_same { PayloadMatch::Same } else { PayloadMatch::Other }
    }
}

/// The receipts under label 394, and how many things there were none.
fn receipts(unprotected: &Map<'_>) -> Result<(Vec<Vec<u8>>, usize), StatementError> {
    let items = match lookup(unprotected, label::RECEIPTS) {
        None => return Ok((Vec::new(), 0)),
        Some(Item::Array(items)) => items,
        Some(_) => return Ok((Vec::new(), 1)),
    };
    if items.len() > MAX_RECEIPTS {
        return Err(StatementError::ReceiptCount { found: items.len() });
    }
    let receipts: Vec<_> = items.iter().filter_map(|item| item.as_bytes().map(<[u8]>::to_vec)).collect();
    let unknown = items.len() - receipts.len();
    Ok((receipts, unknown))
}

/// A text or number for people, if it can be shown.
fn shown(item: &Item<'_>) -> Option<String> {
    match item {
        Item::Text(text) if !text.is_empty() && !text.chars().any(char::is_control) => Some((*text).to_owned()),
        Item::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}
