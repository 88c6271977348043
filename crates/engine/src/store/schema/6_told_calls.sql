-- What telemetry told of a tool call; the key is that of `tool_calls`. One row, whichever records tell of it.
CREATE TABLE told_calls (
    key       BLOB    PRIMARY KEY,
    session   INTEGER NOT NULL REFERENCES sessions (id),
    at_ms     INTEGER NOT NULL,
    tool      TEXT    NOT NULL,
    decision  TEXT,
    ran_ms    INTEGER,
    waited_ms INTEGER,
    success   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX told_calls_by_session ON told_calls (session, at_ms);

-- Which attempt a request was, and what a session's requests took.
ALTER TABLE reported_requests ADD COLUMN attempt INTEGER;
CREATE INDEX reported_requests_by_session ON reported_requests (session, at_ms);
