//! What `lamp doctor` found.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Everything that was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct Doctor {
    /// Version that looked.
    pub version: String,
    /// When.
    pub at_ms: i64,
    /// Whether the engine itself looked; else nothing runs, or it does not answer.
    pub is_running: bool,
    /// What was found, the parts of Lamplight itself first.
    pub checks: Vec<DoctorCheck>,
    /// What was put right before, a sentence each.
    pub repaired: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DoctorCheck {
    /// Stable word for what was looked at: `data`, `database`, `engine`, `ports`, `claude-code`, `hooks`, …; several
    /// checks may share one.
    pub id: String,
    /// The same for a person.
    pub about: String,
    /// How it is.
    pub state: DoctorState,
    /// What was found, a sentence; never a secret, never transcript text.
    pub message: String,
    /// What to do, where something is to be done.
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[ts(export)]
#[serde(rename_all = "snake_case")]
pub enum DoctorState {
    /// As it should be.
    Ok,
    /// It works in part, or may be wrong.
    Warn,
    /// It does not work.
    Fail,
}
