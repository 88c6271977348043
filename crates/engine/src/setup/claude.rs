//! Claude Code: `settings.json`, its hooks and the environment it gives itself.

use jsonc_parser::cst::{CstInputValue, CstObject};
use lamplight_model::view::SetupAgent;

use super::agent::{Edited, Survey, Want};
use super::hooks::{self, Wanted};
use super::telemetry::{self, Found, GRPC, HEADERS_START, HTTP};
use super::text::{Entry, Json, TextError, object_at, object_or_make, once, text_at};

/// Events that change what is known of a session (`lamplight_model::hook`). Not `PreToolUse` and `SubagentStart`, which
/// tell nothing the others do not and cost time before every call; never `WorktreeCreate`, whose hook replaces the
/// agent's own work.
pub(super) const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PermissionRequest",
    "PermissionDenied",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "Elicitation",
    "ElicitationResult",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "StopFailure",
    "SessionEnd",
];
/// Seconds a hook may take; ours takes milliseconds.
pub(super) const TIMEOUT: u32 = 5;

const ENV: &str = "env";
const ENABLE: &str = "CLAUDE_CODE_ENABLE_TELEMETRY";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const ENDPOINTS: &[&str] = &[
    ENDPOINT,
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// Set beside endpoint and protocol. Prompts are not among what is sent unless the person says so.
const SWITCHES: &[(&str, &str)] = &[
    (ENABLE, "1"),
    ("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", "1"),
    ("OTEL_LOGS_EXPORTER", "otlp"),
    ("OTEL_METRICS_EXPORTER", "otlp"),
    ("OTEL_TRACES_EXPORTER", "otlp"),
];

/// What is there.
pub(super) fn survey(text: &str, want: &Want<'_>) -> Result<Survey, TextError> {
    let json = Json::parse(text)?;
    let root = json.object();
    let env = object_at(root, ENV)?;
    let addresses = addresses(env.as_ref(), want);
    let found = found(env.as_ref(), &addresses);
    let mut notes: Vec<String> = found.note(SetupAgent::ClaudeCode.name()).into_iter().collect();
    let is_off = root.get("disableAllHooks").and_then(|p| p.value()).and_then(|v| v.as_boolean_lit());
    if is_off.is_some_and(|is_off| is_off.value()) {
        notes.push(
            "\"disableAllHooks\" is true in Claude Code's settings: no hook runs until it is taken out."
                .to_owned(),
        );
    }
    Ok(Survey {
        hooks: hooks::installed(root, wanted(want))?,
        wanted: u32::try_from(EVENTS.len()).unwrap_or(u32::MAX),
        trusted: None,
        telemetry: Some(found.view()),
        notes,
    })
}

/// Adds what is wanted and missing.
pub(super) fn edit(text: &str, want: &Want<'_>) -> Result<Edited, TextError> {
    let json = Json::parse(text)?;
    let mut edited = Edited::default();
    if want.hooks {
        edited.entries.extend(hooks::install(json.object(), wanted(want))?);
    }
    if take_attributes(json.object())? {
        edited.why.push(ATTRIBUTES_WHY.to_owned());
    }
    if want.telemetry {
        switch_on(json.object(), want, &mut edited)?;
    }
    edited.text = json.into_text();
    Ok(edited)
}

/// Takes an old name of the terminal out of a project's settings; nothing else of them is ours.
pub(super) fn edit_project(text: &str) -> Result<Edited, TextError> {
    let json = Json::parse(text)?;
    let mut edited = Edited::default();
    if take_attributes(json.object())? {
        edited.why.push(ATTRIBUTES_WHY.to_owned());
        edited.text = json.into_text();
    } else {
        text.clone_into(&mut edited.text);
    }
    Ok(edited)
}

const ATTRIBUTES_WHY: &str = "OTEL_RESOURCE_ATTRIBUTES goes: here it would give every terminal the same name; the shell's wrapper sets it for each.";

/// Takes out what was added.
pub(super) fn take_out(text: &str, entries: &[Entry]) -> Result<String, TextError> {
    let json = Json::parse(text)?;
    hooks::remove(json.object(), entries)?;
    if let Some(env) = object_at(json.object(), ENV)? {
        // Whoever sent it elsewhere since needs the switches.
        let is_ours = addresses_of(&env).iter().all(|address| telemetry::is_here(address));
        for entry in entries.iter().filter(|_| is_ours) {
            if let ([outer, key], Some(value)) = (entry.path.as_slice(), &entry.value)
                && outer == ENV
                && text_at(&env, key).as_ref() == Some(value)
                && let Some(property) = env.get(key)
            {
                property.remove();
            }
        }
        if env.properties().is_empty()
            && entries.contains(&Entry::made(&[ENV]))
            && let Some(property) = json.object().get(ENV)
        {
            property.remove();
        }
    }
    Ok(json.into_text())
}

fn wanted<'a>(want: &Want<'a>) -> Wanted<'a> {
    Wanted { events: EVENTS, command: want.command, timeout: TIMEOUT }
}

fn addresses_of(env: &CstObject) -> Vec<String> {
    ENDPOINTS.iter().filter_map(|key| text_at(env, key)).filter(|address| !address.is_empty()).collect()
}

/// Addresses in the settings, else the one of the environment the agent is started from.
fn addresses(env: Option<&CstObject>, want: &Want<'_>) -> Vec<String> {
    let mut named = env.map(addresses_of).unwrap_or_default();
    if named.is_empty() {
        named.extend(want.places.otlp_env.clone());
    }
    // A key for somewhere that is not named here: it must not be sent to us.
    let has_key = env.and_then(|env| text_at(env, HEADERS)).is_some_and(|h| !h.starts_with(HEADERS_START));
    if named.is_empty() && has_key {
        named.push("an address that the environment names".to_owned());
    }
    named
}

fn found<'a>(env: Option<&CstObject>, addresses: &'a [String]) -> Found<'a> {
    let enabled = env.and_then(|env| text_at(env, ENABLE));
    let is_on = enabled.as_deref().is_some_and(is_true);
    let is_refused = enabled.is_some() && !is_on;
    telemetry::judge(addresses.iter().map(String::as_str), is_on, is_refused)
}

fn is_true(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

fn switch_on(root: &CstObject, want: &Want<'_>, edited: &mut Edited) -> Result<(), TextError> {
    let env = object_at(root, ENV)?;
    let addresses = addresses(env.as_ref(), want);
    if matches!(found(env.as_ref(), &addresses), Found::Elsewhere(_) | Found::Refused) {
        return Ok(());
    }
    let (env, is_new) = object_or_make(root, ENV)?;
    if is_new {
        edited.entries.push(Entry::made(&[ENV]));
    }
    let is_grpc = text_at(&env, PROTOCOL).as_deref() == Some("grpc");
    let endpoint = if is_grpc { GRPC } else { HTTP };
    for (key, value) in SWITCHES.iter().copied().chain([(PROTOCOL, "http/protobuf"), (ENDPOINT, endpoint)]) {
        once(&env, key)?;
        if env.get(key).is_none() {
            env.append(key, CstInputValue::from(value));
            edited.entries.push(Entry::set(&[ENV, key], value));
        }
    }
    if let Some(headers) = telemetry::headers(want.places) {
        match env.get(HEADERS) {
            None => {
                env.append(HEADERS, CstInputValue::from(headers.as_str()));
                edited.entries.push(Entry::set(&[ENV, HEADERS], &headers));
            }
            Some(property) => {
                let old = text_at(&env, HEADERS).unwrap_or_default();
                if old != headers && old.starts_with(HEADERS_START) && !old.contains(',') {
                    property.set_value(CstInputValue::from(headers.as_str()));
                    edited.entries.push(Entry::set(&[ENV, HEADERS], &headers));
                }
            }
        }
    }
    Ok(())
}

/// Removes `OTEL_RESOURCE_ATTRIBUTES` where Lamplight or a program it follows wrote it: only names, and the agent's own.
/// Settings win over the environment, so that it would hide what the wrapper says of each terminal.
fn take_attributes(root: &CstObject) -> Result<bool, TextError> {
    let Some(env) = object_at(root, ENV)? else { return Ok(false) };
    once(&env, ATTRIBUTES)?;
    let is_old = text_at(&env, ATTRIBUTES).is_some_and(|text| is_generated(&text));
    if let Some(property) = env.get(ATTRIBUTES).filter(|_| is_old) {
        property.remove();
    }
    Ok(is_old)
}

fn is_generated(text: &str) -> bool {
    let mut names_the_agent = false;
    let only_names = text.split(',').filter(|pair| !pair.trim().is_empty()).all(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        names_the_agent |= key.trim() == "service.name" && value.trim().starts_with("claude-code");
        matches!(key.trim(), "service.name" | "service.namespace" | "service.instance.id")
    });
    only_names && names_the_agent
}
