//! Hooks of a scenario: `hooks.jsonl` has what each gave its program and when, `notify.jsonl` what Codex's `notify` did.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use serde_json::{Value, json};

use crate::scenario::{Fact, Moment, ms};

/// Loads the hooks, as `lamp hook` spools them. A scenario that was captured without any has none.
pub(crate) fn load(folder: &Path, agent: Agent, zero: Timestamp) -> anyhow::Result<Vec<Moment>> {
    let mut moments = Vec::new();
    for file in ["hooks.jsonl", "notify.jsonl"] {
        let path = folder.join(file);
        if !path.exists() {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("while reading {}", path.display()))?;
        for line in text.lines() {
            let row: Value = serde_json::from_str(line)?;
            let at = ms(row["t"].as_f64().context("a hook without time")?);
            let spooled = json!({"v": 1, "agent": agent.as_str(), "received_at_ms": at, "pid_parent": 1, "payload": row["payload"]});
            moments.push(Moment { at_ms: at - zero.0, fact: Fact::Hook(serde_json::to_vec(&spooled)?) });
        }
    }
    Ok(moments)
}

/// Sessions that hooks name, by their own ids; none where there are no hooks.
pub(crate) fn sessions(folder: &Path) -> anyhow::Result<BTreeMap<String, SessionId>> {
    let path = folder.join("hooks.jsonl");
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("while reading {}", path.display()))?;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line)?;
        if let Some(id) = row["payload"]["session_id"].as_str() {
            found.insert(id.to_owned(), SessionId::new(id)?);
        }
    }
    Ok(found)
}
