//! Gemini CLI: `settings.json`, its hooks and its telemetry.

use jsonc_parser::cst::{CstInputValue, CstObject};
use lamplight_model::view::SetupAgent;

use super::agent::{Edited, Survey, Want};
use super::hooks::{self, Wanted};
use super::telemetry::{self, Found, HTTP};
use super::text::{Entry, Json, TextError, object_at, object_or_make, once, text_at};

/// Events that tell what a session does: its turns, its approvals, its end. A tool is told when it has run, which is
/// what ends the wait for its approval.
pub(super) const EVENTS: &[&str] =
    &["SessionStart", "BeforeAgent", "Notification", "AfterTool", "AfterAgent", "SessionEnd"];
/// Milliseconds a hook may take; ours takes a few.
const TIMEOUT: u32 = 5_000;

const TELEMETRY: &str = "telemetry";
const ENDPOINT: &str = "otlpEndpoint";

/// What is there.
pub(super) fn survey(text: &str, want: &Want<'_>) -> Result<Survey, TextError> {
    let json = Json::parse(text)?;
    let telemetry = object_at(json.object(), TELEMETRY)?;
    let address = telemetry.as_ref().and_then(address);
    let found = found(telemetry.as_ref(), address.as_deref());
    let mut notes: Vec<String> = found.note(SetupAgent::Gemini.name()).into_iter().collect();
    if want.telemetry && needs_token(want) && found == Found::Off {
        notes.push(
            "Gemini CLI cannot send the token that `[otlp] token` asks for; its telemetry is left off."
                .to_owned(),
        );
    }
    Ok(Survey {
        hooks: hooks::installed(json.object(), wanted(want))?,
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
    if want.telemetry && !needs_token(want) {
        switch_on(json.object(), &mut edited)?;
    }
    edited.text = json.into_text();
    Ok(edited)
}

/// Takes out what was added.
pub(super) fn take_out(text: &str, entries: &[Entry]) -> Result<String, TextError> {
    let json = Json::parse(text)?;
    hooks::remove(json.object(), entries)?;
    if let Some(telemetry) = object_at(json.object(), TELEMETRY)? {
        // Whoever sent it elsewhere since needs the switches.
        let is_ours = address(&telemetry).is_none_or(|address| telemetry::is_here(&address));
        for entry in entries.iter().filter(|_| is_ours) {
            if let ([outer, key], Some(value)) = (entry.path.as_slice(), &entry.value)
                && outer == TELEMETRY
                && let Some(property) = telemetry.get(key)
                && property.value().is_some_and(|now| now.to_string() == *value)
            {
                property.remove();
            }
        }
        if telemetry.properties().is_empty()
            && entries.contains(&Entry::made(&[TELEMETRY]))
            && let Some(property) = json.object().get(TELEMETRY)
        {
            property.remove();
        }
    }
    Ok(json.into_text())
}

fn wanted<'a>(want: &Want<'a>) -> Wanted<'a> {
    Wanted { events: EVENTS, command: want.command, timeout: TIMEOUT }
}

fn needs_token(want: &Want<'_>) -> bool {
    telemetry::headers(want.places).is_some()
}

/// Where it sends to: an address, a file, Google's cloud.
fn address(telemetry: &CstObject) -> Option<String> {
    let text = |key: &str| text_at(telemetry, key).filter(|text| !text.is_empty());
    let cloud = || text("target").filter(|target| target != "local").map(|target| format!("\"{target}\""));
    text("outfile").or_else(cloud).or_else(|| text(ENDPOINT))
}

fn found<'a>(telemetry: Option<&CstObject>, address: Option<&'a str>) -> Found<'a> {
    let enabled = telemetry
        .and_then(|telemetry| telemetry.get("enabled"))
        .and_then(|property| property.value())
        .and_then(|value| value.as_boolean_lit())
        .map(|value| value.value());
    telemetry::judge(address, enabled == Some(true), enabled == Some(false))
}

fn switch_on(root: &CstObject, edited: &mut Edited) -> Result<(), TextError> {
    let telemetry = object_at(root, TELEMETRY)?;
    let address = telemetry.as_ref().and_then(address);
    if matches!(found(telemetry.as_ref(), address.as_deref()), Found::Elsewhere(_) | Found::Refused) {
        return Ok(());
    }
    let (telemetry, is_new) = object_or_make(root, TELEMETRY)?;
    if is_new {
        edited.entries.push(Entry::made(&[TELEMETRY]));
    }
    let endpoint = match text_at(&telemetry, "otlpProtocol").as_deref() {
        Some("grpc") => telemetry::GRPC,
        _ => HTTP,
    };
    let values = [
        ("enabled", CstInputValue::Bool(true)),
        ("target", CstInputValue::from("local")),
        (ENDPOINT, CstInputValue::from(endpoint)),
        ("otlpProtocol", CstInputValue::from("http")),
        // Its default is true, and then each request brings the whole conversation.
        ("logPrompts", CstInputValue::Bool(false)),
    ];
    for (key, value) in values {
        once(&telemetry, key)?;
        if telemetry.get(key).is_none() {
            let written = telemetry.append(key, value).value().map(|value| value.to_string());
            edited.entries.push(Entry::set(&[TELEMETRY, key], &written.unwrap_or_default()));
        }
    }
    Ok(())
}
