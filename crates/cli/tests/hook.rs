//! `lamp hook` as an agent calls it: whatever it is given, it ends with 0, says nothing, and leaves whole files or none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn spool(&self) -> PathBuf {
        self.data().join("spool")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamp"));
        command
            .arg("hook")
            .args(args)
            .env_clear()
            .env("LAMPLIGHT_DATA", self.data())
            .current_dir(self.dir.path());
        command
    }

    #[track_caller]
    fn hook(&self, args: &[&str], body: &[u8]) {
        silent(feed(&mut self.command(args), |stdin| {
            // It may have seen enough.
            let _ = stdin.write_all(body);
        }));
    }

    fn files(&self) -> Vec<Value> {
        files(&self.spool())
    }
}

fn files(spool: &Path) -> Vec<Value> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(spool).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

fn feed(command: &mut Command, write: impl FnOnce(&mut std::process::ChildStdin)) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    write(&mut stdin);
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn silent(output: Output) {
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b""[..], &b""[..]));
}

#[test]
fn an_event_becomes_one_file() {
    let place = Place::new();
    let event = json!({"session_id": "a", "hook_event_name": "Stop", "background_tasks": []});
    place.hook(&[], event.to_string().as_bytes());
    let [file] = place.files().try_into().unwrap();
    assert_eq!((&file["v"], &file["agent"], &file["payload"]), (&json!(1), &json!("claude-code"), &event));
    assert_eq!(file["pid_parent"], std::process::id());
    assert!(file["received_at_ms"].as_i64().unwrap() > 1_700_000_000_000);
    place.hook(&["--agent", "codex"], event.to_string().as_bytes());
    assert_eq!(place.files()[1]["agent"], "codex");
}

#[test]
fn codex_notify_gives_its_event_as_an_argument() {
    let place = Place::new();
    let event = json!({"type": "agent-turn-complete", "thread-id": "t"}).to_string();
    place.hook(&["--agent", "codex", &event], b"");
    assert_eq!(place.files()[0]["payload"]["thread-id"], "t");
}

#[test]
fn what_is_no_event_is_taken_in_silence() {
    let place = Place::new();
    let deep = "{\"a\":".repeat(100_000);
    for body in [
        &b""[..],
        b"\n",
        b"not json",
        b"[]",
        b"{\"torn\":",
        b"{\"bad\":\"\xff\xfe",
        b"\0\0\0",
        deep.as_bytes(),
    ] {
        place.hook(&[], body);
    }
    place.hook(&["--nonsense", "--agent"], b"");
    place.hook(&["--help"], b"");
    assert!(place.files().is_empty());
}

#[test]
fn a_hundred_megabytes_are_read_to_the_end_and_cut() {
    let place = Place::new();
    let output = feed(&mut place.command(&[]), |stdin| {
        stdin.write_all(br#"{"session_id":"a","tool_name":"Write","tool_input":{"content":""#).unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            // All of it is taken: an agent whose event is not read may complain.
            stdin.write_all(&piece).unwrap();
        }
        stdin.write_all(br#"","file_path":"/f"},"hook_event_name":"PostToolUse"}"#).unwrap();
    });
    silent(output);
    let [file] = place.files().try_into().unwrap();
    assert_eq!((&file["cut"], &file["payload"]["hook_event_name"]), (&json!(true), &json!("PostToolUse")));
    assert_eq!(file["payload"]["tool_input"]["file_path"], "/f");
    assert!(file.to_string().len() < 256 * 1024);
}

#[test]
fn a_place_that_takes_nothing_is_no_concern_of_the_agent() {
    let event = br#"{"session_id":"a","hook_event_name":"Stop"}"#;
    // A file where the folder should be: nobody, not even root, can write into it.
    let place = Place::new();
    std::fs::write(place.data(), "").unwrap();
    place.hook(&[], event);
    // A folder that allows no writing; root is allowed everything, and then the file is simply there.
    let place = Place::new();
    std::fs::create_dir_all(place.spool()).unwrap();
    let mut mode = std::fs::metadata(place.spool()).unwrap().permissions();
    mode.set_readonly(true);
    std::fs::set_permissions(place.spool(), mode).unwrap();
    place.hook(&[], event);
    // Nothing says where anything is.
    let place = Place::new();
    let mut command = place.command(&[]);
    command.env_remove("LAMPLIGHT_DATA");
    silent(feed(&mut command, |stdin| stdin.write_all(event).unwrap()));
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[test]
fn without_a_setting_the_spool_is_below_home() {
    let place = Place::new();
    let mut command = place.command(&[]);
    command.env_remove("LAMPLIGHT_DATA").env("HOME", place.dir.path());
    // Not even a settings file that is none is read.
    let config = place.dir.path().join("config.toml");
    std::fs::write(&config, "no toml [").unwrap();
    command.env("LAMPLIGHT_CONFIG", config);
    silent(feed(&mut command, |stdin| stdin.write_all(b"{}").unwrap()));
    let spool = if cfg!(target_os = "macos") {
        place.dir.path().join("Library/Application Support/Lamplight/spool")
    } else {
        place.dir.path().join(".local/share/lamplight/spool")
    };
    assert_eq!(files(&spool).len(), 1);
}

#[test]
fn hooks_that_run_at_once_are_a_file_each() {
    let place = Place::new();
    let children: Vec<_> = (0..20)
        .map(|n| {
            let mut child = place
                .command(&[])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(format!("{{\"n\":{n}}}").as_bytes()).unwrap();
            child
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut seen: Vec<u64> =
        place.files().iter().map(|file| file["payload"]["n"].as_u64().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}
