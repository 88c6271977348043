-- What was uncommitted in a worktree before its first agent came: work that still looks like this is nobody's.
CREATE TABLE worktrees (
    root TEXT PRIMARY KEY,
    before BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
