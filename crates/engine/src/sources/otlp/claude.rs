//! Log records and spans of Claude Code (`formats/claude-code.md` §7). Its registry, hooks and transcripts say what a
//! session does; these say what it cost by the agent's own account, which attempts failed and how long things took. What
//! they tell of turns and tools is heard where nothing better speaks.

use lamplight_model::event::{FailureClass, Usage};
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::telemetry::{ToldFailure, Word};

use super::attributes::{Attributes, line};
use super::proto::{ERROR, LogRecord, Span, Value};
use super::{About, Called, Fact, Failed, RecordId, Requested, span_key};
use crate::facts::{fact_id, request_id};

/// Names of the 5-minute and 1-hour parts of what was written to the cache.
const WRITTEN_1H: &str = "cache_creation_1h_tokens";
/// What stands for a prompt that is not sent.
const REDACTED: &str = "<REDACTED>";
/// Characters kept of a prompt or an answer.
const TEXT_CHARS: usize = 300;

/// Says what a record means.
pub(super) fn log(
    record: &LogRecord,
    own: &Attributes<'_>,
    about: &About,
    id: RecordId,
    at: Timestamp,
    out: &mut Vec<Fact>,
) {
    let Some(name) = event_name(record, own) else { return };
    let is_main = is_main(own.text("query_source"));
    match name {
        "api_request" => {
            // What the split does not cover counts as the shorter age, as in transcripts.
            let one_hour = own.count(WRITTEN_1H).unwrap_or(0);
            let written = own.count("cache_creation_tokens").unwrap_or(0);
            let cost = own.count("cost_usd_micros").map(|micros| micros.saturating_mul(1_000));
            answered(own, about, id, at, is_main, out);
            out.push(Fact::Requested(Requested {
                agent: Agent::ClaudeCode,
                session: about.session.clone(),
                request: own.text("request_id").map_or(id.hash, request_id),
                at,
                model: own.name("model"),
                usage: Usage {
                    input: own.count("input_tokens").unwrap_or(0),
                    output: own.count("output_tokens").unwrap_or(0),
                    cache_write_5m: written.saturating_sub(one_hour),
                    cache_write_1h: one_hour.min(written.max(one_hour)),
                    cache_read: own.count("cache_read_tokens").unwrap_or(0),
                },
                // `cost_usd` is not rounded; the other one is kept for clients that send it alone.
                cost_nano: own.dollars_nano(&["cost_usd"]).or(cost),
                duration_ms: own.count("duration_ms"),
                ttft_ms: own.count("ttft_ms"),
                attempt: attempt(own),
                by_log: true,
            }));
        }
        "api_error" | "api_retries_exhausted" => {
            let status = own.count("status_code").and_then(|n| u16::try_from(n).ok());
            out.push(Fact::Failed(Failed {
                agent: Agent::ClaudeCode,
                session: about.session.clone(),
                id,
                at,
                exhausted: name == "api_retries_exhausted",
                status,
                attempt: attempt(own),
            }));
            if is_main {
                out.push(about.heard(at, id, Word::RequestFailed(failure(own, at, status))));
            }
        }
        "user_prompt" => prompt(own, about, id, at, out),
        "assistant_response" => {
            if let Some(text) = own.text("response").filter(|text| is_main && *text != REDACTED) {
                out.push(about.heard(at, id, Word::Said { text: line(text, TEXT_CHARS) }));
            }
        }
        "tool_decision" => {
            if let Some(mode) = own.name("permission_mode").filter(|_| about.subagent.is_none()) {
                out.push(about.heard(at, id, Word::Mode(mode)));
            }
            let Some(key) = own.text("tool_use_id").map(tool_key) else { return };
            let name = own.name("tool_name").unwrap_or_default();
            let by_person = own.text("source").is_some_and(|source| source.starts_with("user"));
            let accepted = own.text("decision") == Some("accept");
            out.push(Fact::Called(Called {
                tool: name.clone(),
                decision: own.name("source"),
                success: (!accepted).then_some(false),
                ..about.called(key, at)
            }));
            out.push(about.heard(at, id, Word::ToolDecided { key, name, accepted, by_person }));
        }
        "tool_result" => {
            let Some(key) = own.text("tool_use_id").map(tool_key) else { return };
            let name = own.name("tool_name").unwrap_or_default();
            out.push(Fact::Called(Called {
                tool: name.clone(),
                decision: own.name("decision_source"),
                ran_ms: own.count("duration_ms"),
                success: own.flag("success"),
                ..about.called(key, at)
            }));
            out.push(about.heard(at, id, Word::ToolEnded { key, name }));
        }
        "compaction" if own.flag("success") != Some(false) => {
            out.push(about.heard(at, id, Word::Compacted));
        }
        "subagent_completed" => out.push(about.heard(at, id, Word::AgentFinished)),
        "permission_mode_changed" => {
            if let Some(mode) = own.name("to_mode") {
                out.push(about.heard(at, id, Word::Mode(mode)));
            }
        }
        // Hooks of the user's own tell of an end that no record of the client's does. What they ask, they ask by themselves.
        "hook_execution_start" => match own.text("hook_event") {
            Some("Stop") => out.push(about.heard(at, id, Word::Stopped)),
            Some("SessionEnd") => out.push(about.heard(at, id, Word::Ended)),
            Some("SubagentStop") => out.push(about.heard(at, id, Word::AgentFinished)),
            _ => {}
        },
        _ => {}
    }
}

/// Says what a span means.
pub(super) fn span(
    span: &Span,
    own: &Attributes<'_>,
    about: &About,
    id: RecordId,
    at: Timestamp,
    out: &mut Vec<Fact>,
) {
    let spent_ms = span.end_time_unix_nano.checked_sub(span.start_time_unix_nano).map(|ns| ns / 1_000_000);
    let Some(spent_ms) = spent_ms.filter(|_| span.start_time_unix_nano != 0) else { return };
    match span.name.as_str() {
        "claude_code.interaction" => {
            let began = at.plus_ms(i64::try_from(spent_ms).unwrap_or(i64::MAX).saturating_neg());
            out.push(about.heard(at, id, Word::TurnSpanned { began }));
        }
        "claude_code.llm_request" => {
            let is_main = is_main(own.text("query_source_safe"));
            let is_error = span.status.as_ref().is_some_and(|s| s.code == ERROR);
            if is_error || own.flag("success") == Some(false) {
                if is_main {
                    let status = own.count("status_code").and_then(|n| u16::try_from(n).ok());
                    out.push(about.heard(at, id, Word::RequestFailed(failure(own, at, status))));
                }
                return;
            }
            answered(own, about, id, at, is_main, out);
            // Without an id it could not be told from the log record of the same request.
            let Some(request) = own.text("request_id").map(request_id) else { return };
            out.push(Fact::Requested(Requested {
                agent: Agent::ClaudeCode,
                session: about.session.clone(),
                request,
                at,
                model: own.name("model"),
                usage: Usage {
                    input: own.count("input_tokens").unwrap_or(0),
                    output: own.count("output_tokens").unwrap_or(0),
                    // Spans do not split what was written by age; the log record, where sent, does.
                    cache_write_5m: own.count("cache_creation_tokens").unwrap_or(0),
                    cache_write_1h: 0,
                    cache_read: own.count("cache_read_tokens").unwrap_or(0),
                },
                cost_nano: None,
                duration_ms: own.count("duration_ms").or(Some(spent_ms)),
                ttft_ms: own.count("ttft_ms"),
                attempt: attempt(own),
                by_log: false,
            }));
        }
        "claude_code.tool" => {
            let Some(key) = own.text("tool_use_id").map(tool_key) else { return };
            out.push(Fact::Called(Called {
                tool: own.name("tool_name").unwrap_or_default(),
                span: span_key(&span.trace_id, &span.span_id),
                ..about.called(key, at)
            }));
        }
        "claude_code.tool.execution" => {
            let Some(key) = own.text("tool_use_id").map(tool_key) else { return };
            out.push(Fact::Called(Called {
                ran_ms: own.count("duration_ms").or(Some(spent_ms)),
                success: own.flag("success"),
                ..about.called(key, at)
            }));
        }
        // It names no call; the span around it does, and ends later.
        "claude_code.tool.blocked_on_user" => {
            let by_person = own.text("source").is_some_and(|source| source.starts_with("user"));
            if let Some(span) = span_key(&span.trace_id, &span.parent_span_id).filter(|_| by_person) {
                let ms = own.count("duration_ms").unwrap_or(spent_ms);
                out.push(Fact::Waited(super::Waited {
                    agent: Agent::ClaudeCode,
                    session: about.session.clone(),
                    span,
                    ms,
                }));
            }
        }
        _ => {}
    }
}

fn prompt(own: &Attributes<'_>, about: &About, id: RecordId, at: Timestamp, out: &mut Vec<Fact>) {
    if own.text("command_source") == Some("builtin") {
        // The client's own commands begin no turn; two of them leave the session.
        if matches!(own.text("command_name"), Some("exit" | "quit" | "clear")) {
            out.push(about.heard(at, id, Word::Ended));
        }
        return;
    }
    let text = own.text("prompt").filter(|text| *text != REDACTED && !text.starts_with('<'));
    let text = text.map(|text| line(text, TEXT_CHARS));
    out.push(about.heard(at, id, Word::Prompted { text, is_title: false, is_persons: true }));
}

/// A model answered, and by whom it was asked.
fn answered(
    own: &Attributes<'_>,
    about: &About,
    id: RecordId,
    at: Timestamp,
    is_main: bool,
    out: &mut Vec<Fact>,
) {
    if !is_main && about.subagent.is_none() {
        // A title or a compaction is no part of a turn.
        return;
    }
    let source = own.text("query_source").or_else(|| own.text("query_source_safe"));
    if let Some(is_run) = source.filter(|_| is_main).map(|source| source == "sdk") {
        out.push(about.heard(at, id, Word::Run(is_run)));
    }
    out.push(about.heard(at, id, Word::Answered { model: own.name("model") }));
}

/// Whether the main thread asked: `repl_main_thread` at a terminal, `sdk` in a run.
fn is_main(source: Option<&str>) -> bool {
    source.is_none_or(|source| matches!(source, "repl_main_thread" | "sdk"))
}

fn failure(own: &Attributes<'_>, at: Timestamp, status: Option<u16>) -> ToldFailure {
    let class = match status {
        Some(401 | 403) => FailureClass::SignIn,
        Some(429) => FailureClass::Limit,
        _ => FailureClass::Error,
    };
    ToldFailure { at, status, class, text: own.text("error").map(|text| line(text, TEXT_CHARS)) }
}

fn attempt(own: &Attributes<'_>) -> Option<u32> {
    own.first_count(&["attempt", "total_attempts"]).and_then(|n| u32::try_from(n).ok())
}

fn tool_key(id: &str) -> lamplight_model::ids::FactId {
    fact_id(Agent::ClaudeCode, "tool", &[id])
}

/// `event.name`, else what follows `claude_code.` in the body.
fn event_name<'a>(record: &'a LogRecord, own: &Attributes<'a>) -> Option<&'a str> {
    own.text("event.name").map(|name| name.strip_prefix("claude_code.").unwrap_or(name)).or_else(|| {
        match record.body.as_ref()?.value.as_ref()? {
            Value::Text(body) => body.strip_prefix("claude_code."),
            _ => None,
        }
    })
}
