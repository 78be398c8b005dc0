//! Commands that speak to a registry: what is missing, unknown, unreachable or refused.

use super::Desk;

/// Nobody listens on port 1 of this machine.
const NOWHERE: &str = "127.0.0.1:1/wabbit/net-monitor:v1";

#[tokio::test]
async fn what_is_not_there_is_named() {
    let desk = Desk::new().await;
    desk.docket("claim list @/wabbit/nothing:v1").fails(1, &["wabbit/nothing has no manifest v1"]);
    desk.docket("show @/wabbit/net-monitor:v2").fails(1, &["wabbit/net-monitor has no manifest v2"]);
    desk.docket("copy docker://@/wabbit/net-monitor:v2 oci:copy").fails(1, &["has no manifest v2"]);
    desk.docket("show oci:nowhere").fails(1, &["nowhere is no image layout"]);
    desk.docket("show oci:net-monitor:v2").fails(1, &["net-monitor has no artifact named v2"]);
    desk.docket("show oci-archive:nowhere.tar").fails(1, &["could not read nowhere.tar"]);
    desk.docket("show oci-archive:sbom.cdx.json").fails(1, &["sbom.cdx.json is no image layout", "no tar file"]);
    let claim = "claim add @/wabbit/net-monitor:v2 --evidence sbom.cdx.json --key wabbit.key";
    desk.docket(claim).fails(1, &["wabbit/net-monitor:v2", "push it first"]);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_named() {
    let desk = Desk::new().await;
    desk.docket(&format!("show {NOWHERE}")).fails(1, &["127.0.0.1:1 could not be reached"]);
    desk.docket(&format!("claim list {NOWHERE}")).fails(1, &["127.0.0.1:1 could not be reached"]);
    let claim = format!("claim add {NOWHERE} --evidence sbom.cdx.json --key wabbit.key");
    desk.docket(&claim).fails(1, &["127.0.0.1:1 could not be reached"]);
    desk.docket(&format!("copy oci:net-monitor docker://{NOWHERE}")).fails(1, &["127.0.0.1:1 could not be reached"]);
    let pin = format!("trust pin http://127.0.0.1:1 --fingerprint {}", "0".repeat(64));
    desk.docket(&pin).fails(1, &["127.0.0.1:1 could not be reached"]);
}

#[tokio::test]
async fn a_document_of_no_known_type_needs_one_said() {
    let desk = Desk::new().await;
    desk.shell.write("notes.txt", "it works");
    desk.shell.write("list.json", "[]");
    let before = desk.state();
    for document in ["notes.txt", "list.json"] {
        let claim = format!("claim add @/wabbit/net-monitor:v1 --evidence {document} --key wabbit.key");
        desk.docket(&claim).fails(64, &[document, "no type that is recognised", "--type"]);
    }
    for (document, words) in [("nowhere.json", "No such file"), (".", "Is a directory")] {
        let claim = format!("claim add @/wabbit/net-monitor:v1 --evidence {document} --key wabbit.key");
        desk.docket(&claim).fails(1, &["cannot read the document", words]);
    }
    assert_eq!(desk.state(), before);
    let claim =
        "claim add @/wabbit/net-monitor:v1 --evidence notes.txt --type text/plain --key wabbit.key --output json";
    let claimed = desk.docket(claim).expect(0).json();
    assert_eq!((claimed["type"].as_str(), claimed["size"].as_u64()), (Some("text/plain"), Some(8)));
}

#[tokio::test]
async fn each_kind_of_document_is_recognised_by_its_content() {
    let desk = Desk::new().await;
    let kinds = [
        (r#"{"bomFormat":"CycloneDX"}"#, "application/vnd.cyclonedx+json", "sbom"),
        (r#"{"spdxVersion":"SPDX-2.3"}"#, "application/spdx+json", "sbom"),
        (r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}"#, "application/spdx+json", "sbom"),
        (r#"{"@context":"https://openvex.dev/ns/v0.2.0"}"#, "application/vnd.openvex+json", "vex"),
        (r#"{"version":"2.1.0","runs":[]}"#, "application/sarif+json", "scan"),
        (r#"{"_type":"https://in-toto.io/Statement/v1"}"#, "application/vnd.in-toto+json", "provenance"),
    ];
    for (document, media_type, kind) in kinds {
        desk.shell.write("document", document);
        let said = desk.docket("claim add @/wabbit/net-monitor:v1 --evidence document --key wabbit.key").expect(0);
        said.says(&[&format!("  {kind}  {media_type}  by https://wabbit.example")]);
    }
}

#[tokio::test]
async fn the_claim_of_a_stranger_is_refused_and_leaves_nothing_visible() {
    let desk = Desk::new().await;
    desk.shell.keys("mallory");
    let before = desk.state();
    let claim = "claim add @/wabbit/net-monitor:v1 --evidence sbom.cdx.json --key mallory.key";
    desk.docket(claim).fails(1, &["the claim was refused", "https://mallory.example"]);
    // Nor does it help to use an admitted name with a key of one's own.
    let mallory = std::fs::read_to_string(desk.shell.path("mallory.key")).expect("a key file");
    desk.shell.write("liar.key", mallory.replace("mallory.example", "wabbit.example"));
    let claim = "claim add @/wabbit/net-monitor:v1 --evidence sbom.cdx.json --key liar.key";
    desk.docket(claim).fails(1, &["the claim was refused", "https://wabbit.example"]);
    assert_eq!(desk.state(), before);
    assert_eq!(desk.site.fsck_clean().entries, 2);
}

#[tokio::test]
async fn only_a_registry_takes_claims() {
    let desk = Desk::new().await;
    let claim = "claim add oci:net-monitor --evidence sbom.cdx.json --key wabbit.key";
    desk.docket(claim).fails(64, &["oci:net-monitor is no registry", "host/name:tag"]);
}

#[tokio::test]
async fn a_wrong_fingerprint_pins_nothing() {
    let desk = Desk::new().await;
    let right = desk.site.receipt_key().thumbprint().to_string();
    let wrong = format!("{}{}", if right.starts_with('0') { '1' } else { '0' }, &right[1..]);
    let said = desk.docket(&format!("trust pin http://@ --fingerprint {wrong}"));
    said.fails(1, &[&wrong, &right, "somebody stands between"]);
    for wrong in [right.to_uppercase(), right[1..].to_owned(), format!("{right}0")] {
        desk.docket(&format!("trust pin @ --fingerprint {wrong}")).fails(64, &["64 lower-case hex digits"]);
    }
    let pinned = desk.docket(&format!("trust pin @ --fingerprint {right} --issuer wabbit.pub")).expect(0);
    assert!(pinned.out.contains("[[issuer]]\nissuer = \"https://wabbit.example\""), "{}", pinned.out);
    let pin = |issuer: &str| desk.docket(&format!("trust pin @ --fingerprint {right} --issuer {issuer}"));
    pin("nowhere.pub").fails(1, &["cannot read nowhere.pub"]);
    pin("wabbit.key").fails(1, &["wabbit.key is no public key"]);
}

#[tokio::test]
async fn verify_says_when_it_cannot_judge() {
    let desk = Desk::new().await;
    let fingerprint = desk.site.receipt_key().thumbprint();
    let trust = desk.docket(&format!("trust pin @ --fingerprint {fingerprint}")).expect(0).out;
    desk.shell.write("trust.toml", &trust);
    let no_key = trust.replace("BEGIN PUBLIC KEY", "BEGIN NOTHING");
    desk.shell.write("no-key.toml", no_key);
    desk.shell.write("later.toml", trust.replace("version = 1", "version = 2"));
    desk.shell.write("empty.toml", "version = 1\n");
    desk.shell.write("broken.toml", "version = ");
    let verify = |reference: &str, trust: &str| desk.docket(&format!("verify {reference} --trust {trust}"));
    let image = "@/wabbit/net-monitor:v1";
    verify(image, "nowhere.toml").fails(2, &["could not judge", "cannot read nowhere.toml"]);
    verify(image, "data").fails(2, &["could not judge", "cannot read data"]);
    verify(image, "no-key.toml").fails(2, &["no-key.toml is not usable", "key 1 of https://registry.wabbit.example"]);
    verify(image, "later.toml").fails(2, &["later.toml is not usable", "version = 1"]);
    verify(image, "empty.toml").fails(2, &["lists no service"]);
    verify(image, "broken.toml").fails(2, &["broken.toml is not usable", "line 1"]);
    verify(NOWHERE, "trust.toml").fails(2, &["could not judge", "127.0.0.1:1 could not be reached"]);
    verify("@/wabbit/net-monitor:v2", "trust.toml").fails(2, &["could not judge", "has no manifest v2"]);
    verify("oci:nowhere", "trust.toml").fails(2, &["could not judge", "no image layout"]);
    verify("oci-archive:sbom.cdx.json", "trust.toml").fails(2, &["could not judge", "no tar file"]);
    verify(image, "trust.toml").expect(1).says(&["refused", "unsigned: nothing is claimed about this artifact"]);
}
