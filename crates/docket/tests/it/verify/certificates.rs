//! Claims signed by certificate, from the operator's root to the consumer's verdict.

use docket_proof::did_x509::DidX509;
use docket_proof::key::KeyFile;
use docket_proof::x509::Chain;
use rcgen::SanType;

use super::{REPOSITORY, SBOM, pin};
use crate::authority::{Authority, pem};
use crate::harness::{Server, Shell, Site};

const NAME: &str = "https://wabbit.example/net-monitor";

/// A key with a chain, `name.key` and `name.pem`, and its root, `name-root.pem`.
fn holder(shell: &Shell, name: &str) -> Chain {
    shell.docket(&format!("keys generate --out {name}.key --algorithm ES384")).expect(0);
    let text = std::fs::read_to_string(shell.path(&format!("{name}.key"))).expect("text");
    let key = KeyFile::parse(&text).expect("a key file").key;
    let root = Authority::root("Root");
    let sub = root.below("Issuing");
    let san = SanType::URI(NAME.try_into().expect("ASCII"));
    let leaf = sub.issue(&key, |params| params.subject_alt_names = vec![san]);
    shell.write(&format!("{name}.pem"), pem(&[&leaf, sub.der(), root.der()]));
    shell.write(&format!("{name}-root.pem"), pem(&[root.der()]));
    Chain::new(&[&leaf, sub.der(), root.der()]).expect("certificates")
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
