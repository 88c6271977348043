//! Telemetry of a scenario: `otlp/index.jsonl` says which request arrived when, beside it lie the bodies.

use std::path::Path;

use anyhow::{Context as _, bail};
use lamplight_engine::sources::otlp::{Encoding, Signal};
use lamplight_model::ids::Timestamp;
use serde_json::Value;

use crate::scenario::{Fact, Moment, ms};

/// Loads the requests. A scenario that was captured without telemetry has none.
pub(crate) fn load(folder: &Path, zero: Timestamp) -> anyhow::Result<Vec<Moment>> {
    let folder = folder.join("otlp");
    let index = folder.join("index.jsonl");
    if !index.exists() {
        return Ok(Vec::new());
    }
    let text =
        std::fs::read_to_string(&index).with_context(|| format!("while reading {}", index.display()))?;
    let mut moments = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line)?;
        let at_ms = ms(row["t"].as_f64().context("a request without time")?) - zero.0;
        let (path, file) =
            (row["path"].as_str().unwrap_or_default(), row["file"].as_str().unwrap_or_default());
        let signal = match path {
            p if p.ends_with("/v1/logs") || p.contains("LogsService") => Signal::Logs,
            p if p.ends_with("/v1/traces") || p.contains("TraceService") => Signal::Traces,
            p if p.ends_with("/v1/metrics") || p.contains("MetricsService") => Signal::Metrics,
            other => bail!("a request to {other}"),
        };
        let encoding = if file.ends_with(".json") { Encoding::Json } else { Encoding::Protobuf };
        let body = std::fs::read(folder.join(file)).with_context(|| format!("while reading {file}"))?;
        moments.push(Moment { at_ms, fact: Fact::Telemetry { signal, encoding, body } });
    }
    Ok(moments)
}
