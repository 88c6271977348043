//! What is told, and what is not.

use lamplight_engine::config::Notify;
use lamplight_engine::core::Core;
use lamplight_engine::facts::{FileRole, Input, RegistryUpdate};
use lamplight_engine::sources::tail::{Flow, Limits, Position, Tailer};
use lamplight_engine::store::Store;
use lamplight_engine::{CauseAction, Config, Engine, Notice};
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionKey};
use lamplight_model::notice::NoticeOutcome;
use lamplight_model::session::{RegistryStatus, TurnState, Validity};
use serde_json::json;

use super::work::{clean, dirty, repository};
use super::{Case, PID, at, kind, registry, removed, waits};
use crate::checklist_support::agents::{Claude, HOUR, Home, MINUTE, Process};
use crate::checklist_support::clocked::T0;
use crate::checklist_support::running::{Running, database};

/// A killed session is opened again before its notice.
#[test]
fn whoever_resumes_a_crashed_session_at_once_is_not_told_of_it() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    case.run_until(at(61_000));
    assert_eq!(kind(&case.card(at(61_000))), Some(CauseKind::Crashed));
    let key = case.key.clone();
    case.put(
        registry(&key, 4_194_002, RegistryStatus::Idle, Validity::Valid, at(65_000), at(65_000)),
        at(65_000),
    );
    case.run_until(at(66_000));
    case.run_until(at(120_000));
    let log = case.log();
    assert!(!log.iter().any(|l| l.ends_with("told")), "{log:?}");
}

/// A killed session is opened again after its notice.
#[test]
fn a_notice_of_a_crash_is_taken_back_once_the_session_runs_again() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    case.run_until(at(80_000));
    assert_eq!(case.log(), ["crashed told"]);
    let key = case.key.clone();
    case.put(
        registry(&key, 4_194_002, RegistryStatus::Idle, Validity::Valid, at(90_000), at(90_000)),
        at(90_000),
    );
    case.run_until(at(120_000));
    assert_eq!(case.log(), ["crashed told", "crashed withdrawn"]);
}

/// A session crashes at night and leaves work.
#[test]
fn a_session_with_two_causes_is_one_session_in_the_summary_after_a_night() {
    let (mut case, mut session) = Case::with(Notify { quiet: Some((0, 24 * 60)), ..Notify::default() });
    let root = repository(&case.home);
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(clean(&root, at(500)), at(500));
    case.put(dirty(&root, 7, at(20_000)), at(20_000));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    case.run_until(at(10 * MINUTE));
    assert_eq!(case.log(), ["crashed held_back quiet_hours", "uncommitted held_back quiet_hours"]);
    let day = case.home.config();
    case.clocked.reconfigure(&day, at(11 * MINUTE));
    case.run_until(at(12 * MINUTE));
    assert_eq!(case.log()[2..], ["crashed grouped", "uncommitted grouped"]);
    let title = case.clocked.core.take_notices().into_iter().find_map(|notice| match notice {
        Notice::Show { title, session, .. } => Some((title, session.is_some())),
        Notice::Withdraw { .. } => None,
    });
    assert_eq!(title, Some(("While it was quiet: 1 session needs you".to_owned(), true)));
}

/// Three hundred sessions ask in one moment.
#[test]
fn three_hundred_that_ask_at_once_are_one_notice() {
    let (mut case, _) = Case::new();
    let keys: Vec<SessionKey> = (1..=300).map(|n| case.home.claude(n, "shop").key()).collect();
    for (key, pid) in keys.iter().zip(4_000_000..) {
        case.put(registry(key, pid, waits(), Validity::Valid, T0, at(1_000)), at(1_000));
    }
    case.run_until(at(10_000));
    assert_eq!(case.log(), vec!["permission grouped"; 300]);
}

/// The engine is stopped while a grace runs, and once more later.
#[test]
fn a_restart_in_the_middle_of_a_grace_tells_once() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    session.says(at(5_000), "Done.", 100);
    case.read(&session, at(5_100));
    case.run_until(at(8_000));
    let mut case = case.restarted(at(8_000), at(MINUTE));
    case.run_until(at(2 * MINUTE));
    let mut case = case.restarted(at(2 * MINUTE), at(3 * MINUTE));
    case.run_until(at(4 * MINUTE));
    assert_eq!(case.log(), ["reply told"]);
}

/// A prompt that was queued begins the next turn at once.
#[test]
fn a_prompt_that_was_queued_lets_nobody_be_called_between_two_turns() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.registry(RegistryStatus::Busy, at(10));
    case.read(&session, at(100));
    session.says(at(20_000), "Done.", 100);
    case.read(&session, at(20_050));
    assert!(case.card(at(20_051)).attention.is_none());
    session.prompt(at(20_200), "and this");
    case.read(&session, at(20_250));
    case.run_until(at(60_000));
    assert_eq!(case.card(at(60_000)).turn_state, TurnState::Working);
    assert!(case.log().is_empty());
}

/// Night falls while a grace runs; the engine is restarted in it.
#[test]
fn quiet_hours_that_begin_while_a_grace_runs_put_the_word_off_to_their_end() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    session.says(at(5_000), "Done.", 100);
    case.read(&session, at(5_100));
    let day = case.home.config();
    let night = Config { notify: Notify { quiet: Some((0, 24 * 60)), ..Notify::default() }, ..day.clone() };
    case.run_until(at(8_000));
    case.clocked.reconfigure(&night, at(8_000));
    case.run_until(at(HOUR));
    let mut case = case.restarted(at(HOUR), at(2 * HOUR));
    case.clocked.reconfigure(&night, at(2 * HOUR));
    case.run_until(at(3 * HOUR));
    assert_eq!(case.log(), ["reply held_back quiet_hours"]);
    case.clocked.reconfigure(&day, at(4 * HOUR));
    case.run_until(at(5 * HOUR));
    assert_eq!(case.log()[1..], ["reply told"]);
}

fn asks(home: &Home, running: &Running, session: &mut Claude) -> Process {
    let process = Process::sleeping();
    session.prompt(running.now(), "do it");
    session.calls(running.now(), "Bash", json!({"command": "make"}), 100);
    session.registry(home, process.pid(), Some("waiting: permission prompt"), running.now());
    process
}

fn outcomes(engine: &Engine) -> Vec<NoticeOutcome> {
    engine.notice_log(None, 100).unwrap().notices.into_iter().map(|n| n.outcome).rev().collect()
}

/// Waits for what changes nothing on the cards.
fn until_logged(running: &Running, what: &str, is_there: impl Fn(&[NoticeOutcome]) -> bool) {
    let began = std::time::Instant::now();
    while !is_there(&outcomes(&running.engine)) {
        assert!(began.elapsed().as_secs() < 60, "{what}: {:?}", outcomes(&running.engine));
        running.settle();
    }
}

/// A dialog is put off until something changes, and something does.
#[test]
fn what_was_put_off_until_it_changes_is_told_when_it_has() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "shop");
    let process = asks(&home, &running, &mut session);
    let cause =
        running.until_card(&session.name(), "the prompt", |c| c.attention.is_some()).attention.unwrap();
    running.engine.set_cause(&cause.cause_id, CauseAction::SnoozeUntilChange).unwrap();
    running.settle();
    session.registry(&home, process.pid(), Some("waiting: permission prompt"), running.now());
    session.calls(running.now(), "Read", json!({"file_path": "/x"}), 120);
    running
        .until_card(&session.name(), "its call", |c| c.attention.as_ref().is_some_and(|a| !a.until_change));
    until_logged(&running, "told", |all| all.contains(&NoticeOutcome::Told));
}

/// A snooze is taken back within its grace.
#[test]
fn a_snooze_that_is_taken_back_is_as_if_it_had_not_been() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut sessions = [home.claude(1, "shop"), home.claude(2, "shop")];
    let mut processes = Vec::new();
    for (session, action) in sessions
        .iter_mut()
        .zip([CauseAction::SnoozeUntilChange, CauseAction::Snooze { until_ms: running.now().0 + HOUR }])
    {
        processes.push(asks(&home, &running, session));
        let cause =
            running.until_card(&session.name(), "the prompt", |c| c.attention.is_some()).attention.unwrap();
        running.engine.set_cause(&cause.cause_id, action).unwrap();
        running.engine.set_cause(&cause.cause_id, CauseAction::Restore).unwrap();
    }
    until_logged(&running, "both told", |all| {
        all.iter().filter(|o| matches!(o, NoticeOutcome::Told)).count() == 2
    });
}

/// A pause that held back what blocks ends in quiet hours.
#[test]
fn a_pause_that_ends_at_night_lets_through_what_the_night_does() {
    let home = Home::new();
    let notify = Notify { quiet: Some((0, 24 * 60)), quiet_lets_blocked_through: true, ..Notify::default() };
    let running = Running::with(Config { notify, ..home.config() });
    let notices = running.engine.notices();
    running.engine.pause_notices(true);
    let mut session = home.claude(1, "shop");
    let _process = asks(&home, &running, &mut session);
    until_logged(&running, "paused", |all| all.contains(&NoticeOutcome::HeldBack));
    running.engine.pause_notices(false);
    until_logged(&running, "told", |all| all.contains(&NoticeOutcome::Told));
    running.stop();
    assert_eq!(notices.iter().filter(|n| matches!(n, Notice::Show { .. })).count(), 1);
}

/// A person branches a session whose turn was told, and resumes one whose turn was not.
#[test]
fn whoever_opens_a_session_is_not_told_how_it_stands() {
    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.prompt(at(0), "go");
    session.says(at(1_000), "Done.", 100);
    case.read(&session, at(1_010));
    case.registry(RegistryStatus::Idle, at(1_020));
    case.run_until(at(5 * MINUTE));
    let mut branch = case.home.claude(2, "shop");
    branch.prompt(at(0), "go");
    branch.says(at(1_000), "Done.", 100);
    let opened = at(5 * MINUTE);
    case.put(registry(&branch.key(), PID, RegistryStatus::Idle, Validity::Valid, T0, opened), opened);
    case.read(&branch, opened);
    case.run_until(at(6 * MINUTE));
    assert_eq!(case.clocked.card(&branch.key(), at(6 * MINUTE)).turn_state, TurnState::AwaitingReply);
    assert_eq!(case.log(), ["reply told", "reply withdrawn", "reply held_back opened"]);

    // What it is asked there is told.
    branch.prompt(at(7 * MINUTE), "and");
    branch.says(at(8 * MINUTE), "Done too.", 100);
    case.read(&branch, at(8 * MINUTE));
    case.run_until(at(9 * MINUTE));
    assert_eq!(case.log()[3..], ["reply told"]);

    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.prompt(at(0), "go");
    session.says(at(1_000), "Done.", 100);
    case.read(&session, at(1_010));
    case.registry(RegistryStatus::Idle, at(1_020));
    case.put(removed(&case.key.clone(), PID, at(5_000)), at(5_000));
    case.run_until(at(MINUTE));
    let resumed =
        registry(&case.key, 4_194_007, RegistryStatus::Idle, Validity::Valid, at(MINUTE), at(MINUTE));
    case.put(resumed, at(MINUTE));
    case.run_until(at(2 * MINUTE));
    assert!(case.card(at(2 * MINUTE)).attention.is_some(), "it is shown");
    assert_eq!(case.log(), ["reply resolved", "reply held_back opened"]);
}

/// A session dies in quiet hours, and its person opens it in them.
#[test]
fn what_its_person_opened_at_night_is_not_told_in_the_morning() {
    let (mut case, mut session) = Case::new();
    let day = case.home.config();
    let night = Config { notify: Notify { quiet: Some((0, 24 * 60)), ..Notify::default() }, ..day.clone() };
    case.clocked.reconfigure(&night, at(0));
    case.registry(RegistryStatus::Busy, at(0));
    session.prompt(at(0), "go");
    session.says(at(1_000), "Done.", 100);
    case.read(&session, at(1_010));
    case.registry(RegistryStatus::Idle, at(1_020));
    case.put(Input::ProcessExited { pid: PID, at: at(5_000) }, at(5_000));
    case.run_until(at(MINUTE));
    let resumed =
        registry(&case.key, 4_194_007, RegistryStatus::Idle, Validity::Valid, at(MINUTE), at(MINUTE));
    case.put(resumed, at(MINUTE));
    case.run_until(at(2 * MINUTE));
    case.clocked.reconfigure(&day, at(HOUR));
    case.run_until(at(2 * HOUR));
    let log = case.log();
    assert_eq!(log.last().map(String::as_str), Some("reply held_back opened"), "{log:?}");
    assert!(!log.iter().any(|line| line.ends_with("told")), "{log:?}");
}

/// The fold has changed since: at the start the transcript is read anew, piece by piece.
#[test]
fn a_transcript_that_is_read_anew_raises_nothing_while_half_of_it_is_read() {
    let (mut case, mut session) = Case::new();
    for turn in 0..3 {
        session.prompt(at(turn * 10_000), "go on");
        session.says(at(turn * 10_000 + 2_000), "Done.", 100);
    }
    case.read(&session, at(22_100));
    case.registry(RegistryStatus::Idle, at(22_100));
    case.run_until(at(60_000));
    let Case { home, clocked, key } = case;
    let causes = || {
        let db = database(&home);
        let mut select = db
            .prepare(
                "SELECT kind, since_ms, cleared_at_ms IS NULL, notified_at_ms FROM causes ORDER BY since_ms",
            )
            .unwrap();
        let rows = select.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, Option<i64>>(3)?,
            ))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let before = causes();
    assert!(before.iter().any(|(kind, _, is_open, told)| kind == "reply" && *is_open && told.is_some()));
    drop(clocked.core.restarted(at(61_000)).unwrap());
    let store = Store::open(&home.data_dir(), false).unwrap();
    let mut core = Core::new(store, home.config(), at(70_000)).unwrap();
    let put = |core: &mut Core, input: Input| core.apply_all(vec![input], at(70_000)).unwrap();
    let Input::Registry(idle) = registry(&key, PID, RegistryStatus::Idle, Validity::Valid, T0, at(22_100))
    else {
        unreachable!()
    };
    put(&mut core, Input::Registry(RegistryUpdate { read_at: at(70_000), ..idle }));
    put(&mut core, Input::LiveListed { at: at(70_000), registries: vec![Agent::ClaudeCode] });
    assert_eq!(causes(), before, "nothing was read yet");
    let mut tailer = Tailer::new(Limits { batch_events: 2, ..Limits::default() });
    let role = FileRole { agent: key.agent, session: key.id.clone(), subagent: None };
    let mut pieces = 0;
    let mut take = |batch| {
        pieces += 1;
        put(&mut core, Input::Batch(batch));
        assert_eq!(causes(), before, "after piece {pieces}");
        Flow::Continue
    };
    tailer.read(&session.path, &role, &mut Position::default(), at(70_000), &mut take).unwrap();
    assert!(pieces > 3);
    put(&mut core, Input::Listed { at: at(70_100), asked: 0 });
    assert_eq!(causes(), before);
}
