//! Tool calls: what they act on, and what they ask of the person.

use lamplight_model::event::{Ask, AskKind, TaskChange, ToolCall};
use lamplight_model::ids::{Agent, SessionId};

use super::wire::{Block, Input, SAID};
use crate::facts::fact_id;
use crate::sources::decode::lenient::cut;

/// Reads a `tool_use` block.
pub(super) fn tool_call(block: Block<'_>, owner: Option<SessionId>) -> Option<ToolCall> {
    let key = fact_id(Agent::ClaudeCode, "tool", &[block.id.get()?]);
    let name = block.name.into_string().unwrap_or_default();
    let ask = ask(&name, &block.input);
    Some(ToolCall { key, name, target: target(block.input), ask, escalated: false, owner })
}

/// Returns what a call acts on: the first of the fields that is there. One order serves all tools, those of MCP servers
/// too: no tool has an earlier field that says less than a later one.
pub(super) fn target(input: Input<'_>) -> Option<String> {
    let first_question =
        input.questions.0.into_iter().next().and_then(|question| question.question.into_string());
    [
        input.command,
        input.file,
        input.notebook,
        input.url,
        input.pattern,
        input.query,
        input.skill,
        input.subject,
        input.description,
        input.path,
        input.name,
        input.prompt,
    ]
    .into_iter()
    .find(|field| field.get().is_some_and(|text| !text.is_empty()))
    .and_then(|field| field.into_string())
    .or(first_question)
    .or_else(|| input.task.into_string())
}

/// Returns what a call asks of the person.
pub(super) fn ask(name: &str, input: &Input<'_>) -> Option<Ask> {
    match name {
        "AskUserQuestion" => {
            let first = input.questions.0.first();
            Some(Ask {
                kind: AskKind::Question,
                text: first.and_then(|q| q.question.get()).unwrap_or_default().to_owned(),
                options: first
                    .into_iter()
                    .flat_map(|q| &q.options.0)
                    .filter_map(|choice| choice.0.get().map(str::to_owned))
                    .collect(),
                count: u32::try_from(input.questions.0.len()).unwrap_or(u32::MAX),
            })
        }
        "ExitPlanMode" => {
            let plan = input.plan.get().unwrap_or_default();
            Some(Ask {
                kind: AskKind::Plan,
                text: cut(plan, SAID).to_owned(),
                options: Vec::new(),
                count: steps(plan),
            })
        }
        _ => None,
    }
}

/// Counts the steps of a plan: its list items that are not indented; its lines where it has none.
fn steps(plan: &str) -> u32 {
    let is_item = |line: &&str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
        line.starts_with("- ")
            || line.starts_with("* ")
            || rest.len() < line.len() && rest.starts_with(['.', ')'])
    };
    let items = plan.lines().filter(is_item).count();
    let lines = plan.lines().filter(|line| !line.trim().is_empty()).count();
    u32::try_from(if items > 0 { items } else { lines }).unwrap_or(u32::MAX)
}

/// Returns the list a TodoWrite call writes anew.
pub(super) fn todo_list(block: &Block<'_>) -> Option<TaskChange> {
    if !block.name.is("TodoWrite") {
        return None;
    }
    let todos = &block.input.todos.0;
    let done = todos.iter().filter(|todo| todo.status.is("completed")).count();
    Some(TaskChange::All {
        done: u32::try_from(done).unwrap_or(u32::MAX),
        total: u32::try_from(todos.len()).unwrap_or(u32::MAX),
    })
}
