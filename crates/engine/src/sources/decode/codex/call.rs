//! Tool calls and their answers.

use lamplight_model::event::{Ask, AskKind, EventKind, TaskChange, ToolAnswer, ToolCall};
use lamplight_model::ids::Agent;
use memchr::memmem;

use super::wire::{Command, Fields, LONG, Payload};
use crate::facts::fact_id;
use crate::sources::decode::lenient::cut;
use crate::sources::decode::scan;

/// Reads a call of any kind; a call without an id cannot be answered or counted and is none.
pub(super) fn tool_call(payload: Payload<'_>) -> Option<(ToolCall, Option<TaskChange>)> {
    let key = fact_id(Agent::Codex, "tool", &[payload.call.get().or(payload.id.get())?]);
    let kind = payload.kind.into_string().unwrap_or_default();
    let name = payload.name.into_string().unwrap_or_else(|| kind.trim_end_matches("_call").to_owned());
    let text = payload.arguments.1;
    // Arguments that are no JSON are the tool's to refuse; the call was made all the same.
    let parsed = text.as_deref().and_then(|text| serde_json::from_str::<Fields<'_>>(text).ok());
    let fields = parsed.unwrap_or(payload.arguments.0);
    let escalated = fields.sandbox.is("require_escalated") || fields.escalated.0;
    let ask = ask(&name, &fields);
    let change = plan(&name, &fields);
    let target = match name.as_str() {
        "apply_patch" => {
            payload.input.get().or(fields.input.get()).and_then(first_patched_file).map(str::to_owned)
        }
        _ => None,
    };
    let target = target
        .or_else(|| command_line(&payload.action.command))
        .or_else(|| command_line(&fields.cmd))
        .or_else(|| command_line(&fields.command))
        .or_else(|| payload.input.into_string())
        .or_else(|| first_of(fields));
    Some((ToolCall { key, name, target, ask, escalated, owner: None }, change))
}

/// Returns what a call of which a hook tells acts on.
pub(super) fn target_of(name: &str, fields: Fields<'_>) -> Option<String> {
    let patched = match name {
        "apply_patch" => fields.input.get().and_then(first_patched_file).map(str::to_owned),
        _ => None,
    };
    // A hook gives the patch itself as the command.
    let patched = patched.or_else(|| match (&fields.command, name) {
        (Command::Line(line), "apply_patch") => first_patched_file(line).map(str::to_owned),
        _ => None,
    });
    patched
        .or_else(|| command_line(&fields.cmd))
        .or_else(|| command_line(&fields.command))
        .or_else(|| first_of(fields))
}

fn first_of(fields: Fields<'_>) -> Option<String> {
    let question = fields.questions.0.into_iter().next().and_then(|question| question.question.into_string());
    [
        fields.path,
        fields.file,
        fields.url,
        fields.query,
        fields.pattern,
        fields.message,
        fields.prompt,
        fields.input,
        fields.explanation,
    ]
    .into_iter()
    .find(|field| field.get().is_some_and(|text| !text.is_empty()))
    .and_then(|field| field.into_string())
    .or(question)
}

/// Returns a command as a person would type it: what is given to a shell stands for itself.
fn command_line(command: &Command<'_>) -> Option<String> {
    let line = match command {
        Command::None => return None,
        Command::Line(line) => cut(line, LONG).to_owned(),
        Command::Words(words) => match words.as_slice() {
            [_, flag, line] if flag.is("-lc") || flag.is("-c") => cut(line.get()?, LONG).to_owned(),
            words => {
                let words: Vec<&str> = words.iter().filter_map(|word| word.get()).collect();
                cut(&words.join(" "), LONG).to_owned()
            }
        },
    };
    (!line.is_empty()).then_some(line)
}

/// Returns the first file a patch names.
fn first_patched_file(patch: &str) -> Option<&str> {
    patch.lines().find_map(|line| {
        ["*** Update File: ", "*** Add File: ", "*** Delete File: "]
            .into_iter()
            .find_map(|start| line.strip_prefix(start))
            .map(str::trim)
    })
}

/// Returns what a call asks of the person.
pub(super) fn ask(name: &str, fields: &Fields<'_>) -> Option<Ask> {
    if name != "request_user_input" {
        return None;
    }
    let first = fields.questions.0.first();
    Some(Ask {
        kind: AskKind::Question,
        text: first.and_then(|q| q.question.get()).unwrap_or_default().to_owned(),
        options: first
            .into_iter()
            .flat_map(|q| &q.options.0)
            .filter_map(|choice| choice.label.get().map(str::to_owned))
            .collect(),
        count: u32::try_from(fields.questions.0.len()).unwrap_or(u32::MAX),
    })
}

fn plan(name: &str, fields: &Fields<'_>) -> Option<TaskChange> {
    if name != "update_plan" {
        return None;
    }
    let steps = &fields.plan.0;
    let done = steps.iter().filter(|step| step.status.is("completed")).count();
    Some(TaskChange::All {
        done: u32::try_from(done).unwrap_or(u32::MAX),
        total: u32::try_from(steps.len()).unwrap_or(u32::MAX),
    })
}

/// How far into an output its head reaches: the client writes the exit code before what the command printed.
const HEAD_BYTES: usize = 300;

/// Reads the answer to a call. `line` is the whole line: of the output only its head is looked at, as it is written.
pub(super) fn tool_answer(payload: &Payload<'_>, line: &str) -> Option<EventKind> {
    let key = fact_id(Agent::Codex, "tool", &[payload.call.get()?]);
    let output = scan::from_value(line, &["payload", "output"]).unwrap_or_default().as_bytes();
    let head = output.get(..HEAD_BYTES.min(output.len())).unwrap_or_default();
    let has = |text: &str| memmem::find(head, text.as_bytes()).is_some();
    let refused = has("rejected by user");
    let failed = refused || has("aborted by user") || has("unsupported call:") || has("Script failed\\n");
    let exit =
        number_after(head, b"Process exited with code ").or_else(|| number_after(head, b"Exit code: "));
    // Older clients wrote the output as a JSON text whose last member names the exit code.
    let exit = exit.or_else(|| {
        let old = head.starts_with(b"\"{\\\"output\\\"");
        let code = b"\\\"exit_code\\\":";
        old.then(|| memmem::rfind(output, code))
            .flatten()
            .and_then(|at| number_after(output.get(at..)?, code))
    });
    let is_error = failed || exit.is_some_and(|code| code != 0);
    Some(EventKind::ToolAnswered(ToolAnswer { key, is_error, refused }))
}

/// Returns the number after the first place where `text` stands; a negative one counts as 1.
fn number_after(bytes: &[u8], text: &[u8]) -> Option<u64> {
    let rest = bytes.get(memmem::find(bytes, text)? + text.len()..)?;
    if rest.starts_with(b"-") {
        return Some(1);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(12);
    digits.fold(None, |n: Option<u64>, byte| Some(n.unwrap_or_default() * 10 + u64::from(byte - b'0')))
}
