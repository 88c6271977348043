//! A home with three sessions, an engine on it, a server in front, and the plainest client there is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use lamplight_api::serve::{ServeOptions, Served, spawn};
use lamplight_api::{config_file, socket};
use lamplight_engine::Engine;
use serde_json::{Value, json};

/// A Claude Code session.
pub const CLAUDE: &str = "8315008f-4e85-4f76-9793-9ca591af70eb";
/// An id that a Claude Code and a Codex session share.
pub const SHARED: &str = "01a1f8dc-f545-7661-b9fb-954e090b8669";

pub struct Host {
    /// The home; removed when dropped.
    _dir: tempfile::TempDir,
    pub engine: Engine,
    served: Option<Served>,
    pub port: u16,
    pub token: String,
}

impl Host {
    pub fn new() -> Self {
        Self::with_ui(false)
    }

    pub fn with_ui(ui: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let work = home.join("shop");
        std::fs::create_dir_all(&work).unwrap();
        for id in [CLAUDE, SHARED] {
            write(&home.join(format!(".claude/projects/-shop/{id}.jsonl")), &claude(id, &work));
        }
        write(
            &home.join(format!(".codex/sessions/2026/11/20/rollout-2026-11-20T12-09-52-{SHARED}.jsonl")),
            &codex(SHARED, &work),
        );
        let home_text = home.to_str().unwrap().to_owned();
        let config = config_file::load(&move |name| (name == "HOME").then(|| home_text.clone())).unwrap();
        let data_dir = config.data_dir.clone();
        let engine = Engine::start(config).unwrap();
        engine.rescan().unwrap();
        let http = Some("127.0.0.1:0".parse().unwrap());
        let served = spawn(engine.clone(), ServeOptions { http, explicit: true, data_dir, ui }).unwrap();
        let token = std::fs::read_to_string(&served.token_file).unwrap();
        Self { _dir: dir, engine, port: served.http.port(), served: Some(served), token }
    }

    pub fn served(&self) -> &Served {
        self.served.as_ref().unwrap()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.served().token_file.parent().unwrap().to_owned()
    }

    pub fn stop_serving(&mut self) {
        self.served.take().unwrap().shutdown();
    }

    /// A request as a well-behaved program sends it; the guards' tests take it apart.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![
                ("Host".to_owned(), format!("127.0.0.1:{}", self.port)),
                ("Authorization".to_owned(), format!("Bearer {}", self.token)),
            ],
            body: String::new(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&self.request("GET", path))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            &self.request("POST", path).with("Content-Type", "application/json").body(&body.to_string()),
        )
    }

    pub fn send(&self, request: &Request) -> Answer {
        request.exchange(TcpStream::connect(("127.0.0.1", self.port)).unwrap())
    }

    /// The same over the control socket.
    pub fn send_to_socket(&self, request: &Request) -> Answer {
        request.exchange(socket::connect(&self.data_dir()).unwrap())
    }

    pub fn open(&self, request: &Request) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.text().as_bytes()).unwrap();
        stream
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.served.take());
        self.engine.shutdown();
    }
}

#[derive(Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    fn text(&self) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = self.body.len();
        format!(
            "{} {} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{}",
            self.method, self.path, self.body
        )
    }

    fn exchange(&self, mut stream: impl Read + Write) -> Answer {
        // A server that refuses early may close before it has read the body.
        let _ = stream.write_all(self.text().as_bytes());
        Answer::read(BufReader::new(stream))
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn read(mut stream: impl BufRead) -> Self {
        let (status, headers) = read_head(&mut stream);
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and error code of a refusal; the message must be a sentence.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let error = self.json();
        assert_eq!(error.as_object().unwrap().len(), 2, "{error}");
        assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
        (self.status, error["code"].as_str().unwrap().to_owned())
    }
}

pub fn read_head(stream: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the head ended early: {lines:?}");
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    (status, headers)
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A finished turn of a person at a terminal, a minute ago.
fn claude(id: &str, cwd: &Path) -> String {
    let base = json!({
        "isSidechain": false, "userType": "external", "entrypoint": "cli", "cwd": cwd, "sessionId": id,
        "version": "2.1.329", "gitBranch": "main"
    });
    let line = |second: i64, extra: Value| {
        let mut line = base.clone();
        line["timestamp"] = json!(ago(second));
        for (key, value) in extra.as_object().unwrap() {
            line[key] = value.clone();
        }
        format!("{line}\n")
    };
    let prompt = format!("{id}-prompt");
    line(
        60,
        json!({"type": "user", "uuid": prompt, "parentUuid": null, "message": {"role": "user", "content": format!("Paint the shed {id}")}}),
    ) + &line(
        55,
        json!({"type": "assistant", "uuid": format!("{id}-reply"), "parentUuid": prompt, "requestId": format!("req_{id}"),
            "message": {"id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                "content": [{"type": "text", "text": "It is red."}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}}}),
    )
}

/// A Codex thread with one prompt, a minute ago.
fn codex(id: &str, cwd: &Path) -> String {
    let meta = json!({"timestamp": ago(60), "ordinal": 0, "type": "session_meta", "payload": {
        "session_id": id, "id": id, "timestamp": ago(60), "cwd": cwd, "originator": "codex-tui", "cli_version": "0.169.0",
        "source": "cli", "thread_source": "user", "model_provider": "openai"}});
    let prompt = json!({"timestamp": ago(59), "ordinal": 1, "type": "event_msg", "payload": {
        "type": "item_completed", "thread_id": id, "turn_id": "turn-1",
        "item": {"type": "UserMessage", "id": "item-1", "content": [{"type": "text", "text": "Count the nails"}]}}});
    format!("{meta}\n{prompt}\n")
}

fn ago(seconds: i64) -> String {
    let ms = lamplight_engine::clock::now().0 - seconds * 1000;
    chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
