//! Hooks in an agent's JSON, which Claude Code, Codex and Gemini CLI write alike:
//! `{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "…", "timeout": 5}]}]}}`.

use jsonc_parser::cst::{CstArray, CstInputValue, CstObject};

use super::command::is_ours;
use super::text::{Entry, TextError, object_at, object_or_make, once, shape};

/// The hooks an agent should have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Events, in the order they are written.
    pub events: &'a [&'a str],
    /// What is run for each.
    pub command: &'a str,
    /// Time it is given, in the agent's own unit.
    pub timeout: u32,
}

/// What of it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Installed {
    /// Wanted events with a hook of ours, whatever `lamp` it calls.
    pub events: u32,
    /// Commands of ours that are not the wanted one.
    pub others: Vec<String>,
    /// Where ours stand: event, index of the group, index in it.
    pub places: Vec<(String, usize, usize)>,
}

/// Looks without changing anything.
pub(super) fn installed(root: &CstObject, wanted: Wanted<'_>) -> Result<Installed, TextError> {
    let mut found = Installed::default();
    let Some(hooks) = object_at(root, "hooks")? else { return Ok(found) };
    for event in events_of(&hooks) {
        let mut here = false;
        let Some(groups) = hooks.array_value(&event) else { continue };
        for (group, at, command) in ours(&groups) {
            here = true;
            found.places.push((event.clone(), group, at));
            if command != wanted.command && !found.others.contains(&command) {
                found.others.push(command);
            }
        }
        found.events += u32::from(here && wanted.events.contains(&event.as_str()));
    }
    Ok(found)
}

/// Brings every wanted event to exactly one hook of ours, and takes ours out of every other event.
pub(super) fn install(root: &CstObject, wanted: Wanted<'_>) -> Result<Vec<Entry>, TextError> {
    let mut entries = Vec::new();
    let (hooks, is_new) = object_or_make(root, "hooks")?;
    if is_new {
        entries.push(Entry::made(&["hooks"]));
    }
    for event in events_of(&hooks) {
        if !wanted.events.contains(&event.as_str()) {
            take_out_of(&hooks, &event, false);
        }
    }
    for event in wanted.events {
        once(&hooks, event)?;
        if hooks.get(event).is_none() {
            hooks.append(event, CstInputValue::Array(Vec::new()));
            entries.push(Entry::made(&["hooks", event]));
        }
        let groups = groups(&hooks, event)?;
        let mut found = ours(&groups).into_iter();
        match found.next() {
            Some((group, at, command)) => {
                if command != wanted.command {
                    set_command(&groups, group, at, wanted.command);
                }
                // Those of two versions of ours; from behind, so that the places before stay true.
                for (group, at, _) in found.rev() {
                    take_out_at(&groups, group, at);
                }
            }
            None => {
                groups.append(group_of(wanted));
            }
        }
    }
    Ok(entries)
}

/// Takes every hook of ours out, and what was made to hold them and holds nothing now; says whether there were any.
pub(super) fn remove(root: &CstObject, made: &[Entry]) -> Result<bool, TextError> {
    let Some(hooks) = object_at(root, "hooks")? else { return Ok(false) };
    let was_made = |path: &[&str]| made.contains(&Entry::made(path));
    let mut any = false;
    for event in events_of(&hooks) {
        any |= take_out_of(&hooks, &event, was_made(&["hooks", &event]));
    }
    if hooks.properties().is_empty()
        && was_made(&["hooks"])
        && let Some(property) = root.get("hooks")
    {
        property.remove();
    }
    Ok(any)
}

fn take_out_of(hooks: &CstObject, event: &str, with_list: bool) -> bool {
    // Whatever else stands there is not ours.
    let Some(groups) = hooks.array_value(event) else { return false };
    let found = ours(&groups);
    for (group, at, _) in found.iter().rev() {
        take_out_at(&groups, *group, *at);
    }
    if groups.elements().is_empty()
        && with_list
        && let Some(property) = hooks.get(event)
    {
        property.remove();
    }
    !found.is_empty()
}

fn take_out_at(groups: &CstArray, group: usize, at: usize) {
    let Some(group) = groups.elements().into_iter().nth(group) else { return };
    let Some(hooks) = group.as_object().and_then(|group| group.array_value("hooks")) else { return };
    if let Some(hook) = hooks.elements().into_iter().nth(at) {
        hook.remove();
    }
    // A group is made for its hooks; an empty one does nothing.
    if hooks.elements().is_empty() {
        group.remove();
    }
}

fn set_command(groups: &CstArray, group: usize, at: usize, command: &str) {
    let hook = hooks_of(groups, group).and_then(|hooks| hooks.elements().into_iter().nth(at));
    if let Some(property) = hook.and_then(|hook| hook.as_object()).and_then(|hook| hook.get("command")) {
        property.set_value(CstInputValue::from(command));
    }
}

fn hooks_of(groups: &CstArray, group: usize) -> Option<CstArray> {
    groups.elements().into_iter().nth(group)?.as_object()?.array_value("hooks")
}

fn events_of(hooks: &CstObject) -> Vec<String> {
    hooks.properties().iter().filter_map(|property| property.decoded_name()).collect()
}

fn groups(hooks: &CstObject, event: &str) -> Result<CstArray, TextError> {
    let property = hooks.get(event).and_then(|property| property.array_value());
    property.ok_or_else(|| shape(event, "a list"))
}

/// Our hooks in an event: index of the group, index in it, command.
fn ours(groups: &CstArray) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (group, element) in groups.elements().into_iter().enumerate() {
        let hooks = element.as_object().and_then(|object| object.array_value("hooks"));
        for (at, hook) in hooks.map(|hooks| hooks.elements()).unwrap_or_default().into_iter().enumerate() {
            let command = hook.as_object().and_then(|hook| super::text::text_at(&hook, "command"));
            if let Some(command) = command.filter(|command| is_ours(command)) {
                found.push((group, at, command));
            }
        }
    }
    found
}

fn group_of(wanted: Wanted<'_>) -> CstInputValue {
    let hook = vec![
        ("type".to_owned(), CstInputValue::from("command")),
        ("command".to_owned(), CstInputValue::from(wanted.command)),
        ("timeout".to_owned(), CstInputValue::from(wanted.timeout)),
    ];
    CstInputValue::Object(vec![("hooks".to_owned(), CstInputValue::Array(vec![CstInputValue::Object(hook)]))])
}
