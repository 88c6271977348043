use std::collections::BTreeMap;

use lamplight_model::attention::CauseKind;

use super::*;

fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let table: BTreeMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    move |name| table.get(name).cloned()
}

/// Loads `text` as the settings file of a person whose home is `/home/dev`.
fn check(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let mut config = load(&env(&[
        ("HOME", "/home/dev"),
        ("LAMPLIGHT_DATA", "/data"),
        ("LAMPLIGHT_CONFIG", path.to_str().unwrap()),
    ]))
    .unwrap();
    let prefix = format!("{}: ", path.display());
    for warning in &mut config.warnings {
        *warning = warning.strip_prefix(&prefix).unwrap().to_owned();
    }
    config
}

fn paths(config: &Config) -> Vec<String> {
    config.roots.iter().map(|root| format!("{} {}", root.agent, root.path.display())).collect()
}

#[test]
fn without_a_file_everything_has_its_default() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let config = load(&env(&[("HOME", home)])).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(
        (config.idle_minutes, config.resume_max_hours, config.durable, config.git),
        (240, 24, false, true)
    );
    assert_eq!(
        paths(&config),
        [
            format!("claude-code {home}/.claude"),
            format!("codex {home}/.codex"),
            format!("gemini {home}/.gemini"),
            format!("opencode {home}/.local/share/opencode")
        ]
    );
    if cfg!(target_os = "linux") {
        assert_eq!(config.data_dir, Path::new(home).join(".local/share/lamplight"));
    }
}

#[test]
fn the_environment_names_the_roots_and_an_empty_variable_is_none() {
    let config = load(&env(&[
        ("HOME", ""),
        ("CLAUDE_CONFIG_DIR", "/elsewhere/claude"),
        ("CODEX_HOME", ""),
        ("LAMPLIGHT_DATA", "/data"),
    ]))
    .unwrap();
    assert_eq!(paths(&config), ["claude-code /elsewhere/claude"]);
    assert_eq!(config.warnings, ["HOME is not set: codex sessions are not read; set HOME or CODEX_HOME"]);
}

#[test]
fn without_a_home_and_a_data_folder_it_says_what_to_set() {
    let error = load(&env(&[])).unwrap_err();
    assert!(matches!(error, ConfigError::NoDataDir));
    assert!(error.to_string().contains("Set HOME, or LAMPLIGHT_DATA"));
}

#[test]
fn every_setting_arrives() {
    let config = check(
        r#"
[sessions]
idle_minutes = 90
resume_max_hours = 72
[session_labels]
"bb0d985f" = "checkout"
[agents.codex]
project = "tools"
[[roots]]
agent = "codex"
path = "~/other/.codex"
[[roots]]
agent = "claude-code"
path = "/home/dev/.claude"
[prices."local-*"]
input = 0
output = 0.5
[notify]
enabled = false
previews = false
sound = true
quiet_lets_blocked_through = true
quiet = { from = "22:30", to = 07:00:00 }
muted = ["reply", "uncommitted"]
muted_projects = ["scratch"]
command = ["blink", "--amber"]
[git]
status = false
[store]
durable = true
"#,
    );
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(
        (config.idle_minutes, config.resume_max_hours, config.durable, config.git),
        (90, 72, true, false)
    );
    assert_eq!(config.session_labels["bb0d985f"], "checkout");
    assert_eq!(config.projects["codex"], "tools");
    let [price] = &config.prices[..] else { panic!("{:?}", config.prices) };
    assert_eq!(
        (price.model.as_str(), price.input, price.output, price.cache_read),
        ("local-*", 0.0, 0.5, 0.0)
    );
    assert_eq!(
        config.notify,
        Notify {
            enabled: false,
            previews: false,
            sound: true,
            quiet_lets_blocked_through: true,
            quiet: Some((22 * 60 + 30, 7 * 60)),
            muted: vec![CauseKind::Reply, CauseKind::Uncommitted],
            muted_projects: vec!["scratch".to_owned()],
            command: vec!["blink".to_owned(), "--amber".to_owned()],
        }
    );
    assert_eq!(
        config.roots.iter().map(|root| root.is_default).collect::<Vec<_>>(),
        [true, true, true, true, false]
    );
    assert_eq!(
        paths(&config),
        [
            "claude-code /home/dev/.claude",
            "codex /home/dev/.codex",
            "gemini /home/dev/.gemini",
            "opencode /home/dev/.local/share/opencode",
            "codex /home/dev/other/.codex"
        ],
        "a root that is watched anyway is not watched twice"
    );
}

#[test]
fn what_means_nothing_is_said_with_its_line_and_stops_nothing() {
    for (text, warning) in [
        ("[session]\nidle_minutes = 1", "line 1: session is not a setting; did you mean sessions?"),
        ("\n[sessions]\nidle_minute = 1", "line 3: idle_minute is not a setting; did you mean idle_minutes?"),
        ("[otlp]\ntokens = 1", "line 2: tokens is not a setting; did you mean token?"),
        ("[store]\nfoo = 1", "line 2: foo is not a setting; known here: durable, max_bytes, min_free_bytes"),
        (
            "[sessions]\nidle_minutes = 0",
            "line 2: idle_minutes must be a whole number from 1 to 43200; it has its default",
        ),
        (
            "[sessions]\nidle_minutes = \"4h\"",
            "line 2: idle_minutes must be a whole number from 1 to 43200; it has its default",
        ),
        ("sessions = 4", "line 1: sessions must be a section; it is ignored"),
        ("[session_labels]\nabc = 4", "line 2: abc must be a text in quotes, not empty; it is ignored"),
        ("[store]\ndurable = \"yes\"", "line 2: durable must be true or false; it has its default"),
        ("[[roots]]\nagent = \"codex\"", "line 1: roots an entry needs both agent and path; it is ignored"),
        (
            "[prices.x]\ninput = -1\noutput = 1",
            "line 2: input must be a number of US dollars per million tokens, 0 or more; it is ignored",
        ),
        (
            "[prices.x]\ninput = 1",
            "line 1: x is ignored: needs input and output, in US dollars per million tokens",
        ),
        (
            "[prices.\"a*b\"]\ninput = 1\noutput = 1",
            "line 1: a*b is ignored: '*' may only end a model's name",
        ),
        (
            "[notify]\nquiet = { from = \"24:00\", to = \"07:00\" }",
            "line 2: from must be a time of day as \"22:30\"; it is ignored",
        ),
        (
            "[notify]\nquiet = { from = \"07:00\" }",
            "line 2: quiet needs two different times, from and to; it is ignored",
        ),
    ] {
        let config = check(text);
        assert_eq!(config.notify, Notify::default(), "{text}");
        assert_eq!(config.warnings.first().map(String::as_str), Some(warning), "{text}");
        assert_eq!((config.idle_minutes, config.durable, config.prices.len()), (240, false, 0), "{text}");
    }
    let config = check("[notify]\nmuted = [\"replies\", \"reply\"]");
    assert!(config.warnings[0].starts_with("line 2: muted holds \"replies\", which is no reason to notify"));
    assert_eq!(config.notify.muted, [CauseKind::Reply]);
    let config = check("[[roots]]\nagent = \"cobex\"\npath = \"/x\"\n[sessions]\nidle_minutes = 7");
    assert_eq!(
        config.warnings[0],
        "line 2: agent \"cobex\" is no agent; it is one of claude-code, codex, gemini, opencode"
    );
    assert_eq!(config.idle_minutes, 7, "the rest of the file counts");
}

#[test]
fn a_file_that_is_no_toml_is_an_error_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, "[sessions]\nidle_minutes = = 3\n").unwrap();
    let error =
        load(&env(&[("HOME", "/home/dev"), ("LAMPLIGHT_CONFIG", path.to_str().unwrap())])).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { line: 2, .. }), "{error:?}");
}

#[test]
fn a_named_file_that_is_missing_is_said() {
    let config = load(&env(&[("HOME", "/home/dev"), ("LAMPLIGHT_CONFIG", "/nowhere/config.toml")])).unwrap();
    assert_eq!(
        config.warnings,
        ["/nowhere/config.toml: there is no such file; every setting has its default"]
    );
}

#[test]
fn an_exporters_token_that_cannot_be_used_lets_nobody_in() {
    assert_eq!(check("").otlp_token, None);
    assert_eq!(
        check("[otlp]\ntoken = \"correct-horse-battery\"").otlp_token.as_deref(),
        Some("correct-horse-battery")
    );
    for text in [
        "[otlp]\ntoken = \"short\"",
        "[otlp]\ntoken = 1234567890123456",
        "[otlp]\ntoken = \"sixteen spaces  in it\"",
        "[otlp]\ntoken = \"\"",
    ] {
        let config = check(text);
        assert_eq!(config.otlp_token.as_deref(), Some(""), "{text}");
        assert!(config.warnings[0].contains("no telemetry is taken in"), "{:?}", config.warnings);
    }
}

#[test]
fn the_example_file_holds_every_setting_and_is_understood() {
    let example = include_str!("../../../../config.example.toml");
    assert_eq!(check(example).warnings, Vec::<String>::new());
    // Its settings are commented out; with the marks removed each must be known, so that the example cannot rot.
    let uncommented: String =
        example.lines().map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line))).collect();
    let config = check(&uncommented);
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!config.session_labels.is_empty() && !config.projects.is_empty() && !config.prices.is_empty());
    assert!(config.roots.len() > 2 && config.durable && !config.git && config.otlp_token.is_some());
}

const FORWARD: &str = "[forward]\nendpoint = \"https://collector.example.org\"\n";

#[test]
fn forwarding_is_off_unless_an_endpoint_is_named() {
    assert_eq!(check("").forward, None);
    let forward = check(FORWARD).forward.unwrap();
    assert_eq!(forward.endpoint.to_string(), "https://collector.example.org:443");
    assert_eq!((forward.content, forward.own, forward.max_bytes), (false, true, 256 * 1024 * 1024));
    assert_eq!(forward.signals.len(), 3);
    let config = check("[forward]\ncontent = true");
    assert_eq!(config.forward, None);
    assert_eq!(config.warnings, ["line 1: forward needs an endpoint; nothing is forwarded until it has one"]);
}

#[test]
fn what_is_not_understood_of_forwarding_sends_nothing() {
    for (line, warning) in [
        (
            "protocol = \"udp\"",
            "line 3: protocol must be \"http\" or \"grpc\"; nothing is forwarded until it is corrected",
        ),
        (
            "signals = [\"logs\", \"profiles\"]",
            "line 3: signals must be a list of \"logs\", \"traces\" and \"metrics\", not empty; nothing is forwarded until it is corrected",
        ),
        (
            "headers = { \"content-type\" = \"s3cret\" }",
            "line 3: content-type is a header that the protocol sets itself; nothing is forwarded until it is corrected",
        ),
        (
            "headers = \"s3cret\"",
            "line 3: headers must be a section of names and texts; nothing is forwarded until it is corrected",
        ),
    ] {
        let config = check(&format!("{FORWARD}{line}"));
        assert_eq!(config.warnings, [warning]);
        assert_eq!(config.forward, None, "{line}");
    }
    let config = check("[forward]\nendpoint = \"collector:4318\"");
    assert_eq!(config.forward, None);
    assert_eq!(
        config.warnings,
        ["line 2: endpoint must begin with http:// or https://; nothing is forwarded until it is corrected"]
    );
    let config = check(&format!("{FORWARD}content = \"yes\"\nmax_bytes = 5\ncontents = true"));
    assert!(!config.forward.unwrap().content);
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
}

#[test]
fn secrets_of_forwarding_are_never_shown_and_open_ones_are_warned_of() {
    let text = "[forward]\nendpoint = \"http://collector.example.org:4318\"\nheaders = { authorization = \"Bearer s3cret\" }";
    let config = check(text);
    assert_eq!(
        config.warnings,
        [
            "line 1: forward sends headers or content to another machine without encryption; use an endpoint with https"
        ]
    );
    assert_eq!(config.forward.as_ref().unwrap().headers.len(), 1);
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(check(&text.replace("collector.example.org", "127.0.0.1")).warnings, Vec::<String>::new());
}
