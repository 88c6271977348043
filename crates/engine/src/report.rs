//! A bug report of a card: on what its state rests, without anything that is the person's.
//!
//! The report is made of words that stand in this file and in the words of our own types, of numbers and of ages. Where a
//! fact is text (a tool's name may be in it, a status that an agent wrote), each word passes only if it is one of
//! [`VOCABULARY`]. Ids stand in it as a hash.

use std::fmt::Write as _;

use lamplight_model::assess::Assessment;
use lamplight_model::attention::{Cause, ClearedBy};
use lamplight_model::hook::TurnWord;
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::session::{Process, RegistryStatus, SessionState, Transcript, Validity};
use lamplight_model::view::{Evidence, Report, SessionCard, SourceView};
use rusqlite::Connection;
use serde::Serialize;

use crate::archive::Cards;
use crate::board::Board;
use crate::config::Config;
use crate::errors::EngineError;
use crate::facts::fact_id;
use crate::store::rows::{Class, LiveFact};
use crate::store::{causes, rows, schema};

/// Edges told, the newest ones.
const MOST_EDGES: u32 = 40;
/// Causes told, the newest ones.
const MOST_CAUSES: u32 = 10;

/// Words that a fact may be told in: those of our own sentences, of agents' statuses, and names of tools that everybody has.
const VOCABULARY: &str = "
    a agent also an and another answered answers anew answer approval as asked asks at attempt background before began
    busy by call called can claude cleared clear client close closed code codex compact compacted container crash cut
    dialog died does ended end ends error exit exited fact failed file finished for form fork from gemini good had hands
    held here higher holds hook hooks how idle in input interrupted is it its key keys killed latest lock locks looked
    looks may middle model more needed network new no nobody none not of old on one open opened or orderly other out
    over permission person pid plan process prompt prompts question quiet read received recorded record records refused
    registry removed request result resume resumed retrying returned rights running runs said says seen service session
    shell short silent since span stands started startup starting status still stopped stands subagent subagents
    superseded taken telemetry terminal than that the this time to told took tool transcript transcripts turn turned
    nothing shown tell tells which unknown user wait waiting waits was went were where whether which while who with without works work you your
    around bash edit enterplanmode exitplanmode askuserquestion apply_patch glob grep ls multiedit notebookedit
    notebookread read_file replace run_shell_command exec_command shell_command task todowrite update_plan webfetch
    websearch write write_file write_stdin
    claude-code opencode rollouts sessions chats otlp forward git process proc settings store worktrees
    lamplight alive dead tmux screen kitty wezterm x11 logout clear bypass_permissions_disabled prompt_input_exit sandbox";

/// Everything a report is made from.
struct Told<'a> {
    key: &'a SessionKey,
    class: Class,
    state: &'a SessionState,
    verdict: &'a Assessment,
    card: &'a SessionCard,
    causes: &'a [Cause],
    edges: &'a [LiveFact],
    sources: &'a [SourceView],
    /// Schema of the database.
    schema: i64,
    now: Timestamp,
}

/// Makes the report of a session; `None` when it is not known.
pub(crate) fn of(
    db: &Connection,
    config: &Config,
    board: &Board,
    key: &SessionKey,
    now: Timestamp,
) -> Result<Option<Report>, EngineError> {
    let Some(id) = rows::find(db, key)? else { return Ok(None) };
    let Some(row) = rows::load(db, id)? else { return Ok(None) };
    let mut cards = Cards::new(db, config, board, now);
    let card = cards.of_row(&row)?;
    let causes: Vec<Cause> =
        causes::of_session(db, id, MOST_CAUSES)?.into_iter().map(|stored| stored.cause).collect();
    let edges = rows::live_facts(db, id, MOST_EDGES)?;
    let status = board.status(now);
    let told = Told {
        key,
        class: row.class,
        state: &row.state,
        verdict: &cards.verdict(&row),
        card: &card,
        causes: &causes,
        edges: &edges,
        sources: &status.sources,
        schema: schema::versions(db)?.0,
        now,
    };
    Ok(Some(Report { text: text(&told) }))
}

fn text(told: &Told<'_>) -> String {
    let mut out = Writer { out: String::new(), now: told.now };
    head(&mut out, told);
    shown(&mut out, told);
    why(&mut out, told);
    witnesses(&mut out, told);
    out.title(&format!("Edges, the latest {MOST_EDGES}"));
    for edge in told.edges {
        let line = format!("{}, {}: {}", out.age(edge.at), plain(&edge.source), plain(&edge.fact));
        out.item(&line);
    }
    out.none(told.edges.is_empty());
    out.title(&format!("Causes, the latest {MOST_CAUSES}"));
    for cause in told.causes {
        cause_line(&mut out, cause);
    }
    out.none(told.causes.is_empty());
    sources(&mut out, told.sources);
    out.out
}

fn head(out: &mut Writer, told: &Told<'_>) {
    let id = fact_id(told.key.agent, "report", &[told.key.id.as_str()]).to_string();
    let _ = writeln!(
        out.out,
        "# Lamplight: evidence of a card\n\n\
         Names, paths, texts and ids are left out: `…` stands for a word that may be one. Ages are as of the making.\n\n\
         * Lamplight {} on {} {}, schema {}\n\
         * {} session {}, its client {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        told.schema,
        told.key.agent.as_str(),
        id.get(..8).unwrap_or_default(),
        client(told.state),
    );
}

fn shown(out: &mut Writer, told: &Told<'_>) {
    let card = told.card;
    out.title("What is shown");
    let since = out.since(card.turn_state_since_ms);
    out.item(&format!(
        "{}{since}; {}; a {} session, driven as {}; class {}",
        card.turn_state.as_str(),
        card.lifecycle.as_str(),
        card.kind.as_str(),
        card.entry.as_str(),
        told.class.as_str(),
    ));
    let observed = out.since(card.liveness.observed_at_ms);
    let by = card.liveness.source.as_deref().map_or_else(String::new, |s| format!(" by {}", plain(s)));
    out.item(&format!("process: {}{by}{observed}", card.liveness.state.as_str()));
    if let Some(waiting) = &card.waiting_for {
        let tool = waiting.tool.as_deref().map_or_else(String::new, |t| format!(", tool {}", plain(t)));
        let resets = if waiting.resets_at_ms.is_some() { ", with a time of reset" } else { "" };
        out.item(&format!(
            "waits for: {}{tool}, {} options{resets}",
            waiting.kind.as_str(),
            waiting.options.len()
        ));
    }
    if let Some(doing) = &card.doing {
        let since = out.since(doing.since_ms);
        out.item(&format!("does: {}{since}", doing.tool.as_deref().map_or("think".to_owned(), plain)));
    }
    let spoke = card.last_speaker.map_or("nobody", |who| who.as_str());
    let at = out.since(card.last_speaker_at_ms);
    out.item(&format!("spoke last: {spoke}{at}"));
    for (what, at) in [
        ("began", card.started_at_ms),
        ("last activity", card.last_activity_at_ms),
        ("ended", card.ended_at_ms),
        ("put away", card.archived_at_ms),
    ] {
        if let Some(at) = at {
            let age = out.age(Timestamp(at));
            out.item(&format!("{what}: {age}"));
        }
    }
    out.item(&format!(
        "resume: {}; worktree: {}; muted: {}; name by: {}; project {}; directory {}; branch {}",
        card.resume.state.as_str(),
        card.git.as_ref().map_or("not looked at".to_owned(), |git| word(&git.state)),
        card.muted.map_or("no".to_owned(), |by| word(&by)),
        card.label_source.as_str(),
        known(card.project.is_some()),
        known(card.cwd.is_some()),
        known(card.branch.is_some()),
    ));
    out.item(&format!(
        "terminal: {}",
        card.terminal.as_ref().map_or("not known".to_owned(), |t| {
            let way =
                if t.can_focus { "can be brought to the front" } else { "cannot be brought to the front" };
            format!("{}, {way}", plain(&t.program))
        })
    ));
    out.item(&format!(
        "{} subagents, {} running; {} tool calls; {} errors; tokens {}; context {}; run {}; parent {}; successor {}",
        card.subagents.total,
        card.subagents.running,
        card.tool_calls,
        card.errors,
        known(card.tokens.is_some()),
        known(card.context.used.is_some()),
        known(card.run_id.is_some()),
        known(card.parent_session_id.is_some()),
        known(card.superseded_by.is_some()),
    ));
}

fn why(out: &mut Writer, told: &Told<'_>) {
    out.title("Why: facts, the believed one first");
    for Evidence { fact, source, at_ms, overruled } in &told.verdict.evidence {
        let age = out.age(Timestamp(*at_ms));
        let otherwise = if *overruled { " (says otherwise)" } else { "" };
        out.item(&format!("{}, {age}: {}{otherwise}", plain(source), plain(fact)));
    }
    out.none(told.verdict.evidence.is_empty());
    for other in &told.verdict.contradictions {
        let age = out.age(other.at);
        out.item(&format!("contradiction: {} says otherwise, {age}", plain(&other.source)));
    }
    if let Some(need) = &told.verdict.need {
        let age = out.age(need.since);
        out.item(&format!("needs its person: {}, {age}, by {}", need.kind.as_str(), plain(need.source)));
    }
    if let Some(hidden) = told.verdict.hidden {
        out.item(&format!("never a row: {}", word(&hidden)));
    }
    if let Some(at) = told.verdict.recheck_at {
        let ms = at.since(told.now);
        out.item(&format!("judged again by itself in {}", span(ms)));
    }
}

fn witnesses(out: &mut Writer, told: &Told<'_>) {
    out.title("What each source says");
    let state = told.state;
    for transcript in state.mains.values() {
        transcript_line(out, transcript);
    }
    for process in state.processes.values() {
        process_line(out, process);
    }
    if let Some(lock) = &state.lock {
        let since = out.age(lock.since);
        let holder = match lock.holder {
            None => "nobody holds it",
            Some(0) => "held out of sight",
            Some(_) => "held",
        };
        let file = if lock.present { "there" } else { "gone" };
        out.item(&format!("lock: file {file}, {holder}, since {since}; was held: {}", lock.was_held));
    }
    let hooks = &state.hooks;
    if let Some(turn) = &hooks.turn {
        let age = out.age(turn.at);
        let says = match turn.word {
            TurnWord::Working => "works",
            TurnWord::Ended => "ended",
            TurnWord::Failed => "failed",
            TurnWord::Interrupted => "interrupted",
        };
        out.item(&format!("hooks: turn {says}, {age}, {} in the background", turn.background));
    }
    for ask in &hooks.asks {
        let age = out.age(ask.at);
        let tool = ask.tool.as_deref().map_or("not told".to_owned(), plain);
        let whose = if ask.subagent.is_some() { ", a subagent's" } else { "" };
        let by_itself = if ask.is_automatic { ", answered by its mode" } else { "" };
        out.item(&format!("hooks: asked, {age}: tool {tool}{whose}{by_itself}, form {}", ask.is_form));
    }
    for answer in &hooks.answers {
        let age = out.age(answer.at);
        out.item(&format!("hooks: a call was over, {age}: {}", plain(&answer.tool)));
    }
    let telemetry = &state.telemetry.told;
    for (source, what, at) in [
        ("hooks", "started", hooks.started_at),
        ("hooks", "prompt", hooks.prompted_at),
        ("hooks", "form answered", hooks.form_answered_at),
        ("hooks", "ended", hooks.ended_at),
        ("hooks", "latest activity", hooks.active_at),
        ("otlp", "prompt", telemetry.prompted_at),
        ("otlp", "model answered", telemetry.answered_at),
        ("otlp", "end of a turn", telemetry.stopped_at.max(telemetry.turns.last().map(|(_, end)| *end))),
        ("otlp", "request failed", telemetry.failed.as_ref().map(|f| f.at)),
        ("otlp", "tool refused", telemetry.refused_at),
        ("otlp", "ended", telemetry.ended_at),
        ("otlp", "latest activity", telemetry.active_at.max(state.telemetry.last_at)),
        ("services", "latest record", state.sdk.last_at),
        ("user", "closed", state.closed_at),
        ("user", "put away", state.archived_at),
        ("user", "resume failed", state.resume_failed.as_ref().map(|d| d.at)),
        ("terminal", "went on as another", state.superseded_by.as_ref().map(|d| d.at)),
    ] {
        if let Some(at) = at {
            let age = out.age(at);
            out.item(&format!("{source}: {what}, {age}"));
        }
    }
}

fn transcript_line(out: &mut Writer, t: &Transcript) {
    let since = out.age(t.turn.since);
    let last = t.last_at.map_or("none".to_owned(), |at| out.age(at));
    let first = t.first_at.map_or("none".to_owned(), |at| out.age(at));
    let failure = t.turn.failure.as_ref().map_or(String::new(), |f| format!(", failure {}", word(&f.class)));
    out.item(&format!(
        "transcript: turn {} {} since {since}{failure}; records from {first} to {last}; {} calls without a result; \
         {} in the background; prompted: {}, answered: {}",
        t.turn.number,
        t.turn.phase.as_str(),
        t.open_calls.len(),
        t.background.len(),
        t.prompted,
        t.responded,
    ));
    for call in &t.open_calls {
        let age = out.age(call.at);
        let asks = if call.ask.is_some() { ", asks" } else { "" };
        let rights = if call.escalated { ", for more rights" } else { "" };
        out.item(&format!("transcript: open call {}, {age}{asks}{rights}", plain(&call.name)));
    }
}

fn process_line(out: &mut Writer, p: &Process) {
    let validity = match p.validity {
        Validity::Valid => "found to match",
        Validity::Dead => "gone or another's",
        Validity::Foreign => "out of sight",
    };
    let status = match &p.entry.status {
        None => "starting".to_owned(),
        Some(RegistryStatus::Idle) => "idle".to_owned(),
        Some(RegistryStatus::Busy) => "busy".to_owned(),
        Some(RegistryStatus::Shell) => "shell".to_owned(),
        Some(RegistryStatus::Waiting(what)) => format!("waiting: {}", plain(what)),
        Some(RegistryStatus::Other(word)) => format!("other: {}", plain(word)),
    };
    let (since, read) = (out.age(p.status_since), out.age(p.observed_at));
    let mut line =
        format!("registry: {status} since {since}, read {read}; process {validity}; worked: {}", p.worked);
    for (what, at) in
        [("started", p.entry.started_at), ("file removed", p.removed_at), ("exited", p.exited_at)]
    {
        if let Some(at) = at {
            let age = out.age(at);
            line.push_str(&format!("; {what} {age}"));
        }
    }
    if p.moved_to.is_some() {
        line.push_str("; went on as another session");
    }
    out.item(&line);
}

fn cause_line(out: &mut Writer, cause: &Cause) {
    let since = out.age(cause.since);
    let mut line = format!("{}, {since}, by {}", cause.kind.as_str(), plain(&cause.source));
    for (what, at) in
        [("told", cause.notified_at), ("handled", cause.dismissed_at), ("cleared", cause.cleared_at)]
    {
        if let Some(at) = at {
            let age = out.age(at);
            line.push_str(&format!("; {what} {age}"));
        }
    }
    if let Some(by) = cause.cleared_by.map(ClearedBy::as_str) {
        line.push_str(&format!(" by {by}"));
    }
    if cause.is_put_off_until_change() {
        line.push_str("; put off until something changes");
    } else if let Some(until) = cause.snoozed_until {
        let age = out.age(until);
        line.push_str(&format!("; put off, {age}"));
    }
    out.item(&line);
}

fn sources(out: &mut Writer, sources: &[SourceView]) {
    out.title("Sources");
    for source in sources {
        let last = source.last_fact_at_ms.map_or("none".to_owned(), |at| out.age(Timestamp(at)));
        let mut line = format!(
            "{}: {}, {} files, {} bytes, {} skipped; last fact {last}",
            plain(&source.name),
            word(&source.state),
            source.files,
            source.bytes,
            source.skipped
        );
        for issue in &source.issues {
            let age = out.age(Timestamp(issue.last_at_ms));
            // Written by our own type, but stored in between.
            let is_ours =
                issue.kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
            let kind = if is_ours && issue.kind.len() <= 24 { issue.kind.as_str() } else { "…" };
            line.push_str(&format!("; {kind} × {}, {age}", issue.count));
        }
        out.item(&line);
    }
    out.none(sources.is_empty());
}

/// The version of the client that wrote the latest transcript, or runs it, where it is a plain one.
fn client(state: &SessionState) -> String {
    let registry =
        state.processes.values().max_by_key(|p| p.observed_at).and_then(|p| p.entry.version.as_deref());
    let version = state.transcript().and_then(|t| t.version.as_deref()).or(registry);
    match version {
        None => "of a version not known".to_owned(),
        Some(v) if v.len() <= 16 && v.bytes().all(|b| b.is_ascii_digit() || b == b'.') => v.to_owned(),
        Some(_) => "of an unusual version".to_owned(),
    }
}

/// A text, word by word: one that is not of [`VOCABULARY`] becomes `…`.
fn plain(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        let bare = part.trim_matches(|c: char| c.is_ascii_punctuation() && c != '_');
        let is_known =
            !bare.is_empty() && VOCABULARY.split_whitespace().any(|known| known.eq_ignore_ascii_case(bare));
        if is_known {
            out.push(part.chars().filter(|c| c.is_ascii_alphanumeric() || "-_,;:".contains(*c)).collect());
        } else if out.last().is_none_or(|last| last != "…") {
            out.push("…".to_owned());
        }
    }
    out.join(" ")
}

/// The word of one of our types, as it is on the wire.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn known(is_known: bool) -> &'static str {
    if is_known { "known" } else { "not known" }
}

/// `8 s`, `12 min`, `3 h`, `2 d`.
fn span(ms: i64) -> String {
    match ms {
        i64::MIN..10_000 => format!("{ms} ms"),
        10_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// Markdown as it is written.
struct Writer {
    out: String,
    now: Timestamp,
}

impl Writer {
    fn title(&mut self, title: &str) {
        self.out.push_str(&format!("\n## {title}\n\n"));
    }

    fn item(&mut self, line: &str) {
        self.out.push_str(&format!("* {line}\n"));
    }

    fn none(&mut self, is_empty: bool) {
        if is_empty {
            self.item("none");
        }
    }

    fn age(&self, at: Timestamp) -> String {
        let ms = self.now.0.saturating_sub(at.0);
        if ms < 0 { format!("{} ahead", span(ms.saturating_neg())) } else { format!("{} ago", span(ms)) }
    }

    fn since(&self, at_ms: Option<i64>) -> String {
        at_ms.map_or_else(String::new, |at| format!(", {}", self.age(Timestamp(at))))
    }
}

#[cfg(test)]
mod tests;
