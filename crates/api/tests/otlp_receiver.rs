//! The receiver as exporters and strangers meet it: over real sockets, HTTP and gRPC.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lamplight_api::config_file;
use lamplight_api::serve::{GrpcAddress, ServeError, ServeOptions, Served, spawn_with};
use lamplight_engine::Engine;
use lamplight_model::view::{Service, SourceHealth};
use serde_json::{Value, json};

const LOGS: &str = "/v1/logs";
const GRPC_LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

struct Host {
    _dir: tempfile::TempDir,
    engine: Engine,
    served: Option<Served>,
}

impl Host {
    fn new() -> Self {
        Self::with(GrpcAddress::At("127.0.0.1:0".parse().unwrap()), None)
    }

    fn with(grpc: GrpcAddress, token: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap().to_owned();
        let mut config = config_file::load(&move |name| (name == "HOME").then(|| home.clone())).unwrap();
        config.otlp_token = token.map(str::to_owned);
        let data_dir = config.data_dir.clone();
        let engine = Engine::start(config).unwrap();
        let options =
            ServeOptions { http: Some("127.0.0.1:0".parse().unwrap()), explicit: true, data_dir, ui: false };
        let served = spawn_with(engine.clone(), options, grpc).unwrap();
        Self { _dir: dir, engine, served: Some(served) }
    }

    fn http(&self) -> SocketAddr {
        self.served.as_ref().unwrap().http
    }

    fn grpc(&self) -> SocketAddr {
        self.served.as_ref().unwrap().grpc.unwrap()
    }

    fn services(&self) -> Vec<Service> {
        self.engine.barrier().unwrap();
        self.engine.status().services.clone()
    }

    /// Sends a request as an exporter does.
    fn export(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let host = self.http().to_string();
        let mut all = vec![("Host", host.as_str())];
        all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        all.extend_from_slice(headers);
        exchange(self.http(), "POST", path, &all, body)
    }

    fn json(&self, path: &str, body: &Value) -> Answer {
        self.export(path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.served.take());
        self.engine.shutdown();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn exchange(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    let head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if headers.iter().any(|(name, _)| *name == "Content-Length" || *name == "Transfer-Encoding")
    {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    // A server that refuses early may close before it has read the body.
    let _ = stream
        .write_all(format!("{method} {path} HTTP/1.1\r\n{head}{length}Connection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
    read_answer(stream)
}

fn read_answer(stream: impl Read) -> Answer {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the head ended early: {lines:?}");
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut body = Vec::new();
    // Reset by a server that did not read everything; the answer came before.
    let _ = stream.read_to_end(&mut body);
    let headers = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Answer { status: lines[0].split(' ').nth(1).unwrap().parse().unwrap(), headers, body }
}

fn log_records(ids: impl IntoIterator<Item = u32>) -> Value {
    let now = lamplight_engine::clock::now().0;
    let records: Vec<Value> = ids
        .into_iter()
        .map(|id| json!({"timeUnixNano": format!("{now}000000"), "attributes": [{"key": "n", "value": {"intValue": id}}]}))
        .collect();
    json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]},
        "scopeLogs": [{"scope": {"name": "app"}, "logRecords": records}]}]})
}

/// A field of bytes in protobuf.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(bytes);
    out
}

/// The same in protobuf, by hand: what prost would write is tested with the clients' own bytes.
fn protobuf_record(n: u8) -> Vec<u8> {
    let text =
        |key: &str, value: &str| [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat();
    let resource = field(1, &field(1, &text("service.name", "bot")));
    let mut record = vec![1 << 3 | 1];
    let now_ns = u64::try_from(lamplight_engine::clock::now().0).unwrap() * 1_000_000 + u64::from(n);
    record.extend_from_slice(&now_ns.to_le_bytes());
    field(1, &[resource, field(2, &field(2, &record))].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/otlp/");
    std::fs::read(format!("{path}{name}")).unwrap()
}

// ---- HTTP ------------------------------------------------------------------------------------------------------------

#[test]
fn json_protobuf_and_gzip_are_taken_and_committed_before_the_answer() {
    let host = Host::new();
    let answer = host.json(LOGS, &log_records([1, 2]));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    assert_eq!(host.services()[0].calls, 2, "what was acknowledged is there");
    let gzipped = [("Content-Type", "application/json; charset=utf-8"), ("Content-Encoding", "gzip")];
    let answer = host.export(LOGS, &gzipped, &gzip(log_records([3]).to_string().as_bytes()));
    assert_eq!(answer.status, 200);
    let answer = host.export(LOGS, &[("Content-Type", "application/x-protobuf")], &protobuf_record(1));
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.body.len()),
        (200, Some("application/x-protobuf"), 0)
    );
    let services = std::iter::repeat_with(|| host.services()).find(|s| s[0].calls == 4).unwrap();
    assert_eq!(services.len(), 1);
    for (path, name) in [
        (LOGS, "claude-http-json-logs.json"),
        ("/v1/traces", "claude-http-json-traces.json"),
        ("/v1/metrics", "claude-http-json-metrics.json"),
    ] {
        let chunked = {
            let b = fixture(name);
            let mut c = format!("{:x}\r\n", b.len()).into_bytes();
            c.extend(b);
            c.extend(b"\r\n0\r\n\r\n");
            c
        };
        let answer = host.export(
            path,
            &[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")],
            &chunked,
        );
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

#[test]
fn records_that_cannot_be_read_are_told_as_partial_success() {
    let host = Host::new();
    let mut body = log_records([1, 2, 3]);
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1] = json!({"timeUnixNano": {}});
    let answer = host.json(LOGS, &body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["partialSuccess"]["rejectedLogRecords"], "1");
    assert!(!answer.json()["partialSuccess"]["errorMessage"].as_str().unwrap().is_empty());
    assert_eq!(host.services()[0].calls, 2);
}

#[test]
fn what_can_never_be_read_is_refused_for_good() {
    let host = Host::new();
    let json_type = ("Content-Type", "application/json");
    for (status, headers, body) in [
        (400, vec![json_type], b"{".to_vec()),
        (400, vec![("Content-Type", "application/x-protobuf")], b"\xff\xff\xff".to_vec()),
        (400, vec![json_type, ("Content-Encoding", "gzip")], b"no gzip".to_vec()),
        (415, vec![json_type, ("Content-Encoding", "br")], b"{}".to_vec()),
        (415, vec![("Content-Type", "text/plain")], b"{}".to_vec()),
        (415, vec![("Content-Type", "application/x-www-form-urlencoded")], b"{}".to_vec()),
        (415, vec![("Content-Type", "text/plain"), json_type], b"{}".to_vec()),
        (415, vec![], b"{}".to_vec()),
        (413, vec![json_type, ("Content-Length", "104857600")], Vec::new()),
        (413, vec![json_type], vec![b' '; 20 * 1024 * 1024 + 1]),
        (413, vec![json_type, ("Content-Encoding", "gzip")], gzip(&vec![b' '; 100 * 1024 * 1024])),
    ] {
        let answer = host.export(LOGS, &headers, &body);
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("retry-after"), None);
        if answer.header("content-type") == Some("application/json") {
            assert!(answer.json()["message"].as_str().unwrap().len() > 10);
        } else {
            assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
        }
    }
    assert_eq!(exchange(host.http(), "GET", LOGS, &[("Host", "localhost")], b"").status, 405);
    assert_eq!(host.services(), []);
}

#[test]
fn a_hundred_megabytes_in_chunks_are_cut_off() {
    let host = Host::new();
    let mut stream = TcpStream::connect(host.http()).unwrap();
    let head = format!(
        "POST {LOGS} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        host.http()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b' ');
    chunk.extend(b"\r\n");
    let sent = (0..100).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 100, "the rest is not read");
    assert_eq!(host.json(LOGS, &log_records([1])).status, 200, "others are served");
}

#[test]
fn a_web_page_can_send_nothing() {
    let host = Host::new();
    let body = log_records([1]).to_string();
    let json_type = ("Content-Type", "application/json");
    for headers in [
        vec![json_type, ("Origin", "https://evil.example")],
        vec![json_type, ("Origin", "null")],
        vec![json_type, ("Host", "evil.example:4318")],
        vec![json_type, ("Host", "rebound.example")],
    ] {
        let answer = host.export(LOGS, &headers, body.as_bytes());
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = [
        ("Host", "localhost"),
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = exchange(host.http(), "OPTIONS", LOGS, &preflight, b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
    assert_eq!(host.services(), []);
}

#[test]
fn a_token_is_needed_once_one_is_configured() {
    let hex = "a1".repeat(32);
    let host = Host::with(GrpcAddress::At("127.0.0.1:0".parse().unwrap()), Some(&hex));
    let body = log_records([1]).to_string();
    for (authorization, status) in [
        (None, 401),
        (Some(format!("Bearer {}", &hex[..63])), 401),
        (Some(format!("Bearer {}", "b2".repeat(32))), 401),
        (Some(format!("Bearer {hex}")), 200),
    ] {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        assert_eq!(host.export(LOGS, &headers, body.as_bytes()).status, status, "{authorization:?}");
    }
    assert_eq!(grpc(&host, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code, 16);
    let bearer = format!("Bearer {hex}");
    assert_eq!(grpc(&host, GRPC_LOGS, &[("authorization", &bearer)], framed(0, &protobuf_record(1))).code, 0);
}

/// Runs `act` on a thread with the rights of another user; `None` where only root could, and this is not root.
#[cfg(target_os = "linux")]
fn as_another_user<T: Send>(act: impl FnOnce() -> T + Send) -> Option<T> {
    rustix::process::geteuid().is_root().then(|| {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                // Of this thread alone: the system call, not the C library's function.
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
                act()
            });
            other.join().unwrap()
        })
    })
}

#[test]
#[cfg(target_os = "linux")]
fn another_user_of_the_machine_sends_nothing_without_a_token() {
    let hex = "a1".repeat(32);
    let body = log_records([1]).to_string();
    let json_type = ("Content-Type", "application/json");
    let bearer = format!("Bearer {hex}");

    let open = Host::new();
    let refused = as_another_user(|| {
        let answer = open.export(LOGS, &[json_type], body.as_bytes());
        (
            answer.status,
            answer.json()["message"].to_string(),
            grpc(&open, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code,
        )
    });
    if let Some((status, message, code)) = refused {
        assert_eq!((status, code), (403, 7));
        assert!(message.contains("[otlp] token"), "it says what to do: {message}");
        assert_eq!(open.services(), []);
    }
    // What nobody holds any more when it is looked at is not let in by that either.
    let hang_up = || {
        let mut stream = TcpStream::connect(open.http()).unwrap();
        write!(stream, "POST {LOGS} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", open.http(), body.len()).unwrap();
    };
    as_another_user(|| (0..50).for_each(|_| hang_up()));
    assert_eq!(
        exchange(open.http(), "GET", "/healthz", &[("Host", "localhost")], b"").status,
        200,
        "they were served"
    );
    if rustix::process::geteuid().is_root() {
        assert_eq!(open.services(), []);
    }

    // A token, where one is configured, is what says who may.
    let with_token = Host::with(GrpcAddress::At("127.0.0.1:0".parse().unwrap()), Some(&hex));
    let allowed = as_another_user(|| {
        let headers = [json_type, ("Authorization", bearer.as_str())];
        let over_grpc =
            grpc(&with_token, GRPC_LOGS, &[("authorization", &bearer)], framed(0, &protobuf_record(1)));
        (with_token.export(LOGS, &headers, body.as_bytes()).status, over_grpc.code)
    });
    assert!(matches!(allowed, None | Some((200, 0))), "{allowed:?}");
    assert_eq!(open.json(LOGS, &log_records([1])).status, 200, "our own processes go on");
}

#[test]
fn slow_and_idle_connections_keep_nobody_out() {
    let host = Host::new();
    // Bodies that never end, and heads that never begin, as many as there are places but a few.
    let head = format!(
        "POST {LOGS} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        host.http()
    );
    let slow: Vec<TcpStream> = (0..200)
        .map(|i| {
            let mut stream = TcpStream::connect(host.http()).unwrap();
            if i % 2 == 0 {
                stream.write_all(head.as_bytes()).unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(host.json(LOGS, &log_records([1])).status, 200);
    drop(slow);
}

/// Both ends of every connection are open in this process, and so are those of the tests beside it.
fn may_open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some() {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    }
}

#[test]
fn connections_that_say_nothing_whole_lose_their_places() {
    may_open_many_files();
    let host = Host::new();
    // More than there are places, over both listeners: heads that stop in the middle, prefaces that never come.
    let slow: Vec<TcpStream> = (0..600)
        .map(|i| {
            let mut stream = TcpStream::connect(if i % 2 == 0 { host.http() } else { host.grpc() }).unwrap();
            stream
                .write_all(if i % 2 == 0 { b"POST /v1/logs HTTP/1.1\r\nHost: lo" } else { b"PRI * HTTP" })
                .unwrap();
            stream
        })
        .collect();
    // Both wait until the places are free, with all of the slow ones still there.
    assert_eq!(host.json(LOGS, &log_records([1])).status, 200);
    assert_eq!(grpc(&host, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code, 0);
    drop(slow);
}

#[test]
fn depth_and_width_of_a_record_are_harmless_in_both_encodings() {
    let host = Host::new();
    let now_ns = u64::try_from(lamplight_engine::clock::now().0).unwrap() * 1_000_000;
    let resource = field(1, &field(1, &[field(1, b"service.name"), field(2, &field(1, b"bot"))].concat()));
    let record = |n: u64, more: &[u8]| field(2, &[&[0x09][..], &(now_ns + n).to_le_bytes(), more].concat());
    let wide: Vec<u8> = (0..10_000)
        .flat_map(|i: i32| {
            field(6, &[field(1, format!("a{i}").as_bytes()), field(2, &field(1, b"v"))].concat())
        })
        .collect();
    // An array in an array, as a body and as an attribute's value.
    let deep = (0..1_000).fold(field(1, b"end"), |inner, _| field(5, &field(1, &inner)));
    let as_attribute = field(6, &[field(1, b"deep"), field(2, &deep)].concat());
    // Groups, which protobuf has and OTLP never had, nested a thousand times.
    let groups = [[0x7b].repeat(1_000), [0x7c].repeat(1_000)].concat();
    let body = |records: &[Vec<u8>]| field(1, &[resource.clone(), field(2, &records.concat())].concat());
    let taken =
        body(&[record(1, &wide), record(2, &field(5, &deep)), record(3, &as_attribute), record(4, b"")]);
    let protobuf = [("Content-Type", "application/x-protobuf")];
    assert_eq!(host.export(LOGS, &protobuf, &taken).status, 200);
    assert_eq!(host.services()[0].calls, 4);
    let answer = host.export(LOGS, &protobuf, &body(&[record(5, &groups), record(6, b"")]));
    assert_eq!(answer.status, 200, "one of two: the other one nests too deep");
    let services = std::iter::repeat_with(|| host.services()).find(|s| s[0].calls == 5).unwrap();
    assert_eq!(services.len(), 1);

    let value = format!("{}{}{}", "{\"arrayValue\":{\"values\":[".repeat(1_000), "{}", "]}}".repeat(1_000));
    let nested = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"deep"}}}}]}},
        "scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{now_ns}","body":{value}}}]}}]}}]}}"#
    );
    assert_eq!(host.export(LOGS, &[("Content-Type", "application/json")], nested.as_bytes()).status, 200);
    let bottomless = "[".repeat(1_000_000);
    assert_eq!(host.export(LOGS, &[("Content-Type", "application/json")], bottomless.as_bytes()).status, 400);
}

#[test]
fn a_thousand_connections_are_bounded_and_leave_a_working_server() {
    may_open_many_files();
    let host = Host::new();
    let open: Vec<TcpStream> = (0..1_000)
        .flat_map(|i| TcpStream::connect(if i % 2 == 0 { host.http() } else { host.grpc() }))
        .collect();
    assert!(open.len() > 500, "the system let us try");
    drop(open);
    assert_eq!(host.json(LOGS, &log_records([1])).status, 200);
    assert_eq!(grpc(&host, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code, 0);
}

// ---- gRPC ------------------------------------------------------------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
struct Called {
    code: i32,
    message: Vec<u8>,
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(message);
    out
}

fn grpc(host: &Host, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Called {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(host.grpc()).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driven = tokio::spawn(connection);
        let authority = headers
            .iter()
            .find(|(name, _)| *name == "authority")
            .map_or(host.grpc().to_string(), |(_, v)| (*v).to_owned());
        let mut request = hyper::Request::post(format!("http://{authority}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "authority") {
            request = request.header(*name, *value);
        }
        let response =
            client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let at_once = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await.unwrap();
        let status = at_once.or_else(|| body.trailers()?.get("grpc-status").cloned()).unwrap();
        let message = body.to_bytes();
        drop(client);
        driven.abort();
        Called {
            code: status.to_str().unwrap().parse().unwrap(),
            message: message.get(5..).unwrap_or_default().to_vec(),
        }
    })
}

#[test]
fn grpc_takes_all_three_signals_as_the_client_sends_them() {
    let host = Host::new();
    for (signal, name) in [
        ("logs.v1.LogsService", "claude-grpc-logs.pb"),
        ("trace.v1.TraceService", "claude-grpc-traces.pb"),
        ("metrics.v1.MetricsService", "claude-grpc-metrics.pb"),
    ] {
        let path = format!("/opentelemetry.proto.collector.{signal}/Export");
        assert_eq!(
            grpc(&host, &path, &[], framed(0, &fixture(name))),
            Called { code: 0, message: Vec::new() },
            "{name}"
        );
        let gzipped = framed(1, &gzip(&fixture(name)));
        assert_eq!(grpc(&host, &path, &[("grpc-encoding", "gzip")], gzipped).code, 0, "{name}, gzip");
    }
    assert_eq!(grpc(&host, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code, 0);
    assert_eq!(host.services()[0].calls, 1);
}

#[test]
fn grpc_refuses_what_http_refuses() {
    let host = Host::new();
    let big = vec![0; 20 * 1024 * 1024 + 1];
    for (code, path, headers, body) in [
        (12, "/opentelemetry.proto.collector.logs.v1.LogsService/Other", vec![], framed(0, b"")),
        (3, GRPC_LOGS, vec![], framed(0, b"\xff\xff")),
        (7, GRPC_LOGS, vec![("origin", "https://evil.example")], framed(0, b"")),
        (7, GRPC_LOGS, vec![("authority", "evil.example")], framed(0, b"")),
        (11, GRPC_LOGS, vec![], framed(0, &big)),
    ] {
        assert_eq!(grpc(&host, path, &headers, body).code, code, "{path} {headers:?}");
    }
    let bomb = framed(1, &gzip(&vec![0; 200 * 1024 * 1024]));
    let called = grpc(&host, GRPC_LOGS, &[("grpc-encoding", "gzip")], bomb);
    assert!(![0, 14].contains(&called.code), "neither taken nor to be sent again: {called:?}");
    assert_eq!(host.services(), []);
}

#[test]
fn what_speaks_no_http2_is_let_go() {
    let host = Host::new();
    let mut stream = TcpStream::connect(host.grpc()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Closed or reset: either way nothing is served.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(grpc(&host, GRPC_LOGS, &[], framed(0, &protobuf_record(1))).code, 0);
}

// ---- ports -----------------------------------------------------------------------------------------------------------

#[test]
fn a_taken_grpc_port_that_was_asked_for_is_an_error_and_leaves_nothing_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap().to_owned();
    let config = config_file::load(&move |name| (name == "HOME").then(|| home.clone())).unwrap();
    let data_dir = config.data_dir.clone();
    let engine = Engine::start(config).unwrap();
    let options = |http: &str| ServeOptions {
        http: Some(http.parse().unwrap()),
        explicit: true,
        data_dir: data_dir.clone(),
        ui: false,
    };
    let otlp = GrpcAddress::At;
    let refused = spawn_with(engine.clone(), options("127.0.0.1:0"), otlp(taken.local_addr().unwrap()));
    assert!(matches!(refused, Err(ServeError::BindGrpc { .. })));
    assert!(!data_dir.join("endpoint.json").exists() && !data_dir.join("lamp.sock").exists());
    let refused = spawn_with(engine.clone(), options("127.0.0.1:0"), otlp("0.0.0.0:0".parse().unwrap()));
    assert!(matches!(refused, Err(ServeError::NotLoopback { .. })));
    engine.shutdown();
}

#[test]
fn a_taken_default_port_degrades_the_source_and_nothing_else() {
    // Somebody has it from here on: we, or whoever was there before and does not let go of it.
    let until = Instant::now() + Duration::from_secs(10);
    let _taken = loop {
        match TcpListener::bind(lamplight_api::serve::DEFAULT_GRPC) {
            Err(_) if Instant::now() < until => std::thread::park_timeout(Duration::from_millis(20)),
            bound => break bound,
        }
    };
    let host = Host::with(GrpcAddress::Default, None);
    assert_eq!(host.served.as_ref().unwrap().grpc_taken, Some(lamplight_api::serve::DEFAULT_GRPC));
    assert_eq!(host.json(LOGS, &log_records([1])).status, 200);
    host.engine.barrier().unwrap();
    let status = host.engine.status();
    let source = status.sources.iter().find(|s| s.name == "otlp").unwrap();
    assert_eq!((source.state, source.issues[0].kind.as_str()), (SourceHealth::Degraded, "port_taken"));
    assert!(source.path.contains(&host.http().to_string()), "{}", source.path);
}

#[test]
fn the_source_says_where_it_listens() {
    let host = Host::new();
    host.engine.barrier().unwrap();
    let status = host.engine.status();
    let source = status.sources.iter().find(|s| s.name == "otlp").unwrap();
    assert_eq!(source.state, SourceHealth::Ok);
    assert_eq!(source.path, format!("{}, {}", host.http(), host.grpc()));
}
