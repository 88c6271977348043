//! What is read of a Codex rollout line. One type for all kinds, because a line too long to hold is read in one go.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess};

use crate::sources::decode::lenient::{Clip, Count, Flag, List, Take, Text, object, take};

/// Characters of a prompt or of what a call acts on that are kept.
pub(super) const LONG: usize = 2_000;

/// Characters of what the agent said and of a question that are kept.
pub(super) const SAID: usize = 1_000;

object! {
    /// A line.
    Record {
        "timestamp" => timestamp: Text<'de>,
        "ordinal" => ordinal: Count,
        "type" => kind: Text<'de>,
        "payload" => payload: Payload<'de>,
    }
}

object! {
    /// The payloads of all lines that hold a fact.
    Payload {
        "type" => kind: Text<'de>,
        "id" => id: Text<'de>,
        "cwd" => cwd: Text<'de>,
        // session_meta
        "cli_version" => version: Text<'de>,
        "originator" => originator: Text<'de>,
        "source" => source: Source<'de>,
        "thread_source" => thread_source: Text<'de>,
        "parent_thread_id" => parent: Text<'de>,
        "forked_from_id" => forked_from: Text<'de>,
        "git" => git: Git<'de>,
        // turn_context, thread_settings_applied
        "model" => model: Text<'de>,
        "thread_settings" => settings: Settings<'de>,
        // events
        "model_context_window" => window: Count,
        "message" => message: Clip<'de, LONG>,
        "kind" => message_kind: Text<'de>,
        "info" => info: Info<'de>,
        "error" => error: TurnError<'de>,
        "item" => item: Item<'de>,
        // calls
        "name" => name: Text<'de>,
        "call_id" => call: Text<'de>,
        "arguments" => arguments: Arguments<'de>,
        "input" => input: Clip<'de, LONG>,
        "action" => action: Action<'de>,
        // token_usage_record
        "thread_id" => thread: Text<'de>,
        "response_id" => response: Text<'de>,
        "usage" => usage: WireUsage<'de>,
    }
}

/// Where a thread comes from: a word, or an object for subagents.
#[derive(Debug, Default)]
pub(super) enum Source<'de> {
    /// Not said.
    #[default]
    None,
    /// A word.
    Word(Text<'de>),
    /// An object with a member `subagent`.
    Subagent,
}

impl<'de> Take<'de> for Source<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self::Word(Text::from_text(text))
    }
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let source = SourceObject::from_map(map)?;
        Ok(if source.is_subagent.0 { Self::Subagent } else { Self::None })
    }
}

impl<'de> Deserialize<'de> for Source<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    SourceObject { "subagent" => is_subagent: Present }
}

/// Whether a member is there, whatever it holds.
#[derive(Debug, Default)]
pub(super) struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

object! {
    /// Git circumstances at the start of a thread.
    Git { "branch" => branch: Text<'de> }
}

object! {
    /// Settings of a thread.
    Settings { "model" => model: Text<'de>, "cwd" => cwd: Text<'de> }
}

object! {
    /// Token counts as the client shows them.
    Info {
        "total_token_usage" => total: WireUsage<'de>,
        "last_token_usage" => last: WireUsage<'de>,
        "model_context_window" => window: Count,
    }
}

object! {
    /// Token usage.
    WireUsage {
        "input_tokens" => input: Count,
        "cached_input_tokens" => cached: Count,
        "cache_write_input_tokens" => written: Count,
        "output_tokens" => output: Count,
        "total_tokens" => total: Count,
    }
}

object! {
    /// The error of a turn.
    TurnError {
        "message" => message: Clip<'de, LONG>,
        "codex_error_info" => info: ErrorInfo,
    }
}

/// What kind of error: a word, or an object of a word with details.
#[derive(Debug, Default)]
pub(super) struct ErrorInfo {
    /// An error is named.
    pub present: bool,
    /// The word.
    pub word: Option<String>,
    /// HTTP status in the details.
    pub status: Option<u64>,
}

impl<'de> Take<'de> for ErrorInfo {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self { present: true, word: Some(text.into_owned()), status: None }
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut info = Self { present: true, ..Self::default() };
        while let Some((word, details)) = map.next_entry::<Text<'de>, ErrorDetails<'de>>()? {
            info.status = info.status.or(details.status.0);
            info.word = info.word.or(word.into_string());
        }
        Ok(info)
    }
}

impl<'de> Deserialize<'de> for ErrorInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    ErrorDetails { "http_status_code" => status: Count }
}

object! {
    /// A finished item.
    Item {
        "type" => kind: Text<'de>,
        "id" => id: Text<'de>,
        "content" => content: List<ItemText<'de>, 64>,
    }
}

object! {
    /// A part of an item's content.
    ItemText { "text" => text: Clip<'de, LONG> }
}

/// The arguments of a call: JSON as a text, or (some older calls) as an object.
#[derive(Debug, Default)]
pub(super) struct Arguments<'de>(pub Fields<'de>, pub Option<Cow<'de, str>>);

impl<'de> Take<'de> for Arguments<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(Fields::default(), Some(text))
    }
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Fields::from_map(map).map(|fields| Self(fields, None))
    }
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    /// Of all tools' arguments the fields that say what a call acts on.
    Fields {
        "cmd" => cmd: Command<'de>,
        "command" => command: Command<'de>,
        "path" => path: Clip<'de, LONG>,
        "file_path" => file: Clip<'de, LONG>,
        "url" => url: Clip<'de, LONG>,
        "query" => query: Clip<'de, LONG>,
        "pattern" => pattern: Clip<'de, LONG>,
        "input" => input: Clip<'de, LONG>,
        "message" => message: Clip<'de, LONG>,
        "prompt" => prompt: Clip<'de, LONG>,
        "explanation" => explanation: Clip<'de, LONG>,
        "sandbox_permissions" => sandbox: Text<'de>,
        "with_escalated_permissions" => escalated: Flag,
        "questions" => questions: List<Question<'de>, 16>,
        "plan" => plan: List<Step<'de>, 1_024>,
    }
}

object! {
    /// The action of a `local_shell_call`.
    Action { "command" => command: Command<'de> }
}

/// A command: a line for a shell, or words.
#[derive(Debug, Default)]
pub(super) enum Command<'de> {
    /// None.
    #[default]
    None,
    /// A line.
    Line(Cow<'de, str>),
    /// Words.
    Words(Vec<Text<'de>>),
}

impl<'de> Take<'de> for Command<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self::Line(text)
    }
    fn from_list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        List::<Text<'de>, 256>::from_list(list).map(|words| Self::Words(words.0))
    }
}

impl<'de> Deserialize<'de> for Command<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    /// A question of `request_user_input`.
    Question {
        "question" => question: Clip<'de, SAID>,
        "options" => options: List<Choice<'de>, 16>,
    }
}

object! {
    /// An answer to choose.
    Choice { "label" => label: Clip<'de, 200> }
}

object! {
    /// A step of `update_plan`.
    Step { "status" => status: Text<'de> }
}

object! {
    /// A line of `session_index.jsonl`.
    IndexLine {
        "id" => id: Text<'de>,
        "thread_name" => name: Text<'de>,
        "updated_at" => updated_at: Text<'de>,
    }
}
