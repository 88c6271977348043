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
    /// Entries of the stash when work was left: what is put aside makes more of them.
    pub stashes: Option<u32>,
}

/// What is remembered of a worktree.
pub(crate) fn memory(db: &Connection, root: &str) -> Result<Memory, StoreError> {
    let mut select =
        db.prepare_cached("SELECT before, settled_at_ms, stashes FROM worktree_memory WHERE root = ?1")?;
    let memory = select.query_row([root], |row| {
        let before: Option<[u8; 16]> = row.get(0)?;
        Ok(Memory {
            before: before.map(u128::from_be_bytes),
            settled_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
            stashes: row.get(2)?,
        })
    });
    Ok(memory.optional()?.unwrap_or_default())
}

/// Keeps it.
pub(crate) fn put(db: &Connection, root: &str, memory: Memory, at: Timestamp) -> Result<(), StoreError> {
    let Memory { before, settled_at, stashes } = memory;
    db.prepare_cached(
        "INSERT OR REPLACE INTO worktree_memory (root, before, settled_at_ms, stashes, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((root, before.map(u128::to_be_bytes), settled_at.map(|at| at.0), stashes, at.0))?;
    db.prepare_cached("DELETE FROM worktree_memory WHERE at_ms < ?1")?.execute([at.plus_ms(-KEPT_MS).0])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Store, forgotten};
    use super::*;

    #[test]
    fn nothing_of_a_worktree_is_left_when_its_last_session_is_forgotten() {
        let store = Store::in_memory().unwrap();
        let kept = Memory { before: Some(7), settled_at: Some(Timestamp(5)), stashes: Some(2) };
        let settled = Memory { settled_at: Some(Timestamp(5)), ..Memory::default() };
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

    #[test]
    fn what_a_session_worked_in_before_goes_and_stays_with_it() {
        let store = Store::in_memory().unwrap();
        let state = |worked_in: &str, root: &str| {
            format!(
                r#"{{"mains": {{"m": {{"cwd": "/repo", "worked_in": "{worked_in}"}}}}, "worktree": {{"root": "{root}"}}}}"#
            )
        };
        for (id, state) in
            [("a", state("/repo/wt/one/src", "/repo/wt/one")), ("b", state("/repo/wt/two", "/repo"))]
        {
            store
                .db
                .execute(
                    "INSERT INTO sessions (agent, session_id, fold_version, state) VALUES ('codex', ?1, 1, ?2)",
                    (id, state),
                )
                .unwrap();
        }
        let kept = Memory { before: Some(7), ..Memory::default() };
        for root in ["/repo/wt/one", "/repo/wt/two", "/repo"] {
            put(&store.db, root, kept, Timestamp(5)).unwrap();
        }
        let mut theirs = forgotten::directories(&store.db, &[1]).unwrap();
        theirs.sort();
        assert_eq!(theirs, ["/repo", "/repo/wt/one", "/repo/wt/one/src"].map(std::path::PathBuf::from));
        store.db.execute("DELETE FROM sessions WHERE id = 1", []).unwrap();
        // As if the first had worked in the second's as well.
        theirs.push("/repo/wt/two".into());
        forgotten::erase_worktrees(&store.db, &theirs, |_| false).unwrap();
        assert_eq!(memory(&store.db, "/repo/wt/one").unwrap(), Memory::default());
        assert_eq!(memory(&store.db, "/repo/wt/two").unwrap(), kept);
        assert_eq!(memory(&store.db, "/repo").unwrap(), kept);
    }
}
