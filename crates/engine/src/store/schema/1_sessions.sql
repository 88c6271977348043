-- One row per (agent, session id). `state` is the folded state as JSON; the other columns are what is queried.
CREATE TABLE sessions (
    id               INTEGER PRIMARY KEY,
    agent            TEXT    NOT NULL,
    session_id       TEXT    NOT NULL,
    fold_version     INTEGER NOT NULL,
    state            TEXT    NOT NULL,
    has_main         INTEGER NOT NULL DEFAULT 0,
    live             INTEGER NOT NULL DEFAULT 0,
    class            TEXT    NOT NULL DEFAULT 'zombie'
                     CHECK (class IN ('row', 'zombie', 'subagent', 'title_thread', 'spare')),
    last_activity_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (agent, session_id)
) STRICT;
CREATE INDEX sessions_by_activity ON sessions (last_activity_ms DESC, id DESC);
CREATE INDEX sessions_live ON sessions (id) WHERE live = 1;

-- Text a search looks in, lower case; apart from `sessions` so that a search reads nothing else.
CREATE TABLE session_text (
    session INTEGER PRIMARY KEY REFERENCES sessions (id),
    text    TEXT NOT NULL
) STRICT;

-- Transcripts by identity, with the cursor of the reader and the state of its decoder.
CREATE TABLE files (
    id       INTEGER PRIMARY KEY,
    dev      INTEGER NOT NULL,
    ino      INTEGER NOT NULL,
    path     TEXT    NOT NULL,
    session  INTEGER NOT NULL REFERENCES sessions (id),
    subagent TEXT,
    offset   INTEGER NOT NULL,
    carry    TEXT    NOT NULL,
    gone     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (dev, ino)
) STRICT;
CREATE INDEX files_by_session ON files (session);
CREATE INDEX files_by_path ON files (path);

CREATE TABLE models (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- Money: one row per model response, owned by exactly one session. `rank`, `rank_at_ms` say how strongly it is owned.
CREATE TABLE llm_calls (
    key            BLOB    NOT NULL PRIMARY KEY,
    session        INTEGER NOT NULL,
    rank           INTEGER NOT NULL,
    rank_at_ms     INTEGER NOT NULL,
    model          INTEGER NOT NULL,
    input          INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tool_calls (
    key        BLOB    NOT NULL PRIMARY KEY,
    session    INTEGER NOT NULL,
    rank       INTEGER NOT NULL,
    rank_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE prompts (
    key        BLOB    NOT NULL PRIMARY KEY,
    session    INTEGER NOT NULL,
    rank       INTEGER NOT NULL,
    rank_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE causes (
    id               BLOB    NOT NULL PRIMARY KEY,
    session          INTEGER NOT NULL REFERENCES sessions (id),
    kind             TEXT    NOT NULL,
    since_ms         INTEGER NOT NULL,
    source           TEXT    NOT NULL,
    cleared_at_ms    INTEGER,
    cleared_by       TEXT,
    dismissed_at_ms  INTEGER,
    snoozed_until_ms INTEGER,
    notified_at_ms   INTEGER,
    baseline         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX causes_by_session ON causes (session, since_ms);
CREATE INDEX causes_open ON causes (session) WHERE cleared_at_ms IS NULL AND dismissed_at_ms IS NULL;

-- Names given in Lamplight; bound to the id, so that they survive resume and restart.
CREATE TABLE labels (
    agent      TEXT    NOT NULL,
    session_id TEXT    NOT NULL,
    label      TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (agent, session_id)
) STRICT, WITHOUT ROWID;

-- Live facts that exist nowhere else, kept 400 days.
CREATE TABLE live_facts (
    id      INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions (id),
    at_ms   INTEGER NOT NULL,
    source  TEXT    NOT NULL,
    pid     INTEGER,
    fact    TEXT    NOT NULL
) STRICT;
CREATE INDEX live_facts_by_session ON live_facts (session, at_ms);

-- What was said and done, compressed, kept because agents delete transcripts.
CREATE TABLE stories (
    session INTEGER PRIMARY KEY REFERENCES sessions (id),
    at_ms   INTEGER NOT NULL,
    body    BLOB    NOT NULL
) STRICT;

CREATE TABLE issues (
    source     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    path       TEXT,
    count      INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    PRIMARY KEY (source, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
