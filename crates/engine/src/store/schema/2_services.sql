-- Which response a request of a transcript led to, for the join with telemetry. Written while a session runs; a first
-- import leaves it out, because no exporter sends the requests of past sessions again.
CREATE TABLE call_requests (
    request BLOB NOT NULL PRIMARY KEY,
    call    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Model requests as an agent reported them. `call` is the transcript's response it was joined to.
CREATE TABLE reported_requests (
    request        BLOB    NOT NULL PRIMARY KEY,
    session        INTEGER NOT NULL,
    at_ms          INTEGER NOT NULL,
    model          INTEGER NOT NULL,
    input          INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cost_nano      INTEGER,
    duration_ms    INTEGER,
    ttft_ms        INTEGER,
    call           BLOB
) STRICT, WITHOUT ROWID;

-- Records that were counted, by the day they arrived and their own time, so that what arrives together stands together
-- and old days go in one piece. Two days are kept: exporters retry for minutes.
CREATE TABLE telemetry_seen (
    day   INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    hash  BLOB    NOT NULL,
    PRIMARY KEY (day, at_ns, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE services (
    id           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL,
    namespace    TEXT    NOT NULL,
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    -- Its model calls are told by spans; log records of the same calls are then not counted again.
    calls_by_span INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, namespace)
) STRICT;

CREATE TABLE service_minutes (
    service       INTEGER NOT NULL REFERENCES services (id),
    minute        INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    calls         INTEGER NOT NULL,
    errors        INTEGER NOT NULL,
    input         INTEGER NOT NULL,
    output        INTEGER NOT NULL,
    cache_write   INTEGER NOT NULL,
    cache_read    INTEGER NOT NULL,
    reported_nano INTEGER NOT NULL,
    table_nano    INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,
    PRIMARY KEY (service, minute, kind)
) STRICT, WITHOUT ROWID;

-- Latency histogram; `bucket` as in the engine's `latency` module.
CREATE TABLE service_latency (
    service INTEGER NOT NULL REFERENCES services (id),
    minute  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    bucket  INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    PRIMARY KEY (service, minute, kind, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE service_models (
    service INTEGER NOT NULL REFERENCES services (id),
    model   TEXT    NOT NULL,
    calls   INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (service, model)
) STRICT, WITHOUT ROWID;
