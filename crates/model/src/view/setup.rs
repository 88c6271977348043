//! Set-up: what it would change in other programs' settings, what it changed, and who is connected.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// An agent that set-up knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum SetupAgent {
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
}

impl SetupAgent {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 3] = [Self::ClaudeCode, Self::Codex, Self::Gemini];

    /// The word on the wire and in arguments.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
        }
    }

    /// The agent of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.word() == word)
    }

    /// Its name on screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
        }
    }
}

/// What set-up would change, shown before anything is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupPlan {
    /// Names exactly these changes to exactly these files; apply takes it, and refuses when it fits no longer.
    pub digest: String,
    /// Files that would change, in the order they are written; empty when there is nothing to do.
    pub changes: Vec<SetupChange>,
    /// What was found of each agent asked for.
    pub agents: Vec<SetupAgentState>,
    /// What the person should know or do besides, a sentence each.
    pub notes: Vec<String>,
}

/// One file that would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupChange {
    /// Whose settings it is; `null` for files of shells and of Lamplight.
    pub agent: Option<SetupAgent>,
    /// The file.
    pub path: String,
    /// Where the link leads, when the file is one; that is what is written, the link stays.
    pub links_to: Option<String>,
    /// Whether it is there.
    pub exists: bool,
    /// Why, a sentence each.
    pub why: Vec<String>,
    /// The lines that come and go, with a few around them. Values that look secret are shown as `…`.
    pub lines: Vec<SetupLine>,
}

/// One line of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupLine {
    /// What becomes of it.
    pub kind: SetupLineKind,
    /// The line, without its end.
    pub text: String,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
pub enum SetupLineKind {
    /// It stays.
    Same,
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// Lines that stay are left out here.
    Gap,
}

/// How far an agent is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
pub enum SetupStatus {
    /// The agent has no folder: it is not installed, or was never started.
    Absent,
    /// Nothing of ours is in its settings.
    NotConnected,
    /// Some of it is, or leads to a `lamp` that is gone.
    Partly,
    /// All of it is.
    Connected,
    /// Its settings cannot be read or understood; they are left alone.
    Unreadable,
}

/// Where an agent sends its telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
pub enum SetupTelemetry {
    /// Nowhere.
    Off,
    /// Here.
    Here,
    /// Somewhere else, by the person's own settings; never overwritten.
    Elsewhere,
}

/// One agent as set-up finds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupAgentState {
    /// Which.
    pub agent: SetupAgent,
    /// Its name.
    pub name: String,
    /// How far it is connected.
    pub status: SetupStatus,
    /// Events it reports to us by hook.
    pub hooks: u32,
    /// Events it would report when fully connected; 0 where it has none that we read.
    pub hooks_wanted: u32,
    /// Whether its hooks may run: `false` when the person has not yet accepted them, `null` where nothing need be.
    pub hooks_trusted: Option<bool>,
    /// Where its telemetry goes; `null` when that cannot be told.
    pub telemetry: Option<SetupTelemetry>,
    /// A file that set-up wrote was changed by somebody else since.
    pub edited_since: bool,
    /// What is wrong or to be done, a sentence each.
    pub notes: Vec<String>,
}

/// A shell as set-up finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupShell {
    /// `bash`, `zsh` or `fish`.
    pub shell: String,
    /// The file that would load the wrapper.
    pub path: String,
    /// Whether it does.
    pub connected: bool,
}

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupState {
    /// Every agent there is a set-up for.
    pub agents: Vec<SetupAgentState>,
    /// Shells that have a start-up file.
    pub shells: Vec<SetupShell>,
    /// The `lamp` that hooks would call; `null` when it was not found.
    pub lamp: Option<String>,
    /// Whether there is something to undo.
    pub can_undo: bool,
    /// What is wrong besides, a sentence each.
    pub notes: Vec<String>,
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
pub enum SetupOutcome {
    /// It was written as the plan said.
    Written,
    /// It is again, byte for byte, what it was before.
    Restored,
    /// It was not there before, and is not there again.
    Removed,
    /// Somebody changed it since: our entries were taken out, the rest stayed.
    TakenOut,
    /// It was left as it is, because it is not ours to change; the note says why.
    Kept,
    /// It could not be dealt with and is as it was; the note says why.
    Failed,
}

/// One file that set-up or its undo dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupFile {
    /// The file.
    pub path: String,
    /// What became of it.
    pub outcome: SetupOutcome,
    /// What else there is to say of it.
    pub note: Option<String>,
}

/// What set-up or its undo did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SetupDone {
    /// File by file.
    pub files: Vec<SetupFile>,
    /// What the person should know or do now, a sentence each.
    pub notes: Vec<String>,
}

/// What set-up is asked for; nothing of it names a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
#[ts(export)]
pub struct SetupChoices {
    /// Agents to connect; empty for all there are.
    pub agents: Vec<SetupAgent>,
    /// Have them report events by hook.
    pub hooks: bool,
    /// Have them send telemetry here.
    pub telemetry: bool,
    /// Have shells name their terminals.
    pub shell: bool,
}

impl Default for SetupChoices {
    fn default() -> Self {
        Self { agents: Vec::new(), hooks: true, telemetry: true, shell: true }
    }
}
