//! Which attributes may leave the machine while `[forward] content` is off.
//!
//! A list of what is forbidden leaks every name a later version invents. So the rule is the other way round, twice:
//!
//! * Of a **coding agent's** records a text passes only under a name of [`AGENT_TEXTS`] or [`CONVENTIONS`]. Their names
//!   are known, and what they write is prompts, commands and files.
//! * Of any **other program** texts pass under the names of [`CONVENTIONS`]; under a name of its own only when the value is
//!   one word (an id, a region, a plan's name) and no part of the name speaks of content or secrets ([`DENIED`]).
//!
//! Numbers and booleans pass, except under a name that ends in one of [`DENIED_NUMBERS`]. Maps, bytes and everything unknown do
//! not. What decides is the attribute's name and shape, never a look at what the text means.

/// Longest text passed under a known name.
const MAX_TEXT: usize = 256;

/// Longest word passed under a name of the program's own.
const MAX_WORD: usize = 64;

/// Most entries of a list that is passed.
const MAX_ENTRIES: usize = 64;

/// Texts that coding agents write besides the conventions: ids, names of models, tools and modes, counts sent as text.
/// Names as measured on Claude Code 2.1, Codex 0.42 to 0.169 and Gemini CLI; sorted.
const AGENT_TEXTS: &[&str] = &[
    "agent.name",
    "agent.source",
    "agent_id",
    "agent_type",
    "anthropic.mcp.server.name",
    "anthropic.provider",
    "app.entrypoint",
    "app.version",
    "approval_mode",
    "approval_policy",
    "approved",
    "attempt",
    "auth_type",
    "bash_command_class",
    "cache_write_token_count",
    "cached_token_count",
    "call_id",
    "command_category",
    "conversation.id",
    "decision",
    "decision_model",
    "decision_source",
    "decision_type",
    "delivery.mode",
    "duration_ms",
    "effort",
    "embedding_model",
    "error_class",
    "error_type",
    "event.kind",
    "event.timestamp",
    "execution_mode",
    "final_model",
    "from_mode",
    "function_name",
    "handler_type",
    "hook_event",
    "hook_event_name",
    "hook_name",
    "hook_source",
    "hook_type",
    "input_token_count",
    "installation.id",
    "language",
    "llm_request.context",
    "managed_only",
    "marketplace.name",
    "mcp_server",
    "mcp_server.name",
    "mcp_server_name",
    "mcp_server_scope",
    "mcp_tool.name",
    "message.uuid",
    "mode",
    "model",
    "model_reasoning_effort",
    "num_blocking",
    "num_cancelled",
    "num_hooks",
    "num_non_blocking_error",
    "num_outputs_persisted",
    "num_success",
    "organization.id",
    "originator",
    "os",
    "os_arch",
    "os_platform",
    "os_version",
    "output_format",
    "output_token_count",
    "parent.source",
    "parent_agent_id",
    "permission_mode",
    "phase",
    "plugin.name",
    "plugin.scope",
    "post_tokens",
    "pre_tokens",
    "programming_language",
    "prompt.id",
    "prompt_id",
    "prompt_length",
    "provider_name",
    "query_source",
    "query_source_safe",
    "reasoning_effort",
    "reasoning_summary",
    "reasoning_token_count",
    "request_id",
    "role",
    "routing.approval_mode",
    "routing.decision_model",
    "routing.decision_source",
    "safe_mode",
    "sandbox",
    "sandbox_policy",
    "server_name",
    "server_scope",
    "session_source",
    "slug",
    "source",
    "span.type",
    "speed",
    "start_type",
    "startup.phase",
    "startup.status",
    "status",
    "status_code",
    "stdout_chars",
    "stop_reason",
    "subagent_type",
    "success",
    "system_message_chars",
    "terminal.type",
    "thread.id",
    "to_mode",
    "token_type",
    "tool",
    "tool_input_size_bytes",
    "tool_name",
    "tool_name_safe",
    "tool_namespace",
    "tool_result_size_bytes",
    "tool_source",
    "tool_token_count",
    "tool_type",
    "tool_use_id",
    "total_duration_ms",
    "transport_type",
    "trigger",
    "ttft_ms",
    "turn.id",
    "turn_id",
    "type",
    "user.account_uuid",
    "user.email",
    "user.id",
];

/// Names of OpenTelemetry's semantic conventions, of OpenInference and of Lamplight under which texts pass, whoever
/// writes them. A name that ends with a dot stands for all that begin so. Paths, queries, messages, command lines and
/// descriptions are not among them. Sorted.
const CONVENTIONS: &[&str] = &[
    "cloud.",
    "container.id",
    "container.image.name",
    "container.name",
    "container.runtime",
    "db.collection.name",
    "db.namespace",
    "db.operation",
    "db.operation.name",
    "db.system",
    "db.system.name",
    "deployment.environment",
    "deployment.environment.name",
    "embedding.model_name",
    "enduser.id",
    "env",
    "error.type",
    "event.name",
    "exception.type",
    "faas.",
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "gen_ai.agent.version",
    "gen_ai.conversation.id",
    "gen_ai.data_source.id",
    "gen_ai.embeddings.dimension.count",
    "gen_ai.operation.name",
    "gen_ai.output.type",
    "gen_ai.provider.name",
    "gen_ai.request.encoding_formats",
    "gen_ai.request.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.system",
    "gen_ai.token.type",
    "gen_ai.tool.call.id",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "host.arch",
    "host.id",
    "host.name",
    "host.type",
    "http.method",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "http.scheme",
    "http.status_code",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.cronjob.name",
    "k8s.daemonset.name",
    "k8s.deployment.name",
    "k8s.job.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
    "lamplight.parent_session_id",
    "lamplight.run_id",
    "llm.model_name",
    "llm.provider",
    "llm.system",
    "mcp.method.name",
    "mcp.protocol.version",
    "mcp.session.id",
    "messaging.destination.name",
    "messaging.operation",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.system",
    "net.peer.name",
    "net.transport",
    "network.",
    "openai.request.service_tier",
    "openai.response.service_tier",
    "openinference.span.kind",
    "os.name",
    "os.type",
    "os.version",
    "otel.library.name",
    "otel.library.version",
    "otel.scope.name",
    "otel.scope.version",
    "otel.status_code",
    "process.runtime.name",
    "process.runtime.version",
    "reranker.model_name",
    "rpc.grpc.status_code",
    "rpc.method",
    "rpc.service",
    "rpc.system",
    "server.address",
    "service.",
    "session.id",
    "telemetry.",
    "tokenjam.parent_session_id",
    "tokenjam.run_id",
    "tool.name",
    "url.scheme",
    "user.id",
];

/// Parts of a name (between dots, underscores and the like) that speak of content or of secrets. Sorted.
const DENIED: &[&str] = &[
    "answer",
    "answers",
    "arg",
    "args",
    "argument",
    "arguments",
    "argv",
    "attachment",
    "auth",
    "authorization",
    "baggage",
    "body",
    "chat",
    "cmd",
    "cmdline",
    "command",
    "commandline",
    "comment",
    "completion",
    "completions",
    "content",
    "contents",
    "cookie",
    "credential",
    "credentials",
    "cwd",
    "data",
    "description",
    "detail",
    "details",
    "diff",
    "dir",
    "directory",
    "document",
    "documents",
    "email",
    "error",
    "excerpt",
    "file",
    "filename",
    "filepath",
    "header",
    "headers",
    "history",
    "input",
    "inputs",
    "instruction",
    "instructions",
    "json",
    "key",
    "label",
    "line",
    "markdown",
    "memory",
    "message",
    "messages",
    "msg",
    "output",
    "outputs",
    "owner",
    "parameter",
    "parameters",
    "params",
    "password",
    "patch",
    "path",
    "payload",
    "prompt",
    "prompts",
    "query",
    "question",
    "questions",
    "raw",
    "reason",
    "reasoning",
    "reply",
    "request",
    "response",
    "responses",
    "result",
    "results",
    "secret",
    "snippet",
    "source",
    "sql",
    "stack",
    "stacktrace",
    "statement",
    "stderr",
    "stdin",
    "stdout",
    "string",
    "subject",
    "summary",
    "template",
    "text",
    "thinking",
    "thought",
    "thoughts",
    "title",
    "token",
    "trace",
    "traceback",
    "transcript",
    "uri",
    "url",
    "user",
    "username",
    "utterance",
    "value",
    "values",
    "variables",
    "words",
];

/// Last parts of a name under which a number or a boolean is an answer and not a measurement. Sorted.
const DENIED_NUMBERS: &[&str] = &[
    "answer",
    "arguments",
    "body",
    "completion",
    "content",
    "input",
    "message",
    "output",
    "prompt",
    "question",
    "reply",
    "response",
    "result",
    "text",
    "value",
];

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// A coding agent: only known names pass.
    CodingAgent,
    /// Any other program, or the user, through `OTEL_RESOURCE_ATTRIBUTES`.
    Program,
}

/// Whether a number or a boolean may pass under a name.
pub(super) fn passes_number(key: &str) -> bool {
    parts(key).last().is_none_or(|last| DENIED_NUMBERS.binary_search(&last.as_str()).is_err())
}

/// Whether a text may pass under a name.
pub(super) fn passes_text(writer: Writer, key: &str, text: &str) -> bool {
    if is_convention(key) {
        return is_plain(text);
    }
    match writer {
        Writer::CodingAgent => AGENT_TEXTS.binary_search(&key).is_ok() && is_plain(text),
        Writer::Program => is_word(text) && !parts(key).any(|p| DENIED.binary_search(&p.as_str()).is_ok()),
    }
}

/// Whether a list may pass at all; its entries are looked at one by one.
pub(super) fn passes_list(entries: usize) -> bool {
    entries <= MAX_ENTRIES
}

/// Whether a text is one word: an id, a version, a name. Paths and sentences are not.
pub(super) fn is_word(text: &str) -> bool {
    (1..=MAX_WORD).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'@' | b'+'))
}

/// Whether a text is short and on one line, as names are.
pub(super) fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(lamplight_model::label::is_unsafe)
}

fn is_convention(key: &str) -> bool {
    if CONVENTIONS.binary_search(&key).is_ok() {
        return true;
    }
    let prefix = key.find('.').and_then(|dot| key.get(..=dot));
    prefix.is_some_and(|prefix| CONVENTIONS.binary_search(&prefix).is_ok())
}

/// The parts of a name in lower case: `llm.input_messages.0.message.content`, `toolInput`, `Request-Body`.
fn parts(key: &str) -> impl Iterator<Item = String> {
    let mut all = vec![String::new()];
    let mut was_lower = false;
    for c in key.chars() {
        let begins = c.is_uppercase() && was_lower;
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if begins || !c.is_alphanumeric() {
            all.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = all.last_mut()
        {
            last.extend(c.to_lowercase());
        }
    }
    all.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_without_doubles() {
        for list in [AGENT_TEXTS, CONVENTIONS, DENIED, DENIED_NUMBERS] {
            assert!(
                list.windows(2).all(|pair| pair[0] < pair[1]),
                "{:?}",
                list.windows(2).find(|p| p[0] >= p[1])
            );
        }
    }

    #[test]
    fn texts_pass_by_name_and_shape() {
        use Writer::{CodingAgent, Program};
        for (writer, key, text, passes) in [
            (CodingAgent, "model", "claude-opus-5-5", true),
            (CodingAgent, "tool_name", "Bash", true),
            (CodingAgent, "hook_name", "PreToolUse:Bash", true),
            (CodingAgent, "prompt", "hi", false),
            (CodingAgent, "bash_argv0", "ls", false),
            (CodingAgent, "a_name_of_the_next_version", "word", false),
            (CodingAgent, "error", "invalid x-api-key", false),
            (CodingAgent, "file_path", "notes.txt", false),
            (CodingAgent, "gen_ai.request.model", "gpt-5.5", true),
            (Program, "order.id", "ab-12", true),
            (Program, "order.note", "leave it at the door", false),
            (Program, "region", "eu-west-1", true),
            (Program, "gen_ai.prompt.0.content", "hi", false),
            (Program, "gen_ai.input.messages", "[]", false),
            (Program, "input.value", "hi", false),
            (Program, "llm.output_messages.0.message.content", "hi", false),
            (Program, "retrieval.documents.0.document.content", "hi", false),
            (Program, "toolInput", "hi", false),
            (Program, "Request-Body", "hi", false),
            (Program, "apiKey", "sk-1234", false),
            (Program, "process.command_line", "rm", false),
            (Program, "process.executable.path", "node", false),
            (Program, "db.query.text", "x", false),
            (Program, "http.route", "/users/{id}", true),
            (Program, "url.full", "https://example.org/?q=hi", false),
            (Program, "service.name", "bot", true),
            (Program, "service.name", "a\nb", false),
            (Program, "cloud.region", "eu-west-1", true),
            (Program, "home", "/home/dev", false),
        ] {
            assert_eq!(passes_text(writer, key, text), passes, "{key}: {text}");
        }
    }

    #[test]
    fn numbers_pass_unless_the_name_ends_in_content() {
        for (key, passes) in [
            ("gen_ai.usage.input_tokens", true),
            ("prompt_length", true),
            ("cost_usd", true),
            ("http.response.status_code", true),
            ("error", true),
            ("retrieval.documents.0.document.score", true),
            ("input.value", false),
            ("prompt", false),
            ("gen_ai.completion.0.content", false),
            ("response", false),
        ] {
            assert_eq!(passes_number(key), passes, "{key}");
        }
    }
}
