//! Errors that ended a turn.

use lamplight_model::event::{Failure, FailureClass};
use lamplight_model::ids::Timestamp;

use super::wire::{Content, Message, Record};
use crate::sources::decode::first_line;

/// Characters of an error that are kept.
const ERROR_CHARS: usize = 300;

/// How old clients say that the plan's limit is reached; the second it resets follows a bar.
const OLD_LIMIT: &str = "Claude AI usage limit reached";

/// Reads an assistant record the client made to say that the turn failed; `None` for any other.
///
/// Clients before `isApiErrorMessage` marked it by the synthetic model and the text alone; a synthetic record of
/// another text ("No response requested.") is no error.
pub(super) fn failure(record: &Record<'_>, message: &Message<'_>) -> Option<Failure> {
    let said = match &message.content {
        Content::Text(text) => text.get(),
        Content::Blocks(blocks) => blocks.0.iter().find_map(|block| block.text.get()),
        Content::None => None,
    }
    .unwrap_or_default();
    let text = first_line(said, ERROR_CHARS);
    let is_synthetic = message.model.is("<synthetic>");
    let reads_as_error =
        ["API Error", OLD_LIMIT, "Invalid API key", "Credit balance is too low", "Prompt is too long"]
            .iter()
            .any(|start| text.starts_with(start));
    if !record.is_error.0 && !(is_synthetic && (record.error.get().is_some() || reads_as_error)) {
        return None;
    }
    let status = record.error_status.0.and_then(|status| u16::try_from(status).ok());
    let class = match (record.error.get(), status) {
        (Some("authentication_failed"), _) | (_, Some(401)) => FailureClass::SignIn,
        (Some("rate_limit" | "billing_error"), _) => FailureClass::Limit,
        (None, _) if text.starts_with("Invalid API key") || text.contains("/login") => FailureClass::SignIn,
        (None, Some(429)) => FailureClass::Limit,
        (None, _) if text.starts_with(OLD_LIMIT) || text.starts_with("Credit balance is too low") => {
            FailureClass::Limit
        }
        _ => FailureClass::Error,
    };
    Some(Failure { class, resets_at: resets_at(said), text, status })
}

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Returns when a limit resets, where the text gives an instant and not only a time of some day.
fn resets_at(text: &str) -> Option<Timestamp> {
    let seconds: i64 = text.trim().strip_prefix(OLD_LIMIT)?.strip_prefix('|')?.trim().parse().ok()?;
    // A gateway's own text may hold any number.
    (0..=LAST_SECOND).contains(&seconds).then(|| Timestamp(seconds * 1_000))
}
