//! OpenCode's sessions in a running engine: cards that follow the database, totals, and what its absence is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod checklist_support;
mod opencode_support;

use lamplight_engine::{Config, clock, run_once};
use lamplight_model::ids::SessionKey;
use lamplight_model::session::{LabelSource, LivenessState, ResumeState, TurnState};
use lamplight_model::view::{CostSource, SourceHealth, SourceView, Status};
use serde_json::{Value, json};

use checklist_support::agents::Home;
use checklist_support::running::{Running, find};
use opencode_support::{Capture, OpenCode, capture};

const TUI: &str = "opencode:ses_e07233b36ffenoKfKB6noo1JtG";
const TOOLS: &str = "opencode:ses_e0723f10cffex4aS6c3Ml6eI9r";

/// A capture that ends at this moment.
fn of_now(name: &str) -> Capture {
    let last = capture(name, 0).events.iter().filter_map(|e| latest(e["data"].as_str()?)).max().unwrap();
    capture(name, clock::now().0 - last - 60_000)
}

fn latest(text: &str) -> Option<i64> {
    text.match_indices("1795176").filter_map(|(at, _)| text.get(at..at + 13)?.parse().ok()).max()
}

fn config(home: &Home, opencode: &OpenCode) -> Config {
    let mut config = home.config();
    config.roots.push(opencode.root());
    config
}

fn source(status: &Status) -> &SourceView {
    status.sources.iter().find(|source| source.name == "opencode sessions").unwrap()
}

#[test]
fn a_card_follows_the_database_as_it_is_written() {
    let home = Home::new();
    let capture = of_now("tui");
    let mut opencode = OpenCode::start(&capture.schema);
    let engine = Running::with(config(&home, &opencode));
    assert_eq!(source(&engine.status()).state, SourceHealth::Ok, "there, and empty");
    let mut events = capture.events.iter();
    let mut write_until = |opencode: &mut OpenCode, seq: i64| {
        for event in events.by_ref() {
            opencode.write(event);
            if event["seq"] == seq {
                return;
            }
        }
    };
    write_until(&mut opencode, 4);
    let card = engine.until_card(TUI, "work", |card| card.turn_state == TurnState::Working);
    assert_eq!(
        (card.label.as_str(), card.label_source),
        ("Say hello", LabelSource::FirstPrompt),
        "no placeholder"
    );
    assert_eq!(card.liveness.state, LivenessState::Unknown);
    assert!(card.evidence.iter().any(|e| e.fact == "OpenCode does not tell which process runs a session"));
    write_until(&mut opencode, 15);
    let card = engine.until_card(TUI, "the answer", |card| card.turn_state == TurnState::AwaitingReply);
    assert_eq!((card.label.as_str(), card.label_source), ("Hello there.", LabelSource::AgentTitle));
    assert_eq!((card.excerpt.as_deref(), card.model.as_deref()), (Some("Hello there."), Some("fake-model")));
    assert_eq!((card.cost_usd, card.cost_source), (Some(0.002_27), Some(CostSource::Reported)));
    assert_eq!(card.context.used, Some(2_186 + 1_024));
    write_until(&mut opencode, 24);
    let card =
        engine.until_card(TUI, "the command", |card| card.doing.as_ref().is_some_and(|d| d.tool.is_some()));
    let doing = card.doing.unwrap();
    assert_eq!(
        (doing.tool.as_deref(), doing.target.as_deref()),
        (Some("bash"), Some("echo installed > installed.txt"))
    );
    assert!(card.attention.is_none(), "whether it asks, nobody can tell");
    write_until(&mut opencode, 51);
    let card = engine.until_card(TUI, "the Esc", |card| card.turn_state == TurnState::Interrupted);
    assert_eq!((card.tool_calls, card.resume.command.as_deref()), (1, None));
    assert_eq!(card.resume.state, ResumeState::NoDirectory, "/home/dev2/project is not here");
    let status = engine.until("the count", |status| source(status).files == 1);
    assert_eq!((source(&status).state, source(&status).issues.len()), (SourceHealth::Ok, 0));
    opencode.sql("DELETE FROM session");
    engine.until_card(TUI, "its deletion", |card| card.resume.state == ResumeState::NoTranscript);
    engine.stop();
}

#[test]
fn totals_are_those_of_the_database_whichever_way_it_is_read() {
    for live in [false, true] {
        let home = Home::new();
        let capture = capture("run_tools", 0);
        let mut opencode = OpenCode::start(&capture.schema);
        let child = child_of(&capture.events[0]);
        let all: Vec<&Value> = capture.events.iter().chain(&child).collect();
        let running = live.then(|| Running::with(config(&home, &opencode)));
        all.iter().for_each(|event| opencode.write(event));
        if let Some(running) = running {
            running.settle();
            running.stop();
        }
        let (totals, status) = run_once(config(&home, &opencode), |_| {}).unwrap();
        assert_eq!(
            (totals.sessions, totals.messages, totals.prompts, totals.tool_calls, totals.subagents),
            (1, 6, 2, 4, 1),
            "live: {live}"
        );
        let tokens = &totals.tokens["fake-model"];
        assert_eq!(
            (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write_5m),
            (15_508, 464 + 192, 8_192, 0)
        );
        assert_eq!(totals.bytes_read, 0, "a database is not read by bytes");
        assert!(source(&status).bytes > 0);
        let (again, _) = run_once(config(&home, &opencode), |_| {}).unwrap();
        assert_eq!((again.messages, again.prompts, again.tool_calls), (6, 2, 4), "nothing counts twice");
    }
}

/// The first event of a session that this one began, and nothing else.
fn child_of(created: &Value) -> Vec<Value> {
    let mut event = created.clone();
    let parent = created["aggregate_id"].as_str().unwrap();
    let mut data: Value = serde_json::from_str(created["data"].as_str().unwrap()).unwrap();
    data["info"]["id"] = json!("ses_child");
    data["info"]["parentID"] = json!(parent);
    event["id"] = json!("evt_child");
    event["aggregate_id"] = json!("ses_child");
    event["data"] = json!(data.to_string());
    vec![event]
}

#[test]
fn the_page_of_a_session_tells_what_was_said_and_done() {
    let home = Home::new();
    let capture = capture("run_tools", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    let engine = Running::with(config(&home, &opencode));
    let page = engine.engine.session(&SessionKey::from_text(TOOLS).unwrap()).unwrap().unwrap();
    assert_eq!(page.first_prompt.as_deref(), Some("Fix the add function"));
    assert_eq!((page.responses, page.prompts, page.inherited_responses), (6, 2, 0));
    let tools: Vec<&str> = page.messages.iter().filter_map(|m| m.tool.as_deref()).collect();
    assert_eq!(tools, ["read", "edit", "todowrite", "bash"]);
    assert_eq!(page.files.len(), 1, "one file, read and edited");
    assert_eq!((page.files[0].reads, page.files[0].edits), (1, 1));
    assert_eq!(page.models[0].reported_usd, Some(0.016_82));
    assert_eq!(page.transcript, Some(opencode.database().to_string_lossy().into_owned()));
    assert!(find(&engine.status(), TOOLS).is_none(), "it is days old");
    engine.stop();
}

#[test]
fn a_database_that_is_held_is_a_degraded_source_until_it_is_let_go() {
    let home = Home::new();
    let capture = of_now("tui");
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events[..16].iter().for_each(|event| opencode.write(event));
    opencode.close();
    opencode.open();
    opencode.sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE session SET slug = 'x'; COMMIT;");
    let engine = Running::with(config(&home, &opencode));
    let status = engine.until("the trouble", |status| source(status).state == SourceHealth::Degraded);
    let trouble = &source(&status).issues[0];
    assert_eq!(trouble.kind, "database_held");
    assert!(trouble.message.contains("looked at again"));
    assert!(find(&status, TUI).is_none());
    opencode.close();
    let status = engine.until("its end", |status| source(status).state == SourceHealth::Ok);
    assert!(source(&status).issues.is_empty());
    engine.until_card(TUI, "its session", |card| card.turn_state == TurnState::AwaitingReply);
    engine.stop();
}

#[test]
fn a_database_that_appears_later_is_found() {
    let home = Home::new();
    let capture = of_now("tui");
    let mut opencode = OpenCode { home: tempfile::tempdir().unwrap(), db: None };
    let engine = Running::with(config(&home, &opencode));
    assert_eq!(source(&engine.status()).state, SourceHealth::Absent);
    opencode.set_up(&capture.schema);
    capture.events[..16].iter().for_each(|event| opencode.write(event));
    engine.until_card(TUI, "its session", |card| card.turn_state == TurnState::AwaitingReply);
    engine.stop();
}
