//! Checklist A, section F: what is over or old is kept, found, and never cut off.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{HOUR, Home, MINUTE, Process, append};
use checklist_support::running::{Running, find, name_of};
use lamplight_model::session::Lifecycle;

/// A session whose only turn was so long ago.
fn past(home: &Home, running: &Running, n: u32, hours: i64) -> checklist_support::agents::Claude {
    let mut session = home.claude(n, "api");
    let at = running.now().plus_ms(-hours * HOUR);
    session.prompt(at, &format!("task {n}"));
    session.says(at, &format!("done {n}"), 100);
    session
}

#[test]
fn old_sessions_are_in_the_archive_and_not_among_the_cards_a64() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let stale = past(&home, &running, 1, 30);
    let closed = past(&home, &running, 2, 31);
    let recent = past(&home, &running, 3, 1);
    let live = past(&home, &running, 4, 40);
    live.registry(&home, process.pid(), Some("busy"), running.now().plus_ms(-40 * HOUR));
    running.settle();
    assert_eq!(running.engine.close(Some(closed.id.as_str()), None).unwrap(), 1);
    running.settle();
    let status = running.status();
    let shown: Vec<String> = status.sessions.iter().map(name_of).collect();
    assert_eq!(shown, [recent.name(), live.name()], "what lives is never archived, however old");
    assert_eq!(status.archived, 2);
    assert_eq!(running.filed(&stale.key()).lifecycle, Lifecycle::Stale);
    assert_eq!(running.filed(&closed.key()).lifecycle, Lifecycle::Closed);
    assert_eq!(running.listed(50), [recent.name(), stale.name(), closed.name(), live.name()]);
}

#[test]
fn a_session_leaves_the_cards_when_it_is_closed_and_its_window_has_passed_a64() {
    use checklist_support::clocked::{Clocked, T0};
    let home = Home::new();
    let mut clocked = Clocked::new(home.config());
    let mut session = home.claude(1, "api");
    session.prompt(T0, "go");
    clocked.read(&session.key(), None, &session.path, T0);
    assert!(find(&clocked.status(T0), &session.name()).is_some());
    let end = T0.plus_ms(4 * HOUR);
    clocked.pass(end);
    assert!(find(&clocked.status(end), &session.name()).is_some());
    let after = end.plus_ms(1);
    clocked.pass(after);
    let status = clocked.status(after);
    assert!(find(&status, &session.name()).is_none());
    assert_eq!(status.archived, 1, "counted where it went");
}

#[test]
fn the_archive_has_no_cap_and_pages_hold_only_real_sessions_a65_a66_a68() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut wanted = Vec::new();
    for n in 1..=130_u32 {
        wanted.push(past(&home, &running, n, 10 + i64::from(n)).name());
    }
    // Younger than all of them, and nothing in them: they must not take the places of real ones.
    for n in 1_000..1_150 {
        append(&home.claude(n, "empty").path, "{\"type\":\"file-history-snapshot\",\"messageId\":\"x\"}\n");
    }
    running.settle();
    let pages = running.pages(50);
    let sizes: Vec<usize> = pages.iter().map(|p| p.sessions.len()).collect();
    assert_eq!(sizes, [50, 50, 30], "full pages, however many empty ones there are");
    assert!(pages.iter().all(|p| p.total == 130));
    let listed: Vec<String> = pages.iter().flat_map(|p| p.sessions.iter().map(name_of)).collect();
    assert_eq!(listed, wanted, "every one, the most recent first");
    let status = running.status();
    assert_eq!((status.hidden.zombie, status.archived), (150, 130), "what is hidden is counted");
    assert_eq!(running.engine.totals().unwrap().sessions, 280);
}

#[test]
fn what_subagents_spent_counts_as_a_sign_of_life_a67() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut fan_out = home.claude(1, "api");
    append(&fan_out.path, "{\"type\":\"file-history-snapshot\",\"messageId\":\"x\"}\n");
    running.settle();
    assert_eq!(running.listed(50), Vec::<String>::new());
    assert_eq!(running.status().hidden.zombie, 1);
    let at = running.now().plus_ms(-30 * HOUR);
    fan_out.subagent_says("a1", at, "seven tokens in, three out");
    running.settle();
    assert_eq!(running.listed(50), [fan_out.name()]);
    assert_eq!(running.status().hidden.zombie, 0);
    let card = running.filed(&fan_out.key());
    assert_eq!(card.tokens.map(|t| (t.input, t.output)), Some((7, 3)));
    assert!(card.cost_usd.is_some_and(|usd| usd > 0.0));
}

#[test]
fn an_archived_session_opens_in_full_a70() {
    let home = Home::new();
    let running = Running::start(&home);
    let session = past(&home, &running, 1, 24 * 60);
    running.settle();
    let page = running.engine.sessions(Some("task 1"), None, 10).unwrap();
    let key = running.engine.find(&name_of(&page.sessions[0])).unwrap();
    assert_eq!(key, session.key());
    assert_eq!(running.engine.find(session.id.as_str()).unwrap(), key, "by its bare id as well");
    let detail = running.engine.session(&key).unwrap().unwrap();
    let said: Vec<&str> = detail.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(said, ["task 1", "done 1"]);
    assert_eq!((detail.prompts, detail.responses), (1, 1));
    assert_eq!(detail.first_prompt.as_deref(), Some("task 1"));
}

#[test]
fn the_place_in_the_archive_is_that_of_the_last_activity_a71() {
    let home = Home::new();
    let running = Running::start(&home);
    let older = past(&home, &running, 1, 50);
    let younger = past(&home, &running, 2, 40);
    running.settle();
    let before = running.listed(50);
    assert_eq!(before, [younger.name(), older.name()]);
    assert_eq!(running.engine.close(Some(older.id.as_str()), None).unwrap(), 1);
    running.engine.set_label(&older.key(), Some("named today")).unwrap();
    running.settle();
    assert_eq!(running.listed(50), before, "neither a close nor a name makes it younger");
}

#[test]
fn an_empty_screen_still_says_that_there_is_history_a72() {
    let home = Home::new();
    let running = Running::start(&home);
    let status = running.status();
    assert_eq!((status.sessions.len(), status.archived), (0, 0), "nothing has ever run");
    past(&home, &running, 1, 100);
    running.settle();
    let status = running.status();
    assert_eq!((status.sessions.len(), status.archived), (0, 1), "the archive counts");
    let mut now = home.claude(2, "api");
    now.prompt(running.now().plus_ms(-MINUTE), "go");
    running.settle();
    let status = running.status();
    assert_eq!((status.sessions.len(), status.archived), (1, 1));
}
