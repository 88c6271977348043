//! Uncommitted work: seen, told once per worktree, and gone when it is seen to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use checklist_support::agents::{Claude, HOUR, Home, MINUTE, Process};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, count, find};
use lamplight_engine::facts::{Input, RegistryUpdate, WorktreeLook};
use lamplight_engine::store::Store;
use lamplight_engine::{CauseAction, Config};
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::session::{EntryKind, LivenessState, RegistryEntry, RegistryStatus, Validity};
use lamplight_model::view::{Attention, GitState, SessionCard, Status, Worktree};
use lamplight_model::worktree::{Branch, Counts, Finding};
use serde_json::json;

fn config(home: &Home) -> Config {
    Config { git: true, ..home.config() }
}

fn git(place: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t"])
        .args(args)
        .current_dir(place)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with one commit in `work/<name>`.
fn repository(home: &Home, name: &str) -> PathBuf {
    let root = home.work_dir(name);
    git(&root, &["init", "-q", "-b", "main"]);
    fs::write(root.join("kept"), "one").unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "-q", "-m", "first"]);
    root
}

fn uncommitted(card: &SessionCard) -> Option<&Attention> {
    card.causes.iter().find(|cause| cause.cause == CauseKind::Uncommitted)
}

fn worktree<'a>(status: &'a Status, root: &Path) -> Option<&'a Worktree> {
    status.worktrees.iter().find(|w| w.root == root.to_str().unwrap())
}

/// A session whose agent works: its process runs, its registry file says busy.
fn at_work(home: &Home, session: &mut Claude, now: Timestamp) -> (Process, PathBuf) {
    let process = Process::sleeping();
    session.prompt(now, "do it");
    let file = session.registry(home, process.pid(), Some("busy"), now);
    (process, file)
}

/// Its person opens a session again.
fn opened(home: &Home, session: &Claude, now: Timestamp) -> (Process, PathBuf) {
    let process = Process::sleeping();
    let file = session.registry(home, process.pid(), Some("idle"), now);
    let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    entry["startedAt"] = now.0.into();
    fs::write(&file, entry.to_string()).unwrap();
    (process, file)
}

/// The agent says that it is done, and its person leaves by `/exit`.
fn leaves(session: &mut Claude, mut process: Process, file: &Path, now: Timestamp) {
    session.says(now, "done", 1_000);
    fs::remove_file(file).unwrap();
    process.end();
}

#[test]
fn work_left_behind_is_told_once_per_worktree_and_withdrawn_when_it_is_committed_b109_b110_b114_b131_x24() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let running = Running::with(config(&home));
    let now = running.now();
    let (mut first, mut second) = (home.claude(1, "shop"), home.claude(2, "shop"));
    let (process_1, file_1) = at_work(&home, &mut first, now);
    let (process_2, file_2) = at_work(&home, &mut second, now);
    running.until_card(&first.name(), "a clean worktree", |c| {
        c.git.as_ref().is_some_and(|g| g.state == GitState::Clean)
    });
    running.until_card(&second.name(), "the second agent", |c| c.liveness.state == LivenessState::Alive);
    // A tool of the first one writes a file and ends.
    let call = first.calls(running.now(), "Write", serde_json::json!({"file_path": "new"}), 1_000);
    fs::write(root.join("new"), "work").unwrap();
    first.answers(running.now(), &call, "written");
    let status =
        running.until("the new file", |s| worktree(s, &root).is_some_and(|w| w.untracked == Some(1)));
    let seen = worktree(&status, &root).unwrap();
    assert!(!seen.is_at_risk, "agents work there");
    let mut names = seen.sessions.clone();
    names.sort();
    assert_eq!(names, [first.name(), second.name()]);
    let dirty = running.until_card(&second.name(), "the state on its card", |c| {
        c.git.as_ref().is_some_and(|g| g.state == GitState::Dirty)
    });
    assert_eq!(dirty.git.as_ref().unwrap().dirty_files, Some(1));
    assert_eq!(uncommitted(&dirty), None);

    leaves(&mut first, process_1, &file_1, running.now());
    running.until_card(&first.name(), "its end", |c| c.liveness.state == LivenessState::Dead);
    assert!(status_has_no_risk(&running.status()), "the second still works there");
    leaves(&mut second, process_2, &file_2, running.now());
    let status = running.until("the worktree at risk", |s| worktree(s, &root).is_some_and(|w| w.is_at_risk));
    let told: Vec<&SessionCard> = status.sessions.iter().filter(|c| uncommitted(c).is_some()).collect();
    assert_eq!(told.len(), 1, "one item for one worktree");

    // It survives a restart, with the same id.
    let cause = uncommitted(told[0]).unwrap().cause_id.clone();
    let name = format!("claude-code:{}", told[0].session_id);
    running.stop();
    let running = Running::with(config(&home));
    running.until("the worktree again", |s| worktree(s, &root).is_some_and(|w| w.is_at_risk));
    let card = running.card(&name);
    assert_eq!(uncommitted(&card).map(|c| &c.cause_id), Some(&cause));

    git(&root, &["add", "-A"]);
    git(&root, &["commit", "-q", "-m", "second"]);
    let status = running.until("the commit", |s| worktree(s, &root).is_none());
    assert!(status_has_no_risk(&status));
    running.until_card(&name, "the cause gone", |c| uncommitted(c).is_none());
}

fn status_has_no_risk(status: &Status) -> bool {
    status.sessions.iter().all(|c| uncommitted(c).is_none()) && status.worktrees.iter().all(|w| !w.is_at_risk)
}

/// Waits until whatever was to be looked at was: what an agent writes elsewhere from now on is seen. It works on while the
/// handle lives.
fn looked(home: &Home, running: &Running) -> Process {
    running.settle();
    let root = repository(home, WITNESS);
    fs::write(root.join("made"), "by another one").unwrap();
    let (process, _) = at_work(home, &mut home.claude(9, WITNESS), running.now());
    running.until("another one's work", |s| worktree(s, &root).is_some());
    process
}

/// Folder of an agent that nothing else is told of.
const WITNESS: &str = "witness";

fn has_no_other_worktree(status: &Status) -> bool {
    status.worktrees.iter().all(|w| w.root.ends_with(WITNESS))
}

#[test]
fn a_new_agent_takes_over_what_was_left_and_what_was_waved_away_stays_so_x7() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let running = Running::with(config(&home));
    let mut first = home.claude(1, "shop");
    let (process, file) = at_work(&home, &mut first, running.now());
    running.until_card(&first.name(), "a clean worktree", |c| c.git.is_some());
    fs::write(root.join("kept"), "changed").unwrap();
    leaves(&mut first, process, &file, running.now());
    let card = running.until_card(&first.name(), "the cause", |c| uncommitted(c).is_some());
    running.engine.set_cause(&uncommitted(&card).unwrap().cause_id, CauseAction::Dismiss).unwrap();
    running.until_card(&first.name(), "it waved away", |c| uncommitted(c).is_none());
    running.settle();
    assert_eq!(uncommitted(&running.card(&first.name())), None);

    let mut second = home.claude(2, "shop");
    let (process, file) = at_work(&home, &mut second, running.now());
    running.until("an agent there", |s| worktree(s, &root).is_some_and(|w| !w.is_at_risk));
    fs::write(root.join("kept"), "changed again").unwrap();
    leaves(&mut second, process, &file, running.now());
    let card = running.until_card(&second.name(), "a new cause", |c| uncommitted(c).is_some());
    assert!(card.causes.iter().all(|c| c.notified_at_ms.is_none()), "its person is still near");
}

#[test]
fn what_was_waved_away_does_not_call_again_on_another_session() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let running = Running::with(config(&home));
    let mut first = home.claude(1, "shop");
    let (process, file) = at_work(&home, &mut first, running.now());
    running.until_card(&first.name(), "a clean worktree", |c| c.git.is_some());
    fs::write(root.join("kept"), "changed").unwrap();
    leaves(&mut first, process, &file, running.now());
    let card = running.until_card(&first.name(), "the cause", |c| uncommitted(c).is_some());
    let cause = uncommitted(&card).unwrap().cause_id.clone();
    running.engine.set_cause(&cause, CauseAction::Dismiss).unwrap();
    running.until_card(&first.name(), "it waved away", |c| uncommitted(c).is_none());

    // Another one is opened, asks one thing, and is left: the same lies there.
    let mut second = home.claude(2, "shop");
    let (process, file) = at_work(&home, &mut second, running.now());
    running.until("an agent there", |s| worktree(s, &root).is_some_and(|w| !w.is_at_risk));
    leaves(&mut second, process, &file, running.now());
    let status = running.until("nobody there", |s| worktree(s, &root).is_some_and(|w| w.is_at_risk));
    assert!(status.sessions.iter().all(|c| uncommitted(c).is_none()));
    let _witness = looked(&home, &running);
    assert_eq!(uncommitted(&running.card(&second.name())), None);
    running.stop();
    let running = Running::with(config(&home));
    running.until("the look", |s| worktree(s, &root).is_some_and(|w| w.is_at_risk));
    running.settle();
    assert!(running.status().sessions.iter().all(|c| uncommitted(c).is_none()));

    // Other work calls.
    fs::write(root.join("kept"), "changed again").unwrap();
    running.engine.attend(Some(second.name()));
    let card = running.until_card(&second.name(), "the cause of its own", |c| uncommitted(c).is_some());
    assert!(!uncommitted(&card).unwrap().until_change, "it is not put off");
}

#[test]
fn a_session_that_was_put_away_leaves_its_worktree_and_nobody_else_is_told_of_its_work() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let running = Running::with(config(&home));
    let (mut first, mut second) = (home.claude(1, "shop"), home.claude(2, "shop"));
    let (process_1, file_1) = at_work(&home, &mut first, running.now());
    let (process_2, file_2) = at_work(&home, &mut second, running.now());
    running.until_card(&first.name(), "a clean worktree", |c| c.git.is_some());
    running.until_card(&second.name(), "the second agent", |c| c.git.is_some());
    fs::write(root.join("kept"), "changed").unwrap();
    leaves(&mut second, process_2, &file_2, running.now());
    running.until_card(&second.name(), "its end", |c| c.liveness.state == LivenessState::Dead);
    leaves(&mut first, process_1, &file_1, running.now());
    running.until_card(&first.name(), "the cause", |c| uncommitted(c).is_some());
    let members = |status: &Status| worktree(status, &root).map_or(0, |w| w.sessions.len());
    assert_eq!(members(&running.status()), 2);
    running.engine.set_archived(&first.key(), true).unwrap();
    running.until("one left", |s| members(s) == 1);
    let _witness = looked(&home, &running);
    assert_eq!(uncommitted(&running.card(&second.name())), None);
    running.engine.set_archived(&second.key(), true).unwrap();
    running.until("nobody left", has_no_other_worktree);
    // Back, each has what it had.
    running.engine.set_archived(&first.key(), false).unwrap();
    running.until_card(&first.name(), "the cause again", |c| uncommitted(c).is_some());
}

/// What a registry file says of an idle session.
fn registered(session: &Claude, pid: u32, validity: Validity, now: Timestamp) -> Input {
    let entry = RegistryEntry {
        cwd: session.cwd.to_str().map(str::to_owned),
        kind: EntryKind::Interactive,
        name: None,
        named_by_user: false,
        status: Some(RegistryStatus::Idle),
        version: Some("2.1.329".to_owned()),
        spare: false,
        started_at: Some(T0.plus_ms(-HOUR)),
    };
    let (agent, session) = (Agent::ClaudeCode, session.id.clone());
    let update = RegistryUpdate { agent, pid, session, entry, validity, status_at: now, read_at: now };
    Input::Registry(update)
}

fn seven_files(root: &Path, at: Timestamp) -> Input {
    let finding = Finding::Dirty(Counts { unstaged: 7, paths: 7, ..Counts::default() }, Branch::default());
    Input::Worktree(Box::new(WorktreeLook { root: root.to_owned(), finding, mark: 7, began: at, at }))
}

#[test]
fn work_of_an_agent_that_nobody_can_see_calls_once_it_has_been_silent() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "shop");
    session.prompt(T0, "do it");
    session.says(T0.plus_ms(1_000), "done", 1_000);
    let now = T0.plus_ms(1_000);
    // It runs in a container.
    clocked.core.apply_all(vec![registered(&session, 7, Validity::Foreign, now)], now).unwrap();
    clocked.read(&session.key(), None, &session.path, now);
    clocked.core.apply_all(vec![seven_files(&root, now)], now).unwrap();
    clocked.pass(T0.plus_ms(4 * MINUTE));
    let card = clocked.card(&session.key(), T0.plus_ms(4 * MINUTE));
    assert_eq!((card.liveness.state, uncommitted(&card)), (LivenessState::Unknown, None), "it may run");
    let later = T0.plus_ms(6 * MINUTE);
    clocked.pass(later);
    let card = clocked.card(&session.key(), later);
    assert_eq!(uncommitted(&card).map(|c| c.since_ms), Some(now.0), "nothing was heard since");
}

#[test]
fn a_session_that_went_on_as_another_does_not_stay_in_its_worktree_for_ever() {
    let home = Home::new();
    let root = repository(&home, "shop");
    let mut clocked = Clocked::new(home.config());
    let (mut former, mut next) = (home.claude(1, "shop"), home.claude(2, "shop"));
    former.prompt(T0, "do it");
    former.says(T0.plus_ms(1_000), "done", 1_000);
    let now = T0.plus_ms(1_000);
    clocked.core.apply_all(vec![registered(&former, 7, Validity::Valid, now)], now).unwrap();
    clocked.read(&former.key(), None, &former.path, now);
    let now = T0.plus_ms(MINUTE);
    clocked.core.apply_all(vec![registered(&next, 7, Validity::Valid, now)], now).unwrap();
    next.prompt(now, "and this");
    next.says(now, "done too", 1_000);
    clocked.read(&next.key(), None, &next.path, now);
    clocked.core.apply_all(vec![seven_files(&root, now)], now).unwrap();
    let status = clocked.status(now);
    assert_eq!(find(&status, &former.name()), None, "its place is taken");
    assert_eq!(worktree(&status, &root).unwrap().sessions.len(), 2, "its work may lie there");
    let later = now.plus_ms(5 * HOUR);
    clocked.pass(later);
    assert_eq!(worktree(&clocked.status(later), &root).unwrap().sessions, [next.name()]);
}

#[test]
fn what_an_agent_that_was_idle_overnight_leaves_in_the_morning_is_told() {
    let home = Home::new();
    let root = repository(&home, "shop");
    fs::write(root.join("new"), "of last night").unwrap();
    let running = Running::with(config(&home));
    let mut session = home.claude(1, "shop");
    let last_night = running.now().plus_ms(-15 * HOUR);
    session.prompt(last_night, "do it");
    session.says(last_night.plus_ms(MINUTE), "done", 1_000);
    let mut process = Process::sleeping();
    let file = session.registry(&home, process.pid(), Some("idle"), last_night.plus_ms(MINUTE));
    running.until_card(&session.name(), "the work", |c| {
        c.liveness.state == LivenessState::Alive && c.git.as_ref().is_some_and(|g| g.dirty_files == Some(1))
    });
    let before = running.now();
    fs::remove_file(&file).unwrap();
    process.end();
    let card = running.until_card(&session.name(), "the cause", |c| uncommitted(c).is_some());
    assert!(uncommitted(&card).unwrap().since_ms >= before.0, "it is at risk since its agent left");
    running.settle();
    assert_eq!(count(&home, "SELECT count(*) FROM causes WHERE kind = 'uncommitted' AND NOT baseline"), 1);
    let cause = uncommitted(&card).unwrap().cause_id.clone();
    running.stop();
    let running = Running::with(config(&home));
    let card = running.until_card(&session.name(), "the look", |c| c.git.is_some());
    assert_eq!(uncommitted(&card).map(|c| &c.cause_id), Some(&cause));
}

#[test]
fn what_lay_there_before_the_agent_came_is_not_its_work() {
    let home = Home::new();
    let root = repository(&home, "shop");
    fs::write(root.join("mine"), "my own").unwrap();
    let mut session = home.claude(1, "shop");
    let process = Process::sleeping();
    let now = lamplight_engine::clock::now();
    let file = session.registry(&home, process.pid(), Some("idle"), now);
    let text = fs::read_to_string(&file).unwrap();
    // It has just been started.
    fs::write(&file, text.replace("1795176118139", &now.0.to_string())).unwrap();
    session.prompt(now, "only look");
    let running = Running::with(config(&home));
    let status = running.until("what lies there", |s| worktree(s, &root).is_some_and(|w| w.was_so_before));
    assert_eq!(worktree(&status, &root).unwrap().untracked, Some(1));
    leaves(&mut session, process, &file, running.now());
    running.until_card(&session.name(), "its end", |c| c.liveness.state == LivenessState::Dead);
    let _witness = looked(&home, &running);
    assert!(status_has_no_risk(&running.status()));
    // That is remembered.
    running.stop();
    let running = Running::with(config(&home));
    let status = running.until("what lies there still", |s| worktree(s, &root).is_some());
    assert!(worktree(&status, &root).unwrap().was_so_before && status_has_no_risk(&status));
    // What its person writes after it has left is theirs too.
    fs::write(root.join("mine"), "more of it").unwrap();
    fs::write(root.join("other"), "and this").unwrap();
    running.engine.attend(Some(session.name()));
    let status = running.until("other work", |s| worktree(s, &root).is_some_and(|w| w.untracked == Some(2)));
    assert!(status_has_no_risk(&status));
}

/// What was captured of a client that leaves its worktree and removes it.
#[test]
fn whoever_leaves_by_way_of_another_worktree_left_nothing_there() {
    let home = Home::new();
    let root = repository(&home, "shop");
    fs::write(root.join("mine"), "my own").unwrap();
    let own = root.join(".claude/worktrees/x");
    git(&root, &["worktree", "add", "-q", own.to_str().unwrap()]);
    let running = Running::with(config(&home));
    let mut session = home.claude(1, "shop/.claude/worktrees/x");
    let (process, file) = at_work(&home, &mut session, running.now());
    session.calls(running.now(), "Write", json!({"file_path": "made"}), 100);
    fs::write(own.join("made"), "by the agent").unwrap();
    let at_own = |c: &SessionCard| c.git.as_ref().is_some_and(|g| g.root.as_deref() == own.to_str());
    running.until_card(&session.name(), "its worktree", |c| {
        at_own(c) && c.git.as_ref().unwrap().dirty_files == Some(1)
    });
    leaves(&mut session, process, &file, running.now());
    session.relocated(&root);
    git(&root, &["worktree", "remove", "--force", own.to_str().unwrap()]);
    running.until_card(&session.name(), "its end", |c| {
        c.liveness.state == LivenessState::Dead
            && c.cwd.as_deref() == root.to_str()
            && uncommitted(c).is_none()
    });
    let _witness = looked(&home, &running);
    assert!(status_has_no_risk(&running.status()), "{:#?}", running.status());
    assert_eq!(worktree(&running.status(), &root), None);
    running.stop();
    let running = Running::with(config(&home));
    running.until_card(&session.name(), "its card", |_| true);
    running.settle();
    assert!(status_has_no_risk(&running.status()) && worktree(&running.status(), &root).is_none());
    // It is opened again where it was taken to, only asked something, and left: what lies there lay there before.
    let (process, file) = opened(&home, &session, running.now());
    running.until_card(&session.name(), "its opening", |c| {
        c.liveness.state == LivenessState::Alive
            && c.git.as_ref().is_some_and(|g| g.root.as_deref() == root.to_str() && g.dirty_files == Some(1))
    });
    session.prompt(running.now(), "what is this?");
    session.says(running.now(), "A shop.", 100);
    leaves(&mut session, process, &file, running.now());
    let status = running.until("its end", |s| {
        worktree(s, &root).is_some_and(|w| w.was_so_before)
            && find(s, &session.name()).is_some_and(|c| c.liveness.state == LivenessState::Dead)
    });
    assert!(status_has_no_risk(&status), "{status:#?}");
}

/// Its worktree is removed by hand: above it lies the main one.
#[test]
fn a_directory_that_is_gone_leads_to_no_other_worktree() {
    let home = Home::new();
    let root = repository(&home, "shop");
    fs::write(root.join("mine"), "my own").unwrap();
    let mut session = home.claude(1, "shop/gone");
    let (process, file) = at_work(&home, &mut session, lamplight_engine::clock::now());
    leaves(&mut session, process, &file, lamplight_engine::clock::now());
    fs::remove_dir(root.join("gone")).unwrap();
    let running = Running::with(config(&home));
    running.until_card(&session.name(), "its card", |_| true);
    let _witness = looked(&home, &running);
    assert!(status_has_no_risk(&running.status()));
    assert_eq!(worktree(&running.status(), &root), None);
}

#[test]
fn work_of_an_agent_that_nobody_can_see_is_told_although_the_engine_was_started_meanwhile() {
    let home = Home::new();
    fs::create_dir_all(home.data_dir()).unwrap();
    let open = || Store::open(&home.data_dir(), false).unwrap();
    let root = repository(&home, "shop");
    let mut session = home.claude(1, "shop");
    session.prompt(T0, "do it");
    session.says(T0.plus_ms(1_000), "done", 1_000);
    let mut clocked = Clocked::over(open(), home.config(), T0.plus_ms(-HOUR));
    clocked.core.first_look_done(T0.plus_ms(-HOUR)).unwrap();
    let heard = T0.plus_ms(1_000);
    let running = || registered(&session, 7, Validity::Foreign, heard);
    clocked.core.apply_all(vec![running()], heard).unwrap();
    clocked.read(&session.key(), None, &session.path, heard);
    let stopped = T0.plus_ms(3 * MINUTE);
    drop(clocked.core.restarted(stopped).unwrap());
    let now = T0.plus_ms(4 * MINUTE);
    let mut clocked = Clocked::finding(open(), home.config(), now, vec![running()]);
    clocked.core.apply_all(vec![seven_files(&root, now)], now).unwrap();
    clocked.run_until(T0.plus_ms(10 * MINUTE));
    assert_eq!(
        count(&home, "SELECT count(*) FROM notices WHERE kind = 'uncommitted' AND outcome = 'told'"),
        1
    );
}

#[test]
fn sessions_without_a_repository_or_a_directory_have_no_worktree_b111_b116() {
    let home = Home::new();
    let running = Running::with(config(&home));
    let now = running.now();
    let mut plain = home.claude(1, "plain");
    plain.prompt(now.plus_ms(-MINUTE), "hello");
    let mut gone = home.claude(2, "gone");
    gone.prompt(now.plus_ms(-MINUTE), "hello");
    fs::remove_dir_all(&gone.cwd).unwrap();
    running.until("both", |s| find(s, &plain.name()).is_some() && find(s, &gone.name()).is_some());
    let _witness = looked(&home, &running);
    let status = running.status();
    assert!(has_no_other_worktree(&status));
    for session in [&plain, &gone] {
        assert_eq!(find(&status, &session.name()).unwrap().git, None);
    }
}

#[test]
fn a_directory_that_only_a_hook_names_is_never_looked_at() {
    let home = Home::new();
    let root = repository(&home, "shop");
    fs::write(root.join("new"), "x").unwrap();
    let running = Running::with(config(&home));
    let session = home.claude(1, "shop");
    let now = running.now();
    let payload = serde_json::json!({"hook_event_name": "UserPromptSubmit", "session_id": session.id.as_str(),
        "cwd": root.to_str().unwrap(), "prompt": "x", "transcript_path": "/nowhere/else.jsonl"});
    let body = serde_json::json!({"v": 1, "agent": "claude-code", "received_at_ms": now.0, "pid_parent": 1,
        "payload": payload});
    let (spool, name) = (home.data_dir().join("spool"), format!("{:013}-1-1.json", now.0));
    fs::create_dir_all(&spool).unwrap();
    fs::write(spool.join(format!(".{name}")), body.to_string()).unwrap();
    fs::rename(spool.join(format!(".{name}")), spool.join(&name)).unwrap();
    let card = running.until_card(&session.name(), "the hook", |_| true);
    assert_eq!(card.git, None);
    let _witness = looked(&home, &running);
    assert!(has_no_other_worktree(&running.status()));
}

#[test]
fn where_nobody_can_look_the_card_says_why_x22() {
    let home = Home::new();
    let root = home.work_dir("shop");
    fs::create_dir(root.join(".git")).unwrap();
    fs::write(root.join(".git/HEAD"), "nonsense").unwrap();
    let running = Running::with(config(&home));
    let mut session = home.claude(1, "shop");
    let _at_work = at_work(&home, &mut session, running.now());
    let card = running.until_card(&session.name(), "the look", |c| c.git.is_some());
    let git = card.git.unwrap();
    assert_eq!((git.state, git.dirty_files), (GitState::Unknown, None));
    assert_eq!(git.reason.as_deref(), Some("git could not read the repository."));
    assert_eq!(running.status().worktrees, [], "nothing is claimed of it");
}
