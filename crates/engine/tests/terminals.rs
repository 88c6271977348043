//! Real terminals on a real X server: found, told apart, brought to the front.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]
#![cfg(target_os = "linux")]

mod terminals_support;

use lamplight_engine::terminals::{FocusError, focus, is_in_front, locate};
use terminals_support::{Desk, until};

#[test]
fn an_emulators_window_comes_to_the_front_and_is_known_to_be_there() {
    let desk = Desk::new();
    let one = desk.xterm(&desk.agent("one"));
    let two = desk.xterm(&desk.agent("two"));
    let (first, second) = (desk.pid("one"), desk.pid("two"));
    until("both have windows", || desk.windows().len() == 2);
    let shown = locate(first).unwrap();
    assert_eq!(shown.terminal.program, "xterm");
    assert!(shown.terminal.name.starts_with("pts/") && shown.terminal.can_focus, "{shown:?}");
    assert_ne!(shown.pane, locate(second).unwrap().pane);
    for _ in 0..2 {
        desk.bring(first, &[second]);
        desk.bring(second, &[first]);
    }
    drop((one, two));
    until("they are gone", || locate(first).is_none());
    assert_eq!(focus(first), Err(FocusError::NoTerminal));
    assert_eq!(is_in_front(first), None);
}

#[test]
fn a_pane_of_tmux_is_shown_by_whichever_terminal_shows_its_session() {
    let desk = Desk::new();
    let tmux = desk.tmux("the work");
    tmux.window(&desk.agent("one"));
    tmux.window(&desk.agent("two"));
    let (first, second) = (desk.pid("one"), desk.pid("two"));
    let shown = locate(second).unwrap();
    assert_eq!((shown.terminal.program.as_str(), shown.terminal.name.as_str()), ("tmux", "the work:2.0"));
    assert_ne!(shown.pane, locate(first).unwrap().pane);
    // Nobody sees it.
    assert_eq!(focus(second), Err(FocusError::Detached("tmux session the work".to_owned())));
    assert_eq!(is_in_front(second), Some(false));
    let _attached = desk.xterm(&tmux.attach());
    until("somebody is attached", || tmux.clients() == 1);
    let _other = desk.xterm(&desk.agent("other"));
    until("both have windows", || desk.windows().len() == 2);
    let other = desk.pid("other");
    desk.bring(other, &[first]);
    desk.bring(first, &[second, other]);
    desk.bring(second, &[first]);
    // A server that is gone takes its sessions along and harms nothing.
    drop(tmux);
    until("they are gone", || locate(second).is_none());
}

#[test]
fn an_xterm_started_inside_tmux_is_not_that_pane() {
    let desk = Desk::new();
    let tmux = desk.tmux("work");
    tmux.window(&format!("xterm -e {}", desk.agent("inner")));
    let inner = desk.pid("inner");
    until("it has a window", || locate(inner).is_some_and(|found| found.terminal.can_focus));
    assert_eq!(locate(inner).unwrap().terminal.program, "xterm");
    desk.bring(inner, &[]);
}

#[test]
fn a_window_of_screen_is_selected_in_the_terminal_that_shows_it() {
    let desk = Desk::new();
    let screen = desk.screen("lamp");
    screen.window(&desk.agent("one"));
    screen.window(&desk.agent("two"));
    let (first, second) = (desk.pid("one"), desk.pid("two"));
    let shown = locate(second).unwrap();
    assert_eq!((shown.terminal.program.as_str(), shown.terminal.name.as_str()), ("screen", "lamp:2"));
    assert!(matches!(focus(second), Err(FocusError::Detached(_))));
    let _attached = desk.xterm(&screen.attach());
    let _other = desk.xterm(&desk.agent("other"));
    until("both have windows", || desk.windows().len() == 2);
    desk.bring(desk.pid("other"), &[]);
    desk.bring(first, &[second]);
    desk.bring(second, &[first]);
}

#[test]
fn a_tab_of_kitty_is_focused_by_its_remote_control() {
    let desk = Desk::new();
    let kitty = desk.kitty(&desk.agent("one"));
    let first = desk.pid("one");
    kitty.tab(&desk.agent("two"));
    let second = desk.pid("two");
    let shown = locate(second).unwrap();
    assert_eq!((shown.terminal.program.as_str(), shown.terminal.can_focus), ("kitty", true));
    let _other = desk.xterm(&desk.agent("other"));
    until("both have windows", || desk.windows().len() == 2);
    desk.bring(desk.pid("other"), &[]);
    desk.bring(first, &[second]);
    desk.bring(second, &[first]);
}

#[test]
fn whoever_is_away_has_nothing_in_front_of_them() {
    // Of a process without a terminal, and of none at all, nothing is known.
    let alone = std::process::Command::new("setsid").args(["sleep", "60"]).spawn();
    let mut alone = alone.unwrap();
    until("it has left this terminal", || locate(alone.id()).is_none());
    assert_eq!((focus(alone.id()), is_in_front(alone.id())), (Err(FocusError::NoTerminal), None));
    alone.kill().unwrap();
    alone.wait().unwrap();
    assert_eq!(locate(u32::MAX), None);
}
