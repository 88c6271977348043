//! Instrumented services and their traces.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{CostSource, SessionCard, TokenTotals};

/// An instrumented service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// `service.namespace`.
    pub namespace: Option<String>,
    /// Time of its latest record.
    pub last_seen_ms: i64,
    /// Time of the first one known.
    pub first_seen_ms: i64,
    /// By the age of the latest record.
    pub state: ServiceState,
    /// What `calls` counts.
    pub measures: ServiceMeasure,
    /// Calls in the hour that ended with the latest record, as the figures up to `cost_usd` are.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// Rate over the five minutes that ended with the latest record; over its age, when it is younger.
    pub requests_per_minute: f64,
    /// Share of failed calls, 0 to 1; `null` without calls.
    pub error_rate: Option<f64>,
    /// Median duration, within an eighth of its value.
    pub p50_ms: Option<u64>,
    /// Duration that 95 % of the calls did not exceed, likewise.
    pub p95_ms: Option<u64>,
    /// Tokens of model calls.
    pub tokens: TokenTotals,
    /// Cost, as reported, else by the price table; `null` as soon as one call's is not known.
    pub cost_usd: Option<f64>,
    /// Cost since midnight.
    pub cost_today_usd: Option<f64>,
    /// Where the cost comes from.
    pub cost_source: Option<CostSource>,
    /// Models it called, the one called last first.
    pub models: Vec<String>,
    /// The last hour, minute by minute.
    pub series: ServiceSeries,
}

/// Whether a service is still heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Within the last 5 minutes.
    Live,
    /// Within the last 30: it may be an outage.
    Quiet,
    /// Longer ago.
    Dormant,
}

/// What a service's calls are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum ServiceMeasure {
    /// Calls of a model.
    ModelCalls,
    /// It calls no model: requests it served, by their spans.
    Requests,
    /// It sends no spans either: log records.
    Logs,
}

/// Sixty minutes without gaps; the last entry is the minute that runs when it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ServiceSeries {
    /// Start of the first minute.
    pub from_ms: i64,
    /// Calls per minute.
    pub calls: Vec<u64>,
    /// Failed calls per minute.
    pub errors: Vec<u64>,
    /// Known cost per minute.
    pub cost_usd: Vec<f64>,
}

/// One service in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ServiceDetail {
    /// Its figures.
    pub service: Service,
    /// Models it called in the last 24 hours, the dearest first.
    pub models: Vec<ServiceModel>,
    /// What it did in the last 24 hours by span name, the most frequent first, at most 50.
    pub operations: Vec<Operation>,
    /// Its latest traces, the newest first, at most 100.
    pub traces: Vec<TraceSummary>,
    /// How many traces are stored in all.
    pub traces_total: u64,
    /// Sessions its records name, the one active last first, at most 20; the others are in the archive.
    pub sessions: Vec<SessionCard>,
    /// How many there are in all.
    pub sessions_total: u64,
    /// What is missing and why: raw telemetry that was let go to keep the store within its bound, for example.
    pub note: Option<String>,
}

/// Calls of one model by a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ServiceModel {
    /// Model as written.
    pub model: String,
    /// Calls.
    pub calls: u64,
    /// Tokens.
    pub tokens: TokenTotals,
    /// Cost, as reported, else by the price table; `null` when not known.
    pub cost_usd: Option<f64>,
    /// When it was called last.
    pub last_at_ms: i64,
}

/// Spans of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Operation {
    /// Span name as written.
    pub name: String,
    /// What it is.
    pub kind: SpanKind,
    /// How often.
    pub calls: u64,
    /// Failed ones.
    pub errors: u64,
    /// Median duration.
    pub p50_ms: Option<u64>,
    /// Duration that 95 % did not exceed.
    pub p95_ms: Option<u64>,
    /// The latest one.
    pub last_at_ms: i64,
}

/// What a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// An agent or a workflow at work.
    Agent,
    /// A call of a model.
    Llm,
    /// A tool.
    Tool,
    /// A search in documents or memory.
    Retrieval,
    /// A request somebody sent to the service.
    Server,
    /// A request to another service.
    Client,
    /// Waiting for a person.
    Blocked,
    /// Anything else.
    Other,
}

/// A page of traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TracePage {
    /// Traces, the one that began last first.
    pub traces: Vec<TraceSummary>,
    /// Cursor of the next page, `null` at the end.
    pub next: Option<String>,
}

/// A trace in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TraceSummary {
    /// 32 hex digits.
    pub trace_id: String,
    /// Name of its root span; of its earliest one, while the root is missing.
    pub name: String,
    /// The root's kind.
    pub kind: SpanKind,
    /// Whether the root span has arrived.
    pub has_root: bool,
    /// Services that took part, the root's first.
    pub services: Vec<String>,
    /// When its first span began.
    pub started_at_ms: i64,
    /// From the first begin to the last end, in microseconds.
    pub duration_us: u64,
    /// Spans stored.
    pub spans: u32,
    /// Failed ones.
    pub errors: u32,
    /// Models it called.
    pub models: Vec<String>,
    /// Tokens of its model calls, `null` when none were told.
    pub tokens: Option<TokenTotals>,
    /// Their cost; `null` when not known.
    pub cost_usd: Option<f64>,
    /// `agent:session_id` of the session it belongs to.
    pub session: Option<String>,
}

/// A trace in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Trace {
    /// Its sums.
    pub trace: TraceSummary,
    /// Its spans as a tree, each parent before its children, siblings by their begin; at most 2,000.
    pub spans: Vec<SpanView>,
    /// Spans that are stored and not in `spans`.
    pub cut: u32,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SpanView {
    /// 16 hex digits.
    pub span_id: String,
    /// Its parent, `null` for a root.
    pub parent_span_id: Option<String>,
    /// Whether its parent is named and has not arrived.
    pub is_orphan: bool,
    /// Depth in the tree.
    pub depth: u32,
    /// `service.name` of who sent it.
    pub service: String,
    /// Name as written.
    pub name: String,
    /// What it stands for.
    pub kind: SpanKind,
    /// Begin, in microseconds after the trace's; never negative.
    pub start_us: u64,
    /// Duration in microseconds.
    pub duration_us: u64,
    /// Whether it failed; `null` when it does not say.
    pub is_error: Option<bool>,
    /// Its status message, cut to 300 characters.
    pub message: Option<String>,
    /// Model it called.
    pub model: Option<String>,
    /// Tool it ran.
    pub tool: Option<String>,
    /// Tokens of the call.
    pub tokens: Option<TokenTotals>,
    /// Cost of the call.
    pub cost_usd: Option<f64>,
    /// Other attributes by name, values as text cut to 300 characters, at most 64; prompts and outputs are not kept.
    pub attributes: Vec<SpanAttribute>,
}

/// An attribute of a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SpanAttribute {
    /// Name.
    pub key: String,
    /// Value as text.
    pub value: String,
}
