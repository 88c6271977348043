//! One session in full, and pages of sessions.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Attention, SessionCard, TokenTotals};

/// A page of the archive or of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SessionPage {
    /// Cards, last activity first.
    pub sessions: Vec<SessionCard>,
    /// Cursor of the next page, `null` at the end.
    pub next: Option<String>,
    /// How many sessions match in all.
    pub total: u64,
}

/// One session in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SessionDetail {
    /// Its card.
    pub card: SessionCard,
    /// Where it works, by its own registry, transcript or row. What only a hook or telemetry named is no folder to open.
    pub folder: Option<String>,
    /// First prompt, cut to 2,000 characters.
    pub first_prompt: Option<String>,
    /// Usage by model.
    pub models: Vec<ModelUsage>,
    /// The last messages, oldest first, at most 20.
    pub messages: Vec<MessageView>,
    /// Why there are no messages, when there are none.
    pub messages_note: Option<String>,
    /// Files it touched, the last one first, at most 200.
    pub files: Vec<FileTouched>,
    /// Tokens the context grew by since the first response of the latest turn; `null` when either is not known.
    pub turn_tokens: Option<u64>,
    /// Turns the person asked for.
    pub prompts: u32,
    /// Model responses owned.
    pub responses: u32,
    /// Responses seen here but owned by another session (copied by a fork).
    pub inherited_responses: u32,
    /// Transcript path.
    pub transcript: Option<String>,
    /// Client version that wrote it.
    pub client_version: Option<String>,
    /// Causes that were raised and cleared, newest first, at most 50.
    pub history: Vec<CauseView>,
    /// What telemetry measured of it; `null` where none came.
    pub telemetry: Option<TelemetryView>,
    /// Its subagents, the latest first, at most 200; `card.subagents.total` is how many there are.
    pub subagents: Vec<SubagentView>,
}

/// A subagent of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SubagentView {
    /// The agent's own id of it.
    pub id: String,
    /// Its type: `Explore`, `general-purpose`, …
    pub kind: Option<String>,
    /// Its task, in the words of whoever started it.
    pub description: Option<String>,
    /// What became of it.
    pub state: SubagentState,
    /// Its first record.
    pub started_at_ms: Option<i64>,
    /// Its last record.
    pub last_at_ms: Option<i64>,
    /// What it spent by its own transcript, copies of another's responses included; `null` where that is gone or too
    /// long to be read now.
    pub tokens: Option<TokenTotals>,
}

/// What became of a subagent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum SubagentState {
    /// It works.
    Running,
    /// It said its last word.
    Finished,
    /// It was in the middle of its work when it was stopped, its session's process ended, or nothing came for a day.
    CutOff,
}

/// What telemetry measured of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TelemetryView {
    /// Permission mode, as the agent names it.
    pub permission_mode: Option<String>,
    /// Model requests that were timed, the latest 10,000.
    pub requests: u64,
    /// Median of what they took.
    pub latency_p50_ms: Option<u64>,
    /// 95th percentile of it.
    pub latency_p95_ms: Option<u64>,
    /// Median of the time to the first token.
    pub ttft_p50_ms: Option<u64>,
    /// 95th percentile of it.
    pub ttft_p95_ms: Option<u64>,
    /// Attempts after the first one, of requests that were answered.
    pub retries: u64,
    /// Failed attempts that were told of.
    pub failures: u32,
    /// Compactions of the context.
    pub compactions: u32,
    /// Tool calls that were told of.
    pub tool_calls: u64,
    /// Those that failed or were refused.
    pub tool_failures: u64,
    /// How long they ran in all.
    pub tools_ran_ms: u64,
    /// Calls that waited for the person.
    pub waits: u64,
    /// How long they waited in all.
    pub waited_ms: u64,
    /// How long the person typed.
    pub active_by_person_ms: Option<u64>,
    /// How long the agent worked.
    pub active_by_agent_ms: Option<u64>,
    /// Lines added by edits.
    pub lines_added: Option<u64>,
    /// Lines removed by edits.
    pub lines_removed: Option<u64>,
    /// Edits that were let through.
    pub edits_accepted: Option<u64>,
    /// Edits that were refused.
    pub edits_rejected: Option<u64>,
    /// Commits made.
    pub commits: Option<u64>,
    /// Pull requests made.
    pub pull_requests: Option<u64>,
}

/// Usage of one model in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ModelUsage {
    /// Model as written.
    pub model: String,
    /// Responses.
    pub responses: u32,
    /// Token sums.
    pub tokens: TokenTotals,
    /// By the price table, `null` when it has no row.
    pub cost_usd: Option<f64>,
    /// As the agent reported it over OpenTelemetry, `null` when it reported none.
    pub reported_usd: Option<f64>,
    /// Responses that `reported_usd` covers.
    pub reported_responses: u32,
}

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct MessageView {
    /// When.
    pub at_ms: Option<i64>,
    /// Who.
    pub role: MessageRole,
    /// The text, cut to 4,000 characters; for a tool its target.
    pub text: String,
    /// The tool, for a call.
    pub tool: Option<String>,
    /// Whether the call failed; `null` while it runs or for text.
    pub is_error: Option<bool>,
    /// Whether the text was cut.
    pub cut: bool,
}

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// The person.
    User,
    /// The agent.
    Assistant,
    /// A tool call of the agent.
    Tool,
    /// The client (interruption, error, compaction).
    System,
}

/// A file a session touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct FileTouched {
    /// Path as the agent wrote it.
    pub path: String,
    /// Times read.
    pub reads: u32,
    /// Times edited or written.
    pub edits: u32,
    /// Last touch.
    pub last_at_ms: Option<i64>,
}

/// A cause, open or cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct CauseView {
    /// The cause itself.
    pub attention: Attention,
    /// When it was cleared.
    pub cleared_at_ms: Option<i64>,
    /// By what: `reply`, `resolution`, `ended`, `dismissed`, `expired`, …
    pub cleared_by: Option<String>,
    /// When the person waved it away.
    pub dismissed_at_ms: Option<i64>,
}
