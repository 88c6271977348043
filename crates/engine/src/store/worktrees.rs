//! What lay in a worktree before agents came.

use lamplight_model::ids::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// Roots are kept as long as facts that exist nowhere else.
const KEPT_MS: i64 = 400 * 86_400_000;

/// The mark of what was uncommitted before the first agent came, where somebody looked in time.
pub(crate) fn before(db: &Connection, root: &str) -> Result<Option<u128>, StoreError> {
    let mut select = db.prepare_cached("SELECT before FROM worktrees WHERE root = ?1")?;
    let mark: Option<[u8; 16]> = select.query_row([root], |row| row.get(0)).optional()?;
    Ok(mark.map(u128::from_be_bytes))
}

/// Keeps it.
pub(crate) fn put_before(db: &Connection, root: &str, mark: u128, at: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO worktrees (root, before, at_ms) VALUES (?1, ?2, ?3)")?
        .execute((root, mark.to_be_bytes(), at.0))?;
    db.prepare_cached("DELETE FROM worktrees WHERE at_ms < ?1")?.execute([at.plus_ms(-KEPT_MS).0])?;
    Ok(())
}
