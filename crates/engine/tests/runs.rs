//! Checklist A, section J: sessions that one spawner declared to be a run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;

use checklist_support::agents::{Claude, Home, MINUTE, Process, append};
use checklist_support::running::{Running, database, find};
use lamplight_engine::Engine;
use lamplight_engine::sources::otlp::{Encoding, Signal, decode};
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::session::SessionKind;
use lamplight_model::view::{CostSource, RunDetail};
use serde_json::{Value, json};

/// Sends a log record of a coding agent's session with resource attributes, as an exporter would.
fn send(engine: &Engine, key: &SessionKey, at: Timestamp, resource: Value, record: Value) {
    let text = |of: &Value| -> Value {
        let pairs = of.as_object().unwrap().iter();
        pairs
            .map(|(k, v)| match v.as_str() {
                Some(text) => json!({"key": k, "value": {"stringValue": text}}),
                None => json!({"key": k, "value": {"doubleValue": v}}),
            })
            .collect()
    };
    let (scope, id) = match key.agent.as_str() {
        "codex" => ("codex_otel", "conversation.id"),
        _ => ("com.anthropic.claude_code.events", "session.id"),
    };
    let mut own = record;
    own[id] = json!(key.id.as_str());
    let body = json!({"resourceLogs": [{"resource": {"attributes": text(&resource)}, "scopeLogs": [{
        "scope": {"name": scope},
        "logRecords": [{"timeUnixNano": format!("{}000000", at.0), "attributes": text(&own)}]}]}]});
    let batch = decode(Signal::Logs, Encoding::Json, body.to_string().as_bytes(), at).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.ingest(batch)).unwrap();
}

/// Declares a session's run and parent, as its environment does.
fn declare(engine: &Engine, key: &SessionKey, at: Timestamp, resource: Value) {
    send(engine, key, at, resource, json!({"event.name": "user_prompt"}));
}

fn tree(run: &RunDetail) -> Vec<(u32, String, Option<String>)> {
    run.members.iter().map(|m| (m.depth, m.card.session_id.clone(), m.parent.clone())).collect()
}

#[test]
fn a_run_is_its_members_their_sums_and_their_tree_a125_a126_a129_a130_a227() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut lead = home.claude(1, "api");
    let mut worker = home.claude(2, "api");
    let mut codex = home.codex(3, "2026/11/20");
    let mut alone = home.claude(4, "api");
    let process = Process::sleeping();
    worker.registry(&home, process.pid(), Some("busy"), now.plus_ms(-7 * MINUTE));
    lead.prompt(now.plus_ms(-9 * MINUTE), "split this up");
    lead.says(now.plus_ms(-8 * MINUTE), "split", 1_000);
    worker.prompt(now.plus_ms(-7 * MINUTE), "part one");
    codex.begin(now.plus_ms(-6 * MINUTE));
    codex.prompt(now.plus_ms(-6 * MINUTE), "part two");
    alone.prompt(now.plus_ms(-5 * MINUTE), "something else");
    running.settle();
    assert_eq!(running.engine.runs(None, 10).unwrap().runs, [], "nothing was declared yet");

    let parent = lead.id.as_str();
    declare(&running.engine, &lead.key(), now, json!({"lamplight.run_id": "nightly"}));
    declare(
        &running.engine,
        &worker.key(),
        now,
        json!({"tokenjam.run_id": "nightly", "tokenjam.parent_session_id": parent}),
    );
    declare(
        &running.engine,
        &codex.key(),
        now,
        json!({"lamplight.run_id": "nightly", "lamplight.parent_session_id": worker.id.as_str()}),
    );
    running.settle();

    let page = running.engine.runs(None, 10).unwrap();
    assert_eq!((page.total, page.next.as_deref(), page.runs.len()), (1, None, 1));
    let run = running.engine.run("nightly").unwrap().unwrap();
    assert_eq!(run.run, page.runs[0], "the index and the page say the same");
    assert_eq!(
        tree(&run),
        [
            (0, lead.id.to_string(), None),
            (1, worker.id.to_string(), Some(lead.name())),
            (2, codex.id.to_string(), Some(worker.name())),
        ]
    );
    let sum = &run.run;
    let started = run.members.iter().filter_map(|m| m.card.started_at_ms).min();
    assert_eq!((sum.started_at_ms, sum.members), (started, 3));
    assert_eq!(sum.running, 1, "the worker's process is there");
    assert_eq!(sum.failed, 1, "nobody holds the lock of the Codex thread, whose turn is open");
    assert_eq!(sum.project, None, "members of two projects");
    let tokens: u64 = run.members.iter().filter_map(|m| m.card.tokens).map(|t| t.input + t.cache_read).sum();
    assert_eq!(sum.tokens.map(|t| t.input + t.cache_read), Some(tokens));
    assert_eq!(sum.cost_source, Some(CostSource::Table));
    for member in &run.members {
        assert_eq!(member.card.run_id.as_deref(), Some("nightly"));
    }
    assert_eq!(
        run.members[1].card.parent_session_id.as_deref(),
        Some(parent),
        "its card links to its parent"
    );
    assert_eq!(running.filed(&alone.key()).run_id, None);
}

#[test]
fn a_run_nobody_declared_is_not_known_a131_a227() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "go");
    running.settle();
    assert_eq!(running.engine.run("nightly").unwrap(), None);
    assert_eq!(running.engine.run("").unwrap(), None);
    assert_eq!(running.engine.run("' OR 1=1 --").unwrap(), None);
}

#[test]
fn what_a_fork_copied_counts_once_in_a_run() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut origin = home.claude(1, "api");
    origin.prompt(now.plus_ms(-3 * MINUTE), "go");
    origin.says(now.plus_ms(-2 * MINUTE), "done", 5_000);
    let mut fork = home.claude(2, "api");
    let copied = fs::read_to_string(&origin.path).unwrap().replace(origin.id.as_str(), fork.id.as_str());
    append(&fork.path, &copied);
    fork.says(now.plus_ms(-MINUTE), "more", 7_000);
    running.settle();
    for session in [&origin, &fork] {
        declare(&running.engine, &session.key(), now, json!({"lamplight.run_id": "forked"}));
    }
    running.settle();
    let run = running.engine.run("forked").unwrap().unwrap();
    assert_eq!(run.run.members, 2);
    assert_eq!(run.run.tokens.map(|t| t.input + t.cache_read), Some(12_000), "5,000 and 7,000, each once");
}

#[test]
fn a_run_is_declared_once_and_late_and_survives_a_restart_a128() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut session = home.claude(1, "api");
    session.prompt(now.plus_ms(-MINUTE), "go");
    running.settle();
    declare(&running.engine, &session.key(), now, json!({"service.name": "claude-code"}));
    assert_eq!(running.engine.runs(None, 10).unwrap().total, 0);
    declare(&running.engine, &session.key(), now.plus_ms(1), json!({"lamplight.run_id": "first"}));
    declare(&running.engine, &session.key(), now.plus_ms(2), json!({"service.name": "claude-code"}));
    declare(&running.engine, &session.key(), now.plus_ms(3), json!({"lamplight.run_id": "second"}));
    running.settle();
    let ids = |running: &Running| -> Vec<String> {
        running.engine.runs(None, 10).unwrap().runs.into_iter().map(|run| run.run_id).collect()
    };
    assert_eq!(ids(&running), ["first"], "nothing overwrites it, and emptiness least of all");
    running.stop();
    let again = Running::start(&home);
    assert_eq!(ids(&again), ["first"]);
    assert_eq!(again.engine.run("first").unwrap().unwrap().run.members, 1);
}

#[test]
fn the_state_of_a_running_member_is_the_one_on_the_screen() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("waiting: permission prompt"), running.now());
    session.prompt(running.now(), "go");
    session.calls(running.now(), "Bash", json!({"command": "ls"}), 100);
    declare(&running.engine, &session.key(), running.now(), json!({"lamplight.run_id": "live"}));
    running.settle();
    let card = running.card(&session.name());
    let run = running.engine.run("live").unwrap().unwrap();
    assert_eq!(run.members[0].card, card);
    assert_eq!((run.run.needs_you, run.run.running, run.run.failed), (1, 0, 0));
    assert!(find(&running.status(), &session.name()).is_some());
}

#[test]
fn runs_are_paged_by_last_activity_and_their_names_may_hold_anything_a130_a210() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let names = ["a.b", "'; DROP TABLE sessions; --", "<b>run</b>", "run 4", "%2e", "6.7.8"];
    let mut sessions: Vec<Claude> = Vec::new();
    for (n, name) in (1u32..).zip(names) {
        let mut session = home.claude(n, "api");
        session.prompt(now.plus_ms(-i64::from(n) * MINUTE), "go");
        sessions.push(session);
        running.settle();
        declare(&running.engine, &sessions.last().unwrap().key(), now, json!({"lamplight.run_id": name}));
    }
    // Two that were active at the same moment.
    let mut twin = home.claude(7, "api");
    twin.prompt(now.plus_ms(-2 * MINUTE), "go");
    running.settle();
    declare(&running.engine, &twin.key(), now, json!({"lamplight.run_id": "twin"}));
    running.settle();
    let mut listed = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let page = running.engine.runs(before.as_deref(), 2).unwrap();
        assert_eq!(page.total, 7);
        assert!(page.runs.len() <= 2);
        listed.extend(page.runs.into_iter().map(|run| run.run_id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let mut expected: Vec<&str> = names.to_vec();
    expected.insert(1, "twin");
    assert_eq!(listed, expected);
    for name in names {
        assert_eq!(running.engine.run(name).unwrap().unwrap().run.run_id, name);
    }
    assert!(running.engine.runs(Some("nonsense"), 2).is_err(), "what is no cursor is refused");
}

#[test]
fn runs_are_listed_again_when_their_columns_were_lost_a212() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut session = home.claude(1, "api");
    session.prompt(now.plus_ms(-MINUTE), "go");
    running.settle();
    declare(
        &running.engine,
        &session.key(),
        now,
        json!({"lamplight.run_id": "old", "service.instance.id": "left"}),
    );
    running.stop();
    let stored = || -> (Option<String>, Option<String>) {
        let sql = "SELECT run, instance FROM sessions";
        database(&home).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(stored(), (Some("old".to_owned()), Some("left".to_owned())));
    // As a hand that knows no better would leave it: the columns are lost, whatever the version says.
    database(&home)
        .execute_batch(
            "DROP INDEX sessions_by_run; DROP INDEX sessions_by_instance;
             ALTER TABLE sessions DROP COLUMN run; ALTER TABLE sessions DROP COLUMN instance;",
        )
        .unwrap();
    let healed = Running::start(&home);
    assert_eq!(healed.engine.run("old").unwrap().unwrap().run.members, 1);
    assert_eq!(stored(), (Some("old".to_owned()), Some("left".to_owned())));
}

#[test]
fn sessions_of_instrumented_programs_are_members_too_a127_a135() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut lead = home.claude(1, "api");
    lead.prompt(now.plus_ms(-MINUTE), "split this up");
    running.settle();
    declare(&running.engine, &lead.key(), now, json!({"lamplight.run_id": "mixed"}));
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number = |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let nanos = |at: Timestamp| format!("{}000000", at.0);
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "worker"), text("lamplight.run_id", "mixed"),
                                    text("lamplight.parent_session_id", lead.id.as_str())]},
        "scopeSpans": [{"scope": {"name": "app"}, "spans": [{
            "traceId": "0123456789abcdef0123456789abcdef", "spanId": "0123456789abcdef", "name": "chat",
            "startTimeUnixNano": nanos(now.plus_ms(-2_000)), "endTimeUnixNano": nanos(now.plus_ms(-1_000)),
            "attributes": [text("gen_ai.operation.name", "chat"), text("gen_ai.request.model", "claude-opus-4-5"),
                           text("gen_ai.conversation.id", "worker-1"), number("gen_ai.usage.input_tokens", 700),
                           number("gen_ai.usage.output_tokens", 30)]}]}]}]});
    let batch = decode(Signal::Traces, Encoding::Json, body.to_string().as_bytes(), now).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(running.engine.ingest(batch)).unwrap();
    running.settle();
    let run = running.engine.run("mixed").unwrap().unwrap();
    assert_eq!(
        tree(&run),
        [(0, lead.id.to_string(), None), (1, "worker-1".to_owned(), Some(lead.name()))],
        "{run:#?}"
    );
    assert_eq!(run.members[1].card.kind, SessionKind::Sdk);
    assert_eq!(
        run.run.tokens.map(|t| (t.input, t.output)),
        Some((700, 30)),
        "what its spans tell is counted"
    );
}
