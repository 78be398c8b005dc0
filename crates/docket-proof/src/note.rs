//! Signed notes (C2SP signed-note): a text that people can read, and under it a line for each key that signed it.
//!
//! ```text
//! registry.wabbit.example/log
//! 12
//! 0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=
//!
//! — registry.wabbit.example/log Az3grlgtzPICa5OS8np…
//! — witness.example/w1 jWbPPwAAAABkGFDLEZMHwSRaJNi…
//! ```
//! Two kinds of signature are made and checked: Ed25519 over the text, and the timestamped cosignatures of witnesses
//! (C2SP tlog-cosignature). Lines of other keys and kinds are kept and mean nothing.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use key::{KeyName, NoteKey, NoteKeyKind, NoteSigner};

mod key;

/// Most bytes a note may have. Sixteen signatures must be taken, and a post-quantum one may have 5 kB.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;

/// Most signatures a note may have.
pub const NOTE_SIGNATURES_MAX: usize = 64;

/// A well-formed note whose text is said by nobody so far: see [`Note::signed_by`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A line under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy<'k> {
    /// Whose it is.
    pub key: &'k NoteKey,
    /// When a cosignature says that it was made, Unix seconds.
    pub time: Option<u64>,
}

/// Why something is no note, no key of notes, or a note that must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too long.
    #[error("note has {bytes} bytes, the limit is {NOTE_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not UTF-8, or control characters.
    #[error("a note is UTF-8 without control characters but the end of a line")]
    NotText,
    /// The text does not end in a newline, or there is no empty line under it.
    #[error("a note is a text, an empty line, and signatures in lines that begin with a dash")]
    Shape,
    /// A signature line that is none.
    #[error("signature line {line} is not a dash, a key name and base64")]
    SignatureLine {
        /// Which, from 1 on.
        line: usize,
    },
    /// Too many signatures.
    #[error("note has more than {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A known key did not sign this text.
    #[error("the signature of {name} is not of this text")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// No known key signed.
    #[error("no key that is known here has signed the note")]
    Unsigned,
    /// A name with spaces or plus signs, or none.
    #[error("{0:?} names no key: a name has no space, no control character and no '+'")]
    BadName(String),
    /// A verifier key that is none.
    #[error("not a verifier key: name, 8 hex digits and base64 with '+' between are expected")]
    NotAKey,
    /// A verifier key that names itself wrongly.
    #[error("the verifier key of {name} has another key id than its key gives; it was cut or changed")]
    KeyIdDiffers {
        /// The key's name.
        name: String,
    },
    /// A kind of key that is not supported here.
    #[error("the key of {name} is of kind 0x{kind:02x}; Ed25519 (0x01) and Ed25519 cosignatures (0x04) are supported")]
    UnsupportedKind {
        /// The key's name.
        name: String,
        /// Its signature type.
        kind: u8,
    },
}

impl Note {
    /// A note without signatures yet. The text must end in a newline and hold no other control character.
    pub fn unsigned(text: String) -> Result<Self, NoteError> {
        check_text(&text)?;
        if text.ends_with('\n') { Ok(Self { text, signatures: Vec::new() }) } else { Err(NoteError::Shape) }
    }

    /// Reads a note with one signature or more.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge { bytes: bytes.len() });
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        check_text(note)?;
        // The text may hold empty lines; the last one ends it.
        let end = note.rfind("\n\n").ok_or(NoteError::Shape)?;
        let signatures = parse_signatures(&note[end + 2..])?;
        Ok(Self { text: note[..=end].to_owned(), signatures })
    }

    /// The text, with its final newline. Nobody said it until a signature was checked.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines under it.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a line at the end.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Which of `keys` signed, each once, in the order of the keys. Signatures of others mean nothing; a signature of one of
    /// these that does not hold spoils the note, and a note that none of them signed is refused.
    pub fn signed_by<'k>(&self, keys: &'k [NoteKey]) -> Result<Vec<SignedBy<'k>>, NoteError> {
        let mut signed = Vec::new();
        for key in keys {
            let mut time = None;
            for signature in self.signatures.iter().filter(|signature| key.is_named_by(signature)) {
                let bad = || NoteError::BadSignature { name: key.name().to_string() };
                time = Some(key.verify(&self.text, &signature.bytes).ok_or_else(bad)?);
            }
            signed.extend(time.map(|time| SignedBy { key, time }));
        }
        if signed.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

impl NoteSignature {
    /// Whose it says it is.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// One line, with its newline: a dash, the name, and base64 of key id and signature.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Self { name: name.parse().ok()?, id: *id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{DASH}{} {}", self.name, STANDARD.encode([&self.id[..], &self.bytes].concat()))
    }
}

/// Reads signature lines as they stand under a note, or in the answer of a witness: one or more.
pub fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let Some(lines) = lines.strip_suffix('\n') else {
        return Err(NoteError::Shape);
    };
    let mut signatures = Vec::new();
    for (line, number) in lines.split('\n').zip(1..) {
        if number > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        signatures.push(NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: number })?);
    }
    Ok(signatures)
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') { Err(NoteError::NotText) } else { Ok(()) }
}

/// What a signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

#[cfg(test)]
mod tests;
