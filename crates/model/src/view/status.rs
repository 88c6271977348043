//! The whole state, its changes, and the health of the sources.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{GitState, Service, SessionCard, TokenTotals};

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
    /// No agent is left that works there, and the work is theirs.
    pub is_at_risk: bool,
    /// What is uncommitted lay there, as it is, before the first agent came.
    pub was_so_before: bool,
    /// `agent:session_id` of the sessions that worked there, the latest first.
    pub sessions: Vec<String>,
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
    /// Services that sent nothing for 7 days; they are found by name.
    pub services: u64,
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
