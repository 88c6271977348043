//! The report over all labelled captures: what each set of sources can tell, and what it cannot.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::io::Write as _;

use lamplight_model::ids::Agent;
use lamplight_replay::{Scenario, Sources, Tally, report, tally};

fn tallies() -> Vec<Tally> {
    let mut names: Vec<(Agent, String)> = Vec::new();
    for agent in [Agent::ClaudeCode, Agent::Codex, Agent::Gemini] {
        names.extend(Scenario::names(agent).unwrap().into_iter().map(|name| (agent, name)));
    }
    let run = |number: usize| {
        let mut done = Vec::new();
        for (agent, name) in names.iter().skip(number).step_by(2) {
            for sources in Sources::EACH {
                let scenario =
                    Scenario::load(*agent, name).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"));
                let Some(scenario) = sources.of(scenario) else { continue };
                done.push(tally(sources, &scenario).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}")));
            }
        }
        done
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(0));
        let second = run(1);
        first.join().unwrap().into_iter().chain(second).collect()
    })
}

#[test]
fn the_report_says_what_each_source_can_tell_and_what_not() {
    let text = report(&tallies());
    // Straight to the terminal: the test runner keeps what passing tests print to itself.
    let (head, _) = text.split_once("wrong notifications").unwrap();
    writeln!(std::io::stderr(), "{head}").unwrap();
    insta::assert_snapshot!("report", text);
}
