//! Orders of events that tempt the state and the notices to say something wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::path::PathBuf;

use checklist_support::agents::{Claude, Codex, HOUR, Home, MINUTE, Process};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, database};
use lamplight_engine::config::Notify;
use lamplight_engine::facts::{HookFact, Input, RegistryUpdate, WorktreeLook};
use lamplight_engine::sources::decode::{self, Hooked};
use lamplight_engine::store::Store;
use lamplight_engine::{CauseAction, Config, Engine, Notice};
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::notice::NoticeOutcome;
use lamplight_model::session::{
    EntryKind, LivenessState, RegistryEntry, RegistryStatus, TurnState, Validity,
};
use lamplight_model::view::SessionCard;
use lamplight_model::worktree::{Branch, Counts, Finding};
use serde_json::{Value, json};

const PID: u32 = 4_194_001;

fn at(ms: i64) -> Timestamp {
    T0.plus_ms(ms)
}

fn waits() -> RegistryStatus {
    RegistryStatus::Waiting("permission prompt".to_owned())
}

/// What a registry file says of one process.
fn registry(
    key: &SessionKey,
    pid: u32,
    status: RegistryStatus,
    validity: Validity,
    started: Timestamp,
    at: Timestamp,
) -> Input {
    let entry = RegistryEntry {
        cwd: None,
        kind: EntryKind::Interactive,
        name: None,
        named_by_user: false,
        status: Some(status),
        version: Some("2.1.329".to_owned()),
        spare: false,
        started_at: Some(started),
    };
    Input::Registry(RegistryUpdate {
        agent: key.agent,
        pid,
        session: key.id.clone(),
        entry,
        validity,
        status_at: at,
        read_at: at,
    })
}

fn removed(key: &SessionKey, pid: u32, at: Timestamp) -> Input {
    Input::RegistryRemoved { agent: key.agent, pid, session: key.id.clone(), at }
}

fn hooked(agent: Agent, session: &SessionId, event: &str, at: Timestamp, more: Value) -> Input {
    let mut payload = json!({"session_id": session.as_str(), "hook_event_name": event, "cwd": "/"});
    for (key, value) in more.as_object().unwrap() {
        payload[key.as_str()] = value.clone();
    }
    let line =
        json!({"v": 1, "agent": agent.as_str(), "received_at_ms": at.0, "pid_parent": 1, "payload": payload});
    let (hooked, _) = decode::hook(line.to_string().as_bytes(), at).unwrap();
    let Hooked { agent, session, hook } = hooked.unwrap();
    Input::Hook(HookFact { file: PathBuf::new(), agent, session, hook })
}

/// A pipeline over a database that outlives it, with one session.
struct Case {
    home: Home,
    clocked: Clocked,
    key: SessionKey,
}

impl Case {
    fn new() -> (Self, Claude) {
        Self::with(Notify::default())
    }

    fn with(notify: Notify) -> (Self, Claude) {
        let home = Home::new();
        fs::create_dir_all(home.data_dir()).unwrap();
        let config = Config { notify, ..home.config() };
        let mut clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), config, T0);
        clocked.core.first_look_done(T0).unwrap();
        let session = home.claude(1, "shop");
        (Self { clocked, key: session.key(), home }, session)
    }

    fn put(&mut self, input: Input, now: Timestamp) {
        self.clocked.core.apply_all(vec![input], now).unwrap();
    }

    fn registry(&mut self, status: RegistryStatus, at: Timestamp) {
        self.put(registry(&self.key, PID, status, Validity::Valid, T0, at), at);
    }

    fn hook(&mut self, event: &str, at: Timestamp, more: Value) {
        self.put(hooked(self.key.agent, &self.key.id, event, at, more), at);
    }

    fn read(&mut self, session: &Claude, now: Timestamp) {
        self.clocked.read(&session.key(), None, &session.path, now);
    }

    fn card(&mut self, now: Timestamp) -> SessionCard {
        self.clocked.pass(now);
        self.clocked.card(&self.key.clone(), now)
    }

    fn run_until(&mut self, now: Timestamp) {
        self.clocked.run_until(now);
    }

    /// The engine was stopped in order and is started again over the same database.
    fn restarted(self, stopped: Timestamp, now: Timestamp) -> Self {
        let Self { home, clocked, key } = self;
        let config = home.config();
        let core = clocked.core.restarted(stopped).unwrap();
        drop(core);
        let clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), config, now);
        Self { home, clocked, key }
    }

    fn log(&self) -> Vec<String> {
        logged(&self.home)
    }
}

/// What became of each cause, the oldest first.
fn logged(home: &Home) -> Vec<String> {
    let db = database(home);
    let mut all = db
        .prepare("SELECT kind || ' ' || outcome || ' ' || coalesce(why, '') FROM notices ORDER BY id")
        .unwrap();
    let rows = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| row.unwrap().trim_end().to_owned()).collect()
}

/// A pipeline with one Codex thread.
struct Thread {
    home: Home,
    clocked: Clocked,
    codex: Codex,
}

impl Thread {
    fn new() -> Self {
        let home = Home::new();
        fs::create_dir_all(home.data_dir()).unwrap();
        let store = Store::open(&home.data_dir(), false).unwrap();
        let mut clocked = Clocked::over(store, home.config(), T0);
        clocked.core.first_look_done(T0).unwrap();
        let mut codex = home.codex(1, "2026/11/20");
        codex.begin(at(500));
        Self { codex, clocked, home }
    }

    /// The engine was stopped in order and is started again, and finds the lock as it is.
    fn restarted(self, stopped: Timestamp, now: Timestamp, holder: Option<u32>) -> Self {
        let Self { home, clocked, codex } = self;
        drop(clocked.core.restarted(stopped).unwrap());
        let store = Store::open(&home.data_dir(), false).unwrap();
        let there = Input::Lock { session: codex.id.clone(), present: true, holder, at: now };
        let clocked = Clocked::finding(store, home.config(), now, vec![there]);
        Self { home, clocked, codex }
    }

    fn lock(&mut self, present: bool, holder: Option<u32>, at: Timestamp) {
        let lock = Input::Lock { session: self.codex.id.clone(), present, holder, at };
        self.clocked.core.apply_all(vec![lock], at).unwrap();
    }

    fn hook(&mut self, event: &str, at: Timestamp, more: Value) {
        let hook = hooked(Agent::Codex, &self.codex.id.clone(), event, at, more);
        self.clocked.core.apply_all(vec![hook], at).unwrap();
    }

    fn read(&mut self, now: Timestamp) {
        self.clocked.read(&self.codex.key(), None, &self.codex.path, now);
    }

    fn state(&mut self, now: Timestamp) -> TurnState {
        self.clocked.run_until(now);
        self.clocked.verdict(&self.codex.key()).turn_state
    }
}

fn kind(card: &SessionCard) -> Option<CauseKind> {
    card.attention.as_ref().map(|a| a.cause)
}

/// The last lines of a turn are read later than the registry says idle.
#[test]
fn a_transcript_that_lags_behind_idle_is_your_turn_and_told() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.registry(RegistryStatus::Busy, at(10));
    case.read(&session, at(100));
    case.registry(RegistryStatus::Idle, at(5_000));
    // A busy machine: the last lines are read a second late.
    case.run_until(at(5_900));
    session.says(at(4_950), "Done.", 100);
    case.read(&session, at(6_000));
    let card = case.card(at(6_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::AwaitingReply, Some(CauseKind::Reply)));
    case.run_until(at(30_000));
    assert!(case.log().contains(&"reply told".to_owned()), "{:?}", case.log());
}

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

/// The clock is set back to before the engine's start.
#[test]
fn a_clock_set_back_to_before_the_start_makes_nothing_old() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(1_000), "go");
    case.read(&session, at(1_000));
    let back = at(-HOUR + 10_000);
    case.clocked.core.clock_set_back(HOUR, back);
    case.clocked.pass(back);
    session.says(back.plus_ms(5_000), "Done.", 100);
    case.read(&session, back.plus_ms(5_100));
    case.clocked.pass(back.plus_ms(60_000));
    assert!(case.log().contains(&"reply told".to_owned()), "{:?}", case.log());
}

/// The engine ran with a clock that was a day ahead.
#[test]
fn a_last_look_of_a_clock_that_ran_ahead_makes_nothing_old() {
    let (case, mut session) = Case::new();
    let mut case = case.restarted(at(24 * HOUR), at(MINUTE));
    session.prompt(at(MINUTE + 1_000), "go");
    session.says(at(MINUTE + 5_000), "Done.", 100);
    case.read(&session, at(MINUTE + 5_100));
    case.run_until(at(2 * MINUTE));
    assert_eq!(case.log(), ["reply told"]);
}

/// Somebody deletes the registry file of a killed client.
#[test]
fn a_crash_stays_one_when_its_registry_file_is_cleaned_up() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    case.run_until(at(80_000));
    let key = case.key.clone();
    // The file is listed again while it stands.
    let mut dead = registry(&key, PID, RegistryStatus::Busy, Validity::Dead, T0, at(10));
    if let Input::Registry(update) = &mut dead {
        update.read_at = at(90_000);
    }
    case.put(dead, at(90_000));
    case.put(removed(&key, PID, at(600_000)), at(600_000));
    case.run_until(at(700_000));
    let card = case.card(at(700_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
}

/// A client is killed between two runs of the engine.
#[test]
fn a_crash_while_nobody_looked_is_told() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.run_until(at(MINUTE));
    let mut case = case.restarted(at(MINUTE), at(10 * MINUTE));
    let key = case.key.clone();
    let now = at(10 * MINUTE + 100);
    let mut dead = registry(&key, PID, RegistryStatus::Busy, Validity::Dead, T0, at(10));
    if let Input::Registry(update) = &mut dead {
        update.read_at = now;
    }
    case.put(dead, now);
    case.run_until(at(11 * MINUTE));
    assert_eq!(kind(&case.card(at(11 * MINUTE))), Some(CauseKind::Crashed));
    assert_eq!(case.log(), ["crashed told"]);
}

fn repository(home: &Home) -> PathBuf {
    let root = home.work_dir("shop");
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    root
}

fn dirty(root: &std::path::Path, mark: u128, at: Timestamp) -> Input {
    let counts = Counts { unstaged: 1, paths: 1, ..Counts::default() };
    Input::Worktree(Box::new(WorktreeLook {
        root: root.to_owned(),
        finding: Finding::Dirty(counts, Branch::default()),
        mark,
        began: at,
        at,
    }))
}

fn clean(root: &std::path::Path, at: Timestamp) -> Input {
    Input::Worktree(Box::new(WorktreeLook {
        root: root.to_owned(),
        finding: Finding::Clean(Branch::default()),
        mark: 0,
        began: at,
        at,
    }))
}

fn has_uncommitted(card: &SessionCard) -> bool {
    card.causes.iter().any(|c| c.cause == CauseKind::Uncommitted)
}

/// A session that left work is opened again for one question.
#[test]
fn work_stays_its_sessions_when_that_is_opened_again_and_left() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(clean(&root, at(500)), at(500));
    case.put(dirty(&root, 7, at(20_000)), at(20_000));
    session.says(at(21_000), "Done.", 100);
    case.read(&session, at(21_000));
    case.registry(RegistryStatus::Idle, at(21_000));
    let key = case.key.clone();
    case.put(removed(&key, PID, at(60_000)), at(60_000));
    case.run_until(at(61_000));
    case.put(dirty(&root, 7, at(61_000)), at(61_000));
    assert!(has_uncommitted(&case.card(at(62_000))), "left");
    let cause = case.card(at(62_000)).causes[0].cause_id.clone();
    // Opened again to ask one thing, and left.
    case.put(
        registry(&key, 4_194_002, RegistryStatus::Idle, Validity::Valid, at(70_000), at(70_000)),
        at(70_000),
    );
    case.put(dirty(&root, 7, at(71_000)), at(71_000));
    assert!(!has_uncommitted(&case.card(at(71_000))), "an agent is there");
    case.put(removed(&key, 4_194_002, at(80_000)), at(80_000));
    case.run_until(at(81_000));
    case.put(dirty(&root, 7, at(81_000)), at(81_000));
    assert!(has_uncommitted(&case.card(at(82_000))), "left again");
    assert_eq!(case.card(at(82_000)).causes[0].cause_id, cause, "the same work is the same cause");
    case.run_until(at(10 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// An agent that was idle when the engine started leaves later.
#[test]
fn work_of_an_agent_that_was_idle_since_before_the_start_is_told_when_it_leaves() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    // Idle for an hour when the engine starts.
    session.prompt(at(-HOUR - 5_000), "go");
    session.says(at(-HOUR), "Done.", 100);
    case.read(&session, at(100));
    let key = case.key.clone();
    let mut idle = registry(&key, PID, RegistryStatus::Idle, Validity::Valid, at(-2 * HOUR), at(-HOUR));
    if let Input::Registry(update) = &mut idle {
        update.read_at = at(100);
    }
    case.put(idle, at(100));
    case.put(dirty(&root, 7, at(500)), at(500));
    case.put(removed(&key, PID, at(10 * MINUTE)), at(10 * MINUTE));
    case.run_until(at(11 * MINUTE));
    case.put(dirty(&root, 7, at(11 * MINUTE)), at(11 * MINUTE));
    assert!(has_uncommitted(&case.card(at(11 * MINUTE))));
    case.run_until(at(20 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// An agent leaves between two runs of the engine.
#[test]
fn work_of_an_agent_that_left_while_nobody_looked_is_told() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.prompt(at(0), "go");
    session.says(at(5_000), "Done.", 100);
    case.read(&session, at(5_000));
    case.registry(RegistryStatus::Idle, at(5_000));
    case.put(clean(&root, at(5_500)), at(5_500));
    case.put(dirty(&root, 7, at(20_000)), at(20_000));
    case.run_until(at(MINUTE));
    let mut case = case.restarted(at(MINUTE), at(10 * MINUTE));
    case.put(dirty(&root, 7, at(10 * MINUTE + 100)), at(10 * MINUTE + 100));
    case.run_until(at(20 * MINUTE));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
}

/// A session without a registry stops, and nothing is heard any more.
#[test]
fn work_of_a_session_of_which_nobody_knows_whether_it_runs_is_told_in_the_end() {
    let (mut case, mut session) = Case::new();
    let root = repository(&case.home);
    session.version = None;
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.put(clean(&root, at(500)), at(500));
    session.says(at(20_000), "Done.", 100);
    case.read(&session, at(20_000));
    case.put(dirty(&root, 7, at(20_100)), at(20_100));
    assert_eq!(case.card(at(20_100)).liveness.state, LivenessState::Unknown);
    assert!(!has_uncommitted(&case.card(at(MINUTE))), "it may run");
    case.run_until(at(10 * MINUTE));
    assert!(has_uncommitted(&case.card(at(10 * MINUTE))));
    assert!(case.log().contains(&"uncommitted told".to_owned()), "{:?}", case.log());
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

/// Two calls ask at once; one is allowed while the other waits.
#[test]
fn one_dialog_after_another_of_calls_asked_at_once() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.registry(RegistryStatus::Busy, at(10));
    let first = session.calls(at(1_000), "Bash", json!({"command": "make one"}), 100);
    session.calls(at(1_010), "Bash", json!({"command": "make two"}), 100);
    case.read(&session, at(1_100));
    for command in ["make one", "make two"] {
        case.hook(
            "PermissionRequest",
            at(1_100),
            json!({"tool_name": "Bash", "tool_input": {"command": command}}),
        );
    }
    case.registry(waits(), at(1_150));
    let card = case.card(at(1_200));
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("make one"));
    case.run_until(at(30_000));
    assert_eq!(case.log(), ["permission told"]);
    // Allowed; it runs a moment, then the other dialog is shown.
    case.registry(RegistryStatus::Busy, at(30_000));
    assert_eq!(case.card(at(30_010)).turn_state, TurnState::Working);
    session.answers(at(30_040), &first, "made");
    case.read(&session, at(30_050));
    case.registry(waits(), at(30_060));
    let card = case.card(at(30_100));
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("make two"));
    case.run_until(at(60_000));
    assert_eq!(case.log(), ["permission told", "permission withdrawn", "permission told"]);
}

/// A session that waits is opened, used and left in a second terminal.
#[test]
fn a_session_opened_twice_waits_where_it_waits() {
    let (mut case, mut session) = Case::new();
    let (key, other) = (case.key.clone(), 4_194_002);
    session.prompt(at(0), "go");
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.registry(waits(), at(1_000));
    case.run_until(at(10_000));
    let asked = case.card(at(10_000)).attention.unwrap().cause_id;
    let says = |case: &mut Case, status, ms| {
        case.put(registry(&key, other, status, Validity::Valid, at(20_000), at(ms)), at(ms));
        case.card(at(ms)).attention.unwrap().cause_id
    };
    assert_eq!(says(&mut case, RegistryStatus::Idle, 20_000), asked);
    assert_eq!(says(&mut case, RegistryStatus::Busy, 30_000), asked);
    assert_eq!(says(&mut case, RegistryStatus::Idle, 40_000), asked);
    case.put(removed(&case.key.clone(), other, at(50_000)), at(50_000));
    case.run_until(at(60_000));
    assert_eq!(case.card(at(60_000)).attention.unwrap().cause_id, asked);
    assert_eq!(case.log(), ["permission told"]);
}

/// A session stands idle in one terminal and is killed in the one where it works.
#[test]
fn a_session_killed_in_one_of_its_two_terminals_is_told_and_goes_on_in_the_other() {
    let (mut case, mut session) = Case::new();
    let (key, idle) = (case.key.clone(), 4_194_002);
    case.put(registry(&key, idle, RegistryStatus::Idle, Validity::Valid, T0, at(0)), at(0));
    case.registry(RegistryStatus::Busy, at(1_000));
    session.prompt(at(1_000), "go");
    session.calls(at(2_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(2_000));
    assert_eq!(case.card(at(10_000)).turn_state, TurnState::Working);
    case.put(Input::ProcessExited { pid: PID, at: at(20_000) }, at(20_000));
    case.run_until(at(60_000));
    let card = case.card(at(60_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
    let since = card.attention.as_ref().map(|a| a.since_ms);
    assert_eq!((since, card.pid), (Some(at(20_000).0), Some(idle)), "and the other is there");
    assert_eq!(card.liveness.state, LivenessState::Alive);
    assert_eq!(case.log(), ["crashed told"]);

    // In the other terminal it goes on, and what is interrupted there is the person's own doing.
    session.prompt(at(70_000), "go on");
    case.put(registry(&key, idle, RegistryStatus::Busy, Validity::Valid, T0, at(70_000)), at(70_000));
    case.read(&session, at(70_000));
    let card = case.card(at(70_100));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Working, None));
    case.put(registry(&key, idle, RegistryStatus::Idle, Validity::Valid, T0, at(75_000)), at(75_000));
    case.run_until(at(90_000));
    assert_eq!(case.card(at(90_000)).turn_state, TurnState::Interrupted);
}

/// `/clear` in the middle of a dialog, and its hook afterwards.
#[test]
fn a_dialog_that_is_left_by_clear_asks_no_more_not_even_by_a_late_hook() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.registry(waits(), at(1_000));
    case.run_until(at(10_000));
    let next = case.home.claude(2, "shop").key();
    case.put(registry(&next, PID, RegistryStatus::Idle, Validity::Valid, T0, at(20_000)), at(20_000));
    case.run_until(at(21_000));
    case.hook(
        "PermissionRequest",
        at(21_000),
        json!({"tool_name": "Bash", "tool_input": {"command": "make"}}),
    );
    case.run_until(at(60_000));
    let status = case.clocked.status(at(60_000));
    assert!(status.sessions.iter().all(|c| c.attention.is_none()), "{status:#?}");
    assert_eq!(case.log(), ["permission told", "permission withdrawn"]);
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

/// The pid of a killed client is given to another session's.
#[test]
fn a_pid_that_is_used_again_leaves_the_crash_of_the_session_before() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    let next = case.home.claude(2, "shop").key();
    case.put(registry(&next, PID, RegistryStatus::Busy, Validity::Valid, at(60_100), at(60_200)), at(60_200));
    case.run_until(at(80_000));
    let card = case.card(at(80_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
    case.put(Input::ProcessExited { pid: PID, at: at(90_000) }, at(90_000));
    case.put(removed(&next, PID, at(90_000)), at(90_000));
    case.run_until(at(100_000));
    assert_eq!(case.card(at(100_000)).turn_state, TurnState::Crashed);
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
        assert!(began.elapsed().as_secs() < 15, "{what}: {:?}", outcomes(&running.engine));
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

/// A thread dies while nobody looks, and its lock stays.
#[test]
fn a_codex_thread_that_died_long_ago_is_not_told_of_as_if_it_were_now() {
    for (found, told) in [(3 * 24 * HOUR, &[][..]), (HOUR, &["crashed told"][..])] {
        let mut thread = Thread::new();
        thread.lock(true, Some(77), at(400));
        thread.codex.prompt(at(1_000), "go");
        thread.read(at(1_000));
        assert_eq!(thread.state(at(9_000)), TurnState::Working);
        let mut thread = thread.restarted(at(10_000), at(found), None);
        assert_eq!(thread.state(at(found + MINUTE)), TurnState::Crashed);
        let verdict = thread.clocked.verdict(&thread.codex.key());
        assert_eq!(verdict.since, Some(at(10_000)), "it ran when somebody looked last");
        assert_eq!(logged(&thread.home), told, "found after {found} ms");
    }
}

/// The same of one that was never seen to run.
#[test]
fn a_lock_that_nobody_was_seen_to_hold_was_left_when_its_thread_was_heard_last() {
    let thread = Thread::new();
    let now = at(2 * HOUR);
    let mut thread = thread.restarted(at(100), now, None);
    thread.codex.prompt(at(1_000), "go");
    thread.read(now);
    assert_eq!(thread.state(now), TurnState::Crashed);
    assert_eq!(thread.clocked.verdict(&thread.codex.key()).since, Some(at(1_000)));
}

/// A thread is taken up again where nothing tells of it: the lock is seen half a minute late.
#[test]
fn a_turn_of_a_thread_that_was_taken_up_unseen_is_its_own() {
    for left in [Some(true), Some(false), None] {
        let mut thread = Thread::new();
        if let Some(is_left) = left {
            thread.lock(true, Some(77), at(400));
            thread.lock(is_left, None, at(10_000));
        }
        thread.codex.prompt(at(60_000), "go on");
        thread.lock(true, Some(78), at(85_000));
        thread.read(at(85_000));
        assert_eq!(thread.state(at(85_100)), TurnState::Working, "lock before: {left:?}");
        thread.hook(
            "PermissionRequest",
            at(86_000),
            json!({"tool_name": "Bash", "tool_input": {"command": "make"}}),
        );
        assert_eq!(thread.state(at(87_500)), TurnState::AwaitingPermission);
    }
    // And one that was open when its process died is not.
    let mut thread = Thread::new();
    thread.lock(true, Some(77), at(400));
    thread.codex.prompt(at(1_000), "go");
    thread.read(at(1_000));
    thread.lock(true, None, at(10_000));
    thread.lock(true, Some(78), at(85_000));
    assert_eq!(thread.state(at(85_100)), TurnState::Interrupted);
}

/// The next Codex cleans up what a killed one left.
#[test]
fn a_crash_of_codex_stays_one_when_its_lock_is_cleaned_up() {
    for (removed, want) in [(60_000, TurnState::Crashed), (20_100, TurnState::Ended)] {
        let mut thread = Thread::new();
        thread.lock(true, Some(77), at(400));
        thread.codex.prompt(at(1_000), "go");
        thread.codex.says(at(5_000), "Done.");
        thread.read(at(5_000));
        thread.lock(true, None, at(20_000));
        thread.lock(false, None, at(removed));
        assert_eq!(thread.state(at(2 * MINUTE)), want, "removed at {removed}");
        let since = thread.clocked.verdict(&thread.codex.key()).since;
        assert_eq!(since, Some(if want == TurnState::Crashed { at(20_000) } else { at(20_100) }));
    }
}

/// A thread whose files are elsewhere.
#[test]
fn a_codex_thread_that_only_hooks_tell_of_ends_with_its_hook() {
    let mut thread = Thread::new();
    thread.hook("UserPromptSubmit", at(0), json!({"prompt": "go"}));
    thread.hook("Stop", at(60_000), json!({}));
    assert_eq!(thread.state(at(61_000)), TurnState::AwaitingReply);
    thread.hook("SessionEnd", at(62_000), json!({"reason": "other"}));
    assert_eq!(thread.state(at(2 * MINUTE)), TurnState::Ended);
    assert_eq!(logged(&thread.home), ["reply resolved"]);
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

/// A server that the agent started runs on, and the next turn runs into a limit.
#[test]
fn what_stopped_a_turn_is_told_whatever_runs_in_the_background() {
    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.prompt(at(0), "go");
    session.refused(at(5_000), "rate_limit", "You've hit your limit");
    case.registry(RegistryStatus::Shell, at(5_010));
    case.read(&session, at(5_020));
    let card = case.card(at(5_100));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Errored, Some(CauseKind::Limit)));
    case.run_until(at(MINUTE));
    assert_eq!(case.log(), ["limit told"]);
}

/// A skill is all that was asked of it: nothing its person wrote stands in the transcript.
#[test]
fn the_crash_of_a_session_that_only_commands_began_is_told() {
    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.put(Input::ProcessExited { pid: PID, at: at(20_000) }, at(20_000));
    case.run_until(at(25_000));
    // Its file is cleaned up before anybody has looked whose it is.
    case.put(removed(&case.key.clone(), PID, at(28_000)), at(28_000));
    case.run_until(at(MINUTE));
    assert_eq!(case.card(at(MINUTE)).turn_state, TurnState::Crashed);
    assert_eq!(case.log(), ["crashed told"]);
}
