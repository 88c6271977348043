-- What stood when a cause was put off until something changes: the last activity in ms, or what lay in the worktree.
ALTER TABLE causes ADD COLUMN snoozed_over INTEGER;

-- Sessions the person silenced. By name, as labels are: they may be known before their rows.
CREATE TABLE muted (
    agent      TEXT    NOT NULL,
    session_id TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (agent, session_id)
) STRICT, WITHOUT ROWID;
