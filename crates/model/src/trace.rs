//! Spans: how copies of one are joined, what one adds to sums, and how the spans of a trace stand as a tree.
//!
//! [`Span::join`] is a join in the mathematical sense (order, repetition and grouping of the copies do not matter), so
//! that whatever way the copies of a span take, the same span is stored.

mod tree;

use std::collections::BTreeMap;

use crate::event::Usage;
use crate::ids::SpanId;
use crate::view::SpanKind;

pub use tree::{Node, Placed, preorder};

/// Attributes kept of one span: those with the smallest names.
pub const MOST_ATTRIBUTES: usize = 64;

/// What is known of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Told by a span; `false` while only a log record of a model call names it.
    pub by_span: bool,
    /// Its parent; `None` for a root.
    pub parent: Option<SpanId>,
    /// What it stands for.
    pub kind: SpanKind,
    /// Begin, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// End, likewise; `None` when none was told.
    pub end_ns: Option<i64>,
    /// Whether it failed; `None` when it does not say.
    pub is_error: Option<bool>,
    /// Name as written.
    pub name: String,
    /// Status message.
    pub message: Option<String>,
    /// Model it called.
    pub model: Option<String>,
    /// Tool it ran.
    pub tool: Option<String>,
    /// What a model call used; `None` for what is none.
    pub call: Option<Call>,
    /// Other attributes.
    pub attributes: BTreeMap<String, String>,
}

/// What a model call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Call {
    /// Tokens; zeros when none were told.
    pub usage: Usage,
    /// Reported cost in billionths of a US dollar.
    pub cost_nano: Option<u64>,
}

impl Span {
    /// Joins two copies field by field: what is there beats what is not; of two values the fuller one holds, which is the
    /// earlier begin, the later end, the failure, the larger count, the longer text. What a span says of its shape
    /// beats what a log record says.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let call = join_calls(self.call, other.call);
        let model = fuller_of(self.model.clone(), other.model.clone());
        let is_error = self.is_error.max(other.is_error);
        let (shape, rest) = match (self.by_span, other.by_span) {
            (true, false) => (self, other),
            (false, true) => (other, self),
            _ => return Self { call, model, is_error, ..self.join_equals(other) },
        };
        let attributes = join_attributes(shape.attributes, rest.attributes);
        Self {
            call,
            model,
            is_error,
            message: fuller_of(shape.message, rest.message),
            tool: fuller_of(shape.tool, rest.tool),
            attributes,
            ..shape
        }
    }

    fn join_equals(self, other: Self) -> Self {
        Self {
            by_span: self.by_span,
            parent: self.parent.max(other.parent),
            kind: self.kind.min(other.kind),
            start_ns: self.start_ns.min(other.start_ns),
            end_ns: self.end_ns.max(other.end_ns),
            is_error: self.is_error,
            name: fuller(self.name, other.name),
            message: fuller_of(self.message, other.message),
            model: self.model,
            tool: fuller_of(self.tool, other.tool),
            call: self.call,
            attributes: join_attributes(self.attributes, other.attributes),
        }
    }

    /// Duration in nanoseconds; an end before the begin, or none, is no duration.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        u64::try_from(self.end_ns?.checked_sub(self.start_ns)?).ok()
    }

    /// Latest moment it speaks of.
    #[must_use]
    pub fn last_ns(&self) -> i64 {
        self.end_ns.map_or(self.start_ns, |end| end.max(self.start_ns))
    }
}

/// The longer of two texts; of two of one length the greater.
fn fuller(a: String, b: String) -> String {
    if (a.len(), &a) >= (b.len(), &b) { a } else { b }
}

fn fuller_of(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(fuller(a, b)),
        (a, b) => a.or(b),
    }
}

fn join_calls(a: Option<Call>, b: Option<Call>) -> Option<Call> {
    match (a, b) {
        (Some(a), Some(b)) => {
            Some(Call { usage: a.usage.max(b.usage), cost_nano: a.cost_nano.max(b.cost_nano) })
        }
        (a, b) => a.or(b),
    }
}

fn join_attributes(mut a: BTreeMap<String, String>, b: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (key, value) in b {
        let known = a.remove(&key);
        let value = fuller_of(known, Some(value.clone())).unwrap_or(value);
        a.insert(key, value);
    }
    while a.len() > MOST_ATTRIBUTES {
        a.pop_last();
    }
    a
}
