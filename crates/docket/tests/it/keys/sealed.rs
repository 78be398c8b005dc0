//! Private keys under a passphrase: on the disk, in backups, and for issuers.

use std::process::Command;

use crate::harness::{EMPTY_DIGEST, SERVICE, Server, Shell, Site};

/// Where a server or command is told of the passphrase.
const SETTING: &str = "DOCKET_KEYS__PASSPHRASE_FILE";

#[tokio::test]
async fn a_registry_with_encrypted_keys_opens_with_its_passphrase_alone() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    shell.write("passphrase", "correct horse\n");
    shell.write("other", "battery staple\n");
    shell
        .docket(&format!("init --data data --service-id {SERVICE} --passphrase-file passphrase"))
        .expect(0)
        .says(&["The keys are encrypted", SETTING]);
    for name in site.key_files() {
        let text = std::fs::read_to_string(site.data().join("keys").join(&name)).expect("a key file");
        assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{name} lies there in clear: {text}");
    }

    let path = |name: &str| shell.path(name).to_str().expect("a plain path").to_owned();
    let (right, wrong, absent) = (path("passphrase"), path("other"), path("nowhere"));
    let refused = |settings: &[(&str, &str)]| match Server::try_start(&site, settings) {
        Ok(_) => panic!("it started with {settings:?}"),
        Err(said) => said,
    };
    let said = refused(&[]);
    assert!(said.contains("it is encrypted; set keys.passphrase_file") && said.contains(SETTING), "{said}");
    let said = refused(&[(SETTING, &wrong)]);
    assert!(said.contains("the passphrase does not open the private key"), "{said}");
    let said = refused(&[(SETTING, &absent)]);
    assert!(said.contains("cannot read the passphrase file"), "{said}");

    let with = [(SETTING, right.as_str())];
    let issuer = crate::harness::Issuer::new("wabbit");
    shell.write("wabbit.pub", issuer.public_key_file());
    shell.docket_among(&with, &["issuer", "add", "wabbit", "wabbit.pub", "--data", "data"]).expect(0);
    let server = Server::start_with(&site, &with);
    let statement = issuer.about(&EMPTY_DIGEST.parse().expect("a digest"), "text/plain", b"signed");
    server.register(&statement).await.expecting(201);
    // A key that is made while it runs is encrypted too.
    shell.docket("keys rotate statement --data data").expect(0);
    shell.docket("backup create --data data --out backup").expect(0);
    server.stop().await;
    for folder in ["data/keys", "backup/keys"] {
        for name in ["receipt.key", "statement.key"] {
            let text = std::fs::read_to_string(shell.path(folder).join(name)).expect("a key file");
            assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{folder}/{name}: {text}");
        }
    }
    shell.docket("fsck --data data").fails(1, &["it is encrypted"]);
    shell.docket_among(&with, &["fsck", "--data", "data"]).expect(0);
}

#[test]
fn a_private_key_gets_a_passphrase_and_loses_it_again_and_openssl_reads_it() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    shell.write("passphrase", "correct horse\n");
    shell.write("other", "battery staple");
    shell.write("two-lines", "a\nb\n");
    shell.keys("wabbit");
    let plain = std::fs::read_to_string(shell.path("wabbit.key")).expect("a key");
    shell.docket("keys encrypt wabbit.key --passphrase-file two-lines").fails(1, &["two-lines holds no passphrase"]);
    shell.docket("keys decrypt wabbit.key --passphrase-file passphrase").fails(1, &["wabbit.key is not encrypted"]);
    // Nobody is asked where there is nobody.
    shell.docket("keys encrypt wabbit.key").fails(1, &["no terminal", "--passphrase-file"]);
    assert_eq!(std::fs::read_to_string(shell.path("wabbit.key")).expect("a key"), plain);

    shell.write("wabbit.key.new", "what a call that died left");
    shell.docket("keys encrypt wabbit.key --passphrase-file passphrase").expect(0);
    assert!(!shell.path("wabbit.key.new").exists());
    let sealed = std::fs::read_to_string(shell.path("wabbit.key")).expect("a key");
    assert!(sealed.starts_with("issuer: https://wabbit.example\n-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{sealed}");
    shell.docket("keys encrypt wabbit.key --passphrase-file other").fails(1, &["is encrypted already"]);
    shell.docket("keys decrypt wabbit.key --passphrase-file other").fails(1, &["does not open the private key"]);
    shell.docket("keys decrypt wabbit.key").fails(1, &["no terminal", "--passphrase-file"]);
    assert_eq!(std::fs::read_to_string(shell.path("wabbit.key")).expect("a key"), sealed, "refused, and unchanged");

    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-pubout", "-passin", "file:passphrase", "-in", "wabbit.key"]).current_dir(site.folder());
    let opened = openssl.output().expect("openssl is on this machine");
    let public = std::fs::read_to_string(shell.path("wabbit.pub")).expect("the public key");
    assert!(opened.status.success(), "{opened:?}");
    assert!(public.ends_with(&String::from_utf8(opened.stdout).expect("text")), "{public}");

    shell.docket("keys decrypt wabbit.key --passphrase-file passphrase").expect(0);
    assert_eq!(std::fs::read_to_string(shell.path("wabbit.key")).expect("a key"), plain);
    shell.docket("keys generate --out acme.key --passphrase-file passphrase").expect(0);
    let made = std::fs::read_to_string(shell.path("acme.key")).expect("a key");
    assert!(made.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{made}");
}

#[tokio::test]
async fn an_issuer_signs_with_an_encrypted_key() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.write("passphrase", "correct horse\n");
    shell
        .docket("keys generate --out wabbit.key --issuer https://wabbit.example --passphrase-file passphrase")
        .expect(0);
    shell.docket("issuer add wabbit wabbit.pub --data data").expect(0);
    shell.write("sbom.cdx.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
    let server = Server::start(&site);
    server.repository("a").push_image("v1", 1).await;
    let claim = format!("claim add {}/a:v1 --evidence sbom.cdx.json --key wabbit.key", server.address());
    shell.docket(&claim).fails(1, &["no terminal", "--passphrase-file"]);
    shell.docket(&format!("{claim} --passphrase-file passphrase")).expect(0);
    server.stop().await;
    site.fsck_clean();
}
