//! Gemini CLI: hooks, then telemetry (`formats/gemini.md`, "How to tell the state"). No file of its says which process
//! runs a session, so that nobody can say whether one lives.

use super::{SILENCE_MS, Verdict, hooks, telemetry};
use crate::hook::TurnWord;
use crate::ids::{Agent, Timestamp};
use crate::session::{SessionState, TurnState};
use crate::view::Doing;

/// Nobody opens a session anew this soon after a turn of it began: an opening with such a date is the turn's own, dated by
/// a clock that was put right in between.
const REOPEN_MS: i64 = 1_000;

pub(super) fn judge(state: &SessionState, now: Timestamp) -> Verdict {
    let w = &state.hooks;
    let Some(turn) = w.turn.as_ref().filter(|turn| turn.at <= now) else {
        let mut v =
            telemetry::judge(state, now).unwrap_or_else(|| Verdict::new(TurnState::Unknown, None, "hooks"));
        if let Some(turn) = &w.turn {
            // The clock was set back: its time comes again.
            v.recheck(turn.at);
        }
        return v;
    };
    let mut v = Verdict::new(TurnState::Unknown, Some(turn.at), "hooks");
    if let Some(at) = w.over_at() {
        v.turn_state = TurnState::Ended;
        v.since = Some(at);
        v.ended_at = Some(at);
        v.note("hooks", at, "A hook told that the session ended".to_owned());
        hooks::note_turn(&mut v, state);
        return v;
    }
    hooks::speak_turn(&mut v, state, turn);
    if turn.word != TurnWord::Working {
        hooks::note_turn(&mut v, state);
        return v;
    }
    // Another process opened the session in the middle of the turn: the one whose turn it was is gone, without a word.
    if let Some(at) = w
        .started_at
        .filter(|at| *at > turn.at.plus_ms(REOPEN_MS) && w.active_at.is_none_or(|last| last <= *at))
    {
        v.turn_state = TurnState::Interrupted;
        v.since = Some(at);
        v.note("hooks", at, "It was opened anew in the middle of the turn".to_owned());
        return v;
    }
    // No hook tells of a refused approval; the agent's own telemetry does, and that the turn is over with it.
    if let Some(at) = state.telemetry.told.refused_at.filter(|at| Some(*at) >= w.active_at) {
        v.turn_state = TurnState::Interrupted;
        v.since = Some(at);
        v.note("otlp", at, "You refused a tool".to_owned());
        hooks::note_turn(&mut v, state);
        return v;
    }
    if let Some(standing) = hooks::standing(state, Agent::Gemini, Some(turn.at), now, &mut v) {
        standing.speak(&mut v);
        standing.note(&mut v);
        hooks::note_turn(&mut v, state);
        return v;
    }
    let last = w.active_at.unwrap_or(turn.at).max(state.telemetry.told.active_at.unwrap_or(turn.at));
    hooks::note_turn(&mut v, state);
    if now.since(last) > SILENCE_MS {
        v.turn_state = TurnState::Unknown;
        return v;
    }
    v.recheck(last.plus_ms(SILENCE_MS + 1));
    let running = w.running.as_ref().filter(|call| {
        call.at >= turn.at && !w.answers.iter().any(|a| a.at >= call.at && a.tool == call.tool)
    });
    v.doing = Some(match running {
        Some(call) => Doing {
            tool: Some(call.tool.clone()),
            target: call.target.as_deref().map(|t| crate::fold::cut(t, 300)),
            since_ms: Some(call.at.0),
        },
        None => Doing { tool: None, target: None, since_ms: Some(turn.at.0) },
    });
    v
}
