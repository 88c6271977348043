//! The settings file while an engine runs: a change holds at once, a mistake costs nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use lamplight_api::config_file;
use lamplight_engine::{Engine, clock};
use lamplight_model::view::{SourceHealth, Status};

const ID: &str = "bb0d985f-1111-4111-8111-000000000001";

/// Follows the published changes until the status is as wanted.
async fn until(engine: &Engine, what: &str, done: impl Fn(&Status) -> bool) {
    let mut changes = engine.subscribe().changes;
    while !done(&engine.status()) {
        let change = tokio::time::timeout(Duration::from_secs(60), changes.recv()).await;
        assert!(change.is_ok(), "{what} did not come: {:?}", engine.status());
    }
}

fn label(status: &Status) -> Option<(&str, Option<&str>)> {
    status.sessions.first().map(|card| (card.label.as_str(), card.project.as_deref()))
}

fn said(status: &Status) -> Option<String> {
    let source = status.sources.iter().find(|source| source.name == "settings")?;
    assert_eq!(source.state, SourceHealth::Degraded);
    Some(source.issues.iter().map(|issue| issue.message.as_str()).collect::<Vec<_>>().join(" | "))
}

fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_settings_holds_at_once_and_a_mistake_costs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let settings = home.path().join("config/lamplight/config.toml");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let variables: HashMap<&str, String> = HashMap::from([
        ("HOME", text(home.path())),
        ("LAMPLIGHT_DATA", text(&home.path().join("data"))),
        ("LAMPLIGHT_CONFIG", text(&settings)),
    ]);
    let env = move |name: &str| variables.get(name).cloned();
    let folder = home.path().join(".claude/projects/-w");
    fs::create_dir_all(&folder).unwrap();
    let record = serde_json::json!({"type": "user", "uuid": "11111111-0000-4000-8000-000000000001", "sessionId": ID,
        "timestamp": chrono::DateTime::from_timestamp_millis(clock::now().0).unwrap().to_rfc3339(), "cwd": text(home.path()), "version": "2.1.329",
        "message": {"role": "user", "content": "mend the till"}});
    fs::write(folder.join(format!("{ID}.jsonl")), format!("{record}\n")).unwrap();

    let engine = Engine::start(config_file::load(&env).unwrap()).unwrap();
    config_file::follow(&engine, env);
    until(&engine, "the session", |s| label(s).is_some_and(|(label, _)| label == "mend the till")).await;

    // The folder of the settings appears only now.
    fs::create_dir_all(settings.parent().unwrap()).unwrap();
    write(&settings, "[session_labels]\nbb0d985f = \"till\"\n[agents.claude-code]\nproject = \"shop\"\n");
    until(&engine, "its new name", |s| label(s) == Some(("till", Some("shop")))).await;
    assert_eq!(said(&engine.status()), None);

    write(&settings, "[session_labels\n");
    until(&engine, "the mistake", |s| said(s).is_some_and(|text| text.contains("not valid TOML in line 1")))
        .await;
    assert_eq!(label(&engine.status()), Some(("till", Some("shop"))), "what held holds");

    write(&settings, "[store]\ndurable = true\n[sessions]\nidle_minuts = 3\n");
    until(&engine, "what is not used", |s| said(s).is_some_and(|text| text.contains("idle_minutes?"))).await;
    assert!(said(&engine.status()).unwrap().contains("[store] durable was changed"));
    until(&engine, "the name of old", |s| label(s).is_some_and(|(label, _)| label == "mend the till")).await;

    // It is a link into a folder of dot files: what is written there holds too.
    let kept = home.path().join("dotfiles/lamplight.toml");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "[session_labels]\nbb0d985f = \"kept\"\n").unwrap();
    let link = settings.with_extension("link");
    std::os::unix::fs::symlink(&kept, &link).unwrap();
    fs::rename(&link, &settings).unwrap();
    until(&engine, "the linked file", |s| label(s).is_some_and(|(label, _)| label == "kept")).await;
    write(&kept, "[session_labels]\nbb0d985f = \"kept anew\"\n");
    until(&engine, "its change", |s| label(s).is_some_and(|(label, _)| label == "kept anew")).await;

    fs::remove_file(&settings).unwrap();
    until(&engine, "no settings", |s| said(s).is_some_and(|text| text.contains("there is no such file")))
        .await;
    engine.shutdown();
}
