-- Sessions the person had forgotten: whatever tells of them again is passed over. Nothing else is kept of them.
CREATE TABLE forgotten (
    agent      TEXT    NOT NULL,
    session_id TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (agent, session_id)
) STRICT, WITHOUT ROWID;
