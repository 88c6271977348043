//! What became of telling about each cause: told once, held back with a reason, taken back; and the user's own command.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::process::Command;

use checklist_support::agents::{Claude, Home, MINUTE, Process};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, count, database};
use lamplight_engine::config::Notify;
use lamplight_engine::store::Store;
use lamplight_engine::{Config, Engine, Notice};
use lamplight_model::attention::CauseKind;
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::view::NoticeView;

/// A live session that waits for a permission from now on.
fn asks(home: &Home, running: &Running, session: &mut Claude) -> Process {
    let process = Process::sleeping();
    session.prompt(running.now(), "do it");
    session.calls(running.now(), "Bash", serde_json::json!({"command": "make"}), 100);
    session.registry(home, process.pid(), Some("waiting: permission prompt"), running.now());
    process
}

fn log(engine: &Engine) -> Vec<NoticeView> {
    engine.notice_log(None, 100).unwrap().notices
}

fn told(entry: &NoticeView) -> (CauseKind, NoticeOutcome, Option<HeldBack>) {
    (entry.cause, entry.outcome, entry.why)
}

/// Waits until the log says what became of a session's cause.
fn until_logged(running: &Running, session: &Claude, what: &str) -> NoticeView {
    let found = |engine: &Engine| log(engine).into_iter().find(|entry| entry.session == session.name());
    running.until(what, |_| found(&running.engine).is_some());
    found(&running.engine).unwrap()
}

#[test]
fn a_cause_is_told_once_and_taken_back_when_it_is_seen_to_x18() {
    let home = Home::new();
    let running = Running::start(&home);
    let notices = running.engine.notices();
    let mut session = home.claude(1, "shop");
    let process = asks(&home, &running, &mut session);
    let entry = until_logged(&running, &session, "the notice");
    assert_eq!(told(&entry), (CauseKind::Permission, NoticeOutcome::Told, None));
    let card = running.until_card(&session.name(), "the moment", |c| {
        c.attention.as_ref().is_some_and(|a| a.notified_at_ms.is_some())
    });
    assert_eq!(entry.label, card.label);
    session.registry(&home, process.pid(), Some("busy"), running.now());
    running.until_card(&session.name(), "the answer", |c| c.attention.is_none());
    running.settle();
    let entries = log(&running.engine);
    assert_eq!(
        entries.iter().map(|e| e.outcome).collect::<Vec<_>>(),
        [NoticeOutcome::Withdrawn, NoticeOutcome::Told],
        "the newest first"
    );
    let page = running.engine.notice_log(None, 1).unwrap();
    let rest = running.engine.notice_log(page.next.as_deref(), 1).unwrap();
    assert_eq!((&page.notices[0], &rest.notices[0], rest.next), (&entries[0], &entries[1], None));
    assert!(running.engine.notice_log(Some("nonsense"), 1).is_err());
    running.stop();
    let sent: Vec<Notice> = notices.iter().collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[test]
fn what_is_seen_to_within_its_grace_is_never_sent() {
    let home = Home::new();
    let running = Running::start(&home);
    let notices = running.engine.notices();
    let mut session = home.claude(1, "shop");
    let process = asks(&home, &running, &mut session);
    running.until_card(&session.name(), "the prompt", |c| c.attention.is_some());
    session.registry(&home, process.pid(), Some("busy"), running.now());
    let entry = until_logged(&running, &session, "the end of it");
    assert_eq!(told(&entry), (CauseKind::Permission, NoticeOutcome::Resolved, None));
    running.stop();
    assert_eq!(notices.iter().count(), 0);
}

#[test]
fn what_is_held_back_says_why_and_is_not_told_later_x19() {
    for (notify, why) in [
        (Notify { muted: vec![CauseKind::Reply], ..Notify::default() }, "kind"),
        (Notify { muted_projects: vec!["shop".to_owned()], ..Notify::default() }, "project"),
        (Notify { enabled: false, ..Notify::default() }, "off"),
    ] {
        let home = Home::new();
        let config = Config { notify, ..home.config() };
        fs::create_dir_all(home.data_dir()).unwrap();
        let open = || Store::open(&home.data_dir(), false).unwrap();
        let mut clocked = Clocked::over(open(), config, T0);
        let mut session = home.claude(1, "shop");
        session.prompt(T0.plus_ms(1_000), "do it");
        session.says(T0.plus_ms(2_000), "done", 100);
        clocked.read(&session.key(), None, &session.path, T0.plus_ms(2_100));
        let entries = || count(&home, "SELECT count(*) FROM notices");
        assert_eq!(entries(), 0, "its grace runs");
        clocked.pass(T0.plus_ms(13_000));
        let text: String = database(&home)
            .query_row("SELECT kind || ' ' || outcome || ' ' || why FROM notices", [], |row| row.get(0))
            .unwrap();
        assert_eq!(text, format!("reply held_back {why}"));
        let attention = clocked.card(&session.key(), T0.plus_ms(13_000)).attention.unwrap();
        assert_eq!(attention.notified_at_ms, None, "it was not told");
        // Neither when the reason is gone, nor after a restart.
        drop(clocked);
        let mut clocked = Clocked::over(open(), home.config(), T0.plus_ms(14_000));
        clocked.pass(T0.plus_ms(60_000));
        assert_eq!(entries(), 1, "{why}");
    }
}

#[test]
fn what_quiet_hours_held_back_is_told_once_when_they_are_over_x18_x19() {
    let home = Home::new();
    let quiet = Notify { quiet: Some((0, 24 * 60)), ..Notify::default() };
    let quiet = || Config { notify: quiet.clone(), ..home.config() };
    fs::create_dir_all(home.data_dir()).unwrap();
    let open = || Store::open(&home.data_dir(), false).unwrap();
    let log = || {
        let db = database(&home);
        let mut all =
            db.prepare("SELECT outcome || ' ' || coalesce(why, '') FROM notices ORDER BY id").unwrap();
        all.query_map([], |row| row.get::<_, String>(0)).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let mut clocked = Clocked::over(open(), quiet(), T0);
    let mut sessions = [1, 2, 3].map(|n| home.claude(n, "shop"));
    for session in &mut sessions {
        session.prompt(T0.plus_ms(1_000), "do it");
        session.says(T0.plus_ms(2_000), "done", 100);
        clocked.read(&session.key(), None, &session.path, T0.plus_ms(2_100));
    }
    clocked.pass(T0.plus_ms(13_000));
    assert_eq!(log(), ["held_back quiet_hours"; 3]);
    clocked.pass(T0.plus_ms(60 * MINUTE));
    assert_eq!(log().len(), 3, "nothing is said of it again");
    // One is answered meanwhile; the machine is started anew, and it is still night.
    sessions[0].prompt(T0.plus_ms(61 * MINUTE), "thanks");
    clocked.read(&sessions[0].key(), None, &sessions[0].path, T0.plus_ms(61 * MINUTE));
    drop(clocked);
    let mut clocked = Clocked::over(open(), quiet(), T0.plus_ms(62 * MINUTE));
    clocked.pass(T0.plus_ms(63 * MINUTE));
    assert_eq!(log().len(), 3, "nor after a restart");
    // Morning: the settings are the day's.
    let later = T0.plus_ms(64 * MINUTE);
    clocked.reconfigure(&home.config(), later);
    clocked.pass(later);
    assert_eq!(log()[3..], ["grouped ", "grouped "], "two together, the answered one not");
    clocked.pass(later.plus_ms(MINUTE));
    assert_eq!(log().len(), 5, "once");
}

#[test]
fn a_night_of_more_than_twelve_hours_ends_with_what_is_still_news_x18() {
    let home = Home::new();
    let quiet = Config { notify: Notify { quiet: Some((0, 24 * 60)), ..Notify::default() }, ..home.config() };
    fs::create_dir_all(home.data_dir()).unwrap();
    let mut clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), quiet, T0);
    let mut session = home.claude(1, "shop");
    session.prompt(T0.plus_ms(1_000), "do it");
    session.says(T0.plus_ms(2_000), "done", 100);
    clocked.read(&session.key(), None, &session.path, T0.plus_ms(2_100));
    clocked.pass(T0.plus_ms(13_000));
    let late = T0.plus_ms(13 * 60 * MINUTE);
    clocked.reconfigure(&home.config(), late);
    clocked.pass(late);
    assert_eq!(count(&home, "SELECT count(*) FROM notices WHERE outcome IN ('told', 'grouped')"), 0);
}

#[test]
fn a_pause_ends_with_one_word_on_what_it_held_back() {
    let home = Home::new();
    let running = Running::start(&home);
    let notices = running.engine.notices();
    running.engine.pause_notices(true);
    let mut sessions = [1, 2].map(|n| home.claude(n, "shop"));
    let _processes = sessions.each_mut().map(|session| asks(&home, &running, session));
    // Nothing on the cards changes with it, so that no change tells of it.
    let began = std::time::Instant::now();
    while log(&running.engine).len() < 2 {
        assert!(began.elapsed().as_secs() < 60, "no reason in the log");
        running.settle();
    }
    for entry in log(&running.engine) {
        assert_eq!(told(&entry), (CauseKind::Permission, NoticeOutcome::HeldBack, Some(HeldBack::Paused)));
    }
    running.engine.pause_notices(false);
    running.settle();
    running.stop();
    let sent: Vec<Notice> = notices.iter().collect();
    let [Notice::Show { title, cause_ids, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((title.as_str(), cause_ids.len()), ("While it was quiet: 2 sessions need you", 2));
}

#[test]
fn a_pause_that_ends_in_quiet_hours_tells_what_those_let_through() {
    let home = Home::new();
    let quiet = Notify { quiet: Some((0, 24 * 60)), quiet_lets_blocked_through: true, ..Notify::default() };
    let running = Running::with(Config { notify: quiet, ..home.config() });
    running.engine.pause_notices(true);
    let mut session = home.claude(1, "shop");
    let _process = asks(&home, &running, &mut session);
    let began = std::time::Instant::now();
    let outcomes = || log(&running.engine).iter().map(|e| (e.outcome, e.why)).collect::<Vec<_>>();
    while outcomes() != [(NoticeOutcome::HeldBack, Some(HeldBack::Paused))] {
        assert!(began.elapsed().as_secs() < 60, "no reason in the log");
        running.settle();
    }
    running.engine.pause_notices(false);
    running.settle();
    assert_eq!(outcomes()[0], (NoticeOutcome::Told, None));
    running.stop();
}

#[test]
fn what_its_person_looks_at_is_not_told() {
    let home = Home::new();
    let running = Running::start(&home);
    let (mut seen, mut other) = (home.claude(1, "shop"), home.claude(2, "shop"));
    running.engine.attend(Some(seen.name()));
    let _seen = asks(&home, &running, &mut seen);
    running.until_card(&seen.name(), "the first", |c| c.attention.is_some());
    let _other = asks(&home, &running, &mut other);
    assert_eq!(until_logged(&running, &other, "the other").outcome, NoticeOutcome::Told);
    let entry = log(&running.engine).into_iter().find(|e| e.session == seen.name()).unwrap();
    assert_eq!(told(&entry), (CauseKind::Permission, NoticeOutcome::HeldBack, Some(HeldBack::Attended)));
}

#[test]
fn what_stood_before_the_first_look_is_written_down_as_that() {
    let home = Home::new();
    let mut session = home.claude(1, "shop");
    let now = lamplight_engine::clock::now();
    session.prompt(now.plus_ms(-2 * MINUTE), "do it");
    session.says(now.plus_ms(-MINUTE), "done", 100);
    let process = Process::sleeping();
    session.registry(&home, process.pid(), Some("idle"), now.plus_ms(-MINUTE));
    let running = Running::start(&home);
    running.settle();
    let entries = log(&running.engine);
    assert_eq!(
        entries.iter().map(told).collect::<Vec<_>>(),
        [(CauseKind::Reply, NoticeOutcome::HeldBack, Some(HeldBack::Before))]
    );
}

#[test]
fn the_users_own_command_reads_the_cause_as_json() {
    let home = Home::new();
    let pipe = home.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let command = ["sh", "-c", "cat > \"$1\"", "sh", pipe.to_str().unwrap()].map(str::to_owned).to_vec();
    let notify = Notify { command, ..Notify::default() };
    let running = Running::with(Config { notify, ..home.config() });
    let mut session = home.claude(1, "shop");
    let _process = asks(&home, &running, &mut session);
    // Ends when the command has written.
    let text = fs::read_to_string(&pipe).unwrap();
    let cause: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(cause["cause"], "permission");
    assert_eq!(cause["tier"], 1);
    assert_eq!(cause["session_id"], session.id.as_str());
    assert_eq!(cause["why"], "Needs permission to run a command");
    assert_eq!(cause["preview"], "make");
    assert_eq!(cause["project"], "shop");
}

#[test]
fn a_clock_that_is_set_back_holds_no_word_up() {
    let home = Home::new();
    fs::create_dir_all(home.data_dir()).unwrap();
    let mut clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), home.config(), T0);
    let mut session = home.claude(1, "shop");
    session.prompt(T0.plus_ms(60 * MINUTE), "do it");
    session.says(T0.plus_ms(60 * MINUTE + 1_000), "done", 100);
    clocked.read(&session.key(), None, &session.path, T0.plus_ms(60 * MINUTE + 1_100));
    let entries = || count(&home, "SELECT count(*) FROM notices WHERE outcome = 'told'");
    // Two seconds later, by the running time, it is an hour earlier.
    let now = T0.plus_ms(3_100);
    clocked.core.clock_set_back(60 * MINUTE, now);
    clocked.pass(now);
    assert_eq!(entries(), 0, "its grace runs");
    clocked.pass(now.plus_ms(9_000));
    assert_eq!(entries(), 1, "ten seconds are ten seconds");
    let card = clocked.card(&session.key(), now.plus_ms(9_000));
    assert!(card.attention.unwrap().notified_at_ms.is_some());
}

#[test]
fn what_begins_after_a_clock_was_set_back_is_news() {
    let home = Home::new();
    fs::create_dir_all(home.data_dir()).unwrap();
    let open = || Store::open(&home.data_dir(), false).unwrap();
    let told = || count(&home, "SELECT count(*) FROM notices WHERE outcome = 'told'");
    // The machine starts with a clock that is two hours ahead, and so does the engine.
    let ahead = T0.plus_ms(120 * MINUTE);
    let mut clocked = Clocked::over(open(), home.config(), ahead);
    clocked.core.clock_set_back(120 * MINUTE, T0);
    let mut session = home.claude(1, "shop");
    let mut asks_at = |clocked: &mut Clocked, at: i64| {
        session.prompt(T0.plus_ms(at), "do it");
        session.says(T0.plus_ms(at + 1_000), "done", 100);
        clocked.read(&session.key(), None, &session.path, T0.plus_ms(at + 1_100));
        clocked.pass(T0.plus_ms(at + 12_000));
    };
    asks_at(&mut clocked, 4_000);
    assert_eq!(told(), 1);
    // A start, with a last look that lies ahead of it.
    drop(clocked);
    database(&home)
        .execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('seen_until_ms', ?1)",
            [ahead.0.to_string()],
        )
        .unwrap();
    let mut clocked = Clocked::over(open(), home.config(), T0.plus_ms(30_000));
    asks_at(&mut clocked, 40_000);
    assert_eq!(told(), 2);
}
