//! Claude Code: registry file and process first, then the transcript (`formats/claude-code.md`, "How to tell the
//! state").

use super::hooks::{self, AUTOMATIC_MS};
use super::telemetry;
use super::witness::Claim;
use super::{
    COMMAND_SETTLE_MS, Circumstances, EXIT_SETTLE_MS, REMOVAL_SETTLE_MS, SILENCE_MS, TRANSCRIPT_LAG_MS,
    Verdict, asking_call, doing, is_within, note_transcript, noted, waiting, waiting_after,
    working_subagents,
};
use crate::event::{AskKind, HiddenKind};
use crate::fold::has_background_subagent;
use crate::hook::{HookTurn, TurnWord};
use crate::ids::{Agent, Timestamp};
use crate::session::{
    EntryKind, Phase, Process, RegistryStatus, SessionState, Transcript, TurnState, Validity, WaitKind,
};

/// A registry file that was seen to stand without its process for longer than this was left behind.
const LEFT_MS: i64 = 2_000;

pub(super) fn judge(state: &SessionState, around: &Circumstances, now: Timestamp) -> Verdict {
    let transcript = state.transcript();
    let mut v = match speaking_process(state, now) {
        Some(process) => by_process(state, process, now),
        None => without_process(state, around, now),
    };
    hooks::note_turn(&mut v, state);
    if let Some(t) = transcript {
        note_transcript(&mut v, t);
    }
    if state.processes.values().any(|p| p.entry.spare) && transcript.is_none_or(|t| !t.prompted) {
        v.hidden = Some(HiddenKind::Spare);
    }
    v
}

/// The live process that decides: one that waits before one that works before one that is idle before one that starts;
/// then the latest.
fn speaking_process(state: &SessionState, now: Timestamp) -> Option<&Process> {
    let urgency = |p: &Process| match p.entry.status {
        Some(RegistryStatus::Waiting(_)) => 4,
        Some(RegistryStatus::Busy) => 3,
        Some(RegistryStatus::Shell) => 2,
        Some(RegistryStatus::Idle | RegistryStatus::Other(_)) => 1,
        None => 0,
    };
    state
        .processes
        .values()
        .filter(|p| is_alive(p, now))
        .max_by_key(|p| (p.removed_at.is_none(), urgency(p), p.status_since, p.pid))
}

/// Alive, or not long enough gone to say how it ended.
fn is_alive(p: &Process, now: Timestamp) -> bool {
    p.validity == Validity::Valid
        && p.moved_to.is_none()
        && p.removed_at.is_none_or(|at| is_within(at, REMOVAL_SETTLE_MS, now))
        && (p.removed_at.is_some_and(|at| !was_left_behind(p, at))
            || p.exited_at.is_none_or(|at| is_within(at, EXIT_SETTLE_MS, now)))
}

fn by_process(state: &SessionState, p: &Process, now: Timestamp) -> Verdict {
    let t = state.transcript();
    let mut v = match &p.entry.status {
        None => Verdict::new(TurnState::Starting, Some(p.status_since), "registry"),
        Some(RegistryStatus::Waiting(what)) if what == "dialog open" => {
            // The person opened a dialog of their own: the agent asks nothing, whatever went before still holds. Some
            // commands say busy just before their dialog opens; no turn runs then.
            match p.before_dialog.as_ref().unwrap_or(&RegistryStatus::Idle) {
                RegistryStatus::Busy if t.is_some_and(turn_is_over) => resting_verdict(state, t, p, now),
                before => status_verdict(state, p, before, now),
            }
        }
        Some(status) => status_verdict(state, p, status, now),
    };
    let is_asked = !matches!(&p.entry.status, Some(RegistryStatus::Waiting(what)) if what != "dialog open")
        && p.entry.kind != EntryKind::Print
        && ahead_of_registry(state, p, now, &mut v);
    if let Some(at) = p.removed_at {
        v.recheck(at.plus_ms(REMOVAL_SETTLE_MS));
    } else if let Some(at) = p.exited_at {
        v.recheck(at.plus_ms(EXIT_SETTLE_MS));
    }
    v.alive("registry", p.observed_at);
    v.pid = Some(p.pid);
    v.entry = Some(p.entry.kind);
    let says = match &p.entry.status {
        None => "Claude Code has not said a status yet".to_owned(),
        Some(RegistryStatus::Idle) => "Claude Code says idle".to_owned(),
        Some(RegistryStatus::Busy) => "Claude Code says busy".to_owned(),
        Some(RegistryStatus::Shell) => "Claude Code says shell: a background shell runs".to_owned(),
        Some(RegistryStatus::Waiting(what)) => format!("Claude Code says waiting: {what}"),
        Some(RegistryStatus::Other(word)) => format!("Claude Code says {word}"),
    };
    let claim = match &p.entry.status {
        Some(RegistryStatus::Busy) => Some(Claim::Works),
        Some(RegistryStatus::Waiting(what)) if what != "dialog open" => Some(Claim::Asks),
        Some(RegistryStatus::Idle | RegistryStatus::Shell) => Some(Claim::Over),
        Some(RegistryStatus::Waiting(_) | RegistryStatus::Other(_)) | None => None,
    };
    v.evidence.insert(usize::from(is_asked), noted("registry", p.status_since, says, claim));
    v.note("process", p.observed_at, format!("pid {} runs, started as recorded", p.pid));
    if v.turn_state == TurnState::Working {
        v.doing = Some(doing(t, v.since));
    }
    v
}

/// A request told by hook that the registry does not say yet. It follows within moments, unless a rule answers: what
/// it said before the hook holds no longer than that.
fn ahead_of_registry(state: &SessionState, p: &Process, now: Timestamp, v: &mut Verdict) -> bool {
    // One that a rule answered long ago says nothing of one that is told now.
    let lately = p.status_since.max(now.plus_ms(1 - AUTOMATIC_MS));
    let Some(standing) = hooks::standing(state, Agent::ClaudeCode, Some(lately), now, v) else {
        if let Some(answered) = hooks::standing(state, Agent::ClaudeCode, Some(p.status_since), now, v) {
            v.note("hooks", answered.ask.at, "A permission request was answered without you".to_owned());
        }
        return false;
    };
    let until = standing.ask.at.plus_ms(AUTOMATIC_MS);
    standing.speak(v);
    standing.note(v);
    v.recheck(until);
    true
}

fn status_verdict(state: &SessionState, p: &Process, status: &RegistryStatus, now: Timestamp) -> Verdict {
    let t = state.transcript();
    match status {
        RegistryStatus::Waiting(what) => {
            let (told, dated) = hooks::of_dialog(state, Agent::ClaudeCode, p.status_since);
            if let Some(standing) = told {
                let mut v = Verdict::new(standing.state(), Some(dated), "registry");
                v.waiting_for = Some(standing.waiting_for());
                v.blocked_since = Some(dated);
                standing.note(&mut v);
                return v;
            }
            let call = asking_call(state, now);
            let ask = call.and_then(|c| c.ask.as_ref()).map(|a| a.kind);
            let (turn_state, kind) = match (what.as_str(), ask) {
                (_, Some(AskKind::Plan)) => (TurnState::AwaitingAnswer, WaitKind::Plan),
                ("input needed", Some(AskKind::Question)) => (TurnState::AwaitingAnswer, WaitKind::Question),
                ("input needed", None) => (TurnState::AwaitingAnswer, WaitKind::Elicitation),
                (_, _) => (TurnState::AwaitingPermission, WaitKind::Permission),
            };
            let mut v = Verdict::new(turn_state, Some(dated), "registry");
            let elicits = kind == WaitKind::Elicitation;
            v.waiting_for = Some(waiting(kind, if elicits { None } else { call }));
            v.blocked_since = Some(dated);
            v
        }
        RegistryStatus::Busy => {
            if let Some(over) = t.filter(|t| turn_is_over(t)) {
                // A run without a person is busy from its begin to its end.
                let is_of_status = over.turn.since >= p.status_since || p.entry.kind == EntryKind::Print;
                if is_of_status && works_in_background(state, over, now) {
                    return resting_verdict(state, t, p, now);
                }
                let settled = p.status_since.plus_ms(COMMAND_SETTLE_MS);
                if over.turn.since < p.status_since && is_within(p.status_since, COMMAND_SETTLE_MS, now) {
                    let mut v = resting_verdict(state, t, p, now);
                    v.recheck(settled);
                    return v;
                }
            }
            let began = t.filter(|t| t.turn.phase == Phase::Working).and_then(|t| t.turn.started_at);
            Verdict::new(TurnState::Working, began.or(Some(p.status_since)), "registry")
        }
        RegistryStatus::Shell if t.is_some_and(has_failed) => idle_verdict(state, t, p, now),
        RegistryStatus::Shell => {
            let since = t.filter(|t| turn_is_over(t)).map_or(p.status_since, |t| t.turn.since);
            Verdict::new(TurnState::Background, Some(since), "registry")
        }
        RegistryStatus::Idle | RegistryStatus::Other(_) => idle_verdict(state, t, p, now),
    }
}

/// No turn runs: its work in the background goes on, or it waits. What stopped the turn needs its person all the same.
fn resting_verdict(state: &SessionState, t: Option<&Transcript>, p: &Process, now: Timestamp) -> Verdict {
    match t.filter(|t| !has_failed(t) && works_in_background(state, t, now)) {
        Some(t) => Verdict::new(TurnState::Background, Some(t.turn.since), "registry"),
        None => idle_verdict(state, t, p, now),
    }
}

fn works_in_background(state: &SessionState, t: &Transcript, now: Timestamp) -> bool {
    has_background_subagent(t) || working_subagents(state, now).next().is_some()
}

fn has_failed(t: &Transcript) -> bool {
    t.turn.phase == Phase::Failed
}

fn turn_is_over(t: &Transcript) -> bool {
    matches!(t.turn.phase, Phase::Ended | Phase::Interrupted | Phase::Failed)
}

/// The registry says idle: how the turn ended stands in the transcript, which may lag behind it.
fn idle_verdict(state: &SessionState, t: Option<&Transcript>, p: &Process, now: Timestamp) -> Verdict {
    let Some(t) = t else {
        // No transcript: nothing was asked yet, or the session is not persisted and a turn is over.
        let said = if p.worked { TurnState::AwaitingReply } else { TurnState::Starting };
        let mut v = Verdict::new(said, Some(p.status_since), "registry");
        v.waiting_for = waiting_after(said, None);
        if let Some(turn) = ending(state, p).filter(|_| p.worked) {
            hooks::speak_turn(&mut v, state, turn);
        }
        return v;
    };
    if t.turn.phase == Phase::Working
        && let Some(gone) = died_in_turn(state, t, p)
    {
        return crash(Some(t), gone);
    }
    let (turn_state, since) = match t.turn.phase {
        // The first turn is over before its first lines are written.
        Phase::None if p.worked && is_within(p.status_since, TRANSCRIPT_LAG_MS, now) => {
            let mut v = Verdict::new(TurnState::Working, Some(p.status_since), "registry");
            v.recheck(p.status_since.plus_ms(TRANSCRIPT_LAG_MS));
            return v;
        }
        Phase::None => (TurnState::Starting, p.status_since),
        Phase::Ended => (TurnState::AwaitingReply, t.turn.since),
        Phase::Interrupted => (TurnState::Interrupted, t.turn.since),
        Phase::Failed => (TurnState::Errored, t.turn.since),
        Phase::Working if is_within(p.status_since, TRANSCRIPT_LAG_MS, now) => {
            let mut v = Verdict::new(TurnState::Working, t.turn.started_at, "registry");
            v.recheck(p.status_since.plus_ms(TRANSCRIPT_LAG_MS));
            return v;
        }
        Phase::Working if t.last_at.is_some_and(|last| last > p.status_since) => {
            // A record newer than the status: the next turn's, whose status is on its way.
            let last = t.last_at.unwrap_or(now);
            if is_within(last, TRANSCRIPT_LAG_MS, now) {
                let mut v = Verdict::new(TurnState::Working, t.turn.started_at, "transcript");
                v.recheck(last.plus_ms(TRANSCRIPT_LAG_MS));
                return v;
            }
            (TurnState::Interrupted, p.status_since)
        }
        Phase::Working => {
            // A hook may tell of the end that the transcript does not show.
            if let Some(turn) =
                ending(state, p).filter(|turn| turn.at >= t.turn.since && !hooks::is_of_former_turn(t, turn))
            {
                let mut v = Verdict::new(TurnState::AwaitingReply, Some(turn.at), "hooks");
                hooks::speak_turn(&mut v, state, turn);
                return v;
            }
            // Esc before the first byte, and a refusal whose lines never came, leave no record of an end.
            (TurnState::Interrupted, p.status_since)
        }
    };
    let mut v = Verdict::new(turn_state, Some(since), "registry");
    v.waiting_for = waiting_after(turn_state, Some(t));
    v
}

/// How the turn ended by the hooks, when that is what made the registry say idle.
fn ending<'a>(state: &'a SessionState, p: &Process) -> Option<&'a HookTurn> {
    let is_end = |turn: &&HookTurn| matches!(turn.word, TurnWord::Ended | TurnWord::Failed);
    let near = |turn: &&HookTurn| (turn.at.0 - p.status_since.0).abs() <= hooks::SHOW_MS;
    state.hooks.turn.as_ref().filter(is_end).filter(near)
}

fn without_process(state: &SessionState, around: &Circumstances, now: Timestamp) -> Verdict {
    let t = state.transcript();
    let last =
        state.processes.values().max_by_key(|p| (p.validity != Validity::Foreign, p.status_since, p.pid));
    let Some(p) = last else { return by_transcript(state, around, now) };
    let mut v = if let Some(successor) = &p.moved_to {
        let mut v = Verdict::new(TurnState::Ended, Some(p.observed_at), "registry");
        v.superseded = true;
        v.ended_at = Some(p.observed_at);
        v.dead("registry", p.observed_at);
        v.note("registry", p.observed_at, format!("pid {} went on as {successor}", p.pid));
        v
    } else if let Some(at) = p.removed_at.filter(|at| !was_left_behind(p, *at)) {
        let revived = t.and_then(|t| t.last_at).is_some_and(|last| last > at.plus_ms(5_000));
        if revived {
            return by_transcript(state, around, now);
        }
        let mut v = Verdict::new(TurnState::Ended, Some(at), "registry");
        v.end_told(at);
        v.dead("registry", at);
        v.note("registry", at, "Claude Code removed its registry file: an orderly end".to_owned());
        v
    } else if p.validity == Validity::Foreign {
        let mut v = by_transcript(state, &Circumstances { registry_listed: false, ..around.clone() }, now);
        v.note(
            "registry",
            p.observed_at,
            "Its process runs in another container; nobody here can look".to_owned(),
        );
        v
    } else if let Some(at) = state.hooks.over_at().filter(|at| *at >= p.status_since) {
        let mut v = Verdict::new(TurnState::Ended, Some(at), "hooks");
        v.end_told(at);
        v.dead("process", p.exited_at.unwrap_or(p.observed_at));
        v.note("hooks", at, "A hook told that the session ended".to_owned());
        v
    } else {
        let mut v = crash(t, p);
        v.dead("process", p.exited_at.unwrap_or(p.observed_at));
        v
    };
    v.entry = Some(p.entry.kind);
    v
}

/// A process that did not end in order, and when.
fn crash(t: Option<&Transcript>, p: &Process) -> Verdict {
    let at = p.exited_at.or_else(|| t.and_then(|t| t.last_at)).unwrap_or(p.status_since);
    let mut v = Verdict::new(TurnState::Crashed, Some(at), "process");
    let how = if p.exited_at.is_some() { "ended" } else { "is gone or belongs to another program" };
    let file = if p.removed_at.is_some() { "was left behind" } else { "still stands" };
    v.note("process", at, format!("pid {} {how}, its registry file {file}", p.pid));
    v
}

/// The process that ran the open turn and died in it, where the session stood idle in a second terminal then and since.
fn died_in_turn<'a>(state: &'a SessionState, t: &Transcript, idle: &Process) -> Option<&'a Process> {
    let began = t.turn.started_at.unwrap_or(t.turn.since);
    state
        .processes
        .values()
        .filter(|p| p.pid != idle.pid && p.moved_to.is_none())
        .filter(|p| p.removed_at.is_none_or(|at| was_left_behind(p, at)))
        .filter(|p| match &p.entry.status {
            Some(RegistryStatus::Busy) => true,
            Some(RegistryStatus::Waiting(what)) => what != "dialog open",
            _ => false,
        })
        .filter(|p| match p.exited_at {
            Some(at) => at >= began && idle.status_since < at,
            // It died while nobody looked, and was found dead: a turn that began later is another's.
            None => {
                let may_be_others = |o: &Process| {
                    ![p.pid, idle.pid].contains(&o.pid)
                        && (o.validity == Validity::Foreign || o.removed_at.max(o.exited_at) >= Some(began))
                };
                p.validity == Validity::Dead
                    && idle.status_since < began
                    && began <= p.observed_at
                    && !state.processes.values().any(may_be_others)
            }
        })
        .max_by_key(|p| (p.status_since, p.pid))
}

/// Whether a registry file stood when its process was dead already, until somebody cleaned it up: an orderly end removes
/// it first. A file that went right after it was read may have been read while it went.
fn was_left_behind(p: &Process, removed_at: Timestamp) -> bool {
    p.exited_at.is_some_and(|exited| removed_at > exited.plus_ms(LEFT_MS))
        || (p.validity == Validity::Dead && removed_at > p.observed_at.plus_ms(LEFT_MS))
}

/// No registry file speaks of it: hooks and transcript, and what the absence of a file means.
fn by_transcript(state: &SessionState, around: &Circumstances, now: Timestamp) -> Verdict {
    let Some(t) = state.transcript() else { return open_or_over(state, now) };
    let last = t.last_at.unwrap_or(t.turn.since).max(state.hooks.active_at.unwrap_or(t.turn.since));
    // Clients before 2 kept no registry; for later ones a killed client leaves its file behind, so that no file means
    // an orderly end.
    let has_registry = t.version.as_deref().and_then(major).is_some_and(|major| major >= 2);
    if around.registry_listed && has_registry {
        // A client starting or resuming writes its file within 0.4 s; until then the record is ahead of it.
        if now.since(last) < 2_000 {
            let mut v = open_or_over(state, now);
            v.recheck(last.plus_ms(2_000));
            return v;
        }
        if let Some(mut v) = end_by_hook(state) {
            v.dead("registry", now);
            return v;
        }
        let mut v = Verdict::new(TurnState::Ended, Some(last), "registry");
        v.ended_at = Some(last);
        v.dead("registry", now);
        v.note("registry", now, "No registry file: no process runs it, and none was killed".to_owned());
        return v;
    }
    open_or_over(state, now)
}

/// The end, where a hook told of it and nothing was heard since.
fn end_by_hook(state: &SessionState) -> Option<Verdict> {
    let heard = state.transcript().map_or(Timestamp::default(), |t| t.last_at.unwrap_or(t.turn.since));
    let at = state.hooks.over_at().filter(|at| heard <= at.plus_ms(hooks::SHOW_MS))?;
    let mut v = Verdict::new(TurnState::Ended, Some(at), "hooks");
    v.end_told(at);
    v.note("hooks", at, "A hook told that the session ended".to_owned());
    Some(v)
}

/// Hooks and transcript alone, liveness unknown.
fn open_or_over(state: &SessionState, now: Timestamp) -> Verdict {
    let t = state.transcript();
    // Neither transcript nor hook: telemetry is all there is.
    if t.is_none()
        && state.hooks.turn.is_none()
        && state.hooks.asks.is_empty()
        && let Some(v) = telemetry::judge(state, now)
    {
        return v;
    }
    let heard = t.map_or(Timestamp::default(), |t| t.last_at.unwrap_or(t.turn.since));
    let last = heard.max(state.hooks.active_at.unwrap_or_default());
    if let Some(v) = end_by_hook(state) {
        return v;
    }
    let (said, since) = match t.map(|t| (t.turn.phase, t)) {
        None => (TurnState::Unknown, None),
        Some((phase, t)) => {
            let said = match phase {
                Phase::None => TurnState::Unknown,
                Phase::Working => TurnState::Working,
                Phase::Ended if t.entry == Some(EntryKind::Print) => TurnState::Ended,
                Phase::Ended if hooks::ran_on(state) => TurnState::Background,
                Phase::Ended => TurnState::AwaitingReply,
                Phase::Interrupted => TurnState::Interrupted,
                Phase::Failed => TurnState::Errored,
            };
            (said, Some(t.turn.since))
        }
    };
    let mut v = Verdict::new(said, since, "transcript");
    v.waiting_for = waiting_after(said, t);
    if let Some(turn) = hooks::leading_turn(state, now, &mut v) {
        hooks::speak_turn(&mut v, state, turn);
    }
    let is_run = t.is_some_and(|t| t.entry == Some(EntryKind::Print));
    if matches!(v.turn_state, TurnState::Working | TurnState::Background | TurnState::Unknown)
        && !is_run
        && let Some(standing) = hooks::standing(state, Agent::ClaudeCode, None, now, &mut v)
    {
        standing.speak(&mut v);
        standing.note(&mut v);
    }
    if v.turn_state == TurnState::Working
        && !is_run
        && let Some((call, ask)) =
            t.and_then(|t| t.open_calls.iter().find_map(|c| Some((c, c.ask.as_ref()?))))
    {
        // A question or a plan without an answer waits for one: nothing else can be the matter with it.
        let kind = if ask.kind == AskKind::Plan { WaitKind::Plan } else { WaitKind::Question };
        v.turn_state = TurnState::AwaitingAnswer;
        v.since = Some(call.at);
        v.blocked_since = Some(call.at);
        v.waiting_for = Some(waiting(kind, Some(call)));
    }
    if v.turn_state == TurnState::Working {
        if now.since(last) > SILENCE_MS {
            v.turn_state = TurnState::Unknown;
        } else {
            v.recheck(last.plus_ms(SILENCE_MS + 1));
            v.doing = Some(doing(t, t.and_then(|t| t.turn.started_at).or(v.since)));
        }
    }
    v
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}
