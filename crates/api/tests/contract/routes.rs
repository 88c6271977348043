//! What the routes say.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::host::{CLAUDE, Host, SHARED};

/// Keys every card has, as scripts rely on them.
const CARD_KEYS: &[&str] = &[
    "agent",
    "session_id",
    "kind",
    "entry",
    "project",
    "label",
    "label_source",
    "cwd",
    "branch",
    "model",
    "turn_state",
    "waiting_for",
    "lifecycle",
    "liveness",
    "last_speaker",
    "last_speaker_at_ms",
    "started_at_ms",
    "last_activity_at_ms",
    "ended_at_ms",
    "excerpt",
    "doing",
    "todos",
    "tokens",
    "tool_calls",
    "errors",
    "cost_usd",
    "cost_source",
    "context",
    "subagents",
    "attention",
    "causes",
    "git",
    "resume",
    "pid",
    "run_id",
    "parent_session_id",
    "superseded_by",
    "evidence",
];

#[test]
fn status_has_every_key_scripts_rely_on() {
    let host = Host::new();
    let status = host.get("/api/v1/status").json();
    for key in ["engine_id", "revision", "sessions", "worktrees", "services", "hidden", "sources"] {
        assert!(status.get(key).is_some(), "{key}");
    }
    let sessions = status["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3, "active a minute ago: {status}");
    for card in sessions {
        for key in CARD_KEYS {
            assert!(card.get(key).is_some(), "{key} must be there, if only as null");
        }
        for key in ["state", "source", "observed_at_ms"] {
            assert!(card["liveness"].get(key).is_some(), "liveness.{key}");
        }
        for key in ["command", "state", "reason"] {
            assert!(card["resume"].get(key).is_some(), "resume.{key}");
        }
    }
    for key in ["zombie", "subagent", "title_thread", "spare", "muted", "services"] {
        assert!(status["hidden"][key].is_u64(), "{key}");
    }
}

#[test]
fn sessions_are_paged_and_searched() {
    let host = Host::new();
    let all = host.get("/api/v1/sessions?limit=50").json();
    assert_eq!(all["sessions"].as_array().unwrap().len(), 3);
    assert_eq!(all["next"], Value::Null);
    let mut seen = Vec::new();
    let mut path = "/api/v1/sessions?limit=1".to_owned();
    loop {
        let page = host.get(&path).json();
        seen.extend(page["sessions"].as_array().unwrap().iter().map(key));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/sessions?limit=1&before={}", next.replace(':', "%3A")),
            None => break,
        }
    }
    assert_eq!(
        seen,
        all["sessions"].as_array().unwrap().iter().map(key).collect::<Vec<_>>(),
        "page by page the same"
    );
    let found = host.get(&format!("/api/v1/sessions?q={CLAUDE}")).json();
    assert_eq!(
        found["sessions"].as_array().unwrap().iter().map(key).collect::<Vec<_>>(),
        [format!("claude-code:{CLAUDE}")]
    );
    assert_eq!(host.get("/api/v1/sessions?q=nothing-has-this-word").json()["sessions"], json!([]));
    assert_eq!(host.get("/api/v1/sessions?limit=many").refusal(), (400, "bad_request".to_owned()));
    assert_eq!(host.get("/api/v1/sessions?limit=-1").refusal(), (400, "bad_request".to_owned()));
}

fn key(card: &Value) -> String {
    format!("{}:{}", card["agent"].as_str().unwrap(), card["session_id"].as_str().unwrap())
}

#[test]
fn a_session_is_found_by_full_or_unique_id() {
    let host = Host::new();
    for id in [
        CLAUDE.to_owned(),
        format!("claude-code:{CLAUDE}"),
        format!("codex:{SHARED}"),
        format!("codex%3A{SHARED}"),
    ] {
        let detail = host.get(&format!("/api/v1/sessions/{id}")).json();
        assert!(id.ends_with(detail["card"]["session_id"].as_str().unwrap()), "{id}");
    }
    let (status, code) = host.get(&format!("/api/v1/sessions/{SHARED}")).refusal();
    assert_eq!((status, code.as_str()), (409, "ambiguous"));
    for unknown in
        ["nobody", "codex:nobody", "claude-code%3A..%2F..%2Fetc%2Fpasswd", "%27%3B%20DROP%20TABLE%20sessions"]
    {
        assert_eq!(
            host.get(&format!("/api/v1/sessions/{unknown}")).refusal(),
            (404, "not_found".to_owned()),
            "{unknown}"
        );
    }
}

#[test]
fn a_label_is_given_and_taken_back() {
    let host = Host::new();
    let path = format!("/api/v1/sessions/{CLAUDE}/label");
    let before = host.get(&format!("/api/v1/sessions/{CLAUDE}")).json()["card"]["label"].clone();
    let card = host.post(&path, &json!({"label": "  shed  "})).json();
    assert_eq!(card["label"], "shed");
    assert_eq!(host.get(&format!("/api/v1/sessions/{CLAUDE}")).json()["card"]["label"], "shed");
    assert_eq!(
        host.post(&path, &json!({})).refusal(),
        (400, "bad_request".to_owned()),
        "a misspelt key resets nothing"
    );
    let elsewhere = host.post(&path, &json!({"label": "mine", "id": format!("codex:{SHARED}")})).json();
    assert_eq!(elsewhere["session_id"], CLAUDE, "the address says which session");
    assert_eq!(host.post(&path, &json!({"label": null})).json()["label"], before);
    assert_eq!(host.post("/api/v1/sessions/nobody/label", &json!({"label": "x"})).status, 404);
}

#[test]
fn a_failed_resume_is_classified_counted_and_exported_b78_b79_b81() {
    let host = Host::new();
    let path = format!("/api/v1/sessions/{CLAUDE}/resume-failed");
    let metric = |class: &str| format!("claude_session_resume_failures_total{{class=\"{class}\"}}");
    let metrics = || host.get("/metrics").body;
    assert!(metrics().contains(&format!("{} 0\n", metric("not_found"))), "there before the first");
    let said = format!("No conversation found with session ID: {CLAUDE}\n");
    let resume = host.post(&path, &json!({"said": said})).json();
    assert_eq!(resume["state"], "stale");
    assert!(resume["reason"].as_str().unwrap().ends_with("the agent did not find it."), "{resume}");
    host.post(&path, &json!({"said": "session expired"})).json();
    let page = metrics();
    for class in ["not_found", "expired"] {
        assert!(page.contains(&format!("{} 1\n", metric(class))), "{page}");
        let ours = format!("lamplight_resume_failures_total{{agent=\"claude-code\",class=\"{class}\"}} 1\n");
        assert!(page.contains(&ours), "{page}");
    }
    assert!(!page.contains("No conversation"), "only the class is kept");
    assert_eq!(host.post(&path, &json!({})).refusal(), (400, "bad_request".to_owned()));
    let nobody = host.post("/api/v1/sessions/nobody/resume-failed", &json!({"said": said}));
    assert_eq!(nobody.refusal(), (404, "not_found".to_owned()));
}

#[test]
fn the_doctor_can_be_asked_over_the_wire() {
    let host = Host::new();
    let report = host.get("/api/v1/doctor").json();
    assert_eq!(report["is_running"], true);
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["id"] == "database" && check["state"] == "ok"), "{report}");
}

#[test]
fn runs_are_listed_and_an_unknown_one_is_a_clear_404_a130_a131() {
    let host = Host::new();
    let page = host.get("/api/v1/runs").json();
    assert_eq!(page, json!({"runs": [], "next": null, "total": 0}));
    assert_eq!(host.get("/api/v1/runs?limit=2&before=").json(), page);
    assert_eq!(host.get("/api/v1/runs?before=nonsense").refusal(), (400, "bad_request".to_owned()));
    assert_eq!(host.get("/api/v1/runs?limit=many").refusal(), (400, "bad_request".to_owned()));
    for unknown in ["nightly", "..%2F..%2Fetc%2Fpasswd", "%3Cb%3E", "%27%3B%20DROP%20TABLE%20sessions"] {
        let answer = host.get(&format!("/api/v1/runs/{unknown}"));
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{unknown}");
    }
    let message = host.get("/api/v1/runs/nightly").json()["message"].clone();
    assert_eq!(message, "No session declared a run \"nightly\".");
}

#[test]
fn closing_and_causes_answer_as_declared_a22_a23() {
    let host = Host::new();
    assert_eq!(host.post("/api/v1/sessions/close", &json!({})).refusal(), (400, "bad_request".to_owned()));
    let refused = host.post("/api/v1/sessions/close", &json!({"instance_id": "unknown"}));
    assert_eq!(refused.refusal(), (400, "bad_request".to_owned()), "a name that many terminals share");
    let nobody = host.post("/api/v1/sessions/close", &json!({"session_id": CLAUDE, "instance_id": "pts-77"}));
    assert_eq!(nobody.json(), json!({"closed": 0}), "both must fit");
    let closed = host.post("/api/v1/sessions/close", &json!({"session_id": CLAUDE}));
    assert_eq!((closed.status, closed.json()), (200, json!({"closed": 1})));
    let cause = "0123456789abcdef0123456789abcdef";
    let path = format!("/api/v1/causes/{cause}");
    assert_eq!(host.post(&path, &json!({"type": "dismiss"})).refusal(), (404, "not_found".to_owned()));
    assert_eq!(host.post(&path, &json!({"type": "explode"})).refusal(), (400, "bad_request".to_owned()));
    assert_eq!(host.post(&path, &json!({"type": "snooze"})).refusal(), (400, "bad_request".to_owned()));
    assert_eq!(host.post("/api/v1/causes/zz", &json!({"type": "dismiss"})).refusal().0, 400);
}

#[test]
fn a_session_is_put_away_and_taken_out_again() {
    let host = Host::new();
    let card = host.post(&format!("/api/v1/sessions/{CLAUDE}/archive"), &json!({})).json();
    assert!(card["archived_at_ms"].is_i64(), "{card}");
    let shown = |host: &Host| {
        let status = host.get("/api/v1/status").json();
        status["sessions"].as_array().unwrap().iter().any(|card| card["session_id"] == CLAUDE)
    };
    assert!(!shown(&host));
    let card = host.post(&format!("/api/v1/sessions/{CLAUDE}/unarchive"), &json!({})).json();
    assert_eq!(card["archived_at_ms"], Value::Null);
    assert!(shown(&host));
    for path in ["archive", "unarchive"] {
        let unknown = host.post(&format!("/api/v1/sessions/nobody/{path}"), &json!({}));
        assert_eq!(unknown.refusal(), (404, "not_found".to_owned()));
    }
}

#[test]
fn forgetting_is_counted_first_and_takes_no_parameter_it_does_not_know() {
    let host = Host::new();
    let path = "/api/v1/forget";
    assert_eq!(host.post(path, &json!({})).refusal(), (400, "bad_request".to_owned()), "not everything");
    assert_eq!(host.post(path, &json!({"project": ""})).refusal(), (400, "bad_request".to_owned()));
    let misspelt = host.post(path, &json!({"id": CLAUDE, "dryrun": true}));
    assert_eq!(misspelt.refusal(), (400, "bad_request".to_owned()), "a dry run that was not meant as one");
    assert_eq!(host.post(path, &json!({"id": "nobody"})).refusal(), (404, "not_found".to_owned()));
    let name = format!("claude-code:{CLAUDE}");
    let dry = host.post(path, &json!({"id": CLAUDE, "dry_run": true})).json();
    assert_eq!(dry, json!({"sessions": [name], "total": 1, "running": 0, "is_dry_run": true}));
    assert_eq!(host.get(&format!("/api/v1/sessions/{CLAUDE}")).status, 200);
    let gone = host.post(path, &json!({"id": CLAUDE})).json();
    assert_eq!(gone, json!({"sessions": [name], "total": 1, "running": 0, "is_dry_run": false}));
    assert_eq!(host.get(&format!("/api/v1/sessions/{CLAUDE}")).status, 404);
    assert_eq!(host.post("/api/v1/import", &json!({})).json()["sessions"], 2);
}

#[test]
fn a_report_of_a_card_is_text() {
    let host = Host::new();
    let report = host.get(&format!("/api/v1/sessions/{CLAUDE}/report")).json();
    let text = report["text"].as_str().unwrap();
    assert!(text.starts_with("# Lamplight: evidence of a card") && !text.contains(CLAUDE), "{text}");
    assert_eq!(host.get("/api/v1/sessions/nobody/report").refusal(), (404, "not_found".to_owned()));
}

#[test]
fn resume_is_what_the_card_says() {
    let host = Host::new();
    let resume = host.get(&format!("/api/v1/sessions/{CLAUDE}/resume")).json();
    assert_eq!(resume, host.get(&format!("/api/v1/sessions/{CLAUDE}")).json()["card"]["resume"]);
}

#[test]
fn totals_and_import_count_the_same() {
    let host = Host::new();
    let totals = host.get("/api/v1/totals").json();
    let import = host.post("/api/v1/import", &json!({})).json();
    assert_eq!(totals["sessions"], 3);
    for key in ["sessions", "messages", "prompts", "tool_calls", "subagents", "tokens"] {
        assert_eq!(totals[key], import[key], "{key}");
    }
}

#[test]
fn bodies_and_methods_that_cannot_be_used_are_refused() {
    let host = Host::new();
    let post = |body: &str| {
        host.send(
            &host
                .request("POST", "/api/v1/sessions/close")
                .with("Content-Type", "application/json")
                .body(body),
        )
        .refusal()
    };
    assert_eq!(post("").0, 400);
    assert_eq!(post("[1]").0, 400);
    assert_eq!(post("{\"session_id\": 4}").0, 400);
    assert_eq!(post(&"[".repeat(5000)).0, 400);
    assert_eq!(post(&format!("{{\"session_id\":\"{}\"}}", "x".repeat(70_000))).0, 413);
    assert_eq!(
        host.send(&host.request("DELETE", "/api/v1/status")).refusal(),
        (405, "bad_request".to_owned())
    );
    assert_eq!(host.get("/api/v1/sessions/close").status, 405);
    assert_eq!(host.get("/api/v2/status").refusal(), (404, "not_found".to_owned()));
    assert_eq!(host.get("/elsewhere").refusal(), (404, "not_found".to_owned()));
}

#[test]
fn metrics_are_prometheus_text_without_names() {
    let host = Host::new();
    host.post(&format!("/api/v1/sessions/{CLAUDE}/label"), &json!({"label": "secret-name"}));
    let page = host.get("/metrics");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(page.body.contains("lamplight_imported{what=\"sessions\"} 3\n"), "{}", page.body);
    for tier in 1..=3 {
        assert!(page.body.contains(&format!("lamplight_attention{{tier=\"{tier}\"}} ")), "{}", page.body);
    }
    assert!(!page.body.contains("secret-name") && !page.body.contains(CLAUDE), "{}", page.body);
    for line in page.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        // The one name of another's: dashboards know it.
        let is_ours =
            name.starts_with("lamplight_") || name.starts_with("claude_session_resume_failures_total{");
        assert!(is_ours && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn the_socket_needs_no_token_and_knows_the_same_routes() {
    let host = Host::new();
    let bare = |method, path| {
        host.request(method, path).without("Authorization").without("Host").with("Host", "localhost")
    };
    let over_socket = host.send_to_socket(&bare("GET", "/api/v1/sessions")).json();
    assert_eq!(over_socket["sessions"].as_array().unwrap().len(), 3);
    assert_eq!(host.send_to_socket(&bare("GET", "/healthz")).body, "ok");
    let form = bare("POST", "/api/v1/sessions/close").with("Content-Type", "text/plain").body("{}");
    assert_eq!(host.send_to_socket(&form).status, 415);
    let mode = std::fs::metadata(host.data_dir().join("lamp.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn endpoint_json_names_the_addresses_and_goes_with_the_server() {
    let mut host = Host::new();
    let data = host.data_dir();
    let endpoint = data.join("endpoint.json");
    assert_eq!(std::fs::metadata(&endpoint).unwrap().permissions().mode() & 0o777, 0o600);
    let written: Value = serde_json::from_slice(&std::fs::read(&endpoint).unwrap()).unwrap();
    assert_eq!(
        written,
        json!({"http": format!("127.0.0.1:{}", host.port), "grpc": null, "pid": std::process::id(), "socket": data.join("lamp.sock")})
    );
    host.stop_serving();
    assert!(!endpoint.exists() && !data.join("lamp.sock").exists());
    assert!(data.join("token").exists(), "the token stays: programs keep it");
    assert!(std::net::TcpStream::connect(("127.0.0.1", host.port)).is_err());
}

#[test]
fn set_up_shows_and_writes_only_what_was_shown_and_takes_no_paths() {
    let host = Host::new();
    let choices = json!({ "agents": ["claude-code"], "hooks": true, "telemetry": true, "shell": false });
    let state = host.get("/api/v1/setup").json();
    assert_eq!((&state["can_undo"], &state["lamp"]), (&json!(false), &Value::Null));
    assert_eq!(state["agents"][0]["status"], "not_connected");
    // This host has no lamp to install, and says so.
    let plan = host.post("/api/v1/setup/plan", &choices).json();
    assert_eq!(plan["changes"], json!([]));
    assert!(plan["notes"][0].as_str().unwrap().contains("`lamp` was not found"), "{plan}");
    let digest = plan["digest"].clone();
    let done = host.post("/api/v1/setup/apply", &json!({ "choices": choices, "digest": digest }));
    assert_eq!(done.json()["files"], json!([]));
    let outdated = host.post("/api/v1/setup/apply", &json!({ "choices": choices, "digest": "0" }));
    assert_eq!(outdated.refusal(), (409, "conflict".to_owned()));
    for (path, body) in [
        ("/api/v1/setup/plan", json!({ "agents": ["/etc/passwd"] })),
        ("/api/v1/setup/plan", json!({ "claude": "/tmp/x" })),
        ("/api/v1/setup/plan", json!({ "project_root": "/tmp/x" })),
        ("/api/v1/setup/apply", json!({ "choices": choices, "digest": digest, "lamp": "/tmp/x" })),
        ("/api/v1/setup/apply", json!({ "choices": { "path": "/tmp/x" }, "digest": digest })),
        ("/api/v1/setup/apply", json!({ "choices": choices })),
        ("/api/v1/setup/undo", json!({ "data_dir": "/tmp/x" })),
    ] {
        assert_eq!(host.post(path, &body).refusal(), (400, "bad_request".to_owned()), "{path} {body}");
    }
    let undone = host.post("/api/v1/setup/undo", &json!({})).json();
    assert_eq!(undone, json!({ "files": [], "notes": [] }));
}

#[test]
fn services_and_traces_that_are_not_there_are_told_apart_from_ids_that_are_none() {
    let host = Host::new();
    assert_eq!(host.get("/api/v1/services").json(), json!([]));
    assert_eq!(host.get("/api/v1/traces?limit=5").json(), json!({"traces": [], "next": null}));
    for (path, status) in [
        ("/api/v1/services/unheard-of", 404),
        ("/api/v1/services/unheard-of?namespace=harbor", 404),
        ("/api/v1/traces/0123456789abcdef0123456789abcdef", 404),
        ("/api/v1/traces/00000000000000000000000000000000", 400),
        ("/api/v1/traces/xyz", 400),
        ("/api/v1/traces?before=nonsense", 400),
        ("/api/v1/traces?session=unheard-of", 404),
    ] {
        let answer = host.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json()["message"].as_str().is_some_and(|m| m.len() > 10), "{path}");
    }
}
