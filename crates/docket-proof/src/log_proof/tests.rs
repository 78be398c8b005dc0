use super::*;
use crate::checkpoint::Checkpoint;
use crate::merkle::{Frontier, leaf_hash};
use crate::note::{NoteKeyKind, NoteSigner};

struct Case {
    policy: LogPolicy,
    proofs: Vec<LogProof>,
    leaves: Vec<Hash>,
}

fn case(size: u8) -> Case {
    let log = NoteSigner::generate("log.example/log".parse().expect("a name"), NoteKeyKind::Ed25519);
    let leaves: Vec<Hash> = (0..size).map(|entry| leaf_hash(&[entry])).collect();
    let tree = Frontier::new().append(&leaves);
    let signed = Checkpoint::new("log.example/log", size.into(), tree.root).sign(&log);
    let proofs = (0..).zip(tree.paths).map(|(index, path)| LogProof {
        extra: None,
        index,
        path,
        checkpoint: signed.note().clone(),
    });
    Case { policy: LogPolicy::of_log(log.public().clone()), proofs: proofs.collect(), leaves }
}

#[test]
fn a_proof_survives_its_text_and_holds_for_its_entry_alone() {
    let Case { policy, proofs, leaves } = case(7);
    for (at, proof) in proofs.iter().enumerate() {
        let read: LogProof = proof.to_string().parse().expect("read");
        assert_eq!(&read, proof);
        for (other, leaf) in leaves.iter().enumerate() {
            let judged = read.verify(leaf, &policy);
            assert_eq!(judged.is_ok(), at == other);
            assert!(at == other || judged == Err(LogProofError::OtherEntry));
        }
    }
}

#[test]
fn the_only_entry_of_a_log_has_a_proof_without_hashes() {
    let Case { policy, proofs, leaves } = case(1);
    let text = proofs[0].to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example/log\n1\n"), "{text}");
    let read: LogProof = text.parse().expect("read");
    assert_eq!(read.verify(&leaves[0], &policy).expect("holds").checkpoint.checkpoint().size(), 1);
}

#[test]
fn extra_data_is_carried_and_not_believed() {
    let Case { policy, proofs, leaves } = case(3);
    let with_extra = LogProof { extra: Some(b"net-monitor".to_vec()), ..proofs[1].clone() };
    let text = with_extra.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra bmV0LW1vbml0b3I=\nindex 1\n"), "{text}");
    let read: LogProof = text.parse().expect("read");
    assert_eq!((&read, read.verify(&leaves[1], &policy).is_ok()), (&with_extra, true));
}

#[test]
fn a_log_that_is_not_in_the_policy_is_not_believed() {
    let Case { proofs, leaves, .. } = case(3);
    let refused = LogProofError::Checkpoint(LogPolicyError::NoLog);
    assert_eq!(proofs[1].verify(&leaves[1], &case(3).policy), Err(refused));
}

#[test]
fn a_place_outside_the_tree_and_a_path_of_another_length_are_refused() {
    let Case { policy, proofs, leaves } = case(5);
    let outside = LogProof { index: 5, ..proofs[4].clone() };
    assert!(matches!(outside.verify(&leaves[4], &policy), Err(LogProofError::Path(_))));
    let short = LogProof { path: proofs[1].path[1..].to_vec(), ..proofs[1].clone() };
    assert!(matches!(short.verify(&leaves[1], &policy), Err(LogProofError::Path(_))));
}

#[test]
fn what_is_no_proof_is_refused_with_its_line() {
    let text = case(3).proofs[1].to_string();
    let line = |line, expected| LogProofError::Line { line, expected };
    let (number, hash) = ("\"index\" and a decimal number", "base64 of a hash, of which a path has at most 64");
    for (text, refusal) in [
        (String::new(), LogProofError::NoCheckpoint),
        (text.replacen("@v1", "@v2", 1), LogProofError::Version),
        (text.replacen("index 1", "index 01", 1), line(2, number)),
        (text.replacen("index 1", "index -1", 1), line(2, number)),
        (text.replacen("index 1\n", "", 1), line(2, number)),
        (text.replacen("index 1", "extra !\nindex 1", 1), line(2, "\"extra\" and base64")),
        (text.replacen("index 1", "index 1\nextra aaaa", 1), line(3, hash)),
        (text.replacen("index 1\n", "index 1\nAAAA\n", 1), line(3, hash)),
        (text.replacen("\n\n", "\n", 1).replacen("\n\n", "\n", 1), LogProofError::NoCheckpoint),
        ("c2sp.org/tlog-proof@v1\n\nrest".to_owned(), line(2, number)),
    ] {
        assert_eq!(text.parse::<LogProof>(), Err(refusal), "{text}");
    }
    let many = format!("index 1\n{}", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n".repeat(65));
    assert_eq!(text.replacen("index 1\n", &many, 1).parse::<LogProof>(), Err(line(67, hash)));
    let large = "x".repeat(LOG_PROOF_BYTES_MAX + 1);
    assert_eq!(large.parse::<LogProof>(), Err(LogProofError::TooLarge { bytes: LOG_PROOF_BYTES_MAX + 1 }));
}
