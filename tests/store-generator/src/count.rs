//! A second, independent implementation of the totals: reads every line as a whole JSON value.
//!
//! This is the oracle. It shares nothing with the generator and takes no shortcut; where it is slow it is slow.
//! The definitions are those of `lamp import --json`, in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Input, output, cache write 5m, cache write 1h, cache read.
type Tokens = [u64; 5];

#[derive(Default)]
struct Sets {
    sessions: BTreeSet<String>,
    subagents: BTreeSet<String>,
    prompts: BTreeSet<String>,
    tool_calls: BTreeSet<String>,
    /// By (agent, response key): the model, and each field's largest value seen.
    messages: BTreeMap<String, (String, Tokens)>,
}

/// Returns the totals of the store under `home` in the shape of `lamp import --json`.
pub fn count(home: &Path) -> Result<Value> {
    let mut sets = Sets::default();
    for path in jsonl_files(&home.join(".claude/projects"))? {
        claude_file(&path, &mut sets)?;
    }
    for folder in [".codex/sessions", ".codex/archived_sessions"] {
        for path in jsonl_files(&home.join(folder))? {
            codex_file(&path, &mut sets)?;
        }
    }
    let mut tokens: BTreeMap<String, Tokens> = BTreeMap::new();
    for (model, used) in sets.messages.values() {
        let sum = tokens.entry(model.clone()).or_default();
        for (sum, used) in sum.iter_mut().zip(used) {
            *sum += used;
        }
    }
    let tokens: BTreeMap<String, Value> = tokens
        .into_iter()
        .map(|(model, [input, output, write_5m, write_1h, read])| {
            (model, json!({"input": input, "output": output, "cache_write_5m": write_5m, "cache_write_1h": write_1h, "cache_read": read}))
        })
        .collect();
    Ok(json!({
        "sessions": sets.sessions.len(),
        "messages": sets.messages.len(),
        "prompts": sets.prompts.len(),
        "tool_calls": sets.tool_calls.len(),
        "subagents": sets.subagents.len(),
        "tokens": tokens,
    }))
}

fn jsonl_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("while listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(jsonl_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    Ok(found)
}

fn records(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("while reading {}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("in {}: {line:.200}", path.display())))
        .collect()
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

fn is_true(value: &Value, key: &str) -> bool {
    value[key] == Value::Bool(true)
}

fn remember(messages: &mut BTreeMap<String, (String, Tokens)>, key: String, model: &str, used: Tokens) {
    let (_, largest) = messages.entry(key).or_insert_with(|| (model.to_owned(), [0; 5]));
    for (largest, used) in largest.iter_mut().zip(used) {
        *largest = used.max(*largest);
    }
}

fn claude_file(path: &Path, sets: &mut Sets) -> Result<()> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    match stem.strip_prefix("agent-") {
        Some(agent) => sets.subagents.insert(agent.to_owned()),
        None => sets.sessions.insert(format!("claude-code:{stem}")),
    };
    for record in records(path)? {
        match text(&record, "/type") {
            "assistant" => claude_assistant(&record, sets),
            "user" if is_claude_prompt(&record) => {
                sets.prompts.insert(text(&record, "/uuid").to_owned());
            }
            "attachment"
                if text(&record, "/attachment/type") == "queued_command"
                    && !is_true(&record, "isSidechain") =>
            {
                sets.prompts.insert(text(&record, "/uuid").to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

fn claude_assistant(record: &Value, sets: &mut Sets) {
    for block in record.pointer("/message/content").and_then(Value::as_array).into_iter().flatten() {
        if text(block, "/type") == "tool_use" {
            sets.tool_calls.insert(text(block, "/id").to_owned());
        }
    }
    let model = text(record, "/message/model");
    if model == "<synthetic>" || is_true(record, "isApiErrorMessage") {
        return;
    }
    let usage = &record["message"]["usage"];
    let written = number(usage, "/cache_creation_input_tokens");
    let one_hour = number(usage, "/cache_creation/ephemeral_1h_input_tokens");
    let used = [
        number(usage, "/input_tokens"),
        number(usage, "/output_tokens"),
        written - one_hour,
        one_hour,
        number(usage, "/cache_read_input_tokens"),
    ];
    remember(&mut sets.messages, format!("claude-code:{}", text(record, "/message/id")), model, used);
}

fn is_claude_prompt(record: &Value) -> bool {
    let Some(content) = record["message"]["content"].as_str() else { return false };
    let client_made = ["<command-", "<bash-", "<local-command-", "<task-notification>"];
    !is_true(record, "isMeta")
        && !is_true(record, "isCompactSummary")
        && !is_true(record, "isSidechain")
        && !client_made.iter().any(|prefix| content.starts_with(prefix))
}

fn codex_file(path: &Path, sets: &mut Sets) -> Result<()> {
    let records = records(path)?;
    let Some(meta) = records.first() else { return Ok(()) };
    let thread = text(meta, "/payload/id").to_owned();
    if text(meta, "/payload/thread_source") == "subagent" {
        sets.subagents.insert(thread.clone());
    } else {
        sets.sessions.insert(format!("codex:{thread}"));
    }
    let is_paginated = text(meta, "/payload/history_mode") == "paginated";
    let mut model = String::new();
    let mut last_total = Value::Null;
    for (line, record) in records.iter().enumerate() {
        let payload = &record["payload"];
        match (text(record, "/type"), text(payload, "/type")) {
            ("turn_context", _) => model = text(payload, "/model").to_owned(),
            ("response_item", "function_call" | "custom_tool_call") => {
                sets.tool_calls.insert(text(payload, "/call_id").to_owned());
            }
            ("token_usage_record", _) => {
                let key = format!("codex:{thread}:{}", text(payload, "/response_id"));
                remember(&mut sets.messages, key, &model, codex_tokens(&payload["usage"]));
            }
            ("event_msg", "item_completed") if text(payload, "/item/type") == "UserMessage" => {
                sets.prompts.insert(text(payload, "/item/id").to_owned());
            }
            ("event_msg", "user_message") if !is_paginated => {
                sets.prompts.insert(format!("{thread}:{line}"));
            }
            ("event_msg", "token_count") if !is_paginated => {
                let total = &payload["info"]["total_token_usage"];
                if !total.is_null() && *total != last_total {
                    remember(
                        &mut sets.messages,
                        format!("codex:{thread}:{total}"),
                        &model,
                        codex_tokens(&payload["info"]["last_token_usage"]),
                    );
                    last_total = total.clone();
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn codex_tokens(usage: &Value) -> Tokens {
    let cached = number(usage, "/cached_input_tokens");
    [
        number(usage, "/input_tokens") - cached,
        number(usage, "/output_tokens"),
        number(usage, "/cache_write_input_tokens"),
        0,
        cached,
    ]
}
