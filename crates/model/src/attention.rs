//! Causes: why a session needs its person, since when, and what became of it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{FactId, Timestamp};
use crate::session::words;

/// Urgency. Serialised as the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[ts(export, type = "1 | 2 | 3")]
#[serde(try_from = "u8", into = "u8")]
pub enum Tier {
    /// It cannot go on without you.
    Blocked,
    /// The turn is over and the agent spoke last.
    YourTurn,
    /// Work may be lost.
    AtRisk,
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Blocked => 1,
            Tier::YourTurn => 2,
            Tier::AtRisk => 3,
        }
    }
}

impl TryFrom<u8> for Tier {
    type Error = String;
    fn try_from(n: u8) -> Result<Self, String> {
        match n {
            1 => Ok(Self::Blocked),
            2 => Ok(Self::YourTurn),
            3 => Ok(Self::AtRisk),
            _ => Err(format!("no tier {n}")),
        }
    }
}

words! {
    /// Why a session needs its person.
    CauseKind {
        /// A tool waits for permission.
        Permission = "permission",
        /// A question waits.
        Question = "question",
        /// A plan waits for approval.
        Plan = "plan",
        /// A form or another input waits.
        Elicitation = "elicitation",
        /// It needs its person to sign in.
        SignIn = "sign_in",
        /// A limit stopped it.
        Limit = "limit",
        /// An error stopped it.
        Error = "error",
        /// It awaits a reply.
        Reply = "reply",
        /// The person interrupted it and has not gone on.
        Interrupted = "interrupted",
        /// Its process died in the middle.
        Crashed = "crashed",
        /// Uncommitted work and no agent left.
        Uncommitted = "uncommitted",
    }
}

impl CauseKind {
    /// The tier a cause of this kind has.
    #[must_use]
    pub fn tier(self) -> Tier {
        match self {
            Self::Permission | Self::Question | Self::Plan | Self::Elicitation | Self::SignIn => {
                Tier::Blocked
            }
            Self::Limit | Self::Error | Self::Reply | Self::Interrupted | Self::Crashed => Tier::YourTurn,
            Self::Uncommitted => Tier::AtRisk,
        }
    }
}

/// A cause and what became of it. Stored; nothing of it is ever recomputed from the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Stable: made from session, kind and what raised it, so that a restart raises the same one again.
    pub id: FactId,
    /// Why.
    pub kind: CauseKind,
    /// Since when.
    pub since: Timestamp,
    /// Source that raised it: `registry`, `transcript`, `lock`, `process`.
    pub source: String,
    /// When it was cleared.
    pub cleared_at: Option<Timestamp>,
    /// By what.
    pub cleared_by: Option<ClearedBy>,
    /// When the person waved it away.
    pub dismissed_at: Option<Timestamp>,
    /// Until when it is put off.
    pub snoozed_until: Option<Timestamp>,
    /// It is put off until this is another one: the session's last activity in milliseconds, or a number that stands for
    /// what lies in the worktree. Of uncommitted work that was seen to (waved away, or put away with its session) what lay
    /// there then, so that nobody is told of just that again.
    #[serde(default)]
    pub snoozed_over: Option<i64>,
    /// When the person was told.
    pub notified_at: Option<Timestamp>,
}

impl Cause {
    /// Whether it stands: neither cleared nor waved away.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.cleared_at.is_none() && self.dismissed_at.is_none()
    }

    /// Whether it was put off until something changes.
    #[must_use]
    pub fn is_put_off_until_change(&self) -> bool {
        self.snoozed_until.is_some() && self.snoozed_over.is_some()
    }

    /// Whether it stands and is not put off.
    #[must_use]
    pub fn is_calling(&self, now: Timestamp) -> bool {
        self.is_open() && self.snoozed_until.is_none_or(|t| t <= now)
    }
}

words! {
    /// What cleared a cause.
    ClearedBy {
        /// The person spoke.
        Reply = "reply",
        /// The permission, question or error was resolved.
        Resolution = "resolution",
        /// The session was ended in order, or closed in Lamplight.
        Ended = "ended",
        /// The person put the session away.
        Archived = "archived",
        /// It went on under another id.
        Superseded = "superseded",
        /// 12 h without evidence of life or end.
        Expired = "expired",
    }
}
