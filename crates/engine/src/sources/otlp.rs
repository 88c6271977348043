//! OTLP requests, decoded and mapped: bytes in, a [`Batch`] of facts for the writer out. Pure; no socket, no clock.
//!
//! Start from [`decode`]. A request is walked by its framing, and its records are decoded one at a time, so that a
//! hostile body costs no more memory than its own size; `proto` says what is read of a record, `json` how JSON differs,
//! `claude` and `service` what a record means. Records of coding agents and of services part by [`classify`], never by
//! whether a session id is there.

mod attributes;
mod batch;
pub(crate) mod classify;
mod claude;
mod codex;
mod gemini;
pub(crate) mod json;
mod meter;
mod private;
mod proto;
mod service;
mod span;
pub(crate) mod walk;

use std::collections::{BTreeMap, HashMap};

use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey, Timestamp, TraceId};
use lamplight_model::view::SpanKind;
use xxhash_rust::xxh3::xxh3_128;

use attributes::Attributes;
pub(crate) use attributes::clean as clean_name;
use classify::Origin;
use proto::{DataPoint, InstrumentationScope, LogRecord, Metric, Resource, Span};
use walk::{Group, Scope};

pub use batch::Batch;
use batch::{About, span_key};
pub(crate) use batch::{
    Called, Fact, Failed, Heard, Kind, LoneCall, Measured, Metered, RecordId, Requested, SdkSeen, Sender,
    ServiceSeen, SessionSeen, Waited,
};
pub use proto::{response_bytes, status_bytes};
pub(crate) use span::{Named, SpanSeen};

/// Largest record that is decoded. Agents' largest, with prompts, are some 100 KB.
pub(crate) const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Spans.
    Traces,
    /// Metric data points.
    Metrics,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Traces, Self::Metrics];

    /// Name of the field that counts refused records in a JSON answer.
    #[must_use]
    pub fn rejected_field(self) -> &'static str {
        match self {
            Self::Logs => "rejectedLogRecords",
            Self::Traces => "rejectedSpans",
            Self::Metrics => "rejectedDataPoints",
        }
    }
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

/// A request that cannot be read as a whole; sending it again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The framing is no OTLP.
    #[error("the body is no OTLP request: {0}")]
    Framing(&'static str),
    /// JSON that cannot be parsed.
    #[error("the body is no OTLP request in JSON: line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
    },
}

/// What was refused of an accepted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Records refused; the others are committed.
    pub rejected: u64,
    /// Why, for whoever reads the exporter's log.
    pub message: Option<&'static str>,
}

/// Decodes a request and maps its records.
///
/// # Errors
/// [`Malformed`] when the request cannot be read at all. A single record that cannot be read is refused and counted in
/// [`Batch::partial`].
pub fn decode(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    received_at: Timestamp,
) -> Result<Batch, Malformed> {
    let groups = match encoding {
        Encoding::Protobuf => walk::protobuf(body)?,
        Encoding::Json => walk::json(body)?,
    };
    let mut mapper = Mapper {
        encoding,
        batch: Batch {
            received_at,
            bytes: body.len() as u64,
            records: 0,
            counted: 0,
            partial: PartialSuccess::default(),
            services: Vec::new(),
            sessions: BTreeMap::new(),
            facts: Vec::new(),
            senders: Vec::new(),
            spans: Vec::new(),
        },
        twins: HashMap::new(),
    };
    for group in &groups {
        mapper.group(signal, group);
    }
    Ok(mapper.batch)
}

struct Mapper {
    encoding: Encoding,
    batch: Batch,
    /// How often each identical record was met in this request.
    twins: HashMap<u128, u32>,
}

/// Whose records are being read.
struct Around<'a> {
    resource: &'a [attributes::KeyValue],
    origin: Origin,
    /// Index into [`Batch::services`], for a service.
    service: Option<usize>,
    /// Index into [`Batch::senders`], of spans and of a service's log records.
    sender: usize,
    /// Hash of resource and scope.
    hash: u128,
}

impl Mapper {
    fn group(&mut self, signal: Signal, group: &Group<'_>) {
        let Ok(resource) = self.read::<Resource>(group.resource) else {
            let records = group.scopes.iter().map(|s| s.records.len() as u64).sum();
            return self.refuse(records, "a resource could not be read");
        };
        for scope in &group.scopes {
            self.scope(signal, &resource, group.resource, scope);
        }
        // A resource without records still says that its service is there; it says nothing about when.
    }

    fn scope(&mut self, signal: Signal, resource: &Resource, resource_bytes: &[u8], scope: &Scope<'_>) {
        let Ok(named) = self.read::<InstrumentationScope>(scope.scope) else {
            return self.refuse(scope.records.len() as u64, "a scope could not be read");
        };
        let attributes = Attributes::of(&resource.attributes);
        let origin = classify::classify(&attributes, &named.name);
        let service =
            (origin == Origin::Service && !scope.records.is_empty()).then(|| self.service(&attributes));
        let hash =
            xxh3_128(&[xxh3_128(resource_bytes).to_be_bytes(), xxh3_128(scope.scope).to_be_bytes()].concat());
        let sender = self.sender(&attributes, origin, service);
        let around = Around { resource: &resource.attributes, origin, service, sender, hash };
        for record in &scope.records {
            self.batch.records += 1;
            match signal {
                Signal::Logs => self.log(&around, record),
                Signal::Traces => self.span(&around, record),
                Signal::Metrics => self.metric(&around, record),
            }
        }
    }

    fn service(&mut self, resource: &Attributes<'_>) -> usize {
        let name = resource.name("service.name").unwrap_or_else(|| "unknown_service".to_owned());
        let namespace = resource.name("service.namespace").unwrap_or_default();
        let services = &mut self.batch.services;
        if let Some(at) = services.iter().position(|s| s.name == name && s.namespace == namespace) {
            return at;
        }
        // A metric without points says that the service is there, and nothing about when.
        let at = self.batch.received_at;
        services.push(ServiceSeen { name, namespace, first: at, last: Timestamp::default() });
        services.len() - 1
    }

    fn sender(&mut self, resource: &Attributes<'_>, origin: Origin, service: Option<usize>) -> usize {
        let name = match origin {
            // A coding agent's own name, whatever the user calls it.
            Origin::Coding(agent) => agent.as_str().to_owned(),
            Origin::OtherCoding | Origin::Service => {
                resource.name("service.name").unwrap_or_else(|| "unknown_service".to_owned())
            }
        };
        let namespace = resource.name("service.namespace").unwrap_or_default();
        let senders = &mut self.batch.senders;
        let known = |s: &Sender| s.name == name && s.namespace == namespace && s.service == service;
        senders.iter().position(known).unwrap_or_else(|| {
            senders.push(Sender { name, namespace, service });
            senders.len() - 1
        })
    }

    fn log(&mut self, around: &Around<'_>, bytes: &[u8]) {
        let Ok(record) = self.read::<LogRecord>(bytes) else {
            return self.refuse(1, "a log record could not be read");
        };
        let own = Attributes::over(&record.attributes, around.resource);
        let at_ns = first_set([record.time_unix_nano, record.observed_time_unix_nano]);
        let at = self.moment(at_ns);
        self.seen(around, &own, at);
        let id = self.id(around, at_ns, bytes);
        if let Origin::Coding(agent) = around.origin {
            return self.told(agent, &own, false, |about, out| match agent {
                Agent::ClaudeCode => claude::log(&record, &own, about, id, at, out),
                Agent::Codex => codex::log(&own, about, id, at, out),
                Agent::Gemini => gemini::log(&own, about, id, at, out),
                // Sessions of services are told of by spans and calls.
                Agent::OpenCode | Agent::Otel => {}
            });
        }
        let mut measured = around.service.map(|service| service::log(&record, &own, service, id, at));
        if let (Some(m), Some(service)) = (measured.as_mut(), around.service) {
            let is_call = m.kind == Kind::ModelCall;
            let kind = if is_call { SpanKind::Llm } else { SpanKind::Other };
            let session = classify::sdk_session(&own, kind);
            let trace = TraceId::from_bytes(&record.trace_id).filter(|_| is_call);
            let named = self.named(&own, service, (session.clone(), trace), (at, at), None);
            if is_call {
                let received_ns = self.batch.received_at.0.saturating_mul(1_000_000);
                let of_log = span::of_log(&record, &own, m, around.sender, named, received_ns);
                m.session = session.filter(|_| of_log.is_none());
                self.batch.spans.extend(of_log);
            }
        }
        self.keep(measured.map(Fact::Measured));
    }

    /// Keeps what a record of a coding agent tells of its session; one that names none tells nothing. A span that is
    /// stored is not counted as saying nothing.
    fn told(
        &mut self,
        agent: Agent,
        own: &Attributes<'_>,
        is_kept: bool,
        tell: impl FnOnce(&About, &mut Vec<Fact>),
    ) {
        let before = self.batch.facts.len();
        if let Some(session) = classify::session(agent, own) {
            let subagent = own.text("agent_id").filter(|id| id.len() <= 128).map(str::to_owned);
            tell(&About { agent, session, subagent }, &mut self.batch.facts);
        }
        self.batch.counted += u64::from(!is_kept && self.batch.facts.len() == before);
    }

    fn span(&mut self, around: &Around<'_>, bytes: &[u8]) {
        let Ok(span) = self.read::<Span>(bytes) else {
            return self.refuse(1, "a span could not be read");
        };
        let own = Attributes::over(&span.attributes, around.resource);
        let at_ns = first_set([span.end_time_unix_nano, span.start_time_unix_nano]);
        let at = self.moment(at_ns);
        self.seen(around, &own, at);
        let received_ns = self.batch.received_at.0.saturating_mul(1_000_000);
        let mut seen = span::span(&span, &own, around.resource, around.origin, around.sender, received_ns);
        if let Some(seen) = &mut seen {
            seen.session = match (around.origin, around.service) {
                (Origin::Coding(agent), _) => classify::session(agent, &own)
                    .map_or(Named::Nobody, |id| Named::Session(SessionKey { agent, id })),
                (Origin::Service, Some(service)) => {
                    let kind = seen.span.kind;
                    let trace = Some(seen.trace).filter(|_| classify::is_agents_work(kind));
                    let begin = self.moment(first_set([span.start_time_unix_nano, span.end_time_unix_nano]));
                    let is_wrap = kind == SpanKind::Agent
                        && seen.span.duration_ns().is_some_and(|ns| ns > 0)
                        && own.text("gen_ai.operation.name") != Some("create_agent");
                    let wrap = is_wrap.then_some(at);
                    self.named(&own, service, (classify::sdk_session(&own, kind), trace), (begin, at), wrap)
                }
                (Origin::OtherCoding | Origin::Service, _) => Named::Nobody,
            };
        }
        let is_kept = seen.is_some();
        self.batch.spans.extend(seen);
        let id = self.id(around, at_ns, bytes);
        if around.origin == Origin::Coding(Agent::ClaudeCode) {
            return self.told(Agent::ClaudeCode, &own, is_kept, |about, out| {
                claude::span(&span, &own, about, id, at, out);
            });
        }
        let fact = around
            .service
            .and_then(|service| service::span(&span, &own, service, id, at))
            .map(Fact::Measured);
        match fact {
            // It is stored, and says nothing more.
            None if is_kept => {}
            fact => self.keep(fact),
        }
    }

    fn metric(&mut self, around: &Around<'_>, bytes: &[u8]) {
        let Ok(metric) = self.read::<Metric>(bytes) else {
            return self.refuse(1, "a metric could not be read");
        };
        let points: Vec<DataPoint<'_>> = metric.points();
        // A metric counts once as a record; what is counted here are its points.
        self.batch.records = self.batch.records.saturating_sub(1).saturating_add(points.len() as u64);
        for point in points {
            let own = Attributes::over(point.attributes, around.resource);
            let at = self.moment(first_set([point.time_unix_nano, 0]));
            self.seen(around, &own, at);
            if around.origin == Origin::Coding(Agent::ClaudeCode) {
                self.told(Agent::ClaudeCode, &own, false, |about, out| {
                    out.extend(meter::claude(&metric.name, &point, &own, about, around.hash, at));
                });
            } else {
                self.batch.counted += 1;
            }
        }
    }

    /// Notes what a service's record says of the session it names; where it declares a run and names no session, of the
    /// trace it belongs to, which then stands for one.
    fn named(
        &mut self,
        own: &Attributes<'_>,
        service: usize,
        (session, trace): (Option<SessionId>, Option<TraceId>),
        (from, to): (Timestamp, Timestamp),
        wrapped_until: Option<Timestamp>,
    ) -> Named {
        let (id, named) = match (session, trace) {
            (Some(id), _) => (id.clone(), Named::Session(SessionKey { agent: Agent::Otel, id })),
            (None, Some(trace)) if classify::has_run(own) => match SessionId::new(&trace.to_string()) {
                Ok(id) => (id.clone(), Named::Trace(SessionKey { agent: Agent::Otel, id })),
                Err(_) => return Named::Nobody,
            },
            _ => return Named::Nobody,
        };
        let mut found = classify::declared(own, to);
        let services = BTreeMap::from([(service, (from.min(to), to))]);
        found.sdk = Some(SdkSeen { services, wrapped_until });
        self.batch.sessions.entry((Agent::Otel, id)).or_default().merge(found);
        named
    }

    /// Notes who sent a record.
    fn seen(&mut self, around: &Around<'_>, own: &Attributes<'_>, at: Timestamp) {
        match around.origin {
            Origin::Service => {
                if let Some(service) = around.service.and_then(|i| self.batch.services.get_mut(i)) {
                    service.first = service.first.min(at);
                    service.last = service.last.max(at);
                }
            }
            Origin::Coding(agent) => {
                let Some(session) = classify::session(agent, own) else { return };
                let found = classify::declared(own, at);
                self.batch.sessions.entry((agent, session)).or_default().merge(found);
            }
            Origin::OtherCoding => {}
        }
    }

    fn keep(&mut self, fact: Option<Fact>) {
        match fact {
            Some(fact) => self.batch.facts.push(fact),
            None => self.batch.counted += 1,
        }
    }

    fn refuse(&mut self, records: u64, message: &'static str) {
        self.batch.partial.rejected += records;
        self.batch.partial.message.get_or_insert(message);
    }

    fn read<T: prost::Message + Default + for<'de> serde::Deserialize<'de>>(
        &self,
        bytes: &[u8],
    ) -> Result<T, Unreadable> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Unreadable);
        }
        match self.encoding {
            Encoding::Protobuf => T::decode(bytes).map_err(|_| Unreadable),
            Encoding::Json if bytes.is_empty() => Ok(T::default()),
            Encoding::Json => serde_json::from_slice(bytes).map_err(|_| Unreadable),
        }
    }

    /// Identity of a record: what it says, who says it, and how many identical ones stood before it in this request.
    fn id(&mut self, around: &Around<'_>, at_ns: u64, bytes: &[u8]) -> RecordId {
        let plain = xxh3_128(&[around.hash.to_be_bytes(), xxh3_128(bytes).to_be_bytes()].concat());
        let twin = self.twins.entry(plain).or_default();
        let hash = match *twin {
            0 => plain,
            n => xxh3_128(&[&plain.to_be_bytes()[..], &n.to_be_bytes()[..]].concat()),
        };
        *twin += 1;
        RecordId { at_ns: i64::try_from(at_ns).unwrap_or(i64::MAX), hash: FactId(hash) }
    }

    /// A record's time in milliseconds, never later than the moment of reading, which also stands in for none.
    fn moment(&self, at_ns: u64) -> Timestamp {
        if at_ns == 0 {
            return self.batch.received_at;
        }
        let ms = i64::try_from(at_ns / 1_000_000).unwrap_or(i64::MAX);
        Timestamp(ms.min(self.batch.received_at.0))
    }
}

/// A record that cannot be decoded or is too large.
struct Unreadable;

fn first_set(times: [u64; 2]) -> u64 {
    times.into_iter().find(|t| *t != 0).unwrap_or(0)
}
