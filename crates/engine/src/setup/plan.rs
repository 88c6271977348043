//! What would change.

use std::path::{Path, PathBuf};

use lamplight_model::view::{SetupAgent, SetupAgentState, SetupStatus};

use super::agent::{Edited, Want};
use super::change::{Change, Plan, shown};
use super::files::{self, FileError, Found};
use super::journal::Kind;
use super::places::{Places, Wish, passing};
use super::state::{self, AgentFiles};
use super::text::{TextError, text_of};
use super::{claude, codex, command, gemini, project, shell};

/// Why an agent's settings are left alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{path} cannot be understood ({source})")]
    Text { path: String, source: TextError },
}

/// A settings file, read.
pub(super) struct Settings {
    pub path: PathBuf,
    pub found: Found,
    pub text: String,
}

impl Settings {
    pub(super) fn read(path: PathBuf) -> Result<Self, AgentError> {
        let found = files::look(&path)?;
        let text = match &found.bytes {
            None => String::new(),
            Some(bytes) => {
                text_of(bytes).map_err(|source| AgentError::Text { path: shown(&path), source })?.to_owned()
            }
        };
        Ok(Self { path, found, text })
    }

    pub(super) fn understood<T>(&self, read: Result<T, TextError>) -> Result<T, AgentError> {
        read.map_err(|source| AgentError::Text { path: shown(&self.path), source })
    }

    fn change(self, kind: Kind, agent: Option<SetupAgent>, edited: Edited, why: &[&str]) -> Option<Change> {
        if edited.text == self.text {
            return None;
        }
        let why = why.iter().map(|&why| why.to_owned()).chain(edited.why).collect();
        Some(Change {
            kind,
            agent,
            path: self.path,
            target: self.found.target,
            before: self.found.bytes,
            mode: self.found.mode,
            after: edited.text.into_bytes(),
            entries: edited.entries,
            why,
        })
    }
}

/// Reads what is there and says what would change; changes nothing.
#[must_use]
pub fn plan(places: &Places, wish: &Wish) -> Plan {
    let mut plan = Plan {
        data_dir: places.data_dir.clone(),
        changes: Vec::new(),
        agents: Vec::new(),
        notes: Vec::new(),
    };
    let choices = &wish.choices;
    let asked = |agent| choices.agents.is_empty() || choices.agents.contains(&agent);
    let Some(lamp) = places.lamp.as_deref() else {
        plan.notes.push(state::NO_LAMP.to_owned());
        return plan;
    };
    for agent in SetupAgent::ALL.into_iter().filter(|agent| asked(*agent)) {
        let files = AgentFiles::of(agent, places);
        let mut state = state::agent_state(agent, places, choices);
        if let Some(files) =
            files.filter(|_| !matches!(state.status, SetupStatus::Absent | SetupStatus::Unreadable))
        {
            let command = command::hook(places, lamp, agent);
            let want = Want { places, command: &command, hooks: choices.hooks, telemetry: choices.telemetry };
            match agent_changes(agent, &files, lamp, &want) {
                Ok(changes) => plan.changes.extend(changes),
                Err(error) => state::unreadable(&mut state, &error),
            }
        }
        if agent == SetupAgent::Codex
            && plan.changes.iter().any(|change| change.kind == Kind::CodexHooks)
            && !state.notes.iter().any(|note| note == codex::TRUST)
        {
            state.notes.push(codex::TRUST.to_owned());
        }
        plan.agents.push(state);
    }
    if asked(SetupAgent::ClaudeCode)
        && let Some(root) = &wish.project_root
    {
        project_changes(root, places, &mut plan);
    }
    if choices.shell {
        shell_changes(places, lamp, &asked, &mut plan);
    }
    if let (Some(root), Some(name)) = (&wish.project_root, &wish.project) {
        settings_change(places, root, name, &mut plan);
    }
    plan.notes.extend(passing(lamp));
    plan
}

fn agent_changes(
    agent: SetupAgent,
    files: &AgentFiles,
    lamp: &Path,
    want: &Want<'_>,
) -> Result<Vec<Change>, AgentError> {
    let settings = Settings::read(files.settings.clone())?;
    let hooks_why = "Hooks tell Lamplight at once what a session asks, ends and fails with.";
    let telemetry_why =
        "Telemetry tells what it cost, as the agent reckons it, and what was retried. Prompts are not in it.";
    let why: Vec<&str> = [(want.hooks, hooks_why), (want.telemetry, telemetry_why)]
        .into_iter()
        .filter_map(|(is_wanted, why)| is_wanted.then_some(why))
        .collect();
    let owner = Some(agent);
    match agent {
        SetupAgent::ClaudeCode => {
            let edited = settings.understood(claude::edit(&settings.text, want))?;
            Ok(settings.change(Kind::ClaudeSettings, owner, edited, &why).into_iter().collect())
        }
        SetupAgent::Gemini => {
            let edited = settings.understood(gemini::edit(&settings.text, want))?;
            Ok(settings.change(Kind::GeminiSettings, owner, edited, &why).into_iter().collect())
        }
        SetupAgent::Codex => {
            let notify = command::notify(want.places, lamp);
            let edited = settings.understood(codex::edit_config(&settings.text, &notify, want))?;
            let mut changes = Vec::new();
            if let (true, Some(path)) = (want.hooks, &files.hooks) {
                let hooks = Settings::read(path.clone())?;
                let edited = hooks.understood(codex::edit_hooks(&hooks.text, want))?;
                changes.extend(hooks.change(Kind::CodexHooks, owner, edited, &[hooks_why]));
            }
            let config_why: Vec<&str> = [
                (want.hooks, "`notify` tells the end of turns, also while hooks wait to be accepted."),
                (want.telemetry, "Logs tell how long answers took and what failed. Prompts are left out."),
            ]
            .into_iter()
            .filter_map(|(is_wanted, why)| is_wanted.then_some(why))
            .collect();
            changes.extend(settings.change(Kind::CodexConfig, owner, edited, &config_why));
            Ok(changes)
        }
    }
}

/// Settings of the repository it is asked in: what would hide the wrapper's names goes.
fn project_changes(root: &Path, places: &Places, plan: &mut Plan) {
    for name in ["settings.json", "settings.local.json"] {
        let path = root.join(".claude").join(name);
        // The home's own were dealt with.
        let is_own = places.claude.as_ref().is_some_and(|own| own.join(name) == path);
        if is_own || !path.exists() {
            continue;
        }
        let edited = Settings::read(path).and_then(|settings| {
            let edited = settings.understood(claude::edit_project(&settings.text))?;
            Ok(settings.change(Kind::ClaudeProject, Some(SetupAgent::ClaudeCode), edited, &[]))
        });
        match edited {
            Ok(change) => plan.changes.extend(change),
            Err(error) => plan.notes.push(format!("{error}; it is left alone.")),
        }
    }
}

fn shell_changes(places: &Places, lamp: &Path, asked: &dyn Fn(SetupAgent) -> bool, plan: &mut Plan) {
    let wrapped = [SetupAgent::ClaudeCode, SetupAgent::Gemini];
    // All that are here, whoever was asked for: the file is one for all of them.
    let here: Vec<SetupAgent> = wrapped.into_iter().filter(|agent| state::is_here(*agent, places)).collect();
    if !here.iter().any(|agent| asked(*agent)) {
        return;
    }
    let shells = shell::shells(places);
    if shells.is_empty() {
        plan.notes.push(
            "No shell is set up: there is neither ~/.bashrc nor ~/.zshrc nor a folder ~/.config/fish. Terminals go without a name."
                .to_owned(),
        );
    }
    let mut wrappers: Vec<PathBuf> = Vec::new();
    for shell in shells {
        let wrapper = (!wrappers.contains(&shell.wrapper)).then(|| {
            wrappers.push(shell.wrapper.clone());
            let edited = Edited { text: shell::wrapper(&shell, places, lamp, &here), ..Edited::default() };
            let why = "The wrapper: `claude --as NAME` names a terminal, and its end is told at once.";
            Settings::read(shell.wrapper.clone()).map(|old| old.change(Kind::Wrapper, None, edited, &[why]))
        });
        let start = Settings::read(shell.start.clone()).map(|start| {
            let edited = Edited { text: shell::edit(&start.text, &shell), ..Edited::default() };
            let why = format!("Loads the wrapper into {}.", shell.name);
            start.change(Kind::ShellStart, None, edited, &[&why])
        });
        for change in wrapper.into_iter().chain([start]) {
            match change {
                Ok(change) => plan.changes.extend(change),
                Err(error) => plan.notes.push(format!("{error}; {} is left alone.", shell.name)),
            }
        }
    }
}

fn settings_change(places: &Places, root: &Path, name: &str, plan: &mut Plan) {
    let repository = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(path), Some(repository)) = (&places.config_file, repository) else { return };
    let why = format!("Sessions in {repository} belong to the project {name}.");
    let edited = Settings::read(path.clone()).and_then(|settings| {
        let edited = settings.understood(project::edit(&settings.text, &repository, name))?;
        Ok(settings.change(Kind::Settings, None, edited, &[&why]))
    });
    match edited {
        Ok(change) => plan.changes.extend(change),
        Err(error) => plan.notes.push(format!("{error}; the project is not set.")),
    }
}

/// The state of an agent that cannot be dealt with.
pub(super) fn absent(agent: SetupAgent) -> SetupAgentState {
    SetupAgentState {
        agent,
        name: agent.name().to_owned(),
        status: SetupStatus::Absent,
        hooks: 0,
        hooks_wanted: 0,
        hooks_trusted: None,
        telemetry: None,
        edited_since: false,
        notes: Vec::new(),
    }
}
