//! Causes, with what became of them.

use std::collections::HashSet;

use lamplight_model::attention::{Cause, CauseKind, ClearedBy};
use lamplight_model::ids::{FactId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::StoreError;

/// A cause as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCause {
    pub cause: Cause,
    /// Stood before the engine looked for the first time: shown, never notified.
    pub baseline: bool,
}

const COLUMNS: &str = "id, kind, since_ms, source, cleared_at_ms, cleared_by, dismissed_at_ms, snoozed_until_ms, \
                       notified_at_ms, baseline, snoozed_over";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredCause> {
    let time = |n: Option<i64>| n.map(Timestamp);
    let id: [u8; 16] = row.get(0)?;
    let kind: String = row.get(1)?;
    let cleared_by: Option<String> = row.get(5)?;
    Ok(StoredCause {
        cause: Cause {
            id: FactId(u128::from_be_bytes(id)),
            // A kind of a newer version reads as the plainest one of its tier.
            kind: CauseKind::from_word(&kind).unwrap_or(CauseKind::Reply),
            since: Timestamp(row.get(2)?),
            source: row.get(3)?,
            cleared_at: time(row.get(4)?),
            cleared_by: cleared_by.as_deref().and_then(ClearedBy::from_word),
            dismissed_at: time(row.get(6)?),
            snoozed_until: time(row.get(7)?),
            notified_at: time(row.get(8)?),
            snoozed_over: row.get(10)?,
        },
        baseline: row.get(9)?,
    })
}

/// The latest causes of a session, newest first.
pub(crate) fn of_session(db: &Connection, session: i64, most: u32) -> Result<Vec<StoredCause>, StoreError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM causes WHERE session = ?1 ORDER BY since_ms DESC, id LIMIT ?2"
    ))?;
    let rows = select.query_map((session, most), read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The session a cause belongs to.
pub(crate) fn session_of(db: &Connection, id: FactId) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT session FROM causes WHERE id = ?1")?;
    Ok(select.query_row([id.0.to_be_bytes()], |row| row.get(0)).optional()?)
}

/// Writes a cause.
pub(crate) fn put(db: &Connection, session: i64, stored: &StoredCause) -> Result<(), StoreError> {
    let c = &stored.cause;
    let time = |t: Option<Timestamp>| t.map(|t| t.0);
    db.prepare_cached(
        "INSERT OR REPLACE INTO causes (session, id, kind, since_ms, source, cleared_at_ms, cleared_by,
                                        dismissed_at_ms, snoozed_until_ms, notified_at_ms, baseline, snoozed_over)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        session,
        c.id.0.to_be_bytes(),
        c.kind.as_str(),
        c.since.0,
        &c.source,
        time(c.cleared_at),
        c.cleared_by.map(ClearedBy::as_str),
        time(c.dismissed_at),
        time(c.snoozed_until),
        time(c.notified_at),
        stored.baseline,
        c.snoozed_over,
    ))?;
    Ok(())
}

/// Sessions with an open cause.
pub(crate) fn open_sessions(db: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare(
        "SELECT DISTINCT session FROM causes WHERE cleared_at_ms IS NULL AND dismissed_at_ms IS NULL",
    )?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What lay in worktrees when the person had seen to it: waved away, or put away with its session.
pub(crate) fn waved(db: &Connection) -> Result<HashSet<i64>, StoreError> {
    let mut select = db.prepare(
        "SELECT snoozed_over FROM causes WHERE kind = 'uncommitted' AND snoozed_over IS NOT NULL
         AND (dismissed_at_ms IS NOT NULL OR cleared_by = 'archived')",
    )?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
