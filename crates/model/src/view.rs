//! What the screen, the socket and scripts are told: plain data in the screen's words.
//!
//! Every key is always present; `null` means *not known*. Integers stay under 2^53; times are milliseconds since the
//! Unix epoch. These types are the contract of `lamp status --json`, the HTTP API and the window; they are exported to
//! TypeScript (`frontend/src/lib/bindings`), and a change here is a change of the contract.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::attention::{CauseKind, Tier};
use crate::session::{
    EntryKind, LabelSource, Lifecycle, LivenessState, ResumeState, SessionKind, Speaker, TurnState, WaitKind,
};

/// One session as a card shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SessionCard {
    /// `claude-code`, `codex`, …
    pub agent: String,
    /// The agent's own session id.
    pub session_id: String,
    /// Coding session or instrumented service.
    pub kind: SessionKind,
    /// How it is driven: a person in a terminal, `-p`, a background job, an SDK.
    pub entry: EntryKind,
    /// The name its project is grouped under.
    pub project: Option<String>,
    /// The name shown, never empty.
    pub label: String,
    /// Where the name comes from.
    pub label_source: LabelSource,
    /// What the label would be without the user's rename; shown as the hint while renaming.
    pub label_default: String,
    /// Working directory as the agent reported it last.
    pub cwd: Option<String>,
    /// Git branch as the agent reported it last.
    pub branch: Option<String>,
    /// Model as written by the agent.
    pub model: Option<String>,
    /// What it is doing.
    pub turn_state: TurnState,
    /// When that state began.
    pub turn_state_since_ms: Option<i64>,
    /// What it waits for, when it waits.
    pub waiting_for: Option<WaitingFor>,
    /// A label of age.
    pub lifecycle: Lifecycle,
    /// Whether a process runs it.
    pub liveness: Liveness,
    /// Who spoke last.
    pub last_speaker: Option<Speaker>,
    /// When they did.
    pub last_speaker_at_ms: Option<i64>,
    /// First fact known of it.
    pub started_at_ms: Option<i64>,
    /// Last activity; never in the future.
    pub last_activity_at_ms: Option<i64>,
    /// Orderly end or close.
    pub ended_at_ms: Option<i64>,
    /// What was last said by the agent, up to 300 characters.
    pub excerpt: Option<String>,
    /// The running tool.
    pub doing: Option<Doing>,
    /// Task list progress.
    pub todos: Option<Todos>,
    /// Tokens of owned calls, subagents included, inherited excluded.
    pub tokens: Option<TokenTotals>,
    /// Tool calls of the session and its subagents, inherited excluded.
    pub tool_calls: u32,
    /// API errors that ended a turn.
    pub errors: u32,
    /// Money, `null` when a model has no known price.
    pub cost_usd: Option<f64>,
    /// Where the money comes from.
    pub cost_source: Option<CostSource>,
    /// How full the context is.
    pub context: Context,
    /// Subagents.
    pub subagents: Subagents,
    /// The most urgent open cause.
    pub attention: Option<Attention>,
    /// All open causes, the most urgent first.
    pub causes: Vec<Attention>,
    /// State of the worktree.
    pub git: Option<GitView>,
    /// The command that takes the person back.
    pub resume: Resume,
    /// Process id of the live client.
    pub pid: Option<u32>,
    /// Run it belongs to.
    pub run_id: Option<String>,
    /// The session it was forked or spawned from.
    pub parent_session_id: Option<String>,
    /// The session that took its place in the same process.
    pub superseded_by: Option<String>,
    /// Facts behind `turn_state`, the believed one first.
    pub evidence: Vec<Evidence>,
}

/// What a session waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct WaitingFor {
    /// Kind of need.
    pub kind: WaitKind,
    /// Tool that asks, where one does.
    pub tool: Option<String>,
    /// The command, path, question, first line of the error.
    pub detail: Option<String>,
    /// Choices of a question.
    pub options: Vec<String>,
    /// When a limit resets.
    pub resets_at_ms: Option<i64>,
}

/// Whether a process runs the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Liveness {
    /// Alive, dead or not known.
    pub state: LivenessState,
    /// Which source said so.
    pub source: Option<String>,
    /// When it was observed.
    pub observed_at_ms: Option<i64>,
}

/// The running tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Doing {
    /// Tool name as the agent writes it; `null` while the model thinks.
    pub tool: Option<String>,
    /// Command, path or description, cut to 300 characters.
    pub target: Option<String>,
    /// When it began.
    pub since_ms: Option<i64>,
}

/// Task list progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Todos {
    /// Completed tasks.
    pub done: u32,
    /// All tasks.
    pub total: u32,
}

/// Sums of token usage; `input` excludes cached tokens, `output` includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct TokenTotals {
    /// Uncached input tokens.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Tokens written to the 5-minute cache.
    pub cache_write_5m: u64,
    /// Tokens written to the 1-hour cache.
    pub cache_write_1h: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
}

/// Where a cost comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The agent reported it.
    Reported,
    /// Tokens times the price table.
    Table,
    /// Some of both.
    Mixed,
}

/// How full the context is; every part may be unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Context {
    /// Tokens in the context at the last response (input and cache).
    pub used: Option<u64>,
    /// Size of the window.
    pub window: Option<u64>,
    /// Where the window's size comes from: `transcript`, `statusline` or `table`.
    pub source: Option<String>,
}

/// Subagents of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Subagents {
    /// Running ones.
    pub running: u32,
    /// All that were ever started.
    pub total: u32,
}

/// An open cause, as the card shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Attention {
    /// 1 blocked on you, 2 your turn, 3 at risk.
    pub tier: Tier,
    /// Why.
    pub cause: CauseKind,
    /// Stable id, for dismissal and snooze.
    pub cause_id: String,
    /// Since when.
    pub since_ms: i64,
    /// Until when it is put off.
    pub snoozed_until_ms: Option<i64>,
    /// When the person was told.
    pub notified_at_ms: Option<i64>,
}

/// State of the worktree a session works in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct GitView {
    /// clean, dirty, not_repo, missing or unknown.
    pub state: GitState,
    /// Files that differ.
    pub dirty_files: Option<u32>,
    /// Root of the worktree.
    pub root: Option<String>,
}

/// Result of a look at a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum GitState {
    /// Nothing to commit.
    Clean,
    /// Uncommitted work.
    Dirty,
    /// No repository there.
    NotRepo,
    /// The directory is gone.
    Missing,
    /// Nobody could look.
    Unknown,
}

/// The command that takes the person back to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Resume {
    /// The exact line for a POSIX shell, `null` when none can be given.
    pub command: Option<String>,
    /// Whether it is expected to work.
    pub state: ResumeState,
    /// Why not, or what to expect.
    pub reason: Option<String>,
}

/// One fact behind a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Evidence {
    /// The fact, in words.
    pub fact: String,
    /// `registry`, `process`, `transcript`, `lock`, `hook`, `user`.
    pub source: String,
    /// When it became true.
    pub at_ms: i64,
}

/// Everything the screen needs at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Status {
    /// Names this database; a new one means a new history.
    pub engine_id: String,
    /// Grows by one with every change.
    pub revision: u64,
    /// Clock of the engine when it answered.
    pub at_ms: i64,
    /// Sessions with a live process, an open cause, or activity within the idle window.
    pub sessions: Vec<SessionCard>,
    /// Worktrees with uncommitted work.
    pub worktrees: Vec<Worktree>,
    /// Instrumented services.
    pub services: Vec<Service>,
    /// What is not shown, counted.
    pub hidden: Hidden,
    /// Sessions that are not in `sessions`: the archive.
    pub archived: u64,
    /// Sources and their health.
    pub sources: Vec<SourceView>,
    /// Progress of the first import, `null` once it is done.
    pub importing: Option<ImportProgress>,
}

/// A worktree with uncommitted work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Worktree {
    /// Root directory.
    pub root: String,
    /// Result of the look.
    pub state: GitState,
    /// Staged files.
    pub staged: Option<u32>,
    /// Changed files.
    pub unstaged: Option<u32>,
    /// Untracked files.
    pub untracked: Option<u32>,
    /// Files in conflict.
    pub conflicted: Option<u32>,
    /// Commits ahead of upstream.
    pub ahead: Option<u32>,
    /// Commits behind upstream.
    pub behind: Option<u32>,
    /// When it was looked at.
    pub observed_at_ms: Option<i64>,
    /// `agent:session_id` of the sessions that worked there.
    pub sessions: Vec<String>,
}

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

/// What is not shown, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Hidden {
    /// Sessions without a prompt, a token, a tool call or a process.
    pub zombie: u64,
    /// Subagents' own threads.
    pub subagent: u64,
    /// Hidden title threads.
    pub title_thread: u64,
    /// Pre-warmed spares.
    pub spare: u64,
    /// Muted sessions.
    pub muted: u64,
}

/// Health of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SourceView {
    /// `claude-code transcripts`, `claude-code registry`, `codex rollouts`, `codex locks`, …
    pub name: String,
    /// Folder it is read from.
    pub path: String,
    /// Whether it works.
    pub state: SourceHealth,
    /// Files known.
    pub files: u64,
    /// Bytes read so far.
    pub bytes: u64,
    /// Records or files skipped because they could not be used.
    pub skipped: u64,
    /// What went wrong, newest first, at most 20.
    pub issues: Vec<IssueView>,
    /// Last fact it gave.
    pub last_fact_at_ms: Option<i64>,
}

/// One kind of trouble with a source, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct IssueView {
    /// Stable word for the kind: `bad_json`, `bad_utf8`, `long_line`, `not_a_file`, `unreadable`, `link_loop`, `outside_root`, `bad_id`, `future_time`, `half_written`, `watch_limit`, …
    pub kind: String,
    /// A sentence saying what happened and what still works; never transcript text.
    pub message: String,
    /// File it happened in last.
    pub path: Option<String>,
    /// How often.
    pub count: u64,
    /// When it happened last.
    pub last_at_ms: i64,
}

/// Whether a source works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum SourceHealth {
    /// Read and watched.
    Ok,
    /// Nothing there; watched for.
    Absent,
    /// Works in part; its issues say what is missing.
    Degraded,
}

/// Progress of the first import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ImportProgress {
    /// Files read.
    pub files_done: u64,
    /// Files to read.
    pub files_total: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Bytes to read.
    pub bytes_total: u64,
}

/// What changed since revision `since`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ChangeSet {
    /// The database it belongs to.
    pub engine_id: String,
    /// Revision it starts from; another one than the receiver's means a gap: refetch.
    pub since: u64,
    /// Revision it leads to.
    pub revision: u64,
    /// Clock of the engine.
    pub at_ms: i64,
    /// New and changed cards.
    pub upserted: Vec<SessionCard>,
    /// `agent:session_id` of sessions that left the status.
    pub removed: Vec<String>,
    /// All worktrees, when they changed.
    pub worktrees: Option<Vec<Worktree>>,
    /// All services, when they changed.
    pub services: Option<Vec<Service>>,
    /// All sources, when they changed.
    pub sources: Option<Vec<SourceView>>,
    /// Counts of what is hidden, when they changed.
    pub hidden: Option<Hidden>,
    /// Number of archived sessions, when it changed.
    pub archived: Option<u64>,
    /// Import progress, when it changed; `done` arrives as `importing_done`.
    pub importing: Option<ImportProgress>,
    /// The first import ended with this change.
    pub importing_done: bool,
}

/// What a subscriber receives: first a snapshot, then changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamMessage {
    /// The whole state.
    Snapshot(Status),
    /// A change of it.
    Change(ChangeSet),
}

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

/// Totals of the database, as `lamp import --json` prints them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ImportTotals {
    /// Distinct sessions with a main transcript.
    pub sessions: u64,
    /// Model responses.
    pub messages: u64,
    /// What a person or `-p` submitted.
    pub prompts: u64,
    /// Calls the model made.
    pub tool_calls: u64,
    /// Distinct subagents with a transcript.
    pub subagents: u64,
    /// Token sums by model as written.
    pub tokens: std::collections::BTreeMap<String, TokenTotals>,
    /// Bytes read by this pass.
    pub bytes_read: u64,
    /// Duration of this pass.
    pub elapsed_ms: u64,
}
