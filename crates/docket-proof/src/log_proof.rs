//! Proofs of logging (C2SP tlog-proof): a path and a checkpoint in one text, checked without asking anybody.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, parse_decimal, parse_hash};
use crate::log_policy::{LogPolicy, LogPolicyError, Witnessed};
use crate::merkle::{Hash, MerkleError, PATH_HASHES_MAX, root_from_path};
use crate::note::{NOTE_BYTES_MAX, Note};

/// Most bytes a proof may have.
pub const LOG_PROOF_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

/// A well-formed proof that was not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// What an application put beside it. Nobody signed it.
    pub extra: Option<Vec<u8>>,
    /// Position of the entry.
    pub index: u64,
    /// Its path, leaf to root.
    pub path: Vec<Hash>,
    /// The checkpoint whose root the path leads to.
    pub checkpoint: Note,
}

/// Why a proof is none, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Too long.
    #[error("proof has {bytes} bytes, the limit is {LOG_PROOF_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It begins with another line.
    #[error("not a proof of logging: its first line is not {VERSION}")]
    Version,
    /// The lines are not those of a proof.
    #[error("the proof's line {line} is not {expected}")]
    Line {
        /// Which, from 1 on.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Nothing stands after the path.
    #[error("the proof has no checkpoint: an empty line and a signed note are expected after its hashes")]
    NoCheckpoint,
    /// The checkpoint is none, or not believed.
    #[error("the proof's checkpoint: {0}")]
    Checkpoint(#[from] LogPolicyError),
    /// The path is of another place.
    #[error("the proof's path: {0}")]
    Path(#[from] MerkleError),
    /// The path leads elsewhere.
    #[error("the proof is of another entry: its path does not lead to the checkpoint's root")]
    OtherEntry,
}

impl LogProof {
    /// Checks that the entry with this leaf hash stands in a log that the policy believes.
    pub fn verify(&self, leaf: &Hash, policy: &LogPolicy) -> Result<Witnessed, LogProofError> {
        let witnessed = policy.check(self.checkpoint.to_string().as_bytes())?;
        let head = witnessed.checkpoint.checkpoint();
        if root_from_path(self.index, head.size(), leaf, &self.path)? == *head.root() {
            Ok(witnessed)
        } else {
            Err(LogProofError::OtherEntry)
        }
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{VERSION}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for LogProof {
    type Err = LogProofError;

    fn from_str(text: &str) -> Result<Self, LogProofError> {
        if text.len() > LOG_PROOF_BYTES_MAX {
            return Err(LogProofError::TooLarge { bytes: text.len() });
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(LogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n').zip(1..).peekable();
        if lines.next().is_none_or(|(line, _)| line != VERSION) {
            return Err(LogProofError::Version);
        }
        let mut extra = None;
        if let Some((encoded, line)) = lines.peek().and_then(|(text, line)| Some((text.strip_prefix("extra ")?, *line)))
        {
            let expected = "\"extra\" and base64";
            extra = Some(STANDARD.decode(encoded).map_err(|_| LogProofError::Line { line, expected })?);
            lines.next();
        }
        let (index, line) = lines.next().unwrap_or(("", 2));
        let index = index.strip_prefix("index ").and_then(parse_decimal);
        let index = index.ok_or(LogProofError::Line { line, expected: "\"index\" and a decimal number" })?;
        let mut path = Vec::new();
        for (hash, line) in lines {
            let expected = "base64 of a hash, of which a path has at most 64";
            let hash = parse_hash(hash).filter(|_| path.len() < PATH_HASHES_MAX - 1);
            path.push(hash.ok_or(LogProofError::Line { line, expected })?);
        }
        let checkpoint = Note::parse(checkpoint.as_bytes()).map_err(CheckpointError::from);
        let checkpoint = checkpoint.map_err(LogPolicyError::from)?;
        Ok(Self { extra, index, path, checkpoint })
    }
}

/// The first line of a proof.
const VERSION: &str = "c2sp.org/tlog-proof@v1";

#[cfg(test)]
mod tests;
