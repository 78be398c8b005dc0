//! The golden files of every format this crate writes, version 1: what is determined must come out byte for byte, what is
//! signed must still verify.

use std::path::Path;
use std::{env, fs};

use docket_oci::{Algorithm, Digest};
use docket_proof::cbor::{parse_problem_details, problem_details};
use docket_proof::certified::{CertifiedIssuer, IssuerPattern};
use docket_proof::checkpoint::Checkpoint;
use docket_proof::cose::Sign1;
use docket_proof::key::{
    Issuer, KeyFile, Passphrase, PublicKey, PublicKeyFile, SigningKey, key_set, parse_key_set, seal, unseal,
};
use docket_proof::log_policy::LogPolicy;
use docket_proof::log_proof::LogProof;
use docket_proof::merkle::{Appended, Frontier, Hash, leaf_hash};
use docket_proof::note::{Note, NoteKeyKind, NoteSigner};
use docket_proof::receipt::{BatchSeal, ConsistencyReceipt, Profile, Receipt};
use docket_proof::statement::{Content, Draft, SignedStatement, transparent};
use docket_proof::subject::Subject;
use docket_proof::tile::{TileId, decode_bundle, encode_bundle};
use docket_proof::trust::{Need, Requirement, Trust, TrustedIssuer, TrustedService};
use docket_proof::x509::{Chain, Roots};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/formats/v1/", $name)).as_slice()
    };
}

macro_rules! golden_text {
    ($name:literal) => {
        include_str!(concat!("../testdata/formats/v1/", $name))
    };
}

const SIGNED_AT: i64 = 1_700_000_000;
/// When the golden certificates are valid.
const CERTIFIED_AT: i64 = 2_000_000_000;
const LOG: &str = "docket:golden";
const LOG_NAME: &str = "registry.wabbit.example/log";

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

/// A genesis, the envelope, the payload.
fn entries() -> [&'static [u8]; 3] {
    [b"genesis", golden!("statement-envelope.cbor"), golden!("statement-payload.cbor")]
}

fn tree() -> Appended {
    let leaves: Vec<Hash> = entries().iter().map(|entry| leaf_hash(entry)).collect();
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

/// Certificates that speak for whom a pattern names.
fn certified(pattern: &str) -> CertifiedIssuer {
    let root = Roots::new(&[chain().certificates()[1].der()]).expect("a root");
    let pattern: IssuerPattern = pattern.parse().expect("a pattern");
    CertifiedIssuer::new(root, vec![pattern], Some("1.3.6.1.5.5.7.3.3".to_owned())).expect("good roots")
}

fn chain() -> Chain {
    Chain::from_pem(golden_text!("wabbit.chain.pem")).expect("golden certificates")
}

#[test]
fn statements_by_certificate_are_written_as_they_were_but_for_the_signature() {
    let golden = golden!("statement-certified.cbor");
    let ours = envelope().sign_by_certificate(&wabbit(), &chain()).expect("a good draft");
    let ours = Sign1::decode(&ours).expect("our own statement");
    let theirs = Sign1::decode(golden).expect("a golden statement");
    assert_eq!(Sign1 { signature: theirs.signature, ..ours }.encode(), golden);
    let statement = SignedStatement::decode(golden).expect("a golden statement");
    let certified = certified("https://wabbit.example");
    assert!(statement.verify_by_certificate(certified.roots(), CERTIFIED_AT, certified.purpose()).is_ok());
}

#[test]
fn encrypted_keys_open_as_they_did() {
    let opened = unseal(golden_text!("wabbit.sealed.key"), Some(&passphrase())).expect("the passphrase fits");
    assert_eq!(*opened, golden_text!("wabbit.key"));
}

fn passphrase() -> Passphrase {
    Passphrase::from_line(b"golden").expect("a passphrase")
}

fn log_key() -> NoteSigner {
    let name = LOG_NAME.parse().expect("a name");
    NoteSigner::parse(name, NoteKeyKind::Ed25519, golden_text!("log.key")).expect("a golden key")
}

#[test]
fn checkpoints_proofs_and_bundles_are_written_as_they_were() {
    // Ed25519 draws nothing at random: the whole note comes out again.
    let checkpoint = Checkpoint::new(LOG_NAME, 3, tree().root).sign(&log_key());
    assert_eq!(checkpoint.to_string(), golden_text!("checkpoint"));
    let proof = proof(checkpoint.note().clone());
    assert_eq!(proof.to_string(), golden_text!("tlog-proof"));
    let policy = LogPolicy::parse(&format!("log {}\nquorum none\n", log_key().public())).expect("a good policy");
    let read: LogProof = golden_text!("tlog-proof").parse().expect("a golden proof");
    assert!(read.verify(&leaf_hash(golden!("statement-envelope.cbor")), &policy).is_ok());

    let bundle = encode_bundle(entries()).expect("short entries");
    assert_eq!(bundle, golden!("bundle.bin"));
    assert_eq!(decode_bundle(&bundle), Ok(entries().to_vec()));
}

fn proof(checkpoint: Note) -> LogProof {
    LogProof { extra: None, index: 1, path: tree().paths[1].clone(), checkpoint }
}

/// What is signed in a form that a golden file is to be made of, in a folder that `DOCKET_GOLDEN_FOLDER` names and that
/// must not exist yet.
#[test]
fn golden_files_are_made_only_when_asked_for() {
    let Some(target) = env::var_os("DOCKET_GOLDEN_FOLDER") else { return };
    let target = Path::new(&target);
    fs::create_dir(target).expect("the folder must not exist yet");
    let write = |name: &str, bytes: &[u8]| fs::write(target.join(name), bytes).expect("written");
    let parts = Sign1::decode(golden!("receipt.cbor")).expect("a golden receipt");
    let sealed = BatchSeal { protected: parts.protected.to_vec(), signature: parts.signature.to_vec() };
    let path = [leaf_hash(golden!("statement-payload.cbor"))];
    write("consistency.cbor", &sealed.consistency_receipt(2, 3, &path));
    write("statement-certified.cbor", &envelope().sign_by_certificate(&wabbit(), &chain()).expect("a good draft"));
    write("wabbit.sealed.key", seal(golden_text!("wabbit.key"), &passphrase()).expect("sealed").as_bytes());
    write("trust-certified.toml", certified_trust().to_text().as_bytes());
    let log = NoteSigner::generate(LOG_NAME.parse().expect("a name"), NoteKeyKind::Ed25519);
    write("log.key", log.to_text(&service_name()).as_bytes());
    let checkpoint = Checkpoint::new(LOG_NAME, 3, tree().root).sign(&log);
    write("checkpoint", checkpoint.to_string().as_bytes());
    write("tlog-proof", proof(checkpoint.note().clone()).to_string().as_bytes());
    write("bundle.bin", &encode_bundle(entries()).expect("short entries"));
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
    // From size 2 to 3 the third leaf is the whole proof.
    let grown = seal.consistency_receipt(2, 3, &[leaf_hash(golden!("statement-payload.cbor"))]);
    assert_eq!(grown, golden!("consistency.cbor"));
    let two = Frontier::new().append(&[leaf_hash(b"genesis"), leaf_hash(golden!("statement-envelope.cbor"))]).root;
    let read = ConsistencyReceipt::decode(golden!("consistency.cbor")).expect("a golden receipt");
    assert_eq!(read.verify(2, &two, service().public()), Ok(tree.root));
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

/// The same with certificates, and with a receipt that must be there.
fn certified_trust() -> Trust {
    let certified = ["https://wabbit.example", "https://wabbit.example/*"].map(certified).to_vec();
    let requirement = Requirement { need: Need::AtLeast(1), services: vec![service_name().into()] };
    trust().with_certified(certified).and_then(|trust| trust.requiring(requirement)).expect("good trust")
}

#[test]
fn trust_files_are_written_as_they_were() {
    for (trust, golden) in
        [(trust(), golden_text!("trust.toml")), (certified_trust(), golden_text!("trust-certified.toml"))]
    {
        assert_eq!(trust.to_text(), golden);
        assert_eq!(Trust::parse(golden), Ok(trust));
    }
}

#[test]
fn problems_and_tile_paths_are_written_as_they_were() {
    assert_eq!(problem_details("Rejected", "issuer is not admitted"), golden!("problem.cbor"));
    let read = parse_problem_details(golden!("problem.cbor"));
    assert_eq!(read, Some(("Rejected".to_owned(), "issuer is not admitted".to_owned())));
    let tile = TileId { level: 1, index: 1_234_067 };
    assert_eq!(tile.path(Some(8)), golden_text!("tile-path.txt").trim_end());
}
