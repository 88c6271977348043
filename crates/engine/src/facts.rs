//! What travels from the sources to the writer.

use std::path::PathBuf;

use lamplight_model::event::Event;
use lamplight_model::hook::Hook;
use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{RegistryEntry, Validity};
use serde::{Deserialize, Serialize};

use crate::sources::opencode::Trouble;

/// Everything the writer takes in; one queue, one order.
#[derive(Debug)]
pub enum Input {
    /// Records appended to one transcript.
    Batch(FileBatch),
    /// A transcript is gone from where it was (deleted; a move arrives as a batch under the new path).
    FileGone {
        /// Where it was.
        path: PathBuf,
    },
    /// A subagent's meta file was read.
    SubagentMeta {
        /// The session it belongs to.
        session: SessionId,
        /// The subagent's own id.
        subagent: String,
        /// Its type.
        kind: Option<String>,
        /// Its task.
        description: Option<String>,
        /// Said to be finished.
        finished: bool,
    },
    /// A registry file was read and checked.
    Registry(RegistryUpdate),
    /// A registry file is gone (already debounced against the flicker of `-p` by the fold, not by the source).
    RegistryRemoved {
        /// Whose registry.
        agent: Agent,
        /// Which process.
        pid: u32,
        /// Session the file named last: two roots may have files of one pid.
        session: SessionId,
        /// When it was seen.
        at: Timestamp,
    },
    /// An awaited process ended.
    ProcessExited {
        /// Which.
        pid: u32,
        /// When.
        at: Timestamp,
    },
    /// A writer lock changed (Codex).
    Lock {
        /// Thread it belongs to.
        session: SessionId,
        /// The file is there.
        present: bool,
        /// Who holds it by the kernel's lock table; 0 where somebody out of sight does or may (another pid namespace, an
        /// unreadable table), so that nobody can say; `None` where nobody does.
        holder: Option<u32>,
        /// When it was seen.
        at: Timestamp,
    },
    /// A title from outside the transcript (Codex `session_index.jsonl`).
    Title {
        /// Whose.
        agent: Agent,
        /// Which session.
        session: SessionId,
        /// The title.
        text: String,
        /// When it was given.
        at: Timestamp,
    },
    /// Records of a transcript that was read again, whose responses, calls and prompts a forgotten session owned.
    Reclaimed {
        /// The session whose transcript it is.
        session: SessionKey,
        /// The records.
        events: Vec<Event>,
    },
    /// A hook came.
    Hook(HookFact),
    /// Counts and troubles of a source.
    Source(SourceReport),
    /// A request of an OpenTelemetry exporter was decoded.
    Telemetry(Box<crate::sources::otlp::Batch>),
    /// Where OTLP is received, or why it is not.
    Receiver(Receiver),
    /// A worktree was looked at.
    Worktree(Box<WorktreeLook>),
    /// The terminal of a process was looked for.
    Terminal(Box<TerminalLook>),
    /// Somebody asked whether the terminal of a session is what the person has before them.
    Front {
        /// `agent:session_id`.
        session: String,
        /// Whether it is; `None` where that cannot be known.
        is_in_front: Option<bool>,
        /// When.
        at: Timestamp,
    },
    /// How forwarding goes; `None` when it is off.
    Forwarding(Option<Box<lamplight_model::view::SourceView>>),
    /// All registries and locks have been listed and sent: what is not alive by now has no process.
    LiveListed {
        /// When.
        at: Timestamp,
        /// Agents whose registry or lock folder is there.
        registries: Vec<Agent>,
    },
    /// A listing of everything is complete, and everything it found has been sent.
    Listed {
        /// When.
        at: Timestamp,
        /// The latest request it answers, by its number; 0 for none.
        asked: u64,
    },
}

/// Where OTLP is received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receiver {
    /// Addresses that are listened on.
    pub listening: Vec<String>,
    /// Addresses that other programs hold, so that what is sent there does not arrive here.
    pub taken: Vec<String>,
}

/// What a look at a worktree found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorktreeLook {
    /// Its root.
    pub root: PathBuf,
    /// The result.
    pub finding: lamplight_model::worktree::Finding,
    /// Equal for two looks at the same uncommitted work.
    pub mark: u128,
    /// When it began: what was done before that, it shows.
    pub began: Timestamp,
    /// When it was done.
    pub at: Timestamp,
}

/// What a look for the terminal of a process found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalLook {
    /// The session it runs.
    pub session: SessionKey,
    /// The process.
    pub pid: u32,
    /// Where it is; `None` when it has no terminal, or is gone.
    pub found: Option<crate::terminals::Located>,
    /// When.
    pub at: Timestamp,
}

/// Records appended to one transcript, in file order.
#[derive(Debug)]
pub struct FileBatch {
    /// The file.
    pub file: FileId,
    /// Where it is now.
    pub path: PathBuf,
    /// What it is the transcript of.
    pub role: FileRole,
    /// The file was truncated or replaced: what it said before is void.
    pub reset: bool,
    /// First byte these records come from; of a session in a database the revision that was read before.
    pub from: u64,
    /// Byte after the last complete line, or the revision; the cursor once this is committed.
    pub to: u64,
    /// Decoder state after the last line, as JSON; opaque to the writer, stored with the cursor.
    pub carry: String,
    /// The facts.
    pub events: Vec<Event>,
    /// Lines that could not be used.
    pub issues: Vec<Issue>,
    /// Moment of reading.
    pub read_at: Timestamp,
}

/// A hook, as it lay in the spool.
#[derive(Debug, Clone, PartialEq)]
pub struct HookFact {
    /// Its file, removed once what it says is stored.
    pub file: PathBuf,
    /// Whose.
    pub agent: Agent,
    /// Which session.
    pub session: SessionId,
    /// What it says.
    pub hook: Hook,
}

/// Identity of a file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
}

/// What a file is the transcript of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileRole {
    /// Whose.
    pub agent: Agent,
    /// Which session.
    pub session: SessionId,
    /// The subagent's id; `None` for the main transcript.
    pub subagent: Option<String>,
}

/// Where reading of a file goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Identity the cursor belongs to.
    pub file: FileId,
    /// Where the file was.
    pub path: PathBuf,
    /// What it is.
    pub role: FileRole,
    /// Byte after the last complete line read.
    pub offset: u64,
    /// Decoder state.
    pub carry: String,
}

/// One registry file, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryUpdate {
    /// Whose registry.
    pub agent: Agent,
    /// Process it speaks of.
    pub pid: u32,
    /// Session it names.
    pub session: SessionId,
    /// What it says.
    pub entry: RegistryEntry,
    /// Whether the process was found.
    pub validity: Validity,
    /// When the status changed, by the file (`statusUpdatedAt`, else `updatedAt`), clamped to the moment of reading.
    pub status_at: Timestamp,
    /// Moment of reading.
    pub read_at: Timestamp,
}

/// A trouble with something read. Never carries transcript text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Kind.
    pub kind: IssueKind,
    /// File.
    pub path: Option<PathBuf>,
    /// Byte offset of the line.
    pub at: Option<u64>,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    /// A line is no JSON object.
    BadJson,
    /// A line is no UTF-8.
    BadUtf8,
    /// A line over 16 MB; its type, ids and usage were read in a stream.
    LongLine,
    /// A directory, FIFO, socket or device where a transcript should be.
    NotAFile,
    /// Permission denied or another I/O error.
    Unreadable,
    /// A link that leads in a circle.
    LinkLoop,
    /// A link that leaves the configured root.
    OutsideRoot,
    /// A file name or record that is no session id.
    BadId,
    /// A time in the future; clamped to the moment of reading.
    FutureTime,
    /// A registry file that could not be parsed (half written); the old value is kept.
    HalfWritten,
    /// The system's limit of file watches is reached; live files are looked at every 2 s.
    WatchLimit,
    /// A file in the spool that is no hook; it is removed.
    BadHook,
    /// More hooks waited than the spool holds; the oldest were removed, or later ones not kept.
    SpoolFull,
    /// The kernel dropped file events; everything was listed again.
    WatchOverflow,
    /// The database refused a write; nothing is read any more.
    StoreFailed,
    /// The sources ended by a fault of ours, or could not be started.
    SourcesFailed,
    /// A compressed transcript (`.jsonl.zst`), which is not read.
    Compressed,
    /// A telemetry record that could not be read, or is over 1 MiB.
    BadRecord,
    /// A service beyond the number that is kept.
    TooManyServices,
    /// A span of a trace that has as many as are kept.
    LongTrace,
    /// A span that was let go to keep the database within its bound.
    LetGo,
    /// It said otherwise than a source that is believed before it, after both had the time to agree.
    Overruled,
}

/// Counts of a source since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// Which source, for example `claude-code transcripts`.
    pub name: &'static str,
    /// Folder.
    pub path: PathBuf,
    /// The folder is there and watched.
    pub present: bool,
    /// Files known now.
    pub files: u64,
    /// Troubles since the last report.
    pub issues: Vec<Issue>,
    /// Its size, where it is not read byte by byte.
    pub bytes: Option<u64>,
    /// What keeps all of it from being read now.
    pub trouble: Option<Trouble>,
}

impl FileBatch {
    /// Bytes that were read for it; a session in a database is not counted in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        if self.role.agent == Agent::OpenCode { 0 } else { self.to.saturating_sub(self.from) }
    }
}

/// Id of a request a Claude Code session made of its model, as transcript and telemetry both name it.
#[must_use]
pub fn request_id(native: &str) -> FactId {
    fact_id(Agent::ClaudeCode, "request", &[native])
}

/// Makes the 16-byte id of a fact from its native ids; the same on every machine and in every version.
#[must_use]
pub fn fact_id(agent: Agent, kind: &str, parts: &[&str]) -> FactId {
    let mut text = String::with_capacity(96);
    text.push_str(agent.as_str());
    text.push('\0');
    text.push_str(kind);
    for part in parts {
        text.push('\0');
        text.push_str(part);
    }
    FactId(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}
