//! Codex: writer lock and rollout (`formats/codex.md`, "How to tell the state").

use super::{
    Circumstances, SILENCE_MS, Verdict, doing, hooks, note_transcript, telemetry, waiting, waiting_after,
};
use crate::ids::{Agent, Timestamp};
use crate::session::{EntryKind, Lock, Phase, SessionState, Transcript, TurnState, WaitKind};

/// A lock is dated by whoever sees it: a busy machine may show it this long after its thread's first turn began.
const LOCK_LAG_MS: i64 = 2_000;

pub(super) fn judge(state: &SessionState, around: &Circumstances, now: Timestamp) -> Verdict {
    let t = state.transcript();
    let mut v = by_lock(state, t, around, now);
    hooks::note_turn(&mut v, state);
    if let Some(t) = t {
        note_transcript(&mut v, t);
        if v.source == "transcript" {
            // The lock says that it lives; what it does, the rollout says.
            if let Some(said) = v.evidence.pop() {
                v.evidence.insert(0, said);
            }
        }
    }
    v
}

fn by_lock(state: &SessionState, t: Option<&Transcript>, around: &Circumstances, now: Timestamp) -> Verdict {
    match state.lock {
        Some(lock) if lock.holder.is_some() => {
            let mut v = running(state, t, lock, now);
            v.pid = lock.holder.filter(|pid| *pid > 0);
            match v.pid {
                Some(pid) => {
                    v.alive("lock", lock.since);
                    v.note("lock", lock.since, format!("Its writer lock is held by pid {pid}"));
                }
                // Pid 0 stands for somebody out of sight (a container, a mounted home), or for nobody who could look.
                None => {
                    v.note("lock", lock.since, "Nobody here can see who holds its writer lock".to_owned())
                }
            }
            v
        }
        Some(lock) if lock.present => crashed(t, lock, "Its writer lock stands and nobody holds it"),
        Some(lock) if lock.left_behind => {
            crashed(t, lock, "Its writer lock stood without a holder, and was cleaned up since")
        }
        Some(lock) => {
            let at = t.and_then(|t| t.last_at).map_or(lock.since, |heard| heard.max(lock.since));
            let mut v = gone(state, at, "Codex removed its writer lock: an orderly end");
            v.is_end_told = v.ended_at.is_some();
            v
        }
        None => match t {
            None if state.hooks.turn.is_none() && state.hooks.asks.is_empty() => telemetry::judge(state, now)
                .unwrap_or_else(|| Verdict::new(TurnState::Unknown, None, "transcript")),
            None => told_end(state, state.hooks.active_at.unwrap_or_default()).unwrap_or_else(|| {
                let mut v = Verdict::new(TurnState::Unknown, None, "transcript");
                ahead(&mut v, state, now);
                v
            }),
            // Families before 0.169 keep no lock, and no end of a turn either way says that a process lives.
            Some(t) if around.registry_listed && has_locks(t) => {
                let last = t.last_at.unwrap_or(t.turn.since);
                if now.since(last) < 2_000 {
                    let mut v = by_rollout(state, t, now);
                    v.recheck(last.plus_ms(2_000));
                    v
                } else {
                    gone(state, last, "No writer lock: no process has it loaded")
                }
            }
            Some(t) => by_rollout(state, t, now),
        },
    }
}

/// Its process died and left its lock. When, only whoever saw it held can say; else it was heard last before.
fn crashed(t: Option<&Transcript>, lock: Lock, fact: &str) -> Verdict {
    let at = match t.and_then(|t| t.last_at) {
        Some(heard) if lock.was_held => heard.max(lock.since),
        Some(heard) => heard.min(lock.since),
        None => lock.since,
    };
    let mut v = Verdict::new(TurnState::Crashed, Some(at), "lock");
    v.dead("lock", lock.since);
    v.note("lock", lock.since, fact.to_owned());
    v
}

/// No process has the thread loaded. An open turn was cut off: the next client deletes stale locks, so that the
/// absence of a lock is no sign of an orderly end.
fn gone(state: &SessionState, at: Timestamp, fact: &str) -> Verdict {
    let t = state.transcript();
    // A hook that tells of the end is one: a killed client runs none.
    let said_so = state
        .hooks
        .over_at()
        .filter(|end| t.and_then(|t| t.last_at).is_none_or(|last| last <= end.plus_ms(hooks::SHOW_MS)));
    let open = said_so.is_none() && t.is_some_and(|t| t.turn.phase == Phase::Working);
    let said = if open { TurnState::Crashed } else { TurnState::Ended };
    let mut v = Verdict::new(said, Some(at), "lock");
    match said_so {
        Some(end) => v.end_told(end),
        None if !open => v.ended_at = Some(at),
        None => {}
    }
    v.dead("lock", at);
    v.note("lock", at, fact.to_owned());
    v
}

fn running(state: &SessionState, t: Option<&Transcript>, lock: Lock, now: Timestamp) -> Verdict {
    match t {
        Some(t) if t.turn.phase != Phase::None => in_turn(state, t, lock, now),
        _ => {
            let mut v = Verdict::new(TurnState::Starting, Some(lock.since), "lock");
            ahead(&mut v, state, now);
            v
        }
    }
}

fn in_turn(state: &SessionState, t: &Transcript, lock: Lock, now: Timestamp) -> Verdict {
    match t {
        t if t.turn.phase == Phase::Working && is_of_former_holder(t, lock) => {
            // The process whose turn it was is gone, and nothing in the rollout marks that another resumed the thread;
            // its screen calls the turn interrupted.
            let mut v = Verdict::new(TurnState::Interrupted, lock.taken_at, "lock");
            v.note("lock", lock.since, "Another process took over in the middle of the turn".to_owned());
            v
        }
        t => {
            let mut v = by_phase(state, t, now);
            if v.turn_state == TurnState::Ended {
                // A run without a person whose process still stands is about to end.
                v.turn_state = TurnState::AwaitingReply;
            }
            v
        }
    }
}

/// Whether the open turn began before the process that holds the lock took it, and before nobody held it for certain: the
/// taking is seen late where nothing tells of it.
fn is_of_former_holder(t: &Transcript, lock: Lock) -> bool {
    match (lock.free_at, lock.taken_at) {
        (free, Some(taken)) => {
            t.turn.since.plus_ms(LOCK_LAG_MS) < taken && free.is_none_or(|free| t.turn.since < free)
        }
        (_, None) => false,
    }
}

/// The end, where a hook told of it and nothing was heard since `last`.
fn told_end(state: &SessionState, last: Timestamp) -> Option<Verdict> {
    let at = state.hooks.over_at().filter(|at| last <= at.plus_ms(hooks::SHOW_MS))?;
    let mut v = Verdict::new(TurnState::Ended, Some(at), "hooks");
    v.end_told(at);
    v.note("hooks", at, "A hook told that the session ended".to_owned());
    Some(v)
}

fn by_rollout(state: &SessionState, t: &Transcript, now: Timestamp) -> Verdict {
    let last = t.last_at.unwrap_or(t.turn.since).max(state.hooks.active_at.unwrap_or_default());
    if let Some(v) = told_end(state, last) {
        return v;
    }
    let mut v = by_phase(state, t, now);
    if v.turn_state == TurnState::Working {
        if now.since(last) > SILENCE_MS {
            v = Verdict::new(TurnState::Unknown, Some(last), "transcript");
        } else {
            v.recheck(last.plus_ms(SILENCE_MS + 1));
        }
    }
    v
}

fn by_phase(state: &SessionState, t: &Transcript, now: Timestamp) -> Verdict {
    let asking = t.open_calls.iter().find(|c| c.ask.is_some());
    let (said, since) = match t.turn.phase {
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
    let mut v = Verdict::new(said, since, "transcript");
    v.waiting_for = waiting_after(said, Some(t));
    if said == TurnState::AwaitingAnswer {
        v.waiting_for = Some(waiting(WaitKind::Question, asking));
        v.blocked_since = since;
        return v;
    }
    if t.entry != Some(EntryKind::Print) {
        ahead(&mut v, state, now);
    }
    if v.turn_state == TurnState::Working {
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
    v
}

/// What hooks say ahead of the rollout, and the requests they alone tell of. What is approved and runs looks as what is
/// asked, until it ends.
fn ahead(v: &mut Verdict, state: &SessionState, now: Timestamp) {
    if let Some(turn) = hooks::leading_turn(state, now, v) {
        hooks::speak_turn(v, state, turn);
    }
    if matches!(v.turn_state, TurnState::Working | TurnState::Unknown | TurnState::Starting)
        && let Some(standing) = hooks::standing(state, Agent::Codex, None, now, v)
    {
        standing.speak(v);
        standing.note(v);
    }
}

fn has_locks(t: &Transcript) -> bool {
    // 0.169 has writer locks, 0.125 has not; the versions between were not measured.
    let mut parts = t.version.as_deref().unwrap_or("").split('.').map(|p| p.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    major > 0 || minor >= 169
}
