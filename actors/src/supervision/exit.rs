//! How a child ended: what its supervisor decides by, and what people are told.

use std::path::PathBuf;

use serde::Serialize;

/// What a supervisor tells exits apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It came to its end: the script returned, or called `exit` with status 0.
    Normal,
    /// It failed: an uncaught exception, a fatal error, another exit status, a kill, a thread that did not start.
    Abnormal,
    /// It left on purpose and is to come back: a limit was reached, a file changed, an operator asked.
    Recycled,
    /// It is a supervisor whose own children failed too often.
    Escalated,
    /// Its actor panicked: a bug of ours.
    Panicked,
}

/// One end of one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// What it was.
    pub cause: Cause,
    /// The child had been ready. An exit before that is a failed boot.
    pub was_ready: bool,
    /// Requests or tasks it had served since it started.
    pub served: u64,
    /// What people are told.
    pub detail: Detail,
}

/// The part of an exit that is for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Detail {
    /// One of a few words, also a label in metrics: `returned`, `fatal_error`, `max_requests`, ...
    pub reason: &'static str,
    /// PHP's message, or ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The PHP file the message points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Detail {
    /// A reason that needs no message.
    pub fn reason(reason: &'static str) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }

    /// A reason and what was said.
    pub fn message(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: Some(message.into()),
            ..Self::default()
        }
    }
}

impl std::fmt::Display for Detail {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.reason)?;
        if let Some(message) = &self.message {
            write!(out, ": {message}")?;
        }
        if let Some(file) = &self.file {
            write!(out, " in {}", file.display())?;
            if let Some(line) = self.line {
                write!(out, ":{line}")?;
            }
        }
        Ok(())
    }
}
