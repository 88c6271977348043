//! Forgetting: what is forgotten is in no byte any more, nothing brings it back, and what is left is counted as if it had
//! never been there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use checklist_support::agents::{Claude, Codex, HOUR, Home, MINUTE, Process, append};
use checklist_support::running::{Running, count, database};
use lamplight_engine::sources::hooks::folder;
use lamplight_engine::sources::otlp::{Encoding, Signal, decode};
use lamplight_engine::{Engine, EngineError, Forget, run_once};
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::view::{Forgotten, ImportTotals};
use serde_json::{Value, json};

/// In everything a person and an agent said, in names, inputs and titles; nowhere else.
const SECRET: &str = "xyzzy-plugh-tops3cret";

fn one(key: &SessionKey) -> Forget {
    Forget { session: Some(key.clone()), ..Forget::default() }
}

/// Totals without what only the pass is about.
fn plain(totals: ImportTotals) -> ImportTotals {
    ImportTotals { bytes_read: 0, elapsed_ms: 0, ..totals }
}

/// Totals of a first import of a home, in a data folder of its own.
fn imported_anew(home: &Home) -> ImportTotals {
    let data = tempfile::tempdir().unwrap();
    let mut config = home.config();
    config.data_dir = data.path().join("data");
    plain(run_once(config, |_| {}).unwrap().0)
}

/// Files below a folder whose bytes hold a text.
fn holders(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holders(&path, text, found);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if memchr::memmem::find(&bytes, text.as_bytes()).is_some() {
                found.push(path.display().to_string());
            }
        }
    }
}

fn holding(home: &Home, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    holders(&home.data_dir(), text, &mut found);
    found
}

/// A session that says the secret wherever it can, and whose every state is stored many times over.
fn secretive(home: &Home, running: &Running, n: u32, project: &str, process: Option<&Process>) -> Claude {
    let mut session = home.claude(n, project);
    session.version = process.is_some().then(|| "2.1.329".to_owned());
    let at = running.now().plus_ms(-10 * MINUTE);
    for turn in 0..12 {
        let at = at.plus_ms(turn * 10_000);
        session.prompt(
            at,
            &format!("{SECRET} prompt {turn} {}", "padding ".repeat(usize::try_from(turn).unwrap() * 40)),
        );
        let call = session.calls(
            at.plus_ms(1_000),
            "Bash",
            json!({"command": format!("echo {SECRET} {turn}")}),
            100,
        );
        running.settle();
        session.answers(at.plus_ms(2_000), &call, &format!("{SECRET} result"));
        session.says(at.plus_ms(3_000), &format!("{SECRET} said {turn}"), 100);
        running.settle();
    }
    append(
        &session.path,
        &format!(
            "{}\n",
            json!({"type": "ai-title", "sessionId": session.id.as_str(), "aiTitle": format!("{SECRET} title")})
        ),
    );
    session.subagent_says("a1b2c3", at.plus_ms(MINUTE), &format!("{SECRET} from a subagent"));
    if let Some(process) = process {
        session.registry(home, process.pid(), Some("idle"), at.plus_ms(5 * MINUTE));
    }
    running.settle();
    running.engine.set_label(&session.key(), Some(&format!("{SECRET} label"))).unwrap();
    session
}

fn ingest(engine: &Engine, signal: Signal, body: &Value, at: Timestamp) {
    let batch = decode(signal, Encoding::Json, body.to_string().as_bytes(), at).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(engine.ingest(batch)).unwrap();
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// What Claude Code tells of a prompt over OTLP, with the project and the terminal it is in.
fn prompt_log(session: &str, at: Timestamp) -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", "claude-code"), text("service.namespace", SECRET),
            text("service.instance.id", SECRET), text("lamplight.run_id", SECRET)]},
        "scopeLogs": [{"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [{
            "timeUnixNano": format!("{}000000", at.0),
            "attributes": [text("event.name", "user_prompt"), text("session.id", session),
                text("prompt", SECRET)]}]}]}]})
}

/// Spans of a program that names the session of each; a session may be absent.
fn spans(trace: u8, of: &[(u8, Option<&str>)], at: Timestamp) -> Value {
    let spans: Vec<Value> = of
        .iter()
        .map(|(n, session)| {
            let mut attributes = vec![
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.request.model", "gpt-5"),
                json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": 100}}),
            ];
            attributes.extend(session.map(|session| text("gen_ai.conversation.id", session)));
            json!({"traceId": format!("{trace:02x}").repeat(16), "spanId": format!("{n:02x}").repeat(8),
                "name": "chat gpt-5", "kind": 3, "startTimeUnixNano": format!("{}000000", at.0 + i64::from(*n)),
                "endTimeUnixNano": format!("{}000000", at.0 + 500), "attributes": attributes})
        })
        .collect();
    json!({"resourceSpans": [{"resource": {"attributes": [text("service.name", "billing-bot")]},
        "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]})
}

/// What `lamp hook` leaves.
fn spool(home: &Home, session: &str, event: &str, n: u32, at: Timestamp) {
    let spool = folder(&home.data_dir());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&spool).unwrap();
    let payload = json!({"session_id": session, "hook_event_name": event, "prompt": SECRET, "cwd": "/",
        "transcript_path": "/", "tool_name": "Bash", "tool_input": {"command": SECRET}});
    let spooled =
        json!({"v": 1, "agent": "claude-code", "received_at_ms": at.0, "pid_parent": 1, "payload": payload});
    let file = spool.join(format!(".{}-{n}.tmp", at.0));
    fs::write(&file, spooled.to_string()).unwrap();
    fs::rename(file, spool.join(format!("{}-{}-{n}.json", at.0, std::process::id()))).unwrap();
}

#[test]
fn what_is_forgotten_is_in_no_byte_and_nothing_brings_it_back() {
    let home = Home::new();
    let running = Running::start(&home);
    let mut process = Process::sleeping();
    let mut session = secretive(&home, &running, 1, "api", Some(&process));
    let mut kept = home.claude(2, "api");
    kept.prompt(running.now(), "something harmless");
    kept.says(running.now(), "it is harmless", 100);
    let now = running.now();
    ingest(&running.engine, Signal::Logs, &prompt_log(session.id.as_str(), now), now);
    spool(&home, session.id.as_str(), "PermissionRequest", 1, now);
    process.end();
    running.settle();
    running.until_card(&session.name(), "its death", |c| c.pid.is_none());
    // Its story is kept at its end, compressed; what it was is known to the store in many ways.
    running.engine.close(Some(session.id.as_str()), None).unwrap();
    running.settle();
    assert_eq!(running.card(&session.name()).label, format!("{SECRET} label"));
    assert!(!holding(&home, SECRET).is_empty(), "it is there before");
    spool(&home, session.id.as_str(), "UserPromptSubmit", 2, running.now());

    let tree = home.agent_trees();
    let gone = running.engine.forget(&one(&session.key()), false).unwrap();
    assert_eq!(gone, Forgotten { sessions: vec![session.name()], total: 1, running: 0, is_dry_run: false });
    assert_eq!(home.agent_trees(), tree, "the agent's own files are as they were");
    let (name, key) = (session.name(), session.key());
    let check = |running: &Running, home: &Home, what: &str| {
        assert_eq!(running.shown(&name), None, "{what}");
        assert!(running.engine.session(&key).unwrap().is_none(), "{what}");
        assert_eq!(running.listed(50), [kept.name()], "{what}");
        assert_eq!(holding(home, SECRET), Vec::<String>::new(), "{what}");
        assert_eq!(
            count(home, "SELECT count(*) FROM sessions WHERE session_id LIKE '00000001%'"),
            0,
            "{what}"
        );
        assert_eq!(running.engine.sessions(Some("xyzzy"), None, 50).unwrap().total, 0, "{what}");
    };
    check(&running, &home, "at once");
    for suffix in ["-wal", "-shm"] {
        assert!(home.data_dir().join(format!("lamplight.db{suffix}")).exists(), "looked at while it runs");
    }

    // A listing, a rename, a hook, a registry file, telemetry, and new records.
    running.settle();
    check(&running, &home, "after a listing");
    let at = running.now();
    session.prompt(at, &format!("{SECRET} again"));
    spool(&home, session.id.as_str(), "UserPromptSubmit", 3, at);
    ingest(&running.engine, Signal::Logs, &prompt_log(session.id.as_str(), at), at);
    let other = Process::sleeping();
    session.registry(&home, other.pid(), Some("busy"), at);
    running.settle();
    // Nothing that is shown changes with it, so that no change tells of it.
    let began = std::time::Instant::now();
    while fs::read_dir(folder(&home.data_dir())).unwrap().count() > 0 {
        assert!(began.elapsed().as_secs() < 60, "the spool is not read");
        running.settle();
    }
    check(&running, &home, "after everything told of it again");
    assert!(matches!(running.engine.set_label(&session.key(), Some("x")), Err(EngineError::NotFound(_))));

    let totals = plain(running.engine.totals().unwrap());
    running.stop();
    let running = Running::start(&home);
    running.settle();
    check(&running, &home, "after a restart");
    assert_eq!(plain(running.engine.totals().unwrap()), totals);
    running.stop();
    let (again, status) = run_once(home.config(), |_| {}).unwrap();
    assert_eq!((plain(again.clone()), again.bytes_read), (totals.clone(), 0), "its files are not read again");
    assert_eq!(status.sessions.len(), 1);
    fs::remove_file(&session.path).unwrap();
    fs::remove_dir_all(session.path.with_extension("")).unwrap();
    assert_eq!(imported_anew(&home), totals, "as if it had never been there");
}

/// Copies a session's records under another id, as a fork does: same ids of records and messages, and whose they were.
fn fork(home: &Home, of: &Claude, n: u32) -> Claude {
    let fork = home.claude(n, "api");
    for line in fs::read_to_string(&of.path).unwrap().lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["sessionId"] = json!(fork.id.as_str());
        record["forkedFrom"] = json!({"sessionId": of.id.as_str(), "messageUuid": record["uuid"]});
        if record["type"] == "assistant" {
            record["requestSessionId"] = json!(of.id.as_str());
        }
        append(&fork.path, &format!("{record}\n"));
    }
    fork
}

fn story(session: &mut Claude, at: Timestamp) {
    for turn in 0..5 {
        let at = at.plus_ms(turn * MINUTE);
        session.prompt(at, &format!("turn {turn}"));
        let call = session.calls(at.plus_ms(1_000), "Read", json!({"file_path": "/x"}), 200);
        session.answers(at.plus_ms(2_000), &call, "ok");
        session.says(at.plus_ms(3_000), "done", 300);
    }
}

#[test]
fn what_forks_share_moves_to_the_one_that_is_left_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        let home = Home::new();
        let running = Running::start(&home);
        let mut origin = home.claude(1, "api");
        story(&mut origin, running.now().plus_ms(-3 * HOUR));
        let mut first = fork(&home, &origin, 2);
        first.prompt(running.now().plus_ms(-2 * HOUR), "go on");
        first.says(running.now().plus_ms(-2 * HOUR), "gone on", 400);
        let mut second = fork(&home, &origin, 3);
        second.prompt(running.now().plus_ms(-HOUR), "go elsewhere");
        second.says(running.now().plus_ms(-HOUR), "gone elsewhere", 500);
        // One that shares nothing, of the same time.
        let mut other = home.claude(4, "api");
        story(&mut other, running.now().plus_ms(-3 * HOUR));
        running.settle();
        let all = [&origin, &first, &second];
        assert_eq!(running.filed(&origin.key()).tool_calls, 5, "the origin owns what it said");
        for (n, which) in order.into_iter().enumerate() {
            let session = all[which];
            assert_eq!(running.engine.forget(&one(&session.key()), false).unwrap().total, 1);
            fs::remove_file(&session.path).unwrap();
            let totals = plain(running.engine.totals().unwrap());
            assert_eq!(totals, imported_anew(&home), "{order:?}: after {} went", n + 1);
            let rows: u64 =
                running.pages(50).iter().flat_map(|p| &p.sessions).map(|c| u64::from(c.tool_calls)).sum();
            assert_eq!(rows, totals.tool_calls, "{order:?}: sums of sessions and of everything agree");
        }
        let shared = running.filed(&other.key());
        assert_eq!(shared.tool_calls, 5);
        assert_eq!(
            count(&home, "SELECT count(*) FROM meta WHERE key = 'forgetting'"),
            0,
            "nothing is left to do"
        );
    }
}

#[test]
fn a_running_session_is_left_alone_and_counted_and_a_dry_run_changes_nothing() {
    let home = Home::new();
    let running = Running::start(&home);
    let process = Process::sleeping();
    let live = secretive(&home, &running, 1, "api", Some(&process));
    let mut old = home.claude(2, "api");
    story(&mut old, running.now().plus_ms(-30 * 24 * HOUR));
    let mut elsewhere = home.claude(3, "web");
    story(&mut elsewhere, running.now().plus_ms(-40 * 24 * HOUR));
    running.settle();
    let project = |name: &str| Forget { project: Some(name.to_owned()), ..Forget::default() };
    let before =
        |hours: i64| Forget { before: Some(running.now().plus_ms(-hours * HOUR)), ..Forget::default() };

    let dry = running.engine.forget(&project("api"), true).unwrap();
    assert_eq!(dry, Forgotten { sessions: vec![old.name()], total: 1, running: 1, is_dry_run: true });
    assert_eq!(running.engine.forget(&one(&live.key()), false).unwrap().running, 1);
    assert_eq!(running.listed(50).len(), 3, "nothing went");
    assert!(matches!(running.engine.forget(&Forget::default(), false), Err(EngineError::BadRequest(_))));
    assert_eq!(running.engine.forget(&before(24 * 50), false).unwrap().total, 0);
    assert_eq!(running.engine.forget(&project("ap"), false).unwrap().total, 0, "exactly it");
    let both = Forget { project: Some("api".to_owned()), ..before(24 * 35) };
    assert_eq!(running.engine.forget(&both, false).unwrap().total, 0, "both must fit");

    let gone = running.engine.forget(&before(24 * 35), false).unwrap();
    assert_eq!((gone.sessions, gone.total, gone.running), (vec![elsewhere.name()], 1, 0));
    let gone = running.engine.forget(&project("api"), false).unwrap();
    assert_eq!((gone.sessions, gone.total, gone.running), (vec![old.name()], 1, 1));
    assert_eq!(running.listed(50), [live.name()]);
    assert_eq!(running.engine.forget(&project("api"), false).unwrap().total, 0, "twice is as once");
}

/// A thread of Codex that another one started.
fn child(home: &Home, n: u32, parent: &Codex, at: Timestamp, says: &str) -> Codex {
    let mut thread = home.codex(n, "2026/11/20");
    let id = thread.id.as_str().to_owned();
    let meta = json!({"timestamp": "2026-11-20T12:00:00.000Z", "ordinal": 0, "type": "session_meta", "payload": {"id": id,
        "session_id": parent.id.as_str(), "timestamp": "2026-11-20T12:00:00.000Z", "cwd": thread.cwd.to_str().unwrap(),
        "originator": "codex-tui", "cli_version": "0.169.0", "source": {"subagent": {"thread_spawn":
        {"parent_thread_id": parent.id.as_str(), "depth": 1}}}, "thread_source": "subagent",
        "parent_thread_id": parent.id.as_str(), "history_mode": "paginated"}});
    append(&thread.path, &format!("{meta}\n"));
    thread.prompt(at, says);
    thread.says(at, says);
    thread
}

#[test]
fn threads_of_a_forgotten_threads_subagents_go_with_it_and_later_ones_stay_out() {
    let home = Home::new();
    let running = Running::start(&home);
    let at = running.now().plus_ms(-HOUR);
    let mut parent = home.codex(1, "2026/11/20");
    parent.begin(at);
    parent.prompt(at, &format!("{SECRET} build it"));
    parent.says(at, "built");
    let theirs = child(&home, 2, &parent, at, &format!("{SECRET} for the subagent"));
    let mut stranger = home.codex(3, "2026/11/20");
    stranger.begin(at);
    stranger.prompt(at, "something else");
    stranger.says(at, "done");
    running.settle();
    assert_eq!(running.status().hidden.subagent, 1, "the other one is a subagent's");
    let gone = running.engine.forget(&one(&parent.key()), false).unwrap();
    assert_eq!((gone.total, gone.sessions), (1, vec![parent.name()]));
    assert_eq!(holding(&home, SECRET), Vec::<String>::new());
    assert_eq!(count(&home, "SELECT count(*) FROM forgotten"), 2);
    let later = child(&home, 4, &parent, running.now(), &format!("{SECRET} once more"));
    running.settle();
    assert_eq!(count(&home, "SELECT count(*) FROM sessions"), 1, "the stranger alone");
    assert_eq!(running.status().hidden.subagent, 0);
    running.stop();
    // What came after it was forgotten is wiped at the next start at the latest.
    let running = Running::start(&home);
    assert_eq!(holding(&home, SECRET), Vec::<String>::new());
    for thread in [&parent, &theirs, &later] {
        fs::remove_file(&thread.path).unwrap();
    }
    assert_eq!(plain(running.engine.totals().unwrap()), imported_anew(&home));
}

#[test]
fn a_trace_keeps_what_is_not_of_the_forgotten_session() {
    let home = Home::new();
    let running = Running::start(&home);
    let now = running.now().plus_ms(-MINUTE);
    let (gone, left) = ("conversation-gone", "conversation-left");
    // The earliest span that names a session owns what names none.
    ingest(
        &running.engine,
        Signal::Traces,
        &spans(1, &[(1, Some(gone)), (2, None), (3, Some(left))], now),
        now,
    );
    ingest(&running.engine, Signal::Traces, &spans(2, &[(1, Some(gone)), (2, None)], now), now);
    ingest(
        &running.engine,
        Signal::Traces,
        &spans(3, &[(1, Some(left)), (2, None), (3, Some(gone))], now),
        now,
    );
    let key = running.engine.find(gone).unwrap();
    let before = running.filed(&running.engine.find(left).unwrap());
    let service = running.engine.service("billing-bot", None).unwrap().unwrap();
    assert_eq!(running.engine.forget(&one(&key), false).unwrap().total, 1);
    let spans_of = "SELECT count(*) FROM spans s JOIN traces t ON t.id = s.trace WHERE t.trace_id = ";
    assert_eq!(
        count(&home, &format!("{spans_of} x'{}'", "01".repeat(16))),
        1,
        "the span of the other session"
    );
    assert_eq!(
        count(&home, &format!("SELECT count(*) FROM traces WHERE trace_id = x'{}'", "02".repeat(16))),
        0
    );
    assert_eq!(count(&home, &format!("{spans_of} x'{}'", "03".repeat(16))), 2);
    let sums: Vec<(i64, i64)> = {
        let db = database(&home);
        let mut select = db.prepare("SELECT spans, input FROM traces ORDER BY id").unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(sums, [(1, 100), (2, 200)], "rows of traces say what is left of them");
    assert_eq!(
        running.filed(&running.engine.find(left).unwrap()).tokens,
        before.tokens,
        "what it spent, it spent"
    );
    let after = running.engine.service("billing-bot", None).unwrap().unwrap();
    assert_eq!(after.models, service.models, "sums of services stay");
    assert!(after.sessions.iter().all(|card| card.session_id != gone));
    ingest(&running.engine, Signal::Traces, &spans(2, &[(1, Some(gone))], now), now);
    assert!(running.engine.find(gone).is_err(), "the same records again change nothing");
    assert_eq!(holding(&home, gone).len(), 1, "its id is remembered, in the database alone");
    assert_eq!(count(&home, "SELECT count(*) FROM forgotten"), 1);
}
