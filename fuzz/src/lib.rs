//! What every parser promises, whatever bytes it meets: it ends, it never panics, and what it accepts it also writes, as
//! something that reads the same.
//!
//! One function for each parser. `tests/mutations.rs` runs them on examples, and on what these become when they are cut and
//! flipped; `scripts/fuzz` lets libFuzzer look for more.

use std::fmt::Display;
use std::str::FromStr;

use docket_client::Transport;
use docket_engine::Passwords;
use docket_judge::policy::{Module, Rules};
use docket_oci::manifest::Manifest;
use docket_oci::query::{Query, escape};
use docket_oci::range::{Ranged, UploadRange, parse_range};
use docket_oci::{Call, Digest, ErrorBody, ImageReference, Reference, RepositoryName, Tag};
use docket_proof::cbor::{Item, parse_problem_details, problem_details as write_problem_details};
use docket_proof::certified::IssuerPattern;
use docket_proof::checkpoint::{Checkpoint, parse_add_checkpoint};
use docket_proof::cose::Sign1;
use docket_proof::did_x509::DidX509;
use docket_proof::key::{
    Issuer, KeyFile, Passphrase, PublicKey, PublicKeyFile, is_sealed, key_set, parse_key_set, unseal,
};
use docket_proof::log_policy::LogPolicy;
use docket_proof::log_proof::LogProof;
use docket_proof::merkle::Frontier;
use docket_proof::note::{Note, NoteKey};
use docket_proof::receipt::{AnyReceipt, ConsistencyReceipt, Profile, Receipt};
use docket_proof::statement::{MAX_ENTRY_BYTES, MAX_RECEIPTS, PresentedStatement, SignedStatement};
use docket_proof::subject::Subject;
use docket_proof::tile::TileId;
use docket_proof::trust::Trust;
use docket_proof::x509::{Chain, Roots};

/// What is tried on bytes; it panics where they break a promise.
pub type Promise = fn(&[u8]);

/// Every parser: its name, which is also that of its program and of its examples' folder, and its promise.
pub const TARGETS: &[(&str, Promise)] = &[
    ("cbor", cbor),
    ("cose", cose),
    ("statement", statement),
    ("receipt", receipt),
    ("public_key", public_key),
    ("cose_keys", cose_keys),
    ("key_file", key_file),
    ("sealed_key", sealed_key),
    ("chain", chain),
    ("roots", roots),
    ("policy", policy),
    ("did_x509", did_x509),
    ("issuer_pattern", issuer_pattern),
    ("trust", trust),
    ("subject", subject),
    ("issuer", issuer),
    ("note", note),
    ("checkpoint", checkpoint),
    ("log_policy", log_policy),
    ("log_proof", log_proof),
    ("witness_request", witness_request),
    ("tile_path", tile_path),
    ("frontier", frontier),
    ("problem_details", problem_details),
    ("digest", digest),
    ("name", name),
    ("reference", reference),
    ("manifest", manifest),
    ("range", range),
    ("call", call),
    ("query", query),
    ("error_body", error_body),
    ("htpasswd", htpasswd),
];

/// Strict CBOR: what is written again is one deterministic form.
pub fn cbor(bytes: &[u8]) {
    if let Ok(item) = Item::decode(bytes) {
        let written = item.encode();
        assert_eq!(Item::decode(&written).expect("our own bytes").encode(), written);
    }
}

/// COSE_Sign1: the signed bytes come out as they went in.
pub fn cose(bytes: &[u8]) {
    if let Ok(message) = Sign1::decode(bytes) {
        let _ = message.protected_map();
        let written = message.encode();
        let again = Sign1::decode(&written).expect("our own bytes");
        assert_eq!((again.protected, again.payload), (message.protected, message.payload));
        assert_eq!((again.signature, again.encode()), (message.signature, written.clone()));
    }
}

/// Statements: the entry is within its limit, is its own entry, and carries no receipts.
pub fn statement(bytes: &[u8]) {
    if let Ok(statement) = SignedStatement::decode(bytes) {
        assert!(statement.entry().len() <= MAX_ENTRY_BYTES && statement.receipts().len() <= MAX_RECEIPTS);
        let entry = SignedStatement::decode(statement.entry()).expect("an entry is a statement");
        assert_eq!((entry.entry(), entry.entry_id()), (statement.entry(), statement.entry_id()));
        assert!(entry.receipts().is_empty());
        // The ledger keeps the entry and a chain beside it; together they are signed by the same.
        let kept = SignedStatement::decode_entry(statement.entry(), statement.collateral().as_deref())
            .expect("it was read from there");
        assert_eq!((kept.entry(), kept.collateral()), (statement.entry(), statement.collateral()));
    }
    let _ = SignedStatement::decode_entry(bytes, Some(bytes));
    // What is taken apart gives the same entry, whoever may register it.
    if let Ok(shown) = PresentedStatement::decode(bytes) {
        let again = PresentedStatement::decode(&shown.signed).expect("what was taken apart is a statement");
        assert_eq!((again.entry, again.receipts), (shown.entry, Vec::new()));
    }
}

/// Receipts: the index lies inside the tree, and what continues a tree is larger than it.
pub fn receipt(bytes: &[u8]) {
    let _ = AnyReceipt::claimed_service(bytes);
    if let Ok(receipt) = AnyReceipt::decode(bytes) {
        let _ = receipt.verify(bytes, &[], Profile::default());
    }
    if let Ok(receipt) = Receipt::decode(bytes) {
        assert!(receipt.index() < receipt.tree_size());
    }
    if let Ok(receipt) = ConsistencyReceipt::decode(bytes) {
        assert!((1..receipt.tree_size()).contains(&receipt.old_size()));
        // The key of the examples, so that what is signed well is folded too.
        let key = PublicKeyFile::parse(include_str!("../../crates/docket-proof/testdata/formats/v1/service.pub"));
        let _ = receipt.verify(receipt.old_size(), &[0; 32], &key.expect("a golden key file").key);
    }
}

/// Public keys in DER and PEM.
pub fn public_key(bytes: &[u8]) {
    if let Ok(key) = PublicKey::from_spki_der(bytes) {
        assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key.clone()));
        assert_eq!(PublicKey::from_spki_pem(&key.to_spki_pem()), Ok(key.clone()));
        assert_eq!(PublicKey::from_cose_key(&key.to_cose_key()), Ok(key));
    }
    let _ = PublicKey::from_spki_pem(&String::from_utf8_lossy(bytes));
}

/// Key sets of other services.
pub fn cose_keys(bytes: &[u8]) {
    let _ = PublicKey::from_cose_key(bytes);
    if let Ok(keys) = parse_key_set(bytes) {
        let keys: Vec<_> = keys.into_iter().filter_map(Result::ok).collect();
        let again = parse_key_set(&key_set(&keys.iter().collect::<Vec<_>>())).expect("our own bytes");
        assert_eq!(again.into_iter().collect::<Result<Vec<_>, _>>(), Ok(keys));
    }
}

/// Key files of issuers and of the service.
pub fn key_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = PublicKeyFile::parse(&text).map(|file| file.to_text());
    let _ = KeyFile::parse(&text).map(|file| file.to_public());
}

/// Encrypted key files: the passphrase is `a`, and what a file asks for is bounded.
pub fn sealed_key(bytes: &[u8]) {
    let passphrase = Passphrase::from_line(b"a").expect("a passphrase");
    let text = String::from_utf8_lossy(bytes);
    if let Ok(opened) = unseal(&text, Some(&passphrase)) {
        assert!(!is_sealed(&opened));
        let _ = KeyFile::parse(&opened).map(|file| file.to_public());
    }
}

/// Chains of certificates, as PEM and as the DER of one.
pub fn chain(bytes: &[u8]) {
    let from_pem = Chain::from_pem(&String::from_utf8_lossy(bytes));
    for chain in [Chain::new(&[bytes]), from_pem].into_iter().flatten() {
        let _ = (chain.leaf().key(), chain.leaf().facts());
        // Each name that is proposed for a chain is one.
        DidX509::candidates(&chain).iter().for_each(|did| drop(DidX509::parse(did.as_str()).expect("a did:x509")));
    }
}

/// Roots: kept as they are.
pub fn roots(bytes: &[u8]) {
    if let Ok(roots) = Roots::from_pem(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Roots::from_pem(&roots.to_pem()).expect("our own text").to_pem(), roots.to_pem());
    }
}

/// Registration policies: what compiles once does again, and has come to an end with a sample statement.
pub fn policy(bytes: &[u8]) {
    let modules = || vec![Module { name: "m.rego".to_owned(), text: String::from_utf8_lossy(bytes).into_owned() }];
    if let Ok(rules) = Rules::compile(modules()) {
        assert_eq!(rules.modules(), modules());
        assert!(Rules::compile(modules()).is_ok());
    }
}

/// did:x509, which never makes another name of the one it was.
pub fn did_x509(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if DidX509::parse(&text).is_ok() {
        assert!(DidX509::is_one(&text) && text.is_ascii());
    }
}

/// Patterns of issuers: kept as they are, and each covers what it is literally.
pub fn issuer_pattern(bytes: &[u8]) {
    kept::<IssuerPattern>(bytes);
    if let Ok(pattern) = String::from_utf8_lossy(bytes).parse::<IssuerPattern>() {
        assert!(pattern.overlaps(&pattern));
        let literal = pattern.literal().parse::<Issuer>();
        assert!(literal.is_err() || literal.is_ok_and(|issuer| pattern.covers(&issuer)));
    }
}

/// `trust.toml`.
pub fn trust(bytes: &[u8]) {
    if let Ok(trust) = Trust::parse(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Trust::parse(&trust.to_text()).expect("our own text").to_text(), trust.to_text());
    }
}

/// Subjects: kept as they are.
pub fn subject(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(subject) = Subject::parse(&text) {
        assert_eq!(subject.as_str(), text);
        let _ = (subject.digest(), subject.is_stream());
    }
}

/// Issuers: kept as they are.
pub fn issuer(bytes: &[u8]) {
    kept::<Issuer>(bytes);
}

/// Signed notes, and the keys they are signed with.
pub fn note(bytes: &[u8]) {
    kept::<NoteKey>(bytes);
    if let Ok(note) = Note::parse(bytes) {
        let written = note.to_string();
        assert_eq!(Note::parse(written.as_bytes()), Ok(note));
    }
}

/// Checkpoints: kept as they are.
pub fn checkpoint(bytes: &[u8]) {
    kept::<Checkpoint>(bytes);
}

/// Policies of logs and witnesses.
pub fn log_policy(bytes: &[u8]) {
    if let Ok(policy) = LogPolicy::parse(&String::from_utf8_lossy(bytes)) {
        let _ = policy.is_quorum(&[]);
    }
}

/// Proofs of logging: read the same once written.
pub fn log_proof(bytes: &[u8]) {
    if let Ok(proof) = String::from_utf8_lossy(bytes).parse::<LogProof>() {
        let written = proof.to_string();
        assert_eq!(written.parse::<LogProof>().expect("our own text").to_string(), written);
    }
}

/// What a witness is asked.
pub fn witness_request(bytes: &[u8]) {
    let _ = parse_add_checkpoint(&String::from_utf8_lossy(bytes));
}

/// Paths of tiles and bundles: one spelling for each.
pub fn tile_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some((tile, width)) = TileId::parse_path(&text) {
        assert_eq!(tile.path(width), text);
    }
    if let Some((index, width)) = TileId::parse_bundle_path(&text) {
        assert_eq!(TileId::bundle_path(index, width), text);
    }
}

/// The stored state of the tree.
pub fn frontier(bytes: &[u8]) {
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
        let _ = frontier.root();
    }
}

/// Errors of other services.
pub fn problem_details(bytes: &[u8]) {
    if let Some((title, detail)) = parse_problem_details(bytes) {
        assert_eq!(parse_problem_details(&write_problem_details(&title, &detail)), Some((title, detail)));
    }
}

/// Digests: kept as they are.
pub fn digest(bytes: &[u8]) {
    kept::<Digest>(bytes);
    if let Some(digest) = Digest::from_key(bytes) {
        assert_eq!(digest.to_key(), bytes);
    }
}

/// Names of repositories and tags: kept as they are.
pub fn name(bytes: &[u8]) {
    kept::<RepositoryName>(bytes);
    kept::<Tag>(bytes);
    kept::<Reference>(bytes);
}

/// What people write on a command line.
pub fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = text.parse::<Transport>();
    if let Ok(image) = text.parse::<ImageReference>() {
        assert_eq!(image.to_string().parse(), Ok(image));
    }
}

/// Manifests, under a content type that the first line may name.
pub fn manifest(bytes: &[u8]) {
    let _ = Manifest::parse(bytes, None);
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let _ = Manifest::parse(&bytes[end + 1..], Some(&String::from_utf8_lossy(&bytes[..end])));
    }
}

/// `Range` and `Content-Range`: never outside what there is.
pub fn range(bytes: &[u8]) {
    const TOTAL: u64 = 1000;
    let text = String::from_utf8_lossy(bytes);
    if let Some(range) = UploadRange::parse(&text) {
        assert!(range.start() <= range.end_inclusive() && range.length() > 0);
    }
    match parse_range(&text, TOTAL) {
        Ranged::Part { start, end_inclusive } => assert!(start <= end_inclusive && end_inclusive < TOTAL),
        Ranged::Whole | Ranged::Unsatisfiable => {}
    }
}

/// Requests: method, path and query, one a line.
pub fn call(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (method, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let _ = Call::parse(method, path, lines.next());
}

/// Queries: what is escaped comes back.
pub fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Query::parse(&text);
    if let Ok(query) = Query::parse(&format!("a={}", escape(&text))) {
        assert_eq!(query.one("a"), Ok(Some(&*text)));
    }
}

/// Errors of other registries.
pub fn error_body(bytes: &[u8]) {
    if let Some(body) = ErrorBody::parse(bytes) {
        assert_eq!(ErrorBody::parse(&body.to_bytes()), Some(body));
    }
}

/// Accounts and their password hashes.
pub fn htpasswd(bytes: &[u8]) {
    let _ = Passwords::parse(&String::from_utf8_lossy(bytes));
}

/// What is read is written as it was.
fn kept<T: FromStr + Display>(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(read) = text.parse::<T>()
    {
        assert_eq!(read.to_string(), text);
    }
}
