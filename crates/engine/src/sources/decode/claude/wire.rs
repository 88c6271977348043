//! What is read of a Claude Code record. One type for all kinds, because a line too long to hold shows its `type` only
//! after the rest.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, SeqAccess};

use crate::sources::decode::lenient::{Clip, Count, Flag, List, Real, Take, Text, object, take};

/// Characters of a prompt or of what a call acts on that are kept.
pub(super) const LONG: usize = 2_000;

/// Characters of what the agent said, of a question and of a plan that are kept.
pub(super) const SAID: usize = 1_000;

/// Content blocks read of one record. The client writes one per record; older ones wrote a few.
const MAX_BLOCKS: usize = 1_024;

object! {
    /// A record.
    Record {
        "type" => kind: Text<'de>,
        "subtype" => subtype: Text<'de>,
        "uuid" => uuid: Text<'de>,
        "timestamp" => timestamp: Text<'de>,
        "isSidechain" => is_sidechain: Flag,
        "isMeta" => is_meta: Flag,
        "isCompactSummary" => is_compact_summary: Flag,
        "cwd" => cwd: Text<'de>,
        "gitBranch" => branch: Text<'de>,
        "version" => version: Text<'de>,
        "entrypoint" => entrypoint: Text<'de>,
        "sessionKind" => session_kind: Text<'de>,
        "requestSessionId" => request_session: Text<'de>,
        "forkedFrom" => forked_from: ForkedFrom<'de>,
        "agentId" => agent: Text<'de>,
        // user
        "message" => message: Message<'de>,
        "origin" => origin: Origin<'de>,
        "toolUseResult" => result: ToolResult<'de>,
        "toolDenialKind" => denial: Text<'de>,
        "toolDenialBeforeRun" => is_denied_before_run: Flag,
        "permissionDecision" => decision: Decision<'de>,
        // assistant
        "requestId" => request: Text<'de>,
        "isApiErrorMessage" => is_error: Flag,
        "error" => error: Text<'de>,
        "apiErrorStatus" => error_status: Count,
        "isAbortedMidStream" => is_aborted: Flag,
        "apiBlockIndex" => block_index: Count,
        // attachment
        "attachment" => attachment: Attachment<'de>,
        // system
        "compactMetadata" => compaction: Compaction<'de>,
        "retryAttempt" => retry: Count,
        "maxRetries" => retries: Count,
        // line records
        "querySource" => query_source: Text<'de>,
        "customTitle" => custom_title: Clip<'de, SAID>,
        "agentName" => agent_name: Clip<'de, SAID>,
        "aiTitle" => ai_title: Clip<'de, SAID>,
        "summary" => summary: Clip<'de, SAID>,
        "totalCostUSD" => cost: Real,
        "relocatedCwd" => relocated: Text<'de>,
        "continuedInSessionId" => continued_in: Text<'de>,
        "worktreeSession" => worktree: Worktree<'de>,
    }
}

object! {
    /// Where a copied line comes from.
    ForkedFrom { "sessionId" => session: Text<'de> }
}

object! {
    /// Who made a prompt.
    Origin { "kind" => kind: Text<'de> }
}

object! {
    /// What was decided about a call.
    Decision { "decision" => decision: Text<'de>, "source" => source: Text<'de> }
}

object! {
    /// What a compaction left.
    Compaction { "postTokens" => post_tokens: Count }
}

object! {
    /// The worktree a session stands in.
    Worktree { "originalCwd" => original: Text<'de> }
}

object! {
    /// What the client added to a turn. Only queued prompts are a fact.
    Attachment {
        "type" => kind: Text<'de>,
        "prompt" => prompt: Content<'de>,
        "origin" => origin: Origin<'de>,
        "commandMode" => mode: Text<'de>,
    }
}

object! {
    /// A message of either side.
    Message {
        "id" => id: Text<'de>,
        "model" => model: Text<'de>,
        "content" => content: Content<'de>,
        "stop_reason" => stop_reason: Text<'de>,
        "usage" => usage: WireUsage<'de>,
    }
}

object! {
    /// Token usage.
    WireUsage {
        "input_tokens" => input: Count,
        "output_tokens" => output: Count,
        "cache_creation_input_tokens" => written: Count,
        "cache_read_input_tokens" => read: Count,
        "cache_creation" => by_age: ByAge<'de>,
    }
}

object! {
    /// Tokens written to the cache, by how long they are kept.
    ByAge {
        "ephemeral_5m_input_tokens" => five_minutes: Count,
        "ephemeral_1h_input_tokens" => one_hour: Count,
    }
}

object! {
    /// A content block.
    Block {
        "type" => kind: Text<'de>,
        "text" => text: Clip<'de, LONG>,
        "id" => id: Text<'de>,
        "name" => name: Text<'de>,
        "input" => input: Input<'de>,
        "tool_use_id" => call: Text<'de>,
        "is_error" => is_error: Flag,
    }
}

object! {
    /// What a call was given: of every tool the fields that say what it acts on.
    Input {
        "command" => command: Clip<'de, LONG>,
        "file_path" => file: Clip<'de, LONG>,
        "notebook_path" => notebook: Clip<'de, LONG>,
        "url" => url: Clip<'de, LONG>,
        "pattern" => pattern: Clip<'de, LONG>,
        "query" => query: Clip<'de, LONG>,
        "skill" => skill: Clip<'de, LONG>,
        "subject" => subject: Clip<'de, LONG>,
        "description" => description: Clip<'de, LONG>,
        "path" => path: Clip<'de, LONG>,
        "name" => name: Clip<'de, LONG>,
        "taskId" => task: Text<'de>,
        "prompt" => prompt: Clip<'de, LONG>,
        "plan" => plan: Clip<'de, 20_000>,
        "questions" => questions: List<Question<'de>, 16>,
        "todos" => todos: List<Todo<'de>, 1_024>,
    }
}

object! {
    /// A question of AskUserQuestion.
    Question {
        "question" => question: Clip<'de, SAID>,
        "options" => options: List<Choice<'de>, 16>,
    }
}

/// An answer to choose: an object with a label, or the label itself.
#[derive(Debug, Default)]
pub(super) struct Choice<'de>(pub Clip<'de, 200>);

impl<'de> Take<'de> for Choice<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(Clip::from_text(text))
    }
    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Labelled::from_map(map).map(|labelled| Self(labelled.label))
    }
}

impl<'de> Deserialize<'de> for Choice<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    Labelled { "label" => label: Clip<'de, 200> }
}

object! {
    /// An entry of TodoWrite.
    Todo { "status" => status: Text<'de> }
}

/// Content of a message: a text, or blocks.
#[derive(Debug, Default)]
pub(super) enum Content<'de> {
    /// No content.
    #[default]
    None,
    /// A text, cut.
    Text(Clip<'de, LONG>),
    /// Blocks.
    Blocks(List<Block<'de>, MAX_BLOCKS>),
}

impl<'de> Take<'de> for Content<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self::Text(Clip::from_text(text))
    }
    fn from_list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        List::from_list(list).map(Self::Blocks)
    }
}

impl<'de> Deserialize<'de> for Content<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

/// What the client keeps of a tool's result: an object per tool, or a text for failures.
#[derive(Debug, Default)]
pub(super) enum ToolResult<'de> {
    /// Nothing of interest.
    #[default]
    None,
    /// A failure's text, cut.
    Text(Clip<'de, 100>),
    /// The object.
    Fields(ResultFields<'de>),
}

impl<'de> Take<'de> for ToolResult<'de> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self::Text(Clip::from_text(text))
    }
    fn from_map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        ResultFields::from_map(map).map(Self::Fields)
    }
}

impl<'de> Deserialize<'de> for ToolResult<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(deserializer)
    }
}

object! {
    /// Of all tools' results the fields that are facts.
    ResultFields {
        "backgroundTaskId" => background: Text<'de>,
        "status" => status: Text<'de>,
        "agentId" => agent: Text<'de>,
        "task" => task: CreatedTask<'de>,
        "taskId" => task_id: Text<'de>,
        "statusChange" => change: StatusChange<'de>,
    }
}

object! {
    /// The task TaskCreate made.
    CreatedTask { "id" => id: Text<'de>, "subject" => subject: Text<'de> }
}

object! {
    /// How TaskUpdate changed a task.
    StatusChange { "to" => to: Text<'de> }
}

object! {
    /// A registry file.
    Registry {
        "pid" => pid: Count,
        "sessionId" => session: Text<'de>,
        "cwd" => cwd: Text<'de>,
        "startedAt" => started_at: Count,
        "procStart" => proc_start: Text<'de>,
        "version" => version: Text<'de>,
        "kind" => kind: Text<'de>,
        "entrypoint" => entrypoint: Text<'de>,
        "pidDomain" => pid_domain: Text<'de>,
        "name" => name: Text<'de>,
        "nameSource" => name_source: Text<'de>,
        "status" => status: Text<'de>,
        "waitingFor" => waiting_for: Text<'de>,
        "updatedAt" => updated_at: Count,
        "statusUpdatedAt" => status_updated_at: Count,
        "spare" => spare: Flag,
    }
}

object! {
    /// A subagent's meta file.
    Meta {
        "agentType" => kind: Text<'de>,
        "description" => description: Text<'de>,
        "finished" => finished: Flag,
    }
}
