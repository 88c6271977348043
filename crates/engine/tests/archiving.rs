//! Putting a session away: what it does to the screen, to what was asked, and what brings it back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{Claude, Home, MINUTE, Process};
use checklist_support::running::Running;
use lamplight_engine::EngineError;
use lamplight_model::session::{Lifecycle, LivenessState, TurnState};

/// A session whose turn is over and which asks for a reply; of a client from before registries unless a process is given.
fn asking(home: &Home, running: &Running, n: u32, process: Option<&Process>) -> Claude {
    let mut session = home.claude(n, "api");
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

fn cleared_by(running: &Running, session: &Claude) -> Vec<Option<String>> {
    let history = running.engine.session(&session.key()).unwrap().unwrap().history;
    history.into_iter().map(|cause| cause.cleared_by).collect()
}

#[test]
fn what_is_put_away_leaves_the_screen_with_what_it_asked_and_comes_back_with_activity() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = asking(&home, &running, 1, None);
    let before = running.card(&session.name());
    let archived = running.status().archived;

    let card = running.engine.set_archived(&session.key(), true).unwrap();
    assert!(card.archived_at_ms.is_some() && card.attention.is_none() && card.causes.is_empty(), "{card:#?}");
    assert_eq!(running.shown(&session.name()), None);
    assert_eq!(running.status().archived, archived + 1);
    assert_eq!(cleared_by(&running, &session), [Some("archived".to_owned())]);
    let filed = running.filed(&session.key());
    assert_eq!(filed.last_activity_at_ms, before.last_activity_at_ms, "last seen stays");
    assert_eq!(filed.turn_state, TurnState::AwaitingReply, "it says what is so, and calls for nothing");
    assert_eq!(filed.archived_at_ms, card.archived_at_ms);
    assert_eq!(running.listed(50), [session.name()], "in the archive as ever");

    // Twice is as once, a record that comes late changes nothing, and a restart neither.
    let again = running.engine.set_archived(&session.key(), true).unwrap();
    assert_eq!(again.archived_at_ms, card.archived_at_ms);
    session.says(running.now().plus_ms(-30_000), "written before it was put away", 100);
    running.settle();
    assert_eq!(running.shown(&session.name()), None);
    running.stop();
    let running = Running::start(&home);
    assert_eq!(running.shown(&session.name()), None, "nor does a restart");

    session.prompt(running.now(), "and one more thing");
    let card = running.until_card(&session.name(), "its return", |c| c.turn_state == TurnState::Working);
    assert_eq!((card.archived_at_ms, card.lifecycle), (None, Lifecycle::Active));
    session.says(running.now(), "done again", 100);
    running.until_card(&session.name(), "a need of its own", |c| c.attention.is_some());
}

#[test]
fn what_is_taken_out_again_asks_for_what_it_asked_before() {
    let home = Home::new();
    let running = Running::start(&home);
    let session = asking(&home, &running, 1, None);
    let before = running.card(&session.name());
    running.engine.set_archived(&session.key(), true).unwrap();
    let back = running.engine.set_archived(&session.key(), false).unwrap();
    assert_eq!(back.attention, before.attention, "the same cause, told or not as it was");
    assert_eq!(running.card(&session.name()), back);
    assert_eq!(cleared_by(&running, &session), [None]);
}

#[test]
fn what_a_process_runs_is_not_put_away_and_comes_back_while_one_runs_it() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let session = asking(&home, &running, 1, Some(&process));
    let refused = running.engine.set_archived(&session.key(), true).unwrap_err();
    assert!(matches!(&refused, EngineError::Conflict(why) if why.contains("process runs")), "{refused}");
    assert!(running.card(&session.name()).attention.is_some(), "nothing was changed");

    // Killed in the middle of nothing: it waits for its person, who puts it away.
    process.end();
    running.until_card(&session.name(), "its death", |c| c.liveness.state == LivenessState::Dead);
    running.engine.set_archived(&session.key(), true).unwrap();
    running.settle();
    assert_eq!(running.shown(&session.name()), None);

    // Another process takes it up, by the registry alone and with a status of before.
    let other = Process::sleeping();
    session.registry(&home, other.pid(), Some("idle"), running.now().plus_ms(-2 * MINUTE));
    let card =
        running.until_card(&session.name(), "its process", |c| c.liveness.state == LivenessState::Alive);
    assert_eq!(card.archived_at_ms, None, "what lives is never archived");
}
