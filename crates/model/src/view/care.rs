//! What a person sets, and how what is kept of a session is let go or passed on.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::attention::CauseKind;

/// The settings that hold, as the settings file says them or by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Settings {
    /// The settings file, there or not; `null` when nothing says where it would be.
    pub file: Option<String>,
    /// What in the file is not understood, each with its line.
    pub problems: Vec<String>,
    /// When and how the person is told.
    pub notify: NotifySettings,
    /// `[sessions] idle_minutes`: 1 to 43,200.
    pub idle_minutes: u32,
    /// `[sessions] resume_max_hours`: 1 to 87,600.
    pub resume_max_hours: u32,
    /// Folders that are read, the agents' own first.
    pub roots: Vec<RootView>,
    /// `[git] status`: whether worktrees are looked at.
    pub git_status: bool,
    /// `[terminals] find`: whether terminals of sessions are looked for, so that one can be brought to the front.
    pub find_terminals: bool,
    /// `[store] durable`: wait for the disk with every commit.
    pub durable: bool,
    /// `[store] max_bytes`: size of the database beyond which the oldest spans go.
    pub max_bytes: u64,
    /// `[store] min_free_bytes`: room on the disk below which no telemetry is taken in.
    pub min_free_bytes: u64,
    /// Collector that telemetry is passed on to, if any; never with its headers.
    pub forward: Option<String>,
    /// Folder of Lamplight's own data.
    pub data_dir: String,
    /// `[window] strip`: whether the strip is shown, a small window above the others.
    pub strip: bool,
}

/// When and how the person is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct NotifySettings {
    /// Whether anything is sent.
    pub enabled: bool,
    /// Whether notifications show what was asked or said.
    pub previews: bool,
    /// Whether a sound is asked of the notification server.
    pub sound: bool,
    /// Local times of day between which nothing is sent.
    pub quiet: Option<QuietHours>,
    /// Whether what is blocked is told in quiet hours too.
    pub quiet_lets_blocked_through: bool,
    /// Kinds nothing is sent for.
    pub muted: Vec<CauseKind>,
    /// Projects nothing is sent for, and whose sessions do not call.
    pub muted_projects: Vec<String>,
    /// A program and its arguments, run for each cause that is told.
    pub command: Vec<String>,
}

/// Local times of day, `HH:MM`; over midnight when `from` is the later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct QuietHours {
    /// From when.
    pub from: String,
    /// Until when.
    pub to: String,
}

/// A folder that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RootView {
    /// Whose: `claude-code`, `codex`, …
    pub agent: String,
    /// Where; with `~` for the home when the person wrote it so.
    pub path: String,
    /// The agent uses it by itself; others come from `[[roots]]` and can be taken out.
    pub is_default: bool,
    /// The folder is there now.
    pub exists: bool,
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Forgotten {
    /// Sessions, `agent:session_id`; at most 100 of them.
    pub sessions: Vec<String>,
    /// How many sessions in all.
    pub total: u64,
    /// Sessions left alone because a process runs them.
    pub running: u64,
    /// Nothing was done yet.
    pub is_dry_run: bool,
}

/// What can be sent to whoever works on Lamplight: no name, path, prompt or answer of the person is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Report {
    /// Plain text, Markdown.
    pub text: String,
}
