//! What is told of a request once it is decoded: facts for the writer, each with whom it is about.

use std::collections::BTreeMap;

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, FactId, SessionId, Timestamp};
use lamplight_model::session::Dated;
use lamplight_model::telemetry::{Meter, Telemetry, Word};
use xxhash_rust::xxh3::xxh3_128;

use super::{PartialSuccess, SpanSeen};

/// A decoded request.
#[derive(Debug)]
pub struct Batch {
    /// Moment of reading; no fact is later.
    pub received_at: Timestamp,
    /// Size of the request.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Records that carry no fact: counted, not stored.
    pub counted: u64,
    /// What was refused.
    pub partial: PartialSuccess,
    /// Services that sent something.
    pub(crate) services: Vec<ServiceSeen>,
    /// What records say about sessions of coding agents.
    pub(crate) sessions: BTreeMap<(Agent, SessionId), SessionSeen>,
    /// The facts.
    pub(crate) facts: Vec<Fact>,
    /// Who sent spans.
    pub(crate) senders: Vec<Sender>,
    /// Spans to be stored.
    pub(crate) spans: Vec<SpanSeen>,
}

impl Batch {
    /// What it costs in memory, counted in log records: a span is stored with its attributes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.records.saturating_add(3 * self.spans.len() as u64)
    }
}

/// Who sent a span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub name: String,
    pub namespace: String,
    /// Index into [`Batch::services`], for a service.
    pub service: Option<usize>,
}

/// A service named by a resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServiceSeen {
    pub name: String,
    pub namespace: String,
    /// Times of its earliest and latest record, never later than the moment of reading.
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Attributes that say something about a session; absent ones leave what was known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionSeen {
    /// `service.namespace`: the project.
    pub namespace: Option<Dated<String>>,
    /// `service.instance.id`: the terminal.
    pub instance: Option<Dated<String>>,
    /// The run it was declared to belong to.
    pub run: Option<Dated<String>>,
    /// The session that was declared to have spawned it.
    pub parent: Option<Dated<SessionId>>,
    /// For a session of a service.
    pub sdk: Option<SdkSeen>,
}

/// What records of a service say of when a session was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SdkSeen {
    /// Indexes into [`Batch::services`], with the begin of the earliest and the end of the latest record of each.
    pub services: BTreeMap<usize, (Timestamp, Timestamp)>,
    /// End of the latest span that wraps the session.
    pub wrapped_until: Option<Timestamp>,
}

/// One fact. Each is stored at most once, however often it is delivered.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact {
    /// Something a service did.
    Measured(Measured),
    /// A model request of a coding session, with what it cost by the agent's own account.
    Requested(Requested),
    /// A failed attempt of a coding session, or the end of its retries.
    Failed(Failed),
    /// A tool call of a coding session: how long it took, and who decided about it.
    Called(Called),
    /// How long a call waited for its person; the span around it names the call.
    Waited(Waited),
    /// A word on a turn or a tool of a coding session.
    Heard(Box<Heard>),
    /// What a metric measured of a Claude Code session.
    Metered(Metered),
}

/// Identity of a record: its time first, so that what arrives together is stored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordId {
    /// The record's own time; 0 when it has none.
    pub at_ns: i64,
    pub hash: FactId,
}

/// What a service did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Called a model.
    ModelCall,
    /// Served a request: a root span, or one that answers somebody.
    Request,
    /// Wrote a log record.
    Log,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Measured {
    /// Index into [`Batch::services`].
    pub service: usize,
    pub id: RecordId,
    pub kind: Kind,
    pub at: Timestamp,
    /// The call's own id (trace and span): a span and a log record may both tell of it.
    pub call: Option<FactId>,
    /// Told by a span.
    pub by_span: bool,
    /// The session it names, of a call without an id of its own: one with an id is counted with its span.
    pub session: Option<SessionId>,
    pub is_error: bool,
    pub duration_us: Option<u64>,
    pub model: Option<String>,
    pub usage: Usage,
    /// Reported cost in billionths of a US dollar.
    pub cost_nano: Option<u64>,
}

/// A model call of a session that has no id of its own.
#[derive(Debug, PartialEq)]
pub(crate) struct LoneCall {
    pub session: SessionId,
    pub at: Timestamp,
    pub model: Option<String>,
    pub usage: Usage,
    pub cost_nano: Option<u64>,
    pub is_error: bool,
}

impl Measured {
    /// What it says of a session, when it is a call that no span tells of.
    pub(crate) fn lone_call(&self) -> Option<LoneCall> {
        let session = self.session.clone().filter(|_| self.kind == Kind::ModelCall)?;
        let Self { at, usage, cost_nano, is_error, .. } = *self;
        Some(LoneCall { session, at, model: self.model.clone(), usage, cost_nano, is_error })
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Requested {
    pub agent: Agent,
    pub session: SessionId,
    /// Hash of the request id, as in [`lamplight_model::event::Response::request`]; else of the record.
    pub request: FactId,
    pub at: Timestamp,
    pub model: Option<String>,
    pub usage: Usage,
    /// Reported cost in billionths of a US dollar.
    pub cost_nano: Option<u64>,
    pub duration_ms: Option<u64>,
    pub ttft_ms: Option<u64>,
    /// Which attempt it was, 1-based, where said.
    pub attempt: Option<u32>,
    /// Told by a log record, which knows the cost; else by a span.
    pub by_log: bool,
}

/// A tool call. Of one call several records tell, each a part of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Called {
    pub agent: Agent,
    pub session: SessionId,
    /// Hash of the call's id, as in [`lamplight_model::event::ToolCall::key`].
    pub key: FactId,
    pub at: Timestamp,
    /// Tool; empty where the record does not say.
    pub tool: String,
    pub ran_ms: Option<u64>,
    pub success: Option<bool>,
    /// Who decided, in the agent's word.
    pub decision: Option<String>,
    /// The span around the call, by [`span_key`].
    pub span: Option<FactId>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Waited {
    pub agent: Agent,
    pub session: SessionId,
    /// The span around the call that waited.
    pub span: FactId,
    pub ms: u64,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Heard {
    pub agent: Agent,
    pub session: SessionId,
    pub subagent: Option<String>,
    pub id: RecordId,
    pub at: Timestamp,
    pub word: Word,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Metered {
    pub session: SessionId,
    pub at: Timestamp,
    /// The point, or the series it is a total of.
    pub id: RecordId,
    pub meter: Meter,
    /// In the meter's unit.
    pub amount: u64,
    /// A total since the series began.
    pub is_cumulative: bool,
}

/// The session, and the subagent of it, that a record speaks of.
pub(super) struct About {
    pub agent: Agent,
    pub session: SessionId,
    pub subagent: Option<String>,
}

impl About {
    pub fn heard(&self, at: Timestamp, id: RecordId, word: Word) -> Fact {
        let (agent, session, subagent) = (self.agent, self.session.clone(), self.subagent.clone());
        Fact::Heard(Box::new(Heard { agent, session, subagent, id, at, word }))
    }

    pub fn called(&self, key: FactId, at: Timestamp) -> Called {
        Called {
            agent: self.agent,
            session: self.session.clone(),
            key,
            at,
            tool: String::new(),
            ran_ms: None,
            success: None,
            decision: None,
            span: None,
        }
    }
}

/// Names a span within its trace; `None` for ids of zeros, which are none.
pub(super) fn span_key(trace: &[u8], span: &[u8]) -> Option<FactId> {
    let is_set = |id: &[u8]| id.iter().any(|byte| *byte != 0);
    (is_set(trace) && is_set(span)).then(|| FactId(xxh3_128(&[trace, span].concat())))
}

#[derive(Debug, PartialEq)]
pub(crate) struct Failed {
    pub agent: Agent,
    pub session: SessionId,
    pub id: RecordId,
    pub at: Timestamp,
    /// Retries are used up.
    pub exhausted: bool,
    /// HTTP status, where said.
    pub status: Option<u16>,
    /// Attempt, or attempts in all.
    pub attempt: Option<u32>,
}

impl SessionSeen {
    /// Takes over what `other` says.
    pub(super) fn merge(&mut self, other: Self) {
        Telemetry::resolve(&mut self.namespace, other.namespace, true);
        Telemetry::resolve(&mut self.instance, other.instance, true);
        // Who spawned it does not change; the first word holds.
        Telemetry::resolve(&mut self.run, other.run, false);
        Telemetry::resolve(&mut self.parent, other.parent, false);
        let Some(found) = other.sdk else { return };
        let known = self.sdk.get_or_insert_default();
        known.wrapped_until = known.wrapped_until.max(found.wrapped_until);
        for (service, (from, to)) in found.services {
            let times = known.services.entry(service).or_insert((from, to));
            *times = (times.0.min(from), times.1.max(to));
        }
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
