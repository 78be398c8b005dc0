//! What a policy is told about a statement. `policies/README.md` documents it; names in it are never changed.
//!
//! It is made in the machine's own values: to write it as JSON first takes longer than most policies.

use std::collections::BTreeMap;

use docket_proof::cbor::{Item, Map, lookup};
use docket_proof::cose::{Sign1, label};
use docket_proof::statement::{Content, SignedStatement, VerifiedStatement};
use regorus::Value;

use super::rules::EARLIER;
use crate::identity::{CertificateFacts, Identity};

/// Most earlier claims about its subject that a statement is decided with: the oldest, so that nobody can push out what
/// was said first by saying much.
pub const EARLIER_MAX: usize = 256;

/// A claim about the same artifact that stands in the ledger before the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierClaim {
    /// Entry id, lower hex.
    pub entry: String,
    /// Position in the ledger.
    pub index: u64,
    /// Who signed.
    pub issuer: String,
    /// Claim type.
    pub claim_type: String,
    /// When it was logged, Unix seconds.
    pub logged_at: i64,
}

/// The input for one statement, whose payload may be JSON. `earlier` is for policies that ask for it.
pub(super) fn input(
    statement: &VerifiedStatement,
    payload: Option<&serde_json::Value>,
    identity: &Identity,
    issuer_entry: u64,
    earlier: Option<&[EarlierClaim]>,
    now: i64,
) -> Value {
    let subject = statement.subject();
    let document = match statement.content() {
        Content::HashEnvelope { digest, .. } => Some(digest.to_string()),
        Content::Sha384Envelope { hash, .. } => Some(format!("sha384:{}", hex::encode(hash))),
        Content::Payload { .. } => None,
    };
    let issuer = object([
        ("id", identity.issuer.as_str().into()),
        ("kind", identity.kind.as_str().into()),
        ("name", identity.name.as_str().into()),
        ("entry", issuer_entry.into()),
        ("key", identity.key.to_string().into()),
        ("certificate", identity.certificate.as_ref().map_or(Value::Null, certificate)),
    ]);
    let about = object([
        ("text", subject.as_str().into()),
        ("digest", maybe(subject.digest().map(|digest| digest.to_string()))),
        ("stream", subject.is_stream().into()),
        ("name", maybe(subject.name())),
    ]);
    let claim = object([
        ("type", statement.claim_type().into()),
        ("media_type", statement.content().media_type().into()),
        ("document", maybe(document)),
    ]);
    let mut input = vec![
        ("now", now.into()),
        ("headers", headers(statement)),
        ("issuer", issuer),
        ("subject", about),
        ("claim", claim),
        ("payload", payload.map_or(Value::Null, of_json)),
    ];
    if let Some(earlier) = earlier {
        let earlier = &earlier[..earlier.len().min(EARLIER_MAX)];
        input.push((EARLIER, earlier.iter().map(EarlierClaim::value).collect::<Vec<_>>().into()));
    }
    object(input)
}

/// An input as any other, for trying out a policy.
pub(super) fn sample() -> Value {
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    of_json(&serde_json::json!({
        "now": 1_800_000_000,
        "headers": {
            "alg": -7, "content_type": null, "kid": "00", "typ": null, "payload_hash_alg": -16,
            "preimage_content_type": "application/vnd.cyclonedx+json", "payload_location": null, "named": {},
            "cwt": {
                "iss": "https://issuer.example", "sub": "pkg:oci/sample", "aud": null, "exp": null, "nbf": null,
                "iat": 1_800_000_000, "cti": null, "named": {},
            },
        },
        "issuer": {
            "id": "https://issuer.example", "kind": "key", "name": "sample", "entry": 1, "key": "00", "certificate": null,
        },
        "subject": { "text": "pkg:oci/sample", "digest": digest, "stream": false, "name": "sample" },
        "claim": {
            "type": "application/vnd.cyclonedx+json", "media_type": "application/vnd.cyclonedx+json", "document": digest,
        },
        "payload": null,
        "earlier": [],
    }))
}

impl EarlierClaim {
    fn value(&self) -> Value {
        object([
            ("entry", self.entry.as_str().into()),
            ("index", self.index.into()),
            ("issuer", self.issuer.as_str().into()),
            ("type", self.claim_type.as_str().into()),
            ("logged_at", self.logged_at.into()),
        ])
    }
}

/// What the certificate of an identity says.
fn certificate(certificate: &CertificateFacts) -> Value {
    let CertificateFacts { leaf, root, facts } = certificate;
    let attribute = |(name, value): &(String, String)| Value::from(vec![name.as_str().into(), value.as_str().into()]);
    object([
        ("leaf", leaf.as_str().into()),
        ("root", root.as_str().into()),
        ("subject", facts.subject.iter().map(attribute).collect::<Vec<_>>().into()),
        ("emails", texts(&facts.emails)),
        ("dns_names", texts(&facts.dns_names)),
        ("uris", texts(&facts.uris)),
        ("extended_key_usage", facts.extended_key_usage.as_deref().map_or(Value::Null, texts)),
        ("oidc_issuer", maybe(facts.oidc_issuer.clone())),
        ("not_before", facts.not_before.into()),
        ("not_after", facts.not_after.into()),
    ])
}

/// The protected header.
fn headers(statement: &SignedStatement) -> Value {
    let parts = Sign1::decode(statement.entry()).expect("entries are statements");
    let protected = parts.protected_map().expect("entries are statements");
    let claims = lookup(&protected, label::CWT_CLAIMS).and_then(Item::as_map);
    let cwt = object(claims.map_or_else(Vec::new, |claims| labelled(claims, &CLAIMS)));
    let mut headers = labelled(&protected, &HEADERS);
    headers.push(("cwt", cwt));
    object(headers)
}

/// A map whose known labels go by name, and all that have a name of their own by that, below `named`. Numbers that mean
/// nothing here are left out.
fn labelled<'a>(map: &Map<'_>, known: &[(i64, &'a str)]) -> Vec<(&'a str, Value)> {
    let mut labelled: Vec<_> =
        known.iter().map(|(number, name)| (*name, lookup(map, *number).map_or(Value::Null, of_cbor))).collect();
    labelled.push(("named", object(map.iter().filter_map(|(label, item)| Some((label.as_text()?, of_cbor(item)))))));
    labelled
}

/// CBOR: bytes as lower hex, numbers that JSON has no room for and tags as texts, keys of maps as texts.
fn of_cbor(item: &Item<'_>) -> Value {
    match item {
        Item::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            (Err(_), Err(_)) => number.to_string().into(),
        },
        Item::Bytes(bytes) => hex::encode(bytes).into(),
        Item::Text(text) => (*text).into(),
        Item::Array(items) => items.iter().map(of_cbor).collect::<Vec<_>>().into(),
        Item::Map(map) => {
            let key = |key: &Item<'_>| key.as_text().map_or_else(|| of_cbor(key).to_string(), str::to_owned);
            let entries = map.iter().map(|(label, item)| (Value::from(key(label)), of_cbor(item)));
            entries.collect::<BTreeMap<_, _>>().into()
        }
        Item::Tag(_, content) => of_cbor(content),
        Item::Bool(value) => (*value).into(),
        Item::Null => Value::Null,
    }
}

/// JSON, value by value: regorus's own conversion takes objects with a certain key for something else, and what it cannot
/// take for nothing at all.
pub(super) fn of_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (_, Some(number), _) => number.into(),
            (_, _, Some(number)) => number.into(),
            (None, None, None) => number.to_string().into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => items.iter().map(of_json).collect::<Vec<_>>().into(),
        serde_json::Value::Object(map) => object(map.iter().map(|(key, value)| (key.as_str(), of_json(value)))),
    }
}

fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<BTreeMap<_, _>>().into()
}

fn texts(texts: &[String]) -> Value {
    texts.iter().map(|text| Value::from(text.as_str())).collect::<Vec<_>>().into()
}

fn maybe(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::from)
}

const HEADERS: [(i64, &str); 7] = [
    (label::ALG, "alg"),
    (label::CONTENT_TYPE, "content_type"),
    (label::KID, "kid"),
    (label::TYP, "typ"),
    (label::PAYLOAD_HASH_ALG, "payload_hash_alg"),
    (label::PREIMAGE_CONTENT_TYPE, "preimage_content_type"),
    (label::PAYLOAD_LOCATION, "payload_location"),
];

/// CWT claims (RFC 8392 §4).
const CLAIMS: [(i64, &str); 7] = [(1, "iss"), (2, "sub"), (3, "aud"), (4, "exp"), (5, "nbf"), (6, "iat"), (7, "cti")];
