//! Statements signed by certificate: chains that are signed, chains that are named, and the shape that other services send.

use rcgen::SanType;

use super::*;
use crate::authority::{Authority, SigningService};
use crate::did_x509::{DidX509, NameError, NameKind};
use crate::key::SigningKey;
use crate::x509::{Fingerprint, Roots};

const NOW: i64 = 1_700_000_000;
const NAME: &str = "https://wabbit.example/net-monitor";

/// A root, an authority below it, and a certificate for `key` with [`NAME`].
struct Hierarchy {
    root: Authority,
    sub: Authority,
    leaf: Vec<u8>,
}

impl Hierarchy {
    fn of(key: &SigningKey) -> Self {
        let root = Authority::root("Root");
        let sub = root.below("Issuing");
        let name = SanType::URI(NAME.try_into().expect("ASCII"));
        let leaf = sub.issue(key, |params| params.subject_alt_names = vec![name]);
        Self { root, sub, leaf }
    }

    fn chain(&self) -> Chain {
        Chain::new(&[&self.leaf, self.sub.der(), self.root.der()]).expect("certificates")
    }

    fn roots(&self) -> Roots {
        Roots::new(&[self.root.der()]).expect("a root")
    }
}

/// A statement with these labels beside alg and claims, signed.
fn statement(key: &SigningKey, issuer: &str, protected: Map<'_>, unprotected: Map<'_>) -> Vec<u8> {
    let claims = vec![(label::ISS.into(), Item::Text(issuer)), (label::SUB.into(), Item::Text("pkg:oci/net-monitor"))];
    let mut entries = vec![
        (label::ALG.into(), key.algorithm().number().into()),
        (label::CONTENT_TYPE.into(), Item::Text("text/plain")),
        (label::CWT_CLAIMS.into(), Item::Map(claims)),
    ];
    entries.extend(protected);
    let protected = Item::Map(entries).encode();
    let signature = key.sign(&to_be_signed(&protected, b"payload"));
    Sign1 { protected: &protected, unprotected, payload: Some(b"payload"), signature: &signature }.encode()
}

#[test]
fn a_signed_chain_answers_for_its_names() {
    let key = testkeys::issuer();
    let three = Hierarchy::of(&key);
    let issuers = [NAME.parse().expect("a URI")].into_iter().chain(DidX509::candidates(&three.chain()));
    for issuer in issuers {
        let bytes = Draft { issuer, ..draft() }.sign_by_certificate(&key, &three.chain()).expect("a good draft");
        let statement = SignedStatement::decode(&bytes).expect("well formed");
        assert_eq!((statement.kid(), statement.collateral()), (None, None));
        assert_eq!(statement.entry(), bytes);
        let (verified, holder) =
            statement.clone().verify_by_certificate(&three.roots(), NOW, None).expect("it leads to the root");
        assert_eq!(verified.statement(), &statement);
        assert_eq!((holder.root, holder.leaf), (Fingerprint::of(three.root.der()), Fingerprint::of(&three.leaf)));
        assert_eq!(statement.verify(key.public()), Err(StatementError::ByCertificate));
    }
}

#[test]
fn a_chain_does_not_answer_for_other_names_keys_or_roots() {
    let key = testkeys::issuer();
    let three = Hierarchy::of(&key);
    let signed = |issuer: &str| {
        let issuer = issuer.parse().expect("a URI");
        let bytes = Draft { issuer, ..draft() }.sign_by_certificate(&key, &three.chain()).expect("a good draft");
        SignedStatement::decode(&bytes).expect("well formed")
    };
    let other: Issuer = "https://wabbit.example/other".parse().expect("a URI");
    let refused = signed(other.as_str()).verify_by_certificate(&three.roots(), NOW, None);
    assert_eq!(refused, Err(StatementError::Name(NameError::NotItsUri { issuer: other })));

    // The same names, the same key, under a root that nobody configured.
    let stranger = Hierarchy::of(&key);
    let refused = signed(NAME).verify_by_certificate(&stranger.roots(), NOW, None);
    assert!(matches!(refused, Err(StatementError::Chain(ChainError::NoPath { .. }))), "{refused:?}");

    let mut bytes = signed(NAME).entry().to_vec();
    *bytes.last_mut().expect("a signature") ^= 1;
    let broken = SignedStatement::decode(&bytes).expect("well formed");
    let refused = broken.verify_by_certificate(&three.roots(), NOW, None);
    assert_eq!(refused, Err(StatementError::BadSignature { kid: key.public().thumbprint() }));

    let by_key = SignedStatement::decode(&super::signed(&draft())).expect("well formed");
    assert_eq!(by_key.verify_by_certificate(&three.roots(), NOW, None), Err(StatementError::ByKey));
    let foreign = draft().sign_by_certificate(&testkeys::service(), &three.chain());
    assert_eq!(foreign, Err(StatementError::ChainOfOtherKey));
}

#[test]
fn a_chain_that_only_came_along_counts_where_x5t_names_its_leaf() {
    let key = testkeys::issuer();
    let three = Hierarchy::of(&key);
    let (chain, x5t) = (three.chain(), Fingerprint::of(&three.leaf));
    let named = || vec![(label::X5T.into(), x5t.as_cose())];
    let bytes = statement(&key, NAME, named(), vec![(label::X5CHAIN.into(), chain.to_cose())]);
    let decoded = SignedStatement::decode(&bytes).expect("well formed");
    assert!(decoded.clone().verify_by_certificate(&three.roots(), NOW, None).is_ok());

    // The entry does not hold it; kept beside the entry, it makes the statement whole again.
    let collateral = decoded.collateral().expect("a chain came along");
    let bare = SignedStatement::decode(decoded.entry()).expect("well formed");
    assert_eq!((bare.entry_id(), bare.collateral()), (decoded.entry_id(), None));
    let missing = bare.verify_by_certificate(&three.roots(), NOW, None);
    assert_eq!(missing, Err(StatementError::Chain(ChainError::Missing)));
    assert_eq!(SignedStatement::decode_entry(decoded.entry(), Some(&collateral)), Ok(decoded.clone()));
    let shown = transparent_with(decoded.entry(), Some(&collateral), &[b"receipt"]).expect("a canonical entry");
    let shown = SignedStatement::decode(&shown).expect("well formed");
    assert_eq!((shown.entry(), shown.receipts()), (decoded.entry(), [b"receipt".to_vec()].as_slice()));
    assert!(shown.verify_by_certificate(&three.roots(), NOW, None).is_ok());

    // Another certificate of the same key is not the one that was named.
    let other = Hierarchy::of(&key);
    let other_chain = other.chain();
    let swapped =
        SignedStatement::decode(&statement(&key, NAME, named(), vec![(label::X5CHAIN.into(), other_chain.to_cose())]));
    assert_eq!(swapped, Err(StatementError::Chain(ChainError::ThumbprintDiffers)));
    let swapped = SignedStatement::decode_entry(decoded.entry(), Some(&other_chain.to_cose().encode()));
    assert_eq!(swapped, Err(StatementError::Chain(ChainError::ThumbprintDiffers)));
    // The leaf is, but the authorities above it are others.
    let mixed = Chain::new(&[&three.leaf, other.sub.der(), other.root.der()]).expect("certificates");
    let beside = vec![(label::X5CHAIN.into(), mixed.to_cose())];
    let mixed = SignedStatement::decode(&statement(&key, NAME, named(), beside)).expect("well formed");
    for roots in [three.roots(), other.roots()] {
        assert!(mixed.clone().verify_by_certificate(&roots, NOW, None).is_err());
    }
    let beside = vec![(label::X5CHAIN.into(), Item::Text("a certificate"))];
    let junk = SignedStatement::decode(&statement(&key, NAME, named(), beside));
    assert_eq!(junk, Err(StatementError::Chain(ChainError::Form)));
}

#[test]
fn only_what_is_protected_says_who_signed() {
    let key = testkeys::issuer();
    let three = Hierarchy::of(&key);
    let (chain, kid) = (three.chain(), key.public().thumbprint());
    let by_kid = || vec![(label::KID.into(), Item::Bytes(kid.as_bytes()))];
    let x5chain = || (label::X5CHAIN.into(), chain.to_cose());
    let x5t = Fingerprint::of(&three.leaf);

    // A key that is named stays a key, whatever comes along.
    let beside = vec![x5chain(), (label::X5T.into(), x5t.as_cose())];
    let statement_by_key = SignedStatement::decode(&statement(&key, NAME, by_kid(), beside)).expect("well formed");
    assert_eq!((statement_by_key.kid(), statement_by_key.collateral()), (Some(kid), None));
    assert_eq!(statement_by_key.signer(), &Signer::Key(kid));

    // Neither key nor certificate.
    let nobody = SignedStatement::decode(&statement(&key, NAME, vec![], vec![x5chain()]));
    assert_eq!(nobody, Err(StatementError::Header(HeaderError::KidMissing)));
    let fetched = vec![(35_i64.into(), Item::Text("https://elsewhere.example/chain"))];
    let nobody = SignedStatement::decode(&statement(&key, NAME, fetched, vec![]));
    assert_eq!(nobody, Err(StatementError::Header(HeaderError::KidMissing)));

    // A signed chain is the signer, and a kid in whatever form beside it is not read.
    let both = vec![x5chain(), (label::KID.into(), Item::Bytes(b"a name of the sender's own"))];
    let signed = SignedStatement::decode(&statement(&key, NAME, both, vec![])).expect("well formed");
    assert_eq!(signed.kid(), None);
    assert!(signed.verify_by_certificate(&three.roots(), NOW, None).is_ok());

    let other = Hierarchy::of(&key);
    let other = Fingerprint::of(&other.leaf);
    let contradiction = vec![x5chain(), (label::X5T.into(), other.as_cose())];
    let refused = SignedStatement::decode(&statement(&key, NAME, contradiction, vec![]));
    assert_eq!(refused, Err(StatementError::Chain(ChainError::ThumbprintDiffers)));
    let twice = SignedStatement::decode(&statement(&key, NAME, vec![x5chain()], vec![x5chain()]));
    assert_eq!(twice, Err(StatementError::Header(HeaderError::InBothHeaders { label: "33".to_owned() })));
}

#[test]
fn statements_in_the_shape_of_a_large_signing_service_are_read_whole() {
    // As CoseSignTool writes them: PS384 by RSA, a chain of three, and a did:x509 that names the root.
    let key = testkeys::of(SignatureAlgorithm::Ps384);
    let three = Hierarchy::of(&key);
    let root = Fingerprint::of(three.root.der()).to_did();
    let issuer = format!("did:x509:0:{root}::subject:O:Wabbit%20Networks:CN:net-monitor");
    let hash = sha384(DOCUMENT);
    let chain: &[&[u8]] = &[&three.leaf, three.sub.der(), three.root.der()];
    let said = SigningService { issuer: &issuer, subject: "net-monitor", hash: (-43, &hash), chain, signs_chain: true };
    let statement = SignedStatement::decode(&said.sign(&key)).expect("well formed");
    assert_eq!(statement.issued_at(), Some(1_700_000_000));
    assert_eq!(statement.claim_type(), "application/spdx+json");
    assert!(matches!(statement.content(), Content::Sha384Envelope { .. }));
    let (_, holder) = statement.verify_by_certificate(&three.roots(), NOW, None).expect("it leads to the root");
    assert_eq!(holder.kind, NameKind::DidX509);
}

#[test]
fn no_flipped_bit_survives_in_a_statement_with_its_chain() {
    let key = testkeys::issuer();
    let three = Hierarchy::of(&key);
    let issuer = NAME.parse().expect("a URI");
    let bytes = Draft { issuer, ..draft() }.sign_by_certificate(&key, &three.chain()).expect("a good draft");
    let roots = three.roots();
    for flipped in testkeys::every_bit_flipped(&bytes) {
        let verified =
            SignedStatement::decode(&flipped).and_then(|statement| statement.verify_by_certificate(&roots, NOW, None));
        assert!(verified.is_err(), "{}", hex::encode(flipped));
    }
    for length in 0..bytes.len() {
        assert!(SignedStatement::decode(&bytes[..length]).is_err());
    }
}
