//! Spans and the sums of their traces.
//!
//! A span is stored once, under its trace's row; a row of a trace holds what its spans add up to, changed by difference,
//! so that neither a list of traces nor a further span ever reads the spans that are there.

pub(crate) mod erase;
pub(crate) mod lists;
pub(crate) mod operations;
pub(crate) mod retention;

use std::collections::{BTreeMap, BTreeSet};

use lamplight_model::event::Usage;
use lamplight_model::ids::{SpanId, TraceId};
use lamplight_model::trace::{Call, Span};
use lamplight_model::view::SpanKind;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, from_sql, to_sql};

/// Models named per trace: the first by name.
const MOST_MODELS: usize = 16;

/// A span as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSpan {
    pub id: SpanId,
    /// Row of who sent it.
    pub sender: i64,
    /// Row of the session it names.
    pub session: Option<i64>,
    pub span: Span,
    /// Its cost by the price table when it was stored, where none was reported.
    pub table_nano: Option<u64>,
}

/// Which span speaks for a trace: a root before others, then the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub has_parent: bool,
    pub start_ns: i64,
    pub span: SpanId,
}

/// Which session owns what a trace's spans without one spent: the one that the earliest span names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub start_ns: i64,
    pub span: SpanId,
    /// Its row.
    pub session: i64,
}

/// What spans add to the sums of their trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Adds {
    pub errors: u64,
    /// Model calls.
    pub calls: u64,
    /// Of these, those whose tokens are known.
    pub told: u64,
    /// Of these, those whose cost is not known.
    pub unpriced: u64,
    pub usage: Usage,
    pub cost_nano: u64,
}

/// The row of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceRow {
    pub row: i64,
    pub start_ns: i64,
    pub end_ns: i64,
    /// Its place in lists: the begin, never later than the moment of arrival.
    pub listed_ns: i64,
    pub spans: u64,
    pub head: Head,
    pub adds: Adds,
    /// Models called, by name.
    pub models: BTreeSet<String>,
    pub owner: Option<Owner>,
    /// Row of the session that stands for the trace itself: a run was declared, and no session.
    pub run_session: Option<i64>,
}

impl StoredSpan {
    /// What it adds to the sums of its trace.
    pub(crate) fn adds(&self) -> Adds {
        let is_error = self.span.is_error == Some(true);
        let Some(call) = self.span.call else {
            return Adds { errors: u64::from(is_error), ..Adds::default() };
        };
        let cost = call.cost_nano.or(self.table_nano);
        let is_told = !call.usage.is_zero();
        Adds {
            errors: u64::from(is_error),
            calls: 1,
            told: u64::from(is_told),
            // A failed call without tokens cost nothing; of a good one without them nobody knows.
            unpriced: u64::from(cost.is_none() && (is_told || !is_error)),
            usage: call.usage,
            cost_nano: cost.unwrap_or(0),
        }
    }

    pub(crate) fn head(&self) -> Head {
        Head { has_parent: self.span.parent.is_some(), start_ns: self.span.start_ns, span: self.id }
    }
}

impl Adds {
    pub(crate) fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add, Usage::plus)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub, Usage::without)
    }

    fn each(self, o: Self, f: impl Fn(u64, u64) -> u64, usage: impl Fn(Usage, Usage) -> Usage) -> Self {
        Self {
            errors: f(self.errors, o.errors),
            calls: f(self.calls, o.calls),
            told: f(self.told, o.told),
            unpriced: f(self.unpriced, o.unpriced),
            usage: usage(self.usage, o.usage),
            cost_nano: f(self.cost_nano, o.cost_nano),
        }
    }
}

impl TraceRow {
    pub(crate) fn name_model(&mut self, model: String) {
        self.models.insert(model);
        while self.models.len() > MOST_MODELS {
            self.models.pop_last();
        }
    }
}

/// Row of a sender; created when it is met first.
pub(crate) fn sender_row(
    db: &Connection,
    name: &str,
    namespace: &str,
    is_service: bool,
) -> Result<i64, StoreError> {
    let found: Option<i64> = db
        .prepare_cached("SELECT id FROM span_senders WHERE name = ?1 AND namespace = ?2 AND is_service = ?3")?
        .query_row((name, namespace, is_service), |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => Ok(db
            .prepare_cached(
                "INSERT INTO span_senders (name, namespace, is_service) VALUES (?1, ?2, ?3) RETURNING id",
            )?
            .query_row((name, namespace, is_service), |row| row.get(0))?),
    }
}

/// How many senders are known.
pub(crate) fn senders(db: &Connection) -> Result<u64, StoreError> {
    let mut count = db.prepare_cached("SELECT count(*) FROM span_senders")?;
    Ok(from_sql(count.query_row([], |row| row.get(0))?))
}

/// Columns of a span, in the order [`span_row`] reads them.
macro_rules! span_columns {
    () => {
        "s.span, s.sender, s.session, s.by_span, s.parent, s.kind, s.start_ns, s.end_ns, s.is_error, s.name, s.message, \
         s.model, s.tool, s.is_call, s.input, s.output, s.cache_write_5m, s.cache_write_1h, s.cache_read, s.cost_nano, \
         s.table_nano, s.attributes"
    };
}
pub(crate) use span_columns;

/// Columns of a trace, in the order [`trace_row`] reads them.
macro_rules! trace_columns {
    () => {
        "t.id, t.start_ns, t.end_ns, t.listed_ns, t.spans, t.head, t.head_is_root, t.head_start_ns, t.errors, t.calls, \
         t.told, t.unpriced, t.input, t.output, t.cache_write_5m, t.cache_write_1h, t.cache_read, t.cost_nano, t.models, \
         t.session, t.session_start_ns, t.session_span, t.run_session"
    };
}
pub(crate) use trace_columns;

/// Reads the row of a trace.
pub(crate) fn trace(db: &Connection, id: TraceId) -> Result<Option<TraceRow>, StoreError> {
    let mut select =
        db.prepare_cached(concat!("SELECT ", trace_columns!(), " FROM traces t WHERE t.trace_id = ?1"))?;
    Ok(select.query_row([id.bytes()], trace_row).optional()?)
}

/// Reads the columns of [`trace_columns`].
pub(crate) fn trace_row(row: &Row<'_>) -> rusqlite::Result<TraceRow> {
    let n = |i: usize| -> rusqlite::Result<u64> { Ok(from_sql(row.get(i)?)) };
    let models: String = row.get(18)?;
    let owner = row.get::<_, Option<i64>>(19)?;
    Ok(TraceRow {
        row: row.get(0)?,
        start_ns: row.get(1)?,
        end_ns: row.get(2)?,
        listed_ns: row.get(3)?,
        spans: n(4)?,
        head: Head {
            has_parent: !row.get::<_, bool>(6)?,
            start_ns: row.get(7)?,
            span: span_id(row.get(5)?)?,
        },
        adds: Adds {
            errors: n(8)?,
            calls: n(9)?,
            told: n(10)?,
            unpriced: n(11)?,
            usage: Usage {
                input: n(12)?,
                output: n(13)?,
                cache_write_5m: n(14)?,
                cache_write_1h: n(15)?,
                cache_read: n(16)?,
            },
            cost_nano: n(17)?,
        },
        models: models.lines().map(str::to_owned).collect(),
        owner: match owner {
            Some(session) => Some(Owner { start_ns: row.get(20)?, span: span_id(row.get(21)?)?, session }),
            None => None,
        },
        run_session: row.get(22)?,
    })
}

/// Makes the row of a trace that its first span opens.
pub(crate) fn open_trace(
    db: &Connection,
    id: TraceId,
    first: &StoredSpan,
    listed_ns: i64,
) -> Result<TraceRow, StoreError> {
    let head = first.head();
    let mut insert = db.prepare_cached(
        "INSERT INTO traces (trace_id, start_ns, end_ns, listed_ns, spans, errors, head, head_is_root, head_start_ns,
                             calls, told, unpriced, input, output, cache_write_5m, cache_write_1h, cache_read, cost_nano,
                             models)
         VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6, ?2, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')",
    )?;
    let (start_ns, end_ns) = (first.span.start_ns, first.span.last_ns());
    insert.execute((id.bytes(), start_ns, end_ns, listed_ns, span_number(head.span), !head.has_parent))?;
    Ok(TraceRow {
        row: db.last_insert_rowid(),
        start_ns,
        end_ns,
        listed_ns,
        spans: 0,
        head,
        adds: Adds::default(),
        models: BTreeSet::new(),
        owner: None,
        run_session: None,
    })
}

/// Writes the row of a trace.
pub(crate) fn save_trace(db: &Connection, t: &TraceRow) -> Result<(), StoreError> {
    let mut update = db.prepare_cached(
        "UPDATE traces SET start_ns = ?2, end_ns = ?3, listed_ns = ?4, spans = ?5, errors = ?6, head = ?7,
                head_is_root = ?8, head_start_ns = ?9, calls = ?10, told = ?11, unpriced = ?12, input = ?13,
                output = ?14, cache_write_5m = ?15, cache_write_1h = ?16, cache_read = ?17, cost_nano = ?18,
                models = ?19, session = ?20, session_start_ns = ?21, session_span = ?22,
                run_session = ?23
         WHERE id = ?1",
    )?;
    let (a, u) = (&t.adds, &t.adds.usage);
    let models: Vec<&str> = t.models.iter().map(String::as_str).collect();
    update.execute(rusqlite::params![
        t.row,
        t.start_ns,
        t.end_ns,
        t.listed_ns,
        to_sql(t.spans),
        to_sql(a.errors),
        span_number(t.head.span),
        !t.head.has_parent,
        t.head.start_ns,
        to_sql(a.calls),
        to_sql(a.told),
        to_sql(a.unpriced),
        to_sql(u.input),
        to_sql(u.output),
        to_sql(u.cache_write_5m),
        to_sql(u.cache_write_1h),
        to_sql(u.cache_read),
        to_sql(a.cost_nano),
        models.join("\n"),
        t.owner.map(|o| o.session),
        t.owner.map_or(0, |o| o.start_ns),
        t.owner.map_or(0, |o| span_number(o.span)),
        t.run_session,
    ])?;
    Ok(())
}

/// Stores a span that is not there; `false` when it is, and then nothing was changed.
pub(crate) fn insert(
    db: &Connection,
    trace: i64,
    s: &StoredSpan,
    attributes: Option<&str>,
) -> Result<bool, StoreError> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO spans
         (trace, span, sender, session, by_span, parent, kind, start_ns, end_ns, is_error, name, message, model, tool,
          is_call, input, output, cache_write_5m, cache_write_1h, cache_read, cost_nano, table_nano, attributes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
    )?;
    put(&mut insert, trace, s, attributes)
}

/// Writes a span anew.
pub(crate) fn update(
    db: &Connection,
    trace: i64,
    s: &StoredSpan,
    attributes: Option<&str>,
) -> Result<(), StoreError> {
    let mut update = db.prepare_cached(
        "UPDATE spans SET sender = ?3, session = ?4, by_span = ?5, parent = ?6, kind = ?7, start_ns = ?8, end_ns = ?9,
                is_error = ?10, name = ?11, message = ?12, model = ?13, tool = ?14, is_call = ?15, input = ?16,
                output = ?17, cache_write_5m = ?18, cache_write_1h = ?19, cache_read = ?20, cost_nano = ?21,
                table_nano = ?22, attributes = ?23
         WHERE trace = ?1 AND span = ?2",
    )?;
    put(&mut update, trace, s, attributes).map(|_| ())
}

fn put(
    statement: &mut rusqlite::Statement<'_>,
    trace: i64,
    s: &StoredSpan,
    attributes: Option<&str>,
) -> Result<bool, StoreError> {
    let span = &s.span;
    let usage = span.call.map(|c| c.usage);
    let done = statement.execute(rusqlite::params![
        trace,
        span_number(s.id),
        s.sender,
        s.session,
        span.by_span,
        span.parent.map(span_number),
        kind_number(span.kind),
        span.start_ns,
        span.end_ns,
        span.is_error,
        span.name,
        span.message,
        span.model,
        span.tool,
        span.call.is_some(),
        usage.map(|u| to_sql(u.input)),
        usage.map(|u| to_sql(u.output)),
        usage.map(|u| to_sql(u.cache_write_5m)),
        usage.map(|u| to_sql(u.cache_write_1h)),
        usage.map(|u| to_sql(u.cache_read)),
        span.call.and_then(|c| c.cost_nano).map(to_sql),
        s.table_nano.map(to_sql),
        attributes,
    ])?;
    Ok(done > 0)
}

/// Reads a span.
pub(crate) fn get(db: &Connection, trace: i64, id: SpanId) -> Result<Option<StoredSpan>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        span_columns!(),
        " FROM spans s WHERE s.trace = ?1 AND s.span = ?2"
    ))?;
    Ok(select.query_row((trace, span_number(id)), span_row).optional()?)
}

/// Spans of a trace by services that name no session, and are a model call or a tool.
pub(crate) fn unclaimed(db: &Connection, trace: i64) -> Result<Vec<StoredSpan>, StoreError> {
    let mut select = db.prepare_cached(concat!(
        "SELECT ",
        span_columns!(),
        " FROM spans s JOIN span_senders n ON n.id = s.sender
         WHERE s.trace = ?1 AND s.session IS NULL AND (s.is_call = 1 OR s.kind = ?2) AND n.is_service = 1"
    ))?;
    let rows = select.query_map((trace, kind_number(SpanKind::Tool)), span_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn span_row(row: &Row<'_>) -> rusqlite::Result<StoredSpan> {
    let n = |i: usize| -> rusqlite::Result<u64> { Ok(row.get::<_, Option<i64>>(i)?.map_or(0, from_sql)) };
    let call = row.get::<_, bool>(13)?.then_some(Call {
        usage: Usage {
            input: n(14)?,
            output: n(15)?,
            cache_write_5m: n(16)?,
            cache_write_1h: n(17)?,
            cache_read: n(18)?,
        },
        cost_nano: row.get::<_, Option<i64>>(19)?.map(from_sql),
    });
    let parent: Option<i64> = row.get(4)?;
    let attributes: Option<String> = row.get(21)?;
    Ok(StoredSpan {
        id: span_id(row.get(0)?)?,
        sender: row.get(1)?,
        session: row.get(2)?,
        span: Span {
            by_span: row.get(3)?,
            parent: parent.map(span_id).transpose()?,
            kind: kind_of(row.get(5)?),
            start_ns: row.get(6)?,
            end_ns: row.get(7)?,
            is_error: row.get(8)?,
            name: row.get(9)?,
            message: row.get(10)?,
            model: row.get(11)?,
            tool: row.get(12)?,
            call,
            attributes: attributes.as_deref().map(read_attributes).unwrap_or_default(),
        },
        table_nano: row.get::<_, Option<i64>>(20)?.map(from_sql),
    })
}

/// Reads attributes as they are stored; what a foreign hand wrote there counts as none.
pub(crate) fn read_attributes(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The head of a trace, looked for among its spans: the one that was it has changed.
pub(crate) fn find_head(db: &Connection, trace: i64) -> Result<Option<Head>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT parent IS NOT NULL, start_ns, span FROM spans WHERE trace = ?1")?;
    let mut rows = select.query([trace])?;
    let mut head: Option<Head> = None;
    while let Some(row) = rows.next()? {
        let found = Head { has_parent: row.get(0)?, start_ns: row.get(1)?, span: span_id(row.get(2)?)? };
        head = Some(head.map_or(found, |h| h.min(found)));
    }
    Ok(head)
}

/// The owner of a trace, likewise.
pub(crate) fn find_owner(db: &Connection, trace: i64) -> Result<Option<Owner>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT start_ns, span, session FROM spans WHERE trace = ?1 AND session IS NOT NULL",
    )?;
    let mut rows = select.query([trace])?;
    let mut owner: Option<Owner> = None;
    while let Some(row) = rows.next()? {
        let found = Owner { start_ns: row.get(0)?, span: span_id(row.get(1)?)?, session: row.get(2)? };
        owner = Some(owner.map_or(found, |o| o.min(found)));
    }
    Ok(owner)
}

/// Models of a trace's spans, likewise.
pub(crate) fn find_models(db: &Connection, trace: i64) -> Result<BTreeSet<String>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT DISTINCT model FROM spans WHERE trace = ?1 AND is_call = 1 AND model IS NOT NULL ORDER BY model",
    )?;
    let rows = select.query_map([trace], |row| row.get(0))?;
    Ok(rows.take(MOST_MODELS).collect::<Result<_, _>>()?)
}

/// Eight bytes as SQLite's signed number.
pub(crate) fn span_number(id: SpanId) -> i64 {
    i64::from_be_bytes(id.bytes())
}

/// Back again; zero is no id, and only a foreign hand can have written one.
pub(crate) fn span_id(number: i64) -> rusqlite::Result<SpanId> {
    SpanId::from_bytes(&number.to_be_bytes()).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// Numbers of kinds in the database.
const KINDS: [SpanKind; 8] = [
    SpanKind::Agent,
    SpanKind::Llm,
    SpanKind::Tool,
    SpanKind::Retrieval,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Blocked,
    SpanKind::Other,
];

pub(crate) fn kind_number(kind: SpanKind) -> i64 {
    match kind {
        SpanKind::Agent => 0,
        SpanKind::Llm => 1,
        SpanKind::Tool => 2,
        SpanKind::Retrieval => 3,
        SpanKind::Server => 4,
        SpanKind::Client => 5,
        SpanKind::Blocked => 6,
        SpanKind::Other => 7,
    }
}

pub(crate) fn kind_of(number: i64) -> SpanKind {
    usize::try_from(number).ok().and_then(|at| KINDS.get(at)).copied().unwrap_or(SpanKind::Other)
}
