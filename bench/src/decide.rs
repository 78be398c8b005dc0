//! What a registration policy adds to a registration, in this process: policies that are shipped decide about a statement.

use anyhow::ensure;
use docket_judge::policy::{AdmittedIssuer, Credential, Module, Policy, Rules};
use docket_oci::digest::{Algorithm, Digest};
use docket_proof::key::{Issuer, SigningKey};
use docket_proof::statement::{Content, Draft, SignedStatement};
use docket_proof::subject::Subject;

use crate::limits::rate;
use crate::row::Figure;

/// One decision by three modules, without the check of the signature that every registration needs.
pub(crate) fn decision() -> anyhow::Result<Figure> {
    let key = SigningKey::generate();
    let issuer: Issuer = "https://wabbit.example".parse()?;
    let credential = Credential::Key { issuer: issuer.clone(), key: key.public().clone() };
    let document = Digest::of(Algorithm::Sha256, b"document");
    let draft = Draft {
        issuer,
        subject: Subject::artifact(&"wabbit/net-monitor".parse()?, &Digest::of(Algorithm::Sha256, b"artifact")),
        issued_at: Some(NOW),
        content: Content::HashEnvelope { digest: document, media_type: "application/vnd.cyclonedx+json".to_owned() },
        typ: None,
    };
    let statement = SignedStatement::decode(&draft.sign(&key)?)?;
    let mut bare = Policy::new();
    bare.admit(AdmittedIssuer { name: "wabbit".to_owned(), credential, entry: 1 });
    let mut ruled = bare.clone();
    let module = |(name, text): (&str, &str)| Module { name: name.to_owned(), text: text.to_owned() };
    ruled.set_rules(Rules::compile(MODULES.map(module).to_vec())?.into(), 2);
    let is_allowed = |policy: &Policy| policy.decide(statement.clone(), &[], NOW).is_ok();
    ensure!(is_allowed(&ruled) && is_allowed(&bare), "the shipped policies refuse the statement");
    // A difference of two figures shows what else the machine does; the least of each shows it least.
    let (mut with, mut without) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        with = with.min(rate(|| is_allowed(&ruled))?.each_cpu_us());
        without = without.min(rate(|| is_allowed(&bare))?.each_cpu_us());
    }
    Ok(Figure::new(with - without, "µs"))
}

const ROUNDS: usize = 3;
const NOW: i64 = 1_700_000_000;
const MODULES: [(&str, &str); 3] = [
    ("base.rego", include_str!("../../policies/base.rego")),
    ("issuer-types.rego", include_str!("../../policies/issuer-types.rego")),
    ("time-bounds.rego", include_str!("../../policies/time-bounds.rego")),
];
