//! Backups: what was acknowledged before one is in it byte for byte, and a restored copy takes no changes before it was
//! compared with what was said since.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use docket_proof::statement::{SignedStatement, transparent};
use futures_util::future::{join, join_all};

use super::answered::{Answered, CLAIMS, Writer, prepared};
use crate::harness::{Ask as _, Issuer, Server, Shell, Site, bytes_of, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_is_in_it_whatever_goes_on_meanwhile() {
    let (site, issuer, artifact) = prepared().await;
    let key = site.receipt_key();
    let server = Server::start(&site);
    let writer = |number| Writer { server: &server, issuer: &issuer, key: &key, artifact: &artifact, number };
    let (publishers, witnesses): (Vec<_>, Vec<_>) = ((0..3).map(writer).collect(), (3..6).map(writer).collect());
    let load = join(
        join_all(publishers.iter().map(Writer::push_until_gone)),
        join_all(witnesses.iter().map(Writer::claim_until_gone)),
    );
    let stop = async {
        tokio::time::sleep(LOAD_TIME).await;
        server.terminate();
    };
    let ((pushed, claimed), ()) = join(load, stop).await;
    server.stopped().await;
    let told = Answered::together(pushed.into_iter().chain(claimed).collect());
    assert!(told.receipts() > 0 && told.count() > 10, "only {} answers", told.count());

    let server = Server::start(&site);
    let shell = Shell::new(site.folder());
    let writer = |number| Writer { server: &server, issuer: &issuer, key: &key, artifact: &artifact, number };
    let (publishers, witnesses): (Vec<_>, Vec<_>) = ((6..9).map(writer).collect(), (9..12).map(writer).collect());
    let load = join(
        join_all(publishers.iter().map(Writer::push_until_gone)),
        join_all(witnesses.iter().map(Writer::claim_until_gone)),
    );
    let backup = async {
        tokio::time::sleep(LOAD_TIME / 2).await;
        let said = tokio::task::block_in_place(|| shell.docket("backup create --data data --out backup --output json"));
        tokio::time::sleep(LOAD_TIME / 2).await;
        server.kill();
        said.expect(0).json()
    };
    let (_, backup) = join(load, backup).await;
    let size = backup["tree_size"].as_u64().expect("a number");
    assert!(backup["files"].as_u64().is_some_and(|files| files > 0), "{backup}");

    // The lost guard has seen entries that the backup lacks, and so has somebody with a receipt.
    let copy = restored(&site, &shell, "backup");
    let refused = shell.docket("recover --data copy/data --guard data/guard");
    refused.fails(1, &["the evidence speaks of", &format!("the copy holds {size}"), "fork the ledger", "docket init"]);
    shell.docket(&format!("recover --data copy/data --accept-loss {}", size + 1)).fails(1, &["state the number"]);
    shell.docket(&format!("recover --data copy/data --accept-loss {size}")).expect(0);
    let server = Server::start(&copy);
    told.check(&server, &key).await;
    server.stop().await;
    copy.fsck_clean();
}

#[tokio::test]
async fn a_restored_copy_is_read_only_until_the_lost_guard_agrees() {
    let (site, issuer, artifact) = prepared().await;
    let shell = Shell::new(site.folder());
    let large = bytes_of(7, 300_000);
    let server = Server::start(&site);
    let digest = server.repository("pushed").push_blob(large.clone()).await;
    server.stop().await;
    // Without a server, too.
    let said = shell.docket("backup create --data data --out backup").expect(0);
    assert!(
        said.out.contains("ledger     2 entries") && said.out.contains("files      1 of 300000 bytes"),
        "{}",
        said.out
    );
    let backup = site.folder().join("backup");
    for name in ["receipt.key", "statement.key", "checkpoint.key"] {
        let key = std::fs::metadata(backup.join("keys").join(name)).expect("the key");
        assert_eq!(key.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&backup).expect("the backup").permissions().mode() & 0o777, 0o700);
    assert_eq!(links_of_files(&backup.join("blobs")), [2], "large blobs are hard links");

    let copy = restored(&site, &shell, "backup");
    assert_eq!(links_of_files(&copy.data().join("blobs")), [1], "a restored blob is a file of its own");
    let server = Server::start(&copy);
    assert!(server.log().contains("restored from a backup"), "{}", server.log());
    let repository = server.repository(CLAIMS);
    assert_eq!(repository.manifest("v1").await, artifact);
    assert!(server.repository("pushed").blob(&digest).await == large);
    let refuses = |answer: crate::harness::Answer| {
        let answer = answer.expecting(503);
        assert!(
            answer.message().contains("takes no changes until its operator has run `docket recover`"),
            "{answer:?}"
        );
    };
    refuses(repository.request("POST", "blobs/uploads/").answer().await);
    refuses(repository.request("DELETE", "manifests/v1").answer().await);
    refuses(repository.put("v2", docket_oci::media::OCI_IMAGE_MANIFEST, artifact.clone()).await);
    let statement = issuer.about(&sha256(&artifact), "application/vnd.example.note", b"a note");
    let refused = server.register(&statement).await.expecting(503);
    assert_eq!(refused.header("retry-after"), Some("10"));
    let (_, detail) = refused.problem();
    assert!(detail.contains("docket recover"), "{detail}");
    let problems = server.watch("/readyz").expect(503).await;
    assert!(problems.json()["checks"][3]["problem"].as_str().is_some_and(|it| it.contains("restored from a backup")));
    shell.keys("other");
    shell.docket("issuer add other other.pub --data copy/data").fails(1, &["docket recover"]);
    shell.docket("recover --data copy/data --guard data/guard").fails(1, &["another docket process has"]);
    server.stop().await;
    assert_eq!(copy.fsck_clean().entries, 2);

    let said = shell.docket("recover --data copy/data --guard data/guard").expect(0);
    assert_eq!(said.out, "recovered  2 entries, the evidence speaks of 2\n");
    shell
        .docket("recover --data copy/data --guard data/guard")
        .fails(1, &["no restored copy, there is nothing to recover"]);
    let server = Server::start(&copy);
    server.repository(CLAIMS).push_image("v2", 2).await;
    server.register(&statement).await.expecting(201).receipt(&statement, &site.receipt_key());
    server.stop().await;
    assert_eq!(copy.fsck_clean().entries, 3);
    // The backup shares files with the folder it came from, and neither was touched.
    assert_eq!(site.fsck_clean().entries, 2);
}

#[tokio::test]
async fn a_receipt_from_after_the_backup_keeps_the_copy_read_only() {
    let (site, issuer, artifact) = prepared().await;
    let shell = Shell::new(site.folder());
    let old = claim(&site, &issuer, &artifact, 1).await;
    shell.docket("backup create --data data --out backup").expect(0);
    let new = claim(&site, &issuer, &artifact, 2).await;
    let copy = restored(&site, &shell, "backup");
    let stranger = Site::new();
    let other = claim(&stranger, &stranger.admit("wabbit"), &artifact_on(&stranger).await, 1).await;
    shell.write("old.receipt", &old.receipt);
    shell.write("new.receipt", &new.receipt);
    shell.write("new.statement", new.transparent());
    shell.write("other.receipt", &other.receipt);
    shell.write("bare.statement", &new.statement);
    let mut forged = old.transparent();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    shell.write("forged.statement", forged);
    let recover = |file: &str| shell.docket(&format!("recover --data copy/data --receipt {file}"));
    for file in ["new.receipt", "new.statement"] {
        recover(file).fails(1, &["speaks of 4 entries, the copy holds 3", "fork the ledger"]);
    }
    for file in ["other.receipt", "bare.statement", "forged.statement"] {
        recover(file).fails(1, &["no receipt of this service"]);
    }
    recover("nowhere").fails(1, &["cannot read nowhere"]);
    let server = Server::start(&copy);
    server.repository("a").request("POST", "blobs/uploads/").expect(503).await;
    server.stop().await;
    let said = recover("old.receipt").expect(0);
    assert_eq!(said.out, "recovered  3 entries, the evidence speaks of 3\n");
    assert!(said.err.contains("tells of its own time only"), "{}", said.err);
    copy.fsck_clean();
}

#[tokio::test]
async fn evidence_of_another_history_is_recognised() {
    let (site, issuer, artifact) = prepared().await;
    let shell = Shell::new(site.folder());
    shell.docket("backup create --data data --out backup").expect(0);
    let lost = claim(&site, &issuer, &artifact, 1).await;
    // Somebody goes on from the backup although that claim was logged.
    let copy = restored(&site, &shell, "backup");
    shell.docket("recover --data copy/data --accept-loss 2").expect(0);
    claim(&copy, &issuer, &artifact, 2).await;
    shell.docket("backup create --data copy/data --out second").expect(0);
    std::fs::rename(copy.folder(), site.folder().join("first")).expect("moved");
    drop(copy);
    let copy = restored(&site, &shell, "second");
    shell.write("lost.receipt", &lost.receipt);
    shell.write("lost.statement", lost.transparent());
    for evidence in ["--guard data/guard", "--receipt lost.receipt", "--receipt lost.statement"] {
        let said = shell.docket(&format!("recover --data copy/data {evidence}"));
        said.fails(1, &["another tree of 3 entries", "must not go on"]);
    }
    shell.docket("recover --data copy/data --guard first/data/guard").expect(0);
    copy.fsck_clean();
}

#[tokio::test]
async fn a_backup_that_is_not_whole_is_not_restored() {
    let (site, ..) = prepared().await;
    let shell = Shell::new(site.folder());
    let server = Server::start(&site);
    let digest = server.repository("pushed").push_blob(bytes_of(7, 300_000)).await;
    shell.docket("backup create --data data --out data").fails(1, &["is not empty", "nothing was changed"]);
    shell.docket("backup create --data data --out backup").expect(0);
    server.stop().await;
    let restore = || shell.docket("backup restore --from backup --data copy");
    shell.docket("backup restore --from backup --data data").fails(1, &["is not empty", "nothing was changed"]);
    shell.docket("backup restore --from data --data copy").fails(1, &["data cannot be restored", "no backup.json"]);

    let note = std::fs::read(shell.path("backup/backup.json")).expect("the note");
    std::fs::remove_file(shell.path("backup/backup.json")).expect("it was there");
    restore().fails(1, &["was not finished"]);
    shell.write("backup/backup.json", "{");
    restore().fails(1, &["backup cannot be restored"]);
    assert!(!shell.path("copy").exists());
    let more = String::from_utf8(note.clone()).expect("text").replace("\"files\": 1", "\"files\": 2");
    shell.write("backup/backup.json", more);
    restore().fails(1, &["1 files", "not the 2 files"]);
    std::fs::remove_dir_all(shell.path("copy")).expect("half a folder");
    shell.write("backup/backup.json", note);

    let file = file_named(&site.folder().join("backup/blobs"), &digest.hex());
    let mut bytes = std::fs::read(&file).expect("the blob");
    bytes[1000] ^= 1;
    std::fs::remove_file(&file).expect("removed, because the data folder has it too");
    std::fs::write(&file, &bytes).expect("damaged");
    restore().fails(1, &["has the bytes of sha256:", &digest.hex()]);
    // Half a folder is none.
    shell.docket("serve --data copy --listen 127.0.0.1:0").fails(1, &["holds no docket data"]);
    site.fsck_clean();
}

#[tokio::test]
async fn a_database_that_was_rolled_back_is_explained() {
    let (site, issuer, artifact) = prepared().await;
    let shell = Shell::new(site.folder());
    std::fs::copy(shell.path("data/docket.db"), shell.path("older.db")).expect("copied");
    claim(&site, &issuer, &artifact, 1).await;
    shell.docket("recover --data data --accept-loss 3").fails(1, &["no restored copy, there is nothing to recover"]);
    std::fs::copy(shell.path("older.db"), shell.path("data/docket.db")).expect("rolled back");
    let said = shell.docket("recover --data data --accept-loss 2");
    said.fails(1, &["no comparison can help", "it was rolled back", "Put back the newer database"]);
    shell.docket("recover --data data").fails(64, &["--guard <FILE>"]);
    shell.docket("recover --data data --guard data/guard --accept-loss 2").fails(64, &["cannot be used with"]);
    shell.write("short", "docket-guard 0 ");
    shell.docket("recover --data data --guard short").fails(1, &["short has no whole slot"]);
}

/// A statement that was registered, and its receipt.
struct Claimed {
    statement: Vec<u8>,
    receipt: Vec<u8>,
}

impl Claimed {
    fn transparent(&self) -> Vec<u8> {
        let entry = SignedStatement::decode(&self.statement).expect("a statement of ours").entry().to_vec();
        transparent(&entry, &[&self.receipt]).expect("small enough")
    }
}

/// Registers a note through a server of its own.
async fn claim(site: &Site, issuer: &Issuer, artifact: &[u8], number: u8) -> Claimed {
    let statement = issuer.about(&sha256(artifact), "application/vnd.example.note", &[number]);
    let server = Server::start(site);
    let receipt = server.register(&statement).await.expecting(201).body.to_vec();
    server.stop().await;
    Claimed { statement, receipt }
}

/// Pushes an artifact through a server of its own.
async fn artifact_on(site: &Site) -> Vec<u8> {
    let server = Server::start(site);
    let artifact = server.repository(CLAIMS).push_image("v1", 1).await;
    server.stop().await;
    artifact
}

/// Restores a backup into `copy/data`.
fn restored(site: &Site, shell: &Shell, backup: &str) -> Site {
    let said = shell.docket(&format!("backup restore --from {backup} --data copy/data")).expect(0);
    assert!(said.err.contains("docket recover"), "{}", said.err);
    Site::at(site.folder().join("copy"))
}

/// How many names each file below a folder has.
fn links_of_files(folder: &Path) -> Vec<u64> {
    files(folder).iter().map(|file| std::fs::metadata(file).expect("a file").nlink()).collect()
}

fn file_named(folder: &Path, end: &str) -> std::path::PathBuf {
    let found = files(folder).into_iter().find(|file| file.to_string_lossy().ends_with(end));
    found.unwrap_or_else(|| panic!("no {end} below {}", folder.display()))
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

const LOAD_TIME: Duration = Duration::from_millis(600);
