//! Reading attributes: numbers and booleans also where a client sends them as text.

use lamplight_model::fold::cut;
use lamplight_model::label::is_unsafe;

pub(super) use super::proto::KeyValue;
use super::proto::{MAX_ATTRIBUTES, Value};

/// Characters kept of a name.
const MAX_NAME: usize = 200;

/// The attributes of a record, and of its resource where the record says nothing.
pub(super) struct Attributes<'a> {
    own: &'a [KeyValue],
    resource: &'a [KeyValue],
}

impl<'a> Attributes<'a> {
    /// Attributes of one thing.
    pub(super) fn of(own: &'a [KeyValue]) -> Self {
        Self { own: own.get(..MAX_ATTRIBUTES).unwrap_or(own), resource: &[] }
    }

    /// Attributes of a record over those of its resource.
    pub(super) fn over(own: &'a [KeyValue], resource: &'a [KeyValue]) -> Self {
        Self { resource: resource.get(..MAX_ATTRIBUTES).unwrap_or(resource), ..Self::of(own) }
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.own
            .iter()
            .chain(self.resource)
            .find(|attribute| attribute.key == key)
            .and_then(|attribute| attribute.value.as_ref()?.value.as_ref())
    }

    /// Whether an attribute is there with a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Whether a key begins so.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.own.iter().any(|attribute| attribute.key.starts_with(prefix))
    }

    /// A text that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.value(key)? {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// A name: not empty, cut, without characters that could turn a line into something else.
    pub(super) fn name(&self, key: &str) -> Option<String> {
        clean(self.text(key)?)
    }

    /// The first of several names for one thing.
    pub(super) fn first_name(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.name(key))
    }

    /// A count, as a number or as text.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Int(n) => u64::try_from(*n).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Double(n) => whole(*n),
            Value::Bool(_) => None,
        }
    }

    /// A yes or no, as a boolean or as text.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(b) => Some(*b),
            Value::Text(text) => text.trim().to_ascii_lowercase().parse().ok(),
            Value::Int(_) | Value::Double(_) => None,
        }
    }

    /// The first of several counts for one thing.
    pub(super) fn first_count(&self, keys: &[&str]) -> Option<u64> {
        keys.iter().find_map(|key| self.count(key))
    }

    /// An amount of US dollars in billionths; only finite ones that are not negative.
    pub(super) fn dollars_nano(&self, keys: &[&str]) -> Option<u64> {
        let usd = keys.iter().find_map(|key| match self.value(key)? {
            Value::Double(n) => Some(*n),
            // Exact below 2^53 dollars.
            Value::Int(n) => Some(*n as f64),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Bool(_) => None,
        })?;
        whole(usd * 1e9)
    }
}

/// Rounds a number that is a count; `None` for one that is not.
fn whole(n: f64) -> Option<u64> {
    // Below 2^53, where every whole number is one.
    (n.is_finite() && (0.0..9.0e15).contains(&n)).then(|| format!("{n:.0}").parse().ok())?
}

/// The beginning of a text on one line, without characters that could turn it into something else.
pub(super) fn line(text: &str, most: usize) -> String {
    let start: String = text.chars().take(most * 4).collect();
    let words: Vec<&str> = start.split_whitespace().collect();
    let clean: String = words.join(" ").chars().filter(|c| !is_unsafe(*c)).collect();
    cut(&clean, most)
}

/// Makes a name of a text; `None` when nothing is left.
pub(crate) fn clean(text: &str) -> Option<String> {
    let clean: String = text.chars().filter(|c| !is_unsafe(*c)).take(MAX_NAME + 1).collect();
    let clean = cut(clean.trim(), MAX_NAME);
    (!clean.is_empty()).then_some(clean)
}
