//! Spooled hooks to facts. Pure, as all decoding.

use lamplight_model::hook::{Hook, HookKind};
use lamplight_model::ids::{Agent, SessionId, Timestamp};

use super::lenient::{Count, Text, object};
use super::{FUTURE_TOLERANCE_MS, claude, codex, gemini};
use crate::facts::IssueKind;

object! {
    /// What `lamp hook` writes around an event.
    Envelope {
        "agent" => agent: Text<'de>,
        "received_at_ms" => received_at: Count,
    }
}

/// A hook, with the ids as they are written.
#[derive(Debug)]
pub(super) struct Told {
    pub session: String,
    pub subagent: Option<String>,
    /// Where the agent works, of agents whose files do not say so.
    pub folder: Option<String>,
    pub kind: HookKind,
}

impl Told {
    /// It is an event, and says nothing about any session.
    pub(super) fn nothing() -> Self {
        let kind = HookKind::Other { name: String::new() };
        Self { session: String::new(), subagent: None, folder: None, kind }
    }
}

/// A hook and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Hooked {
    /// Whose.
    pub agent: Agent,
    /// Which session.
    pub session: SessionId,
    /// What it says.
    pub hook: Hook,
}

/// Reads one spooled hook; `None` for one that speaks of a session nobody sees.
///
/// # Errors
/// The trouble that is counted for a file that is none, or names no session.
pub fn hook(file: &[u8], read_at: Timestamp) -> Result<(Option<Hooked>, Option<IssueKind>), IssueKind> {
    let text = std::str::from_utf8(file).map_err(|_| IssueKind::BadHook)?;
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| IssueKind::BadHook)?;
    let agent = envelope.agent.get().and_then(Agent::from_word).ok_or(IssueKind::BadHook)?;
    let received = envelope.received_at.0.and_then(|ms| i64::try_from(ms).ok()).ok_or(IssueKind::BadHook)?;
    let told = match agent {
        Agent::ClaudeCode => claude::hook(text),
        Agent::Codex => codex::hook(text),
        Agent::Gemini => gemini::hook(text),
        // These have no hooks that are known.
        Agent::OpenCode | Agent::Otel => return Err(IssueKind::BadHook),
    };
    let told = told.map_err(|_| IssueKind::BadHook)?.ok_or(IssueKind::BadHook)?;
    let issue = (received > read_at.plus_ms(FUTURE_TOLERANCE_MS).0).then_some(IssueKind::FutureTime);
    if told.session.is_empty() {
        return Ok((None, issue));
    }
    let session = SessionId::new(&told.session).map_err(|_| IssueKind::BadId)?;
    // A subagent's id is a name to compare with, never a path; a bad one names none that is known.
    let subagent = told.subagent.filter(|id| id.len() <= 128);
    let at = Timestamp(received.min(read_at.0));
    Ok((
        Some(Hooked { agent, session, hook: Hook { at, subagent, folder: told.folder, kind: told.kind } }),
        issue,
    ))
}
