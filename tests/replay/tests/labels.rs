//! Every labelled scenario, through the core, against its labels.

use std::fmt::Write as _;

use lamplight_model::ids::Agent;
use lamplight_replay::{Held, Scenario, hold, play, table};

/// What does not come out as labelled, and why. A name that comes out right again must leave the list.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn outcomes() -> Vec<(Agent, Held)> {
    let mut names: Vec<(Agent, String)> = Vec::new();
    for agent in Agent::ALL {
        names.extend(Scenario::names(agent).unwrap().into_iter().map(|name| (agent, name)));
    }
    let run = |(agent, name): &(Agent, String)| {
        let scenario = Scenario::load(*agent, name).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"));
        let history = play(&scenario).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"));
        (*agent, hold(&scenario, &history))
    };
    let half = names.len() / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| names[..half].iter().map(run).collect::<Vec<_>>());
        let second: Vec<_> = names[half..].iter().map(run).collect();
        first.join().unwrap().into_iter().chain(second).collect()
    })
}

#[test]
fn every_scenario_comes_out_as_labelled_or_as_a_named_exception() {
    let outcomes = outcomes();
    let findings: Vec<_> = outcomes.iter().flat_map(|(_, held)| &held.findings).collect();
    let mut wrong = String::new();
    for finding in &findings {
        if !EXCEPTIONS.iter().any(|(name, _)| *name == finding.name) {
            writeln!(wrong, "{} {}", finding.name, finding.said).unwrap();
        }
    }
    for (name, cause) in EXCEPTIONS {
        if !findings.iter().any(|f| f.name == *name) {
            writeln!(wrong, "{name} is an exception ({cause}) and comes out right").unwrap();
        }
    }
    if !wrong.is_empty() {
        println!("{}", table(outcomes.iter().map(|(agent, held)| (*agent, held))));
    }
    assert!(wrong.is_empty(), "not as labelled:\n{wrong}");
    insta::assert_snapshot!(table(outcomes.iter().map(|(agent, held)| (*agent, held))));
}
