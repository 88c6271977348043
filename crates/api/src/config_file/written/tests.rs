use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::config_file::load;

/// A home with a settings file of this text, or none.
fn home(text: Option<&str>) -> (tempfile::TempDir, Config) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/lamplight");
    if let Some(text) = text {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }
    let at = home.path().to_string_lossy().into_owned();
    let config = load(&|name| (name == "HOME").then(|| at.clone())).unwrap();
    (home, config)
}

fn set(config: &Config, pairs: &[(&str, Json)]) -> Result<Settings, String> {
    let set = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    change(config, &set).map_err(|error| error.to_string())
}

fn text(config: &Config) -> String {
    std::fs::read_to_string(config.setup.config_file.as_ref().unwrap()).unwrap_or_default()
}

#[test]
fn a_change_keeps_comments_order_and_everything_it_does_not_name_a15() {
    let before = "# mine\n[notify]\nmuted = [\"reply\"] # loud enough\nenabled = true # yes\n\n[prices.\"x\"]\ninput = 1.0\noutput = 2.0\n";
    let (_home, config) = home(Some(before));
    let shown =
        set(&config, &[("notify.enabled", json!(false)), ("sessions.idle_minutes", json!(90))]).unwrap();
    assert_eq!((shown.notify.enabled, shown.idle_minutes), (false, 90));
    assert_eq!(
        text(&config),
        "# mine\n[notify]\nmuted = [\"reply\"] # loud enough\nenabled = false # yes\n\n[prices.\"x\"]\ninput = 1.0\noutput = 2.0\n\n[sessions]\nidle_minutes = 90\n"
    );
    set(&config, &[("notify.enabled", json!(true)), ("sessions.idle_minutes", Json::Null)]).unwrap();
    assert!(text(&config).starts_with(before), "back to what it was: {}", text(&config));
}

#[test]
fn what_is_written_is_what_the_next_start_reads_a15() {
    let (home, config) = home(None);
    let folder = home.path().join("acme/.claude");
    std::fs::create_dir_all(&folder).unwrap();
    let shown = set(
        &config,
        &[
            ("notify.quiet", json!({"from": "22:30", "to": "07:00"})),
            ("notify.quiet_lets_blocked_through", json!(true)),
            ("notify.sound", json!(true)),
            ("notify.muted", json!(["reply", "crashed"])),
            ("notify.muted_projects", json!(["scratch"])),
            ("roots", json!([{"agent": "claude-code", "path": "~/acme/.claude"}])),
            ("git.status", json!(false)),
            ("terminals.find", json!(false)),
            ("window.strip", json!(true)),
        ],
    )
    .unwrap();
    assert!(shown.strip && !shown.git_status && !shown.find_terminals);
    let root = shown.roots.last().unwrap();
    assert_eq!((root.path.as_str(), root.is_default, root.exists), ("~/acme/.claude", false, true));
    let at = home.path().to_string_lossy().into_owned();
    let again = load(&|name| (name == "HOME").then(|| at.clone())).unwrap();
    assert_eq!(again.warnings, Vec::<String>::new());
    assert_eq!(again.notify.quiet, Some((22 * 60 + 30, 7 * 60)));
    assert!(again.notify.sound && again.notify.quiet_lets_blocked_through && !again.git && !again.terminals);
    assert_eq!(again.notify.muted_projects, ["scratch"]);
    assert_eq!(again.roots.last().unwrap().path, folder);
    let mode = config.setup.config_file.as_ref().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a token may be in it");
    set(&config, &[("roots", json!([]))]).unwrap();
    assert!(!text(&config).contains("roots"));
}

#[test]
fn what_would_not_be_understood_is_refused_and_nothing_is_written() {
    let before = "[notify]\nenabled = true\nold_key = 1\n";
    let (_home, config) = home(Some(before));
    for (name, value, says) in [
        ("notify.enabled", json!("loud"), "enabled must be true or false"),
        ("sessions.idle_minutes", json!(0), "must be a whole number from 1 to 43200"),
        ("notify.quiet", json!({"from": "25:00", "to": "07:00"}), "must be a time of day"),
        ("notify.muted", json!(["nothing"]), "no reason to notify"),
        ("notify.enabeld", json!(true), "is nothing that can be set from here"),
        ("nothing", json!(true), "is nothing that can be set from here"),
        ("roots", json!([{"agent": "emacs", "path": "/x"}]), "is no agent"),
        ("roots", json!("everywhere"), "must be a list of folders"),
    ] {
        let said = set(&config, &[("notify.previews", json!(false)), (name, value)]).unwrap_err();
        assert!(said.contains(says), "{name}: {said}");
        assert_eq!(text(&config), before, "{name}");
    }
    assert_eq!(
        shown(&config).unwrap().problems.len(),
        1,
        "the person's own slip is shown, and stops nothing"
    );
    set(&config, &[("notify.previews", json!(false))]).unwrap();
}

#[test]
fn a_file_that_is_no_toml_is_left_alone() {
    let before = "[notify\nenabled = true\n";
    let (home, _) = home(Some(""));
    let at = home.path().to_string_lossy().into_owned();
    let config = load(&|name| (name == "HOME").then(|| at.clone())).unwrap();
    std::fs::write(config.setup.config_file.as_ref().unwrap(), before).unwrap();
    let said = set(&config, &[("notify.previews", json!(false))]).unwrap_err();
    assert!(said.contains("line 1") && said.contains("nothing was written"), "{said}");
    assert_eq!(text(&config), before);
    assert_eq!(shown(&config).unwrap().problems.len(), 1);
}

#[test]
fn what_runs_lets_in_or_sends_away_is_set_by_hand_only() {
    let before = "[otlp]\ntoken = \"correct-horse-battery\"\n";
    let (_home, config) = home(Some(before));
    let file = config.setup.config_file.clone().unwrap();
    for (name, value) in [
        ("notify.command", json!(["/tmp/anything"])),
        ("forward.endpoint", json!("https://elsewhere.example.org")),
        ("forward.content", json!(true)),
        ("forward.headers", json!({"a": "b"})),
        ("otlp.token", json!("a-token-of-somebody-else")),
        ("otlp.token", Json::Null),
        ("otlp", Json::Null),
        ("agents.codex", json!({"project": "x"})),
        ("session_labels.x", json!("y")),
        ("prices.x", json!({"input": 0, "output": 0})),
        ("store.durable", json!(true)),
        ("notify.quiet.from", json!("22:00")),
        ("Notify.enabled", json!(true)),
        ("roots.path", json!("/")),
        ("", json!(true)),
    ] {
        let said = set(&config, &[("notify.previews", json!(false)), (name, value)]).unwrap_err();
        assert!(said.contains("by hand") && said.contains(file.to_str().unwrap()), "{name}: {said}");
        assert_eq!(text(&config), before, "{name}");
    }
}

#[test]
fn what_may_be_set_is_what_the_screen_sets() {
    let at = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let screen = [
        "frontend/src/screens/Settings.svelte",
        "frontend/src/lib/actions.svelte.ts",
        "src-tauri/src/commands.rs",
    ]
    .map(|file| std::fs::read_to_string(at(file)).unwrap())
    .concat();
    let sections =
        ["git", "notify", "sessions", "store", "terminals", "window", "otlp", "forward", "agents", "prices"];
    let is_name = |word: &&str| {
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        word.split_once('.').is_some_and(|(section, key)| sections.contains(&section) && is_word(key))
    };
    let mut named: Vec<&str> = screen.split('"').filter(is_name).collect();
    assert!(screen.contains("{ roots: "));
    named.push("roots");
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, SETTABLE);
}
