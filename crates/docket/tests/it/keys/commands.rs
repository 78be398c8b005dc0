//! Signing commands: the receipt key in a program of the operator's, which may fail, lie or hang.

use std::os::unix::fs::PermissionsExt as _;

use docket_proof::key::KeyFile;
use docket_proof::statement::SignedStatement;

use crate::harness::{Ask as _, EMPTY_DIGEST, Server, Shell, Site};

/// Does what `docket keys signer` does, unless a file beside it says otherwise.
const SIGNER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
if [ "$1" = sign ] && [ -e mood ]; then
    case "$(cat mood)" in
        fail) exit 3 ;;
        lie) head -c 64 /dev/zero; exit ;;
        short) printf short; exit ;;
        long) head -c 100000 /dev/zero; exit ;;
        hang) sleep 600; exit ;;
        deaf) sleep 600 <&- & printf ""; exit 0 ;;
    esac
fi
exec "$DOCKET" keys signer held.key "$1"
"#;

#[tokio::test]
async fn a_signing_command_signs_and_its_failures_leave_a_ledger_that_goes_on() {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let shell = Shell::new(site.folder());
    shell.docket("keys generate --out held.key").expect(0);
    shell.write("signer", SIGNER);
    std::fs::set_permissions(shell.path("signer"), std::fs::Permissions::from_mode(0o755)).expect("our own file");
    let held = KeyFile::parse(&std::fs::read_to_string(shell.path("held.key")).expect("the key")).expect("a key");
    let held = held.key.public().clone();
    let command = format!("[\"{}\"]", shell.path("signer").display());
    let settings = [
        ("DOCKET", env!("CARGO_BIN_EXE_docket")),
        ("DOCKET_KEYS__RECEIPT_COMMAND", command.as_str()),
        ("DOCKET_KEYS__COMMAND_DEADLINE", "1s"),
    ];
    let note = |text: &str| issuer.about(&EMPTY_DIGEST.parse().expect("a digest"), "text/plain", text.as_bytes());

    // Its key is not in force yet, so the file signs until the rotation; then there is no file any more.
    let old = site.receipt_key();
    let old_file = std::fs::read_to_string(shell.path("data/keys/receipt.key")).expect("the first key");
    let server = Server::start_with(&site, &settings);
    let before = note("before");
    server.register(&before).await.expecting(201).receipt(&before, &old);
    shell.docket("keys rotate receipt --data data").expect(0).says(&[&held.thumbprint().to_string()]);
    assert!(!shell.path("data/keys/receipt.key").exists());
    let by_command = note("by the command");
    server.register(&by_command).await.expecting(201).receipt(&by_command, &held);

    for mood in ["fail", "lie", "short", "long", "hang", "deaf"] {
        shell.write("mood", mood);
        let statement = note(mood);
        let refused = server.register(&statement).await.expecting(503);
        assert!(refused.header("retry-after").is_some(), "{mood}");
        assert!(refused.problem().1.contains("could not sign just now"), "{mood}: {:?}", refused.problem());
        let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
        server.request("GET", &format!("/entries/{entry}")).expect(404).await;
        // What was signed before is served, and when the command is well again, so is the ledger.
        server.register(&by_command).await.expecting(201).receipt(&by_command, &held);
        std::fs::remove_file(shell.path("mood")).expect("it was there");
        server.register(&statement).await.expecting(201).receipt(&statement, &held);
    }
    server.stop().await;

    // Without the command the key in force is nowhere, and the server says what to set.
    let Err(said) = Server::try_start(&site, &[]) else { panic!("it started without its key") };
    assert!(said.contains("keys.receipt_command"), "{said}");
    let broken = [("DOCKET_KEYS__RECEIPT_COMMAND", "[\"/nowhere/signer\"]")];
    let Err(said) = Server::try_start(&site, &broken) else { panic!("it started without its command") };
    assert!(said.contains("/nowhere/signer") && said.contains("did not start"), "{said}");
    let checked = shell.docket_among(&settings, &["fsck", "--data", "data", "--output", "json"]).expect(0).json();
    // Genesis, wabbit, the key, and eight notes.
    assert_eq!(checked["entries"], 11, "{checked}");

    // What a crash before its removal leaves of the first key goes at the next start. The command has no other key, so the
    // next one comes into a file only where that is said.
    shell.write("data/keys/receipt.key", &old_file);
    let server = Server::start_with(&site, &settings);
    assert!(!shell.path("data/keys/receipt.key").exists());
    shell.docket("keys rotate receipt --data data").fails(1, &["signing command has the key in force", "--to-file"]);
    shell.docket("keys rotate receipt --to-file --data data").expect(0);
    let kept = std::fs::read_to_string(shell.path("data/keys/receipt.key")).expect("the new key");
    let kept = KeyFile::parse(&kept).expect("a key").key.public().clone();
    let by_file = note("by the file again");
    server.register(&by_file).await.expecting(201).receipt(&by_file, &kept);
    server.stop().await;
}
