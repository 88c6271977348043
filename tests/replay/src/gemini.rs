//! Gemini CLI captures: its chats are not read, so that a scenario is its hooks and its telemetry.

use std::path::Path;

use anyhow::Context as _;
use lamplight_model::ids::Timestamp;
use serde_json::Value;

use crate::scenario::{Recorded, ms};

/// Loads a scenario: its start is the first row of its timeline.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Recorded> {
    let path = folder.join("timeline.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| format!("while reading {}", path.display()))?;
    let first: Value = serde_json::from_str(text.lines().next().context("an empty timeline")?)?;
    let seconds = |key: &str| first[key].as_f64().with_context(|| format!("a row without {key}"));
    let zero = Timestamp(ms(seconds("t")?) - ms(seconds("dt")?));
    Ok(Recorded { zero, files: Vec::new(), moments: Vec::new() })
}
