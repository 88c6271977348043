//! OpenCode: its database alone (`formats/opencode.md`, "How to tell the state"). Nothing in it names a process, and of a
//! pending approval it says what it says of a running command.

use super::{
    SILENCE_MS, Verdict, doing, heard_last, note_transcript, telemetry, waiting, waiting_after,
    working_subagents,
};
use crate::event::AskKind;
use crate::ids::Timestamp;
use crate::session::{EntryKind, OpenCall, Phase, SessionState, Transcript, TurnState, WaitKind};

/// A shell command shows something of itself as soon as it runs, measured 0.2 s after it is said to; later than this it
/// may be that its person is asked.
const BEGIN_MS: i64 = 1_000;

pub(super) fn judge(state: &SessionState, now: Timestamp) -> Verdict {
    let Some(t) = state.transcript() else {
        return telemetry::judge(state, now)
            .unwrap_or_else(|| Verdict::new(TurnState::Unknown, None, "transcript"));
    };
    let mut v = by_phase(state, t, now);
    note_transcript(&mut v, t);
    note_asking(&mut v, state, t, now);
    if let Some(at) = t.last_at {
        v.note("transcript", at, "OpenCode does not tell which process runs a session".to_owned());
    }
    v
}

fn by_phase(state: &SessionState, t: &Transcript, now: Timestamp) -> Verdict {
    let asking = t.open_calls.iter().find(|call| call.ask.is_some());
    let (said, since) = match (t.turn.phase, asking) {
        (Phase::None, _) => (TurnState::Unknown, None),
        (Phase::Working, Some(call)) => (TurnState::AwaitingAnswer, Some(call.at)),
        (Phase::Working, None) => (TurnState::Working, t.turn.started_at),
        // A run without a person leaves right after its last answer.
        (Phase::Ended, _) if t.entry == Some(EntryKind::Print) => (TurnState::Ended, Some(t.turn.since)),
        (Phase::Ended, _) => (TurnState::AwaitingReply, Some(t.turn.since)),
        (Phase::Interrupted, _) => (TurnState::Interrupted, Some(t.turn.since)),
        (Phase::Failed, _) => (TurnState::Errored, Some(t.turn.since)),
    };
    let mut v = Verdict::new(said, since, "transcript");
    match said {
        TurnState::AwaitingAnswer => {
            let is_plan = asking.and_then(|call| call.ask.as_ref()).is_some_and(|a| a.kind == AskKind::Plan);
            v.waiting_for = Some(waiting(if is_plan { WaitKind::Plan } else { WaitKind::Question }, asking));
            v.blocked_since = since;
        }
        TurnState::Working => {
            // A killed process leaves its turn open for ever.
            let last = heard_last(state).unwrap_or(t.turn.since);
            if now.since(last) > SILENCE_MS {
                return Verdict::new(TurnState::Unknown, Some(last), "transcript");
            }
            v.recheck(last.plus_ms(SILENCE_MS + 1));
            v.doing = Some(doing(Some(t), t.turn.started_at));
        }
        _ => v.waiting_for = waiting_after(said, Some(t)),
    }
    v
}

/// Notes a command that has shown nothing yet: it waits for its person, or begins slowly. Said as what it is, never as a
/// need.
fn note_asking(v: &mut Verdict, state: &SessionState, t: &Transcript, now: Timestamp) {
    if !matches!(v.turn_state, TurnState::Working | TurnState::Unknown) {
        return;
    }
    let own = t.open_calls.iter();
    let theirs = working_subagents(state, now).flat_map(|s| s.open_calls.iter());
    let silent: Option<&OpenCall> = own.chain(theirs).find(|call| call.escalated);
    let Some(call) = silent else { return };
    let due = call.at.plus_ms(BEGIN_MS);
    if now < due {
        return v.recheck(due);
    }
    v.note("transcript", call.at, format!("{} has shown nothing of its run; it may wait for you", call.name));
}
