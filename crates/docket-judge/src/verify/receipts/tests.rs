use docket_proof::cbor::Item;
use docket_proof::cose::{Sign1, label};
use docket_proof::key::Issuer;
use docket_proof::receipt::{Leaf, Profile, TreeSize};
use docket_proof::statement::{SignedStatement, transparent};
use docket_proof::trust::{TrustedIssuer, TrustedService};

use super::*;
use crate::testchain::{
    Chain, every_bit_flipped, material, receipt, service, service_name, trusted, wabbit, wabbit_name,
};
use crate::verify::{Answer, Reason, Verdict, judge, judge_statement};
use foreign::Foreign;

#[path = "../../../../docket-proof/tests/foreign/service.rs"]
mod foreign;

const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

/// An entry that this service, a service with digests for leaves, and a CCF service have receipted.
struct Scene {
    entry: Vec<u8>,
    others: [Foreign; 2],
    receipts: [Vec<u8>; 3],
}

/// How a reader lists a service.
fn listed(service: &Foreign, leaf: Leaf, tree_size: TreeSize) -> TrustedService {
    let issuer = service.name.parse().expect("a name");
    TrustedService { issuer, url: None, keys: vec![service.key.public().clone()], profile: Profile { leaf, tree_size } }
}

impl Scene {
    fn new() -> Self {
        let statement = Chain::new(SBOM, 2).statement;
        let entry = SignedStatement::decode(&statement).expect("a good statement").entry().to_vec();
        let others =
            [Foreign::new("https://other.example", docket_proof::crypto::SignatureAlgorithm::EdDsa), Foreign::ccf()];
        let receipts = [
            receipt(&entry, 2, &service(), &service_name()),
            others[0].receipt_of_tree(&entry, Leaf::Digest, None),
            others[1].receipt_of_ccf(&entry),
        ];
        Self { entry, others, receipts }
    }

    fn trust(&self, need: Need, services: &[&str]) -> Trust {
        let listed = vec![
            trusted(&service_name(), service().public()),
            listed(&self.others[0], Leaf::Digest, TreeSize::Unbound),
            listed(&self.others[1], Leaf::Entry, TreeSize::Bound),
        ];
        let services = services.iter().map(|name| name.parse().expect("a name")).collect();
        let trust = Trust::new(listed, vec![]).and_then(|trust| trust.requiring(Requirement { need, services }));
        trust.expect("good trust")
    }

    /// A statement with these of the three receipts.
    fn with(&self, which: &[usize]) -> Vec<u8> {
        let receipts: Vec<_> = which.iter().map(|which| self.receipts[*which].as_slice()).collect();
        if receipts.is_empty() { self.entry.clone() } else { transparent(&self.entry, &receipts).expect("a statement") }
    }

    fn judge(&self, which: &[usize], trust: &Trust) -> Result<(), Problem> {
        let receipts: Vec<_> = which.iter().map(|which| self.receipts[*which].as_slice()).collect();
        super::judge(&self.entry, &receipts, 0, trust).problem.map_or(Ok(()), Err)
    }
}

#[test]
fn as_many_services_must_have_receipted_an_entry_as_are_demanded() {
    let scene = Scene::new();
    let (ours, other, ccf) = ("https://registry.wabbit.example", "https://other.example", "ledger.example");
    for (need, services, found, is_enough) in [
        (Need::Any, &[][..], &[2][..], true),
        (Need::Any, &[], &[], false),
        (Need::Any, &[ours, other], &[2], false),
        (Need::Any, &[ours, other], &[1, 2], true),
        (Need::AtLeast(2), &[], &[0, 1], true),
        (Need::AtLeast(2), &[], &[1, 2], true),
        (Need::AtLeast(2), &[], &[1, 1], false),
        (Need::AtLeast(2), &[ours, ccf], &[0, 1], false),
        (Need::AtLeast(2), &[ours, ccf], &[0, 2], true),
        (Need::All, &[], &[0, 1, 2], true),
        (Need::All, &[], &[0, 2], false),
        (Need::All, &[other], &[1], true),
        (Need::All, &[other, ccf], &[0, 1], false),
    ] {
        let judged = scene.judge(found, &scene.trust(need, services));
        assert_eq!(judged.is_ok(), is_enough, "{need:?} of {services:?} with {found:?}: {judged:?}");
    }
    let short = scene.judge(&[0, 2], &scene.trust(Need::All, &[])).expect_err("too few");
    let said = "receipts of 3 of 3 services are demanded, and only these hold: https://registry.wabbit.example, ledger.example";
    assert_eq!(
        short.to_string(),
        said.replace("https://registry.wabbit.example, ledger.example", &sorted(&[ours, ccf]))
    );
}

fn sorted(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.join(", ")
}

#[test]
fn receipts_of_one_entry_may_lie_scattered_over_its_copies() {
    let scene = Scene::new();
    let trust = scene.trust(Need::All, &[]);
    let copy =
        |which: &[usize]| Chain { statement: scene.with(which), receipt: None, ..Chain::new(SBOM, 2) }.material();
    let verdict = judge(&material(vec![copy(&[0]), copy(&[2]), copy(&[1])]), &trust);
    assert!(verdict.is_allowed(), "{verdict:?}");
    let [claim] = verdict.claims() else { panic!("one entry is one claim") };
    assert_eq!((claim.index, claim.receipts.len()), (Some(2), 3), "the place that is proven is told");
    let verdict = judge(&material(vec![copy(&[0]), copy(&[2])]), &trust);
    assert!(matches!(verdict, Verdict::Deny { reason: Reason::NotTrusted, .. }), "{verdict:?}");
}

#[test]
fn receipts_that_do_not_hold_are_told_and_take_nothing_from_those_that_do() {
    let scene = Scene::new();
    let entry = &scene.entry;
    let broken = receipt(b"another entry", 2, &service(), &service_name());
    let elsewhere: Issuer = "https://elsewhere.example".parse().expect("a URI");
    let unlisted = receipt(entry, 2, &service(), &elsewhere);
    let statement =
        transparent(entry, &[b"junk", &broken, &unlisted, &scene.receipts[0], &scene.receipts[2]]).expect("small");
    let verdict = judge_statement(&statement, None, &scene.trust(Need::Any, &[]));
    assert_eq!(verdict.verdict, Answer::Allow);
    let results: Vec<_> = verdict.receipts.iter().map(|receipt| &receipt.result).collect();
    let [ReceiptResult::Ok, ReceiptResult::Ok, ReceiptResult::Broken(_), rest @ ..] = results.as_slice() else {
        panic!("{results:?}")
    };
    assert!(matches!(rest, [ReceiptResult::UnknownFormat(_), ReceiptResult::NotListed]), "{results:?}");
    let json = serde_json::to_value(&verdict).expect("JSON");
    let place = serde_json::json!({"kind": "index", "index": 2, "tree_size": 5});
    assert_eq!((&json["receipts"][0]["result"], &json["receipts"][0]["position"]), (&"ok".into(), &place));
    assert_eq!(json["receipts"][1]["format"], "CCF_LEDGER_SHA256");
    assert_eq!(json["receipts"][2]["result"], "broken");
}

#[test]
fn forms_that_are_not_known_are_told_and_never_count() {
    let scene = Scene::new();
    let trust = scene.trust(Need::Any, &[]);
    let parts = Sign1::decode(&scene.entry).expect("an entry");
    let with =
        |receipts: Item<'_>| Sign1 { unprotected: vec![(label::RECEIPTS.into(), receipts)], ..parts.clone() }.encode();
    let good = Item::Bytes(&scene.receipts[0]);
    // As statements from before RFC 9943 have it: receipts as arrays, not wrapped in byte strings.
    let old = Item::Array(vec![Item::Bytes(b"header"), Item::Bytes(b"signature"), Item::Array(vec![])]);
    for (receipts, unknown) in [
        (Item::Array(vec![old.clone()]), 1),
        (Item::Array(vec![old.clone(), Item::Text("receipt"), Item::Null]), 3),
        (Item::Bytes(&scene.receipts[0]), 1),
        (Item::Map(vec![]), 1),
    ] {
        let verdict = judge_statement(&with(receipts), None, &trust);
        assert_eq!((verdict.verdict, verdict.reason), (Answer::Deny, Some(Reason::NotTrusted)));
        let is_unknown = |receipt: &ReceiptVerdict| matches!(receipt.result, ReceiptResult::UnknownFormat(_));
        assert_eq!(verdict.receipts.iter().filter(|it| is_unknown(it)).count(), unknown);
        assert!(verdict.message.is_some_and(|message| message.contains("in a form that is not known")));
    }
    let mixed = judge_statement(&with(Item::Array(vec![old, good])), None, &trust);
    assert_eq!((mixed.verdict, mixed.receipts.len()), (Answer::Allow, 2));
    // The MMR profile's number, by a service that is listed.
    let (proof, root) = foreign::tree_proof(&scene.entry, Leaf::Entry);
    let mmr = scene.others[0].sign(3, None, vec![], &foreign::wrapped(&proof), &root, None);
    let verdict = judge_statement(&transparent(&scene.entry, &[&mmr]).expect("small"), None, &trust);
    assert_eq!(verdict.verdict, Answer::Deny);
    assert!(verdict.message.is_some_and(|message| message.contains("data structure 3")));
}

#[test]
fn no_flipped_bit_or_cut_of_a_statement_of_others_is_allowed() {
    let scene = Scene::new();
    let trust = scene.trust(Need::All, &["https://other.example", "ledger.example"]);
    let statement = scene.with(&[1, 2]);
    assert_eq!(judge_statement(&statement, None, &trust).verdict, Answer::Allow);
    for flipped in every_bit_flipped(&statement) {
        let verdict = judge_statement(&flipped, None, &trust);
        let claims_another_place = verdict
            .receipts
            .iter()
            .any(|it| matches!(it.position, Some(Position::ClaimedIndex { index, tree_size }) if (index, tree_size) != (2, 5)));
        assert!(verdict.verdict == Answer::Deny || claims_another_place, "{verdict:?}");
    }
    for length in 0..statement.len() {
        assert_eq!(judge_statement(&statement[..length], None, &trust).verdict, Answer::Deny, "{length}");
    }
}

#[test]
fn the_document_is_compared_with_what_was_signed() {
    let scene = Scene::new();
    let trust = scene.trust(Need::Any, &[]);
    let statement = scene.with(&[2]);
    for (document, expected, checked) in [
        (None, Answer::Allow, None),
        (Some(SBOM), Answer::Allow, Some(true)),
        (Some(b"another".as_slice()), Answer::Deny, Some(false)),
    ] {
        let verdict = judge_statement(&statement, document, &trust);
        assert_eq!((verdict.verdict, verdict.payload_checked), (expected, checked));
    }
}

#[test]
fn a_payload_that_was_left_out_is_bound_by_the_issuers_signature_alone() {
    let scene = Scene::new();
    let payload = Sign1::decode(&scene.entry).expect("an entry").payload.expect("attached").to_vec();
    let entry = Sign1 { payload: None, ..Sign1::decode(&scene.entry).expect("an entry") }.encode();
    let statement = transparent(&entry, &[&scene.others[1].receipt_of_ccf(&entry)]).expect("small");
    let listed = vec![listed(&scene.others[1], Leaf::Entry, TreeSize::Bound)];
    let issuer = TrustedIssuer { issuer: wabbit_name(), keys: vec![wabbit().public().clone()] };
    let services_alone = Trust::new(listed.clone(), vec![]).expect("good trust");
    let with_issuer = Trust::new(listed, vec![issuer]).expect("good trust");
    let judged = |document, trust| {
        let verdict = judge_statement(&statement, document, trust);
        (verdict.verdict, verdict.reason, verdict.signature_checked)
    };
    assert_eq!(judged(None, &services_alone), (Answer::Allow, None, false));
    assert_eq!(judged(Some(&payload), &services_alone), (Answer::Deny, Some(Reason::NotTrusted), false));
    assert_eq!(judged(Some(&payload), &with_issuer), (Answer::Allow, None, true));
    assert_eq!(judged(Some(&[0; 32]), &with_issuer), (Answer::Deny, Some(Reason::NotTrusted), false));
    assert_eq!(judged(None, &with_issuer), (Answer::Deny, Some(Reason::CouldNotCheck), false));
}
