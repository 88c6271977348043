//! Runs and terminals, as spawners declared them.

use lamplight_model::ids::Timestamp;
use rusqlite::Connection;

use super::{StoreError, from_sql};

/// Runs with a row, the one active last first: those after `before` in that order, at most `most`.
pub(crate) fn page(
    db: &Connection,
    before: Option<(Timestamp, &str)>,
    most: usize,
) -> Result<Vec<(Timestamp, String)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT max(last_activity_ms) AS last, run FROM sessions WHERE run IS NOT NULL AND class = 'row'
         GROUP BY run HAVING ?1 IS NULL OR (last, run) < (?1, ?2) ORDER BY last DESC, run DESC LIMIT ?3",
    )?;
    let (at, run) = before.map_or((None, None), |(at, run)| (Some(at.0), Some(run)));
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = select.query_map((at, run, most), |row| Ok((Timestamp(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many runs have a row.
pub(crate) fn count(db: &Connection) -> Result<u64, StoreError> {
    let mut select = db
        .prepare_cached("SELECT count(DISTINCT run) FROM sessions WHERE run IS NOT NULL AND class = 'row'")?;
    Ok(from_sql(select.query_row([], |row| row.get(0))?))
}

/// Every session that declared a run.
pub(crate) fn members(db: &Connection, run: &str) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM sessions WHERE run = ?1 ORDER BY id")?;
    let rows = select.query_map([run], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every session of exactly this `service.instance.id`.
pub(crate) fn of_instance(db: &Connection, instance: &str) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM sessions WHERE instance = ?1 ORDER BY id")?;
    let rows = select.query_map([instance], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes the declared names of stored states into their columns, where these do not say the same.
pub(crate) fn fill(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(include_str!("schema/3_fill_declared.sql"))?;
    Ok(())
}
