//! Transcripts by identity, and where reading goes on.

use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, from_sql, to_sql};
use crate::facts::{Cursor, FileId, FileRole};
use crate::sources::discover::Found;

/// A row of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub id: i64,
    pub session: i64,
    pub subagent: Option<String>,
    pub path: PathBuf,
    pub offset: u64,
    pub gone: bool,
}

/// Finds a file by identity. Identities are kept as the bits of their 64-bit values.
pub(crate) fn find(db: &Connection, file: FileId) -> Result<Option<FileRow>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id, session, subagent, path, offset, gone FROM files WHERE dev = ?1 AND ino = ?2",
    )?;
    let row = select
        .query_row((bits(file.dev), bits(file.ino)), |row| {
            Ok(FileRow {
                id: row.get(0)?,
                session: row.get(1)?,
                subagent: row.get(2)?,
                path: PathBuf::from(row.get::<_, String>(3)?),
                offset: from_sql(row.get(4)?),
                gone: row.get(5)?,
            })
        })
        .optional()?;
    Ok(row)
}

/// Writes the cursor of a file; returns its row.
pub(crate) fn put(
    db: &Connection,
    file: FileId,
    path: &Path,
    session: i64,
    subagent: Option<&str>,
    offset: u64,
    carry: &str,
) -> Result<i64, StoreError> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO files (dev, ino, path, session, subagent, offset, carry, gone)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)
         ON CONFLICT (dev, ino) DO UPDATE SET
             path = excluded.path, session = excluded.session, subagent = excluded.subagent,
             offset = excluded.offset, carry = excluded.carry, gone = 0
         RETURNING id",
    )?;
    let path = path.to_string_lossy();
    Ok(upsert.query_row(
        (bits(file.dev), bits(file.ino), path, session, subagent, to_sql(offset), carry),
        |row| row.get(0),
    )?)
}

/// Marks a file as gone from its path; returns its session.
pub(crate) fn mark_gone(db: &Connection, path: &Path) -> Result<Option<i64>, StoreError> {
    let mut update =
        db.prepare_cached("UPDATE files SET gone = 1 WHERE path = ?1 AND gone = 0 RETURNING session")?;
    Ok(update.query_row([path.to_string_lossy()], |row| row.get(0)).optional()?)
}

/// Files that were at this path before the one that is there now: what they said was replaced, not deleted.
pub(crate) fn replaced_at(
    db: &Connection,
    path: &Path,
    session: i64,
    now: FileId,
) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id FROM files WHERE path = ?1 AND session = ?2 AND gone = 1 AND NOT (dev = ?3 AND ino = ?4)",
    )?;
    let rows = select
        .query_map((path.to_string_lossy(), session, bits(now.dev), bits(now.ino)), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The main transcript of a session that is still there, the longest one.
pub(crate) fn main_path(db: &Connection, session: i64) -> Result<Option<PathBuf>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT path FROM files WHERE session = ?1 AND subagent IS NULL AND gone = 0 ORDER BY offset DESC, path LIMIT 1",
    )?;
    Ok(select.query_row([session], |row| row.get::<_, String>(0)).optional()?.map(PathBuf::from))
}

/// The transcripts of a session that are still there, as the reader takes them.
pub(crate) fn of_session(db: &Connection, session: i64, key: &SessionKey) -> Result<Vec<Found>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT dev, ino, path, subagent, offset FROM files WHERE session = ?1 AND gone = 0",
    )?;
    let rows = select.query_map([session], |row| {
        Ok(Found {
            path: PathBuf::from(row.get::<_, String>(2)?),
            file: FileId { dev: unbits(row.get(0)?), ino: unbits(row.get(1)?) },
            role: FileRole { agent: key.agent, session: key.id.clone(), subagent: row.get(3)? },
            size_bytes: from_sql(row.get(4)?),
            modified_at: Timestamp(0),
            meta: None,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Transcripts of a session's subagents that are still there, by subagent, with the bytes read of each.
pub(crate) fn of_subagents(db: &Connection, session: i64) -> Result<Vec<(String, PathBuf, u64)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT subagent, path, offset FROM files WHERE session = ?1 AND subagent IS NOT NULL AND gone = 0",
    )?;
    let rows = select.query_map([session], |row| {
        Ok((row.get(0)?, PathBuf::from(row.get::<_, String>(1)?), from_sql(row.get(2)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All cursors, for the reader to go on from.
pub(crate) fn cursors(db: &Connection) -> Result<Vec<Cursor>, StoreError> {
    let mut select = db.prepare(
        "SELECT f.dev, f.ino, f.path, f.subagent, f.offset, f.carry, s.agent, s.session_id
         FROM files f JOIN sessions s ON s.id = f.session",
    )?;
    let mut rows = select.query([])?;
    let mut cursors = Vec::new();
    while let Some(row) = rows.next()? {
        let agent: String = row.get(6)?;
        let id: String = row.get(7)?;
        // A row this version cannot name is left alone: its file is then read anew under a name it can.
        let (Some(agent), Ok(session)) = (Agent::from_word(&agent), SessionId::new(&id)) else { continue };
        cursors.push(Cursor {
            file: FileId { dev: unbits(row.get(0)?), ino: unbits(row.get(1)?) },
            path: PathBuf::from(row.get::<_, String>(2)?),
            role: FileRole { agent, session, subagent: row.get(3)? },
            offset: from_sql(row.get(4)?),
            carry: row.get(5)?,
        });
    }
    Ok(cursors)
}

/// Bytes read and files known, per agent. The offset of a session in a database is a revision, no number of bytes.
pub(crate) fn sums(db: &Connection) -> Result<Vec<(String, u64, u64)>, StoreError> {
    let mut select = db.prepare(
        "SELECT s.agent, count(*), total(iif(s.agent = 'opencode', 0, f.offset)) FROM files f JOIN sessions s ON s.id = f.session
         WHERE f.gone = 0 GROUP BY s.agent",
    )?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of byte counts, below 2^53"
    )]
    let rows =
        select.query_map([], |row| Ok((row.get(0)?, from_sql(row.get(1)?), row.get::<_, f64>(2)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn bits(n: u64) -> i64 {
    i64::from_ne_bytes(n.to_ne_bytes())
}

fn unbits(n: i64) -> u64 {
    u64::from_ne_bytes(n.to_ne_bytes())
}
