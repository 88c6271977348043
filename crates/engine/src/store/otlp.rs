//! What telemetry leaves behind: which records were counted, what requests cost, and per-minute sums of services.

use lamplight_model::event::Usage;
use lamplight_model::ids::{FactId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, from_sql, to_sql};
use crate::sources::otlp::{Called, Kind, RecordId, Requested};

const DAY_MS: i64 = 86_400_000;

/// Time of a record that marks a model call as told; no record has it.
const CALL_MARK_NS: i64 = -1;

/// Marks forgotten with one request; more than one brings, so that they end.
const PRUNED_AT_ONCE: i64 = 4_000;

/// Requests of a session whose latencies are looked at, the latest ones.
const MOST_LATENCIES: i64 = 10_000;

/// Minutes of services are kept this long.
const KEPT_MINUTES: i64 = 400 * 1_440;

/// Marks a record as counted; `false` when it was before, today or yesterday.
pub(crate) fn first_sight(db: &Connection, id: RecordId, received: Timestamp) -> Result<bool, StoreError> {
    let day = received.0.div_euclid(DAY_MS);
    if is_seen(db, id, day - 1)? {
        return Ok(false);
    }
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO telemetry_seen (day, at_ns, hash) VALUES (?1, ?2, ?3)")?;
    Ok(insert.execute((day, id.at_ns, id.hash.0.to_be_bytes()))? > 0)
}

fn is_seen(db: &Connection, id: RecordId, day: i64) -> Result<bool, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM telemetry_seen WHERE day = ?1 AND at_ns = ?2 AND hash = ?3)",
    )?;
    Ok(select.query_row((day, id.at_ns, id.hash.0.to_be_bytes()), |row| row.get(0))?)
}

/// Marks a model call as told by a log record; `false` when it was before.
pub(crate) fn mark_call(db: &Connection, call: FactId, received: Timestamp) -> Result<bool, StoreError> {
    first_sight(db, RecordId { at_ns: CALL_MARK_NS, hash: call }, received)
}

/// Whether a log record told of a model call.
pub(crate) fn is_call_marked(db: &Connection, call: FactId, received: Timestamp) -> Result<bool, StoreError> {
    let id = RecordId { at_ns: CALL_MARK_NS, hash: call };
    let day = received.0.div_euclid(DAY_MS);
    Ok(is_seen(db, id, day)? || is_seen(db, id, day - 1)?)
}

/// Forgets some of the marks of days before yesterday; called with every request, so that none waits for a whole day's
/// to go.
pub(crate) fn prune_marks(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let oldest: Option<i64> =
        db.prepare_cached("SELECT min(day) FROM telemetry_seen")?.query_row([], |row| row.get(0))?;
    let Some(day) = oldest.filter(|day| *day < now.0.div_euclid(DAY_MS) - 1) else { return Ok(()) };
    let until: Option<i64> = db
        .prepare_cached("SELECT at_ns FROM telemetry_seen WHERE day = ?1 ORDER BY at_ns LIMIT 1 OFFSET ?2")?
        .query_row((day, PRUNED_AT_ONCE), |row| row.get(0))
        .optional()?;
    db.prepare_cached("DELETE FROM telemetry_seen WHERE day = ?1 AND at_ns <= ?2")?
        .execute((day, until.unwrap_or(i64::MAX)))?;
    Ok(())
}

/// Forgets minutes that are too old to matter.
pub(crate) fn prune_minutes(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let oldest = now.0.div_euclid(60_000) - KEPT_MINUTES;
    db.execute("DELETE FROM service_minutes WHERE minute < ?1", [oldest])?;
    db.execute("DELETE FROM service_latency WHERE minute < ?1", [oldest])?;
    db.execute("DELETE FROM service_model_hours WHERE hour < ?1", [oldest / 60])?;
    Ok(())
}

/// A request as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRequest {
    /// Row of the session that made it.
    pub session: i64,
    /// Model as the agent reported it.
    pub model: String,
    pub usage: Usage,
    pub cost_nano: Option<u64>,
    /// The response it was joined to.
    pub call: Option<FactId>,
}

/// A response of a transcript, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedCall {
    /// Row of the session that owns it.
    pub owner: i64,
    pub model: String,
    pub usage: Usage,
}

/// What storing a request did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was not known.
    New,
    /// It was known without its cost, and has it now; this is what stood there.
    Priced(StoredRequest),
    /// It was known.
    Known,
}

/// Stores a request. A span and a log record tell of the same one; only the record knows what it cost, and its usage
/// splits what was written to the cache.
pub(crate) fn put_request(
    db: &Connection,
    r: &Requested,
    session: i64,
    model: i64,
) -> Result<Put, StoreError> {
    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO reported_requests
         (request, session, at_ms, model, input, output, cache_write_5m, cache_write_1h, cache_read, cost_nano,
          duration_ms, ttft_ms, attempt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let u = r.usage;
    let done = insert.execute(rusqlite::params![
        r.request.0.to_be_bytes(),
        session,
        r.at.0,
        model,
        to_sql(u.input),
        to_sql(u.output),
        to_sql(u.cache_write_5m),
        to_sql(u.cache_write_1h),
        to_sql(u.cache_read),
        r.cost_nano.map(to_sql),
        r.duration_ms.map(to_sql),
        r.ttft_ms.map(to_sql),
        r.attempt,
    ])?;
    if done > 0 {
        return Ok(Put::New);
    }
    if r.attempt.is_some() {
        db.prepare_cached(
            "UPDATE reported_requests SET attempt = ?2 WHERE request = ?1 AND attempt IS NULL",
        )?
        .execute((r.request.0.to_be_bytes(), r.attempt))?;
    }
    let Some(cost) = r.cost_nano else { return Ok(Put::Known) };
    let Some(before) = request(db, r.request)?.filter(|known| known.cost_nano.is_none()) else {
        return Ok(Put::Known);
    };
    db.prepare_cached(
        "UPDATE reported_requests SET model = ?2, input = ?3, output = ?4, cache_write_5m = ?5, cache_write_1h = ?6,
         cache_read = ?7, cost_nano = ?8 WHERE request = ?1",
    )?
    .execute((
        r.request.0.to_be_bytes(),
        model,
        to_sql(u.input),
        to_sql(u.output),
        to_sql(u.cache_write_5m),
        to_sql(u.cache_write_1h),
        to_sql(u.cache_read),
        to_sql(cost),
    ))?;
    Ok(Put::Priced(before))
}

/// Stores what a record tells of a tool call; `true` when the call was not known.
pub(crate) fn put_called(db: &Connection, c: &Called, session: i64) -> Result<bool, StoreError> {
    let known: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM told_calls WHERE key = ?1)")?
        .query_row([c.key.0.to_be_bytes()], |row| row.get(0))?;
    db.prepare_cached(
        "INSERT INTO told_calls (key, session, at_ms, tool, decision, ran_ms, success)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (key) DO UPDATE SET
             at_ms = min(at_ms, ?3),
             tool = CASE WHEN tool = '' OR (?4 <> '' AND ?4 < tool) THEN ?4 ELSE tool END,
             decision = coalesce(decision, ?5), ran_ms = coalesce(ran_ms, ?6), success = coalesce(success, ?7)",
    )?
    .execute((
        c.key.0.to_be_bytes(),
        session,
        c.at.0,
        &c.tool,
        &c.decision,
        c.ran_ms.map(to_sql),
        c.success,
    ))?;
    Ok(!known)
}

/// Stores how long a call waited for its person.
pub(crate) fn set_waited(db: &Connection, call: FactId, ms: u64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE told_calls SET waited_ms = ?2 WHERE key = ?1")?
        .execute((call.0.to_be_bytes(), to_sql(ms)))?;
    Ok(())
}

/// Sums over the calls that were told of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CallSums {
    pub calls: u64,
    pub failed: u64,
    pub ran_ms: u64,
    pub waits: u64,
    pub waited_ms: u64,
}

/// Sums up the calls that were told of a session.
pub(crate) fn told_calls(db: &Connection, session: i64) -> Result<CallSums, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT count(*), count(CASE WHEN success = 0 THEN 1 END), coalesce(sum(ran_ms), 0), count(waited_ms),
                coalesce(sum(waited_ms), 0)
         FROM told_calls WHERE session = ?1",
    )?;
    Ok(select.query_row([session], |row| {
        let n = |i: usize| -> rusqlite::Result<u64> { Ok(from_sql(row.get(i)?)) };
        Ok(CallSums { calls: n(0)?, failed: n(1)?, ran_ms: n(2)?, waits: n(3)?, waited_ms: n(4)? })
    })?)
}

/// What the requests of a session took: durations and times to the first token in milliseconds, each sorted, and how often
/// one was tried again.
pub(crate) fn latencies(db: &Connection, session: i64) -> Result<(Vec<u64>, Vec<u64>, u64), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT duration_ms, ttft_ms, attempt FROM reported_requests WHERE session = ?1 ORDER BY at_ms DESC LIMIT ?2",
    )?;
    let mut rows = select.query((session, MOST_LATENCIES))?;
    let (mut durations, mut firsts, mut retries) = (Vec::new(), Vec::new(), 0u64);
    while let Some(row) = rows.next()? {
        durations.extend(row.get::<_, Option<i64>>(0)?.map(from_sql));
        firsts.extend(row.get::<_, Option<i64>>(1)?.map(from_sql));
        let attempt: Option<i64> = row.get(2)?;
        retries = retries.saturating_add(attempt.map_or(0, |n| from_sql(n).saturating_sub(1)));
    }
    durations.sort_unstable();
    firsts.sort_unstable();
    Ok((durations, firsts, retries))
}

/// Reads a request.
pub(crate) fn request(db: &Connection, request: FactId) -> Result<Option<StoredRequest>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT session, m.name, input, output, cache_write_5m, cache_write_1h, cache_read, cost_nano, call
         FROM reported_requests r JOIN models m ON m.id = r.model WHERE request = ?1",
    )?;
    Ok(select
        .query_row([request.0.to_be_bytes()], |row| {
            Ok(StoredRequest {
                session: row.get(0)?,
                model: row.get(1)?,
                usage: usage(row, 2)?,
                cost_nano: row.get::<_, Option<i64>>(7)?.map(from_sql),
                call: row.get::<_, Option<[u8; 16]>>(8)?.map(|key| FactId(u128::from_be_bytes(key))),
            })
        })
        .optional()?)
}

/// Joins a request to a response.
pub(crate) fn join(db: &Connection, request: FactId, call: FactId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE reported_requests SET call = ?2 WHERE request = ?1")?
        .execute((request.0.to_be_bytes(), call.0.to_be_bytes()))?;
    Ok(())
}

/// Remembers which response a transcript's request led to.
pub(crate) fn link(db: &Connection, request: FactId, call: FactId) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO call_requests (request, call) VALUES (?1, ?2)")?
        .execute((request.0.to_be_bytes(), call.0.to_be_bytes()))?;
    Ok(())
}

/// The response a request led to, where a transcript said so.
pub(crate) fn linked(db: &Connection, request: FactId) -> Result<Option<FactId>, StoreError> {
    let mut select = db.prepare_cached("SELECT call FROM call_requests WHERE request = ?1")?;
    let key: Option<[u8; 16]> = select.query_row([request.0.to_be_bytes()], |row| row.get(0)).optional()?;
    Ok(key.map(|key| FactId(u128::from_be_bytes(key))))
}

/// Reads a response.
pub(crate) fn owned_call(db: &Connection, key: FactId) -> Result<Option<OwnedCall>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT session, m.name, input, output, cache_write_5m, cache_write_1h, cache_read
         FROM llm_calls c JOIN models m ON m.id = c.model WHERE key = ?1",
    )?;
    Ok(select
        .query_row([key.0.to_be_bytes()], |row| {
            Ok(OwnedCall { owner: row.get(0)?, model: row.get(1)?, usage: usage(row, 2)? })
        })
        .optional()?)
}

fn usage(row: &Row<'_>, from: usize) -> rusqlite::Result<Usage> {
    let at = |i: usize| -> rusqlite::Result<u64> { Ok(from_sql(row.get(from + i)?)) };
    Ok(Usage {
        input: at(0)?,
        output: at(1)?,
        cache_write_5m: at(2)?,
        cache_write_1h: at(3)?,
        cache_read: at(4)?,
    })
}

/// A service as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceRow {
    pub id: i64,
    pub name: String,
    pub namespace: String,
    pub first: Timestamp,
    pub last: Timestamp,
    pub calls_by_span: bool,
}

/// What a service did in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub calls: u64,
    pub errors: u64,
    pub usage: Usage,
    /// Reported cost in billionths of a US dollar.
    pub reported_nano: u64,
    /// Cost by the price table, of calls without a reported one.
    pub table_nano: u64,
    /// Calls of which no cost is known.
    pub unpriced: u64,
}

/// All services.
pub(crate) fn services(db: &Connection) -> Result<Vec<ServiceRow>, StoreError> {
    let mut select =
        db.prepare("SELECT id, name, namespace, first_ms, last_ms, calls_by_span FROM services ORDER BY id")?;
    let rows = select.query_map([], |row| {
        Ok(ServiceRow {
            id: row.get(0)?,
            name: row.get(1)?,
            namespace: row.get(2)?,
            first: Timestamp(row.get(3)?),
            last: Timestamp(row.get(4)?),
            calls_by_span: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a service and returns its row.
pub(crate) fn put_service(
    db: &Connection,
    name: &str,
    namespace: &str,
    first: Timestamp,
    last: Timestamp,
) -> Result<i64, StoreError> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO services (name, namespace, first_ms, last_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name, namespace) DO UPDATE SET first_ms = min(first_ms, ?3), last_ms = max(last_ms, ?4)
         RETURNING id",
    )?;
    Ok(upsert.query_row((name, namespace, first.0, last.0), |row| row.get(0))?)
}

/// Notes that spans tell of a service's model calls.
pub(crate) fn set_calls_by_span(db: &Connection, service: i64) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE services SET calls_by_span = 1 WHERE id = ?1")?.execute([service])?;
    Ok(())
}

/// Adds to a minute of a service.
pub(crate) fn add_minute(
    db: &Connection,
    service: i64,
    minute: i64,
    kind: Kind,
    s: &Sums,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO service_minutes
         (service, minute, kind, calls, errors, input, output, cache_write, cache_read, reported_nano, table_nano, unpriced)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (service, minute, kind) DO UPDATE SET
             calls = calls + ?4, errors = errors + ?5, input = input + ?6, output = output + ?7,
             cache_write = cache_write + ?8, cache_read = cache_read + ?9, reported_nano = reported_nano + ?10,
             table_nano = table_nano + ?11, unpriced = unpriced + ?12",
    )?
    .execute(rusqlite::params![
        service,
        minute,
        kind_number(kind),
        to_sql(s.calls),
        to_sql(s.errors),
        to_sql(s.usage.input),
        to_sql(s.usage.output),
        to_sql(s.usage.cache_write_5m),
        to_sql(s.usage.cache_read),
        to_sql(s.reported_nano),
        to_sql(s.table_nano),
        to_sql(s.unpriced),
    ])?;
    Ok(())
}

/// Adds to the latency histogram of a minute.
pub(crate) fn add_latency(
    db: &Connection,
    service: i64,
    minute: i64,
    kind: Kind,
    bucket: u16,
    calls: u64,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO service_latency (service, minute, kind, bucket, calls) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (service, minute, kind, bucket) DO UPDATE SET calls = calls + ?5",
    )?
    .execute((service, minute, kind_number(kind), bucket, to_sql(calls)))?;
    Ok(())
}

/// Adds to the calls of a model.
pub(crate) fn add_model(
    db: &Connection,
    service: i64,
    model: &str,
    calls: u64,
    last: Timestamp,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO service_models (service, model, calls, last_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (service, model) DO UPDATE SET calls = calls + ?3, last_ms = max(last_ms, ?4)",
    )?
    .execute((service, model, to_sql(calls), last.0))?;
    Ok(())
}

/// Notes that a service's records name a session.
pub(crate) fn put_service_session(
    db: &Connection,
    service: i64,
    session: i64,
    last: Timestamp,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO service_sessions (service, session, last_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (service, session) DO UPDATE SET last_ms = max(last_ms, ?3) WHERE last_ms < ?3",
    )?
    .execute((service, session, last.0))?;
    Ok(())
}

/// Sessions that a service's records name and that are shown, the one active last first, and how many there are.
pub(crate) fn service_sessions(
    db: &Connection,
    service: i64,
    limit: u32,
) -> Result<(Vec<i64>, u64), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT n.session FROM service_sessions n JOIN sessions s ON s.id = n.session
         WHERE n.service = ?1 AND s.class = 'row' ORDER BY n.last_ms DESC, n.session DESC LIMIT ?2",
    )?;
    let rows = select.query_map((service, limit), |row| row.get(0))?;
    let found = rows.collect::<Result<_, _>>()?;
    let mut count = db.prepare_cached("SELECT count(*) FROM service_sessions WHERE service = ?1")?;
    Ok((found, from_sql(count.query_row([service], |row| row.get(0))?)))
}

/// Adds to an hour of a service's model.
pub(crate) fn add_model_hour(
    db: &Connection,
    service: i64,
    hour: i64,
    model: &str,
    s: &Sums,
    last: Timestamp,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO service_model_hours
         (service, hour, model, calls, input, output, cache_write, cache_read, cost_nano, unpriced, last_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (service, hour, model) DO UPDATE SET
             calls = calls + ?4, input = input + ?5, output = output + ?6, cache_write = cache_write + ?7,
             cache_read = cache_read + ?8, cost_nano = cost_nano + ?9, unpriced = unpriced + ?10,
             last_ms = max(last_ms, ?11)",
    )?
    .execute(rusqlite::params![
        service,
        hour,
        model,
        to_sql(s.calls),
        to_sql(s.usage.input),
        to_sql(s.usage.output),
        to_sql(s.usage.cache_write_5m),
        to_sql(s.usage.cache_read),
        to_sql(s.reported_nano.saturating_add(s.table_nano)),
        to_sql(s.unpriced),
        last.0,
    ])?;
    Ok(())
}

/// Models of a service since an hour with their sums (all cost stands in `reported_nano`) and latest call.
pub(crate) fn models_since(
    db: &Connection,
    service: i64,
    hour: i64,
) -> Result<Vec<(String, Sums, Timestamp)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT model, sum(calls), sum(input), sum(output), sum(cache_write), sum(cache_read), sum(cost_nano),
                sum(unpriced), max(last_ms)
         FROM service_model_hours WHERE service = ?1 AND hour >= ?2 GROUP BY model",
    )?;
    let rows = select.query_map((service, hour), |row| {
        let n = |i: usize| -> rusqlite::Result<u64> { Ok(from_sql(row.get(i)?)) };
        let usage = Usage {
            input: n(2)?,
            output: n(3)?,
            cache_write_5m: n(4)?,
            cache_write_1h: 0,
            cache_read: n(5)?,
        };
        let sums = Sums { calls: n(1)?, usage, reported_nano: n(6)?, unpriced: n(7)?, ..Sums::default() };
        Ok((row.get(0)?, sums, Timestamp(row.get(8)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Services of a name, of one namespace or of all, the one seen last first.
pub(crate) fn services_named(
    db: &Connection,
    name: &str,
    namespace: Option<&str>,
) -> Result<Vec<ServiceRow>, StoreError> {
    let mut found = services(db)?;
    found.retain(|s| s.name == name && namespace.is_none_or(|n| n == s.namespace));
    found.sort_by_key(|s| std::cmp::Reverse(s.last));
    Ok(found)
}

/// Hands every minute of a service since `since` to `each`.
pub(crate) fn each_minute(
    db: &Connection,
    service: i64,
    since: i64,
    mut each: impl FnMut(i64, Kind, Sums),
) -> Result<(), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT minute, kind, calls, errors, input, output, cache_write, cache_read, reported_nano, table_nano, unpriced
         FROM service_minutes WHERE service = ?1 AND minute >= ?2",
    )?;
    let mut rows = select.query((service, since))?;
    while let Some(row) = rows.next()? {
        let n = |i: usize| -> rusqlite::Result<u64> { Ok(from_sql(row.get(i)?)) };
        let sums = Sums {
            calls: n(2)?,
            errors: n(3)?,
            usage: Usage {
                input: n(4)?,
                output: n(5)?,
                cache_write_5m: n(6)?,
                cache_write_1h: 0,
                cache_read: n(7)?,
            },
            reported_nano: n(8)?,
            table_nano: n(9)?,
            unpriced: n(10)?,
        };
        each(row.get(0)?, kind_of(row.get(1)?), sums);
    }
    Ok(())
}

/// Hands every histogram entry of a service since `since` to `each`: minute, kind, bucket, calls.
pub(crate) fn each_latency(
    db: &Connection,
    service: i64,
    since: i64,
    mut each: impl FnMut(i64, Kind, u16, u64),
) -> Result<(), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT minute, kind, bucket, calls FROM service_latency WHERE service = ?1 AND minute >= ?2",
    )?;
    let mut rows = select.query((service, since))?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, kind_of(row.get(1)?), row.get(2)?, from_sql(row.get(3)?));
    }
    Ok(())
}

/// Models of a service, the one used last first.
pub(crate) fn models(db: &Connection, service: i64) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT model, last_ms FROM service_models WHERE service = ?1 ORDER BY last_ms DESC",
    )?;
    let rows = select.query_map([service], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::ModelCall => 0,
        Kind::Request => 1,
        Kind::Log => 2,
    }
}

fn kind_of(number: i64) -> Kind {
    match number {
        0 => Kind::ModelCall,
        1 => Kind::Request,
        _ => Kind::Log,
    }
}
