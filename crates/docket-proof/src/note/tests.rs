use proptest::prelude::*;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};

use super::*;
use crate::crypto::Ed25519Point;
use crate::testkeys::every_bit_flipped;

const TEXT: &str = "registry.wabbit.example/log\n12\nroot\n";

fn name(name: &str) -> KeyName {
    name.parse().expect("a name")
}

fn log() -> NoteSigner {
    NoteSigner::generate(name("registry.wabbit.example/log"), NoteKeyKind::Ed25519)
}

fn witness(at: &str) -> NoteSigner {
    NoteSigner::generate(name(at), NoteKeyKind::Cosignature)
}

fn note(signers: &[&NoteSigner]) -> Note {
    let mut note = Note::unsigned(TEXT.to_owned()).expect("a text");
    signers.iter().for_each(|signer| note.add(signer.sign(TEXT, 1_679_315_147)));
    note
}

fn keys(signers: &[&NoteSigner]) -> Vec<NoteKey> {
    signers.iter().map(|signer| signer.public().clone()).collect()
}

fn signed_by(note: &Note, signers: &[&NoteSigner]) -> Result<Vec<Option<u64>>, NoteError> {
    note.signed_by(&keys(signers)).map(|signed| signed.into_iter().map(|signed| signed.time).collect())
}

#[test]
fn a_note_of_another_implementation_is_believed() {
    // Key and note as in the tests of golang.org/x/mod/sumdb/note.
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let text = concat!(
        "If you think cryptography is the answer to your problem,\n",
        "then you don't know what your problem is.\n\n",
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    );
    let parsed: NoteKey = key.parse().expect("a key");
    assert_eq!(parsed.to_string(), key);
    let note = Note::parse(text.as_bytes()).expect("a note");
    assert_eq!(note.signed_by(&[parsed]).expect("signed").len(), 1);
    assert_eq!(note.to_string(), text);
}

#[test]
fn another_implementation_believes_our_notes() {
    let (log, other) = (log(), witness("witness.example/w1"));
    let bytes = note(&[&log, &other]).to_string().into_bytes();
    let theirs = StandardVerifier::new(&log.public().to_string()).expect("they read our key");
    let read = signed_note::Note::from_bytes(&bytes).expect("they read our note");
    let (verified, unverified) = read.verify(&VerifierList::new(vec![Box::new(theirs)])).expect("they believe it");
    assert_eq!((verified.len(), unverified.len()), (1, 1));
}

#[test]
fn we_believe_the_notes_of_another_implementation() {
    let log = log();
    // Their text form of a private key: kind and seed, which are the last bytes of the PKCS#8 form.
    let seed = crate::key::split_private(&log.to_text(&"https://wabbit.example".parse().expect("a URI")));
    let seed = seed.expect("our own file").1[16..].to_vec();
    let (name, id) = (log.public().name(), hex::encode(log.public().id));
    let private = format!("PRIVATE+KEY+{name}+{id}+{}", STANDARD.encode([&[1], &seed[..]].concat()));
    let signer = StandardSigner::new(&private).expect("they read it");
    let mut theirs = signed_note::Note::new(TEXT.as_bytes(), &[]).expect("a text");
    theirs.add_sigs(&[&signer]).expect("signed");
    let ours = Note::parse(&theirs.to_bytes()).expect("a note");
    assert_eq!(ours, note(&[&log]));
    assert_eq!(signed_by(&ours, &[&log]), Ok(vec![None]));
}

#[test]
fn a_cosignature_covers_its_time_and_the_text() {
    let witness = witness("witness.example/w1");
    let note = note(&[&witness]);
    assert_eq!(signed_by(&note, &[&witness]), Ok(vec![Some(1_679_315_147)]));
    let (time, signature) = note.signatures[0].bytes.split_at(8);
    assert_eq!(time, 1_679_315_147_u64.to_be_bytes());
    let message = format!("cosignature/v1\ntime 1679315147\n{TEXT}");
    let point = Ed25519Point::new(*witness.public().key_bytes()).expect("a key");
    assert!(point.verifies(message.as_bytes(), signature));
    for flipped in every_bit_flipped(&note.signatures[0].bytes) {
        let mut wrong = note.clone();
        wrong.signatures[0].bytes = flipped;
        assert_eq!(signed_by(&wrong, &[&witness]), Err(NoteError::BadSignature { name: "witness.example/w1".into() }));
    }
    let late = witness.sign(TEXT, 1 << 63);
    let mut note = Note::unsigned(TEXT.to_owned()).expect("a text");
    note.add(late);
    assert!(matches!(signed_by(&note, &[&witness]), Err(NoteError::BadSignature { .. })));
}

#[test]
fn a_plain_signature_is_no_cosignature_of_the_same_key() {
    let log = log();
    let file = log.to_text(&"https://wabbit.example".parse().expect("a URI"));
    let twin = NoteSigner::parse(log.public().name().clone(), NoteKeyKind::Cosignature, &file).expect("the same key");
    assert_eq!(twin.public().key_bytes(), log.public().key_bytes());
    assert_ne!(twin.public(), log.public());
    assert_eq!(signed_by(&note(&[&log]), &[&twin]), Err(NoteError::Unsigned));
    let mut note = note(&[&twin]);
    note.signatures[0].id = log.public().id;
    assert!(matches!(signed_by(&note, &[&log]), Err(NoteError::BadSignature { .. })));
}

#[test]
fn strangers_under_a_note_mean_nothing_and_a_known_key_that_fails_spoils_it() {
    let (log, known, stranger) = (log(), witness("witness.example/w1"), witness("witness.example/w2"));
    let good = note(&[&stranger, &log, &known, &log]);
    assert_eq!(signed_by(&good, &[&log, &known]), Ok(vec![None, Some(1_679_315_147)]));
    assert_eq!(signed_by(&good, &[&witness("witness.example/w1")]), Err(NoteError::Unsigned));
    assert_eq!(signed_by(&good, &[]), Err(NoteError::Unsigned));
    // The same name with another key id, and the same id under another name.
    let mut renamed = note(&[&log]);
    renamed.signatures[0].name = name("another.example");
    assert_eq!(signed_by(&renamed, &[&log]), Err(NoteError::Unsigned));
    // The second signature of a known key is looked at too.
    let mut spoilt = good.clone();
    spoilt.signatures[3].bytes[0] ^= 1;
    assert!(matches!(signed_by(&spoilt, &[&log, &known]), Err(NoteError::BadSignature { .. })));
    let mut other_text = good;
    other_text.text.insert(0, 'x');
    assert!(matches!(signed_by(&other_text, &[&log]), Err(NoteError::BadSignature { .. })));
}

#[test]
fn sixteen_large_signatures_are_taken_and_too_many_are_not() {
    let log = log();
    let line = |bytes: usize| NoteSignature { name: name("other.example"), id: [1; 4], bytes: vec![7; bytes] };
    let mut large = note(&[&log]);
    (0..15).for_each(|_| large.add(line(5000)));
    let read = Note::parse(large.to_string().as_bytes()).expect("read");
    assert_eq!(signed_by(&read, &[&log]), Ok(vec![None]));
    let mut many = note(&[&log]);
    (1..NOTE_SIGNATURES_MAX).for_each(|_| many.add(line(1)));
    assert_eq!(Note::parse(many.to_string().as_bytes()).as_ref(), Ok(&many));
    many.add(line(1));
    assert_eq!(Note::parse(many.to_string().as_bytes()), Err(NoteError::TooManySignatures));
    let long = "x".repeat(NOTE_BYTES_MAX) + "\n\n";
    assert_eq!(Note::parse(long.as_bytes()), Err(NoteError::TooLarge { bytes: NOTE_BYTES_MAX + 2 }));
}

#[test]
fn an_empty_line_may_stand_in_the_text() {
    let log = log();
    let text = "ed è\n\nsubito sera.\n";
    let mut note = Note::unsigned(text.to_owned()).expect("a text");
    note.add(log.sign(text, 0));
    let read = Note::parse(note.to_string().as_bytes()).expect("read");
    assert_eq!((read.text(), signed_by(&read, &[&log])), (text, Ok(vec![None])));
}

#[test]
fn what_is_no_note_is_refused_with_its_reason() {
    let line = note(&[&log()]).signatures[0].to_string();
    let bad_line = Err(NoteError::SignatureLine { line: 1 });
    for (text, refusal) in [
        (String::new(), Err(NoteError::Shape)),
        ("text\n".to_owned(), Err(NoteError::Shape)),
        (format!("text\n{line}"), Err(NoteError::Shape)),
        ("text\n\n".to_owned(), Err(NoteError::Shape)),
        (format!("text\n\n{}", line.trim_end()), Err(NoteError::Shape)),
        (format!("text\r\n\n{line}"), Err(NoteError::NotText)),
        (format!("te\txt\n\n{line}"), Err(NoteError::NotText)),
        (format!("text\n\n{}", line.replacen('\u{2014}', "-", 1)), bad_line.clone()),
        (format!("text\n\n{}", line.replacen(' ', "", 1)), bad_line.clone()),
        (format!("text\n\n{}", line.replacen("registry", "regi+stry", 1)), bad_line.clone()),
        (format!("text\n\n{}", line.replacen("registry", "regi\u{a0}stry", 1)), bad_line.clone()),
        ("text\n\n\u{2014} name AAAAAA==\n".to_owned(), bad_line.clone()),
        ("text\n\n\u{2014} name AAAAAAB\n".to_owned(), bad_line.clone()),
        ("text\n\n\u{2014} name !!!!!!!!\n".to_owned(), bad_line.clone()),
        ("text\n\n\u{2014}  AAAAAAAA\n".to_owned(), bad_line),
        (format!("text\n\n{line}rest\n"), Err(NoteError::SignatureLine { line: 2 })),
    ] {
        assert_eq!(Note::parse(text.as_bytes()), refusal, "{text:?}");
    }
    assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotText));
    assert_eq!(Note::unsigned("no end of line".to_owned()), Err(NoteError::Shape));
    assert_eq!(Note::unsigned("tab\t\n".to_owned()), Err(NoteError::NotText));
}

#[test]
fn a_verifier_key_is_read_in_its_one_spelling() {
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let unsupported = NoteError::UnsupportedKind { name: "PeterNeumann".into(), kind: 2 };
    for (text, refusal) in [
        ("", NoteError::NotAKey),
        ("PeterNeumann", NoteError::NotAKey),
        ("PeterNeumann+c74f20a3", NoteError::NotAKey),
        ("PeterNeumann+c74f20a3+", NoteError::NotAKey),
        ("PeterNeumann+c74f20a3+AR", NoteError::NotAKey),
        (&key.replace("Neumann", " Neumann"), NoteError::BadName("Peter Neumann".into())),
        (&key[12..], NoteError::BadName(String::new())),
        (&key.replace("c74f20a3", "c74f20a4"), NoteError::KeyIdDiffers { name: "PeterNeumann".into() }),
        (&key.replace("c74f20a3", "C74F20A3"), NoteError::KeyIdDiffers { name: "PeterNeumann".into() }),
        (&key.replace("Peter", "Paul"), NoteError::KeyIdDiffers { name: "PaulNeumann".into() }),
        (&key.replace("+AR", "+Ah"), unsupported),
        (&key.replace("10TW", ""), NoteError::NotAKey),
    ] {
        assert_eq!(text.parse::<NoteKey>(), Err(refusal), "{text}");
    }
}

#[test]
fn debug_of_a_signer_shows_the_public_half_alone() {
    let log = log();
    assert_eq!(format!("{log:?}"), format!("NoteSigner(secret of {})", log.public()));
}

proptest! {
    /// Whatever is done to a note: ours and the other implementation take the same bytes for a note, and believe the same.
    #[test]
    fn changed_notes_are_judged_as_another_implementation_judges_them(
        at in any::<proptest::sample::Index>(),
        with in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let log = log();
        let mut bytes = note(&[&log, &witness("witness.example/w1")]).to_string().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = with }
        let theirs = StandardVerifier::new(&log.public().to_string()).expect("they read our key");
        let theirs = signed_note::Note::from_bytes(&bytes)
            .and_then(|note| note.verify(&VerifierList::new(vec![Box::new(theirs)])).map(drop));
        let ours = Note::parse(&bytes).and_then(|note| signed_by(&note, &[&log]));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?} {:?}", ours, theirs, String::from_utf8_lossy(&bytes));
    }
}
