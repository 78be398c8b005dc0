//! Receipts of other services: told one by one, counted as `trust.toml` demands, and statements judged by themselves.

use docket_proof::cbor::Item;
use docket_proof::cose::{Sign1, label};
use docket_proof::crypto::SignatureAlgorithm;
use docket_proof::receipt::{Leaf, Profile, TreeSize};
use docket_proof::statement::{SignedStatement, transparent};
use docket_proof::trust::{Need, Requirement, Trust, TrustedService};

use super::{SBOM, Scene, flip};
use foreign::Foreign;

#[path = "../../../../docket-proof/tests/foreign/service.rs"]
mod foreign;

/// A claim that this registry, a CCF service and one with digests for leaves have receipted.
struct Receipted {
    scene: Scene,
    entry: Vec<u8>,
    receipts: [Vec<u8>; 3],
    services: Vec<TrustedService>,
}

impl Receipted {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let (ccf, other) = (Foreign::ccf(), Foreign::new("https://other.example", SignatureAlgorithm::Ps256));
        let statement = SignedStatement::decode(&scene.claim.statement).expect("a statement");
        let entry = statement.entry().to_vec();
        let receipts = [
            scene.claim.receipt.clone(),
            ccf.receipt_of_ccf(&entry),
            other.receipt_of_tree(&entry, Leaf::Digest, None),
        ];
        let listed = |service: &Foreign, profile| TrustedService {
            issuer: service.name.parse().expect("a name"),
            url: None,
            keys: vec![service.key.public().clone()],
            profile,
        };
        let own = std::fs::read_to_string(scene.shell.path("trust.toml")).expect("a trust file");
        let mut services = Trust::parse(&own).expect("good trust").services().to_vec();
        services.push(listed(&ccf, Profile::default()));
        services.push(listed(&other, Profile { leaf: Leaf::Digest, tree_size: TreeSize::Unbound }));
        Self { scene, entry, receipts, services }
    }

    /// Writes a trust file that demands receipts of so many services.
    fn demand(&self, need: Need) {
        let trust = Trust::new(self.services.clone(), vec![]).expect("good trust");
        let trust = trust.requiring(Requirement { need, services: vec![] }).expect("good trust");
        self.scene.shell.write("demand.toml", trust.to_text());
    }

    /// The statement with some of the receipts.
    fn statement(&self, which: &[usize]) -> Vec<u8> {
        let receipts: Vec<_> = which.iter().map(|which| self.receipts[*which].as_slice()).collect();
        transparent(&self.entry, &receipts).expect("a few receipts")
    }
}

#[tokio::test]
async fn a_claim_is_allowed_by_receipts_of_as_many_services_as_are_demanded() {
    let receipted = Receipted::new().await;
    let scene = &receipted.scene;
    for (name, which) in [("two", &[0, 1][..]), ("three", &[0, 1, 2])] {
        let claim = scene.claim.clone().saying(receipted.statement(which), receipted.receipts[0].clone());
        for (need, demanded) in [(Need::Any, 1), (Need::AtLeast(2), 2), (Need::All, 3)] {
            receipted.demand(need);
            let folder = format!("{name}{demanded}");
            let said = scene.verify_claim(&folder, &claim, "demand.toml").await;
            if which.len() >= demanded {
                let said = said.expect(0).says(&["allowed", "receipt ok (https://registry.wabbit.example)  #2 of 3"]);
                let said = said.says(&["receipt ok (ledger.example)  transaction 2.137"]);
                if which.len() == 3 {
                    said.says(&[
                        "receipt ok (https://other.example)  #2 of 5 by its own word: its place is not signed",
                    ]);
                }
            } else {
                said.expect(1)
                    .says(&["not trusted: ", "receipts of 3 of 3 services are demanded, and only these hold"]);
            }
        }
    }
    // In JSON the same facts.
    receipted.demand(Need::All);
    let said = scene.shell.docket("verify oci:three3 --trust demand.toml --output json").expect(0).json();
    let results: Vec<_> = said["claims"][0]["receipts"].as_array().expect("receipts").iter().collect();
    assert!(results.iter().all(|receipt| receipt["result"] == "ok"), "{results:?}");
    let mut services: Vec<_> = results.iter().filter_map(|receipt| receipt["service"].as_str()).collect();
    services.sort_unstable();
    assert_eq!(services, ["https://other.example", "https://registry.wabbit.example", "ledger.example"]);
}

#[tokio::test]
async fn a_statement_is_judged_by_itself_with_its_document() {
    let receipted = Receipted::new().await;
    let shell = &receipted.scene.shell;
    receipted.demand(Need::Any);
    shell.write("ccf.scitt", receipted.statement(&[1]));
    shell.write("sbom.json", SBOM);
    shell.write("other.json", b"{}");
    let verify = |more: &str| shell.docket(&format!("verify --statement ccf.scitt --trust demand.toml {more}"));
    let said = verify("").expect(0);
    said.says(&["allowed  ccf.scitt", "by https://wabbit.example", "receipt ok (ledger.example)  transaction 2.137"]);
    verify("--payload sbom.json").expect(0).says(&["document ok"]);
    verify("--payload other.json").expect(1).says(&[
        "refused",
        "not trusted: the document is not the one",
        "ANOTHER DOCUMENT",
    ]);
    let json = verify("--payload sbom.json --output json").expect(0).json();
    assert_eq!((&json["verdict"], &json["payload_checked"]), (&"allow".into(), &true.into()));
    assert_eq!(json["receipts"][0]["format"], "CCF_LEDGER_SHA256");
    // With issuers listed, the signature is checked as well.
    let trust = std::fs::read_to_string(shell.path("trust-issuers.toml")).expect("a trust file");
    let issuers = Trust::parse(&trust).expect("good trust").issuers().to_vec();
    shell.write("issuers.toml", Trust::new(receipted.services.clone(), issuers).expect("good trust").to_text());
    let said = shell.docket("verify --statement ccf.scitt --trust issuers.toml").expect(0);
    said.says(&["by https://wabbit.example (signature ok)"]);
}

#[tokio::test]
async fn statements_that_are_not_believed_say_why() {
    let receipted = Receipted::new().await;
    let shell = &receipted.scene.shell;
    receipted.demand(Need::Any);
    let verify = |name: &str, bytes: &[u8]| {
        shell.write(name, bytes);
        shell.docket(&format!("verify --statement {name} --trust demand.toml"))
    };
    let good = receipted.statement(&[1]);
    verify("empty", b"").expect(1).says(&["not trusted: statement: CBOR is cut short"]);
    verify("bare", &receipted.entry).expect(1).says(&["there are receipts of: nobody"]);
    let bent = flip(&good, good.len() * 8 - 1);
    verify("bent", &bent).expect(1).says(&["refused  bent", "BROKEN: receipt is about another entry"]);
    // As statements from before the RFC have it: an array where a byte string should stand.
    let parts = Sign1::decode(&receipted.entry).expect("an entry");
    let receipts = Item::Array(vec![Item::Array(vec![Item::Bytes(b"header"), Item::Bytes(b"signature")])]);
    let old = Sign1 { unprotected: vec![(label::RECEIPTS.into(), receipts)], ..parts }.encode();
    let said = verify("old", &old).expect(1);
    said.says(&["1 in a form that is not known", "UNKNOWN FORMAT: it is not a byte string"]);
    // What cannot be read is not judged; what is not asked for well is told how.
    shell.docket("verify --statement nowhere --trust demand.toml").fails(2, &["cannot read nowhere"]);
    let large = vec![0; docket_proof::statement::MAX_STATEMENT_BYTES + 1];
    verify("large", &large).fails(2, &["large is larger than 393216 bytes"]);
    shell.docket("verify --trust demand.toml").fails(64, &["<REFERENCE>"]);
    shell.docket("verify oci:copied --statement bare --trust demand.toml").fails(64, &["cannot be used with"]);
    shell.docket("verify oci:copied --payload bare --trust demand.toml").fails(64, &["cannot be used with"]);
}
