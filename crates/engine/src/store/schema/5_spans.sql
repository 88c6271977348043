-- Who sent spans: services and coding agents, by `service.name` and `service.namespace`.
CREATE TABLE span_senders (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    -- A service, and no coding agent.
    is_service INTEGER NOT NULL,
    UNIQUE (name, namespace, is_service)
) STRICT;

-- One row per trace with the sums of its spans, kept by difference. `head` is the root span, else the earliest one.
-- `listed_ns` is the begin, never later than the moment of arrival. `session` is the session that the earliest span which
-- names one belongs to (`session_start_ns`, `session_span`): it owns what spans without a session spent. `run_session` is
-- the session that stands for the trace itself, where a run is declared and no session.
CREATE TABLE traces (
    id               INTEGER PRIMARY KEY,
    trace_id         BLOB    NOT NULL UNIQUE,
    start_ns         INTEGER NOT NULL,
    end_ns           INTEGER NOT NULL,
    listed_ns        INTEGER NOT NULL,
    spans            INTEGER NOT NULL,
    errors           INTEGER NOT NULL,
    head             INTEGER NOT NULL,
    head_is_root     INTEGER NOT NULL,
    head_start_ns    INTEGER NOT NULL,
    calls            INTEGER NOT NULL,
    told             INTEGER NOT NULL,
    unpriced         INTEGER NOT NULL,
    input            INTEGER NOT NULL,
    output           INTEGER NOT NULL,
    cache_write_5m   INTEGER NOT NULL,
    cache_write_1h   INTEGER NOT NULL,
    cache_read       INTEGER NOT NULL,
    cost_nano        INTEGER NOT NULL,
    models           TEXT    NOT NULL,
    session          INTEGER,
    session_start_ns INTEGER NOT NULL DEFAULT 0,
    session_span     INTEGER NOT NULL DEFAULT 0,
    run_session      INTEGER
) STRICT;
CREATE INDEX traces_listed ON traces (listed_ns DESC, id DESC);

-- Which traces a sender took part in, and which traces name a session, in the order they are listed.
CREATE TABLE trace_senders (
    sender    INTEGER NOT NULL,
    listed_ns INTEGER NOT NULL,
    trace     INTEGER NOT NULL,
    PRIMARY KEY (sender, listed_ns, trace)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_senders_by_trace ON trace_senders (trace);

CREATE TABLE trace_sessions (
    session   INTEGER NOT NULL,
    listed_ns INTEGER NOT NULL,
    trace     INTEGER NOT NULL,
    PRIMARY KEY (session, listed_ns, trace)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_sessions_by_trace ON trace_sessions (trace);

-- Spans, each once, in the order of their traces, so that the oldest go in one piece. Ids are the eight bytes as a number.
-- `table_nano` is what the price table said when it was stored. No prompts, outputs, arguments or documents.
CREATE TABLE spans (
    id             INTEGER PRIMARY KEY,
    trace          INTEGER NOT NULL,
    span           INTEGER NOT NULL,
    parent         INTEGER,
    sender         INTEGER NOT NULL,
    session        INTEGER,
    by_span        INTEGER NOT NULL,
    kind           INTEGER NOT NULL,
    start_ns       INTEGER NOT NULL,
    end_ns         INTEGER,
    is_error       INTEGER,
    name           TEXT    NOT NULL,
    message        TEXT,
    model          TEXT,
    tool           TEXT,
    is_call        INTEGER NOT NULL,
    input          INTEGER,
    output         INTEGER,
    cache_write_5m INTEGER,
    cache_write_1h INTEGER,
    cache_read     INTEGER,
    cost_nano      INTEGER,
    table_nano     INTEGER,
    attributes     TEXT
) STRICT;
CREATE UNIQUE INDEX spans_by_trace ON spans (trace, span);

-- What services did by span name and hour; `latency` is a histogram: pairs of bucket (2 bytes) and count (4 bytes).
CREATE TABLE span_operations (
    sender  INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    kind    INTEGER NOT NULL,
    calls   INTEGER NOT NULL,
    errors  INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    latency BLOB    NOT NULL,
    PRIMARY KEY (sender, hour, name, kind)
) STRICT, WITHOUT ROWID;

-- What services' models did by hour.
CREATE TABLE service_model_hours (
    service     INTEGER NOT NULL REFERENCES services (id),
    hour        INTEGER NOT NULL,
    model       TEXT    NOT NULL,
    calls       INTEGER NOT NULL,
    input       INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cost_nano   INTEGER NOT NULL,
    unpriced    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,
    PRIMARY KEY (service, hour, model)
) STRICT, WITHOUT ROWID;

-- Sessions that a service's records name.
CREATE TABLE service_sessions (
    service INTEGER NOT NULL REFERENCES services (id),
    session INTEGER NOT NULL REFERENCES sessions (id),
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (service, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_sessions_by_last ON service_sessions (service, last_ms DESC, session DESC);
