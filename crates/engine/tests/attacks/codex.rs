//! Codex: threads whose locks are seen late, stay, or are never seen.

use std::fs;

use lamplight_engine::facts::Input;
use lamplight_engine::store::Store;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::session::TurnState;
use serde_json::{Value, json};

use super::{at, hooked, logged};
use crate::checklist_support::agents::{Codex, HOUR, Home, MINUTE};
use crate::checklist_support::clocked::{Clocked, T0};

/// A pipeline with one Codex thread.
struct Thread {
    home: Home,
    clocked: Clocked,
    codex: Codex,
}

impl Thread {
    fn new() -> Self {
        let home = Home::new();
        fs::create_dir_all(home.data_dir()).unwrap();
        let store = Store::open(&home.data_dir(), false).unwrap();
        let mut clocked = Clocked::over(store, home.config(), T0);
        clocked.core.first_look_done(T0).unwrap();
        let mut codex = home.codex(1, "2026/11/20");
        codex.begin(at(500));
        Self { codex, clocked, home }
    }

    /// The engine was stopped in order and is started again, and finds the lock as it is.
    fn restarted(self, stopped: Timestamp, now: Timestamp, holder: Option<u32>) -> Self {
        let Self { home, clocked, codex } = self;
        drop(clocked.core.restarted(stopped).unwrap());
        let store = Store::open(&home.data_dir(), false).unwrap();
        let there = Input::Lock { session: codex.id.clone(), present: true, holder, at: now };
        let clocked = Clocked::finding(store, home.config(), now, vec![there]);
        Self { home, clocked, codex }
    }

    fn lock(&mut self, present: bool, holder: Option<u32>, at: Timestamp) {
        let lock = Input::Lock { session: self.codex.id.clone(), present, holder, at };
        self.clocked.core.apply_all(vec![lock], at).unwrap();
    }

    fn hook(&mut self, event: &str, at: Timestamp, more: Value) {
        let hook = hooked(Agent::Codex, &self.codex.id.clone(), event, at, more);
        self.clocked.core.apply_all(vec![hook], at).unwrap();
    }

    fn read(&mut self, now: Timestamp) {
        self.clocked.read(&self.codex.key(), None, &self.codex.path, now);
    }

    fn state(&mut self, now: Timestamp) -> TurnState {
        self.clocked.run_until(now);
        self.clocked.verdict(&self.codex.key()).turn_state
    }
}

/// A thread dies while nobody looks, and its lock stays.
#[test]
fn a_codex_thread_that_died_long_ago_is_not_told_of_as_if_it_were_now() {
    for (found, told) in [(3 * 24 * HOUR, &[][..]), (HOUR, &["crashed told"][..])] {
        let mut thread = Thread::new();
        thread.lock(true, Some(77), at(400));
        thread.codex.prompt(at(1_000), "go");
        thread.read(at(1_000));
        assert_eq!(thread.state(at(9_000)), TurnState::Working);
        let mut thread = thread.restarted(at(10_000), at(found), None);
        assert_eq!(thread.state(at(found + MINUTE)), TurnState::Crashed);
        let verdict = thread.clocked.verdict(&thread.codex.key());
        assert_eq!(verdict.since, Some(at(10_000)), "it ran when somebody looked last");
        assert_eq!(logged(&thread.home), told, "found after {found} ms");
    }
}

/// The same of one that was never seen to run.
#[test]
fn a_lock_that_nobody_was_seen_to_hold_was_left_when_its_thread_was_heard_last() {
    let thread = Thread::new();
    let now = at(2 * HOUR);
    let mut thread = thread.restarted(at(100), now, None);
    thread.codex.prompt(at(1_000), "go");
    thread.read(now);
    assert_eq!(thread.state(now), TurnState::Crashed);
    assert_eq!(thread.clocked.verdict(&thread.codex.key()).since, Some(at(1_000)));
}

/// A thread is taken up again where nothing tells of it: the lock is seen half a minute late.
#[test]
fn a_turn_of_a_thread_that_was_taken_up_unseen_is_its_own() {
    for left in [Some(true), Some(false), None] {
        let mut thread = Thread::new();
        if let Some(is_left) = left {
            thread.lock(true, Some(77), at(400));
            thread.lock(is_left, None, at(10_000));
        }
        thread.codex.prompt(at(60_000), "go on");
        thread.lock(true, Some(78), at(85_000));
        thread.read(at(85_000));
        assert_eq!(thread.state(at(85_100)), TurnState::Working, "lock before: {left:?}");
        thread.hook(
            "PermissionRequest",
            at(86_000),
            json!({"tool_name": "Bash", "tool_input": {"command": "make"}}),
        );
        assert_eq!(thread.state(at(87_500)), TurnState::AwaitingPermission);
    }
    // And one that was open when its process died is not.
    let mut thread = Thread::new();
    thread.lock(true, Some(77), at(400));
    thread.codex.prompt(at(1_000), "go");
    thread.read(at(1_000));
    thread.lock(true, None, at(10_000));
    thread.lock(true, Some(78), at(85_000));
    assert_eq!(thread.state(at(85_100)), TurnState::Interrupted);
}

/// The next Codex cleans up what a killed one left.
#[test]
fn a_crash_of_codex_stays_one_when_its_lock_is_cleaned_up() {
    for (removed, want) in [(60_000, TurnState::Crashed), (20_100, TurnState::Ended)] {
        let mut thread = Thread::new();
        thread.lock(true, Some(77), at(400));
        thread.codex.prompt(at(1_000), "go");
        thread.codex.says(at(5_000), "Done.");
        thread.read(at(5_000));
        thread.lock(true, None, at(20_000));
        thread.lock(false, None, at(removed));
        assert_eq!(thread.state(at(2 * MINUTE)), want, "removed at {removed}");
        let since = thread.clocked.verdict(&thread.codex.key()).since;
        assert_eq!(since, Some(if want == TurnState::Crashed { at(20_000) } else { at(20_100) }));
    }
}

/// A thread whose files are elsewhere.
#[test]
fn a_codex_thread_that_only_hooks_tell_of_ends_with_its_hook() {
    let mut thread = Thread::new();
    thread.hook("UserPromptSubmit", at(0), json!({"prompt": "go"}));
    thread.hook("Stop", at(60_000), json!({}));
    assert_eq!(thread.state(at(61_000)), TurnState::AwaitingReply);
    thread.hook("SessionEnd", at(62_000), json!({"reason": "other"}));
    assert_eq!(thread.state(at(2 * MINUTE)), TurnState::Ended);
    assert_eq!(logged(&thread.home), ["reply resolved"]);
}
