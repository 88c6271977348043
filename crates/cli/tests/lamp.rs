//! `lamp` as scripts and people run it: the built binary on a home of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "shell_support/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use program::write_program;
use serde_json::{Value, json};

const ID: &str = "8315008f-4e85-4f76-9793-9ca591af70eb";
const SHARED: &str = "01a1f8dc-f545-7661-b9fb-954e090b8669";

/// A home with two Claude Code sessions and a Codex one that shares an id with the second.
struct Home {
    dir: tempfile::TempDir,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    #[track_caller]
    fn json(self) -> Value {
        let text = self.ok();
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The exit code of a failure, which must say why on standard error and nothing on standard output.
    #[track_caller]
    fn failed(self) -> (i32, String) {
        assert_eq!(self.stdout, "");
        assert!(!self.stderr.trim().is_empty());
        (self.code.unwrap(), self.stderr)
    }
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        let work = home.path().join("shop");
        std::fs::create_dir_all(&work).unwrap();
        for id in [ID, SHARED] {
            write(&home.path().join(format!(".claude/projects/-shop/{id}.jsonl")), &transcript(id, &work));
        }
        let rollout = format!(".codex/sessions/2026/11/20/rollout-2026-11-20T12-09-52-{SHARED}.jsonl");
        write(&home.path().join(rollout), &thread(SHARED, &work));
        home
    }

    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamp"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("LAMPLIGHT_DATA", self.data())
            .stdin(Stdio::null());
        command
    }

    fn lamp(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Starts a `lamp` that stays, with its standard output to read.
    fn start(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout }
    }

    fn serve(&self, more: &[&str]) -> (Running, Value) {
        let ports = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        let mut running = self.start(&[&ports[..], more].concat());
        let ready = running.json_line();
        (running, ready)
    }
}

fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `lamp` that runs; killed if the test fails before it ends by itself.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    #[track_caller]
    fn json_line(&mut self) -> Value {
        let mut line = String::new();
        if self.stdout.read_line(&mut line).unwrap() == 0 {
            let mut stderr = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            panic!("no line came: {stderr}");
        }
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a signal and returns the exit code and what was said on standard error.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        let kill =
            Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.child.id())).status().unwrap();
        assert!(kill.success());
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A finished turn at a terminal, a minute ago.
fn transcript(id: &str, cwd: &Path) -> String {
    let line = |seconds: i64, extra: Value| {
        let mut line = json!({"isSidechain": false, "userType": "external", "entrypoint": "cli", "cwd": cwd,
            "sessionId": id, "version": "2.1.329", "gitBranch": "main", "timestamp": ago(seconds)});
        line.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        format!("{line}\n")
    };
    line(
        60,
        json!({"type": "user", "uuid": format!("{id}-p"), "parentUuid": null,
        "message": {"role": "user", "content": "Paint the shed"}}),
    ) + &line(
        55,
        json!({"type": "assistant", "uuid": format!("{id}-r"), "parentUuid": format!("{id}-p"),
            "requestId": format!("req_{id}"), "message": {"id": format!("msg_{id}"), "type": "message",
            "role": "assistant", "model": "claude-opus-5-5", "content": [{"type": "text", "text": "It is red."}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 5,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}}}),
    )
}

fn thread(id: &str, cwd: &Path) -> String {
    let meta = json!({"timestamp": ago(60), "ordinal": 0, "type": "session_meta", "payload": {"session_id": id,
        "id": id, "timestamp": ago(60), "cwd": cwd, "originator": "codex-tui", "cli_version": "0.169.0",
        "source": "cli", "thread_source": "user", "model_provider": "openai"}});
    let prompt = json!({"timestamp": ago(59), "ordinal": 1, "type": "event_msg", "payload": {
        "type": "item_completed", "thread_id": id, "turn_id": "turn-1",
        "item": {"type": "UserMessage", "id": "item-1", "content": [{"type": "text", "text": "Count the nails"}]}}});
    format!("{meta}\n{prompt}\n")
}

fn ago(seconds: i64) -> String {
    let at =
        chrono::DateTime::from_timestamp_millis(lamplight_engine::clock::now().0 - seconds * 1000).unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn label_of(status: &Value, id: &str) -> String {
    let sessions = status["sessions"].as_array().unwrap();
    let card = sessions.iter().find(|card| card["session_id"] == id).unwrap();
    card["label"].as_str().unwrap().to_owned()
}

#[test]
fn status_prints_every_key_with_and_without_an_engine() {
    let home = Home::new();
    let keys = |status: &Value| -> Vec<String> { status.as_object().unwrap().keys().cloned().collect() };
    let alone = home.lamp(&["status", "--json"]).json();
    assert_eq!(
        keys(&alone),
        [
            "archived",
            "at_ms",
            "engine_id",
            "hidden",
            "importing",
            "revision",
            "services",
            "sessions",
            "sources",
            "worktrees"
        ]
    );
    assert_eq!(alone["sessions"].as_array().unwrap().len(), 3);
    let (running, _) = home.serve(&[]);
    let asked = home.lamp(&["status", "--json"]).json();
    assert_eq!(keys(&asked), keys(&alone));
    assert_eq!(asked["sessions"].as_array().unwrap().len(), 3, "ready means that what was there is known");
    assert_eq!(keys(&asked["sessions"][0]), keys(&alone["sessions"][0]));
    assert_eq!(running.end("TERM").0, Some(0));
}

#[test]
fn status_for_people_names_the_sessions() {
    let home = Home::new();
    let text = home.lamp(&["status"]).ok();
    assert!(text.contains("Paint the shed") && text.contains(&format!("claude-code:{ID}")), "{text}");
    assert!(!text.contains('\x1b'), "no colours where nobody looks");
    let none = Home::empty().lamp(&["status"]).ok();
    assert!(none.starts_with("No session is open right now."), "{none}");
}

#[test]
fn import_counts_the_same_again_and_through_an_engine() {
    let home = Home::new();
    let first = home.lamp(&["import", "--json"]).json();
    assert_eq!(
        (&first["sessions"], &first["messages"], &first["prompts"]),
        (&json!(3), &json!(2), &json!(3))
    );
    assert_eq!(first["tokens"]["claude-opus-5-5"]["input"], 20);
    let mut again = home.lamp(&["import", "--json"]).json();
    assert_eq!(again["bytes_read"], 0, "nothing is read twice");
    let (running, _) = home.serve(&[]);
    let asked = home.lamp(&["import", "--json"]).json();
    for key in ["sessions", "messages", "prompts", "tool_calls", "subagents", "tokens"] {
        assert_eq!(asked[key], again[key].take(), "{key}");
    }
    assert!(
        home.lamp(&["import"]).ok().starts_with("3 sessions, 0 subagents, 3 prompts, 2 model responses,")
    );
    assert_eq!(running.end("TERM").0, Some(0));
}

#[test]
fn a_rename_lasts_and_is_taken_back() {
    let home = Home::new();
    let before = label_of(&home.lamp(&["status", "--json"]).json(), ID);
    assert_eq!(home.lamp(&["rename", ID, "  the shed "]).ok(), "Renamed to \"the shed\".\n");
    assert_eq!(label_of(&home.lamp(&["status", "--json"]).json(), ID), "the shed");
    let (running, _) = home.serve(&[]);
    assert_eq!(label_of(&home.lamp(&["status", "--json"]).json(), ID), "the shed");
    assert_eq!(
        home.lamp(&["rename", &format!("claude-code:{ID}"), "a barn"]).ok(),
        "Renamed to \"a barn\".\n"
    );
    assert_eq!(running.end("TERM").0, Some(0));
    assert_eq!(label_of(&home.lamp(&["status", "--json"]).json(), ID), "a barn");
    assert_eq!(home.lamp(&["rename", ID, "--reset"]).ok(), format!("Named again \"{before}\".\n"));
}

#[test]
fn resume_prints_the_line_to_run() {
    let home = Home::new();
    let line = home.lamp(&["resume", ID]).ok();
    assert!(line.starts_with("cd ") && line.ends_with(&format!("claude --resume {ID}\n")), "{line}");
    let (running, _) = home.serve(&[]);
    assert_eq!(home.lamp(&["resume", ID]).ok(), line);
    assert_eq!(running.end("TERM").0, Some(0));
    // The beginning of an id is enough where only one begins so.
    assert_eq!(home.lamp(&["resume", &ID[..8]]).ok(), line);
    assert_eq!(home.lamp(&["resume", &ID[..3]]).failed().0, 3);
    std::fs::remove_dir_all(home.path().join("shop")).unwrap();
    let gone = home.lamp(&["resume", ID]);
    assert!(!gone.stderr.is_empty(), "it says that the directory is gone");
}

#[test]
fn resume_runs_the_agent_and_notes_when_it_does_not_find_the_session_b78_b80_b81() {
    let home = Home::new();
    let bin = home.path().join("bin");
    let agent = |script: &str| {
        std::fs::create_dir_all(&bin).unwrap();
        write_program(&bin.join("claude"), script);
    };
    let resume = || {
        let path = format!("{}:/usr/bin:/bin", bin.display());
        run(home.command(&["resume", ID, "--run"]).env("PATH", path))
    };
    let (running, _) = home.serve(&[]);
    let counted = || {
        let status = home.lamp(&["resume", ID]);
        status.stderr.contains("the agent did not find it")
    };
    // It resumes: its own output, its own exit code, in the session's directory.
    agent("echo \"resumed $2 in $(basename \"$PWD\")\"");
    assert_eq!(resume().ok(), format!("resumed {ID} in shop\n"));
    assert!(!counted());
    agent("echo \"No conversation found with session ID: $2\" >&2; exit 1");
    let failed = resume();
    assert_eq!(failed.code, Some(1));
    assert!(
        failed.stderr.contains(&format!("No conversation found with session ID: {ID}\n")),
        "{}",
        failed.stderr
    );
    assert!(counted(), "the card says so");
    agent("exit 7");
    assert_eq!(resume().code, Some(7), "the agent's own exit code");
    assert!(!counted(), "another class: it said nothing");
    assert_eq!(running.end("TERM").0, Some(0));
}

#[test]
fn a_harness_gets_a_session_worth_resuming_or_3_with_a_sentence() {
    let home = Home::new();
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        // What was active last; of Codex there is one alone.
        let id = home.lamp(&["resume", "--viable"]).ok();
        assert!(
            id == format!("{ID}\n") || id == format!("{SHARED}\n"),
            "{id:?} with an engine: {with_engine}"
        );
        let card =
            home.lamp(&["resume", "--viable", "--project", "shop", "--agent", "claude-code", "--json"]);
        let card = card.json();
        assert_eq!((&card["agent"], &card["resume"]["state"]), (&json!("claude-code"), &json!("ready")));
        assert_eq!(home.lamp(&["resume", card["session_id"].as_str().unwrap(), "--viable"]).failed().0, 2);
        for (args, said) in [
            (
                &["--project", "elsewhere"][..],
                "No session of project \"elsewhere\" was used within the last 24 h.",
            ),
            (&["--agent", "gemini"], "No gemini session was used within the last 24 h."),
        ] {
            let (code, why) = home.lamp(&[&["resume", "--viable"], args].concat()).failed();
            assert_eq!(code, 3, "{args:?} with an engine: {with_engine}");
            assert!(why.contains(said), "{why}");
        }
        let (code, why) = home.lamp(&["resume", "--viable", "--agent", "nobody"]).failed();
        assert_eq!(code, 1, "{why}");
        if let Some(running) = running {
            // The running engine may not have heard of it yet; an attempt would be wasted all the same.
            std::fs::remove_dir_all(home.path().join("shop")).unwrap();
            let (code, why) = home.lamp(&["resume", "--viable"]).failed();
            assert_eq!(code, 3);
            assert!(why.contains("have lost their directory"), "{why}");
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn what_matches_nothing_exits_3_and_what_matches_twice_1() {
    let home = Home::new();
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        for args in
            [&["resume", "nobody"][..], &["rename", "nobody", "x"], &["rename", "codex:../x", "--reset"]]
        {
            assert_eq!(home.lamp(args).failed().0, 3, "{args:?} with an engine: {with_engine}");
        }
        let (code, why) = home.lamp(&["resume", SHARED]).failed();
        assert_eq!(code, 1);
        assert!(
            why.contains(&format!("codex:{SHARED}")) && why.contains(&format!("claude-code:{SHARED}")),
            "{why}"
        );
        if let Some(running) = running {
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn closing_is_said_once_and_undone_by_activity_a22_a24() {
    let home = Home::new();
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        let status = home.lamp(&["status", "--json"]).json();
        let label = label_of(&status, ID);
        let closed = home.lamp(&["close", ID]).ok();
        let expected = match running {
            None => format!("Closed \"{label}\".\n"),
            Some(_) => format!("\"{label}\" is closed already.\n"),
        };
        assert_eq!(closed, expected);
        assert_eq!(home.lamp(&["close", ID]).ok(), format!("\"{label}\" is closed already.\n"));
        let (code, why) = home.lamp(&["close", "--instance-id", "not a tty"]).failed();
        assert_eq!(code, 1, "{why}");
        assert_eq!(home.lamp(&["close", SHARED]).failed().0, 1, "two sessions have this id");
        if let Some(running) = running {
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn what_calls_is_put_off_handled_muted_and_archived_from_a_terminal() {
    let home = Home::new();
    let causes = |home: &Home| -> Vec<Value> {
        let status = home.lamp(&["status", "--json"]).json();
        let card =
            status["sessions"].as_array().unwrap().iter().find(|card| card["session_id"] == ID).cloned();
        card.map_or_else(Vec::new, |card| card["causes"].as_array().unwrap().clone())
    };
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        let status = home.lamp(&["status", "--json"]).json();
        let label = label_of(&status, ID);
        if !with_engine {
            assert_eq!(causes(&home).len(), 1);
            let said = home.lamp(&["snooze", ID, "15m"]).ok();
            assert!(said.starts_with(&format!("\"{label}\": your turn is put off until 2")), "{said}");
            assert!(causes(&home)[0]["snoozed_until_ms"].is_i64());
            let first = causes(&home)[0]["snoozed_until_ms"].as_i64().unwrap();
            home.lamp(&["snooze", ID, "1h"]).ok();
            assert!(causes(&home)[0]["snoozed_until_ms"].as_i64().unwrap() > first, "put off anew");
        }
        assert_eq!(home.lamp(&["snooze", ID, "soon"]).failed().0, 2);
        assert_eq!(home.lamp(&["snooze"]).failed().0, 2);
        assert_eq!(home.lamp(&["mute", ID]).ok(), format!("\"{label}\" is muted: nothing is told of it.\n"));
        assert_eq!(home.lamp(&["unmute", ID]).ok(), format!("\"{label}\" calls again.\n"));
        let claude = format!("claude-code:{SHARED}");
        let handled = home.lamp(&["dismiss", &claude]);
        if with_engine {
            assert_eq!(handled.failed().0, 3, "handled already");
        } else {
            assert!(handled.ok().ends_with(": your turn is handled.\n"));
        }
        for command in ["archive", "dismiss", "snooze", "mute", "unmute"] {
            assert_eq!(home.lamp(&[command, "nobody"]).failed().0, 3, "{command}");
            assert_eq!(home.lamp(&[command, ""]).failed().0, 2, "{command}");
            assert_eq!(home.lamp(&[command, SHARED]).failed().0, 1, "{command}: two sessions have this id");
        }
        if let Some(running) = running {
            let archived = format!("Archived \"{label}\". It comes back when something happens in it.\n");
            assert_eq!(home.lamp(&["archive", ID]).ok(), archived);
            assert_eq!(home.lamp(&["archive", ID]).ok(), archived, "twice is as once");
            let status = home.lamp(&["status", "--json"]).json();
            assert!(status["sessions"].as_array().unwrap().iter().all(|card| card["session_id"] != ID));
            assert_eq!(status["archived"], 1);
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn a_report_has_the_evidence_and_nothing_of_the_persons() {
    let home = Home::new();
    home.lamp(&["rename", ID, "Operation Nightjar"]).ok();
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        let text = home.lamp(&["report", ID]).ok();
        for said in [
            "# Lamplight: evidence of a card",
            "its client 2.1.329",
            "The agent ended its turn",
            "name by: rename",
            "## Sources",
            "claude-code transcripts: ok, 2 files",
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
        let user = home.path().file_name().unwrap().to_str().unwrap();
        for secret in ["Paint", "shed", "Operation", "Nightjar", "shop", "main", "red.", ID, &ID[..8], user] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert_eq!(home.lamp(&["report", "nobody"]).failed().0, 3);
        assert_eq!(home.lamp(&["report", SHARED]).failed().0, 1, "two sessions have this id");
        if let Some(running) = running {
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn runs_and_services_are_told_with_and_without_an_engine_a130() {
    let home = Home::new();
    for with_engine in [false, true] {
        let running = with_engine.then(|| home.serve(&[]).0);
        assert_eq!(home.lamp(&["runs", "--json"]).json(), json!({"runs": [], "next": null, "total": 0}));
        assert!(home.lamp(&["runs", "--limit", "3"]).ok().contains("No session has declared a run"));
        assert_eq!(home.lamp(&["services", "--json"]).json(), json!([]));
        assert!(home.lamp(&["services"]).ok().starts_with("No service has sent anything."));
        if let Some(running) = running {
            assert_eq!(running.end("TERM").0, Some(0));
        }
    }
}

#[test]
fn doctor_looks_with_and_without_an_engine_and_repairs_only_without_a214() {
    let home = Home::new();
    home.lamp(&["import"]).ok();
    let by_id = |report: &Value, id: &str| -> Vec<String> {
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["id"] == id);
        checks.map(|check| check["state"].as_str().unwrap().to_owned()).collect()
    };
    let report = home.lamp(&["doctor", "--json"]).json();
    assert_eq!(report["is_running"], false);
    for id in ["engine", "data", "database", "claude-code", "codex"] {
        assert_eq!(by_id(&report, id), ["ok"], "{id}: {report}");
    }
    let (running, _) = home.serve(&[]);
    let report = home.lamp(&["doctor", "--json"]).json();
    assert_eq!((&report["is_running"], by_id(&report, "engine")), (&json!(true), vec!["ok".to_owned()]));
    assert!(home.lamp(&["doctor"]).ok().contains("runs as process"));
    let (code, why) = home.lamp(&["doctor", "--repair"]).failed();
    assert_eq!(code, 1);
    assert!(why.contains("Quit it, then repair"), "{why}");
    assert_eq!(running.end("TERM").0, Some(0));

    std::fs::set_permissions(home.data(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let found = home.lamp(&["doctor"]);
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    assert!(found.stdout.contains("FAIL  Data folder") && found.stdout.contains("lamp doctor --repair"));
    let repaired = home.lamp(&["doctor", "--repair"]).ok();
    assert!(repaired.starts_with("repaired  Closed "), "{repaired}");
    home.lamp(&["doctor"]).ok();
}

#[test]
fn wrong_usage_exits_2() {
    let home = Home::empty();
    for args in [
        &[][..],
        &["glow"],
        &["status", "--yaml"],
        &["rename", "x"],
        &["rename", "x", "y", "--reset"],
        &["resume"],
        &["serve", "--http", "0.0.0.0:0"],
        &["serve", "--http", "4318"],
        &["close"],
        &["runs", ""],
        &["runs", "--limit", "0"],
    ] {
        assert_eq!(home.lamp(args).failed().0, 2, "{args:?}");
    }
    assert!(home.lamp(&["--help"]).ok().contains("Exit codes"));
    assert!(home.lamp(&["--version"]).ok().starts_with("lamp "));
}

#[test]
fn serve_says_where_it_is_and_stops_in_order() {
    let home = Home::new();
    for signal in ["TERM", "INT"] {
        let (running, ready) = home.serve(&[]);
        let keys: Vec<&String> = ready.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["grpc", "http", "token_file"]);
        let grpc: std::net::SocketAddr = ready["grpc"].as_str().unwrap().parse().unwrap();
        assert!(grpc.ip().is_loopback() && grpc.port() != 0 && std::net::TcpStream::connect(grpc).is_ok());
        let token = std::fs::read_to_string(ready["token_file"].as_str().unwrap()).unwrap();
        assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()));
        let endpoint: Value =
            serde_json::from_slice(&std::fs::read(home.data().join("endpoint.json")).unwrap()).unwrap();
        assert_eq!((&endpoint["http"], &endpoint["pid"]), (&ready["http"], &json!(running.child.id())));
        assert_eq!(endpoint["grpc"], ready["grpc"]);
        let (code, stderr) = running.end(signal);
        assert_eq!(code, Some(0), "{signal}: {stderr}");
        assert!(!home.data().join("endpoint.json").exists() && !home.data().join("lamp.sock").exists());
    }
}

#[test]
fn serve_after_a_kill_takes_its_place() {
    let home = Home::new();
    let (running, _) = home.serve(&[]);
    running.end("KILL");
    assert!(home.data().join("lamp.sock").exists(), "a killed engine leaves its socket");
    assert_eq!(
        home.lamp(&["status", "--json"]).json()["sessions"].as_array().unwrap().len(),
        3,
        "and is not waited for"
    );
    let (again, _) = home.serve(&[]);
    assert_eq!(home.lamp(&["status", "--json"]).code, Some(0));
    assert_eq!(again.end("TERM").0, Some(0));
}

#[test]
fn a_taken_port_or_data_folder_exits_1_and_says_so() {
    let home = Home::new();
    let (running, ready) = home.serve(&[]);
    let (code, why) = home.lamp(&["serve", "--http", "127.0.0.1:0"]).failed();
    assert_eq!(code, 1);
    assert!(why.contains(&format!("process {}", running.child.id())), "{why}");
    let elsewhere = home.path().join("elsewhere");
    let taken = ready["http"].as_str().unwrap();
    let (code, why) = home.lamp(&["serve", "--http", taken, "--data", elsewhere.to_str().unwrap()]).failed();
    assert_eq!(code, 1);
    assert!(why.contains(taken) && why.contains("--http"), "{why}");
    assert!(!elsewhere.join("endpoint.json").exists() && !elsewhere.join("lamp.sock").exists());
    assert_eq!(running.end("TERM").0, Some(0));
}

#[test]
fn a_taken_default_port_moves_and_is_told() {
    let home = Home::new();
    // Where this fails, another program has it, which is as good.
    let _taken = std::net::TcpListener::bind("127.0.0.1:4318");
    let mut running = home.start(&["serve"]);
    let ready = running.json_line();
    assert_ne!(ready["http"], "127.0.0.1:4318");
    let (code, stderr) = running.end("TERM");
    assert_eq!(code, Some(0));
    assert!(
        stderr.contains("127.0.0.1:4318 is taken") && stderr.contains(ready["http"].as_str().unwrap()),
        "{stderr}"
    );
}

#[test]
fn watch_prints_one_object_per_line() {
    let home = Home::new();
    let (engine, _) = home.serve(&[]);
    let mut watch = home.start(&["status", "--watch", "--json"]);
    let snapshot = watch.json_line();
    assert_eq!(snapshot["type"], "snapshot");
    home.lamp(&["rename", ID, "seen"]).ok();
    loop {
        let message = watch.json_line();
        assert_eq!(message["type"], "change");
        if message["upserted"].as_array().unwrap().iter().any(|card| card["label"] == "seen") {
            break;
        }
    }
    assert_eq!(watch.end("INT").0, Some(0));
    let watch = {
        let mut watch = home.start(&["status", "--watch", "--json"]);
        watch.json_line();
        watch
    };
    assert_eq!(engine.end("TERM").0, Some(0));
    let mut child = watch;
    let mut rest = String::new();
    child.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.child.wait().unwrap().code(), Some(1), "the engine it followed stopped");
}

#[test]
fn watch_without_an_engine_is_one_that_others_find() {
    let home = Home::new();
    let mut watch = home.start(&["status", "--watch", "--json"]);
    assert_eq!(watch.json_line()["type"], "snapshot");
    home.lamp(&["rename", ID, "found"]).ok();
    while !watch.json_line()["upserted"].as_array().unwrap().iter().any(|card| card["label"] == "found") {}
    assert_eq!(watch.end("TERM").0, Some(0));
    assert!(!home.data().join("lamp.sock").exists());
}

#[test]
fn a_name_with_terminal_commands_in_it_is_shown_without_them() {
    let home = Home::new();
    home.lamp(&["rename", ID, "a\u{1b}[2Jb\u{202e}c\u{7}"]).ok();
    for args in [&["status"][..], &["rename", ID, "d\u{1b}]0;x\u{7}e"]] {
        let text = home.lamp(args).ok();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
    }
}

#[test]
fn without_a_home_it_says_what_to_set() {
    let home = Home::empty();
    let (code, why) = run(home.command(&["status"]).env_remove("HOME").env_remove("LAMPLIGHT_DATA")).failed();
    assert_eq!(code, 1);
    assert!(why.contains("HOME is not set") && why.contains("LAMPLIGHT_DATA"), "{why}");
    let with_data = run(home.command(&["status", "--json"]).env_remove("HOME"));
    assert!(with_data.stderr.contains("CLAUDE_CONFIG_DIR"), "{}", with_data.stderr);
    assert_eq!(with_data.json()["sessions"], json!([]));
}

#[test]
fn settings_that_mean_nothing_are_said_and_standard_output_stays_json() {
    let home = Home::new();
    let config = home.path().join("config.toml");
    write(&config, "[sessions]\nidle_minute = 5\n[session_labels]\n\"8315008f\" = \"from the file\"\n");
    let ran = run(home.command(&["status", "--json"]).env("LAMPLIGHT_CONFIG", &config));
    assert!(
        ran.stderr.contains("line 2: idle_minute is not a setting; did you mean idle_minutes?"),
        "{}",
        ran.stderr
    );
    assert_eq!(label_of(&ran.json(), ID), "from the file");
    write(&config, "[sessions\n");
    let (code, why) = run(home.command(&["status", "--json"]).env("LAMPLIGHT_CONFIG", &config)).failed();
    assert_eq!(code, 1);
    assert!(why.contains("line 1"), "{why}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new();
    let mut child =
        home.command(&["status", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn two_at_once_take_turns() {
    let home = Home::new();
    let running: Vec<Child> = (0..4)
        .map(|_| {
            home.command(&["import", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let totals: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(totals["sessions"], 3);
    }
}
