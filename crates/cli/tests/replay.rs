//! `lamp replay`: a recording in, a timeline out; no data folder is made or read.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::path::Path;
use std::process::{Command, Output};

fn replay(home: &Path, args: &[&str]) -> Output {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut lamp = Command::new(env!("CARGO_BIN_EXE_lamp"));
    lamp.arg("replay").args(args).current_dir(fixtures).env_clear();
    lamp.env("HOME", home).env("LAMPLIGHT_DATA", home.join("data")).output().unwrap()
}

#[test]
fn a_recording_is_played_into_memory_and_its_timeline_printed() {
    let home = tempfile::tempdir().unwrap();
    let out = replay(home.path(), &["claude-code/tui-ask"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert!(
        text.contains("     3.096  awaiting_answer       needs you: question (AskUserQuestion)\n"),
        "{text}"
    );
    assert!(text.contains("     5.096  * question: told\n"), "{text}");
    assert!(text.contains("- registry    Claude Code says busy\n"), "{text}");
    let out = replay(home.path(), &["claude-code/tui-ask", "--without", "hooks", "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows.iter().any(|r| r["type"] == "notice" && r["outcome"] == "told"), "{text}");
    assert!(rows.iter().all(|r| r["at_ms"].is_i64() && r["session_id"].is_string()), "{text}");
    assert!(!text.contains("\"hooks\""), "{text}");
    let out = replay(home.path(), &["opencode/tui_ask"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("needs you: question (question)\n"), "{text}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn what_cannot_be_played_says_why_by_its_exit_code_too() {
    let home = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["setup"][..], 1),
        (&["no-such-folder"][..], 1),
        (&["gemini/tui", "--without", "hooks", "--without", "telemetry"][..], 3),
        (&[][..], 2),
        (&["gemini/tui", "--without", "sleep"][..], 2),
    ] {
        let out = replay(home.path(), args);
        assert_eq!(out.status.code(), Some(code), "{args:?}");
        assert!(out.stdout.is_empty() && !out.stderr.is_empty(), "{args:?}");
    }
}
