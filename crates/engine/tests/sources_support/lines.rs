//! Made-up transcript lines and homes, small enough to read in a test.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lamplight_engine::config::Root;
use lamplight_engine::facts::{FileBatch, FileRole};
use lamplight_model::event::{Event, EventKind};
use lamplight_model::ids::{Agent, SessionId};

/// A session id that differs in its last digits.
pub fn session(n: u32) -> SessionId {
    SessionId::new(&format!("11111111-1111-4111-8111-{n:012}")).unwrap()
}

/// A prompt as Claude Code writes it.
pub fn prompt(session: &SessionId, n: u32, text: &str) -> String {
    format!(
        r#"{{"parentUuid":null,"type":"user","uuid":"aaaaaaaa-0000-4000-8000-{n:012}","timestamp":"2026-11-20T12:00:{:02}.000Z","sessionId":"{session}","cwd":"/p","message":{{"role":"user","content":{}}}}}"#,
        n % 60,
        serde_json::Value::String(text.to_owned()),
    ) + "\n"
}

/// An answer as Claude Code writes it; ends the turn.
pub fn answer(session: &SessionId, n: u32, text: &str) -> String {
    format!(
        r#"{{"type":"assistant","uuid":"bbbbbbbb-0000-4000-8000-{n:012}","timestamp":"2026-11-20T12:01:{:02}.000Z","sessionId":"{session}","message":{{"id":"msg_{n}","model":"claude-opus-5-5","role":"assistant","content":[{{"type":"text","text":{}}}],"stop_reason":"end_turn","usage":{{"input_tokens":{n},"output_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":0}}}}}}"#,
        n % 60,
        serde_json::Value::String(text.to_owned()),
    ) + "\n"
}

/// The first line of a rollout as Codex writes it.
pub fn rollout_start(thread: &SessionId) -> String {
    format!(
        r#"{{"timestamp":"2026-11-20T12:00:00.000Z","ordinal":0,"type":"session_meta","payload":{{"id":"{thread}","session_id":"{thread}","timestamp":"2026-11-20T12:00:00.000Z","cwd":"/p","originator":"codex-tui","cli_version":"0.169.0","source":"cli","thread_source":"user","history_mode":"paginated"}}}}"#
    ) + "\n"
}

/// A registry file as Claude Code writes it.
pub fn registry(pid: u32, session: &SessionId, status: &str, proc_start: Option<&str>) -> String {
    let start = proc_start.map(|s| format!(r#""procStart":"{s}","#)).unwrap_or_default();
    format!(
        r#"{{"pid":{pid},"sessionId":"{session}","cwd":"/p","startedAt":1795176118139,{start}"version":"2.1.329","kind":"interactive","entrypoint":"cli","name":"p-f9","nameSource":"derived",{status}"updatedAt":1795176121031,"statusUpdatedAt":1795176121031}}"#
    )
}

pub fn claude_role(session: &SessionId) -> FileRole {
    FileRole { agent: Agent::ClaudeCode, session: session.clone(), subagent: None }
}

pub fn claude_root(path: &Path) -> Root {
    Root { agent: Agent::ClaudeCode, path: path.to_owned(), is_default: true }
}

pub fn codex_root(path: &Path) -> Root {
    Root { agent: Agent::Codex, path: path.to_owned(), is_default: true }
}

/// Writes a file, its folders included; returns its path.
pub fn put(path: PathBuf, content: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

pub fn append(path: &Path, content: impl AsRef<[u8]>) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(content.as_ref()).unwrap();
}

pub fn make_fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What was said, in order: the texts of prompts and answers.
pub fn said(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::PromptSubmitted(prompt) => Some(prompt.text.clone()),
            EventKind::AgentSpoke { text } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

pub fn said_in(batches: &[FileBatch]) -> Vec<String> {
    batches.iter().flat_map(|batch| said(&batch.events)).collect()
}
