//! What is known of a session: the words for its states, and the state folded from its facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::event::{Ask, BackgroundKind, Failure, HiddenKind, Lineage, Usage};
use crate::hook::HookWitness;
use crate::ids::{FactId, SessionId, Timestamp};
use crate::sdk::Sdk;
use crate::telemetry::{Reported, Telemetry};
use crate::view::Terminal;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        #[ts(export)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
        impl $name {
            /// The word used on the wire, in the database and in TypeScript.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            /// Reads the word back.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Coding session or service.
    SessionKind {
        /// A coding agent's session.
        Coding = "coding",
        /// A program instrumented with OpenTelemetry.
        Sdk = "sdk",
    }
}

words! {
    /// How a session is driven.
    EntryKind {
        /// A person in a terminal.
        Interactive = "interactive",
        /// One run without a person (`claude -p`, `codex exec`).
        Print = "print",
        /// A background job (`claude --bg`).
        Background = "background",
        /// An SDK or an editor.
        Sdk = "sdk",
    }
}

words! {
    /// Where a label comes from, strongest first.
    LabelSource {
        /// Configured for this id.
        ConfigExact = "config_exact",
        /// Configured for ids that begin so.
        ConfigPrefix = "config_prefix",
        /// Renamed in Lamplight.
        Rename = "rename",
        /// Named by the person inside the agent.
        AgentUser = "agent_user",
        /// `service.instance.id` on the wire.
        InstanceId = "instance_id",
        /// Titled by the agent.
        AgentTitle = "agent_title",
        /// The first prompt.
        FirstPrompt = "first_prompt",
        /// The end of the id.
        ShortId = "short_id",
    }
}

words! {
    /// What a session is doing.
    TurnState {
        /// The process runs and nothing was asked of it yet.
        Starting = "starting",
        /// The model or a tool works on a turn.
        Working = "working",
        /// A tool waits for permission.
        AwaitingPermission = "awaiting_permission",
        /// A question, plan or form waits for an answer.
        AwaitingAnswer = "awaiting_answer",
        /// The turn is over; the person is next.
        AwaitingReply = "awaiting_reply",
        /// The turn is over; its shells or subagents still run.
        Background = "background",
        /// The person stopped the turn.
        Interrupted = "interrupted",
        /// An error ended the turn.
        Errored = "errored",
        /// Orderly end.
        Ended = "ended",
        /// The process died without one.
        Crashed = "crashed",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

words! {
    /// Kinds of need.
    WaitKind {
        /// To run a tool.
        Permission = "permission",
        /// A question with options.
        Question = "question",
        /// Approval of a plan.
        Plan = "plan",
        /// A form of an MCP server, or another input.
        Elicitation = "elicitation",
        /// To sign in.
        SignIn = "sign_in",
        /// An error ended the turn.
        Error = "error",
        /// A limit ended the turn.
        Limit = "limit",
        /// A reply.
        Reply = "reply",
    }
}

words! {
    /// A label of age.
    Lifecycle {
        /// Up to 5 minutes since the last activity.
        Active = "active",
        /// Up to the idle window (4 h unless configured).
        Idle = "idle",
        /// Older.
        Stale = "stale",
        /// Its end was told: by a close, by a hook, or by the agent itself as it left.
        Closed = "closed",
        /// A session-wrapping span with an end later than its start was received.
        Completed = "completed",
    }
}

words! {
    /// Whether a process runs the session.
    LivenessState {
        /// A validated process does.
        Alive = "alive",
        /// None does.
        Dead = "dead",
        /// Nobody could look.
        Unknown = "unknown",
    }
}

words! {
    /// Who spoke.
    Speaker {
        /// The person.
        User = "user",
        /// The agent.
        Assistant = "assistant",
    }
}

words! {
    /// Whether a session can be resumed.
    ResumeState {
        /// Transcript and directory are there.
        Ready = "ready",
        /// It runs already.
        Running = "running",
        /// Older than the configured maximum; the agent may not find it.
        Stale = "stale",
        /// The transcript is gone.
        NoTranscript = "no_transcript",
        /// The directory is gone.
        NoDirectory = "no_directory",
        /// No safe command can be made.
        Unsupported = "unsupported",
    }
}

words! {
    /// Why a resume failed, by what the agent said.
    ResumeFailure {
        /// It has no such conversation ("No conversation found").
        NotFound = "not_found",
        /// It has it and does not take it up any more ("session expired").
        Expired = "expired",
        /// It ended with an error at once and said something else.
        Other = "other",
    }
}

impl ResumeFailure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NotFound, Self::Expired, Self::Other];
}

/// State of a session, folded from its facts. Contradictions between sources are kept, and resolved by
/// [`crate::assess`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionState {
    /// One per main transcript file, keyed by the file's row; nearly always exactly one. A copy of a transcript under a
    /// second path is a second entry, so that neither the order nor the number of copies changes the result.
    pub mains: BTreeMap<i64, Transcript>,
    /// One per subagent transcript, keyed by the agent's own subagent id.
    pub subagents: BTreeMap<String, Subagent>,
    /// Processes that run or ran it, by pid.
    pub processes: BTreeMap<u32, Process>,
    /// Writer lock (Codex).
    pub lock: Option<Lock>,
    /// What hooks said.
    pub hooks: HookWitness,
    /// Sums of owned usage, by model as written.
    pub usage: BTreeMap<String, ModelSum>,
    /// Owned tool calls, subagents included.
    pub tool_calls: u32,
    /// Owned prompts.
    pub prompts: u32,
    /// Title found outside the transcript (Codex `session_index.jsonl`, registry name given by the person).
    pub user_title: Option<Dated<String>>,
    /// Explicit close.
    pub closed_at: Option<Timestamp>,
    /// Activity known at that moment which is dated later than it: a clock that runs ahead reopens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_over: Option<Timestamp>,
    /// The person put it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// Activity known at that moment which is dated later than it, as with a close.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_over: Option<Timestamp>,
    /// The session that took its place in the same process.
    pub superseded_by: Option<Dated<SessionId>>,
    /// Where its latest process had its terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<Seat>,
    /// The worktree its directory was seen to lie in last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree: Option<SeenWorktree>,
    /// The latest resume that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_failed: Option<Dated<ResumeFailure>>,
    /// What OpenTelemetry says about it.
    #[serde(skip_serializing_if = "Telemetry::is_empty")]
    pub telemetry: Telemetry,
    /// What records of its service say, for a session of one.
    #[serde(skip_serializing_if = "Sdk::is_empty")]
    pub sdk: Sdk,
}

/// Where the terminal of a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The process.
    pub pid: u32,
    /// Equal for processes that ran in one pane, tab or window, one after the other.
    pub pane: FactId,
    /// What shows it.
    pub terminal: Terminal,
    /// When the process was first found there.
    pub since: Timestamp,
}

/// A value and when it was learnt; a later one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<T> {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: T,
}

/// Usage of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSum {
    /// Responses.
    pub responses: u32,
    /// Sums.
    pub usage: Usage,
}

/// What one transcript file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transcript {
    /// Time of the first record.
    pub first_at: Option<Timestamp>,
    /// Time of the latest record.
    pub last_at: Option<Timestamp>,
    /// Working directory, latest wins.
    pub cwd: Option<String>,
    /// The directory of the first record: where the transcript's folder is, and where `--resume` finds it.
    pub home_cwd: Option<String>,
    /// Where it worked, when its client removed that and took it to the present directory, until it goes on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked_in: Option<String>,
    /// When it was taken there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relocated_at: Option<Timestamp>,
    /// Git branch.
    pub branch: Option<String>,
    /// Git root, where said.
    pub git_root: Option<String>,
    /// Client version.
    pub version: Option<String>,
    /// How it is driven.
    pub entry: Option<EntryKind>,
    /// Model of the latest response, else of the settings.
    pub model: Option<String>,
    /// Why it is never a row.
    pub hidden: Option<HiddenKind>,
    /// First prompt of a person.
    pub first_prompt: Option<String>,
    /// Latest prompt of a person.
    pub last_prompt: Option<String>,
    /// What the agent said last.
    pub last_said: Option<String>,
    /// Who spoke last, and when.
    pub last_speaker: Option<(Speaker, Timestamp)>,
    /// Title by the person.
    pub user_title: Option<String>,
    /// Title by the model.
    pub agent_title: Option<String>,
    /// Where the turn stands.
    pub turn: Turn,
    /// Calls without an answer, oldest first; at most 64 are kept.
    pub open_calls: Vec<OpenCall>,
    /// Tasks by id, done or not.
    pub tasks: BTreeMap<String, bool>,
    /// A task list that is written as a whole.
    pub task_totals: Option<(u32, u32)>,
    /// Background work that was started and not reported back.
    pub background: BTreeMap<String, (BackgroundKind, Timestamp)>,
    /// Tokens in the context at the latest main-thread response.
    pub context_used: Option<u64>,
    /// Window as the client said it.
    pub context_window: Option<u64>,
    /// API errors that ended a turn.
    pub errors: u32,
    /// Agent's own cost total.
    pub reported_cost: Option<f64>,
    /// Responses whose record says what they cost, by model as written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reported: BTreeMap<String, Reported>,
    /// Where it comes from.
    pub parent: Option<(SessionId, Lineage)>,
    /// Where it went on.
    pub continued_in: Option<SessionId>,
    /// A person's or `-p`'s prompt was seen.
    pub prompted: bool,
    /// A model response was seen.
    pub responded: bool,
}

/// Where the turn of a transcript stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Phase.
    pub phase: Phase,
    /// When the phase began.
    pub since: Timestamp,
    /// When the turn began: the prompt's time.
    pub started_at: Option<Timestamp>,
    /// The error that ended it.
    pub failure: Option<Failure>,
    /// Retry under way: attempt, attempts in all.
    pub retry: Option<(u32, u32)>,
    /// Number of turns begun; a new turn is a new cause.
    pub number: u32,
    /// Tokens in the context at the first response of the turn that said so; kept until the next turn.
    pub baseline: Option<u64>,
}

words! {
    /// Phase of a turn, by the transcript alone.
    Phase {
        /// No turn yet.
        None = "none",
        /// Prompt, response or tool result seen; no end.
        Working = "working",
        /// Ended by itself.
        Ended = "ended",
        /// Stopped by the person.
        Interrupted = "interrupted",
        /// Ended by an error.
        Failed = "failed",
    }
}

#[expect(
    clippy::derivable_impls,
    reason = "the enum is written by a macro whose enums have no default in common"
)]
impl Default for Phase {
    fn default() -> Self {
        Self::None
    }
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    /// Hash of the call id.
    pub key: FactId,
    /// Tool name.
    pub name: String,
    /// What it acts on.
    pub target: Option<String>,
    /// What it asks of the person.
    pub ask: Option<Ask>,
    /// Runs with elevated rights.
    pub escalated: bool,
    /// When it was called.
    pub at: Timestamp,
}

/// A subagent, by its own transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subagent {
    /// First record.
    pub first_at: Option<Timestamp>,
    /// Latest record.
    pub last_at: Option<Timestamp>,
    /// Said to be finished (meta file, notification, end of its turn).
    pub finished: bool,
    /// Its type.
    pub kind: Option<String>,
    /// Its task.
    pub description: Option<String>,
    /// Calls without an answer, oldest first; at most 8 are kept.
    pub open_calls: Vec<OpenCall>,
}

/// A process of a session, as its registry file or the process table says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// What the agent's registry file said last.
    pub entry: RegistryEntry,
    /// Whether pid and start time were found to match.
    pub validity: Validity,
    /// When the file was read last.
    pub observed_at: Timestamp,
    /// When the status last changed (the agent's clock, clamped).
    pub status_since: Timestamp,
    /// Status before a dialog of the person's own was opened.
    pub before_dialog: Option<RegistryStatus>,
    /// It was seen busy: a turn ran, whatever the transcript shows.
    pub worked: bool,
    /// The registry file was removed.
    pub removed_at: Option<Timestamp>,
    /// The process ended.
    pub exited_at: Option<Timestamp>,
    /// The file names another session now; the successor.
    pub moved_to: Option<SessionId>,
    /// When it came here from another session: what this one says of earlier was not its doing.
    #[serde(default)]
    pub joined_at: Option<Timestamp>,
}

/// Contents of a registry file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryEntry {
    /// Working directory.
    pub cwd: Option<String>,
    /// How it is driven.
    pub kind: EntryKind,
    /// Name.
    pub name: Option<String>,
    /// The person gave the name.
    pub named_by_user: bool,
    /// Status; `None` while the client starts.
    pub status: Option<RegistryStatus>,
    /// Client version.
    pub version: Option<String>,
    /// A pre-warmed spare.
    pub spare: bool,
    /// When the process started, by the agent's clock.
    pub started_at: Option<Timestamp>,
}

/// Status of a registry file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryStatus {
    /// No turn runs.
    Idle,
    /// A turn runs, or background subagents do.
    Busy,
    /// The turn is over; a background shell runs.
    Shell,
    /// Something is asked; the word is the agent's (`permission prompt`, `input needed`, `dialog open`, …).
    Waiting(String),
    /// A word this version does not know.
    Other(String),
}

/// Whether a registry file speaks of a process that runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// Pid alive, start time equal, same pid namespace.
    Valid,
    /// Pid gone, or it belongs to another process now.
    Dead,
    /// Written in another pid namespace or on another machine: nobody can look.
    Foreign,
}

/// The worktree a directory was seen to lie in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenWorktree {
    /// Absolute path.
    pub directory: String,
    /// Absolute path of the worktree's root.
    pub root: String,
}

/// Writer lock of a thread (Codex), read from the kernel's lock table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Pid that holds it; `None` when the file is there and nobody does.
    pub holder: Option<u32>,
    /// The lock file exists.
    pub present: bool,
    /// When that was seen first.
    pub since: Timestamp,
    /// It was held at some time while the engine looked.
    pub was_held: bool,
    /// When its holder was seen to take it.
    #[serde(default)]
    pub taken_at: Option<Timestamp>,
    /// When it was seen that nobody held it, before its holder took it: a turn that is older was another process's.
    #[serde(default)]
    pub free_at: Option<Timestamp>,
    /// It stood without a holder for a while before it was removed: somebody cleaned up after a crash.
    #[serde(default)]
    pub left_behind: bool,
}

impl Lock {
    /// The same, when the clock that dated it has been set back to `now`: what follows comes after it.
    #[must_use]
    pub fn not_after(self, now: Timestamp) -> Self {
        Self {
            since: self.since.min(now),
            taken_at: self.taken_at.map(|at| at.min(now)),
            free_at: self.free_at.map(|at| at.min(now)),
            ..self
        }
    }
}
