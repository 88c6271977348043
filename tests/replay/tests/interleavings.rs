//! All sources at once, late, doubled, with restarts in between: after quiet the state is the one
//! that the same facts give when each is seen at once and in order, which the labels check.
//!
//! Within a source the order stays: a transcript grows at its end, a process has one registry file. Between sources any
//! order is possible.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

#[path = "../../cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lamplight_model::ids::Agent;
use lamplight_replay::{ClockSet, Fact, Moment, Player, Scenario};
use proptest::prelude::*;

/// Longest time a source comes late in this test; what is measured is shorter.
const LATE_MS: i64 = 1_900;
/// Everything has settled after this: the longest time a rule waits for other sources, and the latest fact.
const QUIET_MS: i64 = 20_000;

/// Every recorded scenario, with everything that was recorded of it.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let agents = [Agent::ClaudeCode, Agent::Codex, Agent::Gemini, Agent::OpenCode];
    let all = agents.into_iter().flat_map(|agent| {
        let names = Scenario::names(agent).unwrap();
        names.into_iter().map(move |name| Scenario::load(agent, &name).unwrap())
    });
    all.map(|scenario| scenario.with_hooks().with_telemetry()).collect()
});

/// What happens to the facts on their way.
#[derive(Debug, Clone)]
struct Way {
    /// So many thousandths of the scenario have happened.
    happened: i64,
    /// How late each source is, in thousandths of [`LATE_MS`], by its number.
    late: Vec<i64>,
    /// Facts that come twice, by their number among all, in thousandths.
    twice: Vec<usize>,
    /// Restarts, in thousandths of what has happened.
    restarts: Vec<i64>,
}

fn ways() -> impl Strategy<Value = (usize, Way)> {
    let happened = prop_oneof![1 => Just(1000i64), 3 => 50..1000i64];
    (
        0..SCENARIOS.len(),
        happened,
        prop::collection::vec(0..=1000i64, 8),
        prop::collection::vec(0..1000usize, 0..6),
        prop::collection::vec(0..1000i64, 0..3),
    )
        .prop_map(|(number, happened, late, twice, restarts)| {
            (number, Way { happened, late, twice, restarts })
        })
}

/// The source a fact comes by: what one source says stays in order.
fn source(fact: &Fact) -> String {
    match fact {
        Fact::Lines { file, .. } | Fact::Moved { file, .. } => format!("file {file}"),
        Fact::FileGone(_) => "file gone".to_owned(),
        Fact::Meta { session, subagent, .. } => format!("meta {session} {subagent}"),
        // The kernel tells of the end of a process and of its files at once.
        Fact::Registry { .. } | Fact::RegistryRemoved(_) | Fact::Exited(_) => "registry".to_owned(),
        Fact::Lock { .. } => "locks".to_owned(),
        Fact::Hook(_) => "hooks".to_owned(),
        Fact::Telemetry { .. } => "telemetry".to_owned(),
        Fact::Title(_) => "titles".to_owned(),
    }
}

/// What is said of each session.
fn outcome(player: &mut Player<'_>, scenario: &Scenario, end_ms: i64) -> BTreeMap<String, String> {
    let end = scenario.instant(end_ms);
    player.core.apply_all(Vec::new(), end).unwrap();
    // A thread that is never shown is not judged again as time passes.
    let shown = player.core.verdicts().into_iter().filter(|(_, v)| v.hidden.is_none());
    let said = shown.map(|(key, v)| {
        let need = v.need.as_ref().map(|need| need.kind);
        let waits = v.waiting_for.as_ref().map(|w| (w.kind, w.tool.clone()));
        (key.to_string(), format!("{:?} {:?} {need:?} {waits:?}", v.turn_state, v.liveness.state))
    });
    said.collect()
}

fn in_order(scenario: &Scenario, way: &Way) -> BTreeMap<String, String> {
    let last_ms = scenario.labels.end_ms * way.happened / 1000;
    let mut player = Player::new(scenario).unwrap();
    for moment in scenario.moments.iter().filter(|m| m.at_ms <= last_ms) {
        player.see(moment.at_ms, [&moment.fact]).unwrap();
    }
    outcome(&mut player, scenario, last_ms + QUIET_MS)
}

fn on_its_way(scenario: &Scenario, way: &Way) -> BTreeMap<String, String> {
    let last_ms = scenario.labels.end_ms * way.happened / 1000;
    let happened: Vec<&Moment> = scenario.moments.iter().filter(|m| m.at_ms <= last_ms).collect();
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen: Vec<(i64, &Fact)> = Vec::new();
    for (number, moment) in happened.iter().enumerate() {
        let count = sources.len();
        let source = *sources.entry(source(&moment.fact)).or_insert(count);
        let at_ms = moment.at_ms + LATE_MS * way.late[source % way.late.len()] / 1000;
        seen.push((at_ms, &moment.fact));
        let is_twice = way.twice.iter().any(|t| t * happened.len() / 1000 == number);
        // A hook's file is read again after a crash; of what has another state since, the old one does not come back.
        if is_twice && matches!(moment.fact, Fact::Hook(_) | Fact::Telemetry { .. } | Fact::Lines { .. }) {
            seen.push((at_ms + 900, &moment.fact));
        }
    }
    seen.sort_by_key(|(at_ms, _)| *at_ms);
    let moment_of = |thousandths: i64| last_ms * thousandths / 1000;
    let mut restarts: Vec<i64> = way.restarts.iter().map(|t| moment_of(*t)).collect();
    restarts.sort_unstable();
    let mut player = Player::new(scenario).unwrap();
    for (at_ms, fact) in seen {
        while restarts.first().is_some_and(|restart| *restart <= at_ms) {
            let restart = restarts.remove(0);
            player = player.restart(restart).unwrap();
        }
        player.see(at_ms, [fact]).unwrap();
    }
    // After a clock was set back its hands pass the same moments once more.
    let again_ms = scenario.clock_set.map_or(0, |set| (-set.by_ms).max(0));
    outcome(&mut player, scenario, last_ms + QUIET_MS + again_ms)
}

/// When the clock is set, in thousandths, and by how much: ahead by less than the half hour after which an agent without a
/// process is said to be silent, back by up to a second, as services that keep the time do.
///
/// Set back further, what hooks, telemetry and a transcript without a process say of each other is out of order until the
/// clock has passed the old time again: they have no other order than their dates.
fn sets() -> impl Strategy<Value = (i64, i64)> {
    let ahead = prop_oneof![1_000..60_000i64, 60_000..1_500_000i64];
    (0..1000i64, prop_oneof![ahead, -1_000..0i64])
}

proptest! {
    #![proptest_config(cases::config(160))]

    #[test]
    fn after_quiet_the_state_is_that_of_the_last_facts((number, way) in ways()) {
        let scenario = &SCENARIOS[number];
        let (mut wanted, found) = (in_order(scenario, &way), on_its_way(scenario, &way));
        // What is over and calls nobody need not be in memory after a restart.
        wanted.retain(|key, said| found.contains_key(key) || said.contains("Some(") || said.contains("Alive"));
        prop_assert_eq!(wanted, found, "{}/{}", scenario.agent.as_str(), scenario.name);
    }

    #[test]
    fn a_clock_that_is_set_changes_no_state((number, way) in ways(), (at, by_ms) in sets()) {
        // What comes late across the very moment at which the clock is set has a date that nobody can put right.
        let way = Way { late: vec![0], ..way };
        let at_ms = SCENARIOS[number].labels.end_ms * at / 1000;
        let set_by = |by_ms| SCENARIOS[number].clone().with_clock_set(ClockSet { at_ms, by_ms });
        let (undisturbed, disturbed) = (set_by(0), set_by(by_ms));
        let (mut wanted, found) = (in_order(&undisturbed, &way), on_its_way(&disturbed, &way));
        wanted.retain(|key, said| found.contains_key(key) || said.contains("Some(") || said.contains("Alive"));
        prop_assert_eq!(wanted, found, "{}/{}", undisturbed.agent.as_str(), undisturbed.name);
    }
}
