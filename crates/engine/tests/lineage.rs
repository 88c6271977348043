//! Sessions that follow each other in one terminal, and a terminal that its person looks at.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]
#![cfg(target_os = "linux")]

mod checklist_support;
mod terminals_support;

use checklist_support::agents::Home;
use checklist_support::running::{Running, find};
use lamplight_engine::terminals::is_in_front;
use lamplight_engine::{Config, EngineError, Notice};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::session::LivenessState;
use terminals_support::{Desk, end, until};

fn looking(home: &Home) -> Running {
    Running::with(Config { terminals: true, ..home.config() })
}

#[test]
fn who_starts_anew_in_a_pane_has_left_the_session_before_and_finds_it_in_the_archive_b53_b63_b64_b65() {
    let desk = Desk::new();
    let tmux = desk.tmux("work");
    let home = Home::new();
    let running = looking(&home);
    let (mut former, mut next) = (home.claude(1, "shop"), home.claude(2, "shop"));
    let other = home.claude(3, "shop");
    tmux.window(&format!("{}; {}", desk.agent("one"), desk.agent("two")));
    tmux.window(&desk.agent("beside"));
    former.prompt(running.now(), "the first");
    former.says(running.now(), "Done with the first.", 900);
    let file = former.registry(&home, desk.pid("one"), Some("idle"), running.now());
    let card = running.until_card(&former.name(), "its terminal", |c| c.terminal.is_some());
    let terminal = card.terminal.unwrap();
    assert_eq!((terminal.program.as_str(), terminal.name.as_str()), ("tmux", "work:1.0"));
    assert!(card.attention.is_some());
    let mut beside = other;
    beside.prompt(running.now(), "beside it");
    beside.says(running.now(), "Done beside it.", 100);
    beside.registry(&home, desk.pid("beside"), Some("idle"), running.now());
    running.until_card(&beside.name(), "its terminal", |c| c.terminal.is_some());

    // Nobody ended it in order: what it said still waits.
    end(desk.pid("one"));
    running.until_card(&former.name(), "its end", |c| c.liveness.state == LivenessState::Dead);
    assert!(running.card(&former.name()).attention.is_some(), "a lost terminal keeps what waits");

    // A start alone takes its place while it runs: it is the one in that terminal.
    next.registry(&home, desk.pid("two"), Some("idle"), running.now());
    running.until("one card for the pane", |s| find(s, &former.name()).is_none());
    let filed = running.filed(&former.key());
    assert_eq!(filed.superseded_by.as_deref(), Some(next.id.as_str()));
    assert!(former.path.exists() && file.exists(), "no file is touched");
    assert!(running.listed(10).contains(&former.name()), "and it is in the archive");
    assert!(running.shown(&beside.name()).is_some(), "another pane is another matter");
    next.prompt(running.now(), "the second");
    next.says(running.now(), "Done with the second.", 50);
    running.until_card(&next.name(), "its turn", |c| c.attention.is_some());
    running.stop();

    // It stays so over a restart, with every file read again.
    let running = looking(&home);
    running.settle();
    assert!(running.shown(&former.name()).is_none(), "it does not come back by itself");
    assert!(running.shown(&next.name()).is_some());

    // Resumed in the pane, it has its place back, and the other one has left.
    end(desk.pid("two"));
    tmux.window(&desk.agent("again"));
    former.registry(&home, desk.pid("again"), Some("idle"), running.now());
    let card = running.until_card(&former.name(), "its return", |c| c.liveness.state == LivenessState::Alive);
    assert_eq!(card.superseded_by, None);
    running.stop();
}

#[test]
fn who_looks_at_its_terminal_is_not_told_and_go_to_it_brings_it_there_x19() {
    let desk = Desk::new();
    let home = Home::new();
    let running = looking(&home);
    let notices = running.engine.notices();
    let mut asking = home.claude(1, "shop");
    let _one = desk.xterm(&desk.agent("one"));
    let pid = desk.pid("one");
    until("its window is known to the manager", || desk.windows().len() == 1);
    // Before it asks: the moment after which it is told runs from there.
    desk.bring(pid, &[]);
    let ask = |session: &mut checklist_support::agents::Claude, pid: u32| {
        session.prompt(running.now(), "do it");
        session.calls(running.now(), "Bash", serde_json::json!({"command": "make"}), 100);
        session.registry(&home, pid, Some("waiting: permission prompt"), running.now());
    };
    ask(&mut asking, pid);
    running.until_card(&asking.name(), "its window", |c| c.terminal.as_ref().is_some_and(|t| t.can_focus));
    let key = asking.key();
    until("its window in front", || running.engine.focus(&key).is_ok());
    let outcome_of = |name: &str| {
        let log = running.engine.notice_log(None, 10).unwrap().notices;
        log.iter().find(|e| e.session == name).map(|e| (e.outcome, e.why))
    };
    until("a word on it in the log", || {
        desk.touch();
        running.settle();
        outcome_of(&asking.name()).is_some()
    });
    assert_eq!(
        outcome_of(&asking.name()),
        Some((NoticeOutcome::HeldBack, Some(HeldBack::Attended))),
        "it was before them"
    );
    // Another one behind it is told.
    let mut behind = home.claude(2, "shop");
    let _two = desk.xterm(&desk.agent("two"));
    let behind_pid = desk.pid("two");
    until("both have windows", || desk.windows().len() == 2);
    desk.bring(behind_pid, &[pid]);
    until("the first in front of it", || {
        desk.touch();
        running.engine.focus(&key).is_ok()
            && is_in_front(pid) == Some(true)
            && is_in_front(behind_pid) == Some(false)
    });
    ask(&mut behind, behind_pid);
    until("a word on it in the log", || {
        running.settle();
        outcome_of(&behind.name()).is_some()
    });
    assert_eq!(outcome_of(&behind.name()), Some((NoticeOutcome::Told, None)));
    end(behind_pid);
    running.until_card(&behind.name(), "its end", |c| c.liveness.state == LivenessState::Dead);
    let refused = running.engine.focus(&behind.key());
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    let nobody = home.claude(9, "shop").key();
    assert!(matches!(running.engine.focus(&nobody), Err(EngineError::NotFound(_))));
    running.stop();
    assert_eq!(notices.iter().filter(|n| matches!(n, Notice::Show { .. })).count(), 1);
}
