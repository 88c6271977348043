-- Since when nothing in a worktree is anybody's: all agents had left, and nothing was uncommitted but what lay there
-- before them.
ALTER TABLE worktrees RENAME TO worktrees_4;
CREATE TABLE worktrees (
    root TEXT PRIMARY KEY,
    before BLOB,
    settled_at_ms INTEGER,
    at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO worktrees (root, before, at_ms) SELECT root, before, at_ms FROM worktrees_4;
DROP TABLE worktrees_4;
