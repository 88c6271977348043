//! Tool calls of OpenCode.

use lamplight_model::event::{Ask, AskKind, TaskChange, ToolAnswer, ToolCall};
use lamplight_model::ids::{Agent, FactId};

use super::wire::{Input, State};
use crate::facts::fact_id;

/// How an error begins that says that the person refused; what they wrote with it lets the turn go on.
const REFUSED: [&str; 2] = ["The user rejected permission to use", "The user dismissed this question"];

/// The fact a part stands for: calls have ids of their provider's, which need not be the only ones of their name.
pub(super) fn key(part: &str) -> FactId {
    fact_id(Agent::OpenCode, "tool", &[part])
}

/// A call that is not answered, or was.
pub(super) fn tool_call(part: &str, name: &str, state: &State<'_>) -> ToolCall {
    let input = &state.input;
    let ask = (name == "question").then(|| ask(input)).flatten();
    ToolCall {
        key: key(part),
        name: name.to_owned(),
        target: target(input),
        ask,
        escalated: may_be_asking(name, state),
        owner: None,
    }
}

/// Whether a shell command that is said to run has shown nothing of it. It does as soon as it runs; while its person is
/// asked, and for some 0.2 s before it begins, it has not.
pub(super) fn may_be_asking(name: &str, state: &State<'_>) -> bool {
    name == "bash" && state.status.is("running") && state.metadata.is_none()
}

/// How a call was answered; `None` while it runs.
pub(super) fn tool_answer(part: &str, state: &State<'_>) -> Option<ToolAnswer> {
    let (is_error, refused) = match state.status.get()? {
        "completed" => {
            let exit = state.metadata.as_ref().and_then(|m| m.exit.0);
            (exit.is_some_and(|code| code != 0.0), false)
        }
        "error" => {
            let said = state.error.get().unwrap_or_default();
            (true, REFUSED.iter().any(|start| said.starts_with(start)))
        }
        _ => return None,
    };
    Some(ToolAnswer { key: key(part), is_error, refused })
}

/// The plan as a call writes it.
pub(super) fn task_change(name: &str, input: &Input<'_>) -> Option<TaskChange> {
    if name != "todowrite" {
        return None;
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let todos = &input.todos.0;
    let done = todos.iter().filter(|todo| todo.status.is("completed")).count();
    Some(TaskChange::All { done: count(done), total: count(todos.len()) })
}

fn target(input: &Input<'_>) -> Option<String> {
    let named = [
        input.command.get(),
        input.file.get(),
        input.url.get(),
        input.query.get(),
        input.pattern.get(),
        input.path.get(),
        input.description.get(),
        input.name.get(),
    ];
    named.into_iter().flatten().find(|text| !text.is_empty()).map(str::to_owned)
}

fn ask(input: &Input<'_>) -> Option<Ask> {
    let questions = &input.questions.0;
    let first = questions.first()?;
    Some(Ask {
        kind: AskKind::Question,
        text: first.question.get().unwrap_or_default().to_owned(),
        options: first.options.0.iter().filter_map(|o| o.label.get().map(str::to_owned)).collect(),
        count: u32::try_from(questions.len()).unwrap_or(u32::MAX),
    })
}
