//! `lamp otel-resource-attrs` and `lamp session-end`: what the shell's wrapper asks before and after a run.
//!
//! Both are on a person's way to the agent and back: neither opens the database, waits for the engine, or says a word
//! that was not asked for.

use std::time::Duration;

use lamplight_api::config_file;
use lamplight_engine::setup::{Instance, SpawnedBy, configured_project, instance_of, resource_attributes};
use lamplight_model::instance::is_placeholder;
use lamplight_model::view::SetupAgent;
use serde_json::{Value, json};

use crate::args::{AttributesArgs, SessionEndArgs};
use crate::client::Client;
use crate::{environment, output, reach};

/// Time the engine gets to take note of an end. It learns of it by itself, only later.
const END_TIMEOUT: Duration = Duration::from_millis(500);
/// Where no terminal is: A53.
const NO_TERMINAL: &str = "unknown";

/// Prints `OTEL_RESOURCE_ATTRIBUTES` for a run in the current directory.
pub(crate) fn attributes(args: &AttributesArgs) -> anyhow::Result<()> {
    // Settings that cannot be read name no project; whoever starts an agent is not to be kept from it.
    let projects = config_file::load(&environment).map(|config| config.projects).unwrap_or_default();
    let directory = std::env::current_dir().ok();
    let agent = args.agent.unwrap_or(SetupAgent::ClaudeCode);
    let project = configured_project(&projects, agent, directory.as_deref());
    let given = args.name.clone().or_else(|| environment("LAMPLIGHT_AS"));
    let given = given.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let terminal = args.terminal.then(|| terminal_name().unwrap_or_else(|| NO_TERMINAL.to_owned()));
    let instance = given.map(Instance::Given).or(terminal.as_deref().map(Instance::Terminal));
    let given =
        |id: &Option<String>| id.as_deref().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    let (run, parent) = (given(&args.run_id), given(&args.parent_session_id));
    let spawned = SpawnedBy { run: run.as_deref(), parent: parent.as_deref() };
    let existing = environment("OTEL_RESOURCE_ATTRIBUTES");
    let line = resource_attributes(agent, project.as_deref(), instance, spawned, existing.as_deref());
    output::print(&format!("{line}\n"))
}

/// The terminal's name, as one word: `pts-3`, `ttys004`. A number alone would name nothing.
#[cfg(unix)]
fn terminal_name() -> Option<String> {
    let stdin = std::io::stdin();
    let stderr = std::io::stderr();
    let name = rustix::termios::ttyname(&stdin, Vec::new())
        .or_else(|_| rustix::termios::ttyname(&stderr, Vec::new()))
        .ok()?
        .into_string()
        .ok()?;
    Some(name.strip_prefix("/dev/").unwrap_or(&name).replace('/', "-"))
}

#[cfg(not(unix))]
fn terminal_name() -> Option<String> {
    None
}

/// Tells the running engine that a run is over. Ends with 0 and in silence, whether anyone heard it or not.
pub(crate) fn end(args: &SessionEndArgs) {
    let named = args.instance_id.clone().or_else(|| instance_of(&environment("OTEL_RESOURCE_ATTRIBUTES")?));
    // A name that every terminal has would close the sessions of others.
    let instance = named.filter(|name| !is_placeholder(name));
    let session = args.session_id.clone().filter(|id| !id.trim().is_empty());
    if instance.is_some() || session.is_some() {
        tell(&json!({ "session_id": session, "instance_id": instance }));
    }
}

fn tell(params: &Value) {
    let Some(data_dir) = config_file::data_dir(&environment) else { return };
    let Ok(runtime) = reach::runtime() else { return };
    let client = Client::new(&data_dir);
    // Nobody there, refused, too slow: the end is told by the agent's hook and by its process as well.
    let _ = runtime.block_on(async {
        tokio::time::timeout(END_TIMEOUT, client.ask::<Value>("close", params.clone())).await
    });
}
