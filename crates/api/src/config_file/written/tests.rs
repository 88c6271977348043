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

/// Everything in a file that is said for people: its lines that are comments, and what stands behind values.
fn comments(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.find("# ").or(line.find("#:")).and_then(|at| line.get(at..)))
        .collect();
    found.sort_unstable();
    found
}

/// Changes a file step by step; no step may lose a comment, and each is read as it was meant.
fn check(name: &str, before: &str, steps: &[(&str, Json)]) -> String {
    let (_home, config) = home(Some(before));
    for (setting, value) in steps {
        set(&config, &[(setting, value.clone())]).unwrap();
        let after = text(&config);
        assert_eq!(comments(&after), comments(before), "{name}, {setting} = {value}:\n{after}");
        assert_eq!(
            shown(&config).unwrap().problems,
            Vec::<String>::new(),
            "{name}, {setting} = {value}:\n{after}"
        );
    }
    text(&config)
}

#[test]
fn no_change_of_the_screen_loses_a_comment() {
    let example = include_str!("../../../../../config.example.toml");
    let live = |line: &str, wanted: &dyn Fn(&str) -> bool| match line.strip_prefix("#: ") {
        Some(setting) if wanted(setting) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    let with =
        |wanted: &dyn Fn(&str) -> bool| example.lines().map(|line| live(line, wanted)).collect::<String>();
    let acme = json!({"agent": "claude-code", "path": "~/clients/acme/.claude"});
    let other = json!({"agent": "codex", "path": "/mnt/other \"home\"/.codex"});
    let steps = [
        ("notify.enabled", json!(false)),
        ("notify.muted", json!(["interrupted", "reply"])),
        ("notify.muted", json!(["reply"])),
        ("notify.muted", json!([])),
        ("notify.muted_projects", json!(["scratch", "harbor"])),
        ("notify.muted_projects", json!(["harbor"])),
        ("notify.sound", json!(true)),
        ("notify.previews", json!(false)),
        ("notify.quiet", json!({"from": "21:00", "to": "06:30"})),
        ("notify.quiet_lets_blocked_through", json!(true)),
        ("notify.quiet", Json::Null),
        ("notify.quiet", json!({"from": "22:00", "to": "07:30"})),
        ("roots", json!([acme, other])),
        ("roots", json!([other])),
        ("roots", json!([])),
        ("roots", json!([acme])),
        ("git.status", json!(false)),
        ("terminals.find", json!(false)),
        ("sessions.idle_minutes", json!(60)),
        ("sessions.resume_max_hours", json!(48)),
        ("store.max_bytes", json!(3_000_000_000_u64)),
        ("window.strip", json!(true)),
    ];
    check("as it is delivered", example, &steps);
    check("everything in it", &with(&|_| true), &steps);
    check(
        "folders and lists",
        &with(&|line| {
            ["[[roots]]", "agent", "path", "quiet", "muted"].iter().any(|word| line.starts_with(word))
        }),
        &steps,
    );
    check(
        "comments alone",
        &example
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
        &steps,
    );
}

#[test]
fn folders_come_and_go_where_they_stand() {
    let before = "# mine\n[[roots]] # the first\n# whose\nagent = \"codex\"\npath = \"/a #b\" # where\n\n# the second\n[[roots]]\nagent = \"claude-code\"\npath = \"/b\"\n# still of the second\n\n# told\n[notify]\nenabled = true\n# the end\n";
    let b = json!({"agent": "claude-code", "path": "/b"});
    let c = json!({"agent": "gemini", "path": "/c"});
    assert_eq!(
        check("one goes, one comes", before, &[("roots", json!([b, c]))]),
        "# mine\n# the first\n# whose\n# where\n\n# the second\n[[roots]]\nagent = \"claude-code\"\npath = \"/b\"\n\n[[roots]]\nagent = \"gemini\"\npath = \"/c\"\n# still of the second\n\n# told\n[notify]\nenabled = true\n# the end\n"
    );
    let (_home, config) = home(Some(before));
    let both = json!([{"agent": "codex", "path": "/a #b"}, b]);
    set(&config, &[("roots", both)]).unwrap();
    assert_eq!(text(&config), before, "what is there already is left as it is");
    check(
        "in one line each",
        "roots = [\n  # mine\n  { agent = \"codex\", path = \"/a\" }, # first\n  { agent = \"claude-code\", path = \"/b\" } # second\n] # all\n",
        &[("roots", json!([b, c])), ("roots", json!([c])), ("roots", json!([]))],
    );
    assert_eq!(
        check("none yet", "# mine\n[window]\nstrip = true\n# the end", &[("roots", json!([c]))]),
        "# mine\n[window]\nstrip = true\n# the end\n\n[[roots]]\nagent = \"gemini\"\npath = \"/c\"\n"
    );
}

#[test]
fn folders_that_are_not_understood_stay() {
    let before =
        "[[roots]]\nagent = \"emacs\"\npath = \"/x\"\n\n[[roots]]\nagent = \"codex\"\npath = \"/a\"\n";
    let (_home, config) = home(Some(before));
    set(&config, &[("roots", json!([]))]).unwrap();
    assert_eq!(text(&config), "[[roots]]\nagent = \"emacs\"\npath = \"/x\"\n");
    let (_home, config) = home(Some("roots = \"everywhere\"\n"));
    let said = set(&config, &[("roots", json!([{"agent": "codex", "path": "/a"}]))]).unwrap_err();
    assert!(said.contains("written as [[roots]]"), "{said}");
    let (_home, config) = home(Some("[[roots]]\nagent = \"codex\"\npath = \"/a\"\n[roots.more]\nx = 1\n"));
    let said = set(&config, &[("roots", json!([]))]).unwrap_err();
    assert!(said.contains("by hand"), "{said}");
}

#[test]
fn lists_and_quiet_hours_change_in_the_form_they_are_written_in() {
    let list =
        "[notify]\nmuted = [\n  # too loud\n  \"reply\", # really\n  \"crashed\",\n  # the rest\n] # so\n";
    assert_eq!(
        check("a list", list, &[("notify.muted", json!(["crashed", "limit"]))]),
        "[notify]\nmuted = [\n  # too loud\n  # really\n  \"crashed\",\n  # the rest\n  \"limit\",\n] # so\n"
    );
    check("to nothing", list, &[("notify.muted", json!([])), ("notify.muted", json!(["plan"]))]);
    check("taken out", list, &[("notify.muted", Json::Null)]);
    let open = "[notify]\nmuted_projects = [\n  \"a\",\n  \"b\" # last\n]\n";
    assert_eq!(
        check("without a comma at the end", open, &[("notify.muted_projects", json!(["a", "b", "c"]))]),
        "[notify]\nmuted_projects = [\n  \"a\",\n  \"b\", # last\n  \"c\"\n]\n"
    );
    let section = "[notify]\nsound = true\n\n# nights\n[notify.quiet] # local\n# begin\nfrom = \"22:30\" # late\nto = 07:00:00\n\n# git\n[git]\nstatus = true\n";
    assert_eq!(
        check("a section", section, &[("notify.quiet", json!({"from": "21:00", "to": "06:00"}))]),
        section.replace("22:30", "21:00").replace("07:00:00", "\"06:00\"")
    );
    assert_eq!(
        check("a section that goes", section, &[("notify.quiet", Json::Null)]),
        "[notify]\nsound = true\n\n# nights\n# local\n# begin\n# late\n\n# git\n[git]\nstatus = true\n"
    );
    let dotted = "# mine\nnotify.quiet.from = \"22:30\" # late\n# end\nnotify.quiet.to = \"07:00\"\nnotify.sound = true\n# last\n";
    assert_eq!(
        check(
            "dots",
            dotted,
            &[("notify.quiet", json!({"from": "21:00", "to": "07:00"})), ("notify.quiet", Json::Null)]
        ),
        "# mine\n# late\n# end\nnotify.sound = true\n# last\n"
    );
    assert_eq!(
        check(
            "one line",
            "[notify]\n# nights\nquiet = { from = \"22:30\", to = \"07:00\" } # local\nsound = true\n",
            &[("notify.quiet", Json::Null)]
        ),
        "[notify]\n# nights\n# local\nsound = true\n"
    );
    let windows = "# mine\r\n[notify]\r\nsound = true\r\n";
    assert_eq!(
        check("lines of Windows", windows, &[("notify.sound", json!(false)), ("git.status", json!(false))]),
        "# mine\r\n[notify]\r\nsound = false\r\n\r\n[git]\r\nstatus = false\r\n"
    );
}
