//! When an agent was heard of last, by what it tells itself; for a look at whether it arrives.

use lamplight_model::ids::{Agent, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// The latest hook of an agent that is kept. Reads the live facts of that agent's sessions.
pub(crate) fn hook(db: &Connection, agent: Agent) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT max(f.at_ms) FROM live_facts f JOIN sessions s ON s.id = f.session
               WHERE f.source = 'hooks' AND s.agent = ?1";
    latest(db, sql, agent)
}

/// The latest telemetry of an agent that named a session.
pub(crate) fn telemetry(db: &Connection, agent: Agent) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT max(json_extract(state, '$.telemetry.last_at')) FROM sessions
               WHERE agent = ?1 AND json_extract(state, '$.telemetry.last_at') IS NOT NULL";
    latest(db, sql, agent)
}

fn latest(db: &Connection, sql: &str, agent: Agent) -> Result<Option<Timestamp>, StoreError> {
    let found: Option<Option<i64>> = db.query_row(sql, [agent.as_str()], |row| row.get(0)).optional()?;
    Ok(found.flatten().map(Timestamp))
}
