//! What services did by span name and hour.

use std::collections::BTreeMap;

use lamplight_model::view::SpanKind;
use rusqlite::{Connection, OptionalExtension};

use super::{StoredSpan, kind_number, kind_of};
use crate::otlp::latency;
use crate::store::{StoreError, from_sql, to_sql};

const HOUR_NS: i64 = 3_600_000_000_000;

/// Names kept per sender and hour. A name is meant to be one of few; who writes ids into them gets no list of them.
const MOST_NAMES: i64 = 500;

/// Hours kept: a week, of which a page shows the last day.
const KEPT_HOURS: i64 = 7 * 24;

/// What it is counted under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OperationKey {
    pub sender: i64,
    pub hour: i64,
    pub name: String,
    pub kind: SpanKind,
}

/// Spans of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OperationSums {
    pub calls: i64,
    pub errors: i64,
    pub last_ns: i64,
    /// Calls by bucket of their duration.
    pub latency: BTreeMap<u16, i64>,
}

impl OperationSums {
    /// Adds a span, or with -1 takes it back.
    pub(crate) fn count(&mut self, s: &StoredSpan, times: i64) {
        self.calls += times;
        self.errors += if s.span.is_error == Some(true) { times } else { 0 };
        self.last_ns = self.last_ns.max(s.span.last_ns());
        if let Some(ns) = s.span.duration_ns() {
            *self.latency.entry(latency::bucket(ns / 1_000)).or_default() += times;
        }
    }

    /// Takes over what others counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.last_ns = self.last_ns.max(other.last_ns);
        for (bucket, calls) in &other.latency {
            *self.latency.entry(*bucket).or_default() += calls;
        }
    }

    /// The histogram without empty buckets.
    pub(crate) fn histogram(&self) -> BTreeMap<u16, u64> {
        self.latency.iter().filter(|(_, n)| **n > 0).map(|(bucket, n)| (*bucket, from_sql(*n))).collect()
    }
}

/// What a span is counted under; `None` while only a log record tells of it.
pub(crate) fn key(s: &StoredSpan) -> Option<OperationKey> {
    s.span.by_span.then(|| OperationKey {
        sender: s.sender,
        hour: s.span.last_ns().div_euclid(HOUR_NS),
        name: s.span.name.clone(),
        kind: s.span.kind,
    })
}

/// Adds what one request brought.
pub(crate) fn add(db: &Connection, key: &OperationKey, sums: &OperationSums) -> Result<(), StoreError> {
    let by = (key.sender, key.hour, &key.name, kind_number(key.kind));
    let mut select = db.prepare_cached(
        "SELECT calls, errors, last_ns, latency FROM span_operations
         WHERE sender = ?1 AND hour = ?2 AND name = ?3 AND kind = ?4",
    )?;
    let known = select
        .query_row(by, |row| {
            Ok(OperationSums {
                calls: row.get(0)?,
                errors: row.get(1)?,
                last_ns: row.get(2)?,
                latency: unpack(row.get_ref(3)?.as_blob()?),
            })
        })
        .optional()?;
    let is_new = known.is_none();
    let mut all = known.unwrap_or_default();
    all.merge(sums);
    if all.calls <= 0 {
        db.prepare_cached(
            "DELETE FROM span_operations WHERE sender = ?1 AND hour = ?2 AND name = ?3 AND kind = ?4",
        )?
        .execute(by)?;
        return Ok(());
    }
    if is_new {
        let mut count =
            db.prepare_cached("SELECT count(*) FROM span_operations WHERE sender = ?1 AND hour = ?2")?;
        if count.query_row((key.sender, key.hour), |row| row.get::<_, i64>(0))? >= MOST_NAMES {
            return Ok(());
        }
    }
    db.prepare_cached(
        "INSERT OR REPLACE INTO span_operations (sender, hour, name, kind, calls, errors, last_ns, latency)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((by.0, by.1, by.2, by.3, all.calls, all.errors.max(0), all.last_ns, pack(&all.latency)))?;
    Ok(())
}

/// What a sender did since an hour, by name and kind.
pub(crate) fn since(
    db: &Connection,
    sender: i64,
    hour: i64,
) -> Result<BTreeMap<(String, SpanKind), OperationSums>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT name, kind, calls, errors, last_ns, latency FROM span_operations WHERE sender = ?1 AND hour >= ?2",
    )?;
    let mut rows = select.query((sender, hour))?;
    let mut all: BTreeMap<(String, SpanKind), OperationSums> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let sums = OperationSums {
            calls: row.get(2)?,
            errors: row.get(3)?,
            last_ns: row.get(4)?,
            latency: unpack(row.get_ref(5)?.as_blob().unwrap_or_default()),
        };
        all.entry((row.get(0)?, kind_of(row.get(1)?))).or_default().merge(&sums);
    }
    Ok(all)
}

/// Forgets hours that are too old to matter.
pub(crate) fn prune(db: &Connection, now_ms: i64) -> Result<(), StoreError> {
    let oldest = now_ms.saturating_mul(1_000_000).div_euclid(HOUR_NS) - KEPT_HOURS;
    db.execute("DELETE FROM span_operations WHERE hour < ?1", [oldest])?;
    Ok(())
}

fn pack(latency: &BTreeMap<u16, i64>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(latency.len() * 6);
    for (bucket, calls) in latency.iter().filter(|(_, n)| **n > 0) {
        packed.extend(bucket.to_be_bytes());
        packed.extend(u32::try_from(to_sql(from_sql(*calls))).unwrap_or(u32::MAX).to_be_bytes());
    }
    packed
}

fn unpack(packed: &[u8]) -> BTreeMap<u16, i64> {
    packed
        .as_chunks::<6>()
        .0
        .iter()
        .map(|[a, b, c, d, e, f]| {
            (u16::from_be_bytes([*a, *b]), i64::from(u32::from_be_bytes([*c, *d, *e, *f])))
        })
        .collect()
}
