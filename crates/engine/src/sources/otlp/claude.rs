//! Log records of Claude Code. Its registry, hooks and transcripts say what a session does; these say what it cost by the
//! agent's own account, and which attempts failed.

use lamplight_model::event::Usage;
use lamplight_model::ids::{Agent, Timestamp};

use super::attributes::Attributes;
use super::proto::{LogRecord, Value};
use super::{Fact, Failed, RecordId, Requested, classify};
use crate::facts::request_id;

/// Names of the 5-minute and 1-hour parts of what was written to the cache.
const WRITTEN_1H: &str = "cache_creation_1h_tokens";

/// Says what a record of Claude Code means; `None` for one that carries no fact.
pub(super) fn log(record: &LogRecord, own: &Attributes<'_>, id: RecordId, at: Timestamp) -> Option<Fact> {
    let session = classify::session(Agent::ClaudeCode, own)?;
    match event_name(record, own)? {
        "api_request" => {
            // What the split does not cover counts as the shorter age, as in transcripts.
            let one_hour = own.count(WRITTEN_1H).unwrap_or(0);
            let written = own.count("cache_creation_tokens").unwrap_or(0);
            let cost = own.count("cost_usd_micros").map(|micros| micros.saturating_mul(1_000));
            Some(Fact::Requested(Requested {
                session,
                request: own.text("request_id").map_or(id.hash, request_id),
                at,
                model: own.name("model"),
                usage: Usage {
                    input: own.count("input_tokens").unwrap_or(0),
                    output: own.count("output_tokens").unwrap_or(0),
                    cache_write_5m: written.saturating_sub(one_hour),
                    cache_write_1h: one_hour.min(written.max(one_hour)),
                    cache_read: own.count("cache_read_tokens").unwrap_or(0),
                },
                // `cost_usd` is not rounded; the other one is kept for clients that send it alone.
                cost_nano: own.dollars_nano(&["cost_usd"]).or(cost),
                duration_ms: own.count("duration_ms"),
                ttft_ms: own.count("ttft_ms"),
            }))
        }
        name @ ("api_error" | "api_retries_exhausted") => {
            let attempt = own.first_count(&["attempt", "total_attempts"]);
            Some(Fact::Failed(Failed {
                session,
                id,
                at,
                exhausted: name == "api_retries_exhausted",
                status: own.count("status_code").and_then(|n| u16::try_from(n).ok()),
                attempt: attempt.and_then(|n| u32::try_from(n).ok()),
            }))
        }
        _ => None,
    }
}

/// `event.name`, else what follows `claude_code.` in the body.
fn event_name<'a>(record: &'a LogRecord, own: &Attributes<'a>) -> Option<&'a str> {
    own.text("event.name").map(|name| name.strip_prefix("claude_code.").unwrap_or(name)).or_else(|| {
        match record.body.as_ref()?.value.as_ref()? {
            Value::Text(body) => body.strip_prefix("claude_code."),
            _ => None,
        }
    })
}
