//! What people and programs get back: exit codes, formats, the one place that prints.

use std::io::Write as _;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done; the artifact is allowed.
    Allowed,
    /// It was refused, or failed.
    Refused,
    /// It could not be judged: something that was needed could not be had.
    CouldNotJudge,
    /// The command was mistyped.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Allowed => Self::SUCCESS,
            Exit::Refused => Self::from(1),
            Exit::CouldNotJudge => Self::from(2),
            Exit::Usage => Self::from(64),
        }
    }
}

/// For whom to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    // Plain comments, because clap would print doc comments and double the length of every help page.
    // For people.
    Text,
    // For programs: the same facts as one JSON document.
    Json,
}

/// A mistake in what was typed that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub String);

/// Data, on stdout. A reader that went away is no failure.
pub(crate) fn data(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A document for programs, on stdout.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    data(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A word to people, on stderr.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says why a command failed, with the chain of causes.
pub(crate) fn fail(failure: &anyhow::Error) -> ExitCode {
    say(&format!("docket: {failure:#}"));
    if failure.is::<UsageError>() { Exit::Usage.into() } else { Exit::Refused.into() }
}
