//! Letting go of the oldest spans when the database is over its bound. Sums of services and sessions stay.

use lamplight_model::ids::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::store::{StoreError, from_sql, rows, to_sql};

/// Rows let go in one step: some ten milliseconds of the writer's time.
const STEP: i64 = 4_000;

/// Marks of records that came within this time stay: exporters repeat what was not answered for minutes.
const KEPT_MARKS_MS: i64 = 3_600_000;

/// How many spans were let go in all, among the engine's notes.
const LET_GO: &str = "spans_let_go";

/// What one step let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LetGo {
    pub spans: u64,
    /// Marks of records that were counted.
    pub marks: u64,
}

/// Bytes in use; pages that are free inside the file are used again before it grows.
pub(crate) fn used_bytes(db: &Connection) -> Result<u64, StoreError> {
    let pragma = |name: &str| -> Result<u64, StoreError> {
        Ok(from_sql(db.pragma_query_value(None, name, |row| row.get(0))?))
    };
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages.saturating_mul(pragma("page_size")?))
}

/// Lets go of some spans of the oldest traces, in the order they arrived; when there are none, of old marks. `None` when
/// there is nothing to let go.
pub(crate) fn let_go(db: &Connection, now: Timestamp) -> Result<Option<LetGo>, StoreError> {
    let mut left = STEP;
    let mut gone = LetGo::default();
    while left > 0 {
        let oldest: Option<i64> =
            db.prepare_cached("SELECT min(id) FROM traces")?.query_row([], |row| row.get(0))?;
        let Some(trace) = oldest else { break };
        let mut delete = db.prepare_cached(
            "DELETE FROM spans WHERE id IN (SELECT id FROM spans WHERE trace = ?1 LIMIT ?2)",
        )?;
        let spans = delete.execute((trace, left))?;
        let spans = i64::try_from(spans).unwrap_or(STEP);
        gone.spans += from_sql(spans);
        if spans < left {
            db.prepare_cached("DELETE FROM trace_senders WHERE trace = ?1")?.execute([trace])?;
            db.prepare_cached("DELETE FROM trace_sessions WHERE trace = ?1")?.execute([trace])?;
            db.prepare_cached("DELETE FROM traces WHERE id = ?1")?.execute([trace])?;
        }
        // A trace costs a step as well, however few spans it has.
        left -= spans.max(1);
    }
    if gone.spans > 0 {
        let before = let_go_in_all(db)?;
        rows::set_meta(db, LET_GO, &before.saturating_add(gone.spans).to_string())?;
    } else {
        gone.marks = forget_marks(db, now)?;
    }
    Ok((gone != LetGo::default()).then_some(gone))
}

fn forget_marks(db: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    let oldest: Option<i64> =
        db.prepare_cached("SELECT min(day) FROM telemetry_seen")?.query_row([], |row| row.get(0))?;
    let Some(day) = oldest else { return Ok(0) };
    let until: Option<i64> = db
        .prepare_cached("SELECT at_ns FROM telemetry_seen WHERE day = ?1 ORDER BY at_ns LIMIT 1 OFFSET ?2")?
        .query_row((day, STEP), |row| row.get(0))
        .optional()?;
    let recent = now.plus_ms(-KEPT_MARKS_MS).0.saturating_mul(1_000_000);
    let done = db
        .prepare_cached("DELETE FROM telemetry_seen WHERE day = ?1 AND at_ns <= ?2")?
        .execute((day, until.unwrap_or(i64::MAX).min(recent)))?;
    Ok(from_sql(i64::try_from(done).unwrap_or(i64::MAX)))
}

/// How many spans were let go since the database was made.
pub(crate) fn let_go_in_all(db: &Connection) -> Result<u64, StoreError> {
    let noted = rows::meta(db, LET_GO)?.and_then(|n| n.parse().ok());
    Ok(noted.map_or(0, |n: u64| from_sql(to_sql(n))))
}
