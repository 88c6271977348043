//! What is logged says what failed, and never what somebody wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/host.rs"]
#[allow(dead_code, reason = "the contract's tests use the rest of it")]
mod host;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use host::Host;

/// Stands in every place where a stranger may write something.
const WORDS: &str = "the-words-of-somebody";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything Lamplight says at any level, and what its libraries warn of, as its own hosts log.
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let ours = ["lamplight_api", "lamplight_engine", "lamplight_model"];
        let targets = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_targets(ours.map(|name| (name, LevelFilter::TRACE)));
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        tracing_subscriber::registry().with(targets).with(layer).init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

fn attribute(key: &str) -> Value {
    json!({"key": key, "value": {"stringValue": WORDS}})
}

/// Telemetry of a service and of an agent, with the words in names, values, bodies, ids and events.
fn telemetry(scope: &str, service: &str) -> [(&'static str, Value); 3] {
    let now = format!("{}000000", lamplight_engine::clock::now().0);
    let attributes = json!([
        attribute("session.id"),
        attribute("prompt"),
        attribute("gen_ai.request.model"),
        attribute("lamplight.run_id"),
        attribute("service.instance.id"),
        attribute(WORDS),
        {"key": "event.name", "value": {"stringValue": "api_error"}},
    ]);
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}, attribute("service.namespace")]});
    let scope = json!({"name": scope});
    let log = json!({"timeUnixNano": now, "body": {"stringValue": WORDS}, "eventName": WORDS, "attributes": attributes});
    let span = json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": WORDS,
        "startTimeUnixNano": now, "endTimeUnixNano": now, "attributes": attributes, "status": {"code": 2, "message": WORDS},
        "events": [{"timeUnixNano": now, "name": WORDS, "attributes": attributes}]});
    let metric = json!({"name": WORDS, "sum": {"dataPoints": [{"timeUnixNano": now, "asInt": "1", "attributes": attributes}]}});
    [
        (
            "/v1/logs",
            json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [log]}]}]}),
        ),
        (
            "/v1/traces",
            json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": [span]}]}]}),
        ),
        (
            "/v1/metrics",
            json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": [metric]}]}]}),
        ),
    ]
}

#[test]
fn nothing_that_anybody_wrote_stands_in_the_log() {
    let log = Log::listen();
    let host = Host::new();
    let json_type = ("Content-Type", "application/json");

    for (scope, service) in
        [(WORDS, WORDS), ("com.anthropic.claude_code.events", "claude-code"), ("codex_exec", "codex")]
    {
        for (path, body) in telemetry(scope, service) {
            assert_eq!(host.post(path, &body).status, 200, "{path}");
            // The same, with its end missing, with a record that is none, and as what it is not.
            let text = body.to_string();
            let request = |kind: (&str, &str), body: &str| {
                host.send(&host.request("POST", path).with(kind.0, kind.1).body(body)).status
            };
            assert_eq!(request(json_type, text.strip_suffix('}').unwrap()), 400);
            assert_eq!(
                request(
                    json_type,
                    &text.replace("\"timeUnixNano\":\"", &format!("\"timeUnixNano\":\"{WORDS}"))
                ),
                200
            );
            assert_eq!(request(("Content-Type", "application/x-protobuf"), &text), 400);
            assert_eq!(request(("Content-Type", WORDS), &text), 415);
        }
    }
    let get = |path: &str| host.request("GET", path);
    for (request, status) in [
        (get(&format!("/{WORDS}")), 404),
        (get(&format!("/api/v1/sessions/{WORDS}-none")), 404),
        (get(&format!("/api/v1/sessions?before={WORDS}&q={WORDS}")), 400),
        (get("/api/v1/status").without("Authorization").with("Authorization", WORDS), 401),
        (get("/api/v1/status").without("Host").with("Host", WORDS), 403),
        (get("/api/v1/status").with("Origin", WORDS), 403),
        (
            host.request("POST", "/api/v1/sessions/close")
                .with(json_type.0, json_type.1)
                .body(&format!("{{\"{WORDS}")),
            400,
        ),
    ] {
        assert_eq!(host.send(&request).status, status);
    }

    // A hook that is one, one that is none, and lines of a transcript that are torn.
    let spool = host.data_dir().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    let hook = json!({"hook_event_name": "UserPromptSubmit", "session_id": host::CLAUDE, "prompt": WORDS, "cwd": WORDS, "transcript_path": WORDS});
    for (name, text) in [
        ("1-1.json", json!({"agent": "claude-code", "body": hook}).to_string()),
        ("2-1.json", format!("{{{WORDS}")),
    ] {
        std::fs::write(spool.join(format!(".{name}")), text).unwrap();
        std::fs::rename(spool.join(format!(".{name}")), spool.join(name)).unwrap();
    }
    let transcript = host.data_dir().ancestors().find_map(|dir| {
        let path = dir.join(format!(".claude/projects/-shop/{}.jsonl", host::CLAUDE));
        path.exists().then_some(path)
    });
    let mut transcript = std::fs::File::options().append(true).open(transcript.unwrap()).unwrap();
    writeln!(
        transcript,
        "{{\"type\":\"user\",\"message\":{WORDS}\n{WORDS}\n{{\"type\":\"{WORDS}\",\"uuid\":7}}"
    )
    .unwrap();
    host.engine.rescan().unwrap();
    host.engine.barrier().unwrap();

    let text = log.text();
    assert!(text.contains("telemetry was not taken"), "it is listened to: {text}");
    assert!(!text.contains(WORDS), "{}", text.lines().find(|line| line.contains(WORDS)).unwrap_or_default());
}
