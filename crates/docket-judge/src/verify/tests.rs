use docket_oci::media;
use docket_proof::key::PublicKey;
use docket_proof::receipt::ReceiptError;
use docket_proof::statement::{Content, SignedStatement, StatementError, transparent};
use docket_proof::trust::{TrustedIssuer, TrustedService};

use super::*;
use crate::testchain::{
    Chain, SBOM_TYPE, SIGNED_AT, artifact, digest, draft, envelope, every_bit_flipped, material, payload_claim,
    receipt, service, service_name, statement_manifest, trust, trusted, wabbit, wabbit_name,
};

const SBOM: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";

fn chain() -> Chain {
    Chain::new(SBOM, 2)
}

/// The problem of a single claim that is denied.
fn problem(claim: ClaimMaterial, trust: &Trust) -> Problem {
    match judge(&material(vec![claim]), trust) {
        Verdict::Deny { mut claims, message, .. } => {
            let problem = claims.pop().and_then(|claim| claim.problem).expect("a denied claim has a problem");
            assert!(message.contains(&problem.to_string()), "{message} does not name {problem}");
            problem
        }
        Verdict::Allow { .. } => panic!("allowed"),
    }
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Allow { .. } => None,
        Verdict::Deny { reason, .. } => Some(*reason),
    }
}

fn entry_of(statement: &[u8]) -> Vec<u8> {
    SignedStatement::decode(statement).expect("a good statement").entry().to_vec()
}

#[test]
fn a_whole_chain_is_allowed_and_says_who_said_what() {
    for issuers in [false, true] {
        let verdict = judge(&material(vec![chain().material()]), &trust(issuers));
        assert!(verdict.is_allowed(), "{verdict:?}");
        assert_eq!(verdict.artifact(), &digest(&artifact()));
        let [claim] = verdict.claims() else { panic!("one claim") };
        assert_eq!(claim.issuer, Some(wabbit_name()));
        assert_eq!(claim.claim_type.as_deref(), Some(SBOM_TYPE));
        assert_eq!((claim.index, claim.tree_size), (Some(2), Some(5)));
        assert_eq!((claim.service.clone(), claim.signed_at), (Some(service_name().into()), Some(SIGNED_AT)));
        assert_eq!(claim.evidence, Some(Evidence::Present { digest: digest(SBOM), size: SBOM.len() as u64 }));
    }
}

#[test]
fn a_claim_without_a_document_stands_at_the_artifact_itself() {
    let verdict = judge(&material(vec![payload_claim(1)]), &trust(true));
    assert!(verdict.is_allowed(), "{verdict:?}");
    assert_eq!(verdict.claims()[0].claim_type.as_deref(), Some("https://wabbit.example/tested/v1"));
    assert_eq!(verdict.claims()[0].evidence, None);
}

#[test]
fn every_flipped_bit_of_every_piece_is_denied_by_the_name_of_the_piece() {
    type Place = fn(&mut ClaimMaterial) -> &mut Found;
    let places: [(Piece, Place); 4] = [
        (Piece::StatementManifest, |claim| &mut claim.manifest),
        (Piece::EvidenceManifest, |claim| claim.evidence.as_mut().expect("there is one")),
        (Piece::Statement, |claim| claim.statement.as_mut().expect("there is one")),
        (Piece::Receipt, |claim| claim.receipt.as_mut().expect("there is one")),
    ];
    let (trust, mut claim) = (trust(true), chain().material());
    for (expected, place) in places {
        let bytes = place(&mut claim).bytes.clone();
        for flipped in every_bit_flipped(&bytes) {
            place(&mut claim).bytes = flipped;
            let Problem::Changed { piece, .. } = problem(claim.clone(), &trust) else { panic!("{expected}") };
            assert_eq!(piece, expected);
        }
        place(&mut claim).bytes = bytes;
    }
    for flipped in every_bit_flipped(SBOM) {
        let seen = Some(Seen { actual: digest(&flipped), size: flipped.len() as u64 });
        claim.document = Some(Document { expected: digest(SBOM), seen });
        let found = problem(claim.clone(), &trust);
        assert!(matches!(found, Problem::Changed { piece: Piece::Document, .. }), "{found}");
    }
}

#[test]
fn every_flipped_bit_of_a_statement_is_denied_even_if_all_digests_are_made_to_fit() {
    // The bare receipt is left out, so that what denies is the statement and its own receipt.
    let chain = Chain { receipt: None, ..chain() };
    let trust = trust(true);
    assert!(judge(&material(vec![chain.material()]), &trust).is_allowed());
    for statement in every_bit_flipped(&chain.statement) {
        let repacked = Chain { statement, ..chain.clone() };
        let found = problem(repacked.material(), &trust);
        let named = matches!(
            found,
            Problem::Statement(_)
                | Problem::OtherSubject { .. }
                | Problem::OtherDocument { .. }
                | Problem::OtherType { .. }
                | Problem::NoEnvelope
                | Problem::NoTrustedReceipt { .. }
                | Problem::Receipt { .. }
                | Problem::UntrustedIssuer { .. }
        );
        assert!(named, "{found}");
    }
}

#[test]
fn every_flipped_bit_of_a_bare_receipt_is_denied_even_if_all_digests_are_made_to_fit() {
    let chain = chain();
    for flipped in every_bit_flipped(chain.receipt.as_ref().expect("there is one")) {
        let repacked = Chain { receipt: Some(flipped), ..chain.clone() };
        assert_eq!(problem(repacked.material(), &trust(true)), Problem::ForeignReceipt);
    }
}

#[test]
fn every_flipped_bit_of_a_trusted_key_denies() {
    let claims = material(vec![chain().material()]);
    let flips = |key: &PublicKey| -> Vec<PublicKey> {
        every_bit_flipped(&key.to_spki_der()).filter_map(|der| PublicKey::from_spki_der(&der).ok()).collect()
    };
    let good_service = trusted(&service_name(), service().public());
    let good_issuer = TrustedIssuer { issuer: wabbit_name(), keys: vec![wabbit().public().clone()] };
    // What is not a key any more cannot be listed; what still is one names another thumbprint.
    for key in flips(service().public()) {
        let service = TrustedService { keys: vec![key], ..good_service.clone() };
        let trust = Trust::new(vec![service], vec![good_issuer.clone()]).expect("good trust");
        assert_eq!(reason(&judge(&claims, &trust)), Some(Reason::NotTrusted));
    }
    for key in flips(wabbit().public()) {
        let issuer = TrustedIssuer { keys: vec![key], ..good_issuer.clone() };
        let trust = Trust::new(vec![good_service.clone()], vec![issuer]).expect("good trust");
        assert_eq!(reason(&judge(&claims, &trust)), Some(Reason::NotTrusted));
    }
    // The two keys exchanged: each is on the curve, neither is its owner's.
    let service = TrustedService { keys: good_issuer.keys.clone(), ..good_service.clone() };
    let trust = Trust::new(vec![service], vec![good_issuer.clone()]).expect("good trust");
    let refused = problem(chain().material(), &trust);
    let reason = ReceiptError::UnknownKey { kid: service_kid().to_string() };
    assert_eq!(refused, Problem::Receipt { service: service_name().into(), reason });
    let issuer = TrustedIssuer { keys: good_service.keys.clone(), ..good_issuer };
    let trust = Trust::new(vec![good_service], vec![issuer]).expect("good trust");
    let kid = wabbit().public().thumbprint();
    assert_eq!(problem(chain().material(), &trust), Problem::UntrustedIssuer { issuer: wabbit_name(), kid });
}

fn service_kid() -> docket_proof::key::Thumbprint {
    service().public().thumbprint()
}

#[test]
fn a_claim_about_another_artifact_is_denied_wherever_it_is_placed() {
    let other = digest(b"another manifest");
    let content = Content::HashEnvelope { digest: digest(SBOM), media_type: SBOM_TYPE.to_owned() };
    let entry = draft(&other, content).sign(&wabbit()).expect("a good draft");
    let refused = problem(Chain::of(SBOM, &entry, 2).material(), &trust(true));
    let subject = SignedStatement::decode(&entry).expect("well formed").subject().to_string();
    assert_eq!(refused, Problem::OtherSubject { artifact: digest(&artifact()), found: subject });

    let elsewhere = Chain { evidence_subject: other, ..chain() };
    let piece = Piece::EvidenceManifest;
    let expected = Problem::RefersElsewhere { piece, expected: digest(&artifact()), found: other.to_string() };
    assert_eq!(problem(elsewhere.material(), &trust(true)), expected);

    let mut claim = chain().material();
    claim.evidence = None;
    let refused = problem(claim, &trust(true));
    assert!(matches!(refused, Problem::RefersElsewhere { piece: Piece::StatementManifest, .. }), "{refused}");
}

#[test]
fn an_artifact_that_is_not_what_was_asked_for_is_denied() {
    let mut found = material(vec![chain().material()]);
    found.artifact.bytes.push(b' ');
    let Verdict::Deny { reason, message, claims, .. } = judge(&found, &trust(true)) else { panic!("allowed") };
    assert_eq!((reason, claims.len()), (Reason::NotTrusted, 0));
    assert!(message.contains(&digest(&found.artifact.bytes).to_string()), "{message}");
}

#[test]
fn the_document_and_its_type_are_those_that_were_signed() {
    let other = b"another document".as_slice();
    let swapped = Chain { document: other.to_vec(), ..chain() };
    let piece = Piece::EvidenceManifest;
    let expected = Problem::OtherDocument { piece, signed: digest(SBOM), found: digest(other) };
    assert_eq!(problem(swapped.material(), &trust(true)), expected);

    let renamed = Chain { evidence_type: "application/spdx+json".to_owned(), ..chain() };
    let (signed, found) = (SBOM_TYPE.to_owned(), "application/spdx+json".to_owned());
    assert_eq!(problem(renamed.material(), &trust(true)), Problem::OtherType { signed, found });

    let mut claim = chain().material();
    claim.document = Some(Document { expected: digest(other), seen: None });
    let expected = Problem::OtherDocument { piece: Piece::Document, signed: digest(SBOM), found: digest(other) };
    assert_eq!(problem(claim, &trust(true)), expected);

    let mut claim = payload_claim(1);
    claim.document = Some(Document { expected: digest(other), seen: None });
    assert_eq!(problem(claim, &trust(true)), Problem::NoEnvelope);
}

#[test]
fn a_purged_document_is_reported_and_the_claim_stands() {
    for document in [Some(Document { expected: digest(SBOM), seen: None }), None] {
        let mut claim = chain().material();
        claim.document = document;
        let verdict = judge(&material(vec![claim]), &trust(true));
        assert!(verdict.is_allowed(), "{verdict:?}");
        assert_eq!(verdict.claims()[0].evidence, Some(Evidence::Absent { digest: digest(SBOM) }));
    }
}

#[test]
fn a_receipt_of_an_unlisted_service_is_no_proof() {
    let elsewhere: Issuer = "https://elsewhere.example".parse().expect("a URI");
    let entry = entry_of(&chain().statement);
    let foreign = receipt(&entry, 2, &service(), &elsewhere);
    let statement = transparent(&entry, &[&foreign]).expect("a canonical entry");
    let refused = problem(Chain { statement, receipt: None, ..chain() }.material(), &trust(true));
    assert_eq!(refused, Problem::NoTrustedReceipt { found: vec![elsewhere.into()], unknown: 0 });

    let bare = Chain { statement: entry, receipt: None, ..chain() };
    assert_eq!(problem(bare.material(), &trust(true)), Problem::NoTrustedReceipt { found: vec![], unknown: 0 });
}

#[test]
fn receipts_in_foreign_forms_are_passed_over() {
    let entry = entry_of(&chain().statement);
    let good = receipt(&entry, 2, &service(), &service_name());
    let statement = transparent(&entry, &[b"another form", &good]).expect("a canonical entry");
    let claim = Chain { statement, receipt: Some(good), ..chain() }.material();
    assert!(judge(&material(vec![claim]), &trust(true)).is_allowed());
}

#[test]
fn an_issuer_must_be_listed_where_any_is() {
    let issuer =
        TrustedIssuer { issuer: "https://acme.example".parse().expect("a URI"), keys: vec![wabbit().public().clone()] };
    let service = trusted(&service_name(), service().public());
    let trust = Trust::new(vec![service], vec![issuer]).expect("good trust");
    let kid = wabbit().public().thumbprint();
    assert_eq!(problem(chain().material(), &trust), Problem::UntrustedIssuer { issuer: wabbit_name(), kid });
}

#[test]
fn a_listed_issuer_must_have_signed_itself() {
    // The service registered a statement whose signature is broken; who lists the issuer finds out.
    let mut entry = envelope(SBOM).sign(&wabbit()).expect("a good draft");
    let last = entry.len() - 1;
    entry[last] ^= 1;
    let chain = Chain::of(SBOM, &entry, 2);
    assert!(judge(&material(vec![chain.material()]), &trust(false)).is_allowed());
    let kid = wabbit().public().thumbprint();
    let refused = problem(chain.material(), &trust(true));
    assert_eq!(refused, Problem::Statement(StatementError::BadSignature { kid }));
}

#[test]
fn other_manifests_are_no_statement_manifests() {
    let chain = chain();
    let evidence = chain.material().evidence.expect("there is one").bytes;
    let good =
        String::from_utf8(statement_manifest(&chain.statement, chain.receipt.as_deref(), &evidence)).expect("JSON");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        ClaimMaterial { manifest: Found::of(good.replacen(from, to, 1).into_bytes()), ..chain.material() }
    };
    let artifact_type = format!("\"artifactType\":\"{}\"", media::SCITT_STATEMENT);
    for (from, to) in [
        (artifact_type.as_str(), "\"artifactType\":\"a/b\""),
        (media::SCITT_RECEIPT, "a/b"),
        (
            "\"layers\":[",
            "\"layers\":[{\"mediaType\":\"a/b\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2},",
        ),
    ] {
        assert_eq!(problem(with(from, to), &trust(true)), Problem::NotStatementManifest, "{to}");
    }
    let broken = problem(with("{", "["), &trust(true));
    assert!(matches!(broken, Problem::BadManifest { piece: Piece::StatementManifest, .. }), "{broken}");
    let other_layer = digest(&chain.statement).to_string();
    let refused = problem(with(&other_layer, &digest(b"another").to_string()), &trust(true));
    assert!(matches!(refused, Problem::RefersElsewhere { piece: Piece::StatementManifest, .. }), "{refused}");
}

#[test]
fn the_three_denials_are_told_apart() {
    assert_eq!(reason(&judge(&material(vec![]), &trust(true))), Some(Reason::Unsigned));

    let mut gap = material(vec![]);
    gap.gaps.push("the referrers of one page were not read".to_owned());
    let verdict = judge(&gap, &trust(true));
    assert_eq!(reason(&verdict), Some(Reason::CouldNotCheck));
    let Verdict::Deny { message, .. } = verdict else { panic!("allowed") };
    assert!(message.contains("the referrers of one page"), "{message}");

    for (statement, receipt) in [(true, false), (false, true)] {
        let mut claim = chain().material();
        claim.statement = claim.statement.filter(|_| statement);
        claim.receipt = claim.receipt.filter(|_| receipt);
        assert_eq!(reason(&judge(&material(vec![claim]), &trust(true))), Some(Reason::CouldNotCheck));
    }

    let stranger = Chain { receipt: None, statement: entry_of(&chain().statement), ..chain() };
    assert_eq!(reason(&judge(&material(vec![stranger.material()]), &trust(true))), Some(Reason::NotTrusted));
}

#[test]
fn one_believed_claim_allows_and_the_broken_one_beside_it_is_listed() {
    let mut broken = Chain::new(b"another document", 1).material();
    broken.manifest.bytes.push(b' ');
    let mut found = material(vec![broken, chain().material()]);
    found.gaps.push("one layer is too large".to_owned());
    let verdict = judge(&found, &trust(true));
    assert!(verdict.is_allowed());
    let problems: Vec<bool> = verdict.claims().iter().map(|claim| claim.problem.is_some()).collect();
    assert_eq!(problems, [false, true]);
}

#[test]
fn claims_are_listed_once_and_by_their_place_in_the_ledger() {
    let (third, first, second) = (Chain::new(b"c", 3), Chain::new(b"a", 1), payload_claim(2));
    let again = Chain { receipt: None, ..first.clone() };
    let mut broken_copy = third.clone().material();
    broken_copy.receipt = None;
    let claims = vec![broken_copy, third.material(), first.material(), second, again.material()];
    let verdict = judge(&material(claims), &trust(true));
    let indexes: Vec<_> = verdict.claims().iter().map(|claim| claim.index).collect();
    // The broken copy failed before its statement was read, so it has no entry to be merged by.
    assert_eq!(indexes, [Some(1), Some(2), Some(3), None]);

    let misplaced = Chain { evidence_type: "a/b".to_owned(), ..first.clone() };
    for claims in [[misplaced.material(), first.material()], [first.material(), misplaced.material()]] {
        let verdict = judge(&material(claims.into()), &trust(true));
        assert_eq!(verdict.claims().len(), 1);
        assert!(verdict.is_allowed());
    }
}

#[test]
fn one_claim_over_the_limit_could_not_be_checked() {
    let mut broken = chain().material();
    broken.manifest.bytes.clear();
    let mut found = material(vec![broken; CLAIMS_MAX]);
    assert_eq!(reason(&judge(&found, &trust(true))), Some(Reason::NotTrusted));
    found.claims.push(chain().material());
    let verdict = judge(&found, &trust(true));
    assert_eq!((reason(&verdict), verdict.claims().len()), (Some(Reason::CouldNotCheck), CLAIMS_MAX));
}

#[test]
fn the_verdict_is_readable_by_programs() {
    let verdict = judge(&material(vec![chain().material()]), &trust(true));
    let entry_id = verdict.claims()[0].entry_id.expect("a read statement");
    let expected = serde_json::json!({
        "verdict": "allow",
        "artifact": digest(&artifact()).to_string(),
        "claims": [{
            "issuer": "https://wabbit.example",
            "claim_type": SBOM_TYPE,
            "entry_id": entry_id.to_string(),
            "index": 2,
            "tree_size": 5,
            "service": "https://registry.wabbit.example",
            "signed_at": SIGNED_AT,
            "evidence": { "state": "present", "digest": digest(SBOM).to_string(), "size": SBOM.len() },
            "manifest": verdict.claims()[0].manifest.to_string(),
            "receipts": [{
                "service": "https://registry.wabbit.example",
                "format": "RFC9162_SHA256",
                "position": { "kind": "index", "index": 2, "tree_size": 5 },
                "signed_at": SIGNED_AT,
                "result": "ok",
            }],
            "problem": null,
        }],
    });
    assert_eq!(serde_json::to_value(&verdict).expect("plain data"), expected);

    let denied = judge(&material(vec![]), &trust(true));
    let expected = serde_json::json!({
        "verdict": "deny",
        "artifact": digest(&artifact()).to_string(),
        "reason": "unsigned",
        "message": "nothing is claimed about this artifact",
        "claims": [],
    });
    assert_eq!(serde_json::to_value(&denied).expect("plain data"), expected);
}
