//! Sessions that records of instrumented services name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../tests/cases.rs"]
mod cases;
mod otlp_support;

use lamplight_engine::TraceFilter;
use lamplight_engine::sources::otlp::Signal;
use lamplight_model::session::{EntryKind, LabelSource, Lifecycle, LivenessState, SessionKind, TurnState};
use lamplight_model::view::{CostSource, ServiceDetail, SessionCard};
use proptest::prelude::*;
use serde_json::{Value, json};

use otlp_support::{Pipeline, attributes, chat, logs, service, span, span_id, spans, trace_id};

/// Merges attributes.
fn with(of: Value, more: &Value) -> Value {
    let mut of = of;
    of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    of
}

fn agent(session: &str) -> Value {
    json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": session})
}

fn tool(session: &str) -> Value {
    json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "session.id": session})
}

impl Pipeline {
    fn traces(&mut self, resource: &Value, all: &[Value]) {
        self.json(Signal::Traces, &spans(resource, all));
    }

    fn page(&mut self) -> ServiceDetail {
        self.core.service("billing-bot", Some("harbor"), self.now).unwrap().unwrap()
    }

    #[track_caller]
    fn card(&mut self, id: &str) -> SessionCard {
        let page = self.page();
        let found = page.sessions.into_iter().find(|card| card.session_id == id);
        found.unwrap_or_else(|| panic!("no session {id}"))
    }
}

#[test]
fn a_session_of_a_service_is_a_card_of_its_page_and_never_among_coding_sessions_a36_a50_a73_a74() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 600_000;
    let resource = with(service(), &json!({"service.instance.id": "worker-7"}));
    let mut failed = span((1, 4, 1), "execute_tool", (at + 700, at + 800), &tool("conv-1"));
    failed["status"] = json!({"code": 2});
    pipeline.traces(
        &resource,
        &[
            span(
                (1, 2, 1),
                "chat",
                (at + 10, at + 500),
                &with(chat("claude-opus-5-5", 1_000, 200), &json!({"session.id": "conv-1"})),
            ),
            span((1, 3, 1), "execute_tool", (at + 510, at + 700), &tool("conv-1")),
            failed,
        ],
    );
    let card = pipeline.card("conv-1");
    assert_eq!((card.agent.as_str(), card.kind, card.entry), ("otel", SessionKind::Sdk, EntryKind::Sdk));
    assert_eq!(card.project.as_deref(), Some("harbor"));
    assert_eq!((card.label.as_str(), card.label_source), ("worker-7", LabelSource::InstanceId));
    assert_eq!((card.started_at_ms, card.last_activity_at_ms), (Some(at + 10), Some(at + 800)));
    assert_eq!((card.tool_calls, card.errors, card.model.as_deref()), (2, 1, Some("claude-opus-5-5")));
    assert_eq!(card.tokens.map(|t| (t.input, t.output)), Some((1_000, 200)));
    assert_eq!(
        (card.cost_source, card.cost_usd.is_some_and(|usd| usd > 0.0)),
        (Some(CostSource::Table), true)
    );
    assert_eq!(card.turn_state, TurnState::Unknown, "telemetry never says that something runs");
    assert_eq!((card.liveness.state, card.lifecycle), (LivenessState::Unknown, Lifecycle::Idle));
    assert!(card.attention.is_none() && card.causes.is_empty() && card.resume.command.is_none());
    let status = pipeline.status();
    assert!(status.sessions.is_empty(), "not in the coding zone");
    assert_eq!((status.services.len(), status.archived), (1, 1));
    let listed =
        pipeline.core.traces(TraceFilter { session: Some("otel:conv-1"), ..TraceFilter::default() }, 10);
    assert_eq!(listed.unwrap().traces[0].session.as_deref(), Some("otel:conv-1"));
}

#[test]
fn the_namespace_of_the_wire_wins_over_a_configured_project_a35_a40() {
    let home = tempfile::tempdir().unwrap();
    let mut configured = otlp_support::config(home.path());
    configured.projects.insert("otel".to_owned(), "by-config".to_owned());
    let mut pipeline = Pipeline::new();
    pipeline.core = lamplight_engine::core::Core::new(
        lamplight_engine::store::Store::in_memory().unwrap(),
        configured,
        pipeline.now,
    )
    .unwrap();
    let at = pipeline.now.0 - 1_000;
    let of = |id: &str| with(chat("m", 1, 1), &json!({"session.id": id}));
    pipeline.traces(&service(), &[span((1, 1, 0), "chat", (at, at + 1), &of("named"))]);
    assert_eq!(pipeline.card("named").project.as_deref(), Some("harbor"));
    let nameless = json!({"service.name": "billing-bot"});
    pipeline.traces(&nameless, &[span((2, 1, 0), "chat", (at, at + 1), &of("nameless"))]);
    let page = pipeline.core.service("billing-bot", Some(""), pipeline.now).unwrap().unwrap();
    assert_eq!(page.sessions[0].project.as_deref(), Some("by-config"), "where the wire says nothing");
}

#[test]
fn without_an_instance_the_service_names_its_sessions() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 1_000;
    pipeline.traces(&service(), &[span((1, 1, 0), "run", (at, at + 1), &with(agent("c"), &chat("m", 1, 1)))]);
    pipeline.traces(
        &service(),
        &[span((1, 2, 1), "chat", (at, at + 1), &with(chat("m", 1, 1), &json!({"session.id": "c"})))],
    );
    let card = pipeline.card("c");
    assert_eq!((card.label.as_str(), card.label_source), ("billing-bot", LabelSource::AgentTitle));
}

#[test]
fn a_marker_without_duration_never_completes_and_a_wrapping_span_does_a1_a2_a3() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let call = with(chat("claude-opus-5-5", 10, 10), &json!({"session.id": "c"}));
    let prompt = {
        let mut record = json!({"timeUnixNano": (at * 1_000_000).to_string(), "eventName": "user_prompt"});
        record["attributes"] =
            attributes(&json!({"gen_ai.conversation.id": "c", "event.name": "user_prompt"}));
        record
    };
    pipeline.json(Signal::Logs, &logs(&service(), &[prompt]));
    pipeline.traces(
        &service(),
        &[
            span((1, 1, 0), "invoke_agent", (at, at), &agent("c")),
            span((1, 2, 1), "chat", (at, at + 500), &call),
        ],
    );
    assert_eq!(pipeline.card("c").lifecycle, Lifecycle::Active, "a marker says that it began");
    // An end before the begin is none either, and no more is the span that made the agent.
    let made = with(agent("c"), &json!({"gen_ai.operation.name": "create_agent"}));
    pipeline.traces(
        &service(),
        &[
            span((2, 1, 0), "invoke_agent", (at + 900, at + 800), &agent("c")),
            span((2, 2, 0), "create_agent", (at + 800, at + 900), &made),
        ],
    );
    assert_eq!(pipeline.card("c").lifecycle, Lifecycle::Active);
    pipeline.traces(&service(), &[span((3, 1, 0), "invoke_agent", (at, at + 2_000), &agent("c"))]);
    let done = pipeline.card("c");
    assert_eq!((done.lifecycle, done.turn_state), (Lifecycle::Completed, TurnState::Ended));
    assert_eq!((done.ended_at_ms, done.last_activity_at_ms), (Some(at + 2_000), Some(at + 2_000)));
}

#[test]
fn later_activity_reopens_a_completed_session_and_a_late_record_does_not_a4_a18() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let call = with(chat("claude-opus-5-5", 10, 10), &json!({"session.id": "c"}));
    pipeline.traces(&service(), &[span((1, 1, 0), "invoke_agent", (at, at + 2_000), &agent("c"))]);
    pipeline.traces(&service(), &[span((1, 2, 1), "chat", (at + 100, at + 1_500), &call)]);
    let completed = pipeline.card("c");
    assert_eq!((completed.lifecycle, completed.ended_at_ms), (Lifecycle::Completed, Some(at + 2_000)));
    pipeline.traces(&service(), &[span((2, 1, 0), "chat", (at - 5_000, at + 900), &call)]);
    let late = pipeline.card("c");
    assert_eq!(
        (late.lifecycle, late.started_at_ms),
        (Lifecycle::Completed, Some(at - 5_000)),
        "begins earlier"
    );
    pipeline.traces(&service(), &[span((2, 2, 0), "chat", (at + 2_500, at + 3_000), &call)]);
    let open = pipeline.card("c");
    assert_eq!(
        (open.lifecycle, open.ended_at_ms, open.turn_state),
        (Lifecycle::Active, None, TurnState::Unknown)
    );
    // It looks the same when the later record came first.
    let mut other = Pipeline::new();
    other.traces(&service(), &[span((2, 2, 0), "chat", (at + 2_500, at + 3_000), &call)]);
    other.traces(&service(), &[span((1, 1, 0), "invoke_agent", (at, at + 2_000), &agent("c"))]);
    assert_eq!(other.card("c").lifecycle, Lifecycle::Active);
}

#[test]
fn an_openinference_agent_span_completes_too() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let llm = json!({"openinference.span.kind": "LLM", "llm.model_name": "claude-opus-5-5", "session.id": "c",
        "llm.token_count.prompt": 100, "llm.token_count.completion": 5, "llm.token_count.prompt_details.cache_read": 40,
        "llm.token_count.prompt_details.cache_write": 20});
    let of_agent = json!({"openinference.span.kind": "AGENT", "session.id": "c"});
    pipeline.traces(
        &service(),
        &[span((1, 2, 1), "llm", (at, at + 10), &llm), span((1, 1, 0), "agent", (at, at + 20), &of_agent)],
    );
    let card = pipeline.card("c");
    assert_eq!(card.lifecycle, Lifecycle::Completed);
    let tokens = card.tokens.unwrap();
    assert_eq!(
        (tokens.input, tokens.cache_read, tokens.cache_write_5m),
        (40, 40, 20),
        "writes apart from reads"
    );
}

#[test]
fn cache_writes_stand_apart_and_cost_the_write_rate_in_sessions_of_services_a191_a192_a193() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let tokens = |write: u64, read: u64, input: u64| {
        json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-5-5",
            "gen_ai.usage.input_tokens": input + write + read, "gen_ai.usage.output_tokens": 0,
            "gen_ai.usage.cache_creation.input_tokens": write, "gen_ai.usage.cache_read.input_tokens": read})
    };
    for (n, name, of) in [
        (1u8, "plain", tokens(0, 0, 1_000_000)),
        (2, "write", tokens(1_000_000, 0, 0)),
        (3, "read", tokens(0, 1_000_000, 0)),
    ] {
        let of = with(of, &json!({"session.id": name}));
        pipeline.traces(&service(), &[span((n, 1, 0), "chat", (at, at + 1), &of)]);
    }
    let cost = |p: &mut Pipeline, id: &str| p.card(id).cost_usd.unwrap();
    let (plain, write, read) =
        (cost(&mut pipeline, "plain"), cost(&mut pipeline, "write"), cost(&mut pipeline, "read"));
    assert!((write - 1.25 * plain).abs() < 1e-9, "{write} {plain}");
    assert!(read < plain / 5.0, "{read} {plain}");
    let card = pipeline.card("write");
    assert_eq!(card.tokens.map(|t| (t.cache_write_5m, t.cache_read, t.input)), Some((1_000_000, 0, 0)));
}

#[test]
fn one_call_told_by_span_and_log_record_is_one_in_its_session_too() {
    let at = Pipeline::new().now.0 - 60_000;
    let of = with(chat("claude-opus-5-5", 1_000, 200), &json!({"session.id": "c"}));
    let mut record = json!({"timeUnixNano": ((at + 900) * 1_000_000).to_string(), "traceId": trace_id(1), "spanId": span_id(2),
        "eventName": "gen_ai.client.inference.operation.details"});
    record["attributes"] = attributes(&of);
    let mut alone = record.clone();
    alone.as_object_mut().unwrap().retain(|key, _| key != "traceId" && key != "spanId");
    let bodies = [
        (Signal::Logs, logs(&service(), &[record])),
        (Signal::Traces, spans(&service(), &[span((1, 2, 1), "chat", (at, at + 800), &of)])),
    ];
    for order in [[0, 1, 0], [1, 0, 1]] {
        let mut pipeline = Pipeline::new();
        for at in order {
            pipeline.json(bodies[at].0, &bodies[at].1);
        }
        assert_eq!(pipeline.card("c").tokens.map(|t| t.output), Some(200), "{order:?}");
    }
    let mut pipeline = Pipeline::new();
    for _ in 0..2 {
        pipeline.json(Signal::Logs, &logs(&service(), std::slice::from_ref(&alone)));
    }
    assert_eq!(
        pipeline.card("c").tokens.map(|t| t.output),
        Some(200),
        "of a call without ids the record is the only word"
    );
}

#[test]
fn spend_without_a_session_goes_to_the_one_its_trace_names_in_any_order_a135() {
    let at = Pipeline::new().now.0 - 60_000;
    let root = span((1, 1, 0), "invoke_agent", (at, at + 2_000), &agent("c"));
    let worker = span((1, 2, 1), "chat", (at + 10, at + 500), &chat("claude-opus-5-5", 1_000, 200));
    let tool = span(
        (1, 3, 1),
        "execute_tool",
        (at + 10, at + 20),
        &json!({"gen_ai.operation.name": "execute_tool"}),
    );
    let inner = span((1, 4, 1), "invoke_agent", (at + 300, at + 900), &agent("inner"));
    let stranger = span((2, 2, 0), "chat", (at + 10, at + 500), &chat("claude-opus-5-5", 7_000, 0));
    let all = [root, worker, tool, inner, stranger];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 1, 0, 4, 2]] {
        let mut pipeline = Pipeline::new();
        for i in order {
            pipeline.traces(&service(), std::slice::from_ref(&all[i]));
        }
        let card = pipeline.card("c");
        assert_eq!((card.tokens.map(|t| t.input), card.tool_calls), (Some(1_000), 1), "{order:?}");
        assert!(
            pipeline.page().sessions.iter().all(|s| s.session_id == "c"),
            "the inner one spent nothing: {order:?}"
        );
        assert_eq!(pipeline.status().services[0].calls, 2, "the stranger's spend is its service's");
    }
}

#[test]
fn a_worker_of_a_run_that_names_no_session_is_known_by_its_trace_a125_a126_a127_a128_a135() {
    let at = Pipeline::new().now.0 - 60_000;
    let resource =
        with(service(), &json!({"lamplight.run_id": "run-9", "lamplight.parent_session_id": "boss"}));
    let one = span((1, 1, 0), "chat", (at, at + 500), &chat("claude-opus-5-5", 1_000, 200));
    let two = span((2, 1, 0), "chat", (at, at + 700), &chat("claude-opus-5-5", 3_000, 0));
    let mut pipeline = Pipeline::new();
    pipeline.traces(&resource, &[one.clone(), two]);
    let page = pipeline.page();
    assert_eq!(page.sessions.len(), 2, "one per trace, never one for all");
    for (n, input) in [(1, 1_000), (2, 3_000)] {
        let card = pipeline.card(&trace_id(n));
        assert_eq!(
            (card.run_id.as_deref(), card.parent_session_id.as_deref()),
            (Some("run-9"), Some("boss"))
        );
        assert_eq!(card.tokens.map(|t| t.input), Some(input));
    }
    // A session that is named after all takes over, and nothing counts twice.
    pipeline.traces(&service(), &[span((1, 9, 0), "invoke_agent", (at, at + 900), &agent("c"))]);
    let page = pipeline.page();
    let ids: Vec<&str> = page.sessions.iter().map(|s| s.session_id.as_str()).collect();
    assert!(ids.contains(&"c") && ids.contains(&trace_id(2).as_str()) && ids.len() == 2, "{ids:?}");
    assert_eq!(pipeline.card("c").tokens.map(|t| t.input), Some(1_000));
}

#[test]
fn session_ids_that_are_none_or_a_browsers_make_no_session() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    for (n, id) in
        ["unknown", "", "00000000-0000-0000-0000-000000000000", "None", "null"].into_iter().enumerate()
    {
        let of = with(chat("claude-opus-5-5", 10, 10), &json!({"session.id": id}));
        pipeline.traces(&service(), &[span((u8::try_from(n).unwrap() + 1, 1, 0), "chat", (at, at + 1), &of)]);
    }
    let of = json!({"session.id": "browser-tab-1", "http.request.method": "GET"});
    pipeline.traces(&service(), &[span((9, 1, 0), "GET /", (at, at + 1), &of)]);
    let mut record = json!({"timeUnixNano": (at * 1_000_000).to_string()});
    record["attributes"] = attributes(&json!({"session.id": "browser-tab-1"}));
    pipeline.json(Signal::Logs, &logs(&service(), &[record]));
    let page = pipeline.page();
    assert_eq!((page.sessions.len(), page.sessions_total), (0, 0));
    assert_eq!(page.service.calls, 5, "what they spent is the service's");
}

#[test]
fn hostile_session_ids_keep_their_look_and_are_told_apart() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let ids = [
        "user:1/chat:2",
        "user/1:chat/2",
        "'; DROP TABLE sessions;--",
        "../../etc/passwd",
        "$(rm -rf /)",
        "\u{202e}\u{202e}",
    ];
    for (n, id) in ids.into_iter().enumerate() {
        let of = with(chat("claude-opus-5-5", 10, 10), &json!({"session.id": id}));
        pipeline.traces(&service(), &[span((u8::try_from(n).unwrap() + 1, 1, 0), "chat", (at, at + 1), &of)]);
    }
    let mut found: Vec<String> = pipeline.page().sessions.into_iter().map(|s| s.session_id).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), ids.len(), "{found:?}");
    assert!(found.iter().any(|id| id.starts_with("user-1-chat-2.")), "{found:?}");
    assert!(found.iter().all(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))));
}

#[test]
fn services_silent_for_a_week_leave_the_list_are_counted_and_found_by_name_a76() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0;
    pipeline.traces(&service(), &[span((1, 1, 0), "GET /", (at - 10, at), &json!({}))]);
    assert_eq!(pipeline.status().services.len(), 1);
    pipeline.pass(7 * 86_400_000 - 2_000);
    let status = pipeline.status();
    assert_eq!((status.services.len(), status.hidden.services), (1, 0));
    let due = pipeline.core.next_due().unwrap();
    assert!(due.0 <= at + 7 * 86_400_000 + 1, "it leaves by itself");
    pipeline.pass(2_000);
    let status = pipeline.status();
    assert_eq!((status.services.len(), status.hidden.services), (0, 1));
    assert_eq!(pipeline.page().service.calls, 1, "its last hour is still told");
    pipeline
        .traces(&service(), &[span((2, 1, 0), "GET /", (pipeline.now.0 - 10, pipeline.now.0), &json!({}))]);
    let status = pipeline.status();
    assert_eq!((status.services.len(), status.hidden.services), (1, 0), "it is back");
}

/// Records of a small world, in which what is told of one thing never contradicts itself.
fn any_record() -> impl Strategy<Value = (Signal, Value)> {
    let ids = (1u8..4, 1u8..7, 0u8..3, prop::sample::select(vec![None, Some("s-1"), Some("s-2")]));
    (ids, 0u8..4, any::<bool>(), any::<bool>()).prop_map(|((trace, id, parent, session), what, by_log, fuller)| {
        const AT: i64 = 1_795_000_000_000;
        let from = AT + i64::from(trace) * 1_000 + i64::from(id) * 37;
        let took = i64::from(id) * 11 * i64::from(what);
        let n = u64::from(trace) * 10 + u64::from(id);
        // What a span is follows from its ids; whether it names its session does as well.
        let kind = (trace + id) % 3;
        let session = if (trace * 7 + id) % 4 == 0 { None } else { session.filter(|_| id % 2 == 0).or(Some("s-1")) };
        let mut of = match kind {
            0 => chat("claude-opus-5-5", n, n / 2),
            1 => json!({"gen_ai.operation.name": "execute_tool"}),
            _ => json!({"gen_ai.operation.name": "invoke_agent"}),
        };
        if fuller && kind == 0 {
            of["gen_ai.usage.cost"] = json!(n as f64 / 100.0);
        }
        if let Some(session) = session {
            // Which of the two is fixed by the span.
            let session = if (trace + id) % 2 == 0 { "s-1" } else { session.min("s-1") };
            of["session.id"] = json!(session);
        }
        if by_log && kind == 0 {
            let mut record = json!({"timeUnixNano": ((from + took) * 1_000_000).to_string(), "traceId": trace_id(trace), "spanId": span_id(id)});
            record["attributes"] = attributes(&of);
            return (Signal::Logs, record);
        }
        let _ = what;
        (Signal::Traces, span((trace, id, parent.min(id - 1)), "s", (from, from + i64::from(id) * 11), &of))
    })
}

fn resource(run: bool) -> Value {
    if run { with(service(), &json!({"lamplight.run_id": "r"})) } else { service() }
}

proptest! {
    #![proptest_config(cases::config(60))]

    #[test]
    fn any_split_order_and_repetition_gives_the_same_sessions(
        all in prop::collection::vec(any_record(), 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        run in any::<bool>(),
    ) {
        let send = |p: &mut Pipeline, (signal, record): &(Signal, Value)| {
            let body = match signal {
                Signal::Logs => logs(&resource(run), std::slice::from_ref(record)),
                _ => spans(&resource(run), std::slice::from_ref(record)),
            };
            p.json(*signal, &body);
        };
        let mut once = Pipeline::new();
        once.now = lamplight_model::ids::Timestamp(1_795_000_100_000);
        for signal in [Signal::Traces, Signal::Logs] {
            let part: Vec<Value> = all.iter().filter(|(s, _)| *s == signal).map(|(_, r)| r.clone()).collect();
            let body = if signal == Signal::Logs { logs(&resource(run), &part) } else { spans(&resource(run), &part) };
            once.json(signal, &body);
        }
        let mut shuffled = all.clone();
        shuffled.extend(order.iter().map(|i| i.get(&all).clone()));
        let n = shuffled.len();
        for (i, index) in order.iter().enumerate() {
            shuffled.swap(i % n, index.index(n));
        }
        let mut other = Pipeline::new();
        other.now = once.now;
        for record in &shuffled {
            send(&mut other, record);
        }
        let cards = |p: &mut Pipeline| {
            let mut cards = p.page().sessions;
            cards.sort_by(|a, b| a.session_id.cmp(&b.session_id));
            cards
        };
        let (first, second) = (cards(&mut once), cards(&mut other));
        prop_assert_eq!(&first, &second);
        // A second way: every model call of the stored spans is somebody's at most once.
        let listed = once.core.traces(TraceFilter::default(), 200).unwrap().traces;
        let in_traces: u64 = listed.iter().filter_map(|t| t.tokens).map(|t| t.input).sum();
        let of_sessions: u64 = first.iter().filter_map(|c| c.tokens).map(|t| t.input).sum();
        prop_assert!(of_sessions <= in_traces);
        if run || listed.iter().all(|t| t.session.is_some()) {
            prop_assert_eq!(of_sessions, in_traces);
        }
    }
}
