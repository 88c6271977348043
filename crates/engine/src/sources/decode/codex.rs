//! Codex: its rollouts, of 0.169 and of the families before `ordinal`, and its index of titles.

mod call;
mod hook;
mod wire;

use std::io::BufRead;

use lamplight_model::event::{
    ContextSeen, EventKind, Failure, FailureClass, HiddenKind, Lineage, OwnerRank, Prompt, PromptOrigin,
    Response, Usage,
};
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::EntryKind;
use serde::{Deserialize, Serialize};

pub(super) use hook::hook;

use super::lenient::{Text, cut};
use super::{BadLine, Decoded, first_line, moment, scan};
use crate::facts::{FileRole, IssueKind, fact_id};
use wire::{IndexLine, LONG, Payload, Record, SAID, Source, WireUsage};

/// What is remembered between the lines of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carry {
    last_at: Option<Timestamp>,
    cwd: Option<String>,
    model: Option<String>,
    window: Option<u64>,
    /// The first `session_meta` was seen; a later one is a copied parent's.
    has_meta: bool,
    /// Prompts so far, which number those that have no id.
    prompts: u64,
    /// The thread of the current family: lines carry an `ordinal`, usage and prompts have records of their own.
    is_paginated: bool,
    /// The client writes when turns begin and end.
    has_turns: bool,
    /// The agent spoke and has called no tool since (families without turns).
    spoke: bool,
    /// The running totals of the latest `token_count` (families without usage records).
    totals: Option<[u64; 5]>,
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
        let payload = || scan::string_at(text, &["payload", "type"]);
        let item = || scan::string_at(text, &["payload", "item", "type"]);
        if !has_fact(kind, payload, item) {
            return Ok(());
        }
    }
    let record: Record<'_> = serde_json::from_str(text)?;
    Line { carry, role, read_at, out }.record(record, text);
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
    Line { carry, role, read_at, out }.record(record, "");
    Ok(())
}

/// Whether a line of this type can hold a fact. A type that could not be read cheaply may hold one.
fn has_fact<'a>(
    kind: &str,
    payload: impl FnOnce() -> Option<&'a str>,
    item: impl FnOnce() -> Option<&'a str>,
) -> bool {
    match kind {
        "session_meta" | "turn_context" | "token_usage_record" | "compacted" => true,
        "event_msg" => match payload() {
            Some("item_completed") => {
                item().is_none_or(|item| matches!(item, "UserMessage" | "AgentMessage"))
            }
            Some(
                "task_started"
                | "task_complete"
                | "turn_aborted"
                | "token_count"
                | "thread_settings_applied"
                | "user_message"
                | "agent_message",
            )
            | None => true,
            Some(_) => false,
        },
        "response_item" => payload().is_none_or(|kind| {
            matches!(
                kind,
                "function_call"
                    | "custom_tool_call"
                    | "local_shell_call"
                    | "function_call_output"
                    | "custom_tool_call_output"
            )
        }),
        _ => false,
    }
}

/// Reads a line of `session_index.jsonl`: the thread, its title, and when it was given; `None` for anything else.
#[must_use]
pub fn index_line(line: &[u8]) -> Option<(SessionId, String, Timestamp)> {
    // A line that is no such record names no thread.
    let entry: IndexLine<'_> = serde_json::from_slice(line).ok()?;
    let at = Timestamp::from_rfc3339(entry.updated_at.get()?)?;
    Some((SessionId::new(entry.id.get()?).ok()?, entry.name.into_string()?, at))
}

/// How the client asks for a title, in a thread of its own.
pub(crate) const TITLE_PROMPT: &str = "Generate a concise, single-line task title";

struct Line<'a> {
    carry: &'a mut Carry,
    role: &'a FileRole,
    read_at: Timestamp,
    out: &'a mut Decoded,
}

impl Line<'_> {
    fn record(&mut self, record: Record<'_>, line: &str) {
        let payload = record.payload;
        let kind = record.kind.get().unwrap_or_default();
        // A line that was read although it holds no fact must leave no trace.
        if !has_fact(kind, || payload.kind.get().or(Some("")), || payload.item.kind.get().or(Some(""))) {
            return;
        }
        let at = moment(record.timestamp.get(), &mut self.carry.last_at, self.read_at, self.out);
        self.carry.is_paginated |= record.ordinal.0.is_some();
        match kind {
            "session_meta" => self.session_meta(&payload, at),
            "turn_context" => self.settings(&payload.cwd, &payload.model, at),
            "token_usage_record" => self.usage_record(&payload, at),
            "compacted" => self.push(at, EventKind::Compacted { post_tokens: None }),
            "event_msg" => self.event(payload, at),
            "response_item" => self.response_item(payload, line, at),
            _ => {}
        }
    }

    fn push(&mut self, at: Timestamp, kind: EventKind) {
        self.out.push(at, false, kind);
    }

    fn session_id(&mut self, text: &Text<'_>) -> Option<SessionId> {
        let id = SessionId::new(text.get()?).ok();
        if id.is_none() {
            self.out.issues.push(IssueKind::BadId);
        }
        id
    }

    fn session_meta(&mut self, payload: &Payload<'_>, at: Timestamp) {
        if std::mem::replace(&mut self.carry.has_meta, true) {
            return;
        }
        self.carry.cwd = payload.cwd.get().map(str::to_owned);
        let is_subagent = payload.thread_source.is("subagent") || matches!(payload.source, Source::Subagent);
        let seen = ContextSeen {
            cwd: self.carry.cwd.clone(),
            branch: payload.git.branch.get().map(str::to_owned),
            version: payload.version.get().map(str::to_owned),
            entry: Some(entry_kind(&payload.source, &payload.originator)),
            hidden: is_subagent.then_some(HiddenKind::Subagent),
            ..ContextSeen::default()
        };
        self.push(at, EventKind::ContextSeen(seen));
        let parent = if is_subagent { self.session_id(&payload.parent) } else { None };
        if let Some(parent) = parent {
            self.push(at, EventKind::LineageSeen { parent, how: Lineage::Subagent });
        } else if let Some(parent) = self.session_id(&payload.forked_from) {
            self.push(at, EventKind::LineageSeen { parent, how: Lineage::Fork });
        }
    }

    fn settings(&mut self, cwd: &Text<'_>, model: &Text<'_>, at: Timestamp) {
        let seen = ContextSeen {
            cwd: changed(&mut self.carry.cwd, cwd),
            model: changed(&mut self.carry.model, model),
            ..ContextSeen::default()
        };
        if seen != ContextSeen::default() {
            self.push(at, EventKind::ContextSeen(seen));
        }
    }

    // ---- usage

    fn usage_record(&mut self, payload: &Payload<'_>, at: Timestamp) {
        self.carry.is_paginated = true;
        let Some(response) = payload.response.get() else { return };
        let thread = payload.thread.get().unwrap_or(self.role.session.as_str());
        self.response(&[thread, response], usage(&payload.usage), at);
    }

    fn response(&mut self, native: &[&str], usage: Usage, at: Timestamp) {
        let key = fact_id(Agent::Codex, "message", native);
        let model = self.carry.model.clone();
        let owner_rank = OwnerRank::Own;
        let response =
            Response { key, model, usage, owner: None, owner_rank, request: None, cost_nano: None };
        self.push(at, EventKind::ResponseReceived(response));
    }

    fn token_count(&mut self, payload: &Payload<'_>, at: Timestamp) {
        let info = &payload.info;
        if let Some(total) = info.total.total.0 {
            let totals = [
                info.total.input,
                info.total.cached,
                info.total.written,
                info.total.output,
                info.total.total,
            ]
            .map(super::lenient::Count::or_zero);
            if !self.carry.is_paginated && self.carry.totals != Some(totals) {
                self.carry.totals = Some(totals);
                let thread = self.role.session.as_str();
                self.response(&[thread, &format!("total:{total}")], usage(&info.last), at);
            }
        }
        let used = info.last.total.0.filter(|used| *used > 0);
        self.measured(used, info.window.0, at);
        // In families that do not write when a turn ends, the count after the agent's last word is its end.
        if !self.carry.is_paginated && !self.carry.has_turns && std::mem::take(&mut self.carry.spoke) {
            self.push(at, EventKind::TurnEnded);
        }
    }

    fn measured(&mut self, used: Option<u64>, window: Option<u64>, at: Timestamp) {
        let window = window.filter(|window| *window > 0);
        let is_new = window.is_some() && window != self.carry.window;
        if used.is_some() || is_new {
            self.carry.window = window.or(self.carry.window);
            self.push(at, EventKind::ContextMeasured { used, window });
        }
    }

    // ---- events

    fn event(&mut self, payload: Payload<'_>, at: Timestamp) {
        match payload.kind.get().unwrap_or_default() {
            "task_started" => {
                self.carry.has_turns = true;
                self.carry.spoke = false;
                self.push(at, EventKind::TurnStarted);
                self.measured(None, payload.window.0, at);
            }
            "task_complete" => {
                self.carry.has_turns = true;
                let kind = failure(&payload).map_or(EventKind::TurnEnded, EventKind::TurnFailed);
                self.push(at, kind);
            }
            "turn_aborted" => {
                self.carry.spoke = false;
                self.push(at, EventKind::TurnInterrupted);
            }
            "token_count" => self.token_count(&payload, at),
            "thread_settings_applied" => {
                self.settings(&payload.settings.cwd, &payload.settings.model, at);
            }
            "item_completed" => self.item(payload, at),
            // A line without an ordinal in a thread of the current family would repeat an item.
            "user_message"
                if !self.carry.is_paginated
                    && payload.message_kind.get().is_none_or(|kind| kind == "plain") =>
            {
                self.prompt(None, payload.message.into_string().unwrap_or_default(), at);
            }
            "agent_message" if !self.carry.is_paginated => {
                self.carry.spoke = true;
                self.spoke(payload.message.get().unwrap_or_default(), at);
            }
            _ => {}
        }
    }

    fn item(&mut self, payload: Payload<'_>, at: Timestamp) {
        self.carry.is_paginated = true;
        let item = payload.item;
        let text = || {
            let parts: Vec<&str> = item.content.0.iter().filter_map(|part| part.text.get()).collect();
            cut(&parts.join("\n"), LONG).to_owned()
        };
        match item.kind.get().unwrap_or_default() {
            "UserMessage" => self.prompt(item.id.get(), text(), at),
            "AgentMessage" => self.spoke(&text(), at),
            _ => {}
        }
    }

    fn prompt(&mut self, id: Option<&str>, text: String, at: Timestamp) {
        self.carry.prompts += 1;
        self.carry.spoke = false;
        let key = match id {
            Some(id) => fact_id(Agent::Codex, "prompt", &[id]),
            None => {
                let number = self.carry.prompts.to_string();
                fact_id(Agent::Codex, "prompt", &[self.role.session.as_str(), &number])
            }
        };
        if self.carry.prompts == 1 && text.starts_with(TITLE_PROMPT) {
            let hidden = Some(HiddenKind::TitleThread);
            self.push(at, EventKind::ContextSeen(ContextSeen { hidden, ..ContextSeen::default() }));
        }
        let prompt = Prompt { key: Some(key), text, origin: PromptOrigin::Person, owner: None };
        self.push(at, EventKind::PromptSubmitted(prompt));
    }

    fn spoke(&mut self, text: &str, at: Timestamp) {
        let text = text.trim();
        if !text.is_empty() {
            self.push(at, EventKind::AgentSpoke { text: cut(text, SAID).to_owned() });
        }
    }

    // ---- calls

    fn response_item(&mut self, payload: Payload<'_>, line: &str, at: Timestamp) {
        match payload.kind.get().unwrap_or_default() {
            "function_call" | "custom_tool_call" | "local_shell_call" => {
                self.carry.spoke = false;
                if let Some((call, change)) = call::tool_call(payload) {
                    self.push(at, EventKind::ToolCalled(call));
                    if let Some(change) = change {
                        self.push(at, EventKind::TaskChanged(change));
                    }
                }
            }
            "function_call_output" | "custom_tool_call_output" => {
                if let Some(answer) = call::tool_answer(&payload, line) {
                    self.push(at, answer);
                }
            }
            _ => {}
        }
    }
}

/// Returns how a thread is driven. The default terminal client writes the source `vscode`, so the originator decides
/// what is an editor; a client that initialised the shared server first has its name there, whatever it is.
fn entry_kind(source: &Source<'_>, originator: &Text<'_>) -> EntryKind {
    let originator = originator.get().unwrap_or_default();
    if matches!(source, Source::Word(word) if word.is("exec")) || originator == "codex_exec" {
        EntryKind::Print
    } else if originator.contains("vscode") || originator.contains("sdk") {
        EntryKind::Sdk
    } else {
        EntryKind::Interactive
    }
}

fn changed(known: &mut Option<String>, seen: &Text<'_>) -> Option<String> {
    let seen = seen.get()?;
    if known.as_deref() == Some(seen) {
        return None;
    }
    *known = Some(seen.to_owned());
    known.clone()
}

fn usage(wire: &WireUsage<'_>) -> Usage {
    let cached = wire.cached.or_zero();
    Usage {
        input: wire.input.or_zero().saturating_sub(cached),
        output: wire.output.or_zero(),
        cache_write_5m: wire.written.or_zero(),
        cache_write_1h: 0,
        cache_read: cached,
    }
}

fn failure(payload: &Payload<'_>) -> Option<Failure> {
    let error = &payload.error;
    if !error.info.present && error.message.get().is_none() {
        return None;
    }
    let text = first_line(error.message.get().unwrap_or_default(), 300);
    let status = error.info.status.and_then(|status| u16::try_from(status).ok());
    let class = match (error.info.word.as_deref(), status) {
        (Some("usage_limit_exceeded"), _) | (_, Some(429)) => FailureClass::Limit,
        (Some("unauthorized"), _) | (_, Some(401)) => FailureClass::SignIn,
        _ => FailureClass::Error,
    };
    // The text names a time of day in the client's own zone, without the day: not an instant.
    Some(Failure { class, text, status, resets_at: None })
}
