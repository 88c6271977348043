//! `lamp setup`, `lamp otel-resource-attrs` and `lamp session-end`, as people and the wrapper call them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the wrapper's tests use the rest of it")]
mod shell_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shell_support::{Bench, Shell};

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// All three agents and bash, and a repository called harness.
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        for (path, from) in [
            (".claude/settings.json", "claude-settings.json"),
            (".codex/config.toml", "codex-config.toml"),
            (".gemini/settings.json", "gemini-settings.json"),
            (".bashrc", "bashrc"),
        ] {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/setup");
            home.write(path, &fs::read_to_string(fixtures.join(from)).unwrap());
        }
        fs::create_dir_all(home.at("harness/.git")).unwrap();
        fs::create_dir_all(home.at("harness/sub")).unwrap();
        home
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("home").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamp"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.at(""))
            .env("LAMPLIGHT_DATA", self.data())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.at(folder))
            .stdin(Stdio::null());
        command
    }

    fn lamp(&self, folder: &str, args: &[&str]) -> Ran {
        Ran::from(self.command(folder, args).output().unwrap())
    }

    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(&self.at(""))
    }
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }
}

#[test]
fn where_nobody_can_be_asked_the_plan_is_shown_and_nothing_written() {
    let home = Home::new();
    let before = home.tree();
    let ran = home.lamp("", &["setup"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("lamp setup --yes"), "{}", ran.err);
    for part in [
        "~/.claude/settings.json\n",
        "  + ",
        "  - ",
        "\"OTEL_LOGS_EXPORTER\": \"otlp\"",
        "Hooks need review",
        "6 files would change.",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains("not-a-real-token"), "{}", ran.out);
    assert_eq!(home.lamp("", &["setup", "--dry-run"]).ok(), ran.out);
    assert_eq!(home.tree(), before);
    assert!(!home.data().exists(), "looking makes nothing");
}

#[test]
fn yes_sets_up_once_and_undo_takes_it_back() {
    let home = Home::new();
    let before = home.tree();
    let out = home.lamp("", &["setup", "--yes"]).ok();
    assert!(out.contains("wrote    ~/.claude/settings.json"), "{out}");
    let after = home.tree();
    assert_ne!(after, before);
    let again = home.lamp("", &["setup"]).ok();
    assert!(
        again.contains("There is nothing to change.") && again.contains("Claude Code: connected"),
        "{again}"
    );
    assert_eq!(home.tree(), after);
    let shown = home.lamp("", &["setup", "--undo"]);
    assert_eq!(shown.code, Some(2), "{shown:?}");
    assert_eq!(home.tree(), after);
    let undone = home.lamp("", &["setup", "--undo", "--yes"]).ok();
    assert!(undone.contains("restored ~/.claude/settings.json"), "{undone}");
    assert_eq!(home.tree(), before);
    assert_eq!(home.lamp("", &["setup", "--undo"]).ok(), "There is nothing to undo.\n");
}

#[test]
fn json_is_for_programs() {
    let home = Home::new();
    let read = |ran: Ran| -> (Option<i32>, Value) { (ran.code, serde_json::from_str(&ran.out).unwrap()) };
    let (code, shown) = read(home.lamp("", &["setup", "--json"]));
    assert_eq!((code, &shown["done"]), (Some(2), &Value::Null));
    let (code, planned) = read(home.lamp("", &["setup", "--json", "--dry-run", "--agent", "codex"]));
    assert_eq!((code, planned["plan"]["agents"].as_array().unwrap().len()), (Some(0), 1));
    let (code, done) = read(home.lamp("", &["setup", "--json", "--yes"]));
    assert_eq!((code, &done["plan"]), (Some(0), &shown["plan"]));
    assert!(done["done"]["files"].as_array().unwrap().iter().all(|file| file["outcome"] == "written"));
    let (code, undone) = read(home.lamp("", &["setup", "--undo", "--json", "--yes"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        undone["written"].as_array().unwrap().len(),
        undone["done"]["files"].as_array().unwrap().len()
    );
    assert_eq!(home.lamp("", &["setup", "--agent", "emacs"]).code, Some(2));
}

#[test]
fn a_repositorys_project_is_set_here_and_on_the_wire_a43_a44_a45_a52_a216() {
    let home = Home::new();
    let own =
        "# mine\n[sessions]\nidle_minutes = 30 # short\n\n[session_labels]\n\"nightly-\" = \"nightly\"\n";
    home.write(".config/lamplight/config.toml", own);
    let attributes = |folder: &str| home.lamp(folder, &["otel-resource-attrs"]).ok();
    assert_eq!(attributes("harness"), "service.name=claude-code\n", "nothing is configured");
    home.lamp("harness/sub", &["setup", "--yes", "--project", "aqua node", "--agent", "codex"]).ok();
    let config = home.read(".config/lamplight/config.toml");
    assert!(config.starts_with(own), "{config}");
    assert_eq!(config.strip_prefix(own).unwrap().trim(), "[agents.harness]\nproject = \"aqua node\"");
    for folder in ["harness", "harness/sub"] {
        assert_eq!(
            attributes(folder),
            "service.name=claude-code,service.namespace=aqua%20node\n",
            "{folder}"
        );
    }
    assert_eq!(attributes(""), "service.name=claude-code\n", "elsewhere");
    // Another answer replaces it in place.
    home.lamp("harness", &["setup", "--yes", "--project", "aqua", "--agent", "codex"]).ok();
    assert_eq!(home.read(".config/lamplight/config.toml"), config.replace("aqua node", "aqua"));
    assert_eq!(home.lamp("", &["setup", "--yes", "--project", "x"]).code, Some(2), "no repository");
    home.lamp("", &["setup", "--undo", "--yes"]).ok();
    assert_eq!(home.read(".config/lamplight/config.toml"), own);
}

#[test]
fn attributes_are_one_line_whatever_the_surroundings_a52_a134() {
    let home = Home::new();
    let line = |vars: &[(&str, &str)], args: &[&str]| {
        let mut command = home.command("harness", &[&["otel-resource-attrs"], args].concat());
        Ran::from(command.envs(vars.iter().copied()).output().unwrap())
    };
    let out = line(&[("LAMPLIGHT_AS", "api")], &[]).ok();
    assert_eq!(out, "service.name=claude-code,service.instance.id=api\n");
    let out = line(&[("LAMPLIGHT_AS", "api")], &["--as", "-x\n y"]).ok();
    assert_eq!(out, "service.name=claude-code,service.instance.id=-x%20y\n");
    let out = line(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a")], &["--terminal", "--agent", "gemini"]).ok();
    assert_eq!(out, "team=a,service.instance.id=unknown\n");
    let out = line(
        &[("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pts-3")],
        &["--run-id", "night 7", "--parent-session-id", "bb0d985f"],
    );
    assert_eq!(
        out.ok(),
        "service.name=claude-code,lamplight.run_id=night%207,lamplight.parent_session_id=bb0d985f\n"
    );
    home.write(".config/lamplight/config.toml", "[[[");
    assert_eq!(line(&[], &[]).ok(), "service.name=claude-code\n");
    assert_eq!(line(&[("HOME", "")], &[]).ok(), "service.name=claude-code\n");
    assert!(!home.data().exists());
}

#[test]
fn asked_at_a_terminal_it_waits_for_a_yes_and_a_project_a43() {
    let bench = Bench::new("");
    let lamp = env!("CARGO_BIN_EXE_lamp");
    let config = || bench.read("config.toml");
    let start = bench.read("home/.bashrc");
    let mut terminal = bench.terminal(Shell::Bash);
    terminal.line("mkdir -p harness/.git && cd harness");
    terminal.line(&format!("'{lamp}' setup"));
    terminal.wait_for("Project of sessions in harness [harness]: ");
    terminal.line("");
    terminal.wait_for("project = \"harness\"");
    terminal.wait_for("Apply? [y/N] ");
    terminal.line("");
    terminal.wait_for("Nothing was changed.");
    assert_eq!(config(), "");
    terminal.line(&format!("'{lamp}' setup"));
    terminal.wait_for("[harness]: ");
    terminal.line("aquanode");
    terminal.wait_for("Apply? [y/N] ");
    terminal.line("y");
    terminal.wait_for("takes it all back.");
    assert_eq!(config(), "[agents.harness]\nproject = \"aquanode\"\n");
    assert!(bench.read("home/.claude/settings.json").contains("SessionEnd"));
    terminal.line(&format!("'{lamp}' setup --no-project"));
    terminal.wait_for("There is nothing to change.");
    terminal.line(&format!("'{lamp}' setup --undo"));
    terminal.wait_for("Undo? [y/N] ");
    terminal.line("yes");
    terminal.wait_for("Undone.");
    assert_eq!(config(), "");
    assert_eq!(bench.read("home/.bashrc"), start, "as another lamp had set it up");
}

#[test]
fn killed_at_any_moment_every_file_is_old_or_new_and_can_be_undone() {
    const KILLS: u32 = 30;
    let whole = Home::new();
    let began = Instant::now();
    whole.lamp("", &["setup", "--yes"]).ok();
    let takes = began.elapsed();
    let (mut untouched, mut finished) = (0, 0);
    for n in 0..KILLS {
        let home = Home::new();
        let before = home.tree();
        let mut child = home.command("", &["setup", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
        // The first is killed at once; the last comes to its end, however long that takes.
        if n + 1 < KILLS {
            pause(takes.mul_f64(f64::from(n) / f64::from(KILLS) * 1.1));
            child.kill().unwrap();
        }
        child.wait().unwrap();
        let found = home.tree();
        untouched += u32::from(found == before);
        finished += u32::from(home.lamp("", &["setup"]).out.contains("nothing to change"));
        for (path, bytes) in found {
            let name = path.strip_prefix(home.at("")).unwrap().to_owned();
            let is_temporary = name.to_string_lossy().contains(".lamplight-");
            let here = home.dir.path().to_str().unwrap();
            let new = whole.read(name.to_str().unwrap()).replace(whole.dir.path().to_str().unwrap(), here);
            let is_whole = before.get(&path) == Some(&bytes) || new.as_bytes() == bytes;
            assert!(is_whole || is_temporary, "{}", path.display());
        }
        home.lamp("", &["setup", "--yes"]).ok();
        assert!(home.lamp("", &["setup"]).ok().contains("nothing to change"));
        home.lamp("", &["setup", "--undo", "--yes"]).ok();
        assert_eq!(home.tree(), before, "kill {n}");
    }
    assert!(untouched > 0 && finished > 0, "killed before and after: {untouched} and {finished}");
}

#[test]
fn the_end_of_a_run_is_told_in_silence_whether_anyone_listens_or_not_a30() {
    let home = Home::new();
    for args in [
        &["--instance-id", "api"][..],
        &["--session-id", "claude-code:8315008f-4e85-4f76-9793-9ca591af70eb"],
        &["--instance-id", "unknown"],
        &[],
        &["--what", "is this"],
        &["--instance-id"],
    ] {
        let ran = home.lamp("", &[&["session-end"], args].concat());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""), "{args:?}");
    }
    assert!(!home.data().exists(), "no database, no folder");
}

#[test]
fn the_end_of_a_run_closes_the_sessions_of_its_terminal_and_no_others_a30_a31() {
    let home = Home::new();
    let serve = home
        .command("", &["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut serve = Running(serve);
    let mut ready = String::new();
    BufReader::new(serve.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let (mine, other) = ("8315008f-4e85-4f76-9793-9ca591af70eb", "01a1f8dc-f545-7661-b9fb-954e090b8669");
    for (session, line) in [
        (mine, home.lamp("", &["otel-resource-attrs", "--as", "api"]).ok()),
        (other, home.lamp("", &["otel-resource-attrs", "--as", "web"]).ok()),
    ] {
        let resource: Vec<Value> = line
            .trim()
            .split(',')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(k, v)| text(k, v))
            .collect();
        declare(ready["http"].as_str().unwrap(), session, &resource);
    }
    let lifecycle = |session: &str| -> Value {
        let status: Value = serde_json::from_str(&home.lamp("", &["status", "--json"]).ok()).unwrap();
        let cards = status["sessions"].as_array().unwrap();
        let card = cards.iter().find(|card| card["session_id"] == session);
        card.map_or(Value::Null, |card| card["lifecycle"].clone())
    };
    // What was acknowledged is stored; the screen follows in its own time.
    eventually(|| (lifecycle(mine), lifecycle(other)) == (json!("active"), json!("active")));
    let attributes = home.lamp("", &["otel-resource-attrs", "--as", "api"]).ok();
    let told = home
        .command("", &["session-end"])
        .env("OTEL_RESOURCE_ATTRIBUTES", attributes.trim())
        .output()
        .unwrap();
    assert_eq!(Ran::from(told).ok(), "");
    // Closed, it may have left for the archive already.
    let is_closed = |session: &str| lifecycle(session).is_null() || lifecycle(session) == "closed";
    eventually(|| is_closed(mine));
    assert_eq!(lifecycle(other), json!("active"));
    // Asked for by id, it ends too.
    home.lamp("", &["session-end", "--session-id", other]).ok();
    eventually(|| is_closed(other));
}

/// An engine that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn eventually(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "it never came to hold");
        pause(Duration::from_millis(10));
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Sends one event of a session, as Claude Code does.
fn declare(address: &str, session: &str, resource: &[Value]) {
    let now = std::process::Command::new("date").arg("+%s%N").output().unwrap().stdout;
    let body = json!({"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [{
        "scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [{
            "timeUnixNano": String::from_utf8(now).unwrap().trim(),
            "body": {"stringValue": "claude_code.user_prompt"},
            "attributes": [text("event.name", "user_prompt"), text("session.id", session), text("prompt_length", "2")]}]}]}]})
    .to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /v1/logs HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[expect(clippy::disallowed_methods, reason = "a process is killed after a while, whatever it is at")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
