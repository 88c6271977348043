//! The project of a repository: in Lamplight's settings, and on the wire.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lamplight_model::label::clean_label;
use lamplight_model::view::SetupAgent;
use toml_edit::{Item, Table};

use super::agent::Edited;
use super::telemetry::percent_encoded;
use super::text::{Entry, TextError, Toml, shape};

/// Longest value the OpenTelemetry SDKs read from `OTEL_RESOURCE_ATTRIBUTES`.
const MAX_VALUE: usize = 255;
const AGENTS: &str = "agents";
const PROJECT: &str = "project";

/// Returns the root of the repository a directory lies in; a linked worktree leads to the repository it was made from.
#[must_use]
pub fn repository(directory: &Path) -> Option<PathBuf> {
    crate::places::git_root(directory)
}

/// Returns the project that `[agents.<name>]` gives to sessions of this agent in this directory.
#[must_use]
pub fn configured_project(
    projects: &BTreeMap<String, String>,
    agent: SetupAgent,
    directory: Option<&Path>,
) -> Option<String> {
    let root = directory.map(|dir| repository(dir).unwrap_or_else(|| dir.to_owned()));
    let path = root.as_deref().and_then(Path::to_str);
    let name = root.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let found = [path, name, Some(agent.word())].into_iter().flatten().find_map(|name| projects.get(name))?;
    clean_label(found)
}

/// Writes `OTEL_RESOURCE_ATTRIBUTES` for one run of an agent, on one line.
///
/// What the person's environment says already wins, but for what is said of this very run: `instance` is its name, or
/// the terminal's, which yields; `spawned` says what started it. What a harness starts is not in the harness's terminal,
/// so that one's name is left out.
#[must_use]
pub fn resource_attributes(
    agent: SetupAgent,
    project: Option<&str>,
    instance: Option<Instance<'_>>,
    spawned: SpawnedBy<'_>,
    existing: Option<&str>,
) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in existing.unwrap_or_default().split(',').map(str::trim) {
        // Taken as it is, encoded as it is; what is no pair would make exporters drop the whole line.
        if let Some((key, value)) = pair.split_once('=')
            && is_sound(key)
            && is_sound(value)
        {
            pairs.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    if spawned != SpawnedBy::default() {
        pairs.retain(|(key, _)| key != "service.instance.id");
    }
    let mut put = |key: &str, value: &str, wins: bool| {
        let encoded = encoded(value);
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) if wins => *known = encoded,
            Some(_) => {}
            None => pairs.push((key.to_owned(), encoded)),
        }
    };
    // Gemini CLI and Codex say who they are by several names; only Claude Code's is told here, which is its own.
    if agent == SetupAgent::ClaudeCode {
        put("service.name", agent.word(), false);
    }
    if let Some(project) = project {
        put("service.namespace", project, false);
    }
    match instance {
        Some(Instance::Given(name)) => put("service.instance.id", name, true),
        Some(Instance::Terminal(name)) => put("service.instance.id", name, false),
        None => {}
    }
    if let Some(run) = spawned.run {
        put("lamplight.run_id", run, true);
    }
    if let Some(parent) = spawned.parent {
        put("lamplight.parent_session_id", parent, true);
    }
    pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// What started a session, as a harness declares it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpawnedBy<'a> {
    /// The run it belongs to.
    pub run: Option<&'a str>,
    /// The session that started it.
    pub parent: Option<&'a str>,
}

/// The name of the terminal an agent runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance<'a> {
    /// The person gave it.
    Given(&'a str),
    /// The terminal has it by itself.
    Terminal(&'a str),
}

/// Reads `service.instance.id` out of `OTEL_RESOURCE_ATTRIBUTES`.
#[must_use]
pub fn instance_of(attributes: &str) -> Option<String> {
    let value = attributes
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim() == "service.instance.id")
        .map(|(_, value)| value.trim())?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Encoded, and cut at a character so that an SDK reads it.
fn encoded(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars().filter(|c| !c.is_control()) {
        let next = percent_encoded(c.encode_utf8(&mut [0; 4]));
        if out.len() + next.len() > MAX_VALUE {
            break;
        }
        out.push_str(&next);
    }
    out
}

fn is_sound(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(|c: char| c.is_control())
}

/// Sets `[agents.<repository>] project`.
pub(super) fn edit(text: &str, repository: &str, project: &str) -> Result<Edited, TextError> {
    let mut toml = Toml::parse(text)?;
    let mut edited = Edited::default();
    let root = toml.document.as_table_mut();
    if root.get(AGENTS).is_none() {
        let mut agents = Table::new();
        agents.set_implicit(true);
        root.insert(AGENTS, Item::Table(agents));
        edited.entries.push(Entry::made(&[AGENTS]));
    }
    let agents =
        root.get_mut(AGENTS).and_then(Item::as_table_like_mut).ok_or_else(|| shape(AGENTS, "a table"))?;
    if agents.get(repository).is_none() {
        agents.insert(repository, Item::Table(Table::new()));
        edited.entries.push(Entry::made(&[AGENTS, repository]));
    }
    let agent = agents
        .get_mut(repository)
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| shape(repository, "a table"))?;
    if agent.get(PROJECT).and_then(Item::as_str) != Some(project) {
        match agent.get_mut(PROJECT).and_then(Item::as_value_mut) {
            // What stands around the old one stays.
            Some(old) => {
                let decor = old.decor().clone();
                *old = toml_edit::Value::from(project);
                *old.decor_mut() = decor;
            }
            None => {
                agent.insert(PROJECT, toml_edit::value(project));
            }
        }
        edited.entries.push(Entry::set(&[AGENTS, repository, PROJECT], project));
    }
    edited.text = toml.text();
    Ok(edited)
}

/// Takes out the projects that were set, where they are still as set.
pub(super) fn take_out(text: &str, entries: &[Entry]) -> Result<String, TextError> {
    let mut toml = Toml::parse(text)?;
    let root = toml.document.as_table_mut();
    for entry in entries {
        let ([outer, name, key], Some(value)) = (entry.path.as_slice(), &entry.value) else { continue };
        if outer != AGENTS || key != PROJECT {
            continue;
        }
        let Some(agents) = root.get_mut(AGENTS).and_then(Item::as_table_like_mut) else { continue };
        let Some(agent) = agents.get_mut(name).and_then(Item::as_table_like_mut) else { continue };
        if agent.get(PROJECT).and_then(Item::as_str) == Some(value) {
            agent.remove(PROJECT);
        }
        if agent.is_empty() && entries.contains(&Entry::made(&[AGENTS, name])) {
            agents.remove(name);
        }
        if agents.is_empty() && entries.contains(&Entry::made(&[AGENTS])) {
            root.remove(AGENTS);
        }
    }
    Ok(toml.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_service_project_and_terminal_and_leaves_the_persons_own_a52() {
        let claude = SetupAgent::ClaudeCode;
        let line = |project, instance, existing| {
            resource_attributes(claude, project, instance, SpawnedBy::default(), existing)
        };
        assert_eq!(line(None, None, None), "service.name=claude-code");
        assert_eq!(line(Some("aqua"), None, Some("")), "service.name=claude-code,service.namespace=aqua");
        assert_eq!(
            line(Some("two words, a=b"), Some(Instance::Given("Ü/1")), None),
            "service.name=claude-code,service.namespace=two%20words%2C%20a%3Db,service.instance.id=%C3%9C%2F1"
        );
        let own = "deployment.environment=dev,service.namespace=mine%20,service.instance.id=a,,broken";
        assert_eq!(
            line(Some("aqua"), Some(Instance::Terminal("3")), Some(own)),
            "deployment.environment=dev,service.namespace=mine%20,service.instance.id=a,service.name=claude-code"
        );
        assert_eq!(
            line(None, Some(Instance::Given("b")), Some(own)),
            "deployment.environment=dev,service.namespace=mine%20,service.instance.id=b,service.name=claude-code"
        );
        let gemini =
            |spawned, existing| resource_attributes(SetupAgent::Gemini, None, None, spawned, existing);
        assert_eq!(
            resource_attributes(SetupAgent::Gemini, Some("p"), None, SpawnedBy::default(), None),
            "service.namespace=p"
        );
        // A worker of a worker: the run stays, the parent is another, and the terminal is not its own.
        let above = "service.instance.id=pts-3,lamplight.run_id=r%201,lamplight.parent_session_id=a";
        let spawned = SpawnedBy { run: None, parent: Some("b") };
        assert_eq!(gemini(spawned, Some(above)), "lamplight.run_id=r%201,lamplight.parent_session_id=b");
        let spawned = SpawnedBy { run: Some("r 2"), parent: None };
        assert_eq!(gemini(spawned, None), "lamplight.run_id=r%202");
    }

    #[test]
    fn a_long_or_hostile_name_stays_one_line_of_a_length_that_exporters_read() {
        let hostile = format!("a\nb\u{1b}[31m\"'$(x){}", "🪔".repeat(200));
        let line = resource_attributes(
            SetupAgent::Gemini,
            None,
            Some(Instance::Given(&hostile)),
            SpawnedBy::default(),
            None,
        );
        assert!(line.bytes().all(|b| b.is_ascii_graphic()), "{line}");
        let value = line.strip_prefix("service.instance.id=").unwrap();
        assert!(value.len() <= MAX_VALUE && !value.contains([',', '=', '"', ' ']), "{line}");
        let read = instance_of(&line).unwrap();
        assert!(hostile.replace(['\n', '\u{1b}'], "").starts_with(&read), "{read}");
    }

    #[test]
    fn a_project_is_set_beside_what_stands_there_and_taken_out_again_a216() {
        for text in [
            "",
            "# mine\n[sessions]\nidle_minutes = 30 # short\n\n[session_labels]\n\"a\" = \"b\"\n",
            "[agents.codex]\nproject = \"x\"\n\n[notify]\nenabled = true",
            "agents = { codex = { project = \"x\" } }\n",
            "[sessions]\r\nidle_minutes = 30\r\n",
        ] {
            let edited = edit(text, "harness", "aqua node").unwrap();
            let table: toml_edit::DocumentMut = edited.text.parse().unwrap();
            assert_eq!(table["agents"]["harness"]["project"].as_str(), Some("aqua node"), "{}", edited.text);
            for line in text.lines().filter(|line| !line.starts_with("agents")) {
                assert!(edited.text.lines().any(|kept| kept == line), "{line} of {text}");
            }
            let again = edit(&edited.text, "harness", "aqua node").unwrap();
            assert_eq!((again.text.as_str(), again.entries.len()), (edited.text.as_str(), 0));
            let out = take_out(&edited.text, &edited.entries).unwrap();
            assert!(!out.contains("harness"), "{out}");
            for line in text.lines().filter(|line| !line.starts_with("agents")) {
                assert!(out.lines().any(|kept| kept == line), "{line} of {text}");
            }
        }
    }
}
