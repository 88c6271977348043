//! The two streams of a terminal program.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::plain::plain;

/// Writes text to standard output as it is, and flushes it.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes one line of JSON to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut json = serde_json::to_string(value)?;
    json.push('\n');
    print(&json)
}

/// Says on standard error what is not as it should be and is not in the way.
pub(crate) fn warning(text: &str) {
    note(&format!("warning: {}", plain(text)));
}

/// Says on standard error why the command failed.
pub(crate) fn error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    note(&format!("lamp: {}", plain(&text)));
}

/// Writes a line to standard error.
pub(crate) fn note(line: &str) {
    // Standard error is the last place to complain to; if it is closed, nobody listens.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A line on standard error that is written over, on a terminal; nothing elsewhere.
pub(crate) struct Progress {
    shown: bool,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: false, is_terminal: io::stderr().is_terminal() }
    }

    pub(crate) fn show(&mut self, line: &str) {
        if self.is_terminal {
            self.shown = true;
            // As in `note`.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            // As in `note`.
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// Whether the error is that nobody reads our output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
