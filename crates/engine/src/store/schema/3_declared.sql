-- What the spawner of a session declared about it, as columns, so that a run's members and a terminal's sessions are found
-- without reading every state.
ALTER TABLE sessions ADD COLUMN run TEXT;
ALTER TABLE sessions ADD COLUMN instance TEXT;
CREATE INDEX sessions_by_run ON sessions (run, class, last_activity_ms) WHERE run IS NOT NULL;
CREATE INDEX sessions_by_instance ON sessions (instance) WHERE instance IS NOT NULL;
