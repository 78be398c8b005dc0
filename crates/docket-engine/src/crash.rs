//! Points at which a test can make the process die as by `kill -9`, named after the ledger's steps.

use std::str::FromStr;

/// Where to die. Nothing is unwound and nothing is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// The batch is signed, nothing is written.
    BeforeCommit,
    /// The batch is committed, the head guard still names the tree before it.
    AfterCommit,
    /// The guard has moved, nobody was answered.
    AfterGuard,
    /// A key entry is committed and guarded, the new key has not got its file yet.
    BeforeKeyInstall,
    /// The new key has its file, whose name is not synced.
    AfterKeyInstall,
    /// Everyone was answered, a full tile is about to be written.
    DuringExport,
}

impl CrashPoint {
    /// Dies here if `chosen` is this point.
    pub(crate) fn reached(self, chosen: Option<Self>) {
        if chosen == Some(self) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

impl FromStr for CrashPoint {
    type Err = UnknownCrashPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "before-commit" => Ok(Self::BeforeCommit),
            "after-commit" => Ok(Self::AfterCommit),
            "after-guard" => Ok(Self::AfterGuard),
            "before-key-install" => Ok(Self::BeforeKeyInstall),
            "after-key-install" => Ok(Self::AfterKeyInstall),
            "during-export" => Ok(Self::DuringExport),
            _ => Err(UnknownCrashPoint(text.to_owned())),
        }
    }
}

/// The name is none of the points.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no crash point; known: before-commit, after-commit, after-guard, before-key-install, after-key-install, during-export"
)]
pub struct UnknownCrashPoint(String);
