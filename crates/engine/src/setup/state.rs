//! Who is connected.

use std::path::{Path, PathBuf};

use lamplight_model::view::{
    SetupAgent, SetupAgentState, SetupChoices, SetupShell, SetupState, SetupStatus, SetupTelemetry,
};

use super::agent::{Survey, Want};
use super::change::shown;
use super::journal::{Journal, hash};
use super::places::{Places, passing};
use super::plan::{AgentError, Settings, absent};
use super::{claude, codex, command, files, gemini, shell};

/// Said when hooks would have nothing to call.
pub(super) const NO_LAMP: &str = "The program `lamp` was not found beside this one; hooks and shells would have nothing to call. Install it, then set up again.";

/// The files of an agent that set-up edits.
pub(super) struct AgentFiles {
    pub settings: PathBuf,
    /// Codex keeps its hooks apart.
    pub hooks: Option<PathBuf>,
}

impl AgentFiles {
    /// `None` where nothing says where they are.
    pub(super) fn of(agent: SetupAgent, places: &Places) -> Option<Self> {
        let folder = folder(agent, places)?;
        Some(match agent {
            SetupAgent::ClaudeCode | SetupAgent::Gemini => {
                Self { settings: folder.join("settings.json"), hooks: None }
            }
            SetupAgent::Codex => {
                Self { settings: folder.join("config.toml"), hooks: Some(folder.join("hooks.json")) }
            }
        })
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.settings), self.hooks.as_ref()].into_iter().flatten()
    }
}

fn folder(agent: SetupAgent, places: &Places) -> Option<&Path> {
    match agent {
        SetupAgent::ClaudeCode => places.claude.as_deref(),
        SetupAgent::Codex => places.codex.as_deref(),
        SetupAgent::Gemini => places.gemini.as_deref(),
    }
}

/// Whether the agent has a folder, which it makes when it is first started.
pub(super) fn is_here(agent: SetupAgent, places: &Places) -> bool {
    folder(agent, places).is_some_and(Path::is_dir)
}

/// Says who is connected; changes nothing.
#[must_use]
pub fn state(places: &Places) -> SetupState {
    let choices = SetupChoices::default();
    let agents = SetupAgent::ALL.into_iter().map(|agent| agent_state(agent, places, &choices)).collect();
    let shells = shell::shells(places)
        .iter()
        .map(|shell| SetupShell {
            shell: shell.name.to_owned(),
            path: shown(&shell.start),
            // A file that cannot be read loads nothing that is known.
            connected: Settings::read(shell.start.clone())
                .is_ok_and(|start| shell::is_connected(&start.text, shell) && shell.wrapper.exists()),
        })
        .collect();
    let mut notes: Vec<String> = places.lamp.as_deref().and_then(passing).into_iter().collect();
    if places.lamp.is_none() {
        notes.push(NO_LAMP.to_owned());
    }
    SetupState {
        agents,
        shells,
        lamp: places.lamp.as_deref().map(shown),
        can_undo: !Journal::of(&places.data_dir).records().is_empty(),
        notes,
    }
}

/// The state of one agent, measured against what is chosen.
pub(super) fn agent_state(agent: SetupAgent, places: &Places, choices: &SetupChoices) -> SetupAgentState {
    let mut state = absent(agent);
    let Some(files) = AgentFiles::of(agent, places).filter(|_| is_here(agent, places)) else {
        return state;
    };
    let command = places.lamp.as_deref().map(|lamp| command::hook(places, lamp, agent)).unwrap_or_default();
    let want = Want { places, command: &command, hooks: choices.hooks, telemetry: choices.telemetry };
    match survey(agent, &files, &want) {
        Ok(survey) => judge(&mut state, survey),
        Err(error) => unreadable(&mut state, &error),
    }
    state.edited_since = is_edited(&files, &Journal::of(&places.data_dir));
    state
}

fn survey(agent: SetupAgent, files: &AgentFiles, want: &Want<'_>) -> Result<Survey, AgentError> {
    let settings = Settings::read(files.settings.clone())?;
    match (agent, &files.hooks) {
        (SetupAgent::ClaudeCode, _) => settings.understood(claude::survey(&settings.text, want)),
        (SetupAgent::Gemini, _) => settings.understood(gemini::survey(&settings.text, want)),
        (SetupAgent::Codex, None) => {
            settings.understood(codex::survey("", &settings.text, Path::new(""), want))
        }
        (SetupAgent::Codex, Some(path)) => {
            let hooks = Settings::read(path.clone())?;
            hooks.understood(codex::edit_hooks(&hooks.text, want))?;
            settings.understood(codex::survey(&hooks.text, &settings.text, path, want))
        }
    }
}

fn judge(state: &mut SetupAgentState, survey: Survey) {
    state.hooks = survey.hooks.events;
    state.hooks_wanted = survey.wanted;
    state.hooks_trusted = survey.trusted;
    state.telemetry = survey.telemetry;
    state.notes = survey.notes;
    let mut calls_another = false;
    for other in &survey.hooks.others {
        let lamp = command::lamp_of(other).unwrap_or_else(|| other.clone());
        calls_another = true;
        state.notes.push(if Path::new(&lamp).exists() {
            format!("Its hooks call another lamp, {lamp}; set up again to have them call this one.")
        } else {
            format!("Its hooks call a lamp that is gone, {lamp}; set up again.")
        });
    }
    let has_hooks = survey.hooks.events > 0 || calls_another;
    let sends_here = survey.telemetry == Some(SetupTelemetry::Here);
    // Telemetry that the person sends elsewhere or switched off is theirs, and nothing is missing.
    let is_theirs = survey.telemetry == Some(SetupTelemetry::Elsewhere) && has_hooks;
    let all_hooks = survey.hooks.events == survey.wanted && !calls_another && survey.trusted != Some(false);
    state.status = match (has_hooks || sends_here, all_hooks && (sends_here || is_theirs)) {
        (false, _) => SetupStatus::NotConnected,
        (true, true) => SetupStatus::Connected,
        (true, false) => SetupStatus::Partly,
    };
}

pub(super) fn unreadable(state: &mut SetupAgentState, error: &AgentError) {
    state.status = SetupStatus::Unreadable;
    state.notes.push(format!("{error}; {} is left alone.", state.name));
}

/// Whether a file is another than we left it.
fn is_edited(files: &AgentFiles, journal: &Journal) -> bool {
    files.all().any(|path| {
        let Ok(now) = files::look(path) else { return false };
        journal
            .record(&now.target)
            .is_some_and(|record| record.edited || now.bytes.as_deref().map(hash) != Some(record.wrote))
    })
}
