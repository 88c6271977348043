//! What coding agents tell by telemetry: requests, tools, metrics and turns, joined to what their files and hooks say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

#[path = "../../../tests/cases.rs"]
mod cases;
mod otlp_support;

use std::path::PathBuf;

use lamplight_engine::config::Root;
use lamplight_engine::core::Core;
use lamplight_engine::facts::{HookFact, Input};
use lamplight_engine::sources::decode::{self, Hooked};
use lamplight_engine::sources::otlp::{Encoding, PartialSuccess, Signal, decode as decode_request};
use lamplight_engine::store::Store;
use lamplight_engine::{Engine, clock};
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{LivenessState, ResumeState, Speaker, TurnState};
use lamplight_model::view::{CostSource, SessionCard, SessionDetail};
use otlp_support::{Pipeline, attributes, config, fixture, service, span_id, spans, trace_id};
use proptest::prelude::*;
use serde_json::{Value, json};

const CLAUDE: &str = "com.anthropic.claude_code";

fn record(at: Timestamp, of: &Value) -> Value {
    json!({"timeUnixNano": (at.0 * 1_000_000).to_string(), "attributes": attributes(of)})
}

fn logs(scope: &str, resource: &Value, records: &[Value]) -> Value {
    json!({"resourceLogs": [{"resource": {"attributes": attributes(resource)}, "scopeLogs": [{"scope": {"name": scope}, "logRecords": records}]}]})
}

/// Log records of a Claude Code session, each with its time.
fn claude(session: &str, events: &[(Timestamp, Value)]) -> Value {
    let records: Vec<Value> = events
        .iter()
        .map(|(at, of)| {
            let mut of = of.clone();
            of["session.id"] = json!(session);
            record(*at, &of)
        })
        .collect();
    logs("com.anthropic.claude_code.events", &json!({"service.name": "claude-code"}), &records)
}

/// Codex: no body, no time of its own, numbers as text.
fn codex(thread: &str, events: &[(Timestamp, Value)]) -> Value {
    let records: Vec<Value> = events
        .iter()
        .map(|(at, of)| {
            let mut of = of.clone();
            of["conversation.id"] = json!(thread);
            json!({"timeUnixNano": "0", "observedTimeUnixNano": (at.0 * 1_000_000).to_string(), "attributes": attributes(&of)})
        })
        .collect();
    logs("codex_otel.log_only", &json!({"service.name": "codex_cli_rs"}), &records)
}

fn gemini(session: &str, resource: &Value, events: &[(Timestamp, Value)]) -> Value {
    let records: Vec<Value> = events
        .iter()
        .map(|(at, of)| {
            let mut of = of.clone();
            of["session.id"] = json!(session);
            record(*at, &of)
        })
        .collect();
    logs("gemini-cli", resource, &records)
}

fn request(id: &str, cost: f64) -> Value {
    json!({"event.name": "api_request", "model": "claude-haiku-4-5", "request_id": id, "query_source": "repl_main_thread",
        "input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 1_000, "cache_creation_tokens": 300,
        "cache_creation_1h_tokens": 100, "cost_usd": cost, "duration_ms": 2_000, "ttft_ms": 400})
}

/// The span of the same request: no cost, and no split of what was written.
fn request_span(session: &str, id: &str, n: u8, end: Timestamp) -> Value {
    json!({"traceId": trace_id(1), "spanId": span_id(n), "name": "claude_code.llm_request",
        "startTimeUnixNano": ((end.0 - 2_000) * 1_000_000).to_string(), "endTimeUnixNano": (end.0 * 1_000_000).to_string(),
        "attributes": attributes(&json!({"session.id": session, "model": "claude-haiku-4-5", "request_id": id,
            "query_source_safe": "repl_main_thread", "success": true, "attempt": 3, "duration_ms": 2_000, "ttft_ms": 400,
            "input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 1_000, "cache_creation_tokens": 300}))})
}

fn claude_spans(all: &[Value]) -> Value {
    let mut body = spans(&json!({"service.name": "claude-code"}), all);
    body["resourceSpans"][0]["scopeSpans"][0]["scope"]["name"] = json!("com.anthropic.claude_code.tracing");
    body
}

#[track_caller]
fn only_card(p: &mut Pipeline) -> SessionCard {
    let sessions = p.status().sessions;
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    sessions.into_iter().next().unwrap()
}

// ---- requests --------------------------------------------------------------------------------------------------------

#[test]
fn a_request_told_by_span_and_record_is_one_in_either_order() {
    let mut seen = Vec::new();
    for span_first in [true, false] {
        let mut p = Pipeline::new();
        let at = p.now.plus_ms(-60_000);
        let record = claude("s1", &[(at, request("r1", 0.5))]);
        let span = claude_spans(&[request_span("s1", "r1", 1, at)]);
        let mut send = |which: bool| match which {
            true => p.json(Signal::Traces, &span),
            false => p.json(Signal::Logs, &record),
        };
        for which in [span_first, !span_first, true, false] {
            send(which);
        }
        let card = only_card(&mut p);
        let tokens = card.tokens.unwrap();
        assert_eq!((card.cost_usd, card.cost_source), (Some(0.5), Some(CostSource::Reported)));
        assert_eq!((tokens.input, tokens.output, tokens.cache_read), (10, 5, 1_000));
        assert_eq!((tokens.cache_write_5m, tokens.cache_write_1h), (200, 100), "the record's split holds");
        seen.push((card.tokens, card.cost_usd, card.turn_state));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn spans_alone_say_what_was_used_and_the_table_what_it_costs() {
    let mut p = Pipeline::new();
    let at = p.now.plus_ms(-60_000);
    p.json(Signal::Traces, &claude_spans(&[request_span("s1", "r1", 1, at)]));
    let card = only_card(&mut p);
    // 10 × $1 + 5 × $5 + 300 × $1.25 + 1000 × $0.10, per million.
    assert!((card.cost_usd.unwrap() - 0.000_51).abs() < 1e-9, "{:?}", card.cost_usd);
    assert_eq!(card.cost_source, Some(CostSource::Table));
}

// ---- cache tokens: A 191 to 195 --------------------------------------------------------------------------------------

fn tokens_of(card: &SessionCard) -> (u64, u64, u64) {
    let t = card.tokens.unwrap();
    (t.cache_read, t.cache_write_5m, t.cache_write_1h)
}

#[test]
fn cache_writes_stand_apart_from_reads_on_every_path_of_telemetry_a191_a193() {
    let mut p = Pipeline::new();
    let at = p.now.plus_ms(-60_000);
    p.json(Signal::Logs, &claude("record", &[(at, request("r1", 0.5))]));
    p.json(Signal::Traces, &claude_spans(&[request_span("span", "r2", 1, at)]));
    let counts = [("cacheRead", 1_000.0), ("cacheCreation", 300.0), ("input", 10.0), ("output", 5.0)];
    p.json(Signal::Metrics, &metrics(1, &counts.map(|(kind, n)| tokens("metric", kind, 0, at, n))));
    let told = json!({"event.name": "codex.sse_event", "event.kind": "response.completed", "input_token_count": "1010",
        "cached_token_count": "1000", "cache_write_token_count": "300", "output_token_count": "5"});
    p.json(
        Signal::Logs,
        &codex("thread", &[(at, json!({"event.name": "codex.user_prompt", "prompt": "Hi"})), (at, told)]),
    );
    let told = json!({"event.name": "gemini_cli.api_response", "input_token_count": 1_010, "cached_content_token_count": 1_000,
        "output_token_count": 5, "model": "gemini-2.5-pro"});
    p.json(Signal::Logs, &gemini("chat", &json!({"service.name": "gemini-cli"}), &[(at, told)]));
    let status = p.status();
    let of = |id: &str| tokens_of(status.sessions.iter().find(|s| s.session_id == id).unwrap());
    assert_eq!(of("record"), (1_000, 200, 100));
    assert_eq!(of("span"), (1_000, 300, 0));
    assert_eq!(of("metric"), (1_000, 300, 0));
    assert_eq!(of("thread"), (1_000, 300, 0));
    assert_eq!(of("chat"), (1_000, 0, 0), "Gemini reports no writes");
    let input = |id: &str| status.sessions.iter().find(|s| s.session_id == id).unwrap().tokens.unwrap().input;
    assert_eq!(
        ["record", "span", "metric", "thread", "chat"].map(input),
        [10; 5],
        "and apart from the input"
    );
}

#[test]
fn what_is_written_to_the_cache_is_priced_at_the_rate_of_writing_a192_a194() {
    let mut p = Pipeline::new();
    let at = p.now.plus_ms(-60_000);
    let mut of = request("r1", 0.0);
    of.as_object_mut().unwrap().remove("cost_usd");
    of["input_tokens"] = json!(0);
    of["output_tokens"] = json!(0);
    of["cache_read_tokens"] = json!(0);
    of["cache_creation_tokens"] = json!(3_000_000);
    of["cache_creation_1h_tokens"] = json!(1_000_000);
    p.json(Signal::Logs, &claude("s1", &[(at, of)]));
    // Haiku 4.5: $1.25 per million for five minutes, $2 for an hour; reading would be $0.10.
    let card = only_card(&mut p);
    assert!((card.cost_usd.unwrap() - 4.5).abs() < 1e-9, "{:?}", card.cost_usd);
    assert_eq!(
        card.cost_source,
        Some(CostSource::Table),
        "no dollar figure says more than where it comes from"
    );
}

// ---- metrics ---------------------------------------------------------------------------------------------------------

fn point(of: &Value, start: Timestamp, at: Timestamp, value: f64) -> Value {
    json!({"startTimeUnixNano": (start.0 * 1_000_000).to_string(), "timeUnixNano": (at.0 * 1_000_000).to_string(),
        "asDouble": value, "attributes": attributes(of)})
}

/// A point of tokens; `since` says when its sum began, in milliseconds before `at`.
fn tokens(session: &str, kind: &str, since: i64, at: Timestamp, n: f64) -> (&'static str, Value) {
    let of =
        json!({"session.id": session, "model": "claude-haiku-4-5", "type": kind, "query_source": "main"});
    ("claude_code.token.usage", point(&of, at.plus_ms(-since), at, n))
}

fn cost(session: &str, since: i64, at: Timestamp, usd: f64) -> (&'static str, Value) {
    let of = json!({"session.id": session, "model": "claude-haiku-4-5", "query_source": "main"});
    ("claude_code.cost.usage", point(&of, at.plus_ms(-since), at, usd))
}

fn metrics(temporality: i32, points: &[(&str, Value)]) -> Value {
    let all: Vec<Value> = points
        .iter()
        .map(|(name, point)| json!({"name": name, "sum": {"aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [point]}}))
        .collect();
    json!({"resourceMetrics": [{"resource": {"attributes": attributes(&json!({"service.name": "claude-code"}))},
        "scopeMetrics": [{"scope": {"name": CLAUDE}, "metrics": all}]}]})
}

#[test]
fn metrics_speak_where_no_request_was_told_and_restarts_add_up() {
    let mut p = Pipeline::new();
    let t = |ms: i64| p.now.plus_ms(ms - 600_000);
    // Two processes of one session, each with totals of its own; the last of each counts, whatever comes late or twice.
    let first = |ms: i64, n: f64| {
        metrics(2, &[tokens("s1", "output", ms, t(ms), n), cost("s1", ms, t(ms), n / 100.0)])
    };
    let second = |ms: i64, n: f64| {
        metrics(
            2,
            &[tokens("s1", "output", ms - 300_000, t(ms), n), cost("s1", ms - 300_000, t(ms), n / 100.0)],
        )
    };
    let bodies = [first(1_000, 10.0), first(2_000, 25.0), second(301_000, 4.0), second(302_000, 7.0)];
    for number in [1, 0, 3, 2, 1, 3] {
        p.json(Signal::Metrics, &bodies[number]);
    }
    let card = only_card(&mut p);
    assert_eq!(card.tokens.unwrap().output, 32);
    assert!((card.cost_usd.unwrap() - 0.32).abs() < 1e-9, "{:?}", card.cost_usd);
    assert_eq!(card.cost_source, Some(CostSource::Reported));
    assert_eq!(card.turn_state, TurnState::Unknown, "metrics say nothing of a turn");
}

#[test]
fn what_a_client_measures_before_anything_was_asked_makes_no_session() {
    let mut p = Pipeline::new();
    let of = json!({"session.id": "s1", "start_type": "fresh"});
    let body = metrics(1, &[("claude_code.session.count", point(&of, p.now, p.now, 1.0))]);
    p.json(Signal::Metrics, &body);
    assert_eq!(p.status().sessions, []);
}

proptest! {
    #![proptest_config(cases::config(48))]

    /// Requests cost what their records say; metrics measure the same once more, and count where no record came.
    #[test]
    fn requests_and_metrics_of_one_session_are_never_added(
        costs in prop::collection::vec(1u32..1_000, 1..6),
        has_records in any::<bool>(),
        is_cumulative in any::<bool>(),
        order in Just((0..24usize).collect::<Vec<_>>()).prop_shuffle(),
        again in any::<bool>(),
    ) {
        let mut p = Pipeline::new();
        let start = p.now.plus_ms(-600_000);
        let mut bodies: Vec<(Signal, Value)> = Vec::new();
        let mut sum = 0.0;
        let mut since = 0;
        for (n, milli) in (1i64..).zip(&costs) {
            let usd = f64::from(*milli) / 1_000.0;
            let at = start.plus_ms(n * 10_000);
            sum += usd;
            if has_records {
                bodies.push((Signal::Logs, claude("s1", &[(at, request(&format!("r{n}"), usd))])));
            }
            let (value, out, began) = if is_cumulative { (sum, 5 * n, n * 10_000) } else { (usd, 5, n * 10_000 - since) };
            since = n * 10_000;
            let out = f64::from(i32::try_from(out).unwrap());
            bodies.push((Signal::Metrics, metrics(if is_cumulative { 2 } else { 1 },
                &[cost("s1", began, at, value), tokens("s1", "output", began, at, out)])));
        }
        for _ in 0..=usize::from(again) {
            for number in order.iter().filter(|n| **n < bodies.len()) {
                let (signal, body) = &bodies[*number];
                p.json(*signal, body);
            }
        }
        let card = only_card(&mut p);
        prop_assert!((card.cost_usd.unwrap() - sum).abs() < 1e-6, "{:?} is not {sum}", card.cost_usd);
        prop_assert_eq!(card.cost_source, Some(CostSource::Reported));
        prop_assert_eq!(card.tokens.unwrap().output, 5 * u64::try_from(costs.len()).unwrap());
    }
}

// ---- a whole session by telemetry alone ------------------------------------------------------------------------------

fn detail(engine: &Engine, agent: Agent, id: &str) -> SessionDetail {
    engine.barrier().unwrap();
    let key = SessionKey { agent, id: SessionId::new(id).unwrap() };
    engine.session(&key).unwrap().unwrap_or_else(|| panic!("{id} is not known"))
}

fn ingest(engine: &Engine, signal: Signal, body: &[u8]) {
    let batch = decode_request(signal, Encoding::Json, body, clock::now()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(engine.ingest(batch)), Ok(PartialSuccess::default()));
}

#[test]
fn a_session_of_another_machine_has_a_card_and_a_page() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::start(config(home.path())).unwrap();
    let start = clock::now().plus_ms(-120_000);
    let at = |ms: i64| start.plus_ms(ms);
    let call = json!({"tool_name": "Bash", "tool_use_id": "toolu_1", "permission_mode": "acceptEdits"});
    let with = |of: &Value, more: Value| {
        let mut of = of.clone();
        of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of
    };
    let records = claude(
        "far",
        &[
            (at(0), json!({"event.name": "user_prompt", "prompt": "Fix the lamp", "prompt_length": "12"})),
            (at(2_000), request("r1", 0.25)),
            (
                at(2_010),
                json!({"event.name": "assistant_response", "response": "I look\nfirst.", "query_source": "repl_main_thread"}),
            ),
            (
                at(9_000),
                with(
                    &call,
                    json!({"event.name": "tool_decision", "decision": "accept", "source": "user_temporary"}),
                ),
            ),
            (
                at(9_500),
                with(&call, json!({"event.name": "tool_result", "success": "false", "duration_ms": "480"})),
            ),
            (at(9_600), json!({"event.name": "compaction", "trigger": "auto", "success": "true"})),
            (at(12_000), request("r2", 0.25)),
        ],
    );
    let span = |n: u8, parent: u8, name: &str, from: i64, to: i64, of: Value| {
        let mut of = of;
        of["session.id"] = json!("far");
        json!({"traceId": trace_id(1), "spanId": span_id(n), "parentSpanId": span_id(parent), "name": name,
            "startTimeUnixNano": (at(from).0 * 1_000_000).to_string(), "endTimeUnixNano": (at(to).0 * 1_000_000).to_string(),
            "attributes": attributes(&of)})
    };
    let trace = claude_spans(&[
        span(
            3,
            2,
            "claude_code.tool.blocked_on_user",
            2_100,
            9_000,
            json!({"decision": "accept", "source": "user_temporary"}),
        ),
        span(
            4,
            2,
            "claude_code.tool.execution",
            9_000,
            9_480,
            json!({"tool_use_id": "toolu_1", "success": false, "duration_ms": 480}),
        ),
        span(2, 1, "claude_code.tool", 2_050, 9_500, json!({"tool_use_id": "toolu_1", "tool_name": "Bash"})),
        request_span("far", "r2", 5, at(12_000)),
        span(1, 9, "claude_code.interaction", -50, 12_050, json!({"interaction.duration_ms": 12_100})),
    ]);
    for _ in 0..2 {
        ingest(&engine, Signal::Logs, records.to_string().as_bytes());
        ingest(&engine, Signal::Traces, trace.to_string().as_bytes());
    }
    let page = detail(&engine, Agent::ClaudeCode, "far");
    let card = &page.card;
    assert_eq!((card.label.as_str(), page.first_prompt.as_deref()), ("Fix the lamp", Some("Fix the lamp")));
    assert_eq!(card.excerpt.as_deref(), Some("I look first."));
    assert_eq!((card.turn_state, card.last_speaker), (TurnState::AwaitingReply, Some(Speaker::Assistant)));
    assert_eq!((card.tool_calls, card.model.as_deref()), (1, Some("claude-haiku-4-5")));
    assert_eq!((card.cost_usd, card.cost_source), (Some(0.5), Some(CostSource::Reported)));
    assert_eq!((card.liveness.state, card.resume.state), (LivenessState::Unknown, ResumeState::NoTranscript));
    assert!(card.causes.iter().all(|c| u8::from(c.tier) == 2), "{:?}", card.causes);
    let measured = page.telemetry.unwrap();
    assert_eq!(
        (measured.requests, measured.latency_p50_ms, measured.ttft_p95_ms),
        (2, Some(2_000), Some(400))
    );
    assert_eq!(
        (measured.tool_calls, measured.tool_failures, measured.tools_ran_ms),
        (1, 1, 480),
        "one call, five records of it"
    );
    assert_eq!((measured.waits, measured.waited_ms), (1, 6_900));
    assert_eq!((measured.retries, measured.compactions), (2, 1), "the third attempt was answered");
    assert_eq!(measured.permission_mode.as_deref(), Some("acceptEdits"));
    assert!(page.messages_note.unwrap().contains("telemetry"));
    engine.shutdown();
    drop(engine);
    let again = Engine::start(config(home.path())).unwrap();
    assert_eq!(detail(&again, Agent::ClaudeCode, "far").card.cost_usd, Some(0.5), "after a restart");
    again.shutdown();
}

#[test]
fn no_word_of_telemetry_alone_blocks_anybody_or_tells_of_life() {
    let mut p = Pipeline::new();
    // The first look is over: what comes from here on is news.
    p.core.apply_all(vec![Input::Listed { at: p.now, asked: 0 }], p.now).unwrap();
    let at = |p: &Pipeline, ms: i64| p.now.plus_ms(ms);
    let start = p.now;
    let asked = json!({"event.name": "hook_execution_start", "hook_event": "PermissionRequest", "hook_name": "PermissionRequest:Bash"});
    let events = [
        (at(&p, 0), json!({"event.name": "user_prompt", "prompt": "Fix it"})),
        (at(&p, 10), request("r1", 0.1)),
        (at(&p, 20), asked),
    ];
    p.now = start.plus_ms(1_000);
    p.json(Signal::Logs, &claude("s1", &events));
    assert_eq!(only_card(&mut p).turn_state, TurnState::Working);
    p.pass(20_000);
    let card = only_card(&mut p);
    assert_eq!(
        (card.turn_state, card.attention),
        (TurnState::Unknown, None),
        "over, or asking: nobody can say"
    );
    // Signing in blocks when a hook, the registry or the transcript says so; telemetry's 401 is an error of a turn.
    let failed =
        json!({"event.name": "api_error", "error": "invalid x-api-key", "status_code": 401, "attempt": 3});
    let now = p.now;
    p.json(Signal::Logs, &claude("s1", &[(now, failed)]));
    let card = only_card(&mut p);
    assert_eq!(card.turn_state, TurnState::Errored);
    assert_eq!(u8::from(card.attention.unwrap().tier), 2);
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("invalid x-api-key"));
    assert_eq!((card.liveness.state, card.pid), (LivenessState::Unknown, None));
}

// ---- Codex -----------------------------------------------------------------------------------------------------------

fn hook(p: &mut Pipeline, agent: Agent, session: &str, at: Timestamp, payload: Value) {
    let mut payload = payload;
    payload["session_id"] = json!(session);
    let bytes =
        json!({"v": 1, "agent": agent.as_str(), "received_at_ms": at.0, "payload": payload}).to_string();
    let (hooked, _) = decode::hook(bytes.as_bytes(), at).unwrap();
    let Hooked { agent, session, hook } = hooked.unwrap();
    p.now = p.now.max(at);
    let fact = HookFact { file: PathBuf::new(), agent, session, hook };
    p.core.apply_all(vec![Input::Hook(fact)], p.now).unwrap();
}

#[test]
fn a_decision_of_the_person_ends_what_a_codex_hook_asked_and_a_rule_does_not() {
    for (source, tool, state) in [
        ("User", "exec_command", TurnState::Working),
        ("Config", "exec_command", TurnState::AwaitingPermission),
        ("User", "apply_patch", TurnState::AwaitingPermission),
    ] {
        let mut p = Pipeline::new();
        let t0 = p.now;
        hook(
            &mut p,
            Agent::Codex,
            "t1",
            t0,
            json!({"hook_event_name": "UserPromptSubmit", "prompt": "Install"}),
        );
        let ask = json!({"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "make install"}});
        hook(&mut p, Agent::Codex, "t1", t0.plus_ms(5_000), ask);
        // A decision about a call before it is none about this one.
        let decided = |ms: i64, source: &str| {
            codex(
                "t1",
                &[(
                    t0.plus_ms(ms),
                    json!({"event.name": "codex.tool_decision", "tool_name": tool, "call_id": format!("c{ms}"), "decision": "approved", "source": source}),
                )],
            )
        };
        p.json(Signal::Logs, &decided(4_000, "User"));
        assert_eq!(only_card(&mut p).turn_state, TurnState::AwaitingPermission, "{source} {tool}");
        p.pass(5_000);
        p.json(Signal::Logs, &decided(9_000, source));
        assert_eq!(only_card(&mut p).turn_state, state, "{source} {tool}: an approved call that runs on");
    }
}

#[test]
fn what_codex_used_is_its_rollouts_word_as_soon_as_there_is_one() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::start(config(home.path())).unwrap();
    let thread = "01a1f8de-8d29-79b2-935a-ef194fe6560d";
    let send = || ingest(&engine, Signal::Logs, &fixture("codex-json-logs.json"));
    send();
    let far = detail(&engine, Agent::Codex, thread);
    assert_eq!(far.card.tokens.map(|t| (t.input, t.output)), Some((2_186, 42)));
    assert_eq!(far.card.label, "Say hello");
    let name = format!("rollout-2026-11-20T12-10-38-{thread}.jsonl");
    let day = home.path().join(".codex/sessions/2026/11/20");
    std::fs::create_dir_all(&day).unwrap();
    let fixtures = otlp_support::fixtures().join("codex/otlp_json/dot-codex/sessions/2026/11/20");
    let from = std::fs::read_dir(fixtures)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().contains(thread));
    std::fs::copy(from.expect("the rollout of the capture"), day.join(name)).unwrap();
    engine.rescan().unwrap();
    send();
    let here = detail(&engine, Agent::Codex, thread);
    assert_eq!(here.card.tokens.map(|t| (t.input, t.output)), Some((2_186, 42)), "counted once");
    assert_eq!(here.models.iter().map(|m| m.responses).sum::<u32>(), 1);
    assert!(here.telemetry.unwrap().ttft_p50_ms.is_some(), "what it took stays an observation");
    engine.shutdown();
}

#[test]
fn threads_in_which_codex_asks_for_a_title_are_no_rows_also_where_prompts_are_not_sent() {
    let completed = json!({"event.name": "codex.sse_event", "event.kind": "response.completed", "input_token_count": "700", "output_token_count": "6"});
    let prompt = |text: &str, length: &str| json!({"event.name": "codex.user_prompt", "prompt": text, "prompt_length": length});
    for (what, first, has_tool, rows) in [
        ("a person's", prompt("Say hello", "9"), false, 1),
        (
            "a title's",
            prompt("Generate a concise, single-line task title of at most 36 characters", "422"),
            false,
            0,
        ),
        ("a short one", prompt("[REDACTED]", "9"), false, 1),
        ("a long one", prompt("[REDACTED]", "433"), false, 0),
        ("a long one that led to work", prompt("[REDACTED]", "433"), true, 1),
    ] {
        let mut p = Pipeline::new();
        let at = p.now.plus_ms(-1_000);
        let mut events = vec![(at, first), (at.plus_ms(10), completed.clone())];
        if has_tool {
            events.push((at.plus_ms(20), json!({"event.name": "codex.tool_result", "call_id": "c1", "tool_name": "exec_command", "success": "true"})));
        }
        p.json(Signal::Logs, &codex("t1", &events));
        let status = p.status();
        assert_eq!(
            (status.sessions.len(), status.hidden.title_thread),
            (rows, 1 - u64::try_from(rows).unwrap()),
            "{what}"
        );
    }
}

// ---- Gemini CLI ------------------------------------------------------------------------------------------------------

#[test]
fn a_prompt_on_the_command_line_of_gemini_is_kept_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::start(config(home.path())).unwrap();
    let resource = json!({"service.name": "gemini-cli", "session.id": "g1", "process.command_line": "gemini -p SECRETPROMPT",
        "process.command_args": "SECRETPROMPT"});
    let at = clock::now().plus_ms(-1_000);
    let events = [
        (at, json!({"event.name": "gemini_cli.user_prompt", "prompt_length": 12, "prompt_id": "x"})),
        (at, json!({"event.name": "gemini_cli.api_request", "request_text": "SECRETPROMPT", "role": "main"})),
        (
            at,
            json!({"event.name": "gemini_cli.api_response", "input_token_count": 100, "cached_content_token_count": 40,
            "output_token_count": 7, "thoughts_token_count": 3, "model": "gemini-2.5-pro", "response_text": "SECRETPROMPT"}),
        ),
        (
            at,
            json!({"event.name": "gen_ai.client.inference.operation.details", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}),
        ),
    ];
    ingest(&engine, Signal::Logs, gemini("g1", &resource, &events).to_string().as_bytes());
    let page = detail(&engine, Agent::Gemini, "g1");
    let tokens = page.card.tokens.unwrap();
    assert_eq!(
        (tokens.input, tokens.output, tokens.cache_read),
        (60, 10, 40),
        "once, thoughts with the output"
    );
    assert!(!serde_json::to_string(&page).unwrap().contains("SECRETPROMPT"));
    engine.shutdown();
    drop(engine);
    for entry in std::fs::read_dir(home.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(12).any(|w| w == b"SECRETPROMPT"), "{}", path.display());
        }
    }
}

#[test]
fn the_folder_that_geminis_hooks_name_is_shown_and_not_believed() {
    let mut p = Pipeline::new();
    let id = "e124c8b5-41d2-44b0-8eb0-b5411e7a7590";
    let now = p.now;
    let begin = |p: &mut Pipeline, at: Timestamp| {
        hook(
            p,
            Agent::Gemini,
            id,
            at,
            json!({"hook_event_name": "BeforeAgent", "prompt": "Say hello", "cwd": "/somewhere/else"}),
        );
    };
    begin(&mut p, now);
    let card = only_card(&mut p);
    assert_eq!(
        (card.agent.as_str(), card.label.as_str(), card.turn_state),
        ("gemini", "Say hello", TurnState::Working)
    );
    assert_eq!(
        (card.cwd.as_deref(), card.project.as_deref()),
        (Some("/somewhere/else"), Some("else")),
        "shown"
    );
    assert_eq!(
        (card.resume.state, &card.resume.command),
        (ResumeState::NoTranscript, &None),
        "and not believed"
    );
}

#[test]
fn gemini_offers_the_way_back_where_its_own_folder_has_the_chat() {
    let home = tempfile::tempdir().unwrap();
    let id = "e124c8b5-41d2-44b0-8eb0-b5411e7a7590";
    let (project, chats) = (home.path().join("shop"), home.path().join(".gemini/tmp/shop/chats"));
    std::fs::create_dir_all(&project).unwrap();
    std::fs::create_dir_all(&chats).unwrap();
    std::fs::write(chats.with_file_name(".project_root"), project.to_str().unwrap()).unwrap();
    let head = json!({"sessionId": id, "projectHash": "x", "kind": "main"});
    std::fs::write(chats.join("session-2026-11-20T12-07-e124c8b5.jsonl"), format!("{head}\n")).unwrap();
    let mut config = config(home.path());
    config.roots.push(Root { agent: Agent::Gemini, path: home.path().join(".gemini"), is_default: true });
    let now = Timestamp::from_rfc3339("2026-11-20T12:30:00Z").unwrap();
    let mut p = Pipeline::new();
    p.core = Core::new(Store::in_memory().unwrap(), config, now).unwrap();
    hook(
        &mut p,
        Agent::Gemini,
        id,
        now,
        json!({"hook_event_name": "BeforeAgent", "prompt": "Hi", "cwd": "/somewhere/else"}),
    );
    let resume = only_card(&mut p).resume;
    assert_eq!(resume.state, ResumeState::Ready);
    assert_eq!(resume.command.unwrap(), format!("cd {} && gemini --resume {id}", project.display()));
}

#[test]
fn a_refusal_that_only_geminis_telemetry_tells_ends_what_its_hook_asked() {
    let mut p = Pipeline::new();
    let t0 = p.now;
    hook(&mut p, Agent::Gemini, "g1", t0, json!({"hook_event_name": "BeforeAgent", "prompt": "Install"}));
    let tool = json!({"tool_name": "run_shell_command", "tool_input": {"command": "make install"}});
    let mut before = tool;
    before["hook_event_name"] = json!("BeforeTool");
    hook(&mut p, Agent::Gemini, "g1", t0.plus_ms(100), before);
    assert_eq!(only_card(&mut p).doing.unwrap().tool.as_deref(), Some("run_shell_command"));
    let ask = json!({"hook_event_name": "Notification", "notification_type": "ToolPermission",
        "details": {"type": "exec", "title": "Confirm", "command": "make install"}});
    hook(&mut p, Agent::Gemini, "g1", t0.plus_ms(300), ask);
    let card = only_card(&mut p);
    assert_eq!(card.turn_state, TurnState::AwaitingPermission);
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("make install"));
    p.pass(5_000);
    let refused = json!({"event.name": "gemini_cli.tool_call", "function_name": "run_shell_command", "decision": "reject", "success": false});
    let resource = json!({"service.name": "gemini-cli"});
    p.json(Signal::Logs, &gemini("g1", &resource, &[(t0.plus_ms(4_000), refused)]));
    assert_eq!(only_card(&mut p).turn_state, TurnState::Interrupted);
    // The same call told three times over: one.
    hook(
        &mut p,
        Agent::Gemini,
        "g1",
        t0.plus_ms(9_000),
        json!({"hook_event_name": "SessionEnd", "reason": "exit"}),
    );
    hook(
        &mut p,
        Agent::Gemini,
        "g1",
        t0.plus_ms(9_050),
        json!({"hook_event_name": "SessionEnd", "reason": "exit"}),
    );
    assert_eq!(only_card(&mut p).turn_state, TurnState::Ended);
}

#[test]
fn other_programs_are_no_agents() {
    let mut p = Pipeline::new();
    let at = p.now.plus_ms(-1_000);
    let of = json!({"event.name": "user_prompt", "session.id": "s1", "prompt": "Hi"});
    p.json(Signal::Logs, &logs("app", &service(), &[record(at, &of)]));
    assert_eq!(p.status().sessions, []);
}
