//! Whose records these are, and which session of a coding agent they speak of.

use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::Dated;
use lamplight_model::view::SpanKind;

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
        // Its telemetry was not measured.
        Agent::OpenCode => return None,
        // Records of services tell by more than one name, see `sdk_session`.
        Agent::Otel => return None,
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
        namespace: own.name("service.namespace").map(|value| Dated { at, value }),
        instance: own.name("service.instance.id").map(|value| Dated { at, value }),
        run: own.first_name(RUN).map(|value| Dated { at, value }),
        parent: parent.map(|value| Dated { at, value }),
        sdk: None,
    }
}

const RUN: &[&str] = &["lamplight.run_id", "tokenjam.run_id"];

/// Whether a record, or its resource, declares a run.
pub(super) fn has_run(own: &Attributes<'_>) -> bool {
    own.first_name(RUN).is_some()
}

/// The session that a service's record names, if it is one of an agent's: `session.id` alone may be that of a person's
/// browser. An id that many share names nobody.
pub(super) fn sdk_session(own: &Attributes<'_>, kind: SpanKind) -> Option<SessionId> {
    let conversation = own.text("gen_ai.conversation.id");
    let id = own.text("session.id").or(conversation)?.trim();
    let word = id.to_lowercase();
    let is_shared = id.chars().all(|c| matches!(c, '0' | '-' | '.' | ' '))
        || matches!(
            word.as_str(),
            "unknown" | "none" | "null" | "nil" | "undefined" | "default" | "n/a" | "na"
        );
    let is_agents = || {
        conversation.is_some()
            || is_agents_work(kind)
            || ["gen_ai.", "llm.", "openinference.", "traceloop.", "ai."].iter().any(|p| own.has_prefix(p))
            || has_run(own)
            || own.has("lamplight.parent_session_id")
            || own.has("tokenjam.parent_session_id")
    };
    (!is_shared && is_agents()).then(|| safe_id(id))
}

/// Whether spans of a kind are an agent's work, and not just a program's.
pub(super) fn is_agents_work(kind: SpanKind) -> bool {
    matches!(kind, SpanKind::Agent | SpanKind::Llm | SpanKind::Tool | SpanKind::Retrieval)
}

/// A program's own session id in the letters an id may have here: what has others keeps its look, and a hash tells it from
/// those that would look the same.
fn safe_id(text: &str) -> SessionId {
    SessionId::new(text).unwrap_or_else(|_| {
        let hash = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let look: String = text.chars().take(100).map(safe).collect();
        let look = look.trim_matches(['-', '.']);
        let id = if look.is_empty() { hash.clone() } else { format!("{look}.{hash}") };
        SessionId::new(&id).expect("BUG: letters, digits, '.', '_' and '-', not at the front, under 128")
    })
}
