//! Traces as the screen shows them; read from the store with a connection of its own, never on the writer's way.

use lamplight_model::ids::TraceId;
use lamplight_model::trace::{Placed, preorder};
use lamplight_model::view::{SpanAttribute, SpanKind, SpanView, TokenTotals, Trace, TracePage, TraceSummary};
use rusqlite::Connection;

use super::view::{dollars, tokens};
use crate::errors::EngineError;
use crate::store::StoreError;
use crate::store::spans::StoredSpan;
use crate::store::spans::lists::{self, FIRST, Listed, Place};

/// Traces on one page at most.
const MOST_TRACES: usize = 200;

/// Spans shown of one trace.
const MOST_SPANS: usize = 2_000;

/// Spans whose places are looked at; as many as are kept of one trace.
const MOST_NODES: usize = 100_000;

/// Largest number of the contract.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Whose traces a page lists; without either, everybody's.
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceFilter<'a> {
    /// `service.name`.
    pub service: Option<&'a str>,
    /// `service.namespace`; only with a service, and then `None` is any.
    pub namespace: Option<&'a str>,
    /// `agent:session_id`, or the bare id if only one agent has it.
    pub session: Option<&'a str>,
}

/// A page of traces, the one that began last first.
pub(crate) fn page(
    db: &Connection,
    service: Option<(&str, Option<&str>)>,
    session: Option<i64>,
    before: Option<&str>,
    limit: u32,
) -> Result<TracePage, EngineError> {
    let limit = usize::try_from(limit).unwrap_or(MOST_TRACES).clamp(1, MOST_TRACES);
    let before = before.map(place).transpose()?.unwrap_or(FIRST);
    let mut places = match (service, session) {
        (None, None) => lists::places(db, before, limit + 1)?,
        (None, Some(session)) => lists::places_of_session(db, session, before, limit + 1)?,
        (Some((name, namespace)), session) => {
            let senders = lists::senders_named(db, name, namespace)?;
            match session {
                Some(session) => places_of_both(db, session, &senders, before, limit + 1)?,
                None => places_of_senders(db, &senders, before, limit + 1)?,
            }
        }
    };
    let is_more = places.len() > limit;
    places.truncate(limit);
    let next = places.last().filter(|_| is_more).map(|(at, row)| format!("{at}.{row}"));
    let mut traces = Vec::with_capacity(places.len());
    for (_, row) in places {
        // Between the two reads the writer may have let it go.
        traces.extend(lists::listed(db, row)?.map(summary));
    }
    Ok(TracePage { traces, next })
}

/// A service may send under several namespaces: their lists become one.
fn places_of_senders(
    db: &Connection,
    senders: &[i64],
    before: Place,
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    let mut all = Vec::new();
    for sender in senders {
        all.extend(lists::places_of_sender(db, *sender, before, limit)?);
    }
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all.truncate(limit);
    Ok(all)
}

fn places_of_both(
    db: &Connection,
    session: i64,
    senders: &[i64],
    mut before: Place,
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    let mut all = Vec::new();
    loop {
        let found = lists::places_of_session(db, session, before, MOST_TRACES)?;
        let Some(last) = found.last().copied() else { return Ok(all) };
        for place in found {
            if lists::members(db, place.1)?.0.iter().any(|s| senders.contains(s)) {
                all.push(place);
                if all.len() >= limit {
                    return Ok(all);
                }
            }
        }
        before = last;
    }
}

fn place(cursor: &str) -> Result<Place, EngineError> {
    let bad = || EngineError::BadRequest(format!("{cursor:?} is no cursor of a page"));
    let (at, row) = cursor.split_once('.').ok_or_else(bad)?;
    Ok((at.parse().map_err(|_| bad())?, row.parse().map_err(|_| bad())?))
}

/// A trace in full; `None` when it is not known.
pub(crate) fn trace(db: &Connection, id: TraceId) -> Result<Option<Trace>, EngineError> {
    let Some(row) = lists::find(db, id)? else { return Ok(None) };
    let Some(listed) = lists::listed(db, row)? else { return Ok(None) };
    let placed = preorder(&lists::nodes(db, row, MOST_NODES)?);
    let (start_ns, stored) = (listed.row.start_ns, listed.row.spans);
    let mut spans = Vec::with_capacity(placed.len().min(MOST_SPANS));
    for at in placed.iter().take(MOST_SPANS) {
        if let Some((span, service)) = lists::span_with_sender(db, row, at.id)? {
            spans.push(span_view(span, service, *at, start_ns));
        }
    }
    let cut = stored.saturating_sub(spans.len() as u64);
    Ok(Some(Trace { trace: summary(listed), spans, cut: count(cut) }))
}

/// A trace in a list.
pub(super) fn summary(listed: Listed) -> TraceSummary {
    let Listed { id, row, head, services, session } = listed;
    let sums = row.adds;
    TraceSummary {
        trace_id: id.to_string(),
        name: head.as_ref().map(|h| h.span.name.clone()).unwrap_or_default(),
        kind: head.as_ref().map_or(SpanKind::Other, |h| h.span.kind),
        has_root: !row.head.has_parent && head.is_some_and(|h| h.span.by_span),
        services,
        started_at_ms: row.start_ns.div_euclid(1_000_000),
        duration_us: micros(row.start_ns, row.end_ns),
        spans: count(row.spans),
        errors: count(sums.errors),
        models: row.models.into_iter().collect(),
        tokens: (sums.told > 0).then(|| tokens(sums.usage)),
        cost_usd: (sums.calls > 0 && sums.unpriced == 0).then(|| dollars(sums.cost_nano)),
        session,
    }
}

fn span_view(stored: StoredSpan, service: String, at: Placed, trace_start_ns: i64) -> SpanView {
    let cost_nano = stored.span.call.and_then(|call| call.cost_nano.or(stored.table_nano));
    let span = stored.span;
    let usage: Option<TokenTotals> =
        span.call.filter(|call| !call.usage.is_zero()).map(|call| tokens(call.usage));
    SpanView {
        span_id: at.id.to_string(),
        parent_span_id: span.parent.map(|id| id.to_string()),
        is_orphan: at.is_orphan,
        depth: at.depth,
        service,
        kind: span.kind,
        start_us: micros(trace_start_ns, span.start_ns),
        duration_us: micros(span.start_ns, span.last_ns()),
        is_error: span.is_error,
        message: span.message,
        model: span.model,
        tool: span.tool,
        tokens: usage,
        cost_usd: cost_nano.map(dollars),
        attributes: span.attributes.into_iter().map(|(key, value)| SpanAttribute { key, value }).collect(),
        name: span.name,
    }
}

fn micros(from_ns: i64, to_ns: i64) -> u64 {
    u64::try_from(to_ns.saturating_sub(from_ns) / 1_000).unwrap_or(0).min(MAX_NUMBER)
}

fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
