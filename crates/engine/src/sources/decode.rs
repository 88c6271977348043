//! Transcript bytes to facts. Pure: a line and what was remembered from the lines before it give events and issues;
//! nothing is read, nothing fails a batch.
//!
//! Start from [`Decoder`], one per file. What the records mean is in the module of each agent; which fields are read is
//! in its `wire` module.

pub mod claude;
pub mod codex;
mod gemini;
mod hook;
mod lenient;
pub mod opencode;
mod scan;
pub(crate) mod shorten;

use std::borrow::Cow;
use std::io::{BufRead, BufReader};

use lamplight_model::event::{Event, EventKind};
use lamplight_model::ids::{Agent, Timestamp};
use serde::{Deserialize, Serialize};

use crate::facts::{FileRole, IssueKind};
use shorten::Shorten;

pub use hook::{Hooked, hook};

/// How far ahead of the moment of reading a record's time may lie before it is counted as a future time. A reader notes
/// its moment before it reads, so a line written meanwhile is a little ahead.
const FUTURE_TOLERANCE_MS: i64 = 2_000;

/// What must be remembered between lines of one file. Serialised beside the cursor, so that any split of a file into
/// batches gives the same facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "kebab-case")]
pub enum Decoder {
    /// Of a Claude Code transcript.
    ClaudeCode(claude::Carry),
    /// Of a Codex rollout.
    Codex(codex::Carry),
    /// Of a session of OpenCode's, a row to a line.
    #[serde(rename = "opencode")]
    OpenCode(opencode::Carry),
    /// Of a file of Gemini CLI's, which says nothing here: its chats are not read.
    Gemini,
}

/// What lines gave.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Facts, in file order.
    pub events: Vec<Event>,
    /// Troubles, in file order.
    pub issues: Vec<IssueKind>,
}

impl Decoder {
    /// The decoder of a file that is read from its first byte.
    #[must_use]
    pub fn new(role: &FileRole) -> Self {
        match role.agent {
            Agent::ClaudeCode => Self::ClaudeCode(claude::Carry::default()),
            Agent::Codex => Self::Codex(codex::Carry::default()),
            Agent::OpenCode => Self::OpenCode(opencode::Carry::default()),
            Agent::Gemini | Agent::Otel => Self::Gemini,
        }
    }

    /// Decodes one line, without its line feed.
    ///
    /// A line that is no UTF-8 is counted and read with its bad bytes replaced; one that is no JSON object is counted.
    pub fn line(&mut self, role: &FileRole, line: &[u8], read_at: Timestamp, out: &mut Decoded) {
        // Cheap enough for records that are passed over unparsed, and finds most torn ones among them.
        match line.trim_ascii() {
            [] => return,
            [b'{', .., b'}'] => {}
            _ => return out.issues.push(IssueKind::BadJson),
        }
        let text = match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                out.issues.push(IssueKind::BadUtf8);
                String::from_utf8_lossy(line)
            }
        };
        let decoded = match self {
            Self::ClaudeCode(carry) => claude::line(carry, role, &text, read_at, out),
            Self::Codex(carry) => codex::line(carry, role, &text, read_at, out),
            Self::OpenCode(carry) => opencode::line(carry, &text, read_at, out),
            Self::Gemini => Ok(()),
        };
        if decoded.is_err() {
            out.issues.push(IssueKind::BadJson);
        }
    }

    /// Decodes a line too long to hold, in a stream that ends with it. It gives what [`Self::line`] would give, in memory
    /// that does not grow with the line; only how a Codex call's output ended is not looked at.
    pub fn long_line(
        &mut self,
        role: &FileRole,
        reader: impl BufRead,
        read_at: Timestamp,
        out: &mut Decoded,
    ) {
        out.issues.push(IssueKind::LongLine);
        let decoded = match self {
            Self::ClaudeCode(carry) => claude::long_line(carry, role, reader, read_at, out),
            Self::Codex(carry) => codex::long_line(carry, role, reader, read_at, out),
            Self::OpenCode(carry) => opencode::long_line(carry, reader, read_at, out),
            Self::Gemini => Ok(()),
        };
        if decoded.is_err() {
            out.issues.push(IssueKind::BadJson);
        }
    }
}

/// A line that is no JSON object.
#[derive(Debug)]
struct BadLine;

impl From<serde_json::Error> for BadLine {
    fn from(_: serde_json::Error) -> Self {
        // Where in the line it broke is of no use to anyone; which line it was, the caller knows.
        Self
    }
}

/// Returns when a record happened: by its own time, else by the record before it, else by the moment of reading.
fn moment(
    written: Option<&str>,
    last_at: &mut Option<Timestamp>,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Timestamp {
    let Some(at) = written.and_then(Timestamp::from_rfc3339) else { return last_at.unwrap_or(read_at) };
    if at > read_at.plus_ms(FUTURE_TOLERANCE_MS) {
        out.issues.push(IssueKind::FutureTime);
    }
    let at = at.min(read_at);
    *last_at = Some(at);
    at
}

impl Decoded {
    fn push(&mut self, at: Timestamp, sidechain: bool, kind: EventKind) {
        self.events.push(Event { at, sidechain, kind });
    }
}

/// Returns the first line of a text, without the blanks around it, cut to `most` characters.
fn first_line(text: &str, most: usize) -> String {
    lenient::cut(text.trim().lines().next().unwrap_or_default().trim_end(), most).to_owned()
}

/// Reads a JSON object from a stream that ends with it, its texts shortened.
fn from_stream<T: Deserialize<'static>>(mut reader: impl BufRead) -> Result<T, BadLine> {
    expect_object(&mut reader)?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Shorten::new(reader)));
    let value = T::deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Looks whether a stream begins with a JSON object.
fn expect_object(reader: &mut impl BufRead) -> Result<(), BadLine> {
    loop {
        let held = reader.fill_buf().map_err(|_| BadLine)?;
        let blanks = held.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match held.get(blanks) {
            Some(b'{') => return Ok(()),
            Some(_) => return Err(BadLine),
            None if held.is_empty() => return Err(BadLine),
            None => reader.consume(blanks),
        }
    }
}
