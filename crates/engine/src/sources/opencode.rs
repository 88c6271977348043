//! OpenCode's sessions: rows of one database, read as if each were a transcript of its own.
//!
//! A session has a path of its own, the database's and its id, and a revision where a file has a size; so it is listed,
//! read, imported and told in the way files are. [`read`] takes the place of the tailer.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId, Timestamp};
use serde::de::IgnoredAny;

use super::decode::{Decoded, Decoder};
use super::discover::Found;
use super::open::path_hash;
use super::tail::{Flow, Limits, Position, Stopped};
use crate::config::Root;
use crate::facts::{Cursor, FileBatch, FileId, FileRole, Issue, IssueKind};
use crate::store::opencode::{DataRow, LATELY_MS, Listed, Look, Mark, OpenCodeError, SessionRow};

/// Name of the database below a root.
pub(crate) const DATABASE: &str = "opencode.db";

/// Looks that end between two states of the database before it counts as held.
const LOOKS: usize = 3;

/// Why the sessions of a database are not known at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// OpenCode holds it for itself, or is changing it.
    Held,
    /// Its log is there without an index.
    NoIndex,
    /// It has other tables than those known.
    Shape,
    /// It cannot be opened, or is damaged.
    Unreadable,
    /// Something else stands in its place.
    NotAFile,
}

impl Trouble {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "database_held",
            Self::NoIndex => "database_no_index",
            Self::Shape => "database_shape",
            Self::Unreadable => "database_unreadable",
            Self::NotAFile => "not_a_file",
        }
    }

    /// What happened, and what to do.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Held => {
                "OpenCode holds its database for itself. It is looked at again with its next change; what is shown is from before."
            }
            Self::NoIndex => {
                "OpenCode's database has a write-ahead log without the index beside it, as a copy has. Start OpenCode on it once, or copy the file that ends with -shm too."
            }
            Self::Shape => {
                "OpenCode's database has other tables than this Lamplight knows: it is of another version. Its sessions are not read; use a newer Lamplight."
            }
            Self::Unreadable => {
                "OpenCode's database cannot be read: permission denied, or it is damaged. Make it readable for you, or see whether OpenCode itself can open it."
            }
            Self::NotAFile => {
                "Something that is no regular file stands where OpenCode's database should be. It is not opened."
            }
        }
    }
}

impl OpenCodeError {
    /// What to tell of it; `None` where there is no database at all.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        Some(match self {
            Self::Gone => return None,
            Self::NotAFile => Trouble::NotAFile,
            Self::Held => Trouble::Held,
            Self::NoIndex => Trouble::NoIndex,
            Self::Shape => Trouble::Shape,
            Self::Io(_) | Self::Sql(_) => Trouble::Unreadable,
        })
    }
}

/// Bytes of a root's database, its log included; `None` for a root of another agent's.
pub(crate) fn size(root: &Root) -> Option<u64> {
    (root.agent == Agent::OpenCode).then(|| {
        let length = |name: &str| std::fs::metadata(root.path.join(name)).map_or(0, |m| m.len());
        length(DATABASE).saturating_add(length("opencode.db-wal"))
    })
}

/// Whether a session is in its database.
///
/// # Errors
/// Why nobody can look.
pub(crate) fn is_there(path: &Path, now: Timestamp) -> Result<bool, Trouble> {
    let Some((database, session)) = session_of(path) else { return Ok(false) };
    let found = again(|| {
        let look = Look::open(database, now)?;
        let found = look.session(session, now)?.is_some();
        look.done().map(|()| found)
    });
    // Without a database there is none in it.
    found.or_else(|error| error.trouble().map_or(Ok(false), Err))
}

/// The path that stands for a session.
pub(crate) fn session_path(database: &Path, session: &SessionId) -> PathBuf {
    database.join(session.as_str())
}

/// The database of a session's path, and the session.
fn session_of(path: &Path) -> Option<(&Path, &str)> {
    Some((path.parent()?, path.file_name().and_then(OsStr::to_str)?))
}

/// The identity of a session in a database. Real devices have small numbers; a hash is none of them.
fn session_id(database: &Path, session: &SessionId) -> FileId {
    let ino = xxhash_rust::xxh3::xxh3_64(session.as_str().as_bytes());
    FileId { dev: path_hash(database) | 1 << 63, ino }
}

/// What a look at the sessions of a database found.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub found: Vec<Found>,
    pub issues: Vec<Issue>,
    /// From where on the log of events tells what changes; `None` where it does not tell all.
    pub mark: Option<Mark>,
}

/// Lists the sessions of a database.
pub(crate) fn list(database: &Path, now: Timestamp) -> Result<Sessions, OpenCodeError> {
    let (listed, mark) = again(|| {
        let look = Look::open(database, now)?;
        let listed = (look.sessions(now)?, look.mark()?);
        look.done().map(|()| listed)
    })?;
    // A release that keeps no log may be at work in the same database.
    let since = now.plus_ms(-LATELY_MS);
    let is_logged = listed.iter().all(|session| session.is_logged || session.updated < since);
    Ok(Sessions { mark: mark.filter(|_| is_logged), ..sessions(database, listed) })
}

/// Lists the sessions in which something changed since `mark`; `None` where all must be listed.
pub(crate) fn changed(
    database: &Path,
    mark: Mark,
    now: Timestamp,
) -> Result<Option<Sessions>, OpenCodeError> {
    let found = again(|| {
        let look = Look::open(database, now)?;
        let Some((ids, mark)) = look.changed_since(mark)? else { return look.done().map(|()| None) };
        let mut listed = Vec::with_capacity(ids.len());
        for id in ids {
            // An event of something else than a session names none.
            listed.extend(look.session(&id, now)?);
        }
        look.done().map(|()| Some((listed, mark)))
    })?;
    Ok(found.map(|(listed, mark)| Sessions { mark: Some(mark), ..sessions(database, listed) }))
}

fn sessions(database: &Path, sessions: Vec<Listed>) -> Sessions {
    let (mut found, mut issues) = (Vec::with_capacity(sessions.len()), Vec::new());
    for session in sessions {
        let Ok(id) = SessionId::new(&session.id) else {
            issues.push(Issue { kind: IssueKind::BadId, path: Some(database.to_owned()), at: None });
            continue;
        };
        found.push(Found {
            path: session_path(database, &id),
            file: session_id(database, &id),
            role: FileRole { agent: Agent::OpenCode, session: id, subagent: None },
            size_bytes: session.revision,
            modified_at: session.updated,
            meta: None,
        });
    }
    Sessions { found, issues, mark: None }
}

/// Hands on what changed in a session since `position`, and moves `position` along. Nothing is held of the database
/// while a batch is taken. It pauses only where the next look goes on: what is not settled is read again from its begin.
pub(crate) fn read(
    path: &Path,
    role: &FileRole,
    position: &mut Position,
    limits: Limits,
    read_at: Timestamp,
    take: &mut dyn FnMut(FileBatch) -> Flow,
) -> Result<Stopped, OpenCodeError> {
    let (database, session) = session_of(path).ok_or(OpenCodeError::Gone)?;
    let id = SessionId::new(session).map_err(|_| OpenCodeError::Gone)?;
    let file = session_id(database, &id);
    let known = position.cursor.as_ref().filter(|c| c.file == file && c.role == *role);
    // A carry of another version cannot be taken up: the session is read again rather than half understood.
    let carried = known.and_then(|c| serde_json::from_str::<Decoder>(&c.carry).ok());
    let carried = carried.filter(|decoder| matches!(decoder, Decoder::OpenCode(_)));
    let mut reset = known.is_some() && carried.is_none();
    let mut from = if carried.is_some() { known.map_or(0, |c| c.offset) } else { 0 };
    let mut decoder = carried.unwrap_or_else(|| Decoder::new(role));
    let mut after: Option<String> = None;
    let begin = settled_to(&decoder).to_owned();
    loop {
        let part = again(|| look(database, session, &decoder, after.as_deref(), limits, read_at))?;
        let mut out = Decoded::default();
        for line in &part.lines {
            decoder.line(role, line.as_bytes(), read_at, &mut out);
        }
        let kinds = part.issues.into_iter().chain(out.issues);
        // Until the whole of it has been read, a revision that no session has: a look after a kill goes on from here.
        let to = if part.is_last { part.revision } else { from.max(1) };
        let carry = serde_json::to_string(&decoder).expect("BUG: decoder state is plain data");
        position.cursor = Some(Cursor {
            file,
            path: path.to_owned(),
            role: role.clone(),
            offset: to,
            carry: carry.clone(),
        });
        position.searched_to = to;
        let flow = take(FileBatch {
            file,
            path: path.to_owned(),
            role: role.clone(),
            reset: std::mem::take(&mut reset),
            from: std::mem::replace(&mut from, to),
            to,
            carry,
            events: out.events,
            issues: kinds.map(|kind| Issue { kind, path: Some(path.to_owned()), at: None }).collect(),
            read_at,
        });
        if part.is_last {
            return Ok(Stopped::AtEnd);
        }
        if flow == Flow::Pause && settled_to(&decoder) != begin {
            return Ok(Stopped::Paused);
        }
        // Ids have one length, so that this stands right after the last.
        after = part.last.map(|last| last + "!");
    }
}

/// The message from which on the next look reads.
fn settled_to(decoder: &Decoder) -> &str {
    if let Decoder::OpenCode(carry) = decoder { carry.first_unsettled() } else { "" }
}

/// A part of a session, in one consistent state.
struct Piece {
    revision: u64,
    lines: Vec<String>,
    issues: Vec<IssueKind>,
    /// The last message in it.
    last: Option<String>,
    is_last: bool,
}

fn look(
    database: &Path,
    session: &str,
    decoder: &Decoder,
    after: Option<&str>,
    limits: Limits,
    now: Timestamp,
) -> Result<Piece, OpenCodeError> {
    let look = Look::open(database, now)?;
    let listed = look.session(session, now)?.ok_or(OpenCodeError::Gone)?;
    let row = look.row(session)?;
    let mut piece = Piece {
        revision: listed.revision,
        lines: vec![session_line(&row)],
        issues: Vec::new(),
        last: None,
        is_last: true,
    };
    let mut bytes: u64 = 0;
    look.messages(session, after.unwrap_or(settled_to(decoder)), |message, parts| {
        if bytes >= limits.batch_bytes || piece.lines.len() >= limits.batch_events {
            piece.is_last = false;
            return false;
        }
        let line = message_line(&message, &parts, &mut piece.issues);
        bytes = bytes.saturating_add(line.as_ref().map_or(0, |l| u64::try_from(l.len()).unwrap_or(u64::MAX)));
        piece.lines.extend(line);
        piece.last = Some(message.id);
        true
    })?;
    look.done()?;
    Ok(piece)
}

/// Looks again where a look fell between two states of a database that nobody had open before.
fn again<T>(mut look: impl FnMut() -> Result<T, OpenCodeError>) -> Result<T, OpenCodeError> {
    let mut tried = 1;
    loop {
        match look() {
            Err(OpenCodeError::Held) if tried < LOOKS => tried += 1,
            other => return other,
        }
    }
}

/// A session's row as a line.
fn session_line(row: &SessionRow) -> String {
    let columns = serde_json::to_string(row).expect("BUG: columns are plain data");
    let rules = row.permission.as_deref().filter(|text| is_json(text)).unwrap_or("null");
    let columns = columns.strip_suffix('}').unwrap_or(&columns);
    format!(r#"{{"row":"session","data":{columns},"permission":{rules}}}}}"#)
}

/// A message and its parts as a line; `None` where the message is no JSON.
fn message_line(message: &DataRow, parts: &[DataRow], issues: &mut Vec<IssueKind>) -> Option<String> {
    let mut line = String::from(r#"{"row":"message","id":"#);
    push_text(&mut line, &message.id);
    line.push_str(r#","data":"#);
    line.push_str(checked(message, issues)?);
    line.push_str(r#","parts":["#);
    let mut separator = "";
    for part in parts {
        let Some(data) = checked(part, issues) else { continue };
        line.push_str(separator);
        line.push_str(r#"{"id":"#);
        push_text(&mut line, &part.id);
        line.push_str(r#","data":"#);
        line.push_str(data);
        line.push('}');
        separator = ",";
    }
    line.push_str("]}");
    Some(line)
}

fn push_text(line: &mut String, text: &str) {
    line.push_str(&serde_json::to_string(text).expect("BUG: a text is plain data"));
}

/// The JSON of a row, if it is any: one bad row must not hide the others of its message.
fn checked<'a>(row: &'a DataRow, issues: &mut Vec<IssueKind>) -> Option<&'a str> {
    if row.was_cut {
        issues.push(IssueKind::LongLine);
    }
    let data = row.data.as_deref().filter(|data| is_json(data));
    if data.is_none() {
        issues.push(IssueKind::BadJson);
    }
    data
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
