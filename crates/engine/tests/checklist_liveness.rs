//! Checklist B, items 18-37: who is alive, by what evidence; and when nobody can know.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;

use checklist_support::agents::{HOUR, Home, MINUTE, Process, append, session_id};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, find};
use lamplight_engine::facts::Input;
use lamplight_model::session::{Lifecycle, LivenessState, ResumeState, TurnState};

#[test]
fn a_running_codex_thread_is_found_without_hooks_by_its_lock_and_rollout_b18_b19_b21() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut thread = home.codex(1, "2026/11/20");
    let holder = thread.hold_lock();
    running.until_card(&thread.name(), "the lock", |c| c.liveness.state == LivenessState::Alive);
    let now = running.now();
    thread.begin(now);
    thread.prompt(now, "review it");
    let card = running.until_card(&thread.name(), "the thread", |c| {
        c.liveness.state == LivenessState::Alive && c.last_speaker_at_ms.is_some()
    });
    assert_eq!(card.liveness.source.as_deref(), Some("lock"));
    assert_eq!(card.pid, Some(holder.pid()));
    assert_eq!(card.turn_state, TurnState::Working);
    assert_eq!(card.last_activity_at_ms, Some(now.0), "the rollout's own time");
    let now = running.now();
    thread.says(now, "looks fine");
    let card = running.until_card(&thread.name(), "its answer", |c| c.turn_state == TurnState::AwaitingReply);
    assert_eq!((card.last_activity_at_ms, card.excerpt.as_deref()), (Some(now.0), Some("looks fine")));
}

#[test]
fn a_rollout_is_found_by_its_thread_id_wherever_it_lies_b20_b25() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut thread = home.codex(1, "2019/02/03");
    // The lock is seen first: nobody has named a path yet.
    let _holder = thread.hold_lock();
    let card = running.until_card(&thread.name(), "the lock", |_| true);
    assert_eq!((card.turn_state, card.last_activity_at_ms), (TurnState::Starting, None));
    assert_eq!(card.resume.command, None);
    thread.begin(now);
    thread.prompt(now, "review it");
    let card = running.until_card(&thread.name(), "the rollout", |c| c.last_speaker_at_ms.is_some());
    assert_eq!((card.label.as_str(), card.liveness.state), ("review it", LivenessState::Alive));
    // It goes on in another day's folder under another name; its id is the same.
    let moved = home.codex(1, "2019/02/04");
    fs::create_dir_all(moved.path.parent().unwrap()).unwrap();
    fs::rename(&thread.path, &moved.path).unwrap();
    thread.path = moved.path;
    thread.says(now.plus_ms(1), "found me");
    running.settle();
    let status = running.status();
    let card = find(&status, &thread.name()).unwrap();
    assert_eq!(card.excerpt.as_deref(), Some("found me"));
    assert_eq!(status.sessions.len(), 1, "the same session, not a second one");
    assert_eq!(running.engine.totals().unwrap().prompts, 1, "nothing counted twice");
}

#[test]
fn a_codex_thread_idle_for_hours_is_alive_while_its_lock_is_held_b22_b25() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let mut thread = home.codex(1, "2020/01/01");
    thread.begin(now.plus_ms(-30 * HOUR));
    thread.prompt(now.plus_ms(-30 * HOUR), "review it");
    thread.says(now.plus_ms(-29 * HOUR), "done");
    let mut other = home.codex(2, "2020/01/01");
    other.begin(now.plus_ms(-30 * HOUR));
    other.prompt(now.plus_ms(-30 * HOUR), "the same age, nobody runs it");
    other.says(now.plus_ms(-29 * HOUR), "done");
    let mut holder = thread.hold_lock();
    let running = Running::start(&home);
    let card = running.until_card(&thread.name(), "the thread", |c| c.liveness.state == LivenessState::Alive);
    assert_eq!((card.lifecycle, card.turn_state), (Lifecycle::Stale, TurnState::AwaitingReply));
    assert!(running.shown(&other.name()).is_none(), "its twin without a process is archive");
    // An orderly end removes the lock: the session leaves the screen, and is kept.
    fs::remove_file(&thread.lock).unwrap();
    holder.end();
    running.until("the end", |s| {
        find(s, &thread.name()).is_none_or(|c| c.liveness.state == LivenessState::Dead)
    });
    let card = running.filed(&thread.key());
    assert_eq!((card.liveness.state, card.turn_state), (LivenessState::Dead, TurnState::Ended));
}

#[test]
fn a_codex_thread_without_a_process_is_dead_by_evidence_b23() {
    let home = Home::new();
    // (lock file there, its holder) after a held lock; an open turn or one that is over.
    for (present, over, want) in [
        (true, false, TurnState::Crashed),
        (true, true, TurnState::Crashed),
        (false, false, TurnState::Crashed),
        (false, true, TurnState::Ended),
    ] {
        let mut clocked = Clocked::new(home.config());
        let mut thread = home.codex(u32::from(present) * 2 + u32::from(over), "2026/11/20");
        thread.begin(T0);
        thread.prompt(T0, "go");
        if over {
            thread.says(T0, "done");
        }
        clocked.read(&thread.key(), None, &thread.path, T0);
        let lock = |present, holder, at| Input::Lock { session: thread.id.clone(), present, holder, at };
        clocked.core.apply_all(vec![lock(true, Some(77), T0)], T0).unwrap();
        assert_eq!(clocked.verdict(&thread.key()).liveness.state, LivenessState::Alive);
        let end = T0.plus_ms(MINUTE);
        clocked.core.apply_all(vec![lock(present, None, end)], end).unwrap();
        let verdict = clocked.verdict(&thread.key());
        let why = format!("lock file there: {present}, turn over: {over}");
        assert_eq!(verdict.liveness.state, LivenessState::Dead, "{why}");
        assert_eq!(verdict.turn_state, want, "{why}");
        assert!(verdict.evidence.iter().any(|e| e.source == "lock"), "{why}: {:?}", verdict.evidence);
    }
}

#[test]
fn a_codex_thread_nobody_can_tell_about_is_unknown_with_a_reason_b24_b37() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    // A client of a family that keeps no lock: no process can be found, and none can be ruled out.
    let mut thread = home.codex(1, "2026/11/20");
    thread.version = "0.125.0".to_owned();
    thread.begin(now.plus_ms(-MINUTE));
    thread.prompt(now.plus_ms(-MINUTE), "review it");
    running.settle();
    let card = running.card(&thread.name());
    assert_eq!(card.liveness.state, LivenessState::Unknown, "{card:#?}");
    assert_ne!(card.turn_state, TurnState::Ended);
    assert!(!card.evidence.is_empty(), "what is known is said");
    assert_eq!(card.attention, None, "no claim is made from it");
    // The file is gone as well: what was known stays, what cannot be done is said with its reason.
    fs::remove_file(&thread.path).unwrap();
    running.settle();
    let card = running.until_card(&thread.name(), "the deletion", |c| c.resume.command.is_none());
    assert_eq!((card.liveness.state, card.resume.state), (LivenessState::Unknown, ResumeState::NoTranscript));
    assert!(card.resume.reason.is_some());
}

#[test]
fn a_claude_transcript_is_found_by_session_id_in_whatever_project_folder_b28() {
    let home = Home::new();
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    // The folder's name is not made from the directory: found by id all the same.
    session.path = home.claude_dir().join(format!("projects/-odd-name/{}.jsonl", session.id));
    session.prompt(lamplight_engine::clock::now().plus_ms(-30 * HOUR), "from long ago");
    session.registry(&home, process.pid(), Some("idle"), lamplight_engine::clock::now());
    let running = Running::start(&home);
    let card = running.until_card(&session.name(), "both as one", |c| {
        c.liveness.state == LivenessState::Alive && c.label == "from long ago"
    });
    assert_eq!(card.pid, Some(process.pid()));
    assert_eq!(card.resume.state, ResumeState::Running);
    assert_eq!(card.cwd.as_deref(), session.cwd.to_str());
    assert_eq!(running.status().sessions.len(), 1);
}

#[test]
fn a_claude_session_is_alive_by_its_process_and_not_by_a_multiplexer_b31_b32_b33_b36() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("busy"), running.now());
    session.prompt(running.now(), "go");
    let card = running.until_card(&session.name(), "life", |c| c.liveness.state == LivenessState::Alive);
    assert_eq!(card.liveness.source.as_deref(), Some("registry"));
    running.settle();
    assert_eq!(running.card(&session.name()).liveness.state, LivenessState::Alive, "however often one looks");
    // Its process dies and its registry file stands: that, and nothing else, is death.
    process.end();
    let card = running.until_card(&session.name(), "death", |c| c.liveness.state == LivenessState::Dead);
    assert_eq!((card.turn_state, card.liveness.source.as_deref()), (TurnState::Crashed, Some("process")));
    assert_eq!(card.pid, None);
    assert!(card.attention.is_some(), "a crash in the middle of a turn is told");
}

#[test]
fn a_starting_session_is_never_dead_b34() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let session = home.claude(1, "api");
    for hours in [0, 2, 30] {
        session.registry(&home, process.pid(), None, running.now().plus_ms(-hours * HOUR));
        running.settle();
        let card = running.card(&session.name());
        assert_eq!(card.turn_state, TurnState::Starting, "for {hours} h");
        assert_eq!(card.liveness.state, LivenessState::Alive, "for {hours} h");
        assert_eq!(card.attention, None);
    }
}

#[test]
fn a_status_this_version_does_not_know_is_no_death_b35() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "go");
    session.says(running.now(), "done", 100);
    session.registry(&home, process.pid(), Some("pondering"), running.now());
    let card = running.until_card(&session.name(), "the word", |c| {
        c.evidence.iter().any(|e| e.fact == "Claude Code says pondering")
    });
    assert_eq!(card.liveness.state, LivenessState::Alive);
}

#[test]
fn a_process_nobody_here_can_look_at_is_unknown_and_not_dead_b37() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "go");
    let elsewhere = Some("linux:0f0f:pid:[1]");
    // Neither a pid that happens to live here nor one that does not is evidence about another namespace.
    for ended in [false, true] {
        if ended {
            process.end();
        }
        session.registry_in(&home, process.pid(), Some("busy"), running.now(), elsewhere);
        running.settle();
        let card = running.card(&session.name());
        assert_eq!(card.liveness.state, LivenessState::Unknown, "process here ended: {ended}");
        assert!(!matches!(card.turn_state, TurnState::Crashed | TurnState::Ended), "{:?}", card.turn_state);
        assert!(card.evidence.iter().any(|e| e.fact.contains("another container")), "said why");
    }
}

#[test]
fn what_should_be_a_file_and_is_not_holds_nobody_up_b27_b15() {
    let home = Home::new();
    let process = Process::sleeping();
    let fifo = |path: &std::path::Path| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    // Reading any of these would wait for ever.
    fifo(&home.claude(1, "api").path);
    fifo(&home.claude_dir().join("sessions/4000000.json"));
    fifo(&home.codex(2, "2026/11/20").path);
    fifo(&home.codex_dir().join("thread-writer-locks").join(format!("{}.lock", session_id(3))));
    fs::create_dir_all(home.claude(4, "api").path).unwrap();
    let mut good = home.claude(5, "api");
    good.prompt(lamplight_engine::clock::now(), "still here");
    good.registry(&home, process.pid(), Some("busy"), lamplight_engine::clock::now());
    let running = Running::start(&home);
    running.until_card(&good.name(), "the good one", |c| c.liveness.state == LivenessState::Alive);
    let status = running.until("the others to be counted", |s| {
        s.sources.iter().any(|s| s.issues.iter().any(|i| i.kind == "not_a_file"))
    });
    assert_eq!(status.sessions.len(), 1, "{:?}", status.sessions);
    // And while it runs.
    fifo(&home.claude(6, "api").path);
    append(&good.path, "");
    good.says(running.now(), "and goes on", 100);
    running.until_card(&good.name(), "the answer", |c| c.excerpt.as_deref() == Some("and goes on"));
}
