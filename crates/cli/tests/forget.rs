//! `lamp forget` as people and scripts run it, and killed in the middle.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the wrapper's tests use the rest of it")]
mod shell_support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shell_support::{Bench, Shell};

/// Kills in an ordinary run; `LAMPLIGHT_TEST_KILLS` asks for more.
const KILLS: u32 = 24;
/// In what the sessions say that are to go.
const SECRET: &str = "xyzzy-plugh-tops3cret";

/// A home with sessions of two projects: `gone`, whose sessions say the secret, and `kept`, one of which is a fork of one of
/// `gone` and says nothing that is its own secret.
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
        serde_json::from_str(&self.ok()).unwrap()
    }
}

fn id(n: usize) -> String {
    format!("{n:08x}-1111-4111-8111-{n:012}")
}

fn ago(minutes: i64) -> String {
    let now = lamplight_engine::clock::now();
    let at = chrono::DateTime::from_timestamp_millis(now.0 - minutes * 60_000).unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A transcript of one turn; `of` is the session whose records it copies, as a fork does.
fn transcript(session: usize, of: Option<usize>, cwd: &Path, says: &str) -> String {
    let origin = id(of.unwrap_or(session));
    let line = |extra: Value| {
        let mut line = json!({"isSidechain": false, "userType": "external", "entrypoint": "cli", "cwd": cwd,
            "sessionId": id(session), "version": "2.1.329", "timestamp": ago(90)});
        if of.is_some() {
            line["forkedFrom"] = json!({"sessionId": origin, "messageUuid": "u"});
            line["requestSessionId"] = json!(origin);
        }
        line.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        format!("{line}\n")
    };
    line(json!({"type": "user", "uuid": format!("{origin}-p"), "parentUuid": null,
        "message": {"role": "user", "content": says}}))
        + &line(
            json!({"type": "assistant", "uuid": format!("{origin}-r"), "parentUuid": format!("{origin}-p"),
            "requestId": format!("req_{origin}"), "message": {"id": format!("msg_{origin}"), "type": "message",
            "role": "assistant", "model": "claude-opus-5-5", "content": [{"type": "text", "text": says}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 10, "output_tokens": 5,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}}}),
        )
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Home {
    fn new(sessions: usize) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        for project in ["gone", "kept"] {
            std::fs::create_dir_all(home.path().join(project)).unwrap();
        }
        for n in 0..sessions {
            let text = format!("{SECRET} {n} {}", "and so on ".repeat(200));
            write(&home.file("gone", n), &transcript(n, None, &home.path().join("gone"), &text));
            let kept = sessions + n;
            let of = (n == 0).then_some(0);
            write(&home.file("kept", kept), &transcript(kept, of, &home.path().join("kept"), "harmless"));
        }
        home
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, project: &str, n: usize) -> PathBuf {
        self.path().join(format!(".claude/projects/-{project}/{}.jsonl", id(n)))
    }

    fn command(&self, data: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamp"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("LAMPLIGHT_DATA", self.path().join(data))
            .stdin(Stdio::null());
        command
    }

    fn lamp(&self, args: &[&str]) -> Ran {
        self.lamp_on("data", args)
    }

    fn lamp_on(&self, data: &str, args: &[&str]) -> Ran {
        let output = self.command(data, args).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Totals, without what only the pass is about.
    fn totals(&self, data: &str) -> Value {
        let mut totals = self.lamp_on(data, &["import", "--json"]).json();
        for key in ["bytes_read", "elapsed_ms"] {
            totals.as_object_mut().unwrap().remove(key);
        }
        totals
    }

    /// Files of Lamplight's that hold the secret.
    fn holders(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().join("data")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file()
                    && std::fs::read(&path)
                        .is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
                {
                    found.push(path.display().to_string());
                }
            }
        }
        found
    }

    fn serve(&self) -> Child {
        let mut command = self.command("data", &["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert!(line.contains("token_file"), "{line}");
        child
    }
}

/// Nothing tells when the moment of a kill has come.
#[expect(clippy::disallowed_methods, reason = "a process is killed after a while, whatever it is at")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_shows_asks_and_forgets_with_and_without_an_engine() {
    for with_engine in [false, true] {
        let home = Home::new(3);
        let engine = with_engine.then(|| home.serve());
        let first = format!("claude-code:{}", id(0));
        let not_asked = home.lamp(&["forget", &id(0)]);
        assert_eq!(not_asked.code, Some(2), "{}", not_asked.stderr);
        assert!(
            not_asked.stdout.contains(&first) && not_asked.stdout.contains("Transcripts stay where they are")
        );
        assert!(not_asked.stderr.contains("--yes"));
        let dry = home.lamp(&["forget", "--project", "gone", "--json"]).json();
        assert_eq!(
            (&dry["total"], &dry["running"], &dry["is_dry_run"]),
            (&json!(3), &json!(0), &json!(true))
        );
        for (args, code) in [
            (&["forget"][..], 2),
            (&["forget", ""], 2),
            (&["forget", "--before", "yesterday"], 2),
            (&["forget", "nobody", "--yes"], 3),
            (&["forget", "--project", "elsewhere", "--yes"], 3),
            (&["forget", "--before", "2020-01-01", "--yes"], 3),
        ] {
            let refused = home.lamp(args);
            assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.stderr);
        }
        assert_eq!(home.totals("data")["sessions"], 6, "nothing went yet");
        assert_eq!(
            home.lamp(&["forget", &id(0), "--yes"]).ok(),
            "Forgot 1 session. The agents' own files were not touched.\n"
        );
        assert_eq!(home.lamp(&["forget", &id(0), "--yes"]).code, Some(3), "it is not known any more");
        let gone = home.lamp(&["forget", "--project", "gone", "--json", "--yes"]).json();
        assert_eq!((&gone["total"], &gone["is_dry_run"]), (&json!(2), &json!(false)));
        let totals = home.totals("data");
        assert_eq!(totals["sessions"], 3);
        assert_eq!(home.holders(), Vec::<String>::new());
        (0..3).for_each(|n| std::fs::remove_file(home.file("gone", n)).unwrap());
        assert_eq!(home.totals("anew"), totals, "as if they had never been there");
        let all = home.lamp(&["forget", "--before", "2100-01-01", "--json", "--yes"]).json();
        assert_eq!(all["total"], 3);
        assert_eq!(home.totals("data")["sessions"], 0);
        if let Some(engine) = engine {
            end(engine);
        }
    }
}

#[test]
fn asked_at_a_terminal_it_waits_for_a_yes() {
    let bench = Bench::new("");
    let lamp = env!("CARGO_BIN_EXE_lamp");
    let name = format!("{}.jsonl", id(7));
    bench.write(&format!("home/.claude/{name}"), &transcript(7, None, Path::new("/x"), SECRET));
    let mut terminal = bench.terminal(Shell::Bash);
    terminal.line(&format!("mkdir -p ~/.claude/projects/-x && mv ~/.claude/{name} ~/.claude/projects/-x/"));
    terminal.line(&format!("'{lamp}' forget {}", id(7)));
    terminal.wait_for("Forget for good? [y/N] ");
    terminal.line("");
    terminal.wait_for("Nothing was forgotten.");
    terminal.line(&format!("'{lamp}' forget {}", id(7)));
    terminal.wait_for("Forget for good? [y/N] ");
    terminal.line("y");
    terminal.wait_for("Forgot 1 session.");
}

#[test]
fn killed_at_any_moment_all_or_nothing_is_forgotten_and_the_next_start_finishes() {
    let kills = option_env!("LAMPLIGHT_TEST_KILLS").and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let sessions = 12;
    let whole = Home::new(sessions);
    let before = whole.totals("data");
    let forget = ["forget", "--project", "gone", "--yes"];
    let began = Instant::now();
    whole.lamp(&forget).ok();
    let takes = began.elapsed();
    let after = whole.totals("data");
    let (mut untouched, mut finished) = (0, 0);
    for n in 0..kills {
        let home = Home::new(sessions);
        assert_eq!(home.totals("data"), before);
        // With an engine the one that is killed is the one that does it.
        let engine = (n % 2 == 1).then(|| home.serve());
        let began = Instant::now();
        let mut asked =
            home.command("data", &forget).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moment = takes.mul_f64(f64::from(n) / f64::from(kills) * 1.1);
        // The first is killed at once; the last comes to its end, however long that takes.
        if n + 1 < kills {
            pause(moment.saturating_sub(began.elapsed()));
        } else {
            asked.wait().unwrap();
        }
        if let Some(engine) = engine {
            end(engine);
        }
        // It may be done already.
        let _ = asked.kill();
        asked.wait().unwrap();
        let totals = home.totals("data");
        if totals == before {
            untouched += 1;
            home.lamp(&forget).ok();
        } else {
            assert_eq!(totals, after, "kill {n}: all or nothing");
            finished += 1;
        }
        assert_eq!(home.totals("data"), after, "kill {n}");
        assert_eq!(home.holders(), Vec::<String>::new(), "kill {n}");
    }
    assert!(untouched > 0 && finished > 0, "killed before and after: {untouched} and {finished}");
}
