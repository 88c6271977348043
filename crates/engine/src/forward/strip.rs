//! Takes from a record what may not leave the machine; `content` says what that is.
//!
//! Besides attributes: a log record's body (but for the event's name, which Claude Code writes there), a status'
//! message, a trace state that is no list of words, and what an event, a link or an exemplar carries along. A span's name
//! stays: the conventions ask for one of few values; it is cut where somebody wrote a text into it.

use super::content::{self, Writer};
use super::wire::{
    AnyValue, ArrayValue, Exemplar, KeyValue, Link, LogRecord, Metric, Resource, Scope, Span, SpanEvent,
};

/// Most characters kept of the name of a span or a metric.
const MAX_NAME: usize = 128;

/// Most bytes of a trace state; the W3C's recommendation asks to keep at least 512.
const MAX_TRACE_STATE: usize = 512;

/// What can be stripped of content.
pub(super) trait Strip {
    fn strip(&mut self, writer: Writer);
}

impl Strip for Resource {
    fn strip(&mut self, writer: Writer) {
        let all = std::mem::take(&mut self.attributes);
        let before = all.len();
        // What stands here was mostly declared by the user, whose own names are as welcome as the agent's.
        self.attributes = all
            .into_iter()
            .filter_map(|a| attribute(writer, &a).or_else(|| attribute(Writer::Program, &a)))
            .collect();
        self.dropped_attributes_count =
            dropped(self.dropped_attributes_count, before - self.attributes.len());
    }
}

impl Strip for Scope {
    fn strip(&mut self, writer: Writer) {
        name(&mut self.name);
        name(&mut self.version);
        attributes(writer, &mut self.attributes, &mut self.dropped_attributes_count);
    }
}

impl Strip for LogRecord {
    fn strip(&mut self, writer: Writer) {
        self.body = self.body.take().filter(is_event_name);
        if !content::is_word(&self.event_name) {
            self.event_name.clear();
        }
        if !content::is_word(&self.severity_text) {
            self.severity_text.clear();
        }
        attributes(writer, &mut self.attributes, &mut self.dropped_attributes_count);
    }
}

impl Strip for Span {
    fn strip(&mut self, writer: Writer) {
        name(&mut self.name);
        trace_state(&mut self.trace_state);
        attributes(writer, &mut self.attributes, &mut self.dropped_attributes_count);
        self.events.iter_mut().for_each(|event| event.strip(writer));
        self.links.iter_mut().for_each(|link| link.strip(writer));
        if let Some(status) = &mut self.status {
            status.message.clear();
        }
    }
}

impl Strip for SpanEvent {
    fn strip(&mut self, writer: Writer) {
        if !content::is_word(&self.name) {
            self.name.clear();
        }
        attributes(writer, &mut self.attributes, &mut self.dropped_attributes_count);
    }
}

impl Strip for Link {
    fn strip(&mut self, writer: Writer) {
        trace_state(&mut self.trace_state);
        attributes(writer, &mut self.attributes, &mut self.dropped_attributes_count);
    }
}

impl Strip for Metric {
    fn strip(&mut self, writer: Writer) {
        name(&mut self.name);
        name(&mut self.unit);
        self.description.clear();
        self.metadata.clear();
        let sum = self.sum.iter_mut().flat_map(|m| &mut m.data_points);
        for point in self.gauge.iter_mut().flat_map(|m| &mut m.data_points).chain(sum) {
            point_attributes(writer, &mut point.attributes);
            point.exemplars.iter_mut().for_each(|exemplar| exemplar.strip(writer));
        }
        for point in self.histogram.iter_mut().flat_map(|m| &mut m.data_points) {
            point_attributes(writer, &mut point.attributes);
            point.exemplars.iter_mut().for_each(|exemplar| exemplar.strip(writer));
        }
        for point in self.exponential_histogram.iter_mut().flat_map(|m| &mut m.data_points) {
            point_attributes(writer, &mut point.attributes);
            point.exemplars.iter_mut().for_each(|exemplar| exemplar.strip(writer));
        }
        for point in self.summary.iter_mut().flat_map(|m| &mut m.data_points) {
            point_attributes(writer, &mut point.attributes);
        }
    }
}

impl Strip for Exemplar {
    fn strip(&mut self, writer: Writer) {
        point_attributes(writer, &mut self.filtered_attributes);
    }
}

fn attributes(writer: Writer, all: &mut Vec<KeyValue>, dropped_before: &mut u32) {
    let before = all.len();
    point_attributes(writer, all);
    *dropped_before = dropped(*dropped_before, before - all.len());
}

/// Attributes that make a series: they have no count of dropped ones.
fn point_attributes(writer: Writer, all: &mut Vec<KeyValue>) {
    *all = std::mem::take(all).iter().filter_map(|a| attribute(writer, a)).collect();
}

fn dropped(before: u32, more: usize) -> u32 {
    before.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
}

/// What may be passed on of an attribute.
fn attribute(writer: Writer, a: &KeyValue) -> Option<KeyValue> {
    // The name itself could carry text: a map written with its content as keys.
    if a.key.is_empty()
        || a.key.len() > MAX_NAME
        || !content::is_plain(&a.key)
        || a.key.contains(char::is_whitespace)
    {
        return None;
    }
    let value = value(writer, &a.key, a.value.as_ref()?)?;
    Some(KeyValue { key: a.key.clone(), value: Some(value) })
}

fn value(writer: Writer, key: &str, value: &AnyValue) -> Option<AnyValue> {
    match scalar(value)? {
        Scalar::Text(text) => content::passes_text(writer, key, text).then(|| value.clone()),
        Scalar::Number => content::passes_number(key).then(|| value.clone()),
        Scalar::List(list) => {
            if !content::passes_list(list.values.len()) {
                return None;
            }
            let values: Option<Vec<AnyValue>> = list
                .values
                .iter()
                .map(|entry| match scalar(entry)? {
                    Scalar::Text(text) => content::passes_text(writer, key, text).then(|| entry.clone()),
                    Scalar::Number => content::passes_number(key).then(|| entry.clone()),
                    Scalar::List(_) => None,
                })
                .collect();
            let array_value = Some(ArrayValue { values: values? });
            Some(AnyValue { array_value, ..AnyValue::default() })
        }
    }
}

enum Scalar<'a> {
    Text(&'a str),
    Number,
    List(&'a ArrayValue),
}

/// What a value is; `None` for maps, bytes, nothing, and for one that claims to be two things.
fn scalar(value: &AnyValue) -> Option<Scalar<'_>> {
    match value {
        AnyValue {
            string_value: Some(text),
            bool_value: None,
            int_value: None,
            double_value: None,
            array_value: None,
            kvlist_value: None,
            bytes_value: None,
        } => Some(Scalar::Text(text)),
        AnyValue {
            string_value: None,
            bool_value: None,
            int_value: None,
            double_value: None,
            array_value: Some(list),
            kvlist_value: None,
            bytes_value: None,
        } => Some(Scalar::List(list)),
        AnyValue { string_value: None, array_value: None, kvlist_value: None, bytes_value: None, .. } => {
            let set = [value.bool_value.is_some(), value.int_value.is_some(), value.double_value.is_some()];
            (set.iter().filter(|is_set| **is_set).count() == 1).then_some(Scalar::Number)
        }
        _ => None,
    }
}

/// Claude Code writes `claude_code.<event>` where others write sentences.
fn is_event_name(body: &AnyValue) -> bool {
    matches!(scalar(body), Some(Scalar::Text(text)) if text.strip_prefix("claude_code.").is_some_and(content::is_word))
}

fn name(text: &mut String) {
    if text.chars().count() > MAX_NAME || text.chars().any(lamplight_model::label::is_unsafe) {
        *text = text.chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).take(MAX_NAME).collect();
    }
}

fn trace_state(text: &mut String) {
    if text.len() > MAX_TRACE_STATE || !text.bytes().all(|b| b.is_ascii_graphic()) {
        text.clear();
    }
}
