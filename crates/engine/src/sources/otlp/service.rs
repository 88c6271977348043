//! Records of programs that are no coding agent: model calls by the GenAI semantic conventions (older and newer names)
//! and by OpenInference, other requests, and plain log records.

use lamplight_model::event::Usage;
use lamplight_model::ids::{FactId, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use super::attributes::Attributes;
use super::proto::{CONSUMER, ERROR, LogRecord, SERVER, SEVERITY_ERROR, Span};
use super::{Kind, Measured, RecordId};

const INPUT: &[&str] = &[
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
];
const OUTPUT: &[&str] = &[
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
];
/// Newer names: their tokens are part of the input count.
const READ_WITHIN: &[&str] =
    &["gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read"];
const WRITTEN_WITHIN: &[&str] =
    &["gen_ai.usage.cache_creation.input_tokens", "llm.token_count.prompt_details.cache_write"];
/// Older names, of instrumentations that pass on counts in which the input excludes them.
const READ_BESIDE: &[&str] = &["gen_ai.usage.cache_read_input_tokens"];
const WRITTEN_BESIDE: &[&str] = &["gen_ai.usage.cache_creation_input_tokens"];
const MODEL: &[&str] = &[
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
    "llm.request.model",
];
pub(super) const COST: &[&str] =
    &["gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total", "llm.cost.total", "cost_usd"];

/// Says what a span of a service means; `None` for one inside another that is no model call.
pub(super) fn span(
    span: &Span,
    own: &Attributes<'_>,
    service: usize,
    id: RecordId,
    at: Timestamp,
) -> Option<Measured> {
    let kind = if is_model_call(own) {
        Kind::ModelCall
    } else if !is_set(&span.parent_span_id) || matches!(span.kind, SERVER | CONSUMER) {
        Kind::Request
    } else {
        return None;
    };
    let spent_ns = span.end_time_unix_nano.checked_sub(span.start_time_unix_nano);
    Some(Measured {
        service,
        id,
        kind,
        at,
        call: call_id(&span.trace_id, &span.span_id),
        by_span: true,
        session: None,
        is_error: span.status.as_ref().is_some_and(|s| s.code == ERROR) || own.has("error.type"),
        // An end before its start, or none, is no duration.
        duration_us: spent_ns.filter(|_| span.end_time_unix_nano != 0).map(|ns| ns / 1_000),
        model: own.first_name(MODEL),
        usage: usage(own),
        cost_nano: own.dollars_nano(COST),
    })
}

/// Says what a log record of a service means.
pub(super) fn log(
    record: &LogRecord,
    own: &Attributes<'_>,
    service: usize,
    id: RecordId,
    at: Timestamp,
) -> Measured {
    let name = own.text("event.name").unwrap_or(&record.event_name);
    let counts = [INPUT, OUTPUT].iter().any(|keys| own.first_count(keys).is_some());
    let is_call =
        name == "gen_ai.client.inference.operation.details" || (counts && own.has_prefix("gen_ai."));
    let is_error = own.has("error.type") || record.severity_number >= SEVERITY_ERROR;
    Measured {
        service,
        id,
        kind: if is_call { Kind::ModelCall } else { Kind::Log },
        at,
        call: if is_call { call_id(&record.trace_id, &record.span_id) } else { None },
        by_span: false,
        session: None,
        is_error,
        duration_us: None,
        model: if is_call { own.first_name(MODEL) } else { None },
        usage: if is_call { usage(own) } else { Usage::default() },
        cost_nano: if is_call { own.dollars_nano(COST) } else { None },
    }
}

/// Whether a span is a call of a model, and not an agent, a workflow or a tool around one.
pub(super) fn is_model_call(own: &Attributes<'_>) -> bool {
    if let Some(operation) = own.text("gen_ai.operation.name") {
        return matches!(
            operation,
            "chat" | "text_completion" | "generate_content" | "completion" | "responses" | "embeddings"
        );
    }
    if let Some(kind) = own.text("openinference.span.kind") {
        return matches!(kind, "LLM" | "EMBEDDING");
    }
    own.has("gen_ai.request.model")
        || own.has("gen_ai.response.model")
        || (own.has_prefix("llm.") && own.first_name(MODEL).is_some())
}

pub(super) fn usage(own: &Attributes<'_>) -> Usage {
    let input = own.first_count(INPUT).unwrap_or(0);
    let (read_within, written_within) =
        (own.first_count(READ_WITHIN).unwrap_or(0), own.first_count(WRITTEN_WITHIN).unwrap_or(0));
    Usage {
        // A client that uses the newer names and still counts its input without them says so by the size.
        input: input.checked_sub(read_within.saturating_add(written_within)).unwrap_or(input),
        output: own.first_count(OUTPUT).unwrap_or(0),
        cache_write_5m: if written_within > 0 {
            written_within
        } else {
            own.first_count(WRITTEN_BESIDE).unwrap_or(0)
        },
        cache_write_1h: 0,
        cache_read: if read_within > 0 { read_within } else { own.first_count(READ_BESIDE).unwrap_or(0) },
    }
}

/// Model by any of its names.
pub(super) fn model(own: &Attributes<'_>) -> Option<String> {
    own.first_name(MODEL)
}

/// Whether an id is there; all zeros mean none.
fn is_set(id: &[u8]) -> bool {
    id.iter().any(|byte| *byte != 0)
}

fn call_id(trace: &[u8], span: &[u8]) -> Option<FactId> {
    (is_set(trace) && is_set(span)).then(|| FactId(xxh3_128(&[trace, span].concat())))
}
