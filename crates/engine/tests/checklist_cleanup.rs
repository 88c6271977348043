//! Checklist B, items 46-52: what goes, what stays, and that nothing of the agents is ever touched.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;

use checklist_support::agents::{HOUR, Home, MINUTE, Process, session_id};
use checklist_support::running::{Running, count, database, find};
use lamplight_engine::CauseAction;
use lamplight_model::session::{Lifecycle, LivenessState, TurnState};
use serde_json::json;

#[test]
fn a_start_that_came_to_nothing_leaves_the_screen_b46_b47() {
    let home = Home::new();
    let running = Running::start(&home);
    let (mut gone, mut killed, stays) = (Process::sleeping(), Process::sleeping(), Process::sleeping());
    let removed = home.claude(1, "api");
    let orphan = home.claude(2, "api");
    let old = home.claude(3, "api");
    removed.registry(&home, gone.pid(), None, running.now());
    orphan.registry(&home, killed.pid(), None, running.now().plus_ms(-2 * HOUR));
    old.registry(&home, stays.pid(), None, running.now().plus_ms(-2 * HOUR));
    running.until("three starts", |s| {
        s.sessions.len() == 3 && s.sessions.iter().all(|c| c.turn_state == TurnState::Starting)
    });
    // One ends in order; of one the process dies and its file stays behind for ever.
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", gone.pid()))).unwrap();
    gone.end();
    killed.end();
    let status = running.until("both gone", |s| s.sessions.len() == 1);
    assert!(find(&status, &old.name()).is_some(), "what lives stays, however long it starts");
    running.stop();
    let again = Running::start(&home);
    assert_eq!(again.status().sessions.len(), 1, "nor after a restart");
    assert_eq!(again.listed(50), [old.name()], "nothing was said in the others");
}

#[test]
fn what_was_more_than_a_start_is_kept_as_history_b48() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut wanted = Vec::new();
    for (n, last) in [(1, "said"), (2, "asked"), (3, "prompted")] {
        let mut session = home.claude(n, "api");
        let at = now.plus_ms(-i64::from(n) * 100 * HOUR);
        session.prompt(at, &format!("task {n}"));
        match last {
            "said" => session.says(at, "done", 100),
            "asked" => drop(session.calls(at, "Bash", json!({"command": "ls"}), 100)),
            _ => {}
        }
        wanted.push(session.name());
    }
    running.settle();
    running.stop();
    let again = Running::start(&home);
    assert!(again.status().sessions.is_empty());
    assert_eq!(again.listed(50), wanted);
    fs::remove_dir_all(home.claude_dir().join("projects")).unwrap();
    again.settle();
    assert_eq!(again.listed(50), wanted, "kept when the agent deletes its own");
}

#[test]
fn what_needs_its_person_stays_until_it_is_waved_away_or_ends_b49() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("busy"), running.now());
    session.prompt(running.now(), "go");
    session.says(running.now(), "what now?", 100);
    session.registry(&home, process.pid(), Some("idle"), running.now());
    let card = running.until_card(&session.name(), "the need", |c| c.attention.is_some());
    let cause = card.attention.unwrap().cause_id;
    running.stop();
    let again = Running::start(&home);
    let card = again.card(&session.name());
    assert_eq!(card.attention.map(|a| a.cause_id), Some(cause.clone()), "the same need after a restart");
    again.engine.set_cause(&cause, CauseAction::Dismiss).unwrap();
    again.until_card(&session.name(), "the dismissal", |c| c.attention.is_none());
    again.settle();
    assert_eq!(again.card(&session.name()).attention, None, "looking again does not bring it back");
    again.stop();
    let third = Running::start(&home);
    assert_eq!(third.card(&session.name()).attention, None, "nor does a restart");
    // A new turn is a new need; the person's own end clears it, and the session is listed as finished.
    session.registry(&home, process.pid(), Some("busy"), third.now());
    session.prompt(third.now(), "more");
    third.until_card(&session.name(), "work", |c| c.turn_state == TurnState::Working);
    session.says(third.now(), "and now?", 100);
    session.registry(&home, process.pid(), Some("idle"), third.now());
    let card = third.until_card(&session.name(), "a new need", |c| c.attention.is_some());
    assert_ne!(card.attention.unwrap().cause_id, cause);
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", process.pid()))).unwrap();
    process.end();
    let card = third.until_card(&session.name(), "the end", |c| c.turn_state == TurnState::Ended);
    assert_eq!((card.attention, card.liveness.state), (None, LivenessState::Dead));
    assert!(card.ended_at_ms.is_some() && card.lifecycle == Lifecycle::Closed);
    let history = third.engine.session(&session.key()).unwrap().unwrap().history;
    let cleared: Vec<_> = history.iter().filter_map(|c| c.cleared_by.as_deref()).collect();
    assert!(cleared.contains(&"ended"), "{history:?}");
}

#[test]
fn facts_that_exist_nowhere_else_go_after_400_days_and_no_sooner_b50() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("busy"), running.now());
    running.until_card(&session.name(), "the registry", |_| true);
    let now = running.now();
    running.stop();
    let day = 24 * HOUR;
    let before = count(&home, "SELECT count(*) FROM live_facts");
    assert!(before > 0);
    for days in [399, 401, 4_000] {
        database(&home)
            .execute(
                "INSERT INTO live_facts (session, at_ms, source, fact) SELECT id, ?1, 'registry', 'busy' FROM sessions",
                [now.0 - days * day],
            )
            .unwrap();
    }
    let again = Running::start(&home);
    assert_eq!(count(&home, "SELECT count(*) FROM live_facts"), before + 1, "younger ones are kept");
    assert_eq!(
        count(&home, "SELECT min(at_ms) FROM live_facts"),
        now.0 - 399 * day,
        "and it is the older ones that went"
    );
    assert!(find(&again.status(), &session.name()).is_some(), "the session itself stays");
}

#[test]
fn files_that_vanish_while_everything_is_listed_harm_nothing_b51() {
    let home = Home::new();
    let mut sessions: Vec<_> = (1..=40).map(|n| home.claude(n, &format!("project-{}", n % 8))).collect();
    let now = lamplight_engine::clock::now();
    for session in &mut sessions {
        session.prompt(now.plus_ms(-MINUTE), "go");
        session.says(now.plus_ms(-MINUTE), "done", 100);
    }
    let running = Running::start(&home);
    let staying = home.claude(41, "stays");
    std::thread::scope(|scope| {
        let mut staying = staying.clone();
        let engine = running.engine.clone();
        scope.spawn(move || {
            for n in 0..10 {
                staying.prompt(lamplight_engine::clock::now(), &format!("prompt {n}"));
                engine.rescan().unwrap();
            }
        });
        for half in sessions.chunks(20) {
            scope.spawn(move || {
                for session in half {
                    fs::remove_file(&session.path).unwrap();
                    // Another may have taken the folder away already, or still has files in it.
                    let _ = fs::remove_dir(session.path.parent().unwrap());
                }
            });
        }
        let engine = running.engine.clone();
        scope.spawn(move || {
            for _ in 0..10 {
                engine.rescan().unwrap();
            }
        });
    });
    running.settle();
    assert_eq!(running.card(&staying.name()).label, "prompt 0");
    let totals = running.engine.totals().unwrap();
    assert_eq!((totals.sessions, totals.prompts, totals.messages), (41, 50, 40), "what was read is kept");
    for session in &sessions {
        // A new transcript may have got a deleted one's inode: what the deleted one said stays said.
        let card = running.until_card(&session.name(), "the deletion", |c| c.resume.command.is_none());
        assert_eq!((card.label.as_str(), card.excerpt.as_deref()), ("go", Some("done")));
    }
}

#[test]
fn the_agents_files_are_as_they_were_after_a_session_of_work_b52() {
    let home = Home::new();
    let process = Process::sleeping();
    let now = lamplight_engine::clock::now();
    let mut session = home.claude(1, "api");
    session.prompt(now.plus_ms(-MINUTE), "go");
    session.says(now.plus_ms(-MINUTE), "done", 100);
    session.subagent_says("a1", now.plus_ms(-MINUTE), "from below");
    session.registry(&home, process.pid(), Some("idle"), now.plus_ms(-MINUTE));
    fs::write(home.claude_dir().join("sessions/secret.key"), "a secret").unwrap();
    let mut old = home.claude(2, "api");
    old.prompt(now.plus_ms(-1_000 * HOUR), "long ago");
    let mut thread = home.codex(3, "2026/11/20");
    thread.begin(now.plus_ms(-MINUTE));
    thread.prompt(now.plus_ms(-MINUTE), "review");
    let _holder = thread.hold_lock();
    let orphan = home.claude(4, "api");
    orphan.registry(&home, 4_100_000, None, now.plus_ms(-3 * HOUR));
    // Left by a crash: another program would tidy it up.
    fs::write(home.codex_dir().join("thread-writer-locks").join(format!("{}.lock", session_id(9))), "")
        .unwrap();
    while !thread.lock.exists() {
        std::thread::yield_now();
    }
    let before = home.agent_trees();
    assert!(before.len() > 15, "{}", before.len());

    let running = Running::start(&home);
    running.until_card(&thread.name(), "the thread", |c| c.liveness.state == LivenessState::Alive);
    let card =
        running.until_card(&session.name(), "the session", |c| c.liveness.state == LivenessState::Alive);
    running.engine.set_label(&session.key(), Some("the shed")).unwrap();
    if let Some(cause) = card.attention {
        running.engine.set_cause(&cause.cause_id, CauseAction::Dismiss).unwrap();
    }
    running.engine.close(Some(session.id.as_str()), None).unwrap();
    running.engine.close(Some(old.id.as_str()), None).unwrap();
    for _ in 0..3 {
        running.settle();
        for name in running.listed(2) {
            let key = running.engine.find(&name).unwrap();
            running.engine.session(&key).unwrap().unwrap();
        }
        running.engine.sessions(Some("long"), None, 50).unwrap();
    }
    running.stop();
    Running::start(&home).stop();
    let once = home.config();
    lamplight_engine::run_once(once, |_| {}).unwrap();
    let after = home.agent_trees();
    for (path, stamp) in &before {
        assert_eq!(after.get(path), Some(stamp), "{}", path.display());
    }
    assert_eq!(after.len(), before.len(), "and nothing new stands among them");
}
