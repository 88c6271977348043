//! Which session is worth resuming: by facts, the one active last first.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use checklist_support::agents::{Claude, HOUR, Home, MINUTE, Process};
use checklist_support::running::Running;
use lamplight_engine::Wanted;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::session::ResumeFailure;

fn used_before(home: &Home, n: u32, project: &str, now: Timestamp, age: i64) -> Claude {
    let mut session = home.claude(n, project);
    session.prompt(now.plus_ms(-age - 1_000), "go");
    session.says(now.plus_ms(-age), "done", 100);
    session
}

/// The id that is offered, or the sentence.
fn offered(running: &Running, project: Option<&str>) -> Result<String, String> {
    let wanted = Wanted { project, agent: None };
    running.engine.viable(wanted).unwrap().map(|card| card.session_id)
}

#[test]
fn the_latest_that_nothing_speaks_against_is_offered_b77_b78() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let mut runs = Process::sleeping();
    let live = used_before(&home, 1, "api", now, MINUTE);
    live.registry(&home, runs.pid(), Some("idle"), now);
    let fails = used_before(&home, 2, "api", now, 2 * MINUTE);
    let lost = used_before(&home, 3, "gone", now, 3 * MINUTE);
    let deleted = used_before(&home, 4, "api", now, 4 * MINUTE);
    let fit = used_before(&home, 5, "api", now, 5 * MINUTE);
    used_before(&home, 6, "api", now, 25 * HOUR);
    let running = Running::start(&home);
    running.engine.resume_failed(&fails.key(), ResumeFailure::NotFound).unwrap();
    running.engine.barrier().unwrap();
    std::fs::remove_dir_all(&lost.cwd).unwrap();
    std::fs::remove_file(&deleted.path).unwrap();
    assert_eq!(offered(&running, None), Ok(fit.id.as_str().to_owned()));
    assert_eq!(offered(&running, Some("api")), Ok(fit.id.as_str().to_owned()));
    // Its failure holds until it goes on.
    std::fs::remove_file(&fit.path).unwrap();
    let why = offered(&running, Some("api")).unwrap_err();
    assert_eq!(
        why,
        "No session of project \"api\" is worth resuming. Of those used within the last 24 h: 1 runs, 1 could not be \
         resumed last time, 2 have no transcript."
    );
    let mut fails = fails;
    fails.prompt(running.now(), "again");
    fails.says(running.now(), "it worked", 100);
    running.settle();
    assert_eq!(offered(&running, None), Ok(fails.id.as_str().to_owned()));
    runs.end();
    let codex = Wanted { agent: Some(Agent::Codex), ..Wanted::default() };
    let why = running.engine.viable(codex).unwrap().map(|card| card.session_id);
    assert_eq!(why, Err("No codex session was used within the last 24 h.".to_owned()));
}

#[test]
fn what_may_run_where_nobody_can_look_is_no_attempt() {
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    let session = used_before(&home, 1, "api", now, MINUTE);
    session.registry_in(&home, 7, Some("idle"), now, Some("linux:0f0f:pid:[1]"));
    let running = Running::start(&home);
    let why = offered(&running, None).unwrap_err();
    assert!(why.ends_with("1 may run where nobody can look."), "{why}");
}
