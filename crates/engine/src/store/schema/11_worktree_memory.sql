-- What is remembered of a worktree is one row: the mark of what was uncommitted before its first agent came, when it was seen
-- last that whoever had left by then had left nothing, and what was left there last, as JSON.
CREATE TABLE worktree_memory (
    root TEXT PRIMARY KEY,
    before BLOB,
    settled_at_ms INTEGER,
    left_work TEXT,
    at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO worktree_memory (root, before, at_ms) SELECT root, before, at_ms FROM worktrees;
-- One build had a schema 10 without it.
CREATE TABLE IF NOT EXISTS worktrees_settled (root TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;
INSERT INTO worktree_memory (root, settled_at_ms, at_ms) SELECT root, at_ms, at_ms FROM worktrees_settled WHERE true
    ON CONFLICT (root) DO UPDATE SET settled_at_ms = excluded.settled_at_ms;
DROP TABLE worktrees;
DROP TABLE worktrees_settled;
