//! `[forward]`. What is not understood here sends nothing: a missing header is answered with a refusal, a misread list of
//! signals with more than was meant.

use lamplight_engine::config::{Endpoint, Forward, Header, Protocol};
use lamplight_engine::sources::otlp::Signal;
use toml_edit::{Item, TableLike};

use super::Reader;

const KEYS: &[&str] = &["endpoint", "protocol", "headers", "signals", "content", "max_bytes", "own"];

/// Least and most bytes of the queue: room for the largest request, and a terabyte.
const MAX_BYTES: (u64, u64) = (32 * 1024 * 1024, 1 << 40);

impl Reader<'_> {
    pub(super) fn forward(&mut self, root: &dyn TableLike, item: &Item) {
        let mut found = Found { is_sound: true, ..Found::default() };
        self.each(root, "forward", item, |reader, forward, key, item| match key {
            "endpoint" => match item.as_str().map(Endpoint::parse) {
                Some(Ok(endpoint)) => found.endpoint = Some(endpoint),
                Some(Err(problem)) => found.refuse(reader, forward, key, problem),
                None => found.refuse(reader, forward, key, "must be an address in quotes"),
            },
            "protocol" => match item.as_str().and_then(Protocol::from_word) {
                Some(protocol) => found.protocol = protocol,
                None => found.refuse(reader, forward, key, "must be \"http\" or \"grpc\""),
            },
            "headers" => reader.headers(forward, item, &mut found),
            "signals" => match signals(item) {
                Some(signals) => found.signals = Some(signals),
                None => found.refuse(
                    reader,
                    forward,
                    key,
                    "must be a list of \"logs\", \"traces\" and \"metrics\", not empty",
                ),
            },
            "content" => found.content = reader.bool_value(forward, key, item).unwrap_or(false),
            "own" => found.own = reader.bool_value(forward, key, item),
            "max_bytes" => found.max_bytes = reader.queue_bytes(forward, key, item),
            _ => reader.unknown(forward, key, KEYS),
        });
        self.parsed.config.forward_unclear = found.endpoint.is_none() || !found.is_sound;
        let Some(endpoint) = found.endpoint else {
            if found.is_sound && item.as_table_like().is_some() {
                self.warn(root, "forward", "needs an endpoint; nothing is forwarded until it has one");
            }
            return;
        };
        if !found.is_sound {
            return;
        }
        if endpoint.is_open() && (found.content || !found.headers.is_empty()) {
            self.warn(
                root,
                "forward",
                "sends headers or content to another machine without encryption; use an endpoint with https",
            );
        }
        let unset = Forward::to(endpoint);
        self.parsed.config.forward = Some(Forward {
            protocol: found.protocol,
            headers: found.headers,
            signals: found.signals.unwrap_or_else(|| unset.signals.clone()),
            content: found.content,
            max_bytes: found.max_bytes.unwrap_or(unset.max_bytes),
            own: found.own.unwrap_or(unset.own),
            ..unset
        });
    }

    fn headers(&mut self, forward: &dyn TableLike, item: &Item, found: &mut Found) {
        let Some(headers) = item.as_table_like() else {
            return found.refuse(self, forward, "headers", "must be a section of names and texts");
        };
        for (name, item) in headers.iter() {
            // The value is not repeated: it may be a secret.
            match item.as_str().map(|value| Header::new(name, value)) {
                Some(Ok(header)) => found.headers.push(header),
                Some(Err(problem)) => found.refuse(self, headers, name, problem),
                None => found.refuse(self, headers, name, "must be a text in quotes"),
            }
        }
    }

    fn queue_bytes(&mut self, forward: &dyn TableLike, key: &str, item: &Item) -> Option<u64> {
        let (least, most) = MAX_BYTES;
        let bytes =
            item.as_integer().and_then(|n| u64::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        if bytes.is_none() {
            self.warn(
                forward,
                key,
                &format!("must be a whole number from {least} to {most}; it has its default"),
            );
        }
        bytes
    }
}

/// What was read so far.
#[derive(Default)]
struct Found {
    /// Nothing was found that forbids sending.
    is_sound: bool,
    endpoint: Option<Endpoint>,
    protocol: Protocol,
    headers: Vec<Header>,
    signals: Option<Vec<Signal>>,
    content: bool,
    max_bytes: Option<u64>,
    own: Option<bool>,
}

impl Found {
    fn refuse(&mut self, reader: &mut Reader<'_>, table: &dyn TableLike, key: &str, problem: &str) {
        self.is_sound = false;
        reader.warn(table, key, &format!("{problem}; nothing is forwarded until it is corrected"));
    }
}

fn signals(item: &Item) -> Option<Vec<Signal>> {
    let words: Option<Vec<Signal>> = item
        .as_array()?
        .iter()
        .map(|word| match word.as_str()? {
            "logs" => Some(Signal::Logs),
            "traces" => Some(Signal::Traces),
            "metrics" => Some(Signal::Metrics),
            _ => None,
        })
        .collect();
    words.filter(|signals| !signals.is_empty())
}
