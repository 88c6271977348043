//! A service as the screen shows it.

use std::collections::BTreeMap;

use chrono::{Local, NaiveTime, TimeZone};
use lamplight_model::event::Usage;
use lamplight_model::ids::Timestamp;
use lamplight_model::view::{CostSource, Service, ServiceMeasure, ServiceSeries, ServiceState, TokenTotals};

use super::latency::quantile_ms;
use super::{Known, minute};
use crate::sources::otlp::Kind;
use crate::store::otlp::Sums;

/// A service that sent something within this time is live.
const LIVE_MS: i64 = 5 * 60_000;

/// One that did within this time went quiet, which may be an outage.
const QUIET_MS: i64 = 30 * 60_000;

/// Minutes of the series.
const SERIES: i64 = 60;

/// Minutes the rate is taken over.
const RATE: i64 = 5;

/// State by the last record.
pub(super) fn state(last: Timestamp, now: Timestamp) -> ServiceState {
    let silent_ms = now.since(last);
    if silent_ms <= LIVE_MS {
        ServiceState::Live
    } else if silent_ms <= QUIET_MS {
        ServiceState::Quiet
    } else {
        ServiceState::Dormant
    }
}

/// Services that sent nothing for this long are not listed; they are found by name.
const LISTED_MS: i64 = 7 * 86_400_000;

/// State of a service that is listed.
pub(super) fn listed(last: Timestamp, now: Timestamp) -> Option<ServiceState> {
    (now.since(last) <= LISTED_MS).then(|| state(last, now))
}

/// When the state changes by itself.
pub(super) fn next_state_at(last: Timestamp, now: Timestamp) -> Option<Timestamp> {
    match state(last, now) {
        ServiceState::Live => Some(last.plus_ms(LIVE_MS + 1)),
        ServiceState::Quiet => Some(last.plus_ms(QUIET_MS + 1)),
        ServiceState::Dormant => (now.since(last) <= LISTED_MS).then(|| last.plus_ms(LISTED_MS + 1)),
    }
}

pub(super) fn service(known: &Known, now: Timestamp) -> Service {
    let (kind, measures) = if known.calls_models() {
        (Kind::ModelCall, ServiceMeasure::ModelCalls)
    } else if known.has(Kind::Request) {
        (Kind::Request, ServiceMeasure::Requests)
    } else {
        (Kind::Log, ServiceMeasure::Logs)
    };
    // Figures are of the hour that ended with its last record, so that what went quiet still shows what it did.
    let last = minute(known.last);
    let mut hour = Sums::default();
    let mut latency = BTreeMap::new();
    let mut recent = 0;
    for ((at, _), m) in of_kind(known, kind, last - SERIES + 1, last) {
        hour.add(&m.sums);
        if *at > last - RATE {
            recent += m.sums.calls;
        }
        for (bucket, calls) in &m.latency {
            *latency.entry(*bucket).or_default() += calls;
        }
    }
    let age = (last - minute(known.first) + 1).clamp(1, RATE);
    let mut today = Sums::default();
    for (_, m) in of_kind(known, kind, minute(midnight(now)), minute(now)) {
        today.add(&m.sums);
    }
    let is_priced = kind == Kind::ModelCall;
    Service {
        name: known.name.clone(),
        namespace: (!known.namespace.is_empty()).then(|| known.namespace.clone()),
        last_seen_ms: known.last.0,
        first_seen_ms: known.first.0,
        state: state(known.last, now),
        measures,
        calls: hour.calls,
        errors: hour.errors,
        requests_per_minute: ratio(recent, u64::try_from(age).unwrap_or(1)),
        error_rate: (hour.calls > 0).then(|| ratio(hour.errors, hour.calls)),
        p50_ms: quantile_ms(&latency, 50),
        p95_ms: quantile_ms(&latency, 95),
        tokens: tokens(hour.usage),
        cost_usd: cost(&hour).filter(|_| is_priced),
        cost_today_usd: cost(&today).filter(|_| is_priced),
        cost_source: cost_source(&today),
        models: known.models.iter().map(|(model, _)| model.clone()).collect(),
        series: series(known, kind, minute(now)),
    }
}

fn of_kind(
    known: &Known,
    kind: Kind,
    from: i64,
    to: i64,
) -> impl Iterator<Item = (&(i64, Kind), &super::Minute)> {
    let range = if from <= to {
        (from, Kind::ModelCall)..=(to, Kind::Log)
    } else {
        (to, Kind::ModelCall)..=(to, Kind::ModelCall)
    };
    known.minutes.range(range).filter(move |((at, k), _)| *k == kind && *at >= from)
}

/// The last hour, minute by minute, without gaps; the last entry is the minute that runs.
fn series(known: &Known, kind: Kind, now: i64) -> ServiceSeries {
    let from = now - SERIES + 1;
    let mut series =
        ServiceSeries { from_ms: from * 60_000, calls: Vec::new(), errors: Vec::new(), cost_usd: Vec::new() };
    for at in from..=now {
        let sums = known.minutes.get(&(at, kind)).map(|m| m.sums).unwrap_or_default();
        series.calls.push(sums.calls);
        series.errors.push(sums.errors);
        series.cost_usd.push(dollars(sums.reported_nano.saturating_add(sums.table_nano)));
    }
    series
}

pub(super) fn tokens(usage: Usage) -> TokenTotals {
    TokenTotals {
        input: usage.input,
        output: usage.output,
        cache_write_5m: usage.cache_write_5m,
        cache_write_1h: usage.cache_write_1h,
        cache_read: usage.cache_read,
    }
}

/// Cost; not known as soon as one call has none.
pub(super) fn cost(sums: &Sums) -> Option<f64> {
    (sums.unpriced == 0).then(|| dollars(sums.reported_nano.saturating_add(sums.table_nano)))
}

fn cost_source(sums: &Sums) -> Option<CostSource> {
    match (sums.reported_nano > 0, sums.table_nano > 0) {
        (true, true) => Some(CostSource::Mixed),
        (true, false) => Some(CostSource::Reported),
        (false, true) => Some(CostSource::Table),
        (false, false) => None,
    }
}

/// Exact below 2^53 billionths, nine million dollars.
pub(super) fn dollars(nano: u64) -> f64 {
    nano as f64 / 1e9
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Where the person's day began; where daylight saving skips midnight, a day's length before now.
fn midnight(now: Timestamp) -> Timestamp {
    let begin = Local
        .timestamp_millis_opt(now.0)
        .single()
        .and_then(|at| Local.from_local_datetime(&at.date_naive().and_time(NaiveTime::MIN)).earliest());
    begin.map_or(now.plus_ms(-86_400_000), |at| Timestamp(at.timestamp_millis()))
}
