//! Checkpoints (C2SP tlog-checkpoint): a tree head as the text of a signed note.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::{EMPTY_ROOT, Hash};
use crate::note::{Note, NoteError, NoteKey, NoteSigner};

/// What a checkpoint says: which log, how many entries, which root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// A checkpoint that its log has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why something is no checkpoint, or not the log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is none, or not signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Fewer than three lines, or an empty one.
    #[error("a checkpoint is an origin, a size and a root, each in a line of its own")]
    Shape,
    /// The second line is no number in its one spelling.
    #[error("the size of a checkpoint is a decimal number without leading zeros")]
    BadSize,
    /// The third line is no hash.
    #[error("the root of a checkpoint is base64 of 32 bytes")]
    BadRoot,
    /// A tree without entries has one root.
    #[error("the checkpoint says that a tree without entries has another root than it has")]
    EmptyRoot,
    /// It is about another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    OtherLog {
        /// Whose checkpoint was wanted.
        expected: String,
        /// Whose it is.
        found: String,
    },
}

impl Checkpoint {
    /// The head of the log called `origin`, which must be one line.
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines after the root. They mean nothing here.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs it as the log.
    pub fn sign(self, log: &NoteSigner) -> SignedCheckpoint {
        let mut note = Note::unsigned(self.to_string()).expect("an origin of one line was asked for");
        note.add(log.sign(note.text(), 0));
        SignedCheckpoint { checkpoint: self, note }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointError::Shape)?.split('\n').collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Shape);
        };
        if origin.is_empty() || extensions.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Shape);
        }
        let size = parse_decimal(size).ok_or(CheckpointError::BadSize)?;
        let root = parse_hash(root).ok_or(CheckpointError::BadRoot)?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(CheckpointError::EmptyRoot);
        }
        let extensions = extensions.iter().map(|&line| line.to_owned()).collect();
        Ok(Self { origin: (*origin).to_owned(), size, root, extensions })
    }
}

impl SignedCheckpoint {
    /// Reads a checkpoint and checks that `log` signed it, under its own name.
    pub fn open(bytes: &[u8], log: &NoteKey) -> Result<Self, CheckpointError> {
        Self::of_note(Note::parse(bytes)?, log)
    }

    pub(crate) fn of_note(note: Note, log: &NoteKey) -> Result<Self, CheckpointError> {
        note.signed_by(std::slice::from_ref(log))?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin != log.name().as_str() {
            let expected = log.name().to_string();
            return Err(CheckpointError::OtherLog { expected, found: checkpoint.origin });
        }
        Ok(Self { checkpoint, note })
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with all its signatures.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The note, to add cosignatures to.
    pub fn note_mut(&mut self) -> &mut Note {
        &mut self.note
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// What a witness is asked with (C2SP tlog-witness): the size it knows, the proof that the tree continues that one, an
/// empty line, and the checkpoint.
pub fn add_checkpoint_body(old_size: u64, proof: &[Hash], checkpoint: &SignedCheckpoint) -> String {
    let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old_size}\n{proof}\n{checkpoint}")
}

/// The parts of such a request: old size, proof, checkpoint. `None` if it is none.
pub fn parse_add_checkpoint(body: &str) -> Option<(u64, Vec<Hash>, &str)> {
    let (head, checkpoint) = body.split_once("\n\n")?;
    let mut lines = head.split('\n');
    let old_size = parse_decimal(lines.next()?.strip_prefix("old ")?)?;
    let proof: Vec<Hash> = lines.map(parse_hash).collect::<Option<_>>()?;
    (proof.len() <= WITNESS_PROOF_HASHES_MAX).then_some((old_size, proof, checkpoint))
}

/// Most hashes that a witness takes.
const WITNESS_PROOF_HASHES_MAX: usize = 63;

/// A decimal number in its one spelling: no sign, no leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
