//! Instrumented services: what they did in the last minutes, in memory, and how the screen shows it.

pub(crate) mod detail;
pub(crate) mod latency;
mod queue;
pub(crate) mod traces;
mod view;

use std::collections::{BTreeMap, HashMap};

use lamplight_model::ids::Timestamp;
use lamplight_model::pricing::PriceTable;
use lamplight_model::view::{Service, ServiceState};
use rusqlite::Connection;

use crate::sources::otlp::{Kind, Measured, ServiceSeen};
use crate::store::StoreError;
use crate::store::otlp::{self as store, Sums};
use crate::store::spans::operations;

pub(crate) use queue::{Uncommitted, Waiting};

/// Services kept. A name comes with every request of a stranger; a machine has a few dozen.
const MOST_SERVICES: usize = 500;

/// Models named per service.
const MOST_MODELS: usize = 32;

/// Minutes kept in memory: a day for what it cost today, and an hour for daylight saving.
const KEPT_MINUTES: i64 = 25 * 60;

const HOUR_MS: i64 = 3_600_000;

/// Least time between two tellings of numbers; a change of state is told at once.
const TELL_EVERY_MS: i64 = 1_000;

/// All services.
#[derive(Debug)]
pub(crate) struct Services {
    all: Vec<Known>,
    by_name: HashMap<(String, String), usize>,
    /// Differs from what was told.
    changed: bool,
    told_at: Option<Timestamp>,
    /// The latest moment the writer worked at.
    now: Timestamp,
}

#[derive(Debug)]
struct Known {
    row: i64,
    name: String,
    namespace: String,
    first: Timestamp,
    last: Timestamp,
    calls_by_span: bool,
    minutes: BTreeMap<(i64, Kind), Minute>,
    /// Used last first.
    models: Vec<(String, Timestamp)>,
    /// How it was listed last: in which state, or not at all.
    told: Option<Option<ServiceState>>,
}

#[derive(Debug, Default)]
struct Minute {
    sums: Sums,
    latency: BTreeMap<u16, u64>,
}

impl Known {
    /// Reads a service and its minutes since one.
    fn load(db: &Connection, row: store::ServiceRow, since: i64) -> Result<Self, StoreError> {
        let mut minutes: BTreeMap<(i64, Kind), Minute> = BTreeMap::new();
        store::each_minute(db, row.id, since, |minute, kind, sums| {
            minutes.entry((minute, kind)).or_default().sums = sums;
        })?;
        store::each_latency(db, row.id, since, |minute, kind, bucket, calls| {
            minutes.entry((minute, kind)).or_default().latency.insert(bucket, calls);
        })?;
        let mut models = store::models(db, row.id)?;
        models.truncate(MOST_MODELS);
        Ok(Self {
            row: row.id,
            name: row.name,
            namespace: row.namespace,
            first: row.first,
            last: row.last,
            calls_by_span: row.calls_by_span,
            minutes,
            models,
            told: None,
        })
    }

    /// Whether it ever called a model.
    fn calls_models(&self) -> bool {
        !self.models.is_empty() || self.has(Kind::ModelCall)
    }

    fn has(&self, kind: Kind) -> bool {
        self.minutes.iter().any(|((_, k), m)| *k == kind && m.sums.calls > 0)
    }
}

/// Sums of one request, written in one go.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    minutes: BTreeMap<(usize, i64, Kind), Minute>,
    models: BTreeMap<(usize, String), (u64, Timestamp)>,
    /// By service, hour and model.
    hours: BTreeMap<(usize, i64, String), (Sums, Timestamp)>,
}

impl Services {
    pub(crate) fn load(db: &Connection, now: Timestamp) -> Result<Self, StoreError> {
        store::prune_minutes(db, now)?;
        operations::prune(db, now.0)?;
        let mut services =
            Self { all: Vec::new(), by_name: HashMap::new(), changed: false, told_at: None, now };
        let since = minute(now) - KEPT_MINUTES;
        for row in store::services(db)? {
            services.by_name.insert((row.name.clone(), row.namespace.clone()), services.all.len());
            services.all.push(Known::load(db, row, since)?);
            services.changed = true;
        }
        Ok(services)
    }

    /// Notes that a service sent something; `None` when there are too many.
    pub(crate) fn seen(&mut self, db: &Connection, seen: &ServiceSeen) -> Result<Option<usize>, StoreError> {
        let key = (seen.name.clone(), seen.namespace.clone());
        let known = self.by_name.get(&key).copied();
        if known.is_none() && self.all.len() >= MOST_SERVICES {
            return Ok(None);
        }
        if let Some(service) = known.and_then(|at| self.all.get(at))
            && service.first <= seen.first
            && seen.last <= service.last
        {
            return Ok(known);
        }
        let row = store::put_service(db, &seen.name, &seen.namespace, seen.first, seen.last)?;
        self.changed = true;
        let at = known.unwrap_or_else(|| {
            self.by_name.insert(key, self.all.len());
            self.all.push(Known {
                row,
                name: seen.name.clone(),
                namespace: seen.namespace.clone(),
                first: seen.first,
                last: seen.last,
                calls_by_span: false,
                minutes: BTreeMap::new(),
                models: Vec::new(),
                told: None,
            });
            self.all.len() - 1
        });
        if let Some(service) = self.all.get_mut(at) {
            service.first = service.first.min(seen.first);
            service.last = service.last.max(seen.last);
        }
        Ok(Some(at))
    }

    /// Counts a record once, however often it is delivered, and a model call once, whether span or log record tells it;
    /// whether it was counted.
    pub(crate) fn count(
        &mut self,
        db: &Connection,
        at: usize,
        m: Measured,
        prices: &PriceTable,
        received: Timestamp,
        tally: &mut Tally,
    ) -> Result<bool, StoreError> {
        let Some(service) = self.all.get_mut(at) else { return Ok(false) };
        if !store::first_sight(db, m.id, received)? {
            return Ok(false);
        }
        let mut is_first = true;
        if m.kind == Kind::ModelCall {
            if m.by_span && !service.calls_by_span {
                service.calls_by_span = true;
                store::set_calls_by_span(db, service.row)?;
            }
            match m.call {
                Some(call) if m.by_span => is_first = !store::is_call_marked(db, call, received)?,
                // Its span was counted, or will be.
                Some(_) if service.calls_by_span => return Ok(false),
                Some(call) => is_first = store::mark_call(db, call, received)?,
                None => {}
            }
        }
        let minute = tally.minutes.entry((at, minute(m.at), m.kind)).or_default();
        if let Some(us) = m.duration_us {
            *minute.latency.entry(latency::bucket(us)).or_default() += 1;
        }
        if !is_first {
            return Ok(false);
        }
        let sums = sums(&m, prices);
        minute.sums.add(&sums);
        if let Some(model) = m.model.filter(|_| m.kind == Kind::ModelCall) {
            let hour = m.at.0.div_euclid(HOUR_MS);
            let (of_hour, last) = tally.hours.entry((at, hour, model.clone())).or_default();
            of_hour.add(&sums);
            *last = (*last).max(m.at);
            let (calls, last) = tally.models.entry((at, model)).or_default();
            *calls += 1;
            *last = (*last).max(m.at);
        }
        Ok(true)
    }

    /// Services that are not listed any more.
    pub(crate) fn unlisted(&self) -> u64 {
        self.all.iter().filter(|s| view::listed(s.last, self.now).is_none()).count() as u64
    }

    /// Row and name of a service.
    pub(crate) fn named(&self, at: usize) -> Option<(i64, &str)> {
        self.all.get(at).map(|s| (s.row, s.name.as_str()))
    }

    /// Writes what was counted.
    pub(crate) fn write(&mut self, db: &Connection, tally: Tally) -> Result<(), StoreError> {
        self.changed |= !tally.minutes.is_empty();
        for ((at, minute, kind), found) in tally.minutes {
            let Some(service) = self.all.get_mut(at) else { continue };
            store::add_minute(db, service.row, minute, kind, &found.sums)?;
            let known = service.minutes.entry((minute, kind)).or_default();
            known.sums.add(&found.sums);
            for (bucket, calls) in found.latency {
                store::add_latency(db, service.row, minute, kind, bucket, calls)?;
                *known.latency.entry(bucket).or_default() += calls;
            }
        }
        for ((at, model), (calls, last)) in tally.models {
            let Some(service) = self.all.get_mut(at) else { continue };
            let known = service.models.iter().any(|(name, _)| *name == model);
            if !known && service.models.len() >= MOST_MODELS {
                continue;
            }
            store::add_model(db, service.row, &model, calls, last)?;
            match service.models.iter_mut().find(|(name, _)| *name == model) {
                Some((_, at)) => *at = (*at).max(last),
                None => service.models.push((model, last)),
            }
            service.models.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        }
        for ((at, hour, model), (sums, last)) in tally.hours {
            let Some(service) = self.all.get(at) else { continue };
            // As above: what is beyond the bound is in the sums of the minute only.
            if service.models.iter().any(|(name, _)| *name == model) {
                store::add_model_hour(db, service.row, hour, &model, &sums, last)?;
            }
        }
        Ok(())
    }

    /// Tells the moment.
    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Next moment at which something is to be told without a new record.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let numbers = self.changed.then(|| self.told_at.map_or(self.now, |at| at.plus_ms(TELL_EVERY_MS)));
        let states = self.all.iter().filter_map(|s| view::next_state_at(s.last, self.now)).min();
        [numbers, states].into_iter().flatten().min()
    }

    /// All services, when something about them is to be told.
    pub(crate) fn take_changed(&mut self) -> Option<Vec<Service>> {
        let now = self.now;
        let turned = self.all.iter().any(|s| s.told != Some(view::listed(s.last, now)));
        let due = self.told_at.is_none_or(|at| now.since(at) >= TELL_EVERY_MS || now < at);
        let is_told_now = turned || (self.changed && due);
        if !is_told_now {
            return None;
        }
        self.changed = false;
        self.told_at = Some(now);
        let oldest = minute(now) - KEPT_MINUTES;
        let mut views = Vec::with_capacity(self.all.len());
        for service in &mut self.all {
            service.minutes = service.minutes.split_off(&(oldest, Kind::ModelCall));
            service.told = Some(view::listed(service.last, now));
            if service.told.flatten().is_some() {
                views.push(view::service(service, now));
            }
        }
        views.sort_by(|a, b| b.last_seen_ms.cmp(&a.last_seen_ms).then_with(|| a.name.cmp(&b.name)));
        Some(views)
    }
}

/// What one record adds to its minute.
fn sums(m: &Measured, prices: &PriceTable) -> Sums {
    let mut sums = Sums { calls: 1, errors: u64::from(m.is_error), usage: m.usage, ..Sums::default() };
    if m.kind != Kind::ModelCall {
        return sums;
    }
    let by_table = || {
        let usd = prices.cost_usd(m.model.as_deref()?, m.at, &m.usage)?;
        nano(usd)
    };
    match (m.cost_nano, m.usage.is_zero()) {
        (Some(reported), _) => sums.reported_nano = reported,
        (None, false) => match by_table() {
            Some(table) => sums.table_nano = table,
            None => sums.unpriced = 1,
        },
        // A failed call without tokens cost nothing; of a good one without them nobody knows.
        (None, true) => sums.unpriced = u64::from(!m.is_error),
    }
    sums
}

/// US dollars in billionths.
pub(crate) fn nano(usd: f64) -> Option<u64> {
    let nano = usd * 1e9;
    // Below 2^53, where every whole number is one.
    (nano.is_finite() && (0.0..9.0e15).contains(&nano)).then(|| format!("{nano:.0}").parse().ok())?
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.usage = self.usage.plus(other.usage);
        self.reported_nano = self.reported_nano.saturating_add(other.reported_nano);
        self.table_nano = self.table_nano.saturating_add(other.table_nano);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
    }
}

fn minute(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000)
}
