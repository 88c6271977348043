//! OpenCode: rows of its database, a session or a message with all its parts to a line, as they stand.
//!
//! A row is changed in place until it is finished, so that the same message comes again and again: from the last one of
//! the agent on, every look reads it anew ([`Carry::first_unsettled`]). What was told of it is remembered, and facts are
//! dated by the row itself and told in the order of messages; how often somebody looked changes nothing.

mod call;
mod wire;

use std::collections::BTreeMap;
use std::io::BufRead;

use lamplight_model::event::{
    ContextSeen, EventKind, Failure, FailureClass, HiddenKind, Lineage, OwnerRank, Prompt, PromptOrigin,
    Response, TitleGiver, Usage,
};
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::EntryKind;
use serde::{Deserialize, Serialize};

use super::lenient::{Count, Text, cut};
use super::{BadLine, Decoded, FUTURE_TOLERANCE_MS, first_line};
use crate::facts::{IssueKind, fact_id};
use wire::{Data, Part, Row, SAID, SHORT, Tokens};

/// The title of a session that has none yet is this and the time of day.
const NO_TITLE: [&str; 2] = ["New session - ", "Child session - "];

/// What is remembered of a session between two looks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carry {
    /// What was told of the session's own row.
    cwd: Option<String>,
    version: Option<String>,
    entry: Option<EntryKind>,
    /// The model that works, or worked last.
    model: Option<String>,
    title: Option<String>,
    has_parent: bool,
    /// When the session began; a message from before it was copied by a fork.
    created: Option<Timestamp>,
    last_at: Option<Timestamp>,
    /// From here on messages may still change, or be answered.
    from: String,
    /// Messages from there on, by id: ids are in order of time.
    messages: BTreeMap<String, Told>,
    /// The agent's message that is not finished.
    open: Option<String>,
    /// When the agent's last message was finished.
    completed: Option<Timestamp>,
    /// Prompts given while that message was open, which are told after it.
    queued: Vec<Queued>,
    /// The agent is making room by itself and goes on after it.
    is_compacting: bool,
}

/// What was told of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    /// The model was seen to work on it, or the person to have written it.
    begun: bool,
    /// Nothing more is told of it.
    done: bool,
    parts: BTreeMap<String, Stage>,
}

/// What was told of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// A call that may be waiting for its person.
    Asked,
    /// A call that runs.
    Called,
    /// All of it.
    Over,
}

/// A prompt that waits for the agent to finish what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Queued {
    id: String,
    at: Timestamp,
    text: String,
}

impl Carry {
    /// The message from which on rows may still change; empty for all.
    pub(crate) fn first_unsettled(&self) -> &str {
        &self.from
    }
}

/// Decodes a row held in memory.
pub(super) fn line(
    carry: &mut Carry,
    text: &str,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    let row: Row<'_> = serde_json::from_str(text)?;
    Line { carry, read_at, out }.row(row);
    Ok(())
}

/// Decodes a row that is read in a stream.
pub(super) fn long_line(
    carry: &mut Carry,
    reader: impl BufRead,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    let row: Row<'static> = super::from_stream(reader)?;
    Line { carry, read_at, out }.row(row);
    Ok(())
}

struct Line<'a> {
    carry: &'a mut Carry,
    read_at: Timestamp,
    out: &'a mut Decoded,
}

impl Line<'_> {
    fn row(&mut self, row: Row<'_>) {
        let id = row.id.get().unwrap_or_default();
        match (row.row.get(), row.data.role.get()) {
            (Some("session"), _) => self.session(&row.data),
            (Some("message"), Some("user")) if !id.is_empty() => self.prompt(id, &row.data, &row.parts.0),
            (Some("message"), Some("assistant")) if !id.is_empty() => {
                self.response(id, &row.data, &row.parts.0);
            }
            _ => {}
        }
    }

    fn push(&mut self, at: Timestamp, kind: EventKind) {
        self.out.push(at, false, kind);
    }

    /// A moment as written, not later than that of reading; the one before it where none is written.
    fn moment(&mut self, written: Count) -> Timestamp {
        let Some(at) = instant(written) else { return self.carry.last_at.unwrap_or(self.read_at) };
        if at > self.read_at.plus_ms(FUTURE_TOLERANCE_MS) {
            self.out.issues.push(IssueKind::FutureTime);
        }
        let at = at.min(self.read_at);
        self.carry.last_at = Some(at);
        at
    }

    // ---- the session's own row

    fn session(&mut self, data: &Data<'_>) {
        // Its row says when it was last changed, not what was changed then: all of it holds from the beginning.
        let at = self.moment(data.created);
        self.carry.created = Some(at);
        let parent = data.parent.get().filter(|id| !id.is_empty());
        let entry = Some(entry_kind(data, parent.is_some()));
        let seen = ContextSeen {
            cwd: changed(&mut self.carry.cwd, &data.directory),
            version: changed(&mut self.carry.version, &data.version),
            entry: entry.filter(|_| self.carry.entry != entry),
            hidden: (parent.is_some() && !self.carry.has_parent).then_some(HiddenKind::Subagent),
            ..ContextSeen::default()
        };
        self.carry.entry = entry;
        if seen != ContextSeen::default() {
            self.push(at, EventKind::ContextSeen(seen));
        }
        if let Some(parent) = parent
            && !std::mem::replace(&mut self.carry.has_parent, true)
        {
            match SessionId::new(parent) {
                Ok(parent) => self.push(at, EventKind::LineageSeen { parent, how: Lineage::Subagent }),
                Err(_) => self.out.issues.push(IssueKind::BadId),
            }
        }
        let title = data.title.get().unwrap_or_default();
        let title = if NO_TITLE.iter().any(|start| title.starts_with(start)) { "" } else { title };
        if self.carry.title.as_deref().unwrap_or_default() != title {
            self.carry.title = Some(title.to_owned());
            self.push(at, EventKind::TitleGiven { text: title.to_owned(), by: TitleGiver::Agent });
        }
    }

    /// Whether a message is older than its session: a fork copies them, with what they cost.
    fn is_copied(&self, at: Timestamp) -> bool {
        self.carry.created.is_some_and(|created| at < created)
    }

    // ---- the person

    fn prompt(&mut self, id: &str, data: &Data<'_>, parts: &[Part<'_>]) {
        if id < self.carry.from.as_str() || self.carry.messages.get(id).is_some_and(|told| told.done) {
            return;
        }
        if let Some(compaction) = parts.iter().find(|part| part.data.kind.is("compaction")) {
            self.carry.is_compacting = compaction.data.auto.0;
            self.carry.messages.entry(id.to_owned()).or_default().done = true;
            return;
        }
        // Its parts are written after it; what the client adds to a prompt by itself is no prompt.
        let Some(text) = parts.iter().find_map(written) else { return };
        let text = match self.carry.entry {
            Some(EntryKind::Print) => unquoted(text),
            _ => text.to_owned(),
        };
        let at = self.moment(data.time.created);
        self.carry.is_compacting = false;
        if self.carry.open.as_deref().is_some_and(|open| open < id) {
            if self.carry.queued.iter().all(|queued| queued.id != id) {
                self.carry.queued.push(Queued { id: id.to_owned(), at, text });
            }
            return;
        }
        self.carry.queued.retain(|queued| queued.id != id);
        self.tell_prompt(id, at, text);
    }

    fn tell_prompt(&mut self, id: &str, at: Timestamp, text: String) {
        let told = self.carry.messages.entry(id.to_owned()).or_default();
        (told.begun, told.done) = (true, true);
        // A copy is a prompt of the session it was given in.
        let key = (!self.is_copied(at)).then(|| fact_id(Agent::OpenCode, "prompt", &[id]));
        let was_working = self.carry.completed.is_some_and(|completed| at < completed);
        let origin = match (self.carry.has_parent, was_working) {
            // The session that began it wrote that.
            (true, _) => PromptOrigin::Client,
            (false, true) => PromptOrigin::Queued,
            (false, false) => PromptOrigin::Person,
        };
        self.push(at, EventKind::PromptSubmitted(Prompt { key, text, origin, owner: None }));
    }

    // ---- the agent

    fn response(&mut self, id: &str, data: &Data<'_>, parts: &[Part<'_>]) {
        if id < self.carry.from.as_str() {
            return;
        }
        if id > self.carry.from.as_str() {
            self.settle_before(id);
        }
        let mut told = self.carry.messages.remove(id).unwrap_or_default();
        if !told.done {
            self.tell_response(id, data, parts, &mut told);
        }
        self.carry.messages.insert(id.to_owned(), told);
    }

    /// The agent began another message: what stands before it is not changed any more.
    fn settle_before(&mut self, id: &str) {
        self.carry.open = None;
        let (before, after) =
            std::mem::take(&mut self.carry.queued).into_iter().partition(|queued| queued.id.as_str() < id);
        self.carry.queued = after;
        for Queued { id, at, text } in before {
            self.tell_prompt(&id, at, text);
        }
        self.carry.messages = self.carry.messages.split_off(id);
        id.clone_into(&mut self.carry.from);
    }

    fn tell_response(&mut self, id: &str, data: &Data<'_>, parts: &[Part<'_>], told: &mut Told) {
        let created = self.moment(data.time.created);
        let failed = data.error.name.get().is_some();
        let finish = data.finish.get();
        let is_over = failed || data.time.completed.0.is_some();
        // The person's own shell commands stand in messages of the agent's as well, without a step of the model's.
        let is_models = failed || finish.is_some() || parts.iter().any(|p| p.data.kind.is("step-start"));
        if is_models && !std::mem::replace(&mut told.begun, true) {
            self.push(created, EventKind::TurnStarted);
            if let Some(model) = changed(&mut self.carry.model, &data.model) {
                let seen = ContextSeen { model: Some(model), ..ContextSeen::default() };
                self.push(created, EventKind::ContextSeen(seen));
            }
        }
        let mut is_refused = false;
        for part in parts {
            let Some(part_id) = part.id.get() else { continue };
            match part.data.kind.get() {
                Some("text") if !data.summary.0 => self.text(part_id, part, created, is_over, told),
                Some("tool") if is_models => {
                    is_refused |= self.tool(part_id, part, created, told);
                }
                _ => {}
            }
        }
        if !is_over {
            self.carry.open = Some(id.to_owned());
            return;
        }
        self.carry.open = None;
        told.done = true;
        told.parts.clear();
        let at = if data.time.completed.0.is_some() { self.moment(data.time.completed) } else { created };
        self.carry.completed = Some(at);
        if is_models && !self.is_copied(created) {
            self.usage(id, data, at);
        }
        if data.summary.0 {
            self.push(at, EventKind::Compacted { post_tokens: None });
        }
        let ends_by_itself = !matches!(finish, Some("tool-calls" | "unknown"));
        if failed {
            self.push(at, failure(data).map_or(EventKind::TurnInterrupted, EventKind::TurnFailed));
        } else if is_refused {
            self.push(at, EventKind::TurnInterrupted);
        } else if is_models && ends_by_itself && !(data.summary.0 && self.carry.is_compacting) {
            self.push(at, EventKind::TurnEnded);
        }
    }

    fn usage(&mut self, id: &str, data: &Data<'_>, at: Timestamp) {
        let usage = usage(&data.tokens);
        if usage.is_zero() && data.finish.get().is_none() {
            return;
        }
        let cost_nano = data.cost.0.and_then(nano).filter(|_| !usage.is_zero());
        self.push(
            at,
            EventKind::ResponseReceived(Response {
                key: fact_id(Agent::OpenCode, "message", &[id]),
                model: data.model.get().map(str::to_owned),
                usage,
                owner: None,
                owner_rank: OwnerRank::Own,
                request: None,
                cost_nano,
            }),
        );
    }

    fn text(&mut self, id: &str, part: &Part<'_>, created: Timestamp, is_over: bool, told: &mut Told) {
        let data = &part.data;
        let is_whole = is_over || data.time.end.0.is_some();
        let text = data.text.get().unwrap_or_default().trim();
        if !is_whole || text.is_empty() || data.synthetic.0 || data.ignored.0 || told.parts.contains_key(id) {
            return;
        }
        told.parts.insert(id.to_owned(), Stage::Over);
        let at = if data.time.end.0.is_some() { self.moment(data.time.end) } else { created };
        self.push(at, EventKind::AgentSpoke { text: cut(text, SAID).to_owned() });
    }

    /// Tells of a call; whether the person refused it.
    fn tool(&mut self, id: &str, part: &Part<'_>, created: Timestamp, told: &mut Told) -> bool {
        let (data, state) = (&part.data, &part.data.state);
        let Some(name) = data.tool.get() else { return false };
        let before = told.parts.get(id).copied();
        let answer = call::tool_answer(id, state);
        let stage = match &answer {
            Some(_) => Stage::Over,
            // Its input is still being written.
            None if !state.status.is("running") => return false,
            None if call::may_be_asking(name, state) => Stage::Asked,
            None => Stage::Called,
        };
        let refused = answer.as_ref().is_some_and(|answer| answer.refused);
        if before >= Some(stage) {
            return refused;
        }
        told.parts.insert(id.to_owned(), stage);
        let at = if state.time.start.0.is_some() { self.moment(state.time.start) } else { created };
        let is_news = before.is_none() || (before == Some(Stage::Asked) && stage == Stage::Called);
        if is_news && !self.is_copied(created) {
            self.push(at, EventKind::ToolCalled(call::tool_call(id, name, state)));
        }
        if before.is_none()
            && let Some(change) = call::task_change(name, &state.input)
        {
            self.push(at, EventKind::TaskChanged(change));
        }
        if let Some(answer) = answer {
            let at = if state.time.end.0.is_some() { self.moment(state.time.end) } else { at };
            self.push(at, EventKind::ToolAnswered(answer));
        }
        refused
    }
}

/// What a person wrote, or asked a command to do.
fn written<'a>(part: &'a Part<'_>) -> Option<&'a str> {
    let data = &part.data;
    let text = match data.kind.get()? {
        "text" if !data.synthetic.0 && !data.ignored.0 => data.text.get(),
        "subtask" => data.prompt.get(),
        _ => None,
    };
    text.filter(|text| !text.trim().is_empty())
}

/// Takes off the quotation marks that a run puts around a prompt with a blank in it.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains(' ') => inner.replace("\\\"", "\""),
        _ => text.to_owned(),
    }
}

/// How a session is driven: one that a run began must not ask questions. Going on with it in a terminal changes nothing
/// in its row.
fn entry_kind(data: &Data<'_>, is_subagent: bool) -> EntryKind {
    let asks_nothing = data
        .permission
        .0
        .iter()
        .any(|rule| rule.permission.is("question") && rule.pattern.is("*") && rule.action.is("deny"));
    if asks_nothing && !is_subagent { EntryKind::Print } else { EntryKind::Interactive }
}

fn changed(known: &mut Option<String>, seen: &Text<'_>) -> Option<String> {
    let seen = seen.get().filter(|text| !text.is_empty())?;
    if known.as_deref() == Some(seen) {
        return None;
    }
    *known = Some(seen.to_owned());
    known.clone()
}

fn instant(written: Count) -> Option<Timestamp> {
    written.0.and_then(|ms| i64::try_from(ms).ok()).map(Timestamp)
}

fn usage(tokens: &Tokens<'_>) -> Usage {
    Usage {
        input: tokens.input.or_zero(),
        output: tokens.output.or_zero().saturating_add(tokens.reasoning.or_zero()),
        cache_write_5m: tokens.cache.write.or_zero(),
        cache_write_1h: 0,
        cache_read: tokens.cache.read.or_zero(),
    }
}

/// Dollars as billionths. OpenCode writes 0 for a model whose price it does not know, and for one that is paid otherwise:
/// neither is a cost.
fn nano(usd: f64) -> Option<u64> {
    let nano = (usd * 1e9).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within range, checked")]
    (1.0..9_007_199_254_740_992.0).contains(&nano).then_some(nano as u64)
}

/// The error of a response; `None` where the person broke it off.
fn failure(data: &Data<'_>) -> Option<Failure> {
    let error = &data.error;
    let name = error.name.get().unwrap_or_default();
    if name == "MessageAbortedError" {
        return None;
    }
    let said = error.data.message.get().unwrap_or(name);
    let status = error.data.status.0.and_then(|status| u16::try_from(status).ok());
    let class = match (name, status) {
        ("ProviderAuthError", _) | (_, Some(401)) => FailureClass::SignIn,
        (_, Some(429)) => FailureClass::Limit,
        _ => FailureClass::Error,
    };
    Some(Failure { class, text: first_line(said, SHORT), status, resets_at: None })
}
