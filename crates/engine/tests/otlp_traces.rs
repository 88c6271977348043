//! Spans: stored once whatever way they come, shown as a tree, listed by service and by session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../tests/cases.rs"]
mod cases;
mod otlp_support;

use lamplight_engine::TraceFilter;
use lamplight_engine::sources::otlp::{Encoding, Signal};
use lamplight_model::ids::TraceId;
use lamplight_model::view::{SpanKind, Trace};
use proptest::prelude::*;
use serde_json::{Value, json};

use otlp_support::{Pipeline, chat, fixture, logs, service, span, span_id, spans, trace_id};

const SESSION: &str = "82248bd4-9d4c-4344-afd4-65b7b69eef16";

impl Pipeline {
    #[track_caller]
    fn trace(&self, hex: &str) -> Trace {
        self.core.trace(TraceId::from_hex(hex).unwrap()).unwrap().unwrap()
    }

    fn listed(&self, filter: TraceFilter<'_>) -> Vec<String> {
        self.core.traces(filter, 200).unwrap().traces.into_iter().map(|t| t.trace_id).collect()
    }

    /// Every trace in full.
    fn all(&self) -> Vec<Trace> {
        let mut ids = self.listed(TraceFilter::default());
        ids.sort();
        ids.iter().map(|id| self.trace(id)).collect()
    }
}

/// The tree in a line per span.
fn tree(trace: &Trace) -> String {
    let mut text = String::new();
    for s in &trace.spans {
        let indent = "  ".repeat(s.depth as usize);
        let orphan = if s.is_orphan { " (orphan)" } else { "" };
        text.push_str(&format!("{indent}{} {:?}{orphan}\n", s.name, s.kind));
    }
    text
}

#[test]
fn captured_traces_of_claude_code_give_the_documented_tree_in_json_and_protobuf() {
    let mut trees = Vec::new();
    for (name, encoding) in [
        ("claude-http-json-traces.json", Encoding::Json),
        ("claude-grpc-traces.pb", Encoding::Protobuf),
        ("claude-http-protobuf-traces.pb", Encoding::Protobuf),
    ] {
        let mut pipeline = Pipeline::new();
        let partial = pipeline.send(Signal::Traces, encoding, &fixture(name));
        assert_eq!(partial.rejected, 0);
        let traces = pipeline.all();
        assert_eq!(traces.len(), 1, "{name}");
        let trace = &traces[0];
        trees.push(tree(trace));
        assert!(trace.trace.has_root && trace.trace.session.is_some() && trace.cut == 0, "{name}");
        let page =
            pipeline.listed(TraceFilter { session: trace.trace.session.as_deref(), ..Default::default() });
        assert_eq!(page, std::slice::from_ref(&trace.trace.trace_id), "by its session");
        assert!(pipeline.status().services.is_empty(), "a coding agent is no service");
    }
    assert_eq!(
        trees[0],
        "claude_code.interaction Agent\n  claude_code.llm_request Llm\n  claude_code.tool Tool\n    \
         claude_code.tool.blocked_on_user Blocked\n    claude_code.tool.execution Tool\n  claude_code.llm_request Llm\n"
    );
    assert!(trees.iter().all(|t| *t == trees[0]), "{trees:#?}");
}

#[test]
fn a_captured_trace_tells_tokens_tools_and_durations_and_no_content() {
    let mut pipeline = Pipeline::new();
    pipeline.send(Signal::Traces, Encoding::Json, &fixture("claude-http-json-traces.json"));
    let trace = pipeline.all().remove(0);
    assert_eq!(trace.trace.session.as_deref(), Some(format!("claude-code:{SESSION}").as_str()));
    assert_eq!(trace.trace.services, ["claude-code"]);
    assert_eq!(trace.trace.models, ["claude-opus-5-5"]);
    let tokens = trace.trace.tokens.unwrap();
    assert_eq!((tokens.input, tokens.output, tokens.cache_read), (10, 76, 12_500));
    assert_eq!(tokens.cache_write_5m + tokens.cache_write_1h, 12_620, "writes apart from reads");
    assert!(trace.trace.cost_usd.unwrap() > 0.0, "by the price table");
    assert_eq!(trace.trace.duration_us, trace.spans[0].duration_us, "the root spans all of it");
    let tool = trace.spans.iter().find(|s| s.name == "claude_code.tool").unwrap();
    assert_eq!((tool.tool.as_deref(), tool.duration_us), (Some("Bash"), 52_934));
    let text = format!("{trace:?}");
    for content in ["Please script smoke", "\"ls\"", "user.id", "full_command"] {
        assert!(!text.contains(content), "{content} is kept: {text}");
    }
    assert!(text.contains("tool_use_id"), "what joins it to a call is");
}

#[test]
fn subagents_hang_under_the_call_that_began_them_although_they_come_after_the_root() {
    let mut pipeline = Pipeline::new();
    pipeline.send(Signal::Traces, Encoding::Json, &fixture("claude-agents-traces-1.json"));
    let first = pipeline.all();
    pipeline.send(Signal::Traces, Encoding::Json, &fixture("claude-agents-traces-2.json"));
    let nested = pipeline.trace(&first_id(&first));
    assert!(nested.spans.iter().all(|s| !s.is_orphan), "{}", tree(&nested));
    assert!(nested.spans.iter().any(|s| s.depth >= 6), "a subagent of a subagent: {}", tree(&nested));
    let orphans = first.iter().flat_map(|t| &t.spans).filter(|s| s.is_orphan).count();
    assert_eq!(orphans, 1, "whose parent had not come yet");
}

/// The trace with the most spans.
fn first_id(traces: &[Trace]) -> String {
    traces.iter().max_by_key(|t| t.trace.spans).unwrap().trace.trace_id.clone()
}

#[test]
fn children_before_parents_a_late_root_and_none_at_all() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let child = span((1, 2, 1), "chat", (at + 10, at + 500), &chat("claude-opus-5-5", 1_000, 200));
    pipeline.json(Signal::Traces, &spans(&service(), std::slice::from_ref(&child)));
    let before = pipeline.trace(&trace_id(1));
    assert!(!before.trace.has_root && before.spans[0].is_orphan);
    assert_eq!((before.trace.name.as_str(), before.trace.started_at_ms), ("chat", at + 10));
    let root = span((1, 1, 0), "POST /answer", (at, at + 900), &json!({}));
    pipeline.json(Signal::Traces, &spans(&service(), &[root]));
    let after = pipeline.trace(&trace_id(1));
    assert!(after.trace.has_root && !after.spans[1].is_orphan);
    assert_eq!((after.trace.name.as_str(), after.trace.kind), ("POST /answer", SpanKind::Other));
    assert_eq!((after.trace.started_at_ms, after.trace.duration_us, after.trace.spans), (at, 900_000, 2));
    assert_eq!((after.spans[1].start_us, after.spans[1].duration_us), (10_000, 490_000));
    assert_eq!(after.spans[1].parent_span_id.as_deref(), Some(span_id(1).as_str()));
}

#[test]
fn circles_zero_durations_ends_before_begins_and_missing_times_are_harmless() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let none = json!({});
    let mut timeless = span((1, 5, 0), "timeless", (at, at), &none);
    timeless["startTimeUnixNano"] = json!(0);
    timeless["endTimeUnixNano"] = json!(0);
    let all = [
        span((1, 1, 2), "a", (at, at + 1), &none),
        span((1, 2, 1), "b", (at + 1, at + 2), &none),
        span((1, 3, 3), "its own parent", (at + 2, at + 2), &none),
        span((1, 4, 1), "backwards", (at + 9, at + 3), &none),
        timeless,
    ];
    pipeline.json(Signal::Traces, &spans(&service(), &all));
    let trace = pipeline.trace(&trace_id(1));
    assert_eq!((trace.spans.len(), trace.trace.spans), (5, 5), "{}", tree(&trace));
    let backwards = trace.spans.iter().find(|s| s.name == "backwards").unwrap();
    assert_eq!((backwards.duration_us, backwards.depth), (0, 1));
    assert!(trace.spans.iter().all(|s| !s.is_orphan || s.name != "a"), "its parent is there");
}

#[test]
fn a_trace_beyond_what_is_shown_says_how_much_is_cut() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let many: Vec<Value> = (0..2_500i64)
        .map(|n| {
            let mut s = span((1, 1, 0), "step", (at + n, at + n + 1), &json!({}));
            s["spanId"] = json!(format!("{:016x}", n + 1));
            s["parentSpanId"] = json!(if n == 0 { String::new() } else { format!("{:016x}", 1) });
            s
        })
        .collect();
    for part in many.chunks(512) {
        pipeline.json(Signal::Traces, &spans(&service(), part));
    }
    let trace = pipeline.trace(&trace_id(1));
    assert_eq!((trace.spans.len(), trace.cut, trace.trace.spans), (2_000, 500, 2_500));
    assert_eq!(trace.spans[1_999].start_us, 1_999_000, "the earliest are shown");
}

#[test]
fn ids_that_are_none_are_not_stored_and_never_shared() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let mut zero = span((0, 1, 0), "no trace", (at, at + 1), &json!({}));
    let mut short = span((1, 1, 0), "short", (at, at + 1), &json!({}));
    short["traceId"] = json!("abcd");
    zero["spanId"] = json!(span_id(7));
    let partial = pipeline.json(Signal::Traces, &spans(&service(), &[zero, short]));
    assert_eq!(partial.rejected, 0);
    assert!(pipeline.all().is_empty());
    assert_eq!(pipeline.status().services[0].calls, 2, "the service did serve them");
}

#[test]
fn content_credentials_and_long_texts_are_not_kept_and_names_are_clean() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let secret = "SECRET-CONTENT";
    let of = json!({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": secret,
        "gen_ai.prompt.0.content": secret, "output.value": secret, "llm.input_messages.0.message.content": secret,
        "tool.parameters": secret, "retrieval.documents.0.document.content": secret, "db.query.text": secret,
        "http.request.header.authorization": secret, "url.full": secret, "user.email": secret, "ai.prompt": secret,
        "gen_ai.usage.input_tokens": 5, "http.response.status_code": 200, "server.address": "db.internal",
        "gen_ai.agent.name": format!("a\u{202e}\u{1b}[31m<b>{}", "x".repeat(2_000)),
    });
    let mut s = span((1, 1, 0), "name\u{202e}\u{7}'; DROP TABLE spans;--", (at, at + 1), &of);
    s["status"] = json!({"code": 2, "message": format!("line one\nline \u{202e}two {}", "y".repeat(1_000))});
    s["events"] = json!([{"name": "exception", "attributes": [{"key": "exception.message", "value": {"stringValue": secret}}]}]);
    pipeline.json(Signal::Traces, &spans(&service(), &[s]));
    let trace = pipeline.trace(&trace_id(1));
    let text = format!("{trace:?}");
    assert!(!text.contains(secret), "{text}");
    let shown = &trace.spans[0];
    let value = |key: &str| shown.attributes.iter().find(|a| a.key == key).map(|a| a.value.clone());
    assert_eq!(value("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(value("server.address").as_deref(), Some("db.internal"));
    assert_eq!(value("gen_ai.agent.name").unwrap().chars().count(), 300);
    assert_eq!(shown.name, "name'; DROP TABLE spans;--");
    assert!(shown.message.as_ref().unwrap().starts_with("line one line two yyy"));
    assert!(shown.message.as_ref().unwrap().chars().count() <= 300);
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'));
    assert_eq!(shown.is_error, Some(true));
}

#[test]
fn attributes_are_bounded() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let of: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("k{n:03}"), json!("v".repeat(1_000)))).collect();
    pipeline
        .json(Signal::Traces, &spans(&service(), &[span((1, 1, 0), "s", (at, at + 1), &Value::Object(of))]));
    let trace = pipeline.trace(&trace_id(1));
    assert_eq!(trace.spans[0].attributes.len(), 64);
    assert!(trace.spans[0].attributes.iter().all(|a| a.value.chars().count() <= 300));
}

#[test]
fn traces_are_listed_by_begin_in_pages_of_a_service_or_a_session() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 600_000;
    let other = json!({"service.name": "billing-bot", "service.namespace": "staging"});
    for (n, resource) in [(1u8, service()), (2, other.clone()), (3, service()), (4, other)] {
        let from = at + i64::from(n) * 1_000;
        pipeline
            .json(Signal::Traces, &spans(&resource, &[span((n, n, 0), "s", (from, from + 1), &json!({}))]));
    }
    // An earlier span that comes late moves its trace back.
    pipeline.json(Signal::Traces, &spans(&service(), &[span((3, 9, 3), "late", (at, at + 1), &json!({}))]));
    let of = |namespace| TraceFilter { service: Some("billing-bot"), namespace, session: None };
    let ids = |numbers: &[u8]| numbers.iter().map(|n| trace_id(*n)).collect::<Vec<_>>();
    assert_eq!(pipeline.listed(TraceFilter::default()), ids(&[4, 2, 1, 3]));
    assert_eq!(pipeline.listed(of(None)), ids(&[4, 2, 1, 3]));
    assert_eq!(pipeline.listed(of(Some("harbor"))), ids(&[1, 3]));
    assert_eq!(pipeline.listed(of(Some("nowhere"))), ids(&[]));
    let page = pipeline.core.traces(TraceFilter::default(), 3).unwrap();
    assert_eq!(page.traces.len(), 3);
    assert!(page.next.is_some());
    let detail = pipeline.core.service("billing-bot", Some("harbor"), pipeline.now).unwrap().unwrap();
    assert_eq!((detail.traces_total, detail.traces.len()), (2, 2));
    assert!(pipeline.core.service("unheard-of", None, pipeline.now).unwrap().is_none());
}

#[test]
fn a_services_page_sums_models_and_operations_of_the_last_day() {
    let mut pipeline = Pipeline::new();
    let at = pipeline.now.0 - 60_000;
    let day_ago = pipeline.now.0 - 30 * 3_600_000;
    let mut failed =
        span((1, 4, 1), "lookup", (at, at + 30), &json!({"gen_ai.operation.name": "execute_tool"}));
    failed["status"] = json!({"code": 2});
    let all = [
        span((1, 1, 0), "answer", (at, at + 1_000), &json!({"gen_ai.operation.name": "invoke_agent"})),
        span((1, 2, 1), "chat", (at, at + 100), &chat("claude-opus-5-5", 1_000_000, 0)),
        span((1, 3, 1), "chat", (at, at + 200), &chat("claude-haiku-4-5", 1_000_000, 0)),
        failed,
        span((2, 1, 0), "answer", (day_ago, day_ago + 5), &json!({})),
    ];
    pipeline.json(Signal::Traces, &spans(&service(), &all));
    let detail = pipeline.core.service("billing-bot", Some("harbor"), pipeline.now).unwrap().unwrap();
    let models: Vec<&str> = detail.models.iter().map(|m| m.model.as_str()).collect();
    assert_eq!(models, ["claude-opus-5-5", "claude-haiku-4-5"], "the dearest first");
    assert!(detail.models[0].cost_usd.unwrap() > detail.models[1].cost_usd.unwrap());
    let operations: Vec<_> =
        detail.operations.iter().map(|o| (o.name.as_str(), o.kind, o.calls, o.errors)).collect();
    assert_eq!(
        operations,
        [("chat", SpanKind::Llm, 2, 0), ("answer", SpanKind::Agent, 1, 0), ("lookup", SpanKind::Tool, 1, 1)]
    );
    let chat = &detail.operations[0];
    assert!(chat.p50_ms.unwrap().abs_diff(100) <= 13 && chat.p95_ms.unwrap().abs_diff(200) <= 25, "{chat:?}");
    assert_eq!(detail.traces_total, 2);
}

#[test]
fn a_call_told_by_a_log_record_is_the_same_span_when_that_comes() {
    let at = Pipeline::new().now.0 - 60_000;
    let mut record = json!({"timeUnixNano": ((at + 900) * 1_000_000).to_string(), "traceId": trace_id(1), "spanId": span_id(2),
        "eventName": "gen_ai.client.inference.operation.details"});
    record["attributes"] = otlp_support::attributes(&chat("claude-opus-5-5", 1_000, 200));
    let told = span((1, 2, 1), "chat opus", (at, at + 800), &chat("claude-opus-5-5", 1_000, 200));
    let bodies = [(Signal::Logs, logs(&service(), &[record])), (Signal::Traces, spans(&service(), &[told]))];
    let mut results = Vec::new();
    for order in [[0, 1], [1, 0]] {
        let mut pipeline = Pipeline::new();
        for at in order {
            pipeline.json(bodies[at].0, &bodies[at].1);
        }
        let trace = pipeline.trace(&trace_id(1));
        assert_eq!((trace.trace.spans, trace.spans[0].name.as_str()), (1, "chat opus"));
        assert_eq!(trace.trace.tokens.unwrap().output, 200, "once");
        results.push(trace);
    }
    assert_eq!(results[0], results[1]);
}

/// A span of a small world: two traces, eight ids, and copies of one span that say less or more.
fn any_span() -> impl Strategy<Value = Value> {
    let ids = (1u8..3, 1u8..9, 0u8..9);
    let times = (0i64..1_000, prop::option::of(0i64..1_000));
    let model =
        prop::option::of(prop::sample::select(vec!["claude-opus-5-5", "claude-haiku-4-5", "unheard-of"]));
    let more = (
        model,
        0u64..3_000,
        prop::option::of(0u64..9),
        0u8..3,
        prop::option::of("[a-c]{1,3}"),
        any::<bool>(),
    );
    (ids, times, more).prop_map(|(ids, (from, took), (model, tokens, cost, status, extra, is_tool))| {
        const AT: i64 = 1_795_000_000_000;
        let mut of = json!({});
        if let Some(model) = model {
            of = chat(model, tokens, tokens / 3);
            if let Some(cost) = cost {
                of["gen_ai.usage.cost"] = json!(cost as f64 / 1_000.0);
            }
        } else if is_tool {
            of = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": format!("tool-{tokens}")});
        }
        if let Some(extra) = extra {
            of[format!("app.{extra}")] = json!(extra.repeat(2));
        }
        let to = took.map_or(0, |ms| AT + from + ms);
        let name = format!("span {}", tokens % 4);
        let mut s = span(ids, &name, (AT + from, to), &of);
        s["status"] = json!({"code": status});
        s
    })
}

/// The sums of a list of traces by a second way: from the spans that are shown.
fn oracle(trace: &Trace) -> (u32, u32, Option<u64>, Vec<String>, u64) {
    let spans = &trace.spans;
    let failed = spans.iter().filter(|s| s.is_error == Some(true)).count();
    let tokens: Vec<u64> = spans.iter().filter_map(|s| s.tokens).map(|t| t.input + t.output).collect();
    let mut models: Vec<String> =
        spans.iter().filter(|s| s.kind == SpanKind::Llm).filter_map(|s| s.model.clone()).collect();
    models.sort();
    models.dedup();
    let last = spans.iter().map(|s| s.start_us + s.duration_us).max().unwrap_or(0);
    (
        u32::try_from(spans.len()).unwrap(),
        u32::try_from(failed).unwrap(),
        (!tokens.is_empty()).then(|| tokens.iter().sum()),
        models,
        last,
    )
}

proptest! {
    #![proptest_config(cases::config(60))]

    #[test]
    fn any_split_order_and_repetition_gives_the_same_spans_and_sums(
        all in prop::collection::vec(any_span(), 1..24),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        cut in 1usize..7,
    ) {
        let mut once = Pipeline::new();
        once.now = lamplight_model::ids::Timestamp(1_795_000_100_000);
        once.json(Signal::Traces, &spans(&service(), &all));
        let mut shuffled: Vec<Value> = all.clone();
        shuffled.extend(order.iter().map(|i| i.get(&all).clone()));
        let n = shuffled.len();
        for (i, index) in order.iter().enumerate() {
            shuffled.swap(i % n, index.index(n));
        }
        let mut other = Pipeline::new();
        other.now = once.now;
        for part in shuffled.chunks(cut) {
            other.json(Signal::Traces, &spans(&service(), part));
        }
        let (first, second) = (once.all(), other.all());
        prop_assert_eq!(&first, &second);
        for trace in &first {
            let t = &trace.trace;
            let tokens = t.tokens.map(|t| t.input + t.output);
            let (spans, errors, expected, models, last) = oracle(trace);
            prop_assert_eq!((t.spans, t.errors, tokens, &t.models), (spans, errors, expected, &models));
            // A copy without an end says that its span was there when it began, which a later copy may put earlier.
            let all_end = all.iter().all(|s| s["endTimeUnixNano"] != "0");
            prop_assert!(if all_end { t.duration_us == last } else { t.duration_us >= last }, "{:?}", t);
            let calls = trace.spans.iter().filter(|s| s.kind == SpanKind::Llm);
            let known: f64 = calls.filter_map(|s| s.cost_usd).sum();
            if let Some(cost) = t.cost_usd {
                prop_assert!((cost - known).abs() < 1e-6, "{} {}", cost, known);
            }
        }
        let page = |p: &Pipeline| {
            let mut all = p.core.service("billing-bot", Some("harbor"), p.now).unwrap().unwrap().operations;
            // A span that came under another name first has left its moment there.
            all.iter_mut().for_each(|o| o.last_at_ms = 0);
            all
        };
        prop_assert_eq!(page(&once), page(&other));
    }
}
