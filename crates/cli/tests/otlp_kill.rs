//! Telemetry that was acknowledged survives the death of the engine at any instant, and is there once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

/// Kills in an ordinary run; `LAMPLIGHT_TEST_KILLS` asks for more.
const KILLS: usize = 50;

/// Records of one request.
const RECORDS: usize = 40;

/// How a request is sent, and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    HttpLogs,
    HttpSpans,
    GrpcLogs,
    GrpcSpans,
}

/// Exporters at work when the engine dies: two of each kind, since one of each would leave the writer idle half the time.
const EXPORTERS: [Way; 8] = [
    Way::HttpLogs,
    Way::HttpSpans,
    Way::GrpcLogs,
    Way::GrpcSpans,
    Way::HttpLogs,
    Way::HttpSpans,
    Way::GrpcLogs,
    Way::GrpcSpans,
];

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
    grpc: String,
}

impl Running {
    fn start(home: &Path) -> Self {
        let args = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        let mut child = command(home, &args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { child, http: address("http"), grpc: address("grpc") }
    }

    fn address(&self, way: Way) -> String {
        match way {
            Way::HttpLogs | Way::HttpSpans => self.http.clone(),
            Way::GrpcLogs | Way::GrpcSpans => self.grpc.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

// ---- requests: protobuf, as far as these records need it

fn varint(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 0x7f {
        out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
        n >>= 7;
    }
    out.push(u8::try_from(n).unwrap());
    out
}

fn field(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
}

fn fixed64(number: usize, n: i64) -> Vec<u8> {
    [varint(number << 3 | 1), n.to_le_bytes().to_vec()].concat()
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

/// One request: every record of it is its own, and the same each time it is made.
fn body(way: Way, batch: usize, at_ns: i64) -> Vec<u8> {
    let record = |i: usize| {
        let own = attribute("n", &format!("{way:?}-{batch}-{i}"));
        match way {
            Way::HttpLogs | Way::GrpcLogs => [fixed64(1, at_ns), field(6, &own)].concat(),
            Way::HttpSpans | Way::GrpcSpans => {
                let id = |n: usize| u64::try_from(n + 1).unwrap().to_be_bytes();
                let trace = [id(batch), id(0)].concat();
                let kind_of_server = [varint(6 << 3), varint(2)].concat();
                let times = [fixed64(7, at_ns), fixed64(8, at_ns + 1_000_000)].concat();
                [field(1, &trace), field(2, &id(i)), kind_of_server, times, field(9, &own)].concat()
            }
        }
    };
    let records: Vec<u8> = (0..RECORDS).flat_map(|i| field(2, &record(i))).collect();
    let resource = field(1, &field(1, &attribute("service.name", &format!("{way:?}"))));
    field(1, &[resource, field(2, &records)].concat())
}

/// Sends requests over one connection, as exporters do, until one is not acknowledged; calls `each` after each that is.
async fn export(
    way: Way,
    address: String,
    next: impl FnMut() -> Option<(usize, Vec<u8>)>,
    each: impl FnMut(usize),
) {
    // Nobody there, or gone at the first word: nothing was acknowledged.
    let _ = try_export(way, &address, next, each).await;
}

async fn try_export(
    way: Way,
    address: &str,
    mut next: impl FnMut() -> Option<(usize, Vec<u8>)>,
    mut each: impl FnMut(usize),
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (path, content_type) = match way {
        Way::HttpLogs => ("/v1/logs", "application/x-protobuf"),
        Way::HttpSpans => ("/v1/traces", "application/x-protobuf"),
        Way::GrpcLogs => ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "application/grpc"),
        Way::GrpcSpans => ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "application/grpc"),
    };
    let request = |uri: String, body: Vec<u8>| {
        hyper::Request::post(uri)
            .header("host", address)
            .header("content-type", content_type)
            .body(Full::new(Bytes::from(body)))
    };
    if matches!(way, Way::HttpLogs | Way::HttpSpans) {
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        while let Some((batch, body)) = next() {
            let answer = client.send_request(request(path.to_owned(), body)?).await?;
            if answer.status() != 200 {
                break;
            }
            answer.into_body().collect().await?;
            each(batch);
        }
        return Ok(());
    }
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    while let Some((batch, body)) = next() {
        let length = u32::try_from(body.len())?.to_be_bytes();
        let framed = [&[0][..], &length, &body].concat();
        let answer = client.send_request(request(format!("http://{address}{path}"), framed)?).await?;
        let status =
            answer.into_body().collect().await?.trailers().and_then(|t| t.get("grpc-status").cloned());
        if status.is_none_or(|status| status != "0") {
            break;
        }
        each(batch);
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What one exporter sent of which batches, and which of them were acknowledged.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: Vec<usize>,
    unacknowledged: Vec<usize>,
}

/// Sends batches until the engine dies.
fn send_until_death(way: Way, address: String, next: &AtomicUsize, at_ns: i64, acks: &Sender<()>) -> Sent {
    let mut begun = Vec::new();
    let mut acknowledged = Vec::new();
    let batch = || {
        let batch = next.fetch_add(1, Ordering::Relaxed);
        begun.push(batch);
        Some((batch, body(way, batch, at_ns)))
    };
    runtime().block_on(export(way, address, batch, |batch| {
        acknowledged.push(batch);
        // Whoever counts them may have seen enough.
        let _ = acks.send(());
    }));
    let unacknowledged = begun.into_iter().filter(|batch| !acknowledged.contains(batch)).collect();
    Sent { acknowledged, unacknowledged }
}

/// Sends batches again, all of which must be acknowledged.
fn send_again(engine: &Running, way: Way, batches: &[usize], at_ns: i64) {
    let mut left = batches.iter().copied();
    let mut acknowledged = 0;
    let next = || left.next().map(|batch| (batch, body(way, batch, at_ns)));
    runtime().block_on(export(way, engine.address(way), next, |_| acknowledged += 1));
    assert_eq!(acknowledged, batches.len(), "{way:?}");
}

/// Records there are, by a look that needs no engine.
fn stored(home: &Path) -> usize {
    let output = command(home, &["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let services = status["services"].as_array().unwrap();
    usize::try_from(services.iter().map(|s| s["calls"].as_u64().unwrap()).sum::<u64>()).unwrap()
}

#[test]
fn acknowledged_records_survive_kill_9_and_are_there_once() {
    #[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
    let kills = std::env::var("LAMPLIGHT_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let home = tempfile::tempdir().unwrap();
    let at_ns = lamplight_engine::clock::now().0 * 1_000_000;
    let next = Arc::new(AtomicUsize::new(0));
    let mut all: Vec<(Way, Sent)> = Vec::new();
    let acknowledged_by =
        |all: &[(Way, Sent)]| all.iter().map(|(_, sent)| sent.acknowledged.len()).sum::<usize>();
    for round in 0..kills {
        let mut engine = Running::start(home.path());
        let (acks, acked) = channel();
        let exporters: Vec<_> = EXPORTERS
            .into_iter()
            .map(|way| {
                let (address, next, acks) = (engine.address(way), Arc::clone(&next), acks.clone());
                (way, std::thread::spawn(move || send_until_death(way, address, &next, at_ns, &acks)))
            })
            .collect();
        drop(acks);
        // A different moment each time, with requests under way.
        for _ in 0..=round * 7 % 31 {
            acked.recv().unwrap();
        }
        engine.child.kill().unwrap();
        for (way, exporter) in exporters {
            all.push((way, exporter.join().unwrap()));
        }
        drop(engine);
        if round % 10 == 0 {
            let (stored, sent) = (stored(home.path()), next.load(Ordering::Relaxed));
            let acknowledged = acknowledged_by(&all);
            assert!(stored >= acknowledged * RECORDS, "round {round}: {stored} of {acknowledged} requests");
            assert!(stored <= sent * RECORDS, "round {round}: {stored} of {sent} requests");
            assert_eq!(stored % RECORDS, 0, "a request is there whole or not at all");
        }
    }
    for way in [Way::HttpLogs, Way::HttpSpans, Way::GrpcLogs, Way::GrpcSpans] {
        let sent = all.iter().filter(|(of, _)| *of == way);
        assert!(sent.clone().any(|(_, sent)| !sent.acknowledged.is_empty()), "{way:?} was at work");
        assert!(sent.clone().any(|(_, sent)| !sent.unacknowledged.is_empty()), "{way:?} was cut off");
    }

    let after_the_last_kill = stored(home.path());
    let engine = Running::start(home.path());
    for (way, sent) in &all {
        send_again(&engine, *way, &sent.acknowledged, at_ns);
    }
    drop(engine);
    assert_eq!(stored(home.path()), after_the_last_kill, "every acknowledged record was there");
    let engine = Running::start(home.path());
    for (way, sent) in &all {
        send_again(&engine, *way, &sent.unacknowledged, at_ns);
    }
    drop(engine);
    let sent = next.load(Ordering::Relaxed);
    assert_eq!(stored(home.path()), sent * RECORDS, "every record once, whether it was acknowledged or not");
    assert!(acknowledged_by(&all) >= kills, "{} requests were acknowledged", acknowledged_by(&all));
}
