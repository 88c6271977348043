//! What the facts of a session mean at a given moment.
//!
//! The one place where sources are weighed against each other: the agent's live registry, validated against the
//! process table, is believed before the transcript; silence is believed never (`ARCHITECTURE.md`, "Whom to believe").
//! Pure: the moment is an argument, and `recheck_at` names the next moment at which the answer can change by itself.

mod claude;
mod codex;
mod gemini;
mod hooks;
mod opencode;
mod sdk;
mod telemetry;
mod witness;

use crate::attention::{CauseKind, ClearedBy};
use crate::event::{Failure, FailureClass, HiddenKind};
use crate::ids::{Agent, Timestamp};
use crate::session::{
    EntryKind, Lifecycle, LivenessState, OpenCall, SessionState, Speaker, Subagent, Transcript, TurnState,
    WaitKind,
};
use crate::view::{Doing, Evidence, Liveness, SubagentState, WaitingFor};

pub use witness::Contradiction;
use witness::{Claim, Noted};

/// A removed registry file counts as an end only after this: `-p` deletes, re-creates and deletes it again at exit.
pub const REMOVAL_SETTLE_MS: i64 = 300;
/// How far the transcript may lag behind the registry: its writer flushes about every 100 ms, the registry follows the
/// screen within 200 ms; measured up to 0.25 s apart.
pub const TRANSCRIPT_LAG_MS: i64 = 450;
/// The person's own commands (`/clear`, `/rename`, `/branch`) make the registry say busy for 10 to 100 ms after a turn;
/// busy for longer is work, and so is busy with a new prompt in the transcript.
pub const COMMAND_SETTLE_MS: i64 = 100;
/// A process that died while its registry file stands: an orderly exit removes the file first.
pub const EXIT_SETTLE_MS: i64 = 300;
/// Without any sign of a process or an end, a session stops being news after this.
pub const NEWS_MS: i64 = 12 * 3_600_000;
/// Activity up to this old is `active`.
pub const ACTIVE_MS: i64 = 5 * 60_000;
/// Where nothing but the transcript speaks, an open turn that wrote nothing for this long is `unknown`: mid-turn
/// silences of 8 minutes are common (99th percentile 4), of 30 rare.
pub const SILENCE_MS: i64 = 30 * 60_000;
/// A subagent without an end whose file is older than this is no longer counted as running.
pub const SUBAGENT_MS: i64 = 24 * 3_600_000;

/// Lines of a session may come so much later than the start of the one that took its place.
pub const SUPERSEDE_MS: i64 = 5_000;

/// What the engine knows around a session that is not folded from its facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// Whose session it is.
    pub agent: Agent,
    /// The agent's live registry (or lock folder) is there and has been listed: absence in it means absence.
    pub registry_listed: bool,
    /// The idle window.
    pub idle_window_ms: i64,
}

/// The meaning of a session's facts at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// What it is doing.
    pub turn_state: TurnState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What it waits for.
    pub waiting_for: Option<WaitingFor>,
    /// Whether a process runs it.
    pub liveness: Liveness,
    /// A label of age.
    pub lifecycle: Lifecycle,
    /// Last activity, never later than `now`.
    pub last_activity: Option<Timestamp>,
    /// The running tool.
    pub doing: Option<Doing>,
    /// Facts behind the state, the believed one first, those that say otherwise last.
    pub evidence: Vec<Evidence>,
    /// Sources that say otherwise and had the time to agree.
    pub contradictions: Vec<Contradiction>,
    /// Why it needs its person, if it does.
    pub need: Option<Need>,
    /// What clears a need that no longer stands.
    pub clears: ClearedBy,
    /// Orderly end: as told, else as concluded from what is missing.
    pub ended_at: Option<Timestamp>,
    /// Pid of the live client.
    pub pid: Option<u32>,
    /// Another session goes on in its place, in its process or in its pane.
    pub is_superseded: bool,
    /// Subagents running now.
    pub subagents_running: u32,
    /// How it is driven.
    pub entry: EntryKind,
    /// Why it is never a row.
    pub hidden: Option<HiddenKind>,
    /// The person put it away, nothing happened in it since, and no process is known to run it.
    pub archived_at: Option<Timestamp>,
    /// Next moment at which this can change without a new fact.
    pub recheck_at: Option<Timestamp>,
}

/// Why a session needs its person. Two assessments with the same `anchor` speak of the same need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Why; may become more exact while the need stands (a permission prompt that turns out to be a plan).
    pub kind: CauseKind,
    /// Since when.
    pub since: Timestamp,
    /// What raised it: stable over restarts and over late facts.
    pub anchor: Anchor,
    /// Source that raised it.
    pub source: &'static str,
}

/// What raised a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Something blocks since this moment, by the agent's own clock.
    Blocked(Timestamp),
    /// The turn of this number is over.
    Turn(u32),
}

impl SessionState {
    /// The transcript that speaks for the session: the one with the latest record. Copies of it say the same.
    #[must_use]
    pub fn transcript(&self) -> Option<&Transcript> {
        self.mains.values().max_by(|a, b| {
            (a.last_at, a.turn.number, &a.cwd, &a.last_said).cmp(&(
                b.last_at,
                b.turn.number,
                &b.cwd,
                &b.last_said,
            ))
        })
    }

    /// The first prompt: by the transcript, else as hooks or telemetry told it.
    #[must_use]
    pub fn first_prompt(&self) -> Option<&str> {
        match self.transcript() {
            Some(t) => t.first_prompt.as_deref(),
            None => {
                let told = self.hooks.first_prompt.as_ref().or(self.telemetry.told.first_prompt.as_ref());
                told.map(|d| d.value.as_str())
            }
        }
    }

    /// Whether a prompt, response or tool call was ever seen: a session without is a zombie of the views.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        self.tool_calls > 0
            || self.prompts > 0
            || self.usage.values().any(|m| !m.usage.is_zero())
            || self.mains.values().any(|t| t.prompted || t.responded)
            || self.hooks.prompted
            || !self.telemetry.unwritten.is_empty()
            || self.telemetry.told.speaks()
            || self.telemetry.meters.has_spent()
            || self.sdk.calls > 0
            || self.sdk.tool_calls > 0
    }
}

/// Says what the facts mean at `now`.
#[must_use]
pub fn assess(state: &SessionState, around: &Circumstances, now: Timestamp) -> Assessment {
    let mut verdict = match around.agent {
        Agent::ClaudeCode => claude::judge(state, around, now),
        Agent::Codex => codex::judge(state, around, now),
        Agent::Gemini => gemini::judge(state, now),
        Agent::OpenCode => opencode::judge(state, now),
        Agent::Otel => sdk::judge(state),
    };
    let transcript = state.transcript();
    let entry = verdict.entry.or(transcript.and_then(|t| t.entry)).unwrap_or(EntryKind::Interactive);
    let hidden =
        verdict.hidden.or(transcript.and_then(|t| t.hidden)).or(telemetry::hidden(state, around.agent));
    let last_activity = last_activity(state, now);
    let is_over = end(state, &mut verdict);
    if let Some(next) = &state.superseded_by
        && verdict.liveness.state != LivenessState::Alive
        && !verdict.superseded
        && heard_last(state).is_none_or(|last| last <= next.at.plus_ms(SUPERSEDE_MS))
    {
        verdict.superseded = true;
        verdict.note("terminal", next.at, format!("Its terminal went on with {}", next.value));
    }
    if let Some(next) = transcript.and_then(|t| t.continued_in.as_ref())
        && verdict.liveness.state != LivenessState::Alive
        && !verdict.superseded
    {
        verdict.superseded = true;
        let at = heard_last(state).unwrap_or_default();
        verdict.note("transcript", at, format!("It was continued as {next}"));
    }
    let lifecycle = match (is_over, last_activity) {
        // A span around the session told of its end, and nobody closed it.
        (true, _) if !is_close_pending(state) && state.sdk.completed_at().is_some() => Lifecycle::Completed,
        (true, _) => Lifecycle::Closed,
        (false, Some(last)) => {
            let age = now.since(last);
            let (lifecycle, until) = if age <= ACTIVE_MS {
                (Lifecycle::Active, Some(ACTIVE_MS))
            } else if age <= around.idle_window_ms {
                (Lifecycle::Idle, Some(around.idle_window_ms))
            } else {
                (Lifecycle::Stale, None)
            };
            if let Some(until) = until {
                verdict.recheck(last.plus_ms(until + 1));
            }
            lifecycle
        }
        (false, None) => Lifecycle::Stale,
    };
    let archived_at =
        state.archived_at.filter(|_| verdict.liveness.state != LivenessState::Alive && is_put_away(state));
    let need = need_of(&verdict, state, entry, hidden, is_over || archived_at.is_some());
    let (need, clears) = expire(need, &mut verdict, last_activity, state, now);
    let clears = if archived_at.is_some() { ClearedBy::Archived } else { clears };
    let contradictions = witness::weigh(&mut verdict, now);
    let ended_at = verdict.ended_at;
    let subagents_running = if is_over { 0 } else { running_subagents(state, verdict.liveness.state, now) };
    Assessment {
        turn_state: verdict.turn_state,
        since: verdict.since,
        waiting_for: verdict.waiting_for,
        liveness: verdict.liveness,
        lifecycle,
        last_activity,
        doing: verdict.doing,
        evidence: verdict.evidence.into_iter().map(|noted| noted.evidence).collect(),
        contradictions,
        need,
        clears,
        ended_at,
        pid: verdict.pid,
        is_superseded: verdict.superseded,
        subagents_running,
        entry,
        hidden,
        archived_at,
        recheck_at: verdict.recheck_at.filter(|at| *at > now),
    }
}

/// What one agent's rules say, before what all agents share.
#[derive(Debug)]
struct Verdict {
    turn_state: TurnState,
    since: Option<Timestamp>,
    waiting_for: Option<WaitingFor>,
    liveness: Liveness,
    doing: Option<Doing>,
    evidence: Vec<Noted>,
    blocked_since: Option<Timestamp>,
    source: &'static str,
    ended_at: Option<Timestamp>,
    /// Somebody told of the end: it is not concluded from what is missing.
    is_end_told: bool,
    pid: Option<u32>,
    entry: Option<EntryKind>,
    hidden: Option<HiddenKind>,
    superseded: bool,
    recheck_at: Option<Timestamp>,
}

impl Verdict {
    fn new(turn_state: TurnState, since: Option<Timestamp>, source: &'static str) -> Self {
        Self {
            turn_state,
            since,
            waiting_for: None,
            liveness: Liveness { state: LivenessState::Unknown, source: None, observed_at_ms: None },
            doing: None,
            evidence: Vec::new(),
            blocked_since: None,
            source,
            ended_at: None,
            is_end_told: false,
            pid: None,
            entry: None,
            hidden: None,
            superseded: false,
            recheck_at: None,
        }
    }

    fn recheck(&mut self, at: Timestamp) {
        self.recheck_at = Some(self.recheck_at.map_or(at, |before| before.min(at)));
    }

    fn alive(&mut self, source: &str, at: Timestamp) {
        self.liveness = Liveness {
            state: LivenessState::Alive,
            source: Some(source.to_owned()),
            observed_at_ms: Some(at.0),
        };
    }

    fn dead(&mut self, source: &str, at: Timestamp) {
        self.liveness = Liveness {
            state: LivenessState::Dead,
            source: Some(source.to_owned()),
            observed_at_ms: Some(at.0),
        };
    }

    /// Somebody told that it ended in order.
    fn end_told(&mut self, at: Timestamp) {
        self.ended_at = Some(at);
        self.is_end_told = true;
    }

    fn note(&mut self, source: &str, at: Timestamp, fact: String) {
        self.evidence.push(noted(source, at, fact, None));
    }

    /// Notes a fact that says something of the turn.
    fn note_that(&mut self, source: &str, at: Timestamp, fact: String, claim: Claim) {
        self.evidence.push(noted(source, at, fact, Some(claim)));
    }
}

fn noted(source: &str, at: Timestamp, fact: String, claim: Option<Claim>) -> Noted {
    Noted { evidence: Evidence { fact, source: source.to_owned(), at_ms: at.0, overruled: false }, claim }
}

/// Whether the end was told, and by it the verdict: a close, a `SessionEnd` hook and the agent's own leaving look the same.
///
/// A close counts once no process is known to live, and as long as nothing happened after it. Of several words on one end
/// the earliest dates it.
fn end(state: &SessionState, v: &mut Verdict) -> bool {
    let closed =
        state.closed_at.filter(|_| v.liveness.state != LivenessState::Alive && is_close_pending(state));
    let told = v.ended_at.filter(|_| v.is_end_told && v.turn_state == TurnState::Ended);
    let Some(at) = [closed, told].into_iter().flatten().min() else { return false };
    if let Some(closed) = closed {
        v.evidence.insert(0, noted("user", closed, "It was closed in Lamplight".to_owned(), None));
    }
    v.turn_state = TurnState::Ended;
    v.since = Some(at);
    v.waiting_for = None;
    v.doing = None;
    v.ended_at = v.ended_at.map_or(Some(at), |known| Some(known.min(at)));
    true
}

/// Whether a close was told and nothing happened after it: it holds, or will once no process lives any more.
#[must_use]
pub fn is_close_pending(state: &SessionState) -> bool {
    state.closed_at.is_some_and(|closed| heard_last(state) <= state.closed_over.max(Some(closed)))
}

/// Whether the person put it away and nothing happened after that.
#[must_use]
pub fn is_put_away(state: &SessionState) -> bool {
    state.archived_at.is_some_and(|put| heard_last(state) <= state.archived_over.max(Some(put)))
}

/// Last activity: records, subagents' records, changes of the live status, hooks. Never later than `now`.
fn last_activity(state: &SessionState, now: Timestamp) -> Option<Timestamp> {
    heard_last(state).map(|at| at.min(now))
}

/// Last activity as dated by whoever told it, which may be later than now.
#[must_use]
pub fn heard_last(state: &SessionState) -> Option<Timestamp> {
    let records = state.mains.values().filter_map(|t| t.last_at);
    let subagents = state.subagents.values().filter_map(|s| s.last_at);
    let statuses = state.processes.values().map(|p| p.status_since);
    let known = records.chain(subagents).chain(statuses).chain(state.hooks.active_at).max();
    // Telemetry speaks only where nothing better does: of a session of which neither transcript nor process is here.
    known.or(state.telemetry.last_at.max(state.telemetry.told.active_at).max(state.sdk.last_at))
}

/// Subagents whose work is not known to be over. Without a live session nothing of it runs.
fn running_subagents(state: &SessionState, liveness: LivenessState, now: Timestamp) -> u32 {
    if liveness == LivenessState::Dead {
        return 0;
    }
    u32::try_from(working_subagents(state, now).count()).unwrap_or(u32::MAX)
}

fn working_subagents(state: &SessionState, now: Timestamp) -> impl Iterator<Item = &Subagent> {
    // Whether a process is left to run them is another question.
    subagents(state, LivenessState::Unknown, now)
        .filter(|(_, _, became)| *became == SubagentState::Running)
        .map(|(_, s, _)| s)
}

/// Subagents by id, with what became of each.
pub fn subagents(
    state: &SessionState,
    liveness: LivenessState,
    now: Timestamp,
) -> impl Iterator<Item = (&str, &Subagent, SubagentState)> {
    state.subagents.iter().map(move |(id, s)| {
        let is_recent = s.last_at.is_some_and(|last| now.since(last) <= SUBAGENT_MS);
        let became = if s.finished || hooks::has_stopped(state, id, s) {
            SubagentState::Finished
        } else if is_recent && liveness != LivenessState::Dead {
            SubagentState::Running
        } else {
            SubagentState::CutOff
        };
        (id.as_str(), s, became)
    })
}

fn need_of(
    v: &Verdict,
    state: &SessionState,
    entry: EntryKind,
    hidden: Option<HiddenKind>,
    closed: bool,
) -> Option<Need> {
    if hidden.is_some() || closed || v.superseded {
        return None;
    }
    let transcript = state.transcript();
    let number = transcript.map_or_else(|| turn_without_transcript(state), |t| t.turn.number);
    let turn = |kind, since: Option<Timestamp>| {
        Some(Need { kind, since: since?, anchor: Anchor::Turn(number), source: v.source })
    };
    let blocked = |kind| {
        let since = v.blocked_since.or(v.since)?;
        Some(Need { kind, since, anchor: Anchor::Blocked(since), source: v.source })
    };
    let print = entry == EntryKind::Print;
    match v.turn_state {
        TurnState::AwaitingPermission => blocked(CauseKind::Permission),
        TurnState::AwaitingAnswer => match v.waiting_for.as_ref().map(|w| w.kind) {
            Some(WaitKind::Question) => blocked(CauseKind::Question),
            Some(WaitKind::Plan) => blocked(CauseKind::Plan),
            _ => blocked(CauseKind::Elicitation),
        },
        // A run without a person that ended normally is nobody's turn; one that failed is read where it was started.
        _ if print => None,
        TurnState::AwaitingReply => {
            let agent_spoke =
                transcript.and_then(|t| t.last_speaker).is_none_or(|(who, _)| who == Speaker::Assistant);
            if agent_spoke { turn(CauseKind::Reply, v.since) } else { None }
        }
        TurnState::Interrupted => turn(CauseKind::Interrupted, v.since),
        TurnState::Errored => {
            let failure = transcript.and_then(|t| t.turn.failure.as_ref()).or(state.hooks.failure());
            let kind = match failure.map(|f| f.class) {
                Some(FailureClass::SignIn) => CauseKind::SignIn,
                Some(FailureClass::Limit) => CauseKind::Limit,
                Some(FailureClass::Error) | None => CauseKind::Error,
            };
            turn(kind, v.since)
        }
        TurnState::Crashed => {
            if transcript.is_some_and(|t| t.prompted || t.responded) {
                turn(CauseKind::Crashed, v.since)
            } else {
                None
            }
        }
        TurnState::Starting
        | TurnState::Working
        | TurnState::Background
        | TurnState::Ended
        | TurnState::Unknown => None,
    }
}

/// Number of a turn that no transcript numbers: the second its prompt was told, so that the next one is another.
fn turn_without_transcript(state: &SessionState) -> u32 {
    let told = state.hooks.prompted_at.or(state.telemetry.told.prompted_at);
    told.map_or(0, |at| u32::try_from(at.0.div_euclid(1_000)).unwrap_or(0))
}

/// Drops a need that is no longer news, and says what would clear one that stood until now.
fn expire(
    need: Option<Need>,
    v: &mut Verdict,
    last_activity: Option<Timestamp>,
    state: &SessionState,
    now: Timestamp,
) -> (Option<Need>, ClearedBy) {
    if let Some(need) = need {
        if v.liveness.state == LivenessState::Alive {
            return (Some(need), ClearedBy::Resolution);
        }
        let last = last_activity.unwrap_or(need.since).max(need.since);
        if now.since(last) <= NEWS_MS {
            v.recheck(last.plus_ms(NEWS_MS + 1));
            return (Some(need), ClearedBy::Resolution);
        }
        return (None, ClearedBy::Expired);
    }
    let clears = if v.superseded {
        ClearedBy::Superseded
    } else if v.turn_state == TurnState::Ended {
        ClearedBy::Ended
    } else if state.transcript().and_then(|t| t.last_speaker).is_some_and(|(who, _)| who == Speaker::User) {
        ClearedBy::Reply
    } else {
        ClearedBy::Resolution
    };
    (None, clears)
}

/// The call that asks: the oldest open one of the main thread that is not itself a delegation, else of a running
/// subagent.
fn asking_call(state: &SessionState, now: Timestamp) -> Option<&OpenCall> {
    let own = state.transcript().into_iter().flat_map(|t| t.open_calls.iter());
    own.filter(|c| !matches!(c.name.as_str(), "Agent" | "Task"))
        .min_by_key(|c| c.at)
        .or_else(|| working_subagents(state, now).flat_map(|s| s.open_calls.iter()).max_by_key(|c| c.at))
}

fn waiting(kind: WaitKind, call: Option<&OpenCall>) -> WaitingFor {
    let ask = call.and_then(|c| c.ask.as_ref());
    WaitingFor {
        kind,
        tool: call.map(|c| c.name.clone()),
        detail: ask.map(|a| a.text.clone()).or_else(|| call.and_then(|c| c.target.clone())),
        options: ask.map(|a| a.options.clone()).unwrap_or_default(),
        resets_at_ms: None,
    }
}

/// What a turn that is over waits for.
fn waiting_after(state: TurnState, t: Option<&Transcript>) -> Option<WaitingFor> {
    let plain = |kind| WaitingFor { kind, tool: None, detail: None, options: Vec::new(), resets_at_ms: None };
    match state {
        TurnState::AwaitingReply => Some(plain(WaitKind::Reply)),
        TurnState::Errored => {
            let failure = t.and_then(|t| t.turn.failure.as_ref());
            Some(failure.map_or_else(|| plain(WaitKind::Error), waiting_after_failure))
        }
        _ => None,
    }
}

/// What a turn that an error ended waits for.
fn waiting_after_failure(failure: &Failure) -> WaitingFor {
    WaitingFor {
        kind: match failure.class {
            FailureClass::SignIn => WaitKind::SignIn,
            FailureClass::Limit => WaitKind::Limit,
            FailureClass::Error => WaitKind::Error,
        },
        tool: None,
        detail: Some(failure.text.clone()),
        options: Vec::new(),
        resets_at_ms: failure.resets_at.map(|at| at.0),
    }
}

/// The running tool of a turn at work; `tool: None` while the model thinks.
fn doing(t: Option<&Transcript>, since: Option<Timestamp>) -> Doing {
    match t.and_then(|t| t.open_calls.last()) {
        Some(call) => Doing {
            tool: Some(call.name.clone()),
            target: call.target.as_deref().map(|t| crate::fold::cut(t, 300)),
            since_ms: Some(call.at.0),
        },
        None => Doing { tool: None, target: None, since_ms: since.map(|at| at.0) },
    }
}

/// Whether something is so fresh that other sources may not have told of it yet. What is dated later than now was dated by
/// a clock that has been set back since: it had its time.
fn is_within(at: Timestamp, ms: i64, now: Timestamp) -> bool {
    at <= now && now.since(at) < ms
}

/// Notes what the transcript says, in words, with its age.
fn note_transcript(v: &mut Verdict, t: &Transcript) {
    use crate::session::Phase;
    let at = t.turn.since;
    match t.turn.phase {
        Phase::None => {
            if let Some(at) = t.first_at {
                v.note("transcript", at, "No turn yet".to_owned());
            }
        }
        Phase::Working => match t.open_calls.last() {
            Some(call) => {
                v.note_that(
                    "transcript",
                    call.at,
                    format!("{} call without a result", call.name),
                    Claim::Works,
                );
            }
            None => match t.turn.retry {
                Some((attempt, of)) => {
                    let fact = format!("Retrying the model (attempt {attempt} of {of})");
                    v.note_that("transcript", t.last_at.unwrap_or(at), fact, Claim::Works);
                }
                None => {
                    v.note_that("transcript", t.last_at.unwrap_or(at), "Turn open".to_owned(), Claim::Works);
                }
            },
        },
        Phase::Ended => v.note_that("transcript", at, "The agent ended its turn".to_owned(), Claim::Over),
        Phase::Interrupted => {
            v.note_that("transcript", at, "You interrupted the turn".to_owned(), Claim::Over)
        }
        Phase::Failed => v.note_that("transcript", at, "An error ended the turn".to_owned(), Claim::Over),
    }
}
