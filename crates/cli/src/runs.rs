//! `lamp runs`: sessions that one harness started, and what they came to.

use lamplight_api::commands::{RunParams, RunsParams, run as one_run, runs};
use lamplight_engine::clock;
use lamplight_engine::config::Config;
use lamplight_model::view::{RunDetail, RunMember, RunPage, RunSummary};
use serde_json::json;

use crate::args::RunsArgs;
use crate::page::{Colour, Look, Page};
use crate::plain::{cut, pad, plain, width};
use crate::words::{all_tokens, cost, counted, short, span, state};
use crate::{output, reach};

/// Widest column of names.
const NAME_COLUMNS: usize = 40;
/// Deepest member that is indented as deep as it is.
const MOST_INDENT: u32 = 12;

pub(crate) fn run(config: &Config, args: &RunsArgs) -> anyhow::Result<()> {
    let look = Look::of_stdout();
    match &args.id {
        Some(id) => {
            let run: RunDetail = reach::ask(config, "run", &json!({ "id": id }), |config| {
                reach::once(config, |engine| one_run(engine, RunParams { id: id.clone() }))
            })?;
            if args.json {
                return output::print_json(&run);
            }
            output::print(&detail_text(&run, clock::now().0, look))
        }
        None => {
            let params = json!({ "limit": args.limit });
            let page: RunPage = reach::ask(config, "runs", &params, |config| {
                reach::once(config, |engine| {
                    runs(engine, RunsParams { before: None, limit: Some(args.limit) })
                })
            })?;
            if args.json {
                return output::print_json(&page);
            }
            output::print(&list_text(&page, clock::now().0, look))
        }
    }
}

/// Writes the index of runs for a person.
pub(crate) fn list_text(runs: &RunPage, now_ms: i64, look: Look) -> String {
    let mut page = Page::new(look, now_ms);
    if runs.runs.is_empty() {
        page.line("No session has declared a run.", Colour::Bold);
        page.line(
            "A harness declares one by setting OTEL_RESOURCE_ATTRIBUTES=lamplight.run_id=NAME for the agents it starts.",
            Colour::Dim,
        );
        return page.out;
    }
    page.line(&counted(runs.total, "run"), Colour::Bold);
    page.out.push('\n');
    let names: Vec<String> = runs.runs.iter().map(|run| cut(&plain(&run.run_id), NAME_COLUMNS)).collect();
    let columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    for (run, name) in runs.runs.iter().zip(&names) {
        let mut facts = states(run);
        facts.extend(figures(run));
        facts.extend(run.last_activity_at_ms.map(|at| format!("{} ago", span(now_ms.saturating_sub(at)))));
        let colour = if run.needs_you > 0 { Colour::Turn } else { Colour::None };
        page.line(&format!("  {}  {}", pad(name, columns), facts.join(" · ")), colour);
    }
    let more = runs.total.saturating_sub(u64::try_from(runs.runs.len()).unwrap_or(u64::MAX));
    if more > 0 {
        page.out.push('\n');
        page.line(&format!("{more} more; see them with --limit"), Colour::Dim);
    }
    page.out
}

/// Writes one run for a person: its sums, then its members, each below its parent.
pub(crate) fn detail_text(detail: &RunDetail, now_ms: i64, look: Look) -> String {
    let mut page = Page::new(look, now_ms);
    let run = &detail.run;
    page.line(&format!("{}: {}", plain(&run.run_id), states(run).join(", ")), Colour::Bold);
    let mut facts: Vec<String> = run.project.iter().map(|project| plain(project)).collect();
    if let (Some(from), Some(to)) = (run.started_at_ms, run.last_activity_at_ms) {
        facts.push(format!("over {}", span(to.saturating_sub(from))));
        facts.push(format!("last active {} ago", span(now_ms.saturating_sub(to))));
    }
    facts.extend(figures(run));
    facts.push(counted(u64::from(run.tool_calls), "tool call"));
    page.line(&facts.join(" · "), Colour::Dim);
    page.out.push('\n');
    let name = |member: &RunMember| {
        let indent = usize::try_from(member.depth.min(MOST_INDENT)).unwrap_or(0) * 2;
        format!("{}{}", " ".repeat(indent), cut(&plain(&member.card.label), NAME_COLUMNS))
    };
    let names: Vec<String> = detail.members.iter().map(name).collect();
    let columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    for (member, name) in detail.members.iter().zip(&names) {
        let card = &member.card;
        let said = state(card);
        let words =
            said.detail.map_or_else(|| said.words.clone(), |detail| format!("{}: {detail}", said.words));
        let colour = if card.attention.is_some() { Colour::Turn } else { Colour::None };
        page.line(&format!("  {}  {words}", pad(name, columns)), colour);
        let mut facts: Vec<String> = card.model.iter().map(|model| plain(model)).collect();
        if let Some(tokens) = &card.tokens {
            facts.push(format!("{} tok", short(all_tokens(tokens))));
            facts.push(cost(card.cost_usd, card.cost_source));
        }
        facts.push(format!("{}:{}", plain(&card.agent), plain(&card.session_id)));
        page.line(&format!("  {}  {}", " ".repeat(columns), facts.join(" · ")), Colour::Dim);
    }
    page.out
}

/// How many members there are and how they fare.
fn states(run: &RunSummary) -> Vec<String> {
    let mut states = vec![counted(u64::from(run.members), "member")];
    for (n, words) in [
        (run.running, "at work"),
        (run.needs_you, if run.needs_you == 1 { "needs you" } else { "need you" }),
        (run.failed, "failed"),
    ] {
        if n > 0 {
            states.push(format!("{n} {words}"));
        }
    }
    states
}

/// Tokens and money, with what is not known of it.
fn figures(run: &RunSummary) -> Vec<String> {
    let Some(tokens) = &run.tokens else { return Vec::new() };
    let mut money = cost(run.cost_usd, run.cost_source);
    if run.unpriced > 0 && run.cost_usd.is_some() {
        money.push_str(&format!(", cost of {} not known", counted(u64::from(run.unpriced), "member")));
    }
    vec![format!("{} tok", short(all_tokens(tokens))), money]
}

#[cfg(test)]
mod tests;
