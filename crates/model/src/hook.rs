//! What agents tell by hooks: the facts, and what is kept of them beside the other witnesses of a session.
//!
//! Hooks come fast and alone: a program of the agent's starts for each of them, so that one may be missing, come twice,
//! or come some seconds late. What is kept is therefore a few latest words by time, never a position in a sequence: a
//! hook that comes twice changes nothing, and one that comes late is weighed by its time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Ask, Failure};
use crate::ids::{FactId, Timestamp};
use crate::session::Dated;

/// Services that keep the time put a clock back by no more than this at once; further back they slow it down.
const PUT_RIGHT_MS: i64 = 1_000;

/// Two tellings of the same request within this time are one: a hook may be installed twice.
pub const SAME_ASK_MS: i64 = 2_000;

/// Requests kept. A turn with more open dialogs than this has never been seen.
const MAX_ASKS: usize = 16;
/// Finished calls kept; as many as can be running at once and still be asked about.
const MAX_ANSWERS: usize = 64;
/// Ended subagents kept.
const MAX_SUBAGENTS: usize = 64;

/// One hook of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// When it was received, clamped to the moment of reading.
    pub at: Timestamp,
    /// The subagent it speaks of; `None` for the main thread.
    pub subagent: Option<String>,
    /// The folder the agent works in, of agents whose files do not say so: shown, never opened.
    pub folder: Option<String>,
    /// What it tells.
    pub kind: HookKind,
}

/// What a hook tells.
#[derive(Debug, Clone, PartialEq)]
pub enum HookKind {
    /// `SessionStart`.
    SessionStarted {
        /// `startup`, `resume`, `clear`, `compact`, `fork`.
        how: Option<String>,
    },
    /// `UserPromptSubmit`: by the person, or by the client for a finished task. Gemini: `BeforeAgent`.
    PromptSubmitted {
        /// Its first characters, of agents whose transcripts are not read.
        text: Option<String>,
    },
    /// `PreToolUse`.
    ToolStarted(HookCall),
    /// `PermissionRequest`; also for questions and plans. Codex: also `PreToolUse` of `request_user_input`.
    Asked(HookCall),
    /// `PostToolUse`, `PostToolUseFailure`, `PermissionDenied`.
    ToolFinished(HookCall),
    /// `Elicitation`: a form of an MCP server.
    FormAsked {
        /// What it says.
        message: Option<String>,
    },
    /// `ElicitationResult`.
    FormAnswered,
    /// `Notification` of a dialog that has stood for six seconds: what it asks, other hooks told before.
    DialogStands {
        /// It is a form.
        is_form: bool,
    },
    /// `Stop`, and Codex's `notify`.
    TurnEnded {
        /// Shells and subagents that still run.
        background: u32,
        /// What the agent said last; first 100 characters.
        said: Option<String>,
    },
    /// `StopFailure`.
    TurnFailed(Failure),
    /// `Interrupt` (Codex).
    TurnInterrupted,
    /// `SubagentStart`.
    SubagentStarted,
    /// `SubagentStop`.
    SubagentStopped,
    /// `PreCompact`.
    Compacting,
    /// `SessionEnd`.
    SessionEnded {
        /// `prompt_input_exit`, `other`, `clear`, `resume`.
        reason: Option<String>,
    },
    /// Any other: it was there, and changes nothing.
    Other {
        /// Its name.
        name: String,
    },
}

impl HookKind {
    /// Whether it shows that the session did something.
    fn is_activity(&self) -> bool {
        match self {
            Self::PromptSubmitted { .. }
            | Self::ToolStarted(_)
            | Self::Asked(_)
            | Self::ToolFinished(_)
            | Self::FormAsked { .. }
            | Self::FormAnswered
            | Self::TurnEnded { .. }
            | Self::TurnFailed(_)
            | Self::TurnInterrupted
            | Self::SubagentStarted
            | Self::SubagentStopped
            | Self::Compacting => true,
            // Opening and leaving a session is no work in it, a reminder repeats what was told.
            Self::SessionStarted { .. }
            | Self::DialogStands { .. }
            | Self::SessionEnded { .. }
            | Self::Other { .. } => false,
        }
    }
}

/// The call a hook speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookCall {
    /// Hash of its id, where the hook names it; a permission request never does.
    pub key: Option<FactId>,
    /// Tool as the transcript names it.
    pub tool: String,
    /// What it acts on; first 2,000 characters.
    pub target: Option<String>,
    /// What it asks.
    pub ask: Option<Ask>,
    /// The permission mode answers by itself: told, but no reason to call anyone.
    pub is_automatic: bool,
}

/// What hooks said of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookWitness {
    /// Latest word on the main thread's turn.
    pub turn: Option<HookTurn>,
    /// Requests, oldest first; whether one still stands is judged, not kept.
    pub asks: Vec<HookAsk>,
    /// Calls that finished, oldest first.
    pub answers: Vec<HookAnswer>,
    /// Latest answer to a form.
    pub form_answered_at: Option<Timestamp>,
    /// Latest activity.
    pub active_at: Option<Timestamp>,
    /// Latest start.
    pub started_at: Option<Timestamp>,
    /// Latest end that is one: not the way to another session of the same process.
    pub ended_at: Option<Timestamp>,
    /// A prompt was submitted.
    pub prompted: bool,
    /// Latest one of the main thread; the first telling of it, where it was told twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompted_at: Option<Timestamp>,
    /// Subagents that stopped, and when last.
    pub stopped: BTreeMap<String, Timestamp>,
    /// Latest call of the main thread that was told to start; whether it still runs is judged, not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<HookAnswer>,
    /// First prompt, of agents whose transcripts are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_prompt: Option<Dated<String>>,
    /// Folder the agent works in, of agents whose files do not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<Dated<String>>,
}

/// A word on a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookTurn {
    /// When.
    pub at: Timestamp,
    /// What.
    pub word: TurnWord,
    /// Shells and subagents that ran at its end.
    pub background: u32,
    /// What the agent said last, which tells one turn's end from another's.
    pub said: Option<String>,
    /// The error that ended it.
    pub failure: Option<Failure>,
}

/// What a hook says of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnWord {
    /// It works.
    Working,
    /// It ended by itself.
    Ended,
    /// An error ended it.
    Failed,
    /// The person stopped it.
    Interrupted,
}

/// A request told by hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAsk {
    /// When.
    pub at: Timestamp,
    /// Subagent that asks.
    pub subagent: Option<String>,
    /// Its call, where named.
    pub key: Option<FactId>,
    /// Tool; `None` where the hook does not say.
    pub tool: Option<String>,
    /// What it acts on; of a form what it says.
    pub target: Option<String>,
    /// What it asks.
    pub ask: Option<Ask>,
    /// A form of an MCP server.
    pub is_form: bool,
    /// The permission mode answers by itself.
    pub is_automatic: bool,
}

/// A call that started or finished, told by hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAnswer {
    /// When.
    pub at: Timestamp,
    /// Subagent whose call it was.
    pub subagent: Option<String>,
    /// The call.
    pub key: Option<FactId>,
    /// Tool.
    pub tool: String,
    /// What it acted on.
    pub target: Option<String>,
}

/// Folds one hook; twice is as once.
pub fn fold_hook(w: &mut HookWitness, hook: &Hook) {
    let at = hook.at;
    if hook.kind.is_activity() {
        w.active_at = w.active_at.max(Some(at));
    }
    let is_main = hook.subagent.is_none();
    if let Some(folder) =
        hook.folder.as_ref().filter(|_| w.folder.as_ref().is_none_or(|known| known.at <= at))
    {
        w.folder = Some(Dated { at, value: folder.clone() });
    }
    match &hook.kind {
        HookKind::SessionStarted { .. } => w.started_at = w.started_at.max(Some(at)),
        HookKind::PromptSubmitted { text } => {
            if is_main {
                w.prompted = true;
                if w.prompted_at.is_none_or(|known| at > known.plus_ms(SAME_ASK_MS)) {
                    w.prompted_at = Some(at);
                }
                take_turn(w, HookTurn::new(at, TurnWord::Working));
                if let Some(text) =
                    text.as_ref().filter(|_| w.first_prompt.as_ref().is_none_or(|p| at < p.at))
                {
                    w.first_prompt = Some(Dated { at, value: text.clone() });
                }
            }
        }
        HookKind::ToolStarted(call) => {
            let started = HookAnswer {
                at,
                subagent: hook.subagent.clone(),
                key: call.key,
                tool: call.tool.clone(),
                target: call.target.clone(),
            };
            if is_main && w.running.as_ref().is_none_or(|known| known.at < at) {
                w.running = Some(started);
            }
            // A turn whose prompt was not told. Later than an end by more than a hook may lag.
            let after =
                w.turn.as_ref().is_none_or(|t| t.word != TurnWord::Working && at > t.at.plus_ms(SAME_ASK_MS));
            if is_main && after {
                take_turn(w, HookTurn::new(at, TurnWord::Working));
            }
        }
        HookKind::Asked(call) => keep_ask(
            w,
            HookAsk {
                at,
                subagent: hook.subagent.clone(),
                key: call.key,
                tool: Some(call.tool.clone()),
                target: call.target.clone(),
                ask: call.ask.clone(),
                is_form: false,
                is_automatic: call.is_automatic,
            },
        ),
        HookKind::FormAsked { message } => keep_ask(w, form(hook, message.clone())),
        HookKind::DialogStands { is_form } => {
            keep_ask(w, HookAsk { is_form: *is_form, ..form(hook, None) });
        }
        HookKind::ToolFinished(call) => {
            let answer = HookAnswer {
                at,
                subagent: hook.subagent.clone(),
                key: call.key,
                tool: call.tool.clone(),
                target: call.target.clone(),
            };
            if !w.answers.contains(&answer) {
                w.answers.push(answer);
                w.answers.sort_by(|a, b| {
                    (a.at, a.key, &a.tool, &a.target).cmp(&(b.at, b.key, &b.tool, &b.target))
                });
                let over = w.answers.len().saturating_sub(MAX_ANSWERS);
                w.answers.drain(..over);
            }
        }
        HookKind::FormAnswered => w.form_answered_at = w.form_answered_at.max(Some(at)),
        HookKind::TurnEnded { background, said } => {
            if is_main {
                take_turn(
                    w,
                    HookTurn {
                        background: *background,
                        said: said.clone(),
                        ..HookTurn::new(at, TurnWord::Ended)
                    },
                );
            }
        }
        HookKind::TurnFailed(failure) => {
            if is_main {
                take_turn(
                    w,
                    HookTurn { failure: Some(failure.clone()), ..HookTurn::new(at, TurnWord::Failed) },
                );
            }
        }
        HookKind::TurnInterrupted => {
            if is_main {
                take_turn(w, HookTurn::new(at, TurnWord::Interrupted));
            }
        }
        HookKind::SubagentStopped => {
            if let Some(id) = &hook.subagent {
                let stopped = w.stopped.entry(id.clone()).or_insert(at);
                *stopped = at.max(*stopped);
                while w.stopped.len() > MAX_SUBAGENTS {
                    let oldest =
                        w.stopped.iter().min_by_key(|(id, at)| (**at, *id)).map(|(id, _)| id.clone());
                    oldest.and_then(|id| w.stopped.remove(&id));
                }
            }
        }
        HookKind::SessionEnded { reason } => {
            // The process goes on with another session.
            if !matches!(reason.as_deref(), Some("clear" | "resume")) {
                w.ended_at = w.ended_at.max(Some(at));
            }
        }
        HookKind::SubagentStarted | HookKind::Compacting | HookKind::Other { .. } => {}
    }
}

impl HookTurn {
    fn new(at: Timestamp, word: TurnWord) -> Self {
        Self { at, word, background: 0, said: None, failure: None }
    }
}

impl HookWitness {
    /// The error that ended the turn, by the latest word on it.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.turn.as_ref().and_then(|t| t.failure.as_ref())
    }

    /// When it ended in order, and nothing was heard since.
    #[must_use]
    pub fn over_at(&self) -> Option<Timestamp> {
        // Hooks of the last moments and of the end run side by side.
        let later =
            self.active_at.is_some_and(|at| Some(at) > self.ended_at.map(|end| end.plus_ms(SAME_ASK_MS)));
        // A start that its turn came after is not a new one, although a clock was put right before the end.
        let is_of_turn = |start: Timestamp| self.turn.as_ref().is_some_and(|turn| start <= turn.at);
        let is_before = |end: Timestamp, start: Timestamp| {
            start <= end || (start <= end.plus_ms(PUT_RIGHT_MS) && is_of_turn(start))
        };
        self.ended_at.filter(|end| self.started_at.is_none_or(|start| is_before(*end, start)) && !later)
    }
}

fn form(hook: &Hook, message: Option<String>) -> HookAsk {
    HookAsk {
        at: hook.at,
        subagent: hook.subagent.clone(),
        key: None,
        tool: None,
        target: message,
        ask: None,
        is_form: true,
        is_automatic: false,
    }
}

fn take_turn(w: &mut HookWitness, turn: HookTurn) {
    let later =
        w.turn.as_ref().is_none_or(|t| (t.at, t.word, t.background) < (turn.at, turn.word, turn.background));
    if later {
        w.turn = Some(turn);
    }
}

fn keep_ask(w: &mut HookWitness, ask: HookAsk) {
    let HookWitness { asks, answers, .. } = w;
    let is_same = |known: &HookAsk| {
        (&known.subagent, &known.tool, &known.target, known.is_form)
            == (&ask.subagent, &ask.tool, &ask.target, ask.is_form)
            && (known.at.0 - ask.at.0).abs() <= SAME_ASK_MS
            // Answered in between, it was asked again.
            && !answers.iter().any(|a| {
                (&a.subagent, Some(&a.tool), &a.target) == (&ask.subagent, ask.tool.as_ref(), &ask.target)
                    && (known.at.min(ask.at)..known.at.max(ask.at)).contains(&a.at)
            })
    };
    match asks.iter_mut().find(|known| is_same(known)) {
        Some(known) => {
            // The earliest telling dates the need.
            known.at = known.at.min(ask.at);
            known.key = known.key.or(ask.key);
            known.is_automatic |= ask.is_automatic;
        }
        None => asks.push(ask),
    }
    asks.sort_by(|a, b| (a.at, &a.tool, &a.target).cmp(&(b.at, &b.tool, &b.target)));
    let over = asks.len().saturating_sub(MAX_ASKS);
    asks.drain(..over);
}
