//! What the modules of the agents are asked, and what they answer.

use lamplight_model::view::SetupTelemetry;

use super::hooks::Installed;
use super::places::Places;
use super::text::Entry;

/// What an agent's settings should have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want<'a> {
    pub places: &'a Places,
    /// The hook it runs.
    pub command: &'a str,
    /// Whether hooks are to be installed.
    pub hooks: bool,
    /// Whether telemetry is to be switched on.
    pub telemetry: bool,
}

/// What an agent's settings have.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    pub hooks: Installed,
    /// Events wanted.
    pub wanted: u32,
    /// Whether the person accepted the hooks, where the agent asks.
    pub trusted: Option<bool>,
    pub telemetry: Option<SetupTelemetry>,
    pub notes: Vec<String>,
}

/// A text with what is wanted in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edited {
    pub text: String,
    /// What was added, for taking it out again.
    pub entries: Vec<Entry>,
    /// What was done besides hooks and telemetry.
    pub why: Vec<String>,
}
