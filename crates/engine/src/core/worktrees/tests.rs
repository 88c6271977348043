use lamplight_model::worktree::{Blind, Branch, Counts};

use super::*;

const ROOT: &str = "/home/me/shop";
const NOW: Timestamp = Timestamp(1_795_176_000_000);
const MINUTE: i64 = 60_000;

fn at(ms: i64) -> Timestamp {
    NOW.plus_ms(ms)
}

/// An agent that was started at a moment and was heard then.
fn agent(n: i64, started: i64) -> Presence {
    Presence {
        key: format!("claude-code:{n}"),
        is_alive: true,
        is_unknown: false,
        started_at: Some(at(started)),
        last_activity: Some(at(started)),
        left_at: None,
        step: (0, 0, true),
    }
}

fn gone(agent: Presence, left: i64) -> Presence {
    Presence { is_alive: false, left_at: Some(at(left)), ..agent }
}

/// One of which nobody knows whether it runs.
fn not_known(agent: Presence) -> Presence {
    Presence { is_alive: false, is_unknown: true, ..agent }
}

fn look(finding: Finding, mark: u128, ms: i64) -> WorktreeLook {
    WorktreeLook { root: ROOT.into(), finding, mark, began: at(ms - 10), at: at(ms) }
}

fn dirty() -> Finding {
    Finding::Dirty(Counts { paths: 7, ..Counts::default() }, Branch::default())
}

fn clean() -> Finding {
    Finding::Clean(Branch::default())
}

fn note(trees: &mut Worktrees, n: i64, presence: Presence, ms: i64) {
    trees.note(n, Some(ROOT), presence, at(ms));
}

#[test]
fn what_lay_there_when_the_first_agent_came_is_nobodys() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, 0), 10);
    let kept = trees.found(ROOT, look(dirty(), 7, 100), at(100)).1;
    assert_eq!(kept, Some(Memory { before: Some(7), ..Memory::default() }), "it is to be remembered");
    note(&mut trees, 1, gone(agent(1, 0), MINUTE), MINUTE);
    assert_eq!(trees.risk_of(1), Risk::None);
    trees.found(ROOT, look(dirty(), 8, 2 * MINUTE), at(2 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)), "other work is its own");
}

#[test]
fn what_one_agent_left_is_not_what_lay_there_before_the_next() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, 0), 10);
    trees.found(ROOT, look(clean(), 1, 100), at(100));
    note(&mut trees, 1, gone(agent(1, 0), 5 * MINUTE), 5 * MINUTE);
    trees.found(ROOT, look(dirty(), 7, 5 * MINUTE + 50), at(5 * MINUTE + 50));
    assert_eq!(trees.risk_of(1), Risk::Since(at(5 * MINUTE)));
    // Another one is opened, asks one thing, and is left.
    note(&mut trees, 2, agent(2, 6 * MINUTE), 6 * MINUTE);
    assert_eq!(trees.risk_of(1), Risk::None);
    trees.found(ROOT, look(dirty(), 7, 6 * MINUTE + 50), at(6 * MINUTE + 50));
    note(&mut trees, 2, gone(agent(2, 6 * MINUTE), 7 * MINUTE), 7 * MINUTE);
    assert_eq!(trees.risk_of(2), Risk::Since(at(7 * MINUTE)));
}

#[test]
fn after_a_restart_it_does_not_matter_who_is_noted_first() {
    for order in [[1, 2], [2, 1]] {
        let mut trees = Worktrees::default();
        for n in order {
            let presence = if n == 1 { gone(agent(1, -60 * MINUTE), -MINUTE) } else { agent(2, -1_000) };
            note(&mut trees, n, presence, 0);
        }
        trees.found(ROOT, look(dirty(), 7, 50), at(50));
        note(&mut trees, 2, gone(agent(2, -1_000), MINUTE), MINUTE);
        assert_eq!(trees.risk_of(2), Risk::Since(at(MINUTE)), "{order:?}");
    }
}

#[test]
fn whoever_left_a_clean_worktree_left_nothing() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, 0), 10);
    trees.found(ROOT, look(clean(), 1, 100), at(100));
    note(&mut trees, 1, gone(agent(1, 0), MINUTE), MINUTE);
    // One that began before it left does not tell.
    let early = WorktreeLook { began: at(MINUTE - 500), ..look(clean(), 1, MINUTE + 50) };
    trees.found(ROOT, early, at(MINUTE + 50));
    assert_eq!(trees.trees[ROOT].memory.settled_at, None);
    let kept = trees.found(ROOT, look(clean(), 1, MINUTE + 100), at(MINUTE + 100)).1;
    assert_eq!(kept.unwrap().settled_at, Some(at(MINUTE + 90)));
    // Their person writes.
    trees.found(ROOT, look(dirty(), 5, 8 * MINUTE), at(8 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::None);
    // And opens another one, which only looks.
    note(&mut trees, 2, agent(2, 9 * MINUTE), 9 * MINUTE);
    trees.found(ROOT, look(dirty(), 7, 9 * MINUTE + 50), at(9 * MINUTE + 50));
    note(&mut trees, 2, gone(agent(2, 9 * MINUTE), 10 * MINUTE), 10 * MINUTE);
    assert_eq!((trees.risk_of(1), trees.risk_of(2)), (Risk::None, Risk::None));
}

#[test]
fn a_look_that_comes_late_shows_what_lies_there_and_not_what_lay_before() {
    for (looked, worked, is_before) in [
        (29_000, false, true),
        // Git was at rest, or slow.
        (31_000, false, false),
        // A tool has run meanwhile.
        (20_000, true, false),
    ] {
        let mut trees = Worktrees::default();
        note(&mut trees, 1, agent(1, 0), 10);
        // What nobody could see does not count as the look.
        trees.found(ROOT, look(Finding::Unknown(Blind::TimedOut), 0, 5_000), at(5_000));
        if worked {
            note(&mut trees, 1, Presence { step: (1, 0, true), ..agent(1, 0) }, 15_000);
        }
        trees.found(ROOT, look(dirty(), 7, looked), at(looked));
        trees.found(ROOT, look(dirty(), 7, looked + 100), at(looked + 100));
        note(&mut trees, 1, gone(agent(1, 0), MINUTE), MINUTE);
        let want = if is_before { Risk::None } else { Risk::Since(at(MINUTE)) };
        assert_eq!(trees.risk_of(1), want, "after {looked} ms, worked: {worked}");
    }
}

#[test]
fn work_is_at_risk_since_its_agent_left_and_not_since_it_was_last_heard() {
    let mut trees = Worktrees::default();
    let idle = agent(1, -15 * 60 * MINUTE);
    note(&mut trees, 1, idle.clone(), 0);
    trees.found(ROOT, look(dirty(), 7, 100), at(100));
    note(&mut trees, 1, gone(idle, MINUTE), MINUTE + 300);
    assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)));
    // Whoever left last is told, whoever was heard last.
    note(&mut trees, 2, gone(agent(2, 0), 10), 2 * MINUTE);
    assert_eq!((trees.risk_of(1), trees.risk_of(2)), (Risk::Since(at(MINUTE)), Risk::None));
}

#[test]
fn one_of_which_nobody_knows_whether_it_runs_is_taken_to_run_for_five_minutes() {
    let mut trees = Worktrees::default();
    let unknown = not_known(agent(1, 0));
    note(&mut trees, 1, unknown.clone(), 10);
    trees.found(ROOT, look(dirty(), 7, 100), at(100));
    note(&mut trees, 1, unknown.clone(), 5 * MINUTE + 1);
    assert_eq!(trees.risk_of(1), Risk::None, "that lay there before it");
    trees.found(ROOT, look(dirty(), 8, 200), at(200));
    assert_eq!(trees.risk_of(1), Risk::None, "it may run");
    // Nothing of it was heard: it is only judged again.
    note(&mut trees, 1, unknown.clone(), 5 * MINUTE + 1);
    assert_eq!(trees.risk_of(1), Risk::Since(at(0)));
    assert!(trees.take_changed().is_some(), "the list on the screen says so too");
    // One that told of its end is not waited for.
    note(&mut trees, 1, Presence { last_activity: Some(at(6 * MINUTE)), ..unknown.clone() }, 6 * MINUTE);
    assert_eq!(trees.risk_of(1), Risk::None);
    let told = Presence { left_at: Some(at(7 * MINUTE)), last_activity: Some(at(6 * MINUTE)), ..unknown };
    note(&mut trees, 1, told, 7 * MINUTE);
    assert_eq!(trees.risk_of(1), Risk::Since(at(0)), "the same work that it left before");
    trees.found(ROOT, look(dirty(), 9, 8 * MINUTE), at(8 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::Since(at(7 * MINUTE)), "other work is of its leaving");
}

#[test]
fn work_that_is_put_aside_is_still_whoevers_left_it() {
    let branch = |stashes| branch("main", &[("main", stashes)]);
    let stashed = |stashes| Finding::Clean(branch(stashes));
    let dirty = || Finding::Dirty(COUNTS, branch(0));
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, -MINUTE), 0);
    note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), MINUTE);
    trees.found(ROOT, look(dirty(), 7, MINUTE + 50), at(MINUTE + 50));
    assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)));
    // A stash, a pull, and a pop that writes it anew.
    for ms in [30 * MINUTE, 40 * MINUTE] {
        trees.found(ROOT, look(stashed(1), 1, ms), at(ms));
        assert_eq!(trees.risk_of(1), Risk::None);
    }
    // What its person writes while it lies there is theirs.
    let edited = Finding::Dirty(COUNTS, branch(1));
    trees.found(ROOT, look(edited, 5, 45 * MINUTE), at(45 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::None);
    trees.found(ROOT, look(stashed(1), 1, 46 * MINUTE), at(46 * MINUTE));
    trees.found(ROOT, look(dirty(), 8, 50 * MINUTE), at(50 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)));
    // Put aside once more, and dropped: what its person writes then is theirs.
    trees.found(ROOT, look(stashed(1), 1, 51 * MINUTE), at(51 * MINUTE));
    trees.found(ROOT, look(stashed(0), 1, 52 * MINUTE), at(52 * MINUTE));
    trees.found(ROOT, look(dirty(), 9, 53 * MINUTE), at(53 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::None);
}

const COUNTS: Counts = Counts { staged: 0, unstaged: 1, untracked: 0, conflicted: 0, paths: 1 };

fn branch(name: &str, stashes: &[(&str, u32)]) -> Branch {
    let stashes = stashes.iter().map(|(branch, count)| ((*branch).to_owned(), *count)).collect();
    Branch { name: Some(name.to_owned()), stashes, ..Branch::default() }
}

/// Another agent comes and goes between, or another branch is checked out.
#[test]
fn work_that_was_put_aside_is_never_anothers() {
    let aside = |name| branch(name, &[("main", 1)]);
    for other in [true, false] {
        let mut trees = Worktrees::default();
        note(&mut trees, 1, agent(1, -MINUTE), 0);
        note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), MINUTE);
        let left = Finding::Dirty(COUNTS, branch("main", &[]));
        trees.found(ROOT, look(left, 7, MINUTE + 50), at(MINUTE + 50));
        trees.found(ROOT, look(Finding::Clean(aside("main")), 1, 10 * MINUTE), at(10 * MINUTE));
        if other {
            note(&mut trees, 2, agent(2, 20 * MINUTE), 20 * MINUTE);
            note(&mut trees, 2, gone(agent(2, 20 * MINUTE), 40 * MINUTE), 40 * MINUTE);
        }
        let elsewhere = look(Finding::Clean(aside("side")), 1, 41 * MINUTE);
        trees.found(ROOT, elsewhere, at(41 * MINUTE));
        // Its person's own work on another branch.
        trees.found(ROOT, look(Finding::Dirty(COUNTS, aside("side")), 5, 42 * MINUTE), at(42 * MINUTE));
        assert_eq!((trees.risk_of(1), trees.risk_of(2)), (Risk::None, Risk::None));
        trees.found(ROOT, look(Finding::Clean(aside("main")), 1, 43 * MINUTE), at(43 * MINUTE));
        let popped = Finding::Dirty(COUNTS, branch("main", &[]));
        trees.found(ROOT, look(popped, 8, 44 * MINUTE), at(44 * MINUTE));
        assert_eq!((trees.risk_of(1), trees.risk_of(2)), (Risk::Since(at(MINUTE)), Risk::None), "{other}");
    }
}

/// The engine is restarted, or did not run when it was put aside.
#[test]
fn work_that_is_put_aside_is_remembered() {
    let (dirty, stashed) =
        (|| Finding::Dirty(COUNTS, branch("main", &[])), Finding::Clean(branch("main", &[("main", 1)])));
    for was_seen_aside in [true, false] {
        let mut trees = Worktrees::default();
        note(&mut trees, 1, agent(1, -MINUTE), 0);
        note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), MINUTE);
        let mut kept = trees.found(ROOT, look(dirty(), 7, MINUTE + 50), at(MINUTE + 50)).1;
        if was_seen_aside {
            kept = trees.found(ROOT, look(stashed.clone(), 1, 2 * MINUTE), at(2 * MINUTE)).1;
        }
        let mut trees = Worktrees::default();
        trees.open(ROOT, kept.unwrap(), at(30 * MINUTE));
        note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), 30 * MINUTE);
        trees.found(ROOT, look(stashed.clone(), 1, 31 * MINUTE), at(31 * MINUTE));
        assert_eq!(trees.risk_of(1), Risk::None);
        trees.found(ROOT, look(dirty(), 8, 32 * MINUTE), at(32 * MINUTE));
        assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)), "{was_seen_aside}");
    }
}

#[test]
fn what_its_person_writes_after_a_commit_is_theirs() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, -MINUTE), 0);
    note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), MINUTE);
    trees.found(ROOT, look(dirty(), 7, MINUTE + 50), at(MINUTE + 50));
    trees.found(ROOT, look(clean(), 1, 2 * MINUTE), at(2 * MINUTE));
    trees.found(ROOT, look(dirty(), 8, 3 * MINUTE), at(3 * MINUTE));
    assert_eq!(trees.risk_of(1), Risk::None);
}

#[test]
fn a_memory_that_a_clock_ahead_has_dated_hides_nothing() {
    let mut trees = Worktrees::default();
    let memory = Memory { settled_at: Some(at(60 * MINUTE)), ..Memory::default() };
    trees.open(ROOT, memory, at(0));
    note(&mut trees, 1, gone(agent(1, 0), MINUTE), MINUTE);
    trees.found(ROOT, look(dirty(), 7, MINUTE + 50), at(MINUTE + 50));
    assert_eq!(trees.risk_of(1), Risk::Since(at(MINUTE)));
}

#[test]
fn what_a_silent_agent_writes_when_it_goes_on_is_not_what_lay_there_before_the_next() {
    let mut trees = Worktrees::default();
    let unseen = |ms| not_known(Presence { last_activity: Some(at(ms)), ..agent(1, 0) });
    note(&mut trees, 1, unseen(0), 10);
    trees.found(ROOT, look(clean(), 1, 6 * MINUTE), at(6 * MINUTE));
    note(&mut trees, 1, unseen(20 * MINUTE), 20 * MINUTE);
    note(&mut trees, 2, agent(2, 21 * MINUTE), 21 * MINUTE);
    trees.found(ROOT, look(dirty(), 7, 21 * MINUTE + 50), at(21 * MINUTE + 50));
    note(&mut trees, 2, gone(agent(2, 21 * MINUTE), 22 * MINUTE), 22 * MINUTE);
    note(&mut trees, 1, unseen(20 * MINUTE), 26 * MINUTE);
    assert!(matches!(trees.risk_of(2), Risk::Since(_)), "{:?}", trees.risk_of(2));
}

#[test]
fn a_clock_that_is_set_back_makes_nobodys_of_nothing() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, gone(agent(1, 0), MINUTE), MINUTE);
    trees.found(ROOT, look(clean(), 1, 60 * MINUTE), at(60 * MINUTE));
    trees.clock_set_back(at(2 * MINUTE));
    note(&mut trees, 2, agent(2, 2 * MINUTE), 2 * MINUTE);
    note(&mut trees, 2, gone(agent(2, 2 * MINUTE), 5 * MINUTE), 5 * MINUTE);
    trees.found(ROOT, look(dirty(), 7, 5 * MINUTE + 50), at(5 * MINUTE + 50));
    assert_eq!(trees.risk_of(2), Risk::Since(at(5 * MINUTE)));
}

#[test]
fn a_clean_leaving_after_work_that_was_left_and_committed_is_one() {
    let mut trees = Worktrees::default();
    note(&mut trees, 1, agent(1, -MINUTE), 0);
    note(&mut trees, 1, gone(agent(1, -MINUTE), MINUTE), MINUTE);
    trees.found(ROOT, look(dirty(), 7, MINUTE + 50), at(MINUTE + 50));
    trees.found(ROOT, look(clean(), 1, 30 * MINUTE), at(30 * MINUTE));
    // The next one commits all it does; then their person writes.
    note(&mut trees, 2, agent(2, 60 * MINUTE), 60 * MINUTE);
    trees.found(ROOT, look(clean(), 2, 89 * MINUTE), at(89 * MINUTE));
    note(&mut trees, 2, gone(agent(2, 60 * MINUTE), 90 * MINUTE), 90 * MINUTE);
    trees.found(ROOT, look(clean(), 2, 90 * MINUTE + 50), at(90 * MINUTE + 50));
    trees.found(ROOT, look(dirty(), 9, 92 * MINUTE), at(92 * MINUTE));
    assert_eq!((trees.risk_of(1), trees.risk_of(2)), (Risk::None, Risk::None));
}
