//! Checklist B, items 38-45: what stands in the context, and how much of it this turn put there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{Home, MINUTE, Process};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, database, find};
use lamplight_model::ids::SessionKey;
use lamplight_model::session::TurnState;
use serde_json::json;

fn turn_tokens(running: &Running, key: &SessionKey) -> Option<u64> {
    running.settle();
    running.engine.session(key).unwrap().unwrap().turn_tokens
}

#[test]
fn context_is_told_when_known_and_absent_when_not_b38() {
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "api");
    session.prompt(T0, "go");
    clocked.read(&session.key(), None, &session.path, T0);
    let context = clocked.card(&session.key(), T0).context;
    assert_eq!((context.used, context.window), (None, None), "nothing was said: not 0");
    session.calls(T0, "Bash", json!({"command": "ls"}), 0);
    clocked.read(&session.key(), None, &session.path, T0);
    assert_eq!(clocked.card(&session.key(), T0).context.used, None, "a response without usage says nothing");
    session.says(T0, "done", 4_321);
    clocked.read(&session.key(), None, &session.path, T0);
    let context = clocked.card(&session.key(), T0).context;
    assert_eq!(context.used, Some(4_321), "input and cache of the last response");
    assert!(context.window.is_some_and(|w| w > 4_321) && context.source.as_deref() == Some("table"));
}

#[test]
fn the_turns_baseline_is_the_first_count_after_the_prompt_and_stays_b39_b40_b41_b44() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    let now = running.now();
    let key = session.key();
    session.prompt(now, "go");
    assert_eq!(turn_tokens(&running, &key), None, "no count yet");
    let call = session.calls(now, "Bash", json!({"command": "ls"}), 0);
    assert_eq!(turn_tokens(&running, &key), None, "unknown is no baseline");
    session.answers(now, &call, "ok");
    let call = session.calls(now, "Bash", json!({"command": "ls"}), 1_000);
    assert_eq!(turn_tokens(&running, &key), Some(0), "the first count is the baseline");
    session.answers(now, &call, "ok");
    let call = session.calls(now, "Bash", json!({"command": "ls"}), 1_400);
    assert_eq!(turn_tokens(&running, &key), Some(400));
    session.answers(now, &call, "ok");
    session.says(now, "done", 2_500);
    assert_eq!(turn_tokens(&running, &key), Some(1_500), "current less baseline, not less the last count");
    session.prompt(now, "more");
    session.says(now, "well", 2_700);
    assert_eq!(turn_tokens(&running, &key), Some(0), "a new turn, a new baseline");
    session.prompt(now, "again");
    session.says(now, "smaller after a compaction", 100);
    assert_eq!(turn_tokens(&running, &key), Some(0), "never below 0");
}

#[test]
fn the_baseline_survives_a_restart_b42() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    let now = running.now();
    session.prompt(now, "go");
    let call = session.calls(now, "Bash", json!({"command": "ls"}), 1_000);
    assert_eq!(turn_tokens(&running, &session.key()), Some(0));
    running.stop();
    session.answers(now, &call, "ok");
    session.calls(now, "Bash", json!({"command": "ls"}), 1_600);
    let again = Running::start(&home);
    assert_eq!(turn_tokens(&again, &session.key()), Some(600), "counted from before the restart");
}

#[test]
fn a_database_that_refuses_to_write_does_not_empty_the_list_b43() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "go");
    session.says(running.now(), "done", 1_000);
    let mut other = home.claude(2, "api");
    other.prompt(running.now(), "me too");
    running.settle();
    database(&home)
        .execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON sessions BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .unwrap();
    let mut subscription = running.engine.subscribe();
    session.prompt(running.now(), "this cannot be stored");
    // The writer stops at the first refusal; nobody can ask it anything after that.
    while running.engine.barrier().is_ok() {}
    assert!(running.engine.rescan().is_err(), "said, not hidden");
    let status = running.engine.status();
    assert!(find(&status, &session.name()).is_some() && find(&status, &other.name()).is_some());
    assert_eq!(running.engine.sessions(None, None, 50).unwrap().total, 2);
    assert!(running.engine.session(&session.key()).unwrap().is_some());
    while subscription.changes.try_recv().is_ok() {}
    running.stop();
    // Nothing was half stored: once it can write again, everything is there once.
    database(&home).execute_batch("DROP TRIGGER full").unwrap();
    let again = Running::start(&home);
    let totals = again.engine.totals().unwrap();
    assert_eq!((totals.prompts, totals.messages), (3, 1));
    assert_eq!(again.engine.session(&session.key()).unwrap().unwrap().prompts, 2);
}

#[test]
fn work_inside_a_turn_is_shown_as_it_is_written_without_hooks_b45_b4() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("busy"), running.now().plus_ms(-MINUTE));
    session.prompt(running.now(), "go");
    running.until_card(&session.name(), "the prompt", |c| c.turn_state == TurnState::Working);
    for step in 1..=5_u32 {
        let command = format!("make step-{step}");
        let context = 1_000 + u64::from(step);
        let call = session.calls(running.now(), "Bash", json!({"command": command}), context);
        let card = running.until_card(&session.name(), "the call", |c| {
            c.doing.as_ref().is_some_and(|d| d.target.as_deref() == Some(command.as_str()))
        });
        assert_eq!((card.tool_calls, card.context.used), (step, Some(context)));
        session.answers(running.now(), &call, "ok");
        running.until_card(&session.name(), "the result", |c| {
            c.doing.as_ref().is_none_or(|d| d.target.as_deref() != Some(command.as_str()))
        });
    }
}
