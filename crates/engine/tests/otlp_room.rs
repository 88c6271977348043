//! Room for raw telemetry: the bound of the database, and a disk that is nearly full.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod otlp_support;

use lamplight_engine::config::Limits;
use lamplight_engine::core::Core;
use lamplight_engine::facts::Input;
use lamplight_engine::sources::otlp::{Encoding, Signal, decode};
use lamplight_engine::store::Store;
use lamplight_engine::{Engine, IngestError, TraceFilter, clock};
use lamplight_model::ids::Timestamp;
use lamplight_model::view::SourceHealth;
use serde_json::{Value, json};

use otlp_support::{chat, config, service, span, spans};

/// Many traces of 20 spans, each with a call of a session.
fn many(now: Timestamp, from: u32, traces: u32) -> Value {
    let mut all = Vec::new();
    for trace in from..from + traces {
        for n in 1..=20u8 {
            let at = now.0 - 600_000 + i64::from(trace);
            let mut of = chat("claude-opus-5-5", 10, 5);
            of["session.id"] = json!("c");
            of["app.note"] = json!("x".repeat(200));
            let mut one = span((1, n, n - 1), "chat", (at, at + 5), &of);
            one["traceId"] = json!(format!("{:032x}", trace + 1));
            all.push(one);
        }
    }
    spans(&service(), &all)
}

#[test]
fn beyond_its_bound_the_database_lets_the_oldest_spans_go_and_keeps_sums_and_sessions() {
    let home = tempfile::tempdir().unwrap();
    let mut limited = config(home.path());
    limited.limits = Limits { max_bytes: 3_000_000, min_free_bytes: 0 };
    let mut now = Timestamp::from_rfc3339("2026-11-20T12:30:00Z").unwrap();
    let mut core = Core::new(Store::in_memory().unwrap(), limited, now).unwrap();
    for step in 0..20u32 {
        let body = many(now, step * 50, 50).to_string();
        let batch = decode(Signal::Traces, Encoding::Json, body.as_bytes(), now).unwrap();
        core.apply_all(vec![Input::Telemetry(Box::new(batch))], now).unwrap();
        now = now.plus_ms(6_000);
    }
    // It goes on by itself, in small steps, until there is room.
    for _ in 0..50 {
        let Some(due) = core.next_due().filter(|due| due.since(now) <= 6_000) else { break };
        now = now.plus_ms(due.since(now).max(1));
        core.apply_all(Vec::new(), now).unwrap();
    }
    let page = core.service("billing-bot", Some("harbor"), now).unwrap().unwrap();
    assert!(page.traces_total < 1_000 && page.traces_total > 0, "{}", page.traces_total);
    assert_eq!(page.service.calls, 20_000, "sums of the service are whole");
    assert_eq!(page.sessions[0].tokens.map(|t| t.input), Some(200_000), "so are its sessions");
    assert!(page.note.unwrap().contains("max_bytes"));
    let newest = core.traces(TraceFilter::default(), 1).unwrap().traces.remove(0);
    assert_eq!((newest.trace_id, newest.spans), (format!("{:032x}", 1_000), 20), "the newest stay");
    now = now.plus_ms(20_000);
    core.apply_all(Vec::new(), now).unwrap();
    let status = core.status(now);
    let otlp = status.sources.iter().find(|s| s.name == "otlp").unwrap();
    let issue = otlp.issues.iter().find(|i| i.kind == "let_go").unwrap();
    assert_eq!(
        u64::from(page.traces_total == 1_000) + issue.count / 20 + page.traces_total,
        1_000,
        "counted"
    );
    assert_eq!(otlp.state, SourceHealth::Ok);
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_telemetry_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut full = config(home.path());
    full.limits.min_free_bytes = u64::MAX;
    let engine = Engine::start(full).unwrap();
    engine.barrier().unwrap();
    let body = many(clock::now(), 0, 1).to_string();
    let batch = || decode(Signal::Traces, Encoding::Json, body.as_bytes(), clock::now()).unwrap();
    assert_eq!(engine.ingest(batch()).await, Err(IngestError::NoRoom));
    let status = engine.status();
    let otlp = status.sources.iter().find(|s| s.name == "otlp").unwrap();
    assert_eq!((otlp.state, otlp.issues[0].kind.as_str()), (SourceHealth::Degraded, "disk_low"));
    assert!(status.services.is_empty(), "nothing was taken");
    engine.shutdown();
    drop(engine);
    // The same data with room again: nothing of the trouble is left.
    let engine = Engine::start(config(home.path())).unwrap();
    engine.barrier().unwrap();
    engine.ingest(batch()).await.unwrap();
    engine.barrier().unwrap();
    assert!(engine.status().sources.iter().all(|s| s.issues.iter().all(|i| i.kind != "disk_low")));
    assert_eq!(engine.traces(TraceFilter::default(), None, 10).unwrap().traces.len(), 1);
    engine.shutdown();
}

#[test]
fn another_bound_holds_from_the_moment_it_is_set() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = config(home.path());
    settings.limits = Limits { max_bytes: 1_000_000_000, min_free_bytes: 0 };
    let now = Timestamp::from_rfc3339("2026-11-20T12:30:00Z").unwrap();
    let mut core = Core::new(Store::in_memory().unwrap(), settings.clone(), now).unwrap();
    let batch =
        decode(Signal::Traces, Encoding::Json, many(now, 0, 400).to_string().as_bytes(), now).unwrap();
    core.apply_all(vec![Input::Telemetry(Box::new(batch))], now).unwrap();
    let traces =
        |core: &mut Core| core.service("billing-bot", Some("harbor"), now).unwrap().unwrap().traces_total;
    assert_eq!(traces(&mut core), 400, "there is room for all");
    settings.limits.max_bytes = 1_000_000;
    core.reconfigure(&settings, now).unwrap();
    assert!(traces(&mut core) < 400, "the first step is made at once: {}", traces(&mut core));
    assert!(core.next_due().is_some_and(|due| due.since(now) <= 50), "the others follow");
}

#[tokio::test]
async fn room_to_keep_free_holds_from_the_moment_it_is_set() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::start(config(home.path())).unwrap();
    engine.barrier().unwrap();
    let body = many(clock::now(), 0, 1).to_string();
    let batch = || decode(Signal::Traces, Encoding::Json, body.as_bytes(), clock::now()).unwrap();
    engine.ingest(batch()).await.unwrap();
    let mut full = config(home.path());
    full.limits.min_free_bytes = u64::MAX;
    engine.reconfigure(full);
    engine.barrier().unwrap();
    assert_eq!(engine.ingest(batch()).await, Err(IngestError::NoRoom));
    engine.reconfigure(config(home.path()));
    engine.barrier().unwrap();
    engine.ingest(batch()).await.unwrap();
    engine.shutdown();
}
