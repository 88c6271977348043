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
    let mut before = db.prepare_cached("SELECT before FROM worktrees WHERE root = ?1")?;
    let before: Option<[u8; 16]> = before.query_row([root], |row| row.get(0)).optional()?;
    let mut settled = db.prepare_cached("SELECT at_ms FROM worktrees_settled WHERE root = ?1")?;
    let settled: Option<i64> = settled.query_row([root], |row| row.get(0)).optional()?;
    Ok(Memory { before: before.map(u128::from_be_bytes), settled_at: settled.map(Timestamp) })
}

/// Keeps it.
pub(crate) fn put(db: &Connection, root: &str, memory: Memory, at: Timestamp) -> Result<(), StoreError> {
    let old = at.plus_ms(-KEPT_MS).0;
    if let Some(before) = memory.before {
        db.prepare_cached("INSERT OR REPLACE INTO worktrees (root, before, at_ms) VALUES (?1, ?2, ?3)")?
            .execute((root, before.to_be_bytes(), at.0))?;
        db.prepare_cached("DELETE FROM worktrees WHERE at_ms < ?1")?.execute([old])?;
    }
    match memory.settled_at {
        Some(settled) => {
            db.prepare_cached("INSERT OR REPLACE INTO worktrees_settled (root, at_ms) VALUES (?1, ?2)")?
                .execute((root, settled.0))?;
        }
        None => {
            db.prepare_cached("DELETE FROM worktrees_settled WHERE root = ?1")?.execute([root])?;
        }
    }
    db.prepare_cached("DELETE FROM worktrees_settled WHERE at_ms < ?1")?.execute([old])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Store, forgotten};
    use super::*;

    #[test]
    fn nothing_of_a_worktree_is_left_when_its_last_session_is_forgotten() {
        let store = Store::in_memory().unwrap();
        let kept = Memory { before: Some(7), settled_at: Some(Timestamp(5)) };
        let settled = Memory { before: None, settled_at: Some(Timestamp(5)) };
        for (root, memory) in [("/work/both", kept), ("/work/settled", settled), ("/work/other", kept)] {
            put(&store.db, root, memory, Timestamp(5)).unwrap();
            assert_eq!(super::memory(&store.db, root).unwrap(), memory);
        }
        let theirs = ["/work/both/src".into(), "/work/settled".into()];
        forgotten::erase_worktrees(&store.db, &theirs, |_| false).unwrap();
        for root in ["/work/both", "/work/settled"] {
            assert_eq!(memory(&store.db, root).unwrap(), Memory::default(), "{root}");
        }
        assert_eq!(memory(&store.db, "/work/other").unwrap(), kept);
    }
}
