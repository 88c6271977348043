//! What records of an instrumented service say of a session they name. They tell of what is over, and never of what runs:
//! a session of a service is never *working*, only active, completed, or silent.

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::session::Dated;

/// Folded records. Sums of tokens and money stand in [`crate::telemetry::Telemetry::unwritten`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sdk {
    /// Begin of the earliest record; moves back when an earlier one comes late.
    pub first_at: Option<Timestamp>,
    /// End of the latest record.
    pub last_at: Option<Timestamp>,
    /// Service that named it first.
    pub service: Option<Dated<String>>,
    /// Model it called last.
    pub model: Option<Dated<String>>,
    /// End of the latest span that wraps the session: an agent or a workflow at work, longer than nothing.
    pub wrapped_until: Option<Timestamp>,
    /// Calls of models.
    pub calls: u32,
    /// Calls of tools.
    pub tool_calls: u32,
    /// Of both, those that failed.
    pub errors: u32,
}

impl Sdk {
    /// Whether nothing was ever told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what was told of a stretch of time.
    pub fn seen(&mut self, from: Timestamp, to: Timestamp) {
        self.first_at = Some(self.first_at.map_or(from, |at| at.min(from)));
        self.last_at = self.last_at.max(Some(to));
    }

    /// When it was completed: a wrapping span ended, and nothing is dated later. By the records' own time, so that one
    /// that comes late reopens nothing, and one that is later does, in whichever order the two arrive.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        self.wrapped_until.filter(|end| self.last_at.is_none_or(|last| last <= *end))
    }
}

/// Takes over a word of which the later one holds; of two of one moment the greater, so that no order matters.
pub fn later(known: &mut Option<Dated<String>>, at: Timestamp, value: String) {
    if known.as_ref().is_none_or(|k| (k.at, &k.value) < (at, &value)) {
        *known = Some(Dated { at, value });
    }
}

/// Takes over a word of which the first holds, likewise.
pub fn earlier(known: &mut Option<Dated<String>>, at: Timestamp, value: String) {
    if known.as_ref().is_none_or(|k| (at, &value) < (k.at, &k.value)) {
        *known = Some(Dated { at, value });
    }
}
