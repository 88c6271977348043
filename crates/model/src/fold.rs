//! Folds facts into a session's state. One function per source; each is total: no fact is invalid, only unexpected.

use crate::event::{BackgroundKind, Event, EventKind, PromptOrigin, TaskChange, TitleGiver};
use crate::ids::Timestamp;
use crate::session::{
    OpenCall, Phase, Process, RegistryEntry, RegistryStatus, Speaker, Subagent, Transcript, Validity,
};

/// Open calls kept per transcript. A turn with more parallel calls than this has never been seen.
const MAX_OPEN_CALLS: usize = 64;

/// Model of a response that names none.
pub const NO_MODEL: &str = "unknown";

/// Characters of a prompt that are kept in the state.
const PROMPT_CHARS: usize = 500;

/// Folds one fact of a main transcript.
///
/// Facts of one file come in file order; the fold is a plain left fold over them, so that any split of the bytes into
/// batches gives the same state.
pub fn fold(t: &mut Transcript, event: &Event) {
    let at = event.at;
    t.first_at = Some(t.first_at.map_or(at, |first| first.min(at)));
    t.last_at = Some(t.last_at.map_or(at, |last| last.max(at)));
    if event.sidechain {
        return;
    }
    if matches!(event.kind, EventKind::PromptSubmitted(_) | EventKind::ResponseReceived(_)) {
        // It goes on here.
        (t.worked_in, t.relocated_at) = (None, None);
        t.continued_in = None;
    }
    match &event.kind {
        EventKind::ContextSeen(seen) => fold_context(t, seen, at),
        EventKind::PromptSubmitted(prompt) => match prompt.origin {
            PromptOrigin::Person | PromptOrigin::Queued => {
                speak(t, Speaker::User, at);
                t.prompted = true;
                let text = cut(&prompt.text, PROMPT_CHARS);
                if t.first_prompt.is_none() {
                    t.first_prompt = Some(text.clone());
                }
                t.last_prompt = Some(text);
                if prompt.origin == PromptOrigin::Person || t.turn.phase != Phase::Working {
                    begin_turn(t, at);
                }
            }
            PromptOrigin::Client => begin_turn(t, at),
            PromptOrigin::Command => {}
        },
        EventKind::TurnStarted => {
            if t.turn.phase != Phase::Working {
                begin_turn(t, at);
            }
        }
        EventKind::ResponseReceived(response) => {
            if t.turn.phase == Phase::None {
                begin_turn(t, at);
            }
            t.turn.retry = None;
            t.responded = true;
            if let Some(model) = &response.model {
                t.model = Some(model.clone());
            }
            if let Some(cost_nano) = response.cost_nano {
                let model = response.model.as_deref().unwrap_or(NO_MODEL);
                let reported = t.reported.entry(model.to_owned()).or_default();
                reported.responses = reported.responses.saturating_add(1);
                reported.usage = reported.usage.plus(response.usage);
                reported.cost_nano = reported.cost_nano.saturating_add(cost_nano);
            }
            let context = response.usage.context();
            if context > 0 {
                t.context_used = Some(context);
                t.turn.baseline.get_or_insert(context);
            }
        }
        EventKind::AgentSpoke { text } => {
            speak(t, Speaker::Assistant, at);
            if !text.trim().is_empty() {
                t.last_said = Some(cut(text, 1000));
            }
        }
        EventKind::ToolCalled(call) => {
            if t.turn.phase != Phase::Working {
                begin_turn(t, at);
            }
            keep_open(&mut t.open_calls, call, at, MAX_OPEN_CALLS);
        }
        EventKind::ToolAnswered(answer) => t.open_calls.retain(|c| c.key != answer.key),
        EventKind::TurnEnded => {
            if matches!(t.turn.phase, Phase::Working | Phase::None) {
                end_turn(t, Phase::Ended, at);
                if t.last_speaker.is_none_or(|(who, _)| who == Speaker::User) {
                    speak(t, Speaker::Assistant, at);
                }
            }
        }
        EventKind::TurnInterrupted => {
            end_turn(t, Phase::Interrupted, at);
            speak(t, Speaker::User, at);
        }
        EventKind::TurnFailed(failure) => {
            end_turn(t, Phase::Failed, at);
            t.turn.failure = Some(failure.clone());
            t.errors = t.errors.saturating_add(1);
            speak(t, Speaker::Assistant, at);
        }
        EventKind::RetryAnnounced { attempt, of } => t.turn.retry = Some((*attempt, *of)),
        EventKind::TitleGiven { text, by } => {
            let title = text.trim();
            let title = (!title.is_empty()).then(|| cut(title, 200));
            match by {
                TitleGiver::User => t.user_title = title,
                TitleGiver::Agent => t.agent_title = title,
            }
        }
        EventKind::TaskChanged(change) => match change {
            TaskChange::One { id, done: Some(done) } => {
                t.tasks.insert(id.clone(), *done);
            }
            TaskChange::One { id, done: None } => {
                t.tasks.remove(id);
            }
            TaskChange::All { done, total } => t.task_totals = Some((*done, *total)),
        },
        EventKind::BackgroundTask { id, running: true, what } => {
            t.background.insert(id.clone(), (*what, at));
        }
        EventKind::BackgroundTask { id, running: false, .. } => {
            t.background.remove(id);
        }
        EventKind::Compacted { post_tokens } => {
            if post_tokens.is_some() {
                t.context_used = *post_tokens;
            }
        }
        EventKind::ContextMeasured { used, window } => {
            if let Some(used) = used {
                t.context_used = Some(*used);
                t.turn.baseline.get_or_insert(*used);
            }
            if window.is_some() {
                t.context_window = *window;
            }
        }
        EventKind::LineageSeen { parent, how } => {
            if t.parent.is_none() {
                t.parent = Some((parent.clone(), *how));
            }
        }
        EventKind::ContinuedIn { session } => t.continued_in = Some(session.clone()),
        EventKind::CostReported { usd } => t.reported_cost = Some(*usd),
    }
}

/// Folds one fact of a subagent's own transcript.
pub fn fold_subagent(s: &mut Subagent, event: &Event) {
    let at = event.at;
    s.first_at = Some(s.first_at.map_or(at, |first| first.min(at)));
    s.last_at = Some(s.last_at.map_or(at, |last| last.max(at)));
    match &event.kind {
        EventKind::TurnEnded | EventKind::TurnInterrupted | EventKind::TurnFailed(_) => {
            s.finished = true;
            s.open_calls.clear();
        }
        EventKind::PromptSubmitted(_) | EventKind::TurnStarted => s.finished = false,
        EventKind::ToolCalled(call) => {
            s.finished = false;
            keep_open(&mut s.open_calls, call, at, 8);
        }
        EventKind::ToolAnswered(answer) => s.open_calls.retain(|c| c.key != answer.key),
        EventKind::ContextSeen(_)
        | EventKind::ResponseReceived(_)
        | EventKind::AgentSpoke { .. }
        | EventKind::RetryAnnounced { .. }
        | EventKind::TitleGiven { .. }
        | EventKind::TaskChanged(_)
        | EventKind::BackgroundTask { .. }
        | EventKind::Compacted { .. }
        | EventKind::ContextMeasured { .. }
        | EventKind::LineageSeen { .. }
        | EventKind::ContinuedIn { .. }
        | EventKind::CostReported { .. } => {}
    }
}

fn fold_context(t: &mut Transcript, seen: &crate::event::ContextSeen, at: Timestamp) {
    fn set(slot: &mut Option<String>, value: Option<&String>) {
        if let Some(value) = value {
            *slot = (!value.is_empty()).then(|| value.clone());
        }
    }
    if t.home_cwd.is_none() {
        t.home_cwd.clone_from(&seen.cwd);
    }
    if seen.relocated {
        t.worked_in = t.worked_in.take().or(t.cwd.take());
        t.relocated_at = Some(at);
    }
    set(&mut t.cwd, seen.cwd.as_ref());
    set(&mut t.branch, seen.branch.as_ref());
    set(&mut t.version, seen.version.as_ref());
    set(&mut t.git_root, seen.git_root.as_ref());
    set(&mut t.model, seen.model.as_ref());
    t.entry = seen.entry.or(t.entry);
    t.hidden = seen.hidden.or(t.hidden);
}

fn keep_open(calls: &mut Vec<OpenCall>, call: &crate::event::ToolCall, at: Timestamp, most: usize) {
    let open = OpenCall {
        key: call.key,
        name: call.name.clone(),
        target: call.target.as_deref().map(|t| cut(t, PROMPT_CHARS)),
        ask: call.ask.clone(),
        escalated: call.escalated,
        at,
    };
    // What is told of a call again keeps its place among those that run.
    if let Some(known) = calls.iter_mut().find(|c| c.key == call.key) {
        *known = open;
        return;
    }
    if calls.len() >= most {
        calls.remove(0);
    }
    calls.push(open);
}

fn begin_turn(t: &mut Transcript, at: Timestamp) {
    // Work that a shell or subagent does for the session outlives turns; calls do not.
    t.open_calls.clear();
    t.turn.phase = Phase::Working;
    t.turn.since = at;
    t.turn.started_at = Some(at);
    t.turn.failure = None;
    t.turn.retry = None;
    t.turn.baseline = None;
    t.turn.number = t.turn.number.saturating_add(1);
}

fn end_turn(t: &mut Transcript, phase: Phase, at: Timestamp) {
    t.open_calls.clear();
    t.turn.phase = phase;
    t.turn.since = at;
    t.turn.failure = None;
    t.turn.retry = None;
}

fn speak(t: &mut Transcript, who: Speaker, at: Timestamp) {
    t.last_speaker = Some((who, at));
}

/// Cuts to `most` characters at a character boundary.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

/// Whether the background work of a transcript includes a subagent.
#[must_use]
pub fn has_background_subagent(t: &Transcript) -> bool {
    t.background.values().any(|(what, _)| *what == BackgroundKind::Subagent)
}

/// Folds one reading of a registry file into the session it names.
pub fn fold_registry(
    processes: &mut std::collections::BTreeMap<u32, Process>,
    pid: u32,
    entry: RegistryEntry,
    validity: Validity,
    status_at: Timestamp,
    read_at: Timestamp,
) {
    let busy = entry.status == Some(RegistryStatus::Busy);
    match processes.get_mut(&pid) {
        // The same process, or the file of a killed one: what was learnt of its end stands.
        Some(p) if p.entry.started_at == entry.started_at => {
            let dialog =
                matches!(&entry.status, Some(RegistryStatus::Waiting(what)) if what == "dialog open");
            if dialog && p.entry.status != entry.status {
                p.before_dialog = p.entry.status.take();
            } else if !dialog {
                p.before_dialog = None;
            }
            if p.entry.status != entry.status || status_at > p.status_since {
                p.status_since = status_at;
            }
            p.worked |= busy;
            p.entry = entry;
            p.validity = validity;
            p.observed_at = read_at;
            p.removed_at = None;
            p.moved_to = None;
        }
        _ => {
            processes.insert(
                pid,
                Process {
                    pid,
                    entry,
                    validity,
                    observed_at: read_at,
                    status_since: status_at,
                    before_dialog: None,
                    worked: busy,
                    removed_at: None,
                    exited_at: None,
                    moved_to: None,
                    joined_at: None,
                },
            );
        }
    }
    // A person resumes a session often; only the latest processes say something about it.
    while processes.len() > 8 {
        let oldest = processes.values().min_by_key(|p| (p.observed_at, p.pid)).map(|p| p.pid);
        if let Some(pid) = oldest {
            processes.remove(&pid);
        }
    }
}
