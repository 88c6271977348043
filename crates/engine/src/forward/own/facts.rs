//! What is said of sessions, and how it is written as OTLP.

use std::collections::BTreeMap;

use lamplight_model::ids::Timestamp;
use lamplight_model::session::{LabelSource, TurnState};
use lamplight_model::view::{Attention, ChangeSet, ImportTotals, SessionCard, Status};
use prost::Message;

use crate::forward::repack::{Part, field};
use crate::forward::wire::{AnyValue, Gauge, KeyValue, LogRecord, Metric, NumberPoint, Resource, Scope, Sum};

/// `SEVERITY_NUMBER_INFO`.
const INFO: i32 = 9;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// Tells what was not told yet.
#[derive(Debug)]
pub(super) struct Facts {
    content: bool,
    told: BTreeMap<String, Told>,
}

/// What the last record of a session said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    state: TurnState,
    since_ms: Option<i64>,
    cause: Option<(String, bool)>,
    ended_at_ms: Option<i64>,
}

impl Told {
    fn of(card: &SessionCard, now_ms: i64) -> Self {
        let cause = card.attention.as_ref().map(|a| (a.cause_id.clone(), is_snoozed(a, now_ms)));
        Self {
            state: card.turn_state,
            since_ms: card.turn_state_since_ms,
            cause,
            ended_at_ms: card.ended_at_ms,
        }
    }
}

fn is_snoozed(attention: &Attention, now_ms: i64) -> bool {
    attention.snoozed_until_ms.is_some_and(|until| until > now_ms)
}

impl Facts {
    pub(super) fn new(content: bool) -> Self {
        Self { content, told: BTreeMap::new() }
    }

    /// Everything there is: at the start, and after a gap. Sessions that had ended before are history, and not told.
    pub(super) fn snapshot(&mut self, status: &Status) -> Vec<LogRecord> {
        let shown: Vec<String> = status.sessions.iter().map(key).collect();
        self.told.retain(|key, _| shown.contains(key));
        status.sessions.iter().flat_map(|card| self.card(card, status.at_ms)).collect()
    }

    /// What a change says. A session that left the screen has not ended by that, and is told anew when it comes back.
    pub(super) fn change(&mut self, change: &ChangeSet) -> Vec<LogRecord> {
        for key in &change.removed {
            self.told.remove(key);
        }
        change.upserted.iter().flat_map(|card| self.card(card, change.at_ms)).collect()
    }

    fn card(&mut self, card: &SessionCard, now_ms: i64) -> Vec<LogRecord> {
        let told = Told::of(card, now_ms);
        let before = self.told.insert(key(card), told.clone());
        if before.as_ref() == Some(&told) {
            return Vec::new();
        }
        let mut records = Vec::new();
        let is_history = before.is_none() && told.ended_at_ms.is_some();
        let is_other = |b: &Told| (b.state, b.since_ms, &b.cause) != (told.state, told.since_ms, &told.cause);
        if !is_history && before.as_ref().is_none_or(is_other) {
            // Dated by what changed last.
            let cause_at = card.attention.as_ref().map(|a| a.since_ms);
            let at = card.turn_state_since_ms.max(cause_at).unwrap_or(now_ms);
            records.push(self.record("lamplight.session.state", card, at, now_ms));
        }
        if let (Some(ended), Some(before)) = (told.ended_at_ms, &before)
            && before.ended_at_ms.is_none()
        {
            records.push(self.record("lamplight.session.ended", card, ended, now_ms));
        }
        records
    }

    fn record(&self, event: &str, card: &SessionCard, at_ms: i64, now_ms: i64) -> LogRecord {
        let mut attributes = session_attributes(card);
        let mut text = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                attributes.push(KeyValue::text(key, value));
            }
        };
        text("event.name", Some(event));
        // Titles and first prompts are what somebody said; a name was given to be shown.
        let is_given = matches!(
            card.label_source,
            LabelSource::ConfigExact
                | LabelSource::ConfigPrefix
                | LabelSource::Rename
                | LabelSource::AgentUser
                | LabelSource::InstanceId
        );
        text("lamplight.session.label", (is_given || self.content).then_some(card.label.as_str()));
        text("lamplight.session.state", Some(card.turn_state.as_str()));
        text("lamplight.session.lifecycle", Some(card.lifecycle.as_str()));
        text("lamplight.session.liveness", Some(card.liveness.state.as_str()));
        text("lamplight.session.entry", Some(card.entry.as_str()));
        text("lamplight.session.waiting_for", card.waiting_for.as_ref().map(|w| w.kind.as_str()));
        text("gen_ai.request.model", card.model.as_deref());
        text("lamplight.run_id", card.run_id.as_deref());
        text("lamplight.parent_session_id", card.parent_session_id.as_deref());
        if self.content {
            text(
                "lamplight.session.waiting_detail",
                card.waiting_for.as_ref().and_then(|w| w.detail.as_deref()),
            );
        }
        let mut int = |key: &str, value: Option<i64>| {
            if let Some(value) = value {
                attributes.push(KeyValue::int(key, value));
            }
        };
        int("lamplight.session.state_since_ms", card.turn_state_since_ms);
        int("lamplight.session.started_at_ms", card.started_at_ms);
        int("lamplight.session.ended_at_ms", card.ended_at_ms);
        if let Some(attention) = &card.attention {
            int("lamplight.session.tier", Some(u8::from(attention.tier).into()));
            int("lamplight.session.needs_you_since_ms", Some(attention.since_ms));
            int("lamplight.session.snoozed_until_ms", attention.snoozed_until_ms);
        }
        if let Some(tokens) = &card.tokens {
            for (kind, n) in [
                ("input", tokens.input),
                ("output", tokens.output),
                ("cache_write_5m", tokens.cache_write_5m),
                ("cache_write_1h", tokens.cache_write_1h),
                ("cache_read", tokens.cache_read),
            ] {
                int(&format!("lamplight.session.tokens.{kind}"), Some(signed(n)));
            }
        }
        if let Some(attention) = &card.attention {
            attributes.push(KeyValue::text("lamplight.session.cause", attention.cause.as_str()));
        }
        if let Some(cost) = card.cost_usd {
            attributes.push(KeyValue::double("lamplight.session.cost_usd", cost));
        }
        LogRecord {
            time_unix_nano: nanos(at_ms),
            observed_time_unix_nano: nanos(now_ms),
            severity_number: INFO,
            body: Some(AnyValue { string_value: Some(event.to_owned()), ..AnyValue::default() }),
            attributes,
            event_name: event.to_owned(),
            ..LogRecord::default()
        }
    }
}

/// Current numbers of the sessions shown, and the sums over all there ever were.
pub(super) fn metrics(status: &Status, totals: &ImportTotals) -> Vec<Metric> {
    let now = nanos(status.at_ms);
    let mut by_state: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut by_tier: BTreeMap<u8, i64> = (1..=3).map(|tier| (tier, 0)).collect();
    for card in &status.sessions {
        *by_state.entry((&card.agent, card.turn_state.as_str())).or_default() += 1;
        if let Some(attention) = card.attention.as_ref().filter(|a| !is_snoozed(a, status.at_ms)) {
            *by_tier.entry(attention.tier.into()).or_default() += 1;
        }
    }
    let point = |attributes, n: i64| NumberPoint {
        attributes,
        time_unix_nano: now,
        as_int: Some(n),
        ..NumberPoint::default()
    };
    let sessions = by_state.into_iter().map(|((agent, state), n)| {
        point(
            vec![KeyValue::text("lamplight.agent", agent), KeyValue::text("lamplight.session.state", state)],
            n,
        )
    });
    let needs = by_tier
        .into_iter()
        .map(|(tier, n)| point(vec![KeyValue::int("lamplight.session.tier", tier.into())], n));
    let costs = status.sessions.iter().filter_map(|card| {
        Some(NumberPoint {
            attributes: session_attributes(card),
            start_time_unix_nano: nanos(card.started_at_ms.unwrap_or(0)),
            time_unix_nano: now,
            as_double: Some(card.cost_usd?),
            ..NumberPoint::default()
        })
    });
    let tokens = totals.tokens.iter().flat_map(|(model, sum)| {
        [
            ("input", sum.input),
            ("output", sum.output),
            ("cache_write_5m", sum.cache_write_5m),
            ("cache_write_1h", sum.cache_write_1h),
            ("cache_read", sum.cache_read),
        ]
        .map(|(kind, n)| {
            let attributes = vec![
                KeyValue::text("gen_ai.request.model", model),
                KeyValue::text("gen_ai.token.type", kind),
            ];
            point(attributes, signed(n))
        })
    });
    vec![
        gauge("lamplight.sessions", "{session}", "Sessions shown, by agent and state.", sessions.collect()),
        gauge(
            "lamplight.needs_you",
            "{session}",
            "Sessions that need their person, by tier; snoozed ones do not count.",
            needs.collect(),
        ),
        sum(
            "lamplight.session.cost_usd",
            "{USD}",
            "Cost of each session shown whose cost is known, so far.",
            costs.collect(),
        ),
        sum(
            "lamplight.tokens",
            "{token}",
            "Tokens of all sessions known, by model and kind.",
            tokens.collect(),
        ),
    ]
}

fn gauge(name: &str, unit: &str, description: &str, data_points: Vec<NumberPoint>) -> Metric {
    Metric { gauge: Some(Gauge { data_points }), ..named(name, unit, description) }
}

/// Sums may fall: a response is found to be another session's, a transcript is gone from the count.
fn sum(name: &str, unit: &str, description: &str, data_points: Vec<NumberPoint>) -> Metric {
    let sum = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: false };
    Metric { sum: Some(sum), ..named(name, unit, description) }
}

fn named(name: &str, unit: &str, description: &str) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        ..Metric::default()
    }
}

fn key(card: &SessionCard) -> String {
    format!("{}:{}", card.agent, card.session_id)
}

fn session_attributes(card: &SessionCard) -> Vec<KeyValue> {
    let mut attributes =
        vec![KeyValue::text("session.id", &card.session_id), KeyValue::text("lamplight.agent", &card.agent)];
    if let Some(project) = &card.project {
        attributes.push(KeyValue::text("lamplight.project", project));
    }
    attributes
}

/// Who says all this.
#[derive(Debug)]
pub(super) struct Origin {
    /// The machine.
    pub(super) host: Option<String>,
    /// This run of the engine.
    pub(super) instance: String,
}

impl Origin {
    /// A request with log records; `None` without any.
    pub(super) fn logs(&self, records: Vec<LogRecord>) -> Option<Part> {
        self.request(&records)
    }

    /// A request with metrics; those without a point say nothing.
    pub(super) fn metrics(&self, metrics: Vec<Metric>) -> Option<Part> {
        let has_points = |m: &Metric| {
            m.gauge.as_ref().is_some_and(|g| !g.data_points.is_empty())
                || m.sum.as_ref().is_some_and(|s| !s.data_points.is_empty())
        };
        self.request(&metrics.into_iter().filter(has_points).collect::<Vec<_>>())
    }

    fn request<T: Message>(&self, records: &[T]) -> Option<Part> {
        if records.is_empty() {
            return None;
        }
        let mut attributes = vec![
            KeyValue::text("service.name", "lamplight"),
            KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::text("service.instance.id", &self.instance),
        ];
        if let Some(host) = &self.host {
            attributes.push(KeyValue::text("host.name", host));
        }
        let resource = Resource { attributes, ..Resource::default() };
        let named = Scope {
            name: "lamplight.sessions".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Scope::default()
        };
        let (mut scope, mut group, mut body) = (Vec::new(), Vec::new(), Vec::new());
        field(1, &named.encode_to_vec(), &mut scope);
        for record in records {
            field(2, &record.encode_to_vec(), &mut scope);
        }
        field(1, &resource.encode_to_vec(), &mut group);
        field(2, &scope, &mut group);
        field(1, &group, &mut body);
        Some(Part { body, records: u32::try_from(records.len()).unwrap_or(u32::MAX) })
    }
}

fn nanos(ms: i64) -> u64 {
    u64::try_from(Timestamp(ms).0).unwrap_or(0).saturating_mul(1_000_000)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
