//! Checklist A, section C: what a close closes, and that every way to end looks the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use checklist_support::agents::{Claude, Home, MINUTE, Process};
use checklist_support::running::{Running, database};
use lamplight_engine::sources::hooks::folder;
use lamplight_engine::sources::otlp::{Encoding, Signal, decode};
use lamplight_engine::{Engine, EngineError};
use lamplight_model::ids::Timestamp;
use lamplight_model::session::{Lifecycle, LivenessState, TurnState};
use lamplight_model::view::SessionCard;
use serde_json::json;

/// Declares a session's terminal, as its environment does.
fn declare(engine: &Engine, session: &Claude, at: Timestamp, instance: &str) {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.instance.id", instance)]},
        "scopeLogs": [{"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [{
            "timeUnixNano": format!("{}000000", at.0),
            "attributes": [text("event.name", "user_prompt"), text("session.id", session.id.as_str())]}]}]}]});
    let batch = decode(Signal::Logs, Encoding::Json, body.to_string().as_bytes(), at).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.ingest(batch)).unwrap();
}

/// What `lamp hook` leaves of a `SessionEnd`.
fn end_by_hook(home: &Home, session: &Claude, at: Timestamp) {
    let spool = folder(&home.data_dir());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&spool).unwrap();
    let payload = json!({"session_id": session.id.as_str(), "hook_event_name": "SessionEnd",
        "reason": "prompt_input_exit", "cwd": "/", "transcript_path": "/"});
    let spooled =
        json!({"v": 1, "agent": "claude-code", "received_at_ms": at.0, "pid_parent": 1, "payload": payload});
    let file = spool.join(format!(".{}.tmp", at.0));
    fs::write(&file, spooled.to_string()).unwrap();
    fs::rename(file, spool.join(format!("{}-{}-1.json", at.0, std::process::id()))).unwrap();
}

/// A session whose turn is over and which asks for a reply: without a registry, unless a process is given.
fn asking(home: &Home, running: &Running, n: u32, process: Option<&Process>) -> Claude {
    let mut session = home.claude(n, "api");
    // Clients of before kept no registry: nothing but what is told says that they are gone.
    session.version = process.is_some().then(|| "2.1.329".to_owned());
    let at = running.now().plus_ms(-MINUTE);
    session.prompt(at.plus_ms(-MINUTE), "go");
    session.says(at, "done, what next?", 100);
    if let Some(process) = process {
        session.registry(home, process.pid(), Some("idle"), at);
    }
    running.settle();
    running.until_card(&session.name(), "its need", |card| card.attention.is_some());
    session
}

fn cleared_by(running: &Running, session: &Claude) -> Vec<String> {
    let history = running.engine.session(&session.key()).unwrap().unwrap().history;
    history.into_iter().filter_map(|cause| cause.cleared_by).collect()
}

/// What of a card says that its session is over.
fn look(card: &SessionCard) -> (Lifecycle, TurnState, bool, bool, usize, bool, bool) {
    (
        card.lifecycle,
        card.turn_state,
        card.waiting_for.is_none(),
        card.attention.is_none(),
        card.causes.len(),
        card.doing.is_none(),
        card.ended_at_ms.is_some() && card.ended_at_ms == card.turn_state_since_ms,
    )
}

#[test]
fn every_way_to_end_looks_the_same_on_the_card_a22_a26() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let by_api = asking(&home, &running, 1, None);
    let by_wrapper = asking(&home, &running, 2, None);
    let by_hook = asking(&home, &running, 3, None);
    let by_exit = asking(&home, &running, 4, Some(&process));
    let before = running.now();
    let last_seen: Vec<_> = [&by_api, &by_wrapper, &by_hook, &by_exit]
        .map(|session| running.card(&session.name()).last_activity_at_ms)
        .to_vec();

    assert_eq!(running.engine.close(Some(by_api.id.as_str()), None).unwrap(), 1);
    declare(&running.engine, &by_wrapper, running.now(), "pts-7");
    assert_eq!(running.engine.close(None, Some("pts-7")).unwrap(), 1);
    end_by_hook(&home, &by_hook, running.now());
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", process.pid()))).unwrap();
    process.end();

    let mut looks = Vec::new();
    for (session, last) in [&by_api, &by_wrapper, &by_hook, &by_exit].into_iter().zip(last_seen) {
        let card = running.until_card(&session.name(), "the end", |c| c.turn_state == TurnState::Ended);
        assert!(card.ended_at_ms.is_some_and(|at| at >= before.0 && at <= running.now().0), "{card:#?}");
        assert_eq!(card.last_activity_at_ms, last, "last seen stays");
        assert_eq!(cleared_by(&running, session), ["ended"], "{card:#?}");
        looks.push(look(&card));
    }
    assert!(looks.iter().all(|look| *look == looks[0]), "{looks:#?}");
    assert_eq!(looks[0].0, Lifecycle::Closed);
    // Liveness is told as it is known: only the process was seen to go.
    let liveness = |session: &Claude| running.card(&session.name()).liveness.state;
    assert_eq!(liveness(&by_exit), LivenessState::Dead);
    for session in [&by_api, &by_wrapper, &by_hook] {
        assert_eq!(liveness(session), LivenessState::Unknown);
    }
}

#[test]
fn several_words_on_one_end_come_in_any_order_and_the_earliest_dates_it_a24_a26_a27() {
    for order in [["close", "hook"], ["hook", "close"]] {
        let home = Home::new();
        let running = Running::start(&home);
        let session = asking(&home, &running, 1, None);
        let ended = running.now();
        for way in order {
            match way {
                "hook" => end_by_hook(&home, &session, ended),
                _ => {
                    let closed = running.engine.close(Some(session.id.as_str()), None).unwrap();
                    assert_eq!(closed, u64::from(order[0] == "close"), "what is over is not closed again");
                }
            }
            running.settle();
            running.until_card(&session.name(), "the end", |c| c.lifecycle == Lifecycle::Closed);
        }
        let card = running.card(&session.name());
        assert_eq!(card.ended_at_ms, Some(ended.0), "{order:?}: a later word moves nothing");
        assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 0);
        assert_eq!(running.card(&session.name()).ended_at_ms, Some(ended.0), "{order:?}");
    }
}

#[test]
fn an_instance_closes_its_own_open_sessions_and_no_others_a22_a23_a24_a25() {
    let home = Home::new();
    let running = Running::start(&home);
    let left = asking(&home, &running, 1, None);
    let right = asking(&home, &running, 2, None);
    let prefix = asking(&home, &running, 3, None);
    let nameless = asking(&home, &running, 4, None);
    let now = running.now();
    declare(&running.engine, &left, now, "pts-1");
    declare(&running.engine, &right, now, "pts-2");
    declare(&running.engine, &prefix, now, "pts-12");
    running.settle();
    let open = |running: &Running| -> Vec<bool> {
        [&left, &right, &prefix, &nameless]
            .map(|s| running.card(&s.name()).lifecycle != Lifecycle::Closed)
            .to_vec()
    };
    let close = |session: Option<&Claude>, instance: Option<&str>| {
        running.engine.close(session.map(|s| s.id.as_str()), instance).unwrap()
    };
    assert_eq!(close(None, Some("pts")), 0);
    assert_eq!(close(None, Some("PTS-1")), 0, "exactly it");
    assert_eq!(close(Some(&right), Some("pts-1")), 0, "both must fit");
    assert_eq!(close(Some(&nameless), Some("pts-1")), 0);
    assert_eq!(open(&running), [true; 4]);
    assert_eq!(close(None, Some("pts-1")), 1);
    assert_eq!(close(None, Some("pts-1")), 0, "idempotent");
    running.settle();
    assert_eq!(open(&running), [false, true, true, true]);
    assert_eq!(close(Some(&right), Some("pts-2")), 1);
    running.settle();
    assert_eq!(open(&running), [false, false, true, true]);
    let mut left = left.clone();
    left.prompt(running.now(), "one more thing");
    running.until_card(&left.name(), "the reopening", |c| c.lifecycle == Lifecycle::Active);
    assert_eq!(close(None, Some("pts-1")), 1, "open again, it can be closed again");
}

#[test]
fn names_that_many_terminals_share_are_refused_a22() {
    let home = Home::new();
    let running = Running::start(&home);
    let session = asking(&home, &running, 1, None);
    declare(&running.engine, &session, running.now(), "unknown");
    for shared in
        ["", " ", "unknown", "not a tty", "tty", "/dev/tty", "console", "localhost", "unk\u{202e}nown"]
    {
        for id in [None, Some(session.id.as_str())] {
            let refused = running.engine.close(id, Some(shared));
            assert!(matches!(refused, Err(EngineError::BadRequest(_))), "{shared:?}");
        }
    }
    assert_ne!(running.card(&session.name()).lifecycle, Lifecycle::Closed);
}

#[test]
fn a_session_whose_process_lives_is_never_shown_as_closed() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let other = Process::sleeping();
    let session = asking(&home, &running, 1, Some(&process));
    let namesake = asking(&home, &running, 2, Some(&other));
    declare(&running.engine, &session, running.now(), "api");
    declare(&running.engine, &namesake, running.now(), "api");
    // The terminal tells of its end a moment before the process is seen to go.
    assert_eq!(running.engine.close(None, Some("api")).unwrap(), 2);
    assert_eq!(running.engine.close(None, Some("api")).unwrap(), 0);
    running.settle();
    for open in [&session, &namesake] {
        let card = running.card(&open.name());
        assert_eq!((card.turn_state, card.liveness.state), (TurnState::AwaitingReply, LivenessState::Alive));
        assert_ne!(card.lifecycle, Lifecycle::Closed);
        assert!(card.attention.is_some() && card.ended_at_ms.is_none(), "a terminal's word hides no need");
    }
    // Killed: its registry file stands. The terminal told that it is over, so that it is no crash.
    process.end();
    let card = running.until_card(&session.name(), "the end", |c| c.lifecycle == Lifecycle::Closed);
    assert_eq!((card.turn_state, card.liveness.state), (TurnState::Ended, LivenessState::Dead));
    assert_eq!(running.card(&namesake.name()).liveness.state, LivenessState::Alive);

    // A person's close of a live session waves away what it asks for, and only that.
    assert_eq!(running.engine.close(Some(namesake.id.as_str()), None).unwrap(), 0, "told already");
    let mut namesake = namesake;
    let now = running.now();
    namesake.prompt(now, "and?");
    namesake.says(now.plus_ms(1), "done again", 100);
    namesake.registry(&home, other.pid(), Some("idle"), now.plus_ms(2));
    running.until_card(&namesake.name(), "a new need", |c| c.attention.is_some());
    running.settle();
    assert_eq!(running.engine.close(Some(namesake.id.as_str()), None).unwrap(), 1);
    let card = running.card(&namesake.name());
    assert_eq!((card.attention, card.turn_state), (None, TurnState::AwaitingReply));
    assert_ne!(card.lifecycle, Lifecycle::Closed);
    running.settle();
    assert_eq!(running.card(&namesake.name()).attention, None, "looking again does not bring it back");
}

#[test]
fn what_was_dated_ahead_before_the_close_does_not_reopen_it() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = asking(&home, &running, 1, None);
    let ahead = running.now().plus_ms(10 * MINUTE);
    session.says(ahead, "written by a clock that runs ahead", 100);
    running.settle();
    assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 1);
    running.settle();
    let closed = running.card(&session.name());
    assert_eq!((closed.lifecycle, closed.turn_state), (Lifecycle::Closed, TurnState::Ended));
    running.stop();
    let again = Running::start(&home);
    assert_eq!(again.card(&session.name()).lifecycle, Lifecycle::Closed, "nor after a restart");
    session.prompt(ahead.plus_ms(1), "go on");
    again.until_card(&session.name(), "the reopening", |c| c.lifecycle == Lifecycle::Active);
}

#[test]
fn a_session_known_by_telemetry_alone_can_be_closed_by_its_terminal() {
    let home = Home::new();
    let running = Running::start(&home);
    let session = home.claude(1, "api");
    let now = running.now();
    declare(&running.engine, &session, now.plus_ms(-MINUTE), "pts-9");
    assert_eq!(running.engine.close(None, Some("pts-9")).unwrap(), 1);
    running.settle();
    assert_eq!(running.filed(&session.key()).lifecycle, Lifecycle::Closed);
    let sql = "SELECT count(*) FROM sessions WHERE instance = 'pts-9'";
    let stored: i64 = database(&home).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 1);
}
