//! Checklist B 66 to 84: when a session was last used, what that says of its way back, and resumes that fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{Claude, HOUR, Home, MINUTE};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, count, database};
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::resume::classify_failure;
use lamplight_model::session::{ResumeFailure, ResumeState};
use lamplight_model::view::{Resume, SessionCard};

/// What Claude Code says of an id it does not have.
const NOT_FOUND: &str = "No conversation found with session ID: 00000001-1111-4111-8111-000000000001";

/// A session whose turn ended so long ago.
fn used_before(home: &Home, n: u32, now: Timestamp, age: i64) -> Claude {
    let mut session = home.claude(n, "api");
    session.prompt(now.plus_ms(-age - 1_000), "go");
    session.says(now.plus_ms(-age), "done", 100);
    session
}

fn failures(running: &Running) -> Vec<(&'static str, &'static str, u64)> {
    let counts = running.engine.resume_failures().unwrap();
    counts
        .into_iter()
        .filter(|(_, _, n)| *n > 0)
        .map(|(a, class, n)| (a.as_str(), class.as_str(), n))
        .collect()
}

#[test]
fn unused_for_25_hours_is_stale_and_everything_of_it_stays_b66_b68_b69_b70_b71_b77() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    // They were written before Lamplight was there: when they were used last is filled in from the transcripts.
    let old = used_before(&home, 1, now, 25 * HOUR);
    let fresh = used_before(&home, 2, now, HOUR);
    let trees = home.agent_trees();
    let running = Running::start(&home);
    for _ in 0..3 {
        let card = running.filed(&old.key());
        assert_eq!(card.last_activity_at_ms, Some(now.plus_ms(-25 * HOUR).0), "id and time of last use");
        assert_eq!(card.session_id, old.id.as_str());
        assert_eq!(card.resume.state, ResumeState::Stale);
        assert_eq!(card.resume.reason.as_deref(), Some("Last used 1 day ago; the agent may not find it."));
        assert!(
            card.resume.command.is_some_and(|line| line.ends_with(old.id.as_str())),
            "it can still be tried"
        );
    }
    assert_eq!(running.filed(&fresh.key()).resume.state, ResumeState::Ready);
    assert_eq!(count(&home, "SELECT count(*) FROM sessions"), 2, "no read drops a row");
    assert_eq!(home.agent_trees(), trees);
}

#[test]
fn a_start_leaves_all_of_them_and_tells_how_many_are_stale_b74_b75() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    for n in 1..=5 {
        used_before(&home, n, now, if n <= 2 { 30 * HOUR } else { HOUR });
    }
    for _ in 0..3 {
        let running = Running::start(&home);
        let cards: Vec<SessionCard> = running.pages(50).into_iter().flat_map(|page| page.sessions).collect();
        let of = |state| cards.iter().filter(|card| card.resume.state == state).count();
        assert_eq!((of(ResumeState::Stale), of(ResumeState::Ready)), (2, 3));
        running.stop();
    }
}

#[test]
fn any_use_sets_the_clock_back_the_same_id_too_b72_b73() {
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "api");
    session.prompt(T0, "go");
    session.says(T0, "done", 100);
    clocked.read(&session.key(), None, &session.path, T0);
    // Resumed a day later: the same file, appended to.
    let resumed = T0.plus_ms(23 * HOUR);
    session.prompt(resumed, "go on");
    session.says(resumed.plus_ms(1), "done again", 100);
    clocked.read(&session.key(), None, &session.path, resumed.plus_ms(MINUTE));
    let later = resumed.plus_ms(2 * HOUR);
    clocked.pass(later);
    let card = clocked.card(&session.key(), later);
    assert_eq!(card.last_activity_at_ms, Some(resumed.plus_ms(1).0));
    assert_eq!(card.resume.state, ResumeState::Ready, "25 h after its start, 2 h after its last use");
}

#[test]
fn the_greatest_age_is_a_setting_b76() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let session = used_before(&home, 1, now, 25 * HOUR);
    for (hours, state) in [(24, ResumeState::Stale), (26, ResumeState::Ready), (1, ResumeState::Stale)] {
        let running = Running::with(lamplight_engine::Config { resume_max_hours: hours, ..home.config() });
        assert_eq!(running.filed(&session.key()).resume.state, state, "{hours} h");
        running.stop();
    }
    assert_eq!(home.config().resume_max_hours, 24);
}

#[test]
fn a_failed_resume_is_counted_by_class_and_said_until_the_session_goes_on_b73_b78_b79_b80_b81_b82() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let mut session = used_before(&home, 1, now, HOUR);
    let running = Running::start(&home);
    assert_eq!(failures(&running), []);
    let fail = |running: &Running, said: &str| -> Resume {
        running.engine.resume_failed(&session.key(), classify_failure(said)).unwrap().resume
    };
    let resume = fail(&running, NOT_FOUND);
    assert_eq!(resume.state, ResumeState::Stale);
    assert_eq!(
        resume.reason.as_deref(),
        Some("The last resume failed 0 min ago: the agent did not find it.")
    );
    assert!(resume.command.is_some());
    fail(&running, NOT_FOUND);
    let expired = fail(&running, "session expired");
    assert_eq!(
        expired.reason.as_deref(),
        Some("The last resume failed 0 min ago: the agent said that it has expired.")
    );
    fail(&running, "Killed");
    let counted =
        [("claude-code", "not_found", 2), ("claude-code", "expired", 1), ("claude-code", "other", 1)];
    assert_eq!(failures(&running), counted);
    running.stop();
    let again = Running::start(&home);
    assert_eq!(failures(&again), counted, "they only grow");
    assert_eq!(again.filed(&session.key()).resume.state, ResumeState::Stale);
    session.prompt(again.now(), "it worked after all");
    again.settle();
    assert_eq!(again.filed(&session.key()).resume.state, ResumeState::Ready, "a resume that works clears it");
    assert_eq!(failures(&again), counted);
    let unknown = home.claude(9, "api").key();
    assert!(again.engine.resume_failed(&unknown, ResumeFailure::Other).is_err());
    assert_eq!(failures(&again), counted, "of a session nobody knows nothing is counted");
}

#[test]
fn what_was_stored_before_failures_had_classes_is_read_b67_b83() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let session = used_before(&home, 1, now, HOUR);
    let running = Running::start(&home);
    running.stop();
    database(&home)
        .execute(
            "UPDATE sessions SET state = json_set(state, '$.resume_failed_at', ?1, '$.mains.1.resume_failed_at', ?1)",
            [now.0],
        )
        .unwrap();
    let again = Running::start(&home);
    let card = again.filed(&session.key());
    assert_eq!(
        (card.resume.state, card.last_activity_at_ms),
        (ResumeState::Ready, Some(now.plus_ms(-HOUR).0))
    );
    // The listing and the page read the same.
    assert_eq!(again.pages(10)[0].sessions[0].resume, card.resume);
}

#[test]
fn many_at_once_lose_no_count_b84() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let session = used_before(&home, 1, now, HOUR);
    let running = Running::start(&home);
    std::thread::scope(|scope| {
        for class in ResumeFailure::ALL {
            for _ in 0..2 {
                let (engine, key) = (&running.engine, session.key());
                scope.spawn(move || {
                    for _ in 0..20 {
                        engine.resume_failed(&key, class).unwrap();
                    }
                });
            }
        }
    });
    assert_eq!(running.engine.resume_failures().unwrap().iter().map(|(_, _, n)| n).sum::<u64>(), 120);
    assert!(running.engine.resume_failures().unwrap().iter().any(|(agent, ..)| *agent == Agent::Codex));
    assert_eq!(running.filed(&session.key()).resume.state, ResumeState::Stale);
}
