//! Hooks, weighed against the transcript: which request stands, and whose word on the turn is ahead.
//!
//! A hook is ahead of the transcript, never against it. It may have come late, twice, or its successor not at all, so
//! that everything it says is checked against what the transcript shows once that has had the time to show it. Nothing
//! here speaks of processes: a hook is no sign of life.

use super::witness::Claim;
use super::{Verdict, waiting_after};
use crate::event::AskKind;
use crate::hook::{HookAsk, HookTurn, TurnWord};
use crate::ids::{Agent, Timestamp};
use crate::session::{OpenCall, Phase, SessionState, Speaker, Subagent, Transcript, TurnState, WaitKind};
use crate::view::WaitingFor;

/// Time the transcript gets to show what a hook told: its first lines take up to 1 s, a hook itself may lag 2 s.
pub(super) const SHOW_MS: i64 = 2_000;
/// A request of which Claude Code's registry says nothing for so long was answered by a rule: measured 1 to 35 ms apart.
pub(super) const AUTOMATIC_MS: i64 = 1_500;
/// How far a hook and the registry may be apart and mean the same dialog.
const SAME_DIALOG_MS: i64 = 2_000;
/// A reminder that a dialog stands comes 6.4 s after it at the latest; requests told before are what it speaks of.
const REMINDER_MS: i64 = 10_000;

/// A request that stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub ask: &'a HookAsk,
    /// The open call it speaks of, where the transcript shows one.
    pub call: Option<&'a OpenCall>,
}

impl Standing<'_> {
    pub(super) fn kind(&self) -> WaitKind {
        let ask = self.ask.ask.as_ref().or(self.call.and_then(|c| c.ask.as_ref()));
        match ask.map(|a| a.kind) {
            Some(AskKind::Question) => WaitKind::Question,
            Some(AskKind::Plan) => WaitKind::Plan,
            None if self.ask.is_form => WaitKind::Elicitation,
            None => WaitKind::Permission,
        }
    }

    pub(super) fn state(&self) -> TurnState {
        if self.kind() == WaitKind::Permission {
            TurnState::AwaitingPermission
        } else {
            TurnState::AwaitingAnswer
        }
    }

    pub(super) fn waiting_for(&self) -> WaitingFor {
        let ask = self.ask.ask.as_ref().or(self.call.and_then(|c| c.ask.as_ref()));
        let target = self.ask.target.as_ref().or(self.call.and_then(|c| c.target.as_ref()));
        WaitingFor {
            kind: self.kind(),
            tool: self.call.map(|c| c.name.clone()).or_else(|| self.ask.tool.clone()),
            detail: ask.map(|a| a.text.clone()).or_else(|| target.cloned()),
            options: ask.map(|a| a.options.clone()).unwrap_or_default(),
            resets_at_ms: None,
        }
    }

    /// Has a verdict say that this is waited for, since it was asked.
    pub(super) fn speak(&self, v: &mut Verdict) {
        v.turn_state = self.state();
        v.since = Some(self.ask.at);
        v.blocked_since = Some(self.ask.at);
        v.waiting_for = Some(self.waiting_for());
        v.doing = None;
        v.source = "hooks";
    }

    /// Notes it as evidence.
    pub(super) fn note(&self, v: &mut Verdict) {
        let what = match (self.kind(), self.ask.tool.as_deref()) {
            (WaitKind::Elicitation, _) => "A hook told of a form".to_owned(),
            (_, Some(tool)) => format!("A hook told that {tool} asks"),
            (_, None) => "A hook told that a dialog stands".to_owned(),
        };
        v.note_that("hooks", self.ask.at, what, Claim::Asks);
    }
}

/// The request that has stood longest, of those told since `from` where one is given; a rule's next look is planned in
/// `v`.
pub(super) fn standing<'a>(
    state: &'a SessionState,
    agent: Agent,
    from: Option<Timestamp>,
    now: Timestamp,
    v: &mut Verdict,
) -> Option<Standing<'a>> {
    let is_told = |at: Timestamp| from.is_none_or(|from| at >= from) && at <= now;
    let asks = state.hooks.asks.iter().filter(|ask| !ask.is_automatic && is_told(ask.at));
    let mut found: Option<Standing<'a>> = None;
    for ask in asks {
        if let Some((standing, until)) = stands(state, agent, ask, now) {
            if let Some(until) = until {
                v.recheck(until);
            }
            found = found.or(Some(standing));
        }
    }
    found
}

/// Whether a request still stands, and until when at the most without a further fact.
fn stands<'a>(
    state: &'a SessionState,
    agent: Agent,
    ask: &'a HookAsk,
    now: Timestamp,
) -> Option<(Standing<'a>, Option<Timestamp>)> {
    let w = &state.hooks;
    let told_better =
        |other: &HookAsk| other.tool.is_some() && other.at <= ask.at && ask.at.since(other.at) <= REMINDER_MS;
    let is_reminder = ask.tool.is_none() && !(ask.is_form && ask.target.is_some());
    if is_reminder
        && w.asks.iter().any(|other| told_better(other) || (other.is_form && other.target.is_some()))
    {
        return None;
    }
    if w.ended_at.is_some_and(|end| end >= ask.at) {
        return None;
    }
    let thread = Thread::of(state, ask.subagent.as_deref());
    if ask.is_form {
        let answered = w.form_answered_at.is_some_and(|at| at >= ask.at);
        return (!answered && !thread.went_on_after(ask.at) && !turn_moved_on(state, ask))
            .then_some((Standing { ask, call: None }, None));
    }
    let call = thread.open_call(state, agent, ask);
    if is_decided(state, agent, ask, call) {
        return None;
    }
    if call.is_some() {
        return Some((Standing { ask, call }, None));
    }
    let is_answered = w.answers.iter().any(|a| {
        a.at >= ask.at
            && a.subagent == ask.subagent
            // Gemini CLI asks for one call at a time, and names in the dialog what it does and not which it is.
            && (agent == Agent::Gemini || ask.key.is_some() && a.key == ask.key
                || ask.tool.as_deref().is_none_or(|tool| tool == a.tool)
                    && same_target(&a.target, &ask.target))
    });
    if is_answered || turn_moved_on(state, ask) || thread.is_over_after(ask.at) {
        return None;
    }
    let shown_by = ask.at.plus_ms(SHOW_MS);
    if now < shown_by {
        return Some((Standing { ask, call: None }, Some(shown_by)));
    }
    // The transcript is up to date and shows no such call: it has been answered.
    (!thread.reaches(ask.at)).then_some((Standing { ask, call: None }, None))
}

/// Whether the agent's telemetry told that the person decided what is asked.
///
/// Telemetry clears nothing by its silence or its other words. This one is the agent's own record of the decision, written
/// after it, about the very thing a hook told of; and no hook of Codex or Gemini CLI tells of a decision, so that an
/// approved call would look as one that is asked until it ends. Claude Code's registry and hooks tell it themselves.
fn is_decided(state: &SessionState, agent: Agent, ask: &HookAsk, call: Option<&OpenCall>) -> bool {
    if agent == Agent::ClaudeCode || ask.subagent.is_some() || ask.ask.is_some() {
        return false;
    }
    let is_later = |at: Option<Timestamp>| at.is_some_and(|at| at >= ask.at);
    let told = &state.telemetry.told.tools;
    match ask.key.or(call.map(|c| c.key)) {
        Some(key) => told.get(&key).is_some_and(|tool| tool.by_person && is_later(tool.decided_at)),
        None => told.values().any(|tool| {
            let is_this = ask.tool.as_deref().is_none_or(|asked| same_tool(agent, asked, &tool.name));
            tool.by_person && is_this && is_later(tool.decided_at)
        }),
    }
}

/// Whether a later hook says that the thread which asked does something else now.
fn turn_moved_on(state: &SessionState, ask: &HookAsk) -> bool {
    let turn = state.hooks.turn.as_ref().filter(|turn| turn.at > ask.at);
    match &ask.subagent {
        None => turn.is_some(),
        // The main thread ends its turn while its subagents work on.
        Some(id) => {
            turn.is_some_and(|turn| turn.word == TurnWord::Interrupted)
                || state.hooks.stopped.get(id).is_some_and(|at| *at >= ask.at)
        }
    }
}

/// The transcript of the thread that asks.
struct Thread<'a> {
    last_at: Option<Timestamp>,
    calls: &'a [OpenCall],
    /// When it went over into a phase in which nothing is asked.
    over_at: Option<Timestamp>,
}

impl<'a> Thread<'a> {
    fn of(state: &'a SessionState, subagent: Option<&str>) -> Self {
        let none = Self { last_at: None, calls: &[], over_at: None };
        match subagent {
            None => state.transcript().map_or(none, |t| Self {
                last_at: t.last_at,
                calls: &t.open_calls,
                over_at: (t.turn.phase != Phase::Working).then_some(t.turn.since),
            }),
            Some(id) => state.subagents.get(id).map_or(none, |s| Self {
                last_at: s.last_at,
                calls: &s.open_calls,
                over_at: s.last_at.filter(|_| s.finished),
            }),
        }
    }

    /// The open call a request speaks of: the latest one that fits, called before it or as good as.
    fn open_call(&self, state: &SessionState, agent: Agent, ask: &HookAsk) -> Option<&'a OpenCall> {
        let finished = |call: &OpenCall| state.hooks.answers.iter().any(|a| a.key == Some(call.key));
        let fits = |call: &&OpenCall| {
            let same = match ask.key {
                Some(key) => key == call.key,
                None => {
                    ask.tool.as_deref().is_none_or(|tool| same_tool(agent, tool, &call.name))
                        && same_target(&ask.target, &call.target)
                }
            };
            same && call.at <= ask.at.plus_ms(SHOW_MS) && !finished(call)
        };
        // Of parallel calls without a named tool the oldest asks first; a delegation asks nothing itself.
        let is_delegation = |call: &&OpenCall| matches!(call.name.as_str(), "Agent" | "Task");
        match ask.tool {
            Some(_) => self.calls.iter().filter(fits).max_by_key(|c| c.at),
            None => self.calls.iter().filter(fits).filter(|c| !is_delegation(c)).min_by_key(|c| c.at),
        }
    }

    /// Whether it shows what happened up to `at`: it has records from the moments before it, or later ones.
    fn reaches(&self, at: Timestamp) -> bool {
        self.last_at.is_some_and(|last| last >= at.plus_ms(-SHOW_MS))
    }

    fn is_over_after(&self, at: Timestamp) -> bool {
        self.over_at.is_some_and(|over| over >= at)
    }

    fn went_on_after(&self, at: Timestamp) -> bool {
        self.is_over_after(at) || self.last_at.is_some_and(|last| last > at.plus_ms(SHOW_MS))
    }
}

/// Codex's hooks call every shell `Bash`.
fn same_tool(agent: Agent, hook: &str, call: &str) -> bool {
    hook == call
        || agent == Agent::Codex
            && hook == "Bash"
            && matches!(
                call,
                "exec_command" | "shell" | "local_shell" | "shell_command" | "container.exec" | "exec"
            )
}

/// Where either side names no target, the tool has to do. One may have been cut shorter than the other.
fn same_target(a: &Option<String>, b: &Option<String>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.starts_with(b.as_str()) || b.starts_with(a.as_str()),
        (None, _) | (_, None) => true,
    }
}

/// The request Claude Code's registry speaks of when it says that it waits since `since`: the oldest that was asked
/// about then and has no answer. The earliest of all that were asked about then dates the need.
pub(super) fn of_dialog(
    state: &SessionState,
    agent: Agent,
    since: Timestamp,
) -> (Option<Standing<'_>>, Timestamp) {
    let w = &state.hooks;
    let told = |ask: &&HookAsk| ask.at >= since.plus_ms(-SAME_DIALOG_MS);
    let is_open = |ask: &&HookAsk| {
        let thread = Thread::of(state, ask.subagent.as_deref());
        if ask.is_form {
            return w.form_answered_at.is_none_or(|at| at < ask.at);
        }
        thread.open_call(state, agent, ask).is_some()
            || !w.answers.iter().any(|a| {
                a.at >= ask.at
                    && a.subagent == ask.subagent
                    && ask.tool.as_deref().is_none_or(|tool| tool == a.tool)
                    && same_target(&a.target, &ask.target)
            })
    };
    let named = |ask: &&HookAsk| ask.tool.is_some() || ask.target.is_some();
    let first = w.asks.iter().filter(told).filter(named).find(is_open);
    let dated = w
        .asks
        .iter()
        .filter(told)
        .find(|ask| ask.at <= since && !ask.is_automatic)
        .map_or(since, |ask| ask.at);
    let standing = first.map(|ask| Standing {
        ask,
        call: Thread::of(state, ask.subagent.as_deref()).open_call(state, agent, ask),
    });
    (standing, dated)
}

/// The latest word of the hooks on the turn, where it is ahead of the transcript: until that has had its time to show
/// it, or for as long as it shows nothing of that time at all.
pub(super) fn leading_turn<'a>(
    state: &'a SessionState,
    now: Timestamp,
    v: &mut Verdict,
) -> Option<&'a HookTurn> {
    let turn = state.hooks.turn.as_ref()?;
    if turn.at > now {
        // The clock was set back: its time comes again.
        v.recheck(turn.at);
        return None;
    }
    let Some(t) = state.transcript().filter(|t| t.turn.phase != Phase::None) else { return Some(turn) };
    if t.turn.since >= turn.at || is_of_former_turn(t, turn) {
        return None;
    }
    let shown_by = turn.at.plus_ms(SHOW_MS);
    if now < shown_by {
        v.recheck(shown_by);
        return Some(turn);
    }
    t.last_at.is_none_or(|last| last < turn.at.plus_ms(-SHOW_MS)).then_some(turn)
}

/// Whether a word is the late one of the turn before: it repeats what the agent said then, and nothing since this one began.
pub(super) fn is_of_former_turn(t: &Transcript, turn: &HookTurn) -> bool {
    let is_silent = t.last_speaker.is_none_or(|(who, at)| who == Speaker::User || at < t.turn.since);
    is_silent
        && t.turn.phase == Phase::Working
        && matches!((&turn.said, &t.last_said), (Some(told), Some(shown)) if says(shown, told))
}

/// Whether a text of the transcript is the one a hook gave the first characters of.
fn says(shown: &str, told: &str) -> bool {
    shown.trim_start().starts_with(told)
}

/// Has a verdict say what a word on the turn means.
pub(super) fn speak_turn(v: &mut Verdict, state: &SessionState, turn: &HookTurn) {
    v.turn_state = match turn.word {
        TurnWord::Working => TurnState::Working,
        TurnWord::Ended if turn.background > 0 => TurnState::Background,
        TurnWord::Ended => TurnState::AwaitingReply,
        TurnWord::Failed => TurnState::Errored,
        TurnWord::Interrupted => TurnState::Interrupted,
    };
    v.since = Some(turn.at);
    v.source = "hooks";
    v.waiting_for = match turn.word {
        TurnWord::Failed => turn.failure.as_ref().map(super::waiting_after_failure),
        _ => waiting_after(v.turn_state, state.transcript()),
    };
    v.doing = None;
}

/// The latest word on the turn that is over by the transcript as well: it tells what ran on in the background.
pub(super) fn ran_on(state: &SessionState) -> bool {
    let Some(t) = state.transcript().filter(|t| t.turn.phase == Phase::Ended) else { return false };
    let is_this_one = |turn: &HookTurn| match (&turn.said, &t.last_said) {
        (Some(told), Some(shown)) => says(shown, told),
        (None, _) | (_, None) => true,
    };
    state.hooks.turn.as_ref().is_some_and(|turn| {
        turn.word == TurnWord::Ended
            && turn.background > 0
            && turn.at >= t.turn.since.plus_ms(-SHOW_MS)
            && t.turn.started_at.is_none_or(|start| start <= turn.at)
            && is_this_one(turn)
    })
}

/// Notes the latest word on the turn as evidence.
pub(super) fn note_turn(v: &mut Verdict, state: &SessionState) {
    if let Some(turn) = &state.hooks.turn {
        let fact = match turn.word {
            TurnWord::Working => "A hook told that a prompt was submitted".to_owned(),
            TurnWord::Ended if turn.background > 0 => {
                format!("A hook told that the turn ended with {} in the background", turn.background)
            }
            TurnWord::Ended => "A hook told that the turn ended".to_owned(),
            TurnWord::Failed => "A hook told that an error ended the turn".to_owned(),
            TurnWord::Interrupted => "A hook told that you interrupted the turn".to_owned(),
        };
        let claim = if turn.word == TurnWord::Working { Claim::Works } else { Claim::Over };
        v.note_that("hooks", turn.at, fact, claim);
    }
}

/// Whether hooks say that a subagent stopped after its latest record.
pub(super) fn has_stopped(state: &SessionState, id: &str, s: &Subagent) -> bool {
    let stopped = state.hooks.stopped.get(id);
    stopped.is_some_and(|at| s.last_at.is_none_or(|last| *at >= last.plus_ms(-500)))
}
