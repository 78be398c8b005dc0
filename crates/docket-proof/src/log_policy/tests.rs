use super::*;
use crate::checkpoint::Checkpoint;
use crate::note::NoteSigner;

fn signer(name: &str, kind: NoteKeyKind) -> NoteSigner {
    NoteSigner::generate(name.parse().expect("a name"), kind)
}

fn log() -> NoteSigner {
    signer("log.example/log", NoteKeyKind::Ed25519)
}

fn witness(number: usize) -> NoteSigner {
    signer(&format!("witness.example/{number}"), NoteKeyKind::Cosignature)
}

/// A checkpoint with cosignatures.
fn checkpoint(log: &NoteSigner, witnesses: &[&NoteSigner]) -> Vec<u8> {
    let mut checkpoint = Checkpoint::new(log.public().name().as_str(), 5, [7; 32]).sign(log);
    for witness in witnesses {
        let line = witness.sign(checkpoint.note().text(), 1_700_000_000);
        checkpoint.note_mut().add(line);
    }
    checkpoint.to_string().into_bytes()
}

fn line_problem(text: &str) -> (usize, LineProblem) {
    match LogPolicy::parse(text) {
        Err(LogPolicyError::Line { line, what }) => (line, what),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn a_quorum_of_two_levels_is_counted() {
    let (log, [x1, x2, x3, y1, y2, y3]) = (log(), [1, 2, 3, 4, 5, 6].map(witness));
    let key = |signer: &NoteSigner| signer.public().to_string();
    let text = format!(
        "# two organisations\n\tlog {} https://log.example/log\n\n\
         witness X1 {}\nwitness X2 {} https://x2.example\nwitness X3 {}\n group X 2 X1 X2 X3 \n\
         witness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\ngroup Y any Y1\tY2 Y3\n\
         group X-and-Y all X Y\nquorum X-and-Y\n",
        key(&log),
        key(&x1),
        key(&x2),
        key(&x3),
        key(&y1),
        key(&y2),
        key(&y3),
    );
    let policy = LogPolicy::parse(&text).expect("a policy");
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    assert_eq!(policy.logs()[0].url.as_deref(), Some("https://log.example/log"));
    assert_eq!(policy.witnesses()[1].url.as_deref(), Some("https://x2.example"));
    let all = [&x1, &x2, &x3, &y1, &y2, &y3];
    for chosen in 0..1_usize << all.len() {
        let cosigned: Vec<&NoteSigner> = (0..all.len()).filter(|at| chosen >> at & 1 == 1).map(|at| all[at]).collect();
        let suffices = (chosen & 0b111).count_ones() >= 2 && chosen & 0b11_1000 != 0;
        let judged = policy.check(&checkpoint(&log, &cosigned));
        assert_eq!(judged.is_ok(), suffices, "{chosen:b}");
        match judged {
            Ok(witnessed) => assert_eq!(witnessed.witnesses.len(), cosigned.len()),
            Err(LogPolicyError::NoQuorumReached { found }) => assert_eq!(found.len(), cosigned.len()),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn one_witness_none_and_strangers() {
    let (log, known, stranger) = (log(), witness(1), witness(2));
    let (log_key, key) = (log.public(), known.public());
    let one = LogPolicy::parse(&format!("log {log_key}\nwitness w {key}\nquorum w")).expect("a policy");
    assert!(one.check(&checkpoint(&log, &[&known, &stranger])).is_ok());
    let refused = LogPolicyError::NoQuorumReached { found: Vec::new() };
    assert_eq!(one.check(&checkpoint(&log, &[&stranger])), Err(refused));
    let none = LogPolicy::parse(&format!("log {log_key}\nquorum none\n")).expect("a policy");
    assert!(none.asks_for_no_witness() && none == LogPolicy::of_log(log_key.clone()));
    assert!(none.check(&checkpoint(&log, &[])).is_ok());
    assert_eq!(none.check(&checkpoint(&self::log(), &[])), Err(LogPolicyError::NoLog));
    assert_eq!(
        none.check(&checkpoint(&signer("other.example", NoteKeyKind::Ed25519), &[])),
        Err(LogPolicyError::NoLog)
    );
    let nothing = LogPolicy::parse("quorum none").expect("a policy");
    assert_eq!(nothing.check(&checkpoint(&log, &[])), Err(LogPolicyError::NoLog));
}

#[test]
fn a_witness_whose_signature_does_not_hold_spoils_the_checkpoint() {
    let (log, known) = (log(), witness(1));
    let policy = format!("log {}\nwitness w {}\nquorum none", log.public(), known.public());
    let policy = LogPolicy::parse(&policy).expect("a policy");
    let mut checkpoint = Checkpoint::new(log.public().name().as_str(), 5, [7; 32]).sign(&log);
    checkpoint.note_mut().add(known.sign("another text\n", 1));
    let judged = policy.check(checkpoint.to_string().as_bytes());
    let bad = NoteError::BadSignature { name: "witness.example/1".into() };
    assert_eq!(judged, Err(LogPolicyError::Checkpoint(bad.into())));
}

#[test]
fn two_keys_of_one_log_may_stand_side_by_side() {
    let (old, new) = (log(), log());
    let policy = format!("log {}\nlog {}\nquorum none", old.public(), new.public());
    let policy = LogPolicy::parse(&policy).expect("a policy");
    assert!(policy.check(&checkpoint(&old, &[])).is_ok() && policy.check(&checkpoint(&new, &[])).is_ok());
}

#[test]
fn lines_that_are_wrong_are_named() {
    let (log, one, two) = (log(), witness(1), witness(2));
    let (log, one, two) = (log.public(), one.public(), two.public());
    let start = format!("log {log}\nwitness a {one}\nwitness b {two}\n");
    let unknown = |name: &str| LineProblem::Unknown(name.to_owned());
    for (line, what) in [
        ("quorums a", LineProblem::Keyword),
        ("log", LineProblem::Words("log KEY [URL]")),
        ("quorum", LineProblem::Words("quorum NAME")),
        ("quorum a b", LineProblem::Words("quorum NAME")),
        ("group g any", LineProblem::Words("group NAME any|all|NUMBER MEMBER…")),
        ("witness c", LineProblem::Words("witness NAME KEY [URL]")),
        ("witness c key", LineProblem::Key(NoteError::NotAKey)),
        (&format!("witness c {log}"), LineProblem::WrongKind),
        (&format!("log {one}"), LineProblem::WrongKind),
        (&format!("log {log}"), LineProblem::KeyTwice),
        (&format!("witness c {one}"), LineProblem::KeyTwice),
        ("group a any b", LineProblem::NameTaken("a".into())),
        ("group none any b", LineProblem::NameTaken("none".into())),
        ("group g any c", unknown("c")),
        ("group g any none", unknown("none")),
        ("group g any g", unknown("g")),
        ("quorum later", unknown("later")),
        ("group g any a a", LineProblem::MemberTwice("a".into())),
        ("group g 0 a", LineProblem::Threshold),
        ("group g 3 a b", LineProblem::Threshold),
        ("group g 01 a b", LineProblem::Threshold),
        ("group g most a b", LineProblem::Threshold),
    ] {
        assert_eq!(line_problem(&format!("{start}{line}\nquorum a\n")), (4, what), "{line}");
    }
    assert_eq!(line_problem(&format!("{start}group g any a\ngroup h any a b")).0, 5);
    assert_eq!(line_problem("quorum none\nquorum none"), (2, LineProblem::QuorumTwice));
    assert_eq!(LogPolicy::parse(&start), Err(LogPolicyError::NoQuorum));
    assert_eq!(LogPolicy::parse("quorum none\r\n"), Err(LogPolicyError::NotText));
}

#[test]
fn policies_of_many_lines_are_read_up_to_a_limit() {
    let mut text = (0..LOG_POLICY_LINES_MAX).fold(String::new(), |text, number| {
        let (log, witness) = (signer("log.example", NoteKeyKind::Ed25519), witness(number));
        text + &format!("log {}\nwitness w{number} {}\ngroup g{number} any w{number}\n", log.public(), witness.public())
    });
    assert!(LogPolicy::parse(&format!("{text}quorum g63")).is_ok());
    for line in
        [format!("log {}", log().public()), format!("witness x {}", witness(99).public()), "group x any g63".to_owned()]
    {
        let line = format!("{text}{line}\nquorum none");
        assert_eq!(line_problem(&line).1, LineProblem::TooMany);
    }
    text = "#".repeat(LOG_POLICY_BYTES_MAX + 1);
    assert_eq!(LogPolicy::parse(&text), Err(LogPolicyError::TooLarge { bytes: LOG_POLICY_BYTES_MAX + 1 }));
}
