//! Forwarding as a Collector sees it: over real sockets, through outages and refusals, without what was said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod collector;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lamplight_api::config_file;
use lamplight_api::serve::{GrpcAddress, ServeOptions, Served, spawn_with};
use lamplight_engine::Engine;
use lamplight_engine::config::{Endpoint, Forward, Header, Protocol};
use lamplight_engine::forward::ForwardTotals;
use lamplight_engine::sources::otlp::Signal;
use lamplight_model::view::{SourceHealth, SourceView};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyOf;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use collector::{Answer, Collector, PATIENCE, reserve};

/// Nothing of this may arrive.
const SECRET: &str = "the words of a person";

fn to(endpoint: &str) -> Forward {
    Forward { own: false, ..Forward::to(Endpoint::parse(endpoint).unwrap()) }
}

struct Host {
    home: PathBuf,
    data: PathBuf,
    engine: Engine,
    served: Option<Served>,
}

impl Host {
    fn start(home: &Path, forward: Option<Forward>) -> Self {
        let text = home.to_str().unwrap().to_owned();
        let mut config = config_file::load(&move |name| (name == "HOME").then(|| text.clone())).unwrap();
        config.forward = forward;
        let data = config.data_dir.clone();
        let engine = Engine::start(config).unwrap();
        let options = ServeOptions {
            http: Some("127.0.0.1:0".parse().unwrap()),
            explicit: true,
            data_dir: data.clone(),
            ui: false,
        };
        let grpc = GrpcAddress::At("127.0.0.1:0".parse().unwrap());
        let served = spawn_with(engine.clone(), options, grpc).unwrap();
        Self { home: home.to_owned(), data, engine, served: Some(served) }
    }

    fn http(&self) -> SocketAddr {
        self.served.as_ref().unwrap().http
    }

    /// Sends log records as a service does; returns once they are acknowledged.
    #[track_caller]
    fn log(&self, ids: impl IntoIterator<Item = usize>) {
        assert_eq!(self.post("/v1/logs", &logs(ids), ""), 200);
    }

    fn post(&self, path: &str, body: &Value, headers: &str) -> u16 {
        let (host, body) = (self.http(), body.to_string());
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Waits for the health of forwarding to be as wanted.
    #[track_caller]
    fn health(&self, is_wanted: impl Fn(&SourceView) -> bool) -> SourceView {
        let mut changes = self.engine.subscribe();
        let until = Instant::now() + PATIENCE;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut sources = changes.snapshot.sources.clone();
        loop {
            if let Some(found) = sources.iter().find(|s| s.name == "forward" && is_wanted(s)) {
                return found.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let next = runtime.block_on(async { tokio::time::timeout(left, changes.changes.recv()).await });
            match next {
                Ok(change) => sources = change.unwrap().sources.clone().unwrap_or(sources),
                Err(_) => panic!("the health never was as wanted: {sources:?}"),
            }
        }
    }

    /// Waits for the numbers of forwarding to be as wanted: a Collector has a request before its answer is noted.
    #[track_caller]
    fn totals(&self, is_wanted: impl Fn(&ForwardTotals) -> bool) -> ForwardTotals {
        let until = Instant::now() + PATIENCE;
        loop {
            let totals = self.engine.forward_totals().unwrap();
            if is_wanted(&totals) {
                return totals;
            }
            assert!(Instant::now() < until, "the numbers never were as wanted: {totals:?}");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn stop(mut self) {
        self.served.take().unwrap().shutdown();
        self.engine.shutdown();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.served.take());
        self.engine.shutdown();
    }
}

fn logs(ids: impl IntoIterator<Item = usize>) -> Value {
    let records: Vec<Value> = ids
        .into_iter()
        .map(|id| {
            json!({"timeUnixNano": nanos_now(), "body": {"stringValue": SECRET}, "attributes": [
                {"key": "n", "value": {"intValue": id}}, {"key": "user.question", "value": {"stringValue": SECRET}},
                {"key": "order.id", "value": {"stringValue": "ab-12"}}]})
        })
        .collect();
    json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "bot"}}]},
        "scopeLogs": [{"scope": {"name": "app"}, "logRecords": records}]}]})
}

/// The numbers of the records in a body, as OpenTelemetry's own types read it.
fn numbers(body: &[u8]) -> Vec<i64> {
    let request = Logs::decode(body).unwrap();
    let records = request.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
    records
        .flat_map(|r| &r.attributes)
        .filter(|a| a.key == "n")
        .map(|a| match a.value.as_ref().unwrap().value {
            Some(AnyOf::IntValue(n)) => n,
            ref other => panic!("{other:?}"),
        })
        .collect()
}

fn arrived(received: &[collector::Received]) -> Vec<i64> {
    received.iter().filter(|r| r.answer == Answer::Ok).flat_map(|r| numbers(&r.body)).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn url_of(port: &TcpSocket) -> String {
    format!("http://{}", port.local_addr().unwrap())
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn requests_arrive_in_order_over_http_and_grpc_with_their_headers_and_without_what_was_said() {
    for (collector, protocol) in [(Collector::http(), Protocol::Http), (Collector::grpc(), Protocol::Grpc)] {
        let home = home();
        let headers = vec![Header::new("Authorization", "Bearer s3cret").unwrap()];
        let host = Host::start(home.path(), Some(Forward { protocol, headers, ..to(&collector.url()) }));
        for n in 0..20 {
            host.log([n * 2, n * 2 + 1]);
        }
        let received = collector.until(|r| numbers(&r.body).contains(&39));
        assert_eq!(arrived(&received), (0..40).collect::<Vec<i64>>(), "{protocol:?}");
        for request in &received {
            let path = match protocol {
                Protocol::Http => "/v1/logs",
                Protocol::Grpc => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            };
            assert_eq!(request.path, path);
            assert_eq!(request.headers["authorization"], "Bearer s3cret");
            assert!(
                request.headers["user-agent"].to_str().unwrap().starts_with("lamplight/"),
                "{protocol:?}"
            );
            assert!(!holds(&request.body, SECRET) && holds(&request.body, "ab-12"));
        }
        let health = host.health(|h| h.state == SourceHealth::Ok && h.last_fact_at_ms.is_some());
        assert!(health.path.contains(&collector.addr.to_string()), "{health:?}");
        host.totals(|t| t.sent == 40);
        let shown = serde_json::to_string(&*host.engine.status()).unwrap();
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn all_three_signals_and_only_the_wanted_ones_are_forwarded() {
    let traces = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0102030405060708090a0b0c0d0e0f10",
        "spanId": "0102030405060708", "name": "POST /orders"}]}]}]});
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "orders",
        "sum": {"dataPoints": [{"asInt": "3"}], "aggregationTemporality": 2}}]}]}]});
    let send = |host: &Host| {
        assert_eq!(host.post("/v1/traces", &traces, ""), 200);
        assert_eq!(host.post("/v1/metrics", &metrics, ""), 200);
        host.log([1]);
    };
    let collector = Collector::http();
    let dir = home();
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    send(&host);
    let mut paths: Vec<String> = (0..3).map(|_| collector.next().path).collect();
    paths.sort();
    assert_eq!(paths, ["/v1/logs", "/v1/metrics", "/v1/traces"]);
    let other = Collector::http();
    let dir = home();
    let host = Host::start(dir.path(), Some(Forward { signals: vec![Signal::Logs], ..to(&other.url()) }));
    // One after the other: what waits together is sent together.
    send(&host);
    assert_eq!(other.next().path, "/v1/logs");
    send(&host);
    assert_eq!(other.next().path, "/v1/logs");
}

#[test]
fn an_outage_loses_nothing_and_its_end_delivers_everything_in_order() {
    let (port, dir) = (reserve(), home());
    let host = Host::start(dir.path(), Some(to(&url_of(&port))));
    for n in 0..50 {
        host.log([n]);
    }
    let health = host.health(|h| h.state == SourceHealth::Degraded);
    assert_eq!(health.issues[0].kind, "forward_failed");
    assert!(health.issues[0].message.contains("cannot be reached"), "{health:?}");
    host.log([50]);
    assert_eq!(host.engine.forward_totals().unwrap().queue_records, 51);
    // It outlives the engine, too.
    host.stop();
    let host = Host::start(dir.path(), Some(to(&url_of(&port))));
    host.log([51]);
    let collector = Collector::start(false, port, Box::new(|_| Answer::Ok));
    let received = collector.until(|r| numbers(&r.body).contains(&51));
    assert_eq!(arrived(&received), (0..52).collect::<Vec<i64>>());
    assert!(received.len() < 10, "what waited goes together: {}", received.len());
    host.health(|h| h.state == SourceHealth::Ok && h.files == 0);
}

#[test]
fn one_request_that_is_refused_is_dropped_alone_and_counted() {
    let poison =
        |body: &[u8]| if numbers(body).contains(&3) { Answer::Status(400, None) } else { Answer::Ok };
    let (port, dir) = (reserve(), home());
    let host = Host::start(dir.path(), Some(to(&url_of(&port))));
    for n in 0..7 {
        host.log([n]);
    }
    // All of them wait, so that they are first sent as one.
    let collector = Collector::start(false, port, Box::new(poison));
    let received = collector.until(|r| r.answer == Answer::Ok && numbers(&r.body).contains(&6));
    assert_eq!(arrived(&received), [0, 1, 2, 4, 5, 6]);
    host.log([7]);
    collector.until(|r| numbers(&r.body) == [7]);
    let health = host.health(|h| h.state == SourceHealth::Ok && h.skipped == 1);
    assert_eq!(health.issues[0].kind, "forward_refused", "{health:?}");
}

#[test]
fn a_collector_that_asks_for_a_pause_gets_it_in_both_protocols() {
    let collector = Collector::http();
    collector.answers.lock().unwrap().extend([Answer::Status(429, Some("2")), Answer::Status(503, None)]);
    let dir = home();
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    host.log([1]);
    let tries = [collector.next(), collector.next(), collector.next()];
    assert!(tries[1].at - tries[0].at >= Duration::from_secs(2), "not before it said");
    assert_eq!(arrived(&tries), [1]);
    // RESOURCE_EXHAUSTED with RetryInfo of 0.25 s; then without, which is for good.
    const RETRY_INFO: &str = "GjMKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBwoFEIDlmnc";
    let collector = Collector::grpc();
    collector.answers.lock().unwrap().extend([Answer::Code(8, Some(RETRY_INFO)), Answer::Code(14, None)]);
    let dir = home();
    let host = Host::start(dir.path(), Some(Forward { protocol: Protocol::Grpc, ..to(&collector.url()) }));
    host.log([1]);
    let tries = [collector.next(), collector.next(), collector.next()];
    assert_eq!(arrived(&tries), [1]);
    assert!(tries.iter().all(|t| numbers(&t.body) == [1]), "the same request again");
    collector.answers.lock().unwrap().push_back(Answer::Code(8, None));
    host.log([2]);
    host.totals(|t| t.refused == 1);
    host.log([3]);
    let received = collector.until(|r| r.answer == Answer::Ok);
    assert_eq!(arrived(&received), [3]);
}

#[test]
fn who_is_not_let_in_is_told_so_and_nothing_piles_up() {
    let collector = Collector::start(false, reserve(), Box::new(|_| Answer::Status(401, None)));
    let dir = home();
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    host.log([1, 2]);
    collector.next();
    let health = host.health(|h| h.state == SourceHealth::Degraded && h.skipped == 2);
    assert!(health.issues[0].message.contains("[forward] headers"), "{health:?}");
}

#[test]
fn a_collector_that_never_answers_holds_up_no_exporter() {
    let collector = Collector::start(false, reserve(), Box::new(|_| Answer::Nothing));
    let dir = home();
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    host.log([0]);
    let under_way = collector.next();
    assert_eq!(numbers(&under_way.body), [0]);
    // The first request is under way and will not be answered; every other one is acknowledged meanwhile.
    for n in 1..200 {
        host.log([n]);
    }
    assert_eq!(host.engine.forward_totals().unwrap().queue_records, 200);
    assert_eq!(host.engine.forward_totals().unwrap().sent, 0);
    host.engine.barrier().unwrap();
    assert_eq!(host.engine.status().services[0].name, "bot");
}

#[test]
fn an_endpoint_that_is_lamplight_itself_is_refused() {
    let dir = home();
    let start = || {
        let http = reserve().local_addr().unwrap();
        let text = dir.path().to_str().unwrap().to_owned();
        let mut config = config_file::load(&move |name| (name == "HOME").then(|| text.clone())).unwrap();
        config.forward = Some(to(&format!("http://localhost:{}", http.port())));
        let data = config.data_dir.clone();
        let engine = Engine::start(config).unwrap();
        let options = ServeOptions { http: Some(http), explicit: true, data_dir: data.clone(), ui: false };
        let served = spawn_with(engine.clone(), options, GrpcAddress::Off).ok();
        if served.is_none() {
            engine.shutdown();
        }
        served.map(|served| Host { home: dir.path().to_owned(), data, engine, served: Some(served) })
    };
    // Another program may take the port before it is listened on here: then another one is tried.
    let host = (0..10).find_map(|_| start()).unwrap();
    host.log([1]);
    let health = host.health(|h| h.state == SourceHealth::Degraded);
    assert_eq!(health.issues[0].kind, "forward_loop", "{health:?}");
    assert!(health.issues[0].message.contains("leads back to Lamplight itself"));
    let totals = host.engine.forward_totals().unwrap();
    assert_eq!((totals.sent, totals.queue_records), (0, 1), "it waits for a better address");
}

#[test]
fn a_request_of_our_own_that_comes_back_through_a_tunnel_is_not_taken() {
    let (collector, dir) = (Collector::http(), home());
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    host.log([1]);
    let mark = lamplight_engine::forward::SENDER_HEADER;
    let ours = collector.next().headers[mark].to_str().unwrap().to_owned();
    assert_eq!(host.post("/v1/logs", &logs([2]), &format!("{mark}: {ours}\r\n")), 421);
    let health = host.health(|h| h.state == SourceHealth::Degraded);
    assert_eq!(health.issues[0].kind, "forward_loop", "{health:?}");
    assert_eq!(host.post("/v1/logs", &logs([3]), &format!("{mark}: somebody-else\r\n")), 200);
    assert_eq!(numbers(&collector.next().body), [3], "what came back was not passed on again");
}

#[test]
fn while_it_is_off_nothing_is_kept_and_switching_it_off_clears_what_waited() {
    let dir = home();
    let host = Host::start(dir.path(), None);
    host.log([1]);
    let folder = host.data.join("forward");
    assert!(!folder.exists() && host.engine.forward_totals().is_none());
    assert!(host.engine.status().sources.iter().all(|s| s.name != "forward"));
    host.stop();
    let nobody = reserve();
    let host = Host::start(dir.path(), Some(to(&url_of(&nobody))));
    host.log([2]);
    let waiting = std::fs::read_dir(&folder).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap());
    let waiting: Vec<u8> = waiting.flatten().collect();
    assert!(holds(&waiting, "ab-12") && !holds(&waiting, SECRET), "content is not even on disk");
    host.stop();
    let host = Host::start(dir.path(), None);
    assert!(!folder.exists());
    drop(host);
}

#[test]
fn a_change_of_the_settings_holds_at_once() {
    let (collector, dir) = (Collector::http(), home());
    let host = Host::start(dir.path(), None);
    let mut config = (*host.engine.config()).clone();
    host.log([1]);
    config.forward = Some(to(&collector.url()));
    host.engine.reconfigure(config.clone());
    host.log([2]);
    assert_eq!(numbers(&collector.next().body), [2]);
    host.totals(|t| t.sent == 1);
    let other = Collector::http();
    config.forward = Some(to(&other.url()));
    host.engine.reconfigure(config.clone());
    host.log([3]);
    assert_eq!(numbers(&other.next().body), [3]);
    config.forward = None;
    host.engine.reconfigure(config);
    host.log([4]);
    host.engine.barrier().unwrap();
    assert!(host.engine.forward_totals().is_none());
    assert!(host.engine.status().sources.iter().all(|s| s.name != "forward"));
}

#[test]
fn what_is_under_way_at_a_stop_is_answered_first_and_not_sent_again() {
    for (collector, protocol) in [(Collector::http(), Protocol::Http), (Collector::grpc(), Protocol::Grpc)] {
        let dir = home();
        let forward = Forward { protocol, ..to(&collector.url()) };
        let host = Host::start(dir.path(), Some(forward.clone()));
        collector.answers.lock().unwrap().push_back(Answer::Late);
        host.log([1]);
        assert_eq!(numbers(&collector.next().body), [1]);
        host.stop();
        let host = Host::start(dir.path(), Some(forward));
        host.log([2]);
        assert_eq!(numbers(&collector.next().body), [2], "{protocol:?}");
        // A Collector that never answers is not waited for longer than a moment, and asked again.
        collector.answers.lock().unwrap().push_back(Answer::Nothing);
        host.totals(|t| t.sent == 1);
        host.log([3]);
        assert_eq!(numbers(&collector.next().body), [3]);
        host.stop();
        let nobody = reserve();
        let host = Host::start(dir.path(), Some(to(&url_of(&nobody))));
        assert_eq!(host.engine.forward_totals().unwrap().queue_records, 1, "{protocol:?}");
    }
}

#[test]
fn what_was_queued_with_content_is_not_sent_once_content_is_unwanted() {
    let (dir, nobody) = (home(), reserve());
    let host = Host::start(dir.path(), Some(Forward { content: true, ..to(&url_of(&nobody)) }));
    host.log([1]);
    host.stop();
    let collector = Collector::http();
    let host = Host::start(dir.path(), Some(to(&collector.url())));
    host.log([2]);
    let received = collector.until(|r| numbers(&r.body).contains(&2));
    assert_eq!(arrived(&received), [2]);
    host.totals(|t| t.dropped == 1);
    host.stop();
    // And with it wanted, it is there.
    let host = Host::start(dir.path(), Some(Forward { content: true, ..to(&collector.url()) }));
    host.log([3]);
    assert!(holds(&collector.next().body, SECRET));
}

#[test]
fn own_session_facts_arrive_as_logs_and_metrics() {
    const ID: &str = "8315008f-4e85-4f76-9793-9ca591af70eb";
    let (collector, dir) = (Collector::http(), home());
    let work = dir.path().join("shop");
    let folder = dir.path().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(&work).unwrap();
    let now = lamplight_engine::clock::now();
    let at = |ago: i64| chrono::DateTime::from_timestamp_millis(now.0 - ago * 1_000).unwrap().to_rfc3339();
    let common = json!({"isSidechain": false, "sessionId": ID, "cwd": work, "version": "2.1.329", "userType": "external"});
    let record = |mut own: Value| {
        own.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        format!("{own}\n")
    };
    let text = record(json!({"type": "user", "uuid": "u1", "parentUuid": null, "timestamp": at(60),
        "message": {"role": "user", "content": SECRET}}))
        + &record(
            json!({"type": "assistant", "uuid": "a1", "parentUuid": "u1", "timestamp": at(50), "requestId": "req_1",
            "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5",
                "content": [{"type": "text", "text": "An answer."}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 3, "output_tokens": 5}}}),
        );
    std::fs::write(folder.join(format!("{ID}.jsonl")), text).unwrap();
    let host = Host::start(dir.path(), Some(Forward { own: true, ..to(&collector.url()) }));
    // After the first time they are told once a minute.
    let received = collector.until_within(PATIENCE * 2, |r| r.path == "/v1/metrics");
    let states: Vec<&collector::Received> = received.iter().filter(|r| r.path == "/v1/logs").collect();
    assert!(!states.is_empty());
    let request = Logs::decode(&states[0].body[..]).unwrap();
    let resource = request.resource_logs[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|a| a.value == text_value("lamplight")), "{resource:?}");
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.event_name, "lamplight.session.state");
    let of = |key: &str| record.attributes.iter().find(|a| a.key == key).and_then(|a| a.value.clone());
    assert_eq!(of("session.id"), text_value(ID));
    assert_eq!(of("lamplight.session.state"), text_value("awaiting_reply"), "{record:?}");
    assert!(received.iter().all(|r| !holds(&r.body, SECRET) && !holds(&r.body, "An answer.")));
    let metrics = Metrics::decode(&received.last().unwrap().body[..]).unwrap();
    let names: Vec<&str> =
        metrics.resource_metrics[0].scope_metrics[0].metrics.iter().map(|m| m.name.as_str()).collect();
    for name in ["lamplight.sessions", "lamplight.needs_you", "lamplight.tokens"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(host.home.exists());
}

fn text_value(text: &str) -> Option<opentelemetry_proto::tonic::common::v1::AnyValue> {
    Some(opentelemetry_proto::tonic::common::v1::AnyValue {
        value: Some(AnyOf::StringValue(text.to_owned())),
    })
}

/// Now: a service whose records are older than a week is not listed.
fn nanos_now() -> String {
    format!("{}000000", lamplight_engine::clock::now().0)
}
