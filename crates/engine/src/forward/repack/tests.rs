//! Oracles: OpenTelemetry's own Rust types for what a message says, and the fixtures' texts for what must not be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyOf;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1 as m;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as t;
use prost::Message as _;
use serde_json::Value;

use super::*;

fn attribute(key: &str, value: AnyOf) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, AnyOf::StringValue(value.to_owned()))
}

fn all_kinds() -> Vec<KeyValue> {
    let any = |value| AnyValue { value: Some(value) };
    vec![
        text("order.id", "ab-12"),
        attribute("is_paid", AnyOf::BoolValue(true)),
        attribute("items", AnyOf::IntValue(-9_007_199_254_740_993)),
        attribute("share", AnyOf::DoubleValue(0.25)),
        attribute(
            "list",
            AnyOf::ArrayValue(ArrayValue {
                values: vec![any(AnyOf::IntValue(1)), any(AnyOf::StringValue("b".into()))],
            }),
        ),
        attribute("map", AnyOf::KvlistValue(KeyValueList { values: vec![text("inner", "two words")] })),
        attribute("bytes", AnyOf::BytesValue(vec![0, 255, 7])),
    ]
}

fn resource() -> Option<Resource> {
    Some(Resource {
        attributes: vec![text("service.name", "shop")],
        dropped_attributes_count: 2,
        ..Resource::default()
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "shop.orders".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![text("k", "v")],
        dropped_attributes_count: 1,
    })
}

fn logs(records: Vec<LogRecord>) -> Logs {
    Logs {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs { scope: scope(), log_records: records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

fn full_log() -> LogRecord {
    LogRecord {
        time_unix_nano: 1_795_176_700_000_000_001,
        observed_time_unix_nano: 1_795_176_700_000_000_002,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Some(AnyValue { value: Some(AnyOf::StringValue("could not ship the order".to_owned())) }),
        attributes: all_kinds(),
        dropped_attributes_count: 3,
        flags: 1,
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        event_name: "order.failed".to_owned(),
    }
}

fn traces() -> Traces {
    let span = t::Span {
        trace_id: (1..=16).collect(),
        span_id: (1..=8).collect(),
        trace_state: "vendor=1".to_owned(),
        parent_span_id: (11..=18).collect(),
        flags: 257,
        name: "POST /orders".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_795_176_700_000_000_000,
        end_time_unix_nano: 1_795_176_700_250_000_000,
        attributes: all_kinds(),
        dropped_attributes_count: 1,
        events: vec![t::span::Event {
            time_unix_nano: 1_795_176_700_100_000_000,
            name: "exception".to_owned(),
            attributes: vec![
                text("exception.message", "no such order: 12"),
                text("exception.type", "KeyError"),
            ],
            dropped_attributes_count: 1,
        }],
        dropped_events_count: 2,
        links: vec![t::span::Link {
            trace_id: (21..=36).collect(),
            span_id: (21..=28).collect(),
            trace_state: "other=2".to_owned(),
            attributes: vec![text("why", "b")],
            dropped_attributes_count: 1,
            flags: 1,
        }],
        dropped_links_count: 4,
        status: Some(t::Status { message: "no such order: 12".to_owned(), code: 2 }),
    };
    Traces {
        resource_spans: vec![t::ResourceSpans {
            resource: resource(),
            scope_spans: vec![t::ScopeSpans {
                scope: scope(),
                spans: vec![span],
                ..t::ScopeSpans::default()
            }],
            ..t::ResourceSpans::default()
        }],
    }
}

fn metrics() -> Metrics {
    let (start, time) = (1_795_176_700_000_000_000, 1_795_176_760_000_000_000);
    let attributes = || vec![text("region", "eu-west-1")];
    let exemplar = m::Exemplar {
        filtered_attributes: vec![text("order.note", "leave it at the door")],
        time_unix_nano: time,
        value: Some(m::exemplar::Value::AsDouble(1.5)),
        span_id: (1..=8).collect(),
        trace_id: (1..=16).collect(),
    };
    let number = |value| m::NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(value),
        exemplars: vec![exemplar.clone()],
        flags: 1,
    };
    let metric = |name: &str, data| m::Metric {
        name: name.to_owned(),
        description: "What it is.".to_owned(),
        unit: "By".to_owned(),
        data: Some(data),
        ..m::Metric::default()
    };
    use m::metric::Data;
    use m::number_data_point::Value::{AsDouble, AsInt};
    let all = vec![
        metric(
            "a.gauge",
            Data::Gauge(m::Gauge { data_points: vec![number(AsDouble(-0.5)), number(AsInt(-3))] }),
        ),
        metric(
            "a.sum",
            Data::Sum(m::Sum {
                data_points: vec![number(AsInt(7))],
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
        ),
        metric(
            "a.histogram",
            Data::Histogram(m::Histogram {
                data_points: vec![m::HistogramDataPoint {
                    attributes: attributes(),
                    start_time_unix_nano: start,
                    time_unix_nano: time,
                    count: 6,
                    sum: Some(12.5),
                    bucket_counts: vec![1, 2, 3],
                    explicit_bounds: vec![0.5, 10.0],
                    exemplars: vec![exemplar.clone()],
                    flags: 0,
                    min: Some(0.1),
                    max: Some(11.0),
                }],
                aggregation_temporality: 1,
            }),
        ),
        metric(
            "a.exponential",
            Data::ExponentialHistogram(m::ExponentialHistogram {
                data_points: vec![m::ExponentialHistogramDataPoint {
                    attributes: attributes(),
                    start_time_unix_nano: start,
                    time_unix_nano: time,
                    count: 9,
                    sum: Some(3.25),
                    scale: -2,
                    zero_count: 1,
                    positive: Some(m::exponential_histogram_data_point::Buckets {
                        offset: -4,
                        bucket_counts: vec![1, 300],
                    }),
                    negative: Some(m::exponential_histogram_data_point::Buckets {
                        offset: 4,
                        bucket_counts: vec![2],
                    }),
                    flags: 0,
                    exemplars: vec![exemplar],
                    min: Some(-1.0),
                    max: Some(2.0),
                    zero_threshold: 0.001,
                }],
                aggregation_temporality: 2,
            }),
        ),
        metric(
            "a.summary",
            Data::Summary(m::Summary {
                data_points: vec![m::SummaryDataPoint {
                    attributes: attributes(),
                    start_time_unix_nano: start,
                    time_unix_nano: time,
                    count: 4,
                    sum: 8.5,
                    quantile_values: vec![m::summary_data_point::ValueAtQuantile {
                        quantile: 0.5,
                        value: 2.0,
                    }],
                    flags: 0,
                }],
            }),
        ),
    ];
    Metrics {
        resource_metrics: vec![m::ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![m::ScopeMetrics {
                scope: scope(),
                metrics: all,
                ..m::ScopeMetrics::default()
            }],
            ..m::ResourceMetrics::default()
        }],
    }
}

fn only(parts: Vec<Part>) -> Vec<u8> {
    assert_eq!(parts.len(), 1);
    parts.into_iter().next().unwrap().body
}

#[test]
fn with_content_every_field_goes_on_from_protobuf_and_from_json() {
    fn check<T>(signal: Signal, request: &T)
    where
        T: prost::Message + Default + PartialEq + serde::Serialize + std::fmt::Debug,
    {
        let from_protobuf = only(repack(signal, Encoding::Protobuf, &request.encode_to_vec(), true));
        assert_eq!(&T::decode(from_protobuf.as_slice()).unwrap(), request);
        let json = serde_json::to_vec(request).unwrap();
        let from_json = only(repack(signal, Encoding::Json, &json, true));
        assert_eq!(&T::decode(from_json.as_slice()).unwrap(), request, "{}", String::from_utf8_lossy(&json));
    }
    check(Signal::Logs, &logs(vec![full_log(), LogRecord::default()]));
    check(Signal::Traces, &traces());
    check(Signal::Metrics, &metrics());
}

#[test]
fn without_content_what_was_said_goes_and_what_was_measured_stays() {
    let body = only(repack(Signal::Logs, Encoding::Protobuf, &logs(vec![full_log()]).encode_to_vec(), false));
    let got = Logs::decode(body.as_slice()).unwrap();
    let record = &got.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.body, None);
    let keys: Vec<&str> = record.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["order.id", "is_paid", "items", "share", "list"]);
    assert_eq!(record.dropped_attributes_count, 5, "what was taken out is counted as dropped");
    let same = LogRecord {
        body: None,
        attributes: record.attributes.clone(),
        dropped_attributes_count: 5,
        ..full_log()
    };
    assert_eq!(*record, same);

    let body = only(repack(Signal::Traces, Encoding::Protobuf, &traces().encode_to_vec(), false));
    let got = Traces::decode(body.as_slice()).unwrap();
    let span = &got.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.status, Some(t::Status { message: String::new(), code: 2 }));
    assert_eq!(span.events[0].attributes, [text("exception.type", "KeyError")]);
    assert_eq!(
        (span.name.as_str(), span.trace_state.as_str(), span.links.len()),
        ("POST /orders", "vendor=1", 1)
    );

    let body = only(repack(Signal::Metrics, Encoding::Protobuf, &metrics().encode_to_vec(), false));
    let got = Metrics::decode(body.as_slice()).unwrap();
    let mut expected = metrics();
    for metric in &mut expected.resource_metrics[0].scope_metrics[0].metrics {
        metric.description.clear();
        use m::metric::Data;
        let exemplars: Vec<&mut m::Exemplar> = match metric.data.as_mut().unwrap() {
            Data::Gauge(g) => g.data_points.iter_mut().flat_map(|p| &mut p.exemplars).collect(),
            Data::Sum(s) => s.data_points.iter_mut().flat_map(|p| &mut p.exemplars).collect(),
            Data::Histogram(h) => h.data_points.iter_mut().flat_map(|p| &mut p.exemplars).collect(),
            Data::ExponentialHistogram(h) => {
                h.data_points.iter_mut().flat_map(|p| &mut p.exemplars).collect()
            }
            Data::Summary(_) => Vec::new(),
        };
        exemplars.into_iter().for_each(|e| e.filtered_attributes.clear());
    }
    assert_eq!(got, expected, "every number is as it was measured");
}

#[test]
fn fields_of_a_later_otlp_pass_with_content_only() {
    let secret = b"a field nobody knows";
    let mut record = full_log().encode_to_vec();
    field(99, secret, &mut record);
    let (mut scope, mut group, mut body) = (Vec::new(), Vec::new(), Vec::new());
    field(2, &record, &mut scope);
    field(2, &scope, &mut group);
    field(1, &group, &mut body);
    let holds = |content| {
        let body = only(repack(Signal::Logs, Encoding::Protobuf, &body, content));
        body.windows(secret.len()).any(|w| w == secret)
    };
    assert!(holds(true) && !holds(false));
}

#[test]
fn large_requests_go_on_in_parts_that_collectors_take_and_nothing_is_lost() {
    let records: Vec<LogRecord> = (0..6_000)
        .map(|n| LogRecord {
            time_unix_nano: n,
            attributes: vec![text("blob", &"x".repeat(900))],
            ..LogRecord::default()
        })
        .collect();
    let body = logs(records).encode_to_vec();
    assert!(body.len() > 5_000_000);
    let parts = repack(Signal::Logs, Encoding::Protobuf, &body, true);
    assert!(parts.len() > 4, "{}", parts.len());
    let mut times = Vec::new();
    for part in &parts {
        assert!(part.body.len() < 4 * 1024 * 1024);
        let got = Logs::decode(part.body.as_slice()).unwrap();
        assert_eq!(got.resource_logs[0].resource, resource());
        let records = &got.resource_logs[0].scope_logs[0].log_records;
        assert_eq!(records.len(), part.records as usize);
        times.extend(records.iter().map(|r| r.time_unix_nano));
    }
    assert_eq!(times, (0..6_000).collect::<Vec<u64>>());
}

#[test]
fn what_cannot_be_read_is_left_out_alone() {
    let good = full_log().encode_to_vec();
    let (mut scope, mut group, mut body) = (Vec::new(), Vec::new(), Vec::new());
    for record in [&good[..], b"\x0a\xff", &good[..]] {
        field(2, record, &mut scope);
    }
    field(2, &scope, &mut group);
    field(1, &group, &mut body);
    let parts = repack(Signal::Logs, Encoding::Protobuf, &body, true);
    assert_eq!((parts.len(), parts[0].records), (1, 2));
    for (encoding, body) in
        [(Encoding::Protobuf, &b"\xff"[..]), (Encoding::Json, b"{"), (Encoding::Json, b"{}")]
    {
        assert_eq!(repack(Signal::Logs, encoding, body, false), []);
    }
}

/// Keys under which the clients write what was asked, answered, called or printed; from what each documents and from
/// reading the bodies, apart from the rules.
const SAID: &[&str] = &[
    "arguments",
    "bash_argv0",
    "bash_command",
    "error",
    "error.message",
    "file_path",
    "full_command",
    "function_args",
    "gen_ai.agent.description",
    "gen_ai.completion",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "hook_input",
    "hook_output",
    "metadata",
    "output",
    "process.command",
    "process.command_args",
    "process.executable.path",
    "prompt",
    "prompt_text",
    "reasoning",
    "request_text",
    "response",
    "response_text",
    "routing.reasoning",
    "stderr",
    "stdout",
    "tool_input",
    "tool_parameters",
    "user_prompt",
];

/// Texts of a body: those that were said, and all others.
#[derive(Default)]
struct Texts {
    said: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Texts {
    /// Takes a text apart, when it is JSON itself: `{"command":"ls"}` says `ls`.
    fn say(&mut self, text: &str) {
        match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.leaves(&inner),
            _ => drop(self.said.insert(text.to_owned())),
        }
    }

    fn leaves(&mut self, value: &Value) {
        match value {
            Value::String(text) => drop(self.said.insert(text.clone())),
            Value::Array(all) => all.iter().for_each(|v| self.leaves(v)),
            // The kind of a subagent is told under names of its own as well, alone and within `query_source`.
            Value::Object(all) => {
                all.iter().filter(|(key, _)| *key != "subagent_type").for_each(|(_, v)| self.leaves(v));
            }
            _ => {}
        }
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|v| self.walk(v)),
            Value::Object(all) => {
                if let (Some(key), Some(value)) = (all.get("key").and_then(Value::as_str), all.get("value")) {
                    let texts = strings(value);
                    // `"role":"model"` within an answer is no secret that the name of an attribute gives away.
                    self.others.insert(key.to_owned());
                    if SAID.contains(&key) {
                        texts.iter().for_each(|text| self.say(text));
                    } else {
                        self.others.extend(texts);
                    }
                    return;
                }
                for (name, value) in all {
                    match (name.as_str(), value) {
                        ("body", body) => {
                            for text in strings(body).iter().filter(|text| text.contains(' ')) {
                                self.say(text);
                            }
                        }
                        ("status", Value::Object(status)) => {
                            if let Some(message) = status.get("message").and_then(Value::as_str) {
                                self.say(message);
                            }
                        }
                        (_, Value::String(text)) => drop(self.others.insert(text.clone())),
                        _ => self.walk(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Every text within a value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::Object(all) => all.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// A body of a real client.
struct Captured {
    path: PathBuf,
    signal: Signal,
    encoding: Encoding,
    body: Vec<u8>,
}

impl Captured {
    fn agent(&self) -> String {
        let name = self.path.to_string_lossy().into_owned();
        ["claude", "codex", "gemini"].into_iter().find(|a| name.contains(a)).unwrap_or("other").to_owned()
    }

    /// As JSON, by OpenTelemetry's own types where it is protobuf.
    fn json(&self) -> Value {
        match (self.encoding, self.signal) {
            (Encoding::Json, _) => serde_json::from_slice(&self.body).unwrap(),
            (_, Signal::Logs) => serde_json::to_value(Logs::decode(&self.body[..]).unwrap()).unwrap(),
            (_, Signal::Traces) => serde_json::to_value(Traces::decode(&self.body[..]).unwrap()).unwrap(),
            (_, Signal::Metrics) => serde_json::to_value(Metrics::decode(&self.body[..]).unwrap()).unwrap(),
        }
    }
}

/// The fixtures; with `LAMPLIGHT_TEST_CAPTURES` every body below that folder as well.
fn captured() -> Vec<Captured> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut folders = vec![fixtures.join("forward"), fixtures.join("otlp")];
    folders.extend(std::env::var_os("LAMPLIGHT_TEST_CAPTURES").map(PathBuf::from));
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            let encoding = match extension {
                "json" => Encoding::Json,
                "pb" => Encoding::Protobuf,
                _ => {
                    if path.is_dir() {
                        folders.push(path);
                    }
                    continue;
                }
            };
            let body = std::fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let signal = match encoding {
                Encoding::Json => {
                    let Ok(Value::Object(request)) = serde_json::from_slice::<Value>(&body) else { continue };
                    let keys = [
                        ("resourceLogs", Signal::Logs),
                        ("resourceSpans", Signal::Traces),
                        ("resourceMetrics", Signal::Metrics),
                    ];
                    let Some((_, signal)) = keys.into_iter().find(|(key, _)| request.contains_key(*key))
                    else {
                        continue;
                    };
                    signal
                }
                // By its name where it has one, else by what reads it.
                Encoding::Protobuf if name.contains("trace") => Signal::Traces,
                Encoding::Protobuf if name.contains("metric") => Signal::Metrics,
                Encoding::Protobuf if Logs::decode(&body[..]).is_ok() => Signal::Logs,
                Encoding::Protobuf if Traces::decode(&body[..]).is_ok() => Signal::Traces,
                Encoding::Protobuf => Signal::Metrics,
            };
            all.push(Captured { path, signal, encoding, body });
        }
    }
    all
}

/// Whether a text is there: as a value, or anywhere within one. A short or single word counts only by itself: `install`
/// is not in `installation.id`.
fn holds(body: &[u8], text: &str) -> bool {
    // The field's key and its length stand before a value.
    let as_value = u8::try_from(text.len()).is_ok_and(|length| {
        let field = [&[0x0a, length], text.as_bytes()].concat();
        body.windows(field.len()).any(|window| window == field)
    });
    let is_end = |byte: Option<&u8>| byte.is_none_or(|b| !b.is_ascii_alphanumeric());
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric());
    as_value
        || text.len() > 5
            && (0..body.len()).any(|at| {
                body[at..].starts_with(text.as_bytes())
                    && (!is_word
                        || is_end(at.checked_sub(1).and_then(|before| body.get(before)))
                            && is_end(body.get(at + text.len())))
            })
}

#[test]
fn nothing_that_was_said_leaves_in_any_captured_body() {
    let (mut bodies, mut said) = (0, 0);
    for captured in captured() {
        let Captured { path, signal, encoding, body } = &captured;
        let mut texts = Texts::default();
        texts.walk(&captured.json());
        let parts = repack(*signal, *encoding, body, false);
        bodies += 1;
        for part in parts {
            for text in texts.said.difference(&texts.others).filter(|text| !text.trim().is_empty()) {
                said += 1;
                assert!(!holds(&part.body, text), "{}: {text:?}", path.display());
            }
        }
    }
    assert!(bodies >= 40 && said >= 200, "{bodies} bodies, {said} texts");
}

#[test]
fn every_captured_record_goes_on_and_what_is_left_of_it_is_what_was_reviewed() {
    let mut kept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/forward");
    for captured in captured().into_iter().filter(|c| c.path.starts_with(&fixtures)) {
        let records = |value: &Value| -> usize {
            let mut stack = vec![value.clone()];
            let mut found = 0;
            while let Some(value) = stack.pop() {
                let Value::Object(all) = value else { continue };
                for (name, value) in all {
                    let Value::Array(list) = value else { continue };
                    if matches!(name.as_str(), "logRecords" | "spans" | "metrics") {
                        found += list.len();
                    } else {
                        stack.extend(list);
                    }
                }
            }
            found
        };
        let sent = records(&captured.json());
        let parts = repack(captured.signal, captured.encoding, &captured.body, false);
        assert_eq!(
            parts.iter().map(|p| p.records as usize).sum::<usize>(),
            sent,
            "{}",
            captured.path.display()
        );
        let agent = captured.agent();
        for part in parts {
            let part = Captured {
                path: captured.path.clone(),
                signal: captured.signal,
                encoding: Encoding::Protobuf,
                body: part.body,
            };
            let mut stack = vec![part.json()];
            while let Some(value) = stack.pop() {
                match value {
                    Value::Array(all) => stack.extend(all),
                    Value::Object(all) => {
                        if let (Some(Value::String(key)), Some(value)) = (all.get("key"), all.get("value"))
                            && (value.get("stringValue").is_some() || value.get("arrayValue").is_some())
                        {
                            kept.entry(agent.clone()).or_default().insert(key.clone());
                        }
                        stack.extend(all.into_iter().map(|(_, value)| value));
                    }
                    _ => {}
                }
            }
        }
    }
    insta::assert_json_snapshot!(kept);
}
