//! What telemetry tells of turns and tools: the last witness, heard where no better one speaks.
//!
//! Logs and spans of one moment arrive in different requests, in any order, and again after a lost answer. What is kept
//! is therefore a few latest moments by the agent's own clock; hearing a word twice, or late, is as hearing it once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::FailureClass;
use crate::ids::{FactId, Timestamp};
use crate::session::Dated;

/// Calls kept; as many as can run at once and still be asked about.
const MAX_TOOLS: usize = 48;
/// Turns kept: slash commands are turns too, and push real ones aside.
const MAX_TURNS: usize = 8;
/// Subagents kept.
const MAX_AGENTS: usize = 32;

/// What was told, folded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Earliest word.
    pub first_at: Option<Timestamp>,
    /// Latest word that shows work.
    pub active_at: Option<Timestamp>,
    /// Latest prompt that begins a turn.
    pub prompted_at: Option<Timestamp>,
    /// Latest answer of a model to the main thread.
    pub answered_at: Option<Timestamp>,
    /// Turns that a span says are over, by their ends: `(began, ended)`, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<(Timestamp, Timestamp)>,
    /// Latest run of the hooks that run at a turn's end.
    pub stopped_at: Option<Timestamp>,
    /// Latest failure that ended a request of the main thread.
    pub failed: Option<ToldFailure>,
    /// Latest tool that the person refused.
    pub refused_at: Option<Timestamp>,
    /// The session ended, by the hooks that run then or by the person's command.
    pub ended_at: Option<Timestamp>,
    /// Whether it is a run without a person, latest wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_run: Option<Dated<bool>>,
    /// Permission mode, latest wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Dated<String>>,
    /// Model of the main thread, latest wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Dated<String>>,
    /// First prompt, where the user lets the agent send prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_prompt: Option<Dated<String>>,
    /// What the agent said last, where the user lets the agent send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_said: Option<Dated<String>>,
    /// Calls, by the hash of their id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<FactId, ToldTool>,
    /// Calls in all, each once.
    pub tool_calls: u32,
    /// Subagents by their own id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, ToldAgent>,
    /// Compactions.
    pub compactions: u32,
    /// A log record told of a request: where one did, metrics of tokens and cost say nothing new.
    pub has_requests: bool,
    /// A prompt of a hidden thread (a title) was told.
    pub is_title: bool,
    /// A prompt that is a person's beyond doubt was told.
    pub is_persons: bool,
    /// How long calls waited for the person, by the span that wraps the call, until that one comes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<FactId, u64>,
}

/// A failure that ended a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldFailure {
    /// When.
    pub at: Timestamp,
    /// HTTP status, where said.
    pub status: Option<u16>,
    /// Class.
    pub class: FailureClass,
    /// First line of the error.
    pub text: Option<String>,
}

/// A call, as far as it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldTool {
    /// Tool.
    pub name: String,
    /// When it was decided about.
    pub decided_at: Option<Timestamp>,
    /// The person decided.
    pub by_person: bool,
    /// It was refused.
    pub refused: bool,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// A subagent's.
    pub subagent: bool,
}

/// A subagent, as far as it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldAgent {
    /// Its latest word.
    pub last_at: Timestamp,
    /// It was said to be finished then.
    pub finished_at: Option<Timestamp>,
}

/// One word of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// A prompt that begins or enters a turn; slash commands of the client are none.
    Prompted {
        /// Its first characters, where sent.
        text: Option<String>,
        /// It asks for a title, in a hidden thread.
        is_title: bool,
        /// It is a person's beyond doubt.
        is_persons: bool,
    },
    /// A model answered.
    Answered {
        /// Its name.
        model: Option<String>,
    },
    /// The agent said something.
    Said {
        /// First characters.
        text: String,
    },
    /// A span that wraps a turn ended.
    TurnSpanned {
        /// When it began.
        began: Timestamp,
    },
    /// The hooks that run at a turn's end ran.
    Stopped,
    /// A request failed for good.
    RequestFailed(ToldFailure),
    /// A tool was decided about.
    ToolDecided {
        /// Hash of the call's id.
        key: FactId,
        /// Tool.
        name: String,
        /// It may run.
        accepted: bool,
        /// The person decided, not a rule.
        by_person: bool,
    },
    /// A tool is over.
    ToolEnded {
        /// Hash of the call's id.
        key: FactId,
        /// Tool.
        name: String,
    },
    /// Hooks ran, a subagent started, or anything else that shows work and changes nothing.
    Worked,
    /// A subagent finished.
    AgentFinished,
    /// The context was compacted.
    Compacted,
    /// The permission mode.
    Mode(String),
    /// Model by the settings.
    Model(String),
    /// Whether it is a run without a person.
    Run(bool),
    /// The session ended.
    Ended,
}

impl Word {
    /// Whether it shows that a session is worked in; others never make one known.
    #[must_use]
    pub fn is_work(&self) -> bool {
        !matches!(self, Self::Mode(_) | Self::Model(_) | Self::Run(_) | Self::Ended)
    }
}

impl Told {
    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it says anything about a turn.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.prompted_at.is_some()
            || self.answered_at.is_some()
            || self.failed.is_some()
            || !self.tools.is_empty()
    }

    /// Takes in one word, of the main thread or of a subagent. Compactions are counted as often as they are heard.
    pub fn hear(&mut self, at: Timestamp, subagent: Option<&str>, word: Word) {
        let is_main = subagent.is_none();
        if word.is_work() {
            self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
            self.active_at = self.active_at.max(Some(at));
        }
        if let Some(id) = subagent {
            let agent = self.agents.entry(id.to_owned()).or_default();
            agent.last_at = agent.last_at.max(at);
            if word == Word::AgentFinished {
                agent.finished_at = agent.finished_at.max(Some(at));
            }
            while self.agents.len() > MAX_AGENTS {
                let oldest =
                    self.agents.iter().min_by_key(|(id, a)| (a.last_at, *id)).map(|(id, _)| id.clone());
                oldest.and_then(|id| self.agents.remove(&id));
            }
        }
        match word {
            Word::Prompted { text, is_title, is_persons } => {
                self.prompted_at = self.prompted_at.max(Some(at));
                self.is_title |= is_title;
                self.is_persons |= is_persons;
                if let Some(text) =
                    text.filter(|_| self.first_prompt.as_ref().is_none_or(|known| at < known.at))
                {
                    self.first_prompt = Some(Dated { at, value: text });
                }
            }
            Word::Answered { model } => {
                if is_main {
                    self.answered_at = self.answered_at.max(Some(at));
                    later(&mut self.model, at, model);
                }
            }
            Word::Said { text } => {
                if is_main {
                    later(&mut self.last_said, at, Some(text));
                }
            }
            Word::TurnSpanned { began } => {
                let turn = (began, at);
                if is_main && !self.turns.contains(&turn) {
                    self.turns.push(turn);
                    self.turns.sort_by_key(|(began, ended)| (*ended, *began));
                    let over = self.turns.len().saturating_sub(MAX_TURNS);
                    self.turns.drain(..over);
                }
            }
            Word::Stopped => {
                if is_main {
                    self.stopped_at = self.stopped_at.max(Some(at));
                }
            }
            Word::RequestFailed(failure) => {
                let is_later = self.failed.as_ref().is_none_or(|known| {
                    (known.at, known.status, &known.text) < (failure.at, failure.status, &failure.text)
                });
                if is_main && is_later {
                    self.failed = Some(failure);
                }
            }
            Word::ToolDecided { key, name, accepted, by_person } => {
                if !accepted && by_person && is_main {
                    self.refused_at = self.refused_at.max(Some(at));
                }
                let tool = self.tool(key, name, !is_main);
                tool.decided_at = tool.decided_at.max(Some(at));
                tool.by_person |= by_person;
                tool.refused |= !accepted;
                self.forget_tools();
            }
            Word::ToolEnded { key, name } => {
                let tool = self.tool(key, name, !is_main);
                tool.ended_at = tool.ended_at.max(Some(at));
                self.forget_tools();
            }
            Word::Compacted => self.compactions = self.compactions.saturating_add(1),
            Word::Mode(mode) => later(&mut self.mode, at, Some(mode)),
            Word::Model(model) => later(&mut self.model, at, Some(model)),
            Word::Run(is_run) => later(&mut self.is_run, at, Some(is_run)),
            Word::Ended => self.ended_at = self.ended_at.max(Some(at)),
            Word::Worked | Word::AgentFinished => {}
        }
    }

    fn tool(&mut self, key: FactId, name: String, subagent: bool) -> &mut ToldTool {
        let tool = self.tools.entry(key).or_default();
        // A better name than a later record's `mcp_tool` is none: the smallest holds, in whichever order they come.
        if tool.name.is_empty() || (!name.is_empty() && name < tool.name) {
            tool.name = name;
        }
        tool.subagent |= subagent;
        tool
    }

    fn forget_tools(&mut self) {
        while self.tools.len() > MAX_TOOLS {
            let last = |tool: &ToldTool| tool.decided_at.max(tool.ended_at);
            let oldest = self.tools.iter().min_by_key(|(key, tool)| (last(tool), **key)).map(|(key, _)| *key);
            oldest.and_then(|key| self.tools.remove(&key));
        }
    }

    /// Keeps how long a call waited, until the span that wraps it comes.
    pub fn wait(&mut self, span: FactId, ms: u64) {
        self.waits.insert(span, ms);
        while self.waits.len() > MAX_TOOLS {
            self.waits.pop_first();
        }
    }

    /// The calls of the main thread that were let run and are not over at `at`, oldest first.
    #[must_use]
    pub fn running_at(&self, at: Timestamp) -> Vec<&ToldTool> {
        let mut running: Vec<&ToldTool> = self
            .tools
            .values()
            .filter(|t| !t.subagent && !t.refused && t.decided_at.is_some_and(|since| since <= at))
            .filter(|t| t.ended_at.is_none_or(|end| end > at))
            .collect();
        running.sort_by(|a, b| (a.decided_at, &a.name).cmp(&(b.decided_at, &b.name)));
        running
    }
}

fn later<T: PartialOrd>(known: &mut Option<Dated<T>>, at: Timestamp, found: Option<T>) {
    let Some(value) = found else { return };
    if known.as_ref().is_none_or(|k| (k.at, &k.value) < (at, &value)) {
        *known = Some(Dated { at, value });
    }
}

#[cfg(test)]
mod tests;
