//! A whole chain from artifact to receipt for the tests of this crate, made from fixed keys that protect nothing.

use std::collections::BTreeMap;

use docket_oci::manifest::artifact_manifest;
use docket_oci::{Algorithm, Descriptor, Digest, media};
use docket_proof::key::{Issuer, KeyFile, PublicKey, SigningKey};
use docket_proof::merkle::{Frontier, Hash, leaf_hash};
use docket_proof::receipt::{BatchSeal, Profile};
use docket_proof::statement::{Content, Draft, transparent};
use docket_proof::subject::Subject;
use docket_proof::trust::{Trust, TrustedIssuer, TrustedService};

use crate::verify::{ClaimMaterial, Document, Found, Material, Seen};

pub(crate) const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";
pub(crate) const SIGNED_AT: i64 = 1_700_000_000;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The key of the issuer.
pub(crate) fn wabbit() -> SigningKey {
    key(include_str!("../../docket-proof/testdata/formats/v1/wabbit.key"))
}

/// The key of the service.
pub(crate) fn service() -> SigningKey {
    key(include_str!("../../docket-proof/testdata/formats/v1/service.key"))
}

pub(crate) fn wabbit_name() -> Issuer {
    "https://wabbit.example".parse().expect("a URI")
}

pub(crate) fn service_name() -> Issuer {
    "https://registry.wabbit.example".parse().expect("a URI")
}

/// The artifact's manifest.
pub(crate) fn artifact() -> Vec<u8> {
    artifact_manifest("application/vnd.example.artifact", &[], None, &BTreeMap::new())
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Believes the service, and the issuer if `issuers` says so.
pub(crate) fn trust(issuers: bool) -> Trust {
    let service = trusted(&service_name(), service().public());
    let issuer = TrustedIssuer { issuer: wabbit_name(), keys: vec![wabbit().public().clone()] };
    Trust::new(vec![service], if issuers { vec![issuer] } else { vec![] }).expect("good trust")
}

/// A service that makes its receipts as this one does.
pub(crate) fn trusted(name: &Issuer, key: &PublicKey) -> TrustedService {
    TrustedService { issuer: name.clone().into(), url: None, keys: vec![key.clone()], profile: Profile::default() }
}

/// A statement by Wabbit about the artifact with `digest`.
pub(crate) fn draft(subject: &Digest, content: Content) -> Draft {
    let repository = "wabbit/net-monitor".parse().expect("a repository name");
    let subject = Subject::artifact(&repository, subject);
    Draft { issuer: wabbit_name(), subject, issued_at: Some(SIGNED_AT), content, typ: None }
}

/// A statement that binds `document` to the artifact.
pub(crate) fn envelope(document: &[u8]) -> Draft {
    let content = Content::HashEnvelope { digest: digest(document), media_type: SBOM_TYPE.to_owned() };
    draft(&digest(&artifact()), content)
}

/// A receipt for `entry` at `index` of a tree with five entries.
pub(crate) fn receipt(entry: &[u8], index: u64, key: &SigningKey, service: &Issuer) -> Vec<u8> {
    let leaf = |i: u64| if i == index { leaf_hash(entry) } else { leaf_hash(&i.to_be_bytes()) };
    let leaves: Vec<Hash> = (0..5).map(leaf).collect();
    let grown = Frontier::new().append(&leaves);
    let seal = BatchSeal::sign(key, service, "docket:test", SIGNED_AT, 5, &grown.root);
    let place = usize::try_from(index).expect("five entries");
    seal.receipt(index, 5, &grown.paths[place])
}

/// The pieces of one claim with a document, each of which a test may replace before they are tied together.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) document: Vec<u8>,
    pub(crate) evidence_type: String,
    pub(crate) evidence_subject: Digest,
    pub(crate) statement: Vec<u8>,
    pub(crate) receipt: Option<Vec<u8>>,
}

impl Chain {
    /// Wabbit's claim with `document`, registered by the service at `index`.
    pub(crate) fn new(document: &[u8], index: u64) -> Self {
        Self::of(document, &envelope(document).sign(&wabbit()).expect("a good draft"), index)
    }

    /// The claim with this entry, registered by the service at `index`.
    pub(crate) fn of(document: &[u8], entry: &[u8], index: u64) -> Self {
        let receipt = receipt(entry, index, &service(), &service_name());
        Self {
            document: document.to_vec(),
            evidence_type: SBOM_TYPE.to_owned(),
            evidence_subject: digest(&artifact()),
            statement: transparent(entry, &[&receipt]).expect("a canonical entry"),
            receipt: Some(receipt),
        }
    }

    /// Ties the pieces together with manifests and digests that fit them.
    pub(crate) fn material(&self) -> ClaimMaterial {
        let subject = Descriptor::new(IMAGE, self.evidence_subject, artifact().len() as u64);
        let layer = Descriptor::of(SBOM_TYPE, &self.document);
        let evidence = artifact_manifest(&self.evidence_type, &[layer], Some(&subject), &BTreeMap::new());
        let expected = digest(&self.document);
        let seen = Seen { actual: expected, size: self.document.len() as u64 };
        ClaimMaterial {
            manifest: Found::of(statement_manifest(&self.statement, self.receipt.as_deref(), &evidence)),
            evidence: Some(Found::of(evidence)),
            statement: Some(Found::of(self.statement.clone())),
            receipt: self.receipt.clone().map(Found::of),
            document: Some(Document { expected, seen: Some(seen) }),
        }
    }
}

/// A statement manifest that refers to `subject`.
pub(crate) fn statement_manifest(statement: &[u8], receipt: Option<&[u8]>, subject: &[u8]) -> Vec<u8> {
    let mut layers = vec![Descriptor::of(media::SCITT_STATEMENT, statement)];
    layers.extend(receipt.map(|receipt| Descriptor::of(media::SCITT_RECEIPT, receipt)));
    artifact_manifest(media::SCITT_STATEMENT, &layers, Some(&Descriptor::of(IMAGE, subject)), &BTreeMap::new())
}

/// A claim without a document: Wabbit's own words, placed at the artifact itself.
pub(crate) fn payload_claim(index: u64) -> ClaimMaterial {
    let subject = digest(&artifact()).hex();
    let bytes = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{subject}"}}}}],"predicateType":"https://wabbit.example/tested/v1"}}"#
    );
    let bytes = bytes.into_bytes();
    let content = Content::Payload { media_type: "application/vnd.in-toto+json".to_owned(), bytes };
    let entry = draft(&digest(&artifact()), content).sign(&wabbit()).expect("a good draft");
    let receipt = receipt(&entry, index, &service(), &service_name());
    let statement = transparent(&entry, &[&receipt]).expect("a canonical entry");
    ClaimMaterial {
        manifest: Found::of(statement_manifest(&statement, Some(&receipt), &artifact())),
        evidence: None,
        statement: Some(Found::of(statement)),
        receipt: Some(Found::of(receipt)),
        document: None,
    }
}

/// Everything found about the artifact.
pub(crate) fn material(claims: Vec<ClaimMaterial>) -> Material {
    Material { artifact: Found::of(artifact()), claims, gaps: Vec::new() }
}

/// `bytes` once for each of its bits, that bit flipped.
pub(crate) fn every_bit_flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

fn key(text: &str) -> SigningKey {
    KeyFile::parse(text).expect("a golden key file").key
}
