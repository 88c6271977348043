//! What is remembered of worktrees.

use lamplight_model::ids::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// Roots are kept as long as facts that exist nowhere else.
const KEPT_MS: i64 = 400 * 86_400_000;

/// What no later look can tell of a worktree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The mark of what was uncommitted before the first agent came, where somebody looked in time.
    pub before: Option<u128>,
    /// When it was seen last that whoever had left by then had left nothing.
    pub settled_at: Option<Timestamp>,
}

/// What is remembered of a worktree.
pub(crate) fn memory(db: &Connection, root: &str) -> Result<Memory, StoreError> {
    let mut select = db.prepare_cached("SELECT before, settled_at_ms FROM worktrees WHERE root = ?1")?;
    let found = select
        .query_row([root], |row| Ok((row.get::<_, Option<[u8; 16]>>(0)?, row.get::<_, Option<i64>>(1)?)));
    let (before, settled) = found.optional()?.unwrap_or_default();
    Ok(Memory { before: before.map(u128::from_be_bytes), settled_at: settled.map(Timestamp) })
}

/// Keeps it.
pub(crate) fn put(db: &Connection, root: &str, memory: Memory, at: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO worktrees (root, before, settled_at_ms, at_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((root, memory.before.map(u128::to_be_bytes), memory.settled_at.map(|t| t.0), at.0))?;
    db.prepare_cached("DELETE FROM worktrees WHERE at_ms < ?1")?.execute([at.plus_ms(-KEPT_MS).0])?;
    Ok(())
}
