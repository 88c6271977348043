//! Checklist B, items 4-17: what is told, when, and what a broken record can do to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::collections::BTreeMap;
use std::fs;

use checklist_support::agents::{Home, MINUTE, Process, append, session_id};
use checklist_support::running::{Running, name_of};
use lamplight_model::session::{LivenessState, TurnState};
use serde_json::json;

#[test]
fn a_change_arrives_by_its_event_alone_b4() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    // From here on nobody asks the engine to look: every step is seen because a file changed or a process ended.
    let mut session = home.claude(1, "brand-new-project");
    session.prompt(running.now(), "go");
    running.until_card(&session.name(), "a new project folder", |c| c.label == "go");
    session.registry(&home, process.pid(), Some("busy"), running.now());
    running.until_card(&session.name(), "its process", |c| c.liveness.state == LivenessState::Alive);
    session.calls(running.now(), "Bash", json!({"command": "rm x"}), 100);
    session.registry(&home, process.pid(), Some("waiting: permission prompt"), running.now());
    let card = running.until_card(&session.name(), "the need", |c| c.attention.is_some());
    assert_eq!(card.turn_state, TurnState::AwaitingPermission);
    session.registry(&home, process.pid(), Some("busy"), running.now());
    running.until_card(&session.name(), "its end", |c| c.attention.is_none());
    fs::remove_file(home.claude_dir().join(format!("sessions/{}.json", process.pid()))).unwrap();
    running.until_card(&session.name(), "the end", |c| c.liveness.state == LivenessState::Dead);
}

#[test]
fn what_changes_nothing_is_not_told_b5() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let now = running.now();
    let mut session = home.claude(1, "api");
    session.registry(&home, process.pid(), Some("idle"), now.plus_ms(-MINUTE));
    session.prompt(now.plus_ms(-2 * MINUTE), "go");
    session.says(now.plus_ms(-MINUTE), "done", 100);
    let mut thread = home.codex(2, "2026/11/20");
    thread.begin(now.plus_ms(-MINUTE));
    thread.prompt(now.plus_ms(-MINUTE), "review");
    running.until_card(&session.name(), "the end of the turn", |c| c.turn_state == TurnState::AwaitingReply);
    running.settle();
    running.settle();
    let mut subscription = running.engine.subscribe();
    // The same registry file written again, a touch of the transcript, and look after look.
    session.registry(&home, process.pid(), Some("idle"), now.plus_ms(-MINUTE));
    fs::File::options()
        .append(true)
        .open(&session.path)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    fs::File::options().append(true).open(&thread.path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    for _ in 0..3 {
        running.settle();
    }
    let heard = running.heard(&mut subscription);
    // The cause of the turn's end is told once its grace has passed; that alone may fall into this time.
    let heard: Vec<_> = heard
        .iter()
        .filter(|c| {
            !c.upserted.iter().all(|card| card.attention.as_ref().is_some_and(|a| a.notified_at_ms.is_some()))
                || c.upserted.is_empty()
        })
        .collect();
    assert!(heard.is_empty(), "{heard:#?}");
    assert_eq!(subscription.snapshot.sessions.len(), 2, "there was something to tell");
    // And the clock of the answer is no change either: two looks differ in nothing but their moment.
    let (mut a, mut b) = (running.status(), running.status());
    (a.at_ms, b.at_ms) = (0, 0);
    assert_eq!(a, b);
    session.prompt(running.now(), "this is news");
    running.until_card(&session.name(), "news", |c| c.turn_state == TurnState::Working);
}

#[test]
fn revisions_grow_by_one_and_a_follower_ends_where_the_engine_is_b6_b11() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut subscription = running.engine.subscribe();
    let mut sessions: Vec<_> = (1..=8).map(|n| home.claude(n, "api")).collect();
    // Several hands at once: agents write, people rename and look, everything is listed again and again.
    std::thread::scope(|scope| {
        for session in &mut sessions {
            let engine = running.engine.clone();
            scope.spawn(move || {
                for n in 0..10 {
                    session.prompt(engine_now(), &format!("prompt {n}"));
                    session.says(engine_now(), &format!("answer {n}"), 100);
                    let status = engine.status();
                    let names: Vec<_> = status.sessions.iter().map(name_of).collect();
                    assert!(names.windows(2).all(|w| w[0] < w[1]), "torn: {names:?}");
                }
            });
        }
        for _ in 0..2 {
            let engine = running.engine.clone();
            scope.spawn(move || {
                for _ in 0..5 {
                    engine.rescan().unwrap();
                    engine.sessions(None, None, 50).unwrap();
                }
            });
        }
    });
    running.settle();
    let end = running.status();
    let mut revision = subscription.snapshot.revision;
    let mut cards: BTreeMap<_, _> =
        subscription.snapshot.sessions.iter().map(|c| (name_of(c), c.clone())).collect();
    let changes = running.heard(&mut subscription);
    assert!(!changes.is_empty());
    for change in &changes {
        assert_eq!((change.since, change.revision), (revision, revision + 1), "no gap, no repetition");
        assert_eq!(change.engine_id, end.engine_id);
        revision = change.revision;
        for name in &change.removed {
            assert!(cards.remove(name).is_some(), "{name} was not there");
        }
        for card in &change.upserted {
            assert_ne!(
                cards.insert(name_of(card), card.clone()).as_ref(),
                Some(card),
                "told without a change"
            );
        }
    }
    assert_eq!(revision, end.revision);
    assert_eq!(cards.into_values().collect::<Vec<_>>(), end.sessions);
    let totals = running.engine.totals().unwrap();
    assert_eq!((totals.sessions, totals.prompts, totals.messages), (8, 80, 80));
}

fn engine_now() -> lamplight_model::ids::Timestamp {
    lamplight_engine::clock::now()
}

#[test]
fn missing_folders_are_watched_for_and_never_made_b12() {
    let home = Home::bare();
    let running = Running::start(&home);
    assert!(!home.claude_dir().exists() && !home.codex_dir().exists(), "never created");
    let status = running.status();
    assert!(
        status.sources.iter().all(|s| s.state == lamplight_model::view::SourceHealth::Absent),
        "{status:?}"
    );
    running.settle();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "only our own data folder");
    // The agent is installed and run for the first time.
    let mut session = home.claude(1, "api");
    session.prompt(running.now(), "hello");
    running.until_card(&session.name(), "the first session", |c| c.label == "hello");
    let mut thread = home.codex(2, "2026/11/20");
    thread.begin(running.now());
    thread.prompt(running.now(), "hello from the other one");
    running.until_card(&thread.name(), "the other agent's", |c| c.label == "hello from the other one");
}

#[test]
fn a_broken_record_costs_itself_and_nothing_else_b13_b14_b15_b16() {
    for (what, bytes) in [
        ("an array", &b"[1,2,3]\n"[..]),
        ("a text", b"\"user\"\n"),
        ("a number", b"42\n"),
        ("null", b"null\n"),
        ("broken JSON", b"{\"type\":\"user\",\"message\":{\n"),
        ("half a record and a whole one", b"{\"type\":\"us{\"type\":\"user\"}\n"),
        (
            "no UTF-8",
            b"{\"type\":\"user\",\"uuid\":\"\xff\xfe\",\"message\":{\"role\":\"user\",\"content\":7}}\n",
        ),
        ("odd shapes", b"{\"type\":\"user\",\"timestamp\":7,\"message\":\"text\",\"cwd\":{}}\n"),
        ("a nest", &[b"{\"type\":\"user\",\"message\":".as_slice(), &[b'['; 5000], b"\n"].concat()),
        ("an empty line", b"\n"),
        ("no id", b"{\"type\":\"assistant\",\"message\":{\"usage\":{\"input_tokens\":-5}}}\n"),
    ] {
        let home = Home::new();
        let mut broken = home.claude(1, "api");
        let now = engine_now();
        broken.prompt(now.plus_ms(-MINUTE), "before");
        let mut file = fs::File::options().append(true).open(&broken.path).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        broken.prompt(now, "after");
        let mut other = home.claude(2, "api");
        other.prompt(now, "another file");
        append(&home.claude_dir().join("sessions/4000001.json"), "{\"pid\":4000001,");
        append(&home.claude_dir().join("sessions/4000002.json"), "[]");
        append(
            &home.claude_dir().join("sessions/4000003.json"),
            "{\"pid\":4000003,\"sessionId\":\"../../x\"}",
        );
        let running = Running::start(&home);
        // What stands before and after it is read, on the import's way and on the tail's.
        let check = |prompts| {
            running.settle();
            let detail = running.engine.session(&broken.key()).unwrap().unwrap_or_else(|| panic!("{what}"));
            assert_eq!(detail.first_prompt.as_deref(), Some("before"), "{what}");
            let said: Vec<_> = detail.messages.iter().map(|m| m.text.as_str()).collect();
            assert!(said.contains(&"before") && said.contains(&"after"), "{what}: {said:?}");
            assert!(detail.prompts >= prompts, "{what}: {}", detail.prompts);
            assert_eq!(running.card(&other.name()).label, "another file", "{what}");
        };
        check(2);
        std::io::Write::write_all(&mut file, bytes).unwrap();
        broken.clone().says(running.now(), "and on", 100);
        running.until_card(&broken.name(), what, |c| c.excerpt.as_deref() == Some("and on"));
        check(2);
        if matches!(what, "an array" | "a text" | "a number" | "null" | "broken JSON") {
            let status = running.status();
            let counted = status
                .sources
                .iter()
                .flat_map(|s| &s.issues)
                .find(|i| i.kind == "bad_json")
                .unwrap_or_else(|| panic!("{what} is not counted: {:?}", status.sources));
            assert_eq!(counted.count, 2, "{what}: counted each time it was met, once");
            assert!(counted.path.as_deref().is_some_and(|p| p.contains(session_id(1).as_str())), "{what}");
        }
        running.stop();
    }
}

#[test]
fn the_order_is_the_same_at_every_look_b17() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now();
    let mut sessions: Vec<_> = (1..=30).map(|n| home.claude(n * 7919 % 31 + 1, "api")).collect();
    for session in &mut sessions {
        // All at the same moment: nothing but the rule decides between them.
        session.prompt(now, "go");
    }
    running.settle();
    let cards = |running: &Running| running.status().sessions.iter().map(name_of).collect::<Vec<_>>();
    let (shown, listed) = (cards(&running), running.listed(7));
    assert_eq!((shown.len(), listed.len()), (30, 30));
    for session in sessions.iter_mut().take(5) {
        running.settle();
        assert_eq!((cards(&running), running.listed(7)), (shown.clone(), listed.clone()));
        running.engine.set_label(&session.key(), Some("another name")).unwrap();
        session.answers(now, "toolu_unknown", "a record that moves nobody");
    }
    running.settle();
    assert_eq!((cards(&running), running.listed(7)), (shown.clone(), listed.clone()));
    running.stop();
    let again = Running::start(&home);
    assert_eq!((cards(&again), again.listed(7)), (shown, listed), "nor after a restart");
}
