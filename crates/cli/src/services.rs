//! `lamp services`: programs that send telemetry, and how they fare.

use lamplight_engine::config::Config;
use lamplight_engine::run_once;
use lamplight_model::view::{Service, ServiceMeasure, ServiceState, Status};
use serde_json::json;

use crate::args::ServicesArgs;
use crate::page::{Colour, Look, Page};
use crate::plain::{cut, pad, plain, width};
use crate::words::{all_tokens, cost, count, counted, duration, money, short, span};
use crate::{NothingMatches, output, reach};

/// Widest column of names.
const NAME_COLUMNS: usize = 36;
/// Minutes that one block of a sparkline stands for.
const MINUTES_A_BLOCK: usize = 2;

pub(crate) fn run(config: &Config, args: &ServicesArgs) -> anyhow::Result<()> {
    let status: Status = reach::ask(config, "status", &json!({}), |config| {
        let (_, status) = run_once(config, |_| {})?;
        Ok(status)
    })?;
    let mut services = status.services;
    if let Some(name) = &args.name {
        services.retain(|service| service.name == *name);
        if services.is_empty() {
            return Err(NothingMatches(format!("no service called {name:?} has sent anything")).into());
        }
    }
    // What may be an outage first; then what is there; the one heard of last first.
    let rank = |state: ServiceState| match state {
        ServiceState::Quiet => 0,
        ServiceState::Live => 1,
        ServiceState::Dormant => 2,
    };
    services.sort_by_key(|s| (rank(s.state), std::cmp::Reverse(s.last_seen_ms)));
    if args.json {
        return output::print_json(&services);
    }
    output::print(&text(&services, args.name.is_some(), status.at_ms, Look::of_stdout()))
}

/// Writes services for a person; `in_full` with all that is known of each.
pub(crate) fn text(services: &[Service], in_full: bool, now_ms: i64, look: Look) -> String {
    let mut page = Page::new(look, now_ms);
    page.line(&headline(services), Colour::Bold);
    if services.is_empty() {
        page.line(
            "Point a program's OpenTelemetry exporter at http://127.0.0.1:4318 and it appears here.",
            Colour::Dim,
        );
        return page.out;
    }
    page.out.push('\n');
    let names: Vec<String> = services.iter().map(|s| cut(&name(s), NAME_COLUMNS)).collect();
    let columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let states: Vec<String> = services.iter().map(|s| state_words(s, now_ms)).collect();
    let state_columns = states.iter().map(|state| width(state)).max().unwrap_or(0);
    for ((service, name), state) in services.iter().zip(&names).zip(&states) {
        let colour = match service.state {
            ServiceState::Live => Colour::None,
            ServiceState::Quiet => Colour::Turn,
            ServiceState::Dormant => Colour::Dim,
        };
        let mut line = format!("  {}  {}", pad(name, columns), pad(state, state_columns));
        // Nothing happened in the hour that the figures speak of up to now.
        if service.state != ServiceState::Dormant {
            let series = &service.series;
            line.push_str(&format!("  {}  {}", sparkline(&series.calls), figures(service).join("  ")));
        }
        page.line(line.trim_end(), colour);
        if in_full {
            in_detail(&mut page, service);
        }
    }
    page.out
}

fn headline(services: &[Service]) -> String {
    let of = |state| services.iter().filter(|s| s.state == state).count();
    let words = |n: usize, what: &str| {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        format!("{} {what}", counted(n, "service"))
    };
    match (of(ServiceState::Quiet), of(ServiceState::Live)) {
        (0, 0) if services.is_empty() => "No service has sent anything.".to_owned(),
        (0, 0) => "No service is live".to_owned(),
        (0, live) => words(live, "live"),
        (quiet, 0) => words(quiet, "went quiet"),
        (quiet, live) => format!("{}, {live} live", words(quiet, "went quiet")),
    }
}

fn name(service: &Service) -> String {
    match &service.namespace {
        Some(namespace) => format!("{} · {}", plain(&service.name), plain(namespace)),
        None => plain(&service.name),
    }
}

fn state_words(service: &Service, now_ms: i64) -> String {
    let word = match service.state {
        ServiceState::Live => "Live",
        ServiceState::Quiet => "Went quiet",
        ServiceState::Dormant => "Dormant",
    };
    format!("{word}, seen {} ago", span(now_ms.saturating_sub(service.last_seen_ms)))
}

fn figures(service: &Service) -> Vec<String> {
    let mut figures = vec![format!("{:.1}/min", service.requests_per_minute)];
    figures.extend(service.error_rate.map(|rate| format!("{} errors", percent(rate))));
    if let (Some(p50), Some(p95)) = (service.p50_ms, service.p95_ms) {
        figures.push(format!("p50 {}, p95 {}", duration(p50), duration(p95)));
    }
    if service.measures == ServiceMeasure::ModelCalls {
        figures.push(format!("{} today", money(service.cost_today_usd)));
    }
    figures
}

fn in_detail(page: &mut Page, service: &Service) {
    let what = match service.measures {
        ServiceMeasure::ModelCalls => "model call",
        ServiceMeasure::Requests => "request",
        ServiceMeasure::Logs => "log record",
    };
    let mut facts = vec![format!("{} in its last hour", counted(service.calls, what))];
    if service.errors > 0 {
        facts.push(format!("{} failed", count(service.errors)));
    }
    if service.measures == ServiceMeasure::ModelCalls {
        facts.push(format!("{} tok", short(all_tokens(&service.tokens))));
        facts.push(cost(service.cost_usd, service.cost_source));
    }
    facts.push(format!("first seen {} ago", span(page.now_ms.saturating_sub(service.first_seen_ms))));
    page.line(&format!("    {}", facts.join(" · ")), Colour::Dim);
    if !service.models.is_empty() {
        let models: Vec<String> = service.models.iter().map(|model| plain(model)).collect();
        page.line(&format!("    {}", models.join(", ")), Colour::Dim);
    }
}

/// The last hour in blocks of two minutes, against its own highest; a quiet block is the lowest line, so that something
/// is always more than nothing.
fn sparkline(minutes: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let sums: Vec<u64> = minutes.chunks(MINUTES_A_BLOCK).map(|minutes| minutes.iter().sum()).collect();
    let highest = sums.iter().copied().max().unwrap_or(0).max(1);
    let block = |n: u64| match n {
        0 => BLOCKS[0],
        n => {
            let step = usize::try_from(u128::from(n) * 7 / u128::from(highest)).unwrap_or(7);
            BLOCKS.get(step.max(1)).copied().unwrap_or('█')
        }
    };
    sums.into_iter().map(block).collect()
}

/// A share of 1 as `71 %`, below one hundredth `<1 %`.
fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 1.0 => "<1 %".to_owned(),
        p => format!("{:.0} %", p.floor()),
    }
}

#[cfg(test)]
mod tests;
