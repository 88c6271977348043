//! Telemetry beside the agents' own files: it changes no state; where it is all there is, it never calls for a permission,
//! and says nothing of processes. Gemini CLI's hooks, which are its only witness.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "../../cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lamplight_model::ids::{Agent, SessionId};
use lamplight_model::session::{LivenessState, TurnState};
use lamplight_replay::{Change, Held, History, Player, Scenario, hold, hold_within, play, table};
use proptest::prelude::*;

/// AfterAgent also fires for a turn that was stopped while the answer streamed, and says nothing of it.
const STOPPED_AS_ENDED: &str = "Gemini CLI tells a stopped turn as one that ended";
/// A refused approval fires no hook; telemetry tells of it with its next request, up to 5 s later.
const REFUSAL_UNTOLD: &str = "Gemini CLI tells a refusal by telemetry alone, up to 5 s later";
/// No file names a process, and a killed client fires no hook.
const DEATH_UNSEEN: &str = "nothing of Gemini CLI's tells that its process died";
/// A turn that an API error ended fires no hook, and the run sent no telemetry.
const ERROR_UNTOLD: &str = "Gemini CLI tells nothing of an API error";

/// What of Gemini CLI does not come out as labelled by its hooks, and why.
const GEMINI_EXCEPTIONS: &[(&str, &str)] = &[
    ("gemini/exec_error x0@3.179 missed: errored|ended", ERROR_UNTOLD),
    ("gemini/tui s1@18.746 missed: interrupted", STOPPED_AS_ENDED),
    ("gemini/tui s1@24.266 missed: interrupted", REFUSAL_UNTOLD),
    ("gemini/tui s1@24.266 need false", REFUSAL_UNTOLD),
    ("gemini/tui_kill_resume s1@10.944 missed: crashed", DEATH_UNSEEN),
];

fn load(agent: Agent, name: &str) -> Scenario {
    Scenario::load(agent, name).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"))
}

fn names(agents: &[Agent]) -> Vec<(Agent, String)> {
    let of = |agent: Agent| Scenario::names(agent).unwrap().into_iter().map(move |name| (agent, name));
    agents.iter().copied().flat_map(of).collect()
}

/// Runs over scenarios on two threads.
fn each<T: Send>(names: &[(Agent, String)], run: impl Fn(Scenario) -> T + Sync) -> Vec<T> {
    let run = |(agent, name): &(Agent, String)| run(load(*agent, name));
    let half = names.len() / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| names[..half].iter().map(run).collect::<Vec<_>>());
        let second: Vec<_> = names[half..].iter().map(run).collect();
        first.join().unwrap().into_iter().chain(second).collect()
    })
}

fn played(scenario: &Scenario) -> History {
    play(scenario).unwrap_or_else(|e| panic!("{}/{}: {e:#}", scenario.agent, scenario.name))
}

/// What was said of labelled sessions, without the words behind it.
fn said(scenario: &Scenario, history: &History) -> BTreeMap<SessionId, Vec<String>> {
    let line = |c: &Change| format!("{} {:?} {:?} {:?} {:?}", c.at_ms, c.state, c.need, c.waits, c.tool);
    let sessions = scenario.labels.sessions.values();
    sessions.map(|s| (s.clone(), history.of(s).iter().map(line).collect())).collect()
}

#[test]
fn telemetry_added_to_the_files_and_hooks_of_an_agent_changes_no_state() {
    let names = names(&Agent::WITH_TRANSCRIPTS);
    let changed: Vec<String> = each(&names, |scenario| {
        if scenario.telemetry.is_empty() {
            return Vec::new();
        }
        let mut changed = Vec::new();
        for (what, scenario) in [
            ("files", load(scenario.agent, &scenario.name)),
            ("files and hooks", load(scenario.agent, &scenario.name).with_hooks()),
        ] {
            let without = said(&scenario, &played(&scenario));
            let scenario = scenario.with_telemetry();
            let with = said(&scenario, &played(&scenario));
            if without != with {
                changed.push(format!(
                    "{}/{} {what}: {without:#?} became {with:#?}",
                    scenario.agent, scenario.name
                ));
            }
        }
        changed
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

/// Logs left the captured clients every second (Gemini CLI: five), spans a second after that.
const EXPORT_LAG_MS: i64 = 2_500;

/// Where telemetry is all there is: another machine, a container, a session that is not kept.
#[test]
fn telemetry_alone_says_what_it_can_and_never_calls_for_a_permission() {
    let mut outcomes: Vec<(Agent, Held)> = Vec::new();
    let names: Vec<_> = names(&[Agent::ClaudeCode, Agent::Codex, Agent::Gemini]);
    let played = each(&names, |scenario| {
        if scenario.telemetry.is_empty() {
            return None;
        }
        let scenario = scenario.from_afar().with_telemetry();
        let mut player = Player::new(&scenario).unwrap();
        for moment in &scenario.moments {
            player.wait_until(moment.at_ms).unwrap();
            player.see(moment.at_ms, [&moment.fact]).unwrap();
            for (key, verdict) in player.core.verdicts() {
                assert_eq!(verdict.liveness.state, LivenessState::Unknown, "{key}");
                assert!(
                    verdict.need.as_ref().is_none_or(|need| u8::from(need.kind.tier()) != 1),
                    "{key}: {:?}",
                    verdict.need
                );
            }
        }
        let history = play(&scenario).unwrap();
        Some((scenario.agent, hold_within(EXPORT_LAG_MS, &scenario, &history)))
    });
    outcomes.extend(played.into_iter().flatten());
    // A false need comes of one thing alone: nothing tells that a client has left or died.
    for finding in outcomes.iter().flat_map(|(_, held)| &held.findings) {
        if finding.name.ends_with("need false") {
            let left = finding.name.replace("need false", "missed: ended");
            let is_left = outcomes.iter().flat_map(|(_, held)| &held.findings).any(|f| f.name == left);
            assert!(is_left, "{} {}", finding.name, finding.said);
        }
    }
    let text = table(outcomes.iter().map(|(agent, held)| (*agent, held)));
    insta::assert_snapshot!("telemetry_alone", text);
}

fn gemini(prepare: impl Fn(Scenario) -> Scenario + Sync) -> Vec<(Agent, Held)> {
    each(&names(&[Agent::Gemini]), |scenario| {
        let scenario = prepare(scenario);
        (scenario.agent, hold(&scenario, &played(&scenario)))
    })
}

#[test]
fn by_its_hooks_gemini_comes_out_as_labelled_or_as_a_named_exception() {
    for (what, with_telemetry) in [("hooks", false), ("hooks and telemetry", true)] {
        let outcomes = gemini(|s| {
            let s = s.with_hooks();
            if with_telemetry { s.with_telemetry() } else { s }
        });
        let mut wrong = String::new();
        for finding in outcomes.iter().flat_map(|(_, held)| &held.findings) {
            if !GEMINI_EXCEPTIONS.iter().any(|(name, _)| *name == finding.name) {
                writeln!(wrong, "{} {}", finding.name, finding.said).unwrap();
            }
        }
        assert!(wrong.is_empty(), "{what}, not as labelled:\n{wrong}");
        let name = format!("gemini_by_{}", what.replace(' ', "_"));
        insta::assert_snapshot!(name, table(outcomes.iter().map(|(agent, held)| (*agent, held))));
    }
}

/// Requests arrive in any order and more than once; what is said in the end is the same.
fn arrivals() -> impl Strategy<Value = (usize, Vec<usize>, Vec<bool>)> {
    (0..SHUFFLED.len()).prop_flat_map(|number| {
        let (agent, name) = SHUFFLED[number];
        let requests = load(agent, name).telemetry.len();
        let order = Just((0..requests).collect::<Vec<_>>()).prop_shuffle();
        (Just(number), order, prop::collection::vec(any::<bool>(), requests))
    })
}

const SHUFFLED: [(Agent, &str); 7] = [
    (Agent::ClaudeCode, "tui-permission"),
    (Agent::ClaudeCode, "tui-errors"),
    (Agent::ClaudeCode, "tui-interrupt"),
    (Agent::ClaudeCode, "otlp-agents"),
    (Agent::ClaudeCode, "otlp-cumulative"),
    (Agent::Codex, "tui_basic"),
    (Agent::Gemini, "tui"),
];

/// Verdicts and cards once everything has arrived.
fn outcome(scenario: &Scenario, order: &[usize], again: &[bool]) -> Vec<String> {
    let end_ms = scenario.telemetry.last().map_or(0, |m| m.at_ms) + 1_000;
    let mut player = Player::new(scenario).unwrap();
    player.wait_until(end_ms).unwrap();
    for number in order {
        player.see(end_ms, [&scenario.telemetry[*number].fact]).unwrap();
    }
    for (number, again) in order.iter().rev().zip(again) {
        if *again {
            player.see(end_ms, [&scenario.telemetry[*number].fact]).unwrap();
        }
    }
    let now = scenario.instant(end_ms + 60_000);
    player.core.apply_all(Vec::new(), now).unwrap();
    let verdicts = player.core.verdicts();
    let mut said: Vec<String> = verdicts.iter().map(|(key, v)| format!("{key} {v:#?}")).collect();
    said.extend(player.core.status(now).sessions.into_iter().map(|mut card| {
        // Causes are history: they remember when they were first raised.
        card.attention = None;
        card.causes.clear();
        format!("{card:#?}")
    }));
    said
}

proptest! {
    #![proptest_config(cases::config(60))]

    #[test]
    fn the_order_of_requests_and_their_repetition_change_nothing((number, order, again) in arrivals()) {
        let (agent, name) = SHUFFLED[number];
        let scenario = load(agent, name).from_afar();
        let sorted: Vec<usize> = (0..scenario.telemetry.len()).collect();
        let once = outcome(&scenario, &sorted, &[]);
        let came = outcome(&scenario, &order, &again);
        let differ: Vec<_> = once.iter().zip(&came).filter(|(a, b)| a != b).collect();
        prop_assert!(differ.is_empty() && once.len() == came.len(), "{name}: {differ:#?}");
    }
}

#[test]
fn a_killed_gemini_that_is_opened_anew_is_not_at_work() {
    let scenario = load(Agent::Gemini, "tui_kill_resume").with_hooks();
    let session = scenario.labels.sessions["s2"].clone();
    let history = played(&scenario);
    let at = |ms| history.at(&session, ms).map(|c| c.state);
    assert_eq!(at(15_000), Some(TurnState::Working), "{DEATH_UNSEEN}");
    assert_eq!(at(21_190), Some(TurnState::Interrupted));
}

/// The same script was run once per protocol; what was sent is byte for byte as captured for two of them.
#[test]
fn the_three_protocols_say_the_same_of_the_same_run() {
    let said = ["otlp-http-json", "otlp-http-protobuf", "otlp-grpc"].map(|name| {
        let scenario = load(Agent::ClaudeCode, name).from_afar().with_telemetry();
        let end_ms = scenario.labels.end_ms + 60_000;
        let mut player = Player::new(&scenario).unwrap();
        for moment in &scenario.moments {
            player.wait_until(moment.at_ms).unwrap();
            player.see(moment.at_ms, [&moment.fact]).unwrap();
        }
        player.wait_until(end_ms).unwrap();
        let mut sessions = player.core.status(scenario.instant(end_ms)).sessions;
        assert_eq!(sessions.len(), 1, "{name}");
        let card = sessions.remove(0);
        let mut tokens = card.tokens.unwrap();
        // In the JSON capture the name of one count is masked, so that all that was written counts as short-lived there.
        tokens.cache_write_5m += std::mem::take(&mut tokens.cache_write_1h);
        format!(
            "{:?} {tokens:?} {:?} {:?} {:?} {:?} {}",
            card.turn_state, card.cost_usd, card.cost_source, card.model, card.excerpt, card.tool_calls
        )
    });
    assert_eq!(said[0], said[1]);
    assert_eq!(said[0], said[2]);
}
