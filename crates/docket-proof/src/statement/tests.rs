use docket_oci::Algorithm;

use super::*;
use crate::cbor::{CborError, Map};
use crate::cose::{CoseError, ES256};
use crate::crypto::sha384;
use crate::key::{ISSUER_CHARS_MAX, IssuerError};
use crate::subject::SubjectError;
use crate::testkeys;

mod certificates;

const DOCUMENT: &[u8] = b"{\"bomFormat\":\"CycloneDX\"}";
const DIGEST: [u8; 32] = [7; 32];

fn draft() -> Draft {
    Draft {
        issuer: "https://wabbit.example".parse().expect("a URI"),
        subject: Subject::artifact(
            &"wabbit/net-monitor".parse().expect("a repository name"),
            &Digest::of(Algorithm::Sha256, b"manifest"),
        ),
        issued_at: Some(1_700_000_000),
        content: Content::HashEnvelope {
            digest: Digest::of(Algorithm::Sha256, DOCUMENT),
            media_type: "application/vnd.cyclonedx+json".to_owned(),
        },
        typ: None,
    }
}

fn payload_draft() -> Draft {
    let content = Content::Payload { media_type: "application/json".to_owned(), bytes: b"{}".to_vec() };
    Draft { content, ..draft() }
}

fn signed(draft: &Draft) -> Vec<u8> {
    draft.sign(&testkeys::issuer()).expect("a good draft")
}

fn refusal(bytes: &[u8]) -> StatementError {
    SignedStatement::decode(bytes).expect_err("a bad statement")
}

/// A statement put together by hand: a good hash envelope, of which single entries are replaced (or dropped by `Null`).
#[derive(Clone)]
struct Forged<'a> {
    protected: Map<'a>,
    claims: Map<'a>,
    unprotected: Map<'a>,
    payload: Option<&'a [u8]>,
}

impl<'a> Forged<'a> {
    fn new(kid: &'a Thumbprint) -> Self {
        Self {
            protected: vec![
                (label::ALG.into(), ES256.into()),
                (label::KID.into(), Item::Bytes(kid.as_bytes())),
                (label::PAYLOAD_HASH_ALG.into(), (-16_i64).into()),
                (label::PREIMAGE_CONTENT_TYPE.into(), Item::Text("application/json")),
            ],
            claims: vec![
                (label::ISS.into(), Item::Text("urn:example:a")),
                (label::SUB.into(), Item::Text("pkg:oci/a")),
            ],
            unprotected: Map::new(),
            payload: Some(&DIGEST),
        }
    }

    fn protected(mut self, label: i64, value: Item<'a>) -> Self {
        set(&mut self.protected, label, value);
        self
    }

    fn claim(mut self, label: i64, value: Item<'a>) -> Self {
        set(&mut self.claims, label, value);
        self
    }

    fn unprotected(mut self, label: i64, value: Item<'a>) -> Self {
        set(&mut self.unprotected, label, value);
        self
    }

    fn payload(mut self, payload: Option<&'a [u8]>) -> Self {
        self.payload = payload;
        self
    }

    fn decode(self) -> Result<SignedStatement, StatementError> {
        let mut protected = self.protected;
        if !protected.iter().any(|(label, _)| *label == label::CWT_CLAIMS.into()) {
            protected.push((label::CWT_CLAIMS.into(), Item::Map(self.claims)));
        }
        let protected = Item::Map(protected).encode();
        let bytes =
            Sign1 { protected: &protected, unprotected: self.unprotected, payload: self.payload, signature: &[0; 64] }
                .encode();
        SignedStatement::decode(&bytes)
    }
}

fn set<'a>(map: &mut Map<'a>, label: i64, value: Item<'a>) {
    map.retain(|(candidate, _)| *candidate != label.into());
    if value != Item::Null {
        map.push((label.into(), value));
    }
}

#[test]
fn what_was_drafted_is_what_is_read() {
    let typed = Draft { typ: Some("application/vnd.wabbit.note+cose".to_owned()), ..draft() };
    for draft in [draft(), payload_draft(), typed, Draft { issued_at: None, ..draft() }] {
        let bytes = signed(&draft);
        let statement = SignedStatement::decode(&bytes).expect("our own statement");
        assert_eq!(statement.issuer(), &draft.issuer);
        assert_eq!(statement.subject(), &draft.subject);
        assert_eq!(statement.issued_at(), draft.issued_at);
        assert_eq!(statement.content(), &draft.content);
        assert_eq!(statement.typ(), draft.typ.as_deref());
        assert_eq!(statement.claim_type(), draft.content.media_type());
        assert_eq!(statement.kid(), Some(testkeys::issuer().public().thumbprint()));
        assert_eq!(statement.entry(), bytes);
        assert_eq!(statement.entry_id(), EntryId::of(&bytes));
        assert!(statement.receipts().is_empty());
        let verified = statement.clone().verify(testkeys::issuer().public()).expect("signed with this key");
        assert_eq!(verified.statement(), &statement);
        let made = draft.sign_verified(&testkeys::issuer()).expect("a good draft");
        assert_eq!(made.statement().clone().verify(testkeys::issuer().public()), Ok(made));
    }
}

#[test]
fn sha512_documents_can_be_bound() {
    let digest = Digest::of(Algorithm::Sha512, DOCUMENT);
    let content = Content::HashEnvelope { digest, media_type: "text/plain".to_owned() };
    let statement = SignedStatement::decode(&signed(&Draft { content: content.clone(), ..draft() }));
    assert_eq!(statement.expect("a good statement").content(), &content);
}

#[test]
fn sha384_documents_can_be_bound() {
    let content = Content::Sha384Envelope { hash: sha384(DOCUMENT), media_type: "text/plain".to_owned() };
    let statement = SignedStatement::decode(&signed(&Draft { content: content.clone(), ..draft() }));
    let statement = statement.expect("a good statement");
    assert_eq!((statement.content(), statement.claim_type()), (&content, "text/plain"));
}

#[test]
fn statements_are_signed_and_checked_with_every_algorithm() {
    for algorithm in SignatureAlgorithm::ALL {
        let key = testkeys::of(algorithm);
        let bytes = draft().sign(&key).expect("a good draft");
        let statement = SignedStatement::decode(&bytes).expect("our own statement");
        assert_eq!(statement.algorithm(), algorithm);
        assert!(statement.clone().verify(key.public()).is_ok(), "{algorithm}");
    }
}

#[test]
fn an_algorithm_of_another_kind_of_key_is_refused_before_the_signature_is_looked_at() {
    let keys: Vec<_> = SignatureAlgorithm::ALL.into_iter().map(testkeys::of).collect();
    for key in &keys {
        let kid = key.public().thumbprint();
        for algorithm in SignatureAlgorithm::ALL {
            let statement = Forged::new(&kid).protected(label::ALG, algorithm.number().into()).decode();
            let refused = statement.expect("well formed").verify(key.public());
            let expected = if key.public().algorithms().contains(&algorithm) {
                StatementError::BadSignature { kid }
            } else {
                StatementError::AlgorithmOfOtherKey { algorithm, key: kid }
            };
            assert_eq!(refused, Err(expected), "{algorithm} with the key of {}", key.algorithm());
        }
    }
}

#[test]
fn another_library_reads_our_statement() {
    use coset::TaggedCborSerializable;
    let read = coset::CoseSign1::from_tagged_slice(&signed(&draft())).expect("a COSE_Sign1");
    assert_eq!(read.payload.as_deref(), Some(Digest::of(Algorithm::Sha256, DOCUMENT).hash()));
    let checked = read.verify_signature(b"", |signature, signed| {
        if testkeys::issuer().public().verify(SignatureAlgorithm::Es256, signed, signature) { Ok(()) } else { Err(()) }
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn another_key_verifies_nothing() {
    let statement = SignedStatement::decode(&signed(&draft())).expect("our own statement");
    let key = testkeys::service().public().clone();
    let refused = StatementError::WrongKey { kid: testkeys::issuer().public().thumbprint(), key: key.thumbprint() };
    assert_eq!(statement.verify(&key), Err(refused));
}

#[test]
fn a_signature_by_another_key_under_this_kid_is_refused() {
    let bytes = signed(&draft());
    let parts = Sign1::decode(&bytes).expect("our own statement");
    let payload = parts.payload.expect("attached");
    let signature = testkeys::service().sign(&to_be_signed(parts.protected, payload));
    let forged = Sign1 { signature: &signature, ..parts }.encode();
    let statement = SignedStatement::decode(&forged).expect("well formed");
    let kid = testkeys::issuer().public().thumbprint();
    assert_eq!(statement.verify(testkeys::issuer().public()), Err(StatementError::BadSignature { kid }));
}

#[test]
fn every_flipped_bit_of_a_statement_is_refused() {
    // The unprotected header is empty here, so there are no unauthenticated bytes and no exception.
    for draft in [draft(), payload_draft()] {
        for flipped in testkeys::every_bit_flipped(&signed(&draft)) {
            let verified = SignedStatement::decode(&flipped).and_then(|s| s.verify(testkeys::issuer().public()));
            assert!(verified.is_err(), "{}", hex::encode(flipped));
        }
    }
}

#[test]
fn flipped_bits_beside_the_signed_parts_change_receipts_and_never_the_entry() {
    // The listed exception: label 394 and the bytes under it are not authenticated by the statement. A changed receipt is
    // for the receipt's own check to find; under another label it is not read at all.
    let entry = signed(&draft());
    let receipt = [0x5a; 40];
    let bytes = transparent(&entry, &[&receipt]).expect("a canonical entry");
    let intact = SignedStatement::decode(&bytes).expect("our own statement");
    for flipped in testkeys::every_bit_flipped(&bytes) {
        let Ok(verified) = SignedStatement::decode(&flipped).and_then(|s| s.verify(testkeys::issuer().public())) else {
            continue;
        };
        assert_eq!(verified.entry(), intact.entry(), "{}", hex::encode(&flipped));
        assert_ne!(verified.receipts(), intact.receipts(), "{}", hex::encode(&flipped));
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let bytes = signed(&draft());
    for length in 0..bytes.len() {
        let refused = refusal(&bytes[..length]);
        assert!(matches!(refused, StatementError::Cose(CoseError::Cbor(CborError::Truncated { .. }))), "{length}");
    }
    let trailing = StatementError::Cose(CborError::TrailingBytes { offset: bytes.len(), count: 1 }.into());
    assert_eq!(refusal(&[bytes.as_slice(), &[0]].concat()), trailing);
    assert_eq!(refusal(&bytes[1..]), StatementError::Cose(CoseError::NotTagged));
}

#[test]
fn loose_cbor_is_refused_outside_and_inside_the_protected_header() {
    for (hex, expected) in [
        ("d29f40a04040ff", CoseError::Cbor(CborError::IndefiniteLength { offset: 1 })),
        ("d28440bfff4040", CoseError::Cbor(CborError::IndefiniteLength { offset: 3 })),
        ("d28440a040580100", CoseError::Cbor(CborError::NotShortest { offset: 5 })),
        ("d28440a2040004004040", CoseError::Cbor(CborError::DuplicateKey { offset: 6 })),
        ("d28443bf01ffa04040", CoseError::ProtectedCbor(CborError::IndefiniteLength { offset: 0 })),
        ("d28445a201260126a04040", CoseError::ProtectedCbor(CborError::DuplicateKey { offset: 3 })),
        ("d28443a1012600a04040", CoseError::WrongShape),
    ] {
        let bytes = hex::decode(hex).expect("hex");
        let refused = refusal(&bytes);
        if expected == CoseError::WrongShape {
            assert!(matches!(refused, StatementError::Cose(_)), "{hex}");
        } else {
            assert_eq!(refused, StatementError::Cose(expected), "{hex}");
        }
    }
}

#[test]
fn a_time_may_be_bare_or_tagged() {
    let kid = testkeys::issuer().public().thumbprint();
    let forged = Forged::new(&kid);
    let issued_at = |value| forged.clone().claim(label::IAT, value).decode().map(|s| s.issued_at());
    assert_eq!(issued_at(Item::Null), Ok(None));
    assert_eq!(issued_at(5_i64.into()), Ok(Some(5)));
    assert_eq!(issued_at(Item::Tag(1, Box::new(5_i64.into()))), Ok(Some(5)));
    let refused = Err(StatementError::Header(HeaderError::IssuedAtForm));
    for value in [Item::Text("5"), Item::Tag(0, Box::new(5_i64.into())), u64::MAX.into()] {
        assert_eq!(issued_at(value), refused);
    }
}

#[test]
fn content_types_may_be_known_numbers_and_may_be_left_out() {
    let kid = testkeys::issuer().public().thumbprint();
    let forged = Forged::new(&kid);
    let claim_type =
        |value| forged.clone().protected(259, value).decode().map(|statement| statement.claim_type().to_owned());
    assert_eq!(claim_type(50_i64.into()), Ok("application/json".to_owned()));
    assert_eq!(claim_type(Item::Null), Ok("application/octet-stream".to_owned()));
    assert_eq!(claim_type(9999_i64.into()), Err(StatementError::ContentFormat { label: 259 }));
    assert_eq!(claim_type(Item::Bytes(b"a/b")), Err(StatementError::ContentFormat { label: 259 }));
    let longest = format!("a/{}", "b".repeat(MAX_MEDIA_TYPE_BYTES - 2));
    assert_eq!(claim_type(Item::Text(&longest)), Ok(longest.clone()));
    for text in [&format!("{longest}b"), "json", "a/", "/b", "a/\u{1b}[2J", "a/\u{fc}"] {
        assert_eq!(claim_type(Item::Text(text)), Err(StatementError::MediaType), "{text:?}");
    }
}

#[test]
fn headers_that_lack_or_demand_something_are_refused_by_name() {
    let kid = testkeys::issuer().public().thumbprint();
    let forged = || Forged::new(&kid);
    let array = |items: Vec<Item<'static>>| Item::Array(items);
    let long_issuer = format!("a:{}", "b".repeat(ISSUER_CHARS_MAX - 1));
    for (forged, expected) in [
        (forged().protected(label::ALG, Item::Null), HeaderError::AlgorithmMissing),
        (forged().protected(label::ALG, Item::Text("ES256")), HeaderError::AlgorithmMissing),
        (forged().protected(label::ALG, (-257_i64).into()), HeaderError::Algorithm { found: -257 }),
        (forged().protected(label::ALG, (-9_i64).into()), HeaderError::Algorithm { found: -9 }),
        (forged().protected(label::KID, Item::Null), HeaderError::KidMissing),
        (forged().protected(label::KID, Item::Bytes(b"short")), HeaderError::KidForm),
        (forged().protected(label::KID, Item::Text("kid")), HeaderError::KidForm),
        (forged().protected(label::CWT_CLAIMS, Item::Text("none")), HeaderError::ClaimsMissing),
        (forged().claim(label::ISS, Item::Null), HeaderError::IssuerMissing),
        (forged().claim(label::ISS, 7_i64.into()), HeaderError::IssuerMissing),
        (forged().claim(label::ISS, Item::Text("wabbit")), HeaderError::Issuer(IssuerError::NotAbsolute)),
        (
            forged().claim(label::ISS, Item::Text(&long_issuer)),
            HeaderError::Issuer(IssuerError::Length { found: ISSUER_CHARS_MAX + 1 }),
        ),
        (forged().claim(label::SUB, Item::Null), HeaderError::SubjectMissing),
        (forged().protected(label::CRIT, array(vec![])), HeaderError::CritMalformed),
        (forged().protected(label::CRIT, 1_i64.into()), HeaderError::CritMalformed),
        (forged().protected(label::CRIT, array(vec![Item::Bool(true)])), HeaderError::CritMalformed),
        (forged().unprotected(label::CRIT, array(vec![1_i64.into()])), HeaderError::CritMalformed),
        (
            forged().protected(label::CRIT, array(vec![1_i64.into(), 99_i64.into()])),
            HeaderError::CritUnknown { label: "99".to_owned() },
        ),
        (
            forged().protected(label::CRIT, array(vec![Item::Text("svn")])),
            HeaderError::CritUnknown { label: "\"svn\"".to_owned() },
        ),
        (
            forged().protected(label::CRIT, array(vec![label::PAYLOAD_LOCATION.into()])),
            HeaderError::CritAbsent { label: "260".to_owned() },
        ),
        (forged().unprotected(label::KID, Item::Bytes(b"other")), HeaderError::InBothHeaders { label: "4".to_owned() }),
    ] {
        assert_eq!(forged.decode(), Err(StatementError::Header(expected)));
    }
    let understood = array(vec![1_i64.into(), 4_i64.into(), 15_i64.into(), 258_i64.into()]);
    assert!(forged().protected(label::CRIT, understood).decode().is_ok());
}

#[test]
fn a_typ_is_a_media_type_or_a_content_format() {
    let kid = testkeys::issuer().public().thumbprint();
    let typ = |item| Forged::new(&kid).protected(label::TYP, item).decode().map(|statement| statement.typ);
    let crit = Item::Array(vec![label::TYP.into()]);
    assert_eq!(typ(Item::Text("application/a+cose")), Ok(Some("application/a+cose".to_owned())));
    assert_eq!(typ(18_i64.into()), Ok(None));
    assert!(Forged::new(&kid).protected(label::TYP, 18_i64.into()).protected(label::CRIT, crit).decode().is_ok());
    for (item, expected) in [
        (Item::Text("a"), StatementError::MediaType),
        (Item::Text("a/\u{1b}[2J"), StatementError::MediaType),
        (Item::Bytes(b"a/b"), StatementError::TypForm),
        ((-1_i64).into(), StatementError::TypForm),
    ] {
        assert_eq!(typ(item), Err(expected));
    }
    let draft = Draft { typ: Some("none".to_owned()), ..draft() };
    assert_eq!(draft.sign(&testkeys::issuer()), Err(StatementError::MediaType));
}

#[test]
fn hash_envelopes_follow_their_rules() {
    let kid = testkeys::issuer().public().thumbprint();
    let forged = || Forged::new(&kid);
    let location = "https://elsewhere.example/sbom";
    let wrong_length = |found| StatementError::EnvelopeDigestLength { algorithm: "sha256", expected: 32, found };
    for (forged, expected) in [
        (forged().protected(3, Item::Text("a/b")), StatementError::EnvelopeContentType),
        (forged().unprotected(3, Item::Text("a/b")), StatementError::EnvelopeContentType),
        (forged().payload(Some(&DIGEST[1..])), wrong_length(31)),
        (forged().payload(Some(&[7; 33])), wrong_length(33)),
        (forged().payload(None), StatementError::PayloadDetached),
        (forged().protected(258, (-18_i64).into()), StatementError::EnvelopeHash { found: "-18".to_owned() }),
        (
            forged().protected(258, (-43_i64).into()),
            StatementError::EnvelopeDigestLength { algorithm: "sha384", expected: 48, found: 32 },
        ),
        (
            forged().protected(258, Item::Text("sha256")),
            StatementError::EnvelopeHash { found: "that is not a number".to_owned() },
        ),
        (forged().protected(258, Item::Null), StatementError::EnvelopeWithoutHash { label: 259 }),
        (forged().protected(260, 1_i64.into()), StatementError::EnvelopeLocation),
        (forged().unprotected(260, Item::Text(location)), StatementError::EnvelopeUnprotected { label: 260 }),
        (
            forged().protected(258, Item::Null).protected(259, Item::Null).unprotected(258, (-16_i64).into()),
            StatementError::EnvelopeUnprotected { label: 258 },
        ),
        (forged().claim(label::SUB, Item::Text("")), StatementError::Subject(SubjectError::Length { found: 0 })),
        (forged().claim(label::SUB, Item::Text("pkg:oci/a@1")), StatementError::Subject(SubjectError::BadDigest)),
    ] {
        assert_eq!(forged.decode(), Err(expected));
    }
    assert!(forged().protected(260, Item::Text(location)).decode().is_ok());
}

#[test]
fn receipts_are_an_array_of_one_to_sixteen_byte_strings() {
    let kid = testkeys::issuer().public().thumbprint();
    let with = |value| Forged::new(&kid).unprotected(label::RECEIPTS, value).decode();
    let many = |count| Item::Array(vec![Item::Bytes(b"receipt"); count]);
    assert_eq!(with(many(MAX_RECEIPTS)).map(|s| s.receipts().len()), Ok(MAX_RECEIPTS));
    assert_eq!(with(many(0)), Err(StatementError::ReceiptCount { found: 0 }));
    assert_eq!(with(many(MAX_RECEIPTS + 1)), Err(StatementError::ReceiptCount { found: MAX_RECEIPTS + 1 }));
    for value in [Item::Bytes(b"receipt"), Item::Array(vec![Item::Text("receipt")]), Item::Map(vec![])] {
        assert_eq!(with(value), Err(StatementError::ReceiptsForm));
    }
}

#[test]
fn what_is_not_authenticated_does_not_reach_the_entry() {
    let kid = testkeys::issuer().public().thumbprint();
    let bare = Forged::new(&kid).decode().expect("a good statement");
    let dressed = Forged::new(&kid)
        .unprotected(label::X5CHAIN, Item::Bytes(b"a certificate"))
        .unprotected(4711, Item::Text("anything"))
        .unprotected(label::RECEIPTS, Item::Array(vec![Item::Bytes(b"receipt")]))
        .decode()
        .expect("a good statement");
    assert_eq!((dressed.entry(), dressed.entry_id()), (bare.entry(), bare.entry_id()));
}

#[test]
fn one_byte_over_the_entry_limit_is_refused() {
    let with_payload = |length| {
        let content = Content::Payload { media_type: "a/b".to_owned(), bytes: vec![0; length] };
        Draft { content, ..draft() }.sign(&testkeys::issuer())
    };
    let overhead = with_payload(60_000).expect("below the limit").len() - 60_000;
    let fits = MAX_ENTRY_BYTES - overhead;
    let entry = with_payload(fits).expect("exactly the limit");
    assert_eq!(entry.len(), MAX_ENTRY_BYTES);
    assert!(SignedStatement::decode(&entry).is_ok());
    assert_eq!(with_payload(fits + 1), Err(StatementError::EntryTooLarge { bytes: MAX_ENTRY_BYTES + 1 }));
    assert_eq!(with_payload(MAX_ENTRY_BYTES + 1), Err(StatementError::EntryTooLarge { bytes: MAX_ENTRY_BYTES + 1 }));

    let kid = testkeys::issuer().public().thumbprint();
    let forged = Forged::new(&kid).protected(258, Item::Null).protected(259, Item::Null);
    let refused = forged.payload(Some(&vec![0; MAX_ENTRY_BYTES])).decode();
    assert!(matches!(refused, Err(StatementError::EntryTooLarge { .. })), "{refused:?}");
}

#[test]
fn one_byte_over_the_statement_limit_is_refused() {
    let entry = signed(&draft());
    let receipt = |bytes: usize| vec![0; bytes];
    let overhead = transparent(&entry, &[&receipt(100_000)]).expect("below the limit").len() - 100_000;
    let fits = receipt(MAX_STATEMENT_BYTES - overhead);
    let statement = transparent(&entry, &[&fits]).expect("exactly the limit");
    assert_eq!(statement.len(), MAX_STATEMENT_BYTES);
    assert!(SignedStatement::decode(&statement).is_ok());
    let over = StatementError::TooLarge { bytes: MAX_STATEMENT_BYTES + 1 };
    assert_eq!(transparent(&entry, &[&receipt(fits.len() + 1)]), Err(over.clone()));
    assert_eq!(refusal(&vec![0; MAX_STATEMENT_BYTES + 1]), over);
}

#[test]
fn a_transparent_statement_is_its_entry_with_receipts() {
    let entry = signed(&draft());
    let bytes = transparent(&entry, &[b"one", b"two"]).expect("a canonical entry");
    let statement = SignedStatement::decode(&bytes).expect("still a statement");
    assert_eq!(statement.entry(), entry);
    assert_eq!(statement.receipts(), [b"one".to_vec(), b"two".to_vec()]);
    assert!(statement.verify(testkeys::issuer().public()).is_ok());
    assert_eq!(transparent(&bytes, &[b"three"]), Err(StatementError::EntryNotCanonical));
    assert_eq!(transparent(&entry, &[]), Err(StatementError::ReceiptCount { found: 0 }));
    let many = [b"r".as_slice(); MAX_RECEIPTS + 1];
    assert_eq!(transparent(&entry, &many), Err(StatementError::ReceiptCount { found: MAX_RECEIPTS + 1 }));
    assert_eq!(transparent(&entry[1..], &[b"one"]), Err(StatementError::Cose(CoseError::NotTagged)));
}

#[test]
fn a_draft_with_a_bad_media_type_is_not_signed() {
    let content = Content::Payload { media_type: "json".to_owned(), bytes: vec![] };
    assert_eq!(Draft { content, ..draft() }.sign(&testkeys::issuer()), Err(StatementError::MediaType));
}

#[test]
fn entry_ids_are_lower_case_hex() {
    let id = EntryId::of(b"entry");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(EntryId::from_bytes(*id.as_bytes()), id);
    for text in ["", &id.to_string()[1..], &id.to_string().to_uppercase(), &format!("{id}00")] {
        assert_eq!(text.parse::<EntryId>(), Err(EntryIdError));
    }
}

#[test]
fn an_in_toto_payload_makes_a_claim_of_its_predicate_type() {
    const IN_TOTO: &str = "application/vnd.in-toto+json";
    let claim = |payload: &str| {
        let content = Content::Payload { media_type: IN_TOTO.to_owned(), bytes: payload.as_bytes().to_vec() };
        let statement = SignedStatement::decode(&signed(&Draft { content, ..draft() })).expect("well formed");
        statement.claim_type().to_owned()
    };
    let of_type = |predicate_type: &str| {
        let subject = draft().subject.digest().expect("an artifact").hex();
        let subject = format!(r#""subject":[{{"digest":{{"sha1":"x"}}}},{{"digest":{{"sha256":"{subject}"}}}}]"#);
        let kind = r#""_type":"https://in-toto.io/Statement/v1""#;
        claim(&format!(r#"{{{kind},{subject},"predicateType":"{predicate_type}","more":1}}"#))
    };
    assert_eq!(of_type("https://slsa.dev/provenance/v1"), "https://slsa.dev/provenance/v1");
    let longest = "p".repeat(MAX_PREDICATE_TYPE_BYTES);
    assert_eq!(of_type(&longest), longest);
    for bad in [format!("{longest}p"), String::new(), "two words".to_owned(), "\u{e9}".to_owned()] {
        assert_eq!(of_type(&bad), IN_TOTO, "{bad}");
    }
    for bad in ["{}", "[]", r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"a"}"#] {
        assert_eq!(claim(bad), IN_TOTO, "{bad}");
    }
}

#[test]
fn an_in_toto_statement_is_about_what_the_signed_subject_is() {
    let digest = draft().subject.digest().expect("an artifact");
    let decode = |subjects: &str| {
        let kind = r#""_type":"https://in-toto.io/Statement/v1","predicateType":"https://a.example/b""#;
        let bytes = format!(r#"{{{kind},"subject":{subjects}}}"#).into_bytes();
        let content = Content::Payload { media_type: "application/vnd.in-toto+json".to_owned(), bytes };
        SignedStatement::decode(&signed(&Draft { content, ..draft() }))
    };
    let (right, other) = (digest.hex(), "0".repeat(64));
    assert!(decode(&format!(r#"[{{"name":"a","digest":{{"sha256":"{right}"}}}}]"#)).is_ok());
    for wrong in [
        "[]".to_owned(),
        format!(r#"[{{"digest":{{"sha256":"{other}"}}}}]"#),
        format!(r#"[{{"digest":{{"sha512":"{right}"}}}}]"#),
        format!(r#"[{{"digest":{{"sha256":"{}"}}}}]"#, right.to_uppercase()),
    ] {
        assert_eq!(decode(&wrong), Err(StatementError::InTotoSubject { digest }), "{wrong}");
    }
    // Without subjects it is no in-toto Statement, so it says nothing twice.
    assert_eq!(decode("7").expect("well formed").claim_type(), "application/vnd.in-toto+json");
}
