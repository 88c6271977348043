//! Codex: `hooks.json`, and in `config.toml` its `notify` and where its logs go.

use std::path::Path;

use lamplight_model::view::SetupAgent;
use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

use super::agent::{Edited, Survey, Want};
use super::command::is_ours;
use super::hooks::{self, Installed, Wanted};
use super::telemetry::{self, Found, HTTP};
use super::text::{Entry, Json, TextError, Toml, shape};

/// Events that change what is known of a session. Not `PreToolUse`: what it tells, the rollout tells at once too.
pub(super) const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PermissionRequest",
    "PostToolUse",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "Interrupt",
    "SessionEnd",
];
/// Seconds a hook may take; ours takes milliseconds.
const TIMEOUT: u32 = 5;

const NOTIFY: &str = "notify";
const OTEL: &str = "otel";
const EXPORTER: &str = "exporter";

/// What is told of hooks that wait for the person.
pub(super) const TRUST: &str = "Codex runs new hooks only once you accepted them: the next time you start `codex` it shows \"Hooks need review\"; choose \"Trust all and continue\". Until then it reports the end of turns only.";

/// What is there; `hooks_path` is how Codex names its hooks file.
pub(super) fn survey(
    hooks_text: &str,
    config_text: &str,
    hooks_path: &Path,
    want: &Want<'_>,
) -> Result<Survey, TextError> {
    let json = Json::parse(hooks_text)?;
    let hooks = hooks::installed(json.object(), wanted(want))?;
    let toml = Toml::parse(config_text)?;
    let root = toml.document.as_table();
    let address = address(root)?;
    let found = found(root, address.as_deref());
    let mut notes: Vec<String> = found.note(SetupAgent::Codex.name()).into_iter().collect();
    if want.hooks && has_other_notify(root) {
        notes.push("Codex's `notify` calls a program of yours, which is left as it is; hooks tell the same and more.".to_owned());
    }
    if hooks_are_off(root) {
        notes.push("Codex's hooks are switched off in its config.toml (`[features]`).".to_owned());
    }
    let trusted = (!hooks.places.is_empty()).then(|| is_trusted(root, &hooks, hooks_path));
    if trusted == Some(false) {
        notes.push(TRUST.to_owned());
    }
    Ok(Survey {
        hooks,
        wanted: u32::try_from(EVENTS.len()).unwrap_or(u32::MAX),
        trusted,
        telemetry: Some(found.view()),
        notes,
    })
}

/// Adds the hooks.
pub(super) fn edit_hooks(text: &str, want: &Want<'_>) -> Result<Edited, TextError> {
    let json = Json::parse(text)?;
    let entries = hooks::install(json.object(), wanted(want))?;
    Ok(Edited { text: json.into_text(), entries, why: Vec::new() })
}

/// Adds `notify` where none is, and the address of the logs where there is none.
///
/// Metrics name no conversation and count hidden threads, traces are a megabyte for a line of answer (formats, 6);
/// neither is asked for.
pub(super) fn edit_config(text: &str, notify: &[String], want: &Want<'_>) -> Result<Edited, TextError> {
    let mut toml = Toml::parse(text)?;
    let mut edited = Edited::default();
    let root = toml.document.as_table_mut();
    if want.hooks && !has_other_notify(root) {
        let wanted: Array = notify.iter().map(String::as_str).collect();
        let is_same = root.get(NOTIFY).and_then(Item::as_array).is_some_and(|now| same_texts(now, notify));
        if !is_same {
            edited.entries.push(Entry::made(&[NOTIFY]));
            root.insert(NOTIFY, toml_edit::value(wanted));
        }
    }
    if want.telemetry {
        let address = address(root)?;
        if matches!(found(root, address.as_deref()), Found::Off | Found::Here) {
            point_logs_here(root, want, &mut edited)?;
        }
    }
    edited.text = toml.text();
    Ok(edited)
}

/// Takes our hooks out.
pub(super) fn take_out_hooks(text: &str, entries: &[Entry]) -> Result<String, TextError> {
    let json = Json::parse(text)?;
    hooks::remove(json.object(), entries)?;
    Ok(json.into_text())
}

/// Takes our `notify` and our address out.
pub(super) fn take_out_config(text: &str, entries: &[Entry]) -> Result<String, TextError> {
    let mut toml = Toml::parse(text)?;
    let root = toml.document.as_table_mut();
    if root.get(NOTIFY).is_some_and(is_our_notify) {
        root.remove(NOTIFY);
    }
    let exporter_is_ours = address(root)?.is_some_and(|address| telemetry::is_here(&address))
        && entries.contains(&Entry::made(&[OTEL, EXPORTER]));
    if exporter_is_ours && let Some(otel) = root.get_mut(OTEL).and_then(Item::as_table_like_mut) {
        otel.remove(EXPORTER);
        if otel.is_empty() && entries.contains(&Entry::made(&[OTEL])) {
            root.remove(OTEL);
        }
    }
    Ok(toml.text())
}

fn wanted<'a>(want: &Want<'a>) -> Wanted<'a> {
    Wanted { events: EVENTS, command: want.command, timeout: TIMEOUT }
}

fn is_our_notify(item: &Item) -> bool {
    item.as_array().is_some_and(|args| args.iter().any(|arg| arg.as_str().is_some_and(is_ours)))
}

fn has_other_notify(root: &Table) -> bool {
    root.get(NOTIFY)
        .is_some_and(|item| !is_our_notify(item) && item.as_array().is_none_or(|args| !args.is_empty()))
}

fn same_texts(now: &Array, wanted: &[String]) -> bool {
    now.len() == wanted.len() && now.iter().zip(wanted).all(|(now, wanted)| now.as_str() == Some(wanted))
}

fn hooks_are_off(root: &Table) -> bool {
    let features = root.get("features").and_then(Item::as_table_like);
    ["hooks", "codex_hooks"]
        .iter()
        .any(|key| features.and_then(|f| f.get(key)).and_then(Item::as_bool) == Some(false))
}

fn otel(root: &Table) -> Result<Option<&dyn TableLike>, TextError> {
    match root.get(OTEL) {
        None => Ok(None),
        Some(item) => item.as_table_like().map(Some).ok_or_else(|| shape(OTEL, "a table")),
    }
}

/// Where logs go; a name like `"statsig"` stands for its service.
fn address(root: &Table) -> Result<Option<String>, TextError> {
    let Some(exporter) = otel(root)?.and_then(|otel| otel.get(EXPORTER)) else { return Ok(None) };
    if let Some(name) = exporter.as_str() {
        return Ok((name != "none").then(|| format!("\"{name}\"")));
    }
    let Some(kinds) = exporter.as_table_like() else { return Err(shape(EXPORTER, "a text or a table")) };
    let endpoint = kinds.iter().find_map(|(_, kind)| {
        kind.as_table_like().and_then(|kind| kind.get("endpoint")).and_then(Item::as_str)
    });
    Ok(endpoint.map(ToOwned::to_owned))
}

fn found<'a>(root: &Table, address: Option<&'a str>) -> Found<'a> {
    let exporter = root.get(OTEL).and_then(Item::as_table_like).and_then(|otel| otel.get(EXPORTER));
    let is_refused = exporter.and_then(Item::as_str) == Some("none");
    telemetry::judge(address, true, is_refused)
}

fn point_logs_here(root: &mut Table, want: &Want<'_>, edited: &mut Edited) -> Result<(), TextError> {
    let mut http = InlineTable::new();
    http.insert("endpoint", Value::from(format!("{HTTP}/v1/logs")));
    http.insert("protocol", Value::from("binary"));
    let token = want.places.otlp_token.as_deref().filter(|token| !token.is_empty());
    if let Some(token) = token {
        let mut headers = InlineTable::new();
        headers.insert("Authorization", Value::from(format!("Bearer {token}")));
        http.insert("headers", Value::InlineTable(headers));
    }
    let mut exporter = InlineTable::new();
    exporter.insert("otlp-http", Value::InlineTable(http));
    if root.get(OTEL).is_none() {
        root.insert(OTEL, Item::Table(Table::new()));
        edited.entries.push(Entry::made(&[OTEL]));
    }
    let otel = root.get_mut(OTEL).and_then(Item::as_table_like_mut).ok_or_else(|| shape(OTEL, "a table"))?;
    if otel.get(EXPORTER).is_none() {
        otel.insert(EXPORTER, Item::Value(Value::InlineTable(exporter)));
        edited.entries.push(Entry::made(&[OTEL, EXPORTER]));
    }
    Ok(())
}

/// Whether the person accepted every hook of ours. Codex keeps a hash of what was accepted under the place of the hook;
/// how it hashes is not known, so that an accepted hook that changed since counts as accepted.
fn is_trusted(root: &Table, hooks: &Installed, path: &Path) -> bool {
    let state = root
        .get("hooks")
        .and_then(Item::as_table_like)
        .and_then(|hooks| hooks.get("state"))
        .and_then(Item::as_table_like);
    hooks.places.iter().all(|(event, group, at)| {
        let key = format!("{}:{}:{group}:{at}", path.display(), snake_case(event));
        state
            .and_then(|state| state.get(&key))
            .and_then(Item::as_table_like)
            .is_some_and(|hook| hook.get("trusted_hash").is_some())
    })
}

fn snake_case(event: &str) -> String {
    let mut out = String::new();
    for (at, c) in event.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_codex_keeps_its_trust() {
        assert_eq!(snake_case("UserPromptSubmit"), "user_prompt_submit");
        assert_eq!(snake_case("Stop"), "stop");
    }
}
