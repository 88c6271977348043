//! Set-up on settings as people have them: what it adds, what it leaves, and that undo gives back every byte.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]
#![cfg(unix)]

mod setup_support;

use std::os::unix::fs::PermissionsExt;

use lamplight_engine::setup::{self, SetupError};
use lamplight_model::view::{SetupAgent, SetupChoices, SetupOutcome, SetupStatus, SetupTelemetry};
use serde_json::Value;
use setup_support::{Home, fixture};

#[test]
fn set_up_connects_everything_and_undo_gives_back_every_byte() {
    let home = Home::lived_in();
    let before = home.tree();
    let done = home.apply(SetupChoices::default());
    assert_eq!(done.files.len(), 9, "{:#?}", done.files);
    for agent in home.state().agents {
        let expected = match agent.agent {
            // Its hooks wait for the person.
            SetupAgent::Codex => SetupStatus::Partly,
            _ => SetupStatus::Connected,
        };
        assert_eq!(agent.status, expected, "{agent:?}");
        assert_eq!((agent.hooks, agent.telemetry), (agent.hooks_wanted, Some(SetupTelemetry::Here)));
    }
    assert!(home.state().shells.iter().all(|shell| shell.connected));
    let undone = home.undo();
    for file in &undone.files {
        assert!(matches!(file.outcome, SetupOutcome::Restored | SetupOutcome::Removed), "{file:?}");
        assert_eq!(file.note, None);
    }
    assert_eq!(home.tree(), before);
    assert!(!home.state().can_undo);
    for made in [home.root.join(".config/fish/conf.d"), home.places.data_dir.join("shell")] {
        assert!(!made.exists(), "{} was made by set-up", made.display());
    }
}

#[test]
fn twice_is_as_once_and_the_first_original_is_kept() {
    let home = Home::lived_in();
    let before = home.tree();
    home.apply(SetupChoices::default());
    let once = home.tree();
    let again = home.plan(SetupChoices::default());
    assert!(again.is_empty(), "{:#?}", again.view());
    // Another lamp: only commands change, in place.
    let mut moved = home;
    moved.places.lamp = Some("/opt/new/lamp".into());
    assert!(
        moved
            .state()
            .agents
            .iter()
            .any(|agent| agent.notes.iter().any(|note| note.contains("a lamp that is gone, /usr/bin/lamp")))
    );
    moved.apply(SetupChoices::default());
    let old = "/usr/bin/lamp";
    for (path, bytes) in moved.tree() {
        let text = String::from_utf8_lossy(&bytes.0).into_owned();
        assert!(!text.contains(old), "{path}: {text}");
        let expected = String::from_utf8_lossy(&once[&path].0).replace(old, "/opt/new/lamp");
        assert_eq!(text, expected, "{path}");
    }
    moved.undo();
    assert_eq!(moved.tree(), before);
}

#[test]
fn what_the_person_has_stays_line_for_line() {
    let home = Home::lived_in();
    let before = home.tree();
    home.apply(SetupChoices::default());
    let after = home.tree();
    for (path, (bytes, mode)) in &before {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (now, now_mode) = &after[path];
        let now = String::from_utf8_lossy(now).into_owned();
        assert_eq!(mode, now_mode, "{path}");
        for line in text.lines() {
            // A comma may come behind what was last; what an older program wrote goes.
            let kept = now.lines().any(|l| l == line || l.strip_suffix(',') == Some(line));
            let rewritten =
                ["OTEL_RESOURCE_ATTRIBUTES", "\"ANTHROPIC_MODEL\"", "\"telemetry\"", "\"hooks\": [{"];
            assert!(kept || rewritten.iter().any(|part| line.contains(part)), "{path} lost: {line}\n{now}");
        }
    }
    let claude = &String::from_utf8_lossy(&after[".claude/settings.json"].0).into_owned();
    assert!(claude.contains("say done") && claude.contains("// blocks rm") && claude.contains("guard.sh"));
    assert!(!claude.contains("OTEL_RESOURCE_ATTRIBUTES"));
    assert!(!claude.contains("WorktreeCreate") && !claude.contains("LOG_USER_PROMPTS"));
}

#[test]
fn an_old_name_of_terminals_goes_from_settings_and_a_persons_own_stays_a55() {
    let home = Home::lived_in();
    let project = home.root.join("work/harness");
    let generated = r#"{"env": {"OTEL_RESOURCE_ATTRIBUTES": "service.name=claude-code-harness"}}"#;
    let own =
        r#"{"env": {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=dev,service.name=claude-code-x"}}"#;
    std::fs::create_dir_all(project.join(".claude")).unwrap();
    std::fs::write(project.join(".claude/settings.json"), generated).unwrap();
    std::fs::write(project.join(".claude/settings.local.json"), own).unwrap();
    let wish = setup::Wish { project_root: Some(project.clone()), ..setup::Wish::default() };
    let plan = setup::plan(&home.places, &wish);
    setup::apply(&plan, &plan.digest()).unwrap();
    let read = |name: &str| std::fs::read_to_string(project.join(".claude").join(name)).unwrap();
    assert!(!read("settings.json").contains("OTEL"), "{}", read("settings.json"));
    assert_eq!(read("settings.local.json"), own);
    let user = std::fs::read_to_string(home.root.join(".claude/settings.json")).unwrap();
    assert!(!user.contains("OTEL_RESOURCE_ATTRIBUTES"));
    home.undo();
    assert_eq!(read("settings.json"), generated);
}

#[test]
fn telemetry_that_goes_elsewhere_is_left_and_forwarding_is_named() {
    let home = Home::empty();
    home.write(".claude/settings.json", &fixture("claude-forwarded.json"));
    home.write(".codex/config.toml", &fixture("codex-own-notify.toml"));
    home.write(".gemini/settings.json", r#"{"telemetry": {"enabled": false}}"#);
    let shown = home.plan(SetupChoices::default()).view();
    home.apply(SetupChoices::default());
    let claude: Value = serde_json::from_str(&home.read(".claude/settings.json")).unwrap();
    let original: Value = serde_json::from_str(&fixture("claude-forwarded.json")).unwrap();
    assert_eq!(claude["env"], original["env"]);
    assert!(claude["hooks"]["Stop"].is_array());
    assert_eq!(home.read(".codex/config.toml"), fixture("codex-own-notify.toml"));
    let gemini: Value = serde_json::from_str(&home.read(".gemini/settings.json")).unwrap();
    assert_eq!(gemini["telemetry"], serde_json::json!({"enabled": false}));
    assert!(gemini["hooks"]["Notification"].is_array());
    let notes: Vec<String> = shown.agents.iter().flat_map(|agent| agent.notes.clone()).collect();
    for part in [
        "https://otel.example.com",
        "https://collector.example.com:4317",
        "`notify` calls a program of yours",
    ] {
        assert!(notes.iter().any(|note| note.contains(part)), "{part}: {notes:#?}");
    }
    assert!(notes.iter().filter(|note| note.contains("[forward]")).count() == 2, "{notes:#?}");
    let shown = format!("{shown:?}");
    assert!(!shown.contains("not-a-real-key"), "{shown}");
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let mut home = Home::lived_in();
    home.places.otlp_token = Some("a-token,of=16%signs".to_owned());
    let shown = format!("{:?}", home.plan(SetupChoices::default()).view());
    assert!(!shown.contains("of=16") && !shown.contains("of%3D16"), "{shown}");
    home.apply(SetupChoices::default());
    let headers = "Authorization=Bearer%20a-token%2Cof%3D16%25signs";
    assert!(home.read(".claude/settings.json").contains(headers));
    let codex: toml_edit::DocumentMut = home.read(".codex/config.toml").parse().unwrap();
    let http = &codex["otel"]["exporter"]["otlp-http"];
    assert_eq!(http["headers"]["Authorization"].as_str(), Some("Bearer a-token,of=16%signs"));
    assert_eq!(http["endpoint"].as_str(), Some("http://127.0.0.1:4318/v1/logs"));
}

#[test]
fn settings_that_cannot_be_understood_are_left_with_their_line_and_the_other_agents_go_on() {
    let home = Home::lived_in();
    let torn = "{\n  \"hooks\": {\n    \"Stop\": [ { \"hooks\": [ }\n";
    home.write(".claude/settings.json", torn);
    home.write(".codex/hooks.json", "{\"hooks\": []}");
    home.apply(SetupChoices::default());
    assert_eq!(home.read(".claude/settings.json"), torn);
    assert_eq!(home.read(".codex/hooks.json"), "{\"hooks\": []}");
    assert_eq!(home.read(".codex/config.toml"), fixture("codex-config.toml"), "nothing else of that agent");
    assert!(home.read(".gemini/settings.json").contains("otlpEndpoint"));
    let state = home.state();
    let notes = |agent: SetupAgent| {
        let found = state.agents.iter().find(|state| state.agent == agent).unwrap();
        assert_eq!(found.status, SetupStatus::Unreadable);
        found.notes.join(" ")
    };
    let claude = notes(SetupAgent::ClaudeCode);
    assert!(claude.contains("settings.json") && claude.contains("line 3, column"), "{claude}");
    assert!(notes(SetupAgent::Codex).contains("\"hooks\" in it is not an object"));
}

#[test]
fn agents_that_are_not_here_and_those_not_asked_for_are_not_touched() {
    let home = Home::empty();
    assert!(home.plan(SetupChoices::default()).is_empty());
    assert!(home.state().agents.iter().all(|agent| agent.status == SetupStatus::Absent));
    let home = Home::lived_in();
    let before = home.tree();
    home.apply(SetupChoices { agents: vec![SetupAgent::Codex], shell: true, ..SetupChoices::default() });
    let changed: Vec<String> = home
        .tree()
        .into_iter()
        .filter(|(path, file)| before.get(path) != Some(file))
        .map(|(p, _)| p)
        .collect();
    assert_eq!(changed, [".codex/config.toml", ".codex/hooks.json"]);
}

#[test]
fn switches_leave_out_what_they_name() {
    let home = Home::lived_in();
    let off = SetupChoices { hooks: false, telemetry: false, shell: false, ..SetupChoices::default() };
    let only_old = home.plan(off.clone()).view();
    assert_eq!(only_old.changes.len(), 1, "the old attribute goes all the same: {only_old:#?}");
    home.apply(SetupChoices { telemetry: true, ..off.clone() });
    assert!(!home.read(".claude/settings.json").contains("# lamplight"));
    home.undo();
    home.apply(SetupChoices { hooks: true, ..off });
    assert!(!home.read(".claude/settings.json").contains("OTEL_"));
    assert!(!home.read(".codex/config.toml").contains("[otel]"));
}

#[test]
fn a_link_stays_one_and_odd_modes_stay_odd() {
    let home = Home::lived_in();
    let real = home.root.join("dotfiles/claude.json");
    std::fs::create_dir_all(real.parent().unwrap()).unwrap();
    std::fs::rename(home.root.join(".claude/settings.json"), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o664)).unwrap();
    let link = home.root.join(".claude/settings.json");
    std::os::unix::fs::symlink("../dotfiles/claude.json", &link).unwrap();
    let original = std::fs::read(&real).unwrap();
    let shown = home.plan(SetupChoices::default()).view();
    let change = shown.changes.iter().find(|change| change.path.ends_with(".claude/settings.json")).unwrap();
    assert!(change.links_to.as_ref().is_some_and(|to| to.ends_with("dotfiles/claude.json")), "{change:?}");
    home.apply(SetupChoices::default());
    assert!(link.is_symlink() && std::fs::read_to_string(&real).unwrap().contains("# lamplight"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o664);
    home.undo();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&real).unwrap(), original);
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o664);
}

#[test]
fn what_was_edited_since_keeps_its_edits_and_loses_what_is_ours() {
    let home = Home::lived_in();
    home.write(".codex/hooks.json", "");
    std::fs::remove_file(home.root.join(".codex/hooks.json")).unwrap();
    home.apply(SetupChoices::default());
    let edit = |path: &str, from: &str, to: &str| {
        let text = home.read(path);
        assert!(text.contains(from), "{path}: {text}");
        home.write(path, &text.replacen(from, to, 1));
    };
    edit(".claude/settings.json", "\"deny\": []", "\"deny\": [\"Bash(rm:*)\"]");
    // Codex writes what was accepted into the same file.
    let accepted = "\n[hooks.state.\"x:stop:0:0\"]\ntrusted_hash = \"sha256:0\"\n";
    home.write(".codex/config.toml", &(home.read(".codex/config.toml") + accepted));
    edit(".bashrc", "alias ll='ls -alF'", "alias ll='ls -l'");
    assert!(home.state().agents.iter().any(|agent| agent.edited_since));
    let undone = home.undo();
    let outcome = |path: &str| undone.files.iter().find(|f| f.path.ends_with(path)).unwrap().outcome;
    for path in [".claude/settings.json", ".codex/config.toml", ".bashrc"] {
        assert_eq!(outcome(path), SetupOutcome::TakenOut, "{path}");
    }
    assert_eq!(outcome(".codex/hooks.json"), SetupOutcome::Removed);
    let original = fixture("claude-settings.json");
    let attribute = original.lines().find(|line| line.contains("OTEL_RESOURCE")).unwrap();
    let expected = original.replace("\"deny\": []", "\"deny\": [\"Bash(rm:*)\"]");
    let expected = expected.replace(&format!(",\n{attribute}"), "");
    let read = home.read(".claude/settings.json");
    assert_eq!(without_spaces(&read), without_spaces(&expected), "{read}");
    assert_eq!(home.read(".codex/config.toml"), fixture("codex-config.toml") + accepted);
    assert_eq!(home.read(".bashrc"), fixture("bashrc").replace("ls -alF", "ls -l"));
}

#[test]
fn edits_between_two_set_ups_are_kept_by_undo() {
    let home = Home::lived_in();
    home.apply(SetupChoices { telemetry: false, ..SetupChoices::default() });
    let with_edit = home.read(".gemini/settings.json").replace("GitHub Light", "Ayu");
    home.write(".gemini/settings.json", &with_edit);
    let claude = home.read(".claude/settings.json").replace("say done", "say ready");
    home.write(".claude/settings.json", &claude);
    home.apply(SetupChoices::default());
    home.undo();
    assert!(home.read(".gemini/settings.json").contains("Ayu"));
    let claude = home.read(".claude/settings.json");
    assert!(
        claude.contains("say ready") && !claude.contains("lamplight") && !claude.contains("OTEL_"),
        "{claude}"
    );
}

#[test]
fn a_plan_that_fits_no_longer_is_refused_and_nothing_is_written() {
    let home = Home::lived_in();
    let plan = home.plan(SetupChoices::default());
    let digest = plan.digest();
    home.write(".gemini/settings.json", "{}");
    let before = home.tree();
    let outdated = home.plan(SetupChoices::default());
    assert!(matches!(setup::apply(&outdated, &digest), Err(SetupError::Outdated)));
    assert_eq!(home.tree(), before);
    // Changed between looking again and writing: that file is refused, and said with what was written before it.
    let Err(SetupError::File { source, done }) = setup::apply(&plan, &digest) else {
        panic!("it was written")
    };
    assert!(source.to_string().contains("changed in the meantime"), "{source}");
    assert!(!done.is_empty());
    assert_eq!(home.read(".gemini/settings.json"), "{}");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_its_file_and_says_so() {
    let home = Home::lived_in();
    let folder = home.root.join(".claude");
    let before = home.read(".claude/settings.json");
    // A folder with a name in the way is as good as a read-only one, also for root.
    let blocked = folder.join(format!(".settings.json.lamplight-{}", std::process::id()));
    std::fs::create_dir(&blocked).unwrap();
    let plan = home.plan(SetupChoices::default());
    let Err(SetupError::File { source, done }) = setup::apply(&plan, &plan.digest()) else {
        panic!("it was written")
    };
    assert!(source.to_string().contains(".claude/settings.json cannot be written"), "{source}");
    assert!(done.is_empty());
    assert_eq!(home.read(".claude/settings.json"), before);
    std::fs::remove_dir(&blocked).unwrap();
    let before = home.tree();
    home.apply(SetupChoices::default());
    // Undoing says of it that it failed, and of the others what became of them.
    std::fs::create_dir(&blocked).unwrap();
    let done = home.undo();
    let failed: Vec<&str> = done
        .files
        .iter()
        .filter(|file| file.outcome == SetupOutcome::Failed)
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(failed, [folder.join("settings.json").to_str().unwrap()]);
    std::fs::remove_dir(&blocked).unwrap();
    home.undo();
    assert_eq!(home.tree(), before);
}

#[test]
fn only_the_owner_can_read_what_is_kept() {
    let home = Home::lived_in();
    home.apply(SetupChoices::default());
    let kept = home.places.data_dir.join("setup");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&kept), 0o700);
    for entry in std::fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
