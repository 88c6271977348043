use lamplight_model::attention::{CauseKind, Tier};
use lamplight_model::view::TokenTotals;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;

use super::*;

const ID: &str = "8315008f-4e85-4f76-9793-9ca591af70eb";

/// A card as the engine shows it, with a first prompt for its label.
fn card() -> SessionCard {
    serde_json::from_value(serde_json::json!({
        "agent": "claude-code", "session_id": ID, "kind": "coding", "entry": "interactive", "project": "shop",
        "label": "please fix the secret thing", "label_source": "first_prompt", "label_default": "x", "cwd": "/home/dev/shop",
        "branch": "main", "model": "claude-opus-5-5", "turn_state": "working", "turn_state_since_ms": 1_000,
        "waiting_for": null, "lifecycle": "active",
        "liveness": {"state": "alive", "source": "registry", "observed_at_ms": 1_000}, "last_speaker": "user",
        "last_speaker_at_ms": 1_000, "started_at_ms": 500, "last_activity_at_ms": 1_000, "ended_at_ms": null,
        "excerpt": "an answer nobody should see", "doing": {"tool": "Bash", "target": "cat secret.txt", "since_ms": 1_000},
        "todos": null, "tokens": {"input": 10, "output": 20, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 30},
        "tool_calls": 1, "errors": 0, "cost_usd": 0.25, "cost_source": "table",
        "context": {"used": null, "window": null, "source": null}, "subagents": {"running": 0, "total": 0},
        "attention": null, "causes": [], "git": null,
        "resume": {"command": null, "state": "ready", "reason": null}, "pid": 7, "run_id": "nightly",
        "parent_session_id": null, "superseded_by": null, "evidence": []
    }))
    .unwrap()
}

fn asks(card: &SessionCard) -> SessionCard {
    let mut card = card.clone();
    card.turn_state = TurnState::AwaitingPermission;
    card.turn_state_since_ms = Some(2_000);
    card.waiting_for = Some(
        serde_json::from_value(
            serde_json::json!({"kind": "permission", "tool": "Bash", "detail": "rm -rf secret", "options": [],
            "resets_at_ms": null}),
        )
        .unwrap(),
    );
    let attention = Attention {
        tier: Tier::Blocked,
        cause: CauseKind::Permission,
        cause_id: "c1".to_owned(),
        since_ms: 2_000,
        snoozed_until_ms: None,
        until_change: false,
        notified_at_ms: None,
    };
    card.causes = vec![attention.clone()];
    card.attention = Some(attention);
    card
}

fn status(sessions: Vec<SessionCard>) -> Status {
    Status {
        engine_id: "e".to_owned(),
        revision: 1,
        at_ms: 5_000,
        sessions,
        worktrees: Vec::new(),
        services: Vec::new(),
        hidden: lamplight_model::view::Hidden::default(),
        archived: 0,
        sources: Vec::new(),
        importing: None,
    }
}

fn change(upserted: Vec<SessionCard>, removed: Vec<String>) -> ChangeSet {
    ChangeSet {
        engine_id: "e".to_owned(),
        since: 1,
        revision: 2,
        at_ms: 6_000,
        upserted,
        removed,
        worktrees: None,
        services: None,
        sources: None,
        hidden: None,
        archived: None,
        importing: None,
        importing_done: false,
    }
}

fn origin() -> Origin {
    Origin { host: Some("vm".to_owned()), instance: "i1".to_owned() }
}

/// Records as OpenTelemetry's own types read them: event, state, and all attributes.
fn read(records: Vec<LogRecord>) -> Vec<(String, BTreeMap<String, String>)> {
    let Some(part) = origin().logs(records) else { return Vec::new() };
    let request = Logs::decode(part.body.as_slice()).unwrap();
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records.len(), part.records as usize);
    let word = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(n) => n.to_string(),
        Value::DoubleValue(n) => n.to_string(),
        other => panic!("{other:?}"),
    };
    let all = records.iter().map(|r| {
        let attributes = r
            .attributes
            .iter()
            .map(|a| (a.key.clone(), word(a.value.as_ref().unwrap().value.as_ref().unwrap())));
        (r.event_name.clone(), attributes.collect())
    });
    all.collect()
}

fn events(records: Vec<LogRecord>) -> Vec<String> {
    let state = "lamplight.session.state";
    read(records).into_iter().map(|(event, all)| format!("{event} {}", all[state])).collect()
}

#[test]
fn each_change_of_state_is_told_once_and_an_end_as_an_end() {
    let mut facts = Facts::new(false);
    let work = card();
    let state = |word: &str| vec![format!("lamplight.session.state {word}")];
    assert_eq!(events(facts.snapshot(&status(vec![work.clone()]))), state("working"));
    let mut spent = work.clone();
    spent.cost_usd = Some(0.5);
    assert_eq!(events(facts.change(&change(vec![spent], vec![]))), [""; 0], "money is a metric");
    let asking = asks(&work);
    assert_eq!(events(facts.change(&change(vec![asking.clone()], vec![]))), state("awaiting_permission"));
    assert_eq!(
        events(facts.snapshot(&status(vec![asking.clone()]))),
        [""; 0],
        "after a gap nothing is repeated"
    );
    let mut snoozed = asking.clone();
    snoozed.attention.as_mut().unwrap().snoozed_until_ms = Some(9_000);
    assert_eq!(events(facts.change(&change(vec![snoozed], vec![]))), state("awaiting_permission"));
    let mut ended = work.clone();
    (ended.turn_state, ended.turn_state_since_ms, ended.ended_at_ms) =
        (TurnState::Ended, Some(4_000), Some(4_000));
    assert_eq!(
        events(facts.change(&change(vec![ended.clone()], vec![]))),
        ["lamplight.session.state ended", "lamplight.session.ended ended"]
    );
    assert_eq!(
        events(facts.change(&change(vec![ended.clone()], vec![key(&ended)]))),
        [""; 0],
        "it had ended before"
    );
    assert_eq!(
        events(Facts::new(false).snapshot(&status(vec![ended]))),
        [""; 0],
        "history is not told at a start"
    );
}

#[test]
fn what_was_said_goes_along_with_content_only() {
    let told = |content: bool, card: &SessionCard| {
        read(Facts::new(content).snapshot(&status(vec![card.clone()]))).remove(0).1
    };
    let asking = asks(&card());
    let plain = told(false, &asking);
    let all = format!("{plain:?}");
    assert!(!all.contains("secret") && !all.contains("nobody") && !all.contains("/home"), "{all}");
    for (key, value) in [
        ("session.id", ID),
        ("lamplight.agent", "claude-code"),
        ("lamplight.project", "shop"),
        ("lamplight.session.waiting_for", "permission"),
        ("lamplight.session.tier", "1"),
        ("lamplight.session.cause", "permission"),
        ("lamplight.session.needs_you_since_ms", "2000"),
        ("lamplight.session.state_since_ms", "2000"),
        ("lamplight.session.cost_usd", "0.25"),
        ("lamplight.session.tokens.output", "20"),
        ("lamplight.run_id", "nightly"),
        ("gen_ai.request.model", "claude-opus-5-5"),
    ] {
        assert_eq!(plain.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(plain.get("lamplight.session.label"), None, "a first prompt is something that was said");
    let mut named = asking.clone();
    (named.label, named.label_source) = ("checkout redesign".to_owned(), LabelSource::Rename);
    assert_eq!(told(false, &named)["lamplight.session.label"], "checkout redesign");
    let full = told(true, &asking);
    assert_eq!(full["lamplight.session.label"], "please fix the secret thing");
    assert_eq!(full["lamplight.session.waiting_detail"], "rm -rf secret");
}

#[test]
fn metrics_hold_the_numbers_of_the_screen() {
    let mut other = asks(&card());
    (other.session_id, other.cost_usd) = ("b".to_owned(), None);
    let usage = TokenTotals { input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 5 };
    let totals = ImportTotals {
        sessions: 2,
        messages: 3,
        prompts: 2,
        tool_calls: 1,
        subagents: 0,
        tokens: [("claude-opus-5-5".to_owned(), usage)].into(),
        bytes_read: 0,
        elapsed_ms: 0,
    };
    let part = origin().metrics(metrics(&status(vec![card(), other]), &totals)).unwrap();
    let request = Metrics::decode(part.body.as_slice()).unwrap();
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let keys: Vec<&str> = resource.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "service.version", "service.instance.id", "host.name"]);
    let mut lines = Vec::new();
    for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
        let (kind, points) = match metric.data.as_ref().unwrap() {
            Data::Gauge(g) => ("gauge", &g.data_points),
            Data::Sum(s) => {
                assert_eq!((s.aggregation_temporality, s.is_monotonic), (2, false));
                ("sum", &s.data_points)
            }
            other => panic!("{other:?}"),
        };
        for p in points {
            let labels: Vec<String> = p
                .attributes
                .iter()
                .map(|a| match a.value.as_ref().unwrap().value.as_ref().unwrap() {
                    Value::StringValue(text) => text.clone(),
                    Value::IntValue(n) => n.to_string(),
                    other => panic!("{other:?}"),
                })
                .collect();
            let n = match p.value.unwrap() {
                Number::AsInt(n) => n.to_string(),
                Number::AsDouble(n) => n.to_string(),
            };
            assert_eq!(p.time_unix_nano, 5_000_000_000);
            lines.push(format!("{kind} {} {} = {n}", metric.name, labels.join(",")));
        }
    }
    assert_eq!(
        lines,
        [
            "gauge lamplight.sessions claude-code,awaiting_permission = 1",
            "gauge lamplight.sessions claude-code,working = 1",
            "gauge lamplight.needs_you 1 = 1",
            "gauge lamplight.needs_you 2 = 0",
            "gauge lamplight.needs_you 3 = 0",
            &format!("sum lamplight.session.cost_usd {ID},claude-code,shop = 0.25"),
            "sum lamplight.tokens claude-opus-5-5,input = 1",
            "sum lamplight.tokens claude-opus-5-5,output = 2",
            "sum lamplight.tokens claude-opus-5-5,cache_write_5m = 3",
            "sum lamplight.tokens claude-opus-5-5,cache_write_1h = 4",
            "sum lamplight.tokens claude-opus-5-5,cache_read = 5",
        ]
    );
}
