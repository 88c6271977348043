//! Hooks, from the spool to the card: what they raise and clear, what they do not, and what a crash leaves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

mod checklist_support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use checklist_support::agents::{Claude, HOUR, Home, session_id};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::{Running, count};
use lamplight_engine::Engine;
use lamplight_engine::facts::{HookFact, Input, RegistryUpdate};
use lamplight_engine::sources::decode::{self, Hooked};
use lamplight_engine::sources::hooks::folder;
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{
    EntryKind, LivenessState, RegistryEntry, RegistryStatus, ResumeState, TurnState, Validity, WaitKind,
};
use lamplight_model::view::{SessionCard, SourceView};
use serde_json::{Value, json};

/// A spooled hook, as `lamp hook` writes it.
fn spooled(agent: Agent, session: &SessionId, event: &str, at: Timestamp, more: Value) -> Value {
    let mut payload = json!({"session_id": session.as_str(), "hook_event_name": event, "cwd": "/", "transcript_path": "/etc/shadow"});
    for (key, value) in more.as_object().unwrap() {
        payload[key.as_str()] = value.clone();
    }
    json!({"v": 1, "agent": agent.as_str(), "received_at_ms": at.0, "pid_parent": 1, "payload": payload})
}

fn bash(command: &str) -> Value {
    json!({"tool_name": "Bash", "tool_input": {"command": command}})
}

/// A pipeline on a clock of its own, with one session.
struct Case {
    clocked: Clocked,
    _home: Home,
    key: SessionKey,
}

impl Case {
    fn claude() -> (Self, Claude) {
        let home = Home::new();
        let session = home.claude(1, "shop");
        let case = Self { clocked: Clocked::new(home.config()), key: session.key(), _home: home };
        (case, session)
    }

    fn hook(&mut self, event: &str, at: Timestamp, more: Value) {
        self.hook_seen(event, at, at, more);
    }

    fn hook_seen(&mut self, event: &str, at: Timestamp, now: Timestamp, more: Value) {
        let bytes = spooled(self.key.agent, &self.key.id, event, at, more).to_string();
        let (hooked, _) = decode::hook(bytes.as_bytes(), now).unwrap();
        let Hooked { agent, session, hook } = hooked.unwrap();
        let fact = HookFact { file: PathBuf::new(), agent, session, hook };
        self.clocked.core.apply_all(vec![Input::Hook(fact)], now).unwrap();
    }

    fn registry(&mut self, status: RegistryStatus, at: Timestamp) {
        let entry = RegistryEntry {
            cwd: None,
            kind: EntryKind::Interactive,
            name: None,
            named_by_user: false,
            status: Some(status),
            version: Some("2.1.329".to_owned()),
            spare: false,
            started_at: Some(T0),
        };
        let update = RegistryUpdate {
            agent: self.key.agent,
            pid: 4_194_001,
            session: self.key.id.clone(),
            entry,
            validity: Validity::Valid,
            status_at: at,
            read_at: at,
        };
        self.clocked.core.apply_all(vec![Input::Registry(update)], at).unwrap();
    }

    fn read(&mut self, session: &Claude, now: Timestamp) {
        self.clocked.read(&session.key(), None, &session.path, now);
    }

    fn card(&mut self, now: Timestamp) -> SessionCard {
        self.clocked.pass(now);
        self.clocked.card(&self.key.clone(), now)
    }

    #[track_caller]
    fn is(&mut self, now: Timestamp, state: TurnState) -> SessionCard {
        let card = self.card(now);
        assert_eq!(card.turn_state, state, "at {}: {:#?}", now.since(T0), card.evidence);
        card
    }
}

fn at(ms: i64) -> Timestamp {
    T0.plus_ms(ms)
}

fn waiting() -> RegistryStatus {
    RegistryStatus::Waiting("permission prompt".to_owned())
}

#[test]
fn a_request_raises_its_need_at_once_and_the_registry_confirms_the_same_one() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(100));
    session.calls(at(1000), "Bash", json!({"command": "touch a"}), 0);
    case.read(&session, at(1100));
    case.is(at(1100), TurnState::Working);
    case.hook("PermissionRequest", at(1200), bash("touch a"));
    let told = case.is(at(1200), TurnState::AwaitingPermission);
    let waits = told.waiting_for.unwrap();
    assert_eq!(
        (waits.kind, waits.tool.as_deref(), waits.detail.as_deref()),
        (WaitKind::Permission, Some("Bash"), Some("touch a"))
    );
    let cause = told.attention.unwrap();
    assert_eq!(cause.since_ms, at(1200).0);
    case.registry(waiting(), at(1230));
    let confirmed = case.is(at(60_000), TurnState::AwaitingPermission);
    assert_eq!(confirmed.attention.unwrap().cause_id, cause.cause_id, "one dialog is one cause");
    case.registry(RegistryStatus::Busy, at(61_000));
    assert!(case.is(at(61_000), TurnState::Working).attention.is_none(), "answered, it runs");
}

#[test]
fn a_request_that_a_rule_answers_is_dropped_after_a_moment_and_said_so() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    session.calls(at(900), "Bash", json!({"command": "touch a"}), 0);
    case.read(&session, at(1000));
    case.registry(RegistryStatus::Busy, at(100));
    case.hook("PermissionRequest", at(1000), bash("touch a"));
    case.is(at(1001), TurnState::AwaitingPermission);
    let dropped = case.is(at(2500), TurnState::Working);
    assert!(dropped.attention.is_none());
    assert!(
        dropped.evidence.iter().any(|e| e.source == "hooks" && e.fact.contains("without you")),
        "{:?}",
        dropped.evidence
    );
    // One that a rule answered hides none that is told later in the same turn.
    case.hook("PermissionRequest", at(4000), bash("touch b"));
    let asked = case.is(at(4001), TurnState::AwaitingPermission);
    assert_eq!(asked.waiting_for.and_then(|w| w.detail).as_deref(), Some("touch b"));
}

#[test]
fn a_question_and_a_plan_are_told_apart_from_a_permission() {
    for (tool, input, kind) in [
        (
            "AskUserQuestion",
            json!({"questions": [{"question": "Red?", "options": [{"label": "Yes"}, {"label": "No"}]}]}),
            WaitKind::Question,
        ),
        ("ExitPlanMode", json!({"plan": "1. Cut\n2. Sew"}), WaitKind::Plan),
    ] {
        let (mut case, mut session) = Case::claude();
        session.prompt(at(0), "go on");
        case.read(&session, at(0));
        case.registry(RegistryStatus::Busy, at(100));
        // A question is asked in every mode.
        case.hook(
            "PermissionRequest",
            at(1000),
            json!({"tool_name": tool, "tool_input": input, "permission_mode": "bypassPermissions"}),
        );
        let waits = case.is(at(1000), TurnState::AwaitingAnswer).waiting_for.unwrap();
        assert_eq!(waits.kind, kind);
        if kind == WaitKind::Question {
            assert_eq!(
                (waits.detail.as_deref(), waits.options.as_slice()),
                (Some("Red?"), &["Yes".to_owned(), "No".to_owned()][..])
            );
        }
    }
}

#[test]
fn a_mode_that_answers_by_itself_calls_nobody() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(100));
    let mut request = bash("touch a");
    request["permission_mode"] = json!("bypassPermissions");
    case.hook("PermissionRequest", at(1000), request);
    case.is(at(1000), TurnState::Working);
}

#[test]
fn without_a_registry_a_request_stands_until_anything_ends_it() {
    let ends: [(&str, Value); 7] = [
        ("PostToolUse", bash("touch a")),
        ("PostToolUseFailure", bash("touch a")),
        ("PermissionDenied", bash("touch a")),
        ("Stop", json!({"background_tasks": []})),
        ("StopFailure", json!({"error": "server_error", "last_assistant_message": "API Error"})),
        ("UserPromptSubmit", json!({"prompt": "never mind"})),
        ("SessionEnd", json!({"reason": "other"})),
    ];
    for (event, more) in ends {
        // A session of which no transcript is here.
        let (mut case, _) = Case::claude();
        case.hook("UserPromptSubmit", at(0), json!({}));
        case.hook("PermissionRequest", at(1000), bash("touch a"));
        case.is(at(1000), TurnState::AwaitingPermission);
        case.is(at(HOUR), TurnState::AwaitingPermission);
        case.hook(event, at(HOUR), more);
        let card = case.card(at(HOUR));
        assert_ne!(card.turn_state, TurnState::AwaitingPermission, "{event}");
        assert_eq!(card.liveness.state, LivenessState::Unknown, "{event}: a hook is no sign of life");
    }
}

#[test]
fn without_a_registry_the_transcripts_answer_ends_a_request_too() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    let call = session.calls(at(900), "Bash", json!({"command": "touch a"}), 0);
    case.read(&session, at(1000));
    case.hook("PermissionRequest", at(1000), bash("touch a"));
    case.is(at(HOUR), TurnState::AwaitingPermission);
    session.answers(at(HOUR), &call, "done");
    case.read(&session, at(HOUR));
    case.is(at(HOUR), TurnState::Working);
}

#[test]
fn a_request_told_when_its_call_is_long_answered_raises_nothing_that_stays() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    let call = session.calls(at(900), "Bash", json!({"command": "touch a"}), 0);
    session.answers(at(1500), &call, "done");
    case.read(&session, at(1600));
    case.hook("PermissionRequest", at(2000), bash("touch a"));
    case.is(at(4_001), TurnState::Working);
}

#[test]
fn a_subagents_request_outlives_the_main_threads_turn() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    session.says(at(500), "It works in the background.", 0);
    case.read(&session, at(600));
    case.hook("Stop", at(600), json!({"background_tasks": [{"id": "a1", "status": "running"}], "last_assistant_message": "It works in the background."}));
    case.is(at(700), TurnState::Background);
    let mut request = bash("touch a");
    request["agent_id"] = json!("a1");
    case.hook("PermissionRequest", at(1000), request);
    case.is(at(1000), TurnState::AwaitingPermission);
    case.hook("Stop", at(1500), json!({"background_tasks": [{"id": "a1", "status": "running"}], "last_assistant_message": "It works in the background."}));
    case.is(at(1500), TurnState::AwaitingPermission);
    case.hook("SubagentStop", at(9000), json!({"agent_id": "a1"}));
    case.is(at(9000), TurnState::Background);
}

#[test]
fn a_turn_that_ends_with_work_in_the_background_is_not_the_persons() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    session.says(at(500), "It runs.", 0);
    case.read(&session, at(600));
    assert!(case.is(at(600), TurnState::AwaitingReply).attention.is_some());
    case.hook("Stop", at(650), json!({"last_assistant_message": "It runs.", "background_tasks": [
        {"id": "b1", "type": "shell", "status": "running"}, {"id": "b2", "type": "shell", "status": "completed"}]}));
    assert!(case.is(at(700), TurnState::Background).attention.is_none());
    case.is(at(HOUR), TurnState::Background);
}

#[test]
fn an_error_is_known_with_its_class_before_the_transcript_has_it() {
    for (error, kind) in [
        ("authentication_failed", WaitKind::SignIn),
        ("rate_limit", WaitKind::Limit),
        ("server_error", WaitKind::Error),
    ] {
        let (mut case, mut session) = Case::claude();
        session.prompt(at(0), "go on");
        case.read(&session, at(0));
        case.hook("StopFailure", at(1000), json!({"error": error, "last_assistant_message": "It failed"}));
        let waits = case.is(at(1000), TurnState::Errored).waiting_for.unwrap();
        assert_eq!((waits.kind, waits.detail.as_deref()), (kind, Some("It failed")), "{error}");
    }
}

#[test]
fn clearing_or_resuming_another_session_ends_no_process() {
    for (reason, state) in [
        ("clear", TurnState::AwaitingReply),
        ("resume", TurnState::AwaitingReply),
        ("prompt_input_exit", TurnState::Ended),
        ("other", TurnState::Ended),
    ] {
        let (mut case, mut session) = Case::claude();
        session.prompt(at(0), "go on");
        session.says(at(500), "Done.", 0);
        case.read(&session, at(600));
        case.hook("SessionEnd", at(5_000), json!({"reason": reason}));
        let card = case.is(at(10_000), state);
        assert_eq!(card.attention.is_none(), state == TurnState::Ended, "{reason}");
    }
}

#[test]
fn a_live_process_is_believed_before_any_hook() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(100));
    case.hook("SessionEnd", at(1000), json!({"reason": "other"}));
    let card = case.is(at(5_000), TurnState::Working);
    assert_eq!(card.liveness.state, LivenessState::Alive);
}

#[test]
fn a_reminder_speaks_of_what_was_told_and_stands_in_where_nothing_was() {
    let (mut case, _) = Case::claude();
    case.hook("UserPromptSubmit", at(0), json!({}));
    case.hook("PermissionRequest", at(1000), bash("touch a"));
    case.hook("PostToolUse", at(7000), bash("touch a"));
    // Late: the dialog is answered.
    case.hook("Notification", at(7_200), json!({"notification_type": "permission_prompt", "message": "…"}));
    case.is(at(7_200), TurnState::Working);
    case.hook("Notification", at(60_000), json!({"notification_type": "idle_prompt", "message": "…"}));
    case.is(at(60_000), TurnState::Working);
    case.hook("Notification", at(90_000), json!({"notification_type": "permission_prompt", "message": "…"}));
    case.is(at(90_000), TurnState::AwaitingPermission);
}

#[test]
fn a_form_is_asked_and_answered() {
    let (mut case, _) = Case::claude();
    case.hook("UserPromptSubmit", at(0), json!({}));
    case.hook("Elicitation", at(1000), json!({"mcp_server_name": "shop", "message": "Which size?"}));
    let waits = case.is(at(1000), TurnState::AwaitingAnswer).waiting_for.unwrap();
    assert_eq!((waits.kind, waits.detail.as_deref()), (WaitKind::Elicitation, Some("Which size?")));
    case.hook("ElicitationResult", at(9000), json!({"action": "accept"}));
    case.is(at(9000), TurnState::Working);
}

#[test]
fn the_same_hook_twice_is_one() {
    let (mut case, _) = Case::claude();
    case.hook("UserPromptSubmit", at(0), json!({}));
    case.hook("PermissionRequest", at(1000), bash("touch a"));
    let once = case.card(at(1000));
    case.hook("PermissionRequest", at(1000), bash("touch a"));
    case.hook("PermissionRequest", at(1200), bash("touch a"));
    let twice = case.card(at(1300));
    assert_eq!(once.attention.unwrap().cause_id, twice.attention.unwrap().cause_id);
    assert_eq!(once.causes, twice.causes);
}

#[test]
fn what_lay_there_for_half_a_day_is_history() {
    let (mut case, mut session) = Case::claude();
    session.prompt(at(0), "go on");
    session.calls(at(900), "Bash", json!({"command": "touch a"}), 0);
    case.read(&session, at(1000));
    let now = at(12 * HOUR + 2_000);
    case.hook_seen("PermissionRequest", at(1000), now, bash("touch a"));
    case.clocked.pass(now);
    let verdict = case.clocked.verdict(&session.key());
    assert!(verdict.need.is_none() && verdict.turn_state == TurnState::Unknown, "{verdict:?}");
}

#[test]
fn a_session_only_hooks_know_is_shown_without_a_way_back() {
    let (mut case, _) = Case::claude();
    // A client that was opened, and left.
    case.hook("SessionStart", at(0), json!({"source": "startup"}));
    case.hook("SessionEnd", at(100), json!({"reason": "other"}));
    case.clocked.pass(at(200));
    assert!(case.clocked.core.verdicts().is_empty());
    case.hook("UserPromptSubmit", at(1000), json!({"cwd": "/home/dev/shop"}));
    let card = case.is(at(1000), TurnState::Working);
    assert_eq!((card.resume.state, card.resume.command), (ResumeState::NoTranscript, None));
    assert_eq!((card.liveness.state, card.cwd), (LivenessState::Unknown, None), "its paths are not believed");
}

#[test]
fn codex_hides_the_thread_that_asks_for_a_title() {
    let title = json!({"v": 1, "agent": "codex", "received_at_ms": T0.0, "payload": {"type": "agent-turn-complete",
        "thread-id": "01a1f8db-e9d1-7062-b9ea-86e1453f52ec", "input-messages": ["Generate a concise, single-line task title for…"]}});
    assert_eq!(decode::hook(title.to_string().as_bytes(), T0), Ok((None, None)));
    // The oldest versions name no thread.
    let old = json!({"v": 1, "agent": "codex", "received_at_ms": T0.0, "payload": {"type": "agent-turn-complete", "turn-id": "0"}});
    assert_eq!(decode::hook(old.to_string().as_bytes(), T0), Ok((None, None)));
}

/// Puts a file into the spool as `lamp hook` does.
fn put(home: &Path, name: &str, content: &str) {
    let spool = folder(home);
    fs::create_dir_all(&spool).unwrap();
    let first = spool.join(format!(".{name}"));
    fs::write(&first, content).unwrap();
    fs::rename(first, spool.join(name)).unwrap();
}

fn waiting_files(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(folder(&home.data_dir())).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

fn hooks_source(running: &Running) -> Option<SourceView> {
    running.status().sources.into_iter().find(|s| s.name == "hooks")
}

#[test]
fn a_spooled_hook_reaches_the_card_and_its_file_goes() {
    let home = Home::new();
    let mut session = home.claude(1, "shop");
    let running = Running::start(&home);
    assert!(hooks_source(&running).is_none(), "no hook was ever seen");
    let now = running.now();
    session.version = None;
    session.prompt(now, "go on");
    session.calls(now, "Bash", json!({"command": "touch a"}), 0);
    running.until_card(&session.name(), "the call", |c| c.turn_state == TurnState::Working);
    let hook = spooled(Agent::ClaudeCode, &session.id, "PermissionRequest", running.now(), bash("touch a"));
    put(&home.data_dir(), "1.json", &hook.to_string());
    let card =
        running.until_card(&session.name(), "the request", |c| c.turn_state == TurnState::AwaitingPermission);
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("touch a"));
    running.settle();
    assert!(waiting_files(&home).is_empty());
    assert_eq!(hooks_source(&running).unwrap().last_fact_at_ms, hook["received_at_ms"].as_i64());
}

#[test]
fn what_is_no_hook_is_counted_and_goes_and_the_others_are_read() {
    let home = Home::new();
    let session = home.claude(1, "shop");
    let running = Running::start(&home);
    put(&home.data_dir(), "1.json", "{ torn");
    put(
        &home.data_dir(),
        "2.json",
        &spooled(Agent::ClaudeCode, &session.id, "Stop", running.now(), json!({"session_id": "../../x"}))
            .to_string(),
    );
    put(
        &home.data_dir(),
        "3.json",
        &spooled(Agent::ClaudeCode, &session.id, "UserPromptSubmit", running.now(), json!({})).to_string(),
    );
    running.until_card(&session.name(), "the good one", |c| c.turn_state == TurnState::Working);
    running.settle();
    assert!(waiting_files(&home).is_empty());
    let mut kinds: Vec<(String, u64)> =
        hooks_source(&running).unwrap().issues.into_iter().map(|i| (i.kind, i.count)).collect();
    kinds.sort();
    assert_eq!(kinds, [("bad_hook".to_owned(), 1), ("bad_id".to_owned(), 1)]);
}

#[test]
fn hooks_that_came_while_nothing_ran_are_read_at_the_next_start() {
    let home = Home::new();
    let session = home.claude(1, "shop");
    let now = lamplight_engine::clock::now();
    for (n, event, more) in [(1, "UserPromptSubmit", json!({})), (2, "PermissionRequest", bash("touch a"))] {
        let hook = spooled(Agent::ClaudeCode, &session.id, event, now, more);
        put(&home.data_dir(), &format!("{n}.json"), &hook.to_string());
    }
    let running = Running::start(&home);
    running.until_card(&session.name(), "the request", |c| c.turn_state == TurnState::AwaitingPermission);
    running.settle();
    assert!(waiting_files(&home).is_empty());
}

#[test]
fn a_pass_without_an_engine_reads_the_spool_too() {
    let home = Home::new();
    let session = home.claude(1, "shop");
    let now = lamplight_engine::clock::now();
    put(
        &home.data_dir(),
        "1.json",
        &spooled(Agent::ClaudeCode, &session.id, "UserPromptSubmit", now, json!({})).to_string(),
    );
    let (_, status) = lamplight_engine::run_once(home.config(), |_| {}).unwrap();
    assert_eq!(status.sessions.iter().map(|c| c.turn_state).collect::<Vec<_>>(), [TurnState::Working]);
    assert!(waiting_files(&home).is_empty());
}

/// Names the home of the engine a child runs.
const CHILD_HOME: &str = "LAMPLIGHT_TEST_HOOKS_HOME";

#[test]
#[ignore = "the engine that another test starts and kills"]
fn run_an_engine_until_killed() {
    #[expect(clippy::disallowed_methods, reason = "how the test tells its child where to look")]
    let home = PathBuf::from(std::env::var(CHILD_HOME).expect("started by another test"));
    let mut config = Home::bare().config();
    config.data_dir = home.join("data");
    config.roots.clear();
    let engine = Engine::start(config).unwrap();
    engine.rescan().unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "started").unwrap();
    // Ends with its input, or is killed before.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn killed_between_storing_and_removing_nothing_is_lost_or_said_twice() {
    const ROUNDS: u32 = 12;
    const EACH: u32 = 40;
    let home = Home::new();
    let now = lamplight_engine::clock::now();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "run_an_engine_until_killed", "--nocapture"])
            .env(CHILD_HOME, home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "started"));
        for n in 0..EACH {
            // Each a session of its own, and a fact that stands nowhere else.
            let id = session_id(round * EACH + n);
            let hook = spooled(Agent::ClaudeCode, &id, "PermissionRequest", now, bash("touch a"));
            put(&home.data_dir(), &format!("{round:04}{n:04}.json"), &hook.to_string());
            // Somewhere among them; each round elsewhere.
            if n == EACH * round / ROUNDS {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    let running = Running::start(&home);
    running.settle();
    assert!(waiting_files(&home).is_empty());
    let all = i64::from(ROUNDS * EACH);
    assert_eq!(count(&home, "SELECT count(*) FROM live_facts WHERE source = 'hooks'"), all);
    assert_eq!(count(&home, "SELECT count(DISTINCT session) FROM live_facts WHERE source = 'hooks'"), all);
    assert_eq!(
        count(&home, "SELECT count(*) FROM causes"),
        count(&home, "SELECT count(DISTINCT session) FROM causes")
    );
}
