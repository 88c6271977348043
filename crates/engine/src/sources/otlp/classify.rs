//! Whose records these are, and which session of a coding agent they speak of.

use lamplight_model::ids::{Agent, SessionId, Timestamp};

use super::SessionSeen;
use super::attributes::Attributes;

/// Who sent a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A coding agent whose sessions are known by other sources too.
    Coding(Agent),
    /// A coding agent of which nothing else is read.
    OtherCoding,
    /// Any other program.
    Service,
}

/// Tells coding agents from services by what the agents themselves write: the scope, which a user cannot rename, else
/// the service's name.
pub(super) fn classify(resource: &Attributes<'_>, scope: &str) -> Origin {
    by_name(resource.text("service.name"), scope)
}

/// As [`classify`], by the two names alone.
pub(crate) fn by_name(service: Option<&str>, scope: &str) -> Origin {
    const AGENTS: [(&str, Origin); 4] = [
        ("com.anthropic.claude_code", Origin::Coding(Agent::ClaudeCode)),
        ("codex_", Origin::Coding(Agent::Codex)),
        ("codex-", Origin::Coding(Agent::Codex)),
        ("gemini-cli", Origin::Coding(Agent::Gemini)),
    ];
    if let Some((_, origin)) = AGENTS.iter().find(|(start, _)| scope.starts_with(start)) {
        return *origin;
    }
    match service {
        Some("claude-code") => Origin::Coding(Agent::ClaudeCode),
        Some("codex") => Origin::Coding(Agent::Codex),
        Some(name) if name.starts_with("codex_") || name.starts_with("codex-") => {
            Origin::Coding(Agent::Codex)
        }
        Some("gemini-cli") => Origin::Coding(Agent::Gemini),
        Some("opencode") => Origin::OtherCoding,
        _ => Origin::Service,
    }
}

/// The session a coding agent's record names; records without one belong to none.
pub(super) fn session(agent: Agent, own: &Attributes<'_>) -> Option<SessionId> {
    let key = match agent {
        Agent::ClaudeCode | Agent::Gemini => "session.id",
        Agent::Codex => "conversation.id",
    };
    SessionId::new(own.text(key)?).ok()
}

/// What the user declared about the session, through the environment of the agent.
pub(super) fn declared(own: &Attributes<'_>, at: Timestamp) -> SessionSeen {
    let parent = own
        .text("lamplight.parent_session_id")
        .or_else(|| own.text("tokenjam.parent_session_id"))
        .and_then(|id| SessionId::new(id).ok());
    SessionSeen {
        at,
        namespace: own.name("service.namespace"),
        instance: own.name("service.instance.id"),
        run: own.first_name(&["lamplight.run_id", "tokenjam.run_id"]),
        parent,
    }
}
