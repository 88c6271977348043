//! What an engine that is killed, refused or doubled leaves behind: every record once, or a clear word.
//!
//! The engine that is killed is this test's own program, started again as a child.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use checklist_support::agents::{Home, append, session_id, written};
use checklist_support::clocked::T0;
use checklist_support::running::{Running, database};
use lamplight_engine::{Config, Engine, StartError, run_once};
use lamplight_model::view::{ImportTotals, TokenTotals};
use serde_json::json;

/// Names the home of the engine a child runs.
const HOME: &str = "LAMPLIGHT_TEST_CHILD_HOME";

/// How the test program is told to be the child.
const CHILD: [&str; 4] = ["--ignored", "--exact", "child::run_an_engine", "--nocapture"];

mod child {
    use super::*;

    /// Runs an engine over the home it is told of, says what it does line by line, and ends with its input.
    ///
    /// `progress N` with every step of the first import (percent), `stored N` whenever N prompts are committed,
    /// `refused …` when it cannot start.
    #[test]
    #[ignore = "the engine that the other tests start and kill"]
    fn run_an_engine() {
        #[expect(clippy::disallowed_methods, reason = "how the test tells its child where to look")]
        let home = PathBuf::from(std::env::var(HOME).expect("started by another test"));
        let engine = match Engine::start(config(&home)) {
            Ok(engine) => engine,
            Err(error) => return say(&format!("refused {}", chain(&error))),
        };
        let mut subscription = engine.subscribe();
        say("started");
        let watching = engine.clone();
        std::thread::spawn(move || {
            loop {
                match subscription.changes.blocking_recv() {
                    Ok(change) => {
                        if let Some(p) = change.importing {
                            say(&format!("progress {}", p.bytes_done * 100 / p.bytes_total.max(1)));
                            // The writer answers nobody before the import is done.
                            continue;
                        }
                        if change.importing_done {
                            say("imported");
                        }
                    }
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
                // The barrier is answered after the commit: what it counts is acknowledged.
                if watching.barrier().is_err() {
                    return say("refused the database failed");
                }
                match watching.totals() {
                    Ok(totals) => say(&format!("stored {}", totals.prompts)),
                    Err(error) => return say(&format!("refused {}", chain(&error))),
                }
            }
        });
        // Until nobody holds the other end.
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).unwrap_or(0) > 0 {}
        engine.shutdown();
    }

    fn say(line: &str) {
        // The parent may be gone; then nobody listens.
        let _ = writeln!(std::io::stdout(), "@{line}");
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

fn config(home: &Path) -> Config {
    let mut config = Home::bare().config();
    config.data_dir = home.join("data");
    config.home = Some(home.to_owned());
    for root in &mut config.roots {
        let name = root.path.file_name().unwrap().to_owned();
        root.path = home.join(name);
    }
    config
}

/// An engine in a process of its own.
struct ChildEngine {
    child: Child,
    lines: Receiver<String>,
    _stdin: ChildStdin,
    /// The most prompts it said to be stored.
    acknowledged: u64,
}

impl ChildEngine {
    fn start(home: &Path) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()).args(CHILD).env(HOME, home))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (told, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The name of the test stands before what it prints first.
                if let Some((_, line)) = line.split_once('@')
                    && told.send(line.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().unwrap();
        Self { child, lines, _stdin: stdin, acknowledged: 0 }
    }

    /// The next thing it says, within `most`; `None` when that time passes or it has ended.
    fn hear(&mut self, most: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(most).ok()?;
        if let Some(n) = line.strip_prefix("stored ") {
            self.acknowledged = self.acknowledged.max(n.parse().unwrap());
        }
        Some(line)
    }

    /// Hears until it says something that `last` accepts.
    fn until(&mut self, last: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.hear(Duration::from_secs(120)).expect("the child says something");
            if last(&line) {
                return line;
            }
        }
    }

    /// kill -9; returns what it had acknowledged, with everything that was still on its way to us.
    fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.hear(Duration::from_secs(120)).is_some() {}
        self.acknowledged
    }
}

impl Drop for ChildEngine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers that are the same at every run: a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What agents wrote, and what a count of it must come to.
struct Store {
    home: tempfile::TempDir,
    prompts: u64,
    messages: u64,
    tool_calls: u64,
    input: u64,
    output: u64,
    sessions: u32,
}

impl Store {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".claude/sessions")).unwrap();
        Self { home, prompts: 0, messages: 0, tool_calls: 0, input: 0, output: 0, sessions: 0 }
    }

    fn transcript(&self, n: u32) -> PathBuf {
        self.home.path().join(format!(".claude/projects/p{}/{}.jsonl", n % 7, session_id(n)))
    }

    /// One turn of session `n`: a prompt, a call with its response on two lines, its result of `padding` bytes.
    fn turn(&mut self, n: u32, padding: usize) {
        let path = self.transcript(n);
        let number = self.prompts;
        let at = written(T0.plus_ms(i64::try_from(number).unwrap() * 10));
        let id = session_id(n);
        let line = |kind: &str, tail: &str, message: serde_json::Value| {
            json!({"type": kind, "uuid": format!("{tail}-{number}"), "timestamp": at, "sessionId": id.as_str(),
                   "cwd": "/p", "version": "2.1.329", "message": message})
            .to_string()
        };
        let usage = json!({"input_tokens": number + 1, "output_tokens": 3});
        let call = format!("toolu_{number}");
        let response = |content: serde_json::Value, stop: &str| {
            json!({"id": format!("msg_{number}"), "model": "claude-opus-5-5", "role": "assistant",
                   "content": [content], "stop_reason": stop, "usage": usage})
        };
        let mut text = String::new();
        for line in [
            line("user", "p", json!({"role": "user", "content": format!("prompt {number}")})),
            line("assistant", "a", response(json!({"type": "text", "text": "looking"}), "tool_use")),
            line(
                "assistant",
                "b",
                response(
                    json!({"type": "tool_use", "id": call, "name": "Bash", "input": {"command": "ls"}}),
                    "tool_use",
                ),
            ),
            line(
                "user",
                "r",
                json!({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call, "content": "x".repeat(padding)}]}),
            ),
        ] {
            text.push_str(&line);
            text.push('\n');
        }
        append(&path, &text);
        self.sessions = self.sessions.max(n);
        self.prompts += 1;
        self.messages += 1;
        self.tool_calls += 1;
        self.input += number + 1;
        self.output += 3;
    }

    /// A fork of session 1: the same records under another id count no second time.
    fn fork(&mut self) {
        let n = self.sessions + 1;
        let text = fs::read_to_string(self.transcript(1)).unwrap();
        let (old, new) = (session_id(1), session_id(n));
        let origin = format!("\"forkedFrom\":{{\"sessionId\":\"{old}\"}},\"sessionId\":\"{new}\"");
        append(&self.transcript(n), &text.replace(&format!("\"sessionId\":\"{old}\""), &origin));
        self.sessions = n;
    }

    fn truth(&self) -> ImportTotals {
        let tokens = TokenTotals { input: self.input, output: self.output, ..TokenTotals::default() };
        ImportTotals {
            sessions: u64::from(self.sessions),
            messages: self.messages,
            prompts: self.prompts,
            tool_calls: self.tool_calls,
            subagents: 0,
            tokens: BTreeMap::from([("claude-opus-5-5".to_owned(), tokens)]),
            bytes_read: 0,
            elapsed_ms: 0,
        }
    }

    /// Reads what is left in this process and compares all counts with the truth, by table and by session.
    fn check(&self, when: &str) {
        let (mut totals, _) = run_once(config(self.home.path()), |_| {}).unwrap();
        (totals.bytes_read, totals.elapsed_ms) = (0, 0);
        assert_eq!(totals, self.truth(), "{when}");
        let running = Running::with(config(self.home.path()));
        let mut sums = (0, 0, 0);
        for page in running.pages(200) {
            for card in page.sessions {
                let key = running.engine.find(&card.session_id).unwrap();
                let detail = running.engine.session(&key).unwrap().unwrap();
                sums.0 += u64::from(detail.prompts);
                sums.1 += u64::from(detail.responses);
                sums.2 += u64::from(card.tool_calls);
            }
        }
        assert_eq!(sums, (self.prompts, self.messages, self.tool_calls), "{when}: the sessions' own sums");
    }

    fn stored_prompts(&self) -> u64 {
        let path = self.home.path().join("data/lamplight.db");
        let db = rusqlite::Connection::open(path).unwrap();
        u64::try_from(db.query_row("SELECT count(*) FROM prompts", [], |row| row.get::<_, i64>(0)).unwrap())
            .unwrap()
    }

    fn is_imported(&self) -> bool {
        let path = self.home.path().join("data/lamplight.db");
        let db = rusqlite::Connection::open(path).unwrap();
        db.query_row("SELECT count(*) FROM meta WHERE key = 'imported'", [], |row| row.get::<_, i64>(0))
            .unwrap()
            == 1
    }
}

#[test]
fn killed_at_random_moments_of_the_first_import_nothing_is_lost_or_doubled() {
    const KILLS: u32 = 12;
    const MOST_KILLS: u32 = 60;
    let mut store = Store::new();
    // More than what takes the ordinary way, so that both ways of the import are met.
    for n in 1..=36 {
        for _ in 0..5 {
            store.turn(n, 200_000);
        }
    }
    store.fork();
    let mut dice = Dice(0x5eed_0001);
    let (mut cut_short, mut begun) = (0, 0);
    let mut kill = 0;
    // On a busy machine many come too late.
    while kill < KILLS || kill < MOST_KILLS && (cut_short < 6 || begun < 3) {
        let percent = dice.below(100);
        let mut engine = ChildEngine::start(store.home.path());
        // Up to a random step of the import, and then a random moment within it.
        engine.until(|line| {
            line == "imported"
                || line.strip_prefix("progress ").is_some_and(|done| done.parse::<u64>().unwrap() >= percent)
        });
        let _ = engine.hear(Duration::from_micros(dice.below(60_000)));
        let acknowledged = engine.kill();
        let (is_imported, stored) = (store.is_imported(), store.stored_prompts());
        cut_short += u32::from(!is_imported);
        begun += u32::from(!is_imported && stored > 0);
        assert!(stored >= acknowledged, "kill {kill}: acknowledged and lost");
        if is_imported {
            // This one was complete: the next begins anew, on a fresh database.
            store.check(&format!("after kill {kill}, which came too late"));
            fs::remove_dir_all(store.home.path().join("data")).unwrap();
        }
        kill += 1;
    }
    assert!(cut_short >= 6 && begun >= 3, "{cut_short} kills fell into an import, {begun} left a part of it");
    store.check(&format!("after {kill} kills, {cut_short} of them in the import"));
    store.check("and once more");
}

#[test]
fn killed_at_random_moments_while_agents_write_nothing_is_lost_or_doubled() {
    const KILLS: u32 = 12;
    let mut store = Store::new();
    for n in 1..=6 {
        store.turn(n, 100);
    }
    let mut dice = Dice(0x5eed_0002);
    let mut engine = ChildEngine::start(store.home.path());
    engine.until(|line| line == "imported");
    for kill in 0..KILLS {
        // Lines come while it runs; it is killed after it has acknowledged some of them.
        for _ in 0..10 + dice.below(30) {
            let n = 1 + u32::try_from(dice.below(8)).unwrap();
            store.turn(n, usize::try_from(dice.below(3_000)).unwrap());
        }
        if kill % 4 == 1 {
            store.fork();
        }
        let some = store.prompts - dice.below(9).min(store.prompts);
        while engine.acknowledged < some {
            engine.until(|line| line.starts_with("stored "));
        }
        for _ in 0..dice.below(6) {
            store.turn(1 + u32::try_from(dice.below(8)).unwrap(), 50);
        }
        let _ = engine.hear(Duration::from_micros(dice.below(20_000)));
        let acknowledged = engine.kill();
        assert!(acknowledged >= some, "kill {kill}");
        assert!(store.stored_prompts() >= acknowledged, "kill {kill}: acknowledged and lost");
        // What is written while nobody looks is found by the next.
        store.turn(1 + u32::try_from(dice.below(8)).unwrap(), 50);
        engine = ChildEngine::start(store.home.path());
    }
    let all = store.prompts;
    while engine.acknowledged < all {
        engine.until(|line| line.starts_with("stored "));
    }
    engine.kill();
    store.check("after the last kill");
}

#[test]
fn a_record_that_was_half_written_at_the_kill_counts_once_when_it_is_whole() {
    let mut store = Store::new();
    store.turn(1, 100);
    let path = store.transcript(1);
    let whole = fs::read_to_string(&path).unwrap();
    let mut engine = ChildEngine::start(store.home.path());
    engine.until(|line| line == "imported");
    store.turn(1, 100);
    let second = fs::read_to_string(&path).unwrap()[whole.len()..].to_owned();
    while engine.acknowledged < 2 {
        engine.until(|line| line.starts_with("stored "));
    }
    let third = second.replace("-1\"", "-2\"").replace("_1\"", "_2\"").replace("prompt 1", "prompt 2");
    let (half, rest) = third.split_at(third.find("looking").unwrap());
    append(&path, half);
    while engine.acknowledged < 3 {
        engine.until(|line| line.starts_with("stored "));
    }
    engine.kill();
    append(&path, rest);
    store.prompts += 1;
    store.messages += 1;
    store.tool_calls += 1;
    store.input += 2;
    store.output += 3;
    store.check("the third turn, whole");
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let mut store = Store::new();
    for n in 1..=20 {
        for _ in 0..10 {
            store.turn(n, 2_000);
        }
    }
    // No file of the child may grow beyond so many KiB: writing fails as it does on a full disk. The shell ignores the
    // signal that would end the child instead, and that is inherited.
    let exe = std::env::current_exe().unwrap();
    let script = format!("trap '' XFSZ; ulimit -f \"$0\"; exec \"{}\" {}", exe.display(), CHILD.join(" "));
    let mut refused = 0;
    // In the shell's blocks of 512 bytes or 1 KiB.
    for blocks in ["8", "64", "200"] {
        let mut command = Command::new("sh");
        command.args(["-c", &script, blocks]).env(HOME, store.home.path());
        let mut engine = ChildEngine::spawn(&mut command);
        let line = engine.until(|line| line.starts_with("refused") || line == "imported");
        if let Some(why) = line.strip_prefix("refused ") {
            assert!(!why.is_empty());
            refused += 1;
        }
        let acknowledged = engine.kill();
        if store.home.path().join("data/lamplight.db").metadata().is_ok_and(|m| m.len() > 0)
            && acknowledged > 0
        {
            assert!(store.stored_prompts() >= acknowledged, "limit {blocks}");
        }
    }
    assert!(refused > 0, "no limit was met");
    store.check("with room again");
}

#[test]
fn a_database_that_fails_during_the_first_import_is_said_and_doubles_nothing() {
    let mut store = Store::new();
    for n in 1..=4 {
        store.turn(n, 100);
    }
    let data = store.home.path().join("data");
    // A database with its tables, not yet imported.
    fs::create_dir_all(&data).unwrap();
    drop(lamplight_engine::store::Store::open(&data, false).unwrap());
    let db = rusqlite::Connection::open(data.join("lamplight.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON prompts BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    )
    .unwrap();
    match run_once(config(store.home.path()), |_| {}) {
        Err(error) => assert!(chain(&error).contains("disk full"), "{}", chain(&error)),
        Ok((totals, _)) => panic!("{totals:?}"),
    }
    let engine = Engine::start(config(store.home.path())).unwrap();
    // The one that runs gives up as well: no half of the import is taken for the whole.
    while engine.barrier().is_ok() {}
    assert!(engine.rescan().is_err());
    engine.shutdown();
    drop(engine);
    assert!(!store.is_imported());
    db.execute_batch("DROP TRIGGER full").unwrap();
    store.check("once it can be written");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_refused_in_words_and_stays_as_it_is() {
    let home = Home::new();
    home.claude(1, "api").prompt(T0, "go");
    Running::start(&home).stop();
    let db = home.data_dir().join("lamplight.db");
    let before = (fs::read(&db).unwrap(), fs::metadata(&db).unwrap().modified().unwrap());
    let ours = fs::metadata(home.path()).map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap();
    let why = if ours == 0 {
        // Modes do not bind root, so the child is nobody; it needs a program it may execute.
        let exe = home.path().join("child");
        // Written by a child: a file that is open for writing in any process cannot be run, and what other tests start
        // meanwhile would hold it open too for a moment.
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&exe).status().unwrap();
        assert!(copied.success());
        set_mode(home.path(), 0o755);
        set_mode(&exe, 0o755);
        set_mode(&home.claude_dir(), 0o755);
        let mut command = Command::new(&exe);
        command.args(CHILD).env(HOME, home.path()).current_dir("/");
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        let mut engine = ChildEngine::spawn(&mut command);
        let line = engine.until(|line| line.starts_with("refused") || line == "started");
        assert!(line.starts_with("refused "), "{line}");
        line
    } else {
        for file in fs::read_dir(home.data_dir()).unwrap() {
            set_mode(&file.unwrap().path(), 0o400);
        }
        set_mode(&home.data_dir(), 0o500);
        let error = Engine::start(home.config()).unwrap_err();
        set_mode(&home.data_dir(), 0o700);
        set_mode(&db, 0o600);
        format!("refused {}", chain(&error))
    };
    assert!(why.contains(home.data_dir().to_str().unwrap()), "says where: {why}");
    assert!(why.to_lowercase().contains("permission denied"), "says why: {why}");
    let after = (fs::read(&db).unwrap(), fs::metadata(&db).unwrap().modified().unwrap());
    assert!(after == before, "not a byte of it was changed");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_is_no_database_of_ours_is_refused_in_words_and_stays_as_it_is() {
    let home = Home::new();
    fs::create_dir_all(home.data_dir()).unwrap();
    let db = home.data_dir().join("lamplight.db");
    let refused = |what: &str| match Engine::start(home.config()) {
        Err(error) => chain(&error),
        Ok(_) => panic!("{what} was taken"),
    };
    let text = "Dear diary, this is not a database. ".repeat(400);
    fs::write(&db, &text).unwrap();
    assert!(refused("a text").contains("not a database"), "{}", refused("a text"));
    assert_eq!(fs::read_to_string(&db).unwrap(), text);
    fs::remove_file(&db).unwrap();
    fs::create_dir(&db).unwrap();
    assert!(refused("a folder").contains("lamplight.db"), "{}", refused("a folder"));
    fs::remove_dir(&db).unwrap();
    Running::start(&home).stop();
    let known: i64 = database(&home).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    database(&home).pragma_update(None, "user_version", known + 1).unwrap();
    let why = refused("a newer one");
    assert!(why.contains("newer"), "{why}");
    let found: i64 = database(&home).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(found, known + 1, "left to the version that made it");
}

#[test]
fn a_second_engine_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    fs::create_dir_all(home.path().join(".claude/projects")).unwrap();
    let mut first = ChildEngine::start(home.path());
    first.until(|line| line == "started");
    match Engine::start(config(home.path())) {
        Err(StartError::Locked { dir, pid }) => {
            assert_eq!((dir, pid), (home.data_dir(), Some(first.child.id())), "says who has it");
        }
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(run_once(config(home.path()), |_| {}), Err(StartError::Locked { .. })),
        "nor a single look"
    );
    let mut session = home.claude(1, "api");
    session.prompt(lamplight_engine::clock::now(), "go");
    while first.acknowledged < 1 {
        first.until(|line| line.starts_with("stored "));
    }
    // A kill leaves no lock behind.
    first.kill();
    let running = Running::with(config(home.path()));
    assert_eq!(running.card(&session.name()).label, "go");
}
