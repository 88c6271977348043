//! What Claude Code's hooks say.

use lamplight_model::event::{Failure, FailureClass};
use lamplight_model::hook::{HookCall, HookKind};
use lamplight_model::ids::Agent;

use super::call::{ask, target};
use super::wire::{Input, SAID};
use crate::facts::fact_id;
use crate::sources::decode::first_line;
use crate::sources::decode::hook::Told;
use crate::sources::decode::lenient::{Clip, List, Text, cut, object};

/// Background tasks that are counted.
const MAX_TASKS: usize = 1_024;
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 300;

object! {
    /// A spooled hook.
    Spooled { "payload" => payload: Payload<'de> }
}

object! {
    /// The event as the agent gave it. Its paths are not read: they are hints, and nothing is opened for a hint.
    Payload {
        "session_id" => session: Text<'de>,
        "agent_id" => subagent: Text<'de>,
        "hook_event_name" => event: Text<'de>,
        "permission_mode" => mode: Text<'de>,
        "tool_name" => tool: Text<'de>,
        "tool_use_id" => call: Text<'de>,
        "tool_input" => input: Input<'de>,
        "background_tasks" => tasks: List<Task<'de>, MAX_TASKS>,
        "error" => error: Text<'de>,
        "error_details" => details: Clip<'de, SAID>,
        "last_assistant_message" => said: Clip<'de, SAID>,
        "notification_type" => notice: Text<'de>,
        "message" => message: Clip<'de, SAID>,
        "source" => source: Text<'de>,
        "reason" => reason: Text<'de>,
    }
}

object! {
    /// A shell or subagent in the background.
    Task { "status" => status: Text<'de> }
}

/// Reads a spooled hook.
pub(in crate::sources::decode) fn hook(file: &str) -> serde_json::Result<Option<Told>> {
    let payload = serde_json::from_str::<Spooled<'_>>(file)?.payload;
    let (Some(session), Some(event)) = (payload.session.get(), payload.event.get()) else { return Ok(None) };
    let (session, event) = (session.to_owned(), event.to_owned());
    let subagent = payload.subagent.get().filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Some(Told { session, subagent, folder: None, kind: kind(&event, payload) }))
}

fn kind(event: &str, payload: Payload<'_>) -> HookKind {
    match event {
        "SessionStart" => HookKind::SessionStarted { how: payload.source.into_string() },
        "UserPromptSubmit" => HookKind::PromptSubmitted { text: None },
        "PreToolUse" => HookKind::ToolStarted(call(payload)),
        "PermissionRequest" => HookKind::Asked(call(payload)),
        "PostToolUse" | "PostToolUseFailure" | "PermissionDenied" => HookKind::ToolFinished(call(payload)),
        "Elicitation" => HookKind::FormAsked { message: payload.message.into_string() },
        "ElicitationResult" => HookKind::FormAnswered,
        "Notification" => match payload.notice.get() {
            Some("permission_prompt") => HookKind::DialogStands { is_form: false },
            Some("elicitation_dialog") => HookKind::DialogStands { is_form: true },
            Some("elicitation_response") => HookKind::FormAnswered,
            // `idle_prompt` comes a minute late and blocks nothing.
            _ => HookKind::Other { name: event.to_owned() },
        },
        "Stop" => {
            // One that is over may still be listed.
            let running =
                payload.tasks.0.iter().filter(|t| t.status.get().is_none_or(|s| s == "running")).count();
            HookKind::TurnEnded {
                background: u32::try_from(running).unwrap_or(u32::MAX),
                said: payload.said.get().map(|said| cut(said.trim(), 100).to_owned()),
            }
        }
        "StopFailure" => HookKind::TurnFailed(failure(&payload)),
        "SubagentStart" => HookKind::SubagentStarted,
        "SubagentStop" => HookKind::SubagentStopped,
        "PreCompact" => HookKind::Compacting,
        "SessionEnd" => HookKind::SessionEnded { reason: payload.reason.into_string() },
        other => HookKind::Other { name: other.chars().take(64).collect() },
    }
}

fn call(payload: Payload<'_>) -> HookCall {
    let tool = payload.tool.into_string().unwrap_or_default();
    let ask = ask(&tool, &payload.input);
    // A question is the person's to answer in every mode.
    let is_automatic = ask.is_none() && matches!(payload.mode.get(), Some("bypassPermissions" | "dontAsk"));
    HookCall {
        key: payload.call.get().map(|id| fact_id(Agent::ClaudeCode, "tool", &[id])),
        target: target(payload.input),
        tool,
        ask,
        is_automatic,
    }
}

fn failure(payload: &Payload<'_>) -> Failure {
    let class = match payload.error.get() {
        Some("authentication_failed") => FailureClass::SignIn,
        Some("rate_limit" | "billing_error") => FailureClass::Limit,
        _ => FailureClass::Error,
    };
    let said = payload.said.get().or(payload.details.get()).or(payload.error.get()).unwrap_or_default();
    Failure { class, text: first_line(said, ERROR_CHARS), status: None, resets_at: None }
}
