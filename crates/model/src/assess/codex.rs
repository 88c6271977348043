//! Codex: writer lock and rollout (`formats/codex.md`, "How to tell the state").

use super::{Circumstances, SILENCE_MS, Verdict, doing, note_transcript, waiting, waiting_after};
use crate::ids::Timestamp;
use crate::session::{EntryKind, Lock, Phase, SessionState, Transcript, TurnState, WaitKind};

pub(super) fn judge(state: &SessionState, around: &Circumstances, now: Timestamp) -> Verdict {
    let t = state.transcript();
    let mut v = by_lock(state, t, around, now);
    if let Some(t) = t {
        note_transcript(&mut v, t);
        if v.source == "transcript" {
            // The lock says that it lives; what it does, the rollout says.
            v.evidence.rotate_right(1);
        }
    }
    v
}

fn by_lock(state: &SessionState, t: Option<&Transcript>, around: &Circumstances, now: Timestamp) -> Verdict {
    match state.lock {
        Some(lock) if lock.holder.is_some() => {
            let mut v = running(t, lock, now);
            v.alive("lock", lock.since);
            v.pid = lock.holder.filter(|pid| *pid > 0);
            let who = v.pid.map_or_else(String::new, |pid| format!(" by pid {pid}"));
            v.note("lock", lock.since, format!("Its writer lock is held{who}"));
            v
        }
        Some(lock) if lock.present => {
            let mut v = Verdict::new(TurnState::Crashed, Some(lock.since), "lock");
            v.dead("lock", lock.since);
            v.note("lock", lock.since, "Its writer lock stands and nobody holds it".to_owned());
            v
        }
        Some(lock) => gone(t, lock.since, "Codex removed its writer lock: an orderly end"),
        None => match t {
            None => Verdict::new(TurnState::Unknown, None, "transcript"),
            // Families before 0.169 keep no lock, and no end of a turn either way says that a process lives.
            Some(t) if around.registry_listed && has_locks(t) => {
                let last = t.last_at.unwrap_or(t.turn.since);
                if now.since(last) < 2_000 {
                    let mut v = by_rollout(t, now);
                    v.recheck(last.plus_ms(2_000));
                    v
                } else {
                    gone(Some(t), last, "No writer lock: no process has it loaded")
                }
            }
            Some(t) => by_rollout(t, now),
        },
    }
}

/// No process has the thread loaded. An open turn was cut off: the next client deletes stale locks, so that the
/// absence of a lock is no sign of an orderly end.
fn gone(t: Option<&Transcript>, at: Timestamp, fact: &str) -> Verdict {
    let open = t.is_some_and(|t| t.turn.phase == Phase::Working);
    let state = if open { TurnState::Crashed } else { TurnState::Ended };
    let mut v = Verdict::new(state, Some(at), "lock");
    if !open {
        v.ended_at = Some(at);
    }
    v.dead("lock", at);
    v.note("lock", at, fact.to_owned());
    v
}

fn running(t: Option<&Transcript>, lock: Lock, now: Timestamp) -> Verdict {
    match t {
        None => Verdict::new(TurnState::Starting, Some(lock.since), "lock"),
        Some(t) if t.turn.phase == Phase::None => Verdict::new(TurnState::Starting, Some(lock.since), "lock"),
        Some(t) if t.turn.phase == Phase::Working && lock.taken_at.is_some_and(|taken| t.turn.since < taken) => {
            // The process whose turn it was is gone, and nothing in the rollout marks that another resumed the thread;
            // its screen calls the turn interrupted.
            let mut v = Verdict::new(TurnState::Interrupted, lock.taken_at, "lock");
            v.note("lock", lock.since, "Another process took over in the middle of the turn".to_owned());
            v
        }
        Some(t) => {
            let mut v = by_phase(t, now);
            if v.turn_state == TurnState::Ended {
                // A run without a person whose process still stands is about to end.
                v.turn_state = TurnState::AwaitingReply;
            }
            v
        }
    }
}

fn by_rollout(t: &Transcript, now: Timestamp) -> Verdict {
    let last = t.last_at.unwrap_or(t.turn.since);
    let mut v = by_phase(t, now);
    if t.turn.phase == Phase::Working {
        if now.since(last) > SILENCE_MS {
            v = Verdict::new(TurnState::Unknown, Some(last), "transcript");
        } else {
            v.recheck(last.plus_ms(SILENCE_MS + 1));
        }
    }
    v
}

fn by_phase(t: &Transcript, _now: Timestamp) -> Verdict {
    let asking = t.open_calls.iter().find(|c| c.ask.is_some());
    let (state, since) = match t.turn.phase {
        Phase::None => (TurnState::Unknown, None),
        Phase::Working => match asking {
            Some(call) => (TurnState::AwaitingAnswer, Some(call.at)),
            None => (TurnState::Working, t.turn.started_at),
        },
        Phase::Ended if t.entry == Some(EntryKind::Print) => (TurnState::Ended, Some(t.turn.since)),
        Phase::Ended => (TurnState::AwaitingReply, Some(t.turn.since)),
        Phase::Interrupted => (TurnState::Interrupted, Some(t.turn.since)),
        Phase::Failed => (TurnState::Errored, Some(t.turn.since)),
    };
    let mut v = Verdict::new(state, since, "transcript");
    v.waiting_for = waiting_after(state, Some(t));
    match state {
        TurnState::AwaitingAnswer => {
            v.waiting_for = Some(waiting(WaitKind::Question, asking));
            v.blocked_since = since;
        }
        TurnState::Working => {
            v.doing = Some(doing(Some(t), t.turn.started_at));
            if let Some(call) = t.open_calls.iter().find(|c| c.escalated) {
                // Running after approval looks the same: said as what it is, never as a need.
                v.note(
                    "transcript",
                    call.at,
                    format!("{} asked for more rights; it may wait for you", call.name),
                );
            }
        }
        _ => {}
    }
    v
}

fn has_locks(t: &Transcript) -> bool {
    // 0.169 has writer locks, 0.125 has not; the versions between were not measured.
    let mut parts = t.version.as_deref().unwrap_or("").split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    major > 0 || minor >= 169
}
