//! Keys: made once, never overwritten, never confused.

use std::os::unix::fs::PermissionsExt as _;

use super::{Desk, Shell, Site};

#[test]
fn a_key_pair_has_one_secret_file_and_one_for_everybody() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    let made = shell.docket("keys generate --out wabbit.key --issuer https://wabbit.example --output json").expect(0);
    let json = made.json();
    assert_eq!(json["private"], "wabbit.key");
    assert_eq!(json["public"], "wabbit.pub");
    assert_eq!(json["issuer"], "https://wabbit.example");
    let permissions = |name: &str| {
        let metadata = std::fs::metadata(shell.path(name)).expect("the key was written");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((permissions("wabbit.key"), permissions("wabbit.pub")), (0o600, 0o644));
    let public = std::fs::read_to_string(shell.path("wabbit.pub")).expect("text");
    assert!(public.starts_with("issuer: https://wabbit.example\n-----BEGIN PUBLIC KEY-----\n"), "{public}");
}

#[test]
fn a_key_without_an_owner_is_its_own_identity() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    let made = shell.docket("keys generate --out a.key --output json").expect(0).json();
    let urn = made["issuer"].as_str().expect("an issuer");
    assert!(urn.starts_with("urn:ietf:params:oauth:ckt:sha-256:"), "{urn}");
}

#[test]
fn keys_are_never_overwritten() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    shell.keys("wabbit");
    let read = |name: &str| std::fs::read(shell.path(name)).expect("a key file");
    let before = (read("wabbit.key"), read("wabbit.pub"));
    shell.docket("keys generate --out wabbit.key").fails(1, &["wabbit.key exists", "never overwritten"]);
    std::fs::remove_file(shell.path("wabbit.key")).expect("it was written");
    shell.docket("keys generate --out wabbit.key").fails(1, &["wabbit.pub exists"]);
    assert!(!shell.path("wabbit.key").exists(), "half a key pair was written");
    assert_eq!(read("wabbit.pub"), before.1);
}

#[test]
fn a_key_that_cannot_be_written_is_explained() {
    let site = Site::without_data();
    Shell::new(site.folder()).docket("keys generate --out nowhere/a.key").fails(1, &["cannot create nowhere/a.key"]);
}

#[tokio::test]
async fn a_claim_needs_a_private_key_that_can_be_read() {
    let desk = Desk::new().await;
    desk.shell.write("garbage.key", [0xff, 0xfe, 0x00]);
    desk.shell.write("empty.key", "");
    let cases = [
        ("nowhere.key", "cannot read the key nowhere.key: No such file"),
        (".", "cannot read the key .: Is a directory"),
        ("garbage.key", "cannot read the key garbage.key"),
        ("empty.key", "empty.key is no private key"),
        ("sbom.cdx.json", "no PEM block found"),
        ("wabbit.pub", "PEM block is labelled PUBLIC KEY, expected PRIVATE KEY"),
    ];
    let before = desk.state();
    for (key, words) in cases {
        let line = format!("claim add @/wabbit/net-monitor:v1 --evidence sbom.cdx.json --key {key}");
        desk.docket(&line).fails(1, &[words]);
    }
    assert_eq!(desk.state(), before);
}

#[test]
fn keys_are_made_for_the_algorithm_that_is_asked_for() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    for algorithm in ["ES384", "ES512", "EdDSA", "PS256"] {
        let line = format!("keys generate --out {algorithm}.key --algorithm {algorithm} --output json");
        assert_eq!(shell.docket(&line).expect(0).json()["algorithm"], algorithm);
        let text = std::fs::read_to_string(shell.path(&format!("{algorithm}.key"))).expect("text");
        let key = docket_proof::key::KeyFile::parse(&text).expect("a key file").key;
        assert_eq!(key.algorithm().as_str(), algorithm);
    }
    shell.docket("keys generate --out b.key --algorithm es256").fails(64, &["es256", "ES256, ES384, ES512"]);
}
