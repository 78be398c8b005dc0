//! Makes statements that no honest signer makes, each with a right signature over what it says, unless that is the lie.

use docket_proof::cbor::{Item, Map};
use docket_proof::cose::{Sign1, label, to_be_signed};

use crate::harness::Issuer;

/// A statement in its parts.
pub(super) struct Forgery<'a> {
    issuer: &'a Issuer,
    /// The protected header, encoded.
    pub protected: Vec<u8>,
    pub unprotected: Map<'a>,
    pub payload: Option<&'a [u8]>,
}

impl<'a> Forgery<'a> {
    /// A statement with nothing wrong about it, as text about `subject`; `change` edits its protected header.
    pub(super) fn new(issuer: &'a Issuer, subject: &'a str, change: impl FnOnce(&mut Map<'_>)) -> Self {
        let kid = issuer.key().public().thumbprint();
        let claims = vec![(label::ISS.into(), Item::Text(issuer.identity())), (label::SUB.into(), Item::Text(subject))];
        let mut protected = vec![
            (label::ALG.into(), Item::Integer(-7)),
            (label::CONTENT_TYPE.into(), Item::Text("text/plain")),
            (label::KID.into(), Item::Bytes(kid.as_bytes())),
            (label::CWT_CLAIMS.into(), Item::Map(claims)),
        ];
        change(&mut protected);
        Self { issuer, protected: Item::Map(protected).encode(), unprotected: Map::new(), payload: Some(b"text") }
    }

    /// Signs it.
    pub(super) fn sign(&self) -> Vec<u8> {
        let signature = self.issuer.key().sign(&to_be_signed(&self.protected, self.payload.unwrap_or(b"text")));
        let (protected, payload) = (&self.protected[..], self.payload);
        Sign1 { protected, unprotected: self.unprotected.clone(), payload, signature: &signature }.encode()
    }
}

/// Takes a label out.
pub(super) fn without(label: i64) -> impl FnOnce(&mut Map<'_>) {
    move |map| map.retain(|(key, _)| *key != Item::Integer(label.into()))
}

/// Gives a label another value.
pub(super) fn with(label: i64, value: Item<'static>) -> impl FnOnce(&mut Map<'_>) {
    move |map| {
        map.retain(|(key, _)| *key != Item::Integer(label.into()));
        map.push((label.into(), value));
    }
}
