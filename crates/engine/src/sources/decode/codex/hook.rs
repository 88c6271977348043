//! What Codex's hooks and its `notify` say.

use lamplight_model::hook::{HookCall, HookKind};
use lamplight_model::ids::Agent;

use super::call::{ask, target_of};
use super::wire::{Fields, LONG};
use crate::facts::fact_id;
use crate::sources::decode::hook::Told;
use crate::sources::decode::lenient::{Clip, List, Text, object};

/// How the client asks the model for a title, in a hidden thread that tells of itself as any other does.
const TITLE_PROMPT: &str = "Generate a concise, single-line task title";

object! {
    /// A spooled hook.
    Spooled { "payload" => payload: Payload<'de> }
}

object! {
    /// The event as the agent gave it, of a hook or of `notify`. Its paths are not read.
    Payload {
        "session_id" => session: Text<'de>,
        "agent_id" => subagent: Text<'de>,
        "hook_event_name" => event: Text<'de>,
        "permission_mode" => mode: Text<'de>,
        "tool_name" => tool: Text<'de>,
        "tool_use_id" => call: Text<'de>,
        "tool_input" => input: Fields<'de>,
        "prompt" => prompt: Clip<'de, LONG>,
        "source" => source: Text<'de>,
        "reason" => reason: Text<'de>,
        // notify
        "type" => kind: Text<'de>,
        "thread-id" => thread: Text<'de>,
        "input-messages" => prompts: List<Clip<'de, LONG>, 1>,
    }
}

/// Reads a spooled hook; `None` for one that names no session, or a hidden one.
pub(in crate::sources::decode) fn hook(file: &str) -> serde_json::Result<Option<Told>> {
    let payload = serde_json::from_str::<Spooled<'_>>(file)?.payload;
    let first = payload.prompts.0.first().and_then(Clip::get).or(payload.prompt.get());
    if first.is_some_and(|prompt| prompt.starts_with(TITLE_PROMPT)) {
        return Ok(Some(Told::nothing()));
    }
    let event = payload.event.get().or(payload.kind.get()).map(str::to_owned);
    let is_notify = payload.event.get().is_none();
    let session = if is_notify { payload.thread.get() } else { payload.session.get() };
    // `notify` of the oldest versions names no thread.
    let (Some(event), Some(session)) = (event, session.map(str::to_owned)) else {
        return Ok(is_notify.then(Told::nothing).filter(|_| payload.kind.get().is_some()));
    };
    let subagent = payload.subagent.get().filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Some(Told { session, subagent, folder: None, kind: kind(&event, payload) }))
}

fn kind(event: &str, payload: Payload<'_>) -> HookKind {
    match event {
        "SessionStart" => HookKind::SessionStarted { how: payload.source.into_string() },
        "UserPromptSubmit" => HookKind::PromptSubmitted { text: None },
        "PreToolUse" if payload.tool.is("request_user_input") => HookKind::Asked(call(payload)),
        "PreToolUse" => HookKind::ToolStarted(call(payload)),
        "PermissionRequest" => HookKind::Asked(call(payload)),
        "PostToolUse" => HookKind::ToolFinished(call(payload)),
        "Stop" | "agent-turn-complete" => HookKind::TurnEnded { background: 0, said: None },
        "Interrupt" => HookKind::TurnInterrupted,
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
    let is_automatic = ask.is_none() && payload.mode.is("bypassPermissions");
    HookCall {
        key: payload.call.get().map(|id| fact_id(Agent::Codex, "tool", &[id])),
        target: target_of(&tool, payload.input),
        tool,
        ask,
        is_automatic,
    }
}
