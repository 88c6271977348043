//! What a person does with what calls for them: silence a session, put a cause off until something changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{Claude, HOUR, Home, Process};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::Running;
use lamplight_engine::{CauseAction, Notice};
use lamplight_model::ids::{FactId, SessionKey};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::view::Muted;

/// A live session that waits for a permission from now on.
fn asks(home: &Home, running: &Running, session: &mut Claude) -> Process {
    let process = Process::sleeping();
    session.prompt(running.now(), "do it");
    session.calls(running.now(), "Bash", serde_json::json!({"command": "make"}), 100);
    session.registry(home, process.pid(), Some("waiting: permission prompt"), running.now());
    process
}

#[test]
fn a_silenced_session_is_shown_counted_and_never_told_over_restarts_too() {
    let home = Home::new();
    let running = Running::start(&home);
    let notices = running.engine.notices();
    let mut session = home.claude(1, "shop");
    let _process = asks(&home, &running, &mut session);
    let card = running.until_card(&session.name(), "the prompt", |c| c.attention.is_some());
    assert_eq!(card.muted, None);
    let key = SessionKey::from_text(&session.name()).unwrap();
    let muted = running.engine.set_muted(&key, true).unwrap();
    assert_eq!((muted.muted, muted.causes.len()), (Some(Muted::Session), 1), "what is open stays open");
    // Nothing on the card changes with it, so that no change tells of it: asked until its grace is over.
    let is_logged = || {
        let entries = running.engine.notice_log(None, 10).unwrap().notices;
        entries.iter().any(|e| (e.outcome, e.why) == (NoticeOutcome::HeldBack, Some(HeldBack::Muted)))
    };
    let began = std::time::Instant::now();
    while !is_logged() {
        assert!(began.elapsed().as_secs() < 60, "no reason in the log");
        running.settle();
    }
    assert_eq!(running.engine.status().hidden.muted, 1, "hidden from what calls, and counted");
    assert!(running.engine.set_muted(&SessionKey::from_text("claude-code:none").unwrap(), true).is_err());
    running.stop();
    assert_eq!(notices.iter().filter(|n| matches!(n, Notice::Show { .. })).count(), 0);

    let running = Running::start(&home);
    let card = running.until_card(&session.name(), "the session", |c| c.attention.is_some());
    assert_eq!(card.muted, Some(Muted::Session));
    assert_eq!(running.engine.set_muted(&key, false).unwrap().muted, None);
    running.settle();
    assert_eq!(running.engine.status().hidden.muted, 0);
    running.stop();
}

#[test]
fn what_is_put_off_until_it_changes_calls_again_when_something_happens_in_it() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "shop");
    let process = asks(&home, &running, &mut session);
    let card = running.until_card(&session.name(), "the prompt", |c| c.attention.is_some());
    let cause = card.attention.unwrap();
    running.engine.set_cause(&cause.cause_id, CauseAction::SnoozeUntilChange).unwrap();
    let put_off = running
        .until_card(&session.name(), "the snooze", |c| c.attention.as_ref().is_some_and(|a| a.until_change));
    let until = put_off.attention.unwrap().snoozed_until_ms.unwrap();
    assert!(until > running.now().0 + 300 * 366 * 86_400_000, "it does not end by itself");
    running.stop();

    // It survives a restart, in which nothing happened.
    let running = Running::start(&home);
    running.until_card(&session.name(), "the session", |c| {
        c.attention.as_ref().is_some_and(|a| a.until_change && a.cause_id == cause.cause_id)
    });
    let changed = running.now();
    // The same dialog stands, and something was written: the session is another than the one that was put off.
    session.registry(&home, process.pid(), Some("waiting: permission prompt"), running.now());
    session.calls(running.now(), "Read", serde_json::json!({"file_path": "/x"}), 120);
    running
        .until_card(&session.name(), "its call", |c| c.attention.as_ref().is_some_and(|a| !a.until_change));
    // And it is told.
    let told = || {
        let log = running.engine.notice_log(None, 10).unwrap().notices;
        log.iter().any(|e| e.outcome == NoticeOutcome::Told && e.at_ms > changed.0)
    };
    let began = std::time::Instant::now();
    while !told() {
        assert!(began.elapsed().as_secs() < 60, "nobody was told that it calls again");
        running.settle();
    }
    running.stop();
}

#[test]
fn what_its_person_takes_back_is_told_once_as_if_it_had_not_been_put_off() {
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "shop");
    session.prompt(T0.plus_ms(1_000), "do it");
    session.says(T0.plus_ms(2_000), "done", 100);
    clocked.read(&session.key(), None, &session.path, T0.plus_ms(2_100));
    let cause = clocked.card(&session.key(), T0.plus_ms(2_100)).attention.unwrap().cause_id;
    let id = FactId(u128::from_str_radix(&cause, 16).unwrap());
    for (n, action) in
        [CauseAction::Snooze { until_ms: T0.0 + HOUR }, CauseAction::SnoozeUntilChange, CauseAction::Dismiss]
            .into_iter()
            .enumerate()
    {
        let at = T0.plus_ms(3_000 + 1_000 * i64::try_from(n).unwrap());
        clocked.core.set_cause(id, action, at).unwrap();
        clocked.core.set_cause(id, CauseAction::Restore, at.plus_ms(500)).unwrap();
        let attention = clocked.card(&session.key(), at.plus_ms(500)).attention.unwrap();
        assert_eq!((attention.cause_id, attention.snoozed_until_ms), (cause.clone(), None), "it calls again");
    }
    let mut told = Vec::new();
    for later in [20_000, HOUR + 20_000, 11 * HOUR] {
        clocked.pass(T0.plus_ms(later));
        told.extend(clocked.core.take_notices());
    }
    assert!(matches!(&told[..], [Notice::Show { cause_ids, .. }] if *cause_ids == [cause]), "{told:?}");
}
