//! What was acknowledged is forwarded at least once, though the engine dies at any instant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Kills in an ordinary run; `LAMPLIGHT_TEST_KILLS` asks for more.
const KILLS: usize = 5;

/// Exporters at work when the engine dies.
const EXPORTERS: usize = 3;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running engine; killed with SIGKILL when dropped.
struct Running {
    child: Child,
    http: String,
}

impl Running {
    fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lamp"))
            .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
            .env_clear()
            .env("HOME", home)
            .env("LAMPLIGHT_DATA", home.join("data"))
            .env("LAMPLIGHT_CONFIG", home.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
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

/// Takes what comes, and tells the names of the records in it. While `is_away` says so it hangs up instead.
fn collect(listener: TcpListener, is_away: Arc<Mutex<bool>>, names: Sender<Vec<String>>) {
    for stream in listener.incoming() {
        let (names, is_away) = (names.clone(), Arc::clone(&is_away));
        std::thread::spawn(move || {
            // A client that was killed broke off.
            let _ = serve(stream.unwrap(), &is_away, &names);
        });
    }
}

fn serve(mut stream: TcpStream, is_away: &Mutex<bool>, names: &Sender<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut is_gzip, mut line) = (0, false, String::new());
        while reader.read_line(&mut line)? > 2 {
            let lower = line.to_lowercase();
            if let Some(n) = lower.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            is_gzip |= lower.starts_with("content-encoding: gzip");
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if is_gzip {
            let mut inflated = Vec::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut inflated)?;
            body = inflated;
        }
        if *is_away.lock().unwrap() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let found = text.match_indices("record-").map(|(at, _)| text[at..at + 14].to_owned()).collect();
        if names.send(found).is_err() {
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

fn name(n: usize) -> String {
    format!("record-{n:07}")
}

/// Sends a request; whether it was acknowledged.
fn export(http: &str, n: usize) -> bool {
    let body = json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name",
        "value": {"stringValue": "bot"}}]}, "scopeLogs": [{"logRecords": [{"attributes": [{"key": "n",
        "value": {"stringValue": name(n)}}]}]}]}]})
    .to_string();
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

#[test]
fn acknowledged_records_are_forwarded_at_least_once_across_kill_9_and_outages() {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
    let kills = std::env::var("LAMPLIGHT_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap();
    let config = format!("[forward]\nendpoint = \"http://{endpoint}\"\nown = false\n");
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    let is_away = Arc::new(Mutex::new(false));
    let (names, collected) = channel();
    let away = Arc::clone(&is_away);
    std::thread::spawn(move || collect(listener, away, names));
    let next = Arc::new(Mutex::new(0usize));
    let mut acknowledged = BTreeSet::new();
    for round in 0..kills {
        // Every other round nobody takes anything, so that it waits on disk when the engine dies.
        *is_away.lock().unwrap() = round % 2 == 1;
        let mut engine = Running::start(home.path());
        let (acks, acked): (_, Receiver<usize>) = channel();
        let exporters: Vec<_> = (0..EXPORTERS)
            .map(|_| {
                let (http, next, acks) = (engine.http.clone(), Arc::clone(&next), acks.clone());
                std::thread::spawn(move || {
                    loop {
                        let n = {
                            let mut next = next.lock().unwrap();
                            *next += 1;
                            *next
                        };
                        if !export(&http, n) || acks.send(n).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        drop(acks);
        // A different moment each time, with requests under way.
        for _ in 0..=round * 7 % 31 {
            acknowledged.insert(acked.recv().unwrap());
        }
        engine.child.kill().unwrap();
        acknowledged.extend(acked.iter());
        for exporter in exporters {
            exporter.join().unwrap();
        }
    }
    *is_away.lock().unwrap() = false;
    let _engine = Running::start(home.path());
    let mut missing: BTreeSet<String> = acknowledged.iter().map(|n| name(*n)).collect();
    while !missing.is_empty() {
        let found = collected.recv_timeout(PATIENCE);
        assert!(found.is_ok(), "{} of {} never came: {missing:?}", missing.len(), acknowledged.len());
        for name in found.unwrap() {
            missing.remove(&name);
        }
    }
}
