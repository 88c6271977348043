//! Who is refused, on every route.

use lamplight_api::commands::{COMMANDS, Verb};

use crate::host::{Host, Request};

/// A request to every route there is, as its own user would send it.
fn every_route(host: &Host) -> Vec<Request> {
    let mut requests: Vec<Request> = COMMANDS
        .iter()
        .map(|command| {
            let path = command.path.replace("{id}", "some").replace("{causeId}", "0a");
            match command.verb {
                Verb::Get => host.request("GET", &path),
                Verb::Post => host.request("POST", &path).with("Content-Type", "application/json").body("{}"),
            }
        })
        .collect();
    for path in ["/api/v1/stream", "/metrics", "/healthz", "/", "/index.html", "/api/v1/nothing", "/v1/logs"]
    {
        requests.push(host.request("GET", path));
    }
    for path in ["/v1/logs", "/api/v1/status", "/api/v1/sessions/close", "/healthz"] {
        requests.push(
            host.request("POST", path).with("Content-Type", "text/plain").body("{\"session_id\":\"x\"}"),
        );
        requests.push(host.request("OPTIONS", path));
    }
    requests
}

#[test]
fn another_pages_origin_is_refused_everywhere() {
    let host = Host::with_ui(lamplight_ui_is_built());
    for origin in
        ["http://evil.example", "null", "https://127.0.0.1", &format!("http://localhost:{}", host.port)]
    {
        for request in every_route(&host) {
            let answer = host.send(&request.clone().with("Origin", origin));
            assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

#[test]
fn a_rebound_name_is_refused_everywhere() {
    let host = Host::with_ui(lamplight_ui_is_built());
    for name in [
        format!("evil.example:{}", host.port),
        "evil.example".to_owned(),
        format!("127.0.0.1.evil.example:{}", host.port),
    ] {
        for request in every_route(&host) {
            let answer = host.send(&request.without("Host").with("Host", &name));
            assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{name}");
        }
    }
    let answer = host.send(&host.request("GET", "/api/v1/status").without("Host"));
    assert_eq!(answer.status, 403, "no host at all");
}

#[test]
fn without_the_whole_token_nothing_is_told() {
    let host = Host::new();
    let wrong = "0".repeat(64);
    for authorization in [
        None,
        Some(""),
        Some("Bearer"),
        Some(&host.token[..]),
        Some(&format!("Bearer {wrong}")),
        Some(&format!("Bearer {}", &host.token[..63])),
    ] {
        for path in [
            "/api/v1/status",
            "/api/v1/stream",
            "/api/v1/sessions",
            "/api/v1/sessions/x",
            "/metrics",
            "/api/v1/nothing",
            "/api/",
        ] {
            let mut request = host.request("GET", path).without("Authorization");
            if let Some(value) = authorization {
                request = request.with("Authorization", value);
            }
            let answer = host.send(&request);
            assert_eq!(answer.refusal(), (401, "unauthorized".to_owned()), "{path} {authorization:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(!answer.body.contains(&host.token));
        }
    }
    let in_query =
        host.request("GET", &format!("/api/v1/status?token={}", host.token)).without("Authorization");
    assert_eq!(host.send(&in_query).status, 401, "a token in the address is none");
}

#[test]
fn health_needs_no_token_and_says_ok() {
    let host = Host::new();
    let answer = host.send(&host.request("GET", "/healthz").without("Authorization"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
}

#[test]
fn a_form_cannot_command() {
    let host = Host::new();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/plain; application/json",
        "application/jsonx",
    ] {
        let request = host.request("POST", "/api/v1/sessions/close").with("Content-Type", content_type);
        assert_eq!(
            host.send(&request.body("{\"session_id\":\"x\"}")).refusal(),
            (415, "bad_request".to_owned()),
            "{content_type}"
        );
    }
    let without = host.request("POST", "/api/v1/sessions/close").body("{\"session_id\":\"x\"}");
    assert_eq!(host.send(&without).status, 415);
}

#[test]
fn the_listeners_own_origin_passes() {
    let host = Host::new();
    let own = format!("http://127.0.0.1:{}", host.port);
    assert_eq!(host.send(&host.request("GET", "/api/v1/status").with("Origin", &own)).status, 200);
    let closing = host.request("POST", "/api/v1/sessions/close").with("Origin", &own);
    let closing =
        closing.with("Content-Type", "application/json; charset=utf-8").body("{\"session_id\":\"x\"}");
    assert_ne!(host.send(&closing).status, 403);
}

#[test]
fn every_answer_says_not_to_cache_guess_or_frame_it() {
    let host = Host::new();
    for request in every_route(&host).into_iter().chain([host.request("GET", "/").with("Origin", "null")]) {
        // The stream's head is enough; it would go on for ever.
        let mut stream = std::io::BufReader::new(host.open(&request));
        let (status, headers) = crate::host::read_head(&mut stream);
        let has = |name: &str, value: &str| {
            headers.iter().any(|(known, text)| known == name && text.contains(value))
        };
        assert!(
            has("cache-control", "no-store") && has("x-content-type-options", "nosniff"),
            "{status} {headers:?}"
        );
        assert!(has("content-security-policy", "frame-ancestors 'none'"), "{status} {headers:?}");
    }
}

#[test]
fn the_page_is_open_and_its_policy_strict() {
    if !lamplight_ui_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new();
        let options = lamplight_api::serve::ServeOptions {
            http: Some("127.0.0.1:0".parse().unwrap()),
            explicit: true,
            data_dir: dir.path().to_owned(),
            ui: true,
        };
        let error = lamplight_api::serve::spawn(host.engine.clone(), options).unwrap_err();
        assert!(error.to_string().contains("Build the frontend first"), "{error}");
        return;
    }
    let host = Host::with_ui(true);
    let url = host.served().ui_url.clone().unwrap();
    assert_eq!(url, format!("http://127.0.0.1:{}/#token={}", host.port, host.token));
    let page = host.send(&host.request("GET", "/").without("Authorization"));
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe-eval"),
        "{policy}"
    );
    assert!(!page.body.contains(&host.token), "the token reaches the page through the fragment only");
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/package.json",
        "/..%2fpackage.json",
        "/assets/../../package.json",
        "//etc/passwd",
    ] {
        assert_eq!(host.send(&host.request("GET", path)).status, 404, "{path}");
    }
    assert_eq!(host.send(&host.request("GET", "/api/v1/status").without("Authorization")).status, 401);
}

/// Whether the frontend's output is there for this debug build to read.
fn lamplight_ui_is_built() -> bool {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../frontend/dist/index.html")).exists()
}
