//! What is remembered of worktrees.

use lamplight_model::ids::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Roots are kept as long as facts that exist nowhere else.
const KEPT_MS: i64 = 400 * 86_400_000;

/// What no later look can tell of a worktree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The mark of what was uncommitted before the first agent came, where somebody looked in time.
    pub before: Option<u128>,
    /// When it was seen last that whoever had left by then had left nothing.
    pub settled_at: Option<Timestamp>,
    /// What was left there last, until it is seen to.
    pub left: Option<Left>,
}

/// Work that was left, and how the stash stood then: what is put aside makes more of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    /// By whom: `agent:session_id`.
    pub by: String,
    pub since: Timestamp,
    /// The branch, as entries of the stash call it.
    pub branch: String,
    /// Its entries without what was left.
    pub stashes: u32,
    /// More of them were seen since.
    pub is_aside: bool,
}

/// What is remembered of a worktree.
pub(crate) fn memory(db: &Connection, root: &str) -> Result<Memory, StoreError> {
    let mut select =
        db.prepare_cached("SELECT before, settled_at_ms, left_work FROM worktree_memory WHERE root = ?1")?;
    let memory = select.query_row([root], |row| {
        let before: Option<[u8; 16]> = row.get(0)?;
        Ok(Memory {
            before: before.map(u128::from_be_bytes),
            settled_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
            // Written by us; what is not understood is as if nothing had been left.
            left: row.get::<_, Option<String>>(2)?.and_then(|json| serde_json::from_str(&json).ok()),
        })
    });
    Ok(memory.optional()?.unwrap_or_default())
}

/// Keeps it.
pub(crate) fn put(db: &Connection, root: &str, memory: Memory, at: Timestamp) -> Result<(), StoreError> {
    let Memory { before, settled_at, left } = memory;
    let left = left.map(|left| serde_json::to_string(&left).expect("BUG: it is plain data"));
    db.prepare_cached(
        "INSERT OR REPLACE INTO worktree_memory (root, before, settled_at_ms, left_work, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((root, before.map(u128::to_be_bytes), settled_at.map(|at| at.0), left, at.0))?;
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
        let left = Left {
            by: "codex:a".to_owned(),
            since: Timestamp(4),
            branch: "main".to_owned(),
            stashes: 2,
            is_aside: true,
        };
        let kept = Memory { before: Some(7), settled_at: Some(Timestamp(5)), left: Some(left) };
        let settled = Memory { settled_at: Some(Timestamp(5)), ..Memory::default() };
        for (root, memory) in [("/repos/both", &kept), ("/repos/settled", &settled), ("/repos/other", &kept)]
        {
            put(&store.db, root, memory.clone(), Timestamp(5)).unwrap();
            assert_eq!(super::memory(&store.db, root).unwrap(), *memory);
        }
        let theirs = ["/repos/both/src".into(), "/repos/settled".into()];
        forgotten::erase_worktrees(&store.db, &theirs, |_| false).unwrap();
        for root in ["/repos/both", "/repos/settled"] {
            assert_eq!(memory(&store.db, root).unwrap(), Memory::default(), "{root}");
        }
        assert_eq!(memory(&store.db, "/repos/other").unwrap(), kept);
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
            put(&store.db, root, kept.clone(), Timestamp(5)).unwrap();
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
