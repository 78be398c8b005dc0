//! Issuers of the tests, and what they sign.

use docket_oci::digest::Digest;
use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::key::{Issuer, SigningKey};
use docket_proof::statement::{Content, Draft, EntryId};
use docket_proof::subject::Subject;

use crate::site::repository;

/// Claim type of the documents that tests attach.
pub(crate) const SBOM: &str = "application/vnd.cyclonedx+json";
/// Claim type of the claims that carry their own payload.
pub(crate) const NOTE: &str = "application/vnd.in-toto+json";

/// Somebody with a key and a name.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// What the operator calls it.
    pub(crate) name: String,
    /// Its `iss`.
    pub(crate) issuer: Issuer,
    /// Its key.
    pub(crate) key: SigningKey,
}

impl Signer {
    /// `https://<name>.example` with a new key.
    pub(crate) fn new(name: &str) -> Self {
        let issuer = format!("https://{name}.example").parse().expect("a URI");
        Self { name: name.to_owned(), issuer, key: SigningKey::generate() }
    }

    /// The same with a new key for another algorithm.
    pub(crate) fn with(name: &str, algorithm: SignatureAlgorithm) -> Self {
        Self { key: SigningKey::generate_for(algorithm), ..Self::new(name) }
    }

    /// Signs that `document` is an SBOM of the artifact.
    pub(crate) fn sbom(&self, artifact: &Digest, document: &Digest) -> Vec<u8> {
        let content = Content::HashEnvelope { digest: *document, media_type: SBOM.to_owned() };
        self.sign(artifact_subject(artifact), content)
    }

    /// Signs a claim without a document about the artifact.
    pub(crate) fn note(&self, artifact: &Digest, text: &str) -> Vec<u8> {
        self.sign(artifact_subject(artifact), note(text))
    }

    /// Signs a claim about no artifact in particular; no two calls give the same bytes.
    pub(crate) fn remark(&self, text: &str) -> Vec<u8> {
        self.sign(Subject::stream(&repository("wabbit/net-monitor")), note(text))
    }

    /// Signs.
    pub(crate) fn sign(&self, subject: Subject, content: Content) -> Vec<u8> {
        let draft = Draft { issuer: self.issuer.clone(), subject, issued_at: Some(1_700_000_000), content, typ: None };
        draft.sign(&self.key).expect("a good draft")
    }
}

/// The entry id of a statement without unprotected material.
pub(crate) fn entry_id(statement: &[u8]) -> EntryId {
    EntryId::of(statement)
}

fn artifact_subject(digest: &Digest) -> Subject {
    Subject::artifact(&repository("wabbit/net-monitor"), digest)
}

/// A claim that carries this JSON, or this text as JSON.
pub(crate) fn note(text: &str) -> Content {
    let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
    let json = if is_json { text.to_owned() } else { serde_json::Value::from(text).to_string() };
    Content::Payload { media_type: NOTE.to_owned(), bytes: json.into_bytes() }
}
