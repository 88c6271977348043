//! Telemetry through the pipeline: captured bodies of the real clients, services on a virtual clock, and what must never
//! come of either.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/cases.rs"]
mod cases;

use std::path::{Path, PathBuf};

use lamplight_engine::config::{Config, Notify, Root};
use lamplight_engine::core::Core;
use lamplight_engine::facts::Input;
use lamplight_engine::sources::otlp::{Encoding, PartialSuccess, Signal, decode};
use lamplight_engine::store::Store;
use lamplight_engine::{Engine, clock};
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{LabelSource, Lifecycle, LivenessState, TurnState};
use lamplight_model::view::{CostSource, Service, ServiceMeasure, ServiceState, SessionCard, Status};
use serde_json::{Value, json};

const SESSION: &str = "82248bd4-9d4c-4344-afd4-65b7b69eef16";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("otlp").join(name)).unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn config(home: &Path) -> Config {
    Config {
        data_dir: home.join("data"),
        roots: vec![
            Root { agent: Agent::ClaudeCode, path: home.join(".claude"), is_default: true },
            Root { agent: Agent::Codex, path: home.join(".codex"), is_default: true },
        ],
        home: Some(home.to_owned()),
        idle_minutes: 240,
        resume_max_hours: 24,
        session_labels: Default::default(),
        projects: Default::default(),
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

/// The pipeline on a clock of its own.
struct Pipeline {
    core: Core,
    now: Timestamp,
    _home: tempfile::TempDir,
}

impl Pipeline {
    /// Starts at the given moment.
    fn at(now: Timestamp) -> Self {
        let home = tempfile::tempdir().unwrap();
        let core = Core::new(Store::in_memory().unwrap(), config(home.path()), now).unwrap();
        Self { core, now, _home: home }
    }

    /// At the time of the captures.
    fn new() -> Self {
        Self::at(Timestamp::from_rfc3339("2026-11-20T12:30:00Z").unwrap())
    }

    fn send(&mut self, signal: Signal, encoding: Encoding, body: &[u8]) -> PartialSuccess {
        let batch = decode(signal, encoding, body, self.now).unwrap();
        let partial = batch.partial.clone();
        self.core.apply_all(vec![Input::Telemetry(Box::new(batch))], self.now).unwrap();
        partial
    }

    fn json(&mut self, signal: Signal, body: &Value) -> PartialSuccess {
        self.send(signal, Encoding::Json, body.to_string().as_bytes())
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        self.core.apply_all(Vec::new(), self.now).unwrap();
    }

    fn status(&mut self) -> Status {
        // Figures are told at most once a second.
        self.pass(1_000);
        self.core.status(self.now)
    }

    #[track_caller]
    fn service(&mut self) -> Service {
        let services = self.status().services;
        assert_eq!(services.len(), 1, "{services:?}");
        services.into_iter().next().unwrap()
    }
}

fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(b) => json!({"boolValue": b}),
        // As text, which is what the protocol says; the captures bring numbers.
        Value::Number(n) if n.is_i64() => json!({"intValue": n.to_string()}),
        other => json!({"doubleValue": other}),
    };
    json!({"key": key, "value": value})
}

fn attributes(of: &Value) -> Value {
    of.as_object().unwrap().iter().map(|(key, value)| attribute(key, value)).collect()
}

fn spans(resource: &Value, spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"scope": {"name": "app"}, "spans": spans}]}]})
}

fn logs(resource: &Value, scope: &str, records: &[Value]) -> Value {
    json!({"resourceLogs": [{"resource": {"attributes": attributes(resource)}, "scopeLogs": [{"scope": {"name": scope}, "logRecords": records}]}]})
}

fn service() -> Value {
    json!({"service.name": "billing-bot", "service.namespace": "harbor"})
}

/// A span that ends at `end` and took `ms`.
fn span(id: u8, end: Timestamp, ms: i64, more: Value, of: &Value) -> Value {
    let mut span = json!({
        "traceId": format!("{id:02x}").repeat(16), "spanId": format!("{id:02X}").repeat(8), "name": "chat", "kind": 3,
        "startTimeUnixNano": ((end.0 - ms) * 1_000_000).to_string(), "endTimeUnixNano": (end.0 * 1_000_000).to_string(),
        "attributes": attributes(of),
    });
    span.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    span
}

fn chat(model: &str) -> Value {
    json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 200})
}

fn log(at: Timestamp, of: &Value) -> Value {
    json!({"timeUnixNano": (at.0 * 1_000_000).to_string(), "attributes": attributes(of)})
}

fn claude(session: &str, at: Timestamp, of: &Value) -> Value {
    let mut of = of.clone();
    of["session.id"] = json!(session);
    log(at, &of)
}

fn claude_logs(records: &[Value]) -> Value {
    logs(&json!({"service.name": "claude-code"}), "com.anthropic.claude_code.events", records)
}

// ---- captured bodies -------------------------------------------------------------------------------------------------

#[test]
fn captured_bodies_of_all_protocols_are_read_whole_and_name_no_service() {
    use Encoding::{Json, Protobuf};
    use Signal::{Logs, Metrics, Traces};
    for (name, signal, encoding) in [
        ("claude-http-json-logs.json", Logs, Json),
        ("claude-http-json-traces.json", Traces, Json),
        ("claude-http-json-metrics.json", Metrics, Json),
        ("claude-grpc-logs.pb", Logs, Protobuf),
        ("claude-grpc-traces.pb", Traces, Protobuf),
        ("claude-grpc-metrics.pb", Metrics, Protobuf),
        ("claude-http-protobuf-logs.pb", Logs, Protobuf),
        ("claude-errors-logs-1.json", Logs, Json),
        ("codex-json-logs.json", Logs, Json),
        ("codex-grpc-004.pb", Logs, Protobuf),
        ("gemini-json-logs.json", Logs, Json),
        ("gemini-json-traces.json", Traces, Json),
    ] {
        let batch = decode(signal, encoding, &fixture(name), Timestamp(1_900_000_000_000)).unwrap();
        assert_eq!(batch.partial, PartialSuccess::default(), "{name}");
        assert!(batch.records > 0, "{name}");
        let mut pipeline = Pipeline::new();
        pipeline.send(signal, encoding, &fixture(name));
        assert_eq!(pipeline.status().services, [], "{name}: coding agents are no services");
    }
}

/// A home with the transcript that belongs to the captured bodies.
fn home_with_transcript() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join(".claude/projects")).unwrap();
    home
}

fn put_transcript(home: &Path) {
    let name = format!("{SESSION}.jsonl");
    let from =
        fixtures().join("claude-code/otlp-http-json/transcripts/projects/-home-dev-projects-otlp-json");
    let to = home.join(".claude/projects/-home-dev-projects-otlp-json");
    std::fs::create_dir_all(&to).unwrap();
    std::fs::copy(from.join(&name), to.join(&name)).unwrap();
}

fn ingest(engine: &Engine, signal: Signal, encoding: Encoding, name: &str) {
    let batch = decode(signal, encoding, &fixture(name), clock::now()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(engine.ingest(batch)), Ok(PartialSuccess::default()));
}

fn card(engine: &Engine) -> SessionCard {
    engine.barrier().unwrap();
    let key = SessionKey { agent: Agent::ClaudeCode, id: SessionId::new(SESSION).unwrap() };
    engine.session(&key).unwrap().expect("the session is known").card
}

#[test]
fn a_request_told_by_transcript_and_telemetry_is_one_in_either_order() {
    let mut seen = Vec::new();
    for telemetry_first in [true, false] {
        let home = home_with_transcript();
        let engine = Engine::start(config(home.path())).unwrap();
        let send = || ingest(&engine, Signal::Logs, Encoding::Json, "claude-http-json-logs.json");
        if telemetry_first {
            send();
            let alone = card(&engine);
            assert_eq!(alone.cost_source, Some(CostSource::Reported));
            assert_eq!(
                alone.tokens.unwrap().output,
                76,
                "a session without a transcript still says what it used"
            );
            assert_eq!(alone.liveness.state, LivenessState::Unknown, "telemetry says nothing about life");
        }
        put_transcript(home.path());
        engine.rescan().unwrap();
        let before = card(&engine);
        if !telemetry_first {
            assert_eq!(before.cost_source, Some(CostSource::Table));
            send();
        }
        let after = card(&engine);
        assert_eq!(after.cost_source, Some(CostSource::Reported));
        assert!((after.cost_usd.unwrap() - 0.103_16).abs() < 1e-9, "{:?}", after.cost_usd);
        assert_eq!(after.tokens, before.tokens, "tokens are counted once");
        assert_eq!(engine.totals().unwrap().messages, 2, "responses are those of transcripts");
        let key = SessionKey { agent: Agent::ClaudeCode, id: SessionId::new(SESSION).unwrap() };
        let model = engine.session(&key).unwrap().unwrap().models.remove(0);
        assert_eq!((model.responses, model.reported_responses), (2, 2));
        assert!(
            model.reported_usd == after.cost_usd && model.cost_usd.is_some(),
            "beside the table's: {model:?}"
        );
        send();
        ingest(&engine, Signal::Traces, Encoding::Json, "claude-http-json-traces.json");
        ingest(&engine, Signal::Metrics, Encoding::Json, "claude-http-json-metrics.json");
        let again = card(&engine);
        assert_eq!((&again.cost_usd, &again.tokens), (&after.cost_usd, &after.tokens), "delivered twice");
        assert_eq!(again.project.as_deref(), Some("demo"), "service.namespace");
        assert_eq!((again.label.as_str(), again.label_source), ("term1", LabelSource::InstanceId));
        seen.push((again.cost_usd, again.tokens, again.tool_calls, again.cost_source));
        engine.shutdown();
        drop(engine);
        let restarted = Engine::start(config(home.path())).unwrap();
        let kept = card(&restarted);
        assert_eq!((kept.cost_usd, kept.cost_source), (again.cost_usd, again.cost_source), "after a restart");
        restarted.shutdown();
    }
    assert_eq!(seen[0], seen[1], "the order does not matter");
}

#[test]
fn requests_without_a_transcript_line_cost_too() {
    let mut p = Pipeline::new();
    let request = |id: &str, cost: f64| {
        claude(
            "s1",
            p.now,
            &json!({"event.name": "api_request", "model": "claude-haiku-4-5", "request_id": id,
            "input_tokens": "10", "output_tokens": 5, "cost_usd": cost, "query_source": "generate_session_title"}),
        )
    };
    let body = claude_logs(&[request("r1", 0.5), request("r2", 0.25), request("r1", 0.5)]);
    p.json(Signal::Logs, &body);
    p.json(Signal::Logs, &body);
    let card = p.status().sessions.into_iter().next().unwrap();
    assert_eq!((card.cost_usd, card.cost_source), (Some(0.75), Some(CostSource::Reported)));
    assert_eq!(card.tokens.unwrap().input, 20, "numbers as text and as numbers");
}

#[test]
fn failed_attempts_alone_raise_nothing_and_are_counted_once() {
    let mut p = Pipeline::new();
    // A request makes the session a row.
    let of = json!({"event.name": "api_request", "model": "claude-haiku-4-5", "request_id": "r1", "output_tokens": 1});
    let now = p.now;
    p.json(Signal::Logs, &claude_logs(&[claude("5d75fcff-4a25-4cfb-9161-d195c04d687f", now, &of)]));
    for name in ["claude-errors-logs-1.json", "claude-errors-logs-2.json", "claude-errors-logs-3.json"] {
        p.send(Signal::Logs, Encoding::Json, &fixture(name));
        p.send(Signal::Logs, Encoding::Json, &fixture(name));
    }
    let status = p.status();
    assert_eq!(status.sessions.len(), 1);
    let card = &status.sessions[0];
    assert_eq!((card.attention.clone(), card.causes.len()), (None, 0), "telemetry alone raises nothing");
    assert_eq!(card.liveness.state, LivenessState::Unknown);
    // The request is the latest word; what failed before it is over.
    assert_eq!((card.turn_state, card.errors), (TurnState::Working, 0));
    assert!(
        card.evidence.iter().all(|e| e.source == "otlp" && !e.fact.contains("API")),
        "{:?}",
        card.evidence
    );
    assert_eq!(card.label, "term1", "what the user declared is read from these records, too");
    assert!(card.resume.reason.as_deref().unwrap().contains("telemetry alone"), "{:?}", card.resume);
    // Not later either: only its age changes.
    p.pass(3_600_000);
    let later = p.status().sessions.remove(0);
    assert_eq!((later.attention, later.causes.len(), later.lifecycle), (None, 0, Lifecycle::Idle));
}

#[test]
fn codex_and_gemini_usage_counts_where_no_file_of_theirs_tells_it() {
    let mut p = Pipeline::new();
    p.send(Signal::Logs, Encoding::Json, &fixture("codex-json-logs.json"));
    p.send(Signal::Logs, Encoding::Protobuf, &fixture("codex-grpc-004.pb"));
    p.send(Signal::Logs, Encoding::Json, &fixture("gemini-json-logs.json"));
    let status = p.status();
    assert_eq!(status.services, []);
    let tokens = |agent: &str| {
        let cards = status.sessions.iter().filter(|s| s.agent == agent);
        cards.map(|s| s.tokens.map_or((0, 0, 0), |t| (t.input, t.output, t.cache_read))).collect::<Vec<_>>()
    };
    // One response of 3,210 with 1,024 of them from the cache, told by two protocols in two threads.
    assert_eq!(tokens("codex"), [(2_186, 42, 1_024); 2]);
    assert_eq!(tokens("gemini").len(), 1, "{:?}", status.sessions);
}

// ---- what the user declared ------------------------------------------------------------------------------------------

#[test]
fn declared_names_come_late_and_are_never_overwritten_by_nothing_a37_a51_a128() {
    let mut p = Pipeline::new();
    let at = |p: &Pipeline, ms: i64| p.now.plus_ms(ms - 60_000);
    let request = json!({"event.name": "api_request", "model": "claude-haiku-4-5", "request_id": "r1", "cost_usd": 0.5, "output_tokens": 1});
    p.json(Signal::Logs, &claude_logs(&[claude("s1", at(&p, 0), &request)]));
    let first = p.status().sessions.remove(0);
    assert_eq!((first.project, first.label_source, first.run_id), (None, LabelSource::ShortId, None));
    let declared = |ms, more: Value| {
        let mut of = json!({"event.name": "x"});
        of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claude_logs(&[claude("s1", at(&p, ms), &of)])
    };
    let bodies = [
        declared(
            1,
            json!({"service.namespace": "shop", "service.instance.id": "pts-3", "lamplight.run_id": "run-1", "lamplight.parent_session_id": "p1"}),
        ),
        declared(2, json!({"service.namespace": "", "service.instance.id": "  "})),
        declared(
            3,
            json!({"tokenjam.run_id": "run-2", "tokenjam.parent_session_id": "p2", "service.instance.id": "left\u{202e}terminal\u{1b}[31m"}),
        ),
        declared(0, json!({"service.instance.id": "older"})),
    ];
    for body in &bodies {
        p.json(Signal::Logs, body);
    }
    let card = p.status().sessions.remove(0);
    assert_eq!(card.project.as_deref(), Some("shop"));
    assert_eq!((card.label.as_str(), card.label_source), ("leftterminal[31m", LabelSource::InstanceId));
    assert_eq!(card.run_id.as_deref(), Some("run-1"), "a run is declared once");
    assert_eq!(card.parent_session_id.as_deref(), Some("p1"));
}

#[test]
fn records_without_a_session_id_belong_to_none() {
    let mut p = Pipeline::new();
    let request = json!({"event.name": "api_request", "model": "m", "request_id": "r1", "cost_usd": 0.5, "service.instance.id": "pts"});
    let empty = {
        let mut r = request.clone();
        r["session.id"] = json!("");
        r
    };
    let bad = {
        let mut r = request.clone();
        r["session.id"] = json!("../../etc/passwd");
        r
    };
    let at = p.now;
    p.json(Signal::Logs, &claude_logs(&[log(at, &request), log(at, &empty), log(at, &bad)]));
    let status = p.status();
    assert_eq!((status.sessions.len(), status.archived, status.hidden.zombie), (0, 0, 0));
    assert_eq!(status.services, []);
}

#[test]
fn a_session_id_makes_no_coding_session_of_a_service_a74() {
    let mut p = Pipeline::new();
    let mut of = chat("gpt-4o");
    of["session.id"] = json!("s1");
    of["gen_ai.conversation.id"] = json!("c1");
    let now = p.now;
    p.json(Signal::Traces, &spans(&service(), &[span(1, now, 10, json!({}), &of)]));
    let status = p.status();
    assert_eq!((status.sessions.len(), status.services.len()), (0, 1));
    // And the other way round: a renamed Claude Code is still no service.
    let renamed = logs(
        &json!({"service.name": "my-tool"}),
        "com.anthropic.claude_code.events",
        &[log(now, &json!({"event.name": "x"}))],
    );
    p.json(Signal::Logs, &renamed);
    assert_eq!(p.status().services.len(), 1);
}

// ---- services --------------------------------------------------------------------------------------------------------

#[test]
fn a_service_shows_calls_errors_tokens_cost_and_latency_per_minute_a77_a78() {
    let mut p = Pipeline::new();
    let now = p.now;
    let mut priced = chat("gpt-4o");
    priced["gen_ai.usage.cost"] = json!(0.125);
    let failed = json!({"status": {"code": "STATUS_CODE_ERROR"}});
    p.json(
        Signal::Traces,
        &spans(
            &service(),
            &[
                span(1, now.plus_ms(-60_000), 100, json!({}), &priced),
                span(2, now.plus_ms(-60_000), 200, failed, &priced),
                span(3, now, 400, json!({}), &priced),
                // An agent, a tool and an inner step around them are no calls.
                span(
                    4,
                    now,
                    900,
                    json!({}),
                    &json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-4o"}),
                ),
                span(
                    5,
                    now,
                    900,
                    json!({"parentSpanId": "0101010101010101"}),
                    &json!({"gen_ai.operation.name": "execute_tool"}),
                ),
                span(
                    6,
                    now,
                    900,
                    json!({"parentSpanId": "0101010101010101"}),
                    &json!({"db.system": "sqlite"}),
                ),
            ],
        ),
    );
    let s = p.service();
    assert_eq!((s.name.as_str(), s.namespace.as_deref()), ("billing-bot", Some("harbor")));
    assert_eq!((s.state, s.measures), (ServiceState::Live, ServiceMeasure::ModelCalls));
    assert_eq!((s.calls, s.errors, s.models.clone()), (3, 1, vec!["gpt-4o".to_owned()]));
    assert_eq!((s.tokens.input, s.tokens.output), (3_000, 600));
    assert_eq!((s.cost_usd, s.cost_source), (Some(0.375), Some(CostSource::Reported)));
    assert!((s.error_rate.unwrap() - 1.0 / 3.0).abs() < 1e-9);
    assert!((s.requests_per_minute - 1.5).abs() < 1e-9, "two minutes old: {}", s.requests_per_minute);
    assert!((180..=225).contains(&s.p50_ms.unwrap()) && (350..=450).contains(&s.p95_ms.unwrap()), "{s:?}");
    assert_eq!((s.series.calls.len(), s.series.errors.len(), s.series.cost_usd.len()), (60, 60, 60));
    assert_eq!(s.series.calls[58..], [2, 1], "the last entry is the minute that runs");
    assert_eq!(s.series.errors[58..], [1, 0]);
    assert_eq!(s.series.cost_usd[58..], [0.25, 0.125]);
    assert!(s.series.calls[..58].iter().all(|n| *n == 0), "zero-filled");
    assert_eq!(s.series.from_ms % 60_000, 0);
}

#[test]
fn identical_delivery_changes_nothing_and_twins_survive() {
    let mut p = Pipeline::new();
    let now = p.now;
    let twin = log(now, &json!({"x": 1}));
    let body = logs(&service(), "app", &[twin.clone(), twin, log(now, &json!({"x": 2}))]);
    p.json(Signal::Logs, &body);
    p.json(Signal::Logs, &body);
    let s = p.service();
    assert_eq!((s.measures, s.calls), (ServiceMeasure::Logs, 3));
    // Tomorrow is no excuse.
    p.pass(20 * 3_600_000);
    p.json(Signal::Logs, &body);
    assert_eq!(p.service().calls, 3);
    // The same record of another scope or resource is another one.
    p.json(Signal::Logs, &logs(&service(), "other", &[log(now, &json!({"x": 2}))]));
    assert_eq!(p.service().calls, 4);
}

#[test]
fn marks_of_old_days_are_forgotten_a_few_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    let store = Store::open(&home.path().join("data"), false).unwrap();
    let mut now = clock::now();
    let mut core = Core::new(store, config(home.path()), now).unwrap();
    let mut send = |now: Timestamp, count: i64| {
        let records: Vec<Value> = (0..count).map(|i| log(now.plus_ms(-i), &json!({"x": i}))).collect();
        let body = logs(&service(), "app", &records).to_string();
        let batch = decode(Signal::Logs, Encoding::Json, body.as_bytes(), now).unwrap();
        core.apply_all(vec![Input::Telemetry(Box::new(batch))], now).unwrap();
    };
    let marks = || -> i64 {
        let db = rusqlite::Connection::open(home.path().join("data/lamplight.db")).unwrap();
        db.query_row("SELECT count(*) FROM telemetry_seen", [], |row| row.get(0)).unwrap()
    };
    send(now, 10_000);
    assert_eq!(marks(), 10_000);
    now = now.plus_ms(3 * 86_400_000);
    send(now, 1);
    let after_one = marks();
    assert!((5_000..10_000).contains(&after_one), "{after_one}");
    for _ in 0..3 {
        send(now, 1);
    }
    assert_eq!(marks(), 1, "today's only");
}

#[test]
fn a_call_told_by_span_and_log_record_is_one_in_either_order() {
    for span_first in [true, false] {
        let mut p = Pipeline::new();
        let now = p.now;
        let of = chat("gpt-4o");
        let span_body = |id: u8| spans(&service(), &[span(id, now, 100, json!({}), &of)]);
        let log_body = |id: u8| {
            let mut record = log(now, &of);
            record["eventName"] = json!("gen_ai.client.inference.operation.details");
            record["traceId"] = json!(format!("{id:02x}").repeat(16));
            record["spanId"] = json!(format!("{id:02x}").repeat(8));
            logs(&service(), "app", &[record])
        };
        for id in [1, 2] {
            let (first, second) = ((Signal::Traces, span_body(id)), (Signal::Logs, log_body(id)));
            let order = if span_first { [first, second] } else { [second, first] };
            for (signal, body) in order {
                p.json(signal, &body);
            }
        }
        let s = p.service();
        assert_eq!((s.calls, s.tokens.input), (2, 2_000), "span first: {span_first}");
        assert!(s.p50_ms.is_some(), "the span's duration is used");
    }
}

#[test]
fn late_and_unordered_data_lands_in_its_own_minute() {
    let mut forth = Pipeline::new();
    let mut back = Pipeline::new();
    let now = forth.now;
    let bodies: Vec<Value> = (0..5u8)
        .map(|i| {
            spans(&service(), &[span(i + 1, now.plus_ms(-i64::from(i) * 120_000), 50, json!({}), &chat("m"))])
        })
        .collect();
    for body in &bodies {
        forth.json(Signal::Traces, body);
    }
    for body in bodies.iter().rev() {
        back.json(Signal::Traces, body);
    }
    let (forth, back) = (forth.service(), back.service());
    assert_eq!(forth, back);
    assert_eq!(forth.series.calls.iter().filter(|n| **n == 1).count(), 5);
    assert_eq!(forth.first_seen_ms, now.0 - 480_000, "the beginning moves back");
    assert_eq!(forth.last_seen_ms, now.0);
    // A clock that is ahead does not make anything newer than now.
    let mut p = Pipeline::new();
    p.json(
        Signal::Traces,
        &spans(&service(), &[span(9, now.plus_ms(86_400_000), 50, json!({}), &chat("m"))]),
    );
    assert_eq!(p.service().last_seen_ms, now.0);
}

#[test]
fn a_service_goes_quiet_then_dormant_and_is_told_once_each_a79_a80_a81() {
    let mut p = Pipeline::new();
    let now = p.now;
    p.json(Signal::Traces, &spans(&service(), &[span(1, now, 50, json!({}), &chat("m"))]));
    assert_eq!(p.service().state, ServiceState::Live);
    let mut told = p.status().revision;
    for (after_ms, state) in [(300_001, ServiceState::Quiet), (1_800_001, ServiceState::Dormant)] {
        let due = p.core.next_due().expect("the change of state is a moment");
        assert_eq!(due, now.plus_ms(after_ms));
        p.now = due;
        p.pass(0);
        let status = p.core.status(p.now);
        assert_eq!(status.services[0].state, state);
        assert_eq!(status.revision, told + 1);
        told = status.revision;
        assert!((status.services[0].requests_per_minute - 1.0).abs() < 1e-9, "it shows what it did");
    }
    let leaves = p.now.0 + 6 * 86_400_000;
    assert!(p.core.next_due().is_none_or(|at| at.0 > leaves), "a dormant service wakes nobody for days");
}

#[test]
fn cost_that_is_not_known_is_not_zero() {
    let mut p = Pipeline::new();
    let now = p.now;
    p.json(
        Signal::Traces,
        &spans(&service(), &[span(1, now, 50, json!({}), &chat("nobody-knows-this-model"))]),
    );
    assert_eq!(p.service().cost_usd, None);
    let mut p = Pipeline::new();
    p.json(Signal::Traces, &spans(&service(), &[span(1, now, 50, json!({}), &chat("claude-haiku-4-5"))]));
    let s = p.service();
    assert_eq!(s.cost_source, Some(CostSource::Table));
    assert!(s.cost_usd.unwrap() > 0.0);
}

#[test]
fn cache_tokens_of_newer_and_older_names_and_of_openinference_are_read() {
    for (of, input, read, written) in [
        (
            json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.cache_read.input_tokens": 700, "gen_ai.usage.cache_creation.input_tokens": 100}),
            200,
            700,
            100,
        ),
        (
            json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.cache_read_input_tokens": 700, "gen_ai.usage.cache_creation_input_tokens": 100}),
            1_000,
            700,
            100,
        ),
        (json!({"gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 1_000}), 1_000, 0, 0),
        (
            json!({"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 1_000, "llm.token_count.prompt_details.cache_read": 600}),
            400,
            600,
            0,
        ),
        (json!({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": "1000"}), 1_000, 0, 0),
    ] {
        let mut p = Pipeline::new();
        let now = p.now;
        p.json(Signal::Traces, &spans(&service(), &[span(1, now, 50, json!({}), &of)]));
        let t = p.service().tokens;
        assert_eq!((t.input, t.cache_read, t.cache_write_5m), (input, read, written), "{of}");
    }
}

#[test]
fn a_program_without_model_calls_shows_its_requests() {
    let mut p = Pipeline::new();
    let now = p.now;
    let inner = json!({"parentSpanId": "0101010101010101"});
    let server = json!({"parentSpanId": "0101010101010101", "kind": "SPAN_KIND_SERVER"});
    p.json(
        Signal::Traces,
        &spans(
            &service(),
            &[
                span(1, now, 50, json!({}), &json!({})),
                span(2, now, 50, inner, &json!({})),
                span(3, now, 50, server, &json!({"error.type": "timeout"})),
            ],
        ),
    );
    let s = p.service();
    assert_eq!((s.measures, s.calls, s.errors, s.cost_usd), (ServiceMeasure::Requests, 2, 1, None));
}

#[test]
fn services_survive_a_restart_and_their_number_is_bounded() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    let now = clock::now();
    let open = || {
        Core::new(Store::open(&home.path().join("data"), false).unwrap(), config(home.path()), now).unwrap()
    };
    let resources: Vec<Value> = (0..600)
        .map(|i| json!({"resource": {"attributes": attributes(&json!({"service.name": format!("s{i}'; DROP TABLE services; --")}))},
            "scopeLogs": [{"logRecords": [log(now, &json!({"x": 1}))]}]}))
        .collect();
    let body = json!({"resourceLogs": resources}).to_string();
    let mut core = open();
    let batch = decode(Signal::Logs, Encoding::Json, body.as_bytes(), now).unwrap();
    core.apply_all(vec![Input::Telemetry(Box::new(batch))], now).unwrap();
    let first = core.status(now);
    assert_eq!(first.services.len(), 500);
    let source = first.sources.iter().find(|s| s.name == "otlp").unwrap();
    assert_eq!((source.issues[0].kind.as_str(), source.issues[0].count), ("too_many_services", 100));
    drop(core);
    assert_eq!(open().status(now).services, first.services);
}

// ---- hostile bodies --------------------------------------------------------------------------------------------------

#[test]
fn depth_attributes_and_size_are_harmless() {
    let mut p = Pipeline::new();
    let now = p.now;
    let deep = format!("{}{}{}", "{\"arrayValue\":{\"values\":[".repeat(1_000), "{}", "]}}".repeat(1_000));
    let many: Vec<Value> = (0..10_000).map(|i| attribute(&format!("a{i}"), &json!("v"))).collect();
    let mut wide = log(now, &json!({}));
    wide["attributes"] = many.into();
    let huge = log(now, &json!({"text": "x".repeat(2 * 1024 * 1024)}));
    let good = log(now, &json!({"x": 1}));
    let nested = format!(
        r#"{{"timeUnixNano":"{}000000","attributes":[{{"key":"deep","value":{deep}}}],"body":{deep}}}"#,
        now.0
    );
    let body = logs(
        &service(),
        "app",
        &[wide, huge, good, json!("NESTED"), json!(7), json!({"timeUnixNano": "soon"})],
    )
    .to_string()
    .replace("\"NESTED\"", &nested);
    let partial = p.send(Signal::Logs, Encoding::Json, body.as_bytes());
    assert_eq!(partial.rejected, 3, "the huge one, the one that is none, the one without a time");
    assert!(partial.message.is_some());
    assert_eq!(p.service().calls, 3, "the others are counted");
    let source = p.status().sources.into_iter().find(|s| s.name == "otlp").unwrap();
    assert_eq!((source.issues[0].kind.as_str(), source.issues[0].count), ("bad_record", 3));
}

#[test]
fn framing_that_is_broken_is_refused_whole() {
    let now = Timestamp(1);
    for body in [
        &b"\xff"[..],
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"hello, world",
        b"\x00\x00",
    ] {
        assert!(decode(Signal::Logs, Encoding::Protobuf, body, now).is_err(), "{body:?}");
    }
    for body in [
        &b""[..],
        b"[]x",
        b"{",
        b"{\"resourceLogs\": 5}",
        b"{\"resourceLogs\": [{\"scopeLogs\": {}}]}",
        b"\xff\xfe",
    ] {
        assert!(decode(Signal::Logs, Encoding::Json, body, now).is_err(), "{body:?}");
    }
    for body in [&b"{}"[..], b"{\"resourceLogs\": null}", b"{\"resourceLogs\": [], \"unknown\": 1}"] {
        assert_eq!(decode(Signal::Logs, Encoding::Json, body, now).unwrap().records, 0);
    }
    assert_eq!(decode(Signal::Logs, Encoding::Protobuf, b"", now).unwrap().records, 0);
    // Two bytes a record: a count no exporter sends.
    let empty = [0x12u8, 0x00].repeat(300_000);
    let wrap = |tag: u8, bytes: &[u8]| {
        let mut out = vec![tag];
        let mut n = bytes.len();
        while n >= 0x80 {
            out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
            n >>= 7;
        }
        out.push(u8::try_from(n).unwrap());
        out.extend_from_slice(bytes);
        out
    };
    let body = wrap(0x0a, &wrap(0x12, &empty));
    assert!(decode(Signal::Logs, Encoding::Protobuf, &body, now).is_err());
}

proptest::proptest! {
    #![proptest_config(cases::config(256))]

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), cut in 0usize..6_000, flip in 0usize..6_000) {
        for signal in Signal::ALL {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                let _ = decode(signal, encoding, &bytes, Timestamp(1));
            }
        }
        let mut real = fixture("claude-http-protobuf-logs.pb");
        let at = flip % real.len();
        real[at] ^= 0x55;
        let _ = decode(Signal::Logs, Encoding::Protobuf, &real, Timestamp(1));
        let _ = decode(Signal::Logs, Encoding::Protobuf, &real[..cut % real.len()], Timestamp(1));
    }
}
