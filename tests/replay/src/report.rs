//! How much of the labelled time was right, how late changes were, and which notifications were missed or false, by what
//! a machine has of each agent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lamplight_engine::core::Told;
use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::notice::NoticeOutcome;
use lamplight_model::session::TurnState;

use crate::hold::{LAG_MS, hold_within, is_run, seconds, tiers};
use crate::labels::Label;
use crate::play::{History, play, play_until};
use crate::scenario::{Fact, Scenario};
use crate::table::percentile;

/// Every grace of a notification of tier 1 or 2 is over after this.
const GRACE_MS: i64 = 13_000;

/// What a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sources {
    /// Transcripts, registries, locks, processes.
    Files,
    /// And hooks.
    FilesHooks,
    /// And telemetry, without hooks.
    FilesTelemetry,
    /// All of it.
    All,
    /// Transcripts, and nothing that tells of processes.
    Transcripts,
    /// Hooks and nothing else.
    Hooks,
    /// Telemetry and nothing else.
    Telemetry,
}

impl Sources {
    /// Each of them.
    pub const EACH: [Self; 7] = [
        Self::Files,
        Self::FilesHooks,
        Self::FilesTelemetry,
        Self::All,
        Self::Transcripts,
        Self::Hooks,
        Self::Telemetry,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::FilesHooks => "files, hooks",
            Self::FilesTelemetry => "files, otlp",
            Self::All => "files, hooks, otlp",
            Self::Transcripts => "transcripts alone",
            Self::Hooks => "hooks alone",
            Self::Telemetry => "otlp alone",
        }
    }

    /// The scenario as such a machine sees it; `None` where it was recorded without one of them.
    #[must_use]
    pub fn of(self, mut scenario: Scenario) -> Option<Scenario> {
        let (files, hooks, telemetry) =
            (!scenario.moments.is_empty(), !scenario.hooks.is_empty(), !scenario.telemetry.is_empty());
        let is_there = match self {
            Self::Files | Self::Transcripts => files,
            Self::FilesHooks => files && hooks,
            Self::FilesTelemetry => files && telemetry,
            Self::All => hooks && telemetry,
            Self::Hooks => hooks,
            Self::Telemetry => telemetry,
        };
        is_there.then(|| match self {
            Self::Files => scenario,
            Self::FilesHooks => scenario.with_hooks(),
            Self::FilesTelemetry => scenario.with_telemetry(),
            Self::All => scenario.with_hooks().with_telemetry(),
            Self::Transcripts => {
                scenario.moments.retain(|m| {
                    !matches!(
                        m.fact,
                        Fact::Registry { .. }
                            | Fact::RegistryRemoved(_)
                            | Fact::Exited(_)
                            | Fact::Lock { .. }
                    )
                });
                scenario
            }
            Self::Hooks => scenario.from_afar().with_hooks(),
            Self::Telemetry => scenario.from_afar().with_telemetry(),
        })
    }

    /// How far such a source may lag: telemetry leaves an agent only every so often.
    fn lag_ms(self) -> i64 {
        if self == Self::Telemetry { 2_500 } else { LAG_MS }
    }
}

/// One line of the report, as sums.
#[derive(Debug, Clone, Default)]
struct Sum {
    right_ms: i64,
    all_ms: i64,
    longest_wrong_ms: i64,
    delays: Vec<i64>,
    /// Needs that a person who looks at nothing must be told of, and those that were told.
    needs: (u32, u32),
    /// Intervals in which nothing may be told, and those in which something was.
    rests: (u32, u32),
}

/// How one scenario came out.
#[derive(Debug)]
pub struct Tally {
    /// Whose.
    pub agent: Agent,
    /// By what.
    pub sources: Sources,
    sums: BTreeMap<(usize, &'static str), Sum>,
    /// Notifications that were missed, false, or came twice, by name.
    pub wrong_notices: Vec<String>,
}

fn word(states: &[TurnState]) -> (usize, &'static str) {
    match states {
        [state] => (*state as usize, state.as_str()),
        _ => (usize::MAX, "one of several"),
    }
}

/// Plays a scenario, and once more for every labelled interval as if all had been quiet from its end on, so that
/// whatever must be told then has the time to be.
///
/// # Errors
/// As [`play`].
pub fn tally(sources: Sources, scenario: &Scenario) -> anyhow::Result<Tally> {
    let history = play(scenario)?;
    let mut tally =
        Tally { agent: scenario.agent, sources, sums: BTreeMap::new(), wrong_notices: Vec::new() };
    for delay in hold_within(sources.lag_ms(), scenario, &history).delays {
        let states: Vec<TurnState> = delay.state.into_iter().collect();
        tally.sums.entry(word(&states)).or_default().delays.push(delay.ms);
    }
    let twice = tells(&history).filter(|told| tells(&history).filter(|t| t.cause == told.cause).count() > 1);
    let name = |what: &str| format!("{}/{} {what}", scenario.agent, scenario.name);
    tally.wrong_notices.extend(twice.map(|told| name(&format!("{} told twice", told.session.id))));
    for label in &scenario.labels.labels {
        let sum = tally.sums.entry(word(&label.states)).or_default();
        weigh(label, &history, sum);
        if label.until_ms - label.by_ms <= sources.lag_ms() {
            continue;
        }
        // What ends the interval is no part of it.
        let last = if label.until_ms >= scenario.labels.end_ms { LAG_MS } else { -1 };
        let quiet = play_until(scenario, label.until_ms + last, label.until_ms + last + GRACE_MS)?;
        let is_run = is_run(scenario, &label.name);
        let may = |tier: &u8| label.states.iter().any(|s| tiers(*s, is_run).contains(tier));
        // What the person did at that terminal is shown and never told.
        let must = !may(&0) && !label.states.contains(&TurnState::Interrupted);
        let since_ms = label.at_ms + sources.lag_ms();
        let of_label = |told: &&Told| told.session.id == label.session;
        let told: Vec<u8> = tells(&quiet)
            .filter(of_label)
            .filter(|told| stands(&quiet, told, scenario.instant(label.at_ms)))
            .map(|told| u8::from(told.kind.tier()))
            .collect();
        let is_false = tells(&quiet)
            .filter(of_label)
            .filter(|told| told.at.0 - scenario.zero.0 > since_ms)
            .any(|told| !may(&u8::from(told.kind.tier())));
        let states: Vec<&str> = label.states.iter().map(|s| s.as_str()).collect();
        let place = format!("{}@{} {}", label.name, seconds(label.at_ms), states.join("|"));
        if must {
            sum.needs.0 += 1;
            if told.iter().any(may) {
                sum.needs.1 += 1;
            } else {
                tally.wrong_notices.push(name(&format!("{place}: missed")));
            }
        } else {
            sum.rests.0 += 1;
        }
        if is_false {
            sum.rests.1 += 1;
            tally.wrong_notices.push(name(&format!("{place}: false")));
        }
    }
    Ok(tally)
}

/// Whether a notification is on the screen at a moment, or comes later: one need may have several labels.
fn stands(history: &History, told: &Told, at: Timestamp) -> bool {
    let mut later = history.told.iter().filter(|t| t.number > told.number && t.cause == told.cause);
    told.at >= at || !later.any(|t| t.outcome == NoticeOutcome::Withdrawn && t.at <= at)
}

fn tells(history: &History) -> impl Iterator<Item = &Told> {
    history.told.iter().filter(|t| matches!(t.outcome, NoticeOutcome::Told | NoticeOutcome::Grouped))
}

/// Adds up how long what was said fitted a label, from when it certainly held until when it did.
fn weigh(label: &Label, history: &History, sum: &mut Sum) {
    let fits = |at_ms| {
        let said = history.at(&label.session, at_ms).map_or(TurnState::Unknown, |c| c.state);
        label.states.contains(&said)
    };
    let inside = history.of(&label.session).iter().map(|c| c.at_ms);
    let mut edges: Vec<i64> = inside.filter(|at| *at > label.by_ms && *at < label.until_ms).collect();
    edges.insert(0, label.by_ms);
    edges.push(label.until_ms.max(label.by_ms));
    let mut wrong_ms = 0;
    for pair in edges.windows(2) {
        let &[from, to] = pair else { continue };
        sum.all_ms += to - from;
        if fits(from) {
            sum.right_ms += to - from;
            wrong_ms = 0;
        } else {
            wrong_ms += to - from;
            sum.longest_wrong_ms = sum.longest_wrong_ms.max(wrong_ms);
        }
    }
}

/// Writes the report.
#[must_use]
pub fn report(tallies: &[Tally]) -> String {
    let mut lines: BTreeMap<(Agent, Sources, (usize, &str)), Sum> = BTreeMap::new();
    for tally in tallies {
        for (word, sum) in &tally.sums {
            let line = lines.entry((tally.agent, tally.sources, *word)).or_default();
            line.right_ms += sum.right_ms;
            line.all_ms += sum.all_ms;
            line.longest_wrong_ms = line.longest_wrong_ms.max(sum.longest_wrong_ms);
            line.delays.extend(&sum.delays);
            line.needs = (line.needs.0 + sum.needs.0, line.needs.1 + sum.needs.1);
            line.rests = (line.rests.0 + sum.rests.0, line.rests.1 + sum.rests.1);
        }
    }
    let mut text = String::new();
    let mut write = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let mut former = None;
    for ((agent, sources, (_, state)), sum) in &mut lines {
        if former.replace((*agent, *sources)) != Some((*agent, *sources)) {
            write(String::new());
            write(format!("{} by {}", agent.as_str(), sources.words()));
            write(format!(
                "  {:<20} {:>9} {:>10} {:>8} {:>8} {:>8} {:>9} {:>9}",
                "state", "seconds", "time right", "longest", "p50 ms", "p95 ms", "told", "false"
            ));
        }
        sum.delays.sort_unstable();
        let [p50, p95] = [50, 95]
            .map(|share| percentile(&sum.delays, share).map_or_else(|| "-".to_owned(), |ms| ms.to_string()));
        let share = sum.right_ms * 1000 / sum.all_ms.max(1);
        let told = format!("{}/{}", sum.needs.1, sum.needs.0);
        let told = if sum.needs.0 == 0 { "-".to_owned() } else { told };
        write(format!(
            "  {state:<20} {:>9} {:>9}% {:>8} {p50:>8} {p95:>8} {told:>9} {:>9}",
            format!("{}.{}", sum.all_ms / 1000, sum.all_ms % 1000 / 100),
            format!("{}.{}", share / 10, share % 10),
            sum.longest_wrong_ms,
            format!("{}/{}", sum.rests.1, sum.rests.0 + sum.needs.0),
        ));
    }
    for sources in Sources::EACH {
        let of = tallies.iter().filter(|t| t.sources == sources);
        let mut wrong: Vec<&str> = of.flat_map(|t| &t.wrong_notices).map(String::as_str).collect();
        wrong.sort_unstable();
        write(String::new());
        write(format!("wrong notifications by {}: {}", sources.words(), wrong.len()));
        for name in wrong {
            write(format!("  {name}"));
        }
    }
    text
}
