//! Claims signed by certificate, from the operator's root to the consumer's verdict.

use docket_proof::did_x509::DidX509;
use docket_proof::key::{KeyFile, SigningKey};
use docket_proof::statement::{SignedStatement, transparent_with};
use docket_proof::subject::Subject;
use docket_proof::x509::{Certificate, Chain};
use rcgen::SanType;

use super::{REPOSITORY, SBOM, flip, pin};
use crate::authority::{Authority, SigningService, oidc_issuer, pem};
use crate::harness::{Ask as _, Server, Shell, Site, sha256};
use crate::history::edit;

const NAME: &str = "https://wabbit.example/net-monitor";

/// A key with a chain, `name.key` and `name.pem`, and its root, `name-root.pem`.
fn holder(shell: &Shell, name: &str) -> Chain {
    holder_of(shell, name, "ES384")
}

fn holder_of(shell: &Shell, name: &str, algorithm: &str) -> Chain {
    shell.docket(&format!("keys generate --out {name}.key --algorithm {algorithm}")).expect(0);
    let key = key_of(shell, name);
    let root = Authority::root("Root");
    let sub = root.below("Issuing");
    let san = SanType::URI(NAME.try_into().expect("ASCII"));
    let leaf = sub.issue(&key, |params| params.subject_alt_names = vec![san]);
    shell.write(&format!("{name}.pem"), pem(&[&leaf, sub.der(), root.der()]));
    shell.write(&format!("{name}-root.pem"), pem(&[root.der()]));
    Chain::new(&[&leaf, sub.der(), root.der()]).expect("certificates")
}

fn key_of(shell: &Shell, name: &str) -> SigningKey {
    let text = std::fs::read_to_string(shell.path(&format!("{name}.key"))).expect("text");
    KeyFile::parse(&text).expect("a key file").key
}

#[tokio::test]
async fn a_claim_by_certificate_goes_from_root_to_verdict() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let chain = holder(&shell, "wabbit");
    holder(&shell, "stranger");
    let did = &DidX509::candidates(&chain)[0];
    let authority = did.as_str().split("::").next().expect("a prefix");
    let add =
        format!("issuer add wabbit --root wabbit-root.pem --issuer https://wabbit.example/* --issuer {authority}::*");
    let added = shell.docket(&format!("{add} --data data --output json")).expect(0).json();
    assert_eq!(added["issuers"][0], "https://wabbit.example/*");
    let server = Server::start(&site);
    server.repository(REPOSITORY).push_image("v1", 1).await;
    shell.write("sbom.json", SBOM);
    let image = format!("{}/{REPOSITORY}:v1", server.address());

    let claim = format!("claim add {image} --evidence sbom.json");
    let refused = "no root is admitted for it here";
    shell.docket(&format!("{claim} --key wabbit.key")).fails(1, &["is not admitted here"]);
    shell.docket(&format!("{claim} --key stranger.key --chain stranger.pem")).fails(1, &["does not lead to a root"]);
    let other = format!("{claim} --key wabbit.key --chain wabbit.pem --issuer https://acme.example");
    shell.docket(&other).fails(1, &[refused]);
    shell.docket(&format!("{claim} --key stranger.key --chain wabbit.pem")).fails(1, &["does not belong to the first"]);
    let by_uri = shell.docket(&format!("{claim} --key wabbit.key --chain wabbit.pem")).expect(0);
    by_uri.says(&[NAME]);
    let by_did = shell.docket(&format!("{claim} --key wabbit.key --chain wabbit.pem --issuer {did}")).expect(0);
    by_did.says(&[did.as_str()]);

    // Whoever pins the root believes both; whoever pins another one, neither.
    let pinned = |name: &str| {
        let root = std::fs::read_to_string(shell.path(&format!("{name}-root.pem"))).expect("text");
        let issuers = format!("issuer: https://wabbit.example/*\nissuer: {authority}::*\n");
        shell.write(&format!("{name}-pin.pem"), format!("{issuers}{root}"));
        let trust = pin(&shell, &site, &server, &format!("--issuer {name}-pin.pem"));
        shell.write(&format!("{name}.toml"), trust);
    };
    pinned("wabbit");
    pinned("stranger");
    let layout = format!("copy --claims docker://{image} oci-archive:copied.tar");
    shell.docket(&layout).expect(0);
    for place in [image.as_str(), "oci-archive:copied.tar"] {
        let verdict = shell.docket(&format!("verify {place} --trust wabbit.toml --output json")).expect(0).json();
        let issuers: Vec<_> = verdict["claims"].as_array().expect("claims").iter().map(|it| &it["issuer"]).collect();
        assert_eq!(issuers, [NAME, did.as_str()]);
        shell.docket(&format!("verify {place} --trust stranger.toml")).expect(1).says(&["does not lead to a root"]);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);
}

/// What another signing service made is registered as it came, and the receipt proves it to whoever pins the root.
#[tokio::test]
async fn statements_of_a_large_signing_service_are_registered_and_verified_offline() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let services = [("signed", "PS384", true), ("beside", "ES384", false)].map(|(name, algorithm, signs_chain)| {
        let chain = holder_of(&shell, name, algorithm);
        let authority = chain.certificates().last().expect("a root").fingerprint().to_did();
        let did = format!("did:x509:0:{authority}::subject:O:Wabbit%20Networks:CN:net-monitor");
        shell.docket(&format!("issuer add {name} --root {name}-root.pem --issuer {did} --data data")).expect(0);
        let root = std::fs::read_to_string(shell.path(&format!("{name}-root.pem"))).expect("text");
        shell.write(&format!("{name}-pin.pem"), format!("issuer: {did}\n{root}"));
        (name, key_of(&shell, name), chain, did, signs_chain)
    });
    let server = Server::start(&site);
    let repository = server.repository(REPOSITORY);
    let image = repository.push_image("v1", 1).await;
    repository.push_blob(SBOM).await;
    shell.write("sbom.json", SBOM);
    shell.write("other.json", b"{}");
    let subject = Subject::artifact(&REPOSITORY.parse().expect("a name"), &sha256(&image));
    let hash = docket_proof::crypto::sha256(SBOM);
    for (name, key, chain, did, signs_chain) in &services {
        let ders: Vec<_> = chain.certificates().iter().map(Certificate::der).collect();
        let said = |subject: &str| {
            let hash = (-16, hash.as_slice());
            SigningService { issuer: did, subject, hash, chain: &ders, signs_chain: *signs_chain }.sign(key)
        };
        // About whatever it is that they call so: logged, and judged by itself.
        let statement = said("net-monitor 1.0");
        let receipt = server.register(&statement).await.expecting(201);
        receipt.receipt(&statement, &site.receipt_key());
        let decoded = SignedStatement::decode(&statement).expect("well formed");
        let collateral = decoded.collateral();
        assert_eq!(collateral.is_none(), *signs_chain);
        let whole = transparent_with(decoded.entry(), collateral.as_deref(), &[&receipt.body]).expect("one receipt");
        shell.write(&format!("{name}.scitt"), whole);
        // About an artifact: it stands beside it like any other, under the same receipt wherever it is asked for.
        let statement = said(subject.as_str());
        let logged = server.register(&statement).await.expecting(201);
        let placed = repository.claim(&statement).await.expecting(201);
        assert_eq!(logged.body, placed.body);
    }
    let pins = services.each_ref().map(|(name, ..)| format!("--issuer {name}-pin.pem"));
    shell.write("both.toml", pin(&shell, &site, &server, &pins.join(" ")));
    shell.write("one.toml", pin(&shell, &site, &server, &pins[0]));
    let image = format!("docker://{}/{REPOSITORY}:v1", server.address());
    shell.docket(&format!("copy --claims {image} oci-archive:copied.tar")).expect(0);
    server.stop().await;

    for (name, _, _, did, _) in &services {
        let line = format!("verify --statement {name}.scitt --trust both.toml");
        let by = format!("by {did} (signature ok)");
        let said = shell.docket(&format!("{line} --payload sbom.json")).expect(0);
        said.says(&["allowed", "application/spdx+json", "about net-monitor 1.0", &by, "document ok", "receipt ok"]);
        shell.docket(&format!("{line} --payload other.json")).expect(1).says(&["ANOTHER DOCUMENT"]);
    }
    // Who is not pinned is not believed, receipt or not.
    shell.docket("verify --statement signed.scitt --trust one.toml").expect(0);
    shell.docket("verify --statement beside.scitt --trust one.toml").expect(1).says(&["not trusted: "]);
    let verdict = shell.docket("verify oci-archive:copied.tar --trust both.toml --output json").expect(0).json();
    let claims = verdict["claims"].as_array().expect("claims");
    let mut issuers: Vec<_> = claims.iter().map(|claim| claim["issuer"].as_str().expect("text")).collect();
    issuers.sort_unstable();
    let mut expected = services.each_ref().map(|(_, _, _, did, _)| did.as_str());
    expected.sort_unstable();
    assert_eq!(issuers, expected);
    assert!(claims.iter().all(|claim| claim["problem"].is_null()), "{verdict}");
    assert_eq!(site.fsck_clean().entries, 1 + 2 + 4);
}

/// What `issuer identities` shows can be admitted as it stands, and speaks for the holder.
#[tokio::test]
async fn the_identities_of_a_certificate_can_be_copied_into_an_admission() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let chain = holder(&shell, "wabbit");
    let shown = shell.docket("issuer identities wabbit.pem").expect(0).out;
    let shown: Vec<_> = shown.lines().collect();
    let json = shell.docket("issuer identities wabbit.pem --output json").expect(0).json();
    assert_eq!(json["identities"], serde_json::json!(shown));
    let root = chain.certificates().last().expect("a root").fingerprint().to_did();
    let did = |rest: &str| format!("did:x509:0:{root}::{rest}");
    let uri = did("san:uri:https%3A%2F%2Fwabbit.example%2Fnet-monitor");
    assert_eq!(shown, [NAME, &uri, &did("subject:O:Wabbit%20Networks:CN:net-monitor")]);
    let issuers: Vec<_> = shown.iter().map(|identity| format!("--issuer {identity}")).collect();
    let issuers = issuers.join(" ");
    shell.docket(&format!("issuer add wabbit --root wabbit-root.pem {issuers} --data data")).expect(0);
    let server = Server::start(&site);
    server.repository(REPOSITORY).push_image("v1", 1).await;
    shell.write("sbom.json", SBOM);
    for identity in &shown {
        let claim = format!("claim add {}/{REPOSITORY}:v1 --evidence sbom.json", server.address());
        shell.docket(&format!("{claim} --key wabbit.key --chain wabbit.pem --issuer {identity}")).expect(0);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 2 + 3);

    // Whom somebody vouched for goes by that, and by nothing less.
    let root = Authority::root("Root");
    let san = SanType::URI(NAME.try_into().expect("ASCII"));
    let vouched = root.issue(&key_of(&shell, "wabbit"), |params| {
        params.subject_alt_names = vec![san];
        params.custom_extensions = vec![oidc_issuer("https://accounts.example")];
    });
    shell.write("vouched.pem", pem(&[&vouched, root.der()]));
    let shown = shell.docket("issuer identities vouched.pem").expect(0).out;
    assert!(shown.contains("::fulcio-issuer:accounts.example::san:uri:") && shown.lines().count() == 1, "{shown}");
    // Without the root there is nothing that a did:x509 could name.
    shell.write("alone.pem", pem(&[&vouched]));
    shell.docket("issuer identities alone.pem").fails(1, &["gives its holder no name, or the root is missing"]);
    shell.docket("issuer identities nowhere.pem").fails(1, &["cannot read the chain nowhere.pem"]);
    shell.docket("issuer identities wabbit.key").fails(1, &["wabbit.key is no chain of certificates"]);
}

/// Chains that only came along stand in rows that nobody signed: an operator who edits one convinces nobody.
#[tokio::test]
async fn a_chain_that_was_edited_in_the_database_is_noticed_by_reader_and_operator() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    let [chain, stranger] = ["wabbit", "stranger"].map(|name| holder(&shell, name));
    shell.docket(&format!("issuer add wabbit --root wabbit-root.pem --issuer {NAME} --data data")).expect(0);
    let root = std::fs::read_to_string(shell.path("wabbit-root.pem")).expect("text");
    shell.write("pin.pem", format!("issuer: {NAME}\n{root}"));
    let server = Server::start(&site);
    let repository = server.repository(REPOSITORY);
    let image = repository.push_image("v1", 1).await;
    repository.push_blob(SBOM).await;
    let subject = Subject::artifact(&REPOSITORY.parse().expect("a name"), &sha256(&image));
    let hash = docket_proof::crypto::sha256(SBOM);
    let says = |name: &str, chain: &[Certificate], subject: &str| {
        let (ders, hash) = (chain.iter().map(Certificate::der).collect::<Vec<_>>(), (-16, hash.as_slice()));
        SigningService { issuer: NAME, subject, hash, chain: &ders, signs_chain: false }.sign(&key_of(&shell, name))
    };
    let beside = |name: &str, chain: &[Certificate]| {
        SignedStatement::decode(&says(name, chain, "x")).expect("well formed").collateral().expect("a chain beside")
    };
    let placed = says("wabbit", chain.certificates(), subject.as_str());
    repository.claim(&placed).await.expecting(201);
    let logged = says("wabbit", chain.certificates(), "x");
    let entry = server.register(&logged).await.expecting(201).location();
    shell.write("trust.toml", pin(&shell, &site, &server, "--issuer pin.pem"));
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);

    let whole = beside("wabbit", chain.certificates());
    let literal = |bytes: &[u8]| format!("x'{}'", hex::encode(bytes));
    let bent = (0..6).map(|part| literal(&flip(&whole, whole.len() * 8 / 6 * part + 77)));
    let others = [
        "NULL".to_owned(),
        "x''".to_owned(),
        literal(&beside("stranger", stranger.certificates())),
        // Good for the leaf, but not what was shown with it until now.
        literal(&beside("wabbit", &chain.certificates()[..2])),
    ];
    for edited in bent.chain(others) {
        let copy = site.copy();
        edit(&copy, &format!("UPDATE entry SET collateral = {edited} WHERE idx = 2")).await;
        assert_ne!(copy.fsck().problems, [""; 0], "{edited}");
        let server = Server::start(&copy);
        let line = format!("verify {}/{REPOSITORY}:v1 --trust trust.toml", server.address());
        let verdict = shell.docket(&line);
        assert!(verdict.code != 0 && !verdict.out.contains("allowed"), "{edited}: {}", verdict.transcript());
        server.stop().await;
    }
    // What was only logged is shown with no manifest whose digest could tell: another good chain is as good, others are noticed.
    for (edited, is_noticed) in [
        ("NULL".to_owned(), true),
        (literal(&flip(&whole, 777)), true),
        (literal(&beside("stranger", stranger.certificates())), true),
        (literal(&beside("wabbit", &chain.certificates()[..2])), false),
    ] {
        let copy = site.copy();
        edit(&copy, &format!("UPDATE entry SET collateral = {edited} WHERE idx = 3")).await;
        assert_eq!(!copy.fsck().problems.is_empty(), is_noticed, "{edited}");
        // It is no part of the entry, so the receipt holds as before.
        let server = Server::start(&copy);
        server.request("GET", &entry).expect(200).await.receipt(&logged, &site.receipt_key());
        server.stop().await;
    }
    // A statement by key has none, whatever an operator puts beside it.
    edit(&site, &format!("UPDATE entry SET collateral = {} WHERE idx = 1", literal(&whole))).await;
    assert_eq!(site.fsck().problems, ["entry 1: certificates stand beside it that are not its own"]);
}

#[tokio::test]
async fn roots_that_cannot_be_admitted_say_why() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    holder(&shell, "wabbit");
    shell.keys("acme");
    let add = |more: &str| shell.docket(&format!("issuer add wabbit {more} --data data"));
    add("--root wabbit-root.pem").fails(64, &["--issuer"]);
    add("acme.pub --root wabbit-root.pem --issuer urn:a:b").fails(64, &["cannot be used with"]);
    add("acme.pub --eku 1.2.3").fails(64, &["--root"]);
    add("").fails(64, &["KEY"]);
    add("--root nowhere.pem --issuer urn:a:b").fails(1, &["cannot read nowhere.pem"]);
    add("--root acme.pub --issuer urn:a:b").fails(1, &["acme.pub holds no root"]);
    add("--root wabbit.pem --issuer urn:a:b").fails(1, &["wabbit.pem holds no root", "no certificate authority"]);
    add("--root wabbit-root.pem --issuer https://wabbit*").fails(64, &["behind / or :"]);
    add("--root wabbit-root.pem --issuer wabbit").fails(64, &["a scheme such as https:"]);
    add("--root wabbit-root.pem --issuer urn:a:b --eku codeSigning").fails(64, &["no object identifier"]);
    add("--root wabbit-root.pem --issuer https://*").fails(1, &["is this service"]);
    add("--root wabbit-root.pem --issuer https://acme.example").expect(0);
    shell.docket("issuer add acme acme.pub --data data").fails(1, &["identity that the new one may have too"]);
    assert_eq!(site.fsck_clean().entries, 2);
}
