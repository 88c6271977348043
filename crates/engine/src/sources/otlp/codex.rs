//! Log records of Codex (`formats/codex.md` §6). They share no id with the rollout: where a thread has one, its usage alone
//! counts, and what is told here is how long things took, and who approved a call. All numbers are text, the name is an
//! attribute, and the time is that of the exporter.

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, FactId, Timestamp};
use lamplight_model::telemetry::Word;

use super::attributes::{Attributes, line};
use super::{About, Called, Fact, Failed, RecordId, Requested};
use crate::facts::fact_id;
use crate::sources::decode::codex::TITLE_PROMPT;

/// What stands for a prompt that is not sent.
const REDACTED: &str = "[REDACTED]";
/// Characters kept of a prompt.
const TEXT_CHARS: usize = 300;
/// A prompt shorter than this asks for no title: the client's own words around it are 413 characters in 0.169.
const SHORTEST_TITLE_PROMPT: u64 = 400;

/// Says what a record means.
pub(super) fn log(own: &Attributes<'_>, about: &About, id: RecordId, at: Timestamp, out: &mut Vec<Fact>) {
    let Some(name) = own.text("event.name").and_then(|name| name.strip_prefix("codex.")) else { return };
    match name {
        "conversation_starts" => {
            if let Some(model) = own.name("model") {
                out.push(about.heard(at, id, Word::Model(model)));
            }
            out.push(about.heard(at, id, Word::Run(own.text("service.name") == Some("codex_exec"))));
        }
        "user_prompt" => {
            let text = own.text("prompt").filter(|text| *text != REDACTED);
            let is_title = text.is_some_and(|text| text.starts_with(TITLE_PROMPT));
            let is_short = own.count("prompt_length").is_some_and(|n| n < SHORTEST_TITLE_PROMPT);
            let is_persons = !is_title && (text.is_some() || is_short);
            let text = text.filter(|_| !is_title).map(|text| line(text, TEXT_CHARS));
            out.push(about.heard(at, id, Word::Prompted { text, is_title, is_persons }));
        }
        "api_request" => {
            let status = own.count("http.response.status_code").and_then(|n| u16::try_from(n).ok());
            let has_failed = status.is_some_and(|n| n >= 400) || own.has("error.message");
            if has_failed {
                out.push(Fact::Failed(Failed {
                    agent: Agent::Codex,
                    session: about.session.clone(),
                    id,
                    at,
                    exhausted: false,
                    status,
                    // Counted from 0.
                    attempt: own.count("attempt").and_then(|n| u32::try_from(n.saturating_add(1)).ok()),
                }));
            }
        }
        // It comes twice, once without tokens, and once per text delta otherwise.
        "sse_event" if own.text("event.kind") == Some("response.completed") => {
            let Some(input) = own.count("input_token_count") else { return };
            let read = own.count("cached_token_count").unwrap_or(0);
            out.push(about.heard(at, id, Word::Answered { model: own.name("model") }));
            out.push(Fact::Requested(Requested {
                agent: Agent::Codex,
                session: about.session.clone(),
                request: id.hash,
                at,
                model: own.name("model"),
                usage: Usage {
                    // As in a rollout: the input includes what was read from the cache, the output the reasoning.
                    input: input.saturating_sub(read),
                    output: own.count("output_token_count").unwrap_or(0),
                    cache_write_5m: own.count("cache_write_token_count").unwrap_or(0),
                    cache_write_1h: 0,
                    cache_read: read,
                },
                cost_nano: None,
                duration_ms: None,
                ttft_ms: own.count("ttft_ms"),
                attempt: None,
                by_log: true,
            }));
        }
        "tool_decision" => {
            let Some(key) = own.text("call_id").map(tool_key) else { return };
            let accepted = own.text("decision").is_some_and(|said| said.starts_with("approved"));
            let by_person = own.text("source") == Some("User");
            let name = own.name("tool_name").unwrap_or_default();
            out.push(Fact::Called(Called {
                tool: name.clone(),
                decision: own.name("source"),
                ..about.called(key, at)
            }));
            out.push(about.heard(at, id, Word::ToolDecided { key, name, accepted, by_person }));
        }
        "tool_result" => {
            let Some(key) = own.text("call_id").map(tool_key) else { return };
            let name = own.name("tool_name").unwrap_or_default();
            out.push(Fact::Called(Called {
                tool: name.clone(),
                // The wait for an approval is within it.
                ran_ms: own.count("duration_ms"),
                success: own.flag("success"),
                ..about.called(key, at)
            }));
            out.push(about.heard(at, id, Word::ToolEnded { key, name }));
        }
        _ => {}
    }
}

fn tool_key(id: &str) -> FactId {
    fact_id(Agent::Codex, "tool", &[id])
}
