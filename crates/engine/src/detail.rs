//! One session in full, read from its transcript on demand.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::Path;

use lamplight_model::assess;
use lamplight_model::event::{Event, EventKind, PromptOrigin, Usage};
use lamplight_model::fold::cut;
use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey, Timestamp};
use lamplight_model::label::is_unsafe;
use lamplight_model::pricing::PriceTable;
use lamplight_model::session::{LivenessState, SessionState};
use lamplight_model::spent::{Spent, spent};
use lamplight_model::telemetry::Meter;
use lamplight_model::view::{
    CauseView, FileTouched, MessageRole, MessageView, ModelUsage, SessionDetail, SubagentView, TelemetryView,
    TokenTotals,
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::board::Board;
use crate::config::Config;
use crate::errors::EngineError;
use crate::facts::FileRole;
use crate::sources::tail::{Flow, Position, TailError, Tailer};
use crate::store::{calls, causes, files, otlp, rows, stories};
use crate::{archive, card, clock};

/// Messages shown.
const MOST_MESSAGES: usize = 20;
/// Characters of a message shown.
const MESSAGE_CHARS: usize = 4_000;
/// Files shown.
const MOST_FILES: usize = 200;
/// Subagents shown.
const MOST_SUBAGENTS: usize = 200;
/// Bytes of subagents' transcripts that are read for one page.
const MOST_SUBAGENT_BYTES: u64 = 32 * 1024 * 1024;
/// Causes shown.
const MOST_CAUSES: u32 = 50;

/// What a transcript tells to a reader.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Story {
    /// The last messages, oldest first.
    pub messages: Vec<MessageView>,
    /// Files touched, the last one first.
    pub files: Vec<FileTouched>,
    /// Responses that stand in it, each once; not kept.
    #[serde(skip)]
    pub responses: HashSet<FactId>,
}

/// Puts a session together.
pub(crate) fn session(
    db: &Connection,
    config: &Config,
    board: &Board,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Option<SessionDetail>, EngineError> {
    let Some(id) = rows::find(db, key)? else { return Ok(None) };
    let Some(row) = rows::load(db, id)? else { return Ok(None) };
    let shown = archive::card_of(db, config, board, id, now)?;
    let Some(shown) = shown else { return Ok(None) };
    let path = files::main_path(db, id)?;
    let (story, note) = match &path {
        Some(path) => match read_story(key.agent, path) {
            Ok(story) => {
                let note = story.messages.is_empty().then(|| "Nothing was said in it yet.".to_owned());
                (story, note)
            }
            Err(error) => kept(db, id, &format!("Its transcript cannot be read: {error}."))?,
        },
        None if row.has_main => kept(db, id, "Its transcript was deleted.")?,
        None => (Story::default(), Some(without_transcript(&row.state, key.agent).to_owned())),
    };
    let t = row.state.transcript();
    let prices = PriceTable::builtin().with_overrides(&config.prices);
    let at = shown.last_activity_at_ms.map_or(now, Timestamp);
    let mut models = models(spent(&row.state, key.agent), &prices, at);
    models.sort_by_key(|m| std::cmp::Reverse(m.responses));
    let history = causes::of_session(db, id, MOST_CAUSES)?
        .into_iter()
        .map(|stored| CauseView {
            attention: card::attention(&stored.cause),
            cleared_at_ms: stored.cause.cleared_at.map(|t| t.0),
            cleared_by: stored.cause.cleared_by.map(|by| by.as_str().to_owned()),
            dismissed_at_ms: stored.cause.dismissed_at.map(|t| t.0),
        })
        .collect();
    Ok(Some(SessionDetail {
        folder: card::working_directory(&row.state).map(str::to_owned),
        first_prompt: row.state.first_prompt().map(str::to_owned),
        responses: models.iter().map(|m| m.responses).sum(),
        models,
        inherited_responses: inherited(db, id, &story)?,
        messages: story.messages,
        messages_note: note,
        files: story.files,
        turn_tokens: t.and_then(|t| Some(t.context_used?.saturating_sub(t.turn.baseline?))),
        prompts: row.state.prompts,
        transcript: path.as_deref().map(|p| file_of(key.agent, p).to_string_lossy().into_owned()),
        client_version: t.and_then(|t| t.version.clone()),
        telemetry: measured(db, id, &row.state)?,
        subagents: subagents(db, id, key, &row.state, shown.liveness.state, now)?,
        history,
        card: shown,
    }))
}

/// The file a session stands in: that of OpenCode's is one for all.
fn file_of(agent: Agent, path: &Path) -> &Path {
    if agent == Agent::OpenCode { path.parent().unwrap_or(path) } else { path }
}

/// Why there are no messages of a session that never had a transcript here.
fn without_transcript(state: &SessionState, agent: Agent) -> &'static str {
    if agent == Agent::Gemini {
        "Gemini CLI's chats are not read: what is shown is by its hooks and telemetry."
    } else if state.telemetry.told.speaks() || state.hooks.prompted {
        "Its transcript is not in the folders that are read: what is shown is by its hooks and telemetry."
    } else {
        "It has no transcript: nothing was asked of it yet."
    }
}

/// The subagents of a session, the latest first, with what each of them spent.
fn subagents(
    db: &Connection,
    id: i64,
    key: &SessionKey,
    state: &SessionState,
    liveness: LivenessState,
    now: Timestamp,
) -> Result<Vec<SubagentView>, EngineError> {
    let files = files::of_subagents(db, id)?;
    let mut all: Vec<SubagentView> = assess::subagents(state, liveness, now)
        .map(|(id, s, became)| SubagentView {
            id: id.to_owned(),
            kind: s.kind.clone(),
            description: s.description.clone(),
            state: became,
            started_at_ms: s.first_at.map(|t| t.0),
            last_at_ms: s.last_at.map(|t| t.0),
            tokens: None,
        })
        .collect();
    all.sort_by(|a, b| b.started_at_ms.cmp(&a.started_at_ms).then_with(|| a.id.cmp(&b.id)));
    all.truncate(MOST_SUBAGENTS);
    let mut bytes_left = MOST_SUBAGENT_BYTES;
    for one in &mut all {
        let Some((_, path, bytes)) = files.iter().find(|(subagent, ..)| *subagent == one.id) else {
            continue;
        };
        let Some(left) = bytes_left.checked_sub(*bytes) else { continue };
        bytes_left = left;
        // One that cannot be read just now has no sum, which is said as such.
        one.tokens = read_spending(key, &one.id, path).ok();
    }
    Ok(all)
}

/// What the responses in a subagent's transcript came to, each counted once and as it was written last.
fn read_spending(key: &SessionKey, subagent: &str, path: &Path) -> Result<TokenTotals, TailError> {
    let role = FileRole { agent: key.agent, session: key.id.clone(), subagent: Some(subagent.to_owned()) };
    let mut responses: HashMap<FactId, Usage> = HashMap::new();
    Tailer::default().read(path, &role, &mut Position::default(), clock::now(), &mut |batch| {
        for event in &batch.events {
            if let EventKind::ResponseReceived(response) = &event.kind {
                responses.insert(response.key, response.usage);
            }
        }
        Flow::Continue
    })?;
    Ok(totals(responses.into_values().fold(Usage::default(), |sum, usage| sum.plus(usage))))
}

fn totals(usage: Usage) -> TokenTotals {
    TokenTotals {
        input: usage.input,
        output: usage.output,
        cache_write_5m: usage.cache_write_5m,
        cache_write_1h: usage.cache_write_1h,
        cache_read: usage.cache_read,
    }
}

/// What telemetry measured of a session; `None` where none came.
fn measured(db: &Connection, id: i64, state: &SessionState) -> Result<Option<TelemetryView>, EngineError> {
    let telemetry = &state.telemetry;
    let told = &telemetry.told;
    let (durations, firsts, retries) = otlp::latencies(db, id)?;
    let calls = otlp::told_calls(db, id)?;
    if durations.is_empty() && firsts.is_empty() && calls.calls == 0 && telemetry.is_empty() {
        return Ok(None);
    }
    let meter = |meter| telemetry.meters.get(&meter);
    Ok(Some(TelemetryView {
        permission_mode: told.mode.as_ref().map(|d| d.value.clone()),
        requests: u64::try_from(durations.len().max(firsts.len())).unwrap_or(u64::MAX),
        latency_p50_ms: percentile(&durations, 50),
        latency_p95_ms: percentile(&durations, 95),
        ttft_p50_ms: percentile(&firsts, 50),
        ttft_p95_ms: percentile(&firsts, 95),
        retries,
        failures: telemetry.failures,
        compactions: told.compactions,
        tool_calls: calls.calls,
        tool_failures: calls.failed,
        tools_ran_ms: calls.ran_ms,
        waits: calls.waits,
        waited_ms: calls.waited_ms,
        active_by_person_ms: meter(Meter::ActiveByPerson),
        active_by_agent_ms: meter(Meter::ActiveByAgent),
        lines_added: meter(Meter::LinesAdded),
        lines_removed: meter(Meter::LinesRemoved),
        edits_accepted: meter(Meter::EditsAccepted),
        edits_rejected: meter(Meter::EditsRejected),
        commits: meter(Meter::Commits),
        pull_requests: meter(Meter::PullRequests),
    }))
}

/// The smallest of sorted values that a share of all does not exceed.
fn percentile(sorted: &[u64], share: usize) -> Option<u64> {
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Usage by model.
fn models(spent: BTreeMap<String, Spent>, prices: &PriceTable, at: Timestamp) -> Vec<ModelUsage> {
    let one = |(model, spent): (String, Spent)| ModelUsage {
        responses: spent.responses,
        tokens: totals(spent.usage),
        cost_usd: prices.cost_usd(&model, at, &spent.usage),
        // Exact below 2^53 billionths, nine million dollars.
        reported_usd: spent.reported_nano.map(|nano| nano as f64 / 1e9),
        reported_responses: spent.reported_responses,
        model,
    };
    spent.into_iter().map(one).collect()
}

/// How many responses stand in a transcript and belong to another session: copied by a fork.
fn inherited(db: &Connection, id: i64, story: &Story) -> Result<u32, EngineError> {
    let mut count = 0u32;
    for key in &story.responses {
        if calls::owner_of(db, *key)?.is_some_and(|owner| owner != id) {
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

/// The story that was kept, with a note that it is one.
fn kept(db: &Connection, id: i64, why: &str) -> Result<(Story, Option<String>), EngineError> {
    Ok(match stories::get(db, id)? {
        Some((_, story)) => (story, Some(format!("{why} What was kept of it is shown."))),
        None => (Story::default(), Some(why.to_owned())),
    })
}

/// Reads a transcript from its first byte, in constant memory.
pub(crate) fn read_story(agent: Agent, path: &Path) -> Result<Story, TailError> {
    let mut teller = Teller::default();
    // The id plays no part in what is said; the role only chooses the decoder.
    let session = SessionId::new("story").expect("BUG: a plain word is a session id");
    let role = FileRole { agent, session, subagent: None };
    Tailer::default().read(path, &role, &mut Position::default(), clock::now(), &mut |batch| {
        for event in &batch.events {
            teller.hear(event);
        }
        Flow::Continue
    })?;
    Ok(teller.done())
}

#[derive(Default)]
struct Teller {
    messages: VecDeque<(Option<FactId>, MessageView)>,
    files: HashMap<String, FileTouched>,
    responses: HashSet<FactId>,
}

impl Teller {
    fn hear(&mut self, event: &Event) {
        if event.sidechain {
            return;
        }
        let at = event.at;
        match &event.kind {
            EventKind::PromptSubmitted(prompt) => {
                let role = match prompt.origin {
                    PromptOrigin::Person | PromptOrigin::Queued => MessageRole::User,
                    PromptOrigin::Client | PromptOrigin::Command => MessageRole::System,
                };
                self.say(at, role, &prompt.text, None, None);
            }
            EventKind::ResponseReceived(response) => drop(self.responses.insert(response.key)),
            EventKind::AgentSpoke { text } => self.say(at, MessageRole::Assistant, text, None, None),
            EventKind::ToolCalled(call) => {
                let target =
                    call.target.as_deref().or(call.ask.as_ref().map(|a| a.text.as_str())).unwrap_or("");
                self.say(at, MessageRole::Tool, target, Some(call.name.clone()), Some(call.key));
                self.touch(&call.name, call.target.as_deref(), at);
            }
            EventKind::ToolAnswered(answer) => {
                let call = self.messages.iter_mut().rev().find(|(key, _)| *key == Some(answer.key));
                if let Some((_, message)) = call {
                    message.is_error = Some(answer.is_error);
                }
            }
            EventKind::TurnInterrupted => {
                self.say(at, MessageRole::System, "You interrupted the turn.", None, None)
            }
            EventKind::TurnFailed(failure) => self.say(at, MessageRole::System, &failure.text, None, None),
            EventKind::Compacted { .. } => {
                self.say(at, MessageRole::System, "The context was compacted.", None, None)
            }
            _ => {}
        }
    }

    fn say(
        &mut self,
        at: Timestamp,
        role: MessageRole,
        text: &str,
        tool: Option<String>,
        key: Option<FactId>,
    ) {
        let clean: String = text.chars().filter(|c| !is_unsafe(*c) || *c == '\n' || *c == '\t').collect();
        let clean = clean.trim();
        if clean.is_empty() && tool.is_none() {
            return;
        }
        let text = cut(clean, MESSAGE_CHARS);
        let was_cut = text.len() < clean.len();
        if self.messages.len() == MOST_MESSAGES {
            self.messages.pop_front();
        }
        let message = MessageView { at_ms: Some(at.0), role, text, tool, is_error: None, cut: was_cut };
        self.messages.push_back((key, message));
    }

    fn touch(&mut self, tool: &str, path: Option<&str>, at: Timestamp) {
        let edits = match tool {
            "Edit" | "Write" | "MultiEdit" | "NotebookEdit" | "apply_patch" | "edit" | "write"
            | "multiedit" => true,
            "Read" | "NotebookRead" | "read" => false,
            _ => return,
        };
        let Some(path) = path.filter(|p| !p.is_empty() && !p.contains('\n')) else { return };
        let file = self.files.entry(path.to_owned()).or_insert_with(|| FileTouched {
            path: path.to_owned(),
            reads: 0,
            edits: 0,
            last_at_ms: None,
        });
        if edits {
            file.edits += 1;
        } else {
            file.reads += 1;
        }
        file.last_at_ms = file.last_at_ms.max(Some(at.0));
    }

    fn done(self) -> Story {
        let mut files: Vec<FileTouched> = self.files.into_values().collect();
        files.sort_by(|a, b| b.last_at_ms.cmp(&a.last_at_ms).then_with(|| a.path.cmp(&b.path)));
        files.truncate(MOST_FILES);
        let messages = self.messages.into_iter().map(|(_, message)| message).collect();
        Story { messages, files, responses: self.responses }
    }
}
