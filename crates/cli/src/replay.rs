//! `lamp replay`: a recorded scenario through the pipeline on a virtual clock, into a database in memory. It reads the
//! folder it is given and nothing else: no settings, no running engine, no data folder.

use lamplight_engine::core::Told;
use lamplight_model::ids::SessionId;
use lamplight_replay::{Change, History, Scenario, play};
use serde_json::{Value, json};

use crate::args::{Recorded, ReplayArgs};
use crate::plain::{pad, plain};
use crate::{NothingMatches, notices, output};

/// Columns of a state; the longest is `awaiting_permission`.
const STATE_COLUMNS: usize = 20;

/// Something of the timeline.
enum Row<'a> {
    Said(&'a SessionId, &'a Change),
    Told(&'a Told),
}

pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let mut scenario = Scenario::open(&args.dir)?;
    if args.without.contains(&Recorded::Files) {
        scenario = scenario.from_afar();
    }
    if !args.without.contains(&Recorded::Hooks) {
        scenario = scenario.with_hooks();
    }
    if !args.without.contains(&Recorded::Telemetry) {
        scenario = scenario.with_telemetry();
    }
    let history = play(&scenario)?;
    if history.changes.is_empty() {
        return Err(NothingMatches(format!("nothing in {} tells of a session", args.dir.display())).into());
    }
    let text = match args.json {
        true => rows(&scenario, &history)
            .iter()
            .map(|(at_ms, row)| format!("{}\n", object(*at_ms, row)))
            .collect(),
        false => text(&scenario, &history),
    };
    output::print(&text)
}

/// Everything that was said and told, in order of time.
fn rows<'a>(scenario: &Scenario, history: &'a History) -> Vec<(i64, Row<'a>)> {
    let mut rows: Vec<(i64, Row<'a>)> = Vec::new();
    for (session, changes) in &history.changes {
        rows.extend(changes.iter().map(|change| (change.at_ms, Row::Said(session, change))));
    }
    rows.extend(history.told.iter().map(|told| (told.at.0 - scenario.zero.0, Row::Told(told))));
    rows.sort_by_key(|(at_ms, _)| *at_ms);
    rows
}

/// A row as JSON.
fn object(at_ms: i64, row: &Row<'_>) -> Value {
    match row {
        Row::Said(session, change) => json!({
            "type": "state",
            "at_ms": at_ms,
            "session_id": session,
            "turn_state": change.state,
            "cause": change.need,
            "waiting_for": change.waits,
            "tool": change.tool,
            "detail": change.detail,
            "evidence": change.facts,
        }),
        Row::Told(told) => json!({
            "type": "notice",
            "at_ms": at_ms,
            "session_id": told.session.id,
            "cause_id": told.cause.to_string(),
            "cause": told.kind,
            "outcome": told.outcome,
            "why": told.why,
        }),
    }
}

/// The timeline of each session, for a person.
fn text(scenario: &Scenario, history: &History) -> String {
    let mut lines = vec![format!("{} {}", scenario.agent, plain(&scenario.name))];
    let all = rows(scenario, history);
    for session in history.changes.keys() {
        lines.push(String::new());
        lines.push(format!("session {session}"));
        for (at_ms, row) in &all {
            match row {
                Row::Said(id, change) if *id == session => say(&mut lines, *at_ms, change),
                Row::Told(told) if told.session.id == *session => lines.push(format!(
                    "{}  * {}: {}",
                    offset(*at_ms),
                    notices::cause(told.kind),
                    notices::became(told.outcome, told.why)
                )),
                Row::Said(..) | Row::Told(_) => {}
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn say(lines: &mut Vec<String>, at_ms: i64, change: &Change) {
    let cause = change.need.map_or(String::new(), |kind| format!("needs you: {}", notices::cause(kind)));
    let tool = change.tool.as_deref().map_or(String::new(), |tool| format!(" ({})", plain(tool)));
    let state = pad(change.state.as_str(), STATE_COLUMNS);
    lines.push(format!("{}  {state}  {cause}{tool}", offset(at_ms)).trim_end().to_owned());
    for fact in &change.facts {
        let overruled = if fact.overruled { "  (overruled)" } else { "" };
        let source = pad(&plain(&fact.source), 10);
        lines.push(format!("{:>12}- {source}  {}{overruled}", "", plain(&fact.fact)));
    }
}

/// Seconds since the start of the recording.
fn offset(at_ms: i64) -> String {
    let sign = if at_ms < 0 { "-" } else { "" };
    let at_ms = at_ms.unsigned_abs();
    format!("{:>10}", format!("{sign}{}.{:03}", at_ms / 1000, at_ms % 1000))
}
