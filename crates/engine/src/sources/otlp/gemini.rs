//! Log records of Gemini CLI (`formats/gemini.md`). Its resource carries the whole command line, and with it a prompt: no
//! attribute is read that is not named here. `gen_ai.client.inference.operation.details` tells of the same response again
//! under other names, and its spans and metrics repeat what the records say.

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::telemetry::Word;

use super::attributes::{Attributes, line};
use super::{About, Called, Fact, Failed, RecordId, Requested};

/// Characters kept of a prompt.
const TEXT_CHARS: usize = 300;

/// Says what a record means.
pub(super) fn log(own: &Attributes<'_>, about: &About, id: RecordId, at: Timestamp, out: &mut Vec<Fact>) {
    let Some(name) = own.text("event.name").and_then(|name| name.strip_prefix("gemini_cli.")) else { return };
    // A role other than `main` is the client's own request: a summary, a title, a check of its own.
    let is_main = own.text("role").is_none_or(|role| role == "main");
    match name {
        "config" => {
            if let Some(model) = own.name("model") {
                out.push(about.heard(at, id, Word::Model(model)));
            }
            if let Some(mode) = own.name("approval_mode") {
                out.push(about.heard(at, id, Word::Mode(mode)));
            }
            if let Some(is_interactive) = own.flag("interactive") {
                out.push(about.heard(at, id, Word::Run(!is_interactive)));
            }
        }
        "user_prompt" => {
            let text = own.text("prompt").map(|text| line(text, TEXT_CHARS));
            out.push(about.heard(at, id, Word::Prompted { text, is_title: false, is_persons: true }));
        }
        "api_response" => {
            let (input, read) = (
                own.count("input_token_count").unwrap_or(0),
                own.count("cached_content_token_count").unwrap_or(0),
            );
            let output = own.count("output_token_count").unwrap_or(0);
            if is_main {
                out.push(about.heard(at, id, Word::Answered { model: own.name("model") }));
            }
            out.push(Fact::Requested(Requested {
                agent: Agent::Gemini,
                session: about.session.clone(),
                request: id.hash,
                at,
                model: own.name("model"),
                usage: Usage {
                    // The input includes what was read from the cache; thoughts are beside the output.
                    input: input.saturating_sub(read),
                    output: output.saturating_add(own.count("thoughts_token_count").unwrap_or(0)),
                    cache_write_5m: 0,
                    cache_write_1h: 0,
                    cache_read: read,
                },
                cost_nano: None,
                duration_ms: own.count("duration_ms"),
                ttft_ms: None,
                attempt: None,
                by_log: true,
            }));
        }
        "api_error" => out.push(Fact::Failed(Failed {
            agent: Agent::Gemini,
            session: about.session.clone(),
            id,
            at,
            exhausted: false,
            status: own.first_count(&["status_code", "error_code"]).and_then(|n| u16::try_from(n).ok()),
            attempt: None,
        })),
        "tool_call" => {
            // A call has no id here; the record is the call.
            let key = id.hash;
            let name = own.name("function_name").unwrap_or_default();
            let decision = own.name("decision");
            let accepted = decision.as_deref() != Some("reject");
            let by_person = matches!(decision.as_deref(), Some("accept" | "reject" | "modify"));
            out.push(Fact::Called(Called {
                tool: name.clone(),
                decision,
                // The wait for an approval is within it.
                ran_ms: own.count("duration_ms"),
                success: own.flag("success"),
                ..about.called(key, at)
            }));
            out.push(about.heard(at, id, Word::ToolDecided { key, name: name.clone(), accepted, by_person }));
            out.push(about.heard(at, id, Word::ToolEnded { key, name }));
        }
        "chat_compression" => out.push(about.heard(at, id, Word::Compacted)),
        // Hooks of the user's own tell of the ends that no record of the client's does.
        "hook_call" => match own.text("hook_event_name") {
            Some("AfterAgent") => out.push(about.heard(at, id, Word::Stopped)),
            Some("SessionEnd") => out.push(about.heard(at, id, Word::Ended)),
            _ => {}
        },
        "slash_command" if own.text("command") == Some("quit") => {
            out.push(about.heard(at, id, Word::Ended));
        }
        _ => {}
    }
}
