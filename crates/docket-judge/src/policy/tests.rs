use docket_proof::key::SigningKey;
use docket_proof::statement::{Content, Draft};

use super::*;
use crate::testchain::{envelope, service, wabbit, wabbit_name};

mod certificates;

const NOW: i64 = 1_700_000_000;

fn admitted() -> AdmittedIssuer {
    AdmittedIssuer { name: "wabbit".to_owned(), credential: key(wabbit_name(), &wabbit()), entry: 3 }
}

fn key(issuer: Issuer, key: &SigningKey) -> Credential {
    Credential::Key { issuer, key: key.public().clone() }
}

fn policy() -> Policy {
    let mut policy = Policy::new();
    policy.admit(admitted());
    policy
}

fn statement() -> SignedStatement {
    let bytes = envelope(b"document").sign(&wabbit()).expect("a good draft");
    SignedStatement::decode(&bytes).expect("our own statement")
}

#[test]
fn an_admitted_issuer_may_register_and_the_decision_says_why() {
    let statement = statement();
    let basis = Basis { issuer_entry: 3, policy_entry: 0, decided_at: NOW };
    let decision = policy().decide(statement.clone(), &[], NOW).expect("admitted");
    assert_eq!((decision.statement.statement(), decision.basis), (&statement, basis));
    let identity = serde_json::to_value(&decision.identity).expect("JSON");
    let key = wabbit().public().thumbprint().to_string();
    let expected = serde_json::json!({
        "issuer": "https://wabbit.example", "kind": "key", "name": "wabbit", "key": key,
    });
    assert_eq!(identity, expected);
}

fn compiled(rules: &str) -> Arc<Rules> {
    let text = format!("package docket.registration\n\n{rules}\n");
    Arc::new(Rules::compile(vec![Module { name: "m".to_owned(), text }]).expect("a policy"))
}

#[test]
fn a_policy_of_another_release_that_cannot_be_compiled_refuses_everything() {
    let modules = vec![Module {
        name: "later.rego".to_owned(),
        text: "package docket.registration\nallow whenever x".to_owned(),
    }];
    let rules = Rules::of_ledger(modules.clone());
    assert!(rules.unusable().is_some());
    assert_eq!(rules.modules(), modules);
    let mut policy = policy();
    policy.set_rules(Arc::new(rules), 7);
    let refused = policy.decide(statement(), &[], NOW);
    assert!(
        matches!(&refused, Err(Refusal::NotDecided { entry: 7, reason }) if reason.contains("later.rego")),
        "{refused:?}"
    );
    policy.set_rules(compiled("allow := true"), 8);
    assert!(policy.decide(statement(), &[], NOW).is_ok());
}

#[test]
fn no_payload_hides_what_else_a_policy_is_told() {
    let mut policy = policy();
    policy.set_rules(compiled("allow if count(reasons) == 0\n\nreasons contains input.issuer.id if input.now > 0"), 7);
    let deep = format!("{}7{}", "[".repeat(100), "]".repeat(100));
    for (payload, is_judged) in [
        (r#"{"$serde_json::private::Number":"x"}"#, true),
        (&*deep, true),
        (r#"{"a":1e400}"#, false),
        (r#"{"a":1,"a":2}"#, false),
        ("[", false),
        ("1e999999", false),
    ] {
        for media_type in ["application/json", "application/X+JSON"] {
            let content = Content::Payload { media_type: media_type.to_owned(), bytes: payload.as_bytes().to_vec() };
            let statement = Draft { content, ..envelope(b"") }.sign(&wabbit()).expect("a good draft");
            let refused = policy.decide(SignedStatement::decode(&statement).expect("well formed"), &[], NOW);
            match refused {
                Err(Refusal::NotAllowed { entry: 7, reasons }) if is_judged => {
                    assert_eq!(reasons, [wabbit_name().to_string()], "{payload}");
                }
                Err(Refusal::NotDecided { entry: 7, .. }) if !is_judged => {}
                other => panic!("{payload}: {other:?}"),
            }
        }
    }
}

#[test]
fn nobody_is_admitted_by_default() {
    let kid = wabbit().public().thumbprint();
    let refused = Refusal::UnknownIssuer { issuer: wabbit_name(), kid };
    assert_eq!(refused.to_string().lines().count(), 1);
    assert_eq!(Policy::new().decide(statement(), &[], NOW), Err(refused));
}

#[test]
fn a_key_speaks_for_the_issuer_it_is_kept_with_and_no_other() {
    let issuer: Issuer = "https://acme.example".parse().expect("a URI");
    let mut policy = Policy::new();
    policy.admit(AdmittedIssuer { credential: key(issuer.clone(), &wabbit()), ..admitted() });
    let kid = wabbit().public().thumbprint();
    let refused = Refusal::IssuerMismatch { kid, claimed: wabbit_name(), admitted: issuer };
    assert_eq!(policy.decide(statement(), &[], NOW), Err(refused));
}

#[test]
fn a_name_admitted_with_another_key_does_not_admit_this_one() {
    let mut policy = Policy::new();
    policy.admit(AdmittedIssuer { credential: key(wabbit_name(), &service()), ..admitted() });
    assert!(matches!(policy.decide(statement(), &[], NOW), Err(Refusal::UnknownIssuer { .. })));
}

#[test]
fn a_broken_signature_is_refused() {
    let mut bytes = envelope(b"document").sign(&wabbit()).expect("a good draft");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let statement = SignedStatement::decode(&bytes).expect("still well formed");
    let refused = Refusal::BadSignature { issuer: wabbit_name(), kid: wabbit().public().thumbprint() };
    assert_eq!(policy().decide(statement, &[], NOW), Err(refused));
}

#[test]
fn the_newest_admission_counts_and_removal_ends_it() {
    let mut policy = policy();
    policy.admit(AdmittedIssuer { entry: 8, ..admitted() });
    assert_eq!(policy.decide(statement(), &[], NOW).map(|decision| decision.basis.issuer_entry), Ok(8));
    policy.admit(AdmittedIssuer { name: "renamed".to_owned(), entry: 9, ..admitted() });
    assert_eq!(policy.issuers().iter().map(|issuer| issuer.name.as_str()).collect::<Vec<_>>(), ["renamed"]);
    assert_eq!(policy.remove("wabbit"), None);
    assert_eq!(policy.remove("renamed").map(|issuer| issuer.entry), Some(9));
    assert!(policy.issuers().is_empty());
    assert!(policy.decide(statement(), &[], NOW).is_err());
}

#[test]
fn a_name_whose_key_changed_loses_the_old_key() {
    let mut policy = policy();
    policy.admit(AdmittedIssuer { credential: key(wabbit_name(), &service()), entry: 5, ..admitted() });
    assert_eq!(policy.issuers().len(), 1);
    assert!(matches!(policy.decide(statement(), &[], NOW), Err(Refusal::UnknownIssuer { .. })));
}

#[test]
fn what_the_service_says_of_its_ledger_nobody_else_says() {
    let own = format!("{OWN_TYPES}issuer.v1+json");
    let content = Content::Payload { media_type: own.clone(), bytes: b"{}".to_vec() };
    let bytes = Draft { content, ..envelope(b"document") }.sign(&wabbit()).expect("a good draft");
    let statement = SignedStatement::decode(&bytes).expect("our own statement");
    assert_eq!(policy().decide(statement, &[], NOW), Err(Refusal::OwnType(own)));
}
