//! What agents write: Claude Code's transcripts and registry files, Codex's rollouts, and processes that are alive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lamplight_engine::config::{Config, Notify, Root};
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use serde_json::{Value, json};

/// One minute in milliseconds.
pub const MINUTE: i64 = 60_000;
/// One hour in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;

/// A home folder of its own.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A home in which both agents have run once: their folders are there, and nothing is in them.
    pub fn new() -> Self {
        let home = Self::bare();
        for folder in
            [".claude/projects", ".claude/sessions", ".codex/sessions", ".codex/thread-writer-locks"]
        {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        home
    }

    /// A home in which no agent has ever run.
    pub fn bare() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn claude_dir(&self) -> PathBuf {
        self.path().join(".claude")
    }

    pub fn codex_dir(&self) -> PathBuf {
        self.path().join(".codex")
    }

    pub fn config(&self) -> Config {
        Config {
            data_dir: self.data_dir(),
            roots: vec![
                Root { agent: Agent::ClaudeCode, path: self.claude_dir(), is_default: true },
                Root { agent: Agent::Codex, path: self.codex_dir(), is_default: true },
            ],
            home: Some(self.path().to_owned()),
            idle_minutes: 240,
            resume_max_hours: 24,
            session_labels: BTreeMap::new(),
            projects: BTreeMap::new(),
            prices: Vec::new(),
            durable: false,
            limits: Default::default(),
            git: false,
            terminals: false,
            notify: Notify::default(),
            otlp_token: None,
            setup: Default::default(),
            forward: None,
            forward_unclear: false,
            warnings: Vec::new(),
        }
    }

    /// A directory somebody works in.
    pub fn work_dir(&self, name: &str) -> PathBuf {
        let dir = self.path().join("work").join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A Claude Code session in the directory `work/<project>`; nothing is written yet.
    pub fn claude(&self, n: u32, project: &str) -> Claude {
        let cwd = self.work_dir(project);
        let id = session_id(n);
        let path =
            self.claude_dir().join("projects").join(project.replace('/', "-")).join(format!("{id}.jsonl"));
        Claude { id, path, cwd, version: Some("2.1.329".to_owned()), lines: 0 }
    }

    /// A Codex thread whose rollout lies in the folder of `day` (`2026/11/20`).
    pub fn codex(&self, n: u32, day: &str) -> Codex {
        let id = session_id(n);
        let name = format!("rollout-{}T12-00-00-{id}.jsonl", day.replace('/', "-"));
        let path = self.codex_dir().join("sessions").join(day).join(name);
        Codex {
            lock: self.codex_dir().join("thread-writer-locks").join(format!("{id}.lock")),
            id,
            path,
            cwd: self.work_dir("codex-project"),
            version: "0.169.0".to_owned(),
            ordinal: 0,
        }
    }

    /// Everything below the agents' folders: path, content, times of change, mode, inode.
    pub fn agent_trees(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        for root in [self.claude_dir(), self.codex_dir()] {
            walk(&root, &mut all);
        }
        all
    }
}

fn walk(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let content = if meta.is_file() {
        format!("{:?}", String::from_utf8_lossy(&fs::read(path).unwrap()))
    } else {
        String::new()
    };
    let stamp = format!(
        "{:?} mode {:o} inode {} links {} size {} mtime {}.{:09} ctime {}.{:09} {content}",
        meta.file_type(),
        meta.mode(),
        meta.ino(),
        meta.nlink(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    );
    all.insert(path.to_owned(), stamp);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), all);
        }
    }
}

/// A session id that differs in its first and last digits.
pub fn session_id(n: u32) -> SessionId {
    SessionId::new(&format!("{n:08x}-1111-4111-8111-{n:012}")).unwrap()
}

/// A time as agents write it.
pub fn written(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_millis(at.0)
        .unwrap()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Appends to a file as an agent does: in one write.
pub fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A Claude Code session, by what it writes.
#[derive(Clone)]
pub struct Claude {
    pub id: SessionId,
    pub path: PathBuf,
    pub cwd: PathBuf,
    /// Client version on each record; `None` leaves it out, as very old clients did.
    pub version: Option<String>,
    lines: u32,
}

impl Claude {
    pub fn key(&self) -> SessionKey {
        SessionKey { agent: Agent::ClaudeCode, id: self.id.clone() }
    }

    /// `agent:session_id`.
    pub fn name(&self) -> String {
        self.key().to_string()
    }

    fn record(&mut self, at: Timestamp, kind: &str, rest: Value) -> Value {
        self.lines += 1;
        let mut record = json!({
            "type": kind,
            "uuid": format!("{}-0000-4000-8000-{:012}", &self.id.as_str()[..8], self.lines),
            "timestamp": written(at),
            "sessionId": self.id.as_str(),
            "cwd": self.cwd.to_str().unwrap(),
            "entrypoint": "cli",
        });
        if let Some(version) = &self.version {
            record["version"] = json!(version);
        }
        for (key, value) in rest.as_object().unwrap() {
            record[key.as_str()] = value.clone();
        }
        record
    }

    fn write(&mut self, at: Timestamp, kind: &str, rest: Value) {
        let record = self.record(at, kind, rest);
        append(&self.path, &format!("{record}\n"));
    }

    /// The person asks.
    pub fn prompt(&mut self, at: Timestamp, text: &str) {
        self.write(at, "user", json!({"parentUuid": null, "message": {"role": "user", "content": text}}));
    }

    /// The agent answers, and its turn is over. `context` tokens stand in its context.
    pub fn says(&mut self, at: Timestamp, text: &str, context: u64) {
        let content = json!([{"type": "text", "text": text}]);
        self.response(at, content, "end_turn", context);
    }

    /// The agent calls a tool; returns the call's id.
    pub fn calls(&mut self, at: Timestamp, tool: &str, input: Value, context: u64) -> String {
        let id = format!("toolu_{}_{}", self.id.short(), self.lines);
        let content = json!([{"type": "tool_use", "id": id, "name": tool, "input": input}]);
        self.response(at, content, "tool_use", context);
        id
    }

    /// The tool answers.
    pub fn answers(&mut self, at: Timestamp, call: &str, text: &str) {
        let content = json!([{"type": "tool_result", "tool_use_id": call, "content": text}]);
        self.write(at, "user", json!({"message": {"role": "user", "content": content}}));
    }

    /// The person presses Esc in the middle of a turn.
    pub fn interrupted(&mut self, at: Timestamp) {
        let content = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
        self.write(at, "user", json!({"message": {"role": "user", "content": content}}));
    }

    /// The service refuses, and the turn is over.
    pub fn refused(&mut self, at: Timestamp, error: &str, text: &str) {
        let content = json!([{"type": "text", "text": text}]);
        let message = json!({"model": "<synthetic>", "role": "assistant", "content": content, "stop_reason": "stop_sequence"});
        self.write(at, "assistant", json!({"message": message, "error": error, "isApiErrorMessage": true}));
    }

    /// The client goes back from a worktree of its own.
    pub fn relocated(&mut self, to: &Path) {
        let record =
            json!({"type": "relocated", "sessionId": self.id.as_str(), "relocatedCwd": to.to_str().unwrap()});
        append(&self.path, &format!("{record}\n"));
        self.cwd = to.to_owned();
    }

    fn response(&mut self, at: Timestamp, content: Value, stop: &str, context: u64) {
        let id = format!("msg_{}_{}", self.id.short(), self.lines);
        let usage = if context == 0 {
            Value::Null
        } else {
            json!({"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0,
                   "cache_read_input_tokens": context - 10})
        };
        let message = json!({"id": id, "model": "claude-opus-5-5", "role": "assistant", "content": content,
                             "stop_reason": stop, "usage": usage});
        self.write(at, "assistant", json!({"message": message}));
    }

    /// A subagent's own transcript, beside the main one.
    pub fn subagent(&self, agent: &str) -> PathBuf {
        self.path.with_extension("").join("subagents").join(format!("agent-{agent}.jsonl"))
    }

    /// One response of a subagent.
    pub fn subagent_says(&mut self, agent: &str, at: Timestamp, text: &str) {
        let id = format!("msg_{agent}_{}", self.lines);
        let message = json!({"id": id, "model": "claude-opus-5-5", "role": "assistant",
            "content": [{"type": "text", "text": text}], "stop_reason": null,
            "usage": {"input_tokens": 7, "output_tokens": 3}});
        let rest = json!({"message": message, "isSidechain": true, "agentId": agent});
        let record = self.record(at, "assistant", rest);
        append(&self.subagent(agent), &format!("{record}\n"));
    }

    /// The registry file of a process that runs this session.
    pub fn registry(&self, home: &Home, pid: u32, status: Option<&str>, at: Timestamp) -> PathBuf {
        self.registry_in(home, pid, status, at, None)
    }

    /// The same, written in another pid namespace.
    pub fn registry_in(
        &self,
        home: &Home,
        pid: u32,
        status: Option<&str>,
        at: Timestamp,
        domain: Option<&str>,
    ) -> PathBuf {
        let mut file = json!({
            "pid": pid, "sessionId": self.id.as_str(), "cwd": self.cwd.to_str().unwrap(),
            "startedAt": 1_795_176_118_139_i64, "version": "2.1.329", "kind": "interactive", "entrypoint": "cli",
            "name": "work-f9", "nameSource": "derived", "updatedAt": at.0, "statusUpdatedAt": at.0,
        });
        if let Some(start) = proc_start(pid) {
            file["procStart"] = json!(start);
        }
        if let Some(domain) = domain {
            file["pidDomain"] = json!(domain);
        }
        match status.map(|s| s.split_once(": ")) {
            Some(Some((status, what))) => {
                file["status"] = json!(status);
                file["waitingFor"] = json!(what);
            }
            Some(None) => file["status"] = json!(status),
            None => {}
        }
        let path = home.claude_dir().join("sessions").join(format!("{pid}.json"));
        fs::write(&path, file.to_string()).unwrap();
        path
    }
}

/// A Codex thread, by what it writes.
#[derive(Clone)]
pub struct Codex {
    pub id: SessionId,
    pub path: PathBuf,
    pub lock: PathBuf,
    pub cwd: PathBuf,
    pub version: String,
    ordinal: u32,
}

impl Codex {
    pub fn key(&self) -> SessionKey {
        SessionKey { agent: Agent::Codex, id: self.id.clone() }
    }

    pub fn name(&self) -> String {
        self.key().to_string()
    }

    fn write(&mut self, at: Timestamp, kind: &str, payload: Value) {
        let line =
            json!({"timestamp": written(at), "ordinal": self.ordinal, "type": kind, "payload": payload});
        self.ordinal += 1;
        append(&self.path, &format!("{line}\n"));
    }

    pub fn begin(&mut self, at: Timestamp) {
        let id = self.id.as_str().to_owned();
        let meta = json!({"id": id, "session_id": id, "timestamp": written(at), "cwd": self.cwd.to_str().unwrap(),
            "originator": "codex-tui", "cli_version": self.version, "source": "cli", "thread_source": "user",
            "history_mode": "paginated"});
        self.write(at, "session_meta", meta);
    }

    pub fn prompt(&mut self, at: Timestamp, text: &str) {
        self.write(at, "event_msg", json!({"type": "task_started", "model_context_window": 272_000}));
        let item = json!({"type": "UserMessage", "id": format!("{}-u{}", self.id, self.ordinal),
                          "content": [{"type": "text", "text": text}]});
        self.write(at, "event_msg", json!({"type": "item_completed", "item": item}));
    }

    pub fn says(&mut self, at: Timestamp, text: &str) {
        let item = json!({"type": "AgentMessage", "id": format!("{}-a{}", self.id, self.ordinal),
                          "content": [{"type": "text", "text": text}]});
        self.write(at, "event_msg", json!({"type": "item_completed", "item": item}));
        self.write(at, "event_msg", json!({"type": "task_complete"}));
    }

    /// Takes the writer lock as Codex does, by a process of its own that lives until it is ended.
    ///
    /// util-linux's flock creates and locks the file, then runs the command with the lock inherited.
    pub fn hold_lock(&self) -> Process {
        let lock = self.lock.to_str().unwrap().to_owned();
        Process::start("flock", &["-o", &lock, "cat"])
    }
}

/// When a process started, by the kernel's count.
fn proc_start(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// A live process of the test's own; it ends by itself when the test does, because nobody holds its input any more.
pub struct Process(Child);

impl Process {
    pub fn sleeping() -> Self {
        Self::start("cat", &[])
    }

    fn start(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn end(&mut self) {
        drop(self.0.stdin.take());
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
