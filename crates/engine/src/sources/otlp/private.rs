//! Which attributes are content (prompts, outputs, arguments, documents, credentials) and are never kept.

/// Words of a name that speak of content. Names are the conventions' and instrumentations' (`gen_ai.input.messages`,
/// `llm.output_messages.0.message.content`, `input.value`, `ai.prompt`, `traceloop.entity.input`, `tool.parameters`,
/// `retrieval.documents`, `db.query.text`, `http.request.header.authorization`, …); a name of which one word is here is
/// taken for content, because losing a harmless text costs a line on a screen, and keeping a prompt costs trust.
const CONTENT: &[&str] = &[
    "all",
    "answer",
    "arg",
    "args",
    "argument",
    "arguments",
    "argv",
    "argv0",
    "authorization",
    "body",
    "chunk",
    "chunks",
    "cmd",
    "cmdline",
    "command",
    "completion",
    "completions",
    "content",
    "contents",
    "context",
    "cookie",
    "data",
    "definition",
    "definitions",
    "document",
    "documents",
    "email",
    "embedding",
    "embeddings",
    "file",
    "header",
    "headers",
    "input",
    "inputs",
    "instruction",
    "instructions",
    "key",
    "message",
    "messages",
    "output",
    "outputs",
    "param",
    "parameter",
    "parameters",
    "params",
    "passage",
    "passages",
    "password",
    "path",
    "payload",
    "prompt",
    "prompts",
    "query",
    "question",
    "reasoning",
    "request",
    "response",
    "result",
    "results",
    "schema",
    "script",
    "secret",
    "snippet",
    "stacktrace",
    "statement",
    "stderr",
    "stdin",
    "stdout",
    "summary",
    "system",
    "template",
    "text",
    "thinking",
    "thought",
    "thoughts",
    "title",
    "token",
    "tools",
    "transcript",
    "uri",
    "url",
    "utterance",
    "value",
    "values",
    "variables",
    "vector",
];

/// Names of which a word is in [`CONTENT`] and that are none.
const HARMLESS: &[&str] = &[
    "gen_ai.output.type",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "gen_ai.request.encoding_formats",
    "gen_ai.system",
    "llm.system",
    "llm.request.type",
    "http.request.method",
    "db.system",
    "db.system.name",
    "rpc.system",
    "rpc.system.name",
    "messaging.system",
    "request_id",
    "llm_request.context",
    "query_source",
    "query_source_safe",
    "bash_command_class",
];

/// Whether the text value of an attribute of this name is content. Numbers and truth values never are.
pub(crate) fn is_content(name: &str) -> bool {
    if HARMLESS.contains(&name) {
        return false;
    }
    words(name).any(|word| CONTENT.binary_search(&word.to_ascii_lowercase().as_str()).is_ok())
}

/// The words of a name, parted by punctuation and by capitals.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let humps = rest.char_indices().zip(rest.chars().skip(1));
            let cut = humps
                .filter(|((_, a), b)| !a.is_uppercase() && b.is_uppercase())
                .map(|((at, a), _)| at + a.len_utf8())
                .next()
                .unwrap_or(rest.len());
            let (word, left) = rest.split_at(cut);
            rest = left;
            Some(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_outputs_arguments_documents_and_credentials_are_content() {
        assert!(CONTENT.is_sorted(), "searched by halves");
        for name in [
            "gen_ai.prompt",
            "gen_ai.prompt.0.content",
            "gen_ai.completion.0.content",
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "gen_ai.system_instructions",
            "gen_ai.tool.definitions",
            "gen_ai.tool.call.arguments",
            "gen_ai.tool.call.result",
            "gen_ai.retrieval.documents",
            "gen_ai.retrieval.query.text",
            "input.value",
            "output.value",
            "llm.input_messages.0.message.content",
            "llm.prompt_template.variables",
            "retrieval.documents.0.document.content",
            "embedding.embeddings.0.embedding.text",
            "tool.parameters",
            "tool_call.function.arguments",
            "traceloop.entity.input",
            "ai.prompt.messages",
            "ai.response.text",
            "ai.toolCall.args",
            "mlflow.spanInputs",
            "langfuse.observation.input",
            "pydantic_ai.all_messages",
            "user_prompt",
            "full_command",
            "file_path",
            "tool_input",
            "function_args",
            "request_text",
            "response_text",
            "process.command_args",
            "db.query.text",
            "db.statement",
            "http.request.header.authorization",
            "url.full",
            "http.url",
            "exception.stacktrace",
            "aiResponseText",
        ] {
            assert!(is_content(name), "{name}");
        }
        for name in [
            "gen_ai.operation.name",
            "gen_ai.request.model",
            "gen_ai.response.id",
            "gen_ai.output.type",
            "gen_ai.agent.name",
            "gen_ai.tool.name",
            "gen_ai.provider.name",
            "http.route",
            "http.request.method",
            "server.address",
            "error.type",
            "openinference.span.kind",
            "tool_use_id",
            "decision",
            "speed",
        ] {
            assert!(!is_content(name), "{name}");
        }
    }
}
