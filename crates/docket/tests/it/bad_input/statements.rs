//! Statements that are refused: malformed, unauthentic, by strangers, or about something else. What is said is which.

use docket_proof::cbor::Item;
use docket_proof::cose::label;
use docket_proof::statement::{MAX_ENTRY_BYTES, MAX_STATEMENT_BYTES};

use super::forgery::{Forgery, with, without};
use super::state::State;
use crate::harness::{Ask as _, Issuer, Server, Site, bytes_of, sha256};

/// A statement that is refused, with the title and a part of the detail that say why.
struct Case {
    what: &'static str,
    statement: Vec<u8>,
    title: &'static str,
    detail: &'static str,
}

#[tokio::test]
async fn each_statement_that_is_refused_is_told_why_and_changes_nothing() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("wabbit/net-monitor");
    let image = repository.push_image("v1", 1).await;
    let subject = format!("pkg:oci/net-monitor@sha256%3A{}", sha256(&image).hex());
    let right = Forgery::new(&issuer, &subject, |_| ()).sign();
    let before = State::of(&site, &server).await;
    for case in malformed(&right).into_iter().chain(forged(&issuer, &subject)).chain(unauthentic(&issuer, &subject)) {
        for answer in [server.register(&case.statement).await, repository.claim(&case.statement).await] {
            let answer = answer.expecting(400);
            let (title, detail) = answer.problem();
            assert_eq!(title, case.title, "{}: {detail}", case.what);
            assert!(detail.contains(case.detail), "{}: {detail}", case.what);
        }
    }
    before.is_unchanged(&site, &server).await;
    // The pattern that they were all made from is fine.
    repository.claim(&right).await.expecting(201);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn a_place_that_contradicts_what_is_signed_is_refused() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let (here, there) = (server.repository("here"), server.repository("there"));
    let image = here.push_image("v1", 1).await;
    let other = there.push_image("v1", 2).await;
    here.push_blob("an sbom").await;
    let before = State::of(&site, &server).await;
    let about = |artifact: &[u8], document: &[u8]| issuer.about_document(&sha256(artifact), "text/plain", document);
    let refused = [
        (about(&other, b"an sbom"), "which this repository does not hold"),
        (about(b"nothing anywhere", b"an sbom"), "which this repository does not hold"),
        (about(&image, b"never uploaded"), "upload the document"),
        (issuer.about_stream("here", "text/plain", b"a stream"), "names no artifact digest"),
    ];
    for (statement, expected) in refused {
        let (title, detail) = here.claim(&statement).await.expecting(400).problem();
        assert_eq!(title, "Wrong Place");
        assert!(detail.contains(expected), "{detail}");
    }
    // The document was uploaded, but to another repository.
    let elsewhere = server.repository("there").claim(&about(&other, b"an sbom")).await.expecting(400);
    assert!(elsewhere.problem().1.contains("upload the document"));
    let nowhere = server.repository("never/pushed").claim(&about(&image, b"an sbom")).await.expecting(400);
    assert!(nowhere.problem().1.contains("does not hold"));
    before.is_unchanged(&site, &server).await;
    here.claim(&about(&image, b"an sbom")).await.expecting(201);
    server.stop().await;
    site.fsck_clean();
}

#[tokio::test]
async fn a_refused_claim_leaves_its_document_invisible_as_evidence() {
    let site = Site::new();
    site.admit("wabbit");
    let stranger = Issuer::new("stranger");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    repository.push_blob("an sbom").await;
    let statement = stranger.about_document(&sha256(&image), "application/spdx+json", b"an sbom");
    let (title, detail) = repository.claim(&statement).await.expecting(400).problem();
    assert_eq!(title, "Rejected");
    assert!(detail.contains(stranger.identity()) && detail.contains("docket issuer add"), "{detail}");
    assert!(repository.referrers(&sha256(&image)).await.is_empty());
    let claims = server.request("GET", &format!("/api/v1/claims?artifact={}", sha256(&image))).expect(200).await;
    assert_eq!(claims.json()["claims"], serde_json::json!([]));
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 2);
}

#[tokio::test]
async fn only_statements_of_bounded_size_and_right_type_are_read() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start(&site);
    let repository = server.repository("a");
    let image = repository.push_image("v1", 1).await;
    let subject = format!("pkg:oci/a@sha256%3A{}", sha256(&image).hex());
    let before = State::of(&site, &server).await;
    let path = repository.path("_scitt/ledger/entries");
    for place in ["/entries", path.as_str()] {
        let post = |content_type: &str, body: Vec<u8>| {
            server.request("POST", place).header("content-type", content_type).body(body)
        };
        for length in [MAX_STATEMENT_BYTES + 1, 20 * MAX_STATEMENT_BYTES] {
            let (_, detail) = post("application/cose", bytes_of(1, length)).expect(413).await.problem();
            assert!(detail.contains(&MAX_STATEMENT_BYTES.to_string()), "{detail}");
        }
        for content_type in ["text/plain", "application/json", "application/cbor", ""] {
            let right = Forgery::new(&issuer, &subject, |_| ()).sign();
            let (title, detail) = post(content_type, right).expect(400).await.problem();
            assert_eq!(title, "Malformed request");
            assert!(detail.contains("application/cose"), "{detail}");
        }
    }
    before.is_unchanged(&site, &server).await;

    // An entry of the largest size is taken, one byte more is not.
    let payload = vec![b'x'; MAX_ENTRY_BYTES];
    let with_payload = |length: usize| {
        let mut forgery = Forgery::new(&issuer, &subject, |_| ());
        forgery.payload = Some(&payload[..length]);
        forgery.sign()
    };
    let frame = with_payload(60_000).len() - 60_000;
    let (_, detail) = server.register(&with_payload(MAX_ENTRY_BYTES - frame + 1)).await.expecting(400).problem();
    assert!(detail.contains("65536") && detail.contains("65535"), "{detail}");
    repository.claim(&with_payload(MAX_ENTRY_BYTES - frame)).await.expecting(201);
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

/// Bytes that are no statement, made from ones that are.
fn malformed(right: &[u8]) -> Vec<Case> {
    let case = |what, statement: Vec<u8>, detail| Case { what, statement, title: "Malformed request", detail };
    let mut indefinite = right.to_vec();
    assert_eq!(indefinite[1], 0x84, "an array of four behind the tag");
    indefinite[1] = 0x9f;
    indefinite.push(0xff);
    let mut long_head = vec![right[0], 0x98, 4];
    long_head.extend(&right[2..]);
    vec![
        case("nothing", vec![], "cut short"),
        case("cut in the middle", right[..right.len() / 2].to_vec(), "cut short"),
        case("cut by one byte", right[..right.len() - 1].to_vec(), "cut short"),
        case("one byte too many", [right, &[0]].concat(), "1 bytes after"),
        case("twice", right.repeat(2), "bytes after"),
        case("indefinite length", indefinite, "indefinite length"),
        case("a longer head than needed", long_head, "shortest form"),
        case("json", br#"{"iss":"https://wabbit.example"}"#.to_vec(), ""),
        case("without its tag", right[1..].to_vec(), "tag 18"),
        case("under another tag", [&[0xd1], &right[1..]].concat(), "tag 18"),
        case("deep nesting", [&[0xd2][..], &[0x81; 200], &[0]].concat(), "deeper"),
        case("a float", vec![0xd2, 0xf9, 0, 0], "floating-point"),
    ]
}

/// Statements with a right signature over a wrong header.
fn forged(issuer: &Issuer, subject: &str) -> Vec<Case> {
    let titled = |what, title, forgery: Forgery<'_>, detail| Case { what, statement: forgery.sign(), title, detail };
    let case = |what, forgery: Forgery<'_>, detail| titled(what, "Malformed request", forgery, detail);
    let new = |change: Box<dyn FnOnce(&mut docket_proof::cbor::Map<'_>)>| Forgery::new(issuer, subject, change);

    let mut twice = new(Box::new(|_| ()));
    twice.protected[0] += 1;
    twice.protected.extend([0x01, 0x26]);
    let mut loose = new(Box::new(|_| ()));
    loose.unprotected = vec![(label::PAYLOAD_HASH_ALG.into(), Item::Integer(-16))];
    let mut both = new(Box::new(|_| ()));
    both.unprotected = vec![(label::KID.into(), Item::Bytes(b"another"))];
    let mut detached = new(Box::new(|_| ()));
    detached.payload = None;
    let crit = |label| with(label::CRIT, Item::Array(vec![label]));
    let envelope = |label: i64, value: Item<'static>| {
        new(Box::new(move |map| {
            without(label::CONTENT_TYPE)(map);
            with(label, value)(map);
        }))
    };
    vec![
        case("a key twice in the protected header", twice, "repeats the key"),
        case("a hash algorithm outside the protected header", loose, "unprotected"),
        case("a label in both headers", both, "in the protected and in the unprotected"),
        titled("no payload", "Payload Missing", detached, "detached"),
        case("a critical label that is unknown", new(Box::new(crit(Item::Text("x")))), "not understood"),
        case("a critical number that is unknown", new(Box::new(crit(Item::Integer(-70_000)))), "-70000"),
        case("a critical label that is absent", new(Box::new(crit(Item::Integer(260)))), "does not hold"),
        case("an empty list of critical labels", new(Box::new(with(label::CRIT, Item::Array(vec![])))), "non-empty"),
        titled("RS256", "Bad Signature Algorithm", new(Box::new(with(label::ALG, Item::Integer(-257)))), "-257"),
        titled(
            "an algorithm of other keys",
            "Bad Signature Algorithm",
            new(Box::new(with(label::ALG, Item::Integer(-8)))),
            "cannot sign with",
        ),
        titled("a MAC", "Bad Signature Algorithm", new(Box::new(with(label::ALG, Item::Integer(5)))), "5"),
        case("no algorithm", new(Box::new(without(label::ALG))), "no signature algorithm"),
        case("no key id", new(Box::new(without(label::KID))), "neither kid"),
        case("a key id of another form", new(Box::new(with(label::KID, Item::Bytes(b"1")))), "thumbprint"),
        case("no claims", new(Box::new(without(label::CWT_CLAIMS))), "no CWT claims"),
        case("empty claims", new(Box::new(with(label::CWT_CLAIMS, Item::Map(vec![])))), "no iss"),
        case("an envelope too short for its hash", envelope(258, Item::Integer(-16)), "4 bytes"),
        case("an unknown hash", envelope(258, Item::Integer(-45)), "-45"),
        case("half an envelope", envelope(259, Item::Text("text/plain")), "without the hash algorithm"),
        case("an envelope with a content type", new(Box::new(with(258, Item::Integer(-16)))), "may not have"),
        case("a media type that is none", new(Box::new(with(label::CONTENT_TYPE, Item::Text("plain")))), "media type"),
    ]
}

/// Well-formed statements whose signer is not who it should be.
fn unauthentic(issuer: &Issuer, subject: &str) -> Vec<Case> {
    let sign = |issuer: &Issuer| Forgery::new(issuer, subject, |_| ()).sign();
    let mut flipped = sign(issuer);
    *flipped.last_mut().expect("a signature") ^= 1;
    let mut edited = Forgery::new(issuer, subject, |_| ()).sign();
    let at = edited.windows(4).position(|window| window == b"text").expect("the payload or its type");
    edited[at] = b'T';
    let stranger = Issuer::new("stranger");
    let impostor = Issuer::new("wabbit");
    vec![
        Case { what: "a flipped bit in the signature", statement: flipped, title: "Bad Signature", detail: "verify" },
        Case { what: "an edited statement", statement: edited, title: "Bad Signature", detail: "verify" },
        Case { what: "an unknown issuer", statement: sign(&stranger), title: "Rejected", detail: "is not admitted" },
        Case {
            what: "an admitted name with another key",
            statement: sign(&impostor),
            title: "Rejected",
            detail: "is not admitted",
        },
        Case {
            what: "an admitted key under another name",
            statement: sign(&issuer.calling_itself("acme")),
            title: "Rejected",
            detail: "sign it as https://wabbit.example",
        },
    ]
}
