//! OpenCode's own database, read as it stands.
//!
//! It is another program's: nothing is written to it, no file is created beside it, and no lock is taken that its owner
//! could wait for. A connection lives for one look, because one that stays open keeps the last OpenCode that leaves from
//! putting its log away; the tables are checked, because the next version of OpenCode may have others.

use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::from_sql;
use crate::sources::open::{OpenError, modified_at, open_regular};
use lamplight_model::ids::Timestamp;

/// One look at a time, and none while another one opens or closes the file: closing any descriptor of a file drops the
/// process's locks on it, those of a connection on another thread included. Held by whoever looks, never over a channel.
static LOOK: Mutex<()> = Mutex::new(());

/// A database without a write-ahead log is being made, or kept so by an old file system. Only once it has been left alone
/// for so long is it opened: a reader at the moment of its making would keep OpenCode from starting.
const MADE_MS: i64 = 5_000;

/// Rows longer than this are read without their texts.
const MAX_ROW_BYTES: i64 = 16 * 1024 * 1024;

/// Sessions without a place in the log of events whose messages are looked at: a turn does not last for longer.
pub(crate) const LATELY_MS: i64 = 48 * 3_600_000;

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenCodeError {
    /// There is none.
    #[error("there is no database")]
    Gone,
    /// It is no regular file, or a link.
    #[error("not a regular file")]
    NotAFile,
    /// It cannot be opened.
    #[error("cannot open it")]
    Io(#[source] std::io::Error),
    /// OpenCode is making it, changing it, or holds it for itself.
    #[error("held by OpenCode")]
    Held,
    /// Its log is there, the index of that is not.
    #[error("its write-ahead log has no index beside it")]
    NoIndex,
    /// It lacks a table or column that is read.
    #[error("it has other tables than those known")]
    Shape,
    /// SQLite finds it damaged, or refuses it otherwise.
    #[error("SQLite cannot read it")]
    Sql(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for OpenCodeError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen => Self::Held,
                // A table or column that is not there.
                ErrorCode::Unknown => Self::Shape,
                _ => Self::Sql(error),
            },
            rusqlite::Error::SqlInputError { .. } | rusqlite::Error::InvalidColumnType(..) => Self::Shape,
            _ => Self::Sql(error),
        }
    }
}

impl From<OpenError> for OpenCodeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Gone => Self::Gone,
            OpenError::NotAFile | OpenError::Link => Self::NotAFile,
            OpenError::Io(source) => Self::Io(source),
        }
    }
}

/// One look.
pub(crate) struct Look {
    db: Connection,
    has_events: bool,
    path: PathBuf,
    /// Nobody has it open: it is read without its log, and must be the same at the end.
    unopened: Option<(u64, Timestamp)>,
    _guard: MutexGuard<'static, ()>,
}

/// A session as listed.
#[derive(Debug)]
pub(crate) struct Listed {
    pub id: String,
    pub updated: Timestamp,
    /// Changes whenever something of the session does.
    pub revision: u64,
    /// What changes in it stands in the log of events.
    pub is_logged: bool,
}

/// How far the log of events was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last event's row.
    event: i64,
    /// Sessions there were.
    sessions: i64,
}

/// The row of a session.
#[derive(Debug, serde::Serialize)]
pub(crate) struct SessionRow {
    pub id: String,
    pub parent: Option<String>,
    pub directory: String,
    pub title: String,
    pub version: String,
    /// JSON.
    #[serde(skip)]
    pub permission: Option<String>,
    pub created: i64,
}

/// A row of JSON; `None` where it is none.
#[derive(Debug)]
pub(crate) struct DataRow {
    pub id: String,
    pub data: Option<String>,
    /// It was longer than is held, and is without its texts.
    pub was_cut: bool,
}

impl Look {
    /// Opens the database for one look.
    pub(crate) fn open(path: &Path, now: Timestamp) -> Result<Self, OpenCodeError> {
        let guard = LOOK.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, metadata) = open_regular(path)?;
        let mut head = [0; 20];
        if let Err(error) = file.read_exact(&mut head) {
            let is_short = error.kind() == std::io::ErrorKind::UnexpectedEof;
            return Err(if is_short { OpenCodeError::Held } else { OpenCodeError::Io(error) });
        }
        drop(file);
        // Bytes 18 and 19 say how it is written and read: 2 is by a write-ahead log.
        let has_log = head[18] == 2 && head[19] == 2;
        if !has_log && now.since(modified_at(&metadata)) < MADE_MS {
            return Err(OpenCodeError::Held);
        }
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            std::fs::symlink_metadata(PathBuf::from(name)).ok()
        };
        let is_written = |found: Option<Metadata>| found.is_some_and(|m| m.len() > 0);
        let parameters = match (has_log, is_written(beside("-wal")), beside("-shm").is_some()) {
            (false, ..) => "?mode=ro",
            // Opened in any other way SQLite would make the index itself.
            (true, true, true) => "?mode=ro&readonly_shm=1",
            (true, true, false) => return Err(OpenCodeError::NoIndex),
            (true, false, _) => "?mode=ro&immutable=1",
        };
        let unopened = parameters.ends_with("immutable=1").then(|| (metadata.len(), modified_at(&metadata)));
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let db = Connection::open_with_flags(uri(path, parameters), flags)?;
        // Whoever waits for it holds up everything else that is looked at; it is looked at again.
        db.busy_timeout(std::time::Duration::ZERO)?;
        db.pragma_update(None, "query_only", true)?;
        // Nothing that the file brings along is run.
        db.pragma_update(None, "trusted_schema", false)?;
        // 2 MB hold what one look reads.
        db.pragma_update(None, "cache_size", -2_048)?;
        db.execute_batch("BEGIN")?;
        let has_table = |name: &str| -> Result<bool, OpenCodeError> {
            let kind: Option<String> = db
                .query_row("SELECT type FROM sqlite_master WHERE name = ?1", [name], |row| row.get(0))
                .optional()?;
            match kind.as_deref() {
                Some("table") => Ok(true),
                // A view can be made to run for ever.
                Some(_) => Err(OpenCodeError::Shape),
                None => Ok(false),
            }
        };
        if !has_table("session")? || !has_table("message")? || !has_table("part")? {
            // Made and not yet filled, where it is that young.
            let is_young = now.since(modified_at(&metadata)) < MADE_MS;
            return Err(if is_young { OpenCodeError::Held } else { OpenCodeError::Shape });
        }
        let has_events = has_table("event_sequence")? && has_table("event")?;
        // Whatever is read of it must be there, so that a database is read as a whole or not at all.
        for sql in [SESSION, MESSAGES, PARTS] {
            db.prepare(sql)?;
        }
        Ok(Self { db, has_events, path: path.to_owned(), unopened, _guard: guard })
    }

    /// Ends the look; an error where what was read may be half of two states.
    pub(crate) fn done(self) -> Result<(), OpenCodeError> {
        let Some((size, modified)) = self.unopened else { return Ok(()) };
        let is_same = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|m| m.len() == size && modified_at(&m) == modified);
        if is_same { Ok(()) } else { Err(OpenCodeError::Held) }
    }

    /// All sessions, subagents' included.
    pub(crate) fn sessions(&self, now: Timestamp) -> Result<Vec<Listed>, OpenCodeError> {
        let sql = if self.has_events { SESSIONS } else { SESSIONS_WITHOUT_EVENTS };
        let mut select = self.db.prepare(sql)?;
        let rows = select.query_map([now.plus_ms(-LATELY_MS).0], listed)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How far the log of events goes; `None` where there is none.
    pub(crate) fn mark(&self) -> Result<Option<Mark>, OpenCodeError> {
        if !self.has_events {
            return Ok(None);
        }
        let mark =
            self.db.query_row(MARK, [], |row| Ok(Mark { event: row.get(0)?, sessions: row.get(1)? }))?;
        Ok(Some(mark))
    }

    /// Sessions that events were written of since `mark`, whatever the number of all; `None` where the log does not go on
    /// from there: a session was deleted, and its events with it, or the file was made anew.
    pub(crate) fn changed_since(&self, mark: Mark) -> Result<Option<(Vec<String>, Mark)>, OpenCodeError> {
        let Some(now) = self.mark()? else { return Ok(None) };
        if now.event < mark.event || now.sessions < mark.sessions {
            return Ok(None);
        }
        let mut select = self.db.prepare("SELECT DISTINCT aggregate_id FROM event WHERE rowid > ?1")?;
        let ids = select.query_map([mark.event], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Some((ids, now)))
    }

    /// One of them.
    pub(crate) fn session(&self, id: &str, now: Timestamp) -> Result<Option<Listed>, OpenCodeError> {
        let sql = if self.has_events { SESSIONS } else { SESSIONS_WITHOUT_EVENTS };
        let mut select = self.db.prepare_cached(&[sql, OF_ONE].concat())?;
        Ok(select.query_row((now.plus_ms(-LATELY_MS).0, id), listed).optional()?)
    }

    /// Its row.
    pub(crate) fn row(&self, id: &str) -> Result<SessionRow, OpenCodeError> {
        let row = self.db.query_row(SESSION, [id], |row| {
            Ok(SessionRow {
                id: row.get(0)?,
                parent: row.get(1)?,
                directory: row.get(2)?,
                title: row.get(3)?,
                version: row.get(4)?,
                permission: row.get(5)?,
                created: row.get(6)?,
            })
        })?;
        Ok(row)
    }

    /// Calls `take` with each message from `from` on and its parts, in their order, until it says that it has enough.
    pub(crate) fn messages(
        &self,
        session: &str,
        from: &str,
        mut take: impl FnMut(DataRow, Vec<DataRow>) -> bool,
    ) -> Result<(), OpenCodeError> {
        let mut messages = self.db.prepare(MESSAGES)?;
        let mut parts = self.db.prepare(PARTS)?;
        let mut rows = messages.query((session, from, MAX_ROW_BYTES))?;
        while let Some(row) = rows.next()? {
            let message = data_row(row)?;
            let parts =
                parts.query_map((message.id.as_str(), MAX_ROW_BYTES), data_row)?.collect::<Result<_, _>>()?;
            if !take(message, parts) {
                break;
            }
        }
        Ok(())
    }
}

/// What tells that something of a session changed: how many events its log has; where it has none, its latest time.
const SESSIONS: &str = "
    SELECT s.id, s.time_updated, e.seq,
           CASE WHEN e.seq IS NULL AND s.time_updated > ?1 THEN max(
               ifnull((SELECT m.time_updated FROM message m WHERE m.session_id = s.id ORDER BY m.rowid DESC LIMIT 1), 0),
               ifnull((SELECT p.time_updated FROM part p WHERE p.session_id = s.id ORDER BY p.rowid DESC LIMIT 1), 0))
           END
    FROM session s LEFT JOIN event_sequence e ON e.aggregate_id = s.id";

const SESSIONS_WITHOUT_EVENTS: &str = "
    SELECT s.id, s.time_updated, NULL,
           CASE WHEN s.time_updated > ?1 THEN max(
               ifnull((SELECT m.time_updated FROM message m WHERE m.session_id = s.id ORDER BY m.rowid DESC LIMIT 1), 0),
               ifnull((SELECT p.time_updated FROM part p WHERE p.session_id = s.id ORDER BY p.rowid DESC LIMIT 1), 0))
           END
    FROM session s";

/// Ends either of them.
const OF_ONE: &str = " WHERE s.id = ?2";

const MARK: &str = "SELECT ifnull((SELECT max(rowid) FROM event), 0), (SELECT count(*) FROM session)";

const SESSION: &str =
    "SELECT id, parent_id, directory, title, version, permission, time_created FROM session WHERE id = ?1";

const MESSAGES: &str = "
    SELECT id,
           CASE WHEN octet_length(data) <= ?3 THEN data
                WHEN json_valid(data) THEN json_remove(data, '$.summary.diffs', '$.system', '$.structured') END,
           octet_length(data) > ?3
    FROM message WHERE session_id = ?1 AND id >= ?2 ORDER BY id";

const PARTS: &str = "
    SELECT id,
           CASE WHEN octet_length(data) <= ?2 THEN data
                WHEN json_valid(data) THEN json_remove(data, '$.text', '$.url', '$.source', '$.state.output', '$.state.raw',
                     '$.state.attachments', '$.state.metadata.output', '$.state.metadata.diff', '$.state.input.content') END,
           octet_length(data) > ?2
    FROM part WHERE message_id = ?1 ORDER BY id";

/// A revision made of times holds the last 20 bits of milliseconds: it need only differ from the one before.
const TIME_BITS: i64 = (1 << 20) - 1;

fn listed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Listed> {
    let updated: i64 = row.get(1)?;
    let events: Option<i64> = row.get(2)?;
    let revision = match events {
        Some(seq) => seq.saturating_add(1),
        None => updated.max(row.get::<_, Option<i64>>(3)?.unwrap_or_default()) & TIME_BITS,
    };
    // 0 stands for a session of which nothing was read.
    Ok(Listed {
        id: row.get(0)?,
        updated: Timestamp(updated),
        revision: from_sql(revision).max(1),
        is_logged: events.is_some(),
    })
}

fn data_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<DataRow> {
    Ok(DataRow { id: row.get(0)?, data: row.get(1)?, was_cut: row.get(2)? })
}

/// A path as SQLite's URI.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    if cfg!(windows) {
        uri.push('/');
    }
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b'.' | b'_' | b'-' | b':' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(parameters);
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri_whatever_is_in_it() {
        assert_eq!(
            uri(Path::new("/h/a b?c#d%e/ü.db"), "?mode=ro"),
            "file:/h/a%20b%3Fc%23d%25e/%C3%BC.db?mode=ro"
        );
    }
}
