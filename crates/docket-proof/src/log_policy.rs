//! Which logs are believed, and which witnesses must have cosigned (C2SP tlog-policy).
//!
//! ```text
//! log registry.wabbit.example/log+2a1f…+AQ…  https://registry.wabbit.example/log
//! witness first witness.example/w1+57e1…+BA… https://witness.example/w1
//! witness second other.example/w+8cd0…+BA…   https://other.example/w
//! group both all first second
//! quorum both
//! ```

use std::collections::HashMap;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal};
use crate::note::{Note, NoteError, NoteKey, NoteKeyKind};

/// Most bytes a policy may have.
pub const LOG_POLICY_BYTES_MAX: usize = 64 * 1024;

/// Most logs, witnesses and groups a policy may have, each.
pub const LOG_POLICY_LINES_MAX: usize = 64;

/// Whose checkpoints are believed, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    logs: Vec<PolicyKey>,
    witnesses: Vec<PolicyKey>,
    /// For each group how many members it takes, and which; a member stands before its group.
    groups: Vec<(usize, Vec<Member>)>,
    quorum: Quorum,
}

/// A log or a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKey {
    /// Its key.
    pub key: NoteKey,
    /// Where it is, as written.
    pub url: Option<String>,
}

/// A checkpoint that satisfies a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// Names of the known witnesses whose cosignatures it carries, with the time each states, Unix seconds.
    pub witnesses: Vec<(String, u64)>,
}

/// Who must have cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    Nobody,
    Member(Member),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Why a policy is none, or a checkpoint does not satisfy it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogPolicyError {
    /// Too long.
    #[error("policy has {bytes} bytes, the limit is {LOG_POLICY_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not text.
    #[error("a policy is UTF-8 text whose control characters are tabs and ends of lines")]
    NotText,
    /// A line that is none of the policy's.
    #[error("policy line {line}: {what}")]
    Line {
        /// Which, from 1 on.
        line: usize,
        /// What is wrong.
        what: LineProblem,
    },
    /// There is no quorum line.
    #[error("policy has no quorum line; `quorum none` asks for no witness")]
    NoQuorum,
    /// No log of the policy signed.
    #[error("no log of the policy has signed this checkpoint")]
    NoLog,
    /// A checkpoint that is none.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too few witnesses.
    #[error("the witnesses that cosigned ({}) are no quorum of the policy", if .found.is_empty() { "none".to_owned() } else { .found.join(", ") })]
    NoQuorumReached {
        /// Names of those who did.
        found: Vec<String>,
    },
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It begins with another word.
    #[error("it begins with none of log, witness, group, quorum")]
    Keyword,
    /// A word is missing, or one is too many.
    #[error("it must be {0}")]
    Words(&'static str),
    /// The key is none.
    #[error("{0}")]
    Key(#[from] NoteError),
    /// A log with a witness's kind of key, or the other way round.
    #[error("a log signs with a key of type 0x01, a witness with one of type 0x04")]
    WrongKind,
    /// The same key stands twice.
    #[error("the same key stands in an earlier line")]
    KeyTwice,
    /// The name is taken.
    #[error("{0:?} is named in an earlier line, or means no witness")]
    NameTaken(String),
    /// The name is not defined before.
    #[error("{0:?} is not defined in an earlier line")]
    Unknown(String),
    /// A member of two groups.
    #[error("{0:?} is a member already, and each may be one once")]
    MemberTwice(String),
    /// A threshold out of reach.
    #[error("a group needs any, all, or a number from 1 to the number of its members")]
    Threshold,
    /// A second quorum line.
    #[error("a policy has one quorum line")]
    QuorumTwice,
    /// Too many lines of a kind.
    #[error("at most {LOG_POLICY_LINES_MAX} logs, witnesses and groups are read")]
    TooMany,
}

impl LogPolicy {
    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self, LogPolicyError> {
        if text.len() > LOG_POLICY_BYTES_MAX {
            return Err(LogPolicyError::TooLarge { bytes: text.len() });
        }
        if text.bytes().any(|byte| (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f) {
            return Err(LogPolicyError::NotText);
        }
        let mut reading = Reading::default();
        for (line, number) in text.split('\n').zip(1..) {
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            reading.take(&words).map_err(|what| LogPolicyError::Line { line: number, what })?;
        }
        let Reading { logs, witnesses, groups, quorum, .. } = reading;
        let quorum = quorum.ok_or(LogPolicyError::NoQuorum)?;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// The policy that believes one log without any witness.
    pub fn of_log(key: NoteKey) -> Self {
        let log = PolicyKey { key, url: None };
        Self { logs: vec![log], witnesses: Vec::new(), groups: Vec::new(), quorum: Quorum::Nobody }
    }

    /// The logs it believes.
    pub fn logs(&self) -> &[PolicyKey] {
        &self.logs
    }

    /// The witnesses it knows.
    pub fn witnesses(&self) -> &[PolicyKey] {
        &self.witnesses
    }

    /// Whether it asks for no cosignature.
    pub fn asks_for_no_witness(&self) -> bool {
        self.quorum == Quorum::Nobody
    }

    /// Whether cosignatures of these witnesses suffice. Others count for nothing.
    pub fn is_quorum(&self, cosigned: &[&NoteKey]) -> bool {
        let Quorum::Member(quorum) = self.quorum else { return true };
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let counts = |member: &Member, groups: &[bool]| match *member {
            Member::Witness(at) => cosigned.contains(&&self.witnesses[at].key),
            Member::Group(at) => groups[at],
        };
        for (threshold, members) in &self.groups {
            let reached = members.iter().filter(|member| counts(member, &groups)).count() >= *threshold;
            groups.push(reached);
        }
        counts(&quorum, &groups)
    }

    /// Checks a checkpoint: signed by a log of the policy, cosigned by a quorum.
    pub fn check(&self, bytes: &[u8]) -> Result<Witnessed, LogPolicyError> {
        let note = Note::parse(bytes).map_err(CheckpointError::from)?;
        let origin = note.text().split('\n').next().unwrap_or_default();
        let mut refusal = LogPolicyError::NoLog;
        let logs: Vec<_> = self.logs.iter().filter(|log| log.key.name().as_str() == origin).collect();
        for log in logs {
            match SignedCheckpoint::of_note(note.clone(), &log.key) {
                Ok(checkpoint) => return self.witnessed(checkpoint),
                // Another key of the same log may have signed.
                Err(CheckpointError::Note(NoteError::Unsigned)) => {}
                Err(failure) => refusal = failure.into(),
            }
        }
        Err(refusal)
    }

    fn witnessed(&self, checkpoint: SignedCheckpoint) -> Result<Witnessed, LogPolicyError> {
        let keys: Vec<NoteKey> = self.witnesses.iter().map(|witness| witness.key.clone()).collect();
        let signed = match checkpoint.note().signed_by(&keys) {
            Ok(signed) => signed,
            Err(NoteError::Unsigned) => Vec::new(),
            Err(failure) => return Err(CheckpointError::from(failure).into()),
        };
        let cosigned: Vec<&NoteKey> = signed.iter().map(|signed| signed.key).collect();
        let named = signed.iter().map(|signed| (signed.key.name().to_string(), signed.time.unwrap_or_default()));
        let witnesses: Vec<_> = named.collect();
        if self.is_quorum(&cosigned) {
            return Ok(Witnessed { checkpoint, witnesses });
        }
        Err(LogPolicyError::NoQuorumReached { found: witnesses.into_iter().map(|(name, _)| name).collect() })
    }
}

/// A policy that is being read, line by line.
#[derive(Default)]
struct Reading {
    logs: Vec<PolicyKey>,
    witnesses: Vec<PolicyKey>,
    groups: Vec<(usize, Vec<Member>)>,
    quorum: Option<Quorum>,
    names: HashMap<String, Member>,
    /// Names that are a member of a group.
    members: Vec<Member>,
}

impl Reading {
    fn take(&mut self, words: &[&str]) -> Result<(), LineProblem> {
        match *words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(url)),
            ["log", ..] => Err(LineProblem::Words("log KEY [URL]")),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["witness", ..] => Err(LineProblem::Words("witness NAME KEY [URL]")),
            ["group", name, threshold, ref members @ ..] if !members.is_empty() => self.group(name, threshold, members),
            ["group", ..] => Err(LineProblem::Words("group NAME any|all|NUMBER MEMBER…")),
            ["quorum", name] => self.quorum(name),
            ["quorum", ..] => Err(LineProblem::Words("quorum NAME")),
            [_, ..] => Err(LineProblem::Keyword),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), LineProblem> {
        let key = policy_key(key, url, NoteKeyKind::Ed25519)?;
        push(&mut self.logs, key)
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), LineProblem> {
        let key = policy_key(key, url, NoteKeyKind::Cosignature)?;
        push(&mut self.witnesses, key)?;
        self.name(name, Member::Witness(self.witnesses.len() - 1))
    }

    fn group(&mut self, name: &str, threshold: &str, names: &[&str]) -> Result<(), LineProblem> {
        if self.groups.len() == LOG_POLICY_LINES_MAX {
            return Err(LineProblem::TooMany);
        }
        let mut members = Vec::new();
        for &name in names {
            let member = self.member(name)?;
            // Whoever counted in two groups would count twice.
            if self.members.contains(&member) {
                return Err(LineProblem::MemberTwice(name.to_owned()));
            }
            self.members.push(member);
            members.push(member);
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => parse_decimal(number).and_then(|k| usize::try_from(k).ok()).unwrap_or_default(),
        };
        if threshold == 0 || threshold > members.len() {
            return Err(LineProblem::Threshold);
        }
        self.groups.push((threshold, members));
        self.name(name, Member::Group(self.groups.len() - 1))
    }

    fn quorum(&mut self, name: &str) -> Result<(), LineProblem> {
        let quorum = if name == NO_WITNESS { Quorum::Nobody } else { Quorum::Member(self.member(name)?) };
        if self.quorum.replace(quorum).is_some() { Err(LineProblem::QuorumTwice) } else { Ok(()) }
    }

    fn member(&self, name: &str) -> Result<Member, LineProblem> {
        self.names.get(name).copied().ok_or_else(|| LineProblem::Unknown(name.to_owned()))
    }

    fn name(&mut self, name: &str, member: Member) -> Result<(), LineProblem> {
        if name == NO_WITNESS || self.names.insert(name.to_owned(), member).is_some() {
            return Err(LineProblem::NameTaken(name.to_owned()));
        }
        Ok(())
    }
}

fn policy_key(key: &str, url: Option<&str>, kind: NoteKeyKind) -> Result<PolicyKey, LineProblem> {
    let key: NoteKey = key.parse()?;
    if key.kind() != kind {
        return Err(LineProblem::WrongKind);
    }
    Ok(PolicyKey { key, url: url.map(str::to_owned) })
}

fn push(keys: &mut Vec<PolicyKey>, key: PolicyKey) -> Result<(), LineProblem> {
    if keys.len() == LOG_POLICY_LINES_MAX {
        return Err(LineProblem::TooMany);
    }
    if keys.iter().any(|known| known.key.key_bytes() == key.key.key_bytes()) {
        return Err(LineProblem::KeyTwice);
    }
    keys.push(key);
    Ok(())
}

/// The name that stands for no witness at all.
const NO_WITNESS: &str = "none";

#[cfg(test)]
mod tests;
