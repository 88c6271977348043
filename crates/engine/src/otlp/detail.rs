//! A service's page; read from the store with a connection of its own.

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{Operation, ServiceDetail, ServiceModel, SessionCard, TraceSummary};
use rusqlite::Connection;

use super::latency::quantile_ms;
use super::view::{cost, service, tokens};
use super::{HOUR_MS, KEPT_MINUTES, Known, minute, traces};
use crate::archive::Cards;
use crate::errors::EngineError;
use crate::store::otlp as store;
use crate::store::spans::{lists, operations, retention};

/// Traces shown.
const MOST_TRACES: u32 = 100;

/// Sessions shown.
const MOST_SESSIONS: u32 = 20;

/// Operations shown.
const MOST_OPERATIONS: usize = 50;

/// Hours that figures by model and operation are taken over.
const HOURS: i64 = 24;

/// Makes the page of a service; `None` when it is not known. Without a namespace the service of that name without one
/// is meant, else the one of that name seen last.
pub(crate) fn page(
    db: &Connection,
    cards: &mut Cards<'_>,
    (name, namespace): (&str, Option<&str>),
    now: Timestamp,
) -> Result<Option<ServiceDetail>, EngineError> {
    let mut found = store::services_named(db, name, namespace)?;
    let at = found.iter().position(|s| s.namespace.is_empty()).unwrap_or(0);
    if found.is_empty() {
        return Ok(None);
    }
    let row = found.swap_remove(at);
    let id = row.id;
    // The figures are of the hour that ended with its last record, however long ago that was.
    let since = minute(now).min(minute(row.last)) - KEPT_MINUTES;
    let known = Known::load(db, row, since)?;
    let hour = now.0.div_euclid(HOUR_MS) - HOURS;
    let senders = lists::senders_named(db, &known.name, Some(&known.namespace))?;
    let traces: Vec<TraceSummary> =
        traces::page(db, Some((&known.name, Some(&known.namespace))), None, None, MOST_TRACES)?.traces;
    let (mut traces_total, mut operations) = (0, Vec::new());
    for sender in senders {
        traces_total += lists::count_of_sender(db, sender)?;
        operations.extend(operations_since(db, sender, hour)?);
    }
    operations.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| (&a.name, a.kind).cmp(&(&b.name, b.kind))));
    operations.truncate(MOST_OPERATIONS);
    let (rows, sessions_total) = store::service_sessions(db, id, MOST_SESSIONS)?;
    let mut sessions: Vec<SessionCard> = Vec::with_capacity(rows.len());
    for row in rows {
        sessions.extend(cards.card(row)?);
    }
    Ok(Some(ServiceDetail {
        service: service(&known, now),
        models: models_since(db, id, hour)?,
        operations,
        traces,
        traces_total,
        sessions,
        sessions_total,
        note: note(retention::let_go_in_all(db)?),
    }))
}

/// What is missing and why.
fn note(let_go: u64) -> Option<String> {
    (let_go > 0).then(|| {
        format!(
            "The oldest traces are gone: {let_go} spans of all services were let go to keep the database within its bound ([store] max_bytes). Figures and sessions are whole."
        )
    })
}

fn models_since(db: &Connection, service: i64, hour: i64) -> Result<Vec<ServiceModel>, EngineError> {
    let mut models: Vec<ServiceModel> = store::models_since(db, service, hour)?
        .into_iter()
        .map(|(model, sums, last)| ServiceModel {
            model,
            calls: sums.calls,
            tokens: tokens(sums.usage),
            cost_usd: cost(&sums),
            last_at_ms: last.0,
        })
        .collect();
    models.sort_by(|a, b| {
        let dear = b.cost_usd.unwrap_or(0.0).total_cmp(&a.cost_usd.unwrap_or(0.0));
        dear.then_with(|| b.calls.cmp(&a.calls)).then_with(|| a.model.cmp(&b.model))
    });
    Ok(models)
}

fn operations_since(db: &Connection, sender: i64, hour: i64) -> Result<Vec<Operation>, EngineError> {
    let all = operations::since(db, sender, hour)?;
    Ok(all
        .into_iter()
        .map(|((name, kind), sums)| {
            let histogram = sums.histogram();
            Operation {
                name,
                kind,
                calls: u64::try_from(sums.calls).unwrap_or(0),
                errors: u64::try_from(sums.errors).unwrap_or(0),
                p50_ms: quantile_ms(&histogram, 50),
                p95_ms: quantile_ms(&histogram, 95),
                last_at_ms: sums.last_ns.div_euclid(1_000_000),
            }
        })
        .collect())
}
