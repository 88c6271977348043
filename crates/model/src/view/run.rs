//! Runs: sessions that one harness started and declared to belong together.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{CostSource, SessionCard, TokenTotals};

/// A page of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RunPage {
    /// Runs, the one active last first.
    pub runs: Vec<RunSummary>,
    /// Cursor of the next page, `null` at the end.
    pub next: Option<String>,
    /// How many runs there are in all.
    pub total: u64,
}

/// A run and the sums of its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RunSummary {
    /// As declared by the spawner, in `lamplight.run_id` or `tokenjam.run_id`.
    pub run_id: String,
    /// Project of its members; `null` when they have none or different ones.
    pub project: Option<String>,
    /// First fact of any member.
    pub started_at_ms: Option<i64>,
    /// Last activity of any member.
    pub last_activity_at_ms: Option<i64>,
    /// Sessions that declared it.
    pub members: u32,
    /// Members at work now.
    pub running: u32,
    /// Members with an open cause of tier 1 or 2.
    pub needs_you: u32,
    /// Members that ended with an error or crashed.
    pub failed: u32,
    /// Tokens of all members; `null` when none is known.
    pub tokens: Option<TokenTotals>,
    /// Tool calls of all members.
    pub tool_calls: u32,
    /// Money of all members whose cost is known; `null` when none is.
    pub cost_usd: Option<f64>,
    /// Where the money comes from.
    pub cost_source: Option<CostSource>,
    /// Members whose cost is not known and not in `cost_usd`.
    pub unpriced: u32,
}

/// A run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RunDetail {
    /// Its sums.
    pub run: RunSummary,
    /// Its members as a tree by declared parent, each parent before its children.
    pub members: Vec<RunMember>,
}

/// A session's place in its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct RunMember {
    /// Its card.
    pub card: SessionCard,
    /// Depth in the tree, 0 for one whose parent is not a member.
    pub depth: u32,
    /// `agent:session_id` of its parent, when that is a member.
    pub parent: Option<String>,
}
