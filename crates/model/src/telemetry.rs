//! What OpenTelemetry says about a session of a coding agent: cost by the agent's own account, failed attempts, and what
//! the user declared in the agent's environment. What the session is doing it says last of all witnesses ([`Told`]).

mod meter;
mod told;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Usage;
use crate::ids::{SessionId, Timestamp};
use crate::session::Dated;

pub use meter::{Meter, Meters, TokenKind};
pub use told::{Told, ToldAgent, ToldFailure, ToldTool, Word};

/// Folded telemetry of a session. Sums are kept by model as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// Project by `service.namespace`; a later one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Dated<String>>,
    /// Terminal by `service.instance.id`; a later one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Dated<String>>,
    /// Run it belongs to; the first word holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Dated<String>>,
    /// Session that spawned it; the first word holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Dated<SessionId>>,
    /// Owned responses of transcripts for which a cost was reported.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reported: BTreeMap<String, Reported>,
    /// Requests that stand in no transcript: titles, compaction, and everything of a session without one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unwritten: BTreeMap<String, Unwritten>,
    /// Failed attempts.
    pub failures: u32,
    /// The latest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Attempt>,
    /// Time of the latest request or failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// What metrics measured.
    #[serde(skip_serializing_if = "Meters::is_empty")]
    pub meters: Meters,
    /// What was told of turns and tools.
    #[serde(skip_serializing_if = "Told::is_empty")]
    pub told: Told,
}

/// Sums of responses whose cost was reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reported {
    /// How many.
    pub responses: u32,
    /// Their usage, as in the transcript.
    pub usage: Usage,
    /// Their cost in billionths of a US dollar.
    pub cost_nano: u64,
}

/// Sums of requests that stand in no transcript.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unwritten {
    /// How many.
    pub responses: u32,
    /// Their usage.
    pub usage: Usage,
    /// Reported cost in billionths of a US dollar.
    pub cost_nano: u64,
    /// How many it was reported for.
    pub priced: u32,
    /// The part of the usage for which no cost was reported.
    pub unpriced: Usage,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// HTTP status, where said.
    pub status: Option<u16>,
    /// Which attempt, 1-based, where said.
    pub attempt: Option<u32>,
    /// It was the last one.
    pub exhausted: bool,
}

impl Telemetry {
    /// Whether nothing was ever received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over a name that may come late and in any order; `later` says which of two holds, and of two of one moment
    /// the greater does.
    pub fn resolve<T: PartialOrd>(known: &mut Option<Dated<T>>, found: Option<Dated<T>>, later: bool) {
        let Some(found) = found else { return };
        let takes = known.as_ref().is_none_or(|k| {
            if later {
                (k.at, &k.value) < (found.at, &found.value)
            } else {
                (found.at, &k.value) < (k.at, &found.value)
            }
        });
        if takes {
            *known = Some(found);
        }
    }
}
