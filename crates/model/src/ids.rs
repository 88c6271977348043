//! Ids and quantities as types, so that one is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads an RFC 3339 instant as agents write it (`2026-11-20T12:08:43.935Z`); `None` when it is not one.
    ///
    /// The fixed form with a trailing `Z` is read without a general parser, because a first import reads millions.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        fast_utc(text.as_bytes())
            .or_else(|| chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_millis()))
            .map(Self)
    }

    /// Returns the instant `ms` milliseconds later, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to `self`, never below 0.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

/// Reads `YYYY-MM-DDThh:mm:ss[.fff…]Z` by position.
fn fast_utc(text: &[u8]) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        text.get(range)?
            .iter()
            .try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let at = |i: usize, c: u8| text.get(i) == Some(&c);
    if !(at(4, b'-') && at(7, b'-') && at(10, b'T') && at(13, b':') && at(16, b':'))
        || text.last() != Some(&b'Z')
    {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let millis = match text.get(19)? {
        b'Z' if text.len() == 20 => 0,
        b'.' => {
            let fraction = text.get(20..text.len() - 1)?;
            if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
                return None;
            }
            (0..3).fold(0i64, |n, i| n * 10 + fraction.get(i).map_or(0, |b| i64::from(b - b'0')))
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from civil date, Howard Hinnant's algorithm, valid for the whole four-digit range.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
}

/// Which program a session belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex CLI.
    Codex,
    /// Google's Gemini CLI. Known by its hooks and telemetry; its own files are only looked for, never followed.
    Gemini,
    /// OpenCode: its sessions stand in a database of its own, which is read as transcripts are.
    #[serde(rename = "opencode")]
    OpenCode,
    /// Any program instrumented with OpenTelemetry: its sessions are those its records name.
    Otel,
}

impl Agent {
    /// Every agent.
    pub const ALL: [Self; 5] = [Self::ClaudeCode, Self::Codex, Self::Gemini, Self::OpenCode, Self::Otel];
    /// Agents whose transcripts are read, and their live registries or locks where they keep any.
    pub const WITH_TRANSCRIPTS: [Self; 3] = [Self::ClaudeCode, Self::Codex, Self::OpenCode];

    /// The word used in ids, on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::OpenCode => "opencode",
            Self::Otel => "otel",
        }
    }

    /// Whether its transcripts are read.
    #[must_use]
    pub fn has_transcripts(self) -> bool {
        Self::WITH_TRANSCRIPTS.contains(&self)
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: only 1 to 128 of [A-Za-z0-9._-], not starting with '-' or '.'")]
pub struct BadSessionId;

/// An agent's own session id, safe in paths, SQL and a shell line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// Accepts 1 to 128 characters of `[A-Za-z0-9._-]` that do not start with `-` (an option) or `.` (a path).
    ///
    /// # Errors
    /// [`BadSessionId`] for anything else; a transcript so named is counted and never offered for resume.
    pub fn new(text: &str) -> Result<Self, BadSessionId> {
        let ok = (1..=128).contains(&text.len())
            && !text.starts_with(['-', '.'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if ok { Ok(Self(text.to_owned())) } else { Err(BadSessionId) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last 8 characters, the name of a session that has no other.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[self.0.len().saturating_sub(8)..]
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;
    fn try_from(text: String) -> Result<Self, BadSessionId> {
        Self::new(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a session among all: `(agent, session id)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The program.
    pub agent: Agent,
    /// Its own id.
    pub id: SessionId,
}

impl SessionKey {
    /// Reads `agent:session_id`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (agent, id) = text.split_once(':')?;
        Some(Self { agent: Agent::from_word(agent)?, id: SessionId::new(id).ok()? })
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.agent, self.id)
    }
}

/// 16-byte hash that names a fact: a response, a tool call, a prompt, a cause. The engine makes it from native ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FactId(pub u128);

impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Why a text is no id of OpenTelemetry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of a trace or span: hex digits, 32 or 16 of them, not all zeros")]
pub struct BadHexId;

/// Id of a trace; never all zeros, which means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span within its trace; never all zeros, which means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

macro_rules! otel_id {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// Takes the bytes of the wire; `None` for another length, and for zeros.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                bytes.iter().any(|b| *b != 0).then_some(Self(bytes))
            }

            /// Reads hex digits of either case.
            ///
            /// # Errors
            /// [`BadHexId`] for another length, other characters, and zeros.
            pub fn from_hex(text: &str) -> Result<Self, BadHexId> {
                let mut bytes = [0; $bytes];
                if text.len() != 2 * $bytes || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(BadHexId);
                }
                for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let digits = std::str::from_utf8(digits).map_err(|_| BadHexId)?;
                    *byte = u8::from_str_radix(digits, 16).map_err(|_| BadHexId)?;
                }
                Self::from_bytes(&bytes).ok_or(BadHexId)
            }

            /// The bytes of the wire.
            #[must_use]
            pub fn bytes(self) -> [u8; $bytes] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

otel_id!(TraceId, 16);
otel_id!(SpanId, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_as_chrono_reads_them() {
        for text in [
            "2026-11-20T12:08:43.935Z",
            "2026-02-28T23:59:59Z",
            "2024-02-29T00:00:00.1Z",
            "1969-12-31T23:59:59.999Z",
            "2026-11-20T12:08:43.935123456Z",
            "2026-11-20T12:08:43+02:00",
        ] {
            let theirs = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
            assert_eq!(Timestamp::from_rfc3339(text), Some(Timestamp(theirs)), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-20T12:08:43.Z", "2026-11-20 12:08:43"] {
            assert_eq!(Timestamp::from_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_of_traces_and_spans_are_hex_and_never_zeros() {
        let id = TraceId::from_hex("0123456789ABCDEF0123456789abcdef").unwrap();
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef");
        assert_eq!(TraceId::from_bytes(&id.bytes()), Some(id));
        assert_eq!(SpanId::from_hex("00000000000000ff").unwrap().bytes(), [0, 0, 0, 0, 0, 0, 0, 255]);
        for bad in
            ["", "0", "+1234567890abcde", "0000000000000000", "00000000000000fg", "é000000000000ff", "123"]
        {
            assert_eq!(SpanId::from_hex(bad), Err(BadHexId), "{bad:?}");
        }
        assert_eq!(SpanId::from_bytes(&[1; 7]), None);
    }

    #[test]
    fn ids_with_paths_options_or_shell_in_them_are_refused() {
        for bad in ["", "../x", "a/b", "-rf", ".hidden", "a b", "$(x)", "a;b", "a\nb", "ü", &"x".repeat(129)]
        {
            assert!(SessionId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(SessionId::new("bb0d985f-be50-4558").unwrap().short(), "e50-4558");
    }
}
