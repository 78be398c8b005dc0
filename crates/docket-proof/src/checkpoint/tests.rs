use super::*;
use crate::note::{KeyName, NoteKeyKind};

const ROOT: Hash = [7; 32];

fn log() -> NoteSigner {
    NoteSigner::generate("registry.wabbit.example/log".parse::<KeyName>().expect("a name"), NoteKeyKind::Ed25519)
}

#[test]
fn a_checkpoint_is_three_lines_and_agrees_with_another_implementation() {
    let checkpoint = Checkpoint::new("registry.wabbit.example/log", 12, ROOT);
    let text = checkpoint.to_string();
    assert_eq!(text, "registry.wabbit.example/log\n12\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n");
    assert_eq!(text.parse(), Ok(checkpoint));
    let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).expect("they read it");
    assert_eq!((theirs.origin(), theirs.size(), theirs.hash().0), ("registry.wabbit.example/log", 12, ROOT));
    assert_eq!(theirs.to_bytes(), text.as_bytes());
}

#[test]
fn extension_lines_are_kept() {
    let text = "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nfirst\nsecond\n";
    let checkpoint: Checkpoint = text.parse().expect("a checkpoint");
    assert_eq!(checkpoint.extensions(), ["first", "second"]);
    assert_eq!((checkpoint.root(), checkpoint.to_string().as_str()), (&EMPTY_ROOT, text));
}

#[test]
fn what_is_no_checkpoint_is_refused_with_its_reason() {
    let root = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    for (text, refusal) in [
        (String::new(), CheckpointError::Shape),
        (format!("log\n12\n{root}"), CheckpointError::Shape),
        ("log\n12\n".to_owned(), CheckpointError::Shape),
        (format!("\n12\n{root}\n"), CheckpointError::Shape),
        (format!("log\n12\n{root}\n\n"), CheckpointError::Shape),
        (format!("log\n012\n{root}\n"), CheckpointError::BadSize),
        (format!("log\n+12\n{root}\n"), CheckpointError::BadSize),
        (format!("log\n-1\n{root}\n"), CheckpointError::BadSize),
        (format!("log\n18446744073709551616\n{root}\n"), CheckpointError::BadSize),
        (format!("log\n\n{root}\n"), CheckpointError::BadSize),
        (format!("log\n12\n{}\n", &root[4..]), CheckpointError::BadRoot),
        (format!("log\n12\n{root}{root}\n"), CheckpointError::BadRoot),
        (format!("log\n12\n {root}\n"), CheckpointError::BadRoot),
        (format!("log\n0\n{root}\n"), CheckpointError::EmptyRoot),
    ] {
        assert_eq!(text.parse::<Checkpoint>(), Err(refusal), "{text:?}");
    }
}

#[test]
fn only_the_log_speaks_for_itself() {
    let log = log();
    let signed = Checkpoint::new(log.public().name().as_str(), 12, ROOT).sign(&log);
    let bytes = signed.to_string().into_bytes();
    assert_eq!(SignedCheckpoint::open(&bytes, log.public()).as_ref(), Ok(&signed));
    let stranger = self::log();
    let unsigned = CheckpointError::Note(NoteError::Unsigned);
    assert_eq!(SignedCheckpoint::open(&bytes, stranger.public()), Err(unsigned));
    // A log that signs another's head.
    let foreign = Checkpoint::new("other.example/log", 12, ROOT).sign(&log).to_string();
    let (expected, found) = (log.public().name().to_string(), "other.example/log".to_owned());
    let other = CheckpointError::OtherLog { expected, found };
    assert_eq!(SignedCheckpoint::open(foreign.as_bytes(), log.public()), Err(other));
}

#[test]
fn a_request_to_a_witness_survives_its_text() {
    let log = log();
    let signed = Checkpoint::new(log.public().name().as_str(), 12, ROOT).sign(&log);
    let checkpoint = signed.to_string();
    for (old, proof) in [(0, vec![]), (7, vec![ROOT; 63])] {
        let body = add_checkpoint_body(old, &proof, &signed);
        assert_eq!(parse_add_checkpoint(&body), Some((old, proof, checkpoint.as_str())));
    }
    assert_eq!(parse_add_checkpoint(&add_checkpoint_body(7, &[ROOT; 64], &signed)), None);
    for head in ["", "old", "old 07", "new 7", "old 7\nAAAA"] {
        assert_eq!(parse_add_checkpoint(&format!("{head}\n\n{checkpoint}")), None, "{head}");
    }
    assert_eq!(parse_add_checkpoint("old 7\n"), None);
}
