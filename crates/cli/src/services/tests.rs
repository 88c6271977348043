use super::*;
use serde_json::Value;

const NOW: i64 = 1_800_000_000_000;
const PLAIN: Look = Look { colour: false, columns: None };

fn service(name: &str, differences: Value) -> Service {
    let mut calls = vec![0; 60];
    calls[57] = 1;
    calls[58] = 100;
    calls[59] = 100;
    let mut service = json!({
        "name": name, "namespace": null, "last_seen_ms": NOW - 8_000, "first_seen_ms": NOW - 7_200_000, "state": "live",
        "measures": "model_calls", "calls": 201, "errors": 1, "requests_per_minute": 40.2, "error_rate": 0.005,
        "p50_ms": 640, "p95_ms": 3210,
        "tokens": {"input": 1000, "output": 0, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0},
        "cost_usd": 0.5, "cost_today_usd": 12.0, "cost_source": "reported", "models": ["opus", "haiku"],
        "series": {"from_ms": 0, "calls": calls, "errors": vec![0; 60], "cost_usd": vec![0.0; 60]}
    });
    for (key, value) in differences.as_object().unwrap() {
        service[key] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

#[test]
fn services_are_lines_with_a_sparkline_and_plain_dollars_a77_a78_a83() {
    let services = [
        service("billing", json!({"state": "quiet", "last_seen_ms": NOW - 7 * 60_000, "namespace": "shop"})),
        service(
            "checkout",
            json!({"measures": "requests", "error_rate": null, "p50_ms": null, "p95_ms": null}),
        ),
        service("old\u{1b}[2J", json!({"state": "dormant", "last_seen_ms": NOW - 3 * 86_400_000})),
    ];
    let bars = format!("{}▂█", "▁".repeat(28));
    assert_eq!(
        text(&services, false, NOW, PLAIN),
        format!(
            "\
1 service went quiet, 1 live

  billing · shop  Went quiet, seen 7 min ago  {bars}  40.2/min  <1 % errors  p50 640 ms, p95 3.2 s  $12.00 today
  checkout        Live, seen 8 s ago          {bars}  40.2/min
  old[2J          Dormant, seen 3 d ago
"
        )
    );
}

#[test]
fn one_service_is_told_in_full() {
    let shown = text(&[service("billing", json!({}))], true, NOW, PLAIN);
    assert!(
        shown.ends_with(
            "    201 model calls in its last hour · 1 failed · 1k tok · $0.50 reported · first seen 2 h ago\n    opus, haiku\n"
        ),
        "{shown}"
    );
    assert!(text(&[], false, NOW, PLAIN).contains("4318"), "an empty page says what to do");
}

#[test]
fn a_sparkline_shows_something_for_something() {
    assert_eq!(sparkline(&[0, 0, 1, 0, 0, 1_000_000]), "▁▂█");
    assert_eq!(sparkline(&[0; 4]), "▁▁");
    assert_eq!(sparkline(&[u64::MAX / 2, 0]), "█");
    assert_eq!(
        (percent(0.0), percent(0.005), percent(0.719), percent(1.0)),
        ("0 %".into(), "<1 %".into(), "71 %".into(), "100 %".into())
    );
}
