//! What Gemini CLI's hooks say. Its hooks are its only live witness, so that they also give the folder and the first
//! prompt, which other agents' transcripts give; the paths are shown, and nothing is opened for them.

use lamplight_model::hook::{HookCall, HookKind};

use super::hook::Told;
use super::lenient::{Clip, Text, cut, object};

/// Characters kept of a command or a path.
const TARGET_CHARS: usize = 2_000;
/// Characters kept of what was said.
const SAID_CHARS: usize = 100;

object! {
    /// A spooled hook.
    Spooled { "payload" => payload: Payload<'de> }
}

object! {
    /// The event as the agent gave it.
    Payload {
        "session_id" => session: Text<'de>,
        "hook_event_name" => event: Text<'de>,
        "cwd" => folder: Clip<'de, TARGET_CHARS>,
        "source" => source: Text<'de>,
        "reason" => reason: Text<'de>,
        "prompt" => prompt: Clip<'de, TARGET_CHARS>,
        "prompt_response" => said: Clip<'de, TARGET_CHARS>,
        "tool_name" => tool: Text<'de>,
        "tool_input" => input: Fields<'de>,
        "notification_type" => notice: Text<'de>,
        "message" => message: Clip<'de, TARGET_CHARS>,
        "details" => details: Details<'de>,
    }
}

object! {
    /// What a tool is called with.
    Fields {
        "command" => command: Clip<'de, TARGET_CHARS>,
        "file_path" => file: Clip<'de, TARGET_CHARS>,
        "absolute_path" => absolute: Clip<'de, TARGET_CHARS>,
        "path" => path: Clip<'de, TARGET_CHARS>,
        "url" => url: Clip<'de, TARGET_CHARS>,
        "query" => query: Clip<'de, TARGET_CHARS>,
        "pattern" => pattern: Clip<'de, TARGET_CHARS>,
    }
}

object! {
    /// What a dialog asks.
    Details {
        "type" => kind: Text<'de>,
        "title" => title: Clip<'de, TARGET_CHARS>,
        "command" => command: Clip<'de, TARGET_CHARS>,
        "filePath" => path: Clip<'de, TARGET_CHARS>,
        "fileName" => file: Clip<'de, TARGET_CHARS>,
        "toolName" => tool: Text<'de>,
    }
}

/// Reads a spooled hook; `None` for one that names no session.
pub(super) fn hook(file: &str) -> serde_json::Result<Option<Told>> {
    let payload = serde_json::from_str::<Spooled<'_>>(file)?.payload;
    let (Some(event), Some(session)) = (payload.event.get(), payload.session.get()) else { return Ok(None) };
    let (event, session) = (event.to_owned(), session.to_owned());
    let folder = payload.folder.get().filter(|folder| folder.starts_with('/')).map(str::to_owned);
    Ok(Some(Told { session, subagent: None, folder, kind: kind(&event, payload) }))
}

fn kind(event: &str, payload: Payload<'_>) -> HookKind {
    match event {
        "SessionStart" => HookKind::SessionStarted { how: payload.source.into_string() },
        "BeforeAgent" => HookKind::PromptSubmitted { text: payload.prompt.into_string() },
        "AfterAgent" => HookKind::TurnEnded {
            background: 0,
            said: payload.said.get().map(|said| cut(said.trim(), SAID_CHARS).to_owned()),
        },
        "BeforeTool" => HookKind::ToolStarted(call(payload)),
        "AfterTool" => HookKind::ToolFinished(call(payload)),
        "Notification" if payload.notice.is("ToolPermission") => HookKind::Asked(dialog(payload)),
        "PreCompress" => HookKind::Compacting,
        "SessionEnd" => HookKind::SessionEnded { reason: payload.reason.into_string() },
        other => HookKind::Other { name: other.chars().take(64).collect() },
    }
}

fn call(payload: Payload<'_>) -> HookCall {
    let Fields { command, file, absolute, path, url, query, pattern, line: _ } = payload.input;
    let named = [command, file, absolute, path, url, query, pattern];
    HookCall {
        key: None,
        tool: payload.tool.into_string().unwrap_or_default(),
        target: named.into_iter().find_map(Clip::into_string),
        ask: None,
        is_automatic: false,
    }
}

/// A dialog names what it asks, and the tool only by the kind of the dialog.
fn dialog(payload: Payload<'_>) -> HookCall {
    let Details { kind, title, command, path, file, tool, line: _ } = payload.details;
    let tool = tool.into_string().unwrap_or_else(|| {
        match kind.get() {
            Some("exec") => "run_shell_command",
            Some(other) => other,
            None => "a tool",
        }
        .to_owned()
    });
    let named = [command, path, file, title, payload.message];
    HookCall {
        key: None,
        tool,
        target: named.into_iter().find_map(Clip::into_string),
        ask: None,
        is_automatic: false,
    }
}
