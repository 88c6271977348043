//! Checklist A, sections D and E: whose project a session belongs to, what it is called, one card each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use checklist_support::agents::{HOUR, Home, MINUTE, Process, append, session_id, written};
use checklist_support::running::{Running, find, name_of};
use lamplight_model::ids::SessionKey;
use lamplight_model::session::{LabelSource, LivenessState, TurnState};
use serde_json::json;

#[test]
fn a_configured_project_holds_for_running_and_for_past_sessions_at_once_a38_a39_a44() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("work/api/.git")).unwrap();
    fs::create_dir_all(home.path().join("work/meta-repo/.git")).unwrap();
    let process = Process::sleeping();
    let running = Running::start(&home);
    let now = running.now();
    let mut live = home.claude(1, "api");
    live.registry(&home, process.pid(), Some("busy"), now);
    live.prompt(now, "go");
    let mut past = home.claude(2, "api");
    past.prompt(now.plus_ms(-50 * HOUR), "last week");
    past.says(now.plus_ms(-50 * HOUR), "done", 100);
    let mut meta = home.claude(3, "meta-repo/deep/inside");
    meta.prompt(now.plus_ms(-60 * HOUR), "in a repository of repositories");
    running.settle();
    assert_eq!(running.card(&live.name()).project.as_deref(), Some("api"), "the git root's name");
    assert_eq!(running.filed(&past.key()).project.as_deref(), Some("api"));
    assert_eq!(running.filed(&meta.key()).project.as_deref(), Some("meta-repo"));
    running.stop();

    let mut config = home.config();
    config.projects.insert("api".to_owned(), "Harbor".to_owned());
    config.projects.insert("meta-repo".to_owned(), "Platform".to_owned());
    let again = Running::with(config);
    assert_eq!(again.engine.rescan().unwrap().bytes_read, 0, "nothing is imported again for it");
    let card = again.card(&live.name());
    assert_eq!(card.project.as_deref(), Some("Harbor"), "the agent was not restarted");
    assert_eq!((card.pid, card.liveness.state), (Some(process.pid()), LivenessState::Alive));
    assert_eq!(again.filed(&past.key()).project.as_deref(), Some("Harbor"));
    assert_eq!(again.filed(&meta.key()).project.as_deref(), Some("Platform"), "unlike its git name");
    again.stop();
    let plain = Running::start(&home);
    assert_eq!(plain.filed(&past.key()).project.as_deref(), Some("api"), "and taken back as easily");
}

#[test]
fn an_agent_as_a_whole_can_be_given_a_project_and_a_folder_wins_over_it_a38() {
    let home = Home::new();
    let mut config = home.config();
    config.projects.insert("codex".to_owned(), "Reviews".to_owned());
    let running = Running::with(config);
    let now = running.now();
    let mut thread = home.codex(1, "2026/11/20");
    thread.begin(now);
    thread.prompt(now, "review");
    let mut session = home.claude(2, "api");
    session.prompt(now, "go");
    running.settle();
    assert_eq!(running.card(&thread.name()).project.as_deref(), Some("Reviews"));
    assert_eq!(running.card(&session.name()).project.as_deref(), Some("api"));
}

#[test]
fn a_session_of_no_known_directory_has_no_project_a42() {
    let home = Home::new();
    let running = Running::start(&home);
    let id = session_id(1);
    let line = json!({"type": "user", "uuid": "u-1", "timestamp": written(running.now()), "sessionId": id.as_str(),
                      "message": {"role": "user", "content": "from nowhere"}});
    append(&home.claude_dir().join(format!("projects/p/{id}.jsonl")), &format!("{line}\n"));
    running.settle();
    let card = running.card(&format!("claude-code:{id}"));
    assert_eq!((card.project, card.cwd), (None, None), "grouped as nameless, under no made-up name");
}

#[test]
fn every_session_has_one_card_of_its_own_and_none_is_cut_off_a46_a47_a49_a221() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut wanted = BTreeMap::new();
    for n in 1..=60_u32 {
        let mut session = home.claude(n, "api");
        let at = now.plus_ms(-i64::from(n) * MINUTE);
        session.prompt(at, &format!("task {n}"));
        for _ in 0..n % 5 {
            let call = session.calls(at, "Bash", json!({"command": "ls"}), 1_000 + u64::from(n));
            session.answers(at, &call, "ok");
        }
        session.says(at, "done", 1_000 + u64::from(n));
        wanted.insert(session.name(), (n, at));
    }
    running.settle();
    let status = running.status();
    let shown: BTreeSet<String> = status.sessions.iter().map(name_of).collect();
    assert_eq!(shown.len(), status.sessions.len(), "one card each");
    assert_eq!(shown, wanted.keys().cloned().collect(), "sixty of one agent in one project, no cap");
    let mut costs = BTreeSet::new();
    for card in &status.sessions {
        let (n, at) = wanted[&name_of(card)];
        let responses = u64::from(n % 5) + 1;
        let tokens = card.tokens.unwrap();
        assert_eq!((tokens.input, tokens.output), (10 * responses, 5 * responses), "tokens of {n}");
        assert_eq!(tokens.cache_read, (1_000 + u64::from(n) - 10) * responses, "tokens of {n}");
        assert_eq!(card.tool_calls, n % 5, "tool calls of {n}");
        assert_eq!((card.started_at_ms, card.last_activity_at_ms), (Some(at.0), Some(at.0)), "times of {n}");
        let cost = card.cost_usd.unwrap_or_else(|| panic!("cost of {n}"));
        assert!(cost > 0.0, "cost of {n}");
        costs.insert(format!("{cost:.9}"));
    }
    assert_eq!(costs.len(), 60, "each its own money");
}

#[test]
fn what_is_asked_is_counted_on_the_card_of_the_session_that_asks_a48() {
    let home = Home::new();
    let running = Running::start(&home);
    let (first, second) = (Process::sleeping(), Process::sleeping());
    let mut asking = home.claude(1, "api");
    let mut working = home.claude(2, "api");
    for (session, process) in [(&mut asking, &first), (&mut working, &second)] {
        session.registry(&home, process.pid(), Some("busy"), running.now());
        session.prompt(running.now(), "go");
    }
    asking.calls(running.now(), "Bash", json!({"command": "rm -rf build"}), 100);
    asking.registry(&home, first.pid(), Some("waiting: permission prompt"), running.now());
    let card = running.until_card(&asking.name(), "the question", |c| {
        c.waiting_for.as_ref().is_some_and(|w| w.detail.is_some())
    });
    assert_eq!(card.turn_state, TurnState::AwaitingPermission);
    assert_eq!(card.causes.len(), 1);
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("rm -rf build"));
    assert_eq!(running.card(&working.name()).causes, []);
}

#[test]
fn a_configured_label_names_a_session_from_its_first_moment_a56_a63() {
    let home = Home::new();
    let mut config = home.config();
    config.session_labels.insert(session_id(1).as_str().to_owned(), "the shed".to_owned());
    config.session_labels.insert("00000002".to_owned(), "the barn".to_owned());
    let running = Running::with(config);
    let process = Process::sleeping();
    for (n, label, source) in
        [(1, "the shed", LabelSource::ConfigExact), (2, "the barn", LabelSource::ConfigPrefix)]
    {
        let session = home.claude(n, "api");
        session.registry(&home, process.pid(), Some("busy"), running.now());
        let card = running.until_card(&session.name(), "a card", |_| true);
        assert_eq!((card.label.as_str(), card.label_source), (label, source));
    }
    let other = home.claude(3, "api");
    other.registry(&home, process.pid(), Some("busy"), running.now());
    let card = running.until_card(&other.name(), "a card", |_| true);
    assert_eq!((card.label.as_str(), card.label_source), (other.id.short(), LabelSource::ShortId));
}

#[test]
fn a_rename_survives_restart_and_resume_and_no_file_of_the_person_is_touched_a57_a60() {
    let home = Home::new();
    let settings = home.path().join(".config/lamplight/config.toml");
    append(&settings, "# mine\n[session_labels]\n\"ffff\" = \"other\"\n");
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("idle"), running.now());
    session.prompt(running.now(), "paint it");
    running.until_card(&session.name(), "its prompt", |c| c.label == "paint it");
    let agents = home.agent_trees();
    let config = (fs::read(&settings).unwrap(), fs::metadata(&settings).unwrap().modified().unwrap());
    let renamed = running.engine.set_label(&session.key(), Some("the shed")).unwrap();
    assert_eq!((renamed.label.as_str(), renamed.label_source), ("the shed", LabelSource::Rename));
    assert_eq!(renamed.label_default, "paint it", "what it is called without");
    running.until_card(&session.name(), "the name", |c| c.label == "the shed");
    running.stop();

    let again = Running::start(&home);
    assert_eq!(again.card(&session.name()).label, "the shed", "after a restart");
    assert_eq!(home.agent_trees(), agents, "the agent's own files are as they were");
    let now = (fs::read(&settings).unwrap(), fs::metadata(&settings).unwrap().modified().unwrap());
    assert_eq!(now, config);

    // Ended, and resumed by another process under the same id.
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", process.pid()))).unwrap();
    process.end();
    again.until_card(&session.name(), "the end", |c| c.liveness.state == LivenessState::Dead);
    let second = Process::sleeping();
    session.registry(&home, second.pid(), Some("busy"), again.now());
    session.prompt(again.now(), "and the door");
    let card = again.until_card(&session.name(), "the resume", |c| {
        c.pid == Some(second.pid()) && c.last_speaker_at_ms.is_some()
    });
    assert_eq!(card.label, "the shed", "after a resume");
    let reset = again.engine.set_label(&session.key(), None).unwrap();
    assert_eq!((reset.label.as_str(), reset.label_source), ("paint it", LabelSource::FirstPrompt));
}

#[test]
fn a_name_is_trimmed_bounded_and_taken_back_by_blanks_a59() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "paint it");
    running.settle();
    let name = |label: &str| running.engine.set_label(&session.key(), Some(label)).unwrap().label;
    assert_eq!(name("  the shed \n"), "the shed");
    assert_eq!(name(&"é".repeat(300)).chars().count(), 120);
    assert_eq!(name("   \t "), "paint it", "blank resets");
    let stranger = SessionKey { id: session_id(99), ..session.key() };
    assert!(running.engine.set_label(&stranger, Some("x")).is_err());
}

#[test]
fn config_wins_over_a_rename_and_a_rename_over_everything_of_the_agent_a58_a222() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    let check = |running: &Running, label: &str, source| {
        running.settle();
        let status = running.status();
        let card = find(&status, &session_name()).unwrap();
        assert_eq!((card.label.as_str(), card.label_source), (label, source));
    };
    fn session_name() -> String {
        format!("claude-code:{}", session_id(1))
    }
    session.prompt(running.now(), "\n  first words of it\nmore");
    check(&running, "first words of it", LabelSource::FirstPrompt);
    append(&session.path, "{\"type\":\"ai-title\",\"aiTitle\":\"Agent's title\"}\n");
    check(&running, "Agent's title", LabelSource::AgentTitle);
    append(&session.path, "{\"type\":\"custom-title\",\"customTitle\":\"mine in the agent\"}\n");
    check(&running, "mine in the agent", LabelSource::AgentUser);
    running.engine.set_label(&session.key(), Some("mine here")).unwrap();
    check(&running, "mine here", LabelSource::Rename);
    running.stop();
    let mut config = home.config();
    config.session_labels.insert("0000".to_owned(), "by prefix".to_owned());
    let prefixed = Running::with(config.clone());
    check(&prefixed, "by prefix", LabelSource::ConfigPrefix);
    prefixed.stop();
    config.session_labels.insert(session.id.as_str().to_owned(), "exactly".to_owned());
    check(&Running::with(config), "exactly", LabelSource::ConfigExact);
}
