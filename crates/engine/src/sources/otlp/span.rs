//! Spans of every sender, as they are stored: what each stands for, what it used, and which of its attributes are kept.

use std::collections::BTreeMap;

use lamplight_model::event::Usage;
use lamplight_model::fold::cut;
use lamplight_model::ids::{Agent, SessionKey, SpanId, TraceId};
use lamplight_model::label::is_unsafe;
use lamplight_model::trace::{Call, MOST_ATTRIBUTES, Span};
use lamplight_model::view::SpanKind;

use super::attributes::{Attributes, KeyValue, clean};
use super::classify::Origin;
use super::proto::{self, CLIENT, CONSUMER, ERROR, OK, PRODUCER, SERVER, Value};
use super::{private, service};

/// Characters kept of a message and of an attribute's value.
const MAX_TEXT: usize = 300;

/// A span, or what a log record of a model call says of one.
#[derive(Debug, PartialEq)]
pub(crate) struct SpanSeen {
    /// Index into [`super::Batch::senders`].
    pub sender: usize,
    pub trace: TraceId,
    pub id: SpanId,
    /// Whose it is.
    pub session: Named,
    /// What it says; attributes stand in `attributes`.
    pub span: Span,
    /// Its attributes as a JSON object, sorted by name; `None` for none. Written here and not on the writer's thread.
    pub attributes: Option<String>,
}

/// Whose a span is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// It names this session.
    Session(SessionKey),
    /// It names none and declares a run: its trace stands for one.
    Trace(SessionKey),
    /// It names none.
    Nobody,
}

/// Reads a span as it is stored; `None` for one without ids, and for what a coding agent tells about its own inside.
pub(super) fn span(
    raw: &proto::Span,
    own: &Attributes<'_>,
    resource: &[KeyValue],
    origin: Origin,
    sender: usize,
    received_ns: i64,
) -> Option<SpanSeen> {
    let (trace, id) = (TraceId::from_bytes(&raw.trace_id)?, SpanId::from_bytes(&raw.span_id)?);
    let is_codex = origin == Origin::Coding(Agent::Codex);
    let kind = kind(raw, own, origin);
    // Codex sends some 400 spans of its own works for a one-line answer.
    if is_codex && kind == SpanKind::Other {
        return None;
    }
    let (start, end) = (nanos(raw.start_time_unix_nano), nanos(raw.end_time_unix_nano));
    let failed = raw.status.as_ref().is_some_and(|s| s.code == ERROR) || own.has("error.type");
    let ok = raw.status.as_ref().is_some_and(|s| s.code == OK);
    let message = raw.status.as_ref().and_then(|s| text(&s.message));
    let attributes = kept(&raw.attributes, resource);
    Some(SpanSeen {
        sender,
        trace,
        id,
        session: Named::Nobody,
        span: Span {
            by_span: true,
            // What stands between Codex's is not kept.
            parent: SpanId::from_bytes(&raw.parent_span_id).filter(|_| !is_codex),
            kind,
            start_ns: start.or(end).unwrap_or(received_ns),
            end_ns: end,
            is_error: if failed { Some(true) } else { ok.then_some(false) },
            name: clean(&raw.name).unwrap_or_default(),
            message,
            model: model(own, kind),
            tool: own.first_name(TOOL).filter(|_| kind == SpanKind::Tool),
            call: call(own, kind, origin),
            attributes: BTreeMap::new(),
        },
        // Texts only: this cannot fail.
        attributes: (!attributes.is_empty()).then(|| serde_json::to_string(&attributes).unwrap_or_default()),
    })
}

/// What a log record of a model call says of the call's span.
pub(super) fn of_log(
    record: &proto::LogRecord,
    own: &Attributes<'_>,
    measured: &super::Measured,
    sender: usize,
    session: Named,
    received_ns: i64,
) -> Option<SpanSeen> {
    let (trace, id) = (TraceId::from_bytes(&record.trace_id)?, SpanId::from_bytes(&record.span_id)?);
    let at = nanos(record.time_unix_nano).or(nanos(record.observed_time_unix_nano)).unwrap_or(received_ns);
    Some(SpanSeen {
        sender,
        trace,
        id,
        session,
        span: Span {
            by_span: false,
            parent: None,
            kind: SpanKind::Llm,
            start_ns: at,
            end_ns: None,
            is_error: measured.is_error.then_some(true),
            name: own
                .first_name(&["gen_ai.operation.name", "event.name"])
                .unwrap_or_else(|| "call".to_owned()),
            message: None,
            model: measured.model.clone(),
            tool: None,
            call: Some(Call { usage: measured.usage, cost_nano: measured.cost_nano }),
            attributes: BTreeMap::new(),
        },
        attributes: None,
    })
}

const TOOL: &[&str] = &["gen_ai.tool.name", "tool.name", "tool_name", "ai.toolCall.name", "function_name"];

/// What a span stands for: by the conventions of GenAI, of OpenInference and of Traceloop, by what coding agents write,
/// else by the direction of the request.
fn kind(raw: &proto::Span, own: &Attributes<'_>, origin: Origin) -> SpanKind {
    if origin == Origin::Coding(Agent::Codex) {
        return match raw.name.as_str() {
            "session_task.turn" => SpanKind::Agent,
            "try_run_sampling_request" => SpanKind::Llm,
            _ => SpanKind::Other,
        };
    }
    if matches!(origin, Origin::Coding(_) | Origin::OtherCoding) {
        let own_word = own.text("span.type").or_else(|| own.text("gen_ai.operation.name"));
        match own_word.unwrap_or(raw.name.as_str()) {
            "interaction" | "user_prompt" | "invoke_agent" | "agent_call" => return SpanKind::Agent,
            "llm_request" | "llm_call" => return SpanKind::Llm,
            "tool" | "tool.execution" | "tool_call" | "schedule_tool_calls" | "execute_tool" => {
                return SpanKind::Tool;
            }
            "tool.blocked_on_user" => return SpanKind::Blocked,
            _ => {}
        }
    }
    let by_convention = match own.text("gen_ai.operation.name") {
        Some("create_agent" | "invoke_agent" | "invoke_workflow") => Some(SpanKind::Agent),
        Some("execute_tool") => Some(SpanKind::Tool),
        Some("retrieval" | "search_memory" | "query_memory") => Some(SpanKind::Retrieval),
        _ => None,
    };
    let by_library =
        || match own.text("openinference.span.kind").or_else(|| own.text("traceloop.span.kind"))? {
            "AGENT" | "agent" | "workflow" => Some(SpanKind::Agent),
            "TOOL" | "tool" => Some(SpanKind::Tool),
            "RETRIEVER" | "RERANKER" => Some(SpanKind::Retrieval),
            _ => None,
        };
    let by_direction = || match raw.kind {
        SERVER | CONSUMER => SpanKind::Server,
        CLIENT | PRODUCER => SpanKind::Client,
        _ => SpanKind::Other,
    };
    by_convention
        .or_else(by_library)
        .unwrap_or_else(|| if service::is_model_call(own) { SpanKind::Llm } else { by_direction() })
}

fn model(own: &Attributes<'_>, kind: SpanKind) -> Option<String> {
    service::model(own)
        .or_else(|| own.name("model"))
        .filter(|_| matches!(kind, SpanKind::Llm | SpanKind::Agent))
}

/// What a model call used. Spans around calls may repeat the sums of what is inside, and are none.
fn call(own: &Attributes<'_>, kind: SpanKind, origin: Origin) -> Option<Call> {
    if kind != SpanKind::Llm {
        return None;
    }
    let usage =
        if origin == Origin::Coding(Agent::ClaudeCode) { claude_usage(own) } else { service::usage(own) };
    Some(Call { usage, cost_nano: own.dollars_nano(service::COST) })
}

/// Claude Code's own names, which its log records use too; the input excludes what was cached.
fn claude_usage(own: &Attributes<'_>) -> Usage {
    let one_hour = own.count("cache_creation_1h_tokens").unwrap_or(0);
    let written = own.count("cache_creation_tokens").unwrap_or(0).max(one_hour);
    Usage {
        input: own.count("input_tokens").unwrap_or(0),
        output: own.count("output_tokens").unwrap_or(0),
        cache_write_5m: written - one_hour,
        cache_write_1h: one_hour,
        cache_read: own.count("cache_read_tokens").unwrap_or(0),
    }
}

/// Attributes that are kept: no content, nothing that the resource says too, nothing that stands in a field of its own.
fn kept(own: &[KeyValue], resource: &[KeyValue]) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for attribute in own.iter().take(proto::MAX_ATTRIBUTES) {
        let Some(value) = attribute.value.as_ref().and_then(|v| v.value.as_ref()) else { continue };
        if resource.contains(attribute) || has_field(&attribute.key) {
            continue;
        }
        let value = match value {
            Value::Text(t) if is_number(t) || !private::is_content(&attribute.key) => text(t),
            Value::Text(_) => None,
            Value::Bool(b) => Some(b.to_string()),
            Value::Int(n) => Some(n.to_string()),
            Value::Double(n) => Some(n.to_string()),
        };
        if let (Some(key), Some(value)) = (clean(&attribute.key), value) {
            kept.entry(key).or_insert(value);
        }
    }
    while kept.len() > MOST_ATTRIBUTES {
        kept.pop_last();
    }
    kept
}

/// Whether an attribute stands in a field of its own, or names who sent it.
fn has_field(key: &str) -> bool {
    matches!(
        key,
        "gen_ai.request.model"
            | "gen_ai.response.model"
            | "llm.model_name"
            | "model"
            | "gen_ai.tool.name"
            | "tool_name"
    ) || key.starts_with("user.")
        || key.starts_with("enduser.")
}

fn is_number(text: &str) -> bool {
    text.len() <= 24 && !text.is_empty() && text.trim().parse::<f64>().is_ok()
}

/// A text on one line, cut.
fn text(raw: &str) -> Option<String> {
    let safe: String = raw
        .chars()
        .take(4 * MAX_TEXT)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_unsafe(*c))
        .collect();
    let safe = cut(safe.trim(), MAX_TEXT);
    (!safe.is_empty()).then_some(safe)
}

fn nanos(at: u64) -> Option<i64> {
    (at != 0).then(|| i64::try_from(at).unwrap_or(i64::MAX))
}
