//! Sessions the person silenced.

use lamplight_model::ids::{SessionKey, Timestamp};
use rusqlite::Connection;

use super::StoreError;

/// Whether a session is silenced.
pub(crate) fn is_muted(db: &Connection, key: &SessionKey) -> Result<bool, StoreError> {
    let mut select =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM muted WHERE agent = ?1 AND session_id = ?2)")?;
    Ok(select.query_row((key.agent.as_str(), key.id.as_str()), |row| row.get(0))?)
}

/// Silences a session, or lets it call again. Twice is as once.
pub(crate) fn set(db: &Connection, key: &SessionKey, muted: bool, now: Timestamp) -> Result<(), StoreError> {
    let (agent, id) = (key.agent.as_str(), key.id.as_str());
    if muted {
        db.prepare_cached("INSERT OR IGNORE INTO muted (agent, session_id, at_ms) VALUES (?1, ?2, ?3)")?
            .execute((agent, id, now.0))?;
    } else {
        db.prepare_cached("DELETE FROM muted WHERE agent = ?1 AND session_id = ?2")?.execute((agent, id))?;
    }
    Ok(())
}
