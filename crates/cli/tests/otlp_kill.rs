//! Telemetry that was acknowledged survives the death of the engine at any instant, and is there once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Kills in an ordinary run; `LAMPLIGHT_TEST_KILLS` asks for more.
const KILLS: usize = 6;

/// Records of one request.
const RECORDS: usize = 40;

/// Exporters at work when the engine dies.
const EXPORTERS: usize = 4;

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamp"));
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("LAMPLIGHT_DATA", home.join("data"))
        .stdin(Stdio::null());
    command
}

/// A running engine; killed with SIGKILL when dropped.
struct Running {
    child: Child,
    http: String,
}

impl Running {
    fn start(home: &Path) -> Self {
        let args = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        let mut child = command(home, &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, http: ready["http"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// One request: every record of it is its own.
fn body(batch: usize, at_ms: i64) -> String {
    let records: Vec<Value> = (0..RECORDS)
        .map(|i| {
            json!({"timeUnixNano": format!("{at_ms}000000"), "attributes": [
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 1}},
            {"key": "n", "value": {"stringValue": format!("{batch}-{i}")}}]})
        })
        .collect();
    json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]},
        "scopeLogs": [{"logRecords": records}]}]})
    .to_string()
}

/// Sends a request; whether it was acknowledged.
fn export(http: &str, body: &str) -> bool {
    let send = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        let length = body.len();
        write!(
            stream,
            "POST /v1/logs HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    send().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn stored(home: &Path) -> usize {
    let output = command(home, &["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let calls: u64 =
        status["services"].as_array().unwrap().iter().map(|s| s["calls"].as_u64().unwrap()).sum();
    usize::try_from(calls).unwrap()
}

#[test]
fn acknowledged_records_survive_kill_9_and_are_there_once() {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
    let kills = std::env::var("LAMPLIGHT_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let home = tempfile::tempdir().unwrap();
    let at_ms = lamplight_engine::clock::now().0;
    let next = Arc::new(Mutex::new(0usize));
    let mut acknowledged = 0;
    for round in 0..kills {
        let mut engine = Running::start(home.path());
        let (acks, acked): (_, Receiver<()>) = channel();
        let exporters: Vec<_> = (0..EXPORTERS)
            .map(|_| {
                let (http, next, acks) = (engine.http.clone(), Arc::clone(&next), acks.clone());
                std::thread::spawn(move || {
                    loop {
                        let batch = {
                            let mut next = next.lock().unwrap();
                            *next += 1;
                            *next
                        };
                        if !export(&http, &body(batch, at_ms)) || acks.send(()).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        drop(acks);
        // A different moment each time, with requests under way.
        for _ in 0..=round * 3 % 17 {
            acked.recv().unwrap();
            acknowledged += 1;
        }
        engine.child.kill().unwrap();
        acknowledged += acked.iter().count();
        for exporter in exporters {
            exporter.join().unwrap();
        }
        drop(engine);
        let (stored, sent) = (stored(home.path()), *next.lock().unwrap());
        assert!(
            stored >= acknowledged * RECORDS,
            "round {round}: {stored} of {acknowledged} acknowledged requests"
        );
        assert!(stored <= sent * RECORDS, "round {round}: {stored} of {sent} sent requests");
        assert_eq!(stored % RECORDS, 0, "a request is there whole or not at all");
    }
    let engine = Running::start(home.path());
    let sent = *next.lock().unwrap();
    for batch in 1..=sent {
        assert!(export(&engine.http, &body(batch, at_ms)));
    }
    drop(engine);
    assert_eq!(stored(home.path()), sent * RECORDS, "sent again: every record once");
}
