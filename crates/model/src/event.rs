//! Facts, in the past tense, as decoded from what agents write. A fact carries no opinion about state.

use serde::{Deserialize, Serialize};

use crate::ids::{FactId, SessionId, Timestamp};

/// One fact from one transcript file, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When the agent says it happened, clamped to the moment of reading; the previous record's time where the
    /// record has none.
    pub at: Timestamp,
    /// Recorded inside a subagent's side thread that is written into the main file (Claude 1.x): counts, but says
    /// nothing about the main thread's turn.
    pub sidechain: bool,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. Every variant says from which record it is emitted.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// Circumstances named by a record: Claude tree records when a field differs from the one before, Codex
    /// `session_meta`, `turn_context`, `thread_settings_applied`. Absent fields leave what was known.
    ContextSeen(ContextSeen),
    /// Something was submitted as a prompt. Claude: `user` records with string content, absorbed `queued_command`
    /// attachments. Codex: `UserMessage` items, `user_message` events of older families. OpenCode: `user` messages with
    /// a text of the person's.
    PromptSubmitted(Prompt),
    /// The client began to work on a turn. Codex `task_started`; Claude `api-request` of the main thread (the earliest
    /// sign of work, and of every retry).
    TurnStarted,
    /// A model response, or one more line of the same one. Claude `assistant` records (not synthetic ones), Codex
    /// `token_usage_record` (usage only) and `token_count` of older families, finished `assistant` messages of OpenCode.
    ResponseReceived(Response),
    /// The agent said something. Claude text blocks, Codex `AgentMessage` items and `agent_message` events.
    AgentSpoke {
        /// First 1,000 characters.
        text: String,
    },
    /// The model called a tool. Claude `tool_use` blocks, Codex `function_call`, `custom_tool_call`,
    /// `local_shell_call`.
    ToolCalled(ToolCall),
    /// A call was answered. Claude `tool_result` blocks, Codex `*_call_output`.
    ToolAnswered(ToolAnswer),
    /// The model ended its turn by itself. Claude `stop_reason` `end_turn`/`stop_sequence`/`refusal` on a main-thread
    /// line and `system/turn_duration`; Codex `task_complete` without error; for older families an assistant message
    /// followed by `token_count`.
    TurnEnded,
    /// The person cut the turn: Claude `[Request interrupted by user…]`, Codex `turn_aborted`.
    TurnInterrupted,
    /// The turn ended in an error: Claude `isApiErrorMessage`, Codex `task_complete` with `error`.
    TurnFailed(Failure),
    /// The client is retrying (Claude `-p`: `system/api_error`).
    RetryAnnounced {
        /// Attempt about to run, 1-based.
        attempt: u32,
        /// Attempts in all.
        of: u32,
    },
    /// A title. Claude `custom-title`, `agent-name`, `ai-title`, `summary`; Codex `session_index.jsonl`.
    TitleGiven {
        /// The title; empty takes it back.
        text: String,
        /// Who gave it.
        by: TitleGiver,
    },
    /// The task list changed. Claude TaskCreate / TaskUpdate results, older TodoWrite calls; Codex `update_plan`.
    TaskChanged(TaskChange),
    /// Work was handed to the background of the session (shell or subagent) or came back. Claude `backgroundTaskId`,
    /// `async_launched` and `<task-notification>`.
    BackgroundTask {
        /// The task's own id.
        id: String,
        /// `true` when it was started, `false` when it finished.
        running: bool,
        /// What it is.
        what: BackgroundKind,
    },
    /// The context was compacted. Claude `compact_boundary`, Codex `compacted`.
    Compacted {
        /// Tokens left in the context, where said.
        post_tokens: Option<u64>,
    },
    /// The client told how large and how full the context is. Codex `token_count`, `task_started`.
    ContextMeasured {
        /// Tokens used, where said.
        used: Option<u64>,
        /// Window, where said.
        window: Option<u64>,
    },
    /// Where this session comes from. Claude `forkedFrom`, `requestSessionId` of copied lines; Codex
    /// `forked_from_id`, `parent_thread_id`.
    LineageSeen {
        /// The session it came from.
        parent: SessionId,
        /// How.
        how: Lineage,
    },
    /// The session went on under another id (Claude `continued-in`).
    ContinuedIn {
        /// The new id.
        session: SessionId,
    },
    /// The agent's own total, auxiliary calls included (Claude `cost-state`).
    CostReported {
        /// US dollars since the session's first process; a fork starts with its parent's total.
        usd: f64,
    },
}

/// Circumstances; every absent field leaves what was known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextSeen {
    /// Working directory.
    pub cwd: Option<String>,
    /// Git branch; empty means none.
    pub branch: Option<String>,
    /// Client version.
    pub version: Option<String>,
    /// How it is driven, in [`crate::session::EntryKind`] terms.
    pub entry: Option<crate::session::EntryKind>,
    /// Model the next turn uses.
    pub model: Option<String>,
    /// The thread is not the person's: a Codex subagent or hidden title thread.
    pub hidden: Option<HiddenKind>,
    /// Git root or main repository, where the record names it.
    pub git_root: Option<String>,
    /// Its client took it to the directory when it removed the one it had worked in.
    pub relocated: bool,
}

/// Why a thread is never a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenKind {
    /// A subagent's own thread (Codex `thread_source: "subagent"`).
    Subagent,
    /// A thread in which the client asks for a title.
    TitleThread,
    /// A pre-warmed spare process.
    Spare,
}

/// Something submitted as a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Hash of the record's uuid; `None` where the record has none.
    pub key: Option<FactId>,
    /// First 2,000 characters.
    pub text: String,
    /// Who submitted it.
    pub origin: PromptOrigin,
    /// Copied from this session by a fork.
    pub owner: Option<SessionId>,
}

/// Who submitted a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptOrigin {
    /// A person, or `-p`: counted as a prompt, starts a turn, speaks as the user.
    Person,
    /// Typed while the agent worked and absorbed by the running turn: counted, speaks as the user.
    Queued,
    /// The client itself (task notification): starts a turn, is not the user speaking, not counted.
    Client,
    /// A slash command or bash mode: the person acted, but no turn follows from it alone; not counted.
    Command,
}

/// A model response, possibly one of several lines of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Hash of `message.id`, or of (thread, `response_id`).
    pub key: FactId,
    /// Model as written.
    pub model: Option<String>,
    /// Usage as written on this line; the maximum per field counts.
    pub usage: Usage,
    /// Session the line names as the origin of a copied response.
    pub owner: Option<SessionId>,
    /// Whether `owner` was named by `requestSessionId` (believed first) or `forkedFrom`.
    pub owner_rank: OwnerRank,
    /// What the record says that it cost, in billionths of a US dollar (OpenCode).
    pub cost_nano: Option<u64>,
    /// Hash of the request's id, by which telemetry of the same call is joined; `None` where the record names none.
    pub request: Option<FactId>,
}

/// How strongly a line names the owner of its usage; smaller is believed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum OwnerRank {
    /// `requestSessionId`.
    Request = 0,
    /// `forkedFrom.sessionId`.
    ForkedFrom = 1,
    /// The session the line stands in.
    Own = 2,
}

/// Token usage of one response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were not cached.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Written to the 5-minute cache.
    pub cache_write_5m: u64,
    /// Written to the 1-hour cache.
    pub cache_write_1h: u64,
    /// Read from the cache.
    pub cache_read: u64,
}

impl Usage {
    /// Returns the maximum per field: usage grows over the lines of one id in old transcripts.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.each(other, u64::max)
    }

    /// Returns the sum per field.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// Returns what is left per field, never below 0.
    #[must_use]
    pub fn without(self, part: Self) -> Self {
        self.each(part, u64::saturating_sub)
    }

    fn each(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input: f(self.input, other.input),
            output: f(self.output, other.output),
            cache_write_5m: f(self.cache_write_5m, other.cache_write_5m),
            cache_write_1h: f(self.cache_write_1h, other.cache_write_1h),
            cache_read: f(self.cache_read, other.cache_read),
        }
    }

    /// Tokens that stood in the context when the response was made: input and cache, written or read.
    #[must_use]
    pub fn context(self) -> u64 {
        self.input
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.cache_read)
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Hash of the call id.
    pub key: FactId,
    /// Tool name as written.
    pub name: String,
    /// What it acts on: command, path, address, description; first 2,000 characters.
    pub target: Option<String>,
    /// A question with its options (AskUserQuestion, request_user_input), a plan's first lines (ExitPlanMode).
    pub ask: Option<Ask>,
    /// Runs with elevated rights and so may be waiting for approval (Codex `require_escalated`).
    pub escalated: bool,
    /// Copied from this session by a fork.
    pub owner: Option<SessionId>,
}

/// What a call asks of the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Question or plan.
    pub kind: AskKind,
    /// The first question, or the plan's text; first 1,000 characters.
    pub text: String,
    /// Options of the first question.
    pub options: Vec<String>,
    /// How many questions, or steps of the plan.
    pub count: u32,
}

/// Kind of ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskKind {
    /// AskUserQuestion, `request_user_input`.
    Question,
    /// ExitPlanMode.
    Plan,
}

/// An answered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    /// Hash of the call id.
    pub key: FactId,
    /// The tool failed.
    pub is_error: bool,
    /// The person refused it.
    pub refused: bool,
}

/// A turn that ended in an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// One line for people, first 300 characters.
    pub text: String,
    /// HTTP status, where said.
    pub status: Option<u16>,
    /// When a limit resets, where said.
    pub resets_at: Option<Timestamp>,
}

/// Kind of error that ended a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Sign-in needed: 401, `authentication_failed`.
    SignIn,
    /// A usage or rate limit, billing.
    Limit,
    /// Anything else.
    Error,
}

/// Who gave a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TitleGiver {
    /// The person, inside the agent (`/rename`, `--name`).
    User,
    /// The agent's model.
    Agent,
}

/// A change of the task list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// One task was added or changed.
    One {
        /// The task's id.
        id: String,
        /// Done or not; `None` when it was deleted.
        done: Option<bool>,
    },
    /// The whole list was written anew.
    All {
        /// Completed.
        done: u32,
        /// In all.
        total: u32,
    },
}

/// What runs in the background of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundKind {
    /// A shell command.
    Shell,
    /// A subagent.
    Subagent,
    /// Not said which.
    Unknown,
}

/// How a session comes from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lineage {
    /// `--fork-session`, `codex fork`.
    Fork,
    /// `/branch`.
    Branch,
    /// Spawned as a subagent.
    Subagent,
}
