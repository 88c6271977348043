use super::*;

const NOW: i64 = 1_800_000_000_000;
const PLAIN: Look = Look { colour: false, columns: None };

/// A status with the given sessions; each is its differences from a quiet session.
fn status(sessions: &[serde_json::Value]) -> Status {
    let sessions: Vec<serde_json::Value> = sessions
        .iter()
        .map(|differences| {
            let mut card = json!({
                "agent": "claude-code", "session_id": "s", "kind": "coding", "entry": "interactive", "project": "shop",
                "label": "a session", "label_source": "first_prompt", "label_default": "a session", "cwd": null,
                "branch": null, "model": null, "turn_state": "ended", "turn_state_since_ms": NOW - 60_000,
                "waiting_for": null, "lifecycle": "active",
                "liveness": {"state": "unknown", "source": null, "observed_at_ms": null},
                "last_speaker": null, "last_speaker_at_ms": null, "started_at_ms": null, "last_activity_at_ms": null,
                "ended_at_ms": null, "excerpt": null, "doing": null, "todos": null, "tokens": null, "tool_calls": 0,
                "errors": 0, "cost_usd": null, "cost_source": null,
                "context": {"used": null, "window": null, "source": null}, "subagents": {"running": 0, "total": 0},
                "attention": null, "causes": [], "git": null,
                "resume": {"command": null, "state": "unsupported", "reason": null}, "pid": null, "run_id": null,
                "parent_session_id": null, "superseded_by": null, "evidence": []
            });
            for (key, value) in differences.as_object().unwrap() {
                card[key] = value.clone();
            }
            card
        })
        .collect();
    serde_json::from_value(json!({
        "engine_id": "e", "revision": 1, "at_ms": NOW, "sessions": sessions, "worktrees": [], "services": [],
        "hidden": {"zombie": 0, "subagent": 0, "title_thread": 0, "spare": 0, "muted": 0, "services": 0}, "archived": 0,
        "sources": [], "importing": null
    }))
    .unwrap()
}

fn cause(tier: u8, cause: &str, since_ms: i64) -> serde_json::Value {
    json!({"tier": tier, "cause": cause, "cause_id": "c", "since_ms": since_ms, "snoozed_until_ms": null, "until_change": false, "notified_at_ms": null})
}

#[test]
fn what_needs_you_comes_first_and_the_longest_wait_first_of_all() {
    let status = status(&[
        json!({"session_id": "q", "label": "done", "excerpt": "All tests pass."}),
        json!({"session_id": "w", "label": "busy", "turn_state": "working",
               "doing": {"tool": "Read", "target": "src/main.rs", "since_ms": NOW}}),
        json!({"session_id": "b1", "label": "later", "turn_state": "awaiting_permission", "branch": "main",
               "model": "opus", "attention": cause(1, "permission", NOW - 60_000),
               "waiting_for": {"kind": "permission", "tool": "Bash", "detail": "rm -rf dist", "options": [], "resets_at_ms": null}}),
        json!({"session_id": "b2", "label": "first of all", "turn_state": "awaiting_answer",
               "attention": cause(1, "question", NOW - 12 * 60_000),
               "waiting_for": {"kind": "question", "tool": null, "detail": "Which one?", "options": ["red", "blue"], "resets_at_ms": null}}),
        json!({"session_id": "t", "label": "over", "turn_state": "errored", "attention": cause(2, "limit", NOW - 1000),
               "waiting_for": {"kind": "limit", "tool": null, "detail": null, "options": [], "resets_at_ms": NOW + 7_560_000}}),
    ]);
    assert_eq!(
        text(&status, NOW, PLAIN),
        "\
3 sessions need you, waiting for 12 min

Blocked on you
  first of all  Asks you a question: Which one? (red / blue)
                12 min · shop · claude-code:b2
  later         Permission to run a command: rm -rf dist
                1 min · shop · main · opus · claude-code:b1

Your turn
  over  Stopped by a usage limit, resets in 2 h 6 min
        1 s · shop · claude-code:t

Working
  busy  Reading: src/main.rs
        1 min · shop · claude-code:w

Quiet
  done  Ended: All tests pass.
        1 min · shop · claude-code:q
"
    );
}

#[test]
fn a_snoozed_cause_calls_nobody_until_its_time() {
    let mut snoozed = cause(2, "reply", NOW - 1000);
    snoozed["snoozed_until_ms"] = json!(NOW + 1000);
    let status = status(&[json!({"turn_state": "awaiting_reply", "attention": snoozed})]);
    assert!(text(&status, NOW, PLAIN).starts_with("All clear\n\nQuiet\n"));
    assert!(
        text(&status, NOW + 1000, PLAIN).starts_with("1 session needs you, waiting for 2 s\n\nYour turn\n")
    );
}

#[test]
fn what_waits_and_calls_nobody_says_why() {
    let asks = |more: serde_json::Value| {
        let mut card = json!({"turn_state": "awaiting_permission", "label": "Deploy",
            "waiting_for": {"kind": "permission", "tool": "Bash", "detail": "make", "options": [], "resets_at_ms": null}});
        for (key, value) in more.as_object().unwrap() {
            card[key] = value.clone();
        }
        card
    };
    let mut put_off = cause(1, "permission", NOW - 60_000);
    put_off["snoozed_until_ms"] = json!(NOW + 3_600_000);
    for (card, why, muted) in [
        (asks(json!({"muted": "session", "attention": cause(1, "permission", NOW - 60_000)})), "muted", 1),
        (asks(json!({"attention": put_off.clone(), "causes": [put_off]})), "put off for 1 h", 0),
        (asks(json!({})), "seen to", 0),
    ] {
        let mut status = status(&[card]);
        status.hidden.muted = muted;
        let text = text(&status, NOW, PLAIN);
        assert!(text.starts_with("All clear\n") && text.contains("\nQuiet\n"), "{text}");
        assert!(text.contains(&format!(" · {why} · shop")), "{text}");
        assert_eq!(text.contains("1 muted session needs you"), muted == 1, "{text}");
    }
}

#[test]
fn nothing_open_says_what_to_do() {
    let mut status = status(&[]);
    assert_eq!(text(&status, NOW, PLAIN), "Looking for sessions.\n", "before any source was looked at");
    status.sources = serde_json::from_value(json!([{
        "name": "codex rollouts", "path": "/home/dev/.codex", "state": "degraded", "files": 1, "bytes": 1, "skipped": 1,
        "issues": [{"kind": "unreadable", "message": "1 file cannot be read.", "path": null, "count": 1, "last_at_ms": 1}],
        "last_fact_at_ms": null
    }]))
    .unwrap();
    let degraded = text(&status, NOW, PLAIN);
    assert!(
        degraded.ends_with("\ncodex rollouts (/home/dev/.codex): 1 file cannot be read.\n"),
        "{degraded}"
    );
    status.sources[0].state = SourceHealth::Absent;
    let page = text(&status, NOW, PLAIN);
    assert_eq!(page, "No session is open right now. Start an agent in any terminal and it appears here.\n");
}

#[test]
fn what_agents_write_is_no_terminal_command() {
    let hostile = "x\u{1b}]0;owned\u{7}\u{202e}y\r\nz";
    let status = status(&[json!({
        "label": hostile, "project": hostile, "branch": hostile, "model": hostile, "turn_state": "awaiting_permission",
        "attention": cause(1, "permission", NOW),
        "waiting_for": {"kind": "permission", "tool": hostile, "detail": hostile, "options": [hostile], "resets_at_ms": null}
    })]);
    let page = text(&status, NOW, PLAIN);
    assert!(page.chars().all(|c| c == '\n' || !crate::plain::is_hidden(c)), "{page:?}");
    assert_eq!(page.lines().count(), 5, "no text makes a line of its own: {page:?}");
}

#[test]
fn lines_fit_the_terminal_and_colours_are_closed() {
    let status = status(&[json!({"label": "n".repeat(300), "excerpt": "日".repeat(300)})]);
    let page = text(&status, NOW, Look { colour: true, columns: Some(60) });
    for line in page.lines().filter(|line| !line.is_empty()) {
        let bare = line.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "");
        assert!(width(&bare) <= 60 && !bare.contains('\x1b'), "{line:?}");
        assert_eq!(line.contains("\x1b["), line.ends_with("\x1b[0m"), "{line:?}");
    }
}

#[test]
fn a_file_that_is_staged_and_changed_again_counts_once() {
    let mut status =
        status(&[json!({"git": {"state": "dirty", "dirty_files": 3, "root": "/w", "reason": null}})]);
    let tree = |root: &str| {
        json!({"root": root, "state": "dirty", "staged": 3, "unstaged": 3, "untracked": 0, "conflicted": 0, "ahead": null,
               "behind": null, "observed_at_ms": NOW, "is_at_risk": true, "was_so_before": false, "sessions": []})
    };
    status.worktrees = serde_json::from_value(json!([tree("/w"), tree("/nobody")])).unwrap();
    let text = text(&status, NOW, PLAIN);
    assert!(text.contains("  /w: 3 files changed\n"), "{text}");
    assert!(text.contains("  /nobody: 6 files changed\n"), "{text}");
}
