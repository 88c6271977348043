//! The log of notifications.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::attention::{CauseKind, Tier};
use crate::notice::{HeldBack, NoticeOutcome};

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct NoticePage {
    /// Entries, the newest first.
    pub notices: Vec<NoticeView>,
    /// Cursor of the next page, `null` at the end.
    pub next: Option<String>,
}

/// What became of telling about a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct NoticeView {
    /// When.
    pub at_ms: i64,
    /// `agent:session_id` of its session.
    pub session: String,
    /// The session's name now.
    pub label: String,
    /// The cause.
    pub cause_id: String,
    /// Its kind when this happened.
    pub cause: CauseKind,
    /// Its tier.
    pub tier: Tier,
    /// What became of it.
    pub outcome: NoticeOutcome,
    /// Why nothing was sent.
    pub why: Option<HeldBack>,
}
