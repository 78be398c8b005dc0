//! From bytes to a well-formed statement: every rule of RFC 9943 §6 and RFC 9995 that one statement alone can break.

use std::collections::BTreeMap;

use docket_oci::media::essence;
use docket_oci::{Algorithm, Digest};

use super::{
    Content, EntryId, MAX_ENTRY_BYTES, MAX_MEDIA_TYPE_BYTES, MAX_PREDICATE_TYPE_BYTES, MAX_RECEIPTS,
    MAX_STATEMENT_BYTES, SignedStatement, Signer, StatementError, dressed,
};
use crate::cbor::{Item, Map, lookup};
use crate::cose::{Sign1, label};
use crate::header::{Header, HeaderError};
use crate::key::Thumbprint;
use crate::subject::Subject;
use crate::x509::{Chain, ChainError, Fingerprint};

impl SignedStatement {
    /// Reads a statement and its receipts if it has any.
    ///
    /// Nothing in the unprotected header becomes part of the entry, for nothing authenticates it. Read there are receipts, and
    /// the chain of a certificate that the protected header names (x5t); a chain that only came along with a `kid` is
    /// not, since one key may stand in many certificates. `exp` and `nbf` are not judged: there is no clock here.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLarge { bytes: bytes.len() });
        }
        let parts = Sign1::decode(bytes)?;
        let protected = parts.protected_map()?;
        let header = Header::read(&protected, &parts.unprotected, UNDERSTOOD)?;
        let subject = Subject::parse(header.subject)?;
        let payload = parts.payload.ok_or(StatementError::PayloadDetached)?;
        let content = content(&protected, &parts.unprotected, payload)?;
        let in_toto = in_toto(&content);
        check_in_toto_subject(in_toto.as_ref(), &subject)?;
        let typ = typ(&protected)?;
        let receipts = receipts(&parts.unprotected)?;
        let signer = signer(&protected, &parts.unprotected, header.kid)?;
        let entry = Sign1 { unprotected: Map::new(), ..parts }.encode();
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(StatementError::EntryTooLarge { bytes: entry.len() });
        }
        Ok(Self {
            algorithm: header.algorithm,
            issuer: header.issuer,
            subject,
            signer,
            issued_at: header.issued_at,
            typ,
            claim_type: in_toto.map_or_else(|| content.media_type().to_owned(), |statement| statement.predicate_type),
            content,
            entry_id: EntryId::of(&entry),
            entry,
            receipts,
        })
    }
}

impl SignedStatement {
    /// Reads an entry as the ledger holds it, with the chain that is kept beside it, if one is.
    pub fn decode_entry(entry: &[u8], collateral: Option<&[u8]>) -> Result<Self, StatementError> {
        match collateral {
            Some(_) => Self::decode(&dressed(entry, collateral, None)?),
            None => Self::decode(entry),
        }
    }
}

/// Who signed, by what is protected. The chain of a certificate that is named by x5t may stand where nothing protects it,
/// because the name does.
fn signer(
    protected: &Map<'_>,
    unprotected: &Map<'_>,
    kid: Result<Thumbprint, HeaderError>,
) -> Result<Signer, StatementError> {
    let x5t = lookup(protected, label::X5T).map(Fingerprint::from_cose).transpose()?;
    let begins_with = |chain: &Chain| match x5t {
        Some(x5t) if !x5t.names(chain.leaf().der()) => Err(ChainError::ThumbprintDiffers),
        Some(_) | None => Ok(()),
    };
    if let Some(chain) = lookup(protected, label::X5CHAIN) {
        let chain = Chain::from_cose(chain)?;
        begins_with(&chain)?;
        return Ok(Signer::SignedChain(chain));
    }
    let Some(x5t) = x5t else { return Ok(Signer::Key(kid?)) };
    let chain = lookup(unprotected, label::X5CHAIN).map(Chain::from_cose).transpose()?;
    chain.as_ref().map_or(Ok(()), begins_with)?;
    Ok(Signer::NamedCertificate { x5t, chain })
}

/// The in-toto Statement in the payload, if there is one; see [`SignedStatement::claim_type`]. A payload that merely calls
/// itself in-toto is no more than its content type says.
fn in_toto(content: &Content) -> Option<InToto> {
    let Content::Payload { media_type, bytes } = content else { return None };
    let in_toto = if essence(media_type) == IN_TOTO { serde_json::from_slice::<InToto>(bytes).ok() } else { None };
    let usable = |statement: &InToto| {
        let predicate_type = &statement.predicate_type;
        statement.kind == IN_TOTO_V1
            && (1..=MAX_PREDICATE_TYPE_BYTES).contains(&predicate_type.len())
            && predicate_type.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
    };
    in_toto.filter(usable)
}

/// An in-toto Statement about an artifact says twice which one. Both must be the same.
fn check_in_toto_subject(statement: Option<&InToto>, subject: &Subject) -> Result<(), StatementError> {
    let (Some(statement), Some(digest)) = (statement, subject.digest()) else { return Ok(()) };
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    let named = |artifact: &InTotoSubject| artifact.digest.get(algorithm.as_str()) == Some(&hex);
    if statement.subject.iter().any(named) { Ok(()) } else { Err(StatementError::InTotoSubject { digest }) }
}

/// What is read of an in-toto Statement v1; the rest is for whoever understands its predicate.
#[derive(serde::Deserialize)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    subject: Vec<InTotoSubject>,
}

#[derive(serde::Deserialize)]
struct InTotoSubject {
    digest: BTreeMap<String, String>,
}

const IN_TOTO: &str = "application/vnd.in-toto+json";
const IN_TOTO_V1: &str = "https://in-toto.io/Statement/v1";

/// Refuses a media type that could not be one, or that could disturb a terminal.
pub(super) fn check_media_type(text: &str) -> Result<(), StatementError> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let shaped = text.split_once('/').is_some_and(|(kind, sub)| !kind.is_empty() && !sub.is_empty());
    if printable && shaped && text.len() <= MAX_MEDIA_TYPE_BYTES { Ok(()) } else { Err(StatementError::MediaType) }
}

/// SHA-384 in COSE (RFC 9054).
pub(super) const SHA384: i64 = -43;

/// The COSE number of a hash algorithm (RFC 9054).
pub(super) fn hash_number(algorithm: Algorithm) -> i64 {
    match algorithm {
        Algorithm::Sha256 => -16,
        Algorithm::Sha512 => -44,
    }
}

fn content(protected: &Map<'_>, unprotected: &Map<'_>, payload: &[u8]) -> Result<Content, StatementError> {
    if let Some(label) = ENVELOPE.into_iter().find(|&label| lookup(unprotected, label).is_some()) {
        return Err(StatementError::EnvelopeUnprotected { label });
    }
    let Some(hash) = lookup(protected, label::PAYLOAD_HASH_ALG) else {
        if let Some(label) = ENVELOPE.into_iter().find(|&label| lookup(protected, label).is_some()) {
            return Err(StatementError::EnvelopeWithoutHash { label });
        }
        let media_type = media_type(protected, label::CONTENT_TYPE)?;
        return Ok(Content::Payload { media_type, bytes: payload.to_vec() });
    };
    if lookup(protected, label::CONTENT_TYPE).or_else(|| lookup(unprotected, label::CONTENT_TYPE)).is_some() {
        return Err(StatementError::EnvelopeContentType);
    }
    if lookup(protected, label::PAYLOAD_LOCATION).is_some_and(|location| location.as_text().is_none()) {
        return Err(StatementError::EnvelopeLocation);
    }
    let media_type = media_type(protected, label::PREIMAGE_CONTENT_TYPE)?;
    if hash.as_i64() == Some(SHA384) {
        let wrong = StatementError::EnvelopeDigestLength { algorithm: "sha384", expected: 48, found: payload.len() };
        return Ok(Content::Sha384Envelope { hash: payload.try_into().map_err(|_| wrong)?, media_type });
    }
    let algorithm = hash_algorithm(hash)?;
    let digest = Digest::from_hash(algorithm, payload).ok_or(StatementError::EnvelopeDigestLength {
        algorithm: algorithm.as_str(),
        expected: algorithm.hash_bytes(),
        found: payload.len(),
    })?;
    Ok(Content::HashEnvelope { digest, media_type })
}

fn hash_algorithm(item: &Item<'_>) -> Result<Algorithm, StatementError> {
    let found = match item {
        Item::Integer(number) => number.to_string(),
        _ => "that is not a number".to_owned(),
    };
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| item.as_i64() == Some(hash_number(*algorithm)))
        .ok_or(StatementError::EnvelopeHash { found })
}

/// The media type under `label`: text, or the number of a CoAP content format. Without one nothing is known about the
/// bytes, which is what `application/octet-stream` says.
fn media_type(protected: &Map<'_>, label: i64) -> Result<String, StatementError> {
    let text = match lookup(protected, label) {
        None => OCTET_STREAM,
        Some(Item::Text(text)) => text,
        Some(number) => {
            let known = CONTENT_FORMATS.iter().find(|(format, _)| number.as_i64() == Some(*format));
            known.ok_or(StatementError::ContentFormat { label })?.1
        }
    };
    check_media_type(text)?;
    Ok(text.to_owned())
}

/// What kind of statement it says it is. Only a text is kept: a number stands for a registered content format, and every one of
/// them says no more than that this is a COSE message.
fn typ(protected: &Map<'_>) -> Result<Option<String>, StatementError> {
    match lookup(protected, label::TYP) {
        None => Ok(None),
        Some(Item::Text(text)) => check_media_type(text).map(|()| Some((*text).to_owned())),
        Some(number) if number.as_i64().is_some_and(|number| number >= 0) => Ok(None),
        Some(_) => Err(StatementError::TypForm),
    }
}

fn receipts(unprotected: &Map<'_>) -> Result<Vec<Vec<u8>>, StatementError> {
    let Some(item) = lookup(unprotected, label::RECEIPTS) else {
        return Ok(Vec::new());
    };
    let receipts = item.as_array().ok_or(StatementError::ReceiptsForm)?;
    if receipts.is_empty() || receipts.len() > MAX_RECEIPTS {
        return Err(StatementError::ReceiptCount { found: receipts.len() });
    }
    let bytes = receipts.iter().map(|receipt| receipt.as_bytes().map(<[u8]>::to_vec));
    bytes.collect::<Option<_>>().ok_or(StatementError::ReceiptsForm)
}

/// What `crit` may demand: every protected label that is read here, and 260, which is understood as a hint not to follow.
const UNDERSTOOD: &[Item<'static>] = &[
    Item::Integer(label::ALG as i128),
    Item::Integer(label::CONTENT_TYPE as i128),
    Item::Integer(label::KID as i128),
    Item::Integer(label::CWT_CLAIMS as i128),
    Item::Integer(label::TYP as i128),
    Item::Integer(label::X5CHAIN as i128),
    Item::Integer(label::X5T as i128),
    Item::Integer(label::PAYLOAD_HASH_ALG as i128),
    Item::Integer(label::PREIMAGE_CONTENT_TYPE as i128),
    Item::Integer(label::PAYLOAD_LOCATION as i128),
];

const ENVELOPE: [i64; 3] = [label::PAYLOAD_HASH_ALG, label::PREIMAGE_CONTENT_TYPE, label::PAYLOAD_LOCATION];

const OCTET_STREAM: &str = "application/octet-stream";

/// The CoAP content formats that stand for documents one would make claims with (RFC 7252 §12.3 and its registry).
const CONTENT_FORMATS: [(i64, &str); 5] = [
    (0, "text/plain"),
    (41, "application/xml"),
    (42, OCTET_STREAM),
    (50, "application/json"),
    (60, "application/cbor"),
];
