//! Taking the spans of sessions out. Sums of services and of the sessions that are left stay what they are.

use rusqlite::{Connection, OptionalExtension};

use super::{
    Adds, Owner, find_head, find_models, find_owner, save_trace, span_columns, span_row, trace_columns,
    trace_row,
};
use crate::store::StoreError;

/// Takes out the spans of the sessions in `going`, a JSON array of their rows: those that name one, and those that name
/// none in a trace that one of them owns. A trace of which nothing is left goes.
pub(crate) fn sessions(db: &Connection, going: &str) -> Result<(), StoreError> {
    let mut select = db.prepare(
        "SELECT DISTINCT trace FROM trace_sessions WHERE session IN (SELECT value FROM json_each(?1))",
    )?;
    let traces: Vec<i64> = select.query_map([going], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for trace in traces {
        db.prepare_cached(
            "DELETE FROM spans WHERE trace = ?1 AND (
                 session IN (SELECT value FROM json_each(?2))
                 OR (session IS NULL AND (SELECT coalesce(session, run_session) FROM traces WHERE id = ?1)
                                         IN (SELECT value FROM json_each(?2))))",
        )?
        .execute((trace, going))?;
        db.prepare_cached(
            "DELETE FROM trace_sessions WHERE trace = ?1 AND session IN (SELECT value FROM json_each(?2))",
        )?
        .execute((trace, going))?;
        db.prepare_cached(
            "DELETE FROM trace_senders
             WHERE trace = ?1 AND sender NOT IN (SELECT sender FROM spans WHERE trace = ?1)",
        )?
        .execute([trace])?;
        db.prepare_cached(
            "UPDATE traces SET run_session = NULL
             WHERE id = ?1 AND run_session IN (SELECT value FROM json_each(?2))",
        )?
        .execute((trace, going))?;
        recount(db, trace)?;
    }
    // What a coding agent's user wrote as its namespace is a project's name.
    db.execute(
        "DELETE FROM span_senders
         WHERE is_service = 0 AND NOT EXISTS (SELECT 1 FROM trace_senders t WHERE t.sender = span_senders.id)",
        [],
    )?;
    Ok(())
}

/// Works the row of a trace out anew from the spans that are left of it.
fn recount(db: &Connection, trace: i64) -> Result<(), StoreError> {
    let Some(head) = find_head(db, trace)? else {
        db.prepare_cached("DELETE FROM trace_sessions WHERE trace = ?1")?.execute([trace])?;
        db.prepare_cached("DELETE FROM traces WHERE id = ?1")?.execute([trace])?;
        return Ok(());
    };
    let mut select =
        db.prepare_cached(concat!("SELECT ", trace_columns!(), " FROM traces t WHERE t.id = ?1"))?;
    let Some(mut row) = select.query_row([trace], trace_row).optional()? else { return Ok(()) };
    let mut select =
        db.prepare_cached(concat!("SELECT ", span_columns!(), " FROM spans s WHERE s.trace = ?1"))?;
    let mut spans = select.query([trace])?;
    (row.spans, row.adds, row.start_ns, row.end_ns) = (0, Adds::default(), i64::MAX, i64::MIN);
    while let Some(span) = spans.next()? {
        let span = span_row(span)?;
        row.spans += 1;
        row.adds = row.adds.plus(span.adds());
        row.start_ns = row.start_ns.min(span.span.start_ns);
        row.end_ns = row.end_ns.max(span.span.last_ns());
    }
    row.head = head;
    row.models = find_models(db, trace)?;
    let owner: Option<Owner> = find_owner(db, trace)?;
    row.owner = owner;
    save_trace(db, &row)
}
