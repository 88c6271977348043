//! Checklist A, sections A, B and C: what ends a session, how old it is, what a close means.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;

use checklist_support::agents::{HOUR, Home, MINUTE, Process, append, written};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, count, find};
use lamplight_model::assess::{Circumstances, assess};
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::session::{Lifecycle, LivenessState, SessionState, Transcript, TurnState};
use serde_json::json;

/// Neither words nor times of the card say that it is over.
fn check_not_over(card: &lamplight_model::view::SessionCard, when: &str) {
    assert!(!matches!(card.lifecycle, Lifecycle::Closed | Lifecycle::Completed), "{when}: {card:#?}");
    assert_ne!(card.turn_state, TurnState::Ended, "{when}");
    assert_eq!(card.ended_at_ms, None, "{when}");
}

#[test]
fn a_prompt_alone_never_completes_a_session_a1() {
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "api");
    session.prompt(T0, "look into the tests");
    clocked.read(&session.key(), None, &session.path, T0);
    for after in [0, 1, 40_000, 5 * MINUTE, 29 * MINUTE, 31 * MINUTE, 3 * HOUR] {
        let now = T0.plus_ms(after);
        clocked.pass(now);
        check_not_over(&clocked.card(&session.key(), now), &format!("{after} ms after its only prompt"));
    }
}

#[test]
fn a_live_session_is_never_shown_as_over_a5() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("busy"), running.now());
    check_not_over(&running.until_card(&session.name(), "the registry", |_| true), "before its first word");
    session.prompt(running.now(), "go");
    let card = running.until_card(&session.name(), "the prompt", |c| c.last_speaker_at_ms.is_some());
    check_not_over(&card, "after its first prompt");
    assert_eq!((card.lifecycle, card.turn_state), (Lifecycle::Active, TurnState::Working));
    session.says(running.now(), "done", 100);
    session.registry(&home, process.pid(), Some("idle"), running.now());
    let awaiting = |c: &lamplight_model::view::SessionCard| c.turn_state == TurnState::AwaitingReply;
    check_not_over(&running.until_card(&session.name(), "the end of the turn", awaiting), "between turns");
}

#[test]
fn closed_stays_closed_until_later_activity_a4_a14_a18_a22_a23_a24_a26_a223() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    let last = running.now().plus_ms(-MINUTE);
    session.prompt(last.plus_ms(-2 * MINUTE), "go");
    session.says(last, "done", 100);
    running.settle();
    let before = running.card(&session.name());
    assert_eq!(before.last_activity_at_ms, Some(last.0));
    assert_ne!(before.lifecycle, Lifecycle::Closed, "an ended turn is no close");

    assert!(running.engine.close(None, None).is_err(), "one id at least");
    assert_eq!(running.engine.close(Some("never-heard-of"), None).unwrap(), 0);
    assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 1);
    assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 0, "idempotent");
    assert_eq!(running.engine.close(Some(&session.name()), None).unwrap(), 0, "by its full name too");
    let check_closed = |why: &str| {
        running.settle();
        let card = running.filed(&session.key());
        assert_eq!((card.lifecycle, card.turn_state), (Lifecycle::Closed, TurnState::Ended), "{why}");
        assert_eq!(card.last_activity_at_ms, Some(last.0), "{why}: last seen stays");
        // No registry file and no process: that it ended was known before, and a close moves nothing.
        assert_eq!((card.ended_at_ms, before.ended_at_ms), (Some(last.0), Some(last.0)), "{why}");
        assert_eq!(card.attention, None, "{why}: nothing is asked any more");
    };
    check_closed("closed");
    let file = fs::File::options().append(true).open(&session.path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000)).unwrap();
    check_closed("a touch of the file is no activity");
    let mut late = session.clone();
    late.subagent_says("a1", last.plus_ms(-MINUTE), "late, about what was before the close");
    check_closed("a late record of an earlier time is no activity");

    let now = running.now();
    session.prompt(now, "one more thing");
    let card = running.until_card(&session.name(), "the reopening", |c| c.lifecycle == Lifecycle::Active);
    assert_eq!(card.last_activity_at_ms, Some(now.0));
    check_not_over(&card, "activity after the close");
    assert_eq!(card.turn_state, TurnState::Working);
    assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 1, "it can be closed again");
}

#[test]
fn a_close_survives_a_restart_a14() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    session.prompt(running.now().plus_ms(-MINUTE), "go");
    running.settle();
    assert_eq!(running.engine.close(Some(session.id.as_str()), None).unwrap(), 1);
    running.settle();
    let closed = running.filed(&session.key());
    running.stop();
    let again = Running::start(&home);
    let card = again.filed(&session.key());
    assert_eq!((card.lifecycle, card.ended_at_ms), (Lifecycle::Closed, closed.ended_at_ms));
}

#[test]
fn what_is_done_at_the_end_is_done_once_and_not_at_each_turn_a6() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = home.claude(1, "api");
    let stories = || count(&home, "SELECT count(*) FROM stories");
    for turn in 0..4 {
        session.registry(&home, process.pid(), Some("busy"), running.now());
        session.prompt(running.now(), &format!("question {turn}"));
        running.until_card(&session.name(), "work", |c| c.turn_state == TurnState::Working);
        session.says(running.now(), &format!("answer {turn}"), 100);
        session.registry(&home, process.pid(), Some("idle"), running.now());
        let said = format!("answer {turn}");
        running.until_card(&session.name(), "the end of the turn", |c| {
            c.turn_state == TurnState::AwaitingReply && c.excerpt.as_deref() == Some(said.as_str())
        });
        running.settle();
        assert_eq!(stories(), 0, "the end of turn {turn} is no end of the session");
    }
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", process.pid()))).unwrap();
    process.end();
    running.until("the end", |s| {
        find(s, &session.name()).is_some_and(|c| c.liveness.state == LivenessState::Dead)
    });
    running.settle();
    running.settle();
    assert_eq!(stories(), 1);
    let kept_at = count(&home, "SELECT at_ms FROM stories");
    running.settle();
    running.settle();
    assert_eq!((stories(), count(&home, "SELECT at_ms FROM stories")), (1, kept_at), "once");
    // What was kept is what was said: shown when the agent has deleted the transcript.
    fs::remove_file(&session.path).unwrap();
    running.settle();
    running.until_card(&session.name(), "the deletion", |c| c.resume.command.is_none());
    let detail = running.engine.session(&session.key()).unwrap().unwrap();
    assert!(detail.messages.iter().any(|m| m.text == "answer 3"), "{detail:#?}");
}

#[test]
fn a_live_session_wins_over_a_newer_empty_one_a7_a66() {
    let home = Home::new();
    let empty = home.claude(2, "api");
    append(&empty.path, "");
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut live = home.claude(1, "api");
    live.registry(&home, process.pid(), Some("busy"), running.now());
    live.prompt(running.now(), "go");
    let marker = home.claude(3, "api");
    let later = written(running.now().plus_ms(1_000));
    append(
        &marker.path,
        &format!(
            "{}\n",
            json!({"type": "user", "isMeta": true, "uuid": "u-3", "timestamp": later,
            "sessionId": marker.id.as_str(), "version": "2.1.329", "cwd": "/p",
            "message": {"role": "user", "content": "<local-command-caveat>nothing</local-command-caveat>"}})
        ),
    );
    running.settle();
    let status = running.until("the empty ones to be counted", |s| s.hidden.zombie == 2);
    assert_eq!(status.sessions.len(), 1, "{status:#?}");
    assert!(find(&status, &live.name()).is_some());
    assert_eq!(running.listed(50), [live.name()]);
    assert_eq!(running.engine.totals().unwrap().sessions, 3, "hidden, not lost");
}

#[test]
fn sessions_are_ordered_by_last_activity_everywhere_a8_a9_a10() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut long = home.claude(1, "api");
    long.prompt(now.plus_ms(-270 * MINUTE), "a long story");
    let mut fragment = home.claude(2, "api");
    fragment.prompt(now.plus_ms(-10 * MINUTE), "a fragment");
    fragment.says(now.plus_ms(-10 * MINUTE + 40_000), "forty seconds later", 100);
    long.says(now.plus_ms(-MINUTE), "still here", 100);
    let mut thread = home.codex(3, "2026/11/20");
    thread.begin(now.plus_ms(-20 * HOUR));
    thread.prompt(now.plus_ms(-20 * HOUR), "yesterday's story");
    running.settle();
    let wanted = [long.name(), fragment.name(), thread.name()];
    for limit in [1, 2, 50] {
        assert_eq!(running.listed(limit), wanted, "pages of {limit}");
    }
    let found = running.engine.sessions(Some("story"), None, 50).unwrap();
    let found: Vec<_> = found.sessions.iter().map(checklist_support::running::name_of).collect();
    assert_eq!(found, [long.name(), thread.name()], "a search has the same order");
    thread.prompt(now, "and on it goes");
    running.settle();
    assert_eq!(running.listed(1), [thread.name(), long.name(), fragment.name()]);
}

#[test]
fn tiers_follow_age_to_the_millisecond_a11_a12_a13_a15_a16() {
    let home = Home::new();
    for (idle_minutes, after, want) in [
        (240, 0, Lifecycle::Active),
        (240, 5 * MINUTE, Lifecycle::Active),
        (240, 5 * MINUTE + 1, Lifecycle::Idle),
        (240, 4 * HOUR, Lifecycle::Idle),
        (240, 4 * HOUR + 1, Lifecycle::Stale),
        (30, 5 * MINUTE, Lifecycle::Active),
        (30, 30 * MINUTE, Lifecycle::Idle),
        (30, 30 * MINUTE + 1, Lifecycle::Stale),
        (1440, 24 * HOUR, Lifecycle::Idle),
        (1440, 24 * HOUR + 1, Lifecycle::Stale),
        // A clock that was set back makes nothing older, and nothing younger than now.
        (240, -HOUR, Lifecycle::Active),
    ] {
        // Pure: the same state, another moment, another window.
        let mut state = SessionState::default();
        let t = Transcript { last_at: Some(T0), prompted: true, ..Transcript::default() };
        state.mains.insert(1, t);
        let around = Circumstances {
            agent: Agent::ClaudeCode,
            registry_listed: false,
            idle_window_ms: i64::from(idle_minutes) * MINUTE,
        };
        let pure = assess(&state, &around, T0.plus_ms(after));
        assert_eq!(pure.lifecycle, want, "window of {idle_minutes} min, {after} ms later");
        assert!(pure.last_activity.is_some_and(|at| at <= T0.plus_ms(after)), "never in the future");

        // And through the pipeline, with the configured window.
        if after >= 0 {
            let mut config = home.config();
            config.idle_minutes = idle_minutes;
            let mut clocked = Clocked::new(config);
            let mut session = home.claude(u32::try_from(after).unwrap(), "tiers");
            session.prompt(T0, "go");
            clocked.read(&session.key(), None, &session.path, T0.plus_ms(after));
            assert_eq!(clocked.verdict(&session.key()).lifecycle, want, "{idle_minutes} min, {after} ms");
            fs::remove_file(&session.path).unwrap();
        }
    }
}

#[test]
fn a_subagent_at_work_keeps_its_session_active_a17() {
    let home = Home::new();
    for (spoke_at, want) in [(None, Lifecycle::Idle), (Some(9 * MINUTE), Lifecycle::Active)] {
        let mut clocked = Clocked::new(home.config());
        let mut session = home.claude(u32::from(spoke_at.is_some()), "api");
        session.prompt(T0, "go");
        clocked.read(&session.key(), None, &session.path, T0);
        if let Some(after) = spoke_at {
            session.subagent_says("a1", T0.plus_ms(after), "still looking");
            let path = session.subagent("a1");
            clocked.read(&session.key(), Some("a1"), &path, T0.plus_ms(after));
        }
        let now = T0.plus_ms(10 * MINUTE);
        clocked.pass(now);
        assert_eq!(clocked.card(&session.key(), now).lifecycle, want, "subagent at {spoke_at:?}");
    }
}

#[test]
fn a_subagents_file_is_followed_while_its_session_is_quiet_a17() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    let old = running.now().plus_ms(-30 * MINUTE);
    session.prompt(old, "go");
    session.registry(&home, process.pid(), Some("busy"), old);
    running.until_card(&session.name(), "an idle session", |c| c.lifecycle == Lifecycle::Idle);
    let now = running.now();
    session.subagent_says("a1", now, "found it");
    let card = running.until_card(&session.name(), "the rescue", |c| c.lifecycle == Lifecycle::Active);
    assert_eq!(card.last_activity_at_ms, Some(now.0));
    assert_eq!(card.subagents.total, 1);
}

#[test]
fn a_session_without_a_transcript_is_judged_by_what_there_is_a19() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let session = home.claude(1, "api");
    let at = running.now().plus_ms(-7 * MINUTE);
    session.registry(&home, process.pid(), Some("busy"), at);
    let card = running.until_card(&session.name(), "the registry", |_| true);
    assert_eq!((card.lifecycle, card.last_activity_at_ms), (Lifecycle::Idle, Some(at.0)));
    assert_eq!(card.turn_state, TurnState::Working);
    assert_eq!(card.resume.command, None);
}

#[test]
fn tiers_change_by_the_rules_own_moment_without_any_fact_a21_bx12() {
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "api");
    session.prompt(T0, "go");
    session.says(T0, "done", 100);
    clocked.read(&session.key(), None, &session.path, T0);
    // Its person is told that it awaits a reply.
    assert_eq!(clocked.core.next_due(), Some(T0.plus_ms(10_000)));
    clocked.pass(T0.plus_ms(10_000));
    let due = clocked.core.next_due().expect("a moment at which it changes");
    assert_eq!(due, T0.plus_ms(5 * MINUTE + 1));
    // Before it nothing changes; looking again and again is no work to be done again.
    let before = T0.plus_ms(5 * MINUTE);
    clocked.pass(before);
    let revision = clocked.status(before).revision;
    assert_eq!(clocked.card(&session.key(), before).lifecycle, Lifecycle::Active);
    clocked.pass(due);
    let status = clocked.status(due);
    assert_eq!(find(&status, &session.name()).unwrap().lifecycle, Lifecycle::Idle);
    assert_eq!(status.revision, revision + 1, "one change, told once");
    let next = clocked.core.next_due().expect("the end of the idle window");
    assert!(next > due, "no busy loop: {next:?} after {due:?}");
    assert_eq!(next, T0.plus_ms(4 * HOUR + 1));
    clocked.pass(next);
    assert_eq!(clocked.verdict(&session.key()).lifecycle, Lifecycle::Stale);
}

#[test]
fn an_archived_sessions_age_is_told_at_reading_time_a21() {
    let home = Home::new();
    let mut session = home.claude(1, "api");
    session.prompt(Timestamp(T0.0 - 400 * 24 * HOUR), "long ago");
    let running = Running::start(&home);
    let card = running.filed(&session.key());
    assert_eq!(card.lifecycle, Lifecycle::Stale);
    assert!(running.shown(&session.name()).is_none());
}
