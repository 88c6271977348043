//! The pipeline on a clock of its own, fed with OTLP, and bodies in its JSON.

#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};

use lamplight_engine::config::{Config, Notify, Root};
use lamplight_engine::core::Core;
use lamplight_engine::facts::Input;
use lamplight_engine::sources::otlp::{Encoding, PartialSuccess, Signal, decode};
use lamplight_engine::store::Store;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::view::Status;
use serde_json::{Value, json};

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("otlp").join(name)).unwrap()
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub fn config(home: &Path) -> Config {
    Config {
        data_dir: home.join("data"),
        roots: vec![
            Root { agent: Agent::ClaudeCode, path: home.join(".claude"), is_default: true },
            Root { agent: Agent::Codex, path: home.join(".codex"), is_default: true },
        ],
        home: Some(home.to_owned()),
        idle_minutes: 240,
        resume_max_hours: 24,
        session_labels: Default::default(),
        projects: Default::default(),
        prices: Vec::new(),
        durable: false,
        limits: Default::default(),
        notify: Notify::default(),
        otlp_token: None,
        forward: None,
        forward_unclear: false,
        git: false,
        terminals: false,
        setup: Default::default(),
        warnings: Vec::new(),
    }
}

pub struct Pipeline {
    pub core: Core,
    pub now: Timestamp,
    _home: tempfile::TempDir,
}

impl Pipeline {
    /// At the time of the captures.
    pub fn new() -> Self {
        Self::at(Timestamp::from_rfc3339("2026-11-20T12:30:00Z").unwrap())
    }

    pub fn at(now: Timestamp) -> Self {
        let home = tempfile::tempdir().unwrap();
        let core = Core::new(Store::in_memory().unwrap(), config(home.path()), now).unwrap();
        Self { core, now, _home: home }
    }

    pub fn send(&mut self, signal: Signal, encoding: Encoding, body: &[u8]) -> PartialSuccess {
        let batch = decode(signal, encoding, body, self.now).unwrap();
        let partial = batch.partial.clone();
        self.core.apply_all(vec![Input::Telemetry(Box::new(batch))], self.now).unwrap();
        partial
    }

    pub fn json(&mut self, signal: Signal, body: &Value) -> PartialSuccess {
        self.send(signal, Encoding::Json, body.to_string().as_bytes())
    }

    pub fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.core.apply_all(Vec::new(), self.now).unwrap();
    }

    pub fn status(&mut self) -> Status {
        // Figures are told at most once a second.
        self.pass(1_000);
        self.core.status(self.now)
    }
}

pub fn attributes(of: &Value) -> Value {
    of.as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => json!({"stringValue": text}),
                Value::Bool(b) => json!({"boolValue": b}),
                Value::Number(n) if n.is_i64() => json!({"intValue": n.to_string()}),
                other => json!({"doubleValue": other}),
            };
            json!({"key": key, "value": value})
        })
        .collect()
}

pub fn spans(resource: &Value, spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"scope": {"name": "app"}, "spans": spans}]}]})
}

pub fn logs(resource: &Value, records: &[Value]) -> Value {
    json!({"resourceLogs": [{"resource": {"attributes": attributes(resource)}, "scopeLogs": [{"scope": {"name": "app"}, "logRecords": records}]}]})
}

pub fn service() -> Value {
    json!({"service.name": "billing-bot", "service.namespace": "harbor"})
}

pub fn trace_id(n: u8) -> String {
    format!("{n:02x}").repeat(16)
}

pub fn span_id(n: u8) -> String {
    format!("{n:02x}").repeat(8)
}

/// A span: numbers of its trace, itself and its parent (0 for a root), begin and end in milliseconds.
pub fn span(ids: (u8, u8, u8), name: &str, (from, to): (i64, i64), of: &Value) -> Value {
    let mut span = json!({
        "traceId": trace_id(ids.0), "spanId": span_id(ids.1), "name": name, "kind": 1,
        "startTimeUnixNano": (from * 1_000_000).to_string(), "endTimeUnixNano": (to * 1_000_000).to_string(),
        "attributes": attributes(of),
    });
    if ids.2 != 0 {
        span["parentSpanId"] = json!(span_id(ids.2));
    }
    span
}

/// Attributes of a model call.
pub fn chat(model: &str, input: u64, output: u64) -> Value {
    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output})
}
