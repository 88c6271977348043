//! Which traces a sender took part in and which name a session, and how they are listed.

use lamplight_model::ids::{SpanId, TraceId};
use lamplight_model::trace::Node;
use rusqlite::{Connection, OptionalExtension};

use super::{StoredSpan, TraceRow, span_id, span_row, trace_row};
use crate::store::{StoreError, from_sql};

/// A place in a list of traces: the begin, then the row.
pub(crate) type Place = (i64, i64);

/// Before every trace.
pub(crate) const FIRST: Place = (i64::MAX, i64::MAX);

/// Senders and sessions of a trace.
pub(crate) fn members(db: &Connection, trace: i64) -> Result<(Vec<i64>, Vec<i64>), StoreError> {
    let of = |sql: &str| -> Result<Vec<i64>, StoreError> {
        let mut select = db.prepare_cached(sql)?;
        let rows = select.query_map([trace], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    Ok((
        of("SELECT sender FROM trace_senders WHERE trace = ?1")?,
        of("SELECT session FROM trace_sessions WHERE trace = ?1")?,
    ))
}

/// Moves a trace in every list it stands in.
pub(crate) fn relist(db: &Connection, trace: i64, listed_ns: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE trace_senders SET listed_ns = ?2 WHERE trace = ?1")?
        .execute((trace, listed_ns))?;
    db.prepare_cached("UPDATE trace_sessions SET listed_ns = ?2 WHERE trace = ?1")?
        .execute((trace, listed_ns))?;
    Ok(())
}

/// Lists a trace under a sender.
pub(crate) fn add_sender(db: &Connection, sender: i64, trace: i64, listed_ns: i64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO trace_senders (sender, listed_ns, trace) VALUES (?1, ?2, ?3)")?
        .execute((sender, listed_ns, trace))?;
    Ok(())
}

/// Lists a trace under a session.
pub(crate) fn add_session(
    db: &Connection,
    session: i64,
    trace: i64,
    listed_ns: i64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO trace_sessions (session, listed_ns, trace) VALUES (?1, ?2, ?3)",
    )?
    .execute((session, listed_ns, trace))?;
    Ok(())
}

/// Senders of a name, of one namespace or of all.
pub(crate) fn senders_named(
    db: &Connection,
    name: &str,
    namespace: Option<&str>,
) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id FROM span_senders WHERE name = ?1 AND (?2 IS NULL OR namespace = ?2) ORDER BY id",
    )?;
    let rows = select.query_map((name, namespace), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Places after `before`, the latest first: of all traces.
pub(crate) fn places(db: &Connection, before: Place, limit: usize) -> Result<Vec<Place>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT listed_ns, id FROM traces WHERE (listed_ns, id) < (?1, ?2) ORDER BY listed_ns DESC, id DESC LIMIT ?3",
    )?;
    let rows =
        select.query_map((before.0, before.1, rows_of(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Likewise, of the traces of a sender.
pub(crate) fn places_of_sender(
    db: &Connection,
    sender: i64,
    before: Place,
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT listed_ns, trace FROM trace_senders WHERE sender = ?1 AND (listed_ns, trace) < (?2, ?3)
         ORDER BY listed_ns DESC, trace DESC LIMIT ?4",
    )?;
    let rows = select
        .query_map((sender, before.0, before.1, rows_of(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Likewise, of the traces of a session.
pub(crate) fn places_of_session(
    db: &Connection,
    session: i64,
    before: Place,
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT listed_ns, trace FROM trace_sessions WHERE session = ?1 AND (listed_ns, trace) < (?2, ?3)
         ORDER BY listed_ns DESC, trace DESC LIMIT ?4",
    )?;
    let rows = select
        .query_map((session, before.0, before.1, rows_of(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn rows_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// How many traces a sender took part in.
pub(crate) fn count_of_sender(db: &Connection, sender: i64) -> Result<u64, StoreError> {
    let mut count = db.prepare_cached("SELECT count(*) FROM trace_senders WHERE sender = ?1")?;
    Ok(from_sql(count.query_row([sender], |row| row.get(0))?))
}

/// A trace in a list.
#[derive(Debug, PartialEq)]
pub(crate) struct Listed {
    pub id: TraceId,
    pub row: TraceRow,
    /// The span that speaks for it.
    pub head: Option<StoredSpan>,
    /// Names of who took part, the head's first, then by name.
    pub services: Vec<String>,
    /// `agent:session_id` of its owner.
    pub session: Option<String>,
}

/// Reads a trace as lists show it.
pub(crate) fn listed(db: &Connection, trace: i64) -> Result<Option<Listed>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        super::trace_columns!(),
        ", t.trace_id, s.agent || ':' || s.session_id FROM traces t LEFT JOIN sessions s ON s.id = COALESCE(t.session, t.run_session) WHERE t.id = ?1"
    ))?;
    let found = select
        .query_row([trace], |row| Ok((trace_row(row)?, row.get::<_, [u8; 16]>(23)?, row.get(24)?)))
        .optional()?;
    let Some((row, id, session)) = found else { return Ok(None) };
    let Some(id) = TraceId::from_bytes(&id) else { return Ok(None) };
    let head = super::get(db, trace, row.head.span)?;
    let mut names = db.prepare_cached(
        "SELECT n.name FROM trace_senders t JOIN span_senders n ON n.id = t.sender
         WHERE t.trace = ?1 ORDER BY n.id <> ?2, n.name",
    )?;
    let first = head.as_ref().map_or(0, |h| h.sender);
    let mut services: Vec<String> = Vec::new();
    let mut rows = names.query((trace, first))?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        // One name may stand for several namespaces.
        if !services.contains(&name) {
            services.push(name);
        }
    }
    Ok(Some(Listed { id, row, head, services, session }))
}

/// Row of a trace.
pub(crate) fn find(db: &Connection, id: TraceId) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM traces WHERE trace_id = ?1")?;
    Ok(select.query_row([id.bytes()], |row| row.get(0)).optional()?)
}

/// Places of the spans of a trace in its tree, at most `limit`.
pub(crate) fn nodes(db: &Connection, trace: i64, limit: usize) -> Result<Vec<Node>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT span, parent, start_ns FROM spans WHERE trace = ?1 LIMIT ?2")?;
    let rows = select.query_map((trace, rows_of(limit)), |row| {
        let parent: Option<i64> = row.get(1)?;
        Ok(Node {
            id: span_id(row.get(0)?)?,
            parent: parent.map(span_id).transpose()?,
            start_ns: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a span and the name of who sent it.
pub(crate) fn span_with_sender(
    db: &Connection,
    trace: i64,
    id: SpanId,
) -> Result<Option<(StoredSpan, String)>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        super::span_columns!(),
        ", n.name FROM spans s JOIN span_senders n ON n.id = s.sender WHERE s.trace = ?1 AND s.span = ?2"
    ))?;
    Ok(select
        .query_row((trace, super::span_number(id)), |row| Ok((span_row(row)?, row.get(22)?)))
        .optional()?)
}
