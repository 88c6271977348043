use super::*;
use serde_json::Value;

const NOW: i64 = 1_800_000_000_000;
const PLAIN: Look = Look { colour: false, columns: None };

fn summary(differences: Value) -> Value {
    let mut run = json!({
        "run_id": "nightly", "project": "shop", "started_at_ms": NOW - 600_000, "last_activity_at_ms": NOW - 60_000,
        "members": 3, "running": 1, "needs_you": 1, "failed": 1,
        "tokens": {"input": 400_000, "output": 4_000, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 8_000_000},
        "tool_calls": 1204, "cost_usd": 1.75, "cost_source": "mixed", "unpriced": 1
    });
    for (key, value) in differences.as_object().unwrap() {
        run[key] = value.clone();
    }
    run
}

fn card(id: &str, differences: Value) -> Value {
    let mut card = json!({
        "agent": "claude-code", "session_id": id, "kind": "coding", "entry": "print", "project": "shop", "label": id,
        "label_source": "short_id", "label_default": id, "cwd": null, "branch": null, "model": "opus",
        "turn_state": "ended", "turn_state_since_ms": null, "waiting_for": null, "lifecycle": "closed",
        "liveness": {"state": "dead", "source": null, "observed_at_ms": null}, "last_speaker": null,
        "last_speaker_at_ms": null, "started_at_ms": null, "last_activity_at_ms": null, "ended_at_ms": null,
        "excerpt": null, "doing": null, "todos": null, "tokens": null, "tool_calls": 0, "errors": 0, "cost_usd": null,
        "cost_source": null, "context": {"used": null, "window": null, "source": null},
        "subagents": {"running": 0, "total": 0}, "attention": null, "causes": [], "git": null,
        "resume": {"command": null, "state": "unsupported", "reason": null}, "pid": null, "run_id": "nightly",
        "parent_session_id": null, "superseded_by": null, "evidence": []
    });
    for (key, value) in differences.as_object().unwrap() {
        card[key] = value.clone();
    }
    card
}

#[test]
fn runs_are_listed_with_what_is_known_of_their_money_a130_a133() {
    let page = json!({"runs": [
        summary(json!({})),
        summary(json!({"run_id": "a\u{202e}b\u{1b}[31m", "members": 1, "running": 0, "needs_you": 0, "failed": 0,
            "tokens": null, "cost_usd": null, "cost_source": null, "unpriced": 0})),
        summary(json!({"run_id": "dear", "running": 0, "needs_you": 0, "failed": 0, "cost_usd": null,
            "cost_source": null, "unpriced": 3})),
    ], "next": "x", "total": 5});
    assert_eq!(
        list_text(&serde_json::from_value(page).unwrap(), NOW, PLAIN),
        "\
5 runs

  nightly  3 members · 1 at work · 1 needs you · 1 failed · 8.4M tok · $1.75 partly reported, partly list price, cost of 1 member not known · 1 min ago
  ab[31m   1 member · 1 min ago
  dear     3 members · 8.4M tok · cost not known · 1 min ago

2 more; see them with --limit
"
    );
    let none = serde_json::from_value(json!({"runs": [], "next": null, "total": 0})).unwrap();
    assert!(list_text(&none, NOW, PLAIN).contains("lamplight.run_id"), "it says how to declare one");
}

#[test]
fn members_stand_below_their_parent_a129_a132() {
    let tokens =
        json!({"input": 1000, "output": 0, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0});
    let member = |depth: u32, card: Value| json!({"card": card, "depth": depth, "parent": null});
    let detail = json!({"run": summary(json!({"unpriced": 0, "cost_source": "reported"})), "members": [
        member(0, card("lead", json!({"turn_state": "awaiting_reply", "excerpt": "Split into two.",
            "attention": {"tier": 2, "cause": "reply", "cause_id": "c", "since_ms": 1, "snoozed_until_ms": null, "until_change": false,
                          "notified_at_ms": null}}))),
        member(1, card("one", json!({"tokens": tokens, "cost_usd": 0.5, "cost_source": "table"}))),
        member(2, card("two", json!({"turn_state": "crashed", "model": null, "tokens": tokens}))),
        member(4_000, card("deep", json!({"model": null}))),
    ]});
    assert_eq!(
        detail_text(&serde_json::from_value(detail).unwrap(), NOW, PLAIN),
        "\
nightly: 3 members, 1 at work, 1 needs you, 1 failed
shop · over 9 min · last active 1 min ago · 8.4M tok · $1.75 reported · 1,204 tool calls

  lead                          Awaiting your reply: Split into two.
                                opus · claude-code:lead
    one                         Ended
                                opus · 1k tok · $0.50 list price · claude-code:one
      two                       Process gone
                                1k tok · cost not known · claude-code:two
                          deep  Ended
                                claude-code:deep
"
    );
}
