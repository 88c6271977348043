//! Who is connected, and whether what they were asked to tell arrives.

use std::path::PathBuf;

use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::view::{DoctorCheck, SetupAgent, SetupAgentState, SetupStatus, SetupTelemetry};
use rusqlite::Connection;

use super::roots::{Seen, changed_at};
use super::{Patient, ok, warn};
use crate::config::Config;
use crate::setup;
use crate::store::{StoreError, heard};

/// A session that began so long after its agent was connected should have told something.
const LATER_MS: i64 = 120_000;

pub(super) fn checks(
    config: &Config,
    seen: &Seen,
    patient: Patient<'_>,
    database: Option<&Connection>,
) -> Vec<DoctorCheck> {
    let state = setup::state(&config.setup);
    let mut checks = Vec::new();
    for agent in &state.agents {
        if agent.status == SetupStatus::Absent {
            continue;
        }
        checks.push(connection(agent));
        if let (Some(which), Some(db)) = (known(agent.agent), database)
            && let Some(settings) = settings_of(config, agent.agent)
        {
            // A store that fails is a finding of its own.
            let silent = silence(agent, which, &settings, seen, patient, db).unwrap_or_default();
            checks.extend(silent);
        }
    }
    let is_used =
        state.agents.iter().any(|agent| agent.hooks > 0) || state.shells.iter().any(|shell| shell.connected);
    if is_used {
        checks
            .extend(state.notes.iter().map(|note| warn("setup", "Set-up", note.clone(), "Run lamp setup.")));
    }
    checks
}

fn connection(agent: &SetupAgentState) -> DoctorCheck {
    let id = format!("{}-setup", agent.agent.word());
    let about = format!("{} set-up", agent.name);
    let telemetry = match agent.telemetry {
        Some(SetupTelemetry::Here) => "telemetry comes here",
        Some(SetupTelemetry::Elsewhere) => "telemetry goes elsewhere, as you set it",
        Some(SetupTelemetry::Off) => "no telemetry",
        None => "where its telemetry goes is not known",
    };
    let hooks = match (agent.hooks, agent.hooks_wanted) {
        (0, _) => "no hooks".to_owned(),
        (some, all) => format!("{some} of {all} hooks"),
    };
    let what = format!("{hooks}, {telemetry}.");
    let notes = agent.notes.join(" ");
    match agent.status {
        SetupStatus::Absent => ok(&id, &about, "Not installed."),
        SetupStatus::NotConnected => ok(
            &id,
            &about,
            "Not connected: its files are read, and that suffices. lamp setup makes it faster.",
        ),
        SetupStatus::Connected => ok(&id, &about, format!("Connected: {what}")),
        SetupStatus::Partly if agent.hooks_trusted == Some(false) => warn(
            &id,
            &about,
            format!("Its hooks are there and not accepted yet; it runs none of them. {what}"),
            "Start it once in a terminal and accept the hooks on the screen that lists them.",
        ),
        SetupStatus::Partly => {
            warn(&id, &about, format!("Connected in part: {what} {notes}"), "Run lamp setup again.")
        }
        SetupStatus::Unreadable => warn(&id, &about, notes, "Correct that file; it was not touched."),
    }
}

/// The agent whose sessions are known under the same name.
fn known(agent: SetupAgent) -> Option<Agent> {
    Agent::from_word(agent.word())
}

fn settings_of(config: &Config, agent: SetupAgent) -> Option<PathBuf> {
    let places = &config.setup;
    match agent {
        SetupAgent::ClaudeCode => places.claude.as_ref().map(|dir| dir.join("settings.json")),
        SetupAgent::Codex => places.codex.as_ref().map(|dir| dir.join("config.toml")),
        SetupAgent::Gemini => places.gemini.as_ref().map(|dir| dir.join("settings.json")),
    }
}

/// What should have arrived from an agent that worked since it was connected, and did not.
fn silence(
    agent: &SetupAgentState,
    which: Agent,
    settings: &std::path::Path,
    seen: &Seen,
    patient: Patient<'_>,
    db: &Connection,
) -> Result<Vec<DoctorCheck>, StoreError> {
    let Some(connected_at) = changed_at(settings) else { return Ok(Vec::new()) };
    let Some(worked_at) = seen.newest(which).map(|found| found.modified_at) else { return Ok(Vec::new()) };
    if worked_at.since(connected_at) < LATER_MS {
        return Ok(Vec::new());
    }
    let id = format!("{}-arrivals", agent.agent.word());
    let about = format!("{} arrivals", agent.name);
    let mut checks = Vec::new();
    let is_before = |at: Option<Timestamp>| at.is_none_or(|at| at < connected_at);
    let trusted = agent.hooks_trusted != Some(false);
    if agent.hooks > 0 && trusted && is_before(heard::hook(db, which)?) {
        checks.push(warn(
            &id,
            &about,
            format!("{} worked since its hooks were set up, and none has arrived.", agent.name),
            "Start a new session of it: those that ran before do not know the hooks. If none arrives then, run lamp setup again.",
        ));
    }
    let here = agent.telemetry == Some(SetupTelemetry::Here);
    if here && matches!(patient, Patient::Running(_)) && is_before(heard::telemetry(db, which)?) {
        checks.push(warn(
            &id,
            &about,
            format!("{} worked since its telemetry was set up, and none has arrived.", agent.name),
            "Start a new session of it, and look at the check of the ports.",
        ));
    }
    Ok(checks)
}
