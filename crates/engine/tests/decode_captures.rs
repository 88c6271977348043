//! Facts of whole captured files, as text. Read a difference before accepting it: a fact that appears or vanishes here
//! changes what the lamp says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "decode_support/story.rs"]
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use lamplight_engine::facts::FileRole;
use lamplight_model::ids::{Agent, SessionId};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Tells the transcripts below a scenario, each under its place.
fn tell(scenario: &str) -> String {
    let root = fixtures().join(scenario);
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no transcript below {scenario}");
    let mut text = String::new();
    for path in files {
        let place = path.strip_prefix(&root).expect("found below it").display().to_string();
        text.push_str(&format!("== {place}\n"));
        text.push_str(&story::story(&role(&path), &fs::read_to_string(&path).expect("a fixture is text")));
    }
    text
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a fixture folder") {
        let path = entry.expect("a fixture").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let in_projects = path.components().any(|part| part.as_os_str() == "projects");
        if path.is_dir() {
            find(&path, files);
        } else if name.ends_with(".jsonl") && (in_projects || name.starts_with("rollout-")) {
            files.push(path);
        }
    }
}

fn role(path: &Path) -> FileRole {
    let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
    if stem.starts_with("rollout-") {
        let session = SessionId::new(&stem[stem.len() - 36..]).expect("ends with an id");
        return FileRole { agent: Agent::Codex, session, subagent: None };
    }
    let subagent = stem.strip_prefix("agent-").map(str::to_owned);
    let session = if subagent.is_some() {
        let folder = path.parent().and_then(Path::parent).expect("subagents lie in their session's folder");
        folder.file_name().expect("a name").to_string_lossy().into_owned()
    } else {
        stem
    };
    let session = SessionId::new(&session).expect("a session id");
    FileRole { agent: Agent::ClaudeCode, session, subagent }
}

macro_rules! captures {
    ($($name:ident: $scenario:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(tell($scenario));
        })+
    };
}

captures! {
    claude_permission: "claude-code/tui-permission",
    claude_question: "claude-code/tui-ask",
    claude_plan: "claude-code/tui-plan",
    claude_interrupt: "claude-code/tui-interrupt",
    claude_errors: "claude-code/tui-errors",
    claude_print_errors: "claude-code/print-errors",
    claude_agents: "claude-code/tui-agents",
    claude_queue: "claude-code/tui-queue",
    claude_resume: "claude-code/tui-resume",
    claude_print_resume: "claude-code/print-resume",
    claude_tasks: "claude-code/print-tasks",
    claude_compact: "claude-code/tui-compact",
    claude_clear: "claude-code/tui-clear",
    claude_config: "claude-code/tui-config",
    claude_worktree: "claude-code/tui-worktree",
    claude_detach: "claude-code/tui-detach",
    claude_background: "claude-code/background",
    claude_rename: "claude-code/tui-rename",
    claude_title: "claude-code/tui-title",
    claude_late_request: "claude-code/http-hooks",
    codex_tools: "codex/exec_tools",
    codex_code_mode: "codex/exec_codemode",
    codex_approval: "codex/tui_approval",
    codex_question: "codex/tui_question",
    codex_resume_fork: "codex/exec_resume_fork",
    codex_subagent: "codex/exec_subagent",
    codex_errors: "codex/exec_errors",
    codex_compact: "codex/tui_compact",
    codex_interrupt: "codex/tui_interrupt",
    codex_42: "codex/v0.42.0_old_exec",
    codex_63: "codex/v0.63.0_old_tui",
    codex_98: "codex/v0.98.0_old_tui",
    codex_125: "codex/v0.125.0_old_tui",
}
