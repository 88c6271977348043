//! A session as a card shows it, and what its parts are.

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
    /// Nothing calls for this session: who silenced it.
    pub muted: Option<Muted>,
    /// Since when it is put away; `null` once something happened in it or a process runs it.
    pub archived_at_ms: Option<i64>,
    /// State of the worktree.
    pub git: Option<GitView>,
    /// The command that takes the person back.
    pub resume: Resume,
    /// Process id of the live client.
    pub pid: Option<u32>,
    /// Where its terminal is, when that is known.
    pub terminal: Option<Terminal>,
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
    /// It is put off until something happens in the session or its worktree; `snoozed_until_ms` is then a far day.
    pub until_change: bool,
    /// When the person was told.
    pub notified_at_ms: Option<i64>,
}

/// Who silenced a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum Muted {
    /// The person, this session.
    Session,
    /// The person, all of its project (`[notify] muted_projects`).
    Project,
}

/// The terminal a session runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Terminal {
    /// `tmux`, `screen`, `kitty`, `x11`, …: who can bring it to the front.
    pub program: String,
    /// Its name in that program's words: `work:2.1` of tmux, the title of a window.
    pub name: String,
    /// It can be brought to the front from here.
    pub can_focus: bool,
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
    /// Why nobody could look, in words, where the state is unknown.
    pub reason: Option<String>,
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
    /// It says otherwise than what is believed.
    pub overruled: bool,
}
