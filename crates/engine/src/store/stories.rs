//! Stories: the last messages and the files touched, compressed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use lamplight_model::ids::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::detail::Story;

/// Largest story accepted when it is read back; ours stay below 200 KB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Keeps a story.
pub(crate) fn put(db: &Connection, session: i64, at: Timestamp, story: &Story) -> Result<(), StoreError> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let body = encoder
        .write_all(&serde_json::to_vec(story)?)
        .and_then(|()| encoder.finish())
        .map_err(|source| StoreError::Io { path: "story".into(), source })?;
    db.prepare_cached("INSERT OR REPLACE INTO stories (session, at_ms, body) VALUES (?1, ?2, ?3)")?
        .execute((session, at.0, body))?;
    Ok(())
}

/// Reads a story back; `None` when none was kept.
pub(crate) fn get(db: &Connection, session: i64) -> Result<Option<(Timestamp, Story)>, StoreError> {
    let mut select = db.prepare_cached("SELECT at_ms, body FROM stories WHERE session = ?1")?;
    let found: Option<(i64, Vec<u8>)> =
        select.query_row([session], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((at, body)) = found else { return Ok(None) };
    let mut text = Vec::new();
    DeflateDecoder::new(body.as_slice())
        .take(MOST_BYTES)
        .read_to_end(&mut text)
        .map_err(|source| StoreError::Io { path: "story".into(), source })?;
    Ok(Some((Timestamp(at), serde_json::from_slice(&text)?)))
}

/// The oldest session that has been quiet since `before` and has no story.
pub(crate) fn quiet_without(db: &Connection, before: Timestamp) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id FROM sessions s WHERE last_activity_ms BETWEEN 1 AND ?1 AND class = 'row'
             AND NOT EXISTS (SELECT 1 FROM stories WHERE session = s.id AND at_ms >= s.last_activity_ms)
         ORDER BY last_activity_ms LIMIT 1",
    )?;
    Ok(select.query_row([before.0], |row| row.get(0)).optional()?)
}
