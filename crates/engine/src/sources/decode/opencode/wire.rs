//! What is read of OpenCode's rows. Everything else in them is passed over.

use crate::sources::decode::lenient::{Clip, Count, Flag, List, Real, Text, object};

/// Characters kept of a prompt, a command or a path.
pub(super) const LONG: usize = 2_000;
/// Characters kept of what the agent said, and of a question.
pub(super) const SAID: usize = 1_000;
/// Characters kept of an error.
pub(super) const SHORT: usize = 300;

object! {
    /// One row: a session, or a message with its parts, as they stand.
    Row {
        "row" => row: Text<'de>,
        "id" => id: Text<'de>,
        "data" => data: Data<'de>,
        "parts" => parts: List<Part<'de>, 10_000>,
    }
}

object! {
    /// The columns of a session, or the JSON of a message.
    Data {
        "parent" => parent: Text<'de>,
        "directory" => directory: Text<'de>,
        "title" => title: Clip<'de, SHORT>,
        "version" => version: Text<'de>,
        "permission" => permission: List<Rule<'de>, 100>,
        "created" => created: Count,
        "role" => role: Text<'de>,
        "time" => time: Times<'de>,
        "modelID" => model: Text<'de>,
        "finish" => finish: Text<'de>,
        "error" => error: Trouble<'de>,
        "cost" => cost: Real,
        "tokens" => tokens: Tokens<'de>,
        "summary" => summary: Flag,
    }
}

object! {
    /// What a session may do without asking.
    Rule {
        "permission" => permission: Text<'de>,
        "pattern" => pattern: Text<'de>,
        "action" => action: Text<'de>,
    }
}

object! {
    /// Moments, in milliseconds.
    Times {
        "created" => created: Count,
        "completed" => completed: Count,
        "start" => start: Count,
        "end" => end: Count,
    }
}

object! {
    /// Why a response ended otherwise than by itself.
    Trouble { "name" => name: Text<'de>, "data" => data: Cause<'de> }
}

object! {
    /// What is said of it.
    Cause { "message" => message: Clip<'de, SAID>, "statusCode" => status: Count }
}

object! {
    /// Usage; `input` without what was cached, `output` without reasoning.
    Tokens {
        "input" => input: Count,
        "output" => output: Count,
        "reasoning" => reasoning: Count,
        "cache" => cache: Cache<'de>,
    }
}

object! {
    /// Usage of the cache.
    Cache { "read" => read: Count, "write" => write: Count }
}

object! {
    /// A part with its id.
    Part { "id" => id: Text<'de>, "data" => data: PartData<'de> }
}

object! {
    /// A part of a message.
    PartData {
        "type" => kind: Text<'de>,
        "text" => text: Clip<'de, LONG>,
        "prompt" => prompt: Clip<'de, LONG>,
        "synthetic" => synthetic: Flag,
        "ignored" => ignored: Flag,
        "auto" => auto: Flag,
        "time" => time: Times<'de>,
        "tool" => tool: Text<'de>,
        "state" => state: State<'de>,
    }
}

object! {
    /// Where a tool call stands.
    State {
        "status" => status: Text<'de>,
        "input" => input: Input<'de>,
        "metadata" => metadata: Option<Metadata<'de>>,
        "error" => error: Clip<'de, SHORT>,
        "time" => time: Times<'de>,
    }
}

object! {
    /// What a tool says while it runs.
    Metadata { "exit" => exit: Real }
}

object! {
    /// What a tool is called with.
    Input {
        "command" => command: Clip<'de, LONG>,
        "filePath" => file: Clip<'de, LONG>,
        "url" => url: Clip<'de, LONG>,
        "query" => query: Clip<'de, LONG>,
        "pattern" => pattern: Clip<'de, LONG>,
        "path" => path: Clip<'de, LONG>,
        "description" => description: Clip<'de, LONG>,
        "name" => name: Clip<'de, LONG>,
        "todos" => todos: List<Todo<'de>, 1_000>,
        "questions" => questions: List<Question<'de>, 20>,
    }
}

object! {
    /// A task of the plan.
    Todo { "status" => status: Text<'de> }
}

object! {
    /// A question with its options.
    Question { "question" => question: Clip<'de, SAID>, "options" => options: List<Choice<'de>, 20> }
}

object! {
    /// One option.
    Choice { "label" => label: Clip<'de, SHORT> }
}
