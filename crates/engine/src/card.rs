//! Makes the card of a session from what is known of it.

use std::collections::BTreeMap;

use lamplight_model::assess::Assessment;
use lamplight_model::attention::Cause;
use lamplight_model::event::BackgroundKind;
use lamplight_model::hook::TurnWord;
use lamplight_model::ids::{Agent, SessionKey, Timestamp};
use lamplight_model::label::{Names, clean_label, label, project};
use lamplight_model::pricing::PriceTable;
use lamplight_model::resume::{WayBack, resume};
use lamplight_model::session::{
    LivenessState, ResumeState, SessionKind, SessionState, Speaker, Transcript, TurnState,
};
use lamplight_model::spent::{Spent, spent};
use lamplight_model::view::{
    Attention, Context, CostSource, Evidence, GitView, Muted, SessionCard, Subagents, Todos, TokenTotals,
};

use crate::places::Place;

/// Longest text of what was last said, in characters.
const EXCERPT_CHARS: usize = 300;

/// Everything a card is made from.
pub(crate) struct Known<'a> {
    pub key: &'a SessionKey,
    pub state: &'a SessionState,
    pub verdict: &'a Assessment,
    pub causes: &'a [Cause],
    pub renamed: Option<&'a str>,
    /// The person silenced it.
    pub muted: bool,
    pub muted_projects: &'a [String],
    pub session_labels: &'a BTreeMap<String, String>,
    pub projects: &'a BTreeMap<String, String>,
    /// Where a resume starts from, see [`home_directory`].
    pub directory: Option<&'a str>,
    pub place: &'a Place,
    pub transcript_exists: bool,
    pub config_dir: Option<&'a str>,
    pub resume_max_ms: i64,
    pub prices: &'a PriceTable,
    pub git: Option<GitView>,
}

/// Directory a resume must start from: the one the transcript's folder was made for, which a removed worktree changes.
pub(crate) fn home_directory<'a>(
    state: &'a SessionState,
    transcript: Option<&std::path::Path>,
) -> Option<&'a str> {
    let t = state.transcript();
    let registry =
        state.processes.values().max_by_key(|p| p.observed_at).and_then(|p| p.entry.cwd.as_deref());
    let first = t.and_then(|t| t.home_cwd.as_deref());
    let now = t.and_then(|t| t.cwd.as_deref());
    let folder = transcript.and_then(|path| path.parent()?.file_name()?.to_str());
    let fits = |directory: &&str| folder.is_some_and(|folder| is_folder_of(folder, directory));
    [first, now, registry].into_iter().flatten().find(fits).or(first).or(now).or(registry)
}

/// Whether Claude Code keeps transcripts of a directory in a folder of this name: every UTF-16 unit outside
/// `[A-Za-z0-9]` is a `-`; after 200 of them a hash follows, which is not compared.
fn is_folder_of(folder: &str, directory: &str) -> bool {
    let encoded: String = directory
        .encode_utf16()
        .map(|unit| char::from_u32(u32::from(unit)).filter(char::is_ascii_alphanumeric).unwrap_or('-'))
        .collect();
    match encoded.get(..200) {
        Some(start) if encoded.len() > 200 => folder.starts_with(start),
        _ => folder == encoded,
    }
}

/// Directory the session works in now, by what may be believed: a transcript, or the agent's registry.
pub(crate) fn working_directory(state: &SessionState) -> Option<&str> {
    let t = state.transcript();
    let registry =
        state.processes.values().max_by_key(|p| p.observed_at).and_then(|p| p.entry.cwd.as_deref());
    t.and_then(|t| t.cwd.as_deref()).or(registry)
}

/// Where the work of a session lies: where its agent is, or was before its client removed that. Whoever opened it since,
/// is where it was taken to. `started_at` is the start of a process that runs it.
pub(crate) fn work_directory(state: &SessionState, started_at: Option<Timestamp>) -> Option<&str> {
    let is_opened_since = |t: &Transcript| started_at.is_some_and(|at| Some(at) > t.relocated_at);
    let worked_in = state.transcript().filter(|t| !is_opened_since(t)).and_then(|t| t.worked_in.as_deref());
    worked_in.or_else(|| working_directory(state))
}

/// Makes the card.
pub(crate) fn card(known: &Known<'_>, now: Timestamp) -> SessionCard {
    let Known { key, state, verdict, .. } = known;
    let t = state.transcript();
    let declared = &state.telemetry;
    let instance = declared.instance.as_ref().map(|d| d.value.as_str());
    let names = Names { configured: Some(known.session_labels), renamed: known.renamed, instance };
    let (name, label_source) = label(key, state, &names);
    let (label_default, _) = label(key, state, &Names { renamed: None, ..names });
    // What a hook alone says is shown, and nothing is opened for it.
    let cwd = working_directory(state).or(state.hooks.folder.as_ref().map(|d| d.value.as_str()));
    let git_root = known.place.git_root.as_deref().or(t.and_then(|t| t.git_root.as_deref()));
    let mut causes: Vec<&Cause> = known.causes.iter().filter(|c| c.is_open()).collect();
    causes.sort_by_key(|c| (c.kind.tier(), c.since, c.id));
    let causes: Vec<Attention> = causes.into_iter().map(attention).collect();
    let model = t
        .and_then(|t| t.model.clone())
        .or_else(|| declared.told.model.as_ref().filter(|_| t.is_none()).map(|d| d.value.clone()))
        .or_else(|| sdk_model(state));
    let last_at = verdict.last_activity.unwrap_or(now);
    let spent = spent(state, key.agent);
    let (cost_usd, cost_source) = cost(&spent, known.prices, last_at);
    let has_usage = spent.values().any(|s| !s.usage.is_zero());
    let told = &declared.told;
    let (last_speaker, last_speaker_at) = last_speaker(state).unzip();
    let mut resume = resume(
        &WayBack {
            agent: key.agent,
            id: &key.id,
            directory: known.directory,
            directory_exists: known.place.exists,
            transcript_exists: known.transcript_exists,
            running: verdict.liveness.state == LivenessState::Alive,
            config_dir: known.config_dir,
            last_activity: verdict.last_activity,
            max_age_ms: known.resume_max_ms,
            failed: state.resume_failed.as_ref(),
        },
        now,
    );
    if resume.state == ResumeState::NoTranscript && state.mains.is_empty() && !declared.is_empty() {
        // Nothing was deleted: it ran on another machine, or under a folder that is not read.
        resume.reason = Some(
            "It is known by telemetry alone: its transcript is not in the folders that are read.".to_owned(),
        );
    }
    let project = declared
        .namespace
        .as_ref()
        .and_then(|d| clean_label(&d.value))
        .or_else(|| project(key, known.projects, git_root, cwd));
    let is_project_muted = project.as_ref().is_some_and(|project| known.muted_projects.contains(project));
    let muted = if known.muted { Some(Muted::Session) } else { is_project_muted.then_some(Muted::Project) };
    SessionCard {
        agent: key.agent.as_str().to_owned(),
        session_id: key.id.as_str().to_owned(),
        kind: if key.agent == Agent::Otel { SessionKind::Sdk } else { SessionKind::Coding },
        entry: verdict.entry,
        // What the wire says wins over what is configured.
        project,
        label: name,
        label_source,
        label_default,
        cwd: cwd.map(str::to_owned),
        branch: t.and_then(|t| t.branch.clone()),
        turn_state: verdict.turn_state,
        turn_state_since_ms: verdict.since.map(|at| at.0.min(now.0)),
        waiting_for: verdict.waiting_for.clone(),
        lifecycle: verdict.lifecycle,
        liveness: verdict.liveness.clone(),
        last_speaker,
        last_speaker_at_ms: last_speaker_at.map(|at| at.0),
        started_at_ms: started_at(state).map(|at| at.0),
        last_activity_at_ms: verdict.last_activity.map(|at| at.0),
        ended_at_ms: verdict.ended_at.map(|at| at.0),
        excerpt: t.map_or_else(|| said_elsewhere(state), |t| t.last_said.as_deref()).map(excerpt),
        doing: verdict.doing.clone(),
        todos: todos(state),
        tokens: has_usage.then(|| tokens(&spent)),
        // Where a transcript is here, its calls are all there are.
        tool_calls: if t.is_some() { state.tool_calls } else { state.tool_calls.max(told.tool_calls) }
            .saturating_add(state.sdk.tool_calls),
        errors: t.map_or(state.sdk.errors, |t| t.errors),
        cost_usd,
        cost_source,
        context: context(state, known.prices, model.as_deref()),
        subagents: subagents(state, verdict),
        attention: causes.first().cloned(),
        causes,
        muted,
        archived_at_ms: verdict.archived_at.map(|at| at.0),
        git: known.git.clone(),
        resume,
        pid: verdict.pid,
        terminal: state
            .seat
            .as_ref()
            .filter(|seat| verdict.pid == Some(seat.pid))
            .map(|s| s.terminal.clone()),
        run_id: declared.run.as_ref().map(|d| d.value.clone()),
        parent_session_id: t
            .and_then(|t| t.parent.as_ref().map(|(id, _)| id))
            .or(declared.parent.as_ref().map(|d| &d.value))
            .map(|id| id.as_str().to_owned()),
        superseded_by: superseded_by(state, verdict),
        evidence: verdict.evidence.iter().cloned().chain(failed_attempt(state, verdict)).collect(),
        model,
    }
}

/// A cause as the screen shows it.
pub(crate) fn attention(cause: &Cause) -> Attention {
    Attention {
        tier: cause.kind.tier(),
        cause: cause.kind,
        cause_id: cause.id.to_string(),
        since_ms: cause.since.0,
        snoozed_until_ms: cause.snoozed_until.map(|t| t.0),
        until_change: cause.is_put_off_until_change(),
        notified_at_ms: cause.notified_at.map(|t| t.0),
    }
}

/// Text a search looks in, lower case.
pub(crate) fn search_text(card: &SessionCard, state: &SessionState) -> String {
    let t = state.transcript();
    let first = state.first_prompt().unwrap_or("");
    let last = t.and_then(|t| t.last_prompt.as_deref()).unwrap_or("");
    let parts = [
        card.label.as_str(),
        card.label_default.as_str(),
        t.and_then(|t| t.user_title.as_deref()).unwrap_or(""),
        t.and_then(|t| t.agent_title.as_deref()).unwrap_or(""),
        card.project.as_deref().unwrap_or(""),
        card.branch.as_deref().unwrap_or(""),
        card.session_id.as_str(),
        card.agent.as_str(),
        first,
        if last == first { "" } else { last },
    ];
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        if !part.is_empty() && !seen.contains(&part) {
            seen.push(part);
        }
    }
    seen.join("\n").to_lowercase()
}

fn started_at(state: &SessionState) -> Option<Timestamp> {
    let records = state.mains.values().filter_map(|t| t.first_at);
    let processes = state.processes.values().filter_map(|p| p.entry.started_at);
    let told =
        [state.hooks.first_prompt.as_ref().map(|d| d.at), state.telemetry.told.first_at, state.sdk.first_at];
    records.chain(processes).min().or(told.into_iter().flatten().min())
}

/// Model of a service's session: the one it called last, else one that its trace did.
fn sdk_model(state: &SessionState) -> Option<String> {
    let called = state.sdk.model.as_ref().map(|d| d.value.clone());
    let of_trace = || state.telemetry.unwritten.keys().next().filter(|_| !state.sdk.is_empty()).cloned();
    called.or_else(of_trace)
}

/// Who spoke last, and when: by the transcript, else by hooks, else by telemetry.
fn last_speaker(state: &SessionState) -> Option<(Speaker, Timestamp)> {
    if let Some(t) = state.transcript() {
        return t.last_speaker;
    }
    if let Some(turn) = &state.hooks.turn {
        let who = if turn.word == TurnWord::Working { Speaker::User } else { Speaker::Assistant };
        return Some((who, turn.at));
    }
    let told = &state.telemetry.told;
    let asked = told.prompted_at.map(|at| (Speaker::User, at));
    let answered = told.answered_at.map(|at| (Speaker::Assistant, at));
    [asked, answered].into_iter().flatten().max_by_key(|(_, at)| *at)
}

/// What was last said of a session without a transcript.
fn said_elsewhere(state: &SessionState) -> Option<&str> {
    let told = state.telemetry.told.last_said.as_ref().map(|d| d.value.as_str());
    told.or_else(|| state.hooks.turn.as_ref().and_then(|turn| turn.said.as_deref()))
}

/// What was said, on one line per paragraph, at most 300 characters.
fn excerpt(text: &str) -> String {
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    lamplight_model::fold::cut(&squeezed, EXCERPT_CHARS)
}

fn todos(state: &SessionState) -> Option<Todos> {
    let t = state.transcript()?;
    if let Some((done, total)) = t.task_totals {
        return (total > 0).then_some(Todos { done, total });
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let done = t.tasks.values().filter(|done| **done).count();
    (!t.tasks.is_empty()).then(|| Todos { done: count(done), total: count(t.tasks.len()) })
}

pub(crate) fn tokens(spent: &BTreeMap<String, Spent>) -> TokenTotals {
    let mut sum = TokenTotals::default();
    for usage in spent.values().map(|s| s.usage) {
        sum.input = sum.input.saturating_add(usage.input);
        sum.output = sum.output.saturating_add(usage.output);
        sum.cache_write_5m = sum.cache_write_5m.saturating_add(usage.cache_write_5m);
        sum.cache_write_1h = sum.cache_write_1h.saturating_add(usage.cache_write_1h);
        sum.cache_read = sum.cache_read.saturating_add(usage.cache_read);
    }
    sum
}

/// A failed attempt of the turn that runs, as telemetry told it: it explains the silence, and decides nothing.
fn failed_attempt(state: &SessionState, verdict: &Assessment) -> Option<Evidence> {
    let failure = state.telemetry.last_failure?;
    let of_this_turn =
        verdict.turn_state == TurnState::Working && verdict.since.is_some_and(|since| since <= failure.at);
    let of_this_turn = of_this_turn && state.telemetry.told.answered_at.is_none_or(|at| at <= failure.at);
    let status = failure.status.map(|status| format!(" with status {status}")).unwrap_or_default();
    let fact = match (failure.exhausted, failure.attempt) {
        (true, _) => format!("API retries used up{status}"),
        (false, Some(n)) => format!("API attempt {n} failed{status}"),
        (false, None) => format!("API attempt failed{status}"),
    };
    of_this_turn.then(|| Evidence { fact, source: "otlp".to_owned(), at_ms: failure.at.0, overruled: false })
}

/// Cost of what was spent: as the agent reported it, and by the price table for what it did not report. `None` as soon as
/// one part is not known, or nothing was used.
fn cost(
    spent: &BTreeMap<String, Spent>,
    prices: &PriceTable,
    at: Timestamp,
) -> (Option<f64>, Option<CostSource>) {
    let reported_nano = spent.values().filter_map(|s| s.reported_nano).reduce(u64::saturating_add);
    let mut table: Option<f64> = None;
    for (model, spent) in spent.iter().filter(|(_, s)| !s.unreported.is_zero()) {
        match prices.cost_usd(model, at, &spent.unreported) {
            Some(usd) => table = Some(table.unwrap_or(0.0) + usd),
            None => return (None, None),
        }
    }
    // Exact below 2^53 billionths, nine million dollars.
    let reported = reported_nano.map(|nano| nano as f64 / 1e9);
    let source = match (reported.is_some(), table.is_some()) {
        (true, true) => CostSource::Mixed,
        (true, false) => CostSource::Reported,
        (false, true) => CostSource::Table,
        (false, false) => return (None, None),
    };
    (Some(reported.unwrap_or(0.0) + table.unwrap_or(0.0)), Some(source))
}

fn context(state: &SessionState, prices: &PriceTable, model: Option<&str>) -> Context {
    let t = state.transcript();
    let used = t.and_then(|t| t.context_used);
    let said = t.and_then(|t| t.context_window);
    let (window, source) = match (said, model.and_then(|m| prices.window(m))) {
        (Some(said), _) => (Some(said), Some("transcript")),
        (None, Some(table)) => (Some(table), Some("table")),
        (None, None) => (None, None),
    };
    // More than the window holds means that the window is another one than the table's: not known, never over 100 %.
    if let (Some(used), Some(window)) = (used, window)
        && used > window
    {
        return Context { used: Some(used), window: None, source: None };
    }
    Context { used, window, source: source.map(str::to_owned) }
}

fn subagents(state: &SessionState, verdict: &Assessment) -> Subagents {
    let launched = state
        .transcript()
        .map_or(0, |t| t.background.values().filter(|(what, _)| *what == BackgroundKind::Subagent).count());
    let running = if verdict.liveness.state == LivenessState::Dead { 0 } else { verdict.subagents_running };
    let total = u32::try_from(state.subagents.len().max(launched)).unwrap_or(u32::MAX);
    Subagents { running: running.min(total), total }
}

fn superseded_by(state: &SessionState, verdict: &Assessment) -> Option<String> {
    if !verdict.is_superseded {
        return None;
    }
    let continued = state.transcript().and_then(|t| t.continued_in.as_ref());
    state.superseded_by.as_ref().map(|d| &d.value).or(continued).map(|id| id.as_str().to_owned())
}

/// Configuration folder a resume must name: only when it is not the one the agent uses by itself.
pub(crate) fn foreign_config_dir(
    agent: Agent,
    transcript: &std::path::Path,
    config: &crate::config::Config,
) -> Option<String> {
    let root = config
        .roots
        .iter()
        .filter(|r| r.agent == agent && transcript.starts_with(&r.path))
        .max_by_key(|r| r.path.as_os_str().len())?;
    (!root.is_default).then(|| root.path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use lamplight_model::ids::Timestamp;
    use lamplight_model::session::{Dated, SessionState};

    use super::{home_directory, is_folder_of, working_directory};

    #[test]
    fn no_folder_is_opened_because_a_hook_named_it() {
        let mut state = SessionState::default();
        state.hooks.folder = Some(Dated { at: Timestamp(1), value: "/home/dev/shop".to_owned() });
        assert_eq!((working_directory(&state), home_directory(&state, None)), (None, None));
    }

    #[test]
    fn a_folder_is_known_by_the_directory_it_was_made_for() {
        assert!(is_folder_of("-home-dev-a-b-c", "/home/dev/a.b_c"));
        assert!(is_folder_of("-h---", "/h/😀"), "an emoji is two units");
        assert!(!is_folder_of("-home-dev-repo", "/home/dev/repo/.claude/worktrees/fix"));
        let long = format!("/{}", "x".repeat(300));
        assert!(is_folder_of(&format!("-{}-1a2b3c", "x".repeat(199)), &long));
    }
}
