-- When it was seen last that whoever had left a worktree by then had left nothing: what lies there is what lay there before
-- them, or nothing.
CREATE TABLE worktrees_settled (
    root TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT;
