//! Telemetry, where nothing better speaks: no process, no transcript, no hook (a container, another machine, a session
//! that is not kept). It never says that something waits for a permission, and nothing of processes.

use super::{SILENCE_MS, Verdict};
use crate::event::{FailureClass, HiddenKind};
use crate::ids::{Agent, Timestamp};
use crate::session::{EntryKind, SessionState, TurnState, WaitKind};
use crate::telemetry::{Told, ToldFailure};
use crate::view::{Doing, WaitingFor};

/// A model answered and no tool was decided about since: the records of what comes next leave the agent within 5 s and
/// come in one request with those of the answer, or the next. What then still says nothing is over, or asks: not known.
const NEXT_MS: i64 = 12_000;
/// A span is dated by its own end, which is up to this far from the log record of the same moment.
const SKEW_MS: i64 = 150;
/// Logs and spans leave the agent every 5 s each; an end without an answer is judged when both had their time.
const BOTH_MS: i64 = 15_000;
/// A subagent that said nothing for this long is not counted as running.
const AGENT_MS: i64 = 10 * 60_000;

/// What telemetry alone says; `None` where it says nothing of a turn.
pub(super) fn judge(state: &SessionState, now: Timestamp) -> Option<Verdict> {
    let told = &state.telemetry.told;
    if !told.speaks() {
        return None;
    }
    let mut v = Verdict::new(TurnState::Unknown, None, "otlp");
    v.entry =
        told.is_run.as_ref().map(|run| if run.value { EntryKind::Print } else { EntryKind::Interactive });
    let is_run = told.is_run.as_ref().is_some_and(|run| run.value);
    if let Some(at) = told.ended_at.filter(|at| told.active_at.is_none_or(|last| last <= at.plus_ms(2_000))) {
        v.turn_state = TurnState::Ended;
        v.since = Some(at);
        v.ended_at = Some(at);
        v.note("otlp", at, "Telemetry told that the session ended".to_owned());
        return Some(v);
    }
    match turn(told, now) {
        Turn::Over { began, at } => over(&mut v, told, began, at, is_run, now),
        Turn::Open => open(&mut v, told, now),
    }
    Some(v)
}

/// Why a thread that telemetry alone knows is never a row: the client asks for titles in threads of their own, and where
/// prompts are not sent, only a person's own prompt or a tool tells another from one.
pub(super) fn hidden(state: &SessionState, agent: Agent) -> Option<HiddenKind> {
    let told = &state.telemetry.told;
    let is_told = told.speaks() && state.mains.is_empty() && !state.hooks.prompted && state.lock.is_none();
    let may_be_title = agent == Agent::Codex && !told.is_persons && told.tools.is_empty();
    (is_told && may_be_title).then_some(HiddenKind::TitleThread)
}

enum Turn {
    Over { began: Timestamp, at: Timestamp },
    Open,
}

/// Where the latest turn stands.
fn turn(told: &Told, now: Timestamp) -> Turn {
    let is_in = |at: Option<Timestamp>, began: Timestamp, end: Timestamp| {
        at.is_some_and(|at| at >= began.plus_ms(-SKEW_MS) && at <= end.plus_ms(SKEW_MS))
    };
    let failed_at = told.failed.as_ref().map(|f| f.at);
    // A slash command is wrapped by a span as a turn is; a turn has a prompt, an answer or a failure in it.
    let is_real = |(began, end): &&(Timestamp, Timestamp)| {
        is_in(told.prompted_at, *began, *end)
            || is_in(told.answered_at, *began, *end)
            || is_in(failed_at, *began, *end)
    };
    let spanned = told.turns.iter().rev().find(is_real).copied();
    let stopped = told.stopped_at.map(|at| (told.prompted_at.filter(|p| *p <= at).unwrap_or(at), at));
    let last = [spanned, stopped].into_iter().flatten().max_by_key(|(_, end)| *end);
    let went_on = |end: Timestamp| {
        [told.prompted_at, told.answered_at].into_iter().flatten().any(|at| at > end.plus_ms(SKEW_MS))
    };
    if let Some((began, at)) = last.filter(|(_, end)| !went_on(*end)) {
        return Turn::Over { began, at };
    }
    // The final failure of a request ends its turn.
    if let Some(failure) = &told.failed
        && [told.prompted_at, told.answered_at].into_iter().flatten().all(|at| at <= failure.at)
        && failure.at <= now
    {
        return Turn::Over { began: told.prompted_at.unwrap_or(failure.at), at: failure.at };
    }
    Turn::Open
}

fn over(v: &mut Verdict, told: &Told, began: Timestamp, at: Timestamp, is_run: bool, now: Timestamp) {
    v.since = Some(at);
    let since_began = |moment: &Timestamp| *moment >= began.plus_ms(-SKEW_MS);
    let answered = told.answered_at.filter(since_began);
    if let Some(failure) = told.failed.as_ref().filter(|f| since_began(&f.at) && answered <= Some(f.at)) {
        v.turn_state = TurnState::Errored;
        v.waiting_for = Some(waiting_after(failure));
        v.note("otlp", failure.at, said(failure));
        return;
    }
    let refused = told.refused_at.filter(|refused| since_began(refused) && answered <= Some(*refused));
    let is_silent = answered.is_none() && told.prompted_at.is_some_and(|p| since_began(&p));
    let is_cut = refused.is_some() || !told.running_at(at.plus_ms(-1)).is_empty() || is_silent;
    if is_cut && !is_run && (refused.is_some() || !is_silent || now >= at.plus_ms(BOTH_MS)) {
        v.turn_state = TurnState::Interrupted;
        v.note("otlp", at, "Telemetry told that the turn was cut short".to_owned());
        return;
    }
    if is_silent {
        v.recheck(at.plus_ms(BOTH_MS));
    }
    let works = |last: Timestamp| now.since(last) <= AGENT_MS;
    let running = told.agents.values().filter(|a| {
        a.last_at >= began
            && a.finished_at.is_none_or(|end| end < a.last_at.plus_ms(-SKEW_MS))
            && works(a.last_at)
    });
    let running_until = running.map(|a| a.last_at.plus_ms(AGENT_MS + 1)).max();
    v.note("otlp", at, "Telemetry told that the turn ended".to_owned());
    if let Some(until) = running_until {
        v.turn_state = TurnState::Background;
        v.recheck(until);
    } else if is_run {
        v.turn_state = TurnState::Ended;
        v.ended_at = Some(at);
    } else {
        v.turn_state = TurnState::AwaitingReply;
        v.waiting_for = Some(WaitingFor {
            kind: WaitKind::Reply,
            tool: None,
            detail: None,
            options: Vec::new(),
            resets_at_ms: None,
        });
    }
}

fn open(v: &mut Verdict, told: &Told, now: Timestamp) {
    let last = told.active_at.unwrap_or_default();
    v.since = told.prompted_at.or(told.first_at);
    if now.since(last) > SILENCE_MS {
        v.note("otlp", last, "Telemetry has been silent since".to_owned());
        return;
    }
    let running = told.running_at(now);
    let is_answer_last = running.is_empty()
        && told.answered_at.is_some_and(|at| {
            told.prompted_at.is_none_or(|p| p <= at)
                && told.tools.values().filter(|t| !t.subagent).all(|t| {
                    // What is over leads to the next request; what was decided before the answer was another's.
                    t.ended_at.max(t.decided_at).is_none_or(|tool| tool <= at)
                })
        });
    let answered = told.answered_at.unwrap_or(last);
    if is_answer_last && now.since(answered) >= NEXT_MS {
        v.since = Some(answered);
        v.note(
            "otlp",
            answered,
            "The model answered; telemetry does not say whether the turn is over or something waits"
                .to_owned(),
        );
        return;
    }
    v.turn_state = TurnState::Working;
    v.recheck(if is_answer_last { answered.plus_ms(NEXT_MS) } else { last.plus_ms(SILENCE_MS + 1) });
    v.doing = Some(match running.last() {
        Some(tool) => {
            Doing { tool: Some(tool.name.clone()), target: None, since_ms: tool.decided_at.map(|at| at.0) }
        }
        None => Doing { tool: None, target: None, since_ms: v.since.map(|at| at.0) },
    });
    v.note("otlp", last, "Telemetry tells of a turn at work".to_owned());
}

/// An error by telemetry blocks nobody by its word alone: signing in is asked for by other witnesses.
fn waiting_after(failure: &ToldFailure) -> WaitingFor {
    WaitingFor {
        kind: if failure.class == FailureClass::Limit { WaitKind::Limit } else { WaitKind::Error },
        tool: None,
        detail: failure.text.clone().or_else(|| failure.status.map(|n| format!("HTTP status {n}"))),
        options: Vec::new(),
        resets_at_ms: None,
    }
}

fn said(failure: &ToldFailure) -> String {
    match failure.status {
        Some(status) => format!("A request failed for good with status {status}"),
        None => "A request failed for good".to_owned(),
    }
}
