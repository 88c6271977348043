//! What is left in worktrees, and by whom.

use std::fs;
use std::path::PathBuf;

use lamplight_engine::facts::{Input, WorktreeLook};
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::Timestamp;
use lamplight_model::session::{LivenessState, RegistryStatus, Validity};
use lamplight_model::view::SessionCard;
use lamplight_model::worktree::{Branch, Counts, Finding};

use super::{Case, PID, at, registry, removed};
use crate::checklist_support::agents::{HOUR, Home, MINUTE};

pub fn repository(home: &Home) -> PathBuf {
    let root = home.work_dir("shop");
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    root
}

pub fn dirty(root: &std::path::Path, mark: u128, at: Timestamp) -> Input {
    let counts = Counts { unstaged: 1, paths: 1, ..Counts::default() };
    Input::Worktree(Box::new(WorktreeLook {
        root: root.to_owned(),
        finding: Finding::Dirty(counts, Branch::default()),
        mark,
        began: at,
        at,
    }))
}

pub fn clean(root: &std::path::Path, at: Timestamp) -> Input {
    Input::Worktree(Box::new(WorktreeLook {
        root: root.to_owned(),
        finding: Finding::Clean(Branch::default()),
        mark: 0,
        began: at,
        at,
    }))
}

pub fn has_uncommitted(card: &SessionCard) -> bool {
    card.causes.iter().any(|c| c.cause == CauseKind::Uncommitted)
}

/// A session that left work is opened again for one question.
#[test]
fn work_stays_its_sessions_when_that_is_opened_again_and_left() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(clean(&root, at(500)), at(500));
    case.put(dirty(&root, 7, at(20_000)), at(20_000));
    session.says(at(21_000), "Done.", 100);
    case.read(&session, at(21_000));
    case.registry(RegistryStatus::Idle, at(21_000));
    let key = case.key.clone();
    case.put(removed(&key, PID, at(60_000)), at(60_000));
    case.run_until(at(61_000));
    case.put(dirty(&root, 7, at(61_000)), at(61_000));
    assert!(has_uncommitted(&case.card(at(62_000))), "left");
    let cause = case.card(at(62_000)).causes[0].cause_id.clone();
    // Opened again to ask one thing, and left.
    case.put(
        registry(&key, 4_194_002, RegistryStatus::Idle, Validity::Valid, at(70_000), at(70_000)),
        at(70_000),
    );
    case.put(dirty(&root, 7, at(71_000)), at(71_000));
    assert!(!has_uncommitted(&case.card(at(71_000))), "an agent is there");
    case.put(removed(&key, 4_194_002, at(80_000)), at(80_000));
    case.run_until(at(81_000));
    case.put(dirty(&root, 7, at(81_000)), at(81_000));
    assert!(has_uncommitted(&case.card(at(82_000))), "left again");
    assert_eq!(case.card(at(82_000)).causes[0].cause_id, cause, "the same work is the same cause");
    case.run_until(at(10 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// An agent that was idle when the engine started leaves later.
#[test]
fn work_of_an_agent_that_was_idle_since_before_the_start_is_told_when_it_leaves() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    // Idle for an hour when the engine starts.
    session.prompt(at(-HOUR - 5_000), "go");
    session.says(at(-HOUR), "Done.", 100);
    case.read(&session, at(100));
    let key = case.key.clone();
    let mut idle = registry(&key, PID, RegistryStatus::Idle, Validity::Valid, at(-2 * HOUR), at(-HOUR));
    if let Input::Registry(update) = &mut idle {
        update.read_at = at(100);
    }
    case.put(idle, at(100));
    case.put(dirty(&root, 7, at(500)), at(500));
    case.put(removed(&key, PID, at(10 * MINUTE)), at(10 * MINUTE));
    case.run_until(at(11 * MINUTE));
    case.put(dirty(&root, 7, at(11 * MINUTE)), at(11 * MINUTE));
    assert!(has_uncommitted(&case.card(at(11 * MINUTE))));
    case.run_until(at(20 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// An agent leaves between two runs of the engine.
#[test]
fn work_of_an_agent_that_left_while_nobody_looked_is_told() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.prompt(at(0), "go");
    session.says(at(5_000), "Done.", 100);
    case.read(&session, at(5_000));
    case.registry(RegistryStatus::Idle, at(5_000));
    case.put(clean(&root, at(5_500)), at(5_500));
    case.put(dirty(&root, 7, at(20_000)), at(20_000));
    case.run_until(at(MINUTE));
    let mut case = case.restarted(at(MINUTE), at(10 * MINUTE));
    case.put(dirty(&root, 7, at(10 * MINUTE + 100)), at(10 * MINUTE + 100));
    case.run_until(at(20 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// A session without a registry stops, and nothing is heard any more.
#[test]
fn work_of_a_session_of_which_nobody_knows_whether_it_runs_is_told_in_the_end() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.version = None;
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.put(clean(&root, at(500)), at(500));
    session.says(at(20_000), "Done.", 100);
    case.read(&session, at(20_000));
    case.put(dirty(&root, 7, at(20_100)), at(20_100));
    assert_eq!(case.card(at(20_100)).liveness.state, LivenessState::Unknown);
    assert!(!has_uncommitted(&case.card(at(MINUTE))), "it may run");
    case.run_until(at(10 * MINUTE));
    assert!(has_uncommitted(&case.card(at(10 * MINUTE))));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}
