//! Claude Code: its transcripts, and the small files beside them.

mod call;
mod failure;
mod registry;
mod wire;

use std::io::BufRead;

use lamplight_model::event::{
    BackgroundKind, ContextSeen, EventKind, Lineage, OwnerRank, Prompt, PromptOrigin, Response, TaskChange,
    TitleGiver, ToolAnswer, Usage,
};
use lamplight_model::ids::{Agent, FactId, SessionId, Timestamp};
use lamplight_model::session::EntryKind;
use serde::{Deserialize, Serialize};

pub use registry::{RegistryError, RegistryFile, SubagentMeta, registry, subagent_meta};

use super::lenient::{Text, cut};
use super::{BadLine, Decoded, moment, scan};
use crate::facts::{FileRole, IssueKind, fact_id};
use wire::{Block, Content, Message, Record, SAID, ToolResult, WireUsage};

/// What is remembered between the lines of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carry {
    last_at: Option<Timestamp>,
    cwd: Option<String>,
    branch: Option<String>,
    version: Option<String>,
    entry: Option<EntryKind>,
    user_title: Option<String>,
    agent_title: Option<String>,
    git_root: Option<String>,
    cost: Option<f64>,
    has_parent: bool,
    prompted_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    early: Vec<Early>,
}

/// A fact whose record has no time and stands before every record that has one. It waits for that one: the moment of
/// reading would make a session of last year one of today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Early {
    UserTitle(String),
    AgentTitle(String),
    Cost(f64),
    Cwd(String),
    GitRoot(String),
}

/// Facts that may wait; beyond it the oldest goes. Titles repeat in bursts, so a few are ordinary.
const MAX_EARLY: usize = 16;

impl From<Early> for EventKind {
    fn from(early: Early) -> Self {
        match early {
            Early::UserTitle(text) => Self::TitleGiven { text, by: TitleGiver::User },
            Early::AgentTitle(text) => Self::TitleGiven { text, by: TitleGiver::Agent },
            Early::Cost(usd) => Self::CostReported { usd },
            Early::Cwd(cwd) => Self::ContextSeen(ContextSeen { cwd: Some(cwd), ..ContextSeen::default() }),
            Early::GitRoot(root) => {
                Self::ContextSeen(ContextSeen { git_root: Some(root), ..ContextSeen::default() })
            }
        }
    }
}

/// Decodes a line held in memory.
pub(super) fn line(
    carry: &mut Carry,
    role: &FileRole,
    text: &str,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    if let Some(kind) = scan::string_at(text, &["type"]) {
        let subtype = || scan::string_at(text, &["subtype"]);
        let attachment = || scan::string_at(text, &["attachment", "type"]);
        if !has_fact(role, kind, subtype, attachment) {
            return Ok(());
        }
    }
    let record: Record<'_> = serde_json::from_str(text)?;
    Line { carry, role, read_at, out }.record(record);
    Ok(())
}

/// Decodes a line that is read in a stream.
pub(super) fn long_line(
    carry: &mut Carry,
    role: &FileRole,
    reader: impl BufRead,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    let record: Record<'static> = super::from_stream(reader)?;
    Line { carry, role, read_at, out }.record(record);
    Ok(())
}

/// Whether a record of this type can hold a fact. A type that could not be read cheaply may hold one.
fn has_fact<'a>(
    role: &FileRole,
    kind: &str,
    subtype: impl FnOnce() -> Option<&'a str>,
    attachment: impl FnOnce() -> Option<&'a str>,
) -> bool {
    match kind {
        "system" => subtype().is_none_or(|s| matches!(s, "turn_duration" | "api_error" | "compact_boundary")),
        "attachment" => attachment().is_none_or(|kind| kind == "queued_command"),
        "api-request" => role.subagent.is_none(),
        "user" | "assistant" | "custom-title" | "agent-name" | "ai-title" | "summary" | "cost-state"
        | "relocated" | "continued-in" | "worktree-state" => true,
        _ => false,
    }
}

/// Returns how a session is driven, by the words of a record or of a registry file.
fn entry_kind(entrypoint: Option<&str>, session_kind: Option<&str>) -> Option<EntryKind> {
    if session_kind == Some("bg") {
        return Some(EntryKind::Background);
    }
    Some(match entrypoint? {
        "cli" => EntryKind::Interactive,
        "sdk-cli" => EntryKind::Print,
        _ => EntryKind::Sdk,
    })
}

/// One line on its way to facts.
struct Line<'a> {
    carry: &'a mut Carry,
    role: &'a FileRole,
    read_at: Timestamp,
    out: &'a mut Decoded,
}

/// When a record happened, and whether it belongs to a subagent inside a main file.
#[derive(Clone, Copy)]
struct Stamp {
    at: Timestamp,
    sidechain: bool,
    /// The record speaks of the main thread of its session.
    main: bool,
}

impl Line<'_> {
    fn record(&mut self, record: Record<'_>) {
        let kind = record.kind.get().unwrap_or_default();
        // A record that was read although it holds no fact must leave no trace: where it stands in the file would
        // otherwise depend on how it was read.
        if !has_fact(
            self.role,
            kind,
            || record.subtype.get().or(Some("")),
            || record.attachment.kind.get().or(Some("")),
        ) {
            return;
        }
        let at = moment(record.timestamp.get(), &mut self.carry.last_at, self.read_at, self.out);
        self.release_early(at);
        let sidechain = record.is_sidechain.0 && self.role.subagent.is_none();
        let stamp = Stamp { at, sidechain, main: !sidechain && self.role.subagent.is_none() };
        match kind {
            "user" => {
                self.circumstances(&record, stamp);
                self.user(record, stamp);
            }
            "assistant" => {
                self.circumstances(&record, stamp);
                self.assistant(record, stamp);
            }
            "system" => {
                self.circumstances(&record, stamp);
                self.system(&record, stamp);
            }
            "attachment" => {
                self.circumstances(&record, stamp);
                self.attachment(record, stamp);
            }
            "api-request" => self.request(&record, stamp),
            "custom-title" => {
                if let Some(text) = record.custom_title.into_string() {
                    self.title(text, TitleGiver::User);
                }
            }
            "ai-title" => {
                if let Some(text) = record.ai_title.into_string() {
                    self.title(text, TitleGiver::Agent);
                }
            }
            "agent-name" => {
                if let Some(text) = record.agent_name.into_string() {
                    self.agent_name(text);
                }
            }
            "summary" => {
                if let Some(text) = record.summary.into_string() {
                    self.title(text, TitleGiver::Agent);
                }
            }
            "cost-state" => {
                if let Some(usd) = record.cost.0
                    && self.carry.cost != Some(usd)
                {
                    self.carry.cost = Some(usd);
                    self.undated(Early::Cost(usd));
                }
            }
            "relocated" => {
                if let Some(cwd) = changed(&mut self.carry.cwd, &record.relocated) {
                    self.undated(Early::Cwd(cwd));
                }
            }
            "worktree-state" => {
                if let Some(root) = record.worktree.original.into_string()
                    && self.carry.git_root.as_deref() != Some(root.as_str())
                {
                    self.carry.git_root = Some(root.clone());
                    self.undated(Early::GitRoot(root));
                }
            }
            "continued-in" => {
                if let Some(session) = self.session_id(&record.continued_in) {
                    self.push(stamp, EventKind::ContinuedIn { session });
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, stamp: Stamp, kind: EventKind) {
        self.out.push(stamp.at, stamp.sidechain, kind);
    }

    // ---- records without a time

    fn undated(&mut self, fact: Early) {
        match self.carry.last_at {
            Some(at) => self.out.push(at, false, fact.into()),
            None => {
                if self.carry.early.len() >= MAX_EARLY {
                    self.carry.early.remove(0);
                }
                self.carry.early.push(fact);
            }
        }
    }

    fn release_early(&mut self, at: Timestamp) {
        if self.carry.last_at.is_some() {
            for early in std::mem::take(&mut self.carry.early) {
                self.out.push(at, false, early.into());
            }
        }
    }

    fn title(&mut self, text: String, by: TitleGiver) {
        let known = match by {
            TitleGiver::User => &mut self.carry.user_title,
            TitleGiver::Agent => &mut self.carry.agent_title,
        };
        if known.as_ref() == Some(&text) {
            return;
        }
        *known = Some(text.clone());
        self.undated(match by {
            TitleGiver::User => Early::UserTitle(text),
            TitleGiver::Agent => Early::AgentTitle(text),
        });
    }

    /// The name other sessions know this one by: a copy of the person's title where there is one, made by a model else.
    fn agent_name(&mut self, text: String) {
        if self.carry.user_title.as_ref() != Some(&text) {
            self.title(text, TitleGiver::Agent);
        }
    }

    // ---- circumstances and lineage

    fn circumstances(&mut self, record: &Record<'_>, stamp: Stamp) {
        if self.role.subagent.is_some() {
            return;
        }
        let mut seen = ContextSeen {
            cwd: changed(&mut self.carry.cwd, &record.cwd),
            branch: changed(&mut self.carry.branch, &record.branch),
            version: changed(&mut self.carry.version, &record.version),
            ..ContextSeen::default()
        };
        let entry = entry_kind(record.entrypoint.get(), record.session_kind.get());
        if entry.is_some() && entry != self.carry.entry {
            self.carry.entry = entry;
            seen.entry = entry;
        }
        if seen != ContextSeen::default() {
            self.push(stamp, EventKind::ContextSeen(seen));
        }
        if !self.carry.has_parent {
            let branch = self.session_id(&record.forked_from.session);
            let fork = self.session_id(&record.request_session);
            let parent = branch.map(|id| (id, Lineage::Branch)).or(fork.map(|id| (id, Lineage::Fork)));
            if let Some((parent, how)) = parent.filter(|(parent, _)| *parent != self.role.session) {
                self.carry.has_parent = true;
                self.push(stamp, EventKind::LineageSeen { parent, how });
            }
        }
    }

    /// Returns the session a copied record names as its origin, and how strongly.
    fn owner(&mut self, record: &Record<'_>) -> (Option<SessionId>, OwnerRank) {
        if let Some(id) = self.session_id(&record.request_session) {
            return (Some(id), OwnerRank::Request);
        }
        match self.session_id(&record.forked_from.session) {
            Some(id) => (Some(id), OwnerRank::ForkedFrom),
            None => (None, OwnerRank::Own),
        }
    }

    fn session_id(&mut self, text: &Text<'_>) -> Option<SessionId> {
        let text = text.get()?;
        let id = SessionId::new(text).ok();
        if id.is_none() {
            self.out.issues.push(IssueKind::BadId);
        }
        id
    }

    // ---- requests and system records

    /// The client sent a request: the earliest sign of work. A burst may hold it behind the response it led to.
    fn request(&mut self, record: &Record<'_>, stamp: Stamp) {
        let of_main_thread = record
            .query_source
            .get()
            .is_none_or(|source| source.starts_with("repl_main_thread") || source == "sdk");
        let answered = self.carry.ended_at.is_some_and(|ended| stamp.at <= ended);
        if stamp.main && record.agent.get().is_none() && of_main_thread && !answered {
            self.push(stamp, EventKind::TurnStarted);
        }
    }

    fn system(&mut self, record: &Record<'_>, stamp: Stamp) {
        match record.subtype.get().unwrap_or_default() {
            // Of a turn that ended before the latest prompt: a burst may hold it behind that prompt.
            "turn_duration" if self.carry.prompted_at.is_some_and(|prompted| stamp.at < prompted) => {}
            "turn_duration" if !stamp.sidechain => self.ended(stamp, EventKind::TurnEnded),
            "api_error" => {
                let number = |count: super::lenient::Count| {
                    count.0.map(|n| u32::try_from(n).unwrap_or(u32::MAX)).unwrap_or_default()
                };
                let (attempt, of) = (number(record.retry), number(record.retries));
                self.push(stamp, EventKind::RetryAnnounced { attempt, of });
            }
            "compact_boundary" => {
                let post_tokens = record.compaction.post_tokens.0;
                self.push(stamp, EventKind::Compacted { post_tokens });
            }
            _ => {}
        }
    }

    fn ended(&mut self, stamp: Stamp, kind: EventKind) {
        if stamp.main {
            self.carry.ended_at = Some(stamp.at);
        }
        self.push(stamp, kind);
    }

    // ---- the person's side

    fn user(&mut self, mut record: Record<'_>, stamp: Stamp) {
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
    fn attachment(&mut self, mut record: Record<'_>, stamp: Stamp) {
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

    // ---- the agent's side

    fn assistant(&mut self, mut record: Record<'_>, stamp: Stamp) {
        let message = std::mem::take(&mut record.message);
        if let Some(failure) = failure::failure(&record, &message) {
            return self.ended(stamp, EventKind::TurnFailed(failure));
        }
        let (owner, owner_rank) = self.owner(&record);
        let is_synthetic = message.model.is("<synthetic>");
        if !is_synthetic && let Some(id) = message.id.get().or(record.uuid.get()) {
            self.push(
                stamp,
                EventKind::ResponseReceived(Response {
                    key: fact_id(Agent::ClaudeCode, "message", &[id]),
                    model: message.model.get().map(str::to_owned),
                    usage: usage(&message.usage),
                    owner: owner.clone(),
                    owner_rank,
                }),
            );
        }
        let mut ends_with_text = false;
        let Message { content, stop_reason, .. } = message;
        match content {
            Content::None => {}
            Content::Text(text) => {
                ends_with_text = true;
                self.spoke(text.get(), is_synthetic, stamp);
            }
            Content::Blocks(blocks) => {
                for block in blocks.0 {
                    ends_with_text = block.kind.is("text");
                    self.block(block, owner.as_ref(), is_synthetic, stamp);
                }
            }
        }
        let ended = match stop_reason.get() {
            Some("end_turn" | "stop_sequence" | "refusal") => true,
            // Old clients wrote lines while the response came in and never said why it stopped: a text may be its last
            // word; a call that follows takes that back.
            None => ends_with_text && !record.is_aborted.0 && record.block_index.0.is_none(),
            Some(_) => false,
        };
        if record.is_aborted.0 {
            self.ended(stamp, EventKind::TurnInterrupted);
        } else if ended && !stamp.sidechain && !is_synthetic {
            self.ended(stamp, EventKind::TurnEnded);
        }
    }

    fn block(&mut self, block: Block<'_>, owner: Option<&SessionId>, is_synthetic: bool, stamp: Stamp) {
        match block.kind.get().unwrap_or_default() {
            "text" => self.spoke(block.text.get(), is_synthetic, stamp),
            "tool_use" => {
                let todos = call::todo_list(&block);
                if let Some(call) = call::tool_call(block, owner.cloned()) {
                    self.push(stamp, EventKind::ToolCalled(call));
                }
                if let Some(change) = todos {
                    self.push(stamp, EventKind::TaskChanged(change));
                }
            }
            _ => {}
        }
    }

    fn spoke(&mut self, text: Option<&str>, is_synthetic: bool, stamp: Stamp) {
        if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty() && !is_synthetic) {
            self.push(stamp, EventKind::AgentSpoke { text: cut(text, SAID).to_owned() });
        }
    }
}

/// How the client marks a turn the person cut.
const INTERRUPTED: &str = "[Request interrupted by user";

/// Returns a value that differs from the known one, and remembers it.
fn changed(known: &mut Option<String>, seen: &Text<'_>) -> Option<String> {
    let seen = seen.get()?;
    if known.as_deref() == Some(seen) {
        return None;
    }
    *known = Some(seen.to_owned());
    known.clone()
}

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

fn usage(wire: &WireUsage<'_>) -> Usage {
    let one_hour = wire.by_age.one_hour.or_zero();
    // What the split does not cover counts as the shorter age, which is what clients without a split wrote.
    let five_minutes =
        wire.written.0.map_or(wire.by_age.five_minutes.or_zero(), |all| all.saturating_sub(one_hour));
    Usage {
        input: wire.input.or_zero(),
        output: wire.output.or_zero(),
        cache_write_5m: five_minutes,
        cache_write_1h: one_hour,
        cache_read: wire.read.or_zero(),
    }
}
