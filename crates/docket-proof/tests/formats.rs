//! The golden files of every format this crate writes, version 0: what is determined must come out byte for byte, what is
//! signed must still verify.

use docket_oci::{Algorithm, Digest};
use docket_proof::cbor::{parse_problem_details, problem_details};
use docket_proof::cose::Sign1;
use docket_proof::key::{Issuer, KeyFile, PublicKey, PublicKeyFile, SigningKey, key_set, parse_key_set};
use docket_proof::merkle::{Appended, Frontier, Hash, leaf_hash};
use docket_proof::receipt::{BatchSeal, Profile, Receipt};
use docket_proof::statement::{Content, Draft, SignedStatement, transparent};
use docket_proof::subject::Subject;
use docket_proof::tile::TileId;
use docket_proof::trust::{Trust, TrustedIssuer, TrustedService};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/formats/v0/", $name)).as_slice()
    };
}

macro_rules! golden_text {
    ($name:literal) => {
        include_str!(concat!("../testdata/formats/v0/", $name))
    };
}

const SIGNED_AT: i64 = 1_700_000_000;
const LOG: &str = "docket:golden";

fn wabbit() -> SigningKey {
    KeyFile::parse(golden_text!("wabbit.key")).expect("a golden key").key
}

fn service() -> SigningKey {
    KeyFile::parse(golden_text!("service.key")).expect("a golden key").key
}

fn wabbit_name() -> Issuer {
    "https://wabbit.example".parse().expect("a URI")
}

fn service_name() -> Issuer {
    "https://registry.wabbit.example".parse().expect("a URI")
}

fn draft(content: Content) -> Draft {
    let repository = "wabbit/net-monitor".parse().expect("a repository name");
    let subject = Subject::artifact(&repository, &Digest::of(Algorithm::Sha256, b"the manifest"));
    Draft { issuer: wabbit_name(), subject, issued_at: Some(SIGNED_AT), content, typ: None }
}

fn envelope() -> Draft {
    let digest = Digest::of(Algorithm::Sha256, b"the document");
    draft(Content::HashEnvelope { digest, media_type: "application/vnd.cyclonedx+json".to_owned() })
}

fn payload() -> Draft {
    let bytes = br#"{"_type":"https://in-toto.io/Statement/v1"}"#.to_vec();
    draft(Content::Payload { media_type: "application/vnd.in-toto+json".to_owned(), bytes })
}

/// A tree of three entries: a genesis, the envelope, the payload.
fn tree() -> Appended {
    let entries = [b"genesis".as_slice(), golden!("statement-envelope.cbor"), golden!("statement-payload.cbor")];
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    Frontier::new().append(&leaves)
}

fn trust() -> Trust {
    let service = TrustedService {
        issuer: service_name().into(),
        url: Some("http://localhost:5000".to_owned()),
        keys: vec![service().public().clone()],
        profile: Profile::default(),
    };
    let issuer = TrustedIssuer { issuer: wabbit_name(), keys: vec![wabbit().public().clone()] };
    Trust::new(vec![service], vec![issuer]).expect("good trust")
}

#[test]
fn key_files_are_written_as_they_were() {
    for (private, public) in [
        (golden_text!("wabbit.key"), golden_text!("wabbit.pub")),
        (golden_text!("service.key"), golden_text!("service.pub")),
    ] {
        let file = KeyFile::parse(private).expect("a golden key");
        assert_eq!(*file.to_text(), private);
        assert_eq!(file.to_public().to_text(), public);
        assert_eq!(PublicKeyFile::parse(public), Ok(file.to_public()));
    }
}

#[test]
fn thumbprints_are_what_they_were() {
    assert_eq!(wabbit().public().thumbprint().to_string(), golden_text!("wabbit.thumbprint").trim_end());
    assert_eq!(wabbit().public().thumbprint().urn(), golden_text!("wabbit.urn").trim_end());
}

#[test]
fn statements_are_written_as_they_were_but_for_the_signature() {
    for (draft, golden) in
        [(envelope(), golden!("statement-envelope.cbor")), (payload(), golden!("statement-payload.cbor"))]
    {
        let ours = draft.sign(&wabbit()).expect("a good draft");
        let ours = Sign1::decode(&ours).expect("our own statement");
        let theirs = Sign1::decode(golden).expect("a golden statement");
        assert_eq!(Sign1 { signature: theirs.signature, ..ours }.encode(), golden);

        let statement = SignedStatement::decode(golden).expect("a golden statement");
        assert_eq!((statement.entry(), statement.content()), (golden, &draft.content));
        assert!(statement.verify(wabbit().public()).is_ok());
    }
}

#[test]
fn entries_have_the_names_they_had() {
    let statement = SignedStatement::decode(golden!("transparent.cbor")).expect("a golden statement");
    assert_eq!(statement.entry(), golden!("statement-envelope.cbor"));
    assert_eq!(statement.entry_id().to_string(), golden_text!("entry-id.txt").trim_end());
}

#[test]
fn receipts_are_put_together_as_they_were() {
    let golden = golden!("receipt.cbor");
    let tree = tree();
    let receipt = Receipt::decode(golden).expect("a golden receipt");
    assert_eq!(receipt.verify(golden!("statement-envelope.cbor"), service().public()), Ok(tree.root));

    let parts = Sign1::decode(golden).expect("a golden receipt");
    let seal = BatchSeal { protected: parts.protected.to_vec(), signature: parts.signature.to_vec() };
    assert_eq!(seal.receipt(1, 3, &tree.paths[1]), golden);
    let again = BatchSeal::sign(&service(), &service_name(), LOG, SIGNED_AT, 3, &tree.root);
    assert_eq!(again.protected, seal.protected);
}

#[test]
fn transparent_statements_are_put_together_as_they_were() {
    let again = transparent(golden!("statement-envelope.cbor"), &[golden!("receipt.cbor")]);
    assert_eq!(again.as_deref(), Ok(golden!("transparent.cbor")));
}

#[test]
fn key_sets_are_written_as_they_were() {
    let (wabbit, service) = (wabbit().public().clone(), service().public().clone());
    assert_eq!(key_set(&[&service, &wabbit]), golden!("key-set.cbor"));
    assert_eq!(parse_key_set(golden!("key-set.cbor")), Ok(vec![Ok(service), Ok(wabbit.clone())]));
    assert_eq!(PublicKey::from_cose_key(&wabbit.to_cose_key()), Ok(wabbit));
}

#[test]
fn frontiers_are_written_as_they_were() {
    let frontier = tree().frontier;
    assert_eq!(frontier.to_bytes(), golden!("frontier.bin"));
    assert_eq!(Frontier::from_bytes(golden!("frontier.bin")), Ok(frontier));
}

#[test]
fn trust_files_are_written_as_they_were() {
    assert_eq!(trust().to_text(), golden_text!("trust.toml"));
    assert_eq!(Trust::parse(golden_text!("trust.toml")), Ok(trust()));
}

#[test]
fn problems_and_tile_paths_are_written_as_they_were() {
    assert_eq!(problem_details("Rejected", "issuer is not admitted"), golden!("problem.cbor"));
    let read = parse_problem_details(golden!("problem.cbor"));
    assert_eq!(read, Some(("Rejected".to_owned(), "issuer is not admitted".to_owned())));
    let tile = TileId { level: 1, index: 1_234_067 };
    assert_eq!(tile.path(Some(8)), golden_text!("tile-path.txt").trim_end());
}
