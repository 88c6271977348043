//! Records of the person's side: prompts, commands, results of calls, interruptions.

use lamplight_model::event::{BackgroundKind, EventKind, Prompt, PromptOrigin, TaskChange, ToolAnswer};
use lamplight_model::ids::{Agent, FactId, SessionId};

use super::wire::{Block, Content, Record, ToolResult};
use super::{Line, Stamp};
use crate::facts::fact_id;

impl Line<'_> {
    pub(super) fn user(&mut self, mut record: Record<'_>, stamp: Stamp) {
        let content = std::mem::take(&mut record.message.content);
        match content {
            Content::None => {}
            Content::Text(text) => self.user_text(&record, text.into_string().unwrap_or_default(), stamp),
            Content::Blocks(blocks) => self.user_blocks(&record, blocks.0, stamp),
        }
    }

    fn user_text(&mut self, record: &Record<'_>, text: String, stamp: Stamp) {
        if record.is_meta.0 || record.is_compact_summary.0 {
            return;
        }
        let start = text.trim_start();
        if start.starts_with("<task-notification>") || record.origin.kind.is("task-notification") {
            self.task_notification(&text, stamp);
            return self.prompt(record, text, PromptOrigin::Client, stamp);
        }
        if start.starts_with(INTERRUPTED) {
            return self.ended(stamp, EventKind::TurnInterrupted);
        }
        if let Some(command) = command_text(start) {
            return self.prompt(record, command, PromptOrigin::Command, stamp);
        }
        if is_client_output(start) {
            return;
        }
        // A subagent's prompt is its caller's.
        let origin = if stamp.main { PromptOrigin::Person } else { PromptOrigin::Client };
        self.prompt(record, text, origin, stamp);
    }

    fn prompt(&mut self, record: &Record<'_>, text: String, origin: PromptOrigin, stamp: Stamp) {
        let key = prompt_key(record);
        let (owner, _) = self.owner(record);
        self.prompt_with(key, text, origin, owner, stamp);
    }

    fn prompt_with(
        &mut self,
        key: Option<FactId>,
        text: String,
        origin: PromptOrigin,
        owner: Option<SessionId>,
        stamp: Stamp,
    ) {
        if stamp.main && origin != PromptOrigin::Command {
            self.carry.prompted_at = Some(stamp.at);
        }
        self.push(stamp, EventKind::PromptSubmitted(Prompt { key, text, origin, owner }));
    }

    fn task_notification(&mut self, text: &str, stamp: Stamp) {
        // A status that is no end (`running`) says only that the task lives.
        let over = tag(text, "status").is_none_or(|status| !matches!(status, "running" | "pending"));
        if let Some(id) = tag(text, "task-id").filter(|_| over) {
            let what = BackgroundKind::Unknown;
            self.push(stamp, EventKind::BackgroundTask { id: id.to_owned(), running: false, what });
        }
    }

    fn user_blocks(&mut self, record: &Record<'_>, blocks: Vec<Block<'_>>, stamp: Stamp) {
        let refused = is_refused(record);
        let mut said: Option<String> = None;
        let mut is_prompt = !record.is_meta.0 && !record.is_compact_summary.0;
        for block in blocks {
            match block.kind.get().unwrap_or_default() {
                "tool_result" => {
                    is_prompt = false;
                    if let Some(id) = block.call.get() {
                        let key = fact_id(Agent::ClaudeCode, "tool", &[id]);
                        let answer = ToolAnswer { key, is_error: block.is_error.0, refused };
                        self.push(stamp, EventKind::ToolAnswered(answer));
                    }
                }
                "text" => match block.text.get() {
                    Some(text) if text.trim_start().starts_with(INTERRUPTED) => {
                        is_prompt = false;
                        self.ended(stamp, EventKind::TurnInterrupted);
                    }
                    Some(text) => said = said.or_else(|| Some(text.to_owned())),
                    None => {}
                },
                _ => {}
            }
        }
        self.tool_result(&record.result, stamp);
        // A prompt with an image or a file. It starts a turn and is the person's word; it has no key, because only
        // prompts written as one text are counted.
        if is_prompt && let Some(text) = said {
            let origin = if stamp.main { PromptOrigin::Person } else { PromptOrigin::Client };
            let (owner, _) = self.owner(record);
            self.prompt_with(None, text, origin, owner, stamp);
        }
    }

    fn tool_result(&mut self, result: &ToolResult<'_>, stamp: Stamp) {
        let ToolResult::Fields(fields) = result else { return };
        if let Some(id) = fields.background.get() {
            let (id, what) = (id.to_owned(), BackgroundKind::Shell);
            self.push(stamp, EventKind::BackgroundTask { id, running: true, what });
        }
        if fields.status.is("async_launched")
            && let Some(id) = fields.agent.get()
        {
            let (id, what) = (id.to_owned(), BackgroundKind::Subagent);
            self.push(stamp, EventKind::BackgroundTask { id, running: true, what });
        }
        if let Some(id) = fields.task.id.get()
            && fields.task.subject.get().is_some()
        {
            let change = TaskChange::One { id: id.to_owned(), done: Some(false) };
            self.push(stamp, EventKind::TaskChanged(change));
        }
        if let (Some(id), Some(to)) = (fields.task_id.get(), fields.change.to.get()) {
            let done = (to != "deleted").then_some(to == "completed");
            self.push(stamp, EventKind::TaskChanged(TaskChange::One { id: id.to_owned(), done }));
        }
    }

    /// A prompt typed while the agent worked, absorbed by the running turn. A notice of the client absorbed likewise
    /// starts nothing.
    pub(super) fn attachment(&mut self, mut record: Record<'_>, stamp: Stamp) {
        if !record.attachment.kind.is("queued_command") {
            return;
        }
        let text = match std::mem::take(&mut record.attachment.prompt) {
            Content::Text(text) => text.into_string(),
            Content::Blocks(blocks) => blocks.0.into_iter().find_map(|block| block.text.into_string()),
            Content::None => None,
        }
        .unwrap_or_default();
        let is_notice = record.attachment.origin.kind.is("task-notification")
            || record.attachment.mode.is("task-notification")
            || text.trim_start().starts_with("<task-notification>");
        if is_notice {
            self.task_notification(&text, stamp);
        } else if stamp.main {
            self.prompt(&record, text, PromptOrigin::Queued, stamp);
        }
    }
}

/// How the client marks a turn the person cut.
const INTERRUPTED: &str = "[Request interrupted by user";

fn prompt_key(record: &Record<'_>) -> Option<FactId> {
    record.uuid.get().map(|uuid| fact_id(Agent::ClaudeCode, "prompt", &[uuid]))
}

/// Whether the person refused the call this result answers. A call the person cut while it ran is answered in the same
/// words, so where the client says which of the two it was, that counts.
fn is_refused(record: &Record<'_>) -> bool {
    if record.denial.get().is_some() {
        return record.denial.is("user-rejected") && record.is_denied_before_run.0;
    }
    let said = matches!(&record.result, ToolResult::Text(text) if text.get().is_some_and(|t| t.contains("User rejected tool use")));
    said || (record.decision.decision.is("reject") && record.decision.source.is("user_temporary"))
}

/// Returns what the person typed, where a text is a slash command or bash mode.
fn command_text(text: &str) -> Option<String> {
    if let Some(command) = tag(text, "bash-input").filter(|_| text.starts_with("<bash-input>")) {
        return Some(format!("! {}", command.trim()));
    }
    if !text.starts_with("<command-") && !text.starts_with("<bash-input") {
        return None;
    }
    let name = tag(text, "command-name").unwrap_or(text).trim();
    let arguments = tag(text, "command-args").unwrap_or_default().trim();
    Some(format!("{name} {arguments}").trim_end().to_owned())
}

/// Whether a text is what a command or bash mode printed.
fn is_client_output(text: &str) -> bool {
    text.starts_with("<bash-") || text.starts_with("<local-command-")
}

/// Returns what stands in a tag.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
}
